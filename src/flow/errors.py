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
     │    ├── FullError               a row for which there is no room, where nobody waits for it (also a RuntimeError)
     │    ├── SlowReaderError         a reader of shared rows that fell behind (also a RuntimeError)
     │    ├── WrongThreadError        a call from a thread that may not make it (also a RuntimeError)
     │    ├── RowTimeoutError         a row that did not come in time (also a TimeoutError)
     │    ├── DrainTimeoutError       what drain() gave up, as the run's reader sees it (also a TimeoutError)
     │    ├── CleanupTimeoutError     a cleanup that went on waiting after a cancel (also a TimeoutError)
     │    └── MessageTooLongError     a message over `max_length` (also a ValueError)
     │         └── LineTooLongError   a line over `max_length`
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
    "DrainTimeoutError",
    "FlowError",
    "FullError",
    "LineTooLongError",
    "LoopRunningError",
    "MessageTooLongError",
    "MissingExtraError",
    "NotReadyError",
    "RowTimeoutError",
    "SlowReaderError",
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
    """There is no room for a row, and nobody waits for it: a push into a full Callback, a buffer that may not overflow,
    one key too many for ``route``.
    """


class SlowReaderError(FlowError, RuntimeError):
    """A reader of shared rows fell behind: it was disconnected, or others would wait for it for ever."""


class WrongThreadError(FlowError, RuntimeError):
    """The call was made from a thread that may not make it."""


class RowTimeoutError(FlowError, TimeoutError):
    """A row did not come in time, or the rows did not end: see ``rows.timeout()``.

    `which` is the limit that was passed: "item", "first", "idle" or "total"; `seconds` is how long it was.
    """

    def __init__(self, which: str, seconds: float) -> None:
        super().__init__(which, seconds)
        self.which = which
        self.seconds = seconds

    def __str__(self) -> str:
        return f"timeout({self.which}={self.seconds:g}): {_LATE[self.which].format(self.seconds)}"


_LATE = {
    "item": "no row came within {:g} s of being asked for",
    "first": "no first row came within {:g} s of being asked for",
    "idle": "nothing came for {:g} s",
    "total": "the rows had not ended after {:g} s",
}


class DrainTimeoutError(FlowError, TimeoutError):
    """A run was given up, for the deadline of its ``drain()`` had passed; its reader gets this in place of rows."""


class CleanupTimeoutError(FlowError, TimeoutError):
    """A cleanup waited past its deadline after a cancel; the text names where it waited."""


class MessageTooLongError(FlowError, ValueError):
    """A message was longer than ``max_length`` (or than its prefix can say); the text has that, and the first bytes."""


class LineTooLongError(MessageTooLongError):
    """A line was longer than ``max_length``; the text has the limit and the first bytes."""


class MissingExtraError(ImportError):
    """A library that is not installed is needed; the text has the pip command."""
