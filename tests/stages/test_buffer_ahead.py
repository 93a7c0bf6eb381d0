"""buffer(n): a stage that works ahead of its reader, up to a bound, and what happens there.

CONTRACT 1-5, 8, 10, 14-17, 20-22.
"""

from __future__ import annotations

import asyncio
import contextvars
import itertools
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flow
from flow.core.background import Filling
from flow.stages.buffer import Buffer
from flow.testing import Tracked, nothing_left, torture, virtual_time

from ..docs.test_docstrings import example_of, run_statements

OVERFLOWS = ["wait", "drop_oldest", "drop_newest", "error"]


class Times:
    """A source of numbers that waits for given seconds before each, and notes when it was asked for each."""

    def __init__(self, *delays: float) -> None:
        self.delays = delays
        self.asked: list[float] = []

    def __iter__(self) -> Iterator[int]:
        loop = asyncio.get_event_loop()
        for number, delay in enumerate(self.delays):
            self.asked.append(loop.time())
            if delay:
                flow.sleep(delay)
            yield number


async def timed(stage: flow.Stage[Any], *busy: float) -> list[tuple[Any, float]]:
    """The rows, each with the time at which it came; the reader is busy for given seconds after each of the first."""
    loop = asyncio.get_running_loop()
    got: list[tuple[Any, float]] = []
    async for row in stage:
        got.append((row, loop.time()))
        if len(got) <= len(busy):
            await asyncio.sleep(busy[len(got) - 1])
    return got


def peak_of(monkeypatch: pytest.MonkeyPatch) -> list[Filling]:
    """Collects the readings ahead that are made from now on."""
    made: list[Filling] = []
    before = Filling.__init__

    def init(self: Filling, *args: Any, **options: Any) -> None:
        before(self, *args, **options)
        made.append(self)

    monkeypatch.setattr(Filling, "__init__", init)
    return made


# ------------------------------------------------------------------------------------------------------------------
# Rows


@pytest.mark.parametrize("overflow", OVERFLOWS)
@pytest.mark.parametrize("n", [1, 2, 3, 7, 64, 1000])
def test_all_rows_in_order(n: int, overflow: Any) -> None:
    """CONTRACT 1, 2: a reader that is never busy gets every row once, in order, whatever the policy."""
    rows = flow.wrap(range(300)).buffer(n, overflow)
    assert list(rows) == list(range(300))

    async def main() -> None:
        assert await rows == list(range(300))
        assert [row async for row in rows] == list(range(300))
        assert [row async for block in rows.blocks() for row in block] == list(range(300))

    asyncio.run(main())


@given(st.lists(st.integers(0, 2), max_size=12), st.integers(0, 5), st.lists(st.integers(0, 3), max_size=12))
def test_rows_and_bound_whatever_waits(delays: list[int], n: int, busy: list[int]) -> None:
    """CONTRACT 1-4, 20: whoever waits, and when: each row once, in order, and at most `n` of them are made ahead."""
    made: list[int] = []
    ahead: list[int] = []

    def source() -> Generator[int]:
        for number, delay in enumerate(delays):
            if delay:
                flow.sleep(delay)
            made.append(number)
            yield number

    def look(rows: Iterable[int]) -> Generator[int]:
        for taken, row in enumerate(rows, 1):
            ahead.append(len(made) - taken)
            if taken <= len(busy) and busy[taken - 1]:
                flow.sleep(busy[taken - 1])
            ahead.append(len(made) - taken)
            yield row

    async def main() -> None:
        assert await (flow.wrap(source).buffer(n) | look) == list(range(len(delays)))

    with virtual_time() as clock:
        clock.run(main())
    assert max(ahead, default=0) <= n


def test_reading_twice_runs_twice() -> None:
    """CONTRACT 7: each iteration has a buffer of its own, also side by side; a source for once says so."""
    rows = flow.wrap(range(5)).buffer(2)
    assert list(zip(rows, rows, strict=True)) == [(n, n) for n in range(5)]
    once = flow.wrap(iter([1])).buffer(2)
    assert list(once) == [1]
    with pytest.raises(flow.AlreadyReadError):
        list(once)


def test_nothing_happens_before_the_first_row_is_asked_for() -> None:
    """CONTRACT 4: making it, and opening it, reads nothing."""
    source = Tracked([1, 2, 3])
    rows = flow.wrap(source).buffer(2)
    assert source.opened == 0
    assert list(rows[:0]) == []
    assert source.opened == 0
    with rows.open():
        assert source.opened == 0
    nothing_left(source)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 10])
def test_it_works_n_rows_ahead(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """CONTRACT 4, 20, 21: while the reader is busy with a row, `n` more are made, then the source rests."""
    made = peak_of(monkeypatch)
    source = Tracked(range(100), delay=0.1)

    async def main() -> None:
        async with flow.wrap(source).buffer(n).open() as rows:
            assert await anext(rows) == 0
            await asyncio.sleep(50)
            assert source.asked == 1 + n

    with virtual_time() as clock:
        clock.run(main())
    assert made[0].channel.peak == n
    nothing_left(source)


def test_a_rendezvous() -> None:
    """CONTRACT 4, 20: with n=0 nothing is made ahead: each row is made when the reader asks for it, none before."""
    source = Times(1, 1, 1)
    with virtual_time() as clock:
        got = clock.run(timed(flow.wrap(source).buffer(0), 5, 5))
    assert got == [(0, 1), (1, 7), (2, 13)]
    assert source.asked == [0, 6, 12]


def test_waits_overlap() -> None:
    """CONTRACT 8: the source waits for its next row while the reader is busy with the one before."""
    with virtual_time() as clock:
        got = clock.run(timed(flow.wrap(Times(1, 1, 1, 1)).buffer(1), 1, 1, 1))
    assert got == [(0, 1), (1, 2), (2, 3), (3, 4)]


def test_a_row_is_there_before_the_source_waits() -> None:
    """CONTRACT 5: a row that was made is read before the source's next wait is over."""
    with virtual_time() as clock:
        got = clock.run(timed(flow.wrap(Times(0, 0, 100, 0)).buffer(10)))
    assert got == [(0, 0), (1, 0), (2, 100), (3, 100)]


def test_the_source_goes_on_when_half_is_free_also_in_the_middle_of_a_block() -> None:
    """CONTRACT 21: rows that came together are no reason to wait until all of them are read."""
    source = Times(*[0] * 8, *[1] * 8)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with flow.wrap(source).buffer(8).open() as rows:
            for number in range(4):
                assert await anext(rows) == number
                assert len(source.asked) == 8
                await asyncio.sleep(1)
            assert source.asked[8] == 3  # when half of it was free
            for number in range(4, 16):
                assert await anext(rows) == number
                await asyncio.sleep(1)
            assert loop.time() == 16  # the reader has never waited: the source was ahead of it

    with virtual_time() as clock:
        clock.run(main())


def test_a_reader_that_is_never_busy_needs_no_turn_of_the_loop() -> None:
    """A source that is always ready is given its steps by the reader: a hand-over costs no turn of the loop."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def main() -> None:
        counting = asyncio.create_task(count())
        async with flow.wrap(range(20_000)).buffer(10).open(slice=60) as rows:
            async for _ in rows:
                pass
        counting.cancel()

    asyncio.run(main())
    assert turns < 10


def test_a_reader_that_runs_once_in_a_while_is_not_woken_for_each_row() -> None:
    """CONTRACT 8: while the reader is busy, pushes wake nobody, and resting costs one call of the loop a turn."""
    calls = 0

    class Loop(asyncio.SelectorEventLoop):
        def call_soon(self, *args: Any, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            return super().call_soon(*args, **options)

    async def main() -> int:
        nonlocal calls
        async with flow.wrap(range(10_000)).buffer(100).open(slice=60) as rows:
            await anext(rows)
            calls = 0
            async for _ in rows:
                pass
            return calls

    with asyncio.Runner(loop_factory=Loop) as runner:
        assert runner.run(main()) < 20


# ------------------------------------------------------------------------------------------------------------------
# Overflow


def overflowing(overflow: Any, n: int, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Any], list[int]]:
    """Reads 0, is busy for 5.5 s, while a row a second is made, and reads on. Gives the rows, and those dropped."""
    made = peak_of(monkeypatch)
    dropped: list[int] = []
    got: list[Any] = []

    async def main() -> None:
        async with flow.wrap(Times(0, *[1] * 10)).buffer(n, overflow).open(on_dropped=dropped.extend) as rows:
            got.append(await anext(rows))
            await asyncio.sleep(5.5)
            async for row in rows:
                got.append(row)
            assert rows.dropped == len(dropped)

    with virtual_time() as clock:
        try:
            clock.run(main())
        except flow.FullError as error:
            got.append(error)
    assert made[0].channel.peak == n
    return got, dropped


@pytest.mark.parametrize(
    ("overflow", "n", "rows", "dropped"),
    [
        ("wait", 2, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10], []),
        ("drop_oldest", 2, [0, 4, 5, 6, 7, 8, 9, 10], [1, 2, 3]),
        ("drop_newest", 2, [0, 1, 2, 6, 7, 8, 9, 10], [3, 4, 5]),
        ("latest", 1, [0, 5, 6, 7, 8, 9, 10], [1, 2, 3, 4]),
    ],
)
def test_what_a_full_buffer_does(
    overflow: Any, n: int, rows: list[int], dropped: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """CONTRACT 16, 20: each policy drops just the rows that it says, each is counted and handed to `on_dropped`."""
    assert overflowing(overflow, n, monkeypatch) == (rows, dropped)


def test_a_full_buffer_may_be_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """CONTRACT 3: overflow="error": the rows that are held come first, then FullError; the row too many is counted."""
    got, dropped = overflowing("error", 2, monkeypatch)
    assert got[:-1] == [0, 1, 2]
    assert isinstance(got[-1], flow.FullError)
    assert "2 rows" in str(got[-1])
    assert dropped == [3]


@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest", "latest"])
def test_a_source_that_never_waits_starves_nobody(overflow: Any) -> None:
    """CONTRACT 10: policies that drop never hold the source back, and neither the loop nor the reader starves."""
    ticks: list[float] = []
    slice = 0.005

    def forever() -> Generator[int]:
        number = 0
        while True:
            yield number
            number += 1

    async def ticker(clock: Callable[[], float]) -> None:
        while True:
            ticks.append(clock())
            await asyncio.sleep(0)

    async def main() -> list[int]:
        loop: Any = asyncio.get_running_loop()
        ticking = asyncio.create_task(ticker(loop.slice_clock))
        got = []
        async with flow.wrap(forever).buffer(1, overflow).open(slice=slice) as rows:
            async for row in rows:
                got.append(row)
                if len(got) == 50:
                    break
        ticking.cancel()
        return got

    with virtual_time() as clock:
        got = clock.run(main())
    assert got == sorted(set(got))
    assert max(b - a for a, b in itertools.pairwise(ticks)) < 3 * slice


def test_rows_are_dropped_only_while_the_reader_is_busy() -> None:
    """CONTRACT 2: a reader that is ready comes before a row is dropped: on trio, too, where any task may go first."""
    trio = pytest.importorskip("trio")

    async def main() -> None:
        for _ in range(20):
            assert await flow.wrap(range(50)).buffer(1, "drop_newest") == list(range(50))

    trio.run(main)


@pytest.mark.parametrize("overflow", OVERFLOWS)
def test_the_row_in_hand_at_a_cancel_is_counted(overflow: Any) -> None:
    """CONTRACT 16: what was made and nobody has read is counted when the run is cancelled, to the row."""
    source = Tracked(range(10), delay=1)
    dropped: list[int] = []
    got: list[int] = []

    async def read() -> None:
        async with flow.wrap(source).buffer(3, overflow).open(on_dropped=dropped.extend) as rows:
            got.append(await anext(rows))
            await asyncio.sleep(2.5)

    with virtual_time() as clock:
        clock.run(read())
    assert got == [0]
    assert dropped == [1, 2]
    nothing_left(source)


# ------------------------------------------------------------------------------------------------------------------
# Ends


@pytest.mark.parametrize("n", [0, 1, 2, 5, 10])
@pytest.mark.parametrize("at", [0, 1, 5])
def test_rows_first_then_the_failure(n: int, at: int) -> None:
    """CONTRACT 3, 17: a failure comes after the rows before it, the very instance, in a script and on a loop."""
    error = OSError("gone")

    def failing() -> flow.Stage[int]:
        return flow.wrap(Tracked(range(at), fail=error)).buffer(n)

    got = []
    with pytest.raises(OSError, match="gone") as raised:
        for row in failing():
            got.append(row)
    assert got == list(range(at))
    assert raised.value is error

    async def main() -> None:
        got = []
        with pytest.raises(OSError, match="gone"):
            async for row in failing():
                got.append(row)
                await asyncio.sleep(0)
        assert got == list(range(at))

    asyncio.run(main())


def test_a_failure_ahead_of_what_was_asked_for_is_dropped() -> None:
    """CONTRACT 14: a reader that leaves before the failure never meets it, as it meets none of the rows there."""
    source = Tracked(range(3), fail=OSError("gone"))
    assert list(flow.wrap(source).buffer(10)[:1]) == [0]
    nothing_left(source)


def test_a_failure_while_it_is_closed_is_raised() -> None:
    """CONTRACT 14, 16: an early close waits for the source's cleanup, and what that raises is raised."""

    def source() -> Generator[int]:
        try:
            while True:
                flow.sleep(1)
                yield 1
        finally:
            flow.sleep(4)
            raise OSError("while closing")

    async def main() -> None:
        with pytest.raises(OSError, match="while closing"):
            async with flow.wrap(source).buffer(2).open() as rows:
                await anext(rows)
        assert asyncio.get_running_loop().time() == 5

    with virtual_time() as clock:
        clock.run(main())


def test_a_failure_below_and_one_while_closing_are_both_raised() -> None:
    """CONTRACT 16: a failure below closes the source; what its cleanup raises joins in an ExceptionGroup."""

    def source() -> Generator[int]:
        try:
            while True:
                yield 1
        finally:
            raise OSError("above")

    def broken(rows: Iterable[int]) -> Generator[int]:
        for row in rows:
            yield row
            raise ValueError("below")

    with pytest.raises(ExceptionGroup) as raised:
        list(flow.wrap(source).buffer(2) | broken)
    assert [str(each) for each in raised.value.exceptions] == ["below", "above"]


@pytest.mark.parametrize("n", [0, 1, 5])
def test_it_is_closed_before_control_returns(n: int) -> None:
    """CONTRACT 14, 15: at the end, a break and a cancel the source is closed, and its cleanup is waited for."""

    async def cancelled(source: Tracked[int]) -> None:
        task = asyncio.create_task(flow.wrap(source).buffer(n).__aiter__().__anext__())
        await asyncio.sleep(0.5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert source.is_closed

    async def left(source: Tracked[int]) -> None:
        async with flow.wrap(source).buffer(n).open() as rows:
            await anext(rows)
        assert source.is_closed

    async def ended(source: Tracked[int]) -> None:
        assert len(await flow.wrap(source).buffer(n)) == 3
        assert source.is_closed

    for way in (cancelled, left, ended):
        source = Tracked(range(3), delay=1, cleanup=2)
        with virtual_time() as clock:
            clock.run(way(source))
        nothing_left(source)


def test_context_variables_are_those_of_the_run() -> None:
    """A stage ahead runs in the context variables of its run, its cleanup too."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")
    seen: list[str] = []

    def source() -> Generator[int]:
        try:
            seen.append(variable.get())
            flow.sleep(1)
            yield 1
            flow.sleep(1)
            yield 2
        finally:
            seen.append(variable.get())

    async def main() -> None:
        variable.set("mine")
        async with flow.wrap(source).buffer(1).open() as rows:
            await anext(rows)
            variable.set("other")

    with virtual_time() as clock:
        clock.run(main())
    assert seen == ["mine", "mine"]


def test_buffers_above_each_other() -> None:
    """CONTRACT 1, 5, 20: they nest; each is ahead of the one below it."""
    source = Tracked(range(100), delay=1)

    async def main() -> None:
        async with flow.wrap(source).buffer(2).buffer(0).map(lambda n: n).buffer(3).open() as rows:
            assert await anext(rows) == 0
            await asyncio.sleep(50)
            assert source.asked == 1 + 3 + 2
            assert [row async for row in rows] == list(range(1, 100))

    with virtual_time() as clock:
        clock.run(main())


def test_a_deep_chain_is_split_by_it() -> None:
    """CONTRACT 23: the stages above it have a stack of their own."""

    def plain(rows: Iterable[int]) -> Iterator[int]:
        for row in rows:  # noqa: UP028
            yield row

    rows: flow.Stage[int] = flow.wrap(range(3))
    for number in range(600):
        rows = rows | plain
        if number % 100 == 0:
            rows = rows.buffer(1)
    assert list(rows) == [0, 1, 2]


def test_in_a_branch_and_in_a_stage() -> None:
    """CONTRACT 13: it may be read by a branch, by a stage that iterates it itself, and by a branch it is given to."""

    def inside() -> Generator[int]:
        for row in flow.wrap(range(3)).buffer(1):
            yield row
            yield from flow.wrap([10 * row]).buffer(1)

    def given(rows: Iterator[int]) -> Iterable[int]:
        return flow.Merge(rows, [7])

    async def main() -> None:
        assert await (flow.wrap([0]) | (lambda _: inside())) == [0, 0, 1, 10, 2, 20]
        rows = flow.wrap(Tracked(range(3), delay=1)).buffer(2)
        assert sorted(await flow.Merge(rows, rows)) == [0, 0, 1, 1, 2, 2]
        assert sorted(await (rows | given)) == [0, 1, 2, 7]

    with virtual_time() as clock:
        clock.run(main())
        assert list(flow.wrap([0]) | (lambda _: inside())) == [0, 0, 1, 10, 2, 20]


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((-1,), ValueError, r"buffer\(n\) must be at least 1"),
        ((True,), TypeError, r"buffer\(n\)"),
        ((1.5,), TypeError, r"buffer\(n\)"),
        (("2",), TypeError, r"buffer\(n\)"),
        ((2, "drop"), ValueError, r"buffer\(overflow\) must be one of 'wait'"),
        ((2, None), TypeError, r"buffer\(overflow\)"),
        ((0, "drop_oldest"), ValueError, "rendezvous"),
        ((2, "latest"), ValueError, "n=1"),
    ],
)
def test_wrong_arguments_fail_when_built(arguments: tuple[Any, ...], error: type[Exception], words: str) -> None:
    """CONTRACT 22: a bound that is none and an unknown policy are refused by the line that wrote them."""
    with pytest.raises(error, match=words):
        flow.wrap([1]).buffer(*arguments)


def test_how_it_is_shown() -> None:
    """In errors and notes it has the name that was written."""
    assert repr(flow.wrap([1]).buffer(3)) == "wrap(list) | buffer(3)"
    assert repr(flow.wrap([1]).buffer(1, "latest")) == "wrap(list) | buffer(1, 'latest')"


# ------------------------------------------------------------------------------------------------------------------
# Torture


def slowly(rows: Iterable[int]) -> Generator[int]:
    for row in rows:
        flow.sleep(1.5)
        yield row


@pytest.mark.parametrize("n", [0, 1, 2])
@pytest.mark.parametrize("below", [None, slowly])
def test_torture(n: int, below: Any) -> None:
    """CONTRACT 14-16: ended at each wait and after each row, in every way, with a slow reader and a quick one."""
    used: list[Tracked[int]] = []

    def make() -> flow.Stage[int]:
        used[:] = [Tracked(range(4), delay=1, cleanup=1)]
        rows = flow.wrap(used[0]).buffer(n)
        return rows if below is None else rows | below

    assert torture(make, tracked=lambda: used, seeds=(None, 1, 2)).rows == [0, 1, 2, 3]


@pytest.mark.parametrize("overflow", OVERFLOWS)
def test_torture_overflow(overflow: Any) -> None:
    """CONTRACT 14-16: the same for each policy, with a source that is ready and one that waits."""
    used: list[Tracked[int]] = []

    def make() -> flow.Stage[int]:
        used[:] = [Tracked(range(4), cleanup=1), Tracked(range(4, 6), delay=1)]
        return flow.wrap(used).flat_map(flow.wrap).buffer(2, overflow)

    assert torture(make, tracked=lambda: used, seeds=(None, 1)).rows == [0, 1, 2, 3, 4, 5]


def test_the_example_is_right() -> None:
    """The docstring's example gives what it says."""
    run_statements(example_of(Buffer) or "")
