"""What is public is documented, and what the documentation names is there."""

from __future__ import annotations

import inspect
import re
import types
from importlib.util import find_spec
from pathlib import Path

import pytest

import flow
import flow.testing

ROOT = Path(__file__).parents[2]
STAGES = (ROOT / "docs" / "stages.md").read_text(encoding="utf-8")
TESTING = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def names_of(module: types.ModuleType) -> list[str]:
    """The names that a user may import from it: no modules, no names that begin with an underscore."""
    lazy = ["Deferred", *flow._LATER] if module is flow else []  # pyright: ignore[reportPrivateUsage]
    given = [name for name, value in vars(module).items() if not isinstance(value, types.ModuleType)]
    ignored = {"annotations", "TYPE_CHECKING", "Any"}
    return sorted({name for name in [*given, *lazy] if not name.startswith("_") and name not in ignored})


def in_code(name: str, text: str) -> bool:
    """Does the page show the name in code: between backticks, or in a block?"""
    code = re.findall(r"```.*?```|`[^`\n]+`", text, flags=re.DOTALL)
    return any(re.search(rf"\b{re.escape(name)}\b", each) for each in code)


def test_each_public_name_has_its_place_in_stages_md() -> None:
    missing = [name for name in names_of(flow) if not in_code(name, STAGES)]
    assert not missing, f"these names of flow are public: say in docs/stages.md what they do: {missing}"


def test_each_name_of_flow_testing_has_its_place_in_testing_md() -> None:
    missing = [name for name in names_of(flow.testing) if not in_code(name, TESTING)]
    assert not missing, f"these names of flow.testing are public: say in docs/testing.md what they do: {missing}"


def test_each_public_name_has_a_docstring() -> None:
    for module in (flow, flow.testing):
        assert not [name for name in names_of(module) if not inspect.getdoc(getattr(module, name))]


def test_each_short_form_is_documented() -> None:
    """`rows.map(f)` and its kin: the public methods of Stage that users call."""
    inner = {
        "rows",
        "taken",
        "label",
        "chain",
        "depth",
        "open_in",
        "upstream",
        "sources",
        "short_label",
        "is_plain_pipe",
    }  # for stages themselves
    for name in vars(flow.Stage):
        if not name.startswith("_") and name not in inner:
            assert re.search(rf"\.{name}\(", STAGES), f"say in docs/stages.md what stage.{name}() does"


def test_each_error_is_in_the_table() -> None:
    table = STAGES.split("## Errors")[1]
    for name, thing in vars(flow).items():
        if inspect.isclass(thing) and issubclass(thing, BaseException):
            assert re.search(rf"^\| `{name}`", table, flags=re.MULTILINE), f"{name} is not in the table of errors"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_pages_name_only_what_is_there(page: Path) -> None:
    """`flow.something` on a page is a public name. What comes later is written without `flow.` before it."""
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"(?<!twisted\.)\bflow\.([A-Za-z_]\w*)(?!\w*/)", text):
        there = hasattr(flow, name) or name in ("py", "md") or find_spec(f"flow.{name}") is not None
        assert there, f"{page.name} names flow.{name}, which is not there"


def test_each_source_of_the_readme_is_in_stages_md() -> None:
    table = README.split("## What you have, and what you write")[1].split("\n## ")[0]
    for name in re.findall(r"flow\.(\w+)", table):
        assert in_code(name, STAGES), name


def test_the_numbers_that_pages_state_are_those_of_the_code() -> None:
    from flow.core.bodies import LARGEST_BLOCK
    from flow.core.pull_cy import MOST
    from flow.core.run import CLEANUP, SLICE
    from flow.core.source import AHEAD
    from flow.io.framing import MAX_LENGTH

    contract = " ".join((ROOT / "docs" / "contract.md").read_text(encoding="utf-8").split())
    assert (SLICE, CLEANUP, AHEAD, MOST + 1) == (0.005, 5.0, 16, 64)
    assert "5 ms" in contract
    assert "(5 s" in contract
    assert f"an async stage {AHEAD} rows" in contract
    assert f"at most {MOST + 1} of" in contract
    assert f"{LARGEST_BLOCK:,} rows" in STAGES
    assert f"({MAX_LENGTH:,})" in STAGES
    assert flow.Callback().limit == flow.Threaded([]).limit == 1000


def test_what_a_loop_must_do_is_said() -> None:
    from flow.loops.base import BaseLoop

    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("## Adding a loop")[1].split("\n## ")[0]
    for name, method in vars(BaseLoop).items():
        if inspect.isfunction(method) and "NotImplementedError" in inspect.getsource(method):
            assert re.search(rf"^\| `{name}\(", guide, flags=re.MULTILINE), name


def test_nothing_points_out_of_the_repository() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"(?<![\w.])/(?:work|tmp|home|root)/", text), page.name
