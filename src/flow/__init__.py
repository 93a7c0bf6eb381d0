"""flow: a chain of ordinary generators that can wait.

The public names, in the order of the tutorial. Which folder may import which::

    errors <- core <- stages <- (loops, offload, io, sql) <- testing

Only `loops/_trio.py` imports trio and only `loops/_twisted.py` imports Twisted, when something of theirs is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import loops as loops  # finds the running loop
from .core.instruction import CallLater as CallLater
from .core.instruction import Cooperate as Cooperate
from .core.instruction import Instruction as Instruction
from .core.instruction import Row as Row
from .core.microthread import cooperate as cooperate
from .core.microthread import sleep as sleep
from .core.microthread import wait as wait
from .core.stage import Stage as Stage
from .core.wrap import wrap as wrap
from .errors import (
    AlreadyReadError as AlreadyReadError,
)
from .errors import (
    BusyError as BusyError,
)
from .errors import (
    Cancelled as Cancelled,
)
from .errors import (
    CleanupTimeoutError as CleanupTimeoutError,
)
from .errors import (
    ClosedError as ClosedError,
)
from .errors import (
    FlowError as FlowError,
)
from .errors import (
    FullError as FullError,
)
from .errors import (
    LineTooLongError as LineTooLongError,
)
from .errors import (
    LoopRunningError as LoopRunningError,
)
from .errors import (
    MissingExtraError as MissingExtraError,
)
from .errors import (
    NotReadyError as NotReadyError,
)
from .errors import (
    Unsupported as Unsupported,
)
from .errors import (
    WrongThreadError as WrongThreadError,
)
from .io import files as files  # files join what wrap() takes
from .io.framing import LineBreak as LineBreak
from .io.framing import lines as lines
from .offload.threads import Threaded as Threaded
from .sql import QueryIterator as QueryIterator
from .stages.buffer import Callback as Callback
from .stages.combine import Concurrent as Concurrent
from .stages.combine import Merge as Merge
from .stages.combine import Zip as Zip
from .stages.transform import Filter as Filter
from .stages.transform import FlatMap as FlatMap
from .stages.transform import Map as Map

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
