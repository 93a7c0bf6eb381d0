"""The types of rows through concurrent calls. Read by type checkers, never run."""

# mypy: disable-error-code="unused-awaitable"
# pyright: standard, reportUnusedExpression=false, reportUnusedCoroutine=false

from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any, assert_type

import flow
from flow import Stage

numbers = flow.wrap([1, 2])
words = flow.wrap(["a", "b"])


async def fetched(row: int) -> str:
    return str(row)


def half(row: int) -> float:
    return row / 2


async def divert(row: int, error: Exception) -> None: ...


def note(row: int, error: Exception) -> int:
    return row


async def key_of(row: int) -> str:
    return str(row)


def parts(row: int) -> Iterator[str]:
    yield str(row)


async def parts_later(row: int) -> list[bytes]:
    return [bytes(row)]


async def parts_as_they_come(row: int) -> AsyncIterator[float]:
    yield row / 2


# map
assert_type(numbers.map(fetched, concurrency=8), Stage[str])
assert_type(numbers.map(half, concurrency=8, ordered=False), Stage[float])
assert_type(numbers.map(fetched, ahead=20), Stage[str])
assert_type(numbers.map(fetched, concurrency=2, key=lambda row: row % 2), Stage[str])
assert_type(numbers.map(fetched, concurrency=2, key=key_of), Stage[str])
assert_type(numbers.map(half, on="threads"), Stage[float])
assert_type(numbers.map(half, concurrency=4, on=ThreadPoolExecutor(4)), Stage[float])
assert_type(numbers.map(half, concurrency=4, on=ProcessPoolExecutor(4)), Stage[float])
assert_type(numbers.map(fetched, concurrency=2, on_error="collect"), Stage[str])
assert_type(numbers.map(fetched, on_row_error="skip"), Stage[str])
assert_type(numbers.map(fetched, on_row_error=divert), Stage[str])
assert_type(numbers.map(fetched, on_row_error=note, retry=3), Stage[str])
assert_type(numbers.map(fetched, retry=flow.Retry(5, backoff=1.0)), Stage[str])
assert_type(numbers.map(lambda row: [row], concurrency=2), Stage[list[int]])
assert_type(numbers.map(fetched, concurrency=2).map(len, concurrency=2), Stage[int])

# the class
fetching: Stage[str] = flow.Map(fetched, numbers, concurrency=2)
halves: Stage[float] = flow.Map(half, numbers, concurrency=2, on="threads")
largest: Stage[Any] = flow.Map(max, numbers, numbers, concurrency=2)

# flat_map
assert_type(numbers.flat_map(parts, concurrency=2), Stage[str])
assert_type(numbers.flat_map(parts_later, concurrency=2), Stage[bytes])
assert_type(numbers.flat_map(parts_as_they_come, concurrency=2, on_error="finish"), Stage[float])
flattened: Stage[str] = flow.FlatMap(parts, numbers, concurrency=2)

# what is refused
numbers.map(fetched, concurrency="8")  # type: ignore[call-overload]  # pyright: ignore
numbers.map(fetched, on_error="ignore")  # type: ignore[call-overload]  # pyright: ignore
numbers.map(fetched, on_row_error="raises")  # type: ignore[call-overload]  # pyright: ignore
numbers.map(half, on="processes")  # type: ignore[call-overload]  # pyright: ignore
words.map(half, concurrency=2)  # type: ignore[arg-type]  # pyright: ignore
words.map(str.upper, key=half)  # type: ignore[arg-type]  # pyright: ignore
numbers.flat_map(parts, ahead=3)  # type: ignore[call-overload]  # pyright: ignore
