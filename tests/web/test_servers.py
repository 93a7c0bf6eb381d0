"""Pages on real servers, reactors, loops and sockets: what a client sees, byte by byte, and what it does to a page."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Generator
from contextlib import closing, suppress
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import pytest

from .serving import KINDS, PIECE

ROOT = Path(__file__).parents[2]
NEEDS = {"twisted": ["twisted"], "uvicorn": ["uvicorn"], "hypercorn": ["hypercorn"]}
ON = {
    name: pytest.mark.parametrize("servers", [kind for kind in KINDS if kind.startswith(names)], indirect=True)
    for name, names in (("twisted", "twisted"), ("asgi", ("uvicorn", "hypercorn")), ("hypercorn", "hypercorn"))
}
"""For tests of what not every server does."""

PATIENCE = 30.0
"""Real seconds that a client waits for an answer: a page that hangs fails its test."""
KEPT = "ignore:unclosed file <_io.TextIOWrapper name='/dev/null':ResourceWarning"
"""Twisted keeps this file open while it listens, to have a descriptor in reserve."""


class Server:
    """A server in a process of its own."""

    def __init__(self, kind: str, errors: Path) -> None:
        self.kind = kind
        self._errors = errors
        self._keys = count()
        path = os.pathsep.join(filter(None, [str(ROOT / "src"), str(ROOT), os.environ.get("PYTHONPATH")]))
        with errors.open("wb") as written:
            self.process = subprocess.Popen(
                [sys.executable, "-W", "error", "-W", KEPT, "-m", "tests.web.serving", kind],
                env={**os.environ, "PYTHONPATH": path},
                stdout=subprocess.PIPE,
                stderr=written,
                cwd=ROOT,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.process.communicate()
            pytest.fail(f"{kind} did not start: {errors.read_text()}")
        self.port = int(line)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            self.process.communicate()
        assert self._errors.read_text() == ""
        assert self.process.returncode in (0, -signal.SIGTERM)

    def key(self) -> str:
        """A name for what one test does, so that tests do not see each other."""
        return f"{self.kind}-{next(self._keys)}."

    def connect(self, room: int | None = None) -> Client:
        """A client; `room`: the size of its buffer, for one that does not read."""
        sock = socket.socket()
        if room is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        sock.settimeout(PATIENCE)
        sock.connect(("127.0.0.1", self.port))
        return Client(sock)

    def get(self, page: str, key: str) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        with closing(connection):
            connection.request("GET", f"/{page}?key={key}")
            return connection.getresponse().read().decode()

    @property
    def memory(self) -> int:
        """Bytes of memory that the process holds."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


class Client:
    """A connection, used by hand."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.held = b""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def ask(self, page: str, key: str, method: str = "GET", version: str = "1.1", headers: str = "") -> Client:
        return self.send(f"{method} /{page}?key={key} HTTP/{version}\r\nHost: here\r\n{headers}\r\n".encode())

    def send(self, octets: bytes) -> Client:
        self.sock.sendall(octets)
        return self

    def until(self, end: bytes) -> bytes:
        """What comes, up to and with `end`."""
        while end not in self.held:
            piece = self.sock.recv(65_536)
            assert piece, f"the connection was closed after {self.held!r}, before {end!r}"
            self.held += piece
        found, _, self.held = self.held.partition(end)
        return found + end

    def rest(self) -> bytes:
        """What comes, up to the end of the connection."""
        while piece := self.sock.recv(65_536):
            self.held += piece
        found, self.held = self.held, b""
        return found

    def reset(self) -> None:
        """Leaves as a client does that crashed."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


@pytest.fixture(scope="module", params=KINDS)
def servers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    kind: str = request.param
    name, _, variety = kind.partition("-")
    for module in [*NEEDS[name], *(["trio"] if variety == "trio" else [])]:
        if find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    if variety == "epoll" and sys.platform != "linux":
        pytest.skip("epoll is Linux' own")
    made = Server(kind, tmp_path_factory.mktemp("server") / "errors")
    yield made
    made.stop()


@pytest.fixture
def server(servers: Server) -> Generator[Server]:
    """CONTRACT 14: after each test no run is left on the server."""
    yield servers
    servers.get("idle", "")


def test_the_bytes_of_a_page(server: Server) -> None:
    """A row is a chunk; code and headers are those that the page set before its first row."""
    key = server.key()
    with server.connect() as client:
        head = client.ask("hello", key).until(b"\r\n\r\n").lower()
        assert head.startswith(b"http/1.1 201")
        assert f"\r\nx-page: {key}\r\n".encode() in head
        assert b"\r\ncontent-type: text/html; charset=utf-8\r\n" in head
        assert client.until(b"0\r\n\r\n") == b"7\r\nHello, \r\n5\r\nworld\r\n0\r\n\r\n"


def test_a_row_arrives_while_the_page_waits(server: Server) -> None:
    """CONTRACT 5: the client has the first row before the page goes on."""
    key = server.key()
    with server.connect() as client:
        client.ask("gate", key).until(b"first;")
        server.get("say", key)
        client.until(b"second")


def test_many_pages_are_made_at_once(server: Server) -> None:
    """CONTRACT 8: a page that waits holds up no other one."""
    keys = [server.key() for _ in range(50)]
    clients = [server.connect() for _ in keys]
    try:
        for client, key in zip(clients, keys, strict=True):
            client.ask("gate", key)
        for client in clients:
            client.until(b"first;")
        for client, key in reversed(list(zip(clients, keys, strict=True))):
            server.get("say", key)
            client.until(b"0\r\n\r\n")
    finally:
        for client in clients:
            client.sock.close()


def test_one_connection_for_many_requests(server: Server) -> None:
    """A connection is kept, for a request after the answer, and for one that came with the first."""
    key = server.key()
    with server.connect() as client:
        client.ask("hello", key).until(b"0\r\n\r\n")
        client.ask("hello", key).ask("hello", key)
        client.until(b"0\r\n\r\n")
        client.until(b"0\r\n\r\n")


def test_head(server: Server) -> None:
    """The headers of the page without a body, and the connection stays in order."""
    key = server.key()
    with server.connect() as client:
        head = client.ask("hello", key, "HEAD").until(b"\r\n\r\n")
        assert b" 201 " in head
        assert key.encode() in head
        assert client.ask("hello", key).until(b"\r\n").startswith(b"HTTP/1.1 201")
        client.until(b"0\r\n\r\n")


def test_head_of_an_endless_page(server: Server) -> None:
    """CONTRACT 14: a page that never ends is closed after the headers."""
    key = server.key()
    with server.connect() as client:
        client.ask("endless", key, "HEAD").until(b"\r\n\r\n")
        server.get("until", key)
        assert server.get("made", key) == "1"


def test_http_1_0(server: Server) -> None:
    """A client of HTTP/1.0 gets rows without chunks, and the end of the connection as the end of the page."""
    with server.connect() as client:
        head, _, body = client.ask("hello", server.key(), version="1.0").rest().partition(b"\r\n\r\n")
        assert b"chunked" not in head.lower()
        assert body == b"Hello, world"


@pytest.mark.parametrize("leaves", ["closes", "resets"])
@pytest.mark.parametrize("page", ["waits", "endless"])
def test_a_client_that_leaves(server: Server, page: str, leaves: str) -> None:
    """H2, CONTRACT 14, 15 and 30: the page is closed, its ``finally`` runs and may wait, and no failure is logged."""
    key = server.key()
    client = server.connect()
    client.ask(page, key).until(b"first;" if page == "waits" else PIECE)
    client.sock.close() if leaves == "closes" else client.reset()
    server.get("until", key)
    assert server.get("failures", key) == "[]"


def test_a_client_that_does_not_read(server: Server) -> None:
    """CONTRACT 20, 21: the page is paused, and memory flat; reading lets the page go on; then the client leaves."""
    key = server.key()
    with server.connect(room=8192) as client:
        before = server.memory
        client.ask("endless", key)
        made, last = int(server.get("made", key)), -1
        while made != last:  # it is paused when fifty turns of the loop made no row
            made, last = int(server.get("made", key)), made
        assert made * len(PIECE) < 16 * 2**20  # the buffers of two sockets, and not an endless page
        assert server.memory - before < 16 * 2**20
        for _ in range(made + 10):
            client.until(b"\r\n" + PIECE + b"\r\n" if server.kind.startswith("twisted") else PIECE)
        assert int(server.get("made", key)) > made
    server.get("until", key)
    assert server.get("failures", key) == "[]"


def test_a_failure_before_the_first_row(server: Server) -> None:
    """H2: the client sees a 500 and nothing of the failure, which is logged once; the connection goes on."""
    key = server.key()
    with server.connect() as client:
        head = client.ask("fails", key).until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 500")
        body = client.until(b"</html>\n")
        assert b"secret" not in head + body
        assert key.encode() not in head + body
        client.ask("hello", key).until(b"world")
    assert json.loads(server.get("failures", key)) == [f"ValueError('secret {key}')"]


def test_a_failure_after_the_first_row(server: Server) -> None:
    """H2, CONTRACT 3: the client gets the rows before it, then a broken response, never a whole one; logged once."""
    key = server.key()
    with server.connect() as client:
        answer = client.ask("fails_later", key).rest()
        assert b"one;" in answer
        assert answer.endswith(b"4\r\ntwo;\r\n")
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    with closing(connection):
        connection.request("GET", f"/fails_later?key={key}")
        with pytest.raises(http.client.IncompleteRead) as caught:
            connection.getresponse().read()
        assert caught.value.partial == b"one;two;"
    assert json.loads(server.get("failures", key)) == 2 * [f"ValueError('secret {key}')"]


@ON["twisted"]
def test_a_failure_after_the_first_row_in_http_1_0(server: Server) -> None:
    """H2: where the end of the connection is the end of the page, the connection is reset.

    An application can't do that: how a server of ASGI ends a response of HTTP/1.0 is its own matter.
    """
    with server.connect() as client:
        client.ask("fails_later", server.key(), version="1.0")
        with pytest.raises(ConnectionResetError):
            client.rest()
        assert client.held.endswith(b"one;two;")


def test_a_body_comes_back(server: Server) -> None:
    with server.connect() as client:
        client.ask("echo", server.key(), "POST", headers="Transfer-Encoding: chunked\r\n")
        client.send(b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")
        answer = client.until(b"\r\n0\r\n\r\n").partition(b"\r\n\r\n")[2]
        assert answer in (b"3\r\nONE\r\n3\r\nTWO\r\n0\r\n\r\n", b"6\r\nONETWO\r\n0\r\n\r\n")


@ON["asgi"]  # Twisted gives a request to its resource when the whole body is there
def test_a_body_comes_back_while_it_is_sent(server: Server) -> None:
    """CONTRACT 5: a page reads a body that is still on its way, and answers it piece by piece."""
    with server.connect() as client:
        client.ask("echo", server.key(), "POST", headers="Transfer-Encoding: chunked\r\n")
        for word in (b"one", b"two", b"three"):
            client.send(b"%x\r\n%s\r\n" % (len(word), word)).until(word.upper())
        client.send(b"0\r\n\r\n").until(b"0\r\n\r\n")


@ON["asgi"]
def test_a_client_that_leaves_in_the_middle_of_a_body(server: Server) -> None:
    """H2, CONTRACT 30: a page that waits for the rest of a body is closed."""
    key = server.key()
    with server.connect() as client:
        client.ask("waits_for_a_body", key, "POST", headers="Content-Length: 100\r\n").send(b"half").until(b"first;")
    server.get("until", key)
    assert server.get("failures", key) == "[]"


@pytest.mark.parametrize(("page", "end"), [("ignores", b"not read"), ("ignores_and_fails", b"</html>\n")])
def test_a_body_that_nobody_reads(server: Server, page: str, end: bytes) -> None:
    """CONTRACT 21: it is held back; the answer comes although it is not read, and the connection is let go."""
    key = server.key()
    body = memoryview(bytes(32 * 2**20))
    takes_it_whole = server.kind.startswith("twisted")  # before it asks for a page
    with server.connect() as client:
        client.ask(page, key, "POST", headers=f"Content-Length: {len(body)}\r\n")
        client.sock.settimeout(PATIENCE if takes_it_whole else 0.3)
        with suppress(TimeoutError):  # when all that is in between is full
            while body:
                body = body[client.sock.send(body[: 2**20]) :]
        assert bool(body) is not takes_it_whole
        client.sock.settimeout(PATIENCE)
        server.get("say", key)
        client.until(end)


@ON["hypercorn"]  # which speaks websocket without a further library
def test_a_websocket_is_refused(server: Server) -> None:
    """An App speaks no websocket; a server that does answers with 403."""
    headers = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    with server.connect() as client:
        client.ask("hello", server.key(), headers=f"{headers}Sec-WebSocket-Key: {'a' * 22}==\r\n")
        assert client.until(b"\r\n").startswith(b"HTTP/1.1 403")
