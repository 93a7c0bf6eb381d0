"""Messages out of bytes, and back: the cases of the framings, whose pieces have to be waited for."""

from __future__ import annotations

from typing import Any

import flow

from .cases import case
from .env import Env


@case("b'ab', b'cd', b'e' | end")
def framing_chunks(env: Env) -> Any:
    return flow.wrap(env.source("pieces", b"a", b"bcd", b"e", delay=1)) | flow.chunks(2)


@case("b'hi', b'', b'you' | end")
def framing_length_prefixed(env: Env) -> Any:
    return flow.wrap(env.source("pieces", b"\x02h", b"i\x00\x03y", b"ou", delay=1)) | flow.length_prefixed(1)


@case(
    "b'hi' | MessageTooLongError: a message announces 9 bytes, and max_length=4 bytes; with its length it begins with "
    r"b'\t'"
)
def framing_length_prefixed_too_long(env: Env) -> Any:
    return flow.wrap(env.source("pieces", b"\x02hi\x09", b"longer", delay=1)) | flow.length_prefixed(1, max_length=4)


@case("b'hi', b'you' | end")
def framing_netstrings(env: Env) -> Any:
    return flow.wrap(env.source("pieces", b"2:h", b"i,3:", b"you,", delay=1)) | flow.netstrings()


@case("'h', 'é' | end")
def framing_decoded(env: Env) -> Any:
    return flow.wrap(env.source("pieces", b"h\xc3", b"\xa9", delay=1)) | flow.decoded("utf-8")


@case("b'a', b'\\xc3\\xa9' | end")
def framing_encoded(env: Env) -> Any:
    return flow.wrap(env.source("texts", "a", "é", delay=1)) | flow.encoded("utf-8")


@case("b'a\\n', b'b\\n' | end")
def framing_to_lines(env: Env) -> Any:
    return flow.wrap(env.source("lines", b"a", b"b", delay=1)) | flow.to_lines()


@case("b'\\x01a', b'\\x02bc' | end")
def framing_to_length_prefixed(env: Env) -> Any:
    return flow.wrap(env.source("messages", b"a", b"bc", delay=1)) | flow.to_length_prefixed(1)


@case("b'1:a,', b'2:bc,' | end")
def framing_to_netstrings(env: Env) -> Any:
    return flow.wrap(env.source("messages", b"a", b"bc", delay=1)) | flow.to_netstrings()


@case("b'hi', b'you' | end")
def framing_there_and_back(env: Env) -> Any:
    sent = flow.wrap(env.source("messages", b"hi", b"you", delay=1)) | flow.to_netstrings()
    return sent | flow.chunks(3) | flow.netstrings()
