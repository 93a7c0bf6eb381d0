"""A web page on which numbers appear one after another: watch it in two browsers at once.

    make run EXAMPLE=random_numbers                               # then open the address that it prints, twice
    make run EXAMPLE=random_numbers ARGS="--server asgi"          # the same page by uvicorn, on asyncio
    make run EXAMPLE=random_numbers ARGS="--port 0 --count 5 --pace 0.5 --for 60"
    make run EXAMPLE=random_numbers ARGS="--help"

It serves on this machine only, until Ctrl-C or for the time it is given. `?count=5` in the address asks for five
numbers. Each page is made while the others are made: it begins with the first row, and waits before each number.

What to look at: `page`, an ordinary generator. What it yields is sent at once, and its ``finally`` runs when a browser
goes away in the middle. `render_for_twisted` and `render_for_asgi` are all that differs from server to server.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import socket
import sys
from collections.abc import Iterator
from functools import partial
from random import random
from typing import Any

from _options import count, seconds

import flow
import flow.web

MOST = 500
"""Numbers that a browser may ask for."""

HEAD = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<link rel="icon" href="data:,">
<title>Random numbers: page {page}</title>
<style>
  :root {{ color-scheme: light dark; --page: hsl({hue} 70% 42%); --edge: color-mix(in srgb, CanvasText 14%, Canvas) }}
  body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 38rem; margin: 2.5rem auto; padding: 0 1.25rem }}
  h1 {{ font-size: 1.6rem; line-height: 1.2; margin: 0 }}
  h1 b {{ color: var(--page) }}
  p {{ margin: .4rem 0 1.5rem; opacity: .75 }}
  ol {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(6.4rem, 1fr)); gap: .7rem;
       margin: 0; padding: 0; list-style: none }}
  li, ol::after {{ padding: .55rem .7rem .65rem; border: 1px solid var(--edge); border-radius: .5rem }}
  li {{ animation: come .35s ease-out }}
  ol::after {{ content: "..."; min-height: 3.4rem; color: var(--page); border-style: dashed;
       animation: wait 1s infinite }}
  ol:has(+ footer)::after {{ content: none }}
  li b {{ display: block; font: 600 1.25rem/1.3 ui-monospace, monospace }}
  li small {{ display: block; font-size: .75rem; opacity: .65 }}
  li i {{ display: block; height: 3px; margin-top: .4rem; border-radius: 2px; background: var(--page) }}
  footer {{ margin-top: 1.5rem; padding-top: .8rem; border-top: 1px solid var(--edge) }}
  @keyframes come {{ from {{ opacity: 0; transform: translateY(.4rem) }} }}
  @keyframes wait {{ 50% {{ opacity: .4 }} }}
</style>
<h1>Random numbers <b>page {page}</b></h1>
<p>{count} numbers, each sent when it is there. {others}</p>
<ol>
"""

NUMBER = '<li><b>{digits}</b><small>after {seconds:.2f} s</small><i style="width: {share:.0%}"></i></li>\n'

END = "</ol>\n<footer>This page is whole: {count} numbers in {seconds:.1f} s of waiting.</footer>\n"


class Pages:
    """The pages of this server: how many there were, and how many are being made now."""

    def __init__(self, pace: float) -> None:
        self.pace = pace
        self.begun = 0
        self.at_work = 0

    def page(self, count: int) -> Iterator[str]:
        """One page, from its first byte to its last. It knows of no other: where it waits, the others go on."""
        self.begun += 1
        number, others = self.begun, self.at_work
        self.at_work += 1
        print(f"page {number}: begun, beside {others}", flush=True)
        how = "its browser has left"
        try:
            yield HEAD.format(page=number, hue=(number * 137 + 75) % 360, count=count, others=in_words(others))
            waited = 0.0
            for _ in range(count):
                delay = random()
                flow.sleep(delay * self.pace)
                waited += delay * self.pace
                yield NUMBER.format(digits=f"{delay:.5f}"[-5:], seconds=delay * self.pace, share=delay)
            yield END.format(count=count, seconds=waited)
            how = "whole"
        finally:
            self.at_work -= 1
            print(f"page {number}: {how}", flush=True)


def in_words(others: int) -> str:
    if others == 0:
        return "Open it in a second browser."
    return f"{others} other {'page is' if others == 1 else 'pages are'} being made."


def wanted(text: str, otherwise: int) -> int:
    """The number that stands in the address, if one does that may be asked for."""
    return int(text) if text.isdecimal() and len(text) < 6 and 1 <= int(text) <= MOST else otherwise


# --------------------------------------------------------------------------------------------------------------------
# The two servers


def render_for_twisted(pages: Pages, count: int, request: Any) -> Any:
    if request.path != b"/":
        request.setResponseCode(404)
        return ["There is one page here, at <a href='/'>/</a>."]
    return pages.page(wanted(request.args.get(b"count", [b""])[0].decode("latin-1"), count))


def render_for_asgi(pages: Pages, count: int, request: flow.web.Request) -> Any:
    if request.path != "/":
        request.respond(404)
        return ["There is one page here, at <a href='/'>/</a>."]
    return pages.page(wanted(request.query.get("count", [""])[0], count))


def serve_twisted(pages: Pages, listening: socket.socket, args: argparse.Namespace) -> None:
    from twisted.internet import reactor as installed
    from twisted.web.server import Site

    reactor: Any = installed
    site = Site(flow.web.Resource(partial(render_for_twisted, pages, args.count)))
    listening.setblocking(False)  # as Twisted wants it
    reactor.adoptStreamPort(listening.fileno(), socket.AF_INET, site)
    if args.duration is not None:
        reactor.callLater(args.duration, reactor.stop)
    reactor.run()  # until Ctrl-C


def serve_asgi(pages: Pages, listening: socket.socket, args: argparse.Namespace) -> None:
    import uvicorn

    app = flow.web.App(partial(render_for_asgi, pages, args.count))
    # At the end, a page that is still being made has a second; then it is cancelled.
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", loop="asyncio", timeout_graceful_shutdown=1))

    async def stop(after: float) -> None:
        await asyncio.sleep(after)
        server.should_exit = True

    async def main() -> None:
        stopping = None if args.duration is None else asyncio.create_task(stop(args.duration))
        await server.serve([listening])
        if stopping is not None:
            stopping.cancel()

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())


SERVERS = {"twisted": serve_twisted, "asgi": serve_asgi}


def main() -> None:
    parser = argparse.ArgumentParser(description="A web page on which numbers appear one after another.")
    parser.add_argument("--server", choices=SERVERS, default="twisted", help="that serves it (%(default)s)")
    parser.add_argument("--port", type=int, default=8081, help="to listen on; 0: any that is free (%(default)s)")
    parser.add_argument("--count", type=count, default=30, help="numbers on a page (%(default)s)")
    parser.add_argument(
        "--pace", type=seconds, default=1, metavar="SECONDS", help="before a number, at most (%(default)s)"
    )
    parser.add_argument("--for", type=seconds, dest="duration", metavar="SECONDS", help="and end (until Ctrl-C)")
    args = parser.parse_args()
    try:
        listening = socket.create_server(("127.0.0.1", args.port))
    except (OSError, OverflowError) as error:
        sys.exit(f"random_numbers: can't listen on port {args.port}: {error}")
    with listening:
        print(f"http://127.0.0.1:{listening.getsockname()[1]}/", flush=True)
        SERVERS[args.server](Pages(args.pace), listening, args)


if __name__ == "__main__":
    main()
