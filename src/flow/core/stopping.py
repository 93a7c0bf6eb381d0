"""Stopping a run gently: its sources end, what is in flight is finished and delivered, and then its rows end.

A run that was opened with a handle (``stage.open()``) has a `Stops`, where its sources register when they are first
asked. A run without a handle has none, and then nothing of this file touches its rows.

Which sources end? Those that the run itself reads, through whatever combines, buffers or times them. What a stage opens
while it works on a row (the sources that `flat_map` reads, say) is work on that row, and is finished. A source that
reads stages itself (a generator that connects again and again) is a source as a whole: what it reads ends, and then it
does.

How does a source end? One that has given a row is not asked for another. One that waits is *asked to end*: `Stopped` is
raised at its wait, at this one and at each later one, so its ``finally`` blocks run, and it counts as its end where it
was opened. Rows that it makes nevertheless are delivered. One that is fed by others (a channel) ends when the rows that
it holds are read. The stages below see an ordinary end of their input. A wait of theirs is never interrupted.

How does flow find out that a source waits? Its reading, `given_rows`, is then on the paused stack, with no reading of
another stage between it and the wait. Stacks are looked at when a run is stopped, and when a stage is opened inside of
a run that has a handle; never for a row (test_stopping.py::test_which_sources_end).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from threading import get_ident
from types import FrameType
from typing import TYPE_CHECKING, Any, Final, cast
from weakref import WeakKeyDictionary, WeakSet

from greenlet import getcurrent

from ..errors import Cancelled, DrainTimeoutError
from .instruction import TURN, Signal
from .microthread import Mark, MicroThread, Strand, current
from .receipt import Receipt
from .run import Run
from .scope import Scope, raise_first
from .stacks import inside, is_work, stack

if TYPE_CHECKING:
    from .channel import Channel

__all__ = [
    "Fed",
    "Given",
    "GivenUp",
    "Interruption",
    "Stopped",
    "Stops",
    "stops_for",
]

NOTHING: Final[Any] = Mark("NOTHING")


class Stopped(Cancelled):
    """Ends a source that waits, when its run is stopped."""


class GivenUp(Cancelled):
    """Ends what is left of a run when the deadline of ``drain()`` has passed."""


class Interruption:
    """A wait of a task that somebody else may interrupt: what a loop leaves with a strand as long as it waits."""

    __slots__ = ("_call_off", "error", "waits_for")

    def __init__(self, waits_for: Any, call_off: Callable[[], object]) -> None:
        self.waits_for = waits_for
        self._call_off = call_off
        self.error: BaseException | None = None

    def interrupt(self, error: BaseException) -> None:
        """Has `error` raised at the wait."""
        again = self.error is not None
        self.error = error
        if not again:
            self._call_off()


# --------------------------------------------------------------------------------------------------------------------
# Sources


def _source_at(frame: FrameType | None, stops: Stops) -> Given | None:
    """The source whose code runs there; None when it is that of a stage."""
    for where in inside(frame):
        if where.f_code is _GIVEN:
            found: Given = where.f_locals["given"]
            if found.stops is stops and not found.over:
                return found
    return None


def _cleans_up(strand: Strand) -> bool:
    """Is what happens now a part of the cleanup after a cancel, a stop or an early leave?"""
    error = sys.exception()
    return error is not None and not isinstance(error, Exception) and error is not getattr(strand, "outer", None)


class Given:
    """The rows that one source has given to one run."""

    __slots__ = ("asked", "inner", "opened", "over", "own", "row", "rows", "stops", "strand", "thread")

    def __init__(self, stops: Stops, opened: list[Any], own: list[Any]) -> None:
        self.stops = stops
        self.opened = opened  # what its scope has opened, and of that, what the source has
        self.own = own
        self.row: Any = NOTHING  # the last one
        self.asked: Stopped | None = None  # to end, with this
        self.inner = 0  # readings that it has begun itself, and that have not ended
        self.over = False
        self.rows: Any = None  # the generator
        self.strand: Any = None  # on which it is read, and its greenlet
        self.thread: Any = None

    @property
    def is_at_work(self) -> bool:
        """Is it on the stack, and nothing above it that it reads itself?"""
        if self.over or self.inner:
            return False
        if self.rows.gi_running and _source_at(stack(self.thread), self.stops) is not self:
            # A stage may read some rows itself and give the rest to a branch, which reads them then.
            for strand in self.stops.others:
                if _source_at(stack(strand), self.stops) is self:
                    self.strand = self.thread = strand
        return _source_at(stack(self.thread), self.stops) is self

    def stop(self) -> None:
        """Asks it to end, if it waits or is just at work. Otherwise it ends when it is asked for the next row."""
        if self.asked is None and self.is_at_work and self.strand.cancelled is None:
            paused = self.thread is not getcurrent() or getattr(self.strand.loop, "busy", False)
            handling = self.strand.handling if paused else sys.exception()
            if handling is None or isinstance(handling, Exception):  # and does not clean up already
                self.ask()

    def ask(self) -> Stopped:
        self.asked = error = Stopped("flow: the run was stopped")
        self.strand.cancelled = error  # so it is raised at each later wait, too
        if self.strand.limit is not None:
            self.strand.limit.interrupt(error)
        return error

    def let_go(self) -> None:
        """It has made a row nevertheless, or has ended: what comes next on its strand is somebody else's."""
        if self.asked is not None and self.strand.cancelled is self.asked:
            self.strand.cancelled = None
        self.asked = None

    def close(self) -> None:
        """Closes what the source has opened: the last first, each once."""
        with Scope(self.strand) as scope:
            for each in self.own:
                for index, other in enumerate(self.opened):
                    if other is each:
                        scope.opened.append(self.opened.pop(index))
                        break


def given_rows(given: Given, rows: Iterator[Any]) -> Generator[Any]:
    """The rows of a source, until it ends or the run is stopped."""
    stops = given.stops
    given.strand = current()
    given.thread = getcurrent()
    late = stops.stopped
    if late:
        if _cleans_up(given.strand):
            for row in rows:  # noqa: UP028 (`yield from` would close them on its own)
                yield row
        return
    stops.sources[given] = None
    failures: list[BaseException] = []
    try:
        for given.row in rows:
            if given.asked is not None:
                given.let_go()
            yield given.row
            if stops.stopped and not given.inner:
                break
        else:
            return
    except Stopped as error:
        if error is not given.asked:
            raise
        failures += error.failures  # of its cleanups
    finally:
        given.over = True
        stops.sources.pop(given, None)
        given.let_go()
    try:
        given.close()
    except BaseException as failure:
        failures.append(failure)
    if failures:
        raise_first(None, failures)


_GIVEN = given_rows.__code__


class Fed:
    """A source that is fed by others, in a task, in a thread or by callbacks, as a run with a handle knows it.

    It is made where the rows are first asked for. `stop` is called, once, when the run is stopped: it is to have the
    rows end when those that are held were read; None for what is a stage, and no source. `channel` is what they are
    read from, where that does not know its strand. `late`: the run was stopped before this source began.
    """

    __slots__ = ("_given", "_stop", "late", "stopped", "stops")

    def __init__(self, strand: Strand, stop: Callable[[], object] | None, channel: Channel[Any] | None = None) -> None:
        self._stop = stop
        self.stops = stops = stops_for(strand)
        if stops is not None and channel is not None:
            stops.channels[channel] = strand
        self._given: Given | None = None
        self.stopped = False
        self.late = False
        if stops is not None and stop is not None:
            self.late = stops.stopped and not _cleans_up(strand)
            stops.sources[self] = None
            self._given = stops.begin_reading(strand, stack(getcurrent()))  # wrap(file) is a source that reads one

    def stop(self) -> None:
        if not self.stopped and self._stop is not None:
            self.stopped = True
            self._stop()

    def close(self) -> None:
        """Its rows have ended."""
        stops = self.stops
        if stops is not None:
            stops.sources.pop(self, None)
            given, self._given = self._given, None
            if given is not None:
                stops.end_reading(given, stack(getcurrent()))


# --------------------------------------------------------------------------------------------------------------------
# A run


class Stops:
    """What a run with a handle knows: its sources, as far as they have begun, and what became of its rows.

    `stopped` is looked at after each row of a source.
    """

    def __init__(self, run: Run, strand: Strand | None = None) -> None:
        self.run = run
        self._strand = strand
        self.stopped = False
        self._looked = False
        self.sources: dict[Given | Fed, None] = {}
        self.others: WeakSet[MicroThread] = WeakSet()  # strands that read no source of the run
        self.given_up: GivenUp | None = None
        self.channels: WeakKeyDictionary[Channel[Any], Strand] = WeakKeyDictionary()  # that are read, and where
        self.taking = False  # the main strand has handed out its row, and `take` works on that
        self.receipt = Receipt()
        self._at_end: list[Callable[[], object]] = []

    @property
    def strand(self) -> Strand | None:
        """The main one."""
        return self._strand or self.run.thread

    # ---- sources

    def give(self, open: Callable[[Scope], Iterator[Any]], scope: Scope) -> Iterator[Any]:
        """The rows of a source, which ends when the run is stopped."""
        if is_work():
            if isinstance(scope.strand, MicroThread):
                self.others.add(scope.strand)
            return open(scope)
        before = len(scope.opened)
        rows = open(scope)
        given = Given(self, scope.opened, scope.opened[before:])
        given.rows = given_rows(given, rows)
        return cast("Iterator[Any]", given.rows)

    def begin_reading(self, strand: Strand, frame: FrameType | None) -> Given | None:
        """Somebody, there, is going to read a stage inside of the run: which source is it? None when it is a stage."""
        given = _source_at(frame, self)
        if given is not None:
            if self.stopped and not given.inner and not _cleans_up(strand):
                raise given.asked or given.ask()
            given.inner += 1
        return given

    def end_reading(self, given: Given, frame: FrameType | None) -> None:
        """What a source has read itself has ended; if nothing else is being read, nothing keeps it from ending now."""
        given.inner -= 1
        if not self.stopped or given.inner or given.asked is not None or given.strand.cancelled is not None:
            return
        if _source_at(frame, self) is given and not _cleans_up(given.strand):
            given.ask()

    # ---- stopping

    def stop(self) -> None:
        """From any thread. Idempotent."""
        if self.stopped:
            return
        self.stopped = True
        self.on_loop(self._stop_all)

    def on_loop(self, f: Callable[[], object]) -> None:
        """Calls `f` on the loop's thread: at once, when that is here."""
        loop = self.run.loop
        if get_ident() == loop.thread:
            f()
        elif getattr(loop, "made", True):  # a script that has not waited yet has no loop, and looks before it waits
            with suppress(RuntimeError):  # the loop is closed: the run is over
                loop.call_threadsafe(f)

    def look(self) -> None:
        """A script is going to wait: it may have been stopped by a thread when it had no loop yet."""
        if self.stopped and not self._looked:
            self._stop_all()

    def _stop_all(self) -> None:
        self._looked = True
        if not self.run.over:
            for source in list(self.sources):
                source.stop()

    def give_up(self) -> GivenUp:
        """Cancels what is left. On the loop's thread; gives the error to raise where the run is paused at a row."""
        self.given_up = error = GivenUp("flow: the deadline of drain() has passed")
        for strand, row in self._in_hand().items():
            if self._is_at_work(strand):
                self.receipt.in_flight.add(row) if row else self.receipt.in_flight.add_unknown()
        return error

    def _in_hand(self) -> dict[Strand, list[Any]]:
        """The row that each strand works on, if it does: as its source, or the channel above it, gave it."""
        rows: dict[Strand, list[Any]] = {} if self.strand is None else {self.strand: []}
        for channel, strand in list(self.channels.items()):
            if not channel.closed:
                rows[strand] = channel.last
        for source in self.sources:
            if isinstance(source, Given):
                rows[source.strand] = [] if source.row is NOTHING else [source.row]
        if self.taking and self.strand is not None:
            del rows[self.strand]
        return rows

    def _is_at_work(self, strand: Strand) -> bool:
        """Does it wait in a stage, for something else than rows?"""
        what = NOTHING if strand.limit is None else strand.limit.waits_for
        if what is NOTHING or what is TURN or type(what) is Signal or strand.cancelled is not None:
            return False
        return _source_at(stack(strand if isinstance(strand, MicroThread) else getcurrent()), self) is None

    # ---- what became of the rows

    def at_end(self, f: Callable[[], object]) -> None:
        """Has `f` called when the run is over."""
        self._at_end.append(f)

    def over(self) -> None:
        at_end, self._at_end = self._at_end, []
        for f in at_end:
            f()

    def outside(self, error: BaseException) -> BaseException:
        """An error that ended the run, as its reader is to see it."""
        if error is not self.given_up:
            return error
        return DrainTimeoutError(
            f"the deadline of drain() passed before all rows of {self.run.stage!r} had come out: {self.receipt}"
        )


def stops_for(strand: Strand) -> Stops | None:
    """Where a source that is opened here registers, and a part of the run that is begun here; None: nowhere."""
    stops = strand.owner.stops
    return None if stops is None or is_work() else stops
