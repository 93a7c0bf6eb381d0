"""Buffers, companions, and one source with several readers.

Two things that are due at the same time come in an order of the loop's own: times are chosen so that no two are, or the
two are compared each by itself (`ahead`).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import Any

import flow

from .cases import case
from .env import Env


def busy(env: Env, units: float) -> Callable[[Iterable[Any]], Generator[Any]]:
    """A stage that is at work for a while after each row."""

    def stage(rows: Iterable[Any]) -> Generator[Any]:
        for row in rows:
            yield row
            env.sleep(units)

    return stage


# --------------------------------------------------------------------------------------------------------------------
# Buffers


@case("1, 2, 3, 4 | end", ahead=True)
def buffer_ahead(env: Env) -> Any:
    return flow.wrap(env.source("source", 1, 2, 3, 4, delay=1)).buffer(2) | busy(env, 1.3)


@case("1, 2, 3, 4 | end", ahead=True)
def buffer_of_a_ready_source(env: Env) -> Any:
    return flow.wrap(env.source("source", 1, 2, 3, 4)).buffer(2) | busy(env, 1)


@case("1, 2, 3 | end")
def buffer_rendezvous(env: Env) -> Any:
    return flow.wrap(env.source("source", 1, 2, 3, delay=1)).buffer(0) | busy(env, 1.3)


@case("1, 4, 5 | end", ahead=True)
def buffer_drops_the_oldest(env: Env) -> Any:
    return flow.wrap(env.source("source", 1, 2, 3, 4, 5, delay=1)).buffer(1, "drop_oldest") | busy(env, 3.5)


@case("1, 2, 5 | end", ahead=True)
def buffer_drops_the_newest(env: Env) -> Any:
    return flow.wrap(env.source("source", 1, 2, 3, 4, 5, delay=1)).buffer(1, "drop_newest") | busy(env, 3.5)


@case("1, 2 | FullError: ", ahead=True)
def buffer_that_may_not_overflow(env: Env) -> Any:
    return flow.wrap(env.source("source", 1, 2, 3, 4, delay=1)).buffer(1, "error") | busy(env, 3.5)


@case("1, 2, 3 | ValueError: gone", ahead=True)
def buffer_fails_after_its_rows(env: Env) -> Any:
    return flow.wrap(env.source("source", 1, 2, 3, delay=1, fail=ValueError("gone"))).buffer(5) | busy(env, 1.3)


@case("1 | left", "open", count=1, ahead=True)
def buffer_left_early(env: Env) -> Any:
    return flow.wrap(env.source("source", 1, 2, 3, 4, delay=1, cleanup=1)).buffer(2)


@case("1, 2 | cancelled", "cancel", cancelled_at=3.5, ahead=True)
def buffer_cancelled(env: Env) -> Any:
    return flow.wrap(env.source("source", 1, 2, 3, 4, delay=1, cleanup=1)).buffer(2) | busy(env, 1.3)


@case("1, 2, 3 | end", ahead=True)
def buffer_of_buffers(env: Env) -> Any:
    return flow.wrap(env.source("source", 1, 2, 3, delay=1)).buffer(1).buffer(0).buffer(2) | busy(env, 1.3)


# --------------------------------------------------------------------------------------------------------------------
# Companions


@case("1, 2, 3 | end", ahead=True)
def background_beside(env: Env) -> Any:
    companion = env.source("companion", *range(20), delay=0.6, cleanup=1)
    return flow.wrap(env.source("source", 1, 2, 3, delay=1)).background(companion) | busy(env, 0.25)


@case("1, 2 | ValueError: gone", ahead=True)
def background_fails(env: Env) -> Any:
    companion = env.source("companion", "a", "b", delay=1.2, fail=ValueError("gone"))
    return flow.wrap(env.source("source", 1, 2, 3, delay=1, cleanup=1)).background(companion)


@case("1 | OSError: mine", ahead=True)
def background_of_what_fails(env: Env) -> Any:
    companion = env.source("companion", *range(20), delay=0.7, cleanup=1)
    return flow.wrap(env.source("source", 1, delay=1, fail=OSError("mine"))).background(companion)


@case("1, 2 | cancelled", "cancel", cancelled_at=2.5, siblings=True)
def background_cancelled(env: Env) -> Any:
    companion = env.source("companion", *range(20), delay=0.7, cleanup=1)
    return flow.wrap(env.source("source", 1, 2, 3, delay=1, cleanup=1)).background(companion)


# --------------------------------------------------------------------------------------------------------------------
# One source, several readers


@case("(1, 10), (2, 20), (3, 30) | end", ahead=True)
def share_in_one_flow(env: Env) -> Any:
    shared = flow.wrap(env.source("source", 1, 2, 3, delay=1)).share()
    return shared.zip(shared.map(lambda n: n * 10))


@case("(1, 1), (2, 3), (3, 6) | ValueError: gone", ahead=True)
def tee_fails_after_its_rows(env: Env) -> Any:
    def sums(rows: Iterable[int]) -> Generator[int]:
        total = 0
        for row in rows:
            total += row
            yield total

    rows, again = flow.wrap(env.source("source", 1, 2, 3, delay=1, fail=ValueError("gone"))).tee()
    return rows.zip(again | sums)


@case("1, 2, -1, 3, -2, -3 | end", ahead=True)
def tee_holds_the_source_back(env: Env) -> Any:
    quick, slow = flow.wrap(env.source("source", 1, 2, 3)).tee(limit=1)
    return quick.merge(slow.map(lambda n: env.sleep(1) or -n))


@case("1, 1 | left", "open", count=2, ahead=True)
def tee_left_early(env: Env) -> Any:
    one, other = flow.wrap(env.source("source", 1, 2, 3, delay=1, cleanup=1)).tee()
    return one.merge(other)


@case("1, 1, 2 | SlowReaderError: ")
def share_that_can_never_go_on(env: Env) -> Any:
    shared = flow.wrap(env.source("source", 1, 2, 3, 4, delay=1)).share(replay=1, limit=1)

    def both(_: Any) -> Generator[int]:
        first = iter(shared)
        yield next(first)
        yield from shared

    return flow.wrap([0]) | both


@case("-1, 2, -3, 4, -5 | end", ahead=True)
def partition_and_merge(env: Env) -> Any:
    even, odd = flow.wrap(env.source("source", 1, 2, 3, 4, 5, delay=1)).partition(lambda n: n % 2 == 0)
    return even.merge(odd.map(lambda n: -n))


@case("1, 2 | cancelled", "cancel", cancelled_at=2.5, ahead=True)
def partition_cancelled(env: Env) -> Any:
    even, odd = flow.wrap(env.source("source", 1, 2, 3, 4, delay=1, cleanup=1)).partition(lambda n: n % 2 == 0)
    return even.merge(odd)


@case("'odd 1', 'even 2', 'odd 3', 'even 4' | end", ahead=True)
def route_each_key_in_a_branch(env: Env) -> Any:
    pairs = flow.wrap(env.source("source", 1, 2, 3, 4, delay=1)).route(lambda n: ("even", "odd")[n % 2])
    return pairs.flat_map(lambda pair: pair[1].map(lambda n: f"{pair[0]} {n}"), concurrency=2)


@case("1, 2 | FullError: ", ahead=True)
def route_with_too_many_keys(env: Env) -> Any:
    pairs = flow.wrap(env.source("source", 1, 2, 3, delay=1, cleanup=1)).route(lambda n: n, most=2)
    return pairs.map(lambda pair: pair[0])


@case("'a1', 'b2', 'a3', 'b4', 'a5' | end", ahead=True)
def balance_between_two(env: Env) -> Any:
    first, second = flow.wrap(env.source("source", 1, 2, 3, 4, 5, delay=1)).balance(2)
    return first.map(lambda n: f"a{n}").merge(second.map(lambda n: f"b{n}"))
