"""Programs of the kind that the manual of 2003 and its author's examples showed, in words and data of our own."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

import flow as today
from flow.classic import flow
from flow.classic.threads import Threaded

from ..conformance.drivers import ClockReactor
from .ways import both, in_a_block

Read = Callable[..., list[Any]]


def countdown(start: int) -> Iterator[int]:
    while start:
        yield start
        start -= 1


@both
@pytest.mark.parametrize("form", ["for", "next", "members"])
def test_the_three_forms_of_a_consumer(read: Read, form: str) -> None:
    """The manual: a consumer that leaves out a row, written with ``for``, with next(), and with the members."""

    def consumer() -> Generator[Any]:
        producer = flow.wrap(countdown(4))
        if form == "for":
            yield producer
            for row in producer:
                if row != 3:
                    yield row
                yield producer
            return
        while form == "next":
            yield producer
            row = producer.next()
            if row != 3:
                yield row
        while True:
            yield producer
            if producer.results:
                row = producer.results.pop(0)
                if row != 3:
                    yield row
                continue
            if producer.failure:
                producer.stop = True
                producer.failure.trap()
            if producer.stop:
                break

    assert read(consumer) == [4, 2, 1]


def test_merge_and_zip_of_the_same_generators() -> None:
    """The manual: Merge goes round what is available, Zip waits for one of each."""

    def words() -> Generator[Any]:
        yield "uno"
        yield "due"
        yield flow.Cooperate()
        yield "tre"

    def numbers() -> Generator[Any]:
        yield from (1, 2, 3)

    assert in_a_block(flow.Zip(words, numbers)) == [("uno", 1), ("due", 2), ("tre", 3)]
    assert in_a_block(flow.Merge(words, numbers)) == ["uno", 1, "due", 2, 3, "tre"]


def test_sums_of_sums() -> None:
    """The author's profile: generators three deep, each reading the one above; the same as without flow."""

    def sums(numbers: Iterable[int], step: int) -> Iterator[int]:
        total = 0
        for index, number in enumerate(numbers):
            total += number
            if index % step == step - 1:
                yield total

    def sums_in_flow(source: Any, step: int) -> Generator[Any]:
        total = 0
        source = flow.wrap(source)
        yield source
        for index, number in enumerate(source):
            total += number
            if index % step == step - 1:
                yield total
            yield source

    expected = list(sums(sums(range(500), 5), 10))
    assert in_a_block(sums_in_flow(sums_in_flow(range(500), 5), 10)) == expected


def test_factors_are_sent_as_they_are_found() -> None:
    """The author's factoring server: a long calculation that cooperates, and its reader, which writes what it finds."""

    def factors(number: int) -> Generator[Any]:
        for candidate in range(1, number + 1):
            if number % candidate == 0:
                yield candidate
            if candidate % 50 == 0:
                yield flow.Cooperate()

    def written(number: int, write: Callable[[str], object]) -> Generator[Any]:
        found = flow.wrap(factors(number))
        yield found
        for factor in found:
            write(f"{number}: {factor}")
            yield found
        write(f"{number}: DONE")

    reactor = ClockReactor()
    lines: list[str] = []
    long = flow.Deferred(written(301, lines.append), reactor=reactor)
    short = flow.Deferred(written(6, lines.append), reactor=reactor)
    assert reactor.run_until(short) == []
    assert not long.called
    assert reactor.run_until(long) == []
    assert [line for line in lines if line[0] == "6"] == ["6: 1", "6: 2", "6: 3", "6: 6", "6: DONE"]
    assert [line for line in lines if line[0] == "3"] == ["301: 1", "301: 7", "301: 43", "301: 301", "301: DONE"]


def test_replies_are_sorted_out_as_lines_come() -> None:
    """The author's factoring client: a Callback takes the lines of a protocol, and the flow ends when all is there."""

    def replies(lines: Any, live: dict[int, list[int]]) -> Generator[Any]:
        yield lines
        for line in lines:
            number, answer = line.split(": ")
            if answer == "DONE":
                yield (int(number), live.pop(int(number)))
                if not live:
                    return
            else:
                live[int(number)].append(int(answer))
            yield lines

    reactor = ClockReactor()
    received = flow.Callback()
    sorted_out = flow.Deferred(replies(received, {6: [], 35: []}), reactor=reactor)
    for when, line in enumerate(("6: 2", "35: 5", "35: 7", "6: 3", "6: DONE", "35: DONE")):
        reactor.callLater(when, received.result, line)
    assert reactor.run_until(sorted_out) == [(6, [2, 3]), (35, [5, 7])]
    assert reactor.seconds() == 5
    with pytest.raises(today.ClosedError, match="reader of this Callback has gone"):
        received.result("too late")


def test_a_page_out_of_a_thread_and_of_a_flow() -> None:
    """The author's web page: rows of a blocking source, each with some of a cooperative one, taken by `results`."""

    def codes() -> Generator[Any]:
        code = 100
        while True:
            yield flow.Cooperate(0.1)
            yield str(code)
            code += 1

    def towns() -> Iterator[tuple[int, str, str]]:
        assert threading.current_thread() is not threading.main_thread()
        yield (2, "RO", "Roma")
        yield (1, "TO", "Torino")

    page: list[str] = []

    def render(write: Callable[[str], object]) -> Generator[Any]:
        numbers = flow.wrap(codes())
        places = flow.wrap(Threaded(towns()))
        yield places
        for count, short, name in places:
            write(f"{short} {name}:")
            for index in range(count):
                yield numbers
                if index:
                    write(",")
                for result in numbers.results:
                    write(result)
                    numbers.results = []
            yield places

    assert in_a_block(render(page.append)) == []
    assert page == ["RO Roma:", "100", ",", "101", "TO Torino:", "102"]


def run(program: str) -> str:
    """What a program prints that runs a reactor of its own."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program)],
        cwd=Path(today.__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return done.stdout


def test_a_whole_program() -> None:
    """The first example of 2003's docstring: a printer on the reactor, which the end of the flow stops."""
    program = """
        from flow.classic import flow
        from twisted.internet import reactor

        def printer(source):
            source = flow.wrap(source)
            while True:
                yield source
                print(source.next())

        d = flow.Deferred(printer(["tick", flow.Cooperate(0.01), "tock"]))
        d.addCallback(lambda rows: print(rows))
        d.addBoth(lambda _: reactor.stop())
        reactor.run()
    """
    assert run(program).split() == ["tick", "tock", "[]"]


def test_a_whole_program_with_a_thread() -> None:
    """The manual: counting in a thread beside counting in a flow; each keeps its order."""
    program = """
        import time
        from twisted.internet import reactor
        from flow.classic import flow
        from flow.classic.threads import Threaded

        def blocking(count):
            for index in range(count):
                time.sleep(0.01)
                yield f"t{index}"

        def cooperative(count):
            for index in range(count):
                yield flow.Cooperate(0.01)
                yield f"c{index}"

        d = flow.Deferred(flow.Merge(Threaded(blocking(3)), cooperative(3)))
        d.addCallback(lambda rows: print(*sorted(rows), rows.index("t0") < rows.index("t2")))
        d.addBoth(lambda _: reactor.stop())
        reactor.run()
    """
    assert run(program).split() == ["c0", "c1", "c2", "t0", "t1", "t2", "True"]
