"""Echo: a server that sends back each line, and clients that count, on Twisted.

    make run EXAMPLE=echo
    make run EXAMPLE=echo ARGS="--clients 5 --count 2 --pace 0"
    make run EXAMPLE=echo ARGS="--serve 8392"            # then, elsewhere: nc 127.0.0.1 8392
    make run EXAMPLE=echo ARGS="--help"

What to look at: `echo` and `counter`, each the whole behaviour of a connection in one ordinary generator. It reads by
asking for the next line, and what it yields is written. Both wait where a line has not come yet and where the other
side has no room; neither holds up anybody else. When the generator ends, the connection is closed.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import partial
from typing import Any

from _options import count, seconds
from twisted.internet import defer, task

import flow


def echo(conn: flow.Protocol) -> Iterator[bytes]:
    """The server's side of a connection, from its beginning to its end."""
    for line in conn | flow.lines():
        yield line + b"\n"


def counter(name: str, last: int, pace: float, conn: flow.Protocol) -> Iterator[bytes]:
    """The client's side: sends a number, waits for the answer, sends the next."""
    answers = iter(conn | flow.lines())
    for number in range(1, last + 1):
        print(f"{name} sends {number}", flush=True)
        yield b"%d\n" % number
        print(f"{name}{'':12}has back {next(answers).decode()}", flush=True)
        flow.sleep(pace)


async def main(reactor: Any, args: argparse.Namespace) -> None:
    server = await flow.listen(f"tcp:{args.serve or 0}:interface=127.0.0.1", echo)
    reactor.addSystemEventTrigger("before", "shutdown", server.close)  # at the end, and at Ctrl-C
    port = server.getHost().port
    if args.serve is not None:
        print(f"nc 127.0.0.1 {port}", flush=True)
        await defer.Deferred()  # until Ctrl-C

    clients = [partial(counter, f"client {each}", args.count, args.pace) for each in range(1, args.clients + 1)]
    await defer.gatherResults([flow.connect(f"tcp:127.0.0.1:{port}", client) for client in clients])
    print(f"{args.clients} clients had all their numbers back")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A server that sends back each line, and clients that count.")
    parser.add_argument("--clients", type=count, default=2, help="at the same time (%(default)s)")
    parser.add_argument("--count", type=count, default=3, help="how far each client counts (%(default)s)")
    parser.add_argument("--pace", type=seconds, default=0.2, metavar="SECONDS", help="between numbers (%(default)s)")
    parser.add_argument("--serve", type=int, metavar="PORT", help="no clients: serve there until Ctrl-C (0: any port)")
    return parser.parse_args()


if __name__ == "__main__":
    task.react(main, (arguments(),))
