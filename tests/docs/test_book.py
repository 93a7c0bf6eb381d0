"""The book is whole: every page can be found, every public name is in the reference, the pictures are what their script
draws. (`make docs` builds it, and fails on every warning.)"""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import flow
import flow.testing
import flow.web

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md"))
CONFIGURATION = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
NAVIGATION = re.findall(r"[\w/-]+\.md", CONFIGURATION.split("\nnav:\n")[1])
SOURCE = Path(flow.__file__).parent


def test_each_page_is_in_the_navigation_once() -> None:
    assert sorted(NAVIGATION) == PAGES


@pytest.mark.parametrize("page", PAGES)
def test_a_page_begins_with_its_only_title(page: str) -> None:
    lines = re.sub(r"^```.*?^```$", "", (DOCS / page).read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^# .*$", lines, flags=re.MULTILINE)
    assert lines.startswith("# ")
    assert len(titles) == 1


@pytest.mark.parametrize("chapter", ["tutorial", "how-to", "coming-from", "design", "reference"])
def test_the_first_page_of_a_part_names_all_others(chapter: str) -> None:
    first = (DOCS / chapter / "index.md").read_text(encoding="utf-8")
    for page in (DOCS / chapter).glob("*.md"):
        assert page.name == "index.md" or f"]({page.name})" in first, page.name


# --------------------------------------------------------------------------------------------------------------------
# The reference


def referred() -> list[str]:
    """What the pages of the reference show, as dotted names."""
    text = "".join(page.read_text(encoding="utf-8") for page in (DOCS / "reference").glob("*.md"))
    return re.findall(r"^::: ([\w.]+)$", text, flags=re.MULTILINE)


def test_each_folder_of_the_source_has_its_page() -> None:
    folders = {path.name for path in SOURCE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders <= {page.stem for page in (DOCS / "reference").glob("*.md")}


def public_names() -> list[str]:
    """What a user imports, by the name under which it is imported."""
    late = {**flow._LATER, **flow._ON_TWISTED}  # pyright: ignore[reportPrivateUsage]
    found = [f"flow.{name}" for name in {**vars(flow), **late}]
    found += [f"flow.testing.{name}" for name in vars(flow.testing)]
    found += [f"flow.web.{name}" for name in flow.web.__all__]
    ignored = {"annotations", "TYPE_CHECKING", "Any"}
    return [name for name in found if not (short := name.rpartition(".")[2]).startswith("_") and short not in ignored]


def named(dotted: str) -> Any:
    module, _, name = dotted.rpartition(".")
    return getattr(import_module(module), name)


def test_each_public_name_is_in_the_reference() -> None:
    shown = set(referred())
    for name in public_names():
        thing = named(name)
        if (inspect.isclass(thing) or inspect.isfunction(thing)) and thing.__module__.startswith("flow"):
            assert name in shown, f"docs/reference shows no {name}"


def test_the_reference_shows_only_what_is_there() -> None:
    for name in referred():
        assert inspect.getdoc(named(name)), f"{name} has no docstring"


# --------------------------------------------------------------------------------------------------------------------
# Pictures, and the built pages


def test_the_pictures_are_what_their_script_draws(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-W", "error", "-B", str(DOCS / "draw"), str(tmp_path)], check=True, timeout=30)
    drawn = {path.relative_to(tmp_path).as_posix(): path.read_bytes() for path in tmp_path.rglob("*.svg")}
    there = {path.relative_to(DOCS).as_posix(): path.read_bytes() for path in DOCS.rglob("*.svg")}
    assert drawn == there, "draw them anew: python docs/draw"


@pytest.mark.skipif(find_spec("mkdocs") is None, reason="`make docs` installs mkdocs")
def test_a_book_that_loads_from_elsewhere_is_refused(tmp_path: Path) -> None:
    """What is loaded is refused; a link that somebody may follow is not."""
    hooks: dict[str, Any] = {}
    exec((DOCS / "hooks.py").read_text(encoding="utf-8"), hooks)
    page = tmp_path / "page.html"
    page.write_text('<a href="https://example.org">x</a><script src="assets/x.js"></script>')
    hooks["on_post_build"]({"site_dir": tmp_path})
    for loads in (
        '<script async src="https://example.org/x.js"></script>',
        '<link rel="stylesheet" href="//example.org/x.css">',
        '<img alt="x" src=http://example.org/x.png>',
    ):
        page.write_text(loads)
        with pytest.raises(hooks["PluginError"], match="loads from elsewhere"):
            hooks["on_post_build"]({"site_dir": tmp_path})
    page.unlink()
    (tmp_path / "x.css").write_text("@import url('https://example.org/font.css');")
    with pytest.raises(hooks["PluginError"], match="loads from elsewhere"):
        hooks["on_post_build"]({"site_dir": tmp_path})
