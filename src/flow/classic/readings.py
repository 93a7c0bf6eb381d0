"""Readings of classic stages: what `results`, `stop` and `failure` show, and the chunks of `chunked` stages.

A reading holds the rows that ``yield stage`` waited for. `Reading` is that of a stage which the engine opens, `Own`
that of a stage with a ``_yield()`` of its own, which holds its rows itself.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any

from twisted.python.failure import Failure

from ..core.bodies import LARGEST_BLOCK
from ..core.instruction import TURN
from ..core.microthread import ROW, MicroThread, Strand
from ..core.pass_cy import Pass, reading_of
from ..core.scope import Scope
from ..core.source import is_a

if TYPE_CHECKING:
    from ..core.stage import Stage as AnyStage
    from .base import Stage

__all__ = ["End", "Members", "Own", "Reading", "failure_of", "going_on", "shown_as_failure", "trapped"]


class End(StopIteration):
    """The end of a stage, raised by its next(). Let out of a wrapped generator, it ends that as it did in 2003."""


class Members:
    """What a stage holds: rows, and how it ended."""

    __slots__ = ("failure", "held", "stop")

    def __init__(self, stop: bool = False) -> None:
        self.held: list[Any] = []
        self.stop = stop
        self.failure: Any = None

    @property
    def empty(self) -> bool:
        return not self.held and not self.stop and self.failure is None

    def ends(self) -> bool:
        """Has it ended? Raises the failure that ended it, once."""
        if self.held:
            return False
        if not self.stop and self.failure is not None:
            self.stop = True
            raise raised_by(self.failure)
        return self.stop


_Failure: Any = Failure  # as Any: most of it has no types


def failure_of(error: BaseException) -> Failure:
    """The Failure for an exception, with the traceback through its stages."""
    failure: Failure = _Failure(error, type(error), error.__traceback__)
    return failure


def raised_by(failure: Any) -> BaseException:
    """The exception of a Failure; a program may also have set the exception itself."""
    error: BaseException = failure.value if is_a(failure, Failure) else failure
    return error


def shown_as_failure(shown: Any) -> Failure | None:
    """The failure of a reading as 2003 showed it; the same object each time."""
    failure = shown.failure
    if failure is None or is_a(failure, StopIteration):
        return None
    if not is_a(failure, Failure):
        failure = shown.failure = failure_of(failure)
    made: Failure = failure
    return made


def trapped(rows: Iterator[Any], trap: tuple[Any, ...]) -> Generator[Any]:
    """The rows; an exception that the trap has becomes the last one, as the class that matched."""
    try:
        yield from rows
        return
    except Exception as error:
        matched: Any = _Failure(error).check(*trap)
        if matched is None:
            raise
    yield matched


class Reading(Pass):
    """One reading of a stage that the engine opens."""

    stage: Stage

    def __init__(self, stage: Stage, strand: Strand) -> None:
        super().__init__(stage, strand)
        self.held: list[Any] = []
        self.stop = False  # set by the program
        self._chunks = False

    def ask(self) -> None:
        if self.held or self.stop:
            return
        if self.rows is None and self.stage.chunked:
            self._chunks = True
            self.rows = self.scope.add(_Chunks(self.stage, self.strand))
        super().ask()
        if self.full:
            row, self.row, self.full = self.row, None, False
            self.held = row if self._chunks else [row]

    def __next__(self) -> Any:
        self.ask()
        if self.held:
            if self.stage.chunked:
                rows, self.held = self.held, []
                return rows
            return self.held.pop(0)
        self.failure = StopIteration() if self.stop else raised_by(self.failure)
        return super().__next__()

    def close(self) -> None:
        rows, self.held = self.held, []
        self.strand.owner.drop(rows)
        super().close()


class Own:
    """A reading of a stage with a ``_yield()`` of its own. What it holds is the stage's."""

    def __init__(
        self, stage: Stage, strand: Strand, members: Members, ask: Callable[[], None], trap: tuple[Any, ...]
    ) -> None:
        self.stage = stage
        self.members = members
        self._ask = ask
        self._trap = trap
        self._strand = strand

    def ask(self) -> None:
        """Waits until there is a row, an end or an error. No source below it looks at the clock, so this does."""
        self._ask()
        strand = self._strand
        if isinstance(strand, MicroThread) and strand.loop.clock() >= strand.owner.deadline:
            strand.pause(TURN)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        self.ask()
        members = self.members
        if members.held:
            if self.stage.chunked:
                rows, members.held = members.held, []
                return rows
            return members.held.pop(0)
        return next(trapped(self._ended(), self._trap))

    def _ended(self) -> Generator[Any]:
        self.members.ends()
        yield from ()

    def close(self) -> None:
        self._strand.passes.pop(self.stage, None)


def going_on(stage: AnyStage[Any], strand: Strand) -> Generator[Any] | None:
    """The rows that a stage still gives in this strand, one by one; None when it has not been read there."""
    if stage in strand.passes or (strand.ended is not None and stage in strand.ended):
        return _one_by_one(reading_of(stage, strand), getattr(stage, "chunked", False))
    return None


def _one_by_one(reading: Iterator[Any], chunked: bool) -> Generator[Any]:
    for row in reading:
        if chunked:
            yield from row
        else:
            yield row


class _Chunks:
    """Lists of what is ready of a stage. They are gathered on a micro-thread, which can be left where it must wait.

    A list ends where `stage.blocks()` ends one: where the stage must wait, where its time slice is used up, at 1,024
    rows. What it waits for is then waited for in the strand that reads, when the next list is asked for.
    """

    def __init__(self, stage: AnyStage[Any], strand: Strand) -> None:
        self._stage = stage
        self._strand = strand
        self._held: list[Any] = []
        self._thread = MicroThread(strand.owner, self._gather)
        self._paused_with: Any = ROW
        self._failure: BaseException | None = None

    def _gather(self, thread: MicroThread) -> None:
        with Scope(thread) as scope:
            for row in self._stage.open_in(scope):
                self._held.append(row)
                if len(self._held) >= LARGEST_BLOCK:
                    thread.parent.switch(ROW)

    def __iter__(self) -> Iterator[list[Any]]:
        return self

    def __next__(self) -> list[Any]:
        while self._paused_with is not None:
            try:
                self._paused_with = self._go_on(self._paused_with)
            except BaseException as error:
                self._paused_with, self._failure = None, error
                if not isinstance(error, Exception):
                    raise
            if self._held:
                rows, self._held = self._held, []
                return rows
        if self._failure is not None:
            raise self._failure
        raise StopIteration

    def _go_on(self, instruction: Any) -> Any:
        """Steps the micro-thread, after what it waits for; gives what it pauses with next, None at its end."""
        if instruction is ROW:
            return self._thread.step()
        try:
            value = self._strand.pause(instruction, self._thread.handling)
        except BaseException as error:
            return self._thread.step_error(error)
        return self._thread.step(value)

    def close(self) -> None:
        if not self._thread:
            return  # never begun, or over
        try:
            paused_with = self._thread.step_error(GeneratorExit())
            while paused_with is not None:
                paused_with = self._go_on(paused_with)
        except GeneratorExit:
            pass
