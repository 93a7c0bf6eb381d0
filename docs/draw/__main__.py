"""Draws the pictures of the book, and writes its tables of operators and of speed: `python docs/draw` places them.

    python docs/draw FOLDER     # below another folder than docs/, to compare

They are committed, so that the pages can be read without this; tests/docs/test_book.py and test_operators.py, and
tests/bench/test_charts.py, hold that they are what this makes. The figures of the charts are those of bench/results.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path

import operators
import stacks
import timelines

DOCS = Path(__file__).parents[1]
sys.path.insert(0, str(DOCS.parent))

from bench import charts, goals  # noqa: E402 (what a chart of the benchmarks shows is said there)

FIGURES = json.loads(charts.KEPT.read_text(encoding="utf-8"))


def text_of(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


PICTURES = {
    "design/engine.svg": timelines.engine,
    "pictures/merge-and-zip.svg": timelines.merge_and_zip,
    "pictures/pressure.svg": stacks.pressure,
    "pictures/requests.svg": timelines.requests,
    "pictures/stack.svg": stacks.stack,
    "reference/operators.md": operators.page,
    "design/performance.md": lambda: charts.page(text_of("design/performance.md"), goals.tables()),
    "design/speed.md": lambda: charts.page(text_of("design/speed.md"), charts.table(FIGURES)),
    **{f"pictures/{name}": partial(chart, FIGURES) for name, chart in charts.CHARTS.items()},
}


def main(folder: Path) -> None:
    for name, draw in PICTURES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(draw(), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS)
