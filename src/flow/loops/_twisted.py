"""Twisted: the reactor as a loop, and `Deferred`, the controller that fires with what a flow gives.

This and `io/twisted_protocol.py` are the only files (with `classic`) that import Twisted. The reactor is looked up when
a run starts, never at import.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from contextvars import Context
from threading import get_ident
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from twisted.internet import defer
from twisted.python import failure, log, threadable

from ..core.driven import Driven
from ..core.instruction import Handle, Outcome, Resume
from ..core.microthread import Strand, unwanted
from ..core.reader import in_a_list
from ..core.run import CLEANUP, SLICE, Options, Run
from ..core.stage import Stage
from ..core.wrap import wrap
from ..errors import Cancelled
from .base import BaseLoop, Spawned

__all__ = ["Deferred", "TwistedLoop", "loop_here"]

T = TypeVar("T")

_Failure: Any = failure.Failure  # as Any: its constructor has no types


class TwistedLoop(BaseLoop):
    """A reactor (or a `task.Clock`, in tests)."""

    name = "Twisted"

    def __init__(self, reactor: Any) -> None:
        super().__init__(get_ident())
        self.reactor = reactor
        clock = getattr(reactor, "slice_clock", None)
        if clock is not None:
            self.clock = clock

    def time(self) -> float:
        return float(self.reactor.seconds())

    def call_soon(self, f: Callable[[], object], /) -> object:
        return self.reactor.callLater(0, f)

    def call_later(self, seconds: float, f: Callable[[], object], /) -> Handle:
        return _Timer(self.reactor.callLater(seconds, f))

    def call_threadsafe(self, f: Callable[[], object], /) -> object:
        return self.reactor.callFromThread(f)

    def spawn(self, awaitable: Awaitable[Any], done: Outcome, context: Context, /) -> Handle:
        return _Task(self, awaitable, done, context)

    def deferred(self, awaitable: Awaitable[Any]) -> defer.Deferred[Any]:
        loop = getattr(self.reactor, "_asyncioEventloop", None)
        if loop is not None and _is_asyncio_future(awaitable):
            return defer.Deferred.fromFuture(awaitable)  # type: ignore[arg-type]
        return defer.Deferred.fromCoroutine(_await(awaitable))

    async def suspend(self, begin: Callable[[Resume], Handle | None], /) -> Any:
        deferred: defer.Deferred[Any] = defer.Deferred()

        def fire(value: Any, error: BaseException | None) -> None:
            if not deferred.called:
                deferred.callback((value, error))

        def then(value: Any, error: BaseException | None) -> None:
            # In the next turn, as on every other loop: firing a Deferred runs the coroutine there and then, perhaps
            # inside the very code that resumes it.
            self.reactor.callLater(0, fire, value, error)

        resume = Resume(self, then)
        handle = begin(resume)
        try:
            value, error = await deferred
        except defer.CancelledError as cancelled:
            # Only the Deferred of the coroutine that waits can cancel this one. Twisted's error is an Exception, which
            # a stage might catch by the way; inside a chain a cancel must be none.
            deferred = defer.Deferred()
            if handle is not None:
                handle.cancel()
            if getattr(handle, "ends", False):
                await deferred  # a task has cleanups of its own
            resume.forget()
            raise _TwistedCancel("flow: the coroutine was cancelled") from cancelled
        except BaseException:
            resume.forget()
            if handle is not None:
                handle.cancel()
            raise
        if error is not None:
            raise error
        return value

    async def obey(self, instruction: Any, strand: Strand, /) -> Any:
        run = strand.owner
        deadline = run.cleanup_deadline(strand)
        late = None if deadline is None else run.cleanup_timeout(strand)

        timer: Handle | None = None

        def begin(resume: Resume) -> Handle | None:
            nonlocal timer
            if deadline is not None and late is not None:
                error = late
                timer = self.call_later(max(0.0, deadline - self.time()), lambda: resume.throw(error))
            return self.begin(instruction, resume, run.context)

        try:
            return await self.suspend(begin)
        finally:
            if timer is not None:
                timer.cancel()

    def cancels(self, error: BaseException, /) -> bool:
        return isinstance(error, _TwistedCancel)

    def outside(self, error: BaseException, /) -> BaseException:
        return defer.CancelledError() if isinstance(error, _TwistedCancel) else error

    def report(self, error: BaseException, what: str, /) -> None:
        raised: Any = _Failure(error)
        log.err(raised, f"flow: {what}")  # type: ignore[no-untyped-call]  # pyright: ignore[reportUnknownMemberType]


class _TwistedCancel(Cancelled):
    """Twisted's CancelledError while it is inside a chain."""


class _Task(Spawned):
    """Something that is awaited from the reactor's next turn on, as a task of another loop would be."""

    def __init__(self, loop: TwistedLoop, awaitable: Awaitable[Any], done: Outcome, context: Context) -> None:
        super().__init__(self._call_off)
        self._loop = loop
        self._awaitable = awaitable
        self._done = done
        self._context = context
        self._cancelled = False
        self._inner: defer.Deferred[Any] | None = None
        self._call = loop.reactor.callLater(0, self._start)

    def _start(self) -> None:
        self._inner = self._context.run(self._loop.deferred, self._awaitable)
        _ = self._inner.addCallbacks(self._succeeded, self._failed)

    def _succeeded(self, value: Any) -> None:
        self._done(value, None)

    def _failed(self, failed: Any) -> None:
        error: BaseException = failed.value
        if self._cancelled and isinstance(error, defer.CancelledError):
            error = Cancelled("flow: the task was cancelled")
        self._done(None, error)

    def _call_off(self) -> None:
        self._cancelled = True
        if self._inner is not None:
            self._inner.cancel()
        elif self._call.active():
            self._call.cancel()
            unwanted(self._awaitable)
            self._done(None, Cancelled("flow: the task was cancelled before it began"))


class _Timer:
    """A delayed call that may be cancelled after it was called."""

    def __init__(self, call: Any) -> None:
        self._call = call

    def cancel(self) -> None:
        if self._call.active():
            self._call.cancel()


async def _await(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def _is_asyncio_future(x: object) -> bool:
    import asyncio

    return asyncio.isfuture(x)


_loops: WeakValueDictionary[Any, TwistedLoop] = WeakValueDictionary()


def loop_for(reactor: Any) -> TwistedLoop:
    """The one object for this reactor."""
    found = _loops.get(reactor)
    if found is None:
        found = _loops[reactor] = TwistedLoop(reactor)
    return found


def loop_here() -> TwistedLoop | None:
    """The reactor, when it runs and the caller is in its thread."""
    reactor: Any = getattr(sys.modules.get("twisted.internet"), "reactor", None)
    if reactor is None or not getattr(reactor, "running", False):
        return None
    return loop_for(reactor) if threadable.isInIOThread() else None  # type: ignore[no-untyped-call]


def loop_to_be() -> TwistedLoop | None:
    """The installed reactor, for a coroutine that was started before it runs."""
    reactor: Any = getattr(sys.modules.get("twisted.internet"), "reactor", None)
    return None if reactor is None or threadable.ioThread not in (None, get_ident()) else loop_for(reactor)


def Deferred(
    stage: Stage[T],
    /,
    *trap: type[BaseException],
    slice: float = SLICE,
    cleanup: float = CLEANUP,
    on_dropped: Callable[[list[Any]], object] | None = None,
    reactor: Any = None,
) -> defer.Deferred[list[T]]:
    """Runs a stage on the reactor; a Deferred that fires with the list of its rows, or with its failure.

    It starts in the reactor's next turn, and holds all rows. An exception of a type in `trap` becomes the last row.
    On a failure the rows before it are dropped, and counted for `on_dropped`. ``cancel()`` raises flow.Cancelled where
    the chain waits; when all is closed (cleanups may wait up to `cleanup` seconds) the Deferred fails with Twisted's
    CancelledError. `slice` as in `Stage.open`. `reactor`: another one than the global one, for tests.

        d = flow.Deferred(flow.wrap(range(3)).map(str))
        d.addCallback(print)                               # ['0', '1', '2']
    """
    if reactor is None:
        from twisted.internet import reactor as the_reactor

        reactor = the_reactor
    run = Run(wrap(stage, *trap), loop_for(reactor), Options(slice, cleanup, on_dropped))
    thread = run.begin(in_a_list)

    def ended(error: BaseException | None) -> None:
        if error is None:
            result.callback(run.block)
            return
        run.drop(run.block)
        if isinstance(error, Cancelled):
            cancelled = defer.CancelledError()
            cancelled.__context__ = error.__context__  # a cleanup that failed meanwhile
            error = cancelled
        if not isinstance(error, Exception):
            raise error  # an interrupt or an exit ends the program, it is no result
        result.errback(_Failure(error, type(error), error.__traceback__))

    driven = Driven(run, ended)
    result: defer.Deferred[list[T]] = _Cancellable(driven)
    del thread
    run.loop.call_soon(driven.start)
    return result


class _Cancellable(defer.Deferred[Any]):
    """A Deferred whose ``cancel()`` cancels the run, and which fires when the run is closed, not before."""

    def __init__(self, driven: Driven) -> None:
        super().__init__()
        self._driven = driven

    def cancel(self) -> None:
        if not self.called:
            self._driven.cancel(Cancelled("flow: the Deferred was cancelled"))
        else:
            super().cancel()
