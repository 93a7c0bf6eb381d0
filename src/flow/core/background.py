"""Stages that go on while their reader is busy: a part of a run that callbacks drive, beside the chain that reads it.

A *branch* (`branch.py`) works when its reader asks. What is here works by itself until what it fills is full: buffers,
shared sources, concurrent calls. It promises: rows in order, those before a failure first; what it may hold is bounded
by the channel that it fills; closing it cancels it at its wait, and returns when all of its cleanups are done.

What may live here: the part of a run, and the way to fill a channel at the speed of list.extend. What is done with the
channel is the business of stages.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Any

from .channel import Channel
from .driven import Driven
from .instruction import Signal
from .microthread import MicroThread, Strand, wait_out
from .run import NoLongerRead, Run, Scope, raise_first

if TYPE_CHECKING:
    from .stage import Stage

__all__ = ["Background", "fill"]


class Background:
    """A stage that is read on a micro-thread of its own, from now until its end or until it is closed.

    ``body(thread)`` runs there, as the bodies in `reader.py` do. ``ended(error)`` is called once, when everything that
    it opened is closed; after `close` nobody calls it with an error but one of closing. ``paused()`` is called whenever
    it has come to a wait. It is a part of the run of `strand`: the same loop, context variables and options, and rows
    that it drops are dropped by that run.
    """

    __slots__ = ("_closing", "_driven", "_ended", "_over", "failure", "over", "run")

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
        self.over = False
        self.failure: BaseException | None = None
        self._closing = False
        self._over = Signal()
        self._ended = ended
        self._driven = Driven(run, self._finished, paused)
        run.begin(body)

    def start(self) -> None:
        """Begins; on a micro-thread in the loop's next turn, unless somebody is in a hurry."""
        self._driven.start()

    def hurry(self) -> bool:
        """See `Driven.hurry`."""
        return self._driven.hurry()

    def close(self, strand: Strand) -> None:
        """Cancels it, and returns when it is closed. Raises a failure of closing. A no-op after the end.

        A failure that came before, which lies ahead of what was asked for, is dropped as the rows there are.
        """
        if self.over:
            return
        self._closing = True
        self._driven.cancel(NoLongerRead(self.run.stage))
        wait_out(strand, lambda: self.over, self._over)
        if isinstance(self.failure, Exception):
            raise_first(None, [self.failure])

    def _finished(self, error: BaseException | None) -> None:
        self.over = True
        if isinstance(error, NoLongerRead) and self._closing:
            failures = error.failures
            error = failures[0] if failures else None
        self.failure = error
        self._ended(error)
        self._over.set()


def fill(channel: Channel[Any]) -> tuple[Callable[[MicroThread], None], Callable[[MicroThread], None]]:
    """What reads a stage into a channel, block by block: a body, and what is to be called when it pauses.

    A row is in the channel before the stage waits for anything (CONTRACT 5), and at most the channel's limit are.
    """

    def body(thread: MicroThread) -> None:
        block = thread.owner.block
        with Scope(thread) as scope:
            rows = thread.owner.stage.open_in(scope)
            for row in rows:
                block.append(row)
                room = channel.limit - channel.held - len(block)
                if room > 0:
                    block.extend(islice(rows, room))
                if thread.cancelled is not None:
                    raise thread.cancelled
                flush(thread)
                if channel.full:
                    thread.pause(channel.roomy)

    def flush(thread: MicroThread) -> None:
        block = thread.owner.block
        if block:
            rows = block[:]
            block.clear()  # not a new one: it may be being extended
            if channel.closed:
                thread.owner.drop(rows)
            else:
                channel.push(rows)

    return body, flush
