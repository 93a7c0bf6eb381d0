"""Virtual time on Twisted: a reactor that is a `task.Clock`, with the little that flow and its users ask besides.

It has no sockets and no thread pool. As long as its block lasts it is the global reactor, so that what looks for that
(``from twisted.internet import reactor`` inside a function, `flow.Deferred`, `task.deferLater` with it) finds this.
"""

from __future__ import annotations

import queue
import random
import sys
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import twisted.internet
from twisted.internet import defer, task
from twisted.python import threadable

from ..loops._virtual import EARLY, Clock, Deadlock
from .clock import Steps, VirtualTime, refuse_a_running_loop, threads_work

__all__ = ["TwistedTime", "VirtualReactor"]

T = TypeVar("T")

PATIENCE = 0.05
"""Real seconds that a thread is given before time jumps."""

_Clock: Any = task.Clock  # as Any: it has few types


class VirtualReactor(_Clock):  # type: ignore[misc]
    """Twisted's `task.Clock`, which turns by itself, and which threads may call."""

    running = False

    def __init__(self, clock: Clock, seed: int | None) -> None:
        self._clock = clock
        _Clock.__init__(self)
        self.slice_clock = Steps()
        self._random = None if seed is None else random.Random(seed)
        self._from_threads: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()

    @property
    def rightNow(self) -> float:
        return self._clock.time

    @rightNow.setter
    def rightNow(self, seconds: float) -> None:
        self._clock.time = seconds

    def callFromThread(self, f: Callable[..., object], *args: Any, **kwargs: Any) -> None:
        self._from_threads.put(lambda: f(*args, **kwargs))

    def turn(self) -> None:
        """Makes the next call: one of a thread, or one that is due, or else the one that time has to jump to."""
        try:
            self._from_threads.get_nowait()()
            return
        except queue.Empty:
            pass
        calls: list[Any] = sorted(self.calls, key=lambda call: call.getTime())
        due = [call for call in calls if call.getTime() <= self.rightNow]
        if not due and threads_work():
            try:
                self._from_threads.get(timeout=PATIENCE if calls else None)()
                return
            except queue.Empty:
                pass
        if not calls:
            raise Deadlock("everything waits, nothing is scheduled, and no thread works: nothing can ever happen")
        call = calls[0]
        if self._random is not None:
            first = call.getTime()
            early = len(due) < len(calls) and self._random.random() < EARLY
            call = calls[len(due)] if early else self._random.choice(due or [c for c in calls if c.getTime() == first])
        self.rightNow = max(self.rightNow, call.getTime())
        self.calls.remove(call)
        call.called = 1
        call.func(*call.args, **call.kw)


class TwistedTime(VirtualTime):
    """The clock of a ``with virtual_time(loop="twisted")`` block; `reactor` is its reactor.

    `run` takes a coroutine, which may await Deferreds, or a Deferred, and turns the reactor until it has a result; the
    reactor counts as running meanwhile.
    """

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(seed)
        self.reactor: Any = VirtualReactor(self.clock, seed)

    def run(self, main: Coroutine[Any, Any, T] | defer.Deferred[T], *, debug: bool = False) -> T:
        refuse_a_running_loop(main)
        deferred: Any = main if isinstance(main, defer.Deferred) else defer.Deferred.fromCoroutine(main)
        found: list[Any] = []
        deferred.addBoth(found.append)
        self.reactor.running = True
        try:
            self._turn_until(found)
        except Deadlock:
            deferred.cancel()
            with suppress(Deadlock):
                self._turn_until(found)
            raise
        finally:
            self.reactor.running = False
        result = found[0]
        if hasattr(result, "raiseException"):
            result.raiseException()
        return result  # type: ignore[no-any-return]

    def _turn_until(self, found: list[Any]) -> None:
        while not found:
            self.reactor.turn()

    @contextmanager
    def installed(self) -> Generator[None]:
        missing = object()
        package: Any = twisted.internet
        before: Any = sys.modules.get("twisted.internet.reactor", missing)
        thread = threadable.ioThread
        threadable.registerAsIOThread()  # type: ignore[no-untyped-call]
        sys.modules["twisted.internet.reactor"] = package.reactor = self.reactor
        try:
            with super().installed():
                yield
        finally:
            threadable.ioThread = thread
            if before is missing:
                del sys.modules["twisted.internet.reactor"]
                del package.reactor
            else:
                sys.modules["twisted.internet.reactor"] = package.reactor = before
