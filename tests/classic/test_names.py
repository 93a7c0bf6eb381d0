"""The modules of flow.classic have the names of 2003, and nothing of them is imported before it is asked for."""

from __future__ import annotations

import importlib
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

import flow as today
from flow.classic import flow

from ..conformance.drivers import ClockReactor, installed

SOURCE = Path(today.__file__).parents[1]
BASE = {"Unsupported", "NotReadyError", "Instruction", "Controller", "CallLater", "Cooperate", "Stage"}
STAGES = {"Map", "Zip", "Concurrent", "Merge", "Callback"}
EXPORTED = {
    "base": BASE,
    "wrap": BASE | {"wrap", "Failure"},
    "stage": BASE | STAGES | {"wrap", "Failure"},
    "pipe": BASE | {"Pipe", "Filter", "LineBreak", "wrap", "Failure"},
    "controller": BASE | {"Block", "Deferred", "wrap"},
    "threads": BASE | {"Threaded", "QueryIterator", "Failure"},
    "protocol": BASE | {"makeProtocol", "Protocol", "Callback", "wrap"},
    "web": {"Resource", "Deferred"},
    "flow": BASE
    | STAGES
    | {"Pipe", "Filter", "LineBreak", "wrap", "Block", "Deferred", "Failure", "makeProtocol", "Protocol"},
}


@pytest.mark.parametrize("module", EXPORTED)
def test_each_module_has_its_names(module: str) -> None:
    """What 2003's module of that name had, what it got by ``import *`` included."""
    found: Any = importlib.import_module(f"flow.classic.{module}")
    for name in EXPORTED[module]:
        assert getattr(found, name) is not None
        assert name in found.__all__
    assert len(found.__all__) == len(set(found.__all__))


def test_each_name_says_what_it_is() -> None:
    """Each has a docstring, its own where it is flow.classic's."""
    for name in flow.__all__:
        thing = getattr(flow, name)
        assert thing.__doc__
        if thing.__module__.startswith("flow.classic") and isinstance(thing, type):
            assert "__doc__" in vars(thing), name


def test_the_example_of_the_module(capsys: pytest.CaptureFixture[str]) -> None:
    """The program in the docstring runs as it stands."""
    code = textwrap.dedent((flow.__doc__ or "").split(":\n\n", 1)[1])
    names: dict[str, Any] = {}
    reactor = ClockReactor()
    with installed(reactor):
        exec(code, names)
        assert reactor.run_until(names["d"]) == []
    assert capsys.readouterr().out.split() == ["one", "two"]


def ask(code: str) -> str:
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=SOURCE, capture_output=True, text=True, timeout=30, check=True
    )
    return found.stdout.strip()


def test_flow_imports_nothing_of_it() -> None:
    """``import flow`` imports neither flow.classic nor Twisted."""
    assert ask("import sys, flow; print([m for m in sys.modules if 'classic' in m or 'twisted' in m])") == "[]"


def test_classic_installs_no_reactor() -> None:
    """Importing it does not choose the reactor (fault B5): a program may install one afterwards."""
    code = "import sys; from flow.classic import flow, threads, web; print('twisted.internet.reactor' in sys.modules)"
    assert ask(code) == "False"


def test_without_twisted() -> None:
    """It says what to install."""
    code = (
        "import sys; sys.modules['twisted'] = None\n"
        "import flow\n"
        "try: from flow.classic import flow as _\n"
        "except flow.MissingExtraError as error: print(error)"
    )
    assert ask(code) == "flow.classic needs Twisted: pip install 'coopflow[twisted]'"
