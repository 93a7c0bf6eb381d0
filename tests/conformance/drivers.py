"""One driver a loop: each runs a case and returns its log.

The reading itself is written once (`read`): asyncio, trio and Twisted run the very same coroutine. A driver only
brings the loop, a clock, something to await, and the loop's own way to cancel.
"""

from __future__ import annotations

import asyncio
import queue
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import trio
import trio.testing
from twisted.internet import defer, task

import flow
from flow.testing import virtual_time
from flow.testing.clock import Steps

from .cases import Case
from .env import Env, described, is_cancel, short

Log = list[list[Any]]
READER = ("row", "block", "end", "error", "left")
REAL_UNIT = 0.02
"""Seconds that a unit lasts where time is real."""


# --------------------------------------------------------------------------------------------------------------------
# Reading


class BodyError(Exception):
    """What the body of the reader's loop raises."""


def _note_error(env: Env, error: BaseException) -> None:
    env.note("error", short(error), described(error))


async def read(env: Env, case: Case, way: str = "rows") -> None:
    """Reads a case as it says, on any loop; `way` may choose another way for the cases that read all rows."""
    stage = case.make(env)
    how, count = case.how, case.count
    if how in ("all", "cancel") and way != "rows":
        how = way
    try:
        if how in ("all", "cancel"):
            async for row in stage:
                env.note("row", repr(row))
        elif how == "slow":
            async with stage.open() as rows:
                async for row in rows:
                    env.note("row", repr(row))
                    await env.pause(1)
        elif how == "break":
            left = count
            async for row in stage:
                env.note("row", repr(row))
                left -= 1
                if not left:
                    break
            if not case.after:
                env.note("left")
            return
        elif how == "open":
            async with stage.open() as rows:
                for _ in range(count):
                    env.note("row", repr(await anext(rows)))
            env.note("left")
            return
        elif how in ("handle", "drain"):
            async with stage.open() as rows:
                env.run = rows
                for _ in range(count):
                    env.note("row", repr(await anext(rows)))
                if how == "drain":
                    env.note("receipt", repr(await rows.drain(env.unit, take=lambda row: env.note("row", repr(row)))))
                async for row in rows:
                    env.note("row", repr(row))
        elif how == "body":
            async with stage.open() as rows:
                for _ in range(count):
                    env.note("row", repr(await anext(rows)))
                raise BodyError("the body fails")
        elif how == "list":
            for row in await stage:
                env.note("row", repr(row))
        elif how == "blocks":
            async for block in stage.blocks():
                if case.how == "blocks":
                    env.note("block", repr(block))
                for row in block:
                    env.note("row", repr(row))
        elif how == "Deferred":
            for row in await flow.Deferred(stage):
                env.note("row", repr(row))
        else:
            raise AssertionError(how)
    except BaseException as error:
        _note_error(env, error)
        if not isinstance(error, Exception) or is_cancel(error):
            raise
    else:
        env.note("end")


async def settle(env: Env, case: Case) -> None:
    """After the reading: waits for what goes on by itself, in virtual time, and for threads that are being closed."""
    await env.pause(case.after)
    for _ in range(2000):
        if not any(thread.name.startswith("flow ") for thread in threading.enumerate()):
            break
        time.sleep(0.001)
        await env.pause(0)
    for _ in range(3):  # what the thread called on the loop, and what follows
        await env.pause(0)


def read_in_script(env: Env, case: Case, way: str) -> None:
    """The same in a script."""
    stage = case.make(env)
    how, count = case.how, case.count
    if how == "all" and way != "rows":
        how = way
    try:
        if how == "all":
            for row in stage:
                env.note("row", repr(row))
        elif how == "break":
            left = count
            for row in stage:
                env.note("row", repr(row))
                left -= 1
                if not left:
                    break
            if not case.after:
                env.note("left")
            return
        elif how == "open":
            with stage.open() as rows:
                for _ in range(count):
                    env.note("row", repr(next(rows)))
            env.note("left")
            return
        elif how in ("handle", "drain"):
            with stage.open() as rows:
                env.run = rows
                for _ in range(count):
                    env.note("row", repr(next(rows)))
                if how == "drain":
                    env.note("receipt", repr(rows.drain(env.unit, lambda row: env.note("row", repr(row)))))
                for row in rows:
                    env.note("row", repr(row))
        elif how == "body":
            with stage.open() as rows:
                for _ in range(count):
                    env.note("row", repr(next(rows)))
                raise BodyError("the body fails")
        elif how == "blocks":
            for block in stage.blocks():
                if case.how == "blocks":
                    env.note("block", repr(block))
                for row in block:
                    env.note("row", repr(row))
        else:
            raise AssertionError(how)
    except Exception as error:
        _note_error(env, error)
    else:
        env.note("end")


# --------------------------------------------------------------------------------------------------------------------
# Script and asyncio


async def _asyncio_pause(seconds: float) -> None:
    await asyncio.sleep(seconds)


def run_script(case: Case, way: str = "rows") -> Log:
    with virtual_time() as clock:
        env = Env(1.0, clock.time, _asyncio_pause)
        read_in_script(env, case, way)
        return env.finish()


async def _asyncio_scene(case: Case, unit: float, way: str) -> Log:
    loop = asyncio.get_running_loop()
    before = asyncio.all_tasks()
    env = Env(unit, loop.time, _asyncio_pause)
    reading = asyncio.create_task(read(env, case, way))
    if case.cancelled_at is not None:
        await asyncio.sleep(case.cancelled_at * unit)
        reading.cancel()
    await asyncio.wait([reading])
    if case.cancelled_at is not None:
        env.note("the loop says", "cancelled" if reading.cancelled() else "not cancelled")
    if not reading.cancelled():
        await reading  # what is no part of the case is raised
    await settle(env, case)
    for name in sorted(each.get_name() for each in asyncio.all_tasks() - before):
        env.note("left behind", "a task", name)
    for timer in getattr(loop, "_scheduled", ()):
        if not timer.cancelled():
            env.note("left behind", repr(timer))
    return env.finish()


def run_virtual(case: Case, way: str = "rows", *, debug: bool = False, eager: bool = False) -> Log:
    with virtual_time() as clock:

        def factory() -> asyncio.AbstractEventLoop:
            loop = clock.loop()
            if eager:
                loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined, unused-ignore]
            return loop

        with asyncio.Runner(loop_factory=factory, debug=debug) as runner:
            return runner.run(_asyncio_scene(case, 1.0, way))


def _in_real_time(new_loop: Callable[[], Any], case: Case, way: str, unit: float) -> Log:
    def factory() -> Any:
        loop = new_loop()
        loop.slice_clock = Steps()  # a busy machine ends no slice
        return loop

    with asyncio.Runner(loop_factory=factory) as runner:
        return untimed(runner.run(_asyncio_scene(case, unit, way)))


def run_asyncio(case: Case, way: str = "rows", *, unit: float = REAL_UNIT) -> Log:
    return _in_real_time(asyncio.new_event_loop, case, way, unit)


def run_uvloop(case: Case, way: str = "rows", *, unit: float = REAL_UNIT) -> Log:
    import uvloop

    return _in_real_time(uvloop.new_event_loop, case, way, unit)


# --------------------------------------------------------------------------------------------------------------------
# trio


async def _trio_pause(seconds: float) -> None:
    await trio.sleep(seconds)


def run_trio(case: Case, way: str = "rows") -> Log:
    clock: Any = trio.testing.MockClock(autojump_threshold=0.05 if "thread" in case.name else 0)
    clock.slice_clock = Steps()

    async def scene() -> Log:
        env = Env(1.0, clock.current_time, _trio_pause)
        scope = trio.CancelScope()

        async def work() -> None:
            with scope:
                await read(env, case, way)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(work)
            if case.cancelled_at is not None:
                await trio.sleep(case.cancelled_at)
                scope.cancel()
        if case.cancelled_at is not None:
            env.note("the loop says", "cancelled" if scope.cancelled_caught else "not cancelled")
        await settle(env, case)
        return env.finish()

    return trio.run(scene, clock=clock)


# --------------------------------------------------------------------------------------------------------------------
# Twisted


def twisted_scene(reactor: Any, case: Case, way: str, unit: float = 1.0) -> defer.Deferred[Log]:
    """Runs a case on a reactor that runs; fires with the log. Nothing of the case may be left on the reactor."""
    env = Env(unit, reactor.seconds, lambda seconds: task.deferLater(reactor, seconds))
    before = {id(call) for call in reactor.getDelayedCalls()}
    reading = defer.Deferred.fromCoroutine(read(env, case, way))
    canceller = None
    if case.cancelled_at is not None:
        canceller = task.deferLater(reactor, case.cancelled_at * unit, reading.cancel)

    async def scene() -> Log:
        said = "not cancelled"
        try:
            await reading
        except defer.CancelledError:
            said = "cancelled"
        if canceller is not None:
            await canceller
            env.note("the loop says", said)
        await settle(env, case)
        for call in reactor.getDelayedCalls():
            if id(call) not in before and call.getTime() > reactor.seconds():
                env.note("left behind", str(call))
        return env.finish()

    return defer.Deferred.fromCoroutine(scene())


def threads_work() -> bool:
    """Is a thread of a case alive? Then it gets some real time before virtual time jumps."""
    return any(thread.name.startswith(("flow ", "case")) for thread in threading.enumerate())


class ClockReactor(task.Clock):
    """Twisted's own deterministic clock, with the little that flow asks of a reactor besides: threads may call it."""

    running = True

    def __init__(self) -> None:
        super().__init__()
        self.slice_clock = Steps()
        self._calls_from_threads: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()

    def callFromThread(self, f: Callable[..., object], *args: Any, **kwargs: Any) -> None:
        self._calls_from_threads.put(lambda: f(*args, **kwargs))

    def run_until(self, deferred: defer.Deferred[Any]) -> Any:
        """Turns until the Deferred has fired: calls that are due first, then time jumps to the next one."""
        found: list[Any] = []
        deferred.addBoth(found.append)
        while not found:
            try:
                self._calls_from_threads.get_nowait()()
                continue
            except queue.Empty:
                pass
            if self.calls:
                self._sortCalls()
                if self.calls[0].getTime() > self.seconds() and threads_work():
                    try:
                        self._calls_from_threads.get(timeout=0.05)()
                        continue
                    except queue.Empty:
                        pass
                call = self.calls.pop(0)  # one at a time: `advance` would let threads wait while calls are due
                self.rightNow = max(self.rightNow, call.getTime())
                call.called = 1
                call.func(*call.args, **call.kw)
            else:
                try:
                    self._calls_from_threads.get(timeout=10 if threads_work() else 0.1)()
                except queue.Empty:
                    raise RuntimeError("deadlock: everything waits, and no thread calls") from None
        if hasattr(found[0], "raiseException"):
            found[0].raiseException()
        return found[0]


@contextmanager
def installed(reactor: Any) -> Generator[None]:
    """Makes `reactor` the global one for a while, as installing it does."""
    import twisted.internet
    from twisted.python import threadable

    missing = object()
    before = sys.modules.get("twisted.internet.reactor", missing)
    thread = threadable.ioThread
    threadable.registerAsIOThread()
    sys.modules["twisted.internet.reactor"] = reactor
    twisted.internet.reactor = reactor  # type: ignore[attr-defined, unused-ignore]
    try:
        yield
    finally:
        threadable.ioThread = thread
        if before is missing:
            del sys.modules["twisted.internet.reactor"]
            del twisted.internet.reactor  # type: ignore[attr-defined, unused-ignore]
        else:
            sys.modules["twisted.internet.reactor"] = before  # type: ignore[assignment]
            twisted.internet.reactor = before  # type: ignore[attr-defined, unused-ignore]


def run_clock(case: Case, way: str = "rows") -> Log:
    reactor = ClockReactor()
    with installed(reactor):
        log: Log = reactor.run_until(twisted_scene(reactor, case, way))
        return log


# --------------------------------------------------------------------------------------------------------------------
# What is compared


def untimed(log: Log) -> Log:
    """The log without its times: for real clocks."""
    return [[None, *entry[1:]] for entry in log]


def of_makers(log: Log) -> Log:
    """What sources and stages told; a reading of another kind sees it in the same order, at the same times."""
    return [entry for entry in log if entry[1] not in READER]


def summary(log: Log) -> str:
    """The rows, and how it ended: ``1, 2 | end``."""
    rows = [entry[2] for entry in log if entry[1] == "row"]
    return f"{', '.join(rows)} | {ending(log)}"


def ending(log: Log) -> str:
    ends = [entry[2] if entry[1] == "error" else entry[1] for entry in log if entry[1] in ("end", "error", "left")]
    return " then ".join(ends)
