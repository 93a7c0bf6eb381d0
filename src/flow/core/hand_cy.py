# cython: annotation_typing=False
"""Rows from stack to stack: the short way of a row from the micro-thread that made it to the coroutine that reads.

A row that is ready takes two switches of stacks, to the chain and back, and nothing that is Python between them:
`hand_over` runs on the chain's stack, `Taker._take` on the reader's, and the row lies in a `Place` meanwhile. It is
written to be compiled as it stands, and to run as it stands: what a `_cy` file must keep to is in `pull_cy.py`. The
fields of the classes are declared in `hand_cy.pxd`.

What may live here: what is done for every row that is handed from one stack to another. Waits, ends and failures take
the long way, which is in `reader.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .microthread import ROW

try:
    from . import _cython as cython
except ModuleNotFoundError:  # never, but the compiler must see an import of this name
    if TYPE_CHECKING:
        raise
    else:
        import cython
if TYPE_CHECKING or not cython.compiled:
    from ._cython import FLOW_SOURCE, flow_getcurrent, flow_switch, flow_switch_to_parent
else:
    from cython.cimports.flow.core._capi import FLOW_SOURCE, flow_getcurrent, flow_switch, flow_switch_to_parent

__all__ = ["BUILT_FROM", "LATER", "Place", "Taker", "hand_over"]

BUILT_FROM: str = FLOW_SOURCE.decode()
"""Where this is compiled: the fingerprint of the text that it was compiled from (see `flow._build`)."""


class _Later:
    def __repr__(self) -> str:
        return "LATER"


_LATER: Any = _Later()  # a variable of C

LATER = _LATER
"""What `Taker._take` gives in place of a row, when the long way must be taken."""

_NONE: tuple[Any, ...] = (None,)
_ROW: tuple[Any, ...] = (ROW,)


class Place:
    """Where the main strand of a run puts a row for its reader; `ready` are rows behind it, which may be taken, too."""

    __slots__ = ("ready", "row")

    def __init__(self) -> None:
        self.row: Any = None
        self.ready: Iterator[Any] | None = None


class Taker:
    """The reader's side. While `_thread` is there, the run is paused at a row that was taken, a step of it comes back
    to `_hub`, and nothing else is the case: whoever changes that takes it away. `_ready` are rows that may be taken
    before that.
    """

    __slots__ = ("_came", "_hub", "_place", "_ready", "_thread")

    def __init__(self) -> None:
        self._thread: Any = None
        self._hub: Any = None
        self._place: Place | None = None
        self._ready: Iterator[Any] | None = None
        self._came: Any = _LATER

    def _take(self) -> Any:
        """The next row, or LATER: then `_came` is what a step came back with, if one was made. Raises what that did."""
        if self._thread is None or self._hub is not flow_getcurrent():
            return _LATER
        place: Any = self._place
        if self._ready is not None:
            for row in self._ready:
                return row
            self._ready = None
            place.ready = None
        came: Any = flow_switch(self._thread, _NONE) if cython.compiled else self._thread.switch()
        if came is not ROW:
            self._came = came
            return _LATER
        if place.ready is not None:
            self._ready = place.ready
        return place.row


def hand_over(rows: Iterator[Any], thread: Any, place: Place) -> None:
    """Hands each row to the hub, and goes no further until it is asked again."""
    for row in rows:
        place.row = row
        if thread.cancelled is not None:
            raise thread.cancelled  # a stage swallowed the cancel and went on
        if cython.compiled:
            flow_switch_to_parent(thread, _ROW)
        else:
            thread.parent.switch(ROW)
