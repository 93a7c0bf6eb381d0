"""Connections of flow over Twisted's endpoints: `listen` and `connect`.

What may live here: what is needed to begin and to end connections. What happens on one is in `twisted_protocol.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet import defer, endpoints, protocol

from ..core.source import is_a
from ..loops._twisted import the_reactor
from .twisted_protocol import Conversation, makeProtocol

__all__ = ["Server", "connect", "listen"]

_endpoints: Any = endpoints  # as Any: these have no types


class _Factory(protocol.Factory):
    """Makes a protocol of flow for each connection, and knows those that have begun and not ended."""

    noisy = False

    def __init__(self, made: type[Conversation], *, told: bool = False) -> None:
        self.protocol: Any = made
        self.connections: dict[Conversation, None] = {}
        self.finishing: dict[Conversation, defer.Deferred[Any]] = {}
        self._told = told
        self._waiting: list[defer.Deferred[None]] = []

    def buildProtocol(self, addr: Any) -> Any:
        conn: Any = super().buildProtocol(addr)
        conn.flow_watch = self._watch
        if self._told:  # now: the controller may have ended before the endpoint says that there is a connection
            self.finishing[conn] = conn.notifyFinish()
        return conn

    def _watch(self, conn: Conversation, begun: bool) -> None:
        if begun:
            self.connections[conn] = None
        else:
            del self.connections[conn]
            if not self.connections:
                waiting, self._waiting = self._waiting, []
                for deferred in waiting:
                    deferred.callback(None)

    def all_ended(self) -> defer.Deferred[None]:
        """Fires when no connection is open. How each of them ends is told elsewhere."""
        deferred: defer.Deferred[None] = defer.Deferred()
        if self.connections:
            self._waiting.append(deferred)
        else:
            deferred.callback(None)
        return deferred


class Server:
    """What `flow.listen` gives: the port that listens, and the connections that are open.

    `port` is Twisted's IListeningPort. ``close()`` stops listening, cancels what is open, and fires when all of it is
    closed; ``stopListening()`` lets what is open go on.

        server = await flow.listen("tcp:0:interface=127.0.0.1", shout)
        print(server.getHost().port)
        await server.close()
    """

    def __init__(self, port: Any, factory: _Factory) -> None:
        self.port = port
        self._factory = factory
        self._stopped: defer.Deferred[Any] | None = None

    @property
    def connections(self) -> tuple[Any, ...]:
        """The connections whose controller or transport has not ended, the oldest first."""
        return tuple(self._factory.connections)

    def getHost(self) -> Any:
        """The address that it listens on."""
        return self.port.getHost()

    def stopListening(self) -> defer.Deferred[None]:
        """Takes no more connections; those that are open go on. Idempotent, which a port of Twisted's is not."""
        if self._stopped is None:
            self._stopped = defer.maybeDeferred(self.port.stopListening)
        told: defer.Deferred[None] = defer.Deferred()
        _ = self._stopped.addBoth(told.callback)
        return told

    def close(self) -> defer.Deferred[None]:
        """Takes no more connections, cancels those that are open, and fires when all is closed. Idempotent."""
        return defer.Deferred.fromCoroutine(self._close())

    async def _close(self) -> None:
        for conn in self.connections:
            conn.cancel()
        await self.stopListening()
        await self._factory.all_ended()


def listen(
    endpoint: Any,
    controller: Callable[[Any], Any],
    baseClass: type[Any] = protocol.Protocol,
    *callbacks: str,
    reactor: Any = None,
    **options: Any,
) -> defer.Deferred[Server]:
    """Listens, and runs ``controller(conn)`` for each connection; a Deferred that fires with a `Server`.

    `endpoint` is a Twisted server endpoint, or the string of one. What a controller may do, and the other arguments,
    are those of `makeProtocol`. Connections run side by side, each with a chain of its own; the failure of one is
    logged and ends that one. Fails as the endpoint does, with CannotListenError for one.

        def shout(conn):
            for piece in conn:
                yield piece.upper()

        flow.listen("tcp:8080:interface=127.0.0.1", shout)
    """
    factory = _Factory(makeProtocol(controller, baseClass, *callbacks, reactor=reactor, **options))
    if is_a(endpoint, str):
        endpoint = _endpoints.serverFromString(the_reactor(reactor), endpoint)
    listening: defer.Deferred[Any] = endpoint.listen(factory)
    return listening.addCallback(Server, factory)


def connect(
    endpoint: Any,
    controller: Callable[[Any], Any],
    baseClass: type[Any] = protocol.Protocol,
    *callbacks: str,
    reactor: Any = None,
    **options: Any,
) -> defer.Deferred[Any]:
    """Connects, and runs ``controller(conn)``; a Deferred that fires with `conn` when both have ended.

    `endpoint` is a Twisted client endpoint, or the string of one. What a controller may do, and the other arguments,
    are those of `makeProtocol`. The Deferred fails as the endpoint does, with the controller's failure, or with the
    reason of a connection that was lost before the controller had ended. ``cancel()`` gives up connecting, or cancels
    the chain and aborts the connection, and fires when that is closed.

        def ask(conn):
            yield b"time?"
            print(next(conn))

        flow.connect("tcp:127.0.0.1:8080", ask)
    """
    factory = _Factory(makeProtocol(controller, baseClass, *callbacks, reactor=reactor, **options), told=True)
    if is_a(endpoint, str):
        endpoint = _endpoints.clientFromString(the_reactor(reactor), endpoint)
    return defer.Deferred.fromCoroutine(_converse(endpoint, factory))


async def _converse(endpoint: Any, factory: _Factory) -> Any:
    conn = await endpoint.connect(factory)
    finishing = factory.finishing[conn]
    while True:
        try:
            return await finishing
        except defer.CancelledError:
            if conn.flow_linked().finished:
                raise
            conn.cancel()  # this coroutine was cancelled, perhaps not for the first time: it ends when all is closed
            finishing = conn.notifyFinish()
