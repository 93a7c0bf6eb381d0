"""A script: waits, the private loop, async stages in a plain ``for``, threads, and where a wait has no place."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Generator, Iterable
from typing import Any

import pytest

import flow
from flow.loops import private_factory
from flow.testing import Tracked, nothing_left, virtual_time


class Counting:
    """Makes private loops, and keeps them, so that their end can be seen."""

    def __init__(self) -> None:
        self.made: list[asyncio.AbstractEventLoop] = []

    def __call__(self) -> asyncio.AbstractEventLoop:
        self.made.append(asyncio.new_event_loop())
        return self.made[-1]


@pytest.fixture
def loops() -> Any:
    counting = Counting()
    token = private_factory.set(counting)
    yield counting
    private_factory.reset(token)


def test_the_private_loop_is_closed_at_every_end(loops: Counting) -> None:
    """CONTRACT 14: the loop of a script's run is closed with it: at the end, after a break, after a failure."""
    waiting = flow.wrap([1, flow.Cooperate(0), 2])
    assert list(waiting) == [1, 2]
    for row in waiting:
        if row == 2:
            break
    with pytest.raises(ValueError, match="no"):
        list(flow.wrap(Tracked([1], delay=0.001, fail=ValueError("no"))))
    with waiting.open() as rows:
        next(rows), next(rows)
    assert len(loops.made) >= 4
    assert all(loop.is_closed() for loop in loops.made)


def test_a_script_that_never_waits_needs_no_loop() -> None:
    """A run without a wait makes no loop."""
    counting = Counting()
    before = asyncio.new_event_loop
    try:
        asyncio.new_event_loop = counting  # type: ignore[assignment]
        assert list(flow.wrap(range(3)).map(str) | sorted) == ["0", "1", "2"]
    finally:
        asyncio.new_event_loop = before
    assert not counting.made


def test_a_wait_in_the_body_of_the_readers_loop() -> None:
    """Between two rows a script is outside the run: a wait there raises NotReadyError, and says where it belongs."""
    for _ in flow.wrap([1]):
        with pytest.raises(flow.NotReadyError, match="outside a running flow"):
            flow.sleep(0)


def test_an_async_stage_in_a_plain_for() -> None:
    """CONTRACT 12: an async stage works in a plain ``for``, and is closed by a break, without a warning."""
    log = []

    async def stage(rows: Any) -> AsyncIterator[Any]:
        try:
            async for row in rows:
                await asyncio.sleep(1)
                yield row
        finally:
            await asyncio.sleep(1)
            log.append("closed")

    source = Tracked(range(100))
    with virtual_time() as clock:
        got = []
        for row in flow.wrap(source) | stage:
            got.append(row)
            if row == 2:
                break
        log.append("left")
        assert got == [0, 1, 2]
        assert log == ["closed", "left"]
        assert clock.time() == 4
    nothing_left(source)


def test_a_script_inside_a_thread() -> None:
    """Many scripts at once, each in a thread of its own: each has its own loop."""
    got: dict[int, list[Any]] = {}

    def work(n: int) -> None:
        got[n] = list(flow.Merge(Tracked([n, n], delay=0.002), Tracked([-n], delay=0.003)))

    threads = [threading.Thread(target=work, args=(n,), name=f"script {n}") for n in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert {n: sorted(rows) for n, rows in got.items()} == {n: [-n, n, n] for n in range(1, 9)}


@pytest.mark.blocking_ok
def test_a_script_in_a_worker_thread_of_a_loop() -> None:
    """A script that a loop's ``to_thread`` runs blocks its thread only."""

    async def main() -> Any:
        return await asyncio.to_thread(lambda: list(flow.wrap([1, flow.Cooperate(0.001), 2])))

    assert asyncio.run(main()) == [1, 2]


def test_an_error_that_the_script_handles_is_its_own() -> None:
    """A script that reads while it handles an error waits as usual: that error is no cancel of the run."""
    with virtual_time() as clock:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            assert list(flow.wrap(["a", flow.Cooperate(60), "b"])) == ["a", "b"]
        assert clock.time() == 60


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("merged", [False, True])
def test_an_interrupt_reaches_the_caller(error: type[BaseException], merged: bool) -> None:
    """CONTRACT 18: KeyboardInterrupt and SystemExit end the run and reach the caller, after cleanups that wait."""
    source = Tracked(range(3), cleanup=1)

    def interrupts(rows: Iterable[int]) -> Generator[int]:
        for row in rows:
            if row == 1:
                raise error("now")
            yield row

    with virtual_time():
        stage = flow.wrap(source) | interrupts
        with pytest.raises(error, match="now"):
            list(flow.Merge(stage, Tracked([1], delay=9)) if merged else stage)
    nothing_left(source)


def test_an_interrupt_in_a_wait() -> None:
    """CONTRACT 18: an interrupt that comes while the thread waits closes the run, and reaches the caller."""
    source = Tracked([1, 2], delay=5)

    def interrupt() -> None:
        raise KeyboardInterrupt

    class Interrupted(flow.CallLater):
        def callLater(self, resume: Any) -> Any:
            return resume.loop.call_later(1, interrupt)

    def stage(rows: Iterable[int]) -> Generator[int]:
        for row in rows:
            flow.wait(Interrupted())
            yield row

    with virtual_time():
        with pytest.raises(KeyboardInterrupt):
            list(flow.wrap(source) | stage)
    nothing_left(source)


# --------------------------------------------------------------------------------------------------------------------
# flow.Block


def test_a_block_is_one_run() -> None:
    """CONTRACT 2, 4: nothing runs before the first row; a second `for` goes on where the first one stopped."""
    source = Tracked([1, 2, 3, 4])
    rows = flow.Block(source)
    assert source.opened == 0
    assert next(rows) == 1
    for row in rows:
        if row == 2:
            break
    assert list(rows) == [3, 4]
    assert list(rows) == []
    assert source.opened == source.closed == 1


def test_a_block_waits() -> None:
    """It reads every stage that a `for` does, those that wait included; a trap gives the instance."""

    def failing() -> Generator[Any]:
        yield "a"
        yield flow.Cooperate(0)
        raise OSError("x")

    assert list(map(repr, flow.Block(failing, OSError))) == ["'a'", "OSError('x')"]


def test_a_block_is_closed() -> None:
    """CONTRACT 14: `close()` and `with` close the run, its cleanups included, once; then there are no rows."""
    source = Tracked([1, 2, 3], cleanup=0)
    with flow.Block(source) as rows:
        assert next(rows) == 1
    assert source.closed == 1
    rows.close()
    assert list(rows) == []
    never = Tracked([1])
    flow.Block(never).close()
    assert never.opened == 0


def test_a_block_refuses_a_running_loop() -> None:
    """CONTRACT 11: where a loop runs it would block it; the error says what to write."""

    async def main() -> None:
        with pytest.raises(flow.LoopRunningError, match="async for"):
            next(flow.Block([1]))

    asyncio.run(main())
