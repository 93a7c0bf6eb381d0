"""Where instructions go: each function's own are counted once, and belong to one part."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from bench import counts, parts
from bench.goals import LEAST
from bench.goals import PARTS as KEPT

WRITTEN = """# callgrind format
positions: line
events: Ir

ob=(1) /usr/lib/libpython3.13.so.1.0
fl=(1) ceval.c
fn=(1) _PyEval_EvalFrameDefault
10 100
+1 20
cob=(2) /site-packages/greenlet/_greenlet.cpython-313.so
cfn=(2) green_switch
calls=1 7
12 5000

ob=(2)
fl=(2)
fn=(2)
7 300
fn=(3) void copy()
cob=(3) /lib/libc.so.6
cfn=(4) __memcpy_avx
calls=2 1
9 40

ob=(3)
fn=(4)
1 40
fn=(5) _int_malloc
1 8
fn=(6) epoll_wait
1 3

ob=(4) /flow/core/pull_cy.cpython-313.so
fn=(7) __pyx_next
3 11

totals: 482
"""


def test_each_functions_own_is_counted_once(tmp_path: Path) -> None:
    """What a call cost is in the functions that were called; names are written out the first time only."""
    file = tmp_path / "out.1"
    file.write_text(WRITTEN, encoding="utf-8")
    found = parts.by_part(file)
    assert found == {"interpreter": 120, "switches": 340, "memory": 8, parts.REST: 3, "flow, compiled": 11}
    assert sum(found.values()) == counts.total(file)


def test_what_is_kept_is_of_the_lines_that_there_are() -> None:
    """Each line of the table of least costs has its three lines, each with all parts."""
    kept = json.loads(KEPT.read_text(encoding="utf-8"))
    assert kept["order"] == [*parts.PARTS, parts.REST]
    assert list(kept["parts"]) == [text for text, *_ in LEAST]
    for every in kept["parts"].values():
        assert list(every) == ["reference", "flow", "the least"]
        assert all(list(each) == kept["order"] for each in every.values())


def test_without_valgrind_nothing_fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It says so in one line, and ends well."""
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert parts.main([]) == 0
    assert capsys.readouterr().out == "nothing is counted: there is no valgrind here\n"


@pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed")
def test_the_parts_are_the_whole() -> None:
    """Of what valgrind really writes, too: nothing is lost, and the interpreter is most of it."""
    code = "import os; os.getsid(0); sum(range(60000)); os.getsid(0)"
    arguments = ["-I", "-S", "-c", code]
    wholes = counts.segments(arguments, counts.total)
    found = counts.segments(arguments, parts.by_part)
    assert [sum(each.values()) for each in found] == pytest.approx(wholes, rel=0.01)
    assert found[1]["interpreter"] > 0.5 * wholes[1]
