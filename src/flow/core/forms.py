"""Short forms of the stages of one input: ``rows.filter(f)``, ``rows.batched(n)``, ...

What may live here: methods of a few lines that import a stage and make it. What a stage does, holds and promises is
said, and done, in `flow.stages`.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, cast, overload

if TYPE_CHECKING:
    from ..errors import RowTimeoutError
    from ..stages.errors import Failed, Ok, On, Retry
    from ..stages.hooks import Valve
    from .stage import Stage

__all__ = ["Forms", "OneInput"]

T_co = TypeVar("T_co", covariant=True)
U = TypeVar("U")
E = TypeVar("E", bound=Exception)


class Forms(Generic[T_co]):
    """A part of `Stage`."""

    __slots__ = ()

    @property
    def _itself(self) -> Stage[T_co]:
        """The stage that it is a part of: itself, with its type."""
        return cast("Stage[T_co]", self)


class OneInput(Forms[T_co]):
    """What a `Stage` has for its own rows."""

    __slots__ = ()

    # ---- stages/transform.py

    def filter(self, f: Callable[[T_co], object], /) -> Stage[T_co]:
        """The rows for which ``f(row)`` is true, in order; an async `f` is awaited. See `flow.Filter`."""
        from ..stages.transform import Filter

        return Filter(f, self._itself)

    def enumerate(self, start: int = 0) -> Stage[tuple[int, T_co]]:
        """``(number, row)`` for each row, as the builtin does it."""
        from ..stages.transform import enumerated

        return enumerated(self._itself, start)

    def __getitem__(self, rows: slice) -> Stage[T_co]:
        """``stage[a:b:c]``: those rows, as `itertools.islice` does it; no row after the last one is asked for.

        Raises TypeError for an index that is no slice, ValueError for a negative bound.
        """
        from ..stages.transform import sliced

        return sliced(self._itself, rows)

    def take_while(self, f: Callable[[T_co], object], /) -> Stage[T_co]:
        """The rows before the first for which ``f(row)`` is false (that one is read and dropped); async `f` too."""
        from ..stages.transform import take_while

        return take_while(self._itself, f)

    def drop_while(self, f: Callable[[T_co], object], /) -> Stage[T_co]:
        """The rows from the first for which ``f(row)`` is false; an async `f` is awaited."""
        from ..stages.transform import drop_while

        return drop_while(self._itself, f)

    # ---- stages/batch.py

    def batched(
        self,
        n: int,
        /,
        *,
        within: float | None = None,
        weight: Callable[[T_co], Any] | None = None,
        max_weight: float | None = None,
    ) -> Stage[tuple[T_co, ...]]:
        """Tuples of up to `n` rows: what came in `within` seconds, weighs up to `max_weight`. See `flow.batched`."""
        from ..stages.batch import batched

        return batched(n, within=within, weight=weight, max_weight=max_weight).attached_to(self._itself)

    @overload
    def window(self, n: int, /, step: int | None = None) -> Stage[tuple[T_co, ...]]: ...
    @overload
    def window(self, *, seconds: float, every: float | None = None, most: int = ...) -> Stage[tuple[T_co, ...]]: ...
    @overload
    def window(self, *, gap: float, most: int = ...) -> Stage[tuple[T_co, ...]]: ...
    def window(self, *args: Any, **kwargs: Any) -> Stage[Any]:
        """Tuples of rows that belong together, by number, time or gap. See `flow.stages.window.window`."""
        from ..stages.window import window

        return window(self._itself, *args, **kwargs)

    # ---- stages/timing.py

    def delay(self, seconds: float | Callable[[T_co], Any] = 0, *, start: float = 0, limit: int = 1000) -> Stage[T_co]:
        """Each row so much later than it came; with `start`, the first is asked for late. See
        `flow.stages.timing.delay`."""
        from ..stages.timing import delay

        return delay(self._itself, seconds, start=start, limit=limit)

    def rate_limit(
        self,
        rate: float,
        per: float = 1.0,
        *,
        burst: float = 1,
        cost: Callable[[T_co], Any] | None = None,
        overflow: Literal["wait", "drop"] = "wait",
    ) -> Stage[T_co]:
        """At most `rate` rows `per` seconds, by a token bucket. See `flow.stages.timing.rate_limit`."""
        from ..stages.timing import rate_limit

        return rate_limit(self._itself, rate, per, burst=burst, cost=cost, overflow=overflow)

    def debounce(self, seconds: float, /) -> Stage[T_co]:
        """A row when none has come for so long after it. See `flow.stages.timing.debounce`."""
        from ..stages.timing import debounce

        return debounce(self._itself, seconds)

    def sample(self, seconds: float, /) -> Stage[T_co]:
        """The latest row of each period, where there is one. See `flow.stages.timing.sample`."""
        from ..stages.timing import sample

        return sample(self._itself, seconds)

    @overload
    def timeout(
        self,
        *,
        item: float | None = ...,
        first: float | None = ...,
        idle: float | None = ...,
        total: float | None = ...,
    ) -> Stage[T_co]: ...
    @overload
    def timeout(
        self,
        *,
        on_late: Callable[[RowTimeoutError], Awaitable[U]],
        item: float | None = ...,
        first: float | None = ...,
        idle: float | None = ...,
        total: float | None = ...,
    ) -> Stage[T_co | U]: ...
    @overload
    def timeout(
        self,
        *,
        on_late: Callable[[RowTimeoutError], U],
        item: float | None = ...,
        first: float | None = ...,
        idle: float | None = ...,
        total: float | None = ...,
    ) -> Stage[T_co | U]: ...
    def timeout(self, **limits: Any) -> Stage[Any]:
        """A RowTimeoutError, or a row in its place, when none comes in time. See `flow.stages.timing.timeout`."""
        from ..stages.timing import timeout

        return timeout(self._itself, **limits)

    @overload
    def keep_alive(self, idle: float, row: Callable[[], Awaitable[U]], /) -> Stage[T_co | U]: ...
    @overload
    def keep_alive(self, idle: float, row: Callable[[], U], /) -> Stage[T_co | U]: ...
    @overload
    def keep_alive(self, idle: float, row: U, /) -> Stage[T_co | U]: ...
    def keep_alive(self, idle: float, row: Any, /) -> Stage[Any]:
        """`row` whenever none was handed on for `idle` seconds. See `flow.stages.timing.keep_alive`."""
        from ..stages.timing import keep_alive

        return keep_alive(self._itself, idle, row)

    def deadline(self, seconds: float, /) -> Stage[T_co]:
        """The rows that come in so many seconds, then the end. See `flow.stages.timing.deadline`."""
        from ..stages.timing import deadline

        return deadline(self._itself, seconds)

    # ---- stages/errors.py

    def trap(self, *kinds: type[E]) -> Stage[T_co | E]:
        """The rows; an error of these kinds becomes the last one. See `flow.stages.errors.trap`."""
        from ..stages.errors import trap

        return trap(self._itself, *kinds)

    @overload
    def recover(self, f: Callable[[Any], Awaitable[Iterable[U]]], on: On = ...) -> Stage[T_co | U]: ...
    @overload
    def recover(self, f: Callable[[Any], AsyncIterable[U] | Iterable[U]], on: On = ...) -> Stage[T_co | U]: ...
    def recover(self, f: Callable[[Any], Any], on: On = Exception) -> Stage[Any]:
        """The rows; after an error, those of ``f(error)``. See `flow.stages.errors.recover`."""
        from ..stages.errors import recover

        return recover(self._itself, f, on)

    def retry(self, attempts: Retry | float, *, resume: Callable[[T_co, int], object] | None = None) -> Stage[T_co]:
        """The rows of a source that is opened again after a failure. See `flow.stages.retrying.retry`."""
        from ..stages.retrying import retry

        return retry(self._itself, attempts, resume=resume)

    def as_values(self) -> Stage[Ok[T_co] | Failed]:
        """``flow.Ok(row)`` for each row, ``flow.Failed(error)`` for an error. See `flow.stages.errors.as_values`."""
        from ..stages.errors import as_values

        return as_values(self._itself)

    @overload
    def from_values(self: OneInput[Ok[U] | Failed]) -> Stage[U]: ...
    @overload
    def from_values(self: OneInput[Any]) -> Stage[Any]: ...
    def from_values(self: OneInput[Any]) -> Stage[Any]:
        """The rows and the error that were made values by `as_values`. See `flow.stages.errors.from_values`."""
        from ..stages.errors import from_values

        return from_values(self._itself)

    # ---- stages/hooks.py and the ends of a flow

    def on_start(self, f: Callable[[], object]) -> Stage[T_co]:
        """The same rows; ``f()`` is called before the first is asked for. See `flow.stages.hooks.on_start`."""
        from ..stages.hooks import on_start

        return on_start(self._itself, f)

    def on_row(self, f: Callable[[T_co], object]) -> Stage[T_co]:
        """The same rows; ``f(row)`` is called for each one. See `flow.stages.hooks.on_row`."""
        from ..stages.hooks import on_row

        return on_row(self._itself, f)

    def on_end(self, f: Callable[[Exception | None], object]) -> Stage[T_co]:
        """The same rows; ``f(None)`` or ``f(error)`` is called when they end. See `flow.stages.hooks.on_end`."""
        from ..stages.hooks import on_end

        return on_end(self._itself, f)

    def finally_(self, f: Callable[[], object]) -> Stage[T_co]:
        """The same rows; ``f()`` is called when all above is closed, always. See `flow.stages.hooks.finally_`."""
        from ..stages.hooks import finally_

        return finally_(self._itself, f)

    def through(self, valve: Valve) -> Stage[T_co]:
        """The same rows, which wait while the valve is closed. See `flow.Valve`."""
        from ..stages.hooks import through

        return through(self._itself, valve)

    @overload
    def collect(self, f: type[list[Any]] = ..., /) -> Coroutine[Any, Any, list[T_co]]: ...
    @overload
    def collect(self, f: Callable[[Iterator[T_co]], U], /) -> Coroutine[Any, Any, U]: ...
    def collect(self, f: Callable[[Any], Any] = list, /) -> Coroutine[Any, Any, Any]:
        """What ``f(rows)`` gives: ``await rows.collect(sum)``. See `flow.stages.hooks.collect`."""
        from ..stages.hooks import collect

        return collect(self._itself, f)

    # ---- watch/meter.py

    def progress(
        self, label: str = "rows", *, total: int | None = None, every: float = 0.2, console: Any = None
    ) -> Stage[T_co]:
        """The same rows; a line in the terminal says how many have passed. See `flow.watch.meter.progress`."""
        from ..watch.meter import progress

        return progress(self._itself, label, total=total, every=every, console=console)
