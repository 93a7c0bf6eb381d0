"""What a page is, whatever server it is for: the rows of ``render(request)``, as bytes.

What may live here: what `Resource` and `App` do in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any

from ..core.microthread import wait
from ..core.scope import Scope
from ..core.source import can_be_called, can_be_waited_for, is_a, kind_of
from ..core.stage import Stage, label_of
from ..core.wrap import stage_of

__all__ = ["CONTENT_TYPE", "FAILED", "WITHOUT_BODY", "Page", "page_of", "rendering"]

CONTENT_TYPE = "text/html; charset=utf-8"
"""What a page is unless it says something else."""

WITHOUT_BODY = frozenset({204, 304})
"""Codes of responses that have no body."""

FAILED = (
    b"<!doctype html>\n<html lang=en><title>500 Internal Server Error</title>\n"
    b"<h1>Internal Server Error</h1>\n<p>This page could not be made.</p>\n</html>\n"
)
"""The page for a failure before the first row. What failed is in the log, and nowhere else."""


def rendering(render: Callable[[Any], Any], of: str) -> Callable[[Any], Any]:
    """`render`, when it can be called. Otherwise an error from the line that wrote it."""
    if not can_be_called(render):
        raise TypeError(
            f"{of}(render): render must be a function of the request that gives the page's rows, not "
            f"{type(render).__name__}"
        )
    return render


class Page(Stage[bytes]):
    """The rows of ``render(request)``, as bytes. `render` is called in the flow, and so may wait."""

    __slots__ = ("_render", "_request")

    def __init__(self, render: Callable[[Any], Any], request: Any) -> None:
        self._render = render
        self._request = request

    @property
    def label(self) -> str:
        return f"{label_of(self._render)}(request)"

    def rows(self, upstream: Any, scope: Scope) -> Iterator[bytes]:
        return self._rows(scope)

    def _rows(self, scope: Scope) -> Generator[bytes]:
        made = self._render(self._request)
        if not is_a(made, Stage) and can_be_waited_for(made):
            made = wait(made)
        if made is None:
            raise TypeError(
                f"{self.label} returned None. It must yield or return the page's rows: write it as a generator, or "
                "return a stage, a list or a text."
            )
        yield from map(encoded, stage_of(made).open_in(scope))


def page_of(render: Callable[[Any], Any], request: Any, headers_only: bool) -> Stage[bytes]:
    """A page; for an answer that is headers only (HEAD), up to its first row.

    Until then headers may be set, and what comes after it nobody would get.
    """
    page = Page(render, request)
    return page[:1] if headers_only else page


def encoded(row: Any) -> bytes:
    """A row as it goes to the client. Raises TypeError for what is neither bytes nor text."""
    if is_a(row, str):
        return bytes(row, "utf-8")
    if is_a(row, (bytes, bytearray, memoryview)):
        return bytes(row)
    raise TypeError(f"a row of a page must be bytes or str, not {kind_of(row).__name__}: {row!r:.80}")
