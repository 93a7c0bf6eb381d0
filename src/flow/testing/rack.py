"""The rack of `torture`: an asyncio loop, as flow sees it, that counts the waits of flows, and interferes with one.

What may live here: what stands between a flow and its loop during one run. What is to be done, and what must hold
afterwards, is in `torturing.py`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Generator
from contextvars import Context
from dataclasses import dataclass
from types import FrameType
from typing import Any

from ..core.instruction import Handle, Resume
from ..core.microthread import Strand, unwanted
from ..loops._asyncio import AsyncioLoop

__all__ = ["AT_WAITS", "USUAL", "WAYS", "Injected", "Rack", "Wait", "Way"]

AT_WAITS = ("cancelled", "failed", "timed out", "abandoned")
"""The ways to end a flow at a wait: its step is the number of the wait, from 1."""

WAYS = (*AT_WAITS, "broken off", "closed", "cleanup failed")
"""All ways; for the last three the step is the number of rows that were read."""

USUAL = tuple(way for way in WAYS if way != "abandoned")
"""The ways of a torture that is not told otherwise. A coroutine of the user's that waits in a `finally` can't be
destroyed at a wait, by anybody (Python: "coroutine ignored GeneratorExit"), so "abandoned" must be asked for."""

FLOW = os.path.dirname(os.path.dirname(__file__))
LONGEST = 100
INSIDE = tuple(os.path.join(FLOW, folder, "") for folder in ("core", "loops", "testing"))


class Injected(Exception):
    """The failure that torture makes a wait raise, and the failure of a diagram of marbles."""


@dataclass(frozen=True)
class Wait:
    """One wait of a flow: what it waited for, and where.

    `place` is the innermost line of code outside flow: ``slowly (test_rows.py:21)``. Where none is on the stack that
    waits (in an input that is flow's alone, in a task of an async stage), it is a line of a stage of flow's, or else
    the whole flow, as `repr` shows it.
    """

    what: str
    place: str

    def __str__(self) -> str:
        return f"{self.what} in {self.place}" if self.place else self.what


@dataclass(frozen=True)
class Way:
    """How a run is to end: one of `WAYS` (or "undisturbed"), and when."""

    name: str
    step: int
    seed: int | None

    def __str__(self) -> str:
        at = f"{self.name} at step {self.step}" if self.step or self.name in WAYS else self.name
        return at if self.seed is None else f"{at}, seed {self.seed}"


class Rack(AsyncioLoop):
    """Counts waits, and does at the one that it was told what it was told."""

    def __init__(self, loop: asyncio.AbstractEventLoop, way: Way) -> None:
        super().__init__(loop)
        self.way = way
        self.waits: list[Wait] = []
        self.victim: asyncio.Task[Any] | None = None
        self.limit: asyncio.Timeout | None = None
        self.reached = False  # where threads work, a run may have fewer waits than the one that was learnt from
        self.fails_next = False
        self.failed = False
        self.letting_go = False
        self.unseen: list[str] = []
        loop.set_exception_handler(self._nobody_saw)

    def calm(self) -> None:
        """No more shuffling, and no early jumps."""
        own: Any = self.loop
        own._random = None

    def _nobody_saw(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.unseen.append(f"{context.get('message')}: {context.get('exception')!r}")

    def _interferes(self, instruction: Any, strand: Strand | None) -> bool:
        """Notes a wait. True: it is to fail."""
        is_coroutine: bool = asyncio.iscoroutine(instruction)
        what = instruction.__qualname__ if is_coroutine else repr(instruction)
        self.waits.append(Wait(what, _place(strand)))
        if self.fails_next:
            self.fails_next = False
            self.failed = True
            return True
        if self.way.name not in AT_WAITS or len(self.waits) != self.way.step:
            return False
        self.reached = True
        if self.way.name == "failed":
            self.failed = True
            return True
        if self.way.name == "cancelled" and self.victim is not None:
            self.victim.cancel()
        elif self.way.name == "timed out" and self.limit is not None:
            self.limit.reschedule(self.loop.time())
        elif self.way.name == "abandoned":
            self.letting_go = True
        return False

    def _injected(self) -> Injected:
        return Injected(f"wait {len(self.waits)}")

    def begin(self, instruction: Any, resume: Resume, context: Context, /) -> Handle | None:
        if self._interferes(instruction, _waiting(resume) or self._strand):
            unwanted(instruction)
            resume.throw(self._injected())
            return None
        return super().begin(instruction, resume, context)

    _strand: Strand | None = None

    async def obey(self, instruction: Any, strand: Strand, /) -> Any:
        self._strand = strand
        return await super().obey(instruction, strand)

    async def _obey(self, instruction: Any, strand: Strand) -> Any:
        if self.is_native(instruction) and self._interferes(instruction, strand):
            unwanted(instruction)
            raise self._injected()
        return await super()._obey(instruction, strand)


class Deserting:
    """Awaits a coroutine, and lets go of it in the middle when the rack says so: its reader is destroyed."""

    def __init__(self, main: Coroutine[Any, Any, None], rack: Rack) -> None:
        self._main = main
        self._rack = rack

    def __await__(self) -> Generator[Any, Any, None]:
        steps = self._main.__await__()
        value: Any = None
        error: BaseException | None = None
        while True:
            try:
                future = steps.send(value) if error is None else steps.throw(error)
            except StopIteration:
                return
            if self._rack.letting_go:
                steps.close()
                return
            try:
                value, error = (yield future), None
            except BaseException as raised:
                value, error = None, raised


def _waiting(resume: Resume) -> Strand | None:
    """The strand behind a Resume, where callbacks drive it (`driven.Wait`, `driven.Pushed`)."""
    owner: Any = getattr(getattr(resume, "_then", None), "__self__", None)
    found: Strand | None = getattr(owner, "_strand", None)
    return found


def _place(strand: Strand | None) -> str:
    frame: FrameType | None = getattr(strand, "gr_frame", None)
    flows: FrameType | None = None
    while frame is not None and frame.f_code.co_filename.startswith(FLOW):
        if flows is None and not frame.f_code.co_filename.startswith(INSIDE):
            flows = frame
        frame = frame.f_back
    frame = frame or flows
    if frame is None:
        return "" if strand is None else f"{strand.owner.stage!r}"[:LONGEST]
    return f"{frame.f_code.co_qualname} ({os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno})"
