"""Reading a run with ``async for`` and ``await``: natively, in the task that asks for rows.

A run's main micro-thread hands on what its stage gives (`bodies.py`). A reader steps it, and awaits what it waits for,
in the reader's own task.

What may live here: the readers of coroutines. A run that callbacks drive is in `driven.py`, one on the caller's own
stack in `here.py`.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import partial
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from greenlet import getcurrent

from ..errors import BusyError, NotReadyError
from . import run as _run
from .bodies import in_blocks, row_by_row
from .driven import abandon, raise_swallowed
from .hand_cy import LATER, Taker
from .microthread import ROW, MicroThread
from .run import Options, Run
from .scope import raise_first

if TYPE_CHECKING:
    from .stage import Stage
    from .stopping import Stops

__all__ = [
    "BlockReader",
    "Reader",
    "busy",
    "no_loop",
    "settle",
    "taken",
]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

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
    if outcome is None and thread.cancelled is not None:
        raise_swallowed(run)
    return outcome


def _reader_gone(run: Run, _reader: object) -> None:
    abandon(run)


class Reader(Taker, Generic[T_co]):
    """One run of a stage, read with ``async for``. One task at a time may ask it for a row.

    It works no further than the row that it was asked for. `aclose` (or leaving ``async with stage.open()``) closes
    the run and returns when everything that it opened is closed. A reader that is dropped closes its run there and
    then; what its cleanups must wait for is finished by a task of the loop.
    """

    __slots__ = ("__weakref__", "_body", "_options", "_parent", "_run", "_stage", "_stops")

    def __init__(self, stage: Stage[Any], options: Options, body: Callable[[MicroThread], None] = row_by_row) -> None:
        super().__init__()
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
        if loop.used >= run.slice:  # this turn of the loop is used up
            await loop.suspend(loop.turn_over)
        run.enter()
        return run

    def _prepare(self, run: Run) -> None:
        """Before the run begins."""

    async def __anext__(self) -> T_co:
        # The way of every row: no more is done here than must be.
        try:
            row: T_co = self._take()
        except BaseException as error:
            self._thread = None
            run: Any = self._run
            run.failed(error)
            raise  # never: that has raised
        return row if row is not LATER else await self._take_later()

    async def _take_later(self) -> T_co:
        """The next row, where it can't just be taken."""
        run: Any = self._run
        outcome, self._came = self._came, LATER  # what a step came back with, if one was made
        thread: Any = self._thread
        if outcome is LATER:
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
            self._thread = thread = run.thread
            self._place = run
            self._ready = None
            self._hub = hub = getcurrent()
            if thread.parent is not hub:
                thread.parent = hub
        try:
            if outcome is LATER:
                outcome = thread.switch()
            if outcome is not ROW:
                self._thread = None
                run.busy = True
                outcome = await settle(run, outcome)
                run.busy = False
                if run.stopping:
                    self._stopped(run, outcome)
        except BaseException as error:
            self._thread = None
            run.failed(error)
            raise  # never: that has raised
        if outcome is ROW:
            if not run.busy:
                self._thread = thread
                self._hub = thread.parent
            self._ready = run.ready
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
        self._thread = None
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
