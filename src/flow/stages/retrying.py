"""A whole source that is tried again: closed after a failure, and opened anew.

What may live here: reading a source in several attempts. How often, and after which errors, says a `Retry`, which is in
`errors.py`; trying one call again is the business of `calls.py`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import Any, NoReturn, TypeVar

from ..core.microthread import Strand, sleep
from ..core.run import MOST_NOTES
from ..core.scope import Scope, raise_first
from ..core.source import Opener, Source
from ..core.stage import Stage
from ..core.wrap import stage_of
from ..errors import AlreadyReadError
from .errors import Retry, function_of, retry_of

__all__ = ["retry"]

T = TypeVar("T")


def retry(stage: Stage[T], attempts: Retry | float, *, resume: Callable[[T, int], Any] | None = None) -> Stage[T]:
    """The rows; after a failure, all that is above is closed, and opened again.

    `attempts` is a `Retry`, or how often it is tried in all, with a second between two attempts.

    Without `resume` the rows come *again from the start*: those that were delivered are repeated. With it,
    ``resume(last, count)`` (it may be async) gives what comes after the row `last`, of `count` that were delivered:
    anything that `flow.wrap` takes, which is read in place of the source. For a query by id that is ``lambda last,
    count: orders(after=last.id)``, for a paged interface ``lambda last, count: pages(first=last.page + 1)``, and for a
    source whose rows are the same each time ``lambda last, count: source[count:]``. Where no row was delivered yet, the
    source itself is opened again. With `resume`, attempts are counted from the latest row on: with each row it got on.

    A cancel is never tried again, nor a closing that fails when all rows have come. When no attempt is left, or the
    error is not one to try again after, that last error is raised, with a note that tells of up to 5 earlier ones. A
    source that can be read only once fails with an AlreadyReadError, whose cause is the first failure. Holds the last
    row. When the run is stopped, nothing is opened again. Raises TypeError or ValueError at once for what `attempts`
    and `resume` can't be.

        rows.retry(3, resume=lambda last, count: rows[count:])    # 1, 2, 3
    """
    return _Retried(stage, retry_of(attempts, "retry(attempts)"), resume)


class _Retried(Opener[T]):
    """A stage that opens all that is above it again after a failure."""

    __slots__ = ("_policy", "_resume")

    def __init__(self, source: Stage[T], policy: Retry, resume: Callable[[T, int], Any] | None) -> None:
        self._source = source
        self._policy = policy
        self._resume = None if resume is None else function_of("the last row and a count", resume, "retry(resume=...)")

    @property
    def short_label(self) -> str:
        return f"retry({self._policy.label})"

    def rows(self, upstream: Any, scope: Scope) -> Iterator[T]:
        return self._rows(scope.strand)

    def _rows(self, strand: Strand) -> Generator[T]:
        stage: Stage[T] = self._source
        resume = self._resume
        earlier = _Earlier()
        attempt = count = 0
        last: Any = None
        while True:
            attempt += 1
            scope = Scope(strand)
            try:
                if count and resume is not None and attempt > 1:
                    stage = stage_of(resume(last, count))
                for last in stage.open_in(scope):
                    count += 1
                    if resume is not None:
                        attempt = 1  # it got on: what fails from here on is another failure
                    yield last
            except Exception as error:
                delay = self._delay(error, attempt, scope, earlier)
            except BaseException as error:
                scope.__exit__(type(error), error, None)
                raise
            else:
                scope.close()
                return
            # A source that only waits: when the run is stopped, that is over at once.
            for _ in Source[Any](partial(_pause, delay), "the pause of retry()").open_in(scope):
                pass
            if strand.owner.stopped:
                return

    def _delay(self, error: Exception, attempt: int, scope: Scope, earlier: _Earlier) -> float:
        """Closes what failed; gives the seconds to wait before the next attempt, or raises what the rows end with."""
        if isinstance(error, AlreadyReadError) and earlier.first is not None:
            error.add_note("flow: retry() opens the whole source again after a failure, and this one can't be opened")
            error.__cause__ = earlier.first
            scope.__exit__(type(error), error, None)
            raise error
        failures = [error]
        try:
            scope.close()
        except Exception as failure:
            failures.append(failure)
        delays = [self._policy.delay_after(attempt, each) for each in failures]
        delay = delays[0]
        if delay is None or None in delays:
            earlier.tell(error, attempt)
            raise_first(None, list(failures))
        assert delay is not None
        earlier.add(attempt, error)
        return delay


def _pause(seconds: float, scope: Scope) -> Generator[NoReturn]:
    sleep(seconds)
    yield from ()


TOLD = 5
"""Earlier failures that a note on the last one tells of."""


class _Earlier:
    """The failures after which it was tried again, as far as the last one tells of them: no more are held."""

    def __init__(self) -> None:
        self.first: Exception | None = None
        self._count = 0
        self._told: deque[str] = deque(maxlen=TOLD)

    def add(self, attempt: int, error: Exception) -> None:
        self.first = self.first or error
        self._count += 1
        text = f"{type(error).__name__}: {error}"
        self._told.append(text if len(text) <= 200 else f"{text[:197]}...")

    def tell(self, error: Exception, attempt: int) -> None:
        if self._count and len(getattr(error, "__notes__", ())) < MOST_NOTES:
            before = "; ".join(self._told)
            more = f"; the last {TOLD} of them" if self._count > TOLD else ""
            error.add_note(f"flow: retry() gave up; it had failed {self._count} times before{more}: {before}")
