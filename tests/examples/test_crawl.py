"""The crawler and its site."""

from __future__ import annotations

import re

import pytest

from .running import lines_of


def read(*arguments: object) -> tuple[list[str], str]:
    """The paths of the pages that were read, and the summary."""
    lines = lines_of("crawl", "--pace", 0, "--slow", 0.05, *arguments)
    found = [re.fullmatch(r"\d+ +[\d.]+ s [* ] worker \d+  http://127\.0\.0\.1:\d+(/\S+)", line) for line in lines]
    return [match[1] for match in found if match], "\n".join(lines)


@pytest.mark.parametrize("workers", [1, 8])
def test_it_reads_each_page_once(workers: int) -> None:
    """CONTRACT 2: every page once, circles or not, with one worker or many; the broken link is a row like any other."""
    pages, summary = read("--workers", workers)
    assert sorted(pages) == sorted([f"/page/{number}" for number in range(200)] + ["/missing"])
    assert "201 pages read: 200 with status 200, 1 with status 404" in summary
    assert "1 to another host" in summary


def test_its_bound() -> None:
    """No more addresses are taken in than was said, and the rest are counted."""
    pages, summary = read("--limit", 20)
    assert len(pages) == len(set(pages)) == 20
    assert " too many" in summary
