"""Concurrent calls in somebody else's threads or processes: a `concurrent.futures.Executor`.

The function is submitted once for each row, and its outcome comes back to the loop's thread; many outcomes make one
wake-up. A call that has begun in another thread can't be interrupted: it is waited for, on every way out. An executor
of the user's stays open; one of flow's own is shut down with the run, and its threads have ended when control returns.
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

from ..core.instruction import Handle
from ..core.microthread import Strand, wait_out
from ..core.stage import label_of
from ..stages.calls import Coroutine
from ..stages.jobs import BEGUN, Calls, Job
from ..stages.workers import Workers

__all__ = ["Submitted"]


class Submitted(Workers):
    """The calls of one run, in an executor."""

    def __init__(self, calls: Calls) -> None:
        super().__init__(calls)
        self._f = calls.how.f
        self._executor: Executor | None = None
        self._threads: list[threading.Thread] | None = None  # of an executor of flow's own
        self._futures: dict[Job, Future[Any]] = {}
        self._timers: dict[Job, Handle] = {}  # jobs that are to be tried again
        self._outcomes: deque[tuple[Job, int, Future[Any]]] = deque()
        self._collecting = False
        # A virtual clock must not move while a thread works.
        inner: Any = getattr(self.loop, "loop", None)
        self._hold = getattr(inner, "hold", None)
        self._release = getattr(inner, "release", None)

    def look(self) -> None:
        calls = self.calls
        while calls.ready and calls.in_flight < calls.how.concurrency:
            job = calls.ready.popleft()
            calls.in_flight += 1
            calls.begun += 1
            job.state = BEGUN
            self._submit(job, 1)

    def _submit(self, job: Job, attempt: int) -> None:
        try:
            if self._executor is None:
                self._executor = self._open()
            if self._threads is None:
                future = self._executor.submit(self._f, job.row)
            else:  # as asyncio.to_thread does it: the context variables go along
                future = self._executor.submit(self.run.context.copy().run, self._f, job.row)
        except BaseException as error:  # it was shut down, or it is broken
            self.calls.failed(job, error)
            return
        self._futures[job] = future
        if self._hold is not None:
            self._hold()
        future.add_done_callback(partial(self._told, job, attempt))

    def _open(self) -> Executor:
        on = self.calls.how.on
        if isinstance(on, Executor):
            return on
        threads: list[threading.Thread] = []
        self._threads = threads
        return ThreadPoolExecutor(
            self.calls.how.concurrency,
            f"flow map({label_of(self._f)})",
            initializer=lambda: threads.append(threading.current_thread()),
        )

    def _told(self, job: Job, attempt: int, future: Future[Any]) -> None:
        """A call is over; on any thread."""
        self._outcomes.append((job, attempt, future))
        if not self._collecting:
            self._collecting = True
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self.loop.call_threadsafe(self._collect)
        if self._release is not None:
            self._release()

    def _collect(self) -> None:
        self._collecting = False  # before they are looked at: one that comes now is seen here, or calls again
        while self._outcomes:
            job, attempt, future = self._outcomes.popleft()
            del self._futures[job]
            self._over(job, attempt, future)
        self.look()
        self.ended.set()

    def _over(self, job: Job, attempt: int, future: Future[Any]) -> None:
        calls = self.calls
        if future.cancelled():
            calls.called_off(job)
            return
        error = future.exception()
        if error is None:
            value = future.result()
            if type(value) is Coroutine:
                value.close()
                error = TypeError(
                    f"map(on): {label_of(self._f)} returned a coroutine ({value.__qualname__}), which nobody awaits in "
                    "an executor: leave `on` out"
                )
            else:
                calls.done(job, value)
                return
        retry = calls.how.retry
        try:
            delay = None if retry is None or calls.closed else retry.delay_after(attempt, error)
        except Exception as failure:
            delay, error = None, failure
        if delay is None:
            calls.failed(job, error)
        else:
            self._timers[job] = self.loop.call_later(delay, partial(self._again, job, attempt + 1))

    def _again(self, job: Job, attempt: int) -> None:
        del self._timers[job]
        self._submit(job, attempt)

    def hurry(self, strand: Strand) -> bool:
        found = bool(self._outcomes)
        if found:
            self._collect()
        return found

    def cancel(self, after: int) -> None:
        for job in [job for job in self._timers if job.index > after]:
            self._timers.pop(job).cancel()
            self.calls.called_off(job)
        for job, future in list(self._futures.items()):
            if job.index > after:
                future.cancel()

    def end(self) -> None:
        self.cancel(-1)

    def close(self, strand: Strand) -> None:
        self.end()
        try:
            wait_out(strand, lambda: not self._futures, self.ended)
        finally:
            if self._threads is not None:
                assert self._executor is not None
                self._executor.shutdown(wait=False)
        threads = self._threads or []
        wait_out(strand, lambda: not any(thread.is_alive() for thread in threads))  # their last steps
