"""What setup.py does where there is a compiler, where there is none, and with each word of FLOW_BUILD."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CPYTHON = platform.python_implementation() == "CPython"
COMPILER = os.environ.get("CC", "cc")

pytestmark = pytest.mark.skipif(
    not (ROOT / "setup.py").exists() or find_spec("setuptools") is None, reason="needs the source, and setuptools"
)
needs_cython = pytest.mark.skipif(not CPYTHON or find_spec("Cython") is None, reason="needs Cython")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what is built, with nothing built in it."""
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    ignored = shutil.ignore_patterns("__pycache__", "*.so", "*.pyd", "*.egg-info")
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=ignored)
    return tmp_path


def built(tree: Path, *without: str, **environment: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """How ``setup.py build_ext --inplace`` ended, and what was compiled; `without` these modules."""
    hidden = "".join(f"sys.modules[{name!r}] = None; " for name in without)
    code = f"import sys; {hidden}sys.argv = ['setup.py', '-q', 'build_ext', '--inplace']; exec(open('setup.py').read())"
    variables = {name: value for name, value in os.environ.items() if not name.startswith("FLOW_")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**variables, **environment},
        cwd=tree,
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )
    return done, [path.name.partition(".")[0] for path in tree.rglob("*_cy.*") if path.suffix in (".so", ".pyd")]


@needs_cython
@pytest.mark.skipif(shutil.which(COMPILER) is None, reason="needs a C compiler")
def test_compiled_where_it_can_be(tree: Path) -> None:
    """With a compiler every `_cy` file is compiled, knows the text that it was made of, and leaves no C beside it."""
    done, found = built(tree, CFLAGS="-O0 -g0")  # sooner done, and nobody measures it
    assert done.returncode == 0, done.stderr
    assert sorted(found) == ["hand_cy", "pass_cy", "pull_cy"]
    assert not list((tree / "src").rglob("*.c"))
    shown = subprocess.run(
        [sys.executable, "-m", "flow", "--version"],
        env={**os.environ, "PYTHONPATH": str(tree / "src"), "FLOW_PURE": "0"},
        cwd=tree,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert shown.stdout.endswith("core: compiled\n")


@needs_cython
@pytest.mark.skipif(sys.platform == "win32", reason="there, CC does not say which compiler is taken")
def test_no_compiler(tree: Path) -> None:
    """`auto` leaves the files as they are and ends well; `compiled` fails."""
    absent = str(tree / "no-such-compiler")
    done, found = built(tree, CC=absent)
    assert (done.returncode, found) == (0, []), done.stderr
    done, found = built(tree, CC=absent, FLOW_BUILD="compiled")
    assert done.returncode != 0
    assert found == []


def test_no_cython(tree: Path) -> None:
    """`auto` leaves the files as they are; `compiled` says what to install."""
    done, found = built(tree, "Cython", "Cython.Build")
    assert (done.returncode, found) == (0, []), done.stderr
    done, found = built(tree, "Cython", "Cython.Build", FLOW_BUILD="compiled")
    assert done.returncode != 0
    assert "FLOW_BUILD=compiled needs Cython: pip install" in done.stderr


def test_pure(tree: Path) -> None:
    """`pure` does not try."""
    done, found = built(tree, FLOW_BUILD="pure")
    assert (done.returncode, found) == (0, []), done.stderr


def test_an_unknown_word(tree: Path) -> None:
    """It is named, with those that there are."""
    done, _ = built(tree, FLOW_BUILD="fast")
    assert done.returncode != 0
    assert "FLOW_BUILD must be one of auto, pure, compiled, not 'fast'" in done.stderr
