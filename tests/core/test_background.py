"""The part of a run that goes on beside its reader, and the channel that it fills.

CONTRACT 1-5, 8, 10, 14-18, 20, 21.
"""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import os
import subprocess
import sys
import weakref
from collections import deque
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import flow
from flow.core.background import Background, Filling
from flow.core.instruction import Signal
from flow.core.microthread import MicroThread, Strand, wait
from flow.core.near import NearChannel
from flow.core.scope import Scope
from flow.core.stage import Stage
from flow.testing import Tracked, nothing_left, virtual_time

SOURCE = str(Path(flow.__file__).parents[1])


class Beside(Stage[Any]):
    """A stage whose rows are those of ``work(strand)``, which runs on the strand of the run."""

    def __init__(self, work: Callable[[Strand], Iterator[Any]]) -> None:
        self.work = work

    def rows(self, upstream: Any, scope: Scope) -> Iterator[Any]:
        return self.work(scope.strand)


class Reading(Stage[Any]):
    """Reads a stage into a channel, by a Filling that can be looked at."""

    def __init__(self, stage: Stage[Any], limit: int, ahead: bool = True) -> None:
        self.stage = stage
        self.limit = limit
        self.ahead = ahead
        self.filling: Any = None

    def rows(self, upstream: Any, scope: Scope) -> Iterator[Any]:
        channel: NearChannel[Any] = NearChannel(scope.strand.owner, self.limit)
        self.filling = Filling(scope.strand, self.stage, channel, self.ahead)
        return self.filling.rows(scope)


def run(work: Callable[[Strand], Iterator[Any]], seed: int | None = None) -> list[Any]:
    """Runs it on a loop of virtual time, and in a script: the same comes of both."""

    async def main() -> list[Any]:
        return await Beside(work)

    with virtual_time(seed) as clock:
        rows = clock.run(main())
    with virtual_time(seed):
        assert list(Beside(work)) == rows
    nothing_left()
    return rows


def read_all(thread: MicroThread) -> None:
    with Scope(thread) as scope:
        for _ in thread.owner.stage.open_in(scope):
            pass


# ------------------------------------------------------------------------------------------------------------------
# The part of a run


def test_it_runs_beside_the_strand_until_its_end() -> None:
    """CONTRACT 8: it has its own waits, and its strand has its own; `ended` is called once, when all is closed."""

    def work(strand: Strand) -> Generator[Any]:
        source = Tracked(range(3), delay=1, cleanup=1)
        ends: list[Any] = []
        part = Background(strand, flow.wrap(source), read_all, lambda error: ends.append((error, source.is_closed)))
        assert source.opened == 0
        part.start()
        part.start()
        flow.sleep(2.5)
        assert (source.asked, part.over) == (3, False)
        flow.sleep(3)
        assert part.over
        assert ends == [(None, True)]
        part.close(strand)
        yield "done"

    assert run(work) == ["done"]


def test_what_was_not_begun_is_closed_without_a_step() -> None:
    """CONTRACT 4, 14: nothing of the stage runs, and `ended` is called all the same."""

    def work(strand: Strand) -> Generator[Any]:
        source = Tracked(range(3))
        ends: list[Any] = []
        part = Background(strand, flow.wrap(source), read_all, ends.append)
        part.close(strand)
        part.close(strand)
        part.start()
        assert not part.hurry(strand)
        assert (source.opened, ends, part.over) == (0, [None], True)
        yield "done"

    assert run(work) == ["done"]


def test_closing_waits_for_its_cleanups() -> None:
    """CONTRACT 14: close() cancels it at its wait, and returns when its cleanups are done."""

    def work(strand: Strand) -> Generator[Any]:
        source = Tracked(range(30), delay=1, cleanup=2)
        ends: list[Any] = []
        part = Background(strand, flow.wrap(source), read_all, ends.append)
        part.start()
        flow.sleep(3.5)
        before = strand.loop.time()
        part.close(strand)
        assert strand.loop.time() - before == 2
        assert source.is_closed
        assert ends == [None]
        yield "done"

    assert run(work) == ["done"]


def test_closing_what_needs_no_wait_needs_no_turn() -> None:
    """CONTRACT 14: cleanups that do not wait are done there and then."""

    def work(strand: Strand) -> Generator[Any]:
        source = Tracked(range(30), delay=1)
        turns: list[int] = []
        part = Background(strand, flow.wrap(source), read_all, lambda error: None)
        part.start()
        flow.sleep(3.5)
        strand.loop.call_soon(lambda: turns.append(1))
        part.close(strand)
        assert not turns
        assert source.is_closed
        yield "done"

    assert run(work) == ["done"]


@pytest.mark.parametrize("error", [OSError("while closing"), KeyboardInterrupt("while closing")])
def test_a_failure_of_closing_is_raised(error: BaseException) -> None:
    """CONTRACT 14, 16, 18: and given to `ended`; a failure that came before, ahead of the reader, is not."""

    def badly() -> Generator[int]:
        try:
            while True:
                flow.sleep(1)
                yield 1
        finally:
            flow.sleep(1)
            raise error

    def work(strand: Strand) -> Generator[Any]:
        ends: list[Any] = []
        part = Background(strand, flow.wrap(badly), read_all, ends.append)
        part.start()
        flow.sleep(1.5)
        with pytest.raises(type(error), match="while closing") as raised:
            part.close(strand)
        assert raised.value is error
        assert ends == [error]
        early = Background(strand, flow.wrap(Tracked([], fail=ValueError("before"))), read_all, ends.append)
        early.start()
        flow.sleep(1)
        early.close(strand)
        assert repr(ends[1]) == "ValueError('before')"
        yield "done"

    assert run(work) == ["done"]


def test_several_failures_of_closing() -> None:
    """CONTRACT 16: none is lost: they come in an ExceptionGroup."""

    def badly(name: str) -> Callable[[Any], Generator[int]]:
        def stage(rows: Any) -> Generator[int]:
            try:
                yield from rows
            finally:
                raise OSError(name)

        return stage

    def work(strand: Strand) -> Generator[Any]:
        stage = flow.wrap(Tracked(range(9), delay=1)) | badly("above") | badly("below")
        part = Background(strand, stage, read_all, lambda error: None)
        part.start()
        flow.sleep(1.5)
        with pytest.raises(OSError, match="below|above"):
            part.close(strand)
        yield "done"

    assert run(work) == ["done"]


def test_a_cancel_while_it_is_being_closed() -> None:
    """CONTRACT 15: does not cut the closing short, and is raised when that is done."""
    source = Tracked(range(9), delay=1, cleanup=3)

    async def main() -> None:
        async def read() -> None:
            async with Reading(flow.wrap(source), 2).open() as rows:
                await anext(rows)

        task = asyncio.create_task(read())
        await asyncio.sleep(2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.get_running_loop().time() == 4
        assert source.is_closed

    with virtual_time() as clock:
        clock.run(main())


def test_it_is_a_part_of_the_run() -> None:
    """CONTRACT 16: the context variables of the run, its options, and rows that it drops are dropped by the run."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")
    dropped: list[Any] = []

    def body(thread: MicroThread) -> None:
        assert variable.get() == "mine"
        thread.owner.drop([1, 2])

    def work(strand: Strand) -> Generator[Any]:
        part = Background(strand, flow.wrap([0]), body, lambda error: None)
        assert part.run.slice == strand.owner.slice
        part.start()
        flow.sleep(1)
        yield strand.owner.dropped

    async def main() -> None:
        variable.set("mine")
        async with Beside(work).open(slice=0.001, on_dropped=dropped.extend) as rows:
            assert await anext(rows) == 2
            assert rows.dropped == 2

    with virtual_time() as clock:
        clock.run(main())
    assert dropped == [1, 2]


# ------------------------------------------------------------------------------------------------------------------
# Resting, going on, being in a hurry


class Counter:
    """A body that rests again and again, and counts its steps."""

    def __init__(self, strand: Strand) -> None:
        self.steps = 0
        self.part = Background(strand, flow.wrap([0]), self.body, lambda error: None)

    def body(self, thread: MicroThread) -> None:
        while True:
            self.steps += 1
            self.part.rest(thread)


def test_it_goes_on_in_the_next_turn_once_however_often_it_is_told() -> None:
    """CONTRACT 8: one wake-up a turn."""

    def work(strand: Strand) -> Generator[Any]:
        counter = Counter(strand)
        part = counter.part
        part.start()
        flow.sleep(1)
        assert (counter.steps, part.resting) == (1, True)
        for _ in range(10):
            part.go_on()
        assert counter.steps == 1
        flow.sleep(1)
        assert counter.steps == 2
        flow.sleep(1)
        assert counter.steps == 2
        part.close(strand)
        part.go_on()
        yield "done"

    assert run(work) == ["done"]


def test_who_is_in_a_hurry_has_its_step_at_once() -> None:
    """The first step, and each step from a rest; what waits for something else is left to its wait."""

    def work(strand: Strand) -> Generator[Any]:
        counter = Counter(strand)
        turns: list[int] = []
        strand.loop.call_soon(lambda: turns.append(1))
        for number in range(1, 100):
            assert counter.part.hurry(strand)
            assert counter.steps == number
        assert not turns
        counter.part.close(strand)
        assert not counter.part.hurry(strand)

        source = Tracked([1], delay=1)
        waits = Background(strand, flow.wrap(source), read_all, lambda error: None)
        assert waits.hurry(strand)
        assert not waits.hurry(strand)
        flow.sleep(2)
        assert waits.over
        assert not waits.hurry(strand)
        yield "done"

    assert run(work) == ["done"]


def test_a_wait_that_is_over_at_once() -> None:
    """CONTRACT 8: a step for whoever is in a hurry ends at a wait that needs none: it goes on in the loop's turn, and
    a cancel reaches the wait after that.
    """

    class AtOnce(flow.CallLater):
        def callLater(self, resume: Any) -> None:
            resume("value")

    log: list[Any] = []

    def body(thread: MicroThread) -> None:
        log.append(wait(AtOnce()))
        try:
            flow.sleep(10)
        finally:
            flow.sleep(1)
            log.append("closed")

    def work(strand: Strand) -> Generator[Any]:
        part = Background(strand, flow.wrap([0]), body, lambda error: None)
        assert part.hurry(strand)
        flow.sleep(1)
        part.close(strand)
        yield strand.loop.time()
        flow.sleep(20)

    assert run(work) == [2]
    assert log == ["value", "closed"] * 2


def test_the_time_of_a_step_is_the_readers() -> None:
    """CONTRACT 10: a source that is given its steps by the reader has the reader's slice, and not one of its own."""
    ticks: list[float] = []

    def ready() -> Generator[int]:
        yield from range(10_000)

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()

        async def ticker() -> None:
            while True:
                ticks.append(loop.slice_clock())
                await asyncio.sleep(0)

        ticking = asyncio.create_task(ticker())
        async with Reading(flow.wrap(ready), 3).open() as rows:
            async for _ in rows:
                pass
        ticking.cancel()

    with virtual_time() as clock:
        clock.run(main())
    assert len(ticks) > 10
    assert max(after - before for before, after in itertools.pairwise(ticks)) < 0.0075


# ------------------------------------------------------------------------------------------------------------------
# Filling a channel


@pytest.mark.parametrize("limit", [1, 2, 3, 10, 64])
@pytest.mark.parametrize("delays", [[0], [1], [0, 0, 0, 1], [1, 0, 0, 0, 0, 0, 0]])
def test_a_reading_ahead(limit: int, delays: list[int]) -> None:
    """CONTRACT 1, 2, 5, 20: rows in order, each once, as soon as they are there, never more than the limit held."""

    def source() -> Generator[int]:
        for number, delay in zip(range(50), itertools.cycle(delays), strict=False):
            if delay:
                flow.sleep(delay)
            yield number

    for seed in (None, 1, 2):
        reading = Reading(flow.wrap(source), limit)

        async def main(reading: Reading = reading, busy: bool = seed is not None) -> list[tuple[int, float]]:
            got = []
            async for row in reading:
                got.append((row, asyncio.get_running_loop().time()))
                if busy:
                    await asyncio.sleep(row % 3)
            return got

        with virtual_time(seed) as clock:
            got = clock.run(main())
        assert [row for row, _ in got] == list(range(50))
        if seed is None:
            made = list(itertools.accumulate(itertools.islice(itertools.cycle(delays), 50)))
            assert [time for _, time in got] == made
        assert reading.filling.channel.peak <= limit


def test_an_iterator_that_misbehaves_after_its_end() -> None:
    """CONTRACT 2: a user's own iterator is not asked again after its end."""

    class Twice:
        def __init__(self, rows: Any) -> None:
            self.rows = iter([1, 2])
            self.ended = False

        def __iter__(self) -> Twice:
            return self

        def __next__(self) -> int:
            assert not self.ended
            for row in self.rows:
                return row
            self.ended = True
            raise StopIteration

    for limit in (1, 2, 3):
        assert list(Reading(flow.wrap([0]) | Twice, limit)) == [1, 2]


def test_a_cancel_that_the_stage_swallows() -> None:
    """CONTRACT 15: it is asked again, also when it never waits any more."""

    def stubborn() -> Generator[int]:
        for number in itertools.count():
            try:
                if number == 2:
                    flow.sleep(10)
            except BaseException:
                pass
            yield number

    def work(strand: Strand) -> Generator[Any]:
        channel: NearChannel[Any] = NearChannel(strand.owner, 10)
        filling = Filling(strand, flow.wrap(stubborn), channel)
        filling.start()
        flow.sleep(1)
        assert channel.unread == 2
        channel.close()
        filling.close(strand)
        yield strand.owner.dropped >= 2

    assert run(work) == [True]


@pytest.mark.parametrize("ahead", [True, False])
def test_a_reader_that_runs_at_once(ahead: bool) -> None:
    """CONTRACT 8: where a push runs the reader there and then (Twisted), inside of the producer's own step, neither
    waits for the other for ever.
    """
    task = pytest.importorskip("twisted.internet.task")
    clock = task.Clock()
    got: list[int] = []
    source = flow.wrap(Tracked(range(20), delay=1))
    done = flow.Deferred(Reading(Reading(source, 1, ahead), 1, ahead), into=got.append, reactor=clock)
    for _ in range(100):
        clock.advance(0.5)
    assert got == list(range(20))
    assert done.result == 20


@pytest.mark.parametrize("limit", [1, 2])
@pytest.mark.parametrize("ahead", [True, False])
def test_a_reader_that_leaves_inside_of_the_producers_step(limit: int, ahead: bool) -> None:
    """CONTRACT 14, 15: a reader that a push runs there and then, and that has had enough, cancels the producer between
    its step and its wait: the wait is called off all the same.
    """
    task = pytest.importorskip("twisted.internet.task")
    clock = task.Clock()
    closed: list[float] = []

    def source() -> Generator[int]:
        try:
            for seconds in (1, 3600, 1):
                flow.sleep(seconds)
                yield 1
        finally:
            flow.sleep(1)
            closed.append(clock.seconds())

    done = flow.Deferred(Reading(flow.wrap(source), limit, ahead)[:1], reactor=clock)
    for _ in range(10):
        clock.advance(0.5)
    assert done.result == [1]
    assert closed == [2.5]  # a turn of the loop after the row, and a second
    assert not clock.getDelayedCalls()
    nothing_left()


# ------------------------------------------------------------------------------------------------------------------
# A channel whose producer is near


class Model(RuleBasedStateMachine):
    """A NearChannel against a plain list: whatever is pushed, taken, shed and asked, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.number = 0
        self.held: list[int] = []
        self.told = 0
        self.parted: int | None = None  # rows until the reader must come by
        self.channel: NearChannel[int] = NearChannel(None, 8)
        self.channel.on_resume = self._resumed
        self.rows = self.channel.rows()

    def _resumed(self) -> None:
        self.told += 1

    @precondition(lambda self: len(self.held) < 8)
    @rule(count=st.integers(1, 8))
    def push(self, count: int) -> None:
        rows = [self.number + n for n in range(min(count, self.channel.free))]
        self.number += len(rows)
        self.held += rows
        self.channel.push(rows)

    @precondition(lambda self: self.held)
    @rule()
    def take(self) -> None:
        told = self.told
        assert next(self.rows) == self.held.pop(0)
        if self.parted is not None:
            self.parted -= 1
            if self.parted <= 0:
                assert self.told > told or not self.channel.paused
                self.parted = None

    @precondition(lambda self: self.held)
    @rule(count=st.integers(1, 3))
    def shed(self, count: int) -> None:
        assert self.channel.free == 8 - len(self.held)
        assert self.channel.shed(count) == self.held[:count]
        del self.held[:count]
        self.parted = None

    @rule(count=st.integers(1, 8))
    def has_room(self, count: int) -> None:
        has = self.channel.has_room(count)
        assert has == (8 - len(self.held) >= count)
        self.parted = None if has else count - (8 - len(self.held))

    @invariant()
    def what_is_held(self) -> None:
        assert self.channel.free == 8 - len(self.held)
        assert self.channel.unread == len(self.held)
        assert self.channel.peak <= 8


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=200, stateful_step_count=30)


def test_a_row_that_was_read_may_go() -> None:
    """CONTRACT 20: a channel that waits for rows holds on to none of those that were read."""

    class Row:
        pass

    rows = [Row() for _ in range(5)]
    read = [weakref.ref(row) for row in rows]
    alive: list[int] = []
    channel: NearChannel[Row] = NearChannel(None, 8)

    def hurry() -> bool:
        alive.append(sum(row() is not None for row in read))
        channel.end(None)
        return True

    channel.hurry = hurry
    channel.push(rows[:])
    del rows
    deque(channel.rows(), maxlen=0)
    assert alive == [0]


def test_a_signal_of_the_body_is_no_rest() -> None:
    """CONTRACT 8: a wait for a signal of its own is ended by that, and not by somebody in a hurry."""
    signal = Signal()
    steps: list[str] = []

    def body(thread: MicroThread) -> None:
        steps.append("begun")
        thread.pause(signal)
        steps.append("signalled")

    def work(strand: Strand) -> Generator[Any]:
        del steps[:]
        signal.clear()
        part = Background(strand, flow.wrap([0]), body, lambda error: None)
        assert part.hurry(strand)
        assert not part.hurry(strand)
        part.go_on()
        flow.sleep(1)
        assert steps == ["begun"]
        signal.set()
        flow.sleep(1)
        assert steps == ["begun", "signalled"]
        assert part.over
        yield "done"

    assert run(work) == ["done"]


CHAINS: dict[str, Callable[[Stage[int]], Stage[int]]] = {
    "buffer": lambda rows: rows.buffer(2),
    "rendezvous": lambda rows: rows.buffer(0),
    "latest": lambda rows: rows.buffer(20, "drop_oldest"),
    "share": lambda rows: rows.share(),
    "balance": lambda rows: rows.balance(1)[0],
    "background": lambda rows: rows.background([]),
    "batched within": lambda rows: rows.batched(1, within=1).flat_map(lambda rows: rows),
    "several": lambda rows: rows.buffer(2).share().map(lambda row: row, concurrency=2),
}


@pytest.mark.parametrize("name", CHAINS)
def test_a_long_chain(name: str) -> None:
    """CONTRACT 23: two hundred parts, one below the other: no RecursionError on the way, in a script or on a loop, to
    the end or closed early. (Where a part is itself made of generators, these are nested, and fewer fit.)
    """
    stage: Stage[int] = flow.wrap(range(10))
    for _ in range(40 if name in ("background", "batched within", "several") else 200):
        stage = CHAINS[name](stage)
    with virtual_time() as clock:
        assert list(stage) == list(range(10))
        assert next(iter(stage)) == 0

        async def main() -> list[int]:
            async with stage.open() as rows:
                assert await anext(rows) == 0
            return await stage

        assert clock.run(main()) == list(range(10))
    nothing_left()


PROGRAM = """
import asyncio, sys
import flow

def source():
    try:
        while True:
            flow.sleep(0.001)
            yield 1
    finally:
        print("closed")

async def main(stage):
    global reader
    reader = aiter(stage)
    await anext(reader)
    await asyncio.sleep(0.01)

rows = flow.wrap(source)
stage = {stage}
if sys.argv[1] == "script":
    reader = iter(stage)
    next(reader)
else:
    asyncio.run(main(stage))
print("end")
"""


@pytest.mark.parametrize("where", ["script", "asyncio"])
@pytest.mark.parametrize(
    "stage", ["rows.buffer(3)", "rows.buffer(1, 'latest')", "flow.wrap([1, 2]).background(rows)", "rows.share()"]
)
def test_at_interpreter_exit(stage: str, where: str) -> None:
    """CONTRACT 23a: one that was left open is closed when the interpreter ends, and nothing is said about it."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", PROGRAM.format(stage=stage), where],
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([SOURCE, os.environ.get("PYTHONPATH", "")])},
    )
    assert (done.stdout.split(), done.stderr, done.returncode) == (["end", "closed"], "", 0)
