"""What the program shows: a bar while it works, two tables and some figures at the end."""

from __future__ import annotations

import time
from functools import partial
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

Answer = list[tuple[Any, ...]]  # the rows of a query

TICK = 0.010
"""Seconds between two ticks."""


class Tick(NamedTuple):
    late: float
    waited: float
    computed: float  # seconds, of those waited, in which this process had a processor


class Ticker:
    """Asks to be woken every 10 ms and notes how late that comes: how long others on the loop are held up."""

    def __init__(self) -> None:
        self.ticks: list[Tick] = []
        self.start()

    def start(self) -> None:
        self.asked, self.processor = time.perf_counter(), time.process_time()

    def note(self) -> None:
        """It was woken; and it asks again."""
        asked, processor = self.asked, self.processor
        self.start()
        waited = self.asked - asked
        self.ticks.append(Tick(waited - TICK, waited, self.processor - processor))

    def __str__(self) -> str:
        if not self.ticks:
            return "no ticker: there was no loop to hold up"
        ticks = sorted(self.ticks)
        median, most, worst = ticks[len(ticks) // 2], ticks[int(0.99 * len(ticks))], ticks[-1]
        text = (
            f"a ticker of {1000 * TICK:.0f} ms on the same loop was late by {1000 * median.late:.1f} ms at the median, "
        )
        text += f"{1000 * most.late:.1f} ms at 99 %, {1000 * worst.late:.1f} ms at the worst ({len(ticks):,} ticks)"
        if worst.computed < worst.late / 2:  # then it was not the loop that was held up, but the whole program
            text += f"; of the {1000 * worst.waited:.0f} ms up to the worst, "
            text += f"this program had a processor for only {1000 * worst.computed:.0f} ms"
        return text


class Job:
    """How far the work is: numbers for the bar and for the end."""

    def __init__(self, console: Console) -> None:
        self.files: list[int] = []  # each of the two readers adds how many it will read
        self.skipped: list[str] = []
        self.parsed = self.rows = self.held = self.peak = 0
        self.started = self.drawn = time.perf_counter()
        # No thread that redraws the bar: the chain itself does, when it has rows. On no terminal there is no bar.
        self.bar = Progress(
            TextColumn("files"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rows]:,} rows, {task.fields[speed]:,.0f} a second"),
            console=console,
            auto_refresh=False,
            disable=not console.is_terminal,
            transient=True,
        )
        self.task = self.bar.add_task("", total=None, rows=0, speed=0.0)

    def expect(self, files: int) -> None:
        self.files.append(files)

    def skip(self, path: str) -> None:
        self.skipped.append(path)

    def found(self, rows: int) -> None:
        """A file was parsed: its rows are in the chain."""
        self.parsed += 1
        self.held += rows
        self.peak = max(self.peak, self.held)

    def stored(self, rows: int) -> None:
        """Rows are in the database: they have left the chain."""
        self.held -= rows
        self.rows += rows

    def draw(self) -> None:
        """Draws the bar, at most four times a second."""
        now = time.perf_counter()
        if self.bar.disable or now - self.drawn < 0.25:
            return
        self.drawn = now
        total = sum(self.files) if len(self.files) == 2 else None
        done = self.parsed + len(self.skipped)
        speed = self.rows / (now - self.started)
        self.bar.update(self.task, total=total, completed=done, rows=self.rows, speed=speed, refresh=True)

    def show(self, answers: list[Answer], how: str, ticker: Ticker) -> None:
        seconds = time.perf_counter() - self.started
        print_ = partial(self.bar.console.print, highlight=False, soft_wrap=True)
        longest, documented = answers
        self.bar.console.print(table("The longest functions", ["function", "line", "lines"], longest))
        shares = [(package, count, some, f"{share:.0%}") for package, count, some, share in documented]
        self.bar.console.print(
            table("Functions and classes with a docstring", ["package", "all", "documented", "share"], shares)
        )
        print_(f"{how}: {self.rows:,} rows from {self.parsed:,} files in {seconds:.1f} s")
        print_(f"rows held at once: at most {self.peak:,}; files that are no Python: {len(self.skipped)}")
        print_(str(ticker))


def table(title: str, columns: list[str], rows: Answer) -> Table:
    made = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        made.add_column(column, justify="right" if number else "left", overflow="fold")
    for row in rows:
        made.add_row(*(f"{each:,}" if isinstance(each, int) else each for each in row))
    return made
