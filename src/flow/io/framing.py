"""Framing: lines and chunks out of pieces of bytes or text. Sans-io: nothing here knows a socket, and every framing is
a plain stage, a generator from pieces to messages, that works on any iterator. Messages that say how long they are, and
the way back from messages to pieces, are in `messages.py`.

Any split of the same stream into pieces gives the same messages (CONTRACT 29). A limit is enforced before the memory
is used: no more than `max_length` plus one piece is ever held.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from functools import partial
from itertools import chain
from typing import Any, AnyStr, Literal, overload

from ..core.source import is_a
from ..core.stage import Pipe
from ..core.wrap import stage_of
from ..errors import LineTooLongError

__all__ = ["MAX_LENGTH", "LineBreak", "chunks", "lines"]

MAX_LENGTH = 65_536
"""The longest line, in bytes or characters without its delimiter, unless it is told otherwise."""

Trailing = Literal["row", "drop", "error"]


@overload
def lines(
    delimiter: bytes = b"\n", *, max_length: int | None = ..., trailing: Trailing = ..., keepends: bool = ...
) -> Callable[[Iterable[AnyStr]], Iterator[AnyStr]]: ...
@overload
def lines(
    delimiter: str, *, max_length: int | None = ..., trailing: Trailing = ..., keepends: bool = ...
) -> Callable[[Iterable[str]], Iterator[str]]: ...
def lines(
    delimiter: Any = b"\n",
    *,
    max_length: int | None = MAX_LENGTH,
    trailing: Trailing = "row",
    keepends: bool = False,
) -> Any:
    r"""A stage that makes lines, without their delimiter, out of pieces of bytes or str: ``pieces | flow.lines()``.

    A delimiter that is split across two pieces is found. The default delimiter fits text, too. Holds the part of a
    line that has come so far, at most `max_length` (in bytes or characters; None: no limit) and one piece; a longer
    line raises LineTooLongError, after the lines before it. `trailing` says what becomes of what comes after the last
    delimiter: "row" (the last line), "drop", or "error" (ValueError). With `keepends` lines keep their delimiter, which
    counts for no limit: for what wants lines as a file gives them (csv.reader, say). Raises ValueError or TypeError at
    once for an empty delimiter, a limit below 1 or another word.

        flow.wrap([b"one\ntw", b"o\nthree"]) | flow.lines()    # b'one', b'two', b'three'
    """
    if not isinstance(delimiter, (bytes, str)):
        raise TypeError(f"lines(delimiter) must be bytes or str, not {type(delimiter).__name__}")
    if not delimiter:
        raise ValueError("lines(delimiter) must not be empty")
    check_limit("lines", max_length)
    check_trailing("lines", trailing)
    return named(partial(_lines, delimiter, max_length, trailing, bool(keepends)), "lines")


def check_limit(of: str, max_length: Any) -> None:
    if max_length is not None:
        if isinstance(max_length, bool) or not isinstance(max_length, int):
            raise TypeError(f"{of}(max_length) must be a whole number or None, not {type(max_length).__name__}")
        if max_length < 1:
            raise ValueError(f"{of}(max_length) must be at least 1, not {max_length}")


def check_trailing(of: str, trailing: Any) -> None:
    if trailing not in ("row", "drop", "error"):
        raise ValueError(f'{of}(trailing) must be "row", "drop" or "error", not {trailing!r}')


def named(stage: Any, name: str) -> Any:
    """A partial that errors and notes call by its name."""
    stage.__name__ = stage.__qualname__ = name
    return stage


def chunks(size: int, *, trailing: Trailing = "row") -> Callable[[Iterable[AnyStr]], Iterator[AnyStr]]:
    r"""A stage that makes pieces of exactly `size` bytes, or characters, out of pieces of any size.

    ``pieces | flow.chunks(4096)``: in order, and any split of the same stream gives the same chunks. Holds less than
    one chunk, and one piece. `trailing` says what becomes of an end that is shorter: "row" (the last chunk), "drop", or
    "error" (ValueError). Raises ValueError or TypeError at once for a size below 1 or another word.

        flow.wrap([b"ab", b"cde"]) | flow.chunks(2)        # b'ab', b'cd', b'e'
    """
    if isinstance(size, bool) or not isinstance(size, int):
        raise TypeError(f"chunks(size) must be a whole number, not {type(size).__name__}")
    if size < 1:
        raise ValueError(f"chunks(size) must be at least 1, not {size}")
    check_trailing("chunks", trailing)
    stage: Callable[[Iterable[AnyStr]], Iterator[AnyStr]] = named(partial(_chunks, size, trailing), f"chunks({size})")
    return stage


class LineBreak(Pipe[Any]):
    r"""Lines out of the pieces of a stage: the class form of `lines`, with its arguments.

    What is said there holds here.

        flow.LineBreak(flow.wrap(["a\r", "\nb"]), delimiter="\r\n")    # 'a', 'b'
    """

    __slots__ = ()

    def __init__(
        self,
        pieces: Any,
        /,
        *,
        delimiter: bytes | str = b"\n",
        max_length: int | None = MAX_LENGTH,
        trailing: Trailing = "row",
        keepends: bool = False,
    ) -> None:
        make: Any = lines
        stage = make(delimiter, max_length=max_length, trailing=trailing, keepends=keepends)
        super().__init__(stage_of(pieces), stage, f"LineBreak({delimiter!r})")


def _lines(delimiter: Any, limit: int | None, trailing: str, keepends: bool, pieces: Iterable[Any]) -> Iterator[Any]:
    # The lines of a piece are a list already: they are handed on at the speed of itertools, without a step for each.
    return chain.from_iterable(_in_blocks(delimiter, limit, trailing, keepends, pieces))


def _in_blocks(
    delimiter: Any, limit: int | None, trailing: str, keepends: bool, pieces: Iterable[Any]
) -> Generator[list[Any]]:
    held: list[Any] = []  # the unfinished line, in pieces: joined once, when its end is found
    size = 0
    empty: Any = None
    for piece in pieces:
        if empty is None:
            empty, delimiter = _fitting(piece, delimiter)
        if not isinstance(piece, type(empty)):
            piece = _same_kind(piece, empty)
        keep = len(delimiter) - 1
        if held and keep:
            # The delimiter may have begun in what is held: take back as much of that as it could have used, no more.
            tail = held.pop()
            while len(tail) < keep and held:
                tail = held.pop() + tail
            if len(tail) > keep:
                held.append(tail[:-keep])
                tail = tail[-keep:]
            size -= len(tail)
            piece = tail + piece
        found = piece.split(delimiter)
        first, last = found[0], found.pop()
        if limit is not None and size + len(first) > limit and (found or size + len(first) >= limit + len(delimiter)):
            raise _too_long(held, first, empty, limit)
        if not found:
            if first:
                held.append(first)
                size += len(first)
            continue
        if held:
            held.append(first)
            found[0] = empty.join(held)
        late = None  # the first line that is too long: those before it come first
        if limit is not None and len(piece) > limit:
            late = next((place for place, line in enumerate(found) if place and len(line) > limit), None)
        if keepends:
            yield [line + delimiter for line in found[:late]]
        else:
            yield found if late is None else found[:late]
        if late is not None and limit is not None:
            raise _too_long([], found[late], empty, limit)
        if limit is not None and len(last) >= limit + len(delimiter):
            raise _too_long([], last, empty, limit)
        held = [last] if last else []
        size = len(last)
    if size:
        line = empty.join(held)
        if limit is not None and size > limit:
            raise _too_long(held, empty, empty, limit)
        if trailing == "error":
            raise ValueError(f"the last line has no {delimiter!r} behind it: {line[:60]!r}")
        if trailing == "row":
            yield [line]


def _chunks(size: int, trailing: str, pieces: Iterable[Any]) -> Generator[Any]:
    held: list[Any] = []  # less than a chunk, in pieces: joined once, when it is whole
    has = 0
    empty: Any = None
    for piece in pieces:
        if empty is None:
            empty = _empty(piece, "chunks")
        if not isinstance(piece, type(empty)):
            piece = _same_kind(piece, empty, "chunks")
        start = 0
        if held:
            start = size - has
            held.append(piece[:start])
            has += len(held[-1])
            if has < size:
                continue
            yield empty.join(held)
        end = start + (len(piece) - start) // size * size
        for at in range(start, end, size):
            yield piece[at : at + size]
        held = [piece[end:]] if end < len(piece) else []
        has = len(piece) - end
    if held:
        if trailing == "error":
            raise ValueError(f"the last chunk has {has} of {size}: it begins with {empty.join(held)[:60]!r}")
        if trailing == "row":
            yield empty.join(held)


def _fitting(piece: Any, delimiter: Any) -> tuple[Any, Any]:
    """The empty value of the pieces' kind, and the delimiter in that kind."""
    empty = _empty(piece, "lines")
    if isinstance(empty, str):
        return empty, delimiter if isinstance(delimiter, str) else delimiter.decode("ascii")
    if isinstance(delimiter, str):
        raise TypeError(
            f"lines({delimiter!r}) got pieces of bytes: give the delimiter as bytes, or decode the pieces first"
        )
    return empty, delimiter


def _empty(piece: Any, of: str) -> Any:
    if isinstance(piece, str):
        return ""
    if isinstance(piece, (bytes, bytearray, memoryview)):
        return b""
    raise TypeError(f"{of}() takes pieces of bytes or str, not {type(piece).__name__}")


def _same_kind(piece: Any, empty: Any, of: str = "lines") -> Any:
    if is_a(empty, bytes) and is_a(piece, (bytearray, memoryview)):
        return bytes(piece)
    raise TypeError(f"{of}() got a piece of {type(piece).__name__} after pieces of {type(empty).__name__}")


def _too_long(held: list[Any], first: Any, empty: Any, limit: int) -> LineTooLongError:
    start = empty
    for piece in (*held, first):
        if len(start) >= 60:
            break
        start += piece[:60]
    start = start[: min(60, limit + 1)]
    unit = "characters" if isinstance(empty, str) else "bytes"
    return LineTooLongError(f"a line is longer than max_length={limit} {unit}; it begins with {start!r}")
