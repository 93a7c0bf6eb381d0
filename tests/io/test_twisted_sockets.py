"""Real sockets on real reactors: the scenarios of `scenarios_*.py`, each list in a process of its own for each reactor.

What they prove is said where they are written. `reactors.py` is the rig; that it finds what it is for is shown here.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

pytest.importorskip("twisted")

from .reactors import REACTORS, ROOT, outcomes


@pytest.mark.parametrize("reactor", REACTORS)
def test_over_tcp_and_tls(reactor: str) -> None:
    """CONTRACT 12, 21 and 30, R2-R6: closes, resets, slow peers, last rows, failures and times.

    TLS has a handshake and a close of its own; without the libraries for it there is TCP only.
    """
    modules = ["tests.io.scenarios_tcp"]
    if find_spec("OpenSSL") and find_spec("service_identity"):
        modules.append("tests.io.scenarios_tls")
    assert outcomes(reactor, ",".join(modules)) == {}


STOPS = """
import sys
from importlib import import_module
import_module(f"twisted.internet.{sys.argv[1]}reactor").install()
from twisted.internet import defer, reactor
import flow
from tests.io.scenarios_endpoints import HERE, STATES, client_of, peer_of

def stubborn(conn):
    try:
        yield from conn
    finally:
        flow.sleep(3600)

kept = []

async def main():
    for name, controller in {**STATES, "stubborn": stubborn}.items():
        if name != "failed":
            server = await flow.listen(HERE, controller, idle=60)
            peer = await peer_of(server)
            peer.wire.pauseProducing()
            peer.wire.write(b"x" * 3_000_000 if name == "full" else b"x")
            kept.extend([server, peer, flow.connect(client_of(server), controller)])
    reactor.callLater(0.05, reactor.stop)

started = defer.Deferred.fromCoroutine(main())
reactor.run()
print("stopped")
"""


@pytest.mark.parametrize("reactor", REACTORS)
def test_a_reactor_that_stops(reactor: str) -> None:
    """CONTRACT 23a: it stops with connections in every state: the process ends, with nothing on stderr."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", STOPS, reactor],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(ROOT)])},
        timeout=30,
        check=False,
    )
    said = done.stderr.replace(RESERVE, "")
    assert (done.returncode, done.stdout, said) == (0, "stopped\n", ""), done.stderr


RESERVE = "sys:1: ResourceWarning: unclosed file <_io.TextIOWrapper name='/dev/null' mode='r' encoding='utf-8'>\n"
"""What Twisted itself leaves: a descriptor that it keeps in reserve, for when there are no more."""


def test_the_rig_finds_what_is_left() -> None:
    """The rig itself: what goes wrong, and what is left behind, is told by name, and the others still run."""
    said = outcomes("select", "tests.io.scenarios_wrong")
    found = {name.removeprefix("wrong."): what for name, what in said.items()}
    assert sorted(found) == [
        "a_failure_that_nobody_expects",
        "a_generator",
        "a_listening_port",
        "a_run_that_is_not_over",
        "a_thread",
        "a_timer",
        "a_wait_that_never_ends",
        "an_error",
    ]
    for name, what in {
        "a_failure_that_nobody_expects": "the logged failure ValueError('nobody expects it')",
        "a_generator": "the generator a_generator.<locals>.numbers",
        "a_listening_port": "the reader <<class 'twisted.internet.tcp.Port'>",
        "a_run_that_is_not_over": "the run of wrap(",
        "a_thread": "the thread left",
        "a_timer": "the timer <DelayedCall",
        "a_wait_that_never_ends": "it never came: what nobody sends",
        "an_error": "ZeroDivisionError",
    }.items():
        assert what in found[name]
