"""The hot paths whose machine instructions are counted: what each does, and for how many rows.

What may live here: coroutine functions of a number of rows, which do one thing that often; the order in which they are
run; and the program that valgrind runs. The clock stands still: by a clock that goes on, slices would end after fewer
rows on a slower machine, and the same code would be counted as more.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import sys
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

import flow

from . import pieces as p
from .framing import text

__all__ = ["PATHS", "Path", "run"]


@dataclass(frozen=True)
class Path:
    """`work(rows)` is awaited three times: for `rows` to warm up, for `rows`, and for twice as many."""

    name: str
    title: str
    rows: int
    work: Callable[[int], Awaitable[object]]
    prepare: Callable[[int], object] = lambda rows: None
    """Called before anything is counted, for both numbers of rows."""


class Still(asyncio.SelectorEventLoop):
    """A loop on which no slice ever ends (flow looks for this clock); made of C, so that to read it costs little."""

    slice_clock = staticmethod(itertools.repeat(0.0).__next__)


def _chain(depth: int) -> Callable[[int], Awaitable[object]]:
    async def work(rows: int) -> None:
        await p.chained(flow.wrap(range(rows)), depth)

    return work


async def _classic(rows: int) -> None:
    await p.classic_chain(rows, 1)


async def _async_for(rows: int) -> None:
    async for _ in flow.wrap(range(rows)) | p.plain:
        pass


async def _blocks(rows: int) -> None:
    async for _ in (flow.wrap(range(rows)) | p.plain).blocks():
        pass


async def _merge(rows: int) -> None:
    await flow.Merge(*[flow.wrap(p.plain(part)) for part in p.parts(2, rows)])


async def _ready(rows: int) -> None:
    await flow.Merge(*p.parts(2, rows))


async def _async_stage(rows: int) -> None:
    await (flow.wrap(range(rows)) | p.native)


async def _buffer(rows: int) -> None:
    await flow.wrap(range(rows)).buffer(64)


def _waiting(rows: Any) -> Any:
    for row in rows:
        flow.wait(asyncio.sleep(0))
        yield row


def _cooperating(rows: Any) -> Any:
    for row in rows:
        flow.cooperate()
        yield row


async def _pause(rows: int) -> None:
    await (flow.wrap(range(rows)) | _waiting)


async def _turn(rows: int) -> None:
    await (flow.wrap(range(rows)) | _cooperating)


ONE = flow.wrap([1])


async def _run(runs: int) -> None:
    for _ in range(runs):
        await ONE


async def _lines(rows: int) -> None:
    await (flow.wrap(text(rows)[1]) | flow.lines())


PATHS = [
    Path("plain-1", "a row through 1 plain stage", 40_000, _chain(1)),
    Path("plain-10", "a row through 10 plain stages", 5_000, _chain(10)),
    Path("classic", "a row through 1 classic stage", 1_000, _classic),
    Path("async-for", "a step of `async for`", 1_000, _async_for),
    Path("blocks", "a row of `.blocks()`", 20_000, _blocks),
    Path("merge", "a row of two generators merged", 1_000, _merge),
    Path("ready", "a row of two lists merged", 10_000, _ready),
    Path("async-stage", "a row through an async generator", 1_000, _async_stage),
    Path("buffer", "a row through a buffer, `await`", 30_000, _buffer),
    Path("pause", "a pause and going on: flow.wait(asyncio.sleep(0))", 300, _pause),
    Path("turn", "a turn for the loop: flow.cooperate()", 300, _turn),
    Path("run", "start and end of a run of one row", 200, _run),
    Path("lines", "a line out of pieces", 40_000, _lines, text),
]


def run(paths: Iterable[Path]) -> None:
    """Marks each boundary by a call of libc's getsid, before which callgrind writes down what it counted so far."""
    gc.disable()
    with asyncio.Runner(loop_factory=Still) as runner:
        for path in paths:
            path.prepare(path.rows)
            path.prepare(2 * path.rows)
            for rows in (path.rows, path.rows, 2 * path.rows):
                runner.run(_once(path, rows))
                gc.collect()
                os.getsid(0)


async def _once(path: Path, rows: int) -> None:
    await path.work(rows)


if __name__ == "__main__":
    run(path for path in PATHS if path.name in sys.argv[1:])
