"""race and until: what comes first counts.

CONTRACT 1-8, 10, 13-16, 19, 22. What becomes of failures at each point is in test_combine_failures.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from itertools import count
from typing import Any

import pytest
import trio
import trio.testing
from twisted.internet import defer

import flow
from flow.testing import Tracked, nothing_left, torture, virtual_time

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


def now() -> float:
    from flow.core.microthread import current

    strand = current()
    assert strand is not None
    return strand.loop.time()


def timed(rows: Iterator[Any]) -> Iterator[Any]:
    for row in rows:
        yield row, now()


# --------------------------------------------------------------------------------------------------------------------
# race


@both
def test_race_gives_the_rows_of_the_first(read: Read) -> None:
    """CONTRACT 5, 14: at their times; the others are cancelled where they wait, and closed."""
    sources = [Tracked("abc", delay=2), Tracked("xyz", delay=1), Tracked("klm", delay=1.5)]
    assert read(flow.race(*sources) | timed) == [("x", 1), ("y", 2), ("z", 3)]
    assert [each.asked for each in sources] == [1, 3, 1]
    assert all(each.closed == 1 for each in sources)
    nothing_left()


@both
def test_race_of_ready_inputs_takes_the_one_given_first(read: Read) -> None:
    """CONTRACT 4: those behind it are not opened."""
    later = Tracked("xyz")
    assert read(flow.race(["a", "b"], later)) == ["a", "b"]
    assert later.opened == 0
    assert read(flow.race([], ["a"], later)) == ["a"]
    assert read(flow.race()) == []
    assert read(flow.race([], [])) == []
    assert read(flow.race([1])) == [1]


def test_the_first_row_does_not_wait_for_the_others() -> None:
    """CONTRACT 5, 14: their cleanups run beside the rows that follow, and have ended when the race ends."""
    slow = Tracked("abc", delay=3, cleanup=4)
    with virtual_time() as clock:
        got = [(row, clock.time()) for row in flow.race(slow, Tracked("xy", delay=1))]
        assert clock.time() == 5
    assert got == [("x", 1), ("y", 2)]
    assert slow.closed == 1


def test_what_others_hold_is_counted() -> None:
    """CONTRACT 16: a stage among the others had made a row that was not yet to be given: it is dropped, and counted."""
    dropped: list[Any] = []
    holding = flow.interleave(Tracked("ab", delay=5), Tracked("xy"))
    with virtual_time():
        with flow.race(holding, Tracked("kl", delay=1)).open(on_dropped=dropped.extend) as rows:
            assert list(rows) == ["k", "l"]
    assert dropped == ["x"]


@both
@pytest.mark.parametrize("on_error", ["cancel", "finish"])
def test_a_failure_before_the_first_row(read: Read, on_error: Any) -> None:
    """CONTRACT 16: "cancel": it ends the race, and the others are closed; "finish": that input is out."""
    other = Tracked("xy", delay=2)
    stage = flow.race(Tracked([], delay=1, fail=OSError("gone")), other, on_error=on_error)
    if on_error == "finish":
        assert read(stage) == ["x", "y"]
    else:
        with pytest.raises(OSError, match="gone"):
            read(stage)
        assert other.asked == 0
    assert other.is_closed


@both
def test_when_all_fail_all_failures_are_raised(read: Read) -> None:
    """CONTRACT 16: an input that ends without a row changes nothing; the first failure comes first."""
    first, second = OSError("first"), ValueError("second")

    def failing(seconds: float, error: Exception) -> Callable[[], Iterator[Any]]:
        def source() -> Iterator[Any]:
            yield flow.Cooperate(seconds)
            raise error

        return source

    with pytest.raises(ExceptionGroup) as raised:
        read(flow.race(failing(2, second), [], failing(1, first), on_error="finish"))
    assert raised.value.exceptions == (first, second)
    with pytest.raises(OSError, match="first") as alone:
        read(flow.race(failing(2, first), [], on_error="finish"))
    assert alone.value is first


@both
@pytest.mark.parametrize("early", [False, True])
def test_a_cleanup_of_another_that_fails(read: Read, early: bool) -> None:
    """CONTRACT 3, 16: it is raised after the row in hand, and when the reader leaves then, too."""
    error = ValueError("cleanup")

    def failing() -> Iterator[Any]:
        try:
            yield flow.Cooperate(1000)
        finally:
            raise error

    winner = Tracked("abc", delay=1)
    got: list[Any] = []

    def noted(rows: Iterator[Any]) -> Iterator[Any]:
        for row in rows:
            got.append(row)
            yield row

    stage = flow.race(failing, winner) | noted
    with pytest.raises(ValueError, match="cleanup") as raised:
        read(stage[:1] if early else stage)
    assert raised.value is error
    assert got == ["a"]
    assert winner.is_closed


@pytest.mark.parametrize("seeds", [(None,), (1, 2, 3)])
def test_torture_of_race(seeds: Any) -> None:
    """CONTRACT 14-16: ended at each wait and after each row, in every way, in several orders of what is ready."""
    used: list[Tracked[Any]] = []

    def make() -> flow.Stage[Any]:
        used[:] = [
            Tracked(["a0", "a1"], delay=1, cleanup=1),
            Tracked(["b0", "b1"], delay=2, cleanup=1),
            Tracked(["c0", "c1"], delay=3, cleanup=3),
        ]
        return flow.race(*used)

    report = torture(make, tracked=lambda: used, ordered=None, seeds=seeds)
    assert len(report.rows) == 2


def test_wrong_arguments_of_race() -> None:
    """CONTRACT 22: by the line that wrote them."""
    with pytest.raises(ValueError, match="'cancel' or 'finish'"):
        flow.race([1], on_error="collect")  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="wrap"):
        flow.race([1], 3)


# --------------------------------------------------------------------------------------------------------------------
# until


@both
def test_until_a_stage_has_a_row(read: Read) -> None:
    """CONTRACT 5, 14: the rows before that at their times; then both are closed, and it ends."""
    rows, event = Tracked(range(9), delay=1, cleanup=0.5), Tracked(["now", "later"], delay=3.5, cleanup=0.5)
    assert read(flow.wrap(rows).until(flow.wrap(event)) | timed) == [(0, 1), (1, 2), (2, 3)]
    assert (rows.closed, event.closed, event.asked) == (1, 1, 1)


@both
def test_until_of_things_that_can_be_waited_for(read: Read) -> None:
    """CONTRACT 9: a coroutine function, a coroutine, an instruction; a Deferred and futures that are done by others."""

    async def soon() -> None:
        await asyncio.sleep(2.5)

    deferred: defer.Deferred[None] = defer.Deferred()
    future: Future[None] = Future()

    def ending(event: Any) -> Iterator[Any]:
        """Rows that make the event happen themselves."""
        yield 1
        flow.sleep(1)
        yield 2
        event.callback(None) if event is deferred else event.set_result(None)
        yield 3
        yield 4

    rows = Tracked([1, 2, 3], delay=1)
    assert read(flow.wrap(rows).until(soon)) == [1, 2]
    assert read(flow.wrap(rows).until(soon())) == [1, 2]
    assert read(flow.wrap(rows).until(flow.Cooperate(2.5))) == [1, 2]
    assert read(flow.wrap(lambda_of(ending, deferred)).until(deferred)) == [1, 2, 3]
    assert read(flow.wrap(lambda_of(ending, future)).until(future)) == [1, 2, 3]
    assert rows.is_closed


def lambda_of(f: Any, *arguments: Any) -> Any:
    def call() -> Iterator[Any]:
        yield from f(*arguments)

    return call


@both
def test_until_of_what_has_happened(read: Read) -> None:
    """CONTRACT 4: there are no rows, and their source is not opened."""
    rows = Tracked([1, 2])
    future: Future[int] = Future()
    future.set_result(5)
    for event in (flow.wrap([None]), future, defer.succeed(3)):
        assert read(flow.wrap(rows).until(event)) == []
    assert rows.opened == 0


@both
def test_until_of_what_never_happens(read: Read) -> None:
    """CONTRACT 3: it ends with its rows; a stage that ends without a row is no event."""
    event = Tracked([1], delay=1000)
    assert read(flow.wrap([1, 2]).until(flow.wrap(event))) == [1, 2]
    assert event.is_closed
    assert read(flow.wrap(Tracked([1, 2], delay=1)).until(flow.wrap([]))) == [1, 2]


def test_the_event_comes_before_a_row() -> None:
    """CONTRACT 16: both are there when the reader asks: the event counts, and no row is made for nothing."""
    pushed: flow.Callback[int] = flow.Callback()
    rows = Tracked(range(9))
    got = []
    dropped: list[Any] = []
    with virtual_time():
        with flow.wrap(rows).until(pushed).open(on_dropped=dropped.extend) as run:
            for row in run:
                got.append(row)
                if row == 2:
                    pushed.result(1)
    assert got == [0, 1, 2]
    assert rows.asked == 3
    assert dropped == []


@both
def test_a_failure_of_the_event_is_raised(read: Read) -> None:
    """CONTRACT 3, 16, 17: itself, after the rows before it; the rows are closed first."""
    error = OSError("gone")

    async def failing() -> None:
        await asyncio.sleep(1.5)
        raise error

    for event in (failing, flow.wrap(Tracked([], fail=error)), defer.fail(error)):
        rows = Tracked([1, 2, 3], delay=1)
        with pytest.raises(OSError, match="gone") as raised:
            read(flow.wrap(rows).until(event))
        assert raised.value is error
        assert rows.is_closed


def test_a_future_or_a_deferred_is_only_watched() -> None:
    """CONTRACT 14: it belongs to somebody else, and may be watched by many: it is not cancelled, and keeps no trace."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[int] = loop.create_future()
        task = asyncio.create_task(asyncio.sleep(50, "result"))
        deferred: defer.Deferred[int] = defer.Deferred()
        other: Future[int] = Future()
        for event in (future, task, deferred, other):
            stage = flow.wrap(Tracked([1, 2], delay=1)).until(event)
            assert await stage == [1, 2]
            assert [row async for row in stage[:1]] == [1]
        assert not future.cancelled()
        assert not other.cancelled()
        assert future.remove_done_callback(print) == 0
        assert not getattr(future, "_callbacks", None)
        assert await task == "result"
        deferred.callback(3)
        assert await deferred == 3
        future.set_result(4)
        other.set_result(5)

    with virtual_time() as clock:
        clock.run(main())


def test_a_failure_that_nobody_saw_stays_with_the_deferred() -> None:
    """CONTRACT 16: the rows had ended before: whoever else listens to the Deferred gets its failure."""
    deferred: defer.Deferred[None] = defer.Deferred()
    found: list[Any] = []
    assert on_script(flow.wrap(Tracked([1], delay=1)).until(deferred)) == [1]
    deferred.addErrback(found.append)
    deferred.errback(OSError("late"))
    assert found[0].value.args == ("late",)


def test_others_who_listen_to_a_deferred_get_its_failure() -> None:
    """CONTRACT 16: it is raised here, and they get it, too."""
    deferred: defer.Deferred[None] = defer.Deferred()
    found: list[Any] = []

    def rows() -> Iterator[Any]:
        yield 1
        deferred.addErrback(found.append)
        deferred.errback(OSError("gone"))
        yield 2

    with pytest.raises(OSError, match="gone"):
        on_script(flow.wrap(rows).until(deferred))
    assert found[0].value.args == ("gone",)


def test_until_on_trio() -> None:
    """CONTRACT 12: with an event of trio's own."""

    async def main() -> list[Any]:
        event = trio.Event()
        got = []
        async for row in flow.wrap(Tracked(range(9), delay=1)).until(event.wait):
            got.append(row)
            if row == 2:
                event.set()
        return got

    assert trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0)) == [0, 1, 2]


def test_until_on_asyncio_with_an_event_of_its_own() -> None:
    """CONTRACT 12: ``event.wait`` is a coroutine function: the flow can be read again."""

    async def main() -> None:
        event = asyncio.Event()
        stage = flow.wrap(Tracked(range(9), delay=1)).until(event.wait)
        for _ in range(2):
            asyncio.get_running_loop().call_later(2.5, event.set)
            assert await stage == [0, 1]
            event.clear()

    with virtual_time() as clock:
        clock.run(main())


@pytest.mark.parametrize("wrong", [3, None, [1], "text", len, count()])
def test_what_is_no_event_is_refused_when_built(wrong: Any) -> None:
    """CONTRACT 22: by the line that wrote it; the text says what can happen."""
    with pytest.raises(TypeError, match="awaitable"):
        flow.wrap([1]).until(wrong)


@pytest.mark.parametrize("seeds", [(None,), (1, 2, 3)])
def test_torture_of_until(seeds: Any) -> None:
    """CONTRACT 14-16: ended at each wait and after each row, in every way."""
    used: list[Tracked[Any]] = []

    def make() -> flow.Stage[Any]:
        used[:] = [Tracked(range(3), delay=1, cleanup=1), Tracked("e", delay=50, cleanup=1)]
        return flow.wrap(used[0]).until(flow.wrap(used[1]))

    report = torture(make, tracked=lambda: used, ordered=None, seeds=seeds)
    assert report.runs["cancelled"] > 3


@both
def test_an_endless_flow_until_an_event(read: Read) -> None:
    """CONTRACT 10: rows that are always ready give the event its turns."""
    with virtual_time(seed=1):
        assert len(list(flow.wrap(range(10**9)).until(flow.Cooperate(1)))) < 100_000


def test_the_rest_may_be_read_by_another_strand() -> None:
    """CONTRACT 13: a stage reads the head, and gives the rest to a branch."""

    def headed(rows: Iterator[Any]) -> Iterator[Any]:
        yield next(rows)
        yield from flow.Merge(rows, ["x"])

    made: list[Callable[[], flow.Stage[Any]]] = [
        lambda: flow.race(Tracked(range(3), delay=1), Tracked("a", delay=9)),
        lambda: flow.wrap(Tracked(range(9), delay=1)).until(flow.Cooperate(3.5)),
    ]
    for make in made:
        got = on_asyncio(make() | headed)
        assert [row for row in got if row != "x"] == [0, 1, 2]
