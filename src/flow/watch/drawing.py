"""A picture of a flow: `draw` writes what a stage reads, and what that reads, as a Mermaid flowchart.

What may live here: what turns a description into text. Nothing is run, and nothing is read from a source.
"""

from __future__ import annotations

from typing import Any

from ..core.source import is_a
from ..core.stage import Stage

__all__ = ["draw"]


def draw(stage: Stage[Any]) -> str:
    """A picture of a flow, as the text of a Mermaid flowchart: each stage a box, named as in errors and notes.

    GitHub, GitLab and MkDocs show such a text as a picture, in a block that is marked ``mermaid``. A stage that is read
    at two places is one box. Nothing is run. Raises TypeError for what is no stage.

        rows = flow.Merge([1], [2]).map(str)
        print(flow.draw(rows))
    """
    if not is_a(stage, Stage):
        raise TypeError(f"draw(stage) takes a stage, not {type(stage).__name__}: wrap it first, with flow.wrap()")
    names: dict[int, str] = {}
    boxes: list[str] = []
    arrows: list[str] = []
    todo: list[tuple[Stage[Any], str | None]] = [(stage, None)]
    while todo:
        each, below = todo.pop()
        known = names.get(id(each))
        name = known or f"s{len(names)}"
        if known is None:
            names[id(each)] = name
            boxes.append(f'    {name}["{_text(each)}"]')
            todo += [(source, name) for source in reversed(each.sources)]
        if below is not None:
            arrows.append(f"    {name} --> {below}")
    return "\n".join(["flowchart LR", *boxes, *arrows])


def _text(stage: Stage[Any]) -> str:
    """The label, with what Mermaid would read as its own marks written as it wants them."""
    text = stage.short_label
    for mark, written in (("&", "#amp;"), ('"', "#quot;"), ("<", "#lt;"), (">", "#gt;"), ("`", "#96;")):
        text = text.replace(mark, written)
    return text
