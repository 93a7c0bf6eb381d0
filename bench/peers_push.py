"""The peers whose source pushes rows: reactivex, streamz, tubes, and Twisted's Cooperator, which drives iterators.

Nothing holds a source of the first two back, and their rows end in a list or in a counter: there is no reader to wait
for. Each does the work in the form that its own documentation shows, or in a faster one where there is one. What may
live here: functions that do the work on so many rows and return its result. A library is imported when its first job
runs, which is not timed, and never with this module.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any

from . import pieces as p
from .jobs import Job, Prepare, library

__all__ = [
    "cooperated",
    "cooperator_calls",
    "reactivex_batches",
    "reactivex_calls",
    "reactivex_chain",
    "reactivex_combined",
    "reactivex_flat",
    "reactivex_one",
    "reactivex_pushed",
    "reactivex_teed",
    "streamz_buffer",
    "streamz_calls",
    "streamz_chain",
    "streamz_flat",
    "streamz_merged",
    "streamz_pushed",
    "streamz_teed",
    "streamz_zipped",
    "tubes_chain",
    "tubes_drained",
    "tubes_merged",
]


class Last:
    """Counts what it is called with, and keeps the last."""

    def __init__(self) -> None:
        self.number = 0
        self.row: Any = None

    def __call__(self, row: Any) -> None:
        self.number += 1
        self.row = row

    @property
    def result(self) -> tuple[int, Any]:
        return self.number, self.row


# --------------------------------------------------------------------------------------------------------------------
# reactivex: rows are pushed through at once, in the thread that subscribes


def _collected(observable: Any) -> list[Any]:
    found: list[Any] = []
    observable.subscribe(found.append)
    return found


def reactivex_chain(rows: int, depth: int) -> list[Any]:
    rx, ops = library("reactivex"), library("reactivex.operators")
    return _collected(rx.from_iterable(range(rows)).pipe(*[ops.map(p.same) for _ in range(depth)]))


def reactivex_combined(combine: str, inputs: int, rows: int) -> list[Any]:
    """Its ``merge``, ``zip`` or ``concat``."""
    rx = library("reactivex")
    return _collected(getattr(rx, combine)(*map(rx.from_iterable, p.parts(inputs, rows))))


def reactivex_flat(blocks: list[list[Any]]) -> list[Any]:
    """Blocks to rows."""
    rx, ops = library("reactivex"), library("reactivex.operators")
    return _collected(rx.from_iterable(blocks).pipe(ops.concat_map(rx.from_iterable)))


def reactivex_batches(rows: int) -> list[Any]:
    rx, ops = library("reactivex"), library("reactivex.operators")
    return _collected(rx.from_iterable(range(rows)).pipe(ops.buffer_with_count(100)))


def reactivex_teed(rows: int) -> tuple[int, Any]:
    """Two readers of one source: it is connected when both are there."""
    rx, ops = library("reactivex"), library("reactivex.operators")
    shared = rx.from_iterable(range(rows)).pipe(ops.publish())
    found = Last()
    rx.zip(shared, shared).subscribe(found)
    shared.connect()
    return found.result


def reactivex_one() -> list[Any]:
    return _collected(library("reactivex").from_iterable([1]))


async def reactivex_calls(f: Any, rows: int) -> list[Any]:
    """Eight at a time, as they finish. It has no form that keeps the order and a bound."""
    rx, ops = library("reactivex"), library("reactivex.operators")
    ended = asyncio.get_running_loop().create_future()
    found: list[Any] = []

    def called(row: Any) -> Any:
        return rx.defer(lambda _: rx.from_future(asyncio.ensure_future(f(row))))

    rx.from_iterable(range(rows)).pipe(ops.map(called), ops.merge(max_concurrent=8)).subscribe(
        found.append, ended.set_exception, lambda: ended.set_result(None)
    )
    await ended
    return found


def reactivex_pushed() -> tuple[Callable[[Any], Any], Callable[[], tuple[int, Any]]]:
    """What takes a row, and what says what has come."""
    subject, found = library("reactivex.subject").Subject(), Last()
    subject.subscribe(found)
    return subject.on_next, lambda: found.result


# --------------------------------------------------------------------------------------------------------------------
# streamz: the same; its nodes live as long as somebody holds their sink


def streamz_chain(rows: int, depth: int) -> list[Any]:
    source = node = library("streamz").Stream()
    for _ in range(depth):
        node = node.map(p.same)
    found = node.sink_to_list()
    for row in range(rows):
        source.emit(row)
    return list(found)


def _interleaved(inputs: int, rows: int, make: Callable[[list[Any]], Any]) -> list[Any]:
    sources = [library("streamz").Stream() for _ in range(inputs)]
    node = make(sources)
    found = node.sink_to_list()
    for row in range(rows):
        sources[row % inputs].emit(row)
    return list(found)


def streamz_merged(inputs: int, rows: int) -> list[Any]:
    return _interleaved(inputs, rows, lambda sources: sources[0].union(*sources[1:]))


def streamz_zipped(rows: int) -> list[Any]:
    return _interleaved(4, rows, lambda sources: sources[0].zip(*sources[1:]))


def streamz_flat(blocks: list[list[Any]]) -> list[Any]:
    """Blocks to rows."""
    source = library("streamz").Stream()
    node = source.flatten()
    found = node.sink_to_list()
    for block in blocks:
        source.emit(block)
    return list(found)


def streamz_teed(rows: int) -> tuple[int, Any]:
    """Two branches of one source, and what joins their rows again."""
    source, found = library("streamz").Stream(), Last()
    branches = source.map(p.same), source.map(p.same)
    sink = branches[0].zip(branches[1]).sink(found)
    for row in range(rows):
        source.emit(row)
    sink.destroy()
    return found.result


def streamz_pushed() -> tuple[Callable[[Any], Any], Callable[[], tuple[int, Any]]]:
    """What takes a row, and what says what has come."""
    source, found = library("streamz").Stream(), Last()
    sink = source.sink(found)

    def result() -> tuple[int, Any]:
        sink.destroy()
        return found.result

    return source.emit, result


async def streamz_buffer(rows: int) -> tuple[int, Any]:
    """`emit` waits while the buffer is full."""
    source, found = library("streamz").Stream(asynchronous=True), Last()
    sink = source.buffer(64).sink(found)
    for row in range(rows):
        await source.emit(row)
    while found.number < rows:
        await asyncio.sleep(0)
    sink.destroy()
    return found.result


async def streamz_calls(f: Any, rows: int) -> tuple[int, Any]:
    """Eight at a time, in order."""
    source, found = library("streamz").Stream(asynchronous=True), Last()
    node = source.map_async(f, parallelism=8)
    sink = node.sink(found)
    for row in range(rows):
        await source.emit(row)
    while found.number < rows:
        await asyncio.sleep(0)
    sink.destroy()
    if node.work_task is not None:  # its worker waits for more, for ever
        worker = node.work_task[1]
        worker.cancel()
        await asyncio.wait([worker])
    return found.result


# --------------------------------------------------------------------------------------------------------------------
# tubes


@cache
def _tube(kind: str) -> Any:
    """A tube that hands each row on, or a drain that keeps them in a list."""
    if kind == "same":

        def same(row: Any) -> Iterator[Any]:
            yield row

        return library("tubes.tube").receiver()(same)

    class Drain:
        inputType = None
        fount = None

        def __init__(self) -> None:
            self.rows: list[Any] = []
            self.receive = self.rows.append

        def flowingFrom(self, fount: Any) -> None:
            self.fount = fount

        def flowStopped(self, reason: Any) -> None:
            pass

    return library("zope.interface").implementer(library("tubes.itube").IDrain)(Drain)


def tubes_drained(source: Iterable[Any], tubes: list[Any]) -> list[Any]:
    """What comes out of a series of tubes."""
    drain = _tube("drain")()
    library("tubes.memory").iteratorFount(source).flowTo(library("tubes.tube").series(*tubes, drain))
    found: list[Any] = drain.rows
    return found


def tubes_chain(rows: int, depth: int) -> list[Any]:
    return tubes_drained(range(rows), [_tube("same")] * depth)


def tubes_merged(inputs: int, rows: int) -> list[Any]:
    """Its fan of inputs; each ready one is drained before the next is asked."""
    drain, fan = _tube("drain")(), library("tubes.fan").In()
    fan.fount.flowTo(drain)
    for part in p.parts(inputs, rows):
        library("tubes.memory").iteratorFount(part).flowTo(fan.newDrain())
    found: list[Any] = drain.rows
    return found


# --------------------------------------------------------------------------------------------------------------------
# Twisted's Cooperator, on the same asyncio loop as everybody else


def _cooperator() -> Any:
    loop = asyncio.get_running_loop()
    return library("twisted.internet.task").Cooperator(scheduler=lambda f: loop.call_soon(f))


def cooperated(make: Callable[[int], Iterable[Any]]) -> Prepare:
    """It steps through an iterator, and gives the loop a turn after each hundredth of a second. Rows go nowhere."""

    def prepare(rows: int) -> Job:
        async def job() -> tuple[int, Any]:
            found = Last()
            loop = asyncio.get_running_loop()
            await _cooperator().coiterate(map(found, make(rows))).asFuture(loop)
            return found.result

        return job

    return prepare


async def cooperator_calls(f: Any, rows: int) -> list[Any]:
    """Eight readers of one iterator of Deferreds, which is Twisted's way to a bound. In no certain order."""
    defer = library("twisted.internet.defer")
    found: list[Any] = []

    def work() -> Iterator[Any]:
        for row in range(rows):
            yield defer.Deferred.fromFuture(asyncio.ensure_future(f(row))).addCallback(found.append)

    calls, cooperator = work(), _cooperator()
    readers = [cooperator.coiterate(calls) for _ in range(8)]
    await defer.gatherResults(readers).asFuture(asyncio.get_running_loop())
    return found
