"""How functions of one row are to be called: the options of `map` and `flat_map`, and calls one after another.

What may live here: options, looked at and found right; what needs one strand and no more. Calls that go on side by side
are in `jobs.py`, who makes them in `workers.py`; inner sources that are read side by side in `spread.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Hashable, Iterator
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Generic, Literal, TypedDict, TypeVar

from ..core.microthread import sleep, wait
from ..core.record import Record
from ..core.scope import raise_first
from ..core.source import bound_of, is_an_executor
from ..core.stage import label_of
from .errors import Retry, retry_of
from .transform import called, is_async

if TYPE_CHECKING:
    from concurrent.futures import Executor

__all__ = [
    "MOST_FAILURES",
    "Coroutine",
    "Manner",
    "OnError",
    "Options",
    "left_out",
    "manner_of",
    "one_by_one",
    "policy_of",
]

T = TypeVar("T")

Coroutine: Any = CoroutineType  # as Any: compared with it, a value of unknown type stays one to type checkers

MOST_FAILURES = 1000
"""Failures that ``on_error="collect"`` keeps: with so many, it ends as "finish" does."""

OnError = Literal["cancel", "finish", "collect"]


class Options(TypedDict, Generic[T], total=False):
    """The options of `Map`, for type checkers."""

    concurrency: int
    ordered: bool
    ahead: int | None
    key: Callable[[T], Hashable | Awaitable[Hashable]] | None
    on: Executor | Literal["threads"] | None
    on_error: OnError
    on_row_error: Literal["raise", "skip"] | Callable[[T, Exception], object]
    retry: int | Retry | None


class Manner(Record):
    """How the calls of a stage are made: what `Map` was given, looked at and found right."""

    f: Callable[[Any], Any]
    name: str
    concurrency: int = 1
    ordered: bool = True
    ahead: int = 2
    key: Callable[[Any], Hashable] | None = None
    on: Executor | Literal["threads"] | None = None
    on_error: OnError = "cancel"
    spares: bool = False
    divert: Callable[[Any, Exception], Any] | None = None
    retry: Retry | None = None
    is_plain: bool = True  # one call after another, and nothing more
    is_alone: bool = True  # one call after another


def manner_of(
    f: Callable[[Any], Any],
    concurrency: int = 1,
    ordered: bool = True,
    ahead: int | None = None,
    key: Callable[[Any], Any] | None = None,
    on: Any = None,
    on_error: str = "cancel",
    on_row_error: Any = "raise",
    retry: Any = None,
) -> Manner:
    """The options of `Map`. Raises ValueError or TypeError for what they can't be, naming the option."""
    if not callable(f):
        raise TypeError(f"map needs a function of one row, not {type(f).__name__}")
    bound_of(concurrency, "map(concurrency)")
    if not isinstance(ordered, bool):
        raise TypeError(f"map(ordered) must be True or False, not {type(ordered).__name__}")
    alone = concurrency == 1 and ahead is None and on is None
    if ahead is None:
        ahead = 2 * concurrency
    elif bound_of(ahead, "map(ahead)") < concurrency:
        raise ValueError(
            f"map(ahead) must be at least the concurrency, {concurrency}, not {ahead}: rows in work are in hand, too"
        )
    if key is not None and not callable(key):
        raise TypeError(f"map(key) must be a function of one row, not {type(key).__name__}")
    if on is not None and on != "threads" and not is_an_executor(on):
        raise TypeError(
            "map(on) must be a concurrent.futures.Executor, or the word 'threads', not "
            + (repr(on) if isinstance(on, str) else type(on).__name__)
        )
    if on is not None and is_async(f):
        raise TypeError(
            f"map(on): {label_of(f)} is an async function, which waits on the loop and needs no executor: leave `on` "
            "out, or give a plain function"
        )
    divert = None
    if callable(on_row_error):
        divert = on_row_error
    elif on_row_error not in ("raise", "skip"):
        raise (ValueError if isinstance(on_row_error, str) else TypeError)(
            f"map(on_row_error) must be 'raise', 'skip' or a function of a row and its error, not {on_row_error!r}"
        )
    policy = None if retry is None else retry_of(retry, "map(retry)")
    return Manner(
        f=f,
        name=f"map({label_of(f)}{'' if concurrency == 1 else f', concurrency={concurrency}'})",
        concurrency=concurrency,
        ordered=ordered,
        ahead=ahead,
        key=key,
        on=on,
        on_error=policy_of(on_error, "map(on_error)"),
        spares=on_row_error != "raise",
        divert=divert,
        retry=policy,
        is_plain=alone and on_row_error == "raise" and policy is None and on_error != "collect",
        is_alone=alone,
    )


def policy_of(value: Any, name: str) -> OnError:
    """The word, when it is one that says what a failure ends. Raises ValueError for any other, naming the argument."""
    if value in ("cancel", "finish", "collect"):
        word: OnError = value
        return word
    raise ValueError(f"{name} must be 'cancel', 'finish' or 'collect', not {value!r}")


def one_by_one(how: Manner, rows: Iterator[Any]) -> Generator[Any]:
    """The calls one after another, on the strand that reads: what a concurrency of 1 is."""
    f = called(how.f, "map")
    failures: list[BaseException] = []
    try:
        for row in rows:
            try:
                made = _tried(how, f, row)
            except Exception as error:
                if how.spares:
                    left_out(how, row, error)
                elif how.on_error != "collect":
                    raise
                else:
                    failures.append(error)
                    if len(failures) >= MOST_FAILURES:
                        break
            else:
                yield made
    except GeneratorExit:
        raise
    except BaseException as error:
        if not failures:
            raise
        failures.append(error)
    if failures:
        raise_first(None, failures)


def _tried(how: Manner, f: Callable[[Any], Any], row: Any) -> Any:
    """What the call gives, at the last attempt."""
    attempt = 1
    while True:
        try:
            made = f(row)
            return wait(made) if type(made) is Coroutine else made
        except Exception as error:
            delay = None if how.retry is None else how.retry.delay_after(attempt, error)
            if delay is None:
                raise
        attempt += 1
        if delay:
            sleep(delay)


def left_out(how: Manner, row: Any, error: Exception) -> None:
    """A row whose call failed is left out: handed to `divert`, where there is one."""
    if how.divert is not None:
        made = how.divert(row, error)
        if type(made) is Coroutine:
            wait(made)
