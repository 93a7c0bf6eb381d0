"""`flat_map(f, concurrency=n)`: several inner sources read at a time.

CONTRACT 1-5, 7, 8, 12-17, 20-23.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flow
from flow.stages import spread as module
from flow.testing import Tracked, nothing_left, torture, virtual_time

from .calling import rows_of, timed


def on_script(stage: flow.Stage[Any]) -> list[Any]:
    with virtual_time():
        return list(stage)


both = pytest.mark.parametrize("read", [on_script, rows_of])
Read = Callable[[flow.Stage[Any]], list[Any]]


# ------------------------------------------------------------------------------------------------------------------
# Rows


def test_rows_come_as_they_are_there() -> None:
    """CONTRACT 5, 8: n sources are read at a time, each row at its own time; a new one opens when one is closed."""
    opened: dict[int, float] = {}

    def ticks(number: int) -> Iterator[Any]:
        opened[number] = asyncio.get_running_loop().time()
        for part in "ab":
            flow.sleep(number)
            yield f"{number}{part}"

    got, error = timed(flow.wrap([3, 1, 2]).flat_map(ticks, concurrency=2))
    assert error is None
    assert got == [("1a", 1), ("1b", 2), ("3a", 3), ("2a", 4), ("3b", 6), ("2b", 6)]
    assert opened == {3: 0, 1: 0, 2: 2}


@both
@settings(max_examples=60)
@given(
    inner=st.lists(st.lists(st.integers(0, 9), max_size=5), max_size=8),
    delays=st.lists(st.sampled_from([0, 0, 0.5, 1]), min_size=8, max_size=8),
    concurrency=st.integers(1, 4),
    before=st.sampled_from([0, 0, 0.7]),
)
def test_against_a_model(
    read: Read, inner: list[list[int]], delays: list[float], concurrency: int, before: float
) -> None:
    """CONTRACT 1, 2, 20: every row once, those of each source in its order, and never more sources open than asked
    for; with a concurrency of 1 it is itertools.chain."""
    sources = [
        Tracked([(which, row) for row in rows], delay=delay)
        for which, (rows, delay) in enumerate(zip(inner, delays, strict=False))
    ]
    most = 0

    def give(number: int) -> Tracked[Any]:
        return sources[number]

    def watched(rows: Iterator[Any]) -> Iterator[Any]:
        nonlocal most
        for row in rows:
            most = max(most, sum(source.opened - source.closed for source in sources))
            yield row

    stage = flow.wrap(Tracked(range(len(inner)), delay=before)).flat_map(give, concurrency=concurrency) | watched
    got = read(stage)
    for which, rows in enumerate(inner):
        assert [row for source, row in got if source == which] == rows
    assert len(got) == sum(map(len, inner))
    assert most <= concurrency
    if concurrency == 1:
        assert got == [(which, row) for which, rows in enumerate(inner) for row in rows]
    nothing_left(*sources)


@both
def test_sources_that_are_ready_take_turns(read: Read) -> None:
    """CONTRACT 10: a source that is always ready does not keep the others out, nor new ones from opening."""
    stage = flow.wrap(["a", "b"]).flat_map(lambda name: ((name, n) for n in count()), concurrency=2)
    got = read(stage[:20])
    assert 9 <= len([n for name, n in got if name == "a"]) <= 11
    endless = flow.wrap([1, 2, 3]).flat_map(lambda n: count() if n == 1 else [-n], concurrency=2)
    assert {-2, -3} <= set(read(endless[:20]))


@both
def test_every_kind_of_source(read: Read) -> None:
    """CONTRACT 2: lists, generators, stages, async iterables, and what an async function gives."""

    async def numbers(n: int) -> AsyncIterator[int]:
        for number in range(n):
            await asyncio.sleep(1)
            yield number

    async def fetched(n: int) -> list[int]:
        await asyncio.sleep(1)
        return [n]

    kinds: list[Callable[[int], Any]] = [
        lambda n: [0, 1],
        range,
        lambda n: iter((0, 1)),
        numbers,
        lambda n: flow.wrap([0]).merge([1]),
        lambda n: flow.Threaded(range(n)),
    ]
    for kind in kinds:
        assert sorted(read(flow.wrap([2, 2, 2]).flat_map(kind, concurrency=2))) == [0, 0, 0, 1, 1, 1]
    assert sorted(read(flow.wrap([1, 2, 3]).flat_map(fetched, concurrency=2))) == [1, 2, 3]
    assert sorted(read(flow.wrap([1, 2]).flat_map(lambda n: fetched(n), concurrency=2))) == [1, 2]


@both
def test_empty_ones(read: Read) -> None:
    """Nothing gives nothing; empty sources make way at once."""
    assert read(flow.wrap([]).flat_map(range, concurrency=3)) == []
    assert read(flow.wrap([0] * 500).flat_map(range, concurrency=3)) == []
    assert read(flow.wrap([0, 1, 0, 1]).flat_map(range, concurrency=2)) == [0, 0]


def test_it_works_one_row_ahead_at_most() -> None:
    """CONTRACT 4, 21: a source that is open has made at most one row that was not read; nothing runs before the first
    row is asked for."""
    inner = [Tracked(count()) for _ in range(5)]
    source = Tracked(range(5))
    with flow.wrap(source).flat_map(lambda n: inner[n], concurrency=3).open() as rows:
        assert source.opened == 0
        for number in range(1, 30):
            next(rows)
            assert sum(each.asked for each in inner) <= number + 3
        assert source.asked == 3
        assert [each.opened for each in inner] == [1, 1, 1, 0, 0]
    nothing_left(source, *inner)


def test_reading_twice() -> None:
    """CONTRACT 7: a second iteration is a second run."""
    stage = flow.wrap([2, 1]).flat_map(range, concurrency=2)
    assert sorted(stage) == sorted(stage) == [0, 0, 1]
    assert repr(stage) == "wrap(list) | flat_map(range, concurrency=2)"


def test_a_thousand_sources_one_after_another() -> None:
    """CONTRACT 20: those that are over are forgotten."""
    most = 0
    opened = set()

    def watched(rows: Iterator[int]) -> Iterator[int]:
        nonlocal most
        for row in rows:
            most = max(most, len(runs[0]._branches.every))
            yield row

    runs: list[Any] = []
    start = module.Spread.rows

    def rows(self: Any) -> Any:
        runs.append(self)
        return start(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.Spread, "rows", rows)
        stage = flow.wrap(range(1000)).flat_map(lambda n: opened.add(n) or [n, n], concurrency=4) | watched
        assert len(rows_of(stage)) == 2000
    assert most <= 5
    assert len(opened) == 1000


def test_ten_thousand_sources_at_once() -> None:
    """CONTRACT 23: a concurrency of 10,000."""

    def tick(number: int) -> Iterator[int]:
        flow.sleep(number % 7)
        yield number

    with virtual_time() as clock:
        assert sorted(flow.wrap(range(10_000)).flat_map(tick, concurrency=10_000)) == list(range(10_000))
        assert clock.time() == 6


# ------------------------------------------------------------------------------------------------------------------
# Failures


def sources_of(**inner: Tracked[Any]) -> Callable[[str], Any]:
    def give(name: str) -> Any:
        if name == "wrong":
            raise OSError("f fails")
        return inner[name]

    return give


def test_an_inner_source_fails() -> None:
    """CONTRACT 3, 14, 16: rows that are made come first, the others are cancelled and closed, then the input, then the
    failure is raised."""
    error = OSError("b fails")
    log: list[tuple[str, str]] = []
    a = Tracked(["a1", "a2"], delay=[1, 60], cleanup=1, name="a", log=log)
    b = Tracked(["b1"], delay=2, fail=error, name="b", log=log)
    source = Tracked(["a", "b", "c"], name="input", log=log)
    got, raised = timed(flow.wrap(source).flat_map(sources_of(a=a, b=b), concurrency=2))
    assert got == [("a1", 1), ("b1", 2)]
    assert raised is error
    assert set(log[3:]) == {("b", "closed"), ("a", "closed"), ("input", "closed")}
    nothing_left(source, a, b)


@pytest.mark.parametrize("concurrency", [1, 2])
def test_the_function_fails(concurrency: int) -> None:
    """CONTRACT 16: a failure of f ends it as one of a source does."""
    a = Tracked(["a1"], delay=60)
    source = Tracked(["a", "wrong", "a"])
    got, raised = timed(flow.wrap(source).flat_map(sources_of(a=a), concurrency=concurrency))
    assert got == ([("a1", 60)] if concurrency == 1 else [])
    assert isinstance(raised, OSError)
    nothing_left(source, a)


def test_what_is_no_source() -> None:
    """CONTRACT 22: f that gives what can't be read is a failure of that row."""
    _, raised = timed(flow.wrap([1]).flat_map(lambda n: n, concurrency=2))
    assert isinstance(raised, TypeError)


def test_two_failures() -> None:
    """CONTRACT 16: a source fails while the cleanup of another one fails: both are raised, the first one first."""
    first, second = OSError("first"), ValueError("in the cleanup")
    a = Tracked(["a1"], delay=60, cleanup=1, cleanup_fail=second)
    b = Tracked([], fail=first)
    _, raised = timed(flow.wrap(["a", "b"]).flat_map(sources_of(a=a, b=b), concurrency=2))
    assert isinstance(raised, ExceptionGroup)
    assert list(raised.exceptions) == [first, second]


@pytest.mark.parametrize("on_error", ["cancel", "finish", "collect"])
def test_the_input_fails(on_error: Any) -> None:
    """CONTRACT 3: its failure comes after the rows of the sources that are open."""
    error = OSError("the input fails")
    a = Tracked(["a1", "a2"], delay=2)
    source = Tracked(["a"], fail=error)
    got, raised = timed(flow.wrap(source).flat_map(sources_of(a=a), concurrency=2, on_error=on_error))
    assert got == [("a1", 2), ("a2", 4)]
    assert raised is error


@pytest.mark.parametrize("wrong", ["b", "wrong"])
def test_finish(wrong: str) -> None:
    """CONTRACT 16: no further source is opened; those that are open are read to their end, then it is raised."""
    a = Tracked(["a1", "a2"], delay=2)
    b = Tracked(["b1"], delay=1, fail=OSError("b fails"))
    c = Tracked(["c1"])
    source = Tracked(["a", wrong, "c", "c"])
    got, raised = timed(flow.wrap(source).flat_map(sources_of(a=a, b=b, c=c), concurrency=2, on_error="finish"))
    assert [row for row, _ in got] == (["b1", "a1", "a2"] if wrong == "b" else ["a1", "a2"])
    assert isinstance(raised, OSError)
    assert c.opened == 0
    nothing_left(source, a, b)


@pytest.mark.parametrize("concurrency", [1, 2])
def test_collect(concurrency: int) -> None:
    """CONTRACT 16: it goes on to the end of the input; then all failures are raised, a single one bare."""
    error, last = OSError("b fails"), ValueError("the input")
    a = Tracked(["a1", "a2"], delay=1)
    b = Tracked(["b1"], delay=1, fail=error)
    source = Tracked(["b", "a", "wrong", "a"])
    give = sources_of(a=a, b=b)
    stage = flow.wrap(source).flat_map(give, concurrency=concurrency, on_error="collect")
    got, raised = timed(stage)
    assert sorted(row for row, _ in got) == ["a1", "a1", "a2", "a2", "b1"]
    assert isinstance(raised, ExceptionGroup)
    assert [str(each) for each in raised.exceptions] in (["b fails", "f fails"], ["f fails", "b fails"])
    stage = flow.wrap(Tracked(["b"], fail=last)).flat_map(give, concurrency=concurrency, on_error="collect")
    _, raised = timed(stage)
    assert isinstance(raised, ExceptionGroup)
    assert set(raised.exceptions) == {error, last}
    got, raised = timed(flow.wrap(["b", "a"]).flat_map(give, concurrency=concurrency, on_error="collect"))
    assert raised is error
    assert len(got) == 3


@pytest.mark.parametrize("where", ["f", "inner"])
def test_collect_has_a_bound(where: str) -> None:
    """CONTRACT 20: with 1,000 failures it ends as "finish" does."""

    def give(number: int) -> Any:
        if where == "f":
            raise OSError(number)
        return Tracked([], fail=OSError(number))

    _, raised = timed(flow.wrap(count()).flat_map(give, concurrency=3, on_error="collect"))
    assert isinstance(raised, ExceptionGroup)
    assert 1000 <= len(raised.exceptions) <= 1002


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"concurrency": 0}, ValueError, r"flat_map\(concurrency\)"),
        ({"concurrency": "2"}, TypeError, r"flat_map\(concurrency\)"),
        ({"concurrency": True}, TypeError, r"flat_map\(concurrency\)"),
        ({"on_error": "ignore"}, ValueError, r"flat_map\(on_error\).*'collect'"),
        ({"ahead": 3}, TypeError, "ahead"),
    ],
)
def test_wrong_options_fail_when_built(options: Any, error: Any, words: str) -> None:
    """CONTRACT 22: from the line that wrote it, naming the option and what is allowed."""
    with pytest.raises(error, match=words):
        flow.wrap([1]).flat_map(range, **options)
    with pytest.raises(error, match=words):
        flow.FlatMap(range, flow.wrap([1]), **options)


# ------------------------------------------------------------------------------------------------------------------
# Ends


def test_a_close_drops_and_counts() -> None:
    """CONTRACT 14, 16: a close closes every source, cleanups side by side; rows that were made are counted."""
    inner = [Tracked([(n, k) for k in range(9)], cleanup=2) for n in range(3)]
    source = Tracked(range(3), cleanup=1)
    dropped: list[Any] = []

    async def main() -> None:
        stage = flow.wrap(source).flat_map(lambda n: inner[n], concurrency=3)
        async with stage.open(on_dropped=dropped.extend) as rows:
            for _ in range(4):
                await anext(rows)
        assert clock.time() == 2

    with virtual_time() as clock:
        clock.run(main())
    assert sum(each.asked for each in inner) == 4 + len(dropped)
    nothing_left(source, *inner)


@pytest.mark.parametrize("on_error", ["cancel", "finish", "collect"])
@pytest.mark.parametrize("concurrency", [1, 2, 3])
def test_torture(concurrency: int, on_error: Any) -> None:
    """CONTRACT 14-16: ended at each of its waits and after each of its rows, in every way, it leaves nothing open."""
    used: list[Tracked[Any]] = []

    def tracked(rows: Any, **options: Any) -> Tracked[Any]:
        used.append(Tracked(rows, **options))
        return used[-1]

    async def fetched(n: int) -> Tracked[Any]:
        await asyncio.sleep(0.25)
        return tracked([(n, 0), (n, 1)], delay=n, cleanup=0.5)

    def make_flow() -> flow.Stage[Any]:
        used.clear()
        return flow.wrap(tracked(range(3), cleanup=1)).flat_map(fetched, concurrency=concurrency, on_error=on_error)

    report = torture(make_flow, tracked=lambda: used, ordered=False, seeds=(None, 1))
    assert sorted(report.rows) == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]
