"""Scenarios over TCP on 127.0.0.1, for `reactors.py`: what a peer may do to a connection, and what comes of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import Any

from twisted.internet import defer, endpoints, interfaces, protocol
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.protocols import policies
from zope.interface import implementer

import flow

from .reactors import expect, failures, pause, settled, until

HERE = "tcp:0:interface=127.0.0.1"
PIECE = 100_000


@implementer(interfaces.IHalfCloseableProtocol)
class Peer(protocol.Protocol):
    """The other end: a protocol of Twisted's own that notes what it gets."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.ended = False
        self.lost: BaseException | None = None

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def readConnectionLost(self) -> None:
        self.ended = True

    def writeConnectionLost(self) -> None:
        pass

    def connectionLost(self, reason: Any = protocol.connectionDone) -> None:
        self.lost = reason.value

    @property
    def wire(self) -> Any:
        return self.transport

    async def close(self) -> None:
        if self.lost is None:
            self.wire.loseConnection()
            await until(lambda: self.lost is not None, "the peer's own close")


class Pair:
    """A listening server with the controller, and a peer that is connected to it."""

    def __init__(self, server: flow.Server, peer: Peer) -> None:
        self.server = server
        self.peer = peer
        self.conn: Any = server.connections[0] if server.connections else None

    async def close(self) -> None:
        await self.peer.close()
        await self.server.close()


def client_of(server: flow.Server) -> Any:
    from twisted.internet import reactor

    chosen: Any = reactor
    return endpoints.TCP4ClientEndpoint(chosen, "127.0.0.1", server.getHost().port)


async def pair(controller: Callable[[Any], Any], *args: Any, **options: Any) -> Pair:
    server = await flow.listen(HERE, controller, *args, **options)
    peer: Any = await endpoints.connectProtocol(client_of(server), Peer())
    await until(lambda: server.connections or peer.data or peer.lost, "the connection")
    return Pair(server, peer)


def echo(conn: Any) -> Generator[bytes]:
    yield from conn


def watched(log: list[Any], wait: float = 0) -> Callable[[Any], Generator[bytes]]:
    """A controller that reads and answers, and notes how it was closed."""

    def controller(conn: Any) -> Generator[bytes]:
        try:
            for piece in conn:
                log.append(piece)
                yield piece
        except BaseException as error:
            log.append((type(error).__name__, type(error.__cause__).__name__))
            raise
        finally:
            flow.sleep(wait)
            log.append("closed")

    return controller


# --------------------------------------------------------------------------------------------------------------------


async def an_echo_of_flow_to_flow() -> None:
    """CONTRACT 1, 2: two flows talk, each in lock step with the other."""
    got: list[bytes] = []

    def asks(conn: Any) -> Generator[bytes]:
        rows = iter(conn)
        for number in range(100):
            yield b"%d;" % number
            heard = b""
            while not heard.endswith(b";"):
                heard += next(rows)
            got.append(heard)

    server = await flow.listen(HERE, echo)
    conn = await flow.connect(client_of(server), asks)
    assert got == [b"%d;" % number for number in range(100)]
    assert isinstance(conn.reason.value, ConnectionDone)
    await until(lambda: not server.connections, "the end of the server's connection")
    await server.close()


async def the_last_rows_to_a_peer_that_goes_on_sending() -> None:
    """CONTRACT 30: its bytes lie unread in the socket when the rows have all been written: no reset overtakes them."""

    def answers(conn: Any) -> Generator[bytes]:
        next(iter(conn))
        for number in range(20):
            yield bytes([number]) * PIECE

    found = await pair(answers, limit=1)
    for _ in range(200):
        found.peer.wire.write(b"x" * PIECE)
    await until(lambda: found.peer.ended or found.peer.lost, "the end of the rows")
    assert len(found.peer.data) == 20 * PIECE
    assert found.peer.data == b"".join(bytes([number]) * PIECE for number in range(20))
    assert found.peer.ended
    await found.close()


async def the_last_rows_to_a_peer_that_is_slow() -> None:
    """CONTRACT 30: a peer that reads nothing for a while gets all the rows, and then a clean end."""

    def answers(conn: Any) -> Generator[bytes]:
        for number in range(50):
            yield bytes([number]) * PIECE

    found = await pair(answers, cleanup=0.05)
    found.peer.wire.pauseProducing()
    await pause(0.2)
    found.peer.wire.resumeProducing()
    await until(lambda: found.peer.ended, "the end")
    assert len(found.peer.data) == 50 * PIECE
    await found.close()


async def a_half_close_ends_the_input() -> None:
    """CONTRACT 30: the peer shuts its side; the loop ends, and an answer of any length still arrives."""

    def counts(conn: Any) -> Generator[bytes]:
        size = sum(map(len, conn))
        yield b"%d;" % size
        for _ in range(30):
            yield b"y" * PIECE

    found = await pair(counts)
    found.peer.wire.write(b"x" * PIECE)
    found.peer.wire.loseWriteConnection()
    await until(lambda: found.peer.ended or found.peer.lost, "the end")
    assert found.peer.data == b"%d;" % PIECE + b"y" * 30 * PIECE
    await found.close()


async def a_reset_while_it_waits() -> None:
    """CONTRACT 14, 15, R5: the chain waits for its input: Cancelled there, its cause the loss; a finally may wait."""
    log: list[Any] = []
    found = await pair(watched(log, 0.02))
    found.peer.wire.write(b"one")
    await until(lambda: found.peer.data == b"one", "the echo")
    ended = found.conn.notifyFinish()
    found.peer.wire.abortConnection()
    try:
        await ended
        raise AssertionError("it did not fail")
    except ConnectionLost:
        pass
    assert log == [b"one", ("Cancelled", "ConnectionLost"), "closed"], log
    await found.server.close()


async def a_reset_while_rows_are_unread() -> None:
    """CONTRACT 16, R5: the chain sleeps over its rows: it is not resumed early, and rows not read are counted."""
    log: list[Any] = []
    dropped: list[bytes] = []

    def sleeps(conn: Any) -> Generator[bytes]:
        try:
            for piece in conn:
                log.append(piece)
                flow.sleep(3600)
                yield b"never"
        finally:
            log.append("closed")

    found = await pair(sleeps, on_dropped=dropped.extend)
    found.peer.wire.write(b"1")
    await until(lambda: log == [b"1"], "the first piece")
    found.peer.wire.write(b"2")
    await until(lambda: found.conn.flow_link.inbox.channel.held, "the second piece")
    ended = found.conn.notifyFinish()
    found.peer.wire.abortConnection()
    await until(lambda: found.peer.lost, "the reset")
    await defer.DeferredList([ended], consumeErrors=True)
    assert log == [b"1", "closed"]
    assert dropped == [b"2"]
    await found.server.close()


async def a_reset_during_a_write() -> None:
    """CONTRACT 30, R3, R5: the transport is full and the chain waits: it makes no row more, and is closed once."""
    made: list[Any] = []

    def endless(conn: Any) -> Generator[bytes]:
        try:
            while True:
                made.append(None)
                yield b"x" * PIECE
        finally:
            made.append("closed")

    found = await pair(endless)
    found.peer.wire.pauseProducing()
    await until(lambda: found.conn.flow_link.outbox.full, "a full transport")
    count = await settled(lambda: len(made))
    found.peer.wire.abortConnection()
    await until(lambda: not found.server.connections, "the end")
    assert made.count("closed") == 1
    assert len(made) <= count + 2, "it went on making rows after the loss"
    await found.server.close()


async def a_reader_that_stops() -> None:
    """CONTRACT 20, 21, R3: a chain that does not read: the sender is held back, and what is held stays bounded."""
    total = 0
    begun = False
    go_on: defer.Deferred[None] = defer.Deferred()

    def stops(conn: Any) -> Generator[bytes]:
        nonlocal total, begun
        rows = iter(conn)
        assert next(rows) == b"go"
        begun = True
        flow.wait(go_on)
        for piece in rows:
            total += len(piece)
        yield b"%d" % total

    found = await pair(stops)
    channel = found.conn.flow_link.inbox.channel
    transport = found.conn.transport
    found.peer.wire.write(b"go")
    await until(lambda: begun, "the first piece")
    found.peer.wire.write(b"x" * 200 * PIECE)
    found.peer.wire.loseWriteConnection()
    await until(lambda: channel.held == 16, "a full inbox")
    from twisted.internet import reactor

    chosen: Any = reactor
    assert await settled(lambda: len(found.peer.wire.dataBuffer)) > 50 * PIECE, "the sender was not held back"
    assert channel.held == 16
    assert transport not in chosen.getReaders()
    go_on.callback(None)
    await until(lambda: found.peer.ended, "the answer")
    assert found.peer.data == b"%d" % (200 * PIECE)
    assert channel.peak == 16
    await found.close()


async def a_peer_that_stops_reading() -> None:
    """CONTRACT 21, R3: the generator stops; when the peer reads on it goes on, and all arrives in order."""
    made = 0

    def counts(conn: Any) -> Generator[bytes]:
        nonlocal made
        for made in range(150):
            yield bytes([made]) * PIECE

    found = await pair(counts)
    found.peer.wire.pauseProducing()
    assert await settled(lambda: made) < 120, "it wrote more than the sockets can hold"
    assert len(found.conn.transport.dataBuffer) <= 3 * PIECE
    found.peer.wire.resumeProducing()
    await until(lambda: found.peer.ended, "all rows")
    assert found.peer.data == b"".join(bytes([number]) * PIECE for number in range(150))
    await found.close()


async def rows_pulled_one_by_one() -> None:
    """CONTRACT 21: ``streaming=False``, with an empty row among them: all arrive."""

    def some(conn: Any) -> Generator[bytes]:
        yield b"a"
        yield b""
        yield b"b" * PIECE
        yield b"c"

    found = await pair(some, streaming=False)
    await until(lambda: found.peer.ended, "the end")
    assert found.peer.data == b"a" + b"b" * PIECE + b"c"
    await found.close()


async def a_failure_resets_after_the_rows() -> None:
    """CONTRACT 3, R6: all rows before the failure arrive, however many; then a reset; logged once."""

    def fails(conn: Any) -> Generator[bytes]:
        for number in range(40):
            yield bytes([number]) * PIECE
        raise ValueError("the controller fails")

    for slow in (0.0, 0.1):
        found = await pair(fails)
        if slow:
            found.peer.wire.pauseProducing()
            await pause(slow)
            found.peer.wire.resumeProducing()
        await until(lambda found=found: found.peer.lost, "the reset")
        assert len(found.peer.data) == 40 * PIECE, len(found.peer.data)
        assert type(found.peer.lost) is ConnectionLost
        expect(ValueError)
        await found.server.close()


async def a_failure_with_a_peer_that_never_reads() -> None:
    """CONTRACT 15, 30: after `cleanup` seconds the connection is aborted all the same."""

    def fails(conn: Any) -> Generator[bytes]:
        yield b"x" * 200 * PIECE
        raise ValueError("never begun")

    found = await pair(fails, idle=0.2, cleanup=0.1)
    found.peer.wire.pauseProducing()
    await until(lambda: not found.server.connections, "the end", 5)
    failures.clear()
    await found.close()

    def writes(conn: Any) -> Generator[bytes]:
        conn.transport.write(b"x" * 200 * PIECE)
        raise ValueError("after a write past the chain")
        yield

    found = await pair(writes, cleanup=0.1)
    found.peer.wire.pauseProducing()
    await until(lambda: not found.server.connections, "the end", 5)
    expect(ValueError)
    await found.close()


async def a_peer_that_never_closes() -> None:
    """CONTRACT 30: after our end the peer has `cleanup` seconds to close its side; then it is closed."""
    found = await pair(lambda conn: [b"bye"], cleanup=0.1)
    await until(lambda: found.peer.ended, "the end of the rows")
    ended = found.conn.notifyFinish() if found.conn else None
    assert found.peer.lost is None
    if ended is not None:
        assert await ended is found.conn
    await until(lambda: not found.server.connections, "the deadline")
    await found.close()


async def idle_and_timeout() -> None:
    """CONTRACT 30: a slow loris is cut off by each of them; the reason is a TimeoutError."""
    for options in ({"idle": 0.3}, {"timeout": 0.3}):
        log: list[Any] = []
        found = await pair(watched(log), **options)
        found.peer.wire.write(b"G")
        try:
            await found.conn.notifyFinish()
            raise AssertionError("it did not fail")
        except TimeoutError:
            pass
        await until(lambda found=found: found.peer.lost, "the reset")
        assert log == [b"G", ("Cancelled", "TimeoutError"), "closed"], log
        await found.server.close()


async def a_chain_that_waits_for_another() -> None:
    """CONTRACT 9: a controller opens a connection of its own and waits for it, as a proxy does."""
    server = await flow.listen(HERE, lambda conn: conn.map(bytes.upper))

    def forwards(conn: Any) -> Generator[Any]:
        for piece in conn:

            def asks(inner: Any, piece: bytes = piece) -> Generator[bytes]:
                yield piece
                conn.write(next(iter(inner)))

            yield flow.connect(client_of(server), asks)

    found = await pair(forwards)
    found.peer.wire.write(b"hello")
    await until(lambda: found.peer.data == b"HELLO", "the answer")
    await found.close()
    await server.close()


class Wrapped:
    """An endpoint whose connections have a wrapper of Twisted's around their transport, as for throttling."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint

    def listen(self, factory: Any) -> Any:
        from twisted.internet import reactor

        chosen: Any = reactor
        return endpoints.serverFromString(chosen, self._endpoint).listen(policies.WrappingFactory(factory))


async def a_wrapped_transport() -> None:
    """CONTRACT 3, 30: a protocol wrapper between flow and the socket: echo, last rows, a failure after many rows."""
    many = b"".join(bytes([number]) * PIECE for number in range(30))

    def serves(conn: Any) -> Generator[bytes]:
        rows = iter(conn)
        row = next(rows)
        yield row
        yield many
        if row == b"fail":
            raise ValueError("the controller fails")

    server = await flow.listen(Wrapped(HERE), serves)
    for row in (b"end", b"fail"):
        peer: Any = await endpoints.connectProtocol(client_of(server), Peer())
        peer.wire.write(row)
        await until(lambda peer=peer: peer.ended or peer.lost, "the end")
        assert peer.data == row + many, (row, len(peer.data))
        assert type(peer.lost) is (ConnectionLost if row == b"fail" else type(None)), peer.lost
        await peer.close()
    expect(ValueError)
    await until(lambda: not server.connections, "the ends of the server's connections")
    await server.close()


SCENARIOS: list[Callable[[], Awaitable[None]]] = [
    an_echo_of_flow_to_flow,
    the_last_rows_to_a_peer_that_goes_on_sending,
    the_last_rows_to_a_peer_that_is_slow,
    a_half_close_ends_the_input,
    a_reset_while_it_waits,
    a_reset_while_rows_are_unread,
    a_reset_during_a_write,
    a_reader_that_stops,
    a_peer_that_stops_reading,
    rows_pulled_one_by_one,
    a_failure_resets_after_the_rows,
    a_failure_with_a_peer_that_never_reads,
    a_peer_that_never_closes,
    idle_and_timeout,
    a_chain_that_waits_for_another,
    a_wrapped_transport,
]
