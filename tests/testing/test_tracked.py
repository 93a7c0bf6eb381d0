"""Tracked sources and sinks do what their script says, and note what was done to them, with the times."""

# ruff: noqa: PT011  # errors without a text: the very instance is compared
from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import trio

import flow
from flow.testing import Leftover, Tracked, TrackedSink, nothing_left, virtual_time
from flow.testing.tracked import MOST_TIMES


def test_it_counts_as_a_source_and_as_a_stage() -> None:
    """It knows how often it was opened, asked and closed, and keeps a log that several may share."""
    log: list[tuple[str, str]] = []
    source, stage = Tracked("abc", name="source", log=log), Tracked[str](name="stage", log=log)
    assert list((flow.wrap(source) | stage)[:2]) == ["a", "b"]
    assert (source.opened, source.asked, source.closed, stage.asked) == (1, 2, 1, 2)
    assert log[-2:] == [("stage", "closed"), ("source", "closed")]
    assert source.threads == {threading.get_ident()}


def test_nothing_left_names_what_is_left() -> None:
    """A source that is open is named, with what was done to it."""
    source = Tracked([1, 2], name="orders")
    rows = iter(source)
    next(rows)
    with pytest.raises(Leftover, match="<Tracked orders: opened 1, asked 1, closed 0> is not closed"):
        nothing_left(source)
    rows.close()
    nothing_left(source)


def test_each_row_may_have_a_delay_of_its_own() -> None:
    """The list of delays is used from its beginning in each run; rows after its end wait for nothing."""
    source = Tracked("abcd", delay=[0, 5, 1])
    with virtual_time() as clock:
        assert list(flow.wrap(source)) == list("abcd")
        assert source.given_at == [0, 5, 6, 6]
        assert list(flow.wrap(source)) == list("abcd")
        assert clock.time() == 12
    assert source.opened == source.closed == 2


def test_it_notes_demand_with_its_times() -> None:
    """A reader that is busy asks later, and the source knows when: so backpressure is seen."""
    source = Tracked("ab", delay=1, cleanup=2)
    sink: TrackedSink[str] = TrackedSink(delay=10)
    with virtual_time() as clock:
        clock.run(sink.aread(flow.wrap(source)))
    assert source.asked_at == [0, 11, 22]  # the last one found the end
    assert source.given_at == [1, 12]
    assert source.closed_at == [24]
    assert sink.times == [1, 12]
    assert sink.asked_at == [0, 11, 22]


def test_it_fails_where_it_is_told() -> None:
    """`fail` comes after the last row, or after `fail_after` rows; `cleanup_fail` while it is closed."""
    error, second = ValueError("full"), OSError("close")
    for after, rows in ((None, [1, 2, 3]), (2, [1, 2]), (0, [])):
        source = Tracked([1, 2, 3], fail=error, fail_after=after)
        got: list[int] = []
        with pytest.raises(ValueError) as caught:
            for row in flow.wrap(source):
                got.append(row)
        assert caught.value is error
        assert got == rows
        assert source.is_closed
    source = Tracked([1, 2], cleanup_fail=second, cleanup=1)
    with virtual_time(), pytest.raises(OSError) as caught_too:
        list(flow.wrap(source))
    assert caught_too.value is second
    assert source.is_closed


def test_both_failures_reach_the_reader() -> None:
    """CONTRACT 16: the failure, and that of the cleanup behind it: the first is the second one's context."""
    with pytest.raises(OSError) as caught:
        list(flow.wrap(Tracked([1], fail=ValueError("first"), cleanup_fail=OSError("second"))))
    assert isinstance(caught.value.__context__, ValueError)


def test_times_are_bounded() -> None:
    """What is endless is counted, and timed no further than 10,000 rows."""
    source = Tracked(iter(range(MOST_TIMES + 50)))
    for _ in flow.wrap(source):
        pass
    assert source.asked == MOST_TIMES + 50
    assert len(source.asked_at) == len(source.given_at) == MOST_TIMES


def test_outside_a_flow_it_is_an_iterable() -> None:
    """Without a run there is no chain to pause: a virtual clock moves on, and where there is none the thread sleeps."""
    source = Tracked([1, 2], delay=0.001)
    assert list(source) == [1, 2]
    with virtual_time() as clock:
        assert list(Tracked([1, 2], delay=1000)) == [1, 2]
        assert clock.time() == 2000


# ------------------------------------------------------------------------------------------------------------------
# Sinks


def pieces() -> Iterator[Any]:
    for row in range(4):
        yield flow.Cooperate(1)
        yield row


def read(sink: TrackedSink[Any], how: str) -> None:
    if how == "script":
        with virtual_time():
            sink.read(flow.wrap(pieces))
        return
    with virtual_time(loop=how) as clock:
        clock.run(sink.aread(flow.wrap(pieces)))


on_each = pytest.mark.parametrize("how", ["script", "asyncio", "trio", "twisted"])


@on_each
def test_a_sink_notes_rows_and_times(how: str) -> None:
    """The same in a script and on each loop; while it is busy the source is not asked."""
    sink: TrackedSink[int] = TrackedSink(delay=[5, 0, 5])
    read(sink, how)
    assert sink.rows == [0, 1, 2, 3]
    assert sink.times == [1, 7, 8, 14]
    assert sink.ended == "end"
    assert len(sink.threads) == 1
    assert repr(sink) == "<TrackedSink sink: 4 rows, end>"


@on_each
def test_a_sink_may_leave(how: str) -> None:
    """It leaves after so many rows, and the run is closed then."""
    sink: TrackedSink[int] = TrackedSink(leave=2)
    read(sink, how)
    assert (sink.rows, sink.ended) == ([0, 1], "left")
    nothing_left()


@on_each
def test_a_sink_may_fail(how: str) -> None:
    """It fails on the row after `fail_after`; its failure is raised, and the run is closed."""
    error = OSError("disk full")
    sink: TrackedSink[int] = TrackedSink(fail=error, fail_after=1)
    with pytest.raises(OSError) as caught:
        read(sink, how)
    assert caught.value is error
    assert (sink.rows, sink.ended) == ([0], "failed")
    nothing_left()


def test_a_sink_that_leaves_at_once_opens_nothing() -> None:
    """CONTRACT 4: leave=0 asks for no row."""
    source = Tracked([1])
    sink: TrackedSink[int] = TrackedSink(leave=0)
    sink.read(flow.wrap(source))
    assert (source.opened, sink.ended) == (0, "left")


def test_a_sink_is_a_function_of_a_row() -> None:
    """Given to a Deferred it is called on the chain's own stack, and waits there."""
    sink: TrackedSink[int] = TrackedSink(delay=3)
    with virtual_time(loop="twisted") as clock:
        assert clock.run(flow.Deferred([1, 2], into=sink)) == 2
    assert (sink.rows, sink.times) == ([1, 2], [0, 3])


def test_a_cancelled_sink_has_failed() -> None:
    """A cancel passes through it."""
    sink: TrackedSink[int] = TrackedSink()

    async def main() -> None:
        with trio.move_on_after(1.5):
            await sink.aread(flow.wrap(pieces))

    with virtual_time(loop="trio") as clock:
        clock.run(main())
    assert (sink.rows, sink.ended) == ([0], "failed")


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"delay": -1}, ValueError, "delay"),
        ({"delay": [1, float("nan")]}, ValueError, "delay"),
        ({"delay": "1"}, TypeError, "delay"),
        ({"cleanup": -1}, ValueError, "cleanup"),
        ({"fail": ValueError}, TypeError, "fail"),
        ({"fail_after": 1}, ValueError, "fail_after"),
        ({"fail": ValueError(), "fail_after": -1}, ValueError, "fail_after"),
        ({"fail": ValueError(), "fail_after": 1.5}, TypeError, "fail_after"),
        ({"cleanup_fail": "no"}, TypeError, "cleanup_fail"),
    ],
)
def test_wrong_scripts_fail_when_they_are_written(arguments: dict[str, Any], error: Any, words: str) -> None:
    """CONTRACT 22: the argument is named by the line that wrote it."""
    with pytest.raises(error, match=words):
        Tracked([1], **arguments)


def test_wrong_scripts_of_sinks_fail_when_they_are_written() -> None:
    """CONTRACT 22."""
    for arguments in ({"leave": -1}, {"fail_after": -1}, {"delay": -1}):
        with pytest.raises(ValueError, match=r"TrackedSink\("):
            TrackedSink(**arguments)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="fail"):
        TrackedSink(fail=OSError)  # type: ignore[arg-type]


def test_on_a_real_loop_times_are_the_loops() -> None:
    """Without virtual time, too."""
    source = Tracked([1])

    async def main() -> float:
        await flow.wrap(source)
        return asyncio.get_running_loop().time()

    now = asyncio.run(main())
    assert 0 <= now - source.asked_at[0] < 10
