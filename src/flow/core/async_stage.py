"""Async stages and sources: async iterables, each read by a task of its own.

The task reads its input, and its reader reads it, in blocks of what is ready, so that a turn of the loop and a switch
of stacks serve several rows. What may live here: what that task does. How an async iterable is told from others is in
`wrap.py`.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Generator, Iterator
from itertools import chain, islice
from typing import Any, TypeVar

from ..errors import ClosedError
from .bodies import checked
from .instruction import TURN, Signal
from .microthread import ROW, MicroThread, wait_out
from .near import NearChannel
from .pull_cy import Ready
from .reader import BlockReader
from .run import Options, Run
from .scope import Scope, raise_first
from .source import AHEAD, Once, bound_of
from .stage import Stage
from .stopping import Fed

__all__ = ["Async"]

T = TypeVar("T")


class Async(Stage[T]):
    """An async iterable, read by a task of its own from first step to last, so that no cancel scope, timeout or context
    variable of it ever straddles a ``yield`` into foreign code (the hazard of PEP 789).

    It holds up to `ahead` rows. Of its input it reads no more at once than it has room for. On every way out its task
    is cancelled, its ``aclose()`` is awaited in that task, and the stages above it are closed, before control returns.
    """

    __slots__ = ("_make", "_name", "_once", "_source", "ahead")

    def __init__(
        self,
        make: Callable[..., AsyncIterable[T]],
        name: str,
        source: Stage[Any] | None = None,
        ahead: int = AHEAD,
        once: Once[Any] | None = None,
    ) -> None:
        self._make = make
        self._name = name
        self._source = source
        self._once = once
        self.ahead = bound_of(ahead, "ahead")

    @property
    def label(self) -> str:
        return self._name if self._source is None else f"{self._source!r} | {self._name}"

    @property
    def short_label(self) -> str:
        return self._name

    @property
    def sources(self) -> tuple[Stage[Any], ...]:
        return () if self._source is None else (self._source,)

    def taken(self) -> None:
        if self._once is not None:
            self._once.taken()

    def rows(self, upstream: Any, scope: Scope) -> Iterator[T]:
        return Ready.of(scope.add(self._pieces(scope)))

    def _pieces(self, scope: Scope) -> Generator[Iterator[T]]:
        run = scope.strand.owner
        channel: NearChannel[T] = NearChannel(run, self.ahead)
        ended = Signal()
        early: list[Exception] = []
        fed = Fed(scope.strand, None if self._source is not None else lambda: task.cancel(), channel)

        def done(value: Any, error: BaseException | None) -> None:
            if fed.stopped and not isinstance(error, Exception):
                error = None  # the task was cancelled for it
            channel.end(error)
            ended.set()

        task = run.loop.spawn(self._work(channel, run, fed, early), done, run.context)
        try:
            yield from channel.pieces(scope.strand)
        finally:
            fed.close()
            ahead = channel.ended
            channel.close()
            if not ahead:
                task.cancel()
                wait_out(scope.strand, lambda: channel.ended, ended)
                # A failure ahead of what was asked for is dropped, as rows there are; one of closing is raised.
                if isinstance(channel.failure, Exception) and channel.failure not in early:
                    raise_first(None, [channel.failure])

    async def _work(self, channel: NearChannel[T], run: Run, fed: Fed, early: list[Exception]) -> None:
        reader: Input[Any] | None = None
        if self._source is None:
            made = self._make()
        else:
            reader = Input(self._source, run.options, channel)
            made = self._make(reader.as_part_of(run, fed.stops))
        rows: AsyncIterator[T] = aiter(made)
        push = channel.push_one
        try:
            if fed.late:
                return
            async for row in rows:
                if not push(row):
                    await channel.room()
        except Exception as error:
            if not channel.closed:
                # The task may not have ended yet when the reader goes
                # (test_close.py::test_a_failure_ahead_of_the_reader_is_dropped_while_its_task_ends).
                early.append(error)
                raise
            if not isinstance(error, ClosedError):
                raise  # else: the reader has gone, and the reason to go on with it
        finally:
            try:
                aclose = getattr(rows, "aclose", None)
                if aclose is not None:
                    await aclose()
            finally:
                if reader is not None:
                    await reader.aclose()


class Input(BlockReader[T]):
    """What an async stage reads, row by row, out of blocks of what is ready.

    A block has as many rows as there is room for in the channel below, and few, or one, where rows take long: rows that
    were read wait for the stage, as those that it made wait for its reader.
    """

    __slots__ = ("_rows",)

    def __init__(self, stage: Stage[T], options: Options, channel: NearChannel[Any]) -> None:
        super().__init__(stage, options, _gathering(channel))
        self._rows: Iterator[T] = iter(())

    async def __anext__(self) -> T:  # type: ignore[override]
        for row in self._rows:
            return row
        self._rows = rows = iter(await super().__anext__())
        return next(rows)

    async def aclose(self) -> None:
        left = list(self._rows)
        if left and self._run is not None:
            self._run.drop(left)
        await super().aclose()


def _gathering(channel: NearChannel[Any]) -> Callable[[MicroThread], None]:
    def gather(thread: MicroThread) -> None:
        run, clock, block = thread.owner, thread.loop.clock, thread.owner.block
        quick = run.slice / 32  # as in `pull_cy`
        size = 1
        with Scope(thread) as scope:
            rows = chain(run.stage.open_in(scope))  # may be asked again after its end
            for row in checked(rows, thread):
                block.append(row)
                thread.parent.switch(ROW)
            then = clock()
            for row in rows:
                block.append(row)
                more = min(size, channel.free) - len(block)
                if more > 0:
                    block.extend(islice(rows, more))
                if thread.cancelled is not None:
                    raise thread.cancelled
                now = clock()
                size = size + size if now - then < quick else 1
                if now >= run.deadline:
                    thread.pause(TURN)
                if block:
                    thread.parent.switch(ROW)
                then = clock()

    return gather
