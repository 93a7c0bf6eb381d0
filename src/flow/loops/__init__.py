"""Event loops: which one is running here, and a private one for a script. One file a loop; none is imported unused."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from ..core.instruction import Loop
from ..core.run import use_loops

if TYPE_CHECKING:
    import asyncio

    from ._asyncio import ScriptLoop

__all__ = ["awaiting", "private", "private_factory", "running"]

private_factory: ContextVar[Callable[[], asyncio.AbstractEventLoop] | None] = ContextVar(
    "flow.private_factory", default=None
)
"""Makes the private loop of a script; `flow.testing.virtual_time` puts a virtual one here."""


def running() -> Loop | None:
    """The loop that runs in this thread, as flow sees it; None in a script."""
    modules = sys.modules
    if "trio" in modules:
        from ._trio import loop_here as trio_here

        found: Loop | None = trio_here()
        if found is not None:
            return found
    loop = _asyncio_here() if "asyncio" in modules else None
    if loop is not None and _current_task(loop) is not None:
        return _loop_for(loop)
    if "twisted.internet.reactor" in modules:
        from ._twisted import loop_here as twisted_here

        found = twisted_here()
        if found is not None:
            return found
    return None if loop is None else _loop_for(loop)


def _asyncio_here() -> asyncio.AbstractEventLoop | None:
    """The loop of asyncio that runs in this thread. Where somebody has imported asyncio, the names that this module
    takes from there stand in its place from then on.
    """
    global _asyncio_here, _current_task, _loop_for
    asyncio = sys.modules["asyncio"]
    here: Callable[[], Any] | None = getattr(asyncio, "_get_running_loop", None)
    loop = None if here is None else here()  # None while it is being imported
    if loop is not None:
        from ._asyncio import loop_for

        _loop_for, _current_task = loop_for, asyncio.current_task
        _asyncio_here = asyncio._get_running_loop
    return loop


_loop_for: Callable[[Any], Loop]
_current_task: Callable[[Any], Any]


def awaiting() -> Loop | None:
    """The loop for a coroutine that runs now. A reactor counts before it runs, too: `task.react` starts its main so."""
    found = running()
    if found is None and "twisted.internet.reactor" in sys.modules:
        from ._twisted import loop_to_be

        return loop_to_be()
    return found


def private() -> ScriptLoop:
    """A loop for one run of a script."""
    from ._asyncio import ScriptLoop

    return ScriptLoop(private_factory.get())


class _Provider:
    running = staticmethod(running)
    awaiting = staticmethod(awaiting)
    private = staticmethod(private)


use_loops(_Provider())
