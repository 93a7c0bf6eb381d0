"""Who makes concurrent calls: long-lived tasks for async functions, micro-threads for all others.

A worker takes a job, makes the call, and takes the next one, without leaving its task or its micro-thread while there
are jobs. So a task is not made for each row, and what begins and ends in one call (a timeout, a cancel scope, a span)
begins and ends in one task. Workers are made when they are needed, at most as many as the concurrency.

How many are told of new jobs
-----------------------------
Calls that never wait are all made by the first worker that comes to them, and to wake others would cost more than the
calls. Calls that wait need a worker each. Which it is shows by itself: a call that is in flight while somebody else
runs is one that waits. So while none is in flight, one worker is told, and the loop is asked to look again in its next
turn when a worker leaves jobs behind; while one is in flight, as many are told as there are jobs.

What may live here: what makes calls on the loop. What is called, and when, is in `jobs.py`.
"""

from __future__ import annotations

from contextlib import suppress
from contextvars import Context
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any

from greenlet import GreenletExit

from ..core.background import Background
from ..core.instruction import TURN, Cooperate, Handle, Resume, Signal
from ..core.microthread import MicroThread, Strand, wait_out
from ..core.scope import NoLongerRead, Scope
from .calls import Coroutine
from .jobs import BEGUN

if TYPE_CHECKING:
    from ..core.stage import Stage
    from .jobs import Calls, Job

__all__ = ["MicroThreads", "Tasks", "Workers"]


class Workers:
    """The workers of one run, as its `Calls` knows them."""

    def __init__(self, calls: Calls) -> None:
        self.calls = calls
        self.run = calls.strand.owner
        self.loop = self.run.loop
        self.alive = 0  # workers that have not ended
        self.waking = 0  # those that were told of jobs and have not come yet
        self.checking = False  # the loop will call `_look_again`
        self.failures: list[BaseException] = []  # of calls that were cancelled
        self.ended = Signal()

    def look(self) -> None:
        """There are jobs: tells workers of them."""
        calls = self.calls
        while len(calls.ready) > self.waking and (calls.in_flight or not self.waking) and self.wake():
            pass

    def look_later(self) -> None:
        """A worker begins a call, and leaves jobs behind."""
        if not self.checking and self.goes_on:
            with suppress(RuntimeError):  # the loop is closed: it has no more turns to give
                self.loop.call_soon(self._look_again)
                self.checking = True

    def _look_again(self) -> None:
        self.checking = False
        if self.calls.in_flight:
            self.look()

    @property
    def goes_on(self) -> bool:
        """May the loop do anything before the reader is about to wait? Not that of a script that has never waited."""
        made: bool = getattr(self.loop, "made", True)
        return made

    def wake(self) -> bool:
        """Tells one more worker, if there may be one more."""
        raise NotImplementedError

    def cancel(self, after: int) -> None:
        """Cancels the calls of the jobs whose index is greater; does not wait for their end."""
        raise NotImplementedError

    def hurry(self, strand: Strand) -> bool:
        """The reader is about to wait: a step that was put off to the loop's next turn is taken now. Was there one?"""
        return False

    def end(self) -> None:
        """Ends every worker, and cancels its call."""
        raise NotImplementedError

    def close(self, strand: Strand) -> None:
        """Cancels all calls, and returns when they have ended; `failures` then has what they raised."""
        self.end()
        while self.hurry(strand):  # what needs no wait is ended here and now
            pass
        wait_out(strand, lambda: not self.alive, self.ended)

    def over(self, failure: BaseException | None) -> None:
        """A worker has ended."""
        self.alive -= 1
        if isinstance(failure, Exception):
            self.failures.append(failure)
        self.ended.set()
        self.look()


# --------------------------------------------------------------------------------------------------------------------
# Tasks


class _Task:
    """One worker: a task of the loop. `job` is the one that it works on."""

    __slots__ = ("cancelled", "handle", "job", "resume", "tasks")

    def __init__(self, tasks: Tasks) -> None:
        self.tasks = tasks
        self.job: Job | None = None
        self.cancelled = False
        self.handle: Handle | None = None
        self.resume: Resume | None = None

    def begin(self, resume: Resume) -> _Task:
        """It has nothing to do, and waits to be told."""
        self.resume = resume
        self.tasks.idle[self] = None
        return self

    def cancel(self) -> None:
        """Its waiting is called off."""
        self.tasks.idle.pop(self, None)

    def end(self) -> None:
        if not self.cancelled:
            self.cancelled = True
            assert self.handle is not None
            self.handle.cancel()


class Tasks(Workers):
    """Tasks, for an async function. Each has a copy of the run's context variables."""

    def __init__(self, calls: Calls) -> None:
        super().__init__(calls)
        self.every: dict[_Task, None] = {}
        self.idle: dict[_Task, None] = {}  # the last one is the first to be told

    def wake(self) -> bool:
        if self.idle:
            resume = self.idle.popitem()[0].resume
            assert resume is not None
            self.waking += 1
            resume()
            return True
        if self.alive == self.calls.how.concurrency:
            return False
        self.alive += 1
        self.waking += 1
        worker = _Task(self)
        self.every[worker] = None
        worker.handle = self.loop.spawn(self._work(worker), partial(self._ended, worker), self.run.context.copy())
        return True

    def cancel(self, after: int) -> None:
        for worker in [*self.every]:
            if worker.job is not None and worker.job.index > after:
                worker.end()

    def end(self) -> None:
        for worker in [*self.every]:
            worker.end()

    def _ended(self, worker: _Task, value: Any, failure: BaseException | None) -> None:
        del self.every[worker]
        if failure is not None and not worker.cancelled and self.calls.limit == inf:
            self.calls.broke(failure)  # somebody cancelled the task, not knowing whose it is
        self.over(failure)

    async def _work(self, worker: _Task) -> None:
        # The way of every row: no more is done here than must be.
        calls, loop = self.calls, self.loop
        f, ready, clock, slice = calls.how.f, calls.ready, loop.clock, self.run.slice
        if calls.how.retry is not None:
            f = partial(self._retried, worker)
        self.waking -= 1
        until = clock() + slice
        while True:
            if not ready:
                await loop.suspend(worker.begin)
                self.waking -= 1
                until = clock() + slice
                continue
            job = ready.popleft()
            if ready and not self.checking:
                self.look_later()
            calls.in_flight += 1
            begun = calls.begun = calls.begun + 1
            job.state = BEGUN
            worker.job = job
            try:
                value = await f(job.row)
            except BaseException as error:
                worker.job = None
                if worker.cancelled or isinstance(error, GeneratorExit):
                    calls.called_off(job)
                    raise
                calls.failed(job, error)
                if isinstance(error, (KeyboardInterrupt, SystemExit)):
                    return  # it ends the run, and reaches the reader; raised here, it would end the loop
                if not isinstance(error, Exception):
                    raise
            else:
                worker.job = None
                calls.done(job, value)
            if worker.cancelled:
                return  # the call has swallowed the cancel
            now = clock()
            if calls.begun != begun:  # others have begun a call since: this one has waited, and the loop had its turn
                until = now + slice
            elif now >= until:
                loop.used += slice
                loop.mark()
                await loop.suspend(loop.turn_over)
                until = clock() + slice

    async def _retried(self, worker: _Task, row: Any) -> Any:
        f, policy = self.calls.how.f, self.calls.how.retry
        assert policy is not None
        attempt = 1
        while True:
            try:
                return await f(row)
            except Exception as error:
                if worker.cancelled:  # Twisted's cancel is an Exception
                    raise
                delay = policy.delay_after(attempt, error)
                if delay is None:
                    raise
            attempt += 1
            if delay:
                await self.loop.suspend(Cooperate(delay).callLater)


# --------------------------------------------------------------------------------------------------------------------
# Micro-threads


class _Lane(Background):
    """One worker: a micro-thread that callbacks drive."""

    def __init__(self, workers: MicroThreads, stage: Stage[Any], context: Context) -> None:
        super().__init__(workers.calls.strand, stage, self._body, self._end)
        self.workers = workers
        self.job: Job | None = None
        self.run.context = context
        self.run.stops = None  # what a call opens is work on its row, and is finished when the run is stopped
        assert self.run.thread is not None
        self.run.thread.gr_context = context

    def _body(self, thread: MicroThread) -> None:
        self.workers.work(self, thread)

    def _end(self, failure: BaseException | None) -> None:
        self.workers.ended_with(self, failure)

    def may_go_on(self) -> bool:
        return self in self.workers.late  # the reader may have been in a hurry

    def end(self) -> None:
        self._closing = True
        self.workers.late[self] = 0
        self._driven.cancel(NoLongerRead(self.run.stage))


class MicroThreads(Workers):
    """Micro-threads, for a function that may wait. Each has a copy of the run's context variables."""

    def __init__(self, calls: Calls) -> None:
        super().__init__(calls)
        self.every: dict[_Lane, None] = {}
        self.idle: dict[_Lane, None] = {}
        self.late: dict[_Lane, int] = {}  # those that were told and have not come yet

    def wake(self) -> bool:
        if self.idle:
            lane, _ = self.idle.popitem()
        elif self.alive < self.calls.how.concurrency:
            self.alive += 1
            lane = _Lane(self, self.calls.stage, self.run.context.copy())
            self.every[lane] = None
        else:
            return False
        self.waking += 1
        self.late[lane] = 1
        lane.start()
        if self.goes_on:
            lane.go_on()
        return True

    def hurry(self, strand: Strand) -> bool:
        return any(lane.hurry(strand) for lane in [*self.late])

    def cancel(self, after: int) -> None:
        for lane in [*self.every]:
            if lane.job is not None and lane.job.index > after:
                lane.end()

    def end(self) -> None:
        for lane in [*self.every]:
            lane.end()

    def ended_with(self, lane: _Lane, failure: BaseException | None) -> None:
        del self.every[lane]
        self.waking -= self.late.pop(lane, 0)
        self.idle.pop(lane, None)
        self.over(failure)

    def work(self, lane: _Lane, thread: MicroThread) -> None:
        calls, run = self.calls, thread.owner
        ready, clock = calls.ready, thread.loop.clock
        f = calls.how.f if calls.how.retry is None else partial(self._retried, thread)
        with Scope(thread):  # for what a call opens and does not end
            while True:
                self.waking -= self.late.pop(lane, 0)
                self.idle.pop(lane, None)  # it may have come without being told
                while ready:
                    job = ready.popleft()
                    if ready and not self.checking:
                        self.look_later()
                    calls.in_flight += 1
                    calls.begun += 1
                    job.state = BEGUN
                    lane.job = job
                    try:
                        value = f(job.row)
                        if type(value) is Coroutine:
                            value = thread.pause(value)
                    except BaseException as error:
                        lane.job = None
                        if thread.cancelled is not None or isinstance(error, (GeneratorExit, GreenletExit)):
                            calls.called_off(job)
                            raise
                        calls.failed(job, error)
                        if not isinstance(error, Exception):
                            return
                    else:
                        lane.job = None
                        calls.done(job, value)
                    if thread.cancelled is not None:
                        raise thread.cancelled
                    if clock() >= run.deadline:
                        thread.pause(TURN)
                self.idle[lane] = None
                lane.rest(thread)

    def _retried(self, thread: MicroThread, row: Any) -> Any:
        f, policy = self.calls.how.f, self.calls.how.retry
        assert policy is not None
        attempt = 1
        while True:
            try:
                value = f(row)
                return thread.pause(value) if type(value) is Coroutine else value
            except Exception as error:
                delay = policy.delay_after(attempt, error)
                if delay is None:
                    raise
            attempt += 1
            if delay:
                thread.pause(Cooperate(delay))
