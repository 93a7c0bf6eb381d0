"""Torture: a flow is run once to learn where it waits, then ended at each of these places in turn, in every way.

At each wait: the task that reads is cancelled, or runs into a timeout; the wait fails; where it is asked for, the
coroutine that reads is destroyed. After each row: the reader breaks off; it closes the run; it closes the run, and the
first wait of a cleanup fails. After each run, the rows that came must be the first ones of what the whole flow gives
(or, where inputs race, among them and none twice), the cancel or the failure must have come out, everything must be
closed, and nothing may be left on the loop. Time is virtual, and the order of what is ready can be shuffled by seeds.
"""

from __future__ import annotations

import asyncio
import math
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from ..core.source import bound_of, is_a
from ..core.stage import Stage
from ..loops._asyncio import register
from .clock import refuse_a_running_loop, virtual_time
from .leaks import LAST_STEPS, POOLS, Closable, Leftover, nothing_left, timers_of
from .rack import AT_WAITS, USUAL, WAYS, Deserting, Injected, Rack, Wait, Way

__all__ = ["Report", "torture"]

MOST = 10_000
"""Runs of one torture, unless it is told otherwise."""

QUIET = 2.0
"""Real seconds between two lines of progress."""


@dataclass
class Report:
    """What `torture` did: the rows of the undisturbed flow, its waits, and how many runs were ended in which way.

    `waits` says what was waited for and `places` where, for the first seed; `runs` counts by way, `skipped` the runs
    that were left out because there were more than `most`. ``str(report)`` is one line of it.

        report = torture(lambda: flow.wrap([1, flow.Cooperate(60), 2]))
        assert report.rows == [1, 2] and report.waits == ["Cooperate(60)"]
    """

    rows: list[Any]
    waits: list[str]
    places: list[str] = field(default_factory=list[str])
    runs: Counter[str] = field(default_factory=Counter[str])
    skipped: int = 0

    def __str__(self) -> str:
        ways = ", ".join(f"{count} {way}" for way, count in sorted(self.runs.items()))
        left = f"; {self.skipped} left out" if self.skipped else ""
        return f"{len(self.rows)} rows, {len(self.waits)} waits; runs: {ways}{left}"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def torture(
    make_flow: Callable[[], Stage[Any]],
    *,
    tracked: Callable[[], Iterable[Closable]] = tuple,
    ordered: bool | None = True,
    seeds: Iterable[int | None] = (None,),
    ways: Iterable[str] = USUAL,
    fails: type[BaseException] | None = None,
    check: Callable[[], object] | None = None,
    most: int = MOST,
    progress: Callable[[str], object] = _say,
) -> Report:
    """Ends a flow at each of its waits and after each of its rows, in every way, and checks what is left.

    `make_flow` makes the flow anew for each run. `tracked`: called after each run, gives the `Tracked` sources that
    run used. `ordered`: False for flows whose inputs race (rows may then come in another order), None for flows whose
    rows depend on time (they are not compared). `seeds`: one whole torture for each; None keeps asyncio's order.
    `ways`: some of "cancelled", "failed", "timed out" (at each wait), "broken off", "closed" and "cleanup failed"
    (after each row); or "abandoned", which destroys the coroutine that reads at each wait, and is not among them unless
    asked for: Python can't do that to a coroutine of yours that waits in a `finally`. `fails`: what the flow fails with
    by itself, after its rows. `check`: called after each run; what it raises is raised. `most`: runs in all; of more,
    it takes some, evenly. `progress`: is given a line of text now and then when it takes long; it goes to standard
    error. Raises AssertionError (Leftover for what was not closed), naming the way, the step and the line of code that
    waited; Deadlock for a flow that hangs. Returns a `Report`.

        torture(lambda: flow.Merge(Tracked("ab"), Tracked("cd", delay=1)), ordered=False)
    """
    every = list(seeds)
    chosen = tuple(ways)
    if unknown := set(chosen) - set(WAYS):
        raise ValueError(f"torture(ways) takes {', '.join(map(repr, WAYS))}, not {min(unknown)!r}")
    if not every:
        raise ValueError("torture(seeds) must have at least one seed, or None")
    bound_of(most, "torture(most)")
    refuse_a_running_loop(None)
    rig = _Rig(make_flow, tracked, ordered, fails, check)
    report = Report([], [])
    told = time.monotonic() + QUIET
    rig.rows = rig.learn(None)[0]
    report.rows = rig.rows
    for seed in every:
        rows, waits = rig.learn(seed)
        if not report.runs and seed == every[0]:
            report.waits, report.places = [wait.what for wait in waits], [wait.place for wait in waits]
        plan = [Way(way, step, seed) for way in chosen if way in AT_WAITS for step in range(1, len(waits) + 1)]
        plan += [Way(way, step, seed) for way in chosen if way not in AT_WAITS for step in range(len(rows) + 1)]
        share = max(1, most // len(every))
        report.skipped += max(0, len(plan) - share)
        if len(plan) > share:
            plan = [plan[len(plan) * number // share] for number in range(share)]
        for way in plan:
            rig.run(way, waits)
            report.runs[way.name] += 1
            if time.monotonic() > told:
                told = time.monotonic() + QUIET
                progress(f"torture: {report.runs.total():,} runs; {way}, of {len(plan):,} with this seed")
    return report


class _Rig:
    """What all runs of one torture have in common."""

    def __init__(
        self,
        make_flow: Callable[[], Stage[Any]],
        tracked: Callable[[], Iterable[Closable]],
        ordered: bool | None,
        fails: type[BaseException] | None,
        check: Callable[[], object] | None,
    ) -> None:
        self.make_flow = make_flow
        self.tracked = tracked
        self.ordered = ordered
        self.fails = fails
        self.check = check
        self.rows: list[Any] | None = None

    def learn(self, seed: int | None) -> tuple[list[Any], list[Wait]]:
        """The rows and the waits of the undisturbed flow; its rows must be those that it gave before."""
        way = Way("undisturbed", 0, seed)
        got, rack, error = self._run(way, [])
        if error is not None and (self.fails is None or not is_a(error, self.fails)):
            raise AssertionError(f"the undisturbed flow failed: {error!r} ({way})") from error
        if error is None and self.fails is not None:
            raise AssertionError(f"the undisturbed flow did not fail, as it should, with {self.fails.__name__} ({way})")
        if self.rows is not None:
            self._compare(got, way, [])
            if self.ordered is not None and len(got) < len(self.rows):
                raise AssertionError(f"{way}: rows were lost: {got!r} of {self.rows!r}")
        return got, rack.waits

    def run(self, way: Way, waits: list[Wait]) -> None:
        got, rack, error = self._run(way, waits)
        where = _where(way, waits)
        self._compare(got, way, waits)
        assert self.rows is not None
        whole = self.ordered is None or len(got) == len(self.rows)
        its_own = error is not None and self.fails is not None and is_a(error, self.fails)
        if way.name == "cancelled":
            assert its_own or error is None or isinstance(error, asyncio.CancelledError), (
                f"{where}: the cancel became {error!r}"
            )
            assert error is not None or not rack.reached, f"{where}: the cancel was lost"
        elif way.name == "failed":
            assert its_own or error is None or has_injected(error), f"{where}: the failure became {error!r}"
            assert error is not None or whole, f"{where}: the failure was lost, and rows with it"
        elif way.name == "cleanup failed":
            assert error is None or rack.failed, f"{where}: {error!r}"
            assert not rack.failed or has_injected(error), f"{where}: the failure of the cleanup became {error!r}"
        else:
            assert its_own or error is None, f"{where}: {error!r}"
        assert not rack.unseen or way.name in ("abandoned", "broken off"), (
            f"{where}: an exception that nobody saw: {'; '.join(rack.unseen)}"
        )

    def _compare(self, got: list[Any], way: Way, waits: list[Wait]) -> None:
        rows, where = self.rows, _where(way, waits)
        assert rows is not None
        if self.ordered:
            assert got == rows[: len(got)], f"{where}: the rows {got!r} are not the first ones of {rows!r}"
        elif self.ordered is not None:
            left = list(rows)
            for row in got:
                assert row in left, f"{where}: the row {row!r} came twice, or is none of {rows!r}"
                left.remove(row)

    def _run(self, way: Way, waits: list[Wait]) -> tuple[list[Any], Rack, BaseException | None]:
        threads = set(threading.enumerate())
        with virtual_time(way.seed) as clock:
            loop = clock.loop()
            rack = Rack(loop, way)
            register(loop, rack)
            try:
                with asyncio.Runner(loop_factory=lambda: loop) as runner:
                    got, error = runner.run(_scene(self.make_flow(), rack))
                left = [f"the thread {each.name!r} is alive" for each in _threads_since(threads)]
                if left:
                    raise Leftover("; ".join(left))
                nothing_left(*self.tracked())
                if self.check is not None:
                    self.check()
            except Leftover as found:
                raise Leftover(f"{_where(way, waits)}: {found}") from None
            except BaseException as failure:
                failure.add_note(f"flow.testing.torture: {_where(way, waits)}")
                raise
            finally:
                loop.set_exception_handler(None)  # it holds the rack, with which the loop is registered for good
        return got, rack, error


def _where(way: Way, waits: list[Wait]) -> str:
    if way.name in AT_WAITS and way.step <= len(waits):
        return f"{way} ({waits[way.step - 1]})"
    return str(way)


def _threads_since(before: set[threading.Thread]) -> list[threading.Thread]:
    found = [each for each in threading.enumerate() if each not in before and not each.name.startswith(POOLS)]
    for each in found:
        each.join(LAST_STEPS)
    return [each for each in found if each.is_alive()]


def has_injected(error: BaseException | None) -> bool:
    """Is an Injected the error, or in its group, its context or its cause?"""
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


# --------------------------------------------------------------------------------------------------------------------
# One run


async def _scene(stage: Stage[Any], rack: Rack) -> tuple[list[Any], BaseException | None]:
    got: list[Any] = []
    way = rack.way
    before = {asyncio.current_task()}
    task = asyncio.create_task(_read(stage, rack, got))
    late = way.name in ("broken off", "abandoned")
    if not late:
        # What is left now is left: time that jumps early from here on would hide timers.
        task.add_done_callback(lambda _: rack.calm())
    if way.name == "cancelled":
        rack.victim = task
    await asyncio.wait([task])  # a flow that hangs ends in a Deadlock
    error = asyncio.CancelledError() if task.cancelled() else task.exception()
    for _ in range(5):  # what such a run still has to wait for is finished by callbacks
        await asyncio.sleep(3600 if late else 0)
    left = asyncio.all_tasks() - before
    if left:
        raise Leftover(f"tasks are left: {sorted(each.get_name() for each in left)}")
    timers = timers_of(asyncio.get_running_loop())
    if timers:
        raise Leftover(f"timers are left: {timers!r}")
    return got, error


async def _read(stage: Stage[Any], rack: Rack, got: list[Any]) -> None:
    """Reads a stage as the way says."""
    name, step = rack.way.name, rack.way.step
    if name == "broken off":
        await _some(stage, step, got)
    elif name in ("closed", "cleanup failed"):
        async with stage.open(cleanup=math.inf) as rows:
            while len(got) < step:
                got.append(await anext(rows))
            rack.fails_next = name == "cleanup failed"
        rack.fails_next = False
    elif name == "abandoned":
        await Deserting(_some(stage, -1, got), rack)
    elif name == "timed out":
        rack.limit = asyncio.timeout(None)
        try:
            async with rack.limit:
                await _all(stage, got)
        except TimeoutError:
            if not rack.limit.expired():
                raise
        await asyncio.sleep(0)  # a cancel that is left in the task would come out here
    else:
        await _all(stage, got)


async def _some(stage: Stage[Any], count: int, got: list[Any]) -> None:
    if count == 0:
        return
    async for row in stage:
        got.append(row)
        if len(got) == count:
            break


async def _all(stage: Stage[Any], got: list[Any]) -> None:
    # Time may jump early here, over any deadline, so cleanups get all they want.
    async with stage.open(cleanup=math.inf) as rows:
        async for row in rows:
            got.append(row)
