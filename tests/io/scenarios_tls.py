"""Scenarios for `reactors.py` over TLS: it ends with a message, and has buffers and a handshake of its own."""

from __future__ import annotations

import datetime
import warnings
from collections.abc import Awaitable, Callable, Generator
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from twisted.internet import defer, endpoints, protocol, ssl
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.protocols.basic import LineReceiver

import flow

from .reactors import expect, pause, settled, until
from .scenarios_endpoints import failing, reactor_here
from .scenarios_tcp import HERE, PIECE, Pair, Peer, client_of, echo, watched

warnings.filterwarnings("ignore", "Passing pyOpenSSL", DeprecationWarning)  # as Twisted does, at every handshake


@cache
def certificate() -> Any:
    """A certificate for "localhost", signed by itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    begin = datetime.datetime(2020, 1, 1)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begin)
        .not_valid_after(begin.replace(year=2100))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return ssl.PrivateCertificate.loadPEM(made.public_bytes(serialization.Encoding.PEM) + private)


def trust() -> Any:
    return ssl.optionsForClientTLS("localhost", trustRoot=certificate())


def client_over_tls(server: flow.Server) -> Any:
    return endpoints.wrapClientTLS(trust(), client_of(server))


async def listen(controller: Callable[[Any], Any], *args: Any, **options: Any) -> flow.Server:
    endpoint = endpoints.SSL4ServerEndpoint(reactor_here(), 0, certificate().options(), interface="127.0.0.1")
    return await flow.listen(endpoint, controller, *args, **options)


async def pair(controller: Callable[[Any], Any], *args: Any, **options: Any) -> Pair:
    """A server with the controller, and a peer; the handshake is done."""
    server = await listen(controller, *args, **options)
    peer: Any = await endpoints.connectProtocol(client_over_tls(server), Peer())
    await until(lambda: peer.lost or (server.connections and shaken(peer)), "the handshake")
    return Pair(server, peer)


def shaken(peer: Peer) -> bool:
    return bool(peer.wire._handshakeDone)


def socket_of(peer: Peer) -> Any:
    """The transport under the peer's TLS."""
    return peer.wire.transport


# --------------------------------------------------------------------------------------------------------------------


async def an_echo_of_flow_to_flow() -> None:
    """CONTRACT 1, 2: two flows talk, then the client closes: both ends end well."""
    got: list[bytes] = []

    def asks(conn: Any) -> Generator[bytes]:
        rows = iter(conn)
        for number in range(20):
            yield b"%d;" % number
            got.append(next(rows))

    log: list[Any] = []
    server = await listen(watched(log))
    conn = await flow.connect(client_over_tls(server), asks)
    assert got == [b"%d;" % number for number in range(20)]
    assert type(conn.reason.value) is ConnectionDone, conn.reason
    await until(lambda: not server.connections, "the end of the server's connection")
    assert log == [*got, "closed"], log
    await server.close()


async def the_peer_closes() -> None:
    """CONTRACT 3, 30: the peer's close is the end of the input, and a clean loss: a last write finds nobody."""
    log: list[Any] = []

    def reads(conn: Any) -> Generator[bytes]:
        for row in conn:
            log.append(row)
            yield row
        log.append("end")

    found = await pair(reads)
    found.peer.wire.write(b"hello")
    await until(lambda: found.peer.data == b"hello", "the echo")
    ended = found.conn.notifyFinish()
    await found.peer.close()
    assert await ended is found.conn
    assert log == [b"hello", "end"]
    assert type(found.conn.reason.value) is ConnectionDone
    await found.close()


async def we_close() -> None:
    """CONTRACT 3, 30: last rows, few and many, to a peer that is fast, slow, or goes on sending; then a clean close."""

    def answers(conn: Any) -> Generator[bytes]:
        next(iter(conn))
        for number in range(30):
            yield bytes([number]) * PIECE

    wanted = b"".join(bytes([number]) * PIECE for number in range(30))
    for how in ("fast", "slow", "sending"):
        found = await pair(answers, limit=1)
        found.peer.wire.write(b"go")
        if how == "slow":
            socket_of(found.peer).pauseProducing()
            await pause(0.05)
            socket_of(found.peer).resumeProducing()
        elif how == "sending":
            for _ in range(30):
                found.peer.wire.write(b"x" * PIECE)
        await until(lambda found=found: found.peer.lost, f"the end: {how}")
        assert len(found.peer.data) == len(wanted), (how, len(found.peer.data))
        assert found.peer.data == wanted
        assert type(found.peer.lost) is ConnectionDone, (how, found.peer.lost)
        await until(lambda found=found: not found.server.connections, "the end of the connection")
        await found.close()


async def it_ends_before_the_handshake() -> None:
    """CONTRACT 30: rows of a controller that has ended at once wait for the handshake, and arrive."""
    server = await listen(lambda conn: [b"bye"])
    peer: Any = await endpoints.connectProtocol(client_over_tls(server), Peer())
    await until(lambda: peer.lost, "the end")
    assert peer.data == b"bye", (peer.data, peer.lost)
    assert type(peer.lost) is ConnectionDone, peer.lost
    await until(lambda: not server.connections, "the end of the connection")
    await server.close()


async def it_fails_before_the_handshake() -> None:
    """CONTRACT 3, R6: and rows before a failure do, too; then the connection is aborted."""

    def fails(conn: Any) -> Generator[bytes]:
        yield b"row"
        raise ValueError("the controller fails")

    server = await listen(fails)
    peer: Any = await endpoints.connectProtocol(client_over_tls(server), Peer())
    await until(lambda: peer.lost, "the end")
    assert peer.data == b"row", (peer.data, peer.lost)
    assert type(peer.lost) is not ConnectionDone
    expect(ValueError)
    await server.close()


async def a_failure_resets_after_the_rows() -> None:
    """CONTRACT 3, R6: all rows before the failure arrive; then no clean close; logged once."""

    def fails(conn: Any) -> Generator[bytes]:
        next(iter(conn))
        for number in range(40):
            yield bytes([number]) * PIECE
        raise ValueError("the controller fails")

    for slow in (0.0, 0.05):
        found = await pair(fails)
        found.peer.wire.write(b"go")
        if slow:
            socket_of(found.peer).pauseProducing()
            await pause(slow)
            socket_of(found.peer).resumeProducing()
        await until(lambda found=found: found.peer.lost, "the reset")
        assert len(found.peer.data) == 40 * PIECE, len(found.peer.data)
        assert type(found.peer.lost) is ConnectionLost
        expect(ValueError)
        await found.close()


async def a_peer_that_does_not_answer_the_close() -> None:
    """CONTRACT 15, 30: after `cleanup` seconds the socket under TLS is closed without the peer's answer."""

    def ends(conn: Any) -> Generator[bytes]:
        yield next(iter(conn))

    found = await pair(ends, cleanup=0.1)
    found.peer.wire.write(b"go")
    await until(lambda: not found.peer.wire._tlsConnection.want_read() or found.server.connections, "the handshake")
    socket_of(found.peer).pauseProducing()
    await until(lambda: not found.server.connections, "the deadline", 5)
    socket_of(found.peer).resumeProducing()
    await until(lambda: found.peer.lost, "the end")
    assert found.peer.data == b"go"
    await found.close()


async def a_close_in_the_same_piece_as_the_lines() -> None:
    """CONTRACT 2, 21: the peer writes lines and closes; a slow chain gets all of them, after the loss."""
    lines: list[bytes] = []

    def slow(conn: Any) -> Generator[bytes]:
        for line in conn:
            lines.append(line)
            flow.sleep(0.001)
        return
        yield

    found = await pair(slow, LineReceiver, "lineReceived", limit=2)
    ended = found.conn.notifyFinish()
    found.peer.wire.write(b"".join(b"%d\r\n" % number for number in range(50)))
    found.peer.wire.loseConnection()
    assert await ended is found.conn
    assert lines == [b"%d" % number for number in range(50)]
    await found.close()


async def backpressure() -> None:
    """CONTRACT 20, 21, R3: a reader that stops holds the sender back, a peer that stops the generator."""
    made = 0
    go_on: defer.Deferred[None] = defer.Deferred()

    def endless(conn: Any) -> Generator[bytes]:
        nonlocal made
        flow.wait(go_on)
        while True:
            made += 1
            yield b"x" * PIECE

    found = await pair(endless, limit=4)
    channel = found.conn.flow_link.inbox.channel
    found.peer.wire.write(b"x" * 100 * PIECE)
    socket_of(found.peer).pauseProducing()
    await until(lambda: channel.held >= 4, "a full inbox")
    assert await settled(lambda: int(channel.held)) == channel.peak <= 8  # a piece of the socket may be several of TLS
    go_on.callback(None)
    await until(lambda: made, "a row")
    assert await settled(lambda: made) < 150
    ended = found.conn.notifyFinish()
    found.conn.cancel()
    assert isinstance(await failing(ended), defer.CancelledError)
    socket_of(found.peer).resumeProducing()
    await until(lambda: found.peer.lost, "the reset")
    await found.close()


async def a_reset_during_a_write() -> None:
    """CONTRACT 14, 30, R5: the socket under TLS is reset: the generator is closed, once."""
    log: list[Any] = []

    def endless(conn: Any) -> Generator[bytes]:
        try:
            while True:
                conn.write(b"x" * PIECE)
            yield
        except flow.Cancelled as error:
            log.append(type(error.__cause__).__name__)
            raise

    found = await pair(endless)
    ended = found.conn.notifyFinish()
    socket_of(found.peer).pauseProducing()
    await pause(0.05)
    socket_of(found.peer).abortConnection()
    failed = await failing(ended)
    assert log == [type(failed).__name__], log
    await found.close()


async def rows_are_pulled() -> None:
    """CONTRACT 21: ``streaming=False`` over TLS, with an idle time that counts real traffic only."""

    def some(conn: Any) -> Generator[bytes]:
        rows = iter(conn)
        yield next(rows)
        for number in range(20):
            yield bytes([number]) * PIECE
        next(rows)

    found = await pair(some, streaming=False, idle=0.3)
    found.peer.wire.write(b"go")
    await until(lambda: len(found.peer.data) == 2 + 20 * PIECE, "the rows")
    failed = await failing(found.conn.notifyFinish())
    assert isinstance(failed, TimeoutError), failed
    await until(lambda: found.peer.lost, "the reset")
    await found.close()


async def a_stranger() -> None:
    """CONTRACT 14, 24: a peer whose certificate is not trusted, or that speaks no TLS: connect and server end."""
    server = await listen(echo)
    wrong = endpoints.wrapClientTLS(ssl.optionsForClientTLS("example.org", trustRoot=certificate()), client_of(server))
    failed = await failing(flow.connect(wrong, echo))
    assert isinstance(failed, Exception)
    plain: Any = await endpoints.connectProtocol(client_of(server), Peer())
    plain.wire.write(b"GET / HTTP/1.0\r\n\r\n" * 10)
    await until(lambda: plain.lost or plain.ended, "the end")
    await plain.close()
    await until(lambda: not server.connections, "the ends of the server's connections")
    await server.close()


async def tls_begins_in_the_middle() -> None:
    """CONTRACT 2, 30: startTLS, as mail servers do it: rows before it are plain, those after it are not."""

    def serves(conn: Any) -> Generator[bytes]:
        rows = iter(conn)
        yield b"ready;"
        assert next(rows) == b"STARTTLS"
        yield b"go;"
        conn.transport.startTLS(certificate().options(), True)
        yield next(rows).upper()
        for _ in range(20):
            yield b"x" * PIECE

    class Client(Peer):
        def dataReceived(self, data: bytes) -> None:
            super().dataReceived(data)
            if self.data == b"ready;":
                self.wire.write(b"STARTTLS")
            elif self.data == b"ready;go;":
                self.wire.startTLS(trust())
                self.wire.write(b"hello;")

    server = await flow.listen(HERE, serves)
    peer: Any = await endpoints.connectProtocol(client_of(server), Client())
    await until(lambda: peer.lost, "the end")
    assert peer.data == b"ready;go;HELLO;" + b"x" * 20 * PIECE, bytes(peer.data[:40])
    assert type(peer.lost) is ConnectionDone
    await until(lambda: not server.connections, "the end of the server's connection")
    await server.close()


async def close_with_open_connections() -> None:
    """CONTRACT 14, 15: ``Server.close()`` over TLS."""
    server = await listen(echo)
    clients = [flow.connect(client_over_tls(server), echo, protocol.Protocol) for _ in range(3)]
    await until(lambda: len(server.connections) == 3, "the connections")
    await server.close()
    for client in clients:
        assert isinstance(await failing(client), Exception)


SCENARIOS: list[Callable[[], Awaitable[None]]] = [
    an_echo_of_flow_to_flow,
    the_peer_closes,
    we_close,
    it_ends_before_the_handshake,
    it_fails_before_the_handshake,
    a_failure_resets_after_the_rows,
    a_peer_that_does_not_answer_the_close,
    a_close_in_the_same_piece_as_the_lines,
    backpressure,
    a_reset_during_a_write,
    rows_are_pulled,
    a_stranger,
    tls_begins_in_the_middle,
    close_with_open_connections,
]
