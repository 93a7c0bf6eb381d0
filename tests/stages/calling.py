"""Functions for tests of concurrent calls: they note when each call begins and ends, and how."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import flow
from flow.testing import virtual_time


class Calling:
    """A function of a row that takes `seconds` (of a row, or for all) and gives ``-row``, or fails with ``fails[row]``.

    `began` and `ended` have the times of each row; `cut` the rows whose call was cancelled. `cleanup`: seconds that a
    cancelled call takes to end, and `unclean` what it raises then.
    """

    def __init__(
        self,
        seconds: float | Mapping[Any, float] = 1.0,
        fails: Mapping[Any, BaseException] | None = None,
        cleanup: float = 0,
        unclean: Mapping[Any, BaseException] | None = None,
    ) -> None:
        self.seconds = seconds if isinstance(seconds, Mapping) else defaultdict(lambda: seconds)
        self.fails = fails or {}
        self.cleanup = cleanup
        self.unclean = unclean or {}
        self.began: dict[Any, float] = {}
        self.ended: dict[Any, float] = {}
        self.order: list[Any] = []
        self.cut: list[Any] = []
        self.now = 0
        self.peak = 0

    def _begin(self, row: Any) -> None:
        self.began[row] = self.time()
        self.order.append(row)
        self.now += 1
        self.peak = max(self.peak, self.now)

    def time(self) -> float:
        return asyncio.get_running_loop().time()

    def _end(self, row: Any) -> None:
        self.ended[row] = self.time()
        self.now -= 1

    async def task(self, row: Any) -> Any:
        """As an async function."""
        self._begin(row)
        try:
            await asyncio.sleep(self.seconds.get(row, 0) if type(self.seconds) is dict else self.seconds[row])
            if row in self.fails:
                raise self.fails[row]
            return -row
        except asyncio.CancelledError:
            self.cut.append(row)
            if self.cleanup:
                await asyncio.sleep(self.cleanup)
            if row in self.unclean:
                raise self.unclean[row] from None
            raise
        finally:
            self._end(row)

    def thread(self, row: Any) -> Any:
        """As a function that waits on its micro-thread."""
        self._begin(row)
        try:
            flow.sleep(self.seconds.get(row, 0) if type(self.seconds) is dict else self.seconds[row])
            if row in self.fails:
                raise self.fails[row]
            return -row
        except flow.Cancelled:
            self.cut.append(row)
            if self.cleanup:
                flow.sleep(self.cleanup)
            if row in self.unclean:
                raise self.unclean[row] from None
            raise
        finally:
            self._end(row)


KINDS: dict[str, Callable[[Calling], Callable[[Any], Any]]] = {
    "task": lambda calling: calling.task,
    "thread": lambda calling: calling.thread,
    "lambda": lambda calling: lambda row: calling.task(row),
}
"""An async function, one that waits on a micro-thread, and a plain one that returns a coroutine."""


def timed(stage: flow.Stage[Any], busy: float = 0) -> tuple[list[tuple[Any, float]], BaseException | None]:
    """The rows with their times, on asyncio in virtual time, and what ended them. `busy`: seconds that a row takes."""
    got: list[tuple[Any, float]] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async for row in stage:
            got.append((row, loop.time()))
            if busy:
                await asyncio.sleep(busy)

    with virtual_time() as clock:
        try:
            clock.run(main())
        except BaseException as error:
            return got, error
    return got, None


def rows_of(stage: flow.Stage[Any]) -> list[Any]:
    """The rows, when nothing fails."""
    got, error = timed(stage)
    if error is not None:
        raise error
    return [row for row, _ in got]
