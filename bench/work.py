"""The workloads: what is compared with what. The first contestant of each is the reference.

What may live here: the list of workloads, one function for each group. What does the work is in `pieces.py`.
"""

from __future__ import annotations

import asyncio
import atexit
import heapq
import itertools
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
CALLS = Goal(1 / 8, "8 times the rows a second (0.125)")
BUFFER = Goal(1 / 5, "5 times the rows a second (0.2)")
BATCHES = Goal(1.5, "at most 1.5 of itertools.batched")


def workloads() -> list[Workload]:
    return [
        *_chains(),
        *_async_for(),
        *_scripts(),
        *_merges(),
        *_several_inputs(),
        *_calls(),
        *_buffers(),
        *_batches(),
        *_other_stages(),
        *_edges(),
        *_connections(),
        *_runs(),
    ]


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


def _several_inputs() -> Iterator[Workload]:
    slow = 0.05
    for inputs in (10, 1000):
        yield Workload(
            f"merge-{inputs}",
            f"{inputs:,} ready inputs merged, all rows into a list",
            [
                Contestant(
                    "aiostream: merge",
                    _reading(partial(p.streamed_parts_of, "merge", inputs), p.stream_rows),
                    share=slow if inputs < 1000 else 1,
                    missing=p.MISSING,
                ),
                Contestant(
                    "flow: await Merge",
                    _awaiting(partial(_of_parts, flow.Merge, inputs)),
                    goal=MERGE if inputs < 1000 else None,  # most of the time goes into opening the inputs
                ),
            ],
            share=0.2 if inputs < 1000 else 0.02,
            normal=sorted,
        )
    for name, ours, limit in (
        ("zip", flow.Zip, zip),
        ("chain", flow.chain, itertools.chain),
        ("merge-sorted", flow.merge_sorted, heapq.merge),
    ):
        contestants = [
            Contestant(f"{limit.__module__}.{limit.__name__}", partial(_limit, limit)),
            Contestant(f"flow: await {ours.__name__}", _awaiting(partial(_of_parts, ours, 4))),
        ]
        if name != "merge-sorted":  # which aiostream has not
            contestants.append(
                Contestant(
                    f"aiostream: {name}",
                    _reading(partial(p.streamed_parts_of, name, 4), p.stream_rows),
                    share=slow,
                    missing=p.MISSING,
                )
            )
        yield Workload(name, f"4 ready inputs, {name}, all rows into a list", contestants, share=0.2)


def _of_parts(combine: Callable[..., Any], inputs: int, rows: int) -> flow.Stage[Any]:
    stage: flow.Stage[Any] = combine(*p.parts(inputs, rows))
    return stage


def _limit(combine: Callable[..., Any], rows: int) -> Job:
    return lambda: list(combine(*p.parts(4, rows)))


# --------------------------------------------------------------------------------------------------------------------
# Buffers, and one source for several readers


def _buffers() -> Iterator[Workload]:
    yield Workload(
        "buffer",
        "a ready source, read through a buffer of 64 rows",
        [
            Contestant("by hand: asyncio.Queue(64), a row at a time", _coroutine(p.through_an_asyncio_queue)),
            Contestant("flow: await rows.buffer(64)", _awaiting(_buffered), goal=BUFFER),
            Contestant("flow: .blocks() of it", _reading(_buffered, _read_blocks)),
            Contestant("flow: async for row in it", _reading(_buffered)),
            Contestant("flow: for row in it, in a script", _looping(_buffered)),
        ],
        share=0.2,
        normal=_last,
    )
    yield Workload(
        "share",
        "a ready source for two readers of one flow, in step",
        [
            Contestant("by hand: zip(*itertools.tee(rows))", lambda rows: lambda: p.read(p.teed(rows))),
            Contestant("flow: zip(*rows.tee())", _looping(_teed)),
            Contestant("flow: zip(shared, shared)", _looping(_shared)),
        ],
        share=0.2,
        normal=_last,
    )


def _buffered(rows: int) -> flow.Stage[int]:
    return flow.wrap(range(rows)).buffer(64)


def _teed(rows: int) -> Any:
    return zip(*flow.wrap(range(rows)).tee(limit=64), strict=True)


def _shared(rows: int) -> Any:
    shared = flow.wrap(range(rows)).share(1, limit=64)
    return zip(shared, shared, strict=True)


def _coroutine(f: Callable[[int], Any]) -> Callable[[int], Job]:
    """``await f(rows)``."""

    def prepare(rows: int) -> Job:
        async def job() -> Any:
            return await f(rows)

        return job

    return prepare


def _last(result: Any) -> tuple[int, Any]:
    """The number of rows, and the last one."""
    return (len(result), result[-1]) if isinstance(result, list) else result


# --------------------------------------------------------------------------------------------------------------------
# Concurrent calls


def _calls() -> Iterator[Workload]:
    slow = 0.05
    for name, f, title, goal in (
        ("calls", p.next_number, "an async function that is ready at once", CALLS),
        ("calls-turn", p.next_number_later, "an async function that gives the loop a turn", None),
    ):
        yield Workload(
            name,
            f"{title}, 8 calls at a time, in order, read with `async for`",
            [
                Contestant(
                    "aiostream: map(task_limit=8)",
                    _reading(partial(p.streamed_calls, f), p.read_stream),
                    share=slow,
                    missing=p.MISSING,
                ),
                Contestant("flow: map(f, concurrency=8)", _reading(partial(_called, f)), goal=goal),
                Contestant("flow: map(f), one call at a time", _reading(partial(_called, f, concurrency=1))),
                Contestant("by hand: a task for each row", _reading(partial(p.calls_by_hand, f)), share=0.5),
            ],
            share=0.2,
        )
    yield Workload(
        "flat-map",
        "sources of 100 rows, 8 of them read at a time, read with `async for`",
        [
            Contestant(
                "aiostream: flatmap(task_limit=8)",
                _reading(p.streamed_parts, p.read_stream),
                share=slow,
                missing=p.MISSING,
            ),
            Contestant("flow: flat_map(f, concurrency=8)", _reading(_parts)),
            Contestant("flow: flat_map(f), one source at a time", _reading(partial(_parts, concurrency=1))),
        ],
        share=0.2,
        normal=lambda result: result[0],
    )


def _called(f: Any, rows: int, concurrency: int = 8) -> flow.Stage[int]:
    return flow.wrap(range(rows)).map(f, concurrency=concurrency)


def _parts(rows: int, concurrency: int = 8) -> flow.Stage[int]:
    return flow.wrap(p.hundreds(rows)).flat_map(range, concurrency=concurrency)


# --------------------------------------------------------------------------------------------------------------------
# Batches


def _batches() -> Iterator[Workload]:
    """Of the same source of flow's: what the stage costs. The last line is what the source costs, too."""
    for kind, bare in (("generator", p.numbers), ("list", p.listed)):
        yield Workload(
            f"batched-{kind}",
            f"batches of 100 rows of a {kind} that is always ready, all into a list",
            [
                Contestant(
                    "itertools.batched (3.11: its recipe) behind `|`", _awaiting(partial(_batched, bare, "std"))
                ),
                Contestant("flow: rows.batched(100)", _awaiting(partial(_batched, bare, "n"))),
                Contestant(
                    "flow: rows.batched(100, within=1)", _awaiting(partial(_batched, bare, "within")), goal=BATCHES
                ),
                Contestant("no flow: itertools.batched over the bare rows", partial(_batched_by_hand, bare)),
            ],
            normal=lambda batches: (len(batches), batches[-1]),
        )


def _batched(bare: Callable[[int], Any], kind: str, rows: int) -> flow.Stage[Any]:
    source: flow.Stage[Any] = flow.wrap(partial(bare, rows) if bare is p.numbers else bare(rows))
    if kind == "std":
        return source | partial(p.batched, n=100)
    return source.batched(100) if kind == "n" else source.batched(100, within=1)


def _batched_by_hand(bare: Callable[[int], Any], rows: int) -> Job:
    made = bare(rows) if bare is p.listed else None
    return lambda: list(p.batched(made or bare(rows), 100))


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
