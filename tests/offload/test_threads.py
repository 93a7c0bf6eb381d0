"""Threaded: a blocking iterable in a thread of its own. Real threads, and no sleeps: events and barriers.

CONTRACT 2, 3, 4, 6, 7, 11, 14, 15, 20, 21, 22, 25, 26.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import count, islice
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

import flow
from flow.testing import Tracked, nothing_left, torture, virtual_time

WAIT = 20  # seconds a test waits for an event before it says what is missing: never reached when all is well


class Watched:
    """An iterable that notes in which threads it was opened, advanced and closed, and how far it was asked."""

    def __init__(
        self,
        rows: Iterable[Any] = range(5),
        *,
        on_iter: BaseException | None = None,
        at_end: BaseException | None = None,
        on_close: BaseException | None = None,
    ) -> None:
        self.rows = rows
        self.on_iter = on_iter
        self.at_end = at_end
        self.on_close = on_close
        self.made = 0
        self.log: list[tuple[str, int]] = []

    def _note(self, what: str) -> None:
        self.log.append((what, threading.get_ident()))

    def __iter__(self) -> WatchedIterator:
        self._note("iter")
        if self.on_iter is not None:
            raise self.on_iter
        return WatchedIterator(self)

    @property
    def threads(self) -> set[int]:
        return {thread for _, thread in self.log}

    @property
    def closed(self) -> int:
        return sum(1 for what, _ in self.log if what == "close")


class WatchedIterator:
    def __init__(self, source: Watched) -> None:
        self.source = source
        self.rows = iter(source.rows)

    def __iter__(self) -> WatchedIterator:
        return self

    def __next__(self) -> Any:
        self.source._note("next")
        try:
            row = next(self.rows)
        except StopIteration:
            if self.source.at_end is not None:
                raise self.source.at_end from None
            raise
        self.source.made += 1
        return row

    def close(self) -> None:
        self.source._note("close")
        if self.source.on_close is not None:
            raise self.source.on_close


# The ways to read a stage to its end: all rows, and the failure after them.


def in_script(stage: flow.Stage[Any]) -> tuple[list[Any], BaseException | None]:
    got: list[Any] = []
    try:
        for row in stage:
            got.append(row)
    except Exception as error:
        return got, error
    return got, None


async def _read(stage: flow.Stage[Any]) -> tuple[list[Any], BaseException | None]:
    got: list[Any] = []
    try:
        async for row in stage:
            got.append(row)
    except Exception as error:
        return got, error
    return got, None


def on_asyncio(stage: flow.Stage[Any]) -> tuple[list[Any], BaseException | None]:
    return asyncio.run(_read(stage))


def on_virtual_time(stage: flow.Stage[Any]) -> tuple[list[Any], BaseException | None]:
    with virtual_time() as clock:
        return clock.run(_read(stage))


def on_trio(stage: flow.Stage[Any]) -> tuple[list[Any], BaseException | None]:
    return trio.run(_read, stage)


every_loop = pytest.mark.parametrize("read", [in_script, on_asyncio, on_virtual_time, on_trio])
Read = Callable[[flow.Stage[Any]], tuple[list[Any], BaseException | None]]


@every_loop
@pytest.mark.parametrize("limit", [1, 2, 3, 7, 1000])
def test_all_rows_in_order_each_once(read: Read, limit: int) -> None:
    """CONTRACT 1, 2: rows cross the thread in order, each once, whatever the bound."""
    assert read(flow.Threaded(range(1500), limit=limit)) == (list(range(1500)), None)
    nothing_left()


@every_loop
def test_one_thread_opens_advances_and_closes(read: Read) -> None:
    """CONTRACT 26: iter(), every next() and close() are called in one thread, which is not the reader's."""
    source = Watched(range(100))
    assert read(flow.Threaded(source, limit=3)) == (list(range(100)), None)
    assert len(source.threads) == 1
    assert threading.get_ident() not in source.threads
    assert [what for what, _ in source.log] == ["iter", *["next"] * 101, "close"]
    nothing_left()


def test_a_factory_is_called_in_the_thread_once_for_each_run() -> None:
    """CONTRACT 26, 7: a function that makes the iterable is called there too, so what it opens belongs to the
    thread."""
    called: list[int] = []

    def rows() -> Iterator[int]:
        called.append(threading.get_ident())
        return iter([1, 2])

    stage = flow.Threaded(rows)
    assert called == []
    assert list(stage) == [1, 2]
    assert list(stage) == [1, 2]
    assert len(called) == 2
    assert threading.get_ident() not in called


def test_a_generator_function_is_closed_in_its_thread() -> None:
    """CONTRACT 26: the ``finally`` of a generator runs in the thread that ran the rest of it, after a break too."""
    threads: list[int] = []

    def rows() -> Iterator[int]:
        threads.append(threading.get_ident())
        try:
            yield from count()
        finally:
            threads.append(threading.get_ident())

    with flow.Threaded(rows).open() as run:
        assert next(run) == 0
    assert len(threads) == 2
    assert len(set(threads)) == 1
    assert threading.get_ident() not in threads


# ------------------------------------------------------------------------------------------------------------------
# Lazy, and bounded


def test_nothing_starts_before_the_first_row_is_asked_for() -> None:
    """CONTRACT 4: making and opening a Threaded starts no thread and opens nothing."""
    before = threading.active_count()
    source = Watched()
    stage = flow.Threaded(source).map(str)
    with stage.open():
        assert threading.active_count() == before
        assert source.log == []


class Stepper:
    """An endless source that says when it has made so many rows."""

    def __init__(self) -> None:
        self.made = 0
        self.reached: dict[int, threading.Event] = {}
        self.closed = threading.Event()

    def at(self, number: int) -> threading.Event:
        return self.reached.setdefault(number, threading.Event())

    def __iter__(self) -> Iterator[int]:
        try:
            while True:
                self.made += 1
                if self.made in self.reached:
                    self.reached[self.made].set()
                yield self.made - 1
        finally:
            self.closed.set()


def wait_until_threads_wait(name: str) -> None:
    """Returns when the thread waits for room: it is then inside Condition.wait, and its frame does not move."""
    for _ in range(100_000):
        for thread in threading.enumerate():
            if thread.name.startswith("flow ") and name in thread.name and thread.ident is not None:
                frame = sys._current_frames().get(thread.ident)
                while frame is not None:
                    if frame.f_code.co_name == "wait_for_room":
                        return
                    frame = frame.f_back
        threading.Event().wait(0.001)
    raise AssertionError("the thread never waited for room")


@pytest.mark.parametrize("limit", [1, 2, 3, 10, 100])
def test_a_reader_that_stops_stops_the_thread_at_the_limit(limit: int) -> None:
    """CONTRACT 20, 21: with a reader that took one row and went no further, the thread makes `limit` rows more at most
    and then waits (2003: 17,628 rows were buffered and the thread went on)."""
    source = Stepper()
    at_limit = source.at(limit)
    with flow.Threaded(source, limit=limit).open() as rows:
        assert next(rows) == 0
        assert at_limit.wait(WAIT)
        wait_until_threads_wait("Stepper")
        assert source.made <= limit + 1
    assert source.closed.is_set()
    nothing_left()


@pytest.mark.parametrize("limit", [1, 2, 3, 8, 50])
def test_the_bound_holds_all_the_time(limit: int) -> None:
    """CONTRACT 20: at no time has the thread made more than `limit` rows that the reader has not been given, but for
    the one that it is just pushing."""
    source = Watched(range(1000))
    worst = 0
    for taken, row in enumerate(flow.Threaded(source, limit=limit)):
        worst = max(worst, source.made - taken)
        assert row == taken
    assert worst <= limit + 1
    assert row == 999


@given(st.integers(1, 20), st.lists(st.integers(0, 30), max_size=30))
@settings(max_examples=40, deadline=None)
def test_blocks_go_over_the_bound_by_one_block_at_most(limit: int, sizes: list[int]) -> None:
    """CONTRACT 20: an iterable with blocks() crosses in them; at most one of them goes over the limit. Empty blocks are
    nothing."""
    source = Blocks(sizes)
    got = []
    for row in flow.Threaded(source, limit=limit):
        assert source.made - len(got) <= limit + max(sizes)
        got.append(row)
    assert got == list(range(sum(sizes)))
    assert source.closed == 1


class Blocks:
    """An iterable with blocks of its own."""

    def __init__(self, sizes: list[int], fail: BaseException | None = None) -> None:
        self.sizes = sizes
        self.fail = fail
        self.made = 0
        self.closed = 0
        self.blocks_made = 0
        self.threads: set[int] = set()

    def __iter__(self) -> Iterator[int]:
        raise AssertionError("an iterable with blocks() is read by blocks")

    def blocks(self) -> Iterator[list[int]]:
        try:
            for size in self.sizes:
                self.threads.add(threading.get_ident())
                start = self.made
                self.made += size
                self.blocks_made += 1
                yield list(range(start, start + size))
            if self.fail is not None:
                raise self.fail
        finally:
            self.threads.add(threading.get_ident())
            self.closed += 1


def test_an_iterable_with_blocks_crosses_in_its_blocks() -> None:
    """CONTRACT 26, 3: blocks() is used where there is one, closed in its thread, and its failure comes after its
    rows."""
    source = Blocks([3, 0, 2], fail=OSError("gone"))
    got, error = in_script(flow.Threaded(source))
    assert got == [0, 1, 2, 3, 4]
    assert isinstance(error, OSError)
    assert source.closed == 1
    assert len(source.threads) == 1
    assert threading.get_ident() not in source.threads


def test_it_stops_within_one_block_of_a_close() -> None:
    """CONTRACT 21, 26: after a break no more than one further block is fetched."""
    source = Blocks([10] * 1000)
    with flow.Threaded(source, limit=10).open() as rows:
        assert next(rows) == 0
        wait_until_threads_wait("Blocks")
        before = source.blocks_made
        assert before == 1  # the first block fills the room, until the reader has used it up
    assert source.blocks_made <= before + 1
    assert source.closed == 1
    nothing_left()


def test_it_stops_within_one_row_of_a_close() -> None:
    """CONTRACT 21, 26: after a break no more than one further row is asked for."""
    source = Stepper()
    with flow.Threaded(source, limit=5).open() as rows:
        assert next(rows) == 0
        wait_until_threads_wait("Stepper")
        before = source.made
    assert source.made <= before + 1
    assert source.closed.is_set()


# ------------------------------------------------------------------------------------------------------------------
# Errors


@every_loop
def test_an_error_from_iter_reaches_the_reader(read: Read) -> None:
    """CONTRACT 26 (fault T3): iter() that raises is an error at the reader, not a hang."""
    error = OSError("no such table")
    assert read(flow.Threaded(Watched(on_iter=error))) == ([], error)
    nothing_left()


@every_loop
def test_an_error_from_opening_reaches_the_reader(read: Read) -> None:
    """CONTRACT 26: so is a factory that raises."""
    error = OSError("no such file")

    def opens() -> Iterator[int]:
        raise error

    assert read(flow.Threaded(opens)) == ([], error)
    nothing_left()


@every_loop
@pytest.mark.parametrize("limit", [1, 3, 1000])
def test_rows_come_before_the_error(read: Read, limit: int) -> None:
    """CONTRACT 3, 26 (fault T4): all 50 rows that were made before the failure are delivered, then the failure, the
    very instance."""
    error = ValueError("midway")
    source = Watched(range(50), at_end=error)
    assert read(flow.Threaded(source, limit=limit)) == (list(range(50)), error)
    assert source.closed == 1
    nothing_left()


@every_loop
def test_an_error_from_close_reaches_the_reader(read: Read) -> None:
    """CONTRACT 16, 26: a close() that fails at the end is raised after the rows."""
    error = OSError("could not be closed")
    assert read(flow.Threaded(Watched(range(3), on_close=error))) == ([0, 1, 2], error)
    nothing_left()


def test_an_error_from_close_after_a_break_is_not_lost() -> None:
    """CONTRACT 16: when the reader leaves and close() fails in the thread, leaving raises it."""
    source = Watched(count(), on_close=OSError("could not be closed"))
    with pytest.raises(OSError, match="could not be closed"):
        with flow.Threaded(source).open() as rows:
            next(rows)
    assert source.closed == 1
    nothing_left()


def test_an_error_from_close_does_not_hide_an_earlier_one() -> None:
    """CONTRACT 16: an error midway and one from close(): both can be found from what is raised."""
    midway, closing = ValueError("midway"), OSError("could not be closed")
    _, error = in_script(flow.Threaded(Watched(range(3), at_end=midway, on_close=closing)))
    assert error is not None
    assert {midway, closing} <= chain_of(error)


def test_an_error_downstream_and_one_from_close_join() -> None:
    """CONTRACT 16: the failure of a stage below comes first, what close() raises joins it."""
    closing = OSError("could not be closed")
    _, error = in_script(flow.Threaded(Watched(count(), on_close=closing)).map(lambda row: 1 // (row - 1)))
    assert isinstance(error, ExceptionGroup)
    assert isinstance(error.exceptions[0], ZeroDivisionError)
    assert error.exceptions[1] is closing


def chain_of(error: BaseException) -> set[BaseException]:
    found: set[BaseException] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        each = todo.pop()
        if each is not None and each not in found:
            found.add(each)
            todo += [each.__context__, each.__cause__]
            todo += getattr(each, "exceptions", ())
    return found


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_exit_in_the_thread_reaches_the_reader(kind: type[BaseException]) -> None:
    """CONTRACT 18: it is neither swallowed with the thread nor a row."""
    with pytest.raises(kind):
        list(flow.Threaded(Watched(range(3), at_end=kind())))
    nothing_left()


def test_a_stop_iteration_out_of_a_generator_is_an_error() -> None:
    """CONTRACT 19: PEP 479 holds in the thread."""

    def rows() -> Iterator[int]:
        yield 1
        raise StopIteration

    got, error = in_script(flow.Threaded(rows))
    assert got == [1]
    assert isinstance(error, RuntimeError)


def test_rows_of_any_value() -> None:
    """CONTRACT 6: None, exceptions, empty lists and StopIteration instances are rows."""
    values = [None, ValueError("x"), StopIteration(3), [], (), 0, "", flow.Cooperate(5), NotImplemented]
    assert list(flow.Threaded(values)) == values


# ------------------------------------------------------------------------------------------------------------------
# Ends


def test_a_break_ends_the_thread() -> None:
    """CONTRACT 14: a reader that leaves a plain ``for`` leaves no thread and nothing open."""
    source = Watched(count())
    for row in flow.Threaded(source):
        if row == 10:
            break
    gc.collect()
    assert source.closed == 1
    nothing_left()


def test_an_iterator_of_which_no_row_was_asked_is_closed() -> None:
    """CONTRACT 14, 26: an iterator that a run took belongs to it, also when no row was asked for."""
    source = Watched(count())
    rows = iter(source)
    assert list(flow.Threaded(rows)[:0]) == []
    assert source.closed == 1
    nothing_left()


def test_a_cancel_on_asyncio_ends_the_thread_first() -> None:
    """CONTRACT 15: CancelledError is raised when the thread has closed its iterator and ended."""

    async def main() -> None:
        source = Watched(count())
        stage = flow.Threaded(source, limit=4)
        reached = asyncio.Event()

        async def read() -> None:
            async with stage.open() as rows:
                async for _ in rows:
                    reached.set()
                    await asyncio.Event().wait()

        task = asyncio.create_task(read())
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert source.closed == 1
        nothing_left()

    asyncio.run(main())


def test_a_cancel_while_the_reader_waits_for_the_thread() -> None:
    """CONTRACT 15, 26: a cancel that comes while the thread is inside a blocking call waits for that call, then raises
    CancelledError; the iterator was closed in between."""
    blocked, go = threading.Event(), threading.Event()
    closed: list[bool] = []

    def rows() -> Iterator[int]:
        try:
            yield 1
            blocked.set()
            assert go.wait(WAIT)
            yield 2
        finally:
            closed.append(True)

    async def main() -> None:
        got = []

        async def read() -> None:
            async for row in flow.Threaded(rows):
                got.append(row)

        task = asyncio.create_task(read())
        assert await asyncio.to_thread(blocked.wait, WAIT)
        task.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not task.done()
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert got == [1]
        assert closed == [True]
        nothing_left()

    asyncio.run(main())


def test_a_cancel_on_trio_ends_the_thread_first() -> None:
    """CONTRACT 15: the same with a trio cancel scope."""

    async def main() -> None:
        source = Watched(count())
        with trio.CancelScope() as scope:
            async with flow.Threaded(source, limit=4).open() as rows:
                async for row in rows:
                    if row == 7:
                        scope.cancel()
                        await trio.sleep_forever()
        assert scope.cancelled_caught
        assert source.closed == 1
        nothing_left()

    trio.run(main)


def test_a_thread_that_does_not_come_back_is_named_after_the_deadline() -> None:
    """CONTRACT 15: a close that waits longer than `cleanup` for a thread in a blocking call raises CleanupTimeoutError;
    the thread ends when its call does."""
    blocked, go = threading.Event(), threading.Event()

    def rows() -> Iterator[int]:
        blocked.set()
        assert go.wait(WAIT)
        yield 2

    async def main() -> None:
        async def read() -> None:
            async with flow.Threaded(rows).open(cleanup=0.01) as run:
                await anext(run)

        task = asyncio.create_task(read())
        assert await asyncio.to_thread(blocked.wait, WAIT)
        task.cancel()
        with pytest.raises(flow.CleanupTimeoutError, match="cleanup"):
            await task

    try:
        asyncio.run(main())
    finally:
        go.set()
    for thread in threading.enumerate():
        if thread.name.startswith("flow "):
            thread.join(WAIT)
    nothing_left()


def test_torture() -> None:
    """CONTRACT 14-16: cancelled, failed, broken off and closed at each wait and after each row: the iterator is closed,
    the thread ended, and the rows are the first ones."""
    sources: list[Tracked[int]] = []

    def make() -> flow.Stage[int]:
        sources[:] = [Tracked(range(12))]
        return flow.Threaded(sources[0], limit=3)

    report = torture(make, tracked=lambda: sources)
    assert report.rows == list(range(12))
    assert report.waits


def test_many_threads_side_by_side() -> None:
    """CONTRACT 26 (fault T6): 40 Threaded stages run at once, each in its own thread; none waits for another's end."""
    barrier = threading.Barrier(40)

    def rows(number: int) -> Iterator[tuple[int, int]]:
        barrier.wait(WAIT)  # passes only when all 40 have started
        yield from ((number, row) for row in range(20))

    inputs = [flow.Threaded(lambda number=number: rows(number)) for number in range(40)]
    got = list(flow.Merge(*inputs))
    assert sorted(got) == [(number, row) for number in range(40) for row in range(20)]
    for number in range(40):
        assert [row for which, row in got if which == number] == list(range(20))
    nothing_left()


# ------------------------------------------------------------------------------------------------------------------
# Wake-ups


@pytest.fixture
def hectic() -> Iterator[None]:
    """Threads change every few microseconds, so that races show."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


@pytest.mark.usefixtures("hectic")
@pytest.mark.parametrize("limit", [1, 2, 5])
def test_no_wake_up_is_lost(limit: int) -> None:
    """CONTRACT 2: in many rounds of short runs, with threads that change at every turn, no run hangs and no row is
    missing (a lost wake-up would hang: the test has a time limit)."""
    for size in range(150):
        size %= 13
        assert list(flow.Threaded(range(size), limit=limit)) == list(range(size))


@pytest.mark.usefixtures("hectic")
@pytest.mark.parametrize("limit", [1, 3])
def test_no_wake_up_is_lost_on_a_running_loop(limit: int) -> None:
    """CONTRACT 2: the same on asyncio, ten readers at once."""

    async def main() -> None:
        for _ in range(10):
            found = await asyncio.gather(*(collect(flow.Threaded(range(30), limit=limit)) for _ in range(10)))
            assert found == [list(range(30))] * 10

    async def collect(stage: flow.Stage[int]) -> list[int]:
        return [row async for row in stage]

    asyncio.run(main())
    nothing_left()


def test_a_row_comes_as_soon_as_it_is_there() -> None:
    """CONTRACT 5: a row is delivered while the thread blocks in the making of the next one."""
    go = threading.Event()

    def rows() -> Iterator[int]:
        yield 1
        assert go.wait(WAIT)
        yield 2

    with flow.Threaded(rows).open() as run:
        assert next(run) == 1
        go.set()
        assert next(run) == 2


def test_few_wake_ups_for_many_rows() -> None:
    """Fault T5: rows that are made while the reader is busy wake the loop a few times in all, not once a row."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        wakes = 0
        call = loop.call_soon_threadsafe

        def counted(*arguments: Any, **options: Any) -> Any:
            nonlocal wakes
            wakes += 1
            return call(*arguments, **options)

        loop.call_soon_threadsafe = counted  # type: ignore[method-assign]
        assert await flow.Threaded(Blocks([1000] * 20), limit=5000) == list(range(20_000))
        assert wakes <= 3 * 20 + 5

    asyncio.run(main())


# ------------------------------------------------------------------------------------------------------------------
# Reading twice, wrong arguments


def test_an_iterable_is_read_anew_by_each_run() -> None:
    """CONTRACT 7: a list or another iterable can be read again; runs side by side share nothing."""
    stage = flow.Threaded([1, 2, 3])
    assert list(stage) == [1, 2, 3]
    assert list(stage) == [1, 2, 3]
    assert list(flow.Zip(stage, stage)) == [(1, 1), (2, 2), (3, 3)]


@pytest.mark.parametrize("make", [lambda: iter([1, 2]), lambda: (n for n in (1, 2)), lambda: islice(count(1), 2)])
def test_an_iterator_is_read_once(make: Callable[[], Iterator[int]]) -> None:
    """CONTRACT 7: a generator object or another iterator is read by one run; the second raises at once."""
    stage = flow.Threaded(make())
    assert list(stage) == [1, 2]
    with pytest.raises(flow.AlreadyReadError, match="Threaded"):
        list(stage)


@pytest.mark.parametrize(
    ("iterable", "limit", "error", "words"),
    [
        (3, 1, TypeError, "iterable"),
        (None, 1, TypeError, "iterable"),
        ([], 0, ValueError, "limit"),
        ([], -1, ValueError, "limit"),
        ([], 2.0, TypeError, "limit"),
        ([], None, TypeError, "limit"),
        ([], True, TypeError, "limit"),
        ([], float("nan"), TypeError, "limit"),
    ],
)
def test_wrong_arguments_fail_when_built(iterable: Any, limit: Any, error: type[Exception], words: str) -> None:
    """CONTRACT 22: ValueError or TypeError from the line that wrote it, naming the argument."""
    with pytest.raises(error, match=words):
        flow.Threaded(iterable, limit=limit)


def test_a_stage_needs_no_thread() -> None:
    """CONTRACT 22: a stage waits without blocking; putting it into a thread is refused."""
    with pytest.raises(TypeError, match="thread"):
        flow.Threaded(flow.wrap([1]))  # type: ignore[arg-type]


def test_a_factory_that_gives_no_iterable_is_an_error_at_the_reader() -> None:
    """CONTRACT 26: the TypeError of iter() arrives."""
    got, error = in_script(flow.Threaded(lambda: 3))  # type: ignore[arg-type, return-value]
    assert got == []
    assert isinstance(error, TypeError)


def test_a_wait_inside_the_thread_says_what_is_wrong() -> None:
    """CONTRACT 25: flow.sleep() in the thread has nothing to pause there: NotReadyError, after the rows before it."""

    def rows() -> Iterator[int]:
        yield 1
        flow.sleep(1)
        yield 2

    got, error = in_script(flow.Threaded(rows))
    assert got == [1]
    assert isinstance(error, flow.NotReadyError)


def test_no_blocking_call_on_the_loop() -> None:
    """CONTRACT 11: while the thread is inside a blocking call, the loop goes on: a task beside it makes its steps."""
    go = threading.Event()

    def rows() -> Iterator[int]:
        assert go.wait(WAIT)
        yield 1

    async def main() -> None:
        task = asyncio.ensure_future(collect())
        for _ in range(100):
            await asyncio.sleep(0)
        assert not task.done()
        go.set()
        assert await task == [1]

    async def collect() -> list[int]:
        return await flow.Threaded(rows)

    asyncio.run(main())


def test_virtual_time_stands_still_while_a_thread_works() -> None:
    """Time that is virtual does not jump over what a thread is about to give: a timeout beside it does not fire."""
    go = threading.Event()

    def rows() -> Iterator[int]:
        assert go.wait(WAIT)
        yield 1

    async def main() -> list[int]:
        asyncio.get_running_loop().call_soon(go.set)
        async with asyncio.timeout(0.001):
            return await flow.Threaded(rows)

    with virtual_time() as clock:
        assert clock.run(main()) == [1]
        assert clock.time() == 0
