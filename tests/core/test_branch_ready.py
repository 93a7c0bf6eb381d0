"""Inputs whose rows are there already: they are taken without a step of the branch, and nothing else is different."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Generator
from itertools import chain, zip_longest
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flow
from flow.testing import nothing_left, virtual_time

KINDS = ("list", "callback", "generator", "slow", "instructions")


def made(kind: str, rows: list[int]) -> flow.Stage[int]:
    """A source of these rows: there already, pushed, made one by one, each after a wait, or among instructions."""

    def generator() -> Generator[int]:
        for row in rows:
            if kind == "slow":
                flow.sleep(1)
            yield row

    if kind == "list":
        return flow.wrap(rows)
    if kind == "instructions":
        return flow.wrap([each for row in rows for each in (flow.Cooperate(1), row)])
    if kind != "callback":
        return flow.wrap(generator)
    callback: flow.Callback[int] = flow.Callback(len(rows) + 1)
    for row in rows:
        callback(row)
    callback.finish()
    return callback


def read(make: Callable[[], flow.Stage[Any]]) -> list[Any]:
    """On asyncio and in a script: the same rows."""

    async def main() -> list[Any]:
        return [row async for row in make()]

    with virtual_time() as clock:
        rows: list[Any] = clock.run(main())
    with virtual_time():
        assert list(make()) == rows
    nothing_left()
    return rows


inputs = st.lists(st.tuples(st.sampled_from(KINDS), st.lists(st.integers(0, 9), max_size=70)), min_size=1, max_size=4)


@given(inputs)
@settings(max_examples=60, deadline=None)
def test_zip_of_anything(inputs: list[tuple[str, list[int]]]) -> None:
    """CONTRACT 1, 2: as the builtin, whatever its inputs are."""
    lists = [rows for _, rows in inputs]
    assert read(lambda: flow.Zip(*[made(*each) for each in inputs])) == list(zip(*lists, strict=False))
    assert read(lambda: flow.Zip(*[made(*each) for each in inputs], fill=None)) == list(zip_longest(*lists))


@given(inputs)
@settings(max_examples=60, deadline=None)
def test_sorted_merges_and_chains_of_anything(inputs: list[tuple[str, list[int]]]) -> None:
    """CONTRACT 1, 2: as heapq.merge and itertools.chain; interleave gives a row of each in turn."""
    ordered = [(kind, sorted(rows)) for kind, rows in inputs]
    assert read(lambda: flow.merge_sorted(*[made(*each) for each in ordered])) == list(
        heapq.merge(*[rows for _, rows in ordered])
    )
    lists = [rows for _, rows in inputs]
    assert read(lambda: flow.chain(*[made(*each) for each in inputs])) == list(chain(*lists))
    none = object()
    in_turn = [row for rows in zip_longest(*lists, fillvalue=none) for row in rows if row is not none]
    assert read(lambda: flow.interleave(*[made(*each) for each in inputs])) == in_turn


@given(inputs)
@settings(max_examples=60, deadline=None)
def test_merges_of_anything(inputs: list[tuple[str, list[int]]]) -> None:
    """CONTRACT 1, 2: each row once, and those of an input in its order."""
    rows = read(lambda: flow.Merge(*[made(*each).map(lambda row, n=n: (n, row)) for n, each in enumerate(inputs)]))
    for n, (_, expected) in enumerate(inputs):
        assert [row for index, row in rows if index == n] == expected
    rows = read(lambda: flow.Merge(*[made(*each) for each in inputs]))
    assert sorted(rows) == sorted(chain(*[rows for _, rows in inputs]))


def test_a_merge_of_two_gives_them_in_turn() -> None:
    """CONTRACT 10: rows that are there are no reason to be served twice."""
    rows = read(lambda: flow.Merge([1] * 200, made("callback", [2] * 200), made("generator", [3] * 200)))
    assert rows == [1, 2, 3] * 200


def test_rows_that_a_zip_leaves_are_counted_once() -> None:
    """CONTRACT 16: the row that it took, and those that the channel still held; a list holds no rows that were made."""
    dropped: list[int] = []
    with flow.Zip(made("callback", list(range(10))), ["a", "b"]).open(on_dropped=dropped.extend) as rows:
        assert list(rows) == [(0, "a"), (1, "b")]
    assert sorted(dropped) == list(range(2, 10))


def test_a_list_with_instructions_waits_where_they_are() -> None:
    """CONTRACT 5, 13: what comes after an instruction is not there; and it is the input that waits."""
    with virtual_time() as clock:
        got = []
        for row in flow.Merge([1, flow.Cooperate(5), 2], [10, flow.Cooperate(3), 20]):
            got.append((row, clock.time()))
    assert got == [(1, 0), (10, 0), (20, 3), (2, 5)]


@pytest.mark.parametrize("kind", ["list", "callback"])
def test_an_input_that_leaves_gives_no_row_of_its_piece(kind: str) -> None:
    """`remove` holds from there on, for rows that are at hand, too."""
    merge: flow.Merge[int] = flow.Merge(hold_open=True)
    gone = merge.add(made(kind, [1] * 50))
    merge.add([2] * 50)
    got = []
    for row in merge:
        got.append(row)
        if len(got) == 20:
            merge.remove(gone)
            merge.finish()
    assert got == [1, 2] * 10 + [2] * 40
