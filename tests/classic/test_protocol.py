"""flow.classic's makeProtocol and Protocol, as the suite, the manual and the author's examples of 2003 showed them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest
from twisted.internet import defer, protocol
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.testing import StringTransport
from twisted.protocols.basic import LineReceiver

import flow as today
from flow.classic import flow
from flow.testing import Tracked, nothing_left

from ..conformance.drivers import ClockReactor, installed
from .test_manual import run


@pytest.fixture
def reactor() -> Iterator[ClockReactor]:
    found = ClockReactor()
    with installed(found):
        yield found


class Wire(StringTransport):
    """A connection whose other end is the test."""

    def __init__(self, made: Callable[[], Any], reactor: ClockReactor) -> None:
        super().__init__()
        self.reactor = reactor
        self.conn = made()
        self.conn.makeConnection(self)

    def send(self, *pieces: bytes) -> Wire:
        for piece in pieces:
            self.conn.dataReceived(piece)
            self.reactor.advance(0)
        return self

    def lose(self, reason: Exception | None = None) -> Wire:
        self.conn.connectionLost(flow.Failure(reason or ConnectionDone()))
        self.reactor.advance(0)
        return self


def echo(conn: Any) -> Generator[Any]:
    yield conn
    for piece in conn:
        yield piece
        yield conn


class Echo:
    """The same as an iterator by hand."""

    def __init__(self, conn: Any) -> None:
        self.conn = conn
        self.asked = False

    def __iter__(self) -> Echo:
        return self

    def __next__(self) -> Any:
        self.asked = not self.asked
        return self.conn if self.asked else self.conn.next()


@pytest.mark.parametrize("controller", [echo, Echo])
def test_an_echo(reactor: ClockReactor, controller: Any) -> None:
    """2003's suite: ``yield conn``, a row, and what is yielded is written; a generator or a class by hand."""
    wire = Wire(flow.makeProtocol(controller), reactor).send(b"one", b"two")
    assert wire.value() == b"onetwo"
    assert isinstance(wire.conn, (flow.Controller, today.Stage))
    wire.lose()
    nothing_left()


def test_a_client_that_tells_its_factory(reactor: ClockReactor) -> None:
    """2003's suite: it writes first, waits for the answer, fires a Deferred of its factory, and is closed."""

    def asks(conn: Any) -> Generator[Any]:
        yield b"marco"
        yield conn
        conn.factory.answer.callback(conn.next())

    factory: Any = protocol.ClientFactory()
    factory.protocol = flow.makeProtocol(asks)
    factory.answer = defer.Deferred()
    wire = Wire(lambda: factory.buildProtocol(None), reactor)
    assert wire.value() == b"marco"
    wire.send(b"polo")
    assert reactor.run_until(factory.answer) == b"polo"
    assert wire.disconnecting
    wire.lose()


def test_server_and_client_face_to_face(reactor: ClockReactor) -> None:
    """2003's suite: the two protocols on one loopback, each with a controller of its own."""
    from twisted.protocols.loopback import loopbackAsync

    heard: list[Any] = []

    def asks(conn: Any) -> Generator[Any]:
        yield b"anybody?"
        yield conn
        heard.append(conn.next())

    server: Any = flow.Protocol()
    server.controller = Echo
    ended: Any = loopbackAsync(server, flow.makeProtocol(asks)())  # type: ignore[no-untyped-call]
    reactor.run_until(ended)
    assert heard == [b"anybody?"]


def test_a_protocol_is_given_its_controller(reactor: ClockReactor) -> None:
    """2003's suite set it on the class, or on the protocol itself; or it is a method; each is called with the conn."""

    class OnTheClass(flow.Protocol):
        pass

    class Method(flow.Protocol):
        def controller(self) -> Any:
            return echo(self)

    class Static(flow.Protocol):
        controller = staticmethod(echo)

    on_the_class: Any = OnTheClass
    for controller in (echo, Echo, lambda conn: echo(conn)):
        on_the_class.controller = controller
        assert Wire(on_the_class, reactor).send(b"x").lose().value() == b"x"

        def itself(controller: Any = controller) -> Any:
            made: Any = flow.Protocol()
            made.controller = controller
            return made

        assert Wire(itself, reactor).send(b"x").lose().value() == b"x"
    for kind in (Method, Static):
        assert Wire(kind, reactor).send(b"x").lose().value() == b"x"


def test_what_runs_after_the_loop(reactor: ClockReactor) -> None:
    """The manual: the ``for`` over a connection ends with it, and what stands behind the loop runs."""
    told: list[str] = []

    def serve(conn: Any) -> Generator[Any]:
        yield conn
        for piece in conn:
            conn.write(piece.upper())
            yield conn
        told.append("disconnected")

    for reason in (ConnectionDone(), ConnectionLost()):
        assert Wire(flow.makeProtocol(serve), reactor).send(b"a", b"b").lose(reason).value() == b"AB"
    assert told == ["disconnected"] * 2


def test_the_end_of_the_controller_is_the_end_of_the_connection(reactor: ClockReactor) -> None:
    """The manual; and what it wrote last is sent, which 2003 forgot (fault R2)."""
    wire = Wire(flow.makeProtocol(lambda conn: [b"hello, ", flow.Cooperate(2), b"world"]), reactor)
    assert (wire.value(), wire.disconnecting) == (b"hello, ", False)
    reactor.advance(2)
    assert (wire.value(), wire.disconnecting) == (b"hello, world", True)
    wire.lose()


def test_the_members_of_a_connection(reactor: ClockReactor) -> None:
    """It is a stage: `results`, `stop`, next(), attributes of one's own; and ``while True`` ends with it."""
    seen: list[Any] = []

    def looks(conn: Any) -> Generator[Any]:
        conn.name = "ada"
        yield conn
        seen.append([*conn.results])
        conn.results = []
        while True:
            yield conn
            seen.append((conn.stop, conn.failure))
            yield conn.next()

    wire = Wire(flow.makeProtocol(looks), reactor).send(b"1", b"2").lose()
    assert wire.value() == b"2"
    assert seen == [[b"1"], (False, None), (True, None)]
    assert wire.conn.name == "ada"
    assert (wire.conn.results, wire.conn.stop) == ([], False)
    with pytest.raises(flow.NotReadyError):
        wire.conn.next()


@pytest.mark.parametrize("broken", ["by hand", "LineBreak"])
def test_lines_out_of_a_connection(reactor: ClockReactor, broken: str) -> None:
    """2003's docstring: a stage between the connection and its controller, which makes lines of the pieces."""

    def lines_of(conn: Any) -> Generator[Any]:
        left: list[bytes] = []
        yield conn
        for piece in conn:
            head, found, tail = piece.partition(b"\n")
            left.append(head)
            if found:
                yield b"".join(left)
                left = [tail]
            yield conn
        yield b"".join(left)

    def serve(conn: Any) -> Generator[Any]:
        by_hand = broken == "by hand"
        lines = flow.wrap(lines_of(conn)) if by_hand else flow.LineBreak(conn, delimiter=b"\n", trailer=True)
        yield lines
        for line in lines:
            conn.write(b"<" + line + b">")
            yield lines

    wire = Wire(flow.makeProtocol(serve), reactor).send(b"good mor", b"ning\nplease ", b"wait\n...")
    assert wire.value() == b"<good morning><please wait>"
    wire.lose()


def test_another_base_class(reactor: ClockReactor) -> None:
    """2003: makeProtocol(controller, baseClass, callback): its rows are what that callback is given."""

    class Greeted(LineReceiver):
        def connectionMade(self) -> None:
            self.sendLine(b"welcome")

    def serve(conn: Any) -> Generator[Any]:
        yield conn
        for line in conn:
            conn.sendLine(line[::-1])
            yield b"."
            yield conn

    wire = Wire(flow.makeProtocol(serve, Greeted, "lineReceived"), reactor).send(b"abc\r\nde", b"f\r\n")
    assert wire.value() == b"welcome\r\ncba\r\n.fed\r\n."
    wire.lose()


def lasting(log: list[Any], conn: Any) -> Generator[Any]:
    try:
        yield conn
        for row in conn:
            log.append(row)
            yield conn
        log.append("end")
    except BaseException as error:
        log.append(error)
        raise


def test_a_lost_connection_is_an_end(reactor: ClockReactor) -> None:
    """2003's default; without finishOnConnectionLost its reason is trapped, as the class, or ends the controller."""
    log: list[Any] = []

    def controller(conn: Any) -> Any:
        return lasting(log, conn)

    Wire(flow.makeProtocol(controller, trap=(OSError, ConnectionLost)), reactor).send(b"a").lose(ConnectionLost())
    assert log == [b"a", "end"]
    del log[:]
    strict = flow.makeProtocol(controller, finishOnConnectionLost=False, trap=(KeyError, ConnectionLost))
    Wire(strict, reactor).send(b"a").lose(ConnectionLost())
    assert log == [b"a", ConnectionLost, "end"]
    del log[:]
    Wire(strict, reactor).lose(ConnectionDone())
    assert log == ["end"]
    del log[:]
    reason = ConnectionLost()
    Wire(flow.makeProtocol(controller, finishOnConnectionLost=False), reactor).lose(reason)
    assert isinstance(log[0], today.Cancelled)
    assert log[0].__cause__ is reason


def test_a_close_is_no_trapped_reason(reactor: ClockReactor) -> None:
    """As in 2003: a clean close is an end, though a trap of Exception would have it."""
    log: list[Any] = []
    Wire(flow.makeProtocol(lambda conn: lasting(log, conn), trap=Exception), reactor).send(b"a").lose()
    assert log == [b"a", "end"]


def test_a_pause_is_not_cut_short(reactor: ClockReactor) -> None:
    """2003 resumed a controller in a Cooperate when the connection was lost (fault R5); now it is cancelled there."""
    source = Tracked([b"x"])
    went_on: list[int] = []

    def slow(conn: Any) -> Generator[Any]:
        rows = flow.wrap(source)
        yield rows
        yield flow.Cooperate(5)
        went_on.append(1)

    wire = Wire(flow.makeProtocol(slow), reactor)
    reactor.advance(1)
    wire.lose()
    reactor.advance(9)
    assert not went_on
    nothing_left(source)


def test_a_failing_controller(reactor: ClockReactor) -> None:
    """It is told once (fault R6), and the connection is broken off."""

    def fails(conn: Any) -> Generator[Any]:
        yield b"so far"
        raise OSError("no further")

    made: list[Any] = []

    def build() -> Any:
        made.append(flow.makeProtocol(fails)())
        made[0].notifyFinish().addErrback(lambda failure: made.append(failure.value))
        return made[0]

    wire = Wire(build, reactor)
    assert wire.value() == b"so far"
    assert wire.disconnecting
    wire.lose()
    assert str(made[1]) == "no further"


def test_a_protocol_without_a_controller(reactor: ClockReactor) -> None:
    """It says that one is to be written."""
    made: Any = flow.Protocol()
    failures: list[Any] = []
    made.notifyFinish().addErrback(failures.append)
    wire = Wire(lambda: made, reactor)
    wire.lose()
    assert failures[0].check(NotImplementedError)


def test_a_whole_program() -> None:
    """The author's echo: server and client of one process on a real reactor, each telling what it does."""
    program = """
        import warnings
        from twisted.internet import protocol, reactor
        from flow.classic import flow

        warnings.simplefilter("ignore", ResourceWarning)  # Twisted keeps a descriptor in reserve, and never closes it

        def serve(conn):
            yield conn
            print("S: connected")
            for piece in conn:
                print("S:", piece)
                conn.write(piece)
                yield conn
            print("S: disconnected")
            port.stopListening().addBoth(lambda _: reactor.stop())

        def ask(conn):
            for word in (b"Hello", b"again"):
                conn.write(word)
                yield conn
                print("C:", conn.next())
            print("C: done")

        server = protocol.ServerFactory()
        server.protocol = flow.makeProtocol(serve)
        port = reactor.listenTCP(0, server, interface="127.0.0.1")
        client = protocol.ClientFactory()
        client.protocol = flow.makeProtocol(ask)
        reactor.connectTCP("127.0.0.1", port.getHost().port, client)
        reactor.callLater(20, reactor.stop)
        reactor.run()
    """
    lines = run(program).splitlines()
    assert lines[-1] == "S: disconnected"
    assert [line for line in lines if line[0] == "S"] == ["S: connected", "S: b'Hello'", "S: b'again'", lines[-1]]
    assert [line for line in lines if line[0] == "C"] == ["C: b'Hello'", "C: b'again'", "C: done"]
