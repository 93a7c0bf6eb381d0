"""timeout, keep_alive, deadline: what happens when nothing comes.

CONTRACT 1-5, 7, 8, 10, 14-17, 22.
"""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable, Generator
from itertools import count
from typing import Any

import pytest

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
# timeout: it raises


@both
def test_rows_in_time_pass(read: Read) -> None:
    """CONTRACT 1, 2: as they come."""
    expected = [(0, 1), (1, 2), (2, 3)]
    for limits in ({"item": 1.5}, {"idle": 1.5}, {"first": 1.5}, {"total": 3.5}, {"item": 2, "idle": 2, "total": 9}):
        source = Tracked(range(3), delay=1)
        assert read(flow.wrap(source).timeout(**limits)) == expected
        assert source.is_closed


@pytest.mark.parametrize(
    ("limits", "delays", "rows", "which", "time"),
    [
        ({"item": 2}, [1, 1, 3], 2, "item", 4),
        ({"item": 2}, [3], 0, "item", 2),
        ({"first": 2}, [3], 0, "first", 2),
        ({"first": 5, "item": 2}, [4, 1, 3], 2, "item", 7),
        ({"first": 2, "item": 5, "idle": 5}, [3], 0, "first", 2),
        ({"first": 9, "idle": 2}, [8, 1, 9], 2, "idle", 11),
        ({"idle": 2}, [1, 1, 3], 2, "idle", 4),
        ({"idle": 2}, [3], 0, "idle", 2),
        ({"total": 3.5}, [1, 1, 1, 1], 3, "total", 3.5),
        ({"total": 3.5, "item": 2}, [1, 9], 1, "item", 3),
        ({"total": 2.5, "item": 2}, [1, 9], 1, "total", 2.5),
    ],
)
def test_a_row_that_is_late(limits: dict[str, float], delays: list[float], rows: int, which: str, time: float) -> None:
    """CONTRACT 3, 8, 14: at the very time, after the rows before it; the error names the limit; the input is closed."""
    source = Tracked(count(), delay=delays)
    stage = flow.wrap(source).timeout(**limits)
    got: list[int] = []

    async def main() -> None:
        with pytest.raises(flow.RowTimeoutError) as caught:
            async for row in stage:
                got.append(row)
        assert source.is_closed
        assert clock.time() == time
        assert (caught.value.which, caught.value.seconds) == (which, limits[which])
        assert timers() == []

    with virtual_time() as clock:
        clock.run(main())
    assert got == [*range(rows)]


def test_the_error_says_what_was_late() -> None:
    """CONTRACT 17: a TimeoutError and a FlowError; it can be sent to another process."""
    texts = {
        "item": "timeout(item=2): no row came within 2 s of being asked for",
        "first": "timeout(first=2): no first row came within 2 s of being asked for",
        "idle": "timeout(idle=2): nothing came for 2 s",
        "total": "timeout(total=2): the rows had not ended after 2 s",
    }
    for which, text in texts.items():
        with virtual_time(), pytest.raises(TimeoutError) as caught:
            list(flow.wrap(never).timeout(**{which: 2}))
        assert isinstance(caught.value, flow.FlowError)
        assert str(caught.value) == text
        again = pickle.loads(pickle.dumps(caught.value))
        assert (str(again), again.which, again.seconds) == (text, which, 2)


def test_the_readers_own_time_is_none_of_the_items() -> None:
    """`item` counts from the asking: a reader that is busy for long keeps nobody waiting."""
    rows = flow.wrap(Tracked(range(3), delay=1)).timeout(item=1.5)
    assert on_asyncio(rows, busy=10) == [(0, 1), (1, 12), (2, 23)]


async def pushed_at(ticks: flow.Callback[int], *times: float) -> None:
    loop = asyncio.get_running_loop()
    for number, time in enumerate(times):
        await asyncio.sleep(time - loop.time())
        ticks(number)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"item": 4}, [(0, 0), (1, 5), (2, 11), ("item", 20)]),
        ({"idle": 6.5}, [(0, 0), (1, 5), (2, 11), ("idle", 17.5)]),
        ({"idle": 4}, [(0, 0), (1, 5), ("idle", 10)]),
    ],
)
def test_idle_counts_the_readers_own_time(limits: dict[str, float], expected: list[Any]) -> None:
    """Rows are pushed at 0, 3 and 11, and the reader takes 5 for each: at 10 it finds nothing, and had its last one
    at 5. What is there when it asks is in time."""
    got: list[Any] = []

    async def main() -> None:
        ticks: flow.Callback[int] = flow.Callback()
        pushing = asyncio.create_task(pushed_at(ticks, 0, 3, 11))
        try:
            async for row in ticks.timeout(**limits):
                got.append((row, clock.time()))
                await asyncio.sleep(5)
        except flow.RowTimeoutError as error:
            got.append((error.which, clock.time()))
        pushing.cancel()

    with virtual_time() as clock:
        clock.run(main())
    assert got == expected


def test_a_script_that_is_always_late_gets_the_rows_that_are_there() -> None:
    """A script's loop has turns only while its flow waits: one that is late gets one, so that rows can come."""
    ticks = flow.every(1, on_late="catch_up") | (lambda rows: rows)
    got = []
    with virtual_time() as clock:
        for row in flow.Merge(ticks[:4], flow.wrap(never)).timeout(idle=1.5, on_late=lambda late: late.which):
            got.append(row)
            clock.clock.time += 2
            if len(got) == 9:
                break
    assert [row for row in got if row != "idle"] == [0, 1, 2, 3]


def test_a_source_that_always_has_a_row_comes_to_its_end() -> None:
    """`total` and `deadline` look at the clock when they are asked, too."""

    def busy() -> Generator[int]:
        for number in count():
            clock.clock.time += 1
            yield number

    with virtual_time() as clock:
        assert list(flow.wrap(busy).deadline(3.5)) == [0, 1, 2, 3]
    got = []
    with virtual_time() as clock, pytest.raises(flow.RowTimeoutError, match=r"total=3\.5"):
        for row in flow.wrap(busy).timeout(total=3.5):
            got.append(row)
    assert got == [0, 1, 2, 3]


def test_a_source_that_rejects_all_is_late() -> None:
    """CONTRACT 10: it never waits, and never gives a row; the time is looked at between its turns."""

    def busy() -> Generator[int]:
        for number in count():
            clock.clock.time += 0.001
            yield number

    def none() -> flow.Stage[int]:
        return flow.wrap(busy).filter(lambda n: False)

    async def late() -> float:
        with pytest.raises(flow.RowTimeoutError, match="item=1"):
            await none().timeout(item=1)
        return clock.time()

    with virtual_time() as clock:
        # Slices are counted in looks at the clock here, 250 of them; with 64 rows of 1 ms between two of them at most.
        assert 1 <= clock.run(late()) <= 1 + 250 * 64 * 0.001
    with virtual_time() as clock:
        assert list(none().deadline(1)) == []
        assert 1 <= clock.time() <= 1 + 250 * 64 * 0.001


def test_a_timeout_of_the_inputs_own_passes() -> None:
    """CONTRACT 17: what the input raises is not touched."""
    mine = TimeoutError("mine")
    with virtual_time(), pytest.raises(TimeoutError) as caught:
        list(flow.wrap(Tracked([1], fail=mine)).timeout(item=5, on_late=lambda late: 0))
    assert caught.value is mine


def test_a_cleanup_that_fails_joins_the_timeout() -> None:
    """CONTRACT 16: neither is lost."""
    source = Tracked(count(), delay=5, cleanup_fail=OSError("cleanup"))
    with virtual_time(), pytest.raises(ExceptionGroup) as caught:
        list(flow.wrap(source).timeout(item=1))
    assert [type(each) for each in caught.value.exceptions] == [flow.RowTimeoutError, OSError]


# ------------------------------------------------------------------------------------------------------------------
# timeout: it goes on


@both
def test_the_timeout_that_goes_on(read: Read) -> None:
    """CONTRACT 2: a late row has another one in its place, and comes nevertheless: the input was not cancelled, not
    asked twice, and has lost nothing."""
    source = Tracked("abcd", delay=[1, 5, 1, 5])
    stage = flow.wrap(source).timeout(item=2, on_late=lambda late: late.which)
    assert read(stage) == [
        ("a", 1),
        ("item", 3),
        ("item", 5),
        ("b", 6),
        ("c", 7),
        ("item", 9),
        ("item", 11),
        ("d", 12),
    ]
    assert (source.opened, source.closed) == (1, 1)
    assert source.asked_at == [0, 1, 6, 7, 12]
    assert source.given_at == [1, 6, 7, 12]


@both
def test_each_limit_goes_on_in_its_own_way(read: Read) -> None:
    """`first` until there is a row; `idle` from what was handed on last, the row in place of a late one included."""
    source = flow.wrap(Tracked("ab", delay=[5, 5]))
    late: list[str] = []

    def told(error: flow.RowTimeoutError) -> None:
        late.append(error.which)

    assert read(source.timeout(first=2, idle=3, on_late=told)) == [
        (None, 2),
        (None, 4),
        ("a", 5),
        (None, 8),
        ("b", 10),
    ]
    assert late == ["first", "first", "idle"]


@both
def test_what_answers_may_be_async(read: Read) -> None:
    """And its time is its own: the wait for the next one counts from the next asking."""

    async def answer(late: flow.RowTimeoutError) -> str:
        await asyncio.sleep(0.5)
        return late.which

    source = flow.wrap(Tracked("a", delay=5))
    assert read(source.timeout(item=2, on_late=answer)) == [("item", 2.5), ("item", 5), ("a", 5)]
    assert read(source.timeout(item=2, on_late=lambda late: answer(late))) == [("item", 2.5), ("item", 5), ("a", 5)]


def test_an_error_may_be_a_row() -> None:
    """Errors as values: the reader decides."""
    source = flow.wrap(Tracked("a", delay=3))
    with virtual_time():
        late, row = source.timeout(item=2, on_late=lambda late: late)
    assert isinstance(late, flow.RowTimeoutError)
    assert row == "a"


def test_what_answers_may_end_it() -> None:
    """What it raises ends the run, after the rows before; the error itself, for one."""
    tries = count()

    def twice(late: flow.RowTimeoutError) -> str:
        if next(tries) == 2:
            raise late
        return "late"

    source = Tracked("ab", delay=[1, 60])
    rows, failed = until_it_fails(flow.wrap(source).timeout(item=2, on_late=twice), flow.RowTimeoutError)
    assert rows == [("a", 1), ("late", 3), ("late", 5)]
    assert failed == ("timeout(item=2): no row came within 2 s of being asked for", 7)
    assert source.is_closed


def test_the_total_is_an_end_all_the_same() -> None:
    source = flow.wrap(Tracked(count(), delay=3))
    rows, failed = until_it_fails(source.timeout(item=2, total=7, on_late=lambda late: "late"), flow.RowTimeoutError)
    assert rows == [("late", 2), (0, 3), ("late", 5), (1, 6)]
    assert failed == ("timeout(total=7): the rows had not ended after 7 s", 7)


def test_a_timeout_can_be_caught_below_and_the_flow_read_again() -> None:
    """A failure ends the run, as any does; the stage is a description, and another reading is another run."""
    source = Tracked("ab", delay=[0, 9])

    def again(rows: Any) -> Generator[Any]:
        try:
            yield from rows
        except flow.RowTimeoutError as error:
            yield error.which

    stage = flow.wrap(source).timeout(item=2) | again
    assert in_script(stage) == [("a", 0), ("item", 2)]
    assert in_script(stage) == [("a", 0), ("item", 2)]
    assert source.opened == source.closed == 2


# ------------------------------------------------------------------------------------------------------------------
# keep_alive


@both
def test_a_row_in_the_silence(read: Read) -> None:
    """CONTRACT 1, 2, 8: whenever none was handed on for so long; the rows of the input come as they come."""
    source = Tracked("abc", delay=[1, 5, 1])
    assert read(flow.wrap(source).keep_alive(2, None)) == [("a", 1), (None, 3), (None, 5), ("b", 6), ("c", 7)]
    assert source.asked_at == [0, 1, 6, 7]


@both
def test_a_row_in_the_silence_may_be_made_anew(read: Read) -> None:
    numbers = count()

    async def beat() -> int:
        return next(numbers)

    source = flow.wrap(Tracked("a", delay=5))
    assert read(source.keep_alive(2, lambda: next(numbers))) == [(0, 2), (1, 4), ("a", 5)]
    assert read(source.keep_alive(2, beat)) == [(2, 2), (3, 4), ("a", 5)]
    assert read(source.keep_alive(4, lambda: beat())) == [(4, 4), ("a", 5)]


def test_a_busy_reader_has_a_row_at_once() -> None:
    """The silence is that of whoever reads: its own time counts, unless the input has a row by then."""
    source = flow.wrap(at(0, 1, 5, 11))
    assert on_asyncio(source.keep_alive(2, "-"), busy=3) == [(0, 0), (1, 3), (2, 6), ("-", 9), (3, 12)]


def test_a_script_that_is_always_late_gets_the_rows_of_its_input() -> None:
    """CONTRACT 13: its loop has turns only while the flow waits, and it has one between two rows of the silence."""
    got = []
    with virtual_time() as clock:
        for row in flow.wrap(Tracked("ab", delay=1)).keep_alive(0.5, "-"):
            got.append(row)
            clock.clock.time += 1
    assert [row for row in got if row != "-"] == ["a", "b"]
    assert len(got) < 9


# ------------------------------------------------------------------------------------------------------------------
# deadline


@both
def test_rows_until_a_deadline(read: Read) -> None:
    """CONTRACT 8, 14: those that come in time; then the end, and no error. The input is closed."""
    source = Tracked(count(), delay=1)
    assert read(flow.wrap(source).deadline(3.5)) == [(0, 1), (1, 2), (2, 3)]
    assert source.is_closed
    assert source.closed_at == [3.5]
    assert read(flow.wrap(Tracked(range(2), delay=1)).deadline(9)) == [(0, 1), (1, 2)]
    assert read(flow.wrap(Tracked(range(2))).deadline(0)) == []


def test_the_deadline_counts_from_the_first_asking() -> None:
    """CONTRACT 4; and it goes on while the reader is busy."""
    source = Tracked(range(9), delay=1)
    assert on_asyncio(flow.wrap(source).deadline(4.5), busy=2) == [(0, 1), (1, 4)]
    assert on_asyncio(flow.wrap(source).deadline(3.5), busy=2) == [(0, 1)]

    def late(rows: Any) -> Generator[Any]:
        flow.sleep(10)
        yield from flow.wrap(source).deadline(1.5)

    assert in_script(flow.wrap([]) | late) == [(0, 11)]


def test_the_end_comes_when_the_input_is_closed() -> None:
    """CONTRACT 14: a cleanup that waits is waited for."""
    source = Tracked(count(), delay=1, cleanup=3)
    with virtual_time() as clock:
        assert list(flow.wrap(source).deadline(1.5)) == [0]
        assert clock.time() == 4.5


# ------------------------------------------------------------------------------------------------------------------
# All of them

PATIENT: dict[str, Callable[[flow.Stage[Any]], flow.Stage[Any]]] = {
    "timeout": lambda rows: rows.timeout(item=9, first=9, idle=9, total=99),
    "timeout that goes on": lambda rows: rows.timeout(item=1.5, on_late=lambda late: late.which),
    "idle that goes on": lambda rows: rows.timeout(idle=1.5, on_late=lambda late: late.which),
    "keep_alive": lambda rows: rows.keep_alive(1.5, "-"),
    "deadline": lambda rows: rows.deadline(99),
    "deadline that cuts": lambda rows: rows.deadline(4),
}
each = pytest.mark.parametrize("name", PATIENT)


@each
def test_torture(name: str) -> None:
    """CONTRACT 14-16: ended at each wait and after each row, in every way."""
    sources: list[Tracked[int]] = []

    def make() -> flow.Stage[Any]:
        sources[:] = [Tracked(range(4), delay=[1, 0, 2, 1.25], cleanup=1)]
        return PATIENT[name](flow.wrap(sources[0]))

    # With a seed time is early, and so rows are late.
    report = torture(make, tracked=lambda: sources, seeds=(None, 1, 2, 3), ordered=None, fails=None)
    assert report.runs["cancelled"] >= 4 * 3


def test_torture_of_a_row_that_is_late() -> None:
    """CONTRACT 14-16: a timeout at the end, and a cleanup after it."""
    sources: list[Tracked[int]] = []

    def make() -> flow.Stage[Any]:
        sources[:] = [Tracked(range(3), delay=[1, 1, 30], cleanup=1)]
        return flow.wrap(sources[0]).timeout(item=10)

    torture(make, tracked=lambda: sources, fails=flow.RowTimeoutError, ordered=None, seeds=(None,))


@each
def test_one_row_is_held_by_nobody(name: str) -> None:
    """CONTRACT 4, 7, 20: nothing runs before it is asked, it asks when it is asked, and it can be read again."""
    source = Tracked(range(99))
    stage = PATIENT[name](flow.wrap(source))
    for _ in range(2):
        with virtual_time(), stage.open() as rows:
            before = source.asked
            for number in range(1, 5):
                next(rows)
                assert source.asked - before == number
    assert left_after(stage, 3) == ([0, 1, 2], [])
    assert source.is_closed


@each
def test_one_timer_at_most(name: str) -> None:
    """CONTRACT 8, 14: over a source that never gives a row there is one while it waits, and none after it."""
    seen: list[int] = []

    async def read() -> None:
        async for _ in PATIENT[name](flow.wrap(never)):
            pass

    async def main() -> None:
        reading = asyncio.create_task(read())
        for _ in range(5):
            await asyncio.sleep(0.7)
            seen.append(len(timers()))
        reading.cancel()
        await asyncio.wait([reading])
        assert timers() == []

    with virtual_time() as clock:
        clock.run(main())
    assert seen == [1] * 5
    nothing_left()


def test_no_timer_without_a_limit() -> None:
    """After the first row, `first` alone waits for nothing."""
    assert cancelled_at(flow.Merge([1], flow.wrap(never)).timeout(first=2), 9) == ([1], [])


@pytest.mark.parametrize("how", [by_rows, by_list, by_blocks])
@each
def test_a_source_that_always_has_a_row(name: str, how: Any) -> None:
    """CONTRACT 10: the loop keeps its turns; the same when nothing of it passes."""
    for source in (endless(), endless().filter(lambda n: False)):
        with virtual_time() as clock:
            assert clock.run(longest_wait([how(PATIENT[name](source))])) <= 2
    nothing_left()


@each
def test_a_failure_comes_after_the_rows_before_it(name: str) -> None:
    """CONTRACT 3, 17."""
    source = Tracked("ab", delay=1, fail=OSError("gone"))
    assert until_it_fails(PATIENT[name](flow.wrap(source)), OSError) == ([("a", 1), ("b", 2)], ("gone", 2))


# ------------------------------------------------------------------------------------------------------------------
# Wrong arguments, and what is said of them

rows = flow.wrap([1])


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: rows.timeout(), TypeError, r"timeout\(\) needs a limit: item=, first=, idle= or total="),
        (lambda: rows.timeout(item=0), ValueError, r"timeout\(item\)"),
        (lambda: rows.timeout(first=-1), ValueError, r"timeout\(first\)"),
        (lambda: rows.timeout(idle=float("nan")), ValueError, r"timeout\(idle\)"),
        (lambda: rows.timeout(total="1"), TypeError, r"timeout\(total\)"),
        (lambda: rows.timeout(item=1, total=float("inf")), ValueError, r"timeout\(total\)"),
        (lambda: rows.timeout(item=1, on_late="raise"), TypeError, r"timeout\(on_late\)"),
        (lambda: rows.keep_alive(0, 1), ValueError, r"keep_alive\(idle\)"),
        (lambda: rows.keep_alive("1", 1), TypeError, r"keep_alive\(idle\)"),
        (lambda: rows.deadline(-1), ValueError, r"deadline\(seconds\)"),
        (lambda: rows.deadline(float("inf")), ValueError, r"deadline\(seconds\)"),
        (lambda: rows.deadline(None), TypeError, r"deadline\(seconds\)"),
    ],
)
def test_wrong_arguments_fail_when_it_is_built(make: Any, error: type[Exception], text: str) -> None:
    """CONTRACT 22: in the line that wrote them, naming the argument and what is allowed."""
    with pytest.raises(error, match=text):
        make()


def test_how_they_are_shown() -> None:
    assert repr(rows.timeout(item=2, total=60)) == "wrap(list) | timeout(item=2, total=60)"
    assert repr(rows.keep_alive(5, None).deadline(60)) == "wrap(list) | keep_alive(5) | deadline(60)"


@pytest.mark.parametrize("name", ["timeout", "keep_alive", "deadline"])
def test_the_examples_are_right(name: str) -> None:
    from flow.stages import timing

    code = example_of(getattr(timing, name))
    assert code is not None
    run_statements(code)
