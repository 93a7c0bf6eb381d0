"""What becomes of errors: trap, recover, errors as values and back; policies.

CONTRACT 2-4, 6, 9, 14-19, 22.
"""

from __future__ import annotations

import asyncio
import math
import pickle
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from fractions import Fraction
from functools import partial
from typing import Any

import pytest
import tenacity

import flow
from flow.errors import Cancelled
from flow.stages import errors
from flow.testing import Tracked, nothing_left, torture, virtual_time
from tests.docs.test_docstrings import example_of, run_statements

from .when import both, in_script, on_asyncio

Read = Callable[[flow.Stage[Any]], list[tuple[Any, float]]]


def rows_of(read: Read, stage: flow.Stage[Any]) -> list[Any]:
    return [row for row, _ in read(stage)]


def failing(*rows: Any, error: BaseException | None = None, **options: Any) -> Tracked[Any]:
    return Tracked(rows, fail=ValueError("source") if error is None else error, **options)


# ------------------------------------------------------------------------------------------------------------------
# Retry


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: flow.Retry(0), r"Retry\(attempts\) must be at least 1"),
        (lambda: flow.Retry(-1), r"Retry\(attempts\)"),
        (lambda: flow.Retry(1.5), r"Retry\(attempts\) must be a whole number or math.inf"),
        (lambda: flow.Retry(True), r"Retry\(attempts\)"),
        (lambda: flow.Retry(math.nan), r"Retry\(attempts\)"),
        (lambda: flow.Retry("3"), r"Retry\(attempts\)"),  # type: ignore[arg-type]
        (lambda: flow.Retry(3, backoff=-1), r"Retry\(backoff\) must be 0 or more seconds"),
        (lambda: flow.Retry(3, backoff=math.nan), r"Retry\(backoff\)"),
        (lambda: flow.Retry(3, backoff="1"), r"Retry\(backoff\) must be a number of seconds"),  # type: ignore[arg-type]
        (lambda: flow.Retry(3, backoff=asyncio.sleep), r"Retry\(backoff\): sleep must be a plain function"),  # type: ignore[arg-type]
        (lambda: flow.Retry(3, on=1), r"Retry\(on\)"),  # type: ignore[arg-type]
        (lambda: flow.Retry(3, on=()), r"Retry\(on\)"),
        (lambda: flow.Retry(3, on=int), r"Retry\(on\)"),  # type: ignore[arg-type]
        (lambda: flow.Retry(3, on=KeyboardInterrupt), r"Retry\(on\) must be a class of Exceptions"),  # type: ignore[arg-type]
        (lambda: flow.Retry(3, on=(ValueError, Cancelled)), r"Retry\(on\)"),  # type: ignore[arg-type]
        (lambda: flow.Retry(3, on=asyncio.sleep), r"Retry\(on\): sleep must be a plain function"),
    ],
)
def test_a_wrong_policy_fails_when_built(make: Callable[[], object], text: str) -> None:
    """CONTRACT 22: from the line that wrote it, naming the argument and what is allowed."""
    with pytest.raises((TypeError, ValueError), match=text):
        make()


def test_a_policy_says_how_long_to_wait() -> None:
    """Seconds, a function of the attempt that failed, and None when there is to be no other attempt."""
    assert [flow.Retry(3).delay_after(n, ValueError()) for n in (1, 2, 3, 4)] == [1.0, 1.0, None, None]
    assert [flow.Retry(3, lambda n: n / 10).delay_after(n, ValueError()) for n in (1, 2, 3)] == [0.1, 0.2, None]
    assert flow.Retry(math.inf, 0).delay_after(10**9, ValueError()) == 0
    assert flow.Retry(1).delay_after(1, ValueError()) is None


def test_a_policy_says_which_errors() -> None:
    """A class, several, or a predicate; a cancel and an interrupt never."""
    assert flow.Retry(3, on=OSError).delay_after(1, ConnectionError()) == 1
    assert flow.Retry(3, on=OSError).delay_after(1, ValueError()) is None
    assert flow.Retry(3, on=(OSError, ValueError)).delay_after(1, ValueError()) == 1
    assert flow.Retry(3, on=lambda error: "503" in str(error)).delay_after(1, ValueError("503")) == 1
    assert flow.Retry(3, on=lambda error: "503" in str(error)).delay_after(1, ValueError("404")) is None
    for error in (KeyboardInterrupt(), SystemExit(), Cancelled(), GeneratorExit(), asyncio.CancelledError()):
        assert flow.Retry(3).delay_after(1, error) is None
        assert flow.Retry(3, on=lambda error: True).delay_after(1, error) is None


def test_a_backoff_that_gives_no_seconds() -> None:
    """CONTRACT 22: what it gives is checked, and named."""
    with pytest.raises(ValueError, match=r"Retry\(backoff=.*lambda.*\) gives must be 0 or more seconds"):
        flow.Retry(3, lambda n: -1).delay_after(1, ValueError())
    with pytest.raises(TypeError, match="must be a number of seconds, not Fraction"):
        flow.Retry(3, lambda n: Fraction(1, 2)).delay_after(1, ValueError())  # type: ignore[arg-type, return-value]


def test_waits_of_tenacity() -> None:
    """They see the number of the attempt, and the error; sums of them too. flow does not import tenacity itself."""
    fail = ValueError(7)
    exponential = flow.Retry(9, backoff=tenacity.wait_exponential(multiplier=0.5, max=4))
    assert [exponential.delay_after(n, fail) for n in (1, 2, 3, 4, 5)] == [0.5, 1, 2, 4, 4]
    jitter = flow.Retry(9, backoff=tenacity.wait_exponential_jitter(initial=1, jitter=0.5, max=100))
    for attempt in range(1, 6):
        delay = jitter.delay_after(attempt, fail)
        assert delay is not None
        assert 2 ** (attempt - 1) <= delay <= 2 ** (attempt - 1) + 0.5
    both_of_them = flow.Retry(9, backoff=tenacity.wait_fixed(1) + tenacity.wait_fixed(2))
    assert both_of_them.delay_after(1, fail) == 3
    by_error = flow.Retry(9, backoff=tenacity.wait_exception(lambda error: error.args[0]))
    assert by_error.delay_after(1, fail) == 7
    chain = flow.Retry(9, backoff=tenacity.wait_chain(tenacity.wait_fixed(1), tenacity.wait_fixed(5)))
    assert [chain.delay_after(n, fail) for n in (1, 2, 3)] == [1, 5, 5]


def test_flow_does_not_import_tenacity(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a function is a function of the attempt, whatever its type is called."""
    monkeypatch.delitem(sys.modules, "tenacity")
    assert flow.Retry(3, backoff=lambda n: n * 2).delay_after(2, ValueError()) == 4
    assert "tenacity" not in sys.modules


def test_a_policy_is_a_value() -> None:
    """Frozen, comparable, and shown as it was written."""
    policy = flow.Retry(3, on=OSError)
    assert policy == flow.Retry(3, 1.0, OSError)
    assert hash(policy) == hash(flow.Retry(3, 1.0, OSError))
    assert pickle.loads(pickle.dumps(policy)) == policy
    with pytest.raises(AttributeError):
        policy.attempts = 4  # type: ignore[misc]
    assert repr(policy) == "Retry(attempts=3, backoff=1.0, on=<class 'OSError'>)"


# ------------------------------------------------------------------------------------------------------------------
# trap


@both
def test_a_trapped_error_is_the_last_row(read: Read) -> None:
    """CONTRACT 3, 17: the very instance, after the rows before it; what failed is closed."""
    error = ValueError("source")
    source = failing(1, 2, error=error)
    rows = rows_of(read, flow.wrap(source).map(lambda row: row).trap(KeyError, ValueError))
    assert rows == [1, 2, error]
    assert rows[2] is error
    assert source.is_closed


def test_trap_is_what_wrap_does() -> None:
    """One thing, two spellings: the label says so, too."""
    source = flow.wrap(failing(1))
    assert repr(source.trap(ValueError)) == repr(flow.wrap(source, ValueError)) == "wrap(Tracked) | trap(ValueError)"


@both
def test_other_errors_pass_a_trap(read: Read) -> None:
    """CONTRACT 17: with type and instance."""
    error = ValueError("source")
    with pytest.raises(ValueError, match="source") as caught:
        read(flow.wrap(failing(1, error=error)).trap(KeyError))
    assert caught.value is error


def test_a_trap_does_not_keep_a_run_from_ending() -> None:
    """CONTRACT 14, 15: however much it traps, a close and a cancel pass it."""
    source = Tracked([1, 2, 3], delay=1, cleanup=1)
    with virtual_time() as clock:
        stage = flow.wrap(source).trap(Exception)
        with stage.open() as rows:
            assert next(rows) == 1
        assert source.is_closed

        async def main() -> None:
            task = asyncio.ensure_future(anext(aiter(stage)))
            await asyncio.sleep(0.5)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()

        clock.run(main())
    assert source.is_closed
    nothing_left()


@pytest.mark.parametrize(
    "kinds", [(), (1,), (ValueError, "x"), (int,), ((ValueError, KeyError),), (BaseException,), (KeyboardInterrupt,)]
)
def test_a_wrong_trap_fails_when_built(kinds: Any) -> None:
    """CONTRACT 22."""
    with pytest.raises(TypeError, match=r"trap\(\*kinds\)"):
        flow.wrap([1]).trap(*kinds)


def test_a_source_is_closed_once_by_a_trap() -> None:
    """CONTRACT 14: an iterator with a close() of its own, which the reader leaves early."""

    class Source:
        closed = 0

        def __iter__(self) -> Source:
            return self

        def __next__(self) -> int:
            return 1

        def close(self) -> None:
            Source.closed += 1

    with flow.wrap(Source(), ValueError).open() as rows:
        next(rows)
    assert Source.closed == 1


# ------------------------------------------------------------------------------------------------------------------
# recover


async def later(error: Exception) -> list[str]:
    await asyncio.sleep(1)
    return [str(error)]


async def agen() -> AsyncIterator[int]:
    yield 8
    yield 9


ANSWERS: dict[str, tuple[Callable[[Exception], Any], list[Any]]] = {
    "list": (lambda error: [str(error)], ["source"]),
    "empty": (lambda error: [], []),
    "text": (lambda error: "text", ["text"]),
    "stage": (lambda error: flow.wrap([8]).map(lambda row: row + 1), [9]),
    "generator": (lambda error: (row for row in (8, 9)), [8, 9]),
    "async iterable": (lambda error: agen(), [8, 9]),
    "async function": (later, ["source"]),
    "partial of one": (partial(later), ["source"]),
    "function that waits": (lambda error: flow.sleep(1) or [8], [8]),
}


@both
@pytest.mark.parametrize("kind", ANSWERS)
def test_recover_answers_an_error_with_rows(read: Read, kind: str) -> None:
    """CONTRACT 1-3: the rows before it come first; the failed source is closed before the others are opened."""
    f, rows = ANSWERS[kind]
    source = failing(1, 2, cleanup=1)
    order: list[str] = []

    def answer(error: Exception) -> Any:
        order.append("open" if source.is_closed else "too early")
        return f(error)

    assert rows_of(read, flow.wrap(source).recover(answer)) == [1, 2, *rows]
    assert order == ["open"]
    nothing_left(source)


@both
def test_recover_without_an_error(read: Read) -> None:
    """CONTRACT 4: f is not called."""
    assert rows_of(read, flow.wrap([1, 2]).recover(lambda error: 1 / 0)) == [1, 2]


@both
def test_recover_on_some_errors(read: Read) -> None:
    """`on`: a class, several, a predicate. Others pass."""
    for on in (ValueError, (KeyError, ValueError), lambda error: str(error) == "source"):
        assert rows_of(read, flow.wrap(failing(1)).recover(lambda error: [2], on=on)) == [1, 2]
    for on in (KeyError, lambda error: False):
        with pytest.raises(ValueError, match="source"):
            read(flow.wrap(failing(1)).recover(lambda error: [2], on=on))


@both
def test_what_recover_does_not_answer(read: Read) -> None:
    """CONTRACT 17, 19: errors of f, of the rows that it gave, of its StopIteration: with the first one as context."""

    def wrong(error: Exception) -> Any:
        raise KeyError("f")

    with pytest.raises(KeyError) as caught:
        read(flow.wrap(failing(1)).recover(wrong))
    assert isinstance(caught.value.__context__, ValueError)
    with pytest.raises(KeyError, match="second"):
        read(flow.wrap(failing(1)).recover(lambda error: failing(2, error=KeyError("second"))))

    def stop(error: Exception) -> Any:
        raise StopIteration

    with pytest.raises(RuntimeError, match="StopIteration"):
        read(flow.wrap(failing(1)).recover(stop))
    with pytest.raises(TypeError, match="make a stage of NoneType"):
        read(flow.wrap(failing(1)).recover(lambda error: None))
    # One after the other, each for its own.
    stage = flow.wrap(failing(1)).recover(lambda error: failing(2, error=KeyError("second")))
    assert rows_of(read, stage.recover(lambda error: [3])) == [1, 2, 3]


@both
def test_a_failing_close_is_not_hidden_by_recover(read: Read) -> None:
    """CONTRACT 16: the two come together, and f is not called."""

    class Source:
        def __iter__(self) -> Source:
            return self

        def __next__(self) -> int:
            raise ValueError("next")

        def close(self) -> None:
            raise KeyError("close")

    with pytest.raises(ExceptionGroup) as caught:
        read(flow.wrap(Source()).recover(lambda error: [1 / 0]))
    assert list(map(type, caught.value.exceptions)) == [ValueError, KeyError]


def test_waits_of_recovered_rows_are_ordinary_ones() -> None:
    """CONTRACT 15: they are no part of a cleanup: a cancel is raised there, and again at the next wait."""
    seen: list[str] = []

    def stubborn() -> Iterator[int]:
        for name in ("first", "second"):
            try:
                flow.sleep(100)
            except BaseException as error:
                seen.append(f"{name}: {type(error).__name__}")
        yield 1

    async def read() -> list[int]:
        return [row async for row in flow.wrap(failing()).recover(lambda error: stubborn)]

    async def main() -> None:
        task = asyncio.create_task(read())
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert clock.time() == 1

    with virtual_time() as clock:
        clock.run(main())
    assert seen == ["first: CancelledError", "second: CancelledError"]


def test_recovered_rows_are_a_source_of_the_run() -> None:
    """A stop ends them as it would have ended the first source."""
    ticks = flow.wrap(Tracked(range(100), delay=1))

    async def main() -> None:
        async with flow.wrap(failing()).recover(lambda error: ticks).open() as run:
            asyncio.get_running_loop().call_later(2.5, run.stop)
            assert [row async for row in run] == [0, 1]

    with virtual_time() as clock:
        clock.run(main())
        assert clock.time() == 2.5
        with flow.wrap(failing()).recover(lambda error: range(100)).open() as here:
            assert next(here) == 0
            here.stop()
            assert list(here) == []


@pytest.mark.parametrize(
    ("arguments", "text"),
    [((1,), r"recover\(f\)"), ((print, 1), r"recover\(on\)"), ((print, int), r"recover\(on\)"), ((print, ()), "on")],
)
def test_a_wrong_recover_fails_when_built(arguments: Any, text: str) -> None:
    """CONTRACT 22."""
    with pytest.raises(TypeError, match=text):
        flow.wrap([1]).recover(*arguments)


def test_recover_twice() -> None:
    """CONTRACT 7: it is a description like any other."""
    stage = flow.wrap(failing(1)).recover(lambda error: [2])
    assert list(stage) == list(stage) == [1, 2]


# ------------------------------------------------------------------------------------------------------------------
# Errors as values


@both
def test_errors_as_values_and_back(read: Read) -> None:
    """CONTRACT 3, 6, 17: the very rows and the very error."""
    error = ValueError("source")
    stage = flow.wrap(failing(1, None, KeyError("data"), error=error))
    values = rows_of(read, stage.as_values())
    assert [type(each) for each in values] == [flow.Ok, flow.Ok, flow.Ok, flow.Failed]
    assert values[-1].error is error
    assert values[0] == flow.Ok(1)
    got: list[Any] = []
    with pytest.raises(ValueError, match="source") as caught:
        read(stage.as_values().from_values().on_row(got.append))
    assert caught.value is error
    assert got[:2] == [1, None]


@both
def test_values_without_an_error(read: Read) -> None:
    """CONTRACT 2: the end is the end."""
    assert rows_of(read, flow.wrap([1, 2]).as_values()) == [flow.Ok(1), flow.Ok(2)]
    assert rows_of(read, flow.wrap([1, 2]).as_values().from_values()) == [1, 2]


def test_an_error_as_a_value_does_not_end_its_siblings() -> None:
    """What it is for: Merge goes on with the other input."""
    merged = flow.Merge(flow.wrap(failing(1)).as_values(), flow.wrap(Tracked([2, 3], delay=1)).as_values())
    with virtual_time():
        values = list(merged)
    assert [each.unwrap() for each in values if isinstance(each, flow.Ok)] == [1, 2, 3]
    (failed,) = (each for each in values if isinstance(each, flow.Failed))
    with pytest.raises(ValueError, match="source"):
        failed.unwrap()


def test_a_failed_value_ends_the_rows() -> None:
    """Whoever made it: nothing behind it is asked for."""
    source = Tracked([flow.Ok(1), flow.Failed(KeyError("x")), flow.Ok(2)])
    got = []
    with pytest.raises(KeyError):
        for row in flow.wrap(source).from_values():
            got.append(row)
    assert got == [1]
    assert source.asked == 2


def test_from_values_takes_values_only() -> None:
    """It says what it takes."""
    with pytest.raises(TypeError, match=r"takes flow.Ok and flow.Failed"):
        list(flow.wrap([1]).from_values())


def test_values_match_and_travel() -> None:
    """They are patterns, comparable, and can be pickled."""
    match flow.Ok(1):
        case flow.Ok(row):
            assert row == 1
    match flow.Failed(ValueError("x")):
        case flow.Failed(ValueError() as error):
            assert str(error) == "x"
    assert pickle.loads(pickle.dumps(flow.Ok(1))) == flow.Ok(1)
    assert type(pickle.loads(pickle.dumps(flow.Failed(ValueError("x")))).error) is ValueError
    with pytest.raises(AttributeError):
        flow.Ok(1).value = 2  # type: ignore[misc]


# ------------------------------------------------------------------------------------------------------------------
# All of them


STAGES: dict[str, Callable[[flow.Stage[int]], flow.Stage[Any]]] = {
    "trap": lambda stage: stage.trap(ValueError),
    "recover": lambda stage: stage.recover(lambda error: [0]),
    "as_values": lambda stage: stage.as_values(),
    "and back": lambda stage: stage.as_values().from_values(),
}


@pytest.mark.parametrize("name", STAGES)
def test_each_is_lazy_and_holds_nothing(name: str) -> None:
    """CONTRACT 4: nothing is asked for before the first row, and no row more than was asked for."""
    source = Tracked(range(10))
    stage = STAGES[name](flow.wrap(source))
    assert source.opened == 0
    with stage.open() as rows:
        assert source.opened == 0
        next(rows)
        next(rows)
        assert source.asked == 2
    assert source.is_closed


@pytest.mark.parametrize("name", STAGES)
def test_torture(name: str) -> None:
    """CONTRACT 14-16: ended at each wait, in every way. (A wait that fails gives other rows where that is the job.)"""
    sources: list[Tracked[Any]] = []

    def make() -> flow.Stage[Any]:
        sources[:] = [Tracked(range(3), delay=1, cleanup=1)]
        return STAGES[name](flow.wrap(sources[0]))

    changes = name in ("recover", "as_values")
    report = torture(make, tracked=lambda: sources, ordered=None if changes else True, seeds=(None, 1, 2))
    assert report.runs["failed"] == 3 * len(report.waits)


def test_torture_of_recovered_rows() -> None:
    """CONTRACT 14-16: while it changes from one source to the other, too."""
    sources: list[Tracked[Any]] = []

    async def answer(error: Exception) -> Tracked[Any]:
        await asyncio.sleep(1)
        return sources[1]

    def make() -> flow.Stage[Any]:
        sources[:] = [failing(1, 2, error=KeyError(), delay=1, cleanup=1), Tracked([3, 4], delay=1, cleanup=1)]
        return flow.wrap(sources[0]).recover(answer, on=KeyError)

    report = torture(make, tracked=lambda: sources, seeds=(None, 1, 2))
    assert report.rows == [1, 2, 3, 4]


@pytest.mark.parametrize("name", ["trap", "recover", "as_values", "from_values"])
def test_the_examples_are_right(name: str) -> None:
    code = example_of(getattr(errors, name))
    assert code is not None
    run_statements(code)


def test_scripts_and_loops_agree_on_times() -> None:
    """CONTRACT 12: recover waits for nothing of its own."""
    stage = flow.wrap(failing(1, delay=1)).recover(lambda error: failing(2, delay=1)).trap(ValueError).map(str)
    assert in_script(stage) == on_asyncio(stage) == [("1", 1), ("2", 2), ("source", 2)]
