"""batched with a time, with a weight, and behind ``|``.

CONTRACT 1-5, 7, 8, 10, 14-16, 20, 22.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Iterator
from functools import partial
from itertools import chain, count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flow
from flow.core.microthread import current
from flow.stages.batch import Batches
from flow.testing import Tracked, VirtualLoop, nothing_left, torture, virtual_time

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

rows = flow.wrap([1])

# ------------------------------------------------------------------------------------------------------------------
# Within a time


@both
def test_a_batch_is_full_or_its_time_is_over(read: Read) -> None:
    """CONTRACT 1, 2, 8: n rows, or what came in so many seconds of the first, whichever is first."""
    source = flow.wrap(at(0, 0.5, 1, 1.25, 5, 6.5, 10, 10, 10, 10, 11))
    assert read(source.batched(3, within=1)) == [
        ((0, 1, 2), 1),
        ((3,), 2.25),
        ((4,), 6),
        ((5,), 7.5),
        ((6, 7, 8), 10),
        ((9, 10), 11),
    ]


@both
def test_a_full_batch_does_not_wait(read: Read) -> None:
    assert read(flow.wrap(Tracked(range(6), delay=1)).batched(2, within=99)) == [((0, 1), 2), ((2, 3), 4), ((4, 5), 6)]
    assert read(flow.wrap(Tracked(range(3), delay=1)).batched(1, within=0)) == [((0,), 1), ((1,), 2), ((2,), 3)]


@both
def test_the_end_does_not_wait(read: Read) -> None:
    """CONTRACT 5: what is there at the end comes at once."""
    assert read(flow.wrap(Tracked(range(3), delay=1)).batched(9, within=99)) == [((0, 1, 2), 3)]
    assert read(flow.wrap([]).batched(9, within=1)) == []
    assert read(flow.wrap(range(4)).batched(2, within=1)) == [((0, 1), 0), ((2, 3), 0)]


@both
def test_what_is_ready_now(read: Read) -> None:
    """``within=0``: a batch is handed on when its input waits; up to n rows of what is there."""
    source = flow.wrap([1, 2, flow.Cooperate(1), 3, 4, 5, 6, 7, flow.Cooperate(1), 8])
    assert read(source.batched(3, within=0)) == [((1, 2), 0), ((3, 4, 5), 1), ((6, 7), 1), ((8,), 2)]


def test_the_time_begins_with_the_first_row() -> None:
    """Not with the asking, and not while the reader is busy: its input is not asked then."""
    source = Tracked(range(5), delay=[7, 0.5, 0.5, 0.5, 0.5])
    assert in_script(flow.wrap(source).batched(9, within=0.75)) == [((0, 1), 7.75), ((2, 3), 8.75), ((4,), 9)]
    assert on_asyncio(flow.wrap(source).batched(9, within=0.75), busy=5) == [
        ((0, 1), 7.75),
        ((2, 3), 13.5),
        ((4,), 18.5),
    ]


@settings(max_examples=60)
@given(
    delays=st.lists(st.sampled_from([0, 0, 0, 0.25, 0.5, 1.125, 3]), max_size=14),
    n=st.integers(1, 5),
    within=st.sampled_from([0, 0.375, 1, 10]),
    read=st.sampled_from([in_script, on_asyncio]),
)
def test_batches_are_those_of_a_model(delays: list[float], n: int, within: float, read: Read) -> None:
    """CONTRACT 1, 2, 8: against a loop over the times at which the rows come."""
    expected: list[tuple[tuple[int, ...], float]] = []
    batch: list[int] = []
    now = first = 0.0
    for row, delay in enumerate(delays):
        if batch and delay and first + within < now + delay:
            expected.append((tuple(batch), max(now, first + within)))
            batch = []
        now += delay
        first = first if batch else now
        batch.append(row)
        if len(batch) == n:
            expected.append((tuple(batch), now))
            batch = []
    if batch:
        expected.append((tuple(batch), now))
    assert read(flow.wrap(Tracked(range(len(delays)), delay=delays)).batched(n, within=within)) == expected


def test_a_batch_within_a_time_asks_for_its_own_rows_only() -> None:
    """CONTRACT 4, 20: nothing runs before it is asked for; then n rows for each batch, and none while it is read."""
    source = Tracked(range(99))
    stage = flow.wrap(source).batched(4, within=1)
    for _ in range(2):
        before = source.asked
        with virtual_time(), stage.open() as batches:
            for number in range(1, 5):
                next(batches)
                assert source.asked - before == 4 * number
    assert source.is_closed


def test_a_source_that_is_always_ready_costs_no_timer() -> None:
    """A clock is read, and a timer made, only while there is a wait."""
    made = 0

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        before = loop.call_at

        def counted(*args: Any, **kwargs: Any) -> Any:
            nonlocal made
            made += 1
            return before(*args, **kwargs)

        loop.call_at = counted
        batches = await flow.wrap(range(10_000)).batched(100, within=1)
        assert len(batches) == 100

    with virtual_time() as clock:
        clock.run(main())
    assert made == 0


@both
def test_a_busy_source_is_handed_on_in_time(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    """A source that never waits, and takes long for its rows: what it made is looked at when it gives its turn away.

    In a script, too, which has no slices otherwise. Each row takes 1 ms of the virtual time, for slices as well.
    """
    monkeypatch.setattr(VirtualLoop, "slice_clock", lambda loop: loop.clock.time)

    def slow() -> Generator[int]:
        strand = current()
        assert strand is not None
        loop: Any = strand.loop
        for number in range(300):
            loop.loop.clock.time += 0.001
            yield number

    batches = read(flow.wrap(slow).batched(5000, within=0.1))
    assert [*chain.from_iterable(batch for batch, _ in batches)] == [*range(300)]
    assert 2 <= len(batches) <= 3
    assert batches[0][1] <= 0.1 + 0.011


async def collected(stage: Any) -> list[Any]:
    rows: list[Any] = await stage
    return rows


# ------------------------------------------------------------------------------------------------------------------
# By weight


@both
def test_a_batch_weighs_so_much_at_most(read: Read) -> None:
    """CONTRACT 1, 2: the row that does not fit begins the next batch; one that is too heavy is a batch of its own."""
    source = flow.wrap(["aa", "b", "c", "dddd", "e", "", "fff", "g"])
    batches = [(("aa", "b"), 0), (("c",), 0), (("dddd",), 0), (("e", ""), 0), (("fff",), 0), (("g",), 0)]
    assert read(source.batched(99, weight=len, max_weight=3)) == batches
    assert read(source.batched(99, weight=len, max_weight=3, within=1)) == batches


@both
def test_a_batch_by_weight_has_n_rows_at_most(read: Read) -> None:
    """CONTRACT 20: whatever weighs nothing, too."""
    source = flow.wrap(["", "", "", "aa", "bb"])
    assert read(source.batched(2, weight=len, max_weight=3)) == [(("", ""), 0), (("", "aa"), 0), (("bb",), 0)]
    assert read(source.batched(2, weight=len, max_weight=3, within=1)) == [(("", ""), 0), (("", "aa"), 0), (("bb",), 0)]


def recipe(rows: list[float], n: int, most: float) -> list[tuple[float, ...]]:
    batches: list[list[float]] = []
    for row in rows:
        if batches and len(batches[-1]) < n and sum(batches[-1]) + row <= most and sum(batches[-1]) < most:
            batches[-1].append(row)
        else:
            batches.append([row])
    return [tuple(batch) for batch in batches]


@given(st.lists(st.sampled_from([0, 0.5, 1, 2, 3, 7])), st.integers(1, 4), st.sampled_from([0.5, 3, 5]))
def test_batches_by_weight_are_those_of_a_recipe(rows: list[float], n: int, most: float) -> None:
    """CONTRACT 1, 2: with and without a time."""
    weighed = partial(flow.wrap(rows).batched, n, weight=lambda row: row, max_weight=most)
    assert list(weighed()) == list(weighed(within=9)) == recipe(rows, n, most)


@both
def test_a_weight_may_be_awaited(read: Read) -> None:
    async def weight(row: str) -> int:
        await asyncio.sleep(0.5)
        return len(row)

    source = flow.wrap(["aa", "b", "cccc"])
    assert read(source.batched(9, weight=weight, max_weight=3)) == [(("aa", "b"), 1), (("cccc",), 1.5)]
    assert read(source.batched(9, weight=weight, max_weight=3, within=9)) == [(("aa", "b"), 1), (("cccc",), 1.5)]


@both
def test_time_and_weight(read: Read) -> None:
    """Whichever is first; the row that did not fit came when it came, also when its reader was busy since then."""
    source = flow.wrap(Tracked(["aa", "bb", "c", "d"], delay=[1, 1, 3, 1]))
    weighed = source.batched(9, weight=len, max_weight=3, within=1.5)
    assert read(weighed) == [(("aa",), 2), (("bb",), 3.5), (("c", "d"), 6)]


def test_a_row_that_did_not_fit_waits_no_longer_for_a_busy_reader() -> None:
    source = flow.wrap(Tracked(["aa", "bb", "c"], delay=[1, 1, 9]))
    weighed = source.batched(9, weight=len, max_weight=3, within=1.5)
    assert on_asyncio(weighed, busy=5) == [(("aa",), 2), (("bb",), 7), (("c",), 16)]


@pytest.mark.parametrize("within", [None, 1])
@pytest.mark.parametrize("bad", [-1, float("nan"), "x", None, True])
def test_a_weight_that_is_none(bad: Any, within: float | None) -> None:
    """CONTRACT 3: an error, after the rows before."""
    source = flow.wrap([1, 2, 3])
    weighed = source.batched(9, weight=lambda row: bad if row == 3 else 1, max_weight=9, within=within)
    got = []
    with (
        virtual_time(),
        pytest.raises(ValueError, match=r"batched\(weight\): what weight\(row\) gives must be a number"),
    ):
        for batch in weighed:
            got.append(batch)
    assert got == [(1, 2)]


@pytest.mark.parametrize("within", [None, 1])
def test_a_batch_by_weight_asks_for_one_row_more(within: float | None) -> None:
    """CONTRACT 4, 16, 20: it looks at the row that does not fit, and holds it; when left, it drops and counts it."""
    source = Tracked(["aa", "bb", "cc", "dd"])
    stage = flow.wrap(source).batched(9, weight=len, max_weight=3, within=within)
    assert left_after(stage, 2) == ([("aa",), ("bb",)], ["cc"])
    assert source.asked == 3


# ------------------------------------------------------------------------------------------------------------------
# Both: failures, cancels, leaving

TIMED: dict[str, Callable[[flow.Stage[Any]], flow.Stage[Any]]] = {
    "within": lambda rows: rows.batched(3, within=1.5),
    "within 0": lambda rows: rows.batched(3, within=0),
    "within long": lambda rows: rows.batched(3, within=60),
    "weight": lambda rows: rows.batched(9, weight=lambda row: row, max_weight=4),
    "weight within": lambda rows: rows.batched(9, weight=lambda row: row, max_weight=4, within=1.5),
}
each = pytest.mark.parametrize("name", TIMED)


@each
def test_torture(name: str) -> None:
    """CONTRACT 14-16: ended at each wait and after each row, in every way; rows before a failure are not lost (3)."""
    sources: list[Tracked[int]] = []

    def make() -> flow.Stage[Any]:
        sources[:] = [Tracked(range(6), delay=[1, 0, 2, 1, 0.5, 0], cleanup=1)]
        return TIMED[name](flow.wrap(sources[0])).flat_map(list)

    report = torture(make, tracked=lambda: sources, seeds=(None, 1, 2, 3))
    assert report.rows == [*range(6)]
    assert report.runs["cancelled"] >= 4 * 5


@each
def test_rows_before_a_failure_come_as_a_batch(name: str) -> None:
    """CONTRACT 3."""
    source = Tracked([1, 2, 3, 1], delay=0.25, fail=OSError("gone"))
    got, failed = until_it_fails(TIMED[name](flow.wrap(source)), OSError)
    assert [*chain.from_iterable(batch for batch, _ in got)] == [1, 2, 3, 1]
    assert got[-1][1] <= 1
    assert failed == ("gone", 1)
    assert source.is_closed


@pytest.mark.parametrize("name", ["within", "within long", "weight", "weight within"])
def test_rows_of_an_unfinished_batch_are_counted(name: str) -> None:
    """CONTRACT 16: a cancel drops them, and says so."""
    source = Tracked([0, 0, 0, 9, 0, 0, 0], delay=1)
    got, dropped = cancelled_at(TIMED[name](flow.wrap(source)), 5.25)
    assert [*chain.from_iterable(got), *dropped] == [0, 0, 0, 9, 0]
    assert dropped


@each
def test_a_source_that_never_gives_a_row(name: str) -> None:
    """CONTRACT 8, 14: it waits without a timer, and can be left."""
    assert cancelled_at(TIMED[name](flow.wrap(never)), 5) == ([], [])
    nothing_left()


def test_one_timer_at_most() -> None:
    """CONTRACT 8: rows that are pushed, so that no timer is the source's: one while a batch waits, none after it."""
    seen = []

    async def main() -> None:
        ticks: flow.Callback[int] = flow.Callback()
        reading = asyncio.create_task(collected(ticks.batched(9, within=2)))
        await asyncio.sleep(0)
        for wait in (0.5, 0.5, 1.5, 1):
            seen.append(len(timers()))
            ticks(1)
            await asyncio.sleep(wait)
        seen.append(len(timers()))
        ticks.finish()
        assert await reading == [(1, 1, 1), (1,)]
        assert timers() == []

    with virtual_time() as clock:
        clock.run(main())
    assert seen == [0, 1, 1, 0, 1]


@pytest.mark.parametrize("how", [by_rows, by_list, by_blocks])
@each
def test_a_source_that_always_has_a_row(name: str, how: Any) -> None:
    """CONTRACT 10: the loop keeps its turns; the same when nothing of it passes."""
    for source in (endless(), endless().filter(lambda n: False)):
        with virtual_time() as clock:
            assert clock.run(longest_wait([how(TIMED[name](source))])) <= 2
    nothing_left()


def test_a_branch_may_read_batches() -> None:
    """CONTRACT 8, 13: a stage gives its input, which keeps time, to a branch: each waits for itself."""

    def beside(batches: Iterator[Any]) -> Iterator[Any]:
        first = next(batches)
        yield first
        yield from flow.Merge(batches, Tracked("abc", delay=0.75))

    source = flow.wrap(Tracked(range(6), delay=1))
    expected = [((0, 1), 2), ("a", 2.75), ("b", 3.5), ((2, 3), 4), ("c", 4.25), ((4, 5), 6)]
    assert in_script(source.batched(2, within=9) | beside) == expected
    assert on_asyncio(source.batched(2, within=9) | beside) == expected


# ------------------------------------------------------------------------------------------------------------------
# Behind `|`


def test_batched_behind_the_bar() -> None:
    """``rows | flow.batched(...)`` is ``rows.batched(...)``: it is given the stage, so that it can keep time."""
    source = flow.wrap(Tracked(range(5), delay=1))
    step = flow.batched(2, within=9)
    assert in_script(source | step) == in_script(source.batched(2, within=9)) == [((0, 1), 2), ((2, 3), 4), ((4,), 5)]
    assert list(flow.wrap("abc") | step) == [("abc",)]  # it holds no state, and can be used again
    assert list(source.pipe(flow.batched(9))) == [(0, 1, 2, 3, 4)]
    assert repr(step) == "batched(2, within=9)"
    assert repr(rows | flow.batched(3, weight=len, max_weight=9)) == "wrap(list) | batched(3, max_weight=9)"
    assert isinstance(step, Batches)


def test_a_step_of_ones_own() -> None:
    """Anything with `attached_to` is given the stage, whether or not it can be called."""

    class Twice:
        def attached_to(self, stage: flow.Stage[Any], /) -> flow.Stage[Any]:
            return flow.Merge(stage, stage)

        def __call__(self, rows: Any) -> Any:
            raise AssertionError("it has a better way")

    assert list(flow.wrap([1, 2]) | Twice()) == [1, 1, 2, 2]
    assert list(flow.wrap([1, 2]) | Twice() | flow.batched(3)) == [(1, 1, 2), (2,)]


@pytest.mark.parametrize("make", [flow.batched, rows.batched])
@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"n": 0}, ValueError, r"batched\(n\): n must be at least 1"),
        ({"n": 1, "within": -1}, ValueError, r"batched\(within\)"),
        ({"n": 1, "within": float("nan")}, ValueError, r"batched\(within\)"),
        ({"n": 1, "within": float("inf")}, ValueError, r"batched\(within\)"),
        ({"n": 1, "within": "1"}, TypeError, r"batched\(within\)"),
        ({"n": 1, "weight": len}, TypeError, r"give both"),
        ({"n": 1, "max_weight": 1}, TypeError, r"give both"),
        ({"n": 1, "weight": 1, "max_weight": 1}, TypeError, r"batched\(weight\)"),
        ({"n": 1, "weight": len, "max_weight": 0}, ValueError, r"batched\(max_weight\)"),
        ({"n": 1, "weight": len, "max_weight": float("nan")}, ValueError, r"batched\(max_weight\)"),
        ({"n": 1, "weight": len, "max_weight": "1"}, TypeError, r"batched\(max_weight\)"),
    ],
)
def test_wrong_arguments_fail_when_it_is_built(
    make: Any, arguments: dict[str, Any], error: type[Exception], text: str
) -> None:
    """CONTRACT 22: in the line that wrote them, naming the argument and what is allowed."""
    n = arguments["n"]
    with pytest.raises(error, match=text):
        make(n, **{name: value for name, value in arguments.items() if name != "n"})


def test_the_example_is_right() -> None:
    code = example_of(flow.batched)
    assert code is not None
    run_statements(code)


def test_an_endless_source_of_batches_is_lazy() -> None:
    """CONTRACT 4: two batches ask for two batches."""
    source = Tracked(count())
    with virtual_time():
        assert list(flow.wrap(source).batched(3, within=1)[:2]) == [(0, 1, 2), (3, 4, 5)]
    assert source.asked == 6


@both
def test_a_batch_that_is_never_full_needs_no_room(read: Read) -> None:
    """CONTRACT 20: room is made for rows that come, and not for all that `n` would allow."""
    stage = flow.wrap(Tracked("abc", delay=1)).batched(10**12, within=1.5)
    assert read(stage) == [(("a", "b"), 2.5), (("c",), 3)]
