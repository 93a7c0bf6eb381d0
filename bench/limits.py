"""The least that a kind of work can cost: what whoever does it in flow's way must do, and nothing else.

No checks, no errors, no closing, no second reader: nobody could use these. They show how much of what flow takes is
there to be saved. What may live here: contestants of that kind, without flow.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Any

from greenlet import getcurrent, greenlet

__all__ = ["Rows", "awaiting_hub", "classic_by_hand", "classic_rows", "in_slices", "lines_in_slices", "sliced"]

SLICE = 64
PIECE = 256


def sliced(rows: range) -> Iterator[Any]:
    """A source that could give the loop a turn between two slices, and does not."""
    return chain.from_iterable(rows[start : start + SLICE] for start in range(0, len(rows), SLICE))


def in_slices(rows: Iterator[Any]) -> list[Any]:
    """A list of all rows, by somebody who could look at the clock between two pieces, and does not."""
    found: list[Any] = []
    before = -1
    while len(found) > before:
        before = len(found)
        found.extend(islice(rows, PIECE))
    return found


def lines_in_slices(pieces: Iterable[bytes]) -> list[bytes]:
    """Lines out of pieces, by somebody who has no limit for their length, and one kind of pieces and delimiters."""

    def blocks() -> Iterator[list[bytes]]:
        rest = b""
        for piece in pieces:
            found = (rest + piece).split(b"\n")
            rest = found.pop()
            yield found
        if rest:
            yield [rest]

    return in_slices(chain.from_iterable(blocks()))


def classic_rows(source: Iterator[Any]) -> Iterator[Any]:
    """A classic stage: it says what it wants to wait for, and then takes the row."""
    while True:
        yield source
        try:
            row = next(source)
        except StopIteration:
            return
        yield row


def classic_by_hand(rows: Iterable[Any], depth: int) -> Iterator[Any]:
    """Classic generators, by somebody who knows what each of them yields, and drops every second thing in C.

    Each of them is resumed twice for a row, and calls next() once.
    """

    made = iter(rows)
    for _ in range(depth):
        made = islice(classic_rows(made), 1, None, 2)
    return made


class Rows(AsyncIterator[Any]):
    """`async for` over rows that are made on a stack of their own, which could be paused between any two."""

    def __init__(self, rows: Iterable[Any]) -> None:
        self._end = object()
        self._step: Callable[[], Any] = greenlet(self._work).switch
        self._rows = rows

    def _work(self) -> Any:
        hub = getcurrent().parent
        assert hub is not None
        for row in self._rows:
            hub.switch(row)
        return self._end

    async def __anext__(self) -> Any:
        row = self._step()
        if row is self._end:
            raise StopAsyncIteration
        return row


async def awaiting_hub(work: Callable[[Callable[[Awaitable[Any]], Any]], Any]) -> Any:
    """Runs ``work(wait)`` on a stack of its own; ``wait(awaitable)`` pauses it, and the running task awaits that."""
    end = object()
    found: list[Any] = []

    def run() -> Any:
        found.append(work(hub.switch))
        return end

    hub: Any = getcurrent()
    step = greenlet(run).switch
    asked = step()
    while asked is not end:
        asked = step(await asked)
    return found[0]
