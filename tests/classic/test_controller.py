"""flow.classic's Block and Deferred, as the suite, the manual and the docstrings of 2003 showed them."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
from twisted.internet import defer

import flow as today
from flow.classic import flow
from flow.testing import Tracked, nothing_left, virtual_time

from ..conformance.drivers import ClockReactor, installed
from .ways import in_a_block, timed


def leaky() -> Generator[Any]:
    yield "full"
    raise ZeroDivisionError("empty")


# ------------------------------------------------------------------------------------------------------------------
# Block


def test_block_is_an_iterator() -> None:
    """2003: next() gives a row, and StopIteration at the end, again and again."""
    rows = flow.Block([1, flow.Cooperate(1), 2])
    with virtual_time():
        assert rows.next() == 1
        assert next(rows) == 2
        for _ in range(2):
            with pytest.raises(StopIteration):
                rows.next()
    assert isinstance(rows, flow.Controller)


def test_block_sleeps() -> None:
    """The manual: it blocks while the stage pauses, and rows before the pause have been handed on by then."""

    def slowly() -> Generator[Any]:
        yield "at once"
        yield flow.Cooperate(2)
        yield "late"

    assert timed(slowly) == [("at once", 0), ("late", 2)]


def test_block_runs_every_stage() -> None:
    """2003 knew nothing but Cooperate there (fault C1)."""
    ticks = flow.Callback()
    ticks.result("pushed")
    ticks.finish()
    assert in_a_block(flow.Merge(ticks, defer.succeed("fired"))) == ["pushed", "fired"]

    class Longer(flow.Cooperate):
        """2003 refused what was not a Cooperate itself."""

    assert in_a_block([Longer(5), 1]) == [1]


def test_block_closes() -> None:
    """As today's does: with close(), or by leaving its ``with``."""
    source = Tracked([1, 2, 3])
    with flow.Block(source) as rows:
        assert rows.next() == 1
    nothing_left(source)
    assert list(rows) == []


def test_block_on_a_reactor_that_runs() -> None:
    """2003 blocked the reactor (fault C1)."""
    with installed(ClockReactor()), pytest.raises(today.LoopRunningError):
        flow.Block([1]).next()


# ------------------------------------------------------------------------------------------------------------------
# Deferred


def test_deferred_fires_with_the_rows() -> None:
    """2003's suite and docstring: a list of all rows."""
    with installed(ClockReactor()) as _:
        from twisted.internet import reactor

        found: Any = reactor
        deferred = flow.Deferred(["a", flow.Cooperate(3), "b"])
        assert isinstance(deferred, defer.Deferred)
        assert isinstance(deferred, flow.Controller)
        assert found.run_until(deferred) == ["a", "b"]


def test_deferred_fails() -> None:
    """2003's suite: it fires with the failure; with a trap, with the rows and the class."""
    reactor = ClockReactor()
    with pytest.raises(ZeroDivisionError):
        reactor.run_until(flow.Deferred(leaky(), reactor=reactor))
    assert reactor.run_until(flow.Deferred(leaky(), ZeroDivisionError, reactor=reactor)) == ["full", ZeroDivisionError]


def test_two_flows_share_the_reactor() -> None:
    """The manual: the steps of two requests alternate, and a DeferredList waits for both."""
    reactor = ClockReactor()
    steps: list[Any] = []

    def request(name: str) -> Generator[Any]:
        steps.append((name, 1))
        yield flow.Cooperate()
        steps.append((name, 2))

    both = [flow.Deferred(request(name), reactor=reactor) for name in ("Ada", "Grace")]
    waited: defer.Deferred[Any] = defer.DeferredList(both)
    assert reactor.run_until(waited) == [(True, []), (True, [])]
    assert steps == [("Ada", 1), ("Grace", 1), ("Ada", 2), ("Grace", 2)]


def test_results_may_be_overridden() -> None:
    """2003: a subclass is given the rows as they come, and collects what it wants; a trapped class is a row."""
    reactor = ClockReactor()
    seen: list[Any] = []

    class Tenfold(flow.Deferred):
        def results(self, rows: list[Any]) -> None:
            seen.append((rows, reactor.seconds()))
            super().results([row * 10 for row in rows])

    class Silent(flow.Deferred):
        def results(self, rows: list[Any]) -> None:
            seen.extend(rows)

    assert reactor.run_until(Tenfold([1, flow.Cooperate(2), 2], reactor=reactor)) == [10, 20]
    assert seen == [([1], 0), ([2], 2)]
    assert reactor.run_until(Silent(leaky, ZeroDivisionError, reactor=reactor)) == []
    assert seen[2:] == ["full", ZeroDivisionError]
    with pytest.raises(ZeroDivisionError):
        reactor.run_until(Silent(leaky, reactor=reactor))


def test_results_that_fail() -> None:
    """What results() raises fails the Deferred, and everything is closed."""
    reactor = ClockReactor()
    source = Tracked([1, 2])

    class Fails(flow.Deferred):
        def results(self, rows: list[Any]) -> None:
            raise KeyError(rows[0])

    with pytest.raises(KeyError):
        reactor.run_until(Fails(source, reactor=reactor))
    nothing_left(source)


def test_into_is_today_s() -> None:
    """flow.Deferred's options may be given: `into` takes the rows, and the Deferred fires with their number."""
    reactor = ClockReactor()
    rows: list[Any] = []
    assert reactor.run_until(flow.Deferred("ab", into=rows.append, reactor=reactor)) == 1
    assert rows == ["ab"]


def test_deferred_is_cancelled() -> None:
    """2003's could not be (fault C2): everything is closed, then it fails with CancelledError."""
    reactor = ClockReactor()
    source = Tracked([1, 2], delay=5, cleanup=1)
    deferred = flow.Deferred(source, reactor=reactor)
    reactor.advance(1)
    deferred.cancel()
    with pytest.raises(defer.CancelledError):
        reactor.run_until(deferred)
    nothing_left(source)


def test_a_flow_may_wait_for_another_flow() -> None:
    """A flow.Deferred is a Deferred: another flow may yield it."""
    reactor = ClockReactor()

    def outer() -> Generator[Any, Any]:
        yield (yield flow.Deferred([1, flow.Cooperate(1), 2], reactor=reactor))

    assert reactor.run_until(flow.Deferred(outer, reactor=reactor)) == [[1, 2]]
