"""Virtual time for a block of code: hours pass in milliseconds, exactly. For scripts, asyncio, trio and Twisted.

What may live here: the block itself, and virtual time on asyncio. trio's and Twisted's are in files of their own, which
are imported when they are asked for.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Generator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from ..errors import LoopRunningError, MissingExtraError
from ..loops import private_factory
from ..loops._virtual import READ, Clock, VirtualLoop

if TYPE_CHECKING:
    from .twisted_time import TwistedTime

__all__ = ["Steps", "VirtualTime", "threads_work", "virtual_here", "virtual_time"]

T = TypeVar("T")


class VirtualTime:
    """The clock of a ``with virtual_time()`` block: what `time` it is, and `run`, which runs a coroutine on it.

    `seed` is the one that the block was given. Where the block is one for asyncio, `loop` makes further loops that
    share the clock.

        with virtual_time() as clock:
            assert clock.run(asyncio.sleep(60, "late")) == "late"
            assert clock.time() == 60
    """

    def __init__(self, seed: int | None = None) -> None:
        self.clock = Clock()
        self.seed = seed

    def time(self) -> float:
        """Seconds that have passed, virtually."""
        return self.clock.time

    def loop(self) -> VirtualLoop:
        """A new asyncio loop on this clock."""
        return VirtualLoop(self.clock, self.seed)

    def run(self, main: Coroutine[Any, Any, T], *, debug: bool = False) -> T:
        """Runs a coroutine to its end, as ``asyncio.run`` (``trio.run``, ``task.react``) does, on this clock.

        `debug`: asyncio's debug mode. Raises Deadlock where everything waits for ever, and LoopRunningError in a
        coroutine, where a loop runs already.
        """
        refuse_a_running_loop(main)
        with asyncio.Runner(loop_factory=self.loop, debug=debug) as runner:
            return runner.run(main)

    @contextmanager
    def installed(self) -> Generator[None]:
        """Makes this the clock of the flows that scripts read."""
        token = private_factory.set(self.loop)
        here = _here.set(self)
        try:
            yield
        finally:
            _here.reset(here)
            private_factory.reset(token)


_here: ContextVar[VirtualTime | None] = ContextVar("flow.testing.virtual_time", default=None)


def virtual_here() -> VirtualTime | None:
    """The clock of the innermost ``with virtual_time()`` block."""
    return _here.get()


@overload
def virtual_time(
    seed: int | None = ..., *, loop: Literal["asyncio", "trio"] = ...
) -> AbstractContextManager[VirtualTime]: ...
@overload
def virtual_time(seed: int | None = ..., *, loop: Literal["twisted"]) -> AbstractContextManager[TwistedTime]: ...
@overload
def virtual_time(seed: int | None = ..., *, loop: str) -> AbstractContextManager[VirtualTime]: ...
def virtual_time(seed: int | None = None, *, loop: str = "asyncio") -> Any:
    """Lets flows in scripts and in ``clock.run(main())`` see a clock that moves only when all wait.

    `loop` is what ``clock.run`` runs on: "asyncio", "trio", or "twisted" (a reactor without sockets, which is the
    global one as long as the block lasts). With a `seed`, what is ready is shuffled and time sometimes jumps early,
    repeatably: races show. Raises Deadlock where a flow would wait for ever. Raises ValueError or TypeError at once for
    another loop or a seed that is no whole number, and MissingExtraError where the loop's library is not installed.

        with virtual_time() as clock:
            rows = list(flow.wrap(["a", flow.Cooperate(3600), "b"]))
            assert rows == ["a", "b"] and clock.time() == 3600
    """
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
        raise TypeError(f"virtual_time(seed) must be a whole number or None, not {type(seed).__name__}")
    return _block(_made(loop, seed))


@contextmanager
def _block(time: VirtualTime) -> Generator[VirtualTime]:
    with time.installed():
        yield time


def _made(loop: str, seed: int | None) -> VirtualTime:
    if loop == "asyncio":
        return VirtualTime(seed)
    if loop not in ("trio", "twisted"):
        raise ValueError(f'virtual_time(loop) must be "asyncio", "trio" or "twisted", not {loop!r}')
    try:
        if loop == "trio":
            from .trio_time import TrioTime

            return TrioTime(seed)
        from .twisted_time import TwistedTime

        return TwistedTime(seed)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("trio", "twisted", "zope"):
            raise
        text = f"virtual_time(loop={loop!r}) needs {loop}: pip install 'coopflow[{loop}]'"
        raise MissingExtraError(text) from error


def refuse_a_running_loop(main: Any) -> None:
    """Virtual time has a loop of its own, which can't run inside another one."""
    if asyncio._get_running_loop() is not None:
        if asyncio.iscoroutine(main):
            main.close()
        raise LoopRunningError(
            "clock.run() was called where an asyncio loop runs: make the test a plain function, which calls "
            "clock.run(main()), or run the whole of it on a flow.testing.VirtualLoop"
        )


class Steps:
    """A clock of slices that counts how often it is read: slices end at the same place in each run."""

    def __init__(self) -> None:
        self._reads = 0

    def __call__(self) -> float:
        self._reads += 1
        return self._reads * READ


def threads_work() -> bool:
    """Is a thread of flow alive, or one of a pool of trio's or Twisted's? It gets real time before virtual time jumps.

    (flow's threads tell a virtual asyncio loop exactly when they work; others can't be told from idle ones.)
    """
    return any(each.name.startswith("flow ") for each in threading.enumerate())
