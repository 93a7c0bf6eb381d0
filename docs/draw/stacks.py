"""Pictures of things that stand on each other, or beside each other."""

from __future__ import annotations

from pencil import INK, OTHER, PAUSED, RUNS, SOFT, WARM, Drawing

CHAIN = ["batched", "parse", "lines", "pieces"]
"""A chain, from the reader's end: each one is in the middle of asking the one above it."""


def stack() -> str:
    """A whole stack is moved aside while it waits, and back."""
    drawing = Drawing("Pausing a whole stack: it runs, it is moved aside while the loop goes on, it is back", 860, 330)
    high, wide, floor = 34, 130, 262
    step = high + 3

    def column(x: float, names: list[str], colour: str, *, bottom: float = floor, ink: str = "#fff") -> None:
        for level, name in enumerate(names, 1):
            drawing.box(x, bottom - level * step, wide, high, colour, name, ink=ink, code=True)

    def title(x: float, number: int, words: str, more: str) -> None:
        drawing.text(x, 28, f"{number}  {words}", size=14)
        drawing.text(x, 46, more, size=11, colour=SOFT)

    title(30, 1, "The chain runs", "plain generators on one stack")
    column(30, ["the reader"], OTHER)
    column(30, CHAIN, RUNS, bottom=floor - step)
    drawing.text(170, floor - 5 * step + 21, "calls wait(x)", size=12, colour=WARM)

    title(290, 2, "It waits", "the stack is set aside as it is; the thread is free")
    column(290, ["event loop", "other work"], OTHER)
    aside = floor - 22
    drawing.frame(450, aside - 4 * step - 8, wide + 16, 4 * step + 12)
    column(458, CHAIN, PAUSED, bottom=aside, ink="#333")
    drawing.text(458, aside - 4 * step - 16, "the micro-thread", size=12, colour=RUNS)

    title(680, 3, "x is done", "the stack is back, where it was")
    column(680, ["the reader"], OTHER)
    column(680, CHAIN, RUNS, bottom=floor - step)
    drawing.text(680, floor - 5 * step - 6, "wait(x) returns", size=12, colour=WARM)

    drawing.line(20, floor + 2, 840, floor + 2, arrow=False, colour=INK)
    drawing.text(20, floor + 20, "the thread: one, and only what stands on this line runs in it", size=12, colour=SOFT)
    drawing.legend(
        20,
        floor + 34,
        [(RUNS, "generators of the chain"), (PAUSED, "the same, paused"), (OTHER, "whoever runs them")],
    )
    return drawing.svg()


def pressure() -> str:
    """Who holds whom back, from a slow generator to the peer."""
    drawing = Drawing("Backpressure: a full place holds its producer back, as far as the peer", 860, 300)
    top, high, wide = 70, 60, 140
    xs = [20, 250, 480, 700]
    names = ["the peer", "transport", "held rows", "the generator"]
    below = ["another machine", "the kernel's buffers", "at most `limit`", "for row in conn: ..."]
    for x, name, words, colour in zip(xs, names, below, [OTHER, OTHER, WARM, RUNS], strict=True):
        drawing.box(x, top, wide, high, colour, name)
        drawing.text(x + wide / 2, top + high + 18, words, size=11, anchor="middle", colour=SOFT)
    drawing.text(20, 30, "reading", size=14)
    for x, name in zip(xs[:3], ["bytes", "dataReceived", "a row"], strict=True):
        drawing.line(x + wide, top + 20, x + 228 if x != 480 else x + 218, top + 20)
        drawing.text(x + wide + 6, top + 14, name, size=11)
    for x, name in zip(xs[:3], ["window shut", "pause", "full"], strict=True):
        drawing.line(x + 230 if x != 480 else x + 220, top + 44, x + wide + 4, top + 44, colour=WARM, dashed=True)
        drawing.text(x + wide + 6, top + 60, name, size=11, colour=WARM)

    drawing.text(20, 196, "writing", size=14)
    low = 212
    drawing.box(xs[0], low, wide, 40, OTHER, "the peer")
    drawing.box(xs[1], low, wide, 40, OTHER, "transport")
    drawing.box(xs[3], low, wide, 40, RUNS, "the generator")
    drawing.line(xs[3], low + 14, xs[1] + wide + 2, low + 14)
    drawing.text(xs[1] + wide + 100, low + 8, "what it yields", size=11)
    drawing.line(xs[1], low + 14, xs[0] + wide + 2, low + 14)
    drawing.text(xs[0] + wide + 30, low + 8, "bytes", size=11)
    drawing.line(xs[1] + wide + 2, low + 30, xs[3] - 2, low + 30, colour=WARM, dashed=True)
    drawing.text(xs[1] + wide + 60, low + 46, "its buffer is full: the `yield` waits", size=11, colour=WARM)
    drawing.legend(20, 270, [(RUNS, "yours"), (WARM, "holds back"), (OTHER, "the loop's, and beyond")])
    return drawing.svg()
