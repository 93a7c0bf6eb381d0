"""What is compared with what: where rows come from, and how they go round: sources, batches, buffers, shared sources.

What may live here: the workloads of one input whose work is at that input or at the reader. The first contestant of
each is the reference.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from itertools import chain
from typing import Any

import flow

from . import limits
from . import peers_pull as pull
from . import peers_push as push
from . import pieces as p
from .jobs import Prepare, awaiting, coroutine, last, looping, peer, plainly, reading, reading_blocks
from .measure import Contestant, Goal, Workload

__all__ = ["sources"]

BLOCKS = Goal(1.1, "at most {ratio} of chain.from_iterable")
BUFFER = Goal(1 / 5, "{speed} times the rows a second ({ratio})")
BATCHES = Goal(1.5, "at most {ratio} of itertools.batched")


def sources() -> list[Workload]:
    return [*_read(), *_pushed(), *_blocks(), *_threads(), *_buffers(), *_batches()]


# --------------------------------------------------------------------------------------------------------------------
# Sources


def _read() -> Iterator[Workload]:
    kinds: tuple[tuple[str, Callable[[int], Any], Callable[[int], flow.Stage[Any]]], ...] = (
        ("list", p.listed, lambda rows: flow.wrap(p.listed(rows))),
        ("generator", p.numbers, lambda rows: flow.wrap(partial(p.numbers, rows))),
    )
    for kind, bare, ours in kinds:
        yield Workload(
            f"source-{kind}",
            f"a {kind} without a stage, read row by row",
            [
                Contestant("bare: for row in it", looping(bare)),
                Contestant("flow: for row in wrap(it), in a script", looping(ours)),
                Contestant("flow: async for row in wrap(it)", reading(ours), share=0.2),
                peer("streamable", "streamable: for row in stream(it)", looping(_streamable(bare)), share=1),
                peer("aiostream", "aiostream: iterate", reading(_aiostream(bare), pull.read_stream), share=0.02),
            ],
            share=0.5,
        )
    yield Workload(
        "source-async",
        "an async generator without a stage",
        [
            Contestant("native: async for row in async_gen()", reading(p.ticks)),
            Contestant("flow: async for row in wrap(async_gen)", reading(_wrapped_ticks)),
            Contestant("flow: for row in it, in a script", looping(_wrapped_ticks)),
            peer("streamable", "streamable: async for row in stream(it)", reading(_streamable(p.ticks)), share=1),
            peer("aiostream", "aiostream: iterate", reading(_aiostream(p.ticks), pull.read_stream), share=0.2),
        ],
        share=0.05,
    )


def _wrapped_ticks(rows: int) -> flow.Stage[int]:
    return flow.wrap(partial(p.ticks, rows))


def _streamable(make: Callable[[int], Any]) -> Callable[[int], Any]:
    return lambda rows: pull.streamable_of(make(rows))


def _aiostream(make: Callable[[int], Any]) -> Callable[[int], Any]:
    return lambda rows: pull.aiostream_of(make(rows))


def _pushed() -> Iterator[Workload]:
    yield Workload(
        "source-callback",
        "rows that are pushed, 64 in each turn of the loop",
        [
            Contestant("by hand: put_nowait, await get", coroutine(p.pushed_by_hand)),
            Contestant("flow: Callback.result, async for", coroutine(_through_a_callback)),
            Contestant(
                "flow: Callback.result, .blocks()", coroutine(partial(_through_a_callback, reader=reading_blocks))
            ),
            peer("reactivex", "reactivex: Subject (no reader waits)", _pushing(push.reactivex_pushed), share=0.5),
            peer("streamz", "streamz: emit, sink (no reader waits)", _pushing(push.streamz_pushed), share=0.2),
        ],
        share=0.2,
    )


async def _through_a_callback(rows: int, reader: Any = p.aread) -> Any:
    ticks: flow.Callback[int] = flow.Callback(limit=1000)
    pushing = asyncio.create_task(p.push_in_turns(ticks.result, rows, ticks.finish))
    result = await reader(ticks)
    await pushing
    return result


def _pushing(make: Callable[[], Any]) -> Prepare:
    async def job(rows: int) -> Any:
        take, result = make()
        await p.push_in_turns(take, rows, lambda: None)
        return result()

    return coroutine(job)


def _blocks() -> Iterator[Workload]:
    yield Workload(
        "blocks",
        "rows that come in blocks of 1,000, all rows into a list",
        [
            Contestant("itertools.chain.from_iterable", _of_blocks(lambda blocks: list(chain.from_iterable(blocks)))),
            Contestant("flow: blocks | chain.from_iterable", _of_blocks(_flattened), goal=BLOCKS),
            Contestant(
                "no flow: the same, in slices", _of_blocks(lambda blocks: limits.in_slices(chain.from_iterable(blocks)))
            ),
            Contestant("flow: blocks.flat_map(f)", _of_blocks(_flat_mapped), share=0.3),
            peer("streamable", "streamable: flatten", _of_blocks(lambda it: list(pull.streamable_flat(it))), share=0.3),
            peer("reactivex", "reactivex: concat_map", _of_blocks(push.reactivex_flat)),
            peer("streamz", "streamz: flatten", _of_blocks(push.streamz_flat)),
            peer("asyncstdlib", "asyncstdlib: chain.from_iterable", _of_blocks(_listed(pull.asyncstdlib_flat))),
            peer("aioitertools", "aioitertools: chain.from_iterable", _of_blocks(_listed(pull.aioitertools_flat))),
            peer("aiostream", "aiostream: concatmap", _of_blocks(_streamed), share=0.02),
        ],
        normal=last,
    )


def _of_blocks(f: Callable[[list[list[int]]], Any]) -> Prepare:
    """The blocks are made before. A coroutine, so that all of them pay alike for the loop that is there."""

    def prepare(rows: int) -> Any:
        blocks = [list(range(first, min(first + 1000, rows))) for first in range(0, rows, 1000)]

        async def job() -> Any:
            result = f(blocks)
            return result if isinstance(result, list) else await result

        return job

    return prepare


def _flattened(blocks: list[list[int]]) -> flow.Stage[int]:
    return flow.wrap(blocks) | chain.from_iterable


def _flat_mapped(blocks: list[list[int]]) -> flow.Stage[int]:
    return flow.wrap(blocks).flat_map(lambda rows: rows)


def _listed(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda blocks: pull.listed(make(blocks))


def _streamed(blocks: list[list[int]]) -> Any:
    return pull.stream_rows(pull.aiostream_flat(blocks))


def _threads() -> Iterator[Workload]:
    yield Workload(
        "threaded",
        "an iterable read in a thread",
        [
            Contestant("no thread: a plain loop", looping(range)),
            Contestant("flow: async for row in Threaded(range)", reading(_threaded)),
            Contestant(
                "a thread and a queue, by hand", looping(lambda rows: p.through_a_queue(range(rows))), share=0.2
            ),
            Contestant("flow: for row in Threaded(range)", looping(_threaded)),
        ],
        share=0.2,
        threads=True,
    )


def _threaded(rows: int) -> flow.Stage[int]:
    return flow.Threaded(range(rows))


# --------------------------------------------------------------------------------------------------------------------
# Buffers, and one source for several readers


def _buffers() -> Iterator[Workload]:
    yield Workload(
        "buffer",
        "a ready source, read through a buffer of 64 rows",
        [
            Contestant("by hand: asyncio.Queue(64), a row at a time", coroutine(partial(p.through_queues, depth=1))),
            Contestant("flow: await rows.buffer(64)", awaiting(_buffered), goal=BUFFER),
            Contestant("flow: .blocks() of it", reading(_buffered, reading_blocks)),
            Contestant("flow: async for row in it", reading(_buffered)),
            Contestant("flow: for row in it, in a script", looping(_buffered)),
            peer("streamable", "streamable: buffer(64)", reading(pull.streamable_buffer)),
            peer("streamz", "streamz: buffer(64)", coroutine(push.streamz_buffer)),
        ],
        share=0.2,
        normal=last,
    )
    yield Workload(
        "share",
        "a ready source for two readers of one flow, in step",
        [
            Contestant("by hand: zip(*itertools.tee(rows))", looping(p.teed)),
            Contestant("flow: zip(*rows.tee())", looping(_teed)),
            Contestant("flow: zip(shared, shared)", looping(_shared)),
            peer("asyncstdlib", "asyncstdlib: tee, zip", reading(pull.asyncstdlib_teed), share=0.1),
            peer("aioitertools", "aioitertools: tee, zip", reading(pull.aioitertools_teed), share=0.02),
            peer("reactivex", "reactivex: publish, zip", plainly(push.reactivex_teed)),
            peer("streamz", "streamz: two branches, zip", plainly(push.streamz_teed)),
        ],
        share=0.2,
        normal=last,
    )


def _buffered(rows: int) -> flow.Stage[int]:
    return flow.wrap(range(rows)).buffer(64)


def _teed(rows: int) -> Any:
    return zip(*flow.wrap(range(rows)).tee(limit=64), strict=True)


def _shared(rows: int) -> Any:
    shared = flow.wrap(range(rows)).share(1, limit=64)
    return zip(shared, shared, strict=True)


# --------------------------------------------------------------------------------------------------------------------
# Batches


def _batches() -> Iterator[Workload]:
    """Of the same source of flow's: what the stage costs. "no flow" is what the source costs, too."""
    for kind, bare in (("generator", p.numbers), ("list", p.listed)):
        yield Workload(
            f"batched-{kind}",
            f"batches of 100 rows of a {kind} that is always ready, all into a list",
            [
                Contestant("itertools.batched (3.11: its recipe) behind `|`", awaiting(partial(_batched, bare, "std"))),
                Contestant("flow: rows.batched(100)", awaiting(partial(_batched, bare, "n"))),
                Contestant(
                    "flow: rows.batched(100, within=1)", awaiting(partial(_batched, bare, "within")), goal=BATCHES
                ),
                Contestant("no flow: itertools.batched over the bare rows", partial(_batched_by_hand, bare)),
                *(_batches_of_peers() if kind == "generator" else ()),
            ],
            normal=lambda batches: (len(batches), tuple(batches[-1])),
        )


def _batched(bare: Callable[[int], Any], kind: str, rows: int) -> flow.Stage[Any]:
    source: flow.Stage[Any] = flow.wrap(partial(bare, rows) if bare is p.numbers else bare(rows))
    if kind == "std":
        return source | partial(p.batched, n=100)
    return source.batched(100) if kind == "n" else source.batched(100, within=1)


def _batched_by_hand(bare: Callable[[int], Any], rows: int) -> Any:
    made = bare(rows) if bare is p.listed else None
    return lambda: list(p.batched(made or bare(rows), 100))


def _batches_of_peers() -> Iterator[Contestant]:
    """streamz is not among them: its `partition` never hands out a last batch that is not full."""
    yield peer("streamable", "streamable: group(100)", plainly(lambda rows: list(pull.streamable_batches(rows))), 0.3)
    yield peer(
        "streamable",
        "streamable: group(100, within=1 second)",
        reading(partial(pull.streamable_batches, within=timedelta(seconds=1)), pull.listed),
        0.005,
    )
    yield peer("reactivex", "reactivex: buffer_with_count(100)", plainly(push.reactivex_batches), 0.02)
    yield peer("asyncstdlib", "asyncstdlib: batched(100)", reading(pull.asyncstdlib_batches, pull.listed), 0.1)
    yield peer("aioitertools", "aioitertools: batched(100)", reading(pull.aioitertools_batches, pull.listed), 0.1)
    yield peer("aiostream", "aiostream: chunks(100)", reading(pull.aiostream_batches, pull.stream_rows), 0.01)
