"""The hub: one run of a source, and several readers of its rows. The stages over it are in `share.py` and `route.py`.

The run of the source is a part of no reader's run, because each of them may end while the others go on. It is driven by
callbacks (`core.background`), begins when the first reader asks, and is closed by the last one that leaves, which waits
for it. Each reader has a *place*, a channel of its own, which the hub fills; a reader that finds its place empty gives
the source a step itself, so readers that are ready need no loop.

A place that is full may hold the source back, and all others with it. Where the one who waits for a row is the very one
who would have to read that place, nothing can ever happen: that is found where flow can know it, and is an error.

What may live here: what is the same for all that share a source. Which row goes where is the business of stages.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from itertools import islice
from threading import get_ident
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ..core.background import Background
from ..core.microthread import MicroThread, Strand, current
from ..core.near import NearChannel
from ..core.scope import Scope
from ..core.stage import Stage
from ..core.stopping import Fed, Stops
from ..errors import BusyError, SlowReaderError

if TYPE_CHECKING:
    from ..core.instruction import Loop

__all__ = ["Hub", "Place"]

T = TypeVar("T")


class Place(Generic[T]):
    """Where the rows of one reader are put, until it takes them."""

    __slots__ = ("asker", "block", "channel", "fed", "hub", "left", "strand")

    def __init__(self, limit: int) -> None:
        self.channel: NearChannel[T] = NearChannel(None, limit)
        self.hub: Hub[T] | None = None
        self.strand: Strand | None = None  # on which it was opened; None: its reader has not begun
        self.asker: Strand | None = None  # that was the last to find it empty
        self.fed: Fed | None = None
        self.block: list[T] = []  # rows that are on their way to the channel, and
        self.left = 0  # how many more there is room for: of hubs that choose a place for each row

    def close(self) -> None:
        """Its reader leaves."""
        if self.hub is not None:
            self.hub.leave(self)


class Hub(Generic[T]):
    """One run of a source, and its readers.

    `places` are those that rows are still put into, those of readers that have not begun included; `reading` those of
    readers that have begun and have not left.
    """

    def __init__(self, source: Stage[T], limit: int) -> None:
        self.source = source
        self.limit = limit
        self.places: dict[Place[T], None] = {}
        self.reading: dict[Place[T], None] = {}
        self.run: _Source[T] | None = None
        self.loop: Loop | None = None
        self.made = 0
        self.cut = False  # the readers have left before the end

    # ---- what the kinds of hub differ in

    def room(self) -> int:
        """How many rows may be made now."""
        raise NotImplementedError

    def hand_out(self, rows: list[T]) -> None:
        """Puts rows, in order, where they belong."""
        raise NotImplementedError

    def holding(self) -> Iterable[Place[T]]:
        """The places that hold the source back when they are full."""
        return ()

    def full(self) -> list[Place[T]]:
        """Those that hold it back now."""
        return [place for place in self.holding() if place.channel.free < 1]

    def ended(self, error: BaseException | None) -> None:
        """No more rows come."""
        for place in [*self.places]:
            place.channel.end(error)

    def body(self, thread: MicroThread) -> None:
        """Reads the source. A row is handed out before the source waits for anything."""
        block = thread.owner.block
        with Scope(thread) as scope:
            rows = self.source.open_in(scope)
            while True:
                room = self.wait_for_room(thread)
                before = self.made + len(block)
                block.extend(islice(rows, room))
                if thread.cancelled is not None:
                    raise thread.cancelled
                if self.made + len(block) < before + room:
                    return
                self.flush()

    def wait_for_room(self, thread: MicroThread) -> int:
        while (room := self.room()) < 1:
            self.rest(thread)
        return room

    def rest(self, thread: MicroThread) -> None:
        """Until there is room. (Or for nothing.)"""
        assert self.run is not None
        full = self.full()
        for place in full:
            place.channel.paused = True  # it calls `go_on`
        for place in self.reading:
            asker = place.asker if place.channel.asking else None
            if asker is not None and any(_goes_on_after(asker, other.asker) for other in full):
                place.channel.arrived.set()  # it would wait for ever: it looks again, and says so
        self.run.go_on()  # also for readers that are busy in the middle of a block
        self.run.rest(thread)

    def flush(self) -> None:
        """Hands on what was made so far: at each pause, and at the end."""
        assert self.run is not None
        block = self.run.run.block
        if block:
            rows = block[:]
            block.clear()  # not a new one: it may be being extended
            self.made += len(rows)
            if self.places:
                self.hand_out(rows)
            else:
                self.run.run.drop(rows)

    def go_on(self) -> None:
        """There may be room again."""
        if self.run is not None:
            self.run.go_on()

    # ---- readers

    def add(self, place: Place[T]) -> Place[T]:
        """One more place that rows are put into."""
        place.channel.on_resume = self.go_on
        self.places[place] = None
        return place

    def begin(self, place: Place[T], strand: Strand) -> None:
        """Its reader begins."""
        if not self.reading or self.loop is None:
            self.loop = strand.loop
        elif strand.loop is not self.loop:
            over = self.run is not None and self.run.over
            script = hasattr(self.loop, "block") and not isinstance(strand, MicroThread)
            if self.loop.thread != get_ident() or not (over or script):
                raise self._elsewhere()
        place.hub = self
        place.strand = place.asker = strand
        place.channel.run = strand.owner
        place.channel.hurry = partial(self.ask, place)
        self.reading[place] = None
        place.fed = Fed(strand, partial(self.stop, place), place.channel)
        if place.fed.late:
            place.fed.stop()

    def ask(self, place: Place[T]) -> bool:
        """A reader has nothing: is it worth to look again at once? See `Channel.hurry`."""
        strand = place.asker = current() or place.strand
        assert strand is not None
        run = self.run
        if run is None:
            self.open(strand)
            return True
        if self.may_hurry():
            full = self.full()
            if not full and run.hurry(strand):
                return True
            if full and run.resting:
                for other in full:
                    if _goes_on_after(strand, other.asker):
                        raise self._stuck(other)
                run.go_on()  # as soon as there is room for one row
        if strand.loop is self.loop:
            return False
        if isinstance(strand, MicroThread):
            raise self._elsewhere()
        loop: Any = self.loop  # of the script's run that began to read: the source's timers and tasks are there
        try:
            loop.block(place.channel.arrived, strand)
        finally:
            strand.owner.enter()
        return True

    def open(self, strand: Strand) -> None:
        """The first reader asks."""
        self.run = _Source(self, strand)
        self.start(self.run, strand)

    def start(self, run: Background, strand: Strand) -> None:
        """Begins to read the source."""
        run.hurry(strand)

    def may_hurry(self) -> bool:
        return True

    def forget(self, place: Place[T]) -> None:
        """A stage that nobody has begun to read can't be read any more: nobody holds it."""
        loop = self.loop
        if place.strand is not None or place not in self.places:
            return
        if loop is not None and loop.thread != get_ident():  # a garbage collection in another thread
            with suppress(RuntimeError):  # the loop is closed: nothing is read there any more
                loop.call_threadsafe(partial(self.forget, place))
            return
        del self.places[place]
        if self.run is not None:
            place.channel.run = self.run.run
            self.run.go_on()
        place.channel.close()

    def leave(self, place: Place[T]) -> None:
        """A reader has had its last row, or has had enough. Of the last one: returns when the source is closed."""
        strand = place.strand
        if strand is None or place not in self.reading:
            return
        del self.reading[place]
        self.places.pop(place, None)
        if place.fed is not None:
            place.fed.close()
        try:
            place.channel.close()
        finally:
            self._left(strand)

    def _left(self, strand: Strand) -> None:
        run = self.run
        if run is None or run.over:
            return
        others = [place.strand for place in self.reading if place.strand is not None]
        if any(other.loop is self.loop for other in others):
            run.run.parent = others[0].owner
            run.go_on()
            return
        self.cut = True
        for place in self.reading:  # of other runs of a script
            place.channel.end(self._elsewhere())
        for place in [*self.places]:
            del self.places[place]
            if place not in self.reading:  # it has not begun
                place.channel.run = strand.owner
                place.channel.close()
        run.run.parent = strand.owner
        run.close(strand)

    def stop(self, place: Place[T]) -> None:
        """The run of a reader is stopped: its rows end when those that it holds are read. Of the last one: the source's
        do, so that the source may finish what it is at.
        """
        source = None if self.run is None else self.run.run.stops
        if source is not None and all(each.strand is None or each.strand.owner.stopped for each in self.reading):
            source.stop()
        else:
            self.places.pop(place, None)
            place.channel.end(None)

    def may_go_on(self) -> bool:
        """Asked in the loop's turn: is there room for a row, if somebody waits for one, and else for half of them?

        While there is not, some reader is busy: it comes by when there will be.
        """
        wanted = any(place.channel.asking for place in self.reading)
        rooms = [place.channel.has_room(1 if wanted else (place.channel.limit + 1) // 2) for place in self.holding()]
        return all(rooms)

    # ---- errors

    def _elsewhere(self) -> BusyError:
        return BusyError(
            f"{self.source!r} is shared by readers of one loop, and the one that it runs on is not this one's, or has "
            "ended. Read it in tasks of that loop, or inside of one run; or let a flow.Callback carry rows across."
        )

    def _stuck(self, other: Place[T]) -> SlowReaderError:
        return SlowReaderError(
            f"a reader of {self.source!r} would wait for a row for ever: the source waits for room for another reader, "
            f"which has not taken {other.channel.limit} rows (its limit), and which can't go on before this one does. "
            "Read them in turn, or each in a task or a branch of its own, or give them a larger limit."
        )


class _Source(Background, Generic[T]):
    """The run of a hub."""

    def __init__(self, hub: Hub[T], strand: Strand) -> None:
        super().__init__(strand, hub.source, hub.body, hub.ended, hub.flush)
        if self.run.stops is not None:
            self.run.stops = Stops(self.run)  # it is a part of several runs, and is not stopped with the first of them
        self.may_go_on = hub.may_go_on  # type: ignore[method-assign]


def _goes_on_after(strand: Strand, other: Strand | None) -> bool:
    """Can `other` not go on while `strand` waits: is it the same one, or stepped by that?

    None is a reader that has not begun: in a script nobody else can begin it.
    """
    while other is not strand:
        if not isinstance(other, MicroThread):
            return not isinstance(strand, MicroThread)  # of scripts, one goes on at a time
        if other.owner.thread is other:
            return False  # a task, or the loop, steps it
        other = other.parent if isinstance(other.parent, MicroThread) else None
    return True
