"""A source that is opened again after a failure.

CONTRACT 2-4, 7, 8, 14-17, 22.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count
from typing import Any

import pytest
import tenacity

import flow
from flow.stages.retrying import retry
from flow.testing import Tracked, nothing_left, torture, virtual_time
from tests.docs.test_docstrings import example_of, run_statements

from .when import both

Read = Callable[[flow.Stage[Any]], list[tuple[Any, float]]]


class Flaky:
    """A source that fails after so many rows, each time it is opened; then it is well."""

    def __init__(self, *fails_after: int, rows: int = 4, delay: float = 0, cleanup: float = 0) -> None:
        self.fails_after = list(fails_after)
        self.rows = rows
        self.delay = delay
        self.cleanup = cleanup
        self.opened = self.closed = 0
        self.log: list[tuple[str, int]] = []

    def __iter__(self) -> Iterator[int]:
        return self.read(0)

    def read(self, first: int) -> Iterator[int]:
        self.opened += 1
        attempt = self.opened
        self.log.append(("opened", attempt))
        fails = self.fails_after[attempt - 1] if attempt <= len(self.fails_after) else math.inf
        try:
            for number, row in enumerate(range(first, self.rows)):
                if self.delay:
                    flow.sleep(self.delay)
                if number == fails:
                    raise ConnectionError(f"attempt {attempt}")
                yield row
            if fails >= self.rows - first and fails != math.inf:
                raise ConnectionError(f"attempt {attempt}")
        finally:
            try:
                flow.sleep(self.cleanup)
            finally:
                self.closed += 1
                self.log.append(("closed", attempt))

    @property
    def is_closed(self) -> bool:
        return self.opened == self.closed


# ------------------------------------------------------------------------------------------------------------------
# From the start


@both
def test_it_is_opened_again_from_the_start(read: Read) -> None:
    """CONTRACT 3, 14: the rows before a failure come first, what failed is closed, then the rows come again."""
    source = Flaky(2, 0, cleanup=0.25)
    assert read(flow.wrap(source).retry(3)) == [(0, 0), (1, 0), (0, 2.5), (1, 2.5), (2, 2.5), (3, 2.5)]
    assert source.log == [(what, n) for n in (1, 2, 3) for what in ("opened", "closed")]


@both
def test_a_source_that_does_not_fail_is_opened_once(read: Read) -> None:
    """CONTRACT 2."""
    source = Flaky()
    assert [row for row, _ in read(flow.wrap(source).retry(3))] == [0, 1, 2, 3]
    assert source.opened == 1


@both
def test_it_waits_as_the_policy_says(read: Read) -> None:
    """CONTRACT 8: exactly so long, by the loop's clock."""
    stage = flow.wrap(Flaky(0, 0, 0, rows=1)).retry(flow.Retry(9, backoff=lambda n: 2**n))
    assert read(stage) == [(0, 2 + 4 + 8)]
    stage = flow.wrap(Flaky(0, 0, 0, rows=1)).retry(flow.Retry(9, backoff=tenacity.wait_exponential(multiplier=1)))
    assert read(stage) == [(0, 1 + 2 + 4)]
    stage = flow.wrap(Flaky(0, 0, rows=1)).retry(flow.Retry(3, backoff=0))
    assert read(stage) == [(0, 0)]


@both
def test_the_last_failure_is_raised(read: Read) -> None:
    """CONTRACT 17: the instance itself, with a note that tells of the earlier ones."""
    with pytest.raises(ConnectionError, match="attempt 3") as caught:
        read(flow.wrap(Flaky(0, 1, 0)).retry(3))
    notes = caught.value.__notes__
    assert "flow: retry() gave up; it had failed 2 times before: ConnectionError: attempt 1; " in notes[0]
    assert "attempt 2" in notes[0]


def test_the_note_is_bounded() -> None:
    """CONTRACT 20: of many failures, the last ones are told, and long texts are cut."""

    def source() -> Iterator[int]:
        raise ValueError("x" * 1000)
        yield 1

    with virtual_time(), pytest.raises(ValueError, match="x") as caught:
        list(flow.wrap(source).retry(100))
    (note, _) = caught.value.__notes__
    assert "failed 99 times before; the last 5 of them: ValueError: xxx" in note
    assert len(note) < 1200
    with pytest.raises(ValueError, match="x") as caught:
        list(flow.wrap(source).retry(1))
    assert len(caught.value.__notes__) == 1  # the stage


def test_an_error_that_is_shared_does_not_grow() -> None:
    """Notes on one instance that is raised again and again are bounded."""
    error = ValueError("one for all")
    stage = flow.wrap(Tracked([1], fail=error)).retry(2)
    for _ in range(50):
        with virtual_time(), pytest.raises(ValueError, match="one for all"):
            list(stage)
    assert len(error.__notes__) <= 20


@both
def test_other_errors_are_raised_at_once(read: Read) -> None:
    """`on`: a class, several, a predicate."""
    for on in (KeyError, (KeyError, OverflowError), lambda error: "attempt 7" in str(error)):
        source = Flaky(1, 1)
        with pytest.raises(ConnectionError, match="attempt 1"):
            read(flow.wrap(source).retry(flow.Retry(3, on=on)))
        assert source.opened == 1
    source = Flaky(1, 1)
    with pytest.raises(ConnectionError, match="attempt 2") as caught:
        read(flow.wrap(source).retry(flow.Retry(9, on=lambda error: "attempt 1" in str(error))))
    assert "1 times before" in caught.value.__notes__[0]


def test_a_policy_that_fails() -> None:
    """CONTRACT 16: its error is raised, with the one it was asked about as its context; all is closed."""

    def on(error: Exception) -> bool:
        raise KeyError("on")

    for policy in (flow.Retry(3, on=on), flow.Retry(3, backoff=lambda n: {}[n])):
        source = Flaky(1)
        with pytest.raises(KeyError) as caught:
            list(flow.wrap(source).retry(policy))
        assert isinstance(caught.value.__context__, ConnectionError)
        assert source.is_closed


def test_a_failing_close() -> None:
    """CONTRACT 16: an error of the closing counts, too: tried again when both are such; else they come together."""

    class Source:
        opened = 0

        def __init__(self, closing: Exception) -> None:
            self.closing = closing

        def __iter__(self) -> Iterator[int]:
            Source.opened += 1
            return _Failing(self.closing) if Source.opened == 1 else iter([1])

    class _Failing:
        def __init__(self, closing: Exception) -> None:
            self.closing = closing

        def __iter__(self) -> Iterator[int]:
            return self

        def __next__(self) -> int:
            raise ConnectionError("next")

        def close(self) -> None:
            raise self.closing

    policy = flow.Retry(2, backoff=0, on=OSError)
    assert list(flow.wrap(Source(BrokenPipeError("close"))).retry(policy)) == [1]
    Source.opened = 0
    with pytest.raises(ExceptionGroup) as caught:
        list(flow.wrap(Source(KeyError("close"))).retry(policy))
    assert list(map(type, caught.value.exceptions)) == [ConnectionError, KeyError]


@both
def test_stages_above_are_opened_again_those_below_are_not(read: Read) -> None:
    """The whole chain above: its state begins anew. What is below goes on."""
    stage = flow.wrap(Flaky(3)).enumerate().retry(2).enumerate()
    rows = [row for row, _ in read(stage)]
    assert rows == [(n, (k, k)) for n, k in enumerate([0, 1, 2, 0, 1, 2, 3])]


@both
def test_several_inputs_above(read: Read) -> None:
    """CONTRACT 16: a Merge fails as a whole, and is opened as a whole."""
    other = Tracked([10, 20], delay=1)
    stage = flow.Merge(Flaky(1, rows=2), other).retry(flow.Retry(2, backoff=0))
    assert sorted(row for row, _ in read(stage)) == [0, 0, 1, 10, 20]
    assert other.opened == 2
    assert other.is_closed


@both
def test_a_source_that_can_be_read_once(read: Read) -> None:
    """CONTRACT 7: a clear error, whose cause is the first failure; also when it is one of several."""

    def rows() -> Iterator[int]:
        yield 1
        raise ConnectionError("first")

    for stage in (flow.wrap(rows()), flow.Merge(rows(), [10])):
        with pytest.raises(flow.AlreadyReadError) as caught:
            read(stage.retry(3))
        assert str(caught.value.__cause__) == "first"
        assert "retry() opens the whole source again" in caught.value.__notes__[0]


@both
def test_an_already_read_source_is_no_failure_to_try_again(read: Read) -> None:
    """At the first attempt it is raised as it is."""
    rows = iter([1, 2])
    stage = flow.wrap(rows)
    assert [row for row, _ in read(stage)] == [1, 2]
    with pytest.raises(flow.AlreadyReadError) as caught:
        read(stage.retry(flow.Retry(3, on=ValueError)))
    assert caught.value.__cause__ is None


def test_a_cancel_is_never_tried_again() -> None:
    """CONTRACT 15: nor an interrupt (18), nor the closing."""
    source = Flaky(delay=1)

    async def main() -> None:
        task = asyncio.create_task(flow.wrap(source).retry(math.inf).collect(list))
        await asyncio.sleep(1.5)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    with virtual_time() as clock:
        clock.run(main())
        with pytest.raises(KeyboardInterrupt):
            list(flow.wrap(Tracked([1], fail=KeyboardInterrupt())).retry(math.inf))
        with flow.wrap(source).retry(math.inf).open() as rows:
            assert next(rows) == 0
    assert source.opened == 2
    assert source.is_closed


def test_a_cancel_while_it_waits_between_two_attempts() -> None:
    """CONTRACT 15: nothing is open then."""
    source = Flaky(1, 1)

    async def main() -> None:
        task = asyncio.create_task(flow.wrap(source).retry(flow.Retry(9, backoff=100)).collect(list))
        await asyncio.sleep(50)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert clock.time() == 50

    with virtual_time() as clock:
        clock.run(main())
    assert (source.opened, source.closed) == (1, 1)


def test_an_endless_retry_gives_the_loop_its_turns() -> None:
    """CONTRACT 10: a source that fails at once, for ever, without a pause: a ticker beside it is not held up."""

    def source() -> Iterator[int]:
        raise ValueError("at once")
        yield 1

    async def main() -> int:
        ticks = 0
        task = asyncio.create_task(flow.wrap(source).retry(flow.Retry(math.inf, backoff=0)).collect(list))
        while ticks < 20:
            await asyncio.sleep(0)
            ticks += 1
        task.cancel()
        await asyncio.wait([task])
        return ticks

    assert asyncio.run(main()) == 20


# ------------------------------------------------------------------------------------------------------------------
# With resume


@both
def test_a_source_that_resumes_repeats_nothing(read: Read) -> None:
    """CONTRACT 2: each row once, in order: a query by id."""
    source = Flaky(2, 1, 0, rows=5)
    asked = []

    def after(last: int, count: int) -> Iterator[int]:
        asked.append((last, count))
        return source.read(last + 1)

    stage = flow.wrap(source).retry(flow.Retry(3, backoff=0.5), resume=after)
    assert [row for row, _ in read(stage)] == [0, 1, 2, 3, 4]
    assert asked == [(1, 2), (2, 3), (2, 3)]


@both
def test_a_source_may_be_resumed_by_position(read: Read) -> None:
    """The same rows each time: those that were delivered are passed over."""
    source = flow.wrap(Flaky(2, 3))
    rows = [row for row, _ in read(source.retry(3, resume=lambda last, count: source[count:]))]
    assert rows == [0, 1, 2, 3]


@both
def test_resume_may_be_async_and_give_anything(read: Read) -> None:
    """Anything that wrap takes."""

    async def pages(first: int) -> AsyncIterator[int]:
        for page in range(first, 4):
            await asyncio.sleep(1)
            yield page

    async def resume(last: int, count: int) -> AsyncIterator[int]:
        await asyncio.sleep(1)
        return pages(last + 1)

    assert read(flow.wrap(Flaky(1)).retry(2, resume=resume)) == [(0, 0), (1, 3), (2, 4), (3, 5)]
    for rest in ([8, 9], (8, 9), iter([8, 9]), (n for n in (8, 9))):
        stage = flow.wrap(Flaky(1)).retry(2, resume=lambda last, count: rest)  # noqa: B023
        assert [row for row, _ in read(stage)] == [0, 8, 9]


@both
def test_without_a_row_the_source_itself_is_opened_again(read: Read) -> None:
    """There is no last row to go on from."""
    source = Flaky(0, 0)
    stage = flow.wrap(source).retry(3, resume=lambda last, count: 1 / 0)
    assert [row for row, _ in read(stage)] == [0, 1, 2, 3]


@both
def test_attempts_are_counted_from_the_latest_row_on(read: Read) -> None:
    """With each row it has got on: a connection that breaks once an hour is not given up after a day."""
    source = Flaky(*[1] * 10, rows=11)
    waits: list[int] = []

    def backoff(attempt: int) -> float:
        waits.append(attempt)
        return 0

    stage = flow.wrap(source).retry(flow.Retry(2, backoff=backoff), resume=lambda last, count: source.read(last + 1))
    assert [row for row, _ in read(stage)] == list(range(11))
    assert waits == [1] * 10
    source = Flaky(1, 1, 0, rows=5)
    stage = flow.wrap(source).retry(2, resume=lambda last, count: source.read(last + 1))
    with pytest.raises(ConnectionError, match="attempt 3"):
        read(stage)


@both
def test_a_failure_of_resume_is_one_of_the_attempt(read: Read) -> None:
    """It may have asked the very server that is down."""
    fails = count()

    def resume(last: int, n: int) -> list[int]:
        if next(fails) < 2:
            raise ConnectionError("still down")
        return [8, 9]

    stage = flow.wrap(Flaky(1)).retry(flow.Retry(4, on=ConnectionError), resume=resume)
    assert read(stage) == [(0, 0), (8, 3), (9, 3)]


# ------------------------------------------------------------------------------------------------------------------
# Stopping, and the rest


@both
def test_a_stopped_run_does_not_try_again(read: Read) -> None:
    """It ends where it waits between two attempts, and normally: nothing is opened again."""
    source = Flaky(1, 1)

    async def main() -> None:
        async with flow.wrap(source).retry(flow.Retry(9, backoff=100)).open() as run:
            asyncio.get_running_loop().call_later(50, run.stop)
            assert [row async for row in run] == [0]
            assert clock.time() == 50

    with virtual_time() as clock:
        clock.run(main())
    assert (source.opened, source.closed) == (1, 1)


def test_it_is_lazy() -> None:
    """CONTRACT 4: nothing before the first row; one row at a time."""
    source = Tracked(range(10))
    stage = flow.wrap(source).retry(2)
    with stage.open() as rows:
        assert source.opened == 0
        assert [next(rows), next(rows)] == [0, 1]
        assert source.asked == 2
    assert source.is_closed


def test_it_is_read_twice() -> None:
    """CONTRACT 7: attempts, last rows and counts are those of a run."""
    stage = flow.wrap([1, 2]).retry(2)
    assert list(stage) == list(stage) == [1, 2]
    source = Flaky(1, 1)
    with virtual_time():
        stage = flow.wrap(source).retry(2)
        with pytest.raises(ConnectionError, match="attempt 2"):
            list(stage)
        assert list(stage) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"attempts": 0}, r"retry\(attempts\) must be a flow.Retry or a number of attempts"),
        ({"attempts": "3"}, r"retry\(attempts\)"),
        ({"attempts": None}, r"retry\(attempts\)"),
        ({"attempts": 3, "resume": 1}, r"retry\(resume=...\)"),
    ],
)
def test_wrong_arguments_fail_when_built(arguments: dict[str, Any], text: str) -> None:
    """CONTRACT 22."""
    with pytest.raises((TypeError, ValueError), match=text):
        flow.wrap([1]).retry(**arguments)


def test_how_it_is_shown() -> None:
    stage = flow.wrap([1])
    assert repr(stage.retry(3).map(str)) == "wrap(list) | retry(3) | map(str)"
    assert repr(stage.retry(math.inf)) == "wrap(list) | retry(inf)"
    assert repr(stage.retry(flow.Retry(3, 0.5))) == "wrap(list) | retry(3, backoff=0.5)"
    policy = flow.Retry(3, backoff=math.sqrt, on=(OSError, KeyError))
    assert repr(stage.retry(policy)) == "wrap(list) | retry(3, backoff=sqrt, on=OSError | KeyError)"
    assert stage.retry(3).sources == (stage,)


def test_the_example_is_right() -> None:
    code = example_of(retry)
    assert code is not None
    run_statements(code)


def test_torture() -> None:
    """CONTRACT 14-16: ended at each wait of several attempts, between them too, in every way."""
    sources: list[Flaky] = []

    def make() -> flow.Stage[Any]:
        sources[:] = [Flaky(1, 0, rows=3, delay=1, cleanup=1)]
        return flow.wrap(sources[0]).retry(flow.Retry(3, backoff=2, on=ConnectionError))

    report = torture(make, tracked=lambda: sources, seeds=(None, 1, 2))
    assert report.rows == [0, 0, 1, 2]

    def resuming() -> flow.Stage[Any]:
        source = Flaky(1, 0, rows=3, delay=1, cleanup=1)
        sources[:] = [source]
        policy = flow.Retry(3, backoff=2, on=ConnectionError)
        return flow.wrap(source).retry(policy, resume=lambda last, count: source.read(last + 1))

    report = torture(resuming, tracked=lambda: sources, seeds=(None, 1, 2))
    assert report.rows == [0, 1, 2]
    nothing_left()
