"""Merge, Zip and Concurrent: several inputs, each on a micro-thread of its own, at most one row ahead.

CONTRACT 1-8, 13-17, 19, 22, 23.
"""

# ruff: noqa: PT011  # errors without a text: the very instance is compared
from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from itertools import count, zip_longest
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

import flow
from flow.testing import Tracked, nothing_left, torture, virtual_time

inputs = st.lists(st.lists(st.integers(0, 9), max_size=8), max_size=5)
delays = st.lists(st.sampled_from([0, 0, 0.5, 1, 2.5]), min_size=5, max_size=5)


def on_script(stage: flow.Stage[Any]) -> list[Any]:
    with virtual_time():
        return list(stage)


def on_asyncio(stage: flow.Stage[Any]) -> list[Any]:
    async def main() -> list[Any]:
        return [row async for row in stage]

    with virtual_time() as clock:
        return clock.run(main())


both = pytest.mark.parametrize("read", [on_script, on_asyncio])
Read = Callable[[flow.Stage[Any]], list[Any]]


def ticks(seconds: float, *rows: Any) -> Any:
    """A classic generator that waits `seconds` before each of the rows."""

    def ticking() -> Iterator[Any]:
        for row in rows:
            yield flow.Cooperate(seconds)
            yield row

    return ticking


# ------------------------------------------------------------------------------------------------------------------
# Merge


@both
@settings(max_examples=50)
@given(rows=inputs, waits=delays)
def test_merge_keeps_the_order_of_each_input(read: Read, rows: list[list[int]], waits: list[float]) -> None:
    """CONTRACT 1, 2: all rows of all inputs, each once, and those of each input in its order, however they wait."""
    sources = [
        Tracked([(which, row) for row in each], delay=delay)
        for which, (each, delay) in enumerate(zip(rows, waits, strict=False))
    ]
    got = read(flow.Merge(*sources))
    for which, each in enumerate(rows):
        assert [row for source, row in got if source == which] == each
    assert len(got) == sum(map(len, rows))
    assert all(source.is_closed for source in sources)


@both
def test_merge_serves_ready_inputs_in_turn(read: Read) -> None:
    """CONTRACT 10: inputs that are always ready take turns; none keeps the others out."""
    assert read(flow.Merge(["ab"], [1, 2, 3], [10])) == ["ab", 1, 10, 2, 3]
    assert read(flow.Merge(count(), ["x", "y"])[:5]) == [0, "x", 1, "y", 2]


@both
def test_merge_of_nothing_and_of_one(read: Read) -> None:
    """With no input it is empty, with one it is that input."""
    assert read(flow.Merge()) == []
    assert read(flow.Merge([1, 2])) == [1, 2]
    assert read(flow.Merge([], [])) == []


def test_merge_delivers_each_row_when_it_is_there() -> None:
    """CONTRACT 5, 8: each row at its own time, exactly, whatever the other inputs wait for."""
    stage = flow.Merge(ticks(1, "a", "b", "c"), ticks(2.5, "d"), ["e"])
    with virtual_time() as clock:
        assert [(row, clock.time()) for row in stage] == [("e", 0), ("a", 1), ("b", 2), ("d", 2.5), ("c", 3)]


def test_merge_waits_overlap() -> None:
    """CONTRACT 8: 50 inputs that sleep side by side take as long as the longest."""
    with virtual_time() as clock:
        assert len(list(flow.Merge(*(ticks(number, number) for number in range(50))))) == 50
        assert clock.time() == 49


def test_merge_works_one_row_ahead_at_most() -> None:
    """CONTRACT 4, 21: each input has made at most one row that was not read."""
    sources = [Tracked(count()) for _ in range(3)]
    with flow.Merge(*sources).open() as rows:
        assert [source.asked for source in sources] == [0, 0, 0]
        for number in range(1, 30):
            next(rows)
            assert sum(source.asked for source in sources) <= number + 3
    assert all(source.is_closed for source in sources)


def test_merge_of_merges() -> None:
    """CONTRACT 1, 13: combining stages nest."""
    inner = [flow.Merge(Tracked(range(5), delay=1), Tracked(range(5), delay=2)) for _ in range(3)]
    with virtual_time() as clock:
        got = list(flow.Merge(*inner).merge(flow.Zip(range(3), ["xyz"])))
        assert clock.time() == 10
    assert sorted(row for row in got if isinstance(row, int)) == sorted([*range(5)] * 6)


def test_merge_of_one_stage_twice() -> None:
    """CONTRACT 7: the same description as two inputs is two readings."""
    stage = flow.wrap([1, 2])
    assert list(flow.Merge(stage, stage)) == [1, 1, 2, 2]
    assert list(stage.merge(stage, [3])) == [1, 1, 3, 2, 2]


def test_merge_of_every_kind_of_source() -> None:
    """CONTRACT 2: plain, classic, async, threaded and pushed sources side by side."""

    async def asynchronous() -> Any:
        for number in range(3):
            await asyncio.sleep(1)
            yield number

    pushed: flow.Callback[int] = flow.Callback()
    for number in range(3):
        pushed.result(number)
    pushed.finish()
    stage = flow.Merge(range(3), ticks(1, 0, 1, 2), asynchronous, flow.Threaded(range(3)), pushed)
    with virtual_time():
        assert sorted(stage) == sorted([*range(3)] * 5)
    nothing_left()


def test_merge_of_ten_thousand_inputs() -> None:
    """CONTRACT 23: 10,000 inputs, each waiting on its own."""
    with virtual_time() as clock:
        got = list(flow.Merge(*(ticks(number % 7, number) for number in range(10_000))))
        assert clock.time() == 6
    assert sorted(got) == list(range(10_000))


def test_merge_on_trio() -> None:
    """CONTRACT 12: the same on trio, at the same times."""

    async def main() -> list[tuple[Any, float]]:
        began = trio.current_time()
        return [
            (row, trio.current_time() - began) async for row in flow.Merge(ticks(1, "a", "b"), ticks(1.5, "c"), ["d"])
        ]

    got = trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert got == [("d", 0), ("a", 1), ("c", 1.5), ("b", 2)]


# ------------------------------------------------------------------------------------------------------------------
# Zip


@both
@settings(max_examples=50)
@given(rows=inputs, waits=delays)
def test_zip_is_the_builtin(read: Read, rows: list[list[int]], waits: list[float]) -> None:
    """CONTRACT 1, 2: Zip(a, b, ...) is zip(a, b, ...), however its inputs wait."""
    assert read(flow.Zip(*tracked(rows, waits))) == list(zip(*rows, strict=False))


@both
@settings(max_examples=50)
@given(rows=inputs, waits=delays, fill=st.sampled_from([None, "?"]))
def test_zip_with_fill_is_zip_longest(read: Read, rows: list[list[int]], waits: list[float], fill: Any) -> None:
    """CONTRACT 1, 2: with fill= it is itertools.zip_longest, with fill=None too."""
    assert read(flow.Zip(*tracked(rows, waits), fill=fill)) == list(zip_longest(*rows, fillvalue=fill))


@both
@settings(max_examples=50)
@given(rows=inputs, waits=delays)
def test_strict_zip_is_the_builtin(read: Read, rows: list[list[int]], waits: list[float]) -> None:
    """CONTRACT 3: with strict=True it gives the rows that zip(strict=True) gives, and ValueError where that does."""
    wanted: list[Any] = []
    unequal = False
    try:
        wanted.extend(zip(*rows, strict=True))
    except ValueError:
        unequal = True
    got: list[Any] = []

    def noted(tuples: Iterator[Any]) -> Iterator[Any]:
        for each in tuples:
            got.append(each)
            yield each

    stage = flow.Zip(*tracked(rows, waits), strict=True) | noted
    if unequal:
        with pytest.raises(ValueError, match="strict=True"):
            read(stage)
        assert got == list(zip(*rows, strict=False))
    else:
        assert read(stage) == wanted


def tracked(rows: list[list[int]], waits: list[float]) -> list[Tracked[int]]:
    return [Tracked(each, delay=delay) for each, delay in zip(rows, waits, strict=False)]


@both
def test_zip_of_every_width(read: Read) -> None:
    """No input gives nothing, one gives tuples of one; rows of None are rows."""
    assert read(flow.Zip()) == []
    assert read(flow.Zip([1, 2])) == [(1,), (2,)]
    assert read(flow.Zip([None, None], [None], fill=0)) == [(None, None), (None, 0)]
    assert read(flow.wrap([1]).zip([2], [3])) == [(1, 2, 3)]


def test_zip_asks_its_inputs_at_the_same_time() -> None:
    """CONTRACT 8 (fault S6): three inputs of 0.5 s take 0.5 s a row, exactly, not 1.5 s."""
    stage = flow.Zip(ticks(0.5, 1, 2, 3, 4), ticks(0.5, 1, 2, 3, 4), ticks(0.5, 1, 2, 3, 4))
    with virtual_time() as clock:
        assert [(row[0], clock.time()) for row in stage] == [(1, 0.5), (2, 1), (3, 1.5), (4, 2)]


def test_a_row_of_zip_takes_as_long_as_its_slowest_input() -> None:
    """CONTRACT 8: waits of 1, 2 and 3 s: 3 s a row."""
    stage = flow.Zip(ticks(1, "a", "b"), ticks(2, "c", "d"), ticks(3, "e", "f"))
    with virtual_time() as clock:
        assert [(row, clock.time()) for row in stage] == [(("a", "c", "e"), 3), (("b", "d", "f"), 6)]


def test_zip_works_no_row_ahead() -> None:
    """CONTRACT 4: each input is asked for the row that is needed, when it is needed."""
    sources = [Tracked(count()) for _ in range(3)]
    with flow.Zip(*sources).open() as rows:
        for number in range(1, 5):
            next(rows)
            assert [source.asked for source in sources] == [number] * 3
    assert all(source.is_closed for source in sources)


def test_zip_ends_with_the_shortest_and_closes_the_others() -> None:
    """CONTRACT 14, 16 (fault S7): an endless input is closed; the row that it made too much is counted."""
    endless = Tracked(count())
    dropped: list[int] = []
    with flow.Zip(endless, [1, 2]).open(on_dropped=dropped.extend) as rows:
        assert list(rows) == [(0, 1), (1, 2)]
    assert endless.is_closed
    assert dropped == [2]


def test_zip_ends_at_once_with_an_input_that_has_ended() -> None:
    """CONTRACT 3: it does not wait an hour for a row that could never be used."""
    slow = Tracked([1, 2], delay=3600)
    with virtual_time() as clock:
        assert list(flow.Zip(slow, [])) == []
        assert clock.time() == 0
    assert slow.is_closed


def test_map_over_several_stages_asks_them_at_the_same_time() -> None:
    """CONTRACT 8 (fault S6): Map(f, a, b, c), too."""
    stage = flow.Map(max, ticks(0.5, 1, 5), ticks(0.5, 3, 2), ticks(0.5, 2, 2))
    with virtual_time() as clock:
        assert list(stage) == [3, 5]
        assert clock.time() == 1


# ------------------------------------------------------------------------------------------------------------------
# Concurrent


def sorted_out(**sources: Any) -> Callable[[], Iterator[tuple[str, Any]]]:
    """A generator that reads the sources with Concurrent, and says of each row whose it is."""
    stages = {name: flow.wrap(source) for name, source in sources.items()}

    def reading() -> Iterator[tuple[str, Any]]:
        names = {id(stage): name for name, stage in stages.items()}
        for stage in flow.Concurrent(*stages.values()):
            yield names[id(stage)], next(stage)

    return reading


@both
@settings(max_examples=50)
@given(rows=inputs, waits=delays)
def test_concurrent_tells_its_sources_apart(read: Read, rows: list[list[int]], waits: list[float]) -> None:
    """CONTRACT 1, 2: each row comes from the stage that Concurrent named; each source's rows in order, each once."""
    sources = {f"s{which}": each for which, each in enumerate(tracked(rows, waits))}
    got = read(flow.wrap(sorted_out(**sources)))
    for which, each in enumerate(rows):
        assert [row for name, row in got if name == f"s{which}"] == each
    assert all(source.is_closed for source in sources.values())


def test_concurrent_gives_a_stage_when_it_has_a_row() -> None:
    """CONTRACT 5, 8: at the time of its row, exactly."""
    with virtual_time() as clock:
        got = [
            (name, row, clock.time())
            for name, row in flow.wrap(sorted_out(clicks=ticks(1, "a", "b"), ticks=ticks(0.75, 1, 2)))
        ]
    assert got == [("ticks", 1, 0.75), ("clicks", "a", 1), ("ticks", 2, 1.5), ("clicks", "b", 2)]


def test_concurrent_without_taking_the_rows_is_an_error() -> None:
    """CONTRACT 22: asking for another stage while every row lies untaken says what to write."""

    def reading() -> Iterator[Any]:
        yield from (1 for _ in flow.Concurrent(flow.wrap([1, 2]), flow.wrap([3])))

    with pytest.raises(flow.NotReadyError, match="next"):
        list(flow.wrap(reading))


def test_concurrent_taking_twice_is_an_error() -> None:
    """CONTRACT 2: one row each time; the second next() does not wait, and takes no row of another time."""

    def reading() -> Iterator[Any]:
        for stage in flow.Concurrent(flow.wrap([1, 2]), flow.wrap([3])):
            yield next(stage)
            yield next(stage)

    with pytest.raises(flow.NotReadyError, match="one row"):
        list(flow.wrap(reading))


def test_the_stages_of_concurrent_can_be_read_again_after_it() -> None:
    """CONTRACT 7: when Concurrent has ended, a further reading of an input is a reading of its own."""
    first, second = flow.wrap([1]), flow.wrap([2])

    def reading() -> Iterator[Any]:
        for stage in flow.Concurrent(first, second):
            yield next(stage)
        yield from first

    assert list(flow.wrap(reading)) == [1, 2, 1]


# ------------------------------------------------------------------------------------------------------------------
# Failures

combining = pytest.mark.parametrize(
    "combine",
    [flow.Merge, flow.Zip, lambda *stages: flow.Zip(*stages, fill=None), lambda *stages: flow.wrap(taking(*stages))],
    ids=["merge", "zip", "zip with fill", "concurrent"],
)


def taking(*sources: Any) -> Callable[[], Iterator[Any]]:
    stages = [flow.wrap(source) for source in sources]

    def reading() -> Iterator[Any]:
        for stage in flow.Concurrent(*stages):
            yield next(stage)

    return reading


@both
@combining
def test_a_failure_closes_the_siblings_and_is_raised(read: Read, combine: Any) -> None:
    """CONTRACT 16, 17: the others are cancelled where they wait and closed, then the failure itself is raised."""
    error = OSError("gone")
    failing = Tracked([1], delay=1, fail=error)
    waiting = Tracked([1, 2, 3], delay=1.5, cleanup=2)
    ready = Tracked(range(1, 100), delay=0.25)
    with pytest.raises(OSError) as raised:
        read(combine(waiting, failing, ready))
    assert raised.value is error
    assert waiting.is_closed
    assert failing.is_closed
    assert ready.is_closed
    nothing_left()


def test_rows_that_were_made_come_before_the_failure() -> None:
    """CONTRACT 3, 16 (fault S4): rows of siblings that were made are delivered before the failure is raised."""
    got = []
    failing = Tracked([1, 2], fail=OSError("gone"))
    with pytest.raises(OSError, match="gone"):
        for row in flow.Merge(failing, [10, 20, 30, 40], [100, 200, 300]):
            got.append(row)
    assert got[:6] == [1, 10, 100, 2, 20, 200]


def test_the_siblings_are_closed_before_the_failure_is_raised() -> None:
    """CONTRACT 14, 16: cleanups that wait run side by side, and have ended when the error arrives."""
    slow = [Tracked(count(), delay=1, cleanup=3) for _ in range(4)]
    failing = Tracked([], fail=OSError("gone"))

    def late() -> Iterator[Any]:
        yield flow.Cooperate(2.5)
        yield from failing

    with virtual_time() as clock:
        with pytest.raises(OSError, match="gone"):
            list(flow.Merge(*slow, late))
        assert clock.time() == 5.5
    assert all(source.is_closed for source in slow)


def fails_when_closed(what: BaseException, first: Any = 1) -> Callable[[], Iterator[Any]]:
    def generator() -> Iterator[Any]:
        try:
            yield first
            flow.sleep(1000)
            yield first
        finally:
            raise what

    return generator


@both
@combining
def test_a_second_failure_joins_the_first(read: Read, combine: Any) -> None:
    """CONTRACT 16: a sibling whose cleanup fails, too: an ExceptionGroup with the first failure first; none is lost."""
    first, second, third = OSError("first"), ValueError("second"), KeyError("third")
    with pytest.raises(ExceptionGroup) as raised:
        read(combine(fails_when_closed(second), Tracked([1], delay=1, fail=first), fails_when_closed(third)))
    assert raised.value.exceptions[0] is first
    assert set(raised.value.exceptions) == {first, second, third}


def test_a_failing_cleanup_of_a_sibling_does_not_hide_the_failure() -> None:
    """CONTRACT 16: `except*` finds each of them."""
    found: list[str] = []
    try:
        with virtual_time():
            list(flow.Merge(fails_when_closed(ValueError("cleanup")), Tracked([1], delay=1, fail=OSError("first"))))
    except* OSError:
        found.append("first")
    except* ValueError:
        found.append("cleanup")
    assert found == ["first", "cleanup"]


@combining
def test_a_failing_cleanup_after_a_break_is_raised(combine: Any) -> None:
    """CONTRACT 16: when the reader leaves and an input can't be closed, leaving raises that; the others are closed."""
    other = Tracked(count(1), delay=0.5)
    with virtual_time():
        with pytest.raises(ValueError, match="cleanup"):
            with combine(fails_when_closed(ValueError("cleanup")), other).open() as rows:
                next(rows)
    assert other.is_closed


def test_two_that_fail_in_one_moment() -> None:
    """CONTRACT 16: both were under way when the first failed: the first is raised; the other one, cancelled where it
    was, raises nothing, or joins."""
    first, second = OSError("first"), OSError("second")
    with virtual_time():
        with pytest.raises((OSError, ExceptionGroup)) as raised:
            list(flow.Merge(Tracked([], fail=first), Tracked([1], delay=1, fail=second)))
    error = raised.value
    assert error is first or (isinstance(error, ExceptionGroup) and error.exceptions[0] is first)


def test_two_waits_that_fail_at_the_same_time_are_both_raised() -> None:
    """CONTRACT 16: two futures fail in one turn of the loop: neither failure is lost."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        futures = [loop.create_future() for _ in range(2)]

        def fail() -> None:
            for number, future in enumerate(futures):
                future.set_exception(OSError(number))

        loop.call_later(1, fail)

        def waiting(which: int) -> Iterator[Any]:
            yield futures[which]

        stage = flow.Merge(waiting(0), waiting(1))
        with pytest.raises((OSError, ExceptionGroup)) as raised:
            await stage
        error = raised.value
        found = error.exceptions if isinstance(error, ExceptionGroup) else (error,)
        assert [each.args for each in found] == [(0,), (1,)]

    with virtual_time() as clock:
        clock.run(main())


@both
@combining
def test_a_stop_iteration_of_an_input_is_an_error(read: Read, combine: Any) -> None:
    """CONTRACT 19: it does not look like the end of an input."""

    def stops(x: int) -> int:
        raise StopIteration

    with pytest.raises(RuntimeError, match="StopIteration"):
        read(combine(flow.wrap([1]).map(stops), [1, 2]))


@both
@combining
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_exit_in_an_input_reaches_the_caller(read: Read, combine: Any, kind: type[BaseException]) -> None:
    """CONTRACT 18: it ends the run, is no row and no member of a group, and everything is closed."""
    other = Tracked(count(), delay=1)
    with pytest.raises(kind):
        read(combine(other, Tracked([1], delay=2.5, fail=kind())))
    assert other.is_closed
    nothing_left()


def test_errors_can_be_trapped_per_input() -> None:
    """CONTRACT 6 (fault S5): wrap(x, *trap) of one input makes its failure its last row; the others go on."""
    error = OSError("gone")
    stage = flow.Merge(flow.wrap(Tracked([1], fail=error), OSError), [10, 20, 30])
    assert list(stage) == [1, 10, error, 20, 30]


# ------------------------------------------------------------------------------------------------------------------
# Closing


@combining
def test_closing_order_and_break(combine: Any) -> None:
    """CONTRACT 14: after a break all inputs are closed, each once, stages below them first."""
    log: list[tuple[str, str]] = []
    sources = [Tracked(count(1), name=f"source {which}", log=log) for which in range(3)]
    stages = [flow.wrap(source) | Tracked(name=f"stage {which}", log=log) for which, source in enumerate(sources)]
    with combine(*stages).open() as rows:
        for _ in range(4):
            next(rows)
    for which in range(3):
        closed = [name for name, what in log if what == "closed" and name.endswith(str(which))]
        assert closed == [f"stage {which}", f"source {which}"]


@pytest.mark.parametrize("seeds", [(None,), (1, 2, 3)])
@combining
def test_torture(combine: Any, seeds: Any) -> None:
    """CONTRACT 14-16: ended at each wait and after each row, in every way, in several orders of what is ready."""
    sources: list[Tracked[Any]] = []

    def make() -> flow.Stage[Any]:
        sources[:] = [
            Tracked(["a0", "a1", "a2"], delay=1, cleanup=1),
            Tracked(["b0", "b1"]),
            Tracked(["c0", "c1", "c2"], delay=0.5),
        ]
        stage: flow.Stage[Any] = combine(*sources)
        return stage

    report = torture(make, tracked=lambda: sources, ordered=False, seeds=seeds)
    assert report.runs["cancelled"] > 3
    assert report.runs["closed"] >= 3


def test_torture_of_a_tree() -> None:
    """CONTRACT 14-16: combining stages in combining stages, with stages between."""
    sources: list[Tracked[Any]] = []

    def make() -> flow.Stage[Any]:
        sources[:] = [Tracked([(which, row) for row in range(2)], delay=which) for which in range(4)]
        left = flow.Merge(sources[0], flow.wrap(sources[1]).map(lambda row: row))
        right = flow.Zip(sources[2], sources[3])
        return flow.Merge(left, right) | Tracked()

    torture(make, tracked=lambda: sources, ordered=False, seeds=(None, 5))


def test_a_cancel_closes_every_input() -> None:
    """CONTRACT 15: asyncio's own cancel, with cleanups that wait: CancelledError comes when all is closed."""
    sources = [Tracked(count(), delay=3, cleanup=1) for _ in range(5)]

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(4):
                await flow.Merge(*sources)
        assert loop.time() == 5
        assert all(source.opened == 1 and source.closed == 1 for source in sources)

    with virtual_time() as clock:
        clock.run(main())
    nothing_left()


# ------------------------------------------------------------------------------------------------------------------
# Wrong arguments


@pytest.mark.parametrize("combine", [flow.Merge, flow.Zip, flow.Concurrent])
@pytest.mark.parametrize("wrong", [3, None, object(), len, int])
def test_an_input_that_is_no_source_fails_when_built(combine: Any, wrong: Any) -> None:
    """CONTRACT 22: TypeError from the line that wrote it, saying what wrap takes."""
    with pytest.raises(TypeError, match="wrap"):
        combine([1], wrong)
    with pytest.raises(TypeError, match="wrap"):
        flow.wrap([1]).merge(wrong)


def test_wrong_modes_of_zip_fail_when_built() -> None:
    """CONTRACT 22: strict and fill exclude each other; other words are named."""
    with pytest.raises(ValueError, match="strict"):
        flow.Zip([1], strict=True, fill=None)
    with pytest.raises(TypeError, match="fillvalue"):
        flow.Zip([1], fillvalue=None)


def test_one_stage_twice_in_concurrent_fails_when_built() -> None:
    """CONTRACT 22: inputs that can't be told apart are refused, and the text says how to make two of them."""
    stage = flow.wrap([1, 2])
    with pytest.raises(ValueError, match="twice"):
        flow.Concurrent(stage, stage)


# --------------------------------------------------------------------------------------------------------------------
# Branches that read what another strand has opened


@pytest.mark.parametrize("kind", ["list", "generator", "iterator"])
def test_a_stage_may_merge_its_own_input(kind: str) -> None:
    """CONTRACT 2, 8 and 10: a stage gives its input to a branch. The turns that the input gives are the branch's.

    Nothing is lost, and nobody else is resumed.
    """
    made = {"list": lambda: list(range(500)), "generator": lambda: range(500).__iter__, "iterator": lambda: range(500)}

    def numbers() -> Iterator[int]:
        yield from range(500)

    source: Any = {"list": made["list"](), "generator": numbers, "iterator": iter(range(500))}[kind]

    def beside(rows: Iterator[int]) -> Iterator[Any]:
        yield from flow.Merge(rows, ["a", flow.Cooperate(0), "b"])

    async def main() -> tuple[list[Any], int]:
        turns = 0

        def turn() -> None:
            nonlocal turns
            turns += 1
            loop.call_soon(turn)

        loop = asyncio.get_running_loop()
        loop.call_soon(turn)
        got: list[Any] = []
        async with (flow.wrap(source) | beside).open(slice=1e-6) as found:
            async for row in found:
                got.append(row)
        return got, turns

    with virtual_time() as clock:
        got, turns = clock.run(main())
    assert [row for row in got if isinstance(row, int)] == list(range(500))
    assert [row for row in got if isinstance(row, str)] == ["a", "b"]
    assert turns > 10


def test_branches_that_share_an_iterator() -> None:
    """CONTRACT 13: one branch asks an iterator that waits in another: the error says what is shared, and what to do."""

    def slow(rows: Iterator[int]) -> Iterator[int]:
        for row in rows:
            flow.sleep(1)
            yield row

    def shared(rows: Iterator[int]) -> Iterator[int]:
        def worker() -> Iterator[int]:
            yield from rows

        yield from flow.Merge(worker, worker)

    with virtual_time(), pytest.raises(ValueError, match="already executing") as found:
        list(flow.wrap([1, 2, 3]) | slow | shared)
    assert any("give each branch a stage of its own" in note for note in found.value.__notes__)
