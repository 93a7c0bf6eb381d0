"""batched: the rows in tuples, as `itertools.batched` of Python 3.12 does it. (With a time or a weight:
test_batch_within.py.)

CONTRACT 1, 2, 3, 4, 14-16, 20, 22.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flow
from flow.testing import Tracked, torture, virtual_time

from .when import cancelled_at


def recipe(rows: list[Any], n: int) -> list[tuple[Any, ...]]:
    return [tuple(rows[i : i + n]) for i in range(0, len(rows), n)]


@given(st.lists(st.one_of(st.integers(), st.none())), st.integers(1, 12))
def test_batches_are_those_of_a_recipe(rows: list[Any], n: int) -> None:
    """CONTRACT 1, 2: all rows, in order, each once, `n` at a time, the last batch maybe shorter, none empty."""
    assert list(flow.wrap(tuple(rows)).batched(n)) == recipe(rows, n)


def test_batches_are_tuples() -> None:
    """As itertools gives them: they can be keys, and nobody changes them."""
    assert [type(batch) for batch in flow.wrap([1, 2, 3]).batched(2)] == [tuple, tuple]


@pytest.mark.parametrize("n", [1, 2, 5])
def test_a_batch_asks_for_its_own_rows_only(n: int) -> None:
    """CONTRACT 4, 20: each batch asks for n rows and no more: n rows are held."""
    source = Tracked(count())
    with flow.wrap(source).batched(n).open() as rows:
        assert source.asked == 0
        for number in range(1, 5):
            next(rows)
            assert source.asked == n * number
    assert source.is_closed


def test_a_failure_comes_after_the_rows_before_it() -> None:
    """CONTRACT 3: full batches, then those that are left as a last one, then the failure."""
    got = []
    with pytest.raises(OSError, match="gone"):
        for batch in flow.wrap(Tracked(range(5), fail=OSError("gone"))).batched(2):
            got.append(batch)
    assert got == [(0, 1), (2, 3), (4,)]


def test_a_failure_after_a_full_batch_comes_alone() -> None:
    """CONTRACT 3: no empty batch before it."""
    got = []
    with pytest.raises(OSError, match="gone"):
        for batch in flow.wrap(Tracked(range(4), fail=OSError("gone"))).batched(2):
            got.append(batch)
    assert got == [(0, 1), (2, 3)]


def test_rows_of_an_unfinished_batch_are_counted() -> None:
    """CONTRACT 16: a cancel drops them, and says so."""
    assert cancelled_at(flow.wrap(Tracked(range(9), delay=1)).batched(3), 5.5) == ([(0, 1, 2)], [3, 4])


class Reviving:
    """An iterator that ends, and gives rows again when it is asked once more: a poller, a file that grows."""

    def __init__(self) -> None:
        self.asked = 0

    def __iter__(self) -> Reviving:
        return self

    def __next__(self) -> int:
        self.asked += 1
        if self.asked in (6, 12):
            raise StopIteration
        assert self.asked < 20, "it is asked again and again after its end"
        return self.asked


def test_an_iterator_is_not_asked_again_after_its_end() -> None:
    """CONTRACT 3: a run ends once: after a short batch the source has ended, whatever it would give next."""
    source = Reviving()
    assert list(flow.wrap(source).batched(3)) == [(1, 2, 3), (4, 5)]
    assert source.asked == 6


def test_batches_of_an_ended_iterator_do_not_begin_anew_after_an_exact_multiple() -> None:
    """CONTRACT 3: the same when the last batch was full."""
    source = Reviving()
    assert list(flow.wrap(source).batched(5)) == [(1, 2, 3, 4, 5)]
    assert source.asked == 6


@pytest.mark.parametrize(
    ("n", "error"), [(0, ValueError), (-1, ValueError), (1.5, TypeError), (None, TypeError), (True, TypeError)]
)
def test_a_wrong_size_fails_when_built(n: Any, error: type[Exception]) -> None:
    """CONTRACT 22: from the line that wrote it, naming the argument."""
    with pytest.raises(error, match=r"\bn\b"):
        flow.wrap([1]).batched(n)


def test_torture() -> None:
    """CONTRACT 14-16: ended at each wait and after each row, in every way; rows before a failure are not lost (3)."""
    sources: list[Tracked[int]] = []

    def make() -> flow.Stage[Any]:
        sources[:] = [Tracked(range(5), delay=1, cleanup=1)]
        return flow.wrap(sources[0]).batched(2).flat_map(list)

    report = torture(make, tracked=lambda: sources, seeds=(None, 1))
    assert report.rows == [0, 1, 2, 3, 4]
    assert report.runs["cancelled"] == 2 * len(report.waits)


def test_batches_of_rows_that_wait() -> None:
    """A batch is complete when its last row is there: the waits of its rows add up."""

    def slow() -> Iterator[int]:
        for number in range(4):
            flow.sleep(1)
            yield number

    with virtual_time() as clock:
        times = [(batch, clock.time()) for batch in flow.wrap(slow).batched(2)]
    assert times == [((0, 1), 2), ((2, 3), 4)]
