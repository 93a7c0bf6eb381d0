"""What runs on a micro-thread: the ways to hand on the rows that its stage gives.

On the main one of a run: row by row, in blocks of what is ready, as a list, or to a function. On that of a branch: row
by row, or some at a time. What may live here: such bodies. A body leaves its scope when its rows have ended, looks
whether it was cancelled between two rows, and hands nothing on that was not asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, islice
from types import CoroutineType
from typing import TYPE_CHECKING, Any, TypeAlias

from .hand_cy import hand_over
from .instruction import TURN
from .microthread import ROW, MicroThread, Strand
from .pull_cy import MOST, STAY_ENDED, Ready, fair, pieces
from .scope import Scope

if TYPE_CHECKING:
    from .steps import Branch

__all__ = ["LARGEST_BLOCK", "Body", "checked", "gather", "handed_to", "in_a_list", "in_blocks", "read", "row_by_row"]

LARGEST_BLOCK = 1024
"""Rows in a block of ``.blocks()``, at most."""

LARGEST_PIECE = 4 * (MOST + 1) - 1
"""Rows between two looks at the clock where a list is collected; the source below it mostly looks more often."""


def checked(rows: Iterator[Any], thread: Strand) -> Iterator[Any]:
    """Looks at the first row: a coroutine there is a forgotten wait, and says so before a thousand of them are made."""
    for row in rows:
        if isinstance(row, CoroutineType) and thread.owner.stage.is_plain_pipe:
            row.close()
            raise TypeError(
                f"the plain stage {thread.owner.stage.label} yielded a coroutine ({row.__qualname__}) that nobody "
                f"awaited. Write `yield flow.wait({row.__name__}(...))` in it, or use `.map({row.__name__})`."
            )
        yield row
        break


def row_by_row(thread: MicroThread) -> None:
    """Hands each row to the hub and works no further until it is asked again."""
    with Scope(thread) as scope:
        rows: Any = thread.owner.stage.open_in(scope)
        run = thread.owner
        if type(rows) is Ready:
            for piece in rows.pieces:
                for run.row in piece:
                    if thread.cancelled is not None:
                        raise thread.cancelled
                    run.ready = piece
                    thread.parent.switch(ROW)
            return
        for run.row in checked(rows, thread):
            thread.parent.switch(ROW)
        hand_over(fair(rows, thread), thread, run)


def in_blocks(thread: MicroThread) -> None:
    """Gathers what is ready; the hub takes the block when the chain must wait, gives a turn, or has gathered enough."""
    with Scope(thread) as scope:
        rows = thread.owner.stage.open_in(scope)
        run = thread.owner
        block = run.block
        block.extend(checked(rows, thread))
        for piece in pieces(rows, thread, MOST):
            rest = iter(piece)
            while True:
                # Whatever a row takes, those before it are in the block when the chain pauses, and the hub takes them.
                block.extend(islice(rest, LARGEST_BLOCK - len(block)))
                if thread.cancelled is not None:
                    raise thread.cancelled  # a stage swallowed the cancel and went on
                if thread.doubted:
                    thread.parent.switch(ROW)  # the hub asks the loop
                if len(block) < LARGEST_BLOCK:
                    break
                thread.pause(ROW)


def in_a_list(thread: MicroThread) -> None:
    """Collects every row, at the speed of list.extend."""
    with Scope(thread) as scope:
        rows = thread.owner.stage.open_in(scope)
        block = thread.owner.block
        block.extend(checked(rows, thread))
        for piece in pieces(rows, thread, LARGEST_PIECE):
            block.extend(piece)
            if thread.cancelled is not None:
                raise thread.cancelled
            if thread.doubted:
                thread.parent.switch(ROW)


def handed_to(take: Callable[[Any], object]) -> Callable[[MicroThread], None]:
    """Gives each row to ``take(row)``, which is called on the chain's own stack, and may wait."""

    def hand_over(thread: MicroThread) -> None:
        with Scope(thread) as scope:
            rows = thread.owner.stage.open_in(scope)
            run, clock = thread.owner, thread.loop.clock
            for row in checked(rows, thread):
                take(row)
            # Not through `fair`: a call for each row is made here anyway, and each iterator less is that much less of
            # a stack to be moved aside at each pause.
            for row in rows:
                if thread.cancelled is not None:
                    raise thread.cancelled
                take(row)
                if clock() >= run.deadline:
                    thread.pause(TURN)

    return hand_over


# --------------------------------------------------------------------------------------------------------------------
# On the micro-thread of a branch

Body: TypeAlias = "Callable[[Branch, MicroThread], None]"


def read(branch: Branch, thread: MicroThread) -> None:
    """What runs on a branch's micro-thread: one row at a time."""
    with Scope(thread) as scope:
        rows: Any = branch.stage.open_in(scope)
        if type(rows) is Ready:
            for piece in rows.pieces:
                branch.piece = piece
                for row in piece:
                    branch.row = row
                    branch.hub(ROW)
            return
        for row in rows:
            branch.row = row
            branch.hub(ROW)


def gather(n: int) -> Body:
    """What runs on a branch's micro-thread: `n` rows at a time, at the speed of list.extend.

    Whenever the branch is paused, the rows that it has so far are in ``branch.block``, and may be taken from there
    (``branch.block.clear()``: a list may be emptied while it is being extended). The row that it gives when it has `n`
    is nothing: they are in the block, too. The last ones are there when it is over, and those before a failure.
    """

    def body(branch: Branch, thread: MicroThread) -> None:
        block = branch.block
        with Scope(thread) as scope:
            rows = branch.stage.open_in(scope)
            if type(rows) not in STAY_ENDED:
                rows = chain(rows)
            some = _Some(rows, n)
            while True:
                if block:
                    block.extend(islice(rows, n - len(block)))
                else:
                    block.extend(some)
                if len(block) >= n:
                    branch.hub(ROW)
                    continue
                for row in rows:  # it has not ended: the block was emptied meanwhile
                    block.append(row)
                    break
                else:
                    return

    return body


class _Some:
    """The next `n` rows, for list.extend, which makes room for them at once when it is told how many there may be."""

    __slots__ = ("_n", "_rows")

    def __init__(self, rows: Iterator[Any], n: int) -> None:
        self._rows = rows
        self._n = n

    def __iter__(self) -> Iterator[Any]:
        return islice(self._rows, self._n)

    def __length_hint__(self) -> int:
        return min(self._n, _ROOM)


_ROOM = 1024
"""Rows that room is made for at once: of a large batch few may come in time."""
