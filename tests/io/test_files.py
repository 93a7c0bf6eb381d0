"""Files as sources: their lines, read and closed in a thread; in-memory files are read where they are.

CONTRACT 7, 11, 14 and 26 as they show with files.
"""

# ruff: noqa: SIM115  # the files are closed by what is tested
from __future__ import annotations

import asyncio
import io
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest

import flow
from flow.testing import nothing_left

TEXT = "one\ntwo\r\nthrée\n\nlast without an end"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "lines.txt"
    found.write_bytes(TEXT.encode())
    return found


class Watched(io.TextIOWrapper):
    """A real file that notes in which threads it was read and closed."""

    def __init__(self, path: Path) -> None:
        super().__init__(open(path, "rb"), encoding="utf-8", newline="")
        self.read_in: set[int] = set()
        self.closed_in: list[int] = []

    def __next__(self) -> str:
        self.read_in.add(threading.get_ident())
        return super().__next__()

    def close(self) -> None:
        if not self.closed:
            self.closed_in.append(threading.get_ident())
        super().close()


@pytest.mark.parametrize("mode", ["r", "rb"])
def test_a_file_gives_its_lines_and_is_closed(path: Path, mode: str) -> None:
    """The rows are what a plain ``for`` over the file gives, text or bytes; at the end the file is closed."""
    with open(path, mode) as plain:
        wanted = list(plain)
    file = open(path, mode)
    assert list(flow.wrap(file)) == wanted
    assert file.closed
    nothing_left()


def test_a_file_is_read_and_closed_in_one_other_thread(path: Path) -> None:
    """CONTRACT 11, 26: the thread that reads the flow touches no disk, and one thread reads and closes."""
    file = Watched(path)
    assert "".join(flow.wrap(file)) == TEXT
    assert threading.get_ident() not in file.read_in
    assert len(file.read_in) == 1
    assert file.closed_in == list(file.read_in)


def test_a_file_is_closed_when_its_reader_stops(path: Path) -> None:
    """CONTRACT 14: after a break the file is closed, in its thread, before control returns."""
    file = Watched(path)
    with flow.wrap(file).open() as rows:
        assert next(rows) == "one\n"
    assert file.closed
    assert file.closed_in == list(file.read_in)
    nothing_left()


@pytest.mark.parametrize("make", [lambda path: open(path), lambda path: io.StringIO(TEXT)], ids=["disk", "memory"])
def test_a_file_of_which_no_row_was_asked_is_closed_with_its_run(path: Path, make: Any) -> None:
    """CONTRACT 14: the file belongs to the run that took it, even when that run asked it for nothing."""
    file = make(path)
    try:
        assert list(flow.wrap(file)[:0]) == []
        assert file.closed
    finally:
        file.close()


@pytest.mark.parametrize("make", [lambda path: open(path), lambda path: io.StringIO(TEXT)], ids=["disk", "memory"])
def test_a_file_is_closed_when_the_stage_below_fails_at_once(path: Path, make: Any) -> None:
    """CONTRACT 14: a plain stage that fails before it asks for a row leaves no file open."""

    def fails(rows: Any) -> Any:
        raise OSError("before the first row")

    file = make(path)
    try:
        with pytest.raises(OSError, match="before the first row"):
            list(flow.wrap(file) | fails)
        assert file.closed
    finally:
        file.close()


def test_a_file_is_closed_when_a_stage_below_fails(path: Path) -> None:
    """CONTRACT 14: a failure downstream closes it, too."""
    file = Watched(path)
    with pytest.raises(ValueError, match="invalid literal"):
        list(flow.wrap(file).map(int))
    assert file.closed
    nothing_left()


@pytest.mark.parametrize("make", [lambda path: open(path), lambda path: io.StringIO(TEXT)], ids=["disk", "memory"])
def test_a_file_is_read_once(path: Path, make: Any) -> None:
    """CONTRACT 7: a second reading raises at once and says what to do, it is not silently empty."""
    stage = flow.wrap(make(path))
    assert len(list(stage)) == 5
    with pytest.raises(flow.AlreadyReadError, match=r"[Oo]pen the file again"):
        list(stage)


def test_a_file_is_not_read_before_the_first_row_is_asked_for(path: Path) -> None:
    """CONTRACT 4: wrapping reads nothing and starts no thread."""
    file = Watched(path)
    before = threading.active_count()
    stage = flow.wrap(file).map(str.strip)
    assert iter(stage) is not None
    assert threading.active_count() == before
    assert file.tell() == 0
    file.close()


def test_a_file_that_fails_midway_fails_after_its_rows(tmp_path: Path) -> None:
    """CONTRACT 3: lines before undecodable bytes are rows; then the error, with its type."""
    path = tmp_path / "broken"
    path.write_bytes(b"good\n" * 4000 + b"\xff\xff\n")
    got = []
    file = open(path, encoding="utf-8")
    with pytest.raises(UnicodeDecodeError):
        for row in flow.wrap(file):
            got.append(row)
    assert got
    assert set(got) == {"good\n"}
    assert file.closed


def test_a_closed_file_is_an_error_at_the_reader(path: Path) -> None:
    """CONTRACT 26: an error from iter() reaches the reader."""
    with open(path) as file:
        pass
    with pytest.raises(ValueError, match="closed file"):
        list(flow.wrap(file))


@pytest.mark.parametrize("kind", [io.StringIO, io.BytesIO])
def test_files_in_memory_are_read_without_a_thread(kind: Any) -> None:
    """They can't block, so no thread is started; they are closed like others."""
    threads: set[int] = set()

    class Memory(kind):  # type: ignore[misc]
        def __next__(self) -> Any:
            threads.add(threading.get_ident())
            return super().__next__()

    file = Memory(TEXT if kind is io.StringIO else TEXT.encode())
    assert len(list(flow.wrap(file))) == 5
    assert threads == {threading.get_ident()}
    assert file.closed


def test_a_temporary_file_is_a_file(path: Path) -> None:
    """tempfile's wrapper is no IOBase, but gives its lines all the same."""
    with tempfile.NamedTemporaryFile("w+") as file:
        file.write("a\nb\n")
        file.seek(0)
        assert list(flow.wrap(file)) == ["a\n", "b\n"]


def test_standard_input_is_not_closed(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """The program's own stdin outlives a flow that reads it."""
    with open(path) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert len(list(flow.wrap(sys.stdin))) == 5
        assert not stdin.closed


def test_a_file_on_a_running_loop(path: Path) -> None:
    """CONTRACT 12: the same lines on asyncio; a cancel closes the file before it is raised."""

    async def main() -> None:
        assert "".join(await flow.wrap(Watched(path))) == TEXT
        file = Watched(path)
        reached = asyncio.Event()

        async def read() -> None:
            async with flow.wrap(file).open() as rows:
                async for _ in rows:
                    reached.set()
                    await asyncio.Event().wait()

        task = asyncio.create_task(read())
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert file.closed
        assert threading.get_ident() not in file.closed_in

    asyncio.run(main())
    nothing_left()


def test_a_file_and_framing_fit_together(path: Path) -> None:
    """A file opened in binary, cut anew: iter(read, sentinel) gives pieces, `lines` the lines."""
    with open(path, "rb", buffering=0) as file:
        rows = flow.wrap(lambda: file.read(3), sentinel=b"") | flow.lines(b"\n")
        assert list(rows) == TEXT.encode().split(b"\n")
