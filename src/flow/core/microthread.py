"""Pausing a whole stack: the micro-thread, and `wait`, the one way to wait.

A *strand* is a line of execution that runs a chain: a `MicroThread` (a greenlet) wherever an event loop must go on
meanwhile, or the caller's own stack in a script, where there is nothing else to go on with. Both can `pause` with
everything on them and come back with a value or an exception. Generators between two pauses are driven by plain
Python: this file is not involved.

What may live here: strands, `wait` and its short forms. Not here: what a run owns (`run.py`), how an instruction is
obeyed (`flow.loops`).
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterator
from types import CodeType, CoroutineType, TracebackType
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar, overload

from greenlet import getcurrent, greenlet

from ..errors import CleanupTimeoutError, NotReadyError
from .instruction import TURN, Cooperate, Instruction, Signal

if TYPE_CHECKING:
    from concurrent.futures import Future
    from weakref import WeakSet

    from .instruction import Loop
    from .run import Run
    from .scope import Scope
    from .stage import Stage

__all__ = [
    "ROW",
    "Mark",
    "MicroThread",
    "Reading",
    "Strand",
    "cooperate",
    "current",
    "sleep",
    "unwanted",
    "wait",
    "wait_out",
]

T = TypeVar("T")


class Mark:
    """A value that only flow itself can hand to a hub, so that no row and no instruction is mistaken for it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


ROW: Final[Any] = Mark("ROW")
"""Handed to the hub when the strand has put a row (or rows) where its reader looks."""


class Reading(Protocol):
    """One reading of a stage that goes on from statement to statement: `stage.Pass`, or an input of `Concurrent`."""

    def ask(self) -> None: ...
    def close(self) -> None: ...
    def __iter__(self) -> Iterator[Any]: ...
    def __next__(self) -> Any: ...


class Strand:
    """A line of execution of a run: what `wait` needs to know about where it is.

    `passes` holds the readings that classic generators opened by ``yield stage`` or ``next(stage)``: they go on
    from statement to statement, as long as the strand lives; `ended` holds the stages whose reading has ended.
    `cancelled` is what a cancelled strand is asked with at each wait, and `handling` the exception that was on its
    way through the code that waits: a wait with one is part of a cleanup.
    """

    works: bool = False
    """Is what it reads work on a row of another stage? When the run is stopped, that is finished: see `stopping.py`."""

    limit: Any = None
    """What can interrupt the wait that it is in, if somebody must: ``limit.interrupt(error)``."""

    owner: Run  # not `run`: that is greenlet's name for what a greenlet does
    loop: Loop
    passes: dict[Stage[Any], Reading]
    ended: WeakSet[Stage[Any]] | None
    scope: Scope | None
    cancelled: BaseException | None
    handling: BaseException | None

    def pause(self, instruction: Any, handling: BaseException | None = None) -> Any:
        """Hands an instruction to the hub and comes back with its outcome. `handling`: see `wait_out`."""
        raise NotImplementedError

    def give_turn(self) -> None:
        """Gives the loop a turn, from an iterator that was opened on this strand, and may be read by another one: a
        stage may give its input to a branch (test_combine.py::test_a_stage_may_merge_its_own_input).
        """
        reader = getcurrent()
        (reader if type(reader) is MicroThread else self).pause(TURN)


class MicroThread(greenlet, Strand):  # type: ignore[misc, unused-ignore]  # greenlet has no types of its own
    """The stack on which one chain runs.

    Guarantees: whoever steps it becomes its hub for that step (``parent`` is set before each switch: a run that is
    driven from another task or another greenlet comes back to the right one); it runs in its run's context
    variables, ``finally`` blocks included; once cancelled, it is asked again at every wait that is not part of a
    cleanup (flow's cancel is level-triggered on every loop, though asyncio's is not).
    """

    # Each wait looks at these. In the dictionary that a greenlet has they are found at a fifth of the speed.
    __slots__ = (
        "body",
        "cancelled",
        "doubted",
        "ended",
        "handling",
        "limit",
        "loop",
        "owner",
        "passes",
        "scope",
        "works",
    )

    body: Callable[[MicroThread], Any] | None
    doubted: bool
    parent: Any  # whoever steps it, never None while it runs  # pyright: ignore[reportIncompatibleVariableOverride]

    def __init__(self, owner: Run, body: Callable[[MicroThread], Any]) -> None:
        greenlet.__init__(self)
        self.body = body
        self.owner = owner
        self.loop = owner.loop
        self.passes = {}
        self.ended = None
        self.scope = None
        self.cancelled = None
        self.handling = None
        self.limit = None
        self.works = False
        self.doubted = False  # a cancel went into it, and perhaps did not come out
        self.gr_context = owner.context

    # What greenlet calls at the first switch: a property there, which is to be replaced.
    def run(self, _first: Any = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        body, self.body = self.body, None
        assert body is not None
        return body(self)

    def step(self, value: Any = None) -> Any:
        """Runs until the next pause: ROW, an instruction, or None at the end; raises what the chain raised."""
        hub = getcurrent()
        if self.parent is not hub:
            self.parent = hub
        return self.switch(value)

    def step_error(self, error: BaseException) -> Any:
        """Like `step`, with an exception raised at the place where the chain waits."""
        self.parent = getcurrent()
        # With its traceback: by itself, throw() begins a new one, and the frames of the code that failed are gone
        # (test_close.py::test_the_traceback_of_what_was_awaited_is_kept).
        try:
            return self.throw(type(error), error, _traceback_to_keep(error))
        finally:
            del error  # which has a traceback now, and that has this frame

    def pause(self, instruction: Any, handling: BaseException | None = None) -> Any:
        self.handling = handling or sys.exception()
        if self.cancelled is not None and self.handling is None:
            unwanted(instruction)
            raise self.cancelled
        return self.parent.switch(instruction)


_MOST_PAUSES = 8


def _traceback_to_keep(error: BaseException) -> TracebackType | None:
    """What was raised at many waits is one object for all, like the ConnectionLost of Twisted: its traceback would
    grow with each of them, and keep all their frames (test_twisted_failures.py::test_a_shared_error_does_not_grow).
    """
    pauses, where = 0, error.__traceback__
    while where is not None:
        pauses += where.tb_frame.f_code in _pausing
        where = where.tb_next
    return error.__traceback__ if pauses < _MOST_PAUSES else None


_pausing: set[CodeType] = {MicroThread.pause.__code__}  # and `wait` and `cooperate`, which do it in place


def unwanted(instruction: Any) -> None:
    """Nobody will await this: a coroutine is closed, so that it does not warn of it."""
    if isinstance(instruction, CoroutineType):
        instruction.close()


_foreign_strand: Callable[[], Strand | None] | None = None


def find_strands_with(find: Callable[[], Strand | None]) -> None:
    """Lets `run.py` say how to find the strand of a script, which has no micro-thread of its own."""
    global _foreign_strand
    _foreign_strand = find


def current() -> Strand | None:
    """The strand that runs the caller, if it is run by one."""
    thread = getcurrent()
    if isinstance(thread, MicroThread):
        return thread
    assert _foreign_strand is not None
    return _foreign_strand()


def _not_ready(what: str, instruction: Any) -> NotReadyError:
    shown = getattr(instruction, "__qualname__", None) or type(instruction).__name__
    unwanted(instruction)
    return NotReadyError(
        f"{what} was called outside a running flow, so there is nothing to pause (it was to wait for: {shown}). "
        "Call it from a stage: a generator attached with `|` or wrapped with flow.wrap. "
        "In a coroutine, write `await` instead; in a script, put the work into a stage and read that with `for`."
    )


@overload
def wait(instruction: Awaitable[T], /) -> T: ...
@overload
def wait(instruction: Future[T], /) -> T: ...
@overload
def wait(instruction: Instruction, /) -> Any: ...
@overload
def wait(instruction: Any, /) -> Any: ...
def wait(instruction: Any, /) -> Any:
    """Pauses the whole chain until `instruction` is done, and returns its result or raises its error right here.

    `instruction` is an awaitable, a Deferred, a `concurrent.futures.Future`, a `CallLater` or a `Cooperate`. The
    event loop goes on meanwhile; in a script the thread blocks. A cancel is raised here, and a ``finally`` that runs
    because of it may wait again. Raises NotReadyError outside a run, Unsupported for what can't be waited for.

        def pages(urls):
            for url in urls:
                yield flow.wait(fetch(url))      # fetch is an async function; this is a plain generator
    """
    thread: Any = getcurrent()
    if type(thread) is MicroThread and thread.cancelled is None and sys.exception() is None:
        thread.handling = None  # MicroThread.pause, in place
        return thread.parent.switch(instruction)
    strand = current()
    if strand is None:
        raise _not_ready("flow.wait()", instruction)
    return strand.pause(instruction)


_pausing.add(wait.__code__)


def wait_out(strand: Strand, done: Callable[[], bool], signal: Signal | None = None) -> None:
    """Waits until something that is being closed is closed, even when a cancel arrives meanwhile.

    It looks when `signal` is set; without one, in each turn of the loop. A cancel is raised afterwards, and the rest of
    the wait is a cleanup, with the deadline of one
    (test_close.py::test_a_cancel_during_a_close_does_not_cut_it_short).
    """
    interrupt: BaseException | None = None
    while True:
        if signal is not None:
            signal.clear()
        if done():
            break
        try:
            strand.pause(signal or TURN, interrupt)
        except CleanupTimeoutError:
            raise
        except BaseException as error:
            interrupt = interrupt or error
    if interrupt is not None:
        raise interrupt


def sleep(seconds: float, /) -> None:
    """Pauses the whole chain for `seconds` (of the loop's clock; 0 gives the loop one turn).

    Raises ValueError or TypeError for seconds that are negative, NaN or no number, and NotReadyError outside a run.

        def slowly(rows):
            for row in rows:
                flow.sleep(0.5)
                yield row
    """
    instruction = Cooperate(seconds)
    strand = current()
    if strand is None:
        raise _not_ready("flow.sleep()", instruction)
    strand.pause(instruction)


def cooperate() -> None:
    """Gives the loop a turn, and goes on. For a long calculation between two rows; rows need it not.

    Raises NotReadyError outside a run.

        def factors(numbers):
            for number in numbers:
                for candidate in range(2, number):
                    if candidate % 10_000 == 0:
                        flow.cooperate()
                    if number % candidate == 0:
                        yield number, candidate
    """
    thread: Any = getcurrent()
    if type(thread) is MicroThread and thread.cancelled is None and sys.exception() is None:
        thread.handling = None  # as in `wait`
        thread.parent.switch(TURN)
        return
    strand = current()
    if strand is None:
        raise _not_ready("flow.cooperate()", TURN)
    strand.pause(TURN)


_pausing.add(cooperate.__code__)
