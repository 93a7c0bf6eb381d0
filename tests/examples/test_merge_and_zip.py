"""Zip, Merge and Concurrent of two sources at different paces."""

from __future__ import annotations

import importlib
import re
from functools import partial

import pytest

import flow
from flow.testing import virtual_time

from .running import ROOT, lines_of, run

WORDS = ["one", "two", "three", "four", "five"]
NUMBERS = ["1", "2", "3", "4"]


def test_each_way_gives_the_rows() -> None:
    """CONTRACT 1, 2: each row comes once, each source in its own order. (When, is the machine's affair here.)"""
    sections: dict[str, list[str]] = {}
    rows: list[str] = []
    for line in lines_of("merge_and_zip", "--pace", 0.001):
        if row := re.match(r" +[\d.]+ \|\.* (.*)", line):
            rows.append(row[1])
        elif line:
            rows = sections[line.partition(":")[0]] = []
    assert all(rows.pop() == "the end" for rows in sections.values())
    assert sections["Zip"] == [f"('{word}', {number})" for word, number in zip(WORDS, NUMBERS, strict=False)]
    assert [row for row in sections["Merge"] if row in WORDS] == WORDS
    assert [row for row in sections["Merge"] if row not in WORDS] == NUMBERS
    assert [row for row in sections["Concurrent"] if row.startswith("word")] == [f"word {each}" for each in WORDS]
    assert [row for row in sections["Concurrent"] if row.startswith("n")] == [f"number {each}" for each in NUMBERS]
    assert len(sections) == 3


def test_all_is_read_in_the_time_of_the_slower(monkeypatch: pytest.MonkeyPatch) -> None:
    """CONTRACT 5, 8: in virtual time, each row comes when its own source has it, and the end with the last."""
    monkeypatch.syspath_prepend(ROOT / "examples")
    program = importlib.import_module("merge_and_zip")
    words, numbers = flow.wrap(partial(program.words, 1)), flow.wrap(partial(program.numbers, 1))
    expected = {
        flow.Merge: [(2, "one"), (3, 1), (4, "two"), (6, "three"), (6, 2), (8, "four"), (9, 3), (10, "five"), (12, 4)],
        flow.Zip: [(3, ("one", 1)), (6, ("two", 2)), (9, ("three", 3)), (12, ("four", 4))],
    }
    for kind, rows in expected.items():
        with virtual_time() as clock:
            came = [(clock.time(), row) for row in kind(words, numbers)]
            assert sorted(came, key=str) == sorted(rows, key=str)
            assert clock.time() == 12


def test_a_tick_has_a_length() -> None:
    assert "--pace must be more than 0" in run("merge_and_zip", "--pace", 0).stderr
