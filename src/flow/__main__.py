"""The command line: ``python -m flow --version``."""

from __future__ import annotations

import argparse
import platform
import sys

from . import __version__
from ._build import describe, running


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m flow", description="A chain of ordinary generators that can wait.")
    parser.add_argument("--version", action="store_true", help="print the version, the Python and the build")
    asked = parser.parse_args(arguments)
    if not asked.version:
        parser.print_help()
        return 0
    print(f"flow {__version__} on {platform.python_implementation()} {platform.python_version()}; {describe()}")
    return 1 if running().faults else 0


if __name__ == "__main__":
    sys.exit(main())
