"""Length prefixes, netstrings, text, and the way back: any split gives the same messages, limits come first.

CONTRACT 29, and 3, 4, 7, 14-16, 20, 22 where they touch framing.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise, repeat
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flow
from flow.testing import Tracked, torture

messages = st.lists(st.binary(max_size=12), max_size=8)
prefixes = st.tuples(st.integers(1, 8), st.sampled_from(["big", "little"]))
kinds = st.sampled_from([bytes, bytearray, memoryview])


@st.composite
def cuts(draw: st.DrawFn, stream: Any) -> list[Any]:
    """The stream in pieces: any, or of one byte each, or all in one; empty pieces too."""
    kind = draw(st.sampled_from(["any", "single", "one"]))
    if kind == "single":
        return [stream[at : at + 1] for at in range(len(stream))]
    if kind == "one":
        return [stream]
    bounds = [0, *sorted(draw(st.lists(st.integers(0, len(stream)), max_size=9))), len(stream)]
    return [stream[a:b] for a, b in pairwise(bounds)]


def read(pieces: Iterable[Any], stage: Callable[[Any], Iterator[Any]]) -> tuple[list[Any], type[BaseException] | None]:
    """The messages that came, and the type of what was raised after them."""
    got: list[Any] = []
    try:
        for message in flow.wrap(pieces) | stage:
            got.append(message)
    except ValueError as error:
        return got, type(error)
    return got, None


# What each framing reads, what writes it, and what an encoded message looks like.
FRAMINGS: dict[str, tuple[Callable[..., Any], Any, Callable[[bytes], bytes]]] = {
    "netstrings": (flow.netstrings, flow.to_netstrings(), lambda m: str(len(m)).encode() + b":" + m + b","),
    "length 1": (lambda **o: flow.length_prefixed(1, **o), flow.to_length_prefixed(1), lambda m: bytes([len(m)]) + m),
    "length 2": (
        lambda **o: flow.length_prefixed(2, byteorder="little", **o),
        flow.to_length_prefixed(2, byteorder="little"),
        lambda m: len(m).to_bytes(2, "little") + m,
    ),
    "length 4": (flow.length_prefixed, flow.to_length_prefixed(), lambda m: len(m).to_bytes(4, "big") + m),
}
each_framing = pytest.mark.parametrize("framing", FRAMINGS)


# ------------------------------------------------------------------------------------------------------------------
# Any split gives the same messages


@each_framing
@given(st.data(), messages, kinds)
def test_any_split_gives_the_same_messages(framing: str, data: st.DataObject, sent: list[bytes], kind: type) -> None:
    """CONTRACT 29, 1, 2: what was written is read, wherever the stream is cut, out of pieces of any kind of bytes."""
    decode, encode, form = FRAMINGS[framing]
    frames = list(flow.wrap(sent) | encode)
    assert frames == [form(message) for message in sent]
    pieces = data.draw(cuts(b"".join(frames)))
    got = list(flow.wrap([kind(piece) for piece in pieces]) | decode())
    assert got == sent
    assert all(type(message) is bytes for message in got)


@each_framing
@given(st.data(), messages, st.integers(0, 6), st.sampled_from(["row", "drop", "error"]))
def test_any_split_meets_the_same_end(
    framing: str, data: st.DataObject, sent: list[bytes], missing: int, trailing: str
) -> None:
    """CONTRACT 29, 3: where the end is cut off, every split gives the messages before it, and then what was asked."""
    decode, _, form = FRAMINGS[framing]
    frames = [form(message) for message in sent]
    stream = b"".join(frames)
    stream = stream[: max(0, len(stream) - missing)]
    whole, at = 0, 0
    while whole < len(frames) and at + len(frames[whole]) <= len(stream):
        at += len(frames[whole])
        whole += 1
    rest = stream[at:]
    last: list[bytes] = []
    if rest:
        head = len(frames[whole]) - len(sent[whole]) - (framing == "netstrings")
        if len(rest) >= head:
            last = [sent[whole][: len(rest) - head]]
    expected = [*sent[:whole], *(last if trailing == "row" else [])]
    end = ValueError if rest and trailing == "error" else None
    for pieces in ([stream], [stream[i : i + 1] for i in range(len(stream))], data.draw(cuts(stream))):
        assert read(pieces, decode(trailing=trailing)) == (expected, end), pieces


@each_framing
@given(st.data(), messages, st.integers(1, 9))
def test_any_split_meets_the_same_limit(framing: str, data: st.DataObject, sent: list[bytes], limit: int) -> None:
    """CONTRACT 29, 3: the messages before the first one that is too long, and then MessageTooLongError."""
    decode, _, form = FRAMINGS[framing]
    fit = [number for number, message in enumerate(sent) if len(message) > limit]
    stream = b"".join(form(message) for message in sent)
    expected = (sent[: fit[0]], flow.MessageTooLongError) if fit else (sent, None)
    for pieces in ([stream], [stream[i : i + 1] for i in range(len(stream))], data.draw(cuts(stream))):
        assert read(pieces, decode(max_length=limit)) == expected, pieces


@given(st.data(), st.binary(max_size=30))
def test_any_split_of_anything_gives_the_same_netstrings(data: st.DataObject, stream: bytes) -> None:
    """CONTRACT 29: what is no netstring, too, ends in the same way after the same messages."""
    pieces = data.draw(cuts(stream))
    assert read(pieces, flow.netstrings()) == read([stream], flow.netstrings())


@each_framing
def test_a_message_comes_as_soon_as_it_is_whole(framing: str) -> None:
    """CONTRACT 4, 5: no piece is asked for while there is a message."""
    decode, _, form = FRAMINGS[framing]
    pieces = Tracked([form(b"ab") + form(b"") + form(b"cd")[:-1], form(b"cd")[-1:]])
    with (flow.wrap(pieces) | decode()).open() as rows:
        assert next(rows) == b"ab"
        assert next(rows) == b""
        assert pieces.asked == 1
        assert next(rows) == b"cd"
        assert pieces.asked == 2
    assert pieces.is_closed


# ------------------------------------------------------------------------------------------------------------------
# Limits


@pytest.mark.parametrize(
    ("stage", "stream", "words"),
    [
        (
            flow.length_prefixed(),
            b"\x7f\xff\xff\xffGET /",
            r"announces 2,147,483,647 bytes, and max_length=65536 .*GET /",
        ),
        (
            flow.length_prefixed(2, max_length=3),
            b"\x00\x04abcd",
            r"announces 4 bytes, and max_length=3 .*\\x00\\x04abcd",
        ),
        (
            flow.netstrings(max_length=10),
            b"11:hello world,",
            r"announces 11 bytes, and max_length=10 .*b'11:hello world",
        ),
        (flow.netstrings(max_length=10), b"999999999999", r"announces more, and max_length=10 bytes.*b'999"),
    ],
)
def test_a_length_over_the_limit_is_refused_when_it_is_announced(stage: Any, stream: bytes, words: str) -> None:
    """CONTRACT 29: before its bytes are there; the error names the limit, and shows how the message begins."""
    source = Tracked([stream, b"never asked for"])
    with pytest.raises(flow.MessageTooLongError, match=words):
        list(flow.wrap(source) | stage)
    assert source.asked == 1
    assert source.is_closed


def test_the_limit_itself_fits() -> None:
    """CONTRACT 29: exactly max_length passes, and None lifts the limit."""
    for decode, encode, _ in FRAMINGS.values():
        for size in (1, 10, 100):
            assert list(flow.wrap([b"x" * size]) | encode | decode(max_length=size)) == [b"x" * size]
        assert list(flow.wrap([b"x" * 200]) | encode | decode(max_length=None)) == [b"x" * 200]
    long = b"x" * 70_000
    assert list(flow.wrap([long]) | flow.to_netstrings() | flow.netstrings(max_length=None)) == [long]
    assert list(flow.wrap([long]) | flow.to_length_prefixed() | flow.length_prefixed(max_length=None)) == [long]


def test_what_is_announced_is_not_allocated() -> None:
    """CONTRACT 29, 20: without a limit, too, memory is used for the bytes that are there, not for those announced."""
    tracemalloc.start()
    try:
        for stage, stream in (
            (flow.length_prefixed(8, max_length=None), b"\x00" + b"\xff" * 7),
            (flow.netstrings(max_length=None), b"9" * 18 + b":"),
        ):
            with pytest.raises(ValueError, match="the stream ends in the middle of"):
                list(flow.wrap([stream + b"abc"]) | stage)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_an_endless_length_is_given_up() -> None:
    """CONTRACT 29: digits without end are too long for any limit, and for none."""
    for limit in (10, None):
        source = Tracked(repeat(b"1"))
        with pytest.raises(ValueError, match=r"announces more|more than 20 digits"):
            list(flow.wrap(source) | flow.netstrings(max_length=limit))
        assert source.asked <= 21


def test_a_message_that_its_prefix_cannot_say_is_refused() -> None:
    """The sender hears of it, after the messages before it."""
    got: list[bytes] = []
    with pytest.raises(flow.MessageTooLongError, match=r"256 bytes is longer than a prefix of 1 bytes can say, 255"):
        for frame in flow.wrap([b"x" * 255, b"x" * 256]) | flow.to_length_prefixed(1):
            got.append(frame)
    assert got == [b"\xff" + b"x" * 255]


@pytest.mark.parametrize(
    "stream", [b":", b"a", b"2", b"-1:a,", b"+1:a,", b" 1:a,", b"01:a,", b"00:,", b"1:ab", b"1.0:a,", "²:ab,".encode()]
)
def test_what_is_no_netstring_is_an_error(stream: bytes) -> None:
    """A length is digits without a zero before it, and a comma stands behind the message."""
    assert read([b"1:x,", stream], flow.netstrings()) == ([b"x"], ValueError)


def test_a_line_too_long_error_is_a_message_too_long_error() -> None:
    """One `except` for all framings."""
    with pytest.raises(flow.MessageTooLongError):
        list(flow.wrap([b"abc"]) | flow.lines(max_length=2))
    assert issubclass(flow.MessageTooLongError, (ValueError, flow.FlowError))


# ------------------------------------------------------------------------------------------------------------------
# Text


ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1", "shift_jis", "iso2022_jp", "utf-7"]


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(data=st.data())
def test_any_split_gives_the_same_text(encoding: str, data: st.DataObject) -> None:
    """CONTRACT 29: a character that is cut in two comes whole, in encodings with a mark or with shifts too."""
    text = data.draw(st.text("aé\n ", max_size=20) if encoding == "latin-1" else st.text("a日本語\n ", max_size=20))
    if encoding.startswith("utf"):
        text += data.draw(st.text(max_size=5).filter(lambda more: more.isprintable()))
    rows = data.draw(cuts(text))
    stream = b"".join(flow.wrap(rows) | flow.encoded(encoding))
    assert stream.decode(encoding) == text
    pieces = list(flow.wrap(data.draw(cuts(stream))) | flow.decoded(encoding))
    assert "".join(pieces) == text
    assert all(pieces)


@given(st.data(), st.binary(max_size=20))
def test_any_split_of_anything_gives_the_same_text(data: st.DataObject, stream: bytes) -> None:
    """CONTRACT 29, 3: where it is no text, the text before the fault comes first, however the stream was cut."""

    def decoded(pieces: Any, errors: str) -> tuple[str, Any]:
        got, end = read(pieces, flow.decoded(errors=errors))
        return "".join(got), end

    pieces = data.draw(cuts(stream))
    for errors in ("strict", "replace", "ignore"):
        assert decoded(pieces, errors) == decoded([stream], errors)
    assert decoded(pieces, "replace")[0] == codecs.decode(stream, "utf-8", "replace")


def test_an_end_in_the_middle_of_a_character_is_an_error() -> None:
    """CONTRACT 29: what is trailing there is an error, or what `errors` says."""
    assert read([b"ab\xc3"], flow.decoded()) == (["ab"], UnicodeDecodeError)
    assert read([b"ab\xc3"], flow.decoded(errors="replace")) == (["ab", "\ufffd"], None)


# ------------------------------------------------------------------------------------------------------------------
# Lines, and records of lines


@given(st.data(), st.lists(st.text("ab\r", max_size=5), max_size=8), st.sampled_from(["\n", "\r\n", "ab", "aba"]))
def test_lines_that_are_written_are_read(data: st.DataObject, rows: list[str], delimiter: str) -> None:
    """CONTRACT 29: of text and of bytes; the row that would be read as two is refused, after those before it."""
    sent = rows[: next((n for n, row in enumerate(rows) if (row + delimiter).split(delimiter)[0] != row), len(rows))]
    end = None if sent == rows else ValueError
    frames, error = read(rows, flow.to_lines(delimiter))
    assert ("".join(frames), error) == ("".join(row + delimiter for row in sent), end)
    assert list(flow.wrap(data.draw(cuts("".join(frames)))) | flow.lines(delimiter)) == sent
    frames, error = read([row.encode() for row in rows], flow.to_lines(delimiter.encode()))
    assert error is end
    assert list(flow.wrap(data.draw(cuts(b"".join(frames)))) | flow.lines(delimiter.encode())) == [
        row.encode() for row in sent
    ]


def test_a_row_with_the_delimiter_in_it_is_refused() -> None:
    """It would be two lines; the rows before it come."""
    assert read(["a", "b\nc"], flow.to_lines()) == (["a\n"], ValueError)
    assert read([b"a\r\n"], flow.to_lines(b"\r\n")) == ([], ValueError)
    with pytest.raises(TypeError, match="takes rows of str, not bytes"):
        list(flow.wrap([b"a"]) | flow.to_lines("\n"))
    assert list(flow.wrap([bytearray(b"a"), memoryview(b"b")]) | flow.to_lines()) == [b"a\n", b"b\n"]


@given(st.data(), st.text("ab\n\r", max_size=30), st.sampled_from([None, 40]))
def test_keepends_is_what_a_file_gives(data: st.DataObject, text: str, limit: int | None) -> None:
    """CONTRACT 29: lines with their ends are those of a file that is open with newline="\\n"."""
    expected = list(io.StringIO(text, newline="\n"))
    assert list(flow.wrap(data.draw(cuts(text))) | flow.lines("\n", keepends=True, max_length=limit)) == expected


def test_the_delimiter_that_is_kept_counts_for_no_limit() -> None:
    """CONTRACT 29: the limit is that of the line."""
    assert list(flow.wrap(["ab\nab\n"]) | flow.lines("\n", keepends=True, max_length=2)) == ["ab\n", "ab\n"]
    assert list(flow.LineBreak(["ab\nc"], delimiter="\n", keepends=True)) == ["ab\n", "c"]
    with pytest.raises(flow.LineTooLongError):
        list(flow.wrap(["ab\nabc\n"]) | flow.lines("\n", keepends=True, max_length=2))


@given(st.data(), st.lists(st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=5)), max_size=5))
def test_json_lines(data: st.DataObject, rows: list[dict[str, Any]]) -> None:
    """CONTRACT 29: JSON lines are `lines` and the json module, in and out."""
    stream = b"".join(flow.wrap(rows).map(json.dumps) | flow.to_lines() | flow.encoded())
    pieces = data.draw(cuts(stream))
    assert list((flow.wrap(pieces) | flow.lines()).map(json.loads)) == rows


@given(st.data(), st.lists(st.lists(st.text('a,"\n ', max_size=5), min_size=1, max_size=3), max_size=5))
def test_csv_records(data: st.DataObject, rows: list[list[str]]) -> None:
    """CONTRACT 29: csv.reader reads a flow of lines as it is, fields with line ends in them included."""
    written = io.StringIO(newline="")
    csv.writer(written, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(rows)
    pieces = data.draw(cuts(written.getvalue().encode()))
    lines = flow.wrap(pieces) | flow.decoded() | flow.lines("\n", keepends=True)
    assert list(lines | csv.reader) == rows


# ------------------------------------------------------------------------------------------------------------------
# As stages


ALL: dict[str, tuple[Any, list[Any]]] = {
    "length_prefixed": (flow.length_prefixed(1), [b"\x01", b"a\x00\x01b"]),
    "to_length_prefixed": (flow.to_length_prefixed(), [b"a", b"b"]),
    "netstrings": (flow.netstrings(), [b"1:a,", b"1:", b"b,"]),
    "to_netstrings": (flow.to_netstrings(), [b"a", b"b"]),
    "decoded": (flow.decoded(), [b"a", b"\xc3", b"\xa9"]),
    "encoded": (flow.encoded("utf-8-sig"), ["a", "é"]),
    "to_lines": (flow.to_lines(), ["a", "b"]),
    "lines": (flow.lines(keepends=True), [b"a\nb", b"\nc"]),
}


@pytest.mark.parametrize("name", ALL)
def test_torture(name: str) -> None:
    """CONTRACT 14-16: ended at each of its waits, in every way, it leaves nothing open."""
    stage, pieces = ALL[name]
    used: list[Tracked[Any]] = []

    def make_flow() -> flow.Stage[Any]:
        used[:] = [Tracked(pieces, delay=1, cleanup=1)]
        return flow.wrap(used[0]) | stage

    torture(make_flow, tracked=lambda: used)


@pytest.mark.parametrize("name", ALL)
def test_it_is_a_plain_function_that_may_be_used_again(name: str) -> None:
    """CONTRACT 7: sans-io, and nothing is held between two runs; the stage is called by its name."""
    stage, pieces = ALL[name]
    assert list(stage(pieces)) == list(stage(iter(pieces))) == list(flow.wrap(pieces) | stage)
    assert name in repr(flow.wrap(pieces) | stage)
    with pytest.raises(TypeError, match=rf"{name}\(\)"):
        list(flow.wrap([1]) | stage)


def test_a_failure_of_the_source_comes_after_the_messages_before_it() -> None:
    """CONTRACT 3."""
    got: list[bytes] = []
    with pytest.raises(OSError, match="reset"):
        for message in flow.wrap(Tracked([b"1:a,1:b,1:"], fail=OSError("reset"))) | flow.netstrings():
            got.append(message)
    assert got == [b"a", b"b"]


WRONG: list[tuple[Callable[..., Any], dict[str, Any], type[Exception], str]] = [
    (flow.length_prefixed, {"size": 0}, ValueError, "size"),
    (flow.length_prefixed, {"size": 9}, ValueError, "size"),
    (flow.length_prefixed, {"size": 1.0}, TypeError, "size"),
    (flow.length_prefixed, {"size": True}, TypeError, "size"),
    (flow.length_prefixed, {"byteorder": "middle"}, ValueError, "byteorder"),
    (flow.length_prefixed, {"max_length": 0}, ValueError, "max_length"),
    (flow.length_prefixed, {"trailing": "keep"}, ValueError, "trailing"),
    (flow.to_length_prefixed, {"size": 0}, ValueError, "size"),
    (flow.to_length_prefixed, {"byteorder": None}, ValueError, "byteorder"),
    (flow.netstrings, {"max_length": -1}, ValueError, "max_length"),
    (flow.netstrings, {"max_length": 1.5}, TypeError, "max_length"),
    (flow.netstrings, {"trailing": None}, ValueError, "trailing"),
    (flow.to_lines, {"delimiter": b""}, ValueError, "delimiter"),
    (flow.to_lines, {"delimiter": 1}, TypeError, "delimiter"),
    (flow.decoded, {"encoding": "no-such"}, ValueError, "encoding"),
    (flow.decoded, {"encoding": "hex"}, ValueError, "encoding"),
    (flow.decoded, {"encoding": None}, TypeError, "encoding"),
    (flow.decoded, {"errors": "no-such"}, ValueError, "errors"),
    (flow.encoded, {"encoding": "rot13"}, ValueError, "encoding"),
    (flow.encoded, {"errors": 1}, TypeError, "errors"),
]


@pytest.mark.parametrize(("make", "arguments", "error", "words"), WRONG)
def test_wrong_arguments_fail_when_built(make: Any, arguments: dict[str, Any], error: Any, words: str) -> None:
    """CONTRACT 22: refused by the line that wrote it, which it names."""
    with pytest.raises(error, match=rf"{make.__name__}\({words}\)"):
        make(**arguments)


@pytest.mark.parametrize("width", [1, 7])
def test_cost_is_linear_in_the_length_of_a_message(width: int) -> None:
    """CONTRACT 29: a long message in many pieces is joined once."""
    size = 60_000
    for decode, encode, _ in (FRAMINGS["length 4"], FRAMINGS["netstrings"]):
        (frame,) = flow.wrap([b"x" * size]) | encode
        joins: list[int] = []
        pieces = [frame[at : at + width] for at in range(0, len(frame), width)]
        for message in flow.wrap(pieces) | decode():
            joins.append(len(message))
        assert joins == [size]
