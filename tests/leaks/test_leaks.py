"""Memory and leftovers, measured in processes of their own: CONTRACT 20, 23 and 24.

Each case runs a while to warm up, then measures, runs on, and measures again. What it measured is printed, and shown
by pytest's -rP.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAD = """
import asyncio, gc, json, sys, threading, tracemalloc
sys.path[:0] = {path!r}
import flow

def rss():
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096
    except OSError:
        return 0

def fds():
    import os
    try:
        return len(os.listdir("/proc/self/fd"))
    except OSError:
        return 0

def more(rows):
    for row in rows:
        yield row + 1

async def relayed(rows):
    async for row in rows:
        yield row

def source():
    yield 1
    yield flow.Cooperate(0)
    yield 2
    yield 3

def failing():
    yield 1
    raise ValueError
"""


def measured(program: str, timeout: float = 55) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-c", HEAD.format(path=sys.path) + program],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, float] = json.loads(done.stdout)
    print(found)
    return found


FLAT = """
def endless():
    n = 0
    while True:
        yield n
        n += 1

STAGES = dict(
    plain=lambda: flow.wrap(endless) | more | more,
    short_forms=lambda: flow.wrap(endless).map(str).filter(len).enumerate().batched(10).flat_map(list),
    asynchronous=lambda: flow.wrap(endless) | relayed,
    merge=lambda: flow.Merge(endless, endless, flow.wrap(endless) | relayed),
    zip=lambda: flow.Zip(endless, endless),
    threaded=lambda: flow.Threaded(endless, limit=100),
    lines=lambda: flow.wrap(endless).map(lambda n: b"some text %d" % n + b"\\n" * (n % 3)) | flow.lines(),
    nested=lambda: flow.wrap(endless).flat_map(lambda n: flow.wrap([n])),
)

async def main():
    stage, rows = STAGES[sys.argv[1] if len(sys.argv) > 1 else NAME](), ROWS
    first = 0
    count = 0
    async for _ in stage:
        count += 1
        if count == rows // 4:
            gc.collect()
            first = rss()
        if count == rows:
            gc.collect()
            print(json.dumps({"rows": rows, "grown": rss() - first}))
            break

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("plain", 200_000),
        ("short_forms", 200_000),
        ("asynchronous", 50_000),
        ("merge", 100_000),
        ("zip", 50_000),
        ("threaded", 100_000),
        ("lines", 150_000),
        ("nested", 30_000),
    ],
)
def test_memory_is_flat(name: str, rows: int) -> None:
    """CONTRACT 20: after it has warmed up, a stage that goes on for ever grows by less than 1 MB."""
    assert measured(f"NAME, ROWS = {name!r}, {rows}\n" + FLAT)["grown"] < 1_000_000


IDLE = """
def three(rows):
    for row in rows:
        yield row

async def main():
    callbacks = [flow.Callback() for _ in range(10_000)]
    for callback in callbacks:
        callback.result(1)
    readers = [aiter(callback | three | three) for callback in callbacks]
    gc.collect()
    before = rss()
    for reader in readers:
        await anext(reader)
    gc.collect()
    print(json.dumps({"bytes": (rss() - before) / len(readers)}))
    for reader in readers:
        await reader.aclose()

asyncio.run(main())
"""


def test_an_idle_run_is_small() -> None:
    """CONTRACT 23: 10,000 idle runs hold under 12 KB each."""
    assert measured(IDLE)["bytes"] < 12_000


RUNS = """
async def end(stage):
    await stage

async def broken(stage):
    async for _ in stage:
        break

async def closed(stage):
    async with stage.open() as rows:
        await anext(rows)

async def failed(stage):
    try:
        await flow.Merge(stage, failing)
    except ValueError:
        pass

async def cancelled(stage):
    task = asyncio.ensure_future(end(stage))
    await asyncio.sleep(0)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        pass

async def timed_out(stage):
    try:
        async with asyncio.timeout(0):
            await stage
            await asyncio.sleep(0)
    except TimeoutError:
        pass

def shape(kind):
    if kind == "plain":
        return flow.wrap(source) | more
    if kind == "merge":
        return flow.Merge(source, source)
    if kind == "async":
        return flow.wrap(source) | relayed
    return flow.Threaded(lambda: iter([1, 2, 3]))

async def main():
    WAYS = [end, broken, closed, failed, cancelled, timed_out]
    async def some(count):
        for number in range(count):
            await WAYS[number % len(WAYS)](shape(KIND))
        await asyncio.sleep(0.01)
        gc.collect()
    await some(COUNT // 4)
    before = rss(), len(gc.get_objects()), fds(), threading.active_count(), len(asyncio.all_tasks())
    await some(COUNT)
    after = rss(), len(gc.get_objects()), fds(), threading.active_count(), len(asyncio.all_tasks())
    names = ["rss", "objects", "fds", "threads", "tasks"]
    print(json.dumps({name: b - a for name, a, b in zip(names, before, after)}))

asyncio.run(main())
"""


@pytest.mark.parametrize(("kind", "count"), [("plain", 6_000), ("merge", 4_000), ("async", 3_000), ("thread", 1_200)])
def test_runs_leave_nothing(kind: str, count: int) -> None:
    """CONTRACT 24: runs that were started and ended in every way leave no objects, descriptors, threads or tasks."""
    grown = measured(f"KIND, COUNT = {kind!r}, {count}\n" + RUNS)
    assert grown["objects"] < 100
    assert grown["rss"] < 1_500_000
    assert (grown["fds"], grown["threads"], grown["tasks"]) == (0, 0, 0)
