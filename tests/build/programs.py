"""Random programs of stages, and everything that can be seen of a run of one: for both builds of the core.

A program is made of tuples, lists and literals, so that its text can be given to a process in which the other build
runs (`Other`), and its log can come back. The log has each row, each step of each generator, the exception that is
handled there, each closing with its time, and how the run ended, the user's frames in the traceback included.
"""

from __future__ import annotations

import ast
import asyncio
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

import flow
from flow.testing import virtual_time

__all__ = ["READERS", "Other", "log_of", "programs"]

Log = Callable[[str], None]


# ---------------------------------------------------------------------------------------------------------------------
# Programs

ROWS = st.one_of(st.integers(-2, 5), st.none(), st.booleans(), st.sampled_from(["", "text", 0.5, (), (1, 2)]))
ACTIONS = st.one_of(
    st.tuples(st.just("row"), ROWS),
    st.tuples(st.just("row"), ROWS),
    st.tuples(st.just("packed"), ROWS),
    st.tuples(st.just("object"), ROWS),
    st.tuples(st.just("cooperate"), st.sampled_from([0, 0.25])),
    st.tuples(st.just("await"), ROWS),
    st.tuples(st.just("await failing"), ROWS),
    st.tuples(st.just("uncaught"), ROWS),
    st.tuples(st.just("call"), ROWS),
    st.tuples(st.just("fail"), ROWS),
    st.tuples(st.just("stop"), ROWS),
    st.tuples(st.just("handling"), ROWS),
)
SCRIPTS = st.lists(ACTIONS, max_size=7)
SOURCES = st.one_of(
    st.tuples(st.just("list"), st.lists(st.one_of(ROWS, st.sampled_from(["cooperate", "packed"])), max_size=90)),
    st.tuples(st.just("range"), st.integers(0, 200)),
    st.tuples(st.just("set"), st.integers(0, 90)),
    st.tuples(st.just("classic"), SCRIPTS, st.sampled_from([0, 0.5])),
    st.tuples(st.just("iterator"), SCRIPTS),
)


def _below(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.tuples(st.just("plain"), inner),
        st.tuples(st.just("slow"), inner),
        st.tuples(st.just("asks"), inner, SCRIPTS),
        st.tuples(st.just("loops"), inner),
        st.tuples(st.just("relayed"), inner),
        st.tuples(st.just("broken"), inner, st.integers(0, 5)),
        st.tuples(st.just("merge"), st.lists(inner, min_size=1, max_size=3)),
    )


programs = st.recursive(SOURCES, _below, max_leaves=5)


class Odd:
    """A row of a type that flow has not met."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        return f"Odd({self.value!r})"


async def _awaited(value: Any) -> Any:
    await asyncio.sleep(0.125)
    return value


async def _failing(value: Any) -> Any:
    await asyncio.sleep(0)
    raise LookupError(repr(value))


def _act(script: list[Any], log: Log) -> Iterator[Any]:
    """What a generator does that can be given to `flow.wrap`."""
    for action, value in script:
        log(f"{action} {value!r}, handling {sys.exception()!r}")
        if action == "row":
            yield value
        elif action == "packed":
            yield flow.Row(value)
        elif action == "object":
            yield Odd(value)
        elif action == "cooperate":
            log(f"gave {(yield flow.Cooperate(value))!r}")
        elif action == "await":
            log(f"gave {(yield _awaited(value))!r}")
        elif action == "await failing":
            try:
                yield _failing(value)
            except LookupError as error:
                log(f"raised {error!r}")
                yield "raised"
        elif action == "uncaught":
            yield _failing(value)
        elif action == "call":
            log(f"returned {flow.wait(_awaited(value))!r}")
        elif action == "fail":
            raise ValueError(value)
        elif action == "stop":
            raise StopIteration(value)
        elif action == "handling":
            try:
                raise KeyError(value)
            except KeyError:
                yield value
                yield flow.Cooperate(0)
                log(f"still handling {sys.exception()!r}")


def _stage(program: Any, log: Log) -> flow.Stage[Any]:
    kind, first, *rest = program
    if kind == "list":
        rows = [
            {"cooperate": flow.Cooperate(0.5), "packed": flow.Row([])}.get(row, row) if isinstance(row, str) else row
            for row in first
        ]
        return flow.wrap(rows)
    if kind == "range":
        return flow.wrap(range(first))
    if kind == "set":
        return flow.wrap(dict.fromkeys(range(first)).keys())
    if kind == "classic":

        def classic() -> Iterator[Any]:
            try:
                yield from _act(first, log)
            except BaseException as error:
                log(f"classic: {type(error).__name__}")
                raise
            finally:
                flow.sleep(rest[0])
                log("classic: closed")

        return flow.wrap(classic)
    if kind == "iterator":
        return flow.wrap(_Counted(len(first), log))
    if kind == "merge":
        return flow.Merge(*[_stage(each, log) for each in first])
    return _pipe(_stage(first, log), kind, rest, log)


def _pipe(inner: flow.Stage[Any], kind: str, rest: list[Any], log: Log) -> flow.Stage[Any]:
    def plain(rows: Iterator[Any]) -> Iterator[Any]:
        try:
            for row in rows:
                log(f"{kind} has {row!r}, handling {sys.exception()!r}")
                if kind == "slow":
                    flow.sleep(0.1)
                yield row
                if kind == "broken" and row == rest[0]:
                    break
        finally:
            log(f"{kind}: closed")

    def asks() -> Iterator[Any]:
        yield from _act(rest[0], log)
        while True:
            yield inner
            try:
                row = next(inner)
            except StopIteration:
                break
            yield flow.Row(row)

    def loops() -> Iterator[Any]:
        yield inner
        for row in inner:
            yield row
            yield inner

    async def relayed(rows: Any) -> Any:
        async for row in rows:
            yield row

    if kind == "asks":
        return flow.wrap(asks)
    if kind == "loops":
        return flow.wrap(loops)
    return inner | (relayed if kind == "relayed" else plain)


class _Counted:
    """An iterator that must not be asked again after its end."""

    def __init__(self, number: int, log: Log) -> None:
        self.left = number
        self.log = log

    def __iter__(self) -> _Counted:
        return self

    def __next__(self) -> int:
        self.left -= 1
        if self.left == -1:
            self.log("counted: ended")
            raise StopIteration
        assert self.left >= 0, "asked again after its end"
        return self.left


# ---------------------------------------------------------------------------------------------------------------------
# Readers


def _script(stage: flow.Stage[Any], log: Log, count: int) -> None:
    for row in stage:
        log(f"row {row!r}")


def _some(stage: flow.Stage[Any], log: Log, count: int) -> None:
    with stage.open() as rows:
        for row in islice(rows, count):
            log(f"row {row!r}")


async def _rows(stage: flow.Stage[Any], log: Log, count: int) -> None:
    async for row in stage:
        log(f"row {row!r}")


async def _list(stage: flow.Stage[Any], log: Log, count: int) -> None:
    log(f"rows {await stage!r}")


async def _blocks(stage: flow.Stage[Any], log: Log, count: int) -> None:
    async for block in stage.blocks():
        for row in block:
            log(f"row {row!r}")


async def _broken(stage: flow.Stage[Any], log: Log, count: int) -> None:
    async with stage.open() as rows:
        for _ in range(count):
            log(f"row {await anext(rows)!r}")


async def _cancelled(stage: flow.Stage[Any], log: Log, count: int) -> None:
    async with asyncio.timeout(count / 10):
        async for row in stage:
            log(f"row {row!r}")
            await asyncio.sleep(0.05)


READERS: dict[str, Any] = {
    "script": _script,
    "some": _some,
    "rows": _rows,
    "list": _list,
    "blocks": _blocks,
    "broken": _broken,
    "cancelled": _cancelled,
}


def _described(error: BaseException) -> str:
    """An error with its parts, its notes, and the frames of the user's code in its traceback."""
    frames = [each.name for each in traceback.extract_tb(error.__traceback__) if each.filename == __file__]
    parts = [_described(each) for each in getattr(error, "exceptions", ())]
    text = str(error) if not isinstance(error, RecursionError) else ""
    return f"{type(error).__name__}({text}) {getattr(error, '__notes__', [])} in {frames} {parts}"


def log_of(program: Any, reader: str, count: int) -> list[str]:
    """All that can be seen of one run."""
    log: list[str] = []
    with virtual_time() as clock:

        def timed(text: str) -> None:
            log.append(f"{clock.time():.3f} {text}")

        try:
            done = READERS[reader](_stage(program, timed), timed, count)
            if asyncio.iscoroutine(done):
                clock.run(done)
        except (Exception, asyncio.CancelledError) as error:
            timed(f"ended by {_described(error)}")
        else:
            timed("ended")
    return log


# ---------------------------------------------------------------------------------------------------------------------
# The other build


class Other:
    """A process in which the core runs as the other build."""

    def __init__(self, pure: bool) -> None:
        code = f"import sys; sys.path[:0] = {sys.path!r}; from tests.build.programs import serve; serve()"
        self._process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env={**os.environ, "FLOW_PURE": "1" if pure else "0"},
            cwd=Path(__file__).parents[2],
        )
        self.build: str = self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the process of the other build has died"
        return ast.literal_eval(line)

    def log_of(self, program: Any, reader: str, count: int) -> list[str]:
        assert self._process.stdin is not None
        print(repr((program, reader, count)), file=self._process.stdin, flush=True)
        answer: list[str] = self._answer()
        return answer

    def close(self) -> None:
        self._process.communicate()


def serve() -> None:
    from flow import _build

    print(repr(_build.running().name), flush=True)
    for line in sys.stdin:
        print(repr(log_of(*ast.literal_eval(line))), flush=True)
