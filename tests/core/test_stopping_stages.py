"""Every stage passes a stop on: its sources end, what it holds comes out, and its rows end.

CONTRACT 2, 14.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from itertools import count
from typing import Any

import pytest

import flow
from flow.testing import nothing_left, virtual_time

Source = Callable[..., flow.Stage[int]]


class Sources:
    """Endless sources, which wait before each row, and note what they gave and how many are open."""

    def __init__(self) -> None:
        self.given: list[int] = []
        self.open = 0

    def __call__(self, delay: float = 1, start: int = 0) -> flow.Stage[int]:
        def source() -> Iterator[int]:
            self.open += 1
            try:
                for row in count(start):
                    flow.sleep(delay)
                    self.given.append(row)
                    yield row
            finally:
                self.open -= 1

        return flow.wrap(source)


def slow(row: Any) -> Any:
    flow.sleep(0.75)
    return row


async def async_slow(row: Any) -> Any:
    await asyncio.sleep(0.75)
    return row


async def async_stage(rows: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for row in rows:
        yield row


def plain_stage(rows: Iterable[Any]) -> Iterator[Any]:
    yield from rows


async def numbers() -> AsyncIterator[int]:
    for row in count():
        await asyncio.sleep(1)
        yield row


def broken(then: flow.Stage[int]) -> Callable[[], Iterator[int]]:
    """A source that fails the first time."""
    attempts = count()

    def source() -> Iterator[int]:
        if next(attempts) == 0:
            raise ValueError("the first time")
        yield from then

    return source


EXACT: dict[str, Callable[[Sources], flow.Stage[Any]]] = {
    "map": lambda source: source().map(slow),
    "async map": lambda source: source().map(async_slow),
    "concurrent map": lambda source: source(0.25).map(async_slow, concurrency=4),
    "concurrent map, unordered": lambda source: source(0.25).map(async_slow, concurrency=4, ordered=False),
    "concurrent map, plain": lambda source: source(0.25).map(slow, concurrency=4),
    "flat_map": lambda source: source().flat_map(lambda row: [slow(row)]),
    "concurrent flat_map": lambda source: source(0.25).flat_map(lambda row: flow.wrap([row]).map(slow), concurrency=3),
    "filter": lambda source: source().filter(lambda row: True),
    "enumerate": lambda source: source().enumerate().map(lambda pair: pair[1]),
    "drop_while": lambda source: source().drop_while(lambda row: False),
    "batched": lambda source: source().batched(3),
    "batched within": lambda source: source(0.3).batched(5, within=1),
    "window": lambda source: source().window(3),
    "window of time": lambda source: source(0.3).window(seconds=1),
    "window of gaps": lambda source: source().window(gap=2),
    "delay": lambda source: source().delay(2),
    "rate_limit": lambda source: source(0.25).rate_limit(2),
    "timeout": lambda source: source().timeout(item=5, total=100),
    "buffer": lambda source: source(0.25).buffer(5).map(slow),
    "buffer 0": lambda source: source(0.25).buffer(0).map(slow),
    "background": lambda source: source().background(flow.every(1)),
    "merge": lambda source: source().merge(source(1.5, 1000)),
    "interleave": lambda source: flow.interleave(source(), source(1.5, 1000)),
    "merge_sorted": lambda source: flow.merge_sorted(source(), source(1.5, 1000)),
    "chain": lambda source: flow.chain(source(), source(start=1000)),
    "race": lambda source: flow.race(source(), source(5, 1000)),
    "until": lambda source: source().until(flow.wrap([100]).map(flow.sleep)),
    "deadline": lambda source: source().deadline(100),
    "plain stage": lambda source: source() | plain_stage,
    "async stage": lambda source: source() | async_stage,
    "given to a branch": lambda source: source() | (lambda rows: flow.Merge(rows, [])),
    "trap": lambda source: source().trap(ValueError),
    "recover": lambda source: flow.wrap(broken(source())).recover(lambda error: source()),
    "retry": lambda source: flow.wrap(broken(source())).retry(3),
    "as_values": lambda source: source().as_values().from_values(),
    "hooks": lambda source: (
        source().on_start(lambda: None).on_row(slow).on_end(lambda error: slow(1)).finally_(lambda: slow(1))
    ),
    "through": lambda source: source().through(flow.Valve()),
    "share": lambda source: source().share(),
    "tee": lambda source: source().tee(1)[0],
    "deep": lambda source: (
        source(0.3)
        .buffer(2)
        .map(async_slow, concurrency=2)
        .batched(2)
        .merge(source(0.7, 1000).batched(2))
        .map(lambda rows: rows)
    ),
}
"""Stages that hand on every row of their sources, once: batches and windows as tuples."""

LOSSY: dict[str, Callable[[Sources], flow.Stage[Any]]] = {
    "zip": lambda source: source().zip(source(1.5, 1000)),
    "combine_latest": lambda source: flow.combine_latest(source(), source(1.5, 1000)),
    "with_latest": lambda source: source().with_latest(source(1.5, 1000)),
    "switch_map": lambda source: source(3).switch_map(lambda row: source(1, row * 100)[:5]),
    "debounce": lambda source: source().debounce(0.5),
    "sample": lambda source: source(0.3).sample(1),
    "keep_alive": lambda source: source().keep_alive(0.4, -1),
    "sliding window": lambda source: source().window(3, 1),
    "latest": lambda source: source(0.25).buffer(1, "latest").map(slow),
    "every": lambda source: flow.every(1).map(slow),
    "async source": lambda source: flow.wrap(numbers).map(slow),
    "partition": lambda source: flow.Merge(*source().partition(lambda row: row % 2)),
    "balance": lambda source: flow.Merge(*source(0.25).balance(2)).map(slow),
    "tee of two": lambda source: flow.Zip(*source().tee(2)),
}
"""Stages that leave rows out, or make others: they end, and everything is closed."""


def stopped(
    make: Callable[[Sources], flow.Stage[Any]], at: float, seed: int | None
) -> tuple[list[Any], list[int], float]:
    """The rows of a run that is stopped then, what its sources gave, and how long after the stop it ended."""

    async def main() -> list[Any]:
        async with make(source).open(cleanup=math.inf) as run:
            asyncio.get_running_loop().call_later(at, run.stop)
            return [row async for row in run]

    source = Sources()
    with virtual_time(seed) as clock:
        rows = clock.run(main())
        late = clock.time() - at
    nothing_left()
    assert source.open == 0
    return rows, source.given, late


def flat(rows: Iterable[Any]) -> list[int]:
    return sorted(each for row in rows for each in (row if isinstance(row, tuple) else [row]))


@pytest.mark.parametrize("name", EXACT)
def test_what_the_sources_gave_comes_out(name: str) -> None:
    """Stopped at any time, each row that was given is delivered once, and the run ends soon."""
    for eighth in range(1, 49, 3):
        rows, given, late = stopped(EXACT[name], eighth / 8, None)
        assert flat(rows) == sorted(given), eighth / 8
        assert late < 5


@pytest.mark.parametrize("name", [*EXACT, *LOSSY])
def test_every_stage_ends(name: str) -> None:
    """With what is ready shuffled, and time that jumps early, too."""
    make = {**EXACT, **LOSSY}[name]
    for seed in (None, 1, 2):
        for quarter in range(1, 20, 3):
            stopped(make, quarter / 4, seed)


@pytest.mark.parametrize("name", [*EXACT, *LOSSY])
def test_every_stage_ends_in_a_script(name: str) -> None:
    """The same, stopped by the body of the reader's loop."""
    if name == "window of gaps":
        pytest.skip("it gives no row before the end")
    source = Sources()
    with virtual_time() as clock, {**EXACT, **LOSSY}[name](source).open() as run:
        for _ in run:
            if clock.time() > 2:
                run.stop()
    assert source.open == 0
    nothing_left()
