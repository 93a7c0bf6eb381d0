"""The types that reading a stage gives. Read by type checkers, never run."""

# mypy: disable-error-code="unused-awaitable"
# pyright: standard, reportUnusedExpression=false, reportUnusedCoroutine=false

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Future
from typing import Any, assert_type

import flow
from flow import Stage


def a_script(stage: Stage[str]) -> None:
    for row in stage:
        assert_type(row, str)
    for block in stage.blocks():
        assert_type(block, list[str])
    assert_type(list(stage), list[str])
    with stage.open() as rows:
        assert_type(next(rows), str)
        for row in rows:
            assert_type(row, str)
        rows.close()
    iterator: Iterator[object] = iter(stage)
    del iterator


async def a_coroutine(stage: Stage[str]) -> None:
    async for row in stage:
        assert_type(row, str)
    async for block in stage.blocks():
        assert_type(block, list[str])
    assert_type(await stage, list[str])
    assert_type([row async for row in stage], list[str])
    async with stage.open(slice=0, cleanup=3, on_dropped=print) as rows:
        assert_type(await anext(rows), str)
        async for row in rows:
            assert_type(row, str)
        assert_type(rows.dropped, int)
        await rows.aclose()
    async with contextlib.aclosing(aiter(stage)) as reader:
        assert_type(await anext(reader), str)
    iterator: AsyncIterator[object] = aiter(stage)
    del iterator


def inside_a_stage(
    stage: Stage[str],
    awaitable: Awaitable[int],
    future: Future[bytes],
    fetch: Callable[[], Awaitable[float]],
    anything: Any,
) -> None:
    assert_type(next(stage), str)
    assert_type(flow.wait(awaitable), int)
    assert_type(flow.wait(future), bytes)
    assert_type(flow.wait(fetch()), float)
    assert_type(flow.wait(flow.Cooperate(1)), Any)
    flow.wait(anything)
    flow.sleep(0.5)
    flow.cooperate()
    assert_type(flow.Row(1).value, int)


class Noon(flow.CallLater):
    def callLater(self, resume: flow.core.instruction.Resume, /) -> flow.core.instruction.Handle | None:
        return resume.loop.call_later(12 * 3600, resume)


def different_sources(clicks: Stage[str], ticks: Stage[int]) -> None:
    for stage in flow.Concurrent(clicks, ticks):
        assert_type(stage, Stage[Any])


async def a_deferred(stage: Stage[str]) -> None:
    assert_type(await flow.Deferred(stage), list[str])


async def an_unread_stage(stage: Stage[str]) -> None:
    stage.open(cleanup="3")  # type: ignore[arg-type]
    flow.sleep("1")  # type: ignore[arg-type]
    number: list[int] = await stage  # type: ignore[assignment]
    del number
