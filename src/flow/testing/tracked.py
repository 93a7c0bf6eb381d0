"""Sources, stages and sinks that know what was done to them, and that do what their script says.

What may live here: `Tracked`, which is asked, and `TrackedSink`, which asks.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, repeat
from threading import get_ident
from typing import Any, Generic, TypeVar

from ..core.instruction import seconds_of
from ..core.microthread import current, sleep
from ..core.stage import Stage
from ..core.wrap import stage_of
from ..loops import awaiting, running
from .clock import virtual_here

__all__ = ["MOST_TIMES", "Tracked", "TrackedSink"]

T = TypeVar("T")

MOST_TIMES = 10_000
"""Times that one of them notes; what comes later is counted, and not timed."""


class Tracked(Generic[T]):
    """A source, or a stage, that counts how often it was opened, asked and closed, when, and in which threads.

    As a source: ``flow.wrap(Tracked(rows))``. As a stage: ``rows | Tracked()``, which hands rows on. It holds nothing
    and can be read again. Its script: `delay`, seconds that it waits before each row, or a list with those before the
    first, the second, ... row; `fail`, raised after the last row, or after `fail_after` rows; `cleanup`, seconds that
    its closing waits; `cleanup_fail`, raised then. `log`: a list that gets ``(name, "opened" | "closed")``, so that
    orders can be compared. What it knows: `opened`, `asked` and `closed` count, `threads` has the threads, and
    `asked_at`, `given_at` and `closed_at` the times (the loop's, in seconds; 10,000 of them at most). Raises ValueError
    or TypeError at once for what these can't be.

        source = Tracked([1, 2, 3], delay=[0, 5])
        with virtual_time():
            assert list(flow.wrap(source)[:2]) == [1, 2]
        assert source.asked == 2 and source.is_closed
        assert source.asked_at == [0, 0] and source.given_at == [0, 5]
    """

    def __init__(
        self,
        rows: Iterable[T] = (),
        *,
        name: str = "source",
        delay: float | Sequence[float] = 0,
        cleanup: float = 0,
        fail: BaseException | None = None,
        fail_after: int | None = None,
        cleanup_fail: BaseException | None = None,
        log: list[tuple[str, str]] | None = None,
    ) -> None:
        self.name = name
        self.opened = 0
        self.asked = 0
        self.closed = 0
        self.threads: set[int] = set()
        self.asked_at: list[float] = []
        self.given_at: list[float] = []
        self.closed_at: list[float] = []
        self.log: list[tuple[str, str]] = [] if log is None else log
        self._rows = rows
        self._delays = delays_of(delay, "Tracked(delay)")
        self._cleanup = seconds_of(cleanup, "Tracked(cleanup)")
        self._fail = failure_of(fail, "Tracked(fail)")
        self._fail_after = count_of(fail_after, "Tracked(fail_after)")
        self._cleanup_fail = failure_of(cleanup_fail, "Tracked(cleanup_fail)")
        if fail is None and fail_after is not None:
            raise ValueError("Tracked(fail_after=...) needs a failure: give fail=, too")

    def __iter__(self) -> Generator[T]:
        return self._read(self._rows)

    def __call__(self, rows: Iterable[T]) -> Generator[T]:
        return self._read(rows)

    def _read(self, rows: Iterable[T]) -> Generator[T]:
        self.opened += 1
        self.log.append((self.name, "opened"))
        left = self._fail_after
        delays = chain(self._delays, repeat(0.0)) if isinstance(self._delays, tuple) else repeat(self._delays)
        try:
            note(self.asked_at)
            for row in rows:
                if left is not None:
                    if left == 0:
                        break
                    left -= 1
                self.threads.add(get_ident())
                self.asked += 1
                pause(next(delays))
                note(self.given_at)
                yield row
                note(self.asked_at)
            if self._fail is not None:
                raise self._fail
        finally:
            self.threads.add(get_ident())
            try:
                pause(self._cleanup)
            finally:
                self.closed += 1
                note(self.closed_at)
                self.log.append((self.name, "closed"))
                if self._cleanup_fail is not None:
                    raise self._cleanup_fail

    @property
    def is_closed(self) -> bool:
        """Was it closed as often as it was opened?"""
        return self.opened == self.closed

    def __repr__(self) -> str:
        return f"<Tracked {self.name}: opened {self.opened}, asked {self.asked}, closed {self.closed}>"


class TrackedSink(Generic[T]):
    """A reader that notes what it got and when, and that may be slow, fail, or leave early.

    ``sink.read(stage)`` reads in a script, ``await sink.aread(stage)`` on any loop, and the sink itself is a function
    of one row, for what takes such a thing (``flow.Deferred(stage, into=sink)``). Its script: `delay`, seconds that it
    is busy with each row, or a list; `fail`, raised when it is given one row more than `fail_after`; `leave`, rows
    after which it leaves. What it knows: `rows`, `times` (when each came, on the loop's clock), `asked_at` (when each
    was asked for), `threads`, and how it `ended`: "end", "left", "failed", or None while it reads. Failures are raised.
    In a script a busy reader lets virtual time pass, and real time where no virtual one is. Raises ValueError or
    TypeError at once for what these can't be.

        from flow.testing import TrackedSink
        sink = TrackedSink(delay=2, leave=2)
        with virtual_time():
            sink.read(flow.wrap("abc").flat_map(list))
        assert sink.rows == ["a", "b"] and sink.times == [0, 2] and sink.ended == "left"
    """

    def __init__(
        self,
        *,
        name: str = "sink",
        delay: float | Sequence[float] = 0,
        fail: BaseException | None = None,
        fail_after: int = 0,
        leave: int | None = None,
        log: list[tuple[str, str]] | None = None,
    ) -> None:
        self.name = name
        self.rows: list[T] = []
        self.times: list[float] = []
        self.asked_at: list[float] = []
        self.threads: set[int] = set()
        self.ended: str | None = None
        self.log: list[tuple[str, str]] = [] if log is None else log
        delays = delays_of(delay, "TrackedSink(delay)")
        self._delays: Iterator[float] = chain(delays, repeat(0.0)) if isinstance(delays, tuple) else repeat(delays)
        self._fail = failure_of(fail, "TrackedSink(fail)")
        self._fail_after = count_of(fail_after, "TrackedSink(fail_after)")
        self._leave = count_of(leave, "TrackedSink(leave)")

    def __call__(self, row: T) -> None:
        """Takes one row: waits on the chain's own stack, where there is one."""
        pause(self._taken(row))

    def read(self, stage: Stage[T] | Iterable[T]) -> None:
        """Reads a stage, or what `wrap` takes, in a script. Returns when it has ended and is closed."""
        self.log.append((self.name, "opened"))
        try:
            with stage_of(stage).open() as rows:
                while not self._leaves():
                    note(self.asked_at)
                    for row in rows:
                        pause(self._taken(row))
                        break
                    else:
                        break
        except BaseException:
            self._end("failed")
            raise
        self._end("left" if self._leaves() else "end")

    async def aread(self, stage: Stage[T] | Iterable[T]) -> None:
        """Reads a stage, or what `wrap` takes, on the running loop. Returns when it has ended and is closed."""
        self.log.append((self.name, "opened"))
        loop: Any = awaiting()
        try:
            async with stage_of(stage).open() as rows:
                while not self._leaves():
                    note(self.asked_at)
                    async for row in rows:
                        seconds = self._taken(row)
                        if seconds:
                            await loop.suspend(partial(loop.call_later, seconds))
                        break
                    else:
                        break
        except BaseException:
            self._end("failed")
            raise
        self._end("left" if self._leaves() else "end")

    def _leaves(self) -> bool:
        return self._leave is not None and len(self.rows) >= self._leave

    def _taken(self, row: T) -> float:
        """Notes a row; gives the seconds to be busy with it."""
        self.threads.add(get_ident())
        if self._fail is not None and len(self.rows) == self._fail_after:
            raise self._fail
        self.rows.append(row)
        note(self.times)
        return next(self._delays)

    def _end(self, how: str) -> None:
        self.ended = how
        self.log.append((self.name, "closed"))

    def __repr__(self) -> str:
        return f"<TrackedSink {self.name}: {len(self.rows)} rows, {self.ended or 'reads'}>"


# --------------------------------------------------------------------------------------------------------------------
# Time, on whatever runs the caller


def now() -> float:
    """The time of the loop that runs the caller, or of the virtual clock of a script; else the monotonic clock's."""
    strand = current()
    loop: Any = running() if strand is None else strand.loop
    if loop is not None and "_factory" not in vars(loop):
        return float(loop.time())
    clock = virtual_here()
    if clock is not None:
        return clock.time()
    return time.monotonic()  # which is asyncio's clock, too: a script's loop need not be made to ask it


def note(times: list[float]) -> None:
    if len(times) < MOST_TIMES and not sys.is_finalizing():  # what is closed by the interpreter's end has no loop
        times.append(now())


def pause(seconds: float) -> None:
    """Waits on the chain's stack; in a script's own code virtual time passes; elsewhere the thread sleeps."""
    if not seconds or sys.is_finalizing():
        return
    if current() is not None:
        sleep(seconds)
        return
    clock = virtual_here()
    if clock is None:
        time.sleep(seconds)
    else:
        clock.clock.time += seconds


# --------------------------------------------------------------------------------------------------------------------
# What a script may say


def delays_of(value: Any, name: str) -> float | tuple[float, ...]:
    if isinstance(value, (list, tuple)):
        several: list[Any] = [*value]
        return tuple(seconds_of(each, f"{name}, one of them,") for each in several)
    return seconds_of(value, name)


def failure_of(value: Any, name: str) -> BaseException | None:
    if value is not None and not isinstance(value, BaseException):
        raise TypeError(f"{name} must be an exception, an instance of one, not {value!r}")
    return value


def count_of(value: Any, name: str) -> Any:
    if value is not None:
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"{name} must be a whole number of rows, not {type(value).__name__}")
        if value < 0:
            raise ValueError(f"{name} must be at least 0 rows, not {value}")
    return value
