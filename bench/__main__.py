"""The command line: ``python -m bench --help``. What may live here: arguments, and the order of things."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from time import perf_counter

from .charts import draw
from .imports import IMPORTS
from .lateness import LATENESS
from .measure import Measured, Way, Workload, measure, on_one_core
from .memory import MEMORY
from .other import Figures, Other
from .report import Progress, as_json, header, table
from .work import workloads

OTHERS = [MEMORY, LATENESS, IMPORTS]
"""What is measured beside rows, in the order of the table."""


def _positive(text: str) -> int:
    value = int(text.replace(",", "").replace("_", ""))
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measures flow beside bare generators, native async generators, aiostream and Twisted, in one run.",
    )
    parser.add_argument("--quick", action="store_true", help="fewer rows and rounds: about 40 seconds")
    parser.add_argument(
        "--only", metavar="NAME", action="append", help="this workload, or all with NAME in theirs; may be repeated"
    )
    parser.add_argument("--list", action="store_true", help="print the names of the workloads, and do nothing")
    parser.add_argument("--rows", type=_positive, help="rows of the longest workloads (default 1,000,000)")
    parser.add_argument("--rounds", type=_positive, help="samples of each contestant, at least (default 5)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write every sample to FILE")
    parser.add_argument("--charts", metavar="DIR", type=Path, help="draw charts of what was measured into DIR")
    parser.add_argument("--no-pin", action="store_true", help="do not keep the process on one core")
    parser.add_argument("--cpu", action="store_true", help="processor time in place of wall time: for a busy machine")
    return parser.parse_args()


def _is_asked(name: str, asked: list[str], every: set[str]) -> bool:
    """A full name means that workload, part of one means all that have it."""
    return any(name == each if each in every else each in name for each in asked)


def main() -> int:
    asked = _arguments()
    every: list[Workload | Other] = [*workloads(), *OTHERS]
    if asked.list:
        print("\n".join(f"{each.name:<16} {each.title}" for each in every))
        return 0
    names = {each.name for each in every}
    chosen = [each for each in every if not asked.only or _is_asked(each.name, asked.only, names)]
    if not chosen:
        print(f"no workload is called so; there are: {', '.join(each.name for each in every)}", file=sys.stderr)
        return 2
    start = perf_counter()
    rows = asked.rows or (100_000 if asked.quick else 1_000_000)
    way = Way(rows, asked.rounds or (3 if asked.quick else 5), not asked.no_pin, asked.cpu)
    with on_one_core(way.pin) as pinning:
        text = header(pinning, way)  # said as it is done, and done again around each workload
    print(text, end="\n\n", flush=True)
    progress = Progress(len(chosen))
    results: list[tuple[Workload, list[Measured]]] = []
    others: list[tuple[Other, list[Figures]]] = []
    try:
        for each in chosen:
            tell = progress.begin(each.name)
            if isinstance(each, Other):
                others.append((each, each.measure(asked.quick, tell)))
            else:
                results.append((each, measure(each, way, tell)))
    except KeyboardInterrupt:
        print("interrupted: this is what was measured before", file=sys.stderr)
    progress.end()
    print(table(results, others))
    print(f"\n{perf_counter() - start:.0f} seconds")
    found = as_json(results, way, others)
    if asked.json is not None:
        asked.json.write_text(found, encoding="utf-8")
    if asked.charts is not None:
        draw(json.loads(found), asked.charts)
    return 0


if __name__ == "__main__":
    sys.exit(main())
