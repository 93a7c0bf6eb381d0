"""What `import flow` loads: what a program pays for that only looks at the names."""

from __future__ import annotations

import subprocess
import sys

import flow

HEAVY = ("asyncio", "concurrent.futures", "dataclasses", "inspect", "logging", "trio", "twisted")
"""Loops and frameworks, and what takes as long to import as all of flow."""


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_nothing_is_imported_that_is_not_used() -> None:
    """DESIGN: no import of a loop that is not used, nor of anything else that takes long."""
    assert python(f"import flow, sys; print(*[name for name in {HEAVY} if name in sys.modules])") == ""


def test_a_chain_is_built_without_a_loop() -> None:
    """DESIGN: to say what a flow is needs no loop, of whatever kind."""
    code = "import flow, sys; flow.wrap([1, 2]).map(str).batched(2) | list; print('asyncio' in sys.modules)"
    assert python(code) == "False"


def test_each_name_is_there() -> None:
    """What is imported late is found all the same: by its name, by dir(), by `from flow import`."""
    assert {"Merge", "Retry", "draw", "lines", "race", "wrap"} <= set(dir(flow))
    names = [name for name in dir(flow) if not name.startswith("_") and name not in ("classic", "web")]
    for name in names:
        assert getattr(flow, name) is not None
    assert python("from flow import Merge, Retry, lines; print(Merge.__name__)") == "Merge"
