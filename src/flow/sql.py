"""Queries as sources, over any DB-API 2 module."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

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

        query = flow.QueryIterator(lambda: sqlite3.connect("shop.db"), "select * from orders where total > ?", (100,))
        async for order in flow.Threaded(query): ...
    """

    def __init__(
        self,
        connect: Callable[[], Any],
        sql: str,
        params: Sequence[Any] | Mapping[str, Any] = (),
        *,
        arraysize: int = 1000,
    ) -> None:
        is_connection = hasattr(connect, "cursor") and not isinstance(connect, type)
        if not can_be_called(connect) or is_connection:
            raise TypeError(
                f"QueryIterator(connect, ...): connect must be a function that opens a connection, not "
                f"{type(connect).__name__}: "
                "a connection belongs to the thread that made it. Write lambda: module.connect(...)"
            )
        self.connect = connect
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
                with suppress(Exception):
                    connection.rollback()
            finally:
                connection.close()

    def __repr__(self) -> str:
        return f"QueryIterator({self.sql!r})"


wrapper_for(lambda x: isinstance(x, QueryIterator), Threaded)
