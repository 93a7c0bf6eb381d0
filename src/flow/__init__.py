"""flow: a chain of ordinary generators that can wait.

The public names, in the order of the tutorial. Which folder may import which::

    errors <- core <- stages <- (loops, offload, io, sql) <- testing

Only `loops/_trio.py` imports trio and only `loops/_twisted.py` imports Twisted, when something of theirs is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .core.wrap import wrap as wrap
from .core.stage import Stage as Stage
from .core.microthread import cooperate as cooperate
from .core.microthread import sleep as sleep
from .core.microthread import wait as wait
from .core.instruction import CallLater as CallLater
from .core.instruction import Cooperate as Cooperate
from .core.instruction import Instruction as Instruction
from .core.instruction import Row as Row
from .stages.transform import Filter as Filter
from .stages.transform import FlatMap as FlatMap
from .stages.transform import Map as Map
from .stages.combine import Concurrent as Concurrent
from .stages.combine import Merge as Merge
from .stages.combine import Zip as Zip
from .stages.buffer import Callback as Callback
from .offload.threads import Threaded as Threaded
from .sql import QueryIterator as QueryIterator
from .io.framing import LineBreak as LineBreak
from .io.framing import lines as lines
from .errors import (
    AlreadyReadError as AlreadyReadError,
    BusyError as BusyError,
    Cancelled as Cancelled,
    CleanupTimeoutError as CleanupTimeoutError,
    ClosedError as ClosedError,
    FlowError as FlowError,
    FullError as FullError,
    LineTooLongError as LineTooLongError,
    LoopRunningError as LoopRunningError,
    MissingExtraError as MissingExtraError,
    NotReadyError as NotReadyError,
    Unsupported as Unsupported,
    WrongThreadError as WrongThreadError,
)
from . import loops as loops  # finds the running loop
from .io import files as _files  # files join what wrap() takes

if TYPE_CHECKING:
    from .loops._twisted import Deferred as Deferred

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name == "Deferred":
        try:
            from .loops._twisted import Deferred
        except ModuleNotFoundError as error:
            raise MissingExtraError("flow.Deferred needs Twisted: pip install 'coopflow[twisted]'") from error
        globals()["Deferred"] = Deferred
        return Deferred
    raise AttributeError(f"module 'flow' has no attribute {name!r}")
