"""Counting rows, and showing the count."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from rich.console import Console

import flow
from flow.testing import Tracked, torture
from flow.watch.meter import progress


def ticks(*times: float) -> Any:
    return iter(times).__next__


def test_a_meter_counts_rows_and_seconds() -> None:
    """Four rows in three seconds are one a second: a rate is what lies between the first row and the last."""
    meter = flow.Meter(clock=ticks(10, 11, 12, 13))
    for row in "abcd":
        meter(row)
    assert (meter.rows, meter.seconds, meter.rate) == (4, 3, 1)
    assert str(meter) == "4 rows in 3.0 s, 1 a second"
    assert repr(meter) == "<Meter: 4 rows in 3.0 s, 1 a second>"


@pytest.mark.parametrize("times", [(), (5,), (5, 5)])
def test_a_meter_that_has_seen_no_time_pass_has_no_rate(times: tuple[float, ...]) -> None:
    """Nothing is divided by zero."""
    meter = flow.Meter(clock=ticks(*times))
    for _ in times:
        meter(None)
    assert (meter.rows, meter.seconds, meter.rate) == (len(times), 0, 0)


def test_a_meter_needs_a_clock() -> None:
    """CONTRACT 22: what is no clock is refused at once."""
    with pytest.raises(TypeError, match="clock"):
        flow.Meter(clock=1)  # type: ignore[arg-type]


def shown(stage: Any, **options: Any) -> str:
    out = io.StringIO()
    console = Console(file=out, width=100, force_terminal=False)
    list(progress(stage, "read", console=console, **options))
    return out.getvalue()


def test_the_line_says_how_many() -> None:
    """Where the output is no terminal the last state is printed, with the total where it is known."""
    assert "read 3," in shown(flow.wrap([1, 2, 3]))
    assert "read 3 of 3," in shown(flow.wrap([1, 2, 3]), total=3)


def test_rows_pass_as_they_are() -> None:
    """CONTRACT 1, 2, 4: the same rows, in order, and none is asked for that nobody asked for."""
    asked: list[int] = []

    def source() -> Iterator[int]:
        for number in range(10):
            asked.append(number)
            yield number

    console = Console(file=io.StringIO())
    rows = progress(flow.wrap(source), console=console)
    assert asked == []
    assert list(rows[:3]) == [0, 1, 2]
    assert asked == [0, 1, 2]


def test_a_failure_leaves_the_last_state() -> None:
    """CONTRACT 17: the error passes unharmed, and the line shows the rows before it."""

    def source() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    out = io.StringIO()
    with pytest.raises(ValueError, match="broken"):
        list(progress(flow.wrap(source), "read", console=Console(file=out, width=100)))
    assert "read 1," in out.getvalue()


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"total": -1}, ValueError, "total"),
        ({"total": 1.5}, TypeError, "total"),
        ({"total": True}, TypeError, "total"),
        ({"every": -1}, ValueError, "every"),
        ({"every": "x"}, TypeError, "every"),
    ],
)
def test_wrong_arguments_fail_when_built(options: dict[str, Any], error: type[Exception], text: str) -> None:
    """CONTRACT 22: a total and seconds that are none are refused in the line that has them."""
    with pytest.raises(error, match=text):
        progress(flow.wrap([1]), **options)


def test_without_rich(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error has the command that installs what is missing, and comes when the flow is built."""
    monkeypatch.setitem(sys.modules, "rich.console", None)
    with pytest.raises(flow.MissingExtraError, match=r"pip install coopflow\[progress\]"):
        progress(flow.wrap([1]))


def test_torture() -> None:
    """CONTRACT 14-16: ended at each of its waits, in every way, it leaves nothing open, and no live display."""
    used: list[Tracked[int]] = []

    def make_flow() -> flow.Stage[int]:
        used[:] = [Tracked([1, 2, 3], delay=1, cleanup=1)]
        return progress(flow.wrap(used[0]), console=Console(file=io.StringIO()))

    assert torture(make_flow, tracked=lambda: used).rows == [1, 2, 3]
