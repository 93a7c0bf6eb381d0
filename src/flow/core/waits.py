"""One wait of one strand, by callbacks: how it begins, how it is called off, and what its end calls.

What may live here: the waits of what has no task of its own to wait in. Who is waited for is in `driven.py` and
`steps.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import get_ident
from typing import TYPE_CHECKING, Any

from .instruction import Handle, Resume, Signal
from .microthread import MicroThread, unwanted

if TYPE_CHECKING:
    from .driven import Driven
    from .steps import Branch, Steps

__all__ = ["Pushed", "Told", "Wait"]


class Wait:
    """One wait of one strand, by callbacks: ``then(value, error)`` is called once, unless the wait is given up."""

    __slots__ = ("_cancelled", "_handle", "_resume", "_run", "_strand", "_then", "_timer", "instruction")

    def __init__(
        self, strand: MicroThread, instruction: Any, then: Callable[[Any, BaseException | None], None]
    ) -> None:
        self._run = run = strand.owner
        self._strand = strand
        self._cancelled: BaseException | None = None
        self._then = then
        self.instruction = instruction
        self._timer: Handle | None = None
        self._handle: Handle | None = None
        self._resume = resume = Resume(run.loop, self._done)
        try:
            deadline = run.cleanup_deadline(strand)
            if deadline is not None:
                self._timer = run.loop.call_later(max(0.0, deadline - run.loop.time()), self._expire)
            self._handle = run.loop.begin(instruction, resume, run.context)
        except BaseException as failure:  # also: the loop is closed, and nothing can be waited for any more
            unwanted(instruction)
            resume.throw(failure)

    def _done(self, value: Any, error: BaseException | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._cancelled is not None and (error is None or not isinstance(error, Exception)):
            value, error = None, self._cancelled
        self._then(value, error)

    def cancel(self, error: BaseException) -> bool:
        """Calls the wait off. True: `then` will be called with `error`, when what is awaited has ended; False: never.

        A task has cleanups of its own, and they come before those of the chain that awaits it
        (test_close.py::test_what_a_branch_awaits_is_closed_before_the_branch).
        """
        if not getattr(self._handle, "ends", False):
            self.give_up()
            return False
        self._cancelled = error
        if self._timer is None:
            deadline = self._run.cleanup_deadline_of(error)
            if deadline is not None:
                loop = self._run.loop
                self._timer = loop.call_later(max(0.0, deadline - loop.time()), self._expire)
        assert self._handle is not None
        self._handle.cancel()
        return True

    def interrupt(self, error: BaseException) -> None:
        """Calls the wait off, and raises `error` there."""
        if not self.cancel(error):
            self._then(None, error)

    def _expire(self) -> None:
        error = self._run.cleanup_timeout(self._strand)  # it is still paused where it waits, which the text names
        self.give_up()
        self._then(None, error)

    def give_up(self) -> None:
        self._resume.forget()
        if self._timer is not None:
            self._timer.cancel()
        if self._handle is not None:
            self._handle.cancel()


class Pushed(Resume):
    """The usual wait of a driven run: for something that is pushed, or for its turn. It needs no timer, can't fail to
    begin, and is used again and again: a connection has one for each message.

    So a call may be late, and come when the run waits for something else that is pushed. That wait ends for nothing
    then: who waits for a signal looks again.
    """

    __slots__ = ("_driven", "armed", "signal", "value")

    def __init__(self, driven: Driven) -> None:
        self.loop = driven.run.loop
        self._driven = driven
        self.signal: Signal | None = None
        self.value: Any = None
        self.armed = False

    def __call__(self, value: Any = None, /) -> None:
        loop = self.loop
        if get_ident() != loop.thread:
            loop.call_threadsafe(self)
        elif self.armed:
            driven = self._driven
            if loop.used >= driven.run.slice:
                loop.turn_over(driven.turn)  # it is called again when its turn comes
                return
            driven.resume(self.take(), None)

    def take(self) -> Any:
        """The wait is over: what it returns."""
        self.armed = False
        if self.signal is not None:
            self.signal.waiter = None  # it may have been called by the queue, and not by the signal
        value, self.value = self.value, None
        return value

    def forget(self) -> None:
        self.armed = False
        if self.signal is not None:
            self.signal.cancel()

    def cancel(self, error: BaseException) -> bool:
        """As `Wait.cancel`."""
        self.forget()
        return False


class Told(Resume):
    """The usual wait of a branch: for something that is pushed. It needs no timer, can't fail to begin, and is used
    again and again. As `driven.Pushed`: a call may be late, and who waits for a signal looks again.
    """

    __slots__ = ("_branch", "_steps", "armed", "signal")

    def __init__(self, steps: Steps, branch: Branch) -> None:
        self.loop = steps.loop
        self._steps = steps
        self._branch = branch
        self.signal: Signal | None = None
        self.armed = False

    @property
    def instruction(self) -> Any:
        return self.signal

    def __call__(self, value: Any = None, /) -> None:
        loop = self.loop
        if get_ident() != loop.thread:
            loop.call_threadsafe(self)
        elif self.armed:
            self.armed = False
            assert self.signal is not None
            self.signal.waiter = None  # it may be an old one that calls
            self._steps.resumed(self._branch, value, None)

    def interrupt(self, error: BaseException) -> None:
        self.forget()
        self._steps.resumed(self._branch, None, error)

    def forget(self) -> None:
        self.armed = False
        if self.signal is not None:
            self.signal.cancel()

    def cancel(self, error: BaseException) -> bool:
        """As `Wait.cancel`."""
        self.forget()
        return False
