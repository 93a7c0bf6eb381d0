"""What is compared with what: the edges, where rows are bytes, answers of a database, or what a connection brings.

What may live here: the workloads of framing, queries and connections. Databases and servers are started when they are
first measured, and end with the program. The first contestant of each is the reference.
"""

from __future__ import annotations

import atexit
from collections.abc import Iterator
from functools import cache, partial
from typing import Any

import flow

from . import databases as db
from . import framing, limits
from . import pieces as p
from .echo import Load
from .jobs import Job, Prepare, awaiting, coroutine, last, looping, missing, peer, plainly, reading
from .measure import Contestant, Goal, Workload

__all__ = ["edges"]

LINES = Goal(1.3, "at most {ratio} of data.split")
ECHO = Goal(1 / 0.7, "{speed} of the trips a second ({ratio})")


def edges() -> list[Workload]:
    return [*_lines(), *_queries(), *_postgresql(), *_connections()]


# --------------------------------------------------------------------------------------------------------------------
# Lines


def _lines() -> Iterator[Workload]:
    yield Workload(
        "lines",
        "lines out of pieces of 1 to 8,192 bytes, all into a list",
        [
            Contestant("data.split, all bytes in one piece", _split),
            Contestant("flow: await wrap(pieces) | lines()", awaiting(_framed), goal=LINES),
            Contestant("flow: lines() alone, in a list", _of_pieces(lambda pieces: list(flow.lines()(pieces)))),
            Contestant("no flow: split each piece, in slices", _of_pieces(limits.lines_in_slices)),
            Contestant("by hand: split, and keep the rest", _of_pieces(lambda pieces: list(framing.by_hand(pieces)))),
            Contestant("asyncio: StreamReader", coroutine(lambda lines: framing.streamed(framing.text(lines)[1])), 0.1),
            peer("twisted", "Twisted: LineOnlyReceiver", _of_pieces(framing.received), share=0.2),
            peer("tubes", "tubes: bytesDelimitedBy", _of_pieces(framing.tubed), share=0.1),
        ],
        share=0.5,
        unit="line",
        normal=last,
    )
    yield Workload(
        "lines-long",
        "25 times the lines (a gigabyte), out of pieces that are made as they are read",
        [
            Contestant("bytes.split of whole megabytes", plainly(framing.split)),
            Contestant("flow: wrap(pieces) | lines()", awaiting(_framed_long), goal=LINES),
            Contestant("by hand: split, and keep the rest", looping(_by_hand_long)),
        ],
        share=25,
        unit="line",
        normal=lambda result: tuple(result[0]) if isinstance(result, list) else result,
    )


def _split(lines: int) -> Job:
    data, _ = framing.text(lines)
    return lambda: data.split(b"\n")


def _framed(lines: int) -> flow.Stage[Any]:
    return flow.wrap(framing.text(lines)[1]) | flow.lines()


def _of_pieces(f: Any) -> Prepare:
    def prepare(lines: int) -> Job:
        pieces = framing.text(lines)[1]
        return lambda: f(pieces)

    return prepare


def _framed_long(lines: int) -> flow.Stage[Any]:
    """The last stage reads them in a loop, as the reference does, and gives what that found."""
    return flow.wrap(partial(framing.repeated_pieces, lines)) | flow.lines() | _found


def _found(rows: Any) -> Iterator[tuple[int, Any]]:
    yield p.read(rows)


def _by_hand_long(lines: int) -> Iterator[bytes]:
    return framing.by_hand(framing.repeated_pieces(lines))


# --------------------------------------------------------------------------------------------------------------------
# Queries


def _queries() -> Iterator[Workload]:
    yield Workload(
        "query",
        "a query on a sqlite file, read in a thread",
        [
            Contestant("no thread: for row in cursor", looping(lambda rows: db.fetched(db.database(rows)))),
            Contestant("flow: for row in wrap(QueryIterator)", looping(_query)),
            Contestant("flow: async for row in wrap(QueryIterator)", reading(_query)),
            Contestant("flow: the same, read by a plain stage", reading(_query, _read_inside)),
            peer("aiosqlite", "aiosqlite: async for row in cursor", reading(db.aiosqlite_rows), share=0.5),
            peer("aiosqlite", "aiosqlite: 1,000 rows at once", reading(partial(db.aiosqlite_rows, at_once=1000)), 0.5),
        ],
        share=0.3,
        threads=True,
    )


def _query(rows: int) -> flow.Stage[Any]:
    return flow.wrap(flow.QueryIterator(db.database(rows), db.SQL))


async def _read_inside(stage: flow.Stage[Any]) -> Any:
    return (await (stage | _found))[0]


def _postgresql() -> Iterator[Workload]:
    trouble = db.no_postgresql()
    asyncpg = db.no_postgresql() or missing("asyncpg")
    yield Workload(
        "query-postgresql",
        "a query on a PostgreSQL of its own",
        [
            Contestant("psycopg: for row in connection.execute()", looping(_blocking), missing=trouble),
            Contestant("flow: async for row in wrap(QueryIterator)", reading(_asked), missing=trouble),
            Contestant("flow: the same, read by a plain stage", reading(_asked, _read_inside), missing=trouble),
            Contestant("psycopg: async for row in cursor", reading(db.psycopg_rows), missing=trouble),
            Contestant("asyncpg: fetch, all rows at once", coroutine(db.asyncpg_all), missing=asyncpg),
            Contestant("asyncpg: async for, 1,000 rows at once", reading(db.asyncpg_rows), missing=asyncpg),
        ],
        share=0.1,
        normal=lambda result: (result[0], tuple(result[1])),
        threads=True,
    )


def _blocking(rows: int) -> Iterator[Any]:
    return db.fetched(db.psycopg_connection, db.query(rows))


def _asked(rows: int) -> flow.Stage[Any]:
    return flow.wrap(flow.QueryIterator(db.psycopg_connection, db.query(rows)))


# --------------------------------------------------------------------------------------------------------------------
# Connections


def _connections() -> Iterator[Workload]:
    kinds: tuple[tuple[str, str, str, Goal | None], ...] = (
        ("bare", "Twisted: a bare Protocol", "twisted", None),
        ("plain", "flow: for piece in conn: yield piece", "twisted", ECHO),
        ("classic", "flow: classic, yield conn", "twisted", None),
        ("coroutines", "Twisted: a coroutine and a DeferredQueue", "twisted", None),
        ("protocol", "asyncio: a bare Protocol", "", None),
        ("asyncio", "asyncio: streams", "", None),
        ("trio", "trio: a task for each connection", "trio", None),
        ("anyio", "anyio: the same, on asyncio", "anyio", None),
    )
    yield Workload(
        "echo",
        "1,000 connections to an echo server in a process of its own, each with 64 bytes on their way",
        [
            Contestant(title, partial(_echoed, kind), goal=goal, missing=missing(needs) if needs else "")
            for kind, title, needs, goal in kinds
        ],
        share=0.02,
        unit="trip",
        threads=True,
    )


@cache
def _server(kind: str) -> Load:
    """One of each kind, from its first use to the end of the program."""
    load = Load(kind, 1000)
    atexit.register(load.close)
    return load


def _echoed(kind: str, trips: int) -> Job:
    load = _server(kind)
    return lambda: (load.go(trips), load.wrong)
