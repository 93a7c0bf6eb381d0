"""Short forms of the stages that do several things at a time: calls, buffers, routes, several inputs.

What may live here: methods of a few lines that import a stage and make it. What a stage does, holds and promises is
said, and done, in `flow.stages`.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Hashable, Iterable
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from .forms import Forms

if TYPE_CHECKING:
    from concurrent.futures import Executor
    from typing import Unpack

    from ..stages.buffer import Overflow
    from ..stages.calls import OnError, Options
    from ..stages.combine import Merge, Zip
    from ..stages.errors import Retry
    from ..stages.first import Event
    from ..stages.share import Slow
    from .stage import Input, Stage

__all__ = ["ManyInputs"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
U = TypeVar("U")
K = TypeVar("K", bound=Hashable)
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")


class ManyInputs(Forms[T_co]):
    """What a `Stage` has for doing several things at a time."""

    __slots__ = ()

    # ---- stages/calls.py: concurrent calls

    @overload
    def map(self, f: Callable[[T_co], Awaitable[U]], /, **options: Unpack[Options[T_co]]) -> Stage[U]: ...
    @overload
    def map(self, f: Callable[[T_co], U], /, **options: Unpack[Options[T_co]]) -> Stage[U]: ...
    def map(
        self,
        f: Callable[[Any], Any],
        /,
        *,
        concurrency: int = 1,
        ordered: bool = True,
        ahead: int | None = None,
        key: Callable[[Any], Any] | None = None,
        on: Executor | Literal["threads"] | None = None,
        on_error: OnError = "cancel",
        on_row_error: Literal["raise", "skip"] | Callable[[Any, Exception], object] = "raise",
        retry: int | Retry | None = None,
    ) -> Stage[Any]:
        """``f(row)`` for each row, in order; an async `f` is awaited. `concurrency`: calls at a time.

        What the other options mean is said at `flow.Map`.
        """
        from ..stages.transform import Map

        return Map(
            f,
            self._itself,
            concurrency=concurrency,
            ordered=ordered,
            ahead=ahead,
            key=key,
            on=on,
            on_error=on_error,
            on_row_error=on_row_error,
            retry=retry,
        )

    @overload
    def flat_map(
        self, f: Callable[[T_co], Awaitable[Iterable[U]]], /, *, concurrency: int = ..., on_error: OnError = ...
    ) -> Stage[U]: ...
    @overload
    def flat_map(
        self, f: Callable[[T_co], Iterable[U]], /, *, concurrency: int = ..., on_error: OnError = ...
    ) -> Stage[U]: ...
    @overload
    def flat_map(
        self, f: Callable[[T_co], AsyncIterable[U]], /, *, concurrency: int = ..., on_error: OnError = ...
    ) -> Stage[U]: ...
    def flat_map(self, f: Callable[[Any], Any], /, *, concurrency: int = 1, on_error: OnError = "cancel") -> Stage[Any]:
        """The rows of ``f(row)`` for each row, in turn, or those of `concurrency` sources as they come.

        `f` gives an iterable, an async one, or a stage. See `flow.FlatMap`.
        """
        from ..stages.transform import FlatMap

        return FlatMap(f, self._itself, concurrency=concurrency, on_error=on_error)

    # ---- stages/buffer.py and stages/share.py: buffers and routes

    def buffer(self, n: int, /, overflow: Overflow = "wait") -> Stage[T_co]:
        """The same rows, made up to `n` ahead while their reader is busy; `overflow`: what a full buffer does.

        See `flow.stages.buffer.Buffer`.
        """
        from ..stages.buffer import Buffer

        return Buffer(self._itself, n, overflow)

    def background(self, other: Any, /) -> Stage[T_co]:
        """The same rows, while `other` is read beside them for what it does: see `flow.stages.buffer.Beside`."""
        from ..stages.buffer import Beside

        return Beside(self._itself, other)

    def share(self, replay: int = 0, *, limit: int = 16, slow: Slow = "wait") -> Stage[T_co]:
        """One run of these rows, for any number of readers: see `flow.stages.share.Shared`."""
        from ..stages.share import Shared

        return Shared(self._itself, replay, limit, slow)

    def tee(self, n: int = 2, *, limit: int = 16, slow: Slow = "wait") -> tuple[Stage[T_co], ...]:
        """`n` stages that give each row of one run: see `flow.stages.share.tee`."""
        from ..stages.share import tee

        return tee(self._itself, n, limit, slow)

    def partition(self, predicate: Callable[[T_co], object], /, *, limit: int = 16) -> tuple[Stage[T_co], Stage[T_co]]:
        """The rows for which ``predicate(row)`` is true, and the others: see `flow.stages.route.partition`."""
        from ..stages.route import partition

        return partition(self._itself, predicate, limit)

    @overload
    def route(
        self, key: Callable[[T_co], Awaitable[K]], /, *, limit: int = ..., most: int = ...
    ) -> Stage[tuple[K, Stage[T_co]]]: ...
    @overload
    def route(
        self, key: Callable[[T_co], K], /, *, limit: int = ..., most: int = ...
    ) -> Stage[tuple[K, Stage[T_co]]]: ...
    def route(self, key: Callable[[Any], Any], /, *, limit: int = 16, most: int = 1000) -> Stage[Any]:
        """``(key, rows)`` for each key as it appears: see `flow.stages.route.Routed`."""
        from ..stages.route import Routed

        return Routed(self._itself, key, limit, most)

    def balance(self, n: int, /, *, limit: int = 16) -> tuple[Stage[T_co], ...]:
        """`n` stages that share the rows of one run, as they ask for them: see `flow.stages.route.balance`."""
        from ..stages.route import balance

        return balance(self._itself, n, limit)

    # ---- stages/combine.py, latest.py and first.py: several inputs

    @overload
    def zip(self, a: Input[T1], /, *, strict: bool = ...) -> Zip[tuple[T_co, T1]]: ...
    @overload
    def zip(self, a: Input[T1], b: Input[T2], /, *, strict: bool = ...) -> Zip[tuple[T_co, T1, T2]]: ...
    @overload
    def zip(
        self, a: Input[T1], b: Input[T2], c: Input[T3], /, *, strict: bool = ...
    ) -> Zip[tuple[T_co, T1, T2, T3]]: ...
    @overload
    def zip(self, *others: Any, strict: bool = ..., fill: Any = ...) -> Zip[tuple[Any, ...]]: ...
    def zip(self, *others: Any, **mode: Any) -> Zip[Any]:
        """Tuples of one row of each input: see `flow.Zip`."""
        from ..stages.combine import Zip

        return Zip(self._itself, *others, **mode)

    @overload
    def merge(self: ManyInputs[T], *others: Input[T], on_error: OnError = ...) -> Merge[T]: ...
    @overload
    def merge(self, *others: Any, on_error: OnError = ...) -> Merge[Any]: ...
    def merge(self, *others: Any, on_error: OnError = "cancel") -> Merge[Any]:
        """The rows of all inputs as they come: see `flow.Merge`."""
        from ..stages.combine import Merge

        return Merge(self._itself, *others, on_error=on_error)

    @overload
    def with_latest(self, other: Input[U], /) -> Stage[tuple[T_co, U]]: ...
    @overload
    def with_latest(self, other: Input[U], /, *, initial: T1) -> Stage[tuple[T_co, U | T1]]: ...
    @overload
    def with_latest(self, other: Any, /, *, initial: Any = ...) -> Stage[tuple[T_co, Any]]: ...
    def with_latest(self, other: Any, /, **initial: Any) -> Stage[Any]:
        """``(row, latest)`` for each row, with the latest of `other`. See `flow.stages.latest.with_latest`."""
        from ..stages.latest import with_latest

        return with_latest(self._itself, other, **initial)

    @overload
    def switch_map(self, f: Callable[[T_co], Awaitable[Iterable[U]]], /) -> Stage[U]: ...
    @overload
    def switch_map(self, f: Callable[[T_co], Iterable[U]], /) -> Stage[U]: ...
    @overload
    def switch_map(self, f: Callable[[T_co], AsyncIterable[U]], /) -> Stage[U]: ...
    def switch_map(self, f: Callable[[Any], Any], /) -> Stage[Any]:
        """The rows of ``f(row)`` for the latest row. See `flow.stages.latest.switch_map`."""
        from ..stages.latest import switch_map

        return switch_map(self._itself, f)

    def until(self, event: Event, /) -> Stage[T_co]:
        """The rows until `event` (a stage, an awaitable, a future) happens. See `flow.stages.first.until`."""
        from ..stages.first import until

        return until(self._itself, event)
