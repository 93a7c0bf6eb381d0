"""share() and tee(): one run of a source, and each row for every reader.

CONTRACT 1-5, 7, 12-17, 20-22.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import threading
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flow
from flow.core.near import NearChannel
from flow.stages.share import Shared, tee
from flow.testing import Tracked, nothing_left, torture, virtual_time

from ..docs.test_docstrings import example_of, run_statements


async def all_of(stage: flow.Stage[Any]) -> list[Any]:
    return await stage


async def timed(
    stage: flow.Stage[Any], busy: float = 0, begin: float = 0, most: int = 10**9
) -> list[tuple[Any, float]]:
    """The rows, each with the time at which it came, for a reader that begins late, and is busy after each row."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(begin)
    got: list[tuple[Any, float]] = []
    async with stage.open() as rows:
        async for row in rows:
            got.append((row, loop.time()))
            if len(got) == most:
                break
            await asyncio.sleep(busy)
    return got


def rows_of(got: list[tuple[Any, float]]) -> list[Any]:
    return [row for row, _ in got]


def slowly(rows: Iterator[int]) -> Generator[int]:
    for row in rows:
        flow.sleep(1.5)
        yield row


# ------------------------------------------------------------------------------------------------------------------
# share: readers come and go


def test_readers_that_begin_together_have_the_same_rows() -> None:
    """CONTRACT 1, 2: the source is read once, and each reader gets every row, in order, as soon as it is there."""
    source = Tracked(range(50), delay=1)

    async def main() -> None:
        shared = flow.wrap(source).share()
        expected = [(n, n + 1) for n in range(50)]
        assert await asyncio.gather(*[timed(shared) for _ in range(5)]) == [expected] * 5

    with virtual_time() as clock:
        clock.run(main())
    assert (source.opened, source.asked) == (1, 50)
    nothing_left(source)


def test_nothing_runs_before_the_first_row_is_asked_for() -> None:
    """CONTRACT 4: making it reads nothing; opening it neither, nor does it count as a reader."""
    source = Tracked(range(3))
    shared = flow.wrap(source).share()
    with shared.open():
        assert source.opened == 0
        assert list(shared) == [0, 1, 2]
    assert source.opened == 1
    nothing_left(source)


@pytest.mark.parametrize(("replay", "expected"), [(0, [4, 5]), (1, [3, 4, 5]), (3, [1, 2, 3, 4, 5]), (9, range(6))])
def test_a_reader_that_comes_late(replay: int, expected: list[int]) -> None:
    """CONTRACT 2: it begins with the first row that nobody has taken, and before that gets the last `replay` rows."""
    source = Tracked(range(6), delay=1)

    async def main() -> None:
        shared = flow.wrap(source).share(replay)
        first, late = await asyncio.gather(timed(shared), timed(shared, begin=4.5))
        assert rows_of(first) == list(range(6))
        assert rows_of(late) == list(expected)
        assert [time for _, time in late[-2:]] == [5, 6]

    with virtual_time() as clock:
        clock.run(main())
    assert source.asked == 6


def test_rows_that_were_made_ahead_are_not_missed() -> None:
    """CONTRACT 2: what the source has made and no reader has taken is still to come, for a late reader too."""

    async def main() -> None:
        shared = flow.wrap(range(10)).share(replay=1)
        async with shared.open() as first, shared.open() as second:
            assert [await anext(first) for _ in range(3)] == [0, 1, 2]  # and the source has made all of them
            assert await anext(second) == 2
            assert [row async for row in second] == list(range(3, 10))
            assert [row async for row in first] == list(range(3, 10))

    asyncio.run(main())


@given(st.integers(0, 4), st.integers(1, 4), st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3)), max_size=5))
def test_any_readers(replay: int, limit: int, readers: list[tuple[int, int]]) -> None:
    """CONTRACT 1, 2, 20: each reader gets one piece of the rows, without a hole, from where it came to the end."""

    async def main() -> None:
        shared = flow.wrap(Tracked(range(8), delay=1)).share(replay, limit=limit)
        every = await asyncio.gather(timed(shared), *[timed(shared, busy, begin) for begin, busy in readers])
        for got in map(rows_of, every):
            assert got == list(range(got[0], 8)) if got else True

    with virtual_time() as clock:
        clock.run(main())


def test_it_is_closed_by_the_last_reader() -> None:
    """CONTRACT 14: readers leave one by one; the last one waits for the source's cleanup, nobody else does."""
    source = Tracked(range(100), delay=1, cleanup=3)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        shared = flow.wrap(source).share()

        async def read(count: int) -> float:
            await timed(shared, most=count)
            return loop.time()

        assert await asyncio.gather(read(2), read(4), read(3)) == [2, 7, 3]

    with virtual_time() as clock:
        clock.run(main())
    assert (source.opened, source.asked) == (1, 5)
    nothing_left(source)


def test_who_comes_after_the_last_has_left_starts_a_new_run() -> None:
    """CONTRACT 7: also while the old run is being closed; a source for once says that it was read."""
    source = Tracked(range(5), delay=1, cleanup=4)

    async def main() -> None:
        shared = flow.wrap(source).share()
        first, second = await asyncio.gather(timed(shared, most=2), timed(shared, begin=3))
        assert first == [(0, 1), (1, 2)]
        assert second == [(n, n + 4) for n in range(5)]
        assert source.opened == 2

    with virtual_time() as clock:
        clock.run(main())
    once = flow.wrap(iter([1, 2])).share()
    assert list(once) == [1, 2]
    with pytest.raises(flow.AlreadyReadError):
        list(once)


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_wait_for_the_slowest(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """CONTRACT 20, 21: slow="wait": a full place holds the source back, and every reader has every row."""
    made: list[NearChannel[Any]] = []
    before = NearChannel.__init__

    def init(self: NearChannel[Any], *args: Any) -> None:
        before(self, *args)
        made.append(self)

    monkeypatch.setattr(NearChannel, "__init__", init)
    source = Tracked(range(20))

    async def main() -> None:
        shared = flow.wrap(source).share(limit=limit)
        async with shared.open() as slow:
            quick = asyncio.create_task(all_of(shared))
            assert await anext(slow) == 0
            await asyncio.sleep(10)
            assert source.asked == 1 + limit
            assert [row async for row in slow] == list(range(1, 20))
            assert await quick == list(range(20))

    with virtual_time() as clock:
        clock.run(main())
    assert [channel.peak for channel in made] == [limit, limit]


def test_one_that_waits_has_each_row_as_soon_as_the_slow_one_makes_room() -> None:
    """CONTRACT 5, 8: while a reader waits, one free place in the other's buffer lets the source make one row."""

    async def main() -> None:
        shared = flow.wrap(range(20)).share(limit=4)
        quick, slow = await asyncio.gather(timed(shared), timed(shared, busy=1))
        assert rows_of(quick) == rows_of(slow) == list(range(20))
        assert [time for _, time in quick] == [max(0, n - 4) for n in range(20)]

    with virtual_time() as clock:
        clock.run(main())


def test_drop_the_rows_of_the_slow() -> None:
    """CONTRACT 16: slow="drop": a full reader loses its oldest rows, and they are counted in its run; others don't."""
    dropped: list[int] = []

    async def main() -> None:
        shared = flow.wrap(Tracked(range(10), delay=1)).share(limit=2, slow="drop")
        quick = asyncio.create_task(all_of(shared))
        async with shared.open(on_dropped=dropped.extend) as slow:
            assert await anext(slow) == 0
            await asyncio.sleep(6)
            assert [row async for row in slow] == [5, 6, 7, 8, 9]
            assert slow.dropped == 4
        assert await quick == list(range(10))

    with virtual_time() as clock:
        clock.run(main())
    assert dropped == [1, 2, 3, 4]


def test_disconnect_the_slow() -> None:
    """CONTRACT 3: slow="disconnect": a full reader gets the rows that it has, then SlowReaderError; others go on."""

    async def main() -> None:
        shared = flow.wrap(Tracked(range(10), delay=1)).share(limit=2, slow="disconnect")
        quick = asyncio.create_task(all_of(shared))
        got = []
        with pytest.raises(flow.SlowReaderError, match="disconnected"):
            async for row in shared:
                got.append(row)
                await asyncio.sleep(6)
        assert got == [0, 1, 2]
        assert await quick == list(range(10))

    with virtual_time() as clock:
        clock.run(main())


@pytest.mark.parametrize("slow", ["drop", "disconnect"])
def test_readers_that_are_always_ready_are_not_slow(slow: Any) -> None:
    """CONTRACT 2: a source that never waits gives readers that are ready, too, their turn before they are too slow."""

    async def main() -> None:
        shared = flow.wrap(range(300)).share(limit=2, slow=slow)
        every = await asyncio.gather(*[all_of(shared) for _ in range(3)])
        assert every == [list(range(300))] * 3

    asyncio.run(main())


def test_all_are_disconnected() -> None:
    """CONTRACT 14, 21: nobody takes rows any more: the source rests, until somebody comes or the last one leaves."""
    source = Tracked(range(100), delay=1)

    async def main() -> None:
        shared = flow.wrap(source).share(limit=1, slow="disconnect")
        async with shared.open() as slow:
            assert await anext(slow) == 0
            await asyncio.sleep(50)
            assert source.asked < 6
            assert rows_of(await timed(shared, most=2)) == [3, 4]
            assert await anext(slow) == 1
            with pytest.raises(flow.SlowReaderError):
                await anext(slow)

    with virtual_time() as clock:
        clock.run(main())
    nothing_left(source)


def test_a_failure_reaches_every_reader_after_its_rows() -> None:
    """CONTRACT 3, 16, 17: the very instance, for quick and slow ones; one who comes while others read it out, too."""
    error = OSError("gone")

    async def main() -> None:
        shared = flow.wrap(Tracked(range(4), delay=1, fail=error)).share(replay=1)

        async def read(busy: float, begin: float) -> list[int]:
            got: list[int] = []
            await asyncio.sleep(begin)
            with pytest.raises(OSError, match="gone") as raised:
                async for row in shared:
                    got.append(row)
                    await asyncio.sleep(busy)
            assert raised.value is error
            return got

        every = await asyncio.gather(read(0, 0), read(5, 0), read(0, 12))
        assert every == [[0, 1, 2, 3], [0, 1, 2, 3], [2, 3]]

    with virtual_time() as clock:
        clock.run(main())


def test_a_reader_that_fails_or_is_cancelled_leaves_the_others_alone() -> None:
    """CONTRACT 15, 16: the run belongs to no reader: the first one may be cancelled, and the second may fail."""
    source = Tracked(range(6), delay=1)

    async def main() -> None:
        shared = flow.wrap(source).share()

        async def fails() -> None:
            async for row in shared:
                if row == 3:
                    raise ValueError("mine")

        first = asyncio.create_task(all_of(shared))
        others = asyncio.gather(fails(), all_of(shared), return_exceptions=True)
        await asyncio.sleep(1.5)
        first.cancel()
        failed, rows = await others
        assert isinstance(failed, ValueError)
        assert rows == list(range(6))

    with virtual_time() as clock:
        clock.run(main())
    nothing_left(source)


def test_rows_that_are_left_are_counted_with_who_leaves() -> None:
    """CONTRACT 16: each run counts its own."""
    dropped: dict[str, list[int]] = {"first": [], "last": []}

    async def main() -> None:
        shared = flow.wrap(range(100)).share(limit=5)
        async with shared.open(on_dropped=dropped["last"].extend) as last:
            async with shared.open(on_dropped=dropped["first"].extend) as first:
                assert await anext(first) == 0
                assert await anext(last) == 1
            assert await anext(last) == 2

    asyncio.run(main())
    assert dropped["first"] == [1, 2, 3, 4]
    assert dropped["last"] == [3, 4]


def test_inside_of_one_run() -> None:
    """CONTRACT 13: branches of one run are readers like any others."""

    async def main() -> None:
        shared = flow.wrap(Tracked(range(5), delay=1)).share()
        assert await flow.Zip(shared, shared.map(lambda n: n * n)) == [(n, n * n) for n in range(5)]
        assert sorted(await flow.Merge(shared, shared | slowly)) == sorted([*range(5), *range(5)])

    with virtual_time() as clock:
        clock.run(main())


# ------------------------------------------------------------------------------------------------------------------
# In a script


@pytest.mark.parametrize("delay", [0, 1])
def test_nested_in_a_script(delay: float) -> None:
    """CONTRACT 12: readers of one script are runs of their own, and share: who waits lets the source go on."""
    source = Tracked(range(5), delay=delay)
    with virtual_time():
        shared = flow.wrap(source).share(replay=1)
        assert list(zip(shared, shared, strict=True)) == [(n, n) for n in range(5)]
        assert source.opened == 1
        late = flow.wrap(source).share()
        assert list(zip(late, late, strict=False)) == [(0, 1), (1, 2), (2, 3), (3, 4)]
    nothing_left(source)


@pytest.mark.parametrize("delay", [0, 1])
def test_a_reader_that_can_never_go_on_is_an_error(delay: float) -> None:
    """A script reads one to its end while another is open and full: an error that says so, and no hang."""
    source = Tracked(range(100), delay=delay)
    with virtual_time():
        shared = flow.wrap(source).share(limit=3)
        with shared.open() as outer:
            assert next(outer) == 0
            got = []
            with pytest.raises(flow.SlowReaderError, match=r"3 rows \(its limit\)"):
                for row in shared:
                    got.append(row)
            assert got == [1, 2, 3]
            assert list(outer) == list(range(1, 100))  # it goes on
    nothing_left(source)


def test_the_same_in_one_stage_on_a_loop() -> None:
    """Two readers on one strand: the one that waits is the one that would have to read."""

    def both(_: Any) -> Generator[int]:
        outer = iter(shared)
        yield next(outer)
        yield from shared

    shared = flow.wrap(Tracked(range(100), delay=1)).share(limit=3)

    async def main() -> None:
        got = []
        with pytest.raises(flow.SlowReaderError):
            async for row in flow.wrap([0]) | both:
                got.append(row)
        assert got == [0, 1, 2, 3]

    with virtual_time() as clock:
        clock.run(main())


def test_a_branch_that_only_the_waiting_strand_steps() -> None:
    """The full one is read by a branch, and the branch's own stage waits for the other: that is found, too."""

    def both(_: Any) -> Generator[int]:
        merged = iter(flow.Merge(shared, []))
        yield next(merged)
        yield from shared

    shared = flow.wrap(range(100)).share(limit=3)
    with pytest.raises(flow.SlowReaderError):
        list(flow.wrap([0]) | both)


def test_the_first_script_ends_before_the_second() -> None:
    """The source lives on the loop of the run that began: when that ends, others get their rows and an error."""
    source = Tracked(range(100), delay=1)
    with virtual_time():
        shared = flow.wrap(source).share(limit=5)
        first = shared.open()
        second = shared.open()
        with second as others:
            with first as rows:
                assert next(rows) == 0
                assert next(others) == 1
                assert [next(rows), next(rows)] == [1, 2]
            assert next(others) == 2
            with pytest.raises(flow.BusyError, match="has ended"):
                next(others)
    nothing_left(source)


def test_another_thread_is_refused() -> None:
    """CONTRACT 25: readers are of one loop; one elsewhere gets an error at once, and disturbs nobody."""
    source = Tracked(range(5))
    shared = flow.wrap(source).share()
    raised: list[BaseException] = []

    def elsewhere() -> None:
        try:
            list(shared)
        except flow.BusyError as error:
            raised.append(error)

    with shared.open() as rows:
        assert next(rows) == 0
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join(10)
        assert list(rows) == [1, 2, 3, 4]
    assert "loop" in str(raised[0])
    nothing_left(source)


def test_on_trio() -> None:
    """CONTRACT 12: tasks of trio share as those of asyncio do."""
    trio = pytest.importorskip("trio")
    source = Tracked(range(50), delay=0.0001)
    every: list[list[int]] = []

    async def read(stage: flow.Stage[int]) -> None:
        every.append(await stage)

    async def main() -> None:
        shared = flow.wrap(source).share()
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(read, shared)

    trio.run(main)
    assert every == [list(range(50))] * 3
    nothing_left(source)


def test_stopping_one_reader() -> None:
    """CONTRACT 16: a run that is stopped reads what it has; others go on; the last one's stop ends the source."""
    source = Tracked(range(100), delay=1)

    async def main() -> None:
        shared = flow.wrap(source).share()

        async def read(stop: float) -> list[int]:
            async with shared.open() as rows:
                asyncio.get_running_loop().call_later(stop, rows.stop)
                return [row async for row in rows]

        assert await asyncio.gather(read(2.5), read(4.5)) == [[0, 1], [0, 1, 2, 3]]

    with virtual_time() as clock:
        clock.run(main())
    assert source.asked == 5
    nothing_left(source)


@pytest.mark.parametrize("begin", [0, 1.5])
def test_readers_that_callbacks_drive(begin: float) -> None:
    """CONTRACT 12, 14: readers behind Deferreds run inside of the source's own step, and may leave there."""
    task = pytest.importorskip("twisted.internet.task")
    clock = task.Clock()
    source = Tracked(range(100), delay=1, cleanup=1)
    shared = flow.wrap(source).share(limit=2)
    first = flow.Deferred(shared[:3], reactor=clock)
    clock.pump([begin / 3] * 3)
    second = flow.Deferred(shared[:4], reactor=clock)
    clock.pump([0.5] * 20)
    assert first.result == [0, 1, 2]
    assert second.result == [row + int(begin) for row in range(4)]
    assert not clock.getDelayedCalls()
    nothing_left(source)


# ------------------------------------------------------------------------------------------------------------------
# tee


def test_each_stage_gets_every_row() -> None:
    """CONTRACT 1, 2, 4, 5: the source is read once, from the first ask of any of them; late ones miss nothing."""
    source = Tracked(range(8), delay=1)

    async def main() -> None:
        first, second, third = flow.wrap(source).tee(3)
        assert source.opened == 0
        every = await asyncio.gather(timed(first), timed(second, begin=3), timed(third, busy=0.5))
        assert list(map(rows_of, every)) == [list(range(8))] * 3
        assert [time for _, time in every[1]] == [3, 3, 3, 4, 5, 6, 7, 8]

    with virtual_time() as clock:
        clock.run(main())
    assert source.opened == 1
    nothing_left(source)


def test_in_one_flow() -> None:
    """CONTRACT 13: as inputs of one stage, in a script and on a loop."""

    def joined() -> flow.Stage[tuple[int, int]]:
        rows, again = flow.wrap(range(1, 50)).tee(limit=1)
        return rows.zip(again | itertools.accumulate)

    expected = list(zip(range(1, 50), itertools.accumulate(range(1, 50)), strict=True))
    assert list(joined()) == expected
    assert asyncio.run(all_of(joined())) == expected


@pytest.mark.parametrize("limit", [1, 2, 16])
def test_one_that_has_not_begun_holds_the_source_back(limit: int) -> None:
    """CONTRACT 20, 21: at most `limit` rows are held for it."""
    source = Tracked(range(100), delay=1)

    async def main() -> None:
        quick, late = flow.wrap(source).tee(limit=limit)
        task = asyncio.create_task(all_of(quick))
        await asyncio.sleep(1000)
        assert source.asked == limit
        assert await late == list(range(100))
        assert await task == list(range(100))

    with virtual_time() as clock:
        clock.run(main())


def test_one_after_the_other() -> None:
    """Below `limit` rows they can be read one after the other, and again; else a script says what is wrong."""
    source = Tracked(range(5))
    first, second = flow.wrap(source).tee(limit=6)
    for _ in range(2):
        assert list(first) == list(range(5))
        assert list(second) == list(range(5))
    assert source.opened == 2
    first, second = flow.wrap(range(5)).tee(limit=5)
    with pytest.raises(flow.SlowReaderError, match=r"5 rows \(its limit\)"):
        list(first)
    nothing_left(source)


def test_one_that_leaves_early_no_longer_counts() -> None:
    """CONTRACT 14: its rows are dropped and counted, and the others go on without it."""
    source = Tracked(range(20), delay=1)

    async def main() -> None:
        first, second = flow.wrap(source).tee(limit=2)
        left, stayed = await asyncio.gather(timed(first, most=3), timed(second))
        assert rows_of(left) == [0, 1, 2]
        assert stayed == [(n, n + 1) for n in range(20)]

    with virtual_time() as clock:
        clock.run(main())
    nothing_left(source)


def test_one_that_nobody_holds_no_longer_counts() -> None:
    """A stage that is thrown away can't be read, and is not waited for; before the run and while it goes on."""
    assert list(flow.wrap(range(100)).tee(limit=2)[0]) == list(range(100))

    async def main() -> None:
        kept, gone = flow.wrap(range(100)).tee(limit=2)
        task = asyncio.create_task(all_of(kept))
        await asyncio.sleep(1)
        assert not task.done()
        del gone
        gc.collect()
        assert await task == list(range(100))

    with virtual_time() as clock:
        clock.run(main())


def test_reading_one_twice() -> None:
    """CONTRACT 7: each is read once a run; when all have been, they may be read again."""
    first, second = flow.wrap(range(3)).tee()
    assert list(first) == [0, 1, 2]
    with pytest.raises(flow.AlreadyReadError, match="share"):
        list(first)
    assert list(second) == [0, 1, 2]
    assert list(second) == [0, 1, 2]
    once, again = flow.wrap(iter([1])).tee()
    assert list(once) == list(again) == [1]
    with pytest.raises(flow.AlreadyReadError):
        list(once)


def test_when_all_that_read_have_left() -> None:
    """CONTRACT 14: the source is closed before the last one's control returns; who begins then has a run of its own."""
    source = Tracked(range(5), delay=1, cleanup=1)

    async def main() -> None:
        first, second = flow.wrap(source).tee()
        assert rows_of(await timed(first, most=2)) == [0, 1]
        assert source.is_closed
        assert await second == list(range(5))
        assert source.opened == 2
        assert await first == list(range(5))

    with virtual_time() as clock:
        clock.run(main())
    nothing_left(source)


@pytest.mark.parametrize(("slow", "end"), [("drop", [8, 9]), ("disconnect", [0, 1])])
def test_slow_stages(slow: Any, end: list[int]) -> None:
    """CONTRACT 3, 16, 20: what becomes of a stage that does not keep up, or that nobody begins."""

    async def main() -> None:
        quick, late = flow.wrap(range(10)).tee(limit=2, slow=slow)
        assert await quick == list(range(10))
        got = []
        try:
            async for row in late:
                got.append(row)
        except flow.SlowReaderError:
            assert slow == "disconnect"
        assert got == end

    asyncio.run(main())


def test_the_failure_reaches_all() -> None:
    """CONTRACT 3, 17."""
    first, second = flow.wrap(Tracked(range(3), fail=OSError("gone"))).tee()
    for stage in (first, second):
        got = []
        with pytest.raises(OSError, match="gone"):
            for row in stage:
                got.append(row)
        assert got == [0, 1, 2]


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda rows: rows.share(-1), ValueError, r"share\(replay\)"),
        (lambda rows: rows.share(True), TypeError, r"share\(replay\)"),
        (lambda rows: rows.share(limit=0), ValueError, r"share\(limit\)"),
        (
            lambda rows: rows.share(slow="fast"),
            ValueError,
            r"share\(slow\) must be one of 'wait', 'drop', 'disconnect'",
        ),
        (lambda rows: rows.share(slow=1), TypeError, r"share\(slow\)"),
        (lambda rows: rows.tee(0), ValueError, r"tee\(n\) must be at least 1 stage"),
        (lambda rows: rows.tee(2.0), TypeError, r"tee\(n\)"),
        (lambda rows: rows.tee(2, limit=None), TypeError, r"tee\(limit\)"),
        (lambda rows: rows.tee(2, slow="x"), ValueError, r"tee\(slow\)"),
    ],
)
def test_wrong_arguments_fail_when_built(make: Callable[[Any], Any], error: type[Exception], words: str) -> None:
    """CONTRACT 22."""
    with pytest.raises(error, match=words):
        make(flow.wrap([1]))


def test_how_they_are_shown() -> None:
    """In errors and notes they have the names that were written."""
    assert repr(flow.wrap([1]).share()) == "wrap(list) | share()"
    assert repr(flow.wrap([1]).share(replay=2)) == "wrap(list) | share(replay=2)"
    assert repr(flow.wrap([1]).tee()[1]) == "wrap(list) | tee(2)[1]"


# ------------------------------------------------------------------------------------------------------------------
# Torture


def _tortured(make: Callable[[flow.Stage[int]], flow.Stage[Any]], **options: Any) -> list[Any]:
    used: list[Tracked[int]] = []

    def flow_of() -> flow.Stage[Any]:
        used[:] = [Tracked(range(4), delay=1, cleanup=1)]
        return make(flow.wrap(used[0]))

    return torture(flow_of, tracked=lambda: used, seeds=(None, 1, 2), **options).rows


def test_torture_share() -> None:
    """CONTRACT 14-16: readers of one run, ended at each wait and after each row, in every way."""

    def make(rows: flow.Stage[int]) -> flow.Stage[int]:
        shared = rows.share(limit=2)
        return shared.merge(shared | slowly)

    assert sorted(_tortured(make, ordered=False)) == [0, 0, 1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize("slow", ["wait", "drop"])
def test_torture_tee(slow: Any) -> None:
    """CONTRACT 14-16: the same for the stages of a tee."""

    def make(rows: flow.Stage[int]) -> flow.Stage[int]:
        quick, late = rows.tee(limit=2, slow=slow)
        return quick.merge(late | slowly)

    assert sorted(_tortured(make, ordered=False)) == [0, 0, 1, 1, 2, 2, 3, 3]


def test_torture_zip() -> None:
    """CONTRACT 14-16: in step."""

    def make(rows: flow.Stage[int]) -> flow.Stage[Any]:
        first, second = rows.tee(limit=1)
        return first.zip(second)

    assert _tortured(make) == [(n, n) for n in range(4)]


@pytest.mark.parametrize("thing", [Shared, tee])
def test_the_examples_are_right(thing: Any) -> None:
    """Each docstring's example gives what it says."""
    run_statements(example_of(thing) or "")
