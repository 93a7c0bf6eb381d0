"""Stages in which it counts what comes first: an input before the others, an event before the next row.

What may live here: stages that choose by time between whole sources. Those that take rows of all are in `combine.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, overload

from ..core.branch import NOW, Branch, Branches, ByPriority
from ..core.functions import gives_coroutines
from ..core.instruction import CallLater, Handle, Instruction, Resume
from ..core.microthread import Strand
from ..core.source import Source, awaited, can_be_waited_for, is_a, is_deferred, kind_of
from ..core.stage import Stage
from ..core.wrap import stage_of
from .combine import Combined

if TYPE_CHECKING:
    from concurrent.futures import Future

    from ..core.stage import Input

__all__ = ["Event", "race", "until"]

T = TypeVar("T")


# --------------------------------------------------------------------------------------------------------------------
# The first input


class _Race(Combined[T]):
    __slots__ = ("_goes_on",)

    word = "race"

    def __init__(self, *inputs: Any, goes_on: bool) -> None:
        super().__init__(*inputs)
        self._goes_on = goes_on

    def read(self, strand: Strand) -> Generator[T]:
        winner: Branch | None = None

        def keep(branch: Branch) -> bool:
            return self._goes_on or winner is not None

        with Branches(strand, self.inputs, keep=keep) as branches:
            while (branch := branches.next()) is not None and not branch.full:
                pass
            if branch is None:
                branches.raise_kept()
                return
            winner = branch
            branches.kept.clear()  # of those that failed before there was one
            branches.owing = True
            for branch in [*branches.every]:
                if branch is not winner:
                    branches.cancel(branch)
            branches.next(NOW)  # they close as far as they get without a wait: the row does not wait for that
            while branches.wait_for(winner):
                yield winner.take()
                branches.raise_kept()
            if winner.failure is not None:
                raise winner.failure


@overload
def race(*inputs: Input[T], on_error: Literal["cancel", "finish"] = ...) -> Stage[T]: ...
@overload
def race(*inputs: Any, on_error: Literal["cancel", "finish"] = ...) -> Stage[Any]: ...
def race(*inputs: Any, on_error: Literal["cancel", "finish"] = "cancel") -> Stage[Any]:
    """The rows of the input that gives one first; the others are cancelled and closed.

    All inputs are asked at the same time, in the order in which they are given. The first row does not wait for
    cleanups of the others: those that wait run beside the rows that follow, and have ended when this ends, which it
    does with the input that it chose. What others hold is dropped and counted. An input that ends without a row is out
    of the race; when all do, or without any input, it is empty. It works at most one row ahead.

    `on_error`: what a failure before the first row does. ``"cancel"``: it ends the race; the others are cancelled and
    closed, then it is raised. ``"finish"``: that input is out of the race, and its failure is raised only when no input
    gives a row; several come as an ExceptionGroup. Later, a failure of the input that was chosen is raised after its
    rows, and one of another's cleanup after the row in hand.

        flow.race([1, 2], [10, 20])                        # 1, 2
    """
    if on_error not in ("cancel", "finish"):
        raise ValueError(f"race(on_error) must be 'cancel' or 'finish', not {on_error!r}")
    return _Race(*inputs, goes_on=on_error == "finish")


# --------------------------------------------------------------------------------------------------------------------
# Until something happens


class _Until(Combined[T]):
    __slots__ = ()

    word = "until"

    def read(self, strand: Strand) -> Generator[T]:
        rows, event = self.inputs
        with ByPriority(strand) as branches:
            happens = branches.add(event)
            main = branches.add(rows, priority=1)
            while not main.over:
                branches.next()
                if happens.full:
                    happens.take()
                    return
                if main.full:
                    yield main.take()
                    branches.ask(main)


Event: TypeAlias = "Stage[Any] | Instruction | Awaitable[Any] | Future[Any] | Callable[[], Awaitable[Any]]"
"""What can happen. (A Deferred is an awaitable.)"""


def until(rows: Stage[T], event: Event) -> Stage[T]:
    """``rows.until(event)``: the rows until `event` happens; then they are cancelled and closed, and this ends.

    `event`: a stage, whose first row it is; an awaitable, a coroutine function, a Deferred, a
    `concurrent.futures.Future` or an instruction (``flow.Cooperate(5)``), whose result it is. It is asked first, so
    nothing is opened when it has happened already, and looked at before each row. The order is kept; `rows` work at
    most one row ahead, and a row that they have made is not held back.

    It ends with `rows`, too: then `event` is called off, and closed where it is a stage. A task, a future or a Deferred
    is only watched: it is not cancelled. A stage that ends without a row never happens. A failure of `event` is raised,
    as one of `rows` is, after the rows before it; the other one is cancelled and closed first, and a second failure
    joins it in an ExceptionGroup. Raises TypeError at once for what can't be waited for.

        flow.wrap([1, flow.Cooperate(2), 2]).until(flow.Cooperate(1))      # 1
    """
    return _Until(rows, _stage_of_event(event))


def _stage_of_event(event: Any) -> Stage[Any]:
    if is_a(event, Stage):
        stage: Stage[Any] = event
        return stage
    if gives_coroutines(event) or is_a(event, CoroutineType):
        return stage_of(event)
    if not can_be_waited_for(event):
        raise TypeError(
            "until(event) takes a stage, an awaitable, a coroutine function, a Deferred, a concurrent.futures.Future, "
            f"or an instruction such as flow.Cooperate(5), not {type(event).__name__}"
        )
    shared = is_deferred(event) or hasattr(kind_of(event), "add_done_callback")
    return Source(lambda scope: awaited(lambda: _Watched(event) if shared else event), type(event).__name__)


class _Watched(CallLater):
    """Waits for something that others may wait for, too, and does not cancel it."""

    __slots__ = ("_event",)

    def __init__(self, event: Any) -> None:
        self._event = event

    def callLater(self, resume: Resume, /) -> Handle | None:
        watch = _Watch(self._event, resume)
        if is_deferred(self._event):
            self._event.addCallbacks(watch.succeeded, watch.failed)
        else:
            self._event.add_done_callback(watch.done)
        return watch


class _Watch:
    """One look at a future or a Deferred. Those have no way to forget a callback: what is left there is this alone."""

    __slots__ = ("_event", "_resume")

    def __init__(self, event: Any, resume: Resume) -> None:
        self._event = event
        self._resume: Resume | None = resume

    def done(self, future: Any) -> None:
        resume, self._resume = self._resume, None
        if resume is not None:
            try:
                value = future.result()
            except BaseException as error:
                resume.throw(error)
            else:
                resume(value)

    def succeeded(self, value: Any) -> Any:
        resume, self._resume = self._resume, None
        if resume is not None:
            resume(value)
        return value

    def failed(self, failure: Any) -> Any:
        resume, self._resume = self._resume, None
        if resume is None:
            return failure  # nobody has seen it here
        resume.throw(failure.value)
        # It was raised. Others who listen get it, too; where nobody does, it counts as handled.
        return failure if getattr(self._event, "_callbacks", None) else None

    def cancel(self) -> None:
        self._resume = None
        forget = getattr(self._event, "remove_done_callback", None)
        if forget is not None:
            forget(self.done)
