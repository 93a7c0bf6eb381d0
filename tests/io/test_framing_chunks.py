"""chunks: pieces of one size, whatever the split, the end, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flow
from flow.testing import Tracked, torture


@given(st.binary(max_size=60), st.integers(1, 9), st.lists(st.integers(0, 60)), st.sampled_from([bytes, bytearray]))
def test_any_split_gives_the_same_chunks(stream: bytes, size: int, cuts: list[int], kind: type) -> None:
    """CONTRACT 29: the chunks are the slices of the whole stream, however it was cut; empty pieces make none."""
    bounds = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    pieces = [kind(stream[a:b]) for a, b in pairwise(bounds)]
    expected = [stream[at : at + size] for at in range(0, len(stream), size)]
    assert list(flow.wrap(pieces) | flow.chunks(size)) == expected


def test_text_is_counted_in_characters() -> None:
    """Pieces of str make chunks of str."""
    assert list(flow.wrap(["añ", "bcd"]) | flow.chunks(2)) == ["añ", "bc", "d"]


def test_a_chunk_comes_as_soon_as_it_is_whole() -> None:
    """CONTRACT 4, 5: no piece is asked for while there is a chunk, and nothing but the rest is held."""
    pieces = Tracked([b"abcde", b"f"])
    with (flow.wrap(pieces) | flow.chunks(2)).open() as rows:
        assert next(rows) == b"ab"
        assert next(rows) == b"cd"
        assert pieces.asked == 1
        assert next(rows) == b"ef"
        assert pieces.asked == 2


@pytest.mark.parametrize(("trailing", "last"), [("row", [b"c"]), ("drop", [])])
def test_a_shorter_end(trailing: Any, last: list[bytes]) -> None:
    """CONTRACT 29: what is left at the end is a row or is dropped, as asked."""
    assert list(flow.wrap([b"abc"]) | flow.chunks(2, trailing=trailing)) == [b"ab", *last]


def test_a_shorter_end_may_be_an_error() -> None:
    """CONTRACT 3: it comes after the chunks before it, and says how long the end is."""
    got = []
    with pytest.raises(ValueError, match="the last chunk has 1 of 2: it begins with b'c'"):
        got.extend(flow.Block(flow.wrap([b"abc"]) | flow.chunks(2, trailing="error")))
    got = list(flow.wrap([b"abcd"]) | flow.chunks(2, trailing="error"))
    assert got == [b"ab", b"cd"]


@pytest.mark.parametrize(
    ("size", "trailing", "error"),
    [
        (0, "row", ValueError),
        (-1, "row", ValueError),
        (1.5, "row", TypeError),
        (True, "row", TypeError),
        (None, "row", TypeError),
        (1, "keep", ValueError),
    ],
)
def test_bad_arguments_fail_when_built(size: Any, trailing: Any, error: type[Exception]) -> None:
    """CONTRACT 22: refused by the line that wrote it."""
    with pytest.raises(error, match=r"chunks\((size|trailing)\)"):
        flow.chunks(size, trailing=trailing)


@pytest.mark.parametrize("pieces", [[1], [b"a", "b"], ["a", b"b"], [None]])
def test_other_rows_are_an_error(pieces: list[Any]) -> None:
    """Pieces must be of one kind; the error names the stage and the kind."""
    with pytest.raises(TypeError, match=r"chunks\(\)"):
        list(flow.wrap(pieces) | flow.chunks(2))


def test_torture() -> None:
    """CONTRACT 14-16: ended at each of its waits, in every way, it leaves nothing open."""
    used: list[Tracked[bytes]] = []

    def make_flow() -> flow.Stage[bytes]:
        used[:] = [Tracked([b"abc", b"de"], delay=1, cleanup=1)]
        return flow.wrap(used[0]) | flow.chunks(2)

    assert torture(make_flow, tracked=lambda: used).rows == [b"ab", b"cd", b"e"]


def test_it_is_a_plain_function_of_pieces() -> None:
    """Framing is sans-io: it works on any iterator, and one object serves many."""
    halves = flow.chunks(2)
    for _ in range(2):
        rows: Iterator[bytes] = halves([b"abc"])
        assert list(rows) == [b"ab", b"c"]
