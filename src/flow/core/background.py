"""Stages that go on while their reader is busy: a part of a run that callbacks drive, beside the chain that reads it.

A *branch* (`branch.py`) works when its reader asks. What is here works by itself until what it fills is full: buffers,
shared sources, concurrent calls. It promises: rows in order, those before a failure first; what it may hold is bounded
by the channel that it fills; closing it cancels it at its wait, and returns when all of its cleanups are done.

What is full *rests*, and goes on in a turn of the loop when there is room again. A reader that has nothing left does
not wait for that: it gives the producer a step at once (`hurry`), nested below its own stack, as the step of a branch
is. So two stages that are always ready hand over a channel full of rows for a switch there and back, and the loop sees
nothing of it until the slice is used up.

What may live here: the part of a run, and the way to fill a channel at the speed of list.extend. What is done with the
channel is the business of stages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import chain, islice
from sys import exception
from typing import TYPE_CHECKING, Any, TypeVar

from greenlet import getcurrent

from ..errors import Cancelled
from .driven import DEEPEST, Driven, raise_swallowed
from .instruction import Signal
from .microthread import MicroThread, Strand, unwanted, wait_out
from .near import NearChannel
from .run import Run
from .scope import NoLongerRead, Scope, joined, raise_first
from .stopping import stops_for

if TYPE_CHECKING:
    from .stage import Stage

__all__ = ["Background", "Filling"]

T = TypeVar("T")


class _Nestable(Driven):
    """A driven run that a strand may give a step, when it waits for what the run makes."""

    __slots__ = ()

    def step_below(self, strand: Strand) -> None:
        """One step, from the beginning or from a rest, below the stack of `strand` and in its time."""
        run, thread = self.run, self.run.thread
        assert thread is not None
        if isinstance(strand, MicroThread):
            run.deadline = strand.owner.deadline
        else:  # a script has no slices; but what is there is to be handed on in time
            run.deadline = run.loop.clock() + run.slice
        self._wait = None
        self._thread = thread
        self.stepping = True
        try:
            hub = getcurrent()  # MicroThread.step, in place
            if hub is not self._hub:
                thread.parent = self._hub = hub
            outcome = thread.switch()
            if outcome is None:
                raise_swallowed(run)
        except BaseException as failure:
            self._end_below(failure)
            return
        self.stepping = False
        if self._paused is not None:
            self._paused()
        if outcome is None:
            self._end_below(None)
        elif self._waits(outcome):
            self.resume(None, None)

    def _waits(self, outcome: Any) -> bool:
        thread = self._thread
        error = thread.cancelled
        if error is None or outcome is None or thread.handling is not None:
            return super()._waits(outcome)
        # It was cancelled after its step, by a reader that was handed what it had made and went on there and then
        # (test_background.py::test_a_reader_that_leaves_inside_of_the_producers_step).
        unwanted(outcome)
        self.stepping = True  # it is raised at the wait in the loop's next turn
        self.resume(None, error)
        self.stepping = False
        return False

    def _end_below(self, failure: BaseException | None) -> None:
        self.stepping = False
        loop = self.run.loop
        inside = loop.inside
        self._finish(failure)
        if inside:  # the end of a run leaves the loop, and the strand has not
            loop.inside = True
            loop.entered = loop.clock()


class Background:
    """A stage that is read on a micro-thread of its own, from its start until its end or until it is closed.

    ``body(thread)`` runs there, as the bodies in `reader.py` do. ``ended(error)`` is called once, when everything that
    it opened is closed; after `close` nobody calls it with an error but one of closing. ``paused()`` is called whenever
    it has come to a wait, and at its end. It is a part of the run of `strand`: the same loop, context variables and
    options, and rows that it drops are dropped by that run.
    """

    def __init__(
        self,
        strand: Strand,
        stage: Stage[Any],
        body: Callable[[MicroThread], None],
        ended: Callable[[BaseException | None], object],
        paused: Callable[[], object] | None = None,
    ) -> None:
        parent = strand.owner
        self.run = run = Run(stage, parent.loop, parent.options)
        run.parent = parent
        run.context = parent.context
        run.stops = stops_for(strand)
        self.is_deep = _depth_of(parent) > DEEPEST
        self.over = False
        self.failure: BaseException | None = None
        self._room = Signal()
        self._begun = False
        self._due = False  # the loop will call `_turn`
        self._closing = False
        self._over = Signal()
        self._ended = ended
        self._driven = _Nestable(run, self._finished, paused)
        run.begin(body).limit = self._driven

    def start(self) -> None:
        """Begins; on a micro-thread in the loop's next turn, unless somebody is in a hurry. Later calls do nothing."""
        if not self._begun:
            self._begun = True
            self._driven.start()

    def rest(self, thread: MicroThread) -> None:
        """For the body: pauses until it may go on. It must look again then: it may have been woken for nothing."""
        room = self._room
        room.happened = False
        if thread.cancelled is None and exception() is None:  # MicroThread.pause, in place
            thread.handling = None
            thread.parent.switch(room)
        else:
            thread.pause(room)

    @property
    def resting(self) -> bool:
        return self._room.waiter is not None

    def go_on(self) -> None:
        """What rests goes on in the loop's next turn. However often this is called: one wake-up a turn."""
        if not (self._due or self.over):
            with suppress(RuntimeError):  # the loop is closed: it has no more turns to give
                self.run.loop.call_soon(self._turn)
                self._due = True

    def _turn(self) -> None:
        """The loop's next turn."""
        self._due = False
        if self._room.waiter is not None and self.may_go_on():
            self._room.set()

    def may_go_on(self) -> bool:
        """Asked in the loop's turn, before what rests goes on."""
        return True

    def hurry(self, strand: Strand) -> bool:
        """Has it take a step here and now, if it has not begun, rests, or was about to go on: did it?

        For `strand`, which waits for what it makes. It does not ask `may_go_on`.
        """
        driven = self._driven
        if self.over or driven.stepping:
            return False
        if self.is_deep:
            self.start()
            self.go_on()
            return False
        if not self._begun:
            self._begun = True
        elif self._room.waiter is not None:
            self._room.waiter.forget()
        else:
            return driven.hurry()
        driven.step_below(strand)
        return True

    def close(self, strand: Strand) -> None:
        """Cancels it, and returns when it is closed. Raises a failure of closing. A no-op after the end.

        A failure that came before, which lies ahead of what was asked for, is dropped as the rows there are.
        """
        if self.over:
            return
        self._closing = True
        if not self._begun:
            self._begun = True
            self.run.end()
            self._finished(None)
            return
        self._driven.cancel(NoLongerRead(self.run.stage))
        if not self.is_deep:
            self._driven.hurry()  # what needs no wait is closed here and now
        wait_out(strand, lambda: self.over, self._over)
        if self.failure is not None and not isinstance(self.failure, Cancelled):
            raise_first(None, [self.failure])

    def _finished(self, error: BaseException | None) -> None:
        self.over = True
        if isinstance(error, NoLongerRead) and self._closing:
            error = joined(None, [*error.failures]) if error.failures else None
        self.failure = error
        self._ended(error)
        self._over.set()


def _depth_of(run: Run) -> int:
    depth = 0
    while run.parent is not None:
        run = run.parent
        depth += 1
    return depth


class Filling(Background):
    """A stage that is read into a channel, up to the channel's limit ahead of whoever reads that.

    It begins when the reader first finds nothing. A row is in the channel before the stage waits for anything
    (CONTRACT 5). A full channel holds the stage back until half of it is free again; ``ahead=False``: until the reader
    has nothing and asks, so with a limit of one row it makes each row when that is asked for.
    """

    def __init__(self, strand: Strand, stage: Stage[Any], channel: NearChannel[Any], ahead: bool = True) -> None:
        self.channel = channel
        self.ahead = ahead
        super().__init__(strand, stage, self.body, channel.end, self.flush)
        channel.hurry = partial(self.hurry, strand)
        channel.on_resume = self.go_on if ahead else None

    def rows(self, scope: Scope) -> Iterator[Any]:
        """The rows, for one reader. Leaving the scope closes the channel, whose rows are dropped, and the stage."""
        scope.add(_Leaving(self, scope.strand))
        return self.channel.rows(scope.strand)

    def body(self, thread: MicroThread) -> None:
        channel, block = self.channel, thread.owner.block
        with Scope(thread) as scope:
            # A user's own iterator may misbehave when it is asked again after its end; a chain does not.
            rows = chain(thread.owner.stage.open_in(scope))
            for row in rows:
                block.append(row)
                room = channel.limit - channel.held - len(block)
                if room > 0:
                    # Whatever the source takes for it, it gives turns itself, and at each what is there is handed on.
                    block.extend(islice(rows, room))
                if thread.cancelled is not None:
                    raise thread.cancelled
                while channel.held + len(block) >= channel.limit:
                    channel.paused = True  # it calls `go_on`
                    if not self._due:
                        self.go_on()  # and so does this: the reader may be busy in the middle of a block
                    self.rest(thread)

    def flush(self) -> None:
        """Hands on what was made so far: at each pause, and at the end."""
        block = self.run.block
        if block:
            rows = block[:]
            block.clear()  # not a new one: it may be being extended
            if self.channel.closed:
                self.run.drop(rows)
            else:
                self.channel.push(rows)

    def may_go_on(self) -> bool:
        """When half of the room is free. While it is not, the reader is busy: it comes by when it will be."""
        channel = self.channel
        if not self.ahead:
            return channel.asking
        return channel.has_room((channel.limit + 1) // 2)


class _Leaving:
    """Leaves what is read ahead, when the scope of its reader is closed."""

    def __init__(self, filling: Filling, strand: Strand) -> None:
        self._filling, self._strand = filling, strand

    def close(self) -> None:
        try:
            self._filling.channel.close()
        finally:
            self._filling.close(self._strand)
