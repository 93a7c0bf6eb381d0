"""Branches that give their turn away: the loop is given one for all of them, and nobody is kept from their turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from typing import Any

import pytest

import flow
from flow.core.microthread import current
from flow.testing import nothing_left, virtual_time

Source = Callable[[int], Generator[Any]]


def logged(stage: flow.Stage[Any], log: list[Any]) -> None:
    """Reads a stage, and logs its rows, and "turn" for each turn of the loop meanwhile."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        going = True

        def turn() -> None:
            if going:
                log.append("turn")
                loop.call_soon(turn)

        turn()
        async with stage.open(slice=0) as rows:
            async for row in rows:
                log.append(row)
        going = False

    asyncio.run(main())
    nothing_left()


def giving(name: Any, rows: int) -> flow.Stage[Any]:
    def source() -> Generator[Any]:
        for row in range(rows):
            flow.cooperate()
            yield name, row

    return flow.wrap(source)


@pytest.mark.parametrize("inputs", [2, 3, 50])
def test_turns_that_are_given_together_are_one(inputs: int) -> None:
    """CONTRACT 8, 10: each input goes on after a turn of the loop, and they share it, however many they are."""

    def turns(inputs: int) -> int:
        log: list[Any] = []
        logged(flow.Merge(*[giving(name, 10) for name in range(inputs)]), log)
        rows = [row for row in log if row != "turn"]
        assert rows == [(name, row) for row in range(10) for name in range(inputs)]
        return log[log.index(rows[0]) : log.index(rows[-1])].count("turn")

    assert turns(inputs) == turns(1)


def test_an_input_goes_on_only_after_a_turn() -> None:
    """`cooperate` returns when the loop has had its turn, also where another input is always ready."""
    log: list[Any] = []

    def source() -> Generator[Any]:
        for row in range(5):
            log.append("gives")
            flow.cooperate()
            log.append("goes on")
            yield row

    logged(flow.Merge(flow.wrap(source), ["ready"] * 100), log)
    steps = [each for each in log if each in ("gives", "goes on", "turn")]
    for place, each in enumerate(steps):
        if each == "goes on":
            assert "turn" in steps[:place][len(steps[:place]) - steps[:place][::-1].index("gives") :]


def test_one_that_is_always_ready_leaves_the_others_their_turn() -> None:
    """CONTRACT 10: the loop's turn stands in the queue behind those that were there, not behind what they do."""
    log: list[Any] = []
    logged(flow.Merge(giving("gives", 20), ["ready"] * 1000), log)
    rows = [row for row in log if row != "turn"]
    last = max(place for place, row in enumerate(rows) if row != "ready")
    assert last < 65  # a row of it, a turn, and two or three of the other one


def test_a_slice_that_is_used_up_gives_the_turn_at_once() -> None:
    """CONTRACT 10: then the loop comes before those that are in the queue already."""
    log: list[Any] = []

    def late() -> Generator[Any]:
        strand = current()
        assert strand is not None
        strand.owner.deadline = 0.0
        log.append("late")
        flow.cooperate()
        yield "late"

    logged(flow.Merge(giving(0, 2), flow.wrap(late), giving(1, 2), giving(2, 2)), log)
    assert log[log.index("late") + 1] == "turn"


def test_an_input_is_removed_between_its_turn_and_the_next() -> None:
    """It does not come back from a turn that it was given before."""
    log: list[Any] = []
    merge: flow.Merge[Any] = flow.Merge(giving(0, 3), hold_open=True)
    gone = giving(1, 3)
    merge.add(gone)

    def removes(rows: Any) -> Generator[Any]:
        for row in rows:
            yield row
            if row == (0, 1):
                merge.remove(gone)
                merge.finish()

    logged(merge | removes, log)
    rows = [row for row in log if row != "turn"]
    assert [row for row in rows if row[0] == 0] == [(0, 0), (0, 1), (0, 2)]
    assert [row for row in rows if row[0] == 1] == [(1, 0)]


def test_an_input_is_removed_in_the_turn_that_it_gave() -> None:
    """The loop itself removes it, while all inputs wait for their turn: the others go on, and it is closed."""
    log: list[Any] = []
    closed: list[str] = []

    def source() -> Generator[Any]:
        try:
            for row in range(9):
                flow.cooperate()
                yield 1, row
        finally:
            closed.append("gone")

    gone = flow.wrap(source)
    merge: flow.Merge[Any] = flow.Merge(giving(0, 5), gone, giving(2, 5))

    def removes(rows: Any) -> Generator[Any]:
        for row in rows:
            yield row
            if row == (2, 1):
                asyncio.get_running_loop().call_soon(merge.remove, gone)

    logged(merge | removes, log)
    rows = [row for row in log if row != "turn"]
    assert [row for row in rows if row[0] != 1] == [(name, row) for row in range(5) for name in (0, 2)]
    assert [row for row in rows if row[0] == 1] == [(1, 0), (1, 1)]
    assert closed == ["gone"]


def test_in_a_script_they_share_turns_as_well() -> None:
    """A script's private loop gives the same rows in the same order."""
    with virtual_time():
        rows = list(flow.Merge(giving(0, 3), giving(1, 3)))
    assert rows == [(name, row) for row in range(3) for name in range(2)]
