"""Framing: any split of a stream gives the same lines, limits are enforced exactly and before the memory is used.

CONTRACT 29, and 3, 4, 22 where they touch framing.
"""

from __future__ import annotations

import re
from ast import literal_eval
from collections.abc import Iterable, Iterator
from itertools import repeat
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import flow
from flow.io.framing import MAX_LENGTH
from flow.testing import Tracked

# Few different characters, so that delimiters, their beginnings, and delimiters that overlap themselves come often.
DELIMITERS = [b"\n", b"a", b"\r\n", b"aa", b"ab", b"aab", b"aba", b"aaa", b"\r\n\r"]
delimiters = st.sampled_from(DELIMITERS)
streams = st.lists(st.sampled_from([b"a", b"b", b"\r", b"\n", b"\r\n", b"aab", b"\xff"]), max_size=40).map(b"".join)


@st.composite
def cuts(draw: st.DrawFn, data: Any) -> list[Any]:
    """The stream in pieces: any, or of one byte each, or all in one; empty pieces too."""
    kind = draw(st.sampled_from(["any", "bytes", "one"]))
    if kind == "bytes":
        return [data[i : i + 1] for i in range(len(data))]
    if kind == "one":
        return [data]
    places = sorted(draw(st.lists(st.integers(0, len(data)), max_size=12)))
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


def expected(data: Any, delimiter: Any) -> list[Any]:
    """What bytes.split gives, but that nothing after the last delimiter is no line."""
    parts = data.split(delimiter)
    if not parts[-1]:
        parts.pop()
    return list(parts)


def text_of(x: bytes) -> str:
    return x.decode("latin-1")


def read(pieces: Iterable[Any], delimiter: Any, **options: Any) -> tuple[list[Any], BaseException | None]:
    """The lines that came, and what was raised after them."""
    got: list[Any] = []
    try:
        for line in flow.wrap(pieces) | flow.lines(delimiter, **options):
            got.append(line)
    except ValueError as error:
        return got, error
    return got, None


# ------------------------------------------------------------------------------------------------------------------
# Any split gives the same lines


@given(st.data(), streams, delimiters)
def test_any_split_of_bytes_gives_the_same_lines(data: st.DataObject, stream: bytes, delimiter: bytes) -> None:
    """CONTRACT 29: the lines are those of `stream.split(delimiter)`, wherever the stream is cut."""
    pieces = data.draw(cuts(stream))
    assert read(pieces, delimiter) == (expected(stream, delimiter), None)


@given(st.data(), streams, delimiters)
def test_any_split_of_text_gives_the_same_lines(data: st.DataObject, stream: bytes, delimiter: bytes) -> None:
    """CONTRACT 29: the same for str, with a delimiter of str, and with one of ASCII bytes."""
    text = text_of(stream)
    pieces = data.draw(cuts(text))
    wanted = expected(text, text_of(delimiter))
    assert read(pieces, text_of(delimiter)) == (wanted, None)
    assert read(pieces, delimiter) == (wanted, None)


@given(st.data(), streams)
def test_any_split_into_bytearrays_and_memoryviews(data: st.DataObject, stream: bytes) -> None:
    """CONTRACT 29: pieces of bytes, bytearray and memoryview may follow each other; every line is bytes."""
    pieces = data.draw(cuts(stream))
    kinds = data.draw(st.lists(st.sampled_from([bytes, bytearray, memoryview]), min_size=len(pieces)))
    mixed = [kind(piece) for kind, piece in zip(kinds, pieces, strict=False)]
    got, error = read(mixed, b"\r\n")
    assert (got, error) == (expected(stream, b"\r\n"), None)
    assert all(type(line) is bytes for line in got)


@given(st.data(), streams, delimiters, st.integers(1, 6), st.sampled_from(["row", "drop", "error"]))
@example(None, b"aaa", b"\r\n", 2, "row")
@example(None, b"aa\r", b"\r\n", 2, "drop")
@example(None, b"aa\r\n", b"\r\n", 2, "error")
@example(None, b"b\nbb\nbbb\nb", b"\n", 2, "row")
def test_any_split_meets_the_same_limit(
    data: st.DataObject | None, stream: bytes, delimiter: bytes, limit: int, trailing: str
) -> None:
    """CONTRACT 29, 3: with a limit, every split gives the same lines before the same end: the lines up to the first too
    long one and then LineTooLongError, or all lines and then what `trailing` says."""
    *lines, last = stream.split(delimiter)
    wanted: list[bytes] = []
    end: type[BaseException] | None = None
    for line in lines:
        if len(line) > limit:
            end = flow.LineTooLongError
            break
        wanted.append(line)
    else:
        if len(last) > limit:
            end = flow.LineTooLongError
        elif last and trailing == "error":
            end = ValueError
        elif last and trailing == "row":
            wanted.append(last)
    splits = [[stream], [stream[i : i + 1] for i in range(len(stream))]]
    if data is not None:
        splits.append(data.draw(cuts(stream)))
    for pieces in splits:
        got, error = read(pieces, delimiter, max_length=limit, trailing=trailing)
        assert got == wanted, pieces
        assert (None if error is None else type(error)) is end, pieces


@pytest.mark.parametrize("cut", range(13))
def test_a_delimiter_that_is_cut_in_two_is_found(cut: int) -> None:
    """CONTRACT 29: CRLF across two pieces is one delimiter (2003 gave one line, with the CRLF inside)."""
    stream = b"one\r\ntwo\r\n\r\n"
    assert list(flow.wrap([stream[:cut], stream[cut:]]) | flow.lines(b"\r\n")) == [b"one", b"two", b""]


def test_a_delimiter_that_began_and_was_none_is_data() -> None:
    """CONTRACT 29: a CR at the end of a piece that no LF follows belongs to the line."""
    assert list(flow.wrap([b"a\r", b"b\r", b"\r", b"\nc\r"]) | flow.lines(b"\r\n")) == [b"a\rb\r", b"c\r"]


def test_no_pieces_and_empty_pieces_are_no_lines() -> None:
    """An empty stream has no lines, and an empty piece changes nothing."""
    assert list(flow.wrap([]) | flow.lines()) == []
    assert list(flow.wrap([b"", b"", b""]) | flow.lines()) == []
    assert list(flow.wrap([b"", b"a", b"", b"\n", b"", b"b"]) | flow.lines()) == [b"a", b"b"]


def test_a_line_comes_as_soon_as_its_delimiter_has() -> None:
    """CONTRACT 4, 5: no piece is asked for while a line is ready."""
    pieces = Tracked([b"a\nb\nc", b"d\n", b"e"])
    with (flow.wrap(pieces) | flow.lines()).open() as rows:
        assert next(rows) == b"a"
        assert next(rows) == b"b"
        assert pieces.asked == 1
        assert next(rows) == b"cd"
        assert pieces.asked == 2
    assert pieces.is_closed


# ------------------------------------------------------------------------------------------------------------------
# The limit


@pytest.mark.parametrize("delimiter", DELIMITERS)
def test_a_line_of_max_length_passes_in_every_split(delimiter: bytes) -> None:
    """CONTRACT 29: exactly max_length is allowed, with its delimiter, however the pieces lie around the delimiter."""
    for size in (1, 2, 3, 7, 1000):
        line = b"x" * size
        stream = line + delimiter + line
        for width in {1, 2, 3, size, size + 1, len(stream)}:
            pieces = [stream[i : i + width] for i in range(0, len(stream), width)]
            assert read(pieces, delimiter, max_length=size) == ([line, line], None), width


@pytest.mark.parametrize("delimiter", DELIMITERS)
@pytest.mark.parametrize("ended", [True, False])
def test_a_line_of_one_more_fails_in_every_split(delimiter: bytes, ended: bool) -> None:
    """CONTRACT 29, 3: max_length + 1 raises LineTooLongError in every split, and the lines before it came first."""
    for size in (1, 2, 3, 7, 1000):
        line = b"x" * size
        stream = (line + delimiter) * 2 + line + b"y" + (delimiter if ended else b"")
        for width in {1, 2, 3, size, size + 1, size + 2, len(stream)}:
            pieces = [stream[i : i + width] for i in range(0, len(stream), width)]
            got, error = read(pieces, delimiter, max_length=size)
            assert got == [line, line], width
            assert isinstance(error, flow.LineTooLongError), width


def first_bytes(error: BaseException | None) -> Any:
    assert isinstance(error, flow.LineTooLongError)
    found = re.search(r"begins with (.*)$", str(error), re.DOTALL)
    assert found is not None, str(error)
    return literal_eval(found[1])


@pytest.mark.parametrize("width", [1, 2, 3, 5, 11, 100])
@pytest.mark.parametrize("delimiter", [b"\n", b"\r\n", b"\r\n\r"])
@pytest.mark.parametrize("ended", [True, False])
def test_the_error_names_the_limit_and_the_first_bytes(width: int, delimiter: bytes, ended: bool) -> None:
    """CONTRACT 29: a LineTooLongError shows the limit, and how the line begins: its first bytes, none left out."""
    line = bytes(range(ord("A"), ord("Z"))) * 2
    stream = b"ok" + delimiter + line + (delimiter if ended else b"")
    pieces = [stream[i : i + width] for i in range(0, len(stream), width)]
    got, error = read(pieces, delimiter, max_length=40)
    assert got == [b"ok"]
    assert "max_length=40 bytes" in str(error)
    shown = first_bytes(error)
    assert line.startswith(shown)
    assert len(shown) >= 20


def test_the_error_for_text_counts_characters() -> None:
    """CONTRACT 29: the limit for text is in characters, not in bytes of some encoding, and the text says so."""
    assert read(["ééé\n"], "\n", max_length=3) == (["ééé"], None)
    got, error = read(["é", "é", "é", "é", "\n"], "\n", max_length=3)
    assert got == []
    assert "max_length=3 characters" in str(error)
    assert "éééé".startswith(first_bytes(error))


@pytest.mark.parametrize("delimiter", [b"\n", b"\r\n", b"\r\n\r"])
@pytest.mark.parametrize("width", [1, 10, 99, 100, 101])
def test_an_endless_line_is_given_up_at_the_limit(delimiter: bytes, width: int) -> None:
    """CONTRACT 29, 20: no more than max_length, the beginning of a delimiter and one piece is ever taken from an
    endless line: the limit is enforced before the memory is used."""
    source = Tracked(repeat(b"\r" * width))
    got, error = read(source, delimiter, max_length=100)
    assert got == []
    assert isinstance(error, flow.LineTooLongError)
    assert (source.asked - 1) * width <= 100 + len(delimiter)
    assert source.is_closed


def test_a_whole_piece_of_long_lines_is_checked_line_by_line() -> None:
    """CONTRACT 29, 3: in one piece with short and long lines, the short ones before the first long one are
    delivered."""
    got, error = read([b"a\nb\n" + b"c" * 11 + b"\nd\n"], b"\n", max_length=10)
    assert got == [b"a", b"b"]
    assert first_bytes(error) == b"c" * 11


def test_the_default_limit_holds_and_can_be_lifted() -> None:
    """CONTRACT 29: 65,536 without being told otherwise; None lifts it."""
    line = b"x" * MAX_LENGTH
    assert read([line, b"\n"], b"\n") == ([line], None)
    assert isinstance(read([line, b"y\n"], b"\n")[1], flow.LineTooLongError)
    assert read([line, b"y\n"], b"\n", max_length=None) == ([line + b"y"], None)


def test_a_line_too_long_error_is_a_value_error_and_a_flow_error() -> None:
    """One `except` serves both who know flow and who don't."""
    _, error = read([b"abc"], b"\n", max_length=2)
    assert isinstance(error, ValueError)
    assert isinstance(error, flow.FlowError)


def test_a_failure_of_the_source_comes_after_the_lines_before_it() -> None:
    """CONTRACT 3: lines that are complete are delivered; the unfinished one is no line."""

    def pieces() -> Iterator[bytes]:
        yield b"a\nb\nc"
        raise OSError("reset")

    got: list[bytes] = []
    with pytest.raises(OSError, match="reset"):
        for line in flow.wrap(pieces) | flow.lines():
            got.append(line)
    assert got == [b"a", b"b"]


# ------------------------------------------------------------------------------------------------------------------
# What comes after the last delimiter


@pytest.mark.parametrize("pieces", [[b"a\nbc"], [b"a\n", b"bc"], [b"a", b"\n", b"b", b"c"], [b"a\nb", b"c"]])
def test_trailing_data_is_a_row_or_dropped_or_an_error(pieces: list[bytes]) -> None:
    """CONTRACT 29: trailing data is an error or a last message, as asked, in every split."""
    assert read(pieces, b"\n") == ([b"a", b"bc"], None)
    assert read(pieces, b"\n", trailing="row") == ([b"a", b"bc"], None)
    assert read(pieces, b"\n", trailing="drop") == ([b"a"], None)
    got, error = read(pieces, b"\n", trailing="error")
    assert got == [b"a"]
    assert type(error) is ValueError
    assert "b'bc'" in str(error)


@pytest.mark.parametrize("trailing", ["row", "drop", "error"])
def test_a_stream_that_ends_with_its_delimiter_has_nothing_trailing(trailing: str) -> None:
    """CONTRACT 29: the delimiter ends the last line, it does not begin an empty one."""
    assert read([b"a\nb", b"\n"], b"\n", trailing=trailing) == ([b"a", b"b"], None)


@pytest.mark.parametrize("trailing", ["row", "drop", "error"])
def test_half_a_delimiter_at_the_end_is_trailing_data(trailing: str) -> None:
    """CONTRACT 29: a lone CR at the end was never a delimiter."""
    got, error = read([b"a\r\n", b"\r"], b"\r\n", trailing=trailing)
    assert got == ([b"a", b"\r"] if trailing == "row" else [b"a"])
    assert (type(error) is ValueError) is (trailing == "error")


# ------------------------------------------------------------------------------------------------------------------
# Wrong arguments and wrong pieces


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"delimiter": b""}, ValueError, "delimiter"),
        ({"delimiter": ""}, ValueError, "delimiter"),
        ({"delimiter": 10}, TypeError, "delimiter"),
        ({"delimiter": None}, TypeError, "delimiter"),
        ({"delimiter": bytearray(b"\n")}, TypeError, "delimiter"),
        ({"max_length": 0}, ValueError, "max_length"),
        ({"max_length": -1}, ValueError, "max_length"),
        ({"max_length": 1.5}, TypeError, "max_length"),
        ({"max_length": True}, TypeError, "max_length"),
        ({"max_length": "10"}, TypeError, "max_length"),
        ({"trailing": "rows"}, ValueError, "trailing"),
        ({"trailing": None}, ValueError, "trailing"),
    ],
)
def test_wrong_arguments_fail_when_built(arguments: dict[str, Any], error: type[Exception], words: str) -> None:
    """CONTRACT 22: the error is raised by the line that wrote it, and names the argument."""
    with pytest.raises(error, match=words):
        flow.lines(**arguments)
    with pytest.raises(error, match=words):
        flow.LineBreak([b"a"], **arguments)


@pytest.mark.parametrize(
    ("pieces", "delimiter"),
    [
        ([1], b"\n"),
        ([None], b"\n"),
        ([[b"a"]], b"\n"),
        ([b"a", "b"], b"\n"),
        (["a", b"b"], "\n"),
        (["a", bytearray(b"b")], "\n"),
        ([b"a", 1], b"\n"),
        ([b"a"], "\n"),
        ([bytearray(b"a")], "\n"),
    ],
)
def test_pieces_of_a_wrong_or_another_kind_are_an_error(pieces: list[Any], delimiter: Any) -> None:
    """Bytes and text are never mixed silently, and no piece is turned into text by str() (2003 did)."""
    with pytest.raises(TypeError):
        list(flow.wrap(pieces) | flow.lines(delimiter))


def test_an_error_for_a_mixed_piece_comes_after_the_lines_before_it() -> None:
    """CONTRACT 3: the lines before a piece of another kind are delivered."""
    got = []
    with pytest.raises(TypeError, match="str"):
        for line in flow.wrap([b"a\nb", "c"]) | flow.lines():
            got.append(line)
    assert got == [b"a"]


# ------------------------------------------------------------------------------------------------------------------
# The two forms


def test_line_break_is_the_class_form() -> None:
    """`LineBreak` takes a stage, or what `wrap` takes, and the arguments of `lines`."""
    pieces = ["a\r", "\nb", "b"]
    assert list(flow.LineBreak(flow.wrap(pieces), delimiter="\r\n")) == ["a", "bb"]
    assert list(flow.LineBreak(pieces, delimiter="\r\n", trailing="drop")) == ["a"]
    with pytest.raises(flow.LineTooLongError):
        list(flow.LineBreak(pieces, delimiter="\r\n", max_length=1))
    assert "LineBreak" in repr(flow.LineBreak(pieces, delimiter="\r\n"))


def test_lines_needs_no_run() -> None:
    """Framing is sans-io: it is a plain function from any iterable of pieces to lines."""
    assert list(flow.lines(b";")([b"a;b", b"c;"])) == [b"a", b"bc"]


def test_one_lines_object_serves_many_runs() -> None:
    """CONTRACT 7: the stage holds nothing between two runs, after a failure neither."""
    stage = flow.lines("\n", max_length=3)
    assert list(flow.wrap(["a\nb"]) | stage) == ["a", "b"]
    with pytest.raises(flow.LineTooLongError):
        list(flow.wrap(["aaaa"]) | stage)
    assert list(flow.wrap([b"c\nd"]) | flow.lines(b"\n")) == [b"c", b"d"]
    assert list(flow.wrap(["c", "d"]) | stage) == ["cd"]


# ------------------------------------------------------------------------------------------------------------------
# Cost


class Counted(bytes):
    """Bytes that count how many of them are copied or searched: steps, not time."""

    steps = 0

    def __add__(self, other: Any) -> Counted:
        Counted.steps += len(self) + len(other)
        return Counted(bytes.__add__(self, other))

    def __radd__(self, other: Any) -> Counted:
        Counted.steps += len(self) + len(other)
        return Counted(bytes.__add__(other, self))

    def __getitem__(self, where: Any) -> Any:
        found = bytes.__getitem__(self, where)
        if isinstance(where, slice):
            Counted.steps += len(found)
            return Counted(found)
        return found

    def split(self, *arguments: Any) -> Any:
        Counted.steps += len(self)
        return [Counted(part) for part in bytes.split(self, *arguments)]

    def find(self, *arguments: Any) -> int:
        Counted.steps += len(self)
        return bytes.find(self, *arguments)


@pytest.mark.parametrize("delimiter", [b"\n", b"\r\n", b"\r\n\r"])
@pytest.mark.parametrize("width", [1, 10])
def test_cost_is_linear_in_the_length_of_a_line(delimiter: bytes, width: int) -> None:
    """CONTRACT 29: a long line in many pieces is copied and searched a bounded number of times for each byte."""
    size = 4000
    Counted.steps = 0
    pieces = (Counted(b"x" * width) for _ in range(size // width))
    assert [len(line) for line in flow.lines(delimiter, max_length=None)(pieces)] == [size]
    assert Counted.steps <= size * 2 * (2 + 2 * len(delimiter))


def test_cost_is_linear_in_the_number_of_lines() -> None:
    """CONTRACT 29: many short lines in one piece are each handed on once; the rest is not searched again."""
    size = 4000
    Counted.steps = 0
    assert len(list(flow.lines(b"\n")([Counted(b"x\n" * size)]))) == size
    assert Counted.steps <= 4 * 2 * size
