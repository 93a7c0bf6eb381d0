"""Where an input of a combining stage fails, with which policy, and what comes of it: the whole table.

CONTRACT 3, 14, 16, 17. An input gives three rows, one a second; the one that fails does so before the first row, before
the second, after the last, or while it is closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

import flow
from flow.testing import Tracked, nothing_left, virtual_time

Read = Callable[[flow.Stage[Any]], list[Any]]
POINTS = {"first": 0, "middle": 1, "last": 3, "cleanup": None}


def on_script(stage: flow.Stage[Any]) -> list[Any]:
    with virtual_time():
        return list(stage)


def on_asyncio(stage: flow.Stage[Any]) -> list[Any]:
    async def main() -> list[Any]:
        return [row async for row in stage]

    with virtual_time() as clock:
        return clock.run(main())


both = pytest.mark.parametrize("read", [on_script, on_asyncio])


class Input:
    """A source of three rows, `every` so many seconds, which knows whether it is open; it may fail at a point."""

    def __init__(self, name: str, every: float, error: Exception | None = None, point: str = "") -> None:
        self.name, self.every, self.error, self.point = name, every, error, point
        self.opened = self.closed = 0

    def __iter__(self) -> Iterator[Any]:
        self.opened += 1
        at = POINTS[self.point] if self.point else None
        try:
            for number in range(4):
                if number < 3:
                    flow.sleep(self.every)
                if number == at and self.error is not None:
                    raise self.error
                if number < 3:
                    yield f"{self.name}{number}"
        finally:
            self.closed += 1
            if self.point == "cleanup" and self.error is not None:
                raise self.error


def concurrently(*sources: Any) -> flow.Stage[Any]:
    stages = [flow.wrap(each) for each in sources]

    def reading() -> Iterator[Any]:
        for stage in flow.Concurrent(*stages):
            yield next(stage)

    return flow.wrap(reading)


@dataclass
class Operator:
    """How to make it of the input `a` that fails and another one `b`; the rows before a failure at each point."""

    make: Callable[..., flow.Stage[Any]]
    first: list[Any]
    middle: list[Any]
    last: list[Any]
    kept: dict[str, list[Any]] = field(default_factory=dict)  # where the other input goes on
    ahead: bool = True  # are both open at the same time?


A, B = ["a0", "a1", "a2"], ["b0", "b1", "b2"]  # a comes at 1, 2, 3; b at 1.4, 2.8, 4.2

OPERATORS = {
    "Merge": Operator(
        flow.Merge,
        [],
        ["a0", "b0"],
        ["a0", "b0", "a1", "b1", "a2"],
        {"first": B, "middle": ["a0", *B], "last": ["a0", "b0", "a1", "b1", "a2", "b2"]},
    ),
    "Merge by priority": Operator(
        lambda a, b, **how: flow.Merge(b, a, priority=[1, 0], **how),
        [],
        ["a0", "b0"],
        ["a0", "b0", "a1", "b1", "a2"],
        {"first": B, "middle": ["a0", *B], "last": ["a0", "b0", "a1", "b1", "a2", "b2"]},
    ),
    "Zip": Operator(flow.Zip, [], [("a0", "b0")], [("a0", "b0"), ("a1", "b1"), ("a2", "b2")]),
    "Zip, strict": Operator(
        lambda a, b: flow.Zip(b, a, strict=True), [], [("b0", "a0")], [("b0", "a0"), ("b1", "a1"), ("b2", "a2")]
    ),
    "Zip with fill": Operator(
        lambda a, b: flow.Zip(a, b, fill=None), [], [("a0", "b0")], [("a0", "b0"), ("a1", "b1"), ("a2", "b2")]
    ),
    "Concurrent": Operator(concurrently, [], ["a0", "b0"], ["a0", "b0", "a1", "b1", "a2"]),
    "chain": Operator(flow.chain, [], ["a0"], A, ahead=False),
    "chain, as the last": Operator(lambda a, b: flow.chain(b, a), B, [*B, "a0"], [*B, *A], ahead=False),
    "interleave": Operator(flow.interleave, [], ["a0", "b0"], ["a0", "b0", "a1", "b1", "a2", "b2"]),
    "interleave, as the last": Operator(
        lambda a, b: flow.interleave(b, a), ["b0"], ["b0", "a0", "b1"], ["b0", "a0", "b1", "a1", "b2", "a2"]
    ),
    "merge_sorted": Operator(flow.merge_sorted, [], ["a0"], A),
    "merge_sorted, as the last": Operator(
        lambda a, b: flow.merge_sorted(b, a, key=lambda row: row[1]),
        [],
        ["b0", "a0"],
        ["b0", "a0", "b1", "a1", "b2", "a2"],
    ),
    "combine_latest": Operator(
        flow.combine_latest, [], [("a0", "b0")], [("a0", "b0"), ("a1", "b0"), ("a1", "b1"), ("a2", "b1")]
    ),
    "with_latest": Operator(
        lambda a, b: flow.wrap(a).with_latest(b), [], [("a0", "b0")], [("a0", "b0"), ("a1", "b0"), ("a2", "b1")]
    ),
    "with_latest, as the other": Operator(
        lambda a, b: flow.wrap(b).with_latest(a), [], [("b0", "a0")], [("b0", "a0"), ("b1", "a1")]
    ),
    # The next row is asked for first: when that fails, the source of the last one is not opened any more.
    "switch_map": Operator(
        lambda a, b: flow.wrap(a).switch_map(lambda row: [row]), [], ["a0"], ["a0", "a1"], ahead=False
    ),
    "switch_map, as the source": Operator(
        lambda a, b: flow.wrap(["x"]).switch_map(lambda row: a), [], ["a0"], A, ahead=False
    ),
    "race": Operator(flow.race, [], ["a0"], A),
    "until": Operator(lambda a, b: flow.wrap(a).until(flow.wrap(Tracked([1], delay=100))), [], ["a0"], A, ahead=False),
}


def outcome(read: Read, stage: flow.Stage[Any]) -> tuple[list[Any], BaseException | None]:
    """The rows, and the failure after them."""
    got: list[Any] = []

    def noted(rows: Iterator[Any]) -> Iterator[Any]:
        for row in rows:
            got.append(row)
            yield row

    try:
        read(stage | noted)
    except Exception as error:
        return got, error
    return got, None


@both
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("name", OPERATORS)
def test_a_failure_ends_it(read: Read, name: str, point: str) -> None:
    """CONTRACT 3, 14, 16, 17: the rows before it come first; the others are closed; it is raised as it is.

    An input that can't be closed when it has ended has failed after its last row.
    """
    operator = OPERATORS[name]
    error = OSError(point)
    a, b = Input("a", 1, error, point), Input("b", 1.4)
    got, raised = outcome(read, operator.make(a, b))
    assert raised is error
    assert got == getattr(operator, "last" if point == "cleanup" else point)
    assert a.closed == a.opened == 1
    assert b.closed == b.opened
    nothing_left()


@both
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("on_error", ["finish", "collect"])
@pytest.mark.parametrize("name", ["Merge", "Merge by priority"])
def test_a_failure_that_is_kept(read: Read, name: str, on_error: str, point: str) -> None:
    """CONTRACT 3, 16, 17: the other input goes on to its end, then the failure is raised as it is."""
    operator = OPERATORS[name]
    error = OSError(point)
    a, b = Input("a", 1, error, point), Input("b", 1.4)
    got, raised = outcome(read, operator.make(a, b, on_error=on_error))
    assert raised is error
    assert got == operator.kept["last" if point == "cleanup" else point]
    assert a.closed == b.closed == 1


@both
@pytest.mark.parametrize("point", POINTS)
def test_a_failure_in_a_race_that_goes_on(read: Read, point: str) -> None:
    """CONTRACT 16: before the first row it is out of the race; later it is the failure of the input that was chosen."""
    error = OSError(point)
    a, b = Input("a", 1, error, point), Input("b", 1.4)
    got, raised = outcome(read, flow.race(a, b, on_error="finish"))
    if point == "first":
        assert (got, raised) == (B, None)
    else:
        assert got == getattr(OPERATORS["race"], "last" if point == "cleanup" else point)
        assert raised is error
    assert a.closed == b.closed == 1


together = pytest.mark.parametrize("name", [name for name, operator in OPERATORS.items() if operator.ahead])


@both
@together
def test_one_fails_while_the_cleanup_of_another_fails(read: Read, name: str) -> None:
    """CONTRACT 16: an ExceptionGroup with the failure first and that of the cleanup behind it; neither is lost."""
    first, second = OSError("first"), ValueError("cleanup")
    a, b = Input("a", 0.5, first, "first"), Input("b", 1.4, second, "cleanup")
    got, raised = outcome(read, OPERATORS[name].make(a, b))
    assert got == (["b0"] if name == "interleave, as the last" else [])
    assert isinstance(raised, ExceptionGroup)
    assert raised.exceptions == (first, second)
    assert a.closed == b.closed == 1
    nothing_left()


@together
def test_two_fail_in_one_turn_of_the_loop(name: str) -> None:
    """CONTRACT 16: both failures are raised, in an ExceptionGroup: the second one is not dropped."""
    first, second = OSError("first"), ValueError("second")

    async def main() -> BaseException | None:
        loop = asyncio.get_running_loop()
        futures = [loop.create_future(), loop.create_future()]

        def waiting(future: Any) -> Iterator[Any]:
            yield future

        def fail() -> None:
            futures[0].set_exception(first)
            futures[1].set_exception(second)

        loop.call_later(1, fail)
        try:
            await OPERATORS[name].make(waiting(futures[0]), waiting(futures[1]))
        except Exception as error:
            return error
        return None

    with virtual_time() as clock:
        raised = clock.run(main())
    assert isinstance(raised, ExceptionGroup)
    assert set(raised.exceptions) == {first, second}


@both
@pytest.mark.parametrize("name", OPERATORS)
def test_a_cleanup_fails_when_the_reader_leaves(read: Read, name: str) -> None:
    """CONTRACT 14, 16: after the first row: the failure of the cleanup is raised, and everything else is closed."""
    error = ValueError("cleanup")
    a, b = Input("a", 1, error, "cleanup"), Input("b", 1.4)
    stage = OPERATORS[name].make(a, b)
    if name == "chain, as the last":
        assert len(outcome(read, stage[:4])[0]) == 4
        assert a.closed == b.closed == 1
        return
    got, raised = outcome(read, stage[:1])
    assert len(got) == 1
    assert raised is error
    assert a.closed == a.opened == 1
    assert b.closed == b.opened
    nothing_left()
