"""Several micro-threads under one: the inputs of a stage that reads more than one source, or that keeps time.

Each branch reads one stage on a micro-thread of its own and owns its wait: it is resumed by the thing it waits for
and by nothing else. (2003 polled every branch on any wake-up; almost all of its bugs came from there.) A branch that
has a row is resumed by a direct switch; one that waits is put back into the queue by its own resume.

`Branches` is used by one strand, the one that combines: it asks for the next branch that has something, at most until
a time of the loop's clock, and it is left like a scope, which cancels and closes every branch and returns when all of
it is done. Branches may join and leave while it goes on. A step of a branch is in `steps.py`.

A branch works when its reader asks. What is to go on while its reader is busy is in `background.py`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Generator, Sequence
from math import inf
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, cast

from greenlet import getcurrent

from .bodies import Body, read
from .instruction import TURN, Handle
from .microthread import ROW, Mark, Strand
from .scope import raise_first
from .steps import NOTHING, Branch, Steps

if TYPE_CHECKING:
    from .stage import Stage

__all__ = ["LATE", "NOW", "Branch", "Branches", "ByPriority"]

LATE: Final[Any] = Mark("LATE")
"""What `Branches.next` gives when the time is up."""

NOW: Final = -inf
"""The time for `Branches.next` that asks what is there without a wait."""


class Branches(Steps):
    """The branches of one combining stage.

    Guarantees: `next` serves the branches that can go on in turn, so one that is always ready can't keep the others
    from their turn; rows that were made before a failure are handed out before it is raised; on leaving, every branch
    is cancelled at its wait, all cleanups run (those that wait, side by side), and a failure among them joins the
    first one. Steps and joins cost the same however many branches there are.

    ``keep(branch)`` is asked when a branch has failed: when it is true, the branch is over, with its `failure`, and
    the others go on; `kept` has the failures, which join the one that ends the stage, if one does.
    """

    def __init__(
        self,
        strand: Strand,
        stages: Sequence[Stage[Any]] = (),
        body: Body = read,
        keep: Callable[[Branch], bool] | None = None,
    ) -> None:
        super().__init__(strand)
        self.lasting = False  # does `next` wait for branches to join, when all have ended?
        self.owing = False  # are kept failures raised, too, when the reader leaves early?
        self.kept: list[BaseException] = []
        self._keep = keep
        self._joined = 0
        for stage in stages:
            self.add(stage, body)

    # ---- joining and leaving

    def add(self, stage: Stage[Any], body: Body = read, priority: float = 0) -> Branch:
        """One more branch, asked for its first row. On the loop's thread; the reader may be waiting in `next`."""
        branch = Branch(stage, self._joined, body, priority)
        branch.hub = self._reader.switch
        self._joined += 1
        self.every[branch] = None
        self._put(branch)
        self._signal.set()
        return branch

    def remove(self, branch: Branch) -> None:
        """Cancels a branch, and returns when it is closed; a row that it had is dropped. Raises what its closing does.

        For the strand that combines, which does not wait in `next` then. What was raised is not raised again.
        """
        left: list[Any] = []
        failures: list[BaseException] = []
        if not branch.closing:
            self._cancel(branch, left)
        while not branch.over:
            if branch.waits:
                self._signal.clear()
                self._hold_out(self._signal, failures)
            elif self._step_out(branch, left, failures) is TURN:
                self._hold_out(TURN, failures)
        if branch.asked and branch in self._asked:
            # Behind one that always has a row it would never be taken out, and keep its rows alive
            # (test_every_stage.py::test_it_holds_no_more_than_it_says).
            self._asked.remove(branch)
            branch.asked = False
        self._strand.owner.drop(left)
        if failures:
            raise_first(None, failures)

    def cancel(self, branch: Branch) -> None:
        """Has a branch leave: cancelled where it waits, there and then, and closed as `next` goes on. A row that it
        had is dropped.

        On the loop's thread, by anybody: by the branch itself, too, which gets as far as its next wait or row.
        """
        if not branch.closing:
            left: list[Any] = []
            self._cancel(branch, left)
            self._signal.set()
            self._strand.owner.drop(left)

    def end(self) -> None:
        """No more branches will join: `next` gives None when those that are there have ended."""
        self.lasting = False
        self._signal.set()

    # ---- reading

    def ask(self, branch: Branch) -> None:
        """Lets a branch whose row was taken work on its next one, when `next` comes to it."""
        if not branch.over:
            self._put(branch)

    def first(self, branch: Branch) -> None:
        """Has `next` come to this branch before the others that were asked. (It looks through them: for few.)"""
        if branch.asked and self._asked[0] is not branch:
            self._asked.remove(branch)
            self._asked.appendleft(branch)

    def rows(self) -> Generator[Any]:
        """The rows of all branches as they come, in turn: what `Merge` hands on. It enters and leaves the branches."""
        asked, current, script = self._asked, getcurrent, self._script
        loop, run = self.loop, self._strand.owner
        # Paused at a row that was taken, or where it gave its turn away: they are stepped without the queue.
        ready: list[Branch] = []
        with self:
            while True:
                # Not those that come meanwhile: the ready ones have their turn first.
                self._due = self._pulled + len(asked)
                while self._pulled < self._due or not ready:
                    branch = self._serve() if ready else self.next()
                    if branch is None:
                        break
                    if branch.full:
                        yield branch.take()
                        ready.append(branch)
                if not ready:
                    break
                reader, same = self._reader, True
                while same:
                    gave = False
                    for branch in ready:
                        row = next(branch.piece, NOTHING)
                        if row is not NOTHING:
                            yield row
                            continue
                        switch = branch.switch
                        if switch is None:  # it was cancelled meanwhile
                            same = False
                            continue
                        if current() is not reader:
                            reader = current()
                            self._read_by(reader)
                        try:
                            outcome = switch()  # there and back, and the row
                        except BaseException as failure:
                            same = False
                            self._failed(branch, failure)
                            self._raise(branch)
                            continue
                        if outcome is ROW:
                            yield branch.row
                        elif outcome is TURN and loop.clock() < run.deadline:
                            gave = True  # it stays with the others: they are all given one turn together
                        else:
                            same = False
                            if self._paused(branch, outcome) is TURN and self._give(branch):
                                break
                    if gave or (script and self._waiting and self._turn_due()):
                        self._pause(TURN)
                    if asked:
                        break
                if not same:
                    ready = [branch for branch in ready if branch.switch is not None]
            self.raise_kept()

    def raise_kept(self) -> None:
        """When all is done: raises the failures that were kept."""
        if self.kept:
            failures, self.kept = self.kept, []
            raise_first(None, failures)

    def next(self, until: float | None = None) -> Branch | None:
        """The next branch that has a row (`full`) or has ended (`over`); None when nothing more can come.

        Waits where it must; until the loop's time is `until`, where that is given: then LATE, if no branch has
        anything (``NOW``: it does not wait at all). With a time it never gives None: who has asked no branch waits for
        the time alone. Raises a failure that is not kept, when the rows before it have been handed out.
        """
        if self._script and self._waiting and until != NOW and self._turn_due():
            self._pause(TURN)
        while True:
            while self._asked:
                branch = self._serve(until)
                if branch is not None:
                    return branch
            if until is None:
                if not self._waiting and not self.lasting:
                    return None
                self._signal.clear()
                self._pause(self._signal)
            elif self._wait_until(until):
                return cast("Branch", LATE)

    def _serve(self, until: float | None = None) -> Branch | None:
        """The next branch of the queue that has something; None when there is none, and after a turn of the loop."""
        while self._asked:
            branch = self._pull()
            if branch is self._turn:
                self._turn_over(waits=until != NOW)
                if until is not None and self._strand.loop.time() >= until:
                    return cast("Branch", LATE)
                return None
            if branch.over or branch.waits or branch.full:
                continue
            outcome = self._go_on(branch)
            if outcome is ROW or (outcome is None and not branch.closing):
                return branch
        return None

    def give_turn(self) -> None:
        """Gives the loop its turn when the slice is used up: for who takes rows and does not hand them on."""
        if self._strand.loop.clock() >= self._strand.owner.deadline:
            self._pause(TURN)

    def wait_for(self, branch: Branch) -> bool:
        """Waits until this branch has a row: True; or has ended: False. Asks it, if it was not asked.

        The others that were asked work on their next rows only where it waits.
        """
        if not (branch.full or branch.over or branch.waits) and self._go_on(branch) is TURN:
            self._turn_over()
        while not (branch.full or branch.over):
            self.next()
        return branch.full

    def _go_on(self, branch: Branch) -> Any:
        """As `_step`, and raises a failure that is not kept. A branch that gave its turn away is asked again."""
        row = next(branch.piece, NOTHING)
        if row is not NOTHING:  # it is there: no step is needed
            branch.row, branch.full = row, True
            return ROW
        switch = branch.switch
        if switch is not None and getcurrent() is self._reader:
            # The short way for a branch that is paused at a row that was taken.
            try:
                outcome = switch()
            except BaseException as failure:
                self._failed(branch, failure)
                outcome = None
            else:
                if outcome is ROW:
                    branch.full = True
                    return ROW
                outcome = self._paused(branch, outcome)
        elif branch.closing:
            left: list[Any] = []
            outcome = self._step_out(branch, left, [])
            if outcome is ROW:
                self._put(branch)
                outcome = NOTHING
            self._strand.owner.drop(left)
        else:
            outcome = self._step(branch)
        if outcome is None:
            self._raise(branch)
        elif outcome is TURN:
            self._give(branch)
        return outcome

    def _raise(self, branch: Branch) -> None:
        failure = branch.failure
        if failure is None:
            return
        if not isinstance(failure, Exception) or not self._keeps(branch):
            raise failure
        self.kept.append(failure)

    def _keeps(self, branch: Branch) -> bool:
        """It has failed: may the others go on?"""
        return self._keep is not None and self._keep(branch)

    def _wait_until(self, until: float) -> bool:
        """Waits for a branch or for the time; was it the time? There is a timer only while there is a wait."""
        loop = self._strand.loop
        seconds = until - loop.time()
        if seconds <= 0:
            return True
        self._signal.clear()
        timer: Handle = loop.call_later(seconds, self._signal.set)
        try:
            self._pause(self._signal)
        finally:
            timer.cancel()
        return False

    # ---- leaving all of them

    def __enter__(self) -> Branches:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        # Where a failure ends the stage, those that were kept join it. Where the reader has had enough, they lie ahead
        # of what was asked for, as a row that nobody takes.
        failed = error is not None and not isinstance(error, GeneratorExit)
        failures: list[BaseException] = []
        before: list[BaseException] = []
        left: list[Any] = []
        if failed or self.owing:
            before, self.kept = self.kept, []
        for branch in list(self.every):
            if not branch.closing:
                self._cancel(branch, left, keep=failed)  # a wait that has failed joins the failure, too
        while self._asked or self._waiting:
            while self._asked:
                branch = self._pull()
                if branch.over or branch.waits:
                    continue
                outcome = self._step_out(branch, left, failures)
                if outcome is ROW or outcome is TURN:
                    self._put(branch)
                if outcome is TURN:
                    self._hold_out(TURN, failures)
            self._signal.clear()
            if self._waiting:
                self._hold_out(self._signal, failures)
        self._strand.owner.drop(left)
        failures = [failure for failure in failures if failure is not error]
        if before:
            raise_first(None, [*before, *([] if error is None else [error]), *failures])
        elif failures:
            raise_first(error, failures)


class ByPriority(Branches):
    """Branches of which the one with the lowest number is stepped first, of those that can go on; equals in turn."""

    def __init__(self, strand: Strand, keep: Callable[[Branch], bool] | None = None) -> None:
        super().__init__(strand, keep=keep)
        self._turned: Branch | None = None  # has given its turn away, and no row since then
        self._passed: list[Branch] = []  # those that let another one go before

    def ask(self, branch: Branch) -> None:
        if branch is self._turned:
            self._turned = None
        super().ask(branch)

    def rows(self) -> Generator[Any]:
        with self:
            while (branch := self.next()) is not None:
                if branch.full:
                    yield branch.take()
                    self.ask(branch)
            self.raise_kept()

    def _put(self, branch: Branch) -> None:
        if not branch.asked:
            branch.asked = True
            place = bisect_right(self._asked, branch.priority, key=lambda other: other.priority)
            self._asked.insert(place, branch)

    def _give(self, branch: Branch) -> bool:
        """One that gives its turn away twice, and no row between, works without one: it lets one other go before."""
        if branch is self._turned and self._asked:
            self._turned = None
            self._passed.append(branch)
        else:
            self._turned = branch
            self._put(branch)
        self._put(self._turn)
        return True

    def _turn_over(self, waits: bool = True) -> None:
        if waits:
            self._pause(TURN)

    def _pull(self) -> Branch:
        branch = super()._pull()
        while self._passed and branch is not self._turn:
            self._put(self._passed.pop())
        return branch
