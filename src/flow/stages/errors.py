"""What becomes of errors: put into rows, answered with other rows, or tried again.

Only Exceptions are looked at here. A cancel, an interrupt and the closing of a run pass through all of it: nothing here
can keep a run from ending. Rows that came before an error stay before whatever becomes of it, and what failed is closed
before anything else is opened.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Generator, Iterator
from functools import partial
from types import CoroutineType
from typing import Any, Generic, NoReturn, TypeAlias, TypeVar

from ..core.instruction import seconds_of
from ..core.microthread import wait
from ..core.record import Record
from ..core.scope import Scope
from ..core.source import Around, is_a, kind_of
from ..core.stage import Pipe, Stage, label_of
from ..core.wrap import stage_of, trapped
from ..errors import AlreadyReadError
from .transform import is_async

__all__ = [
    "Failed",
    "Ok",
    "Retry",
    "as_values",
    "from_values",
    "function_of",
    "matcher",
    "recover",
    "retry_of",
    "trap",
]

T = TypeVar("T")
E = TypeVar("E", bound=Exception)

On: TypeAlias = type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], object]


# --------------------------------------------------------------------------------------------------------------------
# Policies


class Retry(Record):
    """How often something is tried, how long to wait before it is tried again, and after which errors.

    `attempts`: in all, so 1 never tries again; math.inf goes on for ever. `backoff`: the seconds between two attempts;
    or a function of the number of the attempt that failed (1, 2, ...); or a wait of tenacity, such as
    ``tenacity.wait_exponential_jitter()`` (``pip install 'coopflow[retry]'``): flow has no policies of its own. `on`:
    an exception class, several in a tuple, or a function of the error that says whether to try again. It holds no
    state, so one may serve any number of runs and of rows.

    Only an Exception is ever tried again: a cancel never is. Raises TypeError or ValueError for what these can't be.

        twice = flow.Retry(2, backoff=0.5, on=ConnectionError)
        twice.delay_after(1, ConnectionError())            # 0.5
        twice.delay_after(2, ConnectionError())            # None
        flow.Retry(5, backoff=lambda attempt: 2**attempt)
    """

    attempts: float
    backoff: float | Callable[[Any], float] = 1.0
    on: On = Exception

    def __post_init__(self) -> None:
        attempts = self.attempts
        if attempts != math.inf:
            if isinstance(attempts, bool) or not isinstance(attempts, int):
                raise TypeError(
                    f"Retry(attempts) must be a whole number or math.inf, not {attempts!r} ({type(attempts).__name__})"
                )
            if attempts < 1:
                raise ValueError(f"Retry(attempts) must be at least 1, which is the first try, not {attempts}")
        if not callable(self.backoff):
            seconds_of(self.backoff, "Retry(backoff)")
        elif is_async(self.backoff):
            raise TypeError(f"Retry(backoff): {label_of(self.backoff)} must be a plain function, not an async one")
        matcher(self.on, "Retry(on)")

    def delay_after(self, attempt: int, error: BaseException) -> float | None:
        """Seconds to wait before the next attempt, after this one failed with `error`; None: there is to be none.

        `attempt` is the number of the one that failed, from 1. Raises what `backoff` and `on` raise, and ValueError or
        TypeError where `backoff` gives no number of seconds.
        """
        if attempt >= self.attempts or not isinstance(error, Exception) or not matcher(self.on, "Retry(on)")(error):
            return None
        backoff = self.backoff
        if not callable(backoff):
            return backoff
        state = attempt if (tenacity := _tenacity(backoff)) is None else _state(tenacity, backoff, attempt, error)
        return seconds_of(backoff(state), f"the seconds that Retry(backoff={label_of(backoff)}) gives")

    @property
    def label(self) -> str:
        """How it is shown in the label of a stage: what was said, for short."""
        shown = [f"{self.attempts}"]
        if self.backoff != 1.0:
            shown.append(f"backoff={label_of(self.backoff) if callable(self.backoff) else self.backoff}")
        if self.on is not Exception:
            on: Any = self.on
            kinds: Any = on if is_a(on, tuple) else (on,)
            shown.append(f"on={' | '.join(map(label_of, kinds))}")
        return ", ".join(shown)


def _tenacity(backoff: Any) -> Any:
    """The module, if `backoff` is a wait of it. It need not be imported: who has made a wait has imported it."""
    tenacity: Any = sys.modules.get("tenacity")
    waits: Any = getattr(getattr(tenacity, "wait", None), "wait_base", ())
    return tenacity if is_a(backoff, waits) else None


def _state(tenacity: Any, backoff: Any, attempt: int, error: Exception) -> Any:
    """What waits of tenacity look at."""
    state = tenacity.RetryCallState(tenacity.Retrying(wait=backoff), None, (), {})
    state.attempt_number = attempt
    state.set_exception((type(error), error, error.__traceback__))
    return state


def retry_of(value: Retry | float, of: str) -> Retry:
    """A Retry, or how many attempts. Raises TypeError or ValueError for anything else, naming what `of` says."""
    if isinstance(value, Retry):
        return value
    try:
        return Retry(value)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{of} must be a flow.Retry or a number of attempts: {error}") from None


def matcher(on: On, of: str) -> Callable[[Exception], object]:
    """Asks of an error whether it is one of `on`. Raises TypeError, naming what `of` says, for what can't be asked."""
    asked: Any = on
    kinds: tuple[Any, ...] = asked if is_a(on, tuple) else (asked,)
    if kinds and all(is_a(kind, type) and issubclass(kind, Exception) for kind in kinds):
        return lambda error: isinstance(error, kinds)
    if is_a(on, (tuple, type)) or not callable(asked):
        raise TypeError(f"{of} must be a class of Exceptions, a tuple of such, or a function of an error, not {on!r}")
    if is_async(asked):
        raise TypeError(f"{of}: {label_of(asked)} must be a plain function, not an async one")
    return asked  # type: ignore[no-any-return]


def function_of(what: str, f: Callable[..., Any], of: str) -> Callable[..., Any]:
    """`f`; where it is async, its result is waited for. Raises TypeError for what can't be called."""
    if not callable(f):
        raise TypeError(f"{of} must be a function of {what}, not {type(f).__name__}")

    def call(*args: Any) -> Any:
        made: Any = f(*args)
        return wait(made) if kind_of(made) is CoroutineType else made

    return call


# --------------------------------------------------------------------------------------------------------------------
# An error as the last row, or answered with other rows


def trap(stage: Stage[T], *kinds: type[E]) -> Stage[T | E]:
    """The rows; an error of one of these kinds that comes from above becomes the last one, the instance itself.

    The rows then end as if nothing had failed; what failed is closed before. Any other error passes, and so does a
    cancel. Errors of opening and closing count; the AlreadyReadError of a second reading is no error of the rows, and
    passes unless it is named. Holds nothing. The short form of ``flow.wrap(x, *kinds)`` for a whole chain. Raises
    TypeError at once for what is no class of Exceptions.

        flow.wrap(["1", "x"]).map(int).trap(ValueError).map(type)    # int, ValueError
    """
    if not kinds:
        raise TypeError("trap(*kinds) needs an exception class at least")
    return trapped(stage, kinds, "trap(*kinds)")


def recover(stage: Stage[T], f: Callable[[Exception], Any], on: On = Exception) -> Stage[Any]:
    """The rows; after an error that comes from above, the rows of ``f(error)``.

    `f` (which may be async) gives anything that `flow.wrap` takes: a list, a stage, an async iterable; ``[]`` for no
    more rows. What failed is closed before `f` is called. `on` says for which errors: a class, a tuple of classes, or a
    function of the error. Any other error passes, and so does one of `f`, of the rows that it gave, and of the closing
    (together with the first one). Holds nothing. Raises TypeError at once for an `f` or an `on` that can't be called.

        flow.wrap(["1", "x"]).map(int).recover(lambda error: [0, 0])    # 1, 0, 0
    """
    answer = function_of("an error", f, "recover(f)")
    return Around(stage, partial(_recovered, answer, matcher(on, "recover(on)")), f"recover({label_of(f)})")


def _recovered(
    f: Callable[[Exception], Any], matches: Callable[[Exception], object], source: Stage[Any], scope: Scope
) -> Generator[Any]:
    with scope:
        try:
            for row in source.open_in(scope):
                yield row
            scope.close()
            return
        except Exception as error:
            if isinstance(error, AlreadyReadError) or not matches(error):
                raise
            scope.__exit__(type(error), error, None)  # a failure of closing joins it, and is raised
            made = f(error)
        # Here no exception is being handled any more: a wait is an ordinary one, and no part of a cleanup.
        for row in stage_of(made).open_in(scope):
            yield row


# --------------------------------------------------------------------------------------------------------------------
# Errors as values


class Ok(Record, Generic[T]):
    """A row, as a value beside `Failed`: see ``rows.as_values()``.

    Both are patterns: ``case flow.Ok(row)``, ``case flow.Failed(error)``.

        flow.Ok(1).value                                   # 1
    """

    __slots__ = ("value",)

    value: T

    def unwrap(self) -> T:
        """The row."""
        return self.value


class Failed(Record):
    """An error, as a value beside `Ok`: see ``rows.as_values()``."""

    __slots__ = ("error",)

    error: Exception

    def unwrap(self) -> NoReturn:
        """Raises the error."""
        raise self.error


def as_values(stage: Stage[T]) -> Stage[Ok[T] | Failed]:
    """``flow.Ok(row)`` for each row; an error that comes from above becomes ``flow.Failed(error)``, the last one.

    So an error can travel as data: through a buffer, to another process, or beside the rows of other inputs, which it
    does not end. (Rx calls this materialize.) A cancel is no value. Holds nothing.

        flow.wrap(["1", "x"]).map(int).as_values().map(type)    # flow.Ok, flow.Failed
    """
    return Around(stage, _as_values, "as_values()")


def _as_values(source: Stage[T], scope: Scope) -> Generator[Ok[T] | Failed]:
    with scope:
        try:
            for row in source.open_in(scope):
                yield Ok(row)
            scope.close()
            return
        except AlreadyReadError:
            raise
        except Exception as error:
            scope.__exit__(type(error), error, None)
            failed = Failed(error)
        yield failed


def from_values(stage: Stage[Ok[T] | Failed]) -> Stage[T]:
    """The way back from `as_values`: the row of each `Ok`; a `Failed` raises its error, which ends the rows.

    Raises TypeError when it comes to anything else. Holds nothing.

        flow.wrap([flow.Ok(1), flow.Ok(2)]).from_values()    # 1, 2
    """
    return Pipe(stage, _from_values, "from_values()")


def _from_values(values: Iterator[Any]) -> Generator[Any]:
    for value in values:
        if not isinstance(value, (Ok, Failed)):
            raise TypeError(f"from_values() takes flow.Ok and flow.Failed, as as_values() makes them, not {value!r}")
        yield value.unwrap()
