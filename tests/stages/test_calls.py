"""Concurrent calls: `map(f, concurrency=n)`, its order, its bounds, its keys.

CONTRACT 1, 2, 4, 5, 6, 7, 8, 10, 12, 20, 21, 22. Failures are in test_calls_failures.py, ends in test_calls_ends.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextvars import ContextVar
from itertools import count, pairwise
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

import flow
from flow.stages.jobs import Calls
from flow.testing import Tracked, nothing_left, virtual_time

from .calling import KINDS, Calling, rows_of, timed

kinds = pytest.mark.parametrize("kind", KINDS)


def on_script(stage: flow.Stage[Any]) -> list[Any]:
    with virtual_time():
        return list(stage)


# ------------------------------------------------------------------------------------------------------------------
# Order and times


@kinds
def test_the_slow_head(kind: str) -> None:
    """CONTRACT 4, 8: limit 3, the first item slow: 3, 4 and 5 begin as soon as a slot is free."""
    calling = Calling({0: 1.0, 1: 0.2, 2: 0.2, 3: 0.2, 4: 0.2, 5: 0.2})
    got, error = timed(flow.wrap(range(6)).map(KINDS[kind](calling), concurrency=3))
    assert error is None
    assert calling.began == pytest.approx({0: 0, 1: 0, 2: 0, 3: 0.2, 4: 0.2, 5: 0.4})
    assert got == [(0, 1), (-1, 1), (-2, 1), (-3, 1), (-4, 1), (-5, 1)]


@kinds
def test_the_window_is_a_bound(kind: str) -> None:
    """CONTRACT 4, 21: behind a slow head no more rows are read than `ahead`, and calls stop there."""
    calling = Calling({0: 10.0, **dict.fromkeys(range(1, 100), 0.25)})
    source = Tracked(range(100))
    with virtual_time() as clock:

        async def main() -> None:
            async for _ in flow.wrap(source).map(KINDS[kind](calling), concurrency=3, ahead=8):
                assert (clock.time(), source.asked, len(calling.began)) == (10, 8, 8)
                break

        clock.run(main())


@kinds
def test_rows_come_as_soon_as_their_turn_has_come(kind: str) -> None:
    """CONTRACT 1, 5: in the order of the input, each at the time when it and all before it are done."""
    calling = Calling({0: 3, 1: 1, 2: 2, 3: 5, 4: 1})
    got, _ = timed(flow.wrap(range(5)).map(KINDS[kind](calling), concurrency=2))
    # 0 and 1 begin at 0, 2 at 1, 3 and 4 at 3: 3 is done at 8, 4 at 4.
    assert got == [(0, 3), (-1, 3), (-2, 3), (-3, 8), (-4, 8)]
    assert calling.peak == 2


@kinds
def test_unordered_rows_come_as_they_are_done(kind: str) -> None:
    """CONTRACT 2, 5: each at the time of its own end."""
    calling = Calling({1: 3, 2: 1, 3: 2, 4: 5, 5: 1})
    got, _ = timed(flow.wrap([1, 2, 3, 4, 5]).map(KINDS[kind](calling), concurrency=2, ordered=False))
    assert got == [(-2, 1), (-1, 3), (-3, 3), (-5, 4), (-4, 8)]


@kinds
def test_calls_go_on_while_the_reader_is_busy(kind: str) -> None:
    """CONTRACT 4: what is in flight goes on, and new calls begin up to the window, while the reader does something
    else."""
    calling = Calling(1.0)
    got, _ = timed(flow.wrap(range(1, 7)).map(KINDS[kind](calling), concurrency=2), busy=10)
    assert calling.began == {1: 0, 2: 0, 3: 1, 4: 1, 5: 2, 6: 11}  # four rows are in hand, and the reader has one
    assert [time for _, time in got] == [1, 11, 21, 31, 41, 51]


def test_the_starved_reader_takes_ten_of_an_endless_source() -> None:
    """CONTRACT 4, 20: a reader that takes 10 slow items of count() has begun 10 calls, and those of the window."""
    calling = Calling(0.5)
    stage = flow.wrap(count()).map(calling.task, concurrency=8)[:10]
    got, error = timed(stage, busy=1)
    assert error is None
    assert len(got) == 10
    assert len(calling.began) == 10 + 16
    assert calling.peak == 8


@kinds
@settings(max_examples=40)
@given(
    seconds=st.lists(st.sampled_from([0, 0, 0.5, 1, 2.5]), max_size=20),
    concurrency=st.integers(1, 5),
    more=st.integers(0, 5),
    ordered=st.booleans(),
    keyed=st.booleans(),
    busy=st.sampled_from([0, 0, 0.7]),
)
def test_calls_against_a_model(
    kind: str, seconds: list[float], concurrency: int, more: int, ordered: bool, keyed: bool, busy: float
) -> None:
    """CONTRACT 1, 2, 21: every row once, in order where that is asked for; never more in work or in hand than stated;
    of one key one at a time, in order."""
    calling = Calling(dict(enumerate(seconds)))
    source = Tracked(range(len(seconds)))
    stage = flow.wrap(source).map(
        KINDS[kind](calling),
        concurrency=concurrency,
        ordered=ordered,
        ahead=concurrency + more,
        key=(lambda row: row % 3) if keyed else None,
    )
    got, error = timed(stage, busy)
    assert error is None
    rows = [-row for row, _ in got]
    assert (rows if ordered else sorted(rows)) == list(range(len(seconds)))
    assert calling.peak <= concurrency
    if keyed:
        for key in range(3):
            own = [row for row in calling.order if row % 3 == key]
            assert own == sorted(own)
            assert all(calling.ended[one] <= calling.began[two] for one, two in pairwise(own))
    assert source.is_closed


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("kind", ["task", "plain", "thread"])
def test_calls_that_do_not_wait(kind: str, ordered: bool) -> None:
    """CONTRACT 1, 2: calls that are ready at once, in a script and on a loop: the same rows as those of map()."""

    async def task(row: int) -> int:
        return -row

    def plain(row: int) -> int:
        return -row

    def thread(row: int) -> int:
        if row % 7 == 0:
            flow.cooperate()
        return -row

    f: Any = {"task": task, "plain": plain, "thread": thread}[kind]
    for concurrency in (2, 8):
        stage = flow.wrap(range(500)).map(f, concurrency=concurrency, ordered=ordered)
        for rows in (rows_of(stage), on_script(stage)):
            assert (rows if ordered else sorted(rows, reverse=True)) == [-row for row in range(500)]


@kinds
def test_in_a_script(kind: str) -> None:
    """CONTRACT 12: calls overlap in a plain `for`, too, at the same times."""
    calling = Calling({0: 1.0, 1: 0.25, 2: 0.25, 3: 0.25, 4: 0.25, 5: 0.25})
    calling.time = lambda: clock.time()  # type: ignore[method-assign]
    with virtual_time() as clock:
        got = [(row, clock.time()) for row in flow.wrap(range(6)).map(KINDS[kind](calling), concurrency=3)]
    assert calling.began == {0: 0, 1: 0, 2: 0, 3: 0.25, 4: 0.25, 5: 0.5}
    assert got == [(-row, 1) for row in range(6)]


@pytest.mark.parametrize("kind", ["task", "thread"])
def test_on_trio(kind: str) -> None:
    """CONTRACT 12: the same at the same times on trio."""
    seconds = {0: 1.0, 1: 0.25, 2: 0.25, 3: 0.25, 4: 0.25, 5: 0.25}
    began: dict[int, float] = {}

    async def task(row: int) -> int:
        began[row] = trio.current_time() - start
        await trio.sleep(seconds[row])
        return -row

    def thread(row: int) -> int:
        began[row] = trio.current_time() - start
        flow.sleep(seconds[row])
        return -row

    async def main() -> list[int]:
        nonlocal start
        start = trio.current_time()
        f: Any = task if kind == "task" else thread
        return [row async for row in flow.wrap(range(6)).map(f, concurrency=3)]

    start = 0.0
    assert trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0)) == [0, -1, -2, -3, -4, -5]
    assert began == {0: 0, 1: 0, 2: 0, 3: 0.25, 4: 0.25, 5: 0.5}


def test_a_slow_input_and_calls_overlap() -> None:
    """CONTRACT 5, 8: a row is called when it is there, whatever the input waits for next."""
    calling = Calling(5.0)
    got, _ = timed(flow.wrap(Tracked([1, 2, 3], delay=1)).map(calling.task, concurrency=3))
    assert calling.began == {1: 1, 2: 2, 3: 3}
    assert got == [(-1, 6), (-2, 7), (-3, 8)]


def test_with_several_stages() -> None:
    """Map(f, a, b, concurrency=n) calls f(a, b) for one row of each, as the builtin map does it."""

    async def least(a: int, b: int) -> int:
        await asyncio.sleep(1)
        return min(a, b)

    with virtual_time() as clock:
        assert list(flow.Map(least, [1, 5, 7], [3, 2, 9], concurrency=3)) == [1, 2, 7]
        assert clock.time() == 1
    assert repr(flow.Map(max, [1], [2], concurrency=3)) == "Zip(wrap(list), wrap(list)) | map(max, concurrency=3)"


@kinds
def test_one_call_at_a_time_ahead_of_the_reader(kind: str) -> None:
    """CONTRACT 4: with `ahead` and a concurrency of 1, calls go on one after another while the reader is busy."""
    calling = Calling(1.0)
    timed(flow.wrap(range(1, 5)).map(KINDS[kind](calling), ahead=3), busy=10)
    assert calling.began == {1: 0, 2: 1, 3: 2, 4: 3}
    assert calling.peak == 1


# ------------------------------------------------------------------------------------------------------------------
# Keys


def test_rows_of_one_key_are_called_in_order() -> None:
    """CONTRACT 1, 8: a row waits for those of its key only; the others go on beside it."""
    calling = Calling({"a1": 3, "a2": 1, "b1": 1, "b2": 1, "a3": 1})
    got, _ = timed(
        flow.wrap(["a1", "a2", "b1", "b2", "a3"]).map(
            negated(calling), concurrency=3, ahead=5, key=lambda row: row[0], ordered=False
        )
    )
    assert calling.began == {"a1": 0, "b1": 0, "b2": 1, "a2": 3, "a3": 4}
    assert got == [("b1", 1), ("b2", 2), ("a1", 3), ("a2", 4), ("a3", 5)]


def negated(calling: Calling) -> Any:
    """Calls for rows that are text."""

    async def call(row: str) -> str:
        calling._begin(row)
        await asyncio.sleep(calling.seconds[row])
        calling._end(row)
        return row

    return call


def test_keys_without_work_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """CONTRACT 20: ten thousand keys, one row each: no more of them are known than rows are in hand."""
    most = 0
    calls: list[Calls] = []
    take_in = Calls._take_in

    def spied(self: Calls, jobs: Any) -> None:
        nonlocal most
        calls[:] = [self]
        most = max(most, len(self.lanes))
        take_in(self, jobs)

    monkeypatch.setattr(Calls, "_take_in", spied)

    async def same(row: int) -> int:
        return row

    assert rows_of(flow.wrap(range(10_000)).map(same, concurrency=4, key=str)) == list(range(10_000))
    assert most <= 8
    assert calls[0].peak <= 8
    assert not calls[0].lanes


@pytest.mark.parametrize("is_async", [True, False])
def test_a_key_may_be_waited_for(is_async: bool) -> None:
    """CONTRACT 9: an async key is awaited, and a plain one may wait."""

    async def task(row: int) -> int:
        await asyncio.sleep(1)
        return row % 2

    def thread(row: int) -> int:
        flow.sleep(1)
        return row % 2

    calling = Calling(10)
    timed(flow.wrap([1, 2, 3]).map(calling.task, concurrency=3, key=task if is_async else thread))
    assert calling.began == {1: 1, 2: 2, 3: 11}


def test_rows_of_a_busy_key_do_not_hold_up_the_rest() -> None:
    """CONTRACT 21: within the window, the rows behind those that wait for their key are called."""
    calling = Calling(1.0)
    timed(flow.wrap([2, 4, 6, 1]).map(calling.task, concurrency=2, ahead=4, key=lambda row: row % 2, ordered=False))
    assert calling.began == {2: 0, 1: 0, 4: 1, 6: 2}


# ------------------------------------------------------------------------------------------------------------------
# Bounds


@pytest.mark.parametrize("kind", ["task", "thread"])
@pytest.mark.parametrize(("concurrency", "ahead"), [(1, 1), (1, 3), (2, 2), (3, 7), (8, 16), (50, 50)])
def test_rows_in_hand(kind: str, concurrency: int, ahead: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """CONTRACT 20, 21: at most `ahead` rows are read and not handed on, however slow the reader is; and so many are."""
    peaks: list[int] = []
    close = Calls.close

    def spied(self: Calls, error: Any) -> None:
        peaks.append(self.peak)
        close(self, error)

    monkeypatch.setattr(Calls, "close", spied)
    source = Tracked(range(200))
    worst = 0

    def watched(rows: Iterator[int]) -> Iterator[int]:
        nonlocal worst
        for number, row in enumerate(rows):
            yield row  # the reader is busy with it
            worst = max(worst, source.asked - number - 1)

    calling = Calling(0.1)
    stage = flow.wrap(source).map(KINDS[kind](calling), concurrency=concurrency, ahead=ahead) | watched
    timed(stage, busy=1)
    assert worst == ahead
    assert peaks == [ahead]


def test_the_window_unless_it_is_given() -> None:
    """CONTRACT 4: it is twice the concurrency, beside the row that the reader has."""
    source = Tracked(count())
    timed(flow.wrap(source).map(Calling(1.0).task, concurrency=5)[:1], busy=100)
    assert source.asked == 1 + 10


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_runs_before_the_first_row_is_asked_for(kind: str) -> None:
    """CONTRACT 4: neither the input nor a call, nor a thread."""
    source, calling = Tracked([1, 2]), Calling(1.0)
    stage = flow.wrap(source).map(KINDS[kind](calling), concurrency=2)

    async def main() -> None:
        async with stage.open():
            await asyncio.sleep(5)

    with virtual_time() as clock:
        clock.run(main())
    with stage.open():
        pass
    assert source.opened == 0
    assert not calling.began
    nothing_left(source)


def test_reading_twice() -> None:
    """CONTRACT 7: a second iteration is a second run; two at the same time are two."""
    calling = Calling(1.0)
    stage = flow.wrap([1, 2]).map(calling.task, concurrency=2)

    async def main() -> list[list[int]]:
        return list(await asyncio.gather(stage, stage))

    with virtual_time() as clock:
        assert clock.run(main()) == [[-1, -2], [-1, -2]]
        assert clock.time() == 1
    assert rows_of(stage) == rows_of(stage) == [-1, -2]


def test_a_source_that_can_be_read_once() -> None:
    """CONTRACT 7: the second iteration says so."""
    stage = flow.wrap(iter([1, 2])).map(Calling(1.0).task, concurrency=2)
    assert rows_of(stage) == [-1, -2]
    with pytest.raises(flow.AlreadyReadError):
        rows_of(stage)


def test_rows_of_any_value() -> None:
    """CONTRACT 6: what f gives is data: None, exceptions, instructions, stages."""
    values: list[Any] = [None, OSError(), StopIteration(), [], flow.Cooperate(5), flow.wrap([1])]

    async def same(row: Any) -> Any:
        return row

    assert rows_of(flow.Map(same, Tracked(values), concurrency=3)) == values
    assert rows_of(flow.Map(lambda row: row, Tracked(values), concurrency=3)) == values


# ------------------------------------------------------------------------------------------------------------------
# Where calls run


def test_an_async_function_runs_in_few_tasks() -> None:
    """Calls run in as many tasks as the concurrency, from begin to end, and a timeout in one is its own."""
    tasks: dict[int, Any] = {}

    async def call(row: int) -> str:
        tasks[row] = asyncio.current_task()
        try:
            async with asyncio.timeout(1):
                await asyncio.sleep(row)
        except TimeoutError:
            assert asyncio.current_task() is tasks[row]
            return "late"
        return "in time"

    rows = [0.5, 2, 0.25, 3, 0.75, 0]
    assert rows_of(flow.wrap(rows).map(call, concurrency=2)) == [
        "in time",
        "late",
        "in time",
        "late",
        "in time",
        "in time",
    ]
    assert len(set(tasks.values())) == 2


def test_calls_that_do_not_wait_need_one_task() -> None:
    """A worker takes the next job without leaving its task; others are not woken for what it can do itself."""
    tasks: set[Any] = set()

    async def call(row: int) -> int:
        tasks.add(asyncio.current_task())
        return row

    assert rows_of(flow.wrap(range(100)).map(call, concurrency=8)) == list(range(100))
    assert len(tasks) == 1


var: ContextVar[str] = ContextVar("var", default="nobody")


@pytest.mark.parametrize("kind", ["task", "thread"])
def test_context_variables(kind: str) -> None:
    """A call sees those of the run, and what it sets is seen by no call beside it, nor by the reader."""

    async def task(row: int) -> tuple[int, str]:
        before = var.get()
        var.set(f"row {row}")
        await asyncio.sleep(1)
        return row, before if var.get() == f"row {row}" else "mixed up"

    def thread(row: int) -> tuple[int, str]:
        before = var.get()
        var.set(f"row {row}")
        flow.sleep(1)
        return row, before if var.get() == f"row {row}" else "mixed up"

    var.set("reader")
    f: Any = task if kind == "task" else thread
    got, error = timed(flow.wrap([1, 2, 3]).map(f, concurrency=3))
    assert error is None
    assert [row for row, _ in got] == [(1, "reader"), (2, "reader"), (3, "reader")]
    assert var.get() == "reader"


def test_a_call_may_read_a_stage() -> None:
    """CONTRACT 13: f may iterate another stage on its micro-thread; calls overlap in that, too."""

    def total(row: int) -> int:
        return sum(flow.wrap(Tracked([row, row], delay=1)))

    with virtual_time() as clock:
        assert list(flow.wrap([1, 2, 3]).map(total, concurrency=3)) == [2, 4, 6]
        assert clock.time() == 2


def test_calls_inside_calls() -> None:
    """CONTRACT 13: stages of calls nest, side by side and one below the other."""

    async def slow(row: int) -> int:
        await asyncio.sleep(1)
        return row + 1

    def inner(row: int) -> list[int]:
        return list(flow.wrap([row, row]).map(slow, concurrency=2))

    stage = flow.wrap(range(4)).map(slow, concurrency=2).map(inner, concurrency=4, ordered=False)
    with virtual_time() as clock:
        assert sorted(stage) == [[2, 2], [3, 3], [4, 4], [5, 5]]
        assert clock.time() == 3
    both = flow.Merge(flow.wrap([1]).map(slow, concurrency=2), flow.wrap([10]).map(inner, concurrency=2))
    assert sorted(map(str, on_script(both))) == ["2", "[11, 11]"]


def test_the_rest_of_the_rows_may_be_read_by_another_strand() -> None:
    """CONTRACT 13: a stage may take some rows itself and give its input to a branch."""

    def merged(rows: Iterator[int]) -> Iterator[int]:
        yield next(rows)
        yield from flow.Merge(rows, Tracked([100], delay=10))

    calling = Calling(1.0)
    got, error = timed(flow.wrap([1, 2, 3]).map(calling.task, concurrency=2) | merged)
    assert error is None
    assert got == [(-1, 1), (-2, 1), (-3, 2), (100, 11)]


@pytest.mark.parametrize("kind", ["task", "plain"])
def test_busy_calls_give_the_loop_its_turn(kind: str) -> None:
    """CONTRACT 10: calls that take long and never wait let the loop go on between them."""
    turns = 0

    def tick() -> None:
        nonlocal turns
        turns += 1
        if not done:
            asyncio.get_running_loop().call_soon(tick)

    async def task(row: int) -> int:
        burn()
        return row

    def plain(row: int) -> int:
        burn()
        return row

    def burn() -> None:
        for _ in range(200):  # 4 ms of the virtual clock of slices: see `READ`
            slices()

    f: Any = task if kind == "task" else plain
    done = False

    async def main() -> list[int]:
        nonlocal slices
        loop: Any = asyncio.get_running_loop()
        slices = loop.slice_clock
        loop.call_soon(tick)
        return await flow.wrap(range(64)).map(f, concurrency=32)

    slices: Any = None
    with virtual_time() as clock:
        try:
            assert clock.run(main()) == list(range(64))
        finally:
            done = True
    assert turns >= 25  # 64 calls of 4 ms, and turns are given after 5


def test_ten_thousand_calls_at_once() -> None:
    """CONTRACT 23: a concurrency of 10,000."""
    calling = Calling(1.0)
    with virtual_time() as clock:
        calling.time = clock.time  # type: ignore[method-assign]
        assert list(flow.wrap(range(10_000)).map(calling.task, concurrency=10_000)) == [-row for row in range(10_000)]
        assert clock.time() == 1
    assert calling.peak == 10_000


@pytest.mark.parametrize("kind", ["task", "plain"])
def test_a_long_chain(kind: str) -> None:
    """CONTRACT 23: a hundred stages that call, one below the other: no RecursionError on the way, in a script or on a
    loop, to the end or closed early."""

    async def task(row: int) -> int:
        return row + 1

    def plain(row: int) -> int:
        return row + 1

    stage = flow.wrap(range(10))
    for _ in range(100):
        stage = stage.map(task if kind == "task" else plain, concurrency=2)
    with virtual_time() as clock:
        assert list(stage) == list(range(100, 110))
        assert next(iter(stage)) == 100

        async def main() -> list[int]:
            async with stage.open() as rows:
                assert await anext(rows) == 100
            return await stage

        assert clock.run(main()) == list(range(100, 110))
    nothing_left()


# ------------------------------------------------------------------------------------------------------------------
# What stays as it was, and what is refused


def test_without_options_it_is_a_plain_stage() -> None:
    """A concurrency of 1 adds nothing to the chain: no row is read ahead, and the stage is a pipe."""
    source = Tracked([1, 2, 3])
    stage = flow.wrap(source).map(abs)
    assert repr(stage) == "wrap(Tracked) | map(abs)"
    assert stage.upstream is not None
    with stage.open() as rows:
        assert next(rows) == 1
        assert source.asked == 1
    assert flow.wrap([1]).map(abs, concurrency=1, ordered=False, key=abs, on_error="finish").upstream is not None
    assert repr(flow.wrap([1]).map(abs, concurrency=4)) == "wrap(list) | map(abs, concurrency=4)"


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"concurrency": 0}, ValueError, r"map\(concurrency\)"),
        ({"concurrency": -1}, ValueError, r"map\(concurrency\)"),
        ({"concurrency": 1.5}, TypeError, r"map\(concurrency\)"),
        ({"concurrency": True}, TypeError, r"map\(concurrency\)"),
        ({"concurrency": None}, TypeError, r"map\(concurrency\)"),
        ({"ordered": 1}, TypeError, r"map\(ordered\)"),
        ({"ordered": None}, TypeError, r"map\(ordered\)"),
        ({"ahead": 0}, ValueError, r"map\(ahead\)"),
        ({"ahead": 2.0}, TypeError, r"map\(ahead\)"),
        ({"concurrency": 4, "ahead": 3}, ValueError, r"map\(ahead\).*at least the concurrency, 4"),
        ({"key": "name"}, TypeError, r"map\(key\)"),
        ({"on": "processes"}, TypeError, r"map\(on\).*'threads'"),
        ({"on": 4}, TypeError, r"map\(on\).*Executor"),
        ({"on_error": "ignore"}, ValueError, r"map\(on_error\).*'finish'"),
        ({"on_error": None}, ValueError, r"map\(on_error\)"),
        ({"on_row_error": "ignore"}, ValueError, r"map\(on_row_error\).*'skip'"),
        ({"on_row_error": None}, TypeError, r"map\(on_row_error\)"),
        ({"retry": 0}, ValueError, r"map\(retry\)"),
        ({"retry": "often"}, TypeError, r"map\(retry\)"),
        ({"limit": 3}, TypeError, "limit"),
    ],
)
def test_wrong_options_fail_when_built(options: Any, error: Any, words: str) -> None:
    """CONTRACT 22: from the line that wrote it, naming the option and what is allowed."""
    rows = flow.wrap([1])
    with pytest.raises(error, match=words):
        rows.map(abs, **options)
    with pytest.raises(error, match=words):
        flow.Map(abs, rows, **options)


def test_an_async_function_needs_no_executor() -> None:
    """CONTRACT 22: an async f with `on` is refused where it is built."""

    async def call(row: int) -> int:
        return row

    with pytest.raises(TypeError, match=r"map\(on\).*async"):
        flow.wrap([1]).map(call, on="threads")
    with pytest.raises(TypeError, match=r"map needs a function"):
        flow.Map(3, flow.wrap([1]), concurrency=2)  # type: ignore[call-overload]
