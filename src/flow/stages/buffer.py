"""Stages that hold rows which others push: `Callback`."""

from __future__ import annotations

from collections.abc import Callable as Function
from collections.abc import Generator, Iterator
from threading import get_ident
from typing import Any, TypeVar

from ..core.channel import Channel
from ..core.run import Scope
from ..core.source import bound_of, sliced_fairly
from ..core.stage import Stage
from ..errors import AlreadyReadError, ClosedError, FullError, WrongThreadError

__all__ = ["Callback"]

T = TypeVar("T")


class Callback(Stage[T]):
    """Rows that somebody pushes: the bridge from callbacks to a flow.

    ``result(row)`` (or calling it) adds a row, ``finish()`` ends it, ``errback(error)`` ends it with a failure; the
    reader gets the rows first, in order. It holds at most `limit` rows, from before it is read too. When it is full,
    ``result`` raises FullError, ``offer(row)`` adds nothing and returns False, ``await put(row)`` waits for room, and
    `pause` is called (`resume` once half of the room is free again). A push after the end, or after the reader has
    gone, raises ClosedError. It can be read once.

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
        if not self.offer(row):
            raise FullError(
                f"this Callback holds {self.limit} rows, which is its limit, and its reader has not taken them yet. "
                "Use offer(row), which says whether there was room, `await put(row)`, which waits for it, or a larger "
                "limit."
            )

    __call__ = result

    def offer(self, row: T, /) -> bool:
        """Adds a row if there is room; says whether it did. Raises ClosedError after the end."""
        self._check()
        return self._channel.offer_one(row)

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
        return self._rows(scope)

    def _rows(self, scope: Scope) -> Generator[T]:
        channel = self._channel
        channel.run = scope.strand.owner
        try:
            yield from sliced_fairly(channel.rows(), scope)
        finally:
            channel.close()
