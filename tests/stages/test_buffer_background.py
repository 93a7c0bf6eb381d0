"""background(other): a companion that is read beside the rows, for what it does.

CONTRACT 1-5, 8, 10, 14-17.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from typing import Any

import pytest

import flow
from flow.stages.buffer import Beside
from flow.testing import Tracked, nothing_left, torture, virtual_time
from flow.testing.clock import VirtualTime

from ..docs.test_docstrings import example_of, run_statements


def beats(clock: VirtualTime, times: list[float]) -> Callable[[], Generator[None]]:
    """A companion that notes the time each second."""

    def beat() -> Generator[None]:
        while True:
            flow.sleep(1)
            times.append(clock.time())
            yield

    return beat


def fails(after: float, error: BaseException) -> Callable[[], Generator[None]]:
    def failing() -> Generator[None]:
        flow.sleep(after)
        raise error
        yield

    return failing


def test_the_rows_are_those_of_the_stage() -> None:
    """CONTRACT 1, 2: rows of the companion go nowhere, and are no dropped rows."""

    async def main() -> None:
        async with flow.wrap([1, 2, 3]).background([10, 20, 30]).open() as rows:
            assert [row async for row in rows] == [1, 2, 3]
            assert rows.dropped == 0

    asyncio.run(main())
    assert list(flow.wrap([1, 2, 3]).background([10, 20, 30])) == [1, 2, 3]


def test_it_goes_on_while_the_reader_is_busy() -> None:
    """CONTRACT 8: the companion works by itself, also between two rows; it ends with the rows."""
    times: list[float] = []

    async def main() -> None:
        async with flow.wrap(Tracked(range(2), delay=0.25)).background(beats(clock, times)).open() as rows:
            async for _ in rows:
                await asyncio.sleep(3)
        await asyncio.sleep(10)

    with virtual_time() as clock:
        clock.run(main())
    assert times == [1, 2, 3, 4, 5, 6]


def test_it_goes_on_in_a_script_while_something_waits() -> None:
    """CONTRACT 12: a script has nobody else, but its run has: the companion goes on at each wait."""
    times: list[float] = []
    with virtual_time() as clock:
        assert list(flow.wrap(Tracked(range(3), delay=1.5)).background(beats(clock, times))) == [0, 1, 2]
    assert times == [1, 2, 3, 4]


@pytest.mark.parametrize("script", [True, False])
def test_it_is_not_starved_by_rows_that_are_always_ready(script: bool) -> None:
    """CONTRACT 10: rows that never wait leave it its turns, in a script, too."""
    turns = 0

    def turning() -> Generator[int]:
        nonlocal turns
        while True:
            flow.cooperate()
            turns += 1
            yield turns

    def until_it_had_some(rows: Any) -> Generator[int]:
        for row in rows:
            yield row
            if turns > 20:
                return

    rows = flow.wrap(range(10**9)).background(turning) | until_it_had_some
    with virtual_time() as clock:
        assert len(list(rows) if script else clock.run(_list(rows))) < 10**6


def test_nothing_runs_before_the_first_row_is_asked_for() -> None:
    """CONTRACT 4: neither the stage nor its companion; and the stage makes each row when it is asked for."""
    source, other = Tracked(range(5)), Tracked(range(5))
    rows = flow.wrap(source).background(flow.wrap(other))
    assert list(rows[:0]) == []
    assert source.opened == other.opened == 0
    assert list(rows[:2]) == [0, 1]
    assert source.asked == 2
    nothing_left(source, other)


def test_the_end_of_the_companion_is_no_end() -> None:
    """CONTRACT 3: when the companion has ended, the rows go on; when they end, it is cancelled and closed."""
    other = Tracked([1], delay=1, cleanup=1)
    source = Tracked(range(3), delay=2)
    with virtual_time():
        assert list(flow.wrap(source).background(flow.wrap(other))) == [0, 1, 2]
    nothing_left(source, other)
    other = Tracked(range(100), delay=1, cleanup=3)
    with virtual_time() as clock:
        assert list(flow.wrap(Tracked(range(2), delay=1)).background(flow.wrap(other))) == [0, 1]
        assert clock.time() == 5  # its cleanup was waited for
    nothing_left(other)


@pytest.mark.parametrize("busy", [0, 10])
def test_its_failure_ends_the_rows(busy: float) -> None:
    """CONTRACT 3, 16, 17: rows made before come first; the stage is closed; the failure is raised as it is. A reader
    that is busy meets it when it asks next.
    """
    error = OSError("gone")
    source = Tracked(range(100), delay=1, cleanup=1)
    got: list[int] = []

    async def main() -> float:
        loop = asyncio.get_running_loop()
        with pytest.raises(OSError, match="gone") as raised:
            async for row in flow.wrap(source).background(fails(2.5, error)):
                got.append(row)
                if row == 1:
                    await asyncio.sleep(busy)
        assert raised.value is error
        return loop.time()

    with virtual_time() as clock:
        assert clock.run(main()) == (13 if busy else 3.5)
    assert got == [0, 1]
    nothing_left(source)


def test_a_failure_of_the_stage_closes_the_companion() -> None:
    """CONTRACT 16: and a failure of both is an ExceptionGroup, the stage's first."""
    other = Tracked(range(100), delay=1, cleanup=1)
    with virtual_time():
        with pytest.raises(ValueError, match="mine"):
            list(flow.wrap(Tracked([1], delay=1, fail=ValueError("mine"))).background(flow.wrap(other)))
    nothing_left(other)

    def badly() -> Generator[None]:
        try:
            while True:
                flow.sleep(1)
                yield
        finally:
            flow.sleep(1)
            raise OSError("while closing")

    with virtual_time():
        with pytest.raises(ExceptionGroup) as raised:
            list(flow.wrap(Tracked([1], delay=1, fail=ValueError("mine"))).background(badly))
    assert [str(each) for each in raised.value.exceptions] == ["mine", "while closing"]


def test_both_fail_at_the_same_time() -> None:
    """CONTRACT 16: neither failure is lost."""

    def at_once() -> Generator[int]:
        flow.sleep(1)
        raise ValueError("mine")
        yield

    with virtual_time():
        try:
            list(flow.wrap(at_once).background(fails(1, OSError("its"))))
        except* ValueError as group:
            assert str(group.exceptions[0]) == "mine"
        except* OSError as group:
            assert str(group.exceptions[0]) == "its"


def test_a_cancel_closes_both() -> None:
    """CONTRACT 14, 15."""
    source, other = Tracked(range(9), delay=1, cleanup=1), Tracked(range(9), delay=0.3, cleanup=2)

    async def main() -> None:
        task = asyncio.ensure_future(_list(flow.wrap(source).background(flow.wrap(other))))
        await asyncio.sleep(2.5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert source.is_closed
        assert other.is_closed

    with virtual_time() as clock:
        clock.run(main())


async def _list(stage: flow.Stage[Any]) -> list[Any]:
    return await stage


def test_an_interrupt_of_the_companion_reaches_the_caller() -> None:
    """CONTRACT 18: KeyboardInterrupt is no row and no failure: it ends the run."""
    source = Tracked(range(9), delay=1)
    with virtual_time():
        with pytest.raises(KeyboardInterrupt):
            list(flow.wrap(source).background(fails(2.5, KeyboardInterrupt())))
    nothing_left(source)


def test_what_it_takes() -> None:
    """CONTRACT 22: a companion is anything that wrap() takes; anything else is refused by the line that wrote it."""
    with pytest.raises(TypeError, match="wrap"):
        flow.wrap([1]).background(3)
    assert repr(flow.wrap([1]).background([2])) == "wrap(list) | background(wrap(list))"


def test_torture() -> None:
    """CONTRACT 14-16: ended at each wait of either, in every way."""
    used: list[Tracked[int]] = []

    def make() -> flow.Stage[int]:
        used[:] = [Tracked(range(3), delay=1, cleanup=1), Tracked(range(5), delay=0.4, cleanup=1)]
        return flow.wrap(used[0]).background(flow.wrap(used[1]))

    assert torture(make, tracked=lambda: used, seeds=(None, 1, 2)).rows == [0, 1, 2]


def test_the_example_is_right() -> None:
    """The docstring's example gives what it says."""
    run_statements(example_of(Beside) or "")
