"""Concurrent calls: a function of one row, called for several rows at a time.

A call is a `Job`: its row, and later what it gave. One `Calls` holds the jobs of one run. Three parties work on it::

    the feeder      reads the input on a micro-thread of its own, and makes jobs of its rows (`feeder.py`)
    the workers     make the calls (`workers.py`; `offload/executors.py` where somebody else's threads do)
    the reader      hands on what the calls gave, in the order of the rows or as they finish

The one bound is `ahead`: so many rows are in hand, that is, read from the input and not handed on to the reader: not
begun, in work, or done and waiting for their turn. The feeder reads while there is room. So nothing depends on how busy
the reader is, but that it makes room.

What may live here: what is to be called, when, and what becomes of it. Who makes the calls is not known here.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Generator, Hashable, Iterator
from itertools import count
from math import inf
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from greenlet import getcurrent

from ..core.instruction import Signal
from ..core.microthread import MicroThread, Strand
from ..core.scope import Scope, raise_first
from ..core.stage import Stage
from .calls import MOST_FAILURES, Manner, left_out
from .feeder import Feeder
from .transform import is_async

if TYPE_CHECKING:
    from .workers import Workers

__all__ = ["BEGUN", "Calls", "Job", "concurrently"]

WAITING, BEGUN, DONE, FAILED, SPARED, CALLED_OFF = range(6)
"""The states of a job. FAILED: its failure is one of the run. SPARED: it failed, and `on_row_error` sees to it."""


class Job:
    """One row, and what became of its call: a value, or an error. `index` is its place in the input."""

    __slots__ = ("index", "key", "outcome", "row", "state")

    key: Hashable
    outcome: Any

    def __init__(self, row: Any, index: int) -> None:
        self.row = row
        self.index = index
        self.state = WAITING


_by_index = attrgetter("index")
NOTHING: Final = -1


class Calls:
    """The calls of one run: what is in hand, and where each row of it stands.

    Guarantees: at most `ahead` rows are in hand, and `concurrency` in work; rows of one key are called one after
    another, in order; the reader is woken by the row that it waits for, by the end, and by nothing else; whatever is in
    hand when the run ends is dropped and counted, once.

    `line` has the jobs that the reader will take: all of them in the order of the input, or (unordered) those that are
    over, as they ended. `ready` has those that may begin. A job whose index is not below `limit` does not begin any
    more: that is how failures end things.
    """

    def __init__(self, how: Manner, source: Stage[Any], stage: Stage[Any], strand: Strand) -> None:
        self.how = how
        self.source = source
        self.stage = stage
        self.strand = strand
        self.line: deque[Job] = deque()
        self.ready: deque[Job] = deque()
        self.lanes: dict[Hashable, deque[Job]] = {}  # of keys with a job in work or in `ready`
        self.behind = 0  # jobs in lanes: they wait for one of their key
        self.held = 0  # rows in hand
        self.peak = 0
        self.begun = 0  # how often a call was begun
        self.in_flight = 0
        self.limit: float = inf
        self.closed = False
        # A script's loop runs only while the script waits, so whatever is put off to its next turn can be done then. It
        # needs no turns, and where nothing waits it is not made at all.
        self.in_script = not isinstance(strand, MicroThread)
        self.arrived = Signal()
        self.hungry = False  # the feeder rests, and is to be told when there is room
        self.input_over = False
        self.input_failure: BaseException | None = None
        self.failures: list[BaseException] = []  # those that the reader has come to
        self.failed_calls = 0
        self.left: list[Any] = []  # rows that were read, and results that were made, and will not be handed on
        self.cut: list[Any] = []  # rows whose call was cancelled
        self.workers: Workers
        self.feeder: Feeder
        self._numbers = count()

    # ---- what a handle of the run may want to know

    @property
    def waiting(self) -> int:
        """Rows that were read and whose call has not begun."""
        return len(self.ready) + self.behind

    # ---- the feeder's side

    @property
    def room(self) -> int:
        return 0 if self.limit < inf else self.how.ahead - self.held

    def add(self, rows: list[Any]) -> None:
        """Rows of the input: jobs, that may begin."""
        jobs = list(map(Job, rows, self._numbers))
        self._take_in(jobs)
        if self.limit == inf:
            self.ready += jobs
            self.workers.look()

    def add_keyed(self, rows: list[tuple[Any, Hashable]]) -> None:
        """Rows with their keys: those whose key has work wait for it."""
        jobs = [Job(row, index) for (row, _), index in zip(rows, self._numbers, strict=False)]
        self._take_in(jobs)
        for job, (_, key) in zip(jobs, rows, strict=True):
            job.key = key
            lane = self.lanes.get(key)
            if self.limit < inf:
                continue
            if lane is None:
                self.lanes[key] = deque()
                self.ready.append(job)
            else:
                lane.append(job)
                self.behind += 1
        self.workers.look()

    def _take_in(self, jobs: list[Job]) -> None:
        self.held += len(jobs)
        if self.held > self.peak:
            self.peak = self.held
        if self.how.ordered:
            self.line += jobs
        elif self.limit < inf:  # too late: they will not begin
            self.left += [job.row for job in jobs]

    def end(self, failure: BaseException | None) -> None:
        """The input has ended, or failed; its rows before that are in hand."""
        self.input_over = True
        self.input_failure = failure
        self.arrived.set()

    # ---- the workers' side

    def done(self, job: Job, value: Any) -> None:
        """The call has given a value."""
        job.outcome = value
        job.row = None
        job.state = DONE
        self._over(job)

    def failed(self, job: Job, error: BaseException) -> None:
        """The call has failed, and is not tried again."""
        job.outcome = error
        if self.how.spares and isinstance(error, Exception):
            job.state = SPARED
        else:
            job.state = FAILED
            self._fail(job, error)
        self._over(job)

    def called_off(self, job: Job) -> None:
        """The call was cancelled, and has ended."""
        job.state = CALLED_OFF
        self._over(job)

    def broke(self, error: BaseException) -> None:
        """A worker was ended, not by us and not by a row."""
        self.failures.append(error)
        self._stop(NOTHING)

    def _over(self, job: Job) -> None:
        self.in_flight -= 1
        line = self.line
        if self.how.key is not None:
            self._let_next(job)
        if not self.how.ordered:
            line.append(job)
            self.arrived.set()
        elif line and line[0] is job:
            self.arrived.set()
        if self.hungry and not self.ready and self.held < self.how.ahead:
            self.hungry = False
            self.feeder.go_on()

    def _let_next(self, job: Job) -> None:
        """The next one of this key may begin. A key without work is forgotten."""
        lane = self.lanes[job.key]
        if lane:
            following = lane.popleft()
            self.behind -= 1
            if following.index < self.limit:
                insort(self.ready, following, key=_by_index)
        else:
            del self.lanes[job.key]

    def _fail(self, job: Job, error: BaseException) -> None:
        policy = self.how.on_error
        self.failed_calls += 1
        if policy == "cancel" or not isinstance(error, Exception):
            # In order, the rows before this one go on: what one call after another would have given, is given.
            self._stop(min(self.limit, job.index) if self.how.ordered else NOTHING)
            self.workers.cancel(int(self.limit))
        elif policy == "finish" or self.failed_calls >= MOST_FAILURES:
            self._stop(NOTHING)

    def _stop(self, limit: float) -> None:
        """Jobs from this index on do not begin."""
        self.limit = min(self.limit, limit)
        kept = [job for job in self.ready if job.index < self.limit]
        if not self.how.ordered:
            self.left += [job.row for job in self.ready]
            self.left += [job.row for lane in self.lanes.values() for job in lane]
        self.ready.clear()  # not a new one: workers have it in hand
        self.ready += kept
        if self.limit == NOTHING:
            for lane in self.lanes.values():
                lane.clear()
            self.behind = 0
        self.arrived.set()

    # ---- the reader's side

    def rows(self) -> Generator[Any]:
        """What the calls gave, until nothing more is to come; then, and on any way out, `close`."""
        line, ready, run, clock = self.line, self.ready, self.strand.owner, self.strand.loop.clock
        ahead = self.how.ahead
        in_script = self.in_script
        self.workers = self._hire()
        self.feeder = Feeder(self)
        error: BaseException | None = None
        try:
            while self._next():
                while line and ((state := line[0].state) > BEGUN or (self.limit == NOTHING and state == WAITING)):
                    job = line.popleft()
                    self.held = held = self.held - 1
                    if self.hungry and not in_script and (not ready or held * 2 <= ahead):
                        self.hungry = False
                        self.feeder.go_on()
                    if state == DONE:
                        yield job.outcome
                    elif self._ends_with(job):
                        return
                    if in_script:
                        if self.how.on is not None:
                            self._keep_busy()
                    elif clock() >= run.deadline:
                        self.strand.give_turn()
        except BaseException as raised:
            error = raised
            raise
        finally:
            self.close(error)

    def _next(self) -> bool:
        """Waits until the next one in line is over; False when nothing more is to come."""
        line, arrived = self.line, self.arrived
        while True:
            arrived.happened = False
            if line:
                state = line[0].state
                if state > BEGUN or (self.limit == NOTHING and state == WAITING):
                    return True
            elif self.limit < inf:
                if self.how.ordered or not self.in_flight:
                    return False
            elif self.input_over and not self.held:
                return False
            strand = self._reader()
            if not self._hurry(strand):
                strand.pause(arrived)

    def _hurry(self, strand: Strand) -> bool:
        """The reader is about to wait: what can be done for it is done at once. Was there something?"""
        if self.in_script:
            self.workers.look()
        if self.workers.hurry(strand):
            return True
        return self.room > 0 and self.feeder.hurry(strand)

    def _keep_busy(self) -> None:
        """What another thread has done since the last row is seen, and it is given more, before the script goes on."""
        self.workers.hurry(self.strand)
        if self.room > 0 and not self.ready:
            self.feeder.hurry(self.strand)

    def _hire(self) -> Workers:
        if self.how.on is not None:
            from ..offload.executors import Submitted

            return Submitted(self)
        from .workers import MicroThreads, Tasks

        return Tasks(self) if is_async(self.how.f) else MicroThreads(self)

    def _reader(self) -> Strand:
        """Who reads: another strand than the one that opened this may have been given the rows."""
        here: Any = getcurrent()
        return here if type(here) is MicroThread else self.strand

    def _ends_with(self, job: Job) -> bool:
        """Sees to one that has no value to hand on. Is it the last?"""
        if job.state == SPARED:
            left_out(self.how, job.row, job.outcome)
        elif job.state == FAILED:
            self.failures.append(job.outcome)
            return self.how.on_error == "cancel" or not isinstance(job.outcome, Exception)
        elif job.state == WAITING:
            self.left.append(job.row)
        else:
            self.cut.append(job.row)
        return False

    def close(self, error: BaseException | None) -> None:
        """Ends everything: calls are cancelled, then the input is closed; what is in hand is dropped and counted.

        Raises `failures`, and what was raised meanwhile, as one with `error`.
        """
        self._stop(NOTHING)
        self.closed = True
        late: list[BaseException] = []
        for close in (self.workers.close, self.feeder.close):
            try:
                close(self._reader())
            except BaseException as failure:
                late.append(failure)
        late += self.workers.failures
        failures = self.failures
        # Where a failure ends the run, one that has happened beside it joins it. Where the reader has had enough, it
        # lies ahead of what was asked for, as a row that nobody takes.
        joins = bool(failures) or (error is not None and not isinstance(error, GeneratorExit))
        held = self._clear(joins)
        if self.input_failure is not None and (joins or error is None) and self.input_failure not in late:
            failures.append(self.input_failure)
        run = self.strand.owner
        run.gave_up(self.cut)
        try:
            run.drop([*self.left, *held] if self.how.ordered else [*held, *self.left])
        except BaseException as failure:
            late.append(failure)
        failures += late
        if failures:
            raise_first(error, failures)

    def _clear(self, joins: bool) -> list[Any]:
        """Empties the line, and returns what of it is dropped. `joins`: its failures are raised with the others."""
        held: list[Any] = []
        for job in self.line:
            if job.state == DONE:
                held.append(job.outcome)
            elif job.state in (WAITING, SPARED):
                held.append(job.row)
            elif job.state in (BEGUN, CALLED_OFF):
                self.cut.append(job.row)
            elif joins:
                self.failures.append(job.outcome)
        self.line.clear()
        return held


def concurrently(how: Manner, source: Stage[Any], stage: Stage[Any], scope: Scope) -> Iterator[Any]:
    """What the calls for the rows of `source` give; `stage` is the one whose run this is."""
    return Calls(how, source, stage, scope.strand).rows()
