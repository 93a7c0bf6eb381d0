"""A relay: reads the streamed reply of a language model once and hands it to fifty readers, some of them slow.

    make run EXAMPLE=relay_model_reply
    make run EXAMPLE=relay_model_reply ARGS="--policy wait"
    make run EXAMPLE=relay_model_reply ARGS="--readers 500 --slow 20 --room 4"
    make run EXAMPLE=relay_model_reply ARGS="--help"

A server on this machine plays the model: it sends the words of a text as server-sent events. Each reader has a bounded
place of its own (`flow.Callback`) into which the relay puts the words. When the place of a slow reader is full, the
policy says what happens: with `drop` that reader is cut off and the others stay in time; with `wait` everybody waits
for it, the relay and so the model's connection too.

What to look at: the chain in `run`, from the model's bytes to its words; `hand_over`, where the policy is; and the
table at the end. No place ever holds more than it has room for, whatever the readers do.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from functools import partial

import httpx
from _model import WORDS, serving
from _options import count, seconds

import flow

# --------------------------------------------------------------------------------------------------------------------
# From the model's bytes to words


async def read(address: str) -> AsyncIterator[bytes]:
    """The bytes of the reply as they come. An async source: it lives in a task of its own."""
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client, client.stream("GET", address) as response:
        response.raise_for_status()
        async for piece in response.aiter_bytes():
            yield piece


def words(lines: Iterable[bytes]) -> Iterator[str]:
    """A plain stage: the text in each event. A reply that breaks off is not taken for a whole one."""
    for line in lines:
        name, _, value = line.partition(b": ")
        if name == b"data":
            if value == b"[DONE]":
                return
            yield json.loads(value)["text"]
    raise ConnectionError("the reply broke off")


# --------------------------------------------------------------------------------------------------------------------
# From the relay to the readers


class Reader:
    """Somebody who reads along, a browser say. It takes `pace` seconds for each word."""

    def __init__(self, kind: str, pace: float, room: int) -> None:
        self.kind = kind
        self.pace = pace
        self.place: flow.Callback[str] = flow.Callback(limit=room)
        self.words: list[str] = []
        self.most_held = 0
        self.dropped = False

    async def read(self) -> None:
        async for word in self.place:
            await asyncio.sleep(self.pace)
            self.words.append(word)


def hand_over(word: str, reader: Reader, policy: str) -> bool:
    """Puts a word into a reader's place; says whether the reader stays. All of the policy is here."""
    stays = reader.place.offer(word)
    if not stays and policy == "wait":
        flow.wait(reader.place.put(word))
        stays = True
    reader.most_held = max(reader.most_held, reader.place.held)
    return stays


def relay(words: Iterable[str], reading: dict[Reader, asyncio.Task[None]], policy: str) -> Iterator[int]:
    """A plain stage: hands each word to all readers, and yields how many words there were."""
    for number, word in enumerate(words, 1):
        for reader in list(reading):
            if not hand_over(word, reader, policy):
                reader.dropped = True
                reading.pop(reader).cancel()
        flow.cooperate()  # words may come in bursts: after each one, those who keep up have their turn
        yield number
    for reader in reading:
        reader.place.finish()


async def run(address: str, args: argparse.Namespace) -> list[Reader]:
    chain = flow.wrap(partial(read, address)) | flow.lines() | words
    async with asyncio.TaskGroup() as group:  # when the relay fails, the readers are cancelled
        slow = [Reader("slow", args.slow_pace, args.room) for _ in range(args.slow)]
        fast = [Reader("fast", 0, args.room) for _ in range(args.readers)]
        reading = {reader: group.create_task(reader.read()) for reader in slow + fast}
        async for number in chain.pipe(relay, reading, args.policy):
            if sys.stdout.isatty():
                print(f"\r{number} words relayed", end="", flush=True)
    return slow + fast


# --------------------------------------------------------------------------------------------------------------------
# The program


def show(readers: list[Reader], room: int) -> None:
    print(f"{'':8}{'readers':>8}{'whole reply':>13}{'dropped':>9}{'fewest words':>14}{'most held':>11}  of {room}")
    for kind in ("fast", "slow"):
        group = [reader for reader in readers if reader.kind == kind]
        whole = sum(reader.words == WORDS for reader in group)
        dropped = sum(reader.dropped for reader in group)
        fewest = min((len(reader.words) for reader in group), default=0)
        most = max((reader.most_held for reader in group), default=0)
        print(f"{kind:8}{len(group):8}{whole:13}{dropped:9}{fewest:14}{most:11}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Relays a model's reply, read once, to many readers.")
    parser.add_argument("--readers", type=count, default=45, help="that keep up (%(default)s)")
    parser.add_argument("--slow", type=count, default=5, metavar="READERS", help="that do not (%(default)s)")
    parser.add_argument("--policy", choices=["drop", "wait"], default="drop", help="for slow readers (%(default)s)")
    parser.add_argument("--room", type=count, default=8, metavar="WORDS", help="for each reader (%(default)s)")
    parser.add_argument("--pace", type=seconds, default=0.02, metavar="SECONDS", help="of the model (%(default)s)")
    parser.add_argument(
        "--slow-pace", type=seconds, default=0.06, metavar="SECONDS", help="of a slow one (%(default)s)"
    )
    args = parser.parse_args()
    began = time.monotonic()
    with serving(args.pace) as address:
        readers = asyncio.run(run(address, args))
    print("\r" * sys.stdout.isatty(), end="")
    print(f"{len(WORDS)} words to {len(readers)} readers in {time.monotonic() - began:.1f} s, policy {args.policy}\n")
    show(readers, args.room)


if __name__ == "__main__":
    main()
