"""Branches: joining, leaving, `next` until a time, gathering, and who may read what is left.

CONTRACT 2-5, 8, 13-16, 21, 23.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Iterator
from itertools import count
from typing import Any

import pytest

import flow
from flow.core.bodies import gather
from flow.core.branch import LATE, NOW, Branches, ByPriority
from flow.core.instruction import Handle, Resume
from flow.core.stage import Stage
from flow.testing import Tracked, nothing_left, torture, virtual_time

Read = Callable[[Stage[Any]], list[Any]]
Body = Callable[[Branches], Generator[Any]]


class Combining(Stage[Any]):
    """A stage that does with its branches what the test says."""

    def __init__(self, body: Body, keep: Any = None) -> None:
        self._body = body
        self._keep = keep

    def rows(self, upstream: Any, scope: Any) -> Iterator[Any]:
        return self._body(Branches(scope.strand, keep=self._keep))


def on_script(stage: Stage[Any]) -> list[Any]:
    with virtual_time():
        return list(stage)


def on_asyncio(stage: Stage[Any]) -> list[Any]:
    async def main() -> list[Any]:
        return [row async for row in stage]

    with virtual_time() as clock:
        return clock.run(main())


both = pytest.mark.parametrize("read", [on_script, on_asyncio])


def now(branches: Branches) -> float:
    return branches._strand.loop.time()


def source(*rows: Any, **how: Any) -> tuple[Tracked[Any], Stage[Any]]:
    tracked = Tracked(rows, **how)
    return tracked, flow.wrap(tracked)


def pushed(*rows: Any) -> flow.Callback[Any]:
    """Some rows that are there, and no end."""
    callback: flow.Callback[Any] = flow.Callback()
    for row in rows:
        callback.result(row)
    return callback


# --------------------------------------------------------------------------------------------------------------------
# Joining


@both
def test_branches_join_while_others_are_read(read: Read) -> None:
    """CONTRACT 1, 2, 8: one that joins is served in turn with those that are there; all rows come, each once."""

    def body(branches: Branches) -> Generator[Any]:
        with branches:
            branches.add(flow.wrap([1, 2, 3]))
            joined = False
            while (branch := branches.next()) is not None:
                if branch.full:
                    yield branch.take()
                    branches.ask(branch)
                if not joined:
                    branches.add(flow.wrap(["a", "b"]))
                    joined = True

    assert read(Combining(body)) == [1, 2, "a", 3, "b"]


def test_a_branch_joins_while_the_reader_waits() -> None:
    """CONTRACT 5, 8: the reader waits for another one in `next`; the new one's row comes at its own time, exactly."""

    def body(branches: Branches) -> Generator[Any]:
        with branches:
            branches.add(flow.wrap(Tracked(["slow"], delay=10)))
            branches._strand.loop.call_later(3, lambda: branches.add(flow.wrap(Tracked(["quick"], delay=1))))
            while (branch := branches.next()) is not None:
                if branch.full:
                    yield branch.take(), now(branches)
                    branches.ask(branch)

    assert on_asyncio(Combining(body)) == [("quick", 4), ("slow", 10)]
    assert on_script(Combining(body)) == [("quick", 4), ("slow", 10)]


@both
def test_a_lasting_one_waits_for_branches_until_it_is_ended(read: Read) -> None:
    """CONTRACT 3: `next` waits for branches to join when all have ended, and gives None after `end`."""

    def body(branches: Branches) -> Generator[Any]:
        loop = branches._strand.loop
        with branches:
            branches.lasting = True
            loop.call_later(1, lambda: branches.add(flow.wrap(["a"])))
            loop.call_later(2, lambda: branches.add(flow.wrap(["b"])))
            loop.call_later(5, branches.end)
            while (branch := branches.next()) is not None:
                if branch.full:
                    yield branch.take(), now(branches)
                    branches.ask(branch)
            yield "end", now(branches)

    assert read(Combining(body)) == [("a", 1), ("b", 2), ("end", 5)]


# --------------------------------------------------------------------------------------------------------------------
# Leaving: `remove`


def leaving(
    stage: Stage[Any], begin: Callable[[Branches, Any], object], *, after: float = 0
) -> tuple[list[Any], list[Any], float]:
    """A branch is brought to a state by `begin`, then removed beside one that ticks once a second: what the other one
    gave and when, what was dropped, and how long the removal took.
    """
    took: list[float] = []

    def body(branches: Branches) -> Generator[Any]:
        with branches:
            leaves = branches.add(stage)
            other = branches.add(flow.wrap(Tracked(range(3), delay=1)))
            begin(branches, leaves)
            start = now(branches)
            try:
                branches.remove(leaves)
            finally:
                took.append(now(branches) - start)
            assert leaves.over
            assert leaves not in branches.every
            branches.remove(leaves)  # it is no branch any more: nothing happens
            while not other.over:
                branch = branches.next()
                assert branch is other
                if branch.full:
                    yield branch.take(), now(branches)
                    branches.ask(branch)
            assert branches.next() is None

    dropped: list[Any] = []
    got: list[Any] = []
    with virtual_time():
        with Combining(body).open(on_dropped=dropped.extend) as rows:
            for row in rows:
                got.append(row)
    nothing_left()
    return got, dropped, took[0]


def has_begun(branches: Branches, branch: Any) -> None:
    """It works until it waits or has a row; the other one waits."""
    assert branches.next(until=NOW) in (branch, LATE)


def not_yet(branches: Branches, branch: Any) -> None:
    pass


def test_a_branch_is_removed_where_it_waits() -> None:
    """CONTRACT 8, 14: it is cancelled at its wait and closed before `remove` returns; the others keep their times."""
    tracked, stage = source(1, 2, delay=5)
    got, dropped, took = leaving(stage, has_begun)
    assert got == [(0, 1), (1, 2), (2, 3)]
    assert (tracked.opened, tracked.closed, dropped, took) == (1, 1, [], 0)


def test_a_branch_is_removed_with_a_row() -> None:
    """CONTRACT 14, 16: the row that it had made is dropped, and counted."""
    tracked, stage = source("made", "more")
    got, dropped, took = leaving(stage, has_begun)
    assert got == [(0, 1), (1, 2), (2, 3)]
    assert (tracked.asked, tracked.closed, dropped, took) == (1, 1, ["made"], 0)


def test_a_branch_is_removed_before_it_began() -> None:
    """CONTRACT 4: its source was never opened, and is not now."""
    tracked, stage = source(1)
    got, dropped, took = leaving(stage, not_yet)
    assert got == [(0, 1), (1, 2), (2, 3)]
    assert (tracked.opened, dropped, took) == (0, [], 0)


def test_a_branch_whose_cleanup_waits_is_removed() -> None:
    """CONTRACT 8, 14: `remove` returns when the cleanup has ended; another that is resumed meanwhile loses nothing."""
    tracked, stage = source(1, delay=5, cleanup=2.5)
    got, dropped, took = leaving(stage, has_begun)
    assert got == [(0, 2.5), (1, 3.5), (2, 4.5)]
    assert (tracked.closed, dropped, took) == (1, [], 2.5)


def failing(when_closed: BaseException, cleanup: float = 0) -> Stage[Any]:
    def rows() -> Iterator[Any]:
        try:
            flow.sleep(1000)
            yield 1
        finally:
            if cleanup:
                flow.sleep(cleanup)
            raise when_closed

    return flow.wrap(rows)


@pytest.mark.parametrize("cleanup", [0, 1.5])
def test_a_branch_whose_cleanup_fails_is_removed(cleanup: float) -> None:
    """CONTRACT 16, 17: `remove` raises the failure itself, and nobody raises it again: the others can go on."""
    error = ValueError("cleanup")
    found: list[BaseException] = []

    def body(branches: Branches) -> Generator[Any]:
        with branches:
            leaves = branches.add(failing(error, cleanup))
            other = branches.add(flow.wrap([1, 2]))
            assert branches.next() is other
            try:
                branches.remove(leaves)
            except ValueError as failure:
                found.append(failure)
            yield other.take(), now(branches)
            branches.ask(other)
            assert branches.next() is other
            yield other.take(), now(branches)

    assert on_script(Combining(body)) == [(1, cleanup), (2, cleanup)]
    assert found == [error]
    assert found[0] is error


def test_a_failing_removal_that_is_not_caught_ends_the_stage() -> None:
    """CONTRACT 14, 16: the others are cancelled and closed, then it is raised; a second failure joins it."""
    first, second = ValueError("first"), OSError("second")
    tracked, stage = source(1, delay=7, cleanup=3)

    def body(branches: Branches) -> Generator[Any]:
        with branches:
            leaves = branches.add(failing(first))
            branches.add(failing(second))
            branches.add(stage)
            assert branches.next(until=NOW) is LATE
            branches.remove(leaves)
            yield 1

    with virtual_time() as clock:
        with pytest.raises(ExceptionGroup) as raised:
            list(Combining(body))
        assert clock.time() == 3
    assert raised.value.exceptions == (first, second)
    assert tracked.is_closed


def test_a_removed_branch_that_swallows_the_cancel_is_asked_again() -> None:
    """CONTRACT 15: rows that it makes all the same are dropped and counted, until it lets the cancel pass."""

    def stubborn(rows: Iterator[Any]) -> Iterator[Any]:
        for number in range(3):
            try:
                flow.sleep(1000)
            except BaseException:
                yield f"kept on {number}"

    got, dropped, took = leaving(flow.wrap([1]) | stubborn, has_begun)
    assert got == [(0, 1), (1, 2), (2, 3)]
    assert dropped == ["kept on 0"]
    assert took == 0


def test_a_removal_while_the_strand_is_being_cancelled() -> None:
    """CONTRACT 15: the cleanup that `remove` waits for is not cut short; the cancel is raised after it, then all else
    is closed."""
    log: list[Any] = []
    tracked, stage = source(1, delay=9, cleanup=2)
    other, beside = source(*range(9), delay=9, cleanup=1)

    def body(branches: Branches) -> Generator[Any]:
        with branches:
            leaves = branches.add(stage)
            branches.add(beside)
            assert branches.next(until=NOW) is LATE
            try:
                branches.remove(leaves)
            except asyncio.CancelledError:
                log.append(("cancelled", now(branches), tracked.closed, other.closed))
                raise
            yield 1

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await Combining(body)
        log.append(("left", loop.time(), tracked.closed, other.closed))

    with virtual_time() as clock:
        clock.run(main())
    assert log == [("cancelled", 2, 1, 0), ("left", 3, 1, 1)]
    nothing_left()


def test_a_failing_cleanup_joins_the_cancel_that_arrives_meanwhile() -> None:
    """CONTRACT 15, 16: the cancel is raised, with the failure of the cleanup as its context."""

    def body(branches: Branches) -> Generator[Any]:
        with branches:
            leaves = branches.add(failing(ValueError("cleanup"), cleanup=2))
            assert branches.next(until=NOW) is LATE
            branches.remove(leaves)
            yield 1

    async def main() -> BaseException | None:
        task = asyncio.ensure_future(_collected(Combining(body)))
        await asyncio.sleep(1)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError as error:
            found: set[BaseException] = set()
            each: BaseException | None = error
            while each is not None and each not in found:
                found.add(each)
                each = each.__context__ or each.__cause__
            return next((each for each in found if isinstance(each, ValueError)), None)
        return None

    with virtual_time() as clock:
        found = clock.run(main())
    assert found is not None
    assert found.args == ("cleanup",)


async def _collected(stage: Stage[Any]) -> list[Any]:
    return await stage


def test_torture_of_removals() -> None:
    """CONTRACT 14-16: cancelled, failed and left at each wait of a stage that adds and removes branches."""
    used: list[Tracked[Any]] = []

    def body(branches: Branches) -> Generator[Any]:
        with branches:
            for number in range(3):
                used.append(Tracked([number], delay=1, cleanup=1))
                first = branches.add(flow.wrap(used[-1]))
                used.append(Tracked([number, number], delay=2, cleanup=2))
                second = branches.add(flow.wrap(used[-1]))
                assert branches.wait_for(first)
                yield first.take()
                branches.remove(second)
                branches.remove(first)

    def make() -> Stage[Any]:
        used.clear()
        return Combining(body)

    report = torture(make, tracked=lambda: used, seeds=(None, 1, 2))
    assert report.rows == [0, 1, 2]


# --------------------------------------------------------------------------------------------------------------------
# Leaving: `cancel`


@both
def test_a_branch_is_cancelled_by_somebody_else(read: Read) -> None:
    """CONTRACT 8, 14: while the reader waits: it is cancelled there and then, its cleanup runs beside the others."""
    tracked = Tracked(range(9), delay=2, cleanup=2.5)

    def body(branches: Branches) -> Generator[Any]:
        with branches:
            leaves = branches.add(flow.wrap(tracked))
            branches.add(flow.wrap(Tracked("ab", delay=4)))
            branches._strand.loop.call_later(5, lambda: branches.cancel(leaves))
            while (branch := branches.next()) is not None:
                assert branch is not leaves or branch.full  # one that was cancelled is not spoken of
                if branch.full:
                    yield branch.take(), now(branches)
                    branches.ask(branch)
            yield "end", now(branches), tracked.closed

    assert read(Combining(body)) == [(0, 2), ("a", 4), (1, 4), ("b", 8), ("end", 8, 1)]


@both
def test_a_branch_cancels_itself(read: Read) -> None:
    """CONTRACT 13: it gets as far as its next row, which is delivered, and is closed at the next question."""
    closed: list[bool] = []

    def body(branches: Branches) -> Generator[Any]:
        def rows() -> Iterator[Any]:
            try:
                yield "first"
                branches.cancel(own)
                yield "last"
                yield "never"
            finally:
                closed.append(True)

        with branches:
            own = branches.add(flow.wrap(rows))
            yield from branches.rows()

    assert read(Combining(body)) == ["first", "last"]
    assert closed == [True]


@both
def test_a_branch_that_cancelled_itself_does_not_wait_any_more(read: Read) -> None:
    """CONTRACT 15: its next wait raises the cancel at once."""

    def body(branches: Branches) -> Generator[Any]:
        def rows() -> Iterator[Any]:
            yield "first"
            branches.cancel(own)
            yield flow.Cooperate(1000)
            yield "never"

        with branches:
            own = branches.add(flow.wrap(rows))
            yield from branches.rows()
            yield now(branches)

    assert read(Combining(body)) == ["first", 0]


class Cancelling(flow.CallLater):
    """What is waited for cancels who waits, while the wait is being begun; or it resumes it, too."""

    def __init__(self, cancel: Callable[[], object], resumes: bool) -> None:
        self.cancel, self.resumes = cancel, resumes

    def callLater(self, resume: Resume, /) -> Handle | None:
        self.cancel()
        if self.resumes:
            resume("value")
            return None
        return resume.loop.call_later(1000, resume)


@both
@pytest.mark.parametrize("resumes", [False, True])
def test_a_branch_is_cancelled_by_what_it_begins_to_wait_for(read: Read, resumes: bool) -> None:
    """CONTRACT 13, 15: a call from inside of `callLater` counts; no timer is left."""

    def body(branches: Branches) -> Generator[Any]:
        def rows() -> Iterator[Any]:
            yield "first"
            yield Cancelling(lambda: branches.cancel(own), resumes)
            yield "never"

        with branches:
            own = branches.add(flow.wrap(rows))
            yield from branches.rows()
            yield now(branches)

    assert read(Combining(body)) == ["first", 0]


@both
def test_a_ready_branch_is_cancelled_between_two_rows(read: Read) -> None:
    """CONTRACT 2, 14: of inputs that are always ready, one leaves; the others go on, each row once."""

    def body(branches: Branches) -> Generator[Any]:
        with branches:
            every = [branches.add(flow.wrap(Tracked([(which, row) for row in range(4)]))) for which in range(3)]
            for number, row in enumerate(branches.rows()):
                yield row
                if number == 4:
                    branches.cancel(every[1])  # its row was the last one

    got = read(Combining(body))
    assert [row for which, row in got if which == 0] == [0, 1, 2, 3]
    assert [row for which, row in got if which == 1] == [0, 1]
    assert [row for which, row in got if which == 2] == [0, 1, 2, 3]


def test_a_cleanup_of_a_cancelled_branch_is_not_called_off_at_the_end() -> None:
    """CONTRACT 14: the stage ends while a branch that was cancelled is still cleaning up: it is waited for."""
    tracked = Tracked([1, 2], delay=9, cleanup=4)

    def body(branches: Branches) -> Generator[Any]:
        with branches:
            leaves = branches.add(flow.wrap(tracked))
            assert branches.next(until=NOW) is LATE
            branches.cancel(leaves)
            assert branches.next(until=1) is LATE
            assert not tracked.closed
            yield now(branches)

    with virtual_time() as clock:
        assert list(Combining(body)) == [1]
        assert clock.time() == 4
    assert tracked.closed == 1


def test_a_cleanup_of_a_cancelled_branch_that_fails_is_raised() -> None:
    """CONTRACT 16: as a failure of the stage, by `next` or at the end; the others are closed first."""
    for late in (False, True):
        tracked, stage = source(1, 2, delay=9, cleanup=1)

        def body(branches: Branches, late: bool = late, stage: Any = stage) -> Generator[Any]:
            with branches:
                leaves = branches.add(failing(ValueError("cleanup"), cleanup=4.5 if late else 2))
                branches.add(stage)
                assert branches.next(until=NOW) is LATE
                branches.cancel(leaves)
                assert branches.next(until=4) is LATE
                yield 1

        with virtual_time():
            with pytest.raises(ValueError, match="cleanup"):
                list(Combining(body))
        assert tracked.is_closed


# --------------------------------------------------------------------------------------------------------------------
# Until a time


@both
def test_next_until_a_time_is_exact(read: Read) -> None:
    """CONTRACT 5, 8: a row at its own time, LATE at the time that was given; neither early nor late."""

    def body(branches: Branches) -> Generator[Any]:
        with branches:
            branches.add(flow.wrap(Tracked("abc", delay=0.7)))
            until = 0.0
            while True:
                until += 0.5
                branch = branches.next(until)
                assert branch is not None
                if branch is LATE:
                    yield "late", now(branches)
                elif branch.full:
                    until = now(branches)
                    yield branch.take(), until
                    branches.ask(branch)
                else:
                    return

    got = read(Combining(body))
    assert [(what, round(when, 9)) for what, when in got] == [
        ("late", 0.5),
        ("a", 0.7),
        ("late", 1.2),
        ("b", 1.4),
        ("late", 1.9),
        ("c", 2.1),
    ]


@both
@pytest.mark.parametrize("until", [0.1, 1 / 3, 7.7, 1e-9, 12345.678])
def test_next_is_never_early(read: Read, until: float) -> None:
    """CONTRACT 8: when it says LATE, the loop's clock is not before the time."""

    def body(branches: Branches) -> Generator[Any]:
        with branches:
            branches.add(flow.Callback())
            assert branches.next(until) is LATE
            yield now(branches)

    assert until <= read(Combining(body))[0] < until + 1e-6


@both
def test_next_until_a_time_with_a_branch_that_never_has_anything(read: Read) -> None:
    """CONTRACT 8: LATE each time, and the branch keeps its one wait; closing calls it off."""

    def body(branches: Branches) -> Generator[Any]:
        with branches:
            branches.add(flow.Callback())
            for until in range(1, 4):
                assert branches.next(until) is LATE
                yield now(branches)

    assert read(Combining(body)) == [1, 2, 3]


@both
def test_next_until_a_time_with_branches_that_are_ready_and_that_end(read: Read) -> None:
    """CONTRACT 5: what is there comes without a timer, even when the time is over; then the end, then LATE for ever."""

    def body(branches: Branches) -> Generator[Any]:
        loop = branches._strand.loop
        timers: list[float] = []
        call_later = loop.call_later
        loop.call_later = lambda seconds, f: (timers.append(seconds), call_later(seconds, f))[1]
        try:
            with branches:
                branches.add(flow.wrap(["a", "b"]))
                while (branch := branches.next(until=-5)) is not LATE and branch is not None:
                    yield branch.take() if branch.full else "over"
                    branches.ask(branch)
                assert branches.next(until=NOW) is LATE
                assert timers == []
                assert branches.next(until=2) is LATE
                yield now(branches)
                assert branches.next() is None
        finally:
            del loop.call_later

    assert read(Combining(body)) == ["a", "b", "over", 2]


@both
def test_next_now_does_not_wait(read: Read) -> None:
    """CONTRACT 5: neither for a branch nor for a turn of the loop, so that what is in hand can be handed out first."""

    def body(branches: Branches) -> Generator[Any]:
        def turning() -> Iterator[Any]:
            yield flow.Cooperate()
            yield "turned"

        pauses: list[Any] = []
        pause = branches._pause
        branches._pause = lambda *each: (pauses.append(each), pause(*each))[1]  # type: ignore[method-assign]
        with branches:
            branch = branches.add(flow.wrap(turning))
            branches.add(flow.wrap(Tracked([1], delay=1)))
            assert branches.next(NOW) is LATE
            assert pauses == []
            assert branches.next() is branch
            yield branch.take()

    assert read(Combining(body)) == ["turned"]


def test_torture_of_times() -> None:
    """CONTRACT 14, 15: no timer is left by `next(until)`, whichever way it is left."""
    used: list[Tracked[Any]] = []

    def body(branches: Branches) -> Generator[Any]:
        with branches:
            branch = branches.add(flow.wrap(used[0]))
            until = 1.5
            while not branch.over:
                if branches.next(until) is LATE:
                    until += 1.5
                elif branch.full:
                    yield branch.take()
                    branches.ask(branch)

    def make() -> Stage[Any]:
        used[:] = [Tracked("abc", delay=1, cleanup=1)]
        return Combining(body)

    assert torture(make, tracked=lambda: used, seeds=(None, 3)).rows == ["a", "b", "c"]


# --------------------------------------------------------------------------------------------------------------------
# Gathering


@both
@pytest.mark.parametrize("n", [1, 2, 3, 100])
def test_gathering_gives_blocks(read: Read, n: int) -> None:
    """CONTRACT 1, 2: all rows in order, `n` a block, the last one shorter; nothing is asked for before its turn."""
    tracked = Tracked(range(7))

    def body(branches: Branches) -> Generator[Any]:
        with branches:
            branch = branches.add(flow.wrap(tracked), gather(n))
            while not branch.over:
                branches.next()
                if branch.full:
                    branch.take()
                if branch.block:
                    yield [*branch.block]
                    branch.block.clear()
                branches.ask(branch)

    got = read(Combining(body))
    assert [row for block in got for row in block] == list(range(7))
    assert all(len(block) == n for block in got[:-1])
    assert tracked.asked == 7


@both
def test_gathered_rows_are_taken_while_they_are_being_gathered(read: Read) -> None:
    """CONTRACT 2, 5: the list is emptied while list.extend fills it, at a wait of the source; no row is lost, none
    comes twice."""

    def body(branches: Branches) -> Generator[Any]:
        with branches:
            branch = branches.add(flow.wrap(Tracked(range(20), delay=1)), gather(8))
            until = 0.0
            while not branch.over:
                until += 2.5
                if branches.next(until) is not LATE and branch.full:
                    branch.take()
                yield [*branch.block], now(branches)
                branch.block.clear()
                branches.ask(branch)

    got = read(Combining(body))
    assert [row for block, _ in got for row in block] == list(range(20))
    assert got[:3] == [([0, 1], 2.5), ([2, 3, 4], 5), ([5, 6], 7.5)]


@both
def test_a_block_that_was_emptied_may_be_filled_to_its_bound_again(read: Read) -> None:
    """CONTRACT 20, 21: `n` rows at most, however often it was emptied half way."""
    peak = 0

    def body(branches: Branches) -> Generator[Any]:
        nonlocal peak

        def rows() -> Iterator[Any]:
            for _ in range(5):
                yield from range(7)
                yield flow.Cooperate(1)

        with branches:
            branch = branches.add(flow.wrap(rows), gather(10))
            until = 0.0
            while not branch.over:
                until += 0.4
                if branches.next(until) is not LATE and branch.full:
                    branch.take()
                peak = max(peak, len(branch.block))
                yield from branch.block[:]
                branch.block.clear()
                branches.ask(branch)

    assert read(Combining(body)) == [*range(7)] * 5
    assert peak <= 10


class OnceMore:
    """An iterator that misbehaves: asked again after its end, it begins anew."""

    def __init__(self) -> None:
        self.rows = iter(range(3))

    def __iter__(self) -> OnceMore:
        return self

    def __next__(self) -> int:
        for row in self.rows:
            return row
        self.rows = iter(range(3))
        raise StopIteration


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_a_gathered_iterator_is_not_asked_after_its_end(n: int) -> None:
    """CONTRACT 2: as list() does it."""

    def again(rows: Iterator[Any]) -> OnceMore:
        return OnceMore()

    def body(branches: Branches) -> Generator[Any]:
        with branches:
            branch = branches.add(flow.wrap([]) | again, gather(n))
            while not branch.over:
                branches.next()
                yield from branch.rest()
                branches.ask(branch)

    assert on_script(Combining(body)) == [0, 1, 2]


def test_rows_gathered_before_a_failure_are_there() -> None:
    """CONTRACT 3: they are in the block when the failure is raised."""

    def body(branches: Branches) -> Generator[Any]:
        with branches:
            branch = branches.add(flow.wrap(Tracked([1, 2, 3], fail=OSError("gone"))), gather(10))
            try:
                branches.next()
            except OSError:
                yield from branch.rest()
                raise

    got: list[Any] = []
    with pytest.raises(OSError, match="gone"):
        for row in Combining(body):
            got.append(row)
    assert got == [1, 2, 3]


def test_gathered_rows_that_nobody_takes_are_counted() -> None:
    """CONTRACT 16: on leaving and on removing, what was gathered is dropped, and can be had."""

    def body(branches: Branches) -> Generator[Any]:
        with branches:
            first = branches.add(pushed(1, 2, 3), gather(3))
            branches.add(pushed(10, 20), gather(3))
            third = branches.add(pushed(100), gather(3))
            assert branches.next() is first
            assert branches.next(until=NOW) is LATE
            branches.remove(third)
            yield "row"
            yield "never"

    dropped: list[Any] = []
    with virtual_time():
        with Combining(body).open(on_dropped=dropped.extend) as rows:
            next(rows)
    assert dropped == [100, 1, 2, 3, 10, 20]


# --------------------------------------------------------------------------------------------------------------------
# One of them; the first; failures that are kept


@both
def test_waiting_for_one_lets_the_others_work(read: Read) -> None:
    """CONTRACT 5, 8: the rows of the others are there when it has its own; none of them is more than one ahead."""
    sources = [Tracked(count(), delay=delay) for delay in (3, 1, 1)]

    def body(branches: Branches) -> Generator[Any]:
        with branches:
            slow, quick, other = [branches.add(flow.wrap(each)) for each in sources]
            assert branches.wait_for(slow)
            assert quick.full
            assert other.full
            yield now(branches), [each.asked for each in sources]
            assert branches.wait_for(quick)
            yield now(branches)
            quick.take()
            assert branches.wait_for(quick)  # which asks it
            yield now(branches)

    assert read(Combining(body)) == [(3, [1, 1, 1]), 3, 4]


@both
def test_one_is_served_before_the_others(read: Read) -> None:
    """`first` puts one that was asked before the others, and leaves one that was not asked alone."""

    def body(branches: Branches) -> Generator[Any]:
        with branches:
            every = [branches.add(flow.wrap([row])) for row in "abc"]
            branches.first(every[2])
            for _ in every:
                branch = branches.next()
                assert branch is not None
                yield branch.take()
            branches.first(every[0])
            assert branches.next() is None

    assert read(Combining(body)) == ["c", "a", "b"]


@both
def test_failures_that_are_kept(read: Read) -> None:
    """CONTRACT 3, 16: the others go on; the failure joins the one that ends the stage, the first one first."""
    first, second = OSError("kept"), ValueError("raised")

    def body(branches: Branches) -> Generator[Any]:
        with branches:
            branches.add(flow.wrap(Tracked([1], fail=first)))
            branches.add(flow.wrap(Tracked([10, 20], delay=1, fail=second)))
            yield from branches.rows()

    got: list[Any] = []

    def noted(rows: Iterator[Any]) -> Iterator[Any]:
        for row in rows:
            got.append(row)
            yield row

    with pytest.raises(ExceptionGroup) as raised:
        read(Combining(body, keep=lambda branch: branch.failure is first) | noted)
    assert got == [1, 10, 20]
    assert raised.value.exceptions == (first, second)


@both
def test_an_exit_is_never_kept(read: Read) -> None:
    """CONTRACT 18: whatever `keep` says."""

    def body(branches: Branches) -> Generator[Any]:
        with branches:
            branches.add(flow.wrap(Tracked([1], fail=KeyboardInterrupt())))
            branches.add(flow.wrap(Tracked(count(), delay=1)))
            yield from branches.rows()

    with pytest.raises(KeyboardInterrupt):
        read(Combining(body, keep=lambda branch: True))


def test_kept_failures_of_a_stage_that_is_left_lie_ahead() -> None:
    """CONTRACT 16: the reader has had enough: what failed ahead of it is dropped as the rows there are."""

    def body(branches: Branches) -> Generator[Any]:
        with branches:
            branches.add(flow.wrap(Tracked([], fail=OSError("ahead"))))
            branches.add(flow.wrap([1, 2, 3]))
            yield from branches.rows()

    assert list(Combining(body, keep=lambda branch: True)[:2]) == [1, 2]


# --------------------------------------------------------------------------------------------------------------------
# Who reads


@both
@pytest.mark.parametrize("delay", [0, 1])
@pytest.mark.parametrize("combine", [flow.Merge, flow.Zip, lambda *each: Combining(lambda it: joining(it, each))])
def test_the_rest_of_the_rows_may_be_read_by_another_strand(read: Read, combine: Any, delay: float) -> None:
    """CONTRACT 2, 13: a stage reads the head of its input, and gives the rest to a branch: nobody else is resumed."""
    sources = [Tracked([f"{name}{number}" for number in range(3)], delay=delay, cleanup=delay) for name in "ab"]

    def headed(rows: Iterator[Any]) -> Iterator[Any]:
        yield "head", next(rows)
        yield from flow.Merge(rows, ["x", flow.Cooperate(1), "y"])
        yield "tail"

    undivided = list(read(combine(*sources)))
    got = read(combine(*sources) | headed)
    rest = [row for row in got[1:] if row not in ("x", "y", "tail")]
    assert [got[0][1], *rest] == undivided
    assert all(each.is_closed for each in sources)


def joining(branches: Branches, sources: Any) -> Generator[Any]:
    with branches:
        for each in sources:
            branches.add(flow.wrap(each))
        yield from branches.rows()


def test_several_strands_may_read_in_turn() -> None:
    """CONTRACT 13: the reader changes with each row, and changes back."""

    def turns(rows: Iterator[Any]) -> Iterator[Any]:
        def two(name: str) -> Callable[[], Iterator[Any]]:
            def reading() -> Iterator[Any]:
                for row in rows:
                    yield name, row

            return reading

        yield "self", next(rows)
        for row in flow.Merge(two("a"), two("b")):
            yield row
            yield from (("self", each) for each in [next(rows, "end")])

    got = on_asyncio(flow.Merge([1, 3, 5, 7], [2, 4, 6, 8]) | turns)
    assert [row for _, row in got if row != "end"] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert {name for name, _ in got} == {"self", "a", "b"}


def test_torture_of_a_handed_over_merge() -> None:
    """CONTRACT 14-16: ended at each wait, while the rest is read by a branch."""
    used: list[Tracked[Any]] = []

    def headed(rows: Iterator[Any]) -> Iterator[Any]:
        yield next(rows)
        yield from flow.Merge(rows, used[2])

    def make() -> Stage[Any]:
        used[:] = [
            Tracked(["a0", "a1", "a2"], delay=1, cleanup=1),
            Tracked(["b0", "b1", "b2"], delay=1.5, cleanup=1),
            Tracked(["c0", "c1"], delay=0.75),
        ]
        return flow.Merge(used[0], used[1]) | headed

    report = torture(make, tracked=lambda: used, ordered=False, seeds=(None, 4, 5))
    assert len(report.rows) == 8


def test_an_endless_branch_lets_others_wait_in_a_script() -> None:
    """CONTRACT 10: a script has no loop but the one that runs while it waits: one that is always ready gives it turns,
    too. (Time jumps early here, now and then, though something is ready.)"""

    def endless(rows: Iterator[Any]) -> Iterator[Any]:
        yield from count()

    always = range(10**9)
    for ready in (always, flow.wrap([1]) | endless, flow.Merge(always, Tracked([1], delay=1000))):
        with virtual_time(seed=1):
            for number, row in enumerate(flow.Merge(ready, Tracked(["tick"], delay=1))):
                if row == "tick":
                    break
                assert number < 20_000
        with virtual_time(seed=1):
            stage = flow.combine_latest(flow.chain([0], ready), Tracked(["first", "tick"], delay=1))
            for number, (_, row) in enumerate(stage):
                if row == "tick":
                    break
                assert number < 20_000


@both
def test_the_lowest_number_is_stepped_first(read: Read) -> None:
    """Of those that can go on; equals in turn; one that waits lets others go before."""

    def body(branches: Branches) -> Generator[Any]:
        numbered = ByPriority(branches._strand)
        for which, priority in enumerate([3, 1, 2, 1]):
            numbered.add(flow.wrap([(priority, which), (priority, which)]), priority=priority)
        numbered.add(flow.wrap(Tracked(["last"], delay=1)), priority=0)
        yield from numbered.rows()

    wanted = [(1, 1), (1, 3), (1, 1), (1, 3), (2, 2), (2, 2), (3, 0), (3, 0), "last"]
    assert read(Combining(body)) == wanted


# --------------------------------------------------------------------------------------------------------------------
# Many


def test_ten_thousand_branches_join_and_leave() -> None:
    """CONTRACT 23: 10,000 branches wait; each leaves by itself, by `remove` or by `cancel`; all are closed."""
    closed = 0

    def waiting() -> Iterator[Any]:
        nonlocal closed
        try:
            yield flow.Cooperate(1000)
            yield 1
        finally:
            closed += 1

    def body(branches: Branches) -> Generator[Any]:
        with branches:
            every = [branches.add(flow.wrap(waiting)) for _ in range(10_000)]
            assert branches.next(until=NOW) is LATE
            for branch in every[::3]:
                branches.remove(branch)
            for branch in every[1::3]:
                branches.cancel(branch)
            assert branches.next(until=NOW) is LATE
            yield closed, len(branches.every)

    assert on_asyncio(Combining(body)) == [(6667, 3333)]
    assert closed == 10_000


def test_branches_that_have_ended_are_forgotten() -> None:
    """CONTRACT 20: a stage whose inputs come and go holds those that are there, and no more."""
    peak = 0

    def body(branches: Branches) -> Generator[Any]:
        nonlocal peak
        with branches:
            for number in range(1000):
                branches.add(flow.wrap([number]))
                while (branch := branches.next()) is not None:
                    if branch.full:
                        yield branch.take()
                        branches.ask(branch)
                    peak = max(peak, len(branches.every) + len(branches._asked))

    assert on_script(Combining(body)) == list(range(1000))
    assert peak <= 2
