"""asyncio, uvloop and whatever else has asyncio's API; and the private loop of a script.

Nothing is assumed beyond `asyncio.AbstractEventLoop`: no private attribute, no policy. Tasks are held by this file as
long as they run (asyncio itself holds them weakly).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextvars import Context
from functools import cached_property, partial
from threading import get_ident
from types import CoroutineType, coroutine
from typing import Any
from weakref import ref

from ..core.instruction import TURN, Handle, Outcome, Resume, Signal
from ..core.microthread import Strand
from ..core.stopping import Interruption
from .base import BaseLoop, Spawned

__all__ = ["AsyncioLoop", "ScriptLoop", "loop_for"]


_NATIVE = frozenset({CoroutineType, asyncio.Future, asyncio.Task})
"""What a task can await as it is, and is seen to be at a glance."""


@coroutine
def _one_turn(loop: AsyncioLoop) -> Generator[None, None, None]:
    try:
        yield
    finally:
        loop.lent = False


async def _await(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


class _Suspended(Resume):
    """Resumes a task that awaits a future. An error travels beside it: a future refuses some of them."""

    __slots__ = ("error", "future")

    def __init__(self, loop: AsyncioLoop, future: asyncio.Future[Any]) -> None:
        self.loop = loop
        self.future = future
        self.error: BaseException | None = None

    def __call__(self, value: Any = None, /) -> None:
        if get_ident() != self.loop.thread:
            self._fire(value, None)
        elif not self.future.done():
            self.future.set_result(value)

    def _fire(self, value: Any, error: BaseException | None) -> None:
        if get_ident() != self.loop.thread:
            self.loop.call_threadsafe(lambda: self._fire(value, error))
        elif not self.future.done():
            self.error = error
            self.future.set_result(value)

    def forget(self) -> None:
        self.future.cancel()


class AsyncioLoop(BaseLoop):
    """A running asyncio event loop."""

    name = "asyncio"
    native = True

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(get_ident())
        self.loop = loop
        self.outlive_the_runs()
        self._tasks: set[asyncio.Task[Any]] = set()
        self.lent = False  # a task has the next turn, and is not in the queue
        clock = getattr(loop, "slice_clock", None)  # a virtual loop measures slices in steps, so that tests repeat
        if clock is not None:
            self.clock = clock

    def time(self) -> float:
        return self.loop.time()

    def call_soon(self, f: Callable[[], object], /) -> object:
        return self.loop.call_soon(f)

    def call_later(self, seconds: float, f: Callable[[], object], /) -> Handle:
        return self.loop.call_later(seconds, f)

    def call_threadsafe(self, f: Callable[[], object], /) -> object:
        return self.loop.call_soon_threadsafe(f)

    def spawn(self, awaitable: Awaitable[Any], done: Outcome, context: Context, /) -> Handle:
        # A coroutine is handed over as it is: a task that is cancelled before its first step closes it then.
        work = awaitable if asyncio.iscoroutine(awaitable) else _await(awaitable)
        task = asyncio.Task(work, loop=self.loop, context=context)
        self._tasks.add(task)

        def ended(task: asyncio.Task[Any]) -> None:
            self._tasks.discard(task)
            if task.cancelled():
                done(None, asyncio.CancelledError())
            else:
                error = task.exception()
                done(None if error is not None else task.result(), error)

        task.add_done_callback(ended)
        return Spawned(task.cancel)

    async def suspend(self, begin: Callable[[Resume], Handle | None], /) -> Any:
        future = self.loop.create_future()
        resume = _Suspended(self, future)
        handle = begin(resume)
        try:
            value = await future
        except BaseException:
            resume.forget()
            if handle is not None:
                handle.cancel()
            raise
        if resume.error is not None:
            raise resume.error
        return value

    def awaitable_for(self, instruction: Any, strand: Strand, /) -> Awaitable[Any]:
        if strand.handling is not None or strand.owner.stops is not None:
            return self.obey(instruction, strand)
        if type(instruction) in _NATIVE:
            awaitable: Awaitable[Any] = instruction
            return awaitable
        if type(instruction) is Signal:
            return self.suspend(instruction.callLater)
        if instruction is TURN and not self.lent and not self.marked and not self._queue:
            # Nobody else wants the next turn, so nobody need call us there: the task itself goes on in it. Who wants a
            # turn meanwhile queues for the one after that. In its turn the task comes before what has become due, so it
            # goes on with what is left of the slice, and does so only while little of that is used
            # (test_asyncio.py::test_what_is_due_waits_for_one_slice).
            self.lent = True
            return _one_turn(self)
        return self._obey(instruction, strand)

    async def obey(self, instruction: Any, strand: Strand, /) -> Any:
        run = strand.owner
        deadline = run.cleanup_deadline(strand)
        if deadline is None and run.stops is None:
            return await self._obey(instruction, strand)
        if deadline is None and not self.is_native(instruction):
            return await self._obey_until_interrupted(instruction, strand)
        limit = asyncio.timeout_at(deadline)
        task = asyncio.current_task()
        cancels = 0 if task is None else task.cancelling()

        def call_off() -> None:
            if strand.limit is interruption:
                limit.reschedule(self.time())

        strand.limit = interruption = Interruption(instruction, lambda: self.call_threadsafe(call_off))
        try:
            async with limit:
                return await self._obey(instruction, strand)
        except (TimeoutError, asyncio.CancelledError) as error:
            # Before Python 3.11.3 the timeout of a task that had been cancelled, as in a cleanup, was a CancelledError
            # (gh-102780): without a second cancel it is the timeout (test_asyncio.py::test_a_cleanup_has_a_deadline).
            is_cancel = isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > cancels
            if limit.expired() and not is_cancel:
                raise interruption.error or run.cleanup_timeout(strand) from None
            raise
        finally:
            strand.limit = None

    async def _obey_until_interrupted(self, instruction: Any, strand: Strand) -> Any:
        """What needs no task is called off without one: for less than half of what a timeout costs."""

        def begin(resume: Resume) -> Handle | None:
            handle = self.begin(instruction, resume, strand.owner.context)

            def call_off() -> None:
                if strand.limit is interruption:
                    assert interruption.error is not None
                    resume.throw(interruption.error)  # before the future that is cancelled resumes
                    if handle is not None:
                        handle.cancel()

            strand.limit = interruption = Interruption(instruction, lambda: self.call_threadsafe(call_off))
            return handle

        try:
            return await self.suspend(begin)
        finally:
            strand.limit = None

    async def _obey(self, instruction: Any, strand: Strand) -> Any:
        if self.is_native(instruction):
            return await instruction
        return await self.suspend(lambda resume: self.begin(instruction, resume, strand.owner.context))

    def cancels(self, error: BaseException, /) -> bool:
        if not isinstance(error, asyncio.CancelledError):
            return False
        task = asyncio.current_task()
        return task is not None and task.cancelling() > 0

    def report(self, error: BaseException, what: str, /) -> None:
        self.loop.call_exception_handler({"message": f"flow: {what}", "exception": error})


# Keyed by the loop: an entry goes with the object for it. A WeakValueDictionary would do, at twice the time.
_loops: dict[asyncio.AbstractEventLoop, ref[AsyncioLoop]] = {}


def loop_for(loop: asyncio.AbstractEventLoop) -> AsyncioLoop:
    """The one object for this asyncio loop."""
    held = _loops.get(loop)
    found = None if held is None else held()
    if found is None:
        found = AsyncioLoop(loop)
        register(loop, found)
    return found


def register(loop: asyncio.AbstractEventLoop, found: AsyncioLoop) -> None:
    """Makes `found` the object for this asyncio loop: for a script's private loop, and for tests."""
    _loops[loop] = ref(found, partial(_loops.pop, loop))


class ScriptLoop(AsyncioLoop):
    """The private loop of one run in a script. It is made when something first waits, and runs only while it waits.

    All waits of the run are awaited in one task, so that what is entered in one wait can be left in another (cancel
    scopes and timeouts are bound to their task).
    """

    name = "a script"

    def __init__(self, factory: Callable[[], asyncio.AbstractEventLoop] | None) -> None:
        BaseLoop.__init__(self, get_ident())
        self._factory = factory or asyncio.new_event_loop
        self._tasks = set()
        self.lent = False
        self._servant: asyncio.Task[None] | None = None
        self._asked: asyncio.Future[tuple[Any, Strand]] | None = None
        self._outcome: tuple[Any, BaseException | None] | None = None
        self.busy = False
        if factory is not None:
            _ = self.loop  # a loop with a clock of its own: the chain must not be opened with another one

    @cached_property
    def loop(self) -> asyncio.AbstractEventLoop:  # type: ignore[override]
        loop = self._factory()
        clock = getattr(loop, "slice_clock", None)
        if clock is not None:
            self.clock = clock
        register(loop, self)
        return loop

    @property
    def made(self) -> bool:
        """Is the loop there? Only then can something wait on it."""
        return "loop" in self.__dict__

    def prepare(self) -> None:
        """Makes the loop, if it is not there yet."""
        _ = self.loop

    def block(self, instruction: Any, strand: Strand, /) -> Any:
        """Runs the loop until the instruction is done; returns its result or raises its error."""
        loop = self.loop
        self.leave()
        if self._servant is None:
            self._asked = loop.create_future()
            self._servant = loop.create_task(self._serve(), context=strand.owner.context)
        assert self._asked is not None
        self._asked.set_result((instruction, strand))
        self.busy = True
        try:
            loop.run_forever()
        finally:
            self.busy = False
            outcome, self._outcome = self._outcome, None
            if outcome is None:  # an interrupt came out of the loop: the servant still waits for what nobody wants now
                self._servant.cancel()
                self._servant = None
        assert outcome is not None, "the private loop of a script was stopped by somebody else"
        value, error = outcome
        if error is not None:
            try:
                raise error
            finally:
                del error, outcome
        return value

    async def _serve(self) -> None:
        while True:
            assert self._asked is not None
            instruction, strand = await self._asked
            self._asked = self.loop.create_future()
            servant = asyncio.current_task()
            try:
                self._outcome = (await self.obey(instruction, strand), None)
            except BaseException as error:
                if servant is not self._servant:
                    return
                self._outcome = (None, error)
            del instruction, strand
            self.loop.stop()

    def close(self) -> None:
        """Ends the loop, if it was ever needed: what is left on it is cancelled and awaited."""
        if not self.made:
            return
        loop = self.loop
        if loop.is_closed():
            return
        servant, self._servant = self._servant, None
        if servant is not None:
            servant.cancel()
        try:
            left = asyncio.all_tasks(loop)
            for task in left:
                task.cancel()
            if left:
                loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
        finally:
            loop.close()
