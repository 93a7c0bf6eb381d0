"""The inputs of a Merge: they join and leave while it is read, are served by priority, and may fail without ending it.

CONTRACT 1-5, 8, 13-16, 18, 20-23, 25.
"""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable, Generator, Iterator
from itertools import count
from typing import Any

import pytest

import flow
from flow.core.run import live
from flow.stages import inputs as module
from flow.testing import Deadlock, Tracked, nothing_left, torture, virtual_time

Read = Callable[[flow.Stage[Any]], list[Any]]


def on_script(stage: flow.Stage[Any]) -> list[Any]:
    with virtual_time():
        return list(stage)


def on_asyncio(stage: flow.Stage[Any]) -> list[Any]:
    async def main() -> list[Any]:
        return [row async for row in stage]

    with virtual_time() as clock:
        return clock.run(main())


both = pytest.mark.parametrize("read", [on_script, on_asyncio])


def noted(got: list[Any]) -> Callable[[Iterator[Any]], Iterator[Any]]:
    """A stage that keeps what it hands on, for a flow that fails in the end."""

    def noting(rows: Iterator[Any]) -> Iterator[Any]:
        for row in rows:
            got.append(row)
            yield row

    return noting


def doing(*steps: tuple[float, Callable[[], object]]) -> Callable[[], Iterator[Any]]:
    """An input without rows that does things at times."""

    def work() -> Generator[Any]:
        then = 0.0
        for when, do in steps:
            yield flow.Cooperate(when - then)
            then = when
            do()

    return work


# --------------------------------------------------------------------------------------------------------------------
# Joining


@both
def test_an_input_joins_from_inside(read: Read) -> None:
    """CONTRACT 5, 13: an input adds another one, in a script, too; it is served in turn at once."""
    merge: flow.Merge[Any] = flow.Merge()

    def first() -> Iterator[Any]:
        yield "a"
        merge.add(["x", "y", "z"])
        yield "b"
        yield "c"

    merge.add(first)
    assert read(merge) == ["a", "b", "x", "c", "y", "z"]


@both
def test_an_input_joins_while_the_merge_waits(read: Read) -> None:
    """CONTRACT 5, 8: at its own time, though the reader waits for something else; the others keep their times."""
    merge: flow.Merge[Any] = flow.Merge(Tracked("a", delay=10))
    merge.add(doing((3, lambda: merge.add(Tracked("bc", delay=2)))))
    with virtual_time() as clock:
        assert [(row, clock.time()) for row in merge] == [("b", 5), ("c", 7), ("a", 10)]


def test_an_input_is_added_between_two_rows_of_a_script() -> None:
    """CONTRACT 2: the body of the `for` may add: what it adds is read by this run."""
    merge: flow.Merge[Any] = flow.Merge(range(3))
    got: list[Any] = []
    for row in merge:
        got.append(row)
        if row == 0:
            merge.add("abc".upper())
    assert got == [0, 1, "ABC", 2]


def test_an_input_is_added_by_a_task() -> None:
    """CONTRACT 5: while another task reads it."""
    merge: flow.Merge[Any] = flow.Merge(hold_open=True)

    async def adding() -> None:
        for number in range(3):
            await asyncio.sleep(1)
            merge.add([number])
        merge.finish()

    async def main() -> list[Any]:
        task = asyncio.create_task(adding())
        got = [(row, asyncio.get_running_loop().time()) async for row in merge]
        await task
        return got

    with virtual_time() as clock:
        assert clock.run(main()) == [(0, 1), (1, 2), (2, 3)]


def test_what_is_added_is_for_the_runs_that_are_open() -> None:
    """CONTRACT 7: each of them reads it; a later one begins with the inputs that the Merge was made with."""
    merge: flow.Merge[Any] = flow.Merge([1, 2])
    with merge.open() as first, merge.open() as second:
        assert (next(first), next(second)) == (1, 1)
        merge.add(["a"])
        assert sorted(map(str, first)) == ["2", "a"]
        assert sorted(map(str, second)) == ["2", "a"]
    assert list(merge) == [1, 2]
    assert [repr(each) for each in merge.sources] == ["wrap(list)"]


def test_what_is_added_before_a_run_is_for_the_next_one() -> None:
    """CONTRACT 7: for that one only, so that what can be read once may be added."""
    merge: flow.Merge[Any] = flow.Merge([1])
    merge.add(iter(["a"]))
    assert list(merge) == [1, "a"]
    assert list(merge) == [1]


def test_a_run_that_was_not_begun_is_not_open() -> None:
    """CONTRACT 4: a run takes its inputs when its first row is asked for."""
    merge: flow.Merge[Any] = flow.Merge([1])
    with merge.open() as rows:
        merge.add(["a"])
        assert list(rows) == [1, "a"]


def test_what_add_returns_is_the_stage() -> None:
    """It is what `wrap` makes of the source, or the stage that was given; what is no source is refused at once."""
    merge: flow.Merge[Any] = flow.Merge()
    stage = flow.wrap([1])
    assert merge.add(stage) is stage
    assert repr(merge.add([1, 2])) == "wrap(list)"
    for wrong in (3, None, len):
        with pytest.raises(TypeError, match="wrap"):
            merge.add(wrong)


# --------------------------------------------------------------------------------------------------------------------
# Leaving


@both
def test_an_input_leaves_where_it_waits(read: Read) -> None:
    """CONTRACT 8, 14: cancelled there and then; its cleanup runs beside the others, and has ended before the end."""
    tracked = Tracked("abc", delay=2, cleanup=2.5)
    stage = flow.wrap(tracked)
    closed: list[Any] = []
    other = Tracked("xyz", delay=1.5)
    merge: flow.Merge[Any] = flow.Merge(stage, other)
    merge.add(doing((3, lambda: closed.append(merge.remove(stage))), (4, lambda: closed.append(tracked.closed))))
    with virtual_time() as clock:
        got = [(row, clock.time()) for row in merge]
        assert clock.time() == 5.5
    assert got == [("x", 1.5), ("a", 2), ("y", 3), ("z", 4.5)]
    assert closed == [True, 0]
    assert tracked.closed == 1
    closed.clear()
    assert read(merge) == ["x", "a", "y", "b", "z", "c"]  # a later run has it again


def test_an_input_leaves_between_two_rows() -> None:
    """CONTRACT 2, 14: one that is always ready; it is closed by the time of the next row."""
    tracked = Tracked(count())
    stage = flow.wrap(tracked)
    merge: flow.Merge[Any] = flow.Merge(stage, "abc".upper(), [1, 2, 3])
    got = []
    for row in merge:
        got.append(row)
        if row == 1 and len(got) > 3:
            assert merge.remove(stage)
            assert not merge.remove(stage)
    assert got == [0, "ABC", 1, 1, 2, 3]
    assert tracked.closed == 1


@both
def test_an_input_removes_itself(read: Read) -> None:
    """CONTRACT 13: it gets as far as its next row, or its next wait."""
    merge: flow.Merge[Any] = flow.Merge([10, 20, 30])

    def once(waits: bool) -> Iterator[Any]:
        yield "first"
        assert merge.remove(waiting if waits else ready)
        if waits:
            yield flow.Cooperate(1000)
        yield "last"
        yield "never"

    ready, waiting = merge.add(lambda_of(once, False)), merge.add(lambda_of(once, True))
    assert read(merge) == [10, "first", "first", 20, "last", 30]


def lambda_of(f: Any, *arguments: Any) -> Any:
    def call() -> Iterator[Any]:
        yield from f(*arguments)

    return call


def test_removing_what_is_not_there() -> None:
    """It says so, and does nothing: an input may have ended in the meantime. What names no input is refused."""
    merge: flow.Merge[Any] = flow.Merge([1], [2, 3])
    assert merge.remove(flow.wrap([1])) is False
    with merge.open() as rows:
        stage = merge.add([5])
        assert merge.remove(stage) is True  # it was to join
        assert merge.remove(stage) is False
        assert sorted(rows) == [1, 2, 3]
        assert merge.remove(merge.inputs[0]) is False
    with pytest.raises(TypeError, match="wrap a source first"):
        merge.remove([1])  # type: ignore[arg-type]


def test_an_input_that_was_added_twice_leaves_twice() -> None:
    """All inputs that are this stage leave."""
    stage = flow.wrap(count())
    merge: flow.Merge[Any] = flow.Merge(stage, ["a", "b"])
    with merge.open() as rows:
        merge.add(stage)
        assert next(rows) == 0
        merge.add(stage)
        assert merge.remove(stage)
        assert list(rows) == ["a", "b"]


def failing(when_closed: BaseException) -> Callable[[], Iterator[Any]]:
    def rows() -> Iterator[Any]:
        try:
            yield flow.Cooperate(1000)
            yield 1
        finally:
            raise when_closed

    return rows


@both
@pytest.mark.parametrize("on_error", ["cancel", "finish", "collect"])
def test_a_removed_input_that_can_not_be_closed_has_failed(read: Read, on_error: Any) -> None:
    """CONTRACT 16: what its closing raises is a failure of the input, with what `on_error` says of it."""
    error = ValueError("cleanup")
    stage = flow.wrap(failing(error))
    other = Tracked("abc", delay=1)
    merge: flow.Merge[Any] = flow.Merge(stage, other, on_error=on_error)
    merge.add(doing((1.5, lambda: merge.remove(stage))))
    got: list[Any] = []
    with pytest.raises(ValueError, match="cleanup") as raised:
        read(merge | noted(got))
    assert raised.value is error
    assert got == (["a"] if on_error == "cancel" else ["a", "b", "c"])
    assert other.is_closed


def test_ten_thousand_inputs_come_and_go() -> None:
    """CONTRACT 20, 23: what has left or ended is forgotten; nothing is looked through for each of them."""
    merge: flow.Merge[Any] = flow.Merge(hold_open=True)

    async def main() -> int:
        rows = 0
        async with merge.open() as run:
            merge.add([0])
            assert await anext(run) == 0
            inside = merge._runs[0]
            waiting = [merge.add(flow.Callback()) for _ in range(10_000)]
            merge.add([1])
            assert await anext(run) == 1
            assert len(inside.every) == 10_001
            for stage in waiting:
                assert merge.remove(stage)
            for number in range(1000):
                merge.add([number])
                assert await anext(run) == number
                rows += 1
            assert len(inside.every) <= 2
            assert len(inside._of) <= 2
            merge.finish()
            assert [row async for row in run] == []
        return rows

    with virtual_time() as clock:
        assert clock.run(main()) == 1000
    assert merge._runs == []


# --------------------------------------------------------------------------------------------------------------------
# Held open


@both
def test_a_merge_that_is_held_open_waits_for_inputs(read: Read) -> None:
    """CONTRACT 3: it ends when it was told to finish, and its inputs have ended."""
    merge: flow.Merge[Any] = flow.Merge(hold_open=True)

    def after(rows: Iterator[Any]) -> Iterator[Any]:
        flow.wait(Later(1, lambda: merge.add(Tracked("ab", delay=1))))
        flow.wait(Later(5, lambda: merge.add(Tracked("cd", delay=1))))
        flow.wait(Later(6.5, merge.finish))
        yield from rows

    with virtual_time() as clock:
        assert [(row, clock.time()) for row in merge | after] == [("a", 2), ("b", 3), ("c", 6), ("d", 7)]
        assert clock.time() == 7
    assert read(merge | after) == ["a", "b", "c", "d"]


class Later(flow.CallLater):
    """Has the loop call `f` later, and resumes at once."""

    def __init__(self, seconds: float, f: Callable[[], object]) -> None:
        self.seconds, self.f = seconds, f

    def callLater(self, resume: Any, /) -> None:
        resume.loop.call_later(self.seconds, self.f)
        resume()


def test_nobody_adds_anything() -> None:
    """A merge that is held open and that nobody could end waits: with virtual time that is a deadlock, and says so."""
    with virtual_time(), pytest.raises(Deadlock):
        list(flow.Merge(hold_open=True))
    gc.collect()
    assert not live


def test_finish_before_a_run() -> None:
    """The next run ends with its inputs, and none can be added to it; a later one is held open again."""
    merge: flow.Merge[Any] = flow.Merge([1], hold_open=True)
    merge.finish()
    merge.finish()
    with pytest.raises(flow.ClosedError, match="no more inputs"):
        merge.add([2])
    assert list(merge) == [1]
    merge.add([2])
    with merge.open() as rows:
        assert [next(rows), next(rows)] == [1, 2]
        merge.add([3])
        assert next(rows) == 3
        merge.finish()
        merge.finish()
        with pytest.raises(flow.ClosedError, match="no more inputs"):
            merge.add([4])
        assert list(rows) == []


def test_a_run_that_is_stopped_waits_for_no_more_inputs() -> None:
    """`stop()` ends what holds a merge open, as it ends sources; what is added after that is refused."""
    merge: flow.Merge[Any] = flow.Merge(["a"], hold_open=True)

    async def main() -> list[Any]:
        got: list[Any] = []
        async with merge.open() as run:
            async for row in run:
                got.append(row)
                asyncio.get_running_loop().call_later(1, run.stop)
        return got

    with virtual_time() as clock:
        assert clock.run(main()) == ["a"]


def test_torture_of_a_merge_that_is_held_open() -> None:
    """CONTRACT 14-16: inputs join and leave meanwhile; ended at each wait and after each row, in several orders."""
    used: list[Tracked[Any]] = []

    def make() -> flow.Stage[Any]:
        used[:] = [Tracked([f"{name}{row}" for row in range(3)], delay=1, cleanup=1) for name in "abc"]
        merge: flow.Merge[Any] = flow.Merge(used[0], hold_open=True)
        stages = [flow.wrap(each) for each in used[1:]]

        def companion() -> Iterator[Any]:
            yield flow.Cooperate(0.5)
            merge.add(stages[0])
            yield flow.Cooperate(1)
            merge.add(stages[1])
            yield flow.Cooperate(0.75)
            merge.remove(stages[0])
            yield flow.Cooperate(0.5)
            merge.finish()

        merge.add(companion)
        return merge

    report = torture(make, tracked=lambda: used, ordered=False)
    assert sorted(report.rows) == ["a0", "a1", "a2", "b0", "c0", "c1", "c2"]


# --------------------------------------------------------------------------------------------------------------------
# Threads


@pytest.mark.parametrize("what", ["add", "remove", "finish"])
def test_another_thread_is_refused(what: str) -> None:
    """CONTRACT 25: while a run is open, its loop's thread alone may change it; the text says what to do instead."""
    stage = flow.wrap([1, 2])
    merge: flow.Merge[Any] = flow.Merge(stage)
    found: list[BaseException] = []

    def work() -> None:
        try:
            if what == "add":
                merge.add([3])
            elif what == "remove":
                merge.remove(stage)
            else:
                merge.finish()
        except flow.WrongThreadError as error:
            found.append(error)

    with merge.open() as rows:
        next(rows)
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert list(rows) == [2]
    assert "call_soon_threadsafe" in str(found[0])


# --------------------------------------------------------------------------------------------------------------------
# Priority


@both
def test_the_lowest_number_is_served(read: Read) -> None:
    """Of inputs that are ready, one after another by their numbers; those with equal ones in turn."""
    assert read(flow.Merge([1, 2], [10, 20], priority=[1, 0])) == [10, 20, 1, 2]
    assert read(flow.Merge([1, 2], "ab".upper(), [10, 20], priority=[5, -1.5, 5])) == ["AB", 1, 10, 2, 20]
    assert read(flow.Merge([1, 2], [10, 20], priority=[0, 0])) == [1, 10, 2, 20]
    assert read(flow.Merge(priority=[])) == []


def test_an_input_that_has_a_row_is_served_before_lower_ones() -> None:
    """CONTRACT 5: at the time of its row; while it waits the others are served."""
    stage = flow.Merge(Tracked(range(100)), Tracked("ab", delay=2), Tracked("xy", delay=3), priority=[9, 0, 1])

    def slowly(rows: Iterator[Any]) -> Iterator[Any]:
        for row in rows:
            yield row
            flow.sleep(1)

    with virtual_time():
        got = list((stage | slowly)[:9])
    assert got == [0, 1, "a", "x", 2, "b", 3, "y", 4]


def test_an_input_of_low_priority_starves() -> None:
    """CONTRACT 4: it gets nothing, and is not even opened, while one before it always has a row."""
    low = Tracked("abc")
    assert list(flow.Merge(low, count(), priority=[1, 0])[:1000]) == list(range(1000))
    assert low.opened == 0


def test_an_input_that_rejects_all_does_not_starve_the_rest() -> None:
    """CONTRACT 5, 10: it works without a row, and gives its turns away: others that have a row are served then."""

    def none(rows: Iterator[int]) -> Iterator[int]:
        for _ in rows:
            pass
        yield 0

    async def main() -> list[Any]:
        merge = flow.Merge(["a", "b", "c"], flow.wrap(count()) | none, priority=[1, 0])
        async with merge.open(slice=0.001) as rows:
            return [await anext(rows) for _ in range(3)]

    with virtual_time() as clock:
        assert clock.run(main()) == ["a", "b", "c"]


@both
def test_an_input_is_added_with_a_priority(read: Read) -> None:
    """It goes before those with higher numbers at once."""
    merge: flow.Merge[Any] = flow.Merge([1, 2, 3], priority=[1])

    def adding(rows: Iterator[Any]) -> Iterator[Any]:
        for row in rows:
            yield row
            if row == 1:
                merge.add(["low"], priority=2)
                merge.add(["high"], priority=0)
                merge.add(["same"], priority=1)
                merge.add(["default"])

    assert read(merge | adding) == [1, "high", "default", "same", 2, 3, "low"]


@pytest.mark.parametrize("seeds", [(None,), (1, 2, 3)])
def test_torture_of_priorities(seeds: Any) -> None:
    """CONTRACT 14-16: as for any Merge."""
    used: list[Tracked[Any]] = []

    def make() -> flow.Stage[Any]:
        used[:] = [
            Tracked(["a0", "a1"], delay=1, cleanup=1),
            Tracked(["b0", "b1", "b2"], delay=0.5),
            Tracked(["c0", "c1"]),
        ]
        return flow.Merge(*used, priority=[2, 1, 3])

    torture(make, tracked=lambda: used, ordered=False, seeds=seeds)


@pytest.mark.parametrize(
    ("arguments", "kind", "text"),
    [
        ({"priority": [1]}, ValueError, "one number for each input"),
        ({"priority": ["high", 1]}, TypeError, "numbers"),
        ({"priority": [True, 1]}, TypeError, "numbers"),
        ({"priority": [float("nan"), 1]}, ValueError, "numbers"),
        ({"on_error": "ignore"}, ValueError, "'cancel', 'finish' or 'collect'"),
        ({"on_error": None}, ValueError, "on_error"),
        ({"hold_open": 1}, TypeError, "hold_open"),
    ],
)
def test_wrong_arguments_fail_when_built(arguments: dict[str, Any], kind: type[Exception], text: str) -> None:
    """CONTRACT 22: the argument is named, and what is allowed."""
    with pytest.raises(kind, match=text):
        flow.Merge([1], [2], **arguments)


def test_a_priority_without_priorities_is_refused() -> None:
    """CONTRACT 22: a Merge that serves its inputs in turn takes none."""
    with pytest.raises(ValueError, match="without priority="):
        flow.Merge([1]).add([2], priority=1)
    with pytest.raises(TypeError, match="numbers"):
        flow.Merge([1], priority=[1]).add([2], priority="high")  # type: ignore[call-overload]


# --------------------------------------------------------------------------------------------------------------------
# Failures (which policy does what at which point is in test_combine_failures.py)


@both
@pytest.mark.parametrize("on_error", ["finish", "collect"])
def test_several_failures_come_in_the_end(read: Read, on_error: Any) -> None:
    """CONTRACT 3, 16: all rows first, then an ExceptionGroup, the first failure first."""
    errors = [OSError("one"), ValueError("two"), KeyError("three")]
    sources = [Tracked([number], delay=number + 1, fail=error) for number, error in enumerate(errors)]
    last = Tracked("xyz", delay=2)
    got: list[Any] = []
    with pytest.raises(ExceptionGroup) as raised:
        read(flow.Merge(*sources, last, on_error=on_error) | noted(got))
    assert got == [0, 1, "x", 2, "y", "z"]
    assert raised.value.exceptions == tuple(errors)
    assert last.is_closed
    nothing_left()


def test_a_failure_under_finish_ends_what_holds_it_open() -> None:
    """After a failure none is added any more, and it ends with those that are there; under "collect" it goes on."""
    merge: flow.Merge[Any] = flow.Merge(Tracked("a", fail=OSError("gone")), hold_open=True, on_error="finish")
    merge.add(Tracked("bc", delay=1))
    refused: list[BaseException] = []

    def late() -> Iterator[Any]:
        yield flow.Cooperate(1.5)
        try:
            merge.add([1])
        except flow.ClosedError as error:
            refused.append(error)

    merge.add(late)
    got: list[Any] = []
    with virtual_time(), pytest.raises(OSError, match="gone"):
        list(merge | noted(got))
    assert got == ["a", "b", "c"]
    assert "has failed" in str(refused[0])

    merge = flow.Merge(Tracked("a", fail=OSError("gone")), hold_open=True, on_error="collect")
    merge.add(doing((1, lambda: merge.add(["b"])), (2, merge.finish)))
    got.clear()
    with virtual_time(), pytest.raises(OSError, match="gone"):
        list(merge | noted(got))
    assert got == ["a", "b"]


def test_collected_failures_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """CONTRACT 20: with as many as it may hold, it ends as with "cancel", and raises them all."""
    monkeypatch.setattr(module, "MOST_FAILURES", 3)
    endless = Tracked(count(), delay=1)
    merge: flow.Merge[Any] = flow.Merge(endless, on_error="collect")
    for number in range(5):
        merge.add(Tracked([], fail=OSError(number)))
    with virtual_time(), pytest.raises(ExceptionGroup) as raised:
        list(merge)
    assert [each.args[0] for each in raised.value.exceptions] == [0, 1, 2]
    assert endless.is_closed


@pytest.mark.parametrize("on_error", ["finish", "collect"])
def test_a_kept_failure_is_raised_when_the_reader_leaves_early(on_error: Any) -> None:
    """CONTRACT 16: it came before rows that were handed out, so it is not dropped with what lies ahead."""
    error = OSError("gone")
    other = Tracked("bcd")
    merge: flow.Merge[Any] = flow.Merge(Tracked("a", fail=error), other, on_error=on_error)
    got: list[Any] = []
    with pytest.raises(OSError, match="gone") as raised:
        with merge.open() as rows:
            for row in rows:
                got.append(row)
                if row == "c":
                    break
    assert raised.value is error
    assert got == ["a", "b", "c"]
    assert other.is_closed
    with merge.open() as rows:
        assert next(rows) == "a"  # the failure lies ahead of what was asked for


def test_a_kept_failure_is_a_context_of_a_cancel() -> None:
    """CONTRACT 15, 16: the cancel stays what it is, and the failure is not lost."""

    async def main() -> BaseException:
        merge = flow.Merge(Tracked([], fail=OSError("gone")), Tracked(count(), delay=1), on_error="finish")
        task = asyncio.ensure_future(everything(merge))
        await asyncio.sleep(2.5)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError as error:
            return error
        raise AssertionError

    with virtual_time() as clock:
        error: BaseException | None = clock.run(main())
    contexts = []
    while error is not None and len(contexts) < 10:
        contexts.append(type(error))
        error = error.__context__ or error.__cause__
    assert OSError in contexts


async def everything(stage: flow.Stage[Any]) -> list[Any]:
    return await stage


@both
@pytest.mark.parametrize("on_error", ["cancel", "finish", "collect"])
def test_an_exit_is_never_kept(read: Read, on_error: Any) -> None:
    """CONTRACT 18: it ends the run at once, whatever the policy, with failures that were kept as its context."""
    other = Tracked(count(), delay=1)
    with pytest.raises(KeyboardInterrupt):
        read(flow.Merge(Tracked([1], delay=2.5, fail=KeyboardInterrupt()), other, on_error=on_error))
    assert other.is_closed
    nothing_left()


@pytest.mark.parametrize("on_error", ["finish", "collect"])
def test_torture_of_policies(on_error: Any) -> None:
    """CONTRACT 14-16: a wait that fails is a failure of its input; the others go on, and nothing is left."""
    used: list[Tracked[Any]] = []

    def make() -> flow.Stage[Any]:
        used[:] = [
            Tracked(["a0", "a1"], delay=1, cleanup=1),
            Tracked(["b0", "b1", "b2"], delay=0.5, cleanup=1),
        ]
        return flow.Merge(*used, on_error=on_error)

    torture(make, tracked=lambda: used, ordered=False, seeds=(None, 1))
