"""Draws the pictures of the documentation: `python docs/draw.py` writes docs/design/engine.svg."""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 860, 400
LEFT, RIGHT = 130, 830
LANES = {"pieces": 70, "parse": 130, "hub": 220, "loop": 310}
LABELS = {
    "pieces": ("pieces", "waits"),
    "parse": ("parse", "a plain stage"),
    "hub": ("hub", "reads the flow"),
    "loop": ("event loop", "and its other work"),
}
RUNS, PAUSED, OTHER = "#2f6db5", "#c9d8ea", "#8a8a8a"
HIGH = 26


class Drawing:
    """Lines of SVG, in the order in which they are drawn."""

    def __init__(self) -> None:
        self.parts: list[str] = []

    def text(
        self, x: float, y: float, text: str, *, size: int = 13, anchor: str = "start", colour: str = "#222"
    ) -> None:
        self.parts.append(
            f'<text x="{x}" y="{y}" font-size="{size}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'
        )

    def bar(self, lane: str, start: float, end: float, colour: str, label: str = "", ink: str = "#fff") -> None:
        y = LANES[lane] - HIGH / 2
        self.parts.append(f'<rect x="{start}" y="{y}" width="{end - start}" height="{HIGH}" rx="3" fill="{colour}"/>')
        if label:
            self.text((start + end) / 2, LANES[lane] + 4, label, size=12, anchor="middle", colour=ink)

    def arrow(self, x: float, start: str, end: str, label: str, *, left: bool = False, y: float = 0) -> None:
        down = LANES[end] > LANES[start]
        y1 = LANES[start] + (HIGH / 2 if down else -HIGH / 2)
        y2 = LANES[end] + (-HIGH / 2 - 3 if down else HIGH / 2 + 3)
        self.parts.append(
            f'<line x1="{x}" y1="{y1}" x2="{x}" y2="{y2}" stroke="#222" stroke-width="1.5" marker-end="url(#head)"/>'
        )
        middle = y or (y1 + y2) / 2 + 4
        self.text(x - 6 if left else x + 6, middle, label, size=12, anchor="end" if left else "start")

    def svg(self) -> str:
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
            'font-family="sans-serif">\n'
            "<title>One pause: a chain on its micro-thread, its hub and the event loop, over time</title>\n"
            '<defs><marker id="head" markerWidth="8" markerHeight="8" refX="6" refY="3" orient="auto">'
            '<path d="M0,0 L7,3 L0,6 z" fill="#222"/></marker></defs>\n'
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>\n'
        )
        return head + "\n".join(self.parts) + "\n</svg>\n"


def engine() -> str:
    """One pause: who runs, who is paused, and what is handed over."""
    drawing = Drawing()
    drawing.parts.append(
        f'<rect x="{LEFT - 122}" y="42" width="{RIGHT - LEFT + 134}" height="118" rx="6" fill="none" stroke="#9db7d6" '
        'stroke-dasharray="5 4"/>'
    )
    drawing.text(LEFT - 112, 34, "the micro-thread: one stack, paused as a whole", size=12, colour=RUNS)
    for lane, (name, what) in LABELS.items():
        drawing.text(LEFT - 112, LANES[lane] - 1, name, size=14)
        drawing.text(LEFT - 112, LANES[lane] + 13, what, size=10, colour="#555")

    drawing.bar("hub", 140, 200, RUNS, "steps")
    drawing.arrow(196, "hub", "parse", "1", left=True)
    drawing.bar("parse", 190, 240, RUNS, "pulls")
    drawing.bar("pieces", 236, 320, RUNS, "wait(x)")
    drawing.arrow(312, "pieces", "hub", "2  switch, with x", y=182)
    drawing.bar("parse", 240, 640, PAUSED, "paused", "#333")
    drawing.bar("pieces", 320, 590, PAUSED, "paused inside wait(x)", "#333")
    drawing.bar("hub", 304, 380, RUNS, "begins x")
    drawing.arrow(372, "hub", "loop", "3  await")
    drawing.bar("loop", 364, 540, OTHER, "other work, and x itself")
    drawing.arrow(532, "loop", "hub", "4  resume(result)")
    drawing.bar("hub", 524, 590, RUNS, "steps")
    drawing.arrow(582, "hub", "pieces", "")
    drawing.bar("pieces", 574, 646, RUNS, "a row")
    drawing.bar("parse", 640, 706, RUNS, "a row")
    drawing.arrow(698, "parse", "hub", "5  the row")
    drawing.bar("hub", 690, 800, RUNS, "hands it on")

    drawing.parts.append(
        f'<line x1="{LEFT}" y1="350" x2="{RIGHT}" y2="350" stroke="#555" stroke-width="1" marker-end="url(#head)"/>'
    )
    drawing.text(RIGHT, 368, "time", size=12, anchor="end", colour="#555")
    for x, colour, label in ((LEFT, RUNS, "runs"), (LEFT + 90, PAUSED, "paused"), (LEFT + 200, OTHER, "other work")):
        drawing.parts.append(f'<rect x="{x}" y="362" width="14" height="14" rx="2" fill="{colour}"/>')
        drawing.text(x + 20, 374, label, size=12)
    return drawing.svg()


if __name__ == "__main__":
    (Path(__file__).parent / "design" / "engine.svg").write_text(engine(), encoding="utf-8")
