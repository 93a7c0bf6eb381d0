"""1,000 connections that echo at once: nothing lost or mixed up, nothing left, memory flat.

Measured in a process of its own, by the program that the benchmarks use.
"""

from __future__ import annotations

import sys

import pytest

from bench.echo import load

pytest.importorskip("twisted")

# What the allocator keeps may grow a little; a leak of 100 bytes a trip would be 5 MB or more.
FLAT = 3.0


@pytest.mark.skipif(sys.platform != "linux", reason="reads the memory of the server in /proc")
@pytest.mark.parametrize(("kind", "seconds"), [("plain", 10), ("classic", 2)])
def test_a_thousand_connections(kind: str, seconds: float) -> None:
    """CONTRACT 2, 20, 24 and 30: every answer is the message that was sent, in order, for as long as it lasts.

    The memory of the server is what it was when it was warm, and no run, timer or connection is left.
    """
    found = load(kind, 1000, seconds)
    print(found)
    assert found["trips"] > 1000
    assert found["wrong"] == 0
    assert found["megabytes after"] - found["megabytes before"] < FLAT
    assert found["objects more"] < 1000
    assert found["left"] == {"runs": 0, "timers": 0}
