"""Indexes the standard library of the Python that runs this: a complete program that shows flow at work.

    make demo                              # on asyncio
    make demo ARGS="--loop trio"           # or twisted, or script: the same chain
    make demo ARGS="--blocking"            # the same work as a plain program, to compare
    python examples/index_stdlib.py --help

Some 1,500 files are read, one half in a thread, the other over a TCP connection; parsed; and what is in them goes into
an SQLite database, from which two tables are read back. Meanwhile a ticker on the same loop asks to be woken every
10 ms and notes how late that comes.

What to look at: `index`, where the whole chain stands as one expression; `definitions` and `insert`, ordinary
generators that wait without `async`; `run_asyncio`, `run_trio`, `run_twisted` and `run_script`, which are all that
differs from loop to loop.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import gc
import json
import os
import socket
import sqlite3
import sys
import sysconfig
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from importlib.util import decode_source
from itertools import chain, islice
from pathlib import Path
from typing import Any, NoReturn

from _pieces import FAILURES, Definition, definitions_in_pieces, definitions_whole
from _screen import TICK, Answer, Job, Ticker
from _sources import Source, read_sources, serving, walk
from rich.console import Console

import flow

BATCH = 250
"""Rows that are inserted at once."""

TURN = 0.001
"""Seconds that the parser works before it gives the loop a turn."""

LONGEST_LINE = 64 * 2**20
"""The largest source file that travels as one line, in base64: flow.lines wants a bound, and so should you."""

CREATE = "CREATE TABLE definitions (module TEXT, name TEXT, kind TEXT, line INT, lines INT, documented INT)"
INSERT = "INSERT INTO definitions VALUES (?, ?, ?, ?, ?, ?)"
LONGEST = """
    SELECT module || '.' || name, line, lines FROM definitions WHERE kind = 'function'
    ORDER BY lines DESC, module, line LIMIT 10"""
DOCUMENTED = """
    SELECT substr(module, 1, instr(module || '.', '.') - 1) AS package, count(*), sum(documented), avg(documented)
    FROM definitions GROUP BY package ORDER BY count(*) DESC, package LIMIT 10"""


# --------------------------------------------------------------------------------------------------------------------
# The flow


def index(tree: Path, address: tuple[str, int], database: Path, job: Job) -> flow.Stage[Answer]:
    """The whole program as a chain. It is only described here: whoever iterates it, on whatever loop, runs it."""
    from_disk = flow.Threaded(partial(read_sources, tree, 0, job.expect, job.skip), limit=16)
    from_network = flow.Threaded(partial(receive, address), limit=16) | flow.lines(max_length=LONGEST_LINE) | decode
    return (
        flow.Merge(from_disk, from_network)
        .pipe(definitions, job)
        .batched(BATCH)
        .pipe(insert, database)
        .pipe(watch, job)
        .pipe(tables, database)
    )


def receive(address: tuple[str, int]) -> Iterator[bytes]:
    """What comes over a TCP connection, in whatever pieces it comes. Blocks: it is run in a thread."""
    with socket.create_connection(address) as connection:
        while piece := connection.recv(65536):
            yield piece


def decode(lines: Iterable[bytes]) -> Iterator[Source]:
    """The files that the server sent. The last line says so: a connection that broke is not taken for the end."""
    for line in lines:
        entry = json.loads(line)
        if entry is None:
            return
        path, content = entry
        yield path, base64.b64decode(content)
    raise ConnectionError("the connection ended before the last file")


def definitions(sources: Iterable[Source], job: Job) -> Iterator[Definition]:
    """A plain stage: a row for each function and class. Parsing is long work, so deep inside it the loop gets turns."""
    pause = give_turns()
    for path, content in sources:
        try:
            rows = definitions_in_pieces(module_of(path), decode_source(content), pause)
        except FAILURES:  # no Python: some of the library's tests are just that
            job.skip(path)
            continue
        job.found(len(rows))
        yield from rows


def give_turns() -> Callable[[], None]:
    """A function to call often: every now and then it gives the loop a turn. It may be called from any depth."""
    until = 0.0

    def pause() -> None:
        nonlocal until
        if time.perf_counter() >= until:
            flow.cooperate()
            until = time.perf_counter() + TURN

    return pause


def insert(batches: Iterable[tuple[Definition, ...]], database: Path) -> Iterator[int]:
    """A plain stage: inserts each batch and yields its size. All SQLite work is done in one thread, and waited for."""
    with ThreadPoolExecutor(1) as thread:
        connection = flow.wait(thread.submit(create, database))
        try:
            for batch in batches:
                flow.wait(thread.submit(connection.executemany, INSERT, batch))
                yield len(batch)
            flow.wait(thread.submit(connection.commit))
        finally:
            flow.wait(thread.submit(connection.close))  # a `finally` may wait, too: after a cancel as well


def create(database: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(database)
    # No journal file and no waiting for the disk: a database that isn't finished is thrown away anyway.
    connection.executescript(f"PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; {CREATE}")
    return connection


def watch(sizes: Iterable[int], job: Job) -> Iterator[int]:
    """A plain stage: notes the rows that went by, and now and then draws the bar."""
    for size in sizes:
        job.stored(size)
        flow.cooperate()
        job.draw()
        yield size


def tables(sizes: Iterable[int], database: Path) -> Iterator[Answer]:
    """A plain stage: when the last batch is in, reads the two answers back. They are flows of their own."""
    for _ in sizes:
        pass
    for query in (LONGEST, DOCUMENTED):
        yield list(flow.Threaded(flow.QueryIterator(partial(sqlite3.connect, database), query)))


def module_of(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


# --------------------------------------------------------------------------------------------------------------------
# The loops: all that is different between them


def settle() -> None:
    """Two settings of a program that must answer within milliseconds. They have nothing to do with flow."""
    sys.setswitchinterval(0.001)  # a thread that computes lets the loop's thread go on after 1 ms, not 5
    gc.collect()
    gc.freeze()  # what the imports have made stays: no later collection need look at it


def run_script(stage: flow.Stage[Answer], ticker: Ticker) -> list[Answer]:
    """No loop that anybody else waits for: nothing can be late."""
    settle()
    return list(stage)


def run_asyncio(stage: flow.Stage[Answer], ticker: Ticker) -> list[Answer]:
    async def main() -> list[Answer]:
        ticking = asyncio.create_task(tick(asyncio.sleep, ticker))
        try:
            return await stage
        finally:
            ticking.cancel()

    settle()
    return asyncio.run(main())


def run_trio(stage: flow.Stage[Answer], ticker: Ticker) -> list[Answer]:
    import trio

    async def main() -> list[Answer]:
        trio.lowlevel.spawn_system_task(tick, trio.sleep, ticker)  # ends with the main task
        return await stage

    settle()
    return trio.run(main)


async def tick(sleep: Callable[[float], Any], ticker: Ticker) -> None:
    ticker.start()
    while True:
        await sleep(TICK)
        ticker.note()


def run_twisted(stage: flow.Stage[Answer], ticker: Ticker) -> list[Answer]:
    from twisted.internet import reactor as any_reactor
    from twisted.internet.defer import CancelledError, Deferred
    from twisted.internet.error import ReactorNotRunning
    from twisted.python.failure import Failure

    reactor: Any = any_reactor
    outcome: list[Any] = []

    def tick() -> None:
        ticker.note()
        reactor.callLater(TICK, tick)

    def start() -> None:
        answers = flow.Deferred(stage)
        closed: Deferred[None] = Deferred()

        def ended(result: Any) -> None:
            outcome.append(result)
            closed.callback(None)
            try:
                reactor.stop()
            except ReactorNotRunning:  # it is being stopped: Ctrl-C
                pass

        def shut_down() -> Deferred[None]:
            answers.cancel()
            return closed  # the reactor goes on until all is closed

        answers.addBoth(ended)
        reactor.addSystemEventTrigger("before", "shutdown", shut_down)
        ticker.start()
        reactor.callLater(TICK, tick)

    reactor.callWhenRunning(start)
    settle()
    reactor.run()
    [result] = outcome
    if not isinstance(result, Failure):
        return result
    if result.check(CancelledError):
        raise KeyboardInterrupt  # Twisted turned it into a stop
    raise result.value


LOOPS = {"asyncio": run_asyncio, "trio": run_trio, "twisted": run_twisted, "script": run_script}


def run_blocking(tree: Path, database: Path, job: Job) -> list[Answer]:
    """The same work as a plain program, without flow: nothing waits for anything else, nothing can go on meanwhile."""
    settle()
    with closing(create(database)) as connection:
        sources = chain(*(read_sources(tree, part, job.expect, job.skip) for part in (0, 1)))
        rows = definitions_blocking(sources, job)
        while batch := list(islice(rows, BATCH)):
            connection.executemany(INSERT, batch)
            job.stored(len(batch))
            job.draw()
        connection.commit()
        return [connection.execute(query).fetchall() for query in (LONGEST, DOCUMENTED)]


def definitions_blocking(sources: Iterable[Source], job: Job) -> Iterator[Definition]:
    for path, content in sources:
        try:
            rows = definitions_whole(module_of(path), decode_source(content))
        except FAILURES:
            job.skip(path)
            continue
        job.found(len(rows))
        yield from rows


# --------------------------------------------------------------------------------------------------------------------
# The program


class Wrong(Exception):
    """Something that the user can put right: one line, status 2."""


class Arguments(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Wrong(message)


def arguments() -> argparse.Namespace:
    parser = Arguments(description="Indexes the standard library of the Python that runs this.")
    parser.add_argument("--loop", choices=LOOPS, default="asyncio", help="where the flow runs (asyncio)")
    parser.add_argument("--blocking", action="store_true", help="the same work as a plain program, without flow")
    parser.add_argument("--tree", type=Path, metavar="DIR", help="index this folder instead")
    parser.add_argument("--db", type=Path, metavar="FILE", help="keep the database here (a temporary file)")
    return parser.parse_args()


@contextmanager
def new_database(wanted: Path | None) -> Iterator[Path]:
    """A place for the database. It gets its name when all went well; otherwise nothing is left behind."""
    if wanted is None:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder) / "index.db"
        return
    unfinished = wanted.with_name(f".{wanted.name}.{os.getpid()}.part")
    try:
        if wanted.exists():
            with wanted.open("r+b") as old:
                if old.read(15) not in (b"", b"SQLite format 3"):
                    raise Wrong(f"{wanted} is there and is no SQLite database: it is not overwritten")
        unfinished.open("xb").close()
    except OSError as error:
        raise Wrong(f"can't write the database {wanted}: {error.strerror}") from None
    try:
        yield unfinished
        unfinished.replace(wanted)
    finally:
        unfinished.unlink(missing_ok=True)


def work() -> None:
    args = arguments()
    tree: Path = args.tree or Path(sysconfig.get_path("stdlib"))
    if not tree.is_dir():
        raise Wrong(f"there is no folder {tree}")
    if not any(walk(tree)):
        raise Wrong(f"there is no .py file in {tree}")
    job, ticker = Job(Console()), Ticker()
    with new_database(args.db) as database:
        with job.bar:
            if args.blocking:
                how, answers = "a plain program", run_blocking(tree, database, job)
            else:
                with serving(read_sources(tree, 1, job.expect, job.skip)) as address:
                    stage = index(tree, address, database, job)
                    how, answers = f"flow on {args.loop}", LOOPS[args.loop](stage, ticker)
    job.show(answers, how, ticker)


def main() -> int:
    warnings.simplefilter("ignore")  # the files have their own: "\d" in a string that is not raw, and so on
    try:
        work()
    except Wrong as error:
        print(f"index_stdlib: {error}", file=sys.stderr)
        return 2
    except (OSError, sqlite3.Error, flow.FlowError, ExceptionGroup) as error:
        print(f"index_stdlib: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("index_stdlib: interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
