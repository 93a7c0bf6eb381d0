"""A script: a run on the caller's own stack, and the reading of a stage from inside a chain.

In a script there is nothing to go on with while a chain waits, so there is nothing to move aside: the chain is nested
below the caller's ``for``, and a wait blocks the thread on the run's private loop.

What may live here: iterators that a plain ``for`` reads.
"""

from __future__ import annotations

import atexit
import sys
import weakref
from collections.abc import Callable, Generator, Iterator
from itertools import chain
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import FlowError
from . import run as _run
from .bodies import checked, in_blocks
from .microthread import ROW, MicroThread, Strand, current, find_strands_with, unwanted
from .reader import taken
from .run import Options, Run, ScriptLoop
from .scope import Scope, raise_first
from .stacks import pausing, reading
from .stacks import script as reads_a_run

if TYPE_CHECKING:
    from .reading import Block
    from .running import RunningHere
    from .stage import Stage

__all__ = ["blocks_here", "closing", "read_here", "read_inside", "script"]

T = TypeVar("T")

scripts: weakref.WeakSet[Generator[Any]] = weakref.WeakSet()
"""The iterators that scripts hold."""


@atexit.register
def _close_all() -> None:
    """Closes what is still open while the interpreter is whole (test_exit.py)."""
    for rows in list(scripts):
        rows.close()


def _checked_here(rows: Iterator[T], strand: Strand) -> Iterator[T]:
    return chain(checked(rows, strand), rows)


class HereStrand(Strand):
    """The strand of a script: the caller's own stack. A wait blocks the thread on the run's private loop."""

    def __init__(self, owner: Run) -> None:
        self.owner = owner
        self.loop: Any = owner.loop
        self.passes = {}
        self.ended = None
        self.scope = None
        self.cancelled = None
        self.handling = None
        self.outer = sys.exception()  # the script itself may be handling an error while it reads

    def pause(self, instruction: Any, handling: BaseException | None = None) -> Any:
        handling = handling or sys.exception()
        self.handling = None if handling is self.outer else handling
        if self.owner.stops is not None:
            # Whoever stops the run from another thread finds the loop, or else its wish is found here: in this order.
            self.loop.prepare()
            self.owner.stops.look()
            if self.cancelled is not None and self.handling is None:
                unwanted(instruction)
                raise self.cancelled
        try:
            return self.loop.block(instruction, self)
        finally:
            self.handling = None
            self.owner.enter()


def read_here(stage: Stage[T], options: Options, begun: Callable[[HereStrand], object] | None = None) -> Generator[T]:
    """The rows of one run, on the caller's own stack: between two rows nothing of flow runs but this generator."""
    strand = HereStrand(Run(stage, _run.loops.private(), options))
    if begun is not None:
        begun(strand)
        begun = None  # its object holds this iterator
    try:
        with Scope(strand) as scope:
            yield from _checked_here(strand.owner.stage.open_in(scope), strand)
    except BaseException as error:
        strand.owner.noted(error)
        raise
    finally:
        strand.owner.end()
        strand.loop.close()


def blocks_here(stage: Stage[T], options: Options) -> Generator[list[T]]:
    """The rows of one run as lists of what is ready, for a script."""
    loop = _run.loops.private()
    run = Run(stage, loop, options)
    thread = run.begin(in_blocks)
    outcome: Any = ROW
    failure: BaseException | None = None
    try:
        while outcome is not None:
            try:
                outcome = thread.step() if outcome is ROW else _block_one(loop, thread, outcome)
            except BaseException as error:
                run.noted(error)
                outcome, failure = None, error
                if not isinstance(error, Exception):
                    raise
            if run.block:
                yield taken(run.block)
        if failure is not None:
            raise failure
    finally:
        unwanted(outcome)  # it was about to be waited for
        try:
            if thread:
                outcome = thread.step_error(GeneratorExit())
                while outcome is not None:
                    outcome = _block_one(loop, thread, outcome)
        except GeneratorExit:
            pass
        finally:
            run.end()
            loop.close()


def _block_one(loop: ScriptLoop, thread: MicroThread, instruction: Any) -> Any:
    try:
        value = loop.block(instruction, thread)
    except BaseException as error:
        thread.owner.enter()
        return thread.step_error(error)
    thread.owner.enter()
    return thread.step(value)


def script(rows: Generator[T]) -> Generator[T]:
    """Remembers the iterator of a script, to close it when the interpreter ends."""
    scripts.add(rows)
    return rows


def _strand_here() -> Strand | None:
    """The script's strand that runs the caller: `read_here` is then somewhere up the stack, and executing.

    Between two rows it is suspended, hence not on the stack: a wait in the body of the reader's own loop is outside
    the run, as it should be. This walk costs nothing until something waits in a script.
    """
    frame: FrameType | None = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while frame is not None:
        if frame.f_code is read_here.__code__:
            strand: HereStrand | None = frame.f_locals.get("strand")
            if strand is None or strand.loop.busy:
                return None  # a coroutine on the private loop, not the chain: it must use await
            return strand
        frame = frame.f_back
    return None


find_strands_with(_strand_here)


def closing(rows: RunningHere[Any] | Block[Any], error: BaseException | None) -> None:
    """Closes a run at the end of its ``with``; a failure then joins the error that ended the block."""
    try:
        rows.close()
    except BaseException as failure:
        if error is None:
            raise
        raise_first(error, [failure])


def read_inside(stage: Stage[T]) -> Generator[T]:
    """The rows of a stage that a chain iterates itself: part of the run it is in, closed when the iteration ends."""
    strand = current()
    if strand is None:
        raise FlowError(f"an iterator of {stage!r} was made inside a flow and used outside it: iterate the stage again")
    stops = strand.owner.stops
    source = None if stops is None else stops.begin_reading(strand, sys._getframe().f_back)  # pyright: ignore[reportPrivateUsage]
    scope = Scope(strand)
    outer = strand.scope
    if outer is not None:
        outer.hold(scope)  # a stage that fails may leave this iterator in a variable, and never end it
    try:
        for row in stage.open_in(scope):  # noqa: UP028 (`yield from` would close it on its own)
            yield row
    except GeneratorExit as leaving:
        # The chain leaves its own `for`. Nobody sees an error there (Python reports what an iterator raises that is
        # dropped, and goes on), so a cleanup that fails is raised when the strand is closed.
        try:
            scope.__exit__(GeneratorExit, leaving, None)
        except Exception as failure:
            if outer is None:
                raise
            outer.tell_late(failure)
        raise
    except BaseException as error:
        scope.__exit__(type(error), error, None)
        raise
    else:
        scope.close()
    finally:
        if outer is not None:
            outer.let_go(scope)
        if source is not None:
            source.stops.end_reading(source, sys._getframe().f_back)  # pyright: ignore[reportPrivateUsage]


reads_a_run(read_here.__code__)
pausing(HereStrand.pause.__code__)
reading(read_inside.__code__, lambda frame: frame.f_locals["source"])
