"""What a call of a function would give: rows, rows to be awaited, one thing to be awaited.

`inspect` knows, and takes half as long to import as all of flow: it is loaded when a flow is first built. What may
live here: questions about functions, without calling them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inspect import Signature

__all__ = ["gives_async_rows", "gives_coroutines", "gives_rows", "signature_of"]


def gives_rows(f: Any) -> bool:
    """Is it a generator function?"""
    import inspect

    return inspect.isgeneratorfunction(f)


def gives_async_rows(f: Any) -> bool:
    """Is it an async generator function?"""
    import inspect

    return inspect.isasyncgenfunction(f)


def gives_coroutines(f: Any) -> bool:
    """Is it an async function?"""
    import inspect

    return inspect.iscoroutinefunction(f)


def signature_of(f: Callable[..., Any]) -> Signature:
    """Raises TypeError or ValueError where there is none to be found."""
    import inspect

    return inspect.signature(f)
