"""A crawler: a few workers read the pages of a site and follow their links, on asyncio, with httpx.

    make run EXAMPLE=crawl
    make run EXAMPLE=crawl ARGS="--workers 1"
    make run EXAMPLE=crawl ARGS="--help"

It makes a site of its own on this machine, of some 200 pages with links in circles, a broken link, a slow page and a
link that leads elsewhere, and reads all of it. It never goes to another host.

What to look at: `worker`, an ordinary loop that takes an address, reads the page and puts its links back; `crawl`,
where several workers become one flow with Merge; and `Frontier`, the one place with a bound. A slow page (marked `*` in
the output) holds up its own worker only. When whoever reads the pages stops early, the workers are closed with the run.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

import httpx
from _options import count, seconds
from _site import serving

import flow

LINK = re.compile(r'<a href="([^"]*)"')


class Page(NamedTuple):
    address: str
    worker: int
    status: int
    seconds: float
    links: list[str]


class Frontier:
    """The addresses that wait to be read: one place for all workers, and each address enters it once.

    It has room for `limit` addresses in all. Links beyond those are counted and not taken: a worker that waited for
    room would wait for workers that wait for room.
    """

    def __init__(self, start: str, limit: int) -> None:
        self.host = urlsplit(start).netloc
        self.limit = limit
        self.seen: set[str] = set()
        self.left_out: Counter[str] = Counter()
        self.unread = 0  # waiting, or with a worker
        self.waiting: asyncio.Queue[str | None] = asyncio.Queue(limit + 1)  # one more for the None
        self.add([start])

    def add(self, addresses: list[str]) -> None:
        for address in addresses:
            if urlsplit(address).netloc != self.host:
                self.left_out["to another host"] += 1
            elif address in self.seen:
                self.left_out["to a known page"] += 1
            elif len(self.seen) == self.limit:
                self.left_out["too many"] += 1
            else:
                self.seen.add(address)
                self.unread += 1
                self.waiting.put_nowait(address)

    def done(self) -> None:
        """A page is read, and its links are in. After the last one there is nothing to wait for."""
        self.unread -= 1
        if not self.unread:
            self.waiting.put_nowait(None)

    def take(self) -> str | None:
        """Waits for an address; None: there will be no more."""
        address = flow.wait(self.waiting.get())
        if address is None:
            self.waiting.put_nowait(None)  # for the next worker
        return address


def worker(number: int, client: httpx.AsyncClient, frontier: Frontier) -> Iterator[Page]:
    """An ordinary generator. It waits for an address, then for the server, then until somebody wants its page."""
    while (address := frontier.take()) is not None:
        asked = time.monotonic()
        try:
            response = flow.wait(client.get(address))
        except httpx.HTTPError:  # no answer at all: a row like any other, and the crawl goes on
            status, links = 0, []
        else:
            status, links = response.status_code, [urljoin(address, link) for link in LINK.findall(response.text)]
        frontier.add(links)
        frontier.done()
        yield Page(address, number, status, time.monotonic() - asked, links)


def crawl(client: httpx.AsyncClient, frontier: Frontier, workers: int) -> flow.Stage[Page]:
    """The whole crawler: as many branches as there are workers, their pages in the order in which they come."""
    return flow.Merge(*(partial(worker, number, client, frontier) for number in range(workers)))


async def read(start: str, args: argparse.Namespace) -> None:
    frontier = Frontier(start, args.limit)
    statuses: Counter[int] = Counter()
    by_worker: Counter[int] = Counter()
    began, waited = time.monotonic(), 0.0
    # trust_env: a proxy that is set in the environment would be another host.
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        async for page in crawl(client, frontier, args.workers):
            statuses[page.status] += 1
            by_worker[page.worker] += 1
            waited += page.seconds
            slow = "*" if page.seconds >= args.slow > args.pace else " "
            print(f"{page.status} {page.seconds:6.3f} s {slow} worker {page.worker}  {page.address}", flush=True)

    answers = ", ".join(f"{number} with status {status}" for status, number in statuses.items())
    left_out = ", ".join(f"{number} {why}" for why, number in frontier.left_out.items())
    print(f"\n{statuses.total()} pages read: {answers}")
    print(f"links not followed: {left_out or 'none'}")
    print("pages of each worker:", ", ".join(str(by_worker[number]) for number in range(args.workers)))
    print(f"{waited:.1f} s of waiting in {time.monotonic() - began:.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description="Crawls a site of its own on this machine.")
    parser.add_argument("--workers", type=count, default=8, help="requests at the same time (%(default)s)")
    parser.add_argument("--pages", type=count, default=200, help="pages of the site (%(default)s)")
    parser.add_argument("--limit", type=count, default=1000, help="addresses taken in at most (%(default)s)")
    parser.add_argument("--pace", type=seconds, default=0.05, metavar="SECONDS", help="for a page (%(default)s)")
    parser.add_argument("--slow", type=seconds, default=1, metavar="SECONDS", help="for the slow page (%(default)s)")
    args = parser.parse_args()
    with serving(args.pages, args.pace, args.slow) as site:
        asyncio.run(read(f"{site}/page/0", args))


if __name__ == "__main__":
    main()
