"""Queries as sources, over any DB-API 2 module."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, cast

from .core.source import bound_of, can_be_called
from .core.wrap import wrapper_for
from .offload.threads import Threaded

__all__ = ["QueryIterator"]


class QueryIterator:
    """The rows of a query, as a blocking iterable: put it into a thread with ``flow.Threaded(QueryIterator(...))``.

    `connect` is a function without arguments that opens a DB-API 2 connection; it is called when the first row is
    asked for, in the thread that asks, and `sql` is executed with `params` (values travel as parameters only, in the
    module's own style). Rows come as the cursor gives them, in blocks of ``fetchmany(arraysize)``: that many are held.
    On every way out the cursor is closed, the transaction rolled back, and the connection closed. It can be read
    again: each reading is a query of its own. ``flow.wrap`` puts it into a thread by itself. Raises ValueError or
    TypeError at once for an `arraysize` that is no bound or a `connect` that is no function.

    `connect` may be a ``twisted.enterprise.adbapi.ConnectionPool`` that runs: the query is then read in one of the
    pool's own threads, as soon as one is free, over that thread's connection, which stays with the pool. As long as
    the rows are being read the thread is held. A connection that fails to roll back is taken out of the pool.

        query = flow.QueryIterator(lambda: sqlite3.connect("shop.db"), "select * from orders where total > ?", (100,))
        async for order in flow.Threaded(query): ...
    """

    def __init__(
        self,
        connect: Any,
        sql: str,
        params: Sequence[Any] | Mapping[str, Any] = (),
        *,
        arraysize: int = 1000,
    ) -> None:
        pooled = hasattr(connect, "runInteraction") and hasattr(connect, "threadpool")
        is_connection = hasattr(connect, "cursor") and not isinstance(connect, type)
        if not pooled and (not can_be_called(connect) or is_connection):
            raise TypeError(
                f"QueryIterator(connect, ...): connect must be a function that opens a connection, not "
                f"{type(connect).__name__}: "
                "a connection belongs to the thread that made it. Write lambda: module.connect(...)"
            )
        self.connect: Callable[[], Any] = cast("Any", connect).connect if pooled else connect
        self._pool: Any = connect if pooled else None
        self.sql = sql
        self.params = params
        self.arraysize = bound_of(arraysize, "QueryIterator(arraysize)")

    def __iter__(self) -> Iterator[Any]:
        for block in self.blocks():
            yield from block

    def blocks(self) -> Generator[list[Any]]:
        """The rows in blocks of ``fetchmany(arraysize)``."""
        connection = self.connect()
        try:
            cursor = connection.cursor()
            try:
                cursor.arraysize = self.arraysize
                if self.params:
                    cursor.execute(self.sql, self.params)
                else:
                    cursor.execute(self.sql)
                while block := cursor.fetchmany(self.arraysize):
                    yield list(block)
            finally:
                with suppress(Exception):  # what failed has been raised already; a dead connection can't close a cursor
                    cursor.close()
        finally:
            try:
                connection.rollback()
            except Exception:  # what failed has been raised already
                self._give_back(connection, alive=False)
            else:
                self._give_back(connection, alive=True)

    def _give_back(self, connection: Any, *, alive: bool) -> None:
        if self._pool is None:
            connection.close()
        elif not alive or threading.current_thread() not in self._pool.threadpool.threads:
            self._pool.disconnect(connection)  # one that lives stays with its thread, if that is the pool's

    @property
    def run_in_thread(self) -> Callable[[Callable[[], object], Callable[[], object]], object] | None:
        """How `Threaded` is to run the query: in the pool's threads where there is a pool and it runs."""
        return self._run_in_pool if self._pool is not None and self._pool.running else None

    def _run_in_pool(self, f: Callable[[], object], stop: Callable[[], object]) -> None:
        # The pool waits for its threads when the reactor stops, and one that waits for room would never end then.
        reactor = self._pool._reactor
        trigger = reactor.addSystemEventTrigger("before", "shutdown", stop)

        def run() -> None:
            try:
                f()
            finally:
                with suppress(RuntimeError):  # the reactor has stopped: the trigger went with it
                    reactor.callFromThread(_removed, reactor, trigger)

        self._pool.threadpool.callInThread(run)

    def __repr__(self) -> str:
        return f"QueryIterator({self.sql!r})"


def _removed(reactor: Any, trigger: Any) -> None:
    with suppress(ValueError):  # it was called meanwhile
        reactor.removeSystemEventTrigger(trigger)


wrapper_for(lambda x: isinstance(x, QueryIterator), Threaded)
