"""One input and a clock: how stages read the stage above them when they must keep time.

There are two ways, and both are lazy: nothing is opened before the first row is asked for.

- Through one branch (`OneBranch`), where a stage must only be able to give up waiting. The input works when it is
  asked, so it works no further than its reader; what it does while the reader is busy is the business of
  ``rows.buffer(n)``.
- In the background (`Arrivals`), where it must be known when each row came: each is stamped as it comes, while the
  reader is busy, too. What is held is bounded.

A timer exists only while there is a wait, and each wait has one at most. Nothing polls.

What may live here: the reading. What becomes of the rows is in `timing.py`, `batch.py` and `window.py`.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Generic, TypeVar

from greenlet import getcurrent

from ..core.background import Background
from ..core.bodies import Body, read
from ..core.branch import Branches
from ..core.instruction import TURN, Signal, seconds_of
from ..core.microthread import ROW, MicroThread, Strand, current, wait
from ..core.scope import Scope, raise_first
from ..core.source import Opener
from ..core.stage import Stage
from ..core.steps import NOTHING, Branch

__all__ = ["Arrivals", "Below", "OneBranch", "dropped", "duration_of", "period_of"]

T = TypeVar("T")


def duration_of(value: float, name: str) -> float:
    """The value, when it is a number of seconds that ends. Otherwise an error naming the argument."""
    if math.isinf(seconds_of(value, name)):
        raise ValueError(f"{name} must be a number of seconds that ends, not {value!r}")
    return value


def period_of(value: float, name: str) -> float:
    """The value, when it can be repeated: seconds that end, and more than none."""
    if duration_of(value, name) == 0:
        raise ValueError(f"{name} must be more than 0 seconds")
    return value


def dropped(rows: list[Any]) -> None:
    """Counts rows that a plain stage has taken, and that nobody will read, with the run that it is in."""
    strand = current()
    assert strand is not None
    strand.owner.drop(rows)


class Below(Opener[T]):
    """A stage that reads the one above it itself: ``read(strand, source)`` gives its rows."""

    __slots__ = ("_name", "_read")

    def __init__(self, source: Stage[Any], read: Callable[[Strand, Stage[Any]], Iterator[T]], name: str) -> None:
        self._source = source
        self._read = read
        self._name = name

    @property
    def short_label(self) -> str:
        return self._name

    def rows(self, upstream: Any, scope: Scope) -> Iterator[T]:
        run = scope.strand.owner
        if run.deadline == math.inf:
            # A script that has not waited yet has no slices. It needs them here: a source that never waits, and gives
            # no row, must be looked away from now and then, to see whether the time is up.
            run.enter()
        return self._read(scope.strand, self._source)


class OneBranch(Branches):
    """The one input of a stage that keeps time, on a branch: whoever reads it says until when it will wait.

    With ``gather(n)`` as its body the branch is given back, too, when it waits and has rows in its block.
    """

    def __init__(self, strand: Strand, stage: Stage[Any], body: Body = read) -> None:
        super().__init__(strand)
        self.branch = self.add(stage, body)

    def take(self) -> Any:
        """The row that has come; the next one is asked for by `ready`."""
        branch = self.branch
        row, branch.row = branch.row, NOTHING
        return row

    def ready(self) -> bool:
        """Asks for the next row, if the last one was taken. Is it there, or the end, without a wait?

        As fast as a switch there and back. If it is not, `come` waits for it. A failure of the branch is raised.
        """
        branch = self.branch
        if not branch.full or getcurrent() is not self._reader:
            return False
        try:
            outcome = branch.switch()
        except BaseException as failure:
            branch.full = False
            self._failed(branch, failure)
            raise
        if outcome is ROW:
            return True
        branch.full = False
        if self._paused(branch, outcome) is TURN:
            self._put(branch)
            self._pause(TURN)
        return outcome is None or bool(branch.block)

    def come(self, until: float = math.inf) -> bool:
        """Waits until the branch has a row, or rows in its block, or is over: True; or until the loop's time: False.

        It returns, too, when the branch has rows in its block and has given its turn away. A failure is raised.
        """
        branch = self.branch
        if branch.full:
            branch.full = False
            self.ask(branch)
        while True:
            if self._asked:
                self._pull()
                outcome = self._go_on(branch)
                if outcome is ROW or outcome is None:
                    return True
                if outcome is TURN:
                    self._pause(TURN)
                    if until <= self._strand.loop.time():
                        return bool(branch.block)
                if branch.block:
                    return True
            elif until < math.inf:
                if self._wait_until(until):
                    return False
            else:
                self._signal.clear()
                self._pause(self._signal)

    def _give(self, branch: Branch) -> bool:
        """It is the only one: whoever reads it waits for the loop's turn there and then."""
        self._put(branch)
        return True

    def __enter__(self) -> OneBranch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        try:
            super().__exit__(kind, error, where)
        finally:
            self._strand.owner.drop(self.branch.rest())  # of one that an interrupt has ended


class Arrivals(Generic[T]):
    """The rows of a stage, each with the loop's time at which it came, read in the background from `with` to its end.

    It holds at most `limit` rows; then the stage is held back until one is taken. With ``apart`` in its place it holds
    two, and is never held back: a row takes the place of the one before it, unless ``apart(then, now)`` says of their
    times that each stands for itself; then the oldest makes way. Rows come before a failure. No Channel: what is here
    is looked at before it is taken, and a row may stay for several windows. Leaving the scope closes the stage, and
    drops what was not taken.
    """

    def __init__(
        self, strand: Strand, stage: Stage[T], limit: int = 2, apart: Callable[[float, float], bool] | None = None
    ) -> None:
        self.rows: deque[tuple[float, T]] = deque(maxlen=None if apart is None else 2)
        self.handed = -math.inf  # rows that came before this time were handed on, though they are still held
        self.over = False
        self.time: Callable[[], float] = strand.loop.time
        self._strand = strand
        self._limit = limit
        self._apart = apart
        self._failure: BaseException | None = None
        self._arrived = Signal()
        self._room = Signal()
        self._background = Background(strand, stage, self._fill, self._ended)

    @property
    def full(self) -> bool:
        return len(self.rows) >= self._limit

    def _fill(self, thread: MicroThread) -> None:
        rows, time, apart, arrived, room = self.rows, self.time, self._apart, self._arrived, self._room
        with Scope(thread) as scope:
            for row in thread.owner.stage.open_in(scope):
                now = time()
                alone = not rows or (apart is not None and apart(rows[-1][0], now))
                if apart is not None and not alone:
                    rows[-1] = (now, row)
                else:
                    rows.append((now, row))
                if thread.cancelled is not None:
                    raise thread.cancelled  # the stage above swallowed it, and went on
                if alone:
                    arrived.set()
                while apart is None and len(rows) >= self._limit:
                    arrived.set()
                    room.clear()
                    thread.pause(room)

    def _ended(self, error: BaseException | None) -> None:
        self.over = True
        self._failure = error
        self._arrived.set()

    def some(self) -> bool:
        """Waits until there is a row; False after the last one. Raises the failure of the stage after its rows."""
        while not self.rows:
            if self.over:
                if self._failure is not None:
                    raise self._failure
                return False
            self.wait()
        return True

    def wait(self, until: float | None = None) -> None:
        """Waits for a row that is the first, or stands apart; until it is full, or over; or until the loop's time."""
        arrived = self._arrived
        arrived.clear()
        if until is None:
            wait(arrived)
            return
        seconds = until - self.time()
        if seconds > 0:
            timer = self._strand.loop.call_later(seconds, arrived.set)
            try:
                wait(arrived)
            finally:
                timer.cancel()

    def take(self) -> T:
        """The first row. It is no longer held."""
        row = self.rows.popleft()[1]
        self._room.set()
        return row

    def forget(self, before: float) -> None:
        """Lets go of the rows that came before this time."""
        rows = self.rows
        while rows and rows[0][0] < before:
            rows.popleft()
        self._room.set()

    def __enter__(self) -> Arrivals[T]:
        self._background.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        try:
            self._background.close(current() or self._strand)
        except BaseException as failure:
            raise_first(error, [failure])
        finally:
            self._strand.owner.drop([row for came, row in self.rows if came >= self.handed])
            self.rows.clear()
