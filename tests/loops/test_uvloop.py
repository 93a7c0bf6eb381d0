"""uvloop: nothing of flow assumes more than asyncio's own API, so a few runs over real sockets and timers are enough
beside the conformance suite."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine
from typing import Any

import pytest

import flow
from flow.testing import Tracked, nothing_left

uvloop = pytest.importorskip("uvloop")


def run(main: Coroutine[Any, Any, Any], *, debug: bool = False) -> Any:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop, debug=debug) as runner:
        return runner.run(main)


@pytest.mark.parametrize("debug", [False, True])
def test_all_that_waits(debug: bool) -> None:
    """CONTRACT 12: timers, awaitables, threads and merges on uvloop."""

    async def fetch(n: int) -> int:
        await asyncio.sleep(0.001)
        return n

    async def main() -> Any:
        stage = flow.Merge(flow.Threaded(range(3)), flow.wrap([3, flow.Cooperate(0.001), 4]).map(fetch))
        return sorted(await stage)

    assert run(main(), debug=debug) == [0, 1, 2, 3, 4]
    nothing_left()


def test_a_real_socket() -> None:
    """CONTRACT 12: lines from a socket pair, by asyncio's streams."""

    async def main() -> Any:
        here, there = socket.socketpair()
        reader, _ = streams = await asyncio.open_connection(sock=here)
        there.sendall(b"one\ntwo\nthree")
        there.close()
        try:
            return await flow.wrap(reader)
        finally:
            streams[1].close()
            await streams[1].wait_closed()

    assert run(main()) == [b"one\n", b"two\n", b"three"]


def test_a_timeout() -> None:
    """CONTRACT 15: asyncio.timeout around a run."""
    source = Tracked(range(9), delay=5)

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await flow.wrap(source)
        assert source.is_closed

    run(main())
    nothing_left(source)
