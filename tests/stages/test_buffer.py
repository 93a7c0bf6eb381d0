"""Callback: rows that somebody pushes, held up to a limit, from one thread or from many.

CONTRACT 2, 3, 4, 6, 7, 13, 14-16, 20, 21, 22, 25.
"""

# ruff: noqa: PT011  # errors without a text: the very instance is compared
from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trio
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import flow
from flow.testing import Deadlock, nothing_left, torture, virtual_time

WAIT = 20


# ------------------------------------------------------------------------------------------------------------------
# Rows, then one end


def test_rows_then_the_end() -> None:
    """CONTRACT 1, 2, 3: what was pushed before the reading is read, in order, each once, and finish() ends it."""
    rows: flow.Callback[int] = flow.Callback()
    rows.result(1)
    rows(2)
    assert rows.offer(3)
    rows.finish()
    assert list(rows) == [1, 2, 3]


def test_rows_then_the_failure() -> None:
    """CONTRACT 3, 17: errback() ends it with that very exception, after all rows."""
    rows: flow.Callback[int] = flow.Callback()
    error = OSError("gone")
    rows.result(1)
    rows.result(2)
    rows.errback(error)
    got = []
    with pytest.raises(OSError) as raised:
        for row in rows:
            got.append(row)
    assert got == [1, 2]
    assert raised.value is error


def test_a_twisted_failure_is_its_exception() -> None:
    """CONTRACT 17: errback() takes a Failure, as callbacks of Twisted hand it over."""
    from twisted.python.failure import Failure

    rows: flow.Callback[int] = flow.Callback()
    error = OSError("gone")
    rows.errback(Failure(error))
    with pytest.raises(OSError) as raised:
        list(rows)
    assert raised.value is error


def test_rows_of_any_value() -> None:
    """CONTRACT 6: None, exceptions and instructions are rows: what is pushed is data."""
    values = [None, OSError(), StopIteration(), [], flow.Cooperate(5), flow.wrap([1])]
    rows: flow.Callback[Any] = flow.Callback()
    for value in values:
        rows.result(value)
    rows.finish()
    assert list(rows) == values


def test_rows_pushed_while_it_is_read() -> None:
    """CONTRACT 5, 8: a row is delivered when it is pushed, at that time, and the reader waits for nothing else."""
    rows: flow.Callback[str] = flow.Callback()
    got: list[tuple[str, float]] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for seconds, what in ((1, "a"), (1, "b"), (2.5, "c")):
            loop.call_later(seconds, rows.result, what)
        loop.call_later(4, rows.finish)
        async for row in rows:
            got.append((row, loop.time()))
        assert loop.time() == 4

    with virtual_time() as clock:
        clock.run(main())
    assert got == [("a", 1), ("b", 1), ("c", 2.5)]


def test_a_row_that_nobody_pushes_is_waited_for() -> None:
    """CONTRACT 3: no push and no end: the reader waits; it is not taken for the end."""
    with virtual_time():
        with pytest.raises(Deadlock):
            list(flow.Callback())


# ------------------------------------------------------------------------------------------------------------------
# The limit


@pytest.mark.parametrize("limit", [1, 2, 7, 100])
def test_the_limit_is_exact(limit: int) -> None:
    """CONTRACT 20, 21: `limit` rows fit; then offer() is False and result() raises FullError, and neither adds a
    row."""
    rows: flow.Callback[int] = flow.Callback(limit)
    for number in range(limit):
        assert rows.offer(number)
    assert rows.held == limit
    assert not rows.offer(-1)
    with pytest.raises(flow.FullError, match=str(limit)):
        rows.result(-2)
    with pytest.raises(flow.FullError):
        rows(-3)
    assert rows.held == limit
    rows.finish()
    assert list(rows) == list(range(limit))


def test_room_comes_back_as_rows_are_read() -> None:
    """CONTRACT 21: a full Callback takes rows again when its reader has taken some."""
    rows: flow.Callback[int] = flow.Callback(4)
    for number in range(4):
        rows.result(number)
    with rows.open() as run:
        got = [next(run), next(run), next(run)]
        rows.result(4)
        rows.finish()
        got += run
    assert got == [0, 1, 2, 3, 4]


class Model(RuleBasedStateMachine):
    """A Callback and its reader against a plain list with a bound."""

    def __init__(self) -> None:
        super().__init__()
        self.limit = 3
        self.rows: flow.Callback[int] = flow.Callback(self.limit)
        self.run = self.rows.open()
        self.reader = self.run.__enter__()
        self.pushed: list[int] = []
        self.read: list[int] = []
        self.ended = False

    @rule(value=st.integers())
    def offer(self, value: int) -> None:
        if self.ended:
            with pytest.raises(flow.ClosedError):
                self.rows.offer(value)
            return
        held = self.rows.held
        taken = self.rows.offer(value)
        assert taken is (held < self.limit)
        if taken:
            self.pushed.append(value)

    @precondition(lambda self: len(self.read) < len(self.pushed))
    @rule()
    def take(self) -> None:
        self.read.append(next(self.reader))

    @precondition(lambda self: len(self.read) == len(self.pushed) and not self.ended)
    @rule()
    def end(self) -> None:
        self.rows.finish()
        self.ended = True

    @invariant()
    def rows_are_in_order_and_bounded(self) -> None:
        assert self.read == self.pushed[: len(self.read)]
        assert len(self.pushed) - len(self.read) <= self.rows.held <= self.limit

    def teardown(self) -> None:
        if self.ended:
            assert list(self.reader) == []
        self.run.__exit__(None, None, None)


Model.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestModel = Model.TestCase


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_put_waits_for_room(limit: int) -> None:
    """CONTRACT 21, 20: `await put(row)` waits while it is full: the producer keeps the pace of a slow reader, and no
    more than `limit` rows are held at any time."""
    rows: flow.Callback[int] = flow.Callback(limit)
    worst = 0

    async def produce() -> None:
        nonlocal worst
        for number in range(20):
            await rows.put(number)
            worst = max(worst, rows.held)
        rows.finish()

    async def main() -> list[int]:
        task = asyncio.create_task(produce())
        got = []
        async for row in rows:
            got.append(row)
            await asyncio.sleep(1)
        await task
        return got

    with virtual_time() as clock:
        assert clock.run(main()) == list(range(20))
        assert clock.time() == 20
    assert worst == limit


def test_many_producers_put_side_by_side() -> None:
    """CONTRACT 2, 20: ten tasks that wait for room lose and double nothing, and hold to the limit."""
    rows: flow.Callback[tuple[int, int]] = flow.Callback(3)
    worst = 0

    async def produce(which: int) -> None:
        nonlocal worst
        for number in range(10):
            await rows.put((which, number))
            worst = max(worst, rows.held)

    async def main() -> list[tuple[int, int]]:
        tasks = [asyncio.create_task(produce(which)) for which in range(10)]

        async def end() -> None:
            await asyncio.gather(*tasks)
            rows.finish()

        ending = asyncio.create_task(end())
        got = [row async for row in rows]
        await ending
        return got

    for seed in (None, 1, 2, 3):
        rows = flow.Callback(3)
        with virtual_time(seed) as clock:
            got = clock.run(main())
        assert sorted(got) == [(which, number) for which in range(10) for number in range(10)]
        for which in range(10):
            assert [number for each, number in got if each == which] == list(range(10))
    assert worst <= 3


def test_put_on_trio() -> None:
    """CONTRACT 12, 21: put() waits on trio as well."""
    rows: flow.Callback[int] = flow.Callback(2)

    async def produce() -> None:
        for number in range(10):
            await rows.put(number)
        rows.finish()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(produce)
            assert [row async for row in rows] == list(range(10))

    trio.run(main)


def test_a_cancelled_put_adds_nothing_and_leaves_nothing() -> None:
    """CONTRACT 15, 20, 24: a put() that is given up while it waits adds no row, and a thousand of them against a
    reader that has stopped leave nothing behind."""
    rows: flow.Callback[int] = flow.Callback(1)

    async def main() -> None:
        rows.result(1)
        for number in range(1000):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    await rows.put(number)
        assert rows.held == 1
        assert len(rows._channel._waiting) <= 1
        rows.finish()
        assert await rows == [1]

    with virtual_time() as clock:
        clock.run(main())


# ------------------------------------------------------------------------------------------------------------------
# After the end


def ended() -> flow.Callback[int]:
    rows: flow.Callback[int] = flow.Callback()
    rows.finish()
    return rows


def failed() -> flow.Callback[int]:
    rows: flow.Callback[int] = flow.Callback()
    rows.errback(OSError())
    return rows


def left() -> flow.Callback[int]:
    rows: flow.Callback[int] = flow.Callback()
    rows.result(1)
    rows.result(2)
    with rows.open() as run:
        next(run)
    return rows


@pytest.mark.parametrize("make", [ended, failed, left])
@pytest.mark.parametrize(
    "push",
    [
        lambda rows: rows.result(1),
        lambda rows: rows(1),
        lambda rows: rows.offer(1),
        lambda rows: rows.errback(OSError()),
    ],
)
def test_a_push_after_the_end_is_an_error(make: Callable[[], Any], push: Callable[[Any], Any]) -> None:
    """CONTRACT 3, 2 (fault S13): after finish(), after errback(), and when the reader has gone, a push raises
    ClosedError instead of vanishing."""
    with pytest.raises(flow.ClosedError):
        push(make())


@pytest.mark.parametrize("make", [ended, failed, left])
def test_a_put_after_the_end_is_an_error(make: Callable[[], Any]) -> None:
    """CONTRACT 3: `await put()` and put_blocking() as well."""
    with pytest.raises(flow.ClosedError):
        asyncio.run(make().put(1))


def test_finish_is_idempotent_however_quick_the_reader_was() -> None:
    """CONTRACT 15: finish() after finish() does nothing, before and after the reader has come to the end."""
    rows = ended()
    rows.finish()
    assert list(rows) == []
    rows.finish()


def test_finish_after_a_failure_is_an_error() -> None:
    """CONTRACT 3: one end, the first one; a failure can't be made undone."""
    rows = failed()
    with pytest.raises(flow.ClosedError):
        rows.finish()
    with pytest.raises(OSError):
        list(rows)


def test_a_put_that_waits_is_told_when_the_reader_goes() -> None:
    """CONTRACT 21, 14: a producer that waits for room gets ClosedError when the reader leaves: it does not hang."""
    rows: flow.Callback[int] = flow.Callback(1)

    async def main() -> None:
        rows.result(1)
        first = asyncio.create_task(rows.put(2))
        await asyncio.sleep(1)
        assert not first.done()
        async with rows.open() as run:
            assert await anext(run) == 1
            await first
            second = asyncio.create_task(rows.put(3))
            await asyncio.sleep(1)
            assert not second.done()
        with pytest.raises(flow.ClosedError, match="gone"):
            await second

    with virtual_time() as clock:
        clock.run(main())


def test_rows_that_are_left_are_counted() -> None:
    """CONTRACT 16: what was pushed and not read when the reader leaves is dropped, counted and handed to on_dropped."""
    rows: flow.Callback[int] = flow.Callback()
    for number in range(5):
        rows.result(number)
    dropped: list[int] = []
    with rows.open(on_dropped=dropped.extend) as run:
        assert next(run) == 0
    assert dropped == [1, 2, 3, 4]


def test_it_can_be_read_once() -> None:
    """CONTRACT 7 (fault S10): a second reader raises at once; it takes no row from the first."""
    rows: flow.Callback[int] = flow.Callback()
    rows.result(1)
    rows.result(2)
    with rows.open() as run:
        assert next(run) == 1
        with pytest.raises(flow.AlreadyReadError):
            list(rows)
        assert next(run) == 2


def test_a_stage_that_was_only_made_has_read_nothing() -> None:
    """CONTRACT 4: composing and opening don't read: the first row that is asked for does."""
    rows: flow.Callback[int] = flow.Callback()
    doubled = rows.map(lambda x: 2 * x)
    iter(doubled)
    with doubled.open():
        pass
    rows.result(1)
    rows.finish()
    assert list(doubled) == [2]


# ------------------------------------------------------------------------------------------------------------------
# pause and resume


def test_pause_and_resume_are_called_in_turn() -> None:
    """CONTRACT 21: `pause` when it is full, `resume` when half of the room is free again; never twice the same."""
    calls: list[str] = []
    rows: flow.Callback[int] = flow.Callback(
        4, pause=lambda: calls.append("pause"), resume=lambda: calls.append("resume")
    )
    for number in range(3):
        rows.result(number)
    assert calls == []
    rows.result(3)
    assert calls == ["pause"]
    assert not rows.offer(4)
    assert calls == ["pause"]
    with rows.open() as run:
        assert next(run) == 0
        assert calls == ["pause"]
        while calls == ["pause"]:
            next(run)
        assert calls == ["pause", "resume"]
        assert rows.held <= 2
        while rows.held < 4:
            rows.result(9)
        assert calls == ["pause", "resume", "pause"]


@pytest.mark.parametrize("limit", range(1, 20))
def test_a_paused_producer_is_always_resumed(limit: int) -> None:
    """CONTRACT 21: a producer that pushes until it is paused, and goes on when it is resumed, comes to its end with
    every bound: no resume is forgotten."""
    paused = False
    made = 0

    def push_on() -> None:
        nonlocal made, paused
        paused = False
        while not paused and made < 200:
            made += 1
            rows.result(made)
        if made == 200 and not paused:
            rows.finish()

    def stop() -> None:
        nonlocal paused
        paused = True

    rows: flow.Callback[int] = flow.Callback(limit, pause=stop, resume=push_on)
    push_on()
    with virtual_time():
        assert list(rows) == list(range(1, 201))


def test_a_resume_is_not_lost_between_a_push_and_its_pause() -> None:
    """CONTRACT 21, 25: a thread fills the Callback and is held up there; the reader takes all rows meanwhile; the
    thread goes on and pauses its producer. Somebody must resume it, or both wait for ever."""
    calls: list[str] = []
    resumed = threading.Event()
    rows: flow.Callback[int]

    def resume() -> None:
        calls.append("resume")
        resumed.set()

    taken = threading.Event()

    def pause() -> None:
        calls.append("pause")
        taken.wait(0.2)  # the reader takes all rows, if it can, while the producer is being paused

    rows = flow.Callback(2, threadsafe=True, pause=pause, resume=resume)

    def produce() -> None:
        rows.result(1)
        rows.result(2)
        if resumed.wait(WAIT):
            rows.result(3)
        rows.finish()

    thread = threading.Thread(target=produce)
    thread.start()
    with rows.open() as run:
        assert next(run) == 1
        assert next(run) == 2
        taken.set()
        got = list(run)
    thread.join()
    assert got == [3]
    assert calls.count("resume") >= 1
    assert calls.count("resume") <= calls.count("pause") <= 2


# ------------------------------------------------------------------------------------------------------------------
# Threads


def in_thread(f: Callable[[], Any]) -> BaseException | None:
    """Runs f in another thread; what it raised."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            f()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(WAIT)
    assert not thread.is_alive()
    return raised[0] if raised else None


@pytest.mark.parametrize(
    "push",
    [
        lambda rows: rows.result(1),
        lambda rows: rows(1),
        lambda rows: rows.offer(1),
        lambda rows: rows.finish(),
        lambda rows: rows.errback(OSError()),
        lambda rows: asyncio.run(rows.put(1)),
    ],
)
def test_a_push_from_a_wrong_thread_is_an_error(push: Callable[[Any], Any]) -> None:
    """CONTRACT 25: without threadsafe=True another thread gets WrongThreadError, and nothing is pushed."""
    rows: flow.Callback[int] = flow.Callback()
    error = in_thread(lambda: push(rows))
    assert isinstance(error, flow.WrongThreadError)
    assert "threadsafe=True" in str(error)
    assert rows.held == 0
    rows.finish()
    assert list(rows) == []


def test_put_blocking_needs_threadsafe() -> None:
    """CONTRACT 25, 11: the call that blocks a thread is for threads."""
    with pytest.raises(flow.WrongThreadError, match="threadsafe=True"):
        flow.Callback().put_blocking(1)


def test_eight_threads_push_and_nothing_is_lost() -> None:
    """CONTRACT 2, 20, 25: 8 threads push 1,000 rows each and wait for room; all arrive, those of each thread in order,
    and never more than `limit` are held."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        rows: flow.Callback[tuple[int, int]] = flow.Callback(16, threadsafe=True)

        def push(which: int) -> None:
            for number in range(1000):
                rows.put_blocking((which, number))

        threads = [threading.Thread(target=push, args=(which,)) for which in range(8)]

        def end() -> None:
            for thread in threads:
                thread.join()
            rows.finish()

        ending = threading.Thread(target=end)
        for thread in [*threads, ending]:
            thread.start()
        got = list(rows)
        ending.join()
    finally:
        sys.setswitchinterval(before)
    assert len(got) == 8000
    for which in range(8):
        assert [number for each, number in got if each == which] == list(range(1000))
    assert rows._channel.peak <= 16


@pytest.mark.parametrize("push", ["offer", "put_blocking", "result"])
def test_threads_together_hold_to_the_limit(push: str) -> None:
    """CONTRACT 20, 25: eight threads that push at the same moment into room for one: `limit` is not gone over, because
    to look for room and to take it is one step."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(30):
            rows: flow.Callback[int] = flow.Callback(1, threadsafe=True)
            barrier = threading.Barrier(8)

            def go(rows: flow.Callback[int] = rows, barrier: threading.Barrier = barrier) -> None:
                barrier.wait(WAIT)
                try:
                    getattr(rows, push)(1)
                except (flow.FullError, flow.ClosedError):
                    pass

            threads = [threading.Thread(target=go) for _ in range(8)]
            for thread in threads:
                thread.start()
            with rows.open() as run:
                next(run)
                if push == "put_blocking":
                    for _ in range(7):
                        next(run)
                for thread in threads:
                    thread.join()
            assert rows._channel.peak <= 1
    finally:
        sys.setswitchinterval(before)


def test_put_blocking_gives_up_after_its_timeout() -> None:
    """CONTRACT 21, 30: TimeoutError, naming the seconds, and no row is added."""
    rows: flow.Callback[int] = flow.Callback(1, threadsafe=True)
    rows.put_blocking(1)
    with pytest.raises(TimeoutError, match="0.01 s"):
        rows.put_blocking(2, timeout=0.01)
    rows.finish()
    assert list(rows) == [1]


def test_a_thread_that_waits_for_room_is_told_when_the_reader_goes() -> None:
    """CONTRACT 14, 21: put_blocking() raises ClosedError; no thread hangs."""
    rows: flow.Callback[int] = flow.Callback(1, threadsafe=True)
    raised: list[BaseException] = []

    def push() -> None:
        try:
            while True:
                rows.put_blocking(1)
        except flow.ClosedError as error:
            raised.append(error)

    thread = threading.Thread(target=push)
    thread.start()
    with rows.open() as run:
        next(run)
        next(run)
    thread.join(WAIT)
    assert not thread.is_alive()
    assert len(raised) == 1


def test_threads_push_to_a_running_loop() -> None:
    """CONTRACT 25, 2: from threads to an ``async for``; wake-ups go through the loop."""

    async def main() -> list[int]:
        rows: flow.Callback[int] = flow.Callback(10, threadsafe=True)

        def push() -> None:
            for number in range(500):
                rows.put_blocking(number)
            rows.finish()

        thread = threading.Thread(target=push)
        thread.start()
        got = [row async for row in rows]
        await asyncio.to_thread(thread.join)
        return got

    assert asyncio.run(main()) == list(range(500))


# ------------------------------------------------------------------------------------------------------------------
# Re-entrancy


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_pushing_from_inside_the_consumer(limit: int) -> None:
    """CONTRACT 13 (fault S12): a stage that pushes into the Callback it reads works: the row is queued."""
    rows: flow.Callback[int] = flow.Callback(limit)

    def count_down(numbers: Iterator[int]) -> Iterator[int]:
        for number in numbers:
            yield number
            if number:
                rows.result(number - 1)
            else:
                rows.finish()

    rows.result(5)
    assert list(rows | count_down) == [5, 4, 3, 2, 1, 0]


def test_pushing_from_the_body_of_async_for() -> None:
    """CONTRACT 13: and so does the body of the loop that reads it."""

    async def main() -> list[int]:
        rows: flow.Callback[int] = flow.Callback()
        rows.result(3)
        got = []
        async for row in rows:
            got.append(row)
            if row:
                rows.result(row - 1)
            else:
                rows.finish()
        return got

    assert asyncio.run(main()) == [3, 2, 1, 0]


def test_a_resume_hook_that_pushes() -> None:
    """CONTRACT 13: `resume` is called while the run goes on, and may push, and end the Callback."""
    left = [3, 4, 5]

    def push_one() -> None:
        if left:
            rows.result(left.pop(0))
            if not left:
                rows.finish()

    rows: flow.Callback[int] = flow.Callback(2, resume=push_one)
    rows.result(1)
    rows.result(2)
    assert list(rows) == [1, 2, 3, 4, 5]


def test_a_resume_hook_that_fails_is_an_error_at_the_reader() -> None:
    """CONTRACT 16, 2: the error of a hook is not lost; the row in hand is delivered, or counted."""
    rows: flow.Callback[int] = flow.Callback(2, resume=lambda: 1 // 0)
    rows.result(1)
    rows.result(2)
    dropped: list[int] = []
    got: list[int] = []
    with pytest.raises(ZeroDivisionError):
        with rows.open(on_dropped=dropped.extend) as run:
            for row in run:
                got.append(row)
    assert [*got, *dropped] == [1, 2]


# ------------------------------------------------------------------------------------------------------------------
# Arguments and closing


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"limit": 0}, ValueError, "limit"),
        ({"limit": -1}, ValueError, "limit"),
        ({"limit": 1.0}, TypeError, "limit"),
        ({"limit": None}, TypeError, "limit"),
        ({"limit": float("nan")}, TypeError, "limit"),
        ({"limit": True}, TypeError, "limit"),
        ({"pause": 1}, TypeError, "pause"),
        ({"resume": "x"}, TypeError, "resume"),
    ],
)
def test_wrong_arguments_fail_when_built(arguments: dict[str, Any], error: type[Exception], words: str) -> None:
    """CONTRACT 22: from the line that wrote it, naming the argument."""
    with pytest.raises(error, match=words):
        flow.Callback(**arguments)


@pytest.mark.parametrize("error", [3, "gone", None, OSError])
def test_errback_takes_exceptions_only(error: Any) -> None:
    """CONTRACT 22: what is no exception is a TypeError, and the Callback goes on."""
    rows: flow.Callback[int] = flow.Callback()
    with pytest.raises(TypeError, match="errback"):
        rows.errback(error)
    rows.result(1)
    rows.finish()
    assert list(rows) == [1]


def test_torture() -> None:
    """CONTRACT 14-16: ended at each wait and after each row, in every way, with rows that come from timers and a
    producer that waits for room."""

    def make() -> flow.Stage[int]:
        rows: flow.Callback[int] = flow.Callback(2)

        async def produce() -> None:
            try:
                for number in range(6):
                    await asyncio.sleep(number % 2)
                    await rows.put(number)
                rows.finish()
            except flow.ClosedError:
                pass

        def started(numbers: Iterator[int]) -> Iterator[int]:
            task = asyncio.get_running_loop().create_task(produce())
            try:
                for number in numbers:
                    flow.sleep(0.5)
                    yield number
            finally:
                task.cancel()

        return rows | started

    report = torture(make, seeds=(None, 1, 2))
    assert report.rows == [0, 1, 2, 3, 4, 5]


def test_a_reader_that_is_dropped_closes_it() -> None:
    """CONTRACT 14: an abandoned ``for`` closes the Callback: the producer is told at its next push."""
    rows: flow.Callback[int] = flow.Callback()
    rows.result(1)
    rows.result(2)
    for _ in rows:
        break
    gc.collect()
    with pytest.raises(flow.ClosedError, match="gone"):
        rows.result(3)
    nothing_left()


def test_a_reader_that_runs_at_once_resumes_its_producer() -> None:
    """CONTRACT 21: where a push runs the reader there and then (Twisted), the producer is paused before it is resumed.

    In the other order it would be told to go on before it was told to pause, and stay paused for ever.
    """
    task = pytest.importorskip("twisted.internet.task")
    clock = task.Clock()
    told: list[str] = []
    rows: flow.Callback[int] = flow.Callback(
        limit=1, pause=lambda: told.append("pause"), resume=lambda: told.append("resume")
    )
    got: list[int] = []
    done = flow.Deferred(rows, into=got.append, reactor=clock)
    clock.advance(0)
    for row in range(3):
        assert rows.offer(row)
    rows.finish()
    assert got == [0, 1, 2]
    assert told == ["pause", "resume"] * 3
    assert done.result == 3
