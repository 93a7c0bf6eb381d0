"""What users may write has the types they expect: mypy reads the other files here (`make types` has pyright, too)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@pytest.mark.timeout(120)
def test_the_types_of_rows(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    pytest.importorskip("twisted")
    files = sorted(str(path) for path in HERE.glob("*.py") if not path.name.startswith("test_"))
    assert files
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml", "--cache-dir", str(tmp_path), *files],
        cwd=ROOT,
        env={**os.environ, "MYPYPATH": "src"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
