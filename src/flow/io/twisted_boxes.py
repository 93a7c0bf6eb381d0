"""The two holding places of a Twisted connection, and the terms that it was given.

What may live here: the *inbox*, where what arrives waits for the chain; the *outbox*, where the chain waits for the
transport; `Event`; and `Terms`, which are checked where the user wrote them. What joins them is in `twisted_link.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from typing import Any, NamedTuple

from twisted.internet import interfaces
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.protocols.policies import ProtocolWrapper
from zope import interface  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]

from ..core.channel import Channel
from ..core.instruction import CallLater, Handle, Resume, seconds_of
from ..core.run import CLEANUP, SLICE, Options, Run
from ..core.scope import Scope
from ..core.source import bound_of, is_a
from ..core.stage import Stage
from ..errors import AlreadyReadError

__all__ = [
    "MESSAGES",
    "PIECES",
    "Event",
    "Inbox",
    "Last",
    "Outbox",
    "Terms",
    "bottom_of",
    "implementer",
    "is_secure",
    "unacknowledged",
]

implementer: Any = interface.implementer
"""zope's, which has no types."""

PIECES = 16
"""Pieces of bytes (of up to 64 KiB each) that a connection holds unread, unless it is told otherwise."""

MESSAGES = 256
"""Messages (lines and the like) that a connection holds unread, unless it is told otherwise."""

_IN_PIECES = {"dataReceived", "rawDataReceived"}


class Event(NamedTuple):
    """What a connection with several callbacks gives: the name of the callback, and what it was called with.

    `row` is the argument, or a tuple of them when there was not exactly one.

        name, row = flow.Event("lineReceived", b"hello")
    """

    name: str
    row: Any


class Terms:
    """What `makeProtocol` was told: checked where it was written, and shared by all connections of the class."""

    def __init__(
        self,
        callbacks: str | tuple[str, ...] = (),
        trap: Any = (),
        send: str | None = None,
        limit: int | None = None,
        idle: float | None = None,
        timeout: float | None = None,
        streaming: bool = True,
        finishOnConnectionLost: bool = False,
        slice: float = SLICE,
        cleanup: float = CLEANUP,
        on_dropped: Callable[[list[Any]], object] | None = None,
        reactor: Any = None,
    ) -> None:
        self.callbacks = ((callbacks,) if isinstance(callbacks, str) else tuple(callbacks)) or ("dataReceived",)
        self.trap: tuple[type[BaseException], ...] = tuple(trap) if is_a(trap, (tuple, list)) else (trap,)
        for kind in self.trap:
            if not (is_a(kind, type) and issubclass(kind, BaseException)):
                raise TypeError(f"makeProtocol(trap=...) takes exception classes, not {kind!r}")
        self.send = send
        if limit is None:
            limit = PIECES if _IN_PIECES.issuperset(self.callbacks) else MESSAGES
        self.limit = bound_of(limit, "makeProtocol(limit)")
        self.idle = None if idle is None else seconds_of(idle, "makeProtocol(idle)")
        self.timeout = None if timeout is None else seconds_of(timeout, "makeProtocol(timeout)")
        self.streaming = streaming
        # What counts as an end of the input, like a close, though it is not one.
        self.well: tuple[type[Exception], ...] = (ConnectionDone,)
        if finishOnConnectionLost:
            self.well = (ConnectionDone, ConnectionLost)
        self.options = Options(slice, cleanup, on_dropped)
        self.reactor = reactor

    def check(self, base: type) -> None:
        """Are the callbacks and the method to send with there? A name that is misspelt is never called."""
        for name in (*self.callbacks, *([self.send] if self.send else [])):
            if not is_a(name, str) or not callable(getattr(base, name, None)):
                close = get_close_matches(str(name), dir(base), 1)
                hint = f" Did you mean {close[0]!r}?" if close else ""
                raise TypeError(f"{base.__name__} has no method {name!r} that could be called back.{hint}")


# --------------------------------------------------------------------------------------------------------------------
# The two holding places


class Inbox(Stage[Any]):
    """What arrived on a connection and was not read yet. It can be read once; reading goes on until the end."""

    def __init__(
        self, name: str, terms: Terms, run: Run, pause: Callable[[], None], resume: Callable[[], None]
    ) -> None:
        self._name = name
        self._read = False
        self.channel: Channel[Any] = Channel(run, terms.limit)
        self.channel.on_pause = pause
        self.channel.on_resume = resume

    @property
    def label(self) -> str:
        return self._name

    def taken(self) -> None:
        if self._read:
            raise AlreadyReadError(
                f"{self.label} is already being read, or was: what arrives comes once. To go on reading where a loop "
                "stopped, keep its iterator: `rows = iter(conn)`, then `next(rows)` and `for row in rows`."
            )
        self._read = True

    def rows(self, upstream: Any, scope: Scope) -> Iterator[Any]:
        return self.channel.turns(scope.strand)

    @property
    def awaits(self) -> bool:
        """Is there a row that was not taken yet, or does the chain wait for one?"""
        return self.channel.wanted or self.channel.unread > 0


@implementer(interfaces.IPushProducer, interfaces.IPullProducer)
class Outbox(CallLater):
    """Flow as the transport sees it: a producer that is paused while the transport's buffer is full.

    As an instruction it is the wait for room, for as many chains as wait.
    """

    __slots__ = ("_drained", "_waiting", "full", "pulled", "transport")

    def __init__(self, transport: Any, streaming: bool, drained: Callable[[], None]) -> None:
        self.transport = transport
        self.pulled = not streaming
        self.full = self.pulled
        self._waiting: list[Resume] = []
        self._drained = drained
        if hasattr(transport, "registerProducer"):
            transport.registerProducer(self, streaming)
        else:
            self.full = self.pulled = False  # such a transport takes everything

    # ---- for the transport

    def pauseProducing(self) -> None:
        self.full = True

    def resumeProducing(self) -> None:
        if self.full:
            self._drained()
        self.let_go()

    def stopProducing(self) -> None:
        """Nothing: the protocol is told next that the connection is lost, and until then nobody may write
        (test_twisted_ends.py::test_a_loss_while_the_chain_waits_to_write).
        """

    # ---- for the chain

    def callLater(self, resume: Resume, /) -> Handle | None:
        if not self.full:
            resume()
            return None
        self._waiting.append(resume)
        return _Waiting(self._waiting, resume)

    def let_go(self) -> None:
        """Lets the chains that wait go on, one by one, until the transport is full again."""
        self.full = False
        while self._waiting and not self.full:
            self._waiting.pop(0)()

    def end(self) -> None:
        """Nothing more will be written."""
        self.let_go()
        if hasattr(self.transport, "unregisterProducer"):
            self.transport.unregisterProducer()


class _Waiting:
    def __init__(self, waiting: list[Resume], resume: Resume) -> None:
        self._waiting, self._resume = waiting, resume

    def cancel(self) -> None:
        if self._resume in self._waiting:
            self._waiting.remove(self._resume)


@implementer(interfaces.IPullProducer)
class Last:
    """Calls ``sent()`` when all that was written has left the process: a transport asks this producer for more then."""

    def __init__(self, transport: Any, sent: Callable[[], object]) -> None:
        self._transport = transport
        self._sent = sent
        self._asked = 0

    def resumeProducing(self) -> None:
        self._asked += 1
        if self._asked == 2:  # the first time is when it is registered
            self._transport.unregisterProducer()
            self._sent()

    def stopProducing(self) -> None:
        pass


# --------------------------------------------------------------------------------------------------------------------
# Transports


def is_secure(transport: Any) -> bool:
    """Is there TLS in it? It ends with a message of its own, and one side of it alone can't be closed."""
    provided: Any = interfaces.ISSLTransport
    return bool(provided.providedBy(transport))


def bottom_of(transport: Any) -> Any:
    """The transport that is under TLS and other wrappers: where bytes leave the process."""
    if getattr(transport, "TLS", False):  # by startTLS, which puts TLS between a socket's transport and itself
        transport = transport.protocol
    while is_a(transport, ProtocolWrapper):
        transport = transport.transport
    return transport


def unacknowledged(transport: Any) -> int:
    """Bytes that the peer's system has not confirmed, where this one can tell: a reset throws them away."""
    local: Any = interfaces.IUNIXTransport
    if sys.platform != "linux" or local.providedBy(transport):
        return 0
    from fcntl import ioctl
    from termios import TIOCOUTQ  # SIOCOUTQ, of a socket

    try:
        return int.from_bytes(ioctl(transport.fileno(), TIOCOUTQ, bytes(4)), sys.byteorder)
    except (OSError, ValueError):
        return 0
