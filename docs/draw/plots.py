"""Charts of figures: curves over an axis, and values in lanes.

Axes are logarithmic where what is compared differs by factors, not by amounts: on a straight axis all but the slowest
would lie on the ground. Each figure is also written out, beside its mark or in the description, for who cannot see
the picture.

What may live here: how a chart is drawn. It knows nothing of what was measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pencil import INK, SOFT, Drawing

__all__ = ["Axis", "Curve", "Lane", "curves", "lanes"]

GRID = "#dfe5ec"
WIDTH = 860


@dataclass(frozen=True)
class Curve:
    """Values over places, smallest place first."""

    name: str
    points: Sequence[tuple[float, float]]
    colour: str
    dashed: bool = False


@dataclass(frozen=True)
class Lane:
    """One value with its name; `group` is written above the first one that has it."""

    group: str
    name: str
    value: float
    colour: str
    hollow: bool = False


@dataclass(frozen=True)
class Axis:
    """What is counted, and how a value of it is written."""

    label: str
    text: Callable[[float], str]
    straight: bool = False


class Straight:
    """From values to places on the picture, from zero on."""

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        most = max(values)
        power = 10.0 ** math.floor(math.log10(most))
        self._step = next(step * power for step in (0.1, 0.2, 0.5, 1, 2, 5) if most <= step * power * 8)
        self._high = self._step * math.ceil(most / self._step)
        self._start, self._end = start, end

    def __call__(self, value: float) -> float:
        return self._start + (self._end - self._start) * value / self._high

    def ticks(self) -> list[float]:
        return [number * self._step for number in range(round(self._high / self._step) + 1)]


class Powers:
    """From values to places on the picture, by their logarithms; `whole`: from one power of ten to another."""

    def __init__(self, values: Sequence[float], start: float, end: float, *, whole: bool = True) -> None:
        low, high = math.log10(min(values)), math.log10(max(values))
        if whole:
            low, high = math.floor(low + 1e-9), math.ceil(high - 1e-9)
        if low == high:
            high = low + 1
        self._low, self._high = low, high
        self._start, self._end = start, end

    def __call__(self, value: float) -> float:
        return self._start + (self._end - self._start) * (math.log10(value) - self._low) / (self._high - self._low)

    def ticks(self) -> list[float]:
        """The powers of ten that lie on it."""
        return [10.0**power for power in range(math.ceil(self._low), math.floor(self._high) + 1)]


def curves(title: str, below: str, every: Sequence[Curve], across: Axis, up: Axis) -> str:
    """A chart of curves, each named at its right end. `below`: on what it was measured."""
    every = [each for each in every if each.points]
    left, right, top, floor = 90, 560, 64, 400
    drawing = Drawing(title, WIDTH, 470, _said(every, across, up))
    drawing.text(20, 26, title, size=15)
    if not every:
        drawing.text(left, 200, "not measured", colour=SOFT)
        return drawing.svg()
    places = sorted({place for each in every for place, _ in each.points})
    x = Powers(places, left + 20, right - 10, whole=False)
    y = (Straight if up.straight else Powers)([value for each in every for _, value in each.points], floor, top)

    for tick in y.ticks():
        drawing.line(left, y(tick), right, y(tick), arrow=False, colour=GRID)
        drawing.text(left - 8, y(tick) + 4, up.text(tick), size=12, anchor="end", colour=SOFT)
    for place in places:
        drawing.line(x(place), floor, x(place), floor + 5, arrow=False, colour=SOFT)
        drawing.text(x(place), floor + 20, across.text(place), size=12, anchor="middle", colour=SOFT)
    drawing.line(left, floor, right, floor, arrow=False, colour=INK)
    drawing.text((left + right) / 2, floor + 40, across.label, size=13, anchor="middle")
    drawing.text(20, 48, up.label, size=13)
    drawing.text(20, 462, below, size=11, colour=SOFT)

    for each in every:
        drawing.curve([(x(place), y(value)) for place, value in each.points], each.colour, dashed=each.dashed)
    ends = [(y(each.points[-1][1]), each) for each in every]
    for height, (end, each) in zip(_apart([end for end, _ in ends], 17), ends, strict=True):
        drawing.line(x(each.points[-1][0]) + 8, end, right + 16, height, arrow=False, colour=each.colour, dashed=True)
        place, value = each.points[-1]
        name = f"{each.name}: {up.text(value)}" + ("" if place == places[-1] else f" at {across.text(place)}")
        drawing.text(right + 20, height + 4, name, size=12, colour=each.colour)
    return drawing.svg()


def _apart(heights: Sequence[float], least: float) -> list[float]:
    """The same heights, moved as little as may be so that no two are nearer than `least`: places for names."""
    order = sorted(range(len(heights)), key=lambda number: heights[number])
    placed: list[list[int]] = []  # groups of neighbours that touch; each group is centred on what it should be at

    def middle(group: list[int]) -> float:
        return sum(heights[number] for number in group) / len(group)

    for number in order:
        placed.append([number])
        while len(placed) > 1:
            above, last = placed[-2:]
            if middle(last) - middle(above) >= least * (len(above) + len(last)) / 2:
                break
            placed[-2:] = [above + last]
    found = [0.0] * len(heights)
    for group in placed:
        for place, number in enumerate(group):
            found[number] = middle(group) + least * (place - (len(group) - 1) / 2)
    return found


def _said(every: Sequence[Curve], across: Axis, up: Axis) -> str:
    sentences = [
        f"{each.name}: " + ", ".join(f"{up.text(value)} at {across.text(place)}" for place, value in each.points)
        for each in every
    ]
    return f"{up.label} against {across.label}. " + ". ".join(sentences) + "."


def lanes(title: str, below: str, every: Sequence[Lane], along: Axis) -> str:
    """A chart of single values: each has a lane, with its name on the left and its value on the right."""
    left, right, step, top = 330, 740, 19, 66
    groups = len({each.group for each in every})
    floor = top + step * len(every) + 30 * groups
    said = "; ".join(f"{each.group}, {each.name}: {along.text(each.value)}" for each in every)
    drawing = Drawing(title, WIDTH, floor + 66, f"{along.label}. {said}.")
    drawing.text(20, 26, title, size=15)
    if not every:
        drawing.text(left, floor, "not measured", colour=SOFT)
        return drawing.svg()
    x = Powers([each.value for each in every], left, right)
    for tick in x.ticks():
        drawing.line(x(tick), top - 12, x(tick), floor, arrow=False, colour=GRID)
        drawing.text(x(tick), floor + 16, along.text(tick), size=12, anchor="middle", colour=SOFT)
    drawing.line(left, floor, right, floor, arrow=False, colour=INK)
    drawing.text((left + right) / 2, floor + 36, along.label, size=13, anchor="middle")
    drawing.text(20, floor + 58, below, size=11, colour=SOFT)

    y, group = float(top - 18), ""
    for each in every:
        if each.group != group:
            group = each.group
            y += 30
            drawing.text(20, y - 4, group, size=13)
        y += step
        drawing.text(34, y, each.name, size=12, colour=SOFT)
        drawing.line(left, y - 4, x(each.value), y - 4, arrow=False, colour=each.colour, dashed=each.hollow)
        drawing.mark(x(each.value), y - 4, each.colour, hollow=each.hollow)
        drawing.text(right + 12, y, along.text(each.value), size=12)
    return drawing.svg()
