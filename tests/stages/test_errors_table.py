"""The table of errors: every stage that has to do with errors, by where something fails above it.

CONTRACT 2, 3, 14, 16, 17.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import flow
from flow.testing import nothing_left, virtual_time

from .when import both

Read = Callable[[flow.Stage[Any]], list[tuple[Any, float]]]
Attach = Callable[[flow.Stage[Any]], flow.Stage[Any]]


class Source:
    """Gives 1, 2, 3, waiting 1 before each, and fails at one place, each time that it is opened."""

    def __init__(self, fails: str) -> None:
        self.fails = fails
        self.opened = self.closed = 0

    def __iter__(self) -> Iterator[Any]:
        if self.fails == "opening":
            raise ValueError("opening")
        self.opened += 1
        return _Rows(self)

    @property
    def stage(self) -> flow.Stage[Any]:
        stage = flow.wrap(self)
        return stage.map(self._stage) if self.fails == "a stage" else stage

    def _stage(self, row: int) -> int:
        flow.sleep(0.5)
        if row == 3:
            raise ValueError("a stage")
        return row


class _Rows:
    def __init__(self, source: Source) -> None:
        self._source = source
        self._rows = iter([1, 2, 3])

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> int:
        flow.sleep(1)
        row = next(self._rows, None)
        fails = self._source.fails
        if (fails, row) in [("the first row", 1), ("the third row", 3), ("the end", None)]:
            raise ValueError(fails)
        if row is None:
            raise StopIteration
        return row

    def close(self) -> None:
        self._source.closed += 1
        if self._source.fails == "closing":
            raise ValueError("closing")


PLACES = {
    "nothing": [1, 2, 3],
    "opening": [],
    "the first row": [],
    "the third row": [1, 2],
    "a stage": [1, 2],
    "the end": [1, 2, 3],
    "closing": [1, 2, 3],
}
"""Where something fails, and the rows that come before."""


def told(error: Exception | None) -> str:
    return f"told of {error}"


def table() -> dict[str, tuple[Attach, Callable[[list[Any], str], list[Any]]]]:
    """Each stage, and what comes of rows and a failure: the last item is "end", or the text of what it failed with."""
    ends: list[str] = []

    def ended(error: Exception | None) -> None:
        ends.append(told(error))

    def outcome(rows: list[Any], fails: str) -> list[Any]:
        return [*rows, "end" if fails == "nothing" else fails]

    def handled(*instead: Any) -> Callable[[list[Any], str], list[Any]]:
        return lambda rows, fails: [*rows, *([] if fails == "nothing" else instead), "end"]

    def by_value(rows: list[Any], fails: str) -> list[Any]:
        return [*map(str, map(flow.Ok, rows)), *([] if fails == "nothing" else [f"Failed: {fails}"]), "end"]

    def again(times: int) -> Callable[[list[Any], str], list[Any]]:
        # When only the closing fails, all rows have come: it is not tried again.
        return lambda rows, fails: outcome(rows * (1 if fails in ("nothing", "closing") else times), fails)

    def shown(value: Any) -> str:
        return str(value) if isinstance(value, flow.Ok) else f"Failed: {value.error}"

    return {
        "none": (lambda stage: stage, outcome),
        "trap": (lambda stage: stage.trap(ValueError).map(lambda row: row if row in (1, 2, 3) else "E"), handled("E")),
        "trap of another": (lambda stage: stage.trap(KeyError), outcome),
        "recover": (lambda stage: stage.recover(lambda error: [8, 9]), handled(8, 9)),
        "recover of another": (lambda stage: stage.recover(lambda error: [8, 9], on=KeyError), outcome),
        "retry": (lambda stage: stage.retry(flow.Retry(3, backoff=0.25)), again(3)),
        "retry of another": (lambda stage: stage.retry(flow.Retry(3, on=KeyError)), outcome),
        "as_values": (lambda stage: stage.as_values().map(shown), by_value),
        "and back": (lambda stage: stage.as_values().from_values(), outcome),
        "on_start": (lambda stage: stage.on_start(lambda: None), outcome),
        "on_row": (lambda stage: stage.on_row(lambda row: None), outcome),
        "on_end": (lambda stage: stage.on_end(ended), outcome),
        "finally_": (lambda stage: stage.finally_(lambda: flow.sleep(1)), outcome),
        "through": (lambda stage: stage.through(flow.Valve()), outcome),
        "retry, then recover": (
            lambda stage: stage.retry(flow.Retry(2, backoff=0)).recover(lambda error: [8]),
            lambda rows, fails: handled(8)(again(2)(rows, fails)[:-1], fails),
        ),
        "recover, then retry": (
            lambda stage: stage.recover(lambda error: [8]).retry(flow.Retry(2, backoff=0)),
            handled(8),
        ),
    }


@both
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", table())
def test_what_comes_of_a_failure(read: Read, name: str, place: str) -> None:
    """CONTRACT 3, 17: the rows before it, and then what the stage is for; everything is closed as often as opened."""
    attach, expected = table()[name]
    source = Source(place)
    got: list[Any] = []
    try:
        read(attach(source.stage).on_row(got.append))
        got.append("end")
    except ValueError as error:
        got.append(str(error))
    assert got == expected(PLACES[place], place)
    assert source.closed == source.opened
    nothing_left()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", table())
def test_a_cancel_at_any_time(name: str, place: str) -> None:
    """CONTRACT 14, 15: whatever becomes of errors, a cancel comes out, and everything is closed."""

    async def main(at: float) -> None:
        source = Source(place)
        task = asyncio.create_task(table()[name][0](source.stage).collect(list))
        await asyncio.sleep(at)
        task.cancel()
        await asyncio.wait([task])
        done = not task.cancelled()
        assert task.cancelled() or done
        assert source.closed == source.opened
        if done:
            task.exception()

    for at in (0, 0.5, 1, 1.75, 2.5, 3.25, 4.5):
        with virtual_time() as clock:
            clock.run(main(at))
        nothing_left()


def test_on_end_is_told_of_each_failure() -> None:
    """CONTRACT 16: of opening and closing, too."""
    for place in PLACES:
        ends: list[str] = []
        stage = Source(place).stage.on_end(lambda error: ends.append(told(error)))  # noqa: B023
        with virtual_time():
            if place == "nothing":
                list(stage)
            else:
                with pytest.raises(ValueError, match=place):
                    list(stage)
        assert ends == ["told of None" if place == "nothing" else f"told of {place}"]
