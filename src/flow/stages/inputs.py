"""The inputs of one run of `Merge`: they may join and leave, be served by priority, and fail without ending the rest.

What may live here: what a Merge needs of its branches besides what `core.branch` does for all combining stages.
"""

from __future__ import annotations

from threading import get_ident
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ..core.branch import Branch, Branches, ByPriority
from ..core.microthread import Strand
from ..core.stopping import Fed
from ..errors import ClosedError, WrongThreadError
from .calls import MOST_FAILURES, OnError

if TYPE_CHECKING:
    from ..core.stage import Stage
    from .combine import Merge

__all__ = ["Inputs", "Prioritized"]


class Inputs(Branches):
    """The branches of one run, from its first row to its end. It is known to its Merge as long as it is open."""

    def __init__(self, strand: Strand, merge: Merge[Any], on_error: OnError) -> None:
        super().__init__(strand)
        self._merge = merge
        self._on_error = on_error
        self._of: dict[int, dict[Branch, None]] = {}  # by the id of their stage, which they hold
        self._fed: Fed | None = None
        self.closed = False  # may nothing join any more?
        self.owing = True  # what was kept came before rows that were handed out

    def __enter__(self) -> Inputs:
        self._merge.begin(self)
        if self.lasting:
            self._fed = Fed(self._strand, self.end)  # a run that is stopped waits for no more inputs
            if self._fed.late:
                self.end()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._merge.over(self)
        if self._fed is not None:
            self._fed.close()
        super().__exit__(kind, error, where)

    # ---- joining and leaving

    def check(self, adding: bool) -> None:
        """May somebody add an input, or remove one, here and now?"""
        if get_ident() != self._strand.loop.thread:
            raise WrongThreadError(
                "inputs of a Merge are added and removed on the thread of the loop that reads it: use the loop's own "
                "call_soon_threadsafe (trio: from_thread.run_sync, Twisted: callFromThread)"
            )
        if adding and self.closed:
            raise ClosedError("this Merge takes no more inputs: it was told to finish, or one of its inputs has failed")

    def join(self, stage: Stage[Any], priority: float) -> None:
        branch = self.add(stage, priority=priority)
        self._of.setdefault(id(stage), {})[branch] = None

    def leave(self, stage: Stage[Any]) -> bool:
        """Has the inputs that are this stage leave; was there one?"""
        leaving = [branch for branch in self._of.get(id(stage), ()) if not branch.closing]
        for branch in leaving:
            self.cancel(branch)
        return bool(leaving)

    def end(self) -> None:
        self.closed = True
        super().end()

    def _over(self, branch: Branch) -> None:
        super()._over(branch)
        same = self._of.get(id(branch.stage))
        if same is not None:
            same.pop(branch, None)
            if not same:
                del self._of[id(branch.stage)]

    def _keeps(self, branch: Branch) -> bool:
        if self._on_error == "finish":
            self.end()
        return self._on_error == "finish" or (self._on_error == "collect" and len(self.kept) + 1 < MOST_FAILURES)


class Prioritized(Inputs, ByPriority):
    """The same, and of those that can go on, the one with the lowest number is served."""
