"""Readers: rows that are there already are taken without a switch of stacks, and blocks."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any

import pytest

import flow
from flow.core.bodies import LARGEST_BLOCK
from flow.core.pull_cy import Ready
from flow.testing import Tracked, nothing_left, virtual_time


def run(main: Any) -> Any:
    with virtual_time() as clock:
        return clock.run(main)


def pushed(rows: range) -> flow.Callback[int]:
    callback: flow.Callback[int] = flow.Callback(len(rows) + 1)
    for row in rows:
        callback(row)
    callback.finish()
    return callback


def test_rows_that_are_there_are_of_one_kind() -> None:
    """What channels give says which rows are there; in a chain it is an iterator like any other."""
    rows = Ready.of(iter([iter([1, 2]), iter([]), iter([3])]))
    assert next(rows) == 1
    assert list(rows) == [2, 3]
    assert next(rows, None) is None


def test_a_reader_that_leaves_drops_the_rows_that_were_there() -> None:
    """CONTRACT 16: rows that a channel held, and that were at hand, are counted, each once."""
    dropped: list[int] = []

    async def main() -> list[int]:
        got: list[int] = []
        async with pushed(range(300)).open(on_dropped=dropped.extend) as rows:
            async for row in rows:
                got.append(row)
                if row == 200:
                    break
        assert rows.dropped == 99
        assert [row async for row in rows] == []
        return got

    assert run(main()) == list(range(201))
    assert dropped == list(range(201, 300))


def test_a_cancel_between_rows_that_are_there() -> None:
    """CONTRACT 15: a task that is cancelled between two such rows ends at its own next wait, and all is closed."""
    source = Tracked(range(1000))

    async def main() -> None:
        async def read() -> None:
            async for row in flow.wrap(source).buffer(64):
                if row == 100:
                    await asyncio.sleep(1000)

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(read(), 1)
        assert source.is_closed

    run(main())
    nothing_left(source)


def test_rows_that_are_there_are_delivered_after_a_stop() -> None:
    """CONTRACT 2: `stop` ends the source; rows that were made before are read, and the receipt counts them."""

    async def main() -> tuple[list[int], Any]:
        got: list[int] = []
        async with flow.wrap(range(1000)).buffer(64).open() as rows:
            async for row in rows:
                got.append(row)
                if row == 40:
                    break
            receipt = await rows.drain(5, take=got.append)
        return got, receipt

    got, receipt = run(main())
    assert got == list(range(len(got)))
    assert 64 <= len(got) < 200
    assert receipt.delivered == len(got) - 41


def test_rows_that_are_there_give_the_loop_its_turn() -> None:
    """CONTRACT 10: a ticker beside a reader of a large block has its turns."""
    ticks = 0

    async def main() -> int:
        nonlocal ticks

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0)

        ticker = asyncio.ensure_future(tick())
        count = 0
        async for row in pushed(range(100_000)):
            count += row >= 0
        ticker.cancel()
        return count

    assert asyncio.run(main()) == 100_000
    assert ticks > 2


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 1023, 1024, 1025, 5000])
def test_a_block_has_so_many_rows_at_most(count: int) -> None:
    """CONTRACT 2, 20: blocks are full where nothing waits, but for the last."""

    async def main() -> list[list[int]]:
        return [block async for block in flow.wrap(range(count)).blocks()]

    blocks = run(main())
    assert [row for block in blocks for row in block] == list(range(count))
    assert all(0 < len(block) <= LARGEST_BLOCK for block in blocks)


@pytest.mark.parametrize("where", ["script", "loop"])
def test_blocks_that_are_left_before_a_wait(where: str) -> None:
    """CONTRACT 14: what the chain was about to await is closed: it warns of nothing."""

    async def never() -> None:
        raise AssertionError("it was awaited")

    def source() -> Generator[int]:
        yield 1
        yield 2
        flow.wait(never())

    stage = flow.wrap([0]) | (lambda rows: source())

    async def main() -> list[int]:
        async for block in stage.blocks():
            return block
        return []

    if where == "script":
        blocks = iter(stage.blocks())
        assert next(blocks) == [1, 2]
        del blocks
    else:
        assert run(main()) == [1, 2]
