"""How a way to do the work becomes a job that can be timed, and what a contestant says whose library is not here.

A job is prepared for a number of rows, and then takes no arguments. What may live here: the forms in which a flow or a
peer is read (`await`, `async for`, `for`, by hand), and the names of the libraries. What is read is in `pieces.py` and
in `peers_*.py`; which of them are compared is said in `work_*.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import flow

from . import pieces as p
from .measure import Contestant

__all__ = [
    "Job",
    "Prepare",
    "awaiting",
    "coroutine",
    "last",
    "library",
    "looping",
    "missing",
    "peer",
    "plainly",
    "reading",
    "reading_blocks",
    "repeated",
    "stages",
    "totals",
]

Job = Callable[[], Any]
Prepare = Callable[[int], Job]

TO_INSTALL = {"psycopg": "'psycopg[binary]'"}
"""What to ask pip for, where it is not the name that is imported."""


def missing(name: str) -> str:
    """What to say for a contestant that needs this library; empty when it is there."""
    return "" if find_spec(name) else f"not installed: pip install {TO_INSTALL.get(name, name)}"


@cache
def library(name: str) -> Any:
    """A module of a peer, imported when its first job runs: what is not measured costs nothing."""
    return import_module(name)


def peer(name: str, title: str, prepare: Prepare, share: float = 0.05) -> Contestant:
    """A contestant out of another library. Most are slower than their reference, and get fewer rows."""
    return Contestant(title, prepare, share, missing=missing(name))


# --------------------------------------------------------------------------------------------------------------------
# Ways to read


def awaiting(make: Callable[[int], flow.Stage[Any]]) -> Prepare:
    """`await stage`: the list of all rows."""

    def prepare(rows: int) -> Job:
        stage = make(rows)

        async def job() -> list[Any]:
            return await stage

        return job

    return prepare


def reading(make: Callable[[int], Any], reader: Callable[[Any], Any] = p.aread) -> Prepare:
    """`async for` over what `make(rows)` gives."""

    def prepare(rows: int) -> Job:
        async def job() -> Any:
            return await reader(make(rows))

        return job

    return prepare


async def reading_blocks(stage: flow.Stage[Any]) -> tuple[int, Any]:
    """What `async for` gives, taken a block at a time."""
    number, row = 0, None
    async for block in stage.blocks():
        for row in block:  # noqa: B007 - the last one is returned
            number += 1
    return number, row


def looping(make: Callable[[int], Any]) -> Prepare:
    """`for` over what `make(rows)` gives, in a script."""

    def prepare(rows: int) -> Job:
        return lambda: p.read(make(rows))

    return prepare


def plainly(f: Callable[[int], Any]) -> Prepare:
    """``f(rows)``, outside of a loop."""

    def prepare(rows: int) -> Job:
        return lambda: f(rows)

    return prepare


def coroutine(f: Callable[[int], Any]) -> Prepare:
    """``await f(rows)``."""

    def prepare(rows: int) -> Job:
        async def job() -> Any:
            return await f(rows)

        return job

    return prepare


def repeated(once: Callable[[], Any]) -> Prepare:
    """``await once()`` so many times, each of which gives a list of one row."""

    def prepare(runs: int) -> Job:
        async def job() -> tuple[int]:
            number = 0
            for _ in range(runs):
                number += len(await once())
            return (number // runs,)

        return job

    return prepare


# --------------------------------------------------------------------------------------------------------------------
# What makes results comparable


def last(result: Any) -> tuple[int, Any]:
    """The number of rows, and the last one."""
    return (len(result), result[-1]) if isinstance(result, list) else result


def totals(result: Any) -> tuple[int, int]:
    """The number of rows and their sum, where their order is not part of the result."""
    return (len(result), sum(result)) if isinstance(result, list) else result


def stages(depth: int, kind: str = "") -> str:
    return f"{depth} {kind}stage{'s' * (depth > 1)}"
