"""CONTRACT 10: the loop gets its turn within two slices, whatever a run does. Measured in looks at the clock.

`VirtualLoop.slice_clock` counts how often it is read: a slice of 5 ms is 250 reads. So these figures repeat exactly.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from itertools import count, repeat
from typing import Any

import pytest

import flow
from flow.core.run import SLICE
from flow.loops._virtual import READ
from flow.testing import VirtualLoop, nothing_left, virtual_time

TURNS = 20


def endless() -> Generator[int]:
    yield from count()


def nothing() -> flow.Stage[int]:
    return flow.wrap(count()).filter(lambda n: False)


ENDLESS: dict[str, Callable[[], Any]] = {
    "iterator": lambda: flow.wrap(count()),
    "endless builtin": lambda: flow.wrap([None]) | (lambda rows: repeat(0)),
    "long list": lambda: flow.wrap([0] * 3_000_000),
    "generator": lambda: flow.wrap(endless),
    "filter that rejects all": nothing,
    "drop_while that drops all": lambda: flow.wrap(count()).drop_while(lambda n: True),
    "flat_map to nothing": lambda: flow.wrap(count()).flat_map(lambda n: ()),
    "merge of ready inputs": lambda: flow.Merge(count(), count(), count()),
    "merge of rejecting inputs": lambda: flow.Merge(nothing(), nothing()),
    "zip of ready inputs": lambda: flow.Zip(count(), count()),
    "zip of a rejecting input": lambda: flow.Zip(count(), nothing()),
    "classic reading": lambda: flow.wrap(classic),
}


def classic() -> Generator[Any, Any]:
    source = flow.wrap(count())
    while True:
        yield source
        next(source)


async def by_rows(stage: Any) -> None:
    async for _ in stage:
        pass


async def by_list(stage: Any) -> None:
    await stage


async def by_blocks(stage: Any) -> None:
    async for _ in stage.blocks():
        pass


async def longest_wait(reads: list[Awaitable[None]]) -> float:
    """Runs readers for some turns beside a ticker; the longest time between two ticks, in slices."""
    loop: Any = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    tasks = [asyncio.ensure_future(read) for read in reads]
    longest = 0.0
    then = loop.slice_clock()
    for _ in range(TURNS):
        await asyncio.sleep(0)
        now = loop.slice_clock()
        longest = max(longest, now - then - READ)
        then = now
    for each in tasks:
        each.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return longest / SLICE


@pytest.mark.parametrize("how", [by_rows, by_list, by_blocks])
@pytest.mark.parametrize("name", ENDLESS)
def test_a_busy_run_gives_turns(name: str, how: Any) -> None:
    """CONTRACT 10: each of these sources, read in each way, lets another task run within two slices."""
    with virtual_time() as clock:
        assert clock.run(longest_wait([how(ENDLESS[name]())])) <= 2
    nothing_left()


@pytest.mark.parametrize("runs", [2, 10, 1000])
def test_many_busy_runs_share_the_turns(runs: int) -> None:
    """CONTRACT 10: a thousand runs that could all go on hold the loop no longer than one."""
    with virtual_time() as clock:
        assert clock.run(longest_wait([by_rows(flow.wrap(count())) for _ in range(runs)])) <= 2
    nothing_left()


def test_little_runs_one_after_the_other_give_turns() -> None:
    """CONTRACT 10: a task that reads run after run, none of which takes long, gives turns as one long run does."""

    async def read() -> None:
        for _ in range(5000):
            await flow.wrap([1, 2, 3])

    with virtual_time() as clock:
        assert clock.run(longest_wait([read()])) <= 2
    nothing_left()


def test_each_of_many_busy_runs_gets_on() -> None:
    """CONTRACT 10: and each of them gets its own turn."""
    reached = [0] * 10

    async def read(n: int) -> None:
        async for _ in flow.wrap(count()):
            reached[n] += 1

    async def main() -> None:
        tasks = [asyncio.ensure_future(read(n)) for n in range(10)]
        for _ in range(60):
            await asyncio.sleep(0)
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    with virtual_time() as clock:
        clock.run(main())
    assert min(reached) > 0
    assert max(reached) < 100 * min(reached)


def test_no_input_of_a_merge_starves_another() -> None:
    """CONTRACT 10: inputs that always have a row are served in turn."""
    with virtual_time() as clock:

        async def main() -> list[int]:
            found: list[int] = await flow.Merge(repeat(0), repeat(1), repeat(2))[:300]
            return found

        rows = clock.run(main())
    assert [rows.count(n) for n in (0, 1, 2)] == [100, 100, 100]


def test_a_slow_reader_that_never_waits_still_gives_turns() -> None:
    """CONTRACT 10: asked row by row by a task that never awaits anything else, the run gives the loop its turns."""
    ticks = 0

    async def ticker() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    async def main() -> None:
        beside = asyncio.ensure_future(ticker())
        seen = 0
        async for _ in flow.wrap(count()):
            seen += 1
            if seen == 50_000:
                break
        beside.cancel()

    with virtual_time() as clock:
        clock.run(main())
    assert ticks >= 3


def test_the_slice_can_be_switched_off() -> None:
    """``open(slice=0)`` never gives a turn by itself."""
    ticks = 0

    async def ticker() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    async def main() -> None:
        beside = asyncio.ensure_future(ticker())
        async with flow.wrap(range(30_000)).open(slice=0) as rows:
            async for _ in rows:
                pass
        beside.cancel()

    with virtual_time() as clock:
        clock.run(main())
    assert ticks <= 1
