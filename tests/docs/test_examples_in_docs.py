"""Every program that the README, CONTRIBUTING and the book show runs as it stands, and prints what the page says.

What is run: each block that is marked ```python, on README.md, CONTRIBUTING.md and every page below docs/. It is a
whole program, and runs in a process of its own, in an empty folder, with warnings as errors: some start an event loop
that can be started only once. When the next block is ```text, that is exactly what it prints. A program that needs a
server starts one, on a port that is free, and stops it.

What is not run: ```sh and ```bat (commands), blocks without a language (no code), and ```python2, which is what one
wrote in 2003, for the Python of that time. No other language may be used, no block may be indented (it would not be
found), and Python that can run is not called otherwise. The lines of code in the tables of "Coming from" are not run by
themselves; each of these pages has programs that are. Those that need one of the libraries in OTHERS are skipped where
it is not installed; `make docs` installs all of them.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import zip_longest
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```([\w-]*)([^\n`]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LANGUAGES = {"python", "text", "sh", "bat", "python2", ""}
OTHERS = {"aiostream", "reactivex", "streamable"}
"""Libraries that a page compares flow with: only `make docs` asks for them."""

SPARE = f"ignore:unclosed file <_io.TextIOWrapper name={os.devnull!r}"
"""Whoever listens with Twisted has this open until the very end: a spare descriptor, for when there are no others."""

LONGEST = 30
"""Seconds for one program."""


@dataclass(frozen=True)
class Example:
    """One program of a page, and what it should print, if the page says it."""

    page: str
    line: int
    code: str
    printed: str | None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def missing(self) -> list[str]:
        """What it imports of OTHERS and is not installed."""
        imported = {
            name.partition(".")[0]
            for each in ast.walk(ast.parse(self.code))
            if isinstance(each, (ast.Import, ast.ImportFrom))
            for name in ([alias.name for alias in each.names] if isinstance(each, ast.Import) else [each.module or ""])
        }
        return sorted(name for name in imported & OTHERS if find_spec(name) is None)


def pages() -> list[Path]:
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def examples() -> list[Example]:
    found = []
    for page in pages():
        text = page.read_text(encoding="utf-8")
        blocks = list(FENCE.finditer(text))
        for block, after in zip_longest(blocks, blocks[1:]):
            if block[1] == "python":
                printed = after[3] if after is not None and after[1] == "text" else None
                line = text.count("\n", 0, block.start()) + 1
                found.append(Example(name_of(page), line, block[3], printed))
    return found


EXAMPLES = examples()


# --------------------------------------------------------------------------------------------------------------------
# Running them


def run(example: Example, folder: Path) -> subprocess.CompletedProcess[str]:
    program = folder / "program.py"
    # As many empty lines before it as the page has, so that a traceback has the line of the page.
    program.write_text("\n" * example.line + example.code, encoding="utf-8")
    path = os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, "-W", "error", "-W", SPARE, str(program)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=LONGEST,
    )


class Programs:
    """Runs programs, some before they are asked for: they wait now and then, and then another one can run.

    Under xdist each worker sees all tests and gets only some of them, so there each program runs when it is asked for.
    """

    def __init__(self, pool: ThreadPoolExecutor, folders: pytest.TempPathFactory, ahead: list[Example]) -> None:
        self._pool = pool
        self._folders = folders
        self._begun = {each: self._begin(each) for each in ahead}
        wait(self._begun.values())  # what runs on during a test would be taken for something that the test left

    def _begin(self, example: Example) -> Future[subprocess.CompletedProcess[str]]:
        return self._pool.submit(run, example, self._folders.mktemp("program"))

    def outcome(self, example: Example) -> subprocess.CompletedProcess[str]:
        return (self._begun.get(example) or self._begin(example)).result()


@pytest.fixture(scope="module")
def programs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Programs]:
    ahead: list[Example] = []
    if "PYTEST_XDIST_WORKER" not in os.environ:
        asked = {item.callspec.params["example"] for item in request.session.items if _is_one(item)}
        ahead = [each for each in EXAMPLES if each in asked and not each.missing]
    with ThreadPoolExecutor(min(8, 2 * (os.cpu_count() or 1)), thread_name_prefix="ThreadPoolExecutor") as pool:
        yield Programs(pool, tmp_path_factory, ahead)


def _is_one(item: pytest.Item) -> bool:
    return item.path == Path(__file__) and "example" in getattr(getattr(item, "callspec", None), "params", {})


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_the_program_runs(example: Example, programs: Programs) -> None:
    if example.missing:
        pytest.skip(f"not installed: {', '.join(example.missing)}")
    done = programs.outcome(example)
    assert done.returncode == 0, f"{example} failed:\n{done.stdout}{done.stderr}"
    assert done.stderr == "", f"{example} wrote to standard error:\n{done.stderr}"
    if example.printed is not None:
        assert done.stdout.splitlines() == example.printed.splitlines(), f"{example} printed something else"


# --------------------------------------------------------------------------------------------------------------------
# That nothing is overlooked


def test_there_are_examples_on_every_loop() -> None:
    readme = "".join(each.code for each in EXAMPLES if each.page == "README.md")
    for needed in ("asyncio.run(", "trio.run(", "flow.Deferred(", "for row in rows"):
        assert needed in readme


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_no_program_is_overlooked(page: Path) -> None:
    """A block of another language, or one that is indented, would be shown and not run."""
    text = page.read_text(encoding="utf-8")
    assert {block[1] for block in FENCE.finditer(text)} <= LANGUAGES
    assert text.count("```") == 2 * len(FENCE.findall(text)), "a block is indented, or has no end"
    for block in FENCE.finditer(text):
        if block[1] == "python2":
            assert page.name in {"flow-2003.md", "port-from-2003.md", "history.md"}


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "coming-from").glob("*.md")), ids=name_of)
def test_what_others_come_from_is_shown_in_programs(page: Path) -> None:
    """Each page for those who know something else has a program of flow that runs."""
    assert page.name == "index.md" or any("import flow" in each.code for each in EXAMPLES if each.page == name_of(page))


# --------------------------------------------------------------------------------------------------------------------
# Links


def anchors(page: Path) -> set[str]:
    """What a link to a heading of the page may end with."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text(encoding="utf-8")), flags=re.MULTILINE)
    plain = [re.sub(r"[^\w\s-]", "", heading.replace("`", "")).strip().lower() for heading in headings]
    return {re.sub(r"[-\s]+", "-", heading) for heading in plain}


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        there = page.parent / path if path else page
        assert there.exists(), f"{page.name}: {target} is not there"
        if anchor and there.suffix == ".md":
            assert anchor in anchors(there), (
                f"{page.name}: {target}: no such heading; there are {sorted(anchors(there))}"
            )
