"""Both builds of the core do the same: the same random programs give the same logs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flow import _build

from .programs import READERS, Other, log_of, programs

HERE = _build.running().name


@pytest.fixture(scope="module")
def other() -> Iterator[Other]:
    other = Other(pure=HERE == "compiled")
    try:
        if other.build == HERE:
            pytest.skip("the core is not compiled here")
        yield other
    finally:
        other.close()


@settings(max_examples=400)
@given(program=programs, reader=st.sampled_from(list(READERS)), count=st.integers(0, 8))
def test_both_builds_do_the_same(other: Other, program: Any, reader: str, count: int) -> None:
    """CONTRACT 1-6, 9 and 14-19 in both builds: rows, order, waits, errors, frames and closings are the same ones."""
    assert log_of(program, reader, count) == other.log_of(program, reader, count)


def test_the_log_shows_what_it_should() -> None:
    """A log has rows, waits, what is handled where, the user's frames, and the time of each closing."""
    log = log_of(("plain", ("classic", [("row", 1), ("handling", 2), ("fail", 3)], 0.5)), "rows", 0)
    assert log[:3] == ["0.000 row 1, handling None", "0.000 plain has 1, handling None", "0.000 row 1"]
    assert "0.000 still handling KeyError(2)" in log
    assert "0.500 classic: closed" in log
    assert log[-1].startswith("0.500 ended by ValueError(3) ['flow: ")
    assert "in ['log_of', '_rows', 'plain', 'classic', '_act'] []" in log[-1]
