"""docs/contract.md and the tests agree: each promise that it says holds is named by a test."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "contract.md"
NUMBERS = ["1", *map(str, range(2, 24)), "23a", *map(str, range(24, 33))]
NAMED = re.compile(r"CONTRACT ((?:\d+a?)(?:(?:, | and |-)\d+a?)*)")
NOT_YET = {"27", "28", "31", "32"}


def promises() -> dict[str, str]:
    """The text under each number of the page."""
    parts = re.split(r"^### (\d+a?)\. .*$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], (text.split("\n## ")[0] for text in parts[2::2]), strict=True))


def numbers_in(text: str) -> set[str]:
    """The numbers that a test names: "CONTRACT 3", "CONTRACT 3, 16 and 23a", "CONTRACT 5-7"."""
    found: set[str] = set()
    for group in NAMED.findall(text):
        for part in re.split(r", | and ", group):
            first, _, last = part.partition("-")
            found.add(first)
            if last and first.isdigit() and last.isdigit():
                found.update(map(str, range(int(first), int(last) + 1)))
            elif last:
                found.add(last)
    return found


def proofs() -> dict[str, list[str]]:
    """For each number, the test files that name it. The tests of the documentation prove nothing about flow."""
    found: dict[str, list[str]] = {number: [] for number in NUMBERS}
    for path in sorted((ROOT / "tests").rglob("*.py")):
        if path.parent == Path(__file__).parent:
            continue
        for number in numbers_in(path.read_text(encoding="utf-8")):
            found.setdefault(number, []).append(path.relative_to(ROOT).as_posix())
    return found


PROMISES = promises()
PROOFS = proofs()
HOLDS = [number for number, text in PROMISES.items() if "\nHolds now" in text]


def test_the_page_has_every_number_in_order() -> None:
    assert list(PROMISES) == NUMBERS


def test_each_promise_says_whether_it_holds() -> None:
    for number, text in PROMISES.items():
        marks = re.findall(r"^(Holds now|In part|Not yet)\b", text, flags=re.MULTILINE)
        assert len(marks) == 1, (
            f"{number}: exactly one line must begin with Holds now, In part or Not yet; found {marks}"
        )
    assert set(NUMBERS) - set(HOLDS) == NOT_YET


def test_each_promise_that_holds_has_its_marker() -> None:
    for number in HOLDS:
        digits, letter = re.fullmatch(r"(\d+)(a?)", number).groups()  # type: ignore[union-attr]
        assert f"(tests: contract_{int(digits):02}{letter})" in PROMISES[number], number


@pytest.mark.parametrize("number", HOLDS)
def test_a_test_names_the_promise(number: str) -> None:
    assert PROOFS[number], (
        f"docs/contract.md says that {number} holds, but no test says CONTRACT {number}: write the test, "
        "name the number in its docstring, or mark the promise as not yet"
    )


def test_the_places_that_the_page_names_hold_a_proof() -> None:
    for number in HOLDS:
        for place in re.findall(r"`(tests/[\w.]+)`", PROMISES[number]):
            there = [file for file in PROOFS[number] if file == place or file.startswith(f"{place}/")]
            assert there, f"{number}: no test in {place} names it"


def test_tests_name_only_numbers_that_exist() -> None:
    unknown = {number: files for number, files in PROOFS.items() if number not in NUMBERS}
    assert not unknown


def test_what_is_not_promised_yet_is_listed(record_property: Callable[[str, object], None]) -> None:
    """`pytest -s` shows which promises are not yet made, and which tests name them already."""
    for number in sorted(NOT_YET, key=int):
        line = f"not yet: {number}, named by {', '.join(PROOFS[number]) or 'no test'}"
        record_property("contract", line)
        print(line)


def test_numbers_are_read() -> None:
    assert numbers_in('"""CONTRACT 3, 16 and 23a: rows."""') == {"3", "16", "23a"}
    assert numbers_in("CONTRACT 5-7, and CONTRACT 10: fair") == {"5", "6", "7", "10"}
