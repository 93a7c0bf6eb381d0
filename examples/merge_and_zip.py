"""Two sources at different paces, read together in three ways: Zip, Merge and Concurrent.

    make run EXAMPLE=merge_and_zip
    make run EXAMPLE=merge_and_zip ARGS="--pace 0.5"
    make run EXAMPLE=merge_and_zip ARGS="--help"

One source has a word after every second tick, the other a number after every third. The program draws when each row
arrives, one column for each tick:

- Zip waits for a row of each and gives them as a pair; it ends with the shorter source;
- Merge gives each row as soon as it is there;
- Concurrent gives the *stage* that has a row, so that you can tell the sources apart.

What to look at: the time. Both sources wait at the same time, so that all is read after twelve ticks, which is how long
the slower source takes alone. There is no thread, and the program is a plain script: a `for` reads each of the three.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from _options import seconds

import flow


def words(pace: float) -> Iterator[str]:
    """An ordinary generator which waits with flow.sleep: not only it, but all that stands on it pauses."""
    for word in ("one", "two", "three", "four", "five"):
        flow.sleep(2 * pace)
        yield word


def numbers(pace: float) -> Iterator[int]:
    for number in (1, 2, 3, 4):
        flow.sleep(3 * pace)
        yield number


def told_apart(left: flow.Stage[str], right: flow.Stage[int]) -> Iterator[str]:
    """Concurrent hands out whichever stage is ready; next() takes its row, and does not wait."""
    for stage in flow.Concurrent(left, right):
        row = next(stage)
        yield f"word {row}" if stage is left else f"number {row}"


def draw(title: str, rows: Iterable[Any], pace: float) -> None:
    """Reads the rows and prints each when it comes, the further to the right the later."""
    print(f"\n{title}")
    started = time.monotonic()
    for row in rows:
        ticks = (time.monotonic() - started) / pace
        print(f"  {ticks:4.1f} |{'.' * int(ticks)} {row}", flush=True)
    print(f"  {(time.monotonic() - started) / pace:4.1f} | the end")


def main() -> None:
    parser = argparse.ArgumentParser(description="Two sources at different paces: Zip, Merge and Concurrent.")
    parser.add_argument("--pace", type=seconds, default=0.1, metavar="SECONDS", help="length of a tick (%(default)s)")
    args = parser.parse_args()
    if args.pace <= 0:
        parser.error("--pace must be more than 0")

    # Only descriptions: each of the three readings below runs both sources from their beginning.
    left, right = flow.wrap(partial(words, args.pace)), flow.wrap(partial(numbers, args.pace))

    draw("Zip: pairs, each when both are there", flow.Zip(left, right), args.pace)
    draw("Merge: each row as soon as it is there", flow.Merge(left, right), args.pace)
    draw("Concurrent: the stage that has a row", flow.wrap(partial(told_apart, left, right)), args.pace)


if __name__ == "__main__":
    main()
