"""flow.classic: the names, the calls and the defaults of 2003, over the engine of today.

``from flow.classic import flow`` stands where a program wrote ``from twisted.flow import flow``. The modules have the
names that they had (`flow`, `base`, `wrap`, `stage`, `pipe`, `controller`, `protocol`, `threads`, `web`), and each
offers what its namesake did. They hold subclasses and defaults only: what runs a flow is `flow.core`. What differs all
the same is in docs/history.md.

It needs Twisted, as 2003's did: failures are Twisted's Failures there. ``import flow`` does not import it.
"""

from __future__ import annotations

from ..errors import MissingExtraError

try:
    import twisted as _twisted  # noqa: F401  # pyright: ignore[reportUnusedImport]
except ModuleNotFoundError as error:
    raise MissingExtraError("flow.classic needs Twisted: pip install 'coopflow[twisted]'") from error
