"""Stages with several inputs. Each input runs on a micro-thread of its own (`core.branch`), at most one row ahead."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any, TypeVar, overload

from ..core.branch import Branch, Branches
from ..core.microthread import Strand
from ..core.run import Scope
from ..core.stage import Stage
from ..core.wrap import stage_of
from ..errors import NotReadyError

if TYPE_CHECKING:
    from ..core.stage import Input

__all__ = ["Concurrent", "Merge", "Zip"]

T = TypeVar("T")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")


class _Combined(Stage[T]):
    """A stage with several inputs, each given as anything that `wrap` takes."""

    __slots__ = ("inputs",)

    def __init__(self, *inputs: Any) -> None:
        self.inputs: tuple[Stage[Any], ...] = tuple(map(stage_of, inputs))

    @property
    def label(self) -> str:
        shown = [repr(each) for each in self.inputs[:4]] + ["..."] * (len(self.inputs) > 4)
        return f"{type(self).__name__}({', '.join(shown)})"

    def rows(self, upstream: Any, scope: Scope) -> Iterator[T]:
        return self.read(scope.strand)

    def read(self, strand: Strand) -> Generator[T]:
        raise NotImplementedError


class Merge(_Combined[T]):
    """The rows of all inputs, each as soon as it is there.

    The order of each input is kept; between inputs, those that have a row are served in turn. Each input works on at
    most one row ahead. It ends when all inputs have ended. When one fails, the others are cancelled and closed, then
    its failure is raised; a second failure joins it in an ExceptionGroup. With no input it is empty.

        flow.Merge([1, 2], [10, 20])                       # 1, 10, 2, 20
    """

    __slots__ = ()

    @overload
    def __init__(self, *inputs: Input[T]) -> None: ...
    @overload
    def __init__(self: Merge[Any], *inputs: Any) -> None: ...
    def __init__(self, *inputs: Any) -> None:
        super().__init__(*inputs)

    def read(self, strand: Strand) -> Generator[T]:
        with Branches(strand, self.inputs) as branches:
            yield from branches.rows()


class Zip(_Combined[T]):
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
            every = branches.every
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
                for branch in every:
                    branches.ask(branch)
                missing = branches.open

    def _unequal(self, ended: list[Branch], every: list[Branch]) -> str:
        longer = next(branch for branch in every if branch.full)
        return f"Zip(strict=True): input {ended[0].index} ended before input {longer.index}"


class Concurrent(_Combined[Stage[Any]]):
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
                strand.passes[reading.branch.stage] = reading
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
