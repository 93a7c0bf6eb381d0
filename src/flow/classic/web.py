"""`Resource`: a page that a generator writes to its request."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from functools import update_wrapper
from typing import Any

from ..web import Resource as _Resource
from .controller import Deferred
from .wrap import wrap

__all__ = ["Deferred", "Resource"]


class Resource(_Resource):
    """A resource of twisted.web whose page is written by a flow: ``gen(request)`` calls ``request.write(...)``.

    What `gen` yields is obeyed when it is an instruction, and ignored otherwise. ``request.write`` takes bytes and does
    not wait. When the client leaves, the flow is cancelled. For the rest, and for `options`, see flow.web.Resource,
    whose pages yield what is to be written.
    """

    def __init__(self, gen: Callable[[Any], Any], **options: Any) -> None:
        if not callable(gen):
            raise TypeError(f"Resource(gen): gen must be a function of a request, not {type(gen).__name__}")
        self.gen = gen

        def written(request: Any) -> Any:
            return wrap(gen(request)) | _ignored

        super().__init__(update_wrapper(written, gen, ("__name__", "__qualname__"), ()), **options)


def _ignored(rows: Iterator[Any]) -> Generator[Any]:
    for _ in rows:
        pass
    yield from ()
