"""Pictures of flows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

import flow


def parse(rows: Iterator[str]) -> Iterator[int]:
    return map(int, rows)


async def relay(rows: AsyncIterator[int]) -> AsyncIterator[int]:
    async for row in rows:
        yield row


def test_a_chain_is_a_row_of_boxes() -> None:
    """Each stage is a box with its label, and an arrow leads to the one that reads it; async ones included."""
    assert flow.draw(flow.wrap(["1"]) | parse | relay) == (
        'flowchart LR\n    s0["relay"]\n    s1["parse"]\n    s2["wrap(list)"]\n    s1 --> s0\n    s2 --> s1'
    )


def test_a_stage_that_is_read_twice_is_one_box() -> None:
    """What two inputs share has one box and two arrows."""
    source = flow.wrap([1])
    text = flow.draw(flow.Merge(source.map(str), source.enumerate()))
    assert text.count("wrap(list)") == 1
    assert text.count("-->") == 4
    assert '["Merge"]' in text


def test_marks_of_mermaid_are_written_so_that_they_show() -> None:
    """A lambda's name and a quoted text in a label don't end the box."""
    text = flow.draw(flow.wrap([1]).map(lambda row: row))
    assert "#lt;locals#gt;" in text
    assert "<" not in text


def test_nothing_is_read() -> None:
    """A picture opens no source."""

    def source() -> Iterator[int]:
        raise AssertionError("opened")
        yield

    flow.draw(flow.wrap(source))


def test_what_is_no_stage_is_refused() -> None:
    """CONTRACT 22: the error says what to write."""
    with pytest.raises(TypeError, match=r"flow\.wrap"):
        flow.draw([1])  # type: ignore[arg-type]
