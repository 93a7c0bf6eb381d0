"""Two requests that take turns, step by step, on the loop of your choice.

    make run EXAMPLE=james_and_wendy
    make run EXAMPLE=james_and_wendy ARGS="--loop trio --count 4"
    make run EXAMPLE=james_and_wendy ARGS="--help"

James and Wendy are the two requests with which flow's manual began in 2003. Each is a generator with several steps.
Between two steps it waits, and meanwhile the other one has its turn: in the output the names alternate.

What to look at: `request`, which says in the order of its steps what it does, with no callback and no `async`; and
`LOOPS`, four ways to run the same two requests side by side. That is all that differs from loop to loop.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from _options import count, seconds

import flow

Request = flow.Stage[str]


def request(name: str, count: int, pace: float) -> Iterator[Any]:
    """An ordinary generator. What it yields is a row, unless it is an instruction such as Cooperate: that is obeyed."""
    for step in range(1, count + 1):
        print(f"{name:>8}: step {step}", flush=True)
        yield flow.Cooperate(pace)  # the others have their turn; this one goes on after `pace` seconds
    yield name


def show(served: Iterable[list[str]]) -> None:
    """Each request gave a list of rows, and each list has one row: the name."""
    print("  served:", ", ".join(name for rows in served for name in rows))


def on_twisted(james: Request, wendy: Request) -> None:
    from twisted.internet import defer, task

    def main(reactor: object) -> defer.Deferred[None]:
        both = defer.DeferredList([flow.Deferred(james), flow.Deferred(wendy)], fireOnOneErrback=True)
        return both.addCallback(lambda results: show([rows for _, rows in results]))

    task.react(main)


def on_asyncio(james: Request, wendy: Request) -> None:
    async def main() -> None:
        show(await asyncio.gather(james, wendy))  # a stage can be awaited: it gives the list of its rows

    asyncio.run(main())


def on_trio(james: Request, wendy: Request) -> None:
    import trio

    served: list[list[str]] = [[], []]

    async def read(number: int, stage: Request) -> None:
        served[number] = await stage

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read, 0, james)
            nursery.start_soon(read, 1, wendy)

    trio.run(main)
    show(served)


def in_a_script(james: Request, wendy: Request) -> None:
    """No loop: a `for` reads one stage, so the two become one. Merge gives its inputs turns."""
    show([[name] for name in flow.Merge(james, wendy)])


LOOPS = {"twisted": on_twisted, "asyncio": on_asyncio, "trio": on_trio, "script": in_a_script}


def main() -> None:
    parser = argparse.ArgumentParser(description="Two requests that take turns, step by step.")
    parser.add_argument("--loop", choices=LOOPS, default="twisted", help="where they run (%(default)s)")
    parser.add_argument("--count", type=count, default=3, help="steps of each request (%(default)s)")
    parser.add_argument("--pace", type=seconds, default=0.2, metavar="SECONDS", help="between two steps (%(default)s)")
    args = parser.parse_args()
    james, wendy = (flow.wrap(partial(request, name, args.count, args.pace)) for name in ("James", "Wendy"))
    LOOPS[args.loop](james, wendy)


if __name__ == "__main__":
    main()
