"""The relay of a streamed reply, with both policies for slow readers."""

from __future__ import annotations

from .running import lines_of


def table(*arguments: object) -> dict[str, list[int]]:
    lines = lines_of("relay_model_reply", "--pace", 0, "--room", 4, *arguments)
    return {line.split()[0]: [int(each) for each in line.split()[1:]] for line in lines if line[:4] in ("fast", "slow")}


def test_drop_cuts_the_slow_readers_off() -> None:
    """CONTRACT 20: a slow reader holds its bound and is dropped; whoever keeps up has the whole reply."""
    found = table("--readers", 20, "--slow", 3, "--slow-pace", 30)
    readers, whole, dropped, fewest, most = found["fast"]
    assert (readers, whole, dropped, fewest) == (20, 20, 0, 100)
    assert most <= 4
    assert found["slow"] == [3, 0, 3, 0, 4]


def test_wait_gives_everybody_the_whole_reply() -> None:
    """CONTRACT 21: a full place holds its producer back, and no word is lost."""
    found = table("--readers", 20, "--slow", 3, "--slow-pace", 0.001, "--policy", "wait")
    assert found["fast"][:4] == [20, 20, 0, 100]
    assert found["slow"][:4] == [3, 3, 0, 100]
    assert max(found["fast"][4], found["slow"][4]) <= 4
