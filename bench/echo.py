"""An echo server in a process of its own, and a client with many connections that keeps it busy.

``python -m bench.echo --connections 1000 --seconds 10`` puts a server under load and says what became of it: trips,
answers that were wrong, memory, and what was left at the end. The workload `echo` of the benchmarks measures the same
servers side by side.

What may live here: the servers, the client, and that program. Everything is on 127.0.0.1, and bounded in count and
time; a server ends when its standard input does, so none outlives who started it.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import selectors
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine
from time import monotonic, perf_counter
from typing import Any

__all__ = ["SERVERS", "Load", "load"]

SIZE = 64
"""Bytes of a message."""

ROUNDS = 8
"""Messages that differ, so that an answer to another one is seen."""

MESSAGES = [bytes([65 + number]) * SIZE for number in range(ROUNDS)]


# --------------------------------------------------------------------------------------------------------------------
# Servers: each runs until its standard input ends


def _on_twisted(protocol: Callable[[], Any]) -> None:
    from twisted.internet import protocol as twisted_protocol
    from twisted.internet import reactor as found

    reactor: Any = found
    factory = twisted_protocol.Factory()
    factory.protocol = protocol()
    port = reactor.listenTCP(0, factory, interface="127.0.0.1", backlog=2000)
    print(port.getHost().port, flush=True)
    end = Ending(reactor, port)
    _when_told({"held": held}, lambda f: reactor.callFromThread(f), end)
    reactor.run()
    print(json.dumps(left(reactor)), flush=True)


class Ending:
    """Stops the reactor when all connections have gone and nothing is left of them, or after 10 seconds."""

    def __init__(self, reactor: Any, port: Any) -> None:
        self._reactor = reactor
        self._port = port  # it looks like a connection: it has a getPeer, too
        self._turns = 0

    def __call__(self) -> None:
        self._turns += 1
        readers = [each for each in self._reactor.getReaders() if each is not self._port]
        gone = not any(hasattr(reader, "getPeer") for reader in readers)
        if self._turns == 1000 or (gone and not any(left(self._reactor).values())):
            self._reactor.callLater(0, self._reactor.stop)
        else:
            self._reactor.callLater(0.01, self)


def _when_told(answers: dict[str, Callable[[], Any]], call: Callable[[Callable[[], Any]], Any], stop: Any) -> None:
    """Answers each line of standard input on the loop; stops it when that ends."""

    def listen() -> None:
        for line in sys.stdin:
            answer = answers[line.strip()]
            call(lambda answer=answer: print(json.dumps(answer()), flush=True))
        call(stop)

    threading.Thread(target=listen, daemon=True).start()


def held() -> dict[str, float]:
    """Memory of this process now, after a collection."""
    gc.collect()
    with open("/proc/self/statm", encoding="ascii") as file:
        pages = int(file.read().split()[1])
    return {"megabytes": pages * 4096 / 1e6, "objects": len(gc.get_objects())}


def left(reactor: Any) -> dict[str, int]:
    """What is still there when the connections have gone."""
    from flow.core.run import live

    return {"runs": len(live), "timers": len(reactor.getDelayedCalls())}


def _bare() -> Any:
    from twisted.internet.protocol import Protocol

    class Echo(Protocol):
        def dataReceived(self, data: bytes) -> None:
            self.transport.write(data)  # type: ignore[union-attr, unused-ignore]

    return Echo


def _plain() -> Any:
    import flow

    def echo(conn: Any) -> Any:
        for piece in conn:  # noqa: UP028 (it is what people write)
            yield piece

    return flow.makeProtocol(echo)


def _classic() -> Any:
    import flow

    def echo(conn: Any) -> Any:
        yield conn
        for piece in conn:
            yield piece
            yield conn

    return flow.makeProtocol(echo)


def _coroutines() -> Any:
    """What a Twisted program without flow writes to have a loop in its protocol: a coroutine and a queue."""
    from twisted.internet import defer
    from twisted.internet.protocol import Protocol, connectionDone

    class Echo(Protocol):
        def connectionMade(self) -> None:
            self.pieces: defer.DeferredQueue[bytes | None] = defer.DeferredQueue()
            defer.Deferred.fromCoroutine(self.serve())

        def dataReceived(self, data: bytes) -> None:
            self.pieces.put(data)

        def connectionLost(self, reason: Any = connectionDone) -> None:
            self.pieces.put(None)

        async def serve(self) -> None:
            while (piece := await self.pieces.get()) is not None:
                self.transport.write(piece)  # type: ignore[union-attr, unused-ignore]

    return Echo


def _serve_on_asyncio(begin: Callable[[], Coroutine[Any, Any, asyncio.Server]]) -> None:
    """Serves until it is told to stop."""

    async def main() -> None:
        server = await begin()
        loop = asyncio.get_running_loop()
        stopped = asyncio.Event()
        print(server.sockets[0].getsockname()[1], flush=True)
        _when_told({"held": held}, loop.call_soon_threadsafe, stopped.set)
        await stopped.wait()
        server.close()

    asyncio.run(main())
    print("{}", flush=True)


def _on_asyncio() -> None:
    """asyncio's streams: a task for each connection, with backpressure by drain()."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while piece := await reader.read(65536):
                writer.write(piece)
                await writer.drain()
        finally:
            writer.close()

    _serve_on_asyncio(lambda: asyncio.start_server(serve, "127.0.0.1", 0, backlog=2000))


def _on_asyncio_bare() -> None:
    """asyncio's own bare protocol: what arrives is written, and nothing holds it back."""

    class Echo(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.write = transport.write

        def data_received(self, data: bytes) -> None:
            self.write(data)

    _serve_on_asyncio(lambda: asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0, backlog=2000))


def _on_trio() -> None:
    """A task for each connection; `send_all` holds it back."""
    import trio

    async def serve(stream: Any) -> None:
        async for piece in stream:
            await stream.send_all(piece)

    async def main() -> None:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=2000)
        print(listeners[0].socket.getsockname()[1], flush=True)
        async with trio.open_nursery() as nursery:
            call = trio.lowlevel.current_trio_token().run_sync_soon
            _when_told({"held": held}, call, nursery.cancel_scope.cancel)
            await trio.serve_listeners(serve, listeners)

    trio.run(main)
    print("{}", flush=True)


def _on_anyio() -> None:
    """The same on anyio, whose loop is asyncio's unless it is told otherwise."""
    import anyio

    async def serve(stream: Any) -> None:
        async with stream:
            async for piece in stream:
                await stream.send(piece)

    async def main() -> None:
        listener: Any = await anyio.create_tcp_listener(local_host="127.0.0.1", backlog=2000)
        print(listener.extra(anyio.abc.SocketAttribute.local_port), flush=True)
        async with anyio.create_task_group() as group:
            call = asyncio.get_running_loop().call_soon_threadsafe
            _when_told({"held": held}, call, group.cancel_scope.cancel)
            await listener.serve(serve)

    anyio.run(main)
    print("{}", flush=True)


SERVERS: dict[str, Callable[[], None]] = {
    "bare": lambda: _on_twisted(_bare),
    "plain": lambda: _on_twisted(_plain),
    "classic": lambda: _on_twisted(_classic),
    "coroutines": lambda: _on_twisted(_coroutines),
    "asyncio": _on_asyncio,
    "protocol": _on_asyncio_bare,
    "trio": _on_trio,
    "anyio": _on_anyio,
}


# --------------------------------------------------------------------------------------------------------------------
# The client


class Load:
    """A server of one kind, and connections to it. Each connection has one message on its way at a time."""

    def __init__(self, kind: str, connections: int) -> None:
        self.server = subprocess.Popen(
            [sys.executable, "-m", "bench.echo", "--serve", kind],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.server.stdout is not None
        port = int(self.server.stdout.readline())
        self.wrong = 0
        self._selector = selectors.DefaultSelector()
        for number in range(connections):
            connection = socket.create_connection(("127.0.0.1", port))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setblocking(False)
            self._selector.register(connection, selectors.EVENT_READ, [connection, number % ROUNDS, b""])

    def ask(self, what: str) -> Any:
        """What the server says of itself."""
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        self.server.stdin.write(what + "\n")
        self.server.stdin.flush()
        return json.loads(self.server.stdout.readline())

    def go(self, trips: int, seconds: float = 60) -> int:
        """Sends messages and takes answers, `trips` times in all or for so long; each answer is compared."""
        every = [key.data for key in self._selector.get_map().values()]
        begun = done = 0
        for each in every[:trips]:
            each[0].send(MESSAGES[each[1]])
            begun += 1
        end = monotonic() + seconds
        while done < begun:
            for key, _ in self._selector.select(5):
                each = key.data
                piece = each[0].recv(65536)
                answer = each[2] + piece
                if len(answer) < SIZE and piece:
                    each[2] = answer  # an answer may come in pieces
                    continue
                each[2] = b""
                done += 1
                self.wrong += answer != MESSAGES[each[1]]
                each[1] = (each[1] + 1) % ROUNDS
                if not piece:
                    self._selector.unregister(each[0])
                elif begun < trips and monotonic() < end:
                    each[0].send(MESSAGES[each[1]])
                    begun += 1
            if monotonic() > end + 30:
                raise TimeoutError(f"{begun - done} answers did not come")
        return done

    def close(self) -> Any:
        """Closes the connections, ends the server, and returns what it says of what was left."""
        for key in list(self._selector.get_map().values()):
            key.data[0].close()
        self._selector.close()
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        if self.server.poll() is None:
            self.server.stdin.close()
        found = self.server.stdout.read()
        self.server.wait(30)
        self.server.stdout.close()
        return json.loads(found or "null")


def load(kind: str, connections: int, seconds: float) -> dict[str, Any]:
    """Puts a server under load, and says what became of it. Memory is looked at when it is warm and at the end."""
    load = Load(kind, connections)
    try:
        load.go(connections * 3)  # warm
        before = load.ask("held")
        start = perf_counter()
        done = load.go(10**9, seconds)
        lasted = perf_counter() - start
        after = load.ask("held")
    finally:
        closed = load.close()
    return {
        "connections": connections,
        "seconds": round(lasted, 1),
        "trips": done,
        "trips a second": round(done / lasted),
        "wrong": load.wrong,
        "megabytes before": round(before["megabytes"], 1),
        "megabytes after": round(after["megabytes"], 1),
        "objects more": after["objects"] - before["objects"],
        "left": closed,
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.echo", description="Puts an echo server under load.")
    parser.add_argument("--kind", choices=SERVERS, default="plain", help="which server (default: plain)")
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--serve", choices=SERVERS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        SERVERS[asked.serve]()
    else:
        print(json.dumps(load(asked.kind, asked.connections, asked.seconds), indent=1))


if __name__ == "__main__":
    main()
