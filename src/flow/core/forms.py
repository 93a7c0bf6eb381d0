"""Short forms of the stages of one input: ``rows.filter(f)``, ``rows.batched(n)``, ...

What may live here: methods of a few lines that import a stage and make it. What a stage does, holds and promises is
said, and done, in `flow.stages`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar, cast

if TYPE_CHECKING:
    from .stage import Stage

__all__ = ["Forms", "OneInput"]

T_co = TypeVar("T_co", covariant=True)


class Forms(Generic[T_co]):
    """A part of `Stage`."""

    __slots__ = ()

    @property
    def _itself(self) -> Stage[T_co]:
        """The stage that it is a part of: itself, with its type."""
        return cast("Stage[T_co]", self)


class OneInput(Forms[T_co]):
    """What a `Stage` has for its own rows."""

    __slots__ = ()

    # ---- stages/transform.py

    def filter(self, f: Callable[[T_co], object], /) -> Stage[T_co]:
        """The rows for which ``f(row)`` is true, in order; an async `f` is awaited. See `flow.Filter`."""
        from ..stages.transform import Filter

        return Filter(f, self._itself)

    def enumerate(self, start: int = 0) -> Stage[tuple[int, T_co]]:
        """``(number, row)`` for each row, as the builtin does it."""
        from ..stages.transform import enumerated

        return enumerated(self._itself, start)

    def __getitem__(self, rows: slice) -> Stage[T_co]:
        """``stage[a:b:c]``: those rows, as `itertools.islice` does it; no row after the last one is asked for.

        Raises TypeError for an index that is no slice, ValueError for a negative bound.
        """
        from ..stages.transform import sliced

        return sliced(self._itself, rows)

    def take_while(self, f: Callable[[T_co], object], /) -> Stage[T_co]:
        """The rows before the first for which ``f(row)`` is false (that one is read and dropped); async `f` too."""
        from ..stages.transform import take_while

        return take_while(self._itself, f)

    def drop_while(self, f: Callable[[T_co], object], /) -> Stage[T_co]:
        """The rows from the first for which ``f(row)`` is false; an async `f` is awaited."""
        from ..stages.transform import drop_while

        return drop_while(self._itself, f)

    # ---- stages/batch.py

    def batched(self, n: int, /) -> Stage[tuple[T_co, ...]]:
        """Tuples of `n` rows, the last one maybe shorter; holds up to `n` rows. Raises ValueError for n below 1."""
        from ..stages.batch import batched

        return batched(self._itself, n)

    # ---- stages/timing.py

    # ---- stages/errors.py

    # ---- stages/hooks.py and the ends of a flow
