"""docs/history.md: the commands that it gives name what is there, and every fault has the test that it names."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "history.md").read_text(encoding="utf-8")
COMMANDS = sorted(set(re.findall(r"`(make [^`]*)`", PAGE)))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_names_what_is_there(command: str) -> None:
    """A target of the Makefile, an example, a test file, a workload of the benchmarks."""
    if command in ("make run", "make test"):
        return
    words = command.split(maxsplit=1)[1]
    arguments = dict(re.findall(r'(\w+)=("[^"]*"|\S+)', words))
    for target in re.sub(r'\w+=("[^"]*"|\S+)', "", words).split():
        assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), f"the Makefile has no target {target}"
    example = arguments.get("EXAMPLE")
    assert example is None or (ROOT / "examples" / f"{example}.py").is_file()
    for word in arguments.get("ARGS", "").strip('"').split():
        if word.startswith("tests/"):
            assert (ROOT / word).exists()


@pytest.mark.parametrize("command", [each for each in COMMANDS if " -k " in each])
def test_a_choice_of_tests_is_not_empty(command: str) -> None:
    """What ``-k`` chooses is there: pytest fails when it collects nothing."""
    arguments = re.findall(r'ARGS="([^"]*)"', command)[0].split()
    subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-n", "0", "-p", "no:cacheprovider", *arguments],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=50,
    )


def test_every_fault_has_its_test() -> None:
    """Each id of the tables stands in the name of a test, or in what a test says of itself."""
    ids = re.findall(r"^\| ([A-Z]\d+) \|", PAGE, re.MULTILINE)
    assert len(ids) > 50
    paths = [path for path in (ROOT / "tests").rglob("*.py") if path.parent != Path(__file__).parent]
    tests = "\n".join(path.read_text(encoding="utf-8") for path in paths)
    missing = [each for each in ids if not re.search(rf"\b(test_)?{each}(_|\b)", tests)]
    assert not missing, f"no test names {missing}"


def test_every_link_inside_the_book_leads_somewhere() -> None:
    """A page that is named is there."""
    for target in re.findall(r"\]\(([\w/.-]+\.md)", PAGE):
        assert (ROOT / "docs" / target).is_file(), target
