"""What iterating a stage gives, besides its rows: blocks, a run with a scope, and what reads it in a script.

What may live here: the small objects that stand between a stage and the readers of its runs.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ..errors import LoopRunningError, NotReadyError
from . import run as _run
from .here import blocks_here, closing, script
from .microthread import current
from .reader import BlockReader
from .run import Options
from .running import Running, RunningHere

if TYPE_CHECKING:
    from .stage import Stage

__all__ = ["Block", "Blocks", "Opening", "refuse_a_loop"]

T = TypeVar("T")
U = TypeVar("U")
T_co = TypeVar("T_co", covariant=True)


def refuse_a_loop(stage: Stage[Any], written: str, instead: str) -> None:
    loop = _run.loops.running()
    if loop is not None:
        raise LoopRunningError(
            f"`{written}` would block the event loop that runs in this thread ({loop.name}). Write `{instead}` "
            f"there, or `await stage` for a list. Nothing was read. The stage: {stage!r}"
        )


class Block(Iterator[T_co]):
    """Reads a stage in a script, and blocks the thread while the stage waits: the controller behind a plain ``for``.

    It takes what `flow.wrap` takes; an exception of a type in `trap` becomes the last row. Rows come in order, each
    when it is asked for; the run begins with the first one. It is one run, and an iterator: a second ``for`` goes on
    where the first one stopped. ``close()``, or leaving its ``with``, closes the run, cleanups that wait included.
    Raises LoopRunningError where an event loop runs in this thread.

        rows = flow.Block(["immediate", flow.Cooperate(0.1), "delayed"])
        next(rows)                                         # 'immediate'
        rows.close()
    """

    __slots__ = ("_rows", "_stage")

    def __init__(self, stage: Stage[T_co] | Iterable[T_co] | Any, /, *trap: type[BaseException]) -> None:
        from .wrap import stage_of

        self._stage: Stage[T_co] = stage_of(stage, *trap)
        self._rows: Iterator[T_co] | None = None

    def __iter__(self) -> Block[T_co]:
        return self

    def __next__(self) -> T_co:
        if self._rows is None:
            self._rows = iter(self._stage)
        return next(self._rows)

    def close(self) -> None:
        """Closes the run: upstream, in order, finished when this returns. Idempotent; no row can be read any more."""
        rows, self._rows = self._rows, iter(())
        close = getattr(rows, "close", None)
        if close is not None:
            close()

    def __enter__(self) -> Block[T_co]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        closing(self, error)


class Blocks(Generic[T_co]):
    """The rows of a stage as lists of what is ready: see `Stage.blocks`."""

    __slots__ = ("_options", "_stage")

    def __init__(self, stage: Stage[T_co], options: Options) -> None:
        self._stage = stage
        self._options = options

    def __iter__(self) -> Iterator[list[T_co]]:
        if current() is not None:
            raise NotReadyError(
                "blocks() are for the reader of a flow. Inside a stage, iterate the rows, or use .batched(n)"
            )
        refuse_a_loop(self._stage, "for block in stage.blocks()", "async for block in stage.blocks()")
        return script(blocks_here(self._stage, self._options))

    def __aiter__(self) -> AsyncIterator[list[T_co]]:
        reader: BlockReader[T_co] = BlockReader(self._stage, self._options)
        return reader


class Opening(Generic[T_co], AbstractContextManager[RunningHere[T_co]], AbstractAsyncContextManager[Running[T_co]]):
    """A run about to be opened by ``with`` or ``async with``: see `Stage.open`."""

    def __init__(self, stage: Stage[T_co], options: Options) -> None:
        self._stage = stage
        self._options = options
        self._here: RunningHere[T_co] | None = None
        self._reader: Running[T_co] | None = None

    def _once(self) -> None:
        if self._here is not None or self._reader is not None:
            raise NotReadyError(f"this run of {self._stage!r} was opened already: call stage.open() for each `with`")

    def __enter__(self) -> RunningHere[T_co]:
        self._once()
        inside = current() is not None
        if not inside:
            refuse_a_loop(self._stage, "with stage.open() as rows", "async with stage.open() as rows")
        self._here = RunningHere(self._stage, self._options, inside=inside)
        return self._here

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        assert self._here is not None
        closing(self._here, error)

    async def __aenter__(self) -> Running[T_co]:
        self._once()
        self._reader = Running(self._stage, self._options)
        return self._reader

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        assert self._reader is not None
        await self._reader.__aexit__(kind, error, where)
