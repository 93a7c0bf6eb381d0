"""Torture for connections: each kind of controller, ended in each way at each moment of a conversation.

Whatever happens: what was opened is closed, once; the end is told, once; nothing is written after the loss; no timer,
descriptor or run is left; and what the peer got is the beginning of the right answer, all of it after an orderly end.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Generator, Iterable
from itertools import product
from typing import Any

import pytest

pytest.importorskip("twisted")
pytest.importorskip("hypothesis")

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.protocols.basic import LineReceiver

import flow

from ..conformance.drivers import installed
from .wires import SecureWire, SuddenWire, Wire, WireReactor, fired, logged

Log = list[str]
PIECES = [b"a\r\n", b"b\r\nc\r\nd\r\n", b"e", b"\r\n" + b"f" * 30 + b"\r\n", b"g\r\n", b"h\r\n" * 9]


# --------------------------------------------------------------------------------------------------------------------
# Controllers: each echoes in its own way, and notes when it is opened and closed


def closes(log: Log, seconds: float) -> None:
    """A cleanup that waits; after an end of its own, the chain may be cancelled in it."""
    try:
        flow.sleep(seconds)
    finally:
        log.append("closed")


def plain(log: Log) -> Callable[[Any], Any]:
    def controller(conn: Any) -> Generator[bytes]:
        log.append("opened")
        try:
            yield from conn
        finally:
            log.append("closed")

    return controller


def classic(log: Log) -> Callable[[Any], Any]:
    def controller(conn: Any) -> Generator[Any]:
        log.append("opened")
        try:
            yield conn
            for row in conn:
                yield row
                yield flow.Cooperate(0.5)
                yield conn
        finally:
            log.append("closed")

    return controller


def slow(log: Log) -> Callable[[Any], Any]:
    """Two stages, each with a cleanup that waits."""

    def stage(rows: Iterable[bytes]) -> Generator[bytes]:
        log.append("opened")
        try:
            for row in rows:
                flow.sleep(0.3)
                yield row
        finally:
            closes(log, 1)

    return lambda conn: conn | stage | stage


def writing(log: Log) -> Callable[[Any], Any]:
    def controller(conn: Any) -> Generator[bytes]:
        log.append("opened")
        try:
            for row in conn:
                conn.write(row[:1])
                yield row[1:]
        finally:
            closes(log, 0.1)

    return controller


def asynchronous(log: Log) -> Callable[[Any], Any]:
    async def controller(conn: Any) -> AsyncIterator[bytes]:
        log.append("opened")
        try:
            async for row in conn:
                yield row
        finally:
            log.append("closed")

    return controller


def merged(log: Log) -> Callable[[Any], Any]:
    def ticks() -> Generator[bytes]:
        log.append("opened")
        try:
            for _ in range(3):
                flow.sleep(0.7)
            yield from ()
        finally:
            closes(log, 0.2)

    return lambda conn: flow.Merge(conn | (lambda rows: plain(log)(rows)), ticks)


CONTROLLERS: list[Callable[[Log], Callable[[Any], Any]]] = [plain, classic, slow, writing, asynchronous, merged]

MADE: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "pieces": ((), {"limit": 2}),
    "lines": ((LineReceiver, "lineReceived"), {"limit": 2, "send": "sendLine"}),
    "pulled": ((), {"streaming": False}),
}

# --------------------------------------------------------------------------------------------------------------------
# What happens


class Scene:
    """One conversation: pieces that wait in the peer's socket, a peer that takes a few bytes, and the ways to end."""

    def __init__(self, reactor: WireReactor, kind: type[Wire], make: Any, made: str) -> None:
        self.log: Log = []
        args, options = MADE[made]
        self.reactor = reactor
        controller = make(self.log)
        if make is writing and "send" in options:
            args, options = MADE["pieces"]
        conn = flow.makeProtocol(controller, *args, cleanup=60, **options)()
        self.ended = fired(conn.notifyFinish())
        self.lines = "send" in options
        small: Any = type("Small", (kind,), {"bufferSize": 8})
        self.line: Wire = small(lambda: conn, reactor, room=0)
        self.waiting: list[bytes] = []
        self.given = b""
        self.closing = False
        self.orderly = True

    def piece(self) -> None:
        if not self.closing:
            self.waiting.append(PIECES[len(self.given) % len(PIECES)])
            self.given += self.waiting[-1]
        self.arrive()

    def arrive(self) -> None:
        while self.waiting and self.line.reading:
            self.line.send(self.waiting.pop(0))
        if self.closing and not self.waiting and self.line.reading:
            self.line.half_close()

    def time(self) -> None:
        self.reactor.turn(0.5)
        self.arrive()

    def take(self) -> None:
        self.line.take(7)
        self.arrive()

    def half_close(self) -> None:
        self.closing = True
        self.arrive()

    def reset(self) -> None:
        self.orderly = False
        self.line.lose()

    def close(self) -> None:
        self.orderly = False
        self.line.lose(ConnectionDone())

    def abort(self) -> None:
        self.orderly = False
        self.line.lose(ConnectionAborted())

    def cancel(self) -> None:
        self.orderly = False
        self.line.conn.cancel()
        self.reactor.turn()

    def twice(self) -> None:
        self.cancel()
        self.reset()
        self.cancel()

    def finish(self) -> None:
        """The peer takes all, sends all that it has, and closes."""
        self.half_close()
        for _ in range(400):
            self.line.take()
            self.time()
            if self.line.disconnected and self.ended:
                break
        self.reactor.turn()
        assert self.line.disconnected, "it hangs"
        assert len(self.ended) == 1
        assert self.log.count("opened") == self.log.count("closed")
        assert not self.line.after_loss
        self.reactor.check()
        wanted = self.given
        if self.lines:
            wanted = b"".join(line + b"\r\n" for line in self.given.split(b"\r\n")[:-1])
        assert wanted.startswith(self.line.sent)
        if self.orderly:
            assert self.line.sent == wanted
            assert self.ended == [self.line.conn]


SCRIPT = ["piece", "take", "piece", "time", "piece", "piece", "time", "take", "piece", "take", "time", "piece"]
ENDS = ["half_close", "reset", "close", "abort", "cancel", "twice"]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("make", CONTROLLERS, ids=lambda make: make.__name__)
def test_ended_at_each_moment(reactor: WireReactor, make: Any, end: str) -> None:
    """CONTRACT 2, 14-16, 30: the same conversation, ended in one way, at each moment."""
    for made, kind in product(MADE, (Wire, SecureWire, SuddenWire)):
        for moment in range(len(SCRIPT) + 1):
            with logged() as failures:
                scene = Scene(reactor, kind, make, made)
                for step in SCRIPT[:moment]:
                    getattr(scene, step)()
                getattr(scene, end)()
                for step in SCRIPT[moment:]:
                    getattr(scene, step)()
                if kind is not Wire:
                    scene.orderly = False  # it has no half-close: the peer's end is the loss of the connection
                scene.finish()
            assert not failures


STEPS = st.lists(st.sampled_from(["piece", "piece", "time", "take", *ENDS]), max_size=25)


@given(
    steps=STEPS,
    make=st.sampled_from(CONTROLLERS),
    made=st.sampled_from(sorted(MADE)),
    kind=st.sampled_from([Wire, SecureWire, SuddenWire]),
)
def test_any_conversation(steps: list[str], make: Any, made: str, kind: type[Wire]) -> None:
    """CONTRACT 2, 14-16, 30: pieces, time, a slow peer and ends in any order."""
    reactor = WireReactor()
    with installed(reactor), logged() as failures:
        scene = Scene(reactor, kind, make, made)
        for step in steps:
            getattr(scene, step)()
        if kind is not Wire:
            scene.orderly = False
        scene.finish()
    assert not failures
