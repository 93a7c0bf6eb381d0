"""The types of errors as rows, of retries, hooks, handles and collect(). Read by type checkers, never run."""

# mypy: disable-error-code="unused-awaitable"
# pyright: standard, reportUnusedExpression=false, reportUnusedCoroutine=false

import collections
import math
from collections.abc import AsyncIterator, Iterator
from typing import Any, assert_type

import tenacity

import flow
from flow import Stage

numbers = flow.wrap([1, 2])
words = flow.wrap(["a", "b"])


async def later(error: Exception) -> list[str]:
    return [str(error)]


async def others(error: Exception) -> AsyncIterator[bytes]:
    yield b""


async def note(row: int) -> None: ...


# Errors
assert_type(numbers.trap(ValueError), Stage[int | ValueError])
assert_type(numbers.recover(lambda error: [1, 2]), Stage[int])
assert_type(numbers.recover(lambda error: ["a"]), Stage[int | str])
assert_type(numbers.recover(lambda error: words), Stage[int | str])
assert_type(numbers.recover(later), Stage[int | str])
assert_type(numbers.recover(others), Stage[int | bytes])
assert_type(numbers.recover(later, on=(ValueError, KeyError)), Stage[int | str])
numbers.trap(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
numbers.trap(KeyboardInterrupt)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]

# Retries
flow.Retry(3)
flow.Retry(math.inf, backoff=lambda attempt: 2**attempt, on=(OSError, ValueError))
flow.Retry(3, backoff=tenacity.wait_exponential_jitter(), on=lambda error: "503" in str(error))
flow.Retry("3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
assert_type(flow.Retry(3).delay_after(1, ValueError()), float | None)
assert_type(numbers.retry(3), Stage[int])
assert_type(numbers.retry(flow.Retry(3), resume=lambda last, count: numbers[count:]), Stage[int])
assert_type(words.retry(math.inf, resume=lambda last, count: [last.upper()]), Stage[str])
numbers.retry("3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

# Errors as values
values = numbers.as_values()
assert_type(values, Stage[flow.Ok[int] | flow.Failed])
assert_type(values.from_values(), Stage[int])
assert_type(flow.Ok(1).unwrap(), int)
assert_type(flow.Failed(ValueError()).error, Exception)


def matched(value: flow.Ok[int] | flow.Failed) -> None:
    match value:
        case flow.Ok(row):
            assert_type(row, int)
        case flow.Failed(error):
            assert_type(error, Exception)


# Hooks
assert_type(numbers.on_start(print), Stage[int])
assert_type(numbers.on_row(note), Stage[int])
assert_type(numbers.on_end(lambda error: None), Stage[int])
assert_type(numbers.finally_(print), Stage[int])
assert_type(numbers.through(flow.Valve()), Stage[int])
numbers.on_row(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
numbers.through(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# Ends
def mean(rows: Iterator[int]) -> float:
    every = list(rows)
    return sum(every) / len(every)


async def ends() -> None:
    assert_type(await numbers.collect(), list[int])
    assert_type(await numbers.collect(list), list[int])
    assert_type(await numbers.collect(sum), int)
    assert_type(await numbers.collect(mean), float)
    assert_type(await numbers.collect(set), set[int])
    assert_type(await numbers.collect(sorted), list[int])
    assert_type(await words.collect(collections.Counter), collections.Counter[str])
    assert_type(await words.collect("".join), str)
    await numbers.collect(1)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]


# Handles
async def stops() -> None:
    async with numbers.open() as run:
        assert_type(await anext(run), int)
        run.stop()
        async for row in run:
            assert_type(row, int)
        receipt = await run.drain(10)
        assert_type(receipt, flow.Drained[int])
        assert_type(receipt.delivered, int)
        assert_type(receipt.rows_delivered, tuple[int, ...])
        assert_type(receipt.rows_in_flight, tuple[Any, ...])
        await run.drain(10, take=note)


def stops_here() -> None:
    with numbers.open() as run:
        assert_type(next(run), int)
        run.stop()
        assert_type(list(run), list[int])
        assert_type(run.drain(10, print, keep=5), flow.Drained[int])
        run.drain(10)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
