"""The hot loop: rows through slices, instructions out of rows, rows out of blocks.

This is the one place where flow itself touches every row, so it is written to be compiled as it stands (Cython's
pure-Python mode) and to run as it stands: no closures over rows, no generics, no module caches that grow, strong
references only. Whatever can be left to itertools is left to itertools, at C speed.

What may live here: functions that take an iterator and hand its rows on. What they must not know: loops, clocks
(the clock is a callable that they are given), threads, sockets, stages.

The slice
---------
A run must give its loop a turn after a time slice, whatever its source does (CONTRACT 10). `fair` looks at the clock
after a *piece* of rows. A piece is one row at first; while rows are cheap it grows up to `MOST` rows, and it shrinks
as soon as they are not, so that the clock is read about sixteen times a slice and costs little per row. When rows
turn slow without warning, the rest of one piece (at most `MOST` rows) runs before it is noticed.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import chain, islice
from typing import Any

from .instruction import TURN

__all__ = ["MOST", "fair", "listed", "obeyed", "pieces"]

MOST = 16
"""The largest number of rows between two looks at the clock."""


class Ending:
    """Chained behind an iterator, it notes that the end was reached. An iterator is never asked again after that."""

    __slots__ = ("reached",)

    def __init__(self) -> None:
        self.reached = False

    def __iter__(self) -> Ending:
        return self

    def __next__(self) -> Any:
        self.reached = True
        raise StopIteration


def fair(rows: Iterator[Any], strand: Any, most: int = MOST) -> Iterator[Any]:
    """The same rows, lazily; between them the loop gets its turn when the slice of the strand's run is used up."""
    return chain.from_iterable(pieces(rows, strand, most))


def pieces(rows: Iterator[Any], strand: Any, most: int) -> Iterator[Iterator[Any]]:
    """`rows` in lazy pieces; between two of them the clock is read, and the loop given its turn."""
    ending = Ending()
    watched = chain(rows, ending)
    run = strand.owner
    clock: Callable[[], float] = strand.loop.clock
    size = 1
    then = clock()
    while True:
        yield islice(watched, size)
        if ending.reached:
            return
        now = clock()
        if now >= run.deadline:
            strand.pause(TURN)
            now = clock()
            size = 1
        elif size < most and (now - then) * 16 < run.slice:
            size *= 2
        elif size > 1 and (now - then) * 8 > run.slice:
            size = 1
        then = now


def listed(rows: list[Any] | tuple[Any, ...], is_plain: Callable[[set[type]], bool], obey: Callable[[Any], Any]) -> Iterator[Any]:
    """The rows of a list, checked for instructions a block at a time: a block without one passes at C speed.

    `is_plain` says whether a set of types holds no instruction; `obey` obeys one, or gives the value of a Row
and returns OBEYED otherwise. Rows before an instruction are handed on before it is obeyed.
    """
    return chain.from_iterable(_listed(rows, is_plain, obey))


def _listed(rows: Any, is_plain: Callable[[set[type]], bool], obey: Callable[[Any], Any]) -> Iterator[Any]:
    start = 0
    size = 16
    while start < len(rows):
        block = rows[start : start + size]
        start += size
        if is_plain(set(map(type, block))):
            yield block
        else:
            yield _each(block, obey)
        if size < 1024:
            size *= 2


def _each(block: Iterable[Any], obey: Callable[[Any], Any]) -> Iterator[Any]:
    for row in block:
        answer = obey(row)
        if answer is not OBEYED:
            yield answer


class _Obeyed:
    def __repr__(self) -> str:
        return "OBEYED"


OBEYED: Any = _Obeyed()


def obeyed(
    source: Generator[Any, Any, Any], plain: set[type], classify: Callable[[Any], Any]
) -> Iterator[Any]:
    """The rows of a classic generator; what is an instruction is obeyed, and its result sent back.

    `plain` holds types known to be data. `classify(row)` returns None for data, or a callable that obeys the row
    and returns (is_row, value): a row to hand on, or the answer to send back.
    """
    while True:
        for row in source:
            if type(row) in plain:
                yield row
                continue
            break
        else:
            return
        while True:
            obey = classify(row)
            if obey is None:
                yield row
                break
            try:
                is_row, answer = obey(row)
            except BaseException as error:
                try:
                    row = source.throw(error)
                except StopIteration:
                    return
                continue
            if is_row:
                yield answer
                break
            try:
                row = source.send(answer)
            except StopIteration:
                return
