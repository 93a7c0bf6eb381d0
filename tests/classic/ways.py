"""The two ways in which 2003 ran a flow, in virtual time."""

from __future__ import annotations

from typing import Any

import pytest

from flow.classic import flow
from flow.testing import virtual_time

from ..conformance.drivers import ClockReactor

__all__ = ["both", "in_a_block", "on_the_reactor", "timed"]


def in_a_block(source: Any, *trap: Any) -> list[Any]:
    with virtual_time():
        return list(flow.Block(source, *trap))


def on_the_reactor(source: Any, *trap: Any) -> list[Any]:
    reactor = ClockReactor()
    rows: list[Any] = reactor.run_until(flow.Deferred(source, *trap, reactor=reactor))
    return rows


both = pytest.mark.parametrize("read", [in_a_block, on_the_reactor])


def timed(source: Any) -> list[tuple[Any, float]]:
    """The rows, each with the virtual time at which it came."""
    with virtual_time() as clock:
        return [(row, clock.time()) for row in flow.Block(source)]
