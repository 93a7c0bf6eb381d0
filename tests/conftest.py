"""Guards round every test: nothing is left behind, and nothing blocks a running loop. And Hypothesis' profiles.

``@pytest.mark.blocking_ok`` switches the second guard off, ``@pytest.mark.leaks_ok`` the first one, for a test that
blocks or leaks on purpose. `tests/test_guards.py` shows that both find what they are for.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
import weakref
from collections.abc import Generator
from functools import cache
from itertools import count
from typing import Any

import pytest

from flow import _build
from flow.core.run import live

try:
    from hypothesis import settings
except ModuleNotFoundError:
    pass
else:
    # "ci" repeats: the same examples each time, and no database on disk. "search" looks for new ones.
    settings.register_profile("ci", derandomize=True, print_blob=True, deadline=None, database=None)
    settings.register_profile("search", print_blob=True, deadline=None, database=None, max_examples=1000)
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

try:
    from blockbuster import BlockBuster
except ModuleNotFoundError:  # it reaches into CPython itself
    BlockBuster = None  # type: ignore[assignment, misc, unused-ignore]

POOLS = ("ThreadPoolExecutor", "asyncio_", "Trio thread", "trio", "PoolThread-twisted", "pytest_timeout", "pydevd")
"""Threads that live on by design: workers of pools, which wait for more work."""

FDS = "/proc/self/fd"
FAILED = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "blocking_ok: the test makes blocking calls on a running loop on purpose")
    config.addinivalue_line("markers", "leaks_ok: the test leaves something behind on purpose")
    _is_the_expected_build()


def _is_the_expected_build() -> None:
    """FLOW_EXPECT=compiled or pure: so that no suite passes on another build than the one that it is meant for."""
    expected, found = os.environ.get("FLOW_EXPECT", ""), _build.running()
    if expected not in ("", "compiled", "pure"):
        raise pytest.UsageError(f"FLOW_EXPECT must be compiled or pure, not {expected!r}")
    if found.faults:
        raise pytest.UsageError(_build.describe())
    if expected not in ("", found.name):
        raise pytest.UsageError(f"FLOW_EXPECT={expected}, and what runs is: {_build.describe()}")


def pytest_report_header() -> str:
    return f"flow: {_build.describe()}"


def pytest_collection_finish(session: pytest.Session) -> None:
    """What is there now stays for ever: the collector need not look at it again after every single test."""
    if "uvloop" in sys.modules:
        sys.modules["uvloop"].new_event_loop().close()  # it opens a pipe with its first loop, and keeps it
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Generator[None, Any, Any]:
    report = yield
    if report.failed:
        item.stash[FAILED] = True
    return report


def _threads() -> set[threading.Thread]:
    return {each for each in threading.enumerate() if not each.name.startswith(POOLS)}


_passed = count(1)
_told: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()


def _tasks() -> list[asyncio.Task[Any]]:
    """Tasks that are not done, of any loop, each told of once."""
    found = [each for each in gc.get_objects() if type(each) is asyncio.Task and not each.done() and each not in _told]
    _told.update(found)
    return found


def _fds() -> dict[str, str]:
    """Open file descriptors, and what is behind each: sockets, pipes, pollers and files of the test."""
    found = {}
    for fd in os.listdir(FDS) if os.path.isdir(FDS) else ():
        try:
            found[fd] = os.readlink(f"{FDS}/{fd}")
        except OSError:
            continue  # the listing itself
    return {fd: name for fd, name in found.items() if not name.startswith(("/dev/", "/proc/"))}


@pytest.fixture(autouse=True)
def nothing_is_left_behind(request: pytest.FixtureRequest) -> Generator[None]:
    """Fails a test which leaves a thread, a run of flow, a task, a file descriptor, or an exception nobody saw.

    Not looked at after a failure: its traceback holds on to what the test used.
    """
    if request.node.get_closest_marker("leaks_ok"):
        yield
        return
    threads, runs, fds = _threads(), {id(run) for run in live}, _fds()
    unraisable: list[str] = []
    before = sys.unraisablehook

    def hook(found: sys.UnraisableHookArgs) -> None:
        unraisable.append(f"{found.exc_value!r} in {found.object!r} ({found.err_msg or 'ignored'})")

    sys.unraisablehook = hook
    try:
        yield
        gc.collect()
    finally:
        sys.unraisablehook = before
    tasks = _tasks()
    if request.node.stash.get(FAILED, False):
        return
    left = [f"an exception that nobody saw: {each}" for each in unraisable]
    for thread in _threads() - threads:
        thread.join(1)  # it may be on its last steps
        if thread.is_alive():
            left.append(f"the thread {thread.name!r}")
    left += [f"the run of {run.stage!r}, which is not over" for run in live if id(run) not in runs]
    left += [f"the task {each!r}" for each in tasks]
    left += [f"the file descriptor {fd}: {name}" for fd, name in _fds().items() if fds.get(fd) != name]
    if not left and next(_passed) % 50 == 0:
        gc.freeze()  # nothing is left but what pytest keeps of each test: it need not be looked at again
    if left:
        pytest.fail("the test left behind: " + "; ".join(left), pytrace=False)


@pytest.fixture(autouse=True)
def nothing_blocks_the_loop(request: pytest.FixtureRequest) -> Generator[None]:
    """CONTRACT 11: fails a test in which flow makes a blocking call while an asyncio loop runs in the thread."""
    if BlockBuster is None:
        yield
    elif request.node.get_closest_marker("blocking_ok"):
        _guard().deactivate()
        yield
    else:
        _guard().activate()  # and left on: to patch and to mend some fifty functions takes longer than most tests
        yield


def pytest_sessionfinish() -> None:
    if BlockBuster is not None:
        _guard().deactivate()


@cache
def _guard() -> Any:
    # A virtual loop is flow's own, and under every call that a test makes on it: its frames prove nothing.
    return BlockBuster(scanned_modules=["flow"], excluded_modules=["flow.loops._virtual"])
