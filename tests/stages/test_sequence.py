"""chain, interleave and merge_sorted: several inputs, read in an order.

CONTRACT 1-8, 10, 13-16, 19, 20, 22. What becomes of failures at each point is in test_combine_failures.py.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from itertools import count, zip_longest
from operator import itemgetter, neg
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flow
from flow.testing import Tracked, nothing_left, torture, virtual_time

inputs = st.lists(st.lists(st.integers(0, 9), max_size=8), max_size=5)
delays = st.lists(st.sampled_from([0, 0, 0.5, 1, 2.5]), min_size=5, max_size=5)
Read = Callable[[flow.Stage[Any]], list[Any]]


def on_script(stage: flow.Stage[Any]) -> list[Any]:
    with virtual_time():
        return list(stage)


def on_asyncio(stage: flow.Stage[Any]) -> list[Any]:
    async def main() -> list[Any]:
        return [row async for row in stage]

    with virtual_time() as clock:
        return clock.run(main())


both = pytest.mark.parametrize("read", [on_script, on_asyncio])
every = pytest.mark.parametrize("combine", [flow.chain, flow.interleave, flow.merge_sorted])


def ticks(seconds: float, *rows: Any) -> Any:
    """A classic generator that waits `seconds` before each of the rows."""

    def ticking() -> Iterator[Any]:
        for row in rows:
            yield flow.Cooperate(seconds)
            yield row

    return ticking


def tracked(rows: list[list[Any]], waits: list[float]) -> list[Tracked[Any]]:
    return [Tracked(each, delay=delay) for each, delay in zip(rows, waits, strict=False)]


# --------------------------------------------------------------------------------------------------------------------
# All three


@both
@every
def test_of_nothing_and_of_one(read: Read, combine: Any) -> None:
    """With no input it is empty, with one it is that input."""
    assert read(combine()) == []
    assert read(combine([1, 2])) == [1, 2]
    assert read(combine([], [])) == []


@every
def test_it_is_a_description(combine: Any) -> None:
    """CONTRACT 7: read twice, it runs twice; the same stage as two inputs is two readings; it shows its inputs."""
    stage = flow.wrap([1, 2])
    twice = combine(stage, stage)
    assert sorted(twice) == sorted(twice) == [1, 1, 2, 2]
    assert repr(twice) == f"{combine.__name__}(wrap(list), wrap(list))"
    assert twice.sources == (stage, stage)


@every
def test_a_source_that_can_be_read_once(combine: Any) -> None:
    """CONTRACT 7: at the second reading it says so."""
    stage = combine(iter([1]), [2])
    assert list(stage) == [1, 2]
    with pytest.raises(flow.AlreadyReadError):
        list(stage)


@every
@pytest.mark.parametrize("wrong", [3, None, len])
def test_what_is_no_source_is_refused_when_built(combine: Any, wrong: Any) -> None:
    """CONTRACT 22: by the line that wrote it."""
    with pytest.raises(TypeError, match="wrap"):
        combine([1], wrong)


@every
def test_of_every_kind_of_source(combine: Any) -> None:
    """CONTRACT 2: plain, classic, async, threaded and pushed sources; nothing of them is left."""

    async def asynchronous() -> Any:
        for number in range(3):
            await asyncio.sleep(1)
            yield number

    pushed: flow.Callback[int] = flow.Callback()
    for number in range(3):
        pushed.result(number)
    pushed.finish()
    with virtual_time():
        stage = combine(range(3), ticks(1, 0, 1, 2), asynchronous, flow.Threaded(range(3)), pushed)
        assert sorted(stage) == sorted([*range(3)] * 5)
    nothing_left()


@both
@every
def test_rows_of_any_value(read: Read, combine: Any) -> None:
    """CONTRACT 6: None is a row."""
    assert read(combine([None], [])) == [None]


@every
@pytest.mark.parametrize("seeds", [(None,), (1, 2, 3)])
def test_torture(combine: Any, seeds: Any) -> None:
    """CONTRACT 14-16: ended at each wait and after each row, in every way, in several orders of what is ready."""
    used: list[Tracked[Any]] = []

    def make() -> flow.Stage[Any]:
        used[:] = [
            Tracked(["a0", "b1", "c2"], delay=1, cleanup=1),
            Tracked(["b0", "d1"]),
            Tracked(["a9", "b0", "c0"], delay=0.5, cleanup=0.5),
        ]
        stage: flow.Stage[Any] = combine(*used)
        return stage

    report = torture(make, tracked=lambda: used, seeds=seeds)
    assert len(report.rows) == 8


@both
@every
def test_it_is_closed_early(read: Read, combine: Any) -> None:
    """CONTRACT 14: after a slice, everything that was opened is closed."""
    sources = [Tracked(count(), delay=1, cleanup=1) for _ in range(3)]
    assert len(read(combine(*sources)[:5])) == 5
    assert all(each.is_closed for each in sources)
    nothing_left()


@every
def test_a_stop_iteration_of_an_input_is_an_error(combine: Any) -> None:
    """CONTRACT 19: it does not look like the end of an input."""

    def stops(x: int) -> int:
        raise StopIteration

    with pytest.raises(RuntimeError, match="StopIteration"):
        list(combine(flow.wrap([1]).map(stops), [1, 2]))


@every
def test_the_rest_may_be_read_by_another_strand(combine: Any) -> None:
    """CONTRACT 13: a stage reads the head of it, and gives the rest to a branch."""

    def headed(rows: Iterator[Any]) -> Iterator[Any]:
        yield next(rows)
        yield from flow.Merge(rows, ["x"])

    sources = [Tracked(range(3), delay=1), Tracked(range(3), delay=1)]
    got = on_asyncio(combine(*sources) | headed)
    assert sorted(row for row in got if row != "x") == [0, 0, 1, 1, 2, 2]
    assert all(each.is_closed for each in sources)


# --------------------------------------------------------------------------------------------------------------------
# chain


@both
@settings(max_examples=30)
@given(rows=inputs, waits=delays)
def test_chain_is_that_of_itertools(read: Read, rows: list[list[int]], waits: list[float]) -> None:
    """CONTRACT 1, 2: however the inputs wait."""
    sources = tracked(rows, waits)
    assert read(flow.chain(*sources)) == list(itertools.chain(*rows))
    assert all(source.closed == source.opened == 1 for source in sources)


@both
def test_chain_opens_an_input_when_the_one_before_is_closed(read: Read) -> None:
    """CONTRACT 4, 14: each when its first row is asked for, and after a cleanup that waits; none behind the last row
    that is asked for."""
    log: list[tuple[str, str]] = []
    sources = [Tracked([name], name=name, cleanup=1, log=log) for name in "abcd"]
    assert read(flow.chain(*sources)[:3]) == ["a", "b", "c"]
    assert log == [(name, what) for name in "abc" for what in ("opened", "closed")]


def test_chain_gives_each_row_when_it_is_there() -> None:
    """CONTRACT 5, 8: waits come one after another, exactly."""
    with virtual_time() as clock:
        stage = flow.chain(ticks(1, "a", "b"), ["c"], ticks(2, "d"))
        assert [(row, clock.time()) for row in stage] == [("a", 1), ("b", 2), ("c", 2), ("d", 4)]


def test_chain_of_a_hundred_thousand_empty_inputs_gives_turns() -> None:
    """CONTRACT 10, 23: though no input has a row."""
    turns = 0

    async def main() -> list[Any]:
        nonlocal turns
        loop = asyncio.get_running_loop()

        def turn() -> None:
            nonlocal turns
            turns += 1
            loop.call_soon(turn)

        loop.call_soon(turn)
        empty = flow.wrap(())
        return await flow.chain(*[empty] * 100_000, ["end"])

    with virtual_time() as clock:
        assert clock.run(main()) == ["end"]
    assert turns > 50


def test_a_failure_of_chain_leaves_later_inputs_alone() -> None:
    """CONTRACT 3, 4: the rows before it come first; what is behind it is never opened."""
    later = Tracked("xyz")
    got: list[Any] = []
    with pytest.raises(OSError, match="gone"):
        for row in flow.chain([1], Tracked([2], fail=OSError("gone")), later):
            got.append(row)
    assert got == [1, 2]
    assert later.opened == 0


def test_chain_in_chains() -> None:
    """CONTRACT 13: nested, and of stages that combine."""
    stage = flow.chain(flow.chain([1], flow.Merge([2], [3])), flow.Zip([4], [5]), flow.wrap([6]).map(neg))
    assert on_asyncio(stage) == [1, 2, 3, (4, 5), -6]


# --------------------------------------------------------------------------------------------------------------------
# interleave

MISSING = object()


@both
@settings(max_examples=50)
@given(rows=inputs, waits=delays)
def test_interleave_is_strict(read: Read, rows: list[list[int]], waits: list[float]) -> None:
    """CONTRACT 1, 2: the first rows of all, then the second of all: however the inputs wait, and who is quicker."""
    sources = tracked(rows, waits)
    wanted = [row for each in zip_longest(*rows, fillvalue=MISSING) for row in each if row is not MISSING]
    assert read(flow.interleave(*sources)) == wanted
    assert all(source.closed == source.opened == 1 for source in sources)


def test_interleave_asks_its_inputs_at_the_same_time() -> None:
    """CONTRACT 5, 8: waits overlap: a row that was there before its turn comes at its turn, at once."""
    with virtual_time() as clock:
        stage = flow.interleave(ticks(2, "a", "b"), ticks(1, "x", "y", "z"))
        assert [(row, clock.time()) for row in stage] == [("a", 2), ("x", 2), ("b", 4), ("y", 4), ("z", 5)]


def test_interleave_holds_a_row_of_each() -> None:
    """CONTRACT 4, 21: an input is at most one row ahead of its turn, and no further than it is asked."""
    slow, quick = Tracked(count(), delay=10), Tracked(count())
    with virtual_time():
        with flow.interleave(slow, quick).open() as rows:
            for number in range(4):
                assert next(rows) == number
                assert (slow.asked, quick.asked) == (number + 1, number + 1)
                assert next(rows) == number
                assert (slow.asked, quick.asked) == (number + 1, number + 1)


def test_a_failure_of_interleave_waits_for_its_turn() -> None:
    """CONTRACT 3, 16: one that failed while another was waited for is raised where its row would come."""
    error = OSError("gone")
    other = Tracked("xyz", delay=2, cleanup=1)
    got: list[Any] = []
    with virtual_time() as clock:
        with pytest.raises(OSError, match="gone") as raised:
            for row in flow.interleave(other, Tracked(["a"], fail=error), ["k", "l", "m"]):
                got.append((row, clock.time()))
        assert clock.time() == 5
    assert raised.value is error
    assert got == [("x", 2), ("a", 2), ("k", 2), ("y", 4)]
    assert other.is_closed


@pytest.mark.parametrize("fails", [False, True])
def test_what_interleave_holds_is_dropped_and_counted(fails: bool) -> None:
    """CONTRACT 16: at a failure, and when it is left early."""

    def slow() -> Iterator[Any]:
        yield flow.Cooperate(1)
        yield "a"
        yield flow.Cooperate(1)
        if fails:
            raise OSError("gone")
        yield "b"

    dropped: list[Any] = []
    with virtual_time():
        with pytest.raises(OSError, match="gone") if fails else nullcontext():
            with flow.interleave(slow, Tracked("xyz"), Tracked("klm")).open(on_dropped=dropped.extend) as rows:
                for row in rows:
                    if row == "b":
                        break
    assert dropped == ["y", "l"]


# --------------------------------------------------------------------------------------------------------------------
# merge_sorted


@both
@settings(max_examples=50)
@given(rows=inputs, waits=delays, reverse=st.booleans(), key=st.sampled_from([None, neg]))
def test_merge_sorted_is_that_of_heapq(
    read: Read, rows: list[list[int]], waits: list[float], reverse: bool, key: Any
) -> None:
    """CONTRACT 1, 2: of sorted inputs, with a key, and from the largest; however they wait."""
    rows = [sorted(each, key=key, reverse=reverse) for each in rows]
    got = read(flow.merge_sorted(*tracked(rows, waits), key=key, reverse=reverse))
    assert got == list(heapq.merge(*rows, key=key, reverse=reverse))


@both
@settings(max_examples=30)
@given(rows=inputs, waits=delays)
def test_merge_sorted_of_inputs_that_are_not(read: Read, rows: list[list[int]], waits: list[float]) -> None:
    """CONTRACT 1, 2: nobody looks: each input's rows come in its order, each once, as heapq.merge does it."""
    tagged = [[(row, which) for row in each] for which, each in enumerate(rows)]
    got = read(flow.merge_sorted(*tracked(tagged, waits), key=itemgetter(0)))
    assert got == list(heapq.merge(*tagged, key=itemgetter(0)))


@both
def test_merge_sorted_keeps_equal_rows_in_the_order_of_inputs(read: Read) -> None:
    """CONTRACT 1: it is stable, with rows that can't be compared themselves, too."""
    sources = [[(1, object()), (2, object())], [(1, object()), (2, object())]]
    got = read(flow.merge_sorted(*sources, key=itemgetter(0)))
    assert got == [sources[0][0], sources[1][0], sources[0][1], sources[1][1]]


@both
def test_an_async_key_is_awaited(read: Read) -> None:
    """CONTRACT 9: and it may wait."""

    async def key(row: str) -> int:
        await asyncio.sleep(0.5)
        return len(row)

    assert read(flow.merge_sorted(["a", "aaa"], ["bb", "bbbb"], key=key)) == ["a", "bb", "aaa", "bbbb"]


def test_merge_sorted_waits_overlap() -> None:
    """CONTRACT 5, 8: the first row when all have one; while one is waited for the others work on their next."""
    with virtual_time() as clock:
        stage = flow.merge_sorted(ticks(1, 1, 4, 5), ticks(1, 2, 3, 6), ticks(1, 7))
        got = [(row, clock.time()) for row in stage]
    assert got == [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (6, 3), (7, 3)]


def test_merge_sorted_holds_two_rows_of_each() -> None:
    """CONTRACT 4, 20, 21: the one that is compared, and the next one."""
    slow, quick = Tracked(count(), delay=10), Tracked(count())
    with virtual_time():
        with flow.merge_sorted(slow, quick, slow).open() as rows:
            for number in range(1, 20):
                next(rows)
                assert slow.asked + quick.asked <= number + 6


def test_a_stop_iteration_of_a_key_or_a_comparison_is_an_error() -> None:
    """CONTRACT 19: heapq would take it for the end of an input."""

    def stops(row: Any) -> Any:
        raise StopIteration

    class Row:
        def __lt__(self, other: Any) -> bool:
            raise StopIteration

    with pytest.raises(RuntimeError, match="StopIteration"):
        list(flow.merge_sorted([1], [2], key=stops))
    with pytest.raises(RuntimeError, match="StopIteration"):
        list(flow.merge_sorted([Row(), Row()], [Row(), Row()]))


def test_a_failure_of_a_key_or_a_comparison() -> None:
    """CONTRACT 3, 16, 17: it is raised as it is, after the rows before it; what is held is counted."""
    got: list[Any] = []
    dropped: list[Any] = []
    with pytest.raises(TypeError, match="not supported"):
        with flow.merge_sorted([1, "x"], [2, 3]).open(on_dropped=dropped.extend) as rows:
            for row in rows:
                got.append(row)
    assert got == [1]
    with pytest.raises(ZeroDivisionError):
        list(flow.merge_sorted([0, 1], [2], key=lambda row: 1 / row))


def test_wrong_arguments_of_merge_sorted() -> None:
    """CONTRACT 22: by the line that wrote them."""
    with pytest.raises(TypeError, match="key"):
        flow.merge_sorted([1], key=3)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="reverse"):
        flow.merge_sorted([1], reverse="yes")  # type: ignore[call-overload]
