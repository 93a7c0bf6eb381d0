"""Runs all cases on a real Twisted reactor, which can't be started twice in one process, and prints their logs as JSON.

    python -m tests.conformance.twisted_main default|asyncio

Its time is virtual: it jumps to the next delayed call when the reactor would sleep.
"""

from __future__ import annotations

import json
import sys
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .cases import Case

PATIENCE = 3.0
"""Real seconds for one case; its own time is virtual."""


def threads_work() -> bool:
    """Is a thread of a case alive? Then it gets some real time before virtual time jumps."""
    return any(thread.name.startswith(("flow ", "case")) for thread in threading.enumerate())


def virtual_reactor(kind: str) -> Any:
    """The reactor of that kind, installed, with a clock that jumps, and one of slices that goes on in steps."""
    from flow.testing.clock import Steps

    chosen = _virtual_reactor(kind)
    chosen.slice_clock = Steps()  # a busy machine ends no slice
    return chosen


def _virtual_reactor(kind: str) -> Any:
    if kind == "asyncio":
        from twisted.internet import asyncioreactor

        from flow.testing import VirtualLoop

        loop = VirtualLoop()
        own: Any = loop
        selector = own._selector
        jump = selector.select

        def select(timeout: float | None = None) -> Any:
            if timeout is not None and timeout > 0 and threads_work():
                found = selector._real.select(0.05)
                if found:
                    return found
            return jump(timeout)

        selector.select = select
        asyncioreactor.install(loop)  # type: ignore[no-untyped-call, unused-ignore]
        from twisted.internet import reactor

        chosen: Any = reactor
        chosen.seconds = loop.time
        return chosen
    from twisted.internet import reactor

    chosen = reactor
    inner = chosen.doIteration
    now = 0.0

    def iterate(timeout: float | None) -> None:
        nonlocal now
        if timeout is None or timeout <= 0:
            inner(timeout)
            return
        inner(0.05 if threads_work() else 0.001)  # what came from sockets and threads goes first
        if chosen.threadCallQueue:
            return
        left = chosen.timeout()
        if left is None:
            inner(None)
        elif left > 0:
            now += left

    chosen.seconds = lambda: now
    chosen.doIteration = iterate
    return chosen


def main(kind: str) -> None:
    reactor = virtual_reactor(kind)
    from twisted.internet import defer

    from .cases import CASES
    from .drivers import twisted_scene

    logs: dict[str, dict[str, Any]] = {"rows": {}, "Deferred": {}}
    failures: list[Any] = []

    async def one(case: Case, way: str) -> Any:
        """The log of a case; one that hangs, in real time, or fails outside of its reading must not stop the others."""
        outcome: defer.Deferred[Any] = defer.Deferred()

        def fire(found: Any) -> None:
            if not outcome.called:
                outcome.callback(found)

        twisted_scene(reactor, case, way).addBoth(fire)
        watch = threading.Timer(PATIENCE, reactor.callFromThread, [fire, [[None, "hung"]]])
        watch.daemon = True
        watch.start()
        try:
            return await outcome
        except Exception as error:
            return [[None, "failed", repr(error)]]
        finally:
            watch.cancel()

    async def run() -> None:
        for case in CASES.values():
            logs["rows"][case.name] = await one(case, "rows")
            if case.how in ("all", "cancel"):
                logs["Deferred"][case.name] = await one(case, "Deferred")

    def start() -> None:
        done = defer.Deferred.fromCoroutine(run())
        done.addErrback(failures.append)
        done.addBoth(lambda _: reactor.stop())

    reactor.callWhenRunning(start)
    reactor.run()
    if failures:
        sys.exit(failures[0].getTraceback())
    print(json.dumps({"reactor": type(reactor).__name__, "logs": logs}))


if __name__ == "__main__":
    main(sys.argv[1])
