"""The types of rows out of stages with several inputs. Read by type checkers, never run."""

# mypy: disable-error-code="unused-awaitable"
# pyright: standard, reportUnusedExpression=false, reportUnusedCoroutine=false

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import Future
from typing import Any, assert_type

import flow
from flow import Stage

numbers = flow.wrap([1, 2])
words = flow.wrap(["a", "b"])


async def fetched(row: int) -> list[str]:
    return [str(row)]


async def spelled(row: int) -> AsyncIterator[bytes]:
    yield bytes([row])


def merges() -> None:
    merge = flow.Merge(numbers, [3, 4])
    assert_type(merge, flow.Merge[int])
    assert_type(merge.add(numbers), Stage[int])
    assert_type(merge.add([5]), Stage[int])
    assert_type(merge.remove(numbers), bool)
    mixed: flow.Merge[Any] = flow.Merge(numbers, words, priority=[1, 0.5], on_error="collect", hold_open=True)
    del mixed
    held: flow.Merge[str] = flow.Merge(hold_open=True)
    assert_type(held.add(words, priority=2), Stage[str])
    assert_type(numbers.merge([3], on_error="finish"), flow.Merge[int])
    flow.Merge(numbers, on_error="never")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]


def zips() -> None:
    assert_type(numbers.zip(words, strict=True), flow.Zip[tuple[int, str]])
    assert_type(numbers.zip(words, numbers), flow.Zip[tuple[int, str, int]])
    assert_type(numbers.zip(words, fill=None), flow.Zip[tuple[Any, ...]])


def orders() -> None:
    assert_type(flow.chain(numbers, [3], iter([4])), Stage[int])
    assert_type(flow.interleave(words, ["c"]), Stage[str])
    assert_type(flow.merge_sorted(words, ["c"], key=len, reverse=True), Stage[str])
    assert_type(flow.merge_sorted(numbers, numbers), Stage[int])
    assert_type(flow.race(numbers, [3], on_error="finish"), Stage[int])


def latest() -> None:
    assert_type(flow.combine_latest(numbers), Stage[tuple[int]])
    assert_type(flow.combine_latest(numbers, words), Stage[tuple[int, str]])
    assert_type(flow.combine_latest(numbers, words, [b""]), Stage[tuple[int, str, bytes]])
    assert_type(flow.combine_latest(numbers, words, [b""], [0.5]), Stage[tuple[int, str, bytes, float]])
    assert_type(numbers.with_latest(words), Stage[tuple[int, str]])
    assert_type(numbers.with_latest(words, initial=None), Stage[tuple[int, str | None]])
    assert_type(numbers.switch_map(fetched), Stage[str])
    assert_type(numbers.switch_map(spelled), Stage[bytes])
    assert_type(numbers.switch_map(lambda row: [row / 2]), Stage[float])


async def events() -> None:
    future: Future[int] = Future()
    assert_type(numbers.until(words), Stage[int])
    assert_type(numbers.until(future), Stage[int])
    assert_type(numbers.until(asyncio.Event().wait), Stage[int])
    assert_type(numbers.until(asyncio.sleep(1)), Stage[int])
    assert_type(numbers.until(flow.Cooperate(1)), Stage[int])
    numbers.until(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
