"""Errors, hooks, the valve, and runs that are stopped."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any

import flow

from .cases import case
from .env import Env

# --------------------------------------------------------------------------------------------------------------------
# Errors


@case("1, 2, ValueError('source fails') | end")
def trap_after_rows(env: Env) -> Any:
    return flow.wrap(env.source("source", 1, 2, delay=1, cleanup=1, fail=ValueError("source fails"))).trap(ValueError)


@case("1 | ValueError: source fails")
def trap_of_another_kind(env: Env) -> Any:
    return flow.wrap(env.source("source", 1, cleanup=1, fail=ValueError("source fails"))).trap(KeyError)


@case("1, 2, 3, 4 | end")
def recover_by_another_source(env: Env) -> Any:
    first = env.source("first", 1, 2, delay=1, cleanup=1, fail=ValueError("first fails"))
    return flow.wrap(first).recover(lambda error: env.source("second", 3, 4, delay=1, cleanup=1))


@case("1, 'source fails' | end")
def recover_by_an_async_function(env: Env) -> Any:
    async def answer(error: Exception) -> list[str]:
        await env.pause(1)
        return [str(error)]

    return flow.wrap(env.source("source", 1, cleanup=1, fail=ValueError("source fails"))).recover(answer)


@case("1 | KeyError: 'second fails'")
def recover_that_fails(env: Env) -> Any:
    second = env.source("second", fail=KeyError("second fails"), cleanup=1)
    return flow.wrap(env.source("first", 1, fail=ValueError("first fails"))).recover(lambda error: second)


@case("0, 0, 1, 2 | end")
def retry_from_the_start(env: Env) -> Any:
    return flow.wrap(flaky(env, 1, 0)).retry(flow.Retry(3, backoff=lambda n: 2 * n * env.unit))


@case("0, 1, 2 | end")
def retry_that_resumes(env: Env) -> Any:
    source = flow.wrap(flaky(env, 1, 1))
    return source.retry(flow.Retry(3, backoff=env.unit), resume=lambda last, count: source[count:])


@case("0, 0 | ConnectionError: attempt 2")
def retry_that_gives_up(env: Env) -> Any:
    def backoff(attempt: int) -> float:
        return attempt * env.unit

    return flow.wrap(flaky(env, 1, 1)).retry(flow.Retry(2, backoff))


@case("1 | AlreadyReadError: ")
def retry_of_what_can_be_read_once(env: Env) -> Any:
    def rows() -> Iterator[int]:
        yield 1
        raise ValueError("first")

    return flow.wrap(rows()).retry(flow.Retry(2, backoff=0))


@case("0 | cancelled", "cancel", cancelled_at=5)
def retry_cancelled_between_two_attempts(env: Env) -> Any:
    return flow.wrap(flaky(env, 1, 1)).retry(flow.Retry(math.inf, backoff=100 * env.unit))


@case("Ok(value=1), Failed(error=ValueError('source fails')) | end")
def errors_as_values(env: Env) -> Any:
    return flow.wrap(env.source("source", 1, delay=1, cleanup=1, fail=ValueError("source fails"))).as_values()


@case("1, 2 | ValueError: source fails")
def errors_as_values_and_back(env: Env) -> Any:
    source = env.source("source", 1, 2, delay=1, cleanup=1, fail=ValueError("source fails"))
    return flow.wrap(source).as_values().from_values()


# --------------------------------------------------------------------------------------------------------------------
# Hooks


def hooked(env: Env, stage: flow.Stage[Any]) -> flow.Stage[Any]:
    async def finally_() -> None:
        await env.pause(1)
        env.note("finally")

    return (
        stage.on_start(lambda: env.note("start"))
        .on_row(lambda row: env.note("each", repr(row)))
        .on_end(lambda error: env.note("ended", str(error)))
        .finally_(finally_)
    )


@case("1, 2 | end")
def hooks_at_the_end(env: Env) -> Any:
    return hooked(env, flow.wrap(env.source("source", 1, 2, delay=1, cleanup=1)))


@case("1 | ValueError: source fails")
def hooks_at_a_failure(env: Env) -> Any:
    return hooked(env, flow.wrap(env.source("source", 1, delay=1, cleanup=1, fail=ValueError("source fails"))))


@case("1 | left", "open", count=1)
def hooks_at_an_early_leave(env: Env) -> Any:
    return hooked(env, flow.wrap(env.source("source", 1, 2, delay=1, cleanup=1)))


@case("1 | cancelled", "cancel", cancelled_at=1.5)
def hooks_at_a_cancel(env: Env) -> Any:
    return hooked(env, flow.wrap(env.source("source", 1, 2, delay=1, cleanup=1)))


@case("1 | ExceptionGroup[ValueError: source fails, KeyError: 'hook']")
def a_hook_that_fails_after_a_failure(env: Env) -> Any:
    def hook() -> None:
        raise KeyError("hook")

    return flow.wrap(env.source("source", 1, fail=ValueError("source fails"))).finally_(hook)


@case("0, 1, 2 | end")
def a_valve(env: Env) -> Any:
    valve = flow.Valve()

    def timed(rows: Iterable[Any]) -> Iterator[Any]:
        flow.wait(env.later(1.5, valve.close))
        flow.wait(env.later(5, valve.open))
        yield from rows

    return flow.wrap(env.source("source", 0, 1, 2, delay=1)).through(valve) | timed


# --------------------------------------------------------------------------------------------------------------------
# Runs that are stopped


def stopped(env: Env, at: float) -> Callable[[Iterable[Any]], Iterator[Any]]:
    def stage(rows: Iterable[Any]) -> Iterator[Any]:
        flow.wait(env.later(at, lambda: env.run.stop()))
        yield from rows

    return stage


@case("0, 1 | end", "handle")
def stop_at_the_wait_of_a_source(env: Env) -> Any:
    return flow.wrap(env.source("source", *range(9), delay=1, cleanup=1)) | stopped(env, 2.5)


@case("(0, 1, 2), (3,) | end", "handle")
def stop_with_a_row_in_flight(env: Env) -> Any:
    def slowly(rows: Iterable[Any]) -> Iterator[Any]:
        for row in rows:
            env.sleep(1)
            yield row

    return (flow.wrap(env.source("source", *range(9), delay=1)) | slowly).batched(3) | stopped(env, 7.5)


@case("0, 'a', 1, 'b', 2 | end", "handle", siblings=True)
def stop_of_several_inputs(env: Env) -> Any:
    numbers = env.source("numbers", *range(9), delay=1, cleanup=1)
    letters = env.source("letters", *"abcdefghi", delay=1.2, cleanup=1)
    return flow.Merge(numbers, letters) | stopped(env, 3.2)


@case("0, 1 | end", "handle", ahead=True)
def stop_of_an_async_source(env: Env) -> Any:
    async def source() -> AsyncIterator[int]:
        env.note("source", "opened")
        try:
            for row in range(9):
                await env.pause(1)
                yield row
        finally:
            env.note("source", "closed")

    return flow.wrap(source) | stopped(env, 2.5)


@case("'awaited' | end", "handle")
def stop_of_what_a_source_awaits(env: Env) -> Any:
    async def slow() -> None:
        try:
            await env.pause(100)
        finally:
            env.note("the task", "ended")

    def source() -> Iterator[Any]:
        yield "awaited"
        try:
            flow.wait(slow())
        finally:
            env.note("source", "ended")

    return flow.wrap(source) | stopped(env, 2)


@case("1, 2, 3 | end", "handle")
def stop_of_a_callback(env: Env) -> Any:
    rows = flow.Callback[int](pause=lambda: env.note("pause"))
    for row in (1, 2, 3):
        rows.result(row)
    return rows.map(lambda row: (env.sleep(1), row)[1]) | stopped(env, 0.5)


@case("10, 11, 12 | end", "handle")
def stop_while_a_stage_reads_a_source_for_a_row(env: Env) -> Any:
    outer = flow.wrap(env.source("outer", 10, 20, delay=1))
    inner = outer.flat_map(lambda row: env.source(f"inner {row}", row, row + 1, row + 2, delay=1))
    return inner | stopped(env, 2.5)


@case("0, 1 | ValueError: cleanup", "handle")
def stop_with_a_cleanup_that_fails(env: Env) -> Any:
    def source() -> Iterator[int]:
        try:
            for row in range(9):
                env.sleep(1)
                yield row
        finally:
            raise ValueError("cleanup")

    return flow.wrap(source) | stopped(env, 2.5)


@case("1, 2, 3 | end", "drain", count=1)
def drain_in_time(env: Env) -> Any:
    rows = flow.Callback[int]()
    for row in (1, 2, 3):
        rows.result(row)
    return rows


@case("1, 2 | end", "drain", count=1)
def drain_that_is_late(env: Env) -> Any:
    rows = flow.Callback[int]()
    for row in (1, 2, 3, 4, 5):
        rows.result(row)
    return rows.map(lambda row: (env.sleep(0.75), row)[1])


def flaky(env: Env, *fails_after: int) -> Callable[[], Iterator[int]]:
    """A source that fails after so many rows, each time that it is opened."""
    attempts = iter(enumerate(fails_after, 1))

    def source() -> Iterator[int]:
        attempt, fails = next(attempts, (0, math.inf))
        env.note("source", "opened")
        try:
            for row in range(3):
                env.sleep(1)
                if row == fails:
                    raise ConnectionError(f"attempt {attempt}")
                yield row
        finally:
            env.sleep(1)
            env.note("source", "closed")

    return source
