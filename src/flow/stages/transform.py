"""Stages that change rows one after another: each is a few lines over Python's own loops.

None of them holds a row, runs ahead, or is touched by flow between two rows. What itertools has is itertools here.
Functions that users give may be async (they are awaited, in order); a StopIteration that escapes one is an error, not
an end (PEP 479), which is why these are generators and not builtin maps.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterable, Awaitable, Callable, Generator, Iterable, Iterator
from functools import partial
from itertools import dropwhile, islice, takewhile
from types import CoroutineType
from typing import Any, TypeVar, cast, overload

from ..core.microthread import wait
from ..core.source import is_a
from ..core.stage import Pipe, Stage, label_of
from ..core.wrap import guarded, stage_of, wrap

__all__ = ["Filter", "FlatMap", "Map", "drop_while", "enumerated", "is_async", "sliced", "take_while"]

T = TypeVar("T")
U = TypeVar("U")
A = TypeVar("A")
B = TypeVar("B")

_Rows = Callable[[Any], Iterator[T]]
_Coroutine: Any = CoroutineType  # as Any: compared with it, a row of unknown type stays one to type checkers


def is_async(f: Callable[..., Any]) -> bool:
    """Does calling `f` give a coroutine? Sees through partials and callable objects."""
    inner: Any = f
    while hasattr(inner, "func"):
        inner = inner.func
    return inspect.iscoroutinefunction(inner) or inspect.iscoroutinefunction(getattr(inner, "__call__", None))  # noqa: B004


def called(f: Callable[[Any], Any], of: str) -> Callable[[Any], Any]:
    """`f`, or a function that calls an async `f` and waits. Raises TypeError for what can't be called."""
    if not callable(f):
        raise TypeError(f"{of} needs a function of one row, not {type(f).__name__}")
    if is_async(f):
        return lambda row: wait(f(row))
    return f


class Map(Pipe[U]):
    """``f(row)`` for each row, in order.

    With several stages, ``f(a, b, ...)`` for one row of each, as the builtin map does it: see `Zip` for how they are
    asked and when they end. An async `f` (or a function that returns a coroutine) is awaited before the next row is
    asked for. Holds nothing. A failure of `f` ends the run. Raises TypeError at once when `f` can't be called.

        flow.Map(str.upper, flow.wrap(["a", "b"]))         # 'A', 'B'
        flow.Map(max, flow.wrap([1, 5]), flow.wrap([3, 2]))    # 3, 5
    """

    __slots__ = ()

    @overload
    def __init__(self, f: Callable[[T], Awaitable[U]], stage: Stage[T] | Iterable[T], /) -> None: ...
    @overload
    def __init__(self, f: Callable[[T], U], stage: Stage[T] | Iterable[T], /) -> None: ...
    @overload
    def __init__(self, f: Callable[..., U], /, *stages: Any) -> None: ...
    def __init__(self, f: Callable[..., Any], /, *stages: Any) -> None:
        if not stages:
            raise TypeError("Map(f, stage) needs a stage to map over")
        name = f"map({label_of(f)})"
        function = called(f, "map")
        if len(stages) == 1:
            super().__init__(stage_of(stages[0]), partial(_map, function), name)
        else:
            from .combine import Zip

            super().__init__(Zip(*stages), partial(_map, lambda rows: f(*rows)), name)


def _map(f: Callable[[Any], Any], rows: Iterator[Any]) -> Generator[Any]:
    for row in rows:
        made = f(row)
        yield wait(made) if type(made) is _Coroutine else made


class Filter(Pipe[T]):
    """The rows for which ``f(row)`` is true, in order.

    An async `f` is awaited before the next row is asked for. Holds nothing. A failure of `f` ends the run. Raises
    TypeError at once when `f` can't be called.

        flow.Filter(str.isdigit, flow.wrap(["a", "1"]))    # '1'
    """

    __slots__ = ()

    def __init__(self, f: Callable[[T], object], stage: Stage[T] | Iterable[T], /) -> None:
        super().__init__(wrap(stage), partial(_filter, called(f, "filter")), f"filter({label_of(f)})")


def _filter(f: Callable[[Any], Any], rows: Iterator[T]) -> Generator[T]:
    for row in rows:
        kept = f(row)
        if wait(kept) if type(kept) is _Coroutine else kept:
            yield row


class FlatMap(Pipe[U]):
    """The rows of ``f(row)`` for each row, one iterable after another.

    `f` gives anything that `flow.wrap` takes but text: a list, a generator, a stage, an async iterable. An async `f`
    is awaited. Each inner source is closed before the next row is asked for. Holds nothing.

        flow.wrap([1, 2]).flat_map(range)                  # 0, 0, 1
    """

    __slots__ = ()

    @overload
    def __init__(self, f: Callable[[T], Awaitable[Iterable[U]]], stage: Stage[T] | Iterable[T], /) -> None: ...
    @overload
    def __init__(self, f: Callable[[T], Iterable[U]], stage: Stage[T] | Iterable[T], /) -> None: ...
    @overload
    def __init__(self, f: Callable[[T], AsyncIterable[U]], stage: Stage[T] | Iterable[T], /) -> None: ...
    def __init__(self, f: Callable[[Any], Any], stage: Stage[Any] | Iterable[Any], /) -> None:
        super().__init__(wrap(stage), partial(_flat_map, called(f, "flat_map")), f"flat_map({label_of(f)})")


def _flat_map(f: Callable[[Any], Any], rows: Iterator[Any]) -> Generator[Any]:
    for row in rows:
        made = f(row)
        if type(made) is _Coroutine:
            made = wait(made)
        yield from made if is_a(made, (list, tuple, range)) else stage_of(made)


def enumerated(stage: Stage[T], start: int) -> Stage[tuple[int, T]]:
    if not isinstance(start, int):
        raise TypeError(f"enumerate(start): a whole number is needed, not {type(start).__name__}")
    numbered: Any = partial(enumerate, start=start)
    return Pipe(stage, cast("_Rows[tuple[int, T]]", numbered), f"enumerate({start})")


def sliced(stage: Stage[T], rows: slice) -> Stage[T]:
    if not isinstance(rows, slice):
        raise TypeError(
            f"stage[...] takes a slice such as stage[:10], not {rows!r}: rows come in order and are not stored"
        )
    bounds = (rows.start, rows.stop, rows.step)
    written = (*bounds[:2], rows.step) if rows.step is not None else bounds[:2]
    shown = ":".join("" if each is None else str(each) for each in written)
    try:
        islice((), *bounds)  # it knows what bounds are
    except ValueError as error:
        raise ValueError(
            f"stage[{shown}]: bounds must be whole numbers of at least 0 (the step of at "
            "least 1): a row counted from the end is not known before the end"
        ) from error
    start, stop, step = rows.start or 0, rows.stop, rows.step or 1
    if stop is not None:
        # islice would read up to `stop`; a live source must not be asked for rows after the last one that is given.
        stop = start + (stop - start - 1) // step * step + 1 if stop > start else 0
        start = min(start, stop)
    return Pipe(stage, lambda upstream: islice(upstream, start, stop, step), f"[{shown}]")


def take_while(stage: Stage[T], f: Callable[[T], object]) -> Stage[T]:
    taken: Any = partial(takewhile, condition(f, "take_while"))
    return Pipe(stage, cast("_Rows[T]", taken), f"take_while({label_of(f)})")


def drop_while(stage: Stage[T], f: Callable[[T], object]) -> Stage[T]:
    left: Any = partial(dropwhile, condition(f, "drop_while"))
    return Pipe(stage, cast("_Rows[T]", left), f"drop_while({label_of(f)})")


def condition(f: Callable[[Any], Any], of: str) -> Callable[[Any], Any]:
    """A condition for an itertools function: awaited where it must be, and guarded."""
    ask = guarded(called(f, of))

    def call(row: Any) -> Any:
        answer = ask(row)
        return wait(answer) if type(answer) is _Coroutine else answer

    return call
