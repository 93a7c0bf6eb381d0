"""The echo server and its counting clients."""

from __future__ import annotations

import sys

import pytest

from .running import Peer, lines_of, serving

pytest.importorskip("twisted")


def test_each_client_has_its_numbers_back() -> None:
    """CONTRACT 1, 30: every client has its own lines back, in order."""
    *lines, last = lines_of("echo", "--clients", 3, "--count", 4, "--pace", 0)
    for number in (1, 2, 3):
        own = [" ".join(line.split()[2:]) for line in lines if line.startswith(f"client {number} ")]
        assert own == [f"{what} {each}" for each in (1, 2, 3, 4) for what in ("sends", "has back")]
    assert last == "3 clients had all their numbers back"


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C can't be sent to one process alone")
def test_it_serves_until_it_is_interrupted() -> None:
    """CONTRACT 14, 30: an interrupt closes the server and what is connected to it, without a complaint."""
    with serving("echo", "--serve", 0) as port, Peer(port) as one, Peer(port) as other:
        one.type("to be")
        other.type("continued")
        assert (one.hear(), other.hear()) == ("to be", "continued")
