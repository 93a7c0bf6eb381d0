"""Cases of stages that keep time: ticks, delays, limits, the latest row, timeouts, batches and windows.

All seconds are units here, so that the cases run in real time, too. What reads its input in the background works ahead
of its reader, and each of the two keeps its own order.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import flow

from .cases import case
from .env import Env, short

NEVER = 99
"""Units that nobody waits for."""


def caught(rows: Any) -> Generator[Any]:
    """A failure as a row: its notes name stages, and those their seconds, which are others in real time."""
    try:
        yield from rows
    except ValueError as error:
        yield short(error)


@case("0, 1, 2 | end")
def timing_every(env: Env) -> Any:
    return flow.every(env.unit, first=2 * env.unit)[:3]


@case("0, 3, 5 | end")
def timing_every_of_a_late_reader(env: Env) -> Any:
    def late(rows: Any) -> Generator[Any]:
        for row in rows:
            yield row
            env.sleep(3.5 if row == 0 else 1.75)

    return (flow.every(env.unit) | late)[:3]


@case("1, 2, 3 | end", ahead=True)
def timing_delay(env: Env) -> Any:
    return flow.wrap(env.source("source", 1, 2, 3, delay=1)).delay(2.5 * env.unit) | env.through("below")


@case("1, 2, 'ValueError: source' | end", ahead=True)
def timing_delay_of_a_failure(env: Env) -> Any:
    source = flow.wrap(env.source("source", 1, 2, delay=1, fail=ValueError("source")))
    return source.delay(2.5 * env.unit) | caught


@case("1 | left", how="open", count=1, ahead=True)
def timing_delay_that_is_left(env: Env) -> Any:
    return flow.wrap(env.source("source", 1, 2, 3, 4, 5, delay=1, cleanup=1)).delay(2.5 * env.unit)


@case("1 | cancelled", how="cancel", cancelled_at=4.25, ahead=True)
def timing_delay_that_is_cancelled(env: Env) -> Any:
    return flow.wrap(env.source("source", 1, 2, 3, 4, 5, delay=1, cleanup=1)).delay(2.5 * env.unit)


@case("1, 2, 3, 4 | end")
def timing_rate_limit(env: Env) -> Any:
    return flow.wrap(env.source("source", 1, 2, 3, 4)).rate_limit(1, per=env.unit, burst=2) | env.through("below")


@case("1, 3, 4 | end")
def timing_rate_limit_that_drops(env: Env) -> Any:
    source = env.source("source", 1, 2, 3, delay=1.25)
    return flow.Merge(source, flow.wrap([4]).delay(start=9 * env.unit)).rate_limit(1, per=2 * env.unit, overflow="drop")


@case("2, 3 | end", ahead=True)
def timing_debounce(env: Env) -> Any:
    return flow.wrap([1, 2, env.cooperate(3), 3]).debounce(env.unit) | env.through("below")


@case("2, 4, 5 | end", ahead=True)
def timing_sample(env: Env) -> Any:
    return flow.wrap(env.source("source", 1, 2, 3, 4, 5, delay=1)).sample(2.5 * env.unit)


@case("1, 'late', 'late', 2 | end")
def timing_timeout_that_goes_on(env: Env) -> Any:
    source = flow.wrap([1, env.cooperate(5), 2])
    return source.timeout(item=2 * env.unit, on_late=lambda error: "late") | env.through("below")


@case("1, 'item' | end")
def timing_timeout(env: Env) -> Any:
    def told(rows: Any) -> Generator[Any]:
        try:
            yield from rows
        except flow.RowTimeoutError as error:
            env.note("told", error.which)
            yield error.which

    source = env.source("source", 1, 2, delay=0.5, cleanup=1)
    slow = flow.wrap(source) | slowly(env)
    return slow.timeout(item=2 * env.unit) | told


def slowly(env: Env) -> Any:
    def stage(rows: Any) -> Generator[Any]:
        for row in rows:
            if row == 2:
                env.sleep(NEVER)
            yield row

    return stage


@case("1 | cancelled", how="cancel", cancelled_at=3)
def timing_timeout_that_is_cancelled(env: Env) -> Any:
    source = flow.wrap(env.source("source", 1, 2, delay=2, cleanup=1))
    return source.timeout(item=5 * env.unit, total=NEVER * env.unit) | env.through("below")


@case("1, None, None, 2 | end")
def timing_keep_alive(env: Env) -> Any:
    return flow.wrap([1, env.cooperate(5), 2]).keep_alive(2 * env.unit, None) | env.through("below")


@case("1, 2 | end")
def timing_deadline(env: Env) -> Any:
    return flow.wrap(env.source("source", 1, 2, 3, delay=1, cleanup=1)).deadline(2.5 * env.unit) | env.through("below")


@case("(1, 2), (3,), (4, 5) | end")
def timing_batched_within(env: Env) -> Any:
    source = flow.wrap([1, 2, env.cooperate(1), 3, env.cooperate(5), 4, 5])
    return source.batched(2, within=2 * env.unit) | env.through("below")


@case("('aa', 'b'), ('cccc',) | end")
def timing_batched_by_weight(env: Env) -> Any:
    source = flow.wrap(env.source("source", "aa", "b", "cccc", delay=1))
    return source | flow.batched(9, weight=len, max_weight=3, within=9 * env.unit)


@case("(1, 2), 'ValueError: source' | end")
def timing_batched_before_a_failure(env: Env) -> Any:
    source = env.source("source", 1, 2, fail=ValueError("source"), cleanup=1)
    return flow.wrap(source).batched(9, within=9 * env.unit) | caught


@case(" | cancelled", how="cancel", cancelled_at=2.5)
def timing_batched_that_is_cancelled(env: Env) -> Any:
    source = flow.wrap(env.source("source", 1, 2, 3, delay=1, cleanup=1))
    return source.batched(9, within=9 * env.unit) | env.through("below")


@case("(1, 2), (3, 4), (5,) | end")
def timing_window_by_number(env: Env) -> Any:
    return flow.wrap(env.source("source", 1, 2, 3, 4, 5)).window(2)


@case("(1, 2), (3, 4), (5,) | end", ahead=True)
def timing_window_by_time(env: Env) -> Any:
    return flow.wrap(env.source("source", 1, 2, 3, 4, 5, delay=1)).window(seconds=2.5 * env.unit)


@case("(1, 2), (3,) | end", ahead=True)
def timing_window_by_gap(env: Env) -> Any:
    return flow.wrap([1, 2, env.cooperate(5), 3]).window(gap=2 * env.unit) | env.through("below")
