"""Reading a run with ``async for`` and ``await``: natively, in the task that asks for rows.

A run's main micro-thread hands on what its stage gives in one of four ways: row by row, in blocks of what is ready, as
a list, or to a function. A reader steps it, and awaits what it waits for, in the reader's own task.

What may live here: these four bodies, and the readers of coroutines. A run that callbacks drive is in `driven.py`, one
on the caller's own stack in `here.py`.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from greenlet import getcurrent

from ..errors import BusyError, NotReadyError
from . import run as _run
from .driven import abandon, raise_swallowed
from .instruction import TURN
from .microthread import ROW, MicroThread, Strand
from .pull_cy import MOST, Ready, fair, pieces
from .run import Options, Run, Scope, raise_first

if TYPE_CHECKING:
    from .stage import Stage
    from .stopping import Stops

__all__ = [
    "LARGEST_BLOCK",
    "BlockReader",
    "Reader",
    "busy",
    "checked",
    "handed_to",
    "in_a_list",
    "in_blocks",
    "no_loop",
    "row_by_row",
    "settle",
    "taken",
]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

LARGEST_BLOCK = 1024
"""Rows in a block of ``.blocks()``, at most."""

LARGEST_PIECE = 4 * (MOST + 1) - 1
"""Rows between two looks at the clock where a list is collected; the source below it mostly looks more often."""


# What runs on the main micro-thread of a run: four ways to hand on what the stage gives.


def checked(rows: Iterator[Any], thread: Strand) -> Iterator[Any]:
    """Looks at the first row: a coroutine there is a forgotten wait, and says so before a thousand of them are made."""
    for row in rows:
        if isinstance(row, CoroutineType) and thread.owner.stage.is_plain_pipe:
            row.close()
            raise TypeError(
                f"the plain stage {thread.owner.stage.label} yielded a coroutine ({row.__qualname__}) that nobody "
                f"awaited. Write `yield flow.wait({row.__name__}(...))` in it, or use `.map({row.__name__})`."
            )
        yield row
        break


def _open(thread: Strand, scope: Scope) -> Iterator[Any]:
    return thread.owner.stage.open_in(scope)


def row_by_row(thread: MicroThread) -> None:
    """Hands each row to the hub and works no further until it is asked again."""
    with Scope(thread) as scope:
        rows: Any = _open(thread, scope)
        run = thread.owner
        if type(rows) is Ready:
            for piece in rows.pieces:
                for run.row in piece:
                    if thread.cancelled is not None:
                        raise thread.cancelled
                    run.ready = piece
                    thread.parent.switch(ROW)
            return
        for run.row in checked(rows, thread):
            thread.parent.switch(ROW)
        for run.row in fair(rows, thread):
            if thread.cancelled is not None:
                raise thread.cancelled  # a stage swallowed the cancel and went on
            thread.parent.switch(ROW)


def in_blocks(thread: MicroThread) -> None:
    """Gathers what is ready; the hub takes the block when the chain must wait, gives a turn, or has gathered enough."""
    with Scope(thread) as scope:
        rows = _open(thread, scope)
        run = thread.owner
        block = run.block
        block.extend(checked(rows, thread))
        for piece in pieces(rows, thread, MOST):
            rest = iter(piece)
            while True:
                # Whatever a row takes, those before it are in the block when the chain pauses, and the hub takes them.
                block.extend(islice(rest, LARGEST_BLOCK - len(block)))
                if thread.cancelled is not None:
                    raise thread.cancelled  # a stage swallowed the cancel and went on
                if thread.doubted:
                    thread.parent.switch(ROW)  # the hub asks the loop
                if len(block) < LARGEST_BLOCK:
                    break
                thread.pause(ROW)


def in_a_list(thread: MicroThread) -> None:
    """Collects every row, at the speed of list.extend."""
    with Scope(thread) as scope:
        rows = _open(thread, scope)
        block = thread.owner.block
        block.extend(checked(rows, thread))
        for piece in pieces(rows, thread, LARGEST_PIECE):
            block.extend(piece)
            if thread.cancelled is not None:
                raise thread.cancelled
            if thread.doubted:
                thread.parent.switch(ROW)


def handed_to(take: Callable[[Any], object]) -> Callable[[MicroThread], None]:
    """Gives each row to ``take(row)``, which is called on the chain's own stack, and may wait."""

    def hand_over(thread: MicroThread) -> None:
        with Scope(thread) as scope:
            rows = _open(thread, scope)
            run, clock = thread.owner, thread.loop.clock
            for row in checked(rows, thread):
                take(row)
            # Not through `fair`: a call for each row is made here anyway, and each iterator less is that much less of
            # a stack to be moved aside at each pause.
            for row in rows:
                if thread.cancelled is not None:
                    raise thread.cancelled
                take(row)
                if clock() >= run.deadline:
                    thread.pause(TURN)

    return hand_over


# --------------------------------------------------------------------------------------------------------------------
# Reading a run with `async for` and `await`


_Coroutine: Any = CoroutineType  # as Any: compared with it, an instruction stays one of unknown type to type checkers


async def settle(run: Run, outcome: Any, once: bool = False) -> Any:
    """Obeys instructions, natively in the task that asks, until the run has a row (ROW) or has ended (None).

    What ends it is raised here: the chain's own error, or what was raised at a wait and travelled through it. `once`:
    obeys one, and gives what the chain came back with. The way of every wait: it calls no coroutine that it need not.
    """
    loop, clock, slice = run.loop, run.loop.clock, run.slice
    thread: Any = run.thread
    quick = loop.native and run.stops is None
    while outcome is not ROW and outcome is not None:
        if loop.inside:  # Loop.leave, in place
            loop.inside = False
            loop.used = used = loop.used + clock() - loop.entered
            if used > 0.001 and not loop.marked:
                loop.mark()
        try:
            if quick and type(outcome) is _Coroutine and thread.handling is None:
                value = await outcome
            else:
                value = await loop.awaitable_for(outcome, thread)
        except GeneratorExit:
            # The coroutine that reads is being destroyed: it must not wait again, so callbacks finish the run.
            run.abandoned = True
            abandon(run)
            raise
        except BaseException as error:
            run.enter()
            if loop.cancels(error):
                thread.cancelled = error
            elif not isinstance(error, Exception):
                thread.doubted = True
            outcome = thread.step_error(error)
        else:
            loop.inside = True  # Loop.enter, in place
            loop.slice = slice
            left = slice - loop.used
            loop.entered = entered = clock()
            run.deadline = entered + (left if left > slice / 4 else slice / 4)
            hub = getcurrent()  # MicroThread.step, in place
            if thread.parent is not hub:
                thread.parent = hub
            outcome = thread.switch(value)
        if thread.doubted and (outcome is ROW or outcome is None):
            # The chain goes on although a cancel went into it. That is right if a cancel scope inside it took the
            # cancel, and wrong if a stage swallowed one that came from around the run: only the loop knows.
            thread.doubted = False
            try:
                await loop.checkpoint()
            except BaseException as error:
                if outcome is None:
                    raise
                outcome = thread.step_error(error)
        if once:
            return outcome
    if outcome is None:
        raise_swallowed(run)
    return outcome


def _reader_gone(run: Run, _reader: object) -> None:
    abandon(run)


class Reader(Generic[T_co]):
    """One run of a stage, read with ``async for``. One task at a time may ask it for a row.

    It works no further than the row that it was asked for. `aclose` (or leaving ``async with stage.open()``) closes
    the run and returns when everything that it opened is closed. A reader that is dropped closes its run there and
    then; what its cleanups must wait for is finished by a task of the loop.
    """

    __slots__ = ("__weakref__", "_body", "_options", "_parent", "_run", "_stage", "_stops")

    def __init__(self, stage: Stage[Any], options: Options, body: Callable[[MicroThread], None] = row_by_row) -> None:
        self._stage = stage
        self._options = options
        self._body = body
        self._run: Run | None = None
        self._parent: Run | None = None
        self._stops: Stops | None = None

    def as_part_of(self, run: Run, stops: Stops | None) -> Reader[T_co]:
        """Makes the run a part of another one, which is told of rows that are dropped, and may be stopped."""
        self._parent = run
        self._stops = stops
        return self

    def __aiter__(self) -> Reader[T_co]:
        return self

    @property
    def dropped(self) -> int:
        """Rows that were made and that nobody read, so far."""
        return 0 if self._run is None else self._run.dropped

    async def _start(self) -> Run:
        loop = _run.loops.awaiting()
        if loop is None:
            raise no_loop(self._stage)
        run = Run(self._stage, loop, self._options)
        run.parent = self._parent
        run.stops = self._stops
        self._prepare(run)
        self._run = run
        run.begin(self._body)
        run.watch = weakref.ref(self, partial(_reader_gone, run))
        if loop.full(run.slice):
            await loop.suspend(loop.turn_over)
        run.enter()
        return run

    def _prepare(self, run: Run) -> None:
        """Before the run begins."""

    async def __anext__(self) -> T_co:
        # The way of every row: no more is done here than must be.
        run = self._run
        if run is None:
            run = await self._start()
        if run.over:
            raise self._after(run)
        if run.busy:
            return await self._out_of_turn(run)
        if run.ready is not None:
            ready: T_co
            for ready in run.ready:
                return ready
            run.ready = None
        thread: Any = run.thread
        try:
            hub = getcurrent()  # MicroThread.step, in place
            if thread.parent is not hub:
                thread.parent = hub
            outcome = thread.switch()
            if outcome is not ROW:
                run.busy = True
                outcome = await settle(run, outcome)
                run.busy = False
                if run.stopping:
                    self._stopped(run, outcome)
        except BaseException as error:
            run.failed(error)
        if outcome is ROW:
            row: T_co = run.row
            return row
        run.end()
        raise StopAsyncIteration

    def _after(self, run: Run) -> BaseException:
        """What is raised when it is asked for a row after the end."""
        return StopAsyncIteration()

    async def _out_of_turn(self, run: Run) -> T_co:
        """It was asked for a row while it is busy."""
        raise busy(run)

    def _stopped(self, run: Run, outcome: Any) -> None:
        """The run was stopped while it was waited for."""

    async def aclose(self) -> None:
        """Closes the run: upstream, in order, finished when this returns. Idempotent."""
        run = self._run
        if run is None or run.over or run.abandoned or run.thread is None:
            return
        if run.busy:
            raise busy(run)
        run.busy = True
        try:
            outcome = run.thread.step_error(GeneratorExit())
            await settle(run, outcome)
        except GeneratorExit:
            if run.abandoned:
                raise
            run.end()
        except BaseException as error:
            run.failed(error)
        finally:
            run.busy = False

    async def __aenter__(self) -> Reader[T_co]:
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, where: object) -> None:
        try:
            await self.aclose()
        except BaseException as failure:
            if error is None:
                raise
            raise_first(error, [failure])


class BlockReader(Reader[list[T]]):
    """One run, read as lists of what is ready: see `Stage.blocks`."""

    __slots__ = ("_failure",)

    def __init__(self, stage: Stage[Any], options: Options, body: Callable[[MicroThread], None] = in_blocks) -> None:
        super().__init__(stage, options, body)
        self._failure: BaseException | None = None

    async def __anext__(self) -> list[T]:
        run = self._run
        if run is None:
            run = await self._start()
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        if run.over:
            raise StopAsyncIteration
        if run.busy:
            raise busy(run)
        run.busy = True
        thread = run.thread
        assert thread is not None
        try:
            outcome, run.pending = run.pending, ROW
            if outcome is ROW:
                outcome = thread.step()
            while outcome is not None and not run.block:
                outcome = thread.step() if outcome is ROW else await settle(run, outcome, once=True)
            if outcome is None:
                raise_swallowed(run)
            run.pending = outcome
        except BaseException as error:
            if not run.block or not isinstance(error, Exception):
                run.drop(run.block)
                run.failed(error)
            run.end()
            run.noted(error)
            self._failure = error  # the rows that came before it are handed over first
        finally:
            run.busy = False
        if run.pending is None:
            run.end()
        if run.block:
            return taken(run.block)
        raise StopAsyncIteration


def taken(block: list[T]) -> list[T]:
    """The rows of a block, which is empty then. It stays the same list: the chain may be about to extend it."""
    rows = block[:]
    block.clear()
    return rows


def no_loop(stage: Stage[Any]) -> NotReadyError:
    return NotReadyError(
        f"{stage!r} was read with `async for` or `await` where no event loop of asyncio, trio or Twisted is running. "
        "In a script, write `for row in stage` or `list(stage)`."
    )


def busy(run: Run) -> BusyError:
    return BusyError(
        f"two readers asked one run of {run.stage!r} for a row at the same time. Let one reader take the rows and hand "
        "them on, or let each reader iterate the stage itself: each iteration is a run of its own."
    )
