"""What is compared with what: several inputs at once, and calls side by side.

What may live here: the workloads of merge, zip and their kin, and of concurrent `map` and `flat_map`. The first
contestant of each is the reference.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import flow

from . import peers_pull as pull
from . import peers_push as push
from . import pieces as p
from .jobs import awaiting, coroutine, peer, plainly, reading, totals
from .measure import Contestant, Goal, Workload

__all__ = ["inputs"]

MERGE = Goal(1 / 20, "{speed} times the rows a second ({ratio})")
MERGE_STEPS = Goal(6, "less than {ratio} steps of a generator")
MERGE_MANY = Goal(1 / 8, "{speed} times the rows a second ({ratio})")
CALLS = Goal(1 / 15, "{speed} times the rows a second ({ratio})")


def inputs() -> list[Workload]:
    return [*_merges(), *_waiting(), *_in_order(), *_calls(), *_flat_map()]


def _of_parts(combine: Callable[..., Any], inputs: int, rows: int) -> flow.Stage[Any]:
    stage: flow.Stage[Any] = combine(*p.parts(inputs, rows))
    return stage


def _of_generators(inputs: int, rows: int) -> flow.Stage[Any]:
    """A merge of inputs that do something for each row, as those of the others do."""
    return flow.Merge(*[flow.wrap(partial(p.plain, part)) for part in p.parts(inputs, rows)])


def _merged_by_hand(inputs: int, rows: int, source: Any = p.each_async) -> Any:
    return p.merged_by_hand([source(part) for part in p.parts(inputs, rows)])


# --------------------------------------------------------------------------------------------------------------------
# Merge: the order between the inputs is not part of the result


def _merges() -> Iterator[Workload]:
    two = partial(_of_generators, 2)
    lists = partial(_of_parts, flow.Merge, 2)
    yield Workload(
        "merge",
        "two ready inputs merged, read with `async for`",
        [
            peer("aiostream", "aiostream: merge", reading(_aiostream(2), pull.stream_totals)),
            Contestant("flow: async for row in Merge", reading(two, p.atotal), goal=MERGE),
            Contestant("flow: the same, of rows that are there", reading(lists, p.atotal)),
            Contestant("by hand: two tasks and a queue", reading(partial(_merged_by_hand, 2), p.atotal), share=0.2),
            peer("aioitertools", "aioitertools: as_generated", reading(_aioitertools(2), p.atotal), share=0.1),
            peer("streamable", "streamable: flatten(concurrency=2)", reading(_streamable(2), p.atotal)),
        ],
        share=0.2,
    )
    yield Workload(
        "merge-list",
        "two ready inputs merged, all rows into a list",
        [
            peer("aiostream", "aiostream: merge", reading(_aiostream(2), pull.stream_rows)),
            Contestant("flow: await Merge", awaiting(two), goal=MERGE),
            Contestant("flow: the same, of rows that are there", awaiting(lists)),
            peer("reactivex", "reactivex: merge", plainly(partial(push.reactivex_combined, "merge", 2)), share=0.1),
            peer("streamz", "streamz: union", plainly(partial(push.streamz_merged, 2)), share=0.1),
            peer("tubes", "tubes: fan.In", plainly(partial(push.tubes_merged, 2)), share=0.1),
        ],
        share=0.2,
        normal=totals,
    )
    yield Workload(
        "merge-steps",
        "two ready inputs merged, beside the steps of one bare generator",
        [
            Contestant("bare generator: list(gen)", plainly(lambda rows: list(p.plain(range(rows))))),
            Contestant("flow: await Merge", awaiting(two), goal=MERGE_STEPS),
            Contestant("flow: async for row in Merge", reading(two, p.atotal)),
        ],
        share=0.2,
        normal=totals,
    )
    for inputs in (10, 1000):
        many = inputs > 10  # most of the time goes into opening the inputs
        yield Workload(
            f"merge-{inputs}",
            f"{inputs:,} ready inputs merged, all rows into a list",
            [
                peer(
                    "aiostream",
                    "aiostream: merge",
                    reading(_aiostream(inputs), pull.stream_rows),
                    share=1 if many else 0.05,
                ),
                Contestant(
                    "flow: await Merge",
                    awaiting(partial(_of_generators, inputs)),
                    goal=None if many else MERGE_MANY,
                ),
                Contestant(
                    "by hand: tasks and a queue",
                    reading(partial(_merged_by_hand, inputs), pull.listed),
                    share=1 if many else 0.2,
                ),
            ],
            share=0.02 if many else 0.2,
            normal=totals,
        )


def _waiting() -> Iterator[Workload]:
    for inputs in (2, 10, 1000):
        yield Workload(
            f"merge-waiting-{inputs}",
            f"{inputs:,} inputs merged, each of which gives the loop a turn before each row",
            [
                Contestant(
                    "by hand: tasks and a queue",
                    reading(partial(_merged_by_hand, inputs, source=p.turning_async), p.atotal),
                ),
                Contestant("flow: plain inputs, cooperate()", reading(partial(_turning, inputs, p.turning), p.atotal)),
                Contestant("flow: async inputs", reading(partial(_turning, inputs, p.turning_async), p.atotal)),
                peer(
                    "aiostream",
                    "aiostream: merge",
                    reading(_aiostream(inputs, source=p.turning_async), pull.stream_totals),
                    share=0.5 if inputs < 1000 else 1,
                ),
                peer(
                    "streamable",
                    f"streamable: flatten(concurrency={inputs})",
                    reading(_streamable(inputs, source=p.turning_async), p.atotal),
                    share=0.5 if inputs < 1000 else 1,
                ),
                peer(
                    "aioitertools",
                    "aioitertools: as_generated (it polls)",
                    reading(_aioitertools(inputs, source=p.turning_async), p.atotal),
                    share=0.05 if inputs < 1000 else 1,
                ),
            ],
            share=0.01,
        )


def _turning(inputs: int, source: Any, rows: int) -> flow.Stage[Any]:
    return flow.Merge(*[flow.wrap(partial(source, part)) for part in p.parts(inputs, rows)])


def _aiostream(inputs: int, source: Any = p.each_async) -> Callable[[int], Any]:
    return lambda rows: pull.aiostream_combined("merge", inputs, rows, source)


def _streamable(inputs: int, source: Any = p.each_async) -> Callable[[int], Any]:
    return lambda rows: pull.streamable_merged(inputs, rows, source)


def _aioitertools(inputs: int, source: Any = p.each_async) -> Callable[[int], Any]:
    return lambda rows: pull.aioitertools_merged(inputs, rows, source)


# --------------------------------------------------------------------------------------------------------------------
# Zip, chain, merge_sorted


def _in_order() -> Iterator[Workload]:
    kinds: tuple[tuple[str, Any, Any, list[Contestant]], ...] = (
        ("zip", flow.Zip, zip, _zips()),
        ("chain", flow.chain, itertools.chain, _joins()),
        ("merge-sorted", flow.merge_sorted, heapq.merge, _sorted()),
    )
    for name, ours, limit, peers in kinds:
        yield Workload(
            name,
            f"4 ready inputs, {name}, all rows into a list",
            [
                Contestant(f"{limit.__module__}.{limit.__name__}", plainly(partial(_limit, limit))),
                Contestant(f"flow: await {ours.__name__}", awaiting(partial(_of_parts, ours, 4))),
                *peers,
            ],
            share=0.2,
        )


def _limit(combine: Callable[..., Any], rows: int) -> list[Any]:
    return list(combine(*p.parts(4, rows)))


def _asyncstdlib(combine: str) -> Contestant:
    make = partial(pull.asyncstdlib_combined, combine)
    return peer("asyncstdlib", f"asyncstdlib: {combine}", reading(make, pull.listed), share=0.2)


def _both_async(combine: str) -> list[Contestant]:
    return [
        peer(
            "aiostream",
            f"aiostream: {combine}",
            reading(lambda rows: pull.aiostream_combined(combine, 4, rows), pull.stream_rows),
        ),
        _asyncstdlib(combine),
        peer(
            "aioitertools",
            f"aioitertools: {combine}",
            reading(partial(pull.aioitertools_combined, combine), pull.listed),
            share=0.1,
        ),
    ]


def _zips() -> list[Contestant]:
    return [
        *_both_async("zip"),
        # It takes all rows of a ready input before it asks the next: what it holds grows, and each row with it.
        peer("reactivex", "reactivex: zip", plainly(partial(push.reactivex_combined, "zip", 4)), share=0.01),
        peer("streamz", "streamz: zip", plainly(push.streamz_zipped)),
    ]


def _joins() -> list[Contestant]:
    return [
        *_both_async("chain"),
        peer("streamable", "streamable: flatten", plainly(lambda rows: list(pull.streamable_joined(rows))), share=0.3),
        peer("reactivex", "reactivex: concat", plainly(partial(push.reactivex_combined, "concat", 4)), share=0.1),
    ]


def _sorted() -> list[Contestant]:
    return [_asyncstdlib("merge")]  # which the others do not have


# --------------------------------------------------------------------------------------------------------------------
# Concurrent calls


def _calls() -> Iterator[Workload]:
    for name, f, title, goal in (
        ("calls", p.next_number, "an async function that is ready at once", CALLS),
        ("calls-turn", p.next_number_later, "an async function that gives the loop a turn", None),
    ):
        yield Workload(
            name,
            f"{title}, 8 calls at a time, in order, read with `async for`",
            [
                peer(
                    "aiostream",
                    "aiostream: map(task_limit=8)",
                    reading(partial(pull.aiostream_calls, f), pull.read_stream),
                ),
                Contestant("flow: map(f, concurrency=8)", reading(partial(_called, f)), goal=goal),
                Contestant("flow: map(f), one call at a time", reading(partial(_called, f, concurrency=1))),
                Contestant("by hand: a task for each row", reading(partial(p.calls_by_hand, f)), share=0.5),
                peer(
                    "streamable",
                    "streamable: map(f, concurrency=8)",
                    reading(partial(pull.streamable_calls, f)),
                    share=0.1,
                ),
                peer("streamz", "streamz: map_async(parallelism=8)", coroutine(partial(push.streamz_calls, f))),
            ],
            share=0.1,
        )
    f = p.next_number_later
    unordered: dict[str, Any] = {"ordered": False}
    yield Workload(
        "calls-unordered",
        "an async function that gives the loop a turn, 8 calls at a time, as they finish",
        [
            peer(
                "aiostream",
                "aiostream: map(task_limit=8, ordered=False)",
                reading(partial(pull.aiostream_calls, f, **unordered), pull.stream_totals),
            ),
            Contestant(
                "flow: map(f, concurrency=8, ordered=False)", reading(partial(_called, f, **unordered), p.atotal)
            ),
            peer(
                "streamable",
                "streamable: map(f, 8, as_completed=True)",
                reading(partial(pull.streamable_calls, f, **unordered), p.atotal),
                share=0.1,
            ),
            peer("reactivex", "reactivex: merge(max_concurrent=8)", coroutine(partial(push.reactivex_calls, f))),
            peer("twisted", "Twisted: a Cooperator, 8 tasks", coroutine(partial(push.cooperator_calls, f)), share=0.1),
        ],
        share=0.1,
        normal=totals,
    )


def _called(f: Any, rows: int, concurrency: int = 8, ordered: bool = True) -> flow.Stage[int]:
    return flow.wrap(range(rows)).map(f, concurrency=concurrency, ordered=ordered)


def _flat_map() -> Iterator[Workload]:
    yield Workload(
        "flat-map",
        "sources of 100 rows, 8 of them read at a time, read with `async for`",
        [
            peer("aiostream", "aiostream: flatmap(task_limit=8)", reading(pull.aiostream_parts, pull.stream_totals)),
            Contestant("flow: flat_map(f, concurrency=8)", reading(_parts, p.atotal)),
            Contestant("flow: flat_map(f), one source at a time", reading(partial(_parts, concurrency=1), p.atotal)),
            peer("streamable", "streamable: flatten(concurrency=8)", reading(pull.streamable_parts, p.atotal)),
        ],
        share=0.2,
    )


def _parts(rows: int, concurrency: int = 8) -> flow.Stage[int]:
    return flow.wrap(p.hundreds(rows)).flat_map(range, concurrency=concurrency)
