"""Runs a program of examples/ as somebody would who has just cloned the project, with warnings as errors."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAMS = sorted(path.stem for path in (ROOT / "examples").glob("*.py") if not path.stem.startswith("_"))

LONGEST = 50
"""Seconds for one program: far more than any of them needs."""


RESERVE = "ignore:unclosed file <_io.TextIOWrapper name='/dev/null'"
"""Twisted keeps one file open, so that it can refuse a connection when no descriptor is left, and never closes it."""


def command(program: str, *arguments: object) -> list[str]:
    path = ROOT / "examples" / f"{program}.py"
    return [sys.executable, "-W", "error", "-W", RESERVE, str(path), *map(str, arguments)]


def environment() -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH")]))
    return os.environ | {"PYTHONPATH": path, "PYTHONUTF8": "1", "COLUMNS": "120"}


def run(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(program, *arguments),
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=LONGEST,
        check=False,
    )


def lines_of(program: str, *arguments: object) -> list[str]:
    """The lines that the program prints. It must end well and have nothing to complain of."""
    done = run(program, *arguments)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout.splitlines()


class Serving:
    """A program that serves: what it said at first, what gives its next line, and after its end what else it said."""

    def __init__(self, said: re.Match[str], line: Callable[[], str]) -> None:
        self.said = said
        self.line = line
        self.rest = ""


@contextmanager
def started(program: str, says: str, *arguments: object) -> Iterator[Serving]:
    """A program whose first line is `says`, until Ctrl-C; on that it must end well, and have nothing to complain of."""
    with subprocess.Popen(
        command(program, *arguments),
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as process:
        try:
            assert process.stdout is not None
            said = re.fullmatch(says, process.stdout.readline())
            assert said is not None
            serving = Serving(said, process.stdout.readline)
            yield serving
            process.send_signal(signal.SIGINT)
            serving.rest, errors = process.communicate(timeout=LONGEST)
            assert (process.returncode, errors) == (0, "")
        finally:
            process.kill()  # nothing happens when it has ended


@contextmanager
def serving(program: str, *arguments: object) -> Iterator[int]:
    """The port of a program that serves for `nc`, and says nothing else."""
    with started(program, r"nc 127\.0\.0\.1 (\d+)\n", *arguments) as found:
        yield int(found.said[1])
    assert found.rest == ""


class Peer:
    """Somebody with `nc`: lines to a server, and back. Each wait has an end."""

    def __init__(self, port: int, *, receive_buffer: int | None = None) -> None:
        self.socket = socket.socket()
        self.socket.settimeout(LONGEST)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.connect(("127.0.0.1", port))
        self.file = self.socket.makefile("r", encoding="utf-8", newline="\n")

    def type(self, line: str) -> None:
        self.socket.sendall(f"{line}\n".encode())

    def hear(self) -> str:
        """The next line; nothing at the end."""
        return self.file.readline().rstrip("\n")

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *exc: object) -> None:
        self.file.close()
        self.socket.close()
