"""Charts and a table out of the JSON of `python -m bench --json FILE`: `python -m bench.charts FILE FOLDER`.

The book shows those of the results that are kept in `bench/results`; `python docs/draw` draws them there, and writes
the table of the page "Speed".

What may live here: which figure is in which chart, found by the names of workloads and contestants, and how it is
called. A workload or a contestant that is not in the results is left out, in the charts and in the table. Nothing is
measured here, and flow is not imported; how a chart is drawn is in `docs/draw`, with the other pictures.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

from .machine import ROOT

sys.path.append(str(ROOT / "docs" / "draw"))  # which is no package; at the end, so that it hides nothing

import plots
from pencil import OTHER, RUNS, WARM

__all__ = ["CHARTS", "KEPT", "Found", "contestants", "draw", "measured_on", "page", "per_row", "table", "time_of"]

KEPT = ROOT / "bench" / "results" / "3.13.json"
"""The results that the book shows."""

Found = dict[str, Any]
"""What the JSON has."""

GREEN, LILAC = "#3f7d4e", "#7d5aa6"

STAGES = [
    ("bare generators", r"chain-(\d+)", "bare", OTHER, True),
    ("flow, await", r"chain-(\d+)", "flow: await", RUNS, False),
    ("flow, .blocks()", r"async-for-(\d+)", r"flow: .*blocks", GREEN, False),
    ("flow, async for", r"async-for-(\d+)", r"flow: plain stages$", LILAC, False),
    ("native async generators", r"async-for-(\d+)", "native", LILAC, True),
    ("flow, classic stages", r"classic-(\d+)", "flow", WARM, False),
    ("aiostream", r"async-for-(\d+)", "aiostream", WARM, True),
]
"""Curves over the number of stages: name, workload with that number, contestant, colour, and is it not flow's?"""

EDGES = [
    ("threaded", "A thread"),
    ("(source-)?callback", "Callbacks"),
    ("query", "A query"),
    ("lines", "Lines out of bytes"),
    ("buffer", "A buffer of 64 rows"),
    ("async-stage", "An async generator as a stage"),
    ("echo", "An echo server, 1,000 connections"),
]
"""Workloads with an edge, and how the chart calls each."""

MEMORY = [
    ("flow, between two rows", "flow: a run", RUNS, False),
    ("flow, a task waits", "flow: the same", LILAC, False),
    ("native async generators", "native", OTHER, True),
    ("tasks and queues by hand", "by hand", GREEN, True),
    ("aiostream", "aiostream", WARM, True),
]

CHOICES = [
    ("10 plain stages, `await stage`", "chain-10", "flow: await"),
    ("10 plain stages, `for` in a script", "for-10", "flow: for"),
    ("10 plain stages, `async for` over `.blocks()`", "async-for-10", r"flow: .*blocks"),
    ("10 plain stages, `async for`", "async-for-10", r"flow: plain stages$"),
    ("1 plain stage, `async for`", "async-for-1", r"flow: plain stages$"),
    ("1 plain stage, `await stage`", "chain-1", "flow: await"),
    ("1 classic stage, `await stage`", "classic-1", "flow"),
    ("an async generator as a stage, `async for`", "async-stage", "flow: async for"),
    ("`Merge` of two inputs, `async for`", "merge", "flow"),
    ("`map(f, concurrency=8)`", "calls", r"flow: map\(f, concurrency"),
    ("`buffer(64)`, `await`", "buffer", "flow: await"),
    ("`Threaded`, `async for`", "threaded", "flow: async for"),
    ("a query, `async for`", "query", r"flow: async for"),
]
"""Lines of the table: what one writes, the workload, and the contestant."""


# --------------------------------------------------------------------------------------------------------------------
# Out of the JSON


def contestants(found: Found, workload: str, name: str) -> Iterator[tuple[re.Match[str], Found]]:
    """Those that were measured, by what their workload is called and by how they begin."""
    for group in found.get("workloads", []):
        if match := re.fullmatch(workload, group["name"]):
            for each in group["contestants"]:
                if each["seconds"] and not each["trouble"] and re.match(name, each["name"]):
                    yield match, each
                    break


def per_row(contestant: Found) -> float:
    seconds: float = median(contestant["seconds"])
    return seconds / contestant["rows"]


def measured_on(found: Found) -> str:
    """In a sentence: on what, and how much."""
    facts = found["versions"]
    of = "processor time" if found.get("processor") else "wall time"
    return (
        f"flow {facts['flow']} ({facts.get('build', 'pure')}) on {facts['python']}, {facts['platform']}, "
        f"{facts.get('processor', 'unknown processor')}; {found['rows']:,} rows at most, {found['rounds']} rounds, {of}"
    )


# --------------------------------------------------------------------------------------------------------------------
# How figures are written


def _three(value: float) -> str:
    """Three digits that count, without an exponent."""
    if value >= 100:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{value:.3g}"


def time_of(seconds: float) -> str:
    for unit, least in (("s", 1), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= least * 0.9995:
            return f"{_three(seconds / least)} {unit}"
    return f"{_three(seconds * 1e9)} ns"


def _count(value: float) -> str:
    return f"{_three(value / 1e6)} million" if value >= 999_500 else _three(value)


def _ratio(value: float) -> str:
    return f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"


# --------------------------------------------------------------------------------------------------------------------
# The charts, and the table


def stages(found: Found) -> str:
    every = []
    for name, workload, contestant, colour, other in STAGES:
        points = [(float(match[1]), per_row(each)) for match, each in contestants(found, workload, contestant)]
        every.append(plots.Curve(name, sorted(points), colour, other))
    return plots.curves(
        "Time a row, against the number of stages",
        measured_on(found),
        every,
        plots.Axis("stages", _three),
        plots.Axis("time a row", time_of),
    )


def edges(found: Found) -> str:
    every = []
    for workload, title in EDGES:
        for group in found.get("workloads", []):
            if not re.fullmatch(workload, group["name"]):
                continue
            for each in group["contestants"]:
                if each["seconds"] and not each["trouble"]:
                    ours = each["name"].startswith("flow")
                    value = 1 / per_row(each)
                    colour = RUNS if ours else OTHER
                    unit = f" ({group['unit']}s)" if group["unit"] != "row" else ""
                    name = each["name"]
                    every.append(plots.Lane(title + unit, name, value, colour, hollow=not ours))
    return plots.lanes(
        "Rows a second, of each edge", measured_on(found), every, plots.Axis("rows a second (more is better)", _count)
    )


def memory(found: Found) -> str:
    figures: list[Found] = next((each["figures"] for each in found.get("other", []) if each["name"] == "memory"), [])
    every = []
    for name, begins, colour, other in MEMORY:
        values: dict[str, float] = next((each["values"] for each in figures if each["name"].startswith(begins)), {})
        points = [(float(number.replace(",", "")), value) for number, value in values.items()]
        every.append(plots.Curve(name, sorted(points), colour, other))
    return plots.curves(
        "Memory of idle runs of three stages, against their number",
        measured_on(found),
        every,
        plots.Axis("runs that are open", lambda number: f"{number:,.0f}"),
        plots.Axis("memory for each", lambda value: f"{_three(value)} KB", straight=True),
    )


CHARTS: dict[str, Callable[[Found], str]] = {
    "speed-stages.svg": stages,
    "speed-edges.svg": edges,
    "speed-memory.svg": memory,
}


def table(found: Found) -> str:
    """What a row costs in each way that was measured, beside the reference of its workload; in Markdown."""
    lines = ["| what you write | a row takes | beside | ratio |", "|---|---|---|---|"]
    for text, workload, contestant in CHOICES:
        for _, each in contestants(found, re.escape(workload), contestant):
            if each["ratios"]:
                group = next(group for group in found["workloads"] if group["name"] == workload)
                beside = group["contestants"][0]["name"].replace("|", r"\|")
                ratio = _ratio(median(each["ratios"]))
                lines.append(f"| {text} | {time_of(per_row(each))} | {beside} | {ratio} |")
    return "\n".join([*lines, "", f"Measured: {measured_on(found)}."])


MARKED = re.compile(r"(?<=<!-- figures: python docs/draw -->\n).*?(?=<!-- end of figures -->)", re.DOTALL)


def page(text: str, figures: str) -> str:
    """The page, with the tables that results give between its two marks."""
    written, times = MARKED.subn(lambda _: f"\n{figures}\n\n", text)
    if times != 1:
        raise ValueError("the page has no place for the figures: two comments, as in docs/design/speed.md")
    return written


def draw(found: Found, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, chart in CHARTS.items():
        (folder / name).write_text(chart(found), encoding="utf-8", newline="\n")


def main() -> int:
    if len(sys.argv) != 3:
        print("usage: python -m bench.charts RESULTS.json FOLDER", file=sys.stderr)
        return 2
    draw(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[2]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
