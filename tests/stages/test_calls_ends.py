"""How concurrent calls end: closed early, cancelled, dropped, stopped, tortured.

CONTRACT 14, 15, 16, 20, 24.
"""

from __future__ import annotations

import asyncio
import gc
import math
import sys
from typing import Any

import pytest
import trio
import trio.testing

import flow
from flow.testing import Tracked, nothing_left, torture, virtual_time

from .calling import KINDS, Calling

kinds = pytest.mark.parametrize("kind", KINDS)


# ------------------------------------------------------------------------------------------------------------------
# Left early


@kinds
@pytest.mark.parametrize("ordered", [True, False])
def test_an_early_close(kind: str, ordered: bool) -> None:
    """CONTRACT 14: a close cancels the calls, waits for their cleanups, and then closes the input, before control
    returns."""
    log: list[tuple[str, str]] = []
    calling = Calling({1: 1, 2: 20, 3: 20}, cleanup=2)
    source = Tracked(range(1, 100), cleanup=3, log=log)
    with virtual_time() as clock:

        async def main() -> None:
            async with flow.wrap(source).map(KINDS[kind](calling), concurrency=3, ordered=ordered).open() as rows:
                assert await anext(rows) == -1
            assert clock.time() == 6
            assert source.is_closed

        clock.run(main())
    assert sorted(calling.cut) in ([2, 3], [2, 3, 4])  # the task of the last one has perhaps not begun
    assert {calling.ended[row] for row in calling.cut} == {3}
    assert source.closed_at == [6]


@kinds
def test_a_break(kind: str) -> None:
    """CONTRACT 14: a reader that breaks off and goes leaves nothing open, cleanups that wait included."""
    calling = Calling({1: 1, 2: 20, 3: 20}, cleanup=2)
    source = Tracked(range(1, 100), cleanup=3)

    async def main() -> None:
        async for row in flow.wrap(source).map(KINDS[kind](calling), concurrency=2):
            assert row == -1
            break
        gc.collect()
        await asyncio.sleep(10)
        assert source.is_closed
        assert calling.now == 0
        assert len(asyncio.all_tasks()) == 1

    with virtual_time() as clock:
        clock.run(main())
    nothing_left(source)


@kinds
def test_a_break_in_a_script(kind: str) -> None:
    """CONTRACT 14: the same in a script, where the close blocks."""
    source = Tracked(range(1, 100), cleanup=3)
    calling = Calling({1: 1, 2: 20}, cleanup=2)
    with virtual_time() as clock:
        calling.time = clock.time  # type: ignore[method-assign]
        with flow.wrap(source).map(KINDS[kind](calling), concurrency=2).open() as rows:
            assert next(rows) == -1
        assert clock.time() == 6
    assert calling.now == 0
    nothing_left(source)


@kinds
def test_a_failed_cleanup_of_an_early_close(kind: str) -> None:
    """CONTRACT 16: what a cancelled call raises in its cleanup is raised by the close; a failure that lies ahead of
    what was asked for is not."""
    error = ValueError("in the cleanup")
    calling = Calling({1: 1, 2: 20, 3: 2}, {3: OSError("ahead")}, unclean={2: error})

    async def main() -> None:
        with pytest.raises(ValueError, match="in the cleanup") as raised:
            async with flow.wrap([1, 2, 3]).map(KINDS[kind](calling), concurrency=3).open() as rows:
                assert await anext(rows) == -1
                await asyncio.sleep(5)
        assert raised.value is error

    with virtual_time() as clock:
        clock.run(main())


# ------------------------------------------------------------------------------------------------------------------
# Cancelled


@kinds
@pytest.mark.parametrize("ordered", [True, False])
def test_a_cancel(kind: str, ordered: bool) -> None:
    """CONTRACT 15: the task that reads is cancelled: calls are cancelled and awaited, the input closed, and the cancel
    raised; a cleanup that fails is in its context."""
    error = ValueError("in the cleanup")
    calling = Calling({1: 20, 2: 20}, cleanup=2, unclean={2: error})
    source = Tracked(range(1, 100), cleanup=1)
    with virtual_time() as clock:

        async def read() -> None:
            async for _ in flow.wrap(source).map(KINDS[kind](calling), concurrency=2, ordered=ordered):
                raise AssertionError

        async def main() -> None:
            task = asyncio.create_task(read())
            await asyncio.sleep(5)
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as raised:
                await task
            assert clock.time() == 8
            seen: list[Any] = [raised.value]
            while seen[-1] is not None:
                seen.append(seen[-1].__context__)
            assert error in seen

        clock.run(main())
    assert sorted(calling.cut) == [1, 2]
    nothing_left(source)


@pytest.mark.parametrize("kind", ["task", "thread"])
def test_a_cancel_on_trio(kind: str) -> None:
    """CONTRACT 15: a cancel scope round the reader; cleanups of calls wait behind a shield."""
    cleaned: list[int] = []

    async def task(row: int) -> int:
        try:
            await trio.sleep(100)
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(1)
            cleaned.append(row)
        return row

    def thread(row: int) -> int:
        try:
            flow.sleep(100)
        finally:
            flow.sleep(1)
            cleaned.append(row)
        return row

    source = Tracked(range(100))

    async def main() -> None:
        f: Any = task if kind == "task" else thread
        with trio.move_on_after(5) as scope:
            async for _ in flow.wrap(source).map(f, concurrency=3):
                raise AssertionError
        assert scope.cancelled_caught
        assert trio.current_time() - start == 6

    async def timed() -> None:
        nonlocal start
        start = trio.current_time()
        await main()

    start = 0.0
    trio.run(timed, clock=trio.testing.MockClock(autojump_threshold=0))
    assert sorted(cleaned) == [0, 1, 2]
    nothing_left(source)


def test_a_call_that_swallows_the_cancel() -> None:
    """CONTRACT 15: it ends all the same; what it gives then is dropped, and counted."""
    dropped: list[int] = []

    async def stubborn(row: int) -> int:
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            await asyncio.sleep(1)
        return -row

    async def main() -> None:
        async with asyncio.timeout(5):
            async with flow.wrap([1, 2, 3]).map(stubborn, concurrency=2).open(on_dropped=dropped.extend) as rows:
                async for _ in rows:
                    raise AssertionError

    with virtual_time() as clock:
        with pytest.raises(TimeoutError):
            clock.run(main())
        assert clock.time() == 6
    assert dropped == [-1, -2, 3]


def test_a_cleanup_that_never_ends() -> None:
    """CONTRACT 15: cleanups of calls have the deadline of the run; then CleanupTimeoutError says so."""

    async def stuck(row: int) -> int:
        try:
            await asyncio.sleep(100)
        finally:
            await asyncio.sleep(math.inf if row < 0 else 1000)
        return row

    async def read() -> None:
        async for _ in flow.wrap([1, 2]).map(stuck, concurrency=2):
            raise AssertionError

    async def main() -> None:
        task = asyncio.create_task(read())
        await asyncio.sleep(5)
        task.cancel()
        with pytest.raises((flow.CleanupTimeoutError, asyncio.CancelledError)):
            await task
        assert clock.time() == 10
        await asyncio.sleep(2000)

    with virtual_time() as clock:
        clock.run(main())


# ------------------------------------------------------------------------------------------------------------------
# Dropped


@kinds
def test_what_is_dropped(kind: str) -> None:
    """CONTRACT 16: what is in hand at an early end: results that were not read, and rows whose call had not begun, in
    the order of the input; not the rows that were in work."""
    calling = Calling({1: 1, 2: 1, 3: 60, 4: 1, 5: 60, 6: 60, 7: 60})
    dropped: list[int] = []

    async def main() -> int:
        stage = flow.wrap(range(1, 100)).map(KINDS[kind](calling), concurrency=3, ahead=7)
        async with stage.open(on_dropped=dropped.extend) as rows:
            assert await anext(rows) == -1
            await asyncio.sleep(10)
        return rows.dropped

    with virtual_time() as clock:
        assert clock.run(main()) == 3
    assert sorted(calling.cut) == [3, 5, 6]
    assert dropped == [-2, -4, 7]


@kinds
def test_what_is_dropped_unordered(kind: str) -> None:
    """CONTRACT 16: the same without an order: results first, as they were made, then rows."""
    calling = Calling({1: 1, 2: 3, 3: 2, 4: 60, 5: 60, 6: 60})
    dropped: list[int] = []

    async def main() -> None:
        stage = flow.wrap(range(1, 100)).map(KINDS[kind](calling), concurrency=3, ahead=6, ordered=False)
        async with stage.open(on_dropped=dropped.extend) as rows:
            assert await anext(rows) == -1
            await asyncio.sleep(10)

    with virtual_time() as clock:
        clock.run(main())
    assert dropped == [-3, -2]


def test_rows_that_wait_for_their_key_are_dropped() -> None:
    """CONTRACT 16: those, too, once each."""
    for ordered in (True, False):
        calling = Calling(60)
        dropped: list[int] = []

        async def main(ordered: bool = ordered, calling: Calling = calling, dropped: list[int] = dropped) -> None:
            stage = flow.wrap(range(100)).map(
                calling.task, concurrency=3, ahead=9, key=lambda row: row % 2, ordered=ordered
            )
            async with asyncio.timeout(1), stage.open(on_dropped=dropped.extend) as rows:
                await anext(rows)

        with virtual_time() as clock, pytest.raises(TimeoutError):
            clock.run(main())
        assert calling.cut == [0, 1]
        assert sorted(dropped) == [2, 3, 4, 5, 6, 7, 8]


@pytest.mark.parametrize("ordered", [True, False])
def test_rows_behind_a_failure_are_dropped(ordered: bool) -> None:
    """CONTRACT 16: a failure drops what was made behind it, and what was read."""
    calling = Calling({1: 2, 2: 3, 3: 2.5, 4: 9, 5: 9}, {2: OSError("2 fails")})
    dropped: list[int] = []

    async def main() -> list[int]:
        got = []
        stage = flow.wrap(range(1, 100)).map(calling.task, concurrency=3, ahead=6, ordered=ordered)
        async with stage.open(on_dropped=dropped.extend) as rows:
            with pytest.raises(OSError, match="2 fails"):
                async for row in rows:
                    got.append(row)
        return got

    with virtual_time() as clock:
        assert clock.run(main()) == ([-1] if ordered else [-1, -3])
    assert dropped == ([-3, 6, 7] if ordered else [6, 7, 8])


# ------------------------------------------------------------------------------------------------------------------
# Stopped and drained


@kinds
def test_stop(kind: str) -> None:
    """A run that is stopped reads no more; what was read is called, finished and handed on."""
    calling = Calling(1.0)
    source = Tracked(range(1, 100))
    got: list[int] = []

    async def main() -> None:
        async with flow.wrap(source).map(KINDS[kind](calling), concurrency=2).open() as rows:
            async for row in rows:
                got.append(row)
                if row == -3:
                    rows.stop()

    with virtual_time() as clock:
        clock.run(main())
    assert got == [-row for row in range(1, source.asked + 1)]
    assert 3 < len(got) <= 8
    assert source.is_closed


@kinds
def test_a_receipt(kind: str) -> None:
    """What was in flight and what had not begun, when the deadline of drain() has passed."""
    calling = Calling({1: 1, 2: 60, 3: 60})

    async def main() -> Any:
        async with flow.wrap(range(1, 100)).map(KINDS[kind](calling), concurrency=2).open() as rows:
            assert await anext(rows) == -1
            return await rows.drain(10)

    with virtual_time() as clock:
        receipt = clock.run(main())
        assert clock.time() == 11
    assert (receipt.delivered, receipt.in_flight, receipt.never_started) == (0, 2, 1)
    assert receipt.rows_in_flight == (2, 3)
    assert receipt.rows_never_started == (4,)


# ------------------------------------------------------------------------------------------------------------------
# Torture


used: list[Tracked[Any]] = []


def tracked(rows: Any, **options: Any) -> Tracked[Any]:
    made = Tracked(rows, **options)
    used.append(made)
    return made


async def slow(row: int) -> int:
    await asyncio.sleep(row % 3)
    return -row


def waits(row: int) -> int:
    flow.sleep(row % 3)
    return -row


async def cleans(row: int) -> int:
    try:
        await asyncio.sleep(row % 3 + 1)
    finally:
        await asyncio.sleep(0.5)
    return -row


def cleans_too(row: int) -> int:
    try:
        flow.sleep(row % 3 + 1)
    finally:
        flow.sleep(0.5)
    return -row


async def awaited_key(row: int) -> int:
    await asyncio.sleep(0.25)
    return row % 2


FUNCTIONS: dict[str, Any] = {
    "task": slow,
    "thread": waits,
    "lambda": lambda row: slow(row),
    "task that cleans up": cleans,
    "thread that cleans up": cleans_too,
    "ready": abs,
}
OPTIONS: dict[str, dict[str, Any]] = {
    "ordered": {},
    "unordered": {"ordered": False},
    "one ahead": {"concurrency": 1, "ahead": 2},
    "keys": {"key": lambda row: row % 2},
    "keys, awaited, unordered": {"key": awaited_key, "ordered": False},
    "finish": {"on_error": "finish"},
    "collect, unordered": {"on_error": "collect", "ordered": False},
    "retry": {"retry": flow.Retry(2, backoff=1, on=OSError)},
}


@pytest.mark.parametrize(
    ("function", "options"),
    [
        (function, options)
        for function in FUNCTIONS
        for options in OPTIONS
        if options in ("ordered", "unordered") or function == ("task" if "un" in options else "thread that cleans up")
    ],
)
def test_torture(function: str, options: str) -> None:
    """CONTRACT 14-16: ended at each of its waits and after each of its rows, in every way, it leaves nothing open."""

    def make_flow() -> flow.Stage[Any]:
        used.clear()
        given: dict[str, Any] = {"concurrency": 2, **OPTIONS[options]}
        return flow.wrap(tracked(range(5), delay=0.5, cleanup=0.5)).map(FUNCTIONS[function], **given)

    # Where a row that failed does not end it, those behind it come all the same.
    ordered = OPTIONS[options].get("ordered", True) and "on_error" not in OPTIONS[options]
    report = torture(make_flow, tracked=lambda: used, ordered=ordered, seeds=(None, 1))
    wanted = list(range(5)) if function == "ready" else [0, -1, -2, -3, -4]
    assert (report.rows if ordered else sorted(report.rows, key=abs)) == wanted


@pytest.mark.parametrize("ordered", [True, False])
def test_torture_among_others(ordered: bool) -> None:
    """CONTRACT 14-16: the same inside of a Merge, with stages above and below."""

    def make_flow() -> flow.Stage[Any]:
        used.clear()
        one = flow.wrap(tracked(range(3), delay=1)).map(waits, concurrency=2, ordered=ordered).map(slow, concurrency=2)
        two = flow.wrap(tracked([10, 11], cleanup=1)).map(slow, concurrency=2, ordered=ordered) | tracked(())
        return flow.Merge(one, two)

    torture(make_flow, tracked=lambda: used, ordered=False, seeds=(None, 1))


def test_torture_of_rows_that_fail() -> None:
    """CONTRACT 14-16: with rows that are diverted by a function that waits."""

    async def fails(row: int) -> int:
        await asyncio.sleep(1)
        if row % 2:
            raise OSError(row)
        return row

    def divert(row: int, error: Exception) -> None:
        flow.sleep(0.5)

    def make_flow() -> flow.Stage[Any]:
        used.clear()
        return flow.wrap(tracked(range(5), cleanup=0.5)).map(fails, concurrency=3, on_row_error=divert)

    assert torture(make_flow, tracked=lambda: used, seeds=(None, 1, 2)).rows == [0, 2, 4]


# ------------------------------------------------------------------------------------------------------------------
# Leaks


@pytest.mark.parametrize("kind", ["task", "thread"])
def test_memory_is_flat(kind: str) -> None:
    """CONTRACT 20, 24: many rows, and many runs, leave nothing behind."""

    async def task(row: int) -> bytes:
        return bytes(1000)

    def thread(row: int) -> bytes:
        return bytes(1000)

    f: Any = task if kind == "task" else thread

    async def main() -> None:
        stage = flow.wrap(range(3000)).map(f, concurrency=4)
        async for _ in stage:
            pass
        gc.collect()
        before = len(gc.get_objects())
        for _ in range(3):
            async for _ in stage:
                pass
        for _ in range(50):
            async for _ in stage:
                break
            await asyncio.sleep(0)
        await asyncio.sleep(1)
        gc.collect()
        assert len(gc.get_objects()) - before < 200
        assert sys.getrefcount(stage) < 10

    with virtual_time() as clock:
        clock.run(main())
