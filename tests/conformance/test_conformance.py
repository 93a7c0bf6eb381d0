"""CONTRACT 12: one conformance suite gives identical event logs on every loop, for every stage.

The cases prove 1-9 and 14-19 as they go: each has its rows and its ending written down, and its whole log (what was
opened, given, waited for, closed, when and in which order) must be the same wherever it runs. A script's log is the
measure; asyncio's where a script can't do it (cancels).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest

from . import drivers
from .cases import CASES, Case
from .drivers import Log, of_makers, summary, untimed

ROOT = Path(__file__).parents[2]
VIRTUAL: dict[str, Callable[..., Log]] = {
    "asyncio": drivers.run_virtual,
    "asyncio-debug": partial(drivers.run_virtual, debug=True),
    "trio": drivers.run_trio,
    "twisted-clock": drivers.run_clock,
}
if sys.version_info >= (3, 12):
    VIRTUAL["asyncio-eager"] = partial(drivers.run_virtual, eager=True)
REAL: dict[str, Callable[..., Log]] = {"asyncio": drivers.run_asyncio}
try:
    import uvloop as _uvloop
except ModuleNotFoundError:
    pass
else:
    REAL["uvloop"] = drivers.run_uvloop
    del _uvloop
OTHER_WAYS = [
    ("script", drivers.run_script, "blocks"),
    ("asyncio", drivers.run_virtual, "list"),
    ("asyncio", drivers.run_virtual, "blocks"),
    ("trio", drivers.run_trio, "list"),
    ("trio", drivers.run_trio, "blocks"),
    ("twisted-clock", drivers.run_clock, "list"),
    ("twisted-clock", drivers.run_clock, "blocks"),
    ("twisted-clock", drivers.run_clock, "Deferred"),
]
REACTORS = ["default", "asyncio"]

every_case = pytest.mark.parametrize("name", CASES)


@cache
def reference(name: str) -> str:
    case = CASES[name]
    return json.dumps(drivers.run_script(case) if case.script else drivers.run_virtual(case))


def log_of_reference(name: str) -> Log:
    log: Log = json.loads(reference(name))
    return log


def plain(log: Log) -> Log:
    """As it comes out of JSON."""
    same: Log = json.loads(json.dumps(log))
    return same


def fits(case: Case, log: Log) -> None:
    """Its rows and its ending are those that are written down. Where that ends in ": ", the text is not compared."""
    got = summary(log)
    if case.expect.endswith(": "):
        assert got.startswith(case.expect), got
    else:
        assert got == case.expect


@every_case
def test_the_reference(name: str) -> None:
    """CONTRACT 1-9, 13-19: each case gives the rows and the ending that are written down for it."""
    fits(CASES[name], log_of_reference(name))


@every_case
def test_nothing_is_left_open(name: str) -> None:
    """CONTRACT 14: what a case opened it closed, once, and nothing is left on the loop."""
    log = log_of_reference(name)
    opened = [entry[1] for entry in log if entry[2:3] == ["opened"]]
    closed = [entry[1] for entry in log if entry[2:3] == ["closed"]]
    assert not [entry for entry in log if entry[1] == "left behind"]
    assert not [each for each in opened if closed.count(each) != opened.count(each) and each != "connection"]


@pytest.mark.parametrize("loop", VIRTUAL)
@every_case
def test_on_virtual_time(name: str, loop: str) -> None:
    """CONTRACT 12: the same log, times included, on each loop whose time is virtual."""
    log = plain(VIRTUAL[loop](CASES[name]))
    fits(CASES[name], log)
    assert tracks(CASES[name], log) == tracks(CASES[name], log_of_reference(name))


@pytest.mark.parametrize("loop", REAL)
@every_case
def test_on_real_time(name: str, loop: str) -> None:
    """CONTRACT 12: the same log on each loop whose time is real; a machine that is too slow for it gets more time."""
    expected = tracks(CASES[name], untimed(log_of_reference(name)))
    for unit in (drivers.REAL_UNIT, 0.1, 0.3):
        log = plain(REAL[loop](CASES[name], unit=unit))
        if tracks(CASES[name], log) == expected:
            break
    fits(CASES[name], log)
    assert tracks(CASES[name], log) == expected


@pytest.mark.parametrize(("loop", "run", "way"), OTHER_WAYS, ids=[f"{loop}-{way}" for loop, _, way in OTHER_WAYS])
@pytest.mark.parametrize("name", [case.name for case in CASES.values() if case.how in ("all", "cancel")])
def test_other_ways_to_read(name: str, loop: str, run: Callable[..., Log], way: str) -> None:
    """CONTRACT 12, 15: read as a list, in blocks or by a Deferred, all that is done to the sources stays the same."""
    case = CASES[name]
    if loop == "script" and not case.script:
        pytest.skip("a script can't be cancelled")
    same_elsewhere(case, plain(run(case, way)), way)


def same_elsewhere(case: Case, log: Log, way: str) -> None:
    expected = log_of_reference(case.name)
    if way == "blocks" or drivers.ending(expected) == "end":
        fits(case, log)
    else:  # a failure, and no list
        assert drivers.ending(log) == drivers.ending(expected)
    assert tracks(case, of_makers(log)) == tracks(case, of_makers(expected))


def tracks(case: Case, log: Log) -> list[Log]:
    """What is compared: the log, or where something works ahead of the reader, what each of the two did."""
    if case.siblings:
        names = sorted({str(entry[1]) for entry in log})
        return [[entry for entry in log if entry[1] == name] for name in names]
    if not case.ahead:
        return [log]
    return [of_makers(log), [entry for entry in log if entry not in of_makers(log)]]


@cache
def of_reactor(kind: str) -> tuple[int, str, str]:
    """All cases on a real reactor: they can't be started twice in a process, so one subprocess runs them all."""
    try:
        found = subprocess.run(
            [sys.executable, "-m", "tests.conformance.twisted_main", kind],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])},
            capture_output=True,
            text=True,
            timeout=50,
        )
    except subprocess.TimeoutExpired as late:  # not raised: the answer is kept, and this is not tried for every case
        return -1, "", f"the reactor of kind {kind!r} hung: {late}"
    return found.returncode, found.stdout, found.stderr


def logs_of_reactor(kind: str) -> dict[str, Any]:
    code, out, err = of_reactor(kind)
    assert code == 0, err[-3000:]
    assert not err, err[-3000:]
    found: dict[str, Any] = json.loads(out)
    return found


@pytest.mark.parametrize("kind", REACTORS)
def test_the_reactor(kind: str) -> None:
    """CONTRACT 12: the reactors are the ones that are meant, and nothing is written to stderr while the cases run."""
    name = logs_of_reactor(kind)["reactor"]
    assert name.endswith("Reactor")
    assert (name == "AsyncioSelectorReactor") == (kind == "asyncio")


@pytest.mark.parametrize("kind", REACTORS)
@every_case
def test_on_a_twisted_reactor(name: str, kind: str) -> None:
    """CONTRACT 12: the same log on Twisted's default reactor and on its asyncio reactor."""
    log = logs_of_reactor(kind)["logs"]["rows"][name]
    fits(CASES[name], log)
    assert tracks(CASES[name], log) == tracks(CASES[name], log_of_reference(name))


@pytest.mark.parametrize("kind", REACTORS)
@pytest.mark.parametrize("name", [case.name for case in CASES.values() if case.how in ("all", "cancel")])
def test_deferred_on_a_twisted_reactor(name: str, kind: str) -> None:
    """CONTRACT 12, 15: `flow.Deferred` does the same to the sources, on both reactors."""
    same_elsewhere(CASES[name], logs_of_reactor(kind)["logs"]["Deferred"][name], "Deferred")
