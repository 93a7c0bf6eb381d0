"""flow: a chain of ordinary generators that can wait.

The public names, in the order of the tutorial. Which folder may import which::

    errors <- core <- stages <- (loops, offload, io, sql, web, watch) <- (testing, classic)

Only `loops/_trio.py` and `testing/trio_time.py` import trio, and only `loops/_twisted.py`, `io/twisted_*.py`,
`web/_resource.py`, `testing/twisted_time.py` and `classic` import Twisted: when something of theirs is used.
"""

from __future__ import annotations

from importlib import import_module as _import_module
from os import environ as _environ
from typing import TYPE_CHECKING, Any

if _environ.get("FLOW_PURE"):
    from . import _build as _build  # first: it chooses which build of the core is imported
from . import loops as loops  # finds the running loop

try:
    from .core.reading import Block as Block
except ImportError as _error:
    from ._build import explain as _explain

    _explain(_error)  # what was compiled may be older than what imports it
    raise
from .core.instruction import CallLater as CallLater
from .core.instruction import Cooperate as Cooperate
from .core.instruction import Instruction as Instruction
from .core.instruction import Row as Row
from .core.microthread import cooperate as cooperate
from .core.microthread import sleep as sleep
from .core.microthread import wait as wait
from .core.receipt import Drained as Drained
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
    DrainTimeoutError as DrainTimeoutError,
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
    MessageTooLongError as MessageTooLongError,
)
from .errors import (
    MissingExtraError as MissingExtraError,
)
from .errors import (
    NotReadyError as NotReadyError,
)
from .errors import (
    RowTimeoutError as RowTimeoutError,
)
from .errors import (
    SlowReaderError as SlowReaderError,
)
from .errors import (
    Unsupported as Unsupported,
)
from .errors import (
    WrongThreadError as WrongThreadError,
)
from .io import files as files  # files join what wrap() takes
from .offload.threads import Threaded as Threaded

if TYPE_CHECKING:
    from . import web as web
    from .io.framing import LineBreak as LineBreak
    from .io.framing import chunks as chunks
    from .io.framing import lines as lines
    from .io.messages import decoded as decoded
    from .io.messages import encoded as encoded
    from .io.messages import length_prefixed as length_prefixed
    from .io.messages import netstrings as netstrings
    from .io.messages import to_length_prefixed as to_length_prefixed
    from .io.messages import to_lines as to_lines
    from .io.messages import to_netstrings as to_netstrings
    from .io.twisted_boxes import Event as Event
    from .io.twisted_endpoints import Server as Server
    from .io.twisted_endpoints import connect as connect
    from .io.twisted_endpoints import listen as listen
    from .io.twisted_protocol import Protocol as Protocol
    from .io.twisted_protocol import makeProtocol as makeProtocol
    from .loops._twisted import Deferred as Deferred
    from .sql import QueryIterator as QueryIterator
    from .stages.batch import batched as batched
    from .stages.buffer import Callback as Callback
    from .stages.combine import Concurrent as Concurrent
    from .stages.combine import Merge as Merge
    from .stages.combine import Zip as Zip
    from .stages.errors import Failed as Failed
    from .stages.errors import Ok as Ok
    from .stages.errors import Retry as Retry
    from .stages.first import race as race
    from .stages.hooks import Valve as Valve
    from .stages.latest import combine_latest as combine_latest
    from .stages.sequence import chain as chain
    from .stages.sequence import interleave as interleave
    from .stages.sequence import merge_sorted as merge_sorted
    from .stages.timing import every as every
    from .stages.transform import Filter as Filter
    from .stages.transform import FlatMap as FlatMap
    from .stages.transform import Map as Map
    from .watch.drawing import draw as draw
    from .watch.meter import Meter as Meter

__version__ = "0.1.0"

# What not every program needs is imported when it is first asked for: `import flow` is to take no time that shows
# (tests/test_import.py), and what stands on Twisted needs Twisted.
_LATER = {
    "Callback": "stages.buffer",
    "Concurrent": "stages.combine",
    "Failed": "stages.errors",
    "Filter": "stages.transform",
    "FlatMap": "stages.transform",
    "LineBreak": "io.framing",
    "Map": "stages.transform",
    "Merge": "stages.combine",
    "Meter": "watch.meter",
    "Ok": "stages.errors",
    "QueryIterator": "sql",
    "Retry": "stages.errors",
    "Valve": "stages.hooks",
    "Zip": "stages.combine",
    "batched": "stages.batch",
    "chain": "stages.sequence",
    "chunks": "io.framing",
    "combine_latest": "stages.latest",
    "decoded": "io.messages",
    "draw": "watch.drawing",
    "encoded": "io.messages",
    "every": "stages.timing",
    "interleave": "stages.sequence",
    "length_prefixed": "io.messages",
    "lines": "io.framing",
    "merge_sorted": "stages.sequence",
    "netstrings": "io.messages",
    "race": "stages.first",
    "to_length_prefixed": "io.messages",
    "to_lines": "io.messages",
    "to_netstrings": "io.messages",
}
_ON_TWISTED = {
    "Deferred": "loops._twisted",
    "Event": "io.twisted_boxes",
    "Protocol": "io.twisted_protocol",
    "Server": "io.twisted_endpoints",
    "connect": "io.twisted_endpoints",
    "listen": "io.twisted_endpoints",
    "makeProtocol": "io.twisted_protocol",
}


def __getattr__(name: str) -> Any:
    if name in ("classic", "web"):
        return _import_module(f".{name}", __name__)
    if name in _LATER:
        found = globals()[name] = getattr(_import_module(f".{_LATER[name]}", __name__), name)
        return found
    if name not in _ON_TWISTED:
        raise AttributeError(f"module 'flow' has no attribute {name!r}")
    try:
        found = getattr(_import_module(f".{_ON_TWISTED[name]}", __name__), name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("twisted", "zope"):
            raise
        raise MissingExtraError(f"flow.{name} needs Twisted: pip install 'coopflow[twisted]'") from error
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER, *_ON_TWISTED, "classic", "web"})
