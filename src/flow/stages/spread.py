"""Sources that rows are turned into, read several at a time: ``rows.flat_map(f, concurrency=n)``.

The input is one branch, and each inner source another. The branch of the input has no rows: what it does is to open
inner sources, as long as fewer than `concurrency` are open, and then it waits until one of them is closed. So the rows
come at the speed of `Merge`.

What may live here: flattening with a concurrency. One source after another is `FlatMap`'s own affair.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any

from ..core.bodies import read
from ..core.branch import Branch, Branches
from ..core.instruction import Signal
from ..core.microthread import MicroThread, Strand
from ..core.scope import Scope
from ..core.stage import Stage
from ..core.wrap import stage_of
from .calls import MOST_FAILURES, Coroutine, OnError
from .transform import called

__all__ = ["Spread"]


class Spread:
    """One run: the inner sources that are open, at most `concurrency`, and what has failed."""

    def __init__(
        self, f: Callable[[Any], Any], source: Stage[Any], strand: Strand, concurrency: int, on_error: OnError
    ) -> None:
        self._f = called(f, "flat_map")
        self._source = source
        self._strand = strand
        self._concurrency = concurrency
        self._on_error = on_error
        self._open = 0
        self._closed = Signal()  # one of them is
        self._stopped = False  # no more are opened
        self._reading = False  # is the input being asked for a row?

    def rows(self) -> Generator[Any]:
        self._branches = branches = Branches(self._strand, keep=self._keeps)
        branches.add(self._source, self._open_all)
        yield from branches.rows()

    def _keeps(self, branch: Branch) -> bool:
        """A branch has failed: may the others go on?"""
        if self._reading and branch.index == 0:
            return True  # the input: that comes after all rows before it
        if self._on_error == "cancel":
            return False
        if self._on_error == "finish" or len(self._branches.kept) + 1 >= MOST_FAILURES:
            self._stopped = True
            self._closed.set()
        return True

    def _open_all(self, branch: Branch, thread: MicroThread) -> None:
        """The branch of the input."""
        with Scope(thread) as scope:
            rows: Iterator[Any] = branch.stage.open_in(scope)
            while not self._stopped:
                if self._open == self._concurrency:
                    self._closed.clear()
                    thread.pause(self._closed)
                    continue
                self._reading = True
                try:
                    row = next(rows)
                except StopIteration:
                    return
                self._reading = False
                try:
                    made = self._f(row)
                    if type(made) is Coroutine:
                        made = thread.pause(made)
                    inner = stage_of(made)
                except Exception as error:
                    if self._on_error == "cancel":
                        raise
                    self._branches.kept.append(error)
                    if self._on_error == "finish" or len(self._branches.kept) >= MOST_FAILURES:
                        return
                    continue
                self._open += 1
                self._branches.add(inner, self._read)

    def _read(self, branch: Branch, thread: MicroThread) -> None:
        """The branch of an inner source."""
        thread.works = True  # on a row: a run that is stopped finishes it
        try:
            read(branch, thread)
        finally:
            self._open -= 1
            self._closed.set()
