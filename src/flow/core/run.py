"""A run: one execution of a stage. What it owns, how it is read, and how it is closed.

The rule everything follows: *who opens a run closes it, and closing goes upstream, in order, finished before control
returns*. A strand opens iterators into a `Scope`; leaving the scope closes each of them once, the last one first,
whichever way the scope is left. A run is read by a `Reader` (`async for`), by `collect` (`await stage`), by a
controller that works with callbacks (`Driven`), or on the caller's own stack (`read_here`, a script).

What may live here: scopes, runs, readers. Not here: how a loop obeys an instruction (`flow.loops`), what a chain is
made of (`stage.py`).
"""

from __future__ import annotations

import atexit
import sys
import weakref
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from itertools import chain
from math import inf
from threading import get_ident
from types import CoroutineType, FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Protocol, TypeVar

from greenlet import getcurrent

from ..errors import BusyError, Cancelled, CleanupTimeoutError, FlowError, NotReadyError
from .instruction import TURN, Handle, Loop, Resume, seconds_of
from .microthread import ROW, MicroThread, Strand, current, find_strands_with, unwanted
from .pull_cy import MOST, fair, pieces

if TYPE_CHECKING:
    from .stage import Stage

__all__ = ["Driven", "NoLongerRead", "Options", "Reader", "Run", "Scope", "Wait", "raise_first", "use_loops"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

SLICE = 0.005
"""Seconds that a run may hold the loop before it gives it a turn."""

CLEANUP = 5.0
"""Seconds that cleanups may go on waiting after a cancel."""

LARGEST_BLOCK = 1024
"""Rows in a block of ``.blocks()``, at most."""


class Loops(Protocol):
    """What `flow.loops` tells the core: which loop is running here, and a private one for a script."""

    def running(self) -> Loop | None: ...
    def awaiting(self) -> Loop | None: ...
    def private(self) -> ScriptLoop: ...


class ScriptLoop(Loop, Protocol):
    """A loop that runs only while a script waits."""

    busy: bool

    def block(self, instruction: Any, strand: Strand, /) -> Any: ...
    def close(self) -> None: ...


loops: Loops


def use_loops(provider: Loops) -> None:
    """Tells the core where loops come from; called once, by `flow.loops`."""
    global loops
    loops = provider


# --------------------------------------------------------------------------------------------------------------------
# Scopes


class Scope:
    """What one strand has opened, in order. Leaving it closes everything once, the last opened first.

    A ``close()`` may wait. Its failure does not keep the others from being closed and never hides the error that
    ends the scope: see `joined` (test_close.py::test_a_failing_cleanup_hides_nothing).
    """

    __slots__ = ("inner", "late", "opened", "strand")

    def __init__(self, strand: Strand) -> None:
        self.strand = strand
        self.inner: dict[Scope, None] = {}  # of readings that the chain itself began, in order, and has not ended
        self.late: deque[BaseException] = deque(maxlen=100)  # failures of scopes inside, that nobody could be told of
        self.opened: list[Any] = []

    def add(self, rows: Any) -> Any:
        self.opened.append(rows)
        return rows

    def __enter__(self) -> Scope:
        if self.strand.scope is None:
            self.strand.scope = self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        failures: list[BaseException] = []
        opened = self.opened
        while opened:
            close = getattr(opened.pop(), "close", None)
            if close is None:
                continue
            try:
                close()
            except BaseException as failure:
                failures.append(failure)
        while self.inner:
            scope, _ = self.inner.popitem()
            try:
                scope.close()
            except BaseException as failure:
                failures.append(failure)
        failures += self.late
        self.late.clear()
        if failures:
            raise_first(error, failures)

    def close(self) -> None:
        self.__exit__(None, None, None)


class NoLongerRead(Cancelled):
    """Ends a branch whose siblings have failed or whose reader has had enough: no error of its own."""


def joined(error: BaseException | None, failures: list[BaseException]) -> BaseException:
    """One exception out of an error and the failures that came after it. None is lost, and the first is not hidden.

    Exceptions become an ExceptionGroup with the first one first (a single one stays bare). A cancel, an interrupt or
    an exit stays what it is, with the failures as its context.
    """
    every: list[BaseException] = []
    for each in failures if error is None else [error, *failures]:
        if each not in every and not isinstance(each, (GeneratorExit, NoLongerRead)):
            every.append(each)
    if not every:
        return error if error is not None else failures[0]
    if len(every) == 1:
        return every[0]
    for leader in every:
        if not isinstance(leader, Exception):
            for other in every:
                if other is not leader:
                    _add_context(leader, other)
            return leader
    return ExceptionGroup("several parts of a flow failed", [each for each in every if isinstance(each, Exception)])


def raise_first(error: BaseException | None, failures: list[BaseException]) -> None:
    """Raises what `joined` makes of these, unless that is `error`, which is on its way already.

    What users raised keeps the cause and the context that it had.
    """
    first = joined(error, failures)
    if first is error:
        return
    context, hidden = first.__context__, first.__suppress_context__
    try:
        raise first
    finally:
        first.__context__, first.__suppress_context__ = context, hidden


def _add_context(error: BaseException, context: BaseException) -> None:
    seen = {id(context)}
    while id(error) not in seen:
        seen.add(id(error))
        if error.__context__ is None:
            error.__context__ = context
            return
        error = error.__context__


# --------------------------------------------------------------------------------------------------------------------
# Runs


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


class Run:
    """One execution of a stage: its loop, its context variables, its main strand, and how it ended.

    It is over exactly once. `dropped` counts the rows that were made and that nobody read.
    """

    __slots__ = (
        "__weakref__",
        "block",
        "busy",
        "cleanup_until",
        "context",
        "deadline",
        "dropped",
        "loop",
        "options",
        "over",
        "row",
        "slice",
        "stage",
        "thread",
        "watch",
    )

    def __init__(self, stage: Stage[Any], loop: Loop, options: Options) -> None:
        self.stage = stage
        self.loop = loop
        self.options = options
        self.context = copy_context()
        self.slice = options.slice or inf
        self.deadline = inf
        self.cleanup_until: tuple[BaseException, float] | None = None
        self.busy = False
        self.over = False
        self.dropped = 0
        self.row: Any = None  # where the main strand puts a row for its reader, and `block` for several
        self.block: list[Any] = []
        self.thread: MicroThread | None = None
        self.watch: weakref.ref[Any] | None = None  # calls when the reader has gone

    def begin(self, body: Callable[[MicroThread], Any]) -> MicroThread:
        self.thread = MicroThread(self, body)
        live.add(self)
        return self.thread

    def end(self) -> None:
        self.over = True
        live.discard(self)
        self.loop.leave()
        self.watch = None
        thread = self.thread
        if thread is not None:  # exceptions refer to frames, and those to the run: let go of them
            thread.cancelled = thread.handling = None

    def enter(self) -> None:
        """The loop has let the run go on."""
        self.deadline = self.loop.enter(self.slice)

    def drop(self, rows: list[Any]) -> None:
        """Counts rows that were made and that nobody will read, and hands them to `on_dropped`."""
        if rows:
            self.dropped += len(rows)
            if self.options.on_dropped is not None:
                self.options.on_dropped(rows)

    def cleanup_deadline(self, strand: Strand) -> float | None:
        """Until when the strand's wait may last, when it is part of a cleanup after a cancel (the loop's time)."""
        error = strand.handling
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
        self.end()
        self.noted(error)
        outside = self.loop.outside(error)
        if outside is not error:
            raise outside from error
        raise error

    def noted(self, error: BaseException) -> None:
        """Notes on an error of the chain which stages it passed, once."""
        if isinstance(error, Exception):
            note = f"flow: {self.stage!r}"
            if note not in getattr(error, "__notes__", ()):
                error.add_note(note)
        if isinstance(error, RecursionError):
            error.add_note(
                f"flow: this chain has {self.stage.depth} stages, nested as plain generators; Python's recursion limit "
                f"is {sys.getrecursionlimit()}. Use fewer stages, or sys.setrecursionlimit()."
            )


live: set[Run] = set()
"""The runs that are not over. They are held here until they are, so that a run in a reference cycle is closed, too."""

scripts: weakref.WeakSet[Generator[Any]] = weakref.WeakSet()
"""The iterators that scripts hold."""


@atexit.register
def _close_all() -> None:
    """Closes what is still open while the interpreter is whole (test_exit.py)."""
    for rows in list(scripts):
        rows.close()
    for run in list(live):
        abandon(run)


def _where(strand: Strand) -> str:
    """Names the user's code in which a paused micro-thread waits."""
    frame: FrameType | None = getattr(strand, "gr_frame", None)
    inside = __file__.rsplit("core", 1)[0]
    while frame is not None and frame.f_code.co_filename.startswith(inside):
        frame = frame.f_back
    if frame is None:
        return "an unknown place"
    return f"{frame.f_code.co_qualname} ({frame.f_code.co_filename}, line {frame.f_lineno})"


# What runs on the main micro-thread of a run: three ways to hand on what the stage gives.


def _checked(rows: Iterator[Any], thread: Strand) -> Iterator[Any]:
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


def _checked_here(rows: Iterator[T], strand: Strand) -> Iterator[T]:
    return chain(_checked(rows, strand), rows)


def _open(thread: Strand, scope: Scope) -> Iterator[Any]:
    return thread.owner.stage.open_in(scope)


def row_by_row(thread: MicroThread) -> None:
    """Hands each row to the hub and works no further until it is asked again."""
    with Scope(thread) as scope:
        rows = _open(thread, scope)
        run = thread.owner
        for run.row in _checked(rows, thread):
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
        for row in _checked(rows, thread):
            run.block.append(row)
        for row in fair(rows, thread):
            if thread.cancelled is not None:
                raise thread.cancelled
            run.block.append(row)
            if len(run.block) >= LARGEST_BLOCK:
                thread.pause(ROW)


def in_a_list(thread: MicroThread) -> None:
    """Collects every row, at the speed of list.extend."""
    with Scope(thread) as scope:
        rows = _open(thread, scope)
        block = thread.owner.block
        block.extend(_checked(rows, thread))
        for piece in pieces(rows, thread, MOST):
            block.extend(piece)
            if thread.cancelled is not None:
                raise thread.cancelled


# --------------------------------------------------------------------------------------------------------------------
# Reading a run with `async for` and `await`


async def settle(run: Run, outcome: Any) -> Any:
    """Obeys instructions, natively in the task that asks, until the run has a row (ROW) or has ended (None).

    What ends it is raised here: the chain's own error, or what was raised at a wait and travelled through it.
    """
    while outcome is not ROW and outcome is not None:
        outcome = await _obey_one(run, outcome)
    if outcome is None:
        _raise_swallowed(run)
    return outcome


async def _obey_one(run: Run, instruction: Any) -> Any:
    thread, loop = run.thread, run.loop
    assert thread is not None
    outcome = await _obey_natively(run, instruction)
    if thread.doubted and (outcome is ROW or outcome is None):
        # The chain goes on although a cancel went into it. That is right if a cancel scope inside it took the cancel,
        # and wrong if a stage swallowed one that came from around the run: only the loop knows.
        thread.doubted = False
        try:
            await loop.checkpoint()
        except BaseException as error:
            if outcome is None:
                raise
            return thread.step_error(error)
    return outcome


async def _obey_natively(run: Run, instruction: Any) -> Any:
    thread, loop = run.thread, run.loop
    assert thread is not None
    loop.leave()
    try:
        value = await loop.obey(instruction, thread)
    except GeneratorExit:
        # The coroutine that reads is being destroyed: it must not wait again, so callbacks finish the run.
        abandon(run)
        raise
    except BaseException as error:
        run.enter()
        if loop.cancels(error):
            thread.cancelled = error
        elif not isinstance(error, Exception):
            thread.doubted = True
        return thread.step_error(error)
    run.enter()
    return thread.step(value)


def _raise_swallowed(run: Run) -> None:
    """A chain that ended as if nothing had happened, though it was cancelled, is cancelled all the same."""
    if run.thread is not None and run.thread.cancelled is not None:
        raise run.thread.cancelled


class Reader(Generic[T_co]):
    """One run of a stage, read with ``async for``. One task at a time may ask it for a row.

    It works no further than the row that it was asked for. `aclose` (or leaving ``async with stage.open()``) closes
    the run and returns when everything that it opened is closed. A reader that is dropped closes its run there and
    then; what its cleanups must wait for is finished by a task of the loop.
    """

    __slots__ = ("__weakref__", "_body", "_options", "_run", "_stage")

    def __init__(self, stage: Stage[Any], options: Options, body: Callable[[MicroThread], None] = row_by_row) -> None:
        self._stage = stage
        self._options = options
        self._body = body
        self._run: Run | None = None

    def __aiter__(self) -> Reader[T_co]:
        return self

    @property
    def dropped(self) -> int:
        """Rows that were made and that nobody read, so far."""
        return 0 if self._run is None else self._run.dropped

    async def _start(self) -> Run:
        loop = loops.awaiting()
        if loop is None:
            raise no_loop(self._stage)
        run = self._run = Run(self._stage, loop, self._options)
        run.begin(self._body)
        run.watch = weakref.ref(self, partial(_reader_gone, run))
        if loop.full(run.slice):
            await loop.suspend(loop.turn_over)
        run.enter()
        return run

    async def __anext__(self) -> T_co:
        # The way of every row: no more is done here than must be.
        run = self._run
        if run is None:
            run = await self._start()
        if run.over:
            raise StopAsyncIteration
        if run.busy:
            raise _busy(run)
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
        except BaseException as error:
            run.failed(error)
        if outcome is ROW:
            row: T_co = run.row
            return row
        run.end()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Closes the run: upstream, in order, finished when this returns. Idempotent."""
        run = self._run
        if run is None or run.over or run.thread is None:
            return
        if run.busy:
            raise _busy(run)
        run.busy = True
        try:
            outcome = run.thread.step_error(GeneratorExit())
            await settle(run, outcome)
        except GeneratorExit:
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

    __slots__ = ("_failure", "_pending")

    def __init__(self, stage: Stage[Any], options: Options) -> None:
        super().__init__(stage, options, in_blocks)
        self._pending: Any = ROW
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
            raise _busy(run)
        run.busy = True
        thread = run.thread
        assert thread is not None
        try:
            outcome, self._pending = self._pending, ROW
            if outcome is ROW:
                outcome = thread.step()
            while outcome is not None and outcome is not ROW and not run.block:
                outcome = await _obey_one(run, outcome)
            if outcome is None:
                _raise_swallowed(run)
            self._pending = outcome
        except BaseException as error:
            if not run.block or not isinstance(error, Exception):
                run.drop(run.block)
                run.failed(error)
            run.end()
            run.noted(error)
            self._failure = error  # the rows that came before it are handed over first
        finally:
            run.busy = False
        if self._pending is None:
            run.end()
        if run.block:
            block, run.block = run.block, []
            return block
        raise StopAsyncIteration


def no_loop(stage: Stage[Any]) -> NotReadyError:
    return NotReadyError(
        f"{stage!r} was read with `async for` or `await` where no event loop of asyncio, trio or Twisted is running. "
        "In a script, write `for row in stage` or `list(stage)`."
    )


def _busy(run: Run) -> BusyError:
    return BusyError(
        f"two readers asked one run of {run.stage!r} for a row at the same time. Let one reader take the rows and hand "
        "them on, or let each reader iterate the stage itself: each iteration is a run of its own."
    )


async def collect(stage: Stage[T], options: Options) -> list[T]:
    """All rows of one run, for ``await stage``; on failure the rows before it are dropped, and counted."""
    loop = loops.awaiting()
    if loop is None:
        raise no_loop(stage)
    run = Run(stage, loop, options)
    run.begin(in_a_list)
    return await _collected(run)


async def _collected(run: Run) -> list[Any]:
    thread = run.thread
    assert thread is not None
    try:
        if run.loop.full(run.slice):
            await run.loop.suspend(run.loop.turn_over)
        run.enter()
        await settle(run, thread.step())
    except BaseException as error:
        run.drop(run.block)
        run.failed(error)
    run.end()
    return run.block


# --------------------------------------------------------------------------------------------------------------------
# Driving a strand by callbacks: branches, Deferreds, and runs whose reader has gone


class Wait:
    """One wait of one strand, by callbacks: ``then(value, error)`` is called once, unless the wait is given up."""

    __slots__ = ("_cancelled", "_handle", "_resume", "_run", "_strand", "_then", "_timer")

    def __init__(
        self, strand: MicroThread, instruction: Any, then: Callable[[Any, BaseException | None], None]
    ) -> None:
        self._run = run = strand.owner
        self._strand = strand
        self._cancelled: BaseException | None = None
        self._then = then
        self._timer: Handle | None = None
        self._handle: Handle | None = None
        self._resume = resume = Resume(run.loop, self._done)
        try:
            deadline = run.cleanup_deadline(strand)
            if deadline is not None:
                error = run.cleanup_timeout(strand)
                self._timer = run.loop.call_later(max(0.0, deadline - run.loop.time()), lambda: self._expire(error))
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
                late = self._run.cleanup_timeout(self._strand)
                loop = self._run.loop
                self._timer = loop.call_later(max(0.0, deadline - loop.time()), lambda: self._expire(late))
        assert self._handle is not None
        self._handle.cancel()
        return True

    def _expire(self, error: BaseException) -> None:
        self.give_up()
        self._then(None, error)

    def give_up(self) -> None:
        self._resume.forget()
        if self._timer is not None:
            self._timer.cancel()
        if self._handle is not None:
            self._handle.cancel()


class Driven:
    """A run that callbacks drive from its first step to its end; ``ended(error)`` is called once, at the end.

    A call that arrives while some chain is running (a Deferred fired by a stage, say) takes its step in the loop's
    next turn, so that chains never nest into each other and the stack does not grow.
    """

    __slots__ = ("_ended", "_wait", "run", "stepping")

    def __init__(self, run: Run, ended: Callable[[BaseException | None], object]) -> None:
        self.run = run
        self.stepping = False
        self._ended = ended
        self._wait: Wait | None = None

    def start(self) -> None:
        self._soon(None, None)

    def cancel(self, error: BaseException) -> None:
        """Raises `error` where the chain waits, and at each later wait but those of cleanups. A no-op after the end."""
        thread = self.run.thread
        assert thread is not None
        if self.run.over or thread.cancelled is not None:
            return
        thread.cancelled = error
        wait = self._wait
        if wait is not None and not wait.cancel(error):
            self._wait = None
            self._soon(None, error)

    def close(self) -> None:
        """Closes a run that has handed over a row and is paused there."""
        self._soon(None, GeneratorExit())

    def _soon(self, value: Any, error: BaseException | None) -> None:
        if self.stepping or isinstance(getcurrent(), MicroThread):
            with suppress(RuntimeError):  # the loop is closed: there is no later
                self.run.loop.call_soon(lambda: self._go(value, error))
                return
        self._go(value, error)

    def _go(self, value: Any, error: BaseException | None) -> None:
        run, loop = self.run, self.run.loop
        thread = run.thread
        assert thread is not None
        if run.over:
            return
        if error is None and not thread:
            error = thread.cancelled  # cancelled before its first step
        if error is None and loop.full(run.slice):
            self._wait = Wait(thread, TURN, lambda _value, _error: self._go(value, _error))
            return
        self._wait = None
        run.enter()
        self.stepping = True
        try:
            outcome = thread.step(value) if error is None else thread.step_error(error)
            while outcome is ROW:
                outcome = thread.step()
            if outcome is None:
                _raise_swallowed(run)
        except BaseException as failure:
            self.stepping = False
            loop.leave()
            self._finish(failure)
            return
        self.stepping = False
        loop.leave()
        if outcome is None:
            self._finish(None)
        else:
            self._wait = Wait(thread, outcome, self._soon)

    def _finish(self, error: BaseException | None) -> None:
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


def _reader_gone(run: Run, _reader: object) -> None:
    abandon(run)


def _abandoned(run: Run, error: BaseException | None) -> None:
    """The end of an abandoned run: nobody is there to be told of an error, so it is reported."""
    if error is not None and not isinstance(error, (GeneratorExit, Cancelled)):
        run.loop.report(error, f"closing an abandoned run of {run.stage!r}")


# --------------------------------------------------------------------------------------------------------------------
# Reading a run on the caller's own stack: a script


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
        self._outer = sys.exception()  # the script itself may be handling an error while it reads

    def pause(self, instruction: Any, handling: BaseException | None = None) -> Any:
        handling = handling or sys.exception()
        self.handling = None if handling is self._outer else handling
        try:
            return self.loop.block(instruction, self)
        finally:
            self.handling = None
            self.owner.enter()


def read_here(stage: Stage[T], options: Options) -> Generator[T]:
    """The rows of one run, on the caller's own stack: between two rows nothing of flow runs but this generator."""
    strand = HereStrand(Run(stage, loops.private(), options))
    try:
        with Scope(strand) as scope:
            yield from _checked_here(_open(strand, scope), strand)
    except BaseException as error:
        strand.owner.noted(error)
        raise
    finally:
        strand.owner.end()
        strand.loop.close()


def blocks_here(stage: Stage[T], options: Options) -> Generator[list[T]]:
    """The rows of one run as lists of what is ready, for a script."""
    loop = loops.private()
    run = Run(stage, loop, options)
    thread = run.begin(in_blocks)
    outcome: Any = ROW
    failure: BaseException | None = None
    try:
        while outcome is not None:
            try:
                if outcome is ROW:
                    outcome = thread.step()
                elif run.block:
                    pass
                else:
                    outcome = _block_one(loop, thread, outcome)
            except BaseException as error:
                run.noted(error)
                outcome, failure = None, error
                if not isinstance(error, Exception):
                    raise
            if run.block and (outcome is None or outcome is ROW or thread):
                block, run.block = run.block, []
                yield block
        if failure is not None:
            raise failure
    finally:
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


def closing(rows: Generator[Any], error: BaseException | None) -> None:
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
    scope = Scope(strand)
    outer = strand.scope
    if outer is not None:
        outer.inner[scope] = None  # a stage that fails may leave this iterator in a variable, and never end it
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
            outer.late.append(failure)
        raise
    except BaseException as error:
        scope.__exit__(type(error), error, None)
        raise
    else:
        scope.close()
    finally:
        if outer is not None:
            outer.inner.pop(scope, None)
