"""What runs a flow: `Block` in a script, `Deferred` on the reactor."""

from __future__ import annotations

from typing import Any

from ..core import reading as _reading
from ..loops import _twisted
from . import base as _base
from .base import *  # noqa: F403  # as in 2003: each module handed on what it was made of
from .base import Controller, Trap
from .wrap import wrap

__all__ = ["Block", "Deferred", "wrap"]
__all__ += _base.__all__


class Block(Controller, _reading.Block[Any]):
    """Reads a stage in a script, row by row: an iterator, with a next(). It blocks the thread while the stage waits.

    It runs every stage. It is refused where the reactor runs: see flow.Block.
    """

    __slots__ = ()

    def __init__(self, stage: Any, *trap: Trap) -> None:
        super().__init__(wrap(stage, *trap))

    def next(self) -> Any:
        """The next row."""
        return self.__next__()


class Deferred(Controller, _twisted.Deferred["list[Any]"]):
    """Runs a stage on the reactor; a Deferred that fires with the list of its rows, or with its failure.

    A subclass may override ``results(rows)``, which is called with a list of rows when there are some, and calls this
    class's own for those that are to be collected. It starts in the reactor's next turn. For the rest, and for
    `options`, see flow.Deferred.
    """

    def __init__(self, stage: Any, *trap: Trap, **options: Any) -> None:
        self._results: list[Any] = []
        if type(self).results is not Deferred.results:
            options["into"] = self._hand_over
        begin: Any = super().__init__
        begin(wrap(stage, *trap), **options)

    def results(self, rows: list[Any]) -> None:
        """Collects rows."""
        self._results.extend(rows)

    def _hand_over(self, row: Any) -> None:
        self.results([row])

    def _ended(self, error: BaseException | None) -> None:
        if error is None and self._into == self._hand_over:
            self.callback(self._results)
        else:
            super()._ended(error)
