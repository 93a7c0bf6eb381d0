"""Stages that read several inputs in an order: one after another, row about, or as their rows compare.

What may live here: several inputs whose order is fixed by what is asked for, and not by which is there first. Those are
in `combine.py`.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Generator, Iterator
from itertools import chain as chained
from typing import TYPE_CHECKING, Any, TypeVar, overload

from ..core.branch import Branch, Branches
from ..core.microthread import MicroThread, Strand
from ..core.scope import Scope
from ..core.stage import Stage
from ..core.steps import NOTHING
from .combine import Combined
from .transform import condition

if TYPE_CHECKING:
    from ..core.stage import Input

__all__ = ["chain", "interleave", "merge_sorted"]

T = TypeVar("T")


# --------------------------------------------------------------------------------------------------------------------
# One after another


class _Chain(Combined[T]):
    __slots__ = ()

    word = "chain"

    def rows(self, upstream: Any, scope: Scope) -> Iterator[T]:
        return chained.from_iterable(scope.add(self._opened(scope.strand)))

    def _opened(self, strand: Strand) -> Generator[Iterator[T]]:
        """The inputs, each opened when it is asked for, and closed when the next one is."""
        run, clock = strand.owner, strand.loop.clock
        for stage in self.inputs:
            if run.stopped:
                return
            with Scope(strand) as scope:
                yield stage.open_in(scope)
            if isinstance(strand, MicroThread) and clock() >= run.deadline:
                strand.give_turn()  # inputs without a row give none


@overload
def chain(*inputs: Input[T]) -> Stage[T]: ...
@overload
def chain(*inputs: Any) -> Stage[Any]: ...
def chain(*inputs: Any) -> Stage[Any]:
    """The rows of each input, one input after another.

    An input is opened when the one before it has ended and is closed, and not before its first row is needed. Holds
    nothing, and adds nothing to the cost of a row. It ends with the last input; with none it is empty. A failure of an
    input ends it, and the inputs behind that are never opened. (A list of inputs that is not known beforehand is
    ``flow.wrap(inputs).flat_map(...)``.) Raises TypeError for what `flow.wrap` does not take.

        flow.chain([1, 2], [], [3])                        # 1, 2, 3
    """
    return _Chain(*inputs)


# --------------------------------------------------------------------------------------------------------------------
# Row about


class _Interleave(Combined[T]):
    __slots__ = ()

    word = "interleave"

    def read(self, strand: Strand) -> Generator[T]:
        # A failure is kept until the turn of its input comes: what is given does not depend on who was quicker.
        with Branches(strand, self.inputs, keep=lambda branch: True) as branches:
            turns = deque(branches.every)
            while turns:
                branch = turns[0]
                if branches.wait_for(branch):
                    yield branch.take()
                    branches.ask(branch)
                    turns.rotate(-1)
                elif branch.failure is not None:
                    raise branch.failure
                else:
                    turns.popleft()


@overload
def interleave(*inputs: Input[T]) -> Stage[T]: ...
@overload
def interleave(*inputs: Any) -> Stage[Any]: ...
def interleave(*inputs: Any) -> Stage[Any]:
    """A row of each input in turn, strictly: the first of all inputs, the second of all, and so on.

    An input that has ended is left out; it ends when all have. While one is waited for, the others work on their next
    row, and hold it until its turn: one row each, at most. A failure is raised when the turn of its input comes, after
    the rows before it, so the result depends on no timing; the others are cancelled and closed first, what they hold is
    dropped and counted, and a second failure joins it in an ExceptionGroup. With no input it is empty. (`Merge` gives
    what is there; `Zip` gives tuples, and ends with the shortest.)

        flow.interleave([1, 2, 3], [10], [100, 200])       # 1, 10, 100, 2, 200, 3
    """
    return _Interleave(*inputs)


# --------------------------------------------------------------------------------------------------------------------
# As rows compare


class _MergeSorted(Combined[T]):
    __slots__ = ("_key", "_reverse")

    word = "merge_sorted"

    def __init__(self, inputs: tuple[Any, ...], key: Callable[[Any], Any] | None, reverse: bool) -> None:
        super().__init__(*inputs)
        self._key = None if key is None else condition(key, "merge_sorted(key)")
        self._reverse = reverse

    def read(self, strand: Strand) -> Generator[T]:
        with Branches(strand, self.inputs, keep=lambda branch: True) as branches:
            every = list(branches.every)
            inputs = [_taken(branches, branch) for branch in every]
            yield from heapq.merge(*inputs, key=self._key, reverse=self._reverse)
            if not all(branch.over for branch in every):  # heapq took it for the end of an input
                raise RuntimeError("merge_sorted: a comparison of two rows raised StopIteration")


def _taken(branches: Branches, branch: Branch) -> Generator[Any]:
    """The rows of one branch, which works on the next one while another is waited for."""
    while branches.wait_for(branch):
        row = branch.take()
        # What is there already, nobody need be asked for; but who waits for another input may have taken a row of it.
        while not branch.full and (following := next(branch.piece, NOTHING)) is not NOTHING:
            yield row
            row = following
        branches.ask(branch)
        yield row
    if branch.failure is not None:
        raise branch.failure


@overload
def merge_sorted(*inputs: Input[T], key: Callable[[T], Any] | None = ..., reverse: bool = ...) -> Stage[T]: ...
@overload
def merge_sorted(*inputs: Any, key: Callable[[Any], Any] | None = ..., reverse: bool = ...) -> Stage[Any]: ...
def merge_sorted(*inputs: Any, key: Callable[[Any], Any] | None = None, reverse: bool = False) -> Stage[Any]:
    """The rows of inputs that are sorted, in one sorted order, as `heapq.merge` does it.

    Rows that compare equal come in the order of their inputs. It compares one row of each input, and so waits for the
    slowest; while it waits, the others work on their next row: it holds two rows of each, at most. `key`: a function of
    a row by which to compare (an async one is awaited); ``reverse=True``: the inputs are sorted from the largest to the
    smallest. Whether they are sorted is not looked at: if one is not, its rows come in its own order all the same, each
    once, and the whole is not sorted.

    It ends when all inputs have. A failure of an input, of `key` or of a comparison is raised where the next row would
    come; what other inputs hold is dropped and counted, the others are cancelled and closed first, and a second failure
    joins it in an ExceptionGroup. With no input it is empty. Raises TypeError at once when `key` can't be called.

        flow.merge_sorted([1, 4, 5], [2, 3])               # 1, 2, 3, 4, 5
    """
    if not isinstance(reverse, bool):
        raise TypeError(f"merge_sorted(reverse) must be True or False, not {type(reverse).__name__}")
    return _MergeSorted(inputs, key, reverse)
