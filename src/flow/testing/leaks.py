"""What a test left behind: looked for before and after, and named.

`nothing_left` looks at what flow itself keeps, and is cheap. `no_leaks` compares everything that a flow may open, of
flow's own or not, before and after a block of code.

What may live here: looking. It changes nothing, but that it lets the collector run first.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from threading import Thread
from types import AsyncGeneratorType, TracebackType
from typing import Any, Protocol, cast
from weakref import WeakSet

from ..core.instruction import Resume
from ..core.run import Run, live
from ..loops import awaiting

__all__ = ["KINDS", "Closable", "Leftover", "no_leaks", "nothing_left", "timers_of"]

KINDS = ("runs", "sources", "threads", "tasks", "timers", "loops", "fds", "async generators", "warnings", "exceptions")
"""What `no_leaks` looks for, by the words that ``allow=`` takes."""

POOLS = ("asyncio_", "Trio thread", "PoolThread-twisted", "pytest_timeout", "pydevd", "ThreadPoolExecutor")
"""How the names of threads begin that live on by design: workers of pools, which wait for more work."""

FDS = next((folder for folder in ("/proc/self/fd", "/dev/fd") if os.path.isdir(folder)), None)

LAST_STEPS = 1.0
"""Real seconds that a thread is given for its last steps."""


class Leftover(AssertionError):
    """Something that was opened is still open: the text names it."""


class Closable(Protocol):
    """What knows whether it is closed: a `Tracked`, or something of yours with the same property."""

    @property
    def is_closed(self) -> bool: ...


def nothing_left(*tracked: Closable) -> None:
    """Raises Leftover when a run of flow is not over, a thread of flow is alive, or one of these sources is open.

    Cheap: it may stand at the end of each test. It looks at what flow itself keeps; `no_leaks` looks at the rest, too.

        from flow.testing import nothing_left
        source = Tracked([1, 2, 3])
        for row in flow.wrap(source).map(str):
            break
        nothing_left(source)
    """
    if live:
        gc.collect()  # a run in a reference cycle is closed by the collector
    left = [f"the run of {run.stage!r} is not over" for run in live]
    left += [f"the thread {each.name!r} is alive" for each in threading.enumerate() if each.name.startswith("flow ")]
    left += [f"{each!r} is not closed" for each in tracked if not each.is_closed]
    if left:
        raise Leftover("; ".join(left))


class no_leaks:
    """A block of code that must leave nothing behind: ``with no_leaks():``, or ``async with no_leaks():``.

    It looks for runs of flow, tracked `sources` (those that it is given, or that have joined its `sources` since),
    threads, tasks, timers, event loops, file descriptors, async generators that are neither finished nor closed,
    ResourceWarnings and "never awaited", and exceptions that nobody saw. What was there before the block is not its
    affair. At its end the collector runs, threads get a second for their last steps, and in the async form the loop
    gets some turns; then Leftover names all that is left. `allow` are kinds of it that may stay (the words above:
    "timers", "fds", ...). When the block raises, that error is the news, and nothing is looked for. Workers of thread
    pools are not looked for. Raises ValueError at once for an unknown kind.

        from flow.testing import no_leaks
        with no_leaks():
            for row in flow.wrap([1, 2, 3]).map(str):
                break
    """

    def __init__(self, *sources: Closable, allow: Iterable[str] = ()) -> None:
        self.sources: list[Closable] = list(sources)
        self._allowed = {allow} if isinstance(allow, str) else set(allow)
        if unknown := self._allowed - set(KINDS):
            raise ValueError(f"no_leaks(allow) takes {', '.join(map(repr, KINDS))}, not {min(unknown)!r}")
        self._stack = ExitStack()
        self._told: list[str] = []

    def __enter__(self) -> no_leaks:
        self._told.clear()
        self._listen()
        self._before = _Seen()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        with self._stack:
            if error is not None:
                return
            gc.collect()
            left = self._left()
        if left:
            raise Leftover("left behind: " + "; ".join(left))

    async def __aenter__(self) -> no_leaks:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        loop: Any = awaiting()

        def turn(resume: Resume) -> None:
            loop.call_soon(resume)

        if error is None:
            for _ in range(5):  # what is just about to end
                await loop.suspend(turn)
        self.__exit__(kind, error, where)

    def _left(self) -> list[str]:
        before, after = self._before, _Seen()
        found: dict[str, list[str]] = {
            "runs": [f"the run of {run.stage!r}, which is not over" for run in after.runs if run not in before.runs],
            "sources": [f"{each!r}, which is not closed" for each in self.sources if not each.is_closed],
            "threads": [f"the thread {each.name!r}" for each in after.threads if _stays(each, before.threads)],
            "tasks": [f"the task {each}" for each in after.tasks if each not in before.tasks],
            "timers": [f"the timer {each!r}" for each in after.timers if each not in before.timers],
            "loops": [f"the event loop {each!r}" for each in after.loops if each not in before.loops],
            "fds": [
                f"the file descriptor {fd}: {name}" for fd, name in after.fds.items() if before.fds.get(fd) != name
            ],
            "async generators": [
                f"the async generator {each.__qualname__}, neither finished nor closed"
                for each in after.generators
                if each not in before.generators
            ],
        }
        told = [each for each in self._told if each.split(":")[0] not in self._allowed]
        return [each for kind, many in found.items() if kind not in self._allowed for each in many] + told

    def _listen(self) -> None:
        """Listens to warnings of things that were never closed or awaited, and to exceptions that nobody saw."""
        self._stack.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("always", category=ResourceWarning)
        warnings.filterwarnings("always", message=".* was never awaited", category=RuntimeWarning)
        shown = warnings.showwarning

        def show(message: Any, category: type[Warning], *where: Any) -> None:
            if issubclass(category, ResourceWarning) or "was never awaited" in str(message):
                self._told.append(f"warnings: {category.__name__}: {message}")
            else:
                shown(message, category, *where)

        warnings.showwarning = cast("Any", show)
        hook = sys.unraisablehook

        def unraisable(found: Any) -> None:
            said = found.err_msg or "ignored"
            self._told.append(f"exceptions: {found.exc_value!r} in {found.object!r} ({said})")

        sys.unraisablehook = unraisable
        self._stack.callback(setattr, sys, "unraisablehook", hook)
        listener = _Listener(self._told)
        logger = logging.getLogger("asyncio")
        logger.addHandler(listener)
        self._stack.callback(logger.removeHandler, listener)


class _Listener(logging.Handler):
    """Hears what asyncio says of exceptions that nobody retrieved."""

    def __init__(self, told: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._told = told

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        self._told.append(f"exceptions: {record.getMessage().splitlines()[0]}" + (f": {error!r}" if error else ""))


class _Seen:
    """What is open now."""

    def __init__(self) -> None:
        self.runs: WeakSet[Run] = WeakSet(live)
        self.threads = {each for each in threading.enumerate() if not each.name.startswith(POOLS)}
        self.fds = _open_fds()
        # Weakly, or what the block was to let go of would be held by what it found before.
        self.tasks: WeakSet[Any] = WeakSet()
        self.loops: WeakSet[Any] = WeakSet()
        self.generators: WeakSet[Any] = WeakSet()
        every: list[Any] = gc.get_objects()
        for each in every:
            kind = cast("Any", type(each))
            if kind is AsyncGeneratorType:
                if each.ag_frame is not None and _has_begun(each):
                    self.generators.add(each)
            elif kind is asyncio.Task:
                if not each.done():
                    self.tasks.add(each)
            elif issubclass(kind, asyncio.AbstractEventLoop) and not _is_closed(each):
                self.loops.add(each)
        self.tasks.update(_trio_tasks())
        self.timers: list[Any] = [timer for loop in self.loops for timer in timers_of(loop)] + _twisted_timers()


def _stays(thread: Thread, before: set[Thread]) -> bool:
    if thread not in before:
        thread.join(LAST_STEPS)
    return thread not in before and thread.is_alive()


def _has_begun(generator: Any) -> bool:
    """Has an async generator run its first step? One that has not holds nothing open."""
    suspended = getattr(generator, "ag_suspended", None)  # Python 3.12
    if suspended is not None:
        return bool(suspended or generator.ag_running)
    return bool(generator.ag_frame.f_lineno != generator.ag_code.co_firstlineno)


def _is_closed(loop: Any) -> bool:
    try:
        return bool(loop.is_closed())
    except Exception:  # one that is half made
        return True


def timers_of(loop: Any) -> list[Any]:
    """The timers that an asyncio loop has scheduled. (uvloop does not tell.)"""
    return [each for each in getattr(loop, "_scheduled", ()) if not each.cancelled()]


def _trio_tasks() -> list[Any]:
    """The tasks of the trio run that the caller is in, those behind flow's timers too, by way of sys.modules."""
    trio: Any = sys.modules.get("trio")
    if trio is None or not trio.lowlevel.in_trio_run():
        return []
    found: list[Any] = []
    todo = [trio.lowlevel.current_root_task()]
    while todo:
        task = todo.pop()
        found.append(task)
        todo += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
    return found


def _twisted_timers() -> list[Any]:
    reactor: Any = sys.modules.get("twisted.internet.reactor")
    waiting: Callable[[], list[Any]] | None = getattr(reactor, "getDelayedCalls", None)
    return [] if waiting is None else list(waiting())


def _open_fds() -> dict[str, str]:
    """Open file descriptors, and what is behind each: sockets, pipes, pollers and files."""
    found: dict[str, str] = {}
    for fd in os.listdir(FDS) if FDS is not None else ():
        try:
            found[fd] = os.readlink(f"{FDS}/{fd}") if FDS == "/proc/self/fd" else "open"
        except OSError:
            continue  # the listing itself
    return {fd: name for fd, name in found.items() if not name.startswith(("/dev/", "/proc/"))}
