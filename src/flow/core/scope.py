"""Scopes: what one strand has opened, how it is closed, and how several errors become one.

A strand opens iterators into a `Scope`; leaving the scope closes each of them once, the last one first, whichever way
the scope is left. What may live here: that, and the errors of closing. Whose scope it is, and what else a run owns, is
in `run.py`.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

from ..errors import Cancelled
from .microthread import Strand

__all__ = ["NoLongerRead", "Scope", "joined", "raise_first"]

MOST_LATE = 100
"""Failures of cleanups that a scope keeps until it is left."""


class Scope:
    """What one strand has opened, in order. Leaving it closes everything once, the last opened first.

    A ``close()`` may wait. Its failure does not keep the others from being closed and never hides the error that
    ends the scope: see `joined` (test_close.py::test_a_failing_cleanup_hides_nothing).
    """

    __slots__ = ("inner", "late", "opened", "strand")

    def __init__(self, strand: Strand) -> None:
        self.strand = strand
        # Of readings that the chain itself began, in order, and has not ended; made when the first of them begins.
        self.inner: dict[Scope, None] | None = None
        self.late: list[BaseException] | None = None  # failures of scopes inside, that nobody could be told of
        self.opened: list[Any] = []

    def add(self, rows: Any) -> Any:
        """Remembers an iterator. A source that hands on what it opened itself has added it already."""
        if not self.opened or self.opened[-1] is not rows:
            self.opened.append(rows)
        return rows

    def hold(self, scope: Scope) -> None:
        """The chain has begun to read a stage itself: that is closed with this scope, unless it ends before."""
        if self.inner is None:
            self.inner = {}
        self.inner[scope] = None

    def let_go(self, scope: Scope) -> None:
        """The reading has ended."""
        if self.inner is not None:
            self.inner.pop(scope, None)

    def tell_late(self, failure: BaseException) -> None:
        """Keeps a failure until the scope is left; of very many, the last."""
        late = self.late = self.late or []
        if len(late) >= MOST_LATE:  # a bound
            del late[0]
        late.append(failure)

    def __enter__(self) -> Scope:
        if self.strand.scope is None:
            self.strand.scope = self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        failures: list[BaseException] = []
        opened = self.opened
        while opened:
            close = getattr(opened.pop(), "close", None)
            if close is None:
                continue
            try:
                close()
            except BaseException as failure:
                failures.append(failure)
        while self.inner:
            scope, _ = self.inner.popitem()
            try:
                scope.close()
            except BaseException as failure:
                failures.append(failure)
        if self.late:
            failures += self.late
            self.late = None
        if failures:
            raise_first(error, failures)

    def close(self) -> None:
        self.__exit__(None, None, None)


class NoLongerRead(Cancelled):
    """Ends a branch whose siblings have failed or whose reader has had enough: no error of its own.

    It is given the stage, and makes a text of it where somebody reads one: most are never read.
    """

    def __str__(self) -> str:
        return f"flow: {self.args[0]!r} is no longer read" if self.args else ""


def joined(error: BaseException | None, failures: list[BaseException]) -> BaseException:
    """One exception out of an error and the failures that came after it. None is lost, and the first is not hidden.

    Exceptions become an ExceptionGroup with the first one first (a single one stays bare). A cancel, an interrupt or
    an exit stays what it is, with the failures as its context.
    """
    every: list[BaseException] = []
    for each in failures if error is None else [error, *failures]:
        if each not in every and not isinstance(each, (GeneratorExit, NoLongerRead)):
            every.append(each)
    if not every:
        return error if error is not None else failures[0]
    if len(every) == 1:
        return every[0]
    for leader in every:
        if not isinstance(leader, Exception):
            for other in every:
                if other is not leader:
                    _add_context(leader, other)
                    if isinstance(leader, Cancelled) and isinstance(other, Exception):
                        leader.failures += (other,)
            return leader
    return ExceptionGroup("several parts of a flow failed", [each for each in every if isinstance(each, Exception)])


def raise_first(error: BaseException | None, failures: list[BaseException]) -> None:
    """Raises what `joined` makes of these, unless that is `error`, which is on its way already.

    What users raised keeps the cause and the context that it had.
    """
    first = joined(error, failures)
    if first is error:
        return
    context, hidden = first.__context__, first.__suppress_context__
    try:
        raise first
    finally:
        first.__context__, first.__suppress_context__ = context, hidden


def _add_context(error: BaseException, context: BaseException) -> None:
    seen = {id(context)}
    while id(error) not in seen:
        seen.add(id(error))
        if error.__context__ is None:
            error.__context__ = context
            return
        error = error.__context__
