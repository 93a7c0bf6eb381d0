"""Classic generators: `yield stage` asks, `next(stage)` takes, whoever reads and whatever happens in between."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Generator, Iterator
from typing import Any

import pytest

import flow
from flow.core.microthread import current
from flow.core.pass_cy import Pass, replace_reading
from flow.testing import virtual_time


def test_a_reading_is_found_by_the_strand_that_asks() -> None:
    """CONTRACT 7: two branches read one stage, and each waits between asking and taking: no row goes to the other."""
    numbers = flow.wrap([1, 2, 3])

    def slowly(name: str, seconds: float) -> Any:
        def rows() -> Generator[Any]:
            while True:
                yield numbers
                flow.sleep(seconds)
                try:
                    row = next(numbers)
                except StopIteration:
                    return
                yield name, row

        return flow.wrap(rows)

    with virtual_time():
        merged = list(flow.Merge(slowly("a", 0.5), slowly("b", 0.75)))
    assert [row for row in merged if row[0] == "a"] == [("a", 1), ("a", 2), ("a", 3)]
    assert [row for row in merged if row[0] == "b"] == [("b", 1), ("b", 2), ("b", 3)]


def test_two_runs_of_one_stage() -> None:
    """CONTRACT 7: a stage is a description: two runs of it that take turns have each a reading of their own."""
    numbers = flow.wrap([1, 2, 3])

    def rows() -> Generator[Any]:
        while True:
            yield numbers
            yield next(numbers)

    doubled = flow.wrap(rows)
    with pytest.raises(RuntimeError, match="StopIteration"):
        list(zip(doubled, doubled, strict=True))
    with doubled.open() as one, doubled.open() as other:
        assert [next(one), next(other), next(one), next(other)] == [1, 1, 2, 2]


def test_the_rows_between_may_be_taken_by_others() -> None:
    """CONTRACT 9: `for` takes the row that was asked for, and `next()` after it finds the end."""
    numbers = flow.wrap([1, 2, 3])

    def rows() -> Generator[Any]:
        yield numbers
        yield list(numbers)
        yield list(numbers)
        with pytest.raises(StopIteration):
            next(numbers)

    assert list(flow.wrap(rows)) == [[1, 2, 3], []]


def test_a_row_that_was_taken_otherwise_is_not_taken_twice() -> None:
    """CONTRACT 7: what is asked for again is the next row, though nothing else was yielded in between."""
    numbers = flow.wrap([1, 2, 3, 4])

    def rows() -> Generator[Any]:
        yield numbers
        first, second = next(numbers), next(numbers)
        yield first, second
        yield numbers
        yield numbers
        yield next(numbers), next(numbers)

    assert list(flow.wrap(rows)) == [(1, 2), (3, 4)]


def test_another_kind_of_reading_may_take_its_place() -> None:
    """CONTRACT 9: a stage that reads its inputs in its own way is believed at the next `yield stage`, too."""
    numbers = flow.wrap([1, 2, 3])

    def rows() -> Generator[Any]:
        yield numbers
        yield next(numbers)
        strand = current()
        assert strand is not None
        before = strand.passes[numbers]
        replace_reading(numbers, strand, iter("ab"))
        yield numbers
        yield next(numbers)
        replace_reading(numbers, strand, before)
        yield numbers
        yield next(numbers)

    assert list(flow.wrap(rows)) == [1, "a", 2]


class Counting(flow.Stage[int]):
    """A stage with a ``__next__`` of its own."""

    __slots__ = ()

    def rows(self, upstream: Any, scope: Any) -> Iterator[int]:
        return iter([1, 2])

    def __next__(self) -> int:
        return -super().__next__()


def test_a_class_of_stages_may_have_a_next_of_its_own() -> None:
    """CONTRACT 9: it is the one that is called, in both builds; what it inherits is the usual one."""
    stage = Counting()

    def rows() -> Generator[Any]:
        yield stage
        yield next(stage)
        yield next(stage)

    assert list(flow.wrap(rows)) == [-1, -2]


async def awaited_list(stage: flow.Stage[Any]) -> list[Any]:
    return await stage


@pytest.mark.parametrize("awaited", [False, True])
def test_nothing_is_kept_of_a_reading(awaited: bool) -> None:
    """CONTRACT 3: when a run is over, no reading of it is left anywhere, whatever ended it."""
    seen: list[weakref.ref[Any]] = []

    class Row:
        pass

    def made() -> Generator[Any]:
        for _ in range(3):
            row = Row()
            seen.append(weakref.ref(row))
            yield row

    source = flow.wrap(made)

    def rows() -> Generator[Any]:
        while True:
            yield source
            yield next(source)
            raise LookupError

    stage = flow.wrap(rows)
    with pytest.raises(LookupError):
        asyncio.run(awaited_list(stage)) if awaited else list(stage)
    gc.collect()
    assert len(seen) == 1
    assert seen[0]() is None
    assert not [each for each in gc.get_objects() if isinstance(each, Pass)]
