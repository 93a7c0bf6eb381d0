"""Sources that know what was done to them, and a check that nothing of flow is left."""

from __future__ import annotations

import gc
import threading
from collections.abc import Generator, Iterable
from threading import get_ident
from typing import Any, Generic, TypeVar

from ..core.microthread import sleep
from ..core.run import live

__all__ = ["Leftover", "Tracked", "nothing_left"]

T = TypeVar("T")


class Leftover(AssertionError):
    """Something that a run opened is still open."""


class Tracked(Generic[T]):
    """A source, or a stage, that counts how often it was opened, asked and closed, and in which threads.

    As a source: ``flow.wrap(Tracked(rows))``. As a stage: ``rows | Tracked()``, which hands rows on. `delay`: seconds
    it waits before each row; `cleanup`: seconds its closing waits; `fail`: raised after the last row; `log`: a list
    that gets ``(name, "opened" | "closed")``, so that orders can be compared.

        source = Tracked([1, 2, 3])
        assert list(flow.wrap(source)[:2]) == [1, 2]
        assert source.asked == 2 and source.is_closed
    """

    def __init__(
        self,
        rows: Iterable[T] = (),
        *,
        name: str = "source",
        delay: float = 0,
        cleanup: float = 0,
        fail: BaseException | None = None,
        log: list[tuple[str, str]] | None = None,
    ) -> None:
        self.name = name
        self.opened = 0
        self.asked = 0
        self.closed = 0
        self.threads: set[int] = set()
        self.log: list[tuple[str, str]] = [] if log is None else log
        self._rows = rows
        self._delay = delay
        self._cleanup = cleanup
        self._fail = fail

    def __iter__(self) -> Generator[T]:
        return self._read(self._rows)

    def __call__(self, rows: Iterable[T]) -> Generator[T]:
        return self._read(rows)

    def _read(self, rows: Iterable[T]) -> Generator[T]:
        self.opened += 1
        self.log.append((self.name, "opened"))
        try:
            for row in rows:
                self.threads.add(get_ident())
                self.asked += 1
                if self._delay:
                    sleep(self._delay)
                yield row
            if self._fail is not None:
                raise self._fail
        finally:
            self.threads.add(get_ident())
            try:
                if self._cleanup:
                    sleep(self._cleanup)
            finally:
                self.closed += 1
                self.log.append((self.name, "closed"))

    @property
    def is_closed(self) -> bool:
        """Was it closed as often as it was opened?"""
        return self.opened == self.closed

    def __repr__(self) -> str:
        return f"<Tracked {self.name}: opened {self.opened}, asked {self.asked}, closed {self.closed}>"


def nothing_left(*tracked: Tracked[Any]) -> None:
    """Raises Leftover when a run of flow is not over, a thread of flow is alive, or one of these sources is open."""
    if live:
        gc.collect()  # a run in a reference cycle is closed by the collector
    left = [f"the run of {run.stage!r} is not over" for run in live]
    left += [
        f"the thread {thread.name!r} is alive" for thread in threading.enumerate() if thread.name.startswith("flow ")
    ]
    left += [f"{each!r} is not closed" for each in tracked if not each.is_closed]
    if left:
        raise Leftover("; ".join(left))
