"""Times that end a connection of Twisted, to the exact second of a clock: `idle`, `timeout`, and `cleanup` at its end.

CONTRACT 15 and 30: a slow loris, a peer that never reads, and one that never closes, are not waited for.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from math import inf
from typing import Any

import pytest

pytest.importorskip("twisted")

from twisted.internet.error import ConnectionAborted, ConnectionDone

import flow

from .wires import BUFFER, SecureWire, Wire, WireReactor, logged, wire

FULL = b"x" * (BUFFER + 1)


def echo(conn: Any) -> Generator[bytes]:
    yield from conn


def endless(conn: Any) -> Generator[bytes]:
    while True:
        yield FULL


def quiet(conn: Any) -> Generator[bytes]:
    flow.sleep(3600)
    yield b"never"


def ended_at(line: Wire) -> list[Any]:
    """When it had ended, and how, once it has."""
    found: list[Any] = []
    line.conn.notifyFinish().addBoth(
        lambda result: found.extend([line.clock.seconds(), getattr(result, "value", None)])
    )
    return found


def run(line: Wire, seconds: float, step: float = 0.25) -> None:
    for _ in range(int(seconds / step)):
        line.clock.turn(step)


# --------------------------------------------------------------------------------------------------------------------
# timeout and idle


@pytest.mark.parametrize("controller", [echo, quiet, endless])
def test_timeout_is_for_all_of_it(reactor: WireReactor, controller: Any) -> None:
    """CONTRACT 30: `timeout` seconds after the beginning it is cancelled and aborted, whatever goes on meanwhile."""
    line = wire(controller, reactor, room=0, timeout=10)
    found = ended_at(line)
    for _ in range(39):
        if controller is echo:
            line.send(b"x")
        line.take(1000)
        reactor.turn(0.25)
        line.take(1000)
    assert found == []
    reactor.turn(0.25)
    when, error = found
    assert when == 10
    assert isinstance(error, TimeoutError)
    assert "Protocol(192.0.2.1:1234) lasted more than 10 s" in str(error)
    assert isinstance(line.reason, ConnectionAborted)
    line.finish()


def test_idle_is_without_any_traffic(reactor: WireReactor) -> None:
    """CONTRACT 30: `idle` seconds after the last byte in either direction: not before, and not later."""
    line = wire(echo, reactor, idle=10)
    found = ended_at(line)
    run(line, 9)
    line.send(b"1")  # at 9, and echoed
    run(line, 9.75)
    assert found == []
    run(line, 0.25)
    when, error = found
    assert when == 19
    assert "was idle for 10 s" in str(error)
    line.finish()


def test_idle_counts_what_is_written(reactor: WireReactor) -> None:
    """CONTRACT 30: a peer that only listens keeps the connection alive as long as rows are written."""

    def ticks(conn: Any) -> Generator[bytes]:
        for _ in range(10):
            flow.sleep(9)
            yield b"tick"
        conn.write(b"from the chain")
        flow.sleep(3600)
        yield b"never"

    line = wire(ticks, reactor, idle=10)
    found = ended_at(line)
    for _ in range(10):
        reactor.turn(9)
    assert found == []
    reactor.turn(9)
    line.conn.transport.write(b"past the chain: this is none of its traffic")
    run(line, 1)
    assert found[0] == 100
    line.finish()


@pytest.mark.parametrize("streaming", [True, False])
def test_idle_and_a_peer_that_does_not_read(reactor: WireReactor, streaming: bool) -> None:
    """CONTRACT 30: a slow reader is alive as long as it takes a buffer now and then; one that takes nothing is not."""
    line = wire(endless, reactor, room=0, idle=10, streaming=streaming)
    found = ended_at(line)
    for _ in range(5):
        run(line, 9)
        line.take(line.buffered)
    assert found == []
    line.take(5)
    run(line, 9.75)
    assert found == []
    run(line, 0.25)
    assert found[0] == 55
    line.finish()


def test_a_slow_loris(reactor: WireReactor) -> None:
    """CONTRACT 30: a byte now and then keeps it from being idle; `timeout` ends it."""
    line = wire(lambda conn: conn | flow.lines(), reactor, idle=5, timeout=30)
    found = ended_at(line)
    for second in range(30):
        assert found == []
        if second % 4 == 0:
            line.send(b"G")
        reactor.turn(1)
    assert found[0] == 30
    assert line.sent == b""
    line.finish()


def test_they_leave_no_timers(reactor: WireReactor) -> None:
    """CONTRACT 24: one timer each, however much traffic there is; none after the end, in whatever way it comes."""
    for end in ("half_close", "lose", "cancel", "fail"):
        line = wire(lambda conn: conn.map(bytes.upper), reactor, idle=10, timeout=100)
        with logged():
            for _ in range(20):
                line.send(b"x" * 100)
                reactor.turn(1)
                assert len(reactor.getDelayedCalls()) == 2
            if end == "cancel":
                line.conn.cancel()
            elif end == "fail":
                line.conn.dataReceived(None)
            else:
                getattr(line, end)()
        line.finish()


def test_no_limit_at_all(reactor: WireReactor) -> None:
    """CONTRACT 22: infinite times are no times."""
    line = wire(echo, reactor, idle=inf, timeout=inf, cleanup=inf)
    reactor.turn(1e6)
    line.send(b"still there").half_close()
    assert line.sent == b"still there"
    line.finish()


def test_timeout_after_a_clean_loss(reactor: WireReactor) -> None:
    """CONTRACT 30: a chain that reads what came before a clean close is idle no more, but `timeout` still holds."""

    def slow(conn: Any) -> Generator[bytes]:
        for _ in conn:
            flow.sleep(8)
        yield b"never"

    line = wire(slow, reactor, kind=SecureWire, idle=5, timeout=20, limit=99)
    for _ in range(9):
        line.send(b"x")
    found = ended_at(line)
    line.lose(ConnectionDone())
    for _ in range(19):
        reactor.turn(1)
    assert found == []
    reactor.turn(1)
    assert found[0] == 20
    assert isinstance(found[1], TimeoutError)
    line.finish()


def test_a_timeout_during_the_last_rows(reactor: WireReactor) -> None:
    """CONTRACT 30: a peer that does not read the last rows is not waited for beyond `idle`; that is told."""
    line = wire(lambda conn: [b"bye"], reactor, room=0, idle=7)
    found = ended_at(line)
    run(line, 6.75)
    assert found == []
    run(line, 0.25)
    assert found[0] == 7
    assert isinstance(found[1], TimeoutError)
    assert isinstance(line.reason, ConnectionAborted)
    line.finish()


# --------------------------------------------------------------------------------------------------------------------
# cleanup


@pytest.mark.parametrize("kind", [Wire, SecureWire])
def test_a_peer_that_never_closes(reactor: WireReactor, kind: type[Wire]) -> None:
    """CONTRACT 30: after our end it has `cleanup` seconds to close its side; then it is closed, and well."""
    line = wire(lambda conn: [b"bye"], reactor, kind=kind, cleanup=3)
    if kind is SecureWire:
        line.conn.transport.__class__ = Deaf
    found = ended_at(line)
    assert line.sent == b"bye"
    for _ in range(11):
        line.send(b"it goes on sending")
        reactor.turn(0.25)
    assert found == []
    reactor.turn(0.25)
    if kind is Wire:
        assert found == [3, None]
        assert isinstance(line.reason, ConnectionDone)
        line.finish()
    else:
        assert line.disconnecting
        reactor.turn()
        assert line.disconnected


class Deaf(SecureWire):
    """Its peer does not answer TLS's close: then the socket under it is closed."""

    def loseConnection(self) -> None:
        Wire.loseConnection(self)


def test_slow_last_rows_are_not_cut_off(reactor: WireReactor) -> None:
    """CONTRACT 30: `cleanup` is for the peer's close; rows that are still being sent take their time."""
    line = wire(lambda conn: [b"x" * 100], reactor, room=0, cleanup=3)
    found = ended_at(line)
    for _ in range(100):
        reactor.turn(1)
        line.take(1)
    assert line.sent == b"x" * 100
    reactor.turn()
    assert found == [100, None]
    line.finish()


def test_a_failure_and_a_peer_that_does_not_read(reactor: WireReactor) -> None:
    """CONTRACT 30: rows before a failure have `cleanup` seconds to be sent; then the connection is aborted."""

    def fails(conn: Any) -> Generator[bytes]:
        yield b"row"
        raise ValueError("the controller fails")

    with logged() as failures:
        line = wire(fails, reactor, room=0, cleanup=3)
    found = ended_at(line)
    run(line, 2.75)
    assert found == []
    run(line, 0.25)
    assert found[0] == 3
    assert found[1] is failures[0]
    line.finish()


def cleans_up_where_it_waits(conn: Any) -> Generator[bytes]:
    try:
        yield from conn
    finally:
        flow.sleep(3600)


def cleans_up_where_it_yields(conn: Any) -> Generator[bytes]:
    try:
        yield FULL
    finally:
        flow.sleep(3600)


def cleans_up_above(conn: Any) -> flow.Stage[bytes]:
    def below(rows: Iterator[bytes]) -> Generator[bytes]:
        for row in rows:
            flow.sleep(3600)
            yield row

    def above() -> Generator[bytes]:
        try:
            yield b"row"
        finally:
            flow.sleep(3600)

    return flow.wrap(above) | below


@pytest.mark.parametrize("controller", [cleans_up_where_it_waits, cleans_up_where_it_yields, cleans_up_above])
@pytest.mark.parametrize("end", ["lose", "cancel", "timeout"])
def test_a_cleanup_has_a_deadline(reactor: WireReactor, controller: Any, end: str) -> None:
    """CONTRACT 15: a cleanup that goes on waiting is ended after `cleanup` seconds, wherever it waits, and named."""
    with logged() as failures:
        line = wire(controller, reactor, room=0, cleanup=3, timeout=1 if end == "timeout" else None)
        found = ended_at(line)
        if end == "lose":
            line.lose()
        elif end == "cancel":
            line.conn.cancel()
        else:
            reactor.turn(1)
        begun = reactor.seconds()
        run(line, 2.75)
        assert found == []
        run(line, 0.25)
    assert failures == []
    assert found[0] == begun + 3
    assert isinstance(found[1], flow.CleanupTimeoutError)
    assert "cleans_up" in str(found[1])
    line.finish()


def test_a_cleanup_of_a_failure_takes_its_time(reactor: WireReactor) -> None:
    """CONTRACT 14: the deadline is that of a cancel; a chain that fails cleans up as long as it takes."""

    def fails(conn: Any) -> Generator[bytes]:
        try:
            raise ValueError("the controller fails")
            yield
        finally:
            flow.sleep(60)

    with logged() as failures:
        line = wire(fails, reactor, cleanup=3)
        reactor.turn(59)
        assert failures == []
        reactor.turn(1)
    assert len(failures) == 1
    line.finish()
