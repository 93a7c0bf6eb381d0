"""What `flow.wrap` makes of each kind of source: the type of its rows. Read by type checkers, never run."""

# mypy: disable-error-code="unused-awaitable"
# pyright: standard, reportUnusedExpression=false, reportUnusedCoroutine=false

import asyncio
import io
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Generator, Iterator
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any, assert_type

import flow
from flow import Stage


def generator() -> Iterator[int]:
    yield 1


def classic() -> Generator[float, Any, None]:
    yield 1.5


async def agenerator() -> AsyncIterator[bytes]:
    yield b"a"


async def coroutine() -> str:
    return "a"


def opened(path: str) -> Iterator[int]:
    yield len(path)


class Pages:
    """An async iterable that is no generator."""

    def __aiter__(self) -> AsyncIterator[str]:
        raise NotImplementedError


def iterables(pair: tuple[int, int]) -> None:
    assert_type(flow.wrap([1, 2]), Stage[int])
    assert_type(flow.wrap(pair), Stage[int])
    assert_type(flow.wrap({1: "a"}), Stage[int])
    assert_type(flow.wrap({1: "a"}.items()), Stage[tuple[int, str]])
    assert_type(flow.wrap(range(3)), Stage[int])
    assert_type(flow.wrap(iter(["a"])), Stage[str])
    assert_type(flow.wrap(generator()), Stage[int])


def text_is_one_row() -> None:
    assert_type(flow.wrap("ab"), Stage[str])
    assert_type(flow.wrap(b"ab"), Stage[bytes])
    assert_type(flow.wrap(bytearray(b"ab")), Stage[bytearray])
    assert_type(flow.wrap(memoryview(b"ab")), Stage[memoryview[int]])


def functions() -> None:
    assert_type(flow.wrap(generator), Stage[int])
    assert_type(flow.wrap(classic), Stage[float])
    assert_type(flow.wrap(agenerator), Stage[bytes])
    assert_type(flow.wrap(coroutine), Stage[str])
    assert_type(flow.wrap(partial(opened, "a")), Stage[int])
    assert_type(flow.wrap([3, 0].pop, sentinel=0), Stage[int])
    queue: asyncio.Queue[int] = asyncio.Queue()
    assert_type(flow.wrap(queue.get, sentinel=0), Stage[int])
    assert_type(flow.wrap(io.BytesIO().readline, sentinel=b""), Stage[bytes])


async def awaitables(awaitable: Awaitable[int], future: Future[str], task: asyncio.Task[bytes]) -> None:
    assert_type(flow.wrap(awaitable), Stage[int])
    assert_type(flow.wrap(coroutine()), Stage[str])
    assert_type(flow.wrap(future), Stage[str])
    assert_type(flow.wrap(task), Stage[bytes])


def async_iterables(rows: AsyncIterable[int]) -> None:
    assert_type(flow.wrap(rows), Stage[int])
    assert_type(flow.wrap(agenerator()), Stage[bytes])
    assert_type(flow.wrap(Pages()), Stage[str])
    assert_type(flow.wrap(Pages(), ahead=2), Stage[str])


def files(path: Path) -> None:
    assert_type(flow.wrap(path.open()), Stage[str])
    assert_type(flow.wrap(path.open("rb")), Stage[bytes])
    assert_type(flow.Threaded(path.open()), flow.Threaded[str])
    assert_type(flow.Threaded(lambda: [1]), flow.Threaded[int])
    assert_type(flow.Threaded([1], limit=3), flow.Threaded[int])


def stages(stage: Stage[int], merged: flow.Merge[str]) -> None:
    assert_type(flow.wrap(stage), Stage[int])
    assert_type(flow.wrap(merged), Stage[str])


def a_trapped_error_is_a_row() -> None:
    assert_type(flow.wrap([1], ValueError), Stage[Any])
    assert_type(flow.wrap(generator, KeyError, OSError), Stage[Any])


def callbacks() -> None:
    ticks = flow.Callback[int](limit=3)
    ticks.result(1)
    ticks.result("a")  # type: ignore[arg-type]
    assert_type(ticks.offer(1), bool)
    assert_type(flow.wrap(ticks), Stage[int])
    typed: flow.Callback[str] = flow.Callback(threadsafe=True)
    typed("a")
    typed(1)  # type: ignore[arg-type]


def what_is_no_source(stage: Stage[int]) -> None:
    flow.wrap([1], ahead="2")  # type: ignore[call-overload]
    flow.wrap(1)  # type: ignore[call-overload]
    flow.wrap(len)  # type: ignore[arg-type]
    flow.wrap([1], "ValueError")  # type: ignore[call-overload]
