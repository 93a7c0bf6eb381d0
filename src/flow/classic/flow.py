"""What ``from twisted.flow import flow`` gave: all that a program needs but the stages in `threads` and `web`.

Its first example, with print() as it is written today. The end of the source is the end of the printer:

    from flow.classic import flow

    def printer(source):
        source = flow.wrap(source)
        while True:
            yield source
            print(source.next())

    d = flow.Deferred(printer(["one", flow.Cooperate(1), "two"]))
"""

from __future__ import annotations

from twisted.python.failure import Failure

from .base import CallLater, Controller, Cooperate, Instruction, NotReadyError, Stage, Unsupported
from .controller import Block, Deferred
from .pipe import Filter, LineBreak, Pipe
from .protocol import Protocol, makeProtocol
from .stage import Callback, Concurrent, Map, Merge, Zip
from .wrap import wrap

__all__ = [
    "Block",
    "CallLater",
    "Callback",
    "Concurrent",
    "Controller",
    "Cooperate",
    "Deferred",
    "Failure",
    "Filter",
    "Instruction",
    "LineBreak",
    "Map",
    "Merge",
    "NotReadyError",
    "Pipe",
    "Protocol",
    "Stage",
    "Unsupported",
    "Zip",
    "makeProtocol",
    "wrap",
]
