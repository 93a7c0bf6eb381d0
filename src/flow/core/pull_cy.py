# cython: annotation_typing=False
"""The hot loop: rows through slices, instructions out of lists, rows out of blocks.

This is where flow itself touches every row, so it is written to be compiled as it stands (Cython's
pure-Python mode) and to run as it stands: no closures over rows, no generics, no module caches that grow, strong
references only. Whatever can be left to itertools is left to itertools, at C speed.

What a `_cy` file must keep to, so that both builds do the same (tests/build):
- annotations are for type checkers: the first line keeps the compiler from turning an `int` into a check, or into a C
  int that can overflow. C types are said by `@cython.locals`, for counters (Py_ssize_t) and seconds (double) only;
- a generator that is compiled is no `types.GeneratorType`: ask `collections.abc.Generator`, or ask for both types;
- what only C can do is in `_capi.pxd`, and its twin in `_cython.py`.

What may live here: functions that take an iterator and hand its rows on. What they must not know: loops, clocks
(the clock is a callable that they are given), threads, sockets, stages.

The slice
---------
A run must give its loop a turn after a time slice, whatever its source does (CONTRACT 10). `fair` looks at the clock
after a *piece* of rows. A piece is one row at first; while a piece takes less than a thirty-second of the slice the
next one is twice as long, up to `MOST` rows and one, and as soon as it takes longer the next is one row again. So the
clock costs little per row where rows are cheap, and is read after each row where they are not. When rows turn slow
without warning, the rest of one piece runs before that is noticed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from math import inf
from time import perf_counter
from types import GeneratorType
from typing import TYPE_CHECKING, Any

try:
    from . import _cython as cython
except ModuleNotFoundError:  # never, but the compiler must see an import of this name
    if TYPE_CHECKING:
        raise
    else:
        import cython
if TYPE_CHECKING or not cython.compiled:
    from ._cython import FLOW_SOURCE
else:
    from cython.cimports.flow.core._capi import FLOW_SOURCE

__all__ = ["BUILT_FROM", "MOST", "OBEYED", "STAY_ENDED", "Ready", "fair", "listed", "pieces"]

BUILT_FROM: str = FLOW_SOURCE.decode()
"""Where this is compiled: the fingerprint of the text that it was compiled from (see `flow._build`)."""

ENDED: Any = object()
"""Stands for the end of an iterator: none gives it."""

MOST = 63
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


class Fair:
    """`fair`, where this is compiled: one call in C for each row. As it is, the iterators of itertools are faster.

    `pass_cy.py` has a loop of its own, and asks this one for the pieces.
    """

    def __init__(self, rows: Iterator[Any], strand: Any, most: int) -> None:
        self.rows = rows
        self.strand = strand
        self.run = strand.owner
        self.clock: Callable[[], float] = strand.loop.clock
        self.quick: float = self.run.slice / 32
        self.most = most
        self.size = 2 if type(rows) in STAY_ENDED else 1  # the pieces are those of `pieces`
        self.left = self.size
        self.then: float = self.clock()

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self.left == 0:
            self.left = self.look()
        self.left -= 1
        row = next(self.rows, ENDED)
        if row is ENDED:
            self.rows = iter(())  # an iterator is never asked again after its end: some misbehave then
            raise StopIteration
        return row

    def look(self) -> int:
        """Between two pieces: the clock is read, and the loop given its turn. The number of rows in the next piece."""
        try:
            now: float = self.clock()
            deadline: float = self.run.deadline
            if now - self.then < self.quick and now < deadline:
                if self.size <= self.most:
                    self.size += self.size
            else:
                self.size = 1
                if now >= deadline:
                    self.strand.give_turn()
                    now = self.clock()
        except StopIteration as error:  # it would be taken for the end of the rows
            raise RuntimeError("a clock or a turn raised StopIteration") from error
        self.then = now
        return self.size


class Ready(chain[Any]):
    """Rows that come in pieces, at C speed: when a piece has come, all of its rows are there. To take one runs no code
    of any stage, and never waits.

    So who reads them may take the rows of a piece as it likes: `pieces` gives them one after the other. They are
    iterators, few rows each where the loop must be given its turn between two.
    """

    __slots__ = ("pieces",)

    pieces: Iterator[Iterator[Any]]

    @classmethod
    def of(cls, pieces: Iterator[Iterator[Any]]) -> Ready:
        rows: Ready = cls.from_iterable(pieces)  # type: ignore[assignment]  # it is one of the class that is asked
        rows.pieces = pieces
        return rows


_ENDED: list[Any] = [(_ for _ in ()), iter([]), iter(()), iter(range(0)), chain(), iter({}), iter(set[Any]())]
STAY_ENDED: set[type] = {GeneratorType, Fair, Ready, *map(type, _ENDED)}
"""Iterators that may be asked again after their end. A user's own iterator may not: some misbehave then.

Where this is compiled, its own generators are of another type than those of users: both are here
(test_pull.py::test_generators_are_not_watched).
"""


def fair(rows: Iterator[Any], strand: Any, most: int = MOST) -> Iterator[Any]:
    """The same rows, lazily; between them the loop gets its turn when the slice of the strand's run is used up."""
    return Fair(rows, strand, most) if cython.compiled else chain.from_iterable(pieces(rows, strand, most))


def pieces(rows: Iterator[Any], strand: Any, most: int) -> Iterator[Iterable[Any]]:
    """`rows` in lazy pieces; between two of them the clock is read, and the loop given its turn."""
    if type(rows) in STAY_ENDED:
        return _pieces(rows, strand, most)
    return _pieces_watched(rows, strand, most)


@cython.locals(
    size=cython.Py_ssize_t, most=cython.Py_ssize_t, quick=cython.double, then=cython.double, now=cython.double
)
def _pieces(rows: Iterator[Any], strand: Any, most: int) -> Iterator[Iterable[Any]]:
    run = strand.owner
    clock: Callable[[], float] = strand.loop.clock
    quick: float = run.slice / 32
    size = 1
    then = clock()
    for first in rows:
        yield (first,)
        if size:
            yield islice(rows, size)
        now = clock()
        if now - then < quick and now < run.deadline:
            then = now
            if size < most:
                size += size + 1
            continue
        size = 0
        if now >= run.deadline:
            strand.give_turn()
            now = clock()
        then = now


@cython.locals(
    size=cython.Py_ssize_t, most=cython.Py_ssize_t, quick=cython.double, then=cython.double, now=cython.double
)
def _pieces_watched(rows: Iterator[Any], strand: Any, most: int) -> Iterator[Iterable[Any]]:
    ending = Ending()
    watched = chain(rows, ending)
    run = strand.owner
    clock: Callable[[], float] = strand.loop.clock
    quick: float = run.slice / 32
    size = 1
    then = clock()
    while True:
        yield islice(watched, size)
        if ending.reached:
            return
        now = clock()
        if now - then < quick and now < run.deadline:
            then = now
            if size < most:
                size += size
            continue
        size = 1
        if now >= run.deadline:
            strand.give_turn()
            now = clock()
        then = now


def listed(rows: Any, strand: Any, is_plain: Callable[[set[type]], bool], obey: Callable[[Any], Any]) -> Iterator[Any]:
    """The rows of a list, tuple or range, in slices: checked for instructions a slice at a time, and fair as `fair` is.

    A slice without an instruction passes at C speed. `is_plain` says whether a set of types holds no instruction.
    `obey` gives the value of a Row, or obeys an instruction and gives OBEYED. Rows before an instruction are handed on
    before it is obeyed. `strand` is None where no turns need be given.
    """
    return Ready.of(_listed(rows, strand, is_plain, obey))


@cython.locals(start=cython.Py_ssize_t, size=cython.Py_ssize_t, most=cython.Py_ssize_t)
@cython.locals(quick=cython.double, then=cython.double, now=cython.double)
def _listed(
    rows: Any, strand: Any, is_plain: Callable[[set[type]], bool], obey: Callable[[Any], Any]
) -> Iterator[Iterator[Any]]:
    checked = not isinstance(rows, range)
    run: Any = getattr(strand, "owner", None)
    clock: Callable[[], float] = perf_counter if run is None else strand.loop.clock
    quick: float = inf if run is None else run.slice / 32
    most = MOST + 1
    start = 0
    size = 1
    then = clock()
    while start < len(rows):
        piece = rows[start : start + size]
        start += size
        if checked and not is_plain(set(map(type, piece))):
            for row in _each(piece, obey):  # which may wait: the rows behind it are not there
                yield iter((row,))
        else:
            yield iter(piece)
        if run is None:
            size = most
            continue
        now = clock()
        if now - then < quick and now < run.deadline:
            then = now
            if size < most:
                size += size
            continue
        size = 1
        if now >= run.deadline:
            strand.give_turn()
            now = clock()
        then = now


def _each(block: Iterable[Any], obey: Callable[[Any], Any]) -> Iterator[Any]:
    for row in block:
        answer = obey(row)
        if answer is not OBEYED:
            yield answer


class _Obeyed:
    def __repr__(self) -> str:
        return "OBEYED"


OBEYED: Any = _Obeyed()
