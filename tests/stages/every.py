"""What tests/stages/test_every_stage.py runs: a sample of every stage there is, by its name in the table of operators.

A stage that is new needs a line here, or a reason in EXEMPT: a test compares both with the table.
"""

from __future__ import annotations

import io
import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import flow

__all__ = ["EXEMPT", "SAMPLES", "Sample"]

Make = Callable[..., "flow.Stage[Any]"]
FAR = 10.0**6
"""Seconds that no test comes to."""


@dataclass(frozen=True)
class Sample:
    """A stage over `inputs` sources of `rows`, and what it says of itself.

    `ahead`: rows that it may have asked a source for beyond what its reader's rows needed; None: it never holds its
    source back, and drops. `needs`: rows of a source that one row of it needs. `holds`: rows that it may hold, and one
    on its way at each input. `ordered`: as for torture. `catches`: a failure from above does not end it. `loses`: rows
    before a failure may be its affair (it chooses among inputs, or repeats). `wrong`: what must fail when it is built.
    """

    make: Make
    inputs: int = 1
    rows: tuple[Any, ...] = ("a", "b", "c", "d")
    ahead: int | None = 0
    needs: int = 1
    holds: int = 1
    ordered: bool | None = True
    flat: bool = False
    patient: bool = False
    cycles: bool = False
    catches: bool = False
    loses: bool = False
    wrong: tuple[Callable[[flow.Stage[Any]], object], ...] = ()


def passed(rows: Iterator[Any], *_: Any) -> Iterator[Any]:
    for row in rows:  # noqa: UP028  # a loop of the user's
        yield row


def same(row: Any) -> Any:
    return row


async def later(row: Any) -> Any:
    return row


def true(row: Any) -> bool:
    return True


def nothing(*_: Any) -> None:
    return None


def side_by_side(*stages: flow.Stage[Any]) -> flow.Stage[Any]:
    return flow.Merge(*stages)


def resumed(rows: flow.Stage[Any]) -> flow.Stage[Any]:
    return rows.retry(flow.Retry(2, backoff=1))


def pushed() -> flow.Stage[Any]:
    made: flow.Callback[str] = flow.Callback(limit=4)
    for row in "abc":
        made.result(row)
    made.finish()
    return made


def classic(rows: flow.Stage[Any]) -> flow.Stage[Any]:
    def again() -> Iterator[Any]:
        while True:
            yield rows
            try:
                yield next(rows)
            except StopIteration:
                return

    return flow.wrap(again)


def shared(rows: flow.Stage[Any]) -> flow.Stage[Any]:
    one = rows.share(limit=2)
    return side_by_side(one, one)


def taken(*inputs: flow.Stage[Any]) -> flow.Stage[Any]:
    """What Concurrent is for: the row of the stage that it gives."""

    def told_apart() -> Iterator[Any]:
        for stage in flow.Concurrent(*inputs):
            yield next(stage)

    return flow.wrap(told_apart)


def quiet() -> Any:
    from rich.console import Console

    return Console(file=io.StringIO())


async def for_ever() -> None:
    import asyncio

    await asyncio.sleep(FAR)


# What a number of rows, or of seconds, can't be.
def bounds(call: Callable[[flow.Stage[Any], Any], object]) -> tuple[Callable[[flow.Stage[Any]], object], ...]:
    return tuple(lambda rows, bad=bad: call(rows, bad) for bad in (0, -1, float("nan"), "2", None, 1.5))  # type: ignore[misc]


def seconds(call: Callable[[flow.Stage[Any], Any], object]) -> tuple[Callable[[flow.Stage[Any]], object], ...]:
    return tuple(lambda rows, bad=bad: call(rows, bad) for bad in (-1, float("nan"), "2"))  # type: ignore[misc]


def functions(call: Callable[[flow.Stage[Any], Any], object]) -> tuple[Callable[[flow.Stage[Any]], object], ...]:
    return tuple(lambda rows, bad=bad: call(rows, bad) for bad in (1, "f"))  # type: ignore[misc]


BYTES = (b"ab\n", b"cd\n", b"ef\n", b"gh\n")

SAMPLES: dict[str, Sample] = {
    # core
    "rows | f": Sample(lambda rows: rows | passed),
    "rows | f: async": Sample(lambda rows: rows | _async_passed, ahead=17, holds=18),
    "rows.pipe": Sample(lambda rows: rows.pipe(passed, 1)),
    "rows[a:b:c]": Sample(lambda rows: rows[0:99:1], wrong=(lambda rows: rows[-1:], lambda rows: rows[1])),
    "flow.wrap": Sample(classic, wrong=(lambda rows: flow.wrap(lambda: 5), lambda rows: flow.wrap(rows, 5))),
    # stages/transform.py and calls.py
    "rows.map": Sample(lambda rows: rows.map(same), wrong=functions(lambda rows, bad: rows.map(bad))),
    "rows.map: async": Sample(lambda rows: rows.map(later)),
    "rows.map: concurrent": Sample(
        lambda rows: rows.map(later, concurrency=2),
        ahead=5,
        holds=7,
        wrong=bounds(lambda rows, bad: rows.map(same, concurrency=bad)),
    ),
    "rows.map: unordered": Sample(
        lambda rows: rows.map(later, concurrency=2, ordered=False), ahead=5, holds=7, ordered=False
    ),
    "rows.map: by key": Sample(lambda rows: rows.map(same, concurrency=2, key=same), ahead=5, holds=7),
    "rows.flat_map": Sample(
        lambda rows: rows.flat_map(lambda row: [row]), wrong=functions(lambda rows, bad: rows.flat_map(bad))
    ),
    "rows.flat_map: concurrent": Sample(
        lambda rows: rows.flat_map(lambda row: [row], concurrency=2),
        ahead=4,
        holds=15,
        cycles=True,
        ordered=False,
        wrong=bounds(lambda rows, bad: rows.flat_map(same, concurrency=bad)),
    ),
    "rows.filter": Sample(lambda rows: rows.filter(true), wrong=functions(lambda rows, bad: rows.filter(bad))),
    "rows.enumerate": Sample(lambda rows: rows.enumerate()),
    "rows.take_while": Sample(
        lambda rows: rows.take_while(true), wrong=functions(lambda rows, bad: rows.take_while(bad))
    ),
    "rows.drop_while": Sample(
        lambda rows: rows.drop_while(lambda row: row == "z"), wrong=functions(lambda rows, bad: rows.drop_while(bad))
    ),
    "flow.Map": Sample(lambda rows: flow.Map(same, rows), wrong=functions(lambda rows, bad: flow.Map(bad, rows))),
    "flow.Map: of two": Sample(
        lambda a, b: flow.Map(lambda x, y: (x, y), a, b), inputs=2, ahead=1, holds=2, loses=True
    ),
    "flow.Filter": Sample(
        lambda rows: flow.Filter(true, rows), wrong=functions(lambda rows, bad: flow.Filter(bad, rows))
    ),
    "flow.FlatMap": Sample(
        lambda rows: flow.FlatMap(lambda row: [row], rows), wrong=functions(lambda rows, bad: flow.FlatMap(bad, rows))
    ),
    # stages/batch.py and window.py
    "rows.batched": Sample(
        lambda rows: rows.batched(2), flat=True, needs=2, holds=3, wrong=bounds(lambda rows, bad: rows.batched(bad))
    ),
    "rows.batched: within": Sample(
        lambda rows: rows.batched(2, within=0.1),
        needs=2,
        holds=4,
        ordered=None,
        wrong=seconds(lambda rows, bad: rows.batched(2, within=bad)),
    ),
    "rows.batched: by weight": Sample(
        lambda rows: rows.batched(9, weight=lambda row: 1, max_weight=2),
        flat=True,
        needs=3,
        holds=4,
        wrong=(lambda rows: rows.batched(2, weight=len), lambda rows: rows.batched(2, weight=1, max_weight=2)),
    ),
    "flow.batched": Sample(
        lambda rows: rows | flow.batched(2),
        flat=True,
        needs=2,
        holds=3,
        wrong=bounds(lambda rows, bad: flow.batched(bad)),
    ),
    "rows.window": Sample(
        lambda rows: rows.window(2), flat=True, needs=2, holds=3, wrong=bounds(lambda rows, bad: rows.window(bad))
    ),
    "rows.window: sliding": Sample(lambda rows: rows.window(2, step=1), flat=True, needs=2, holds=4),
    "rows.window: by time": Sample(
        lambda rows: rows.window(seconds=2.5, most=3),
        ahead=None,
        needs=3,
        holds=9,
        ordered=None,
        wrong=seconds(lambda rows, bad: rows.window(seconds=bad)),
    ),
    "rows.window: by gap": Sample(
        lambda rows: rows.window(gap=0.5, most=3),
        ahead=None,
        needs=3,
        holds=9,
        ordered=None,
        wrong=seconds(lambda rows, bad: rows.window(gap=bad)),
    ),
    # stages/timing.py
    "flow.every": Sample(
        lambda: flow.every(1)[:3], inputs=0, wrong=seconds(lambda rows, bad: flow.every(bad)), ordered=None
    ),
    "rows.delay": Sample(
        lambda rows: rows.delay(1, limit=2), ahead=3, holds=4, wrong=seconds(lambda rows, bad: rows.delay(bad))
    ),
    "rows.delay: start": Sample(lambda rows: rows.delay(start=1)),
    "rows.rate_limit": Sample(
        lambda rows: rows.rate_limit(2), wrong=bounds(lambda rows, bad: rows.rate_limit(bad))[:4]
    ),
    "rows.debounce": Sample(
        lambda rows: rows.debounce(0.5),
        ahead=None,
        holds=4,
        ordered=None,
        wrong=seconds(lambda rows, bad: rows.debounce(bad)),
    ),
    "rows.sample": Sample(
        lambda rows: rows.sample(0.5),
        ahead=None,
        holds=4,
        ordered=None,
        wrong=seconds(lambda rows, bad: rows.sample(bad)),
    ),
    "rows.timeout": Sample(
        lambda rows: rows.timeout(item=FAR, total=2 * FAR),
        patient=True,
        wrong=(lambda rows: rows.timeout(), *seconds(lambda rows, bad: rows.timeout(item=bad))),
    ),
    "rows.keep_alive": Sample(
        lambda rows: rows.keep_alive(FAR, "-"), patient=True, wrong=seconds(lambda rows, bad: rows.keep_alive(bad, "-"))
    ),
    "rows.deadline": Sample(
        lambda rows: rows.deadline(FAR), patient=True, wrong=seconds(lambda rows, bad: rows.deadline(bad))
    ),
    # stages/errors.py
    "rows.trap": Sample(lambda rows: rows.trap(ValueError), catches=True, wrong=(lambda rows: rows.trap(5),)),
    "rows.recover": Sample(
        lambda rows: rows.recover(lambda error: ["r"]),
        catches=True,
        wrong=functions(lambda rows, bad: rows.recover(bad)),
    ),
    "rows.retry": Sample(resumed, catches=True, loses=True, ordered=None, wrong=(lambda rows: rows.retry(0),)),
    "rows.as_values": Sample(lambda rows: rows.as_values(), catches=True),
    "rows.from_values": Sample(lambda rows: rows.as_values().from_values()),
    # stages/hooks.py and watch
    "rows.on_start": Sample(lambda rows: rows.on_start(nothing), wrong=functions(lambda rows, bad: rows.on_start(bad))),
    "rows.on_row": Sample(lambda rows: rows.on_row(nothing), wrong=functions(lambda rows, bad: rows.on_row(bad))),
    "rows.on_end": Sample(lambda rows: rows.on_end(nothing), wrong=functions(lambda rows, bad: rows.on_end(bad))),
    "rows.finally_": Sample(lambda rows: rows.finally_(nothing), wrong=functions(lambda rows, bad: rows.finally_(bad))),
    "rows.through": Sample(lambda rows: rows.through(flow.Valve()), wrong=(lambda rows: rows.through(5),)),
    "rows.progress": Sample(
        lambda rows: rows.progress(console=quiet()), wrong=seconds(lambda rows, bad: rows.progress(every=bad))
    ),
    # stages/buffer.py
    "rows.buffer": Sample(
        lambda rows: rows.buffer(2),
        ahead=3,
        holds=4,
        wrong=(
            *bounds(lambda rows, bad: rows.buffer(bad))[1:],
            lambda rows: rows.buffer(2, overflow="some"),
            lambda rows: rows.buffer(0, overflow="drop_oldest"),
        ),
    ),
    "rows.buffer: rendezvous": Sample(lambda rows: rows.buffer(0), ahead=1, holds=2),
    "rows.buffer: latest": Sample(lambda rows: rows.buffer(1, overflow="latest"), ahead=None, holds=4, ordered=None),
    "rows.background": Sample(
        lambda rows: rows.background(flow.wrap([flow.Cooperate(FAR)])), wrong=(lambda rows: rows.background(5),)
    ),
    "flow.Callback": Sample(pushed, inputs=0, wrong=bounds(lambda rows, bad: flow.Callback(limit=bad))),
    # stages/share.py and route.py
    "rows.share": Sample(
        shared, loses=True, ahead=3, holds=6, ordered=False, wrong=bounds(lambda rows, bad: rows.share(limit=bad))
    ),
    "rows.tee": Sample(
        lambda rows: side_by_side(*rows.tee(2, limit=2)),
        loses=True,
        ahead=3,
        holds=6,
        ordered=False,
        wrong=bounds(lambda rows, bad: rows.tee(bad)),
    ),
    "rows.partition": Sample(
        lambda rows: side_by_side(*rows.partition(lambda row: str(row) < "c", limit=2)),
        loses=True,
        ahead=6,
        holds=6,
        ordered=False,
        wrong=functions(lambda rows, bad: rows.partition(bad)),
    ),
    "rows.route": Sample(
        lambda rows: rows.route(lambda row: str(row) < "c", limit=2).flat_map(operator.itemgetter(1), concurrency=2),
        loses=True,
        ahead=6,
        holds=8,
        ordered=False,
        wrong=functions(lambda rows, bad: rows.route(bad)),
    ),
    "rows.balance": Sample(
        lambda rows: side_by_side(*rows.balance(2, limit=2)),
        loses=True,
        ahead=5,
        holds=6,
        ordered=False,
        wrong=bounds(lambda rows, bad: rows.balance(bad)),
    ),
    # stages/combine.py, sequence.py, latest.py and first.py
    "rows.zip": Sample(lambda a, b: a.zip(b), inputs=2, ahead=1, holds=2, loses=True),
    "rows.merge": Sample(lambda a, b: a.merge(b), inputs=2, ahead=1, holds=2, ordered=False, loses=True),
    "flow.Zip": Sample(lambda a, b: flow.Zip(a, b, fill=None), inputs=2, ahead=1, holds=2, loses=True),
    "flow.Merge": Sample(lambda a, b: flow.Merge(a, b), inputs=2, ahead=1, holds=2, ordered=False, loses=True),
    "flow.Concurrent": Sample(taken, inputs=2, ahead=1, holds=2, ordered=False, loses=True),
    "flow.chain": Sample(lambda a, b: flow.chain(a, b), inputs=2, loses=True),
    "flow.interleave": Sample(lambda a, b: flow.interleave(a, b), inputs=2, ahead=1, holds=2, loses=True),
    "flow.merge_sorted": Sample(
        lambda a, b: flow.merge_sorted(a, b),
        inputs=2,
        ahead=1,
        holds=2,
        loses=True,
        wrong=functions(lambda rows, bad: flow.merge_sorted(rows, key=bad)),
    ),
    "flow.combine_latest": Sample(
        lambda a, b: flow.combine_latest(a, b), inputs=2, ahead=1, holds=4, ordered=None, loses=True
    ),
    "rows.with_latest": Sample(lambda a, b: a.with_latest(b), inputs=2, ahead=None, holds=4, ordered=None, loses=True),
    "rows.switch_map": Sample(
        lambda rows: rows.switch_map(lambda row: [row]),
        ahead=None,
        holds=4,
        ordered=None,
        loses=True,
        wrong=functions(lambda rows, bad: rows.switch_map(bad)),
    ),
    "flow.race": Sample(lambda a, b: flow.race(a, b), inputs=2, ahead=1, holds=2, ordered=None, loses=True),
    "rows.until": Sample(
        lambda rows: rows.until(flow.Cooperate(FAR)),
        ahead=1,
        holds=2,
        patient=True,
        wrong=(lambda rows: rows.until("soon"),),
    ),
    # offload and io
    "flow.Threaded": Sample(
        lambda: flow.Threaded(lambda: iter("abc"), limit=2),
        inputs=0,
        wrong=bounds(lambda rows, bad: flow.Threaded([], limit=bad)),
    ),
    "flow.lines": Sample(
        lambda rows: rows | flow.lines(),
        rows=BYTES,
        wrong=bounds(lambda rows, bad: flow.lines(max_length=bad))[:4],
    ),
    "flow.LineBreak": Sample(lambda rows: flow.LineBreak(rows), rows=BYTES),
    "flow.chunks": Sample(
        lambda rows: rows | flow.chunks(3), rows=BYTES, wrong=bounds(lambda rows, bad: flow.chunks(bad))
    ),
    "flow.decoded": Sample(lambda rows: rows | flow.decoded(), rows=BYTES, wrong=(lambda rows: flow.decoded("no"),)),
    "flow.encoded": Sample(lambda rows: rows | flow.encoded(), wrong=(lambda rows: flow.encoded("no"),)),
    "flow.to_lines": Sample(lambda rows: rows | flow.to_lines(), wrong=(lambda rows: flow.to_lines(""),)),
    "flow.netstrings": Sample(
        lambda rows: rows | flow.netstrings(),
        rows=(b"1:a,", b"1:b,", b"1:c,"),
        wrong=bounds(lambda rows, bad: flow.netstrings(max_length=bad))[:4],
    ),
    "flow.to_netstrings": Sample(lambda rows: rows | flow.to_netstrings(), rows=BYTES),
    "flow.length_prefixed": Sample(
        lambda rows: rows | flow.length_prefixed(1),
        rows=(b"\x01a", b"\x01b", b"\x01c"),
        wrong=bounds(lambda rows, bad: flow.length_prefixed(bad)),
    ),
    "flow.to_length_prefixed": Sample(
        lambda rows: rows | flow.to_length_prefixed(),
        rows=BYTES,
        wrong=bounds(lambda rows, bad: flow.to_length_prefixed(bad)),
    ),
}
"""By the name in the first table of docs/reference/operators.md, and a word where one has several."""


async def _async_passed(rows: Any) -> Any:
    async for row in rows:
        yield row


EXEMPT: dict[str, str] = {
    "for row in rows": "a way to read",
    "async for row in rows": "a way to read",
    "await rows": "a way to read",
    "rows.blocks": "a way to read",
    "rows.open": "a way to read",
    "rows.collect": "a way to read",
    "flow.Block": "a way to read",
    "flow.Deferred": "a way to read",
    "flow.Stage": "what all of them are",
    "flow.Drained": "what drain() says",
    "flow.CallLater": "an instruction",
    "flow.Cooperate": "an instruction",
    "flow.Instruction": "an instruction",
    "flow.Row": "an instruction",
    "flow.cooperate": "a wait",
    "flow.sleep": "a wait",
    "flow.wait": "a wait",
    "flow.Failed": "a value",
    "flow.Ok": "a value",
    "flow.Retry": "a policy",
    "flow.Valve": "what rows.through() is given",
    "flow.Meter": "what rows.on_row() is given",
    "flow.draw": "it reads nothing",
    "flow.QueryIterator": "a blocking iterable, for Threaded: tests/test_sql.py",
    "flow.Event": "a row of a connection",
    "flow.Protocol": "a connection: tests/io",
    "flow.Server": "a connection: tests/io",
    "flow.connect": "a connection: tests/io",
    "flow.listen": "a connection: tests/io",
    "flow.makeProtocol": "a connection: tests/io",
}
"""Names of the table that are no stages, with the reason. (Those of flow.testing and flow.web have their own tests.)"""
