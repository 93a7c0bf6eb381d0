"""Which build of the core runs: the modules that a compiler made, or the same files as they are.

There is one source. `setup.py` compiles each `*_cy.py` where that is possible, and the result lies beside the file;
Python then takes it in place of the file. `FLOW_PURE=1` in the environment, when flow is first imported, takes the file
all the same. `python -m flow --version` prints what `describe` says.

What may live here: choosing and reporting. Where FLOW_PURE is set it is imported before all else; it imports nothing
of flow; elsewhere only what reports imports it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from hashlib import sha256
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

__all__ = ["MODULES", "Build", "Sources", "describe", "explain", "fingerprint", "running"]

MODULES = ("flow.core.hand_cy", "flow.core.pass_cy", "flow.core.pull_cy")
"""What can be compiled (tests/build/test_build.py holds this list to the files)."""


class Sources:
    """Finds the file of a module that can be compiled, and not what was compiled from it."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return spec_from_file_location(fullname, source_of(fullname)) if fullname in MODULES else None


class Build(NamedTuple):
    """`name` is "compiled", "pure" or "mixed"; `faults` are sentences, none when all is well."""

    name: str
    faults: tuple[str, ...]


def source_of(module: str) -> Path:
    return Path(__file__).parent.joinpath(*module.split(".")[1:]).with_suffix(".py")


def texts_of(source: Path) -> bytes:
    """All that a compiled module is made of: its file, the declarations beside it, and those that all share."""
    return b"".join(
        each.read_bytes()
        for each in (source, source.with_suffix(".pxd"), source.with_name("_capi.pxd"))
        if each.exists()
    )


def fingerprint(source: bytes) -> str:
    """What `setup.py` gives a compiled module to remember its texts by."""
    return sha256(source).hexdigest()[:16]


def running() -> Build:
    """The build that runs in this process."""
    built: dict[str, str] = {name: import_module(name).BUILT_FROM for name in MODULES}
    compiled = [name for name in MODULES if built[name]]
    pure = [name for name in MODULES if not built[name]]
    faults = [_STALE.format(name, source_of(name).name) for name in compiled if _is_stale(name, built[name])]
    if compiled and pure:
        faults.append(_MIXED.format(", ".join(compiled), ", ".join(pure)))
    return Build("mixed" if compiled and pure else "compiled" if compiled else "pure", tuple(faults))


_STALE = (
    "{} was compiled from another {} than the one that lies beside it, and runs in its place: compile it again "
    "(python setup.py build_ext --inplace), or set FLOW_PURE=1"
)
_MIXED = "{} is compiled and {} is not: install flow again, or set FLOW_PURE=1"


def _is_stale(module: str, built_from: str) -> bool:
    source = source_of(module)
    return source.exists() and fingerprint(texts_of(source)) != built_from


def explain(error: ImportError) -> None:
    """Notes on an error of importing flow which compiled modules are not those of their files."""
    for name in MODULES:
        built: str = getattr(sys.modules.get(name), "BUILT_FROM", "")
        if built and _is_stale(name, built):
            error.add_note("flow: " + _STALE.format(name, source_of(name).name))


def describe() -> str:
    """One line on the build, and one for each fault."""
    found = running()
    return "\n".join([f"core: {found.name}", *(f"fault: {each}" for each in found.faults)])


def _choose() -> None:
    asked = os.environ.get("FLOW_PURE", "")
    if asked not in ("", "0", "1"):
        raise ImportError(
            f"FLOW_PURE must be 1 (run the core as it is) or 0 (run it compiled where it is), not {asked!r}"
        )
    if asked == "1" and not any(isinstance(each, Sources) for each in sys.meta_path):
        sys.meta_path.insert(0, Sources())


_choose()
