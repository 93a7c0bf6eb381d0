"""Stages that give each row to one of several readers: `partition`, `Routed` and `balance`.

They stand on the hub of `hub.py`: one run of the source, which is closed by the last reader that leaves. `partition`
and `Routed` choose a place for each row; the source waits where that one is full, with the row in hand. `balance` holds
rows in one place, and each reader takes one when it asks.

What may live here: hubs that hand each row to one reader, and the stages over them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from types import CoroutineType
from typing import Any, Generic, TypeVar
from weakref import ref

from ..core.microthread import MicroThread, Strand, wait
from ..core.scope import Scope
from ..core.source import AHEAD, Opener, bound_of
from ..core.stage import Stage, label_of
from ..errors import AlreadyReadError, BusyError, ClosedError, FullError
from .hub import Hub, Place
from .share import Fork, count_of
from .transform import called

__all__ = ["MOST_KEYS", "Routed", "balance", "partition"]

T = TypeVar("T")

_Coroutine: Any = CoroutineType  # as Any: compared with it, what a user's function gives stays of unknown type

MOST_KEYS = 1000
"""Keys that `Routed` tells apart, unless it is told otherwise."""


class _Choosing(Hub[T]):
    """Puts each row into the place that is chosen for it. Without one, or where its reader has left, it is dropped."""

    def __init__(self, source: Stage[T], limit: int) -> None:
        super().__init__(source, limit)
        self._held_by: Place[T] | None = None
        self._touched: list[Place[T]] = []

    def choose(self, row: T) -> Place[T] | None:
        """Where a row belongs. It may wait."""
        raise NotImplementedError

    def holding(self) -> Iterable[Place[T]]:
        return () if self._held_by is None else (self._held_by,)

    def body(self, thread: MicroThread) -> None:
        with Scope(thread) as scope:
            for row in self.source.open_in(scope):
                try:
                    place = self.choose(row)
                    if place is not None and place.left < 1:
                        self._make_room(place, thread)
                    if thread.cancelled is not None:
                        raise thread.cancelled
                except BaseException:
                    thread.owner.drop([row])
                    raise
                if place is None or place not in self.places:
                    thread.owner.drop([row])
                    continue
                self.put(row, place)

    def put(self, row: Any, place: Place[Any]) -> None:
        if not place.block:
            self._touched.append(place)
        place.block.append(row)
        place.left -= 1

    def _make_room(self, place: Place[T], thread: MicroThread) -> None:
        """Until this place has room, or its reader has left."""
        while (left := place.channel.free - len(place.block)) < 1 and place in self.places:
            self._held_by = place
            self.flush()  # it is full when its rows are there
            try:
                self.rest(thread)
            finally:
                self._held_by = None
        place.left = left

    def flush(self) -> None:
        touched, self._touched = self._touched, []
        for place in touched:
            rows, place.block = place.block, []
            if place in self.places:
                place.channel.push(rows)
            else:
                assert self.run is not None
                self.run.run.drop(rows)


# --------------------------------------------------------------------------------------------------------------------
# Those, and the others


class _Parting(_Choosing[T]):
    def __init__(self, source: Stage[T], limit: int, test: Callable[[T], Any]) -> None:
        super().__init__(source, limit)
        self._test = test
        self.sides: list[Place[T]] = []

    def add(self, place: Place[T]) -> Place[T]:
        self.sides.append(place)
        return super().add(place)

    def choose(self, row: T) -> Place[T] | None:
        found = self._test(row)
        return self.sides[not (wait(found) if type(found) is _Coroutine else found)]


def partition(source: Stage[T], predicate: Callable[[T], object], limit: int = AHEAD) -> tuple[Stage[T], Stage[T]]:
    """The rows for which ``predicate(row)`` is true, and the others: two stages over one run of the source.

    An async `predicate` is awaited, one row at a time. Each stage keeps the order. The source starts when the first of
    the two is asked for a row. Each holds at most `limit` rows; when the next row is for one that is full, the source
    waits with it. The rows of a stage that was left early are dropped, and counted. The end, and a failure of the
    source or of `predicate`, reach both after their rows. The source is closed when it ends, or when the last one that
    is read leaves. When both have been read they may be read again, if the source can be; before that,
    AlreadyReadError.

    Read the two side by side (in tasks, or as inputs of one stage): one after the other works as long as the other one
    gets no more than `limit` rows meanwhile. In a script that is found, and raises SlowReaderError. Raises ValueError
    or TypeError for arguments that these can't be.

        even, odd = flow.wrap([1, 2, 3]).partition(lambda n: n % 2 == 0)
        list(odd)                                          # [1, 3]
        list(even)                                         # [2]
    """
    test = called(predicate, "partition")
    bound_of(limit, "partition(limit)")
    fork = Fork(source, 2, limit, lambda: _Parting(source, limit, test), f"partition({label_of(predicate)})")
    chosen, others = fork.outlets()
    return chosen, others


# --------------------------------------------------------------------------------------------------------------------
# A stage for each key


class Routed(Opener[tuple[Any, Stage[T]]], Generic[T]):
    """``(key, rows)`` for each key as it appears: `rows` is a stage of those for which ``key(row)`` is that.

    An async `key` is awaited, one row at a time. The pairs come in the order in which the keys appear, and each stage
    keeps the order of its rows. It can be read once, by anybody on the same loop, and holds at most `limit` rows, from
    before it is read, too; when the next row is for one that is full, the source waits with it. At most `most` keys are
    told apart, 1,000 if not stated: one more is a FullError, which ends the run. A stage that was left early is still a
    key: its further rows are dropped, and counted.

    The end, and a failure of the source or of `key`, reach the pairs and each of the stages after their rows. The
    source is closed when it ends, or when the last reader leaves: of the pairs, or of a stage. When the reader of the
    pairs leaves early, stages that are read go on, and rows of new keys are dropped; when nobody reads, stages that
    nobody has begun to read are over, and raise ClosedError. One that nobody holds any more counts as left. Raises
    ValueError or TypeError for arguments that these can't be.

    Read each stage in a task, or a branch, of its own: one that is read to its end inside of the loop over the pairs
    works only while no other key gets more than `limit` rows. To pass a key over, leave its stage: ``await rows[:0]``.

        pairs = flow.wrap([1, 2, 3]).route(lambda n: n % 2)
        {key: list(rows) for key, rows in pairs}           # {1: [1, 3], 0: [2]}
    """

    __slots__ = ("_key", "_name", "limit", "most")

    def __init__(self, source: Stage[T], key: Callable[[T], Any], limit: int = AHEAD, most: int = MOST_KEYS) -> None:
        self._source = source
        self._key = called(key, "route")
        self._name = f"route({label_of(key)})"
        self.limit = bound_of(limit, "route(limit)")
        self.most = bound_of(most, "route(most)")

    @property
    def short_label(self) -> str:
        return self._name

    def rows(self, upstream: Any, scope: Scope) -> Iterator[tuple[Any, Stage[T]]]:
        hub: _Routing[T] = _Routing(self._source, self.limit, self.most, self._key, self.label)
        hub.begin(hub.pairs, scope.strand)
        scope.add(hub.pairs)
        return hub.pairs.channel.rows(scope.strand)


class _Routing(_Choosing[T]):
    def __init__(self, source: Stage[T], limit: int, most: int, key: Callable[[T], Any], label: str) -> None:
        super().__init__(source, limit)
        self._key = key
        self._most = most
        self.label = label
        self._by_key: dict[Any, Place[T]] = {}
        self._unread: dict[Any, ref[_Substream[T]]] = {}
        self.pairs: Place[Any] = self.add(Place(most))  # a pair for each key: it is never full

    def choose(self, row: T) -> Place[T] | None:
        key = self._key(row)
        if type(key) is _Coroutine:
            key = wait(key)
        place = self._by_key.get(key)
        if place is None and self.pairs in self.places:
            if len(self._by_key) >= self._most:
                raise FullError(
                    f"{self.label} has {self._most} keys, which is its limit (most={self._most}), and now came "
                    f"{key!r}: give it a larger one, or a key with fewer values"
                )
            place = self._by_key[key] = self.add(Place(self.limit))
            rows = _Substream(self, key, place)
            self._unread[key] = ref(rows, lambda _: self.forget(place))  # nobody reads what nobody holds
            self.put((key, rows), self.pairs)
        return place


class _Substream(Stage[T]):
    """The rows of one key."""

    __slots__ = ("_hub", "_key", "_place")

    def __init__(self, hub: _Routing[T], key: Any, place: Place[T]) -> None:
        self._hub = hub
        self._key = key
        self._place = place

    @property
    def sources(self) -> tuple[Stage[Any], ...]:
        return (self._hub.source,)

    @property
    def short_label(self) -> str:
        return f"key {self._key!r}"

    @property
    def label(self) -> str:
        return f"{self._hub.label}: {self.short_label}"

    def rows(self, upstream: Any, scope: Scope) -> Iterator[T]:
        place = self._place
        if place.strand is not None:
            raise AlreadyReadError(f"{self!r} was already read: the rows of a key come once")
        if place.channel.closed:
            raise ClosedError(f"{self!r} can't be read any more: all readers of its run had left before its end")
        self._hub.begin(place, scope.strand)
        scope.add(place)
        return place.channel.rows(scope.strand)


# --------------------------------------------------------------------------------------------------------------------
# Whoever asks


class _Balancing(Hub[T]):
    """Holds rows for whoever asks, first come, first served."""

    def __init__(self, source: Stage[T], limit: int) -> None:
        super().__init__(source, limit)
        self._held: deque[T] = deque()
        self._asking: dict[Place[T], None] = {}

    def room(self) -> int:
        return self.limit - len(self._held)

    def ask(self, place: Place[T]) -> bool:
        if self._held:
            self._asking.pop(place, None)
            place.channel.push([self._held.popleft()])
            self.go_on()
            return True
        if self.run is not None and self.run.over:
            place.channel.end(self.run.failure)
            return True
        self._asking[place] = None
        return super().ask(place)

    def hand_out(self, rows: list[T]) -> None:
        self._held.extend(rows)
        while self._held and self._asking:
            place = next(iter(self._asking))
            del self._asking[place]
            place.channel.push([self._held.popleft()])

    def ended(self, error: BaseException | None) -> None:
        for place in [*self._asking]:  # the others get the rows that are held first
            place.channel.end(error)

    def may_go_on(self) -> bool:
        return bool(self._asking) or 2 * len(self._held) <= self.limit

    def stop(self, place: Place[T]) -> None:
        super().stop(place)
        if place not in self.places:  # else it waits for the end of the source, and is told
            self._asking.pop(place, None)

    def leave(self, place: Place[T]) -> None:
        """A row that was given to it, and that it has not taken, is for the next one."""
        self._asking.pop(place, None)
        if place in self.reading:
            back = place.channel.shed(1)
            others = len(self.reading) > 1
            if others:
                self._held.extendleft(back)
                self.hand_out([])
            elif place.channel.run is not None:
                place.channel.run.drop([*back, *self._held])
                self._held.clear()
        super().leave(place)


class _Workers(Fork[T]):
    """A worker that has left may come again, while others are at it."""

    def begin(self, index: int, strand: Strand) -> Place[T]:
        hub = self.hub
        if index in self._begun and hub is not None and hub.reading and not hub.cut:
            if self.places[index] in hub.reading:
                raise BusyError(f"{self.source!r} | {self.name}[{index}] is being read: it is for one reader at a time")
            self.places[index] = place = hub.add(Place(self.limit))
            hub.begin(place, strand)
            return place
        return super().begin(index, strand)


def balance(source: Stage[T], n: int, limit: int = AHEAD) -> tuple[Stage[T], ...]:
    """`n` stages that share the rows of one run of the source: each row goes to the first one that asks.

    Those that wait are served in the order in which they came. The source starts with the first one that asks, and
    works at most `limit` rows ahead of them, which are held for whoever asks next: a slow reader holds up nobody, and
    no row waits behind one. A row that was given to a reader which leaves before it takes it goes to the next one. The
    end, and a failure, reach all of them after the rows. The source is closed when it ends, or when the last one that
    is read leaves. One reader at a time for each stage (BusyError); one that has left may come again while others are
    read. When all have been read they may be read anew, if the source can be; before that, AlreadyReadError. Raises
    ValueError or TypeError for arguments that these can't be.

        first, second = flow.wrap([1, 2, 3, 4]).balance(2)
        flow.Zip(first, second)                            # (1, 2), (3, 4)
    """
    count_of(n, "balance(n)")
    bound_of(limit, "balance(limit)")
    return _Workers(source, n, 1, lambda: _Balancing(source, limit), f"balance({n})").outlets()
