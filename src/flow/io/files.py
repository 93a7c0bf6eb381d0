"""Files as sources: `flow.wrap(file)` gives its lines, read in a thread, so that a slow disk holds up no loop."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from typing import Any

from ..core.scope import Scope
from ..core.source import Once, sliced_fairly
from ..core.stage import Stage
from ..core.wrap import wrapper_for
from ..offload.threads import Threaded

__all__: list[str] = []


def _is_file(x: Any) -> bool:
    return isinstance(x, io.IOBase) or (hasattr(x, "readline") and hasattr(x, "__next__") and hasattr(x, "close"))


class _Lines:
    """A file as an iterator that is closed with its run, even when no line was asked for. Standard streams stay."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._lines = iter(file)

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> Any:
        return next(self._lines)

    def close(self) -> None:
        if self._file not in (sys.stdin, sys.__stdin__):
            self._file.close()


def _wrap_file(file: Any) -> Stage[Any]:
    def in_memory(scope: Scope) -> Iterator[Any]:
        return sliced_fairly(scope.add(_Lines(file)), scope)

    def in_a_thread(scope: Scope) -> Iterator[Any]:
        return Threaded(_Lines(file)).rows(None, scope)

    open = in_memory if isinstance(file, (io.StringIO, io.BytesIO)) else in_a_thread
    return Once(
        open, f"wrap({type(file).__name__})", "Open the file again, or give wrap a generator function that opens it."
    )


wrapper_for(_is_file, _wrap_file)
