"""What a chain may hand to its controller when it must wait, and what a controller offers in return.

A wait is always the same conversation. The chain hands over an *instruction*; the controller arranges for one
`Resume` to be called later, once; the chain goes on where it was, with a value or an exception. Everything else that
may be waited for (an awaitable, a Deferred, a `concurrent.futures.Future`) is turned into this by a loop.

This file knows no loop, clock, thread or socket; the `Loop` below is only the shape of what the rest offers.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from contextvars import Context
from threading import get_ident
from typing import Any, Generic, Protocol, TypeVar

from ..errors import Unsupported

__all__ = ["TURN", "CallLater", "Cooperate", "Handle", "Instruction", "Loop", "Resume", "Row", "Signal", "seconds_of"]

T = TypeVar("T")
Outcome = Callable[[Any, BaseException | None], None]


class Handle(Protocol):
    """What can be called off: a timer, a task, a subscription."""

    def cancel(self) -> object: ...


class Loop(Protocol):
    """The few things flow asks of an event loop (`flow.loops.base` says what each must do)."""

    name: str
    native: bool
    thread: int
    used: float
    entered: float
    inside: bool
    nested: int
    marked: bool
    slice: float
    clock: Callable[[], float]

    def time(self) -> float: ...
    def call_soon(self, f: Callable[[], object], /) -> object: ...
    def call_later(self, seconds: float, f: Callable[[], object], /) -> Handle: ...
    def call_threadsafe(self, f: Callable[[], object], /) -> object: ...
    def spawn(self, awaitable: Awaitable[Any], done: Outcome, context: Context, /) -> Handle: ...
    def begin(self, instruction: Any, resume: Resume, context: Context, /) -> Handle | None: ...
    async def suspend(self, begin: Callable[[Resume], Handle | None], /) -> Any: ...
    def turn_over(self, resume: Callable[[], object], /) -> Handle | None: ...
    def enter(self, slice: float, /) -> float: ...
    def leave(self) -> None: ...
    def mark(self) -> None: ...
    async def obey(self, instruction: Any, strand: Any, /) -> Any: ...
    def awaitable_for(self, instruction: Any, strand: Any, /) -> Awaitable[Any]: ...
    async def checkpoint(self) -> None: ...
    def cancels(self, error: BaseException, /) -> bool: ...
    def outside(self, error: BaseException, /) -> BaseException: ...
    def report(self, error: BaseException, what: str, /) -> None: ...


class Resume:
    """Resumes one wait, once: ``resume()``, ``resume(value)`` or ``resume.throw(error)``.

    It may be called from any thread and at any time, from inside ``callLater`` too. Calls after the first, and calls
    after the wait was given up, do nothing. `loop` is the loop that runs the chain: an instruction takes its timers
    from there.
    """

    __slots__ = ("_then", "loop")

    def __init__(self, loop: Loop, then: Outcome) -> None:
        self.loop = loop
        self._then: Outcome | None = then

    def __call__(self, value: Any = None, /) -> None:
        if get_ident() != self.loop.thread:
            self._fire(value, None)
            return
        then, self._then = self._then, None
        if then is not None:
            then(value, None)

    def throw(self, error: BaseException, /) -> None:
        """Resumes the wait with an exception, raised at that very place."""
        self._fire(None, error)

    def forget(self) -> None:
        """Gives the wait up: later calls do nothing."""
        self._then = None

    def _fire(self, value: Any, error: BaseException | None) -> None:
        if get_ident() != self.loop.thread:
            self.loop.call_threadsafe(lambda: self._fire(value, error))
            return
        then, self._then = self._then, None
        if then is not None:
            then(value, error)


class Instruction:
    """The root of what a chain hands to its controller; never a row. See `CallLater`."""

    __slots__ = ()


class CallLater(Instruction):
    """An instruction that is resumed by a call: subclass it, and override `callLater`.

    ``callLater(resume)`` arranges for ``resume()`` to be called, now or later, on any loop, from any thread; what
    ``resume`` is given is what the wait returns. It may return something with a ``cancel()``, which is called when
    the wait is given up. An error that it raises is raised at the wait.

        class Noon(flow.CallLater):
            def callLater(self, resume):
                return resume.loop.call_later(12 * 3600, resume)
    """

    __slots__ = ()

    def callLater(self, resume: Resume, /) -> Handle | None:
        raise Unsupported(f"{type(self).__name__} says nothing about when to resume: override callLater(resume)")


class Cooperate(CallLater):
    """Lets the loop do other work, and resumes after `seconds` (0: in the loop's next turn).

    Raises ValueError or TypeError when it is made with seconds that are negative, NaN or no number.

        yield flow.Cooperate(0.5)          # in a classic generator
        flow.wait(flow.Cooperate(0.5))     # anywhere in a run; flow.sleep(0.5) for short
    """

    __slots__ = ("seconds",)

    def __init__(self, seconds: float = 0) -> None:
        self.seconds = seconds_of(seconds, "Cooperate(seconds)")

    def callLater(self, resume: Resume, /) -> Handle | None:
        if self.seconds == 0:
            return resume.loop.turn_over(resume)
        return resume.loop.call_later(self.seconds, resume)

    def __repr__(self) -> str:
        return f"Cooperate({self.seconds:g})"


class Row(Generic[T]):
    """Passes anything as data out of a classic generator: ``yield flow.Row(x)`` where x might be an instruction.

    The reader gets `x` itself, not the Row.

        def jobs():
            yield flow.Row(flow.Cooperate(1))    # the reader gets the Cooperate
    """

    __slots__ = ("value",)

    def __init__(self, value: T) -> None:
        self.value = value

    def __repr__(self) -> str:
        return f"Row({self.value!r})"


class Signal(CallLater):
    """Something happened: the one instruction that flow's own stages wait for.

    `set` may come before, during or after the wait and from any thread. The waiting side says ``clear()``, looks
    whether what it wants is there, and waits if not: a `set` between the two ends the wait at once. One chain at a
    time may wait for a signal, so a wake-up never reaches a chain that waits for something else
    (test_waiting.py::test_only_its_own_wait_resumes_a_branch).
    """

    __slots__ = ("happened", "waiter")

    def __init__(self) -> None:
        self.happened = False
        self.waiter: Resume | None = None

    def set(self) -> None:
        self.happened = True
        resume = self.waiter
        if resume is not None:
            self.waiter = None
            resume()

    def callLater(self, resume: Resume, /) -> Handle | None:
        # Publish the resume first and look at the flag after: a set() from another thread between the two then
        # fires twice at worst, and a Resume fires once (test_threads.py::test_no_wake_up_is_lost).
        self.waiter = resume
        if self.happened:
            self.waiter = None
            resume()
        return self

    def cancel(self) -> None:
        self.waiter = None

    def clear(self) -> None:
        self.happened = False


def seconds_of(value: float, name: str) -> float:
    """The value, when it is a number of seconds: not negative, not NaN. Otherwise an error naming the argument."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number of seconds, not {type(value).__name__}")
    if math.isnan(value) or value < 0:
        raise ValueError(f"{name} must be 0 or more seconds, not {value!r}")
    return value


TURN = Cooperate(0)
