"""A run that is over."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import ContextVar
from typing import Any

import pytest

import flow
from flow.core.run import loops


def rows() -> Iterator[int]:
    yield from range(3)


def plain(rows: Iterator[int]) -> Iterator[int]:
    for row in rows:
        flow.cooperate()
        yield row


async def native(rows: AsyncIterator[int]) -> AsyncIterator[int]:
    async for row in rows:
        yield row


def source() -> flow.Stage[int]:
    return flow.wrap(rows) | plain


FLOWS: dict[str, Callable[[], flow.Stage[Any]]] = {
    "chain": source,
    "list": lambda: flow.wrap([1, 2, 3]),
    "async stage": lambda: source() | native,
    "Merge": lambda: flow.Merge(source(), source()),
    "Zip": lambda: flow.Zip(source(), flow.wrap(range(9))),
    "chain of two": lambda: flow.chain(source(), source()),
    "merge_sorted": lambda: flow.merge_sorted(source(), source()),
    "map": lambda: source().map(str),
    "batched": lambda: source().batched(2),
}


@pytest.mark.parametrize("name", FLOWS)
def test_a_run_that_is_over_leaves_nothing_to_collect(name: str) -> None:
    """When the rows have ended nothing refers to the run in a circle: its rows and context variables are free at once,
    whether the collector of garbage comes by or not.
    """

    async def awaited() -> None:
        await FLOWS[name]()

    async def one_by_one() -> None:
        async for _ in FLOWS[name]():
            pass

    async def main() -> list[str]:
        left = []
        held = loops.awaiting()  # what outlives the runs: see BaseLoop.outlive_the_runs
        assert held is not None
        for read in (awaited, one_by_one):
            await read()  # what is made once
            gc.collect()
            gc.disable()
            gc.set_debug(gc.DEBUG_SAVEALL)
            try:
                await read()
                gc.collect()
            finally:
                gc.set_debug(0)
                gc.enable()
            left += [type(each).__name__ for each in gc.garbage if type(each).__module__.startswith("flow.")]
            gc.garbage.clear()
        return left

    assert asyncio.run(main()) == []


def test_context_variables_go_with_the_run() -> None:
    """A value of a context variable that was set for the run lives no longer than that."""

    class Request:
        gone = False

        def __del__(self) -> None:
            Request.gone = True

    request: ContextVar[Request] = ContextVar("request")

    async def handle() -> list[int]:
        request.set(Request())
        return await source()

    async def main() -> bool:
        await asyncio.create_task(handle())
        await asyncio.sleep(0)  # the task itself goes
        return Request.gone

    gc.disable()
    try:
        assert asyncio.run(main())
    finally:
        gc.enable()
