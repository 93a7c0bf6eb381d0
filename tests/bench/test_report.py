"""The table and the JSON of what was measured."""

from __future__ import annotations

import json

from bench.measure import Contestant, Goal, Measured, Way, Workload
from bench.report import as_json, header, table

GOAL = Goal(2.0, "at most {ratio}")
BARE, FLOW, ABSENT = (
    Contestant("bare", lambda rows: lambda: rows),
    Contestant("flow", lambda rows: lambda: rows, goal=GOAL),
    Contestant("other", lambda rows: lambda: rows, missing="not installed: pip install other"),
)
WORKLOAD = Workload("one", "a title", [BARE, FLOW, ABSENT], unit="line")


def results() -> list[tuple[Workload, list[Measured]]]:
    return [
        (
            WORKLOAD,
            [
                Measured(BARE, 1000, [0.001, 0.0010000123]),
                Measured(FLOW, 1000, [0.002, 0.003], [1.5, 1.7], [1e-6, 2e-6]),
                Measured(ABSENT, 1000, trouble=ABSENT.missing),
            ],
        )
    ]


def test_a_table_has_a_line_for_each() -> None:
    """Ratios with their spread, goals with their verdict, and why somebody is not there."""
    text = table(results(), [])
    assert "one: a title (a row is a line here)" in text
    assert "1.60" in text
    assert "1.50-1.70" in text
    assert "at most 2" in text
    assert ": met" in text
    assert "not installed: pip install other" in text
    assert text.endswith("1 of 1 goals met.")


def test_the_json_can_be_kept() -> None:
    """Each sample is in it, in five digits and on one line; and the machine, without a name or a path of it."""
    text = as_json(results(), Way(1000, 2), [])
    found = json.loads(text)
    assert found["workloads"][0]["contestants"][0]["seconds"] == [0.001, 0.001]
    assert '"seconds": [ 0.002, 0.003 ]' in text
    assert found["rows"] == 1000
    assert found["other"] == []
    assert "/" not in "".join(found["versions"].values())
    assert text.endswith("}\n")


def test_the_header_says_on_what_it_was_measured() -> None:
    """flow, its build, Python, and how it was measured."""
    text = header("pinned to core 1", Way(1000, 2, processor=True))
    assert "core) on CPython" in text or "core) on PyPy" in text
    assert "1,000 rows at most, 2 rounds, pinned to core 1" in text
    assert "Processor time" in text
