"""flow.classic's Filter, LineBreak and Pipe, as the suite of 2003 showed them."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest

import flow as today
from flow.classic import flow
from flow.testing import Tracked, nothing_left

from .test_wrap import Steps
from .ways import both, in_a_block

Read = Callable[..., list[Any]]


@both
def test_filter(read: Read) -> None:
    """2003's suite and docstring: the rows for which a function is true; a pause is obeyed."""
    assert read(flow.Filter(lambda row: row > 1, Steps(1, 2, flow.Cooperate(), 3))) == [2, 3]
    assert read(flow.Filter(str.isdigit, lambda: ["a", "7"])) == ["7"]


@both
def test_filter_without_a_function(read: Read) -> None:
    """2003's docstring: None keeps what is true itself."""
    assert read(flow.Filter(None, [0, 1, "", "x", None])) == [1, "x"]


def test_the_trap_of_a_filter() -> None:
    """Of a failing function, too, which hung in 2003 (fault P3)."""
    assert in_a_block(flow.Filter(lambda row: 1 // row, [1, 0], ZeroDivisionError)) == [1, ZeroDivisionError]


@both
def test_lines(read: Read) -> None:
    """2003's suite: pieces that end anywhere become lines, without the delimiter; a pause in the middle of one."""
    pieces = Steps("one t", "wo\nthree", flow.Cooperate(), " four", "\n")
    assert read(flow.LineBreak(pieces, delimiter="\n")) == ["one two", "three four"]


@both
def test_lines_of_text_and_of_bytes(read: Read) -> None:
    """The default delimiter is CRLF, in text and in bytes, across two pieces as well (fault P4)."""
    assert read(flow.LineBreak(["a\r", "\n\r\nb\r\n"])) == ["a", "", "b"]
    assert read(flow.LineBreak([b"a\r", b"\nb\r\n"])) == [b"a", b"b"]
    assert read(flow.LineBreak(["a\u2028b\u2028"], delimiter="\u2028")) == ["a", "b"]
    assert read(flow.LineBreak([b"a;b;"], delimiter=b";")) == [b"a", b"b"]


@both
def test_trailing_data(read: Read) -> None:
    """2003: a RuntimeError, unless `trailer` says that it is a row; a trap takes it (fault P6)."""
    pieces = ["one\r\ntwo"]
    assert read(flow.LineBreak(pieces, trailer=True)) == ["one", "two"]
    assert read(flow.LineBreak(pieces, RuntimeError)) == ["one", RuntimeError]
    with pytest.raises(RuntimeError, match="trailing data remains: 'two'"):
        read(flow.LineBreak(pieces))
    assert read(flow.LineBreak(["one\r\n"], RuntimeError)) == ["one"]


def test_a_failing_source_has_no_trailing_data() -> None:
    """Its failure is the failure."""

    def cut() -> Generator[Any]:
        yield "one\r\ntwo"
        raise OSError("cut")

    assert in_a_block(flow.LineBreak(cut, OSError, RuntimeError)) == ["one", OSError]


def test_the_longest_line() -> None:
    """2003 did not look at `maxlength` (fault P5)."""
    with pytest.raises(today.LineTooLongError, match="max_length=4"):
        in_a_block(flow.LineBreak(["12345\r\n"], maxlength=4))
    assert in_a_block(flow.LineBreak(["x" * 16384 + "\r\n"])) == ["x" * 16384]
    with pytest.raises(today.LineTooLongError):
        in_a_block(flow.LineBreak(["x" * 16385 + "\r\n"]))


# ------------------------------------------------------------------------------------------------------------------
# Pipe


class Sums(flow.Pipe):
    """Sums of the rows so far, the total again at the end, and no more after `most`."""

    def __init__(self, source: Any, *trap: Any, most: int = 100) -> None:
        flow.Pipe.__init__(self, source, *trap)
        self.total = 0
        self.most = most
        self.asked: list[Any] = []

    def process(self, results: list[Any], stop: bool) -> None:
        self.asked.append((list(results), stop))
        for row in results:
            self.total += row
            self.results.append(self.total)
        if stop:
            self.results.append(("total", self.total))
        elif self.total > self.most:
            self.stop = True


@both
def test_a_pipe(read: Read) -> None:
    """2003: process(results, stop) fills `results`, and is told of the end with no rows."""
    sums = Sums(Steps(1, flow.Cooperate(1), 2))
    assert read(sums) == [1, 3, ("total", 3)]
    assert sums.asked == [([1], False), ([2], False), ([], True)]


@both
def test_a_pipe_is_read_as_other_stages_are(read: Read) -> None:
    """``yield pipe``, next(), `results`, `stop`; one pipe over another."""

    def reads() -> Generator[Any]:
        sums = Sums(flow.Filter(None, [1, 0, 2]))
        yield sums
        yield sums.next()
        yield sums
        yield sums.results
        sums.results = []
        yield list(sums)
        yield sums.stop

    assert read(reads) == [1, [3], [("total", 3)], True]
    assert read(flow.Map(str, Sums(flow.Map(int, "4")))) == ["4", "('total', 4)"]


@both
def test_a_pipe_may_end_early(read: Read) -> None:
    """By setting `stop`; its source is closed."""
    source = Tracked([5, 6, 7])
    assert read(Sums(source, most=10)) == [5, 11]
    nothing_left(source)
    assert source.asked == 2


@both
def test_a_pipe_fails(read: Read) -> None:
    """By raising, by setting `failure`, or with its source: after its rows (fault P1), and its trap takes it."""

    class Fussy(flow.Pipe):
        def process(self, results: list[Any], stop: bool) -> None:
            for row in results:
                if row == "set":
                    self.failure = flow.Failure(KeyError(row))
                    return
                self.results.append(row.upper())

    def cut() -> Generator[Any]:
        yield "a"
        raise OSError("cut")

    for source, error in ((cut, OSError), (["a", 1], AttributeError), (["a", "set", "b"], KeyError)):
        assert read(Fussy(source, error)) == ["A", error]
        with pytest.raises(error):
            read(Fussy(source))


def test_a_pipe_over_a_trap() -> None:
    """The class that the trap of the source gives is a row of it (2003 took the failure past the trap)."""
    assert in_a_block(Sums(flow.wrap(lambda: [1, 2], OSError))) == [1, 3, ("total", 3)]

    def cut() -> Generator[Any]:
        raise OSError("cut")
        yield

    class Names(flow.Pipe):
        def process(self, results: list[Any], stop: bool) -> None:
            self.results.extend(row.__name__ for row in results)

    assert in_a_block(Names(flow.wrap(cut, OSError))) == ["OSError"]


def test_a_pipe_may_take_many_rows_at_once() -> None:
    """With a chunked source process() is given what is ready."""
    source = flow.wrap([1, 2, flow.Cooperate(), 3])
    source.chunked = True
    sums = Sums(source)
    assert in_a_block(sums) == [1, 3, 6, ("total", 6)]
    assert sums.asked == [([1, 2], False), ([3], False), ([], True)]


def test_a_pipe_must_say_what_it_does() -> None:
    """A process() that was not written is an error of the flow."""
    with pytest.raises(NotImplementedError, match="Pipe must override process"):
        in_a_block(flow.Pipe([1]))
