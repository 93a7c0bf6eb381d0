"""A connection of Twisted without a socket: the transport is Twisted's own, its other end is the test, time is a clock.

`Wire` is a `FileDescriptor`, the class under Twisted's sockets: its buffers, its producers, its half-closes and the
order of its calls at a loss are the real ones. Only the system calls are the test's: how much `room` the peer has, what
it sends, when it goes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from twisted.internet import abstract, address, interfaces, protocol
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import implementer

import flow
from flow.core.run import live

from ..conformance.drivers import ClockReactor

ENDLESS = 1 << 60
BUFFER = abstract.FileDescriptor.bufferSize
"""Bytes that a transport of Twisted buffers before it pauses its producer."""


class WireReactor(ClockReactor):
    """A clock, and which descriptors want to be read and written."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: dict[Any, None] = {}
        self.writers: dict[Any, None] = {}

    def addReader(self, reader: Any) -> None:
        self.readers[reader] = None

    def addWriter(self, writer: Any) -> None:
        self.writers[writer] = None

    def removeReader(self, reader: Any) -> None:
        self.readers.pop(reader, None)

    def removeWriter(self, writer: Any) -> None:
        self.writers.pop(writer, None)

    def turn(self, seconds: float = 0) -> None:
        """Time goes on; then what can be written is written and what is due is called, until all is quiet."""
        self.advance(seconds)
        for _ in range(10_000):
            writable = [each for each in self.writers if each.writable]
            for wire in writable:
                wire.ready()
            due = [call for call in self.getDelayedCalls() if call.getTime() <= self.seconds()]
            if not writable and not due:
                return
            self.advance(0)
        raise AssertionError("it never becomes quiet")

    def check(self) -> None:
        """Raises unless nothing is left: no timer, no descriptor, no run."""
        timers = [str(call) for call in self.getDelayedCalls()]
        assert not timers, f"timers are left: {timers}"
        assert not self.readers, f"readers are left: {self.readers}"
        assert not self.writers, f"writers are left: {self.writers}"
        runs = [repr(run.stage) for run in live if getattr(run.loop, "reactor", None) is self]
        assert not runs, f"runs are not over: {runs}"


@implementer(interfaces.ITCPTransport)
class Wire(abstract.FileDescriptor):
    """One connection of a protocol. `sent` is what the peer was given; the last methods are what a peer may do."""

    def __init__(self, made: Callable[[], Any], reactor: WireReactor, room: int = ENDLESS) -> None:
        super().__init__(reactor)  # type: ignore[arg-type]
        self.connected = 1
        self.clock = reactor
        self.room = room
        self.sent = b""
        self.after_loss: list[bytes] = []
        self.write_closed = self.aborted = False
        self.reason: BaseException | None = None
        self.pauses = 0
        self.conn = made()
        self.startReading()
        self.conn.makeConnection(self)
        reactor.turn()

    # ---- for the protocol

    def write(self, data: bytes) -> None:
        if self.disconnected:
            self.after_loss.append(data)
        super().write(data)

    def pauseProducing(self) -> None:
        self.pauses += 1
        super().pauseProducing()

    def getPeer(self) -> Any:
        return address.IPv4Address("TCP", "192.0.2.1", 1234)

    def getHost(self) -> Any:
        return address.IPv4Address("TCP", "192.0.2.2", 80)

    def abortConnection(self) -> None:
        if not self.disconnected and not self.aborted:
            self.aborted = True
            self.stopReading()
            self.stopWriting()
            self.clock.callLater(0, self.connectionLost, Failure(ConnectionAborted()))

    # ---- for Twisted's own class

    def writeSomeData(self, data: bytes) -> int:
        taken = data[: self.room]
        self.sent += taken
        self.room -= len(taken)
        return len(taken)

    def _closeWriteConnection(self) -> None:
        self.write_closed = True
        self.conn.writeConnectionLost()

    def readConnectionLost(self, reason: Failure) -> None:
        self.conn.readConnectionLost()

    def connectionLost(self, reason: Failure) -> None:
        if not self.disconnected:
            super().connectionLost(reason)
            self.reason = reason.value
            self.conn.connectionLost(reason)

    # ---- for the reactor

    @property
    def writable(self) -> bool:
        return bool(self.room) or not self.buffered

    def ready(self) -> None:
        why: Any = self.doWrite()
        if why:
            self.connectionLost(Failure(why))

    # ---- what the peer does and sees

    @property
    def reading(self) -> bool:
        return self in self.clock.readers

    @property
    def buffered(self) -> int:
        """Bytes that were written and that the peer did not take yet."""
        return len(self.dataBuffer) - self.offset + self._tempDataLen

    def send(self, *pieces: bytes) -> Wire:
        """Gives pieces to the protocol, as the reactor does: only while it reads."""
        for piece in pieces:
            assert self.reading, "the transport is paused: its peer's bytes stay in the socket"
            self.conn.dataReceived(piece)
            self.clock.turn()
        return self

    def offer(self, pieces: list[bytes]) -> int:
        """`send`, as long as the transport reads; says how many pieces it took."""
        taken = 0
        while taken < len(pieces) and self.reading:
            self.send(pieces[taken])
            taken += 1
        return taken

    def take(self, count: int = ENDLESS) -> bytes:
        """The peer takes so many bytes more; gives all that it has."""
        self.room += count
        self.clock.turn()
        return self.sent

    def half_close(self) -> Wire:
        """The peer will send no more."""
        assert self.reading
        self.stopReading()
        self.readConnectionLost(Failure(ConnectionDone()))
        self.clock.turn()
        return self

    def lose(self, why: Exception | None = None) -> Wire:
        """The connection is lost: a reset, unless it is said why."""
        self.connectionLost(Failure(why or ConnectionLost()))
        self.clock.turn()
        return self

    def finish(self) -> Wire:
        """The peer answers a close with its own; then nothing may be left, and nothing was written after the loss."""
        self.clock.turn()
        if not self.disconnected:
            assert self.write_closed or self.disconnecting, "flow has not closed it"
            self.half_close()
        assert self.disconnected
        assert not self.after_loss
        self.clock.check()
        return self


@implementer(interfaces.ISSLTransport)
class SecureWire(Wire):
    """As TLS: it can't be closed on one side only, so that the peer's close is its end."""

    def loseConnection(self) -> None:
        self.write_closed = True  # it tells the peer, and goes on reading until that answers

    def readConnectionLost(self, reason: Failure) -> None:
        self.connectionLost(reason)


class SuddenWire(SecureWire):
    """As some transports for tests: a close or an abort calls back there and then, in the middle of what goes on."""

    def loseConnection(self) -> None:
        self.writable_at_once()
        self.connectionLost(Failure(ConnectionDone()))

    def abortConnection(self) -> None:
        self.connectionLost(Failure(ConnectionAborted()))

    def writable_at_once(self) -> None:
        """It takes everything."""
        self.room = ENDLESS
        while self.buffered and not self.disconnected:
            self.doWrite()


def wire(
    controller: Callable[[Any], Any],
    reactor: WireReactor,
    base: type[Any] = protocol.Protocol,
    *callbacks: str,
    kind: type[Wire] = Wire,
    room: int = ENDLESS,
    **options: Any,
) -> Wire:
    """A connection with this controller."""
    return kind(flow.makeProtocol(controller, base, *callbacks, **options), reactor, room)


def fired(deferred: Any) -> list[Any]:
    """What the Deferred fires with, a failure as its exception; empty as long as it has not fired."""
    found: list[Any] = []
    deferred.addBoth(lambda result: found.append(result.value if isinstance(result, Failure) else result))
    return found


@contextmanager
def logged() -> Iterator[list[BaseException]]:
    """The failures that Twisted's log is given meanwhile."""
    found: list[BaseException] = []

    def observe(event: Any) -> None:
        if event.get("isError") or "log_failure" in event:
            found.append((event.get("failure") or event["log_failure"]).value)

    globalLogPublisher.addObserver(observe)
    try:
        yield found
    finally:
        globalLogPublisher.removeObserver(observe)
