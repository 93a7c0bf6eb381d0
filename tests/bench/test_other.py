"""What is measured beside rows: memory, lateness, the time of imports. No time is asserted."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from time import sleep

import pytest

from bench import imports, lateness, memory
from bench.__main__ import OTHERS, main
from bench.machine import fresh
from bench.measure import Way
from bench.other import Figures, Other, other_table, within
from bench.report import as_json, table


def test_import_flow_brings_no_loop() -> None:
    """A fresh process that imports flow has imported no event loop, and no framework."""
    assert imports.imported_by_flow() == []


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
@pytest.mark.parametrize("kind", memory.KINDS)
def test_each_kind_of_idle_chain_is_held(kind: str) -> None:
    """Each kind opens its chains, in a process of its own, and says what each holds."""
    if kind == "aiostream":
        pytest.importorskip("aiostream")
    found = json.loads(fresh("-W", "error", "-m", "bench.memory", kind, "5,20"))
    assert set(found) == {"5", "20"}
    assert 0 <= found["20"] < 1_000_000


@pytest.mark.parametrize("kind", lateness.KINDS)
@pytest.mark.blocking_ok
def test_each_kind_of_busy_work_ends(kind: str) -> None:
    """Each ends by the clock, and each millisecond of it has one figure."""
    if kind.startswith("aiostream"):
        pytest.importorskip("aiostream")
    with asyncio.Runner() as runner:
        late = runner.run(lateness._beside(lateness.KINDS[kind], 0.02))
    assert len(late) >= 15
    assert min(late) >= 0


@pytest.mark.blocking_ok
def test_a_held_loop_makes_each_tick_late() -> None:
    """A loop that is held for 20 ms makes all the ticks of this time late, the first one by all of it."""

    async def held() -> list[float]:
        ticker = lateness.Ticker(0.001)
        await asyncio.sleep(0)
        sleep(0.02)
        return ticker.stop()

    late = asyncio.run(held())
    assert len(late) >= 19
    assert late == sorted(late, reverse=True)
    assert late[0] >= 0.018


def test_goals() -> None:
    """A value below its goal meets it; where it was not measured, there is neither a goal nor a verdict."""
    assert within("x", {"a": 2.0}, "a", 3, "KB") == Figures("x", {"a": 2.0}, "under 3 KB", True)
    assert within("x", {"a": 3.0}, "a", 3, "KB").met is False
    assert within("x", {"b": 3.0}, "a", 3, "KB").met is None


def test_the_table_and_the_json_have_them() -> None:
    """A section of its own in the table, with its goals among all; every figure in the JSON, and no path or host."""
    other = Other("weight", "how heavy it is", ("g", "kg"), lambda quick, tell: [])
    every = [Figures("flow", {"g": 1.25, "kg": 1234.0}, "under 2 g", True), Figures("other", trouble="not installed")]
    text = table([], [(other, every)])
    assert text.startswith("weight: how heavy it is")
    assert "1.25" in text
    assert "1,234  under 2 g: met" in text
    assert "other                                               not installed" in text
    assert text.endswith("1 of 1 goals met.")
    found = json.loads(as_json([], Way(1, 1), [(other, every)]))
    assert found["other"][0]["figures"][0]["values"] == {"g": 1.25, "kg": 1234.0}
    assert other_table([]) == ""


def test_a_kind_that_fails_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """What can't be measured says why, and the others are measured."""

    async def broken(end: float) -> None:
        raise OSError("no such thing")

    monkeypatch.setattr(lateness, "KINDS", {"broken": broken, "nothing else": lateness.KINDS["nothing else"]})
    first, second = lateness.LATENESS.measure(True, lambda what: None)
    assert first.trouble == "failed: OSError: no such thing"
    assert second.values["ticks"] > 1
    with pytest.raises(RuntimeError, match="SystemExit|boom"):
        fresh("-c", "raise SystemExit('boom')")


def test_they_are_listed_and_chosen_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`--only NAME` measures just this, and writes JSON and charts of it."""
    monkeypatch.setattr(lateness, "KINDS", {"nothing else": lateness.KINDS["nothing else"]})
    file, folder = tmp_path / "found.json", tmp_path / "charts"
    monkeypatch.setattr(
        sys, "argv", ["bench", "--quick", "--only", "lateness", "--json", str(file), "--charts", str(folder)]
    )
    assert main() == 0
    found = json.loads(file.read_text(encoding="utf-8"))
    assert [each["name"] for each in found["other"]] == ["lateness"]
    assert found["workloads"] == []
    assert len(list(folder.iterdir())) == 3


def test_names_differ_from_those_of_workloads(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--list` has each name once."""
    monkeypatch.setattr(sys, "argv", ["bench", "--list"])
    assert main() == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert len(names) == len(set(names))
    assert {each.name for each in OTHERS} <= set(names)
