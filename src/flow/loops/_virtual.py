"""An asyncio loop whose time moves only when all wait: the loop of tests and simulations.

It is a loop, not a mock: everything that runs on asyncio runs on it. When nothing is ready, its clock jumps to the
next timer. Threads of flow's own tell it that they work (`hold`, `release`), and time does not jump meanwhile. When
nothing is ready, nothing is scheduled and nobody works, it raises `Deadlock` instead of hanging.

Virtual time that jumps only when all wait hides races. So with a seed it also shuffles what is ready and lets time
jump early, the same way each time for the same seed.
"""

from __future__ import annotations

import asyncio
import math
import random
import selectors
import threading
from collections.abc import Callable, Mapping
from contextvars import Context
from typing import Any

__all__ = ["Clock", "Deadlock", "VirtualLoop"]

EARLY = 0.3
"""With a seed: how likely time jumps although something is ready."""

APART = 1e-9
"""With a seed: seconds within which timers are due together."""

READ = 0.00002
"""What one look at the clock of slices counts, in seconds: slices are measured in steps, so that runs repeat."""


class Deadlock(RuntimeError):
    """Everything waits, and nothing is there that could end the waiting."""


class Clock:
    """A time that several virtual loops can share; `time` is where it stands, in seconds."""

    def __init__(self) -> None:
        self.time = 0.0


class _Selector(selectors.BaseSelector):
    """A selector that, asked to wait for a while, lets the while pass on the clock instead."""

    def __init__(self, clock: Clock) -> None:
        self._real = selectors.DefaultSelector()
        self._clock = clock
        self.working = 0

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout <= 0:
            return self._real.select(0)
        if self.working:
            return self._real.select(None)  # a thread works: it will wake the loop
        outside = len(self._real.get_map()) > 1  # more than the loop's own wake-up pipe: real sockets
        found = self._real.select(0.001 if outside and timeout is not None else 0)
        if found:
            return found
        if timeout is not None:
            now = self._clock.time
            self._clock.time = max(now + timeout, math.nextafter(now, math.inf))  # it moves, however far it has come
            return []
        if outside:
            return self._real.select(None)
        raise Deadlock("everything waits, nothing is scheduled, and no thread works: nothing can ever happen")


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio loop with a virtual clock. `seed`: shuffle what is ready, and jump early, repeatably."""

    def __init__(self, clock: Clock | None = None, seed: int | None = None) -> None:
        self.clock = clock or Clock()
        self._waiting = _Selector(self.clock)
        self._random = None if seed is None else random.Random(seed)
        super().__init__(self._waiting)
        self._reads = 0
        self._lock = threading.Lock()

    def time(self) -> float:
        return self.clock.time

    @property
    def _clock_resolution(self) -> float:
        """asyncio calls a timer so much before its time. Here it is due when its time has come, and not before: who
        waits until a time, and is woken just before it, would wait again, for ever, because time does not move while
        something is ready (tests/testing/test_clock.py::test_a_timer_is_never_early).
        """
        now = self.clock.time
        return math.nextafter(now, math.inf) - now if self._random is None else APART

    @_clock_resolution.setter
    def _clock_resolution(self, seconds: float) -> None:
        """What asyncio knows of the real clock."""

    def slice_clock(self) -> float:
        """The clock of slices: it counts how often it is read."""
        self._reads += 1
        return self._reads * READ

    def hold(self) -> None:
        """A thread works: time must not jump."""
        with self._lock:
            self._waiting.working += 1

    def release(self) -> None:
        """The thread waits, or has ended."""
        with self._lock:
            self._waiting.working -= 1
        if not self.is_closed():
            self.call_soon_threadsafe(_nothing)

    def call_at(  # type: ignore[override]  # asyncio types the arguments of the callback one by one
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        if self._random is not None:
            # Timers that are due together come in any order: less apart than the loop's resolution, they are shuffled.
            when += self._random.random() * APART / 2
        return super().call_at(when, callback, *args, context=context)

    def _run_once(self) -> None:
        if self._random is not None:
            own: Any = self  # asyncio's own names, for tests only: what is ready, and what is scheduled
            ready = list(own._ready)
            self._random.shuffle(ready)
            own._ready.clear()
            own._ready.extend(ready)
            # While a thread works time must not jump, here neither (test_clock.py::test_no_early_jump_beside_a_thread).
            if ready and own._scheduled and not self._waiting.working and self._random.random() < EARLY:
                self.clock.time = max(self.clock.time, own._scheduled[0].when())
        super()._run_once()  # type: ignore[misc]


def _nothing() -> None:
    pass
