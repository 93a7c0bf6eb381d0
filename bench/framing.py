"""Lines out of pieces of random size, as a socket may give them: the bytes, and how flow's peers frame them.

Two sizes: a text that is held in memory at once, pieces included; and one of any size, up to a gigabyte and beyond,
of which only one megabyte is held: it is repeated, and pieces are cut out of it as they are read. What may live here:
bytes, and functions from pieces to lines. Which of them are compared is said in `work_edges.py`.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import chain, cycle
from typing import Any

from . import pieces as p
from .jobs import library

__all__ = [
    "by_hand",
    "cut",
    "received",
    "repeated",
    "repeated_pieces",
    "split",
    "streamed",
    "text",
    "tubed",
    "whole_blocks",
]

MEAN = 40
"""Bytes of a line and its end, on an average."""

LINES = 26_214
"""Lines of the text that is repeated: about a megabyte."""


def _lines(chance: random.Random, number: int) -> Iterator[bytes]:
    return (b"x" * chance.randrange(2 * MEAN) for _ in range(number))


@cache
def text(lines: int) -> tuple[bytes, list[bytes]]:
    """So many lines, and the same bytes in pieces; the same in each run."""
    chance = random.Random(2003)
    data = b"\n".join([*_lines(chance, lines - 1), b"end"])
    return data, list(cut(data, iter(lambda: chance.randint(1, 8192), 0)))


def cut(data: bytes, sizes: Iterator[int]) -> Iterator[bytes]:
    """`data` in pieces of these sizes; the last one is what is left."""
    place = 0
    while place < len(data):
        end = place + next(sizes)
        yield data[place:end]
        place = end


@cache
def repeated() -> bytes:
    """A megabyte of whole lines."""
    return b"\n".join([*_lines(random.Random(2003), LINES), b""])


@cache
def _ends() -> list[int]:
    """Where the lines of `repeated` end."""
    return [place + 1 for place, byte in enumerate(repeated()) if byte == 10]


def whole_blocks(lines: int) -> Iterator[bytes]:
    """So many lines: `repeated` over and over, and the part of it that is left. The last line has its end, too."""
    often, rest = divmod(lines, LINES)
    for _ in range(often):
        yield repeated()
    if rest:
        yield repeated()[: _ends()[rest - 1]]


def repeated_pieces(lines: int) -> Iterator[bytes]:
    """The same bytes in pieces of 1 to 8,192; each is made when it is asked for."""
    chance = random.Random(2003)
    sizes = cycle([chance.randint(1, 8192) for _ in range(1009)])  # a prime number: no two megabytes are cut alike
    for block in whole_blocks(lines):
        yield from cut(block, sizes)


def split(lines: int) -> tuple[int, Any]:
    """What `bytes.split` does with whole blocks: nothing is left over between two of them.

    The pieces are made here as well, and left: only what is done with them is to be compared.
    """
    pieces = repeated_pieces(lines)
    found = p.read(chain.from_iterable(block[:-1].split(b"\n") for block in whole_blocks(lines)))
    deque(pieces, maxlen=0)
    return found


# --------------------------------------------------------------------------------------------------------------------
# How others do it


def by_hand(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The loop that everybody has written: split the piece, and keep what is behind the last delimiter."""
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        yield from lines
    if rest:
        yield rest


async def streamed(pieces: list[bytes]) -> list[bytes]:
    """asyncio's StreamReader, fed before it is read: it never waits."""
    reader = asyncio.StreamReader(limit=2**20)
    for piece in pieces:
        reader.feed_data(piece)
    reader.feed_eof()
    return [line.removesuffix(b"\n") async for line in reader]


def received(pieces: list[bytes]) -> list[bytes]:
    """Twisted's LineOnlyReceiver. It has no use for a last line without an end: that is taken from its buffer."""
    found: list[bytes] = []
    receiver = library("twisted.protocols.basic").LineOnlyReceiver()
    receiver.delimiter = b"\n"
    receiver.lineReceived = found.append
    receiver.makeConnection(_Connection())
    for piece in pieces:
        receiver.dataReceived(piece)
    return [*found, receiver._buffer]


class _Connection:
    disconnecting = False


def tubed(pieces: list[bytes]) -> list[bytes]:
    """tubes: segments to frames. That, too, drops a last line without an end, so one is appended."""
    from .peers_push import tubes_drained

    return tubes_drained([*pieces, b"\n"], [library("tubes.framing").bytesDelimitedBy(b"\n")])
