"""Under trial, Twisted's own test runner, on each reactor: its search for what is left on the reactor finds nothing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("twisted")

from .reactors import REACTORS, ROOT

CASES = ROOT / "tests" / "io" / "trial_cases.py"


def trial(reactor: str, module: str, folder: Path) -> str:
    """What trial says."""
    done = subprocess.run(
        [sys.executable, "-m", "twisted.trial", f"--reactor={reactor}", f"--temp-directory={folder / 'trial'}", module],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(ROOT), str(folder)])},
        timeout=50,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("reactor", REACTORS)
def test_the_cases_pass_under_trial(reactor: str, tmp_path: Path) -> None:
    """CONTRACT 12, 14, 24, 30: each case passes, none is missed, and no reactor is dirty after it."""
    written = len(re.findall(r"^    (?:async )?def test_", CASES.read_text(encoding="utf-8"), re.MULTILINE))
    said = trial(reactor, "tests.io.trial_cases", tmp_path)
    assert f"PASSED (successes={written})" in said, said
    assert f"Ran {written} tests" in said
    assert "Dirty" not in said


DIRTY = """
from twisted.trial.unittest import TestCase
import flow

class Dirty(TestCase):
    async def test_leaves_a_connection(self):
        server = await flow.listen("tcp:0:interface=127.0.0.1", lambda conn: conn)
        flow.connect(f"tcp:127.0.0.1:{server.getHost().port}", lambda conn: conn)
"""


def test_trial_finds_what_is_left(tmp_path: Path) -> None:
    """The rig itself: connections that a test leaves open are found."""
    (tmp_path / "dirty.py").write_text(DIRTY, encoding="utf-8")
    said = trial("select", "dirty", tmp_path)
    assert "DirtyReactorAggregateError" in said, said
    assert "FAILED" in said
