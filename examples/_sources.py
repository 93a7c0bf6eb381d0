"""The files of a tree, from the disk and from a small server. All of this blocks: it is for threads."""

from __future__ import annotations

import base64
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

Source = tuple[str, bytes]  # a path below the tree, and what is in the file


def walk(tree: Path) -> Iterator[Path]:
    """The Python files of a tree, in order."""
    for folder, subfolders, files in os.walk(tree):
        subfolders[:] = sorted(name for name in subfolders if name not in ("site-packages", "__pycache__"))
        yield from (Path(folder, name) for name in sorted(files) if name.endswith(".py"))


def read_sources(
    tree: Path, part: int, expect: Callable[[int], object], skip: Callable[[str], object]
) -> Iterator[Source]:
    """Every second file of a tree, beginning with file number `part`. Tells how many, and which can't be read."""
    paths = list(islice(walk(tree), part, None, 2))
    expect(len(paths))
    for path in paths:
        name = os.fsencode(path.relative_to(tree).as_posix()).decode("utf-8", "replace")
        try:
            content = path.read_bytes()
        except OSError:  # it has gone, or is not for us
            skip(name)
        else:
            yield name, content


@contextmanager
def serving(sources: Iterator[Source]) -> Iterator[tuple[str, int]]:
    """A server in a thread, which sends these files to whoever connects; gives its address.

    A file is a line of JSON, ``["path", "content in base64"]``, and the last line is ``null``. The thread has ended
    when the `with` is left, on whatever way out.
    """
    stopping = threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            try:
                for path, content in () if stopping.is_set() else sources:
                    line = json.dumps([path, base64.b64encode(content).decode("ascii")])
                    connection.sendall(line.encode() + b"\n")
                connection.sendall(b"null\n")
            except OSError:
                pass  # the other side has gone: it was stopped

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, name="server")
        thread.start()
        try:
            yield listener.getsockname()
        finally:
            stopping.set()
            if thread.is_alive():  # it may still wait for somebody to come
                try:
                    socket.create_connection(listener.getsockname()).close()
                except OSError:
                    pass
            thread.join()
