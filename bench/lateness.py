"""How late other work runs beside a flow that is always busy: a ticker on the same loop, due each millisecond.

The ticker is a timer of asyncio. Each time it runs, it notes how late it is for each moment that has passed since it
ran last: a flow that holds the loop for 100 ms makes a hundred ticks late, by 100, 99, 98 ms and so on, and not one. So
what is reported is what a request would see that comes at any moment, and a loop that is held to the end shows at once.

What may live here: busy flows, the same work in native async generators and in aiostream, and the ticker. All of them
end by the clock.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from importlib.util import find_spec
from statistics import quantiles
from time import perf_counter
from typing import Any

import flow

from .other import Figures, Other, Tell, failed

__all__ = ["KINDS", "LATENESS", "Ticker"]

EVERY = 0.001
"""Seconds from one tick to the next."""

Busy = Callable[[float], Awaitable[Any]]
"""Works until `perf_counter()` is past the moment that it is given."""


class Ticker:
    """Is due at each multiple of `every`, and notes how late it was for each of them, in seconds."""

    def __init__(self, every: float = EVERY) -> None:
        self.late: list[float] = []
        self._every = every
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.time() + every
        self._timer = self._loop.call_at(self._due, self._tick)

    def _tick(self) -> None:
        self._note()
        self._timer = self._loop.call_at(self._due, self._tick)

    def _note(self) -> None:
        now = self._loop.time()
        while self._due <= now:
            self.late.append(now - self._due)
            self._due += self._every

    def stop(self) -> list[float]:
        """Ticks that are due and had no chance to run are late, too."""
        self._timer.cancel()
        self._note()
        return self.late


# --------------------------------------------------------------------------------------------------------------------
# Busy work


def _rows(end: float) -> Iterator[int]:
    """Rows that are always ready, until then."""
    number = 0
    while perf_counter() < end:
        yield number
        number += 1


def _plain(rows: Any) -> Iterator[Any]:
    for row in rows:  # noqa: UP028 (as a stage of a user's has it)
        yield row


def _no(row: Any, *_: Any) -> bool:
    return False


async def _ticks(end: float) -> AsyncIterator[int]:
    for row in _rows(end):
        yield row


async def _native(rows: Any) -> AsyncIterator[Any]:
    async for row in rows:
        yield row


async def _read(rows: Any) -> None:
    async for _ in rows:
        pass


async def _idle(end: float) -> None:
    await asyncio.sleep(max(0.0, end - perf_counter()))


async def _flow_read(end: float) -> None:
    await _read(flow.wrap(_rows(end)) | _plain | _plain)


async def _flow_listed(end: float) -> None:
    await (flow.wrap(_rows(end)) | _plain | _plain).filter(_even)


def _even(row: int) -> bool:
    return row % 1000 == 0  # so that the list stays short


async def _flow_filter(end: float) -> None:
    await _read(flow.wrap(_rows(end)).filter(_no))


async def _flow_merge(end: float) -> None:
    await _read(flow.Merge(_rows(end), _rows(end)))


async def _flow_thread(end: float) -> None:
    await _read(flow.Threaded(_rows(end)))


async def _native_read(end: float) -> None:
    await _read(_native(_native(_ticks(end))))


async def _streamed(make: Callable[[Any], Any], end: float) -> None:
    async with make(end).stream() as rows:
        await _read(rows)


async def _aiostream_map(end: float) -> None:
    from aiostream import stream

    await _streamed(lambda end: stream.map(stream.iterate(_rows(end)), lambda row, *_: row), end)


async def _aiostream_filter(end: float) -> None:
    from aiostream import stream

    await _streamed(lambda end: stream.filter(stream.iterate(_rows(end)), _no), end)


async def _aiostream_merge(end: float) -> None:
    from aiostream import stream

    await _streamed(lambda end: stream.merge(_ticks(end), _ticks(end)), end)


KINDS: dict[str, Busy] = {
    "nothing else": _idle,
    "flow: a chain that is always ready, async for": _flow_read,
    "flow: the same, await": _flow_listed,
    "flow: a filter that rejects all rows, async for": _flow_filter,
    "flow: Merge of two ready inputs, async for": _flow_merge,
    "flow: Threaded, always ready, async for": _flow_thread,
    "native: three async generators, always ready": _native_read,
    "aiostream: iterate, map, always ready": _aiostream_map,
    "aiostream: a filter that rejects all rows": _aiostream_filter,
    "aiostream: merge of two ready inputs": _aiostream_merge,
}


# --------------------------------------------------------------------------------------------------------------------
# Measuring


async def _beside(busy: Busy, seconds: float) -> list[float]:
    ticker = Ticker()
    await busy(perf_counter() + seconds)
    return ticker.stop()


def _measure(quick: bool, tell: Tell) -> list[Figures]:
    found = []
    for name, busy in KINDS.items():
        tell(name)
        if name.startswith("aiostream") and not find_spec("aiostream"):
            found.append(Figures(name, trouble="not installed: pip install aiostream"))
            continue
        gc.collect()
        try:
            with asyncio.Runner() as runner:
                runner.run(_beside(busy, 0.02))  # what is imported or made once is not its lateness
                found.append(Figures(name, _values(runner.run(_beside(busy, 0.3 if quick else 1.5)))))
        except Exception as error:
            found.append(failed(name, error))
    return found


def _values(late: list[float]) -> dict[str, float]:
    cuts = quantiles(late, n=100)
    return {"median ms": 1000 * cuts[49], "p99 ms": 1000 * cuts[98], "max ms": 1000 * max(late), "ticks": len(late)}


LATENESS = Other(
    "lateness",
    "how late a timer runs, due each millisecond, beside work on the same loop that is always ready",
    ("median ms", "p99 ms", "max ms", "ticks"),
    _measure,
)
