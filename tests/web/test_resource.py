"""flow.web.Resource on Twisted's own channel, with a clock that jumps and a transport of strings: the exact bytes.

Real sockets, reactors and clients are in `test_servers.py`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from typing import Any

import pytest

import flow
from flow.testing import Tracked, nothing_left

pytest.importorskip("twisted")

from twisted.internet import defer, task
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.testing import StringTransport
from twisted.logger import LogEvent, globalLogPublisher
from twisted.python.failure import Failure
from twisted.web.resource import Resource as TwistedResource
from twisted.web.server import Site

import flow.web

from ..conformance.drivers import ClockReactor, installed

GET = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"
OLD = b"GET / HTTP/1.0\r\n\r\n"
HEAD = b"HEAD / HTTP/1.1\r\nHost: here\r\n\r\n"
END = b"0\r\n\r\n"


class Turns(ClockReactor):
    """A clock that runs in turns, as a reactor does: what a call calls later is not due before the next one."""

    def turn(self, seconds: float = 0) -> None:
        self.rightNow += seconds
        for call in [each for each in self.calls if each.getTime() <= self.rightNow]:
            if call.active():
                self.calls.remove(call)
                call.called = 1
                call.func(*call.args, **call.kw)

    def after(self, seconds: float) -> None:
        """Some turns at once, then eight a second, with some at once at each."""
        for step in range(1 + round(8 * seconds)):
            self.turn(0.125 if step else 0)
            for _ in range(9):
                self.turn()


@pytest.fixture
def clock() -> Iterator[Turns]:
    found = Turns()
    with installed(found):
        yield found


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    """The failures that flow.web logged, or that Twisted logged for it."""
    found: list[Any] = []

    def observe(event: LogEvent) -> None:
        if "log_failure" in event:
            found.append(event["log_failure"].value)

    globalLogPublisher.addObserver(observe)
    yield found
    globalLogPublisher.removeObserver(observe)


class Wire(StringTransport):
    """The transport of one client: what was written, and how it was closed."""

    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True
        self.loseConnection()


class Client:
    """A client that is connected to a site."""

    def __init__(self, clock: Turns, render: Callable[[Any], Any] | TwistedResource, **options: Any) -> None:
        root = render if isinstance(render, TwistedResource) else flow.web.Resource(render, reactor=clock, **options)
        self.clock = clock
        self.wire = Wire()
        self.protocol: Any = Site(root, reactor=clock).buildProtocol(None)
        self.protocol.makeConnection(self.wire)
        self.there = True

    def send(self, octets: bytes) -> Client:
        self.protocol.dataReceived(octets)
        return self

    def after(self, seconds: float) -> Client:
        """Lets time pass; a transport that was closed meanwhile says so to its protocol."""
        self.clock.after(seconds)
        if self.wire.disconnecting and self.there:
            self.leave(ConnectionAborted() if self.wire.aborted else ConnectionDone())
        return self

    def leave(self, reason: BaseException | None = None) -> Client:
        self.there = False
        self.protocol.connectionLost(Failure(reason or ConnectionLost()))
        return self

    @property
    def body(self) -> bytes:
        """What stands behind the headers."""
        return self.wire.value().partition(b"\r\n\r\n")[2]

    @property
    def headers(self) -> list[bytes]:
        return self.wire.value().partition(b"\r\n\r\n")[0].split(b"\r\n")

    @property
    def code(self) -> int:
        return int(self.headers[0].split()[1])


def chunks(*rows: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(row), row) for row in rows)


def slowly(request: Any) -> Generator[str]:
    yield "one"
    flow.sleep(1)
    yield "two"
    flow.sleep(1)


# --------------------------------------------------------------------------------------------------------------------
# Rows


def test_rows_are_written_as_they_come(clock: Turns) -> None:
    """CONTRACT 5: a row is on its way before the page waits for anything else."""
    client = Client(clock, slowly).send(GET)
    assert client.wire.value() == b""  # it starts in the reactor's next turn
    assert client.after(0).body == chunks(b"one")
    assert client.after(1).body == chunks(b"one", b"two")
    assert client.after(1).body == chunks(b"one", b"two") + END
    assert not client.wire.disconnecting
    nothing_left()


@pytest.mark.parametrize(
    ("row", "written"),
    [("für", "für".encode()), (b"\xff\0", b"\xff\0"), (bytearray(b"ab"), b"ab"), (memoryview(b"abc")[1:], b"bc")],
)
def test_a_row_is_text_or_bytes(clock: Turns, row: Any, written: bytes) -> None:
    """Text is sent in UTF-8, and bytes as they are; the header says so."""
    client = Client(clock, lambda request: [row]).send(OLD).after(0)
    assert client.body == written
    assert b"Content-Type: text/html; charset=utf-8" in client.headers


def test_an_empty_row_sends_the_headers(clock: Turns) -> None:
    """An empty row ends nothing: it sends the headers, and later ones send nothing."""

    def page(request: Any) -> Generator[str]:
        yield ""
        flow.sleep(1)
        yield "later"
        yield ""

    client = Client(clock, page).send(GET).after(0)
    assert (client.code, client.body) == (200, b"")
    assert client.after(1).body == chunks(b"later") + END


async def from_async(request: Any) -> AsyncGenerator[str]:
    yield "a"
    yield "b"


async def from_a_coroutine(request: Any) -> str:
    return "ab"


def classic(request: Any) -> Generator[Any]:
    yield "a"
    yield flow.Cooperate(1)
    letter = yield defer.succeed("b")
    yield letter


def that_waits(request: Any) -> list[str]:
    flow.sleep(1)
    return ["a", "b"]


@pytest.mark.parametrize(
    "render",
    [
        lambda request: ["a", "b"],
        lambda request: "ab",
        lambda request: iter("ab"),
        lambda request: flow.wrap("ab").map(str),
        lambda request: flow.wrap(["a"]).merge(["b"]),
        lambda request: ["a", flow.Cooperate(1), "b"],
        lambda request: defer.succeed("ab"),
        from_async,
        from_a_coroutine,
        classic,
        that_waits,
    ],
)
def test_what_render_may_be(clock: Turns, render: Callable[[Any], Any]) -> None:
    """`render` gives anything that flow.wrap takes, and may wait before it does."""
    client = Client(clock, render).send(OLD).after(2)
    assert client.body == b"ab"
    nothing_left()


def test_a_page_of_2003(clock: Turns, logged: list[Any]) -> None:
    """A page that writes to the request itself, and yields only instructions, works as it did in 2003."""

    def render(request: Any) -> Generator[Any]:
        request.write(b"<h1>Delayed WebPage</h1>")
        yield flow.Cooperate(5)
        request.write(b"<p>Delayed Content</p>")

    client = Client(clock, render).send(OLD).after(4)
    assert client.body == b"<h1>Delayed WebPage</h1>"
    assert client.after(1).body == b"<h1>Delayed WebPage</h1><p>Delayed Content</p>"
    assert not logged


def test_a_page_that_finishes_its_request(clock: Turns, logged: list[Any]) -> None:
    """A page may end its response itself, as pages of 2003 did."""

    def render(request: Any) -> Generator[Any]:
        request.write(b"all")
        request.finish()
        yield flow.Cooperate(1)

    assert Client(clock, render).send(GET).after(2).body == chunks(b"all") + END
    assert not logged


# --------------------------------------------------------------------------------------------------------------------
# HTTP


def test_http_1_0_ends_with_the_connection(clock: Turns) -> None:
    client = Client(clock, slowly).send(OLD).after(2)
    assert client.body == b"onetwo"
    assert client.wire.disconnecting
    assert not client.wire.aborted


def test_a_head_request_runs_the_page_up_to_its_first_row(clock: Turns) -> None:
    """CONTRACT 14: for HEAD the headers are those of the first row; there the page ends, and is closed."""
    did: list[str] = []

    def page(request: Any) -> Generator[str]:
        try:
            flow.sleep(1)
            request.setHeader("X-Page", "yes")
            did.append("row")
            yield "row"
            did.append("more")
        finally:
            flow.sleep(1)
            did.append("closed")

    client = Client(clock, page).send(HEAD + HEAD).after(1)
    assert did == ["row"]
    client.after(10)
    assert did == ["row", "closed"] * 2
    assert b"X-Page: yes" in client.headers
    assert client.wire.value().count(b"200 OK") == 2
    assert b"row" not in client.wire.value()


def test_requests_of_one_connection_are_answered_in_order(clock: Turns) -> None:
    """Requests that came together (pipelined) are answered one after another, on a connection that stays."""
    running: list[int] = []

    def page(request: Any) -> Generator[str]:
        running.append(1)
        assert len(running) == 1
        yield request.args[b"n"][0]
        flow.sleep(1)
        running.pop()

    requests = [b"GET /?n=%d HTTP/1.1\r\nHost: here\r\n\r\n" % n for n in range(3)]
    client = Client(clock, page).send(b"".join(requests[:2])).after(2).send(requests[2]).after(1)
    answers = client.wire.value().split(b"HTTP/1.1 200 OK")[1:]
    assert [each.partition(b"\r\n\r\n")[2] for each in answers] == [chunks(b"%d" % n) + END for n in range(3)]
    assert not client.wire.disconnecting


def test_code_and_headers_are_the_requests_own(clock: Turns) -> None:
    """Until the first row the native request takes code, headers and cookies; and a length makes chunks needless."""

    def page(request: Any) -> Generator[str]:
        request.setResponseCode(418)
        request.setHeader("Content-Type", "text/plain")
        request.setHeader("Content-Length", "3")
        request.addCookie("tea", "pot")
        flow.sleep(1)
        yield "abc"

    client = Client(clock, page).send(GET).after(2)
    assert client.code == 418
    assert {b"Content-Type: text/plain", b"Content-Length: 3", b"Set-Cookie: tea=pot"} <= set(client.headers)
    assert client.body == b"abc"


@pytest.mark.parametrize("rows", [[], ["dropped"]])
def test_a_response_without_a_body(clock: Turns, rows: list[str]) -> None:
    """204 has no body, whatever the rows are, and the connection stays in order."""

    def page(request: Any) -> list[str]:
        request.setResponseCode(204)
        return rows

    client = Client(clock, page).send(GET).after(0)
    assert (client.code, client.body) == (204, b"")
    assert not client.wire.disconnecting


def test_a_default_that_somebody_chose_stays(clock: Turns) -> None:
    """A content type that the site chose as its default is not replaced."""

    class Plain(flow.web.Resource):
        def render(self, request: Any) -> int:
            request.defaultContentType = b"text/plain"
            return super().render(request)

    client = Client(clock, Plain(lambda request: ["a"], reactor=clock)).send(GET).after(0)
    assert b"Content-Type: text/plain" in client.headers


def test_it_is_a_leaf() -> None:
    """H1: `isLeaf` is an attribute, so that the path below a resource is its own. (In 2003 it was a method.)"""
    assert flow.web.Resource(slowly).isLeaf is True
    assert isinstance(flow.web.Resource(slowly), TwistedResource)


def test_a_leaf_answers_for_the_paths_below_it(clock: Turns) -> None:
    """H1: what stands behind a resource's own path is in `request.postpath`, as for every leaf of Twisted."""

    def page(request: Any) -> list[bytes]:
        return [b" ".join(request.postpath)]

    root = TwistedResource()
    root.putChild(b"below", flow.web.Resource(page, reactor=clock))
    assert Client(clock, root).send(b"GET /below/a/b HTTP/1.0\r\n\r\n").after(0).body == b"a b"


@pytest.mark.parametrize(
    ("arguments", "options", "error", "says"),
    [
        ((None,), {}, TypeError, r"flow.web.Resource\(render\): render must be a function .* not NoneType"),
        ((slowly,), {"slice": -1}, ValueError, "slice must be 0 or more seconds"),
        ((slowly,), {"cleanup": "5"}, TypeError, "cleanup must be a number of seconds"),
    ],
)
def test_wrong_arguments_are_refused_at_once(arguments: Any, options: Any, error: type[Exception], says: str) -> None:
    """CONTRACT 22: from the line that wrote them."""
    with pytest.raises(error, match=says):
        flow.web.Resource(*arguments, **options)


# --------------------------------------------------------------------------------------------------------------------
# Failures

SECRET = "the password is 1234"


def fails_at_once(request: Any) -> Any:
    raise ValueError(SECRET)


def fails_in_a_wait(request: Any) -> Generator[Any]:
    request.setHeader("Content-Length", "5")
    request.setHeader("X-Page", "yes")
    request.addCookie("user", SECRET)
    request.setETag(b"1")
    request.setResponseCode(201)
    yield defer.fail(ValueError(SECRET))


def fails_when_it_waited(request: Any) -> Generator[str]:
    flow.sleep(1)
    if request:
        raise ValueError(SECRET)
    yield ""


@pytest.mark.parametrize("render", [fails_at_once, fails_in_a_wait, fails_when_it_waited])
@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_a_failure_before_the_first_row(
    clock: Turns, logged: list[Any], render: Callable[[Any], Any], method: bytes
) -> None:
    """H2: it is a 500 that shows nothing of the failure, logged once, and the connection goes on."""
    client = Client(clock, render).send(method + GET[3:]).after(2)
    assert client.code == 500
    assert b"1234" not in client.wire.value()
    assert b"ValueError" not in client.wire.value()
    names = {line.partition(b":")[0] for line in client.headers[1:]}
    assert names == {b"Server", b"Date", b"Content-Type", b"Content-Length"}
    assert (b"could not be made" in client.body) is (method == b"GET")
    assert not client.wire.disconnecting
    (failure,) = logged
    assert str(failure) == SECRET
    nothing_left()


def test_what_was_set_before_the_page_stays_on_a_failure(clock: Turns, logged: list[Any]) -> None:
    """Headers and cookies of whoever wraps the resource are sent with a 500, too."""

    class Marked(flow.web.Resource):
        def render(self, request: Any) -> int:
            request.setHeader("X-Site", "here")
            request.addCookie("visit", "1")
            return super().render(request)

    client = Client(clock, Marked(fails_in_a_wait, reactor=clock)).send(GET).after(0)
    assert client.code == 500
    assert {b"X-Site: here", b"Set-Cookie: visit=1"} <= set(client.headers)
    assert b"X-Page: yes" not in client.headers


@pytest.mark.parametrize("render", [lambda request: None, lambda request: 5, lambda request: [5]])
def test_what_is_no_row_is_a_failure(clock: Turns, logged: list[Any], render: Callable[[Any], Any]) -> None:
    """What is neither bytes nor text, or gives no rows, is a TypeError that says what is allowed."""
    assert Client(clock, render).send(GET).after(0).code == 500
    (failure,) = logged
    assert isinstance(failure, TypeError)


def fails_later(request: Any) -> Generator[str]:
    length = request.args.get(b"length")
    if length:
        request.setHeader("Content-Length", length[0])
    yield "one"
    yield "two"
    raise ValueError(SECRET)


def test_a_failure_after_the_first_row_is_seen_in_chunks(clock: Turns, logged: list[Any]) -> None:
    """H2, CONTRACT 3: the rows made before the failure are sent; the end is not, and the connection is closed."""
    client = Client(clock, fails_later).send(GET + GET).after(1)
    assert client.body == chunks(b"one", b"two")
    assert client.wire.disconnecting
    assert not client.wire.aborted  # which would take back what was not sent yet
    assert len(logged) == 1
    nothing_left()


def test_a_failure_after_the_first_row_is_seen_in_a_length(clock: Turns, logged: list[Any]) -> None:
    """H2: a response that announced its length is closed before it has that."""
    client = Client(clock, fails_later).send(b"GET /?length=7 HTTP/1.0\r\n\r\n").after(1)
    assert client.body == b"onetwo"
    assert client.wire.disconnecting
    assert not client.wire.aborted
    assert len(logged) == 1


@pytest.mark.parametrize("target", [b"/", b"/?length=6"])
def test_a_failure_that_could_not_be_seen_resets(clock: Turns, logged: list[Any], target: bytes) -> None:
    """H2: where a closed connection would look like the end of the page, the connection is reset."""
    client = Client(clock, fails_later).send(b"GET %s HTTP/1.0\r\n\r\n" % target).after(1)
    assert client.body == b"onetwo"
    assert client.wire.aborted
    assert len(logged) == 1
    nothing_left()


def test_a_reset_leaves_the_reactor_a_turn_to_write(clock: Turns) -> None:
    """CONTRACT 3: of a failure between two turns the rows before it are written after the calls of the next."""
    broken: defer.Deferred[None] = defer.Deferred()

    def page(request: Any) -> Generator[Any]:
        yield "one"
        yield broken

    client = Client(clock, page).send(OLD).after(0)
    broken.errback(ValueError(SECRET))
    assert not client.wire.aborted
    clock.turn()  # a reactor makes the calls that are due first, and then it writes
    assert not client.wire.aborted
    clock.turn()
    assert client.wire.aborted
    client.leave()


def test_a_row_of_a_wrong_type_after_the_first(clock: Turns, logged: list[Any]) -> None:
    """H2: a row that can't be sent is a failure like any other; the page is closed."""
    source = Tracked(["one", 2, "three"])
    client = Client(clock, lambda request: source).send(GET).after(1)
    assert client.body == chunks(b"one")
    assert client.wire.disconnecting
    (failure,) = logged
    assert "must be bytes or str, not int: 2" in str(failure)
    nothing_left(source)


def test_a_client_that_does_not_take_what_was_written(clock: Turns, logged: list[Any]) -> None:
    """CONTRACT 20: after a failure, a client has 15 s to take what was written; then the connection is reset."""
    client = Client(clock, fails_later).send(GET)
    client.there = False  # its transport has more to send, and does not say that it was closed
    client.after(14)
    assert client.wire.disconnecting
    assert not client.wire.aborted
    assert client.after(2).wire.aborted
    client.leave()
    assert not clock.getDelayedCalls()


def test_a_failure_while_the_page_is_closed(clock: Turns, logged: list[Any]) -> None:
    """H2: a failing cleanup at the end of the rows is a failure: no whole page is shown."""

    def page(request: Any) -> Generator[str]:
        try:
            yield "one"
        finally:
            raise ValueError(SECRET)

    client = Client(clock, page).send(GET).after(1)
    assert client.body == chunks(b"one")
    assert client.wire.disconnecting
    assert len(logged) == 1


# --------------------------------------------------------------------------------------------------------------------
# A client that leaves


@pytest.mark.parametrize("when", [0, 0.5, 1, 1.5, 2, 2.5])
def test_a_client_that_leaves_cancels_the_page(clock: Turns, logged: list[Any], when: float) -> None:
    """H2, CONTRACT 14, 15 and 30: wherever the page waits, its ``finally`` blocks run, and may wait; no log tells."""
    source = Tracked(["one", "two", "three"], delay=1, cleanup=1)
    client = Client(clock, lambda request: flow.wrap(source) | Tracked(name="below")).send(GET)
    if when:
        client.after(when)
    before = client.wire.value()
    client.leave()
    assert source.is_closed is (not when)  # its cleanup takes a second; before the first turn nothing is open
    client.after(1.5)
    assert client.wire.value() == before
    assert not logged
    nothing_left(source)
    assert not [each for each in clock.getDelayedCalls() if each.active()]


def test_what_is_raised_in_a_page_that_is_left(clock: Turns) -> None:
    """CONTRACT 15: it is flow.Cancelled, which ``except Exception`` lets pass."""
    seen: list[BaseException] = []

    def page(request: Any) -> Generator[str]:
        yield "one"
        try:
            flow.sleep(9)
        except Exception as error:
            seen.append(error)
        except BaseException as error:
            seen.append(error)
            raise

    Client(clock, page).send(GET).after(1).leave().after(1)
    (error,) = seen
    assert isinstance(error, flow.Cancelled)


def test_a_page_ends_while_its_client_leaves(clock: Turns, logged: list[Any]) -> None:
    """A client that leaves in the turn in which the page ends: nothing is written to it, and nothing is logged."""

    def page(request: Any) -> Generator[str]:
        yield "one"
        client.leave()

    client = Client(clock, page).send(GET)
    client.after(2)
    assert client.body == chunks(b"one")
    assert not logged
    nothing_left()


def test_a_cleanup_that_fails_after_the_client_left(clock: Turns, logged: list[Any]) -> None:
    """CONTRACT 16: such a failure is told in the log, once: nobody else is there to be told."""

    def page(request: Any) -> Generator[str]:
        try:
            yield "one"
            flow.sleep(9)
        finally:
            raise ValueError(SECRET)

    client = Client(clock, page).send(GET).after(1).leave().after(1)
    assert [str(each) for each in logged] == [SECRET]
    assert client.body == chunks(b"one")
    nothing_left()


def test_a_cleanup_of_one_of_several_that_fails_after_the_client_left(clock: Turns, logged: list[Any]) -> None:
    """CONTRACT 16: where the cancel itself goes on, the failure is its context, and is told, too."""

    def fails_when_it_is_closed() -> Generator[str]:
        try:
            yield "one"
            flow.sleep(9)
        finally:
            raise ValueError(SECRET)

    source = Tracked(["two", "three"], delay=3)
    client = Client(clock, lambda request: flow.Merge(fails_when_it_is_closed, source)).send(GET)
    client.after(1).leave().after(1)
    assert [str(each) for each in logged] == [SECRET]
    nothing_left(source)


def test_a_cleanup_has_a_deadline(clock: Turns, logged: list[Any]) -> None:
    """CONTRACT 15: `cleanup=`: what goes on waiting after the client has left is ended, and named in the log."""

    def page(request: Any) -> Generator[str]:
        try:
            yield "one"
            flow.sleep(9)
        finally:
            flow.sleep(3600)

    Client(clock, page, cleanup=2).send(GET).after(1).leave().after(3)
    (failure,) = logged
    assert isinstance(failure, flow.CleanupTimeoutError)
    nothing_left()


def test_a_request_that_came_behind_one_that_is_left(clock: Turns) -> None:
    """CONTRACT 30: requests that wait behind the first are never begun when their client leaves."""
    source = Tracked(["one", "two"], delay=1)
    Client(clock, lambda request: source).send(GET + GET).after(0.5).leave().after(5)
    assert source.opened == 1
    nothing_left(source)


# --------------------------------------------------------------------------------------------------------------------
# A client that takes its time


class Slow(Wire):
    """A transport with a buffer of 64 bytes, which is emptied by `take`."""

    taken = 0

    def write(self, data: bytes) -> None:
        self.writeSequence([data])

    def writeSequence(self, data: Any) -> None:
        super().writeSequence(data)
        if self.producer is not None and len(self.value()) - self.taken > 64:
            self.producer.pauseProducing()

    def take(self) -> None:
        self.taken = len(self.value())
        if self.producer is not None:
            self.producer.resumeProducing()


@pytest.fixture
def slow(clock: Turns, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Client]:
    def make(render: Callable[[Any], Any], **options: Any) -> Client:
        monkeypatch.setattr(f"{__name__}.Wire", Slow)
        return Client(clock, render, **options)

    return make


def endless(source: list[int], row: bytes = b"x" * 40) -> Callable[[Any], Generator[bytes]]:
    def page(request: Any) -> Generator[bytes]:
        try:
            while True:
                source.append(1)
                yield row
        finally:
            source.append(-1)

    return page


def test_a_full_transport_pauses_the_page(slow: Callable[..., Client]) -> None:
    """CONTRACT 21: while the client does not take what was written, the generator is not asked for more."""
    made: list[int] = []
    client = slow(endless(made)).send(GET).after(5)
    assert len(made) == 1  # headers and the first row are over 64 bytes
    client.wire.take()
    assert len(made) == 3
    client.after(5)
    assert len(made) == 3
    client.wire.take()
    assert len(made) == 5
    client.leave().after(1)
    assert made[-1] == -1
    nothing_left()


def test_a_slow_client_that_leaves(slow: Callable[..., Client], logged: list[Any]) -> None:
    """CONTRACT 30: a page that waits for room is closed when its client leaves."""
    made: list[int] = []
    slow(endless(made)).send(GET).after(1).leave().after(1)
    assert made == [1, -1]
    assert not logged
    nothing_left()


def test_the_next_request_of_a_slow_client(slow: Callable[..., Client]) -> None:
    """CONTRACT 21: what one page left in the buffer holds back the next one on the same connection."""
    made: list[int] = []
    first = iter([True])

    def page(request: Any) -> Any:
        return [b"y" * 100] if next(first, False) else endless(made)(request)

    client = slow(page).send(GET + GET).after(1)
    assert made == []
    client.wire.take()
    client.after(1)
    assert made == [1]
    client.leave().after(1)


def test_an_endless_page_gives_turns(clock: Turns) -> None:
    """CONTRACT 10: a page that never waits, for a client that takes everything, lets the reactor go on."""
    made: list[int] = []
    turns: list[int] = []
    client = Client(clock, endless(made)).send(GET)
    ticker = task.LoopingCall(lambda: turns.append(len(made)))
    ticker.clock = clock
    ticker.start(0)
    clock.after(1)
    assert len(set(turns)) > 5
    client.leave()
    clock.after(1)
    ticker.stop()
    assert made[-1] == -1
    nothing_left()


# --------------------------------------------------------------------------------------------------------------------
# HTTP/2


class Stream:
    """One request of a client that speaks HTTP/2, without the TLS that a browser would want below it."""

    def __init__(self, clock: Turns, render: Callable[[Any], Any], window: int = 65_535, method: str = "GET") -> None:
        connection = pytest.importorskip("h2.connection")
        pytest.importorskip("priority")
        from twisted.web._http2 import H2Connection

        site = Site(flow.web.Resource(render, reactor=clock), reactor=clock)
        self.clock = clock
        self.wire = Wire()
        self.there = True
        self.taken = 0
        self.server = H2Connection(clock)
        self.server.requestFactory, self.server.site, self.server.factory = site.requestFactory, site, site
        self.server.timeOut = None
        self.server.makeConnection(self.wire)
        self.client = connection.H2Connection()
        self.client.initiate_connection()
        self.client.update_settings({4: window})  # SETTINGS_INITIAL_WINDOW_SIZE
        self.headers: dict[bytes, bytes] = {}
        self.body = b""
        self.events: list[str] = []
        self.number = self.ask(method)

    def ask(self, method: str = "GET", path: str = "/") -> int:
        number: int = self.client.get_next_available_stream_id()
        names = {":method": method, ":scheme": "http", ":authority": "here", ":path": path}
        self.client.send_headers(number, list(names.items()), end_stream=True)
        return number

    def after(self, seconds: float, takes: bool = True) -> Stream:
        """Lets time pass, and hears what came meanwhile; unless it `takes`, the windows stay as they are."""
        self.server.dataReceived(self.client.data_to_send())
        self.clock.after(seconds)
        octets, self.taken = self.wire.value()[self.taken :], len(self.wire.value())
        for event in self.client.receive_data(octets):
            self.events.append(type(event).__name__)
            if self.events[-1] == "ResponseReceived":
                self.headers = {bytes(name): bytes(value) for name, value in event.headers}
            elif self.events[-1] == "DataReceived":
                self.body += event.data
                if takes:
                    self.client.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        return self


def test_http_2(clock: Turns) -> None:
    """CONTRACT 5: on a stream of HTTP/2, too, rows are sent as they come; then the stream ends."""
    stream = Stream(clock, slowly).after(0)
    assert stream.headers[b":status"] == b"200"
    assert stream.body == b"one"
    assert stream.after(1).body == b"onetwo"
    assert "StreamEnded" not in stream.events
    assert "StreamEnded" in stream.after(2).events
    nothing_left()


def test_http_2_head(clock: Turns) -> None:
    stream = Stream(clock, slowly, method="HEAD").after(3)
    assert (stream.headers[b":status"], stream.body) == (b"200", b"")
    assert "StreamEnded" in stream.events
    nothing_left()


def test_a_failure_on_http_2(clock: Turns, logged: list[Any]) -> None:
    """H2: before the first row a 500; after it the stream is reset, and the connection goes on with others."""
    stream = Stream(clock, fails_in_a_wait).after(1)
    assert stream.headers[b":status"] == b"500"
    assert b"1234" not in stream.body
    told: list[Any] = []

    def page(request: Any) -> Generator[str]:
        request.notifyFinish().addErrback(told.append)
        return fails_later(request)

    stream = Stream(clock, page)
    stream.after(1)
    assert len(told) == 1  # whoever else listens to the request is told of its end
    assert "StreamReset" in stream.events
    assert stream.body.startswith(b"one")
    stream.ask(path="/?length=7")
    stream.after(1)
    assert stream.events.count("StreamReset") == 2
    assert "StreamEnded" not in stream.events
    assert not stream.wire.disconnecting
    assert len(logged) == 3
    nothing_left()


def test_a_client_of_http_2_that_leaves(clock: Turns, logged: list[Any]) -> None:
    """H2, CONTRACT 30: a stream that the client resets cancels its page, and no other one."""
    sources = [Tracked(["row"] * 5, delay=1) for _ in range(2)]
    pages = iter(sources)
    stream = Stream(clock, lambda request: next(pages)).after(0.5)
    stream.ask()
    stream.after(0.5)
    stream.client.reset_stream(stream.number)
    stream.after(1)
    assert (sources[0].is_closed, sources[1].is_closed) == (True, False)
    stream.after(9)
    assert "StreamEnded" in stream.events
    assert not logged
    nothing_left(*sources)


def test_a_slow_client_of_http_2(clock: Turns) -> None:
    """CONTRACT 21: while the window of a stream is closed, the generator is not asked for more."""
    made: list[int] = []
    stream = Stream(clock, endless(made), window=100).after(5, takes=False)
    assert (len(stream.body), len(made)) == (100, 3)
    stream.client.increment_flow_control_window(80, stream.number)
    stream.after(5, takes=False)
    assert (len(stream.body), len(made)) == (180, 5)
    stream.client.reset_stream(stream.number)
    stream.after(1)
    assert made[-1] == -1
    nothing_left()
