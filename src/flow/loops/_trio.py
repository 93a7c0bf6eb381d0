"""trio. What a callback would do elsewhere is done by system tasks here, each in a cancel scope of its own.

trio's cancel is level-triggered already, so flow adds nothing to it but the shield, with a deadline, that a cleanup
needs in order to wait at all. trio.Cancelled itself travels through the chain, so cancel scopes work inside a stage.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from contextvars import Context
from threading import get_ident
from typing import Any

import trio

from ..core.instruction import Handle, Outcome, Resume
from ..core.microthread import Strand
from ..core.stopping import Interruption
from ..errors import Cancelled
from .base import BaseLoop, Spawned

__all__ = ["TrioLoop", "loop_here"]


class TrioLoop(BaseLoop):
    """The trio run of this thread."""

    name = "trio"
    native = True

    def __init__(self) -> None:
        super().__init__(get_ident())
        self._token = trio.lowlevel.current_trio_token()
        clock = getattr(trio.lowlevel.current_clock(), "slice_clock", None)
        if clock is not None:
            self.clock = clock

    def time(self) -> float:
        return trio.current_time()

    def call_soon(self, f: Callable[[], object], /) -> None:
        self._token.run_sync_soon(self._guarded, f)

    def call_later(self, seconds: float, f: Callable[[], object], /) -> Handle:
        scope = trio.CancelScope()

        async def timer() -> None:
            with scope:
                await trio.sleep(seconds)
            if not scope.cancel_called:
                self._guarded(f)

        trio.lowlevel.spawn_system_task(timer, name="flow timer")
        return scope

    def call_threadsafe(self, f: Callable[[], object], /) -> None:
        try:
            self._token.run_sync_soon(self._guarded, f)
        except trio.RunFinishedError as error:
            raise RuntimeError("the trio run has finished") from error

    def spawn(self, awaitable: Awaitable[Any], done: Outcome, context: Context, /) -> Handle:
        scope = trio.CancelScope()

        async def work() -> None:
            value: Any = None
            error: BaseException | None = None
            try:
                with scope:
                    value = await awaitable
            except trio.Cancelled as cancelled:  # the whole run ends; the system task must not swallow it
                done(None, cancelled)
                raise
            except BaseException as failure:
                error = failure
            if scope.cancelled_caught:
                error = Cancelled("flow: the task was cancelled")
            # In the loop's next turn, as on asyncio: here the task's context is entered, and what goes on now may spawn
            # a task in the same one (conformance: calls_that_return_a_coroutine).
            self.call_soon(lambda: done(value, error))

        trio.lowlevel.spawn_system_task(work, name="flow", context=context)
        return Spawned(scope.cancel)

    async def suspend(self, begin: Callable[[Resume], Handle | None], /) -> Any:
        task = trio.lowlevel.current_task()
        outcome: list[tuple[Any, BaseException | None]] = []
        asleep = False

        def then(value: Any, error: BaseException | None) -> None:
            outcome.append((value, error))
            if asleep:
                trio.lowlevel.reschedule(task)

        resume = Resume(self, then)
        handle = begin(resume)

        def abort(raise_cancel: object) -> trio.lowlevel.Abort:
            resume.forget()
            if handle is not None:
                handle.cancel()
            return trio.lowlevel.Abort.SUCCEEDED

        if outcome:
            await trio.lowlevel.checkpoint_if_cancelled()
        else:
            asleep = True
            await trio.lowlevel.wait_task_rescheduled(abort)
        value, error = outcome[0]
        if error is not None:
            raise error
        return value

    async def obey(self, instruction: Any, strand: Strand, /) -> Any:
        handling = strand.handling
        run = strand.owner
        if handling is None or isinstance(handling, Exception):
            if run.stops is None or getattr(instruction, "__name__", None) in _STRADDLING:
                return await self._obey(instruction, strand)
            scope = trio.CancelScope()
        else:
            # A cleanup: everything is cancelled here, so it can wait only behind a shield, and that has a deadline.
            deadline = run.cleanup_deadline(strand)
            scope = trio.CancelScope(shield=True, deadline=deadline if deadline is not None else float("inf"))
        strand.limit = interruption = Interruption(instruction, scope.cancel)
        try:
            with scope:
                return await self._obey(instruction, strand)
        finally:
            strand.limit = None
        assert scope.cancelled_caught
        raise interruption.error or run.cleanup_timeout(strand)

    async def _obey(self, instruction: Any, strand: Strand) -> Any:
        if self.is_native(instruction):
            return await instruction
        return await self.suspend(lambda resume: self.begin(instruction, resume, strand.owner.context))

    async def checkpoint(self) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()

    def report(self, error: BaseException, what: str, /) -> None:
        error.add_note(f"flow: {what}")
        sys.excepthook(type(error), error, error.__traceback__)

    def _guarded(self, f: Callable[[], object]) -> None:
        """A system task that fails ends the whole trio run: what a callback raises is reported instead."""
        try:
            f()
        except Exception as error:
            self.report(error, "in a callback")


_STRADDLING = {"__aenter__", "__aexit__", "enter_async_context", "aclose"}
"""What enters a cancel scope in one wait, and leaves it in another: no scope of ours may stand round one of them."""

_here: trio.lowlevel.RunVar[TrioLoop | None] = trio.lowlevel.RunVar("flow", None)


def loop_here() -> TrioLoop | None:
    """The trio run that the caller is in, if it is in one."""
    if not trio.lowlevel.in_trio_run():
        return None
    found = _here.get()
    if found is None:
        found = TrioLoop()
        _here.set(found)
    return found
