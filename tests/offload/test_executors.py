"""Concurrent calls in threads and processes: `map(f, on=...)`.

CONTRACT 3, 11, 12, 14-16, 20, 21, 26.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextvars import ContextVar
from multiprocessing import get_context
from typing import Any

import pytest
import trio

import flow
from flow.testing import Tracked, nothing_left, virtual_time

WAIT = 20


class Gate:
    """Calls that end when they are told to, in whatever thread; `begun` has those that have begun."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.threads: set[int] = set()
        self._gates: dict[int, threading.Event] = {}
        self._changed = threading.Condition()

    def __call__(self, row: int) -> int:
        gate = self.gate(row)
        with self._changed:
            self.begun.append(row)
            self.threads.add(threading.get_ident())
            self._changed.notify_all()
        assert gate.wait(WAIT)
        return -row

    def gate(self, row: int) -> threading.Event:
        with self._changed:
            return self._gates.setdefault(row, threading.Event())

    def open(self, *rows: int) -> None:
        for row in rows:
            self.gate(row).set()

    def wait_for(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.begun) >= count, WAIT)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as executor:
        yield executor


@pytest.fixture(scope="module")
def _tracker() -> None:
    """What multiprocessing starts with the first process of a program, and keeps until its end."""
    from multiprocessing.resource_tracker import ensure_running

    ensure_running()


def negative(row: int) -> int:
    return -row


def fails_at_3(row: int) -> int:
    if row == 3:
        raise OSError("3 fails")
    return -row


async def read(stage: flow.Stage[Any]) -> list[Any]:
    return [row async for row in stage]


def on_script(stage: flow.Stage[Any]) -> list[Any]:
    return list(stage)


def on_asyncio(stage: flow.Stage[Any]) -> list[Any]:
    return asyncio.run(read(stage))


def on_trio(stage: flow.Stage[Any]) -> list[Any]:
    return trio.run(read, stage)


everywhere = pytest.mark.parametrize("run", [on_script, on_asyncio, on_trio])
Run = Callable[[flow.Stage[Any]], list[Any]]


# ------------------------------------------------------------------------------------------------------------------
# Rows


@everywhere
@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("own", [True, False])
def test_rows_through_threads(run: Run, ordered: bool, own: bool, pool: ThreadPoolExecutor) -> None:
    """CONTRACT 1, 2, 12: every row once, in order where that is asked for, on every loop."""
    on: Any = "threads" if own else pool
    rows = run(flow.wrap(range(300)).map(negative, concurrency=4, on=on, ordered=ordered))
    assert (rows if ordered else sorted(rows, reverse=True)) == [-row for row in range(300)]
    nothing_left()


@pytest.mark.usefixtures("_tracker")
@pytest.mark.blocking_ok  # the executor starts its processes in submit(), and that blocks
def test_rows_through_processes() -> None:
    """CONTRACT 2: f goes to other processes, and so do rows and results; it may be a function of several rows."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        stage = flow.wrap(range(20)).map(negative, concurrency=4, on=executor)
        assert on_asyncio(stage) == [-row for row in range(20)]
        assert list(flow.Map(max, [1, 5], [4, 2], concurrency=2, on=executor)) == [4, 5]
        assert list(flow.wrap([1]).map(_process, on=executor)) != [os.getpid()]
        with pytest.raises(OSError, match="3 fails"):
            on_asyncio(flow.wrap(range(10)).map(fails_at_3, concurrency=2, on=executor))


def _process(row: int) -> int:
    return os.getpid()


def test_the_executor_of_a_user_stays_open(pool: ThreadPoolExecutor) -> None:
    """CONTRACT 14: it is theirs: it serves the next run, and others beside it."""
    stage = flow.wrap([1, 2]).map(negative, on=pool)
    assert list(stage) == list(stage) == [-1, -2]
    assert pool.submit(negative, 3).result(WAIT) == -3


def test_threads_of_its_own() -> None:
    """CONTRACT 14: as many as the concurrency at most, not the loop's; they have ended when control returns."""
    threads: set[threading.Thread] = set()

    def noted(row: int) -> int:
        threads.add(threading.current_thread())
        time.sleep(0.001)
        return row

    assert list(flow.wrap(range(50)).map(noted, concurrency=3, on="threads")) == list(range(50))
    assert 1 <= len(threads) <= 3
    assert all(thread.name.startswith("flow ") for thread in threads)
    assert not any(thread.is_alive() for thread in threads)
    assert threading.current_thread() not in threads


# ------------------------------------------------------------------------------------------------------------------
# Bounds


@pytest.mark.parametrize("way", ["async", "script"])
def test_what_is_outstanding(way: str) -> None:
    """CONTRACT 20, 21: at most `concurrency` calls are submitted, however many the executor could take; and behind a
    slow head new ones begin, up to `ahead` rows."""
    gate = Gate()
    source = Tracked(range(100))
    with ThreadPoolExecutor(20) as executor:
        stage = flow.wrap(source).map(gate, concurrency=3, ahead=6, on=executor)

        def steps() -> None:
            gate.wait_for(3)
            assert sorted(gate.begun) == [0, 1, 2]
            gate.open(1, 2)
            gate.wait_for(5)
            gate.open(3, 4)
            gate.wait_for(6)
            time.sleep(0.05)
            assert sorted(gate.begun) == [0, 1, 2, 3, 4, 5]
            assert source.asked == 6
            gate.open(*range(100))

        told = ThreadPoolExecutor(1)
        with told:
            done = told.submit(steps)
            rows = list(stage[:10]) if way == "script" else asyncio.run(read(stage[:10]))
            done.result(WAIT)
    assert rows == [-row for row in range(10)]


def test_calls_go_on_while_a_script_is_busy() -> None:
    """CONTRACT 4: threads work while the body of a script's loop does; what they have done is seen at the next row, and
    they are given more."""
    gate = Gate()
    gate.open(*range(100))
    with ThreadPoolExecutor(2) as executor:
        with flow.wrap(range(100)).map(gate, concurrency=2, ahead=4, on=executor).open() as rows:
            for number in range(1, 8):
                assert next(rows) == -(number - 1)
                gate.wait_for(number)
                deadline = time.monotonic() + WAIT
                while len(gate.begun) < number + 2 and time.monotonic() < deadline:
                    time.sleep(0.001)
                assert len(gate.begun) >= number + 2


def test_calls_go_on_while_the_reader_is_busy() -> None:
    """CONTRACT 4: and in a coroutine, while the reader awaits something else."""
    gate = Gate()
    gate.open(*range(100))

    async def main() -> None:
        with ThreadPoolExecutor(2) as executor:
            async with flow.wrap(range(100)).map(gate, concurrency=2, ahead=6, on=executor).open() as rows:
                assert await anext(rows) == 0
                for _ in range(1000):
                    if len(gate.begun) == 7:
                        break
                    await asyncio.sleep(0.001)
                await asyncio.sleep(0.01)
                assert sorted(gate.begun) == list(range(7))

    asyncio.run(main())


def test_keys_in_threads(pool: ThreadPoolExecutor) -> None:
    """CONTRACT 1: rows of one key never run beside each other, and in order."""
    order: list[int] = []
    busy: set[int] = set()
    lock = threading.Lock()

    def call(row: int) -> int:
        with lock:
            assert row % 3 not in busy
            busy.add(row % 3)
            order.append(row)
        time.sleep(0.001)
        with lock:
            busy.remove(row % 3)
        return row

    stage = flow.wrap(range(60)).map(call, concurrency=4, ahead=12, on=pool, key=lambda row: row % 3, ordered=False)
    assert sorted(on_asyncio(stage)) == list(range(60))
    for key in range(3):
        own = [row for row in order if row % 3 == key]
        assert own == sorted(own)


# ------------------------------------------------------------------------------------------------------------------
# Ends


@everywhere
@pytest.mark.parametrize("own", [True, False])
def test_a_failure(run: Run, own: bool, pool: ThreadPoolExecutor) -> None:
    """CONTRACT 3, 16, 17: rows before it come first; calls that run are waited for; it is that very error."""
    got: list[int] = []
    running: list[int] = []

    def call(row: int) -> int:
        running.append(row)
        time.sleep(0.005)
        running.remove(row)
        return fails_at_3(row)

    def noted(rows: Iterator[int]) -> Iterator[int]:
        for row in rows:
            got.append(row)
            yield row

    source = Tracked(range(100))
    on: Any = "threads" if own else pool
    with pytest.raises(OSError, match="3 fails"):
        run(flow.wrap(source).map(call, concurrency=4, on=on) | noted)
    assert got == [0, -1, -2]
    assert not running
    nothing_left(source)


def test_a_close_waits_for_calls_that_run(pool: ThreadPoolExecutor) -> None:
    """CONTRACT 14, 26: a call in a thread can't be interrupted, and is waited for; those that were submitted and have
    not begun are cancelled; what is dropped is counted."""
    gate = Gate()
    gate.open(0)
    dropped: list[int] = []

    async def main() -> None:
        with ThreadPoolExecutor(2) as executor:
            stage = flow.wrap(range(100)).map(gate, concurrency=4, ahead=6, on=executor)
            async with stage.open(on_dropped=dropped.extend) as rows:
                assert await anext(rows) == 0
                await asyncio.to_thread(gate.wait_for, 3)
                asyncio.get_running_loop().call_later(0.01, gate.open, 1, 2)
            assert sorted(gate.begun) == [0, 1, 2]

    asyncio.run(main())
    assert dropped[:2] == [-1, -2]
    nothing_left()


def test_a_cancel_waits_for_calls_that_run() -> None:
    """CONTRACT 15: the cancel is raised when the thread has ended."""
    gate = Gate()

    async def main() -> None:
        task = asyncio.create_task(read(flow.wrap(range(100)).map(gate, concurrency=2, on="threads")))
        await asyncio.sleep(0)
        await asyncio.to_thread(gate.wait_for, 2)
        task.cancel()
        await asyncio.sleep(0.02)
        assert not task.done()
        gate.open(0, 1)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert sorted(gate.begun) == [0, 1]

    asyncio.run(main())
    nothing_left()


def test_a_break_in_a_script() -> None:
    """CONTRACT 14: leaving a script's loop ends the threads."""
    for row in flow.wrap(range(1000)).map(negative, concurrency=3, on="threads"):
        if row == -5:
            break
    nothing_left()


def test_an_executor_that_was_shut_down() -> None:
    """CONTRACT 16: what submit() raises is the failure of that row; nothing hangs."""
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    for options in ({}, {"ordered": False}, {"on_error": "finish"}):
        with pytest.raises(RuntimeError, match="shutdown"):
            list(flow.wrap(range(100)).map(negative, concurrency=2, on=executor, **options))


@pytest.mark.usefixtures("_tracker")
@pytest.mark.blocking_ok
def test_a_process_that_dies() -> None:
    """CONTRACT 16, 27: a worker that dies is a failure, and no hang."""
    from concurrent.futures.process import BrokenProcessPool

    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        with pytest.raises(BrokenProcessPool):
            on_asyncio(flow.wrap([1, 2]).map(os._exit, concurrency=2, on=executor))


def test_a_function_that_returns_a_coroutine(pool: ThreadPoolExecutor) -> None:
    """CONTRACT 22: nobody could await it there: an error that says so, and no warning of a coroutine."""

    async def call(row: int) -> int:
        return row

    with pytest.raises(TypeError, match=r"map\(on\).*coroutine"):
        on_asyncio(flow.wrap([1, 2]).map(lambda row: call(row), concurrency=2, on=pool))


# ------------------------------------------------------------------------------------------------------------------
# One row


def test_a_row_is_tried_again(pool: ThreadPoolExecutor) -> None:
    """Attempts in all, the wait between them on the loop's clock; the slot stays taken meanwhile."""
    attempts: list[int] = []

    def call(row: int) -> int:
        attempts.append(row)
        if row == 1 and attempts.count(1) < 3:
            raise OSError("again")
        return -row

    with virtual_time() as clock:
        stage = flow.wrap([1, 2, 3]).map(call, concurrency=2, on=pool, retry=flow.Retry(3, backoff=60))
        assert clock.run(read(stage)) == [-1, -2, -3]
        assert clock.time() == 120
    assert sorted(attempts) == [1, 1, 1, 2, 3]


def test_a_row_that_waits_for_its_next_attempt_is_called_off(pool: ThreadPoolExecutor) -> None:
    """CONTRACT 14, 15: its timer ends with the run."""

    def call(row: int) -> int:
        raise OSError("again")

    async def main() -> None:
        async with asyncio.timeout(30):
            await flow.wrap([1, 2, 3]).map(call, concurrency=2, on=pool, retry=flow.Retry(3, backoff=60))

    with virtual_time() as clock:
        with pytest.raises(TimeoutError):
            clock.run(main())
        assert clock.time() == 30


def test_rows_that_fail_are_diverted(pool: ThreadPoolExecutor) -> None:
    """The function is called on the reader's side, not in the thread."""
    diverted: list[tuple[int, int]] = []
    stage = flow.wrap(range(6)).map(
        fails_at_3,
        concurrency=2,
        on=pool,
        on_row_error=lambda row, error: diverted.append((row, threading.get_ident())),
    )
    assert on_asyncio(stage) == [0, -1, -2, -4, -5]
    assert diverted == [(3, threading.get_ident())]


var: ContextVar[str] = ContextVar("var", default="nobody")


def test_context_variables() -> None:
    """Threads of flow's own see those of the run."""
    var.set("reader")
    assert list(flow.wrap([1, 2]).map(lambda row: var.get(), concurrency=2, on="threads")) == ["reader", "reader"]


class Inline(Executor):
    """Calls f in submit()."""

    def submit(self, f: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(f(*args, **options))
        except BaseException as error:
            future.set_exception(error)
        return future


@everywhere
def test_an_executor_that_is_ready_at_once(run: Run) -> None:
    """CONTRACT 13: any concurrent.futures.Executor will do; one that calls f in submit() does not grow the stack."""
    assert run(flow.wrap(range(5000)).map(negative, concurrency=2, on=Inline())) == [-row for row in range(5000)]
