"""The workloads of the benchmarks do the same work in each of their ways, and end with nothing left over.

No time is looked at. No PostgreSQL is started, and of the echo servers each answers three connections only.
"""

from __future__ import annotations

import pytest

from bench import measure as measuring
from bench.echo import SERVERS, Load
from bench.jobs import missing
from bench.measure import Contestant, Goal, Measured, Way, Workload, measure
from bench.work import workloads

STARTED = {"echo", "query-postgresql"}
"""What starts servers, each for the rest of the program."""

EVERY = workloads()
FEW = Way(rows=200, rounds=1, pin=False)


@pytest.mark.parametrize("workload", [each for each in EVERY if each.name not in STARTED], ids=lambda each: each.name)
def test_all_who_are_here_agree(workload: Workload) -> None:
    """Each contestant whose library is installed does the work, and gives what the reference gives."""
    for each in measure(workload, FEW, progress=lambda _: None):
        assert each.trouble == each.contestant.missing
        assert bool(each.seconds) == (not each.trouble)


@pytest.mark.parametrize("kind", SERVERS)
def test_each_echo_server_answers(kind: str) -> None:
    """What is sent comes back, from every kind of server, and the server ends when it is told to."""
    if kind not in ("asyncio", "protocol"):
        pytest.importorskip(kind if kind in ("trio", "anyio") else "twisted")
    load = Load(kind, connections=3)
    try:
        assert load.go(trips=12, seconds=20) == 12
        assert load.wrong == 0
    finally:
        load.close()
    assert load.server.returncode == 0


def test_flow_needs_no_other_library() -> None:
    """In each workload flow takes part, whatever is not installed; only the servers on Twisted need that."""
    for workload in EVERY:
        ours = [each for each in workload.contestants if each.name.startswith("flow")]
        assert ours
        if workload.name not in STARTED:
            assert not any(each.missing for each in ours)


def test_names_are_unique() -> None:
    """`--only NAME` means one workload, and in a workload each line is another one."""
    names = [each.name for each in EVERY]
    assert len(set(names)) == len(names)
    for workload in EVERY:
        lines = [each.name for each in workload.contestants]
        assert len(set(lines)) == len(lines)


def test_a_library_that_is_not_here_is_a_line() -> None:
    """What is missing is said, with the command that installs it, and nothing fails."""
    absent = Contestant("other", lambda rows: lambda: rows, missing=missing("no_such_library"))
    here = Contestant("flow", lambda rows: lambda: rows)
    workload = Workload("one", "a title", [absent, here])
    found = measure(workload, FEW, progress=lambda _: None)
    assert [each.trouble for each in found] == ["not installed: pip install no_such_library", ""]
    assert found[1].met is None
    assert missing("psycopg") in ("", "not installed: pip install 'psycopg[binary]'")
    assert not missing("flow")


def measured(goal: Goal) -> Measured:
    contestant = Contestant("flow", lambda rows: lambda: rows, goal=goal)
    return Measured(contestant, rows=1, ratios=[1.0, 1.2, 9.0], added=[1e-6, 2e-6, 9e-6])


def test_goals(monkeypatch: pytest.MonkeyPatch) -> None:
    """A goal is for the median, of the ratios or of the seconds that are added; Python 3.11 gets 1.2 times as much."""
    monkeypatch.setattr(measuring, "LENIENCY", 1.0)
    tight, fast = Goal(1.1, "at most {ratio}"), Goal(1 / 8, "{speed} times")
    absolute = Goal(1.9e-6, "{microseconds}", added=True)
    assert [each.text for each in (tight, fast, absolute)] == ["at most 1.1", "8 times", "1.9 microseconds"]
    assert [measured(each).met for each in (tight, absolute)] == [False, False]
    monkeypatch.setattr(measuring, "LENIENCY", 1.2)
    assert [each.text for each in (tight, fast, absolute)] == ["at most 1.32", "6.67 times", "2.28 microseconds"]
    assert [measured(each).met for each in (tight, absolute)] == [True, True]
    assert Measured(Contestant("flow", lambda rows: lambda: rows, goal=tight), rows=1).met is None
