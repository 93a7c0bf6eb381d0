"""Which build runs, how it is chosen, and that a fault of it is told."""

from __future__ import annotations

import ast
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import greenlet
import pytest

import flow
from flow import _build

ROOT = Path(__file__).parents[2]
SOURCE = Path(flow.__file__).parent
FILES = sorted(SOURCE.rglob("*_cy.py"))
compiled_only = pytest.mark.skipif(_build.running().name != "compiled", reason="the core is not compiled here")


def run(*arguments: str, source: Path = SOURCE.parent, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {name: value for name, value in os.environ.items() if name not in ("FLOW_PURE", "FLOW_EXPECT")}
    return subprocess.run(
        [sys.executable, *arguments],
        env={**variables, "PYTHONPATH": os.pathsep.join([str(source), *sys.path]), **environment},
        cwd=source,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def test_each_file_is_listed() -> None:
    """Each `_cy` file is compiled (setup.py looks for them), and FLOW_PURE and the report know of each."""
    names = [".".join(["flow", *each.relative_to(SOURCE).with_suffix("").parts]) for each in FILES]
    assert names == sorted(_build.MODULES)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_annotations_have_no_effect(path: Path) -> None:
    """Compiled with Cython's default, an `int` in a signature would refuse or change what callers give."""
    assert path.read_text(encoding="utf-8").splitlines()[0] == "# cython: annotation_typing=False"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_c_types_are_such_that_cannot_overflow(path: Path) -> None:
    """Counters of rows are Py_ssize_t, seconds are double, all else are objects: no C int, which would wrap."""
    used = set(re.findall(r"\bcython\.(?!py\b)(\w+)", path.read_text(encoding="utf-8")))
    assert used <= {"Py_ssize_t", "bint", "cimports", "compiled", "double", "locals"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_each_file_runs_without_cython(path: Path) -> None:
    """Nothing of Cython is imported at run time, compiled or not, installed or not."""
    name = ".".join(["flow", *path.relative_to(SOURCE).with_suffix("").parts])
    code = f"import sys, {name}; print([each for each in sys.modules if each.lower().startswith('cython')])"
    for pure in "01":
        found = run("-c", f"import sys; sys.modules['Cython'] = None; {code}", FLOW_PURE=pure)
        assert "Shadow" not in found.stdout
        assert found.returncode == 0, found.stderr


def test_what_stands_in_for_c_has_the_same_names() -> None:
    """`_cython.py` has what `_capi.pxd` declares: nothing is there in one build only."""
    declared = re.findall(r"^    (?:const char \*|object )(\w+)", (SOURCE / "core/_capi.pxd").read_text(), re.MULTILINE)
    tree = ast.parse((SOURCE / "core/_cython.py").read_text())
    stand_in = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    stand_in |= {ast.unparse(node.targets[0]) for node in tree.body if isinstance(node, ast.Assign)}
    stand_in |= {ast.unparse(node.target) for node in tree.body if isinstance(node, ast.AnnAssign)}
    assert declared
    assert set(declared) <= stand_in


def test_greenlets_numbers() -> None:
    """`_capi.pxd` calls greenlet's functions for C by the numbers that its header has for them."""
    used = re.findall(r"#define FLOW_GREENLET_(\w+) (\d+)", (SOURCE / "core/_capi.pxd").read_text())
    header = (Path(greenlet.__file__).parent / "greenlet.h").read_text()
    numbers = {name.upper(): n for name, n in re.findall(r"#define PyGreenlet_(\w+)_NUM (\d+)", header)}
    assert used
    assert all(numbers[name] == n for name, n in used)


def test_version() -> None:
    """``python -m flow --version`` says the version, the Python and the build."""
    done = run("-m", "flow", "--version")
    expected = f"flow {flow.__version__} on {platform.python_implementation()} {platform.python_version()}; core: "
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.removeprefix(expected) in ("compiled\n", "pure\n")
    assert run("-m", "flow", "--version", FLOW_PURE="1").stdout == expected + "pure\n"
    assert run("-m", "flow", "--version", FLOW_PURE="0").stdout == done.stdout


def test_the_command_line_says_what_there_is() -> None:
    """Without arguments it is told what may be asked; an unknown one is an error."""
    assert "--version" in run("-m", "flow").stdout
    assert run("-m", "flow", "--verison").returncode == 2


def test_an_unknown_word_is_an_error() -> None:
    """FLOW_PURE and FLOW_EXPECT take the words that they take, and name what they are given."""
    done = run("-c", "import flow", FLOW_PURE="yes")
    assert "FLOW_PURE must be 1" in done.stderr
    assert "'yes'" in done.stderr
    tests = ("-m", "pytest", "-n", "0", "-p", "no:cacheprovider", "tests/build/test_build.py::test_each_file_is_listed")
    path = {"PYTHONPATH": os.pathsep.join([str(SOURCE.parent), *sys.path])}
    done = run(*tests, source=ROOT, FLOW_EXPECT="fast", **path)
    assert "FLOW_EXPECT must be compiled or pure, not 'fast'" in done.stderr
    done = run(*tests, source=ROOT, FLOW_EXPECT="compiled", FLOW_PURE="1", **path)
    assert done.returncode != 0
    assert "FLOW_EXPECT=compiled, and what runs is: core: pure" in done.stderr


@compiled_only
def test_a_stale_build_is_told(tmp_path: Path) -> None:
    """What was compiled from another text than the file's is a fault, and no fault where the file itself runs."""
    shutil.copytree(SOURCE, tmp_path / "flow", ignore=shutil.ignore_patterns("__pycache__"))
    assert run("-m", "flow", "--version", source=tmp_path).returncode == 0
    with open(tmp_path / "flow/core/pull_cy.py", "a", encoding="utf-8") as file:
        file.write("# changed\n")
    done = run("-m", "flow", "--version", source=tmp_path)
    assert done.returncode == 1
    assert "core: compiled\nfault: flow.core.pull_cy was compiled from another pull_cy.py" in done.stdout
    assert run("-m", "flow", "--version", source=tmp_path, FLOW_PURE="1").returncode == 0
    for name, text in (("pull_cy", "new = 1\n"), ("reader", "from .pull_cy import new\n")):
        with open(tmp_path / f"flow/core/{name}.py", "a", encoding="utf-8") as file:
            file.write(text)
    done = run("-c", "import flow", source=tmp_path)
    assert "ImportError: cannot import name 'new'" in done.stderr
    assert "flow: flow.core.pull_cy was compiled from another pull_cy.py" in done.stderr
    assert run("-c", "import flow", source=tmp_path, FLOW_PURE="1").stderr == ""


@compiled_only
def test_a_mixed_build_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """One module compiled and another not: each extension is optional, so a compiler can fail on one of them."""
    loaded: Any = sys.modules["flow.core.pull_cy"]
    monkeypatch.setitem(sys.modules, "flow.core.other_cy", type("Other", (), {"BUILT_FROM": ""}))  # type: ignore[arg-type]
    monkeypatch.setattr(_build, "MODULES", ("flow.core.pull_cy", "flow.core.other_cy"))
    assert loaded.BUILT_FROM
    found = _build.running()
    assert found.name == "mixed"
    assert found.faults == (
        "flow.core.pull_cy is compiled and flow.core.other_cy is not: install flow again, or set FLOW_PURE=1",
    )


@compiled_only
def test_pickles_cross_over() -> None:
    """What users may pickle is made by no `_cy` module: rows and errors of one build are read by the other."""
    write = (
        "import flow, pickle, sys\n"
        "rows = list(flow.wrap([1, flow.Row(None), (2,)]))\n"
        "error = flow.Cancelled('x')\n"
        "sys.stdout.write(pickle.dumps([rows, error, flow.Cooperate(0.5)]).hex())"
    )
    read = (
        "import pickle, sys\n"
        "rows, error, instruction = pickle.loads(bytes.fromhex(sys.argv[1]))\n"
        "print(rows, repr(error), instruction.seconds)"
    )
    for pure in "01":
        written = run("-c", write, FLOW_PURE=pure)
        assert written.returncode == 0, written.stderr
        for other in "01":
            found = run("-c", read, written.stdout, FLOW_PURE=other)
            assert found.stdout == "[1, None, (2,)] Cancelled('x') 0.5\n", found.stderr
