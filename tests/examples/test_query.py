"""A query in a thread: SQLite, and a PostgreSQL that is started for this test alone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from bench.postgresql import is_installed, started

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


@pytest.fixture(scope="module")
def postgresql() -> Generator[str]:
    """The URL of a server that listens on a socket in a folder of its own, and nowhere else."""
    pytest.importorskip("psycopg")
    if not is_installed():
        pytest.skip("no PostgreSQL server is installed")
    with started() as url:
        yield url
