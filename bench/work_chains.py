"""What is compared with what: chains of stages, and the three ways in which their rows come out.

What may live here: the workloads whose work is one row after the other through stages that do next to nothing, so that
what is between the stages shows. The first contestant of each is the reference.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import flow

from . import limits
from . import peers_pull as pull
from . import peers_push as push
from . import pieces as p
from .jobs import awaiting, coroutine, looping, peer, plainly, reading, reading_blocks, stages
from .measure import Contestant, Goal, Workload

__all__ = ["chains"]

PLAIN = {
    depth: Goal(ratio, "at most {ratio} of bare", rows=1_000_000) for depth, ratio in ((1, 1.15), (3, 1.08), (10, 1.04))
}
ASYNC_FOR = {3: Goal(1.0, "at most {ratio} of native async generators")}
CLASSIC = {10: Goal(3.0, "at most {ratio} of bare")}
ASYNC_STAGE = {1: Goal(1.5, "at most {ratio} of native")}

DEPTHS = (1, 3, 10, 30)


def chains() -> list[Workload]:
    return [*_plain(), *_calls_of_a_function(), *_async_for(), *_scripts(), *_classic(), *_async(), *_mixed()]


def _bare(depth: int, rows: int) -> Any:
    return p.bare(range(rows), depth)


def _counting(depth: int, rows: int) -> list[int]:
    return list(p.counting(_bare(depth, rows)))


def _listing(depth: int, rows: int) -> list[Any]:
    return list(_bare(depth, rows))


def _flow(depth: int, rows: int) -> flow.Stage[Any]:
    return p.chained(flow.wrap(range(rows)), depth)


def _counted(depth: int, rows: int) -> flow.Stage[Any]:
    return _flow(depth, rows) | p.counting


def _switching(depth: int, rows: int) -> tuple[int, Any]:
    return p.read(p.switched(_bare(depth, rows)))


# --------------------------------------------------------------------------------------------------------------------
# Plain stages, and builtins


def _plain() -> Iterator[Workload]:
    for depth in DEPTHS:
        goal, share = PLAIN.get(depth), 1.0 if depth <= 10 else 0.5
        yield Workload(
            f"chain-{depth}",
            f"{stages(depth, 'plain ')}, all rows into a list",
            [
                Contestant("bare generators: list(chain)", plainly(partial(_listing, depth))),
                Contestant("flow: await stage", awaiting(partial(_flow, depth)), goal=goal),
                Contestant("no flow: the same, in slices at both ends", plainly(partial(_in_slices, depth))),
            ],
            share=share,
        )
        yield Workload(
            f"chain-{depth}-count",
            f"{stages(depth, 'plain ')}, read by a plain stage that counts",
            [
                Contestant("bare generators", plainly(partial(_counting, depth))),
                Contestant("flow: await stage", awaiting(partial(_counted, depth)), goal=goal),
                peer("twisted", "Twisted: Cooperator over the generators", _cooperating(depth)),
            ],
            share=share,
            normal=_number,
        )


def _in_slices(depth: int, rows: int) -> list[Any]:
    return limits.in_slices(p.bare(limits.sliced(range(rows)), depth))


def _cooperating(depth: int) -> Any:
    return push.cooperated(partial(_bare, depth))


def _number(result: Any) -> int:
    """How many rows there were, from those that count and from those that say which was the last."""
    number: int = result[0]
    return number


def _calls_of_a_function() -> Iterator[Workload]:
    """The peers' stages are calls of a function: beside them stands the builtin, and flow with the same builtin."""
    for depth in (1, 3, 10):
        yield Workload(
            f"map-{depth}",
            f"{stages(depth)}, a call of a function for each row in each, all rows into a list",
            [
                Contestant("builtins: map", plainly(partial(_mapping, depth))),
                Contestant("flow: rows | partial(map, f)", awaiting(partial(_mapped, depth))),
                Contestant("flow: rows.map(f)", awaiting(partial(_map, depth)), share=0.3),
                peer("streamable", "streamable: map", plainly(partial(_streamable, depth)), share=1),
                peer("reactivex", "reactivex: map", plainly(partial(push.reactivex_chain, depth=depth)), share=0.1),
                peer("streamz", "streamz: map", plainly(partial(push.streamz_chain, depth=depth))),
                peer("tubes", "tubes: a series of receivers", plainly(partial(push.tubes_chain, depth=depth))),
            ],
            share=0.3,
        )


def _mapping(depth: int, rows: int) -> list[Any]:
    return list(p.mapped(range(rows), depth))


def _mapped(depth: int, rows: int) -> flow.Stage[Any]:
    return p.chained(flow.wrap(range(rows)), depth, partial(map, p.same))


def _map(depth: int, rows: int) -> flow.Stage[Any]:
    stage: flow.Stage[Any] = flow.wrap(range(rows))
    for _ in range(depth):
        stage = stage.map(p.same)
    return stage


def _streamable(depth: int, rows: int) -> list[Any]:
    return list(pull.streamable_chain(rows, depth))


# --------------------------------------------------------------------------------------------------------------------
# Ways out: `async for`, and `for`. (`await` is what the others do.)


def _async_for() -> Iterator[Workload]:
    for depth in (1, 3, 10):
        yield Workload(
            f"async-for-{depth}",
            f"{stages(depth)}, read with `async for`",
            [
                Contestant("native async generators", reading(partial(p.native_chain, depth=depth))),
                Contestant("flow: plain stages", reading(partial(_flow, depth)), goal=ASYNC_FOR.get(depth)),
                Contestant("flow: plain stages, .blocks()", reading(partial(_flow, depth), reading_blocks)),
                Contestant("greenlet: a switch and back, for each row", plainly(partial(_switching, depth))),
                Contestant(
                    "by hand: a task and a queue for each", coroutine(partial(p.through_queues, depth=depth)), share=0.1
                ),
                peer(
                    "aiostream",
                    "aiostream: iterate, map",
                    reading(partial(pull.aiostream_chain, depth=depth), pull.read_stream),
                ),
                peer(
                    "asyncstdlib",
                    "asyncstdlib: iter, map",
                    reading(partial(pull.asyncstdlib_chain, depth=depth)),
                    share=0.2,
                ),
                peer(
                    "aioitertools",
                    "aioitertools: iter, map",
                    reading(partial(pull.aioitertools_chain, depth=depth)),
                    share=0.2,
                ),
                peer(
                    "streamable",
                    "streamable: map",
                    reading(partial(pull.streamable_chain, depth=depth - 1)),
                    share=0.2,
                ),
            ],
            share=0.1,
        )


def _scripts() -> Iterator[Workload]:
    for depth in (1, 10):
        yield Workload(
            f"for-{depth}",
            f"{stages(depth, 'plain ')}, read with `for` in a script",
            [
                Contestant("bare generators", looping(partial(_bare, depth))),
                Contestant("flow: for row in stage", looping(partial(_flow, depth))),
            ],
        )


# --------------------------------------------------------------------------------------------------------------------
# Classic stages, async ones, and all three in turn


def _classic() -> Iterator[Workload]:
    for depth in DEPTHS:
        yield Workload(
            f"classic-{depth}",
            f"{stages(depth, 'classic ')} (`yield source`, next), all rows into a list",
            [
                Contestant("bare generators: list(chain)", plainly(partial(_listing, depth))),
                Contestant(
                    "flow: await stage", awaiting(partial(p.classic_chain, depth=depth)), goal=CLASSIC.get(depth)
                ),
                Contestant("no flow: the same generators, in islice", plainly(partial(_by_hand, depth))),
            ],
            share=0.05 if depth <= 3 else 0.02,
        )


def _by_hand(depth: int, rows: int) -> list[Any]:
    return list(limits.classic_by_hand(range(rows), depth))


def _async() -> Iterator[Workload]:
    least = [Contestant("no flow: the rows on a stack of their own", reading(_from_a_stack))]
    for depth in DEPTHS:
        yield Workload(
            "async-stage" if depth == 1 else f"async-stage-{depth}",
            "one async generator as a stage" if depth == 1 else f"{depth} async generators as stages",
            [
                Contestant(
                    "native: async for over as many, and a source", reading(partial(p.native_chain, depth=depth + 1))
                ),
                Contestant(
                    "flow: async for row in rows | async_gen",
                    reading(partial(_async_stages, depth)),
                    goal=ASYNC_STAGE.get(depth),
                ),
                Contestant("flow: the same, read by a plain stage", awaiting(partial(_counted_async, depth))),
                *(least if depth == 1 else []),
            ],
            share=0.05 if depth <= 3 else 0.01,
            normal=_number,
        )


def _from_a_stack(rows: int) -> Any:
    return p.native(limits.Rows(range(rows)))


def _async_stages(depth: int, rows: int) -> flow.Stage[Any]:
    return p.chained(flow.wrap(range(rows)), depth, p.native)


def _counted_async(depth: int, rows: int) -> flow.Stage[Any]:
    return _async_stages(depth, rows) | p.counting


def _mixed() -> Iterator[Workload]:
    """By hand, one async stage makes all stages async: that is the reference."""
    for depth in (3, 10, 30):
        yield Workload(
            f"mixed-{depth}",
            f"{depth} stages, plain, classic and async in turn, all rows into a list",
            [
                Contestant("native async generators", reading(partial(p.native_chain, depth=depth), pull.listed)),
                Contestant("flow: await stage", awaiting(partial(p.mixed_chain, depth=depth))),
                Contestant("bare generators: the limit", plainly(partial(_listing, depth))),
            ],
            share=0.05 if depth == 3 else 0.01,
        )
