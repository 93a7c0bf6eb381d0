"""`wrap` as in 2003: what is callable is called, and instructions are obeyed in whatever is iterated."""

from __future__ import annotations

import inspect
from collections.abc import Generator, Iterable, Iterator
from functools import partial
from typing import Any

from twisted.python.failure import Failure

from ..core import stage as _stage
from ..core.instruction import Instruction, Row
from ..core.scope import Scope
from ..core.source import Once, Source, can_be_called, is_a, is_deferred, kind_of, of_a_generator, of_a_list
from ..core.wrap import stage_of
from ..sql import QueryIterator
from . import base as _base
from .base import *  # noqa: F403  # as in 2003: each module handed on what it was made of
from .base import Stage, Trap
from .readings import End, going_on, trapped

__all__ = ["Failure", "wrap"]
__all__ += _base.__all__


def wrap(obj: Any, *trap: Trap) -> Stage:
    """Makes a stage of almost anything.

    A function or a class is called, and what it returns is wrapped (a generator function: when the stage is read). A
    list or tuple gives its items, text or bytes are one row, a Deferred is one row: its result. Any other iterable or
    iterator gives its items. A Cooperate, a CallLater or a stage among those is obeyed, and a Deferred too, but in a
    list or tuple, where it is a row. For the rest see flow.wrap.

    An exception of a type in `trap` becomes the last row, as the class in `trap` that matched. A stage is given back as
    it is; with a trap, or if it is none of flow.classic, a new stage that reads it. Raises TypeError for what can't be
    wrapped.
    """
    if _is_to_be_called(obj):
        obj = obj()
    if is_a(obj, Stage) and not trap:
        stage: Stage = obj
        return stage
    return _View(obj if is_a(obj, _stage.Stage) else _source_of(obj), *trap)


class _View(Stage):
    """A stage of the engine, or one with a further trap, with the members of a classic one."""

    def __init__(self, stage: _stage.Stage[Any], *trap: Trap) -> None:
        super().__init__(*trap)
        self._stage = stage
        self.upstream = stage.upstream

    @property
    def label(self) -> str:
        return self._stage.label

    def taken(self) -> None:
        self._stage.taken()

    def open_in(self, scope: Scope) -> Iterator[Any]:
        begun = going_on(self._stage, scope.strand)
        if begun is None:
            return super().open_in(scope)
        rows: Iterator[Any] = scope.add(trapped(begun, self._trap))
        return rows

    def _opened(self, upstream: Any, scope: Scope) -> Iterator[Any]:
        return self._stage.rows(upstream, scope)


def _is_to_be_called(obj: Any) -> bool:
    """Only what can't be iterated: a list may happen to be callable."""
    if is_a(obj, _stage.Stage) or not can_be_called(obj) or is_a(obj, Iterable):
        return False
    return not (inspect.isgeneratorfunction(obj) or inspect.isasyncgenfunction(obj) or inspect.iscoroutinefunction(obj))


def _source_of(obj: Any) -> _stage.Stage[Any]:
    source: Any = stage_of(obj)
    if inspect.isgeneratorfunction(obj):
        return Source(lambda scope: _rows(obj(), scope), source.label)
    if is_a(obj, (list, tuple)):
        return Source(partial(_rows_of_a_list, obj), source.label)
    if not _is_iterated_here(obj):
        kept: _stage.Stage[Any] = source
        return kept
    if is_a(obj, Iterator):
        return Once(partial(_rows, obj), source.label, "Wrap what makes it, a function or an iterable.")
    return Source(partial(_rows, obj), source.label)


_OTHERWISE = (str, bytes, bytearray, memoryview, range, QueryIterator)


def _is_iterated_here(obj: Any) -> bool:
    """An iterable that flow.wrap would take as data; not text, a Deferred, a file, or a query."""
    if is_a(obj, _OTHERWISE) or is_deferred(obj) or hasattr(obj, "readline"):
        return False
    kind = kind_of(obj)
    return (hasattr(kind, "__iter__") or hasattr(kind, "__getitem__")) and not hasattr(kind, "__await__")


def _rows(iterable: Iterable[Any], scope: Scope) -> Iterator[Any]:
    rows = scope.add(iter(iterable))
    return of_a_generator(lambda: _until_it_ends(rows), scope)


def _rows_of_a_list(rows: Any, scope: Scope) -> Iterator[Any]:
    if any(issubclass(kind, _stage.Stage) for kind in {kind_of(row) for row in rows}):
        return _rows([row if is_a(row, (Instruction, Row)) else Row(row) for row in rows], scope)
    return of_a_list(rows, scope)


def _until_it_ends(rows: Iterator[Any]) -> Generator[Any, Any, Any]:
    """The rows; a generator that lets the end of a stage out of itself has ended, as it had in 2003.

    Since PEP 479 that comes as a RuntimeError. Any other StopIteration in it is an error, as it is everywhere in flow.
    """
    try:
        if is_a(rows, Generator):
            yield from rows
        else:
            for row in rows:  # noqa: UP028 (what is hand-written can't be sent an answer)
                yield row
    except RuntimeError as error:
        if not _let_out_an_end(error, getattr(rows, "gi_code", None)):
            raise


def _let_out_an_end(error: RuntimeError, code: Any) -> bool:
    """Was it the generator itself that let it out, and not a helper of it that it iterates?"""
    end = error.__cause__
    if not isinstance(end, End) or end.__traceback__ is None:
        return False
    return end.__traceback__.tb_frame.f_code is code
