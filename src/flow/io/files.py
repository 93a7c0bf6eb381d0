"""Files as sources: `flow.wrap(file)` gives its lines, read in a thread, so that a slow disk holds up no loop."""

from __future__ import annotations

import io
import sys
from collections.abc import Generator
from typing import Any

from ..core.stage import Stage
from ..core.wrap import Once, sliced_fairly, wrapper_for
from ..offload.threads import Threaded

__all__: list[str] = []


def _is_file(x: Any) -> bool:
    return isinstance(x, io.IOBase) or (hasattr(x, "readline") and hasattr(x, "__next__") and hasattr(x, "close"))


class _Lines:
    """The lines of a file in blocks, and its closing; the standard streams stay open."""

    def __init__(self, file: Any) -> None:
        self.file = file

    def __iter__(self) -> Generator[Any]:
        try:
            yield from self.file
        finally:
            self.close()

    def close(self) -> None:
        if self.file not in (sys.stdin, sys.__stdin__):
            self.file.close()


def _wrap_file(file: Any) -> Stage[Any]:
    name = f"wrap({type(file).__name__})"
    advice = "Open the file again, or give wrap a generator function that opens it."
    if isinstance(file, (io.StringIO, io.BytesIO)):
        return Once(lambda scope: sliced_fairly(scope.add(iter(_Lines(file))), scope), name, advice)
    return Once(lambda scope: Threaded(_Lines(file)).rows(None, scope), name, advice)


wrapper_for(_is_file, _wrap_file)
