"""Writes docs/reference/operators.md out of the docstrings, `capabilities.py` and `standard.py`.

Three tables: what each module has, in the order of the modules, by the first lines of the docstrings; what people ask
of a library of streams, and what answers it; and what the standard library does on a flow as it is.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any, get_overloads

from capabilities import CAPABILITIES
from standard import SHOWN

import flow
import flow.testing
import flow.web

MODULES = {
    "core.wrap": "Anything becomes a stage",
    "core.stage": "Stages, and how they are composed and read",
    "core.reading": "",
    "core.stopping": "Stopping gently",
    "core.receipt": "",
    "core.instruction": "Instructions",
    "core.microthread": "Waiting",
    "stages.transform": "Rows, one after another",
    "stages.calls": "Calls, several at a time",
    "stages.batch": "Batches and windows",
    "stages.window": "",
    "stages.timing": "Time",
    "stages.errors": "Errors",
    "stages.retrying": "",
    "stages.hooks": "Hooks, valves and ends",
    "stages.buffer": "Rows that are pushed, and buffers",
    "stages.share": "One run, several readers",
    "stages.route": "",
    "stages.combine": "Several inputs",
    "stages.sequence": "",
    "stages.latest": "",
    "stages.first": "",
    "offload.threads": "Threads and executors",
    "offload.executors": "",
    "sql": "Databases",
    "io.framing": "Framing",
    "io.messages": "",
    "io.twisted_protocol": "Connections, on Twisted",
    "io.twisted_endpoints": "",
    "io.twisted_boxes": "",
    "loops._twisted": "",
    "web": "Pages",
    "watch.meter": "Watching",
    "watch.drawing": "",
    "testing": "Testing",
}
"""The modules in the order of the page, with the headings; one without a heading joins the one before."""

READ = {
    "for row in rows": "The rows of one run, in a script, or inside another stage.",
    "async for row in rows": "The rows of one run, on asyncio, trio or Twisted.",
    "await rows": "The list of all rows of one run.",
    "rows | f": "The rows that `f` makes of these: a (maybe async) generator function, a builtin, a partial.",
    "rows[a:b:c]": "Those rows, as `itertools.islice` does it; no row after the last one is asked for.",
}
"""What has no name of its own."""

OF_STAGES = {"rows", "taken", "label", "chain", "depth", "open_in", "upstream", "is_plain_pipe"}
"""Public names of `Stage` that are for those who write stages."""


class Entry:
    """One line of the first table."""

    def __init__(self, name: str, module: str, thing: Any) -> None:
        self.name = name
        self.module = module
        self.thing = thing

    @property
    def shown(self) -> str:
        return self.name + _signature(self.thing) if callable(self.thing) else self.name

    @property
    def says(self) -> str:
        text = READ.get(self.name) or inspect.getdoc(self.thing) or ""
        line = " ".join(text.split("\n\n")[0].split())
        # Where to read on is for those who read the source; here everything is on the pages beside this one.
        line = re.sub(r"[:.,;]? [Ss]ee `[\w.]+`\.?$", ".", line)
        return line.replace("``", "`").replace("..", ".") if "..." not in line else line.replace("``", "`")


def _signature(thing: Any) -> str:
    function = thing if inspect.isfunction(thing) else thing.__init__
    forms = [thing, *(get_overloads(function) if inspect.isfunction(function) else ())]
    try:
        # The fullest form: where there are overloads, the function itself may take just anything.
        fullest = max(forms[1:] or forms, key=lambda form: len(inspect.signature(form).parameters))
        parameters = list(inspect.signature(fullest).parameters.values())
    except (TypeError, ValueError):
        return ""
    shown: list[str] = []
    for each in parameters:
        if each.name == "self" or each.name.startswith("_"):
            continue
        if each.kind is each.KEYWORD_ONLY:
            shown.append(f"{each.name}=")
        elif each.kind is each.VAR_POSITIONAL:
            shown.append(f"*{each.name}")
        elif each.kind is each.VAR_KEYWORD:
            shown.append("...")
        else:
            shown.append(each.name)
    if inspect.isclass(thing) and not shown:
        return ""  # a class to inherit from, or one that nobody calls
    text = f"({', '.join(shown)})"
    if len(text) > 60:
        while len(text) > 56:
            shown.pop()
            text = f"({', '.join(shown)}, ...)"
    return text


def methods() -> Iterator[Entry]:
    """The short forms: public methods of Stage, each with the module that it calls."""
    for kind in reversed(flow.Stage.__mro__):
        for name, method in vars(kind).items():
            if name.startswith("_") or name in OF_STAGES or not inspect.isfunction(method):
                continue
            used = re.search(r"from \.\.((?:stages|watch|offload)\.\w+) import", inspect.getsource(method))
            yield Entry(f"rows.{name}", used[1] if used else "core.stage", method)


def exported() -> Iterator[Entry]:
    """The public names of flow, but for its errors, and those of its modules that are meant to be imported."""
    for package in (flow, flow.testing, flow.web):
        late = (*flow._LATER, *flow._ON_TWISTED) if package is flow else ()
        names = [*vars(package), *late, *getattr(package, "__all__", ())]
        for name in dict.fromkeys(names):
            thing = getattr(package, name)
            home = getattr(thing, "__module__", "")
            if name.startswith("_") or inspect.ismodule(thing) or not home.startswith("flow"):
                continue
            if inspect.isclass(thing) and issubclass(thing, BaseException) and package is not flow.testing:
                continue  # they have a page of their own
            module = home.removeprefix("flow.") if package is flow else package.__name__.removeprefix("flow.")
            yield Entry(f"{package.__name__}.{name}", module, thing)


def entries() -> list[Entry]:
    """Every line of the first table, in the order of the modules."""
    found = [Entry(name, "core.stage", None) for name in READ] + [*methods(), *exported()]
    order = list(MODULES)
    unknown = sorted({each.module for each in found} - set(order))
    if unknown:
        raise LookupError(f"docs/draw/operators.py: MODULES has no place for {', '.join(unknown)}")
    # Methods in the order of the source; what is exported by name: some names are there once they were asked for.
    return sorted(found, key=lambda each: (order.index(each.module), each.name if each.name[:5] == "flow." else ""))


# --------------------------------------------------------------------------------------------------------------------
# The page


def cell(text: str) -> str:
    return text.replace("|", r"\|")


def code(text: str) -> str:
    return f"`{cell(text)}`"


def by_module() -> Iterator[str]:
    every = entries()
    heading = ""
    for module, title in MODULES.items():
        mine = [each for each in every if each.module == module]
        if title:
            heading = title
        if mine and heading:
            yield f"\n### {heading}\n\n| name | what it is |\n|---|---|"
            heading = ""
        for each in mine:
            yield f"| {code(each.shown)} | {cell(each.says)} |"


def by_wish() -> Iterator[str]:
    for kind, capabilities in CAPABILITIES.items():
        yield f"\n### {kind}\n\n| asked for | | here | |\n|---|---|---|---|"
        for each in capabilities:
            names = ", ".join(code(name) for name in each.ours)
            yield f"| {cell(each.name)} | {'★' * each.stars} | {names} | {cell(each.note)} |"


def by_library() -> Iterator[str]:
    yield "| name | with a flow as its input | gives | |\n|---|---|---|---|"
    for each in SHOWN:
        yield f"| {code(each.named)} | {code(each.code)} | {code(each.gives)} | {cell(each.note)} |"


def page() -> str:
    return f"""# Operators

What there is, three times: by module, by what one looks for, and what Python's own library does already. This page is
made from the docstrings, by `python docs/draw`; what each stage holds, and how it ends, is in
[Sources, stages and readers](../stages.md).

## By module

`rows` is any stage.
{chr(10).join(by_module())}

## By what is asked for

What libraries of streams have, here and in other languages, and many (★★) or most (★★★) of those who use them need.
{chr(10).join(by_wish())}

## What Python has

A stage is an iterable, and takes whatever makes one iterable of another: with `|`, with `functools.partial`, or with
`rows.pipe(f, ...)`. What waits above it may wait. What gives one value is called with the stage in a script; in a
coroutine, write `await rows.collect(f)`.

{chr(10).join(by_library())}
"""


def named(spelling: str) -> Any:
    """What a spelling of flow's own means; LookupError for what is not there."""
    if spelling in READ:
        return spelling
    if spelling.startswith("rows."):
        return getattr(flow.Stage, spelling.removeprefix("rows."))
    first, *rest = spelling.split(".")
    found: Any = import_module(first)
    for name in rest:
        found = getattr(found, name)
    return found
