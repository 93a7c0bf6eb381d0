"""A run that is read to its end by one call: ``await stage``, and ``await stage.collect(f)``.

What may live here: coroutines that read a whole run, natively, in the task that awaits them.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from itertools import chain
from types import CoroutineType
from typing import TYPE_CHECKING, Any, TypeVar

from . import run as _run
from .bodies import checked, in_a_list
from .driven import raise_swallowed
from .microthread import ROW, MicroThread
from .pull_cy import fair
from .reader import no_loop, settle
from .run import DEFAULTS, Options, Run
from .scope import Scope

if TYPE_CHECKING:
    from .stage import Stage

__all__ = ["collect", "collect_into"]

T = TypeVar("T")
U = TypeVar("U")


async def collect(stage: Stage[T], options: Options) -> list[T]:
    """All rows of one run; on a failure the rows before it are dropped, and counted."""
    run = await _to_the_end(stage, options, in_a_list)
    return run.block


def collect_into(stage: Stage[T], f: Callable[[Iterator[T]], U], name: str) -> Coroutine[Any, Any, U]:
    """See `Stage.collect`. The coroutine that it gives begins the run."""
    return _collect_into(stage, f, name)


async def _collect_into(stage: Stage[T], f: Callable[[Iterator[T]], U], name: str) -> U:
    def body(thread: MicroThread) -> None:
        with Scope(thread) as scope:
            rows = stage.open_in(scope)
            try:
                thread.owner.row = f(fair(chain(checked(rows, thread), rows), thread))
            except StopIteration as error:
                raise RuntimeError(f"{name} raised StopIteration") from error

    run = await _to_the_end(stage, DEFAULTS, body)
    made: Any = run.row
    if isinstance(made, CoroutineType):
        made.close()
        raise TypeError(f"collect(f): {name} gave a coroutine; f must be a plain function of an iterator")
    result: U = made
    return result


async def _to_the_end(stage: Stage[Any], options: Options, body: Callable[[MicroThread], Any]) -> Run:
    loop = _run.loops.awaiting()
    if loop is None:
        raise no_loop(stage)
    run = Run(stage, loop, options)
    thread = run.begin(body)
    try:
        if loop.used >= run.slice:  # this turn of the loop is used up
            await loop.suspend(loop.turn_over)
        run.enter()
        outcome = thread.step()
        while outcome is not None:
            outcome = thread.step() if outcome is ROW else await settle(run, outcome)
        if thread.cancelled is not None:
            raise_swallowed(run)
    except BaseException as error:
        run.drop(run.block)
        run.failed(error)
    run.end()
    return run
