"""A database query in a thread, while the reactor goes on: SQLite as it stands, PostgreSQL by its URL.

    make run EXAMPLE=query
    make run EXAMPLE=query ARGS="--pool --smallest 100"
    make run EXAMPLE=query ARGS="--url postgresql://user:password@127.0.0.1/database"
    make run EXAMPLE=query ARGS="--help"

A database driver blocks the thread that calls it. flow.QueryIterator opens a connection, executes the query and fetches
its rows; flow.wrap puts all of that into a thread. With `--pool` connection and thread come from a
`twisted.enterprise.adbapi.ConnectionPool`, and go back to it. The query is made slow (the database sleeps at each row)
so that there is something to see: SQLite hands out each row as it is found, PostgreSQL all of them at the end. The
table is a temporary one, gone with its connection: a database of yours is left as it was.

What to look at: the ticks, which go on while the database works; `summed`, a plain stage in the flow behind the query;
and that the smallest total travels as a parameter, never as a piece of SQL.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from itertools import count
from typing import Any, NamedTuple

from _options import seconds
from twisted.enterprise import adbapi
from twisted.internet import task

import flow

ORDERS = [("Ada", 120), ("Ben", 45), ("Cy", 80), ("Ada", 300), ("Ben", 15), ("Dee", 210), ("Cy", 95), ("Ada", 60)]


class Database(NamedTuple):
    """What is different from one DB-API module to the next."""

    module: str
    arguments: dict[str, Any]  # of connect()
    mark: str  # where a parameter goes in a statement
    prepare: Callable[[Any], None] = lambda connection: None


def sqlite() -> Database:
    def prepare(connection: Any) -> None:
        connection.create_function("pg_sleep", 1, time.sleep)  # PostgreSQL has it, SQLite does not

    return Database("sqlite3", {"database": ":memory:", "check_same_thread": False}, "?", prepare)


def postgresql(url: str) -> Database:
    return Database("psycopg", {"conninfo": url}, "%s")


def source(database: Database, pool: bool) -> Any:
    """What QueryIterator takes: a function that opens a connection, or a pool that has some."""

    def fill(connection: Any) -> None:
        database.prepare(connection)
        cursor = connection.cursor()
        cursor.execute("CREATE TEMPORARY TABLE orders (number INTEGER PRIMARY KEY, customer TEXT, total INTEGER)")
        rows = [(number, *order) for number, order in enumerate(ORDERS)]
        cursor.executemany(f"INSERT INTO orders VALUES ({', '.join([database.mark] * 3)})", rows)
        connection.commit()

    def connect() -> Any:
        connection = import_module(database.module).connect(**database.arguments)
        fill(connection)
        return connection

    if not pool:
        return connect
    return adbapi.ConnectionPool(database.module, cp_min=1, cp_max=2, cp_openfun=fill, **database.arguments)


def summed(orders: Iterable[tuple[str, int, Any]]) -> Iterator[tuple[str, int, int]]:
    """A plain stage: adds up the totals. It knows nothing of threads or databases."""
    so_far = 0
    for customer, total, _ in orders:
        so_far += total
        yield customer, total, so_far


def show(row: tuple[str, int, int]) -> None:
    print("{:>8} {:4}   so far {:4}".format(*row), flush=True)


async def ask(reactor: object, args: argparse.Namespace) -> None:
    """The query as a flow, and a ticker beside it on the same reactor."""
    database = postgresql(args.url) if args.url else sqlite()
    sql = "SELECT customer, total, pg_sleep(?) FROM orders WHERE total >= ? ORDER BY number".replace("?", database.mark)
    query = flow.QueryIterator(source(database, args.pool), sql, (args.pace, args.smallest), arraysize=1)

    ticks = count(1)
    ticker = task.LoopingCall(lambda: print(f"    tick {next(ticks)}", flush=True))
    ticker.start(0.1)
    try:
        rows = await flow.Deferred(flow.wrap(query) | summed, into=show)
    except import_module(database.module).Error as error:
        sys.exit(f"query: {error}")
    finally:
        ticker.stop()
    print(f"{rows} rows, and meanwhile {next(ticks) - 1} ticks")


def main() -> None:
    parser = argparse.ArgumentParser(description="A database query in a thread, while the reactor goes on.")
    parser.add_argument("--url", help="a PostgreSQL database (SQLite, in memory)")
    parser.add_argument("--pool", action="store_true", help="through twisted.enterprise.adbapi.ConnectionPool")
    parser.add_argument("--smallest", type=int, default=40, metavar="TOTAL", help="of the orders shown (%(default)s)")
    parser.add_argument("--pace", type=seconds, default=0.25, metavar="SECONDS", help="for each row (%(default)s)")
    args = parser.parse_args()
    if args.url:
        try:
            import_module("psycopg")
        except ImportError:
            sys.exit(f"PostgreSQL needs psycopg: {sys.executable} -m pip install 'psycopg[binary]'")
    task.react(ask, (args,))


if __name__ == "__main__":
    main()
