"""`Resource`: a flow as a resource of twisted.web.

What may live here: how one page is written to one request of Twisted, and how that ends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet import defer, interfaces
from twisted.internet.error import ConnectionAborted
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web import resource, server
from zope.interface import implementer  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]

from ..core.instruction import Signal
from ..core.microthread import wait
from ..core.run import CLEANUP, SLICE, Options
from ..loops._twisted import Deferred, the_reactor
from ._page import CONTENT_TYPE, FAILED, page_of, rendering

__all__ = ["Resource"]

_log = Logger("flow.web")
_Failure: Any = Failure  # as Any, like the next one: Twisted has no types for what is used of them here
_implementer: Any = implementer

GRACE = 15.0
"""Seconds that a client has to take what was written before a failure."""


class Resource(resource.Resource):
    """A twisted.web resource whose page is a flow: ``render(request)`` gives its rows.

    `render` is a generator function (what it yields is a row or, being classic, an instruction that is obeyed), an
    async generator function, or it returns anything that `flow.wrap` takes: a stage, a list, a text. (A Deferred of
    such a thing is waited for.) It is called in the flow, so that it may wait. `request` is Twisted's own: set its code
    and headers before the first row. A row is bytes, or str (sent in UTF-8), and is written as it comes; while the
    client does not take what was written, the chain waits. (In HTTP/2 Twisted holds as much as the window that the
    client announced.) The page is ``text/html; charset=utf-8`` unless a header says something else. For HEAD it is run
    up to its first row.

    When the client leaves, flow.Cancelled is raised where the chain waits, and its ``finally`` blocks run (they may
    wait up to `cleanup` seconds). A failure before the first row is answered with a 500 that shows nothing of it. After
    the first row the response is broken off, which the client can see: in HTTP/1.1 the end is missing, in HTTP/1.0 the
    connection is reset, in HTTP/2 the stream. The failure is logged, once. `slice` as in `Stage.open`; `reactor`:
    another one than the installed one. Raises TypeError at once for a `render` that can't be called.

        def page(request):
            request.setHeader("Cache-Control", "no-store")
            for number in range(3):
                yield f"<p>{number}</p>"
                flow.sleep(0.5)

        root = flow.web.Resource(page)       # for twisted.web.server.Site(root)
    """

    isLeaf = True

    def __init__(
        self,
        render: Callable[[Any], Any],
        *,
        slice: float = SLICE,
        cleanup: float = CLEANUP,
        reactor: Any = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._render = rendering(render, "flow.web.Resource")
        Options(slice, cleanup)  # refused here, not when a client comes
        self._options: dict[str, Any] = {"slice": slice, "cleanup": cleanup}
        self._reactor = reactor

    def render(self, request: Any) -> int:
        """Called by twisted.web: starts the flow of the page. Its rows are written to the request."""
        reactor = the_reactor(self._reactor)
        response = _Response(request, reactor)
        rows = page_of(self._render, request, request.method == b"HEAD")
        response.start(Deferred(rows, into=response.write, reactor=reactor, **self._options))
        return server.NOT_DONE_YET


@_implementer(interfaces.IPushProducer)
class _Response:
    """One page on its way to one client. To the request it is a producer, which is paused while nothing is taken."""

    def __init__(self, request: Any, reactor: Any) -> None:
        self._request = request
        self._reactor = reactor
        self._before = (request.responseHeaders.copy(), request.cookies[:])  # before the page touched them
        self._flow: defer.Deferred[Any] | None = None
        self._registered = False
        self._full = False
        self._drained = Signal()
        self._left = False
        if request.defaultContentType == b"text/html":  # Twisted's own default, and nobody's choice
            request.defaultContentType = CONTENT_TYPE.encode()

    def start(self, flow: defer.Deferred[int]) -> None:
        self._flow = flow
        self._request.notifyFinish().addErrback(self._leave)
        _ = flow.addCallbacks(self._finish, self._fail).addErrback(self._report)

    def write(self, row: bytes) -> None:
        """Called on the flow's own stack, so that it may wait there for room."""
        if not self._registered:
            self._registered = True
            self._request.registerProducer(self, True)
        self._request.write(row)
        while self._full:
            self._drained.clear()
            wait(self._drained)

    # ---- for the request

    def pauseProducing(self) -> None:
        self._full = True

    def resumeProducing(self) -> None:
        self._full = False
        self._drained.set()

    def stopProducing(self) -> None:
        self._leave(None)

    def _leave(self, _reason: object) -> None:
        """The client has gone."""
        self._left = True
        if self._flow is not None:
            self._flow.cancel()

    # ---- the end

    def _finish(self, _rows: int) -> None:
        self._unregister()
        if not self._request.finished:  # a page may have done that, as pages did in 2003
            self._request.finish()

    def _fail(self, failure: Any) -> None:
        if self._left:
            self._fail_unseen(failure)
            return
        self._report(failure)
        self._unregister()
        if self._request.finished:
            return
        if self._request.startedWriting:
            _Breaking(self._request, self._reactor)
        else:
            self._answer_failed()

    def _fail_unseen(self, failure: Any) -> None:
        """The end of a cancelled flow is no failure, unless a cleanup failed."""
        if failure.check(defer.CancelledError) is None:
            self._report(failure)
        elif isinstance(failure.value.__context__, Exception):
            self._report(_Failure(failure.value.__context__))

    def _answer_failed(self) -> None:
        request = self._request
        request.responseHeaders, request.cookies = self._before
        request.etag = request.lastModified = None
        request.setResponseCode(500)
        request.setHeader(b"Content-Type", CONTENT_TYPE.encode())
        request.setHeader(b"Content-Length", b"%d" % len(FAILED))
        request.write(FAILED)
        request.finish()

    def _unregister(self) -> None:
        if self._registered:
            self._registered = False
            self._request.unregisterProducer()

    def _report(self, failure: Any) -> None:
        request = self._request
        _log.failure("{method} {uri} failed", failure=failure, method=_text(request.method), uri=_text(request.uri))


class _Breaking:
    """Breaks a response off, so that the client can see that it is not whole, and gets what was written before.

    A response that says how long it is (in chunks, or by a length) is sent as far as it was written, and then closed
    without its end. Any other response of HTTP/1 ends with the connection, so that must be reset; a stream of HTTP/2
    has a reset of its own. A reset takes back what was not sent yet, so the reactor is given two turns before it: one
    for what is due already, and one in which it writes.
    """

    def __init__(self, request: Any, reactor: Any) -> None:
        self._request = request
        self._timer: Any = None
        request.notifyFinish().addBoth(self._gone)
        if _says_its_length(request):
            self._timer = reactor.callLater(GRACE, self._reset)
            request.loseConnection()
        else:
            self._timer = reactor.callLater(0, self._soon, reactor)

    def _soon(self, reactor: Any) -> None:
        self._timer = reactor.callLater(0, self._reset)

    def _reset(self) -> None:
        request = self._request
        stream_reset = getattr(request.channel, "abortConnection", None)
        if stream_reset is None:
            request.channel.transport.abortConnection()
        else:  # HTTP/2, where nobody tells the request of it
            stream_reset()
            request.connectionLost(_Failure(ConnectionAborted()))

    def _gone(self, _reason: object) -> None:
        if self._timer.active():
            self._timer.cancel()


def _says_its_length(request: Any) -> bool:
    """Can the client see that the end is missing?"""
    if request.chunked:
        return True
    length: bytes = request.responseHeaders.getRawHeaders(b"Content-Length", [b""])[0]
    if request.clientproto == b"HTTP/2" or not length.isdigit():
        return False
    sent: int = request.sentLength
    return sent < int(length)


def _text(octets: bytes) -> str:
    return octets.decode("ascii", "backslashreplace")
