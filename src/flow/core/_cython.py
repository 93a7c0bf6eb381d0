"""Stands in for `cython`, and for `_capi.pxd`, where a `_cy` file runs as it is. The compiler does not read it.

What may live here: the few names that the `_cy` files use. A decorator does nothing, and a C type is a word. What would
have to do something (`declare`, `cast`, `address`) is not here, so it can't be used outside ``if cython.compiled:``.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, TypeVar

from greenlet import getcurrent

__all__ = [
    "FLOW_SOURCE",
    "Py_ssize_t",
    "bint",
    "compiled",
    "double",
    "flow_getcurrent",
    "flow_inherit_next",
    "flow_send",
    "flow_switch",
    "flow_switch_to_parent",
    "locals",
]

F = TypeVar("F", bound=Callable[..., Any])

compiled: bool = False
"""True to the compiler, which drops the other branch."""

Py_ssize_t = bint = double = object


def locals(**types: Any) -> Callable[[F], F]:
    """The C types of arguments and variables."""
    return _as_it_is


def _as_it_is(function: F) -> F:
    return function


# --------------------------------------------------------------------------------------------------------------------
# What `_capi.pxd` has in C

FLOW_SOURCE = b""
"""The fingerprint of the text that a module was compiled from."""


def flow_send(source: Generator[Any, Any, Any], value: Any, ended: Any) -> Any:
    """What the generator yields when it is sent `value`, or `ended`."""
    try:
        return source.send(value)
    except StopIteration:
        return ended


flow_getcurrent: Callable[[], Any] = getcurrent
"""The greenlet that runs the caller."""


def flow_switch(greenlet: Any, arguments: tuple[Any, ...]) -> Any:
    """Switches to a greenlet, and gives what comes back."""
    return greenlet.switch(*arguments)


def flow_switch_to_parent(greenlet: Any, arguments: tuple[Any, ...]) -> Any:
    """Switches to the parent of a greenlet, which is the one that runs."""
    return greenlet.parent.switch(*arguments)


def flow_inherit_next(cls: type, base: type) -> None:
    """What a class in Python has from another one is as fast as it can be."""
