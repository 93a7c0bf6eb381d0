"""What an idle run holds: 10, 100, 1,000 and 10,000 chains of three stages, each of which has given a row and waits.

The figure is the growth of the process (its resident memory, as the system sees it) for each chain, in a fresh process
for each kind: so it has everything that a user pays for, the stacks of greenlets and the objects of the loop
included, and nothing that another kind left behind. One chain is opened before the first look, so that what is imported
or made once is not counted. Small numbers of chains are shown for the shape of the curve; a page more or less is much
for ten of them.

What may live here: the kinds of chains, and how memory is read. `python -m bench.memory KIND 10,100` measures one kind,
which is what `python -m bench --only memory` does for each.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import cache
from importlib.util import find_spec
from typing import Any

from .machine import fresh
from .other import Figures, Other, Tell, failed, within

__all__ = ["KINDS", "MEMORY", "resident"]

GOAL = 9.0
"""KB for each of 10,000 idle runs of flow."""

NUMBERS = (10, 100, 1_000, 10_000)
QUICK = (10, 100, 1_000)


def resident() -> int:
    """Bytes of this process that are in memory now."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# --------------------------------------------------------------------------------------------------------------------
# Kinds of chains: each function opens one, takes its first row, and returns what keeps it open


def _plain(rows: Any) -> Iterator[Any]:
    for row in rows:  # noqa: UP028 (as a stage of a user's has it)
        yield row


async def _native(rows: Any) -> AsyncIterator[Any]:
    async for row in rows:
        yield row


async def _source(event: asyncio.Event) -> AsyncIterator[int]:
    yield 1
    await event.wait()


def _quiet() -> Iterator[int]:
    import flow

    yield 1
    flow.wait(asyncio.get_running_loop().create_future())


@cache
def _description() -> Any:
    """A description is made once, however many runs it has, and is no part of what a run holds."""
    import flow

    return flow.wrap(_quiet) | _plain | _plain


async def _flow_run() -> Any:
    """A source and two plain stages. Nobody asks for the next row."""
    rows = aiter(_description())
    await anext(rows)
    return rows


async def _flow_waiting() -> Any:
    """The same, and a task that waits for the next row."""
    return _wait(anext(await _flow_run()))


async def _native_waiting() -> Any:
    rows = _native(_native(_source(asyncio.Event())))
    await anext(rows)
    return _wait(anext(rows))


async def _aiostream_waiting() -> Any:
    from aiostream import stream

    def same(row: Any, *_: Any) -> Any:
        return row

    source = _source(asyncio.Event())
    streamer = stream.map(stream.map(stream.iterate(source), same), same).stream()  # type: ignore[arg-type, unused-ignore]
    await streamer.__aenter__()
    await anext(streamer)
    return _wait(anext(streamer))


async def _queues() -> Any:
    """What one writes by hand: a task for each of three steps, and a queue between each two."""
    first: asyncio.Queue[int] = asyncio.Queue(1)
    second: asyncio.Queue[int] = asyncio.Queue(1)
    there = asyncio.Event()

    async def source() -> None:
        await first.put(1)
        await asyncio.Event().wait()

    async def relay() -> None:
        while True:
            await second.put(await first.get())

    async def reader() -> None:
        while True:
            await second.get()
            there.set()

    tasks = [_wait(each()) for each in (source, relay, reader)]
    await there.wait()
    return tasks


async def _ended(awaitable: Awaitable[Any]) -> None:
    await awaitable


def _wait(awaitable: Awaitable[Any]) -> asyncio.Task[None]:
    return asyncio.get_running_loop().create_task(_ended(awaitable))


KINDS: dict[str, tuple[str, Callable[[], Awaitable[Any]]]] = {
    "flow": ("flow: a run of three stages, between two rows", _flow_run),
    "flow-waiting": ("flow: the same, a task waits for its next row", _flow_waiting),
    "native": ("native: three async generators, a task waits", _native_waiting),
    "aiostream": ("aiostream: iterate, map, map, a task waits", _aiostream_waiting),
    "queues": ("by hand: three tasks and two asyncio.Queues", _queues),
}


# --------------------------------------------------------------------------------------------------------------------
# Measuring


async def _held(opened: Callable[[], Awaitable[Any]], numbers: list[int]) -> dict[int, float]:
    """Bytes a chain, with so many of them open; the first ones stay open while the rest is opened."""
    chains = [await opened()]
    found: dict[int, float] = {}
    gc.collect()
    before = resident()
    for number in numbers:
        while len(chains) <= number:
            chains.append(await opened())
        await asyncio.sleep(0)  # the tasks of the last ones begin to wait
        gc.collect()
        found[number] = (resident() - before) / number
    return found


def _measure(quick: bool, tell: Tell) -> list[Figures]:
    numbers = QUICK if quick else NUMBERS
    found = []
    for kind, (name, _) in KINDS.items():
        tell(name)
        if kind == "aiostream" and not find_spec("aiostream"):
            found.append(Figures(name, trouble="not installed: pip install aiostream"))
            continue
        try:
            printed = fresh("-m", "bench.memory", kind, ",".join(map(str, numbers)), timeout=30)
            held: dict[str, float] = json.loads(printed)
        except Exception as error:
            found.append(failed(name, error))
            continue
        values = {_column(int(number)): each / 1000 for number, each in held.items()}
        goal = kind == "flow" and not quick
        found.append(within(name, values, _column(NUMBERS[-1]), GOAL, "KB") if goal else Figures(name, values))
    return found


def _column(number: int) -> str:
    return f"{number:,}"


MEMORY = Other(
    "memory",
    "KB that each of so many idle chains of three stages holds, in a process of its own",
    [_column(number) for number in NUMBERS],
    _measure,
)


def main() -> None:
    kind, numbers = sys.argv[1:]
    found = asyncio.new_event_loop().run_until_complete(
        _held(KINDS[kind][1], [int(number) for number in numbers.split(",")])
    )
    print(json.dumps(found), flush=True)
    os._exit(0)  # closing ten thousand chains is not what is measured, and takes longer


if __name__ == "__main__":
    main()
