"""Short forms of the stages that do several things at a time: calls, buffers, routes, several inputs.

What may live here: methods of a few lines that import a stage and make it. What a stage does, holds and promises is
said, and done, in `flow.stages`.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar, overload

from .forms import Forms

if TYPE_CHECKING:
    from ..stages.combine import Merge, Zip
    from .stage import Input, Stage

__all__ = ["ManyInputs"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
U = TypeVar("U")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")


class ManyInputs(Forms[T_co]):
    """What a `Stage` has for doing several things at a time."""

    __slots__ = ()

    # ---- stages/calls.py: concurrent calls

    @overload
    def map(self, f: Callable[[T_co], Awaitable[U]], /) -> Stage[U]: ...
    @overload
    def map(self, f: Callable[[T_co], U], /) -> Stage[U]: ...
    def map(self, f: Callable[[Any], Any], /) -> Stage[Any]:
        """``f(row)`` for each row, in order; an async `f` is awaited before the next row. See `flow.Map`."""
        from ..stages.transform import Map

        return Map(f, self._itself)

    @overload
    def flat_map(self, f: Callable[[T_co], Awaitable[Iterable[U]]], /) -> Stage[U]: ...
    @overload
    def flat_map(self, f: Callable[[T_co], Iterable[U]], /) -> Stage[U]: ...
    @overload
    def flat_map(self, f: Callable[[T_co], AsyncIterable[U]], /) -> Stage[U]: ...
    def flat_map(self, f: Callable[[Any], Any], /) -> Stage[Any]:
        """The rows of ``f(row)`` for each row, in turn: `f` gives an iterable or a stage. See `flow.FlatMap`."""
        from ..stages.transform import FlatMap

        return FlatMap(f, self._itself)

    # ---- stages/buffer.py and stages/share.py: buffers and routes

    # ---- stages/combine.py and stages/latest.py: several inputs

    @overload
    def zip(self, a: Input[T1], /) -> Zip[tuple[T_co, T1]]: ...
    @overload
    def zip(self, a: Input[T1], b: Input[T2], /) -> Zip[tuple[T_co, T1, T2]]: ...
    @overload
    def zip(self, a: Input[T1], b: Input[T2], c: Input[T3], /) -> Zip[tuple[T_co, T1, T2, T3]]: ...
    @overload
    def zip(self, *others: Any) -> Zip[tuple[Any, ...]]: ...
    def zip(self, *others: Any) -> Zip[Any]:
        """Tuples of one row of each input: see `flow.Zip`."""
        from ..stages.combine import Zip

        return Zip(self._itself, *others)

    @overload
    def merge(self: ManyInputs[T], *others: Input[T]) -> Merge[T]: ...
    @overload
    def merge(self, *others: Any) -> Merge[Any]: ...
    def merge(self, *others: Any) -> Merge[Any]:
        """The rows of all inputs as they come: see `flow.Merge`."""
        from ..stages.combine import Merge

        return Merge(self._itself, *others)
