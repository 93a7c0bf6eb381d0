"""Driving a strand by callbacks: a run behind a Deferred, a part of a run, and a run whose reader has gone.

What may live here: what must work without a task of its own.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from threading import get_ident
from typing import TYPE_CHECKING, Any

from greenlet import getcurrent

from ..errors import Cancelled
from .instruction import TURN, Signal
from .microthread import ROW, MicroThread
from .run import Run, live
from .stopping import NOTHING, Stopped
from .waits import Pushed, Wait

if TYPE_CHECKING:
    from .channel import Channel

__all__ = ["DEEPEST", "Driven", "abandon", "raise_swallowed"]

DEEPEST = 8
"""Parts of a run that are stepped below each other, where each reads what another makes; below that the loop does it.
Without a bound, a chain of many of them would end in a RecursionError somewhere (test_background.py::test_a_long_chain,
test_calls.py::test_a_long_chain).
"""


def raise_swallowed(run: Run) -> None:
    """A chain that ended as if nothing had happened, though it was cancelled, is cancelled all the same."""
    if run.thread is not None and run.thread.cancelled is not None:
        raise run.thread.cancelled


class Driven:
    """A run that callbacks drive from its first step to its end; ``ended(error)`` is called once, at the end.

    ``paused()``, where it is given, is called after each step, before the end too: what the chain has made by then can
    be handed on.

    A call that arrives while some chain is running (a Deferred fired by a stage, say) takes its step in the loop's
    next turn, so that chains never nest into each other and the stack does not grow.
    """

    __slots__ = (
        "_clock",
        "_ended",
        "_hub",
        "_later",
        "_loop",
        "_paused",
        "_pushed",
        "_slice",
        "_thread",
        "_wait",
        "inlet",
        "run",
        "stepping",
        "turn",
    )

    def __init__(
        self,
        run: Run,
        ended: Callable[[BaseException | None], object],
        paused: Callable[[], object] | None = None,
    ) -> None:
        self.run = run
        self.stepping = False
        self.inlet: Channel[Any] | None = None
        """Where rows are from that the chain may be handed as it waits for them: see `hand`."""
        self._ended = ended
        self._paused = paused
        self._wait: Wait | Pushed | None = None
        self._pushed = Pushed(self)
        self._later: tuple[Any, BaseException | None] | None = None  # what the step of the loop's next turn is given
        # What each step needs, without a look into the run.
        self._loop, self._clock, self._slice = run.loop, run.loop.clock, run.slice
        self._thread: Any = run.thread
        self.turn = self._on_turn
        self._hub: Any = None  # the greenlet of the last step, which is the parent of the micro-thread

    def start(self) -> None:
        self.resume(None, None)

    @property
    def waits_for(self) -> Any:
        """See `core.stopping`."""
        wait = self._wait
        return NOTHING if wait is None else wait.instruction if isinstance(wait, Wait) else wait.signal or TURN

    def interrupt(self, error: BaseException) -> None:
        """Raises `error` where the chain waits, if it does; it is no cancel of the run."""
        wait = self._wait
        if self._later is None and wait is not None and not wait.cancel(error):
            self._wait = None
            self.resume(None, error)

    def cancel(self, error: BaseException) -> None:
        """Raises `error` where the chain waits, and at each later wait but those of cleanups. A no-op after the end."""
        thread = self.run.thread
        if thread is None or (thread.cancelled is not None and type(thread.cancelled) is not Stopped):
            return
        thread.cancelled = error
        wait = self._wait
        if self._later is not None:
            self._later = (None, error)
        elif not self.stepping and wait is not None and not wait.cancel(error):
            self._wait = None
            self.resume(None, error)

    def close(self) -> None:
        """Closes a run that has handed over a row and is paused there."""
        self.resume(None, GeneratorExit())

    def resume(self, value: Any, error: BaseException | None) -> None:
        """What the chain waits for is there."""
        loop = self._loop
        if self.stepping or type(getcurrent()) is MicroThread or loop.nested >= DEEPEST:
            with suppress(RuntimeError):  # the loop is closed: there is no later
                if self._later is None:
                    loop.call_soon(self._go_on)
                self._later = (value, error)
                return
        loop.nested += 1  # what it makes may be what another run waits for
        try:
            self.go(value, error)
        finally:
            loop.nested -= 1

    def _go_on(self) -> None:
        if self._later is not None:
            (value, error), self._later = self._later, None
            self.go(value, error)

    def hand(self, row: Any) -> bool:
        """Takes a row of `inlet` if the chain waits for one, here. True if so: then the chain has gone on with it, and
        waits again; or it will, when it is its turn. False: push it. A row that is None can't be handed.

        The way of every piece of a connection: no more is done here than must be.
        """
        inlet, pushed = self.inlet, self._pushed
        if inlet is None:
            return False
        arrived = inlet.arrived
        # Another greenlet than the hub is another chain, perhaps, or another thread: `resume` tells them apart.
        if arrived.waiter is not pushed or getcurrent() is not self._hub:
            return False
        arrived.waiter = None
        if self._loop.used >= self._slice:
            inlet.push_one(row)  # it is held meanwhile, and nobody waits for it
            self._loop.turn_over(self.turn)
        else:
            pushed.armed = False
            if self._step(row, None):
                self.go(None, None)
        return True

    def _on_turn(self) -> None:
        """`Pushed.__call__` for the loop's queue: a method, not an object that is called, adds nothing to the stack."""
        pushed = self._pushed
        if not pushed.armed or getcurrent() is not self._hub or self._loop.used >= self._slice:
            pushed()
            return
        if self._step(pushed.take(), None):
            self.go(None, None)

    def go(self, value: Any, error: BaseException | None) -> None:
        loop = self._loop
        while not self.run.over:
            self._wait = None
            thread: Any = self.run.thread
            self._thread = thread
            if error is None and not thread:
                error = thread.cancelled  # cancelled before its first step
            if error is None and loop.used >= self._slice:
                self._wait = pushed = self._pushed
                pushed.signal = None
                pushed.value = value
                pushed.armed = True
                loop.turn_over(self.turn)
                return
            hub = getcurrent()
            if hub is not self._hub:
                thread.parent = self._hub = hub
            # What was pushed meanwhile is read at once, here and not in a call, so that the stack does not grow.
            if not self._step(value, error):
                return
            value = error = None

    def _step(self, value: Any, error: BaseException | None) -> bool:
        """One step of the chain, to its next wait or its end. True: what it waits for has happened already."""
        run, loop, clock, thread = self.run, self._loop, self._clock, self._thread
        loop.inside = True  # Loop.enter, in place
        loop.slice = slice = self._slice
        left = slice - loop.used
        loop.entered = entered = clock()
        run.deadline = entered + (left if left > slice / 4 else slice / 4)
        self.stepping = True
        try:
            outcome = thread.switch(value) if error is None else thread.step_error(error)
            while outcome is ROW:
                outcome = thread.step()
            if outcome is None:
                raise_swallowed(run)
        except BaseException as failure:
            self.stepping = False
            loop.leave()
            self._finish(failure)
            return False
        self.stepping = False
        if loop.inside:  # Loop.leave, in place
            loop.inside = False
            loop.used = used = loop.used + clock() - entered
            if used > 0.001 and not loop.marked:
                loop.mark()
        if self._paused is not None:
            self._paused()
        return self._waits(outcome)

    def _waits(self, outcome: Any) -> bool:
        """The chain has come to a wait, or to its end (None). True: what it waits for has happened already."""
        thread = self._thread
        if type(outcome) is Signal and thread.handling is None:
            self._wait = outcome.waiter = pushed = self._pushed
            pushed.signal = outcome
            pushed.armed = True
            # Published first, and looked at after: see Signal.callLater.
            if not outcome.happened:
                return False
            pushed.forget()
            return True
        if outcome is None:
            self._finish(None)
        else:
            # What is over at once goes on in the loop's next turn: here it would go on before this wait is known
            # (test_twisted.py::test_a_wait_that_is_over_at_once_is_not_taken_for_the_next_one).
            self.stepping = True
            self._wait = Wait(thread, outcome, self.resume)
            self.stepping = False
        return False

    def hurry(self) -> bool:
        """Takes a step that was put off to the loop's next turn now, on the micro-thread that waits for it: did it?

        It is then nested below that micro-thread for the step, as a branch is.
        """
        if self._later is None or self.stepping:
            return False
        loop = self.run.loop
        inside = loop.inside
        loop.leave()
        self._go_on()
        if inside:
            loop.inside = True
            loop.entered = loop.clock()
        return True

    def _finish(self, error: BaseException | None) -> None:
        if error is not None and self._paused is not None:
            self._paused()
        self.run.end()
        if error is not None:
            self.run.noted(error)
        self._ended(error)


def abandon(run: Run) -> None:
    """Closes a run whose reader has gone: at once where nothing must be waited for, else with the loop's help."""
    thread = run.thread
    if run.over or thread is None:
        return
    if get_ident() != run.loop.thread:
        # A garbage collection in another thread: a micro-thread can be closed by its own thread only.
        with suppress(RuntimeError):  # the loop is closed: nothing can run there any more
            run.loop.call_threadsafe(lambda: abandon(run))
        return
    if not thread:  # it was never started, or has ended: nothing is open
        run.end()
        return
    Driven(run, partial(_abandoned, run)).close()


def _abandoned(run: Run, error: BaseException | None) -> None:
    """The end of an abandoned run: nobody is there to be told of an error, so it is reported."""
    if error is not None and not isinstance(error, (GeneratorExit, Cancelled)):
        run.loop.report(error, f"closing an abandoned run of {run.stage!r}")


@atexit.register
def _abandon_all() -> None:
    """Closes what is still open while the interpreter is whole (test_exit.py)."""
    for run in list(live):
        if run.parent is None:  # a part of a run is closed by that run
            abandon(run)
