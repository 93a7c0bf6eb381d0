"""What was measured, as a table for people and as JSON for programs. What may live here: text, and no times taken."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from dataclasses import asdict
from statistics import median
from typing import Any, TextIO

from .machine import facts
from .measure import Measured, Way, Workload
from .other import OtherResults, other_as_json, other_table

__all__ = ["Progress", "as_json", "header", "table"]

Results = list[tuple[Workload, list[Measured]]]


def header(pinning: str, way: Way) -> str:
    found = facts()
    return "\n".join(
        [
            f"flow {found['flow']} ({found['build']} core) on {found['python']}",
            f"{found['platform']}, {found['processor']}, {found['cores']} cores",
            f"greenlet {found['greenlet']}, aiostream {found['aiostream']}; event loop: asyncio",
            f"{way.rows:,} rows at most, {way.rounds} rounds, {pinning}; workloads with threads (+) are never pinned.",
            f"{'Processor' if way.processor else 'Wall'} time; gc.collect() before each sample; the collector is on.",
            "ratio: time a row against the first line of each group, in samples that follow each other: the median",
            "of the rounds, with the smallest and the largest. added: nanoseconds a row more than that first line.",
        ]
    )


COLUMNS = ("rows", "ns a row", "ratio", "min-max", "added", "goal")


def table(results: Results, others: OtherResults) -> str:
    """Plain text, one group for each workload; below them what is measured beside rows."""
    lines: list[str] = []
    for workload, every in results:
        mark = " +" if workload.threads else ""
        title = f"{workload.name}{mark}: {workload.title}"
        if workload.unit != "row":
            title += f" (a row is a {workload.unit} here)"
        if not lines:
            lines += [_line("", *COLUMNS), "-" * 120]
        else:
            lines.append("")
        lines.append(title)
        lines += [_row(each, place == 0) for place, each in enumerate(every)]
    if others:
        lines += [*([""] if lines else []), other_table(others)]
    goals = [each.met for _, every in results for each in every if each.met is not None]
    goals += [each.met for _, every in others for each in every if each.met is not None]
    if goals:
        lines += ["", f"{sum(goals)} of {len(goals)} goals met."]
    return "\n".join(lines)


def _line(name: str, rows: str, each: str, ratio: str, spread: str, added: str, goal: str) -> str:
    return f"  {name:<43} {rows:>9} {each:>9} {ratio:>7} {spread:>14} {added:>9}  {goal}".rstrip()


def _row(each: Measured, is_reference: bool) -> str:
    name = each.contestant.name
    if each.trouble or not each.seconds:
        return f"  {name:<43} {each.trouble or 'not measured'}"
    rows, ns = f"{each.rows:,}", f"{each.per_row * 1e9:,.0f}"
    if is_reference:
        return _line(name, rows, ns, "1", "", "", "")
    goal = _goal(each)
    if not each.ratios:
        return _line(name, rows, ns, "", "", "", goal)
    spread = f"{_ratio(min(each.ratios))}-{_ratio(max(each.ratios))}"
    return _line(name, rows, ns, _ratio(median(each.ratios)), spread, f"{median(each.added) * 1e9:+,.0f}", goal)


def _ratio(value: float) -> str:
    return f"{value:.3f}" if value < 0.1 else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def _goal(each: Measured) -> str:
    goal = each.contestant.goal
    if goal is None:
        return ""
    if each.met is None:
        return f"{goal.text}: not measured"
    said = f"{goal.text}: {'met' if each.met else 'NOT MET'}"
    return said if each.rows >= goal.rows else f"{said} (set for {goal.rows:,} rows)"


def as_json(results: Results, way: Way, others: OtherResults) -> str:
    """Every sample, so that other questions can be asked of it; in few enough digits and lines to be kept."""
    found: dict[str, Any] = {"versions": facts(), **asdict(way), "workloads": []}
    for workload, every in results:
        group: dict[str, Any] = {"name": workload.name, "title": workload.title, "unit": workload.unit}
        group["contestants"] = [
            {
                "name": each.contestant.name,
                "rows": each.rows,
                "seconds": _rounded(each.seconds),
                "ratios": _rounded(each.ratios),
                "goal": each.contestant.goal and each.contestant.goal.most,
                "met": each.met,
                "trouble": each.trouble,
            }
            for each in every
        ]
        found["workloads"].append(group)
    found["other"] = other_as_json(others)
    return SAMPLES.sub(lambda many: re.sub(r"\s+", " ", many[0]), json.dumps(found, indent=1)) + "\n"


SAMPLES = re.compile(r"(?<=\[)\n\s+[-\d.e]+(?:,\s+[-\d.e]+)*\s+(?=\])")
"""Numbers in a list: they are written on one line, not on one each."""


def _rounded(samples: list[float]) -> list[float]:
    """More than five digits are noise."""
    return [float(f"{each:.5g}") for each in samples]


class Progress:
    """What is being measured now, on one line of a terminal, or as a line for each workload elsewhere."""

    def __init__(self, total: int, out: TextIO = sys.stderr) -> None:
        self._total = total
        self._out = out
        self._number = 0
        self._lively = out.isatty()

    def begin(self, name: str) -> Callable[[str], None]:
        """The next workload. The function that is returned tells what is done for it."""
        self._number += 1
        start = f"[{self._number}/{self._total}] {name}"
        if not self._lively:
            print(start, file=self._out, flush=True)

        def tell(what: str) -> None:
            if self._lively:
                print(f"\r\x1b[K{start}: {what}", end="", file=self._out, flush=True)

        return tell

    def end(self) -> None:
        if self._lively:
            print("\r\x1b[K", end="", file=self._out, flush=True)
