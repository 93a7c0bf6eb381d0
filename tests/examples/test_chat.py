"""The chat room, its three guests, and guests of the test's own."""

from __future__ import annotations

import sys

import pytest

from .running import Peer, lines_of, serving

pytest.importorskip("twisted")


def test_three_guests_meet() -> None:
    *lines, last = [line.strip() for line in lines_of("chat", "--pace", 0)]
    assert last == "All have gone home."
    order = ["Ada types Good evening!", "Ben hears Ada: Good evening!", "Ben types Hello Ada. Who else is here?"]
    order += ["Cy hears Ben: Hello Ada. Who else is here?", "Cy types /who", "Cy hears Here: Ada, Ben, Cy"]
    order += ["Cy types /quit", "Ada hears * Cy left", "Ada types /quit", "Ben hears * Ada left", "Ben types /quit"]
    assert [line for line in lines if line in order] == order
    assert "Ada hears Ben: Hello Ada. Who else is here?" in lines
    assert "Ben hears Ben: Hello Ada. Who else is here?" not in lines


def enter(peer: Peer, name: str, here: int) -> None:
    assert peer.hear() == "What is your name?"
    peer.type(name)
    assert peer.hear() == f"* {name} came in ({here} here)"


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C can't be sent to one process alone")
def test_names_and_leaving() -> None:
    """CONTRACT 14, 30: a name belongs to one guest at a time; whoever just goes away has left, too."""
    with serving("chat", "--serve", 0) as port, Peer(port) as ada:
        enter(ada, "Ada", 1)
        with Peer(port) as ben:
            assert ben.hear() == "What is your name?"
            ben.type("Ada")
            assert ben.hear() == "Ada is here already. Another name?"
            ben.type("no such name")
            assert ben.hear() == "Up to 20 letters and digits, please."
            ben.type("Ben\r")
            assert ben.hear() == ada.hear() == "* Ben came in (2 here)"
            ben.type("Hello")
            assert ada.hear() == "Ben: Hello"
            ada.type("/who")
            assert ada.hear() == "Here: Ada, Ben"
        assert ada.hear() == "* Ben left"
        ada.type("/quit")
        assert ada.hear() == ""


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C can't be sent to one process alone")
def test_a_guest_who_does_not_read_is_cut_off() -> None:
    """CONTRACT 20, 21: the others have each line at once, and when the slow one's place is full it is cut off."""
    text = "x" * 60_000
    with serving("chat", "--serve", 0, "--room", 4) as port:
        with Peer(port) as ada, Peer(port) as ben, Peer(port, receive_buffer=4096) as slow:
            enter(ada, "Ada", 1)
            enter(ben, "Ben", 2)
            enter(slow, "Slow", 3)
            for peer in (ada, ben):
                while "Slow came in" not in peer.hear():
                    pass
            for _ in range(1000):  # what fits into the buffers between here and there is the system's affair
                ada.type(text)
                heard = ben.hear()
                if heard != f"Ada: {text}":
                    break
            assert heard == "* Slow was too slow and has been cut off"
            assert ada.hear() == heard
            ada.type("/who")
            assert ada.hear() == "Here: Ada, Ben"
