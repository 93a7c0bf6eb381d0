"""How a connection of Twisted is closed when its chain has ended: what was written is sent first.

What may live here: closing and resetting, in whatever steps the transport needs for it. When which of them is due is
the business of `twisted_link.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.internet import interfaces

from ..core.instruction import Resume
from .twisted_boxes import Last, Outbox, Terms, bottom_of, is_secure, unacknowledged

if TYPE_CHECKING:
    from ..core.run import Run

__all__ = ["Closing"]

ARRIVAL = 0.01
"""Seconds between two looks whether the peer's system has what was sent, before a connection is reset."""

_can_half_close: Any = interfaces.IHalfCloseableDescriptor  # as Any: it has no types


class Closing:
    """The ends of a connection, as `Link` has them."""

    transport: Any
    terms: Terms
    run: Run
    outbox: Outbox
    lost: bool
    _full: int
    _paused: bool
    _read_closed: bool

    def _after(self, name: str, seconds: float, f: Callable[[], None]) -> None:
        """Calls `f` later, unless all is over by then."""
        raise NotImplementedError

    def _go_on(self) -> None:
        """The source may go on."""
        raise NotImplementedError

    def _close(self) -> None:
        """Sends what was written, then closes.

        A socket that is closed while something unread is in it is reset, and the reset may overtake what was written
        last. So where the peer may still be sending, only the writing side is closed at first
        (test_twisted_protocol.py::test_the_last_rows_arrive_although_the_peer_goes_on_sending). TLS ends with a message
        to the peer, and waits for its answer.
        """
        transport = self.transport
        secure = is_secure(transport)
        if self._read_closed or not (secure or _can_half_close.providedBy(transport)):
            self._paused = False
            transport.loseConnection()
            return
        if self.terms.options.cleanup < float("inf"):
            self._after("close", self.terms.options.cleanup, self._hang_up)
        if secure:
            transport.loseConnection()
        else:
            transport.loseWriteConnection()
        if self._paused:
            self._full = 0
            self.run.loop.call_soon(self._go_on)  # what comes is dropped; the peer's own close is behind it

    def _hang_up(self) -> None:
        """Waits no longer for the peer to close, too; what is still to be sent is sent."""
        bottom_of(self.transport).loseConnection()

    def _abort_when_sent(self) -> None:
        """Sends what was written, then resets the connection: a peer can tell a failure from an end."""
        if self.terms.options.cleanup < float("inf"):
            self._after("close", self.terms.options.cleanup, self._abort)
        if is_secure(self.transport):
            # TLS keeps small rows for a turn, to send them together; and it keeps rows, and pauses its producer, as
            # long as its handshake is not done (scenarios_tls.py: it_fails_before_the_handshake).
            self._after("turn", 0, lambda: self._after("turn", 0, self._abort_when_drained))
        else:
            self._abort_when_out()

    def _abort_when_drained(self) -> None:
        self.outbox.callLater(Resume(self.run.loop, lambda value, error: self._abort_when_out()))

    def _abort_when_out(self) -> None:
        """What was written is in the socket's transport: when that has sent it, the connection is reset."""
        if self.lost:
            return
        self.outbox.end()
        bottom = bottom_of(self.transport)
        if not (hasattr(bottom, "startWriting") and hasattr(bottom, "registerProducer")):
            self._abort()
            return
        bottom.registerProducer(Last(bottom, partial(self._abort_when_arrived, bottom)), False)
        bottom.startWriting()

    def _abort_when_arrived(self, bottom: Any) -> None:
        """A reset throws away what is on its way: it waits until the peer's system has it, where this one can tell."""
        if not self.lost and unacknowledged(bottom):
            self._after("arrived", ARRIVAL, partial(self._abort_when_arrived, bottom))
        else:
            self._abort()

    def _abort(self) -> None:
        getattr(self.transport, "abortConnection", self.transport.loseConnection)()
