"""The pytest plug-in: its fixtures, its option, its ini setting, and that nothing of it is needed."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import flow

pytest_plugins = ["pytester"]

# Where flow is installed, pytest finds the plug-in by itself; here it may only be on the path.
FOUND = any(each.value == "flow.testing.plugin" for each in entry_points(group="pytest11"))
PLUGIN = [] if FOUND else ["-p", "flow.testing.plugin"]


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> object:
    """Runs a test file in a pytest of its own, without what this project's own tests use."""
    path = os.pathsep.join(filter(None, [str(Path(flow.__file__).parents[1]), os.environ.get("PYTHONPATH")]))
    monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)

    def runs(code: str, *arguments: str) -> pytest.RunResult:
        pytester.makepyfile(code)
        others = ["-p", "no:xdist", "-p", "no:cacheprovider", "-p", "no:timeout", "-p", "no:blockbuster"]
        return pytester.runpytest_subprocess(*PLUGIN, *others, *arguments, timeout=50)

    return runs


CLOCK = """
import flow, pytest

def hourly():
    for row in "ab":
        yield flow.Cooperate(3600)
        yield row

def test_script(virtual_clock):
    assert list(flow.wrap(hourly)) == ["a", "b"]
    assert round(virtual_clock.time(), 6) == 7200

async def main():
    return [row async for row in flow.wrap(hourly)]

def test_asyncio(virtual_clock):
    assert virtual_clock.run(main()) == ["a", "b"]

@pytest.mark.flow_loop("trio")
def test_trio(virtual_clock, no_leaks):
    assert virtual_clock.run(main()) == ["a", "b"]
    assert round(virtual_clock.time(), 6) == 7200

@pytest.mark.flow_loop("twisted")
def test_twisted(virtual_clock, no_leaks):
    assert virtual_clock.run(flow.Deferred(hourly)) == ["a", "b"]

@pytest.mark.parametrize("row", "ab")
def test_parametrized(virtual_clock, row):
    assert virtual_clock.time() == 0
"""


def test_virtual_clock(run) -> None:
    """Each test has a clock of its own, on the loop that its marker names."""
    run(CLOCK, "--strict-markers", "-W", "error").assert_outcomes(passed=6)


RACE = """
import flow

def test_order(virtual_clock):
    def ticks(name):
        for number in range(6):
            yield flow.Cooperate(1)
            yield name
    order = "".join(flow.Merge(ticks("a"), ticks("b")))
    print(f"order={order}")
    assert order == "ab" * 6
"""


def test_a_seed_shuffles_and_is_shown(run) -> None:
    """--flow-seed: the head of the report and each failure show it, and with it the failure comes again."""
    calm = run(RACE)
    calm.assert_outcomes(passed=1)
    assert "--flow-seed" not in calm.stdout.str()
    for seed in ("1", "2", "3", "4"):
        first = run(RACE, f"--flow-seed={seed}", "-rA")
        assert f"flow: --flow-seed={seed}" in first.outlines
        if first.ret:
            first.stdout.re_match_lines([r".* flow .*", f"--flow-seed={seed}"])
            again = run(RACE, f"--flow-seed={seed}", "-rA")
            orders = [[line for line in each.outlines if line.startswith("order=")] for each in (first, again)]
            assert orders[0] == orders[1]
            break
    else:
        pytest.fail("no seed shuffled anything")


def test_a_random_seed_is_shown(run) -> None:
    """The number that was chosen can be given again."""
    result = run(CLOCK, "--flow-seed=random")
    result.assert_outcomes(passed=6)
    result.stdout.re_match_lines([r"flow: --flow-seed=\d+"])


LEAKS = """
import threading
import pytest

go_on = threading.Event()
def start():
    threading.Thread(target=go_on.wait, name="left", daemon=True).start()

def test_leaks(%s):
    start()

@pytest.mark.flow_leaks_ok
def test_may_leak(%s):
    start()

@pytest.mark.flow_leaks_ok("threads")
def test_may_leak_threads(%s):
    start()

@pytest.mark.flow_leaks_ok("tasks")
def test_may_leak_tasks(%s):
    start()

def test_fails(%s):
    start()
    assert 1 == 2
"""


def test_no_leaks(run) -> None:
    """A test that leaves something is an error at its end; markers allow it; a failed test is not looked at."""
    result = run(LEAKS % (("no_leaks",) * 5))
    result.assert_outcomes(passed=4, failed=1, errors=2)
    result.stdout.fnmatch_lines(["*the test left behind: the thread 'left'"])


def test_no_leaks_everywhere(run, pytester: pytest.Pytester) -> None:
    """``flow_no_leaks = true`` gives it to each test; without that a test has what it asks for."""
    nothing = LEAKS % (("",) * 5)
    run(nothing).assert_outcomes(passed=4, failed=1)
    pytester.makeini("[pytest]\nflow_no_leaks = true\n")
    run(nothing).assert_outcomes(passed=4, failed=1, errors=2)


SOURCES = """
import flow
from flow.testing import Tracked

def test_sources(no_leaks):
    source = Tracked([1, 2])
    no_leaks.sources.append(source)
    rows = iter(source)
    next(rows)
    global kept
    kept = rows
"""


def test_sources_may_be_added(run) -> None:
    """The fixture is the block: what is added to its sources must be closed."""
    result = run(SOURCES)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*<Tracked source: opened 1, asked 1, closed 0>, which is not closed*"])


def test_the_entry_point_is_declared() -> None:
    """pytest finds the plug-in by the entry point of the project."""
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    assert '[project.entry-points.pytest11]\nflow = "flow.testing.plugin"\n' in project


def test_only_the_plugin_imports_pytest() -> None:
    """flow.testing needs no pytest."""
    for path in Path(flow.__file__).parent.rglob("*.py"):
        assert path.name == "plugin.py" or "import pytest" not in path.read_text(encoding="utf-8"), path
    code = "import sys; sys.modules['pytest'] = None; import flow.testing"
    assert subprocess.run([sys.executable, "-c", code], timeout=30, check=False).returncode == 0
