"""Several micro-threads under one: the inputs of a stage that reads more than one source, or that keeps time.

Each branch reads one stage on a micro-thread of its own and owns its wait: it is resumed by the thing it waits for
and by nothing else. (2003 polled every branch on any wake-up; almost all of its bugs came from there.) A branch that
has a row is resumed by a direct switch; one that waits is put back into the queue by its own resume.

`Branches` is used by one strand, the one that combines: it asks for the next branch that has something, at most until
a time of the loop's clock, and it is left like a scope, which cancels and closes every branch and returns when all of
it is done. Branches may join and leave while it goes on.

A branch works when its reader asks. What is to go on while its reader is busy is in `background.py`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from functools import partial
from itertools import islice
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, cast

from .driven import Wait
from .instruction import TURN, Cooperate, Handle, Signal
from .microthread import ROW, Mark, MicroThread, Strand
from .run import NoLongerRead, Scope, raise_first

if TYPE_CHECKING:
    from .stage import Stage

__all__ = ["LATE", "Branch", "Branches", "gather", "read"]

LATE: Final[Any] = Mark("LATE")
"""What `Branches.next` gives when the time is up."""


class Branch:
    """One input: its stage, its micro-thread, and at most one row ahead of the reader.

    `body` is what runs on its micro-thread: `read`, or ``gather(n)``, whose row is a list.
    """

    __slots__ = (
        "block",
        "body",
        "closing",
        "error",
        "full",
        "index",
        "over",
        "row",
        "stage",
        "switch",
        "thread",
        "value",
        "wait",
        "waits",
    )

    def __init__(self, stage: Stage[Any], index: int, body: Body) -> None:
        self.stage = stage
        self.index = index
        self.body = body
        self.block: list[Any] = []  # of one that gathers: what it has so far
        self.closing = False
        self.thread: MicroThread | None = None
        self.wait: Wait | None = None
        self.waits = False
        self.value: Any = None  # what its wait gave, until it is stepped again
        self.error: BaseException | None = None
        self.row: Any = None
        self.full = False
        self.over = False
        self.switch: Any = None  # steps its micro-thread, while that is paused at a row

    def take(self) -> Any:
        """Its row. It may then be asked for the next one."""
        row, self.row, self.full = self.row, None, False
        return row


Body = Callable[[Branch, MicroThread], None]


def read(branch: Branch, thread: MicroThread) -> None:
    """What runs on a branch's micro-thread: one row at a time."""
    hub = thread.parent.switch  # a branch is stepped by one strand only, so its parent stays what it is
    with Scope(thread) as scope:
        for row in branch.stage.open_in(scope):
            branch.row = row
            hub(ROW)


def gather(n: int) -> Body:
    """What runs on a branch's micro-thread: `n` rows at a time, at the speed of list.extend.

    Whenever the branch is paused, the rows that it has so far are in ``branch.block``, and may be taken from there
    (``branch.block.clear()``: a list may be emptied while it is being extended). The row that it gives when it has `n`
    is nothing: they are in the block, too. The last ones are there when it is over.
    """

    def body(branch: Branch, thread: MicroThread) -> None:
        hub = thread.parent.switch
        block = branch.block
        with Scope(thread) as scope:
            rows = branch.stage.open_in(scope)
            for row in rows:
                block.append(row)
                if len(block) < n:
                    block.extend(islice(rows, n - len(block)))
                if len(block) >= n:
                    hub(ROW)

    return body


class Branches:
    """The branches of one combining stage, in the order of its inputs.

    Guarantees: `next` serves the branches that can go on in turn, so one that is always ready can't keep the others
    from their turn; rows that were made before a failure are handed out before it is raised; on leaving, every branch
    is cancelled at its wait, all cleanups run (those that wait, side by side), and a failure among them joins the
    first one.
    """

    def __init__(self, strand: Strand, stages: Sequence[Stage[Any]] = (), body: Body = read) -> None:
        self._strand = strand
        self._signal = Signal()
        self._asked: deque[Branch] = deque()
        self._failures: list[BaseException] = []
        self._waiting = 0
        self._joined = 0
        self.every: list[Branch] = []
        self.open = 0
        for stage in stages:
            self.add(stage, body)

    def add(self, stage: Stage[Any], body: Body = read) -> Branch:
        """One more branch, asked for its first row. On the loop's thread; the reader may be waiting in `next`."""
        branch = Branch(stage, self._joined, body)
        self._joined += 1
        self.open += 1
        self.every.append(branch)
        self._asked.append(branch)
        self._signal.set()
        return branch

    def remove(self, branch: Branch) -> None:
        """Cancels a branch, and returns when it is closed; a row that it had is dropped. Raises what its closing does.

        Not while the strand waits in `next`.
        """
        if branch in self._asked:
            self._asked.remove(branch)
        left = self._cancel(branch)
        while not branch.over:
            if branch.waits:
                self._signal.clear()
                if branch.waits:
                    self._pause(self._signal)
                continue
            self._asked.remove(branch)
            left += self._step_out(branch)
        if branch in self.every:
            self.every.remove(branch)
        self._strand.owner.drop(left)
        if self._failures:
            raise self._failures[0]

    def ask(self, branch: Branch) -> None:
        """Lets a branch whose row was taken work on its next one, when `next` comes to it."""
        if not branch.over:
            self._asked.append(branch)

    def rows(self) -> Generator[Any]:
        """The rows of all branches as they come, in turn: what `Merge` hands on."""
        asked = self._asked
        while True:
            if not asked or (switch := asked[0].switch) is None:
                branch = self.next()
                if branch is None:
                    return
                if branch.full:
                    yield branch.take()
                    self.ask(branch)
                continue
            # The short way for a branch that is paused at its last row: a switch there and back, and the row.
            branch = asked.popleft()
            try:
                outcome = switch()
            except BaseException as failure:
                self._failed(branch, failure)
                raise
            if outcome is ROW:
                yield branch.row
                asked.append(branch)
            elif self._paused(branch, outcome) is TURN:
                asked.append(branch)
                self._strand.pause(TURN)

    def next(self, until: float | None = None) -> Branch | None:
        """The next branch that has a row (`full`) or has ended (`over`); None when nothing more can come.

        Waits where it must; until the loop's time is `until`, where that is given: then LATE. (With a time it never
        gives None: who has asked no branch waits for the time alone.) Raises the failure of a branch: the rows that it
        made before were handed out before.
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
                    if until is not None and self._strand.loop.time() >= until:
                        return cast("Branch", LATE)
            if until is None:
                if not self._waiting:
                    return None
                self._signal.clear()
                if not self._asked:
                    self._strand.pause(self._signal)
            elif self._wait_until(until):
                return cast("Branch", LATE)

    def _wait_until(self, until: float) -> bool:
        """Waits for a branch or for the time; was it the time? There is a timer only while there is a wait."""
        loop = self._strand.loop
        seconds = until - loop.time()
        if seconds <= 0:
            return True
        self._signal.clear()
        if not self._asked:
            timer: Handle = loop.call_later(seconds, self._signal.set)
            try:
                self._strand.pause(self._signal)
            finally:
                timer.cancel()
        return False

    def _step(self, branch: Branch) -> Any:
        """Runs a branch until it has a row (ROW), gives its turn away (TURN), waits, or is over (None)."""
        value, branch.value = branch.value, None
        error, branch.error = branch.error, None
        thread = branch.thread
        if thread is None:
            branch.thread = thread = MicroThread(self._strand.owner, partial(branch.body, branch))
        try:
            outcome = thread.step(value) if error is None else thread.step_error(error)
        except BaseException as failure:
            self._failed(branch, failure)
            return None
        if outcome is ROW:
            branch.full = True
            branch.switch = thread.switch
            return ROW
        return self._paused(branch, outcome)

    def _paused(self, branch: Branch, outcome: Any) -> Any:
        """A branch came back with something else than a row."""
        branch.switch = None
        if outcome is None:
            self._over(branch)
        elif type(outcome) is Cooperate and outcome.seconds == 0:
            return TURN
        else:
            assert branch.thread is not None
            self._waiting += 1
            branch.waits = True
            wait = Wait(branch.thread, outcome, partial(self._resumed, branch))
            branch.wait = wait if branch.waits else None  # its resume may have been called at once
        return outcome

    def _resumed(self, branch: Branch, value: Any, error: BaseException | None) -> None:
        branch.wait = None
        branch.waits = False
        self._waiting -= 1
        branch.value, branch.error = value, error
        self._asked.append(branch)
        self._signal.set()

    def _failed(self, branch: Branch, failure: BaseException) -> None:
        self._over(branch)
        if not (isinstance(failure, NoLongerRead) and branch.closing):
            self._failures.append(failure)

    def _over(self, branch: Branch) -> None:
        branch.over = True
        branch.thread = None
        branch.switch = None
        self.open -= 1

    def __enter__(self) -> Branches:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._asked.clear()
        left: list[Any] = []
        for branch in self.every:
            # Where a failure ends the stage, a wait that has failed, too, must join it. Where the reader has had
            # enough, such a failure lies ahead of what was asked for, as a row that nobody takes.
            left += self._cancel(branch, keep=error is not None and not isinstance(error, GeneratorExit))
        while self._asked or self._waiting:
            while self._asked:
                left += self._step_out(self._asked.popleft())
            self._signal.clear()
            if self._waiting and not self._asked:
                self._pause(self._signal)
        self._strand.owner.drop(left)
        failures = [failure for failure in self._failures if failure is not error]
        if failures:
            raise_first(error, failures)

    def _cancel(self, branch: Branch, keep: bool = False) -> list[Any]:
        """Has a branch end: it is asked to step with a cancel, now or when what it awaits has ended. Returns its rows.

        `keep`: an error that its wait has given stays, and comes in place of the cancel.
        """
        left = [branch.take()] if branch.full else []
        if branch.body is not read:
            left = [*branch.block]
            branch.block.clear()
        thread = branch.thread
        branch.closing = True
        if thread is None:
            if not branch.over:  # it was never started
                self._over(branch)
            return left
        thread.cancelled = NoLongerRead(branch.stage)
        branch.switch = None
        if branch.wait is not None:
            if branch.wait.cancel(thread.cancelled):
                return left  # it is resumed when what it awaits has ended
            branch.wait = None
            branch.waits = False
            self._waiting -= 1
        if branch.error is None or not keep:
            branch.error = thread.cancelled
        self._asked.append(branch)
        return left

    def _step_out(self, branch: Branch) -> list[Any]:
        """One step of a branch that is being closed. Returns the rows that it makes nevertheless."""
        outcome = self._step(branch)
        left: list[Any] = []
        if outcome is ROW:  # it swallowed the cancel and made a row: ask it again
            row = branch.take()
            left = [row] if branch.body is read else [*branch.block]
            branch.block.clear()
            branch.switch = None
            assert branch.thread is not None
            branch.error = branch.thread.cancelled
            self._asked.append(branch)
        elif outcome is TURN:
            self._asked.append(branch)
            self._pause(TURN)
        return left

    def _pause(self, instruction: Any) -> None:
        """A wait while the branches are closed: what is raised at it joins the rest, and the closing goes on."""
        interrupt = next((each for each in self._failures if not isinstance(each, Exception)), None)
        try:
            self._strand.pause(instruction, interrupt)
        except BaseException as failure:
            self._failures.append(failure)
