"""Looking at the stacks of a run: what is being read there, and for whom.

A stack is looked at when a run is stopped or given up, and when a stage is opened inside of a run with a handle; never
for a row. What may live here: finding frames by their code. What a frame means is known where the code is: functions
that matter are made known by `script`, `reading` and `pausing`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import CodeType, FrameType
from typing import Any

from greenlet import getcurrent

from .microthread import MicroThread

__all__ = ["fetching", "inside", "is_work", "pausing", "reading", "script", "stack"]

_scripts: set[CodeType] = set()
_pauses: set[CodeType] = set()
_readings: dict[CodeType, Callable[[FrameType], object]] = {}


def script(code: CodeType) -> None:
    """Says that a function reads a run on the stack of a script: what is above it is none of the run's."""
    _scripts.add(code)


def reading(code: CodeType, source: Callable[[FrameType], object]) -> None:
    """Says that a function reads a stage inside of a run, and for which source it does so: None for a stage."""
    _readings[code] = source


def pausing(code: CodeType) -> None:
    """Says that a function pauses a script: what is below it on the stack is the loop's, and none of the run's."""
    _pauses.add(code)


def fetching(asked: Any) -> BaseException | None:
    """Has a reading fetch its row on a stack that may be looked at: what is compiled has no frame there."""
    interrupt: BaseException | None = asked.fetch()
    return interrupt


def stack(thread: Any) -> FrameType | None:
    """The innermost frame of a greenlet, whether it runs the caller or is paused."""
    if thread is not getcurrent():
        frame: FrameType | None = thread.gr_frame
        return frame
    here: FrameType | None = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    found = here
    while here is not None and here.f_code not in _scripts:
        if here.f_code in _pauses:
            found = here
        here = here.f_back
    return found


def inside(frame: FrameType | None) -> Iterator[FrameType]:
    """The frames from there on, up to the reading of a stage or of a run that they belong to."""
    while frame is not None and frame.f_code not in _readings and frame.f_code not in _scripts:
        yield frame
        frame = frame.f_back


def is_work() -> bool:
    """Is what is being opened here part of the work on a row of some stage?"""
    thread: Any = getcurrent()
    frame = stack(thread)
    while True:
        while frame is not None and frame.f_code not in _scripts:
            source = _readings.get(frame.f_code)
            if source is not None:
                return source(frame) is None
            frame = frame.f_back
        # The beginning of this stack. A branch goes on as a part of whoever steps it; a run is there for itself.
        if not isinstance(thread, MicroThread):
            return False
        if thread.works or thread is thread.owner.thread:
            return thread.works
        thread = thread.parent
        frame = thread.gr_frame


reading(fetching.__code__, lambda frame: frame.f_locals["asked"].source)
