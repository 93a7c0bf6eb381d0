"""Kinds of numbers that the programs take on the command line. A wrong one is refused by argparse, in one line."""

from __future__ import annotations

import math
from argparse import ArgumentTypeError


def count(text: str) -> int:
    """A whole number, 1 or more."""
    try:
        number = int(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no whole number") from None
    if number < 1:
        raise ArgumentTypeError(f"{text} is less than 1")
    return number


def seconds(text: str) -> float:
    """Seconds: 0 or more, and not for ever."""
    try:
        number = float(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no number of seconds") from None
    if not (number >= 0 and math.isfinite(number)):
        raise ArgumentTypeError(f"{text} is no number of seconds that can be waited for")
    return number
