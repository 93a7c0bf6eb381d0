"""On what it was measured: versions, build and processor; and fresh processes, for what can be measured once in each.

What may live here: facts that explain a figure to somebody who has another machine, and the way to start a process. No
figure is taken here. Neither a host's name nor a path may be a fact: the results are kept and shown.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["ROOT", "build", "command", "environment", "facts", "fresh", "minor"]

ROOT = Path(__file__).resolve().parents[1]
"""The folder that has `bench` and `docs` in it."""

LIBRARIES = ("greenlet", "aiostream", "trio", "twisted", "uvloop")
"""What is measured, or stands under what is measured."""


def facts() -> dict[str, str]:
    """Versions and the machine, as text. No release of the kernel: providers write themselves into it."""
    import flow  # not above: what draws charts needs no flow

    found = {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "cores": str(os.cpu_count() or "unknown"),
        "flow": flow.__version__,
        "build": build(),
    }
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def minor() -> str:
    """Of which Python, as in the names of the files that are kept: 3.13."""
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def build() -> str:
    """Which core runs: "compiled" or "pure"."""
    from flow._build import running

    return running().name


def processor() -> str:
    """What the system calls its processor; the machine's kind where it says nothing."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                name, _, value = line.partition(":")
                if name.strip() == "model name":
                    return " ".join(value.replace("(R)", "").replace("(TM)", "").split())
    except OSError:
        pass
    return platform.processor() or platform.machine()


def environment() -> dict[str, str]:
    """For a process that is to import what this one imports. Hashes are fixed, so that it does the same each time."""
    path = os.pathsep.join([str(ROOT), *(each for each in sys.path if each)])
    return {**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "0"}


def command(*arguments: str) -> list[str]:
    return [sys.executable, *arguments]


def fresh(*arguments: str, timeout: float = 60) -> str:
    """What a new Python prints that is started with these arguments.

    Raises RuntimeError with the last line of its errors when it fails, and TimeoutError when it takes too long.
    """
    try:
        done = subprocess.run(
            command(*arguments), env=environment(), capture_output=True, text=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        raise TimeoutError(f"took more than {timeout:g} seconds") from None
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1])
    return done.stdout
