"""What a conformance case is given: a log, a clock, and things to wait for that mean the same on every loop."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any

import flow

CANCELS = {"Cancelled", "CancelledError"}
HERE = re.compile(r"\bcases(_\w+)?\.py$")
"""The modules of cases."""


def is_cancel(error: BaseException) -> bool:
    """Is it the cancel error of flow, asyncio, trio or Twisted?"""
    return any(kind.__name__ in CANCELS for kind in type(error).__mro__)


def described(error: BaseException) -> Any:
    """An exception as it must look on every loop: type, text, notes, and the frames of the case that it passed."""
    if is_cancel(error):
        return "cancelled"
    frames = []
    where = error.__traceback__
    while where is not None:
        if HERE.search(where.tb_frame.f_code.co_filename):
            frames.append(where.tb_frame.f_code.co_name)
        where = where.tb_next
    shown: list[Any] = [short(error), sorted(getattr(error, "__notes__", [])), frames]
    if isinstance(error, BaseExceptionGroup):
        shown.append([described(each) for each in error.exceptions])
    return shown


def short(error: BaseException) -> str:
    """``ValueError: text``, with what is inside a group."""
    if is_cancel(error):
        return "cancelled"
    if isinstance(error, BaseExceptionGroup):
        return f"{type(error).__name__}[{', '.join(map(short, error.exceptions))}]"
    return f"{type(error).__name__}: {error}"


class Env:
    """One run of one case on one loop. Times are in units: seconds where time is virtual, less where it is real."""

    def __init__(self, unit: float, now: Callable[[], float], pause: Callable[[float], Any]) -> None:
        self.unit = unit
        self._now = now
        self._start = now()
        self._pause = pause
        self._aside: list[list[Any]] = []
        self._threads: list[threading.Thread] = []
        self.log: list[list[Any]] = []
        self.run: Any = None  # the handle of the run, where the case has one

    # ---- the log

    def note(self, event: str, *details: Any) -> None:
        """An event, with its time in units."""
        self.log.append([round((self._now() - self._start) / self.unit, 3), event, *details])

    def aside(self, event: str, *details: Any) -> None:
        """An event of a thread: in order among its like, but not between those of the loop."""
        self._aside.append([None, event, *details])

    def saw(self, name: str, error: BaseException) -> None:
        """What a stage was thrown. A cancel must not be an Exception: ``except Exception`` must let it pass."""
        if is_cancel(error):
            self.note(name, "saw", "a cancel that is an Exception" if isinstance(error, Exception) else "a cancel")
        else:
            self.note(name, "saw", type(error).__name__)

    def finish(self) -> list[list[Any]]:
        """The whole log, when the run is over and the threads of the case have ended."""
        for thread in self._threads:
            thread.join(10)
        return self.log + self._aside

    # ---- waits

    def sleep(self, units: float) -> None:
        """`flow.sleep`, in units."""
        flow.sleep(units * self.unit)

    def cooperate(self, units: float) -> flow.Cooperate:
        """`flow.Cooperate`, in units."""
        return flow.Cooperate(units * self.unit)

    def pause(self, units: float) -> Any:
        """Something to ``await`` that is the loop's own: a coroutine of asyncio or trio, or a Deferred."""
        return self._pause(units * self.unit)

    def later(self, units: float, f: Callable[[], object]) -> flow.Instruction:
        """An instruction that lets the loop call `f` later, and resumes at once."""
        return _Later(units * self.unit, f)

    def in_thread(self, f: Callable[[], object]) -> flow.Instruction:
        """An instruction that calls `f` in a thread, and resumes at once. A virtual clock waits for the thread."""
        return _InThread(self, f)

    def run_thread(self, loop: Any, f: Callable[[], object]) -> None:
        """Calls `f` in a thread; a virtual asyncio loop is told that somebody works."""
        inner = getattr(loop, "loop", None)
        hold, release = getattr(inner, "hold", None), getattr(inner, "release", None)

        def work() -> None:
            try:
                f()
            finally:
                if release is not None:
                    release()

        if hold is not None:
            hold()
        thread = threading.Thread(target=work, name="case")
        self._threads.append(thread)
        thread.start()

    # ---- sources and stages that tell what is done to them

    def source(self, name: str, *rows: Any, delay: float = 0, cleanup: float = 0, fail: Any = None) -> _Source:
        """A plain iterable: waits `delay` before each row, `cleanup` while it is closed, and fails after its rows."""
        return _Source(self, name, rows, delay, cleanup, fail)

    def through(self, name: str, *, cleanup: float = 0, fail_at: Any = None) -> Callable[[Any], Any]:
        """A plain stage that hands rows on, and fails at the row `fail_at`."""

        def stage(rows: Iterable[Any]) -> Generator[Any]:
            self.note(name, "opened")
            try:
                for row in rows:
                    if fail_at is not None and row == fail_at:
                        raise ValueError(f"{name} fails at {row}")
                    yield row
            except BaseException as error:
                self.saw(name, error)
                raise
            finally:
                if cleanup:
                    self.note(name, "cleans up")
                    self.sleep(cleanup)
                self.note(name, "closed")

        stage.__qualname__ = name
        return stage


class _Source:
    def __init__(self, env: Env, name: str, rows: Any, delay: float, cleanup: float, fail: Any) -> None:
        self._env, self._name, self._rows = env, name, rows
        self._delay, self._cleanup, self._fail = delay, cleanup, fail

    def __iter__(self) -> Iterator[Any]:
        env, name = self._env, self._name
        env.note(name, "opened")
        try:
            for row in self._rows:
                if self._delay:
                    env.sleep(self._delay)
                env.note(name, "gives", repr(row))
                yield row
            if self._fail is not None:
                raise self._fail
        except BaseException as error:
            env.saw(name, error)
            raise
        finally:
            if self._cleanup:
                env.note(name, "cleans up")
                env.sleep(self._cleanup)
            env.note(name, "closed")


class _Later(flow.CallLater):
    def __init__(self, seconds: float, f: Callable[[], object]) -> None:
        self.seconds, self.f = seconds, f

    def callLater(self, resume: Any) -> None:
        resume.loop.call_later(self.seconds, self.f)
        resume()


class _InThread(flow.CallLater):
    def __init__(self, env: Env, f: Callable[[], object]) -> None:
        self.env, self.f = env, f

    def callLater(self, resume: Any) -> None:
        self.env.run_thread(resume.loop, self.f)
        resume()
