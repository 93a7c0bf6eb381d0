"""Stages that keep time: ticks, delays, limits of speed, the latest row, and what happens when nothing comes.

All times are seconds of the loop's own clock, counted from when the first row was asked for. None of these stages
polls: each holds one timer while it waits, and none while it doesn't. How they read their input is in `arrivals.py`:
`delay`, `debounce` and `sample` read it in the background, because they must know when each row came; the others ask
it when they are asked.

What may live here: stages of one input whose rows stay what they are. Batches are in `batch.py`, windows in
`window.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator
from functools import partial
from types import CoroutineType
from typing import Any, Literal, TypeVar

from ..core.instruction import TURN
from ..core.microthread import Strand, current, sleep, wait
from ..core.scope import Scope
from ..core.source import Source, bound_of, sliced_fairly
from ..core.stage import Pipe, Stage, label_of
from ..errors import RowTimeoutError
from .arrivals import Arrivals, Below, OneBranch, duration_of, period_of
from .transform import called

__all__ = ["deadline", "debounce", "delay", "every", "keep_alive", "rate_limit", "sample", "timeout"]

T = TypeVar("T")
U = TypeVar("U")

_Coroutine: Any = CoroutineType

NANOSECOND = 1e-9
"""Less than this nobody waits: sums of seconds are not exact, and no loop's timers are."""


# --------------------------------------------------------------------------------------------------------------------
# A source


def every(seconds: float, first: float = 0, *, on_late: Literal["skip", "catch_up"] = "skip") -> Stage[int]:
    """Ticks: 0, 1, 2, ..., one every `seconds`, the first one `first` seconds after it was asked for.

    Tick n is due at ``first + n * seconds``: there is no drift, however late the reader is. A tick that is due when the
    reader asks comes at once. Where several are due, they are not piled up: the latest one comes, and its number tells
    that others were left out; ``on_late="catch_up"`` gives them all, without a wait between them. It holds nothing and
    has no end: cut it with ``[:10]`` or ``.deadline(60)``. Raises TypeError or ValueError for seconds that can't be
    repeated.

        flow.every(60)[:3]                                 # 0, 1, 2
        flow.every(60).deadline(150).map(str)              # '0', '1', '2'
    """
    period_of(seconds, "every(seconds)")
    duration_of(first, "every(first)")
    _policy(on_late, ("skip", "catch_up"), "every(on_late)")
    ticks = partial(_ticks, seconds, first, on_late == "skip")
    # It need not wait while the reader is late, so it gives the loop its turns as any ready source does.
    return Source(lambda scope: sliced_fairly(ticks(scope), scope), f"every({seconds:g})")


def _ticks(seconds: float, first: float, skip: bool, scope: Scope) -> Generator[int]:
    time = scope.strand.loop.time
    start = time() + first
    number = 0
    while True:
        left = start + number * seconds - time()
        if left > 0:
            sleep(left)
        elif skip:
            number += int(-left // seconds)
        yield number
        number += 1


def _policy(value: str, words: tuple[str, ...], name: str) -> None:
    if value not in words:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, words))}, not {value!r}")


# --------------------------------------------------------------------------------------------------------------------
# Later, and slower


def delay(stage: Stage[T], seconds: float | Callable[[T], Any] = 0, *, start: float = 0, limit: int = 1000) -> Stage[T]:
    """The same rows, in order, each `seconds` later than it came. With `start`, the input is asked that much later.

    `seconds` may be a function of a row (sync or async), called when the row is the next one; no row overtakes another.
    The waits of several rows overlap: the input is read in the background, while the reader is busy, too, and at most
    `limit` rows are held; then it is held back. A failure of the input comes right after the last row, as the end does.
    Rows that are held when the flow is left are dropped and counted. With `start` alone it holds nothing. Raises
    TypeError or ValueError for what these can't be, and when there is nothing to wait for.

        flow.wrap(["a", "b"]).delay(60)                    # 'a', 'b'
        flow.every(1).delay(start=30)[:2]                  # 0, 1
    """
    bound_of(limit, "delay(limit)")
    if duration_of(start, "delay(start)"):
        stage = Pipe(stage, partial(_started_late, start), f"delay(start={start:g})")
    if callable(seconds):
        return Below(stage, partial(_delayed, called(seconds, "delay"), limit), f"delay({label_of(seconds)})")
    if duration_of(seconds, "delay(seconds)"):
        return Below(stage, partial(_delayed, lambda row: seconds, limit), f"delay({seconds:g})")
    if not start:
        raise ValueError("delay(seconds) must be more than 0 seconds, or delay(start=...)")
    return stage


def _started_late(start: float, rows: Iterator[T]) -> Generator[T]:
    sleep(start)
    yield from rows


def _delayed(pause: Callable[[T], Any], limit: int, strand: Strand, source: Stage[T]) -> Generator[T]:
    with Arrivals(strand, source, limit) as held:
        while held.some():
            came, row = held.rows[0]
            due = came + duration_of(_result(pause(row)), "delay(f): what f(row) gives")
            while held.time() < due:
                held.wait(due)
            yield held.take()


def rate_limit(
    stage: Stage[T],
    rate: float,
    per: float = 1.0,
    *,
    burst: float = 1,
    cost: Callable[[T], Any] | None = None,
    overflow: Literal["wait", "drop"] = "wait",
) -> Stage[T]:
    """The same rows, at most `rate` of them `per` seconds: a token bucket that holds `burst` tokens, and begins full.

    A row takes one token, or ``cost(row)`` of them (`cost` may be async), and waits until they are there. With a burst
    of 1 rows are at least ``per / rate`` seconds apart. ``overflow="drop"`` leaves out the rows that would have to wait
    (a throttle: the first row of each period). It holds one row while that waits; if the flow is left meanwhile, the
    row is dropped and counted. The input is asked when the row before is taken. Raises ValueError when a row costs more
    than the bucket ever holds, or no number of tokens; TypeError or ValueError at once for what the others can't be.

        flow.wrap("abc" for _ in range(3)).rate_limit(10)  # 'abc', 'abc', 'abc'
        flow.wrap([1, 2, 3]).rate_limit(1, per=60, overflow="drop")    # 1
    """
    _number(rate, "rate_limit(rate)")
    period_of(per, "rate_limit(per)")
    if _number(burst, "rate_limit(burst)") < 1 and cost is None:
        raise ValueError(f"rate_limit(burst) must be at least 1, which is what a row costs, not {burst!r}")
    _policy(overflow, ("wait", "drop"), "rate_limit(overflow)")
    priced = None if cost is None else called(cost, "rate_limit(cost)")
    limited: Any = partial(_limited, rate, per, burst, priced, overflow == "drop")
    return Pipe(stage, limited, f"rate_limit({rate:g}, per={per:g}, burst={burst:g})")


def _limited(
    rate: float, per: float, burst: float, priced: Callable[[T], Any] | None, drop: bool, rows: Iterator[T]
) -> Generator[T]:
    strand = current()
    assert strand is not None
    time = strand.loop.time
    full = time()  # when the bucket was last full, and what was taken since then
    taken: float = 0
    for row in rows:
        price = 1 if priced is None else _price(_result(priced(row)), burst)
        left = full + (taken + price - burst) * per / rate - time()
        if left > NANOSECOND:
            if drop:
                continue
            try:
                sleep(left)
            except BaseException:
                strand.owner.drop([row])
                raise
        now = time()
        if now > full + taken * per / rate:  # it has been full since then, and took no more
            full, taken = now, 0
        taken += price
        yield row


def _number(value: float, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number, not {type(value).__name__}")
    if not 0 < value < math.inf:
        raise ValueError(f"{name} must be a number of more than 0 that ends, not {value!r}")
    return value


def _price(price: Any, burst: float) -> float:
    if isinstance(price, bool) or not isinstance(price, (int, float)) or not 0 <= price < math.inf:
        raise ValueError(f"rate_limit(cost): what cost(row) gives must be a number of tokens, 0 or more, not {price!r}")
    if price > burst:
        raise ValueError(
            f"rate_limit(cost): a row costs {price:g} tokens, and the bucket never holds more than burst={burst:g}: it "
            "would wait for ever. Give a larger burst, or let cost give at most that."
        )
    return price


# --------------------------------------------------------------------------------------------------------------------
# The latest row


def debounce(stage: Stage[T], seconds: float) -> Stage[T]:
    """A row when none has come for `seconds` after it: the last one of each burst.

    The input is read in the background, while the reader is busy, too. It holds two rows, the latest and the last of
    the burst before: of more that had their quiet while the reader was busy, the oldest make way. At the end of the
    input, and before its failure, the last row comes at once. Rows that are held when the flow is left are dropped and
    counted; those that others took the place of are not. Raises TypeError or ValueError for seconds that it can't wait.

        flow.wrap(["f", "fl", flow.Cooperate(2), "flow"]).debounce(1)  # 'fl', 'flow'
    """
    period_of(seconds, "debounce(seconds)")
    return Below(stage, partial(_debounced, seconds), f"debounce({seconds:g})")


def _debounced(seconds: float, strand: Strand, source: Stage[T]) -> Generator[T]:
    with Arrivals(strand, source, apart=lambda then, now: now >= then + seconds) as held:
        while held.some():
            due = held.rows[0][0] + seconds
            if held.time() >= due or held.over or len(held.rows) > 1:
                yield held.take()
            else:
                held.wait(due)


def sample(stage: Stage[T], seconds: float) -> Stage[T]:
    """The latest row of each period of `seconds`, at the end of the period; nothing for a period without a row.

    Periods are counted from when the first row was asked for; a row that comes when one ends belongs to the next. The
    input is read in the background, while the reader is busy, too. It holds two rows, the latest and that of the period
    before: of more periods that end while the reader is busy, the oldest make way. At the end of the input, and before
    its failure, the last row comes at once. Rows that are held when the flow is left are dropped and counted; those
    that others took the place of are not. Raises TypeError or ValueError for seconds that are no period.

        flow.every(1)[:7].sample(2.5)                      # 2, 4, 6
    """
    period_of(seconds, "sample(seconds)")
    return Below(stage, partial(_sampled, seconds), f"sample({seconds:g})")


def _sampled(seconds: float, strand: Strand, source: Stage[T]) -> Generator[T]:
    start = strand.loop.time()

    def end_of(came: float) -> float:
        return start + ((came - start) // seconds + 1) * seconds

    with Arrivals(strand, source, apart=lambda then, now: now >= end_of(then)) as held:
        while held.some():
            end = end_of(held.rows[0][0])
            while held.time() < end and not held.over and len(held.rows) < 2:
                held.wait(end)
            yield held.take()


# --------------------------------------------------------------------------------------------------------------------
# When nothing comes


def timeout(
    stage: Stage[T],
    *,
    item: float | None = None,
    first: float | None = None,
    idle: float | None = None,
    total: float | None = None,
    on_late: Callable[[RowTimeoutError], Any] | None = None,
) -> Stage[Any]:
    """The same rows; a RowTimeoutError, which names the limit, when one does not come in time. All limits are seconds.

    `item`: from when the reader asks to the row; the reader's own time does not count. `idle`: between two rows that
    are handed on, the reader's time included; a row that is there by then is in time. It is for inputs that go on by
    themselves (a connection, a Callback, a buffer): one that works when it is asked has done nothing meanwhile.
    `first`: in place of both, until the first row is there. `total`: from the first asking to the end.

    A late row ends the run: its input is cancelled, and closed before the error is raised, because a generator that has
    raised can't go on. What is to go on does not raise: with `on_late`, ``on_late(error)`` (sync or async) gives a row
    in place of the error (``lambda error: error`` makes it a row itself), and the wait for the very same input row goes
    on, nothing lost; the time counts anew. When it raises, that ends the run. `total` is an end, and always raises.

    It holds nothing, and asks when it is asked. Raises TypeError or ValueError at once for what these can't be, and
    where no limit is given.

        slow = flow.wrap([1, flow.Cooperate(5), 2])
        slow.timeout(item=2, on_late=lambda error: error.which)    # 1, 'item', 'item', 2
        slow.timeout(total=60, idle=10)                    # 1, 2
    """
    limits = {"item": item, "first": first, "idle": idle, "total": total}
    given = {name: period_of(value, f"timeout({name})") for name, value in limits.items() if value is not None}
    if not given:
        raise TypeError("timeout() needs a limit: item=, first=, idle= or total=, in seconds")
    answer = None if on_late is None else called(on_late, "timeout(on_late)")
    name = f"timeout({', '.join(f'{name}={value:g}' for name, value in given.items())})"
    return Below(stage, partial(_in_time, given, answer), name)


def _in_time(
    limits: dict[str, float], answer: Callable[[RowTimeoutError], Any] | None, strand: Strand, source: Stage[Any]
) -> Generator[Any]:
    time = strand.loop.time
    item, idle, first = (limits.get(name, math.inf) for name in ("item", "idle", "first"))
    handed = time()
    end = handed + limits.get("total", math.inf)
    awaited = "first" in limits
    with OneBranch(strand, source) as beside:
        branch = beside.branch
        while True:
            if end < math.inf and time() >= end:  # a source that always has a row comes to its end, too
                raise RowTimeoutError("total", limits["total"])
            if not beside.ready():
                now = time()
                until, which = (now + first, "first") if awaited else min((now + item, "item"), (handed + idle, "idle"))
                if not _comes(beside, now, min(end, until)):
                    if until >= end:
                        raise RowTimeoutError("total", limits["total"])
                    error = RowTimeoutError(which, limits[which])
                    if answer is None:
                        raise error
                    row = _result(answer(error))  # and the branch goes on with the row that it is at
                    handed = time()
                    yield row
                    continue
            if branch.over:
                return
            awaited = False
            row = beside.take()
            if idle < math.inf:
                handed = time()
            yield row


def _comes(beside: OneBranch, now: float, until: float) -> bool:
    """Has the input a row, or its end, in time?"""
    if until <= now:
        # The reader was busy for longer than that. A row that is there is in time, and the loop may not have had a turn
        # in which it could have come: a script's runs while its flow waits, and only then.
        wait(TURN)
    return beside.come(until)


def _result(made: Any) -> Any:
    return wait(made) if type(made) is _Coroutine else made


def keep_alive(stage: Stage[T], idle: float, row: Any) -> Stage[Any]:
    """The same rows, and `row` whenever none was handed on for `idle` seconds: a heartbeat, a line that stays open.

    When `row` can be called, ``row()`` is what comes (sync or async), anew each time. The wait for the next row of the
    input goes on meanwhile. The reader's own time counts: one that was busy for so long is given `row` at once, unless
    the input has one by then. It holds nothing, asks when it is asked, and ends with its input. Raises TypeError or
    ValueError for seconds that it can't wait.

        flow.wrap([1, flow.Cooperate(5), 2]).keep_alive(2, "-")    # 1, '-', '-', 2
    """
    period_of(idle, "keep_alive(idle)")
    made = row if callable(row) else lambda: row
    return Below(stage, partial(_kept_alive, idle, made), f"keep_alive({idle:g})")


def _kept_alive(idle: float, made: Callable[[], Any], strand: Strand, source: Stage[Any]) -> Generator[Any]:
    time = strand.loop.time
    handed = time()
    with OneBranch(strand, source) as beside:
        branch = beside.branch
        while True:
            if not beside.ready() and not _comes(beside, time(), handed + idle):
                row = _result(made())
            elif branch.over:
                return
            else:
                row = beside.take()
            handed = time()
            yield row


def deadline(stage: Stage[T], seconds: float) -> Stage[T]:
    """The rows that come within `seconds` of the first asking; then the end, as if the input had ended. No error.

    The input is cancelled where it waits, and closed, before the end is told. A source that always has a row is ended,
    too. It holds nothing, and asks when it is asked: the time goes on while the reader is busy. To raise an error
    instead, write ``rows.timeout(total=seconds)``. Raises TypeError or ValueError for seconds that it can't wait.

        flow.every(1).deadline(2.5)                        # 0, 1, 2
    """
    duration_of(seconds, "deadline(seconds)")
    return Below(stage, partial(_until, seconds), f"deadline({seconds:g})")


def _until(seconds: float, strand: Strand, source: Stage[T]) -> Generator[T]:
    time = strand.loop.time
    end = time() + seconds
    with OneBranch(strand, source) as beside:
        branch = beside.branch
        while time() < end and (beside.ready() or beside.come(end)) and not branch.over:
            row: T = beside.take()
            yield row
