"""Stage: a step of a flow with all that is above it. A cold, immutable description; iterating it opens a run.

There are two shapes. A *source* opens rows of its own; a *pipe* hangs below another stage and is a plain function from
an iterator to an iterable. `open_in` nests the plain functions of a whole chain into each other and puts nothing
between them. The three ways to iterate are here too; what a run does is in `run.py`.

What may live here: `Stage` and `Pipe`. What iterating gives besides rows is in `reading.py`. The stages that users
compose are in `flow.stages`; the short forms (`rows.map(f)`) only call them.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Generator, Iterable, Iterator
from functools import partial
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Protocol, TypeAlias, TypeVar, cast, overload

from ..errors import NotReadyError
from . import run as _run
from .collecting import collect
from .forms import OneInput
from .forms_many import ManyInputs
from .here import read_here, read_inside, script
from .microthread import Strand, current
from .pass_cy import Readable, inherit_next
from .reader import Reader
from .reading import Blocks, Opening, refuse_a_loop
from .run import DEFAULTS, Options
from .scope import Scope

if TYPE_CHECKING:
    _T = TypeVar("_T")
    # What stages with several inputs take, as far as its rows have a known type: not text, which is one row.
    Input: TypeAlias = "Stage[_T] | list[_T] | tuple[_T, ...] | set[_T] | Iterator[_T] | AsyncIterator[_T]"

__all__ = ["Attachable", "Pipe", "Stage", "label_of"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
T_contra = TypeVar("T_contra", contravariant=True)
U = TypeVar("U")
U_co = TypeVar("U_co", covariant=True)
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
P = ParamSpec("P")


class Stage(OneInput[T_co], ManyInputs[T_co], Readable, Generic[T_co]):
    """A step of a flow, with all that is above it; iterate it to run it.

    Each iteration is a run of its own. Nothing happens before its first row is asked for, and it works no further
    than it is asked, but for what a stage states to hold. Its rows come in order, then one end; a failure comes after
    the rows before it. Whichever way the run ends, everything that it opened is closed before control returns.
    A stage whose source can be read only once raises AlreadyReadError at the second iteration.

        rows = flow.wrap([3, 1, 2]) | sorted
        for row in rows: ...            # a script: blocks
        async for row in rows: ...      # asyncio, trio or Twisted: does not
        everything = await rows         # a list
    """

    __slots__ = ("__weakref__",)

    upstream: Stage[Any] | None = None
    """The stage above, for a pipe. A source has none."""

    is_plain_pipe: bool = False

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        inherit_next(cls)

    def rows(self, upstream: Any, scope: Scope) -> Iterator[Any]:
        """The rows of this stage alone, given the iterator of the stage above (None for a source)."""
        raise NotImplementedError

    def taken(self) -> None:
        """Called when a run is about to open this source: raises AlreadyReadError where it can't be read again."""

    @property
    def label(self) -> str:
        """How this stage alone is called in errors and notes."""
        return type(self).__name__

    # ---------------------------------------------------------------------------------------------------------------
    # The chain

    def chain(self) -> list[Stage[Any]]:
        """This stage and all above it, the source first."""
        found: list[Stage[Any]] = []
        stage: Stage[Any] | None = self
        while stage is not None:
            found.append(stage)
            stage = stage.upstream
        found.reverse()
        return found

    @property
    def sources(self) -> tuple[Stage[Any], ...]:
        """The stages that this one reads directly: the one above, or its inputs."""
        return () if self.upstream is None else (self.upstream,)

    @property
    def short_label(self) -> str:
        """Its label without what it reads."""
        return self.label

    @property
    def depth(self) -> int:
        return len(self.chain())

    def open_in(self, scope: Scope) -> Iterator[Any]:
        """Nests the chain's plain functions into each other; each iterator that is opened belongs to `scope`."""
        rows: Any = None
        for stage in (self,) if self.upstream is None else self.chain():
            stage.taken()
            rows = scope.add(stage.rows(rows, scope))
        return cast("Iterator[Any]", rows)

    def __repr__(self) -> str:
        labels = [stage.label for stage in self.chain()]
        if len(labels) > 12:
            labels[6:-5] = [f"... {len(labels) - 11} more ..."]
        return " | ".join(labels)

    # ---------------------------------------------------------------------------------------------------------------
    # Composing

    @overload
    def __or__(self, stage: Attachable[T_co, U], /) -> Stage[U]: ...
    @overload
    def __or__(self, stage: Callable[[Iterator[T_co]], Iterable[U]], /) -> Stage[U]: ...
    @overload
    def __or__(self, stage: Callable[[AsyncIterator[T_co]], AsyncIterable[U]], /) -> Stage[U]: ...
    def __or__(self, stage: Any, /) -> Stage[Any]:
        """The rows that `stage` makes of these: a (maybe async) generator function, a builtin, a partial."""
        from .wrap import pipe

        return pipe(self, stage)

    @overload
    def pipe(self, stage: Attachable[T_co, U], /) -> Stage[U]: ...
    @overload
    def pipe(
        self, stage: Callable[Concatenate[Iterator[T_co], P], Iterable[U]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Stage[U]: ...
    @overload
    def pipe(
        self,
        stage: Callable[Concatenate[AsyncIterator[T_co], P], AsyncIterable[U]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Stage[U]: ...
    @overload
    def pipe(self, stage: type[Iterable[U]], /, *args: Any, **kwargs: Any) -> Stage[U]: ...
    def pipe(self, stage: Any, /, *args: Any, **kwargs: Any) -> Stage[Any]:
        """Like ``|``, with further arguments: ``rows.pipe(f, 1, k=2)`` reads ``f(rows, 1, k=2)``.

        Raises TypeError at once when `stage` is not something that takes rows.

            flow.wrap("ab cd".split()).pipe(enumerate, 1)      # (1, 'ab'), (2, 'cd')
        """
        from .wrap import pipe

        if not args and not kwargs:
            return pipe(self, stage)
        return pipe(self, _Bound(stage, args, kwargs) if args else partial(stage, **kwargs))

    # ---------------------------------------------------------------------------------------------------------------
    # Iterating

    def __iter__(self) -> Iterator[T_co]:
        strand = current()
        if strand is not None:
            reading = strand.passes.get(self)
            if reading is not None:
                return reading
            if strand.ended is not None and self in strand.ended:
                return iter(())
            return read_inside(self)
        refuse_a_loop(self, "for row in stage", "async for row in stage")
        return script(read_here(self, DEFAULTS))

    if TYPE_CHECKING:

        def __next__(self) -> T_co: ...

    def _strand_here(self) -> Strand:
        strand = current()
        if strand is None:
            raise NotReadyError(
                f"next() was asked of {self!r} outside a running flow: a stage is a description, not an iterator. "
                "Write `with stage.open() as rows: next(rows)`, or `for row in stage`."
            )
        return strand

    def __aiter__(self) -> Reader[T_co]:
        return Reader(self, DEFAULTS)

    def __await__(self) -> Generator[Any, Any, list[T_co]]:
        return collect(self, DEFAULTS).__await__()

    def blocks(self) -> Blocks[T_co]:
        """What is ready, as lists: ``for block in rows.blocks()`` or ``async for block in rows.blocks()``.

        A block ends when the run must wait for something, when its time slice is used up, or at 1,024 rows; it is
        never empty, and never waits to be fuller. Rows before a failure come first. The next wait begins when the
        next block is asked for.

            for block in flow.wrap(range(5)).blocks():
                print(block)                               # [0, 1, 2, 3, 4]
        """
        return Blocks(self, DEFAULTS)

    def open(
        self,
        *,
        slice: float = _run.SLICE,
        cleanup: float = _run.CLEANUP,
        on_dropped: Callable[[list[Any]], object] | None = None,
    ) -> Opening[T_co]:
        """One run with a scope of its own: ``with rows.open() as run`` or ``async with rows.open() as run``.

        Leaving the scope closes the run, cleanups that wait included, before the next statement. `slice`: seconds
        that the run may hold the loop before it gives it a turn (0: never gives one). `cleanup`: seconds that
        cleanups may go on waiting after a cancel (math.inf: as long as it takes); then CleanupTimeoutError names the
        place. `on_dropped(rows)` is given rows that were made and that nobody read. Raises ValueError or TypeError for
        what these can't be.

            with flow.wrap(range(10)).open() as rows:
                first = next(rows)
                second = next(rows)
        """
        return Opening(self, Options(slice, cleanup, on_dropped))


class Attachable(Protocol[T_contra, U_co]):
    """What may stand behind ``|`` and is given the stage itself, not an iterator of its rows.

    So it may read the stage on a micro-thread of its own, and give up waiting for it: ``rows | flow.batched(9,
    within=1)``. Something with a method of this name is attached by it, whether or not it can be called, too.
    """

    def attached_to(self, stage: Stage[T_contra], /) -> Stage[U_co]:
        """The stage that ``stage | self`` is."""
        ...


class _Bound:
    """``f(rows, *args, **kwargs)``: a partial whose open place is the first one."""

    def __init__(self, f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.func, self.args, self.keywords = f, args, kwargs

    def __call__(self, rows: Any) -> Any:
        return self.func(rows, *self.args, **self.keywords)


class Pipe(Stage[T_co]):
    """A stage below another one: a plain function from an iterator to an iterable."""

    __slots__ = ("function", "is_plain_pipe", "name", "upstream")

    def __init__(
        self, upstream: Stage[Any], function: Callable[[Any], Iterable[T_co]], name: str | None = None
    ) -> None:
        self.upstream = upstream
        self.function = function
        self.name = name or label_of(function)
        self.is_plain_pipe = name is None  # a stage of flow's own has a name of its own

    @property
    def label(self) -> str:
        return self.name

    def rows(self, upstream: Any, scope: Scope) -> Iterator[T_co]:
        made: Any = self.function(upstream)
        try:
            return iter(made)
        except TypeError:
            if hasattr(made, "__iter__"):
                raise
        if type(made) is _Coroutine:
            made.close()
        raise TypeError(
            f"the stage {self.name} must return an iterable of rows, but it returned {type(made).__name__}. "
            "Write it as a generator (`def ...(rows): for row in rows: yield ...`), or use `.map(f)` for a function of "
            "one row."
        )


_Coroutine: Any = CoroutineType  # as Any: compared with it, a thing of unknown type stays one to type checkers


def label_of(f: Any) -> str:
    """A short name for a user's function."""
    name = getattr(f, "__qualname__", None)
    if name:
        return str(name)
    inner = getattr(f, "func", None)
    if inner is not None and hasattr(f, "args"):
        shown = [label_of(each) if callable(each) else repr(each) for each in f.args]
        shown += [f"{key}={value!r}" for key, value in f.keywords.items()]
        text = f"{label_of(inner)}({', '.join(shown)})"
        return text if len(text) <= 60 else f"{label_of(inner)}(...)"
    return type(f).__name__
