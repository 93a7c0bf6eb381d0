"""A server with a few pages, on a real socket, for `test_servers.py`: Twisted on one of its reactors, or one of ASGI.

    python -m tests.web.serving twisted-epoll

It listens on 127.0.0.1, prints its port, and ends at SIGTERM. The pages are the same on every server. Pages that tell
of others: ``/say`` and ``/until`` let a test and a page wait for each other, ``/made`` gives the loop some turns and
then says how many rows a page has made, ``/idle`` waits until every other run is over, ``/failures`` says what was
logged.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import socket
import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Any

import flow
import flow.web
from flow.core.run import live

REACTORS = ["epoll", "poll", "select", "asyncio"]
KINDS = [*(f"twisted-{name}" for name in REACTORS), "uvicorn", "hypercorn-asyncio", "hypercorn-trio"]
PIECE = b"x" * 65_536

made: Counter[str] = Counter()
said: set[str] = set()
failures: list[str] = []


@dataclass
class Ask:
    """What a page needs to know, and how it begins its answer: what the two kinds of request have in common here."""

    key: str
    body: Iterable[bytes]
    begin: Callable[[int, dict[str, str]], None]


def hello(ask: Ask) -> Generator[Any]:
    ask.begin(201, {"X-Page": ask.key})
    yield "Hello, "
    yield b"world"


def gate(ask: Ask) -> Generator[Any]:
    yield "first;"
    yield from until(ask)
    yield "second"


def endless(ask: Ask) -> Generator[Any]:
    try:
        while True:
            made[ask.key] += 1
            yield PIECE
    finally:
        flow.sleep(0.01)
        said.add(ask.key)


def waits(ask: Ask) -> Generator[Any]:
    try:
        yield "first;"
        flow.sleep(3600)
    finally:
        flow.sleep(0.01)
        said.add(ask.key)


def waits_for_a_body(ask: Ask) -> Generator[Any]:
    try:
        yield "first;"
        for _ in ask.body:
            pass
    finally:
        flow.sleep(0.01)
        said.add(ask.key)


def fails(ask: Ask) -> Generator[Any]:
    ask.begin(201, {"X-Page": ask.key})
    if ask:
        raise ValueError(f"secret {ask.key}")
    yield ""


def fails_later(ask: Ask) -> Generator[Any]:
    yield "one;"
    flow.sleep(0)
    yield "two;"
    raise ValueError(f"secret {ask.key}")


def echo(ask: Ask) -> Generator[Any]:
    for piece in ask.body:
        yield piece.upper()


def ignores(ask: Ask) -> Generator[Any]:
    yield from until(ask)
    yield "not read"


def ignores_and_fails(ask: Ask) -> Generator[Any]:
    for _ in until(ask):
        raise ValueError(f"secret {ask.key}")
    yield ""


def say(ask: Ask) -> list[str]:
    said.add(ask.key)
    return [""]


def until(ask: Ask) -> Generator[Any]:
    while ask.key not in said:
        flow.sleep(0.002)
    yield ""


def turns(ask: Ask) -> Generator[Any]:
    for _ in range(50):
        flow.cooperate()
    yield str(made[ask.key])


def idle(ask: Ask) -> Generator[Any]:
    while len(live) > 1:  # another one than this page's own
        flow.sleep(0.002)
    yield ""


def told(ask: Ask) -> list[str]:
    return [json.dumps([each for each in failures if ask.key in each])]


PAGES: dict[str, Callable[[Ask], Any]] = {
    "/hello": hello,
    "/gate": gate,
    "/endless": endless,
    "/waits": waits,
    "/waits_for_a_body": waits_for_a_body,
    "/fails": fails,
    "/fails_later": fails_later,
    "/echo": echo,
    "/ignores": ignores,
    "/ignores_and_fails": ignores_and_fails,
    "/say": say,
    "/until": until,
    "/made": turns,
    "/idle": idle,
    "/failures": told,
}


# --------------------------------------------------------------------------------------------------------------------
# Twisted


def serve_twisted(kind: str) -> None:
    from importlib import import_module

    reactors: Any = import_module(f"twisted.internet.{kind}reactor")
    loops = [asyncio.new_event_loop()] if kind == "asyncio" else []
    reactors.install(*loops)
    from twisted.internet import endpoints, reactor
    from twisted.logger import globalLogBeginner
    from twisted.web.server import Site

    def render(request: Any) -> Any:
        def begin(status: int, headers: dict[str, str]) -> None:
            request.setResponseCode(status)
            for name, value in headers.items():
                request.setHeader(name, value)

        key = request.args.get(b"key", [b""])[0].decode()
        return PAGES[request.path.decode()](Ask(key, [request.content.read()], begin))

    def observe(event: Any) -> None:
        if "log_failure" in event:
            failures.append(repr(event["log_failure"].value))

    globalLogBeginner.beginLoggingTo([observe], redirectStandardIO=False)
    chosen: Any = reactor
    listening = endpoints.TCP4ServerEndpoint(chosen, 0, interface="127.0.0.1").listen(Site(flow.web.Resource(render)))
    listening.addCallback(lambda port: print(port.getHost().port, flush=True))
    chosen.run()
    for loop in loops:
        loop.close()


# --------------------------------------------------------------------------------------------------------------------
# ASGI


def render_asgi(request: flow.web.Request) -> Any:
    return PAGES[request.path](Ask(request.query["key"][0], request.body, request.respond))


class Failures(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        failures.append(repr(record.exc_info[1]) if record.exc_info else record.getMessage())


def listening() -> socket.socket:
    found = socket.create_server(("127.0.0.1", 0), backlog=256)
    print(found.getsockname()[1], flush=True)
    return found


def serve_uvicorn() -> None:
    import uvicorn

    config = uvicorn.Config(
        flow.web.App(render_asgi), log_config=None, access_log=False, lifespan="on", loop="asyncio", ws="none"
    )
    uvicorn.Server(config).run([listening()])


def serve_hypercorn(kind: str) -> None:
    from hypercorn.config import Config

    config = Config()
    config.bind = [f"fd://{listening().detach()}"]
    config.errorlog = logging.getLogger("hypercorn")
    config.graceful_timeout = 1
    app: Any = flow.web.App(render_asgi)
    if kind == "trio":
        import trio
        from hypercorn.trio import serve as serve_on_trio

        async def main_on_trio() -> None:
            async def stopped() -> None:
                with trio.open_signal_receiver(signal.SIGTERM) as signals:
                    await anext(signals)

            await serve_on_trio(app, config, shutdown_trigger=stopped)

        trio.run(main_on_trio)
    else:
        from hypercorn.asyncio import serve

        asyncio.run(serve(app, config))


def main(kind: str) -> None:
    server, _, variety = kind.partition("-")
    if server == "twisted":
        serve_twisted(variety)
        return
    logging.getLogger().addHandler(Failures(logging.ERROR))
    if server == "uvicorn":
        serve_uvicorn()
    else:
        serve_hypercorn(variety)


if __name__ == "__main__":
    main(sys.argv[1])
