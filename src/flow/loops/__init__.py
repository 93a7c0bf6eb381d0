"""Event loops: which one is running here, and a private one for a script. One file a loop; none is imported unused."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextvars import ContextVar

from ..core.instruction import Loop
from ..core.run import use_loops
from ._asyncio import ScriptLoop, loop_for

__all__ = ["awaiting", "private", "private_factory", "running"]

private_factory: ContextVar[Callable[[], asyncio.AbstractEventLoop]] = ContextVar(
    "flow.private_factory", default=asyncio.new_event_loop
)
"""Makes the private loop of a script; `flow.testing.virtual_time` puts a virtual one here."""


def running() -> Loop | None:
    """The loop that runs in this thread, as flow sees it; None in a script."""
    if "trio" in sys.modules:
        from ._trio import loop_here as trio_here

        found: Loop | None = trio_here()
        if found is not None:
            return found
    loop = asyncio._get_running_loop()
    if loop is not None and asyncio.current_task(loop) is not None:
        return loop_for(loop)
    if "twisted.internet.reactor" in sys.modules:
        from ._twisted import loop_here as twisted_here

        found = twisted_here()
        if found is not None:
            return found
    return None if loop is None else loop_for(loop)


def awaiting() -> Loop | None:
    """The loop for a coroutine that runs now. A reactor counts before it runs, too: `task.react` starts its main so."""
    found = running()
    if found is None and "twisted.internet.reactor" in sys.modules:
        from ._twisted import loop_to_be

        return loop_to_be()
    return found


def private() -> ScriptLoop:
    """A loop for one run of a script."""
    return ScriptLoop(private_factory.get())


class _Provider:
    running = staticmethod(running)
    awaiting = staticmethod(awaiting)
    private = staticmethod(private)


use_loops(_Provider())
