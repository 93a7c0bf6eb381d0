# cython: annotation_typing=False
"""The classic way: a generator yields a stage to ask it for a row, and takes that row with ``next(stage)``.

What is between two classic stages is this file, for each row: `Obeyed` reads the generator and finds the stage that it
yields, `Pass` is the reading of that stage, and `Readable` is what ``next(stage)`` calls. It is written to be compiled
as it stands, and to run as it stands: what a `_cy` file must keep to is in `pull_cy.py`. The fields of the classes
are declared in `pass_cy.pxd`.

A reading lives as long as the strand that reads. Three of a generator's steps belong together (yield the stage, be
resumed, take the row), and almost always nothing else happens between them: so `Obeyed` leaves the reading where
`Readable` looks first. It is a hint and no more: who is on another stack then, or asks another stage, finds its reading
in its strand, as it would without (test_pass.py::test_a_reading_is_found_by_the_strand_that_asks).

What may live here: reading a stage from statement to statement. What is yielded besides stages is known in `source.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from .microthread import MicroThread, Strand, current
from .pull_cy import MOST, STAY_ENDED, Fair, fair
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

__all__ = [
    "BUILT_FROM",
    "ENDED",
    "Obeyed",
    "Pass",
    "Readable",
    "inherit_next",
    "obeyed",
    "reading_of",
    "replace_reading",
]

BUILT_FROM: str = FLOW_SOURCE.decode()
"""Where this is compiled: the fingerprint of the text that it was compiled from (see `flow._build`)."""


class _Ended:
    def __repr__(self) -> str:
        return "ENDED"


ENDED: Any = _Ended()
"""Stands for the end of a generator: no generator gives it, and its type is none of data."""

_asked: Pass | None = None
"""The reading whose stage was yielded last, until it is closed."""


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
        self.interrupt: BaseException | None = None
        self.thread: Any = strand if type(strand) is MicroThread else None
        self.strand = strand
        self.scope = Scope(strand)
        self.rows: Iterator[Any] | None = None
        self.obeyed: Obeyed | None = None  # those, if they are such
        stops = strand.owner.stops
        self.seen = stops is not None
        self.source = None if stops is None else stops.begin_reading(strand, sys._getframe())  # pyright: ignore[reportPrivateUsage]

    def ask(self) -> None:
        """Waits until there is a row, an end or an error."""
        if not self.answer():
            error, self.interrupt = self.interrupt, None
            try:
                assert error is not None
                raise error
            finally:
                del error  # which has a traceback now, and that has this frame

    def answer(self) -> bool:
        """The same, but what is not for the generator's next() (a cancel, say) is its `interrupt`, and not raised."""
        if not self.full and self.failure is None:
            if self.seen:
                fetching(self)
            else:
                self.fetch()
            return self.interrupt is None
        return True

    def fetch(self) -> None:
        """Asks the stage: see `answer`."""
        try:
            if self.obeyed is not None:
                row = self.obeyed.take()
            elif self.rows is not None:
                row = next(self.rows, ENDED)
            else:
                rows: Any = self.stage.open_in(self.scope)
                self.rows = rows
                if type(rows) is Obeyed:
                    self.obeyed = rows
                row = next(rows, ENDED)
        except BaseException as error:
            if isinstance(error, Exception):
                self.failure = error
            else:
                self.interrupt = error
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
        global _asked
        if _asked is self:
            _asked = None
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


class Obeyed:
    """The rows of a classic generator; what is an instruction is obeyed, and its result sent back.

    `plain` holds types known to be data. A stage is asked, and sent back. `classify(row)`, for anything else, returns
    None for data, or a callable that obeys the row and returns (is_row, value): a row to hand on, or the answer to
    send back. `first` is a row that it has given already. Between two rows the loop gets its turn, as `fair` has it; a
    `strand` of None needs none.
    """

    def __init__(
        self,
        source: Generator[Any, Any, Any],
        plain: set[type],
        classify: Callable[[Any], Any],
        strand: Any = None,
        first: Any = ENDED,
    ) -> None:
        self.rows: Any = source
        self.fair: Any = None if strand is None else Fair(source, strand, MOST)
        self.left = -1 if strand is None else 1  # rows until `fair` looks at the clock
        self.plain = plain
        self.classify = classify
        self.first = first
        self.known: Any = None  # a type of data
        self.reading: Pass | None = None  # of the stage that it asked for last
        self.odd = first is not ENDED  # is `first` there, does it wait, or has it ended?

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        row = self.take()
        if row is ENDED:
            raise StopIteration
        return row

    def take(self) -> Any:
        """The next row, or ENDED."""
        global _asked
        if self.left == 0:
            self.left = self.fair.look()
        self.left -= 1
        row = self.begin() if self.odd else next(self.rows, ENDED)
        reading = self.reading
        while True:
            if type(row) is self.known:
                return row
            if reading is not None and row is reading.stage and reading.thread is flow_getcurrent():
                self.odd = True
                if reading.answer():
                    self.odd = False
                    _asked = reading
                    row = flow_send(self.rows, row, ENDED)
                else:
                    row = self.interrupted()
            elif row is ENDED:
                self.rows = None  # a generator is never asked again after its end: one of a user's own may misbehave
                self.odd = True
                return row
            elif type(row) in self.plain:
                self.known = type(row)
                return row
            else:
                is_row, row = self.obey(row)
                if is_row:
                    return row
                reading = self.reading

    def begin(self) -> Any:
        """What the generator yields next, when it is not just asked for it."""
        if self.rows is None:
            return ENDED
        if self.first is ENDED:
            raise ValueError("generator already executing")  # it waits, so somebody else has asked for its row
        row, self.first = self.first, ENDED
        self.odd = False
        return row

    def obey(self, row: Any) -> tuple[bool, Any]:
        """Obeys what may be an instruction. Gives a row, or what the generator yields next."""
        global _asked
        answer = row
        try:
            self.odd = True
            if isinstance(row, Readable):
                self.reading = _asked = _ask(row)
            else:
                obey = self.classify(row)
                if obey is None:
                    return True, row
                is_row, answer = obey(row)
                if is_row:
                    return True, answer
        except BaseException as error:
            self.odd = False
            return False, self.thrown(error)
        finally:
            self.odd = False
        return False, flow_send(self.rows, answer, ENDED)

    def interrupted(self) -> Any:
        """What the generator yields next, when a wait of its reading was interrupted."""
        self.odd = False
        assert self.reading is not None
        error, self.reading.interrupt = self.reading.interrupt, None
        try:
            assert error is not None
            raise error
        except BaseException as interrupt:  # so that it is being handled meanwhile, as `wait` sees it
            return self.thrown(interrupt)
        finally:
            del error

    def thrown(self, error: BaseException) -> Any:
        """What the generator yields next, when this is raised in it."""
        try:
            return self.rows.throw(error)
        except StopIteration:
            return ENDED
        finally:
            del error


STAY_ENDED.add(Obeyed)


def obeyed(
    source: Generator[Any, Any, Any], plain: set[type], classify: Callable[[Any], Any], strand: Any, first: Any = ENDED
) -> Iterator[Any]:
    """The rows of an `Obeyed`. Where this is not compiled, data passes through a generator, which is faster there."""
    if not cython.compiled:
        rows = _row_by_row(Obeyed(source, plain, classify, None, first))
        return rows if strand is None else fair(rows, strand)
    return Obeyed(source, plain, classify, strand, first)


def _row_by_row(obeyed: Obeyed) -> Generator[Any]:
    while (row := obeyed.take()) is not ENDED:
        yield row
        if obeyed.reading is None:
            known = obeyed.known
            for row in obeyed.rows:
                if type(row) is not known:
                    obeyed.first = row
                    obeyed.odd = True
                    break
                yield row
            else:
                return
