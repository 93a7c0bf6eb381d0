"""Twisted: the reactor as a loop, and `Deferred`, the controller that fires with what a flow gives.

This and `io/twisted_protocol.py` are the only files (with `classic`) that import Twisted. The reactor is looked up when
a run starts, never at import.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from contextvars import Context
from itertools import count
from threading import get_ident
from typing import Any, TypeVar, overload
from weakref import WeakValueDictionary

from twisted.internet import defer
from twisted.python import failure, log, threadable

from ..core.bodies import handed_to, in_a_list
from ..core.driven import Driven
from ..core.instruction import Handle, Outcome, Resume
from ..core.microthread import Strand, unwanted, wait
from ..core.run import CLEANUP, SLICE, Options, Run
from ..core.source import can_be_waited_for
from ..core.stage import Stage
from ..core.stopping import Interruption
from ..core.wrap import stage_of
from ..errors import Cancelled
from .base import BaseLoop, Spawned

__all__ = ["Deferred", "TwistedLoop", "failed", "loop_for", "loop_here", "the_reactor"]

T = TypeVar("T")
U = TypeVar("U")

_Failure: Any = failure.Failure  # as Any: its constructor has no types


class TwistedLoop(BaseLoop):
    """A reactor (or a `task.Clock`, in tests)."""

    name = "Twisted"

    def __init__(self, reactor: Any) -> None:
        super().__init__(get_ident())
        self.reactor = reactor
        self.outlive_the_runs()
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
        timer: Handle | None = None
        interruption: Interruption | None = None

        def begin(resume: Resume) -> Handle | None:
            nonlocal timer, interruption
            if deadline is not None:
                left = max(0.0, deadline - self.time())
                timer = self.call_later(left, lambda: resume.throw(run.cleanup_timeout(strand)))
            handle = self.begin(instruction, resume, run.context)
            if run.stops is not None:
                strand.limit = interruption = Interruption(instruction, lambda: call_off(resume, handle))
            return handle

        def call_off(resume: Resume, handle: Handle | None) -> None:
            if not getattr(handle, "ends", False):  # a task has cleanups of its own, and resumes after them
                assert interruption is not None
                assert interruption.error is not None
                resume.throw(interruption.error)  # before the future that is cancelled resumes
            if handle is not None:
                handle.cancel()

        try:
            return await self.suspend(begin)
        except Cancelled as error:
            if interruption is None or interruption.error is None or isinstance(error, _TwistedCancel):
                raise
            raise interruption.error from None
        finally:
            strand.limit = None
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


def the_reactor(reactor: Any = None) -> Any:
    """The reactor that was given, or else the installed one: imported here and not before, since that installs one."""
    if reactor is None:
        from twisted.internet import reactor
    return reactor


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


class Deferred(defer.Deferred[U]):
    """Runs a stage on the reactor; a Deferred that fires with the list of its rows, or with its failure.

    It starts in the reactor's next turn, and holds all rows. With `into`, each row is given to ``into(row)`` as it
    comes and none is held: `into` is called on the chain's own stack, so it may wait; what it returns is waited for
    when it can be; and the Deferred fires with the number of rows. An exception of a type in `trap` becomes the last
    row. On a failure the rows that were collected are dropped, and counted for `on_dropped`. ``cancel()`` raises
    flow.Cancelled where the chain waits; when all is closed (cleanups may wait up to `cleanup` seconds) the Deferred
    fails with Twisted's CancelledError. `slice` as in `Stage.open`. `reactor`: another one than the global one, for
    tests. Raises TypeError at once for an `into` that can't be called.

        d = flow.Deferred(flow.wrap(range(3)).map(str))
        d.addCallback(print)                               # ['0', '1', '2']
    """

    @overload
    def __init__(
        self: Deferred[list[T]],
        stage: Stage[T],
        /,
        *trap: type[BaseException],
        slice: float = ...,
        cleanup: float = ...,
        on_dropped: Callable[[list[Any]], object] | None = ...,
        reactor: Any = ...,
    ) -> None: ...
    @overload
    def __init__(
        self: Deferred[list[Any]],
        stage: Any,
        /,
        *trap: type[BaseException],
        slice: float = ...,
        cleanup: float = ...,
        on_dropped: Callable[[list[Any]], object] | None = ...,
        reactor: Any = ...,
    ) -> None: ...
    @overload
    def __init__(
        self: Deferred[int],
        stage: Any,
        /,
        *trap: type[BaseException],
        into: Callable[[Any], object],
        slice: float = ...,
        cleanup: float = ...,
        on_dropped: Callable[[list[Any]], object] | None = ...,
        reactor: Any = ...,
    ) -> None: ...
    def __init__(
        self,
        stage: Any,
        /,
        *trap: type[BaseException],
        into: Callable[[Any], object] | None = None,
        slice: float = SLICE,
        cleanup: float = CLEANUP,
        on_dropped: Callable[[list[Any]], object] | None = None,
        reactor: Any = None,
    ) -> None:
        if into is not None and not callable(into):
            raise TypeError(f"flow.Deferred(into=...) must be a function of one row, not {type(into).__name__}")
        super().__init__()
        self._taken = count()
        self._into = into
        run = Run(stage_of(stage, *trap), loop_for(the_reactor(reactor)), Options(slice, cleanup, on_dropped))
        run.begin(in_a_list if into is None else handed_to(self._take))
        self._driven = Driven(run, self._ended)
        run.loop.call_soon(self._driven.start)

    def cancel(self) -> None:
        """Cancels the run; the Deferred fires when that is closed, not before. After the end a no-op."""
        if self.called:
            super().cancel()
        else:
            self._driven.cancel(Cancelled("flow: the Deferred was cancelled"))

    def _take(self, row: Any) -> None:
        assert self._into is not None
        next(self._taken)
        made = self._into(row)
        if can_be_waited_for(made):
            wait(made)

    def _ended(self, error: BaseException | None) -> None:
        run = self._driven.run
        if error is None:
            result: Any = run.block if self._into is None else next(self._taken)
            self.callback(result)
            return
        run.drop(run.block)
        self.errback(failed(error))


def failed(error: BaseException) -> failure.Failure:
    """The Failure for what ended a run, with the traceback through its stages; a cancel in Twisted's own shape.

    An interrupt or an exit ends the program and is no result: it is raised.
    """
    if isinstance(error, Cancelled):
        cancelled = defer.CancelledError()
        cancelled.__context__ = error.__context__  # a cleanup that failed meanwhile
        error = cancelled
    if not isinstance(error, Exception):
        raise error
    made: failure.Failure = _Failure(error, type(error), error.__traceback__)
    return made
