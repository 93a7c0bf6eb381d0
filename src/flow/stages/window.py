"""Windows: tuples of rows that belong together, by their number, by the clock, or because no gap lies between them.

A window by number is a plain generator over its input. One by time must know when each row came, so its input is read
in the background (`Arrivals`), also while the reader of the windows is busy: a slow reader gets its windows late, with
the very rows that it would have got in time.

What may live here: `window`. Neighbours and the like are itertools: ``rows | itertools.pairwise``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from functools import partial
from itertools import islice
from typing import TypeVar

from ..core.microthread import Strand, cooperate
from ..core.source import bound_of
from ..core.stage import Pipe, Stage
from .arrivals import Arrivals, Below, dropped, period_of

__all__ = ["window"]

T = TypeVar("T")

MOST = 100_000
"""Rows that windows by time and by gap hold, unless they are told otherwise."""


def window(
    stage: Stage[T],
    n: int | None = None,
    /,
    step: int | None = None,
    *,
    seconds: float | None = None,
    every: float | None = None,
    gap: float | None = None,
    most: int = MOST,
) -> Stage[tuple[T, ...]]:
    """Tuples of rows that belong together: ``window(n, step)``, ``window(seconds=, every=)`` or ``window(gap=)``.

    By number: `n` rows, then `n` rows from `step` rows further on (`n`, when it is left out: no row is in two windows;
    less: windows overlap; more: the rows between are left out). Rows at the end that were in no window make a last,
    shorter one. It holds `n` rows, and asks for none beyond its window.

    By time: the rows that came in `seconds`, one window `every` so many seconds (`seconds`, when it is left out), from
    when the first was asked for. It is handed on when its time is over; one without a row is ``()``. Windows that are
    over are not left out, however late the reader is. When it holds `most` rows the input is held back, until some of
    them belong to no window any more.

    By gap (*sessions*): the rows between which less than `gap` seconds lie. It is handed on when no row has come for
    `gap` seconds after its last one, or when it has `most` rows; it is never empty.

    Rows come in order. At the end of the input, and before its failure, windows that have rows are handed on at once.
    When the flow is left, rows that were in no window are dropped and counted. Raises TypeError or ValueError for what
    these can't be, and for a mixture of them.

        flow.wrap([1, 2, 3, 4, 5]).window(2)               # (1, 2), (3, 4), (5,)
        flow.wrap([1, 2, 3, 4]).window(3, step=1)          # (1, 2, 3), (2, 3, 4)
        flow.every(1)[:5].window(seconds=2.5)              # (0, 1, 2), (3, 4)
        clicks.map(lambda click: click[0]).window(gap=1)   # (1,), (2,)
    """
    bound_of(most, "window(most)")
    ways = [name for name, value in (("n", n), ("seconds", seconds), ("gap", gap)) if value is not None]
    if len(ways) != 1 or (step is not None and n is None) or (every is not None and seconds is None):
        raise TypeError(
            "window() takes one of these: window(n, step=...), by number; window(seconds=..., every=...), by time; "
            "window(gap=...), by the time without a row"
        )
    if n is not None:
        bound_of(n, "window(n): n")
        step = n if step is None else bound_of(step, "window(step)")
        return Pipe(stage, partial(_by_number, n, step), f"window({n}, step={step})")
    if gap is not None:
        period_of(gap, "window(gap)")
        return Below(stage, partial(_by_gap, gap, most), f"window(gap={gap:g})")
    assert seconds is not None
    period_of(seconds, "window(seconds)")
    every = seconds if every is None else period_of(every, "window(every)")
    return Below(stage, partial(_by_time, seconds, every, most), f"window(seconds={seconds:g}, every={every:g})")


def _by_number(n: int, step: int, rows: Iterator[T]) -> Generator[tuple[T, ...]]:
    held: deque[T] = deque(maxlen=n)
    kept = n - min(n, step)  # rows of a window that are in the next one, too
    missing = n
    while True:
        fresh: list[T] = []
        try:
            fresh.extend(islice(rows, missing))
        except Exception:
            if fresh:
                yield (*islice(held, n - kept if held else 0, None), *fresh)
            raise
        except BaseException:
            dropped(fresh)
            raise
        if len(fresh) < missing:
            if fresh:
                yield (*islice(held, n - kept if held else 0, None), *fresh)
            return
        held.extend(fresh)
        yield tuple(held)
        missing = n - kept
        if step > n and sum(1 for _ in islice(rows, step - n)) < step - n:
            return


def _by_time(seconds: float, every: float, most: int, strand: Strand, source: Stage[T]) -> Generator[tuple[T, ...]]:
    with Arrivals(strand, source, most) as held:
        start = held.time()
        number = 0
        while True:
            begin = start + number * every
            end = begin + seconds
            if held.time() >= end:
                # The reader was busy for longer than that. The loop may not have had a turn since the last window: a
                # script's runs while its flow waits, and only then.
                cooperate()
            while held.time() < end and not held.over:
                held.wait(end)
            if held.over and not held.some():
                return
            rows = tuple(row for came, row in held.rows if begin <= came < end)
            held.handed = end
            number += 1
            held.forget(start + number * every)
            if rows or held.time() >= end:
                yield rows


def _by_gap(gap: float, most: int, strand: Strand, source: Stage[T]) -> Generator[tuple[T, ...]]:
    with Arrivals(strand, source, most) as held:
        while held.some():
            count = 0
            last = held.rows[0][0]
            for came, _ in held.rows:
                if came - last >= gap:
                    break
                last = came
                count += 1
            if count < len(held.rows) or held.full or held.over or held.time() >= last + gap:
                yield tuple([held.take() for _ in range(count)])
            else:
                held.wait(last + gap)
