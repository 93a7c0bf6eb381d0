"""The workloads: what is compared with what. The first contestant of each is the reference.

What may live here: the list of workloads, one function for each group. What does the work is in `pieces.py`.
"""

from __future__ import annotations

import asyncio
import atexit
from collections.abc import Callable, Iterator
from functools import cache, partial
from importlib.util import find_spec
from typing import Any

import flow

from . import pieces as p
from .echo import Load
from .measure import Contestant, Goal, Workload

__all__ = ["workloads"]

Job = Callable[[], Any]

TEN = Goal(1.15, "at most 1.15 of bare", rows=1_000_000)
ECHO = Goal(1 / 0.7, "0.7 of the trips a second (1.43)")
MERGE = Goal(1 / 8, "8 times the rows a second (0.125)")


def workloads() -> list[Workload]:
    return [*_chains(), *_async_for(), *_scripts(), *_merges(), *_other_stages(), *_edges(), *_connections(), *_runs()]


# --------------------------------------------------------------------------------------------------------------------
# Jobs: each is prepared for a number of rows


def _listing(depth: int, rows: int) -> Job:
    return lambda: list(p.bare(range(rows), depth))


def _awaiting(make: Callable[[int], flow.Stage[Any]]) -> Callable[[int], Job]:
    """`await stage`: the list of all rows."""

    def prepare(rows: int) -> Job:
        stage = make(rows)

        async def job() -> list[Any]:
            return await stage

        return job

    return prepare


def _reading(make: Callable[[int], Any], reader: Callable[[Any], Any] = p.aread) -> Callable[[int], Job]:
    """`async for` over what `make(rows)` gives."""

    def prepare(rows: int) -> Job:
        async def job() -> Any:
            return await reader(make(rows))

        return job

    return prepare


def _looping(make: Callable[[int], Any]) -> Callable[[int], Job]:
    """`for` over what `make(rows)` gives, in a script."""

    def prepare(rows: int) -> Job:
        return lambda: p.read(make(rows))

    return prepare


def _bare(depth: int, rows: int) -> Any:
    return p.bare(range(rows), depth)


def _flow(depth: int, rows: int) -> flow.Stage[Any]:
    return p.chained(flow.wrap(range(rows)), depth)


def _counted(depth: int, rows: int) -> flow.Stage[Any]:
    return _flow(depth, rows) | p.counting


def _stages(depth: int, kind: str = "") -> str:
    return f"{depth} {kind}stage{'s' * (depth > 1)}"


# --------------------------------------------------------------------------------------------------------------------
# Chains of plain stages


def _chains() -> Iterator[Workload]:
    for depth in (1, 3, 10):
        goal = TEN if depth == 10 else None
        yield Workload(
            f"chain-{depth}",
            f"{_stages(depth, 'plain ')}, all rows into a list",
            [
                Contestant("bare generators: list(chain)", partial(_listing, depth)),
                Contestant("flow: await stage", _awaiting(partial(_flow, depth)), goal=goal),
            ],
        )
        yield Workload(
            f"chain-{depth}-count",
            f"{_stages(depth, 'plain ')}, read by a plain stage that counts",
            [
                Contestant("bare generators", partial(_counting, depth)),
                Contestant("flow: await stage", _awaiting(partial(_counted, depth)), goal=goal),
            ],
        )


def _counting(depth: int, rows: int) -> Job:
    return lambda: list(p.counting(p.bare(range(rows), depth)))


def _async_for() -> Iterator[Workload]:
    for depth in (1, 3, 10):
        yield Workload(
            f"async-for-{depth}",
            f"{_stages(depth)}, read with `async for`",
            [
                Contestant("native async generators", _reading(partial(p.native_chain, depth=depth))),
                Contestant("flow: plain stages", _reading(partial(_flow, depth))),
                Contestant(
                    "aiostream: iterate, map",
                    _reading(partial(p.streamed, depth=depth), p.read_stream),
                    share=0.05,
                    missing=p.MISSING,
                ),
                Contestant("flow: plain stages, .blocks()", _reading(partial(_flow, depth), _read_blocks)),
                Contestant("greenlet: a switch and back, for each row", partial(_switching, depth)),
            ],
            share=0.1,
        )


def _switching(depth: int, rows: int) -> Job:
    return lambda: p.read(p.switched(p.bare(range(rows), depth)))


async def _read_blocks(stage: flow.Stage[Any]) -> tuple[int, Any]:
    number, row = 0, None
    async for block in stage.blocks():
        for row in block:  # noqa: B007 - the last one is returned
            number += 1
    return number, row


def _scripts() -> Iterator[Workload]:
    for depth in (1, 10):
        yield Workload(
            f"for-{depth}",
            f"{_stages(depth, 'plain ')}, read with `for` in a script",
            [
                Contestant("bare generators", _looping(partial(_bare, depth))),
                Contestant("flow: for row in stage", _looping(partial(_flow, depth))),
            ],
        )


# --------------------------------------------------------------------------------------------------------------------
# Merge


def _merged(rows: int) -> flow.Stage[Any]:
    return flow.Merge(range(0, rows, 2), range(1, rows, 2))


def _streamed(rows: int) -> Any:
    return p.streamed_merge(p.ticks((rows + 1) // 2), p.ticks(rows // 2))


def _sums(result: Any) -> Any:
    """The order between the inputs is not part of the result."""
    return sorted(result) if isinstance(result, list) else result[0]


def _merges() -> Iterator[Workload]:
    slow = 0.05
    yield Workload(
        "merge",
        "two ready inputs merged, read with `async for`",
        [
            Contestant("aiostream: merge", _reading(_streamed, p.read_stream), share=slow, missing=p.MISSING),
            Contestant("flow: async for row in Merge", _reading(_merged), goal=MERGE),
        ],
        share=0.2,
        normal=_sums,
    )
    yield Workload(
        "merge-list",
        "two ready inputs merged, all rows into a list",
        [
            Contestant("aiostream: merge", _reading(_stream_both, p.stream_rows), share=slow, missing=p.MISSING),
            Contestant("flow: await Merge", _awaiting(_merged), goal=MERGE),
        ],
        share=0.2,
        normal=_sums,
    )


def _stream_both(rows: int) -> Any:
    return p.streamed_merge(_numbers(0, rows), _numbers(1, rows))


async def _numbers(start: int, rows: int) -> Any:
    for row in range(start, rows, 2):
        yield row


# --------------------------------------------------------------------------------------------------------------------
# Classic and async stages


def _other_stages() -> Iterator[Workload]:
    for depth in (1, 3):
        yield Workload(
            f"classic-{depth}",
            f"{_stages(depth, 'classic ')} (`yield source`, next), all rows into a list",
            [
                Contestant("bare generators: list(chain)", partial(_listing, depth)),
                Contestant("flow: await stage", _awaiting(partial(p.classic_chain, depth=depth))),
            ],
            share=0.05,
        )
    yield Workload(
        "async-stage",
        "one async generator as a stage",
        [
            Contestant("native: async for over two async generators", _reading(partial(p.native_chain, depth=2))),
            Contestant("flow: async for row in rows | async_gen", _reading(_async_stage)),
            Contestant("flow: the same, read by a plain stage", _reading(_async_stage, _count)),
        ],
        share=0.05,
        normal=lambda result: result[0],
    )


def _async_stage(rows: int) -> flow.Stage[Any]:
    return flow.wrap(range(rows)) | p.native


async def _count(stage: flow.Stage[Any]) -> list[int]:
    return await (stage | p.counting)


# --------------------------------------------------------------------------------------------------------------------
# Edges: threads, queries, lines


def _edges() -> Iterator[Workload]:
    yield Workload(
        "threaded",
        "an iterable read in a thread",
        [
            Contestant("no thread: a plain loop", _looping(range)),
            Contestant("flow: async for row in Threaded(range)", _reading(lambda rows: flow.Threaded(range(rows)))),
            Contestant(
                "a thread and a queue, by hand", _looping(lambda rows: p.through_a_queue(range(rows))), share=0.2
            ),
            Contestant("flow: for row in Threaded(range)", _looping(lambda rows: flow.Threaded(range(rows)))),
        ],
        share=0.2,
        threads=True,
    )
    yield Workload(
        "query",
        "a query on a sqlite file, read in a thread",
        [
            Contestant("no thread: for row in cursor", lambda rows: partial(_fetch, p.database(rows))),
            Contestant("flow: for row in wrap(QueryIterator)", _looping(_query)),
            Contestant("flow: async for row in wrap(QueryIterator)", _reading(_query)),
            Contestant("flow: the same, read by a plain stage", _reading(_query, _count)),
        ],
        share=0.5,
        normal=lambda result: result[0],
        threads=True,
    )
    yield Workload(
        "lines",
        "lines out of pieces of 1 to 8,192 bytes",
        [
            Contestant("data.split, all bytes in one piece", _split),
            Contestant("flow: await wrap(pieces) | lines()", _awaiting(_lines)),
            Contestant("flow: lines() alone, in a list", lambda rows: lambda: list(flow.lines()(p.text(rows)[1]))),
        ],
        share=0.5,
        unit="line",
    )


def _fetch(connect: Any) -> tuple[int, Any]:
    return p.read(p.fetched(connect))


def _query(rows: int) -> flow.Stage[Any]:
    return flow.wrap(flow.QueryIterator(p.database(rows), p.SQL))


def _split(rows: int) -> Job:
    data, _ = p.text(rows)
    return lambda: data.split(b"\n")


def _lines(rows: int) -> flow.Stage[Any]:
    return flow.wrap(p.text(rows)[1]) | flow.lines()


# --------------------------------------------------------------------------------------------------------------------
# Runs and waits


def _connections() -> Iterator[Workload]:
    trouble = "" if find_spec("twisted") else "not installed: pip install twisted"
    yield Workload(
        "echo",
        "1,000 connections to an echo server in a process of its own, each with 64 bytes on their way",
        [
            Contestant("Twisted: a bare Protocol", partial(_echoed, "bare"), missing=trouble),
            Contestant("flow: for piece in conn: yield piece", partial(_echoed, "plain"), goal=ECHO, missing=trouble),
            Contestant("flow: classic, yield conn", partial(_echoed, "classic"), missing=trouble),
            Contestant("Twisted: a coroutine and a DeferredQueue", partial(_echoed, "coroutines"), missing=trouble),
            Contestant("asyncio: streams", partial(_echoed, "asyncio")),
        ],
        share=0.03,
        unit="trip",
        threads=True,
    )


@cache
def _server(kind: str) -> Load:
    """One of each kind, from its first use to the end of the program."""
    load = Load(kind, 1000)
    atexit.register(load.close)
    return load


def _echoed(kind: str, trips: int) -> Job:
    load = _server(kind)
    return lambda: (load.go(trips), load.wrong)


def _runs() -> Iterator[Workload]:
    yield Workload(
        "run",
        "starting and ending a run of one row",
        [
            Contestant("native: [row async for row in async_gen]", _repeated(_native_one)),
            Contestant("flow: await wrap([1])", _repeated(_flow_one)),
            Contestant("aiostream: list(just(1))", _repeated(p.stream_one), share=0.2, missing=p.MISSING),
            Contestant("flow: await stage, made before", _repeated(_read_one)),
        ],
        share=0.005,
        unit="run",
        normal=lambda result: result[0],
    )
    yield Workload(
        "pause",
        "giving the loop one turn",
        [
            Contestant("native: await asyncio.sleep(0)", _sleeping),
            Contestant("flow: flow.cooperate()", _awaiting(partial(_pausing, flow.cooperate))),
            Contestant(
                "flow: flow.wait(asyncio.sleep(0))",
                _awaiting(partial(_pausing, lambda: flow.wait(asyncio.sleep(0)))),
            ),
        ],
        share=0.02,
        unit="pause",
    )


async def _native_one() -> list[int]:
    return [row async for row in p.ticks(1)]


async def _flow_one() -> list[int]:
    return await flow.wrap([1])


_ONE = flow.wrap([1])


async def _read_one() -> list[int]:
    return await _ONE


def _repeated(once: Callable[[], Any]) -> Callable[[int], Job]:
    def prepare(runs: int) -> Job:
        async def job() -> tuple[int]:
            number = 0
            for _ in range(runs):
                number += len(await once())
            return (number // runs,)

        return job

    return prepare


def _sleeping(pauses: int) -> Job:
    async def job() -> list[int]:
        for _ in range(pauses):
            await asyncio.sleep(0)
        return [pauses]

    return job


def _pausing(pause: Callable[[], object], pauses: int) -> flow.Stage[int]:
    def rows(numbers: Any) -> Iterator[int]:
        for number in numbers:
            for _ in range(number):
                pause()
            yield number

    return flow.wrap([pauses]) | rows
