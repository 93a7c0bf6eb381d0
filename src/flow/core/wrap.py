"""Anything -> Stage: `wrap` for sources, `pipe` for what is attached with ``|``.

What may live here: the dispatch, and the errors for what can't be wrapped. How the rows of a source are opened is in
`source.py`.
"""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterable, Iterator
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast, overload

from ..errors import AlreadyReadError
from .async_stage import Async
from .functions import gives_async_rows, gives_coroutines, gives_rows, signature_of
from .microthread import wait
from .scope import Scope
from .source import (
    AHEAD,
    Around,
    Once,
    Source,
    awaited,
    can_be_called,
    is_a,
    is_a_future,
    is_deferred,
    kind_of,
    of_a_generator,
    of_a_list,
    of_an_iterable,
    sliced_fairly,
)
from .stage import Pipe, Stage, label_of

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["guarded", "pipe", "stage_of", "trapped", "wrap", "wrapper_for"]

T = TypeVar("T")
U = TypeVar("U")
T_co = TypeVar("T_co", covariant=True)


# --------------------------------------------------------------------------------------------------------------------
# wrap


_wrappers: list[tuple[Callable[[Any], bool], Callable[[Any], Stage[Any]]]] = []


def wrapper_for(accepts: Callable[[Any], bool], make: Callable[[Any], Stage[Any]]) -> None:
    """Adds a kind of source to `wrap`, for the parts of flow that the core doesn't know."""
    _wrappers.append((accepts, make))


_NOTHING: Any = object()

ACCEPTED = (
    "a list, tuple, str, bytes, dict view or any other iterable or iterator, a generator function or object, an async "
    "iterable, an async generator function, an awaitable, a coroutine function, a Deferred, a "
    "concurrent.futures.Future, a file, a callable with sentinel=..., or another stage"
)


class _ByIndex(Protocol[T_co]):
    """What a ``for`` takes although it has no ``__iter__``."""

    def __getitem__(self, index: int, /) -> T_co: ...


@overload
def wrap(x: str, /, *, ahead: int = ...) -> Stage[str]: ...
@overload
def wrap(x: bytes, /, *, ahead: int = ...) -> Stage[bytes]: ...
@overload
def wrap(x: bytearray, /, *, ahead: int = ...) -> Stage[bytearray]: ...
@overload
def wrap(x: memoryview[int], /, *, ahead: int = ...) -> Stage[memoryview[int]]: ...
@overload
def wrap(x: Stage[T], /, *, ahead: int = ...) -> Stage[T]: ...
@overload
def wrap(x: Callable[[], Coroutine[Any, Any, T]], /, *, ahead: int = ...) -> Stage[T]: ...
@overload
def wrap(x: Callable[[], AsyncIterable[T]], /, *, ahead: int = ...) -> Stage[T]: ...
@overload
def wrap(x: Callable[[], Iterable[T]], /, *, ahead: int = ...) -> Stage[T]: ...
@overload
def wrap(x: Callable[[], Coroutine[Any, Any, T]], /, *, sentinel: Any, ahead: int = ...) -> Stage[T]: ...
@overload
def wrap(x: Callable[[], T], /, *, sentinel: Any, ahead: int = ...) -> Stage[T]: ...
@overload
def wrap(x: AsyncIterable[T], /, *, ahead: int = ...) -> Stage[T]: ...
@overload
def wrap(x: Awaitable[T], /, *, ahead: int = ...) -> Stage[T]: ...
@overload
def wrap(x: Iterable[T], /, *, ahead: int = ...) -> Stage[T]: ...
@overload
def wrap(x: Future[T], /, *, ahead: int = ...) -> Stage[T]: ...
@overload
def wrap(x: _ByIndex[T], /, *, ahead: int = ...) -> Stage[T]: ...
@overload
def wrap(
    x: Any, trap: type[Exception], /, *traps: type[Exception], sentinel: Any = ..., ahead: int = ...
) -> Stage[Any]: ...
def wrap(x: Any, /, *trap: type[Exception], sentinel: Any = _NOTHING, ahead: int = AHEAD) -> Stage[Any]:
    """Makes a stage of almost anything: the source of a flow.

    A str or bytes is one row; a list, tuple, dict view or other iterable gives its items; a generator function or
    object is a *classic* stage, in which a yielded instruction, awaitable, Deferred or stage is waited for and
    anything else is a row (`flow.Row` passes anything as a row; in a list or tuple only flow's own instructions are
    obeyed); an async iterable or async generator function runs in a task of its own, up to `ahead` rows ahead; an
    awaitable, coroutine function, Deferred or future is one row: its result; a file gives its lines, read in a thread;
    a callable with `sentinel` (an async one, too: the ``get`` of a queue) is called until it returns that.

    What is wrapped belongs to the run: generators, iterators and files are closed with it. A generator *object*, an
    iterator, a file or a coroutine can be read once (then AlreadyReadError); all else once for each run. An exception
    of a type in `trap` that comes from this source becomes its last row, the instance itself. Raises TypeError for
    what can't be wrapped.

        flow.wrap(range(3))                           # 0, 1, 2
        flow.wrap("abc")                              # 'abc'
        flow.wrap([3, 0, 2, 1].pop, sentinel=0)       # 1, 2
    """
    if sentinel is not _NOTHING:
        if not callable(x):
            raise TypeError(f"wrap(x, sentinel=...): x must be callable, not {type(x).__name__}")
        stage: Stage[Any] = Source(_until(x, sentinel), f"wrap({label_of(x)}, sentinel=...)")
    else:
        stage = _wrapped(x, ahead)
    return trapped(stage, trap, "wrap(x, *trap)") if trap else stage


stage_of: Callable[[Any], Stage[Any]] = wrap
"""wrap for things of which nothing is known, where type checkers would not know which of its overloads to take."""


def guarded(f: Callable[..., U]) -> Callable[..., U]:
    """`f` for a builtin that would take a StopIteration that escapes it for the end of the rows."""

    def call(*args: Any) -> U:
        try:
            return f(*args)
        except StopIteration as error:
            raise RuntimeError(f"{label_of(f)} raised StopIteration") from error

    return call


def _until(f: Callable[[], Any], sentinel: Any) -> Callable[[Scope], Iterator[Any]]:
    """What `f` gives, until it gives the sentinel."""
    if gives_coroutines(f):
        return lambda scope: sliced_fairly(_awaited_until(f, sentinel), scope)
    asked = guarded(f)
    return lambda scope: sliced_fairly(iter(asked, sentinel), scope)


def _awaited_until(f: Callable[[], Coroutine[Any, Any, T]], sentinel: Any) -> Generator[T]:
    while True:
        row = wait(f())
        if row == sentinel:
            return
        yield row


_LISTS: Any = (list, tuple, range)
_OWN_ITERATION: list[Any] = [kind.__iter__ for kind in _LISTS]
"""A subclass with an iteration of its own is an iterable like any other: its slices would not show what it gives."""


def _wrapped(x: Any, ahead: int) -> Stage[Any]:
    if is_a(x, Stage):
        return cast("Stage[Any]", x)
    if type(x) in _LISTS:
        return Source(lambda scope: of_a_list(x, scope), f"wrap({type(x).__name__})")
    called = can_be_called(x)
    name = f"wrap({label_of(x) if called else type(x).__name__})"
    if is_a(x, (str, bytes, bytearray, memoryview)):
        return Source(lambda scope: iter((x,)), name)
    if is_deferred(x) or is_a_future(x):
        return Source(lambda scope: awaited(lambda: x), name)
    if called and gives_rows(x):
        _needs_no_argument(x)
        return Source(lambda scope: of_a_generator(x, scope), name)
    if called and gives_async_rows(x):
        _needs_no_argument(x)
        return Async(x, name, ahead=ahead)
    if called and gives_coroutines(x):
        _needs_no_argument(x)
        return Source(lambda scope: awaited(x), name)
    for accepts, make in _wrappers:
        if accepts(x):
            return make(x)
    if is_a(x, Generator):
        return Once(
            lambda scope: of_a_generator(lambda: x, scope),
            name,
            "Wrap the generator function instead of a generator made by it.",
        )
    if is_a(x, AsyncIterable):
        return _wrapped_async(x, name, ahead)
    if is_a(x, CoroutineType):
        return Once(
            lambda scope: awaited(lambda: x), name, "Wrap the coroutine function instead of a coroutine made by it."
        )
    if is_a(x, Awaitable):
        return Source(lambda scope: awaited(lambda: x), name)
    if is_a(x, _LISTS) and kind_of(x).__iter__ in _OWN_ITERATION:
        return Source(lambda scope: of_a_list(x, scope), name)
    if is_a(x, Iterator):
        return Once(lambda scope: of_an_iterable(x, scope), name, "Wrap the iterable instead of an iterator of it.")
    if is_a(x, type):
        raise TypeError(f"flow.wrap() got the class {x.__name__}; it takes {ACCEPTED}. Wrap an instance.")
    if is_a(x, Iterable) or hasattr(kind_of(x), "__getitem__"):
        return Source(lambda scope: of_an_iterable(x, scope), name)
    if can_be_called(x):
        raise TypeError(
            f"flow.wrap() got the function {label_of(x)}, which is neither a generator function nor an async one. Call "
            f"it and wrap what it returns, or give wrap({label_of(x)}, sentinel=...) to call it until it returns "
            "that."
        )
    raise TypeError(f"flow.wrap() can't make a stage of {type(x).__name__}: it takes {ACCEPTED}.")


def _wrapped_async(x: AsyncIterable[Any], name: str, ahead: int) -> Stage[Any]:
    once = None
    if isinstance(x, AsyncIterator):
        once = Once(lambda scope: iter(()), name, "Wrap the async generator function, or the async iterable, instead.")
    return Async(lambda: x, name, ahead=ahead, once=once)


def _needs_no_argument(f: Callable[..., Any]) -> None:
    """A function that needs arguments is a stage, or lacks a partial: say so now, not when the flow runs."""
    try:
        signature = signature_of(f)
    except (TypeError, ValueError):
        return
    try:
        signature.bind()
    except TypeError as error:
        first = next(iter(signature.parameters), "rows")
        raise TypeError(
            f"flow.wrap({label_of(f)}) calls the function without arguments, but it needs {first!r}. If it takes rows, "
            f"attach it: `source | {label_of(f)}`; otherwise give its arguments: "
            f"flow.wrap(partial({label_of(f)}, ...))."
        ) from error


def trapped(stage: Stage[T], kinds: tuple[Any, ...], of: str) -> Stage[Any]:
    """The rows; an error of one of these kinds becomes the last one. Raises TypeError for what is no class of those."""
    for kind in kinds:
        if not (is_a(kind, type) and issubclass(kind, Exception)):
            raise TypeError(
                f"{of}: each trap must be a class of Exceptions, not {kind!r}; a cancel is none, and passes"
            )

    def trapping(source: Stage[T], scope: Scope) -> Generator[T | Exception]:
        with scope:
            try:
                for row in source.open_in(scope):  # noqa: UP028 (`yield from` would close them on its own)
                    yield row
                scope.close()
                return
            except kinds as error:
                if isinstance(error, AlreadyReadError) and AlreadyReadError not in kinds:
                    raise  # a mistake of the program, not of the rows
                kind: Any = kind_of(error)
                scope.__exit__(kind, error, None)
                caught = error
            yield caught

    return Around(stage, trapping, f"trap({', '.join(kind.__name__ for kind in kinds)})")


# --------------------------------------------------------------------------------------------------------------------
# What stands behind `|`


def pipe(upstream: Stage[Any], stage: Any) -> Stage[Any]:
    """`upstream | stage`: a plain stage, an async one when `stage` is an async generator function, or what it makes."""
    if hasattr(kind_of(stage), "attached_to"):
        return cast("Stage[Any]", stage.attached_to(upstream))
    if is_a(stage, Stage):
        raise TypeError(
            f"`rows | {stage.label}`: what stands behind `|` must be a function of rows, and this is a stage with a "
            "source of its own. To read both, write rows.merge(stage), rows.zip(stage), or iterate one inside the "
            "other."
        )
    if not can_be_called(stage):
        raise TypeError(
            "`rows | x`: x must be a function from rows to rows (a generator function, a builtin, a partial), not "
            f"{type(stage).__name__}"
        )
    inner = stage
    while hasattr(inner, "func"):
        inner = inner.func
    if gives_async_rows(inner) or gives_async_rows(getattr(inner, "__call__", None)):  # noqa: B004
        return Async(stage, label_of(stage), upstream)
    if gives_coroutines(inner):
        name = label_of(stage)
        raise TypeError(
            f"`rows | {name}`: {name} is an async function without a yield, so it can't hand on rows. For one row at a "
            f"time write `rows.map({name})`; for a stage, make it an async generator, or a plain one that calls "
            "flow.wait()."
        )
    if stage in (builtins.map, builtins.filter):
        raise TypeError(
            f"`rows | {stage.__name__}` lacks its function: write `rows.{stage.__name__}(f)` or "
            f"`rows | partial({stage.__name__}, f)`"
        )
    return Pipe(upstream, stage)
