"""Channel: a bounded hand-over of rows from whoever makes them to one strand that reads them.

The one holding place of flow: async stages, threads and callbacks push into it. It promises: rows in order, each
once; then one end, finished or failed, after all rows; at most `limit` rows held (a push of a whole block may go over
by that block, when the channel had room); a full channel makes its producer wait; one wake-up for many pushes.

The push side may be another thread: every change is made under a lock, and a wake-up goes through the loop only when
the reader waits. The reading side is one strand of a run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from itertools import islice
from operator import length_hint
from sys import exception
from threading import Condition, Lock
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from greenlet import getcurrent

from ..errors import ClosedError
from .instruction import Handle, Resume, Signal
from .microthread import MicroThread, Strand, wait
from .pull_cy import MOST, Ready
from .stopping import stops_for

if TYPE_CHECKING:
    from .run import Run

__all__ = ["Channel"]

T = TypeVar("T")


class Channel(Generic[T]):
    """Rows on their way. `peak` is the largest number of rows that it ever held."""

    def __init__(self, run: Run | None, limit: int) -> None:
        self.run = run
        self.limit = limit
        self.held: int = 0
        self.peak: int = 0
        self.ended = False  # nothing more will be pushed
        self.closed = False  # nobody reads any more
        self.stopped = False  # it has ended, because its reader wants no more rows
        self.failure: BaseException | None = None
        self.raised = False  # the failure has reached the reader
        self._blocks: deque[list[T]] = deque()
        self._current: Iterator[T] = iter(())
        self._lock = Lock()
        self._room = Condition(self._lock)
        self.arrived = Signal()
        self._waiting: list[Resume] = []
        self.paused = False  # the producer was told to pause; it is told to go on when half of the room is free
        self.on_pause: Callable[[], object] | None = None
        self.on_resume: Callable[[], object] | None = None
        self._largest = max(1, limit // 2)
        self.resume_at = limit // 2  # so many rows held, or fewer, let producers that wait go on
        self._size = 0  # rows of the current block that `held` counts
        self._blocked = False  # a thread waits for room
        # For a virtual clock, which must not move while a thread works: called when a thread stops or goes on working.
        self.hold: Callable[[], object] | None = None
        self.release: Callable[[], object] | None = None

    # ---- the push side

    def push(self, block: list[T]) -> bool:
        """Adds rows, whether or not there is room; True when there is room for more. Raises ClosedError when closed."""
        with self._lock:
            self._check_open()
            self._blocks.append(block)
            self.held += len(block)
            if self.held > self.peak:
                self.peak = self.held
            room = self.held < self.limit
        self.arrived.set()  # always: the reader may be just about to wait (test_threads.py::test_no_wake_up_is_lost)
        return room

    def push_one(self, row: T) -> bool:
        """`push` of one row. It joins the block of the rows before it while the reader has not come for that."""
        self.offer_one(row, True)
        return self.held < self.limit

    def offer_one(self, row: T, always: bool = False) -> bool:
        """Adds a row if there is room, however many threads look at the same time; says whether it did."""
        with self._lock:
            if self.closed or self.ended:
                self._check_open()
            held = self.held
            if held >= self.limit and not always:
                return False
            blocks = self._blocks
            if blocks and len(blocks[-1]) < self._largest:
                blocks[-1].append(row)
            else:
                blocks.append([row])
            self.held = held = held + 1
            if held > self.peak:
                self.peak = held
            pause = None if held < self.limit else self._filled()
        # Before the reader is told: it may run there and then, and want the producer to go on again
        # (test_buffer.py::test_a_reader_that_runs_at_once_resumes_its_producer).
        if pause is not None:
            pause()
        arrived = self.arrived  # Signal.set, in place
        arrived.happened = True
        waiter = arrived.waiter
        if waiter is not None:
            arrived.waiter = None
            waiter()
        return True

    def _filled(self) -> Callable[[], object] | None:
        """Under the lock: how to tell the producer to pause, if it was not told yet."""
        if self.paused:
            return None
        self.paused = True
        return self.on_pause

    def _check_open(self) -> None:
        if self.closed or self.ended:
            if self.stopped:
                raise ClosedError("flow: the flow was stopped, and takes no more rows")
            raise ClosedError("flow: the reader has gone" if self.closed else "flow: rows were pushed after the end")

    def stop(self) -> None:
        """Takes no more rows from the producer, which is told to pause; those that are held are still read."""
        with self._lock:
            pause = self._filled()
            self.stopped = True
            self.on_resume = None
        if pause is not None:
            pause()
        self.end(None)

    def end(self, failure: BaseException | None) -> None:
        """Nothing more will come. The reader is told after it has read all rows. The first end counts."""
        with self._lock:
            if self.ended:
                return
            self.ended = True
            self.failure = failure
            waiting = self._let_go()
        self.arrived.set()
        for resume in waiting:
            resume()

    @property
    def full(self) -> bool:
        return self.held >= self.limit

    async def room(self) -> None:
        """Waits until there is room again; for a task of the loop. Raises ClosedError when the reader has gone."""
        assert self.run is not None
        while self.full and not self.closed:
            await self.run.loop.suspend(self.on_room)
        if self.closed:
            raise ClosedError("flow: the reader has gone")

    def on_room(self, resume: Resume) -> Handle | None:
        """Resumes once there is room, or nothing can be pushed any more."""
        with self._lock:
            if self.full and not self.closed and not self.ended:
                self._waiting.append(resume)
                return _Waiting(self, resume)
        resume()
        return None

    def give_up(self, resume: Resume) -> None:
        """A producer waits for room no longer."""
        with self._lock:
            if resume in self._waiting:
                self._waiting.remove(resume)

    def wait_for_room(self, timeout: float | None = None) -> bool:
        """Blocks a thread until there is room: True; False when the channel was closed or the time is up."""
        with self._room:
            while self.full and not self.closed and not self.ended:
                if self.release is not None and not self._blocked:
                    self.release()
                self._blocked = True
                if not self._room.wait(timeout):
                    break
            return not self.closed and not self.full

    @property
    def wanted(self) -> bool:
        """Does the reader wait for a row?"""
        return self.arrived.waiter is not None

    @property
    def unread(self) -> int:
        """Rows that the reader has not taken. (`held` counts a block until the reader asks for the next one.)"""
        return length_hint(self._current) + sum(map(len, self._blocks))

    # ---- the reading side

    def _take(self) -> int:
        """Takes the next block as the current one: how many rows it has, 0 when there is none now.

        A single row counts as used up at once.
        """
        self.arrived.happened = False
        if not self._blocks:
            return 0
        with self._lock:  # a push may be adding a row to this very block
            block = self._blocks.popleft()
            count = len(block)
            self._current = iter(block)  # before a hook is called, which may fail: the row is there, to be counted
            self._size = 0 if count == 1 else count
            if count == 1:
                self.held -= 1
            told = count == 1 and (self.paused or self._blocked or self._waiting)
        if told:
            self._used(0)
        return count

    def _used(self, count: int) -> None:
        """The reader has used rows up. Producers that wait go on when half of the room is free: few switches."""
        with self._lock:
            self.held = held = self.held - count
            self._size = 0
            if not (self.paused or self._waiting or self._blocked) or held > self.resume_at:
                return
            waiting = self._let_go()
            go_on = self.paused
            self.paused = False
        for resume in waiting:
            resume()
        if go_on and self.on_resume is not None:
            self.on_resume()

    def _let_go(self) -> list[Resume]:
        """Under the lock: lets producers go on that wait for room; returns those that the caller must resume."""
        if self._blocked:
            self._blocked = False
            if self.hold is not None:
                self.hold()
            self._room.notify_all()
        waiting, self._waiting = self._waiting, []
        return waiting

    @property
    def last(self) -> list[T]:
        """The row that the reader has taken last, if that is of the block in hand: for the receipt of ``drain()``."""
        shown: Any = self._current.__reduce__()  # iter, (the block,), the index of the next row
        return shown[1][0][max(0, shown[2] - 1) : shown[2]] if len(shown) == 3 else []

    def rows(self, strand: Strand | None = None) -> Iterator[T]:
        """The rows, until the end; then the failure is raised, if there is one. See `pieces`."""
        if strand is not None and (stops := stops_for(strand)) is not None:
            stops.channels[self] = strand
        return Ready.of(self.pieces(strand))

    def pieces(self, strand: Strand | None) -> Generator[Iterator[T]]:
        """The rows, in iterators over some that are there.

        On a micro-thread the loop gets its turn between two, when the slice of the strand's run is used up; in a script
        nobody else needs the turn.
        """
        return self._pieces(strand) if isinstance(strand, MicroThread) else self._in_blocks()

    def turns(self, strand: Strand) -> Generator[T]:
        """The rows, as `rows` gives them; between two the loop is given its turn when the slice is used up; then close.

        For a place that rows come to one by one, on the loop's own thread: no iterator stands between them and the wait
        for the next one, so there is less of a stack to be moved aside; and no lock is needed.
        """
        run, clock = strand.owner, strand.loop.clock
        arrived, blocks = self.arrived, self._blocks
        row: Any
        try:
            while True:
                arrived.happened = False
                if not blocks:
                    if self.ended and not blocks:
                        break
                    # Another strand than ours may have been given the rows. MicroThread.pause, in place.
                    reader: Any = getcurrent()
                    if type(reader) is not MicroThread:
                        row = strand.pause(arrived)
                    elif reader.cancelled is None and exception() is None:
                        reader.handling = None
                        row = reader.parent.switch(arrived)
                    else:
                        row = reader.pause(arrived)
                    if row is None:
                        continue
                    yield row  # handed over as we waited for it: it was never held
                elif len(blocks[0]) == 1:  # without a call
                    (row,) = blocks.popleft()
                    self.held -= 1
                    if self.paused or self._blocked or self._waiting:
                        self._current = iter((row,))  # where it is counted, should a hook fail
                        self._used(0)
                        self._current = iter(())
                    yield row
                else:
                    count = self._take()
                    for row in self._current:
                        yield row
                        if clock() >= run.deadline:
                            strand.give_turn()
                    if count > 1:
                        self._used(count)
                if blocks and clock() >= run.deadline:
                    strand.give_turn()
            self._raise()
        finally:
            self.close()

    def _in_blocks(self) -> Generator[Iterator[T]]:
        """The rows in the blocks in which they were pushed. A block counts as held until the next one is asked for."""
        while self._next():
            yield self._current
        self._raise()

    def _pieces(self, strand: Strand) -> Generator[Iterator[T]]:
        """The blocks in pieces, between which the clock is read, as `pull_cy.fair` does it."""
        run, clock = strand.owner, strand.loop.clock
        quick = run.slice / 32
        piece = 1
        while left := self._next():
            current = self._current
            if left == 1:
                yield current
                if clock() >= run.deadline:
                    strand.give_turn()
                continue
            then = clock()  # how long the block was waited for is not what its rows take
            while left > 0:
                yield islice(current, piece) if piece < left else current
                left -= piece
                now = clock()
                if now - then < quick and now < run.deadline:
                    then = now
                    if piece <= MOST:
                        piece += piece
                    continue
                piece = 1
                if now >= run.deadline:
                    strand.give_turn()
                    now = clock()
                then = now
        self._raise()

    def _next(self) -> int:
        """Takes the next block, and waits for it where it must: how many rows it has; 0 at the end.

        The block before is used up by then.
        """
        blocks, arrived = self._blocks, self.arrived
        if self._size:
            self._used(self._size)
        while True:
            arrived.happened = False
            if blocks:
                return self._take()
            if self.ended and not blocks:
                return 0
            wait(arrived)

    def _raise(self) -> None:
        """After the rows: the failure, if there is one."""
        if self.failure is not None and not self.raised:
            self.raised = True
            raise self.failure

    def close(self) -> None:
        """Nobody reads any more: rows left are dropped and counted, producers that wait are told."""
        with self._lock:
            if self.closed:
                return
            self.closed = True
            left = list(self._current)
            for block in self._blocks:
                left += block
            self._blocks.clear()
            self.held = 0
            waiting = self._let_go()
        for resume in waiting:
            resume()
        if self.run is not None:
            self.run.drop(left)


class _Waiting:
    """The handle of a wait for room."""

    def __init__(self, channel: Channel[Any], resume: Resume) -> None:
        self._channel, self._resume = channel, resume

    def cancel(self) -> None:
        self._channel.give_up(self._resume)
