"""The conformance suite: each case makes a stage, says how it is read, and what must come of it.

A case knows no loop. Its `expect` is the literal summary, rows and ending; the whole event log, with the order of every
opening, row and closing and the (virtual) time of each, must be the same on every loop.

More cases are in the modules `cases_*.py` beside this one. They begin with ``from .cases import case``, and are found
by their name, in its order. A case's name is used once over all of them.
"""

from __future__ import annotations

import io
import sqlite3
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from twisted.internet import defer

import flow

from .env import Env, short


@dataclass(frozen=True)
class Case:
    """How to make a stage, how to read it, and what must come of it.

    `how`: "all" rows; "break" after `count` rows; "open" explicitly, take `count`, and leave the scope; "body" raises
    after `count` rows; "blocks"; "list"; "cancel" at `cancelled_at`; "slow" (the body waits 1 after each row); "handle"
    opens it as ``env.run``, which a stage may stop; "drain" takes `count` rows and drains the rest within 1.
    `after`: units to wait after the reading, for cleanups that go on. `ahead`: a task or a thread works ahead of the
    reader, so the order between what it does and what the reader gets is the loop's affair; each keeps its own order.
    `siblings`: the same for inputs that are closed side by side.
    """

    name: str
    make: Callable[[Env], Any]
    expect: str
    how: str = "all"
    count: int = 0
    cancelled_at: float | None = None
    after: float = 0
    script: bool = True
    ahead: bool = False
    siblings: bool = False


CASES: dict[str, Case] = {}
Make = Callable[[Env], Any]


def case(expect: str, how: str = "all", **options: Any) -> Callable[[Make], Make]:
    def add(make: Make) -> Make:
        name = make.__name__
        assert name not in CASES, f"two cases are called {name}"
        if how in ("cancel", "slow", "list"):
            options["script"] = False
        CASES[name] = Case(name, make, expect, how, **options)
        return make

    return add


# --------------------------------------------------------------------------------------------------------------------
# Sources: every kind of thing that wrap() takes


@case("1, 2, 3 | end")
def source_list(env: Env) -> Any:
    return flow.wrap([1, 2, 3])


@case("1, 2 | end")
def source_tuple(env: Env) -> Any:
    return flow.wrap((1, 2))


@case("'abc' | end")
def source_str(env: Env) -> Any:
    return flow.wrap("abc")


@case("b'abc' | end")
def source_bytes(env: Env) -> Any:
    return flow.wrap(b"abc")


@case("('a', 1), ('b', 2) | end")
def source_dict_view(env: Env) -> Any:
    return flow.wrap({"a": 1, "b": 2}.items())


@case("0, 1, 2 | end")
def source_range(env: Env) -> Any:
    return flow.wrap(range(3))


@case("1, 2 | end")
def source_iterator(env: Env) -> Any:
    return flow.wrap(iter([1, 2]))


@case(" | end")
def source_empty(env: Env) -> Any:
    return flow.wrap([])


@case("1, 2 | end")
def source_iterable_that_waits(env: Env) -> Any:
    return flow.wrap(env.source("source", 1, 2, delay=1))


@case("1, 2 | end")
def source_generator_function(env: Env) -> Any:
    def numbers() -> Generator[Any]:
        yield 1
        yield env.cooperate(1)
        yield 2

    return flow.wrap(numbers)


@case("1, 2 | end")
def source_generator_object(env: Env) -> Any:
    def numbers() -> Generator[Any]:
        yield 1
        yield 2

    return flow.wrap(numbers())


@case("1, 2 | end", ahead=True)
def source_async_generator_function(env: Env) -> Any:
    async def numbers() -> AsyncIterator[int]:
        env.note("numbers", "opened")
        try:
            yield 1
            await env.pause(1)
            yield 2
        finally:
            env.note("numbers", "closed")

    return flow.wrap(numbers)


@case("1, 2 | end", ahead=True)
def source_async_generator_object(env: Env) -> Any:
    async def numbers() -> AsyncIterator[int]:
        yield 1
        await env.pause(1)
        yield 2

    return flow.wrap(numbers())


@case("0, 1, 2 | end", ahead=True)
def source_async_iterable(env: Env) -> Any:
    class Numbers:
        def __init__(self) -> None:
            self.n = -1

        def __aiter__(self) -> Numbers:
            return self

        async def __anext__(self) -> int:
            await env.pause(1)
            self.n += 1
            if self.n == 3:
                raise StopAsyncIteration
            return self.n

    return flow.wrap(Numbers())


@case("'made' | end")
def source_coroutine_function(env: Env) -> Any:
    async def fetch() -> str:
        await env.pause(1)
        return "made"

    return flow.wrap(fetch)


@case("'made' | end")
def source_coroutine(env: Env) -> Any:
    async def fetch() -> str:
        await env.pause(1)
        return "made"

    return flow.wrap(fetch())


@case("'fired' | end")
def source_deferred_that_has_fired(env: Env) -> Any:
    return flow.wrap(defer.succeed("fired"))


@case("'fired' | end")
def source_deferred_that_fires_later(env: Env) -> Any:
    d: defer.Deferred[str] = defer.Deferred()

    def fire(rows: Any) -> Generator[Any]:
        flow.wait(env.later(2, lambda: d.callback("fired")))
        yield from rows

    return fire_first(d, fire)


def fire_first(d: Any, fire: Any) -> Any:
    """A stage that runs `fire` and then reads `d`."""
    return flow.wrap([None]) | (lambda rows: fire(flow.wrap(d)))


@case(" | ValueError: no")
def source_deferred_that_fails(env: Env) -> Any:
    return flow.wrap(defer.fail(ValueError("no")))


@case("7 | end")
def source_future_that_is_done(env: Env) -> Any:
    future: Future[int] = Future()
    future.set_result(7)
    return flow.wrap(future)


@case("7 | end")
def source_future_done_by_a_thread(env: Env) -> Any:
    future: Future[int] = Future()

    def start(rows: Any) -> Generator[Any]:
        flow.wait(env.in_thread(lambda: future.set_result(7)))
        yield from rows

    return fire_first(future, start)


@case("0, 1 | end")
def source_async_callable_with_a_sentinel(env: Env) -> Any:
    numbers = iter(range(5))

    async def get() -> int:
        await env.pause(1)
        return next(numbers)

    return flow.wrap(get, sentinel=2)


@case("1, 2 | end")
def source_callable_with_a_sentinel(env: Env) -> Any:
    return flow.wrap(iter([1, 2, 0, 4]).__next__, sentinel=0)


@case("'a\\n', 'b' | end")
def source_text_in_memory(env: Env) -> Any:
    return flow.wrap(io.StringIO("a\nb"))


@case("b'a\\n', b'b' | end")
def source_file_in_a_thread(env: Env) -> Any:
    class Pretend(io.BytesIO):
        """A file that is no BytesIO to `wrap`: its lines are read in a thread."""

    class File:
        def __init__(self) -> None:
            self.inner = Pretend(b"a\nb")

        def readline(self) -> bytes:
            return self.inner.readline()

        def __iter__(self) -> Iterator[bytes]:
            return iter(self.inner)

        def __next__(self) -> bytes:
            return next(self.inner)

        def close(self) -> None:
            env.aside("the file", "closed")
            self.inner.close()

    return flow.wrap(File())


@case("1, 2 | end")
def source_stage(env: Env) -> Any:
    return flow.wrap(flow.wrap([1, 2]))


@case("0, 1, 2, 3, 4 | end")
def source_query(env: Env) -> Any:
    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(":memory:")
        connection.execute("create table t (n)")
        connection.executemany("insert into t values (?)", [(n,) for n in range(5)])
        env.aside("connection", "opened")
        return connection

    return flow.wrap(flow.QueryIterator(connect, "select n from t order by n", arraysize=2)).map(lambda row: row[0])


@case("1, ValueError('no') | end")
def source_with_a_trap(env: Env) -> Any:
    return flow.wrap(env.source("source", 1, fail=ValueError("no")), ValueError)


@case("1 | KeyError: 'no'")
def source_with_another_trap(env: Env) -> Any:
    return flow.wrap(env.source("source", 1, fail=KeyError("no")), ValueError)


@case("1 | AlreadyReadError: ", how="all")
def source_read_twice(env: Env) -> Any:
    once = flow.wrap(iter([1]))

    def twice(rows: Any) -> Generator[Any]:
        yield from rows
        yield from once

    return once | twice


# --------------------------------------------------------------------------------------------------------------------
# Data is data


@case("None, [], StopIteration(), ValueError('x'), (), 'end' | end")
def rows_of_any_value(env: Env) -> Any:
    return flow.wrap(iter([None, [], StopIteration(), ValueError("x"), (), "end"]))


@case("'Cooperate', 'Merge', 'Deferred', 'coroutine' | end")
def rows_that_look_like_instructions_in_a_plain_stage(env: Env) -> Any:
    async def work() -> None:
        pass

    def names(rows: Any) -> Generator[Any]:
        for row in rows:
            yield type(row).__name__
            if hasattr(row, "close"):
                row.close()

    def things() -> Iterator[Any]:
        return iter([flow.Cooperate(1), flow.Merge(), defer.Deferred(), work()])

    return flow.wrap([None]) | (lambda rows: things()) | names


@case("Cooperate(3), 1 | end")
def rows_by_row(env: Env) -> Any:
    def source() -> Generator[Any]:
        yield flow.Row(flow.Cooperate(3))
        yield flow.Row(1)

    return flow.wrap(source)


@case("'a', 'b' | end")
def instructions_in_a_list(env: Env) -> Any:
    return flow.wrap(["a", env.cooperate(3), "b"])


# --------------------------------------------------------------------------------------------------------------------
# Waits


@case("1, 2, 3 | end")
def rows_before_a_wait_come_first(env: Env) -> Any:
    def source() -> Generator[Any]:
        yield 1
        env.note("waits")
        env.sleep(5)
        yield 2
        flow.cooperate()
        yield 3

    return flow.wrap(source)


@case("'result 1', 'result 2' | end")
def a_wait_gives_its_result(env: Env) -> Any:
    async def fetch(n: int) -> str:
        await env.pause(n)
        return f"result {n}"

    def plain(rows: Any) -> Generator[Any]:
        for row in rows:
            yield flow.wait(fetch(row))

    return flow.wrap([1, 2]) | plain


@case("'caught no', 'went on' | end")
def a_wait_raises_its_error_at_its_place(env: Env) -> Any:
    async def fetch() -> str:
        await env.pause(1)
        raise ValueError("no")

    def plain(rows: Any) -> Generator[Any]:
        try:
            flow.wait(fetch())
        except ValueError as error:
            yield f"caught {error}"
        yield "went on"

    return flow.wrap([]) | plain


@case("'result', 'caught no', None | end")
def a_classic_yield_gives_its_result(env: Env) -> Any:
    async def fetch(fails: bool) -> str:
        await env.pause(1)
        if fails:
            raise ValueError("no")
        return "result"

    def classic() -> Generator[Any, Any]:
        yield (yield fetch(False))
        try:
            yield fetch(True)
        except ValueError as error:
            yield f"caught {error}"
        got = yield env.cooperate(1)
        yield flow.Row(got)

    return flow.wrap(classic)


@case("'fired', 'caught no' | end")
def a_classic_yield_of_a_deferred(env: Env) -> Any:
    def classic() -> Generator[Any, Any]:
        d: defer.Deferred[str] = defer.Deferred()
        yield env.later(1, lambda: d.callback("fired"))
        yield (yield d)
        try:
            yield defer.fail(ValueError("no"))
        except ValueError as error:
            yield f"caught {error}"

    return flow.wrap(classic)


@case("1, 2, 'end', 'still at the end' | end")
def a_classic_yield_of_a_stage(env: Env) -> Any:
    def classic() -> Generator[Any, Any]:
        source = flow.wrap(env.source("source", 1, 2, delay=1))
        while True:
            yield source
            try:
                yield next(source)
            except StopIteration:
                break
        yield "end"
        try:
            next(source)
        except StopIteration:
            yield "still at the end"

    return flow.wrap(classic)


@case("1, 'caught no' | end")
def a_classic_yield_of_a_stage_that_fails(env: Env) -> Any:
    def classic() -> Generator[Any, Any]:
        source = flow.wrap(env.source("source", 1, fail=ValueError("no")))
        try:
            while True:
                yield source
                yield next(source)
        except ValueError as error:
            yield f"caught {error}"

    return flow.wrap(classic)


@case("3, 7 | end")
def a_classic_for_over_a_stage(env: Env) -> Any:
    def classic() -> Generator[Any, Any]:
        source = flow.wrap(env.source("source", 1, 2, 3, 4, delay=1))
        yield source
        for row in source:
            yield source
            yield row + next(source)

    return flow.wrap(classic)


class Called(flow.CallLater):
    def __init__(self, call: Callable[[Any], Any]) -> None:
        self.call = call

    def callLater(self, resume: Any, /) -> Any:
        return self.call(resume)


@case("'now', 'later', 1, 2, 'thread' | end")
def an_own_instruction(env: Env) -> Any:
    """Resumed at once, later, twice, twice from later, and from another thread."""

    def twice(resume: Any) -> None:
        resume(1)
        resume("never seen")

    def twice_later(resume: Any) -> None:
        resume.loop.call_later(env.unit, partial(resume, 2))
        resume.loop.call_later(1.5 * env.unit, partial(resume, "never seen"))

    def classic() -> Generator[Any, Any]:
        yield (yield Called(lambda resume: resume("now")))
        yield (yield Called(lambda resume: resume.loop.call_later(env.unit, partial(resume, "later"))))
        yield (yield Called(twice))
        yield (yield Called(twice_later))
        yield env.cooperate(1)
        yield (yield Called(lambda resume: env.run_thread(resume.loop, lambda: resume("thread"))))

    return flow.wrap(classic)


@case("'caught now', 'caught later', 'caught raised' | end")
def an_own_instruction_that_throws(env: Env) -> Any:
    def raises(resume: Any) -> None:
        raise ValueError("raised")

    def later(resume: Any) -> Any:
        return resume.loop.call_later(env.unit, lambda: resume.throw(ValueError("later")))

    def plain(rows: Any) -> Generator[Any]:
        for call in (lambda resume: resume.throw(ValueError("now")), later, raises):
            try:
                flow.wait(Called(call))
            except ValueError as error:
                yield f"caught {error}"

    return flow.wrap([]) | plain


@case("'caught Unsupported', 'caught Unsupported' | end")
def a_wait_for_what_can_not_be_waited_for(env: Env) -> Any:
    def plain(rows: Any) -> Generator[Any]:
        for thing in (42, flow.CallLater()):
            try:
                flow.wait(thing)
            except flow.Unsupported as error:
                yield f"caught {type(error).__name__}"

    return flow.wrap([]) | plain


@case("'a1', 'b2', 'a3', 'b4', 'b6', 'b8' | end")
def only_its_own_wait_resumes_a_branch(env: Env) -> Any:
    """Two inputs that sleep side by side wake at their own times, and at no others."""

    def ticks(name: str, every: int, times: int) -> Any:
        def source() -> Generator[Any]:
            for n in range(1, times + 1):
                env.sleep(every if name == "b" or n == 1 else 2)
                env.note(name, "woke")
                yield f"{name}{every * n if name == 'b' else 2 * n - 1}"

        return source

    return flow.Merge(ticks("a", 1, 2), flow.wrap(ticks("b", 2, 4)))


@case("100 | end")
def many_sleepers_side_by_side(env: Env) -> Any:
    def sleeper() -> Generator[Any]:
        env.sleep(1)
        yield 1

    return flow.Merge(*[flow.wrap(sleeper) for _ in range(100)]) | (lambda rows: iter([sum(rows)]))


# --------------------------------------------------------------------------------------------------------------------
# Stages


@case("2, 4 | end")
def stage_map(env: Env) -> Any:
    return flow.Map(lambda n: 2 * n, flow.wrap([1, 2]))


@case("2, 4 | end")
def stage_map_async(env: Env) -> Any:
    async def double(n: int) -> int:
        await env.pause(1)
        return 2 * n

    return flow.wrap(env.source("source", 1, 2)).map(double)


@case("3, 5 | end")
def stage_map_of_two(env: Env) -> Any:
    return flow.Map(max, flow.wrap([1, 5]), flow.wrap([3, 2]))


@case("2, 4 | end")
def stage_filter(env: Env) -> Any:
    return flow.Filter(lambda n: n % 2 == 0, flow.wrap([1, 2, 3, 4]))


@case("2 | end")
def stage_filter_async(env: Env) -> Any:
    async def even(n: int) -> bool:
        await env.pause(1)
        return n % 2 == 0

    return flow.wrap([1, 2, 3]).filter(even)


@case("0, 0, 1, 'x', 1, 1 | end")
def stage_flat_map(env: Env) -> Any:
    def inner(n: Any) -> Any:
        if n == "waits":
            return flow.wrap(["x", env.cooperate(1)])
        if n == "source":
            return env.source("inner", 1, 1, delay=1)
        return range(n)

    return flow.FlatMap(inner, flow.wrap([1, 2, "waits", "source"]))


@case("1, 2 | end")
def stage_flat_map_async(env: Env) -> Any:
    async def inner(n: int) -> list[int]:
        await env.pause(1)
        return [n]

    return flow.wrap([1, 2]).flat_map(inner)


@case("(5, 'a'), (6, 'b') | end")
def stage_enumerate(env: Env) -> Any:
    return flow.wrap(["a", "b"]).enumerate(5)


@case("1, 3 | end")
def stage_slice(env: Env) -> Any:
    return flow.wrap(env.source("source", *range(10), delay=1))[1:5:2]


@case("0, 1, 2 | end")
def stage_slice_pulls_no_more(env: Env) -> Any:
    return flow.wrap(env.source("source", *range(10), delay=1))[:3]


@case("1, 2 | end")
def stage_take_while(env: Env) -> Any:
    return flow.wrap(env.source("source", 1, 2, 3, 1, delay=1)).take_while(lambda n: n < 3)


@case("3, 1 | end")
def stage_drop_while(env: Env) -> Any:
    async def small(n: int) -> bool:
        await env.pause(1)
        return n < 3

    return flow.wrap([1, 2, 3, 1]).drop_while(small)


@case("(1, 2), (3,) | end")
def stage_batched(env: Env) -> Any:
    return flow.wrap(env.source("source", 1, 2, 3, delay=1)).batched(2)


@case("1, 2, 3 | end")
def stage_builtin(env: Env) -> Any:
    return flow.wrap([3, 1, 2]) | sorted


@case("1, 2 | end")
def stage_partial(env: Env) -> Any:
    return flow.wrap([0, 1, None, 2]) | partial(filter, None)


@case("(1, 'a'), (2, 'b') | end")
def stage_pipe_with_arguments(env: Env) -> Any:
    return flow.wrap(["a", "b"]).pipe(enumerate, 1)


@case("'ONE', 'TWO', 'THREE' | end")
def stage_lines(env: Env) -> Any:
    pieces = env.source("pieces", b"one\ntw", b"o\nthr", b"ee", delay=1)
    return flow.wrap(pieces) | flow.lines() | (lambda rows: (row.decode().upper() for row in rows))


@case("'a', 'b', 'c' | end")
def stage_line_break(env: Env) -> Any:
    return flow.LineBreak(env.source("pieces", "a\r", "\nb\r\nc", delay=1), delimiter="\r\n")


@case("b'ok' | LineTooLongError: a line is longer than max_length=4 bytes; it begins with b'too l'")
def stage_lines_too_long(env: Env) -> Any:
    return flow.wrap([b"ok\ntoo", b" long"]) | flow.lines(max_length=4)


@case("10, 20 | end", ahead=True)
def stage_async(env: Env) -> Any:
    async def tenfold(rows: Any) -> AsyncIterator[int]:
        env.note("stage", "opened")
        try:
            async for row in rows:
                await env.pause(1)
                yield 10 * row
        finally:
            env.note("stage", "closed")

    return flow.wrap(env.source("source", 1, 2)) | tenfold


@case("100, 200 | end", ahead=True)
def stage_async_below_async(env: Env) -> Any:
    async def tenfold(rows: Any) -> AsyncIterator[int]:
        async for row in rows:
            await env.pause(1)
            yield 10 * row

    return flow.wrap([1, 2]) | tenfold | tenfold


@case("10 | ValueError: async", ahead=True)
def stage_async_that_fails(env: Env) -> Any:
    async def fails(rows: Any) -> AsyncIterator[int]:
        async for row in rows:
            if row == 2:
                raise ValueError("async")
            yield 10 * row

    return flow.wrap(env.source("source", 1, 2, 3, delay=1)) | fails


@case("1 | ValueError: source", ahead=True)
def stage_async_below_a_failure(env: Env) -> Any:
    async def same(rows: Any) -> AsyncIterator[int]:
        async for row in rows:
            yield row

    return flow.wrap(env.source("source", 1, fail=ValueError("source"))) | same


# --------------------------------------------------------------------------------------------------------------------
# Several inputs


@case("1, 10, 2, 20, 3 | end")
def merge_two_ready(env: Env) -> Any:
    return flow.Merge(env.source("a", 1, 2, 3), env.source("b", 10, 20))


@case("'b', 'a', 'b', 'a' | end")
def merge_two_that_wait(env: Env) -> Any:
    return flow.Merge(env.source("a", "a", "a", delay=2), env.source("b", "b", "b", delay=1.5))


@case(" | end")
def merge_nothing(env: Env) -> Any:
    return flow.Merge()


@case("1, 2 | ValueError: a")
def merge_one_fails(env: Env) -> Any:
    return flow.Merge(
        flow.wrap(env.source("a", 1, 2, fail=ValueError("a"))),
        flow.wrap(env.source("b", 10, 20, delay=1)) | env.through("below b"),
        env.source("c", "never", delay=9, cleanup=1),
    )


@case(" | ExceptionGroup[ValueError: a, KeyError: 'b']")
def merge_a_second_failure_joins(env: Env) -> Any:
    def a() -> Generator[Any]:
        env.sleep(1)
        raise ValueError("a")
        yield

    def b() -> Generator[Any]:
        try:
            env.sleep(9)
            yield
        finally:
            raise KeyError("b")

    return flow.Merge(flow.wrap(a), flow.wrap(b))


@case("1 | ExceptionGroup[ValueError: a, KeyError: 'b']")
def merge_two_fail_at_the_same_time(env: Env) -> Any:
    def a() -> Generator[Any]:
        yield 1
        env.sleep(1)
        raise ValueError("a")

    async def fetch() -> None:
        await env.pause(1)
        raise KeyError("b")

    def b() -> Generator[Any]:
        try:
            env.sleep(5)
            yield
        finally:
            flow.wait(fetch())

    return flow.Merge(flow.wrap(a), flow.wrap(b))


@case("1, 'x', 2, 'y' | end")
def merge_of_merges(env: Env) -> Any:
    inner = flow.Merge(env.source("a", 1, delay=1), env.source("b", 2, delay=3))
    return flow.Merge(inner, env.source("c", "x", "y", delay=2))


@case("0, 0, 1, 1 | end")
def merge_reads_one_stage_twice(env: Env) -> Any:
    stage = flow.wrap([0, 1])
    return stage.merge(stage)


@case("(1, 'a'), (2, 'b') | end")
def zip_plain(env: Env) -> Any:
    return flow.Zip(env.source("a", 1, 2, 3, delay=1), env.source("b", "a", "b", delay=2))


@case("(1, 'a') | end")
def zip_waits_overlap(env: Env) -> Any:
    return flow.Zip(env.source("a", 1, delay=2), env.source("b", "a", delay=3))


@case("(1, 'a') | ValueError: Zip(strict=True): input 1 ended before input 0")
def zip_strict(env: Env) -> Any:
    return flow.Zip(env.source("a", 1, 2, delay=1), env.source("b", "a", delay=1.5), strict=True)


@case("(1, 'a'), (2, 'b') | end")
def zip_strict_that_is_equal(env: Env) -> Any:
    return flow.Zip([1, 2], ["a", "b"], strict=True)


@case("(1, 'a'), (2, None) | end")
def zip_fill(env: Env) -> Any:
    return flow.Zip(env.source("a", 1, 2, delay=1), env.source("b", "a", delay=1.5), fill=None)


@case("(1, 'a') | ValueError: b")
def zip_one_fails(env: Env) -> Any:
    return flow.Zip(env.source("a", 1, 2), flow.wrap(env.source("b", "a", fail=ValueError("b"))))


@case(" | end")
def zip_nothing(env: Env) -> Any:
    return flow.Zip()


@case("('b', 'x'), ('a', 1), ('b', 'y'), ('a', 2) | end")
def concurrent(env: Env) -> Any:
    a = flow.wrap(env.source("a", 1, 2, delay=2))
    b = flow.wrap(env.source("b", "x", "y", delay=1.5))

    def tell() -> Generator[Any]:
        for stage in flow.Concurrent(a, b):
            yield "a" if stage is a else "b", next(stage)

    return flow.wrap(tell)


@case("1 | NotReadyError: ")
def concurrent_row_not_taken(env: Env) -> Any:
    a = flow.wrap([1, 2])

    def tell() -> Generator[Any]:
        for _ in flow.Concurrent(a):
            yield 1

    return flow.wrap(tell)


@case("1 | ValueError: a")
def concurrent_one_fails(env: Env) -> Any:
    a = flow.wrap(env.source("a", 1, fail=ValueError("a")))
    b = flow.wrap(env.source("b", "x", delay=2))

    def tell() -> Generator[Any]:
        for stage in flow.Concurrent(a, b):
            yield next(stage)

    return flow.wrap(tell)


# --------------------------------------------------------------------------------------------------------------------
# Callback


@case("1, 2 | end")
def callback_filled_before(env: Env) -> Any:
    ticks: flow.Callback[int] = flow.Callback()
    ticks.result(1)
    ticks(2)
    ticks.finish()
    return ticks


def feeding(*steps: Callable[[], object]) -> Any:
    """A source without rows that does one step after another, when it is asked for a row."""

    def feed() -> Generator[Any]:
        for step in steps:
            step()
        return
        yield

    return flow.wrap(feed)


@case("1, 2 | end")
def callback_fed_by_another_branch(env: Env) -> Any:
    ticks: flow.Callback[int] = flow.Callback()
    wait = partial(env.sleep, 1)
    return flow.Merge(ticks, feeding(wait, partial(ticks, 1), wait, partial(ticks, 2), wait, ticks.finish))


@case("1 | ValueError: fed")
def callback_errback(env: Env) -> Any:
    ticks: flow.Callback[int] = flow.Callback()
    fail = partial(ticks.errback, ValueError("fed"))
    return flow.Merge(ticks, feeding(partial(ticks, 1), partial(env.sleep, 1), fail))


@case("'row 1', 'row 2', 'row 3' | end")
def callback_fed_from_inside_its_own_chain(env: Env) -> Any:
    """CONTRACT 13: a callback that is called from inside the run that it feeds."""
    ticks: flow.Callback[int] = flow.Callback()
    ticks(1)

    def again(rows: Any) -> Generator[Any]:
        for row in rows:
            if row < 3:
                ticks(row + 1)
            else:
                ticks.finish()
            yield f"row {row}"

    return ticks | again


@case("1, 2, 3, 4 | end")
def callback_bounded(env: Env) -> Any:
    """A full one says so: `offer`, `pause` and `resume`, FullError, and ClosedError after the end."""
    ticks: flow.Callback[int] = flow.Callback(2, pause=partial(env.note, "pause"), resume=partial(env.note, "resume"))

    def feed() -> Generator[Any]:
        env.note("offers", ticks.offer(1), ticks.offer(2), ticks.offer(3), ticks.held)
        try:
            ticks(3)
        except flow.FullError as error:
            env.note(type(error).__name__)
        env.sleep(1)
        env.note("offers", ticks.offer(3), ticks.offer(4))
        ticks.finish()
        try:
            ticks(5)
        except flow.ClosedError as error:
            env.note(type(error).__name__)
        return
        yield

    return flow.Merge(flow.wrap(feed), ticks)


@case("1, 2, 3 | end", ahead=True)
def callback_put(env: Env) -> Any:
    ticks: flow.Callback[int] = flow.Callback(1)

    async def feed() -> AsyncIterator[int]:
        for n in (1, 2, 3):
            await ticks.put(n)
        ticks.finish()
        for n in ():
            yield n

    return flow.Merge(flow.wrap(feed), ticks)


@case("0, 1, 2, 3 | end", ahead=True)
def callback_fed_by_a_thread(env: Env) -> Any:
    ticks: flow.Callback[int] = flow.Callback(2, threadsafe=True)

    def feed() -> None:
        for n in range(4):
            ticks.put_blocking(n, timeout=10)
        ticks.finish()

    return flow.Merge(ticks, feeding(lambda: flow.wait(env.in_thread(feed))))


# --------------------------------------------------------------------------------------------------------------------
# Threaded


class Blocking:
    """A blocking iterable that tells what is done to it; events of its thread go aside."""

    def __init__(self, env: Env, *rows: Any, fail: BaseException | None = None) -> None:
        self.env, self.rows, self.fail = env, rows, fail

    def __iter__(self) -> Iterator[Any]:
        self.env.aside("blocking", "opened")
        try:
            yield from self.rows
            if self.fail is not None:
                raise self.fail
        finally:
            self.env.aside("blocking", "closed")


@case("1, 2, 3 | end")
def threaded(env: Env) -> Any:
    return flow.Threaded(Blocking(env, 1, 2, 3))


@case("1, 2 | ValueError: in the thread")
def threaded_that_fails(env: Env) -> Any:
    return flow.Threaded(Blocking(env, 1, 2, fail=ValueError("in the thread")))


@case(" | ValueError: can't open")
def threaded_that_does_not_open(env: Env) -> Any:
    def opens() -> Any:
        raise ValueError("can't open")

    return flow.Threaded(opens)


@case("0, 1, 2 | left", how="open", count=3)
def threaded_left(env: Env) -> Any:
    return flow.Threaded(Blocking(env, *range(100)), limit=2)


@case("0 | ", how="break", count=1, after=1)
def threaded_broken_off(env: Env) -> Any:
    return flow.Threaded(Blocking(env, *range(100)), limit=2)


@case("0, 1, 2, 3, 4, 5, 6, 7, 8, 9 | end")
def threaded_with_a_small_limit(env: Env) -> Any:
    return flow.Threaded(Blocking(env, *range(10)), limit=1)


# --------------------------------------------------------------------------------------------------------------------
# Blocks


@case("1, 2, 3 | end", how="blocks")
def blocks_end_at_a_wait(env: Env) -> Any:
    return flow.wrap([1, 2, env.cooperate(1), 3])


@case("1, 2 | ValueError: no", how="blocks")
def blocks_come_before_a_failure(env: Env) -> Any:
    return flow.wrap(env.source("source", 1, 2, fail=ValueError("no")))


@case("1, 10, 2, 20 | end", how="blocks")
def blocks_of_a_merge(env: Env) -> Any:
    return flow.Merge(env.source("a", 1, 2), env.source("b", 10, 20)) | env.through("below")


# --------------------------------------------------------------------------------------------------------------------
# Failures


@case("1 | ValueError: source")
def failure_at_the_source(env: Env) -> Any:
    return flow.wrap(env.source("source", 1, fail=ValueError("source"))) | env.through("a") | env.through("b")


@case("1 | ValueError: middle fails at 2")
def failure_in_the_middle(env: Env) -> Any:
    return flow.wrap(env.source("source", 1, 2, 3, delay=1)) | env.through("middle", fail_at=2) | env.through("below")


@case("1, 2 | BodyError: the body fails", how="body", count=2)
def failure_of_the_reader(env: Env) -> Any:
    return flow.wrap(env.source("source", 1, 2, 3)) | env.through("a") | env.through("b")


@case("1, 2 | BodyError: the body fails", how="body", count=2)
def failure_of_the_reader_with_cleanups_that_wait(env: Env) -> Any:
    return flow.wrap(env.source("source", 1, 2, 3, cleanup=1)) | env.through("a", cleanup=2)


@case("1 | ValueError: source")
def failure_with_cleanups_that_wait(env: Env) -> Any:
    source = env.source("source", 1, fail=ValueError("source"), cleanup=1)
    return flow.wrap(source) | env.through("a", cleanup=1) | env.through("b", cleanup=1)


@case("2, 4 | ValueError: no 0")
def failure_of_a_function(env: Env) -> Any:
    def double(n: int) -> int:
        if n == 0:
            raise ValueError("no 0")
        return 2 * n

    return flow.wrap([1, 2, 0, 3]).map(double)


@case("1 | RuntimeError: generator raised StopIteration")
def failure_stop_iteration_in_a_map(env: Env) -> Any:
    """CONTRACT 19."""

    def f(n: int) -> int:
        if n == 2:
            raise StopIteration
        return n

    return flow.wrap([1, 2, 3]).map(f)


@case("1 | RuntimeError: failure_stop_iteration_in_take_while.<locals>.f raised StopIteration")
def failure_stop_iteration_in_take_while(env: Env) -> Any:
    def f(n: int) -> bool:
        if n == 2:
            raise StopIteration
        return True

    return flow.wrap([1, 2, 3]).take_while(f)


@case("1 | RuntimeError: generator raised StopIteration")
def failure_stop_iteration_in_a_classic_stage(env: Env) -> Any:
    def classic() -> Generator[Any]:
        yield 1
        next(iter(()))

    return flow.wrap(classic)


@case(" | RuntimeError: coroutine raised StopIteration")
def failure_stop_iteration_in_a_coroutine(env: Env) -> Any:
    async def fetch(n: int) -> int:
        await env.pause(1)
        raise StopIteration

    return flow.wrap([1]).map(fetch)


@case("1 | ExceptionGroup[ValueError: source, KeyError: 'cleanup']")
def failure_of_a_cleanup_joins(env: Env) -> Any:
    """CONTRACT 16: a failure while closing never hides the first one and is never dropped."""

    class Rows:
        def __init__(self) -> None:
            self.rows = iter([1])

        def __iter__(self) -> Rows:
            return self

        def __next__(self) -> int:
            for row in self.rows:
                return row
            raise ValueError("source")

        def close(self) -> None:
            raise KeyError("cleanup")

    return flow.wrap([None]) | (lambda rows: Rows())


@case("1 | KeyError: 'cleanup'")
def failure_of_a_cleanup_alone(env: Env) -> Any:
    def source() -> Generator[Any]:
        try:
            yield 1
        finally:
            raise KeyError("cleanup")

    return flow.wrap(source)


@case("1 | KeyError: 'cleanup'", how="open", count=1)
def failure_of_a_cleanup_when_left(env: Env) -> Any:
    def source() -> Generator[Any]:
        try:
            yield 1
            yield 2
        finally:
            raise KeyError("cleanup")

    return flow.wrap(source) | env.through("below")


@case("'ValueError: source', 'went on' | end")
def failure_that_a_stage_catches(env: Env) -> Any:
    def catch(rows: Any) -> Generator[Any]:
        try:
            yield from rows
        except ValueError as error:
            yield short(error)
        env.sleep(1)
        yield "went on"

    return flow.wrap(env.source("source", fail=ValueError("source"))) | catch


# --------------------------------------------------------------------------------------------------------------------
# Leaving early


@case("1 | left", how="break", count=1)
def left_by_break(env: Env) -> Any:
    return flow.wrap(env.source("source", 1, 2, 3)) | env.through("a") | env.through("b")


@case("1 | ", how="break", count=1, after=9)
def left_by_break_with_cleanups_that_wait(env: Env) -> Any:
    source = env.source("source", 1, 2, 3, cleanup=1)
    return flow.wrap(source) | env.through("a", cleanup=2) | env.through("b")


@case("1 | left", how="open", count=1)
def left_by_leaving_the_scope(env: Env) -> Any:
    source = env.source("source", 1, 2, 3, cleanup=1)
    return flow.wrap(source) | env.through("a", cleanup=2) | env.through("b")


@case(" | left", how="open", count=0)
def left_before_the_first_row(env: Env) -> Any:
    """CONTRACT 4: nothing was opened, so nothing is closed."""
    return flow.wrap(env.source("source", 1)) | env.through("a")


@case("1 | left", how="open", count=1)
def left_while_inputs_wait(env: Env) -> Any:
    return flow.Merge(
        flow.wrap(env.source("a", 1, 2, cleanup=1)) | env.through("below a"),
        flow.wrap(env.source("b", "never", delay=9, cleanup=2)),
        env.source("c", 3, 4),
    )


@case("1 | left", how="open", count=1, ahead=True)
def left_while_an_async_stage_waits(env: Env) -> Any:
    async def stage(rows: Any) -> AsyncIterator[int]:
        try:
            async for row in rows:
                yield row
                await env.pause(9)
        finally:
            env.note("stage", "closed")  # what it may await here is for the loop's own rules: see tests/loops

    return flow.wrap(env.source("source", 1, 2, cleanup=1)) | stage


@case("1 | left", how="open", count=1)
def left_inside_a_classic_reading(env: Env) -> Any:
    def classic() -> Generator[Any, Any]:
        source = flow.wrap(env.source("source", 1, 2, 3, cleanup=1))
        try:
            yield source
            yield next(source)
            yield source
            yield next(source)
        finally:
            env.note("classic", "closed")

    return flow.wrap(classic)


# --------------------------------------------------------------------------------------------------------------------
# Cancels


@case(" | cancelled", how="cancel", cancelled_at=1)
def cancelled_in_a_sleep(env: Env) -> Any:
    return flow.wrap(env.source("source", 1, delay=9)) | env.through("a") | env.through("b")


@case("1 | cancelled", how="cancel", cancelled_at=2.5)
def cancelled_in_an_awaitable(env: Env) -> Any:
    async def fetch() -> None:
        await env.pause(9)

    def plain(rows: Any) -> Generator[Any]:
        try:
            for row in rows:
                yield row
                flow.wait(fetch())
        except BaseException as error:
            env.saw("plain", error)
            raise

    return flow.wrap(env.source("source", 1, 2, delay=1)) | plain


@case(" | cancelled", how="cancel", cancelled_at=1)
def cancelled_in_a_deferred(env: Env) -> Any:
    def plain(rows: Any) -> Generator[Any]:
        d: defer.Deferred[None] = defer.Deferred(lambda _: env.note("the Deferred", "is cancelled"))
        yield flow.wait(d)

    return flow.wrap([]) | plain | env.through("below")


@case(" | cancelled", how="cancel", cancelled_at=1)
def cancelled_in_a_future(env: Env) -> Any:
    future: Future[None] = Future()

    def plain(rows: Any) -> Generator[Any]:
        try:
            yield flow.wait(future)
        finally:
            env.note("the future is cancelled", future.cancelled())

    return flow.wrap([]) | plain | env.through("below")


@case(" | cancelled", how="cancel", cancelled_at=1)
def cancelled_in_an_own_instruction(env: Env) -> Any:
    class Handle:
        def cancel(self) -> None:
            env.note("the handle", "is cancelled")

    def plain(rows: Any) -> Generator[Any]:
        yield flow.wait(Called(lambda resume: Handle()))

    return flow.wrap([]) | plain | env.through("below")


@case("1 | cancelled", how="cancel", cancelled_at=2)
def cancelled_with_cleanups_that_wait(env: Env) -> Any:
    source = env.source("source", 1, 2, delay=1.5, cleanup=1)
    return flow.wrap(source) | env.through("a", cleanup=1) | env.through("b")


@case("1 | cancelled", how="cancel", cancelled_at=2)
def cancelled_while_inputs_wait(env: Env) -> Any:
    return flow.Merge(
        flow.wrap(env.source("a", 1, 2, delay=1.5, cleanup=2)) | env.through("below a"),
        flow.wrap(env.source("b", "never", delay=9, cleanup=1)),
    )


@case(" | cancelled", how="cancel", cancelled_at=1)
def cancelled_while_a_zip_waits(env: Env) -> Any:
    return flow.Zip(env.source("a", 1, 2), env.source("b", "never", delay=9)) | env.through("below")


@case("1 | cancelled", how="cancel", cancelled_at=1, ahead=True)
def cancelled_while_an_async_stage_waits(env: Env) -> Any:
    async def stage(rows: Any) -> AsyncIterator[int]:
        try:
            async for row in rows:
                yield row
                await env.pause(9)
        except BaseException as error:
            env.note("stage", "saw", short(error))
            raise
        finally:
            env.note("stage", "closed")

    return flow.wrap(env.source("source", 1, 2)) | stage | env.through("below")


@case("1 | cancelled", how="cancel", cancelled_at=1)
def cancelled_while_a_callback_waits(env: Env) -> Any:
    ticks: flow.Callback[int] = flow.Callback()
    ticks(1)
    return ticks | env.through("below")


@case(" | cancelled", how="cancel", cancelled_at=1)
def cancelled_beside_a_full_thread(env: Env) -> Any:
    def slow(rows: Any) -> Generator[Any]:
        for row in rows:
            env.sleep(9)
            yield row

    return flow.Threaded(Blocking(env, *range(100)), limit=2) | slow


@case("1, 2 | cancelled", how="cancel", cancelled_at=2.5)
def cancelled_though_a_stage_swallows_it(env: Env) -> Any:
    """CONTRACT 15: a stage that swallows the cancel is asked again at its next wait."""

    def stubborn() -> Generator[Any]:
        for n in (1, 2, 3, 4):
            try:
                env.sleep(1)
            except BaseException as error:
                env.saw("stubborn", error)
                env.sleep(0.25)
                env.note("never gets here")
            yield n

    return flow.wrap(stubborn)


@case("1, 2 | end", how="cancel", cancelled_at=9)
def cancelled_after_the_end(env: Env) -> Any:
    return flow.wrap([1, env.cooperate(1), 2])


@case("1, 2 | cancelled", how="slow", cancelled_at=1.5)
def cancelled_between_two_rows(env: Env) -> Any:
    source = env.source("source", 1, 2, 3, cleanup=1)
    return flow.wrap(source) | env.through("a", cleanup=1)


@case("1 | cancelled", how="cancel", cancelled_at=1.5)
def cancelled_past_an_except_exception(env: Env) -> Any:
    """A stage's ``except Exception`` must not eat a cancel."""

    def tries_again(rows: Any) -> Generator[Any]:
        for row in rows:
            try:
                yield row
                env.sleep(1)
            except Exception as error:
                env.note("it ate", type(error).__name__)

    return flow.wrap(env.source("source", 1, 2, 3, delay=1)) | tries_again


@case(" | cancelled", how="cancel", cancelled_at=1)
def cancelled_while_another_flow_runs_inside(env: Env) -> Any:
    inner = flow.wrap(env.source("inner", 1, delay=9, cleanup=1))

    async def run_it(n: int) -> int:
        return sum(await inner)

    return flow.wrap(env.source("outer", 1, 2)).map(run_it)


@case("1 | cancelled", how="cancel", cancelled_at=1)
def cancelled_while_a_branch_awaits(env: Env) -> Any:
    """CONTRACT 14: what a branch awaits is over, its ``finally`` included, before control returns."""

    async def fetch(n: int) -> int:
        env.note("fetch", "opened")
        try:
            await env.pause(9)
        finally:
            env.note("fetch", "closed")
        return n

    return flow.Merge(flow.wrap([0]).map(fetch), env.source("b", 1, delay=0.5)) | env.through("below")


@case("1 | left", how="open", count=1, siblings=True)
def left_while_a_branch_awaits(env: Env) -> Any:
    async def fetch(n: int) -> int:
        env.note("fetch", "opened")
        try:
            await env.pause(9)
        finally:
            env.note("fetch", "closed")
        return n

    return flow.Merge(flow.wrap([0]).map(fetch), env.source("b", 1, 2, delay=1)) | env.through("below")


@case("1 | ValueError: b", siblings=True)
def failure_beside_a_branch_that_awaits(env: Env) -> Any:
    """CONTRACT 16: the others are cancelled and closed, then the failure is raised."""

    async def fetch(n: int) -> int:
        env.note("fetch", "opened")
        try:
            await env.pause(9)
        finally:
            env.note("fetch", "closed")
        return n

    return flow.Merge(flow.wrap([0]).map(fetch), flow.wrap(env.source("b", 1, fail=ValueError("b"), delay=1)))


# --------------------------------------------------------------------------------------------------------------------
# Flows in flows


@case("1, 'x', 'y', 2, 'x', 'y' | end")
def nested_for_in_a_stage(env: Env) -> Any:
    inner = flow.wrap(env.source("inner", "x", "y", delay=1))

    def stage(rows: Any) -> Generator[Any]:
        for row in rows:
            yield row
            yield from inner

    return flow.wrap(env.source("outer", 1, 2)) | stage


@case("1, 'x', 2, 'x' | end")
def nested_for_that_is_left(env: Env) -> Any:
    inner = flow.wrap(env.source("inner", "x", "y", cleanup=1))

    def stage(rows: Any) -> Generator[Any]:
        for row in rows:
            yield row
            with inner.open() as opened:
                yield next(opened)

    return flow.wrap(env.source("outer", 1, 2)) | stage


@case("6, 12 | end")
def nested_run_that_is_awaited(env: Env) -> Any:
    """CONTRACT 13: a stage which runs another flow."""

    async def total(n: int) -> int:
        rows = await flow.wrap(env.source("inner", 1, 2, 3, delay=1)).map(lambda row: n * row)
        return sum(rows)

    return flow.wrap([1, 2]).map(total)


@case("1, 'x', 'y', 2, 'x', 'y' | end", ahead=True)
def nested_run_in_an_async_stage(env: Env) -> Any:
    inner = flow.wrap(env.source("inner", "x", "y", delay=1))

    async def stage(rows: Any) -> AsyncIterator[Any]:
        async for row in rows:
            yield row
            async for other in inner:
                yield other

    return flow.wrap(env.source("outer", 1, 2)) | stage


@case("'LoopRunningError', 'NotReadyError' | end")
def nested_run_in_a_wrong_way(env: Env) -> Any:
    """A coroutine on the loop must not block it with ``for``, nor wait outside of a run."""

    async def wrong(rows: Any) -> AsyncIterator[Any]:
        try:
            list(flow.wrap([1]))
        except flow.NotReadyError as error:
            yield type(error).__name__
        try:
            flow.sleep(1)
        except flow.NotReadyError as error:
            yield type(error).__name__

    return flow.wrap([]) | wrong


@case("(1, 10), (1, 20), (2, 10), (2, 20) | end")
def nested_flat_map_of_merges(env: Env) -> Any:
    def inner(n: int) -> Any:
        return flow.Merge(env.source("a", 10, delay=1), env.source("b", 20, delay=2)).map(lambda row: (n, row))

    return flow.wrap([1, 2]).flat_map(inner)


@case("55 | end")
def a_chain_of_many_stages(env: Env) -> Any:
    stage = flow.wrap(env.source("source", 5, delay=1))
    for _ in range(50):
        stage = stage.map(lambda n: n + 1)
    return stage


# --------------------------------------------------------------------------------------------------------------------
# The cases of the other modules

for _path in sorted(Path(__file__).parent.glob("cases_*.py")):
    import_module(f".{_path.stem}", __package__)
