"""Torture: a flow is run once to learn where it waits, then ended at each of these places in turn, in every way.

The ways: the reading task is cancelled at a wait; a wait fails; the reader breaks off after a row. After each, the
rows that came must be the first ones of what the whole flow gives (or, where inputs race, among them and none twice),
everything must be closed, and nothing of the loop may be left. Time is virtual, and the order of what is ready can be
shuffled by seeds.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Iterable
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any

from ..core.instruction import Handle, Resume
from ..core.microthread import Strand, unwanted
from ..core.source import is_a
from ..core.stage import Stage
from ..loops._asyncio import AsyncioLoop, register
from ..loops._virtual import VirtualLoop
from .clock import virtual_time
from .tracked import Leftover, Tracked, nothing_left

__all__ = ["Injected", "Report", "torture"]

LIMIT = 10_000


class Injected(Exception):
    """The failure that torture makes a wait raise."""


@dataclass
class Report:
    """What `torture` did: the rows of the undisturbed flow, its waits, and how many runs were ended in which way."""

    rows: list[Any]
    waits: list[str]
    runs: Counter[str] = field(default_factory=Counter[str])

    def __str__(self) -> str:
        ways = ", ".join(f"{count} {way}" for way, count in sorted(self.runs.items()))
        return f"{len(self.rows)} rows, {len(self.waits)} waits; runs: {ways}"


class _Rack(AsyncioLoop):
    """A loop that counts the waits of flows, and ends the one it was told to."""

    def __init__(self, loop: asyncio.AbstractEventLoop, way: str, step: int) -> None:
        super().__init__(loop)
        self.way = way
        self.step = step
        self.waits: list[str] = []
        self.victim: asyncio.Task[Any] | None = None

    def _now(self, instruction: Any) -> bool:
        is_coroutine: bool = asyncio.iscoroutine(instruction)
        self.waits.append(instruction.__qualname__ if is_coroutine else repr(instruction))
        return len(self.waits) == self.step

    def begin(self, instruction: Any, resume: Resume, context: Context, /) -> Handle | None:
        if self._now(instruction):
            if self.way == "failed":
                unwanted(instruction)
                resume.throw(Injected(f"wait {self.step}"))
                return None
            if self.victim is not None:
                self.victim.cancel()
        return super().begin(instruction, resume, context)

    async def _obey(self, instruction: Any, strand: Strand) -> Any:
        if self.is_native(instruction) and self._now(instruction):
            if self.way == "failed":
                unwanted(instruction)
                raise Injected(f"wait {self.step}")
            if self.victim is not None:
                self.victim.cancel()
        return await super()._obey(instruction, strand)


def torture(
    make_flow: Callable[[], Stage[Any]],
    *,
    tracked: Callable[[], Iterable[Tracked[Any]]] = tuple,
    ordered: bool = True,
    seeds: Iterable[int | None] = (None,),
) -> Report:
    """Ends a flow at each of its waits and after each of its rows, in every way, and checks what is left.

    `make_flow` makes the flow anew for each run. `tracked`: called after each run, gives the `Tracked` sources that
    run used. ``ordered=False`` for flows whose inputs race: rows may then come in another order. `seeds`: one whole
    torture for each; None keeps asyncio's order. Raises AssertionError (Leftover for what was not closed), naming the
    way and the step; Deadlock for a flow that hangs. Returns a `Report`.

        torture(lambda: flow.Merge(Tracked("ab"), Tracked("cd", delay=1)), ordered=False)
    """
    report: Report | None = None
    for seed in seeds:
        rows, waits, error = _run(make_flow, tracked, "undisturbed", 0, seed)
        if error is not None:
            raise AssertionError(f"the undisturbed flow failed: {error!r}") from error
        if report is None:
            report = Report(rows, waits)
        steps = [("cancelled", step) for step in range(1, len(waits) + 1)]
        steps += [("failed", step) for step in range(1, len(waits) + 1)]
        steps += [("broken off", step) for step in range(len(rows) + 1)]
        steps += [("closed", step) for step in range(len(rows) + 1)]
        for way, step in steps[:LIMIT]:
            got, _, error = _run(make_flow, tracked, way, step, seed)
            report.runs[way] += 1
            _check(report.rows, got, error, way, step, seed, waits, ordered)
    assert report is not None, "torture() needs at least one seed"
    return report


def _check(
    rows: list[Any],
    got: list[Any],
    error: BaseException | None,
    way: str,
    step: int,
    seed: int | None,
    waits: list[str],
    ordered: bool,
) -> None:
    where = f"{way} at step {step}" + (f" ({waits[step - 1]})" if way in ("cancelled", "failed") and step else "")
    if seed is not None:
        where += f", seed {seed}"
    if ordered:
        assert got == rows[: len(got)], f"{where}: the rows {got!r} are not the first ones of {rows!r}"
    else:
        left = list(rows)
        for row in got:
            assert row in left, f"{where}: the row {row!r} came twice, or is none of {rows!r}"
            left.remove(row)
    if way == "cancelled":
        assert error is None or isinstance(error, asyncio.CancelledError), f"{where}: the cancel became {error!r}"
    elif way == "failed":
        assert error is None or _has_injected(error), f"{where}: the failure became {error!r}"
        assert error is not None or got == rows or not ordered, f"{where}: the failure was lost, and rows with it"
    else:
        assert error is None, f"{where}: {error!r}"


def _has_injected(error: BaseException) -> bool:
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        each: Any = todo.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, Injected):
            return True
        if is_a(each, BaseExceptionGroup):
            todo += each.exceptions
        todo += [each.__context__, each.__cause__]
    return False


def _run(
    make_flow: Callable[[], Stage[Any]],
    tracked: Callable[[], Iterable[Tracked[Any]]],
    way: str,
    step: int,
    seed: int | None,
) -> tuple[list[Any], list[str], BaseException | None]:
    with virtual_time(seed) as clock:
        loop = clock.loop()
        rack = _Rack(loop, way, step)
        register(loop, rack)
        try:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                got, error = runner.run(_scene(make_flow(), rack, way, step))
        except BaseException as failure:
            failure.add_note(f"flow.testing.torture: {way} at step {step}, seed {seed}")
            raise
        try:
            nothing_left(*tracked())
        except Leftover as left:
            raise Leftover(f"{way} at step {step}, seed {seed}: {left}") from None
        return got, rack.waits, error


async def _scene(stage: Stage[Any], rack: _Rack, way: str, step: int) -> tuple[list[Any], BaseException | None]:
    got: list[Any] = []
    before = asyncio.all_tasks()

    async def read() -> None:
        if way == "broken off":
            if step == 0:
                return
            async for row in stage:
                got.append(row)
                if len(got) == step:
                    break
        elif way == "closed":
            async with stage.open(cleanup=math.inf) as rows:
                while len(got) < step:
                    got.append(await anext(rows))
        else:
            # Time may jump early here, over any deadline, so cleanups get all they want.
            async with stage.open(cleanup=math.inf) as rows:
                async for row in rows:
                    got.append(row)

    task = asyncio.create_task(read())
    if way == "cancelled":
        rack.victim = task
    await asyncio.wait([task])  # a flow that hangs ends in a Deadlock
    error = asyncio.CancelledError() if task.cancelled() else task.exception()
    for _ in range(5):  # what a broken-off run still has to wait for is finished by callbacks
        await asyncio.sleep(3600 if way == "broken off" else 0)
    left = asyncio.all_tasks() - before
    if left:
        raise Leftover(f"{way} at step {step}: tasks are left: {sorted(each.get_name() for each in left)}")
    loop = asyncio.get_running_loop()
    timers = [each for each in getattr(loop, "_scheduled", ()) if not each.cancelled()]
    if isinstance(loop, VirtualLoop) and timers:
        raise Leftover(f"{way} at step {step}: timers are left: {timers!r}")
    return got, error
