"""The peers whose reader asks for rows, as flow's does: aiostream, streamable, asyncstdlib and aioitertools.

Each does the work in the form that its own documentation shows, or in a faster one where there is one. What may live
here: functions from a number of rows to something that is read with `for` or `async for`. A library is imported when
its first job runs, which is not timed, and never with this module.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from functools import partial
from typing import Any

from . import pieces as p
from .jobs import library

__all__ = [
    "aioitertools_batches",
    "aioitertools_chain",
    "aioitertools_combined",
    "aioitertools_flat",
    "aioitertools_merged",
    "aioitertools_teed",
    "aiostream_batches",
    "aiostream_calls",
    "aiostream_chain",
    "aiostream_combined",
    "aiostream_flat",
    "aiostream_of",
    "aiostream_one",
    "aiostream_parts",
    "asyncstdlib_batches",
    "asyncstdlib_chain",
    "asyncstdlib_combined",
    "asyncstdlib_flat",
    "asyncstdlib_teed",
    "listed",
    "read_stream",
    "stream_rows",
    "stream_totals",
    "streamable_batches",
    "streamable_buffer",
    "streamable_calls",
    "streamable_chain",
    "streamable_flat",
    "streamable_joined",
    "streamable_merged",
    "streamable_of",
    "streamable_one",
    "streamable_parts",
]

Source = Callable[[Iterable[Any]], AsyncIterable[Any]]


async def listed(rows: AsyncIterable[Any]) -> list[Any]:
    return [row async for row in rows]


# --------------------------------------------------------------------------------------------------------------------
# aiostream


def _aiostream() -> Any:
    return library("aiostream").stream


def aiostream_chain(rows: int, depth: int) -> Any:
    """`depth` operators; the first one is the source."""
    stream = _aiostream()
    source = stream.iterate(range(rows))
    for _ in range(depth - 1):
        source = stream.map(source, p.same)
    return source


def aiostream_of(source: Any) -> Any:
    """A stream of what can be read with `for` or with `async for`."""
    return _aiostream().iterate(source)


def aiostream_combined(combine: str, inputs: int, rows: int, source: Source = p.each_async) -> Any:
    """Rows dealt out to so many inputs, through its ``merge``, ``zip`` or ``chain``."""
    return getattr(_aiostream(), combine)(*map(source, p.parts(inputs, rows)))


def aiostream_calls(f: Any, rows: int, ordered: bool = True) -> Any:
    stream = _aiostream()
    return stream.map(stream.iterate(range(rows)), f, task_limit=8, ordered=ordered)


def aiostream_parts(rows: int) -> Any:
    stream = _aiostream()
    return stream.flatmap(stream.iterate(p.hundreds(rows)), p.ticks, task_limit=8)


def aiostream_flat(blocks: list[list[Any]]) -> Any:
    """Blocks to rows."""
    stream = _aiostream()
    return stream.concatmap(stream.iterate(blocks), stream.iterate)


def aiostream_batches(rows: int) -> Any:
    stream = _aiostream()
    return stream.chunks(stream.iterate(range(rows)), 100)


async def aiostream_one() -> list[int]:
    stream = _aiostream()
    found: list[int] = await stream.list(stream.just(1))
    return found


async def _inside(reader: Callable[[Any], Any], source: Any) -> Any:
    """aiostream asks that a stream is opened before it is read."""
    async with source.stream() as rows:
        return await reader(rows)


read_stream = partial(_inside, p.aread)
stream_rows = partial(_inside, listed)
stream_totals = partial(_inside, p.atotal)


# --------------------------------------------------------------------------------------------------------------------
# streamable: the same stream is read with `for` or with `async for`


def streamable_of(source: Any) -> Any:
    """A stream of what can be read with `for` or with `async for`."""
    return library("streamable").stream(source)


def streamable_chain(rows: int, depth: int) -> Any:
    """The source, and so many ``map``."""
    source = streamable_of(range(rows))
    for _ in range(depth):
        source = source.map(p.same)
    return source


def streamable_merged(inputs: int, rows: int, source: Source = p.each_async) -> Any:
    """Its way to merge: a stream of inputs, flattened, with all of them read at a time."""
    return streamable_of([source(part) for part in p.parts(inputs, rows)]).flatten(concurrency=inputs)


def streamable_joined(rows: int) -> Any:
    """Four inputs, one after the other."""
    return streamable_of(p.parts(4, rows)).flatten()


def streamable_calls(f: Any, rows: int, ordered: bool = True) -> Any:
    return streamable_of(range(rows)).map(f, concurrency=8, as_completed=not ordered)


def streamable_parts(rows: int) -> Any:
    return streamable_of(p.hundreds(rows)).map(p.ticks).flatten(concurrency=8)


def streamable_flat(blocks: list[list[Any]]) -> Any:
    """Blocks to rows."""
    return streamable_of(blocks).flatten()


def streamable_batches(rows: int, within: Any = None) -> Any:
    return streamable_of(range(rows)).group(100, within=within)


def streamable_buffer(rows: int) -> Any:
    return streamable_of(range(rows)).buffer(64)


async def streamable_one() -> list[int]:
    return [row async for row in streamable_of([1])]


# --------------------------------------------------------------------------------------------------------------------
# asyncstdlib


def asyncstdlib_chain(rows: int, depth: int) -> AsyncIterator[Any]:
    """`depth` async iterators above each other; the first one is the source."""
    a = library("asyncstdlib")
    source: AsyncIterator[Any] = a.iter(range(rows))
    for _ in range(depth - 1):
        source = a.map(p.same, source)
    return source


def asyncstdlib_combined(combine: str, rows: int) -> AsyncIterator[Any]:
    """Four inputs, through its ``zip``, ``chain`` or ``merge``."""
    a = library("asyncstdlib.heapq" if combine == "merge" else "asyncstdlib")
    combined: AsyncIterator[Any] = getattr(a, combine)(*p.parts(4, rows))
    return combined


def asyncstdlib_flat(blocks: list[list[Any]]) -> AsyncIterator[Any]:
    """Blocks to rows."""
    rows: AsyncIterator[Any] = library("asyncstdlib").chain.from_iterable(blocks)
    return rows


def asyncstdlib_batches(rows: int) -> AsyncIterator[Any]:
    batches: AsyncIterator[Any] = library("asyncstdlib").batched(range(rows), 100)
    return batches


async def asyncstdlib_teed(rows: int) -> AsyncIterator[Any]:
    a = library("asyncstdlib")
    async with a.tee(range(rows), 2) as readers:
        async for pair in a.zip(*readers):
            yield pair


# --------------------------------------------------------------------------------------------------------------------
# aioitertools


def aioitertools_chain(rows: int, depth: int) -> AsyncIterator[Any]:
    """`depth` async iterators above each other; the first one is the source."""
    a = library("aioitertools")
    source: AsyncIterator[Any] = a.iter(range(rows))
    for _ in range(depth - 1):
        source = a.map(p.same, source)
    return source


def aioitertools_combined(combine: str, rows: int) -> AsyncIterator[Any]:
    """Four inputs, through its ``zip`` or ``chain``."""
    combined: AsyncIterator[Any] = getattr(library("aioitertools"), combine)(*p.parts(4, rows))
    return combined


def aioitertools_merged(inputs: int, rows: int, source: Source = p.each_async) -> AsyncIterator[Any]:
    sources = [source(part) for part in p.parts(inputs, rows)]
    merged: AsyncIterator[Any] = library("aioitertools.asyncio").as_generated(sources)
    return merged


def aioitertools_flat(blocks: list[list[Any]]) -> AsyncIterator[Any]:
    """Blocks to rows."""
    rows: AsyncIterator[Any] = library("aioitertools").chain.from_iterable(blocks)
    return rows


def aioitertools_batches(rows: int) -> AsyncIterator[Any]:
    batches: AsyncIterator[Any] = library("aioitertools").batched(range(rows), 100)
    return batches


def aioitertools_teed(rows: int) -> AsyncIterator[Any]:
    a = library("aioitertools")
    pairs: AsyncIterator[Any] = a.zip(*a.tee(range(rows), 2))
    return pairs
