"""QueryIterator over a real sqlite3 file: values are parameters, blocks are what was asked for, everything is given
back.

CONTRACT 31 as far as sqlite goes; 3, 7, 14, 22 and 26 where queries touch them.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flow
from flow.testing import nothing_left

ROWS = [(number, f"name {number}") for number in range(25)]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    found = str(tmp_path_factory.mktemp("sql") / "rows.db")
    with closing(sqlite3.connect(found)) as connection, connection:
        connection.execute("create table things (id integer, name text)")
        connection.executemany("insert into things values (?, ?)", ROWS)
    return found


class Watched:
    """A connection (or, from `cursor`, a cursor) that counts what is asked of it, and in which threads."""

    def __init__(self, path: str, *, fail: str = "") -> None:
        self.fail = fail
        self.real = sqlite3.connect(path)
        self.fetched: list[int] = []
        self.executed: list[tuple[Any, ...]] = []
        self.log: list[str] = []
        self.threads: set[int] = {threading.get_ident()}

    def _note(self, what: str) -> None:
        self.log.append(what)
        self.threads.add(threading.get_ident())
        if self.fail == what:
            raise sqlite3.OperationalError(f"{what} failed")

    def cursor(self) -> WatchedCursor:
        self._note("cursor")
        return WatchedCursor(self)

    def rollback(self) -> None:
        self.real.rollback()
        self._note("rollback")

    def commit(self) -> None:
        self.real.commit()
        self._note("commit")

    def close(self) -> None:
        self.real.close()
        self._note("close")


class WatchedCursor:
    arraysize = 1

    def __init__(self, connection: Watched) -> None:
        self.connection = connection
        self.real = connection.real.cursor()

    def execute(self, *arguments: Any) -> None:
        self.connection.executed.append(arguments)
        self.connection._note("execute")
        self.real.execute(*arguments)

    def fetchmany(self, size: int | None = None) -> list[Any]:
        size = self.arraysize if size is None else size
        self.connection.fetched.append(size)
        self.connection.threads.add(threading.get_ident())
        return self.real.fetchmany(size)

    def close(self) -> None:
        self.real.close()
        self.connection._note("cursor.close")


class Connect:
    """The `connect` of a QueryIterator that remembers the connections it made."""

    def __init__(self, path: str, *, fail: str = "") -> None:
        self.path = path
        self.fail = fail
        self.made: list[Watched] = []

    def __call__(self) -> Watched:
        self.made.append(Watched(self.path, fail=self.fail))
        return self.made[-1]


GIVEN_BACK = ["cursor", "execute", "cursor.close", "rollback", "close"]
ALL = "select id, name from things order by id"


def as_it_is(query: flow.QueryIterator) -> list[Any]:
    return list(query)


def threaded(query: flow.QueryIterator) -> list[Any]:
    return list(flow.Threaded(query))


def wrapped(query: flow.QueryIterator) -> list[Any]:
    return list(flow.wrap(query))


def on_asyncio(query: flow.QueryIterator) -> list[Any]:
    async def main() -> list[Any]:
        return [row async for row in flow.Threaded(query)]

    return asyncio.run(main())


every_way = pytest.mark.parametrize("read", [as_it_is, threaded, wrapped, on_asyncio])
Read = Callable[[flow.QueryIterator], list[Any]]


@every_way
def test_the_rows_are_those_of_the_cursor(path: str, read: Read) -> None:
    """CONTRACT 1, 2: all rows, in the order of the query, each once, on a script, in a thread and on asyncio."""
    assert read(flow.QueryIterator(lambda: sqlite3.connect(path), ALL)) == ROWS
    nothing_left()


@every_way
def test_positional_and_named_parameters(path: str, read: Read) -> None:
    """CONTRACT 31: parameters go to the module in its own style, a sequence or a mapping."""
    connect = Connect(path)
    assert read(flow.QueryIterator(connect, "select name from things where id = ?", (3,))) == [("name 3",)]
    assert read(flow.QueryIterator(connect, "select name from things where id = :id", {"id": 4})) == [("name 4",)]
    assert [each.executed for each in connect.made] == [
        [("select name from things where id = ?", (3,))],
        [("select name from things where id = :id", {"id": 4})],
    ]


NASTY = [
    "'; drop table things; --",
    '" or "1"="1',
    "x' OR 'a'='a",
    "1; select 1",
    "\\'; --",
    "?",
    ":id",
    "%s %(id)s",
    "{0}{}",
    "naïve ☃ \U0001f600",
    "line\nbreak\ttab",
    "",
    "null",
    "a\x00b",
]


@given(st.lists(st.one_of(st.sampled_from(NASTY), st.text(st.characters(codec="utf-8"))), min_size=1, max_size=4))
def test_values_travel_as_values_only(values: list[str]) -> None:
    """CONTRACT 31: whatever text is a parameter comes back as it was, and is never part of the SQL."""
    sql = "select " + ", ".join("?" * len(values))
    query = flow.QueryIterator(lambda: sqlite3.connect(":memory:"), sql, values)
    assert list(query) == [tuple(values)]
    assert query.sql == sql


@pytest.mark.parametrize("value", NASTY)
def test_an_injection_finds_nothing_and_harms_nothing(path: str, value: str) -> None:
    """CONTRACT 31: as a value in a condition it matches no row, and the table is what it was."""
    query = flow.QueryIterator(lambda: sqlite3.connect(path), "select id from things where name = ?", (value,))
    assert list(flow.wrap(query)) == []
    assert list(flow.wrap(flow.QueryIterator(lambda: sqlite3.connect(path), ALL))) == ROWS


@every_way
@pytest.mark.parametrize(("arraysize", "fetches"), [(1, 26), (10, 3), (25, 2), (24, 2), (1000, 1)])
def test_blocks_are_fetchmany_of_the_arraysize(path: str, read: Read, arraysize: int, fetches: int) -> None:
    """CONTRACT 31 (fault Q3): fetchmany(arraysize), so 25 rows in tens are 3 fetches; a further one to see the end at
    most, and none after a short block when the module says so."""
    connect = Connect(path)
    assert read(flow.QueryIterator(connect, ALL, arraysize=arraysize)) == ROWS
    (made,) = connect.made
    assert set(made.fetched) == {arraysize}
    assert len(made.fetched) in (fetches, fetches + 1)


def test_blocks_are_at_most_the_arraysize(path: str) -> None:
    """`blocks()` gives lists, each of up to arraysize rows, none empty."""
    blocks = list(flow.QueryIterator(lambda: sqlite3.connect(path), ALL, arraysize=10).blocks())
    assert [len(block) for block in blocks] == [10, 10, 5]
    assert [row for block in blocks for row in block] == ROWS


@every_way
def test_everything_is_given_back_at_the_end(path: str, read: Read) -> None:
    """CONTRACT 31, 14: cursor closed, transaction rolled back, connection closed, in this order, each once; no
    commit."""
    connect = Connect(path)
    read(flow.QueryIterator(connect, ALL))
    assert [each.log for each in connect.made] == [GIVEN_BACK]


def test_everything_is_given_back_after_a_break(path: str) -> None:
    """CONTRACT 31, 14: also when the reader leaves, before the next statement, in the thread that opened it."""
    connect = Connect(path)
    with flow.wrap(flow.QueryIterator(connect, ALL, arraysize=5)).open() as rows:
        assert next(rows) == ROWS[0]
    (made,) = connect.made
    assert made.log == GIVEN_BACK
    assert len(made.threads) == 1
    assert threading.get_ident() not in made.threads
    nothing_left()


def test_everything_is_given_back_after_a_break_without_a_thread(path: str) -> None:
    """CONTRACT 31, 14: a plain ``for`` over the QueryIterator that is closed, too."""
    connect = Connect(path)
    with closing(iter(flow.QueryIterator(connect, ALL, arraysize=5))) as rows:  # type: ignore[type-var]
        assert next(rows) == ROWS[0]
    assert connect.made[0].log == GIVEN_BACK


def test_everything_is_given_back_after_a_failure_downstream(path: str) -> None:
    """CONTRACT 31, 14: a stage below that fails leaves no transaction open."""
    connect = Connect(path)
    with pytest.raises(ZeroDivisionError):
        list(flow.wrap(flow.QueryIterator(connect, ALL)).map(lambda row: 1 // row[0]))
    assert connect.made[0].log == GIVEN_BACK


def test_everything_is_given_back_after_a_cancel(path: str) -> None:
    """CONTRACT 31, 15: a cancel on asyncio ends the query before CancelledError is raised."""
    connect = Connect(path)

    async def main() -> None:
        reached = asyncio.Event()

        async def read() -> None:
            async with flow.Threaded(flow.QueryIterator(connect, ALL, arraysize=2), limit=2).open() as rows:
                async for _ in rows:
                    reached.set()
                    await asyncio.Event().wait()

        task = asyncio.create_task(read())
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert connect.made[0].log == GIVEN_BACK
        assert len(connect.made[0].fetched) <= 3  # backpressure: what was read, and no more than the limit

    asyncio.run(main())
    nothing_left()


@every_way
def test_bad_sql_is_an_error_at_the_reader(path: str, read: Read) -> None:
    """CONTRACT 31, 26 (fault T3): the module's own error, not a hang, and the connection is closed."""
    connect = Connect(path)
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        read(flow.QueryIterator(connect, "select * from nowhere"))
    assert connect.made[0].log == GIVEN_BACK
    nothing_left()


@every_way
def test_a_connection_that_fails_is_an_error_at_the_reader(tmp_path: Path, read: Read) -> None:
    """CONTRACT 31, 26 (fault T3): an error from opening reaches the reader with its type."""
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        read(flow.QueryIterator(lambda: sqlite3.connect(str(tmp_path / "no" / "where.db")), "select 1"))
    nothing_left()


@every_way
def test_a_cursor_that_fails_closes_the_connection(path: str, read: Read) -> None:
    """CONTRACT 31: a connection that gives no cursor is rolled back and closed."""
    connect = Connect(path, fail="cursor")
    with pytest.raises(sqlite3.OperationalError, match="cursor failed"):
        read(flow.QueryIterator(connect, ALL))
    assert connect.made[0].log == ["cursor", "rollback", "close"]


@every_way
@pytest.mark.parametrize("fails", ["cursor.close", "rollback"])
def test_a_dying_server_still_has_its_connection_closed(path: str, read: Read, fails: str) -> None:
    """CONTRACT 31: a cursor that can't be closed, or a rollback that fails, keeps nothing from being closed and hides
    no row."""
    connect = Connect(path, fail=fails)
    assert read(flow.QueryIterator(connect, ALL)) == ROWS
    assert connect.made[0].log == GIVEN_BACK


def test_an_error_midway_comes_after_the_rows_before_it(path: str) -> None:
    """CONTRACT 3: the blocks before the one that fails are delivered first (sqlite3 looks one row ahead of a block)."""
    sql = "select abs(case when id = 14 then -9223372036854775808 else id end) from things"
    connect = Connect(path)
    got = []
    with pytest.raises(sqlite3.OperationalError, match="integer overflow"):
        for row in flow.wrap(flow.QueryIterator(connect, sql, arraysize=4)):
            got.append(row)
    assert got == [(number,) for number in range(12)]
    assert connect.made[0].log == GIVEN_BACK


def test_a_change_is_rolled_back(tmp_path: Path) -> None:
    """CONTRACT 31: the transaction that a query opened is rolled back on every way out."""
    path = str(tmp_path / "change.db")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("create table t (x)")
    query = flow.QueryIterator(lambda: sqlite3.connect(path), "insert into t values (1) returning x")
    assert list(flow.wrap(query)) == [(1,)]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("select count(*) from t").fetchone() == (0,)


@every_way
def test_it_can_be_read_twice(path: str, read: Read) -> None:
    """CONTRACT 7: each reading is a query of its own, on a connection of its own."""
    connect = Connect(path)
    query = flow.QueryIterator(connect, ALL)
    assert read(query) == ROWS
    assert read(query) == ROWS
    assert [each.log for each in connect.made] == [GIVEN_BACK, GIVEN_BACK]


def test_two_readings_side_by_side(path: str) -> None:
    """CONTRACT 7: two readings at the same time share nothing."""
    stage = flow.wrap(flow.QueryIterator(lambda: sqlite3.connect(path), ALL, arraysize=3))
    assert list(flow.Zip(stage, stage)) == [(row, row) for row in ROWS]


def test_nothing_is_connected_before_the_first_row(path: str) -> None:
    """CONTRACT 4: making, wrapping and piping a query connects to nothing."""
    connect = Connect(path)
    query = flow.QueryIterator(connect, ALL)
    stage = flow.wrap(query).map(tuple)
    iter(query)
    repr(query), repr(stage)
    assert connect.made == []


class Falsy(tuple[Any, ...]):
    """A row that is false: the end must not be told by the truth of a row."""

    def __bool__(self) -> bool:
        return False


@every_way
def test_falsy_rows_are_rows(path: str, read: Read) -> None:
    """CONTRACT 6 (fault Q4): rows of 0, '', NULL, and rows that are false themselves, do not end the query."""

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(path)
        connection.row_factory = lambda cursor, row: Falsy(row)
        return connection

    sql = "select null union all select 0 union all select '' union all select 1"
    for arraysize in (1, 2, 1000):
        assert read(flow.QueryIterator(connect, sql, arraysize=arraysize)) == [(None,), (0,), ("",), (1,)]


def test_nulls_blobs_and_numbers_come_as_python_values(path: str) -> None:
    """CONTRACT 6: values are not touched; None goes in and out as NULL."""
    values = (None, 0, -1, 2**62, 1.5, b"\x00\xff", "")
    query = flow.QueryIterator(lambda: sqlite3.connect(path), "select ?, ?, ?, ?, ?, ?, ?", values)
    assert list(flow.wrap(query)) == [values]
    assert list(flow.QueryIterator(lambda: sqlite3.connect(path), "select ? is null", (None,))) == [(1,)]


def test_no_rows_is_an_empty_flow(path: str) -> None:
    """An empty result ends at once, and is closed like any other."""
    connect = Connect(path)
    assert list(flow.wrap(flow.QueryIterator(connect, "select * from things where id < 0"))) == []
    assert connect.made[0].log == GIVEN_BACK


@pytest.mark.parametrize(
    ("connect", "arraysize", "error", "words"),
    [
        ("rows.db", 1, TypeError, "connect"),
        (None, 1, TypeError, "connect"),
        (dict, 0, ValueError, "arraysize"),
        (dict, -5, ValueError, "arraysize"),
        (dict, 1.0, TypeError, "arraysize"),
        (dict, None, TypeError, "arraysize"),
        (dict, True, TypeError, "arraysize"),
    ],
)
def test_wrong_arguments_fail_when_built(connect: Any, arraysize: Any, error: type[Exception], words: str) -> None:
    """CONTRACT 22: the error comes from the line that wrote it, and names the argument."""
    with pytest.raises(error, match=words):
        flow.QueryIterator(connect, "select 1", arraysize=arraysize)


def test_an_open_connection_in_place_of_a_function_is_refused(path: str) -> None:
    """CONTRACT 22, 26: a connection belongs to its thread; the likeliest mistake is refused when it is made, though
    sqlite3's connections happen to be callable."""
    with closing(sqlite3.connect(path)) as connection:
        with pytest.raises(TypeError, match="connect must be a function"):
            flow.QueryIterator(connection, "select 1")


def test_params_of_a_wrong_count_are_the_modules_error(path: str) -> None:
    """CONTRACT 17: the module's own error, unwrapped."""
    with pytest.raises(sqlite3.ProgrammingError):
        list(flow.wrap(flow.QueryIterator(lambda: sqlite3.connect(path), "select ?", (1, 2))))


def test_a_text_is_no_sequence_of_parameters_by_accident(path: str) -> None:
    """The module decides what parameters are: a str is a sequence of characters to it, and flow changes nothing."""
    assert list(flow.QueryIterator(lambda: sqlite3.connect(path), "select ?, ?", "ab")) == [("a", "b")]


def test_rows_iterate_lazily_without_a_thread(path: str) -> None:
    """CONTRACT 4, 21: the cursor is not advanced before the block in hand is used up."""
    connect = Connect(path)
    rows: Iterator[Any] = iter(flow.QueryIterator(connect, ALL, arraysize=2))
    next(rows), next(rows)
    assert len(connect.made[0].fetched) == 1
    next(rows)
    assert len(connect.made[0].fetched) == 2
    rows.close()  # type: ignore[attr-defined]


# --------------------------------------------------------------------------------------------------------------------
# adbapi: the pool's threads, and its connections

POOLED = """
import json, sqlite3, sys, threading
import flow
from twisted.enterprise import adbapi
from twisted.internet import defer, reactor

opened = []
file = sys.argv[1]
connection = sqlite3.connect(file)
connection.execute("create table t(n)")
connection.executemany("insert into t values (?)", [(n,) for n in range(3000)])
connection.commit()
connection.close()
pool = adbapi.ConnectionPool(
    "sqlite3", file, cp_min=1, cp_max=2, cp_openfun=opened.append, check_same_thread=False
)
query = flow.QueryIterator(pool, "select n from t where n < ? order by n", (2500,), arraysize=10)
report = {}


async def main():
    try:
        await pool.runQuery("select 1")  # the pool runs now
        report["rows"] = len(await flow.wrap(query))
        async with flow.wrap(query).open() as rows:
            async for row in rows:
                break
        report["first"] = row
        lists = await defer.gatherResults([flow.Deferred(flow.wrap(query)) for _ in range(5)])
        report["side by side"] = [len(rows) for rows in lists]
        report["opened"] = len(opened)
        report["kept"] = len(pool.connections)
        called_off = flow.Deferred(flow.wrap(query))
        held = [aiter(flow.wrap(query)) for _ in range(2)]  # both threads of the pool
        for rows in held:
            await anext(rows)
        waiting = flow.Deferred(flow.wrap(query))
        reactor.callLater(0.01, waiting.cancel)
        called_off.addErrback(lambda _: None)
        called_off.cancel()
        try:
            await waiting
        except defer.CancelledError:
            report["called off"] = True
        await held[0].aclose()
        try:
            await flow.wrap(flow.QueryIterator(pool, "select missing from t"))
        except sqlite3.OperationalError as error:
            report["error"] = str(error)
        report["again"] = await pool.runQuery("select count(*) from t")
        report["in the pool"] = len(pool.connections)
        report["left open"] = held[1] is not None  # the reactor stops with a query that nobody reads
        globals()["held"] = held
    finally:
        reactor.stop()


reactor.callWhenRunning(lambda: defer.Deferred.fromCoroutine(main()).addErrback(lambda f: f.printTraceback()))
reactor.run()
report["threads"] = [t.name for t in threading.enumerate() if t is not threading.main_thread()]
print(json.dumps(report))
"""


def test_a_query_through_a_pool_gives_its_connection_back(tmp_path: Path) -> None:
    """CONTRACT 14, 26: adbapi's threads and connections are used, and are free again after each way of ending.

    A query that waits for a thread of the pool is called off without one; a reactor that stops while a query is open
    does not wait for its reader.
    """
    pytest.importorskip("twisted")
    found = subprocess.run(
        [sys.executable, "-c", POOLED, str(tmp_path / "t.db")], capture_output=True, text=True, timeout=50
    )
    assert found.returncode == 0, found.stderr
    report = json.loads(found.stdout)
    assert report == {
        "rows": 2500,
        "first": [0],
        "side by side": [2500] * 5,
        "opened": 2,
        "kept": 2,
        "called off": True,
        "error": "no such column: missing",
        "again": [[3000]],
        "in the pool": 2,
        "left open": True,
        "threads": [],
    }


def test_a_pool_that_does_not_run_is_asked_for_a_connection_only(tmp_path: Path) -> None:
    """CONTRACT 14: before the reactor runs, the query has a thread of its own, and its connection leaves the pool."""
    adbapi = pytest.importorskip("twisted.enterprise.adbapi")
    pool = adbapi.ConnectionPool("sqlite3", str(tmp_path / "t.db"), cp_reactor=_Stopped())
    query = flow.QueryIterator(pool, "select 1")
    assert list(flow.wrap(query)) == [(1,)]
    assert list(query) == [(1,)]
    assert pool.connections == {}


class _Stopped:
    """A reactor that never runs."""

    def callWhenRunning(self, *args: Any) -> None:
        pass
