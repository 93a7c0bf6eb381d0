"""Stages with several inputs: how they join and leave, in which order they are read, and what comes first."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

import flow

from .cases import case
from .env import Env

# --------------------------------------------------------------------------------------------------------------------
# Merge: inputs that join and leave


@case("'a', 1, 2, 'b', 'c', 3 | end")
def merge_with_inputs_that_join(env: Env) -> Any:
    merge: flow.Merge[Any] = flow.Merge(env.source("letters", "a", "b", "c", delay=3))

    def joining() -> Generator[Any]:
        yield env.cooperate(4)
        merge.add(env.source("one", 1, delay=1))
        merge.add(env.source("two", 2, delay=1.5))
        yield env.cooperate(5.5)
        merge.add(env.source("three", 3, delay=1))

    merge.add(joining)
    return merge


@case("'a0', 'b0', 'a1', 'b1', 'b2' | end", siblings=True)
def merge_with_an_input_that_leaves(env: Env) -> Any:
    leaving = flow.wrap(env.source("a", "a0", "a1", "a2", "a3", delay=2, cleanup=1.5))
    merge: flow.Merge[Any] = flow.Merge(leaving, env.source("b", "b0", "b1", "b2", delay=3))

    def removing() -> Generator[Any]:
        yield env.cooperate(5)
        env.note("removes", merge.remove(leaving))

    merge.add(removing)
    return merge


@case("1, 2, 3 | end")
def merge_that_is_held_open(env: Env) -> Any:
    merge: flow.Merge[int] = flow.Merge(hold_open=True)

    def adding(rows: Any) -> Generator[Any]:
        flow.wait(env.later(1, lambda: merge.add(env.source("a", 1, 2, delay=1))))
        flow.wait(env.later(5, lambda: merge.add(env.source("b", 3, delay=1))))
        flow.wait(env.later(7, lambda: env.note("finishes", merge.finish())))
        yield from rows

    return merge | adding


@case("'urgent', 1, 2, 'again', 3 | end")
def merge_by_priority(env: Env) -> Any:
    def urgent() -> Generator[Any]:
        yield "urgent"
        yield env.cooperate(2)
        yield "again"

    def slowly(rows: Any) -> Generator[Any]:
        for row in rows:
            yield row
            env.sleep(1.5)

    return flow.Merge(env.source("numbers", 1, 2, 3), urgent, priority=[1, 0]) | slowly


@case("'a0', 'b0', 'b1' | ExceptionGroup[OSError: one, ValueError: two]", siblings=True)
def merge_that_collects_failures(env: Env) -> Any:
    return flow.Merge(
        env.source("a", "a0", delay=1, fail=OSError("one")),
        env.source("b", "b0", "b1", delay=1.5),
        env.source("c", delay=1, fail=None),
        flow.wrap(env.source("d", "x", delay=2.25)) | env.through("fails", fail_at="x") | renamed(ValueError("two")),
        on_error="collect",
    )


def renamed(error: Exception) -> Any:
    def stage(rows: Any) -> Iterator[Any]:
        try:
            yield from rows
        except ValueError:
            raise error from None

    return stage


@case("'a0', 'b0', 'b1' | OSError: gone")
def merge_that_finishes_after_a_failure(env: Env) -> Any:
    return flow.Merge(
        env.source("a", "a0", delay=1, fail=OSError("gone")),
        env.source("b", "b0", "b1", delay=1.5),
        on_error="finish",
    )


@case("'a0', 'b0' | cancelled", "cancel", cancelled_at=4, siblings=True)
def merge_with_inputs_that_join_is_cancelled(env: Env) -> Any:
    merge: flow.Merge[Any] = flow.Merge(env.source("a", "a0", "a1", delay=2.5, cleanup=1), hold_open=True)
    merge.add(env.source("b", "b0", delay=3))
    return merge


# --------------------------------------------------------------------------------------------------------------------
# In an order


@case("1, 2, 3, 4 | end")
def chained(env: Env) -> Any:
    return flow.chain(
        env.source("a", 1, 2, delay=1, cleanup=0.5), env.source("b"), env.source("c", 3, cleanup=1), env.source("d", 4)
    )


@case("1, 2 | ValueError: no")
def chained_and_failing(env: Env) -> Any:
    return flow.chain(env.source("a", 1), env.source("b", 2, fail=ValueError("no")), env.source("c", 3))


@case("1, 2, 3 | left", "open", count=3)
def chained_and_left(env: Env) -> Any:
    return flow.chain(env.source("a", 1, 2), env.source("b", 3, 4, cleanup=1), env.source("c", 5))


@case("'a0', 'b0', 'c0', 'a1', 'c1', 'c2' | end", siblings=True)
def interleaved(env: Env) -> Any:
    return flow.interleave(
        env.source("a", "a0", "a1", delay=2), env.source("b", "b0", delay=1), env.source("c", "c0", "c1", "c2")
    )


@case("'a0', 'b0', 'a1' | ValueError: no", siblings=True)
def interleaved_and_failing(env: Env) -> Any:
    """The failure of b is there before the second row of a, and waits for its turn."""
    return flow.interleave(
        env.source("a", "a0", "a1", "a2", delay=2, cleanup=1), env.source("b", "b0", fail=ValueError("no"))
    )


@case("1, 2, 3, 4, 5, 9 | end", siblings=True)
def merged_in_order(env: Env) -> Any:
    return flow.merge_sorted(
        env.source("a", 1, 4, 5, delay=1), env.source("b", 2, 3, delay=1.5), env.source("c", 9, delay=2.25)
    )


@case("'bbb', 'aa', 'c' | end", siblings=True)
def merged_in_order_of_an_async_key(env: Env) -> Any:
    async def key(row: str) -> int:
        await env.pause(1)
        return len(row)

    return flow.merge_sorted(env.source("a", "bbb", "c"), env.source("b", "aa", delay=0.5), key=key, reverse=True)


# --------------------------------------------------------------------------------------------------------------------
# The latest, the first


@case("('a0', 'b0'), ('a1', 'b0'), ('a1', 'b1'), ('a2', 'b1') | end", siblings=True)
def latest_of_each(env: Env) -> Any:
    return flow.combine_latest(
        env.source("a", "a0", "a1", "a2", delay=1), env.source("b", "b0", "b1", delay=1.4, cleanup=1)
    )


@case(" | end", siblings=True)
def latest_of_each_without_a_row(env: Env) -> Any:
    return flow.combine_latest(env.source("a", "a0", delay=100, cleanup=1), env.source("b"))


@case("('a0', 'b0'), ('a1', 'b1'), ('a2', 'b3') | end", siblings=True)
def rows_with_the_latest(env: Env) -> Any:
    other = env.source("b", "b0", "b1", "b2", "b3", "b4", delay=0.7, cleanup=1)
    return flow.wrap(env.source("a", "a0", "a1", "a2", delay=1)).with_latest(other)


@case("('a0', None), ('a1', 'b0') | end", siblings=True)
def rows_with_the_latest_and_an_initial_value(env: Env) -> Any:
    return flow.wrap(env.source("a", "a0", "a1", delay=1)).with_latest(env.source("b", "b0", delay=1.5), initial=None)


@case("'x0', 'x1', 'z0', 'z1', 'z2' | end")
def rows_of_the_latest_source(env: Env) -> Any:
    def rows() -> Generator[Any]:
        yield "x"
        yield env.cooperate(2.5)
        yield "y"
        yield env.cooperate(0.75)
        yield "z"

    return flow.wrap(rows).switch_map(
        lambda name: env.source(name, *(f"{name}{number}" for number in range(3)), delay=1, cleanup=0.25)
    )


@case("'b0', 'b1' | end", siblings=True)
def the_first_to_give_a_row(env: Env) -> Any:
    return flow.race(
        env.source("a", "a0", "a1", delay=2, cleanup=1.25), env.source("b", "b0", "b1", delay=1), env.source("c")
    )


@case("'a0', 'a1' | end", siblings=True)
def the_first_though_another_fails(env: Env) -> Any:
    return flow.race(env.source("b", fail=ValueError("no")), env.source("a", "a0", "a1", delay=1), on_error="finish")


@case("0, 1, 2 | end", siblings=True)
def rows_until_an_event(env: Env) -> Any:
    event = env.source("event", "happens", delay=3.5, cleanup=0.5)
    return flow.wrap(env.source("rows", *range(9), delay=1, cleanup=0.5)).until(flow.wrap(event))


@case("0, 1 | end")
def rows_until_an_awaitable_is_done(env: Env) -> Any:
    async def soon() -> None:
        await env.pause(2.5)
        env.note("it happens")

    return flow.wrap(env.source("rows", *range(9), delay=1)).until(soon)


@case("0, 1 | ValueError: no")
def rows_until_an_event_fails(env: Env) -> Any:
    async def soon() -> None:
        await env.pause(2.5)
        raise ValueError("no")

    return flow.wrap(env.source("rows", *range(9), delay=1)).until(soon)


@case("0, 1 | cancelled", "cancel", cancelled_at=2.5, siblings=True)
def rows_until_an_event_and_a_cancel(env: Env) -> Any:
    event = env.source("event", "happens", delay=30, cleanup=0.5)
    return flow.wrap(env.source("rows", *range(9), delay=1, cleanup=1)).until(flow.wrap(event))
