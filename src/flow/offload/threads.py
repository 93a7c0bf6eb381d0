"""Threaded: a blocking iterable, read in a thread of its own.

Guarantees (CONTRACT 26): the iterable is opened, advanced and closed in that one thread; the thread starts when the
first row is asked for; it holds at most `limit` rows and then stops; errors, from ``iter()`` and from opening too,
come after the rows before them; it stops within one row (or one block) of a close, and a close waits for it. Rows
cross in blocks that grow while the reader is busy: one wake-up a block, and none while the reader has rows. An
iterable with blocks of its own (`flow.QueryIterator`) is handed over in those.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, TypeVar
from weakref import WeakSet

from ..core.channel import Channel
from ..core.instruction import Signal
from ..core.microthread import wait_out
from ..core.pull_cy import Ready
from ..core.scope import Scope, raise_first
from ..core.source import bound_of, can_be_called, is_a
from ..core.stage import Stage, label_of
from ..core.stopping import Fed
from ..errors import AlreadyReadError, ClosedError

__all__ = ["Threaded"]

T = TypeVar("T")

_open: WeakSet[Channel[Any]] = WeakSet()


@atexit.register
def _stop_all() -> None:
    """At interpreter exit: threads that wait for room are let go, so that their iterators are closed."""
    for channel in list(_open):
        channel.close()


class Threaded(Stage[T]):
    """The rows of a blocking iterable, which is opened, read and closed in a thread of its own.

    `iterable` is anything a ``for`` takes, or a function without arguments that returns such a thing: it is called in
    the thread, once for each run. Rows come in order, as soon as they are there; up to `limit` are held, then the
    thread stops. At the end, on a failure, a break or a cancel, the iterator's ``close()`` runs in the thread, and
    control returns when the thread has ended; a thread that is inside a blocking call can't be interrupted, so that
    call is waited for; so it is when the run is stopped: the rows that it holds come first. An iterator or a generator
    object can be read once. An iterable with a method ``blocks()`` (as
    `QueryIterator`) crosses in its own blocks, at most one of which goes over the limit; one with a method
    ``run_in_thread(f, stop)`` runs `f` in a thread of its choice, and calls `stop` when that thread must end. Raises
    ValueError or TypeError for a limit that is no bound, TypeError for what is no iterable.

        flow.Threaded(open("rows.txt"))                    # its lines, read in a thread
        flow.Threaded(lambda: os.walk("."), limit=100)
    """

    __slots__ = ("_iterable", "_name", "_once", "limit")

    def __init__(self, iterable: Iterable[T] | Callable[[], Iterable[T]], *, limit: int = 1000) -> None:
        self.limit = bound_of(limit, "Threaded(limit)")
        if isinstance(iterable, Stage):
            raise TypeError("Threaded() takes a blocking iterable; a stage waits without blocking and needs no thread")
        if not can_be_called(iterable) and not is_a(iterable, Iterable) and not hasattr(type(iterable), "__getitem__"):
            raise TypeError(
                f"Threaded() takes an iterable, or a function that returns one, not {type(iterable).__name__}"
            )
        self._iterable: Any = iterable
        self._name = label_of(iterable) if callable(iterable) else type(iterable).__name__
        self._once = isinstance(iterable, Iterator)

    @property
    def label(self) -> str:
        return f"Threaded({self._name})"

    def taken(self) -> None:
        if self._once and self._iterable is None:
            raise AlreadyReadError(
                f"{self.label} was already read, and an iterator can be read only once. Give a function that makes it."
            )

    def rows(self, upstream: Any, scope: Scope) -> Iterator[T]:
        channel: Channel[T] = Channel(scope.strand.owner, self.limit)
        work = scope.add(_Work(self._iterable, channel, Signal()))
        if self._once:
            self._iterable = None
        return Ready.of(scope.add(self._pieces(work, channel, scope)))

    def _pieces(self, work: _Work, channel: Channel[T], scope: Scope) -> Generator[Iterator[T]]:
        run = scope.strand.owner
        ended = work.ended
        loop: Any = getattr(run.loop, "loop", None)  # an asyncio loop: a virtual one asks to be told of threads
        channel.hold, channel.release = getattr(loop, "hold", None), getattr(loop, "release", None)
        if channel.hold is not None:
            channel.hold()
        _open.add(channel)
        thread: threading.Thread | None = None
        fed = Fed(scope.strand, channel.stop, channel)
        if fed.late:
            work.call_off()
            if channel.release is not None:
                channel.release()
        elif work.run_in_thread is None:
            thread = threading.Thread(target=work.run, name=f"flow {self.label}", daemon=True)
            thread.start()
        else:
            work.run_in_thread(work.run, channel.close)
        try:
            if not fed.late:
                yield from channel.pieces(scope.strand)
        finally:
            fed.close()
            ahead = channel.ended  # a failure ahead of what was asked for is dropped, as rows there are
            channel.close()
            if not work.call_off():
                wait_out(scope.strand, lambda: work.done, ended)
            if thread is not None:  # its last steps: join() would block the loop
                if channel.hold is not None:
                    channel.hold()
                try:
                    wait_out(scope.strand, lambda: not thread.is_alive())
                finally:
                    if channel.release is not None:
                        channel.release()
            if channel.stopped:
                run.drop(work.left)
            if not ahead and isinstance(channel.failure, Exception):
                raise_first(None, [channel.failure])


class _Work:
    """What runs in the thread."""

    def __init__(self, iterable: Any, channel: Channel[Any], ended: Signal) -> None:
        self._iterable: Any = iterable
        self._channel = channel
        self._lock = threading.Lock()
        self._begun = False
        self.run_in_thread: Any = getattr(iterable, "run_in_thread", None)
        self.ended = ended
        self.done = False
        self.left: list[Any] = []  # what it had just read when it learned that the flow was stopped

    def call_off(self) -> bool:
        """Nobody wants the rows any more. True: no thread had come to it yet, and none will begin."""
        with self._lock:
            self.done = self.done or not self._begun
            return not self._begun

    def run(self) -> None:
        with self._lock:
            if self.done:
                return
            self._begun = True
        failure: BaseException | None = None
        try:
            self._read()
        except ClosedError as error:
            if not self._channel.closed:
                failure = error
        except BaseException as error:
            failure = error
        finally:
            self._iterable = None
            self._channel.end(failure)
            self.done = True
            self.ended.set()
            if self._channel.release is not None:
                self._channel.release()

    def close(self) -> None:
        """Closes an iterator that was handed over and that the thread, never started, did not take."""
        iterable, self._iterable = self._iterable, None
        if is_a(iterable, Iterator):
            close = getattr(iterable, "close", None)
            if close is not None:
                close()

    def _read(self) -> None:
        iterable, self._iterable = self._iterable, None
        if can_be_called(iterable) and not is_a(iterable, Iterable):
            iterable = iterable()
        blocks = getattr(iterable, "blocks", None)
        rows: Any = iter(iterable) if blocks is None else iter(blocks())
        try:
            if blocks is None:
                self._rows(rows)
            else:
                for block in rows:
                    self._push(block)
        finally:
            close = getattr(rows, "close", None)
            if close is not None:
                close()

    def _rows(self, rows: Iterator[Any]) -> None:
        channel = self._channel
        row: Any = None
        try:
            for row in rows:
                if not channel.push_one(row) and not channel.wait_for_room():
                    break  # nobody wants the next one
        except ClosedError:
            self.left = [row]
            raise

    def _push(self, block: list[Any]) -> None:
        try:
            if block and not self._channel.push(block):
                self._channel.wait_for_room()
        except ClosedError:
            self.left = block
            raise
