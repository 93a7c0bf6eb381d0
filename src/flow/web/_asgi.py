"""`App`: a flow as an ASGI application, on any server and any loop.

One conversation with a client is one flow with two branches: the page, and what arrives (the pieces of the request's
body, or the word that the client has left). The coroutine that the server calls reads that flow and sends its rows; it
stops reading while the server does not take them, and leaving the flow closes both branches before it returns.

What may live here: what ASGI says, in flow's words. No server and no loop is named or imported.
"""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable, Iterator, Mapping, MutableMapping
from functools import cached_property, partial
from typing import Any
from urllib.parse import parse_qs

from ..core.async_stage import Async
from ..core.microthread import current
from ..core.run import CLEANUP, SLICE, Options
from ..core.source import bound_of, is_a, kind_of
from ..core.stage import Pipe, Stage, label_of
from ..errors import ClosedError, Unsupported
from ..stages.buffer import Callback
from ..stages.combine import Merge
from ._page import CONTENT_TYPE, FAILED, WITHOUT_BODY, page_of, rendering

__all__ = ["App", "Headers", "Request"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

PIECES = 16
"""Pieces of a request's body that are held unread, unless an App is told otherwise."""

_log = logging.getLogger("flow.web")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FORBIDDEN = re.compile(r"[\0\r\n]")


class Headers(Mapping[str, str]):
    """The headers of a request: a mapping whose names are the same in upper and lower case.

    A header that came several times is one value, joined by commas (cookies by semicolons) as HTTP allows;
    ``getall(name)`` gives them one by one.

        headers = flow.web.Headers([(b"accept", b"text/html"), (b"accept", b"text/plain")])
        headers["Accept"]                # 'text/html, text/plain'
    """

    def __init__(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            self._values.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))

    def __getitem__(self, name: str, /) -> str:
        lowered = name.lower()
        return ("; " if lowered == "cookie" else ", ").join(self._values[lowered])

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def getall(self, name: str, /) -> list[str]:
        """The values of a header, in the order in which they came; none if it did not come."""
        return list(self._values.get(name.lower(), ()))

    def __repr__(self) -> str:
        return f"Headers({dict(self)!r})"


class Request:
    """What a client asked an `App` for: ``method``, ``path``, ``query``, ``headers``, ``body``.

    `method` is in upper case; `path` is decoded, and begins with `root_path` where the application is mounted below
    another one; `query` has for each name a list of its values; `headers` is a mapping of str; `scope` is what the
    server said of the request. `body` is a stage of the pieces (bytes) in which the body comes. It holds up to 16 of
    them, then the server is not asked for more, and slows the client down. It can be read once. ``respond()`` says how
    the response begins: `status` and `response_headers` are what it was told, and `started` whether that was sent.

        def shout(request):
            for piece in request.body:
                yield piece.upper()
    """

    def __init__(self, scope: Mapping[str, Any], body: Stage[bytes]) -> None:
        self.scope = scope
        self.method: str = scope["method"].upper()
        self.path: str = scope["path"]
        self.root_path: str = scope.get("root_path", "")
        self.body = body
        self.status = 200
        self.response_headers: list[tuple[bytes, bytes]] = []
        self.started = False

    @cached_property
    def query(self) -> dict[str, list[str]]:
        """The names and values behind the question mark; a name without a value has an empty one."""
        return parse_qs(self.scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)

    @cached_property
    def headers(self) -> Headers:
        """What the client sent as headers."""
        return Headers(self.scope["headers"])

    def respond(self, status: int = 200, headers: Mapping[str, str] | Iterable[tuple[str, str]] = ()) -> None:
        """Says how the response begins. The last call before the first row counts.

        `headers` is a mapping, or pairs, in which a name may stand several times. Raises RuntimeError after the first
        row (status and headers have been sent then), ValueError for a status that ends no response, or for a header
        that HTTP does not allow.

            def moved(request):
                request.respond(301, {"location": "/new"})
                return []
        """
        if self.started:
            raise RuntimeError("respond() was called after the first row, when status and headers had been sent")
        if is_a(status, bool) or not is_a(status, int) or not 200 <= status <= 599:
            raise ValueError(f"respond(status): a whole number from 200 to 599 is needed, not {status!r}")
        given: Any = headers
        pairs: Iterable[tuple[Any, Any]] = given.items() if is_a(given, Mapping) else given
        self.response_headers = [_header(name, value) for name, value in pairs]
        self.status = status

    def __repr__(self) -> str:
        return f"<flow.web.Request {self.method} {self.path}>"


def _header(name: Any, value: Any) -> tuple[bytes, bytes]:
    """A header as ASGI wants it. What could end it and begin another one is refused."""
    for each in (name, value):
        if not is_a(each, str):
            raise TypeError(f"respond(headers): names and values must be str, not {kind_of(each).__name__}")
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"respond(headers): {name!r} is no name of a header")
    if _FORBIDDEN.search(value):
        raise ValueError(f"respond(headers): the value of {name!r} has a line break or a NUL in it: {value!r}")
    try:
        return name.lower().encode("ascii"), value.encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError(f"respond(headers): the value of {name!r} has letters beyond Latin-1: {value!r}") from None


class App:
    """An ASGI application whose pages are flows: ``render(request)`` gives a page's rows.

    `render` is a generator function (what it yields is a row or, being classic, an instruction that is obeyed), an
    async generator function, or it returns anything that `flow.wrap` takes: a stage, a list, a text. (An awaitable of
    such a thing is waited for.) It is called in the flow, so that it may wait. `request` is a `Request`: call
    ``request.respond(status, headers)`` before the first row where 200 and ``text/html; charset=utf-8`` are not right.
    A row is bytes, or str (sent in UTF-8), and is sent as it comes; while the server does not take it, the chain waits.
    For HEAD the page is run up to its first row.

    When the client leaves, flow.Cancelled is raised where the chain waits, and its ``finally`` blocks run (they may
    wait up to `cleanup` seconds) before the application returns. A failure before the first row is logged
    (``flow.web``) and answered with a 500 that shows nothing of it; a later one leaves the application, and the server
    logs it and breaks the response off (in HTTP/1.0 servers only close the connection, which looks like an end there).
    `pieces`: of the request's body, held unread. `slice` as in `Stage.open`. It answers the lifespan protocol, and
    refuses websockets. Raises TypeError at once for a `render` that can't be called.

        def page(request):
            for number in range(3):
                yield f"<p>{number}</p>"
                flow.sleep(0.5)

        app = flow.web.App(page)             # for uvicorn, hypercorn, or Starlette's Mount
    """

    def __init__(
        self,
        render: Callable[[Request], Any],
        *,
        pieces: int = PIECES,
        slice: float = SLICE,
        cleanup: float = CLEANUP,
    ) -> None:
        self._render = rendering(render, "flow.web.App")
        self._pieces = bound_of(pieces, "App(pieces)")
        Options(slice, cleanup)  # refused here, not when a client comes
        self._options: dict[str, Any] = {"slice": slice, "cleanup": cleanup}

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "http":
            await self._answer(scope, receive, send)
        elif kind == "lifespan":
            await _live(receive, send)
        elif kind == "websocket":
            await receive()  # the handshake, which is answered with 403
            await send({"type": "websocket.close", "code": 1000})
        else:
            raise Unsupported(f"flow.web.App answers HTTP, and can't speak {kind!r}")

    async def _answer(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        body = _Body(self._pieces)
        request = Request(scope, body)
        page = page_of(self._render, request, request.method == "HEAD")
        arriving: Async[Any] = Async(partial(_arriving, body, receive), "what arrives")
        answer = _Answer(request, body, send)
        # What arrives goes first: its task is then at work whatever the page does.
        async with Merge[Any](arriving, Pipe(page, partial(_told, page), "told")).open(**self._options) as rows:
            async for row in rows:
                if not await answer.take(row):
                    break

    def __repr__(self) -> str:
        return f"flow.web.App({label_of(self._render)})"


# --------------------------------------------------------------------------------------------------------------------
# One conversation: two branches, and what becomes of their rows


class _Body(Callback[bytes]):
    """The pieces of a request's body. It belongs to the page, until the page is done."""

    __slots__ = ()

    @property
    def label(self) -> str:
        return "request.body"

    def drop(self) -> None:
        """Nobody will read what is left, nor what comes."""
        self._channel.close()


class _End:
    """The last row of a page: how it ended.

    A failure is a row here, too, so that what arrives goes on arriving while it is answered: a server that has no room
    left for that might never take the answer.
    """

    __slots__ = ("failure",)

    def __init__(self, failure: Exception | None) -> None:
        self.failure = failure


class _Left:
    """The row that says that the client waits no more."""

    __slots__ = ()


def _told(page: Stage[bytes], rows: Iterator[bytes]) -> Generator[bytes | _End]:
    """The rows of a page, and then how it ended."""
    failure: Exception | None = None
    try:
        yield from rows
    except Exception as error:
        strand = current()
        if strand is None or strand.cancelled is not None:
            raise  # of a cleanup, when the client has left: nobody would take the row
        failure = error
        failure.add_note(f"flow: {page!r}")
    yield _End(failure)


async def _arriving(body: _Body, receive: Receive) -> AsyncGenerator[_Left]:
    """What the client sends: its body goes where the page may read it, and that it left is a row."""
    more = True
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            yield _Left()
            return
        if not more:
            return  # a middleware that gives the body it has read again and again, and never says more
        more = message.get("more_body", False)
        try:
            if message.get("body"):
                await body.put(message["body"])
            if not more:
                body.finish()
        except ClosedError:
            pass  # nobody reads it, or what is left of it


class _Answer:
    """The response to one request, message by message."""

    def __init__(self, request: Request, body: _Body, send: Send) -> None:
        self._request = request
        self._body = body
        self._send = send

    async def take(self, row: bytes | _End | _Left) -> bool:
        """Sends a row; False when none may follow. A failure of the page is raised, where it can't be answered."""
        if isinstance(row, _Left):
            return False
        if not isinstance(row, _End):
            return await self._row(row, True)
        self._body.drop()
        if row.failure is None:
            return await self._row(b"", False)
        if self._request.started:
            raise row.failure
        return await self._failed(row.failure)

    async def _row(self, row: bytes, more: bool) -> bool:
        """False at the end of the response, or of the client: with an OSError a server says that nobody is there."""
        try:
            if not self._request.started:
                self._request.started = True
                await self._send(_beginning(self._request))
            await self._send({"type": "http.response.body", "body": row, "more_body": more})
        except OSError:
            return False
        return more

    async def _failed(self, failure: Exception) -> bool:
        request = self._request
        _log.error("%s %r failed", request.method, request.path, exc_info=failure)
        request.respond(500, {"content-length": str(len(FAILED))})
        return await self._row(FAILED, False)


def _beginning(request: Request) -> Message:
    headers = request.response_headers
    if request.status not in WITHOUT_BODY and not any(name == b"content-type" for name, _ in headers):
        headers = [*headers, (b"content-type", CONTENT_TYPE.encode())]
    return {"type": "http.response.start", "status": request.status, "headers": headers}


async def _live(receive: Receive, send: Send) -> None:
    """The server's own beginning and end: an App has nothing to do there."""
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return
