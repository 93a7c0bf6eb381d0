"""Virtual time on trio: trio's own MockClock, moved by a task that sees when all others wait.

MockClock can jump by itself, but it hangs where nothing can ever happen, and always takes the same order. The keeper
below raises Deadlock there, and with a seed lets time jump early. What is ready is shuffled by the generator of random
numbers with which trio itself orders tasks, as trio's plug-in for Hypothesis does it.
"""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Coroutine, Generator
from contextlib import contextmanager
from typing import Any, TypeVar

import trio
import trio.testing

from ..loops._virtual import EARLY, Deadlock
from .clock import Steps, VirtualTime, refuse_a_running_loop, threads_work

__all__ = ["TrioTime"]

T = TypeVar("T")

PATIENCE = 0.05
"""Real seconds that a thread is given before time jumps."""


class TrioTime(VirtualTime):
    """The clock of a ``with virtual_time(loop="trio")`` block."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(seed)
        make: Any = trio.testing.MockClock
        self._mock: Any = make()
        self._mock.slice_clock = Steps()
        self._random = None if seed is None else random.Random(seed)

    def time(self) -> float:
        return float(max(self.clock.time, self._mock.current_time()))

    def run(self, main: Coroutine[Any, Any, T], *, debug: bool = False) -> T:
        refuse_a_running_loop(main)
        if self.clock.time > self._mock.current_time():
            self._mock.jump(self.clock.time - self._mock.current_time())
        with _order(self.seed):
            try:
                return trio.run(self._scene, main, clock=self._mock)
            finally:
                self.clock.time = self.time()

    async def _scene(self, main: Coroutine[Any, Any, T]) -> T:
        with trio.CancelScope() as scope:
            keep = self._keep(scope, trio.lowlevel.current_task())
            trio.lowlevel.spawn_system_task(lambda: keep, name="flow: virtual time")
            return await main
        raise Deadlock("everything waits, nothing is scheduled, and no thread works: nothing can ever happen")

    async def _keep(self, scope: trio.CancelScope, reader: Any) -> None:
        """Lets time jump to the next deadline whenever all other tasks wait."""
        while True:
            early = self._random is not None and self._random.random() < EARLY
            if early:
                await trio.lowlevel.checkpoint()
            else:
                await trio.testing.wait_all_tasks_blocked(PATIENCE if self._outside() else 0)
            left = trio.lowlevel.current_statistics().seconds_to_next_deadline
            if left < math.inf:
                self._mock.jump(max(left, 0.0))
            elif early or self._outside():
                await trio.lowlevel.checkpoint()
            elif scope.cancel_called:
                _interrupt(reader)
            else:
                scope.cancel()

    def _outside(self) -> bool:
        """May something come from outside: from a thread, or a socket that a task waits for?"""
        waiting: Any = trio.lowlevel.current_statistics().io_statistics
        sockets = getattr(waiting, "tasks_waiting_read", 1) + getattr(waiting, "tasks_waiting_write", 0)
        pool = any(each.name.startswith("Trio thread") for each in threading.enumerate())
        return threads_work() or pool or sockets > 1  # one of them is trio's own: threads wake it there


def _interrupt(task: Any) -> None:
    """Raises Deadlock at the waits of a task and of those below it: they are behind shields, where no cancel comes."""

    def deadlock() -> None:
        raise Deadlock("a cleanup behind a shield waits, and nothing can ever happen")

    todo = [task]
    while todo:
        each = todo.pop()
        todo += [child for nursery in each.child_nurseries for child in nursery.child_tasks]
        each._attempt_abort(deadlock)  # what trio itself does to cancel a task


@contextmanager
def _order(seed: int | None) -> Generator[None]:
    """Has trio order what is ready by the seed; without one, first come, first served."""
    inside: Any = trio._core._run  # what trio has for its own tests  # pyright: ignore
    before = inside._ALLOW_DETERMINISTIC_SCHEDULING, inside._r
    inside._ALLOW_DETERMINISTIC_SCHEDULING = seed is not None
    inside._r = _Calm() if seed is None else random.Random(seed)
    try:
        yield
    finally:
        inside._ALLOW_DETERMINISTIC_SCHEDULING, inside._r = before


class _Calm:
    """In place of trio's random numbers: tasks are taken in the order in which they became ready."""

    def random(self) -> float:
        return 0.0
