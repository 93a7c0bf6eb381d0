"""flow.classic's Map, Zip, Merge, Concurrent and Callback, as the suite and the docstrings of 2003 showed them."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest
from twisted.internet import defer

import flow as today
from flow.classic import flow
from flow.testing import Tracked, nothing_left, torture

from ..conformance.drivers import ClockReactor
from .test_wrap import Steps
from .ways import both, in_a_block, on_the_reactor, timed

Read = Callable[..., list[Any]]


def spoilt() -> Generator[Any]:
    yield "fresh"
    raise ZeroDivisionError("spoilt")


# ------------------------------------------------------------------------------------------------------------------
# Map and Zip


@both
def test_map_of_one_stage(read: Read) -> None:
    """2003's docstring: a function over the rows of a stage; a pause in it is obeyed."""
    assert read(flow.Map(lambda row: row + 10, range(3))) == [10, 11, 12]
    assert read(flow.Map(str, Steps(1, flow.Cooperate(), 2))) == ["1", "2"]


@both
def test_map_of_several_stages(read: Read) -> None:
    """2003's docstring: one row of each; the shorter ones go on with None."""
    assert read(flow.Map(lambda a, b: (b, a), [1, 2, 3], Steps("x"))) == [("x", 1), (None, 2), (None, 3)]


@both
def test_map_without_a_function(read: Read) -> None:
    """None gives tuples; for one stage, too (2003's code did; its docstring spoke of the rows themselves)."""
    assert read(flow.Map(None, [1, 2], "a")) == [(1, "a"), (2, None)]
    assert read(flow.Map(None, [1, 2])) == [(1,), (2,)]


def test_a_failing_function() -> None:
    """It fails the flow, after the rows before it."""
    rows = flow.Block(flow.Map(lambda row: 10 // row, [5, 0]))
    assert rows.next() == 2
    with pytest.raises(ZeroDivisionError):
        rows.next()


@both
def test_zip_goes_on_to_the_longest(read: Read) -> None:
    """2003's suite: what is missing is None, in whichever stage; a pause delays only the row that needs it."""
    assert read(flow.Zip([1, 2, flow.Cooperate(), 3], ["a", "b"])) == [(1, "a"), (2, "b"), (3, None)]
    assert read(flow.Zip(["a"], Steps(1, 2))) == [("a", 1), (None, 2)]
    assert read(flow.Zip([1, 2])) == [(1,), (2,)]
    assert isinstance(flow.Zip([1]), flow.Map)


@both
def test_the_failure_of_a_zipped_stage(read: Read) -> None:
    """2003's suite: it is the failure of the Zip; the others are closed."""
    source = Tracked([1, 2, 3])
    with pytest.raises(ZeroDivisionError):
        read(flow.Zip(source, spoilt()))
    nothing_left(source)


def test_zip_asks_its_stages_at_the_same_time() -> None:
    """2003 asked one after another (fault S6)."""
    assert timed(flow.Zip([flow.Cooperate(2), 1], [flow.Cooperate(3), 2])) == [((1, 2), 3)]


# ------------------------------------------------------------------------------------------------------------------
# Merge and Concurrent


@both
def test_merge_takes_turns(read: Read) -> None:
    """2003's suite and manual: rows of stages that have some, in turn; one that pauses is overtaken."""
    merged = flow.Merge(Steps("a", "b", flow.Cooperate(), "c"), Steps(1, 2, 3))
    assert read(merged) == ["a", 1, "b", 2, 3, "c"]


def test_merge_with_a_deferred() -> None:
    """2003's suite: the result of a Deferred comes when it fires, between the rows of the other stage."""
    reactor = ClockReactor()
    letter: defer.Deferred[str] = defer.Deferred()
    reactor.callLater(1, letter.callback, "letter")
    merged = flow.Merge(letter, Steps(1, 2, flow.Cooperate(2), 3))
    assert reactor.run_until(flow.Deferred(merged, reactor=reactor)) == [1, 2, "letter", 3]


@both
def test_the_trap_of_a_branch_holds(read: Read) -> None:
    """2003 ignored it (fault S5)."""
    assert read(flow.Merge(flow.wrap(spoilt, ZeroDivisionError), [])) == ["fresh", ZeroDivisionError]


def named(*stages: Any) -> Generator[Any]:
    """Which stage has a row, by the name that it was given, and the row."""
    every = flow.Concurrent(*stages)
    yield every
    for stage in every:
        yield (stage.name, stage.next())
        yield every


@both
def test_concurrent_gives_the_stage(read: Read) -> None:
    """2003's suite: Callbacks with a name of their own, told apart by it; those that have rows take turns."""
    ants, bees = flow.Callback(), flow.Callback()
    ants.name, bees.name = "ants", "bees"  # type: ignore[attr-defined]
    for ticks, row in ((ants, 1), (bees, 2), (ants, 3), (ants, 4), (bees, 5)):
        ticks.result(row)
    ants.finish()
    bees.finish()
    assert read(named(ants, bees)) == [("ants", 1), ("bees", 2), ("ants", 3), ("bees", 5), ("ants", 4)]


def test_concurrent_gives_rows_as_they_are_pushed() -> None:
    """2003's suite: pushed while the flow runs, they come in the order in which they were pushed."""
    reactor = ClockReactor()
    ants, bees = flow.Callback(), flow.Callback()
    ants.name, bees.name = "ants", "bees"  # type: ignore[attr-defined]
    reading = flow.Deferred(named(ants, bees), reactor=reactor)
    for when, ticks in enumerate((ants, bees, ants, ants, bees)):
        reactor.callLater(when, ticks.result, when)
    reactor.callLater(9, ants.finish)
    reactor.callLater(9, bees.finish)
    assert reactor.run_until(reading) == [("ants", 0), ("bees", 1), ("ants", 2), ("ants", 3), ("bees", 4)]


@both
def test_the_members_of_a_stage_in_concurrent(read: Read) -> None:
    """2003's programs looked into the stage that Concurrent gave: `results` has its row, and may be emptied."""

    def looks() -> Generator[Any]:
        left, right = flow.wrap([1, 2]), flow.wrap(["a"])
        for stage in flow.Concurrent(left, right):
            assert (stage.failure, stage.stop) == (None, False)
            yield [*stage.results]
            stage.results = []
        yield (left.stop, right.stop)

    assert read(looks) == [[1], ["a"], [2], (False, False)]


@both
def test_a_stage_that_has_ended_in_concurrent(read: Read) -> None:
    """Its `stop` is true while the others go on."""

    def looks() -> Generator[Any]:
        short, long = flow.wrap([1]), flow.wrap([1, flow.Cooperate(1), 2])
        for stage in flow.Concurrent(short, long):
            yield (stage.next(), short.stop, short.results)

    assert read(looks) == [(1, False, []), (1, False, []), (2, True, [])]


@both
def test_a_row_that_was_not_taken(read: Read) -> None:
    """2003 gave the stage again; now the error says what to do."""

    def forgets() -> Generator[Any]:
        for stage in flow.Concurrent(flow.wrap([1]), flow.wrap([2])):
            yield repr(stage)

    with pytest.raises(flow.NotReadyError, match="was not taken"):
        read(forgets)


def test_rows_that_were_not_taken_are_dropped_and_counted() -> None:
    """CONTRACT 16: when the reader leaves."""
    dropped: list[Any] = []

    def leaves() -> Generator[Any]:
        for stage in flow.Concurrent(flow.wrap([1]), flow.wrap([2])):
            yield repr(stage)

    with flow.wrap(leaves).open(on_dropped=dropped.extend) as rows:
        next(rows)
        next(rows)
    assert dropped == [1, 2]


def test_torture_of_concurrent() -> None:
    """CONTRACT 14-16: ended at each wait in every way, it leaves nothing open."""
    used: list[Tracked[Any]] = []

    def make_flow() -> Any:
        used[:] = [Tracked([1, 2], delay=1, cleanup=1), Tracked("ab", delay=2, cleanup=1)]
        stages: list[Any] = [flow.wrap(each) for each in used]
        for stage, name in zip(stages, ("digits", "letters"), strict=True):
            stage.name = name
        return flow.wrap(named(*stages))

    found = torture(make_flow, tracked=lambda: used, ordered=False, seeds=(None, 1, 2)).rows
    assert sorted(found) == [("digits", 1), ("digits", 2), ("letters", "a"), ("letters", "b")]


# ------------------------------------------------------------------------------------------------------------------
# Callback


def gathered(source: Any) -> Generator[Any]:
    """One row: the list of all rows."""
    rows = []
    yield source
    for row in source:
        rows.append(row)
        yield source
    yield rows


def test_a_list_is_a_row_like_any_other() -> None:
    """2003's suite: a generator that gathers its source hands on one list, to Block's next() too."""
    assert flow.Block(gathered(flow.wrap([1, 2, 3]))).next() == [1, 2, 3]
    assert on_the_reactor(gathered(flow.wrap([1]))) == [[1]]


def test_rows_are_pushed() -> None:
    """2003's suite: result() for each row, then finish(); before the flow begins, too."""
    reactor = ClockReactor()
    ticks = flow.Callback()
    reading = flow.Deferred(gathered(ticks), reactor=reactor)
    for number in range(4):
        ticks.result(number)
    reactor.callLater(1, ticks, "called")
    reactor.callLater(2, ticks.finish)
    assert reactor.run_until(reading) == [[0, 1, 2, 3, "called"]]


def test_rows_come_when_they_are_pushed() -> None:
    """2003's docstring: each as it is pushed, while the reactor goes on."""
    reactor = ClockReactor()
    ticks = flow.Callback()
    for when, what in ((0, "one"), (0.5, "two")):
        reactor.callLater(when, ticks.result, what)
    reactor.callLater(1, ticks.finish)

    def told() -> Generator[Any]:
        while True:
            yield ticks
            yield (ticks.next(), reactor.seconds())

    assert reactor.run_until(flow.Deferred(told, reactor=reactor)) == [("one", 0), ("two", 0.5)]


def test_a_failure_is_pushed() -> None:
    """2003's suite: errback(Failure) fails the flow; a trap gives the class."""
    for trap in ((), (OSError,)):
        ticks = flow.Callback(*trap)
        ticks.result(1)
        ticks.errback(flow.Failure(OSError("no more")))
        if trap:
            assert on_the_reactor(ticks) == [1, OSError]
        else:
            with pytest.raises(OSError, match="no more"):
                on_the_reactor(gathered(ticks))


def test_a_callback_has_a_bound() -> None:
    """2003 had none: 100,000 rows are held, then FullError."""
    ticks = flow.Callback()
    for number in range(100_000):
        ticks.result(number)
    with pytest.raises(today.FullError, match="holds 100000 rows"):
        ticks.result(0)
    ticks.finish()
    assert len(in_a_block(ticks)) == 100_000


def test_an_ended_callback_takes_nothing() -> None:
    """2003 took rows after the end (fault S13)."""
    ticks = flow.Callback()
    ticks.finish()
    with pytest.raises(today.ClosedError):
        ticks.result(1)
