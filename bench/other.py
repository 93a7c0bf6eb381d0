"""What is measured beside rows: memory, time of import, lateness. What one of these is, and what it gives.

A workload compares times of the same work. These have figures of their own, with their own units; so they have a small
section of their own in the table and in the JSON (``"other"``), and take part in ``--list`` and ``--only`` by name.

What may live here: the two classes, how goals are judged, and how the section is written. What measures is in a file of
its own for each; `EVERY` in `__main__.py` lists them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["Figures", "Other", "failed", "other_as_json", "other_table", "within"]

Tell = Callable[[str], object]


@dataclass(frozen=True)
class Figures:
    """One line: what it is of, and a value for each column that it has one for."""

    name: str
    values: dict[str, float] = field(default_factory=dict)
    goal: str = ""
    met: bool | None = None
    trouble: str = ""
    """Why there is nothing, or what is wrong with it."""


@dataclass(frozen=True)
class Other:
    """Something that is measured in its own way. `measure(quick, tell)` takes some 20 seconds at most."""

    name: str
    title: str
    columns: Sequence[str]
    measure: Callable[[bool, Tell], list[Figures]]
    """`tell` is told what is being done. It raises nothing: what goes wrong is noted on the line."""


def within(name: str, values: dict[str, float], column: str, most: float, unit: str) -> Figures:
    """A line with a goal: the value of `column` is below `most`. Nothing is said of a value that is not there."""
    if column not in values:
        return Figures(name, values)
    return Figures(name, values, f"under {most:g} {unit}", values[column] < most)


def failed(name: str, error: Exception) -> Figures:
    return Figures(name, trouble=f"failed: {type(error).__name__}: {error}")


OtherResults = list[tuple[Other, list[Figures]]]


def other_table(results: OtherResults) -> str:
    """Plain text below the table of rows, each with columns of its own."""
    lines: list[str] = []
    for other, every in results:
        if lines:
            lines.append("")
        lines.append(f"{other.name}: {other.title}")
        lines.append(_line("", other.columns, ""))
        lines += [_figures(each, other.columns) for each in every]
    return "\n".join(lines)


def _figures(each: Figures, columns: Sequence[str]) -> str:
    if not each.values:
        return f"  {each.name:<51} {each.trouble or 'not measured'}"
    cells = [_value(each.values[column]) if column in each.values else "" for column in columns]
    verdict = "" if each.met is None else f"{each.goal}: {'met' if each.met else 'NOT MET'}"
    return _line(each.name, cells, "; ".join(filter(None, [verdict, each.trouble])))


def _line(name: str, cells: Sequence[str], after: str) -> str:
    return (f"  {name:<51} " + " ".join(f"{cell:>10}" for cell in cells) + f"  {after}").rstrip()


def _value(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.2f}"


def other_as_json(results: OtherResults) -> list[dict[str, Any]]:
    """The same for programs; values are rounded to what their noise leaves of them."""
    return [
        {
            "name": other.name,
            "title": other.title,
            "columns": list(other.columns),
            "figures": [
                {**asdict(each), "values": {name: float(f"{value:.4g}") for name, value in each.values.items()}}
                for each in every
            ],
        }
        for other, every in results
    ]
