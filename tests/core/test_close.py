"""How a run is closed: CONTRACT 14-16. Every way out, in order, once, before control returns."""

from __future__ import annotations

import asyncio
import gc
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

import flow
from flow.testing import Tracked, nothing_left, torture, virtual_time


class Sources:
    """Makes Tracked sources and remembers those of the last flow, with one log for all."""

    def __init__(self) -> None:
        self.made: list[Tracked[Any]] = []
        self.log: list[tuple[str, str]] = []

    def __call__(self, rows: Any = (), **options: Any) -> Tracked[Any]:
        made = Tracked(rows, log=self.log, **options)
        self.made.append(made)
        return made

    def clear(self) -> None:
        self.made.clear()
        self.log.clear()


@pytest.fixture
def tracked() -> Sources:
    return Sources()


def three(tracked: Sources, **source: Any) -> flow.Stage[Any]:
    return flow.wrap(tracked([1, 2, 3], name="a", **source)) | tracked(name="b") | tracked(name="c")


CLOSED = [("c", "closed"), ("b", "closed"), ("a", "closed")]
"""Downstream first: who was opened last is closed first."""


def test_at_the_end_all_is_closed_upstream(tracked: Sources) -> None:
    """CONTRACT 14: at the normal end the end passes down, so each stage closes as it passes, once."""
    assert list(three(tracked)) == [1, 2, 3]
    assert sorted(tracked.log[3:]) == sorted(CLOSED)
    nothing_left(*tracked.made)


@pytest.mark.parametrize("way", ["for", "open", "next"])
def test_a_script_that_breaks_off_closes_in_order(tracked: Sources, way: str) -> None:
    """CONTRACT 14: a break closes downstream first, before the next statement."""
    stage = three(tracked)
    if way == "for":
        for _ in stage:
            break
    elif way == "open":
        with stage.open() as rows:
            next(rows)
    else:
        next(iter(stage))
    assert tracked.log[3:] == CLOSED
    nothing_left(*tracked.made)


def test_a_break_in_async_for_closes_before_the_next_statement(tracked: Sources) -> None:
    """CONTRACT 14: the reader is dropped by the break, and the run is closed there and then."""

    async def main() -> None:
        async for _ in three(tracked):
            break
        assert tracked.log[3:] == CLOSED

    asyncio.run(main())
    nothing_left(*tracked.made)


def test_an_error_in_the_readers_loop_closes_the_run(tracked: Sources) -> None:
    """CONTRACT 14: an exception in the body of ``async for`` closes the run on its way."""

    async def main() -> None:
        with pytest.raises(ZeroDivisionError):
            async for row in three(tracked):
                row / 0
        assert tracked.log[3:] == CLOSED

    asyncio.run(main())


def test_a_finally_that_waits_is_finished_by_the_loop_after_a_break(tracked: Sources) -> None:
    """CONTRACT 14: what a broken-off run must wait for is finished by the loop, without a warning or a leftover."""
    with virtual_time() as clock:

        async def main() -> None:
            async for _ in three(tracked, cleanup=2):
                break
            assert tracked.log[3:] == CLOSED[:2]
            await asyncio.sleep(3)
            assert tracked.log[3:] == CLOSED

        clock.run(main())
    nothing_left(*tracked.made)


def test_an_explicit_scope_waits_for_cleanups(tracked: Sources) -> None:
    """CONTRACT 14: leaving ``async with`` returns when a finally that waits has finished."""
    with virtual_time() as clock:

        async def main() -> None:
            async with three(tracked, cleanup=2).open() as rows:
                assert await anext(rows) == 1
            assert tracked.log[3:] == CLOSED
            assert clock.time() == 2

        clock.run(main())


def test_a_reader_that_is_garbage_in_a_cycle_is_closed(tracked: Sources) -> None:
    """CONTRACT 14: garbage collection of an abandoned run closes it."""

    async def main() -> None:
        reader = aiter(three(tracked))
        await anext(reader)
        cycle: list[Any] = [reader]
        cycle.append(cycle)
        del reader, cycle
        gc.collect()
        assert tracked.log[3:] == CLOSED

    asyncio.run(main())
    nothing_left(*tracked.made)


def test_a_run_that_was_never_asked_opens_nothing(tracked: Sources) -> None:
    """CONTRACT 4: nothing runs before the first row is asked for, so there is nothing to close."""

    async def main() -> None:
        aiter(three(tracked))
        async with three(tracked).open():
            pass

    asyncio.run(main())
    iter(three(tracked))
    assert tracked.log == []


def test_a_cancel_at_a_wait_runs_the_finallys(tracked: Sources) -> None:
    """CONTRACT 15: a cancel is raised where the chain waits and travels through it; the task ends cancelled."""
    with virtual_time() as clock:

        async def main() -> None:
            task = asyncio.create_task(_read(three(tracked, delay=10)))
            await asyncio.sleep(5)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert clock.time() == 5

        clock.run(main())
    assert sorted(tracked.log[3:]) == sorted(CLOSED)


async def _read(stage: flow.Stage[Any]) -> list[Any]:
    return await stage


def test_a_cancel_is_not_swallowed_by_except_exception() -> None:
    """CONTRACT 15: an ``except Exception`` in a stage lets a cancel pass."""
    seen = []

    def stubborn(rows: Iterator[int]) -> Iterator[int]:
        for row in rows:
            try:
                flow.sleep(10)
            except Exception as error:
                seen.append(error)
            yield row

    with virtual_time() as clock:

        async def main() -> None:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(15):
                    await (flow.wrap([1, 2, 3]) | stubborn)

        clock.run(main())
    assert seen == []


def test_a_swallowed_cancel_is_raised_at_the_next_wait_and_at_the_end() -> None:
    """CONTRACT 15: flow's cancel is level-triggered; a stage that catches everything can't make it vanish."""
    waits = []

    def hostile(rows: Iterator[int]) -> Iterator[int]:
        for row in rows:
            try:
                flow.sleep(10)
            except BaseException as error:
                waits.append(type(error).__name__)
            yield row

    with virtual_time() as clock:

        async def main() -> None:
            task = asyncio.create_task(_read(flow.wrap([1, 2]) | hostile))
            await asyncio.sleep(1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        clock.run(main())
    assert waits[0] == "CancelledError"


def test_a_cleanup_may_wait_during_a_cancel() -> None:
    """CONTRACT 15: a finally waits while a cancel is on its way, and the cancel goes on after it."""
    log = []

    def stage(rows: Iterator[int]) -> Iterator[int]:
        try:
            for row in rows:
                flow.sleep(10)
                yield row
        finally:
            flow.sleep(2)
            log.append("cleaned")

    with virtual_time() as clock:

        async def main() -> None:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    await (flow.wrap([1]) | stage)
            assert clock.time() == 3

        clock.run(main())
    assert log == ["cleaned"]


def test_a_cleanup_that_waits_too_long_is_ended_and_named() -> None:
    """CONTRACT 15: a cleanup that waits during a cancel has a deadline (5 s), and is then named."""

    def stage(rows: Iterator[int]) -> Iterator[int]:
        try:
            for row in rows:
                flow.sleep(10)
                yield row
        finally:
            flow.sleep(1000)

    with virtual_time() as clock:

        async def main() -> None:
            task = asyncio.create_task(_read(flow.wrap([1]) | stage))
            await asyncio.sleep(1)
            task.cancel()
            with pytest.raises(flow.CleanupTimeoutError, match=r"more than 5 s .*stage \(.*test_close.py, line"):
                await task
            assert clock.time() == 6

        clock.run(main())


def test_a_cancel_during_a_close_does_not_cut_it_short(tracked: Sources) -> None:
    """CONTRACT 14, 15: a cancel that arrives while a combining stage closes its inputs waits for them to be closed."""
    with virtual_time() as clock:

        async def main() -> None:
            slow = tracked([1, 2, 3], name="slow", cleanup=3)
            task = asyncio.create_task(_read(flow.Zip(flow.wrap(slow), flow.wrap([1]))))
            await asyncio.sleep(1)  # the zip has ended and closes its first input
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert clock.time() == 3
            assert slow.is_closed

        clock.run(main())


def test_what_a_branch_awaits_is_closed_before_the_branch() -> None:
    """CONTRACT 14: a task that a cancelled branch awaits has ended, cleanup and all, before the branch is closed."""
    log = []

    async def slow() -> None:
        try:
            await asyncio.sleep(10)
        finally:
            await asyncio.sleep(1)
            log.append("task")

    def branch() -> Iterator[Any]:
        try:
            yield slow()
        finally:
            log.append("branch")

    with virtual_time() as clock:

        async def main() -> None:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(3):
                    await flow.Merge(branch, [1])
            assert clock.time() == 4
            log.append("reader")

        clock.run(main())
    assert log == ["task", "branch", "reader"]


def test_siblings_are_closed_when_one_input_fails(tracked: Sources) -> None:
    """CONTRACT 16: rows made before are delivered, the others are cancelled and closed, then the failure is raised."""
    with virtual_time() as clock:

        async def main() -> None:
            good = tracked([1, 2, 3], delay=1, name="good")
            bad = tracked(["x"], delay=1.5, fail=ValueError("bad"), name="bad")
            rows = []
            with pytest.raises(ValueError, match="bad"):
                async for row in flow.Merge(flow.wrap(good), flow.wrap(bad)):
                    rows.append(row)
            assert rows == [1, "x"]
            assert good.is_closed
            assert bad.is_closed

        clock.run(main())


def test_two_failures_are_both_raised() -> None:
    """CONTRACT 16: a second failure joins the first one in an ExceptionGroup, also when it comes in the same turn."""

    async def late(error: Exception) -> None:
        await asyncio.sleep(1)
        raise error

    def failing(error: Exception) -> Callable[[], Iterator[Any]]:
        def source() -> Iterator[Any]:
            yield late(error)

        return source

    with virtual_time(), pytest.raises(ExceptionGroup) as caught:
        list(flow.Merge(failing(ValueError("one")), failing(KeyError("two"))))
    assert [type(each) for each in caught.value.exceptions] == [ValueError, KeyError]


def test_a_failing_cleanup_hides_nothing() -> None:
    """CONTRACT 16: a failure while closing never hides the first one and is never dropped."""

    def source() -> Iterator[int]:
        try:
            yield 1
            yield 2
        finally:
            raise KeyError("cleanup")

    def stage(rows: Iterator[int]) -> Iterator[int]:
        for row in rows:
            if row == 2:
                raise ValueError("first")
            yield row

    with pytest.raises(ExceptionGroup) as caught:
        list(flow.wrap(source) | stage)
    assert [type(each) for each in caught.value.exceptions] == [ValueError, KeyError]


def test_a_failing_cleanup_after_a_break_is_raised() -> None:
    """CONTRACT 16: a cleanup that fails while an explicit scope is left is raised there."""

    def source() -> Iterator[int]:
        try:
            yield 1
            yield 2
        finally:
            raise KeyError("cleanup")

    async def main() -> None:
        with pytest.raises(KeyError):
            async with flow.wrap(source).open() as rows:
                await anext(rows)

    asyncio.run(main())
    with pytest.raises(KeyError), flow.wrap(source).open() as rows:
        next(rows)


def test_dropped_rows_are_counted_and_can_be_had() -> None:
    """CONTRACT 16: rows that were made and not read when a run is broken off are counted and given to `on_dropped`."""
    dropped: list[Any] = []
    rows = flow.Callback[int](limit=10)
    for row in range(5):
        rows.result(row)

    async def main() -> None:
        async with rows.open(on_dropped=dropped.extend) as reader:
            assert await anext(reader) == 0
        assert reader.dropped == 4

    asyncio.run(main())
    assert dropped == [1, 2, 3, 4]


@pytest.mark.parametrize("above", ["its own", "from above"])
def test_a_failure_ahead_of_the_reader_is_dropped_while_its_task_ends(above: str) -> None:
    """CONTRACT 16: an async stage that has failed ahead of what was asked for, and is left before its task has ended,
    fails nobody: what it raised is dropped as a row there would be."""

    def source() -> Iterator[int]:
        yield 1
        raise LookupError

    async def fails() -> AsyncIterator[int]:
        yield 1
        raise LookupError

    async def relay(rows: AsyncIterator[int]) -> AsyncIterator[int]:
        async for row in rows:
            yield row

    async def main() -> list[int]:
        stage = flow.wrap(fails) if above == "its own" else flow.wrap(source) | relay
        return await stage[:1]

    assert asyncio.run(main()) == [1]


async def failing(row: int) -> int:
    await asyncio.sleep(0)
    raise OSError(row)


def test_the_traceback_of_what_was_awaited_is_kept() -> None:
    """CONTRACT 17: the frames of a coroutine that failed are in the traceback of what its wait raises."""

    async def main() -> None:
        await flow.wrap([1]).map(failing)

    with pytest.raises(OSError, match="1") as caught:
        asyncio.run(main())
    assert "failing" in [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]


def test_an_error_keeps_type_instance_traceback_and_names_the_stages() -> None:
    """CONTRACT 17: the reader gets the very exception, with the user's frames, and a note with the stages."""
    error = LookupError("here")

    def fails(rows: Iterator[int]) -> Iterator[int]:
        for _ in rows:
            raise error
        yield 0

    def passes(rows: Iterator[int]) -> Iterator[int]:
        yield from rows

    stage = flow.wrap([1]) | fails | passes

    def check(caught: pytest.ExceptionInfo[LookupError]) -> None:
        assert caught.value is error
        names = [entry.name for entry in caught.traceback]
        assert names.index("passes") < names.index("fails")
        assert any("fails" in note and "passes" in note for note in error.__notes__)

    with pytest.raises(LookupError) as caught:
        list(stage)
    check(caught)

    async def main() -> None:
        with pytest.raises(LookupError) as caught:
            await stage
        check(caught)

    asyncio.run(main())


# ---------------------------------------------------------------------------------------------------------------------
# Torture: every wait, every row, every way


async def doubled(rows: AsyncIterator[int]) -> AsyncIterator[int]:
    async for row in rows:
        await asyncio.sleep(0.1)
        yield row * 2


def waits(rows: Iterator[Any]) -> Iterator[Any]:
    try:
        for row in rows:
            flow.sleep(0.3)
            yield row
            flow.wait(asyncio.sleep(0.1))
    finally:
        flow.sleep(0.2)


def classic(source: flow.Stage[Any]) -> Callable[[], Iterator[Any]]:
    def rows() -> Iterator[Any]:
        yield source
        for row in source:
            yield flow.Cooperate(0.2)
            yield row

    return rows


def nested(rows: Iterator[int]) -> Iterator[int]:
    for row in rows:
        yield from flow.wrap(range(row)) | waits


FLOWS: dict[str, tuple[bool, Callable[[Sources], flow.Stage[Any]]]] = {
    "plain": (True, lambda t: flow.wrap(t(range(4))) | waits | t(name="out")),
    "classic": (True, lambda t: flow.wrap(classic(flow.wrap(t(range(3), delay=1)))) | t(name="out")),
    "async stage": (True, lambda t: flow.wrap(t(range(4), delay=1, cleanup=1)) | doubled | t(name="out")),
    "two async stages": (True, lambda t: flow.wrap(t(range(3))) | doubled | waits | doubled | t(name="out")),
    "nested": (True, lambda t: flow.wrap(t([2, 1])) | nested | t(name="out")),
    "merge": (
        False,
        lambda t: flow.Merge(flow.wrap(t("ab", delay=1)), flow.wrap(t("cd", cleanup=1)) | waits) | t(name="out"),
    ),
    "merge of merges": (
        False,
        lambda t: flow.Merge(
            flow.Merge(t("ab", delay=1), t("cd", delay=1, cleanup=0.5)), flow.wrap(t("ef", delay=1)) | doubled_text
        ),
    ),
    "zip": (True, lambda t: flow.Zip(flow.wrap(t("abc", delay=1)), flow.wrap(t("de", delay=2, cleanup=1)))),
    "zip longest": (True, lambda t: flow.Zip(flow.wrap(t("abc", delay=1)), flow.wrap(t("d", cleanup=1)), fill=None)),
    "concurrent": (False, lambda t: flow.wrap([1]) | partial_concurrent(t)),
    "flat map": (True, lambda t: flow.wrap(t([1, 2])).flat_map(lambda n: flow.wrap(t(range(n), delay=1)))),
    "threaded": (True, lambda t: flow.Threaded(t(range(6)), limit=2) | t(name="out")),
    "trap": (True, lambda t: flow.wrap(t([1, 2], fail=ValueError()), ValueError).map(str) | t(name="out")),
}


async def doubled_text(rows: AsyncIterator[str]) -> AsyncIterator[str]:
    async for row in rows:
        yield row * 2


def partial_concurrent(tracked: Sources) -> Callable[[Iterator[Any]], Iterator[Any]]:
    def stage(rows: Iterator[Any]) -> Iterator[Any]:
        for _ in rows:
            inputs = flow.wrap(tracked("ab", delay=1)), flow.wrap(tracked("cd", delay=0.7, cleanup=1))
            for ready in flow.Concurrent(*inputs):
                yield inputs.index(ready), next(ready)

    return stage


@pytest.mark.parametrize("name", FLOWS)
def test_torture(name: str, tracked: Sources) -> None:
    """CONTRACT 1-3, 14-16: ended at each wait and after each row, in every way: all is closed."""
    ordered, make = FLOWS[name]

    def make_flow() -> flow.Stage[Any]:
        tracked.clear()
        return make(tracked)

    seeds: list[int | None] = [None] if name == "threaded" else [None, 1, 2, 3]
    report = torture(make_flow, tracked=lambda: tracked.made, ordered=ordered, seeds=seeds)
    assert report.rows
    assert sum(report.runs.values()) >= 2 * (len(report.rows) + 1)
