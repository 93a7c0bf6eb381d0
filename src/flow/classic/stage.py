"""Stages of several inputs, and `Callback`: the engine's own, with the arguments and the ends of 2003.

Each is made in two steps: `Stage.__init__` for the trap, then what follows `Stage` among its bases, the engine's class.
"""

from __future__ import annotations

from collections.abc import Callable as Function
from functools import partial
from typing import Any

from twisted.python.failure import Failure

from ..core.stage import label_of
from ..stages import buffer as _buffer
from ..stages import combine as _combine
from ..stages import transform as _transform
from . import base as _base
from .base import *  # noqa: F403  # as in 2003: each module handed on what it was made of
from .base import Stage, Trap
from .wrap import wrap

__all__ = ["Callback", "Concurrent", "Failure", "Map", "Merge", "Zip", "wrap"]
__all__ += _base.__all__

LIMIT = 100_000
"""The largest number of rows that a Callback holds. In 2003 it had no bound."""


class Map(Stage, _transform.Map[Any]):
    """``func(row)`` for each row, or ``func(a, b, ...)`` for one row of each stage, up to the end of the longest.

    None stands for the rows of a stage that has ended. Without a function (None) the rows are tuples, of one item for
    one stage.
    """

    def __init__(self, func: Function[..., Any] | None, stage: Any, *stages: Any) -> None:
        Stage.__init__(self)
        if not stages:
            super(Stage, self).__init__(func or _alone, wrap(stage))
        else:
            tuples: Any = _combine.Zip(wrap(stage), *map(wrap, stages), fill=None)
            super(Stage, self).__init__(partial(_apart, func) if func else tuple, tuples)
        self.name = f"map({label_of(func)})"


def _alone(row: Any) -> tuple[Any]:
    return (row,)


def _apart(func: Function[..., Any], rows: tuple[Any, ...]) -> Any:
    return func(*rows)


class Zip(Map):
    """Tuples of one row of each stage, up to the end of the longest; None stands for what is missing."""

    def __init__(self, stage: Any, *stages: Any) -> None:
        super().__init__(None, stage, *stages)
        self.name = "zip"


class Concurrent(Stage, _combine.Concurrent):
    """The stage that has a row, each time: take it with its next().

    They are the stages that were given. Take one row each time; for the rest see flow.Concurrent.
    """

    def __init__(self, *stages: Any) -> None:
        Stage.__init__(self)
        super(Stage, self).__init__(*map(wrap, stages))


class Merge(Stage, _combine.Merge[Any]):
    """The rows of all stages, each as soon as it is there: see flow.Merge."""

    def __init__(self, *stages: Any) -> None:
        Stage.__init__(self)
        super(Stage, self).__init__(*map(wrap, stages))


class Callback(Stage, _buffer.Callback[Any]):
    """Rows that somebody pushes: ``result(row)`` (or calling it), ``finish()``, ``errback(failure)``.

    It holds up to 100,000 rows; another one raises FullError. For the rest see flow.Callback. An exception of a type in
    `trap` becomes the last row, as the class that matched.
    """

    def __init__(self, *trap: Trap) -> None:
        Stage.__init__(self, *trap)
        super(Stage, self).__init__(LIMIT)
