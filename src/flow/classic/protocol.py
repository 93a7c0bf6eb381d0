"""Protocols whose behaviour is a generator: the engine's, with the arguments and the connections of 2003."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Iterator
from functools import update_wrapper
from types import FunctionType, new_class
from typing import Any

from twisted.internet import protocol as _protocol

from ..core.scope import Scope
from ..core.source import is_a
from ..io import twisted_protocol as _twisted
from . import base as _base
from .base import *  # noqa: F403  # as in 2003: each module handed on what it was made of
from .base import Controller, Stage
from .stage import Callback
from .wrap import wrap

__all__ = ["Callback", "Protocol", "makeProtocol", "wrap"]
__all__ += _base.__all__


class Connection(Controller, _twisted.Conversation):
    """A connection with the members of a classic stage, and a controller that is read as `wrap` reads.

    It comes first in a protocol, and the classic `Stage` last, behind the base class.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        Stage.__init__(self)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        super().__init__(*args, **kwargs)

    def connectionMade(self) -> None:
        """Puts in place of the controller what the engine calls: the stage that `wrap` makes of it."""
        given: Any = self.controller
        found = inspect.getattr_static(type(self), "controller")
        is_method = is_a(found, FunctionType) and "controller" not in vars(self)

        def controller(*_conn: Any) -> Stage:
            return wrap(given() if is_method else given(self))

        named: Any = update_wrapper
        self.controller: Any = named(controller, given, ("__name__", "__qualname__"), ())
        base: Any = super()
        base.connectionMade()

    def rows(self, upstream: Any, scope: Scope) -> Iterator[Any]:
        base: Any = super()
        rows: Iterator[Any] = base.rows(upstream, scope)
        return self._trapped(rows) if self.flow_terms.trap else rows

    def _trapped(self, rows: Iterator[Any]) -> Generator[Any]:
        """A reason of a trapped type is the last row, as the class that matched; one that counts as a close is none."""
        for row in rows:
            reason: Any = self.reason
            if reason is None or row is not reason.value:
                yield row
            elif not isinstance(row, self.flow_terms.well):
                yield reason.check(*self.flow_terms.trap)


class Protocol(Connection, _twisted.Protocol, Stage):
    """A protocol to inherit from, or to be given a `controller`: see `makeProtocol`."""

    finishOnConnectionLost = True


def makeProtocol(
    controller: Callable[[Any], Any],
    baseClass: type[Any] = _protocol.Protocol,
    *callbacks: str,
    trap: Any = (),
    finishOnConnectionLost: bool = True,
    **options: Any,
) -> type[Any]:
    """Makes a Twisted protocol class out of a generator: ``factory.protocol = flow.makeProtocol(controller)``.

    For each connection ``controller(conn)`` is called, a function or a class, and what it gives is wrapped. What that
    yields is written; `conn` is the protocol, and a stage of what arrives, with the members of 2003. The input ends
    when the connection is closed, and with `finishOnConnectionLost` also when it is lost; a reason of another type in
    `trap` is the last row, as the class that matched. For the rest, and for `options`, see flow.makeProtocol.
    """
    made = _twisted.makeProtocol(
        controller, baseClass, *callbacks, trap=trap, finishOnConnectionLost=finishOnConnectionLost, **options
    )
    members = {"__module__": made.__module__, "__doc__": made.__doc__}
    return new_class(made.__name__, (Connection, made, Stage), {}, lambda names: names.update(members))
