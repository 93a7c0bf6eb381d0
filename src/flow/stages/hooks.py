"""Hooks: functions that are called when a flow starts, at each row, and when it ends; and a valve that holds rows up.

A hook changes no row and holds none. One that fails ends the run with its error, as any stage does; where an error is
on its way already, the two come together in an ExceptionGroup with the first one first. A function may be async
everywhere, and a plain one may wait (`flow.wait`).
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Iterator
from functools import partial
from threading import Lock
from typing import Any, TypeVar

from ..core.collecting import collect_into
from ..core.instruction import CallLater, Handle, Resume
from ..core.microthread import wait
from ..core.scope import Scope, raise_first
from ..core.source import Around
from ..core.stage import Pipe, Stage, label_of
from .errors import function_of
from .transform import is_async

__all__ = ["Valve", "collect", "finally_", "on_end", "on_row", "on_start", "through"]

T = TypeVar("T")


def on_start(stage: Stage[T], f: Callable[[], object]) -> Stage[T]:
    """The same rows; ``f()`` is called before the first one is asked for, and before anything above is opened.

    Where it fails, nothing is opened. It is called once a run, and not at all in a run that asks for no row.

        seen = []
        rows.on_start(lambda: seen.append("it begins"))    # 1, 2, 3
        seen                                               # ["it begins"]
    """
    return Around(stage, partial(_on_start, function_of("no argument", f, "on_start(f)")), f"on_start({label_of(f)})")


def _on_start(f: Callable[[], object], source: Stage[T], scope: Scope) -> Generator[T]:
    f()
    with scope:
        for row in source.open_in(scope):  # noqa: UP028 (`yield from` would close them on its own)
            yield row


def on_row(stage: Stage[T], f: Callable[[T], object]) -> Stage[T]:
    """The same rows; ``f(row)`` is called for each one, before it is handed on. What `f` gives is not looked at.

    (Elsewhere this is called tap, peek or do.) A row for which it fails is not delivered: the run ends there.

        seen = []
        rows.on_row(seen.append)                           # 1, 2, 3
        seen                                               # [1, 2, 3]
    """
    return Pipe(stage, partial(_on_row, function_of("one row", f, "on_row(f)")), f"on_row({label_of(f)})")


def _on_row(f: Callable[[T], object], rows: Iterator[T]) -> Generator[T]:
    for row in rows:
        f(row)
        yield row


def on_end(stage: Stage[T], f: Callable[[Exception | None], object]) -> Stage[T]:
    """The same rows; when they end, ``f(None)`` is called, when they fail, ``f(error)``, before that is handed on.

    It is not called when the reader leaves early, nor for a cancel: see `finally_`. A failure of `f` after the end is
    the failure of the rows; one after an error joins it in an ExceptionGroup.

        seen = []
        rows.on_end(seen.append)                           # 1, 2, 3
        seen                                               # [None]
    """
    called = function_of("an error or None", f, "on_end(f)")
    return Around(stage, partial(_on_end, called), f"on_end({label_of(f)})")


def _on_end(f: Callable[[Exception | None], object], source: Stage[T], scope: Scope) -> Generator[T]:
    with scope:
        try:
            for row in source.open_in(scope):  # noqa: UP028
                yield row
            scope.close()
        except Exception as error:
            _call(partial(f, error), error)
            raise
        f(None)


def finally_(stage: Stage[T], f: Callable[[], object]) -> Stage[T]:
    """The same rows; ``f()`` is called once on every way out, when all that is above is closed.

    The ways out: the end, a failure, an early leave, a cancel. At the end, and before a failure is handed on, it is
    called there and then; otherwise when the run is closed. It may wait; after a cancel the deadline of cleanups holds.
    A failure of `f` joins the error that is on its way. It is not called in a run that did not ask for a row.

        seen = []
        rows.finally_(lambda: seen.append("closed"))       # 1, 2, 3
        seen                                               # ["closed"]
    """
    return Around(stage, partial(_finally, function_of("no argument", f, "finally_(f)")), f"finally_({label_of(f)})")


def _finally(f: Callable[[], object], source: Stage[T], scope: Scope) -> Generator[T]:
    try:
        for row in source.open_in(scope):  # noqa: UP028
            yield row
    except BaseException as error:
        _call(scope.close, error, f)
        raise
    _call(scope.close, None, f)


def _call(f: Callable[[], object], error: BaseException | None, *then: Callable[[], object]) -> None:
    """Calls all of these. What they raise joins the error that is on its way."""
    failures: list[BaseException] = []
    for each in (f, *then):
        try:
            each()
        except BaseException as failure:
            failures.append(failure)
    if failures:
        raise_first(error, failures)


# --------------------------------------------------------------------------------------------------------------------
# A valve


class Valve:
    """Holds rows up while it is closed, and lets them pass while it is open: ``rows.through(valve)``.

    While it is closed its source is not asked for rows; one row that was asked for before may come, and is held. The
    end of the rows, and a failure, pass. One valve may serve any number of flows and runs, on several loops at once;
    `open` and `close` may be called from any thread, any number of times, before and after a run. A flow that waits at
    a valve can be cancelled as at any other wait; stopping it does not open the valve.

        valve = flow.Valve()
        rows.through(valve)                                # 1, 2, 3
        valve.close()                                      # the next run waits until somebody calls valve.open()
    """

    __slots__ = ("_lock", "_waiting", "is_open")

    is_open: bool
    """May rows pass?"""

    def __init__(self, *, is_open: bool = True) -> None:
        self.is_open = is_open
        self._lock = Lock()
        self._waiting: list[Resume] = []

    def open(self) -> None:
        """Lets rows pass, those that wait first. A no-op when it is open."""
        with self._lock:
            self.is_open = True
            waiting, self._waiting = self._waiting, []
        for resume in waiting:
            resume()

    def close(self) -> None:
        """Holds rows up from now on. A no-op when it is closed."""
        self.is_open = False

    def __repr__(self) -> str:
        return f"<flow.Valve {'open' if self.is_open else 'closed'}>"

    def wait(self) -> None:
        """Waits, on a chain, until it is open."""
        opened = _Opened(self)
        while not self.is_open:
            wait(opened)

    def on_open(self, resume: Resume) -> Handle | None:
        """Resumes when it is open."""
        with self._lock:
            if not self.is_open:
                self._waiting.append(resume)
                return _Waiting(self, resume)
        resume()
        return None

    def give_up(self, resume: Resume) -> None:
        """A flow waits no longer."""
        with self._lock:
            if resume in self._waiting:
                self._waiting.remove(resume)


class _Opened(CallLater):
    __slots__ = ("_valve",)

    def __init__(self, valve: Valve) -> None:
        self._valve = valve

    def callLater(self, resume: Resume, /) -> Handle | None:
        return self._valve.on_open(resume)

    def __repr__(self) -> str:
        return repr(self._valve)


class _Waiting:
    """The handle of a wait at a valve."""

    def __init__(self, valve: Valve, resume: Resume) -> None:
        self._valve, self._resume = valve, resume

    def cancel(self) -> None:
        self._valve.give_up(self._resume)


def through(stage: Stage[T], valve: Valve) -> Stage[T]:
    """The same rows, which wait while the valve is closed: see `Valve`."""
    if not isinstance(valve, Valve):
        raise TypeError(f"through(valve) takes a flow.Valve, not {type(valve).__name__}")
    return Pipe(stage, partial(_through, valve), "through(Valve)")


def _through(valve: Valve, rows: Iterator[T]) -> Generator[T]:
    if not valve.is_open:
        valve.wait()
    for row in rows:
        if not valve.is_open:
            valve.wait()
        yield row
        if not valve.is_open:
            valve.wait()


# --------------------------------------------------------------------------------------------------------------------
# The end of a flow


def collect(stage: Stage[T], f: Callable[[Any], Any] = list) -> Coroutine[Any, Any, Any]:
    """``await rows.collect(f)``: what ``f(rows)`` gives, for any function of an iterable, run inside of the flow.

    `f` gets an iterator, which waits without blocking the loop: ``sum``, ``set``, ``max``, ``collections.Counter``,
    ``"".join``, ``dict``, a partial. With ``collections.deque(maxlen=0).extend`` the rows are read and dropped. If it
    leaves some rows, those are not read. Rows that it has taken when the flow fails are its own affair. On asyncio,
    trio and Twisted; a script has ``sum(rows)`` already. Raises TypeError at once for what can't be called, and for an
    async function: make that a stage, or write ``async for``.

        await flow.wrap([1, 2, 3]).collect(sum)            # 6
    """
    if not callable(f):
        raise TypeError(f"collect(f) needs a function of an iterator, not {type(f).__name__}")
    if is_async(f):
        raise TypeError(
            f"collect(f): {label_of(f)} is async, and f must be a plain function of an iterator: it may wait all the "
            "same (flow.wait). To await for each row, write rows.map(f), or `async for`."
        )
    return collect_into(stage, f, label_of(f))
