"""trio: cancel scopes around a run and inside of one, cleanups behind a shield with a deadline, interrupts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Generator, Iterable
from typing import Any

import pytest

import flow
from flow.testing import Tracked, nothing_left

trio = pytest.importorskip("trio")
pytest.importorskip("trio.testing")


def run(main: Callable[[], Any]) -> Any:
    return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


async def collect(stage: Any) -> Any:
    return await stage


def test_a_scope_around_a_run() -> None:
    """CONTRACT 15: a cancel scope around a run ends it at its wait; its cleanup waits behind a shield."""
    source = Tracked(range(9), delay=1, cleanup=2)
    got = []

    async def main() -> float:
        with trio.move_on_after(2.5) as scope:
            async for row in flow.wrap(source):
                got.append(row)
        assert scope.cancelled_caught
        assert source.is_closed
        return float(trio.current_time())

    started = run_from_zero(main)
    assert got == [0, 1]
    assert started == 4.5
    nothing_left(source)


def run_from_zero(main: Callable[[], Any]) -> float:
    async def measured() -> float:
        start = trio.current_time()
        return float(await main() - start)

    return float(run(measured))


def test_a_scope_inside_a_plain_stage() -> None:
    """CONTRACT 15: ``with trio.move_on_after`` in a plain stage ends the waits in it, and the run goes on."""

    def stage(rows: Iterable[int]) -> Generator[str]:
        for row in rows:
            with trio.move_on_after(1) as scope:
                flow.sleep(row)
            yield "late" if scope.cancelled_caught else "in time"

    async def main() -> Any:
        return await (flow.wrap([0.5, 3, 0.25]) | stage)

    assert run(main) == ["in time", "late", "in time"]


def test_fail_after_inside_an_async_map() -> None:
    """CONTRACT 15: trio.fail_after round what an async map awaits raises TooSlowError at its place."""

    async def fetch(n: int) -> int:
        with trio.fail_after(1):
            await trio.sleep(n)
        return n

    async def main() -> None:
        with pytest.raises(trio.TooSlowError):
            await flow.wrap([0, 3]).map(fetch)

    run(main)


def test_a_cleanup_has_a_deadline() -> None:
    """CONTRACT 15: a cleanup that goes on waiting after a cancel is ended, and the error names the place."""

    def stubborn() -> Generator[int]:
        try:
            yield 1
            flow.sleep(9)
        finally:
            flow.sleep(3600)

    async def main() -> float:
        with pytest.raises(flow.CleanupTimeoutError, match="stubborn.*test_trio.py, line"):
            with trio.move_on_after(1):
                await flow.wrap(stubborn)
        return float(trio.current_time())

    assert run_from_zero(main) == 6


def test_a_cleanup_after_a_break_needs_no_deadline() -> None:
    """CONTRACT 14: leaving the scope of a run waits for its cleanups, which nothing has cancelled."""
    source = Tracked(range(9), cleanup=60)

    async def main() -> float:
        async with flow.wrap(source).open() as rows:
            assert await anext(rows) == 0
        assert source.is_closed
        return float(trio.current_time())

    assert run_from_zero(main) == 60


def test_the_cleanup_of_an_async_stage_shields_itself() -> None:
    """An async stage is trio's own code: its ``finally`` awaits behind a shield of its own, and is waited for."""
    log = []

    async def stage(rows: Any) -> AsyncIterator[int]:
        try:
            async for row in rows:
                yield row
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(1)
            log.append("stage is closed")

    source = Tracked(range(99), delay=1)

    async def main() -> None:
        async with (flow.wrap(source) | stage).open() as rows:
            assert await anext(rows) == 0
        log.append("left")

    run(main)
    assert log == ["stage is closed", "left"]
    nothing_left(source)


def test_what_a_branch_awaits_is_over_before_control_returns() -> None:
    """CONTRACT 14: the task in which a merged input awaits is over when the run is."""
    log = []

    async def fetch(n: int) -> int:
        try:
            await trio.sleep(9)
        finally:
            log.append("fetch is closed")
        return n

    async def main() -> None:
        with trio.move_on_after(1):
            await flow.Merge(flow.wrap([1]).map(fetch), Tracked([1], delay=9))
        log.append("left")
        await trio.sleep(1)

    run(main)
    assert log == ["fetch is closed", "left"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("merged", [False, True])
def test_an_interrupt_reaches_the_caller(error: type[BaseException], merged: bool) -> None:
    """CONTRACT 18: KeyboardInterrupt and SystemExit end the run and reach the caller."""
    source = Tracked(range(3))

    def interrupts(rows: Iterable[int]) -> Generator[int]:
        for row in rows:
            if row == 1:
                raise error("now")
            yield row

    async def main() -> None:
        stage = flow.wrap(source) | interrupts
        if merged:
            stage = flow.Merge(stage, Tracked([1], delay=9))
        async for _ in stage:
            pass

    with pytest.raises(error, match="now"):
        run(main)
    nothing_left(source)


def test_two_readers_at_once() -> None:
    """CONTRACT 7: BusyError for the second of two tasks that ask one run at the same time."""

    async def main() -> Any:
        got = []
        async with flow.wrap(Tracked(range(3), delay=1)).open() as rows:

            async def first() -> None:
                got.append(await anext(rows))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(first)
                await trio.sleep(0.5)
                with pytest.raises(flow.BusyError):
                    await anext(rows)
            return got + [row async for row in rows]

    assert run(main) == [0, 1, 2]


def test_a_plain_for_on_a_running_loop() -> None:
    """LoopRunningError names trio, and what to write."""

    async def main() -> None:
        with pytest.raises(flow.LoopRunningError, match=r"\(trio\). Write `async for row in stage`"):
            list(flow.wrap([1]))
        with pytest.raises(flow.NotReadyError, match="write `await` instead"):
            flow.sleep(1)

    run(main)


def test_many_orders() -> None:
    """CONTRACT 1, 12: trio runs what is ready in a random order; the rows of each input keep theirs."""

    async def main() -> Any:
        inputs = [Tracked([(n, m) for m in range(5)], delay=1) for n in range(5)]
        return await flow.Merge(*inputs)

    for _ in range(20):
        rows = run(main)
        assert sorted(rows) == [(n, m) for n in range(5) for m in range(5)]
        for n in range(5):
            assert [m for k, m in rows if k == n] == list(range(5))
