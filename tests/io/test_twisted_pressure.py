"""Connections of Twisted when one side is slow: what is held has a bound, and a full place holds its producer back.

CONTRACT 20, 21 and 30, and R3 (2003 wrote without a bound, and never paused a transport), to the exact row: time and
the peer's room are the test's.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

pytest.importorskip("twisted")

from twisted.internet import interfaces
from twisted.internet.error import ConnectionDone
from twisted.protocols.basic import LineReceiver
from zope.interface.verify import verifyObject

import flow

from .wires import BUFFER, Wire, WireReactor, fired, wire

PIECE = b"x" * 1000


def one_a_second(conn: Any) -> Generator[bytes]:
    for piece in conn:
        flow.sleep(1)
        yield piece


# --------------------------------------------------------------------------------------------------------------------
# In


@pytest.mark.parametrize(("options", "limit"), [({}, 16), ({"limit": 1}, 1), ({"limit": 5}, 5)])
def test_the_transport_is_paused_at_the_limit(reactor: WireReactor, options: Any, limit: int) -> None:
    """CONTRACT 20, 21, R3: it stops reading when `limit` pieces are held, and goes on when half of the room is free."""
    line = wire(one_a_second, reactor, **options)
    channel = line.conn.flow_link.inbox.channel
    taken = line.offer([b"%d," % number for number in range(100)])
    assert taken == limit + 1, "one is being worked on, and `limit` wait"
    assert channel.held == channel.peak == limit
    held = []
    for _ in range(limit):
        reactor.turn(1)
        held.append((channel.held, line.reading))
    assert all(reading == (count * 2 <= limit) for count, reading in held), held
    assert line.pauses == 1
    for number in range(taken, 100):
        while not line.reading:
            reactor.turn(1)
        line.send(b"%d," % number)
    while not line.reading:
        reactor.turn(1)
    line.half_close()
    for _ in range(limit + 1):
        reactor.turn(1)
    assert line.sent == b"".join(b"%d," % number for number in range(100))
    assert channel.peak == limit
    line.finish()


def test_a_controller_that_does_not_read(reactor: WireReactor) -> None:
    """CONTRACT 21: what arrives while nobody reads is held to the limit; at the end it is counted."""
    dropped: list[bytes] = []

    def only_writes(conn: Any) -> Generator[bytes]:
        yield b"hello"
        flow.sleep(5)

    line = wire(only_writes, reactor, on_dropped=dropped.extend)
    assert line.offer([b"%d" % number for number in range(30)]) == 16
    reactor.turn(5)
    assert line.reading, "the peer's own close is behind what it sent"
    line.send(b"16", b"17").finish()
    assert dropped == [b"%d" % number for number in range(18)]


def test_messages_hold_more(reactor: WireReactor) -> None:
    """CONTRACT 20: messages are held to 256; a base class that can be paused stops in the middle of a piece."""
    line = wire(one_a_second, reactor, LineReceiver, "lineReceived")
    channel = line.conn.flow_link.inbox.channel
    line.send(b"".join(b"%d\r\n" % number for number in range(1000)))
    assert (channel.held, channel.peak) == (256, 256)
    assert not line.reading
    for _ in range(1000):
        reactor.turn(1)
    assert channel.peak == 256
    assert line.sent == b"".join(b"%d" % number for number in range(1000))
    line.half_close().finish()


def test_each_callback_has_its_own_limit(reactor: WireReactor) -> None:
    """CONTRACT 20, 21: the transport reads on when none of the stages of the callbacks is full any more."""
    rows: list[Any] = []

    def controller(conn: Any) -> Generator[bytes]:
        texts, raw = iter(conn.events.lineReceived), iter(conn.events.rawDataReceived)
        for seconds, stage in ((1, texts), (1, raw), (1, texts), (1, raw)):
            flow.sleep(seconds)
            rows.append(next(stage))
        yield b"end"

    line = wire(controller, reactor, LineReceiver, "lineReceived", "rawDataReceived", limit=1)
    conn = line.conn
    conn.lineReceived(b"a")
    conn.rawDataReceived(b"b")
    assert not line.reading
    reactor.turn(1)
    assert (rows, line.reading) == ([b"a"], False), "the other one is still full"
    reactor.turn(1)
    assert (rows, line.reading) == ([b"a", b"b"], True)
    conn.lineReceived(b"c")
    conn.rawDataReceived(b"d")
    reactor.turn(1)
    reactor.turn(1)
    assert rows == [b"a", b"b", b"c", b"d"]
    line.finish()


def test_it_is_paused_again_before_it_goes_on(reactor: WireReactor) -> None:
    """CONTRACT 21: a row that comes between "go on" and the reactor's next turn fills it again: no resume is lost."""
    line = wire(one_a_second, reactor, limit=1).send(b"1", b"2")
    conn = line.conn
    assert not line.reading
    reactor.advance(1)  # it takes the second row; the transport is to go on in the next turn
    conn.dataReceived(b"3")
    reactor.turn()
    assert not line.reading
    reactor.turn(1)
    assert line.reading
    reactor.turn(2)
    assert line.sent == b"123"
    line.half_close().finish()


# --------------------------------------------------------------------------------------------------------------------
# Out


def test_the_chain_stops_while_the_transport_is_full(reactor: WireReactor) -> None:
    """CONTRACT 21, R3: a peer that takes nothing: no row is made beyond the one that filled the buffer."""
    made = []

    def endless(conn: Any) -> Generator[bytes]:
        while True:
            made.append(None)
            yield PIECE

    line = wire(endless, reactor, room=0)
    wanted = BUFFER // len(PIECE) + 1
    assert len(made) == wanted
    assert line.buffered == wanted * len(PIECE)
    reactor.turn(60)
    line.take(wanted * len(PIECE) - 1)
    assert len(made) == wanted, "not before the buffer is empty"
    line.take(1)
    assert len(made) == 2 * wanted
    assert line.buffered <= BUFFER + len(PIECE)
    ended = fired(line.conn.notifyFinish())
    line.lose().finish()
    assert len(ended) == 1
    assert len(made) == 2 * wanted, "R5: a row was made after the loss"


def test_the_producer_is_registered_as_long_as_there_is_a_chain(reactor: WireReactor) -> None:
    """CONTRACT 21, 30: flow is the transport's producer until the chain has ended; what was written is then sent."""

    def some(conn: Any) -> Generator[bytes]:
        yield next(iter(conn))
        conn.transport.write(PIECE * 100)  # past the chain

    line = wire(some, reactor, room=0)
    verifyObject(interfaces.IPushProducer, line.producer)
    verifyObject(interfaces.IPullProducer, line.producer)
    assert line.streamingProducer
    line.send(b"first,")
    assert line.producer is None
    assert not line.write_closed
    assert line.take(7) == b"first,x"
    assert not line.write_closed
    assert line.take() == b"first," + PIECE * 100
    assert line.write_closed
    line.finish()


def test_rows_are_pulled(reactor: WireReactor) -> None:
    """CONTRACT 21: ``streaming=False``: one row each time that the transport asks; an empty one does not count."""
    made = []

    def counts(conn: Any) -> Generator[Any]:
        for number in range(6):
            made.append(number)
            yield bytes([65 + number])
        yield from (b"", bytearray(), memoryview(b""))
        yield b"end"

    line = wire(counts, reactor, streaming=False, room=0)
    assert not line.streamingProducer
    assert made == [0]
    for number in range(1, 6):
        line.take(1)
        assert made == list(range(number + 1))
    line.take(1)
    assert line.take() == b"ABCDEFend"
    line.finish()


def test_lines_are_pulled(reactor: WireReactor) -> None:
    """CONTRACT 21: with `send`, too, and an empty line is one."""
    line = wire(
        lambda conn: [b"a", b"", b"b"], reactor, LineReceiver, "lineReceived", send="sendLine", streaming=False, room=0
    )
    assert line.buffered == 3
    assert line.take() == b"a\r\n\r\nb\r\n"
    line.finish()


def test_write_waits_inside(reactor: WireReactor) -> None:
    """CONTRACT 21: ``conn.write`` in the chain waits as a yield does; from outside it can't, and adds to the buffer."""
    steps = []

    def writes(conn: Any) -> Generator[bytes]:
        for number in range(3):
            conn.write(PIECE * 100)
            steps.append(number)
        yield b"end"

    line = wire(writes, reactor, room=0)
    assert steps == []
    line.conn.write(b"outside,")
    assert line.buffered == 100_008
    line.take(100_007)
    assert steps == []
    line.take(1)
    assert steps == [0]
    assert line.take() == PIECE * 100 + b"outside," + PIECE * 200 + b"end"
    line.finish()


@pytest.mark.parametrize("streaming", [True, False])
def test_several_branches_write(reactor: WireReactor, streaming: bool) -> None:
    """CONTRACT 8, 21: branches that wait to write go on one by one, each while there is room: none is forgotten."""

    def branch(conn: Any, name: bytes) -> Generator[bytes]:
        for _ in range(3):
            conn.write(name * 70_000)
        yield name

    def branches(conn: Any) -> flow.Stage[bytes]:
        return flow.Merge(*(branch(conn, name) for name in (b"a", b"b", b"c")))

    line = wire(branches, reactor, room=0, streaming=streaming)
    most = 0
    for _ in range(9):
        most = max(most, line.buffered)
        line.take(70_000)
    assert most <= 70_003, "more than one went on at a time"
    line.take()
    assert sorted(line.sent) == sorted(b"abc" * 210_001)
    line.finish()


def test_a_branch_is_given_up_while_others_wait(reactor: WireReactor) -> None:
    """CONTRACT 8, 16: resuming one branch may end another one that waits, and must not skip a third."""

    def controller(conn: Any) -> Any:
        def fails(_: Any) -> Generator[bytes]:
            conn.write(b"f" * 70_000)
            raise ValueError("a branch fails")
            yield b""

        def sibling(_: Any) -> Generator[bytes]:
            conn.write(b"never")
            yield b""

        def pair() -> Generator[bytes]:
            try:
                yield from flow.Merge(flow.wrap([1]) | fails, flow.wrap([1]) | sibling)
            except ValueError:
                yield b""

        def third() -> Generator[bytes]:
            conn.write(b"third")
            yield b"."

        return flow.Merge(pair, third)

    line = wire(controller, reactor, room=0)
    line.take()
    assert line.sent == b"f" * 70_000 + b"third."
    line.finish()


def test_a_transport_without_producers(reactor: WireReactor) -> None:
    """A transport that knows no producers takes everything, pulled or not."""

    class Bare:
        def __init__(self) -> None:
            self.sent = b""
            self.closed = False
            self.reactor = reactor

        def write(self, row: bytes) -> None:
            self.sent += row

        def loseConnection(self) -> None:
            self.closed = True

    for streaming in (True, False):
        bare = Bare()
        conn = flow.makeProtocol(lambda conn: [b"a", b"b"], streaming=streaming)()
        conn.makeConnection(bare)
        reactor.turn()
        assert (bare.sent, bare.closed) == (b"ab", True)
        conn.connectionLost()
        failing: Any = flow.makeProtocol(lambda conn: [b"a", "b"], streaming=streaming)()
        bare = Bare()
        told = fired(failing.notifyFinish())
        failing.makeConnection(bare)
        assert (bare.sent, bare.closed) == (b"a", True)
        failing.connectionLost()
        assert isinstance(told[0], TypeError)
    reactor.check()


def test_both_sides_are_slow(reactor: WireReactor) -> None:
    """CONTRACT 20, 21: an echo whose peer reads nothing stops reading itself: little more than two buffers are held."""
    line = wire(lambda conn: conn, reactor, room=0)
    channel = line.conn.flow_link.inbox.channel
    pieces = [bytes([number]) * 50_000 for number in range(100)]
    taken = line.offer(pieces)
    assert taken == 16 + 2
    assert line.buffered == 100_000
    assert channel.peak == 16
    while taken < 100:
        line.take(50_000)
        taken += line.offer(pieces[taken:])
        assert line.buffered <= BUFFER + 50_000
    line.take()
    assert line.sent == b"".join(pieces)
    assert channel.peak == 16
    line.half_close().finish()


def test_it_is_fair(reactor: WireReactor) -> None:
    """CONTRACT 10: an endless writer, with a peer that takes all, gives the reactor its turns."""

    def endless(conn: Any) -> Generator[bytes]:
        while True:
            yield b"x"

    conn = flow.makeProtocol(endless)()
    line = Wire.__new__(Wire)
    turns = []
    reactor.callLater(0, turns.append, "first")
    reactor.turn = lambda seconds=0: None  # type: ignore[method-assign]  # it never becomes quiet
    line.__init__(lambda: conn, reactor)  # type: ignore[misc]
    for _ in range(3):
        reactor.advance(0)
    assert turns == ["first"]
    reactor.callLater(0, turns.append, "second")
    for _ in range(3):
        reactor.advance(0)
    assert turns == ["first", "second"]
    conn.cancel()
    reactor.advance(0)
    reactor.advance(0)
    assert line.disconnected
    reactor.check()


def test_a_flood_is_fair(reactor: WireReactor) -> None:
    """CONTRACT 2, 10: more pieces than a slice lets through are read in later turns, all of them and in order."""
    line = wire(lambda conn: conn | digested, reactor, limit=5)
    line.offer([b"%d," % number for number in range(3000)])
    line.half_close()
    assert line.sent == b"%d" % sum(range(3000))
    line.finish()


def digested(rows: Any) -> Generator[bytes]:
    yield b"%d" % sum(int(row[:-1]) for row in rows)


def test_a_clean_loss_while_the_transport_is_full(reactor: WireReactor) -> None:
    """CONTRACT 30: rows that came are read, also by a chain that waited to write; its next write raises."""
    read: list[bytes] = []

    def controller(conn: Any) -> Generator[bytes]:
        rows = iter(conn)
        next(rows)
        conn.write(PIECE * 100)
        read.extend(rows)
        with pytest.raises(flow.Cancelled) as raised:
            conn.write(b"to nobody")
        assert isinstance(raised.value.__cause__, ConnectionDone)
        read.append(b"refused")
        yield b"to nobody"

    line = wire(controller, reactor, room=0).send(b"1", b"2", b"3")
    ended = fired(line.conn.notifyFinish())
    line.lose(ConnectionDone()).finish()
    assert read == [b"2", b"3", b"refused"]
    assert [type(each) for each in ended] == [ConnectionDone]
