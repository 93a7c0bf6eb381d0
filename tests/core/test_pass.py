"""Classic generators: `yield stage` asks, `next(stage)` takes, whoever reads and whatever happens in between."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable, Generator, Iterator
from contextvars import copy_context
from typing import Any

import pytest
from greenlet import GreenletExit, getcurrent, greenlet

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


@pytest.mark.parametrize("how", ["switched to", "switched to again", "thrown into", "begun by throwing"])
def test_a_reading_is_not_found_from_another_stack(how: str) -> None:
    """CONTRACT 7: on a stack that came and went between asking and taking.

    On which stack the caller runs is not asked of greenlet each time: a switch must never go unnoticed.
    """
    numbers = flow.wrap([1, 2, 3])
    found: list[Any] = []

    def ask(*_: object) -> None:
        try:
            found.append(next(numbers))
        except flow.NotReadyError:
            found.append("not here")

    def body(*_: object) -> None:
        ask()
        try:
            getcurrent().parent.switch()
        finally:
            ask()

    def rows() -> Generator[Any]:
        yield numbers
        ask()
        yield numbers
        other = greenlet(body)
        if how == "begun by throwing":
            other.throw(GreenletExit)
            greenlet(ask).switch()
        else:
            other.switch()
        if how == "switched to again":
            ask()
            yield numbers
            other.switch()
        if how == "thrown into":
            other.throw(GreenletExit)
        del other  # ends it, where it is paused
        ask()
        yield "over"

    assert asyncio.run(awaited_list(flow.wrap(rows))) == ["over"]
    elsewhere = {"switched to": 2, "thrown into": 2}.get(how, 1)
    if how == "switched to again":
        assert found == [1, "not here", 2, "not here", 3]
    else:
        assert found == [1, *["not here"] * elsewhere, 2]


@pytest.mark.blocking_ok
def test_a_reading_is_not_found_from_another_thread() -> None:
    """CONTRACT 7: not even from one that has changed its context exactly as often as the thread of the run has."""
    numbers = flow.wrap(range(1000))
    found: list[Any] = []

    def ask() -> None:
        try:
            found.append(next(numbers))
        except flow.NotReadyError:
            found.append("not here")

    def changed(times: int) -> None:
        for _ in range(times // 2):
            copy_context().run(int)  # enters it, and leaves it
        copy_context().run(ask) if times % 2 else ask()

    def in_a_thread(work: Callable[..., object], *arguments: Any) -> None:
        thread = threading.Thread(target=work, args=arguments)
        thread.start()
        thread.join()

    def rows() -> Generator[Any]:
        for times in range(300):
            yield numbers
            in_a_thread(changed, times)
            ask()

    async def without_turns() -> list[Any]:
        async with flow.wrap(rows).open(slice=0) as stage:
            return [row async for row in stage]

    in_a_thread(asyncio.run, without_turns())  # in one of its own, which counts from the beginning
    assert found == [each for times in range(300) for each in ("not here", times)]


def test_asked_by_another_branch_while_it_waits() -> None:
    """CONTRACT 13: it waits for the stage that it asked: its generator is not resumed by who did not ask."""

    def slow() -> Generator[Any]:
        for row in range(3):
            flow.sleep(1)
            yield row

    source = flow.wrap(slow)

    def asking() -> Generator[Any]:
        while True:
            yield source
            yield next(source)

    def shared(rows: Iterator[int]) -> Iterator[int]:
        def worker() -> Iterator[int]:
            yield from rows

        yield from flow.Merge(worker, worker)

    with virtual_time(), pytest.raises(ValueError, match="already executing") as caught:
        list(flow.wrap(asking) | shared)
    assert any("give each branch a stage of its own" in note for note in caught.value.__notes__)


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
