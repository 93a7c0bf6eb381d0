"""examples/README.md and the first lines of the programs: complete, and true of the programs as they are."""

from __future__ import annotations

import ast
import os
import re
import shlex
import shutil
import subprocess

import pytest

from .running import PROGRAMS, ROOT, run

EVERY = pytest.mark.parametrize("program", PROGRAMS)
ROW = re.compile(r"^\| \[(\w+)\]\((\w+\.py)\) \| (.+) \|$", re.MULTILINE)
COMMAND = re.compile(r"^    (make (?:run|demo).*?)(?:  +#.*)?$", re.MULTILINE)


def first_lines(program: str) -> str:
    text = ast.get_docstring(ast.parse((ROOT / "examples" / f"{program}.py").read_text(encoding="utf-8")), clean=False)
    assert text is not None
    return text


def options_in(command: str) -> list[str]:
    """The options that a `make` command gives to the program."""
    given = [word.removeprefix("ARGS=") for word in shlex.split(command) if word.startswith("ARGS=")]
    return [word for each in given for word in each.split() if word.startswith("--")]


def test_every_program_is_in_the_table() -> None:
    """And nothing else is; each row has a command that is in the program's own first lines too."""
    rows = {
        name: (path, rest.split(" | ")) for name, path, rest in ROW.findall((ROOT / "examples/README.md").read_text())
    }
    assert sorted(rows) == PROGRAMS
    for name, (path, cells) in rows.items():
        assert path == f"{name}.py"
        assert len(cells) == 4
        assert cells[2].strip("`") in COMMAND.findall(first_lines(name))


@EVERY
def test_the_first_lines_say_how_to_run_it_and_what_to_look_at(program: str) -> None:
    text = first_lines(program)
    assert text.partition("\n")[0].endswith(".")
    assert "What to look at: " in text
    commands = COMMAND.findall(text)
    assert commands[0] in (f"make run EXAMPLE={program}", "make demo")
    assert all(command.split()[1:2] == ["demo"] or f" EXAMPLE={program}" in command for command in commands)


@EVERY
def test_its_help_has_every_option_that_is_shown(program: str) -> None:
    done = run(program, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: {program}.py")
    for command in COMMAND.findall(first_lines(program)):
        for option in options_in(command):
            assert re.search(rf"{option}\b", done.stdout), command


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["EXAMPLE=echo", "ARGS=--clients 3"], "bin/python examples/echo.py --clients 3\n"),
        ([], "say which program to run"),
        (["EXAMPLE=_site"], "say which program to run"),
    ],
    ids=["a program", "none", "a part"],
)
def test_make_run(arguments: list[str], says: str) -> None:
    """With -n: what it would do. (To do it would install into an environment.)"""
    # What a `make` above this one hands down would change what is run.
    without = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "EXAMPLE", "ARGS")}
    command = ["make", "-n", "run", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=without, capture_output=True, text=True, timeout=50, check=False)
    assert says in done.stdout + done.stderr
    if "say which" in says:
        assert done.returncode == 2
        assert all(program in done.stderr for program in PROGRAMS)
