"""One branch, and a step of it: how it is run, resumed, called off and closed. What is done with several of them is in
`branch.py`.

A branch is always in one of these states: in the queue (``asked``), at a wait of its own (``waits``), at a row that
nobody has taken (``full``), at a row that was taken, and it was not asked for another, running, or ``over``. Only the
queue leads to a step, and a branch is in it once at most; one that has left meanwhile is passed over there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, Final

from greenlet import getcurrent

from . import stopping
from .bodies import Body
from .instruction import TURN, Cooperate, Signal
from .microthread import ROW, Mark, MicroThread, Strand
from .scope import NoLongerRead
from .waits import Told, Wait

if TYPE_CHECKING:
    from .stage import Stage

__all__ = ["NOTHING", "Branch", "Steps"]

NOTHING: Final[Any] = Mark("NOTHING")
"""The row of a branch that has none."""

_NONE: Iterator[Any] = iter(())


class Branch:
    """One input: its stage, its micro-thread, and at most one row ahead of the reader.

    `body` is what runs on its micro-thread: `read`, or ``gather(n)``, whose rows are in its `block`. It is `full` when
    it has a row that was not taken, and `over` when everything that it opened is closed; `failure` is what it ended
    with, if that was not that nobody reads it any longer.
    """

    __slots__ = (
        "asked",
        "block",
        "body",
        "closing",
        "error",
        "failure",
        "full",
        "hub",
        "index",
        "over",
        "piece",
        "priority",
        "row",
        "stage",
        "switch",
        "thread",
        "told",
        "value",
        "wait",
        "waits",
    )

    def __init__(self, stage: Stage[Any], index: int, body: Body, priority: float = 0) -> None:
        self.stage = stage
        self.index = index
        self.body = body
        self.priority = priority  # for queues that look at it
        self.block: list[Any] = []  # of one that gathers: what it has so far
        self.asked = False  # is it in the queue?
        self.closing = False
        self.thread: MicroThread | None = None
        self.wait: Wait | Told | None = None
        self.told: Told | None = None  # the one that it uses again
        self.waits = False
        self.value: Any = None  # what its wait gave, until it is stepped again
        self.error: BaseException | None = None
        self.failure: BaseException | None = None
        self.row: Any = NOTHING
        self.full = False
        self.over = False
        self.piece = _NONE  # rows behind `row` that are there, too: they may be taken without a step
        self.switch: Any = None  # steps its micro-thread, while that is paused at a row
        self.hub: Any = None  # ``hub(ROW)``, on its micro-thread, gives the row to whoever steps it

    @property
    def waits_for(self) -> Any:
        """See `core.stopping`."""
        return stopping.NOTHING if self.wait is None else self.wait.instruction

    def interrupt(self, error: BaseException) -> None:
        """Raises `error` where it waits, if it does."""
        if self.wait is not None:
            self.wait.interrupt(error)

    def take(self) -> Any:
        """Its row. It may then be asked for the next one."""
        row, self.row, self.full = self.row, NOTHING, False
        return row

    def rest(self) -> list[Any]:
        """What it has made and nobody has taken; it has nothing then."""
        rows = [*self.block]
        self.block.clear()
        if self.full and (row := self.take()) is not NOTHING:
            rows.append(row)
        return rows


class Turn(Branch):
    """Stands in the queue for the loop, when a branch has given its turn away: the loop comes behind those that are in
    the queue already. So a thousand branches that each give a turn are given one together.
    """

    __slots__ = ()

    def __init__(self) -> None:
        self.asked = False
        self.over = True  # nothing is to be done for it when the branches are left
        self.priority = -inf


class Steps:
    """The branches of one strand, the queue of those that are to be stepped, and a step of one.

    `every` has the branches that are not over, in the order in which they joined.
    """

    def __init__(self, strand: Strand) -> None:
        self._strand = strand
        self.loop = strand.loop
        self._reader: Any = getcurrent()
        self._signal = Signal()
        self._asked: deque[Branch] = deque()
        self._turn = Turn()
        self._away: dict[Branch, None] = {}  # have given their turn away, and wait for the loop's
        self._pulled = 0  # how many have left the queue, so far
        self._due = 0  # how many will have when those are through that are to have their turn first
        self._waiting = 0
        self._script = hasattr(strand.loop, "block")
        self.every: dict[Branch, None] = {}

    def _put(self, branch: Branch) -> None:
        """Into the queue, once."""
        if not branch.asked:
            branch.asked = True
            self._asked.append(branch)

    def _give(self, branch: Branch) -> bool:
        """It has given its turn away: it is put into the queue again when the loop has had one. At once?"""
        self._away[branch] = None
        turn = self._turn
        run = self._strand.owner
        at_once = run.loop.clock() >= run.deadline  # the slice is used up
        if at_once and turn.asked:
            self._asked.remove(turn)
        if at_once:
            self._asked.appendleft(turn)
        elif not turn.asked:
            self._asked.append(turn)
        turn.asked = True
        return at_once

    def _turn_over(self, waits: bool = True) -> None:
        """The turn of the loop. `waits`: does the reader wait for it?"""
        if self._away:
            if waits:
                self._pause(TURN)
            for branch in self._away:
                self._put(branch)
            self._away.clear()
            self._due = self._pulled + len(self._asked)  # with those that have come back

    def _pull(self) -> Branch:
        """The first one leaves the queue."""
        branch = self._asked.popleft()
        branch.asked = False
        self._pulled += 1
        return branch

    def _pause(self, instruction: Any, handling: BaseException | None = None) -> None:
        """A wait of whoever reads: the strand that opened the stage, or the one that it gave its iterator to."""
        reader = getcurrent()
        (reader if type(reader) is MicroThread else self._strand).pause(instruction, handling)

    def _turn_due(self) -> bool:
        """In a script: must its private loop run, because some branches wait while others are always ready?

        (Everywhere else, whoever reads the run gives the loop its turns.)
        """
        run = self._strand.owner
        if run.deadline == inf:
            run.enter()
        return run.loop.clock() >= run.deadline

    # ---- a step

    def _step(self, branch: Branch) -> Any:
        """Runs a branch until it has a row (ROW), gives its turn away (TURN), waits, or is over (None)."""
        reader = getcurrent()
        if reader is not self._reader:
            self._read_by(reader)
        value, branch.value = branch.value, None
        error, branch.error = branch.error, None
        thread = branch.thread
        if thread is None:
            branch.thread = thread = MicroThread(self._strand.owner, partial(branch.body, branch))
            thread.limit = branch
        try:
            outcome = thread.step(value) if error is None else thread.step_error(error)
        except BaseException as failure:
            error = None  # it has a traceback now, and that has this frame
            self._failed(branch, failure)
            return None
        if outcome is ROW:
            branch.full = True
            branch.switch = thread.switch
            return ROW
        return self._paused(branch, outcome)

    def _read_by(self, reader: Any) -> None:
        """A stage may read some rows of its input itself and give the rest to a branch, which then steps them all.

        (test_branch.py::test_the_rest_of_the_rows_may_be_read_by_another_strand)
        """
        self._reader = reader
        for branch in self.every:
            branch.hub = reader.switch
            if branch.thread is not None:
                branch.thread.parent = reader

    def _paused(self, branch: Branch, outcome: Any) -> Any:
        """A branch came back with something else than a row."""
        branch.switch = None
        if outcome is None:
            self._over(branch)
        elif type(outcome) is Cooperate and outcome.seconds == 0:
            return TURN
        else:
            thread = branch.thread
            assert thread is not None
            self._waiting += 1
            branch.waits = True
            if type(outcome) is Signal and thread.handling is None:
                told = branch.told
                if told is None:
                    branch.told = told = Told(self, branch)
                branch.wait = outcome.waiter = told
                told.signal = outcome
                told.armed = True
                if outcome.happened:  # published first, and looked at after: see Signal.callLater
                    told()
                return outcome
            closing = branch.closing
            wait = Wait(thread, outcome, partial(self.resumed, branch))
            if branch.waits:  # otherwise its resume was called at once
                branch.wait = wait
                if branch.closing and not closing:  # what it began to wait for has cancelled it
                    self._call_off(branch)
        return outcome

    def resumed(self, branch: Branch, value: Any, error: BaseException | None) -> None:
        branch.wait = None
        branch.waits = False
        self._waiting -= 1
        branch.value, branch.error = value, error
        self._put(branch)
        self._signal.set()

    def _failed(self, branch: Branch, failure: BaseException) -> None:
        self._over(branch)
        if not (isinstance(failure, NoLongerRead) and branch.closing):
            branch.failure = failure

    def _over(self, branch: Branch) -> None:
        branch.over = True
        thread, branch.thread = branch.thread, None
        if thread is not None:  # nothing refers to it in a circle: see Run.end
            thread.cancelled = thread.handling = thread.scope = thread.limit = None
        branch.switch = branch.hub = None
        branch.piece = _NONE
        branch.told = None
        self.every.pop(branch, None)

    # ---- closing

    def _cancel(self, branch: Branch, left: list[Any], keep: bool = False) -> None:
        """Has a branch end: it steps with a cancel, now or when what it awaits has ended. What it has made is `left`.

        A branch that runs (it has itself cancelled) goes on until it waits or has a row. `keep`: see `_call_off`.
        """
        left += branch.rest()
        self._away.pop(branch, None)
        branch.piece = _NONE
        branch.closing = True
        branch.switch = None
        if branch.thread is not None:
            branch.thread.cancelled = NoLongerRead(branch.stage)
            self._call_off(branch, keep)
        elif not branch.over:  # it was never started
            self._over(branch)

    def _call_off(self, branch: Branch, keep: bool = False) -> None:
        """`keep`: an error that its wait has given stays, and is raised there in place of the cancel."""
        assert branch.thread is not None
        assert branch.thread.cancelled is not None
        if branch.wait is not None:
            if branch.wait.cancel(branch.thread.cancelled):
                return  # it is resumed when what it awaits has ended
            branch.wait = None
            branch.waits = False
            self._waiting -= 1
        if branch.error is None or not keep:
            branch.error = branch.thread.cancelled
        if not branch.waits:
            self._put(branch)

    def _step_out(self, branch: Branch, left: list[Any], failures: list[BaseException]) -> Any:
        """A step of a branch that is being closed: it is to be stepped until it waits, or is over."""
        outcome = self._step(branch)
        if outcome is None:
            if branch.failure is not None:
                failures.append(branch.failure)
        elif outcome is ROW:  # it swallowed the cancel and made a row: it is asked again
            left += branch.rest()
            branch.switch = None
            assert branch.thread is not None
            branch.error = branch.thread.cancelled
        return outcome

    def _hold_out(self, instruction: Any, failures: list[BaseException]) -> None:
        """A wait while branches are closed: what is raised at it joins the rest, and the closing goes on."""
        interrupt = next((each for each in failures if not isinstance(each, Exception)), None)
        try:
            self._pause(instruction, interrupt)
        except BaseException as failure:
            failures.append(failure)
