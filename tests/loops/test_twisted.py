"""Twisted: flow.Deferred and its cancel, tracebacks, starting on the reactor, ``async for`` in a coroutine."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from typing import Any

import pytest

import flow
from flow.testing import Tracked, nothing_left

pytest.importorskip("twisted")

from twisted.internet import defer, task

from ..conformance.drivers import ClockReactor, installed


@pytest.fixture
def reactor() -> Iterator[ClockReactor]:
    found = ClockReactor()
    with installed(found):
        yield found


def failed(deferred: defer.Deferred[Any]) -> Any:
    """The Failure that it has fired with."""
    found: list[Any] = []
    deferred.addErrback(found.append)
    assert found, "it has not failed"
    return found[0]


def test_it_starts_on_the_reactor(reactor: ClockReactor) -> None:
    """CONTRACT 4: nothing runs before the reactor's next turn; then the Deferred fires with the rows."""
    source = Tracked([1, 2])
    deferred = flow.Deferred(flow.wrap(source))
    assert source.opened == 0
    assert not deferred.called
    assert reactor.run_until(deferred) == [1, 2]
    nothing_left(source)


def test_another_reactor_may_be_given() -> None:
    """`reactor=`: a clock of Twisted's own, with nothing installed."""
    clock = ClockReactor()
    assert clock.run_until(flow.Deferred(flow.wrap([1, flow.Cooperate(3600), 2]), reactor=clock)) == [1, 2]
    assert clock.seconds() == 3600


def test_a_cancel_fires_when_all_is_closed(reactor: ClockReactor) -> None:
    """CONTRACT 15: ``cancel()`` fails the Deferred with CancelledError, after cleanups that wait; again is a no-op."""
    source = Tracked(range(9), delay=2, cleanup=1)
    deferred = flow.Deferred(flow.wrap(source) | Tracked(name="below"))
    fired: list[Any] = []
    deferred.addErrback(lambda failure: fired.append((failure.type, reactor.seconds(), source.is_closed)))
    reactor.advance(3)
    deferred.cancel()
    deferred.cancel()
    assert not fired
    reactor.advance(2)
    assert fired == [(defer.CancelledError, 4.0, True)] or fired == [(defer.CancelledError, 5.0, True)]
    deferred.cancel()
    nothing_left(source)


def test_a_cancel_before_it_starts(reactor: ClockReactor) -> None:
    """CONTRACT 15: a cancel before the first turn: nothing is ever opened."""
    source = Tracked(range(9))
    deferred = flow.Deferred(flow.wrap(source))
    deferred.cancel()
    reactor.advance(1)
    assert failed(deferred).check(defer.CancelledError)
    assert source.opened == 0
    nothing_left()


def test_a_cancel_after_the_end(reactor: ClockReactor) -> None:
    """CONTRACT 15: a cancel after the end does nothing."""
    deferred = flow.Deferred(flow.wrap([1]))
    assert reactor.run_until(deferred) == [1]
    deferred.cancel()


def test_a_cancel_is_a_base_exception_inside() -> None:
    """CONTRACT 15: a stage's ``except Exception`` does not eat the cancel of a Deferred."""
    clock = ClockReactor()
    eaten = []

    def tries_again(rows: Iterable[Any]) -> Generator[Any]:
        for row in rows:
            try:
                flow.sleep(9)
            except Exception as error:
                eaten.append(error)
            yield row

    deferred = flow.Deferred(flow.wrap([1, 2]) | tries_again, reactor=clock)
    clock.advance(1)
    deferred.cancel()
    clock.advance(100)
    assert failed(deferred).check(defer.CancelledError)
    assert not eaten


def test_a_failure_has_the_frames_of_the_user(reactor: ClockReactor) -> None:
    """CONTRACT 17: the Failure has the error itself, its traceback with the user's frames, and the stages in a note."""
    raised = ValueError("no")

    def innermost(n: int) -> int:
        raise raised

    def stage(rows: Iterable[int]) -> Generator[int]:
        for row in rows:
            yield innermost(row)

    deferred = flow.Deferred(flow.wrap([1]) | stage)
    reactor.advance(1)
    failure = failed(deferred)
    assert failure.value is raised
    assert "in innermost" in failure.getTraceback()
    assert "in stage" in failure.getTraceback()
    assert any("stage" in note for note in raised.__notes__)


def test_a_trap(reactor: ClockReactor) -> None:
    """An exception of a trapped type becomes the last row."""
    error = ValueError("no")
    assert reactor.run_until(flow.Deferred(flow.wrap(Tracked([1], fail=error)), ValueError)) == [1, error]


def test_rows_before_a_failure_are_counted(reactor: ClockReactor) -> None:
    """CONTRACT 16: the rows that a failed Deferred can't give are handed to `on_dropped`."""
    dropped: list[Any] = []
    deferred = flow.Deferred(flow.wrap(Tracked([1, 2], fail=ValueError("no"))), on_dropped=dropped.extend)
    reactor.advance(1)
    assert failed(deferred).check(ValueError)
    assert dropped == [1, 2]


def test_a_cleanup_has_a_deadline(reactor: ClockReactor) -> None:
    """CONTRACT 15: a cleanup that goes on waiting after a cancel is ended and named."""

    def stubborn() -> Generator[int]:
        try:
            flow.sleep(9)
            yield 1
        finally:
            flow.sleep(3600)

    deferred = flow.Deferred(flow.wrap(stubborn), cleanup=5)
    reactor.advance(1)
    deferred.cancel()
    reactor.advance(4.5)
    assert not deferred.called
    reactor.advance(1)
    failure = failed(deferred)
    assert failure.check(flow.CleanupTimeoutError, defer.CancelledError)
    assert "stubborn" in failure.getTraceback()


def test_async_for_in_a_coroutine(reactor: ClockReactor) -> None:
    """CONTRACT 12: ``async for`` and ``await`` work in Deferred.fromCoroutine, with Deferreds in the chain."""

    def later(n: int) -> defer.Deferred[int]:
        return task.deferLater(reactor, n, lambda: 10 * n)

    def stage(rows: Iterable[int]) -> Generator[int]:
        for row in rows:
            yield flow.wait(later(row))

    async def main() -> Any:
        got = [row async for row in flow.wrap([1, 2]) | stage]
        return got, await flow.wrap([3])

    assert reactor.run_until(defer.Deferred.fromCoroutine(main())) == ([10, 20], [3])
    assert reactor.seconds() == 3


def test_a_plain_for_on_a_running_reactor(reactor: ClockReactor) -> None:
    """LoopRunningError names Twisted, and what to write; off the reactor's thread a script is a script."""
    with pytest.raises(flow.LoopRunningError, match=r"\(Twisted\). Write `async for row in stage`"):
        list(flow.wrap([1]))
    got: list[Any] = []
    reactor_thread(lambda: got.extend(flow.wrap([1, flow.Cooperate(0.001), 2])))
    assert got == [1, 2]


def reactor_thread(f: Any) -> None:
    import threading

    thread = threading.Thread(target=f, name="not the reactor's")
    thread.start()
    thread.join(10)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_reaches_the_caller(reactor: ClockReactor, error: type[BaseException]) -> None:
    """CONTRACT 18: an interrupt comes out of the reactor's turn; it is never an errback."""
    source = Tracked(range(3))

    def interrupts(rows: Iterable[int]) -> Generator[int]:
        for row in rows:
            if row == 1:
                raise error("now")
            yield row

    deferred = flow.Deferred(flow.wrap(source) | interrupts)
    errbacks: list[Any] = []
    deferred.addErrback(errbacks.append)
    with pytest.raises(error, match="now"):
        reactor.run_until(deferred)
    assert not errbacks
    nothing_left(source)


def test_a_deferred_leaves_its_result_to_others() -> None:
    """CONTRACT 9: waiting for a Deferred hands its result on to those who listen, too."""
    clock = ClockReactor()
    d: defer.Deferred[str] = defer.Deferred()
    heard: list[Any] = []

    def stage(rows: Iterable[Any]) -> Generator[Any]:
        yield flow.wait(d)

    result = flow.Deferred(flow.wrap([]) | stage, reactor=clock)
    clock.advance(1)
    d.addCallback(heard.append)
    d.callback("fired")
    assert clock.run_until(result) == ["fired"]
    assert heard == ["fired"]


# --------------------------------------------------------------------------------------------------------------------
# flow.Deferred(stage, into=f): rows are handed on as they come


def test_into_is_given_each_row_as_it_comes(reactor: ClockReactor) -> None:
    """CONTRACT 1, 5: each row is handed on when it is there; nothing is collected, and the rows are counted."""
    got: list[tuple[float, Any]] = []
    deferred = flow.Deferred(
        flow.wrap(["a", flow.Cooperate(1), "b"]), into=lambda row: got.append((reactor.seconds(), row))
    )
    reactor.advance(0)
    assert got == [(0, "a")]
    reactor.advance(1)
    assert got == [(0, "a"), (1, "b")]
    assert deferred.result == 2
    nothing_left()


def test_into_may_wait(reactor: ClockReactor) -> None:
    """CONTRACT 21: while `into` waits, by flow.wait or for what it returns, no further row is asked for."""
    source = Tracked([1, 2, 3, 4])
    later: list[defer.Deferred[None]] = []

    def take(row: int) -> Any:
        if row == 1:
            flow.sleep(1)
            return None
        if row == 2:
            later.append(defer.Deferred())
            return later[0]
        return row  # what can't be waited for is no matter

    deferred = flow.Deferred(flow.wrap(source), into=take)
    reactor.advance(0)
    assert source.asked == 1
    reactor.advance(1)
    assert source.asked == 2
    later[0].callback(None)
    reactor.advance(0)
    assert deferred.result == 4


def test_into_that_fails_closes_the_run(reactor: ClockReactor) -> None:
    """CONTRACT 14, 17: a failure of `into` is the Deferred's, after all that is open was closed."""
    source = Tracked([1, 2, 3])

    def take(row: int) -> None:
        if row == 2:
            raise OSError("full")

    deferred = flow.Deferred(flow.wrap(source), into=take)
    reactor.advance(0)
    assert repr(failed(deferred).value) == "OSError('full')"
    assert source.closed == 1


def test_a_cancel_while_into_waits(reactor: ClockReactor) -> None:
    """CONTRACT 15: it is raised where `into` waits, and the run is closed when the Deferred fires."""
    source = Tracked([1, 2])
    deferred = flow.Deferred(flow.wrap(source), into=lambda row: flow.sleep(10))
    reactor.advance(0)
    deferred.cancel()
    assert failed(deferred).check(defer.CancelledError)
    assert source.closed == 1
    nothing_left()


def test_into_is_fair(reactor: ClockReactor) -> None:
    """CONTRACT 10: an endless source that is handed on gives the reactor its turns."""
    turns = 0

    def turn() -> None:
        nonlocal turns
        turns += 1
        if turns < 3:
            reactor.callLater(0, turn)

    def endless() -> Generator[int]:
        while turns < 3:
            yield 1

    reactor.callLater(0, turn)
    deferred = flow.Deferred(flow.wrap(endless), into=lambda row: None)
    reactor.advance(0)
    assert deferred.result > 100


@pytest.mark.parametrize("wrong", [1, "print"])
def test_into_must_be_a_function(wrong: Any) -> None:
    """CONTRACT 22: what can't be called is refused where it is written."""
    with pytest.raises(TypeError, match="into"):
        flow.Deferred(flow.wrap([1]), into=wrong)


def test_a_deferred_is_one(reactor: ClockReactor) -> None:
    """It is a Twisted Deferred, so it chains: a callback may return another, and a failure goes down the chain."""
    deferred = flow.Deferred(flow.wrap([1, 2])).addCallback(lambda rows: flow.Deferred(flow.wrap(rows).map(str)))
    assert isinstance(deferred, defer.Deferred)
    reactor.advance(0)
    reactor.advance(0)
    assert deferred.result == ["1", "2"]


def test_a_wait_that_is_over_at_once_is_not_taken_for_the_next_one() -> None:
    """CONTRACT 8, 15: an instruction that resumes there and then is followed by a wait that sleeps; a cancel calls that
    one off, and leaves no timer of it."""

    class AtOnce(flow.CallLater):
        def callLater(self, resume: Any, /) -> None:
            resume()

    closed = []

    def source() -> Iterator[int]:
        try:
            flow.wait(AtOnce())
            flow.sleep(10)
            yield 1
        finally:
            closed.append(flow.sleep(1))

    clock = task.Clock()
    failed: list[Any] = []
    deferred = flow.Deferred(source, reactor=clock)
    deferred.addErrback(failed.append)
    for _ in range(5):
        clock.advance(0)
    deferred.cancel()
    clock.advance(0)
    # The cleanup waits: its sleep, and its deadline. What was called off is gone.
    assert sorted(call.getTime() - clock.seconds() for call in clock.getDelayedCalls()) == [1, 5]
    clock.advance(1)
    assert (len(closed), len(failed)) == (1, 1)
    clock.advance(0)
    assert clock.getDelayedCalls() == []
