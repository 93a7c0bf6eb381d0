"""Random flows against a model of plain lists: CONTRACT 1-9 and 16.

A program is a source and some stages, drawn by Hypothesis. The model says which rows it gives, and which error ends
it. It is then run in a script and on a virtual asyncio loop (whole, row by row, in blocks, and broken off), with the
order of what is ready shuffled by a seed; what comes must be what the model says.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice, takewhile, zip_longest
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flow
from flow.testing import Tracked, nothing_left, virtual_time


class Planned(Exception):
    """The failure that a program is to end with."""


@dataclass
class Modelled:
    """What a program must give: these rows, then the end or Planned. `ordered`: in this order."""

    rows: list[Any]
    fails: bool = False
    ordered: bool = True

    def then(self, rows: list[Any]) -> Modelled:
        return Modelled(rows, self.fails, self.ordered)


@dataclass
class Program:
    """A stage, made anew by each call, and what it must give."""

    text: str
    make: Callable[[], flow.Stage[Any]]
    model: Modelled

    def __repr__(self) -> str:
        return f"{self.text} -> {self.model.rows}{' then Planned' if self.model.fails else ''}"


opened: list[Tracked[Any]] = []


def tracked(rows: Any = (), **options: Any) -> Tracked[Any]:
    made = Tracked(rows, **options)
    opened.append(made)
    return made


# ---------------------------------------------------------------------------------------------------------------------
# Sources


def classic(rows: list[Any], waits: int, fails: bool) -> Iterator[Any]:
    for number, row in enumerate(rows):
        if waits and number % waits == 0:
            yield flow.Cooperate(0.5)
        yield flow.Row(row)
    if fails:
        raise Planned


async def async_rows(rows: list[Any], waits: int, fails: bool) -> AsyncIterator[Any]:
    for number, row in enumerate(rows):
        if waits and number % waits == 0:
            await asyncio.sleep(0.5)
        yield row
    if fails:
        raise Planned


def from_callback(rows: list[Any], fails: bool) -> flow.Stage[Any]:
    callback = flow.Callback[Any](limit=100)
    for row in rows:
        callback.result(row)
    callback.errback(Planned()) if fails else callback.finish()
    return callback


values = st.one_of(
    st.integers(-3, 9), st.none(), st.sampled_from(["", "text", StopIteration(), ValueError("data"), [], 0.5])
)


@st.composite
def sources(draw: st.DrawFn) -> Program:
    rows = draw(st.lists(values, max_size=8))
    fails = draw(st.booleans()) and draw(st.booleans())
    waits = draw(st.integers(0, 3))
    kind = draw(st.sampled_from(["list", "tracked", "generator", "async", "callback", "iterator", "one"]))
    model = Modelled(list(rows), fails)
    if kind == "list":
        return Program(f"list {rows}", lambda: flow.wrap(list(rows)), Modelled(list(rows)))
    if kind == "iterator":
        return Program(f"iterator {rows}", lambda: flow.wrap(iter(rows)), Modelled(list(rows)))
    if kind == "one":
        return Program("one", lambda: flow.wrap("one row"), Modelled(["one row"]))
    if kind == "callback":
        return Program(f"callback {rows} {fails}", lambda: from_callback(rows, fails), model)
    if kind == "generator":
        return Program(
            f"classic {rows} {waits} {fails}", lambda: flow.wrap(partial(classic, rows, waits, fails)), model
        )
    if kind == "async":
        ahead = draw(st.integers(1, 5))
        make = partial(async_rows, rows, waits, fails)
        return Program(f"async {rows} {waits} {fails} {ahead}", lambda: flow.wrap(make, ahead=ahead), model)
    options: dict[str, Any] = {"delay": draw(st.sampled_from([0, 0.3])), "cleanup": draw(st.sampled_from([0, 0.2]))}
    if fails:
        options["fail"] = Planned()
    return Program(f"tracked {rows} {options}", lambda: flow.wrap(tracked(rows, **options)), model)


# ---------------------------------------------------------------------------------------------------------------------
# Stages


def slowly(rows: Iterator[Any]) -> Iterator[Any]:
    for row in rows:
        flow.sleep(0.1)
        yield row


def twice(rows: Iterator[Any]) -> Iterator[Any]:
    for row in rows:
        yield row
        yield row


async def relayed(rows: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for row in rows:
        yield row


async def as_text(row: Any) -> str:
    await asyncio.sleep(0.1)
    return repr(row)


def is_none(row: Any) -> bool:
    return row is None


def not_none(row: Any) -> bool:
    return row is not None


async def settled_text(row: Any) -> str:
    await asyncio.sleep(0.3 if row is None else 0.1)  # calls end in another order than they begin
    return repr(row)


# Stages that hand every row on as it is, in order, the failure after the rows: they hold, wait, watch or count.
PASSING: dict[str, Callable[[flow.Stage[Any]], flow.Stage[Any]]] = {
    "buffer(2)": lambda stage: stage.buffer(2),
    "buffer(0)": lambda stage: stage.buffer(0),
    "delay": lambda stage: stage.delay(0.2, limit=3),
    "rate_limit": lambda stage: stage.rate_limit(4, burst=2),
    "timeout": lambda stage: stage.timeout(idle=1000, total=100_000),
    "deadline": lambda stage: stage.deadline(100_000),
    "within": lambda stage: stage.batched(3, within=0.25).flat_map(list_of_rows),
    "weighed": lambda stage: stage.batched(9, weight=lambda row: 2, max_weight=5).flat_map(list_of_rows),
    "window": lambda stage: stage.window(2).flat_map(list_of_rows),
    "values": lambda stage: stage.as_values().from_values(),
    "hooks": lambda stage: stage.on_start(int).on_row(repr).on_end(repr).finally_(int),
    "valve": lambda stage: stage.through(flow.Valve()),
    "background": lambda stage: stage.background(flow.wrap(["not", "seen"])),
    "share": lambda stage: stage.share(),
    "recover": lambda stage: stage.recover(list, on=LookupError),
    "retry": lambda stage: stage.retry(flow.Retry(2, on=LookupError)),
    "flat_map 1 of 1": lambda stage: stage.flat_map(lambda row: [row], concurrency=1),
    "tee": lambda stage: stage.tee(1)[0],
    "tee and zip": lambda stage: flow.Zip(*stage.tee(2)).map(lambda rows: rows[1]),
    "race": lambda stage: flow.race(stage, []),
    "until": lambda stage: stage.until(flow.Callback[Any]()),
    "priorities": lambda stage: flow.Merge(stage, priority=[1]),
}

# Stages that hand every row on once, in an order that depends on who is quicker.
MIXING: dict[str, Callable[[flow.Stage[Any]], flow.Stage[Any]]] = {
    "partition": lambda stage: flow.Merge(*stage.partition(is_none)),
    "balance": lambda stage: flow.Merge(*stage.balance(2)),
    "route": lambda stage: stage.route(is_none).flat_map(lambda pair: pair[1], concurrency=2),
    "merge": lambda stage: stage.merge([]),
    "collect": lambda stage: flow.Merge(stage, slowly([]), on_error="collect"),
}


def list_of_rows(rows: tuple[Any, ...]) -> flow.Stage[Any]:
    return flow.wrap([flow.Row(row) for row in rows])


def below(program: Program, text: str, stage: Callable[[flow.Stage[Any]], flow.Stage[Any]], rows: list[Any]) -> Program:
    return Program(f"{program.text} | {text}", lambda: stage(program.make()), program.model.then(rows))


@st.composite
def piped(draw: st.DrawFn, inner: st.SearchStrategy[Program]) -> Program:
    program = draw(inner)
    rows, model = program.model.rows, program.model
    kind = draw(
        st.sampled_from(
            [
                "slow",
                "twice",
                "async",
                "map",
                "filter",
                "batched",
                "slice",
                "take",
                "enumerate",
                "trap",
                "flat",
                "tracked",
                "passing",
                "mixing",
                "calls",
                "unordered calls",
                "flat at once",
            ]
        )
    )
    if kind == "slow":
        return below(program, "slowly", lambda stage: stage | slowly, rows)
    if kind == "tracked":
        return below(program, "tracked", lambda stage: stage | tracked(), rows)
    if kind == "twice":
        return below(program, "twice", lambda stage: stage | twice, [row for row in rows for _ in range(2)])
    if kind == "async":
        return below(program, "relayed", lambda stage: stage | relayed, rows)
    if kind == "map":
        return below(program, "as_text", lambda stage: stage.map(as_text), [repr(row) for row in rows])
    if kind == "passing":
        name = draw(st.sampled_from(sorted(PASSING)))
        return below(program, name, PASSING[name], rows)
    if kind == "mixing":
        name = draw(st.sampled_from(sorted(MIXING)))
        mixed = below(program, name, MIXING[name], rows)
        mixed.model = Modelled(rows, model.fails, ordered=False)
        return mixed
    if kind == "calls":
        n = draw(st.integers(1, 4))
        made = [repr(row) for row in rows]
        return below(program, f"map(concurrency={n})", lambda stage: stage.map(settled_text, concurrency=n), made)
    if kind in ("unordered calls", "flat at once"):
        n = draw(st.integers(2, 4))
        if kind == "flat at once":
            made = [row for row in rows for _ in range(2)]
            mixed = below(
                program,
                f"flat_map(concurrency={n})",
                lambda stage: stage.flat_map(lambda row: flow.wrap([flow.Row(row)] * 2), concurrency=n),
                made,
            )
        else:
            mixed = below(
                program,
                f"map(concurrency={n}, ordered=False)",
                lambda stage: stage.map(settled_text, concurrency=n, ordered=False),
                [repr(row) for row in rows],
            )
        mixed.model = Modelled(mixed.model.rows, model.fails, ordered=False)
        return mixed
    if kind == "filter":
        return below(
            program, "not_none", lambda stage: stage.filter(not_none), [row for row in rows if row is not None]
        )
    if kind == "flat":
        made = [each for row in rows for each in [row] * 2]
        return below(program, "flat", lambda stage: stage.flat_map(lambda row: flow.wrap([flow.Row(row)] * 2)), made)
    if not model.ordered:
        return program
    if kind == "enumerate":
        return below(program, "enumerate", lambda stage: stage.enumerate(), list(enumerate(rows)))
    if kind == "batched":
        n = draw(st.integers(1, 4))
        batches = [tuple(rows[at : at + n]) for at in range(0, len(rows), n)]
        return below(program, f"batched({n})", lambda stage: stage.batched(n), batches)
    if kind == "slice":
        start, length = draw(st.integers(0, 4)), draw(st.integers(0, 6))
        cut = below(
            program, f"[{start}:{start + length}]", lambda s: s[start : start + length], rows[start : start + length]
        )
        reaches_the_end = length > 0 and len(rows) < start + length
        cut.model = Modelled(cut.model.rows, model.fails and reaches_the_end)
        return cut
    if kind == "take":
        taken = list(takewhile(not_none, rows))
        cut = below(program, "take_while", lambda stage: stage.take_while(not_none), taken)
        cut.model = Modelled(taken, model.fails and len(taken) == len(rows))
        return cut
    caught = below(program, "trap", lambda stage: flow.wrap(stage, Planned), rows)
    if model.fails:
        caught.model = Modelled([*rows, Planned], False)
    return caught


@st.composite
def combined(draw: st.DrawFn, inner: st.SearchStrategy[Program]) -> Program:
    programs = draw(st.lists(inner, min_size=1, max_size=3))
    text = f"({', '.join(each.text for each in programs)})"
    models = [each.model for each in programs]
    ordered = all(model.ordered for model in models)
    kind = draw(st.sampled_from(["Merge", "chain", "interleave", "merge_sorted", "Zip", "Zip-fill"]))
    if kind == "Merge" or (kind != "chain" and not ordered):
        rows = [row for model in models for row in model.rows]
        merged = Modelled(rows, any(model.fails for model in models), ordered=len(programs) == 1 and ordered)
        return Program(f"Merge{text}", lambda: flow.Merge(*[each.make() for each in programs]), merged)
    if kind == "chain":
        chained = Modelled([], ordered=ordered)
        for model in models:
            chained = Modelled([*chained.rows, *model.rows], model.fails, ordered)
            if model.fails:
                break
        return Program(f"chain{text}", lambda: flow.chain(*[each.make() for each in programs]), chained)
    if kind == "interleave":
        return Program(f"interleave{text}", lambda: flow.interleave(*[each.make() for each in programs]), turns(models))
    if any(model.fails for model in models):
        return programs[0]
    if kind == "merge_sorted":
        rows = list(heapq.merge(*[model.rows for model in models], key=is_none))
        return Program(
            f"merge_sorted{text}",
            lambda: flow.merge_sorted(*[each.make() for each in programs], key=is_none),
            Modelled(rows),
        )
    if kind == "Zip":
        rows = list(zip(*[model.rows for model in models], strict=False))
        return Program(f"Zip{text}", lambda: flow.Zip(*[each.make() for each in programs]), Modelled(rows))
    rows = list(zip_longest(*[model.rows for model in models], fillvalue="-"))
    return Program(f"Zip-fill{text}", lambda: flow.Zip(*[each.make() for each in programs], fill="-"), Modelled(rows))


def turns(models: list[Modelled]) -> Modelled:
    """A row of each in turn, until one that fails has given all of its own, and it is its turn."""
    rows: list[Any] = []
    left = deque((deque(model.rows), model.fails) for model in models)
    while left:
        own, fails = left.popleft()
        if own:
            rows.append(own.popleft())
            left.append((own, fails))
        elif fails:
            return Modelled(rows, True)
    return Modelled(rows)


programs = st.recursive(sources(), lambda inner: st.one_of(piped(inner), piped(inner), combined(inner)), max_leaves=6)


# ---------------------------------------------------------------------------------------------------------------------
# The comparison


def key(row: Any) -> Any:
    """Rows of any value, made comparable: exceptions compare by type and text."""
    if isinstance(row, (tuple, list)):
        return (type(row).__name__, *map(key, row))
    if isinstance(row, Planned) or row is Planned:
        return "Planned"
    return (type(row).__name__, repr(row))


def check(program: Program, got: list[Any], failed: bool, whole: bool = True) -> None:
    model = program.model
    expected, seen = [key(row) for row in model.rows], [key(row) for row in got]
    if model.ordered:
        assert seen == (expected if whole else expected[: len(seen)])
    elif whole and not model.fails:
        assert Counter(seen) == Counter(expected)
    else:  # one input failed: what the others had not made yet does not come
        assert not Counter(seen) - Counter(expected)
    if whole:
        assert failed == model.fails


def planned(error: BaseException) -> bool:
    """Is it Planned, or several of them? Several inputs may fail in the same turn."""
    return isinstance(error, Planned) or (isinstance(error, ExceptionGroup) and all(map(planned, error.exceptions)))


def settled() -> None:
    nothing_left(*opened)
    opened.clear()


@settings(max_examples=300, deadline=None)
@given(programs)
def test_a_script_gives_what_the_model_says(program: Program) -> None:
    """CONTRACT 1, 2, 3, 5, 6, 8, 9, 16: read by ``for`` in a script."""
    with virtual_time():
        got, failed = [], False
        try:
            for row in program.make():
                got.append(row)
        except Exception as error:
            assert planned(error)
            failed = True
        check(program, got, failed)
    settled()


@settings(max_examples=300, deadline=None)
@given(programs, st.sampled_from(["rows", "list", "blocks"]), st.one_of(st.none(), st.integers(0, 1000)))
def test_asyncio_gives_what_the_model_says(program: Program, way: str, seed: int | None) -> None:
    """CONTRACT 1, 2, 3, 5, 6, 8, 9, 16: read by ``async for``, ``await`` and ``.blocks()``, with shuffled turns."""

    async def main() -> tuple[list[Any], bool]:
        got: list[Any] = []
        try:
            stage = program.make()
            if way == "rows":
                async with stage.open(cleanup=float("inf")) as rows:  # time may jump over any deadline here
                    async for row in rows:
                        got.append(row)
            elif way == "list":
                got = await stage
            else:
                async for block in stage.blocks():
                    assert block
                    got += block
        except Exception as error:
            assert planned(error)
            if way == "list":
                got = list(program.model.rows)  # a list that failed is not had
            return got, True
        return got, False

    with virtual_time(seed if way == "rows" else None) as clock:
        got, failed = clock.run(main())
        check(program, got, failed)
    settled()


@settings(max_examples=200, deadline=None)
@given(programs, st.integers(0, 12), st.integers(0, 1000))
def test_broken_off_runs_give_the_first_rows(program: Program, count: int, seed: int) -> None:
    """CONTRACT 2, 4, 14: a reader that stops gets the first rows, all is closed, and a script closes the same way."""

    async def main() -> list[Any]:
        got = []
        async with program.make().open(cleanup=float("inf")) as rows:
            for _ in range(count):
                try:
                    got.append(await anext(rows))
                except StopAsyncIteration:
                    break
                except Exception as error:
                    assert planned(error)
                    break
        return got

    with virtual_time(seed) as clock:
        check(program, clock.run(main()), False, whole=False)
    settled()
    with virtual_time():
        try:
            check(program, list(islice(program.make(), count)), False, whole=False)
        except Exception as error:
            assert planned(error)
            assert program.model.fails
    settled()


@settings(max_examples=150, deadline=None)
@given(programs, st.floats(0, 3), st.integers(0, 1000))
def test_cancelled_runs_give_the_first_rows_and_close(program: Program, after: float, seed: int) -> None:
    """CONTRACT 14, 15: cancelled at any time, the rows so far were the first ones, and everything is closed."""
    got: list[Any] = []

    async def read() -> None:
        async with program.make().open(cleanup=float("inf")) as rows:
            async for row in rows:
                got.append(row)

    async def main() -> None:
        task = asyncio.create_task(read())
        await asyncio.wait([task], timeout=after)
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and task.exception() is not None:
            assert planned(task.exception())

    with virtual_time(seed) as clock:
        clock.run(main())
        check(program, got, False, whole=False)
    settled()


def test_the_comparison_finds_a_lost_row() -> None:
    """The model itself is tested: a stage that loses a row on a wait is found."""

    def losing(rows: Iterator[Any]) -> Iterator[Any]:
        for row in rows:
            if row == 3:
                continue
            yield row

    program = Program("losing", lambda: flow.wrap([1, 3]) | losing, Modelled([1, 3]))
    with pytest.raises(AssertionError):
        check(program, list(program.make()), False)
