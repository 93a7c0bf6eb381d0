"""What every loop does the same: obeying an instruction by callbacks, and sharing the loop's turns among runs.

To add a loop, subclass `BaseLoop` in a file of its own and write what is marked *a loop must* (`_asyncio.py` is the
shortest model), then teach `flow.loops` to find it. No file but that one may import the loop's library.

Turns
-----
All runs on one loop share its turns. A run that goes on because of the loop is given the rest of the slice (CONTRACT
10); the time that runs have used is added up, and when it nears a slice the loop is asked to call back in its next
turn, which starts the count anew. A run whose slice is used up queues, and each turn of the loop lets the first of the
queue go on (more of them, where that one leaves some of the slice). So a thousand busy runs hold a loop no longer than
one does, and each of them gets its turn.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError as FutureCancelled
from concurrent.futures import Future
from contextlib import suppress
from contextvars import Context
from time import perf_counter
from typing import Any

from ..core.instruction import CallLater, Handle, Instruction, Outcome, Resume
from ..core.microthread import Strand
from ..core.source import is_a, is_deferred, kind_of
from ..errors import Unsupported

__all__ = ["BaseLoop", "Spawned"]


class Spawned:
    """The handle of a task: cancelling it does not end it, but lets it end (`ends`)."""

    ends = True

    def __init__(self, cancel: Callable[[], object]) -> None:
        self._cancel = cancel

    def cancel(self) -> None:
        self._cancel()


class BaseLoop:
    """One event loop, as flow sees it. There is one object for each running loop."""

    name = "a loop"
    native = False
    """Does the task that reads await a coroutine as it is? (Where no cleanup and no stop must be able to end that.)"""
    clock: Callable[[], float] = staticmethod(perf_counter)
    """What slices are measured with: processor time is what counts there, not the loop's own clock."""

    def __init__(self, thread: int) -> None:
        self.thread = thread
        self.used = 0.0  # seconds of this turn
        self.entered = 0.0
        self.slice = 0.0
        self.inside = False
        self.nested = 0  # runs that are driven by callbacks, each from within the step of another
        self.marked = False
        self._queue: deque[Callable[[], object]] = deque()

    def outlive_the_runs(self) -> None:
        """Keeps this object, and with it the count of the turn, from going with a run: until garbage is collected.

        Otherwise a task that reads one little run after the other would never use up a slice
        (test_fairness.py::test_little_runs_one_after_the_other_give_turns).
        """
        self._itself = self

    # ---- a loop must

    def time(self) -> float:
        """The loop's own clock, in seconds."""
        raise NotImplementedError

    def call_soon(self, f: Callable[[], object], /) -> object:
        """Calls `f` in the loop's next turn; from the loop's thread."""
        raise NotImplementedError

    def call_later(self, seconds: float, f: Callable[[], object], /) -> Handle:
        """Calls `f` once, after `seconds` of the loop's clock, unless the handle is cancelled."""
        raise NotImplementedError

    def call_threadsafe(self, f: Callable[[], object], /) -> object:
        """Calls `f` on the loop's thread; from any thread. Raises RuntimeError when the loop is closed."""
        raise NotImplementedError

    def spawn(self, awaitable: Awaitable[Any], done: Outcome, context: Context, /) -> Handle:
        """Awaits something in a task of its own and calls ``done(value, error)`` once; returns a `Spawned`."""
        raise NotImplementedError

    async def suspend(self, begin: Callable[[Resume], Handle | None], /) -> Any:
        """Suspends the running task until the Resume that `begin` is given is called; calls it off on a cancel."""
        raise NotImplementedError

    async def obey(self, instruction: Any, strand: Strand, /) -> Any:
        """Waits for an instruction in the running task, natively where it can."""
        raise NotImplementedError

    def awaitable_for(self, instruction: Any, strand: Strand, /) -> Awaitable[Any]:
        """What the running task is to await for an instruction: `obey`, or something shorter that comes to the same."""
        return self.obey(instruction, strand)

    def cancels(self, error: BaseException, /) -> bool:
        """Is this the loop's cancel of the running task (and not of something that it awaits)?"""
        return False

    async def checkpoint(self) -> None:
        """Raises a cancel that the running task was given and that somebody swallowed, where the loop can tell."""

    def outside(self, error: BaseException, /) -> BaseException:
        """The error as a reader on this loop is to see it."""
        return error

    def report(self, error: BaseException, what: str, /) -> None:
        """Tells the loop's handler of an error that nobody is there to be told of."""
        raise NotImplementedError

    # ---- obeying by callbacks

    def begin(self, instruction: Any, resume: Resume, context: Context, /) -> Handle | None:
        """Arranges for `resume` to be called with the instruction's outcome."""
        if isinstance(instruction, CallLater):
            return instruction.callLater(resume)
        if is_deferred(instruction):
            return observe_deferred(instruction, resume)
        if is_a(instruction, Future):
            return observe_future(instruction, resume)
        if hasattr(kind_of(instruction), "__await__"):

            def done(value: Any, error: BaseException | None) -> None:
                resume(value) if error is None else resume.throw(error)

            return self.spawn(instruction, done, context)
        raise unsupported(instruction, self.name)

    def is_native(self, instruction: Any) -> bool:
        """Can the running task await it as it is?"""
        return (
            hasattr(kind_of(instruction), "__await__")
            and not is_a(instruction, (Instruction, Future))
            and not is_deferred(instruction)
        )

    # ---- turns

    def turn_over(self, resume: Callable[[], object], /) -> Handle | None:
        """Resumes in a later turn of the loop: first come, first served, one each turn."""
        self._queue.append(resume)
        if not self.marked:
            self.mark()
        return None

    def enter(self, slice: float, /) -> float:
        """A run goes on: until when, by `clock`, before it must give a turn."""
        self.inside = True
        self.slice = slice
        self.entered = now = self.clock()
        left, least = slice - self.used, slice / 4
        return now + (left if left > least else least)

    def leave(self) -> None:
        """The run that entered waits for the loop, or is over."""
        if self.inside:
            self.inside = False
            self.used += self.clock() - self.entered
            if self.used > 0.001:
                self.mark()

    def mark(self) -> None:
        """Has the count begin anew in the loop's next turn."""
        if not self.marked:
            with suppress(RuntimeError):  # the loop is closed: it has no more turns to give
                self.call_soon(self._next_turn)
                self.marked = True

    def _next_turn(self) -> None:
        self.marked = False
        self.used = 0.0
        for _ in range(len(self._queue)):  # who queues again waits for the next turn
            self._queue.popleft()()
            # One that runs there and then (callbacks drive it) has used some of this turn, and leaves the rest to the
            # next in the queue. One that a task reads goes on later in this turn, and how long is not known yet.
            if not 0 < self.used < self.slice:
                break
        if self._queue:
            self.mark()


def unsupported(instruction: Any, name: str) -> Unsupported:
    return Unsupported(
        f"{name} can't wait for {instruction!r} ({type(instruction).__name__}): wait for an awaitable, a Deferred, a "
        "concurrent.futures.Future, a flow.CallLater or a flow.Cooperate. To hand it on as a row, yield flow.Row(x)."
    )


# --------------------------------------------------------------------------------------------------------------------
# Futures of no particular loop


class _DeferredWait:
    """A wait for a Deferred that leaves its value to its other listeners."""

    def __init__(self, deferred: Any, resume: Resume) -> None:
        self._deferred = deferred
        self._resume: Resume | None = resume
        deferred.addCallbacks(self._succeeded, self._failed)

    def _succeeded(self, value: Any) -> Any:
        resume, self._resume = self._resume, None
        if resume is not None:
            resume(value)
        return value

    def _failed(self, failure: Any) -> Any:
        resume, self._resume = self._resume, None
        if resume is not None:
            resume.throw(failure.value)
        # It was raised at the wait. Others who listen get it, too; where nobody does, it counts as handled. (Nothing
        # public says whether others listen; where this attribute is not there, it counts as handled.)
        return failure if getattr(self._deferred, "_callbacks", None) else None

    def cancel(self) -> None:
        self._resume = None
        self._deferred.cancel()


def observe_deferred(deferred: Any, resume: Resume) -> Handle:
    return _DeferredWait(deferred, resume)


class _FutureWait:
    def __init__(self, future: Future[Any], resume: Resume) -> None:
        self._future = future
        self._resume = resume
        future.add_done_callback(self._done)

    def _done(self, future: Future[Any]) -> None:
        try:
            value = future.result()
        except FutureCancelled as error:
            self._resume.throw(error)
        except BaseException as error:
            self._resume.throw(error)
        else:
            self._resume(value)

    def cancel(self) -> None:
        self._future.cancel()


def observe_future(future: Future[Any], resume: Resume) -> Handle:
    """Done callbacks of such a future come on any thread; a Resume may be called from any thread."""
    return _FutureWait(future, resume)
