"""flow.listen and flow.connect: how they begin, what their Deferreds tell, and how a Server ends.

First with endpoints of the test, on a clock; at the end with those of Twisted, on real reactors
(`scenarios_endpoints.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest

pytest.importorskip("twisted")

from twisted.internet import defer
from twisted.internet.error import ConnectError, ConnectionDone, ConnectionLost
from twisted.internet.protocol import Protocol
from twisted.protocols.basic import LineReceiver

import flow

from .reactors import REACTORS, outcomes
from .wires import Wire, WireReactor, fired, logged


class Port:
    """What listens, as Twisted's does: to stop it twice is an error."""

    def __init__(self, reactor: WireReactor) -> None:
        self.reactor = reactor
        self.stopped = 0

    def getHost(self) -> str:
        return "here"

    def stopListening(self) -> defer.Deferred[None]:
        self.stopped += 1
        assert self.stopped == 1
        done: defer.Deferred[None] = defer.Deferred()
        self.reactor.callLater(0, done.callback, None)
        return done


class Endpoint:
    """Both kinds of endpoint: `connected()` says when there is a connection."""

    def __init__(self, reactor: WireReactor) -> None:
        self.reactor = reactor
        self.lines: list[Wire] = []
        self.given_up = 0
        self.factory: Any = None
        self.waiting: defer.Deferred[Any] | None = None

    def listen(self, factory: Any) -> defer.Deferred[Any]:
        self.factory = factory
        return defer.succeed(Port(self.reactor))

    def connect(self, factory: Any) -> defer.Deferred[Any]:
        self.factory = factory
        self.waiting = defer.Deferred(self._cancelled)
        return self.waiting

    def _cancelled(self, waiting: Any) -> None:
        self.given_up += 1

    def connected(self, room: int = 1 << 30) -> Wire:
        line = Wire(lambda: self.factory.buildProtocol("there"), self.reactor, room)
        self.lines.append(line)
        if self.waiting is not None:
            self.waiting.callback(line.conn)
        self.reactor.turn()
        return line


def echo(conn: Any) -> Generator[bytes]:
    yield from conn


def sleeps(conn: Any) -> Generator[bytes]:
    try:
        flow.sleep(3600)
        yield b"never"
    finally:
        flow.sleep(2)


def names(found: list[Any]) -> list[str]:
    return [type(each).__name__ for each in found]


# --------------------------------------------------------------------------------------------------------------------
# connect


def test_connect_fires_when_both_have_ended(reactor: WireReactor) -> None:
    """CONTRACT 14: not when the connection is made, nor when the controller has ended: when the connection has, too."""
    endpoint = Endpoint(reactor)
    found = fired(flow.connect(endpoint, lambda conn: [b"hello"]))
    assert not found
    line = endpoint.connected()
    assert (line.sent, line.write_closed, found) == (b"hello", True, [])
    line.finish()
    assert found == [line.conn]


def test_a_controller_that_has_ended_before_the_endpoint_tells(reactor: WireReactor) -> None:
    """CONTRACT 3, R6: the connection is made, and ends, inside of the endpoint's own call: nothing is missed."""

    class Quick(Endpoint):
        def connect(self, factory: Any) -> defer.Deferred[Any]:
            line = Wire(lambda: factory.buildProtocol("there"), self.reactor)
            self.lines.append(line)
            if not line.disconnected:
                line.lose()
            return defer.succeed(line.conn)

    def fails(conn: Any) -> Generator[bytes]:
        raise ValueError("the controller fails")
        yield

    with logged() as failures:
        assert names(fired(flow.connect(Quick(reactor), fails))) == ["ValueError"]
        assert names(fired(flow.connect(Quick(reactor), echo))) == ["ConnectionLost"]
    assert failures == []
    reactor.check()


ENDS: dict[str, tuple[Callable[[Any], Any], Callable[[Wire], object], str]] = {
    "it ends": (echo, lambda line: line.half_close(), "Protocol"),
    "a loss": (echo, lambda line: line.lose(), "ConnectionLost"),
    "a clean close": (sleeps, lambda line: line.lose(ConnectionDone()), "ConnectionDone"),
    "a cancel of the connection": (echo, lambda line: line.conn.cancel(), "CancelledError"),
    "a failure": (lambda conn: conn.map(int), lambda line: line.send(b"x"), "ValueError"),
}


@pytest.mark.parametrize("name", ENDS)
def test_connect_tells_how_it_ended(reactor: WireReactor, name: str) -> None:
    """CONTRACT 15, 17: with the connection, or with the failure or the reason; nothing is logged."""
    controller, end, tells = ENDS[name]
    endpoint = Endpoint(reactor)
    with logged() as failures:
        found = fired(flow.connect(endpoint, controller))
        line = endpoint.connected()
        end(line)
        reactor.turn(2)
        line.finish()
    assert names(found) == [tells]
    assert failures == []


def test_an_endpoint_that_fails(reactor: WireReactor) -> None:
    """The failure of connecting, or of listening, is the endpoint's own."""
    endpoint = Endpoint(reactor)
    found = fired(flow.connect(endpoint, echo))
    assert endpoint.waiting is not None
    error = ConnectError("nobody there")
    endpoint.waiting.errback(error)
    assert found == [error]

    class Raising(Endpoint):
        def listen(self, factory: Any) -> defer.Deferred[Any]:
            return defer.fail(error)

        def connect(self, factory: Any) -> defer.Deferred[Any]:
            raise error

    assert fired(flow.connect(Raising(reactor), echo)) == [error]
    assert fired(flow.listen(Raising(reactor), echo)) == [error]
    reactor.check()


def test_a_cancel_while_it_connects(reactor: WireReactor) -> None:
    """CONTRACT 15: connecting is given up."""
    endpoint = Endpoint(reactor)
    connecting = flow.connect(endpoint, echo)
    found = fired(connecting)
    connecting.cancel()
    connecting.cancel()
    assert names(found) == ["CancelledError"]
    assert endpoint.given_up == 1
    reactor.check()


def test_a_cancel_while_it_runs(reactor: WireReactor) -> None:
    """CONTRACT 14, 15: it fires when the cleanup has ended and the connection is closed, however often it is called."""
    endpoint = Endpoint(reactor)
    running = flow.connect(endpoint, sleeps)
    found = fired(running)
    line = endpoint.connected()
    for _ in range(3):
        running.cancel()
        reactor.turn(0.5)
        assert not found
        assert not line.disconnected
    reactor.turn(0.5)
    assert names(found) == ["CancelledError"]
    line.finish()
    running.cancel()


def test_a_cancel_while_the_last_rows_are_sent(reactor: WireReactor) -> None:
    """CONTRACT 15: the controller has ended: the connection is aborted."""
    endpoint = Endpoint(reactor)
    running = flow.connect(endpoint, lambda conn: [b"hello"])
    found = fired(running)
    line = endpoint.connected(room=0)
    running.cancel()
    reactor.turn()
    assert names(found) == ["CancelledError"]
    line.finish()


def test_a_base_class_that_fails(reactor: WireReactor) -> None:
    """CONTRACT 14: connect tells a connectionMade that raises, and aborts; it does not hang."""

    class Failing(Protocol):
        def connectionMade(self) -> None:
            raise ValueError("the base class fails")

    endpoint = Endpoint(reactor)
    found = fired(flow.connect(endpoint, echo, Failing))
    line = endpoint.connected()
    assert [str(each) for each in found] == ["the base class fails"]
    line.finish()


# --------------------------------------------------------------------------------------------------------------------
# listen


def listening(endpoint: Any, *args: Any, **options: Any) -> flow.Server:
    (server,) = fired(flow.listen(endpoint, *args, **options))
    assert isinstance(server, flow.Server)
    return server


def test_a_server_knows_its_connections(reactor: WireReactor) -> None:
    """The oldest first, each until both its controller and its transport have ended."""
    endpoint = Endpoint(reactor)
    server = listening(endpoint, echo, LineReceiver, "lineReceived", send="sendLine")
    assert (server.connections, server.getHost()) == ((), "here")
    one, two = endpoint.connected(), endpoint.connected()
    assert server.connections == (one.conn, two.conn)
    assert one.send(b"x\r\n").sent == b"x\r\n"
    assert one.conn.factory is two.conn.factory
    one.lose()
    assert server.connections == (two.conn,)
    two.half_close().finish()
    assert server.connections == ()


def test_close_waits_for_all_of_them(reactor: WireReactor) -> None:
    """CONTRACT 14, 15: it stops listening, cancels, and fires when cleanups have ended; it may be called again."""
    endpoint = Endpoint(reactor)
    server = listening(endpoint, sleeps)
    lines = [endpoint.connected() for _ in range(3)]
    lines[0].lose()
    first, second = fired(server.close()), fired(server.close())
    reactor.turn()
    assert server.port.stopped == 1
    reactor.turn(1.5)
    assert (first, second) == ([], [])
    assert len(server.connections) == 3
    reactor.turn(0.5)
    assert (first, second) == ([None], [None])
    assert server.connections == ()
    assert fired(server.close()) == [None]
    for line in lines:
        line.finish()


def test_close_and_a_cleanup_that_never_ends(reactor: WireReactor) -> None:
    """CONTRACT 15: it is ended after `cleanup` seconds, and told in the log."""

    def stubborn(conn: Any) -> Generator[bytes]:
        try:
            yield from conn
        finally:
            flow.sleep(3600)

    endpoint = Endpoint(reactor)
    server = listening(endpoint, stubborn, cleanup=3)
    line = endpoint.connected()
    with logged() as failures:
        found = fired(server.close())
        reactor.turn(2.9)
        assert not found
        reactor.turn(0.1)
    assert found == [None]
    assert names(failures) == ["CleanupTimeoutError"]
    line.finish()


def test_close_and_a_cleanup_that_fails(reactor: WireReactor) -> None:
    """CONTRACT 16: close() hides no failure: it is logged, once."""

    def fails(conn: Any) -> Generator[bytes]:
        try:
            yield from conn
        finally:
            raise ValueError("the cleanup fails")

    endpoint = Endpoint(reactor)
    server = listening(endpoint, fails)
    line = endpoint.connected()
    with logged() as failures:
        found = fired(server.close())
        reactor.turn()
    assert found == [None]
    assert [str(each) for each in failures] == ["the cleanup fails"]
    line.finish()


def test_stop_listening(reactor: WireReactor) -> None:
    """Connections that are open go on; a close() after it ends them."""
    endpoint = Endpoint(reactor)
    server = listening(endpoint, echo)
    line = endpoint.connected()
    stopped, again = fired(server.stopListening()), fired(server.stopListening())
    reactor.turn()
    assert (stopped, again) == ([None], [None])
    assert line.send(b"still there").sent == b"still there"
    closed = fired(server.close())
    reactor.turn()
    assert closed == [None]
    line.finish()


def test_a_port_that_fails_to_stop(reactor: WireReactor) -> None:
    """CONTRACT 16: its failure comes out of close(); the connections are cancelled all the same."""

    class Failing(Port):
        def stopListening(self) -> defer.Deferred[None]:
            raise ConnectionLost("it does not stop")

    class Listening(Endpoint):
        def listen(self, factory: Any) -> defer.Deferred[Any]:
            self.factory = factory
            return defer.succeed(Failing(self.reactor))

    endpoint = Listening(reactor)
    server = listening(endpoint, echo)
    line = endpoint.connected()
    found = fired(server.close())
    line.finish()
    assert names(found) == ["ConnectionLost"]


# --------------------------------------------------------------------------------------------------------------------
# On real reactors


@pytest.mark.parametrize("reactor_name", REACTORS)
def test_on_real_reactors(reactor_name: str) -> None:
    """CONTRACT 12, 14, 15, 24 and 30: Twisted's endpoints, Server.close() in every state, UNIX sockets, and many."""
    assert outcomes(reactor_name, "tests.io.scenarios_endpoints") == {}
