"""Databases that are made for the benchmarks: a file of SQLite, and a PostgreSQL server of their own.

Both are made at their first use and removed at the end of the program. What may live here: the databases, and the plain
ways to read a query of theirs. Which of them are compared is said in `work_edges.py`.
"""

from __future__ import annotations

import atexit
import shutil
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from functools import cache, partial
from pathlib import Path
from typing import Any

from . import pieces as p
from .jobs import library, missing
from .postgresql import is_installed, started

__all__ = [
    "SQL",
    "aiosqlite_rows",
    "asyncpg_all",
    "asyncpg_rows",
    "database",
    "fetched",
    "no_postgresql",
    "postgresql",
    "psycopg_connection",
    "psycopg_rows",
    "query",
]

SQL = "select number, name, price from items order by number"


# --------------------------------------------------------------------------------------------------------------------
# SQLite


@cache
def _folder() -> Path:
    return Path(_made("sqlite"))


def _made(kind: str) -> str:
    """A folder that is removed at the end of the program."""
    folder = tempfile.mkdtemp(prefix=f"flow-bench-{kind}-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def file_of(rows: int) -> Path:
    """A file with so many rows; it is made once."""
    path = _folder() / f"{rows}.db"
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("create table items (number integer primary key, name text, price real)")
        connection.executemany("insert into items values (?, ?, ?)", ((n, f"item {n}", n / 7) for n in range(rows)))
    connection.close()
    return path


def database(rows: int) -> Callable[[], sqlite3.Connection]:
    """Opens that file."""
    return partial(sqlite3.connect, file_of(rows))


def fetched(connect: Callable[[], Any], sql: str = SQL) -> Iterator[Any]:
    """The plain blocking loop."""
    connection = connect()
    try:
        yield from connection.execute(sql)
    finally:
        connection.close()


async def aiosqlite_rows(rows: int, at_once: int = 64) -> AsyncIterator[Any]:
    """aiosqlite asks its thread for 64 rows at a time, unless it is told otherwise."""
    async with library("aiosqlite").connect(file_of(rows), iter_chunk_size=at_once) as connection:
        async with connection.execute(SQL) as cursor:
            async for row in cursor:
                yield row


# --------------------------------------------------------------------------------------------------------------------
# PostgreSQL


def no_postgresql() -> str:
    """What to say when there is no server to be started; empty when there is one."""
    if is_installed():
        return missing("psycopg")  # which also asks whether it is up
    return "not measured: no PostgreSQL found (initdb)"


@cache
def postgresql() -> str:
    """The URL of the server. It is started at the first call, and stopped at the end of the program."""
    until_the_end = ExitStack()
    atexit.register(until_the_end.close)
    return until_the_end.enter_context(started())


def query(rows: int) -> str:
    """Rows like those of SQLite, made by the server as they are read. A number, and no parameter: nobody is asked."""
    return f"select n, 'item ' || n, n / 7.0::float8 from generate_series(0, {rows - 1}) as n"


def psycopg_connection() -> Any:
    return library("psycopg").connect(postgresql())


async def psycopg_rows(rows: int) -> AsyncIterator[Any]:
    async with await library("psycopg").AsyncConnection.connect(postgresql()) as connection:
        async for row in await connection.execute(query(rows)):
            yield row


async def asyncpg_all(rows: int) -> tuple[int, Any]:
    """`fetch` gives all rows at once."""
    connection = await library("asyncpg").connect(postgresql())
    try:
        return p.read(await connection.fetch(query(rows)))
    finally:
        await connection.close()


async def asyncpg_rows(rows: int) -> AsyncIterator[Any]:
    """asyncpg's cursor asks for 50 rows at a time, unless it is told otherwise."""
    connection = await library("asyncpg").connect(postgresql())
    try:
        async with connection.transaction():
            async for row in connection.cursor(query(rows), prefetch=1000):
                yield row
    finally:
        await connection.close()
