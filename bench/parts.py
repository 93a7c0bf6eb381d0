"""Where the instructions of a row go: to the interpreter, to switches of stacks, to memory, to flow's compiled core.

`python -m bench.parts` has callgrind count, for each line of the table "What things cost at least" (`goals.LEAST`), the
reference that the goal is set against, flow, and the contestant that does only what must be done. What is in all three
is nobody's to save; what is in the last two, and not in the first, is the price of a chain that can be paused anywhere;
what flow has besides is flow's own. `--keep` writes `parts.json`, and `python docs/draw` the table of it.

As in `counts.py`, a figure is the difference of two runs of one process, divided by the rows, and the clock stands
still. What may live here: which library and which function belongs to which part, and the counting by part.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any

from .counts import python, segments
from .goals import LEAST, parts
from .goals import PARTS as KEPT
from .machine import build
from .measure import Contestant

__all__ = ["PARTS", "REST", "by_part", "counted", "main", "part_of"]

PARTS = {
    "switches": r"_greenlet\.|:slp_|:.*(memcpy|memmove|memset)",
    "memory": r":(_?Py(Object|Mem)_(Malloc|Free|Realloc|Calloc)|_?PyObject_GC_\w+|_?gc_\w+|_int_\w+|calloc|malloc\w*"
    r"|free|realloc|unlink_chunk|operator (new|delete))",
    "flow, compiled": r"_cy\.",
    "interpreter": r"^(libpython|python)|ld-linux.*:__tls_get_addr",
}
"""Whose a function is, ``library:function``: the first part that matches. What is copied is parts of stacks, nearly all
of it. A thread's state is asked for by a function of the system's loader. The rest is asyncio's C and the system's.
"""

REST = "rest"

ROWS = 1000
WAITS = 200
"""Rows where each is a wait or a run."""

Parts = dict[str, float]


def by_part(path: Path) -> Counter[str]:
    """The instructions of a file that callgrind wrote, by part: each function's own, without what it calls."""
    found: Counter[str] = Counter()
    names: dict[tuple[str, str], str] = {}
    here = {"ob": "", "fn": ""}
    part = ""
    called = False  # the next line is what a call cost, which its functions have already
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            if match := re.match(r"(c?)(ob|fn)=(\(\d+\)) ?(.*)", line):
                inside, kind, number, name = match.groups()
                if name:
                    names[kind, number] = name
                if not inside:
                    here[kind] = names.get((kind, number), "")
                    part = ""
            elif line.startswith("calls="):
                called = True
            elif re.match(r"[\d+*-]", line):
                if called:
                    called = False
                    continue
                if not part:
                    part = part_of(here["ob"].rsplit("/", 1)[-1], here["fn"])
                found[part] += int(line.split()[1])
    return found


def part_of(library: str, function: str) -> str:
    """Whose a function is."""
    name = f"{library}:{function}"
    return next((part for part, pattern in PARTS.items() if re.search(pattern, name)), REST)


# --------------------------------------------------------------------------------------------------------------------
# What is counted


def _cases() -> Iterator[tuple[str, str, str, int]]:
    """(line of LEAST, whose, workload and contestant, rows)."""
    names = [each.split("\n") for each in _contestants()]
    for text, workload, ours, place, other in LEAST:
        for whose, wanted, pattern in (
            ("reference", workload, ""),
            ("flow", workload, ours),
            ("the least", place, other),
        ):
            name = next(name for group, name in names if group == wanted and re.match(pattern, name))
            yield text, whose, f"{wanted}\n{name}", WAITS if workload in ("pause", "run") else ROWS


def _contestants() -> dict[str, Contestant]:
    """All of them, by their workload and their name."""
    from .work import workloads  # imports flow, and no peer

    return {f"{each.name}\n{other.name}": other for each in workloads() for other in each.contestants}


def _inside() -> None:
    """What valgrind runs."""
    from .paths import Path as Counted
    from .paths import run

    every = _contestants()

    def case(text: str, name: str, rows: int) -> Counted:
        jobs: dict[int, Callable[[], Any]] = {}

        def prepare(rows: int) -> None:
            jobs[rows] = every[name].prepare(rows)

        async def work(rows: int) -> None:
            made = jobs[rows]()
            if iscoroutinefunction(jobs[rows]):
                await made

        return Counted(name, text, rows, work, prepare)

    run(case(text, name, rows) for text, _, name, rows in _cases())


def counted() -> dict[str, dict[str, Parts]]:
    """The parts of each line of LEAST: of the reference, of flow, and of the least."""
    cases = list(_cases())
    found = segments(["-m", "bench.parts", "--inside"], by_part)
    if len(found) != 3 * len(cases):
        raise RuntimeError(f"valgrind saw {len(found)} of {3 * len(cases)} marks: is getsid not called from libc?")
    lines: dict[str, dict[str, Parts]] = {}
    for place, (text, whose, _, rows) in enumerate(cases):
        once, twice = found[3 * place + 1 : 3 * place + 3]
        lines.setdefault(text, {})[whose] = {
            part: round(max(0, twice[part] - once[part]) / rows) for part in [*PARTS, REST]
        }
    return lines


def main(given: Sequence[str] | None = None) -> int:
    """0: counted, or there is no valgrind; 2: the counting was wrong."""
    parser = argparse.ArgumentParser(prog="python -m bench.parts", description="Says where the instructions go.")
    parser.add_argument("--keep", action="store_true", help="keep the figures that are found now")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args(given)
    if asked.inside:
        _inside()
        return 0
    if shutil.which("valgrind") is None:
        print("nothing is counted: there is no valgrind here")
        return 0
    try:
        found = {"python": python(), "build": build(), "order": [*PARTS, REST], "parts": counted()}
    except RuntimeError as error:
        print(f"nothing was counted: {error}", file=sys.stderr)
        return 2
    print(parts(found))
    if asked.keep:
        KEPT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
