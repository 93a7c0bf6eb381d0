"""A count that blocks, in a thread of its own, beside a count that does not: merged, on Twisted.

    make run EXAMPLE=count_in_thread
    make run EXAMPLE=count_in_thread ARGS="--count 3 --pace 0.05"
    make run EXAMPLE=count_in_thread ARGS="--help"

`count_blocking` calls time.sleep, as a driver or a library without any event loop does. flow.Threaded runs it in a
thread. `count_waiting` counts on the reactor's own thread, three times as fast, and never has to wait for the other.

What to look at: the last column, the thread in which each number was made; the numbers of both counts come between each
other, each as soon as it is there. `into=` gives the rows to a function one by one; without it the Deferred would fire
with the list of them.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Iterator
from functools import partial

from _options import count, seconds
from twisted.internet import task
from twisted.internet.defer import Deferred

import flow

Row = tuple[str, int, str]  # which count, its number, the name of the thread in which it was made


def count_blocking(count: int, pace: float) -> Iterator[Row]:
    """Knows nothing of flow. On the reactor's thread it would hold up everything."""
    for number in range(1, count + 1):
        time.sleep(3 * pace)
        yield "blocking", number, threading.current_thread().name


def count_waiting(count: int, pace: float) -> Iterator[Row]:
    for number in range(1, count + 1):
        flow.sleep(pace)
        yield "waiting", number, threading.current_thread().name


def show(row: Row) -> None:
    kind, number, thread = row
    print(f"{kind:>8} {number:2}   made in {thread}", flush=True)


def count_both(reactor: object, args: argparse.Namespace) -> Deferred[None]:
    both = flow.Merge(
        flow.Threaded(partial(count_blocking, args.count, args.pace)),
        partial(count_waiting, args.count, args.pace),
    )
    done = flow.Deferred(both, into=show)
    return done.addCallback(lambda rows: print(f"{rows} rows, shown in {threading.current_thread().name}"))


def main() -> None:
    parser = argparse.ArgumentParser(description="A count in a thread beside one on the reactor, merged.")
    parser.add_argument("--count", type=count, default=5, help="how far each counts (%(default)s)")
    parser.add_argument(
        "--pace", type=seconds, default=0.1, metavar="SECONDS", help="between two numbers (%(default)s)"
    )
    task.react(count_both, (parser.parse_args(),))


if __name__ == "__main__":
    main()
