"""`no_leaks` finds each kind of thing that can be left behind, names it, and lets pass what was there before."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import socket
import sys
import threading
import warnings
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import trio

import flow
from flow.testing import Leftover, Tracked, no_leaks, virtual_time

# What is left on purpose is cleaned up by each test itself; and who looks for leaks on a loop reads a folder there.
pytestmark = [pytest.mark.leaks_ok, pytest.mark.blocking_ok]


def rows() -> Iterator[Any]:
    yield 1
    yield flow.Cooperate(1)
    yield 2


async def numbers() -> AsyncIterator[int]:
    yield 1
    yield 2


def test_what_is_closed_passes() -> None:
    """Rows read, broken off, merged, in threads; in a script and on a loop."""

    async def main() -> None:
        async for _ in flow.Merge(rows, numbers, [1, 2]):
            break
        assert await flow.wrap(flow.Threaded(range(10))) == list(range(10))

    with virtual_time() as clock, no_leaks() as block:
        source = Tracked([1, 2, 3])
        block.sources.append(source)
        for _ in flow.wrap(source):
            break
        clock.run(main())


def test_a_run_that_is_open_is_named() -> None:
    """A run that somebody still holds."""
    held: list[Any] = []
    with virtual_time() as clock:

        async def main() -> None:
            reader = aiter(flow.wrap([1, 2]).map(str))
            held.append(reader)
            await anext(reader)

        with asyncio.Runner(loop_factory=clock.loop) as runner:
            with pytest.raises(Leftover, match=r"the run of wrap\(list\) \| map\(str\), which is not over"):
                with no_leaks(allow=["loops", "fds"]):
                    runner.run(main())
            runner.run(held.pop().aclose())


def test_a_source_that_is_open_is_named() -> None:
    """Those that it was given."""
    source = Tracked([1, 2], name="orders")
    reading = iter(source)
    next(reading)
    with pytest.raises(Leftover, match="<Tracked orders: opened 1, asked 1, closed 0>, which is not closed"):
        with no_leaks(source):
            pass
    reading.close()


def test_a_thread_is_named() -> None:
    """One that is on its last steps is waited for, one that goes on is named."""
    go_on = threading.Event()
    with no_leaks():
        threading.Thread(target=lambda: go_on.wait(0.05)).start()
    worker = threading.Thread(target=go_on.wait, name="my worker")
    with pytest.raises(Leftover, match="the thread 'my worker'"):
        with no_leaks():
            worker.start()
    go_on.set()
    worker.join()


def test_a_task_and_a_timer_are_named() -> None:
    """Those of the running loop, when the block is left."""

    async def main() -> None:
        before = asyncio.create_task(asyncio.sleep(3600))  # not its affair
        await asyncio.sleep(0)
        with pytest.raises(Leftover) as caught:
            async with no_leaks():
                task = asyncio.create_task(asyncio.sleep(50), name="forgotten")
                asyncio.get_running_loop().call_later(60, print)
                await asyncio.sleep(1)
        assert "the task <Task pending name='forgotten'" in str(caught.value)
        assert str(caught.value).count("the timer") == 2
        for each in (task, before):
            each.cancel()
        async with no_leaks():
            await asyncio.create_task(asyncio.sleep(1))

    with virtual_time() as clock:
        clock.run(main())


def test_what_is_just_about_to_end_may_end() -> None:
    """The async form gives the loop some turns: a task that was cancelled ends in them."""

    async def main() -> None:
        async with no_leaks():
            task = asyncio.create_task(asyncio.sleep(50))
            await asyncio.sleep(0)
            task.cancel()

    with virtual_time() as clock:
        clock.run(main())


def test_tasks_of_trio_are_named() -> None:
    """In a trio run: tasks that the block began, flow's own timers too."""

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            with pytest.raises(Leftover, match="the task <Task 'trio.sleep_forever'"):
                async with no_leaks():
                    nursery.start_soon(trio.sleep_forever)
            async with no_leaks():
                assert await flow.Merge(rows, rows) == [1, 1, 2, 2]
            nursery.cancel_scope.cancel()

    with virtual_time(loop="trio") as clock:
        clock.run(main())


def test_delayed_calls_of_a_reactor_are_named() -> None:
    """On Twisted a timer is a delayed call."""
    with virtual_time(loop="twisted") as clock, pytest.raises(Leftover, match="the timer <DelayedCall"):
        with no_leaks():
            clock.reactor.callLater(5, print)


def test_a_loop_and_its_descriptors_are_named() -> None:
    """An event loop that nobody closed."""
    with pytest.raises(Leftover, match="the event loop .*running=False closed=False") as caught:
        with no_leaks():
            loop = asyncio.new_event_loop()
    loop.close()
    assert "the file descriptor" in str(caught.value)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="no list of file descriptors")
def test_a_descriptor_is_named() -> None:
    """With what is behind it."""
    with pytest.raises(Leftover, match=r"the file descriptor \d+: socket:"):
        with no_leaks():
            ours, theirs = socket.socketpair()
    ours.close()
    theirs.close()


def test_an_async_generator_is_named() -> None:
    """One that was begun, and neither ended nor closed. One that was never begun holds nothing."""

    async def main() -> None:
        never = numbers()
        with pytest.raises(Leftover, match="the async generator numbers, neither finished nor closed"):
            async with no_leaks():
                begun = numbers()
                await anext(begun)
        await begun.aclose()
        await never.aclose()
        async with no_leaks():
            never = numbers()
            assert [number async for number in numbers()] == [1, 2]
        await never.aclose()

    with virtual_time() as clock:
        clock.run(main())


def test_warnings_of_things_not_closed_or_awaited_are_named() -> None:
    """ResourceWarning, and a coroutine that was never awaited; other warnings go where they would have gone."""
    with pytest.raises(Leftover, match="warnings: ResourceWarning: unclosed <socket"):
        with no_leaks():
            socket.socket()
    with pytest.raises(Leftover, match="warnings: RuntimeWarning: coroutine .* was never awaited"):
        with no_leaks():
            asyncio.sleep(1)
    with pytest.raises(UserWarning, match="mine"), no_leaks():
        warnings.warn("mine", stacklevel=1)
    with pytest.warns(UserWarning, match="mine"), no_leaks():
        warnings.warn("mine", stacklevel=1)


class Angry:
    def __del__(self) -> None:
        raise OSError("in __del__")


def test_exceptions_that_nobody_saw_are_named() -> None:
    """One that is raised where nothing can catch it, and that of a task that nobody awaited."""

    async def fail() -> None:
        raise OSError("in a task")

    async def main() -> None:
        task = asyncio.create_task(fail())
        await asyncio.sleep(1)
        del task

    with pytest.raises(Leftover, match=r"exceptions: OSError\('in __del__'\)"):
        with no_leaks():
            Angry()
    with virtual_time() as clock, pytest.raises(Leftover, match=r"was never retrieved: OSError\('in a task'\)"):
        with no_leaks():
            clock.run(main())


def test_an_error_of_the_block_is_the_news() -> None:
    """Its traceback holds on to what the block used: nothing is looked for."""
    go_on = threading.Event()
    worker = threading.Thread(target=go_on.wait)
    with pytest.raises(OSError, match="first"):
        with no_leaks():
            worker.start()
            raise OSError("first")
    go_on.set()
    worker.join()


def test_kinds_may_be_allowed() -> None:
    """By the words that the docstring has; another word is an error at once."""
    with no_leaks(allow="warnings"):
        asyncio.sleep(1)
        gc.collect()
    with no_leaks(allow=["fds", "loops"]):
        loop = asyncio.new_event_loop()
    loop.close()
    with pytest.raises(ValueError, match="not 'sockets'"):
        no_leaks(allow=["sockets"])


def test_everything_is_put_back() -> None:
    """Hooks and handlers are those of before, also after an error."""

    def hooks() -> tuple[Any, ...]:
        handlers = logging.getLogger("asyncio").handlers
        return sys.unraisablehook, warnings.showwarning, list(warnings.filters), list(handlers)

    before = hooks()
    for error in (None, OSError()):
        try:
            with no_leaks():
                if error is not None:
                    raise error
        except OSError:
            pass
        assert hooks() == before
