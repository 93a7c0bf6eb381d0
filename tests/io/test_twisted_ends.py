"""The ways in which a connection of Twisted ends, under a controller: closes, half-closes, losses, cancels.

CONTRACT 14-16 and 30, and R5 (2003 resumed a sleeping generator when the connection was lost, and let it write).
Failures are in `test_twisted_failures.py`, the times that end a connection in `test_twisted_times.py`.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

pytest.importorskip("twisted")

from twisted.internet import defer
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.protocols.basic import LineReceiver

import flow

from .wires import BUFFER, SecureWire, WireReactor, fired, logged, wire

FULL = b"x" * (BUFFER + 1)


def names(found: list[Any]) -> list[str]:
    return [type(each).__name__ for each in found]


def echo(conn: Any) -> Generator[bytes]:
    yield from conn


# --------------------------------------------------------------------------------------------------------------------
# Losses


def reads(conn: Any) -> Generator[Any]:
    yield next(iter(conn))


def reads_classic(conn: Any) -> Generator[Any]:
    yield conn
    yield next(conn)


def sleeps(conn: Any) -> Generator[Any]:
    yield flow.Cooperate(5)
    yield b"never"


def waits_for_a_deferred(conn: Any) -> Generator[Any]:
    yield flow.wait(defer.Deferred())


def yields(conn: Any) -> Generator[Any]:
    while True:
        yield FULL


def writes(conn: Any) -> Generator[Any]:
    while True:
        conn.write(FULL)
    yield


def merges(conn: Any) -> Generator[Any]:
    def ticks() -> Generator[Any]:
        while True:
            flow.sleep(5)
            yield b"tick"

    yield from flow.Merge(conn, ticks)


PLACES: list[Any] = [reads, reads_classic, sleeps, waits_for_a_deferred, yields, writes, merges]


@pytest.mark.parametrize("cleanup", [0, 3])
@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_a_loss_wherever_it_waits(reactor: WireReactor, place: Any, cleanup: float) -> None:
    """CONTRACT 14, 15, 30, R5: it is not resumed early; closed at once, and once; its finally may wait; no write comes.

    Where the controller itself waits it sees Cancelled, with the reason as its cause; at a ``yield`` that waits for the
    transport it is closed, as a generator is.
    """
    seen: list[Any] = []

    def controller(conn: Any) -> Generator[Any]:
        try:
            yield from place(conn)
        except BaseException as error:
            seen.append(error)
            raise
        finally:
            if cleanup:
                flow.sleep(cleanup)
            seen.append(reactor.seconds())

    line = wire(controller, reactor, room=0)
    ended = fired(line.conn.notifyFinish())
    reactor.turn(1)
    error = ConnectionLost("gone")
    line.lose(error)
    if cleanup:
        assert not ended
        reactor.turn(cleanup)
    raised, when = seen
    if place is yields:
        assert isinstance(raised, GeneratorExit)
    else:
        assert isinstance(raised, flow.Cancelled)
        assert raised.__cause__ is error
    assert when == 1 + cleanup
    assert ended == [error]
    assert line.conn.reason.value is error
    line.finish()


def test_a_loss_while_the_chain_waits_to_write(reactor: WireReactor) -> None:
    """CONTRACT 30, R5: Twisted tells its producer of a loss before the protocol: no row may be made in between."""
    made: list[Any] = []

    def endless(conn: Any) -> Generator[bytes]:
        while True:
            made.append(None)
            yield FULL

    line = wire(endless, reactor, room=0)
    assert len(made) == 1
    line.lose().finish()
    assert len(made) == 1


@pytest.mark.parametrize("place", [sleeps, waits_for_a_deferred], ids=lambda place: place.__name__)
def test_a_clean_close_while_it_waits_for_something_else(reactor: WireReactor, place: Any) -> None:
    """CONTRACT 15, R5: nothing unread, and a wait that has nothing to do with the connection: cancelled at once."""
    line = wire(place, reactor, kind=SecureWire)
    ended = fired(line.conn.notifyFinish())
    line.lose(ConnectionDone()).finish()
    assert names(ended) == ["ConnectionDone"]


def test_a_clean_close_after_all_was_read(reactor: WireReactor) -> None:
    """CONTRACT 15: rows that came in one go and have all been taken are not unread."""
    rows: list[bytes] = []

    def controller(conn: Any) -> Generator[bytes]:
        flow.sleep(1)
        for row in conn:
            rows.append(row)
            if len(rows) == 3:
                flow.sleep(3600)
        yield b"never"

    line = wire(controller, reactor, kind=SecureWire).send(b"1", b"2", b"3")
    ended = fired(line.conn.notifyFinish())
    reactor.turn(1)
    line.lose(ConnectionDone()).finish()
    assert rows == [b"1", b"2", b"3"]
    assert names(ended) == ["ConnectionDone"]


def test_a_clean_close_with_rows_unread(reactor: WireReactor) -> None:
    """CONTRACT 2, 3, 30: after a clean close the rows that came are read, then the loop ends; the next write raises."""
    rows: list[Any] = []

    def controller(conn: Any) -> Generator[bytes]:
        for row in conn:
            flow.sleep(1)
            rows.append(row)
        rows.append("end")
        try:
            conn.write(b"to nobody")
        except flow.Cancelled as error:
            rows.append(type(error.__cause__).__name__)
            raise
        yield b"never"

    line = wire(controller, reactor, kind=SecureWire).send(b"1", b"2", b"3")
    ended = fired(line.conn.notifyFinish())
    line.lose(ConnectionDone())
    for _ in range(3):
        assert not ended
        reactor.turn(1)
    assert rows == [b"1", b"2", b"3", "end", "ConnectionDone"]
    assert names(ended) == ["ConnectionDone"]
    line.finish()


def test_a_reader_that_writes_nothing_ends_well(reactor: WireReactor) -> None:
    """CONTRACT 3: a controller that has read all until a clean close, and writes no more, has finished."""
    rows: list[Any] = []

    def controller(conn: Any) -> Generator[bytes]:
        rows.extend(conn)
        return
        yield

    line = wire(controller, reactor, kind=SecureWire).send(b"1", b"2")
    ended = fired(line.conn.notifyFinish())
    line.lose(ConnectionDone()).finish()
    assert rows == [b"1", b"2"]
    assert ended == [line.conn]


def test_a_reset_with_rows_unread(reactor: WireReactor) -> None:
    """CONTRACT 16: after a reset nothing more is read: the rows are counted, and given to `on_dropped`."""
    dropped: list[bytes] = []

    def controller(conn: Any) -> Generator[bytes]:
        for row in conn:
            flow.sleep(1)
            yield row

    line = wire(controller, reactor, on_dropped=dropped.extend).send(b"1", b"2", b"3")
    line.lose().finish()
    assert dropped == [b"2", b"3"]
    assert line.conn.flow_link.run.dropped == 2


@pytest.mark.parametrize(("finish", "ends"), [(False, "ConnectionLost"), (True, "Protocol")])
def test_finish_on_connection_lost(reactor: WireReactor, finish: bool, ends: str) -> None:
    """`finishOnConnectionLost`: a ConnectionLost is as good as a close; without it, it is none."""
    rows: list[Any] = []

    def controller(conn: Any) -> Generator[bytes]:
        for row in conn:
            flow.sleep(1)
            rows.append(row)
        return
        yield

    line = wire(controller, reactor, finishOnConnectionLost=finish).send(b"1", b"2")
    ended = fired(line.conn.notifyFinish())
    line.lose()
    reactor.turn(1)
    reactor.turn(1)
    assert rows == ([b"1", b"2"] if finish else [])
    assert names(ended) == [ends]
    line.finish()


@pytest.mark.parametrize("trap", [ConnectionLost, (ValueError, ConnectionLost), (Exception,)])
@pytest.mark.parametrize("several", [False, True])
def test_a_trapped_reason_is_the_last_row(reactor: WireReactor, trap: Any, several: bool) -> None:
    """CONTRACT 3: `trap`: the rows, then the reason itself as the last one; nothing can be written then."""
    rows: list[Any] = []

    def controller(conn: Any) -> Generator[bytes]:
        for row in conn:
            flow.sleep(1)
            rows.append(row)
        yield b"never"

    callbacks = ("lineReceived", "rawDataReceived") if several else ("lineReceived",)
    line = wire(controller, reactor, LineReceiver, *callbacks, trap=trap).send(b"1\r\n2\r\n3\r\n")
    ended = fired(line.conn.notifyFinish())
    error = ConnectionLost("gone")
    line.lose(error)
    for _ in range(4):
        reactor.turn(1)
    if several:
        assert rows[-1] == flow.Event("connectionLost", error)
        assert [row for _, row in rows] == [b"1", b"2", b"3", error]
    else:
        assert rows == [b"1", b"2", b"3", error]
    assert names(ended) == ["ConnectionLost"]
    line.finish()


def test_a_reason_that_is_not_trapped(reactor: WireReactor) -> None:
    """CONTRACT 15: another reason cancels, whatever is trapped; so does one after the end of the input."""
    other = wire(sleeps, reactor, trap=ConnectionDone)
    ended = fired(other.conn.notifyFinish())
    other.lose().finish()
    assert names(ended) == ["ConnectionLost"]

    def after_the_end(conn: Any) -> Generator[bytes]:
        assert list(conn) == []
        flow.sleep(3600)
        yield b"never"

    dropped: list[Any] = []
    line = wire(after_the_end, reactor, trap=ConnectionLost, on_dropped=dropped.extend).half_close()
    ended = fired(line.conn.notifyFinish())
    line.lose().finish()
    assert names(ended) == ["ConnectionLost"]
    assert dropped == []


def test_a_chain_that_swallows_the_loss(reactor: WireReactor) -> None:
    """CONTRACT 15: a controller that catches the cancel is asked again at its next wait, and writes nothing."""
    caught: list[Any] = []

    def stubborn(conn: Any) -> Generator[bytes]:
        for attempt in range(5):
            try:
                yield next(iter(conn)) if attempt == 0 else b"to nobody"
                flow.sleep(1)
            except flow.Cancelled as error:
                caught.append(error)

    line = wire(stubborn, reactor)
    ended = fired(line.conn.notifyFinish())
    error = ConnectionLost("gone")
    line.lose(error).finish()
    assert caught
    assert all(each.__cause__ is error for each in caught)
    assert ended == [error]
    assert line.sent == b""


def test_a_cleanup_that_writes(reactor: WireReactor) -> None:
    """CONTRACT 30: a finally after the loss that writes: Cancelled there, with the reason, and nothing is written."""
    seen: list[Any] = []

    def controller(conn: Any) -> Generator[bytes]:
        try:
            yield from conn
        finally:
            conn.transport.write(b"")
            try:
                conn.write(b"bye")
            except flow.Cancelled as error:
                seen.append(type(error.__cause__))
            seen.append("closed")

    line = wire(controller, reactor)
    line.lose().clock.turn()
    assert seen == [ConnectionLost, "closed"]
    assert line.after_loss == [b""]
    reactor.check()


# --------------------------------------------------------------------------------------------------------------------
# Half-closes


def test_a_half_close_is_the_end_of_the_input(reactor: WireReactor) -> None:
    """CONTRACT 3, 30: the loop ends after the rows that came; what is yielded then still arrives; then it is closed."""
    ended_at: list[float] = []

    def controller(conn: Any) -> Generator[bytes]:
        total = 0
        for row in conn:
            flow.sleep(1)
            total += len(row)
        ended_at.append(reactor.seconds())
        flow.sleep(10)
        yield b"%d;" % total
        yield FULL

    line = wire(controller, reactor, room=10).send(b"12345", b"67").half_close()
    ended = fired(line.conn.notifyFinish())
    reactor.turn(1)
    reactor.turn(1)
    assert ended_at == [2.0]
    reactor.turn(10)
    assert line.sent.startswith(b"7;x")
    assert not ended
    assert line.take() == b"7;" + FULL
    assert ended == [line.conn]
    line.finish()


def test_a_half_close_while_it_does_not_read(reactor: WireReactor) -> None:
    """CONTRACT 15: the end of the input is no loss: what the chain waits for goes on."""
    line = wire(sleeps, reactor).half_close()
    reactor.turn(5)
    assert line.sent == b"never"
    line.finish()


def test_a_half_close_after_the_end_of_the_chain(reactor: WireReactor) -> None:
    """CONTRACT 30: the peer closes its side after ours: then all is closed, at once and well."""
    line = wire(lambda conn: [b"bye"], reactor)
    ended = fired(line.conn.notifyFinish())
    assert (line.sent, line.write_closed, line.disconnected) == (b"bye", True, 0)
    line.send(b"it goes on sending")
    assert not ended
    line.half_close().finish()
    assert ended == [line.conn]


def test_a_loss_after_the_end_of_the_chain(reactor: WireReactor) -> None:
    """CONTRACT 30: a reset while the last rows are on their way is told: they may not have arrived."""
    line = wire(lambda conn: [b"bye"], reactor, room=0)
    ended = fired(line.conn.notifyFinish())
    with logged() as failures:
        line.lose().finish()
    assert names(ended) == ["ConnectionLost"]
    assert failures == []


# --------------------------------------------------------------------------------------------------------------------
# Cancels


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_a_cancel_wherever_it_waits(reactor: WireReactor, place: Any) -> None:
    """CONTRACT 15: ``conn.cancel()``: closed as by a loss, then the connection is aborted; again is a no-op."""
    line = wire(place, reactor, room=0)
    ended = fired(line.conn.notifyFinish())
    line.conn.cancel()
    line.conn.cancel()
    assert not ended
    line.finish()
    assert names(ended) == ["CancelledError"]
    assert isinstance(line.reason, ConnectionAborted)
    line.conn.cancel()


def test_a_cancel_from_inside(reactor: WireReactor) -> None:
    """CONTRACT 15: a controller may cancel its own connection: Cancelled is raised at its next wait."""
    steps: list[str] = []

    def controller(conn: Any) -> Generator[bytes]:
        yield b"before"
        conn.cancel()
        steps.append("goes on to the next wait")
        yield b"never"
        steps.append("never")

    line = wire(controller, reactor)
    ended = fired(line.conn.notifyFinish())
    assert steps == ["goes on to the next wait"]
    line.finish()
    assert names(ended) == ["CancelledError"]


def test_a_cancel_during_a_cleanup(reactor: WireReactor) -> None:
    """CONTRACT 14, 15: a cleanup is not cut short by a further cancel, nor by a loss; the first reason counts."""
    closed: list[float] = []

    def controller(conn: Any) -> Generator[bytes]:
        try:
            yield from conn
        finally:
            flow.sleep(3)
            closed.append(reactor.seconds())

    line = wire(controller, reactor)
    ended = fired(line.conn.notifyFinish())
    line.conn.cancel()
    reactor.turn(1)
    line.conn.cancel()
    line.lose()
    line.conn.cancel()
    reactor.turn(1)
    assert not closed
    reactor.turn(1)
    assert closed == [3.0]
    assert names(ended) == ["CancelledError"]
    line.finish()


@pytest.mark.parametrize("options", [{}, {"trap": ConnectionDone}])
def test_a_cancel_after_a_clean_loss(reactor: WireReactor, options: Any) -> None:
    """CONTRACT 15: while the chain still reads what came before a clean (or a trapped) loss, it can be cancelled."""

    def controller(conn: Any) -> Generator[bytes]:
        for _ in conn:
            flow.sleep(3600)
        yield b"never"

    line = wire(controller, reactor, kind=SecureWire, **options).send(b"1", b"2")
    ended = fired(line.conn.notifyFinish())
    line.lose(ConnectionDone())
    assert not ended
    line.conn.cancel()
    assert names(ended) == ["CancelledError"]
    line.finish()


def test_a_cancel_after_the_end_of_the_chain(reactor: WireReactor) -> None:
    """CONTRACT 15: rows that are still being sent are given up, and the connection aborted."""
    line = wire(lambda conn: [FULL, b"bye"], reactor, room=BUFFER)
    ended = fired(line.conn.notifyFinish())
    line.room = 0
    line.take(2)
    line.conn.cancel()
    line.finish()
    assert names(ended) == ["CancelledError"]
    assert isinstance(line.reason, ConnectionAborted)
