"""A server that factors numbers, written twice: as plain Twisted with threads, and with flow.

    make run EXAMPLE=factor
    make run EXAMPLE=factor ARGS="--clients 8 2003 600851475143"
    make run EXAMPLE=factor ARGS="--serve flow --port 6543"       # then, elsewhere: nc 127.0.0.1 6543
    make run EXAMPLE=factor ARGS="--help"

A client sends numbers, a line each. The server sends each factor as soon as it is found, then DONE. The two servers are
driven by the same clients, one after the other, and a ticker on the same reactor asks to be woken every 10 ms.

What to look at: `with_flow`, which is one generator, beside `WithoutFlow`, which is spread over the methods of a class
and two threads. `with_flow` also waits when a client does not read, and stops when a client leaves; `WithoutFlow` had
to be taught the second and does not do the first. At the end come the figures: the lines of each, and how late the
ticker was at worst. Threads that compute stand in line for Python's lock, and the reactor's thread stands in it too;
with flow `factors` gives way by itself, in the middle of its loop. (Twisted's task.cooperate would need no thread
either, if every generator between it and that loop handed the pauses on.)
"""

from __future__ import annotations

import argparse
import inspect
import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from _options import count
from twisted.internet import defer, protocol, reactor, task
from twisted.internet.endpoints import clientFromString
from twisted.internet.error import ConnectionDone
from twisted.protocols.basic import LineReceiver

import flow

NUMBERS = [2003, 999_999_000_001, 3_203_431_780_337, 10_967_535_067]

TICK = 0.010
"""Seconds between two ticks."""


def factors(number: int, pause: Callable[[], object]) -> Iterator[int]:
    """The factors, in pairs, by trying every candidate: long work. Calls `pause` now and then."""
    for candidate in range(1, math.isqrt(abs(number)) + 1):
        if not candidate % 5000:
            pause()
        if not number % candidate:
            yield candidate
            if candidate * candidate != number:
                yield number // candidate


class Lines(LineReceiver):
    delimiter = b"\n"


# --------------------------------------------------------------------------------------------------------------------
# The two servers


def with_flow(conn: flow.Protocol) -> Iterator[bytes]:
    for line in conn:
        try:
            number = int(line)
        except ValueError:
            yield b"ERROR"
            continue
        for factor in factors(number, flow.cooperate):
            yield b"%d: %d" % (number, factor)
        yield b"%d: DONE" % number


class WithoutFlow(Lines):
    gone = False

    def lineReceived(self, line: bytes) -> None:
        try:
            number = int(line)
        except ValueError:
            self.sendLine(b"ERROR")
        else:
            reactor.callInThread(self.factor, number)

    def factor(self, number: int) -> None:  # in a thread
        try:
            for factor in factors(number, self.check):
                reactor.callFromThread(self.found, b"%d: %d" % (number, factor))
            reactor.callFromThread(self.found, b"%d: DONE" % number)
        except ConnectionDone:
            pass

    def check(self) -> None:  # in the thread
        if self.gone:
            raise ConnectionDone

    def found(self, line: bytes) -> None:  # in the reactor's thread again
        if not self.gone:
            self.sendLine(line)

    def connectionLost(self, reason: object = protocol.connectionDone) -> None:
        self.gone = True


# --------------------------------------------------------------------------------------------------------------------
# The client, and the comparison


def ask(numbers: list[int], found: dict[int, list[int]], conn: flow.Protocol) -> Iterator[bytes]:
    """Sends all numbers, and gathers the factors until the last DONE."""
    unfinished = set(numbers)
    for number in sorted(unfinished):
        yield b"%d" % number
    for line in conn:
        number, _, what = line.partition(b": ")
        if what != b"DONE":
            found.setdefault(int(number), []).append(int(what))
        else:
            unfinished.remove(int(number))
            if not unfinished:
                return


class Ticker:
    """Asks to be woken every 10 ms, and notes how late that comes."""

    def __init__(self) -> None:
        self.worst = 0.0
        self.asked = reactor.seconds()
        self.loop = task.LoopingCall(self.tick)
        self.loop.start(TICK, now=False)

    def tick(self) -> None:
        now = reactor.seconds()
        self.worst = max(self.worst, now - self.asked - TICK)
        self.asked = now


SERVERS: dict[str, tuple[Any, Any]] = {
    "flow": (with_flow, flow.makeProtocol(with_flow, Lines, "lineReceived", send="sendLine")),
    "plain": (WithoutFlow, WithoutFlow),
}


def serve(kind: str, port: int = 0) -> Any:
    _, made = SERVERS[kind]
    return reactor.listenTCP(port, protocol.ServerFactory.forProtocol(made), interface="127.0.0.1")


async def measure(kind: str, args: argparse.Namespace) -> list[dict[int, list[int]]]:
    """Runs a server and its clients; gives what each client has found."""
    source, _ = SERVERS[kind]
    port = serve(kind)
    server = clientFromString(reactor, f"tcp:127.0.0.1:{port.getHost().port}")
    found: list[dict[int, list[int]]] = [{} for _ in range(args.clients)]
    ticker, began = Ticker(), reactor.seconds()
    clients = [partial(ask, args.numbers, each) for each in found]
    await defer.gatherResults(
        [flow.connect(server, client, Lines, "lineReceived", send="sendLine") for client in clients]
    )
    seconds = reactor.seconds() - began
    ticker.loop.stop()
    await port.stopListening()
    length = len(inspect.getsource(source).splitlines())
    print(
        f"{kind:>6}: {length} lines, {seconds:.2f} s, ticker late by {1000 * ticker.worst:.1f} ms at worst", flush=True
    )
    return found


async def main(reactor: Any, args: argparse.Namespace) -> None:
    if args.serve:
        print(f"nc 127.0.0.1 {serve(args.serve, args.port).getHost().port}", flush=True)
        await defer.Deferred()  # until Ctrl-C
    await task.deferLater(reactor, 0)  # the reactor runs
    answers = [each for kind in SERVERS for each in await measure(kind, args)]
    for number in args.numbers:
        ways = {tuple(sorted(found[number])) for found in answers}
        print(f"{number}:", " or ".join(", ".join(map(str, way)) for way in ways))  # all found the same


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A factoring server, with flow and without.")
    parser.add_argument("numbers", type=count, nargs="*", default=NUMBERS, help="to be factored (a few)")
    parser.add_argument("--clients", type=count, default=3, help="at the same time (%(default)s)")
    parser.add_argument("--serve", choices=SERVERS, help="no clients: serve until Ctrl-C")
    parser.add_argument("--port", type=int, default=0, help="where to serve (any)")
    return parser.parse_args()


if __name__ == "__main__":
    task.react(main, (arguments(),))
