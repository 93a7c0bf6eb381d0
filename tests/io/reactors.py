"""Scenarios on real sockets: each reactor runs them in a process of its own, since none can be started twice in one.

    python -m tests.io.reactors epoll tests.io.scenarios_tcp,tests.io.scenarios_tls [NAME ...]

A scenario is an async function of a module that lists it in ``SCENARIOS``. After each one nothing may be left: no
timer, no reader or writer but the reactor's own, no run, thread, file descriptor or open generator, and no failure that
was logged and not expected. The outcome is printed as JSON: name -> what went wrong; nothing for those that passed.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import AsyncGeneratorType, GeneratorType
from typing import Any

REACTORS = ["epoll", "poll", "select", "asyncio"] if sys.platform == "linux" else ["select", "asyncio"]
PATIENCE = 40.0
"""Seconds for one scenario; almost all take a fraction of one."""

ROOT = Path(__file__).parents[2]


def outcomes(reactor: str, modules: str, *names: str) -> dict[str, str]:
    """Runs the scenarios of modules (or some of them) in a process of their own: what went wrong, by name."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", __name__, reactor, modules, *names],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONDEVMODE": "", "PYTHONUNBUFFERED": "1"},
        timeout=55,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found


# --------------------------------------------------------------------------------------------------------------------
# What scenarios use


failures: list[BaseException] = []
"""What was logged: a scenario that expects a failure takes it out."""


def expect(kind: type[BaseException], count: int = 1) -> None:
    """Just so many failures of this type were logged, and nothing else."""
    shown = [repr(each) for each in failures]
    assert [type(each) for each in failures] == [kind] * count, shown
    failures.clear()


def pause(seconds: float) -> Awaitable[None]:
    from twisted.internet import reactor, task

    waiting: Any = task.deferLater(reactor, seconds)  # type: ignore[arg-type]
    return waiting  # type: ignore[no-any-return]


async def until(condition: Callable[[], object], what: str, seconds: float = 10) -> None:
    """Lets the reactor work until the condition holds."""
    for _ in range(int(seconds / 0.002)):
        if condition():
            return
        await pause(0.002)
    raise AssertionError(f"it never came: {what}")


async def settled(read: Callable[[], int]) -> int:
    """Waits until a number changes no more."""
    steady, last = 0, read()
    while steady < 5:
        await pause(0.01)
        now = read()
        steady, last = (steady + 1 if now == last else 0), now
    return last


# --------------------------------------------------------------------------------------------------------------------
# In the process of the reactor


def open_generators(file: str) -> dict[int, str]:
    """Generators that were begun and not closed, of this file."""
    found = {}
    for each in gc.get_objects():
        if type(each) is GeneratorType and each.gi_frame is not None and each.gi_code.co_filename == file:
            found[id(each)] = f"the generator {each.gi_code.co_qualname}"
        elif type(each) is AsyncGeneratorType and each.ag_frame is not None and each.ag_code.co_filename == file:
            found[id(each)] = f"the generator {each.ag_code.co_qualname}"
    return found


def open_things(reactor: Any) -> dict[int, str]:
    """What is at work in this process, but for what the reactor has of its own."""
    from flow.core.run import live

    own = set(reactor._internalReaders)
    found = {id(run): f"the run of {run.stage!r}" for run in live}
    found |= {id(each): f"the reader {each!r}" for each in reactor.getReaders() if each not in own}
    found |= {id(each): f"the writer {each!r}" for each in reactor.getWriters()}
    found |= {id(each): f"the timer {each}" for each in reactor.getDelayedCalls()}
    threads = [each for each in threading.enumerate() if each is not threading.main_thread()]
    return found | {id(each): f"the thread {each.name}" for each in threads}


def fds() -> set[str]:
    """The open file descriptors, but for what Twisted keeps in reserve (``/dev/null``)."""
    where = "/proc/self/fd"
    found = set()
    for fd in os.listdir(where) if os.path.isdir(where) else ():
        try:
            name = os.readlink(f"{where}/{fd}")
        except OSError:
            continue  # the listing itself
        if not name.startswith(("/dev/", "/proc/")):
            found.add(f"{fd}: {name}")
    return found


@contextmanager
def _noticed(unraisable: list[str]) -> Iterator[None]:
    before = sys.unraisablehook
    sys.unraisablehook = lambda found: unraisable.append(f"nobody saw {found.exc_value!r} in {found.object!r}")
    try:
        yield
    finally:
        sys.unraisablehook = before


async def _one(reactor: Any, scenario: Callable[[], Awaitable[None]], file: str) -> str:
    """What went wrong."""
    from twisted.internet import defer

    failures.clear()
    there, opened = open_things(reactor).keys() | open_generators(file).keys(), fds()
    unraisable: list[str] = []
    with _noticed(unraisable):
        running = defer.Deferred.fromCoroutine(scenario())  # type: ignore[arg-type]
        guard = reactor.callLater(PATIENCE, running.cancel)
        try:
            await running
        except BaseException:
            return traceback.format_exc()
        finally:
            if guard.active():
                guard.cancel()
        for _ in range(200):  # what is closed is told in the turns that follow
            if not open_things(reactor).keys() - there:
                break
            await pause(0.002)
        gc.collect()
        still = open_things(reactor) | open_generators(file)
        left = [what for key, what in still.items() if key not in there]
        left += [f"the file descriptor {each}" for each in fds() - opened]
    left += unraisable
    left += [f"the logged failure {each!r}" for each in failures]
    return f"left behind: {'; '.join(left)}" if left else ""


def main(kind: str, modules: str, *names: str) -> None:
    installed: Any = import_module(f"twisted.internet.{kind}reactor")
    installed.install()
    from twisted.internet import defer, reactor
    from twisted.logger import globalLogBeginner

    from tests.io import reactors as shared  # this very file, as the scenarios import it

    def observe(event: Any) -> None:
        if event.get("isError") or "log_failure" in event:
            shared.failures.append((event.get("failure") or event["log_failure"]).value)

    globalLogBeginner.beginLoggingTo([observe], redirectStandardIO=False)
    chosen: Any = reactor
    wrong: dict[str, str] = {}

    async def every() -> None:
        for module in map(import_module, modules.split(",")):
            for scenario in module.SCENARIOS:
                if names and scenario.__name__ not in names:
                    continue
                said = await shared._one(chosen, scenario, str(module.__file__))
                if said:
                    wrong[f"{module.__name__.rpartition('_')[2]}.{scenario.__name__}"] = said

    def start() -> None:
        defer.Deferred.fromCoroutine(every()).addErrback(lambda failure: wrong.update(every=str(failure))).addBoth(
            lambda _: chosen.stop()
        )

    chosen.callWhenRunning(start)
    chosen.run()
    assert type(chosen).__name__.lower().startswith(kind), type(chosen)
    print(json.dumps(wrong), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
