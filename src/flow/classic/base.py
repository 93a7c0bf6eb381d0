"""`Stage` with the members of 2003, and the instructions.

In 2003 a stage was an iterator that held its rows, and a program could look into it: `results`, `stop`, `failure`.
Today a stage is a description, and what holds rows is the *reading* that ``yield stage`` begins in the running strand.
So the members show that reading (`readings.py`). A stage that a program writes itself, with a ``_yield()``, holds its
rows as it did then: its members are its own.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any, TypeAlias

from twisted.python.failure import Failure

from ..core import stage as _stage
from ..core.instruction import CallLater, Instruction
from ..core.instruction import Cooperate as _Cooperate
from ..core.microthread import Strand, current, wait
from ..core.pass_cy import reading_of
from ..core.scope import Scope
from ..core.source import sliced_fairly
from ..errors import NotReadyError, Unsupported
from .readings import End, Members, Own, Reading, failure_of, going_on, shown_as_failure, trapped

__all__ = ["CallLater", "Controller", "Cooperate", "Instruction", "NotReadyError", "Stage", "Unsupported"]

Trap: TypeAlias = "type[BaseException] | str"
"""What `Failure.check` takes."""


class Controller:
    """Marks what runs a flow: `Block`, `Deferred`, `Protocol`."""


class Cooperate(_Cooperate):
    """Lets the loop do other work, and resumes after `timeout` seconds (0: in the loop's next turn).

    It is flow.Cooperate, with 2003's name for the seconds.
    """

    __slots__ = ()

    def __init__(self, timeout: float = 0) -> None:
        super().__init__(timeout)

    @property
    def timeout(self) -> float:
        return self.seconds


_TAKEN = frozenset({"chain", "depth", "label", "open_in", "reading", "rows", "taken"})


class Stage(_stage.Stage[Any], Instruction):
    """A step of a flow, with the members that it had in 2003.

    ``yield stage`` waits until it has a row, an end or a failure; ``stage.next()`` (or a ``for``) takes the row. In
    between a program may look for itself: `results` is the list of the rows that are there, to pop from, to assign or
    to empty; `stop` says that no more will come; `failure` is the Twisted Failure that ended it. Rows come first, then
    `stop` or `failure`; a program that has dealt with a `failure` sets `stop`. With ``stage.chunked = True``, set
    before the first ``yield``, next() gives the whole list: what is ready, as `blocks()` gives it.

    The members are those of the reading in the running strand; outside of a run there is none, and next() raises
    NotReadyError. An exception of a type in `trap` becomes the last row, as the class that matched.

    To write a stage, override ``_yield()``: it sets ``self.results``, ``self.stop`` or ``self.failure``, and returns
    None, or an instruction to wait for before it is called again. Such a stage has one state, whoever reads it.
    """

    chunked = False

    def __init__(self, *trap: Trap) -> None:
        self._trap = trap
        self._members = Members()

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _TAKEN:
            raise AttributeError(f"a stage has a {name} of its own, which runs it: choose another name for yours")
        super().__setattr__(name, value)

    # ---- the members

    @property
    def results(self) -> list[Any]:
        held: list[Any] = self._shown().held
        return held

    @results.setter
    def results(self, rows: list[Any]) -> None:
        self._shown().held = rows

    @property
    def stop(self) -> bool:
        shown = self._shown()
        return bool(getattr(shown, "stop", False)) or isinstance(shown.failure, StopIteration)

    @stop.setter
    def stop(self, stop: bool) -> None:
        self._shown().stop = stop

    @property
    def failure(self) -> Failure | None:
        return shown_as_failure(self._shown())

    @failure.setter
    def failure(self, failure: Failure | None) -> None:
        self._shown().failure = failure

    def _shown(self) -> Any:
        """What the members show: the reading in the running strand, or what the stage itself holds."""
        strand = current()
        if strand is not None:
            reading = strand.passes.get(self)
            if reading is not None:
                return getattr(reading, "members", reading)
            if strand.ended is not None and self in strand.ended:
                return Members(stop=True)
        return self._members

    # ---- reading it inside a flow

    @property
    def reading(self) -> Callable[..., Any]:
        """The kind of reading that ``yield stage`` begins (`reading_of` asks)."""
        return self._own_reading if self._is_written else Reading

    def _own_reading(self, _stage: Any, strand: Strand) -> Own:
        return Own(self, strand, self._members, self._ask, self._trap)

    def __iter__(self) -> Iterator[Any]:
        strand = current()
        return super().__iter__() if strand is None else reading_of(self, strand)

    def __next__(self) -> Any:
        strand = current()
        if strand is None:
            return super().__next__()  # which says why not
        reading = reading_of(self, strand)
        try:
            row = next(reading)
        except StopIteration:
            raise End(f"{self!r} has ended") from None
        return [row] if self.chunked and not isinstance(reading, (Own, Reading)) else row

    def next(self) -> Any:
        """The next row, or list of rows if it is `chunked`. Raises NotReadyError outside of a run.

        At the end it raises StopIteration, which may be let out of a generator that is wrapped: that ends it, too.
        """
        return self.__next__()

    # ---- what the engine asks of a stage

    def rows(self, upstream: Any, scope: Scope) -> Iterator[Any]:
        rows = self._opened(upstream, scope)
        return trapped(rows, self._trap) if self._trap else rows

    def _opened(self, upstream: Any, scope: Scope) -> Iterator[Any]:
        """The rows, before the trap."""
        if self._is_written:
            return sliced_fairly(self._drained(), scope)
        return super().rows(upstream, scope)

    def open_in(self, scope: Scope) -> Iterator[Any]:
        # A stage above it that this strand reads already is read on from where it stands: it was one iterator in 2003.
        chain = self.chain()
        rows: Any = None
        for index in range(len(chain) - 2, -1, -1):
            rows = going_on(chain[index], scope.strand)
            if rows is not None:
                del chain[: index + 1]
                break
        for stage in chain:
            stage.taken()
            rows = scope.add(stage.rows(rows, scope))
        return rows  # type: ignore[no-any-return]

    # ---- a stage of one's own

    def _yield(self) -> Any:
        """Waits until there is a row, an end or a failure; for stages of one's own that read another one.

        Returns None: what there is to wait for has been waited for.
        """
        if self._is_written:
            raise NotImplementedError(f"{type(self).__name__}._yield() is the only one that it has")
        strand = current()
        if strand is None:
            raise NotReadyError(f"{self!r}._yield() was called outside of a running flow: there is nothing to pause")
        ask = getattr(reading_of(self, strand), "ask", None)
        if ask is not None:
            ask()

    @property
    def _is_written(self) -> bool:
        return type(self)._yield is not Stage._yield

    def _ask(self) -> None:
        """Calls the ``_yield()`` that a program wrote until there is something. What it raises is its failure."""
        members = self._members
        try:
            while members.empty:
                instruction = self._yield()
                if isinstance(instruction, _stage.Stage):
                    raise Unsupported(f"{type(self).__name__}._yield() returned a stage: call its _yield() instead")
                if instruction is not None:
                    wait(instruction)
                elif members.empty:
                    raise NotReadyError(
                        f"{type(self).__name__}._yield() returned nothing to wait for, and set neither results, nor "
                        "stop, nor failure"
                    )
        except Exception as error:
            members.failure = failure_of(error)

    def _drained(self) -> Generator[Any]:
        """The rows of a stage that a program wrote. Those that are not read stay in it."""
        members = self._members
        while True:
            self._ask()
            rows, members.held = iter(members.held), []
            try:
                yield from rows
            finally:
                members.held[:0] = rows
            if members.ends():
                return
