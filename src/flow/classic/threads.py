"""Blocking iterables in threads: the engine's `Threaded` and `QueryIterator`, with the arguments of 2003."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from itertools import chain
from typing import Any

from twisted.python.failure import Failure

from .. import sql as _sql
from ..offload import threads as _threads
from . import base as _base
from .base import *  # noqa: F403  # as in 2003: each module handed on what it was made of
from .base import Stage, Trap

__all__ = ["Failure", "QueryIterator", "Threaded"]
__all__ += _base.__all__


class Threaded(Stage, _threads.Threaded[Any]):
    """The rows of a blocking iterable, which is opened, read and closed in a thread of its own.

    An iterable with a true attribute `chunked` gives lists of rows, and the stage their rows. The thread begins when
    the stage is read, and holds up to 1,000 rows, and one list over that: see flow.Threaded.
    """

    def __init__(self, iterable: Any, *trap: Trap) -> None:
        Stage.__init__(self, *trap)
        self.srcchunked = bool(getattr(iterable, "chunked", False))
        in_chunks = self.srcchunked and not isinstance(iterable, _sql.QueryIterator)  # which has blocks of its own
        super(Stage, self).__init__(_InChunks(iterable) if in_chunks else iterable)
        if in_chunks:
            self._name = type(iterable).__name__


class _InChunks:
    """An iterable of lists, for the engine."""

    def __init__(self, iterable: Any) -> None:
        self._iterable = iterable

    def __iter__(self) -> Iterator[Any]:
        return chain.from_iterable(self.blocks())

    def blocks(self) -> Generator[list[Any]]:
        rows = iter(self._iterable)
        try:
            for block in rows:
                yield list(block)
        finally:
            close = getattr(rows, "close", None)
            if close is not None:
                close()


class QueryIterator(_sql.QueryIterator):
    """The rows of a query, as a blocking iterable for `Threaded`.

    `pool` is anything with a connect() that opens a DB-API 2 connection, or an adbapi.ConnectionPool. It is an
    iterable of rows; of lists of rows with `fetchmany`, and of one list of all of them with `fetchall`. For how it is
    closed, see flow.QueryIterator.
    """

    def __init__(self, pool: Any, sql: str, fetchmany: bool = False, fetchall: bool = False) -> None:
        # A ConnectionPool is handed over as a whole: it lends its threads, and wants its connections back.
        super().__init__(pool if hasattr(pool, "runInteraction") else pool.connect, sql)
        self.pool = pool
        self.chunked = bool(fetchmany or fetchall)
        self._whole = bool(fetchall)

    def __iter__(self) -> Iterator[Any]:
        if self._whole:
            return iter([list(chain.from_iterable(self.blocks()))])
        return self.blocks() if self.chunked else super().__iter__()
