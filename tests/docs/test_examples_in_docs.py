"""Every program that README.md and docs/ show runs as it stands, and prints what the page says that it prints.

A block that is marked ```python is a whole program. When the next block is ```text, that is what it prints. Each
program runs in a process of its own, with warnings as errors: some start an event loop that can be started only once.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```([\w-]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
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


def pages() -> list[Path]:
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def examples() -> list[Example]:
    found = []
    for page in pages():
        text = page.read_text(encoding="utf-8")
        blocks = list(BLOCK.finditer(text))
        for block, after in zip_longest(blocks, blocks[1:]):
            if block[1] == "python":
                printed = after[2] if after is not None and after[1] == "text" else None
                line = text.count("\n", 0, block.start()) + 1
                found.append(Example(page.relative_to(ROOT).as_posix(), line, block[2], printed))
    return found


EXAMPLES = examples()


def run(example: Example, folder: Path) -> subprocess.CompletedProcess[str]:
    program = folder / "program.py"
    # As many empty lines before it as the page has, so that a traceback has the line of the page.
    program.write_text("\n" * example.line + example.code, encoding="utf-8")
    path = os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, "-W", "error", str(program)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=LONGEST,
    )


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[Example, subprocess.CompletedProcess[str]]:
    """What became of the programs that are asked for. They run side by side: mostly they wait for imports."""
    asked = {item.callspec.params["example"] for item in request.session.items if _is_one(item)}
    programs = [each for each in EXAMPLES if each in asked]
    folders = [tmp_path_factory.mktemp("program") for _ in programs]
    with ThreadPoolExecutor(min(8, 2 * (os.cpu_count() or 1))) as pool:
        return dict(zip(programs, pool.map(run, programs, folders), strict=True))


def _is_one(item: pytest.Item) -> bool:
    return item.path == Path(__file__) and "example" in getattr(getattr(item, "callspec", None), "params", {})


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_the_program_runs(example: Example, outcomes: dict[Example, subprocess.CompletedProcess[str]]) -> None:
    done = outcomes[example]
    assert done.returncode == 0, f"{example} failed:\n{done.stdout}{done.stderr}"
    assert done.stderr == "", f"{example} wrote to standard error:\n{done.stderr}"
    if example.printed is not None:
        assert done.stdout.splitlines() == example.printed.splitlines(), f"{example} printed something else"


def test_there_are_examples_on_every_loop() -> None:
    readme = "".join(each.code for each in EXAMPLES if each.page == "README.md")
    for needed in ("asyncio.run(", "trio.run(", "flow.Deferred(", "for row in rows"):
        assert needed in readme


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" not in target and not target.startswith("#"):
            assert (page.parent / target.partition("#")[0]).exists(), f"{page.name}: {target} is not there"


def test_the_picture_is_what_its_script_draws() -> None:
    drawn: dict[str, object] = {"__name__": "draw", "__file__": str(ROOT / "docs" / "draw.py")}
    exec((ROOT / "docs" / "draw.py").read_text(encoding="utf-8"), drawn)
    engine = drawn["engine"]
    assert callable(engine)
    assert (ROOT / "docs" / "design" / "engine.svg").read_text(encoding="utf-8") == engine()
