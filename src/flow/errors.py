"""Every exception of flow, in one place.

::

    BaseException
     └── Cancelled                    thrown into a chain to end it; never leaves a run
    Exception
     ├── FlowError                    the root of what flow raises itself
     │    ├── NotReadyError           a wait where nothing can be paused (also a RuntimeError)
     │    │    └── LoopRunningError   a stage read with `for` where `async for` is needed
     │    ├── Unsupported             an instruction that this controller can't obey (also a NotImplementedError)
     │    ├── AlreadyReadError        a second reading of what can be read once (also a RuntimeError)
     │    ├── BusyError               two readers of one run at the same time (also a RuntimeError)
     │    ├── ClosedError             a push after the end (also a RuntimeError)
     │    ├── FullError               a push into a full Callback that did not wait (also a RuntimeError)
     │    ├── WrongThreadError        a call from a thread that may not make it (also a RuntimeError)
     │    ├── CleanupTimeoutError     a cleanup that went on waiting after a cancel (also a TimeoutError)
     │    └── LineTooLongError        a line over `max_length` (also a ValueError)
     └── MissingExtraError            a library that is not installed (an ImportError)

What a user's own code raises is never wrapped: it reaches the reader with its type, instance and traceback.

This file holds exception classes only. It imports nothing of flow, so that every other file may import it.
"""

from __future__ import annotations

__all__ = [
    "AlreadyReadError",
    "BusyError",
    "Cancelled",
    "CleanupTimeoutError",
    "ClosedError",
    "FlowError",
    "FullError",
    "LineTooLongError",
    "LoopRunningError",
    "MissingExtraError",
    "NotReadyError",
    "Unsupported",
    "WrongThreadError",
]


class Cancelled(BaseException):
    """Ends a chain from inside: it travels through the generators and runs their ``finally`` blocks.

    It is a BaseException so that a stage's ``except Exception`` lets it pass. Let it pass yourself: a stage that
    swallows it is asked again at its next wait. Outside a run you see the loop's own error instead
    (asyncio.CancelledError, trio.Cancelled, Twisted's CancelledError).
    """

    failures: tuple[Exception, ...] = ()
    """What cleanups raised that it met on its way; they are its context, too."""


class FlowError(Exception):
    """The root of the errors that flow raises itself."""


class NotReadyError(FlowError, RuntimeError):
    """There is nothing to pause here: the text says what to write instead."""


class LoopRunningError(NotReadyError):
    """A stage was read with ``for`` in a thread whose event loop is running: write ``async for``."""


class Unsupported(FlowError, NotImplementedError):
    """The controller was handed something that it can't obey."""


class AlreadyReadError(FlowError, RuntimeError):
    """The source can be read once, and was: wrap something that can be opened again."""


class BusyError(FlowError, RuntimeError):
    """Two readers asked one run for a row at the same time."""


class ClosedError(FlowError, RuntimeError):
    """A row was pushed after the end, or after its reader had gone."""


class FullError(FlowError, RuntimeError):
    """A row was pushed into a full Callback: ask ``offer()``, or wait with ``put()``."""


class WrongThreadError(FlowError, RuntimeError):
    """The call was made from a thread that may not make it."""


class CleanupTimeoutError(FlowError, TimeoutError):
    """A cleanup waited past its deadline after a cancel; the text names where it waited."""


class LineTooLongError(FlowError, ValueError):
    """A line was longer than ``max_length``; the text has the limit and the first bytes."""


class MissingExtraError(ImportError):
    """A library that is not installed is needed; the text has the pip command."""
