"""A chat room over TCP, on Twisted: names, who comes and goes, /who, and a bounded place for each guest.

    make run EXAMPLE=chat                                # three guests meet, talk, and leave
    make run EXAMPLE=chat ARGS="--serve 8393"            # then, elsewhere, as often as you like: nc 127.0.0.1 8393
    make run EXAMPLE=chat ARGS="--help"

What to look at: `serve_guest`, the whole of a connection. It merges two sources, and what comes out is written: `talk`,
an ordinary generator that reads what the guest types and answers, and the guest's place, into which the others' lines
are put. A guest who does not read holds up nobody: the place fills, and `Room.say` cuts that guest off.
"""

from __future__ import annotations

import argparse
from collections.abc import Generator, Iterator
from functools import partial
from typing import Any, NamedTuple

from _options import count, seconds
from twisted.internet import defer, task

import flow

# --------------------------------------------------------------------------------------------------------------------
# The server


class Guest(NamedTuple):
    conn: Any
    place: flow.Callback[str]


class Room:
    """Who is there. A guest may have `limit` lines waiting; whoever lets more come together is cut off."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.guests: dict[str, Guest] = {}

    def say(self, text: str, *, to_all_but: str = "") -> None:
        to_say = [(text, to_all_but)]
        for each, speaker in to_say:  # it grows: that somebody was cut off is told, too
            for name, guest in list(self.guests.items()):
                if name != speaker and not guest.place.offer(each):
                    del self.guests[name]
                    guest.conn.transport.abortConnection()
                    to_say.append((f"* {name} was too slow and has been cut off", ""))

    def enter(self, name: str, guest: Guest) -> None:
        self.guests[name] = guest
        self.say(f"* {name} came in ({len(self.guests)} here)")

    def leave(self, name: str) -> None:
        if self.guests.pop(name, None) is not None:
            self.say(f"* {name} left")


def serve_guest(room: Room, conn: flow.Protocol) -> flow.Stage[bytes]:
    """A connection, from its beginning to its end: what is said to this guest, by whomever."""
    place: flow.Callback[str] = flow.Callback(limit=room.limit)
    return flow.Merge(partial(talk, room, conn, place), place).map(lambda text: f"{text}\n".encode())


def talk(room: Room, conn: flow.Protocol, place: flow.Callback[str]) -> Iterator[str]:
    """Reads what the guest types; yields the answers that are for this guest alone."""
    typed = iter(conn | flow.lines() | partial(map, lambda line: line.decode(errors="replace").strip()))
    name = yield from introduced(room, typed)
    if name:
        try:
            room.enter(name, Guest(conn, place))
            for line in typed:
                if line == "/quit":
                    break
                if line == "/who":
                    yield "Here: " + ", ".join(sorted(room.guests))
                elif line:
                    room.say(f"{name}: {line}", to_all_but=name)
        finally:
            room.leave(name)  # on every way out: /quit, a lost connection, a failure
    place.finish()


def introduced(room: Room, typed: Iterator[str]) -> Generator[str, None, str]:
    """Asks for a name until it is a good one, and returns it; nothing when the guest goes away."""
    yield "What is your name?"
    for name in typed:
        if not name.isalnum() or len(name) > 20:
            yield "Up to 20 letters and digits, please."
        elif name in room.guests:
            yield f"{name} is here already. Another name?"
        else:
            return name
    return ""


# --------------------------------------------------------------------------------------------------------------------
# Three guests who do as they are told: (when they hear this, they say that)

SCRIPTS = {
    "Ada": [("your name?", "Ada"), ("(3 here)", "Good evening!"), ("Cy left", "/quit")],
    "Ben": [("your name?", "Ben"), ("Ada: Good evening", "Hello Ada. Who else is here?"), ("Ada left", "/quit")],
    "Cy": [("your name?", "Cy"), ("Ben: Hello", "/who"), ("Here: ", "/quit")],
}


def visitor(name: str, pace: float, conn: flow.Protocol) -> Iterator[bytes]:
    """The client's side, again a generator: it reads, and what it yields is written."""
    script = iter(SCRIPTS[name])
    cue, answer = next(script)
    for line in conn | flow.lines():
        print(f"{name:>4} hears {line.decode()}", flush=True)
        if cue in line.decode():
            flow.sleep(pace)
            print(f"{name:>4} types {answer}", flush=True)
            yield f"{answer}\n".encode()
            cue, answer = next(script, ("nothing more", ""))


async def main(reactor: Any, args: argparse.Namespace) -> None:
    endpoint = f"tcp:{args.serve or 0}:interface=127.0.0.1"
    server = await flow.listen(endpoint, partial(serve_guest, Room(args.room)))
    reactor.addSystemEventTrigger("before", "shutdown", server.close)  # at the end, and at Ctrl-C
    port = server.getHost().port
    if args.serve is not None:
        print(f"nc 127.0.0.1 {port}", flush=True)
        await defer.Deferred()  # until Ctrl-C
    await defer.gatherResults(
        [flow.connect(f"tcp:127.0.0.1:{port}", partial(visitor, name, args.pace)) for name in SCRIPTS]
    )
    print("All have gone home.")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A chat room over TCP, and three guests who talk there.")
    parser.add_argument("--pace", type=seconds, default=0.3, metavar="SECONDS", help="before answers (%(default)s)")
    parser.add_argument("--room", type=count, default=100, metavar="LINES", help="for each guest (%(default)s)")
    parser.add_argument("--serve", type=int, metavar="PORT", help="no guests: serve there until Ctrl-C (0: any port)")
    return parser.parse_args()


if __name__ == "__main__":
    task.react(main, (arguments(),))
