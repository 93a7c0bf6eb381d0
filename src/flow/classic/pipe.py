"""Stages of one input: `Filter` and `LineBreak` of the engine, and `Pipe`, from which a program made its own."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import Any

from twisted.python.failure import Failure

from ..core.stage import Pipe as _Pipe
from ..core.stage import label_of
from ..io import framing as _framing
from ..stages import transform as _transform
from . import base as _base
from .base import *  # noqa: F403  # as in 2003: each module handed on what it was made of
from .base import Stage, Trap
from .wrap import wrap

__all__ = ["Failure", "Filter", "LineBreak", "Pipe", "wrap"]
__all__ += _base.__all__


class Pipe(Stage):
    """A stage that rewrites the rows of one source: override ``process(results, stop)``.

    `process` is given rows of the source, and puts what it makes of them into ``self.results``. After the last row it
    is called once more, with none and with `stop` true. It may set ``self.stop``, which ends the stage, or
    ``self.failure``; what it raises is the failure of the stage. Rows come one by one, or in lists of those that are
    ready when the source is ``chunked``.
    """

    def __init__(self, source: Any, *trap: Trap) -> None:
        super().__init__(*trap)
        self._source = wrap(source)

    def _yield(self) -> Any:
        rows = iter(self._source)
        while self._members.empty:
            try:
                row = next(rows)
            except StopIteration:
                self.stop = True
                self.process([], True)
            else:
                self.process(row if self._source.chunked else [row], False)

    def process(self, results: list[Any], stop: bool) -> None:
        """Takes rows, maybe none, and sets ``self.results``, and if need be ``self.stop`` or ``self.failure``."""
        raise NotImplementedError(f"{type(self).__name__} must override process(results, stop)")


class Filter(Stage, _transform.Filter[Any]):
    """The rows for which ``func(row)`` is true; those that are true themselves, when `func` is None."""

    def __init__(self, func: Callable[[Any], object] | None, source: Any, *trap: Trap) -> None:
        Stage.__init__(self, *trap)
        super(Stage, self).__init__(func or bool, wrap(source))
        self.name = f"filter({label_of(func)})"


class LineBreak(Stage, _Pipe[Any]):
    """Lines out of pieces of text or bytes, without their delimiter.

    A line that is longer than `maxlength` raises LineTooLongError. What comes after the last delimiter is the last row
    if `trailer` is true, and a RuntimeError otherwise.
    """

    def __init__(
        self,
        source: Any,
        *trap: Trap,
        delimiter: str | bytes = "\r\n",
        maxlength: int = 16384,
        trailer: bool = False,
    ) -> None:
        Stage.__init__(self, *trap)
        if isinstance(delimiter, str) and delimiter.isascii():
            delimiter = delimiter.encode()  # which fits text, too
        lines: Any = _framing.lines
        broken = partial(_broken, lines(delimiter, max_length=maxlength), bool(trailer))
        super(Stage, self).__init__(wrap(source), broken, f"LineBreak({delimiter!r})")


def _broken(lines: Callable[[Any], Iterator[Any]], trailer: bool, pieces: Iterator[Any]) -> Generator[Any]:
    read = False

    def watched() -> Generator[Any]:
        nonlocal read
        yield from pieces
        read = True

    for line in lines(watched()):
        if read and not trailer:  # all that had a delimiter behind it came before the last piece had been read
            raise RuntimeError(f"trailing data remains: {line[:10]!r}")
        yield line
