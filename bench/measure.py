"""How a time is taken: contestants in pairs, in alternating order, their ratios, medians and spread.

A machine is noisy, and the noise lasts: two times that are taken minutes apart say little about each other, two that
follow each other say a lot. So each contestant is timed next to its workload's reference, in each round, and the ratio
of the two is what counts; the order within a pair changes from round to round. The median of the ratios is reported,
with the smallest and the largest.

What may live here: contestants, workloads, and their timing. It knows nothing of flow nor of any other library.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from inspect import iscoroutinefunction
from statistics import median
from time import perf_counter, process_time
from typing import Any

__all__ = ["CHECKED_ROWS", "Contestant", "Goal", "Measured", "Way", "Workload", "measure", "on_one_core"]

CHECKED_ROWS = 1003
"""Rows of the first, untimed trial, in which all contestants of a workload must give equal results."""


LENIENCY = 1.2 if sys.version_info < (3, 12) else 1.0
"""What goals are multiplied by on this Python. They are set for CPython 3.13; flow may cost more on 3.11."""


@dataclass(frozen=True)
class Goal:
    """The most that is good enough, and how to say it.

    `on_3_13` is a ratio to the reference; with `added`, seconds a row more than the reference. `words` has a place for
    one number: ``{ratio}``, ``{speed}`` (one divided by the ratio) or ``{microseconds}``.
    """

    on_3_13: float
    words: str
    rows: int = 0
    """The number of rows that the goal was set for; 0: any."""
    added: bool = False

    @property
    def most(self) -> float:
        """The most that is good enough on this Python."""
        return self.on_3_13 * LENIENCY

    @property
    def text(self) -> str:
        most = self.most
        return self.words.format(
            ratio=f"{most:.3g}", speed=f"{1 / most:.3g}", microseconds=f"{most * 1e6:.3g} microseconds"
        )

    def met_by(self, measured: Measured) -> bool | None:
        """None where there is nothing to compare with."""
        found = measured.added if self.added else measured.ratios
        return median(found) <= self.most if found else None


@dataclass(frozen=True)
class Contestant:
    """One way to do the work.

    `prepare(rows)` is not timed; it returns a function without arguments that does the work on so many rows and
    returns its result. A coroutine function is timed inside a running event loop, any other one outside of it.
    """

    name: str
    prepare: Callable[[int], Callable[[], Any]]
    share: float = 1.0
    """Part of the workload's rows that this one is given: less than 1 for a slow one. Times are compared per row."""
    goal: Goal | None = None
    missing: str = ""
    """What to say when it can't take part."""


@dataclass(frozen=True)
class Workload:
    """Contestants that do the same work. The first one is the reference."""

    name: str
    title: str
    contestants: Sequence[Contestant]
    share: float = 1.0
    """Part of ``--rows`` that is worked on; more than 1 where a row is cheap."""
    normal: Callable[[Any], Any] = lambda result: result
    """Makes results comparable where the order of rows is not part of them."""
    unit: str = "row"
    threads: bool = False
    """It needs more than one core: not pinned."""


@dataclass
class Measured:
    """What became of one contestant: seconds of each sample, and ratios per row to the reference's neighbouring one."""

    contestant: Contestant
    rows: int
    seconds: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    added: list[float] = field(default_factory=list)
    """Seconds per row more than the reference, pair by pair."""
    trouble: str = ""

    @property
    def per_row(self) -> float:
        """Median seconds per row."""
        return median(self.seconds) / self.rows

    @property
    def met(self) -> bool | None:
        """Was the goal met? None where there is no goal, or nothing to compare with."""
        goal = self.contestant.goal
        return None if goal is None else goal.met_by(self)


@contextmanager
def on_one_core(wanted: bool) -> Iterator[str]:
    """Keeps this process on one core while it measures, where the system can do that; says what it did."""
    if not wanted:
        yield "not pinned to a core"
        return
    if not hasattr(os, "sched_setaffinity"):
        yield "not pinned to a core (this system can't)"
        return
    allowed = os.sched_getaffinity(0)
    core = max(allowed)
    os.sched_setaffinity(0, {core})
    try:
        yield f"pinned to core {core}"
    finally:
        os.sched_setaffinity(0, allowed)


@dataclass(frozen=True)
class Way:
    """How to measure: the rows of the longest workloads, rounds, on one core or not, by wall or processor time."""

    rows: int
    rounds: int
    pin: bool = True
    processor: bool = False

    @property
    def clock(self) -> Callable[[], float]:
        return process_time if self.processor else perf_counter


def measure(workload: Workload, way: Way, progress: Callable[[str], object]) -> list[Measured]:
    """Checks that the contestants agree, then times them; what goes wrong is noted on the contestant, never raised."""
    rows = max(1, round(way.rows * workload.share))
    every = [Measured(each, max(1, round(rows * each.share)), trouble=each.missing) for each in workload.contestants]
    with asyncio.Runner() as runner:
        progress("checking")
        _check(workload, every, runner)
        reference = every[0] if not every[0].trouble else None
        jobs = {id(each): each.contestant.prepare(each.rows) for each in every if not each.trouble}
        with on_one_core(way.pin and not workload.threads):
            for number in range(way.rounds):
                progress(f"round {number + 1} of {way.rounds}")
                expected: dict[int, Any] = {}
                times: list[tuple[Measured, float]] = []
                for each in _order([each for each in every if not each.trouble], reference, number):
                    try:
                        seconds, result = _sample(jobs[id(each)], runner, way.clock)
                        result = workload.normal(result)
                    except Exception as error:
                        each.trouble = _failed(error)
                        continue
                    if expected.setdefault(each.rows, result) != result:
                        each.trouble = "gave another result than the rest"
                    each.seconds.append(seconds)
                    times.append((each, seconds / each.rows))
                if reference is not None and not reference.trouble:
                    _compare(times, reference)
    return every


def _check(workload: Workload, every: list[Measured], runner: asyncio.Runner) -> None:
    """One small, untimed trial of each: who raises or gives another result than the first one is out."""
    expected: list[Any] = []
    for each in every:
        if each.trouble:
            continue
        try:
            result = workload.normal(_sample(each.contestant.prepare(CHECKED_ROWS), runner, perf_counter)[1])
        except Exception as error:
            each.trouble = _failed(error)
            continue
        if not expected:
            expected.append(result)
        elif result != expected[0]:
            each.trouble = "gave another result than the reference"


def _failed(error: Exception) -> str:
    return f"failed: {type(error).__name__}: {error}"


def _order(ready: list[Measured], reference: Measured | None, number: int) -> list[Measured]:
    """A round's samples: the reference stands between each two of the others, so each has it as its neighbour.

    Odd rounds go backwards, so that each contestant runs before its reference as often as after it.
    """
    others = [each for each in ready if each is not reference]
    found: list[Measured] = []
    for place in range(0, len(others), 2):
        pair = others[place : place + 2]
        found += pair if reference is None else [pair[0], reference, *pair[1:]]
    if not others and reference is not None:
        found = [reference]
    return found[::-1] if number % 2 else found


def _sample(job: Callable[[], Any], runner: asyncio.Runner, clock: Callable[[], float]) -> tuple[float, Any]:
    gc.collect()  # so that nobody pays for the garbage of the one before; the collector stays on while timing
    if iscoroutinefunction(job):
        return runner.run(_timed(job, clock))
    start = clock()
    result = job()
    return clock() - start, result


async def _timed(job: Callable[[], Any], clock: Callable[[], float]) -> tuple[float, Any]:
    start = clock()
    result = await job()
    return clock() - start, result


def _compare(times: list[tuple[Measured, float]], reference: Measured) -> None:
    """Each contestant with the reference's sample beside it."""
    for place, (each, per_row) in enumerate(times):
        if each is reference:
            continue
        beside = [
            seconds for other, seconds in times[max(0, place - 1) : place + 2] if other is reference
        ]  # one, or two where it stands between them
        if not beside:
            continue
        other = sum(beside) / len(beside)
        each.ratios.append(per_row / other)
        each.added.append(per_row - other)
