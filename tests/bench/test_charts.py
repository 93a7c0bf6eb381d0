"""The charts of the book are those of the results that are kept, and what is not in the results is left out of them."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from bench import charts, goals
from bench.machine import ROOT, environment

RESULTS = sorted((ROOT / "bench" / "results").glob("*.json"))
FACTS = {"flow": "0.1", "build": "pure", "python": "CPython 3.13", "platform": "Linux", "processor": "a processor"}
SVG = "{http://www.w3.org/2000/svg}"


def results(**workloads: list[tuple[str, float]]) -> dict[str, Any]:
    """Results with these workloads, each of contestants with seconds for 1,000 rows."""
    return {
        "versions": FACTS,
        "rows": 1000,
        "rounds": 1,
        "workloads": [
            {
                "name": name.replace("_", "-"),
                "unit": "row",
                "contestants": [
                    {"name": each, "rows": 1000, "seconds": [seconds], "ratios": [2.0], "goal": None, "trouble": ""}
                    for each, seconds in contestants
                ],
            }
            for name, contestants in workloads.items()
        ],
    }


def texts(svg: str) -> list[str]:
    return [each.text or "" for each in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_the_book_shows_what_is_kept() -> None:
    """Charts and table are those that `python docs/draw` makes of bench/results."""
    found = json.loads(charts.KEPT.read_text(encoding="utf-8"))
    for name, chart in charts.CHARTS.items():
        assert (ROOT / "docs" / "pictures" / name).read_text(encoding="utf-8") == chart(found), "python docs/draw"
    design = ROOT / "docs" / "design"
    for page, figures in (("speed.md", charts.table(found)), ("performance.md", goals.tables())):
        text = (design / page).read_text(encoding="utf-8")
        assert charts.page(text, figures) == text, "python docs/draw"


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_what_is_kept_names_no_host_and_no_path(path: Path) -> None:
    """Results say on what they were measured, and neither whose machine it was nor where anything lay."""
    text = path.read_text(encoding="utf-8")
    found = json.loads(text)
    assert found["versions"]["python"].split()[1].startswith(path.stem)
    assert {"flow", "build", "processor", "cores", "platform"} <= set(found["versions"])
    assert socket.gethostname() not in text
    assert str(Path.home()) not in text
    assert not any(place in text for place in ("/home/", "/tmp/", "/usr/", "C:\\\\"))


@pytest.mark.parametrize("name", charts.CHARTS)
def test_a_chart_can_be_read_aloud(name: str) -> None:
    """Each has a title and a description with its figures, and says on what they were measured."""
    found = json.loads(charts.KEPT.read_text(encoding="utf-8"))
    svg = charts.CHARTS[name](found)
    picture = ElementTree.fromstring(svg)
    title, described = picture.findtext(f"{SVG}title"), picture.findtext(f"{SVG}desc")
    assert title in texts(svg)
    assert described is not None
    assert "flow" in described
    assert any(each.isdigit() for each in described)
    assert any(found["versions"]["python"] in each for each in texts(svg))


def test_what_is_missing_is_left_out() -> None:
    """Results without workloads, with some, or with contestants that were not there, give charts and a table."""
    for chart in charts.CHARTS.values():
        assert "not measured" in texts(chart(results()))
    assert charts.table(results()).count("\n") == 3
    found = results(chain_3=[("bare generators", 0.001), ("flow: await stage", 0.002)], threaded=[("flow: for", 0.5)])
    found["workloads"][1]["contestants"].append(
        {"name": "other", "rows": 1000, "seconds": [], "ratios": [], "trouble": "not installed"}
    )
    assert "flow, await: 2 µs" in texts(charts.stages(found))
    assert "2,000" in texts(charts.edges(found))
    assert "other" not in texts(charts.edges(found))


def test_a_curve_that_ends_early_says_where() -> None:
    """The figure at its end is not taken for one of more stages."""
    found = results(
        chain_1=[("bare", 0.001), ("flow: await stage", 0.001)], chain_30=[("bare", 0.001)], for_10=[("bare", 1)]
    )
    assert {"flow, await: 1 µs at 1", "bare generators: 1 µs"} <= set(texts(charts.stages(found)))


def test_a_ratio_comes_from_the_results() -> None:
    """The table has the median of the ratios and the time a row of the contestant that it names."""
    found = results(chain_10=[("bare generators", 0.001), ("flow: await stage", 0.002)])
    assert "| 10 plain stages, `await stage` | 2 µs | bare generators | 2.00 |" in charts.table(found)


def test_a_goal_is_told_for_each_python() -> None:
    """The table of goals has a line for each, and says what was found, what is allowed, and what was not measured."""
    found = results(chain_10=[("bare generators", 0.001), ("flow: await stage", 0.002)])
    ours = found["workloads"][0]["contestants"][1]
    ours["goal"], ours["met"] = 1.04, False
    other = results(chain_10=[("bare generators", 0.001)])
    lines = goals.goals({"3.13": found, "3.11": other}).splitlines()
    assert lines[0] == "| work | contestant | CPython 3.13 | CPython 3.11 |"
    assert lines[2:] == ["| chain-10 | flow: await stage | 2: **not met** (1.04) | not measured |"]


def test_the_least_is_told_where_both_were_measured() -> None:
    """The table of limits divides what flow takes by what the contestant takes that does no more than must be done."""
    both = [("bare generators", 0.0005), ("flow: await stage", 0.002), ("no flow: the same", 0.001)]
    found = results(chain_10=both, pause=[("no flow: a stack", 1)])
    assert goals.least(found).splitlines()[2:] == ["| ten plain stages | 2 µs | 1 µs | no flow: the same | 2.00 |"]


def test_a_page_without_a_place_for_figures_is_refused() -> None:
    """The table is never written to where nobody asked for it."""
    with pytest.raises(ValueError, match="no place for the figures"):
        charts.page("# Speed\n", charts.table(results()))


def test_charts_are_drawn_by_a_command(tmp_path: Path) -> None:
    """`python -m bench.charts RESULTS FOLDER` draws all of them, and needs no flow for it."""
    code = "import sys; sys.modules['flow'] = None; from bench.charts import main; sys.exit(main())"
    subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(charts.KEPT), str(tmp_path / "new")],
        env=environment(),
        check=True,
        timeout=20,
    )
    assert {path.name for path in (tmp_path / "new").iterdir()} == set(charts.CHARTS)
