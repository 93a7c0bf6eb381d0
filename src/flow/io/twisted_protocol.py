"""Twisted protocols whose behaviour is a generator: `makeProtocol` and `Protocol`.

What may live here: the classes that Twisted makes connections of, and that controllers see. What happens between the
two ends of a connection is in `twisted_link.py`; listening and connecting are in `twisted_endpoints.py`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from types import new_class
from typing import Any, ClassVar, cast

from twisted.internet import defer, interfaces, protocol
from twisted.python import failure

from ..core.microthread import current
from ..core.run import CLEANUP, SLICE
from ..core.scope import Scope
from ..core.source import can_be_called, is_a
from ..core.stage import Stage, label_of
from ..errors import NotReadyError
from .twisted_boxes import Terms, implementer
from .twisted_link import Link

__all__ = ["Conversation", "Protocol", "makeProtocol"]


_Failure: Any = failure.Failure  # as Any: its constructor has no types


class Events:
    """The callbacks of a connection, each as a stage of its own: ``conn.events.lineReceived``."""

    __slots__ = ("_conn",)

    def __init__(self, conn: Conversation) -> None:
        self._conn = conn

    def __getattr__(self, name: str) -> Stage[Any]:
        callbacks = self._conn.flow_terms.callbacks
        if name not in callbacks:
            raise AttributeError(
                f"{self._conn.label} has no callback {name!r}: it was made with {', '.join(callbacks)}"
            )
        return self._conn.flow_linked().event(name)


@implementer(interfaces.IHalfCloseableProtocol)
class Conversation(Stage[Any]):
    """A connection as its controller sees it: the protocol, and the stage of what arrives.

    It comes before the base class in a protocol that flow makes, and `Stage` behind it, so that a base class keeps the
    names that it has.
    """

    flow_given: ClassVar[dict[str, Any]] = {}
    flow_terms: ClassVar[Terms] = Terms()
    flow_link: Link | None = None

    controller: Any
    transport: Any
    factory: Any
    reason: failure.Failure | None = None
    """Why the connection was lost; None until it is."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = {name: value for name, value in vars(cls).items() if name in _WRITTEN}
        if own:
            cls.flow_given = {**cls.flow_given, **own}
        if "flow_given" in vars(cls):
            cls.flow_terms = Terms(**cls.flow_given)
            cls.flow_terms.check(cls)
            for name in (*cls.flow_terms.callbacks, cls.flow_terms.send):
                if name in _NEEDED | _ITS_OWN:
                    raise TypeError(
                        f"{name!r} can be no callback, nor what sends rows: a connection of flow needs it for itself. "
                        "The controller begins when the connection is made; trap= gives the reason of a loss as a row"
                    )
            for name in cls.flow_terms.callbacks:
                setattr(cls, name, _received(name, getattr(cls, name)))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)

    # ---- for the transport

    def connectionMade(self) -> None:
        """Lets the base class begin, then the controller, which runs until it first waits.

        Where the base class fails, the connection is aborted (Twisted would leave it open), and the failure is raised,
        or told by notifyFinish().
        """
        base: Any = super()
        try:
            base.connectionMade()
            self.flow_link = link = Link(self, self.flow_terms)
        except Exception:
            getattr(self.transport, "abortConnection", self.transport.loseConnection)()
            if not self.flow_finishing:
                raise
            self._flow_never_began(_Failure())
        else:
            link.driven.start()

    def connectionLost(self, reason: failure.Failure = protocol.connectionDone) -> None:
        """Lets the base class end, and the controller be cancelled."""
        base: Any = super()
        self.reason = reason
        try:
            base.connectionLost(reason)
        finally:
            if self.flow_link is not None:
                self.flow_link.connection_lost(reason)
            else:
                self._flow_never_began(reason)

    def _flow_never_began(self, why: failure.Failure) -> None:
        waiting, self.flow_finishing = self.flow_finishing, ()
        for deferred in waiting:
            deferred.errback(why)

    def readConnectionLost(self) -> None:
        """The peer sends no more: the end of the input."""
        called = getattr(super(), "readConnectionLost", None)
        if called is not None:
            called()
        if self.flow_link is not None:
            self.flow_link.read_closed()

    def writeConnectionLost(self) -> None:
        called = getattr(super(), "writeConnectionLost", None)
        if called is not None:
            called()

    # ---- for the controller

    @property
    def events(self) -> Any:
        """The callbacks as stages: ``conn.events.lineReceived`` gives its rows, which then don't come with the others.

        Ask for it before it is called: what came earlier stays where it was.
        """
        return Events(self)

    def write(self, row: Any, /) -> None:
        """Writes a row; inside the connection's own chain it waits while the transport's buffer is full.

        Raises flow.Cancelled there when the connection is lost; from anywhere else nothing is written then.
        """
        self.flow_linked().write_from(row)

    def notifyFinish(self) -> defer.Deferred[Any]:
        """A Deferred that fires with this connection when both the controller and the connection have ended.

        It fails with what the controller raised, or with the reason when the connection was lost before the controller
        had ended. A failure that is told here is not logged.
        """
        deferred: defer.Deferred[Any] = defer.Deferred()
        if self.flow_link is not None and self.flow_link.finished:
            self.flow_link.tell(deferred)
        else:
            self.flow_finishing = (*self.flow_finishing, deferred)
        return deferred

    def cancel(self) -> None:
        """Raises flow.Cancelled where the controller waits, and aborts the connection. A no-op after the end."""
        if self.flow_link is not None:
            self.flow_link.cancel(defer.CancelledError())

    flow_watch: Callable[[Conversation, bool], None] | None = None
    flow_finishing: tuple[defer.Deferred[Any], ...] = ()

    def flow_linked(self) -> Link:
        if self.flow_link is None:
            raise NotReadyError("there is no connection yet: use it in the controller, or after connectionMade()")
        return self.flow_link

    # ---- for flow

    @property
    def label(self) -> str:
        peer = getattr(self.transport, "getPeer", lambda: None)()
        host, port = getattr(peer, "host", None), getattr(peer, "port", None)
        return type(self).__name__ if host is None else f"{type(self).__name__}({host}:{port})"

    def taken(self) -> None:
        self.flow_linked().inbox.taken()

    def rows(self, upstream: Any, scope: Scope) -> Iterator[Any]:
        return self.flow_linked().inbox.rows(upstream, scope)

    def __iter__(self) -> Iterator[Any]:
        """In its own chain, `Stage.__iter__` with one iterator less: each is a part of the stack that a pause moves."""
        strand, link = current(), self.flow_link
        if link is None or strand is None or strand.owner is not link.run or strand.passes or strand.ended:
            return super().__iter__()
        assert strand.scope is not None
        self.taken()
        rows: Iterator[Any] = strand.scope.add(self.rows(None, strand.scope))
        return rows


_WRITTEN = {"callbacks", "trap", "send", "limit", "idle", "timeout", "streaming", "finishOnConnectionLost"}
"""What a class that inherits from flow.Protocol may say about itself."""

_ENDS = {"makeConnection", "connectionMade", "connectionLost", "readConnectionLost", "writeConnectionLost"}
_ITS_OWN = {"controller", *_ENDS}
_members: dict[str, Any] = dict(cast("Any", vars(Conversation)))
_NEEDED = {"chain", "open_in", "upstream", *(name for name in _members if name[0] != "_")} - _ITS_OWN
"""Names that a base class can't have for itself."""


def _received(name: str, replaced: Any) -> Any:
    """The method that the base class calls back, in place of its own."""

    def named(self: Conversation, *args: Any, **kwargs: Any) -> None:
        if kwargs:  # a row is made of what is there in order
            args = inspect.signature(replaced).bind(self, *args, **kwargs).args[1:]
        link = self.flow_link
        if link is not None:
            link.arrived(name, args[0] if len(args) == 1 else args)

    def data_received(self: Conversation, data: bytes) -> None:
        # The way of every piece: no more is done here than must be.
        link = self.flow_link
        if link is not None and not link.hand(data):
            link.arrived(name, data)

    received: Any = data_received if name == "dataReceived" else named
    received.__wrapped__ = replaced  # a subclass replaces this one: its signature is that
    received.__name__ = name
    received.__qualname__ = f"Conversation.{name}"
    received.__doc__ = "Hands its argument on to the controller."
    return received


class Protocol(Conversation, protocol.Protocol, Stage[Any]):
    """A Twisted protocol whose behaviour is a generator: inherit from it, and write `controller`.

    ``controller(self)`` reads by iterating `self`, and what it yields is written: all that `makeProtocol` says holds
    here. The class attributes `callbacks`, `trap`, `send`, `limit`, `idle`, `timeout`, `streaming` and
    `finishOnConnectionLost` are its arguments, checked when the class is made. For another base class, name it behind
    this one.

        class Echo(flow.Protocol):
            idle = 60

            def controller(self):
                for piece in self:
                    yield piece
    """

    def controller(self) -> Any:
        """What to do with the connection: a generator, or whatever else `flow.wrap` takes."""
        raise NotImplementedError(f"{type(self).__name__} has no controller: write `def controller(self)` in it")

    def dataReceived(self, data: bytes) -> None:
        """Hands a piece on to the controller, unless a base class is to make messages of it first."""
        if "dataReceived" not in self.flow_terms.callbacks:
            base: Any = super()
            base.dataReceived(data)
        elif self.flow_link is not None:
            self.flow_link.arrived("dataReceived", data)


def makeProtocol(
    controller: Callable[[Any], Any],
    baseClass: type[Any] = protocol.Protocol,
    *callbacks: str,
    trap: type[BaseException] | tuple[type[BaseException], ...] = (),
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
) -> type[Any]:
    """Makes a Twisted protocol class out of a generator: ``factory.protocol = flow.makeProtocol(controller)``.

    For each connection ``controller(conn)`` is called: a plain or classic generator function, or whatever returns what
    `flow.wrap` takes (a stage, a list, an async generator). `conn` is the protocol, and a stage of what arrives:
    iterate it, or ``yield conn`` and ``next(conn)``. What the controller yields is written, as bytes; `send` names the
    method that writes a row instead (``send="sendLine"``). `conn` can be read once; it holds `limit` rows (16 pieces,
    256 messages), then the transport is paused. The chain waits while the transport's buffer is full.

    `callbacks` are the methods of `baseClass` whose arguments become rows: ``dataReceived`` unless said otherwise. With
    several, rows are `flow.Event`; ``conn.events.NAME`` is a stage for one of them. The base class's ``__init__``,
    ``connectionMade`` and ``connectionLost`` run.

    When the controller ends, everything that was written is sent and the connection is closed. When it fails, the
    failure is logged once (or told by ``conn.notifyFinish()``), what was written is sent, and the connection is
    aborted. The peer's half-close is the end of the input. A lost connection raises flow.Cancelled where the chain
    waits, with the reason as its cause; after a clean close with rows still unread, those come first and the next
    write raises it. A reason of a type in `trap` is the last row instead; with `finishOnConnectionLost` a
    ConnectionLost counts as a clean close.

    `idle` and `timeout`: seconds without any traffic, and in all, after which the connection is aborted and the chain
    cancelled, with a TimeoutError as the cause. `streaming`: False to let the transport pull each row. `slice`,
    `cleanup` and `on_dropped` as in `Stage.open`; what arrives and is never read is given to `on_dropped`. `reactor`:
    another one than the transport's, for tests. Raises TypeError or ValueError at once for callbacks that the base
    class doesn't have and for limits that are none.

        def shout(conn):
            for line in conn:
                yield line.upper()

        Shout = flow.makeProtocol(shout, LineReceiver, "lineReceived", send="sendLine")
    """
    if not can_be_called(controller):
        kind = type(controller).__name__
        raise TypeError(f"makeProtocol(controller) must be a function of a connection, not {kind}")
    base: Any = baseClass
    if not is_a(base, type):
        raise TypeError(f"makeProtocol(controller, baseClass, *callbacks): baseClass must be a class, not {base!r}")
    clashes = sorted(name for name in _NEEDED if hasattr(baseClass, name))
    if clashes:
        raise TypeError(
            f"makeProtocol() can't use {baseClass.__name__} as it is: a connection of flow needs the names "
            f"{', '.join(clashes)} for itself. Let a small protocol of yours use {baseClass.__name__}, and make it the "
            "base class"
        )
    given: dict[str, Any] = {
        "callbacks": callbacks,
        "trap": trap,
        "send": send,
        "limit": limit,
        "idle": idle,
        "timeout": timeout,
        "streaming": streaming,
        "finishOnConnectionLost": finishOnConnectionLost,
        "slice": slice,
        "cleanup": cleanup,
        "on_dropped": on_dropped,
        "reactor": reactor,
    }
    Terms(**given).check(baseClass)
    members = {
        "__module__": getattr(controller, "__module__", __name__),
        "__doc__": f"{baseClass.__name__} with the controller {label_of(controller)}.",
        "flow_given": given,
        "controller": staticmethod(controller),
    }
    return new_class(baseClass.__name__, (Conversation, baseClass, Stage), {}, lambda names: names.update(members))
