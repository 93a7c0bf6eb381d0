"""Pictures in which time goes from left to right."""

from __future__ import annotations

from pencil import HIGH, LINE, OTHER, PAUSED, RUNS, SOFT, WARM, Drawing

LEFT, RIGHT = 130, 830


def lane(drawing: Drawing, y: float, name: str, what: str) -> None:
    drawing.text(LEFT - 112, y - 1, name, size=14)
    drawing.text(LEFT - 112, y + 13, what, size=10, colour=SOFT)


def engine() -> str:
    """One pause: who runs, who is paused, and what is handed over."""
    drawing = Drawing("One pause: a chain on its micro-thread, its hub and the event loop, over time", 860, 400)
    lanes = {"pieces": 70, "parse": 130, "hub": 220, "loop": 310}

    def bar(name: str, start: float, end: float, colour: str, label: str, ink: str = "#fff") -> None:
        drawing.bar(lanes[name], start, end, colour, label, ink)

    def arrow(x: float, start: str, end: str, label: str, *, left: bool = False, y: float = 0) -> None:
        down = lanes[end] > lanes[start]
        y1 = lanes[start] + (HIGH / 2 if down else -HIGH / 2)
        y2 = lanes[end] + (-HIGH / 2 - 3 if down else HIGH / 2 + 3)
        drawing.line(x, y1, x, y2)
        drawing.text(
            x - 6 if left else x + 6, y or (y1 + y2) / 2 + 4, label, size=12, anchor="end" if left else "start"
        )

    drawing.frame(LEFT - 122, 42, RIGHT - LEFT + 134, 118)
    drawing.text(LEFT - 112, 34, "the micro-thread: one stack, paused as a whole", size=12, colour=RUNS)
    lane(drawing, lanes["pieces"], "pieces", "waits")
    lane(drawing, lanes["parse"], "parse", "a plain stage")
    lane(drawing, lanes["hub"], "hub", "reads the flow")
    lane(drawing, lanes["loop"], "event loop", "and its other work")

    bar("hub", 140, 200, RUNS, "steps")
    arrow(196, "hub", "parse", "1", left=True)
    bar("parse", 190, 240, RUNS, "pulls")
    bar("pieces", 236, 320, RUNS, "wait(x)")
    arrow(312, "pieces", "hub", "2  switch, with x", y=182)
    bar("parse", 240, 640, PAUSED, "paused", "#333")
    bar("pieces", 320, 590, PAUSED, "paused inside wait(x)", "#333")
    bar("hub", 304, 380, RUNS, "begins x")
    arrow(372, "hub", "loop", "3  await")
    bar("loop", 364, 540, OTHER, "other work, and x itself")
    arrow(532, "loop", "hub", "4  resume(result)")
    bar("hub", 524, 590, RUNS, "steps")
    arrow(582, "hub", "pieces", "")
    bar("pieces", 574, 646, RUNS, "a row")
    bar("parse", 640, 706, RUNS, "a row")
    arrow(698, "parse", "hub", "5  the row")
    bar("hub", 690, 800, RUNS, "hands it on")

    drawing.time(350, LEFT, RIGHT)
    drawing.legend(LEFT, 362, [(RUNS, "runs"), (PAUSED, "paused"), (OTHER, "other work")])
    return drawing.svg()


def requests() -> str:
    """James and Wendy: two requests, each a chain of its own, in one thread."""
    drawing = Drawing("Two requests in one thread: while one waits, the other runs", 860, 250)
    james, wendy, loop = 60, 115, 170
    lane(drawing, james, "James", "a run of its own")
    lane(drawing, wendy, "Wendy", "another run")
    lane(drawing, loop, "event loop", "idle, or other work")

    drawing.bar(james, 140, 230, RUNS, "step one")
    drawing.bar(james, 230, 400, PAUSED, "waits 0.1 s", "#333")
    drawing.bar(wendy, 140, 230, "#eef2f7", "not yet", SOFT)
    drawing.bar(wendy, 230, 320, RUNS, "step one")
    drawing.bar(wendy, 320, 490, PAUSED, "waits 0.1 s", "#333")
    drawing.bar(loop, 320, 400, OTHER, "free")
    drawing.bar(james, 400, 490, RUNS, "step two")
    drawing.bar(wendy, 490, 580, RUNS, "step two")
    drawing.bar(loop, 580, 640, OTHER, "free")
    drawing.text(500, james + 4, "done", size=12, colour=SOFT)
    drawing.text(590, wendy + 4, "done", size=12, colour=SOFT)
    drawing.text(656, loop + 4, "both done after some 0.1 s", size=12, colour=SOFT)
    for x in (230, 320, 400, 490, 580):
        drawing.line(x, 40, x, 190, arrow=False, colour=LINE, dashed=True)

    drawing.time(205, LEFT, RIGHT)
    drawing.legend(LEFT, 217, [(RUNS, "runs"), (PAUSED, "waits"), (OTHER, "the loop, with nothing of ours to do")])
    return drawing.svg()


def merge_and_zip() -> str:
    """The same two inputs through Merge and through Zip: which row comes when."""
    drawing = Drawing("Merge hands on each row when it is there; Zip waits until each input has one", 860, 420)

    def at(seconds: float) -> float:
        return 140 + 1000 * seconds

    def lanes(*each: tuple[float, str, str]) -> None:
        for y, name, what in each:
            lane(drawing, y, name, what)
            drawing.line(LEFT, y, RIGHT, y, arrow=False, colour="#ccd5e0")

    inputs = ("fast", "0.1 s after it is asked"), ("slow", "0.25 s after it is asked")
    lanes((50, *inputs[0]), (95, *inputs[1]), (150, "Merge", "in order of arrival"))
    for seconds, name, y, colour in (
        (0.1, "a", 50, RUNS),
        (0.2, "b", 50, RUNS),
        (0.3, "c", 50, RUNS),
        (0.25, "1", 95, WARM),
        (0.5, "2", 95, WARM),
    ):
        drawing.line(at(seconds), y + 13, at(seconds), 134, colour=LINE, dashed=True)
        drawing.dot(at(seconds), y, name, colour)
        drawing.dot(at(seconds), 150, name, colour)

    lanes((235, *inputs[0]), (280, *inputs[1]), (335, "Zip", "one row of each"))
    for made, letter, paired, number in ((0.1, "a", 0.25, "1"), (0.35, "b", 0.5, "2")):
        drawing.bar(235, at(made), at(paired), PAUSED, "    held", "#333")
        drawing.dot(at(made), 235, letter)
        drawing.line(at(paired), 293, at(paired), 319, colour=LINE, dashed=True)
        drawing.dot(at(paired), 280, number, WARM)
        drawing.box(at(paired) - 24, 322, 24, HIGH, RUNS, letter)
        drawing.box(at(paired), 322, 24, HIGH, WARM, number)
    drawing.text(at(0.5) + 34, 312, "slow has ended:", size=11, colour=SOFT)
    drawing.text(at(0.5) + 34, 327, "so has Zip, and c is not read", size=11, colour=SOFT)

    for tenth in range(7):
        drawing.line(at(tenth / 10), 380, at(tenth / 10), 385, arrow=False, colour=SOFT)
        drawing.text(at(tenth / 10), 400, f"{tenth / 10:g} s", size=11, anchor="middle", colour=SOFT)
    drawing.line(LEFT, 380, RIGHT, 380, colour=SOFT)
    return drawing.svg()
