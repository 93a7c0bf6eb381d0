"""What failures of concurrent calls end: `on_error`, `on_row_error`, `retry`.

CONTRACT 3, 15, 16, 17, 18, 19.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flow
from flow.stages import calls as module
from flow.testing import Tracked, virtual_time

from .calling import KINDS, Calling, rows_of, timed

kinds = pytest.mark.parametrize("kind", KINDS)


def bare(error: BaseException | None) -> list[BaseException]:
    """What is in a group, or the one error."""
    if error is None:
        return []
    return list(error.exceptions) if isinstance(error, BaseExceptionGroup) else [error]


# ------------------------------------------------------------------------------------------------------------------
# "cancel"


@kinds
def test_rows_before_a_failure_come_first(kind: str) -> None:
    """CONTRACT 3, 16, 17: ordered: rows before the failed one are finished and handed on, calls for rows after it are
    cancelled at once and awaited, and that very failure is raised, bare."""
    error = OSError("3 fails")
    calling = Calling({1: 5, 2: 1, 3: 1, 4: 9, 5: 9}, {3: error}, cleanup=1)
    source = Tracked(range(1, 100))
    got, raised = timed(flow.wrap(source).map(KINDS[kind](calling), concurrency=4))
    # 1 to 4 begin at 0; 5 at 1, when 2 is done; 3 fails there, and 4 and 5 are cancelled.
    assert got == [(-1, 5), (-2, 5)]
    assert raised is error
    assert sorted(calling.cut) in ([4], [4, 5])
    assert calling.ended[4] == 2
    assert max(calling.began) <= 5
    assert source.is_closed


@kinds
def test_a_failure_cancels_at_once_and_is_raised_in_its_turn(kind: str) -> None:
    """CONTRACT 16: what comes after a failed row ends when it fails; the failure waits for the rows before it."""
    calling = Calling({1: 10, 2: 1, 3: 10}, {2: OSError("2 fails")})
    with virtual_time() as clock:

        async def main() -> None:
            with pytest.raises(OSError, match="2 fails"):
                async for row in flow.wrap([1, 2, 3]).map(KINDS[kind](calling), concurrency=3):
                    assert (row, clock.time()) == (-1, 10)
            assert clock.time() == 10

        clock.run(main())
    assert calling.ended == {1: 10, 2: 1, 3: 1}
    assert calling.cut == [3]


@kinds
def test_unordered_what_is_done_comes_first(kind: str) -> None:
    """CONTRACT 3, 16: unordered: what is done is handed on, all other calls are cancelled and awaited."""
    error = OSError("2 fails")
    calling = Calling({1: 5, 2: 2, 3: 1, 4: 5}, {2: error}, cleanup=1)
    got, raised = timed(flow.wrap([1, 2, 3, 4, 5, 6]).map(KINDS[kind](calling), concurrency=3, ordered=False), busy=4)
    assert got == [(-3, 1)]
    assert raised is error
    assert sorted(calling.cut) == [1, 4]
    assert calling.ended[1] == calling.ended[4] == 3
    assert 5 not in calling.began


@kinds
@settings(max_examples=40)
@given(
    seconds=st.lists(st.sampled_from([0, 0.5, 1, 2.5]), min_size=1, max_size=12),
    failing=st.integers(0, 11),
    concurrency=st.integers(2, 5),
    keyed=st.booleans(),
    seed=st.sampled_from([None, 1, 2]),
)
def test_one_failure_is_as_with_one_call_at_a_time(
    kind: str, seconds: list[float], failing: int, concurrency: int, keyed: bool, seed: int | None
) -> None:
    """CONTRACT 3, 16: ordered, one row that fails: exactly the rows, and the failure, of a concurrency of 1."""
    failing %= len(seconds)
    error = OSError("fails")
    calling = Calling(dict(enumerate(seconds)), {failing: error})
    key = (lambda row: row % 2) if keyed else None
    stage = flow.wrap(range(len(seconds))).map(KINDS[kind](calling), concurrency=concurrency, key=key)
    got: list[int] = []

    async def main() -> None:
        async for row in stage:
            got.append(row)

    with virtual_time(seed) as clock:
        with pytest.raises(OSError, match="fails") as raised:
            clock.run(main())
    assert raised.value is error
    assert got == [-row for row in range(failing)]


@kinds
@pytest.mark.parametrize("ordered", [True, False])
def test_the_second_failure_is_not_lost(kind: str, ordered: bool) -> None:
    """CONTRACT 16: one call fails while the cleanup of another one fails, too: both are raised, the first one first."""
    first, second = OSError("first"), ValueError("in the cleanup")
    calling = Calling({1: 1, 2: 5, 3: 5}, {1: first}, cleanup=2, unclean={2: second})
    got, raised = timed(flow.wrap([1, 2, 3]).map(KINDS[kind](calling), concurrency=3, ordered=ordered))
    assert got == []
    assert isinstance(raised, ExceptionGroup)
    assert bare(raised) == [first, second]
    assert calling.ended[3] == 3


@kinds
def test_two_calls_fail(kind: str) -> None:
    """CONTRACT 16: a row fails, and then one before it: both are raised, in the order of the rows."""
    early, late = OSError("row 1, late"), ValueError("row 3, early")
    calling = Calling({0: 1, 1: 4, 2: 9, 3: 2}, {1: early, 3: late})
    got, raised = timed(flow.wrap(range(4)).map(KINDS[kind](calling), concurrency=4))
    assert got == [(0, 1)]
    assert bare(raised) == [early, late]
    assert calling.cut == [2]


@kinds
@pytest.mark.parametrize("ordered", [True, False])
def test_the_failure_of_the_input_comes_after_its_rows(kind: str, ordered: bool) -> None:
    """CONTRACT 3: the input fails while calls are in flight: they are finished and handed on first."""
    error = OSError("the input")
    calling = Calling({1: 5, 2: 1, 3: 5})
    source = Tracked([1, 2, 3], delay=0.25, fail=error)
    got, raised = timed(flow.wrap(source).map(KINDS[kind](calling), concurrency=2, ordered=ordered))
    assert sorted(row for row, _ in got) == [-3, -2, -1]
    assert raised is error
    assert not calling.cut


@kinds
def test_the_input_and_a_call_fail(kind: str) -> None:
    """CONTRACT 16: the failure of the input, which has happened already, joins that of a call."""
    first, second = OSError("a call"), ValueError("the input")
    calling = Calling({1: 3, 2: 9}, {1: first})
    got, raised = timed(flow.wrap(Tracked([1, 2], fail=second)).map(KINDS[kind](calling), concurrency=3))
    assert got == []
    assert bare(raised) == [first, second]


@pytest.mark.parametrize("is_async", [True, False])
def test_the_failure_of_a_key(is_async: bool) -> None:
    """CONTRACT 3: a key that fails, or can't be one, ends the input there."""

    async def task(row: int) -> int:
        return 1 // row

    def thread(row: int) -> int:
        return 1 // row

    dropped: list[int] = []

    async def main(stage: flow.Stage[int]) -> None:
        async with stage.open(on_dropped=dropped.extend) as rows:
            async for row in rows:
                got.append(row)

    for key, error in ((task if is_async else thread, ZeroDivisionError), (lambda row: [row], TypeError)):
        got: list[int] = []
        dropped.clear()
        calling = Calling(1.0)
        rows = [1, 2, 0, 3] if error is ZeroDivisionError else [0]
        with virtual_time() as clock, pytest.raises(error):
            clock.run(main(flow.wrap(rows).map(calling.task, concurrency=2, key=key)))
        assert got == ([-1, -2] if error is ZeroDivisionError else [])
        assert dropped == [0]


@kinds
def test_the_traceback_shows_the_call(kind: str) -> None:
    """CONTRACT 17: type, instance and traceback stay: it shows the frame of f; a note names the stage."""
    calling = Calling(1.0, {1: OSError("fails")})
    _, raised = timed(flow.wrap([1]).map(KINDS[kind](calling), concurrency=2))
    assert raised is not None
    frames = []
    where = raised.__traceback__
    while where is not None:
        frames.append(where.tb_frame.f_code.co_name)
        where = where.tb_next
    assert ("thread" if kind == "thread" else "task") in frames
    assert any("concurrency=2" in note for note in raised.__notes__)


@pytest.mark.parametrize("error", [KeyboardInterrupt("now"), SystemExit(3)])
@pytest.mark.parametrize("kind", ["task", "thread"])
def test_an_interrupt_ends_the_run(kind: str, error: BaseException) -> None:
    """CONTRACT 18: KeyboardInterrupt and SystemExit of a call reach the caller; they are never left out."""
    diverted: list[Any] = []
    calling = Calling({1: 1, 2: 2, 3: 9}, {2: error})
    for options in ({"on_error": "collect"}, {"on_row_error": lambda *both: diverted.append(both)}, {"retry": 5}):
        calling.began.clear()
        got: list[int] = []

        async def main(options: dict[str, Any] = options, got: list[int] = got) -> None:
            async for row in flow.wrap([1, 2, 3, 4]).map(KINDS[kind](calling), concurrency=3, **options):
                got.append(row)

        with virtual_time() as clock, pytest.raises(type(error)) as raised:
            clock.run(main())
        assert raised.value is error
        assert got == [-1]
    assert not diverted


@pytest.mark.parametrize("kind", ["task", "plain"])
def test_a_stop_iteration_is_an_error(kind: str) -> None:
    """CONTRACT 19: one that escapes f is no end of the rows."""

    async def task(row: int) -> int:
        raise StopIteration

    def plain(row: int) -> int:
        raise StopIteration

    f: Any = task if kind == "task" else plain
    with pytest.raises(RuntimeError, match="StopIteration"):
        rows_of(flow.wrap([1, 2]).map(f, concurrency=2))


def test_a_call_that_is_cancelled_by_others() -> None:
    """CONTRACT 15: a CancelledError that f raises itself is a failure of the run, not lost; nothing hangs."""

    async def call(row: int) -> int:
        await asyncio.sleep(row)
        if row == 2:
            other = asyncio.ensure_future(asyncio.sleep(100))
            other.cancel()
            await other
        return row

    got, raised = timed(flow.wrap([1, 2, 3]).map(call, concurrency=3))
    assert got == [(1, 1)]
    assert isinstance(raised, asyncio.CancelledError)


def test_a_call_that_cancels_its_task() -> None:
    """CONTRACT 15: the worker ends, and the run with it."""

    async def call(row: int) -> int:
        if row == 2:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
        await asyncio.sleep(1)
        return row

    got, raised = timed(flow.wrap([1, 2, 3]).map(call, concurrency=3))
    assert got == [(1, 1)]
    assert isinstance(raised, asyncio.CancelledError)


# ------------------------------------------------------------------------------------------------------------------
# "finish" and "collect"


@kinds
@pytest.mark.parametrize("ordered", [True, False])
def test_finish(kind: str, ordered: bool) -> None:
    """CONTRACT 16: nothing new begins; what is in flight is finished and handed on; then the failure is raised."""
    error = OSError("2 fails")
    calling = Calling({1: 5, 2: 1, 3: 3}, {2: error})
    source = Tracked(range(1, 100))
    dropped: list[int] = []

    async def main() -> None:
        stage = flow.wrap(source).map(KINDS[kind](calling), concurrency=3, on_error="finish", ordered=ordered)
        async with stage.open(on_dropped=dropped.extend) as rows:
            async for row in rows:
                got.append((row, clock.time()))

    got: list[tuple[int, float]] = []
    with virtual_time() as clock, pytest.raises(OSError, match="2 fails") as raised:
        clock.run(main())
    assert raised.value is error
    assert got == ([(-1, 5), (-3, 5)] if ordered else [(-3, 3), (-1, 5)])
    assert sorted(calling.began) == [1, 2, 3]
    assert not calling.cut
    assert dropped == [4, 5, 6]
    assert source.asked == 6


@kinds
@pytest.mark.parametrize("ordered", [True, False])
def test_finish_and_a_second_failure(kind: str, ordered: bool) -> None:
    """CONTRACT 16: what is in flight may fail, too: both are raised."""
    first, second = OSError("2 fails"), ValueError("1 fails")
    calling = Calling({1: 5, 2: 1, 3: 3}, {2: first, 1: second})
    got, raised = timed(
        flow.wrap([1, 2, 3, 4]).map(KINDS[kind](calling), concurrency=3, on_error="finish", ordered=ordered)
    )
    assert [row for row, _ in got] == [-3]
    assert bare(raised) == ([second, first] if ordered else [first, second])


def test_finish_with_keys() -> None:
    """CONTRACT 16: rows that wait for their key do not begin either, and are dropped; nothing hangs."""
    dropped: list[int] = []
    calling = Calling({2: 5, 4: 5, 1: 1, 6: 1, 3: 1}, {1: OSError("1 fails")})

    async def main() -> list[int]:
        stage = flow.wrap([2, 4, 1, 6, 3]).map(
            calling.task, concurrency=3, key=lambda row: row % 2, on_error="finish", ahead=5
        )
        got = []
        async with stage.open(on_dropped=dropped.extend) as rows:
            with pytest.raises(OSError, match="1 fails"):
                async for row in rows:
                    got.append(row)
        return got

    with virtual_time() as clock:
        assert clock.run(main()) == [-2]
        assert clock.time() == 5
    assert dropped == [4, 6, 3]


@kinds
@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("concurrency", [1, 2])
def test_collect(kind: str, ordered: bool, concurrency: int) -> None:
    """CONTRACT 16: it goes on to the end; then all failures are raised, one of them bare."""
    errors = {row: OSError(f"{row} fails") for row in (2, 4, 5)}
    calling = Calling(1.0, errors)
    source = Tracked(range(1, 8))
    options: Any = {"concurrency": concurrency, "ordered": ordered, "on_error": "collect"}
    got, raised = timed(flow.wrap(source).map(KINDS[kind](calling), **options))
    assert [row for row, _ in got] == [-1, -3, -6, -7]
    assert isinstance(raised, ExceptionGroup)
    assert bare(raised) == list(errors.values())
    got, raised = timed(flow.wrap([1, 2, 3]).map(KINDS[kind](calling), **options))
    assert [row for row, _ in got] == [-1, -3]
    assert raised is errors[2]
    last = ValueError("the input")
    got, raised = timed(flow.wrap(Tracked([2, 3], fail=last)).map(KINDS[kind](calling), **options))
    assert [row for row, _ in got] == [-3]
    assert bare(raised) == [errors[2], last]


@pytest.mark.parametrize("concurrency", [1, 3])
def test_collect_has_a_bound(concurrency: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """CONTRACT 20: with 1,000 failures it ends as "finish" does."""

    async def call(row: int) -> int:
        raise OSError(row)

    def endless() -> Iterator[int]:
        row = 0
        while True:
            yield row
            row += 1

    _, raised = timed(flow.wrap(endless).map(call, concurrency=concurrency, on_error="collect"))
    assert len(bare(raised)) == module.MOST_FAILURES == 1000


# ------------------------------------------------------------------------------------------------------------------
# One row: skip, divert, retry


@kinds
@pytest.mark.parametrize("concurrency", [1, 3])
@pytest.mark.parametrize("ordered", [True, False])
def test_rows_that_fail_are_left_out(kind: str, concurrency: int, ordered: bool) -> None:
    """CONTRACT 2: with on_row_error="skip" they are, and all others come."""
    calling = Calling(1.0, {2: OSError("2"), 5: ValueError("5")})
    stage = flow.wrap(range(1, 7)).map(
        KINDS[kind](calling), concurrency=concurrency, ordered=ordered, on_row_error="skip"
    )
    assert rows_of(stage) == [-1, -3, -4, -6]


@kinds
@pytest.mark.parametrize("concurrency", [1, 3])
@pytest.mark.parametrize("how", ["plain", "async", "waits"])
def test_rows_that_fail_are_diverted(kind: str, concurrency: int, how: str) -> None:
    """A function is given the row and its error, in the order of the rows; it may be async, and may wait."""
    errors = {2: OSError("2"), 5: ValueError("5")}
    calling = Calling({1: 1, 2: 1, 3: 1, 4: 1, 5: 0.25, 6: 1}, errors)
    diverted: list[tuple[int, BaseException]] = []

    def plain(row: int, error: Exception) -> str:
        diverted.append((row, error))
        return "ignored"

    async def task(row: int, error: Exception) -> None:
        await asyncio.sleep(1)
        plain(row, error)

    def waits(row: int, error: Exception) -> None:
        flow.sleep(1)
        plain(row, error)

    divert: Any = {"plain": plain, "async": task, "waits": waits}[how]
    stage = flow.wrap(range(1, 7)).map(KINDS[kind](calling), concurrency=concurrency, on_row_error=divert)
    assert rows_of(stage) == [-1, -3, -4, -6]
    assert diverted == list(errors.items())


@kinds
@pytest.mark.parametrize("concurrency", [1, 3])
def test_the_failure_of_a_divert_ends_the_run(kind: str, concurrency: int) -> None:
    """CONTRACT 16: its own failure is raised, after the rows before, and has the row's as its context; calls are
    cancelled."""
    error = OSError("2")
    calling = Calling({1: 1, 2: 1, 3: 9}, {2: error})

    def divert(row: int, error: Exception) -> None:
        raise ValueError("no room") from error

    source = Tracked(range(1, 50))
    got, raised = timed(flow.wrap(source).map(KINDS[kind](calling), concurrency=concurrency, on_row_error=divert))
    assert [row for row, _ in got] == [-1]
    assert isinstance(raised, ValueError)
    assert raised.__cause__ is error
    assert source.is_closed


@kinds
@pytest.mark.parametrize("concurrency", [1, 2])
def test_a_row_is_tried_again(kind: str, concurrency: int) -> None:
    """Attempts in all, with the wait of the policy between them; others go on meanwhile; it stays in its place."""
    attempts: dict[int, int] = {}
    calling = Calling(1.0)

    async def task(row: int) -> int:
        attempts[row] = attempts.get(row, 0) + 1
        await asyncio.sleep(1)
        if row == 1 and attempts[row] < 3:
            raise OSError(f"attempt {attempts[row]}")
        return -row

    def thread(row: int) -> int:
        return flow.wait(task(row))

    f: Any = {"task": task, "thread": thread, "lambda": lambda row: task(row)}[kind]
    stage = flow.wrap([1, 2, 3]).map(
        f, concurrency=concurrency, retry=flow.Retry(3, backoff=lambda attempt: 10 * attempt)
    )
    got, raised = timed(stage)
    assert raised is None
    assert attempts == {1: 3, 2: 1, 3: 1}
    # 1 + 10 + 1 + 20 + 1
    assert got == ([(-1, 33), (-2, 34), (-3, 35)] if concurrency == 1 else [(-1, 33), (-2, 33), (-3, 33)])
    assert not calling.began


@kinds
@pytest.mark.parametrize("concurrency", [1, 2])
def test_the_last_attempt_fails(kind: str, concurrency: int) -> None:
    """CONTRACT 17: then the row has failed, with the last error; with a divert it goes there."""
    calling = Calling(1.0, {1: OSError("always")})
    policy = flow.Retry(2, backoff=0)
    got, raised = timed(flow.wrap([1, 2]).map(KINDS[kind](calling), concurrency=concurrency, retry=policy))
    assert got == []
    assert isinstance(raised, OSError)
    assert calling.order.count(1) == 2
    diverted: list[Any] = []
    calling.order.clear()
    stage = flow.wrap([1, 2]).map(
        KINDS[kind](calling),
        concurrency=concurrency,
        retry=policy,
        on_row_error=lambda row, error: diverted.append(row),
    )
    assert rows_of(stage) == [-2]
    assert diverted == [1]
    assert calling.order.count(1) == 2


@kinds
def test_a_cancelled_call_is_not_tried_again(kind: str) -> None:
    """CONTRACT 15: neither in its call, nor in the wait between two."""
    calling = Calling({1: 5, 2: 60, 3: 1}, {3: OSError("3")})
    retry = flow.Retry(100, backoff=7, on=ValueError)
    got, raised = timed(flow.wrap([1, 2, 3]).map(KINDS[kind](calling), concurrency=3, retry=retry, ordered=False))
    assert got == []
    assert isinstance(raised, OSError)
    assert calling.order == [1, 2, 3]
    again = Calling({1: 0, 2: 20}, {1: ValueError("again"), 2: OSError("2")})
    with virtual_time() as clock:

        async def main() -> None:
            with pytest.raises(OSError, match="2"):
                await flow.wrap([1, 2]).map(KINDS[kind](again), concurrency=2, retry=retry, ordered=False)
            assert clock.time() == 20  # the first waited for its next attempt at 21

        clock.run(main())
