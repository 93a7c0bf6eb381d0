"""The types of rows through buffers, and of stages that share a source. Read by type checkers, never run."""

# mypy: disable-error-code="unused-awaitable"
# pyright: standard, reportUnusedExpression=false

from typing import Any, assert_type

import flow
from flow import Stage

numbers = flow.wrap([1, 2])


def is_odd(row: int) -> bool:
    return row % 2 == 1


async def is_good(row: int) -> bool:
    return row > 0


def name_of(row: int) -> str:
    return str(row)


async def fetched_name(row: int) -> str:
    return str(row)


# Buffers and companions hand rows on as they are.
assert_type(numbers.buffer(2), Stage[int])
assert_type(numbers.buffer(1, "latest"), Stage[int])
assert_type(numbers.buffer(8, overflow="drop_newest"), Stage[int])
assert_type(numbers.background(flow.wrap("a")), Stage[int])
assert_type(numbers.background(["anything", "that", "wrap", "takes"]), Stage[int])

# So do stages that share a source.
assert_type(numbers.share(), Stage[int])
assert_type(numbers.share(3, limit=8, slow="drop"), Stage[int])
assert_type(numbers.tee(), tuple[Stage[int], ...])
assert_type(numbers.tee(3, slow="disconnect"), tuple[Stage[int], ...])
assert_type(numbers.partition(is_odd), tuple[Stage[int], Stage[int]])
assert_type(numbers.partition(is_good, limit=2), tuple[Stage[int], Stage[int]])
assert_type(numbers.balance(3), tuple[Stage[int], ...])

# A route gives pairs of a key and a stage.
assert_type(numbers.route(name_of), Stage[tuple[str, Stage[int]]])
assert_type(numbers.route(fetched_name, most=5), Stage[tuple[str, Stage[int]]])


async def reading() -> None:
    async for key, rows in numbers.route(name_of):
        assert_type(key, str)
        assert_type(rows, Stage[int])
        async for row in rows:
            assert_type(row, int)
    first, second = numbers.tee()
    assert_type(await first.zip(second), list[tuple[int, int]])


# What is not one of the words is an error before it is run.
numbers.buffer(1, "drop")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
numbers.share(slow="quick")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
anything: Stage[Any] = numbers.buffer(1)
