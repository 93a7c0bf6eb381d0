"""Stages that give each row of one run of a source to several readers: `Shared`, for those that come and go; `tee`.

They stand on the hub of `hub.py`. What gives each row to one reader is in `route.py`.

What may live here: who reads a hub, and what becomes of a reader that does not keep up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Generic, Literal, TypeAlias, TypeVar
from weakref import ref

from ..core.background import Background
from ..core.instruction import TURN
from ..core.microthread import MicroThread, Strand
from ..core.scope import Scope
from ..core.source import AHEAD, Opener, bound_of
from ..core.stage import Stage
from ..errors import AlreadyReadError, SlowReaderError
from .buffer import choice_of
from .hub import Hub, Place

__all__ = ["Fork", "Outlet", "Shared", "Slow", "count_of", "tee"]

T = TypeVar("T")

Slow: TypeAlias = Literal["wait", "drop", "disconnect"]
"""What a reader that does not keep up means for the others."""


class _Broadcast(Hub[T]):
    """Puts each row into every place."""

    def __init__(self, source: Stage[T], limit: int, slow: str) -> None:
        super().__init__(source, limit)
        self.slow = slow
        self._late: set[Place[T]] = set()  # those that have had their chance

    def holding(self) -> Iterable[Place[T]]:
        return self.places if self.slow == "wait" else ()

    def room(self) -> int:
        free = [place.channel.free for place in self.places]
        if self.slow != "wait":
            free = [each for each in free if each > 0]
        return min(free, default=self.limit if self.places else 0)

    def wait_for_room(self, thread: MicroThread) -> int:
        if self.slow != "wait":
            late = {place for place in self.places if place.channel.free < 1}
            for _ in range(2 * (not late <= self._late)):  # readers that are ready come first
                thread.pause(TURN)
            self._late = {place for place in late if place.channel.free < 1}
        return super().wait_for_room(thread)

    def may_go_on(self) -> bool:
        return bool(self.places) and super().may_go_on()

    def hand_out(self, rows: list[T]) -> None:
        for place in [*self.places]:
            if place in self.places:  # a reader that runs there and then may have others leave
                self._put(place, rows)

    def _put(self, place: Place[T], rows: list[T]) -> None:
        channel = place.channel
        over = len(rows) - channel.free
        if over > 0 and self.slow == "drop":
            shed = channel.shed(over)
            if channel.run is not None:
                channel.run.drop(shed)
        elif over > 0 and self.slow == "disconnect":
            del self.places[place]
            channel.end(
                SlowReaderError(
                    f"this reader of {self.source!r} was disconnected: it had not taken {channel.limit} rows (its "
                    "limit), and slow='disconnect' was asked for"
                )
            )
            return
        channel.push(rows[:])  # its own: a channel may have to part it


class Shared(Opener[T]):
    """The rows of one run of a source, for any number of readers.

    A reader is an iteration of this stage: in tasks, in branches of one run, one inside of the other; all on one loop.
    The source starts when the first reader asks, in the loop's next turn, so that readers that begin together have the
    same rows. It is closed when the last reader has left. A reader that comes after that starts a new run, if the
    source can be read twice; else it gets AlreadyReadError.

    Each reader gets the rows in order, from the first one that no reader had taken when it came, and before that the
    last `replay` rows. For each reader at most `limit` rows are held (and those that are replayed). `slow` says what
    becomes of a reader that has not taken its rows when one more comes: "wait": the source waits for it; "drop": the
    row that it should have taken first is dropped, and counted in its run; "disconnect": it gets its rows, then
    SlowReaderError. The end, and a failure, reach each reader after its rows.

    With "wait", a reader that waits for a row while the source waits for one that can only go on after it (two readers
    in one thread of a script, or in one stage) gets SlowReaderError, where flow can know that; two tasks that wait for
    each other in other ways wait for ever. Raises ValueError or TypeError for arguments that these can't be.

        shared = flow.wrap([1, 2, 3]).share(replay=1)
        list(zip(shared, shared))                          # [(1, 1), (2, 2), (3, 3)]
    """

    __slots__ = ("_hub", "limit", "replay", "slow")

    def __init__(self, source: Stage[T], replay: int = 0, limit: int = AHEAD, slow: Slow = "wait") -> None:
        if replay != 0 or isinstance(replay, bool):
            bound_of(replay, "share(replay)")
        self.replay = replay
        self.limit = bound_of(limit, "share(limit)")
        self.slow = choice_of(slow, Slow, "share(slow)")
        self._source = source
        self._hub: _Joined[T] | None = None

    @property
    def short_label(self) -> str:
        return f"share(replay={self.replay})" if self.replay else "share()"

    def rows(self, upstream: Any, scope: Scope) -> Iterator[T]:
        place: Place[T] = Place(self.limit)
        place.channel.hurry = partial(self._join, place, scope.strand)
        scope.add(place)
        return place.channel.rows(scope.strand)

    def _join(self, place: Place[T], strand: Strand) -> bool:
        """A reader asks for its first row."""
        hub = self._hub
        if hub is None or hub.cut or not hub.reading:
            hub = self._hub = _Joined(self._source, self.limit, self.slow, self.replay)
        hub.begin(place, strand)
        hub.join(place)
        return True


class _Joined(_Broadcast[T]):
    """A hub that readers join as they come."""

    def __init__(self, source: Stage[T], limit: int, slow: str, replay: int) -> None:
        super().__init__(source, limit, slow)
        self.replay = replay
        self.begun = False
        self.recent: deque[T] = deque(maxlen=2 * replay + limit)
        """As many of the last rows as a reader that comes late may have to be given."""

    def start(self, run: Background, strand: Strand) -> None:
        run.start()

    def may_hurry(self) -> bool:
        return self.begun  # it begins in the loop's next turn: others may come until then

    def body(self, thread: MicroThread) -> None:
        self.begun = True
        super().body(thread)

    def hand_out(self, rows: list[T]) -> None:
        self.recent.extend(rows)
        super().hand_out(rows)

    def join(self, place: Place[T]) -> None:
        """Gives a reader that comes late what nobody has taken yet, and before that the last rows that somebody has."""
        unread = min((each.channel.unread for each in self.places), default=0)
        wanted = unread + self.replay
        rows = [*self.recent][-wanted:] if wanted else []
        channel = place.channel
        channel.limit = channel.resume_at = channel.limit + max(0, len(rows) - unread)
        self.add(place)
        if rows:
            channel.push(rows)
        if self.run is not None and self.run.over:
            channel.end(self.run.failure)

    def leave(self, place: Place[T]) -> None:
        super().leave(place)
        if not self.reading:
            self.recent.clear()


# --------------------------------------------------------------------------------------------------------------------
# Several stages over one run


class Fork(Generic[T]):
    """What several stages read together, one run of the source after the other.

    A run is over for a stage when it has been read. When all have been, they may be read again. `make` makes a hub; a
    place is added to it for each of the stages, in order.
    """

    def __init__(self, source: Stage[T], n: int, limit: int, make: Callable[[], Hub[T]], name: str) -> None:
        self.source = source
        self.name = name
        self.limit = limit  # of each place
        self.hub: Hub[T] | None = None
        self.places: list[Place[T]] = []
        self._begun: set[int] = set()
        self._make = make
        self._n = n
        self._outlets: list[ref[Outlet[T]]] = []

    def outlets(self) -> tuple[Outlet[T], ...]:
        """The stages, for whoever is to hold them: one that nobody holds is not waited for."""
        every = tuple(Outlet(self, index) for index in range(self._n))
        self._outlets = [ref(each, partial(self._gone, index)) for index, each in enumerate(every)]
        return every

    def begin(self, index: int, strand: Strand) -> Place[T]:
        hub = self.hub
        if index in self._begun:
            if len(self._begun) < self._n or (hub is not None and hub.reading):
                raise AlreadyReadError(
                    f"{self.source!r} | {self.name}[{index}] was already read, and others of the {self._n} stages have "
                    "not been, or are being read: each is read once a run. Use share() for readers that come and go."
                )
            self._begun.clear()
            hub = None
        if hub is None or hub.cut:
            hub = self._renew()
        place = self.places[index]
        hub.begin(place, strand)
        self._begun.add(index)
        return place

    def _renew(self) -> Hub[T]:
        """Another run, for the stages that have not been read."""
        self.hub = hub = self._make()
        self.places = [hub.add(Place(self.limit)) for _ in self._outlets]
        for index, outlet in enumerate(self._outlets):
            if outlet() is None:
                self._begun.add(index)
            if index in self._begun:
                hub.forget(self.places[index])
        return hub

    def _gone(self, index: int, _outlet: object) -> None:
        if self.hub is not None:
            self._begun.add(index)
            self.hub.forget(self.places[index])


class Outlet(Stage[T]):
    """One of several stages that read one run of a source."""

    __slots__ = ("_fork", "_index")

    def __init__(self, fork: Fork[T], index: int) -> None:
        self._fork = fork
        self._index = index

    @property
    def sources(self) -> tuple[Stage[Any], ...]:
        return (self._fork.source,)

    @property
    def short_label(self) -> str:
        return f"{self._fork.name}[{self._index}]"

    @property
    def label(self) -> str:
        return f"{self._fork.source!r} | {self.short_label}"

    def rows(self, upstream: Any, scope: Scope) -> Iterator[T]:
        place = self._fork.begin(self._index, scope.strand)
        scope.add(place)
        return place.channel.rows(scope.strand)


def tee(source: Stage[T], n: int = 2, limit: int = AHEAD, slow: Slow = "wait") -> tuple[Stage[T], ...]:
    """`n` stages, each of which gives every row of one run of the source, in order.

    The source starts when the first of them is asked for a row. For each stage at most `limit` rows are held, also for
    those that nobody has begun to read; `slow` says what happens when a row more comes, as in `Shared`. A stage that
    is left early, or that nobody holds any more, no longer counts. The end, and a failure, reach each of them after its
    rows. The source is closed when it ends, or when the last one that is read leaves: those that have not begun start
    another run of it then. When all have been read they may be read again, if the source can be; before that,
    AlreadyReadError.

    Read the stages side by side (in tasks, or as inputs of one stage): one that is read to its end before the next one
    is begun works only with fewer rows than `limit`. In a script that is found, and raises SlowReaderError. Raises
    ValueError or TypeError for arguments that these can't be.

        prices, again = flow.wrap([3, 1, 2]).tee()
        flow.Zip(prices, again | itertools.accumulate)     # (3, 3), (1, 4), (2, 6)
    """
    count_of(n, "tee(n)")
    bound_of(limit, "tee(limit)")
    word = choice_of(slow, Slow, "tee(slow)")
    fork = Fork(source, n, limit, lambda: _Broadcast(source, limit, word), f"tee({n})")
    return fork.outlets()


def count_of(value: int, name: str) -> int:
    """The value, when it is a number of stages: a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number of stages, not {type(value).__name__}")
    if value < 1:
        raise ValueError(f"{name} must be at least 1 stage, not {value}")
    return value
