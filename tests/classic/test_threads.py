"""flow.classic.threads: Threaded and QueryIterator, as the suite, the manual and the docstrings of 2003 showed them."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Generator, Iterator
from typing import Any

import pytest

from flow.classic import flow
from flow.classic.threads import QueryIterator, Threaded

from ..conformance.drivers import ClockReactor
from .test_manual import run
from .ways import both, in_a_block, on_the_reactor

QUERY = "select 1, 'one' union all select 0, '' union all select 2, 'two'"
ROWS = [(1, "one"), (0, ""), (2, "two")]


class Countdown:
    """A blocking iterator, which notes the threads that use it."""

    def __init__(self, start: int) -> None:
        self.left = start
        self.threads: set[int] = set()

    def __iter__(self) -> Countdown:
        self.threads.add(threading.get_ident())
        return self

    def __next__(self) -> int:
        self.threads.add(threading.get_ident())
        time.sleep(0.002)
        if not self.left:
            raise StopIteration
        self.left -= 1
        return self.left + 1


@both
def test_a_blocking_iterator(read: Any) -> None:
    """2003's suite: it is read in another thread, and that one only; its rows come in order."""
    counting = Countdown(5)
    assert read(Threaded(counting)) == [5, 4, 3, 2, 1]
    assert len(counting.threads) == 1
    assert threading.get_ident() not in counting.threads


@both
def test_a_failure_in_the_thread(read: Any) -> None:
    """2003's suite: it is raised, after the rows before it; a trap takes it, which 2003's did not (fault T1)."""

    def breaks() -> Generator[int]:
        yield 1
        raise ValueError("broken")

    assert read(Threaded(breaks(), ValueError)) == [1, ValueError]
    rows = flow.Block(Threaded(breaks()))
    assert rows.next() == 1
    with pytest.raises(ValueError, match="broken"):
        rows.next()


def test_rows_that_are_there_already() -> None:
    """2003's suite: what the thread made while its reader did something else comes at once, after its end too."""
    reactor = ClockReactor()
    done = threading.Event()

    def numbers() -> Generator[int]:
        try:
            yield from range(4)
        finally:
            done.set()

    def reads() -> Generator[Any]:
        source = Threaded(numbers())
        yield source
        yield source.next()
        assert done.wait(10)
        yield list(source)

    assert reactor.run_until(flow.Deferred(reads, reactor=reactor)) == [0, [1, 2, 3]]


def test_threaded_beside_a_cooperative_flow() -> None:
    """The manual: a blocking source does not hold up one that cooperates."""
    begun, passed = threading.Event(), threading.Event()

    def blocking() -> Generator[str]:
        begun.set()
        assert passed.wait(10)  # for ever, if the other could not go on
        yield "blocking"

    def cooperative() -> Generator[Any]:
        while not begun.is_set():
            yield flow.Cooperate(0.001)
        yield "cooperative"
        passed.set()

    assert on_the_reactor(flow.Merge(Threaded(blocking()), cooperative())) == ["cooperative", "blocking"]


@both
def test_chunks_from_a_thread(read: Any) -> None:
    """2003: an iterable with a true `chunked` gives lists; the rows of the stage are what is in them."""

    class Crates:
        chunked = True
        closed = 0

        def __iter__(self) -> Iterator[list[int]]:
            try:
                yield [1, 2]
                yield []
                yield [3]
            finally:
                self.closed += 1

    crates = Crates()
    assert read(Threaded(crates)) == [1, 2, 3]
    assert crates.closed == 1
    stage = Threaded(crates)
    assert stage.srcchunked
    assert not Threaded([1]).srcchunked


def test_chunks_cross_as_chunks() -> None:
    """With `chunked` on the stage, too, its rows come in lists again."""
    held = threading.Event()

    class Crates:
        chunked = True

        def __iter__(self) -> Iterator[list[int]]:
            yield [1, 2, 3]
            assert held.wait(10)
            yield [4]

    def reads() -> Generator[Any]:
        stage = Threaded(Crates())
        stage.chunked = True
        yield stage
        for rows in stage:
            yield rows
            held.set()
            yield stage

    assert in_a_block(reads) == [[1, 2, 3], [4]]


# ------------------------------------------------------------------------------------------------------------------
# Queries


class Falsy(tuple[Any, ...]):
    """A row that counts as false when its first value does."""

    def __bool__(self) -> bool:
        return bool(self[0])


class Pool:
    """A DB-API module, bound to its arguments; it notes what became of its connections."""

    def __init__(self) -> None:
        self.log: list[str] = []

    def connect(self) -> Any:
        self.log.append("connect")
        pool = self

        class Connection(sqlite3.Connection):
            def close(self) -> None:
                pool.log.append("close")
                super().close()

        made = sqlite3.connect(":memory:", factory=Connection)
        made.row_factory = lambda cursor, row: Falsy(row)
        return made


@pytest.mark.parametrize("options", [{}, {"fetchmany": True}, {"fetchall": True}], ids=str)
def test_a_query(options: dict[str, bool]) -> None:
    """2003's suite and manual: all rows, however they are fetched; one that counts as false is no end (fault Q4)."""
    pool = Pool()
    assert on_the_reactor(Threaded(QueryIterator(pool, QUERY, **options))) == ROWS
    assert pool.log == ["connect", "close"]


def test_the_consumer_of_a_query() -> None:
    """The manual: ``yield query``, then a ``for`` that yields it again."""

    def consumer() -> Generator[Any]:
        query = Threaded(QueryIterator(Pool(), QUERY))
        yield query
        for row in query:
            yield row[1]
            yield query

    assert on_the_reactor(consumer) == ["one", "", "two"]


def test_a_query_without_a_thread() -> None:
    """As in 2003: rows, lists of rows with `fetchmany`, and one list of all with `fetchall`."""
    assert list(QueryIterator(Pool(), QUERY)) == ROWS
    assert [row for rows in QueryIterator(Pool(), QUERY, fetchmany=True) for row in rows] == ROWS
    assert list(QueryIterator(Pool(), QUERY, fetchall=True)) == [ROWS]
    assert not QueryIterator(Pool(), QUERY).chunked
    assert QueryIterator(Pool(), QUERY, fetchall=True).chunked


def test_a_query_that_fails() -> None:
    """2003 hung with it (fault T3)."""
    pool = Pool()
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        on_the_reactor(Threaded(QueryIterator(pool, "select * from nowhere")))
    assert pool.log == ["connect", "close"]
    assert on_the_reactor(Threaded(QueryIterator(pool, "select * from nowhere"), sqlite3.Error)) == [sqlite3.Error]


def test_a_query_with_a_pool() -> None:
    """The manual: a ConnectionPool of Twisted; its connection is there for the next query (fault Q1)."""
    program = """
        from twisted.enterprise import adbapi
        from twisted.internet import reactor
        from flow.classic import flow
        from flow.classic.threads import QueryIterator, Threaded

        pool = adbapi.ConnectionPool("sqlite3", ":memory:", check_same_thread=False, cp_max=1)

        def consumer():
            print("executing")
            query = Threaded(QueryIterator(pool, "select 'one' union all select 'two'"))
            yield query
            for row in query:
                print("row", row)
                yield query

        def again(rows):
            print(rows, len(pool.connections))
            return pool.runQuery("select 'three'").addCallback(print)

        d = flow.Deferred(consumer())
        d.addCallback(again).addErrback(print)
        d.addBoth(lambda _: reactor.stop())
        reactor.callLater(20, reactor.stop)
        reactor.run()
    """
    assert run(program).splitlines() == ["executing", "row ('one',)", "row ('two',)", "[] 1", "[('three',)]"]
