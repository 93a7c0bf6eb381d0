"""Scenarios that go wrong, each in one way: `reactors.py` must find all of them (`test_twisted_sockets.py`)."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Generator
from typing import Any

import flow

from .reactors import until
from .scenarios_endpoints import reactor_here
from .scenarios_tcp import HERE, echo, pair

LEFT: list[Any] = []


async def an_error() -> None:
    1 / 0


async def a_wait_that_never_ends() -> None:
    await until(lambda: False, "what nobody sends", 0.01)


async def a_timer() -> None:
    reactor_here().callLater(3600, LEFT.append, None)


async def a_listening_port() -> None:
    LEFT.append(await flow.listen(HERE, echo))


async def a_generator() -> None:
    def numbers() -> Generator[int]:
        yield 1
        yield 2

    LEFT.append(numbers())
    next(LEFT[-1])


async def a_run_that_is_not_over() -> None:
    LEFT.append(flow.Deferred(flow.wrap([flow.Cooperate(3600)])))


async def a_thread() -> None:
    LEFT.append(threading.Thread(target=threading.Event().wait, args=[10], name="left", daemon=True))
    LEFT[-1].start()


async def a_failure_that_nobody_expects() -> None:
    def fails(conn: Any) -> Generator[bytes]:
        raise ValueError("nobody expects it")
        yield

    found = await pair(fails)
    await until(lambda: found.peer.lost, "the reset")
    await found.close()


async def nothing() -> None:
    found = await pair(echo)
    await found.close()


SCENARIOS: list[Callable[[], Awaitable[None]]] = [
    an_error,
    a_wait_that_never_ends,
    a_timer,
    a_listening_port,
    a_generator,
    a_run_that_is_not_over,
    a_thread,
    a_failure_that_nobody_expects,
    nothing,
]
