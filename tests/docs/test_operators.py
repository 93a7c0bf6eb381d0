"""docs/reference/operators.md is what its script writes; it has everything that is public, and names nothing else."""

from __future__ import annotations

import builtins
import codecs
import collections
import csv
import functools
import heapq
import inspect
import io
import itertools
import json
import operator
import re
import statistics
import sys
import zlib
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, get_overloads

import more_itertools
import pytest

import flow
import flow.testing
import flow.web

ROOT = Path(__file__).parents[2]
DRAW = ROOT / "docs" / "draw"
PAGE = (ROOT / "docs" / "reference" / "operators.md").read_text(encoding="utf-8")


def drawing(name: str) -> ModuleType:
    """A module of docs/draw, which is no package: it is run as a program."""
    sys.path.insert(0, str(DRAW))
    try:
        return __import__(name)
    finally:
        sys.path.remove(str(DRAW))


operators = drawing("operators")
capabilities = [each for many in drawing("capabilities").CAPABILITIES.values() for each in many]
shown = drawing("standard").SHOWN
BY_MODULE, BY_WISH, BY_LIBRARY = re.split(r"^## By what is asked for$|^## What Python has$", PAGE, flags=re.MULTILINE)


def first_cells(table: str) -> list[str]:
    """The first cell of each line of the tables, without its backticks and arguments."""
    cells = [re.split(r"(?<!\\)\|", line)[1].strip() for line in table.splitlines() if line.startswith("| `")]
    return [re.sub(r"\(.*", "", cell.strip("`")) for cell in cells]


def test_the_page_is_what_the_script_writes() -> None:
    """`python docs/draw` writes it anew."""
    assert operators.page() == PAGE, "write it anew: python docs/draw"


def public_methods() -> set[str]:
    """The public methods of Stage, but for those that are for whoever writes a stage."""
    return {
        f"rows.{name}"
        for kind in flow.Stage.__mro__
        for name, method in vars(kind).items()
        if not name.startswith("_") and inspect.isfunction(method) and name not in operators.OF_STAGES
    }


def test_each_method_of_a_stage_is_in_the_table() -> None:
    """What a user may write behind a dot."""
    methods = public_methods()
    assert methods <= set(first_cells(BY_MODULE))
    assert len(methods) > 10


def test_each_public_name_is_in_the_table() -> None:
    """Every class and function that flow exports, but for its errors (they have a page of their own)."""
    late = {**flow._LATER, **flow._ON_TWISTED}  # pyright: ignore[reportPrivateUsage]
    names = {f"flow.{name}" for name in {**vars(flow), **late} if not name.startswith("_")}
    names |= {f"flow.testing.{name}" for name in vars(flow.testing) if not name.startswith("_")}
    names |= {f"flow.web.{name}" for name in flow.web.__all__}
    in_table = set(first_cells(BY_MODULE))
    for name in names:
        thing = operators.named(name)
        if not inspect.isclass(thing) and not inspect.isfunction(thing):
            continue
        is_error = inspect.isclass(thing) and issubclass(thing, BaseException) and name.count(".") == 1
        if thing.__module__.startswith("flow") and not is_error:
            assert name in in_table, f"{name} is not on the page: python docs/draw"


def test_each_line_says_what_it_is() -> None:
    """No name stands there without a sentence, and none is told to look elsewhere for it."""
    for entry in operators.entries():
        assert entry.says, entry.name
        assert entry.says.endswith((".", ")", "`", ":")), f"{entry.name}: {entry.says}"
        assert not re.search(r"[Ss]ee `flow", entry.says), f"{entry.name}: {entry.says}"


# ------------------------------------------------------------------------------------------------------------------
# What is asked for


@pytest.mark.parametrize("capability", capabilities, ids=lambda each: each.name)
def test_what_answers_a_wish_is_there(capability: Any) -> None:
    """Each line has a name of ours, or one that the third table shows; and all of them exist."""
    assert capability.ours
    others = {each.named for each in shown}
    public = set(first_cells(BY_MODULE)) | {operators.cell(each) for each in operators.READ}
    for spelling in capability.ours:
        if spelling in others:
            continue
        assert operators.named(spelling), spelling
        if spelling.count(".") == 1 or "flow.testing" in spelling:
            assert operators.cell(spelling) in public, f"{spelling} is not in the first table"
    assert f"| {operators.cell(capability.name)} | " in BY_WISH


def test_the_wishes_are_complete() -> None:
    """The lines that most ask for, and those that many do, are all there, each once."""
    stars = collections.Counter(each.stars for each in capabilities)
    assert (stars[3], stars[2]) == (49, 60)
    assert len({each.name for each in capabilities}) == len(capabilities)


def test_what_the_notes_name_is_there() -> None:
    """`map(f, retry=3)` in a note: the method has such a parameter."""
    for each in capabilities:
        for name, arguments in re.findall(r"`(\w+)\(([^`]*)\)`", each.note):
            method = getattr(flow.Stage, name, None) or getattr(flow, name, None) or getattr(builtins, name)
            names = re.findall(r"(\w+)=", arguments)
            if not names:
                continue
            forms = [method, *get_overloads(method)]
            known = {parameter for form in forms for parameter in inspect.signature(form).parameters}
            assert set(names) <= known, f"{each.name}: {name}({arguments})"


# ------------------------------------------------------------------------------------------------------------------
# What Python has


@pytest.mark.parametrize("line", shown, ids=lambda each: each.named)
def test_what_python_has_works_on_a_flow(line: Any) -> None:
    """Each snippet is run, with a stage as its input, and gives what the table says."""
    assert "flow." in line.code
    if line.named == "itertools.batched" and sys.version_info < (3, 12):
        pytest.skip("itertools.batched came with Python 3.12")
    names = {
        module.__name__: module
        for module in (
            codecs,
            collections,
            csv,
            flow,
            functools,
            heapq,
            io,
            itertools,
            json,
            more_itertools,
            operator,
            statistics,
            zlib,
        )
    }
    value = eval(line.code, {**names, "partial": partial})
    got = ", ".join(map(repr, value)) if isinstance(value, flow.Stage) else repr(value)
    assert got == line.gives
    assert f"| `{operators.cell(line.named)}` | " in BY_LIBRARY


def test_what_python_has_is_there() -> None:
    """The names that are shown exist, and none is shown twice."""
    names = [each.named for each in shown]
    assert len(set(names)) == len(names)
    for name in names:
        if name == "itertools.batched" and sys.version_info < (3, 12):
            continue
        assert callable(operators.named(name if "." in name else f"builtins.{name}"))


def test_each_expression_names_what_it_shows() -> None:
    """The name in the first column is in the expression."""
    for each in shown:
        assert each.named in each.code
