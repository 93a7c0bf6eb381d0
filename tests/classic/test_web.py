"""flow.classic.web.Resource, and a resource of one's own, as the manual and the docstrings of 2003 showed them."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

import pytest
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.testing import StringTransport
from twisted.web import resource, server

from flow.classic import flow
from flow.classic.threads import Threaded
from flow.classic.web import Resource
from flow.testing import Tracked, nothing_left

from ..conformance.drivers import ClockReactor, installed


@pytest.fixture
def reactor() -> Iterator[ClockReactor]:
    found = ClockReactor()
    with installed(found):
        yield found


class Client:
    """One client, which asks for a page, and gets its body without the framing of HTTP."""

    def __init__(self, root: Any, reactor: ClockReactor, asks: bytes = b"GET /?count=2 HTTP/1.0\r\n\r\n") -> None:
        self.reactor = reactor
        self.wire = StringTransport()
        self.channel: Any = server.Site(root, reactor=reactor).buildProtocol(None)
        self.channel.makeConnection(self.wire)
        self.channel.dataReceived(asks)
        self.after(0)

    def after(self, seconds: int) -> Client:
        for step in range(10 * seconds + 10):
            self.reactor.advance(1 if 0 < step <= seconds else 0)
        return self

    @property
    def body(self) -> bytes:
        return self.wire.value().partition(b"\r\n\r\n")[2]

    def leave(self, reason: Exception | None = None) -> None:
        self.channel.connectionLost(flow.Failure(reason or ConnectionDone()))
        self.after(9)


def test_a_page_that_is_written_bit_by_bit(reactor: ClockReactor) -> None:
    """2003's docstring: ``req.write``, a Cooperate, ``req.write``; the page ends with the generator."""

    def render(req: Any) -> Generator[Any]:
        req.write(b"<h1>Soup</h1>")
        yield flow.Cooperate(5)
        req.write(b"<p>It is hot.</p>")

    client = Client(Resource(render), reactor)
    assert client.body == b"<h1>Soup</h1>"
    assert not client.after(4).wire.disconnecting
    assert client.after(1).body == b"<h1>Soup</h1><p>It is hot.</p>"
    assert client.wire.disconnecting
    client.leave()


def test_what_is_yielded_is_ignored(reactor: ClockReactor) -> None:
    """2003 collected it, and dropped it at the end."""

    def render(req: Any) -> Generator[Any]:
        yield "a row"
        req.write(b"written")
        yield b"another row"

    client = Client(Resource(render), reactor)
    assert client.body == b"written"
    client.leave()


def test_two_clients_at_the_same_time(reactor: ClockReactor) -> None:
    """The manual: a long page for one holds up no other."""

    def render(req: Any) -> Generator[Any]:
        for number in range(3):
            req.write(b"%d" % number)
            yield flow.Cooperate(1)

    root = Resource(render)
    first = Client(root, reactor).after(1)
    second = Client(root, reactor)
    assert (first.body, second.body) == (b"01", b"0")
    first.after(3)
    assert first.body == second.body == b"012"
    first.leave()
    second.leave()


def test_a_page_out_of_stages(reactor: ClockReactor) -> None:
    """The author's page: a generator that reads a threaded source and another flow, and ends with it."""

    def render(req: Any) -> Generator[Any]:
        codes = flow.wrap(Tracked(range(9), delay=1))
        towns = flow.wrap(Threaded(iter([(2, b"Roma"), (1, b"Torino")])))
        yield towns
        for count, town in towns:
            req.write(town)
            for _ in range(count):
                yield codes
                for code in codes.results:
                    req.write(b" %d" % code)
                codes.results = []
            yield towns

    client = Client(Resource(render, reactor=reactor), reactor)
    for _ in range(200):
        if not client.wire.disconnecting:
            try:
                reactor._calls_from_threads.get(timeout=0.02)()
            except Exception as nothing_came:
                assert type(nothing_came).__name__ == "Empty"
            client.after(1)
    assert client.body == b"Roma 0 1Torino 2"
    client.leave()


def test_a_resource_of_one_s_own(reactor: ClockReactor) -> None:
    """The manual: a resource that runs a flow.Deferred, whose flow writes, and finishes the request."""

    class Numbers(resource.Resource):
        isLeaf = True

        def render(self, req: Any) -> int:
            deferred = flow.Deferred(self.written(req))
            deferred.addCallback(lambda _: req.finish())
            return server.NOT_DONE_YET

        def written(self, req: Any) -> Generator[Any]:
            count = int(req.args.get(b"count", [b"9"])[0])
            numbers = flow.wrap(iter([flow.Cooperate(1), 7] * count))
            yield numbers
            for number in numbers:
                req.write(b"<li>%d" % number)
                yield numbers

    root: Any = Numbers()  # type: ignore[no-untyped-call]
    client = Client(root, reactor)
    assert client.after(1).body == b"<li>7"
    assert client.after(1).body == b"<li>7<li>7"
    client.leave()


def test_a_client_that_leaves(reactor: ClockReactor) -> None:
    """2003 went on, and finished a request that was gone (fault H2); now the flow is cancelled, and all is closed."""
    source = Tracked(range(9), delay=1)

    def render(req: Any) -> Generator[Any]:
        for number in flow.wrap(source):
            req.write(b"%d" % number)
            yield flow.Cooperate()

    client = Client(Resource(render), reactor).after(1)
    client.leave(ConnectionLost())
    assert source.is_closed
    nothing_left(source)


def test_a_resource_is_a_leaf() -> None:
    """2003's isLeaf was a method that failed (fault H1); `gen` is there as it was."""

    def render(req: Any) -> Any:
        return ()

    assert Resource(render).isLeaf is True
    assert Resource(render).gen is render
    with pytest.raises(TypeError, match="must be a function"):
        Resource("page")  # type: ignore[arg-type]
