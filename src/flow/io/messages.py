"""Framing by length, text out of bytes, and the way back: from messages to pieces that can be sent.

As in `framing.py` everything here is a plain function of an iterable, knows no socket, and gives the same messages for
any split of the same stream (CONTRACT 29). A length that is over the limit is refused when it is announced, before a
byte of its message is held.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Generator, Iterable, Iterator
from functools import partial
from typing import Any, AnyStr, Literal, overload

from ..core.source import is_a
from ..errors import MessageTooLongError
from .framing import MAX_LENGTH, Trailing, check_limit, check_trailing, named

__all__ = ["decoded", "encoded", "length_prefixed", "netstrings", "to_length_prefixed", "to_lines", "to_netstrings"]

Order = Literal["big", "little"]
Pieces = Iterable[bytes | bytearray | memoryview]
OfBytes = Callable[[Pieces], Iterator[bytes]]

SHOWN = 60
"""Bytes of a message that an error shows."""

DIGITS = 20
"""Digits of a netstring's length, where no limit says less."""


# --------------------------------------------------------------------------------------------------------------------
# A length before each message


def length_prefixed(
    size: int = 4, *, byteorder: Order = "big", max_length: int | None = MAX_LENGTH, trailing: Trailing = "error"
) -> OfBytes:
    r"""A stage that makes messages out of pieces in which each has its length before it.

    The length is a number of `size` bytes, 1 to 8, which does not count itself. In order, each message as soon as its
    last byte is there. Holds one message, at most `max_length` (65,536 bytes; None: no limit), and one piece; a length
    over it raises MessageTooLongError when it is announced, after the messages before it. `trailing` says what becomes
    of an end in the middle of a message: "error" (ValueError), "row" (what there is of it) or "drop". Raises ValueError
    or TypeError at once for a size, a limit or a word that it can't be.

        flow.wrap([b"\x00\x02h", b"i\x00\x00"]) | flow.length_prefixed(2)    # b'hi', b''
    """
    _check_prefix("length_prefixed", size, byteorder)
    check_limit("length_prefixed", max_length)
    check_trailing("length_prefixed", trailing)
    stage: OfBytes = named(partial(_length_prefixed, size, byteorder, max_length, trailing), f"length_prefixed({size})")
    return stage


def to_length_prefixed(size: int = 4, *, byteorder: Order = "big") -> OfBytes:
    r"""A stage that puts its length before each message: what `length_prefixed` reads.

    One row for each message, in order; holds nothing. A message that is longer than `size` bytes can say raises
    MessageTooLongError. Raises ValueError or TypeError at once for a size or a word that it can't be.

        flow.wrap([b"hi", b""]) | flow.to_length_prefixed(2)                 # b'\x00\x02hi', b'\x00\x00'
    """
    _check_prefix("to_length_prefixed", size, byteorder)
    stage: OfBytes = named(partial(_to_length_prefixed, size, byteorder), f"to_length_prefixed({size})")
    return stage


def _check_prefix(of: str, size: Any, byteorder: Any) -> None:
    if isinstance(size, bool) or not isinstance(size, int):
        raise TypeError(f"{of}(size) must be a whole number of bytes, not {type(size).__name__}")
    if not 1 <= size <= 8:
        raise ValueError(f"{of}(size) must be 1 to 8 bytes, not {size}")
    if byteorder not in ("big", "little"):
        raise ValueError(f'{of}(byteorder) must be "big" or "little", not {byteorder!r}')


def _length_prefixed(size: int, byteorder: Order, limit: int | None, trailing: str, pieces: Pieces) -> Generator[bytes]:
    held: list[bytes] = []  # of the prefix or the message that has begun: joined once, when it is whole
    missing = size
    in_prefix = True
    prefix = b""
    for given in pieces:
        piece = _bytes(given, "length_prefixed")
        at, end = 0, len(piece)
        while end - at >= missing:
            part = piece[at : at + missing]
            at += missing
            if held:
                part = b"".join((*held, part))
                held = []
            if in_prefix:
                missing = int.from_bytes(part, byteorder)
                if limit is not None and missing > limit:
                    raise _too_long(missing, limit, part + piece[at : at + SHOWN])
                prefix = part
            else:
                missing = size
                yield part
            in_prefix = not in_prefix
        if at < end:
            held.append(piece[at:])
            missing -= end - at
    if not held and in_prefix:
        return
    if trailing == "error":
        what = "the length of a message" if in_prefix else f"a message of {int.from_bytes(prefix, byteorder):,} bytes"
        raise ValueError(
            f"the stream ends in the middle of {what}, {missing:,} bytes early: {b''.join(held)[:SHOWN]!r}"
        )
    if trailing == "row" and not in_prefix:
        yield b"".join(held)


def _to_length_prefixed(size: int, byteorder: Order, messages: Pieces) -> Generator[bytes]:
    limit = (1 << 8 * size) - 1
    for given in messages:
        message = _bytes(given, "to_length_prefixed")
        if len(message) > limit:
            raise MessageTooLongError(
                f"a message of {len(message):,} bytes is longer than a prefix of {size} bytes can say, {limit:,}; it "
                f"begins with {message[:SHOWN]!r}"
            )
        yield len(message).to_bytes(size, byteorder) + message


# --------------------------------------------------------------------------------------------------------------------
# Netstrings


def netstrings(*, max_length: int | None = MAX_LENGTH, trailing: Trailing = "error") -> OfBytes:
    """A stage that makes messages out of pieces of netstrings, ``2:hi,0:,``: ``pieces | flow.netstrings()``.

    In order, each message as soon as its comma is there. Holds one message, at most `max_length` (65,536 bytes; None:
    no limit), and one piece; a length over it raises MessageTooLongError when it is announced, after the messages
    before it, and what is no netstring (a length with other characters than digits or with a zero before it, no comma)
    ValueError. `trailing` says what becomes of an end in the middle of a message: "error" (ValueError), "row" (what
    there is of it) or "drop". Raises ValueError or TypeError at once for a limit or a word that it can't be.

        flow.wrap([b"2:h", b"i,0:,"]) | flow.netstrings()                    # b'hi', b''
    """
    check_limit("netstrings", max_length)
    check_trailing("netstrings", trailing)
    stage: OfBytes = named(partial(_netstrings, max_length, trailing), "netstrings()")
    return stage


def to_netstrings() -> OfBytes:
    """A stage that makes a netstring of each message: what `netstrings` reads.

    One row for each message, in order; holds nothing.

        flow.wrap([b"hi", b""]) | flow.to_netstrings()                       # b'2:hi,', b'0:,'
    """
    stage: OfBytes = named(partial(_to_netstrings), "to_netstrings()")
    return stage


def _netstrings(limit: int | None, trailing: str, pieces: Pieces) -> Generator[bytes]:
    most = DIGITS if limit is None else len(str(limit))
    digits = b""
    held: list[bytes] = []  # of the message that has begun, and its comma: joined once, when it is whole
    missing = 0  # bytes of it and its comma; 0 while the length is read
    for given in pieces:
        piece = _bytes(given, "netstrings")
        at, end = 0, len(piece)
        while at < end:
            if not missing:
                colon = piece.find(b":", at, at + most + 1 - len(digits))
                digits += piece[at : at + most + 1 - len(digits) if colon < 0 else colon]
                missing = _announced(digits, colon >= 0, limit, piece[at:] if colon < 0 else piece[colon:])
                at = end if colon < 0 else colon + 1
            elif end - at < missing:
                held.append(piece[at:])
                missing -= end - at
                at = end
            else:
                part = piece[at : at + missing]
                at += missing
                if held:
                    part = b"".join((*held, part))
                    held = []
                if part[-1:] != b",":
                    raise ValueError(
                        f"no netstring: after a message of {len(part) - 1:,} bytes comes {part[-1:]!r}, no comma"
                    )
                missing = 0
                digits = b""
                yield part[:-1]
    if not digits:
        return
    if trailing == "error":
        what = f"a netstring of {int(digits):,} bytes" if missing else "the length of a netstring"
        raise ValueError(
            f"the stream ends in the middle of {what}: {(digits + b':' * (missing > 0) + b''.join(held))[:SHOWN]!r}"
        )
    if trailing == "row" and missing:
        yield b"".join(held)[: int(digits)]


def _announced(digits: bytes, whole: bool, limit: int | None, rest: bytes) -> int:
    """The length that the digits announce, with its comma; 0 when more digits may come. Raises for what is none."""
    if not digits and not whole:
        return 0
    if not digits.isdigit() or (digits[:1] == b"0" and len(digits) > 1):
        raise ValueError(f"no netstring: its length is {(digits + rest)[:SHOWN]!r}")
    if limit is not None and int(digits) > limit:
        raise _too_long(int(digits) if whole else None, limit, digits + rest[:SHOWN])
    if not whole:
        if len(digits) > DIGITS:
            raise ValueError(f"no netstring: its length has more than {DIGITS} digits: {digits!r}")
        return 0
    return int(digits) + 1


def _to_netstrings(messages: Pieces) -> Generator[bytes]:
    for given in messages:
        message = _bytes(given, "to_netstrings")
        yield b"%d:%b," % (len(message), message)


# --------------------------------------------------------------------------------------------------------------------
# Lines, and text


@overload
def to_lines(delimiter: bytes = b"\n") -> Callable[[Iterable[AnyStr]], Iterator[AnyStr]]: ...
@overload
def to_lines(delimiter: str) -> Callable[[Iterable[str]], Iterator[str]]: ...
def to_lines(delimiter: Any = b"\n") -> Any:
    r"""A stage that puts the delimiter behind each row: what `lines` reads.

    Rows of bytes or str, in order; the default delimiter fits text, too. Holds nothing. A row that would be
    read as two, because the delimiter is in it, raises ValueError. Raises ValueError or TypeError at once for an empty
    delimiter.

        flow.wrap(["a", "b"]) | flow.to_lines()                              # 'a\n', 'b\n'
    """
    if not isinstance(delimiter, (bytes, str)):
        raise TypeError(f"to_lines(delimiter) must be bytes or str, not {type(delimiter).__name__}")
    if not delimiter:
        raise ValueError("to_lines(delimiter) must not be empty")
    return named(partial(_to_lines, delimiter), "to_lines")


def _to_lines(delimiter: Any, rows: Iterable[Any]) -> Generator[Any]:
    as_text = delimiter if isinstance(delimiter, str) else delimiter.decode("latin-1")
    for row in rows:
        if isinstance(row, str):
            end: Any = as_text
        elif isinstance(delimiter, str):
            raise TypeError(f"to_lines({delimiter!r}) takes rows of str, not {type(row).__name__}")
        else:
            row, end = _bytes(row, "to_lines"), delimiter
        line = row + end
        if line.find(end) != len(row):  # it is in the row, or begins there and goes on in the delimiter
            raise ValueError(f"a row with {end!r} in it would be read as several lines: {row[:SHOWN]!r}")
        yield line


def decoded(encoding: str = "utf-8", errors: str = "strict") -> Callable[[Pieces], Iterator[str]]:
    """A stage that makes text out of pieces of bytes: ``pieces | flow.decoded()``.

    A character that is split across two pieces comes whole. Pieces of text, none of them empty, in order, each as soon
    as it is there; holds less than one character. What is no text in that encoding, an end in the middle of a character
    too, is treated as `errors` says (UnicodeDecodeError, after the text before it; "replace", "ignore", ...).
    Raises ValueError at once for an encoding of text or a word for errors that Python does not know.

        flow.wrap([b"caf\\xc3", b"\\xa9"]) | flow.decoded()                    # 'caf', 'é'
    """
    _check_encoding("decoded", encoding, errors)
    stage: Callable[[Pieces], Iterator[str]] = named(partial(_decoded, encoding, errors), f"decoded({encoding!r})")
    return stage


def encoded(encoding: str = "utf-8", errors: str = "strict") -> Callable[[Iterable[str]], Iterator[bytes]]:
    """A stage that makes bytes out of text: what `decoded` reads.

    One row for each row, in order; a mark at the beginning of the stream, where the encoding has one, is made once.
    Holds nothing. Raises ValueError at once for an encoding of text or a word for errors that Python does not know.

        flow.wrap(["caf", "é"]) | flow.encoded()                             # b'caf', b'\\xc3\\xa9'
    """
    _check_encoding("encoded", encoding, errors)
    stage: Callable[[Iterable[str]], Iterator[bytes]] = named(
        partial(_encoded, encoding, errors), f"encoded({encoding!r})"
    )
    return stage


def _check_encoding(of: str, encoding: Any, errors: Any) -> None:
    for name, value in (("encoding", encoding), ("errors", errors)):
        if not isinstance(value, str):
            raise TypeError(f"{of}({name}) must be a str, not {type(value).__name__}")
    try:
        found = codecs.lookup(encoding)
    except LookupError as error:
        raise ValueError(f"{of}(encoding) must be an encoding that Python knows, not {encoding!r}") from error
    if not getattr(found, "_is_text_encoding", True) or found.incrementaldecoder is None:
        raise ValueError(f"{of}(encoding) must be an encoding of text, not {encoding!r}")
    try:
        codecs.lookup_error(errors)
    except LookupError as error:
        raise ValueError(f"{of}(errors) must be a word that Python knows ('strict', ...), not {errors!r}") from error


def _decoded(encoding: str, errors: str, pieces: Pieces) -> Generator[str]:
    decoder = codecs.getincrementaldecoder(encoding)(errors)
    for given in pieces:
        piece = _bytes(given, "decoded")
        before = decoder.getstate()
        try:
            text = decoder.decode(piece)
        except UnicodeError:
            decoder.setstate(before)
            yield from _before_the_fault(decoder, piece)
            raise
        if text:
            yield text
    text = decoder.decode(b"", True)
    if text:
        yield text


def _before_the_fault(decoder: codecs.IncrementalDecoder, piece: bytes) -> Generator[str]:
    """The text of a piece before what can't be decoded: any split gives the same text before the error."""
    good: list[str] = []
    try:
        for at in range(len(piece)):
            good.append(decoder.decode(piece[at : at + 1]))
    except UnicodeError:
        pass
    text = "".join(good)
    if text:
        yield text


def _encoded(encoding: str, errors: str, rows: Iterable[str]) -> Generator[bytes]:
    encode = codecs.getincrementalencoder(encoding)(errors).encode
    for row in rows:
        if not isinstance(row, str):
            raise TypeError(f"encoded() takes rows of str, not {type(row).__name__}")
        yield encode(row)
    end = encode("", True)
    if end:
        yield end


# --------------------------------------------------------------------------------------------------------------------


def _bytes(piece: Any, of: str) -> bytes:
    if is_a(piece, bytes):
        return piece  # type: ignore[no-any-return]
    if is_a(piece, (bytearray, memoryview)):
        return bytes(piece)
    raise TypeError(f"{of}() takes pieces of bytes, not {type(piece).__name__}")


def _too_long(length: int | None, limit: int, first: bytes) -> MessageTooLongError:
    said = "more" if length is None else f"{length:,} bytes"
    return MessageTooLongError(
        f"a message announces {said}, and max_length={limit} bytes; with its length it begins with {first[:SHOWN]!r}"
    )
