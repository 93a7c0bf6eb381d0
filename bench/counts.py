"""Counts the machine instructions of the hot paths, and says which grew: `python -m bench.counts`, or `make counts`.

A count hardly depends on how busy the machine is, so it shows a few percent that no clock would. Valgrind's callgrind
counts; all paths run in one process, each for n rows and for 2n, and the difference, divided by n, is the figure: what
starting, opening and warming up cost falls out. Hashes are fixed, the collector is off, and no slice ever ends.

The figures are kept in `counts.json`, by the minor version of Python and by the build of flow's core. They are those of
one build of Python: another compiler, or another patch release, counts other instructions. So against figures of
another build of Python nothing is judged.

One process does the same each time, to the instruction; but where its memory lies, and which paths ran before, moves a
figure by up to 3 percent.

What may live here: running valgrind, and the comparison. The paths themselves are in `paths.py`.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from .machine import ROOT, build, command, environment, minor

__all__ = ["GROWTH", "compared", "counted", "main", "python", "segments", "total"]

T = TypeVar("T")

KEPT = ROOT / "bench" / "counts.json"

GROWTH = 0.05
"""A path that grew by more than this part is a finding."""

LONGEST = 170
"""Seconds for all paths together."""

Counts = dict[str, float]


def python() -> str:
    """Which build of Python this is."""
    return f"{platform.python_implementation()} {platform.python_version()}, {platform.python_compiler().strip()}"


def total(path: Path) -> int:
    """All instructions of a file that callgrind wrote."""
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            if match := re.match(r"(?:summary|totals): (\d+)", line):
                return int(match[1])
    raise RuntimeError("valgrind wrote no total")


def segments(arguments: Sequence[str], read: Callable[[Path], T]) -> list[T]:
    """Runs Python with these arguments, and returns what `read` finds in each file that callgrind writes: `total`, say.

    There is one before each call of `os.getsid`. The first has the start of the interpreter in it; what comes after
    the last call is not returned.
    """
    with tempfile.TemporaryDirectory(prefix="flow-counts-") as folder:
        out = Path(folder) / "out"
        done = subprocess.run(
            [
                "valgrind",
                "--tool=callgrind",
                f"--callgrind-out-file={out}",
                "--dump-before=getsid",
                "--quiet",
                *command(*arguments),
            ],
            env=environment(),
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no reason said"])[-1]
            raise RuntimeError(f"valgrind ended with {done.returncode}: {last}")
        parts = sorted(out.parent.glob("out.*"), key=lambda path: int(path.suffix[1:]))
        return [read(path) for path in parts]


def counted(names: Sequence[str]) -> Counts:
    """Instructions a row of each path."""
    from .paths import PATHS  # imports flow: not needed by who only compares

    chosen = [path for path in PATHS if path.name in names]
    found = segments(["-m", "bench.paths", *(path.name for path in chosen)], total)
    if len(found) != 3 * len(chosen):
        raise RuntimeError(f"valgrind saw {len(found)} of {3 * len(chosen)} marks: is getsid not called from libc?")
    return {
        path.name: round((found[3 * place + 2] - found[3 * place + 1]) / path.rows, 1)
        for place, path in enumerate(chosen)
    }


def compared(kept: Counts, now: Counts) -> tuple[str, list[str]]:
    """A table, and the names of those that grew by more than GROWTH."""
    lines = [_line("path", "kept", "now", "change")]
    grown = []
    for name, count in now.items():
        before = kept.get(name)
        if before is None:
            lines.append(_line(name, "", f"{count:,.0f}", "new"))
            continue
        change = count / before - 1
        mark = "  GREW" if change > GROWTH else ""
        if mark:
            grown.append(name)
        lines.append(_line(name, f"{before:,.0f}", f"{count:,.0f}", f"{change:+.1%}") + mark)
    return "\n".join(lines), grown


def _line(name: str, kept: str, now: str, change: str) -> str:
    return f"{name:<12} {kept:>10} {now:>10} {change:>8}"


def _read(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return found


def _keep(file: Path, now: Counts) -> None:
    """Those that were counted take the place of those that are kept; others stay, if they are of the same Python."""
    every = _read(file)
    builds = every.setdefault(minor(), {})
    before = builds.get(build(), {})
    same = before.get("python") == python()
    builds[build()] = {"python": python(), "counts": {**(before["counts"] if same else {}), **now}}
    file.write_text(json.dumps(every, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.counts", description="Counts instructions of the hot paths.")
    parser.add_argument("--only", metavar="NAME", action="append", help="this path; may be repeated")
    parser.add_argument("--keep", action="store_true", help="keep the figures that are found now")
    parser.add_argument("--list", action="store_true", help="print the names of the paths, and do nothing")
    parser.add_argument("--file", type=Path, default=KEPT, help=argparse.SUPPRESS)
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> int:
    """0: nothing grew, or nothing can be said; 1: a path grew; 2: the question or the counting was wrong."""
    asked = _arguments(given)
    from .paths import PATHS

    every = [path.name for path in PATHS]
    if asked.list:
        print("\n".join(f"{path.name:<12} {path.title}" for path in PATHS))
        return 0
    if unknown := set(asked.only or []) - set(every):
        print(f"no path is called {', '.join(sorted(unknown))}; there are: {', '.join(every)}", file=sys.stderr)
        return 2
    if shutil.which("valgrind") is None:
        print("nothing is counted: there is no valgrind here")
        return 0
    try:
        now = counted(asked.only or every)
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        print(f"nothing was counted: {error}", file=sys.stderr)
        return 2
    entry = _read(asked.file).get(minor(), {}).get(build(), {})
    text, grown = compared(entry.get("counts", {}), now)
    print(f"instructions a row, {python()}, {build()} core\n\n{text}\n")
    if asked.keep:
        _keep(asked.file, now)
        print("kept")
        return 0
    if not entry:
        print(f"nothing is kept for {minor()} and the {build()} core; --keep keeps these")
        return 0
    if entry["python"] != python():
        print(f"not judged: what is kept was counted on {entry['python']}")
        return 0
    if grown:
        print(f"grew by more than {GROWTH:.0%}: {', '.join(grown)}. If that is wanted: make counts ARGS=--keep")
        return 1
    print(f"nothing grew by more than {GROWTH:.0%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
