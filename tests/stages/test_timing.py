"""every, delay, rate_limit, debounce, sample: when each row comes, to the tick.

CONTRACT 1-5, 7, 8, 10, 14-16, 20-22.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from itertools import count, islice
from typing import Any

import pytest

import flow
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

# ------------------------------------------------------------------------------------------------------------------
# every


@both
def test_ticks_come_every_so_many_seconds(read: Read) -> None:
    """CONTRACT 8: tick n at n times the period, the first one at once."""
    assert read(flow.every(2)[:4]) == [(0, 0), (1, 2), (2, 4), (3, 6)]


@both
def test_the_first_tick_may_be_later(read: Read) -> None:
    """`first` seconds after it was asked for; the others follow at the same distance."""
    assert read(flow.every(2, first=0.5)[:3]) == [(0, 0.5), (1, 2.5), (2, 4.5)]
    assert read(flow.every(2, 2)[:2]) == [(0, 2), (1, 4)]


def test_ticks_do_not_drift() -> None:
    """Tick n is due at n times the period, which is not what n steps of that length add up to."""
    ticks = on_asyncio(flow.every(0.1)[:2001])
    assert [time for _, time in ticks] == pytest.approx([n * 0.1 for n in range(2001)], rel=0, abs=1e-12)


def test_ticks_are_not_piled_up_for_a_late_reader() -> None:
    """The latest tick that is due comes at once, and its number tells what was left out; then the old times again."""
    assert on_asyncio(flow.every(1)[:4], busy=2.5) == [(0, 0), (2, 2.5), (5, 5), (7, 7.5)]
    assert on_asyncio(flow.every(1)[:3], busy=0.75) == [(0, 0), (1, 1), (2, 2)]


def test_a_reader_that_is_late_once_is_in_time_again() -> None:
    def late_once(rows: Any) -> Generator[Any]:
        for row in rows:
            yield row
            if row == 1:
                flow.sleep(2.5)

    assert in_script((flow.every(1) | late_once)[:5]) == [(0, 0), (1, 1), (3, 3.5), (4, 4), (5, 5)]


def test_ticks_may_be_caught_up() -> None:
    """``on_late="catch_up"``: each tick comes, the late ones without a wait between them."""
    ticks = flow.every(1, on_late="catch_up")
    assert on_asyncio(ticks[:4], busy=2.5) == [(0, 0), (1, 2.5), (2, 5), (3, 7.5)]

    def late_once(rows: Any) -> Generator[Any]:
        for row in rows:
            yield row
            if row == 1:
                flow.sleep(2.5)

    assert in_script((ticks | late_once)[:6]) == [(0, 0), (1, 1), (2, 3.5), (3, 3.5), (4, 4), (5, 5)]


def test_each_reading_of_ticks_is_a_clock_of_its_own() -> None:
    """CONTRACT 4, 7: the time is counted from when the first tick is asked for; read twice, it ticks twice."""
    ticks = flow.every(1)[:2]

    def twice(rows: Any) -> Generator[Any]:
        flow.sleep(10)
        yield from ticks
        yield from ticks

    assert in_script(flow.wrap([]) | twice) == [(0, 10), (1, 11), (0, 11), (1, 12)]


# ------------------------------------------------------------------------------------------------------------------
# delay


@both
def test_each_row_comes_later(read: Read) -> None:
    """CONTRACT 1, 8: each row so much later than it came; the waits of several rows overlap."""
    source = Tracked("abcd", delay=[1, 0, 5, 0.5])
    assert read(flow.wrap(source).delay(3)) == [("a", 4), ("b", 4), ("c", 9), ("d", 9.5)]
    assert source.given_at == [1, 1, 6, 6.5]
    assert source.is_closed


def test_a_busy_reader_does_not_change_when_rows_come() -> None:
    """The input goes on meanwhile; a row whose time is over comes at once."""
    source = Tracked(range(5), delay=1)
    assert on_asyncio(flow.wrap(source).delay(3), busy=1.5) == [(0, 4), (1, 5.5), (2, 7), (3, 8.5), (4, 10)]
    assert source.given_at == [1, 2, 3, 4, 5]


@both
def test_each_row_may_have_its_own_delay(read: Read) -> None:
    """`seconds` as a function of the row, sync or async; no row overtakes another."""

    async def later(row: float) -> float:
        await asyncio.sleep(0.25)
        return row

    source = flow.wrap(Tracked([3, 1, 2, 0], delay=1))
    expected = [(3, 4), (1, 4), (2, 5), (0, 5)]
    assert read(source.delay(lambda row: row)) == expected
    assert read(source.delay(later)) == [(3, 4), (1, 4.25), (2, 5), (0, 5.25)]


@both
def test_the_start_may_be_late(read: Read) -> None:
    """`start`: the input is asked for its first row that much later, and not before (CONTRACT 4)."""
    source = Tracked("ab", delay=1)
    assert read(flow.wrap(source).delay(start=10)) == [("a", 11), ("b", 12)]
    assert source.asked_at[0] == 10
    assert read(flow.wrap(source).delay(5, start=10)) == [("a", 16), ("b", 17)]


def test_a_delay_holds_so_many_rows() -> None:
    """CONTRACT 20, 21: at most `limit` rows are held, then the input is held back; nothing is lost."""
    source = Tracked(count())
    got: list[int] = []

    async def main() -> None:
        async with flow.wrap(source).delay(5, limit=3).open() as rows:
            assert source.asked == 0
            for _ in range(10):
                got.append(await anext(rows))
                assert source.asked <= len(got) + 3
            await asyncio.sleep(100)
            assert source.asked == len(got) + 3

    with virtual_time() as clock:
        clock.run(main())
    assert got == [*range(10)]
    assert source.is_closed


def test_a_delay_holds_a_thousand_rows_unless_told_otherwise() -> None:
    source = Tracked(count())
    assert left_after(flow.wrap(source).delay(5), 1)[0] == [0]
    assert source.asked in (1000, 1001)


def test_rows_that_are_delayed_come_before_a_failure() -> None:
    """CONTRACT 3: rows first, in their time; then the failure, right after the last one."""
    source = Tracked("ab", delay=1, fail=OSError("gone"))
    assert until_it_fails(flow.wrap(source).delay(5), OSError) == ([("a", 6), ("b", 7)], ("gone", 7))


def test_rows_that_are_delayed_are_counted_when_it_is_left() -> None:
    """CONTRACT 16."""
    source = Tracked(range(9), delay=1)
    assert left_after(flow.wrap(source).delay(3), 2) == ([0, 1], [2, 3, 4])
    assert cancelled_at(flow.wrap(source).delay(3), 5.5) == ([0, 1], [2, 3, 4])
    assert source.is_closed


def test_a_delay_that_fails() -> None:
    """What the function raises ends the run; what is no delay is an error, and both come after the rows before."""

    def bad(row: int) -> Any:
        return 1 if row < 2 else "soon"

    rows = flow.wrap(Tracked([0, 1, 2]))
    assert until_it_fails(rows.delay(bad), TypeError)[0] == [(0, 1), (1, 1)]
    assert until_it_fails(rows.delay(lambda row: 1 / (row - 1)), ValueError)[0] == []
    assert until_it_fails(rows.delay(lambda row: 1 // (1 - row)), ZeroDivisionError)[0] == [(0, 1)]


# ------------------------------------------------------------------------------------------------------------------
# rate_limit


@both
def test_rows_come_at_most_so_often(read: Read) -> None:
    """CONTRACT 1, 2, 8: the first one at once, then one each ``per / rate`` seconds, none lost, in order."""
    assert read(flow.wrap(range(5)).rate_limit(4)) == [(0, 0), (1, 0.25), (2, 0.5), (3, 0.75), (4, 1)]
    assert read(flow.wrap(range(3)).rate_limit(1, per=60)) == [(0, 0), (1, 60), (2, 120)]


@both
def test_a_burst_comes_at_once(read: Read) -> None:
    """The bucket begins full, and fills up again while nothing comes, up to `burst` and no further."""
    source = flow.wrap(at(0, 0, 0, 0, 0, 100, 100, 100, 100))
    expected = [(0, 0), (1, 0), (2, 0), (3, 0.5), (4, 1), (5, 100), (6, 100), (7, 100), (8, 100.5)]
    assert read(source.rate_limit(2, burst=3)) == expected


@both
def test_half_a_bucket_is_half_a_burst(read: Read) -> None:
    """What has come back meanwhile may be used, and no more."""
    source = flow.wrap(at(0, 0, 0, 0, 1, 1, 1))
    assert read(source.rate_limit(2, burst=4)) == [(0, 0), (1, 0), (2, 0), (3, 0), (4, 1), (5, 1), (6, 1.5)]


def test_rows_that_come_by_themselves_are_not_held_up() -> None:
    source = flow.wrap(Tracked(range(4), delay=1))
    assert in_script(source.rate_limit(1)) == [(0, 1), (1, 2), (2, 3), (3, 4)]


def test_a_late_reader_gets_no_burst_for_it() -> None:
    """With a burst of 1 rows are never closer than ``per / rate``, however late one of them was taken."""
    rows = flow.wrap(range(4)).rate_limit(1)
    got = []

    async def main() -> None:
        async for row in rows:
            got.append((row, clock.time()))
            if row == 1:
                await asyncio.sleep(1.5)

    with virtual_time() as clock:
        clock.run(main())
    assert got == [(0, 0), (1, 1), (2, 2.5), (3, 3.5)]


@both
def test_rows_may_cost_more_than_one_token(read: Read) -> None:
    """`cost`, sync or async: a row waits until its tokens are there; a row of no cost never waits."""

    async def cost(row: float) -> float:
        return row

    source = flow.wrap([1, 2, 3, 0, 0.5])
    expected = [(1, 0), (2, 0), (3, 3), (0, 3), (0.5, 3.5)]
    assert read(source.rate_limit(1, burst=3, cost=lambda row: row)) == expected
    assert read(source.rate_limit(1, burst=3, cost=cost)) == expected


@pytest.mark.parametrize(
    ("cost", "text"),
    [
        (4, r"a row costs 4 tokens, and the bucket never holds more than burst=3"),
        (-1, "number of tokens"),
        (float("nan"), "number of tokens"),
        ("many", "number of tokens"),
        (None, "number of tokens"),
    ],
)
def test_a_cost_that_can_never_be_paid(cost: Any, text: str) -> None:
    """CONTRACT 3: it would wait for ever; the error says so, after the rows before."""
    rows = flow.wrap([1, 2]).rate_limit(1, burst=3, cost=lambda row: 1 if row == 1 else cost)
    got = []
    with pytest.raises(ValueError, match=text):
        for row in rows:
            got.append(row)
    assert got == [1]


@both
def test_rows_over_the_limit_may_be_left_out(read: Read) -> None:
    """``overflow="drop"``: a throttle, which never waits."""
    source = flow.wrap(Tracked(range(10), delay=1))
    assert read(source.rate_limit(1, per=3, overflow="drop")) == [(0, 1), (3, 4), (6, 7), (9, 10)]
    assert read(flow.wrap(range(9)).rate_limit(1, burst=2, overflow="drop")) == [(0, 0), (1, 0)]


def test_rows_that_come_at_the_very_rate_pass() -> None:
    """Sums of seconds are not exact: what is late or early by less than a nanosecond neither waits nor is left out."""
    ticks = flow.every(0.1)[:1000]
    assert [n for n, _ in in_script(ticks.rate_limit(10, overflow="drop"))] == [*range(1000)]


def test_a_rate_limit_asks_when_it_is_asked() -> None:
    """CONTRACT 4, 20: it holds one row, while that waits, and nothing else."""
    source = Tracked(count())
    with virtual_time(), flow.wrap(source).rate_limit(1).open() as rows:
        for number in range(1, 5):
            next(rows)
            assert source.asked == number


def test_the_row_that_waits_for_its_tokens_is_counted() -> None:
    """CONTRACT 16: a row that was made, and that a cancel keeps from its reader."""
    assert cancelled_at(flow.wrap(range(5)).rate_limit(1), 1.5) == ([0, 1], [2])
    assert left_after(flow.wrap(range(5)).rate_limit(1), 2) == ([0, 1], [])


# ------------------------------------------------------------------------------------------------------------------
# debounce


@both
def test_the_last_row_of_a_burst(read: Read) -> None:
    """CONTRACT 8: so many seconds after it came; the last row comes at the end of the input, at once."""
    source = flow.wrap(at(0, 0.25, 0.5, 2, 4, 4.5, 4.75))
    assert read(source.debounce(1)) == [(2, 1.5), (3, 3), (6, 4.75)]


@both
def test_a_row_that_comes_when_the_quiet_is_over(read: Read) -> None:
    assert read(flow.wrap(Tracked(range(3), delay=2)).debounce(1)) == [(0, 3), (1, 5), (2, 6)]


def test_a_busy_reader_of_debounced_rows_gets_the_latest() -> None:
    """CONTRACT 20: it holds two rows: of more that had their quiet while the reader was busy the oldest make way."""
    source = flow.wrap(at(0, 2, 4, 6, 8, 12, 13.5, 13.75))
    assert on_asyncio(source.debounce(1), busy=5.5) == [(0, 1), (2, 6.5), (4, 12), (5, 17.5), (7, 23)]


@both
def test_a_row_that_comes_when_the_quiet_ends(read: Read) -> None:
    """The one before it has had its quiet, whichever of the two the loop looks at first."""
    assert read(flow.wrap(at(1, 2, 2.5, 3.5)).debounce(1)) == [(0, 2), (2, 3.5), (3, 3.5)]


def test_the_held_row_comes_before_a_failure() -> None:
    """CONTRACT 3."""
    source = Tracked("ab", delay=0.5, fail=OSError("gone"))
    assert until_it_fails(flow.wrap(source).debounce(1), OSError) == ([("b", 1)], ("gone", 1))


def test_the_held_row_is_counted_when_it_is_left() -> None:
    """CONTRACT 16: what is held; not the rows that others took the place of."""
    assert cancelled_at(flow.wrap(at(0, 3, 3.5, 99)).debounce(1), 4) == ([0], [2])
    assert left_after(flow.wrap(at(0, 3, 3.5, 5, 5.5, 99)).debounce(1), 1, busy=6) == ([0], [2, 4])


# ------------------------------------------------------------------------------------------------------------------
# sample


@both
def test_the_latest_row_of_each_period(read: Read) -> None:
    """CONTRACT 8: at the end of its period; no row, no period. The last row comes at the end of the input, at once."""
    source = flow.wrap(at(0, 0.5, 2.25, 7, 7.5, 8.25))
    assert read(source.sample(2)) == [(1, 2), (2, 4), (4, 8), (5, 8.25)]


def test_periods_are_counted_from_the_first_asking() -> None:
    """CONTRACT 4."""

    def late(rows: Any) -> Generator[Any]:
        flow.sleep(0.5)
        yield from flow.wrap(Tracked(range(4), delay=1)).sample(1.5)

    assert in_script(flow.wrap([]) | late) == [(0, 2), (1, 3.5), (3, 4.5)]


@both
def test_a_row_that_comes_when_a_period_ends_belongs_to_the_next(read: Read) -> None:
    """Whichever of the two the loop looks at first."""
    assert read(flow.wrap(at(0.5, 2, 3, 4, 8, 9)).sample(2)) == [(0, 2), (2, 4), (3, 6), (5, 9)]


def test_a_busy_reader_of_samples_gets_the_latest() -> None:
    """CONTRACT 20: it holds two rows. One whose period is over comes at once; the next is waited for."""
    source = Tracked(range(12), delay=1)
    assert on_asyncio(flow.wrap(source).sample(2.5), busy=6.25) == [(1, 2.5), (6, 8.75), (8, 15), (11, 21.25)]
    assert on_asyncio(flow.wrap(source).sample(2.5), busy=3) == [(1, 2.5), (3, 5.5), (6, 8.5), (8, 11.5), (11, 14.5)]
    assert source.given_at == 2 * [*range(1, 13)]


def test_a_sampled_row_comes_before_a_failure_and_is_counted_when_it_is_left() -> None:
    """CONTRACT 3, 16."""
    source = Tracked("ab", delay=1, fail=OSError("gone"))
    assert until_it_fails(flow.wrap(source).sample(5), OSError) == ([("b", 2)], ("gone", 2))
    assert cancelled_at(flow.wrap(source).sample(5), 1.5) == ([], ["a"])


# ------------------------------------------------------------------------------------------------------------------
# All of them

TIMED: dict[str, Callable[[flow.Stage[Any]], flow.Stage[Any]]] = {
    "delay": lambda rows: rows.delay(2),
    "delay by row": lambda rows: rows.delay(lambda row: 2),
    "delay of little": lambda rows: rows.delay(2, limit=2),
    "late start": lambda rows: rows.delay(start=2),
    "rate_limit": lambda rows: rows.rate_limit(2),
    "rate_limit of a burst": lambda rows: rows.rate_limit(2, burst=3),
    "throttle": lambda rows: rows.rate_limit(1, per=3, overflow="drop"),
    "debounce": lambda rows: rows.debounce(1.5),
    "sample": lambda rows: rows.sample(2.5),
}
each = pytest.mark.parametrize("name", TIMED)


@each
def test_torture(name: str) -> None:
    """CONTRACT 14-16: ended at each wait and after each row, in every way."""
    sources: list[Tracked[int]] = []

    def make() -> flow.Stage[Any]:
        sources[:] = [Tracked(range(5), delay=[1, 0, 2, 1, 0.5], cleanup=1)]
        return TIMED[name](flow.wrap(sources[0]))

    # What is left out depends on time, and with a seed time is early.
    ordered = None if name in ("throttle", "debounce", "sample") else True
    report = torture(make, tracked=lambda: sources, seeds=(None, 1, 2, 3), ordered=ordered)
    assert report.runs["cancelled"] >= 4 * 5


def test_torture_of_ticks() -> None:
    """CONTRACT 14-16."""
    assert torture(lambda: flow.every(1)[:4], seeds=(None, 1, 2), ordered=None).rows == [0, 1, 2, 3]
    assert torture(lambda: flow.every(1, on_late="catch_up")[:4], seeds=(None, 1, 2)).rows == [0, 1, 2, 3]


@each
def test_torture_of_an_input_that_fails(name: str) -> None:
    """CONTRACT 3, 14-16: the same for an input that ends with a failure of its own."""
    sources: list[Tracked[int]] = []

    def make() -> flow.Stage[Any]:
        sources[:] = [Tracked(range(3), delay=1, cleanup=1, fail=OSError("gone"))]
        return TIMED[name](flow.wrap(sources[0]))

    torture(make, tracked=lambda: sources, ordered=None, fails=OSError, seeds=(None, 1))


@each
def test_nothing_runs_before_the_first_row_is_asked_for(name: str) -> None:
    """CONTRACT 4, 7: neither when it is made, nor when it is opened; and it can be read again."""
    source = Tracked(range(3))
    stage = TIMED[name](flow.wrap(source))

    async def main() -> None:
        async with stage.open() as rows:
            await asyncio.sleep(1)
            assert source.opened == 0
            assert timers() == []
            first = await anext(rows)
        async with stage.open() as rows:
            assert await anext(rows) == first

    with virtual_time() as clock:
        clock.run(main())
    assert source.opened == source.closed == 2


@each
def test_a_source_that_never_gives_a_row(name: str) -> None:
    """CONTRACT 8, 14: it waits, without a timer (there is nothing to wait for), and it can be left."""
    stage = TIMED[name](flow.wrap(never))
    seen: list[int] = []

    async def main() -> None:
        reading = asyncio.create_task(read())
        for _ in range(5):
            await asyncio.sleep(1)
            seen.append(len(timers()))
        reading.cancel()
        await asyncio.wait([reading])
        assert timers() == []

    async def read() -> None:
        async for _ in stage:
            raise AssertionError("a row")

    with virtual_time() as clock:
        clock.run(main())
    assert seen[-2:] == [0, 0]  # a late start waits at first
    nothing_left()


@each
def test_one_timer_at_most(name: str) -> None:
    """CONTRACT 8: rows that are pushed, so that no timer is the source's; there is one while it waits, none after."""
    ticks: flow.Callback[int] = flow.Callback()
    most = 0

    async def main() -> None:
        nonlocal most
        reading = asyncio.create_task(read())
        for number in range(40):
            ticks(number)
            await asyncio.sleep(0.3)
            most = max(most, len(timers()))
        ticks.finish()
        await reading
        assert timers() == []

    async def read() -> None:
        async for _ in TIMED[name](ticks):
            most_now = len(timers())
            assert most_now <= 1, "that of the pushes"

    with virtual_time() as clock:
        clock.run(main())
    assert most <= 1


@pytest.mark.parametrize("how", [by_rows, by_list, by_blocks])
@each
def test_a_source_that_always_has_a_row(name: str, how: Any) -> None:
    """CONTRACT 10: the loop keeps its turns."""
    with virtual_time() as clock:
        assert clock.run(longest_wait([how(TIMED[name](endless()))])) <= 2
    nothing_left()


@pytest.mark.parametrize(
    "stage",
    [flow.every(1e-9), flow.every(1e-9, on_late="catch_up"), flow.every(1e-9).filter(lambda n: False)],
    ids=["skip", "catch_up", "rejected"],
)
def test_ticks_that_are_always_late_give_turns(stage: flow.Stage[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """CONTRACT 10: a reader that takes longer than a period never waits for a tick, and gives the loop its turns."""
    time = VirtualLoop.time
    passed = count()
    monkeypatch.setattr(VirtualLoop, "time", lambda loop: time(loop) + next(passed) * 1e-6)  # time passes as it is read
    with virtual_time() as clock:
        assert clock.run(longest_wait([by_rows(stage)])) <= 2


def test_the_starved_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """CONTRACT 10: 0.7 s of rows that never wait, through a filter that rejects them all, with a ticker
    of 10 ms beside it: the ticker is late by two slices at most, plus one row.

    Time is virtual, and each row takes 1 ms of it, for slices too.
    """
    monkeypatch.setattr(VirtualLoop, "slice_clock", VirtualLoop.time)
    ticks: list[tuple[int, float]] = []

    def busy() -> Generator[int]:
        for number in range(700):
            clock.clock.time += 0.001
            yield number

    async def main() -> None:
        ticking = asyncio.create_task(tick())
        await asyncio.sleep(0)
        assert await flow.wrap(busy).filter(lambda n: False) == []
        ticking.cancel()
        await asyncio.wait([ticking])

    async def tick() -> None:
        async for number in flow.every(0.01):
            ticks.append((number, clock.time()))

    with virtual_time() as clock:
        clock.run(main())
    assert [number for number, _ in ticks] == [*range(len(ticks))]
    assert len(ticks) >= 69
    assert max(time - number * 0.01 for number, time in ticks) <= 0.011


# ------------------------------------------------------------------------------------------------------------------
# Wrong arguments, and what is said of them

rows = flow.wrap([1])
NAN = float("nan")
INF = float("inf")


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: flow.every(0), ValueError, r"every\(seconds\) must be more than 0"),
        (lambda: flow.every(-1), ValueError, r"every\(seconds\)"),
        (lambda: flow.every(NAN), ValueError, r"every\(seconds\)"),
        (lambda: flow.every(INF), ValueError, r"every\(seconds\) must be a number of seconds that ends"),
        (lambda: flow.every("1"), TypeError, r"every\(seconds\)"),
        (lambda: flow.every(True), TypeError, r"every\(seconds\)"),
        (lambda: flow.every(1, -1), ValueError, r"every\(first\)"),
        (lambda: flow.every(1, on_late="wait"), ValueError, r"every\(on_late\) .*'skip', 'catch_up'"),
        (lambda: rows.delay(-1), ValueError, r"delay\(seconds\)"),
        (lambda: rows.delay(INF), ValueError, r"delay\(seconds\)"),
        (lambda: rows.delay("1"), TypeError, r"delay\(seconds\)"),
        (lambda: rows.delay(), ValueError, r"delay\(seconds\) must be more than 0 seconds, or delay\(start=...\)"),
        (lambda: rows.delay(1, start=NAN), ValueError, r"delay\(start\)"),
        (lambda: rows.delay(1, limit=0), ValueError, r"delay\(limit\)"),
        (lambda: rows.delay(1, limit=INF), TypeError, r"delay\(limit\)"),
        (lambda: rows.rate_limit(0), ValueError, r"rate_limit\(rate\)"),
        (lambda: rows.rate_limit(NAN), ValueError, r"rate_limit\(rate\)"),
        (lambda: rows.rate_limit("1"), TypeError, r"rate_limit\(rate\)"),
        (lambda: rows.rate_limit(1, per=0), ValueError, r"rate_limit\(per\)"),
        (lambda: rows.rate_limit(1, burst=0.5), ValueError, r"rate_limit\(burst\)"),
        (lambda: rows.rate_limit(1, burst=-1, cost=len), ValueError, r"rate_limit\(burst\)"),
        (lambda: rows.rate_limit(1, cost=1), TypeError, r"rate_limit\(cost\)"),
        (lambda: rows.rate_limit(1, overflow="error"), ValueError, r"rate_limit\(overflow\)"),
        (lambda: rows.debounce(0), ValueError, r"debounce\(seconds\)"),
        (lambda: rows.debounce(INF), ValueError, r"debounce\(seconds\)"),
        (lambda: rows.sample(0), ValueError, r"sample\(seconds\)"),
        (lambda: rows.sample(None), TypeError, r"sample\(seconds\)"),
    ],
)
def test_wrong_arguments_fail_when_it_is_built(make: Any, error: type[Exception], text: str) -> None:
    """CONTRACT 22: in the line that wrote them, naming the argument and what is allowed."""
    with pytest.raises(error, match=text):
        make()


def test_how_they_are_shown() -> None:
    """Each is a stage with a name; what reads its input itself knows it as its source."""
    assert repr(flow.every(0.5)) == "every(0.5)"
    assert repr(rows.delay(2, start=5)) == "wrap(list) | delay(start=5) | delay(2)"
    assert repr(rows.rate_limit(10, burst=2)) == "wrap(list) | rate_limit(10, per=1, burst=2)"
    assert repr(rows.debounce(1).sample(2).map(str)) == "wrap(list) | debounce(1) | sample(2) | map(str)"
    assert rows.debounce(1).sources == (rows,)
    assert rows.debounce(1).short_label == "debounce(1)"


@pytest.mark.parametrize("name", ["delay", "rate_limit", "debounce", "sample"])
def test_the_examples_are_right(name: str) -> None:
    from flow.stages import timing

    code = example_of(getattr(timing, name))
    assert code is not None
    run_statements(code)


def test_a_stage_of_ticks_can_be_cut() -> None:
    assert [*islice(on_asyncio(flow.every(1)[2:5]), 3)] == [(2, 2), (3, 3), (4, 4)]
