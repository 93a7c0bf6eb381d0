"""The factoring server, with flow and without."""

from __future__ import annotations

import re
import sys

import pytest

from .running import Peer, lines_of, serving

pytest.importorskip("twisted")


def test_both_find_the_same() -> None:
    flow, plain, *answers = lines_of("factor", "--clients", 2, 12, 1, 25, 600851475143)
    figures = r"%s: (\d+) lines, [\d.]+ s, ticker late by [\d.]+ ms at worst"
    lengths = [re.fullmatch(figures % name, line.strip()) for name, line in (("flow", flow), ("plain", plain))]
    assert lengths[0] is not None
    assert lengths[1] is not None
    assert int(lengths[0][1]) < int(lengths[1][1])
    *small, large = answers
    assert small == ["12: 1, 2, 3, 4, 6, 12", "1: 1", "25: 1, 5, 25"]
    assert large.startswith("600851475143: 1, 71, 839, 1471, 6857, 59569, ")
    assert large.endswith(", 600851475143")


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C can't be sent to one process alone")
@pytest.mark.parametrize("kind", ["flow", "plain"])
def test_it_answers_whoever_connects(kind: str) -> None:
    """CONTRACT 14, 30: with either server what is no number is an error, and a client that leaves leaves no trace."""
    with serving("factor", "--serve", kind) as port:
        with Peer(port) as leaver:
            leaver.type("1000000000000000000000000")  # for hours
            assert leaver.hear() == "1000000000000000000000000: 1"
        with Peer(port) as peer:
            peer.type("six")
            assert peer.hear() == "ERROR"
            peer.type("6")
            assert sorted(peer.hear() for _ in range(5)) == ["6: 1", "6: 2", "6: 3", "6: 6", "6: DONE"]
