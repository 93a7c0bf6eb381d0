"""Concurrent calls: `map(f, concurrency=n)` and `flat_map(f, concurrency=n)`.

Each call tells of its begin and its end. Calls work beside the reader and beside each other, so each is a track of its
own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flow

from .cases import case
from .env import Env, is_cancel


def task(env: Env, units: Callable[[Any], float], fails: Any = None) -> Callable[[Any], Any]:
    """An async function that waits for what is the loop's own. (Its cleanups can't wait in the same way on each.)"""

    async def call(row: Any) -> Any:
        name = f"call {row}"
        env.note(name, "opened")
        try:
            await env.pause(units(row))
            if row == fails:
                raise ValueError(f"{row} fails")
            return -row
        except BaseException as error:
            env.note(name, "saw", "a cancel" if is_cancel(error) else type(error).__name__)
            raise
        finally:
            env.note(name, "closed")

    return call


def thread(env: Env, units: Callable[[Any], float], fails: Any = None, cleanup: float = 0) -> Callable[[Any], Any]:
    """A function that waits on its micro-thread."""

    def call(row: Any) -> Any:
        name = f"call {row}"
        env.note(name, "opened")
        try:
            env.sleep(units(row))
            if row == fails:
                raise ValueError(f"{row} fails")
            return -row
        except BaseException as error:
            env.saw(name, error)
            raise
        finally:
            if cleanup:
                env.sleep(cleanup)
            env.note(name, "closed")

    return call


def slow_head(row: int) -> float:
    return 5 if row == 1 else 1


# --------------------------------------------------------------------------------------------------------------------
# map


@case("-1, -2, -3, -4, -5 | end", siblings=True)
def calls_of_tasks(env: Env) -> Any:
    return flow.wrap(env.source("source", 1, 2, 3, 4, 5)).map(task(env, slow_head), concurrency=3)


@case("-1, -2, -3, -4, -5 | end", siblings=True)
def calls_on_micro_threads(env: Env) -> Any:
    return flow.wrap(env.source("source", 1, 2, 3, 4, 5)).map(thread(env, slow_head), concurrency=3)


@case("-1, -2, -3 | end", siblings=True)
def calls_that_return_a_coroutine(env: Env) -> Any:
    f = task(env, slow_head)
    return flow.wrap(env.source("source", 1, 2, 3)).map(lambda row: f(row), concurrency=2)


@case("-3, -2, -1, -4 | end", siblings=True)
def calls_unordered(env: Env) -> Any:
    rows = flow.wrap(env.source("source", 1, 2, 3, 4))
    return rows.map(task(env, lambda row: 9 - 2 * row if row < 4 else 5), concurrency=3, ordered=False)


@case("-1, -2, -3, -4 | end", how="slow", siblings=True)
def calls_while_the_reader_is_busy(env: Env) -> Any:
    return flow.wrap(env.source("source", 1, 2, 3, 4)).map(task(env, lambda row: 0.3), concurrency=2)


@case("-1, -2, -3, -4, -5, -6 | end", siblings=True)
def calls_with_keys(env: Env) -> Any:
    rows = flow.wrap(env.source("source", 1, 2, 3, 4, 5, 6))
    return rows.map(thread(env, lambda row: row), concurrency=3, key=lambda row: row % 2)


@case("-1, -2 | ValueError: 3 fails", siblings=True)
def calls_that_fail(env: Env) -> Any:
    return flow.wrap(env.source("source", 1, 2, 3, 4, 5, 6, cleanup=1)).map(
        task(env, lambda row: {1: 5, 2: 2, 3: 3}.get(row, 9), fails=3), concurrency=4
    )


@case("-1, -2 | ValueError: 3 fails", siblings=True)
def calls_that_fail_on_micro_threads(env: Env) -> Any:
    return flow.wrap(env.source("source", 1, 2, 3, 4, 5, 6, cleanup=1)).map(
        thread(env, lambda row: {1: 5, 2: 2, 3: 3}.get(row, 9), fails=3, cleanup=1), concurrency=4
    )


@case("-2, -1, -4 | ValueError: 3 fails", siblings=True)
def calls_that_finish(env: Env) -> Any:
    return flow.wrap(env.source("source", 1, 2, 3, 4, 5, 6, 7, 8)).map(
        task(env, lambda row: {1: 5, 2: 2, 3: 3}.get(row, 9), fails=3),
        concurrency=3,
        ordered=False,
        on_error="finish",
    )


@case("-1, -3 | ValueError: 2 fails", siblings=True)
def calls_that_collect(env: Env) -> Any:
    rows = flow.wrap(env.source("source", 1, 2, 3))
    return rows.map(thread(env, lambda row: row, fails=2), concurrency=2, on_error="collect")


@case("-1, -3 | end", siblings=True)
def calls_that_are_diverted(env: Env) -> Any:
    def divert(row: int, error: Exception) -> None:
        env.note("divert", "opened", row, str(error))
        env.sleep(1)
        env.note("divert", "closed")

    rows = flow.wrap(env.source("source", 1, 2, 3))
    return rows.map(task(env, lambda row: row, fails=2), concurrency=2, on_row_error=divert)


@case("-1, -2 | ValueError: 3 fails", siblings=True)
def calls_that_are_tried_again(env: Env) -> Any:
    policy = flow.Retry(3, backoff=2 * env.unit)
    return flow.wrap(env.source("source", 1, 2, 3)).map(task(env, lambda row: 1, fails=3), concurrency=2, retry=policy)


@case("-1 | left", how="open", count=1, siblings=True)
def calls_that_are_closed(env: Env) -> Any:
    rows = flow.wrap(env.source("source", 1, 2, 3, 4, 5, cleanup=1))
    return rows.map(task(env, lambda row: 3 * row - 2), concurrency=2)


@case("-1 | left", how="open", count=1, siblings=True)
def calls_that_are_closed_on_micro_threads(env: Env) -> Any:
    rows = flow.wrap(env.source("source", 1, 2, 3, 4, 5, cleanup=1))
    return rows.map(thread(env, lambda row: 3 * row - 2, cleanup=1), concurrency=2)


@case("-1 | cancelled", how="cancel", cancelled_at=3, siblings=True)
def calls_that_are_cancelled(env: Env) -> Any:
    rows = flow.wrap(env.source("source", 1, 2, 3, 4, 5, cleanup=1))
    return rows.map(thread(env, lambda row: 3 * row - 2, cleanup=1), concurrency=2)


@case("-1, -2 | BodyError: the body fails", how="body", count=2, siblings=True)
def calls_whose_reader_fails(env: Env) -> Any:
    rows = flow.wrap(env.source("source", 1, 2, 3, 4, 5, cleanup=1))
    return rows.map(task(env, lambda row: row), concurrency=2)


@case("0, -1, -2, -3 | end", siblings=True)
def calls_in_own_threads(env: Env) -> Any:
    return flow.wrap(env.source("source", 0, 1, 2, 3)).map(lambda row: -row, concurrency=2, on="threads")


# --------------------------------------------------------------------------------------------------------------------
# flat_map


@case("'b1', 'b2', 'a1', 'c1', 'a2', 'c2' | end", siblings=True)
def flat_map_of_several_at_a_time(env: Env) -> Any:
    delays = {"a": 2.5, "b": 1, "c": 2}
    rows = flow.wrap(env.source("source", "a", "b", "c"))
    return rows.flat_map(lambda n: env.source(n, f"{n}1", f"{n}2", delay=delays[n]), concurrency=2)


@case("'b1' | ValueError: b fails", siblings=True)
def flat_map_of_which_one_fails(env: Env) -> Any:
    sources = {
        "a": env.source("a", "a1", delay=5, cleanup=1),
        "b": env.source("b", "b1", delay=1, fail=ValueError("b fails")),
    }
    return flow.wrap(env.source("source", "a", "b", "c", cleanup=1)).flat_map(sources.__getitem__, concurrency=2)


@case("'b1', 'a1' | ValueError: b fails", siblings=True)
def flat_map_that_finishes(env: Env) -> Any:
    sources = {
        "a": env.source("a", "a1", delay=5, cleanup=1),
        "b": env.source("b", "b1", delay=1, fail=ValueError("b fails")),
    }
    return flow.wrap(env.source("source", "a", "b", "c")).flat_map(
        sources.__getitem__, concurrency=2, on_error="finish"
    )


@case("'b1' | left", how="open", count=1, siblings=True)
def flat_map_that_is_closed(env: Env) -> Any:
    delays = {"a": 3, "b": 1, "c": 2}
    rows = flow.wrap(env.source("source", "a", "b", "c", cleanup=1))
    return rows.flat_map(lambda n: env.source(n, f"{n}1", f"{n}2", delay=delays[n], cleanup=1), concurrency=2)
