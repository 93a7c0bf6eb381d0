"""partition(), route() and balance(): one run of a source, and each row for one reader.

CONTRACT 1-5, 7, 10, 12-17, 20-22.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flow
from flow.stages.route import Routed, balance, partition
from flow.testing import Tracked, nothing_left, torture, virtual_time

from ..docs.test_docstrings import example_of, run_statements


def is_even(n: int) -> bool:
    return n % 2 == 0


def third(n: int) -> int:
    return n % 3


async def all_of(stage: flow.Stage[Any]) -> list[Any]:
    return await stage


async def timed(stage: flow.Stage[Any], busy: float = 0, begin: float = 0, most: int = 0) -> list[tuple[Any, float]]:
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


async def by_key(
    pairs: flow.Stage[tuple[Any, flow.Stage[int]]], busy: Callable[[Any], float] = lambda key: 0
) -> dict[Any, list[tuple[int, float]]]:
    """Reads each stage in a task of its own."""
    got: dict[Any, list[tuple[int, float]]] = {}

    async def follow(key: Any, rows: flow.Stage[int]) -> None:
        got[key] = await timed(rows, busy(key))

    async with asyncio.TaskGroup() as group:
        async for key, rows in pairs:
            group.create_task(follow(key, rows))
    return got


# ------------------------------------------------------------------------------------------------------------------
# partition


def test_those_and_the_others() -> None:
    """CONTRACT 1, 2, 4, 5: each row comes once, in order, in the one or the other, as soon as it is there."""
    source = Tracked(range(10), delay=1)

    async def main() -> None:
        even, odd = flow.wrap(source).partition(is_even)
        assert source.opened == 0
        assert await asyncio.gather(timed(even), timed(odd)) == [
            [(n, n + 1) for n in range(0, 10, 2)],
            [(n, n + 1) for n in range(1, 10, 2)],
        ]

    with virtual_time() as clock:
        clock.run(main())
    assert (source.opened, source.asked) == (1, 10)
    nothing_left(source)


def test_a_predicate_that_waits() -> None:
    """CONTRACT 9: an async predicate is awaited, one row at a time; so is a function that returns a coroutine."""

    async def check(n: int) -> bool:
        await asyncio.sleep(1)
        return n > 2

    async def main() -> None:
        for predicate in (check, lambda n: check(n)):
            high, low = flow.wrap(range(5)).partition(predicate)
            assert await asyncio.gather(timed(high), timed(low)) == [
                [(3, start + 4), (4, start + 5)] if (start := 5 * (predicate is not check)) >= 0 else [],
                [(0, start + 1), (1, start + 2), (2, start + 3)],
            ]

    with virtual_time() as clock:
        clock.run(main())


def test_in_one_flow() -> None:
    """CONTRACT 12, 13: as inputs of one stage, in a script and on a loop."""

    def joined() -> flow.Stage[int]:
        even, odd = flow.wrap(Tracked(range(20), delay=1)).partition(is_even, limit=1)
        return even.map(lambda n: -n).merge(odd)

    with virtual_time():
        assert list(joined()) == [n if n % 2 else -n for n in range(20)]
    with virtual_time() as clock:
        assert clock.run(all_of(joined())) == [n if n % 2 else -n for n in range(20)]


@given(st.lists(st.booleans(), max_size=30), st.integers(1, 5))
def test_one_after_the_other(sides: list[bool], limit: int) -> None:
    """CONTRACT 2: it works if, and only if, the other one gets no more than `limit` rows before the first has ended."""
    true, false = flow.wrap(list(enumerate(sides))).partition(lambda row: row[1], limit=limit)
    others = [row for row in enumerate(sides) if not row[1]]
    if len(others) <= limit:
        assert list(true) == [row for row in enumerate(sides) if row[1]]
        assert list(false) == others
    else:
        with pytest.raises(flow.SlowReaderError, match=rf"{limit} rows \(its limit\)"):
            list(true)


def test_a_script_that_already_waits_is_told() -> None:
    """The other one fills up while the script waits for a row: it is woken, and told."""
    source = Tracked(range(100), delay=1)
    with virtual_time() as clock:
        _, odd = flow.wrap(source).partition(lambda n: n != 50, limit=5)
        with pytest.raises(flow.SlowReaderError):
            list(odd)
        assert clock.time() == 6
    nothing_left(source)


@pytest.mark.parametrize("limit", [1, 2, 16])
def test_the_source_waits_for_the_one_that_is_full(limit: int) -> None:
    """CONTRACT 20, 21: at most `limit` rows are held for a stage, begun or not, and one in the hand of the source."""
    source = Tracked(range(100), delay=1)

    async def main() -> None:
        even, odd = flow.wrap(source).partition(is_even, limit=limit)
        task = asyncio.create_task(all_of(odd))
        await asyncio.sleep(1000)
        assert source.asked == 2 * limit + 1
        assert await even == list(range(0, 100, 2))
        assert await task == list(range(1, 100, 2))

    with virtual_time() as clock:
        clock.run(main())


def test_rows_of_one_that_was_left_are_dropped_and_counted() -> None:
    """CONTRACT 14, 16: the other one gets all of its rows; the source is closed by the last."""
    source = Tracked(range(10), delay=1, cleanup=1)
    dropped: list[int] = []

    async def main() -> None:
        even, odd = flow.wrap(source).partition(is_even, limit=1)
        async with odd.open(on_dropped=dropped.extend) as rows:
            task = asyncio.create_task(timed(even, most=2))
            assert [row async for row in rows] == [1, 3, 5, 7, 9]
            assert rows_of(await task) == [0, 2]

    with virtual_time() as clock:
        clock.run(main())
    assert dropped == [4, 6, 8]
    nothing_left(source)


def test_one_that_nobody_holds() -> None:
    """What nobody can read is dropped: one half of a partition is enough."""
    assert list(flow.wrap(range(100)).partition(is_even)[1]) == list(range(1, 100, 2))


@pytest.mark.parametrize("where", ["source", "predicate"])
def test_a_failure_reaches_both_after_their_rows(where: str) -> None:
    """CONTRACT 3, 16, 17."""
    error = ValueError("no")

    def test(n: int) -> bool:
        if n == 4 and where == "predicate":
            raise error
        return n % 2 == 0

    both = flow.wrap(Tracked(range(4 + (where == "predicate")), fail=error)).partition(test)
    for stage, expected in zip(both, ([0, 2], [1, 3]), strict=True):
        got = []
        with pytest.raises(ValueError, match="no") as raised:
            for row in stage:
                got.append(row)
        assert got == expected
        assert raised.value is error


def test_reading_again() -> None:
    """CONTRACT 7: once a run, each; when both have been read, they may be read again."""
    even, odd = flow.wrap(range(6)).partition(is_even)
    for _ in range(2):
        assert list(even) == [0, 2, 4]
        with pytest.raises(flow.AlreadyReadError):
            list(even)
        assert list(odd) == [1, 3, 5]


def test_one_begins_when_the_other_has_left_early() -> None:
    """CONTRACT 14: the run was closed; the one that is left reads another, and its rows are its own."""
    source = Tracked(range(6), delay=1)

    async def main() -> None:
        even, odd = flow.wrap(source).partition(is_even)
        assert rows_of(await timed(even, most=1)) == [0]
        assert source.is_closed
        assert await odd == [1, 3, 5]

    with virtual_time() as clock:
        clock.run(main())
    assert source.opened == 2


def test_a_source_that_never_waits_is_fair() -> None:
    """CONTRACT 10: rows that nobody wants do not starve the loop."""
    ticks: list[float] = []

    async def ticker() -> None:
        loop: Any = asyncio.get_running_loop()
        while True:
            ticks.append(loop.slice_clock())
            await asyncio.sleep(0)

    async def main() -> None:
        ticking = asyncio.create_task(ticker())
        rare = flow.wrap(range(100_000)).partition(lambda n: n == 99_999)[0]
        assert await rare == [99_999]
        ticking.cancel()

    with virtual_time() as clock:
        clock.run(main())
    assert len(ticks) > 3
    assert max(after - before for before, after in itertools.pairwise(ticks)) < 0.015


# ------------------------------------------------------------------------------------------------------------------
# route


def test_a_stage_for_each_key() -> None:
    """CONTRACT 1, 2, 5: pairs come as keys appear; each row comes in the stage of its key, in order, at once."""
    source = Tracked(range(9), delay=1)
    keys: list[Any] = []

    def key(n: int) -> int:
        if n % 3 not in keys:
            keys.append(n % 3)
        return n % 3

    with virtual_time() as clock:
        got = clock.run(by_key(flow.wrap(source).route(key)))
    assert got == {k: [(n, n + 1) for n in range(k, 9, 3)] for k in range(3)}
    assert keys == [0, 1, 2]
    nothing_left(source)


def test_a_key_that_waits_and_keys_of_any_kind() -> None:
    """CONTRACT 6, 9: an async key is awaited; None, tuples and so on are keys; what has no hash is an error."""

    async def key(n: int) -> Any:
        await asyncio.sleep(1)
        return None if n % 2 else ("even",)

    with virtual_time() as clock:
        got = clock.run(by_key(flow.wrap(range(4)).route(key)))
    assert got == {("even",): [(0, 1), (2, 3)], None: [(1, 2), (3, 4)]}
    with pytest.raises(TypeError, match="unhashable"):
        list(flow.wrap(range(4)).route(lambda n: [n]))


def test_with_flat_map() -> None:
    """CONTRACT 12, 13: in one flow: each stage is read by a branch of its own."""

    def flowing() -> flow.Stage[str]:
        pairs = flow.wrap(Tracked(range(9), delay=1)).route(third, limit=1)
        return pairs.flat_map(lambda pair: pair[1].map(lambda n: f"{pair[0]}:{n}"), concurrency=3)

    expected = [f"{n % 3}:{n}" for n in range(9)]
    with virtual_time():
        assert list(flowing()) == expected
    with virtual_time() as clock:
        assert clock.run(all_of(flowing())) == expected


@given(
    st.lists(st.integers(0, 3), max_size=20), st.integers(1, 3), st.dictionaries(st.integers(0, 3), st.integers(0, 2))
)
def test_any_rows(keys: list[int], limit: int, busy: dict[int, int]) -> None:
    """CONTRACT 1, 2: every row comes once, in the stage of its key, in order, however slow the readers are."""
    expected = defaultdict(list)
    for row in enumerate(keys):
        expected[row[1]].append(row)
    rows: flow.Stage[Any] = flow.wrap(list(enumerate(keys)))
    with virtual_time() as clock:
        got = clock.run(by_key(rows.route(lambda row: row[1], limit=limit), lambda key: busy.get(key, 0)))
    assert {key: rows_of(each) for key, each in got.items()} == expected


def test_too_many_keys() -> None:
    """CONTRACT 3, 20: `most` keys are told apart; one more is an error that says so, after the rows before it."""
    got = []
    with pytest.raises(flow.FullError, match=r"2 keys, which is its limit \(most=2\), and now came 'c'"):
        for key, rows in flow.wrap("abacab").flat_map(list).route(str, most=2):
            got.append((key, rows))
    assert [key for key, _ in got] == ["a", "b"]
    rows = []
    with pytest.raises(flow.FullError):
        for row in got[0][1]:
            rows.append(row)
    assert rows == ["a", "a"]


def test_rows_of_a_stage_that_was_left() -> None:
    """CONTRACT 16: they are dropped and counted, and its key does not come again."""
    dropped: list[int] = []
    keys: list[int] = []

    async def main() -> None:
        async with flow.wrap(Tracked(range(9), delay=1)).route(third).open(on_dropped=dropped.extend) as pairs:
            async with asyncio.TaskGroup() as group:
                async for key, rows in pairs:
                    keys.append(key)
                    group.create_task(timed(rows, most=1 if key == 0 else 0))

    with virtual_time() as clock:
        clock.run(main())
    assert keys == [0, 1, 2]
    assert dropped == [3, 6]


def test_when_the_reader_of_the_pairs_leaves() -> None:
    """CONTRACT 14, 16: stages that are read go on to their end, and rows of keys that nobody knows are dropped."""
    source = Tracked(range(9), delay=1, cleanup=1)

    async def main() -> None:
        async with flow.wrap(source).route(third).open() as pairs:
            _, rows = await anext(pairs)
            task = asyncio.create_task(timed(rows))
            await asyncio.sleep(0.5)
        assert rows_of(await task) == [0, 3, 6]

    with virtual_time() as clock:
        clock.run(main())
    assert source.asked == 9
    nothing_left(source)


def test_a_stage_that_outlives_the_run() -> None:
    """CONTRACT 7, 14: after the end its rows can still be read, once; after an early close it says what happened."""
    kept = dict(flow.wrap(range(6)).route(third))
    assert {key: list(rows) for key, rows in kept.items()} == {0: [0, 3], 1: [1, 4], 2: [2, 5]}
    with pytest.raises(flow.AlreadyReadError, match="key 0"):
        list(kept[0])
    source = Tracked(range(60))
    with flow.wrap(source).route(third, limit=1).open() as pairs:
        _, rows = next(pairs)
    with pytest.raises(flow.ClosedError, match="key 0"):
        list(rows)
    nothing_left(source)


def test_keys_that_nobody_follows() -> None:
    """A stage is left by reading none of its rows: they are dropped, and hold nobody up."""

    async def main() -> None:
        got: list[int] = []
        pairs = flow.wrap(range(300)).route(third, limit=1)
        async with asyncio.TaskGroup() as group:
            async for key, rows in pairs:
                if key == 0:
                    group.create_task(_gather(rows, got))
                else:
                    assert await rows[:0] == []
        assert got == list(range(0, 300, 3))

    asyncio.run(main())


def test_pairs_that_nobody_read() -> None:
    """The stages of pairs that are dropped with their reader are left, too: nobody can read them."""

    async def main() -> None:
        async with flow.wrap(range(300)).route(third, limit=3).open() as pairs:
            _, rows = await anext(pairs)
            task = asyncio.create_task(all_of(rows))
            await asyncio.sleep(0)
        assert await task == list(range(0, 300, 3))

    asyncio.run(main())


async def _gather(rows: flow.Stage[int], got: list[int]) -> None:
    got += await rows


def test_one_that_is_read_inside_of_the_loop() -> None:
    """It works as long as no other key fills up; a script is told when one does."""
    pairs = flow.wrap(range(9)).route(third, limit=3)
    assert [(key, list(rows)) for key, rows in pairs] == [(0, [0, 3, 6]), (1, [1, 4, 7]), (2, [2, 5, 8])]
    with pytest.raises(flow.SlowReaderError):
        for _, rows in flow.wrap(range(9)).route(third, limit=2):
            list(rows)


@pytest.mark.parametrize("where", ["source", "key"])
def test_a_failure_reaches_all(where: str) -> None:
    """CONTRACT 3, 16, 17: the pairs and the stages, each after its rows."""
    error = ValueError("no")

    def key(n: int) -> int:
        if n == 6 and where == "key":
            raise error
        return n % 3

    pairs = flow.wrap(Tracked(range(6 + (where == "key")), fail=error)).route(key)
    got = {}
    with pytest.raises(ValueError, match="no") as raised:
        for pair in pairs:
            got.update([pair])
    assert raised.value is error
    for number, rows in got.items():
        read = []
        with pytest.raises(ValueError, match="no") as raised:
            for row in rows:
                read.append(row)
        assert raised.value is error
        assert read == [number, number + 3]


# ------------------------------------------------------------------------------------------------------------------
# balance


def test_each_row_goes_to_one_of_them() -> None:
    """CONTRACT 1, 2, 20: whoever asks gets the next row; together they have each row once, each of them in order."""

    async def main() -> None:
        stages = flow.wrap(range(100)).balance(3, limit=4)
        every = await asyncio.gather(*[timed(stage, busy) for stage, busy in zip(stages, (1, 2, 5), strict=True)])
        taken = list(map(rows_of, every))
        assert sorted(itertools.chain(*taken)) == list(range(100))
        assert all(rows == sorted(rows) for rows in taken)
        assert len(taken[0]) > 1.5 * len(taken[1]) > 3 * len(taken[2])
        assert max(time for got in every for _, time in got) < 62  # nobody was idle while there were rows

    with virtual_time() as clock:
        clock.run(main())


def test_first_come_first_served() -> None:
    """CONTRACT 5, 8: those that wait are served in the order in which they came, each as soon as a row is there."""

    async def main() -> None:
        stages = flow.wrap(Tracked(range(6), delay=1)).balance(3)
        every = await asyncio.gather(*[timed(stage, begin=n / 10) for n, stage in enumerate(stages)])
        assert every == [[(0, 1), (3, 4)], [(1, 2), (4, 5)], [(2, 3), (5, 6)]]

    with virtual_time() as clock:
        clock.run(main())


@pytest.mark.parametrize("limit", [1, 3])
def test_it_works_limit_rows_ahead(limit: int) -> None:
    """CONTRACT 4, 20, 21: rows that nobody has asked for yet are bounded, and no row waits behind a slow reader."""
    source = Tracked(range(100), delay=1)

    async def main() -> None:
        first, second = flow.wrap(source).balance(2, limit=limit)
        assert source.opened == 0
        async with first.open() as rows:
            assert await anext(rows) == 0
            await asyncio.sleep(50)
            assert source.asked == 1 + limit
            assert rows_of(await timed(second, most=limit)) == list(range(1, 1 + limit))
            assert await anext(rows) == 1 + limit

    with virtual_time() as clock:
        clock.run(main())
    nothing_left(source)


def test_a_row_that_was_given_and_not_taken_goes_to_the_next() -> None:
    """CONTRACT 2, 15: a reader that is cancelled when it was just given a row loses none for the others."""

    async def main() -> None:
        first, second = flow.wrap(Tracked(range(5), delay=1)).balance(2)
        for cancel_at in (0.5, 1.0):
            task = asyncio.create_task(all_of(first))
            other = asyncio.create_task(all_of(second))
            asyncio.get_running_loop().call_later(cancel_at, task.cancel)
            assert await other == list(range(5))
            with pytest.raises(asyncio.CancelledError):
                await task

    for seed in range(20):
        with virtual_time(seed) as clock:
            clock.run(main())


def test_balance_in_one_flow() -> None:
    """CONTRACT 12, 13: workers are branches of one stage."""

    def work(n: int) -> int:
        flow.sleep(1)
        return n

    def flowing() -> flow.Stage[int]:
        return flow.Merge(*(rows.map(work).buffer(1) for rows in flow.wrap(range(9)).balance(3)))

    with virtual_time() as clock:
        assert sorted(flowing()) == list(range(9))
        assert clock.time() == 3
    with virtual_time() as clock:
        assert sorted(clock.run(all_of(flowing()))) == list(range(9))


def test_the_end_and_a_failure_reach_all() -> None:
    """CONTRACT 3: after the rows that are held."""

    async def main() -> None:
        first, second = flow.wrap(Tracked(range(4), fail=OSError("gone"))).balance(2)

        async def read(stage: flow.Stage[int]) -> list[int]:
            got = []
            with pytest.raises(OSError, match="gone"):
                async for row in stage:
                    got.append(row)
                    await asyncio.sleep(1)
            return got

        assert await asyncio.gather(read(first), read(second)) == [[0, 2], [1, 3]]

    with virtual_time() as clock:
        clock.run(main())


def test_a_worker_that_is_stopped() -> None:
    """CONTRACT 16: its rows end, and the others get those that come."""
    source = Tracked(range(6), delay=1)

    async def main() -> None:
        first, second = flow.wrap(source).balance(2)
        async with first.open() as rows:
            others = asyncio.create_task(timed(second))
            asyncio.get_running_loop().call_later(2.5, rows.stop)
            assert [row async for row in rows] == [0]
        assert rows_of(await others) == [1, 2, 3, 4, 5]

    with virtual_time() as clock:
        clock.run(main())
    nothing_left(source)


def test_a_short_source_is_read_once() -> None:
    """CONTRACT 2: a worker that begins when others have read everything finds the end, and no second run."""
    source = Tracked(range(3))
    stages = flow.wrap(source).balance(3)
    assert [list(stage) for stage in stages] == [[0, 1, 2], [], []]
    assert source.opened == 1
    assert [list(stage) for stage in stages] == [[0, 1, 2], [], []]
    assert source.opened == 2
    nothing_left(source)


def test_reading_a_worker_again() -> None:
    """CONTRACT 7, 14: one reader at a time; one that has left may come again; and anew when all have been read."""
    source = Tracked(range(10))
    first, second = flow.wrap(source).balance(2)
    with second.open() as others:
        assert next(others) == 0
        with first.open() as rows:
            assert next(rows) == 1
            with pytest.raises(flow.BusyError, match=r"balance\(2\)\[0\]"):
                list(first)
        assert list(first[:2]) == [2, 3]
        assert list(others) == [4, 5, 6, 7, 8, 9]
    assert list(first) == list(range(10))
    with pytest.raises(flow.AlreadyReadError):
        list(first)
    assert list(second) == []
    assert source.opened == 2
    nothing_left(source)


def test_workers_that_begin_when_all_have_left() -> None:
    """CONTRACT 14: the run was closed with the last reader: those that have not begun have one of their own."""
    source = Tracked(range(10), delay=1, cleanup=1)

    async def main() -> None:
        first, second = flow.wrap(source).balance(2)
        assert rows_of(await timed(first, most=2)) == [0, 1]
        assert source.is_closed
        assert await second == list(range(10))

    with virtual_time() as clock:
        clock.run(main())
    nothing_left(source)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda rows: rows.partition(3), TypeError, "partition needs a function"),
        (lambda rows: rows.partition(is_even, limit=0), ValueError, r"partition\(limit\)"),
        (lambda rows: rows.route("key"), TypeError, "route needs a function"),
        (lambda rows: rows.route(third, limit=-1), ValueError, r"route\(limit\)"),
        (lambda rows: rows.route(third, most=0), ValueError, r"route\(most\)"),
        (lambda rows: rows.route(third, most=1.5), TypeError, r"route\(most\)"),
        (lambda rows: rows.balance(0), ValueError, r"balance\(n\)"),
        (lambda rows: rows.balance(True), TypeError, r"balance\(n\)"),
        (lambda rows: rows.balance(2, limit=0), ValueError, r"balance\(limit\)"),
    ],
)
def test_wrong_arguments_fail_when_built(make: Callable[[Any], Any], error: type[Exception], words: str) -> None:
    """CONTRACT 22."""
    with pytest.raises(error, match=words):
        make(flow.wrap([1]))


def test_how_they_are_shown() -> None:
    """In errors and notes they have the names that were written."""
    rows = flow.wrap([1])
    assert repr(rows.partition(is_even)[0]) == "wrap(list) | partition(is_even)[0]"
    assert repr(rows.route(third)) == "wrap(list) | route(third)"
    assert [repr(each) for _, each in rows.route(third)] == ["wrap(list) | route(third): key 1"]
    assert repr(rows.balance(2)[1]) == "wrap(list) | balance(2)[1]"


# ------------------------------------------------------------------------------------------------------------------
# Torture


def _partitioned(rows: flow.Stage[int]) -> flow.Stage[Any]:
    even, odd = rows.partition(is_even, limit=1)
    return even.merge(odd | slowly)


def _routed(rows: flow.Stage[int]) -> flow.Stage[Any]:
    return rows.route(third, limit=1).flat_map(lambda pair: pair[1], concurrency=3)


def _balanced(rows: flow.Stage[int]) -> flow.Stage[Any]:
    first, second = rows.balance(2, limit=2)
    return first.merge(second | slowly)


@pytest.mark.parametrize("make", [_partitioned, _routed, _balanced])
def test_torture(make: Callable[[flow.Stage[int]], flow.Stage[Any]]) -> None:
    """CONTRACT 14-16: ended at each wait and after each row, in every way."""
    used: list[Tracked[int]] = []

    def flow_of() -> flow.Stage[Any]:
        used[:] = [Tracked(range(5), delay=1, cleanup=1)]
        return make(flow.wrap(used[0]))

    assert sorted(torture(flow_of, tracked=lambda: used, seeds=(None, 1, 2), ordered=False).rows) == list(range(5))


@pytest.mark.parametrize("thing", [partition, Routed, balance])
def test_the_examples_are_right(thing: Any) -> None:
    """Each docstring's example gives what it says."""
    run_statements(example_of(thing) or "")
