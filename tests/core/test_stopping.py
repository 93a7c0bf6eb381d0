"""Stopping a run gently, and draining it: which sources end, when, and what becomes of the rows.

CONTRACT 2, 3, 14-16, 22, 25.
"""

from __future__ import annotations

import asyncio
import io
import itertools
import math
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flow
from flow.testing import Tracked, nothing_left, virtual_time

Make = Callable[[], Any]


def sleepy(*rows: Any, delay: float = 1, log: list[Any] | None = None, cleanup: float = 0) -> Make:
    """A generator function that waits before each row, and notes in `log` what it gave and that it was closed."""
    noted: list[Any] = [] if log is None else log

    def source() -> Iterator[Any]:
        try:
            for row in rows:
                flow.sleep(delay)
                noted.append(row)
                yield row
        finally:
            flow.sleep(cleanup)
            noted.append("closed")

    return source


async def until(clock: Any, time: float) -> None:
    await asyncio.sleep(time - clock.time())


def stopped_on_asyncio(stage: flow.Stage[Any], at: float) -> tuple[list[Any], float]:
    """The rows of a run that is stopped at that time, and when it ended."""

    async def main() -> tuple[list[Any], float]:
        async with stage.open() as run:
            asyncio.get_running_loop().call_later(at, run.stop)
            rows = [row async for row in run]
        return rows, clock.time()

    with virtual_time() as clock:
        return clock.run(main())


class _At(flow.CallLater):
    """Has something called later, and resumes at once."""

    def __init__(self, seconds: float, f: Callable[[], object]) -> None:
        self.seconds, self.f = seconds, f

    def callLater(self, resume: Any) -> None:
        resume.loop.call_later(self.seconds, self.f)
        resume()


def stopped_in_script(stage: flow.Stage[Any], at: float) -> tuple[list[Any], float]:
    """The same in a script, where the private loop calls stop() while the run waits."""

    def timed(rows: Iterator[Any]) -> Iterator[Any]:
        flow.wait(_At(at, lambda: run.stop()))
        yield from rows

    with virtual_time() as clock:
        with (stage | timed).open() as run:
            rows = list(run)
        return rows, clock.time()


both = pytest.mark.parametrize("stopped", [stopped_on_asyncio, stopped_in_script])
Stopped = Callable[[flow.Stage[Any], float], tuple[list[Any], float]]


# ------------------------------------------------------------------------------------------------------------------
# A source, by its kind


READY: dict[str, Make] = {
    "list": lambda: list(range(1000)),
    "tuple": lambda: tuple(range(1000)),
    "range": lambda: range(1000),
    "set": lambda: set(range(1000)),
    "iterator": lambda: iter(range(1000)),
    "count": itertools.count,
    "generator function": lambda: lambda: (yield from range(1000)),
    "generator": lambda: (n for n in range(1000)),
    "sentinel": lambda: flow.wrap(itertools.count().__next__, sentinel=1000),
    "mixed with instructions": lambda: [*range(1000), flow.Cooperate(0), 1000],
    "in memory": lambda: io.StringIO("\n".join(map(str, range(1000)))),
}


@pytest.mark.parametrize("kind", READY)
def test_a_source_that_is_ready_gives_no_further_row(kind: str) -> None:
    """CONTRACT 2: from stop() on, it is not asked again: the reader's loop ends with the row in hand."""
    got = []
    with flow.wrap(READY[kind]()).open() as run:
        for row in run:
            got.append(int(row))
            if len(got) == 70:
                run.stop()
    assert got == list(range(70))

    async def main() -> list[int]:
        got = []
        async with flow.wrap(READY[kind]()).open() as run:
            async for row in run:
                got.append(int(row))
                if len(got) == 70:
                    run.stop()
        return got

    assert asyncio.run(main()) == list(range(70))
    nothing_left()


@both
def test_a_source_that_waits_ends_at_its_wait(stopped: Stopped) -> None:
    """CONTRACT 14: its finally blocks run there and then, may wait, and what is below sees an ordinary end."""
    log: list[Any] = []
    rows, time = stopped(flow.wrap(sleepy(*range(10), log=log, cleanup=0.5)).batched(2), 3.5)
    assert rows == [(0, 1), (2,)]
    assert time == 4
    assert log == [0, 1, 2, "closed"]


@both
def test_a_source_that_awaits_ends_at_its_wait(stopped: Stopped) -> None:
    """What it awaits is cancelled, and has its own cleanups first."""
    log: list[str] = []

    async def slow() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            await asyncio.sleep(1)
            log.append("awaited")

    def source() -> Iterator[int]:
        try:
            yield 1
            flow.wait(slow())
        finally:
            log.append("source")

    assert stopped(flow.wrap(source), 3) == ([1], 4)
    assert log == ["awaited", "source"]


@both
@pytest.mark.parametrize("wait", ["yield", "wait"])
def test_a_classic_source_ends_at_its_wait(stopped: Stopped, wait: str) -> None:
    """Whether it yields what it waits for or calls flow.wait."""

    def source() -> Iterator[Any]:
        yield 1
        if wait == "yield":
            yield flow.Cooperate(100)
        else:
            flow.wait(flow.Cooperate(100))

    assert stopped(flow.wrap(source), 3) == ([1], 3)


@both
def test_an_awaitable_is_cancelled(stopped: Stopped) -> None:
    """A coroutine, and a future, that would be the only row."""

    async def slow() -> int:
        await asyncio.sleep(100)
        return 1

    assert stopped(flow.wrap(slow), 3) == ([], 3)
    future: Future[int] = Future()
    assert stopped(flow.wrap(future), 3) == ([], 3)
    assert future.cancelled()


@both
def test_an_async_source_is_cancelled_and_what_it_made_is_read(stopped: Stopped) -> None:
    """CONTRACT 3: rows that it holds are still read; its aclose() is awaited; a cancel is then no failure."""
    log: list[Any] = []

    async def source() -> AsyncIterator[int]:
        try:
            for row in range(10):
                await asyncio.sleep(1)
                log.append(row)
                yield row
        finally:
            await asyncio.sleep(0.5)
            log.append("closed")

    def slowly(rows: Iterator[int]) -> Iterator[int]:
        for row in rows:
            flow.sleep(2)
            yield row

    assert stopped(flow.wrap(source) | slowly, 3.5) == ([0, 1, 2], 7)
    assert log == [0, 1, 2, "closed"]
    log.clear()
    assert stopped(flow.wrap(source), 3.5) == ([0, 1, 2], 4)


@both
def test_an_async_source_that_is_full_is_cancelled_at_its_room(stopped: Stopped) -> None:
    """The rows that it holds are read, and no more are made."""
    made = []

    async def source() -> AsyncIterator[int]:
        for row in range(100):
            made.append(row)
            yield row

    rows, _ = stopped(flow.wrap(source, ahead=4).map(lambda row: flow.sleep(1) or row), 1.5)
    assert rows == made
    assert len(made) < 10


@both
def test_an_async_stage_sees_the_end_of_its_input(stopped: Stopped) -> None:
    """It is no source: it is not cancelled, and gives what it still has."""

    async def sums(rows: AsyncIterator[int]) -> AsyncIterator[int]:
        total = 0
        async for row in rows:
            total += row
            yield row
        await asyncio.sleep(1)
        yield total

    assert stopped(flow.wrap(sleepy(1, 2, 3, 4)) | sums, 2.5) == ([1, 2, 3], 3.5)


@both
def test_a_callback_hands_out_what_it_holds(stopped: Stopped) -> None:
    """Its producer is told: `pause` is called once, and a push raises ClosedError."""
    told: list[str] = []
    rows = flow.Callback[int](limit=10, pause=lambda: told.append("pause"), resume=lambda: told.append("resume"))
    for row in range(5):
        rows.result(row)
    assert stopped(rows.map(lambda row: flow.sleep(1) or row), 2.5) == ([0, 1, 2, 3, 4], 5)
    assert told == ["pause"]
    with pytest.raises(flow.ClosedError, match="has gone"):
        rows.result(5)


def test_a_push_into_a_stopped_callback_says_so() -> None:
    """While the rows that it holds are still being read."""
    rows = flow.Callback[int]()
    rows.result(1)
    rows.result(2)
    with rows.open() as run:
        assert next(run) == 1
        run.stop()
        for push in (rows.result, rows.offer):
            with pytest.raises(flow.ClosedError, match="was stopped"):
                push(3)
        rows.finish()
        assert list(run) == [2]


@both
def test_a_callback_that_waits_ends(stopped: Stopped) -> None:
    """With nothing held, the end is there at once."""
    assert stopped(flow.Callback[int](), 2) == ([], 2)


def test_a_thread_is_told_and_what_it_made_is_read() -> None:
    """CONTRACT 26: the thread stops within a row; what it holds comes first, and is closed in its thread."""
    gate = threading.Event()
    threads = []

    def source() -> Iterator[int]:
        try:
            yield from range(5)
            gate.wait(10)
            yield from range(5, 100)
        finally:
            threads.append(threading.current_thread())

    left: list[int] = []
    with flow.Threaded(source).open(on_dropped=left.extend) as run:
        assert next(run) == 0
        run.stop()
        gate.set()
        assert [0, *run] == list(range(5 + max(0, len(left) and left[0] - 5)))
    assert threads[0] is not threading.current_thread()
    nothing_left()


def test_a_file_in_a_thread(tmp_path: Path) -> None:
    """wrap(file) is a source that is read by a thread of its own."""
    path = tmp_path / "rows"
    path.write_text("".join(f"{row}\n" for row in range(5000)))
    with path.open() as file, flow.wrap(file).open() as run:
        assert next(run) == "0\n"
        run.stop()
        rest = list(run)
        assert rest == [f"{row}\n" for row in range(1, 1 + len(rest))]
        assert len(rest) < 5000
        assert file.closed


# ------------------------------------------------------------------------------------------------------------------
# Which sources end


@both
def test_which_sources_end(stopped: Stopped) -> None:
    """All that the run reads, through whatever combines and buffers them."""
    log: list[Any] = []
    source = flow.wrap(sleepy(*range(9), log=log))
    expected: list[Any] = [
        (source.merge(flow.wrap(sleepy("a", "b", "c", "d", delay=1.25))), [0, "a", 1, "b", 2], 3.5),
        (source.zip(flow.wrap(sleepy("a", "b", "c", "d", delay=1.25))), [(0, "a"), (1, "b")], 3.5),
        (source | (lambda rows: flow.Merge(rows, sleepy("x", delay=0.5))), ["x", 0, 1, 2], 3.5),
        (source.map(lambda row: row).filter(bool).enumerate(), [(0, 1), (1, 2)], 3.5),
        (source[1:], [1, 2], 3.5),
    ]
    for stage, rows, end in expected:
        assert stopped(stage, 3.5) == (rows, end), stage
        assert log[-1] == "closed"
    nothing_left()


@both
def test_a_stage_that_reads_some_rows_itself_and_gives_the_rest_to_a_branch(stopped: Stopped) -> None:
    """The source then waits on another stack than the one on which it began: it is found there."""

    def stage(rows: Iterator[int]) -> Iterator[Any]:
        yield f"first: {next(rows)}"
        yield from flow.Merge(rows, sleepy("a", "b", delay=0.75))

    assert stopped(flow.wrap(sleepy(*range(9))) | stage, 3.25) == (["first: 0", "a", 1, "b", 2], 3.25)


@both
def test_a_stage_that_reads_a_source_for_a_row_finishes_that_row(stopped: Stopped) -> None:
    """What flat_map opens is the work on a row: it is read to its end, and no row is asked for after it."""
    stage = flow.wrap(sleepy(10, 20, 30)).flat_map(lambda row: flow.wrap(sleepy(row, row + 1, row + 2)))
    assert stopped(stage, 2.5) == ([10, 11, 12], 4)
    assert stopped(stage, 4.5) == ([10, 11, 12], 4.5)
    merged = flow.wrap([1, 2]).flat_map(lambda row: flow.Merge(sleepy(row, row), sleepy(-row, -row)))
    assert stopped(merged, 1.5) == ([1, -1, 1, -1], 2)


@both
def test_a_source_that_reads_stages_is_one_source(stopped: Stopped) -> None:
    """What it reads ends with its rows in progress, and then the source does, at its next wait or row."""
    log: list[Any] = []

    def source() -> Iterator[Any]:
        try:
            while True:
                yield from flow.wrap(sleepy(1, 2, 3, log=log)).batched(2)
                flow.sleep(1)
        finally:
            log.append("ended")

    assert stopped(flow.wrap(source), 7.5) == ([(1, 2), (3,), (1, 2), (3,)], 7.5)
    assert log == [1, 2, 3, "closed"] * 2 + ["ended"]
    log.clear()
    assert stopped(flow.wrap(source), 5.5) == ([(1, 2), (3,), (1,)], 5.5)
    assert log == [1, 2, 3, "closed", 1, "closed", "ended"]
    log.clear()
    assert stopped(flow.wrap(source), 3.5) == ([(1, 2), (3,)], 3.5)


@both
def test_a_source_opens_nothing_more_when_it_was_stopped(stopped: Stopped) -> None:
    """One that would spin, opening empty stages for ever, is ended where it opens the next one."""
    opened = []

    def source() -> Iterator[Any]:
        while True:
            opened.append(1)
            yield from flow.wrap(sleepy("a", "b"))

    assert stopped(flow.wrap(source), 2.5) == (["a", "b"], 2.5)
    assert len(opened) == 3


@both
def test_a_source_that_asks_for_stages(stopped: Stopped) -> None:
    """The classic way, with `yield stage` and next(stage): the same."""

    def source() -> Iterator[Any]:
        stage = flow.wrap(sleepy(1, 2, 3, 4)).batched(2)
        yield stage
        yield "one is there"
        for rows in stage:
            yield rows
            yield flow.Cooperate(0.25)
        yield flow.Cooperate(100)

    assert stopped(flow.wrap(source), 3.5) == (["one is there", (1, 2), (3,)], 3.75)


@both
def test_a_source_may_read_stages_while_it_cleans_up(stopped: Stopped) -> None:
    """A cleanup is no row: what it reads is read."""
    log: list[Any] = []

    def source() -> Iterator[Any]:
        try:
            yield 1
            flow.sleep(100)
        finally:
            log.extend(flow.wrap(sleepy("good", "bye")))

    assert stopped(flow.wrap(source), 1) == ([1], 3)
    assert log == ["good", "bye"]


@both
def test_a_row_that_a_stopped_source_makes_nevertheless_is_delivered(stopped: Stopped) -> None:
    """CONTRACT 2: it swallowed the stop once and made a row; then it is not asked again."""

    def source() -> Iterator[Any]:
        yield 1
        try:
            flow.sleep(100)
        except BaseException:
            yield "last"
        yield "never"

    rows, time = stopped(flow.wrap(source).map(lambda row: flow.sleep(1) or row), 2)
    assert (rows, time) == ([1, "last"], 3)


@both
def test_a_source_that_goes_on_waiting_is_asked_again(stopped: Stopped) -> None:
    """The stop is raised at each wait of the source, as a cancel is."""
    asked = []

    def source() -> Iterator[Any]:
        for _ in range(3):
            try:
                flow.sleep(100)
            except BaseException as error:
                asked.append(type(error).__name__)
        yield from ()

    assert stopped(flow.wrap(source), 1) == ([], 1)
    assert asked == ["Stopped"] * 3


@both
def test_waits_of_stages_are_not_cut_short(stopped: Stopped) -> None:
    """CONTRACT 8: a row in flight is finished, however long that takes; the source below its wait ends after it."""
    log: list[Any] = []
    stage = flow.wrap(sleepy(1, 2, 3, log=log)).map(lambda row: flow.sleep(10) or row)
    assert stopped(stage, 5) == ([1], 11)
    assert log == [1, "closed"]


@both
def test_a_failure_of_a_source_that_is_stopped_is_raised_after_its_rows(stopped: Stopped) -> None:
    """CONTRACT 3, 16: what its cleanup raises ends the run, and the rows come first."""

    def source() -> Iterator[int]:
        try:
            yield 1
            yield 2
            flow.sleep(100)
        finally:
            raise ValueError("cleanup")

    with pytest.raises(ValueError, match="cleanup") as caught:
        stopped(flow.wrap(source), 3)
    assert caught.value.__context__ is not None

    class Failing:
        def __iter__(self) -> Failing:
            return self

        def __next__(self) -> int:
            flow.sleep(1)
            return 1

        def close(self) -> None:
            raise ValueError("close")

    with pytest.raises(ValueError, match="close"):
        stopped(flow.wrap(Failing()), 3)


@both
def test_what_a_stopped_source_has_opened_is_closed_at_once(stopped: Stopped) -> None:
    """CONTRACT 14: once, and not only when the rows in flight have come out."""
    log: list[tuple[str, str]] = []
    source = Tracked(range(9), log=log)

    def slow(rows: Iterable[int]) -> Generator[int]:
        rows = list(rows)
        log.append(("slow", "has them"))
        flow.sleep(10)
        yield from rows

    def timed(rows: Iterable[int]) -> Iterator[int]:
        for row in rows:
            flow.sleep(1)
            yield row

    assert stopped(flow.wrap(iter(source)) | timed | slow, 2.5) == ([0, 1, 2], 13)
    assert log == [("source", "opened"), ("source", "closed"), ("slow", "has them")]
    assert source.closed == 1


# ------------------------------------------------------------------------------------------------------------------
# At every moment


def chains() -> dict[str, Callable[[list[Any]], flow.Stage[Any]]]:
    """Chains that deliver what their source gave, whatever they do with it meanwhile."""

    def slow(rows: Iterator[Any]) -> Iterator[Any]:
        for row in rows:
            flow.sleep(0.75)
            yield row

    def async_source(log: list[Any]) -> Callable[[], AsyncIterator[int]]:
        async def source() -> AsyncIterator[int]:
            for row in range(5):
                await asyncio.sleep(1)
                log.append(row)
                yield row

        return source

    async def passing(rows: AsyncIterator[Any]) -> AsyncIterator[Any]:
        async for row in rows:
            await asyncio.sleep(0.25)
            yield row

    def outer(log: list[Any]) -> Make:
        def source() -> Iterator[int]:
            for _ in range(2):
                yield from flow.wrap(sleepy(1, 2, 3, log=log)) | slow
                flow.sleep(1)

        return source

    return {
        "plain": lambda log: flow.wrap(sleepy(*range(5), log=log)) | slow,
        "batched": lambda log: (flow.wrap(sleepy(*range(5), log=log)) | slow).batched(2),
        "merge": lambda log: flow.Merge(sleepy(*range(4), log=log), sleepy(*"abc", delay=1.5, log=log)) | slow,
        "merge of slow ones": lambda log: flow.Merge(
            flow.wrap(sleepy(*range(4), log=log)) | slow, flow.wrap(sleepy(*"abc", log=log)) | slow
        ).batched(3),
        "async source": lambda log: flow.wrap(async_source(log)) | slow,
        "async stage": lambda log: (flow.wrap(sleepy(*range(5), log=log)) | slow) | passing,
        "source of stages": lambda log: flow.wrap(outer(log)),
        "given to a branch": lambda log: (
            flow.wrap(sleepy(*range(5), log=log)).batched(2) | (lambda rows: flow.Merge(rows, [])) | slow
        ),
    }


def flat(rows: Iterable[Any]) -> list[Any]:
    return [each for row in rows for each in (row if isinstance(row, tuple) else [row])]


@pytest.mark.parametrize("name", chains())
@pytest.mark.parametrize("seed", [None, 1, 2, 3])
def test_at_every_moment_what_was_given_is_delivered(name: str, seed: int | None) -> None:
    """CONTRACT 2, 14: stopped at each quarter of a second, a run delivers exactly the rows that its sources gave."""

    async def main(at: float) -> None:
        log: list[Any] = []
        # Time may jump early here, over any deadline, so cleanups get all they want.
        async with chains()[name](log).open(cleanup=math.inf) as run:
            asyncio.get_running_loop().call_later(at, run.stop)
            rows = [row async for row in run]
        given = [row for row in log if row != "closed"]
        assert sorted(map(str, flat(rows))) == sorted(map(str, given)), at

    for quarter in range(30):
        with virtual_time(seed) as clock:
            clock.run(main(quarter / 4))
        nothing_left()


@settings(max_examples=60)
@given(
    delays=st.lists(st.sampled_from([0, 0.5, 1]), min_size=1, max_size=3),
    counts=st.lists(st.integers(0, 6), min_size=3, max_size=3),
    work=st.sampled_from([0, 0.3, 2]),
    size=st.integers(1, 4),
    at=st.floats(0, 8),
    seed=st.one_of(st.none(), st.integers(0, 100)),
)
def test_any_chain_delivers_what_its_sources_gave(
    delays: list[float], counts: list[int], work: float, size: int, at: float, seed: int | None
) -> None:
    """CONTRACT 1, 2: the same for random merges, in the order of each input."""
    log: list[Any] = []

    def source(which: int, delay: float, count: int) -> Make:
        def rows() -> Iterator[Any]:
            for row in range(count):
                flow.sleep(delay)
                log.append((which, row))
                yield [which, row]

        return rows

    async def main() -> None:
        stage: flow.Stage[Any] = flow.Merge(
            *[source(which, delay, counts[which]) for which, delay in enumerate(delays)]
        )
        stage = stage.map(lambda row: flow.sleep(work) or row).batched(size)
        async with stage.open(cleanup=math.inf) as run:
            asyncio.get_running_loop().call_later(at, run.stop)
            rows = [tuple(row) for batch in [row async for row in run] for row in batch]
        assert sorted(rows) == sorted(log)
        for which in range(len(delays)):
            assert [row for row in rows if row[0] == which] == [row for row in log if row[0] == which]

    with virtual_time(seed) as clock:
        clock.run(main())
    nothing_left()
