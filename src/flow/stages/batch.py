"""Stages that gather rows into larger ones: so many, so much, or what came in so long, whichever is first.

A batch of n rows is what `itertools.batched` of Python 3.12 makes. What flow adds: a time, so that a row does not wait
for others that do not come; a weight, for limits in bytes or tokens; and rows before a failure are not lost.

What may live here: batches. Windows, which may share rows and follow the clock, are in `window.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator
from functools import partial
from itertools import islice
from types import CoroutineType
from typing import Any, TypeVar

from ..core.bodies import gather
from ..core.branch import Branch
from ..core.microthread import ROW, MicroThread, Strand, wait
from ..core.scope import Scope
from ..core.source import bound_of
from ..core.stage import Pipe, Stage
from .arrivals import Below, OneBranch, dropped, duration_of
from .transform import called

__all__ = ["Batches", "batched"]

T = TypeVar("T")

_Coroutine: Any = CoroutineType


def batched(
    n: int,
    /,
    *,
    within: float | None = None,
    weight: Callable[[Any], Any] | None = None,
    max_weight: float | None = None,
) -> Batches:
    """The rows in tuples of at most `n`, for ``|``: ``rows | flow.batched(500, within=0.2)``, or ``rows.batched(...)``.

    A batch is handed on when it has `n` rows; when `within` seconds have passed since its first row came; or when the
    sum of ``weight(row)`` (sync or async) would pass `max_weight`: whichever is first. ``within=0`` hands on what is
    ready now. A row that is heavier than `max_weight` is a batch of its own. No batch is empty.

    It holds up to `n` rows, and asks for none beyond its batch (with a weight, for one: the row that does not fit any
    more). With `within` the input goes on while a batch is waited for, and is not asked while the reader is busy; over
    a source that is always ready no clock is read. The rows that are there at the end, and those before a failure, come
    as a last batch. When the flow is left, rows of an unfinished batch are dropped and counted. Raises TypeError or
    ValueError for what these can't be; and ValueError, as a failure, for a weight that is no number of 0 or more.

        flow.wrap("a b c".split()) | flow.batched(2)       # ('a', 'b'), ('c',)
        flow.wrap([1, 2, flow.Cooperate(9), 3]) | flow.batched(500, within=0.2)    # (1, 2), (3,)
        flow.wrap(["aa", "b", "cccc", "d"]).batched(100, max_weight=3, weight=len)    # ('aa', 'b'), ('cccc',), ('d',)
    """
    bound_of(n, "batched(n): n")
    if within is not None:
        duration_of(within, "batched(within)")
    if (weight is None) != (max_weight is None):
        raise TypeError("batched(weight=..., max_weight=...): give both, a function of a row and a limit of its sum")
    if max_weight is None:
        return Batches(n, within, None, math.inf)
    if isinstance(max_weight, bool) or not isinstance(max_weight, (int, float)):
        raise TypeError(f"batched(max_weight) must be a number, not {type(max_weight).__name__}")
    if not max_weight > 0:
        raise ValueError(f"batched(max_weight) must be more than 0, not {max_weight!r}")
    return Batches(n, within, weight, max_weight)


class Batches:
    """What `batched` gives: it stands behind ``|``."""

    __slots__ = ("_max_weight", "_n", "_weigh", "_within")

    def __init__(self, n: int, within: float | None, weight: Callable[[Any], Any] | None, max_weight: float) -> None:
        self._n = n
        self._within = within
        self._weigh = None if weight is None else called(weight, "batched(weight)")
        self._max_weight = max_weight

    def attached_to(self, stage: Stage[T], /) -> Stage[tuple[T, ...]]:
        """``stage | self``."""
        n, weigh, max_weight = self._n, self._weigh, self._max_weight
        if self._within is not None:
            return Below(stage, partial(_batched_within, self._within, n, weigh, max_weight), repr(self))
        if weigh is not None:
            return Pipe(stage, partial(_weighed, n, weigh, max_weight), repr(self))
        return Pipe(stage, partial(_batched, n), repr(self))

    def __repr__(self) -> str:
        within = "" if self._within is None else f", within={self._within:g}"
        return f"batched({self._n}{within}{'' if self._weigh is None else f', max_weight={self._max_weight:g}'})"


# --------------------------------------------------------------------------------------------------------------------
# Without a time: plain generators


def _batched(n: int, rows: Iterator[T]) -> Generator[tuple[T, ...]]:
    size = n
    while size == n:  # a short batch is the last one: the end is not asked for again
        batch: list[T] = []
        try:
            batch.extend(islice(rows, n))  # not tuple(islice(...)), which would lose the rows before a failure
        except Exception:
            if batch:
                yield tuple(batch)
            raise
        except BaseException:
            dropped(batch)
            raise
        size = len(batch)
        if batch:
            yield tuple(batch)


def _weighed(n: int, weigh: Callable[[T], Any], max_weight: float, rows: Iterator[T]) -> Generator[tuple[T, ...]]:
    batch: list[T] = []
    whole: float = 0
    try:
        for row in rows:
            weight = _weight(weigh(row))
            if batch and whole + weight > max_weight:
                full, batch, whole = batch, [row], weight
                yield tuple(full)
            else:
                batch.append(row)
                whole += weight
            if len(batch) >= n or whole >= max_weight:
                full, batch, whole = batch, [], 0
                yield tuple(full)
    except Exception:
        if batch:
            yield tuple(batch)
        raise
    except BaseException:
        dropped(batch)
        raise
    if batch:
        yield tuple(batch)


def _weight(made: Any) -> float:
    weight = wait(made) if type(made) is _Coroutine else made
    if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not weight >= 0:
        raise ValueError(f"batched(weight): what weight(row) gives must be a number of 0 or more, not {weight!r}")
    return weight


# --------------------------------------------------------------------------------------------------------------------
# Within a time: the input is gathered beside


def _batched_within(
    seconds: float,
    n: int,
    weigh: Callable[[Any], Any] | None,
    max_weight: float,
    strand: Strand,
    source: Stage[T],
) -> Generator[tuple[T, ...]]:
    time = strand.loop.time
    weigher = None if weigh is None else _Weigher(n, weigh, max_weight)
    until = math.inf  # when the batch that has begun must be handed on
    with OneBranch(strand, source, gather(n) if weigher is None else weigher.gather) as beside:
        branch = beside.branch
        block: list[T] = branch.block
        while True:
            try:
                in_time = beside.ready() or beside.come(until)
            except Exception:
                if block:
                    yield _taken(block, len(block))
                raise
            if branch.full:
                if weigher is None:
                    batch = tuple(block)
                    block.clear()
                    until = math.inf
                else:
                    batch = _taken(block, weigher.ready)
                    until = time() + seconds if block else math.inf
                yield batch
            elif branch.over:
                if block:
                    yield _taken(block, len(block))
                return
            else:  # it waits, and there are rows: has their time come?
                now = time()
                until = min(until, now + seconds)
                if now >= until or not in_time:
                    until = math.inf
                    yield _taken(block, len(block))


def _taken(block: list[T], count: int) -> tuple[T, ...]:
    """The first rows of a block. It is emptied in place: it may be being extended."""
    if count == len(block):
        batch = tuple(block)
        block.clear()
    else:
        batch = tuple(block[:count])
        del block[:count]
    return batch


class _Weigher:
    """What gathers by weight, on a branch: when that gives a row, the first `ready` rows of its block are a batch."""

    def __init__(self, n: int, weigh: Callable[[Any], Any], max_weight: float) -> None:
        self.ready = 0
        self._n = n
        self._weigh = weigh
        self._most = max_weight

    def gather(self, branch: Branch, thread: MicroThread) -> None:
        block = branch.block
        whole: float = 0
        with Scope(thread) as scope:
            for row in branch.stage.open_in(scope):
                weight = _weight(self._weigh(row))
                if not block:
                    whole = 0  # they were taken meanwhile: their time had come
                block.append(row)
                whole += weight
                if whole > self._most and len(block) > 1:
                    self.ready = len(block) - 1  # and this row begins the next batch
                    branch.hub(ROW)
                    whole = weight
                if len(block) >= self._n or whole >= self._most:
                    self.ready = len(block)
                    branch.hub(ROW)
