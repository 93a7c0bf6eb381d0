"""Which goals were met, on each Python, and what the same work costs at least: the tables of the page "Performance".

`python docs/draw` writes them there, out of the results that are kept in `bench/results`, and of `bench/parts.json`.
What may live here: which line stands in which table. Nothing is measured here, and flow is not imported.
"""

from __future__ import annotations

import json
from statistics import median
from typing import Any

from .charts import KEPT, Found, contestants, measured_on, per_row, time_of
from .machine import ROOT

__all__ = ["LEAST", "PARTS", "tables"]

PARTS = ROOT / "bench" / "parts.json"
"""Where the instructions of each line of LEAST go: what `python -m bench.parts` found."""

LEAST = [
    ("one plain stage", "chain-1", "flow: await", "chain-1", "no flow"),
    ("three plain stages", "chain-3", "flow: await", "chain-3", "no flow"),
    ("ten plain stages", "chain-10", "flow: await", "chain-10", "no flow"),
    ("blocks of rows, to rows", "blocks", "flow: blocks . chain", "blocks", "no flow"),
    ("`async for` over three plain stages", "async-for-3", "flow: plain stages$", "async-for-3", "greenlet"),
    ("two ready inputs merged", "merge-steps", "flow: await", "pause", "greenlet"),
    ("one classic stage", "classic-1", "flow", "classic-1", "no flow"),
    ("ten classic stages", "classic-10", "flow", "classic-10", "no flow"),
    ("lines out of pieces", "lines", "flow: await", "lines", "no flow"),
    ("a wait, the loop's own turn in it", "pause", "flow: flow.wait", "pause", "no flow"),
    ("an async generator as a stage", "async-stage", "flow: async for", "async-stage", "no flow"),
    ("a run of one row, from start to end", "run", "flow: await stage", "run", "no flow"),
]
"""What is done, workload and contestant of flow, and those of the one that does no more than must be done."""


def least(found: Found) -> str:
    lines = ["| what | flow | the least | that is | ratio |", "|---|---|---|---|---|"]
    for text, workload, ours, place, other in LEAST:
        mine = next((each for _, each in contestants(found, workload, ours)), None)
        theirs = next((each for _, each in contestants(found, place, other)), None)
        if mine is None or theirs is None:
            continue
        ratio = per_row(mine) / per_row(theirs)
        name = theirs["name"].replace("|", r"\|")
        lines.append(f"| {text} | {time_of(per_row(mine))} | {time_of(per_row(theirs))} | {name} | {ratio:.2f} |")
    return "\n".join(lines)


def goals(every: dict[str, Found]) -> str:
    """A line for each goal; a column for each Python."""
    heads = [f"CPython {python}" for python in every]
    lines = [f"| work | contestant | {' | '.join(heads)} |", f"|---|---|{'---|' * len(every)}"]
    first = next(iter(every.values()))
    for group in first["workloads"]:
        for each in group["contestants"]:
            if each["goal"] is not None:
                cells = [_cell(found, group["name"], each["name"]) for found in every.values()]
                name = each["name"].replace("|", r"\|")
                lines.append(f"| {group['name']} | {name} | {' | '.join(cells)} |")
    for place, other in enumerate(first.get("other", [])):
        for number, figure in enumerate(other["figures"]):
            if figure["goal"]:
                shown = [found["other"][place]["figures"][number] for found in every.values() if found.get("other")]
                cells = [f"{'met' if each['met'] else '**not met**'} ({each['goal']})" for each in shown]
                lines.append(f"| {other['name']} | {figure['name']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(found: Found, workload: str, name: str) -> str:
    for group in found["workloads"]:
        for each in group["contestants"]:
            if (group["name"], each["name"]) == (workload, name) and each["ratios"]:
                if each["goal"] < 1e-3:  # seconds that are added to the reference
                    added = per_row(each) - per_row(group["contestants"][0])
                    return _judged(each, time_of(added), time_of(each["goal"]))
                return _judged(each, f"{median(each['ratios']):.3g}", f"{each['goal']:.3g}")
    return "not measured"


def _judged(each: dict[str, Any], found: str, most: str) -> str:
    return f"{found}: {'met' if each['met'] else '**not met**'} ({most})"


def parts(found: dict[str, Any]) -> str:
    """Where the instructions go: of the reference of the goal, of flow, and of the least; each with its ratio to the
    first of these.
    """
    heads = ["what", "whose", "instructions", "ratio", *found["order"]]
    lines = [f"| {' | '.join(heads)} |", f"|---|---|{'--:|' * (len(heads) - 2)}"]
    for text, every in found["parts"].items():
        wholes = {whose: sum(counts.values()) for whose, counts in every.items()}
        for whose, counts in every.items():
            ratio = wholes[whose] / wholes["reference"]
            cells = [f"{wholes[whose]:,}", f"{ratio:.2f}", *(f"{counts[part]:,}" for part in found["order"])]
            lines.append(f"| {text if whose == 'reference' else ''} | {whose} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", f"Instructions a row, by callgrind: {found['python']}, {found['build']} core."])


def tables() -> str:
    """Out of all results that are kept, the book's own first."""
    files = [KEPT, *sorted(each for each in KEPT.parent.glob("*.json") if each != KEPT)]
    every = {each.stem: json.loads(each.read_text(encoding="utf-8")) for each in files}
    first = every[KEPT.stem]
    return "\n\n".join(
        [
            least(first),
            f"Measured: {measured_on(first)}.",
            "Where the instructions of a row go: in what the goal is set against, in flow, and in the least:",
            parts(json.loads(PARTS.read_text(encoding="utf-8"))),
            "The goals, and what was found; the most that is allowed is in brackets:",
            goals(every),
        ]
    )
