"""A channel whose two sides are on one thread: no lock for a row, a look at what is held to the row, and producers that
work when they are asked.

What may live here: what a channel can do because nobody else is there. What fills one is in `background.py`, and, where
that is a task, in `source.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from operator import length_hint
from typing import TypeVar

from ..errors import ClosedError
from .channel import Channel
from .instruction import Signal
from .microthread import wait
from .run import Run

__all__ = ["NearChannel"]

T = TypeVar("T")


class NearChannel(Channel[T]):
    """A channel whose producer works on its reader's thread: it is asked for rows, and knows to the row what is held.

    It has one reader, of `rows` or `pieces`.
    """

    def __init__(self, run: Run | None, limit: int) -> None:
        super().__init__(run, limit)
        self.resume_at = limit  # whenever the reader comes by: whether there is room enough is asked in the loop's turn
        # Called before the reader waits. It may let the producer work there and then: should the reader look again?
        self.hurry: Callable[[], bool] | None = None
        self._space = Signal()  # the reader has taken some rows
        self.asking = False  # the reader has found nothing, and has not come back yet
        self._block: list[T] = []  # the one that the reader has in hand

    def push_one(self, row: T) -> bool:
        if self.closed or self.ended:
            self._check_open()
        blocks = self._blocks
        if blocks and len(blocks[-1]) < self._largest:
            blocks[-1].append(row)
        else:
            blocks.append([row])
        self.held = held = self.held + 1
        if held > self.peak:
            self.peak = held
        arrived = self.arrived  # Signal.set, in place
        arrived.happened = True
        waiter = arrived.waiter
        if waiter is not None:
            arrived.waiter = None
            waiter()
        return held < self.limit

    @property
    def free(self) -> int:
        """How many rows there is room for. What the reader has taken of its block is not held any more."""
        taken = self._size - length_hint(self._current)
        if taken > 0:
            self.held -= taken
            self._size -= taken
        return self.limit - self.held

    def shed(self, count: int) -> list[T]:
        """Takes back the oldest rows that the reader has not taken, at most `count`. After a look at `free`."""
        shed = list(islice(self._current, min(count, self._size)))
        self._size -= len(shed)
        while len(shed) < count and self._blocks:
            block = self._blocks.popleft()
            wanted = count - len(shed)
            shed += block[:wanted]
            if wanted < len(block):
                self._blocks.appendleft(block[wanted:])
        self.held -= len(shed)
        return shed

    def has_room(self, count: int) -> bool:
        """Is there room for so many rows? While there is not, the reader is busy: it calls `on_resume` again when it
        comes for the row with which there is.
        """
        missing = count - self.free
        if missing > 0:
            self.paused = True
            self._part(missing - 1)
        return missing <= 0

    async def room(self) -> None:
        """Waits until there is room again; for the one task that fills it. Raises ClosedError when nobody reads."""
        assert self.run is not None
        space = self._space
        while self.held >= self.limit and not self.closed:
            space.happened = False
            await self.run.loop.suspend(space.callLater)
        if self.closed:
            raise ClosedError("flow: the reader has gone")

    def _used(self, count: int) -> None:
        self.held -= count
        self._size = 0
        if self._space.waiter is not None:
            self._space.set()
        if self.paused and self.held <= self.resume_at:
            self.paused = False
            if self.on_resume is not None:
                self.on_resume()

    def close(self) -> None:
        super().close()
        self._space.set()
        self._block = []

    def _part(self, count: int) -> None:
        """Has the reader come by for the next block when it has taken so many rows more."""
        left = length_hint(self._current)
        if count < left:
            rest = self._block[count - left :]
            del self._block[count - left :]  # its iterator ends there
            self._size -= len(rest)
            self._blocks.appendleft(rest)
            return
        for number, block in enumerate(self._blocks):
            count -= left
            left = len(block)
            if 0 < count < left:
                self._blocks[number] = block[:count]
                self._blocks.insert(number + 1, block[count:])
                return

    def _next(self) -> int:
        blocks, arrived = self._blocks, self.arrived
        if blocks:
            if self._size or self.paused:
                self._used(self._size)
        else:  # the producer is asked for more at once
            self.held -= self._size
            self._size = 0
            if self._space.waiter is not None:
                self._space.set()
        while True:
            arrived.happened = False
            if blocks:
                self.asking = False
                self._block = block = blocks.popleft()  # `_take`, in place: no other thread is here
                self._current = iter(block)
                self._size = size = len(block)
                if size == 1:
                    self._used(1)
                return size
            if self.ended:
                return 0
            self.asking = True
            self._block = []  # rows that were read may go
            if self.hurry is None or not self.hurry():
                wait(arrived)
