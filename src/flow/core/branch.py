"""Several micro-threads under one: the inputs of a stage that reads more than one source.

Each branch reads one stage on a micro-thread of its own and owns its wait: it is resumed by the thing it waits for
and by nothing else. (2003 polled every branch on any wake-up; almost all of its bugs came from there.) A branch that
has a row is resumed by a direct switch; one that waits is put back into the queue by its own resume.

`Branches` is used by one strand, the one that combines: it asks for the next branch that has something, and it is
left like a scope, which cancels and closes every branch and returns when all of it is done.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ..errors import Cancelled
from .instruction import TURN, Cooperate, Signal
from .microthread import ROW, MicroThread, Strand
from .run import Scope, Wait, joined

if TYPE_CHECKING:
    from .stage import Stage

__all__ = ["Branch", "Branches"]


class Branch:
    """One input: its stage, its micro-thread, and at most one row ahead of the reader."""

    __slots__ = ("error", "full", "index", "over", "row", "stage", "thread", "value", "wait", "waits")

    def __init__(self, stage: Stage[Any], index: int) -> None:
        self.stage = stage
        self.index = index
        self.thread: MicroThread | None = None
        self.wait: Wait | None = None
        self.waits = False
        self.value: Any = None  # what its wait gave, until it is stepped again
        self.error: BaseException | None = None
        self.row: Any = None
        self.full = False
        self.over = False

    def take(self) -> Any:
        """Its row. It may then be asked for the next one."""
        row, self.row, self.full = self.row, None, False
        return row


def _read(thread: MicroThread, branch: Branch) -> None:
    """What runs on a branch's micro-thread."""
    with Scope(thread) as scope:
        for row in branch.stage.open_in(scope):
            branch.row = row
            branch.full = True
            thread.pause(ROW)


class Branches:
    """The branches of one combining stage, in the order of its inputs.

    Guarantees: `next` serves the branches that can go on in turn, so one that is always ready can't keep the others
    from their turn; rows that were made before a failure are handed out before it is raised; on leaving, every branch
    is cancelled at its wait, all cleanups run (those that wait, side by side), and a failure among them joins the
    first one.
    """

    def __init__(self, strand: Strand, stages: Sequence[Stage[Any]]) -> None:
        self._strand = strand
        self._signal = Signal()
        self._asked: deque[Branch] = deque()
        self._failures: list[BaseException] = []
        self._closing = False
        self._waiting = 0
        self.every = [Branch(stage, index) for index, stage in enumerate(stages)]
        self.open = len(self.every)
        for branch in self.every:
            self._asked.append(branch)

    def ask(self, branch: Branch) -> None:
        """Lets a branch whose row was taken work on its next one, when `next` comes to it."""
        if not branch.over:
            self._asked.append(branch)

    def next(self) -> Branch | None:
        """The next branch that has a row (`full`) or has ended (`over`); None when nothing more can come.

        Waits where it must. Raises the failure of a branch: the rows that it made before were handed out before.
        """
        while True:
            while self._asked:
                branch = self._asked.popleft()
                outcome = self._step(branch)
                if self._failures:
                    raise self._failures[0]
                if outcome is ROW or outcome is None:
                    return branch
                if outcome is TURN:
                    self._asked.append(branch)
                    self._strand.pause(TURN)
            if not self._waiting:
                return None
            self._signal.clear()
            if not self._asked:
                self._strand.pause(self._signal)

    def _step(self, branch: Branch) -> Any:
        """Runs a branch until it has a row, waits, gives its turn away, or is over."""
        value, branch.value = branch.value, None
        error, branch.error = branch.error, None
        thread = branch.thread
        try:
            if thread is None:
                branch.thread = thread = MicroThread(self._strand.owner, lambda thread: _read(thread, branch))
            outcome = thread.step(value) if error is None else thread.step_error(error)
        except BaseException as failure:
            self._ended(branch)
            if not (isinstance(failure, Cancelled) and self._closing):
                self._failures.append(failure)
            return None
        if outcome is None:
            self._ended(branch)
        elif outcome is ROW:
            pass
        elif type(outcome) is Cooperate and outcome.seconds == 0:
            return TURN
        else:
            self._waiting += 1
            branch.waits = True
            wait = Wait(thread, outcome, lambda value, error: self._resumed(branch, value, error))
            branch.wait = wait if branch.waits else None  # its resume may have been called at once
        return outcome

    def _resumed(self, branch: Branch, value: Any, error: BaseException | None) -> None:
        branch.wait = None
        branch.waits = False
        self._waiting -= 1
        branch.value, branch.error = value, error
        self._asked.append(branch)
        self._signal.set()

    def _ended(self, branch: Branch) -> None:
        branch.over = True
        branch.thread = None
        self.open -= 1

    def __enter__(self) -> Branches:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        self._closing = True
        self._asked.clear()
        left = [branch.take() for branch in self.every if branch.full]
        for branch in self.every:
            thread = branch.thread
            if thread is None:
                continue
            if branch.wait is not None:
                branch.wait.give_up()
                branch.wait = None
                branch.waits = False
                self._waiting -= 1
            thread.cancelled = Cancelled(f"flow: {branch.stage!r} is no longer read")
            if branch.error is None:  # else its own wait has failed already, and that failure must not be lost
                branch.error = thread.cancelled
            self._asked.append(branch)
        while self._asked or self._waiting:
            while self._asked:
                branch = self._asked.popleft()
                outcome = self._step(branch)
                if outcome is ROW:  # it swallowed the cancel and made a row: ask it again
                    left.append(branch.take())
                    assert branch.thread is not None
                    branch.error = branch.thread.cancelled
                    self._asked.append(branch)
                elif outcome is TURN:
                    self._asked.append(branch)
                    self._pause(TURN)
            self._signal.clear()
            if self._waiting and not self._asked:
                self._pause(self._signal)
        self._strand.owner.drop(left)
        failures = [failure for failure in self._failures if failure is not error]
        if failures:
            leader = joined(error, failures)
            if leader is not error:
                raise leader from None

    def _pause(self, instruction: Any) -> None:
        """A wait while the branches are closed: what is raised at it joins the rest, and the closing goes on."""
        try:
            self._strand.pause(instruction)
        except BaseException as failure:
            self._failures.append(failure)
