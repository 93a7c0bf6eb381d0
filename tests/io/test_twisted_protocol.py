"""flow.makeProtocol and flow.Protocol: what a controller may be, how it reads and writes, and what is refused.

What happens when a side is slow is in `test_twisted_pressure.py`, the ways to end in `test_twisted_ends.py`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Iterable, Iterator
from functools import partial
from typing import Any

import pytest

pytest.importorskip("twisted")

from twisted.internet import defer, protocol
from twisted.internet.error import ConnectionAborted
from twisted.internet.testing import StringTransport
from twisted.protocols.basic import LineReceiver

import flow

from .reactors import outcomes
from .wires import Wire, WireReactor, fired, logged, wire


def shout(rows: Iterable[bytes]) -> Generator[bytes]:
    for row in rows:
        yield row.upper()


# --------------------------------------------------------------------------------------------------------------------
# Controllers


def plain(conn: Any) -> Generator[bytes]:
    for piece in conn:
        yield piece.upper()


def classic(conn: Any) -> Generator[Any]:
    while True:
        yield conn
        try:
            piece = next(conn)
        except StopIteration:
            return
        yield piece.upper()


def classic_for(conn: Any) -> Generator[Any]:
    yield conn
    for piece in conn:
        yield piece.upper()
        yield conn


def iterator(conn: Any) -> Generator[bytes]:
    rows = iter(conn)
    try:
        while True:
            yield next(rows).upper()
    except StopIteration:
        return


async def asynchronous(conn: Any) -> AsyncIterator[bytes]:
    async for piece in conn:
        yield piece.upper()


class Shouting:
    def __init__(self, conn: Any) -> None:
        self.conn = conn

    def __iter__(self) -> Iterator[bytes]:
        return shout(self.conn)


def with_word(word: bytes, conn: Any) -> Generator[bytes]:
    assert word == b"word"
    yield from shout(conn)


CONTROLLERS: dict[str, Any] = {
    "a plain generator function": plain,
    "a classic generator function": classic,
    "a classic for": classic_for,
    "an iterator by hand": iterator,
    "an async generator function": asynchronous,
    "a stage": lambda conn: conn | shout,
    "a map": lambda conn: conn.map(bytes.upper),
    "a map of the standard library": lambda conn: map(bytes.upper, conn),
    "a generator": lambda conn: shout(conn),
    "a class with __iter__": Shouting,
    "a partial": partial(with_word, b"word"),
    "a partial of a keyword": partial(lambda conn, f: conn.map(f), f=bytes.upper),
}


@pytest.mark.parametrize("name", CONTROLLERS)
def test_an_echo(reactor: WireReactor, name: str) -> None:
    """CONTRACT 5, 30: pieces are answered as they come, in order, by a controller of each kind; then nothing is left.

    R4: 2003 called it as a method, and failed with classes.
    """
    line = wire(CONTROLLERS[name], reactor)
    assert line.conn.label == "Protocol(192.0.2.1:1234)"
    line.send(b"one,")
    assert line.sent == b"ONE,"
    assert line.send(b"two,", b"three").sent == b"ONE,TWO,THREE"
    line.half_close()
    assert line.sent == b"ONE,TWO,THREE"
    assert line.finish().reason.__class__.__name__ == "ConnectionDone"


@pytest.mark.parametrize("name", CONTROLLERS)
def test_a_loss_ends_each_kind(reactor: WireReactor, name: str) -> None:
    """CONTRACT 14, 30: whatever the controller is, a lost connection closes it, and nothing is left."""
    line = wire(CONTROLLERS[name], reactor).send(b"one")
    ended = fired(line.conn.notifyFinish())
    line.lose()
    assert [type(each).__name__ for each in ended] == ["ConnectionLost"]
    line.finish()


@pytest.mark.parametrize(
    "rows",
    [[b"hello ", b"world"], (b"hello ", b"world"), b"hello world", bytearray(b"hello world"), iter([b"hello world"])],
)
def test_rows_that_are_there_are_all_written(reactor: WireReactor, rows: Any) -> None:
    """CONTRACT 3, R2: a list, or bytes, is written to its end, then the connection is closed."""
    line = wire(lambda conn: rows, reactor)
    assert line.sent == b"hello world"
    assert line.write_closed
    line.finish()


def test_a_list_may_wait(reactor: WireReactor) -> None:
    """CONTRACT 5: a row before a Cooperate is written before it, those behind it after it."""
    line = wire(lambda conn: [b"now", flow.Cooperate(5), b"later"], reactor)
    assert line.sent == b"now"
    reactor.turn(4.9)
    assert line.sent == b"now"
    reactor.turn(0.1)
    assert line.sent == b"nowlater"
    line.finish()


def test_the_connection_itself(reactor: WireReactor) -> None:
    """The shortest echo: a controller that returns the connection."""
    line = wire(lambda conn: conn, reactor).send(b"one", b"two")
    assert line.sent == b"onetwo"
    line.half_close().finish()


def test_two_connections_share_nothing(reactor: WireReactor) -> None:
    """CONTRACT 7: each connection of a class is a stage, a run and a chain of its own."""
    made = flow.makeProtocol(plain)
    one, two = Wire(made, reactor), Wire(made, reactor)
    one.send(b"a")
    two.send(b"b")
    one.send(b"c")
    assert (one.sent, two.sent) == (b"AC", b"B")
    assert isinstance(one.conn, flow.Stage)
    one.lose()
    assert two.send(b"d").sent == b"BD"
    two.half_close().finish()


def test_it_may_wait_for_anything(reactor: WireReactor) -> None:
    """CONTRACT 8, 9: a Deferred, a sleep, and two of them beside the input: each is resumed by its own wait only."""
    answer: defer.Deferred[bytes] = defer.Deferred()

    def asks(conn: Any) -> Generator[Any]:
        yield flow.wait(answer)
        flow.sleep(5)
        yield next(iter(conn))
        got = yield flow.Deferred(flow.wrap([b"1", b"2"]), reactor=reactor)
        yield b"".join(got)

    line = wire(asks, reactor).send(b"there long before it is asked for")
    assert line.sent == b""
    answer.callback(b"fired;")
    reactor.turn()
    assert line.sent == b"fired;"
    reactor.turn(4)
    line.send(b"more")
    assert line.sent == b"fired;", "R5: a piece that arrives must not end a sleep"
    reactor.turn(1)
    assert line.sent == b"fired;there long before it is asked for12"
    line.finish()


def test_reading_twice(reactor: WireReactor) -> None:
    """CONTRACT 7: what arrives comes once; a second loop says so at once, and how to write it."""

    def twice(conn: Any) -> Generator[bytes]:
        for piece in conn:
            yield piece
            break
        with pytest.raises(flow.AlreadyReadError, match=r"rows = iter\(conn\)"):
            next(iter(conn))
        yield b"refused"

    line = wire(twice, reactor).send(b"one;")
    assert line.sent == b"one;refused"
    line.finish()


# --------------------------------------------------------------------------------------------------------------------
# Writing


def test_write_inside_and_outside(reactor: WireReactor) -> None:
    """CONTRACT 1: ``conn.write`` and what is yielded arrive in the order in which they were written."""

    def both(conn: Any) -> Generator[bytes]:
        yield b"1"
        conn.write(b"2")
        yield b"3"
        flow.sleep(1)
        conn.write(bytearray(b"5"))
        yield memoryview(b"6")  # type: ignore[misc]

    line = wire(both, reactor)
    line.conn.write(b"4")
    reactor.turn(1)
    assert line.sent == b"123456"
    line.finish()
    line.conn.write(b"7")
    assert line.sent == b"123456"
    assert not line.after_loss


@pytest.mark.parametrize(
    ("row", "text"), [("text", "yield row.encode"), (None, "NoneType"), (5, "int"), ([b"x"], "list")]
)
def test_what_is_no_bytes(reactor: WireReactor, row: Any, text: str) -> None:
    """CONTRACT 3, 17: a row that can't be written: a TypeError that says what to write, after the rows before it."""

    def yields(conn: Any) -> Generator[Any]:
        yield b"before"
        yield row
        yield b"never"

    with logged() as failures:
        line = wire(yields, reactor)
    (failure,) = failures
    assert isinstance(failure, TypeError)
    assert f"the controller yielded {type(row).__name__}" in str(failure)
    assert text in str(failure)
    assert line.sent == b"before"
    assert isinstance(line.finish().reason, ConnectionAborted)


def test_a_str_is_refused_where_it_is_written(reactor: WireReactor) -> None:
    """CONTRACT 17: ``conn.write`` of a str raises right there, inside and outside."""

    def writes(conn: Any) -> Generator[bytes]:
        with pytest.raises(TypeError, match="row.encode"):
            conn.write("text")
        yield b"went on"
        flow.sleep(1)

    line = wire(writes, reactor)
    with pytest.raises(TypeError, match="row.encode"):
        line.conn.write("text")
    assert line.sent == b"went on"
    reactor.turn(1)
    line.finish()


def test_the_last_rows_arrive_although_the_peer_goes_on_sending() -> None:
    """CONTRACT 30, R2: on real sockets, the last rows reach a peer that has sent more than anybody has read."""
    assert outcomes("select", "tests.io.scenarios_tcp", "the_last_rows_to_a_peer_that_goes_on_sending") == {}


# --------------------------------------------------------------------------------------------------------------------
# What is refused


@pytest.mark.parametrize("made", [None, "a coroutine"])
def test_a_controller_that_gives_nothing(reactor: WireReactor, made: Any) -> None:
    """CONTRACT 17: a controller that returns None, or a coroutine: an error that says what to write, logged once."""

    def nothing(conn: Any) -> None:
        return None

    async def coroutine(conn: Any) -> None:
        raise AssertionError("never begun")

    with logged() as failures:
        line = wire(nothing if made is None else coroutine, reactor)
    (failure,) = failures
    assert isinstance(failure, TypeError)
    kind = "NoneType" if made is None else "coroutine"
    assert f"must yield or return what is to be written, but it returned {kind}" in str(failure)
    assert "for row in conn" in str(failure)
    assert isinstance(line.finish().reason, ConnectionAborted)


def test_a_controller_that_can_not_be_wrapped(reactor: WireReactor) -> None:
    """CONTRACT 17: what flow.wrap refuses is refused with its words, logged once."""
    with logged() as failures:
        line = wire(lambda conn: 5, reactor)
    assert [type(each) for each in failures] == [TypeError]
    line.finish()


@pytest.mark.parametrize("bad", [None, 5, b"rows", [b"rows"]])
def test_a_controller_that_can_not_be_called(bad: Any) -> None:
    """CONTRACT 22: makeProtocol says at once that the controller is no function of a connection."""
    with pytest.raises(TypeError, match=r"makeProtocol\(controller\) must be a function of a connection"):
        flow.makeProtocol(bad)


@pytest.mark.parametrize("bad", ["lineReceived", None, protocol.Protocol()])
def test_a_base_that_is_no_class(bad: Any) -> None:
    """CONTRACT 22: a callback in the place of the base class, say."""
    with pytest.raises(TypeError, match="baseClass must be a class"):
        flow.makeProtocol(plain, bad)


def test_a_base_whose_names_clash() -> None:
    """CONTRACT 22: a base class that has a name which a connection needs: it is named, with the way out."""

    class Clashing(protocol.Protocol):
        def write(self, row: bytes) -> None: ...

        def events(self) -> None: ...

    with pytest.raises(TypeError, match=r"Clashing .*needs the names events, write for itself.* make it the base"):
        flow.makeProtocol(plain, Clashing)


@pytest.mark.parametrize(
    ("callbacks", "options", "text"),
    [
        (["lineRecieved"], {}, "no method 'lineRecieved' that could be called back. Did you mean 'lineReceived'?"),
        (["lineReceived", "rawDataRecieved"], {}, "Did you mean 'rawDataReceived'?"),
        (["lineReceived"], {"send": "sendline"}, "no method 'sendline'.* Did you mean 'sendLine'?"),
        (["MAX_LENGTH"], {}, "no method 'MAX_LENGTH'"),
        ([5], {}, "no method 5"),
        (["connectionLost"], {}, "connectionLost.*trap="),
        (["lineReceived", "connectionMade"], {}, "connectionMade"),
        (["makeConnection"], {}, "makeConnection"),
        (["lineReceived"], {"send": "connectionLost"}, "connectionLost"),
    ],
)
def test_names_that_are_wrong(callbacks: Any, options: Any, text: str) -> None:
    """CONTRACT 22, R1: a misspelt name, or one that flow needs for itself, is refused by the line that wrote it."""
    with pytest.raises(TypeError, match=text):
        flow.makeProtocol(plain, LineReceiver, *callbacks, **options)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"limit": 0}, ValueError, r"makeProtocol\(limit\) must be at least 1"),
        ({"limit": -1}, ValueError, "limit"),
        ({"limit": 1.5}, TypeError, "limit"),
        ({"limit": True}, TypeError, "limit"),
        ({"idle": -1}, ValueError, r"makeProtocol\(idle\) must be 0 or more"),
        ({"idle": float("nan")}, ValueError, "idle"),
        ({"idle": "5"}, TypeError, "idle"),
        ({"timeout": -0.1}, ValueError, r"makeProtocol\(timeout\)"),
        ({"timeout": True}, TypeError, "timeout"),
        ({"slice": -1}, ValueError, "slice"),
        ({"cleanup": float("nan")}, ValueError, "cleanup"),
        ({"on_dropped": 5}, TypeError, "on_dropped must be a function"),
        ({"trap": ValueError()}, TypeError, r"makeProtocol\(trap=...\) takes exception classes"),
        ({"trap": (ValueError, int)}, TypeError, "takes exception classes, not <class 'int'>"),
        ({"trap": 5}, TypeError, "takes exception classes, not 5"),
    ],
)
def test_limits_that_are_wrong(options: Any, error: type[Exception], text: str) -> None:
    """CONTRACT 22: a bad limit is refused by the line that wrote it: makeProtocol, a class, listen, connect."""
    with pytest.raises(error, match=text):
        flow.makeProtocol(plain, **options)
    with pytest.raises(error, match=text):
        flow.listen("tcp:0", plain, **options)
    with pytest.raises(error, match=text):
        flow.connect("tcp:127.0.0.1:1", plain, **options)
    written = {name: value for name, value in options.items() if name not in ("slice", "cleanup", "on_dropped")}
    if written:
        with pytest.raises(error, match=text):
            type("Written", (flow.Protocol,), written)


# --------------------------------------------------------------------------------------------------------------------
# A connection as an object


def test_what_a_connection_knows(reactor: WireReactor) -> None:
    """It is its factory's protocol and its transport's, and `reason` is None until it is lost."""
    known: list[Any] = []

    def looks(conn: Any) -> Generator[bytes]:
        known.extend([conn.transport, conn.factory, conn.reason])
        yield from conn

    factory: Any = protocol.Factory()
    factory.protocol = flow.makeProtocol(looks)
    line = Wire(lambda: factory.buildProtocol(None), reactor)
    assert known == [line, factory, None]
    line.lose()
    assert line.conn.reason.value is line.reason
    line.finish()


def test_before_there_is_a_connection() -> None:
    """CONTRACT 17: what needs the connection says so before there is one; a cancel then is a no-op."""
    conn = flow.makeProtocol(plain)()
    for early in (lambda: conn.write(b""), lambda: conn.events.dataReceived, conn.taken):
        with pytest.raises(flow.NotReadyError, match="no connection yet"):
            early()
    assert repr(conn).startswith("Protocol")
    conn.cancel()


def test_read_by_a_stranger(reactor: WireReactor) -> None:
    """CONTRACT 7, 13: a connection that its controller does not read may be read by another flow."""

    def only_writes(conn: Any) -> Generator[bytes]:
        flow.sleep(5)
        yield b"bye"

    line = wire(only_writes, reactor)
    rows = fired(flow.Deferred(line.conn.map(bytes.upper), reactor=reactor))
    reactor.turn()
    line.send(b"one", b"two").half_close()
    assert rows == [[b"ONE", b"TWO"]]
    reactor.turn(5)
    assert line.sent == b"bye"
    line.finish()


def test_a_string_transport(reactor: WireReactor) -> None:
    """Twisted's own transport for tests works, also where the controller ends while a resume is on its way."""

    def some(conn: Any) -> Generator[bytes]:
        rows = iter(conn)
        flow.sleep(1)
        for _ in range(9):
            yield next(rows)

    transport = StringTransport()
    conn = flow.makeProtocol(some, reactor=reactor)()
    conn.makeConnection(transport)
    for number in range(16):
        conn.dataReceived(b"%x" % number)
    assert transport.producerState == "paused"
    reactor.turn(1)
    assert transport.value() == b"012345678"
    assert transport.disconnecting
    conn.connectionLost(protocol.connectionDone)
    reactor.turn()
    reactor.check()


# --------------------------------------------------------------------------------------------------------------------
# The way of a piece


def test_a_piece_is_handed_to_the_chain_that_waits_for_it(reactor: WireReactor) -> None:
    """CONTRACT 4, 5: it is never held, and its answer is written before dataReceived returns."""
    line = wire(plain, reactor)
    link = line.conn.flow_link
    assert link.hand(b"one")
    assert (line.take(), link.inbox.channel.held) == (b"ONE", 0)
    line.send(b"two", b"three")
    assert line.take() == b"ONETWOTHREE"
    line.half_close().finish()


def test_a_piece_that_nobody_waits_for_is_held(reactor: WireReactor) -> None:
    """CONTRACT 1, 2: while the chain waits for something else, or has used up its slice, pieces keep their order."""

    def patient(conn: Any) -> Generator[bytes]:
        for piece in conn:
            flow.sleep(1)
            yield piece

    line = wire(patient, reactor)
    link = line.conn.flow_link
    assert link.hand(b"1")
    assert not link.hand(b"2")
    line.send(b"2", b"3")
    assert link.inbox.channel.held == 2
    for _ in range(3):
        reactor.turn(1)
    assert line.take() == b"123"

    link.run.loop.used = 1.0  # all of the slice
    assert link.hand(b"4")
    line.send(b"5")
    assert line.take() == b"123"
    for _ in range(4):
        reactor.turn(1)
    assert line.take() == b"12345"
    line.half_close().finish()


def test_a_piece_is_not_handed_where_a_row_may_be_for_another(reactor: WireReactor) -> None:
    """CONTRACT 1, 2: with several callbacks, or events, rows are tagged or sorted: each goes the long way."""
    line = wire(plain, reactor)
    assert line.conn.events.dataReceived is not None  # from here on it has a place of its own
    assert not line.conn.flow_link.hand(b"one")
    line.half_close().finish()
