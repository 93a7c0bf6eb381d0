"""One connection of Twisted, with a chain of flow between what arrives and what is written.

What arrives waits in an *inbox* for the chain, and a full inbox pauses the transport (which is an IPushProducer to
flow). What the chain yields goes to the transport, and a full transport pauses the chain (flow is an IPushProducer, or
an IPullProducer, to it: the *outbox*). So nothing grows, whichever side is slow.

What may live here: the run of a connection, and what becomes of chain and connection at the end of either. The boxes
are in `twisted_boxes.py`, the ways to close it in `twisted_closing.py`, the protocol classes that users make in
`twisted_protocol.py`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import partial
from types import FunctionType, GeneratorType
from typing import TYPE_CHECKING, Any

from twisted.internet import defer
from twisted.python import failure, log

from ..core.driven import Driven
from ..core.instruction import TURN, Handle
from ..core.microthread import MicroThread, current, wait
from ..core.run import Run
from ..core.scope import Scope, joined
from ..core.source import is_a, kind_of, with_instructions_from
from ..core.stage import Stage, label_of
from ..core.wrap import stage_of
from ..errors import Cancelled, ClosedError
from ..loops._twisted import failed, loop_for, the_reactor
from .twisted_boxes import Event, Inbox, Outbox, Terms
from .twisted_closing import Closing

if TYPE_CHECKING:
    from .twisted_protocol import Conversation

__all__ = ["Controlled", "Link"]

_log: Any = log  # as Any: these have no types
_Failure: Any = failure.Failure
_BYTES = (bytes, bytearray, memoryview)


class Controlled(Stage[Any]):
    """What the controller of a connection yields. A generator is handed on as it is: `Link` obeys what is in it."""

    def __init__(self, conn: Conversation) -> None:
        self._conn = conn

    @property
    def _controller(self) -> Any:
        """What was given as the controller, not bound to the connection."""
        conn: Any = self._conn
        own: Any = conn.__dict__.get("controller")
        return own or inspect.getattr_static(kind_of(conn), "controller")

    @property
    def _name(self) -> str:
        found = self._controller
        return label_of(found.__func__ if is_a(found, (staticmethod, classmethod)) else found)

    @property
    def label(self) -> str:
        return f"{self._name}({self._conn.label})"

    def rows(self, upstream: Any, scope: Scope) -> Iterator[Any]:
        conn = self._conn
        found = self._controller
        if is_a(found, FunctionType) and "controller" not in vars(conn):
            made = conn.controller()
        else:  # a partial becomes a method, too, from Python 3.14 on: it is called as it was given
            made = (found if is_a(found, partial) else conn.controller)(conn)
        if made is None or inspect.iscoroutine(made):
            if made is not None:
                made.close()
            raise TypeError(
                f"the controller {self._name} must yield or return what is to be written, but it returned "
                f"{type(made).__name__}. Write it as a generator: `for row in conn: yield ...`"
            )
        if is_a(made, GeneratorType):
            generator: Iterator[Any] = made
            return generator
        return stage_of(made).open_in(scope)


class Link(Closing):
    """What flow keeps of one connection, from connectionMade until both the chain and the connection have ended."""

    def __init__(self, conn: Conversation, terms: Terms) -> None:
        self.conn = conn
        self.terms = terms
        self.transport: Any = conn.transport
        loop = loop_for(the_reactor(terms.reactor or getattr(self.transport, "reactor", None)))
        self.run = Run(Controlled(conn), loop, terms.options)
        self.driven = Driven(self.run, self._ended)
        self.inbox = self._new_inbox(conn.label)
        self.hand = self.driven.hand  # what `arrived` does for a chain that waits for just this
        self.events: dict[str, Inbox] = {}
        self.tagged = len(terms.callbacks) > 1
        # Who stops reading: a base class that splits pieces into messages can stop between two of them.
        self._source: Any = conn if hasattr(conn, "pauseProducing") else self.transport
        self._full = 0  # inboxes that are full
        self._paused = False  # the source was told to stop, and not yet to go on
        self._plain = terms.send is None
        self._send: Callable[[Any], object] = self._write_bytes if terms.send is None else getattr(conn, terms.send)
        self.outbox = Outbox(self.transport, terms.streaming, self._touch)
        self.over = False  # the chain has ended
        self.lost = False  # the connection has ended
        self.finished = False  # both have, and those who wanted to know were told
        self.gone: BaseException | None = None  # raised where the chain writes, when nobody is there
        self._read_closed = False
        self._last_row: BaseException | None = None
        self._outcome: failure.Failure | None = None
        self._timers: dict[str, Handle] = {}
        if conn.flow_watch is not None:
            conn.flow_watch(conn, True)
        self.watched = terms.idle is not None
        self._last = loop.time()
        if terms.timeout is not None:
            self._after("timeout", terms.timeout, partial(self._late, f"lasted more than {terms.timeout:g} s"))
        if terms.idle is not None:
            self._after("idle", terms.idle, self._look)
        if not (self.watched or self.tagged):
            self.driven.inlet = self.inbox.channel
        self.run.begin(self._serve)

    def _inboxes(self) -> tuple[Inbox, ...]:
        return self.inbox, *self.events.values()

    def _new_inbox(self, name: str) -> Inbox:
        return Inbox(name, self.terms, self.run, self._pause, self._resume)

    def event(self, name: str) -> Inbox:
        """The inbox of one callback, from now on."""
        if name not in self.events:
            self.driven.inlet = None  # from now on a row may be for another inbox
            self.events[name] = self._new_inbox(f"{self.conn.label}.events.{name}")
            if self.inbox.channel.ended:
                self.events[name].channel.end(None)
        return self.events[name]

    # ---- what arrives

    def arrived(self, name: str, row: Any) -> None:
        if self.watched:
            self._touch()
        inbox = self.inbox
        if name in self.events:
            inbox = self.events[name]
        elif self.tagged:
            row = Event(name, row)
        try:
            inbox.channel.push_one(row)  # over the limit, if need be: one piece may hold many messages
        except ClosedError:
            self.run.drop([row])

    def _pause(self) -> None:
        self._full += 1
        if not self._paused:
            self._paused = True
            self._source.pauseProducing()

    def _resume(self) -> None:
        """In the reactor's next turn: a base class may call back at once, and here a chain is running."""
        self._full -= 1
        if self._full == 0:
            self.run.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        if self._full or not self._paused:
            return
        self._paused = False
        if not (self._read_closed or self.lost):
            self._source.resumeProducing()
            return
        if self._source is self.conn:  # it was paused when the end came, and has messages left
            base: Any = self.conn
            base.paused = False
            base.dataReceived(b"")
        if not self._paused:
            self._end_input()

    def read_closed(self) -> None:
        """The peer will send no more: the end of the input. Writing goes on."""
        self._read_closed = True
        if self.over:
            self.transport.loseConnection()
        elif not self._has_messages():
            self._end_input()

    def _has_messages(self) -> bool:
        """May the base class hold messages, because it was paused in the middle of a piece?"""
        return self._paused and self._source is self.conn

    def _end_input(self) -> None:
        if self._last_row is not None:
            self.arrived("connectionLost", self._last_row)
        for inbox in self._inboxes():
            inbox.channel.end(None)

    # ---- what is written

    def _serve(self, thread: MicroThread) -> None:
        """The body of the run: writes what the controller yields, on the chain's own stack.

        Not through `handed_to`, and a generator not through `with_instructions` as long as it yields bytes: each
        iterator less is that much less of a stack to be moved aside while the chain waits for the next piece.
        """
        run, transport, clock = self.run, self.transport, self.run.loop.clock
        outbox: Any = self.outbox
        simply = self._plain and not self.watched and not outbox.pulled
        deadline = 0.0
        with Scope(thread) as scope:
            rows: Any = run.stage.open_in(scope)
            generator = is_a(rows, GeneratorType)
            while True:
                for row in rows:
                    if thread.cancelled is not None:
                        raise thread.cancelled
                    # A deadline that is another one: the chain has just waited. It needs no look at the clock then.
                    if deadline is run.deadline and clock() >= deadline:
                        thread.pause(TURN)
                    deadline = run.deadline
                    if simply and type(row) is bytes and not outbox.full and self.gone is None:
                        transport.write(row)  # `write`, in place
                        if outbox.full:
                            wait(outbox)
                    elif generator and type(row) is not bytes:
                        break
                    else:
                        self.write(row)
                else:
                    return
                generator = False
                rows = scope.add(with_instructions_from(row, rows))

    def write(self, row: Any) -> None:
        """On the chain's own stack: writes a row, and waits while the transport has no room for more."""
        outbox = self.outbox
        while outbox.full:
            wait(outbox)
        if self.gone is not None:
            raise self.gone
        if self._plain and type(row) is bytes:
            self.transport.write(row)
        else:
            self._send(row)
        if self.watched:
            self._touch()
        if outbox.pulled and not (is_a(row, _BYTES) and len(row) == 0):
            outbox.full = True  # a transport that pulls asks for more when it has sent this
        if outbox.full:
            wait(outbox)

    def write_from(self, row: Any) -> None:
        """From anywhere: `write` inside the chain; elsewhere nothing can wait, and nobody needs to know of a loss."""
        strand = current()
        if strand is not None and strand.owner is self.run:
            self.write(row)
        elif not self.lost:
            self._send(row)

    def _write_bytes(self, row: Any) -> None:
        if type(row) is not bytes:
            if not is_a(row, _BYTES):
                raise TypeError(
                    f"the controller yielded {type(row).__name__}, and a connection writes bytes: yield "
                    f"{'row.encode()' if is_a(row, str) else 'bytes'}, or say what writes such rows with "
                    'makeProtocol(send="sendLine")'
                )
            row = bytes(row)
        self.transport.write(row)

    # ---- time

    def _after(self, name: str, seconds: float, f: Callable[[], None]) -> None:
        self._timers[name] = self.run.loop.call_later(seconds, f)

    def _touch(self) -> None:
        self._last = self.run.loop.time()

    def _look(self) -> None:
        """One timer for all of a connection's life: it looks when the last traffic was, and waits for the rest."""
        assert self.terms.idle is not None
        left = self._last + self.terms.idle - self.run.loop.time()
        if left > 0:
            self._after("idle", left, self._look)
        else:
            self._late(f"was idle for {self.terms.idle:g} s")

    def _late(self, what: str) -> None:
        self.cancel(TimeoutError(f"{self.conn.label} {what}"))

    # ---- ends

    def cancel(self, cause: BaseException) -> None:
        """Ends the chain, and with it the connection: `cause` says why."""
        if not self.over:
            self._cancel_chain(cause)
        elif not self.lost:
            self._outcome = self._outcome or _Failure(cause)
            self._abort()

    def _cancel_chain(self, cause: BaseException) -> None:
        thread: Any = self.run.thread
        if thread.cancelled is None:  # the first reason counts
            self.driven.cancel(self._write_no_more(cause))

    def _write_no_more(self, cause: BaseException) -> Cancelled:
        self.gone = gone = Cancelled(f"flow: {self.conn.label} has ended: {cause}")
        gone.__cause__ = cause
        return gone

    def _ended(self, error: BaseException | None) -> None:
        """The chain has ended, in whatever way."""
        self.over = True
        failures: list[BaseException] = []
        for inbox in self._inboxes():
            try:
                inbox.channel.close()
            except Exception as failed_hook:  # `on_dropped` is the user's
                failures.append(failed_hook)
        if failures:
            error = joined(error, failures)
        if isinstance(error, Cancelled) and error.failures:
            error = joined(None, [*error.failures])  # of a cleanup above the place where the chain was cancelled
            self.run.noted(error)
        if isinstance(error, Cancelled):
            cause = error.__cause__
            self._outcome = _Failure(cause) if isinstance(cause, Exception) else failed(error)
        elif isinstance(error, Exception):
            self._outcome = failed(error)
            if not self.conn.flow_finishing:
                _log.err(self._outcome, f"flow: {self.run.stage!r} failed")
        if self.lost:
            self._finish()
        elif isinstance(error, Exception) and self.gone is None:
            self._abort_when_sent()
        else:
            self.outbox.end()
            if error is None:
                self._close()
            else:
                self._abort()
        if error is not None and not isinstance(error, (Exception, Cancelled)):
            raise error  # an interrupt or an exit

    def connection_lost(self, reason: failure.Failure) -> None:
        """The connection has ended, in whatever way."""
        self.lost = True
        self._stop_timers(but="timeout")
        lost: Any = reason
        error: BaseException = lost.value
        if self.over:
            if self._outcome is None and not isinstance(error, self.terms.well):
                self._outcome = reason
            self._finish()
            return
        ended = self.inbox.channel.ended
        unread = self._has_messages() or any(inbox.awaits for inbox in self._inboxes())
        if isinstance(error, self.terms.trap) and not ended:
            self._last_row = error
        elif ended or not isinstance(error, self.terms.well) or not unread:
            self._cancel_chain(error)
            self.outbox.let_go()
            return
        # An end of the input: what has arrived is read first. Nothing can be written any more.
        self._write_no_more(error)
        self.outbox.let_go()
        if not self._has_messages():
            self._end_input()

    def _stop_timers(self, but: str = "") -> None:
        for name, timer in self._timers.items():
            if name != but:
                timer.cancel()

    def _finish(self) -> None:
        self.finished = True
        self._stop_timers()
        if self.conn.flow_watch is not None:
            self.conn.flow_watch(self.conn, False)
        waiting, self.conn.flow_finishing = self.conn.flow_finishing, ()
        for deferred in waiting:
            self.tell(deferred)

    def tell(self, deferred: defer.Deferred[Any]) -> None:
        """How it ended."""
        if self._outcome is None:
            deferred.callback(self.conn)
        else:
            deferred.errback(self._outcome)
