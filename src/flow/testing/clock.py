"""Virtual time for a block of code: hours pass in milliseconds, exactly."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from contextlib import contextmanager
from typing import Any, TypeVar

from ..loops import private_factory
from ..loops._virtual import Clock, VirtualLoop

__all__ = ["VirtualTime", "virtual_time"]

T = TypeVar("T")


class VirtualTime:
    """The clock of a ``with virtual_time()`` block."""

    def __init__(self, seed: int | None) -> None:
        self.clock = Clock()
        self.seed = seed

    def time(self) -> float:
        """Seconds that have passed, virtually."""
        return self.clock.time

    def loop(self) -> VirtualLoop:
        """A new asyncio loop on this clock."""
        return VirtualLoop(self.clock, self.seed)

    def run(self, main: Coroutine[Any, Any, T], *, debug: bool = False) -> T:
        """Like asyncio.run, on this clock."""
        with asyncio.Runner(loop_factory=self.loop, debug=debug) as runner:
            return runner.run(main)


@contextmanager
def virtual_time(seed: int | None = None) -> Generator[VirtualTime]:
    """Lets flows in scripts and in `run` see a clock that moves only when all wait.

    With a `seed`, what is ready is shuffled and time sometimes jumps early, repeatably: races show. Raises Deadlock
    where a flow would wait for ever.

        with virtual_time() as clock:
            rows = list(flow.wrap(["a", flow.Cooperate(3600), "b"]))
            assert rows == ["a", "b"] and clock.time() == 3600
    """
    time = VirtualTime(seed)
    token = private_factory.set(time.loop)
    try:
        yield time
    finally:
        private_factory.reset(token)
