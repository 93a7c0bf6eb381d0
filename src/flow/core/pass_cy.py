# cython: annotation_typing=False
"""The classic way: a generator yields a stage to ask it for a row, and takes that row with ``next(stage)``.

What is between two classic stages is this file, for each row: `obeyed` reads the generator and finds the stage that it
yields, `Pass` is the reading of that stage, and `Readable` is what ``next(stage)`` calls. It is written to be compiled
as it stands, and to run as it stands: what a `_cy` file must keep to is in `pull_cy.py`. The fields of the classes
are declared in `pass_cy.pxd`.

A reading lives as long as the strand that reads. Three of a generator's steps belong together (yield the stage, be
resumed, take the row), and almost always nothing else happens between them: so `obeyed` leaves the reading where
`Readable` looks first. It is a hint and no more: a generator that waits before it takes the row is somewhere else
then, and finds its reading in its strand, as it would without
(test_pass.py::test_a_reading_is_found_by_the_strand_that_asks).

What may live here: reading a stage from statement to statement. What is yielded besides stages is known in `source.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from .microthread import MicroThread, Strand, current
from .scope import Scope
from .stacks import fetching

try:
    from . import _cython as cython
except ModuleNotFoundError:  # never, but the compiler must see an import of this name
    if TYPE_CHECKING:
        raise
    else:
        import cython
if TYPE_CHECKING or not cython.compiled:
    from ._cython import FLOW_SOURCE, flow_getcurrent, flow_inherit_next, flow_send
else:
    from cython.cimports.flow.core._capi import FLOW_SOURCE, flow_getcurrent, flow_inherit_next, flow_send

if TYPE_CHECKING:
    from .stage import Stage

__all__ = ["BUILT_FROM", "ENDED", "Pass", "Readable", "inherit_next", "obeyed", "reading_of", "replace_reading"]

BUILT_FROM: str = FLOW_SOURCE.decode()
"""Where this is compiled: the fingerprint of the text that it was compiled from (see `flow._build`)."""

ENDED: Any = object()
"""Stands for the end of a generator: no generator gives it."""

_asked: Pass | None = None
"""The reading whose stage has just been yielded, while its generator is resumed."""


class Readable:
    """What a classic generator may yield, and then ask with ``next()``: every stage."""

    __slots__ = ()

    def __next__(self) -> Any:
        """The next row of the reading that ``yield stage`` began, in a classic generator; waits for it if need be."""
        asked = _asked
        if asked is not None and asked.stage is self and asked.thread is flow_getcurrent():
            return asked.take()
        return next(reading_of(self, self._strand_here()))

    def _strand_here(self) -> Strand:
        """The strand that reads it; raises NotReadyError where there is none."""
        raise NotImplementedError


def inherit_next(cls: type) -> None:
    """Has a class of stages that defines no ``__next__`` of its own run the one of `Readable` without a lookup."""
    flow_inherit_next(cls, Readable)


class Pass:
    """One reading of a stage inside a classic generator: ``yield stage`` asks, ``next(stage)`` or ``for`` takes.

    `row` waits to be taken, if it is `full`, and `failure` is what comes after that (a StopIteration at the end). It
    lives as long as the strand that reads it, or until it ends. A stage may have a `reading` of its own kind, as those
    of flow.classic do.
    """

    def __init__(self, stage: Stage[Any], strand: Strand) -> None:
        self.stage = stage
        self.row: Any = None
        self.full = False
        self.failure: BaseException | None = None
        self.thread: Any = strand if type(strand) is MicroThread else None
        self.strand = strand
        self.scope = Scope(strand)
        self.rows: Iterator[Any] | None = None
        stops = strand.owner.stops
        self.seen = stops is not None
        self.source = None if stops is None else stops.begin_reading(strand, sys._getframe())  # pyright: ignore[reportPrivateUsage]

    def ask(self) -> None:
        """Waits until there is a row, an end or an error."""
        if self.full or self.failure is not None:
            return
        if self.seen:
            fetching(self)
        else:
            self.fetch()

    def fetch(self) -> None:
        """Asks the stage."""
        try:
            if self.rows is None:
                self.rows = self.stage.open_in(self.scope)
            row = next(self.rows, ENDED)
        except Exception as error:
            self.failure = error
            return
        if row is ENDED:
            self.failure = StopIteration()
        else:
            self.row = row
            self.full = True

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return self.take()

    def take(self) -> Any:
        if not self.full:
            self.ask()
        if self.full:
            row, self.row = self.row, None
            self.full = False
            return row
        failure = self.failure
        self.close()
        assert failure is not None
        raise failure

    def close(self) -> None:
        """Ends the reading. A later ``next(stage)`` in the same strand finds it ended."""
        strand = self.strand
        self.thread = None  # it is found in its strand only, from now on
        if strand.passes.pop(self.stage, None) is not None:
            if strand.ended is None:
                strand.ended = WeakSet()
            strand.ended.add(self.stage)
            if strand.scope is not None and self in strand.scope.opened:
                strand.scope.opened.remove(self)
        if self.full:
            strand.owner.drop([self.row])
            self.row = None
            self.full = False
        source, self.source = self.source, None
        try:
            self.scope.close()
        finally:
            if source is not None:
                source.stops.end_reading(source, sys._getframe())  # pyright: ignore[reportPrivateUsage]


def reading_of(stage: Any, strand: Strand) -> Iterator[Any]:
    """The reading of a stage that goes on in this strand; a new one if there is none; no rows if that has ended."""
    found: Any = strand.passes.get(stage)
    if found is None:
        if strand.ended is not None and stage in strand.ended:
            return iter(())
        kind: Any = getattr(stage, "reading", Pass)
        found = strand.passes[stage] = kind(stage, strand)
        assert strand.scope is not None
        strand.scope.opened.insert(0, found)  # above all that reads it, so it is closed after that
    return found  # type: ignore[no-any-return]


@cython.locals(reading=Pass)
def replace_reading(stage: Any, strand: Strand, other: Any) -> None:
    """Has the strand read a stage in another way from now on."""
    found: Any = strand.passes.get(stage)
    if type(found) is Pass:
        reading = found
        reading.thread = None
    strand.passes[stage] = other


@cython.locals(reading=Pass)
def _ask(stage: Any) -> Pass | None:
    """``yield stage``: waits until it has a row, an end or an error. Gives its reading, where `Readable` may use it."""
    thread: Any = flow_getcurrent()
    strand: Any = thread if type(thread) is MicroThread else current()
    found: Any = reading_of(stage, strand)
    if type(found) is Pass:
        reading = found
        reading.ask()
        return reading
    ask = getattr(found, "ask", None)
    if ask is not None:
        ask()
    return None


@cython.locals(plain=set, reading=Pass, is_asked=cython.bint, is_row=cython.bint)
def obeyed(
    source: Generator[Any, Any, Any], plain: set[type], classify: Callable[[Any], Any], first: tuple[Any, ...] = ()
) -> Iterator[Any]:
    """The rows of a classic generator; what is an instruction is obeyed, and its result sent back.

    `plain` holds types known to be data. A stage is asked, and sent back. `classify(row)`, for anything else, returns
    None for data, or a callable that obeys the row and returns (is_row, value): a row to hand on, or the answer to
    send back. `first` holds a row that it has given already, if there is one.
    """
    global _asked
    reading = None
    known: Any = None  # a type of data
    rows: Iterator[Any] = chain(first, source) if first else source
    while True:
        for row in rows:
            kind = type(row)  # pyright: ignore[reportUnknownVariableType]
            if kind is known:
                yield row
                continue
            if (reading is None or row is not reading.stage) and kind in plain:
                known = kind  # pyright: ignore[reportUnknownVariableType]
                yield row
                continue
            break
        else:
            return
        rows = source
        while True:
            is_row = False
            is_asked = False
            answer = row
            try:
                if reading is not None and row is reading.stage and reading.thread is flow_getcurrent():
                    reading.ask()
                    is_asked = True
                elif isinstance(row, Readable):
                    reading = _ask(row)
                    is_asked = True
                elif type(row) in plain:
                    known = type(row)  # pyright: ignore[reportUnknownVariableType]
                    is_row = True
                else:
                    obey = classify(row)
                    if obey is None:
                        is_row = True
                    else:
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
            if is_asked:
                _asked = reading
            try:
                row = flow_send(source, answer, ENDED)
            finally:
                _asked = None
            if row is ENDED:
                return
            if type(row) is known:
                yield row
                break
