"""Lines of SVG, and the colours that all pictures share.

Each picture has a white ground, so that it can be read wherever a page is shown; in the dark the book inverts it
(docs/css/book.css).
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

INK, SOFT, LINE = "#222", "#555", "#9db7d6"
RUNS, PAUSED, OTHER, WARM = "#2f6db5", "#c9d8ea", "#8a8a8a", "#c2662d"
HIGH = 26
"""How high a bar is."""

Colours = list[tuple[str, str]]


class Drawing:
    """The parts of one picture, in the order in which they are drawn."""

    def __init__(self, title: str, width: int, height: int, description: str = "") -> None:
        self.title = title
        self.description = description
        """What the picture shows, in words, for who has it read out."""
        self.width = width
        self.height = height
        self.parts: list[str] = []

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: int = 13,
        anchor: str = "start",
        colour: str = INK,
        code: bool = False,
    ) -> None:
        family = ' font-family="monospace"' if code else ""
        self.parts.append(
            f'<text x="{x:g}" y="{y:g}" font-size="{size}" text-anchor="{anchor}" fill="{colour}"{family}>'
            f"{escape(text)}</text>"
        )

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        colour: str,
        label: str = "",
        *,
        ink: str = "#fff",
        code: bool = False,
    ) -> None:
        """A filled box with a word in its middle."""
        self.parts.append(f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="3" fill="{colour}"/>')
        if label:
            self.text(x + width / 2, y + height / 2 + 4, label, size=12, anchor="middle", colour=ink, code=code)

    def frame(self, x: float, y: float, width: float, height: float, *, colour: str = LINE) -> None:
        """A dashed line round a group."""
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="6" fill="none" stroke="{colour}" '
            'stroke-dasharray="5 4"/>'
        )

    def bar(self, y: float, start: float, end: float, colour: str, label: str = "", ink: str = "#fff") -> None:
        """A stretch of time on the lane at `y`."""
        self.box(start, y - HIGH / 2, end - start, HIGH, colour, label, ink=ink)

    def dot(self, x: float, y: float, label: str, colour: str = RUNS) -> None:
        """A row, at the moment when it is there."""
        self.parts.append(f'<circle cx="{x:g}" cy="{y:g}" r="13" fill="{colour}"/>')
        self.text(x, y + 4, label, size=11, anchor="middle", colour="#fff")

    def curve(self, points: Sequence[tuple[float, float]], colour: str, *, dashed: bool = False) -> None:
        """A line through points, each with a mark: filled, or an open one where the line is dashed."""
        dashes = ' stroke-dasharray="6 4"' if dashed else ""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dashes}/>')
        for x, y in points:
            self.mark(x, y, colour, hollow=dashed)

    def mark(self, x: float, y: float, colour: str, *, hollow: bool = False) -> None:
        fill = "#fff" if hollow else colour
        self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{fill}" stroke="{colour}" stroke-width="2"/>')

    def line(
        self, x1: float, y1: float, x2: float, y2: float, *, arrow: bool = True, colour: str = INK, dashed: bool = False
    ) -> None:
        head = ' marker-end="url(#head)"' if arrow else ""
        dashes = ' stroke-dasharray="4 3"' if dashed else ""
        width = 1.5 if arrow else 1
        self.parts.append(
            f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" stroke="{colour}" stroke-width="{width}"'
            f"{dashes}{head}/>"
        )

    def time(self, y: float, left: float, right: float) -> None:
        """The arrow of time below the lanes."""
        self.line(left, y, right, y, colour=SOFT)
        self.text(right, y + 18, "time", size=12, anchor="end", colour=SOFT)

    def legend(self, x: float, y: float, colours: Colours) -> None:
        for colour, label in colours:
            self.box(x, y, 14, 14, colour)
            self.text(x + 20, y + 12, label, size=12)
            x += 44 + 7 * len(label)

    def svg(self) -> str:
        described = f"<desc>{escape(self.description)}</desc>\n" if self.description else ""
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" width="{self.width}" '
            f'height="{self.height}" font-family="sans-serif">\n'
            f"<title>{escape(self.title)}</title>\n{described}"
            '<defs><marker id="head" markerWidth="8" markerHeight="8" refX="6" refY="3" orient="auto">'
            f'<path d="M0,0 L7,3 L0,6 z" fill="{INK}"/></marker></defs>\n'
            f'<rect width="{self.width}" height="{self.height}" fill="#fff"/>\n'
        )
        return head + "\n".join(self.parts) + "\n</svg>\n"
