"""Stages that change rows one after another: each is a few lines over Python's own loops.

None of them holds a row, runs ahead, or is touched by flow between two rows. What itertools has is itertools here.
Functions that users give may be async (they are awaited, in order); a StopIteration that escapes one is an error, not
an end (PEP 479), which is why these are generators and not builtin maps.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Generator, Iterable, Iterator
from functools import partial
from itertools import dropwhile, islice, takewhile
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Unpack, cast, overload

from ..core.functions import gives_coroutines
from ..core.microthread import wait
from ..core.scope import Scope
from ..core.source import bound_of, is_a
from ..core.stage import Pipe, Stage, label_of
from ..core.wrap import guarded, stage_of, wrap

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from .calls import Manner, OnError, Options
    from .errors import Retry

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
    return gives_coroutines(inner) or gives_coroutines(getattr(inner, "__call__", None))  # noqa: B004


def called(f: Callable[[Any], Any], of: str) -> Callable[[Any], Any]:
    """`f`, or a function that calls an async `f` and waits. Raises TypeError for what can't be called."""
    if not callable(f):
        raise TypeError(f"{of} needs a function of one row, not {type(f).__name__}")
    if is_async(f):
        return lambda row: wait(f(row))
    return f


class Map(Pipe[U]):
    """``f(row)`` for each row: one after another, or `concurrency` of them at a time.

    With several stages, ``f(a, b, ...)`` for one row of each, as the builtin map does it: see `Zip` for how they are
    asked and when they end. An async `f` (or a function that returns a coroutine) is awaited. A failure of `f` ends the
    run. Without further arguments it holds nothing, and a call begins when its row is asked for.

    `concurrency`: calls at a time. They go on while the reader is busy (in a script, whose loop runs only while it
    waits, those in an executor). Rows come in order, each when it is done and those before it are handed on;
    ``ordered=False``: as they are done. At most `ahead` rows are in hand, that is, read and not handed on: twice the
    concurrency, unless it is given, and never less than that. `key`: a function of a row; rows of one key are called
    one after another, in order. An async `f` runs in tasks, as many as the concurrency, which take one row after
    another; any other `f` on micro-threads, where it may `flow.wait`. `on`: a `concurrent.futures.Executor` to which
    ``f(row)`` is submitted, and which stays open; or ``"threads"``: as many threads, which end with the run. Each
    worker has a copy of the run's context variables; in an executor of yours, what that gives.

    `retry`: attempts for one row in all, a second apart, or a `flow.Retry`. A row whose last attempt fails ends the run
    (``on_row_error="raise"``), or is left out (``"skip"``), or is left out and given to a function, ``f(row, error)``,
    which is called where the row would have been handed on; its own failure ends the run. A cancel is never tried
    again, left out or diverted.

    What a failure ends, `on_error` says. ``"cancel"``: the rows before the failed one are finished and handed on, as
    with one call at a time, the calls for rows after it are cancelled at once and awaited, then it is raised.
    (Unordered: what is done is handed on, and all other calls are cancelled.) ``"finish"``: no further call begins;
    those in flight are finished and handed on. ``"collect"``: goes on to the end of the input, or until 1,000 have
    failed. Several failures come as an ExceptionGroup. A failure of the input, or of `key`, comes after all rows before
    it.

    On a cancel, a failure or an early close, calls are cancelled and awaited, and then the input is closed. Dropped,
    and counted, are results that were not read and rows whose call had not begun. A call in a thread or a process can't
    be interrupted, and is waited for. Raises ValueError or TypeError at once for arguments that can't be.

        flow.Map(str.upper, flow.wrap(["a", "b"]))         # 'A', 'B'
        flow.Map(max, flow.wrap([1, 5]), flow.wrap([3, 2]))    # 3, 5
        flow.Map(abs, flow.wrap([1, -2]), concurrency=2)   # 1, 2
    """

    __slots__ = ("_manner", "_source")

    @overload
    def __init__(
        self, f: Callable[[T], Awaitable[U]], stage: Stage[T] | Iterable[T], /, **options: Unpack[Options[T]]
    ) -> None: ...
    @overload
    def __init__(
        self, f: Callable[[T], U], stage: Stage[T] | Iterable[T], /, **options: Unpack[Options[T]]
    ) -> None: ...
    @overload
    def __init__(self, f: Callable[..., U], /, *stages: Any, **options: Unpack[Options[Any]]) -> None: ...
    def __init__(
        self,
        f: Callable[..., Any],
        /,
        *stages: Any,
        concurrency: int = 1,
        ordered: bool = True,
        ahead: int | None = None,
        key: Callable[[Any], Any] | None = None,
        on: Executor | Literal["threads"] | None = None,
        on_error: OnError = "cancel",
        on_row_error: Literal["raise", "skip"] | Callable[[Any, Exception], object] = "raise",
        retry: int | Retry | None = None,
    ) -> None:
        if not stages:
            raise TypeError("Map(f, stage) needs a stage to map over")
        plain = called(f, "map")
        source = stage_of(stages[0])
        if len(stages) > 1:
            from .combine import Zip

            source, f = Zip(*stages), Starred(f)
            plain = called(f, "map")
        self._source = source
        self._manner: Manner | None = None
        options = (concurrency, ordered, ahead, key, on, on_error, on_row_error, retry)
        if options == _UNLESS_GIVEN and ordered is True and concurrency is not True:  # the usual case
            super().__init__(source, partial(_map, plain), f"map({label_of(f)})")
            return
        from .calls import manner_of, one_by_one

        how = manner_of(f, *options)
        super().__init__(source, partial(_map, plain) if how.is_plain else partial(one_by_one, how), how.name)
        if not how.is_alone:
            self._manner = how
            self.upstream = None  # it is read on a micro-thread of its own

    @property
    def label(self) -> str:
        return self.name if self._manner is None else f"{self._source!r} | {self.name}"

    @property
    def short_label(self) -> str:
        return self.name

    @property
    def sources(self) -> tuple[Stage[Any], ...]:
        return (self._source,)

    def rows(self, upstream: Any, scope: Scope) -> Iterator[U]:
        if self._manner is None:
            return super().rows(upstream, scope)
        from .jobs import concurrently

        return concurrently(self._manner, self._source, self, scope)


_UNLESS_GIVEN = (1, True, None, None, None, "cancel", "raise", None)


class Starred:
    """``f(*row)`` for a row that is a tuple. (A class, so that it can be sent to another process.)"""

    def __init__(self, f: Callable[..., Any]) -> None:
        self.func = f
        self.__qualname__ = label_of(f)

    def __call__(self, row: tuple[Any, ...]) -> Any:
        return self.func(*row)


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
    """The rows of ``f(row)`` for each row: one iterable after another, or `concurrency` of them at a time.

    `f` gives anything that `flow.wrap` takes but text: a list, a generator, a stage, an async iterable. An async `f`
    is awaited. Without further arguments each inner source is closed before the next row is asked for, and it holds
    nothing.

    With a `concurrency`, so many inner sources are open at a time, and the rows of all of them come as they are there;
    those of each come in order, and those that have a row are served in turn. Each works on at most one row ahead.
    When one is closed the next row is asked for, and `f` called: one call at a time. It ends when the input and all
    inner sources have ended.

    A failure of `f` or of an inner source ends it as `on_error` says. ``"cancel"``: rows that are made already are
    handed on, the other inner sources and the input are cancelled and closed, then it is raised. ``"finish"``: no
    further source is opened, and those that are open are read to their end. ``"collect"``: goes on to the end of the
    input, or until 1,000 have failed. Several failures come as an ExceptionGroup. A failure of the input comes after
    the rows of the sources that are open. On a cancel or an early close all of them are cancelled and closed, the input
    last; rows that were made and not read are dropped and counted. Raises ValueError or TypeError at once for
    arguments that can't be.

        flow.wrap([1, 2]).flat_map(range)                  # 0, 0, 1
        flow.wrap([1, 1]).flat_map(range, concurrency=2)   # 0, 0
    """

    __slots__ = ("_at_once", "_f", "_on_error", "_source")

    @overload
    def __init__(
        self,
        f: Callable[[T], Awaitable[Iterable[U]]],
        stage: Stage[T] | Iterable[T],
        /,
        *,
        concurrency: int = ...,
        on_error: OnError = ...,
    ) -> None: ...
    @overload
    def __init__(
        self,
        f: Callable[[T], Iterable[U]],
        stage: Stage[T] | Iterable[T],
        /,
        *,
        concurrency: int = ...,
        on_error: OnError = ...,
    ) -> None: ...
    @overload
    def __init__(
        self,
        f: Callable[[T], AsyncIterable[U]],
        stage: Stage[T] | Iterable[T],
        /,
        *,
        concurrency: int = ...,
        on_error: OnError = ...,
    ) -> None: ...
    def __init__(
        self,
        f: Callable[[Any], Any],
        stage: Stage[Any] | Iterable[Any],
        /,
        *,
        concurrency: int = 1,
        on_error: OnError = "cancel",
    ) -> None:
        from .calls import policy_of

        bound_of(concurrency, "flat_map(concurrency)")
        self._on_error: OnError = policy_of(on_error, "flat_map(on_error)")
        name = f"flat_map({label_of(f)}{'' if concurrency == 1 else f', concurrency={concurrency}'})"
        super().__init__(wrap(stage), partial(_flat_map, called(f, "flat_map")), name)
        self._f = f
        self._source: Any = self.upstream
        self._at_once = 0 if concurrency == 1 and on_error != "collect" else concurrency
        if self._at_once:
            self.upstream = None  # it is read on a micro-thread of its own

    @property
    def label(self) -> str:
        return f"{self._source!r} | {self.name}" if self._at_once else self.name

    @property
    def short_label(self) -> str:
        return self.name

    @property
    def sources(self) -> tuple[Stage[Any], ...]:
        return (self._source,)

    def rows(self, upstream: Any, scope: Scope) -> Iterator[U]:
        if not self._at_once:
            return super().rows(upstream, scope)
        from .spread import Spread

        return Spread(self._f, self._source, scope.strand, self._at_once, self._on_error).rows()


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
