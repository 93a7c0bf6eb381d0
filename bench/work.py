"""The workloads: what is compared with what. The first contestant of each is the reference.

They are in groups: `work_chains` (stages above each other), `work_sources` (where rows come from, batches, buffers),
`work_inputs` (several inputs, calls side by side), `work_edges` (bytes, queries, connections). What may live here: the
list of all, and the group that is about runs and waits, not about rows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import flow

from . import limits
from . import peers_pull as pull
from . import peers_push as push
from . import pieces as p
from .jobs import Job, Prepare, awaiting, coroutine, peer, plainly, repeated
from .measure import Contestant, Goal, Workload
from .work_chains import chains
from .work_edges import edges
from .work_inputs import inputs
from .work_sources import sources

__all__ = ["workloads"]

PAUSE = Goal(1.5e-6, "less than {microseconds} more", added=True)


def workloads() -> list[Workload]:
    return [*chains(), *sources(), *inputs(), *edges(), *_runs(), *_pauses()]


# --------------------------------------------------------------------------------------------------------------------
# Start and end of a run


def _runs() -> Iterator[Workload]:
    yield Workload(
        "run",
        "starting and ending a run of one row",
        [
            Contestant("native: [row async for row in async_gen]", repeated(_native_one)),
            Contestant("flow: await wrap([1])", repeated(_flow_one)),
            Contestant("flow: await stage, made before", repeated(_read_one)),
            Contestant("no flow: a row on a stack of its own", repeated(_stacked_one)),
            peer("aiostream", "aiostream: list(just(1))", repeated(pull.aiostream_one), share=0.2),
            peer("streamable", "streamable: [row async for row in stream]", repeated(pull.streamable_one), share=0.5),
            peer("reactivex", "reactivex: subscribe", repeated(_reactivex_one), share=0.5),
        ],
        share=0.005,
        unit="run",
    )
    yield Workload(
        "run-script",
        "starting and ending a run of one row, in a script without a loop",
        [
            Contestant("by hand: asyncio.run(coroutine)", _again(lambda: asyncio.run(_native_one()))),
            Contestant("flow: list(stage)", _again(lambda: list(_ONE))),
        ],
        share=0.0005,
        unit="run",
    )


async def _native_one() -> list[int]:
    return [row async for row in p.ticks(1)]


async def _stacked_one() -> list[int]:
    return [row async for row in limits.Rows([1])]


async def _flow_one() -> list[int]:
    return await flow.wrap([1])


_ONE = flow.wrap([1])


async def _read_one() -> list[int]:
    return await _ONE


async def _reactivex_one() -> list[int]:
    return push.reactivex_one()


def _again(once: Callable[[], list[int]]) -> Prepare:
    def run(runs: int) -> tuple[int]:
        return (sum(len(once()) for _ in range(runs)) // runs,)

    return plainly(run)


# --------------------------------------------------------------------------------------------------------------------
# Waits: a pause, and going on


def _pauses() -> Iterator[Workload]:
    yield Workload(
        "pause",
        "giving the loop one turn",
        [
            Contestant("native: await asyncio.sleep(0)", _sleeping),
            Contestant("greenlet: a switch and back, and no loop", _switching),
            Contestant("no flow: a stack, whose task awaits", coroutine(_awaiting_by_hand)),
            Contestant("flow: flow.cooperate()", awaiting(partial(_pausing, 0, flow.cooperate))),
            Contestant(
                "flow: flow.wait(asyncio.sleep(0))",
                awaiting(partial(_pausing, 0, lambda: flow.wait(asyncio.sleep(0)))),
            ),
        ],
        share=0.02,
        unit="pause",
    )
    yield Workload(
        "pause-10",
        "giving the loop one turn below 10 stages; what is added to the loop's own turn counts",
        [
            Contestant("the loop alone: call_soon(f)", _turns),
            Contestant("flow: flow.cooperate()", awaiting(partial(_pausing, 10, flow.cooperate)), goal=PAUSE),
            Contestant(
                "flow: flow.wait(asyncio.sleep(0))",
                awaiting(partial(_pausing, 10, lambda: flow.wait(asyncio.sleep(0)))),
            ),
            Contestant("no flow: a stack, whose task awaits", coroutine(_awaiting_by_hand)),
            Contestant("native: sleep(0) below 10 async generators", _sleeping_below(10)),
        ],
        share=0.02,
        unit="pause",
    )


def _switching(pauses: int) -> Job:
    """What pausing a stack costs at least: away from it, and back."""

    def job() -> list[int]:
        for _ in p.switched(range(pauses)):
            pass
        return [pauses]

    return job


async def _awaiting_by_hand(pauses: int) -> list[int]:
    def work(wait: Callable[[Any], Any]) -> list[int]:
        for _ in range(pauses):
            wait(asyncio.sleep(0))
        return [pauses]

    found: list[int] = await limits.awaiting_hub(work)
    return found


def _turns(turns: int) -> Job:
    """The least that a loop can do in a turn: one callback, which asks for the next turn."""

    async def job() -> list[int]:
        loop = asyncio.get_running_loop()
        ended = loop.create_future()
        left = turns

        def turn() -> None:
            nonlocal left
            left -= 1
            if left:
                loop.call_soon(turn)
            else:
                ended.set_result(None)

        loop.call_soon(turn)
        await ended
        return [turns]

    return job


def _sleeping(pauses: int) -> Job:
    async def job() -> list[int]:
        for _ in range(pauses):
            await asyncio.sleep(0)
        return [pauses]

    return job


def _sleeping_below(depth: int) -> Prepare:
    def prepare(pauses: int) -> Job:
        async def source() -> Any:
            for _ in range(pauses):
                await asyncio.sleep(0)
            yield pauses

        async def job() -> list[int]:
            rows = source()
            for _ in range(depth):
                rows = p.native(rows)
            return await pull.listed(rows)

        return job

    return prepare


def _pausing(depth: int, pause: Callable[[], object], pauses: int) -> flow.Stage[int]:
    """All pauses are below as many stages: the row that these hand on comes after the last of them."""

    def rows(numbers: Any) -> Iterator[int]:
        for number in numbers:
            for _ in range(number):
                pause()
            yield number

    return p.chained(flow.wrap([pauses]) | rows, depth)
