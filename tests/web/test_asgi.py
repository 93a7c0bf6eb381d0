"""flow.web.App, called directly by a server that follows a script, in virtual time, on asyncio and trio.

Real servers and sockets are in `test_servers.py`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from pathlib import Path
from typing import Any

import pytest

import flow
import flow.web
from flow.testing import Tracked, nothing_left, virtual_time

Message = dict[str, Any]
GONE: Message = {"type": "http.disconnect"}


def piece(octets: bytes = b"", more: bool = False) -> Message:
    return {"type": "http.request", "body": octets, "more_body": more}


class Server:
    """What a server does for one request: it gives messages at their times, and takes the answer."""

    def __init__(self, *script: tuple[float, Message], sending: float = 0, fails: BaseException | None = None) -> None:
        self.script = list(script) or [(0, piece())]
        self.sent: list[tuple[float, Message]] = []
        self.asked = 0
        self.sending = sending
        self.fails = fails
        self.returned = math.nan
        self.now: Callable[[], float]
        self.sleep: Callable[[float], Awaitable[None]]

    async def receive(self) -> Message:
        self.asked += 1
        if not self.script:
            await self.sleep(1e6)
        when, message = self.script.pop(0)
        if when > self.now():
            await self.sleep(when - self.now())
        return message

    async def send(self, message: Message) -> None:
        if self.fails is not None and self.sent:
            raise self.fails
        self.sent.append((self.now(), message))
        if self.sending:
            await self.sleep(self.sending)

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for _, message in self.sent)

    @property
    def status(self) -> int:
        return int(self.sent[0][1]["status"])

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0][1]["headers"])

    @property
    def is_whole(self) -> bool:
        """Was the end of the response sent?"""
        return bool(self.sent) and not self.sent[-1][1].get("more_body", True)


def scope_of(method: str = "GET", path: str = "/", query: bytes = b"", **more: Any) -> dict[str, Any]:
    return {"type": "http", "method": method, "path": path, "query_string": query, "headers": [], **more}


class OnAsyncio:
    """Runs an application on asyncio, in virtual time."""

    name = "asyncio"

    def __call__(
        self, app: Any, server: Server, scope: dict[str, Any], cancel: float | None, seed: int | None = None
    ) -> None:
        async def main() -> None:
            server.now, server.sleep = asyncio.get_running_loop().time, asyncio.sleep
            task = asyncio.ensure_future(app(scope, server.receive, server.send))
            if cancel is not None:
                asyncio.get_running_loop().call_later(cancel, task.cancel)
            try:
                await task
            except asyncio.CancelledError:
                assert cancel is not None
            finally:
                server.returned = server.now()

        with virtual_time(seed) as clock:
            clock.run(main())


class OnTrio:
    """Runs an application on trio, with its own clock of virtual time."""

    name = "trio"

    def __call__(
        self, app: Any, server: Server, scope: dict[str, Any], cancel: float | None, seed: int | None = None
    ) -> None:
        trio: Any = pytest.importorskip("trio")
        trio_testing: Any = pytest.importorskip("trio.testing")

        async def main() -> None:
            begin = trio.current_time()
            server.now, server.sleep = lambda: trio.current_time() - begin, trio.sleep
            try:
                with trio.CancelScope(deadline=begin + (math.inf if cancel is None else cancel)):
                    await app(scope, server.receive, server.send)
            finally:
                server.returned = server.now()

        trio.run(main, clock=trio_testing.MockClock(autojump_threshold=0))


Run = Callable[..., Server]


@pytest.fixture(params=[OnAsyncio(), OnTrio()], ids=lambda loop: loop.name)
def talk(request: pytest.FixtureRequest) -> Run:
    """Lets a client have one conversation with an application; gives what the server saw."""

    def run(
        render: Callable[[flow.web.Request], Any] | flow.web.App,
        server: Server | None = None,
        *,
        cancel: float | None = None,
        seed: int | None = None,
        **scope: Any,
    ) -> Server:
        app = render if isinstance(render, flow.web.App) else flow.web.App(render)
        server = server or Server()
        request.param(app, server, scope_of(**scope), cancel, seed)
        nothing_left()
        return server

    return run


def slowly(request: flow.web.Request) -> Generator[str | bytes]:
    yield "one"
    flow.sleep(1)
    yield b"two"
    flow.sleep(1)


# --------------------------------------------------------------------------------------------------------------------
# Rows


def test_rows_are_sent_as_they_come(talk: Run) -> None:
    """CONTRACT 5: a row is sent before the page waits for anything else; the end comes after the last."""
    server = talk(slowly)
    start = {
        "type": "http.response.start",
        "status": 200,
        "headers": [(b"content-type", b"text/html; charset=utf-8")],
    }
    assert server.sent == [
        (0, start),
        (0, {"type": "http.response.body", "body": b"one", "more_body": True}),
        (1, {"type": "http.response.body", "body": b"two", "more_body": True}),
        (2, {"type": "http.response.body", "body": b"", "more_body": False}),
    ]
    assert server.returned == 2


async def from_async(request: flow.web.Request) -> AsyncGenerator[str]:
    yield "a"
    yield "b"


async def from_a_coroutine(request: flow.web.Request) -> list[str]:
    return ["a", "b"]


def classic(request: flow.web.Request) -> Generator[Any]:
    yield "a"
    yield flow.Cooperate(1)
    letter = yield from_a_coroutine(request)
    yield letter[1]


def that_waits(request: flow.web.Request) -> bytearray:
    flow.sleep(1)
    return bytearray(b"ab")


@pytest.mark.parametrize(
    "render",
    [
        lambda request: ["a", "b"],
        lambda request: "ab",
        lambda request: memoryview(b"ab"),
        lambda request: iter("ab"),
        lambda request: flow.wrap("ab").map(str),
        lambda request: ["a", flow.Cooperate(1), "b"],
        lambda request: flow.wrap(["a"]).merge(["b"]),
        from_async,
        from_a_coroutine,
        classic,
        that_waits,
    ],
)
def test_what_render_may_be(talk: Run, render: Callable[[Any], Any]) -> None:
    """`render` gives anything that flow.wrap takes, and may wait before it does."""
    server = talk(render)
    assert server.body == b"ab"
    assert server.is_whole


def test_a_page_without_rows(talk: Run) -> None:
    server = talk(lambda request: [])
    assert (server.status, server.body, server.is_whole) == (200, b"", True)


def test_a_head_request_runs_the_page_up_to_its_first_row(talk: Run) -> None:
    """CONTRACT 14: for HEAD the headers are those of the first row; there the page ends, and is closed."""
    did: list[str] = []

    def page(request: flow.web.Request) -> Generator[str]:
        try:
            request.respond(headers={"X-Page": "yes"})
            yield "row"
            did.append("more")
        finally:
            flow.sleep(1)
            did.append("closed")

    server = talk(page, method="HEAD")
    assert did == ["closed"]
    assert server.headers[b"x-page"] == b"yes"
    assert server.is_whole


# --------------------------------------------------------------------------------------------------------------------
# The request


def test_what_a_request_says(talk: Run) -> None:
    """Method, path, query and headers are those of the scope, as text."""
    seen: list[flow.web.Request] = []

    def page(request: flow.web.Request) -> list[str]:
        seen.append(request)
        return []

    headers = [(b"host", b"here"), (b"x-a", b"1"), (b"x-a", b"2"), (b"cookie", b"a=1"), (b"cookie", b"b=\xfc")]
    talk(page, method="POST", path="/app/für", root_path="/app", query=b"a=1&a=%C3%BC&b=&c", headers=headers)
    (request,) = seen
    assert (request.method, request.path, request.root_path) == ("POST", "/app/für", "/app")
    assert request.query == {"a": ["1", "ü"], "b": [""], "c": [""]}
    assert request.scope["type"] == "http"
    assert repr(request) == "<flow.web.Request POST /app/für>"
    found = request.headers
    assert found["X-A"] == found["x-a"] == "1, 2"
    assert found["Cookie"] == "a=1; b=ü"
    assert found.getall("X-a") == ["1", "2"]
    assert found.getall("none") == []
    assert found.get("none") is None
    assert "HOST" in found
    assert (list(found), len(found)) == (["host", "x-a", "cookie"], 3)
    assert repr(found) == "Headers({'host': 'here', 'x-a': '1, 2', 'cookie': 'a=1; b=ü'})"


def test_respond_says_how_the_response_begins(talk: Run) -> None:
    """The last call before the first row counts; a name may stand several times in pairs."""

    def page(request: flow.web.Request) -> Generator[str]:
        request.respond(500, {"x": "y"})
        flow.sleep(1)
        request.respond(418, [("Set-Cookie", "a"), ("set-cookie", "b"), ("Content-Type", "text/plain")])
        yield "row"

    server = talk(page)
    assert server.status == 418
    assert server.sent[0][1]["headers"] == [
        (b"set-cookie", b"a"),
        (b"set-cookie", b"b"),
        (b"content-type", b"text/plain"),
    ]


def test_a_response_without_a_body_has_no_content_type(talk: Run) -> None:
    def page(request: flow.web.Request) -> list[str]:
        request.respond(204)
        return []

    assert talk(page).headers == {}


def test_respond_after_the_first_row(talk: Run) -> None:
    """Status and headers have been sent then: a RuntimeError says so."""
    seen: list[str] = []

    def page(request: flow.web.Request) -> Generator[str]:
        yield ""
        with pytest.raises(RuntimeError, match="after the first row") as caught:
            request.respond(404)
        seen.append(str(caught.value))
        assert (request.started, request.status) == (True, 200)

    assert talk(page).status == 200
    assert seen


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ((100,), ValueError, "from 200 to 599 is needed, not 100"),
        ((600,), ValueError, "not 600"),
        ((True,), ValueError, "not True"),
        (("200",), ValueError, "not '200'"),
        ((200, {"a b": "c"}), ValueError, "'a b' is no name of a header"),
        ((200, {"a\n": "c"}), ValueError, "is no name of a header"),
        ((200, {"": "c"}), ValueError, "is no name of a header"),
        ((200, {"a": "c\r\nSet-Cookie: d"}), ValueError, "has a line break or a NUL in it"),
        ((200, {"a": "\0"}), ValueError, "has a line break or a NUL in it"),
        ((200, {"a": "\u20ac"}), ValueError, "has letters beyond Latin-1"),
        ((200, {"a": 1}), TypeError, "must be str, not int"),
        ((200, [(b"a", "b")]), TypeError, "must be str, not bytes"),
    ],
)
def test_what_http_does_not_allow_is_refused(arguments: Any, error: type[Exception], says: str) -> None:
    """CONTRACT 22: by the line that wrote it; so no header can smuggle in another one."""
    request = flow.web.Request(scope_of(), flow.wrap([b""]))
    with pytest.raises(error, match=says):
        request.respond(*arguments)
    assert (request.status, request.response_headers) == (200, [])


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"render": 5}, TypeError, r"flow.web.App\(render\): render must be a function .* not int"),
        ({"pieces": 0}, ValueError, r"App\(pieces\) must be at least 1"),
        ({"slice": math.nan}, ValueError, "slice must be 0 or more seconds"),
        ({"cleanup": -1}, ValueError, "cleanup must be 0 or more seconds"),
    ],
)
def test_wrong_arguments_are_refused_at_once(options: Any, error: type[Exception], says: str) -> None:
    """CONTRACT 22: from the line that wrote them."""
    with pytest.raises(error, match=says):
        flow.web.App(**{"render": slowly, **options})


# --------------------------------------------------------------------------------------------------------------------
# The body of a request


def test_the_pieces_of_a_body(talk: Run) -> None:
    """CONTRACT 1, 2: they come in order and once, as they arrive, until the body ends."""

    def shout(request: flow.web.Request) -> Generator[bytes]:
        for each in request.body:
            yield each.upper()

    server = talk(
        shout, Server((0, piece(b"a", True)), (1, piece(b"", True)), (2, piece(b"b", True)), (3, piece(b"c")))
    )
    bodies = [(when, message["body"]) for when, message in server.sent[1:]]
    assert bodies == [(0, b"A"), (2, b"B"), (3, b"C"), (3, b"")]


def test_a_body_goes_through_any_function_of_an_iterable(talk: Run) -> None:
    """A body is a stage, so lines, json and the like read it while it arrives."""

    def page(request: flow.web.Request) -> Generator[str]:
        for row in (request.body | flow.lines()).map(json.loads):
            yield f"{row['n']} "

    server = talk(page, Server((0, piece(b'{"n": 1}\n{"n"', True)), (1, piece(b": 2}\n"))), method="POST")
    assert server.body == b"1 2 "


def test_an_async_page_reads_the_body(talk: Run) -> None:
    async def page(request: flow.web.Request) -> AsyncGenerator[bytes]:
        async for each in request.body:
            yield each * 2

    server = talk(page, Server((0, piece(b"a", True)), (1, piece(b"b"))))
    assert server.body == b"aabb"


def test_a_body_is_bounded(talk: Run) -> None:
    """CONTRACT 20, 21: a page that does not read makes the server wait: `pieces`, and one that waits to go in."""
    asked: list[int] = []
    server = Server(*((0, piece(b"x", True)) for _ in range(50)), (0, piece()))

    def page(request: flow.web.Request) -> Generator[str]:
        flow.sleep(10)
        asked.append(server.asked)
        yield str(sum(map(len, request.body)))

    talk(flow.web.App(page, pieces=4), server)
    assert asked == [5]
    assert server.body == b"50"


def test_a_body_that_nobody_reads_does_not_hold_up_the_answer(talk: Run) -> None:
    """CONTRACT 21: once the page is done its body is dropped: a server whose own queue is full can take the answer."""

    class Full(Server):
        """A server that takes the end of an answer only when the whole request was received."""

        async def send(self, message: Message) -> None:
            await super().send(message)
            while not message.get("more_body", True) and self.script:
                await self.sleep(1)

    def page(request: flow.web.Request) -> list[str]:
        return ["not read"]

    def reads_a_little(request: flow.web.Request) -> Generator[bytes]:
        yield from request.body[:1]

    def fails(request: flow.web.Request) -> list[str]:
        raise ValueError("no")

    for render, body in ((page, b"not read"), (reads_a_little, b"x"), (fails, None)):
        server = talk(flow.web.App(render, pieces=2), Full(*((0, piece(b"x", True)) for _ in range(50)), (0, piece())))
        assert server.is_whole
        assert body in (None, server.body)
        assert server.script == []


def test_a_body_that_comes_again_and_again(talk: Run) -> None:
    """A middleware that has read the body and gives it at each call, without waiting, does not hold up the loop."""

    class Replayed(Server):
        async def receive(self) -> Message:
            self.asked += 1
            return piece(b"body")

    def page(request: flow.web.Request) -> Generator[bytes]:
        yield b"".join(request.body)
        flow.sleep(1)

    server = talk(page, Replayed())
    assert (server.body, server.is_whole, server.asked) == (b"body", True, 2)


def test_a_body_comes_once(talk: Run) -> None:
    """CONTRACT 7: reading it again raises AlreadyReadError, which names it."""

    def page(request: flow.web.Request) -> Generator[bytes]:
        yield from request.body
        with pytest.raises(flow.AlreadyReadError):
            list(request.body)
        yield repr(request.body).encode()

    assert talk(page, Server((0, piece(b"a")))).body == b"arequest.body"


# --------------------------------------------------------------------------------------------------------------------
# A client that leaves, and a server that cancels

WHEN = [0, 0.5, 1, 1.5, 2, 2.5]


@pytest.mark.parametrize("when", WHEN)
def test_a_client_that_leaves_cancels_the_page(talk: Run, when: float) -> None:
    """H2, CONTRACT 14, 15 and 30: wherever the page waits, it is closed, cleanups that wait too, before the return."""
    source = Tracked(["one", "two", "three"], delay=1, cleanup=1)
    server = talk(lambda request: flow.wrap(source) | Tracked(name="below"), Server((0, piece()), (when, GONE)))
    assert not server.is_whole
    assert server.returned == when + 1
    assert server.body == b"onetwo"[: 3 * math.ceil(when - 1)] or when == int(when)
    nothing_left(source)


@pytest.mark.parametrize("when", WHEN)
def test_a_server_that_cancels(talk: Run, when: float) -> None:
    """CONTRACT 15: a cancel from outside closes the page in the same way, and goes on as the loop's own."""
    source = Tracked(["one", "two", "three"], delay=1, cleanup=1)
    server = talk(lambda request: flow.wrap(source) | Tracked(name="below"), cancel=when)
    assert not server.is_whole
    nothing_left(source)


@pytest.mark.parametrize("seed", range(10))
def test_a_race_of_page_and_client(seed: int) -> None:
    """CONTRACT 14, 15: in whatever order a row, the end, a piece and the client's leaving come, all is closed."""
    for when in (0, 1, 2, 3):
        for cancel in (None, 1, 2):
            source = Tracked(["one", "two"], delay=1, cleanup=seed % 2)
            server = Server((0, piece(b"a", True)), (1, piece(b"b")), (when, GONE))

            def page(request: flow.web.Request, source: Tracked[str] = source) -> Generator[Any]:
                yield from flow.wrap(source).merge(request.body)

            OnAsyncio()(flow.web.App(page), server, scope_of(), cancel, seed)
            nothing_left(source)


def test_what_is_raised_in_a_page_that_is_left(talk: Run) -> None:
    """CONTRACT 15: it is flow.Cancelled, which ``except Exception`` lets pass."""
    seen: list[BaseException] = []

    def page(request: flow.web.Request) -> Generator[str]:
        yield "one"
        try:
            flow.sleep(9)
        except Exception as error:
            seen.append(error)
        except BaseException as error:
            seen.append(error)
            raise

    talk(page, Server((0, piece()), (1, GONE)))
    (error,) = seen
    assert isinstance(error, flow.Cancelled)


def test_a_client_that_leaves_in_the_middle_of_a_body(talk: Run) -> None:
    """H2, CONTRACT 30: a page that waits for the rest of a body is cancelled; half a body never looks like a whole."""
    ended: list[str] = []

    def page(request: flow.web.Request) -> Generator[str]:
        try:
            everything = b"".join(request.body)
            ended.append(f"whole: {everything!r}")
            yield "thanks"
        finally:
            ended.append("closed")

    server = talk(page, Server((0, piece(b"half", True)), (1, GONE)))
    assert ended == ["closed"]
    assert server.sent == []


def test_a_server_that_refuses_a_row(talk: Run) -> None:
    """CONTRACT 30: with an OSError a server says that the client has left: the page is closed, and nothing raised."""
    source = Tracked(["one", "two"], delay=1, cleanup=1)
    server = talk(lambda request: source, Server((0, piece()), fails=ConnectionResetError("gone")))
    assert len(server.sent) == 1
    assert server.returned == 2
    nothing_left(source)


def test_an_endless_page_is_left(talk: Run) -> None:
    """CONTRACT 10: a page that never waits, for a server that takes everything at once, ends when its client leaves."""
    made: list[int] = []

    def page(request: flow.web.Request) -> Generator[bytes]:
        while len(made) < 1_000_000:
            made.append(1)
            yield b"x"

    server = Server((0, piece(more=True)), (0, piece()), (0, GONE))
    talk(page, server)
    assert len(made) < 100_000
    assert not server.is_whole


def test_a_cleanup_that_fails_after_the_client_left(talk: Run) -> None:
    """CONTRACT 16: such a failure leaves the application, for the server to tell of."""

    def page(request: flow.web.Request) -> Generator[str]:
        try:
            yield "one"
            flow.sleep(9)
        finally:
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        talk(page, Server((0, piece()), (1, GONE)))
    nothing_left()


def test_a_cleanup_has_a_deadline(talk: Run) -> None:
    """CONTRACT 15: `cleanup=`: what goes on waiting after the client has left is ended, and named."""

    def stubborn(request: flow.web.Request) -> Generator[str]:
        try:
            yield "one"
            flow.sleep(9)
        finally:
            flow.sleep(3600)

    server = Server((0, piece()), (1, GONE))
    with pytest.raises(flow.CleanupTimeoutError, match="stubborn"):
        talk(flow.web.App(stubborn, cleanup=2), server)
    assert server.returned == 3
    nothing_left()


# --------------------------------------------------------------------------------------------------------------------
# A server that takes its time


def test_a_slow_server_pauses_the_page(talk: Run) -> None:
    """CONTRACT 21: while a row is not taken, the page is not asked for the next one."""
    made: list[float] = []
    server = Server(sending=1)

    def page(request: flow.web.Request) -> Generator[str]:
        for _ in range(3):
            made.append(server.now())
            yield "x"

    talk(page, server)
    assert made == [0, 2, 3]  # the headers take a second, too
    assert server.is_whole


def test_a_client_that_leaves_while_a_row_is_sent(talk: Run) -> None:
    """CONTRACT 30: when the server has let go of the row, the page is closed."""
    source = Tracked(["x"] * 5, cleanup=1)
    server = talk(lambda request: source, Server((0, piece()), (2.5, GONE), sending=1))
    assert server.returned == 4
    assert source.asked == 2
    nothing_left(source)


# --------------------------------------------------------------------------------------------------------------------
# Failures

SECRET = "the password is 1234"


def fails_at_once(request: flow.web.Request) -> Any:
    raise ValueError(SECRET)


def fails_when_it_waited(request: flow.web.Request) -> Generator[str]:
    request.respond(201, {"x-page": SECRET, "content-length": "3"})
    flow.sleep(1)
    if request:
        raise ValueError(SECRET)
    yield ""


async def fails_in_a_task(request: flow.web.Request) -> AsyncGenerator[str]:
    if request:
        raise ValueError(SECRET)
    yield ""


@pytest.mark.parametrize("render", [fails_at_once, fails_when_it_waited, fails_in_a_task])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_failure_before_the_first_row(
    talk: Run, caplog: pytest.LogCaptureFixture, render: Callable[[Any], Any], method: str
) -> None:
    """H2, CONTRACT 17: it is a 500 that shows nothing of the failure; it is logged once, with the page's own frames."""
    server = talk(render, method=method, path="/here")
    assert server.status == 500
    assert server.is_whole
    assert b"could not be made" in server.body
    assert b"1234" not in repr(server.sent).encode()
    assert set(server.headers) == {b"content-type", b"content-length"}
    (record,) = caplog.records
    assert (record.name, record.levelno, record.getMessage()) == ("flow.web", logging.ERROR, f"{method} '/here' failed")
    assert record.exc_info is not None
    error = record.exc_info[1]
    assert isinstance(error, ValueError)
    assert any("(request)" in note for note in error.__notes__)
    assert render.__name__ in caplog.text


@pytest.mark.parametrize("render", [lambda request: None, lambda request: 5, lambda request: [5]])
def test_what_is_no_row_is_a_failure(talk: Run, caplog: pytest.LogCaptureFixture, render: Callable[[Any], Any]) -> None:
    """What is neither bytes nor text, or gives no rows, is a TypeError that says what is allowed."""
    assert talk(render).status == 500
    assert "TypeError" in caplog.text


def test_a_failure_after_the_first_row(talk: Run, caplog: pytest.LogCaptureFixture) -> None:
    """H2, CONTRACT 3: the rows before it are sent, the end is not: the failure itself leaves the application."""
    source = Tracked(["one", "two"], fail=ValueError(SECRET), cleanup=1)
    server = Server()
    with pytest.raises(ValueError, match=SECRET):
        talk(lambda request: source, server)
    assert server.body == b"onetwo"
    assert not server.is_whole
    assert not caplog.records  # the server logs it
    nothing_left(source)


def test_a_failure_while_the_page_is_closed(talk: Run) -> None:
    """H2: a failing cleanup at the end of the rows is a failure: no whole page is shown."""

    def page(request: flow.web.Request) -> Generator[str]:
        try:
            yield "one"
        finally:
            raise ValueError(SECRET)

    server = Server()
    with pytest.raises(ValueError, match=SECRET):
        talk(page, server)
    assert not server.is_whole


def test_a_failure_of_the_server(talk: Run) -> None:
    """CONTRACT 14: what `send` raises closes the page, and leaves the application as it is."""
    source = Tracked(["one", "two"], cleanup=1)
    with pytest.raises(RuntimeError, match="too long"):
        talk(lambda request: source, Server((0, piece()), fails=RuntimeError("too long")))
    nothing_left(source)


def test_a_failure_of_receiving(talk: Run) -> None:
    """CONTRACT 16: what `receive` raises ends the page, and leaves the application."""

    class Broken(Server):
        async def receive(self) -> Message:
            await self.sleep(1)
            raise RuntimeError("broken")

    source = Tracked(["one", "two"], delay=3, cleanup=1)
    with pytest.raises(RuntimeError, match="broken"):
        talk(lambda request: source, Broken())
    nothing_left(source)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_reaches_the_server(error: type[BaseException]) -> None:
    """CONTRACT 18: an interrupt is never a page."""

    def page(request: flow.web.Request) -> Generator[str]:
        yield "one"
        raise error

    server = Server()
    with pytest.raises(error):
        OnAsyncio()(flow.web.App(page), server, scope_of(), None)
    assert not server.is_whole
    nothing_left()


# --------------------------------------------------------------------------------------------------------------------
# What is not HTTP, and what is not needed


def test_lifespan(talk: Run) -> None:
    """The server's own beginning and end are answered."""
    messages: list[tuple[float, Message]] = [(0, {"type": "lifespan.startup"}), (5, {"type": "lifespan.shutdown"})]
    server = talk(slowly, Server(*messages), type="lifespan")
    assert server.sent == [
        (0, {"type": "lifespan.startup.complete"}),
        (5, {"type": "lifespan.shutdown.complete"}),
    ]


def test_a_websocket_is_refused(talk: Run) -> None:
    """A close before an accept is what a server answers with 403."""
    server = talk(slowly, Server((0, {"type": "websocket.connect"})), type="websocket")
    assert [message["type"] for _, message in server.sent] == ["websocket.close"]


def test_what_is_unknown_is_refused() -> None:
    """ASGI wants an exception for a protocol that an application does not know."""
    with pytest.raises(flow.Unsupported, match="can't speak 'gopher'"):
        OnAsyncio()(flow.web.App(slowly), Server(), scope_of(type="gopher"), None)


def test_it_can_be_mounted() -> None:
    """Below a Mount of Starlette, which says in `root_path` where that is."""
    applications = pytest.importorskip("starlette.applications")
    routing = pytest.importorskip("starlette.routing")
    httpx = pytest.importorskip("httpx")

    def page(request: flow.web.Request) -> Generator[str]:
        yield f"{request.root_path} {request.path} "
        yield from request.body.map(bytes.decode)

    async def main() -> Any:
        app = applications.Starlette(routes=[routing.Mount("/below", app=flow.web.App(page))])
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.post("/below/a", content=b"body"), await client.get("/beside")

    found, missing = asyncio.run(main())
    assert (found.status_code, found.text) == (200, "/below /below/a body")
    assert missing.status_code == 404


def test_the_asgi_part_imports_neither_twisted_nor_a_server() -> None:
    """`flow.web.App` runs where Twisted, trio and every server are missing."""
    missing = ["twisted", "zope", "trio", "anyio", "uvicorn", "hypercorn", "starlette"]
    code = (
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        assert name.partition('.')[0] not in {missing}, name\n"
        "sys.meta_path.insert(0, Missing())\n"
        "import asyncio, flow.web\n"
        "async def receive(): await asyncio.sleep(9)\n"
        "async def send(message): print(message.get('body'))\n"
        "asyncio.run(flow.web.App(lambda request: ['row'])("
        "{'type': 'http', 'method': 'GET', 'path': '/', 'headers': []}, receive, send))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=Path(flow.__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.stderr, done.stdout) == ("", "None\nb'row'\nb''\n")
