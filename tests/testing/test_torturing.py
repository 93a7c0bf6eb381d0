"""The kit itself is tested: torture finds planted faults, and says at which step; what is sound passes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import flow
from flow.core.instruction import Handle, Resume
from flow.testing import Deadlock, Leftover, Tracked, nothing_left, torture, virtual_time


def slowly(rows: Iterator[Any]) -> Iterator[Any]:
    for row in rows:
        flow.sleep(1)
        yield row


def test_a_sound_flow_passes_and_the_report_counts() -> None:
    """Each wait is cancelled and failed, after each row it is broken off and closed: the report says how often."""
    report = torture(lambda: flow.wrap([1, 2, 3]) | slowly)
    assert report.rows == [1, 2, 3]
    assert report.waits == ["Cooperate(1)"] * 3
    assert dict(report.runs) == {"cancelled": 3, "failed": 3, "broken off": 4, "closed": 4}
    assert str(report) == "3 rows, 3 waits; runs: 4 broken off, 3 cancelled, 4 closed, 3 failed"


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

    with pytest.raises(AssertionError, match=r"failed at step 1 \(Cooperate\(1\)\): the failure was lost"):
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


def test_virtual_time_is_exact_and_shared() -> None:
    """Hours pass at once, and a script and a loop on one clock see the same time."""
    with virtual_time() as clock:
        assert list(flow.wrap(["a", flow.Cooperate(3600), "b"])) == ["a", "b"]
        assert clock.time() == 3600

        async def main() -> None:
            assert await flow.wrap([flow.Cooperate(60), 1]) == [1]

        clock.run(main())
        assert clock.time() == 3660


def test_the_same_seed_gives_the_same_run() -> None:
    """Chaos repeats: the order of a merge depends on the seed and on nothing else."""

    def merged(seed: int) -> list[Any]:
        def input(name: str) -> Iterator[Any]:
            for number in range(5):
                yield flow.Cooperate(1)
                yield f"{name}{number}"

        with virtual_time(seed) as clock:

            async def main() -> list[Any]:
                return await flow.Merge(input("a"), input("b"), input("c"))

            return clock.run(main())

    runs = [merged(seed) for seed in range(20)]
    assert runs == [merged(seed) for seed in range(20)]
    assert len({tuple(run) for run in runs}) > 1


def test_nothing_left_names_what_is_left() -> None:
    """A source that is open is named, with what was done to it."""
    source = Tracked([1, 2], name="orders")
    rows = iter(source)
    next(rows)
    with pytest.raises(Leftover, match="<Tracked orders: opened 1, asked 1, closed 0> is not closed"):
        nothing_left(source)
    rows.close()
    nothing_left(source)


def test_tracked_counts_as_a_source_and_as_a_stage() -> None:
    """It knows how often it was opened, asked and closed, and keeps a log that several may share."""
    log: list[tuple[str, str]] = []
    source, stage = Tracked("abc", name="source", log=log), Tracked(name="stage", log=log)
    assert list((flow.wrap(source) | stage)[:2]) == ["a", "b"]
    assert (source.opened, source.asked, source.closed, stage.asked) == (1, 2, 1, 2)
    assert log[-2:] == [("stage", "closed"), ("source", "closed")]
