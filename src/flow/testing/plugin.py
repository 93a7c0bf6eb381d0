"""What pytest finds when flow is installed: two fixtures, an option, and a line in the report.

    def test_hourly(virtual_clock, no_leaks):
        assert list(flow.wrap(hourly)) == ["a", "b"]
        assert virtual_clock.time() == 7200

- `virtual_clock`: the test runs in ``virtual_time()``; this is its clock. ``@pytest.mark.flow_loop("trio")`` (or
  "twisted") says what ``virtual_clock.run(main())`` runs on.
- `no_leaks`: the test must leave nothing behind; this is the block of `flow.testing.no_leaks`, whose ``sources`` may be
  added to. With ``flow_no_leaks = true`` in the ini file each test has it; ``@pytest.mark.flow_leaks_ok`` switches it
  off again, or allows the kinds that it names.
- ``--flow-seed=N`` shuffles what is ready, and lets time jump early, in every `virtual_clock`; ``--flow-seed=random``
  chooses a number, which the head of the report shows, and each failure.

This is the one file of flow that imports pytest. ``-p no:flow`` switches it off.
"""

from __future__ import annotations

import random
from collections.abc import Generator
from typing import Any

import pytest

from .clock import VirtualTime, virtual_time
from .leaks import Leftover
from .leaks import no_leaks as leaving_nothing

LARGEST = 2**32

_failed = pytest.StashKey[bool]()
_seed = pytest.StashKey[int | None]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("flow")
    group.addoption(
        "--flow-seed",
        type=_seed_of,
        metavar="N",
        help="shuffle what is ready in each virtual_clock, repeatably: a number, or 'random'",
    )
    parser.addini("flow_no_leaks", "each test must leave nothing behind (flow.testing.no_leaks)", "bool", False)


def _seed_of(text: str) -> int:
    return random.randrange(LARGEST) if text == "random" else int(text)


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_seed] = config.getoption("--flow-seed")
    config.addinivalue_line("markers", "flow_loop(name): what virtual_clock.run() runs on: asyncio, trio or twisted")
    config.addinivalue_line("markers", "flow_leaks_ok(*kinds): the test may leave these behind; without any: all")


def pytest_report_header(config: pytest.Config) -> str | None:
    seed = config.stash[_seed]
    return None if seed is None else f"flow: --flow-seed={seed}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Generator[None, Any, Any]:
    report = yield
    if report.failed:
        item.stash[_failed] = True
        seed = item.config.stash[_seed]
        if seed is not None and "virtual_clock" in getattr(item, "fixturenames", ()):
            report.sections.append(("flow", f"--flow-seed={seed}"))
    return report


@pytest.fixture
def virtual_clock(request: pytest.FixtureRequest) -> Generator[VirtualTime]:
    """The clock of the virtual time in which the test runs: `flow.testing.virtual_time`."""
    marker = request.node.get_closest_marker("flow_loop")
    with virtual_time(request.config.stash[_seed], loop=marker.args[0] if marker else "asyncio") as clock:
        yield clock


@pytest.fixture
def no_leaks(request: pytest.FixtureRequest) -> Generator[leaving_nothing | None]:
    """The test must leave nothing behind: `flow.testing.no_leaks`. None where the test may leave all it likes."""
    marker = request.node.get_closest_marker("flow_leaks_ok")
    if marker is not None and not marker.args:
        yield None
        return
    block = leaving_nothing(allow=marker.args if marker is not None else ())
    block.__enter__()
    yield block
    if request.node.stash.get(_failed, False):  # the traceback of a failed test holds on to what the test used
        block.__exit__(AssertionError, AssertionError(), None)
        return
    try:
        block.__exit__(None, None, None)
    except Leftover as left:
        pytest.fail(f"the test left behind: {str(left).partition(': ')[2]}", pytrace=False)


@pytest.fixture(autouse=True)
def _no_leaks_everywhere(request: pytest.FixtureRequest) -> None:
    if request.config.getini("flow_no_leaks"):
        request.getfixturevalue("no_leaks")
