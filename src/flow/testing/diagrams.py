"""Marble diagrams: a timeline as a line of text, in and out.

The grammar::

    diagram = { step } [ end ]
    step    = "-"                        nothing happens
            | row                        a row comes at the beginning of the step
            | "(" { row } [ end ] ")"    several at once; an end in it is the end
    end     = "|"                        the end
            | "#"                        a failure
            | "!"                        the reader leaves
    row     = any other character; spaces and line ends are ignored

Each step lasts `step` seconds, and an end takes no time: in ``"a-b-(cd)|"`` row a comes at 0, b at 2, c and d at 4, and
the end comes at 5. After a diagram without an end nothing more happens, for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any, NamedTuple

from ..core.instruction import CallLater, Handle, Resume, seconds_of
from ..core.microthread import Strand, sleep, wait
from ..core.scope import Scope
from ..core.stage import Stage
from ..core.wrap import stage_of
from ..loops._virtual import Deadlock
from .clock import virtual_time
from .rack import Injected
from .tracked import count_of

__all__ = ["LONGEST", "marbles", "timeline"]

ENDS = "|#!"
RESERVED = "-()^" + ENDS
LONGEST = 10_000
"""Characters of a diagram."""

NEAR = 1e-6
"""How far from a step, in steps, something may be that counts as on it."""


class Happening(NamedTuple):
    """What happens at one time: `rows`, and maybe an `end`."""

    step: int
    rows: tuple[str, ...]
    end: str


def parsed(diagram: str) -> list[Happening]:
    """What a diagram says, in order of time. Raises ValueError, which shows the place, for what is no diagram."""
    if not isinstance(diagram, str):
        raise TypeError(f"a diagram of marbles must be a str, not {type(diagram).__name__}")
    if len(diagram) > LONGEST:
        raise ValueError(f"a diagram of marbles may have {LONGEST:,} characters, not {len(diagram):,}")
    found: list[Happening] = []
    group: list[str] | None = None
    step, end = 0, ""
    for place, mark in enumerate(diagram):
        if mark.isspace():
            continue
        if end and not (mark == ")" and group is not None):
            raise _wrong(diagram, place, f"nothing comes after the end ({end})")
        if mark == "(":
            if group is not None:
                raise _wrong(diagram, place, "a group stands in no other group")
            group = []
        elif mark == ")":
            if group is None:
                raise _wrong(diagram, place, "no group was begun")
            found.append(Happening(step, tuple(group), end))
            group = None
            step += 1
        elif mark == "^" or (mark == "-" and group is not None):
            raise _wrong(diagram, place, "a group takes no time" if mark == "-" else "^ has no meaning here")
        elif mark == "-":
            step += 1
        elif mark in ENDS:
            end = mark
            if group is None:
                found.append(Happening(step, (), end))
        elif group is not None:
            group.append(mark)
        else:
            found.append(Happening(step, (mark,), ""))
            step += 1
    if group is not None:
        raise _wrong(diagram, len(diagram), "the group has no )")
    return found


def _wrong(diagram: str, place: int, what: str) -> ValueError:
    return ValueError(f"{diagram!r} is no diagram of marbles: {what}, at character {place + 1}")


# --------------------------------------------------------------------------------------------------------------------
# In


def marbles(
    diagram: str, *, step: float = 1.0, values: Mapping[str, Any] | None = None, error: BaseException | None = None
) -> Stage[Any]:
    """A source that gives rows at the times of a diagram: ``marbles("a-b-(cd)|")``.

    Each character is one step of `step` seconds: ``-`` in which nothing happens, a row, or ``(cd)``, rows at once. An
    end takes no time: ``|`` the end, ``#`` a failure, ``!`` or none at all: nothing more comes, for ever. Spaces are
    ignored. A row is its character, or what `values` has for that; the failure is `error`, or `Injected`. Times count
    from when the first row is asked for, on the loop's clock: use it in `virtual_time`. A reader that comes late gets
    the rows late. It holds nothing, and can be read again. Raises ValueError or TypeError at once for what is no
    diagram, and names the place.

        from flow.testing import marbles
        marbles("a-(bc)|", values={"b": 2})                # 'a', 2, 'c'
    """
    if seconds_of(step, "marbles(step)") == 0:
        raise ValueError("marbles(step) must be more than 0 seconds")
    if error is not None and not isinstance(error, BaseException):
        raise TypeError(f"marbles(error) must be an exception, an instance of one, not {error!r}")
    known = dict(values or {})
    for mark in known:
        _check_mark(mark)
    return _Marbles(diagram, parsed(diagram), step, known, error)


class _Marbles(Stage[Any]):
    """The source that `marbles` makes."""

    __slots__ = ("_diagram", "_error", "_happenings", "_step", "_values")

    def __init__(
        self,
        diagram: str,
        happenings: list[Happening],
        step: float,
        values: dict[str, Any],
        error: BaseException | None,
    ) -> None:
        self._diagram = diagram
        self._happenings = happenings
        self._step = step
        self._values = values
        self._error = error

    @property
    def label(self) -> str:
        return f"marbles({self._diagram!r})"

    def rows(self, upstream: Any, scope: Scope) -> Iterator[Any]:
        return self._rows(scope.strand)

    def _rows(self, strand: Strand) -> Generator[Any]:
        begun = strand.loop.time()
        for at, rows, end in self._happenings:
            late = begun + at * self._step - strand.loop.time()
            if late > 0:
                sleep(late)
            for row in rows:
                yield self._values.get(row, row)
            if end == "|":
                return
            if end == "#":
                raise Injected(f"the # of {self.label}") if self._error is None else self._error
        wait(_Never())


class _Never(CallLater):
    """The wait for what never comes."""

    def callLater(self, resume: Resume, /) -> Handle | None:
        return None

    def __repr__(self) -> str:
        return "nothing more comes"


# --------------------------------------------------------------------------------------------------------------------
# Out


def timeline(
    stage: Stage[Any] | Any,
    *,
    step: float = 1.0,
    values: Mapping[str, Any] | None = None,
    error: type[BaseException] | tuple[type[BaseException], ...] = Injected,
    leave: int | None = None,
    busy: float = 0,
) -> str:
    """Reads a stage, or what `wrap` takes, in virtual time, and gives its timeline as a diagram: see `marbles`.

    A row is the character that `values` has for it, or else its `str`, where that is one character; what comes at one
    time stands in a group. A failure of the type `error` is ``#``; any other is raised. A reader that leaves after
    `leave` steps is ``!``; one whose stage waits for ever gets a diagram without an end. `busy`: steps that the reader
    works on each row before it asks for the next. Raises ValueError for what a diagram can't show (a row without a
    character, a time between two steps, more than 10,000 steps), TypeError or ValueError at once for wrong arguments.

        from flow.testing import marbles, timeline
        a, b = marbles("a--c|"), marbles("-b|")
        assert timeline(flow.Merge(a, b)) == "ab-c|"
        assert timeline(flow.Merge(a, marbles("-#"))) == "a#"
    """
    if seconds_of(step, "timeline(step)") == 0:
        raise ValueError("timeline(step) must be more than 0 seconds")
    count_of(leave, "timeline(leave)")
    seconds_of(busy, "timeline(busy)")
    reading = _Reading(stage_of(stage), step, error, leave, busy * step)
    with virtual_time() as clock:
        try:
            clock.run(reading.read())
        except Deadlock:
            pass  # and nothing more comes: no end
    return _shown(reading.events, _characters(values or {}))


class _Reading:
    """One reading, with its times."""

    def __init__(self, stage: Stage[Any], step: float, error: Any, leave: int | None, busy: float) -> None:
        self.events: list[tuple[int, Any, str]] = []
        self._stage = stage
        self._step = step
        self._error = error
        # A hair's breadth later: what comes at that very time comes first.
        self._leave = None if leave is None else (leave + NEAR / 10) * step
        self._busy = busy

    def _note(self, what: str, row: Any = None) -> None:
        at = asyncio.get_running_loop().time() / self._step
        if abs(at - round(at)) > NEAR:
            raise ValueError(f"{what} {row!r} came at {at * self._step:g} s, between two steps of {self._step:g} s")
        if at > LONGEST or len(self.events) > LONGEST:
            raise ValueError(f"a timeline has {LONGEST:,} steps at most: give a longer step, or let the reader leave")
        self.events.append((round(at), row, what))

    async def read(self) -> None:
        left = asyncio.timeout(self._leave)
        end = "|"
        try:
            async with left, self._stage.open() as rows:
                async for row in rows:
                    self._note("row", row)
                    await asyncio.sleep(self._busy)
        except TimeoutError as error:
            # The cause of asyncio's own; before Python 3.11.3 it was the context.
            if left.expired() and isinstance(error.__cause__ or error.__context__, asyncio.CancelledError):
                end = "!"
            elif isinstance(error, self._error):
                end = "#"
            else:
                raise
        except self._error:
            end = "#"
        self._note(end)


def _check_mark(mark: str) -> None:
    if len(mark) != 1 or mark in RESERVED or mark.isspace():
        raise ValueError(f"values: {mark!r} can't stand for a row: one character, none of {RESERVED} and no space")


def _characters(values: Mapping[str, Any]) -> Callable[[Any], str]:
    for mark in values:
        _check_mark(mark)

    def character(row: Any) -> str:
        for mark, value in values.items():
            if type(value) is type(row) and value == row:
                return mark
        shown = str(row)
        if len(shown) != 1 or shown in RESERVED or shown.isspace() or shown in values:
            raise ValueError(f"the row {row!r} has no character of its own: give one in values={{character: row}}")
        return shown

    return character


def _shown(events: list[tuple[int, Any, str]], character: Callable[[Any], str]) -> str:
    """The diagram of what happened."""
    made: list[str] = []
    times: dict[int, list[str]] = {}
    for at, row, what in events:
        times.setdefault(at, []).append(character(row) if what == "row" else what)
    step = 0
    for at, marks in times.items():
        made.append("-" * (at - step))
        made.append(marks[0] if len(marks) == 1 else f"({''.join(marks)})")
        step = at + 1
    return "".join(made)
