"""Counts of instructions: a path that grew is found, and what can't be judged is not judged."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench import counts
from bench.machine import build, minor

NOW = {"plain-1": 1000.0, "merge": 5000.0}


def kept(file: Path, figures: dict[str, float], python: str | None = None) -> Path:
    entry = {"python": python or counts.python(), "counts": figures}
    file.write_text(json.dumps({minor(): {build(): entry}}), encoding="utf-8")
    return file


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Valgrind is there, and counts NOW."""
    monkeypatch.setattr(shutil, "which", lambda name: name)
    monkeypatch.setattr(counts, "counted", lambda names: dict(NOW))


@pytest.mark.usefixtures("counting")
def test_a_path_that_grew_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A kept figure that is 10 percent lower than what is counted now fails, and names the path."""
    file = kept(tmp_path / "counts.json", {**NOW, "merge": NOW["merge"] * 0.9})
    assert counts.main(["--file", str(file)]) == 1
    said = capsys.readouterr().out
    assert "grew by more than 5%: merge." in said
    assert "+11.1%  GREW" in said


@pytest.mark.usefixtures("counting")
def test_little_growth_and_new_paths_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Growth up to 5 percent, a path that shrank, and one that has no kept figure are no finding."""
    file = kept(tmp_path / "counts.json", {"plain-1": NOW["plain-1"] / 1.04})
    assert counts.main(["--file", str(file)]) == 0
    assert "new" in capsys.readouterr().out
    assert counts.main(["--file", str(kept(file, {"plain-1": 9000.0, "merge": 9000.0}))]) == 0


@pytest.mark.usefixtures("counting")
def test_another_python_is_not_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Figures of another build of Python, or none, say nothing about flow."""
    file = kept(tmp_path / "counts.json", {"merge": 1.0}, python="CPython 3.0, a compiler")
    assert counts.main(["--file", str(file)]) == 0
    assert "not judged" in capsys.readouterr().out
    assert counts.main(["--file", str(tmp_path / "none.json")]) == 0
    assert "nothing is kept" in capsys.readouterr().out


@pytest.mark.usefixtures("counting")
def test_keep_writes_what_was_counted(tmp_path: Path) -> None:
    """The paths that were counted are replaced; others, other builds and other versions of Python stay."""
    file = kept(tmp_path / "counts.json", {"merge": 1.0, "pause": 7.0})
    every = json.loads(file.read_text())
    file.write_text(json.dumps({**every, "3.0": {"pure": {"python": "old", "counts": {}}}}))
    assert counts.main(["--file", str(file), "--keep"]) == 0
    found = json.loads(file.read_text())
    assert found[minor()][build()]["counts"] == {**NOW, "pause": 7.0}
    assert "3.0" in found
    assert counts.main(["--file", str(file)]) == 0


def test_without_valgrind_nothing_fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It says so in one line, and ends well."""
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert counts.main([]) == 0
    assert capsys.readouterr().out == "nothing is counted: there is no valgrind here\n"


def test_counting_that_fails_is_no_pass(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Marks that valgrind did not see, and a name that is not there, end with 2 and the reason."""
    monkeypatch.setattr(shutil, "which", lambda name: name)

    def too_few(arguments: Sequence[str], read: object) -> list[int]:
        return [1, 2]

    monkeypatch.setattr(counts, "segments", too_few)
    assert counts.main(["--only", "merge"]) == 2
    assert "2 of 3 marks" in capsys.readouterr().err
    assert counts.main(["--only", "nothing"]) == 2
    assert "no path is called nothing" in capsys.readouterr().err


def test_what_is_kept_names_paths_that_are_there() -> None:
    """Each kept figure is of a path that is still counted, and each path has one in each build that is kept."""
    from bench.paths import PATHS

    for builds in json.loads(counts.KEPT.read_text(encoding="utf-8")).values():
        for entry in builds.values():
            assert set(entry["counts"]) == {path.name for path in PATHS}


@pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed")
def test_twice_the_work_is_twice_the_count() -> None:
    """Between marks, valgrind counts the work: three times as much work is three times as much, within 5 percent."""
    code = "import os; mark = os.getsid; mark(0); sum(range(20000)); mark(0); sum(range(60000)); mark(0)"
    start, small, large = counts.segments(["-I", "-S", "-c", code], counts.total)
    assert start > large
    assert 2.85 < large / small < 3.15
