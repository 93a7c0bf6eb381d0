"""The types of rows through ``|`` and the short forms of stages. Read by type checkers, never run."""

# mypy: disable-error-code="unused-awaitable"
# pyright: standard, reportUnusedExpression=false, reportUnusedCoroutine=false

import itertools
from collections.abc import AsyncIterator, Iterable, Iterator
from functools import partial
from typing import Any, assert_type

import flow
from flow import Stage

numbers = flow.wrap([1, 2])
words = flow.wrap(["a", "b"])


def lengths(rows: Iterator[str]) -> Iterator[int]:
    for row in rows:
        yield len(row)


def doubled(rows: Iterable[int]) -> Iterator[int]:
    for row in rows:
        yield row * 2


def times(rows: Iterable[int], factor: int, *, offset: int = 0) -> Iterator[float]:
    for row in rows:
        yield row * factor + offset


async def spelled(rows: AsyncIterator[int]) -> AsyncIterator[str]:
    async for row in rows:
        yield str(row)


async def repeated(rows: AsyncIterator[int], count: int) -> AsyncIterator[bytes]:
    async for row in rows:
        yield bytes([row]) * count


def is_odd(row: int) -> bool:
    return row % 2 == 1


async def fetched(row: int) -> str:
    return str(row)


async def parts(row: int) -> list[str]:
    return [str(row)]


async def is_good(row: int) -> bool:
    return row > 0


def half(row: int) -> float:
    return row / 2


def functions() -> None:
    assert_type(words | lengths, Stage[int])
    assert_type(numbers | doubled, Stage[int])
    assert_type(words | lengths | doubled, Stage[int])
    assert_type(numbers | spelled, Stage[str])
    assert_type(numbers | spelled | lengths, Stage[int])
    # Of these one checker or the other does not find out the type: it must fit at least.
    odd: Stage[int] = numbers | partial(filter, is_odd)
    first: Stage[int] = numbers | partial(itertools.takewhile, is_odd)
    ordered: Stage[int] = numbers | sorted
    numbered: Stage[tuple[int, str]] = words | enumerate
    del odd, first, ordered, numbered
    assert_type(numbers | partial(times, factor=2), Stage[float])
    assert_type(words | reversed_, Stage[str])
    assert_type(numbers | itertools.pairwise, Stage[tuple[int, int]])
    assert_type(flow.wrap([b"a\nb"]) | flow.lines(), Stage[bytes])
    assert_type(words | flow.lines("\n"), Stage[str])
    assert_type(words | flow.lines(), Stage[str])


def reversed_(rows: Iterable[str]) -> list[str]:
    return list(rows)[::-1]


def with_arguments() -> None:
    assert_type(numbers.pipe(times, 2), Stage[float])
    assert_type(numbers.pipe(times, 2, offset=1), Stage[float])
    assert_type(numbers.pipe(times, factor=2), Stage[float])
    assert_type(numbers.pipe(doubled), Stage[int])
    assert_type(numbers.pipe(repeated, 2), Stage[bytes])
    assert_type(words.pipe(enumerate, 1), Stage[tuple[int, str]])
    words.pipe(sorted, key=len)
    words.pipe(itertools.islice, 3)


def short_forms() -> None:
    assert_type(numbers.map(half), Stage[float])
    assert_type(numbers.map(str), Stage[str])
    assert_type(numbers.map(fetched), Stage[str])
    assert_type(numbers.map(lambda row: (row, str(row))), Stage[tuple[int, str]])
    assert_type(words.map(str.upper), Stage[str])
    assert_type(numbers.filter(is_odd), Stage[int])
    assert_type(numbers.filter(is_good), Stage[int])
    assert_type(numbers.filter(lambda row: row > 1), Stage[int])
    assert_type(numbers.flat_map(range), Stage[int])
    assert_type(numbers.flat_map(parts), Stage[str])
    assert_type(numbers.flat_map(lambda row: [str(row)]), Stage[str])
    assert_type(numbers.flat_map(lambda row: flow.wrap([str(row)])), Stage[str])
    assert_type(words.enumerate(), Stage[tuple[int, str]])
    assert_type(words.enumerate(1), Stage[tuple[int, str]])
    assert_type(words[:2], Stage[str])
    assert_type(words[1:10:3], Stage[str])
    assert_type(words.take_while(str.isdigit), Stage[str])
    assert_type(numbers.drop_while(is_good), Stage[int])
    assert_type(words.batched(2), Stage[tuple[str, ...]])
    assert_type(words.batched(2).map(len), Stage[int])


def classes() -> None:
    assert_type(flow.Map(half, numbers), flow.Map[float])
    assert_type(flow.Map(fetched, numbers), flow.Map[str])
    assert_type(flow.Map(half, [1, 2]), flow.Map[float])
    assert_type(flow.Filter(is_odd, numbers), flow.Filter[int])
    assert_type(flow.Filter(is_odd, [1, 2]), flow.Filter[int])
    assert_type(flow.FlatMap(parts, numbers), flow.FlatMap[str])
    assert_type(flow.FlatMap(range, numbers), flow.FlatMap[int])


def combined() -> None:
    assert_type(flow.Zip(numbers, words), flow.Zip[tuple[int, str]])
    assert_type(flow.Zip(numbers, words, strict=True), flow.Zip[tuple[int, str]])
    assert_type(flow.Zip(numbers, words, numbers.map(half)), flow.Zip[tuple[int, str, float]])
    assert_type(flow.Zip(numbers, words, words, numbers), flow.Zip[tuple[int, str, str, int]])
    assert_type(flow.Zip(numbers, words, fill=None), flow.Zip[tuple[Any, ...]])
    assert_type(flow.Merge(numbers, numbers.map(half).map(int)), flow.Merge[int])
    assert_type(numbers.zip(words), flow.Zip[tuple[int, str]])
    assert_type(numbers.zip(words, numbers), flow.Zip[tuple[int, str, int]])
    assert_type(numbers.merge(numbers, numbers), flow.Merge[int])
    assert_type(flow.Zip([1], ["a"]), flow.Zip[tuple[int, str]])
    assert_type(flow.Merge([1], (2, 3), iter({4})), flow.Merge[int])
    assert_type(flow.Merge(spelled, range(3)), flow.Merge[Any])
    assert_type(numbers.zip(["a"]), flow.Zip[tuple[int, str]])


def whoever_reads_numbers(stage: Stage[int]) -> Stage[float]:
    """A stage is covariant: one of bools is one of ints."""
    return stage


def covariance(flags: Stage[bool]) -> None:
    whoever_reads_numbers(flags)
    whoever_reads_numbers(flow.wrap([True]))
    assert_type(flags | doubled, Stage[int])
    widened: Stage[object] = flags
    del widened
    whoever_reads_numbers(words)  # type: ignore[arg-type]


def what_does_not_fit() -> None:
    numbers | lengths  # type: ignore[operator]
    words | doubled  # type: ignore[operator]
    words | spelled  # type: ignore[operator]
    numbers | is_odd  # type: ignore[operator]
    numbers | fetched  # type: ignore[operator]
    numbers | words  # type: ignore[operator]
    numbers | 1  # type: ignore[operator]
    numbers.pipe(times)  # type: ignore[call-overload]
    numbers.pipe(times, "2")  # type: ignore[call-overload]
    words.pipe(times, 2)  # type: ignore[call-overload]
    numbers.map(str.upper)  # type: ignore[arg-type]
    words.map(half)  # type: ignore[arg-type]
    words.filter(is_odd)  # type: ignore[arg-type]
    words.take_while(is_odd)  # type: ignore[arg-type]
    numbers.flat_map(is_odd)  # type: ignore[arg-type]
    numbers[0]  # type: ignore[index]
    numbers.batched("2")  # type: ignore[arg-type]
    flow.Filter(is_odd, words)  # type: ignore[arg-type]
