"""The types of rows through batches, windows and the stages that keep time. Read by type checkers, never run."""

# mypy: disable-error-code="unused-awaitable"
# pyright: standard, reportUnusedExpression=false, reportUnusedCoroutine=false

from collections.abc import Iterator
from typing import assert_type

import flow
from flow import Stage

numbers = flow.wrap([1, 2])
words = flow.wrap(["a", "b"])


def half(row: int) -> float:
    return row / 2


async def weighed(row: str) -> float:
    return len(row)


def named(error: flow.RowTimeoutError) -> str:
    return error.which


async def awaited(error: flow.RowTimeoutError) -> bytes:
    return error.which.encode()


async def beat() -> bytes:
    return b""


def batches() -> None:
    assert_type(words.batched(2), Stage[tuple[str, ...]])
    assert_type(words.batched(2, within=0.5), Stage[tuple[str, ...]])
    assert_type(words.batched(2, weight=len, max_weight=9), Stage[tuple[str, ...]])
    assert_type(words.batched(2, weight=weighed, max_weight=9), Stage[tuple[str, ...]])
    assert_type(words | flow.batched(2), Stage[tuple[str, ...]])
    assert_type(numbers | flow.batched(2, within=1), Stage[tuple[int, ...]])
    assert_type(words | flow.batched(2, weight=len, max_weight=9), Stage[tuple[str, ...]])
    assert_type(words | flow.lines() | flow.batched(500, within=0.2), Stage[tuple[str, ...]])
    assert_type(words.pipe(flow.batched(2)), Stage[tuple[str, ...]])
    assert_type(words | flow.batched(2) | flow.batched(3), Stage[tuple[tuple[str, ...], ...]])
    step = flow.batched(2)
    assert_type(words | step, Stage[tuple[str, ...]])
    assert_type(numbers | step, Stage[tuple[int, ...]])
    assert_type((numbers | step).map(len), Stage[int])


class Doubled:
    """What attaches itself, and takes numbers only."""

    def attached_to(self, stage: Stage[int], /) -> Stage[float]:
        return stage.map(half)


def steps_of_ones_own() -> None:
    assert_type(numbers | Doubled(), Stage[float])
    assert_type(numbers.pipe(Doubled()), Stage[float])
    words | Doubled()  # type: ignore[operator]


def windows() -> None:
    assert_type(words.window(2), Stage[tuple[str, ...]])
    assert_type(words.window(2, 1), Stage[tuple[str, ...]])
    assert_type(words.window(2, step=1), Stage[tuple[str, ...]])
    assert_type(words.window(seconds=60), Stage[tuple[str, ...]])
    assert_type(words.window(seconds=60, every=10, most=5), Stage[tuple[str, ...]])
    assert_type(words.window(gap=1, most=5), Stage[tuple[str, ...]])
    assert_type(words.window(gap=1).map(len), Stage[int])


def timing() -> None:
    assert_type(flow.every(1), Stage[int])
    assert_type(flow.every(1, 0.5, on_late="catch_up"), Stage[int])
    assert_type(words.delay(1), Stage[str])
    assert_type(words.delay(len, start=2, limit=3), Stage[str])
    assert_type(words.delay(weighed), Stage[str])
    assert_type(words.rate_limit(10), Stage[str])
    assert_type(words.rate_limit(10, per=60, burst=3, cost=len, overflow="drop"), Stage[str])
    assert_type(words.debounce(0.5), Stage[str])
    assert_type(words.sample(0.5), Stage[str])
    assert_type(words.deadline(60), Stage[str])


def what_comes_in_its_place() -> None:
    assert_type(words.timeout(item=1), Stage[str])
    assert_type(words.timeout(first=1, idle=2, total=3), Stage[str])
    assert_type(numbers.timeout(item=1, on_late=named), Stage[int | str])
    assert_type(numbers.timeout(item=1, on_late=awaited), Stage[int | bytes])
    assert_type(numbers.keep_alive(1, None), Stage[int | None])
    assert_type(numbers.keep_alive(1, str), Stage[int | str])
    assert_type(numbers.keep_alive(1, beat), Stage[int | bytes])


def shout(rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    for row in rows:
        yield "".join(row).upper()


def what_follows() -> None:
    assert_type(words | flow.batched(2) | shout, Stage[str])
    assert_type(words.window(2) | shout, Stage[str])


def what_does_not_fit() -> None:
    words.batched("2")  # type: ignore[arg-type]
    flow.batched(2, max="3")  # type: ignore[call-arg]
    words.batched(2, weight=half, max_weight=1)  # type: ignore[arg-type]
    words.delay(half)  # type: ignore[arg-type]
    words.rate_limit(1, cost=half)  # type: ignore[arg-type]
    words.rate_limit(1, overflow="error")  # type: ignore[arg-type]
    words.window()  # type: ignore[call-overload]
    words.window(2, seconds=3)  # type: ignore[call-overload]
    words.timeout(item=1, on_late=half)  # type: ignore[arg-type]
    flow.every("1")  # type: ignore[arg-type]
    numbers | flow.batched(2) | shout  # type: ignore[operator]
