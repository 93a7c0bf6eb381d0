"""The feeder of concurrent calls: it reads their input on a micro-thread of its own, beside the reader of the results.

What may live here: how rows become jobs. What becomes of these is in `jobs.py`.
"""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING

from ..core.background import Background
from ..core.microthread import MicroThread
from ..core.scope import Scope
from .transform import called

if TYPE_CHECKING:
    from .jobs import Calls

__all__ = ["Feeder"]


class Feeder(Background):
    """Reads the input while there is room. A row that is there is a job before the input waits for anything."""

    def __init__(self, calls: Calls) -> None:
        self.calls = calls
        key = calls.how.key
        self._key_of = None if key is None else called(key, "map(key)")
        body = self._read if key is None else self._read_keys
        super().__init__(calls.strand, calls.source, body, calls.end, self._flush)

    def _read(self, thread: MicroThread) -> None:
        calls, block = self.calls, thread.owner.block
        with Scope(thread) as scope:
            # A user's own iterator may misbehave when it is asked again after its end; a chain does not.
            rows = chain(thread.owner.stage.open_in(scope))
            for row in rows:
                block.append(row)
                room = calls.room - len(block)
                if room > 0:
                    block.extend(islice(rows, room))
                self._rest_while_full(thread)

    def _read_keys(self, thread: MicroThread) -> None:
        """The same, row by row: a key may have to be waited for."""
        block, key_of = thread.owner.block, self._key_of
        assert key_of is not None
        with Scope(thread) as scope:
            for row in thread.owner.stage.open_in(scope):
                try:
                    key = key_of(row)
                    hash(key)
                except BaseException:
                    thread.owner.drop([row])
                    raise
                block.append((row, key))
                self._rest_while_full(thread)

    def _rest_while_full(self, thread: MicroThread) -> None:
        if thread.cancelled is not None:
            raise thread.cancelled
        while self.calls.room <= len(thread.owner.block):
            self.calls.hungry = True
            self.rest(thread)  # what was read is handed on at the pause

    def may_go_on(self) -> bool:
        return self.calls.room > 0  # the reader may have been in a hurry

    def _flush(self) -> None:
        block = self.run.block
        if block:
            rows = block[:]
            block.clear()  # not a new one: it may be being extended
            if self._key_of is None:
                self.calls.add(rows)
            else:
                self.calls.add_keyed(rows)
