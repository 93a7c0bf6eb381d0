"""Virtual time, on each loop and in each way to write a test: exact, repeatable, and never a hang."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
import unittest
from collections.abc import Callable, Generator
from typing import Any

import pytest

import flow
from flow.testing import Clock, Deadlock, VirtualLoop, VirtualTime, virtual_time

LOOPS = ["asyncio", "trio", "twisted"]
on_each = pytest.mark.parametrize("loop", LOOPS)


def ticks(name: str, seconds: float = 1, count: int = 3) -> Callable[[], Generator[Any]]:
    def ticking() -> Generator[Any]:
        for number in range(count):
            yield flow.Cooperate(seconds)
            yield f"{name}{number}"

    return ticking


async def merged() -> list[Any]:
    return [row async for row in flow.Merge(ticks("a"), ticks("b"), ticks("c"))]


async def stuck() -> None:
    async for _ in flow.Callback[int]():
        pass


@on_each
def test_hours_pass_at_once_and_exactly(loop: str) -> None:
    """An hour is 3,600 seconds, on every loop, and a script in the same block shares the clock."""
    began = time.monotonic()
    with virtual_time(loop=loop) as clock:

        async def main() -> list[Any]:
            return await flow.wrap(ticks("a", 3600))

        assert clock.time() == 0
        assert clock.run(main()) == ["a0", "a1", "a2"]
        assert clock.time() == 3 * 3600
        assert list(flow.wrap(["x", flow.Cooperate(5)])) == ["x"]
        assert clock.time() == 3 * 3600 + 5
        clock.run(main())
        assert clock.time() == 6 * 3600 + 5
    assert time.monotonic() - began < 30


@on_each
def test_a_wait_for_ever_is_a_deadlock(loop: str) -> None:
    """Where nothing can ever happen, Deadlock is raised; the clock can be used again."""
    with virtual_time(loop=loop) as clock:
        with pytest.raises(Deadlock, match="nothing can ever happen"):
            clock.run(stuck())
        assert sorted(clock.run(merged())) == [f"{name}{number}" for name in "abc" for number in range(3)]


@on_each
def test_what_main_raises_is_raised(loop: str) -> None:
    """An error, with its type and instance."""
    error = ValueError("mine")

    async def main() -> None:
        raise error

    with virtual_time(loop=loop) as clock, pytest.raises(ValueError, match="mine") as caught:
        clock.run(main())
    assert caught.value is error


@on_each
def test_the_same_seed_gives_the_same_order(loop: str) -> None:
    """Chaos repeats: the order of a merge depends on the seed and on nothing else; without one it is always the same.

    (Timers of trio's that are due at the same instant come in an order of trio's own: here each has its own.)
    """

    async def main() -> list[Any]:
        return await flow.Merge(ticks("a", 1), ticks("b", 1.0001), ticks("c", 1.0002))

    def order(seed: int | None) -> tuple[Any, ...]:
        with virtual_time(seed, loop=loop) as clock:
            return tuple(clock.run(main()))

    runs = [order(seed) for seed in range(12)]
    assert runs == [order(seed) for seed in range(12)]
    assert len(set(runs)) > 1
    assert order(None) == order(None)


@on_each
def test_time_waits_for_a_thread(loop: str) -> None:
    """A thread of flow's gets the real time that it needs: a timer beside it does not jump ahead of its rows."""

    def slowly() -> Generator[int]:
        for number in range(3):
            time.sleep(0.01)
            yield number

    async def main() -> list[Any]:
        return [row async for row in flow.Merge(flow.Threaded(slowly), [flow.Cooperate(3600), "late"])]

    with virtual_time(loop=loop) as clock:
        assert clock.run(main()) == [0, 1, 2, "late"]


@pytest.mark.parametrize("seed", [1, 2])
@on_each
def test_a_deadlock_is_found_under_a_seed_too(loop: str, seed: int) -> None:
    """A seed changes the order, not what can happen."""
    with virtual_time(seed, loop=loop) as clock, pytest.raises(Deadlock):
        clock.run(stuck())


# ------------------------------------------------------------------------------------------------------------------
# The ways to write a test


class InUnittest(unittest.TestCase):
    """What a user of unittest writes."""

    def test_a_flow(self) -> None:
        with virtual_time() as clock:
            assert list(flow.wrap(ticks("a"))) == ["a0", "a1", "a2"]
            assert clock.time() == 3

    def test_a_coroutine(self) -> None:
        with virtual_time() as clock:
            assert len(clock.run(merged())) == 9


def test_it_serves_unittest() -> None:
    """Plain unittest needs nothing but the block."""
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(InUnittest).run(result)
    assert result.testsRun == 2
    assert result.wasSuccessful(), result.failures + result.errors


@pytest.mark.skipif(sys.version_info < (3, 13), reason="IsolatedAsyncioTestCase.loop_factory came with Python 3.13")
def test_it_serves_unittest_with_coroutines() -> None:
    """``loop_factory = VirtualLoop`` gives a test case of coroutines virtual time."""

    class Coroutines(unittest.IsolatedAsyncioTestCase):
        loop_factory = VirtualLoop

        async def test_a_flow(self) -> None:
            began = asyncio.get_running_loop().time()
            assert await flow.wrap(ticks("a", 60)) == ["a0", "a1", "a2"]
            assert asyncio.get_running_loop().time() - began == 180

    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(Coroutines).run(result)
    assert result.testsRun == 1
    assert result.wasSuccessful(), result.failures + result.errors


def test_it_needs_no_test_framework() -> None:
    """``import flow.testing`` imports neither pytest nor an extra of it, and neither trio nor Twisted."""
    others = ["pytest", "_pytest", "pytest_asyncio", "anyio", "hypothesis", "trio", "twisted", "unittest"]
    code = (
        "import sys, flow, flow.testing\n"
        "with flow.testing.virtual_time() as clock: assert list(flow.wrap([flow.Cooperate(9), 1])) == [1]\n"
        f"print([each for each in {others} if each in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert (found.stdout.strip(), found.stderr) == ("[]", "")


def test_a_missing_library_is_named() -> None:
    """Where trio or Twisted is not installed, the error has the command that installs it."""
    code = (
        "import sys\nsys.modules['trio'] = sys.modules['twisted'] = None\n"
        "import flow\nfrom flow.testing import virtual_time\n"
        "for loop in ('trio', 'twisted'):\n"
        "    try: virtual_time(loop=loop)\n"
        "    except flow.MissingExtraError as error: print(error)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert "pip install 'coopflow[trio]'" in found.stdout, found.stderr
    assert "pip install 'coopflow[twisted]'" in found.stdout, found.stderr


def test_inside_a_loop_it_says_what_to_write() -> None:
    """clock.run() where a loop runs is refused, and the coroutine is closed: no warning of it comes."""

    async def main() -> None:
        with virtual_time() as clock, pytest.raises(flow.LoopRunningError, match="make the test a plain function"):
            clock.run(merged())

    asyncio.run(main())


def test_wrong_arguments_fail_at_once() -> None:
    """CONTRACT 22: another loop, or a seed that is no whole number."""
    with pytest.raises(ValueError, match=r'virtual_time\(loop\) must be "asyncio", "trio" or "twisted"'):
        virtual_time(loop="gevent")
    for seed in (1.5, "1", True):
        with pytest.raises(TypeError, match=r"virtual_time\(seed\)"):
            virtual_time(seed)  # type: ignore[call-overload]


# ------------------------------------------------------------------------------------------------------------------
# Each loop by itself


def test_trio_is_trio() -> None:
    """Cancel scopes, nurseries and trio's own sleep work, on the same clock."""
    import trio

    async def main() -> list[Any]:
        got: list[Any] = []
        with trio.move_on_after(2.5) as scope:
            async for row in flow.wrap(ticks("a")):
                got.append((row, trio.current_time()))
        assert scope.cancelled_caught
        await trio.sleep(10)
        return got

    with virtual_time(loop="trio") as clock:
        assert clock.run(main()) == [("a0", 1), ("a1", 2)]
        assert clock.time() == 12.5


def test_a_deadlock_behind_a_shield_is_raised_there() -> None:
    """A cleanup that waits for ever behind trio's shield is a deadlock, too, though no cancel can reach it."""
    import trio

    async def main() -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep_forever()

    with virtual_time(loop="trio") as clock, pytest.raises(Deadlock, match="behind a shield"):
        clock.run(main())


def test_trio_is_left_as_it_was() -> None:
    """What orders trio's tasks is put back after the block."""
    import trio

    inside: Any = trio._core._run
    before = inside._r, inside._ALLOW_DETERMINISTIC_SCHEDULING
    with virtual_time(3, loop="trio") as clock:
        clock.run(merged())
    assert (inside._r, inside._ALLOW_DETERMINISTIC_SCHEDULING) == before


def test_the_reactor_is_a_clock() -> None:
    """`flow.Deferred`, deferLater and callLater with the block's reactor, and with the global one, see its time."""
    from twisted.internet import task

    with virtual_time(loop="twisted") as clock:
        from twisted.internet import reactor

        assert reactor is clock.reactor
        assert clock.run(flow.Deferred(ticks("a", 60))) == ["a0", "a1", "a2"]
        assert clock.time() == 180
        assert clock.run(task.deferLater(clock.reactor, 20, str, 7)) == "7"
        called: list[float] = []
        clock.reactor.callLater(5, lambda: called.append(clock.time()))
        clock.reactor.advance(5)
        assert called == [205]
    assert sys.modules.get("twisted.internet.reactor") is not clock.reactor


def test_a_thread_may_call_the_reactor() -> None:
    """callFromThread is what a thread does on any reactor."""
    from twisted.internet import defer

    with virtual_time(loop="twisted") as clock:
        done: defer.Deferred[int] = defer.Deferred()
        thread = threading.Thread(target=lambda: clock.reactor.callFromThread(done.callback, 3), name="flow test")
        thread.start()
        assert clock.run(done) == 3
        thread.join()


def test_a_timer_is_never_early() -> None:
    """Who waits until a time is woken at that time or later, however its seconds add up, also while others are busy."""

    async def main() -> int:
        loop = asyncio.get_running_loop()
        busy = asyncio.ensure_future(asyncio.sleep(0))
        until, rounds = 0.1 + 0.2 + 0.3, 0
        for seconds in (0.1, 0.2, 0.3):
            await asyncio.sleep(seconds)
        while loop.time() < until:
            rounds += 1
            loop.call_later(until - loop.time(), lambda: None)
            busy = asyncio.ensure_future(asyncio.sleep(0))
            await busy
            assert rounds < 100
        return rounds

    with virtual_time() as clock:
        clock.run(main())
        noise = flow.wrap(flow.Cooperate(0.1) for _ in range(200))
        assert list(flow.Merge(flow.wrap([1, flow.Cooperate(0.25), 2]).delay(1), noise)) == [1, 2]


def test_loops_may_share_a_clock() -> None:
    """Two asyncio loops, one after the other, on one Clock."""
    clock = Clock()
    for expected in (10, 20):
        with asyncio.Runner(loop_factory=lambda: VirtualLoop(clock)) as runner:
            runner.run(asyncio.sleep(10))
        assert clock.time == expected
    assert VirtualTime().time() == 0


def test_no_early_jump_beside_a_thread() -> None:
    """While a thread works time stands still, also where a seed lets it jump early: its row would come late."""

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        timer = loop.call_later(3600, lambda: None)
        loop.hold()
        for _ in range(100):
            await asyncio.sleep(0)
        assert loop.time() == 0
        loop.release()
        timer.cancel()

    for seed in range(5):
        with virtual_time(seed) as clock:
            clock.run(main())
