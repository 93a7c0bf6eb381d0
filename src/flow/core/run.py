"""A run: one execution of a stage. What it owns, and how it ends.

The rule everything follows: *who opens a run closes it, and closing goes upstream, in order, finished before control
returns* (`scope.py`).

What may live here: the options and the state of a run. Not here: who steps a run (`reader.py`, `driven.py`, `here.py`),
how a loop obeys an instruction (`flow.loops`).
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from contextvars import copy_context
from math import inf
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from ..errors import CleanupTimeoutError
from .hand_cy import Place
from .instruction import Loop, seconds_of
from .microthread import ROW, MicroThread, Strand, unwanted

if TYPE_CHECKING:
    from .stage import Stage
    from .stopping import Stops

__all__ = [
    "CLEANUP",
    "DEFAULTS",
    "MOST_NOTES",
    "SLICE",
    "Loops",
    "Options",
    "Run",
    "ScriptLoop",
    "live",
    "loops",
    "use_loops",
]

SLICE = 0.005
"""Seconds that a run may hold the loop before it gives it a turn."""

CLEANUP = 5.0
"""Seconds that cleanups may go on waiting after a cancel."""


class Loops(Protocol):
    """What `flow.loops` tells the core: which loop is running here, and a private one for a script."""

    def running(self) -> Loop | None: ...
    def awaiting(self) -> Loop | None: ...
    def private(self) -> ScriptLoop: ...


class ScriptLoop(Loop, Protocol):
    """A loop that runs only while a script waits."""

    busy: bool

    @property
    def made(self) -> bool: ...
    def prepare(self) -> None: ...
    def block(self, instruction: Any, strand: Strand, /) -> Any: ...
    def close(self) -> None: ...


loops: Loops


def use_loops(provider: Loops) -> None:
    """Tells the core where loops come from; called once, by `flow.loops`."""
    global loops
    loops = provider


class Options:
    """How a run is to behave: `slice` and `cleanup` in seconds, `on_dropped` for rows that a cancel leaves behind."""

    __slots__ = ("cleanup", "on_dropped", "slice")

    def __init__(
        self,
        slice: float = SLICE,
        cleanup: float = CLEANUP,
        on_dropped: Callable[[list[Any]], object] | None = None,
    ) -> None:
        self.slice = seconds_of(slice, "slice")
        self.cleanup = seconds_of(cleanup, "cleanup")
        if on_dropped is not None and not callable(on_dropped):
            raise TypeError(f"on_dropped must be a function of a list of rows, not {type(on_dropped).__name__}")
        self.on_dropped = on_dropped


DEFAULTS = Options()


class Run(Place):
    """One execution of a stage: its loop, its context variables, its main strand, and how it ended.

    It is over exactly once. `dropped` counts the rows that were made and that nobody read.
    """

    __slots__ = (
        "__weakref__",
        "abandoned",
        "block",
        "busy",
        "cleanup_until",
        "context",
        "deadline",
        "dropped",
        "loop",
        "options",
        "over",
        "parent",
        "pending",
        "slice",
        "stage",
        "stopping",
        "stops",
        "thread",
        "watch",
    )

    def __init__(self, stage: Stage[Any], loop: Loop, options: Options) -> None:
        self.row = self.ready = None  # Place.__init__, in place
        self.stage = stage
        self.loop = loop
        self.options = options
        self.context = copy_context()
        self.slice = options.slice or inf
        self.deadline = inf
        self.cleanup_until: tuple[BaseException, float] | None = None
        self.busy = False
        self.abandoned = False  # its reader was destroyed: callbacks drive it
        self.over = False
        self.parent: Run | None = None  # the run that has this one as a part of it
        self.dropped = 0
        self.block: list[Any] = []  # as `row`, for several
        self.pending: Any = ROW  # what the chain waits for, and nobody has begun to: the rows before it come first
        self.thread: MicroThread | None = None
        self.watch: weakref.ref[Any] | None = None  # calls when the reader has gone
        self.stops: Stops | None = None  # of a run with a handle, and of its parts
        self.stopping = False  # it was stopped, so its reader takes the long way

    def begin(self, body: Callable[[MicroThread], Any]) -> MicroThread:
        self.thread = MicroThread(self, body)
        live.add(self)
        return self.thread

    def end(self) -> None:
        self.over = True
        self.ready = None
        if self.pending is not ROW:
            unwanted(self.pending)
        live.discard(self)
        self.loop.leave()
        self.watch = None
        if self.stops is not None and self.stops.run is self:
            self.stops.over()
        thread, self.thread = self.thread, None
        if thread is not None:
            # Nothing refers to the run in a circle, exceptions and their frames neither: with it go, at once, its rows
            # and its context variables (test_run.py::test_a_run_that_is_over_leaves_nothing_to_collect).
            thread.cancelled = thread.handling = thread.scope = thread.limit = None

    def enter(self) -> None:
        """The loop has let the run go on."""
        self.deadline = self.loop.enter(self.slice)

    def drop(self, rows: list[Any]) -> None:
        """Counts rows that were made and that nobody will read, and hands them to `on_dropped`."""
        if rows:
            self.dropped += len(rows)
            if self.parent is not None:
                self.parent.drop(rows)
                return
            if self.stops is not None and self.stops.stopped:
                self.stops.receipt.never_started.add(rows)
            if self.options.on_dropped is not None:
                self.options.on_dropped(rows)

    def gave_up(self, rows: list[Any]) -> None:
        """Tells of rows on which some call was at work when the run was ended: `drain` says so."""
        if self.parent is not None:
            self.parent.gave_up(rows)
        elif self.stops is not None and self.stops.stopped:
            self.stops.receipt.in_flight.add(rows)

    @property
    def stopped(self) -> bool:
        """Was it stopped? Its sources give no more rows then."""
        return self.stops is not None and self.stops.stopped

    def cleanup_deadline(self, strand: Strand) -> float | None:
        """Until when the strand's wait may last, when it is part of a cleanup after a cancel (the loop's time)."""
        error = strand.handling
        if isinstance(error, GeneratorExit):  # an upstream generator is closed, perhaps because of a cancel below it
            error = strand.cancelled
        return None if error is None else self.cleanup_deadline_of(error)

    def cleanup_deadline_of(self, error: BaseException) -> float | None:
        if isinstance(error, (Exception, GeneratorExit)) or self.options.cleanup == inf:
            return None
        if self.cleanup_until is None or self.cleanup_until[0] is not error:
            self.cleanup_until = (error, self.loop.time() + self.options.cleanup)
        return self.cleanup_until[1]

    def cleanup_timeout(self, strand: Strand) -> CleanupTimeoutError:
        return CleanupTimeoutError(
            f"a cleanup of {self.stage!r} went on waiting for more than {self.options.cleanup:g} s after the flow was "
            f"cancelled, and was ended. It waited in {_where(strand)}. "
            "Give it longer with stage.open(cleanup=seconds), or wait for less there."
        )

    def failed(self, error: BaseException) -> NoReturn:
        """Ends the run with an error, as its reader is to see it: noted, and a cancel in the loop's own shape."""
        if self.abandoned:
            raise error  # there is no reader, and the run is not over yet
        self.end()
        self.noted(error)
        outside = error if self.stops is None else self.stops.outside(error)
        if outside is error:
            outside = self.loop.outside(error)
        if outside is not error:
            raise outside from error
        raise error

    def noted(self, error: BaseException) -> None:
        """Notes on an error of the chain which stages it passed, once."""
        if isinstance(error, Exception):
            note = f"flow: {self.stage!r}"
            notes = getattr(error, "__notes__", ())
            if note not in notes and len(notes) < MOST_NOTES:
                error.add_note(note)
        if isinstance(error, ValueError) and error.args == ("generator already executing",):
            error.add_note(
                "flow: most likely an iterator of a flow's rows was asked by one branch while it waits in another. Let "
                "one reader hand the rows on (by a flow.Callback, say), or give each branch a stage of its own."
            )
        if isinstance(error, RecursionError):
            error.add_note(
                f"flow: this chain has {self.stage.depth} stages, nested as plain generators; Python's recursion limit "
                f"is {sys.getrecursionlimit()}. Use fewer stages, or sys.setrecursionlimit()."
            )


MOST_NOTES = 20
"""Notes on one error: it may be shared, and be raised for ever. Twisted has one ConnectionLost for all connections."""

live: set[Run] = set()
"""The runs that are not over. They are held here until they are, so that a run in a reference cycle is closed, too."""


def _where(strand: Strand) -> str:
    """Names the user's code in which a paused micro-thread waits."""
    frame: FrameType | None = getattr(strand, "gr_frame", None)
    inside = __file__.rsplit("core", 1)[0]
    while frame is not None and frame.f_code.co_filename.startswith(inside):
        frame = frame.f_back
    if frame is None:
        return "an unknown place"
    return f"{frame.f_code.co_qualname} ({frame.f_code.co_filename}, line {frame.f_lineno})"
