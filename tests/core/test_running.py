"""Runs with a handle: stop() from anywhere, and drain() with its receipt.

CONTRACT 2, 3, 4, 7, 13-17, 22, 25.
"""

from __future__ import annotations

import asyncio
import math
import signal
import threading
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import trio
import trio.testing

import flow
from flow.testing import Tracked, nothing_left, virtual_time

from .test_stopping import sleepy

# ------------------------------------------------------------------------------------------------------------------
# stop()


def test_a_run_that_is_stopped_before_it_begins_opens_nothing() -> None:
    """CONTRACT 4: in a coroutine and in a script."""
    source = Tracked([1])
    with flow.wrap(source).open() as run:
        run.stop()
        assert list(run) == []

    async def main() -> None:
        async with flow.wrap(source).open() as run:
            run.stop()
            assert [row async for row in run] == []
            assert [row async for row in run] == []
            assert await run.drain(1) == flow.Drained()

    asyncio.run(main())
    assert source.opened == 0


def test_stop_is_idempotent_and_a_no_op_after_the_end() -> None:
    """It may be called at any time."""

    async def main() -> None:
        async with flow.wrap([1, 2, 3]).open() as run:
            assert await anext(run) == 1
            run.stop()
            run.stop()
            assert [row async for row in run] == []
            run.stop()
        run.stop()

    asyncio.run(main())
    with flow.wrap([1]).open() as here:
        assert list(here) == [1]
        here.stop()
    here.stop()


def test_stop_by_the_source_by_a_stage_and_by_its_cleanup() -> None:
    """CONTRACT 13: from inside of the chain, wherever that is at work."""
    for at in ("source", "stage"):

        def source() -> Iterator[int]:
            for row in range(10):
                if at == "source" and row == 3:  # noqa: B023
                    run.stop()
                    flow.sleep(0.001)
                yield row

        def stage(rows: Iterator[int]) -> Iterator[int]:
            for row in rows:
                if at == "stage" and row == 3:  # noqa: B023
                    run.stop()
                    flow.sleep(0.001)
                yield row

        expected = [0, 1, 2] if at == "source" else [0, 1, 2, 3]
        with (flow.wrap(source) | stage).open() as run:
            assert list(run) == expected

        async def main() -> list[int]:
            nonlocal run
            async with (flow.wrap(source) | stage).open() as run:
                return [row async for row in run]

        assert asyncio.run(main()) == expected


def test_stop_from_another_thread() -> None:
    """CONTRACT 25: while the run waits, in a script and on asyncio and trio."""
    entered = threading.Event()

    def source() -> Iterator[int]:
        yield 1
        entered.set()
        flow.sleep(30)
        yield 2

    def stopper(run: Any) -> threading.Thread:
        def work() -> None:
            entered.wait(10)
            run.stop()

        thread = threading.Thread(target=work)
        thread.start()
        return thread

    async def on_a_loop() -> list[int]:
        async with flow.wrap(source).open() as run:
            thread = stopper(run)
            rows = [row async for row in run]
        thread.join()
        return rows

    with flow.wrap(source).open() as here:
        thread = stopper(here)
        assert list(here) == [1]
    thread.join()
    for run in (asyncio.run, lambda main: trio.run(lambda: main)):
        entered.clear()
        assert run(on_a_loop()) == [1]


def test_stop_from_another_thread_at_any_moment() -> None:
    """CONTRACT 25: before the run begins, while it begins, waits, is ready or ends: no wish is lost, none hangs."""

    def source() -> Iterator[int]:
        for row in range(10**9):
            if row % 3 == 0:
                flow.sleep(0)
            elif row % 100 == 1:
                flow.sleep(0.0001)
            yield row

    def stopped_after(run: Any, turns: int) -> threading.Thread:
        def work() -> None:
            for _ in range(turns):
                pass
            run.stop()

        thread = threading.Thread(target=work)
        thread.start()
        return thread

    async def on_asyncio(turns: int) -> list[int]:
        async with flow.Merge(source, source).open() as run:
            thread = stopped_after(run, turns)
            rows = [row async for row in run]
        thread.join()
        return rows

    for turns in (0, 10, 100, 1_000, 3_000, 10_000, 30_000, 100_000, 300_000):
        for stage in (flow.wrap(source), flow.Merge(source, source)):
            with stage.open() as run:
                thread = stopped_after(run, turns)
                rows = list(run)
            thread.join()
            assert sorted(set(rows)) == list(range(max(rows, default=-1) + 1))
        asyncio.run(on_asyncio(turns))
    nothing_left()


def test_stop_from_another_thread_before_the_script_waits() -> None:
    """The source is at work, and no loop is there yet: it ends at its first wait."""
    begun, told = threading.Event(), threading.Event()

    def source() -> Iterator[int]:
        begun.set()
        told.wait(10)
        flow.sleep(30)
        yield 1

    def work() -> None:
        begun.wait(10)
        run.stop()
        told.set()

    with flow.wrap(source).open() as run:
        thread = threading.Thread(target=work)
        thread.start()
        assert list(run) == []
    thread.join()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="signals of POSIX")
def test_stop_by_a_signal_handler_in_a_script() -> None:
    """The thread is blocked in the loop's selector when the signal comes."""

    def source() -> Iterator[int]:
        yield 1
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        flow.sleep(30)
        yield 2

    before = signal.signal(signal.SIGALRM, lambda *_: run.stop())
    try:
        with flow.wrap(source).open() as run:
            assert list(run) == [1]
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_reading_inside_of_a_stage_can_not_be_stopped() -> None:
    """It is a part of the stage's run; the error says what to do."""

    def stage(rows: Iterator[int]) -> Iterator[int]:
        with flow.wrap([1]).open() as inner:
            with pytest.raises(flow.NotReadyError, match="part of the run"):
                inner.stop()
        yield from rows

    assert list(flow.wrap([1]) | stage) == [1]


def test_a_real_cancel_of_a_stopped_run_wins() -> None:
    """CONTRACT 15: also while the source cleans up after the stop."""

    async def main() -> None:
        source = Tracked([1, 2], delay=1, cleanup=1)

        async def read() -> None:
            async with flow.wrap(source).open() as run:
                asyncio.get_running_loop().call_later(1.5, run.stop)
                async for _ in run:
                    pass

        task = asyncio.create_task(read())
        await asyncio.sleep(1.75)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert source.is_closed

    with virtual_time() as clock:
        clock.run(main())


def test_two_readers_of_a_stopped_run() -> None:
    """CONTRACT 7: a BusyError, as ever."""

    async def main() -> None:
        stage = flow.wrap([1, 2]).map(lambda row: flow.sleep(1) or row).batched(2)
        async with stage.open() as run:
            first = asyncio.ensure_future(anext(run))
            await asyncio.sleep(0.5)
            run.stop()
            with pytest.raises(flow.BusyError):
                await anext(run)
            assert await first == (1,)
            second = asyncio.ensure_future(anext(run, None))
            assert await second is None

    with virtual_time() as clock:
        clock.run(main())


# ------------------------------------------------------------------------------------------------------------------
# drain()


def drained(
    stage: flow.Stage[Any], after: float, deadline: float, work: float = 0, keep: int = 100
) -> tuple[flow.Drained[Any], list[Any], BaseException | None, float]:
    """What drain() said, what another task had read by then and how that ended, and when drain() returned."""

    async def main() -> Any:
        got: list[Any] = []
        async with stage.open() as run:

            async def read() -> None:
                async for row in run:
                    got.append(row)
                    await asyncio.sleep(work)

            task = asyncio.create_task(read())
            await asyncio.sleep(after)
            receipt = await run.drain(deadline, keep=keep)
            end = clock.time()
            await asyncio.wait([task])
            return receipt, got, task.exception(), end

    with virtual_time() as clock:
        found: Any = clock.run(main())
    nothing_left()
    return found


def test_drain_waits_for_the_reader() -> None:
    """All comes out in time: what was delivered from the call on, and nothing was given up."""
    stage = flow.wrap(sleepy(*range(9))).map(lambda row: flow.sleep(2) or row)
    receipt, got, error, end = drained(stage, 4, 10)
    assert (got, error, end) == ([0, 1], None, 6)
    assert receipt == flow.Drained(delivered=1, rows_delivered=(1,))


def test_drain_gives_up_what_is_late() -> None:
    """The row in flight is named; the reader is told, with the receipt's numbers."""
    log: list[Any] = []
    stage = flow.wrap(sleepy(*range(9), log=log)).map(lambda row: flow.sleep(20) or row)
    receipt, got, error, end = drained(stage, 4, 10)
    assert (got, end) == ([], 14)
    assert receipt == flow.Drained(in_flight=1, rows_in_flight=(0,))
    assert isinstance(error, flow.DrainTimeoutError)
    assert "1 in flight and 0 that were not begun" in str(error)
    assert log == [0, "closed"]


def test_drain_counts_what_was_not_begun() -> None:
    """What is held for a step that never began: by an async source, by a Callback, by inputs of Merge."""

    async def source() -> AsyncIterator[int]:
        for row in range(5):
            yield row

    receipt, got, *_ = drained(flow.wrap(source).map(lambda row: flow.sleep(3) or row), 4, 1)
    assert got == [0]
    assert receipt == flow.Drained(in_flight=1, never_started=3, rows_in_flight=(1,), rows_never_started=(2, 3, 4))
    merged = flow.Merge(pushed(0, 1, 2), pushed("a", "b"))
    receipt, got, *_ = drained(merged.map(lambda row: flow.sleep(3) or row), 4, 1)
    assert got == [0]
    assert receipt == flow.Drained(in_flight=1, never_started=3, rows_never_started=(1, 2, "b"))  # and "a" is at work
    receipt, *_ = drained(pushed(*range(5)).map(lambda row: flow.sleep(3) or row), 4, 1, keep=2)
    assert (receipt.in_flight, receipt.never_started) == (1, 3)
    assert receipt.rows_in_flight == (1,)
    assert receipt.rows_never_started == (2, 3)


def pushed(*rows: Any) -> flow.Stage[Any]:
    """A source that holds these rows: it delivers them although it is stopped."""
    callback = flow.Callback[Any]()
    for row in rows:
        callback.result(row)
    return callback


def test_drain_while_the_reader_works_on_a_row() -> None:
    """The reader is not in the run just then: the run is closed beside it, and it is told when it asks again."""
    receipt, got, error, end = drained(pushed(1, 2, 3), 4, 1, work=100)
    assert (got, end) == ([1], 5)
    assert receipt == flow.Drained(never_started=2, rows_never_started=(2, 3))
    assert isinstance(error, flow.DrainTimeoutError)
    receipt, got, error, end = drained(pushed(1, 2), 4, math.inf, work=10)
    assert (got, error, end) == ([1, 2], None, 20)
    assert receipt == flow.Drained(delivered=1, rows_delivered=(2,))


def test_the_reader_is_told_once() -> None:
    """CONTRACT 3: one end; after it there is only the end."""

    async def main() -> None:
        async with flow.wrap(sleepy(*range(9))).open() as run:
            assert await anext(run) == 0
            assert await run.drain(0) == flow.Drained()
        async with pushed(1, 2).open() as run:
            assert await anext(run) == 1
            receipt = await run.drain(0)
            assert receipt.never_started == 1
            with pytest.raises(flow.DrainTimeoutError):
                await anext(run)
            assert await anext(run, "the end") == "the end"
            assert await run.drain(1) == receipt

    with virtual_time() as clock:
        clock.run(main())


@pytest.mark.parametrize("is_async", [False, True])
def test_drain_may_read_the_rest_itself(is_async: bool) -> None:
    """Each row is given to `take`, which may be async; those are the delivered ones."""
    got: list[Any] = []

    async def take(row: Any) -> None:
        await asyncio.sleep(0.5)
        got.append(row)

    async def main() -> flow.Drained[Any]:
        stage = flow.wrap(sleepy(*range(9))).batched(2).map(lambda row: flow.sleep(1) or row)
        async with stage.open() as run:
            task = asyncio.ensure_future(anext(run))
            await asyncio.sleep(3.5)
            assert task.done()
            receipt = await run.drain(10, take=take if is_async else got.append)
            assert [row async for row in run] == []
            return receipt

    with virtual_time() as clock:
        receipt = clock.run(main())
    assert got == []
    assert receipt == flow.Drained()


def test_drain_reads_what_is_in_flight_itself() -> None:
    """Rows that inputs have made come out, at most for the time that there is."""
    got: list[Any] = []

    async def slowly(row: Any) -> None:
        await asyncio.sleep(2)
        got.append(row)

    async def main(deadline: float) -> flow.Drained[Any]:
        got.clear()
        async with pushed(1, 3, 5).open() as run:
            assert await anext(run) == 1
            receipt = await run.drain(deadline, take=slowly)
            assert [row async for row in run] == []
            return receipt

    with virtual_time() as clock:
        assert clock.run(main(10)) == flow.Drained(delivered=2, rows_delivered=(3, 5))
        assert got == [3, 5]
    with virtual_time() as clock:
        receipt = clock.run(main(3))
        assert receipt == flow.Drained(delivered=1, in_flight=1, rows_delivered=(3,), rows_in_flight=(5,))
        assert got == [3]
        assert clock.time() == 3
    with virtual_time() as clock:
        receipt = clock.run(main(0))
        assert (receipt.delivered, receipt.in_flight + receipt.never_started) == (0, 2)


def test_drain_in_a_script() -> None:
    """The same, without await; the script itself reads."""
    got: list[Any] = []

    async def slowly(row: Any) -> None:
        await asyncio.sleep(2)
        got.append(row)

    with virtual_time() as clock, pushed(1, 3, 5).open() as run:
        assert next(run) == 1
        assert run.drain(10, got.append) == flow.Drained(delivered=2, rows_delivered=(3, 5))
        assert got == [3, 5]
        assert run.drain(10, got.append).delivered == 2
    got.clear()
    with virtual_time() as clock, pushed(1, 3, 5).open() as run:
        assert next(run) == 1
        receipt = run.drain(3, slowly)
        assert receipt == flow.Drained(delivered=1, in_flight=1, rows_delivered=(3,), rows_in_flight=(5,))
        assert clock.time() == 3
        assert list(run) == []
    with virtual_time() as clock:
        stage = flow.wrap(sleepy(*range(9))).batched(2).map(lambda row: flow.sleep(20) or row)
        with stage.open() as run:
            assert next(run) == (0, 1)
            assert run.drain(5, got.append) == flow.Drained()
        with flow.wrap([1]).open() as run:
            assert run.drain(5, got.append) == flow.Drained()
    with virtual_time() as clock, pushed(1, 3, 5).open() as run:
        assert next(run) == 1
        assert run.drain(0, got.append).never_started == 2
    nothing_left()


def test_drain_gives_up_a_row_in_flight_in_a_script() -> None:
    """The deadline passes while a branch is at work on a row, and the script waits for it."""
    with virtual_time() as clock:
        branch = flow.wrap(sleepy(*range(9))).map(lambda row: flow.sleep(20) or row)
        with flow.Merge(branch, sleepy("a", "b", delay=1.5)).open() as run:
            assert next(run) == "a"
            receipt = run.drain(5, print)
            assert receipt == flow.Drained(in_flight=1, rows_in_flight=(0,))
            assert clock.time() == 6.5
    nothing_left()


def test_drain_tells_of_concurrent_calls() -> None:
    """Those that were begun are in flight, those that wait for their turn are not begun."""
    stage = flow.wrap([1, 2, 3, 4, 5, 6]).map(lambda row: flow.sleep(row * 2) or row, concurrency=2, ahead=5)
    receipt, got, error, end = drained(stage, 1, 4)
    assert (got, end) == ([1, 2], 5)
    assert isinstance(error, flow.DrainTimeoutError)
    assert receipt.rows_delivered == (1, 2)
    assert receipt.rows_in_flight == (3, 4)
    assert set(receipt.rows_never_started) <= {5, 6, 7}


def test_drain_tells_of_a_buffer() -> None:
    """What is held between two stages was made by the one and not begun by the other."""
    stage = flow.wrap([1, 2, 3, 4, 5, 6]).map(str).buffer(4).map(lambda row: flow.sleep(2) or row)
    receipt, got, _, _ = drained(stage, 1, 2)
    assert got == ["1"]
    assert (receipt.rows_delivered, receipt.rows_in_flight) == (("1",), ("2",))
    assert receipt.rows_never_started[:2] == ("3", "4")


@contextmanager
def fails(with_text: str) -> Generator[None]:
    with pytest.raises(Exception, match=with_text):
        yield


def test_drain_reads_nothing_itself_while_another_task_reads() -> None:
    """CONTRACT 7: that is a BusyError, before anything is stopped."""

    async def main() -> None:
        async with flow.wrap(sleepy(1, 2, 3)).open() as run:
            reading = asyncio.ensure_future(anext(run))
            await asyncio.sleep(0.5)
            for _ in range(2):
                with pytest.raises(flow.BusyError):
                    await run.drain(1, take=print)
            assert await reading == 1
            assert await anext(run) == 2

    with virtual_time() as clock:
        clock.run(main())


def test_what_take_raises_ends_the_run() -> None:
    """CONTRACT 14, 17: the run is closed, and the error is that of `take`."""
    source = Tracked([1, 2, 3], cleanup=1)

    def take(row: Any) -> None:
        raise ValueError("take")

    async def main() -> None:
        async with flow.Merge(source, pushed(4, 5)).open() as run:
            assert [await anext(run), await anext(run)] == [1, 4]
            with fails("take"):
                await run.drain(10, take=take)
            assert source.is_closed

    with virtual_time() as clock:
        clock.run(main())
        with flow.Merge(source, pushed(4, 5)).open() as run:
            assert [next(run), next(run)] == [1, 4]
            with fails("take"):
                run.drain(10, take)
            assert source.is_closed
    nothing_left()


def test_what_a_cleanup_raises_when_the_run_is_given_up() -> None:
    """CONTRACT 16: whoever closes it gets it: drain(), or the reader as the cause of its error."""

    def stage(rows: Iterator[Any]) -> Iterator[Any]:
        try:
            for row in rows:
                yield row
                flow.sleep(100)
        finally:
            raise ValueError("cleanup")

    async def main() -> None:
        async with (flow.wrap([1, 2]) | stage).open() as run:
            assert await anext(run) == 1
            with fails("cleanup"):
                await run.drain(0)
            with pytest.raises(flow.DrainTimeoutError):
                await anext(run)

    with virtual_time() as clock:
        clock.run(main())
        _, _, error, _ = drained(flow.wrap([1, 2]) | stage, 1, 1)
        assert error is not None
        assert "cleanup" in repr((error, error.__cause__, error.__context__))
        with (flow.wrap([1, 2]) | stage).open() as run:
            assert next(run) == 1
            with fails("cleanup"):
                run.drain(1, print)
    nothing_left()


def test_a_failure_of_a_stage_while_it_drains() -> None:
    """CONTRACT 3: it reaches the reader; drain() returns all the same."""

    def fail(row: Any) -> Any:
        flow.sleep(2)
        raise ValueError("the stage")

    receipt, got, error, _ = drained(flow.wrap(sleepy(1, 2)).map(fail), 2, 10)
    assert (got, str(error)) == ([], "the stage")
    assert receipt == flow.Drained()


def test_cleanups_that_wait_have_their_time() -> None:
    """CONTRACT 15: a run that is given up is cancelled, so its cleanups may wait up to `cleanup` seconds."""

    def stage(rows: Iterator[Any]) -> Iterator[Any]:
        try:
            for row in rows:
                flow.sleep(100)
                yield row
        finally:
            flow.sleep(3)

    _, _, error, end = drained(flow.wrap([1]) | stage, 1, 1)
    assert isinstance(error, flow.DrainTimeoutError)
    assert end == 5

    def slow(rows: Iterator[Any]) -> Iterator[Any]:
        try:
            yield from stage(rows)
        finally:
            flow.sleep(30)

    _, _, error, end = drained(flow.wrap([1]) | slow, 1, 1)
    assert isinstance(error, (flow.CleanupTimeoutError, flow.DrainTimeoutError))
    assert end == 7


def test_a_drain_that_is_cancelled_leaves_the_run_stopped() -> None:
    """CONTRACT 15: the run goes on to its end."""

    async def main() -> None:
        async with flow.wrap(sleepy(*range(9))).map(lambda row: flow.sleep(5) or row).open() as run:
            reading = asyncio.ensure_future(anext(run))
            await asyncio.sleep(2)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    await run.drain(100)
            assert await reading == 0
            assert [row async for row in run] == []

    with virtual_time() as clock:
        clock.run(main())


def test_drain_on_trio() -> None:
    """CONTRACT 12: with a reader in another task, and by itself."""

    async def main() -> None:
        got: list[Any] = []
        async with flow.wrap(sleepy(*range(9))).map(lambda row: flow.sleep(20) or row).open() as run:

            async def read() -> None:
                with pytest.raises(flow.DrainTimeoutError):
                    async for row in run:
                        got.append(row)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(read)
                await trio.sleep(4)
                assert await run.drain(1) == flow.Drained(in_flight=1, rows_in_flight=(0,))
        assert trio.current_time() == start + 5

        async def slowly(row: Any) -> None:
            await trio.sleep(2)

        async with pushed(1, 3, 5).open() as run:
            assert await anext(run) == 1
            assert (await run.drain(3, take=slowly)).rows_in_flight == (5,)

    clock = trio.testing.MockClock(autojump_threshold=0)
    start = 0.0

    async def timed() -> None:
        nonlocal start
        start = trio.current_time()
        await main()

    trio.run(timed, clock=clock)
    nothing_left()


def test_a_context_that_is_entered_in_one_wait_and_left_in_another_on_trio() -> None:
    """A source with a handle may hold a nursery open from wait to wait, as without one."""

    def source() -> Iterator[int]:
        opened = trio.open_nursery()
        nursery: Any = flow.wait(opened.__aenter__())
        nursery.start_soon(trio.sleep, 1)
        try:
            yield 1
            flow.sleep(1)
            yield 2
        finally:
            flow.wait(opened.__aexit__(None, None, None))

    async def main() -> None:
        async with flow.wrap(source).open() as run:
            assert [row async for row in run] == [1, 2]

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"deadline": -1}, "deadline"),
        ({"deadline": "1"}, "deadline"),
        ({"deadline": math.nan}, "deadline"),
        ({"deadline": 1, "take": 1}, "take"),
        ({"deadline": 1, "keep": -1}, "keep"),
        ({"deadline": 1, "keep": 1.5}, "keep"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], text: str) -> None:
    """CONTRACT 22: named, and refused before anything is stopped."""

    async def main() -> None:
        async with flow.wrap([1, 2]).open() as run:
            assert await anext(run) == 1
            with pytest.raises((TypeError, ValueError), match=text):
                await run.drain(**arguments)
            assert await anext(run) == 2

    asyncio.run(main())
    with flow.wrap([1, 2]).open() as here:
        assert next(here) == 1
        with pytest.raises((TypeError, ValueError), match=text):
            here.drain(**{"take": print, **arguments})
        assert next(here) == 2


def test_a_drain_on_another_loop() -> None:
    """CONTRACT 25: an error, which says where it must be awaited."""

    async def main() -> None:
        async with flow.wrap(lambda: (yield from [1, flow.Cooperate(0.01), 2])).open() as run:
            assert await anext(run) == 1
            with pytest.raises(flow.WrongThreadError, match="on the loop that reads"):
                await asyncio.to_thread(lambda: asyncio.run(run.drain(1)))

    asyncio.run(main())
