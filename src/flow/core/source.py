"""Sources: how the rows of each kind are opened, for one run at a time.

Sources whose rows may hold instructions (generators, lists and tuples: the *classic* way) are read through the loops of
`pass_cy.py` and `pull_cy.py`; everything else is read as it is. Which source a thing becomes is decided in `wrap.py`.

What may live here: sources that need nothing but the core. One that needs a thread, a file or a socket lives in its own
folder, and joins the dispatch with `wrapper_for`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, TypeVar

from ..errors import AlreadyReadError
from .instruction import Instruction, Row
from .microthread import MicroThread, wait
from .pass_cy import obeyed
from .pull_cy import OBEYED, fair, listed
from .scope import Scope
from .stage import Stage

__all__ = [
    "AHEAD",
    "Around",
    "Once",
    "Opener",
    "Source",
    "awaited",
    "bound_of",
    "can_be_called",
    "can_be_waited_for",
    "is_a",
    "is_a_future",
    "is_an_executor",
    "is_deferred",
    "kind_of",
    "of_a_generator",
    "of_a_list",
    "of_an_iterable",
    "sliced_fairly",
    "with_instructions_from",
]

T = TypeVar("T")

is_a: Callable[[Any, Any], bool] = isinstance
"""isinstance for things of which nothing is known; to type checkers they stay so.

Narrowing Any to a generic class would leave them with rows of an unknown type.
"""

can_be_called: Callable[[Any], bool] = callable
"""callable, in the same way."""

kind_of: Callable[[Any], Any] = type
"""type, in the same way."""

AHEAD = 16
"""Rows that a stage which works ahead of its reader may hold, unless it is told otherwise."""


# --------------------------------------------------------------------------------------------------------------------
# Sources


class Source(Stage[T]):
    """Rows from somewhere: `opened(strand)` gives the iterator of one run, and what else must be closed with it."""

    __slots__ = ("_label", "_open")

    def __init__(self, open: Callable[[Scope], Iterator[T]], label: str) -> None:
        self._open = open
        self._label = label

    @property
    def label(self) -> str:
        return self._label

    def rows(self, upstream: Any, scope: Scope) -> Iterator[T]:
        stops = scope.strand.owner.stops
        return self._open(scope) if stops is None else stops.give(self._open, scope)


class Once(Source[T]):
    """A source that can be read once: a generator object, an iterator, a file, a coroutine."""

    __slots__ = ("_advice", "_read")

    def __init__(self, open: Callable[[Scope], Iterator[T]], label: str, advice: str) -> None:
        super().__init__(open, label)
        self._advice = advice
        self._read = False

    def taken(self) -> None:
        if self._read:
            raise AlreadyReadError(f"{self.label} was already read, and can be read only once. {self._advice}")
        self._read = True


class Opener(Stage[T]):
    """A stage that opens the one above it itself: that one is no part of its chain, but one of its `sources`."""

    __slots__ = ("_source",)

    _source: Stage[Any]

    @property
    def label(self) -> str:
        return f"{self._source!r} | {self.short_label}"

    @property
    def short_label(self) -> str:
        """A subclass must say it: the one of `Stage` is the label."""
        raise NotImplementedError

    @property
    def sources(self) -> tuple[Stage[Any], ...]:
        return (self._source,)


class Around(Opener[T]):
    """A stage that opens the one above it itself, so that it sees what goes wrong there, and may close it early.

    ``read(source, scope)`` is a generator function: it reads ``source.open_in(scope)``, and leaves the scope.
    """

    __slots__ = ("_name", "_read")

    def __init__(self, source: Stage[Any], read: Callable[[Stage[Any], Scope], Generator[T]], name: str) -> None:
        self._source = source
        self._read = read
        self._name = name

    @property
    def short_label(self) -> str:
        return self._name

    def rows(self, upstream: Any, scope: Scope) -> Iterator[T]:
        return self._read(self._source, Scope(scope.strand))


def sliced_fairly(rows: Iterator[T], scope: Scope) -> Iterator[T]:
    """The rows, with a look at the clock now and then; in a script nobody else needs the turn."""
    return fair(rows, scope.strand) if isinstance(scope.strand, MicroThread) else rows


def of_an_iterable(rows: Iterable[T], scope: Scope) -> Iterator[T]:
    return sliced_fairly(scope.add(iter(rows)), scope)


def of_a_list(rows: list[T] | tuple[T, ...] | range, scope: Scope) -> Iterator[Any]:
    strand = scope.strand if isinstance(scope.strand, MicroThread) else None
    return listed(rows, strand, _holds_no_instruction, _obey_in_list)


def of_a_generator(make: Callable[[], Generator[T, Any, Any]], scope: Scope) -> Iterator[T]:
    """The rows of a classic generator, less the instructions, which are obeyed."""
    strand = scope.strand if isinstance(scope.strand, MicroThread) else None
    return obeyed(scope.add(make()), _plain, _classify, strand)


def with_instructions_from(row: T, generator: Generator[T, Any, Any]) -> Iterator[T]:
    """The same, of one that has given `row` already, and is closed by who opened it. It gives the loop no turns."""
    return obeyed(generator, _plain, _classify, None, row)


def awaited(make: Callable[[], Any]) -> Generator[Any]:
    yield wait(make())


# --------------------------------------------------------------------------------------------------------------------
# Classic rows: which are data, and which are instructions

_plain: set[type] = {type(None), bool, int, float, complex, str, bytes, bytearray, tuple, list, dict, set, frozenset}
_MOST_TYPES = 1000


def _classify(row: Any) -> Callable[[Any], tuple[bool, Any]] | None:
    """How a row of a classic generator, other than a stage, is obeyed; None when it is data."""
    if is_a(row, Row):
        return _unwrap
    if can_be_waited_for(row):
        return _wait_for
    if len(_plain) < _MOST_TYPES:  # a bound: programs may make classes as they go
        _plain.add(kind_of(row))
    return None


def can_be_waited_for(x: Any) -> bool:
    """Is it an instruction, an awaitable, a Deferred or a future?"""
    return is_a(x, Instruction) or is_a_future(x) or hasattr(kind_of(x), "__await__") or is_deferred(x)


def is_a_future(x: Any) -> bool:
    """Is it a Future of concurrent.futures? There is none as long as nobody has imported them, and flow does not."""
    futures = sys.modules.get("concurrent.futures")
    return futures is not None and is_a(x, futures.Future)


def is_an_executor(x: Any) -> bool:
    """Is it an Executor of concurrent.futures? See `is_a_future`."""
    futures = sys.modules.get("concurrent.futures")
    return futures is not None and is_a(x, futures.Executor)


def _unwrap(row: Row[Any]) -> tuple[bool, Any]:
    return True, row.value


def _wait_for(instruction: Any) -> tuple[bool, Any]:
    return False, wait(instruction)


_seldom = (Instruction, Row)


def _holds_no_instruction(types: set[type]) -> bool:
    return types <= _plain or not any(issubclass(each, _seldom) for each in types)


def _obey_in_list(row: Any) -> Any:
    """In a list, only flow's own instructions are obeyed: awaitables and stages there are data."""
    if is_a(row, Row):
        return row.value
    if is_a(row, Instruction):
        wait(row)
        return OBEYED
    return row


def is_deferred(x: Any) -> bool:
    """Is it a Twisted Deferred? Asked without importing Twisted."""
    kind = kind_of(x)
    return kind.__module__ == "twisted.internet.defer" or (
        hasattr(kind, "addCallbacks") and hasattr(kind, "addErrback") and not is_a(x, type)
    )


def bound_of(value: int, name: str) -> int:
    """The value, when it can bound a holding place: a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number of rows, not {type(value).__name__}")
    if value < 1:
        raise ValueError(f"{name} must be at least 1 row, not {value}: whatever holds rows needs a bound")
    return value
