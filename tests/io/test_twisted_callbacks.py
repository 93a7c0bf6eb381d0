"""Protocols of Twisted's under a controller: their callbacks as rows, their own begin and end, classes that inherit.

CONTRACT 1-3 and 30, and R1 (2003 knew one callback, and did not call the base class's ``__init__``) as they show with
LineReceiver, NetstringReceiver and IRCClient.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from typing import Any

import pytest

pytest.importorskip("twisted")

from twisted.internet import protocol
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.protocols.basic import Int16StringReceiver, LineOnlyReceiver, LineReceiver, NetstringReceiver
from twisted.words.protocols.irc import IRCClient

import flow

from .wires import SecureWire, Wire, WireReactor, fired, logged, wire


def noting(rows: list[Any], pause: float = 0) -> Callable[[Any], Generator[bytes]]:
    """A controller that notes its rows."""

    def controller(conn: Any) -> Generator[bytes]:
        for row in conn:
            rows.append(row)
            if pause:
                flow.sleep(pause)
        yield b"end"

    return controller


def lines(count: int) -> bytes:
    return b"".join(b"%d\r\n" % number for number in range(count))


def numbers(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


# --------------------------------------------------------------------------------------------------------------------
# One callback


def test_lines(reactor: WireReactor) -> None:
    """CONTRACT 1, 5: the argument of the callback is the row, at once; ``send="sendLine"`` writes rows."""
    shout = flow.makeProtocol(lambda conn: conn.map(bytes.upper), LineReceiver, "lineReceived", send="sendLine")
    line = Wire(shout, reactor).send(b"one\r\ntw", b"o\r\nthree\r\nrest")
    assert line.sent == b"ONE\r\nTWO\r\nTHREE\r\n"
    line.half_close().finish()


def test_netstrings(reactor: WireReactor) -> None:
    """``send="sendString"``: rows are framed as the base class does."""
    line = wire(lambda conn: conn.map(bytes.upper), reactor, NetstringReceiver, "stringReceived", send="sendString")
    assert line.send(b"3:one,3:tw", b"o,").sent == b"3:ONE,3:TWO,"
    line.half_close().finish()


def test_a_wrong_frame_ends_it(reactor: WireReactor) -> None:
    """CONTRACT 14: a base class that closes the connection itself ends the chain as any other loss does."""
    rows: list[Any] = []
    line = wire(noting(rows), reactor, NetstringReceiver, "stringReceived")
    ended = fired(line.conn.notifyFinish())
    line.send(b"1:a,nonsense")
    assert rows == [b"a"]
    assert line.finish().disconnected
    assert len(ended) == 1


@pytest.mark.parametrize("limit", [1, 2, 7, 300])
@pytest.mark.parametrize("base", [LineReceiver, LineOnlyReceiver])
def test_no_line_is_lost_when_the_chain_is_slow(reactor: WireReactor, base: type[Any], limit: int) -> None:
    """CONTRACT 2, 21: a piece of 100 lines and a slow chain: all come, once, in order.

    LineReceiver is paused in the middle of the piece and holds the limit exactly; one that can't be paused, its piece.
    """
    rows: list[Any] = []
    line = wire(noting(rows, 1), reactor, base, "lineReceived", limit=limit).send(lines(100))
    for _ in range(103):
        reactor.turn(1)
    line.send(b"more\r\n")
    reactor.turn(2)
    assert rows == [*numbers(100), b"more"]
    peak = line.conn.flow_link.inbox.channel.peak
    assert peak <= (max(limit, 1) if base is LineReceiver else 100)
    assert line.half_close().sent == b"end"
    line.finish()


def prefixed(count: int) -> bytes:
    return b"".join(len(number).to_bytes(2, "big") + number for number in numbers(count))


PIECES: dict[str, tuple[type[Any], str, Callable[[int], bytes]]] = {
    "lines": (LineReceiver, "lineReceived", lines),
    "prefixed strings": (Int16StringReceiver, "stringReceived", prefixed),
}


@pytest.mark.parametrize("kind", PIECES)
@pytest.mark.parametrize("limit", [1, 2, 7, 300])
@pytest.mark.parametrize("how", ["half-close", "close", "a trapped loss"])
def test_no_message_is_lost_at_the_end(reactor: WireReactor, kind: str, limit: int, how: str) -> None:
    """CONTRACT 2, 3: the end comes while the base class is paused in the middle of a piece: its messages come first."""
    base, callback, made = PIECES[kind]
    rows: list[Any] = []
    secure = SecureWire if how != "half-close" else Wire
    line = wire(noting(rows, 1), reactor, base, callback, kind=secure, limit=limit, trap=ConnectionLost)
    line.send(made(20))
    error = ConnectionLost("gone")
    if how == "half-close":
        line.readConnectionLost(None)  # type: ignore[arg-type]  # it may come while the transport is paused
        line.stopReading()
    elif how == "close":
        line.lose(ConnectionDone())
    else:
        line.lose(error)
    for _ in range(25):
        reactor.turn(1)
    assert rows == numbers(20) + ([error] if how == "a trapped loss" else [])
    line.finish()


def test_a_chain_that_ends_in_the_middle_of_a_piece(reactor: WireReactor) -> None:
    """CONTRACT 16: what the base class still had is dropped, counted once, and nothing hangs."""
    dropped: list[Any] = []

    def two(conn: Any) -> Generator[bytes]:
        rows = iter(conn)
        yield next(rows) + next(rows)

    line = wire(two, reactor, Int16StringReceiver, "stringReceived", limit=1, on_dropped=dropped.extend)
    line.send(prefixed(9))
    assert line.sent == b"01"
    line.send(prefixed(2)).finish()
    assert dropped == [*numbers(9)[2:], b"0", b"1"]


def test_a_callback_with_several_arguments(reactor: WireReactor) -> None:
    """R1: several arguments are a tuple, none an empty one; those called by keyword are put in order."""

    class Base(protocol.Protocol):
        def dataReceived(self, data: bytes) -> None:
            self.told(data, 2, last=3)
            self.told(b"", more=5, data=data)  # type: ignore[call-arg, misc]
            self.told()  # type: ignore[call-arg]

        def told(self, data: bytes, more: int = 0, last: int = 0) -> None:
            raise AssertionError("it is replaced")

    class Fine(Base):
        def dataReceived(self, data: bytes) -> None:
            self.told(data, 2, last=3)
            self.told(data=data)
            self.empty()

        def empty(self) -> None: ...

    rows: list[Any] = []
    made = flow.makeProtocol(noting(rows), Fine, "told", "empty")

    class Again(made):  # type: ignore[misc, valid-type]
        idle = None

    class Further(Again):
        limit = 5

    for kind in (made, Again, Further):
        rows.clear()
        Wire(kind, reactor).send(b"x").half_close().finish()
        assert rows == [("told", (b"x", 2, 3)), ("told", b"x"), ("empty", ())]


# --------------------------------------------------------------------------------------------------------------------
# Several callbacks


def test_several_callbacks_are_events(reactor: WireReactor) -> None:
    """CONTRACT 1, R1: rows of several callbacks come in one order, each with its name; raw mode switches in a piece."""
    rows: list[flow.Event] = []

    def controller(conn: Any) -> Generator[bytes]:
        for event in conn:
            rows.append(event)
            if event == flow.Event("lineReceived", b"raw"):
                conn.setRawMode()
            yield event.name[:1].encode()

    line = wire(controller, reactor, LineReceiver, "lineReceived", "rawDataReceived")
    line.send(b"one\r\nraw\r\ntwo\r\nthree", b"four\r\n")
    assert rows == [
        ("lineReceived", b"one"),
        ("lineReceived", b"raw"),
        ("rawDataReceived", b"two\r\nthree"),
        ("rawDataReceived", b"four\r\n"),
    ]
    name, row = rows[0]
    assert (name, row) == (rows[0].name, rows[0].row)
    assert line.sent == b"llrr"
    line.half_close().finish()


def test_raw_mode_with_a_slow_chain(reactor: WireReactor) -> None:
    """CONTRACT 2: with ``limit=1`` the base class stops after each row, so a slow chain may switch its mode, too.

    It must do so before it waits: while it works on a row, one more is on its way.
    """
    rows: list[Any] = []

    def controller(conn: Any) -> Generator[bytes]:
        for name, row in conn:
            rows.append((name[0], row))
            if row == b"raw":
                conn.setRawMode()
            elif row.endswith(b"."):
                conn.setLineMode(row[4:-1])
            flow.sleep(1)
        yield b"end"

    line = wire(controller, reactor, LineReceiver, "lineReceived", "rawDataReceived", limit=1)
    line.send(b"one\r\nraw\r\nbodytwo\r\n.")
    for _ in range(9):
        reactor.turn(1)
    assert rows == [("l", b"one"), ("l", b"raw"), ("r", b"bodytwo\r\n."), ("l", b"two")]
    line.half_close().finish()


def test_the_events_of_one_callback(reactor: WireReactor) -> None:
    """CONTRACT 1, 2: ``conn.events.x`` takes its rows away from `conn`, from when it is asked for; Merge joins them."""

    def told(conn: Any) -> flow.Stage[bytes]:
        events = conn.events
        assert events.lineReceived is events.lineReceived
        assert events.lineReceived.label.endswith(".events.lineReceived")
        with pytest.raises(AttributeError, match="no callback 'lineRecieved': it was made with lineReceived, rawData"):
            events.lineRecieved
        both: flow.Stage[bytes] = flow.Merge(
            events.lineReceived.map(lambda row: b"line %s;" % row),
            conn.map(lambda event: b"%s %s;" % (event.name.encode(), event.row)),
        )
        return both

    line = wire(told, reactor, LineReceiver, "lineReceived", "rawDataReceived").send(b"one\r\n")
    line.conn.setRawMode()
    line.send(b"two")
    assert line.sent == b"line one;rawDataReceived two;"
    line.half_close().finish()


def test_concurrent_events(reactor: WireReactor) -> None:
    """CONTRACT 8: Concurrent tells which callback has a row."""

    def told(conn: Any) -> Generator[bytes]:
        texts, raw = conn.events.lineReceived, conn.events.rawDataReceived
        for stage in flow.Concurrent(texts, raw):
            row = next(stage)
            if stage is texts and row == b"raw":
                conn.setRawMode()
            yield b"%s:%s;" % (b"line" if stage is texts else b"raw", row)

    line = wire(told, reactor, LineReceiver, "lineReceived", "rawDataReceived", limit=1)
    line.send(b"one\r\nraw\r\ntwo").send(b"three")
    assert line.sent == b"line:one;line:raw;raw:two;raw:three;"
    line.half_close().finish()


def test_events_after_the_end(reactor: WireReactor) -> None:
    """CONTRACT 3: the stage of a callback that is asked for after the end of the input is empty, and does not hang."""
    rows: list[Any] = []

    def late(conn: Any) -> Generator[bytes]:
        rows.extend(conn)
        rows.extend(conn.events.lineReceived)
        yield b"end"

    line = wire(late, reactor, LineReceiver, "lineReceived", "rawDataReceived").send(b"one\r\n")
    assert line.half_close().sent == b"end"
    assert rows == [("lineReceived", b"one")]
    line.finish()


# --------------------------------------------------------------------------------------------------------------------
# The base class's own life


class Counted(LineReceiver):
    """Says how its own methods were called."""

    def __init__(self, name: str, *, log: list[str]) -> None:
        self.log = log
        self.log.append(f"init {name}")

    def connectionMade(self) -> None:
        self.log.append("made")

    def connectionLost(self, reason: Any = protocol.connectionDone) -> None:
        self.log.append(f"lost {reason.type.__name__}")


def test_the_base_class_lives(reactor: WireReactor) -> None:
    """R1: ``__init__`` with a factory's arguments, connectionMade before the controller, connectionLost once."""
    log: list[str] = []

    def controller(conn: Any) -> Generator[bytes]:
        log.append("controller")
        yield from conn

    class Factory(protocol.Factory):
        protocol = flow.makeProtocol(controller, Counted, "lineReceived")

        def buildProtocol(self, addr: Any) -> Any:
            made = self.protocol("name", log=log)
            made.factory = self
            return made

    line = Wire(lambda: Factory().buildProtocol(None), reactor)
    assert log == ["init name", "made", "controller"]
    line.lose()
    assert log[3:] == ["lost ConnectionLost"]
    line.finish()


def test_a_base_class_that_fails_at_the_end(reactor: WireReactor) -> None:
    """CONTRACT 14: a connectionLost of the base class that raises does not keep the chain from being closed."""

    class Failing(protocol.Protocol):
        def connectionLost(self, reason: Any = protocol.connectionDone) -> None:
            raise ValueError("the base class fails")

    closed: list[str] = []

    def controller(conn: Any) -> Generator[bytes]:
        try:
            yield from conn
        finally:
            closed.append("closed")

    line = wire(controller, reactor, Failing)
    with pytest.raises(ValueError, match="the base class fails"):
        line.lose()
    assert closed == ["closed"]
    reactor.check()


def test_a_base_class_that_fails_at_the_beginning(reactor: WireReactor) -> None:
    """CONTRACT 14, 24: a connectionMade that raises reaches Twisted, no chain begins, and the loss leaves nothing."""

    class Failing(protocol.Protocol):
        def connectionMade(self) -> None:
            raise ValueError("the base class fails")

    class Producing(protocol.Protocol):
        def connectionMade(self) -> None:
            transport: Any = self.transport
            transport.registerProducer(self, True)

        def stopProducing(self) -> None: ...

    for base, error in ((Failing, ValueError), (Producing, RuntimeError)):
        conn = flow.makeProtocol(noting([]), base)()
        with pytest.raises(error):
            Wire(lambda conn=conn: conn, reactor)  # type: ignore[misc]
        conn.transport.lose()
        reactor.check()


def test_irc(reactor: WireReactor) -> None:
    """R1: several events of a client of IRC, with what the base class does by itself: login, nick, PING."""
    rows: list[Any] = []

    def controller(conn: Any) -> Generator[Any]:
        for event in conn:
            rows.append(event)
            match event:
                case ("signedOn", _):
                    yield "JOIN #flow"
                case ("joined", channel):
                    conn.say(channel, "hello")
                case ("privmsg", (user, channel, text)):
                    conn.msg(channel, f"{user.partition('!')[0]}: {text.upper()}")

    class Bot(IRCClient):
        nickname = "bot"
        lineRate = None
        heartbeatInterval = 60

    line = wire(controller, reactor, Bot, "signedOn", "joined", "privmsg", send="sendLine")
    assert b"NICK bot\r\n" in line.sent
    line.sent = b""
    line.send(b":srv 001 bot :Welcome\r\n:srv 376 bot :End of MOTD\r\nPING :x\r\n")
    assert line.sent == b"JOIN #flow\r\nPONG x\r\n"
    line.sent = b""
    line.send(b":bot!b@host JOIN #flow\r\n:amy!a@host PRIVMSG #flow :hi\r\n")
    assert line.sent == b"PRIVMSG #flow :hello\r\nPRIVMSG #flow :amy: HI\r\n"
    assert rows == [("signedOn", ()), ("joined", "#flow"), ("privmsg", ("amy!a@host", "#flow", "hi"))]
    line.lose()
    reactor.turn(60)
    line.finish()


# --------------------------------------------------------------------------------------------------------------------
# Classes


def upper(conn: Any) -> Generator[bytes]:
    for piece in conn:
        yield piece.upper()


def test_a_class_of_its_own(reactor: WireReactor) -> None:
    """``controller(self)``, and its class attributes, which a subclass may change."""

    class Shout(flow.Protocol):
        limit = 3
        idle = 60

        def controller(self) -> Any:
            assert isinstance(self, flow.Protocol)
            return upper(self)

    class Impatient(Shout):
        idle = 5

    assert Wire(Shout, reactor).send(b"one").half_close().finish().sent == b"ONE"
    line = Wire(Impatient, reactor)
    assert line.conn.flow_link.inbox.channel.limit == 3
    assert Shout.idle == 60
    reactor.turn(5)
    assert isinstance(line.conn.flow_link.gone.__cause__, TimeoutError)
    line.finish()


def test_a_class_with_a_base_behind_it(reactor: WireReactor) -> None:
    """LineReceiver as the second base: with its callback it gets the bytes first; without one they come as they are."""

    class Lines(flow.Protocol, LineReceiver):
        callbacks = "lineReceived"
        send = "sendLine"
        delimiter = b"\n"
        controller = upper

    class Pieces(flow.Protocol, LineReceiver):
        controller = upper

    class Both(flow.Protocol, LineReceiver):
        callbacks = ("lineReceived", "rawDataReceived")

        def controller(self) -> Generator[bytes]:
            for name, row in self:
                yield b"%s %s;" % (name[:4].encode(), row)

    assert Wire(Lines, reactor).send(b"one\ntwo\n").half_close().finish().sent == b"ONE\nTWO\n"
    assert Wire(Pieces, reactor).send(b"one\r\ntwo").half_close().finish().sent == b"ONE\r\nTWO"
    assert Wire(Both, reactor).send(b"one\r\ntwo\r\n").half_close().finish().sent == b"line one;line two;"


CONTROLLERS: dict[str, Any] = {
    "a function": upper,
    "a lambda": lambda conn: upper(conn),
    "a static method": staticmethod(upper),
    "a partial": partial(lambda word, conn: upper(conn), b"word"),
    "a class": type("Upper", (), {"__init__": lambda self, conn: None, "__iter__": lambda self: iter([b"ONE"])}),
}


@pytest.mark.parametrize("name", CONTROLLERS)
@pytest.mark.parametrize("where", ["the class", "the protocol"])
def test_a_controller_that_is_given(reactor: WireReactor, name: str, where: str) -> None:
    """2003's other way: ``Protocol.controller = f``, on the class or on one protocol."""

    class Given(flow.Protocol):
        pass

    def made() -> Any:
        conn: Any = Given()
        if where == "the protocol":
            conn.controller = getattr(CONTROLLERS[name], "__func__", CONTROLLERS[name])
        return conn

    if where == "the class":
        Given.controller = CONTROLLERS[name]  # type: ignore[method-assign]
    line = Wire(made, reactor)
    if name == "a class":
        assert line.sent == b"ONE"
    else:
        assert line.send(b"one").half_close().sent == b"ONE"
    line.finish()


def test_a_class_without_a_controller(reactor: WireReactor) -> None:
    """CONTRACT 17: the error names the method to write; logged once, and the connection is aborted."""
    with logged() as failures:
        line = Wire(flow.Protocol, reactor)
    assert [str(each).partition(":")[0] for each in failures] == ["Protocol has no controller"]
    line.finish()


@pytest.mark.parametrize(
    ("written", "error", "text"),
    [
        ({"callbacks": "lineRecieved"}, TypeError, "Did you mean 'lineReceived'"),
        ({"callbacks": ("lineReceived", "connectionLost")}, TypeError, "connectionLost"),
        ({"callbacks": "write"}, TypeError, "'write' can be no callback"),
        ({"send": "sendlines"}, TypeError, "Did you mean 'sendLine'"),
        ({"send": "write"}, TypeError, "'write' can be no callback, nor what sends rows"),
        ({"limit": 0}, ValueError, "limit"),
        ({"idle": -1}, ValueError, "idle"),
    ],
)
def test_a_class_that_is_wrong(written: Any, error: type[Exception], text: str) -> None:
    """CONTRACT 22: it is refused when the class is made."""
    with pytest.raises(error, match=text):
        type("Wrong", (flow.Protocol, LineReceiver), written)
