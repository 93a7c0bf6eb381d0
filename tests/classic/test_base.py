"""flow.classic.Stage: next(), results, stop, failure and chunked; stages that a program writes itself."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest
from twisted.internet import task

import flow as today
from flow.classic import flow
from flow.testing import Tracked, nothing_left, torture, virtual_time

from ..conformance.drivers import ClockReactor
from .ways import both, in_a_block, on_the_reactor

Read = Callable[..., list[Any]]


def rain() -> Generator[Any]:
    yield "drop"
    yield "drop"
    raise OSError("the gauge is full")


# ------------------------------------------------------------------------------------------------------------------
# Members


def test_next_outside_of_a_run() -> None:
    """2003's suite: next() of a stage that was not yielded raises NotReadyError."""
    stage = flow.wrap([1, 2])
    with pytest.raises(flow.NotReadyError, match="outside a running flow"):
        stage.next()
    assert (stage.results, stage.stop, stage.failure, stage.chunked) == ([], False, None, False)


@both
def test_for_takes_a_row_after_each_yield(read: Read) -> None:
    """The docstring of 2003's Stage: ``yield stage``, a ``for`` over it, ``yield stage`` at the end of its body."""

    def upper(source: Any) -> Generator[Any]:
        source = flow.wrap(source)
        yield source
        for row in source:
            yield row.upper()
            yield source

    assert read(upper(["a", flow.Cooperate(1), "b"])) == ["A", "B"]


@both
def test_a_for_goes_on_where_the_last_one_stopped(read: Read) -> None:
    """As in 2003, where a stage was an iterator: the header first, then the rest."""

    def headed() -> Generator[Any]:
        lines = flow.wrap(["name", "rent", "food"])
        for line in lines:
            yield ("header", line)
            break
        for line in lines:
            yield line
        yield list(lines)

    assert read(headed) == [("header", "name"), "rent", "food", []]


@both
def test_a_stage_below_goes_on_too(read: Read) -> None:
    """As in 2003: a Map, a Filter or a Pipe over a stage that is being read reads on behind what was taken."""

    class Marked(flow.Pipe):
        def process(self, results: list[Any], stop: bool) -> None:
            self.results.extend(f"<{row}>" for row in results)

    def headed(below: Any) -> Generator[Any]:
        lines = flow.LineBreak(["name\r\nre", "nt\r\nfood\r\n"])
        yield lines
        header = lines.next()
        body = below(lines)
        yield body
        for line in body:
            yield (header, line)
            yield body

    assert read(headed(Marked)) == [("name", "<rent>"), ("name", "<food>")]
    assert read(headed(lambda lines: flow.Map(str.upper, lines))) == [("name", "RENT"), ("name", "FOOD")]
    filtered = read(headed(lambda lines: flow.Filter(None, flow.Map(str.upper, lines))))
    assert filtered == [("name", "RENT"), ("name", "FOOD")]


@both
def test_a_trap_that_is_set_later(read: Read) -> None:
    """As in 2003: ``wrap(stage, *trap)`` in the middle of a reading goes on with it, and has the trap."""

    def late() -> Generator[Any]:
        source = flow.wrap(rain())
        yield source.next()
        source = flow.wrap(source, OSError)
        yield source
        for row in source:
            yield row
            yield source

    assert read(late) == ["drop", "drop", OSError]


@both
def test_a_stage_below_one_that_has_ended(read: Read) -> None:
    """As in 2003: it has ended, too; and below a chunked one, or one of one's own, it goes on row by row."""

    def reads() -> Generator[Any]:
        ended = flow.wrap([1])
        yield list(ended)
        yield list(flow.Map(str, ended))
        chunked = flow.wrap([1, 2, flow.Cooperate(), 3, 4])
        chunked.chunked = True
        yield chunked
        yield chunked.results.pop(0)
        yield list(flow.Map(str, chunked))
        count = Countdown(3)
        yield count.next()
        yield list(flow.Map(str, count))

    assert read(reads) == [[1], [], 1, ["2", "3", "4"], 3, ["2", "1"]]


@both
def test_results_stop_and_failure(read: Read) -> None:
    """The docstring of 2003's Stage and the manual: a program looks for itself, at rows, at the end, at the failure."""

    def looks(source: Any) -> Generator[Any]:
        source = flow.wrap(source)
        while True:
            yield source
            if source.results:
                yield [*source.results]
                source.results = []
                continue
            if source.stop:
                yield "stop"
                break
            if source.failure:
                source.stop = True
                yield source.failure.value
                break

    assert read(looks([1, 2])) == [[1], [2], "stop"]
    *rows, error = read(looks(rain()))
    assert rows == [["drop"], ["drop"]]
    assert isinstance(error, OSError)


@both
@pytest.mark.parametrize("how", ["pop", "assign", "delete", "next"])
def test_results_may_be_taken_in_each_way(read: Read, how: str) -> None:
    """2003's programs popped from `results`, assigned to it, or deleted from it; next() is the same list."""

    def takes() -> Generator[Any]:
        source = flow.wrap(iter("xyz"))
        while True:
            yield source
            yield source  # nothing happens: there are rows still
            if source.stop:
                return
            rows = list(source.results)
            assert rows
            if how == "pop":
                yield source.results.pop(0)
            elif how == "assign":
                source.results = []
                yield rows[0]
            elif how == "delete":
                yield rows[0]
                del source.results[: len(rows)]
            else:
                yield source.next()
            assert source.results == []

    assert read(takes) == ["x", "y", "z"]


@both
def test_a_failure_is_twisted_s(read: Read) -> None:
    """The manual: ``failure.trap()`` raises it again; it is the same Failure each time, with the program's frames."""

    def strict() -> Generator[Any]:
        source = flow.wrap(rain)
        while True:
            yield source
            if source.results:
                yield source.results.pop(0)
                continue
            if source.failure:
                source.stop = True
                assert isinstance(source.failure, flow.Failure)
                assert source.failure is source.failure
                assert "in rain" in source.failure.getTraceback()
                source.failure.trap(KeyError)
            if source.stop:
                break

    with pytest.raises(OSError, match="gauge"):
        read(strict)


@both
def test_a_failure_that_was_dealt_with_comes_once(read: Read) -> None:
    """2003's advice: with `stop` set, the failure is not reported a second time."""

    def deals() -> Generator[Any]:
        source = flow.wrap(rain)
        while not source.failure:
            yield source
            source.results = []
        source.stop = True
        yield source
        yield list(source)
        yield source.stop

    assert read(deals) == [[], True]


@both
def test_the_members_after_the_end(read: Read) -> None:
    """After next() has raised the end, `stop` is true, and next() raises it again."""

    def after() -> Generator[Any]:
        source = flow.wrap([1])
        yield list(source)
        yield (source.stop, source.results, source.failure)
        yield source
        with pytest.raises(StopIteration):
            source.next()
        yield "done"

    assert read(after) == [[1], (True, [], None), "done"]


@both
def test_next_without_a_yield_waits(read: Read) -> None:
    """2003 raised NotReadyError there; now it waits in place."""

    def impatient() -> Generator[Any]:
        source = flow.wrap([flow.Cooperate(1), "x"])
        yield source.next()

    assert read(impatient) == ["x"]


def test_free_attributes() -> None:
    """2003's suite named its stages: ``stage.name = "a"``. What runs a stage can't be covered up by accident."""
    stage: Any = flow.Callback()
    stage.name, stage.colour = "a", "red"
    assert (stage.name, stage.colour) == ("a", "red")
    for taken in ("rows", "label", "chain", "reading"):
        with pytest.raises(AttributeError, match=f"a {taken} of its own"):
            setattr(stage, taken, [])


def test_the_names_of_the_instructions() -> None:
    """A stage is an Instruction, as it was; Unsupported takes the instruction, and says what it was (fault B4)."""
    stage = flow.wrap([1])
    assert isinstance(stage, flow.Instruction)
    assert isinstance(stage, today.Stage)
    with pytest.raises(flow.Unsupported, match=r"Cooperate\(3\)"):
        raise flow.Unsupported(flow.Cooperate(3))
    assert issubclass(flow.Unsupported, NotImplementedError)
    assert issubclass(flow.NotReadyError, RuntimeError)


# ------------------------------------------------------------------------------------------------------------------
# Chunks


def in_chunks(source: Any, *trap: Any) -> Generator[Any]:
    source = flow.wrap(source, *trap)
    source.chunked = True
    yield source
    for rows in source:
        yield rows
        yield source


@both
def test_chunks(read: Read) -> None:
    """The docstring of 2003's Stage: with `chunked`, next() gives a list: what is ready, and what a wait divides."""
    assert read(in_chunks([1, 2, 3])) == [[1, 2, 3]]
    assert read(in_chunks([1, 2, flow.Cooperate(1), 3])) == [[1, 2], [3]]
    assert read(in_chunks([])) == []


@both
def test_rows_before_a_failure_are_a_chunk(read: Read) -> None:
    """CONTRACT 3: the rows first; then the failure, or what a trap makes of it."""
    assert read(in_chunks(rain, OSError)) == [["drop", "drop", OSError]]

    def caught() -> Generator[Any]:
        try:
            yield from in_chunks(rain)
        except OSError as error:
            yield str(error)

    assert read(caught) == [["drop", "drop"], "the gauge is full"]


def test_a_chunk_has_an_end() -> None:
    """CONTRACT 10, 20: an endless source gives chunks of 1,024 rows at most."""

    def endless() -> Generator[int]:
        while True:
            yield 1

    rows = flow.Block(in_chunks(endless))
    assert {len(rows.next()) for _ in range(3)} == {1024}
    rows.close()


def test_the_members_of_a_chunked_stage() -> None:
    """`results` has all of a chunk; a program may take less than all of it."""

    def looks() -> Generator[Any]:
        source = flow.wrap([1, 2, 3, flow.Cooperate(), 4])
        source.chunked = True
        while not source.stop:
            yield source
            if source.results:
                yield [*source.results]
                del source.results[:2]

    assert in_a_block(looks) == [[1, 2, 3], [3], [4]]


def test_a_stage_that_becomes_chunked_later() -> None:
    """After the first ``yield`` the chunks have one row: the reading has begun."""

    def late() -> Generator[Any]:
        source = flow.wrap([1, 2])
        yield source
        source.chunked = True
        yield source.next()
        yield source.next()

    assert in_a_block(late) == [[1], [2]]


def test_chunks_of_a_callback_and_of_concurrent() -> None:
    """What was pushed meanwhile is one list, as in 2003; a stage that Concurrent gave has lists of one row."""

    def pushed() -> Generator[Any]:
        ticks = flow.Callback()
        for number in range(3):
            ticks.result(number)
        ticks.finish()
        yield from in_chunks(ticks)

    def concurrent() -> Generator[Any]:
        stage = flow.wrap([1, 2])
        stage.chunked = True
        for found in flow.Concurrent(stage):
            yield found.next()

    assert in_a_block(pushed) == [[0, 1, 2]]
    assert in_a_block(concurrent) == [[1], [2]]


def test_a_chunked_reading_is_closed() -> None:
    """CONTRACT 14: in the middle of a chunked source, with a cleanup that waits."""
    source = Tracked([1, 2, 3], delay=1, cleanup=1)
    with virtual_time() as clock:
        rows = flow.Block(in_chunks(source))
        assert rows.next() == [1]
        assert not source.is_closed
        rows.close()
        assert clock.time() == 2
    nothing_left(source)


def test_torture_of_chunks() -> None:
    """CONTRACT 14-16: chunks, ended at each wait in every way, leave nothing open."""
    used: list[Tracked[Any]] = []

    def make_flow() -> Any:
        used[:] = [Tracked([1, 2, 3], delay=1, cleanup=1), Tracked("ab", cleanup=1)]
        return flow.Merge(in_chunks(used[0]), in_chunks(used[1]))

    assert torture(make_flow, tracked=lambda: used, ordered=False).rows == [["a", "b"], [1], [2], [3]]


# ------------------------------------------------------------------------------------------------------------------
# Stages of one's own


class Countdown(flow.Stage):
    """Rows from n to 1, with a pause before the last one, in the way of 2003."""

    def __init__(self, n: int, *trap: Any) -> None:
        flow.Stage.__init__(self, *trap)
        self.n = n
        self.paused = False

    def _yield(self) -> Any:
        if self.results or self.stop or self.failure:
            return None
        if not self.n:
            self.stop = True
            return None
        if self.n == 1 and not self.paused:
            self.paused = True
            return flow.Cooperate(2)
        self.results.append(self.n)
        self.n -= 1
        return None


@both
def test_a_stage_with_a_yield_of_its_own(read: Read) -> None:
    """2003: a Stage that sets results and stop, and returns what is to be waited for."""
    assert read(Countdown(3)) == [3, 2, 1]
    assert read(flow.Merge(Countdown(2), Countdown(0))) == [2, 1]
    assert read(flow.Zip(Countdown(2), "x")) == [(2, "x"), (1, None)]
    assert read(flow.wrap(Countdown(1), OSError)) == [1]


@both
def test_it_is_read_as_others_are(read: Read) -> None:
    """``yield stage``, next(), results, and ``for``; chunked gives all that it holds."""

    class Boxes(flow.Stage):
        left = 2

        def _yield(self) -> Any:
            if not self.left:
                self.stop = True
            elif not self.results:
                self.left -= 1
                self.results.extend(["tea", "milk"])

    def reads() -> Generator[Any]:
        count = Countdown(3)
        yield count
        yield count.next()
        yield count
        yield count.results.pop()
        yield list(count)
        yield (count.stop, count.failure)
        boxes = Boxes()
        boxes.chunked = True
        yield boxes
        for box in boxes:
            yield box
            yield boxes

    assert read(reads) == [3, 2, [1], (True, None), ["tea", "milk"], ["tea", "milk"]]


@both
@pytest.mark.parametrize("way", ["failure", "exception", "raised"])
def test_the_failure_of_such_a_stage(read: Read, way: str) -> None:
    """Set as a Failure, or raised (which hung in 2003, fault C3): rows first, then the failure, or the trap."""

    class Breaks(flow.Stage):
        def _yield(self) -> Any:
            self.results.append("row")
            if way == "raised":
                raise OSError("broken")
            self.failure = OSError("broken") if way == "exception" else flow.Failure(OSError("broken"))

    def within() -> Generator[Any]:
        stage = Breaks()
        yield stage
        yield stage.next()
        yield stage
        try:
            stage.next()
        except OSError as error:
            yield str(error)
        yield list(stage)

    assert read(Breaks(OSError)) == ["row", OSError]
    assert read(within) == ["row", "broken", []]
    with pytest.raises(OSError, match="broken"):
        read(Breaks())


def test_such_a_stage_over_another_one() -> None:
    """2003's own stages: ask the source's _yield(), hand on what it wants to wait for, look at its members."""

    class Doubled(flow.Stage):
        def __init__(self, source: Any) -> None:
            flow.Stage.__init__(self)
            self.source = flow.wrap(source)

        def _yield(self) -> Any:
            instruction = self.source._yield()
            if instruction:
                return instruction
            if self.source.results:
                self.results.extend([self.source.results.pop(0)] * 2)
            elif self.source.failure:
                self.failure = self.source.failure
            else:
                self.stop = self.source.stop

    source = Tracked([1, 2], delay=1, cleanup=1)
    assert in_a_block(Doubled(source)) == [1, 1, 2, 2]
    nothing_left(source)
    assert in_a_block(Doubled(Doubled(Countdown(1)))) == [1] * 4
    with pytest.raises(OSError, match="gauge"):
        in_a_block(Doubled(rain))
    with pytest.raises(flow.NotReadyError, match="outside of a running flow"):
        flow.wrap([1])._yield()


def test_rows_may_be_pushed_into_such_a_stage() -> None:
    """2003's Callback was written so: whoever has a row puts it into `results` and has the flow called again."""

    class Push(flow.CallLater):
        def callLater(self, callable: Any) -> None:
            self.go_on = callable

    class Inbox(flow.Stage):
        def __init__(self) -> None:
            flow.Stage.__init__(self)
            self.push = Push()
            self.closing = False

        def letter(self, letter: Any) -> None:
            self.results.append(letter)
            self.push.go_on()

        def close(self) -> None:
            self.closing = True
            self.push.go_on()

        def _yield(self) -> Any:
            if self.results or self.stop:
                return None
            if self.closing:
                self.stop = True
                return None
            return self.push

    reactor = ClockReactor()
    inbox = Inbox()
    for when, letter in ((1, "a"), (1, "b"), (3, "c")):
        reactor.callLater(when, inbox.letter, letter)
    reactor.callLater(4, inbox.close)
    found = reactor.run_until(flow.Deferred(flow.Map(lambda row: (row, reactor.seconds()), inbox), reactor=reactor))
    assert found == [("a", 1), ("b", 1), ("c", 3)]


def test_what_was_not_read_stays_in_it() -> None:
    """It has one state, as in 2003: the next reader goes on behind the last one."""

    class Full(flow.Stage):
        def __init__(self) -> None:
            flow.Stage.__init__(self)
            self.results.extend("abc")
            self.stop = True

        def _yield(self) -> Any:
            return None

    stage = Full()
    with flow.Block(stage) as rows:
        assert rows.next() == "a"
    assert stage.results == ["b", "c"]
    assert in_a_block(stage) == ["b", "c"]
    assert in_a_block(stage) == []


def test_rows_that_come_while_others_are_read() -> None:
    """They come behind those."""

    class Inbox(flow.Stage):
        def _yield(self) -> Any:
            self.stop = True

    inbox = Inbox()
    inbox.results.extend("ab")
    rows = flow.Block(inbox)
    assert rows.next() == "a"
    inbox.results.append("c")
    assert list(rows) == ["b", "c"]


@both
def test_a_yield_that_gives_nothing(read: Read) -> None:
    """It would be called for ever (2003: was); it is an error, and so is a stage that it returns."""

    class Idle(flow.Stage):
        answer: Any = None

        def _yield(self) -> Any:
            return self.answer

    with pytest.raises(flow.NotReadyError, match=r"Idle._yield\(\) returned nothing to wait for"):
        read(Idle())
    with pytest.raises(NotImplementedError, match=r"Idle._yield\(\) is the only one"):
        read(flow.Map(lambda _: flow.Stage._yield(Idle()), [1]))
    stage = Idle()
    stage.answer = flow.wrap([1])
    with pytest.raises(flow.Unsupported, match="returned a stage"):
        read(stage)


def test_a_deferred_may_be_returned() -> None:
    """It is waited for; its failure is the stage's."""
    reactor = ClockReactor()

    class Waits(flow.Stage):
        asked = False

        def _yield(self) -> Any:
            if self.asked:
                self.stop = True
                return None
            self.asked = True
            return task.deferLater(reactor, 3, lambda: None)

    assert reactor.run_until(flow.Deferred(Waits(), reactor=reactor)) == []
    assert reactor.seconds() == 3
    assert on_the_reactor([]) == []


@pytest.mark.parametrize("by_next", [True, False])
def test_such_a_stage_lets_the_reactor_work(by_next: bool) -> None:
    """CONTRACT 10: though it never waits, and its reader hands nothing on (fault W3)."""
    reactor = ClockReactor()
    ticks: list[float] = []

    def tick() -> None:
        ticks.append(1)
        reactor.callLater(0, tick)

    class Many(flow.Stage):
        left = 20_000

        def _yield(self) -> Any:
            self.left -= 1
            if self.left:
                self.results.append(self.left)
            else:
                self.stop = True

    def reads() -> Generator[Any]:
        stage = Many()
        while by_next:
            yield stage
            stage.next()
        for _ in flow.Filter(lambda row: False, stage):
            yield

    tick()
    assert reactor.run_until(flow.Deferred(reads, reactor=reactor)) == []
    assert len(ticks) > 2  # time is counted in looks at the clock here, and there is one for many quick rows


def test_torture_of_own_stages() -> None:
    """CONTRACT 14-16: a stage of one's own over a tracked source leaves nothing open."""
    used: list[Tracked[Any]] = []

    class Doubled(flow.Pipe):
        def process(self, results: list[Any], stop: bool) -> None:
            self.results.extend(results * 2)

    def make_flow() -> Any:
        used[:] = [Tracked([1, 2], delay=1, cleanup=1), Tracked("x", cleanup=1)]
        return flow.Zip(Doubled(used[0]), Doubled(used[1]))

    expected = [(1, "x"), (1, "x"), (2, None), (2, None)]
    assert torture(make_flow, tracked=lambda: used, ordered=False).rows == expected
