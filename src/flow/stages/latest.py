"""Stages for which the latest row counts, and older ones do not.

What may live here: several inputs of which the latest rows are wanted. That a slow reader gets the latest row of one
input is the business of ``rows.buffer(1, overflow="latest")``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterable, Awaitable, Callable, Generator, Iterable
from typing import TYPE_CHECKING, Any, TypeVar, overload

from ..core.branch import NOW, Branch, Branches, ByPriority
from ..core.microthread import ROW, MicroThread, Strand
from ..core.scope import Scope
from ..core.source import Opener, Source
from ..core.stage import Stage, label_of
from .combine import Combined
from .transform import FlatMap, called

if TYPE_CHECKING:
    from ..core.stage import Input

__all__ = ["combine_latest", "switch_map", "with_latest"]

T = TypeVar("T")
U = TypeVar("U")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")


# --------------------------------------------------------------------------------------------------------------------
# The latest of each


class _CombineLatest(Combined[Any]):
    __slots__ = ()

    word = "combine_latest"

    def read(self, strand: Strand) -> Generator[Any]:
        with Branches(strand, self.inputs) as branches:
            every = list(branches.every)
            for _ in every:  # the first rows stay where they are until all have one
                branch = branches.next()
                if branch is None or branch.over:
                    return
            latest = [branch.take() for branch in every]
            if not latest:
                return
            yield tuple(latest)
            for branch in every:
                branches.ask(branch)
            while (branch := branches.next()) is not None:
                if branch.full:
                    latest[branch.index] = branch.take()
                    yield tuple(latest)
                    branches.ask(branch)


@overload
def combine_latest(a: Input[T1], /) -> Stage[tuple[T1]]: ...
@overload
def combine_latest(a: Input[T1], b: Input[T2], /) -> Stage[tuple[T1, T2]]: ...
@overload
def combine_latest(a: Input[T1], b: Input[T2], c: Input[T3], /) -> Stage[tuple[T1, T2, T3]]: ...
@overload
def combine_latest(a: Input[T1], b: Input[T2], c: Input[T3], d: Input[T4], /) -> Stage[tuple[T1, T2, T3, T4]]: ...
@overload
def combine_latest(*inputs: Any) -> Stage[tuple[Any, ...]]: ...
def combine_latest(*inputs: Any) -> Stage[Any]:
    """Tuples of the latest row of each input: one whenever an input has a new row, once all have one.

    The order of each input is kept, and inputs that have a row are served in turn. No row is skipped: an input works at
    most one row ahead, and waits with its first row until all others have theirs, so a slow reader gets a tuple for
    each row all the same. (Where only the newest counts, give it ``rows.buffer(1, overflow="latest")``.) It holds the
    latest row of each input besides.

    The latest row of an input that has ended stays. It ends when all have ended, or at once when one ends without a
    row. When one fails, the others are cancelled and closed, then its failure is raised; a second failure joins it in
    an ExceptionGroup. What was not combined is dropped and counted. With no input it is empty.

        flow.combine_latest([1, 2], ["a", "b"])            # (1, 'a'), (2, 'a'), (2, 'b')
    """
    return _CombineLatest(*inputs)


# --------------------------------------------------------------------------------------------------------------------
# Rows, each with the latest of another input


MOST = 1000
"""Rows that the other input of `with_latest` may give before the first one goes on."""

MISSING: Any = object()
"""The `initial` that was not given."""


class _WithLatest(Combined[Any]):
    __slots__ = ("_initial",)

    word = "with_latest"

    def __init__(self, rows: Any, other: Any, initial: Any) -> None:
        super().__init__(rows, other)
        self._initial = initial

    def read(self, strand: Strand) -> Generator[Any]:
        latest: deque[Any] = deque(() if self._initial is MISSING else (self._initial,), maxlen=1)

        def keep_latest(branch: Branch, thread: MicroThread) -> None:
            with Scope(thread) as scope:
                for number, row in enumerate(branch.stage.open_in(scope), 1):
                    first = not latest  # for which somebody may wait
                    latest.append(row)
                    if first or number % MOST == 0:
                        branch.hub(ROW)

        rows, other = self.inputs
        with Branches(strand, keep=lambda branch: True) as branches:
            beside, main = branches.add(other, keep_latest), branches.add(rows)
            while True:
                while not (main.full and latest):
                    for branch in (main, beside):
                        if branch.failure is not None:
                            raise branch.failure
                    if main.over or (beside.over and not latest):
                        return
                    if beside.full:  # it has more
                        beside.take()
                        branches.ask(beside)
                        branches.give_turn()
                    branches.next()
                branches.next(NOW)  # the other one, as far as it gets without a wait
                yield main.take(), latest[0]
                branches.ask(main)


@overload
def with_latest(rows: Stage[T], other: Input[U]) -> Stage[tuple[T, U]]: ...
@overload
def with_latest(rows: Stage[T], other: Input[U], initial: T1) -> Stage[tuple[T, U | T1]]: ...
@overload
def with_latest(rows: Stage[T], other: Any, initial: Any = ...) -> Stage[tuple[T, Any]]: ...
def with_latest(rows: Stage[Any], other: Any, initial: Any = MISSING) -> Stage[Any]:
    """``rows.with_latest(other)``: ``(row, latest)`` for each row, with the latest row that `other` has given.

    The order of `rows` is kept, none of them is skipped, and nothing is given for a row of `other` alone. While a row
    is waited for, and before a pair is made, `other` is read until it waits, too (or has given 1,000 rows); only the
    latest is held. `rows` works at most one row ahead. Before `other` has given one, `initial` is its latest row, where
    that is given; otherwise the first of `rows` waits.

    It ends with `rows`; then `other` is cancelled and closed. When `other` ends before that, its latest row stays; when
    it ends without a row, and there is no `initial`, this ends at once. A failure of either is raised after the pairs
    that could be made before it; the other one is cancelled and closed first, and a second failure joins it in an
    ExceptionGroup. A row of `rows` that was not paired is dropped and counted; those of `other` that others have
    followed are not.

        flow.wrap([1, 2]).with_latest(["a", "b"])          # (1, 'b'), (2, 'b')
    """
    return _WithLatest(rows, other, initial)


# --------------------------------------------------------------------------------------------------------------------
# The source that the latest row makes


class _SwitchMap(Opener[U]):
    __slots__ = ("_f",)

    def __init__(self, source: Stage[Any], f: Callable[[Any], Any]) -> None:
        called(f, "switch_map")
        self._source = source
        self._f = f

    @property
    def short_label(self) -> str:
        return f"switch_map({label_of(self._f)})"

    def rows(self, upstream: Any, scope: Scope) -> Generator[U]:
        return self._rows(scope.strand)

    def _rows(self, strand: Strand) -> Generator[U]:
        with ByPriority(strand) as branches:
            outer = branches.add(self._source)  # a new row of it comes before those that it makes stale
            inner: Branch | None = None
            while (branch := branches.next()) is not None:
                if branch is outer and outer.full:
                    if inner is not None:
                        branches.remove(inner)
                    row = outer.take()
                    branches.ask(outer)
                    inner = branches.add(self._inner(row), priority=1)
                    branches.give_turn()
                elif branch.full:
                    yield branch.take()
                    branches.ask(branch)

    def _inner(self, row: Any) -> Stage[U]:
        return FlatMap(self._f, Source(lambda scope: iter((row,)), "row"))


@overload
def switch_map(rows: Stage[T], f: Callable[[T], Awaitable[Iterable[U]]]) -> Stage[U]: ...
@overload
def switch_map(rows: Stage[T], f: Callable[[T], Iterable[U]]) -> Stage[U]: ...
@overload
def switch_map(rows: Stage[T], f: Callable[[T], AsyncIterable[U]]) -> Stage[U]: ...
def switch_map(rows: Stage[Any], f: Callable[[Any], Any]) -> Stage[Any]:
    """``rows.switch_map(f)``: the rows of ``f(row)`` for the latest row; a new row ends the source of the last one.

    `f` gives anything that `flow.wrap` takes but text; an async `f` is awaited, and both are cancelled by a new row.
    The order of each source is kept. When there is a new row, the source of the last one is cancelled where it waits
    and closed (its cleanup is waited for), and a row that it had made is dropped and counted; then the new one is
    opened. A new row comes before those that it makes stale: of rows that are there at once, only the last one's
    source is opened. `rows` and the source each work at most one row ahead.

    It ends when `rows` has ended, and the last source after it. When `rows`, `f` or a source fails, the others are
    cancelled and closed, then the failure is raised; a second failure joins it in an ExceptionGroup. So does a failing
    cleanup of a source that is being replaced. Raises TypeError at once when `f` can't be called.

        flow.wrap([1, 2, 3]).switch_map(range)             # 0, 1, 2
    """
    return _SwitchMap(rows, f)
