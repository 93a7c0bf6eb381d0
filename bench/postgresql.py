"""A PostgreSQL server of one's own: for the benchmarks, and for the tests of what reads a database.

It listens on a socket in a folder of its own, and nowhere else. What may live here: starting and stopping it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["is_installed", "started"]

PATIENCE = 50.0
"""Seconds for each thing that the server is to do."""


def is_installed() -> bool:
    """Is there a server that can be started? (Not on Windows, where it has no such sockets.)"""
    return hasattr(os, "getuid") and _program("initdb") is not None and _program("postgres") is not None


@contextmanager
def started() -> Iterator[str]:
    """The URL of a server with an empty database, for psycopg and asyncpg; it is stopped, and its folder removed.

    Raises RuntimeError, with what the server said, when it does not answer.
    """
    # Not in a folder that nobody but its owner may enter: the server refuses to run as root.
    with tempfile.TemporaryDirectory(prefix="flow-", ignore_cleanup_errors=True) as folder:
        owner = _owner(folder)
        cluster = f"{folder}/cluster"
        made = ["-D", cluster, "-U", "flow", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        initdb = [str(_program("initdb")), *made]
        subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, timeout=PATIENCE, cwd="/", **owner)
        server = [str(_program("postgres")), "-D", cluster, "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off"]
        with open(f"{folder}/log", "wb") as log:
            process = subprocess.Popen(server, stdout=log, stderr=log, cwd="/", **owner)
        try:
            url = f"postgresql://flow@/postgres?host={folder}"
            _wait_until_it_answers(url, process, Path(log.name))
            yield url
        finally:
            process.send_signal(signal.SIGINT)  # its "fast shutdown"
            process.wait(PATIENCE)


def _program(name: str) -> str | None:
    """Where a program of the server is. Debian keeps them out of PATH."""
    found = [str(path) for path in Path("/usr/lib/postgresql").glob(f"*/bin/{name}")]
    return max(found, default=None) or shutil.which(name)


def _owner(folder: str) -> dict[str, Any]:
    """How to start it as somebody else, who then owns the folder, when this is root."""
    if os.getuid() != 0:
        return {}
    import pwd

    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    user = names.get("postgres") or names["nobody"]
    os.chown(folder, user.pw_uid, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _wait_until_it_answers(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    import psycopg

    until = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < until:
        try:
            psycopg.connect(url).close()
            return
        except psycopg.OperationalError:
            time.sleep(0.05)
    raise RuntimeError(f"PostgreSQL did not start: {log.read_text(encoding='utf-8', errors='replace')}")
