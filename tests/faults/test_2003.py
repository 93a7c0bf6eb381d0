"""The faults of the flow module of 2003 (Twisted 1.x), each with the behaviour that holds now.

Ids as in the study of that module: B base, W wrap, S stage, P pipe, C controller, T threads, Q queries. Time is
virtual, and Twisted's reactor is a `task.Clock`.
"""

# ruff: noqa: PT011  # errors without a text: the very instance is compared
from __future__ import annotations

import asyncio
import gc
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import defer, task
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure

import flow
from flow.testing import Deadlock, Tracked, nothing_left, virtual_time

WAIT = 20


class Reactor(task.Clock):
    """Twisted's clock for tests, with what flow also asks of a reactor, and with turns: what a call schedules for now
    is called in the next turn (task.Clock itself would go on for ever with a flow that never ends)."""

    def callFromThread(self, f: Callable[..., object], *arguments: Any) -> None:
        self.callLater(0, f, *arguments)

    def advance(self, amount: float) -> None:
        self.rightNow += amount
        self.turns()

    def turns(self, number: int = 20) -> None:
        """Some turns of the reactor; no time passes."""
        for _ in range(number):
            for call in [each for each in self.calls if each.getTime() <= self.seconds()]:
                if call in self.calls:
                    self.calls.remove(call)
                    call.called = 1
                    call.func(*call.args, **call.kw)


def run(stage: Any, *trap: Any, reactor: Reactor | None = None, **options: Any) -> list[Any]:
    """What a flow.Deferred of the stage has fired with, after some turns: [rows] or [Failure], [] when it has not
    yet."""
    reactor = reactor or Reactor()
    fired: list[Any] = []
    flow.Deferred(stage, *trap, reactor=reactor, **options).addBoth(fired.append)
    reactor.turns()
    return fired


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    """Errors that Twisted logs, "Unhandled error in Deferred" among them."""
    found: list[Any] = []

    def observe(event: Any) -> None:
        if "log_failure" in event:
            found.append(event)

    globalLogPublisher.addObserver(observe)
    yield found
    gc.collect()
    globalLogPublisher.removeObserver(observe)
    assert found == []


def timed(stage: Any) -> list[tuple[Any, float]]:
    """The rows of a stage, each with the virtual time at which it came."""
    with virtual_time() as clock:
        return [(row, clock.time()) for row in flow.wrap(stage)]


# ------------------------------------------------------------------------------------------------------------------
# B: the core


def test_B1_a_stage_is_read_with_for_and_its_end_is_no_exception_to_catch() -> None:
    """2003: yield the stage, call next() on it, and let its StopIteration out as the way to end; since PEP 479 that is
    a RuntimeError. Now: ``for`` reads a stage inside a generator, and the end of the ``for`` is the end. CONTRACT
    19."""
    source = flow.wrap(["a", flow.Cooperate(1), "b"])

    def shouting() -> Iterator[str]:
        for row in source:
            yield row.upper()
        yield "done"

    assert timed(shouting) == [("A", 0), ("B", 1), ("done", 1)]


def test_B1_the_classic_way_still_works_and_next_waits_by_itself() -> None:
    """2003: next() without a ``yield stage`` before it raised NotReadyError. Now: ``yield stage`` waits as it did, and
    next() waits if it must. CONTRACT 9."""
    source = flow.wrap([flow.Cooperate(1), "a", flow.Cooperate(1), "b", flow.Cooperate(1), "c"])

    def classic() -> Iterator[str]:
        yield source
        yield next(source)
        yield next(source)
        yield from source

    assert timed(classic) == [("a", 1), ("b", 2), ("c", 3)]


def test_B1_next_at_the_end_is_an_error_if_nobody_expects_it() -> None:
    """2003: an uncaught StopIteration ended the stage. Now: it is Python's own RuntimeError (PEP 479), never a silent
    end. CONTRACT 19."""
    source = flow.wrap(["a"])

    def reads_two() -> Iterator[str]:
        yield next(source)
        yield next(source)

    got = []
    with pytest.raises(RuntimeError, match="StopIteration"):
        for row in flow.wrap(reads_two):
            got.append(row)
    assert got == ["a"]


def test_B1_a_yield_gives_the_value() -> None:
    """2003: the driver had no way to hand a value to the generator. Now: ``x = yield awaitable`` does. CONTRACT 9."""

    async def answer() -> int:
        await asyncio.sleep(1)
        return 42

    def asks() -> Iterator[Any]:
        got = yield answer()
        yield got

    assert timed(asks) == [(42, 1)]


def test_B2_an_end_and_a_failure_are_one_event_after_all_rows() -> None:
    """2003: a stage with both `stop` and `failure` lost the failure. Now: one terminal event, after all rows. CONTRACT
    3."""
    error = OSError("gone")
    rows: flow.Callback[int] = flow.Callback()
    rows.result(1)
    rows.errback(error)
    with pytest.raises(flow.ClosedError):
        rows.finish()
    got = []
    with pytest.raises(OSError) as raised:
        for row in rows:
            got.append(row)
    assert (got, raised.value) == ([1], error)


def test_B3_a_trapped_error_is_the_exception_itself() -> None:
    """2003: a trapped error was returned as its class, without text and traceback. Now: the instance is the last row,
    with its traceback. CONTRACT 17, 6."""
    error = OSError("the text")
    (row, last) = list(flow.wrap(Tracked([1], fail=error), OSError))
    assert row == 1
    assert last is error
    assert last.__traceback__ is not None
    assert run(flow.wrap(Tracked([1], fail=error)), OSError) == [[1, error]]


def test_B3_what_is_not_trapped_is_raised() -> None:
    """2003 and now: a trap is for its own types. CONTRACT 17."""
    with pytest.raises(OSError):
        list(flow.wrap(Tracked([1], fail=OSError()), ValueError))
    with pytest.raises(TypeError, match="trap"):
        flow.wrap([1], "OSError")  # type: ignore[call-overload]


def test_B4_an_unsupported_instruction_is_reported_as_such() -> None:
    """2003: Unsupported's own constructor raised TypeError. Now: Unsupported, which names what can't be obeyed, is
    raised where the chain waits. CONTRACT 9."""

    class Strange(flow.Instruction):
        pass

    strange = Strange()

    def asks() -> Iterator[Any]:
        try:
            yield strange
        except flow.Unsupported as error:
            yield str(error)

    (text,) = list(flow.wrap(asks))
    assert "Strange" in text
    assert isinstance(flow.Unsupported("x"), NotImplementedError)
    assert run(flow.wrap(asks))[0] == [text.replace("a script", "Twisted")]

    class Silent(flow.CallLater):
        pass

    with pytest.raises(flow.Unsupported, match="callLater"):
        list(flow.wrap([Silent()]))


def test_B5_no_loop_is_imported_with_flow() -> None:
    """2003: importing flow imported the global reactor. Now: no loop's library comes with ``import flow``, and the
    loop is looked up when a run starts. CONTRACT 12."""
    code = (
        "import flow, sys; list(flow.wrap([1])); print([m for m in ('twisted', 'trio', 'uvloop') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_B5_a_wait_can_be_called_off() -> None:
    """2003: Cooperate had no handle, so its timer ran on. Now: cancelling a run cancels its timers. CONTRACT 15."""
    reactor = Reactor()
    fired: list[Any] = []
    d = flow.Deferred(flow.wrap([flow.Cooperate(3600), 1]), reactor=reactor)
    d.addBoth(fired.append)
    reactor.turns()
    assert reactor.getDelayedCalls() != []
    d.cancel()
    reactor.turns()
    assert isinstance(fired[0].value, defer.CancelledError)
    assert reactor.getDelayedCalls() == []


def test_B6_whatever_way_a_run_ends_its_sources_are_closed() -> None:
    """2003: no close, no cancel; an abandoned source stayed open, and its timers and threads ran on. Now: end, break,
    failure and cancel close everything, each once, in order. CONTRACT 14."""
    log: list[tuple[str, str]] = []
    source = Tracked(range(5), name="source", log=log, delay=1)
    stage = flow.wrap(source) | Tracked(name="below", log=log)

    async def cancelled() -> None:
        async with asyncio.timeout(2.5):
            async for _ in stage:
                pass

    with virtual_time() as clock:
        list(stage)
        with stage.open() as rows:
            next(rows)
        with pytest.raises(ZeroDivisionError):
            list(stage.map(lambda row: 1 // 0))
        with pytest.raises(TimeoutError):
            clock.run(cancelled())
        for _ in stage:
            break
        gc.collect()
    # What ends the run in the source (its own end, a cancel where it waits) passes the source first; a close from below
    # comes to the stages below first.
    above, below = ["source", "below"], ["below", "source"]
    assert [name for name, what in log if what == "closed"] == [*above, *below, *below, *above, *below]
    assert source.opened == source.closed == 5
    nothing_left(source)


def test_B7_anything_can_be_data() -> None:
    """2003: a Deferred, a Stage, a Failure or a Cooperate could never be a row. Now: in plain stages everything is
    data, and in classic ones ``flow.Row(x)`` passes anything. CONTRACT 6."""
    values = [defer.Deferred(), flow.wrap([1]), Failure(OSError()), flow.Cooperate(5), OSError(), StopIteration(), None]

    def classic() -> Iterator[Any]:
        for value in values:
            yield flow.Row(value)

    def plain(rows: Iterator[Any]) -> Iterator[Any]:
        yield from values

    with virtual_time() as clock:
        assert list(flow.wrap(classic)) == values
        assert list(flow.wrap([1]) | plain) == values
        assert list(flow.wrap([flow.Row(value) for value in values])) == values
        assert clock.time() == 0


def test_B8_the_time_for_a_list_grows_in_line_with_it() -> None:
    """2003: each row was taken from the front of a list, which is quadratic: 20,000, 40,000, 80,000 rows took 0.12,
    0.44, 1.53 s. Now: eight times the rows take about eight times as long (quadratic: 64). CONTRACT 20."""

    def seconds(size: int) -> float:
        rows = list(range(size))
        took = []
        for _ in range(5):
            began = time.process_time()
            assert sum(1 for _ in flow.Merge(rows).map(abs)) == size
            took.append(time.process_time() - began)
        return min(took)

    assert seconds(40_000) / seconds(5_000) < 24


def test_B9_two_readers_never_share_the_rows_of_one_run() -> None:
    """2003: two consumers of one stage split its items silently. Now: each iteration is a run of its own, where the
    source allows it; where not, the second raises; and two tasks that ask one run at the same time get BusyError.
    CONTRACT 7."""
    stage = flow.wrap([1, 2, 3])
    assert list(zip(stage, stage, strict=True)) == [(1, 1), (2, 2), (3, 3)]

    once = flow.wrap(row for row in [1, 2, 3])
    with once.open() as rows:
        assert next(rows) == 1
        with pytest.raises(flow.AlreadyReadError):
            list(once)
        assert list(rows) == [2, 3]

    async def main() -> None:
        async with flow.wrap([flow.Cooperate(1), 1, 2]).open() as rows:
            first = asyncio.create_task(anext(rows))  # type: ignore[arg-type]
            await asyncio.sleep(0.5)
            with pytest.raises(flow.BusyError):
                await anext(rows)
            assert await first == 1
            assert await anext(rows) == 2

    with virtual_time() as clock:
        clock.run(main())


# ------------------------------------------------------------------------------------------------------------------
# W: wrap


def test_W1_rows_before_an_instruction_are_delivered_before_it() -> None:
    """2003: a list returned its Cooperate first; the docstring's own example printed "one" at 1.0 s. Now: at 0.0.
    CONTRACT 5."""
    rows = ["one", flow.Cooperate(1), "two", flow.Cooperate(0.5), "three"]
    wanted = [("one", 0), ("two", 1), ("three", 1.5)]
    assert timed(rows) == wanted
    assert timed(tuple(rows)) == wanted
    assert timed(row for row in rows) == wanted


def test_W2_a_list_is_read_as_it_is_asked_for() -> None:
    """2003: the whole list was copied and pushed at once. Now: rows are handed on as they are asked for; what changes
    in a long list ahead of the reader is seen. CONTRACT 4."""
    rows = list(range(5000))
    with flow.wrap(rows).open() as reader:
        assert next(reader) == 0
        rows[4999] = -1
        assert list(reader)[-1] == -1
    source = Tracked(range(100))
    assert list(flow.wrap(source)[:3]) == [0, 1, 2]
    assert source.asked == 3


@pytest.mark.parametrize(
    "make",
    [
        lambda: flow.wrap(count()),
        lambda: flow.wrap(count()).filter(lambda row: False),
        lambda: flow.wrap([0]).flat_map(lambda row: flow.wrap(count())),
        lambda: flow.Merge(count(), count()).filter(lambda row: False),
        lambda: flow.Zip(count(), count()),
    ],
    ids=["endless", "filter that rejects", "flat_map", "merge", "zip"],
)
def test_W3_a_source_that_always_has_data_lets_the_reactor_work(make: Callable[[], Any]) -> None:
    """2003: such a flow ran to its end in one call: 0 ticks of the reactor in 1.4 s. Now: it gives a turn after each
    slice, without a Cooperate in it. CONTRACT 10."""
    reactor = Reactor()
    dropped: list[int] = []
    d = flow.Deferred(make(), reactor=reactor, on_dropped=lambda rows: dropped.append(len(rows)))
    ticks = []

    def tick() -> None:
        ticks.append(reactor.seconds())
        reactor.callLater(1, tick)

    tick()
    for _ in range(10):
        reactor.advance(1)  # each turn comes back: the flow does not keep the reactor
    assert ticks == [float(second) for second in range(11)]
    fired: list[Any] = []
    d.addBoth(fired.append)
    d.cancel()
    reactor.turns()
    assert isinstance(fired[0].value, defer.CancelledError)


def test_W4_the_value_of_a_deferred_reaches_the_generator(logged: list[Any]) -> None:
    """2003: ``yield deferred`` never gave the value. Now: it does, for one that fires later and for one that has fired.
    CONTRACT 9."""
    d: defer.Deferred[str] = defer.Deferred()

    def asks() -> Iterator[Any]:
        first = yield defer.succeed("at once")
        second = yield d
        yield (first, second)

    reactor = Reactor()
    fired = run(flow.wrap(asks), reactor=reactor)
    assert fired == []
    d.callback("later")
    reactor.turns()
    assert fired == [[("at once", "later")]]


def test_W4_a_failed_deferred_is_raised_at_the_yield(logged: list[Any]) -> None:
    """2003: the failure was swallowed and the generator continued ("CONTINUED after failed Deferred"); one that had
    failed already was also logged as unhandled. Now: the exception is raised at the ``yield``. CONTRACT 9, 17."""
    log: list[str] = []
    error = OSError("refused")
    d: defer.Deferred[str] = defer.Deferred()

    def uploads(lock: Any) -> Iterator[Any]:
        yield lock
        log.append("CONTINUED after failed Deferred")

    def recovers(lock: Any) -> Iterator[Any]:
        try:
            yield lock
        except OSError as caught:
            yield caught

    reactor = Reactor()
    fired = run(flow.wrap(uploads(d)), reactor=reactor)
    d.errback(Failure(error))
    reactor.turns()
    assert fired[0].value is error
    assert run(flow.wrap(uploads(defer.fail(error))))[0].value is error
    assert run(flow.wrap(recovers(defer.fail(error)))) == [[error]]
    assert log == []


def test_W5_other_listeners_of_a_deferred_keep_its_value(logged: list[Any]) -> None:
    """2003: other callbacks of a wrapped Deferred saw None. Now: flow looks on, and leaves the value. CONTRACT 9."""
    d: defer.Deferred[str] = defer.Deferred()
    seen: list[Any] = []
    reactor = Reactor()
    fired = run(flow.wrap(d), reactor=reactor)
    d.addCallback(lambda value: seen.append(value) or value)
    d.callback("value")
    reactor.turns()
    assert fired == [["value"]]
    assert seen == ["value"]
    assert run(flow.wrap(d)) == [["value"]]


def test_W5_other_listeners_of_a_deferred_get_its_failure(logged: list[Any]) -> None:
    """2003: its errback counted as handled though nobody had read it. Now: those who listen get it, too. CONTRACT
    17."""
    d: defer.Deferred[str] = defer.Deferred()
    error = OSError("gone")
    seen: list[Any] = []
    reactor = Reactor()
    fired = run(flow.wrap(d), reactor=reactor)
    d.addErrback(lambda failed: seen.append(failed.value))
    d.errback(error)
    reactor.turns()
    assert fired[0].value is error
    assert seen == [error]


def test_W6_a_stop_iteration_in_user_code_is_not_the_end() -> None:
    """2003: any StopIteration that leaked from user code ended the stage silently. Now: RuntimeError. CONTRACT 19."""

    def leaks(row: int) -> int:
        return next(iter(())) if row == 2 else row

    def generator() -> Iterator[int]:
        yield 1
        yield leaks(2)

    for stage in (flow.wrap([1, 2, 3]).map(leaks), flow.wrap(generator), flow.wrap([1, 2, 3]).filter(leaks)):
        got = []
        with pytest.raises(RuntimeError, match="StopIteration"):
            for row in stage:
                got.append(row)
        assert got == [1]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_W7_an_interrupt_ends_the_run_and_reaches_the_caller(kind: type[BaseException]) -> None:
    """2003: a bare ``except`` made a KeyboardInterrupt an errback. Now: it goes through, everything is closed, and it
    is neither a row nor an errback. CONTRACT 18."""
    source = Tracked([1], fail=kind())
    with pytest.raises(kind):
        list(flow.wrap(source) | Tracked())

    async def main() -> None:
        async for _ in flow.Merge(source, [1, 2]):
            pass

    with pytest.raises(kind):
        asyncio.run(main())
    with pytest.raises(kind):
        list(flow.Threaded(Tracked([1], fail=kind())))
    reactor = Reactor()
    fired: list[Any] = []
    d = flow.Deferred(flow.wrap(source), reactor=reactor)
    d.addBoth(fired.append)
    with pytest.raises(kind):
        reactor.turns()
    assert fired == []
    nothing_left(source)


def test_W8_a_callable_list_is_iterated() -> None:
    """2003: whatever was callable was called. Now: a list is a list; only generator functions, async ones and
    functions with a sentinel are called. CONTRACT 22."""

    class Callable(list[int]):
        def __call__(self) -> Any:
            raise AssertionError("it was called")

    assert list(flow.wrap(Callable([1, 2]))) == [1, 2]
    with pytest.raises(TypeError, match="sentinel"):
        flow.wrap(lambda: [1, 2])
    with pytest.raises(TypeError, match="instance"):
        flow.wrap(list)


def test_W9_text_and_bytes_are_one_row_and_subclasses_are_like_their_class() -> None:
    """2003: types were compared exactly: u'abc' was three rows, 'abc' one; subclasses of list took another path. Now:
    str and bytes are one row, always, and everything else goes by what it can do. CONTRACT 6."""

    class Text(str):
        pass

    class Rows(list[Any]):
        pass

    for one in ("abc", "", b"abc", bytearray(b"abc"), memoryview(b"abc"), Text("abc")):
        assert list(flow.wrap(one)) == [one]
    assert timed(Rows(["a", flow.Cooperate(1), "b"])) == [("a", 0), ("b", 1)]
    assert list(flow.wrap({"a": 1}.items())) == [("a", 1)]
    assert list(flow.wrap(range(3))) == [0, 1, 2]


def test_W10_wrapping_a_stage_with_a_trap_leaves_the_stage_alone() -> None:
    """2003: wrap(stage, *trap) changed the caller's stage. Now: it is a new stage. CONTRACT 6."""
    error = OSError()
    stage = flow.wrap(Tracked([1], fail=error))
    trapped = flow.wrap(stage, OSError)
    assert trapped is not stage
    assert list(trapped) == [1, error]
    with pytest.raises(OSError):
        list(stage)
    assert flow.wrap(stage) is stage


def test_W11_a_type_error_in_user_code_is_seen() -> None:
    """2003: an ``except TypeError`` round iter() hid those of the user's own __iter__. Now: it is raised as it is.
    CONTRACT 17."""

    class Broken:
        def __iter__(self) -> Any:
            return 1 + "1"  # type: ignore[operator]

    with pytest.raises(TypeError, match="unsupported operand"):
        list(flow.wrap(Broken()))

    def gives_broken(rows: Any) -> Any:
        return Broken()

    with pytest.raises(TypeError, match="unsupported operand"):
        list(flow.wrap([1]) | gives_broken)


# ------------------------------------------------------------------------------------------------------------------
# S: stages with several inputs, Callback


def endless(seconds: float) -> Callable[[], Iterator[Any]]:
    def ticking() -> Iterator[Any]:
        while True:
            yield flow.Cooperate(seconds)
            yield seconds

    return ticking


def test_S1_branches_that_sleep_hold_one_timer_each() -> None:
    """2003: each wake-up registered every branch again: two endless Cooperate(.1) had 9, 14, 37 ... 6,516 timers
    pending. Now: one each, however long it runs. CONTRACT 8."""
    reactor = Reactor()
    d = flow.Deferred(flow.Merge(endless(0.1), endless(0.1), endless(0.3)), reactor=reactor)
    d.addErrback(lambda failed: failed.trap(defer.CancelledError))
    reactor.turns()
    for _ in range(100):
        reactor.advance(0.05)
        timers = [call for call in reactor.getDelayedCalls() if call.getTime() > reactor.seconds()]
        assert len(timers) <= 3
    d.cancel()
    reactor.turns()
    assert reactor.getDelayedCalls() == []


def test_S2_a_branch_is_resumed_only_by_what_it_waits_for() -> None:
    """2003: any wake-up polled every branch, so a sibling's event ended Cooperate(2) after 0.1 s, and a generator went
    on before its Deferred had fired. Now: each wait ends when it ends. CONTRACT 8."""
    d: defer.Deferred[str] = defer.Deferred()
    log: list[tuple[str, float]] = []
    reactor = Reactor()

    def sleeps() -> Iterator[Any]:
        yield flow.Cooperate(2)
        log.append(("slept", reactor.seconds()))

    def asks() -> Iterator[Any]:
        value = yield d
        log.append((value, reactor.seconds()))

    def ticks() -> Iterator[Any]:
        for _ in range(50):
            yield flow.Cooperate(0.1)
            yield "tick"

    fired = run(flow.Merge(sleeps, asks, ticks), reactor=reactor)
    reactor.callLater(3, d.callback, "fired")
    reactor.pump([0.0625] * 100)
    assert log == [("slept", 2), ("fired", 3)]
    assert fired == [["tick"] * 50]


def test_S2_waits_side_by_side_take_their_time() -> None:
    """2003: 12 x 0.05 s took 0.1 s when something else happened beside it. Now: 0.6 s, exactly. CONTRACT 8."""

    def steps() -> Iterator[Any]:
        for _ in range(12):
            yield flow.Cooperate(0.0625)
        yield "done"

    got = timed(flow.Merge(steps, flow.wrap(endless(0.01))[:100]))
    assert ("done", 0.75) in got


def test_S3_the_end_of_a_branch_does_not_skip_the_waits_of_others() -> None:
    """2003: a branch that ended mid-round made earlier ones be polled twice: a 1 s sleep took 0.0 s. Now: it does
    nothing to them. CONTRACT 8."""

    def sleeps() -> Iterator[Any]:
        yield flow.Cooperate(1)
        yield "slept"

    assert timed(flow.Merge(sleeps, [], ["a"], [])) == [("a", 0), ("slept", 1)]
    assert timed(flow.Merge([], sleeps, sleeps, ["a"])) == [("a", 0), ("slept", 1), ("slept", 1)]


def test_S4_a_failure_delivers_made_rows_cancels_the_others_and_is_raised() -> None:
    """2003: the first failure ended everything at once: siblings stayed open, rows that were there were never
    delivered, and a second failure was lost. Now: rows in turn first, siblings closed, then the failure. CONTRACT 16,
    3."""
    error = OSError("gone")
    waiting = Tracked(["never"], delay=100)
    got: list[Any] = []
    with virtual_time() as clock:
        with pytest.raises(OSError) as raised:
            for row in flow.Merge([1, 2, 3, 4], Tracked(["a", "b"], fail=error), waiting):
                got.append(row)
        assert clock.time() == 0
    assert raised.value is error
    assert got[:4] == [1, "a", 2, "b"]
    assert waiting.opened == waiting.closed == 1
    nothing_left(waiting)


def test_S4_a_second_failure_is_not_lost() -> None:
    """2003: it was. Now: an ExceptionGroup, the first failure first. CONTRACT 16."""
    first, second = OSError("first"), ValueError("second")

    def fails_when_cancelled() -> Iterator[Any]:
        try:
            yield flow.Cooperate(100)
        finally:
            raise second

    with virtual_time():
        with pytest.raises(ExceptionGroup) as raised:
            list(flow.Merge(fails_when_cancelled, Tracked([1], delay=1, fail=first)))
    assert raised.value.exceptions == (first, second)


def test_S5_each_source_has_a_trap_of_its_own() -> None:
    """2003: traps of branches were ignored in Concurrent and Merge. Now: wrap(source, *trap) holds wherever it is used.
    CONTRACT 6, 16."""
    error = OSError()
    trapped = flow.wrap(Tracked([1], fail=error), OSError)
    assert list(flow.Merge(trapped, [10, 20, 30])) == [1, 10, error, 20, 30]
    assert list(flow.Zip(trapped, [10, 20, 30])) == [(1, 10), (error, 20)]

    def concurrent() -> Iterator[Any]:
        for stage in flow.Concurrent(trapped, flow.wrap([10, 20])):
            yield next(stage)

    assert list(flow.wrap(concurrent)) == [1, 10, error, 20]


def test_S6_zip_and_map_ask_their_sources_at_the_same_time() -> None:
    """2003: one after another: three sources of 0.5 s took 1.5 s. Now: 0.5 s, exactly. CONTRACT 8."""

    def slow() -> Iterator[Any]:
        for number in range(3):
            yield flow.Cooperate(0.5)
            yield number

    assert timed(flow.Zip(slow, slow, slow)) == [((0, 0, 0), 0.5), ((1, 1, 1), 1), ((2, 2, 2), 1.5)]
    assert timed(flow.Map(lambda *rows: sum(rows), slow, slow, slow)) == [(0, 0.5), (3, 1), (6, 1.5)]


def test_S7_zip_ends_with_the_shortest_unless_it_is_told_otherwise() -> None:
    """2003: Zip padded with None to the longest, and never ended with an endless source. Now: shortest by default, the
    others closed; strict= and fill= as asked. CONTRACT 14."""
    ever = Tracked(count())
    assert list(flow.Zip(ever, ["ab"], [1, 2])) == [(0, "ab", 1)]
    assert ever.is_closed
    assert list(flow.Zip([1, 2], [3], fill=None)) == [(1, 3), (2, None)]
    with pytest.raises(ValueError, match="strict"):
        list(flow.Zip([1, 2], [3], strict=True))


def test_S8_a_failing_input_of_map_and_zip_is_raised_after_its_rows() -> None:
    """2003: Map looked for the end before the failure, so it was lost. Now: rows, then the failure. CONTRACT 3."""
    error = OSError()
    got: list[Any] = []
    with pytest.raises(OSError) as raised:
        for row in flow.Map(max, Tracked([1, 2], fail=error), [3, 4, 5]):
            got.append(row)
    assert (got, raised.value) == ([3, 4], error)


@pytest.mark.parametrize("kind", [flow.Merge, flow.Zip])
def test_S9_the_examples_in_the_docstrings_are_of_the_class(kind: Any) -> None:
    """2003: Merge's docstring showed Zip. Now: each shows itself, and what it shows is what it gives."""
    lines = [line.strip() for line in kind.__doc__.splitlines() if line.strip().startswith("flow.")]
    assert lines
    for line in lines:
        call, _, shown = line.partition("#")
        assert call.startswith(f"flow.{kind.__name__}(")
        assert list(eval(call, {"flow": flow})) == list(eval(f"[{shown}]"))


def test_S10_a_second_reader_of_a_callback_is_refused() -> None:
    """2003: Callback kept one waiter, so of two consumers one never finished. Now: the second raises at once; and a
    chain that waits for something else is not woken by a push. CONTRACT 7, 8."""
    rows: flow.Callback[int] = flow.Callback()
    with pytest.raises(flow.AlreadyReadError):
        list(flow.Merge(rows, rows))

    pushed: flow.Callback[int] = flow.Callback()

    def takes_one_and_sleeps() -> Iterator[Any]:
        yield next(pushed)
        for _ in range(3):
            pushed.result(0)  # it does not wait for these now
        flow.sleep(2)
        yield "slept"

    pushed.result(1)
    assert timed(takes_one_and_sleeps) == [(1, 0), ("slept", 2)]


def test_S11_a_callback_has_a_bound_and_tells_its_producer() -> None:
    """2003: unbounded, and the producer could not be told. Now: a limit, offer(), put(), pause and resume. CONTRACT
    20, 21."""
    calls: list[str] = []
    rows: flow.Callback[int] = flow.Callback(
        2, pause=lambda: calls.append("pause"), resume=lambda: calls.append("resume")
    )
    assert rows.offer(1)
    assert rows.offer(2)
    assert not rows.offer(3)
    with pytest.raises(flow.FullError):
        rows.result(3)
    with rows.open() as run:
        assert next(run) == 1
        assert next(run) == 2
        rows.result(3)
        assert next(run) == 3
    assert calls[:2] == ["pause", "resume"]


def test_S12_pushing_from_inside_the_consumer_works() -> None:
    """2003: "generator already executing". Now: the row is queued. CONTRACT 13."""
    rows: flow.Callback[int] = flow.Callback()

    def consumer() -> Iterator[int]:
        for row in rows:
            if row < 3:
                rows.result(row + 1)
            else:
                rows.finish()
            yield row

    rows.result(0)
    assert run(flow.wrap(consumer)) == [[0, 1, 2, 3]]


def test_S13_a_callback_that_has_ended_takes_nothing_and_errback_takes_exceptions() -> None:
    """2003: a result after finish was accepted, an errback after it overrode the end, only Failures were taken, and
    threads could not push. Now: ClosedError, exceptions or Failures, and threadsafe=True. CONTRACT 3, 25."""
    rows: flow.Callback[int] = flow.Callback()
    rows.finish()
    with pytest.raises(flow.ClosedError):
        rows.result(1)
    with pytest.raises(flow.ClosedError):
        rows.errback(OSError())
    assert list(rows) == []
    for error in (OSError("gone"), Failure(OSError("gone"))):
        failing: flow.Callback[int] = flow.Callback()
        failing.errback(error)
        with pytest.raises(OSError, match="gone"):
            list(failing)
    safe: flow.Callback[int] = flow.Callback(threadsafe=True)
    thread = threading.Thread(target=lambda: (safe.result(1), safe.finish()))
    thread.start()
    assert list(safe) == [1]
    thread.join()


# ------------------------------------------------------------------------------------------------------------------
# P: pipes


def test_P1_rows_before_a_failure_are_delivered() -> None:
    """2003: a pipe looked at the failure before the results: [] instead of [1, 2]. Now: rows, then the failure.
    CONTRACT 3."""
    got: list[int] = []
    with pytest.raises(OSError):
        for row in flow.wrap(Tracked([1, 2], fail=OSError())).map(abs).filter(bool):
            got.append(row)
    assert got == [1, 2]


def test_P1_blocks_before_a_failure_are_delivered() -> None:
    """The same for a reader of blocks, on asyncio. CONTRACT 3."""
    got: list[list[int]] = []

    async def main() -> None:
        async for block in flow.wrap(Tracked([1, 2], fail=OSError())).map(abs).blocks():
            got.append(block)

    with pytest.raises(OSError):
        asyncio.run(main())
    assert got == [[1, 2]]


def test_P2_a_pipe_hands_on_rows_before_it_waits() -> None:
    """2003: the instruction was returned before rows that were available. Now: rows first. CONTRACT 5."""
    stage = flow.wrap(["a", "b", flow.Cooperate(1), "c"]).map(str.upper).filter(bool)
    assert timed(stage) == [("A", 0), ("B", 0), ("C", 1)]


def test_P3_an_error_of_a_predicate_reaches_the_deferred() -> None:
    """2003: it escaped, and the flow.Deferred never fired. Now: it fails with that error. CONTRACT 3, 17."""
    (failed,) = run(flow.wrap([2, 1, 0]).filter(lambda row: 1 // row))
    assert failed.check(ZeroDivisionError)


@pytest.mark.parametrize("pieces", [["one\r", "\ntwo\r\n"], ["one\r\ntw", "o\r", "\n"], list("one\r\ntwo\r\n")])
def test_P4_a_delimiter_across_two_pieces_is_found(pieces: list[str]) -> None:
    r"""2003: each block was split alone: ['one\r\ntwo']. Now: as if it had come in one piece. CONTRACT 29."""
    assert list(flow.LineBreak(pieces, delimiter="\r\n")) == ["one", "two"]


def test_P5_the_limit_of_a_line_is_enforced() -> None:
    """2003: maxlength was computed and never used: 100,000 characters passed maxlength=10. Now: LineTooLongError,
    before the memory is used. CONTRACT 29."""
    source = Tracked("x" * 10 for _ in range(10_000))
    with pytest.raises(flow.LineTooLongError, match="max_length=10"):
        list(flow.LineBreak(source, max_length=10))
    assert source.asked <= 2


def test_P6_trailing_data_is_a_row_or_an_error_that_can_be_trapped() -> None:
    """2003: it raised out of the stage (a hang), and its trap could not catch it. Now: as asked, and a trap catches it.
    CONTRACT 29."""
    assert list(flow.LineBreak(["a\nb"])) == ["a", "b"]
    stage = flow.LineBreak(["a\nb"], trailing="error")
    (failed,) = run(stage)
    assert failed.check(ValueError)
    (got,) = run(stage, ValueError)
    assert got[0] == "a"
    assert isinstance(got[1], ValueError)


def test_P7_bytes_stay_bytes() -> None:
    """2003: str(block), so text only. Now: bytes in, bytes out; text is decoded where the user says so. CONTRACT 29."""
    assert list(flow.LineBreak([b"a\xff\nb"])) == [b"a\xff", b"b"]
    with pytest.raises(TypeError):
        list(flow.LineBreak([1]))


def test_P8_a_stage_is_a_function_from_rows_to_rows() -> None:
    """2003: process(results) was to be overridden as (results, stop). Now: there is one form, a function from an
    iterable to an iterable, and what is none is named. CONTRACT 22."""

    def no_generator(rows: Any) -> Any:
        return 3

    with pytest.raises(TypeError, match="no_generator must return an iterable"):
        list(flow.wrap([1]) | no_generator)
    with pytest.raises(TypeError, match="function"):
        flow.wrap([1]) | 3  # type: ignore[operator]


# ------------------------------------------------------------------------------------------------------------------
# C: controllers


def test_C1_a_script_runs_every_stage() -> None:
    """2003: Block knew nothing but Cooperate: Callback, Deferred and Threaded flows could not run in it. Now: a plain
    ``for`` runs them all. CONTRACT 12."""
    pushed: flow.Callback[int] = flow.Callback()
    pushed.result(1)
    pushed.finish()

    async def asynchronous() -> Any:
        await asyncio.sleep(0)
        yield 2

    async def coroutine() -> int:
        return 3

    def classic() -> Iterator[Any]:
        yield (yield defer.succeed(4))
        yield flow.Cooperate(0)

    sources = [pushed, asynchronous, coroutine, classic, flow.Threaded([5]), defer.succeed(6), ["7"]]
    assert sorted(map(int, flow.Merge(*sources))) == [1, 2, 3, 4, 5, 6, 7]


def test_C1_a_for_that_would_block_a_running_loop_is_refused() -> None:
    """2003: Block slept with time.sleep, the reactor with it. Now: ``for`` where a loop runs raises at once and shows
    what to write. CONTRACT 11."""
    source = Tracked([1])

    async def main() -> None:
        with pytest.raises(flow.LoopRunningError, match="async for"):
            list(flow.wrap(source))

    asyncio.run(main())
    assert source.opened == 0


def test_C2_a_deferred_starts_in_the_reactor_and_can_be_cancelled() -> None:
    """2003: it started in its constructor, and could not be cancelled. Now: nothing runs before the reactor's next
    turn, and cancel() closes the run, then fires with CancelledError. CONTRACT 4, 15."""
    reactor = Reactor()
    source = Tracked([1, 2], delay=1, cleanup=2)
    fired: list[Any] = []
    d = flow.Deferred(flow.wrap(source), reactor=reactor)
    d.addBoth(fired.append)
    assert source.opened == 0
    reactor.advance(1.5)
    assert source.opened == 1
    d.cancel()
    d.cancel()
    reactor.turns()
    assert fired == []  # its cleanup waits
    assert source.closed == 0
    reactor.advance(2)
    reactor.turns()
    assert source.closed == 1
    assert fired[0].check(defer.CancelledError)
    assert reactor.getDelayedCalls() == []
    nothing_left(source)


def test_C2_a_deferred_that_was_cancelled_before_its_first_turn_opens_nothing() -> None:
    """CONTRACT 4, 15: there is nothing to close, and it fires all the same."""
    reactor = Reactor()
    source = Tracked([1])
    fired: list[Any] = []
    d = flow.Deferred(flow.wrap(source), reactor=reactor)
    d.addBoth(fired.append)
    d.cancel()
    reactor.turns()
    assert fired[0].check(defer.CancelledError)
    assert source.opened == 0
    nothing_left(source)


def test_C2_rows_can_be_taken_one_by_one() -> None:
    """2003: only the list of everything. Now: a reader takes what it wants; the rest is not made. CONTRACT 4."""
    source = Tracked(count())

    async def main() -> None:
        async for row in flow.wrap(source):
            if row == 3:
                break

    asyncio.run(main())
    gc.collect()
    assert source.asked == 4
    assert source.is_closed


def test_C3_whatever_a_chain_raises_reaches_the_deferred() -> None:
    """2003: exceptions from a stage's machinery escaped, and the Deferred never fired. Now: opening, a plain stage, an
    unknown instruction, a missing end: all of it fails the Deferred. CONTRACT 17."""

    class Strange(flow.Instruction):
        pass

    class Raises(flow.CallLater):
        def callLater(self, resume: flow.core.instruction.Resume) -> None:
            raise OSError("callLater")

    def opens(rows: Any) -> Any:
        raise OSError("opens")

    (failed,) = run(flow.wrap([1]) | opens)
    assert failed.check(OSError)
    (failed,) = run(flow.wrap([Strange()]))
    assert failed.check(flow.Unsupported)
    (failed,) = run(flow.wrap([Raises()]))
    assert failed.check(OSError)
    (failed,) = run(flow.LineBreak(["x" * 20], max_length=3))
    assert failed.check(flow.LineTooLongError)
    read = flow.wrap(iter([1]))
    assert run(read) == [[1]]
    (failed,) = run(read)
    assert failed.check(flow.AlreadyReadError)


def test_C3_recursion_is_a_clear_error() -> None:
    """CONTRACT 23: a chain that is too deep for Python's recursion limit fails with RecursionError and says what to
    do; 200 stages work."""

    def step(rows: Iterator[int]) -> Iterator[int]:
        for row in rows:
            yield row + 1

    stage: flow.Stage[int] = flow.wrap([0])
    for _ in range(200):
        stage = stage | step
    assert list(stage) == [200]
    assert run(stage) == [[200]]
    deep = stage
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(400)
    try:
        for _ in range(1000):
            deep = deep | step
        with pytest.raises(RecursionError) as raised:
            list(deep)
    finally:
        sys.setrecursionlimit(before)
    assert any("1201 stages" in note for note in raised.value.__notes__)
    nothing_left()


def test_C4_a_failure_is_never_eaten(logged: list[Any]) -> None:
    """2003: the controller used as a callback ignored its argument, and so ate Failures. Now: a Deferred is a source;
    its failure is the failure of the flow, its value a row. CONTRACT 17."""
    error = OSError("gone")
    assert run(flow.wrap(defer.succeed(1))) == [[1]]
    (failed,) = run(flow.wrap(defer.fail(error)))
    assert failed.value is error
    d: defer.Deferred[int] = defer.Deferred()
    reactor = Reactor()
    fired = run(flow.Merge(d, endless(1)), reactor=reactor)
    reactor.advance(1)
    d.errback(error)
    reactor.turns()
    assert fired[0].value is error
    reactor.turns()
    assert reactor.getDelayedCalls() == []


def test_C4_a_deferred_fires_once_with_the_rows() -> None:
    """CONTRACT 3: and callbacks chain on it as on any other."""
    reactor = Reactor()
    fired: list[Any] = []
    flow.Deferred(flow.wrap([1, flow.Cooperate(1), 2]), reactor=reactor).addCallback(sum).addCallback(fired.append)
    reactor.turns()
    reactor.advance(0.5)
    assert fired == []
    reactor.advance(0.5)
    reactor.turns()
    assert fired == [3]


# ------------------------------------------------------------------------------------------------------------------
# T: threads


def test_T1_traps_of_a_threaded_source_match() -> None:
    """2003: a missing * made them never match. Now: wrap(Threaded(...), *trap) does. CONTRACT 6."""
    error = OSError()
    assert list(flow.wrap(flow.Threaded(Tracked([1], fail=error)), ValueError, OSError)) == [1, error]


def test_T2_a_thread_stops_when_its_reader_does() -> None:
    """2003: no bound: the consumer stopped after 4 rows, the thread went on to 200,000. Now: `limit` rows, then it
    waits; and it stops with the run. CONTRACT 20, 21, 26."""
    source = Tracked(range(200_000))
    with flow.Threaded(source, limit=10).open() as rows:
        assert [next(rows) for _ in range(4)] == [0, 1, 2, 3]
    assert source.asked <= 4 + 10 + 2
    assert source.is_closed
    nothing_left(source)


def test_T3_an_error_in_iter_is_delivered() -> None:
    """2003: no wake-up: the flow hung for ever, on any SQL error too. Now: it is raised. CONTRACT 26."""

    class Broken:
        def __iter__(self) -> Iterator[int]:
            raise OSError("in iter()")

    with pytest.raises(OSError, match="in iter"):
        list(flow.Threaded(Broken()))
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        list(flow.wrap(flow.QueryIterator(lambda: sqlite3.connect(":memory:"), "select * from nowhere")))
    nothing_left()


def test_T4_a_failure_does_not_overtake_rows() -> None:
    """2003: 10 of 50 rows were seen before the thread's failure. Now: all 50. CONTRACT 3, 26."""
    got: list[int] = []

    async def main() -> None:
        async for row in flow.Threaded(Tracked(range(50), fail=OSError()), limit=7):
            got.append(row)
            await asyncio.sleep(0)

    with pytest.raises(OSError):
        asyncio.run(main())
    assert got == list(range(50))


def test_T5_many_rows_need_few_wake_ups() -> None:
    """2003: one wake-up of the reactor a row. Now: none while the reader has rows. CONTRACT 26."""

    async def main() -> int:
        wakes = 0
        loop = asyncio.get_running_loop()
        call = loop.call_soon_threadsafe

        def counted(*arguments: Any, **options: Any) -> Any:
            nonlocal wakes
            wakes += 1
            return call(*arguments, **options)

        loop.call_soon_threadsafe = counted  # type: ignore[method-assign]
        finished = threading.Event()

        def rows() -> Iterator[int]:
            yield from range(900)
            finished.set()

        async for row in flow.Threaded(rows, limit=1000):
            if row == 0:
                assert finished.wait(WAIT)  # all rows are made while the reader is busy with the first
        return wakes

    assert asyncio.run(main()) <= 10


def test_T6_a_threaded_stage_starts_when_it_is_read_in_a_thread_of_its_own() -> None:
    """2003: it started in its constructor and held a shared pool thread for ever: with one pool thread, a second
    Threaded never started. Now: lazy, and each has its own, named thread. CONTRACT 4, 26."""
    barrier = threading.Barrier(3)
    names: set[str] = set()

    def rows() -> Iterator[int]:
        names.add(threading.current_thread().name)
        barrier.wait(WAIT)
        yield 1

    before = threading.active_count()
    stages = [flow.Threaded(rows) for _ in range(3)]
    assert threading.active_count() == before
    assert list(flow.Merge(*stages)) == [1, 1, 1]
    assert all(name.startswith("flow ") for name in names)


def test_T7_the_iterator_is_closed_in_its_own_thread() -> None:
    """2003: never closed at all. Now: close() is called in the thread that advanced it, on every way out. CONTRACT 26,
    14."""
    source = Tracked(count())
    with flow.Threaded(source).open() as rows:
        next(rows)
    assert source.closed == 1
    assert len(source.threads) == 1
    assert threading.get_ident() not in source.threads


def test_T8_a_function_takes_the_place_of_the_hooks_that_never_were() -> None:
    """2003: the documented hooks init() and next() did not exist. Now: what must be opened in the thread is opened by
    a function that is called there. CONTRACT 26."""
    opened: list[int] = []

    def opens() -> Iterator[int]:
        opened.append(threading.get_ident())
        return iter([1, 2])

    assert list(flow.Threaded(opens)) == [1, 2]
    assert opened != [threading.get_ident()]
    assert len(opened) == 1


# ------------------------------------------------------------------------------------------------------------------
# Q: queries


@pytest.fixture
def database(tmp_path: Path) -> str:
    path = str(tmp_path / "q.db")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("create table things (id integer, name text)")
        connection.executemany("insert into things values (?, ?)", [(1, "a"), (2, "b"), (3, "c")])
    return path


class Connection:
    """A connection, and its only cursor, that notes what was asked of it."""

    def __init__(self, path: str) -> None:
        self.real = sqlite3.connect(path)
        self.log: list[Any] = []

    def cursor(self) -> Connection:
        self.found = self.real.cursor()
        return self

    def execute(self, *arguments: Any) -> None:
        self.log.append(arguments)
        self.found.execute(*arguments)

    def fetchmany(self, size: int = 1) -> list[Any]:
        self.log.append(size)
        return self.found.fetchmany(size)

    def rollback(self) -> None:
        self.log.append("rollback")
        self.real.rollback()

    def close(self) -> None:
        self.log.append("close")
        if self.log.count("close") == 2:
            self.real.close()


def test_Q1_cursor_and_connection_are_given_back(database: str) -> None:
    """2003: the connection was neither returned, closed nor rolled back, the cursor never closed. Now: cursor closed,
    rolled back, connection closed, at the end and after a break. CONTRACT 31, 14."""
    made: list[Connection] = []

    def connect() -> Connection:
        made.append(Connection(database))
        return made[-1]

    stage = flow.Threaded(flow.QueryIterator(connect, "select id from things"))
    assert list(stage) == [(1,), (2,), (3,)]
    with stage.open() as rows:
        assert next(rows) == (1,)
    for each in made:
        assert each.log[-3:] == ["close", "rollback", "close"]


def test_Q2_values_are_parameters(database: str) -> None:
    """2003: a raw SQL string only. Now: execute(sql, params). CONTRACT 31."""
    sql = "select id from things where name = ?"
    assert list(flow.QueryIterator(lambda: sqlite3.connect(database), sql, ("b",))) == [(2,)]
    assert list(flow.QueryIterator(lambda: sqlite3.connect(database), sql, ("b' or '1'='1",))) == []


def test_Q3_rows_are_fetched_in_blocks(database: str) -> None:
    """2003: fetchmany() without a size: one row a fetch. Now: fetchmany(arraysize). CONTRACT 31."""
    made: list[Connection] = []

    def connect() -> Connection:
        made.append(Connection(database))
        return made[-1]

    assert len(list(flow.Threaded(flow.QueryIterator(connect, "select id from things", arraysize=2)))) == 3
    assert [each for each in made[0].log if isinstance(each, int)] in ([2, 2], [2, 2, 2])


def test_Q4_a_false_row_is_not_the_end(database: str) -> None:
    """2003: the end was told by a false row. Now: by an empty block. CONTRACT 6."""

    class False_(tuple[Any, ...]):
        def __bool__(self) -> bool:
            return False

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(database)
        connection.row_factory = lambda cursor, row: False_(row)
        return connection

    query = flow.QueryIterator(connect, "select 0 union all select null union all select 1", arraysize=1)
    assert list(flow.Threaded(query)) == [(0,), (None,), (1,)]


def test_X1_a_flow_that_can_never_go_on_is_found() -> None:
    """2003: its tests needed the real reactor and sleeps, and hangs were commented out. Now: time is virtual, and a
    flow that would wait for ever raises Deadlock. CONTRACT 27 in spirit: never a hang."""
    with virtual_time() as clock:
        with pytest.raises(Deadlock):
            list(flow.Merge(flow.Callback(), [flow.Cooperate(3600), 1]))
        assert clock.time() == 3600
