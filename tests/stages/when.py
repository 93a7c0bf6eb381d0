"""When rows come: readers of a stage that note the (virtual) time of each row, and sources that never wait or wait for
ever. For the tests of stages that keep time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from concurrent.futures import Future
from itertools import count
from typing import Any

import pytest

import flow
from flow.core.microthread import current
from flow.testing import VirtualLoop, virtual_time

Timed = list[tuple[Any, float]]


def in_script(stage: flow.Stage[Any]) -> Timed:
    with virtual_time() as clock:
        return [(row, clock.time()) for row in stage]


def on_asyncio(stage: flow.Stage[Any], busy: float = 0) -> Timed:
    """`busy`: seconds that the reader takes for each row."""
    got: Timed = []

    async def main() -> None:
        async with stage.open() as rows:
            async for row in rows:
                got.append((row, clock.time()))
                if busy:
                    await asyncio.sleep(busy)

    with virtual_time() as clock:
        clock.run(main())
    return got


Read = Callable[[flow.Stage[Any]], Timed]
both = pytest.mark.parametrize("read", [in_script, on_asyncio])


def until_it_fails(stage: flow.Stage[Any], error: type[Exception]) -> tuple[Timed, tuple[str, float]]:
    """The rows, and with what it failed, each with its time."""
    got: Timed = []
    failed: list[tuple[str, float]] = []

    async def main() -> None:
        try:
            async for row in stage:
                got.append((row, clock.time()))
        except error as failure:
            failed.append((str(failure), clock.time()))

    with virtual_time() as clock:
        clock.run(main())
    assert failed, "it did not fail"
    return got, failed[0]


def left_after(stage: flow.Stage[Any], rows: int, busy: float = 0) -> tuple[list[Any], list[Any]]:
    """Reads so many rows, is busy, and leaves: the rows, and those that were made and never read."""
    dropped: list[Any] = []
    got: list[Any] = []

    async def main() -> None:
        async with stage.open(on_dropped=dropped.extend) as run:
            while len(got) < rows:
                got.append(await anext(run))
            if busy:
                await asyncio.sleep(busy)
        assert run.dropped == len(dropped)

    with virtual_time() as clock:
        clock.run(main())
    return got, dropped


def cancelled_at(stage: flow.Stage[Any], seconds: float) -> tuple[list[Any], list[Any]]:
    """Reads until it is cancelled: the rows, and those that were made and never read."""
    dropped: list[Any] = []
    got: list[Any] = []

    async def read() -> None:
        async with stage.open(on_dropped=dropped.extend) as run:
            async for row in run:
                got.append(row)

    async def main() -> None:
        task = asyncio.create_task(read())
        await asyncio.sleep(seconds)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert timers() == []

    with virtual_time() as clock:
        clock.run(main())
    return got, dropped


def timers() -> list[Any]:
    """The timers of the loop that runs here."""
    loop: Any = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return [each for each in getattr(loop, "_scheduled", ()) if not each.cancelled()]


def never() -> Generator[Any]:
    """A source that never gives a row, and has no timer."""
    flow.wait(Future())
    yield


def endless() -> flow.Stage[int]:
    """A source that always has a row."""
    return flow.wrap(count())


def at(*times: float) -> Callable[[], Generator[int]]:
    """A source: rows 0, 1, 2, ..., each at its time of the clock, or when it is asked for, if that is later."""

    def rows() -> Generator[int]:
        strand = current()
        assert strand is not None
        for number, time in enumerate(times):
            left = time - strand.loop.time()
            if left > 0:
                flow.sleep(left)
            yield number

    return rows
