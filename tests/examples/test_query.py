"""A query in a thread: SQLite, and a PostgreSQL that is started for this test alone."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from .running import ROOT, environment, lines_of, run

pytest.importorskip("twisted")

POOLED = pytest.mark.parametrize("pool", [[], ["--pool"]], ids=["alone", "pool"])


def rows(*arguments: object) -> tuple[list[str], int]:
    """The rows that were shown, and the number of ticks beside them."""
    *lines, last = lines_of("query", *arguments)
    shown = [line for line in lines if "tick" not in line]
    summary = re.fullmatch(r"(\d+) rows, and meanwhile (\d+) ticks", last)
    assert summary is not None
    assert len(shown) == int(summary[1])
    assert len(lines) - len(shown) == int(summary[2])
    return [" ".join(line.split()) for line in shown], int(summary[2])


@POOLED
def test_sqlite(pool: list[str]) -> None:
    """CONTRACT 11, 31: the rows come in order, and the reactor ticks while the database is at work."""
    shown, ticks = rows("--smallest", 100, "--pace", 0.3, *pool)
    assert shown == ["Ada 120 so far 120", "Ada 300 so far 420", "Dee 210 so far 630"]
    assert ticks > 2  # of nine; a reactor that the database held up would tick before it and after it


@POOLED
def test_postgresql(pool: list[str], postgresql: str) -> None:
    """CONTRACT 11, 31: the same with a PostgreSQL; the table was a temporary one, and nothing of it is left."""
    import psycopg

    shown, ticks = rows("--url", postgresql, "--smallest", 200, "--pace", 0.4, *pool)
    assert shown == ["Ada 300 so far 300", "Dee 210 so far 510"]
    assert ticks > 2
    with psycopg.connect(postgresql) as connection:
        assert connection.execute("SELECT to_regclass('orders')").fetchone() == (None,)


@POOLED
def test_a_database_that_is_not_there(pool: list[str]) -> None:
    """A failure to connect is told, and ends the program with status 1."""
    pytest.importorskip("psycopg")
    done = run("query", "--url", "postgresql://nobody@127.0.0.1:1/nothing", *pool)
    assert done.returncode == 1
    assert "query: connection failed" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_psycopg_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "psycopg.py").write_text("raise ImportError('not here')")
    path = f"{tmp_path}{os.pathsep}{environment()['PYTHONPATH']}"
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "query.py"), "--url", "postgresql:///"],
        env=environment() | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == f"PostgreSQL needs psycopg: {sys.executable} -m pip install 'psycopg[binary]'\n"


# --------------------------------------------------------------------------------------------------------------------
# A PostgreSQL of this test's own


def server_program(name: str) -> str | None:
    """Where a program of the server is. Debian keeps them out of PATH."""
    found = [str(path) for path in Path("/usr/lib/postgresql").glob(f"*/bin/{name}")]
    return shutil.which(name) or max(found, default=None)


@pytest.fixture(scope="module")
def postgresql() -> Generator[str]:
    """The URL of a server that listens on a socket in a folder of its own, and nowhere else."""
    psycopg = pytest.importorskip("psycopg")
    initdb, server = server_program("initdb"), server_program("postgres")
    if initdb is None or server is None:
        pytest.skip("no PostgreSQL server is installed")
    # Not in tmp_path: nobody but its owner may enter that, and the server refuses to run as root.
    with tempfile.TemporaryDirectory(prefix="flow-") as folder:
        owner = owner_of_the_server(folder)
        cluster = f"{folder}/cluster"
        made = [initdb, "-D", cluster, "-U", "flow", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        subprocess.run(made, check=True, stdout=subprocess.DEVNULL, timeout=50, cwd="/", **owner)
        started = [server, "-D", cluster, "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off"]
        with open(f"{folder}/log", "w+b") as log:
            with subprocess.Popen(started, stdout=log, stderr=log, cwd="/", **owner) as process:
                try:
                    url = f"postgresql://flow@/postgres?host={folder}"
                    wait_until_it_answers(psycopg, url, process, Path(log.name))
                    yield url
                finally:
                    process.send_signal(signal.SIGINT)  # its "fast shutdown"
                    process.wait(50)


def owner_of_the_server(folder: str) -> dict[str, Any]:
    """How to start it as somebody else, who then owns the folder, when this is root."""
    if os.getuid() != 0:
        return {}
    import pwd

    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    user = names.get("postgres") or names["nobody"]
    os.chown(folder, user.pw_uid, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def wait_until_it_answers(psycopg: Any, url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 50
    while process.poll() is None and time.monotonic() < until:
        try:
            psycopg.connect(url).close()
            return
        except psycopg.OperationalError:
            time.sleep(0.05)
    pytest.fail(f"PostgreSQL did not start: {log.read_text()}")
