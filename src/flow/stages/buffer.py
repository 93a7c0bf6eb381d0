"""Stages that hold rows, and what works beside a reader: `Callback`, which others push to, `Buffer`, `Beside`."""

from __future__ import annotations

from collections.abc import Callable as Function
from collections.abc import Generator, Iterator
from itertools import chain, islice
from threading import get_ident
from types import TracebackType
from typing import Any, Literal, TypeAlias, TypeVar, get_args

from ..core.background import Background, Filling
from ..core.branch import Branches
from ..core.channel import Channel
from ..core.instruction import TURN
from ..core.microthread import MicroThread, Strand
from ..core.near import NearChannel
from ..core.pull_cy import MOST, Ready
from ..core.scope import Scope, raise_first
from ..core.source import Opener, Source, bound_of
from ..core.stage import Stage
from ..core.stopping import Fed
from ..core.wrap import stage_of
from ..errors import AlreadyReadError, ClosedError, FullError, WrongThreadError

__all__ = ["Beside", "Buffer", "Callback", "Overflow", "choice_of"]

T = TypeVar("T")

Overflow: TypeAlias = Literal["wait", "drop_oldest", "drop_newest", "latest", "error"]
"""What a full buffer does with one more row."""


def choice_of(value: Any, allowed: Any, name: str) -> str:
    """The value, when it is one of the words that the Literal `allowed` has. Otherwise an error naming the argument."""
    words = get_args(allowed)
    if value not in words:
        kind = ValueError if isinstance(value, str) else TypeError
        raise kind(f"{name} must be one of {', '.join(map(repr, words))}, not {value!r}")
    return str(value)


class Callback(Stage[T]):
    """Rows that somebody pushes: the bridge from callbacks to a flow.

    ``result(row)`` (or calling it) adds a row, ``finish()`` ends it, ``errback(error)`` ends it with a failure; the
    reader gets the rows first, in order. It holds at most `limit` rows, from before it is read too. When it is full,
    ``result`` raises FullError, ``offer(row)`` adds nothing and returns False, ``await put(row)`` waits for room, and
    `pause` is called (`resume` once half of the room is free again). A push after the end, or after the reader has
    gone, raises ClosedError. When its run is stopped, `pause` is called, a push raises ClosedError, and the rows that
    it holds are still read. It can be read once.

    Push from the thread that made it; ``threadsafe=True`` lets any thread push, and ``put_blocking(row)`` is then a
    thread's way to wait for room. Raises ValueError or TypeError for a limit that is no bound.

        ticks = flow.Callback(limit=100)
        ticks.result(1); ticks.result(2); ticks.finish()
        list(ticks)                                        # [1, 2]
    """

    __slots__ = ("_channel", "_read", "_thread", "limit")

    def __init__(
        self,
        limit: int = 1000,
        *,
        threadsafe: bool = False,
        pause: Function[[], object] | None = None,
        resume: Function[[], object] | None = None,
    ) -> None:
        self.limit = bound_of(limit, "Callback(limit)")
        for name, hook in (("pause", pause), ("resume", resume)):
            if hook is not None and not callable(hook):
                raise TypeError(f"Callback({name}=...) must be a function, not {type(hook).__name__}")
        self._channel: Channel[T] = Channel(None, limit)
        self._thread = None if threadsafe else get_ident()
        self._channel.on_pause = pause
        self._channel.on_resume = resume
        self._read = False

    @property
    def label(self) -> str:
        return f"Callback(limit={self.limit})"

    # ---- pushing

    def result(self, row: T, /) -> None:
        """Adds a row. Raises FullError when there is no room (nothing is added), ClosedError after the end."""
        channel, thread = self._channel, self._thread
        if channel.closed or channel.ended or (thread is not None and get_ident() != thread):
            self._check()
        if not channel.offer_one(row):
            raise FullError(
                f"this Callback holds {self.limit} rows, which is its limit, and its reader has not taken them yet. "
                "Use offer(row), which says whether there was room, `await put(row)`, which waits for it, or a larger "
                "limit."
            )

    __call__ = result

    def offer(self, row: T, /) -> bool:
        """Adds a row if there is room; says whether it did. Raises ClosedError after the end."""
        channel, thread = self._channel, self._thread
        if channel.closed or channel.ended or (thread is not None and get_ident() != thread):
            self._check()
        return channel.offer_one(row)

    async def put(self, row: T, /) -> None:
        """Adds a row, and waits for room first. Raises ClosedError after the end, while waiting too."""
        self._check()
        while not self._channel.offer_one(row):
            from ..loops import awaiting

            loop = awaiting()
            if loop is None:
                raise WrongThreadError("await put() needs a running loop; a thread may use put_blocking()")
            await loop.suspend(self._channel.on_room)
            self._check()

    def put_blocking(self, row: T, /, timeout: float | None = None) -> None:
        """Adds a row, and blocks this thread until there is room. Needs ``threadsafe=True``.

        Raises TimeoutError after `timeout` seconds.
        """
        if self._thread is not None:
            raise WrongThreadError("put_blocking() is for threads: make the Callback with threadsafe=True")
        self._check()
        while not self._channel.offer_one(row):
            room = self._channel.wait_for_room(timeout)
            self._check()
            if not room and timeout is not None:
                raise TimeoutError(f"there was no room for a row within {timeout:g} s")

    def finish(self) -> None:
        """Ends the rows. Idempotent after a finish; ClosedError after a failure."""
        self._check_thread()
        if self._channel.ended and self._channel.failure is None:
            return
        self._check()
        self._channel.end(None)

    def errback(self, error: Any, /) -> None:
        """Ends the rows with a failure: an exception, or a Twisted Failure. Raises ClosedError after the end."""
        if type(error).__module__ == "twisted.python.failure":  # which is a BaseException, too
            error = error.value
        if not isinstance(error, BaseException):
            raise TypeError(f"errback(error) takes an exception or a Failure, not {type(error).__name__}")
        self._check()
        self._channel.end(error)

    @property
    def held(self) -> int:
        """Rows that it holds now."""
        return self._channel.held

    def _check_thread(self) -> None:
        if self._thread is not None and get_ident() != self._thread:
            raise WrongThreadError(
                "this Callback was made in another thread, and only that one may push into it: make it with "
                "flow.Callback(threadsafe=True) to push from any thread"
            )

    def _check(self) -> None:
        self._check_thread()
        if self._channel.closed:
            raise ClosedError("the reader of this Callback has gone: nobody would read the row")
        if self._channel.stopped:
            raise ClosedError("the flow that reads this Callback was stopped, and takes no more rows")
        if self._channel.ended:
            raise ClosedError("this Callback has ended: nothing can be pushed after finish() or errback()")

    # ---- reading

    def taken(self) -> None:
        if self._read:
            raise AlreadyReadError(
                "this Callback was already read, and its rows come only once: let one reader hand them on"
            )
        self._read = True

    def rows(self, upstream: Any, scope: Scope) -> Iterator[T]:
        return Ready.of(scope.add(self._pieces(scope)))

    def _pieces(self, scope: Scope) -> Generator[Iterator[T]]:
        channel = self._channel
        channel.run = scope.strand.owner
        fed = Fed(scope.strand, channel.stop, channel)
        try:
            if not fed.late:
                yield from channel.pieces(scope.strand)
        finally:
            fed.close()
            channel.close()


# --------------------------------------------------------------------------------------------------------------------
# Buffers


class Buffer(Opener[T]):
    """The rows of a stage that works on a micro-thread of its own, up to `n` rows ahead, while its reader is busy.

    It begins when its first row is asked for. The rows come in order, each as soon as it is there; at most `n` are
    held. `overflow` says what a full buffer does:

    - "wait": the stage makes no more rows until half of the room is free again. ``n=0`` is a rendezvous: nothing is
      made ahead, and the stage makes each row when its reader asks for it.
    - "drop_oldest", "drop_newest": the stage is never held back; the row that was held longest, or the new one, is
      dropped. "latest" is "drop_oldest" with one row: write ``n=1``.
    - "error": FullError ends the run, after the rows that are held.

    What is dropped is counted (`on_dropped` is given it). Before a full buffer drops a row, or fails, the loop has a
    turn or two, so that a reader which is ready, too, comes first. A failure comes after the rows before it. A break
    or a cancel closes the stage, and drops what is held. Raises ValueError or TypeError for an `n` that is no bound,
    and for a word that is not one of these.

        flow.wrap([1, 2, 3]).buffer(2)                     # 1, 2, 3
        latest = flow.wrap([1, 2]).buffer(1, overflow="latest")
    """

    __slots__ = ("n", "overflow")

    def __init__(self, source: Stage[T], n: int, overflow: Overflow = "wait") -> None:
        choice_of(overflow, Overflow, "buffer(overflow)")
        if n != 0 or isinstance(n, bool) or not isinstance(n, int):
            bound_of(n, "buffer(n)")
        elif overflow != "wait":
            raise ValueError(
                f"buffer(0, {overflow!r}): a rendezvous holds nothing, so it never overflows; n is 1 or more"
            )
        if overflow == "latest" and n != 1:
            raise ValueError(f"buffer({n}, 'latest') holds one row: write n=1, or overflow='drop_oldest' for more")
        self._source = source
        self.n = n
        self.overflow = overflow

    @property
    def short_label(self) -> str:
        return f"buffer({self.n})" if self.overflow == "wait" else f"buffer({self.n}, {self.overflow!r})"

    def rows(self, upstream: Any, scope: Scope) -> Iterator[T]:
        channel: NearChannel[T] = NearChannel(scope.strand.owner, self.n or 1)
        if self.overflow == "wait":
            return Filling(scope.strand, self._source, channel, ahead=self.n > 0).rows(scope)
        return _Overflowing(scope.strand, self._source, channel, self.overflow).rows(scope)


class _Overflowing(Filling):
    """Reads a stage into a channel that never holds it back."""

    def __init__(self, strand: Strand, stage: Stage[Any], channel: NearChannel[Any], overflow: str) -> None:
        super().__init__(strand, stage, channel)
        self.overflow = overflow
        self.turns = 2

    def body(self, thread: MicroThread) -> None:
        channel, block = self.channel, thread.owner.block
        with Scope(thread) as scope:
            rows = chain(thread.owner.stage.open_in(scope))
            for row in rows:
                if channel.free > 0:
                    self.turns = 2  # where the loop comes to this one first, the reader's is the second
                elif not self._makes_room_for(row, thread):
                    continue
                block.append(row)
                block.extend(islice(rows, min(channel.free - 1, MOST)))  # few: `shed` is quicker with small blocks
                if thread.cancelled is not None:
                    raise thread.cancelled
                self.flush()

    def _makes_room_for(self, row: Any, thread: MicroThread) -> bool:
        """The channel is full: is there room for the row now? If not, the row was dropped."""
        channel, run = self.channel, thread.owner
        try:
            while self.turns:  # whoever else is ready gets a turn first: the reader may be among them
                self.turns -= 1
                thread.pause(TURN)
                if channel.free > 0:
                    self.turns = 2
                    return True
            if self.overflow == "error":
                raise FullError(
                    f"{channel.limit} rows are held, which is the limit of this buffer, and its reader has not taken "
                    "them yet. Let it wait or drop rows (overflow=...), or give it a larger n."
                )
        except BaseException:
            run.drop([row])
            raise
        run.drop([row] if self.overflow == "drop_newest" else channel.shed(1))
        return self.overflow != "drop_newest"


# --------------------------------------------------------------------------------------------------------------------
# Companions


class Beside(Stage[T]):
    """The rows of a stage, while another stage is read beside it: a heartbeat, a watch on something, a feed of a cache.

    The companion begins with the first row that is asked for, and goes on by itself, while the reader is busy, too. Its
    rows go nowhere: it is there for what it does, so they do not count as dropped. The rows of the stage itself come
    in order, each when it is asked for; nothing is held. When they end, the companion is cancelled and closed before
    control returns. When the companion ends, nothing happens. When it fails, the rows made before are delivered, then
    the stage is cancelled and closed, and the failure is raised; a second failure joins it in an ExceptionGroup.

        flow.wrap([1, 2]).background([10, 20, 30])         # 1, 2
    """

    __slots__ = ("_companion", "_source")

    def __init__(self, source: Stage[T], companion: Any) -> None:
        self._source = source
        self._companion = stage_of(companion)

    @property
    def sources(self) -> tuple[Stage[Any], ...]:
        return self._source, self._companion

    @property
    def short_label(self) -> str:
        return "background"

    @property
    def label(self) -> str:
        return f"{self._source!r} | background({self._companion!r})"

    def rows(self, upstream: Any, scope: Scope) -> Iterator[T]:
        return self._rows(scope)

    def _rows(self, scope: Scope) -> Generator[T]:
        strand = scope.strand
        script = not isinstance(strand, MicroThread)  # nobody else there, but the companion, needs turns
        slice, clock = strand.owner.slice, strand.loop.clock
        due = clock() + slice
        with (
            Branches(strand, [self._source]) as branches,
            _Companion(strand, self._companion, branches) as companion,
        ):
            while (branch := branches.next()) is not None:
                if branch.full:
                    yield branch.take()
                    if script and clock() >= due:
                        if not companion.over:
                            strand.pause(TURN)
                        due = clock() + slice
                    if companion.failed is not None:
                        raise companion.failed
                    branches.ask(branch)


class _Companion(Background):
    """What is read for what it does. Its failure is that of one more branch, so that it ends a wait for the others."""

    def __init__(self, strand: Strand, stage: Stage[Any], branches: Branches) -> None:
        super().__init__(strand, stage, self.body, self._ended_with)
        self.failed: BaseException | None = None
        self._strand = strand
        self._branches = branches

    def body(self, thread: MicroThread) -> None:
        with Scope(thread) as scope:
            for _ in thread.owner.stage.open_in(scope):
                if thread.cancelled is not None:
                    raise thread.cancelled

    def _ended_with(self, error: BaseException | None) -> None:
        if error is not None and not self._closing:
            self.failed = error
            self._branches.add(Source(self._fail, repr(self.run.stage)))

    def _fail(self, scope: Scope) -> Iterator[Any]:
        assert self.failed is not None
        raise self.failed

    def __enter__(self) -> _Companion:
        self.hurry(self._strand)  # on every loop it begins before the stage that it is beside
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        failures: list[BaseException] = []
        if self.failed is not None and self.failed is not error and isinstance(error, Exception):
            failures.append(self.failed)  # it came, and nobody was told of it
        try:
            self.close(self._strand)
        except BaseException as failure:
            failures.append(failure)
        if failures:
            raise_first(error, failures)
