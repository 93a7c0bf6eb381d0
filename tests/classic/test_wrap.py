"""flow.classic.wrap: what may be wrapped, and what is obeyed in it, as the suite and the manual of 2003 showed it."""

from __future__ import annotations

import io
from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import Any

import pytest
from twisted.internet import defer, task

import flow as today
from flow.classic import flow
from flow.testing import Tracked, nothing_left, torture, virtual_time

from ..conformance.drivers import ClockReactor
from .ways import both, in_a_block, on_the_reactor, timed

Read = Callable[..., list[Any]]


class Steps:
    """A hand-written iterator: what it is given, one by one, by a plain ``__next__``."""

    def __init__(self, *items: Any) -> None:
        self.items = list(items)

    def __iter__(self) -> Steps:
        return self

    def __next__(self) -> Any:
        if not self.items:
            raise StopIteration
        return self.items.pop(0)


class Named:
    """The state pattern of the manual: what comes next is the method that the last one chose."""

    def __iter__(self) -> Named:
        self.state = self.first
        return self

    def __next__(self) -> str:
        return self.state()

    def first(self) -> str:
        self.state = self.second
        return "spring"

    def second(self) -> str:
        self.state = self.end
        return "summer"

    def end(self) -> str:
        raise StopIteration


def tea() -> Generator[Any]:
    yield "leaf"
    raise OSError("the pot is cracked")


# ------------------------------------------------------------------------------------------------------------------
# What may be wrapped


@both
def test_text_is_one_row(read: Read) -> None:
    """2003's suite: a string is one row; bytes are, too, which is what a string often was."""
    assert read("a pot of tea") == ["a pot of tea"]
    assert read(b"\x00\x01") == [b"\x00\x01"]


@both
def test_a_list_with_a_pause_in_it(read: Read) -> None:
    """2003's suite: a Cooperate in a list is obeyed and is no row; a tuple is like a list."""
    assert read(["milk", flow.Cooperate(), "sugar"]) == ["milk", "sugar"]
    assert read(("milk", flow.Cooperate(2), "sugar")) == ["milk", "sugar"]


@both
def test_a_hand_written_iterator_may_pause(read: Read) -> None:
    """2003's suite: instructions are obeyed in an iterator that is no generator."""
    assert read(Steps("milk", flow.Cooperate(3), "sugar")) == ["milk", "sugar"]


@both
def test_the_state_pattern(read: Read) -> None:
    """The manual: an iterator that changes its state from step to step."""
    assert read(Named()) == ["spring", "summer"]
    assert read(Named) == ["spring", "summer"]


@both
def test_a_function_and_a_class_are_called(read: Read) -> None:
    """2003's suite: wrap() calls what is callable, a generator function as well as a class."""

    def three() -> Iterator[int]:
        yield from (1, 2, 3)

    assert read(three) == [1, 2, 3]
    assert read(partial(Steps, 1, 2)) == [1, 2]
    assert read(lambda: ["listed"]) == ["listed"]
    assert read(lambda: flow.wrap([4])) == [4]


def test_a_plain_function_is_called_when_it_is_wrapped() -> None:
    """As in 2003: its error is raised by wrap(); and it is called once only."""

    def fails() -> None:
        raise KeyError("no kettle")

    with pytest.raises(KeyError, match="no kettle"):
        flow.wrap(fails)
    with pytest.raises(TypeError, match="the function"):
        flow.wrap(lambda: fails)


def test_a_function_that_needs_arguments() -> None:
    """As in 2003: a TypeError from the line that wraps it."""

    def needs(what: Any) -> Generator[Any]:
        yield what

    with pytest.raises(TypeError, match="'what'"):
        flow.wrap(needs)


@both
def test_a_callable_list_is_iterated(read: Read) -> None:
    """2003 called it (fault W8); only what can't be iterated is called."""

    class Menu(list[str]):
        def __call__(self) -> list[str]:
            return ["called"]

    class Crate(Steps):
        def __call__(self) -> list[str]:
            return ["called"]

    assert read(Menu(["soup"])) == ["soup"]
    assert read(Crate("soup")) == ["soup"]


@both
def test_other_iterables(read: Read) -> None:
    """As in 2003: whatever iter() takes."""

    class ByIndex:
        def __getitem__(self, index: int) -> int:
            if index > 2:
                raise IndexError
            return index * index

    assert read(range(3)) == [0, 1, 2]
    assert read({"a": 1}.items()) == [("a", 1)]
    assert read(ByIndex()) == [0, 1, 4]
    assert read(iter([5, flow.Cooperate(1), 6])) == [5, 6]


def test_a_file_gives_its_lines() -> None:
    """As in 2003; a real file is read in a thread now."""
    assert in_a_block(io.StringIO("one\ntwo\n")) == ["one\n", "two\n"]


def test_what_is_none_of_these() -> None:
    """A TypeError that says what may be wrapped. (2003: ValueError.)"""
    with pytest.raises(TypeError, match="can't make a stage of int"):
        flow.wrap(42)


@both
def test_a_deferred_that_has_fired(read: Read) -> None:
    """2003's suite: it is one row, its result."""
    assert read(defer.succeed("ready")) == ["ready"]


def test_a_deferred_that_fires_later() -> None:
    """The docstring of 2003's wrap: the row comes when the Deferred fires."""
    reactor = ClockReactor()
    letter = task.deferLater(reactor, 4, lambda: "howdy")

    def read() -> Generator[Any]:
        source = flow.wrap(letter)
        yield source
        yield (source.next(), reactor.seconds())

    assert reactor.run_until(flow.Deferred(read, reactor=reactor)) == [("howdy", 4)]


def test_a_deferred_that_fails_later() -> None:
    """2003's suite meant to show it: its failure is the failure of the flow."""
    reactor = ClockReactor()
    letter: defer.Deferred[str] = defer.Deferred()
    reactor.callLater(1, letter.errback, flow.Failure(OSError("lost in the post")))
    with pytest.raises(OSError, match="lost in the post"):
        reactor.run_until(flow.Deferred(letter, reactor=reactor))


@both
def test_today_s_stages_may_be_wrapped(read: Read) -> None:
    """A stage of flow itself gets 2003's members."""
    stage = flow.wrap(today.wrap([1, 2]).map(str))
    assert read(stage) == ["1", "2"]
    assert stage.results == []
    assert repr(stage) == "wrap(list) | map(str)"


async def soon() -> str:
    return "soon"


def test_async_sources_are_taken_too() -> None:
    """What came after 2003 is taken as flow.wrap takes it."""

    async def twice() -> Any:
        yield 1
        yield 2

    assert in_a_block(soon) == ["soon"]
    assert in_a_block(twice) == [1, 2]


# ------------------------------------------------------------------------------------------------------------------
# What is obeyed


@both
def test_a_generator_that_reads_other_stages(read: Read) -> None:
    """2003's suite: ``yield stage``, then next(): two sources side by side, one of them pausing."""

    def pairs() -> Generator[Any]:
        numbers, names = flow.wrap(Steps(1, 2)), flow.wrap(Steps("one", flow.Cooperate(), "two"))
        while True:
            yield numbers
            yield names
            yield (numbers.next(), names.next())

    assert read(pairs) == [(1, "one"), (2, "two")]


@both
def test_a_hand_written_iterator_that_reads_other_stages(read: Read) -> None:
    """2003's suite: the same, as an iterator by hand: it hands out stages to wait for, and rows."""

    class Pairs:
        def __iter__(self) -> Pairs:
            self.numbers, self.names = flow.wrap(Steps(1, 2)), flow.wrap(Steps("one", flow.Cooperate(), "two"))
            self.asked = 0
            return self

        def __next__(self) -> Any:
            self.asked += 1
            if self.asked % 3:
                return self.numbers if self.asked % 3 == 1 else self.names
            return (self.numbers.next(), self.names.next())

    def headed() -> Generator[Any]:
        title, body = flow.wrap(["Numbers"]), flow.wrap(Pairs())
        yield title
        yield title.next()
        yield body
        for pair in body:
            yield pair
            yield body

    assert read(Pairs) == [(1, "one"), (2, "two")]
    assert read(headed) == ["Numbers", (1, "one"), (2, "two")]


@both
def test_a_generator_ends_with_the_stage_that_it_reads(read: Read) -> None:
    """The manual: ``while True`` round a next(): the StopIteration that it lets out is its own end."""

    def without(source: Any, row: Any) -> Generator[Any]:
        source = flow.wrap(source)
        while True:
            yield source
            found = source.next()
            if found != row:
                yield found

    assert read(without([3, 2, 1], 2)) == [3, 1]
    assert read(without(without([3, 2, 1], 2), 1)) == [3]


@both
def test_any_other_stop_iteration_is_an_error(read: Read) -> None:
    """It is not taken for an end, as 2003 took it (fault W6): one of the program's own, or one in a helper."""

    def careless() -> Generator[Any]:
        yield 1
        next(iter(()))

    def helper(source: Any) -> Generator[Any]:
        while True:
            yield source
            yield source.next()

    def helped() -> Generator[Any]:
        yield from helper(flow.wrap([1]))
        yield "more"

    for program in (careless, helped):
        with pytest.raises(RuntimeError, match="StopIteration"):
            read(program)


def test_a_yielded_deferred_is_waited_for() -> None:
    """As since August 2003; and the yield gives its result, or raises its failure (fault W4)."""
    reactor = ClockReactor()

    def asks() -> Generator[Any, Any]:
        yield (yield task.deferLater(reactor, 2, lambda: "two"))
        try:
            yield defer.fail(OSError("no answer"))
        except OSError as error:
            yield (str(error), reactor.seconds())

    assert reactor.run_until(flow.Deferred(asks, reactor=reactor)) == ["two", ("no answer", 2)]


def test_deferreds_in_a_hand_written_iterator() -> None:
    """They are waited for; their results go nowhere, and a failure ends the iterator."""
    assert on_the_reactor(Steps(1, defer.succeed("gone"), 2)) == [1, 2]
    with pytest.raises(OSError, match="no"):
        on_the_reactor(Steps(1, defer.fail(OSError("no"))))


def test_a_deferred_in_a_list_is_a_row() -> None:
    """As in 2003: a list obeys instructions, and a Deferred is none."""
    letter = defer.succeed(1)
    assert in_a_block([letter, "x"]) == [letter, "x"]


def test_a_stage_in_a_list_is_asked() -> None:
    """2003 failed with it. It is obeyed as a yielded one is; a Deferred beside it is a row still."""
    letter = defer.succeed(1)
    assert in_a_block([1, flow.wrap([7]), letter, 2]) == [1, letter, 2]


def test_an_instruction_of_one_s_own() -> None:
    """2003's CallLater: ``callLater(callable)`` has `callable` called, later."""

    pressed: list[Any] = []

    class Doorbell(flow.CallLater):
        def callLater(self, callable: Any) -> None:
            pressed.append(callable)

    reactor = ClockReactor()
    reactor.callLater(5, lambda: pressed[0]())

    def waits() -> Generator[Any]:
        yield Doorbell()
        yield reactor.seconds()

    assert reactor.run_until(flow.Deferred(waits, reactor=reactor)) == [5]


# ------------------------------------------------------------------------------------------------------------------
# Failures and traps


@both
def test_a_failure_is_raised(read: Read) -> None:
    """2003's suite: what a generator raises reaches whoever runs the flow."""
    with pytest.raises(OSError, match="cracked"):
        read(tea())


@both
def test_a_trap_gives_the_class(read: Read) -> None:
    """2003's suite: a trapped exception is the last row: the class in the trap that matched."""
    assert read(tea(), OSError) == ["leaf", OSError]
    assert read(tea, Exception) == ["leaf", Exception]
    assert read(tea, ValueError, OSError) == ["leaf", OSError]
    assert read(flow.wrap(tea()), OSError) == ["leaf", OSError]
    with pytest.raises(OSError, match="cracked"):
        read(tea, ValueError)


def test_a_trap_may_be_a_name() -> None:
    """As Failure.check takes it."""
    assert in_a_block(tea, "builtins.OSError") == ["leaf", "builtins.OSError"]


def test_a_trap_leaves_the_stage_alone() -> None:
    """2003 changed the caller's stage (fault W10); the new one has both traps, its own first."""

    def sour() -> Generator[Any]:
        yield 1
        raise KeyError("sour")

    stage = flow.wrap(sour)
    assert flow.wrap(stage) is stage
    trapped = flow.wrap(stage, KeyError)
    assert in_a_block(trapped) == [1, KeyError]
    assert in_a_block(flow.wrap(trapped, ValueError)) == [1, KeyError]
    with pytest.raises(KeyError):
        in_a_block(stage)


@both
def test_failures_by_trap_and_by_except(read: Read) -> None:
    """The manual: one exception is trapped and comes as a row, another is caught by an ``except``."""

    def brew(trouble: Exception) -> Generator[Any]:
        yield "water"
        yield "leaves"
        raise trouble

    def served(source: Any) -> Generator[Any]:
        source = flow.wrap(source, OSError)
        yield source
        try:
            for row in source:
                yield "spilt" if row is OSError else row
                yield source
        except AssertionError as error:
            yield str(error)

    assert read(served(brew(OSError("x")))) == ["water", "leaves", "spilt"]
    assert read(served(brew(AssertionError("too hot")))) == ["water", "leaves", "too hot"]


def test_a_trap_takes_no_interrupt() -> None:
    """2003's bare ``except`` did (fault W7)."""

    def stopped() -> Generator[Any]:
        yield 1
        raise KeyboardInterrupt

    rows = flow.Block(stopped, BaseException)
    assert rows.next() == 1
    with pytest.raises(KeyboardInterrupt):
        rows.next()


# ------------------------------------------------------------------------------------------------------------------
# What is new


def test_rows_before_a_pause_come_before_it() -> None:
    """The first example of 2003's docstring, which printed "one" after the pause that follows it (fault W1)."""
    assert timed(["one", flow.Cooperate(1), "two"]) == [("one", 0), ("two", 1)]
    assert timed(Steps("one", flow.Cooperate(1), "two")) == [("one", 0), ("two", 1)]


def test_what_is_read_twice() -> None:
    """A generator function and a list give their rows to each reader; a generator object says that it was read."""
    for again in ([1, 2], lambda: iter([1, 2]), today.wrap([1, 2])):
        assert in_a_block(again) == in_a_block(again) == [1, 2]
    for once in (flow.wrap(tea()), flow.wrap(Steps(1))):
        list(flow.Block(once, OSError))
        with pytest.raises(today.AlreadyReadError, match="already read"):
            list(flow.Block(once))


def test_what_is_wrapped_is_closed() -> None:
    """CONTRACT 14: once, on every way out; hand-written iterators too."""
    for limit in (1, 9):
        source = Tracked([1, 2, 3])
        with flow.Block(source) as rows:
            for _ in zip(range(limit), rows, strict=False):
                pass
        nothing_left(source)


def test_torture() -> None:
    """CONTRACT 14-16: a generator that reads a trapped stage, ended at each wait in every way, leaves nothing open."""
    used: list[Tracked[Any]] = []

    def make_flow() -> Any:
        used[:] = [Tracked([1, 2, 3], delay=1, cleanup=1)]

        def consumer() -> Generator[Any]:
            source = flow.wrap(used[0], ValueError)
            yield source
            for row in source:
                yield row
                yield source

        return flow.wrap(consumer)

    assert torture(make_flow, tracked=lambda: used).rows == [1, 2, 3]


def test_virtual_time_is_no_part_of_it() -> None:
    """A wait lasts as long as it says: Cooperate(timeout) and its attribute."""
    pause = flow.Cooperate(2.5)
    assert (pause.timeout, flow.Cooperate().timeout) == (2.5, 0)
    assert isinstance(pause, (flow.CallLater, flow.Instruction))
    with virtual_time() as clock:
        assert list(flow.Block([pause, "x"])) == ["x"]
        assert clock.time() == 2.5
