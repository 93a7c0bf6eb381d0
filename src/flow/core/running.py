"""A run with a handle: what ``with stage.open() as run`` gives. It can be stopped gently, and drained.

What may live here: the two handles, one for coroutines and one for scripts. How sources end is in `stopping.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ..errors import NotReadyError, WrongThreadError
from . import run as _run
from .here import HereStrand, closing, read_here, read_inside, script
from .instruction import Handle, Resume, seconds_of
from .reader import Reader, busy, settle
from .receipt import Drained
from .run import DEFAULTS, Options, Run
from .scope import raise_first
from .stopping import GivenUp, Stops

if TYPE_CHECKING:
    from .stage import Stage

__all__ = ["KEEP", "Running", "RunningHere"]

T_co = TypeVar("T_co", covariant=True)

KEEP = 100
"""Rows of each kind that a receipt of `drain` holds, unless it is told otherwise."""


class Running(Reader[T_co]):
    """A run with a handle, in a coroutine: what ``async with stage.open() as run`` gives.

    It is read with ``async for row in run``. `stop` ends its sources: what is in flight is finished and delivered, then
    the rows end. `drain` does that with a deadline, and says what became of the rows. Leaving the ``async with`` closes
    the run, whatever it does.

        async with rows.open() as run:
            async for row in run:
                if row == 2:
                    run.stop()
    """

    __slots__ = ("_inside", "_told", "_untold")

    def __init__(self, stage: Stage[Any], options: Options) -> None:
        super().__init__(stage, options)
        self._told = False  # to stop
        self._inside = False  # somebody is asking the stopped run for a row
        self._untold = False  # it was given up, and the reader does not know that yet

    async def _start(self) -> Run:
        told = self._told
        if told:  # before it began: nothing is opened
            loop = _run.loops.awaiting()
            assert loop is not None
            run = self._run = Run(self._stage, loop, self._options)
            run.end()
            return run
        run = await super()._start()
        if self._told and run.stops is not None:  # by another thread, just then
            self._stop(run, run.stops)
        return run

    def _prepare(self, run: Run) -> None:
        run.stops = Stops(run)

    # ---- stopping

    def stop(self) -> None:
        """Has the sources end. What is in flight is finished and delivered; then the rows end as they always do.

        It returns at once. No source is asked for another row; one that waits is ended at its wait; rows that a
        Callback, a thread or an async source holds are still read, and a push into them raises ClosedError. What a
        stage reads while it works on a row (the sources of `flat_map`) is finished, and no wait of a stage is cut
        short. A run that is stopped before its first row is asked for opens nothing. May be called at any time, from
        any thread (not from an asyncio program's ``signal.signal`` handler: give it to ``loop.add_signal_handler``).
        """
        self._told = True
        run = self._run
        if run is not None and run.stops is not None:
            run.stops.on_loop(partial(self._stop, run, run.stops))

    def _stop(self, run: Run, stops: Stops) -> None:
        if not run.over and not stops.stopped:
            self._inside = run.busy
            run.stopping = run.busy = True
            self._thread = None
            stops.stop()

    async def drain(
        self, deadline: float, *, take: Callable[[Any], object] | None = None, keep: int = KEEP
    ) -> Drained[T_co]:
        """Stops the run, and waits for its end; what has not come out after `deadline` seconds is given up.

        Somebody else reads the rows meanwhile, another task; that reader gets a DrainTimeoutError in place of rows that
        were given up. With `take`, drain itself reads the rest and calls ``take(row)`` for each row, which may be
        async. Returns, when everything is closed, what became of the rows since the call, with up to `keep` rows of
        each kind. math.inf waits as long as it takes. Raises ValueError or TypeError for what these can't be, what
        `take` and the stages raise, and where the run was given up what its cleanups raise.

            receipt = await run.drain(10, take=print)
        """
        checked(deadline, take, keep)
        run = self._run
        if take is not None and run is not None and (self._inside if run.stopping else run.busy):
            raise busy(run)
        self.stop()
        if run is None or run.stops is None:
            return Drained()
        stops = run.stops
        stops.receipt.keep(keep)
        if not run.over:
            if _run.loops.awaiting() is not run.loop:
                raise WrongThreadError(f"drain() must be awaited on the loop that reads {run.stage!r}")
            if take is not None:
                await self._read_rest(run, stops, take, deadline)
            elif not await _over_within(run, stops, deadline):
                await self._give_up(run, stops)
        return stops.receipt.drained(keep)

    async def _give_up(self, run: Run, stops: Stops) -> None:
        """Cancels what is left, and returns when that is closed."""
        error = stops.give_up()
        thread = run.thread
        assert thread is not None
        thread.cancelled = error
        if self._inside:  # the reader waits for it
            if thread.limit is not None:
                thread.limit.interrupt(error)
            await _over_within(run, stops, inf)
            return
        self._inside = self._untold = True
        try:
            await settle(run, thread.step_error(error))
        except GivenUp as ended:
            run.end()
            if ended is not error:
                raise
        except BaseException as failure:
            run.failed(failure)
        finally:
            self._inside = False
        run.end()
        if error.failures:
            raise_first(None, [*error.failures])

    async def _read_rest(self, run: Run, stops: Stops, take: Callable[[Any], object], deadline: float) -> None:
        thread: Any = run.thread
        late = False

        def expire() -> None:
            nonlocal late
            late = True
            if not run.over and thread.limit is not None:
                thread.cancelled = error = stops.give_up()
                thread.limit.interrupt(error)

        timer = None if deadline == inf else run.loop.call_later(deadline, expire)
        try:
            while not run.over and not late:
                row = await self._next(run)
                stops.taking = True
                try:
                    await _taken(run, take(row))
                except GivenUp:
                    stops.receipt.in_flight.add([row])
                    break
                finally:
                    stops.taking = False
                stops.receipt.delivered.add([row])
            if not run.over:
                await self._give_up(run, stops)
                self._untold = False
        except StopAsyncIteration:
            pass
        except BaseException as error:
            if stops.given_up is None or not run.over:
                await self.__aexit__(type(error), error, error.__traceback__)
                raise
            if error.__cause__ is not stops.given_up:
                raise
            if stops.given_up.failures:
                raise_first(None, [*stops.given_up.failures])
        finally:
            if timer is not None:
                timer.cancel()

    # ---- reading a run that was stopped

    def _after(self, run: Run) -> BaseException:
        if self._untold and run.stops is not None and run.stops.given_up is not None:
            self._untold = False
            return run.stops.outside(run.stops.given_up)
        return super()._after(run)

    def _stopped(self, run: Run, outcome: Any) -> None:
        self._inside = False
        run.busy = True
        if outcome is not None and run.stops is not None:
            run.stops.receipt.delivered.add([run.row])

    async def _out_of_turn(self, run: Run) -> T_co:
        assert run.stops is not None
        if run.stops.given_up is not None:
            self._untold = False
            raise run.stops.outside(run.stops.given_up)
        row = await self._next(run)
        run.stops.receipt.delivered.add([row])
        return row

    async def _next(self, run: Run) -> T_co:
        if not run.stopping or self._inside:
            raise busy(run)
        self._inside = True
        run.stopping = run.busy = False
        try:
            return await super().__anext__()
        finally:
            self._inside = False
            self._thread = None
            run.stopping = run.busy = True

    async def aclose(self) -> None:
        run = self._run
        if run is not None and run.stopping and not self._inside:
            run.busy = False
        await super().aclose()


async def _over_within(run: Run, stops: Stops, seconds: float) -> bool:
    """Waits until the run is over, at most so long; is it?"""
    timer: Handle | None = None

    def begin(resume: Resume) -> None:
        nonlocal timer
        if run.over:
            resume()
            return
        stops.at_end(resume)
        if seconds != inf:
            timer = run.loop.call_later(seconds, resume)

    try:
        await run.loop.suspend(begin)
    finally:
        if timer is not None:
            timer.cancel()
    return run.over


async def _taken(run: Run, made: Any) -> None:
    """Awaits what an async `take` gave, so that the deadline can interrupt it."""
    if not hasattr(made, "__await__"):
        return
    thread = run.thread
    assert thread is not None
    thread.handling = None
    run.loop.leave()
    try:
        await run.loop.obey(made, thread)
    finally:
        run.enter()


def checked(deadline: float, take: Callable[[Any], object] | None, keep: int) -> None:
    """Raises TypeError or ValueError for what the arguments of drain() can't be."""
    seconds_of(deadline, "drain(deadline)")
    if take is not None and not callable(take):
        raise TypeError(f"drain(take=...) must be a function of one row, not {type(take).__name__}")
    if isinstance(keep, bool) or not isinstance(keep, int):
        raise TypeError(f"drain(keep=...) must be a whole number of rows, not {type(keep).__name__}")
    if keep < 0:
        raise ValueError(f"drain(keep=...) must be 0 or more rows, not {keep}")


class RunningHere(Generic[T_co]):
    """A run with a handle, in a script: what ``with stage.open() as run`` gives.

    It is read with ``for row in run`` or ``next(run)``, which go on where the other stopped. `stop` may be called by
    the body of the ``for``, by a stage, by another thread or by a signal handler. Leaving the ``with`` closes the run.

        with flow.wrap(range(10)).open() as run:
            for row in run:
                if row == 2:
                    run.stop()
    """

    __slots__ = ("_inside", "_rows", "_stage", "_strand", "_told")

    def __init__(self, stage: Stage[T_co], options: Options = DEFAULTS, *, inside: bool = False) -> None:
        self._stage = stage
        self._inside = inside
        self._told = False
        self._strand: HereStrand | None = None
        self._rows = read_inside(stage) if inside else script(read_here(stage, options, self._begun))

    def _begun(self, strand: HereStrand) -> None:
        strand.owner.stops = stops = Stops(strand.owner, strand)
        self._strand = strand
        if self._told:
            stops.stop()

    def __iter__(self) -> Iterator[T_co]:
        return self._rows  # not self: the way of every row goes through the generator alone

    def __next__(self) -> T_co:
        return next(self._rows)

    def close(self) -> None:
        """Closes the run: upstream, in order, finished when this returns. Idempotent."""
        self._rows.close()

    def stop(self) -> None:
        """As `Running.stop`. From any thread, and from a signal handler."""
        if self._inside:
            raise NotReadyError(
                f"stop() was called on a reading of {self._stage!r} inside of a stage: it is a part of the run that "
                "the stage belongs to. Stop that one, or leave the `with`."
            )
        self._told = True
        if self._strand is not None and self._strand.owner.stops is not None:
            self._strand.owner.stops.stop()

    def drain(self, deadline: float, take: Callable[[T_co], object], *, keep: int = KEEP) -> Drained[T_co]:
        """Stops the run, reads the rest and gives each row to ``take(row)``; as `Running.drain` with `take`."""
        checked(deadline, take, keep)
        self.stop()
        strand = self._strand
        if strand is None or strand.owner.stops is None:
            self.close()
            return Drained()
        stops = strand.owner.stops
        stops.receipt.keep(keep)
        if not strand.owner.over:
            self._drain(strand, stops, deadline, take)
        return stops.receipt.drained(keep)

    def _drain(self, strand: HereStrand, stops: Stops, deadline: float, take: Callable[[T_co], object]) -> None:
        loop: Any = strand.loop
        until = loop.time() + deadline

        def expire() -> None:
            if stops.given_up is None and strand.limit is not None:
                strand.cancelled = error = stops.give_up()
                strand.limit.interrupt(error)

        timer = None if deadline == inf else loop.call_later(deadline, expire)
        try:
            while loop.time() < until:
                try:
                    row = next(self._rows)
                except StopIteration:
                    return
                stops.taking = True
                try:
                    made = take(row)
                    if hasattr(made, "__await__"):
                        strand.pause(made)
                except GivenUp:
                    stops.receipt.in_flight.add([row])
                    break
                finally:
                    stops.taking = False
                stops.receipt.delivered.add([row])
            self._rows.throw(stops.given_up or stops.give_up())
        except GivenUp as error:
            if error is not stops.given_up:
                raise
            if error.failures:
                raise_first(None, [*error.failures])
        except BaseException as error:
            closing(self, error)
            raise
        finally:
            if timer is not None:
                timer.cancel()
