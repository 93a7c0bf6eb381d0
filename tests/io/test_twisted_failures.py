"""Failures of the controller of a connection, and of what it uses: each is told, once, and leaves nothing open.

CONTRACT 3, 16-19 and 30, and R6 (2003 raised it into dataReceived, and again when the connection was lost).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest

pytest.importorskip("twisted")

from twisted.internet import defer
from twisted.internet.error import ConnectionAborted, ConnectionLost
from twisted.python.failure import Failure

import flow

from .wires import BUFFER, Wire, WireReactor, fired, logged, wire

FULL = b"x" * (BUFFER + 1)


def fails(conn: Any) -> Generator[bytes]:
    yield next(iter(conn))
    raise ValueError("the controller fails")


def fails_at_once(conn: Any) -> Generator[bytes]:
    raise ValueError("the controller fails")
    yield


def fails_in_a_finally(conn: Any) -> Generator[bytes]:
    try:
        yield from conn
    finally:
        raise ValueError("the controller fails")


def stops_iteration(conn: Any) -> Generator[bytes]:
    yield b"1"
    next(iter(()))


@pytest.mark.parametrize("asked", [False, True])
def test_a_failure_is_told_once(reactor: WireReactor, asked: bool) -> None:
    """CONTRACT 3, 17, R6: rows before it are sent, then the connection is aborted; it is logged or told, not both."""
    with logged() as failures:
        line = wire(fails, reactor, room=0)
        ended = fired(line.conn.notifyFinish()) if asked else []
        line.send(b"row")
        assert (line.buffered, line.disconnected) == (3, 0)
        line.take()
    assert line.sent == b"row"
    assert isinstance(line.finish().reason, ConnectionAborted)
    (error,) = ended if asked else failures
    assert str(error) == "the controller fails"
    assert any("fails(" in note for note in error.__notes__)
    assert len(failures) == (0 if asked else 1)
    assert fired(line.conn.notifyFinish()) == [error]


FAILURES: dict[str, tuple[Callable[[Any], Any], type[Exception]]] = {
    "at once": (fails_at_once, ValueError),
    "in a finally": (fails_in_a_finally, ValueError),
    "a StopIteration": (stops_iteration, RuntimeError),
    "of a stage": (lambda conn: conn.map(int), ValueError),
    "of a branch": (lambda conn: flow.Merge(conn.map(int), [flow.Cooperate(1)]), ValueError),
}


@pytest.mark.parametrize("name", FAILURES)
def test_failures_of_each_kind(reactor: WireReactor, name: str) -> None:
    """CONTRACT 16, 17, 19: logged once, the connection aborted, nothing left; a StopIteration is an error."""
    controller, kind = FAILURES[name]
    with logged() as failures:
        line = wire(controller, reactor)
        if line.reading:
            line.send(b"\xff" if name != "in a finally" else b"1").clock.turn()
        if line.reading:
            line.half_close()
    assert [type(each) for each in failures] == [kind]
    line.finish()


def test_a_failure_in_a_finally_after_a_loss(reactor: WireReactor) -> None:
    """CONTRACT 16: a failure during the cleanup is told, and the loss stays its context."""
    line = wire(fails_in_a_finally, reactor)
    ended = fired(line.conn.notifyFinish())
    error = ConnectionLost("gone")
    line.lose(error).finish()
    (failure,) = ended
    assert isinstance(failure, ValueError)
    assert isinstance(failure.__context__, flow.Cancelled)
    assert failure.__context__.__cause__ is error


def fails_above(conn: Any) -> flow.Stage[bytes]:
    def above() -> Generator[bytes]:
        try:
            yield b"row"
        finally:
            raise ValueError("the controller fails")

    def below(rows: Iterator[bytes]) -> Generator[bytes]:
        for row in rows:
            flow.sleep(5)
            yield row

    return flow.wrap(above) | below


def fails_where_it_yields(conn: Any) -> Generator[bytes]:
    try:
        yield FULL
    finally:
        raise ValueError("the controller fails")


def fails_twice(conn: Any) -> flow.Stage[bytes]:
    def below(rows: Iterator[bytes]) -> Generator[bytes]:
        try:
            yield from rows
        finally:
            raise TypeError("it fails again")

    return fails_above(conn) | below


@pytest.mark.parametrize("asked", [False, True])
@pytest.mark.parametrize("end", ["lose", "cancel"])
@pytest.mark.parametrize("controller", [fails_above, fails_where_it_yields, fails_twice])
def test_a_failure_of_a_cleanup_that_did_not_wait(reactor: WireReactor, controller: Any, end: str, asked: bool) -> None:
    """CONTRACT 16, 30: what a stage raises that is closed because of a cancel elsewhere in its chain is told, too."""
    with logged() as failures:
        line = wire(controller, reactor, room=0)
        ended = fired(line.conn.notifyFinish()) if asked else []
        if end == "lose":
            line.lose()
        else:
            line.conn.cancel()
        line.finish()
    (failure,) = ended if asked else failures
    assert len(failures) == (0 if asked else 1)
    if controller is fails_twice:
        assert isinstance(failure, ExceptionGroup)
        assert [type(each) for each in failure.exceptions] == [TypeError, ValueError]
    else:
        assert isinstance(failure, ValueError)


def test_a_shared_error_does_not_grow(reactor: WireReactor) -> None:
    """CONTRACT 20, 24: Twisted has one ConnectionLost for all connections; what flow notes on it has a bound."""
    shared = ConnectionLost("shared")
    with logged() as failures:
        for number in range(100):
            gone: defer.Deferred[Any] = defer.Deferred()

            def waits(conn: Any, gone: Any = gone) -> Generator[Any]:
                yield flow.wait(gone)

            line = Wire(type(f"Connection{number}", (flow.makeProtocol(waits),), {}), reactor)
            gone.errback(Failure(shared))
            line.finish()
    assert failures == [shared] * 100
    assert len(shared.__notes__) <= 20
    frames, where = 0, shared.__traceback__
    while where is not None:
        frames, where = frames + 1, where.tb_next
    assert frames < 50


def test_a_failure_after_a_half_close(reactor: WireReactor) -> None:
    """CONTRACT 3, R6: reading has ended, and the rows before the failure are sent all the same."""

    def controller(conn: Any) -> Generator[bytes]:
        yield b"%d" % len(list(conn))
        raise ValueError("the controller fails")

    with logged() as failures:
        line = wire(controller, reactor, room=0).send(b"1").half_close()
        assert not line.disconnected
        assert line.take() == b"1"
    assert len(failures) == 1
    assert isinstance(line.finish().reason, ConnectionAborted)


def test_on_dropped_that_fails(reactor: WireReactor) -> None:
    """CONTRACT 16: a hook of the user's that raises fails the connection; it does not keep it open."""

    def controller(conn: Any) -> Generator[bytes]:
        yield b"bye"
        flow.sleep(1)

    def hook(rows: list[Any]) -> None:
        raise ValueError(f"the hook fails over {rows}")

    with logged() as failures:
        line = wire(controller, reactor, on_dropped=hook).send(b"unread")
        reactor.turn(1)
    assert [str(each) for each in failures] == ["the hook fails over [b'unread']"]
    assert line.finish().sent == b"bye"


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("where", ["when data comes", "in a finally", "at once"])
def test_an_interrupt_reaches_the_caller(reactor: WireReactor, kind: type[BaseException], where: str) -> None:
    """CONTRACT 18: it comes out of the reactor's call; it is no result, and the connection is aborted."""

    def controller(conn: Any) -> Generator[bytes]:
        if where == "at once":
            raise kind("now")
        try:
            yield next(iter(conn))
            raise kind("now")
        finally:
            if where == "in a finally":
                raise kind("now")

    conn = flow.makeProtocol(controller)()
    ended = fired(conn.notifyFinish())
    with logged() as failures, pytest.raises(kind, match="now"):
        Wire(lambda: conn, reactor).send(b"1")
    reactor.turn()
    assert not failures
    assert conn.transport.disconnected
    assert all(isinstance(each, Exception) for each in ended)
    conn.transport.finish()
