"""Draws the pictures of the book, and writes its table of operators: `python docs/draw` puts them in their places.

    python docs/draw FOLDER     # below another folder than docs/, to compare

They are committed, so that the pages can be read without this; tests/docs/test_book.py and test_operators.py hold that
they are what this makes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import operators
import stacks
import timelines

PICTURES = {
    "design/engine.svg": timelines.engine,
    "pictures/merge-and-zip.svg": timelines.merge_and_zip,
    "pictures/pressure.svg": stacks.pressure,
    "pictures/requests.svg": timelines.requests,
    "pictures/stack.svg": stacks.stack,
    "reference/operators.md": operators.page,
}


def main(folder: Path) -> None:
    for name, draw in PICTURES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(draw(), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1])
