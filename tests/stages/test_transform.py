"""The stages that change rows one after another, each against its model in the standard library.

CONTRACT 1, 2, 3, 4, 6, 14-16, 17, 19, 22.
"""

# ruff: noqa: PT011  # errors without a text: the very instance is compared
from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from itertools import count, islice
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flow
from flow.testing import Tracked, torture, virtual_time

numbers = st.lists(st.integers(-20, 20), max_size=30)


def odd(x: int) -> int:
    return x % 2


def small(x: int) -> bool:
    return x < 5


async def async_odd(x: int) -> int:
    await asyncio.sleep(0.001)
    return x % 2


async def async_small(x: int) -> bool:
    await asyncio.sleep(0.001)
    return x < 5


async def twice(x: int) -> int:
    await asyncio.sleep(0.001)
    return 2 * x


def on_script(stage: flow.Stage[Any]) -> list[Any]:
    with virtual_time():
        return list(stage)


def on_asyncio(stage: flow.Stage[Any]) -> list[Any]:
    async def main() -> list[Any]:
        return [row async for row in stage]

    with virtual_time() as clock:
        return clock.run(main())


both = pytest.mark.parametrize("read", [on_script, on_asyncio])
Read = Callable[[flow.Stage[Any]], list[Any]]


# ------------------------------------------------------------------------------------------------------------------
# Each stage and its model


@both
@given(rows=numbers)
def test_map_is_the_builtin(read: Read, rows: list[int]) -> None:
    """CONTRACT 1, 2: rows.map(f) is map(f, rows)."""
    assert read(flow.wrap(rows).map(str)) == list(map(str, rows))


@both
@given(rows=numbers, more=numbers)
def test_map_over_several_stages_is_the_builtin(read: Read, rows: list[int], more: list[int]) -> None:
    """CONTRACT 1, 2: Map(f, a, b) is map(f, a, b): one row of each, as long as the shortest."""
    wanted = list(map(lambda a, b: a - b, rows, more))
    assert read(flow.Map(lambda a, b: a - b, flow.wrap(rows), more)) == wanted


@both
@given(rows=numbers)
def test_filter_is_the_builtin(read: Read, rows: list[int]) -> None:
    """CONTRACT 1, 2: rows.filter(f) is filter(f, rows), whatever kind of truth f gives."""
    assert read(flow.wrap(rows).filter(odd)) == list(filter(odd, rows))


@both
@given(rows=numbers, start=st.integers(-5, 5))
def test_enumerate_is_the_builtin(read: Read, rows: list[int], start: int) -> None:
    """CONTRACT 1, 2: rows.enumerate(start) is enumerate(rows, start)."""
    assert read(flow.wrap(rows).enumerate(start)) == list(enumerate(rows, start))


bounds = st.one_of(st.none(), st.integers(0, 35))
steps = st.one_of(st.none(), st.integers(1, 7))


@both
@given(rows=numbers, start=bounds, stop=bounds, step=steps)
def test_a_slice_is_islice(read: Read, rows: list[int], start: Any, stop: Any, step: Any) -> None:
    """CONTRACT 1, 2: rows[a:b:c] is islice(rows, a, b, c), and so that of a list."""
    found = read(flow.wrap(rows)[start:stop:step])
    assert found == list(islice(rows, start, stop, step)) == rows[start:stop:step]


@both
@given(rows=numbers)
def test_take_while_and_drop_while_are_those_of_itertools(read: Read, rows: list[int]) -> None:
    """CONTRACT 1, 2: take_while and drop_while are itertools' own; together they give all rows."""
    assert read(flow.wrap(rows).take_while(small)) == list(itertools.takewhile(small, rows))
    assert read(flow.wrap(rows).drop_while(small)) == list(itertools.dropwhile(small, rows))


@both
@given(rows=numbers)
def test_async_functions_give_what_plain_ones_give(read: Read, rows: list[int]) -> None:
    """CONTRACT 9: an async function is awaited, and its result counts, in each of these stages."""
    assert read(flow.wrap(rows).map(twice)) == [2 * row for row in rows]
    assert read(flow.wrap(rows).filter(async_odd)) == list(filter(odd, rows))
    assert read(flow.wrap(rows).take_while(async_small)) == list(itertools.takewhile(small, rows))
    assert read(flow.wrap(rows).drop_while(async_small)) == list(itertools.dropwhile(small, rows))


@both
@settings(max_examples=20)
@given(rows=st.lists(st.integers(0, 5), max_size=8))
def test_flat_map_is_chain_from_iterable(read: Read, rows: list[int]) -> None:
    """CONTRACT 1, 2: the rows of f(row), one after another, whatever iterable f gives."""

    def generator(x: int) -> Iterator[int]:
        yield from range(x)

    async def an_async_generator(x: int) -> AsyncIterator[int]:
        for number in range(x):
            await asyncio.sleep(0.001)
            yield number

    async def an_async_function(x: int) -> list[int]:
        await asyncio.sleep(0.001)
        return list(range(x))

    wanted = list(itertools.chain.from_iterable(map(range, rows)))
    kinds: list[Any] = [range, lambda x: list(range(x)), lambda x: tuple(range(x)), lambda x: iter(range(x))]
    kinds += [generator, an_async_generator, an_async_function, lambda x: flow.wrap(range(x)).map(int)]
    kinds += [lambda x: flow.Threaded(range(x)), lambda x: dict.fromkeys(range(x)).keys()]
    for kind in kinds:
        assert read(flow.wrap(rows).flat_map(kind)) == wanted


# ------------------------------------------------------------------------------------------------------------------
# Async functions, in order


def test_async_calls_are_made_one_after_another() -> None:
    """CONTRACT 1, 8: an async f is awaited before the next row is asked for: calls never overlap, and take their
    time."""
    log: list[tuple[str, int]] = []

    async def slowly(x: int) -> int:
        log.append(("begin", x))
        await asyncio.sleep(3 - x)
        log.append(("end", x))
        return x

    with virtual_time() as clock:
        assert list(flow.wrap(range(3)).map(slowly)) == [0, 1, 2]
        assert clock.time() == 6
    assert log == [(what, x) for x in range(3) for what in ("begin", "end")]


def test_a_function_that_returns_a_coroutine_is_awaited_by_map() -> None:
    """Map also awaits what a plain function (a lambda, a partial, a callable object) returns, when that is a
    coroutine."""

    class Doubling:
        async def __call__(self, x: int) -> int:
            return 2 * x

    async def power(x: int, exponent: int) -> int:
        return int(x**exponent)

    assert on_script(flow.wrap([1, 2]).map(lambda x: twice(x))) == [2, 4]
    assert on_script(flow.wrap([1, 2]).map(partial(power, exponent=3))) == [1, 8]
    assert on_script(flow.wrap([1, 2]).map(Doubling())) == [2, 4]
    assert on_script(flow.wrap([1, 2]).filter(partial(power, exponent=0))) == [1, 2]


def test_a_condition_that_returns_a_coroutine_is_awaited() -> None:
    """A lambda round an async function is not "always true": its coroutine is awaited, as Map does it."""
    assert on_script(flow.wrap([1, 2, 3]).filter(lambda x: async_odd(x))) == [1, 3]
    assert on_script(flow.wrap([1, 9, 1]).take_while(lambda x: async_small(x))) == [1]
    assert on_script(flow.wrap([1, 9, 1]).drop_while(lambda x: async_small(x))) == [9, 1]


def test_map_over_several_stages_awaits_too() -> None:
    """CONTRACT 9: an async f of several rows."""

    async def add(a: int, b: int) -> int:
        await asyncio.sleep(1)
        return a + b

    with virtual_time() as clock:
        assert list(flow.Map(add, [1, 2], [10, 20])) == [11, 22]
        assert clock.time() == 2


# ------------------------------------------------------------------------------------------------------------------
# Lazy


@pytest.mark.parametrize(
    ("make", "first", "asked"),
    [
        (lambda rows: rows.map(str), "0", 1),
        (lambda rows: rows.filter(lambda x: x > 2), 3, 4),
        (lambda rows: rows.enumerate(), (0, 0), 1),
        (lambda rows: rows.take_while(small), 0, 1),
        (lambda rows: rows.drop_while(small), 5, 6),
        (lambda rows: rows[3:], 3, 4),
        (lambda rows: rows.flat_map(lambda x: [x] * x), 1, 2),
        (lambda rows: rows.flat_map(lambda x: flow.wrap(count())), 0, 1),
    ],
)
def test_no_row_is_asked_for_ahead(make: Callable[[Any], Any], first: Any, asked: int) -> None:
    """CONTRACT 4: nothing is asked for before the first row is, and then only what that row needs."""
    source = Tracked(count())
    stage = make(flow.wrap(source))
    with stage.open() as rows:
        assert source.asked == 0
        assert next(rows) == first
        assert source.asked == asked
    assert source.is_closed


@pytest.mark.parametrize(
    ("bounds", "asked"),
    [
        (slice(3), 3),
        (slice(0), 0),
        (slice(2, 2), 0),
        (slice(5, 3), 0),
        (slice(2, 5), 5),
        (slice(0, 10, 10), 1),
        (slice(0, 11, 3), 10),
        (slice(1, 9, 4), 6),
        (slice(0, 3, 2), 3),
        (slice(None, 7, 100), 1),
    ],
)
def test_a_slice_asks_for_no_row_after_its_last(bounds: slice, asked: int) -> None:
    """CONTRACT 4: on a live source, asking means waiting: a slice ends with its last row, also one with a step."""
    source = Tracked(range(100))
    assert list(flow.wrap(source)[bounds]) == list(range(100))[bounds]
    assert source.asked == asked


def test_take_while_reads_one_row_more() -> None:
    """CONTRACT 4: it reads and drops the first row that is not wanted, and no other."""
    source = Tracked(count())
    assert list(flow.wrap(source).take_while(small)) == [0, 1, 2, 3, 4]
    assert source.asked == 6
    assert source.is_closed


def test_flat_map_closes_each_inner_source_before_the_next_row() -> None:
    """CONTRACT 14: one inner source is open at a time, and a break closes the inner one first, then the outer."""
    log: list[tuple[str, str]] = []
    outer = Tracked(range(3), name="outer", log=log)
    stage = flow.wrap(outer).flat_map(lambda x: Tracked([x], name=f"inner {x}", log=log))
    assert list(stage) == [0, 1, 2]
    wanted = [("outer", "opened")]
    for number in range(3):
        wanted += [(f"inner {number}", "opened"), (f"inner {number}", "closed")]
    assert log == [*wanted, ("outer", "closed")]
    log.clear()
    with stage.open() as rows:
        assert next(rows) == 0
    assert log == [("outer", "opened"), ("inner 0", "opened"), ("inner 0", "closed"), ("outer", "closed")]


# ------------------------------------------------------------------------------------------------------------------
# Failures


def fails_at_three(x: int) -> int:
    if x == 3:
        raise KeyError("three")
    return x


@both
@pytest.mark.parametrize(
    ("make", "before"),
    [
        (lambda rows: rows.map(fails_at_three), [0, 1, 2]),
        (lambda rows: rows.filter(fails_at_three), [1, 2]),
        (lambda rows: rows.take_while(lambda x: fails_at_three(x) >= 0), [0, 1, 2]),
        (lambda rows: rows.drop_while(lambda x: fails_at_three(x) >= 0), []),
        (lambda rows: rows.flat_map(lambda x: [fails_at_three(x)]), [0, 1, 2]),
        (lambda rows: flow.Map(lambda a, b: fails_at_three(a), rows, count()), [0, 1, 2]),
    ],
)
def test_a_failure_of_f_comes_after_the_rows_before_it(
    read: Read, make: Callable[[Any], Any], before: list[int]
) -> None:
    """CONTRACT 3, 17, 14: rows first, then the very exception, and the source is closed."""
    source = Tracked(count())
    got: list[int] = []

    def noted(rows: Iterator[int]) -> Iterator[int]:
        for row in rows:
            got.append(row)
            yield row

    with pytest.raises(KeyError, match="three") as raised:
        read(make(flow.wrap(source)) | noted)
    assert type(raised.value) is KeyError
    assert got == before
    assert source.is_closed


@both
@pytest.mark.parametrize("make", [fails_at_three, twice], ids=["plain", "async"])
def test_a_failure_of_the_source_passes(read: Read, make: Any) -> None:
    """CONTRACT 3, 17: a failure above passes each stage unchanged, after the rows before it."""
    error = OSError("gone")
    stage = flow.wrap(Tracked([0, 1], fail=error)).map(make).filter(lambda x: True).enumerate().flat_map(list)
    with pytest.raises(OSError) as raised:
        read(stage)
    assert raised.value is error


def stops(x: int) -> int:
    if x == 1:
        raise StopIteration
    return x + 1


async def stops_async(x: int) -> int:
    if x == 1:
        raise StopIteration
    return x + 1


@both
@pytest.mark.parametrize("f", [stops, stops_async])
@pytest.mark.parametrize(
    "make",
    [
        lambda rows, f: rows.map(f),
        lambda rows, f: rows.filter(f),
        lambda rows, f: rows.take_while(f),
        lambda rows, f: rows.drop_while(f),
        lambda rows, f: rows.flat_map(f),
        lambda rows, f: flow.Map(f, rows, rows) if f is None else flow.Map(partial(_first, f), rows, rows),
    ],
    ids=["map", "filter", "take_while", "drop_while", "flat_map", "map of two"],
)
def test_a_stop_iteration_out_of_f_is_an_error(read: Read, make: Any, f: Any) -> None:
    """CONTRACT 19: it is a RuntimeError, never a silent end. (The builtin map would end.)"""
    start = 1  # the first row already stops
    with pytest.raises(RuntimeError, match="StopIteration"):
        read(make(flow.wrap([start, 2, 3]), f))


def _first(f: Any, a: Any, b: Any) -> Any:
    return f(a)


def test_rows_of_any_value_pass() -> None:
    """CONTRACT 6: None, exceptions, StopIteration instances and empty lists are rows to each of these stages."""
    values = [None, ValueError(), StopIteration(1), StopIteration, [], (), Ellipsis, 0]
    stage = flow.wrap(values).map(lambda x: x).filter(lambda x: True).take_while(lambda x: True)
    assert list(stage.drop_while(lambda x: False).flat_map(lambda x: [x])[:]) == values


# ------------------------------------------------------------------------------------------------------------------
# Wrong arguments


@pytest.mark.parametrize(
    ("build", "error", "words"),
    [
        (lambda rows: rows.map(3), TypeError, "map"),
        (lambda rows: rows.map(None), TypeError, "map"),
        (lambda rows: flow.Map(3, rows), TypeError, "map"),
        (lambda rows: flow.Map(3, rows, rows), TypeError, "map"),
        (lambda rows: flow.Map(None, rows, rows), TypeError, "map"),
        (lambda rows: flow.Map(str), TypeError, "stage"),
        (lambda rows: rows.filter("x"), TypeError, "filter"),
        (lambda rows: rows.filter(None), TypeError, "filter"),
        (lambda rows: rows.take_while(1), TypeError, "take_while"),
        (lambda rows: rows.drop_while(1), TypeError, "drop_while"),
        (lambda rows: rows.flat_map([]), TypeError, "flat_map"),
        (lambda rows: rows.enumerate(1.5), TypeError, "start"),
        (lambda rows: rows.enumerate("1"), TypeError, "start"),
        (lambda rows: rows[1], TypeError, "slice"),
        (lambda rows: rows["a"], TypeError, "slice"),
        (lambda rows: rows[-1:], ValueError, "at least 0"),
        (lambda rows: rows[:-1], ValueError, "at least 0"),
        (lambda rows: rows[::0], ValueError, "step"),
        (lambda rows: rows[::-1], ValueError, "step"),
        (lambda rows: rows[1.5:], (TypeError, ValueError), "whole numbers"),
        (lambda rows: rows | 3, TypeError, "function"),
        (lambda rows: rows | [1], TypeError, "function"),
        (lambda rows: rows | map, TypeError, "map"),
        (lambda rows: rows | filter, TypeError, "filter"),
        (lambda rows: rows | twice, TypeError, "map"),
        (lambda rows: rows | rows, TypeError, "merge"),
        (lambda rows: flow.Map(str, 3), TypeError, "int"),
    ],
)
def test_wrong_arguments_fail_when_built(build: Callable[[Any], Any], error: Any, words: str) -> None:
    """CONTRACT 22: TypeError or ValueError from the line that wrote it, saying which argument and what is allowed."""
    with pytest.raises(error, match=words):
        build(flow.wrap([1]))


# ------------------------------------------------------------------------------------------------------------------
# Closing


@pytest.mark.parametrize(
    "make",
    [
        lambda rows: rows.map(twice),
        lambda rows: rows.filter(async_odd),
        lambda rows: rows.enumerate(),
        lambda rows: rows[1:3],
        lambda rows: rows.take_while(async_small),
        lambda rows: rows.drop_while(odd),
        lambda rows: rows.flat_map(lambda x: flow.wrap([x, flow.Cooperate(1), x])),
    ],
    ids=["map", "filter", "enumerate", "slice", "take_while", "drop_while", "flat_map"],
)
def test_torture(make: Callable[[Any], Any]) -> None:
    """CONTRACT 14-16: ended at each wait and after each row, in every way; the source is closed each time."""
    sources: list[Tracked[int]] = []

    def build() -> flow.Stage[Any]:
        sources[:] = [Tracked(range(4), delay=1, cleanup=1)]
        stage: flow.Stage[Any] = make(flow.wrap(sources[0]))
        return stage

    report = torture(build, tracked=lambda: sources, seeds=(None, 3))
    assert report.rows
    assert report.runs["cancelled"] == 2 * len(report.waits)


def test_an_inner_reading_that_a_stage_began_and_left_is_closed_with_the_run() -> None:
    """CONTRACT 14: a stage may iterate another stage by hand. When it fails or is closed in between, that reading is
    closed before control returns, though the traceback still holds the variable."""
    inner = Tracked(range(9), name="inner")

    def by_hand(rows: Iterator[int]) -> Iterator[int]:
        numbers = iter(flow.wrap(inner))
        yield next(numbers)
        for row in rows:
            yield row + next(numbers)
        raise OSError("left in between")

    stage = flow.wrap([10]) | by_hand
    try:
        list(stage)
    except OSError:
        assert inner.opened == inner.closed == 1
    with stage.open() as rows:
        held = [next(rows)]
    assert held == [0]
    assert inner.opened == inner.closed == 2


@both
def test_a_failing_cleanup_of_an_inner_reading_is_raised(read: Read) -> None:
    """CONTRACT 16: a ``for`` over another stage that is left, whose cleanup fails: the failure is not lost."""

    def fails_when_closed() -> Iterator[int]:
        try:
            yield from count()
        finally:
            raise ValueError("cleanup")

    def inside(rows: Iterator[int]) -> Iterator[int]:
        for number in flow.wrap(fails_when_closed):  # noqa: UP028  # `yield from` would close it itself
            yield number

    with pytest.raises(ValueError, match="cleanup"):
        read((flow.wrap([1]) | inside)[:3])
