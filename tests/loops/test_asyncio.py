"""asyncio: timeouts and cancels at each place, break, context variables, two readers, and the errors that teach."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Generator, Iterable, Iterator
from contextvars import ContextVar
from typing import Any

import pytest

import flow
from flow.loops._asyncio import loop_for
from flow.testing import Tracked, nothing_left, virtual_time

Rows = Iterable[Any]


def run(main: Any, *, debug: bool = False) -> Any:
    with virtual_time() as clock:
        return clock.run(main, debug=debug)


def test_a_timeout_around_a_run_ends_it() -> None:
    """CONTRACT 15: asyncio.timeout around a run cancels it at its wait, and all is closed when it raises."""
    source = Tracked(range(10), delay=1)

    async def main() -> list[int]:
        got = []
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2.5):
                async for row in flow.wrap(source):
                    got.append(row)
        assert source.is_closed
        return got

    assert run(main()) == [0, 1]
    nothing_left(source)


def test_a_timeout_inside_a_stage() -> None:
    """CONTRACT 15: asyncio.timeout works inside a run: round what an async map awaits."""

    async def fetch(n: int) -> str:
        try:
            async with asyncio.timeout(1):
                await asyncio.sleep(n)
        except TimeoutError:
            return "late"
        return "in time"

    async def main() -> list[str]:
        return await flow.wrap([0.5, 3, 0.1]).map(fetch)

    assert run(main()) == ["in time", "late", "in time"]


def test_wait_for_round_an_awaited_run() -> None:
    """CONTRACT 15: asyncio.wait_for ends ``await stage``, cleanups that wait included."""
    source = Tracked(range(10), delay=1, cleanup=1)

    async def main() -> float:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(flow.wrap(source), 2.5)  # type: ignore[arg-type, unused-ignore]
        assert source.is_closed
        return asyncio.get_running_loop().time()

    assert run(main()) == 3.5


@pytest.mark.parametrize("at", [0, 0.5, 1, 1.5, 2])
def test_a_cancel_at_any_time(at: float) -> None:
    """CONTRACT 15: task.cancel in a wait and between rows ends the run; the task ends when all is closed."""
    source = Tracked(range(3), delay=1, cleanup=1)

    async def read() -> None:
        async with (flow.wrap(source) | Tracked(name="below")).open() as rows:
            async for _ in rows:
                await asyncio.sleep(0.25)

    async def main() -> None:
        task = asyncio.create_task(read())
        await asyncio.sleep(at)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert source.is_closed
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(main())
    nothing_left(source)


def test_a_second_cancel_while_a_cleanup_waits() -> None:
    """CONTRACT 15: a cancel is idempotent; one that comes in the cleanup leaves nothing open either."""
    source = Tracked(range(3), delay=1, cleanup=2)

    async def main() -> None:
        task = asyncio.create_task(collect(flow.wrap(source)))
        await asyncio.sleep(0.5)
        task.cancel()
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert source.is_closed

    run(main())
    nothing_left(source)


async def collect(stage: Any) -> Any:
    return await stage


def test_a_cancel_of_what_is_awaited_is_no_cancel_of_the_run() -> None:
    """CONTRACT 9: an awaited task that was cancelled by others raises at its place; the run itself goes on."""

    async def main() -> list[str]:
        victim = asyncio.ensure_future(asyncio.sleep(9))
        asyncio.get_running_loop().call_later(1, victim.cancel)

        def stage(rows: Rows) -> Generator[str]:
            try:
                flow.wait(victim)
            except asyncio.CancelledError:
                yield "it was cancelled"
            flow.sleep(1)
            yield "and I go on"

        return await (flow.wrap([]) | stage)

    assert run(main()) == ["it was cancelled", "and I go on"]


@pytest.mark.parametrize("runs", [1, 2, 5])
def test_a_turn_that_is_given_lasts_one_turn(runs: int) -> None:
    """CONTRACT 10: cooperate() goes on in the very next turn of the loop, if nobody else wants that; else in order."""
    turns = 0
    log: list[tuple[int, int]] = []

    def turn() -> None:
        nonlocal turns
        turns += 1
        ticker.append(asyncio.get_running_loop().call_soon(turn))

    ticker: list[asyncio.Handle] = []

    def stage(name: int) -> flow.Stage[int]:
        def rows() -> Generator[int]:
            for _ in range(4):
                log.append((name, turns))
                flow.cooperate()
            yield name

        return flow.wrap(rows)

    async def main() -> None:
        turn()
        await asyncio.gather(*(stage(name).collect(list) for name in range(runs)))
        ticker[-1].cancel()

    asyncio.run(main())  # no virtual time: nothing waits for any
    if runs == 1:
        first = log[0][1]
        assert log == [(0, first), (0, first + 1), (0, first + 2), (0, first + 3)]
    else:
        for name in range(runs):
            times = [at for each, at in log if each == name]
            assert len(times) == 4
            assert times == sorted(set(times)), "it went on in the turn that it gave away"


@pytest.mark.parametrize("asks", [False, True])
def test_what_is_due_waits_for_one_slice(asks: bool) -> None:
    """CONTRACT 10: a timer that falls due beside a run that is always ready waits for the rest of its slice, no more,
    whether the run gives its turns because its slice is used up or because a stage says so."""
    now = 0.0
    late: list[int] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        ours = loop_for(loop)  # held: flow holds it as long as a run does
        ours.clock = lambda: now  # type: ignore[method-assign]  # a row takes a fifth of a slice

        def rows() -> Iterator[int]:
            nonlocal now
            for row in range(200):
                now += 0.001
                if row % 7 == 0:
                    loop.call_later(0, due, row)
                if asks:
                    flow.cooperate()
                done[0] = row
                yield row

        done = [0]

        def due(row: int) -> None:
            late.append(done[0] - row)

        await flow.wrap(rows)

    asyncio.run(main())
    assert len(late) == 200 // 7 + 1
    assert max(late) <= 5


def test_a_turn_that_was_given_and_cancelled_is_nobodys() -> None:
    """CONTRACT 10, 15: a run that is cancelled as it gives its turn keeps no other run from getting turns."""

    def rows() -> Iterator[int]:
        while True:
            flow.cooperate()
            yield 1

    def some() -> Iterator[int]:
        for row in range(5):
            flow.cooperate()
            yield row

    async def main() -> list[int]:
        task = asyncio.ensure_future(flow.wrap(rows).collect(list))
        for _ in range(3):
            await asyncio.sleep(0)
        task.cancel()
        one, other = await asyncio.gather(flow.wrap(some).collect(list), flow.wrap(some).collect(list))
        with pytest.raises(asyncio.CancelledError):
            await task
        return one + other

    assert asyncio.run(main()) == [*range(5), *range(5)]


def test_break_closes_before_the_next_statement() -> None:
    """CONTRACT 14: after a break nothing is open any more, when no cleanup waits."""
    log: list[tuple[str, str]] = []
    stage = (
        flow.wrap(Tracked(range(9), name="source", log=log)) | Tracked(name="a", log=log) | Tracked(name="b", log=log)
    )

    async def main() -> None:
        async for _ in stage:
            break
        assert [name for name, what in log if what == "closed"] == ["b", "a", "source"] or [
            name for name, what in log if what == "closed"
        ] == ["source", "a", "b"]

    run(main())


def test_break_with_a_cleanup_that_waits(capfd: pytest.CaptureFixture[str]) -> None:
    """CONTRACT 14: what a broken-off run still waits for is finished by the loop, without a warning."""
    source = Tracked(range(9), cleanup=1)

    async def main() -> None:
        async for _ in flow.wrap(source):
            break
        await asyncio.sleep(2)
        assert source.is_closed

    run(main(), debug=True)
    nothing_left(source)
    assert capfd.readouterr().err == ""


def test_a_cleanup_has_a_deadline() -> None:
    """CONTRACT 15: a cleanup that goes on waiting after a cancel is ended, and the error names the place."""

    def stubborn() -> Generator[int]:
        try:
            yield 1
            flow.sleep(9)
        finally:
            flow.sleep(3600)

    async def main() -> float:
        task = asyncio.create_task(collect(flow.wrap(stubborn)))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises((flow.CleanupTimeoutError, asyncio.CancelledError)) as caught:
            await task
        error: Any = caught.value
        seen = []
        while error is not None and error not in seen:
            seen.append(error)
            error = error.__cause__ or error.__context__
        late = next(each for each in seen if isinstance(each, flow.CleanupTimeoutError))
        assert "stubborn" in str(late)
        assert "test_asyncio.py, line" in str(late)
        return asyncio.get_running_loop().time()

    assert run(main()) == 6


def test_a_cleanup_gets_the_time_that_it_is_given() -> None:
    """CONTRACT 15: ``open(cleanup=...)`` sets the deadline; a cleanup that keeps it is finished."""
    source = Tracked(range(3), delay=1, cleanup=60)

    async def read() -> None:
        async with flow.wrap(source).open(cleanup=100) as rows:
            async for _ in rows:
                pass

    async def main() -> float:
        task = asyncio.create_task(read())
        await asyncio.sleep(1.5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return asyncio.get_running_loop().time()

    assert run(main()) == 61.5
    assert source.is_closed


def test_what_a_branch_awaits_is_finished_with_it() -> None:
    """CONTRACT 14, 16: the ``finally`` of a coroutine that an input awaits is over before the failure is raised."""
    log = []

    async def fetch(n: int) -> int:
        try:
            await asyncio.sleep(9)
        finally:
            await asyncio.sleep(1)
            log.append("fetch is closed")
        return n

    def fails() -> Generator[int]:
        flow.sleep(1)
        raise ValueError("no")
        yield

    async def main() -> None:
        with pytest.raises(ValueError, match="no"):
            await flow.Merge(flow.wrap([1]).map(fetch), flow.wrap(fails))
        log.append("raised")
        await asyncio.sleep(5)

    run(main())
    assert log == ["fetch is closed", "raised"]


def test_what_a_cancelled_branch_awaits_is_finished_with_it() -> None:
    """CONTRACT 14, 15: the same for a cancel."""
    log = []

    async def fetch(n: int) -> int:
        try:
            await asyncio.sleep(9)
        finally:
            await asyncio.sleep(1)
            log.append("fetch is closed")
        return n

    async def main() -> None:
        task = asyncio.create_task(collect(flow.Merge(flow.wrap([1]).map(fetch), flow.wrap([2]).map(fetch))))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        log.append("cancelled")
        await asyncio.sleep(5)

    run(main())
    assert log == ["fetch is closed", "fetch is closed", "cancelled"]


WHO: ContextVar[str] = ContextVar("WHO", default="nobody")


def test_context_variables_are_those_of_the_start() -> None:
    """A run sees the context variables of its start: in stages, branches, what it awaits, ``finally``."""
    seen = []

    def source() -> Generator[int]:
        try:
            seen.append(("source", WHO.get()))
            yield 1
            flow.sleep(1)
            seen.append(("source later", WHO.get()))
            yield 2
            flow.sleep(9)
        finally:
            flow.sleep(1)
            seen.append(("finally", WHO.get()))

    async def fetch(n: int) -> int:
        seen.append(("fetch", WHO.get()))
        return n

    async def stage(rows: Any) -> AsyncIterator[int]:
        async for row in rows:
            seen.append(("async stage", WHO.get()))
            yield row

    async def main() -> None:
        WHO.set("the starter")
        async with (flow.Merge(flow.wrap(source)).map(fetch) | stage).open() as rows:
            assert await anext(rows) == 1
            WHO.set("somebody else")
            assert await anext(rows) == 2

    run(main())
    assert {who for _, who in seen} == {"the starter"}, seen
    assert {what for what, _ in seen} == {"source", "source later", "finally", "fetch", "async stage"}


def test_two_readers_at_once() -> None:
    """CONTRACT 7: two tasks ask one run for a row at the same time: BusyError for the second one."""

    async def main() -> Any:
        async with flow.wrap(Tracked(range(3), delay=1)).open() as rows:

            async def first() -> int:
                return await anext(rows)

            task = asyncio.create_task(first())
            await asyncio.sleep(0.5)
            with pytest.raises(flow.BusyError, match="two readers"):
                await anext(rows)
            with pytest.raises(flow.BusyError):
                await rows.aclose()
            assert await task == 0
            return [row async for row in rows]

    assert run(main()) == [1, 2]


def test_two_iterations_are_two_runs() -> None:
    """CONTRACT 7: a second iteration is a run of its own, beside the first one."""
    stage = flow.wrap([1, flow.Cooperate(1), 2])

    async def main() -> Any:
        return await asyncio.gather(collect(stage), collect(stage))

    assert run(main()) == [[1, 2], [1, 2]]


@pytest.mark.parametrize(
    ("read", "advice"),
    [
        (lambda stage: list(stage), "async for row in stage"),
        (lambda stage: list(stage.blocks()), "async for block in stage.blocks()"),
        (lambda stage: stage.open().__enter__(), "async with stage.open() as rows"),
    ],
)
def test_a_plain_for_on_a_running_loop(read: Any, advice: str) -> None:
    """A stage that is read with ``for`` where a loop runs raises LoopRunningError at once, and says what to write."""
    source = Tracked([1])

    async def main() -> None:
        with pytest.raises(flow.LoopRunningError) as caught:
            read(flow.wrap(source))
        assert advice in str(caught.value)
        assert "asyncio" in str(caught.value)

    run(main())
    assert source.opened == 0


@pytest.mark.parametrize("call", [lambda: flow.wait(flow.Cooperate(1)), lambda: flow.sleep(1), flow.cooperate])
def test_a_wait_outside_a_run(call: Any) -> None:
    """A wait in a coroutine, where nothing can be paused, raises NotReadyError; in the body of ``async for`` too."""

    async def main() -> None:
        with pytest.raises(flow.NotReadyError, match="write `await` instead"):
            call()
        async for _ in flow.wrap([1]):
            with pytest.raises(flow.NotReadyError):
                call()

    run(main())


def test_an_abandoned_reader_is_closed_by_the_collector() -> None:
    """CONTRACT 14: a reader that is dropped closes its run there and then."""
    source = Tracked(range(9))

    async def main() -> None:
        reader = aiter(flow.wrap(source))
        await anext(reader)
        del reader
        gc.collect()
        assert source.is_closed

    run(main())
    nothing_left(source)


def test_a_run_that_is_left_open_when_the_loop_ends() -> None:
    """CONTRACT 14: asyncio.run ends while a reader is held: dropping that later closes what needs no loop."""
    source = Tracked(range(9))

    async def main() -> Any:
        reader = aiter(flow.wrap(source))
        await anext(reader)
        return reader

    reader = asyncio.run(main())
    del reader
    nothing_left(source)


class Stop(BaseException):
    pass


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, Stop])
@pytest.mark.parametrize("shape", ["plain", "merge", "async"])
def test_an_interrupt_reaches_the_caller(error: type[BaseException], shape: str) -> None:
    """CONTRACT 18: KeyboardInterrupt and SystemExit end the run and reach the caller of the loop."""
    source = Tracked(range(3))

    def interrupts(rows: Rows) -> Iterator[Any]:
        for row in rows:
            if row == 1:
                raise error("now")
            yield row

    async def interrupts_async(rows: Any) -> AsyncIterator[Any]:
        async for row in rows:
            if row == 1:
                raise error("now")
            yield row

    async def main() -> list[Any]:
        stage = flow.wrap(source)
        if shape == "plain":
            stage = stage | interrupts
        elif shape == "merge":
            stage = flow.Merge(stage | interrupts, Tracked([7], delay=9))
        else:
            stage = stage | interrupts_async
        return [row async for row in stage]

    with pytest.raises(error, match="now"):
        run(main())
    nothing_left(source)


def test_debug_mode_is_quiet(caplog: pytest.LogCaptureFixture) -> None:
    """CONTRACT 12: debug mode finds nothing to say about a run with waits, branches and async stages."""

    async def same(rows: Any) -> AsyncIterator[Any]:
        async for row in rows:
            yield row

    async def main() -> Any:
        return await (flow.Merge(Tracked([1], delay=1), Tracked([2], delay=2)) | same)

    assert run(main(), debug=True) == [1, 2]
    assert not caplog.records
