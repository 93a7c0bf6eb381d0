"""Two requests that take turns, on every loop."""

from __future__ import annotations

import pytest

from .running import lines_of, run


@pytest.mark.parametrize("loop", ["twisted", "asyncio", "trio", "script"])
def test_they_take_turns(loop: str) -> None:
    """CONTRACT 1, 12: on every loop each does its steps in order, and neither waits until the other has done."""
    *lines, served = lines_of("james_and_wendy", "--loop", loop, "--count", 10, "--pace", 0)
    steps = [line.strip().split(": step ") for line in lines]
    for name, other in (("James", "Wendy"), ("Wendy", "James")):
        assert [int(number) for each, number in steps if each == name] == list(range(1, 11))
        assert steps.index([name, "1"]) < steps.index([other, "10"])
    assert served == "  served: James, Wendy"


@pytest.mark.parametrize("arguments", [["--count", "0"], ["--count", "x"], ["--pace", "-1"], ["--pace", "inf"]])
def test_a_wrong_number_is_refused_in_a_line(arguments: list[str]) -> None:
    """The options of `_options.py`, which the other programs use too."""
    done = run("james_and_wendy", *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert f"argument {arguments[0]}: " in done.stderr
    assert "Traceback" not in done.stderr
