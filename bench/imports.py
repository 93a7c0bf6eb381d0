"""What an import costs: a fresh process for each sample, and which loops and frameworks it brings along.

Two times, because each has a flaw: "import" is taken inside of the process, round the statement; "process" is the whole
life of it, as a shell sees it, and shows what "import" leaves out (start and end of the interpreter). Both are medians
of many, in rounds, so that a busy second is shared by all.

Compiled files (.pyc) are kept in a folder of their own while it measures: what is installed has them, a checkout where
they are switched off has not, and a first import that compiles is another thing.

What may live here: statements to be timed, and their timing. What may not: an import of flow, or of a loop.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from importlib.util import find_spec
from statistics import median
from time import perf_counter

from .machine import command, environment
from .other import Figures, Other, Tell, failed, within

__all__ = ["IMPORTS", "UNWANTED", "imported_by_flow"]

GOAL = 30.0
"""Milliseconds for `import flow`."""

UNWANTED = ("asyncio", "trio", "twisted", "uvloop", "anyio", "rich", "sqlite3", "ssl")
"""What `import flow` must not import: a program pays for the loop that it uses, and a script for none."""

STATEMENTS = {
    "python -c pass": "pass",
    "import flow": "import flow",
    "import asyncio": "import asyncio",
    "import trio": "import trio",
    "import twisted.internet.reactor": "import twisted.internet.reactor",
    "import aiostream": "import aiostream",
}
TIMED = "from time import perf_counter as clock; start = clock(); {}; print(clock() - start)"


def imported_by_flow() -> list[str]:
    """Which of UNWANTED a fresh process has after `import flow`."""
    code = f"import sys, flow, json; print(json.dumps([name for name in {UNWANTED} if name in sys.modules]))"
    found: list[str] = json.loads(_run(code, environment())[1])
    return found


def _run(code: str, variables: dict[str, str]) -> tuple[float, str]:
    """Seconds from the start to the end of a process, and what it printed."""
    start = perf_counter()
    done = subprocess.run(command("-c", code), env=variables, capture_output=True, text=True, timeout=20, check=False)
    lasted = perf_counter() - start
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["no reason said"])[-1])
    return lasted, done.stdout


def _measure(quick: bool, tell: Tell) -> list[Figures]:
    with tempfile.TemporaryDirectory(prefix="flow-bench-") as folder:
        variables = {**environment(), "PYTHONPYCACHEPREFIX": folder}
        variables.pop("PYTHONDONTWRITEBYTECODE", None)
        return _timed(3 if quick else 12, variables, tell)


def _timed(rounds: int, variables: dict[str, str], tell: Tell) -> list[Figures]:
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in STATEMENTS}
    trouble: dict[str, Figures] = {}
    for number in range(-1, rounds):  # the first round is not counted: it writes .pyc files and fills caches
        tell("warming up" if number < 0 else f"round {number + 1} of {rounds}")
        for name, statement in STATEMENTS.items():
            if name in trouble:
                continue
            if (module := _missing(statement)) is not None:
                trouble[name] = Figures(name, trouble=f"not installed: {module}")
                continue
            try:
                process, printed = _run(TIMED.format(statement), variables)
            except Exception as error:
                trouble[name] = failed(name, error)
                continue
            if number >= 0:
                seconds[name].append((float(printed), process))
    return [trouble.get(name) or _line(name, every) for name, every in seconds.items()]


def _missing(statement: str) -> str | None:
    module = statement.rpartition(" ")[2].partition(".")[0]
    return None if module == "pass" or find_spec(module) else module


def _line(name: str, every: list[tuple[float, float]]) -> Figures:
    inside = [1000 * each[0] for each in every]
    values = {"import ms": median(inside), "fastest ms": min(inside), "slowest ms": max(inside)}
    values["process ms"] = 1000 * median(each[1] for each in every)
    if name == "python -c pass":
        return Figures(name, {"process ms": values["process ms"]})
    if name != "import flow":
        return Figures(name, values)
    figures = within(name, values, "import ms", GOAL, "ms")
    if brought := imported_by_flow():
        return Figures(name, values, figures.goal, False, f"it imports {', '.join(brought)}")
    return figures


IMPORTS = Other(
    "imports",
    "the time of an import, in processes of their own",
    ("import ms", "fastest ms", "slowest ms", "process ms"),
    _measure,
)
