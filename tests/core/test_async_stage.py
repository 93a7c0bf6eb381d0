"""Async stages: rows in blocks on both sides, how far ahead they work, failures, and how they are left."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Generator
from typing import Any

import pytest

import flow
from flow.core.async_stage import Async
from flow.testing import Tracked, no_leaks, virtual_time


async def handed_on(rows: AsyncIterator[int]) -> AsyncIterator[int]:
    async for row in rows:
        yield row


def run(main: Any) -> Any:
    with virtual_time() as clock:
        return clock.run(main)


@pytest.mark.parametrize("ahead", [1, 2, 3, 16, 100])
def test_it_works_no_further_ahead_than_it_says(ahead: int) -> None:
    """CONTRACT 4, 20: rows of the input that wait for the stage count, as those do that it has made."""
    made = [0]

    def source() -> Generator[int]:
        for made[0] in range(1, 1000):
            yield made[0]

    async def main() -> None:
        furthest = taken = 0
        async for _ in Async(handed_on, "handed_on", flow.wrap(source), ahead):
            taken += 1
            furthest = max(furthest, made[0] - taken)
            if taken == 500:
                break
            await asyncio.sleep(0)
        assert ahead - 1 <= furthest <= ahead + 1  # the row in hand is one more

    run(main())


def test_rows_that_take_long_are_not_gathered() -> None:
    """CONTRACT 4, 5: where a row takes long, the stage is given it before the next one is made."""
    log: list[str] = []

    def source() -> Generator[int]:
        for n in range(6):
            until = time.perf_counter() + 0.001  # the processor's time, which slices are measured with
            while time.perf_counter() < until:
                pass
            log.append(f"made {n}")
            yield n

    async def takes(rows: AsyncIterator[int]) -> AsyncIterator[int]:
        async for row in rows:
            log.append(f"took {row}")
            yield row

    assert asyncio.run(collect(flow.wrap(source) | takes)) == [0, 1, 2, 3, 4, 5]
    assert log == [f"{what} {n}" for n in range(6) for what in ("made", "took")]


async def collect(stage: flow.Stage[Any]) -> list[Any]:
    return [row async for row in stage]


def test_rows_reach_it_before_its_input_waits() -> None:
    """CONTRACT 5: a block ends where the input waits; one that never waits comes in large ones."""
    times: list[tuple[int, float]] = []

    async def takes(rows: AsyncIterator[int]) -> AsyncIterator[int]:
        async for row in rows:
            times.append((row, asyncio.get_running_loop().time()))
            yield row

    source = Tracked(range(4), delay=[0, 0, 5, 0])
    assert run(collect(flow.wrap(source) | takes)) == [0, 1, 2, 3]
    assert times == [(0, 0), (1, 0), (2, 5), (3, 5)]
    assert source.is_closed


def test_a_failure_of_its_input_comes_after_the_rows_before_it() -> None:
    """CONTRACT 3: the stage gets every row that was made, and then the failure, which it may handle."""
    got: list[int] = []
    source = Tracked(range(100), fail=ValueError("the input fails"), fail_after=40)

    async def takes(rows: AsyncIterator[int]) -> AsyncIterator[int]:
        try:
            async for row in rows:
                got.append(row)
                yield row
        except ValueError:
            yield -1

    assert run(collect(flow.wrap(source) | takes)) == [*range(40), -1]
    assert got == list(range(40))
    assert source.is_closed


def test_rows_of_a_block_that_it_does_not_take_are_counted() -> None:
    """CONTRACT 16: a stage that has had enough leaves rows that were read for it: they are dropped, and can be had."""
    dropped: list[int] = []
    source = Tracked(range(1000))

    async def takes(rows: AsyncIterator[int]) -> AsyncIterator[int]:
        async for row in rows:
            yield row
            if row == 20:
                return

    async def main() -> list[int]:
        async with (flow.wrap(source) | takes).open(on_dropped=dropped.extend) as rows:
            return [row async for row in rows]

    assert run(main()) == list(range(21))
    assert dropped == list(range(21, source.asked))
    assert dropped
    assert source.is_closed


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 15, 16, 17, 33, 500])
def test_each_row_comes_once(count: int) -> None:
    """CONTRACT 1, 2: at the edges of blocks nothing is lost or doubled; through several async stages, too."""
    stage = flow.wrap(range(count)) | handed_on | handed_on
    assert run(collect(stage)) == list(range(count))
    assert list(stage) == list(range(count))


def test_a_stage_that_goes_on_while_its_reader_is_busy() -> None:
    """CONTRACT 21: it is held back by a full channel, and goes on when half of it was read, not all of it."""
    made_at: list[float] = []

    async def source() -> AsyncIterator[int]:
        for n in range(12):
            made_at.append(asyncio.get_running_loop().time())
            yield n

    async def main() -> None:
        async for _ in flow.wrap(source, ahead=4):
            await asyncio.sleep(1)

    run(main())
    assert made_at[:5] == [0, 0, 0, 0, 2]


@pytest.mark.parametrize("way", ["break", "aclose", "cancel"])
def test_what_its_input_was_about_to_await_is_no_warning(way: str) -> None:
    """CONTRACT 14: rows before a wait come first, and nobody may want what comes after: the coroutine is closed."""

    async def never() -> None:
        raise AssertionError("it was awaited")

    def source() -> Generator[int]:
        yield 1
        yield 2
        flow.wait(never())

    async def takes(rows: AsyncIterator[int]) -> AsyncIterator[int]:
        async for row in rows:
            yield row
            if way == "aclose":
                return
            await asyncio.sleep(100)

    async def main() -> None:
        async def read() -> None:
            async for _ in flow.wrap([0]) | (lambda rows: source()) | takes:
                if way == "break":
                    break

        if way == "cancel":
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(read(), 1)
        else:
            await read()

    with no_leaks():  # and warnings are errors
        run(main())
