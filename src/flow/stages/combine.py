"""Stages with several inputs. Each input runs on a micro-thread of its own (`core.branch`), at most one row ahead.

What may live here: `Merge`, `Zip`, `Concurrent`, and what all stages with several inputs have in common. Others: those
that read their inputs in an order (`sequence.py`), that want the latest rows (`latest.py`) or the first (`first.py`).
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from operator import is_
from typing import TYPE_CHECKING, Any, TypeVar, overload

from ..core.branch import Branch, Branches
from ..core.microthread import Strand
from ..core.pass_cy import replace_reading
from ..core.scope import Scope
from ..core.stage import Stage
from ..core.steps import NOTHING
from ..core.wrap import stage_of
from ..errors import ClosedError, NotReadyError
from .calls import OnError, policy_of
from .inputs import Inputs, Prioritized

if TYPE_CHECKING:
    from ..core.stage import Input

__all__ = ["Combined", "Concurrent", "Merge", "Zip"]

T = TypeVar("T")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")


class Combined(Stage[T]):
    """A stage with several inputs, each given as anything that `wrap` takes.

    `word` is how it is called where that is not the name of its class; ``read(strand)`` gives its rows.
    """

    __slots__ = ("inputs",)

    word = ""

    def __init__(self, *inputs: Any) -> None:
        self.inputs: tuple[Stage[Any], ...] = tuple(map(stage_of, inputs))

    @property
    def label(self) -> str:
        shown = [repr(each) for each in self.inputs[:4]] + ["..."] * (len(self.inputs) > 4)
        return f"{self.short_label}({', '.join(shown)})"

    @property
    def short_label(self) -> str:
        return self.word or type(self).__name__

    @property
    def sources(self) -> tuple[Stage[Any], ...]:
        return self.inputs

    def rows(self, upstream: Any, scope: Scope) -> Iterator[T]:
        return self.read(scope.strand)

    def read(self, strand: Strand) -> Generator[T]:
        raise NotImplementedError


class Merge(Combined[T]):
    """The rows of all inputs, each as soon as it is there.

    The order of each input is kept; between inputs, those that have a row are served in turn. Each input works on at
    most one row ahead. It ends when all inputs have ended; with no input it is empty.

    `on_error`: what the failure of an input ends. ``"cancel"``: the others are cancelled and closed, then it is raised.
    ``"finish"``: the others go on to their end, and none is added any more; then it is raised. ``"collect"``: the
    others go on, and others may be added; in the end it is raised; with 1,000 failures it ends as with "cancel".
    Several failures come as an ExceptionGroup, the first one first. A failure that was kept is raised when the run is
    left early, too.

    `priority`: a number for each input. Of the inputs that have a row, the one with the lowest number is served, those
    with equal numbers in turn. So an input gets nothing, and is not even opened, while one with a lower number always
    has a row. Raises ValueError when there are not as many numbers as inputs.

    Inputs may join and leave while it is read: `add`, `remove`. ``hold_open=True``: it waits for more inputs when all
    have ended, until `finish` is called, or the run is stopped.

        flow.Merge([1, 2], [10, 20])                       # 1, 10, 2, 20
        flow.Merge([1, 2], [10, 20], priority=[1, 0])      # 10, 20, 1, 2
    """

    __slots__ = ("_hold_open", "_joining", "_on_error", "_over", "_priority", "_runs")

    @overload
    def __init__(
        self,
        *inputs: Input[T],
        priority: Sequence[float] | None = ...,
        on_error: OnError = ...,
        hold_open: bool = ...,
    ) -> None: ...
    @overload
    def __init__(
        self: Merge[Any],
        *inputs: Any,
        priority: Sequence[float] | None = ...,
        on_error: OnError = ...,
        hold_open: bool = ...,
    ) -> None: ...
    def __init__(
        self,
        *inputs: Any,
        priority: Sequence[float] | None = None,
        on_error: OnError = "cancel",
        hold_open: bool = False,
    ) -> None:
        super().__init__(*inputs)
        self._on_error: OnError = policy_of(on_error, "Merge(on_error)")
        self._priority = None if priority is None else [_priority_of(each, "Merge(priority)") for each in priority]
        if self._priority is not None and len(self._priority) != len(inputs):
            raise ValueError(
                f"Merge(priority) needs one number for each input: there are {len(inputs)} inputs, and "
                f"{len(self._priority)} numbers"
            )
        if not isinstance(hold_open, bool):
            raise TypeError(f"Merge(hold_open) must be True or False, not {type(hold_open).__name__}")
        self._hold_open = hold_open
        self._runs: list[Inputs] = []  # that are open
        self._joining: list[tuple[Stage[Any], float]] = []  # in the run that is opened next
        self._over = False  # is that one to take no more?

    # ---- inputs that join and leave

    @overload
    def add(self, source: Input[T], /, *, priority: float = ...) -> Stage[T]: ...
    @overload
    def add(self, source: Any, /, *, priority: float = ...) -> Stage[Any]: ...
    def add(self, source: Any, /, *, priority: float = 0) -> Stage[Any]:
        """One more input, for the runs that are open; when none is, for the one that is opened next.

        It is not a part of the description: a later run begins with the inputs that the Merge was made with. `source`
        is anything that `flow.wrap` takes; the stage that is made of it is returned, and names it for `remove`. It is
        served in turn with the others at once. Call it in the thread of the loop, from wherever you like: a task, a
        callback, a stage (an input, too), or between two rows of a script. An open run that was told to finish raises
        ClosedError, another thread WrongThreadError.

            clients = flow.Merge(hold_open=True)
            clients.add([1, 2]); clients.add([10, 20]); clients.finish()
            list(clients)                                  # [1, 10, 2, 20]
        """
        stage = stage_of(source)
        if _priority_of(priority, "Merge.add(priority)") and self._priority is None:
            raise ValueError("Merge.add(priority): the Merge was made without priority=, and serves its inputs in turn")
        for run in self._runs:
            run.check(adding=True)
        if not self._runs:
            if self._over:
                raise ClosedError("this Merge was told to finish: its next run takes no more inputs")
            self._joining.append((stage, priority))
        for run in [*self._runs]:
            run.join(stage, priority)
        return stage

    def remove(self, stage: Stage[Any], /) -> bool:
        """Has an input leave the runs that are open (and the next one, if it was added to that); was there one?

        It is cancelled where it waits, there and then, and a row that it has made is dropped and counted. Its cleanups
        run as the Merge is read on, beside the others. What is raised there is a failure of the input. An input that
        removes itself gets as far as its next wait or row.
        """
        if not isinstance(stage, Stage):
            raise TypeError(
                f"Merge.remove(stage) takes the stage that add() returned, or an input that is one, not "
                f"{type(stage).__name__}: wrap a source first to be able to name it"
            )
        for run in self._runs:
            run.check(adding=False)
        joining = [each for each in self._joining if each[0] is not stage]
        found = len(joining) < len(self._joining)
        self._joining = joining
        for run in self._runs:
            found |= run.leave(stage)
        return found

    def finish(self) -> None:
        """No more inputs will be added: the runs that are open end with their inputs; when none is, the next one does.

        Idempotent.
        """
        for run in self._runs:
            run.check(adding=False)
        if not self._runs:
            self._over = True
        for run in self._runs:
            run.end()

    # ---- runs

    def read(self, strand: Strand) -> Generator[T]:
        kind = Inputs if self._priority is None else Prioritized
        return kind(strand, self, self._on_error).rows()

    def begin(self, run: Inputs) -> None:
        """A run begins: it takes its inputs."""
        run.lasting = self._hold_open and not self._over
        for stage, priority in zip(self.inputs, self._priority or [0] * len(self.inputs), strict=True):
            run.join(stage, priority)
        joining, self._joining = self._joining, []
        for stage, priority in joining:
            run.join(stage, priority)
        run.closed, self._over = self._over, False
        self._runs.append(run)

    def over(self, run: Inputs) -> None:
        """A run is being left."""
        if run in self._runs:
            self._runs.remove(run)


def _priority_of(value: float, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be numbers, the lowest first, not {type(value).__name__}")
    if math.isnan(value):
        raise ValueError(f"{name} must be numbers, the lowest first, not {value!r}")
    return value


class Zip(Combined[T]):
    """Tuples of one row of each input. The inputs are asked at the same time, so their waits overlap.

    It ends with the shortest input; others may have made one row more, which is dropped and counted. ``strict=True``
    raises ValueError when they are not equally long; ``fill=value`` goes on to the longest, with `value` in place of
    what is missing. A failure of an input is raised when its row would be needed; the others are closed.

        flow.Zip([1, 2], "ab".upper())                     # (1, 'AB')
        flow.Zip([1, 2], ["a"], fill=None)                 # (1, 'a'), (2, None)
    """

    __slots__ = ("_fill", "_filled", "_strict")

    @overload
    def __init__(self: Zip[tuple[T1]], a: Input[T1], /, *, strict: bool = ...) -> None: ...
    @overload
    def __init__(self: Zip[tuple[T1, T2]], a: Input[T1], b: Input[T2], /, *, strict: bool = ...) -> None: ...
    @overload
    def __init__(
        self: Zip[tuple[T1, T2, T3]], a: Input[T1], b: Input[T2], c: Input[T3], /, *, strict: bool = ...
    ) -> None: ...
    @overload
    def __init__(
        self: Zip[tuple[T1, T2, T3, T4]],
        a: Input[T1],
        b: Input[T2],
        c: Input[T3],
        d: Input[T4],
        /,
        *,
        strict: bool = ...,
    ) -> None: ...
    @overload
    def __init__(self: Zip[tuple[Any, ...]], *inputs: Any, strict: bool = ..., fill: Any = ...) -> None: ...
    def __init__(self, *inputs: Any, strict: bool = False, **fill: Any) -> None:
        if unknown := set(fill) - {"fill"}:
            raise TypeError(f"Zip() takes strict= and fill=, not {', '.join(sorted(unknown))}=")
        if strict and fill:
            raise ValueError("Zip(strict=True, fill=...): choose one; strict allows nothing to be missing")
        super().__init__(*inputs)
        self._strict = strict
        self._filled = "fill" in fill
        self._fill = fill.get("fill")

    def read(self, strand: Strand) -> Generator[Any]:
        with Branches(strand, self.inputs) as branches:
            every = list(branches.every)
            nothing = [NOTHING] * len(every)
            missing = len(every)  # rows that the tuple in hand still lacks
            while every:
                while missing and (branch := branches.next()) is not None:
                    missing -= 1
                    if branch.over and not self._filled and not self._strict:
                        return
                ended = [branch for branch in every if not branch.full]
                if len(ended) == len(every):
                    return
                if ended and self._strict:
                    raise ValueError(self._unequal(ended, every))
                row = tuple([branch.take() if branch.full else self._fill for branch in every])
                yield row
                while True:  # with rows that are there
                    rows = [next(branch.piece, NOTHING) for branch in every]
                    if True in map(is_, rows, nothing):
                        break
                    yield tuple(rows)
                missing = 0
                for branch, found in zip(every, rows, strict=True):
                    if found is not NOTHING:
                        branch.row, branch.full = found, True
                    elif not branch.over:
                        branches.ask(branch)
                        missing += 1

    def _unequal(self, ended: list[Branch], every: list[Branch]) -> str:
        longer = next(branch for branch in every if branch.full)
        return f"Zip(strict=True): input {ended[0].index} ended before input {longer.index}"


class Concurrent(Combined[Stage[Any]]):
    """The input *stage* that has something, so that different kinds of sources can be told apart.

    ``next(stage)`` then gives its row. The inputs are those that were given: wrap a source first to recognise it.
    Inputs that have a row are given in turn, each once a row; it ends when all inputs have ended. Each input holds at
    most one row. Failures as in `Merge`. Asking for another stage while every input that goes on has a row that was
    not taken raises NotReadyError.

        for stage in flow.Concurrent(clicks, ticks):       # inside a stage of yours
            row = next(stage)
    """

    __slots__ = ()

    def __init__(self, *inputs: Any) -> None:
        super().__init__(*inputs)
        if len(set(map(id, self.inputs))) < len(self.inputs):
            raise ValueError(
                "Concurrent() was given the same stage twice: the two could not be told apart. Wrap the source once "
                "more"
            )

    def read(self, strand: Strand) -> Generator[Stage[Any]]:
        with Branches(strand, self.inputs) as branches:
            readings = [_Taking(branch, strand) for branch in branches.every]
            for reading in readings:
                replace_reading(reading.branch.stage, strand, reading)
            given: list[_Taking] = []  # their row, when it is taken, makes way for the next one
            try:
                while True:
                    for reading in [each for each in given if not each.held]:
                        given.remove(reading)
                        branches.ask(reading.branch)
                    branch = branches.next()
                    if branch is None:
                        if not given:
                            return
                        raise NotReadyError(
                            f"Concurrent was asked for the next stage, but the row of {given[0].branch.stage!r} was "
                            "not taken: call next(stage) for each stage that it gives"
                        )
                    if branch.full:
                        reading = readings[branch.index]
                        reading.held.append(branch.take())
                        given.append(reading)
                        yield branch.stage
            finally:
                for reading in readings:
                    reading.close()


class _Taking:
    """The reading of one input of Concurrent: ``next(stage)`` takes the row that it holds.

    `held` and `failure` are as in a `Pass`. A failure of the input is the failure of Concurrent, and never here.
    """

    def __init__(self, branch: Branch, strand: Strand) -> None:
        self.branch = branch
        self.held: list[Any] = []
        self._strand = strand

    @property
    def failure(self) -> BaseException | None:
        return StopIteration() if self.branch.over else None

    def ask(self) -> None:
        """``yield stage``: its row is there, or Concurrent has not given it yet."""

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self.held:
            return self.held.pop(0)
        if self.branch.over:
            raise StopIteration
        raise NotReadyError(
            f"next() was asked of {self.branch.stage!r}, which has no row: take one row each time Concurrent gives "
            "the stage"
        )

    def close(self) -> None:
        if self._strand.passes.get(self.branch.stage) is self:
            del self._strand.passes[self.branch.stage]
        self._strand.owner.drop(self.held)
