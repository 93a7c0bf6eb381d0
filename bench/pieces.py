"""What is measured: stages that do as little as a stage can, so that what flow adds shows, and the readers of rows.

Bare, native async and classic (2003) stages, in that order, then what one writes by hand without a library. What may
live here: generators and readers without a clock, made of the standard library, greenlet and flow. The ways of other
libraries are in `peers_*.py`; which of them are compared is said in `work_*.py`.
"""

from __future__ import annotations

import asyncio
import itertools
import queue
import threading
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Any

from greenlet import greenlet

import flow

from . import limits

# --- Plain stages


def plain(rows: Iterable[Any]) -> Iterator[Any]:
    """The cheapest plain stage there is: it hands each row on."""
    for row in rows:  # noqa: UP028 - `yield from` would not touch the rows, as a real stage does
        yield row


def counting(rows: Iterable[Any]) -> Iterator[int]:
    """A last stage: one row, the number of its input rows."""
    number = 0
    for _ in rows:
        number += 1
    yield number


def bare(source: Iterable[Any], depth: int) -> Iterable[Any]:
    """The same generators without flow, nested by hand."""
    for _ in range(depth):
        source = plain(source)
    return source


def same(row: Any, *_: Any) -> Any:
    """The cheapest function of a row. (aiostream hands it more than the row.)"""
    return row


def mapped(rows: Iterable[Any], depth: int) -> Iterable[Any]:
    """The builtin `map`, nested: a call on each row, and no generator."""
    for _ in range(depth):
        rows = map(same, rows)
    return rows


def chained(source: flow.Stage[Any], depth: int, stage: Any = plain) -> flow.Stage[Any]:
    for _ in range(depth):
        source = source | stage
    return source


def read(rows: Iterable[Any]) -> tuple[int, Any]:
    """Number of rows, and the last one."""
    number, row = 0, None
    for row in rows:  # noqa: B007 - the last one is returned
        number += 1
    return number, row


# --- Batches


def numbers(rows: int) -> Iterator[int]:
    yield from range(rows)


def listed(rows: int) -> list[int]:
    return list(range(rows))


def _recipe(rows: Iterable[Any], n: int) -> Iterator[tuple[Any, ...]]:
    """What the documentation of itertools shows for `batched`."""
    iterator = iter(rows)
    while batch := tuple(islice(iterator, n)):
        yield batch


batched: Any = getattr(itertools, "batched", _recipe)


# --- Async stages


async def ticks(rows: int) -> AsyncIterator[int]:
    for row in range(rows):
        yield row


async def native(rows: AsyncIterable[Any]) -> AsyncIterator[Any]:
    async for row in rows:
        yield row


def native_chain(rows: int, depth: int) -> AsyncIterable[int]:
    """`depth` async generators above each other; the first one is the source."""
    source: AsyncIterable[int] = ticks(rows)
    for _ in range(depth - 1):
        source = native(source)
    return source


async def aread(rows: AsyncIterable[Any]) -> tuple[int, Any]:
    """Number of rows, and the last one."""
    number, row = 0, None
    async for row in rows:  # noqa: B007 - the last one is returned
        number += 1
    return number, row


async def atotal(rows: AsyncIterable[int]) -> tuple[int, int]:
    """Number of rows, and their sum: for rows in no certain order."""
    number, total = 0, 0
    async for row in rows:
        number += 1
        total += row
    return number, total


async def turning_async(rows: Iterable[Any]) -> AsyncIterator[Any]:
    """An async source that waits one turn of the loop before each row."""
    for row in rows:
        await asyncio.sleep(0)
        yield row


async def each_async(rows: Iterable[Any]) -> AsyncIterator[Any]:
    """An async source that is always ready."""
    for row in rows:
        yield row


# --- Classic stages: `yield source` waits until it has a row, next(source) takes it


def classic(source: flow.Stage[Any]) -> flow.Stage[Any]:
    return flow.wrap(partial(limits.classic_rows, source))


def classic_chain(rows: int, depth: int) -> flow.Stage[Any]:
    stage: flow.Stage[Any] = flow.wrap(range(rows))
    for _ in range(depth):
        stage = classic(stage)
    return stage


def mixed_chain(rows: int, depth: int) -> flow.Stage[Any]:
    """Plain, classic and async stages in turn."""
    stage: flow.Stage[Any] = flow.wrap(range(rows))
    for number in range(depth):
        stage = (stage | plain, classic(stage), stage | native)[number % 3]
    return stage


# --- Waits


def turning(rows: Iterable[Any]) -> Iterator[Any]:
    """A plain source that waits one turn of the loop before each row."""
    for row in rows:
        flow.cooperate()
        yield row


# --- Several inputs


def parts(inputs: int, rows: int) -> list[range]:
    """So many rows, dealt out to so many inputs."""
    return [range(first, rows, inputs) for first in range(inputs)]


async def merged_by_hand(sources: Iterable[AsyncIterable[Any]]) -> AsyncIterator[Any]:
    """A task for each input and one asyncio.Queue for all, bounded as `Merge` is: a row for each input."""
    sources = list(sources)
    held: asyncio.Queue[Any] = asyncio.Queue(len(sources))
    end = object()

    async def read_one(source: AsyncIterable[Any]) -> None:
        async for row in source:
            await held.put(row)
        await held.put(end)

    tasks = [asyncio.create_task(read_one(source)) for source in sources]
    left = len(tasks)
    while left:
        row = await held.get()
        if row is end:
            left -= 1
        else:
            yield row
    await asyncio.gather(*tasks)


# --- Concurrent calls


async def next_number(row: int, *_: Any) -> int:
    return row + 1


async def next_number_later(row: int, *_: Any) -> int:
    await asyncio.sleep(0)
    return row + 1


async def calls_by_hand(f: Any, rows: int) -> AsyncIterator[int]:
    """A task for each row, 8 at a time, in order: the next one begins when the first of them is done."""
    tasks: deque[asyncio.Task[int]] = deque()
    for row in range(rows):
        tasks.append(asyncio.create_task(f(row)))
        if len(tasks) == 8:
            yield await tasks.popleft()
    while tasks:
        yield await tasks.popleft()


def hundreds(rows: int) -> list[int]:
    """`rows` in hundreds, and what is left."""
    return [100] * (rows // 100) + ([rows % 100] if rows % 100 else [])


# --- Buffers


async def through_queues(rows: int, depth: int) -> tuple[int, Any]:
    """A pipeline of tasks as one writes it by hand: single rows, a bound of 64 between each two, a mark at the end."""
    queues: list[asyncio.Queue[Any]] = [asyncio.Queue(64) for _ in range(depth)]
    end = object()

    async def produce(after: asyncio.Queue[Any]) -> None:
        put = after.put
        for row in range(rows):
            await put(row)
        await put(end)

    async def hand_on(before: asyncio.Queue[Any], after: asyncio.Queue[Any]) -> None:
        get, put = before.get, after.put
        while (row := await get()) is not end:
            await put(row)
        await put(end)

    tasks = [asyncio.create_task(produce(queues[0]))]
    tasks += [asyncio.create_task(hand_on(*pair)) for pair in itertools.pairwise(queues)]
    get = queues[-1].get
    number, last = 0, None
    while (row := await get()) is not end:
        last = row
        number += 1
    await asyncio.gather(*tasks)
    return number, last


def teed(rows: int) -> Iterator[Any]:
    return zip(*itertools.tee(range(rows)), strict=True)


# --- Pushing


async def push_in_turns(take: Callable[[int], object], rows: int, finish: Callable[[], object]) -> None:
    """Calls `take` with each row, 64 times in each turn of the loop, and `finish` at the end."""
    for first in range(0, rows, 64):
        for row in range(first, min(first + 64, rows)):
            take(row)
        await asyncio.sleep(0)
    finish()


async def pushed_by_hand(rows: int) -> tuple[int, Any]:
    held: asyncio.Queue[Any] = asyncio.Queue(1000)
    end = object()
    pushing = asyncio.create_task(push_in_turns(held.put_nowait, rows, lambda: held.put_nowait(end)))
    get = held.get
    number, last = 0, None
    while (row := await get()) is not end:
        last = row
        number += 1
    await pushing
    return number, last


# --- greenlet, by hand


def switched(rows: Iterable[Any]) -> Iterator[Any]:
    """Each row out of another greenlet: what it costs at least that a chain may be paused between any two rows."""
    end = object()

    def work() -> None:
        hub = thread.parent.switch
        for row in rows:
            hub(row)
        hub(end)

    thread = greenlet(work)
    step = thread.switch
    while (row := step()) is not end:
        yield row
    step()


# --- Threads


def through_a_queue(source: Iterable[Any]) -> Iterator[Any]:
    """A thread as one writes it by hand: a bounded queue, row by row."""
    rows: queue.Queue[Any] = queue.Queue(1000)
    end = object()

    def work() -> None:
        for row in source:
            rows.put(row)
        rows.put(end)

    thread = threading.Thread(target=work)
    thread.start()
    while (row := rows.get()) is not end:
        yield row
    thread.join()
