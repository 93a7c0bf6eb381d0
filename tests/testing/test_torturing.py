"""The kit itself is tested: torture finds planted faults, and says at which step; what is sound passes."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from typing import Any

import pytest

import flow
from flow.core.instruction import Handle, Resume
from flow.testing import Deadlock, Injected, Leftover, Tracked, TrackedSink, torture
from flow.testing.rack import AT_WAITS, USUAL, WAYS
from flow.testing.torturing import has_injected


def slowly(rows: Iterator[Any]) -> Iterator[Any]:
    for row in rows:
        flow.sleep(1)
        yield row


def test_a_sound_flow_passes_and_the_report_counts() -> None:
    """Each way at each wait and after each row: the report says how often, and where it waited."""
    report = torture(lambda: flow.wrap([1, 2, 3]) | slowly, ways=WAYS)
    assert report.rows == [1, 2, 3]
    assert report.waits == ["Cooperate(1)"] * 3
    assert report.places == [f"slowly (test_torturing.py:{slowly.__code__.co_firstlineno + 2})"] * 3
    assert dict(report.runs) == dict.fromkeys(AT_WAITS, 3) | {"broken off": 4, "closed": 4, "cleanup failed": 4}
    assert str(report) == (
        "3 rows, 3 waits; runs: 3 abandoned, 4 broken off, 3 cancelled, 4 cleanup failed, 4 closed, 3 failed, "
        "3 timed out"
    )


def test_every_kind_of_wait_is_seen() -> None:
    """What a reader's task may await as it is, or as a turn of its own, is a wait like any other."""

    async def value() -> int:
        await asyncio.sleep(0)
        return 3

    def waits(rows: Iterator[Any]) -> Iterator[Any]:
        for row in rows:
            flow.cooperate()
            yield row + flow.wait(value())

    report = torture(lambda: flow.wrap([1]) | waits)
    assert report.rows == [4]
    assert [wait.rpartition(".")[2] for wait in report.waits] == ["Cooperate(0)", "value"]


def test_the_line_that_waited_is_named() -> None:
    """The step is in the user's code, also where a stage of flow's waits below it, or above it in an input."""

    def pulling(rows: Iterator[Any]) -> Iterator[Any]:
        for row in rows:
            yield row + 0

    report = torture(lambda: flow.Merge(flow.wrap([1]) | slowly, Tracked([2], delay=2)) | pulling, ordered=False)
    line = pulling.__code__.co_firstlineno + 1
    name = "test_the_line_that_waited_is_named.<locals>.pulling"
    assert f"{name} (test_torturing.py:{line})" in report.places  # it waits for the merge
    assert f"slowly (test_torturing.py:{slowly.__code__.co_firstlineno + 2})" in report.places  # in an input


def test_where_no_line_of_the_user_waits_the_stage_is_named() -> None:
    """A flow of nothing but flow's own names a line of flow's stage, or the flow."""
    report = torture(lambda: flow.Merge(Tracked([1], delay=1), Tracked([2], delay=2)), ordered=False)
    assert set(report.places) == {"Merge(wrap(Tracked), wrap(Tracked))"}
    (place,) = torture(lambda: flow.wrap(Tracked([1], delay=1)).map(str)).places
    assert (place.startswith("_") and "(transform.py:" in place) or place == "wrap(Tracked) | map(str)"


def test_a_source_that_stays_open_is_found() -> None:
    """Planted: a stage reads a generator by hand and hides it, so that nobody closes it."""
    hidden: list[Any] = []
    made: list[Tracked[int]] = []

    def hiding(rows: Iterator[int]) -> Iterator[int]:
        made.append(Tracked([10, 20, 30]))
        hidden.append(iter(made[-1]))
        for row in rows:
            flow.sleep(1)
            yield row + next(hidden[-1])

    with pytest.raises(Leftover, match="is not closed"):
        torture(lambda: flow.wrap([1, 2]) | hiding, tracked=lambda: made)
    for each in hidden:
        each.close()


def test_a_swallowed_failure_is_found() -> None:
    """Planted: a stage takes a failed wait for the end, and the rows behind it are lost without a word."""

    def swallowing(rows: Iterator[int]) -> Iterator[int]:
        for row in rows:
            try:
                flow.sleep(1)
            except Exception:
                return
            yield row

    words = r"failed at step 1 \(Cooperate\(1\) in .*swallowing \(test_torturing.py:\d+\)\): the failure was lost"
    with pytest.raises(AssertionError, match=words):
        torture(lambda: flow.wrap([1, 2]) | swallowing)


def test_a_row_that_is_lost_on_a_failed_wait_is_found() -> None:
    """Planted: a stage skips a row whose wait failed, and goes on with the next one."""

    def skipping(rows: Iterator[int]) -> Iterator[int]:
        for row in rows:
            try:
                flow.sleep(1)
            except Exception:
                continue
            yield row

    with pytest.raises(AssertionError, match=r"failed at step 1.*the rows \[2\] are not the first ones of \[1, 2\]"):
        torture(lambda: flow.wrap([1, 2]) | skipping)


def test_a_row_that_comes_twice_is_found() -> None:
    """Planted: a stage gives a row again after a wait that failed."""

    def doubling(rows: Iterator[int]) -> Iterator[int]:
        for row in rows:
            yield row
            try:
                flow.sleep(1)
            except Exception:
                yield row

    with pytest.raises(AssertionError, match="came twice"):
        torture(lambda: flow.wrap([1, 2]) | doubling, ordered=False)


def test_a_failure_that_becomes_another_is_found() -> None:
    """Planted: a stage raises its own error and hides the one that caused it."""

    def hiding(rows: Iterator[int]) -> Iterator[int]:
        for row in rows:
            failed = False
            try:
                flow.sleep(1)
            except Exception:
                failed = True
            if failed:
                raise ValueError("something else")
            yield row

    with pytest.raises(AssertionError, match="the failure became ValueError"):
        torture(lambda: flow.wrap([1]) | hiding)


class Forgetful(flow.CallLater):
    """Planted: an instruction that starts a timer and gives no way to cancel it."""

    def callLater(self, resume: Resume, /) -> Handle | None:
        resume.loop.call_later(50, resume)
        return None


def test_a_timer_that_is_left_is_found() -> None:
    def source() -> Iterator[Any]:
        yield Forgetful()
        yield 1

    with pytest.raises(Leftover, match="timers are left"):
        torture(lambda: flow.wrap(source))


def test_a_cleanup_that_hangs_is_found() -> None:
    """Planted: a stage waits in its cleanup for something that never comes."""

    def hanging(rows: Iterator[int]) -> Iterator[int]:
        try:
            for row in rows:
                flow.sleep(1)
                yield row
        finally:
            if len(made) > 1:  # the undisturbed run ends
                list(flow.Callback[int]())

    made: list[int] = []

    def make_flow() -> flow.Stage[int]:
        made.append(1)
        return flow.wrap([1]) | hanging

    with pytest.raises(Deadlock, match="nothing can ever happen"):
        torture(make_flow)
    from flow.core.run import live

    live.clear()  # it can't be closed: that is the fault


def test_a_flow_that_fails_undisturbed_is_refused() -> None:
    """There is nothing to learn from a flow that fails by itself."""
    with pytest.raises(AssertionError, match="the undisturbed flow failed"):
        torture(lambda: flow.wrap(Tracked([1], fail=ValueError())))


def test_a_race_is_found_by_some_seed() -> None:
    """Planted: two inputs share a list, and the order in which their waits end is taken for granted."""

    def racing() -> flow.Stage[Any]:
        order: list[str] = []

        def input(name: str, seconds: float) -> Iterator[Any]:
            yield flow.Cooperate(seconds)
            order.append(name)
            if order[0] != "a":
                raise ValueError("b came first")
            yield name

        return flow.Merge(input("a", 1), input("b", 1))

    torture(racing, ordered=False)
    with pytest.raises(AssertionError, match="b came first"):
        torture(racing, ordered=False, seeds=range(50))


# ------------------------------------------------------------------------------------------------------------------
# What may be asked of it


def test_a_flow_may_fail_by_itself() -> None:
    """`fails`: the undisturbed flow ends with that failure, after its rows; another one, or none, is an error."""

    def make(fail: BaseException | None = None) -> flow.Stage[int]:
        return flow.wrap(Tracked([1, 2], delay=1, fail=fail))

    report = torture(lambda: make(OSError("reset")), fails=OSError, seeds=(None, 1))
    assert report.rows == [1, 2]
    with pytest.raises(AssertionError, match=r"the undisturbed flow failed: ValueError"):
        torture(lambda: make(ValueError()), fails=OSError)
    with pytest.raises(AssertionError, match="did not fail, as it should, with OSError"):
        torture(make, fails=OSError)


def test_rows_that_depend_on_time_need_not_be_compared() -> None:
    """``ordered=None``: a row says what came before it, and jumps of time change that; here that is its job."""

    def make() -> flow.Stage[Any]:
        came: list[str] = []

        def saying(rows: Iterator[str]) -> Iterator[Any]:
            for row in rows:
                came.append(row)
                yield "".join(came)

        return flow.Merge([flow.Cooperate(1), "a"], [flow.Cooperate(1), "b"]) | saying

    torture(make, ordered=None, seeds=range(10))
    for ordered, words in ((True, "are not the first ones"), (False, "came twice, or is none of")):
        with pytest.raises(AssertionError, match=words):
            torture(make, ordered=ordered, seeds=range(10))


def test_a_check_of_ones_own() -> None:
    """`check` is called after each run, and what it raises says at which step."""
    held: list[int] = []

    def holding(rows: Iterator[int]) -> Iterator[int]:
        for row in rows:
            held.append(row)
            flow.sleep(1)
            yield held.pop()

    def check() -> None:
        left, held[:] = list(held), []
        assert not left, f"rows are held: {left}"

    with pytest.raises(AssertionError, match=r"rows are held: \[1\]") as caught:
        torture(lambda: flow.wrap([1, 2]) | holding, check=check)
    assert "cancelled at step 1" in caught.value.__notes__[-1]


def test_runs_are_bounded_and_long_ones_show_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """`most` runs, taken evenly; what was left out is counted. A line of progress now and then."""
    monkeypatch.setattr("flow.testing.torturing.QUIET", 0.0)
    lines: list[str] = []
    report = torture(lambda: flow.wrap(range(50)) | slowly, most=30, seeds=(None, 1), progress=lines.append)
    assert report.runs.total() == 30
    ways = len([way for way in USUAL if way in AT_WAITS])
    assert report.skipped == 2 * (ways * 50 + (len(USUAL) - ways) * 51) - 30
    assert set(report.runs) == set(USUAL)  # of each way some
    assert str(report).endswith(f"; {report.skipped} left out")
    assert len(lines) == 30
    assert lines[-1].startswith("torture: 30 runs; cleanup failed at step ")


def test_ways_may_be_chosen() -> None:
    """Only those are gone."""
    assert set(torture(lambda: flow.wrap([1]) | slowly, ways=["failed", "closed"]).runs) == {"failed", "closed"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"ways": ["fail"]}, "torture\\(ways\\) takes 'cancelled', .* not 'fail'"),
        ({"seeds": []}, "torture\\(seeds\\) must have at least one"),
        ({"most": 0}, "torture\\(most\\)"),
    ],
)
def test_wrong_arguments_fail_at_once(arguments: dict[str, Any], words: str) -> None:
    """CONTRACT 22."""
    with pytest.raises(ValueError, match=words):
        torture(lambda: flow.wrap([1]), **arguments)


def test_it_says_where_a_loop_runs_that_it_has_a_loop_of_its_own() -> None:
    """In a coroutine it is refused, as virtual time is."""

    async def main() -> None:
        with pytest.raises(flow.LoopRunningError):
            torture(lambda: flow.wrap([1]))

    asyncio.run(main())


def test_a_sink_in_a_tortured_flow() -> None:
    """What is tracked may be anything that knows whether it is closed."""

    class Pool:
        lent = 0

        @property
        def is_closed(self) -> bool:
            return self.lent == 0

        def __repr__(self) -> str:
            return f"<Pool: {self.lent} lent>"

        def rows(self) -> Iterator[int]:
            self.lent += 1
            flow.sleep(1)
            yield 1
            self.lent -= 1  # not in a `finally`

    pools: list[Pool] = []

    def make() -> flow.Stage[int]:
        pools[:] = [Pool()]
        return flow.wrap(pools[0].rows)

    with pytest.raises(Leftover, match="<Pool: 1 lent> is not closed"):
        torture(make, tracked=lambda: pools)
    sink: TrackedSink[int] = TrackedSink()
    sink.read([1])
    assert sink.ended == "end"


def test_a_failure_is_found_wherever_it_went() -> None:
    """As the error itself, in a group, as the cause or the context."""
    injected = Injected()
    for error in (injected, ExceptionGroup("", [ValueError(), injected])):
        assert has_injected(error)
    try:
        raise ValueError from injected
    except ValueError as error:
        assert has_injected(error)
    assert not has_injected(ValueError())
    assert not has_injected(None)


def test_a_torture_leaves_no_task_and_no_loop() -> None:
    """CONTRACT 20: what its many runs were made of is gone after them, failed, cancelled and abandoned ones, too."""

    def left() -> int:
        gc.collect()
        return sum(isinstance(each, (asyncio.Task, asyncio.AbstractEventLoop)) for each in gc.get_objects())

    before = left()
    torture(lambda: flow.Merge(flow.wrap(range(3)) | slowly, Tracked("ab", delay=1)), ordered=False, ways=WAYS)
    assert left() <= before
