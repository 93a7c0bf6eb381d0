"""Hooks, the valve, and collect().

CONTRACT 2-5, 8, 9, 12, 14-19, 22, 25.
"""

from __future__ import annotations

import asyncio
import collections
import itertools
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing
from twisted.internet import defer

import flow
from flow.stages import hooks
from flow.testing import Tracked, nothing_left, torture, virtual_time
from tests.docs.test_docstrings import example_of, run_statements

from .when import both

Read = Callable[[flow.Stage[Any]], list[tuple[Any, float]]]
Log = list[Any]


def rows_of(read: Read, stage: flow.Stage[Any]) -> list[Any]:
    return [row for row, _ in read(stage)]


class Telling:
    """An iterator, not a generator, that notes what is done to it."""

    def __init__(self, log: Log, *rows: Any, fail: Exception | None = None, close: Exception | None = None) -> None:
        self.log, self.rows, self.fail, self.failing_close = log, iter(rows), fail, close

    def __iter__(self) -> Telling:
        return self

    def __next__(self) -> Any:
        self.log.append("asked")
        try:
            return next(self.rows)
        except StopIteration:
            if self.fail is not None:
                raise self.fail from None
            raise

    def close(self) -> None:
        self.log.append("closed")
        if self.failing_close is not None:
            raise self.failing_close


# ------------------------------------------------------------------------------------------------------------------
# What each of them is


@both
def test_on_start_comes_before_the_first_row_is_asked_for(read: Read) -> None:
    """CONTRACT 4: once a run, and not before the run."""
    log: Log = []

    class Twice:
        def __iter__(self) -> Telling:
            return Telling(log, 1, 2)

    stage = flow.wrap(Twice()).on_start(lambda: log.append("start"))
    assert log == []
    assert rows_of(read, stage) == [1, 2]
    assert log == ["start", "asked", "asked", "asked", "closed"]
    log.clear()
    assert rows_of(read, stage[:0]) == []
    assert "start" not in log


@both
def test_on_row_sees_each_row_before_it_is_handed_on(read: Read) -> None:
    """CONTRACT 1, 2, 6: the rows are unchanged, whatever they are and whatever it gives."""
    seen: Log = []
    rows = [1, None, ValueError("x"), [], "text"]
    assert rows_of(read, flow.wrap(rows).on_row(seen.append)) == rows == seen


@both
def test_on_end_is_told_of_the_end(read: Read) -> None:
    """CONTRACT 3: after the last row, before the end is handed on; None, or the very error."""
    log: Log = []
    assert rows_of(read, flow.wrap([1]).on_row(log.append).on_end(log.append)) == [1]
    assert log == [1, None]
    error = ValueError("source")
    log.clear()
    with pytest.raises(ValueError, match="source") as caught:
        read(flow.wrap(Tracked([1], fail=error)).on_end(log.append))
    assert log == [error]
    assert caught.value is error


def test_on_end_is_not_called_where_there_is_no_end() -> None:
    """An early leave, and a cancel, are no end of the rows."""
    log: Log = []
    stage = flow.wrap(Tracked([1, 2], delay=1)).on_end(log.append)

    async def main() -> None:
        task = asyncio.create_task(stage.collect(list))
        await asyncio.sleep(1.5)
        task.cancel()
        await asyncio.wait([task])

    with virtual_time() as clock:
        with stage.open() as rows:
            next(rows)
        clock.run(main())
    assert log == []


@both
def test_finally_comes_when_all_above_is_closed(read: Read) -> None:
    """CONTRACT 14: at the end and at a failure before these are handed on; once."""
    log: Log = []
    stage = flow.wrap(Telling(log, 1)).finally_(lambda: log.append("finally")).on_end(lambda error: log.append("end"))
    assert rows_of(read, stage) == [1]
    assert log == ["asked", "asked", "closed", "finally", "end"]
    log.clear()
    source = Telling(log, 1, fail=ValueError("source"))
    with pytest.raises(ValueError, match="source"):
        read(flow.wrap(source).finally_(lambda: log.append("finally")).on_end(log.append))
    assert log[:-1] == ["asked", "asked", "closed", "finally"]


@both
def test_several_finally_close_upstream_in_order(read: Read) -> None:
    """CONTRACT 14: each closes what is above it, and not what is above another one a second time."""
    log: Log = []
    stage = flow.wrap(Telling(log, 1, 2)).finally_(lambda: log.append("first")).map(str)
    stage = stage.finally_(lambda: log.append("second"))
    assert rows_of(read, stage) == ["1", "2"]
    assert log[-3:] == ["closed", "first", "second"]
    log.clear()
    with (
        flow.wrap(Telling(log, 1, 2))
        .finally_(lambda: log.append("first"))
        .finally_(lambda: log.append("second"))
        .open() as rows
    ):
        next(rows)
    assert log == ["asked", "closed", "first", "second"]


def test_finally_on_every_way_out() -> None:
    """CONTRACT 14: the end, a failure, a break, a close, a cancel; not in a run that asked for no row."""
    log: Log = []
    source = Tracked([1, 2, 3], delay=1, cleanup=1)

    async def f() -> None:
        await asyncio.sleep(1)
        log.append(source.is_closed)

    stage = flow.wrap(source).finally_(f)

    async def cancelled() -> None:
        task = asyncio.create_task(stage.collect(list))
        await asyncio.sleep(1.5)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    async def broken_off() -> None:
        async for _ in stage:
            break
        await asyncio.sleep(10)

    async def closed() -> None:
        async with stage.open() as rows:
            await anext(rows)

    with virtual_time() as clock:
        assert list(stage) == [1, 2, 3]
        with stage.open() as rows:
            next(rows)
        for _ in stage:
            break
        for way in (cancelled, broken_off, closed):
            clock.run(way())
        assert log == [True] * 6
        with stage.open():
            pass
        stage.on_start(lambda: 1)
        assert list(stage[:0]) == []
    assert len(log) == 6
    nothing_left(source)


# ------------------------------------------------------------------------------------------------------------------
# How they are called


@both
def test_hooks_may_wait(read: Read) -> None:
    """CONTRACT 9: async ones are awaited, plain ones may call flow.wait."""
    log: Log = []

    async def note(what: Any = "called") -> None:
        await asyncio.sleep(1)
        log.append(what)

    def waits(what: Any = "called") -> None:
        flow.wait(note(what))

    for f in (note, partial(note), waits, lambda *args: note(*args)):
        log.clear()
        stage = flow.wrap([1, 2]).on_start(f).on_row(f).on_end(f).finally_(f)
        assert read(stage) == [(1, 2), (2, 3)]
        assert log == ["called", 1, 2, None, "called"]


@both
def test_a_hook_that_fails_ends_the_run(read: Read) -> None:
    """CONTRACT 3, 14, 17: with its own error; the row for which it failed is not delivered; all is closed."""

    def fail(*_: Any) -> None:
        raise KeyError("hook")

    for attach, rows in (
        (lambda stage: stage.on_start(fail), []),
        (lambda stage: stage.on_row(lambda row: row == 2 and fail()), [1]),
        (lambda stage: stage.on_end(fail), [1, 2]),
        (lambda stage: stage.finally_(fail), [1, 2]),
    ):
        source = Tracked([1, 2])
        got: Log = []
        with pytest.raises(KeyError, match="hook"):
            read(attach(flow.wrap(source)).on_row(got.append))
        assert got == rows
        assert source.is_closed
        assert source.asked == len(rows) + (rows == [1])


@both
def test_a_hook_that_fails_while_an_error_is_on_its_way(read: Read) -> None:
    """CONTRACT 16: the two come together, the first one first; a failing close is a third."""

    def fail(*_: Any) -> None:
        raise KeyError("hook")

    for attach in (lambda stage: stage.on_end(fail), lambda stage: stage.finally_(fail)):
        with pytest.raises(ExceptionGroup) as caught:
            read(attach(flow.wrap(Tracked([1], fail=ValueError("source")))))
        assert list(map(type, caught.value.exceptions)) == [ValueError, KeyError]
    log: Log = []
    source = Telling(log, 1, fail=ValueError("source"), close=OSError("close"))
    with pytest.raises(ExceptionGroup) as caught:
        read(flow.wrap(source).finally_(fail))
    assert list(map(type, caught.value.exceptions)) == [ValueError, OSError, KeyError]
    assert log.count("closed") == 1


def test_finally_that_fails_while_the_run_is_closed() -> None:
    """CONTRACT 14, 16: whoever closes it is told; after a cancel it is the cancel's context."""

    def fail() -> None:
        raise KeyError("hook")

    source = Tracked([1, 2], delay=1)
    stage = flow.wrap(source).finally_(fail)

    async def main() -> None:
        task = asyncio.create_task(stage.collect(list))
        await asyncio.sleep(1.5)
        task.cancel()
        await asyncio.wait([task])
        with pytest.raises(asyncio.CancelledError) as caught:
            task.result()
        assert isinstance(caught.value.__context__, KeyError)

    with virtual_time() as clock:
        with pytest.raises(KeyError), stage.open() as rows:
            next(rows)
        clock.run(main())
    assert source.is_closed


def test_finally_has_the_deadline_of_cleanups() -> None:
    """CONTRACT 15: after a cancel, 5 s."""
    stage = flow.wrap(Tracked([1, 2], delay=1)).finally_(lambda: flow.sleep(100))

    async def main() -> None:
        task = asyncio.create_task(stage.collect(list))
        await asyncio.sleep(1.5)
        task.cancel()
        await asyncio.wait([task])
        assert clock.time() == 6.5

    with virtual_time() as clock:
        clock.run(main())


@both
def test_a_stop_iteration_in_a_hook(read: Read) -> None:
    """CONTRACT 19: an error, never an end."""

    def stop(*_: Any) -> None:
        raise StopIteration

    source = flow.wrap([1, 2])
    for stage in (source.on_start(stop), source.on_row(stop), source.on_end(stop), source.finally_(stop)):
        with pytest.raises(RuntimeError, match="StopIteration"):
            read(stage)


@pytest.mark.parametrize("name", ["on_start", "on_row", "on_end", "finally_"])
def test_wrong_hooks_fail_when_built(name: str) -> None:
    """CONTRACT 22."""
    with pytest.raises(TypeError, match=rf"{name}\(f\) must be a function of"):
        getattr(flow.wrap([1]), name)(1)


@pytest.mark.parametrize("name", ["on_start", "on_row", "on_end", "finally_"])
def test_hooks_hold_nothing(name: str) -> None:
    """CONTRACT 4: one row at a time."""
    source = Tracked(range(10))
    with getattr(flow.wrap(source), name)(lambda *_: None).open() as rows:
        next(rows)
        next(rows)
        assert source.asked == 2
    assert source.is_closed


@pytest.mark.parametrize("name", ["on_start", "on_row", "on_end", "finally_"])
def test_torture(name: str) -> None:
    """CONTRACT 14-16: with a hook that waits, and a source that waits while it is closed."""
    sources: list[Tracked[int]] = []
    called: Log = []

    def f(*args: Any) -> None:
        called.append("begun")
        flow.sleep(1)

    def make() -> flow.Stage[Any]:
        called.clear()
        sources[:] = [Tracked(range(3), delay=1, cleanup=1)]
        return getattr(flow.wrap(sources[0]), name)(f)

    def check() -> None:
        if name == "finally_":
            assert called.count("begun") == sources[0].opened, called

    report = torture(make, tracked=lambda: sources, check=check, seeds=(None, 1, 2))
    assert report.rows == [0, 1, 2]


# ------------------------------------------------------------------------------------------------------------------
# Valve


@both
def test_a_closed_valve_holds_rows_up(read: Read) -> None:
    """CONTRACT 5, 8, 21: one that was asked for before waits there, and the source is not asked for another."""
    valve = flow.Valve()
    source = Tracked(range(4), delay=1)

    def at(seconds: float, f: Callable[[], object]) -> Callable[[Iterable[Any]], Iterator[Any]]:
        class Later(flow.CallLater):
            def callLater(self, resume: Any) -> None:
                resume.loop.call_later(seconds, f)
                resume()

        def stage(rows: Iterable[Any]) -> Iterator[Any]:
            flow.wait(Later())
            yield from rows

        return stage

    stage = flow.wrap(source).through(valve) | at(1.5, valve.close) | at(10, valve.open)
    assert read(stage) == [(0, 1), (1, 10), (2, 11), (3, 12)]


def test_a_valve_that_is_closed_before_the_run_begins() -> None:
    """CONTRACT 4: nothing is asked for; opened, everything comes."""
    valve = flow.Valve(is_open=False)
    source = Tracked([1, 2])

    async def main() -> None:
        reading = asyncio.create_task(flow.wrap(source).through(valve).collect(list))
        await asyncio.sleep(100)
        assert source.opened == 0
        valve.open()
        assert await reading == [1, 2]

    with virtual_time() as clock:
        clock.run(main())
        assert clock.time() == 100


def test_a_valve_for_several_runs() -> None:
    """One valve holds up all flows that pass it, and lets all of them go."""
    valve = flow.Valve(is_open=False)

    async def main() -> None:
        readings = [asyncio.create_task(flow.wrap([n]).through(valve).collect(list)) for n in range(5)]
        await asyncio.sleep(1)
        assert not any(each.done() for each in readings)
        valve.open()
        assert [await each for each in readings] == [[n] for n in range(5)]

    with virtual_time() as clock:
        clock.run(main())


def test_a_valve_is_opened_and_closed_from_any_thread() -> None:
    """CONTRACT 25: no wake-up is lost, however the two race; on asyncio and in a script."""
    valve = flow.Valve()
    done = threading.Event()

    def work() -> None:
        for _ in range(300):
            valve.close()
            valve.open()
        done.set()

    async def main() -> list[int]:
        return await flow.wrap(range(3000)).map(lambda n: flow.cooperate() or n).through(valve).collect(list)

    thread = threading.Thread(target=work)
    thread.start()
    assert asyncio.run(main()) == list(range(3000))
    thread.join()
    valve.close()
    opener = threading.Timer(0.02, valve.open)
    opener.start()
    assert list(flow.wrap([1, 2]).through(valve)) == [1, 2]
    opener.join()
    assert valve.is_open


def test_opening_and_closing_again_before_the_flow_goes_on() -> None:
    """CONTRACT 8: it looks again when it is woken: a row does not pass a closed valve."""
    valve = flow.Valve(is_open=False)

    async def main() -> None:
        reading = asyncio.create_task(flow.wrap([1]).through(valve).collect(list))
        await asyncio.sleep(1)
        valve.open()
        valve.close()
        await asyncio.sleep(1)
        assert not reading.done()
        valve.open()
        valve.open()
        assert await reading == [1]

    with virtual_time() as clock:
        clock.run(main())


def test_a_flow_that_waits_at_a_valve_is_cancelled() -> None:
    """CONTRACT 15, 24: and the valve forgets it."""
    valve = flow.Valve(is_open=False)

    async def main() -> None:
        task = asyncio.create_task(flow.wrap([1]).through(valve).collect(list))
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    with virtual_time() as clock:
        clock.run(main())
    assert valve._waiting == []  # pyright: ignore[reportPrivateUsage]
    assert repr(valve) == "<flow.Valve closed>"


def test_a_stop_does_not_open_a_valve() -> None:
    """A row in flight waits there as long as it must; drain() gives it up."""
    valve = flow.Valve()

    async def main() -> None:
        source = Tracked(range(4), delay=1)
        async with flow.wrap(source).through(valve).open() as run:
            reading = asyncio.ensure_future(anext(run))
            await asyncio.sleep(0.5)
            valve.close()
            await asyncio.sleep(1)
            run.stop()
            await asyncio.sleep(5)
            assert not reading.done()
            receipt = await run.drain(1)
            assert receipt.rows_in_flight == (0,)
            with pytest.raises(flow.DrainTimeoutError):
                await reading

    with virtual_time() as clock:
        clock.run(main())


def test_what_is_no_valve() -> None:
    """CONTRACT 22."""
    with pytest.raises(TypeError, match="takes a flow.Valve, not int"):
        flow.wrap([1]).through(1)  # type: ignore[arg-type]


def test_torture_of_a_valve() -> None:
    """CONTRACT 14-16: it is closed again and again, and opened by a timer."""
    sources: list[Tracked[int]] = []

    class Later(flow.CallLater):
        def __init__(self, f: Callable[[], object]) -> None:
            self.f = f

        def callLater(self, resume: Any) -> None:
            resume.loop.call_later(0.5, self.f)
            resume()

    def make() -> flow.Stage[Any]:
        valve = flow.Valve()
        sources[:] = [Tracked(range(3), delay=1, cleanup=1)]

        def shut(row: int) -> None:
            valve.close()
            flow.wait(Later(valve.open))

        return flow.wrap(sources[0]).on_row(shut).through(valve)

    report = torture(make, tracked=lambda: sources, seeds=(None, 1, 2), ways=("failed", "broken off", "closed"))
    assert report.rows == [0, 1, 2]


# ------------------------------------------------------------------------------------------------------------------
# collect


FUNCTIONS: dict[str, tuple[Callable[[Iterator[Any]], Any], Any]] = {
    "list": (list, [3, 1, 2, 3]),
    "sum": (sum, 9),
    "set": (set, {1, 2, 3}),
    "max": (max, 3),
    "sorted": (sorted, [1, 2, 3, 3]),
    "Counter": (collections.Counter, collections.Counter({3: 2, 1: 1, 2: 1})),
    "drained": (collections.deque[Any](maxlen=0).extend, None),
    "partial": (partial(sorted, reverse=True), [3, 3, 2, 1]),
    "dict": (lambda rows: dict(enumerate(rows)), {0: 3, 1: 1, 2: 2, 3: 3}),
    "next": (next, 3),
    "any": (any, True),
    "first two": (lambda rows: list(itertools.islice(rows, 2)), [3, 1]),
    "nothing read": (lambda rows: "nothing", "nothing"),
    "waits": (lambda rows: [flow.sleep(1) or row for row in rows], [3, 1, 2, 3]),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("loop", ["asyncio", "trio", "twisted"])
def test_collect_takes_any_function_of_an_iterable(name: str, loop: str) -> None:
    """CONTRACT 12, 14: run inside of the flow; what it leaves is not read, and all is closed."""
    f, expected = FUNCTIONS[name]
    source = Tracked([3, 1, 2, 3], delay=1, cleanup=1)

    async def main() -> Any:
        return await flow.wrap(source).collect(f)

    with virtual_time(loop=loop) as clock:
        assert clock.run(main()) == expected
    assert source.is_closed
    nothing_left(source)


def test_collect_is_a_list_without_a_function() -> None:
    """As `await rows`."""

    async def main() -> None:
        assert await flow.wrap([1, 2]).collect() == await flow.wrap([1, 2]) == [1, 2]

    asyncio.run(main())


def test_what_collect_does_not_take() -> None:
    """CONTRACT 22: at once, with what to write instead; nothing is read."""

    async def total(rows: AsyncIterator[int]) -> int:
        return 1

    source = Tracked([1])
    for f, text in ((1, "needs a function"), (total, "is async"), (partial(total), "is async")):
        with pytest.raises(TypeError, match=text):
            flow.wrap(source).collect(f)  # type: ignore[call-overload]
    assert source.opened == 0

    async def main() -> None:
        with pytest.raises(TypeError, match="gave a coroutine"):
            await flow.wrap(source).collect(lambda rows: total(rows))

    asyncio.run(main())


def test_a_failure_in_collect() -> None:
    """CONTRACT 3, 17: the very error, of the flow or of the function, which sees the first; a StopIteration is one."""
    seen: Log = []

    def f(rows: Iterator[int]) -> int:
        try:
            return sum(rows)
        except ValueError as error:
            seen.append(error)
            raise

    async def main() -> None:
        error = ValueError("source")
        with pytest.raises(ValueError, match="source") as caught:
            await flow.wrap(Tracked([1], fail=error)).collect(f)
        assert caught.value is error
        assert seen == [error]
        source = Tracked([1, 2])
        with pytest.raises(ZeroDivisionError):
            await flow.wrap(source).collect(lambda rows: next(rows) / 0)
        assert source.is_closed
        with pytest.raises(RuntimeError, match="next raised StopIteration"):
            await flow.wrap([]).collect(next)

    asyncio.run(main())


def test_a_cancel_in_collect() -> None:
    """CONTRACT 15: raised where the function waits for a row."""
    source = Tracked(range(10), delay=1, cleanup=1)

    async def main() -> None:
        task = asyncio.create_task(flow.wrap(source).collect(sum))
        await asyncio.sleep(2.5)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert source.is_closed

    with virtual_time() as clock:
        clock.run(main())


def test_collect_in_a_script(monkeypatch: pytest.MonkeyPatch) -> None:
    """It needs a loop; the error says so when it is awaited, and Python when it is not."""
    monkeypatch.delitem(sys.modules, "twisted.internet.reactor", raising=False)  # of another test: that is a loop, too
    coroutine = flow.wrap([1]).collect(sum)
    with pytest.raises(flow.NotReadyError, match="no event loop"):
        coroutine.send(None)


def test_collect_is_fair() -> None:
    """CONTRACT 10: a function that reads a ready source for long gives the loop its turns."""

    async def main() -> None:
        turns = 0

        async def ticker() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        ticking = asyncio.create_task(ticker())
        rows: Any = (n for n in range(10**6))
        await flow.wrap(rows).collect(collections.deque[Any](maxlen=0).extend)
        ticking.cancel()
        assert turns > 3

    asyncio.run(main())


def test_collect_on_twisted() -> None:
    """CONTRACT 12: in a Deferred, too."""
    got: Log = []

    def main() -> Any:
        return defer.ensureDeferred(flow.wrap([1, flow.Cooperate(1), 2]).collect(sum)).addCallback(got.append)

    async def awaited() -> None:
        await main()

    with virtual_time(loop="twisted") as clock:
        clock.run(awaited())
    assert got == [3]


def test_collect_in_trio_is_cancelled_by_a_scope() -> None:
    """CONTRACT 15."""
    source = Tracked(range(10), delay=1)

    async def main() -> None:
        with trio.move_on_after(2.5) as scope:
            await flow.wrap(source).collect(sum)
        assert scope.cancelled_caught

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert source.is_closed


@pytest.mark.parametrize("name", ["on_start", "on_row", "on_end", "finally_", "collect"])
def test_the_examples_are_right(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = example_of(getattr(hooks, name))
    assert code is not None
    run_statements(code)
