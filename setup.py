"""What pyproject.toml can't say: the core is compiled where that is possible.

FLOW_BUILD in the environment: `auto` (the default) compiles if there are Cython and a C compiler, and else leaves the
files as they are; `pure` does not try; `compiled` fails where it can't.
"""

from __future__ import annotations

import os
import platform
from hashlib import sha256
from pathlib import Path
from typing import Any

from setuptools import setup

WAYS = ("auto", "pure", "compiled")


def compiled(must: bool) -> dict[str, Any]:
    try:
        # Not cythonize(): what it gives back is no longer optional, and a machine without a compiler could not install.
        from Cython.Build import build_ext
        from Cython.Distutils.extension import Extension
    except ModuleNotFoundError:
        if must:
            raise SystemExit("FLOW_BUILD=compiled needs Cython: pip install 'cython>=3.1'") from None
        return {}
    extensions = []
    for source in sorted(Path("src").glob("flow/**/*_cy.py")):
        # So that a compiled module that was made from another text is found out: see flow._build.
        texts = [source, source.with_suffix(".pxd"), source.with_name("_capi.pxd")]
        fingerprint = sha256(b"".join(each.read_bytes() for each in texts)).hexdigest()[:16]
        extensions.append(
            Extension(
                ".".join(source.relative_to("src").with_suffix("").parts),
                sources=[source.as_posix()],
                depends=[each.as_posix() for each in texts[1:]],
                define_macros=[("FLOW_SOURCE", f'"{fingerprint}"')],
                cython_c_in_temp=True,
                cython_directives={"language_level": "3", "auto_pickle": False},
                optional=not must,
            )
        )
    return {"cmdclass": {"build_ext": build_ext}, "ext_modules": extensions}


way = os.environ.get("FLOW_BUILD") or "auto"
if way not in WAYS:
    raise SystemExit(f"FLOW_BUILD must be one of {', '.join(WAYS)}, not {way!r}")
if way == "pure" or (way == "auto" and platform.python_implementation() != "CPython"):
    setup()
else:
    setup(**compiled(must=way == "compiled"))
