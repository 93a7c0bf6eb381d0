"""What is measured: stages that do as little as a stage can, so that what flow adds shows, and the readers of rows.

Bare, native async and classic (2003) stages, in that order, then the peers' ways. What may live here: generators and
readers without a clock. Which of them are compared is said in `work.py`.
"""

from __future__ import annotations

import asyncio
import itertools
import queue
import random
import sqlite3
import tempfile
import threading
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from greenlet import greenlet

import flow

stream: Any = None
MISSING = "not installed: pip install aiostream"
"""What to say for a contestant that needs aiostream; empty when it is there."""
try:
    from aiostream import stream as stream

    MISSING = ""
except ModuleNotFoundError:
    pass


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


# --- Classic stages: `yield source` waits until it has a row, next(source) takes it


def classic(source: flow.Stage[Any]) -> flow.Stage[Any]:
    def rows() -> Iterator[Any]:
        while True:
            yield source
            try:
                row = next(source)
            except StopIteration:
                return
            yield row

    return flow.wrap(rows)


def classic_chain(rows: int, depth: int) -> flow.Stage[Any]:
    stage: flow.Stage[Any] = flow.wrap(range(rows))
    for _ in range(depth):
        stage = classic(stage)
    return stage


# --- aiostream


def streamed(rows: int, depth: int) -> Any:
    """`depth` operators of aiostream; the first one is the source."""
    source = stream.iterate(range(rows))
    for _ in range(depth - 1):
        source = stream.map(source, _same)
    return source


def streamed_merge(*sources: AsyncIterable[Any]) -> Any:
    return stream.merge(*sources)


def parts(inputs: int, rows: int) -> list[range]:
    """So many rows, dealt out to so many inputs."""
    return [range(first, rows, inputs) for first in range(inputs)]


async def _part(rows: range) -> AsyncIterator[int]:
    for row in rows:
        yield row


def streamed_parts_of(combine: str, inputs: int, rows: int) -> Any:
    """Those inputs, through aiostream's ``merge``, ``zip`` or ``chain``."""
    return getattr(stream, combine)(*map(_part, parts(inputs, rows)))


async def read_stream(source: Any) -> tuple[int, Any]:
    async with source.stream() as rows:
        return await aread(rows)


async def stream_rows(source: Any) -> list[Any]:
    async with source.stream() as rows:
        return [row async for row in rows]


async def stream_one() -> list[int]:
    found: list[int] = await stream.list(stream.just(1))
    return found


def _same(row: Any, *_: Any) -> Any:
    return row


# --- Concurrent calls


async def next_number(row: int, *_: Any) -> int:
    return row + 1


async def next_number_later(row: int, *_: Any) -> int:
    await asyncio.sleep(0)
    return row + 1


def streamed_calls(f: Any, rows: int) -> Any:
    return stream.map(stream.iterate(range(rows)), f, task_limit=8)


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


def streamed_parts(rows: int) -> Any:
    return stream.flatmap(stream.iterate(hundreds(rows)), ticks, task_limit=8)


# --- Buffers


async def through_an_asyncio_queue(rows: int) -> tuple[int, Any]:
    """A producer and a consumer as one writes them by hand: single rows, a bound of 64, and a mark at the end."""
    held: asyncio.Queue[Any] = asyncio.Queue(64)
    end = object()

    async def produce() -> None:
        put = held.put
        for row in range(rows):
            await put(row)
        await put(end)

    producer = asyncio.create_task(produce())
    get = held.get
    number, last = 0, None
    while (row := await get()) is not end:
        last = row
        number += 1
    await producer
    return number, last


def teed(rows: int) -> Iterator[Any]:
    return zip(*itertools.tee(range(rows)), strict=True)


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


# --- Threads and queries


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


SQL = "select number, name, price from items order by number"

_folder: tempfile.TemporaryDirectory[str] | None = None


@cache
def database(rows: int) -> Callable[[], sqlite3.Connection]:
    """Opens a file with so many rows; it is made once, and removed at the end of the program."""
    global _folder
    if _folder is None:
        _folder = tempfile.TemporaryDirectory(prefix="flow-bench-")
    path = Path(_folder.name) / f"{rows}.db"
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("create table items (number integer primary key, name text, price real)")
        connection.executemany("insert into items values (?, ?, ?)", ((n, f"item {n}", n / 7) for n in range(rows)))
    connection.close()
    return lambda: sqlite3.connect(path)


def fetched(connect: Callable[[], sqlite3.Connection]) -> Iterator[Any]:
    """The plain blocking loop."""
    connection = connect()
    try:
        yield from connection.execute(SQL)
    finally:
        connection.close()


# --- Lines


@cache
def text(lines: int) -> tuple[bytes, list[bytes]]:
    """So many lines, and the same bytes in pieces of random size, as a socket may give them; the same in each run."""
    chance = random.Random(2003)
    data = b"\n".join(b"x" * chance.randrange(80) for _ in range(lines - 1)) + b"\nend"
    pieces: list[bytes] = []
    place = 0
    while place < len(data):
        size = chance.randint(1, 8192)
        pieces.append(data[place : place + size])
        place += size
    return data, pieces
