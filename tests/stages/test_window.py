"""window: by number, by time, by gap; which rows are in which window, and when it comes.

CONTRACT 1-5, 7, 8, 10, 14-16, 20-22.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import chain, count, pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flow
from flow.testing import Tracked, nothing_left, torture, virtual_time

from ..docs.test_docstrings import example_of, run_statements
from ..loops.test_fairness import by_blocks, by_list, by_rows, longest_wait
from .when import (
    Read,
    at,
    both,
    cancelled_at,
    endless,
    in_script,
    left_after,
    never,
    on_asyncio,
    timers,
    until_it_fails,
)

# ------------------------------------------------------------------------------------------------------------------
# By number


def recipe(rows: list[Any], n: int, step: int) -> list[tuple[Any, ...]]:
    """Every window that has a row which the one before it has not."""
    starts = [start for start in range(0, len(rows), step) if start == 0 or start + n - step < len(rows)]
    return [tuple(rows[start : start + n]) for start in starts]


@given(st.lists(st.integers(), max_size=20), st.integers(1, 6), st.integers(1, 8))
def test_windows_are_those_of_a_recipe(rows: list[int], n: int, step: int) -> None:
    """CONTRACT 1, 2: tumbling, sliding and with rows left out between; the last one maybe shorter, none empty."""
    assert list(flow.wrap(rows).window(n, step)) == recipe(rows, n, step)
    assert list(flow.wrap(iter(rows)).window(n, step=step)) == recipe(rows, n, step)


@given(st.lists(st.integers(), max_size=20), st.integers(1, 6))
def test_windows_without_a_step_are_batches(rows: list[int], n: int) -> None:
    assert list(flow.wrap(rows).window(n)) == list(flow.wrap(rows).batched(n))


def test_windows_of_two_are_pairs() -> None:
    """But for a single row, which is in no pair."""
    assert list(flow.wrap(list("abcd")).window(2, 1)) == list(pairwise("abcd"))
    assert list(flow.wrap(["a"]).window(2, 1)) == [("a",)]


def test_a_window_asks_for_its_own_rows_only() -> None:
    """CONTRACT 4, 20."""
    source = Tracked(range(99))
    with flow.wrap(source).window(3, 2).open() as windows:
        assert source.asked == 0
        for number in range(4):
            next(windows)
            assert source.asked == 3 + 2 * number
    with flow.wrap(source).window(2, 5).open() as windows:
        before = source.asked
        next(windows)
        assert source.asked == before + 2
        next(windows)
        assert source.asked == before + 7


@pytest.mark.parametrize(
    ("n", "step", "expected"),
    [
        (2, 2, [(0, 1), (2, 3), (4,)]),
        (3, 1, [(0, 1, 2), (1, 2, 3), (2, 3, 4)]),
        (4, 2, [(0, 1, 2, 3), (2, 3, 4)]),
        (9, 1, [(0, 1, 2, 3, 4)]),
        (1, 3, [(0,), (3,)]),
        (5, 9, [(0, 1, 2, 3, 4)]),
    ],
)
def test_rows_before_a_failure_come_as_a_window(n: int, step: int, expected: list[Any]) -> None:
    """CONTRACT 3."""
    got = []
    with pytest.raises(OSError, match="gone"):
        for window in flow.wrap(Tracked(range(5), fail=OSError("gone"))).window(n, step):
            got.append(window)
    assert got == expected


def test_rows_of_an_unfinished_window_are_counted() -> None:
    """CONTRACT 16: those that were in no window."""
    assert cancelled_at(flow.wrap(Tracked(range(9), delay=1)).window(3, 2), 4.5) == ([(0, 1, 2)], [3])


class Reviving:
    """An iterator that ends, and gives rows again when it is asked once more."""

    def __init__(self) -> None:
        self.asked = 0

    def __iter__(self) -> Reviving:
        return self

    def __next__(self) -> int:
        self.asked += 1
        if self.asked in (6, 12):
            raise StopIteration
        return self.asked


@pytest.mark.parametrize(("n", "step"), [(3, 3), (2, 3), (1, 4), (3, 1), (5, 5), (9, 1), (2, 6)])
def test_an_iterator_is_not_asked_again_after_its_end(n: int, step: int) -> None:
    """CONTRACT 3."""
    source = Reviving()
    assert list(flow.wrap(source).window(n, step)) == recipe([1, 2, 3, 4, 5], n, step)
    assert source.asked == 6


# ------------------------------------------------------------------------------------------------------------------
# By time


@both
def test_windows_follow_each_other(read: Read) -> None:
    """CONTRACT 8: what came in each period, at its end, an empty one too; the end of the input ends the last one."""
    source = flow.wrap(at(0, 0.5, 1.5, 2, 7, 7.25))
    assert read(source.window(seconds=2)) == [((0, 1, 2), 2), ((3,), 4), ((), 6), ((4, 5), 7.25)]


@both
def test_a_row_that_comes_when_a_window_ends_belongs_to_the_next(read: Read) -> None:
    """Whichever of the two the loop looks at first."""
    assert read(flow.wrap(at(1, 2, 4, 5)).window(seconds=2)) == [((0,), 2), ((1,), 4), ((2, 3), 5)]


@both
def test_windows_overlap(read: Read) -> None:
    """`every` less than `seconds`: a row is in several windows; all that have rows come at the end."""
    source = flow.wrap(Tracked(range(5), delay=1))
    assert read(source.window(seconds=2.5, every=1)) == [
        ((0, 1), 2.5),
        ((0, 1, 2), 3.5),
        ((1, 2, 3), 4.5),
        ((2, 3, 4), 5),
        ((3, 4), 5),
        ((4,), 5),
    ]


@both
def test_windows_with_time_between(read: Read) -> None:
    """`every` more than `seconds`: what comes between two windows is left out."""
    source = flow.wrap(Tracked(range(9), delay=1))
    assert read(source.window(seconds=1.5, every=3)) == [((0,), 1.5), ((2, 3), 4.5), ((5, 6), 7.5), ((8,), 9)]
    assert read(flow.wrap(at(1, 2)).window(seconds=1.5, every=3)) == [((0,), 1.5)]


@settings(max_examples=60)
@given(
    delays=st.lists(st.sampled_from([0, 0.25, 0.5, 1.25, 2, 5]), max_size=12),
    seconds=st.sampled_from([0.5, 1, 2.5]),
    every=st.sampled_from([None, 0.5, 1, 3]),
    busy=st.sampled_from([0, 0.125, 1.75, 6]),
)
def test_a_slow_reader_gets_the_windows_that_a_quick_one_gets(
    delays: list[float], seconds: float, every: float | None, busy: float
) -> None:
    """CONTRACT 1, 2: the rows of each window are those that came in its time, whenever it is read."""
    times = [sum(delays[: number + 1]) for number in range(len(delays))]
    got = [window for window, _ in on_asyncio(flow.wrap(at(*times)).window(seconds=seconds, every=every), busy)]
    period = every or seconds
    expected = [
        tuple(row for row, time in enumerate(times) if number * period <= time < number * period + seconds)
        for number in range(1 + int(times[-1] / period) if times else 0)
    ]
    while expected and expected[-1] == () and len(got) < len(expected):
        expected.pop()  # one that was not over at the end
    # A reader that is busy past the end of the input may find that more time has passed, but no more rows.
    assert got == expected


def test_windows_are_counted_from_the_first_asking() -> None:
    """CONTRACT 4, 7."""
    stage = flow.wrap(Tracked(range(3), delay=1)).window(seconds=1.5)

    def twice(rows: Any) -> Any:
        flow.sleep(10)
        yield from stage
        yield from stage

    assert in_script(flow.wrap([]) | twice) == [
        ((0,), 11.5),
        ((1,), 13),
        ((2,), 13),
        ((0,), 14.5),
        ((1,), 16),
        ((2,), 16),
    ]


def test_windows_of_a_source_that_gives_nothing_are_empty() -> None:
    assert on_asyncio(flow.wrap(never).window(seconds=2)[:3]) == [((), 2), ((), 4), ((), 6)]


def test_windows_of_a_reader_that_is_always_late() -> None:
    """CONTRACT 13: a script's loop has turns only while its flow waits, and it has one for each window."""
    got = []
    with virtual_time() as clock:
        for window in flow.wrap(Tracked("abc", delay=1)).window(seconds=0.5):
            got.append(window)
            clock.clock.time += 2
            assert len(got) < 20
    assert [*chain.from_iterable(got)] == ["a", "b", "c"]


def test_a_window_holds_so_many_rows() -> None:
    """CONTRACT 20, 21: when it holds `most`, its input is held back until rows belong to no window any more."""
    source = Tracked(range(10))
    assert on_asyncio(flow.wrap(source).window(seconds=1, most=4)) == [
        ((0, 1, 2, 3), 1),
        ((4, 5, 6, 7), 2),
        ((8, 9), 2),
    ]
    source = Tracked(range(10))
    overlapping = on_asyncio(flow.wrap(source).window(seconds=2, every=1, most=4))
    assert [window for window, _ in overlapping[:3]] == [(0, 1, 2, 3), (4, 5, 6, 7), (4, 5, 6, 7)]
    assert sorted(set(chain.from_iterable(window for window, _ in overlapping))) == [*range(10)]


def test_a_window_waits_for_its_time_with_a_busy_reader() -> None:
    """CONTRACT 20: at most `most` rows are held while the reader is busy, too."""
    source = Tracked(count())

    async def main() -> None:
        async with flow.wrap(source).window(seconds=1, most=5).open() as windows:
            assert await anext(windows) == (0, 1, 2, 3, 4)
            await asyncio.sleep(100)
            assert source.asked == 10

    with virtual_time() as clock:
        clock.run(main())


# ------------------------------------------------------------------------------------------------------------------
# By gap


@both
def test_a_gap_ends_a_window(read: Read) -> None:
    """CONTRACT 8: `gap` seconds after its last row; the end of the input ends the last one at once. None is empty."""
    source = flow.wrap(at(1, 1.5, 2.25, 5, 9, 9.75))
    assert read(source.window(gap=1)) == [((0, 1, 2), 3.25), ((3,), 6), ((4, 5), 9.75)]


@both
def test_a_row_that_comes_when_the_gap_is_over_begins_a_window(read: Read) -> None:
    """Whichever of the two the loop looks at first."""
    assert read(flow.wrap(at(1, 2, 2.5)).window(gap=1)) == [((0,), 2), ((1, 2), 2.5)]


def test_a_slow_reader_gets_the_same_sessions() -> None:
    source = flow.wrap(at(1, 1.5, 2.25, 5, 9, 9.75))
    assert on_asyncio(source.window(gap=1), busy=20) == [((0, 1, 2), 3.25), ((3,), 23.25), ((4, 5), 43.25)]


@both
def test_a_session_has_so_many_rows(read: Read) -> None:
    """CONTRACT 20, 21: one of `most` rows is handed on, and the next row begins another."""
    source = flow.wrap(Tracked(range(5), delay=0.5))
    assert read(source.window(gap=1, most=2)) == [((0, 1), 1), ((2, 3), 2), ((4,), 2.5)]


def test_a_session_holds_so_many_rows_while_the_reader_is_busy() -> None:
    source = Tracked(count())

    async def main() -> None:
        async with flow.wrap(source).window(gap=1, most=5).open() as windows:
            assert await anext(windows) == (0, 1, 2, 3, 4)
            await asyncio.sleep(100)
            assert source.asked == 10

    with virtual_time() as clock:
        clock.run(main())


# ------------------------------------------------------------------------------------------------------------------
# All of them

WINDOWS: dict[str, Callable[[flow.Stage[Any]], flow.Stage[Any]]] = {
    "number": lambda rows: rows.window(2),
    "sliding": lambda rows: rows.window(3, 1),
    "left out": lambda rows: rows.window(1, 2),
    "time": lambda rows: rows.window(seconds=2.25),
    "hopping": lambda rows: rows.window(seconds=2.25, every=1),
    "time of little": lambda rows: rows.window(seconds=2.25, most=1),
    "gap": lambda rows: rows.window(gap=0.75),
    "gap of little": lambda rows: rows.window(gap=0.75, most=2),
}
each = pytest.mark.parametrize("name", WINDOWS)


@each
def test_torture(name: str) -> None:
    """CONTRACT 14-16: ended at each wait and after each row, in every way."""
    sources: list[Tracked[int]] = []

    def make() -> flow.Stage[Any]:
        sources[:] = [Tracked(range(5), delay=[1, 0, 2, 1, 0.5], cleanup=1)]
        return WINDOWS[name](flow.wrap(sources[0]))

    report = torture(make, tracked=lambda: sources, seeds=(None, 1, 2, 3), ordered=None)
    assert report.runs["cancelled"] >= 4 * 4


@pytest.mark.parametrize("name", ["number", "time", "time of little", "gap", "gap of little"])
def test_torture_loses_no_row(name: str) -> None:
    """CONTRACT 2, 3: the rows that came are the first ones, each once; what a wait of its own loses is counted."""
    sources: list[Tracked[int]] = []

    def make() -> flow.Stage[Any]:
        sources[:] = [Tracked(range(5), delay=[1, 0, 2, 1, 0.5], cleanup=1)]
        return WINDOWS[name](flow.wrap(sources[0])).flat_map(list)

    assert torture(make, tracked=lambda: sources, seeds=(None, 1, 2)).rows == [*range(5)]


@each
def test_a_failure_comes_after_the_rows_before_it(name: str) -> None:
    """CONTRACT 3: windows that have rows come at once, then the failure."""
    source = Tracked(range(3), delay=0.5, fail=OSError("gone"))
    got, failed = until_it_fails(WINDOWS[name](flow.wrap(source)), OSError)
    found = {*chain.from_iterable(window for window, _ in got)}
    assert found == ({0, 2} if name == "left out" else {0, 1, 2})
    if name != "time of little":
        assert failed == ("gone", 1.5)
    assert source.is_closed


def test_rows_that_are_held_are_counted() -> None:
    """CONTRACT 16: those that were in no window; not those that stay for another one."""
    source = flow.wrap(Tracked(range(9), delay=1))
    assert cancelled_at(source.window(seconds=2.5), 4.25) == ([(0, 1)], [2, 3])
    assert cancelled_at(source.window(seconds=2.5, every=1), 4.25) == ([(0, 1), (0, 1, 2)], [3])
    assert left_after(source.window(seconds=2.5, every=1), 2) == ([(0, 1), (0, 1, 2)], [])
    assert cancelled_at(source.window(gap=2), 4.25) == ([], [0, 1, 2, 3])


@each
def test_nothing_runs_before_the_first_row_is_asked_for(name: str) -> None:
    """CONTRACT 4, 7: and it can be read again."""
    source = Tracked(range(3))
    stage = WINDOWS[name](flow.wrap(source))

    async def main() -> None:
        async with stage.open() as windows:
            await asyncio.sleep(1)
            assert source.opened == 0
            first = await anext(windows)
        async with stage.open() as windows:
            assert await anext(windows) == first

    with virtual_time() as clock:
        clock.run(main())
    assert source.opened == source.closed == 2


@pytest.mark.parametrize("name", ["gap", "gap of little", "number"])
def test_a_source_that_never_gives_a_row(name: str) -> None:
    """CONTRACT 8, 14: it waits without a timer, and can be left. (A window by time has its end to wait for.)"""
    seen = []

    async def read() -> None:
        async for _ in WINDOWS[name](flow.wrap(never)):
            raise AssertionError("a window")

    async def main() -> None:
        reading = asyncio.create_task(read())
        await asyncio.sleep(5)
        seen.append(timers())
        reading.cancel()
        await asyncio.wait([reading])
        assert timers() == []

    with virtual_time() as clock:
        clock.run(main())
    assert seen == [[]]
    nothing_left()


@each
def test_one_timer_at_most(name: str) -> None:
    """CONTRACT 8, 14: rows that are pushed, so that no timer is the source's: one at most, and none after it."""
    most = 0

    async def read(ticks: flow.Callback[int]) -> None:
        async for _ in WINDOWS[name](ticks):
            pass

    async def main() -> None:
        nonlocal most
        ticks: flow.Callback[int] = flow.Callback()
        reading = asyncio.create_task(read(ticks))
        for number in range(40):
            ticks(number)
            await asyncio.sleep(0.3 if number % 7 else 2)
            most = max(most, len(timers()))
        ticks.finish()
        await reading
        assert timers() == []

    with virtual_time() as clock:
        clock.run(main())
    assert most <= 1


@pytest.mark.parametrize("how", [by_rows, by_list, by_blocks])
@each
def test_a_source_that_always_has_a_row(name: str, how: Any) -> None:
    """CONTRACT 10: the loop keeps its turns; the same when nothing of it passes."""
    for source in (endless(), endless().filter(lambda n: False)):
        with virtual_time() as clock:
            assert clock.run(longest_wait([how(WINDOWS[name](source))])) <= 2
    nothing_left()


# ------------------------------------------------------------------------------------------------------------------
# Wrong arguments, and what is said of them

rows = flow.wrap([1])


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (((), {}), TypeError, r"window\(\) takes one of these"),
        (((2,), {"seconds": 1}), TypeError, r"window\(\) takes one of these"),
        (((), {"seconds": 1, "gap": 1}), TypeError, r"window\(\) takes one of these"),
        (((), {"step": 1, "gap": 1}), TypeError, r"window\(\) takes one of these"),
        (((2,), {"every": 1}), TypeError, r"window\(\) takes one of these"),
        (((0,), {}), ValueError, r"window\(n\): n must be at least 1"),
        (((1.5,), {}), TypeError, r"window\(n\): n"),
        (((2,), {"step": 0}), ValueError, r"window\(step\)"),
        (((), {"seconds": 0}), ValueError, r"window\(seconds\)"),
        (((), {"seconds": float("inf")}), ValueError, r"window\(seconds\)"),
        (((), {"seconds": 1, "every": -1}), ValueError, r"window\(every\)"),
        (((), {"gap": float("nan")}), ValueError, r"window\(gap\)"),
        (((), {"gap": 1, "most": 0}), ValueError, r"window\(most\)"),
        (((), {"gap": 1, "most": float("inf")}), TypeError, r"window\(most\)"),
    ],
)
def test_wrong_arguments_fail_when_it_is_built(arguments: Any, error: type[Exception], text: str) -> None:
    """CONTRACT 22: in the line that wrote them, naming the argument and what is allowed."""
    given_, named = arguments
    with pytest.raises(error, match=text):
        rows.window(*given_, **named)


def test_how_they_are_shown() -> None:
    assert repr(rows.window(2)) == "wrap(list) | window(2, step=2)"
    assert repr(rows.window(seconds=60)) == "wrap(list) | window(seconds=60, every=60)"
    assert repr(rows.window(gap=2.5).map(len)) == "wrap(list) | window(gap=2.5) | map(len)"


def test_the_example_is_right() -> None:
    from flow.stages.window import window

    code = example_of(window)
    assert code is not None
    run_statements(code)
