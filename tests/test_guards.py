"""The guards of `conftest.py` find what they are for: each planted fault fails its test, and names what was found."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ON_CPYTHON = pytest.mark.skipif(sys.implementation.name != "cpython", reason="the detector reaches into CPython itself")

HEAD = """
import asyncio, os, socket, threading, time, pytest, flow
from flow.core.run import live
kept = []
"""

LEAKS = {
    "thread": (
        "the thread 'stays'",
        "threading.Thread(target=time.sleep, args=(3,), name='stays', daemon=True).start()",
    ),
    "run": ("the run of wrap(list)", "rows = iter(flow.wrap([1, 2])); live.add(kept_run(rows)); kept.append(rows)"),
    "task": (
        "the task <Task pending",
        "loop = asyncio.new_event_loop(); kept.append(loop.create_task(forever())); loop.close()",
    ),
    "socket": ("the file descriptor", "kept.append(socket.socket())"),
    "unraisable": ("an exception that nobody saw: KeyError('lost')", "Loses()"),
}

HELP = """
async def forever():
    await asyncio.Event().wait()

def kept_run(rows):
    next(rows)
    return rows.gi_frame.f_locals["strand"].owner

class Loses:
    def __del__(self):
        raise KeyError("lost")

"""

BLOCKING = """
def test_it():
    async def main():
        async for row in flow.wrap([1]) | slow:
            pass
    asyncio.run(main())

def slow(rows):
    for row in rows:
        time.sleep(0.001)
        yield row
"""


def run_tests(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    """Runs a test file under the guards, in a process of its own."""
    (folder / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\naddopts = --strict-markers\n")
    (folder / "test_planted.py").write_text(text)
    paths = [str(ROOT / "src"), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(folder), str(folder)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)},
        capture_output=True,
        text=True,
        timeout=50,
    )


@pytest.mark.parametrize("kind", LEAKS)
def test_a_planted_leak_is_found(kind: str, tmp_path: Path) -> None:
    """CONTRACT 24, proof: a test that leaves this behind fails, and the message names it."""
    if kind == "socket" and not os.path.isdir("/proc/self/fd"):
        pytest.skip("file descriptors are counted where /proc is")
    message, line = LEAKS[kind]
    found = run_tests(tmp_path, f"{HEAD}{HELP}def test_it():\n    {line}\n")
    assert found.returncode == 1, found.stdout + found.stderr
    assert message in found.stdout, found.stdout


def test_a_leak_that_is_meant_is_let_pass(tmp_path: Path) -> None:
    """The marker `leaks_ok` switches the guard off."""
    line = LEAKS["socket"][1]
    found = run_tests(tmp_path, f"{HEAD}@pytest.mark.leaks_ok\ndef test_it():\n    {line}\n")
    assert "1 passed" in found.stdout, found.stdout


def test_what_leaves_nothing_passes(tmp_path: Path) -> None:
    """No false alarm: threads, sockets, loops and flows that are closed leave nothing."""
    body = """
def test_it():
    list(flow.Threaded([1, 2]))
    socket.socket().close()
    async def main():
        async for row in flow.wrap([1, flow.Cooperate(0.001), 2]):
            break
    asyncio.run(main())
"""
    found = run_tests(tmp_path, HEAD + body)
    assert "1 passed" in found.stdout, found.stdout


@ON_CPYTHON
def test_a_planted_blocking_call_is_found(tmp_path: Path) -> None:
    """CONTRACT 11, proof: a stage that blocks a running loop fails its test."""
    pytest.importorskip("blockbuster")
    found = run_tests(tmp_path, HEAD + BLOCKING)
    assert found.returncode == 1, found.stdout + found.stderr
    assert "Blocking call to time.sleep" in found.stdout, found.stdout


@ON_CPYTHON
def test_a_blocking_call_that_is_meant_is_let_pass(tmp_path: Path) -> None:
    """The marker `blocking_ok` switches the guard off."""
    found = run_tests(tmp_path, HEAD + BLOCKING.replace("def test_it", "@pytest.mark.blocking_ok\ndef test_it"))
    assert "1 passed" in found.stdout, found.stdout


def test_a_blocking_call_in_a_script_is_none_of_the_guards_business(tmp_path: Path) -> None:
    """Where no loop runs, a stage may block: it is a script."""
    body = "\ndef test_it():\n    list(flow.wrap([1]) | slow)\n" + BLOCKING.split("\n\n")[1]
    found = run_tests(tmp_path, HEAD + body)
    assert "1 passed" in found.stdout, found.stdout
