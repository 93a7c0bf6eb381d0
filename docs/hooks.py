"""What mkdocs is to do beside its plugins (mkdocs.yml names this file)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError

CELL = re.compile(r"<td.*?</td>", re.DOTALL)
ELSEWHERE = r"=\"?(?:https?:)?//[^>]*>"
LOADS = re.compile(
    rf"<(?:script|img|iframe|source)\b[^>]*\bsrc{ELSEWHERE}"
    rf"|<link\b(?![^>]*\brel=\"?(?:canonical|edit|next|prev))[^>]*\bhref{ELSEWHERE}"
)
STYLE_LOADS = re.compile(r"(?:@import|url\()\s*[\"']?(?:https?:)?//[^\"')]*")


def on_page_content(html: str, **_: Any) -> str:
    r"""In a table, `a \| b` is the code `a | b`: so says every other reader of Markdown, and so it is written."""
    return CELL.sub(lambda cell: cell[0].replace(r"\|", "|"), html)


def on_post_build(config: Any, **_: Any) -> None:
    """Refuses a book that would load a font, a script, a style or a picture of another host while it is read."""
    for path in Path(config["site_dir"]).rglob("*"):
        found = {".html": LOADS, ".css": STYLE_LOADS}.get(path.suffix)
        loads = found.findall(path.read_text(encoding="utf-8")) if found else []
        if loads:
            raise PluginError(f"{path.name} loads from elsewhere: {', '.join(loads)}")
