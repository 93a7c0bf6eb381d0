"""Every stage keeps the promises that all of them make: CONTRACT 2-5, 8, 14-16, 20-22, one by one.

The samples are in `every.py`, by the names in the table of operators; a stage that has none fails here. What each stage
is for has tests beside its own file.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable, Iterator
from itertools import chain, count, islice
from pathlib import Path
from typing import Any

import pytest

import flow
from flow.testing import Tracked, nothing_left, torture, virtual_time
from flow.testing.rack import WAYS

from .every import EXEMPT, SAMPLES

sys.path.insert(0, str(Path(__file__).parents[2] / "docs" / "draw"))
import operators

sys.path.pop(0)

MANY = 1500
"""Rows for what must stay flat."""

every = pytest.mark.parametrize("name", SAMPLES)
with_input = pytest.mark.parametrize("name", [name for name, sample in SAMPLES.items() if sample.inputs])
held_back = pytest.mark.parametrize(
    "name", [name for name, sample in SAMPLES.items() if sample.inputs and sample.ahead is not None]
)


def test_every_stage_has_a_sample() -> None:
    """A name in the table of operators is a stage, with a sample, or stands in EXEMPT, with its reason."""
    names = {entry.name for entry in operators.entries() if not entry.name.startswith(("flow.testing.", "flow.web."))}
    sampled = {name.partition(": ")[0] for name in SAMPLES}
    assert names - sampled - set(EXEMPT) == set(), "write samples of them in tests/stages/every.py"
    assert (sampled | set(EXEMPT)) - names == set(), "these are not there"
    assert sampled & set(EXEMPT) == set()


def built(name: str, **options: Any) -> tuple[flow.Stage[Any], list[Tracked[Any]]]:
    """A sample over tracked sources, and those."""
    sample = SAMPLES[name]
    sources = [Tracked(sample.rows, name=f"input {number}", **options) for number in range(sample.inputs)]
    return sample.make(*map(flow.wrap, sources)), sources


def whole(name: str) -> list[Any]:
    """The rows of an undisturbed run."""
    stage, _ = built(name)
    with virtual_time():
        return list(stage)


def closed(sources: list[Tracked[Any]]) -> None:
    nothing_left(*sources)
    assert all(source.closed == source.opened for source in sources)


def settled(main: Callable[[], Any], sources: list[Tracked[Any]]) -> Any:
    """Runs a coroutine function on virtual time, gives what goes on by itself time to end, and looks what is open."""

    async def scene() -> Any:
        outcome = await main()
        await asyncio.sleep(3600)
        return outcome

    with virtual_time() as clock:
        outcome = clock.run(scene())
    closed(sources)
    return outcome


# ------------------------------------------------------------------------------------------------------------------
# Rows, and laziness


@every
def test_it_finishes(name: str) -> None:
    """CONTRACT 2, 14: rows come, the end comes, each source is closed once; and the same on asyncio as in a script."""
    rows = whole(name)
    assert rows
    stage, sources = built(name)

    async def main() -> list[Any]:
        return [row async for row in stage]

    again = settled(main, sources)
    assert len(again) == len(rows)
    if SAMPLES[name].ordered:
        assert list(map(repr, again)) == list(map(repr, rows))
    assert all(source.opened <= 1 for source in sources)


@with_input
def test_it_is_lazy(name: str) -> None:
    """CONTRACT 4: nothing is opened before the first row is asked for."""
    stage, sources = built(name)
    repr(stage)
    rows = iter(stage)
    assert not any(source.opened for source in sources)
    rows.close()  # type: ignore[attr-defined]
    stage.blocks()
    stage.open()
    assert not any(source.opened for source in sources)


@held_back
def test_it_works_no_further_ahead_than_it_says(name: str) -> None:
    """CONTRACT 4, 21: a reader that is busy for long finds its sources where it left them, but for what is stated."""
    sample = SAMPLES[name]
    endless = (sample.rows[number % len(sample.rows)] for number in count())
    sources = [Tracked(endless) for _ in range(sample.inputs)]
    stage = sample.make(*map(flow.wrap, sources))
    got = 0

    async def main() -> None:
        nonlocal got
        async with stage.open() as rows:
            async for _ in rows:
                got += 1
                await asyncio.sleep(100)
                for source in sources:
                    assert sample.ahead is not None
                    assert source.asked <= got * sample.needs + sample.ahead, source
                if got == 4:
                    break

    settled(main, sources)


@with_input
def test_it_holds_no_more_than_it_says(name: str) -> None:
    """CONTRACT 20: of many rows only a few are alive at any time, however the reader reads."""
    sample = SAMPLES[name]

    class Counted(type(sample.rows[0])):  # type: ignore[misc]
        alive = peak = 0

        def __new__(cls, value: Any) -> Any:
            Counted.alive += 1
            Counted.peak = max(Counted.peak, Counted.alive)
            return super().__new__(cls, value)

        def __del__(self) -> None:
            Counted.alive -= 1

    def rows() -> Iterator[Any]:
        for number in range(MANY):
            if sample.cycles and number % 10 == 0:
                gc.collect()
            yield Counted(sample.rows[number % len(sample.rows)])

    sources = [Tracked(rows()) for _ in range(sample.inputs)]
    stage = sample.make(*map(flow.wrap, sources))
    with virtual_time():
        row = None
        for row in stage:
            pass
        del row
    # One on its way in each source, in the stage that reads it, and in the reader's own hand.
    most = sample.inputs * (sample.holds + 2) + 2 * sample.needs
    del stage
    gc.collect()
    assert Counted.peak <= most, f"{Counted.peak} rows were alive at a time"
    assert Counted.alive == 0


# ------------------------------------------------------------------------------------------------------------------
# Waiting


@with_input
def test_only_its_own_wait_resumes_it(name: str) -> None:
    """CONTRACT 8: beside an input that ticks all the time, its sources are asked and answer at the very same times."""

    def times(noisy: bool) -> list[list[float]]:
        stage, sources = built(name, delay=[1, 0.25, 2])
        noise = flow.wrap(flow.Cooperate(0.1) for _ in range(200)) if noisy else flow.wrap([])
        with virtual_time():
            list(flow.Merge(stage, noise))
        closed(sources)
        return [source.given_at for source in sources]

    assert [list(map(round_up, each)) for each in times(True)] == [list(map(round_up, each)) for each in times(False)]


def round_up(seconds: float) -> float:
    return round(seconds, 6)


# ------------------------------------------------------------------------------------------------------------------
# Ends


def reached(error: BaseException, wanted: BaseException) -> bool:
    """Is it the error, or in its group, its context or its cause?"""
    todo: list[BaseException | None] = [error]
    seen: list[BaseException] = []
    while todo:
        each = todo.pop()
        if each is wanted:
            return True
        if each is None or any(each is other for other in seen):
            continue
        seen.append(each)
        todo += [each.__context__, each.__cause__, *(each.exceptions if isinstance(each, BaseExceptionGroup) else ())]
    return False


@with_input
def test_a_failure_above(name: str) -> None:
    """CONTRACT 3, 14, 16, 17: it reaches the reader as itself, after the rows before it; all is closed."""
    sample, rows = SAMPLES[name], whole(name)
    failure = ValueError("above")
    stage, sources = built(name, fail=failure)
    got: list[Any] = []
    raised: BaseException | None = None
    with virtual_time():
        try:
            for row in stage:
                got.append(row)
        except ValueError as error:
            raised = error
    closed(sources)
    if not sample.catches:
        assert raised is failure or (sample.inputs > 1 and raised is None), raised
    if not sample.loses and not sample.catches:
        assert len(got) == len(rows)
    if sample.catches and not sample.loses:
        assert raised is None
        assert len(got) >= len(rows)


@with_input
def test_a_failure_above_and_one_while_closing(name: str) -> None:
    """CONTRACT 16: a failure of the cleanup never hides the first one, and is never dropped."""
    sample = SAMPLES[name]
    if sample.catches:
        pytest.skip("what it catches is its affair")
    failures = [(ValueError(f"above {number}"), OSError(f"closing {number}")) for number in range(sample.inputs)]
    sources = [Tracked(sample.rows, fail=failure, cleanup_fail=closing, cleanup=1) for failure, closing in failures]
    with virtual_time(), pytest.raises(BaseException) as caught:  # noqa: PT011  # which of them, in what: see below
        list(sample.make(*map(flow.wrap, sources)))
    for source, (failure, closing) in zip(sources, failures, strict=True):
        if source.opened:
            assert reached(caught.value, closing)
    assert any(reached(caught.value, failure) for failure, _ in failures)
    closed(sources)


@every
def test_a_failure_below(name: str) -> None:
    """CONTRACT 14, 17: a stage below fails on the first row: its error is raised as itself, all above is closed."""
    failure = ValueError("below")

    def failing(rows: Iterator[Any]) -> Iterator[Any]:
        for row in rows:
            raise failure
            yield row

    stage, sources = built(name, delay=0.5, cleanup=1)
    with virtual_time(), pytest.raises(ValueError, match="below") as caught:
        list(stage | failing)
    assert caught.value is failure
    closed(sources)


@every
def test_a_cancel(name: str) -> None:
    """CONTRACT 15: a cancel while it waits is the loop's own error, comes once, and leaves nothing open."""
    for seconds in (0, 0.4, 1.2):
        stage, sources = built(name, delay=0.5, cleanup=1)

        async def main(stage: flow.Stage[Any] = stage, seconds: float = seconds) -> str:
            async def read() -> list[Any]:
                return [row async for row in stage]

            task = asyncio.ensure_future(read())
            await asyncio.sleep(seconds)
            done = task.done()
            task.cancel()
            task.cancel()  # idempotent
            await asyncio.wait([task])
            return "done" if done else "cancelled" if task.cancelled() else repr(task.exception())

        outcome = settled(main, sources)
        assert outcome in ("cancelled", "done"), outcome


@pytest.mark.parametrize("loop", ["trio", "twisted"])
@every
def test_a_cancel_elsewhere(name: str, loop: str) -> None:
    """CONTRACT 15: the same on trio and Twisted."""
    stage, sources = built(name, delay=0.5, cleanup=1)

    async def on_trio() -> None:
        import trio

        with trio.move_on_after(0.7):
            async for _ in stage:
                pass
        await trio.sleep(3600)

    async def on_twisted() -> None:
        from twisted.internet import defer, reactor, task

        async def read() -> list[Any]:
            return [row async for row in stage]

        clock: Any = reactor
        reading = defer.Deferred.fromCoroutine(read())
        clock.callLater(0.7, reading.cancel)
        try:
            await reading
        except defer.CancelledError:
            pass
        await task.deferLater(clock, 3600)

    with virtual_time(loop=loop) as clock:
        clock.run(on_trio() if loop == "trio" else on_twisted())
    closed(sources)


@every
def test_an_early_close(name: str) -> None:
    """CONTRACT 14: a scope that is left after a row, or before the first one, has closed all when it is left."""
    for taken in (0, 1):
        stage, sources = built(name, delay=0.5, cleanup=1)
        with virtual_time():
            with stage.open() as rows:
                assert len(list(islice(rows, taken))) == taken
            closed(sources)


@every
def test_an_abandoned_run(name: str) -> None:
    """CONTRACT 14: a reader that breaks off and is dropped, on a loop: what must wait is finished by the loop."""
    stage, sources = built(name, delay=0.5, cleanup=1)

    async def main() -> None:
        async for _ in stage:
            break

    settled(main, sources)


@every
def test_torture(name: str) -> None:
    """CONTRACT 14-16: ended at each of its waits and after each of its rows, in every way, in two orders."""
    sample = SAMPLES[name]
    used: list[Tracked[Any]] = []

    def make_flow() -> flow.Stage[Any]:
        stage, used[:] = built(name, delay=1, cleanup=1)
        return stage | chain.from_iterable if sample.flat else stage

    torture(
        make_flow,
        tracked=lambda: used,
        ordered=sample.ordered,
        seeds=(None,) if sample.patient else (None, 7),
        ways=[way for way in WAYS if way != "failed" or not sample.catches],
        most=200,
    )


# ------------------------------------------------------------------------------------------------------------------
# Arguments


@pytest.mark.parametrize("name", [name for name, sample in SAMPLES.items() if sample.wrong])
def test_wrong_arguments_fail_when_it_is_built(name: str) -> None:
    """CONTRACT 22: in the line that wrote it, before anything is opened."""
    source: Tracked[str] = Tracked("ab")
    for call in SAMPLES[name].wrong:
        with pytest.raises((ValueError, TypeError)):
            call(flow.wrap(source))
    assert source.opened == 0


def test_each_stage_that_takes_an_argument_is_given_wrong_ones() -> None:
    """CONTRACT 22: those without wrong arguments take none that could be wrong, or are said here."""
    without = {name for name, sample in SAMPLES.items() if not sample.wrong and ": " not in name}
    assert without <= {
        "rows | f",
        "rows.pipe",
        "rows.enumerate",
        "rows.as_values",
        "rows.from_values",
        "rows.zip",
        "rows.merge",
        "flow.Zip",
        "flow.Merge",
        "flow.Concurrent",
        "flow.chain",
        "flow.interleave",
        "flow.combine_latest",
        "flow.race",
        "rows.with_latest",
        "flow.LineBreak",
        "flow.to_netstrings",
    }
