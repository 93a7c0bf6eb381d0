"""combine_latest, with_latest and switch_map: stages for which the latest row counts.

CONTRACT 1-8, 10, 13-17, 19-22. What becomes of failures at each point is in test_combine_failures.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from itertools import count, pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flow
from flow.testing import Tracked, nothing_left, torture, virtual_time

inputs = st.lists(st.lists(st.integers(0, 9), max_size=8), max_size=4)
delays = st.lists(st.sampled_from([0, 0, 0.5, 1, 2.5]), min_size=4, max_size=4)
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


def at(*rows: tuple[float, Any]) -> Callable[[], Iterator[Any]]:
    """Rows at times: each comes when so many seconds have passed since the first was asked for, or when it is asked
    for later."""

    def source() -> Iterator[Any]:
        start = now()
        for when, row in rows:
            if when > now() - start:
                yield flow.Cooperate(when - (now() - start))
            yield row

    return source


def now() -> float:
    from flow.core.microthread import current

    strand = current()
    assert strand is not None
    return strand.loop.time()


def timed(rows: Iterator[Any]) -> Iterator[Any]:
    for row in rows:
        yield row, now()


def slowly(seconds: float) -> Callable[[Iterator[Any]], Iterator[Any]]:
    def slow(rows: Iterator[Any]) -> Iterator[Any]:
        for row in rows:
            yield row
            flow.sleep(seconds)

    return slow


# --------------------------------------------------------------------------------------------------------------------
# combine_latest


@both
def test_combine_latest_gives_a_tuple_for_each_row(read: Read) -> None:
    """CONTRACT 5, 8: when it is there, once all inputs have one; the latest of one that has ended stays."""
    stage = flow.combine_latest(at((1, "a"), (2, "b"), (5, "c")), at((1.5, 1), (4, 2)), at((0, "x")))
    assert read(stage | timed) == [
        (("a", 1, "x"), 1.5),
        (("b", 1, "x"), 2),
        (("b", 2, "x"), 4),
        (("c", 2, "x"), 5),
    ]


@both
@settings(max_examples=50)
@given(rows=inputs, waits=delays)
def test_combine_latest_skips_nothing(read: Read, rows: list[list[int]], waits: list[float]) -> None:
    """CONTRACT 1, 2: a tuple for each row but the first ones, which make one together; one position changes at a time,
    and each goes through its input's rows in order."""
    sources = [Tracked(enumerate(each), delay=delay) for each, delay in zip(rows, waits, strict=False)]
    got = read(flow.combine_latest(*sources))
    if not rows or not all(rows):
        assert got == []
    else:
        assert len(got) == sum(map(len, rows)) - len(rows) + 1
        for which, each in enumerate(rows):
            seen = [tuples[which] for tuples in got]
            assert list(dict.fromkeys(seen)) == list(enumerate(each))
        for one, other in pairwise(got):
            assert sum(a != b for a, b in zip(one, other, strict=True)) == 1
    assert all(source.is_closed for source in sources)


def test_an_input_waits_with_its_first_row() -> None:
    """CONTRACT 4, 21: until the others have theirs; then each is one row ahead at most, however slow the reader is."""
    quick, slow = Tracked(count()), Tracked(count(), delay=3)
    with virtual_time():
        with flow.combine_latest(quick, slow).open() as rows:
            assert next(rows) == (0, 0)
            assert (quick.asked, slow.asked) == (1, 1)
            for number in range(1, 10):
                assert next(rows) == (number, 0)
                assert (quick.asked, slow.asked) == (number + 1, min(number, 2))


@both
def test_an_input_without_a_row_ends_combine_latest(read: Read) -> None:
    """CONTRACT 3, 14: at once: others are closed where they wait; their rows are dropped and counted."""
    other, ready = Tracked([1], delay=1000), Tracked("ab")
    dropped: list[Any] = []
    with virtual_time() as clock:
        with flow.combine_latest(other, ready, ticking(1)).open(on_dropped=dropped.extend) as rows:
            assert list(rows) == []
        assert clock.time() == 1
    assert dropped == ["a"]
    assert other.is_closed
    assert read(flow.combine_latest([])) == []
    assert read(flow.combine_latest()) == []
    assert read(flow.combine_latest([1, 2])) == [(1,), (2,)]


def ticking(seconds: float) -> Callable[[], Iterator[Any]]:
    """No row, and an end after so many seconds."""

    def nothing() -> Iterator[Any]:
        yield flow.Cooperate(seconds)

    return nothing


# --------------------------------------------------------------------------------------------------------------------
# with_latest


@both
def test_with_latest_pairs_each_row(read: Read) -> None:
    """CONTRACT 5, 8: at the time of the row, with what the other has given by then; the first one waits for that."""
    other = at((1, "a"), (2.5, "b"), (2.75, "c"), (6, "d"))
    stage = flow.wrap(at((0.5, 1), (2, 2), (3, 3), (4, 4))).with_latest(other)
    assert read(stage | timed) == [((1, "a"), 1), ((2, "a"), 2), ((3, "c"), 3), ((4, "c"), 4)]


@both
def test_with_latest_and_an_initial_value(read: Read) -> None:
    """CONTRACT 5: in place of the latest until there is one; None is a value, too."""
    rows, other = at((0.5, 1), (2, 2)), at((1, "a"))
    assert read(flow.wrap(rows).with_latest(other, initial=None) | timed) == [((1, None), 0.5), ((2, "a"), 2)]
    assert read(flow.wrap([1, 2]).with_latest([], initial=0)) == [(1, 0), (2, 0)]
    assert read(flow.wrap([1, 2]).with_latest(["a"], initial=0)) == [(1, "a"), (2, "a")]


@both
@settings(max_examples=50)
@given(rows=st.lists(st.integers(), max_size=8), others=st.integers(1, 8), waits=delays)
def test_with_latest_skips_no_row(read: Read, rows: list[int], others: int, waits: list[float]) -> None:
    """CONTRACT 1, 2: each row once, in order; what it is paired with goes forward only."""
    sources = [Tracked(rows, delay=waits[0]), Tracked(range(others), delay=waits[1])]
    got = read(flow.wrap(sources[0]).with_latest(sources[1]))
    assert [row for row, _ in got] == rows
    latest = [other for _, other in got]
    assert latest == sorted(latest)
    assert all(source.is_closed for source in sources)


def test_the_other_one_is_read_while_rows_wait() -> None:
    """CONTRACT 20, 21: it goes on by itself then, of its rows one is held, and none is counted as dropped."""
    other = Tracked(count(), delay=1)
    dropped: list[Any] = []
    with virtual_time():
        with flow.wrap(Tracked("ab", delay=100)).with_latest(other).open(on_dropped=dropped.extend) as rows:
            row, latest = next(rows)
            assert (row, latest) == ("a", other.asked - 2)
            assert other.asked in (100, 101)
            assert [row for row, _ in rows] == ["b"]
            assert other.asked in (200, 201)
    assert dropped == []
    assert other.is_closed


def test_the_other_one_is_up_to_date_when_a_pair_is_made() -> None:
    """CONTRACT 5: what came while the reader was busy is seen: of a backlog the last one."""
    pushed: flow.Callback[int] = flow.Callback()
    pushed.result(0)
    got = []
    with virtual_time():
        for row, latest in flow.wrap("abc".upper()).flat_map(list).with_latest(pushed):
            got.append((row, latest))
            for number in range(5):
                pushed.result(10 * len(got) + number)
    assert got == [("A", 0), ("B", 14), ("C", 24)]


@both
def test_an_endless_other_one_lets_rows_go_on(read: Read) -> None:
    """CONTRACT 5, 10: one that is always ready is read for a bounded number of rows; the loop has its turns."""
    got = read(flow.wrap(range(5)).with_latest(count()))
    assert [row for row, _ in got] == [0, 1, 2, 3, 4]

    def endless(rows: Iterator[Any]) -> Iterator[Any]:
        yield from count()

    with virtual_time(seed=3) as clock:
        stage = flow.wrap(Tracked("ab", delay=5)).with_latest(flow.wrap([0]) | endless)
        assert [row for row, _ in stage] == ["a", "b"]
        assert clock.time() >= 10


def test_with_latest_ends_with_its_rows() -> None:
    """CONTRACT 3, 14: then the other one is cancelled where it waits, and closed."""
    other = Tracked("ab", delay=2, cleanup=1)
    with virtual_time() as clock:
        assert list(flow.wrap(at((3, 1))).with_latest(other)) == [(1, "a")]
        assert clock.time() == 4
    assert other.closed == 1


@both
def test_with_latest_ends_when_there_is_nothing_to_pair_with(read: Read) -> None:
    """CONTRACT 3, 14: the other one ends without a row: at once; the row that waits for it is dropped and counted."""
    rows = Tracked([1, 2, 3])
    dropped: list[Any] = []
    with virtual_time() as clock:
        with flow.wrap(rows).with_latest(ticking(2)).open(on_dropped=dropped.extend) as run:
            assert list(run) == []
        assert clock.time() == 2
    assert dropped == [1]
    assert rows.is_closed
    assert read(flow.wrap(Tracked([1], delay=1000)).with_latest([])) == []


def test_a_failure_of_the_other_one_comes_after_the_pair() -> None:
    """CONTRACT 3, 16: a row that was made before it is paired with the latest and comes first."""
    error = OSError("gone")
    got: list[Any] = []
    with pytest.raises(OSError, match="gone") as raised:
        for pair in flow.wrap([1, 2]).with_latest(Tracked(["a", "b"], fail=error)):
            got.append(pair)
    assert raised.value is error
    assert got == [(1, "b")]
    got.clear()
    pushed: flow.Callback[str] = flow.Callback()
    pushed.result("a")
    rows = Tracked([1, 2, 3], delay=1)
    with virtual_time(), pytest.raises(OSError, match="gone"):
        for pair in flow.wrap(rows).with_latest(pushed):
            got.append(pair)
            pushed.result("b")
            pushed.errback(error)
    assert got == [(1, "a")]  # the next row was not made yet
    assert rows.is_closed


# --------------------------------------------------------------------------------------------------------------------
# switch_map


@both
def test_switch_map_gives_the_rows_of_the_latest_source(read: Read) -> None:
    """CONTRACT 5, 8, 14: a new row ends the source of the last one, where it waits; its cleanup comes first."""
    log: list[tuple[str, str]] = []

    def source(name: str) -> Any:
        return Tracked([f"{name}{number}" for number in range(3)], delay=1, cleanup=0.25, name=name, log=log)

    stage = flow.wrap(at((0, "a"), (2.5, "b"), (3, "c"))).switch_map(source)
    assert read(stage | timed) == [("a0", 1), ("a1", 2), ("c0", 4.25), ("c1", 5.25), ("c2", 6.25)]
    assert log == [(name, what) for name in "abc" for what in ("opened", "closed")]
    nothing_left()


@both
def test_of_rows_that_are_there_at_once_the_last_counts(read: Read) -> None:
    """CONTRACT 4: sources that a ready row makes stale are not even opened."""
    made: list[Tracked[Any]] = []

    def source(row: int) -> Any:
        made.append(Tracked([row, row], delay=1))
        return made[-1]

    assert read(flow.wrap([1, 2, 3]).switch_map(source)) == [3, 3]
    assert [each.opened for each in made] == [1]
    assert read(flow.wrap([1, 2, 3]).switch_map(range)) == [0, 1, 2]
    assert read(flow.wrap([]).switch_map(range)) == []
    assert read(flow.wrap([2, 0]).switch_map(range)) == []


@both
def test_an_async_f_of_switch_map_is_cancelled_by_a_new_row(read: Read) -> None:
    """CONTRACT 8, 15: what it awaits is ended, and the next one begins."""
    ended: list[Any] = []

    async def fetch(row: str) -> list[str]:
        try:
            await asyncio.sleep(2)
        except asyncio.CancelledError:
            ended.append(row)
            raise
        return [row, row.upper()]

    stage = flow.wrap(at((0, "a"), (1, "b"), (5, "c"))).switch_map(fetch)
    assert read(stage | timed) == [("b", 3), ("B", 3), ("c", 7), ("C", 7)]
    assert ended == ["a"]


def test_a_new_row_comes_before_those_that_it_makes_stale() -> None:
    """CONTRACT 16: of a busy reader: the row that the last source had made is dropped and counted."""
    pushed: flow.Callback[str] = flow.Callback()
    pushed.result("a")
    got: list[Any] = []
    sources: list[Tracked[Any]] = []

    def source(name: str) -> Any:
        sources.append(Tracked([f"{name}{number}" for number in range(3)]))
        return sources[-1]

    with virtual_time():
        for row in flow.wrap(pushed).switch_map(source):
            got.append(row)
            if row == "a1":
                pushed.result("b")
                pushed.result("c")
                pushed.finish()
    assert got == ["a0", "a1", "c0", "c1", "c2"]
    assert [each.opened for each in sources] == [1, 1]
    assert all(each.is_closed for each in sources)


def test_a_row_that_was_made_by_the_last_source_is_counted() -> None:
    """CONTRACT 16: two are resumed at the same time: the new row wins."""

    async def main() -> tuple[list[Any], list[Any]]:
        loop = asyncio.get_running_loop()
        futures = {name: loop.create_future() for name in ("outer", "inner")}

        def outer() -> Iterator[Any]:
            yield "a"
            yield (yield futures["outer"])

        def inner(row: str) -> Any:
            def rows() -> Iterator[Any]:
                if row == "a":
                    yield (yield futures["inner"])
                else:
                    yield row

            return flow.wrap(rows)

        def both() -> None:
            futures["inner"].set_result("stale")
            futures["outer"].set_result("b")

        loop.call_later(1, both)
        dropped: list[Any] = []
        async with flow.wrap(outer).switch_map(inner).open(on_dropped=dropped.extend) as rows:
            return [row async for row in rows], dropped

    with virtual_time() as clock:
        got, dropped = clock.run(main())
    assert got == ["b"]
    assert dropped == []  # it was never stepped: what it waited for is no row yet


def test_an_endless_outer_one_gives_turns() -> None:
    """CONTRACT 10: though no source ever gets to a row."""
    turns = 0

    def endless(rows: Iterator[Any]) -> Iterator[Any]:
        yield from range(3000)

    async def main() -> list[Any]:
        nonlocal turns
        loop = asyncio.get_running_loop()

        def turn() -> None:
            nonlocal turns
            turns += 1
            loop.call_soon(turn)

        loop.call_soon(turn)
        return await (flow.wrap([0]) | endless).switch_map(lambda row: [row])

    with virtual_time() as clock:
        assert clock.run(main()) == [2999]
    assert turns > 5


@pytest.mark.parametrize("wrong", [None, 3, "f", [1]])
def test_wrong_arguments_fail_when_built(wrong: Any) -> None:
    """CONTRACT 22: by the line that wrote them."""
    with pytest.raises(TypeError, match="switch_map"):
        flow.wrap([1]).switch_map(wrong)
    with pytest.raises(TypeError, match="wrap"):
        flow.wrap([1]).with_latest(3)
    with pytest.raises(TypeError, match="initially"):
        flow.wrap([1]).with_latest([1], initially=3)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="wrap"):
        flow.combine_latest([1], 3)


# --------------------------------------------------------------------------------------------------------------------
# All three


def combined(*sources: Any) -> flow.Stage[Any]:
    return flow.combine_latest(*sources)


def paired(*sources: Any) -> flow.Stage[Any]:
    return flow.wrap(sources[0]).with_latest(sources[1])


def switched(*sources: Any) -> flow.Stage[Any]:
    return flow.wrap(sources[0]).switch_map(lambda row: sources[1])


every = pytest.mark.parametrize("combine", [combined, paired, switched])


@every
@pytest.mark.parametrize("seeds", [(None,), (1, 2, 3)])
def test_torture(combine: Any, seeds: Any) -> None:
    """CONTRACT 14-16: ended at each wait and after each row, in every way: everything is closed, nothing is left."""
    used: list[Tracked[Any]] = []

    def make() -> flow.Stage[Any]:
        used[:] = [Tracked([1, 2, 3], delay=1, cleanup=1), Tracked([10, 20], delay=0.75, cleanup=0.5)]
        stage: flow.Stage[Any] = combine(*used)
        return stage

    report = torture(make, tracked=lambda: used, ordered=None, seeds=seeds)
    assert report.runs["cancelled"] > 3


@both
@every
def test_it_is_closed_early(read: Read, combine: Any) -> None:
    """CONTRACT 14: after a slice, everything that was opened is closed."""
    sources = [Tracked(count(), delay=2, cleanup=1), Tracked(count(), delay=0.5, cleanup=1)]
    assert len(read(combine(*sources)[:5])) == 5
    assert all(each.is_closed for each in sources)
    nothing_left()


@every
def test_it_is_a_description(combine: Any) -> None:
    """CONTRACT 7: read twice, it runs twice; it shows what it reads."""
    stage = combine([1, 2], [3])
    assert list(stage) == list(stage) != []
    assert "wrap(list)" in repr(stage)
    assert stage.sources[0].label == "wrap(list)"


@every
def test_the_rest_may_be_read_by_another_strand(combine: Any) -> None:
    """CONTRACT 13: a stage reads the head of it, and gives the rest to a branch."""

    def headed(rows: Iterator[Any]) -> Iterator[Any]:
        yield next(rows)
        yield from flow.Merge(rows, ["x"])

    sources = [Tracked(range(2), delay=2), Tracked(range(3), delay=0.5)]
    whole = on_asyncio(combine(*sources))
    got = on_asyncio(combine(*sources) | headed)
    assert [row for row in got if row != "x"] == whole
    assert all(each.is_closed for each in sources)


@both
@every
def test_a_stop_iteration_of_an_input_is_an_error(read: Read, combine: Any) -> None:
    """CONTRACT 19: it does not look like the end of an input."""

    def stops(x: int) -> int:
        raise StopIteration

    with pytest.raises(RuntimeError, match="StopIteration"):
        read(combine(flow.wrap([1]).map(stops), [1, 2]))
    with pytest.raises(RuntimeError, match="StopIteration"):
        read(combine([1], flow.wrap([1]).map(stops)))
    with pytest.raises(RuntimeError, match="StopIteration"):
        read(flow.wrap([1]).switch_map(stops))
