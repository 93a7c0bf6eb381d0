"""What became of the rows of a run that was drained.

What may live here: counting rows, and holding some of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from .record import Record

__all__ = ["Drained", "Kept", "Receipt"]

T = TypeVar("T")


class Drained(Record, Generic[T]):
    """What became of the rows of a run from the moment it was told to drain.

    `delivered`: came out, to the reader or to `take`. `in_flight`: a stage had begun to work on them, and was ended.
    `never_started`: were held for a step that had not begun: in a buffer, a channel, an input that works ahead. Each is
    a number; the rows themselves, as many as `keep` allows, are in `rows_delivered`, `rows_in_flight` and
    `rows_never_started`. A row is shown as it was at that place: one in flight as its source gave it, one in a buffer
    as the stage above the buffer made it; of one that is worked on below a Merge, only the number is known. What a
    stage of yours holds in a variable, flow can't know. All came out when the last two are 0.

        flow.Drained(delivered=2).in_flight                # 0
    """

    delivered: int = 0
    in_flight: int = 0
    never_started: int = 0
    rows_delivered: tuple[T, ...] = ()
    rows_in_flight: tuple[Any, ...] = ()
    rows_never_started: tuple[Any, ...] = ()


class Kept:
    """Rows that are counted, and up to `most` of them held."""

    def __init__(self) -> None:
        self.most = 0
        self.count = 0
        self.rows: list[Any] = []

    def add(self, rows: Sequence[Any]) -> None:
        self.count += len(rows)
        room = self.most - len(self.rows)
        if room > 0:
            self.rows += rows[:room]

    def add_unknown(self) -> None:
        """A row that is not known."""
        self.count += 1


class Receipt:
    """The three kinds of rows, while they are being counted."""

    def __init__(self) -> None:
        self.delivered = Kept()
        self.in_flight = Kept()
        self.never_started = Kept()

    def keep(self, most: int) -> None:
        """From now on, rows are held as well."""
        for each in (self.delivered, self.in_flight, self.never_started):
            each.most = max(each.most, most)

    def drained(self, keep: int) -> Drained[Any]:
        """How it stands now."""
        return Drained(
            self.delivered.count,
            self.in_flight.count,
            self.never_started.count,
            tuple(self.delivered.rows[:keep]),
            tuple(self.in_flight.rows[:keep]),
            tuple(self.never_started.rows[:keep]),
        )

    def __str__(self) -> str:
        return f"{self.in_flight.count} in flight and {self.never_started.count} that were not begun were given up"
