"""Counting the rows that pass: `Meter`, and `progress`, which shows the count while it grows.

What may live here: what counts rows and tells of it. It changes no row, holds none, and knows no loop.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from functools import partial
from time import monotonic
from typing import Any, TypeVar

from ..core.instruction import seconds_of
from ..core.stage import Pipe, Stage
from ..errors import MissingExtraError

__all__ = ["Meter", "progress"]

T = TypeVar("T")


class Meter:
    """Counts rows, and says how many come in a second: ``rows.on_row(meter)``.

    It may stand at several places, which are then counted together, and be read at any time, from any thread. Seconds
    are counted from the first row, by `clock` (`time.monotonic` unless another one is given).

        meter = flow.Meter()
        for row in flow.wrap(range(3)).on_row(meter): ...
        print(meter.rows)                                  # 3
    """

    __slots__ = ("_clock", "_first", "_last", "rows")

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        if not callable(clock):
            raise TypeError(f"Meter(clock) must be a function that gives seconds, not {type(clock).__name__}")
        self.rows = 0
        self._clock = clock
        self._first: float | None = None
        self._last = 0.0

    def __call__(self, row: object, /) -> None:
        """Counts a row."""
        self._last = self._clock()
        if self._first is None:
            self._first = self._last
        self.rows += 1

    @property
    def seconds(self) -> float:
        """Seconds from the first row to the last one so far."""
        return 0.0 if self._first is None else self._last - self._first

    @property
    def rate(self) -> float:
        """Rows a second, between the first and the last one; 0 while there is nothing to divide by."""
        return (self.rows - 1) / self.seconds if self.seconds > 0 else 0.0

    def __str__(self) -> str:
        return f"{self.rows:,} rows in {self.seconds:.1f} s, {self.rate:,.0f} a second"

    def __repr__(self) -> str:
        return f"<Meter: {self}>"


def progress(
    stage: Stage[T], label: str = "rows", *, total: int | None = None, every: float = 0.2, console: Any = None
) -> Stage[T]:
    """The same rows; a line in the terminal says how many have passed, how many a second, and how many are left.

    The line is drawn by rich, on standard error (`console`: another ``rich.console.Console``), at most each `every`
    seconds, and never from a thread of its own. With `total` there is a bar, and an estimate of the time left; without,
    a count. Where the output is no terminal, only the last state is printed. Holds nothing. At the end, at a failure
    and at an early close the line stays as it is then. Raises MissingExtraError where rich is not installed, ValueError
    or TypeError for a total or seconds that are none, all of them when it is built.

        rows = flow.wrap(range(1000)).progress("read", total=1000)
        for row in rows: ...
    """
    if total is not None and (isinstance(total, bool) or not isinstance(total, int)):
        raise TypeError(f"progress(total=...) must be a number of rows, not {type(total).__name__}")
    if total is not None and total < 0:
        raise ValueError(f"progress(total=...) must be 0 or more rows, not {total}")
    seconds_of(every, "progress(every=...)")
    try:
        from rich.console import Console
    except ModuleNotFoundError as error:
        raise MissingExtraError("progress() draws with rich: pip install coopflow[progress]") from error
    shown = console or Console(stderr=True)
    return Pipe(stage, partial(_progress, label, total, every, shown), f"progress({label!r})")


def _progress(label: str, total: int | None, every: float, console: Any, rows: Iterator[T]) -> Generator[T]:
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    left: list[Any] = [BarColumn(), TimeRemainingColumn()] if total is not None else []
    line = Progress(
        TextColumn("{task.description}"),
        TextColumn("{task.fields[counted]}"),
        *left,
        TimeElapsedColumn(),
        console=console,
        auto_refresh=False,
    )
    meter = Meter()

    def draw() -> None:
        of = f" of {total:,}" if total is not None else ""
        line.update(task, completed=meter.rows, counted=f"{meter.rows:,}{of}, {meter.rate:,.0f} a second")
        line.refresh()

    with line:
        task = line.add_task(label, total=total, counted="")
        then = monotonic()
        try:
            for row in rows:
                meter(row)
                yield row
                now = monotonic()
                if now - then >= every:
                    then = now
                    draw()
        finally:
            draw()
