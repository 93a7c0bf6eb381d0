"""Scenarios for `reactors.py`: listening and connecting, ends in every state, UNIX sockets, many."""

from __future__ import annotations

import gc
import socket
import sys
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Generator
from pathlib import Path
from typing import Any

from twisted.internet import defer, endpoints, error, protocol
from twisted.protocols.basic import LineReceiver

import flow

from .reactors import expect, fds, pause, until
from .scenarios_tcp import HERE, PIECE, Peer, client_of, echo, watched


def reactor_here() -> Any:
    from twisted.internet import reactor

    return reactor


async def failing(deferred: defer.Deferred[Any]) -> BaseException:
    """What it fails with."""
    try:
        result = await deferred
    except Exception as raised:
        return raised
    raise AssertionError(f"it did not fail, but gave {result!r}")


async def peer_of(server: flow.Server) -> Peer:
    peer: Any = await endpoints.connectProtocol(client_of(server), Peer())
    return peer  # type: ignore[no-any-return]


# --------------------------------------------------------------------------------------------------------------------
# Beginning


async def strings_and_objects() -> None:
    """An endpoint is a string or an object of Twisted's, on either side; connections know their factory and address."""
    got: list[bytes] = []

    def asks(conn: Any) -> Generator[bytes]:
        yield b"hello"
        got.append(next(iter(conn)))

    reactor = reactor_here()
    listening = endpoints.TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
    for endpoint in (HERE, listening):
        server = await flow.listen(endpoint, echo)
        port = server.getHost().port
        assert server.port.getHost() == server.getHost()
        for client in (f"tcp:127.0.0.1:{port}", f"tcp:host=127.0.0.1:port={port}", client_of(server)):
            conn = await flow.connect(client, asks)
            assert conn.factory is not None
            assert conn.transport.getPeer().port == port
        await until(lambda server=server: not server.connections, "the ends of the server's connections")
        await server.close()
        await server.close()
        assert isinstance(await failing(flow.connect(f"tcp:127.0.0.1:{port}", asks)), error.ConnectionRefusedError)
    assert got == [b"hello"] * 6


async def options_reach_the_connection() -> None:
    """listen and connect take what makeProtocol takes: base class, callbacks, options."""
    server = await flow.listen(
        HERE, lambda conn: conn.map(bytes.upper), LineReceiver, "lineReceived", send="sendLine", idle=60
    )
    got: list[bytes] = []

    def asks(conn: Any) -> Generator[bytes]:
        yield b"one"
        yield b"two"
        rows = iter(conn)
        got.extend([next(rows), next(rows)])

    await flow.connect(client_of(server), asks, LineReceiver, "lineReceived", send="sendLine", timeout=60)
    assert got == [b"ONE", b"TWO"]
    await until(lambda: not server.connections, "the end of the server's connection")
    await server.close()


async def a_port_that_is_taken() -> None:
    """listen fails as the endpoint does, with CannotListenError; a string that is none raises at once."""
    server = await flow.listen(HERE, echo)
    port = server.getHost().port
    failed = await failing(flow.listen(f"tcp:{port}:interface=127.0.0.1", echo))
    assert isinstance(failed, error.CannotListenError), failed
    for call in (flow.listen, flow.connect):
        try:
            call("nonsense:5", echo)
        except ValueError as raised:
            assert "nonsense" in str(raised)
        else:
            raise AssertionError("no error")
    await server.close()


async def a_cancel_while_it_connects() -> None:
    """CONTRACT 15: a connection that nobody answers is given up; the controller is never called."""
    if sys.platform != "linux":
        return  # elsewhere a full queue refuses, or takes one more

    def never(conn: Any) -> Generator[bytes]:
        raise AssertionError("called")
        yield

    full = socket.socket()
    full.bind(("127.0.0.1", 0))
    full.listen(0)
    port = full.getsockname()[1]
    queued = []
    for _ in range(4):  # those that fill its queue
        each = socket.socket()
        each.setblocking(False)
        each.connect_ex(("127.0.0.1", port))
        queued.append(each)
    connecting = flow.connect(f"tcp:127.0.0.1:{port}", never)
    await pause(0.05)
    assert not connecting.called
    connecting.cancel()
    failed = await failing(connecting)
    assert isinstance(failed, (error.ConnectingCancelledError, defer.CancelledError)), failed
    for each in (full, *queued):
        each.close()


async def connect_fails_with_the_controller() -> None:
    """CONTRACT 17, R6: connect tells the controller's own failure, and nothing is logged."""

    def fails(conn: Any) -> Generator[bytes]:
        yield next(iter(conn))
        raise ValueError("the controller fails")

    def fails_at_once(conn: Any) -> Generator[bytes]:
        raise ValueError("the controller fails")
        yield

    server = await flow.listen(HERE, lambda conn: flow.Merge([b"hello"], conn))
    for controller in (fails, fails_at_once):
        failed = await failing(flow.connect(client_of(server), controller))
        assert str(failed) == "the controller fails"
    await until(lambda: not server.connections, "the ends of the server's connections")
    await server.close()


async def connect_fails_with_the_loss() -> None:
    """CONTRACT 15: a server that resets: connect fails with the reason."""

    def resets(conn: Any) -> Generator[bytes]:
        next(iter(conn))
        conn.transport.abortConnection()
        flow.sleep(3600)
        yield b"never"

    log: list[Any] = []

    def asks(conn: Any) -> Generator[bytes]:
        yield b"hello"
        yield from watched(log)(conn)

    server = await flow.listen(HERE, resets)
    failed = await failing(flow.connect(client_of(server), asks))
    assert isinstance(failed, error.ConnectionLost), failed
    assert log == [("Cancelled", "ConnectionLost"), "closed"], log
    await server.close()


async def a_cancel_while_it_runs() -> None:
    """CONTRACT 15: ``cancel()`` of connect's Deferred, again and again: it fires when all is closed, after cleanups."""
    log: list[Any] = []
    server = await flow.listen(HERE, echo)
    running = flow.connect(client_of(server), watched(log, 0.4))
    await until(lambda: server.connections, "the connection")
    found: list[Any] = []
    running.addBoth(found.append)
    running.cancel()
    await pause(0.02)
    running.cancel()
    await pause(0.02)
    running.cancel()
    assert not found
    await until(lambda: found, "the end")
    assert isinstance(found[0].value, defer.CancelledError), found
    assert log == [("Cancelled", "CancelledError"), "closed"], log
    running.cancel()
    await until(lambda: not server.connections, "the end of the server's connection")
    await server.close()


# --------------------------------------------------------------------------------------------------------------------
# Ending


STATES: dict[str, Any] = {}


def state(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    STATES[f.__name__] = f
    return f


@state
def reading(conn: Any) -> Generator[bytes]:
    yield from conn


@state
def sleeping(conn: Any) -> Generator[bytes]:
    flow.sleep(3600)
    yield b"never"


@state
def writing(conn: Any) -> Generator[bytes]:
    while True:
        yield b"x" * PIECE


@state
def cleaning_up(conn: Any) -> Generator[bytes]:
    try:
        yield b"row"
    finally:
        flow.sleep(0.05)


@state
def waiting_for_the_peer(conn: Any) -> list[bytes]:
    return [b"bye"]


@state
def waiting_for_the_peer_to_read(conn: Any) -> Generator[bytes]:
    yield b"x"
    conn.transport.write(b"x" * 100 * PIECE)


@state
def failed(conn: Any) -> Generator[bytes]:
    conn.transport.write(b"x" * 100 * PIECE)
    raise ValueError("the controller fails")
    yield


@state
def full(conn: Any) -> Generator[bytes]:
    next(iter(conn))
    flow.sleep(3600)
    yield b"never"


@state
async def asynchronous(conn: Any) -> Any:
    async for row in conn:
        yield row


async def close_in_each_state() -> None:
    """CONTRACT 14, 15: ``Server.close()`` stops listening, cancels what is open in whatever state, and waits for it."""
    for name, controller in STATES.items():
        server = await flow.listen(HERE, controller)
        peer = await peer_of(server)
        peer.wire.pauseProducing()
        if name == "full":
            peer.wire.write(b"x" * 50 * PIECE)
        await until(lambda server=server: server.connections, f"the connection of the state {name}")
        await pause(0.01)
        assert len(server.connections) == 1, name
        port = server.getHost().port
        closing, again = server.close(), server.close()
        await closing
        assert server.connections == (), name
        await again
        refused = await failing(flow.connect(f"tcp:127.0.0.1:{port}", echo))
        assert isinstance(refused, error.ConnectionRefusedError), name
        peer.wire.resumeProducing()
        await until(lambda peer=peer: peer.lost or peer.ended, f"the peer's end in the state {name}")
        await peer.close()
    expect(ValueError)


async def close_after_a_clean_loss() -> None:
    """CONTRACT 15: a chain that goes on after a half-close, with rows unread, is cancelled, too: no hang."""

    def slow(conn: Any) -> Generator[bytes]:
        for _ in conn:
            flow.sleep(3600)
        yield b"never"

    server = await flow.listen(HERE, slow)
    peer = await peer_of(server)
    await until(lambda: server.connections, "the connection")
    channel = server.connections[0].flow_link.inbox.channel
    peer.wire.write(b"x")
    await until(lambda: not channel.wanted, "the first piece")
    peer.wire.write(b"x")
    await until(lambda: channel.unread, "the second one")
    await peer.close()
    await until(lambda: channel.ended, "the end of the input")
    assert len(server.connections) == 1
    await server.close()


async def stop_listening_lets_them_go_on() -> None:
    """`stopListening`: no more connections; those that are open go on to their own ends."""
    server = await flow.listen(HERE, echo)
    port = server.getHost().port
    peer = await peer_of(server)
    await server.stopListening()
    assert isinstance(await failing(flow.connect(f"tcp:127.0.0.1:{port}", echo)), error.ConnectionRefusedError)
    peer.wire.write(b"still there")
    await until(lambda: peer.data == b"still there", "the echo")
    peer.wire.loseWriteConnection()
    await until(lambda: not server.connections, "the end")
    await server.close()
    await peer.close()


async def a_base_class_that_fails() -> None:
    """CONTRACT 14, 24: its connectionMade raises: the connection is aborted; logged by Twisted, or told by connect."""

    class Failing(protocol.Protocol):
        def connectionMade(self) -> None:
            raise ValueError("the base class fails")

    server = await flow.listen(HERE, echo, Failing)
    peer = await peer_of(server)
    await until(lambda: peer.lost or peer.ended, "the close")
    assert server.connections == ()
    expect(ValueError)
    failed = await failing(flow.connect(client_of(server), echo, Failing))
    assert str(failed) == "the base class fails"
    await peer.close()
    await server.close()
    expect(ValueError)


# --------------------------------------------------------------------------------------------------------------------
# UNIX sockets


async def unix_sockets() -> None:
    """CONTRACT 2, 30: an echo, a half-close, a loss and a failure, on a socket without a network."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "socket"
        log: list[Any] = []
        got: list[bytes] = []

        def serves(conn: Any) -> Generator[bytes]:
            assert conn.label == "Protocol"
            yield from watched(log)(conn)
            yield b"after the half-close;" + b"x" * 20 * PIECE

        server = await flow.listen(f"unix:{path}", serves)

        def asks(conn: Any) -> Generator[bytes]:
            rows = iter(conn)
            yield b"hello"
            got.append(next(rows))
            conn.transport.loseWriteConnection()
            got.append(b"".join(rows))

        await flow.connect(f"unix:{path}", asks)
        assert got == [b"hello", b"after the half-close;" + b"x" * 20 * PIECE]
        await until(lambda: not server.connections, "the end")
        assert log == [b"hello", "closed"]
        log.clear()
        running = flow.connect(f"unix:{path}", sleeping)
        await until(lambda: server.connections, "the connection")
        running.cancel()
        await failing(running)
        await until(lambda: not server.connections, "the end")
        await server.close()

        def fails(conn: Any) -> Generator[bytes]:
            for number in range(30):
                yield bytes([number]) * PIECE
            raise ValueError("the controller fails")

        server = await flow.listen(f"unix:{path}", fails)
        peer: Any = await endpoints.connectProtocol(endpoints.clientFromString(reactor_here(), f"unix:{path}"), Peer())
        await until(lambda: peer.lost or peer.ended, "the end")
        assert len(peer.data) == 30 * PIECE
        expect(ValueError)
        await peer.close()
        await server.close()


# --------------------------------------------------------------------------------------------------------------------
# Many


def exchange(conn: Any) -> Generator[bytes]:
    """A client that sends three pieces, each when the one before it has come back."""
    rows = iter(conn)
    for number in range(3):
        row = b"%d" % number
        yield row
        assert next(rows) == row


async def two_hundred_at_once() -> None:
    """CONTRACT 2, 30: 200 connections side by side, each gets its own answers; then none is left."""
    server = await flow.listen(f"{HERE}:backlog=256", echo)
    clients = [flow.connect(client_of(server), exchange) for _ in range(200)]
    for client in clients:
        await client
    await until(lambda: not server.connections, "the ends")
    await server.close()


async def kinds() -> Counter[str]:
    # Loops keep some timers that were cancelled (asyncio up to a hundred), until there are too many of them.
    reactor = reactor_here()
    for _ in range(200):
        reactor.callLater(60, print).cancel()
    await pause(0.002)
    gc.collect()
    return Counter(type(each).__name__ for each in gc.get_objects())


async def two_thousand_in_turn() -> None:
    """CONTRACT 20, 24: 2,000 connections, ended in four ways, leave no object, descriptor, timer or log behind.

    One reactor shows it for all of them: the others are given fewer.
    """

    def fails(conn: Any) -> Generator[bytes]:
        yield next(iter(conn))
        raise ValueError("the controller fails")

    def aborted(conn: Any) -> Generator[bytes]:
        yield b"x"
        conn.cancel()
        yield b"never"

    server = await flow.listen(HERE, echo)
    controllers = [exchange, lambda conn: [b"bye"], fails, aborted]
    server_of_rows = await flow.listen(HERE, lambda conn: flow.Merge([b"row"], conn), idle=60, timeout=600)

    async def some(count: int) -> None:
        for number in range(count):
            at = server_of_rows if number % 2 else server
            controller = controllers[number // 2 % 4]
            if controller is fails and at is server:
                controller = exchange  # an echo has no first row
            if controller is exchange and at is server_of_rows:
                controller = aborted
            try:
                await flow.connect(client_of(at), controller)
            except (ValueError, defer.CancelledError):
                pass
        await until(lambda: not server.connections and not server_of_rows.connections, "the ends")

    await some(200)
    before, opened = await kinds(), fds()
    await some(
        2000
        if type(reactor_here()).__name__ == ("EPollReactor" if sys.platform == "linux" else "SelectReactor")
        else 400
    )
    grown = {name: count - before[name] for name, count in (await kinds()).items() if count - before[name] > 100}
    assert not grown, grown
    assert len(fds()) <= len(opened)
    await server.close()
    await server_of_rows.close()


SCENARIOS: list[Callable[[], Awaitable[None]]] = [
    strings_and_objects,
    options_reach_the_connection,
    a_port_that_is_taken,
    a_cancel_while_it_connects,
    connect_fails_with_the_controller,
    connect_fails_with_the_loss,
    a_cancel_while_it_runs,
    close_in_each_state,
    close_after_a_clean_loss,
    stop_listening_lets_them_go_on,
    a_base_class_that_fails,
    unix_sockets,
    two_hundred_at_once,
    two_thousand_in_turn,
]
