"""The rig is tested: faults are planted, torture finds each of them, and passes what is sound.

Each fault is a small flow, written as somebody might write it; ``make(False)`` is the same without the fault. The seeds
that it takes to find each are counted from eleven starting points, and their median is printed (``pytest -s``). A
fault that does not depend on the order of things is found with the first seed: torture's steps find it.
"""

from __future__ import annotations

import asyncio
import statistics
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest

import flow
from flow.core.instruction import Handle, Resume
from flow.testing import Deadlock, torture

Make = Callable[[bool], flow.Stage[Any]]
STARTS = 11
MOST_SEEDS = 60
opened: list[Any] = []  # what `tracked` gives to torture
held: list[int] = []  # what `check` looks at
go_on = threading.Event()


@dataclass
class Planted:
    """A fault, the text by which it must be found, and what torture must be told of such a flow."""

    make: Make
    found_as: str
    options: dict[str, Any]


PLANTED: dict[str, Planted] = {}


def planted(found_as: str, **options: Any) -> Callable[[Make], Make]:
    def add(make: Make) -> Make:
        PLANTED[make.__name__.replace("_", " ")] = Planted(make, found_as, options)
        return make

    return add


async def ended(*tasks: asyncio.Task[Any]) -> None:
    """Cancels tasks and waits for their end."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


# ------------------------------------------------------------------------------------------------------------------
# Rows


@planted("rows were lost", ordered=False)
def row_lost_on_a_lost_race(fault: bool) -> flow.Stage[Any]:
    """A merge by hand takes the first that is done, and begins another one that is done meanwhile anew."""

    async def merged() -> AsyncIterator[str]:
        async def step(name: str, number: int) -> str:
            await asyncio.sleep(1 if name == "a" else 1.3)
            return f"{name}{number}"

        def ask(name: str, number: int) -> None:
            if number < 3:
                asked[asyncio.ensure_future(step(name, number))] = name, number

        asked: dict[asyncio.Task[str], tuple[str, int]] = {}
        ask("a", 0)
        ask("b", 0)
        try:
            while asked:
                await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
                done = [task for task in asked if task.done()]
                for task in done:
                    name, number = asked.pop(task)
                    ask(name, number + 1)
                    if task is done[0] or not fault:
                        yield task.result()
        finally:
            await ended(*asked)

    return flow.wrap(merged)


@planted("are not the first ones")
def row_doubled_after_a_timeout(fault: bool) -> flow.Stage[int]:
    """A row is sent again when its receipt is late, though it has arrived."""

    def sending(rows: Iterator[int]) -> Iterator[int]:
        for row in rows:
            arrived: list[int] = []

            async def send(row: int = row, arrived: list[int] = arrived) -> None:
                await asyncio.sleep(1)
                arrived.append(row)
                await asyncio.sleep(0)  # its receipt
                await asyncio.sleep(0)

            async def send_surely(send: Any = send, arrived: list[int] = arrived) -> None:
                try:
                    async with asyncio.timeout(1.5):
                        await send()
                except TimeoutError:
                    if fault or not arrived:
                        await send()

            flow.wait(send_surely())
            yield from arrived

    return flow.wrap([1, 2, 3]) | sending


@planted("are not the first ones")
def order_swapped_across_a_wait(fault: bool) -> flow.Stage[int]:
    """Two rows are worked on at a time, and are given in the order in which they were ready."""

    def by_two(rows: Iterator[int]) -> Iterator[int]:
        for row in rows:
            done: list[int] = []

            async def work(row: int, done: list[int] = done) -> None:
                await asyncio.sleep(1)
                done.append(row)

            async def both(row: int = row, work: Any = work) -> None:
                tasks = [asyncio.ensure_future(work(each)) for each in (row, row + 1)]
                try:
                    await asyncio.gather(*tasks)
                finally:
                    await ended(*tasks)

            flow.wait(both())
            yield from done if fault else sorted(done)

    return flow.wrap([1, 3, 5]) | by_two


@planted("rows were lost", fails=OSError, ways=["closed"])
def failure_overtakes_rows(fault: bool) -> flow.Stage[int]:
    """A reader looks for a failure first, and for rows after that."""

    async def read() -> AsyncIterator[int]:
        rows: deque[int] = deque()
        failure: list[OSError] = []
        arrived = asyncio.Event()

        async def produce() -> None:
            for row in (1, 2, 3):
                await asyncio.sleep(1)
                rows.append(row)
                arrived.set()
            await asyncio.sleep(0.1)
            failure.append(OSError("reset"))
            arrived.set()

        task = asyncio.ensure_future(produce())
        try:
            while True:
                await arrived.wait()
                arrived.clear()
                await asyncio.sleep(0)
                if fault and failure:
                    raise failure[0]
                while rows:
                    yield rows.popleft()
                if failure:
                    raise failure[0]
        finally:
            await ended(task)

    return flow.wrap(read)


def most_held() -> None:
    most, held[:] = max(held, default=0), []
    assert most <= 2, f"{most} rows were held, and 2 may be"


@planted("3 rows were held, and 2 may be", check=most_held)
def bound_off_by_one(fault: bool) -> flow.Stage[int]:
    """A buffer of two looks for room with the wrong comparison."""

    async def buffered() -> AsyncIterator[int]:
        rows: deque[int] = deque()
        changed = asyncio.Event()

        async def produce() -> None:
            for row in range(6):
                while len(rows) > 2 if fault else len(rows) >= 2:
                    changed.clear()
                    await changed.wait()
                rows.append(row)
                held.append(len(rows))
                changed.set()
                await asyncio.sleep(0.1)

        task = asyncio.ensure_future(produce())
        try:
            for _ in range(6):
                await asyncio.sleep(1)
                while not rows:
                    changed.clear()
                    await changed.wait()
                row = rows.popleft()
                changed.set()
                yield row
        finally:
            await ended(task)

    return flow.wrap(buffered)


@planted("nothing can ever happen", ways=["cancelled", "closed"])
def wake_lost(fault: bool) -> flow.Stage[int]:
    """Between looking for a row and waiting for one, the loop has a turn."""

    async def read() -> AsyncIterator[int]:
        rows: list[int] = []
        waiter: list[asyncio.Future[None]] = []

        async def produce() -> None:
            for row in range(4):
                await asyncio.sleep(1)
                rows.append(row)
                if waiter:
                    waiter.pop().set_result(None)

        task = asyncio.ensure_future(produce())
        try:
            for _ in range(4):
                while not rows:
                    if fault:
                        await asyncio.sleep(0)
                    waiter[:] = [asyncio.get_running_loop().create_future()]
                    await waiter[0]
                yield rows.pop(0)
        finally:
            await ended(task)

    return flow.wrap(read)


# ------------------------------------------------------------------------------------------------------------------
# Ends


class Cursor:
    """Something that must be closed once."""

    def __init__(self) -> None:
        self.closed = 0

    @property
    def is_closed(self) -> bool:
        return self.closed == 1

    def close(self) -> None:
        self.closed += 1


@planted("is not closed", tracked=lambda: opened)
def closed_twice(fault: bool) -> flow.Stage[int]:
    """An error closes the cursor, and then `finally` does."""
    opened.clear()

    def rows() -> Generator[Any]:
        cursor = Cursor()
        opened.append(cursor)
        try:
            for row in range(3):
                yield flow.Cooperate(1)
                yield row
        except Exception:
            if fault:
                cursor.close()
            raise
        finally:
            cursor.close()

    return flow.wrap(rows)


@planted("is not closed", tracked=lambda: opened)
def never_closed(fault: bool) -> flow.Stage[int]:
    """What is closed at the end, and on an error, but not when the reader leaves."""
    opened.clear()
    caught: Any = Exception if fault else BaseException

    def rows() -> Generator[Any]:
        cursor = Cursor()
        opened.append(cursor)
        try:
            for row in range(3):
                yield flow.Cooperate(1)
                yield row
        except caught:
            cursor.close()
            raise
        cursor.close()

    return flow.wrap(rows)


class Forgetful(flow.CallLater):
    """Starts a timer, and gives (or does not) a way to cancel it."""

    def __init__(self, fault: bool) -> None:
        self._fault = fault

    def callLater(self, resume: Resume, /) -> Handle | None:
        timer = resume.loop.call_later(50, resume)
        return None if self._fault else timer


@planted("timers are left")
def timer_left(fault: bool) -> flow.Stage[int]:
    """A wait that is given up leaves its timer on the loop."""

    def rows() -> Generator[Any]:
        yield Forgetful(fault)
        yield 1

    return flow.wrap(rows)


@planted("the cancel was lost")
def cancel_swallowed(fault: bool) -> flow.Stage[int]:
    """A coroutine takes a cancel for a sign that it may go home."""

    async def careless() -> None:
        with suppress(asyncio.CancelledError if fault else OSError):
            await asyncio.sleep(1)

    def waiting(rows: Iterator[int]) -> Iterator[int]:
        for row in rows:
            flow.wait(careless())
            yield row

    return flow.wrap([1, 2]) | waiting


@planted("tasks are left")
def task_left(fault: bool) -> flow.Stage[int]:
    """A task in the background that only the good end awaits."""

    async def rows() -> AsyncIterator[int]:
        task = asyncio.ensure_future(asyncio.sleep(10**6 if fault else 5))
        try:
            for row in (1, 2):
                await asyncio.sleep(1)
                yield row
        finally:
            if not fault:
                await ended(task)
        task.cancel()

    return flow.wrap(rows)


@planted("is alive")
def thread_left(fault: bool) -> flow.Stage[int]:
    """A thread that is told to stop at the end, and not when something goes wrong."""

    def rows() -> Generator[Any]:
        stop = threading.Event()
        threading.Thread(target=lambda: stop.wait(0.001) or go_on.wait() if fault else stop.wait()).start()
        try:
            yield flow.Cooperate(1)
            yield 1
        finally:
            if not fault:
                stop.set()
        stop.set()
        go_on.set()

    go_on.clear()
    return flow.wrap(rows)


@planted("the failure of the cleanup became None")
def failure_during_cleanup_dropped(fault: bool) -> flow.Stage[int]:
    """A cleanup that fails keeps that to itself."""

    def closing(rows: Iterator[int]) -> Iterator[int]:
        try:
            yield from rows
        finally:
            with suppress(Exception if fault else OSError):
                flow.sleep(1)  # say goodbye

    return flow.wrap([1, 2, 3]) | closing


# ------------------------------------------------------------------------------------------------------------------
# Finding them


def found(name: str, fault: bool, seeds: Any) -> BaseException | None:
    """What torture says of it."""
    plant = PLANTED[name]
    try:
        torture(lambda: plant.make(fault), seeds=seeds, progress=lambda line: None, **plant.options)
    except (AssertionError, Deadlock) as error:
        return error
    finally:
        go_on.set()
        opened.clear()
        held.clear()
    return None


def test_there_are_a_dozen() -> None:
    """The faults that the rig must find."""
    assert len(PLANTED) >= 12


@pytest.mark.parametrize("name", PLANTED)
def test_what_is_sound_passes(name: str) -> None:
    """Without the fault, the same flow passes with every seed: the rig finds faults, and no more."""
    assert found(name, False, [None, *range(12)]) is None


@pytest.mark.leaks_ok  # that is what some of them are for
@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of them is found, from each starting point; the median of the seeds that it takes is printed."""
    monkeypatch.setattr("flow.testing.torturing.LAST_STEPS", 0.05)
    needed: list[int] = []
    for start in range(STARTS):
        for number in count(1):
            assert number <= MOST_SEEDS, f"{name}: not found with the seeds {start * 1000} to {start * 1000 + number}"
            error = found(name, True, [start * 1000 + number])
            if error is not None:
                assert PLANTED[name].found_as in str(error), error
                needed.append(number)
                break
    with capsys.disabled():
        median = statistics.median(needed)
        print(f"\n  {name}: found {STARTS} times of {STARTS}; seeds needed: median {median:g}, at most {max(needed)}")
