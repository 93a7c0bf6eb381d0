"""Stages that gather rows into larger ones."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from functools import partial
from itertools import islice
from typing import TypeVar

from ..core.source import bound_of
from ..core.stage import Pipe, Stage

__all__ = ["batched"]

T = TypeVar("T")


def batched(stage: Stage[T], n: int) -> Stage[tuple[T, ...]]:
    """See `Stage.batched`. (`itertools.batched` came with Python 3.12; this is the same over `islice`.)"""
    bound_of(n, "batched(n): n")
    return Pipe(stage, partial(_batched, n), f"batched({n})")


def _batched(n: int, rows: Iterator[T]) -> Generator[tuple[T, ...]]:
    while batch := tuple(islice(rows, n)):
        yield batch
        if len(batch) < n:
            return  # the end was reached: it is not asked for again
