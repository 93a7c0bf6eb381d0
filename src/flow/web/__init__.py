"""Pages that are flows: `Resource` for twisted.web, `App` for ASGI servers.

    flow.web.Resource(render)      # a twisted.web resource; the request is Twisted's own
    flow.web.App(render)           # an ASGI application; the request is a flow.web.Request

In both, ``render(request)`` gives the rows of the page: bytes or str, sent as they come and as fast as the client takes
them. Nothing is imported before it is asked for: `App` needs neither Twisted nor any server.

Why the two requests differ: to users of Twisted a request is an object with sessions, adapters and a place in the tree
of resources, which no thin cover would keep, and which the ASGI scope does not have. What two servers can share is what
stands behind the request: a stage, or a generator of plain arguments.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..errors import MissingExtraError

if TYPE_CHECKING:
    from ._asgi import App as App
    from ._asgi import Headers as Headers
    from ._asgi import Request as Request
    from ._resource import Resource as Resource

__all__ = ["App", "Headers", "Request", "Resource"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'flow.web' has no attribute {name!r}")
    try:
        found = import_module("._resource" if name == "Resource" else "._asgi", __name__)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("twisted", "zope"):
            raise
        raise MissingExtraError("flow.web.Resource needs Twisted: pip install 'coopflow[twisted]'") from error
    globals()[name] = thing = getattr(found, name)
    return thing


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
