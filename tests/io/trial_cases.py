"""Cases for trial, Twisted's own test runner, which fails a test that leaves something on the reactor.

python -m twisted.trial --reactor=epoll tests.io.trial_cases
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from twisted.internet import defer, error, task
from twisted.protocols.basic import LineReceiver
from twisted.trial.unittest import TestCase

import flow

HERE = "tcp:0:interface=127.0.0.1"


def shout(conn: Any) -> Generator[bytes]:
    for line in conn:
        yield line.upper()


def asks(lines: list[bytes], answers: list[bytes]) -> Any:
    def controller(conn: Any) -> Generator[bytes]:
        rows = iter(conn)
        for line in lines:
            yield line
            answers.append(next(rows))

    return controller


LINES: Any = (LineReceiver, "lineReceived")


class Connections(TestCase):
    """Each test ends with nothing on the reactor, or trial says DirtyReactor."""

    timeout = 20

    async def listening(self, controller: Any, **options: Any) -> tuple[flow.Server, str]:
        server = await flow.listen(HERE, controller, *LINES, send="sendLine", **options)
        self.addCleanup(server.close)
        return server, f"tcp:127.0.0.1:{server.getHost().port}"

    async def pause(self, seconds: float) -> None:
        from twisted.internet import reactor

        clock: Any = reactor
        await task.deferLater(clock, seconds)

    async def until(self, condition: Any) -> None:
        while not condition():
            await self.pause(0.002)

    async def test_an_exchange(self) -> None:
        """Both ends end by themselves, and well."""
        server, where = await self.listening(shout)
        answers: list[bytes] = []
        await flow.connect(where, asks([b"one", b"two"], answers), *LINES, send="sendLine")
        assert answers == [b"ONE", b"TWO"]
        await self.until(lambda: not server.connections)

    async def test_many(self) -> None:
        """Fifty connections side by side."""
        _, where = await self.listening(shout)
        found: list[list[bytes]] = [[] for _ in range(50)]
        await defer.gatherResults(
            [
                flow.connect(where, asks([b"%d" % number], answers), *LINES, send="sendLine")
                for number, answers in enumerate(found)
            ]
        )
        assert found == [[b"%d" % number] for number in range(50)]

    async def test_the_server_closes(self) -> None:
        """Connections that are open when the test ends are closed by ``Server.close()``."""
        server, where = await self.listening(shout)
        client = flow.connect(where, shout, *LINES)
        await self.until(lambda: server.connections)
        await server.close()
        assert server.connections == ()
        await self.assertFailure(client, error.ConnectionLost, error.ConnectionDone)

    async def test_a_cancel(self) -> None:
        """CancelledError, when all is closed; a cleanup may wait."""
        closed: list[bool] = []

        def waits(conn: Any) -> Generator[bytes]:
            try:
                yield from conn
            finally:
                flow.sleep(0.02)
                closed.append(True)

        server, where = await self.listening(shout)
        client = flow.connect(where, waits, *LINES)
        await self.until(lambda: server.connections)
        client.cancel()
        await self.assertFailure(client, defer.CancelledError)
        assert closed == [True]

    async def test_a_failure(self) -> None:
        """It is logged once, where nobody asked for it; the other end sees a reset."""

        def fails(conn: Any) -> Generator[bytes]:
            yield next(iter(conn))
            raise ValueError("the controller fails")

        server, where = await self.listening(fails)
        answers: list[bytes] = []

        def reads(conn: Any) -> Generator[bytes]:
            yield b"one"
            answers.extend(conn)

        await self.assertFailure(flow.connect(where, reads, *LINES, send="sendLine"), error.ConnectionLost)
        assert answers == [b"one"]
        assert len(self.flushLoggedErrors(ValueError)) == 1
        await self.until(lambda: not server.connections)

    async def test_a_failure_that_is_told(self) -> None:
        """The client's failure comes out of connect, and is not logged."""

        def fails(conn: Any) -> Generator[bytes]:
            yield b"one"
            raise ValueError("the controller fails")

        _, where = await self.listening(shout)
        await self.assertFailure(flow.connect(where, fails, *LINES, send="sendLine"), ValueError)

    async def test_times(self) -> None:
        """A connection that is idle is cut off; its timers are gone with it, and those of one that was not."""
        server, where = await self.listening(shout, idle=0.05, timeout=60)
        answers: list[bytes] = []
        await flow.connect(where, asks([b"one"], answers), *LINES, send="sendLine", idle=60, timeout=60)
        await self.assertFailure(flow.connect(where, shout, *LINES), error.ConnectionLost)
        assert server.connections == ()

    async def test_nobody_listens(self) -> None:
        """The endpoint's own failure."""
        server, where = await self.listening(shout)
        await server.close()
        await self.assertFailure(flow.connect(where, shout), error.ConnectionRefusedError)

    def test_a_deferred_flow(self) -> Any:
        """A flow behind a Deferred, with timers of its own, beside connections."""
        return flow.Deferred(flow.wrap([1, flow.Cooperate(0.01), 2])).addCallback(self.assertEqual, [1, 2])
