"""Marbles: what a diagram says is what happens, and what happens is what the diagram says."""

from __future__ import annotations

from itertools import repeat
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flow
from flow.testing import Injected, Tracked, marbles, nothing_left, timeline, torture, virtual_time
from flow.testing.diagrams import parsed


@st.composite
def diagrams(draw: st.DrawFn) -> str:
    """A diagram as `timeline` writes it: no dash before nothing, no group of one, rows that differ in no way."""
    made = ""
    for _ in range(draw(st.integers(0, 8))):
        made += "-" * draw(st.integers(0, 3))
        rows = draw(st.text("abcxyz019", min_size=1, max_size=3))
        made += rows if len(rows) == 1 else f"({rows})"
    end = draw(st.sampled_from(["", "|", "#", "!", "group"]))
    if end == "group":
        mark = draw(st.sampled_from("|#"))
        made = f"{made[:-1]}{mark})" if made.endswith(")") else f"{made[:-1]}({made[-1:]}{mark})" if made else mark
    elif end:
        made += "-" * draw(st.integers(0, 3)) + end
    return made


def leaves(diagram: str) -> int | None:
    """The step at which the reader leaves."""
    happenings = parsed(diagram)
    return happenings[-1].step if happenings and happenings[-1].end == "!" else None


@given(diagrams(), st.sampled_from([1.0, 0.5, 0.1, 60.0]))
def test_a_round_trip(diagram: str, step: float) -> None:
    """CONTRACT 1, 2, 3: reading the source of a diagram gives the diagram, whatever a step is."""
    assert timeline(marbles(diagram, step=step), step=step, leave=leaves(diagram)) == diagram
    nothing_left()


@given(diagrams(), st.data())
def test_spaces_mean_nothing(diagram: str, data: st.DataObject) -> None:
    """They may stand anywhere, line ends too."""
    spaced = "".join(mark + data.draw(st.sampled_from(["", " ", "\n"])) for mark in diagram)
    assert parsed(spaced) == parsed(diagram)


def test_the_times_are_exact() -> None:
    """Each character is a step; an end takes none; a group comes at the time of its beginning."""
    source = marbles("a-b-(cd)|", step=0.5)
    with virtual_time() as clock:
        times = [(row, clock.time()) for row in source]
        assert times == [("a", 0), ("b", 1), ("c", 2), ("d", 2)]
        assert clock.time() == 2.5


def test_rows_may_be_anything() -> None:
    """`values` says what a character stands for, in and out; out, only an equal row of the same type is shown so."""
    values = {"a": None, "b": [1], "c": 1, "d": True}
    assert list(marbles("(abcd)|", values=values)) == [None, [1], 1, True]
    assert timeline([None, [1], 1, True], values=values) == "(abcd|)"
    assert timeline([1, "x"]) == "(1x|)"


def test_the_failure_is_the_one_that_was_given() -> None:
    """`#` raises `error`, or Injected; as a timeline only the type that was asked for is shown."""
    error = OSError("reset")
    assert timeline(marbles("a-#")) == "a-#"
    assert timeline(marbles("a-#", error=error), error=OSError) == "a-#"
    with pytest.raises(OSError, match="reset") as caught:
        timeline(marbles("a-#", error=error))
    assert caught.value is error
    assert timeline(marbles("#", error=TimeoutError()), error=TimeoutError, leave=5) == "#"
    with virtual_time(), pytest.raises(Injected, match=r"the # of marbles\('#'\)"):
        list(marbles("#"))


def test_a_diagram_without_an_end_never_ends() -> None:
    """Nothing more comes; the reader may leave, and the source is closed then."""
    assert timeline(marbles("a-b")) == "a-b"
    assert timeline(marbles("a-b"), leave=7) == "a-b----!"
    assert timeline(marbles("a-b----!"), leave=7) == "a-b----!"
    nothing_left()


def test_the_reader_leaves_after_what_comes_at_that_time() -> None:
    """A row at the very step at which the reader leaves is still read."""
    assert timeline(marbles("--a"), leave=2) == "--(a!)"


def test_a_busy_reader_gets_rows_late() -> None:
    """CONTRACT 21: the source waits for its reader, gives late what is due, and then keeps its times again."""
    assert timeline(marbles("abc-----d|"), busy=2) == "a-b-c---d-|"


def test_a_stage_that_waits_for_several() -> None:
    """CONTRACT 5: a merge gives each row when it is there, and the first failure ends it."""
    assert timeline(flow.Merge(marbles("a--c|"), marbles("-b---|"))) == "ab-c-|"
    assert timeline(flow.Merge(marbles("a--c|"), marbles("-#"))) == "a#"
    assert timeline(marbles("ab--c|").batched(2), values={"x": ("a", "b"), "y": ("c",)}) == "-x---(y|)"


def test_a_source_of_marbles_can_be_read_again_and_tortured() -> None:
    """CONTRACT 7, 14-16: each reading counts its times anew; ended anywhere, nothing is left."""
    source = marbles("-a(bc)|")
    with virtual_time() as clock:
        assert list(source) == list(source) == ["a", "b", "c"]
        assert clock.time() == 6
    assert torture(lambda: marbles("-a(bc)|")).rows == ["a", "b", "c"]
    assert repr(source.map(str.upper)) == "marbles('-a(bc)|') | map(str.upper)"


def test_it_is_lazy() -> None:
    """CONTRACT 4: times count from when the first row is asked for, and no row is made before it is due."""
    with virtual_time() as clock:
        list(flow.wrap([flow.Cooperate(10)]))
        assert [clock.time() for _ in marbles("-a|")] == [11]


@pytest.mark.parametrize(
    ("diagram", "words"),
    [
        ("a|b", "nothing comes after the end (|), at character 3"),
        ("a#-", "nothing comes after the end (#), at character 3"),
        ("(a(b))", "a group stands in no other group, at character 3"),
        ("ab)", "no group was begun, at character 3"),
        ("(ab", "the group has no ), at character 4"),
        ("(a-b)", "a group takes no time, at character 3"),
        ("^a", "^ has no meaning here, at character 1"),
        ("(a|b)", "nothing comes after the end (|), at character 4"),
        ("(|)|", "nothing comes after the end (|), at character 4"),
    ],
)
def test_what_is_no_diagram_fails_at_once(diagram: str, words: str) -> None:
    """CONTRACT 22: the error shows the diagram, the reason and the place."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # all of the text is compared
        marbles(diagram)
    assert str(caught.value) == f"{diagram!r} is no diagram of marbles: {words}"


def test_wrong_arguments_fail_at_once() -> None:
    """CONTRACT 22."""
    wrong: Any
    for wrong in (0, -1):
        with pytest.raises(ValueError, match="step"):
            marbles("a", step=wrong)
        with pytest.raises(ValueError, match="step"):
            timeline([1], step=wrong)
    for wrong in ("ab", "-", " ", ""):
        with pytest.raises(ValueError, match="can't stand for a row"):
            marbles("a", values={wrong: 1})
        with pytest.raises(ValueError, match="can't stand for a row"):
            timeline([1], values={wrong: 1})
    with pytest.raises(TypeError, match="error"):
        marbles("#", error=ValueError)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a str, not bytes"):
        marbles(b"a")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="10,000 characters"):
        marbles("-" * 10_001)
    with pytest.raises(ValueError, match="leave"):
        timeline([1], leave=-1)
    with pytest.raises(ValueError, match="busy"):
        timeline([1], busy=-1)


def test_what_a_diagram_can_not_show_is_an_error() -> None:
    """A row without a character, a time between two steps, a timeline without end: each is said, and all is closed."""
    source = Tracked([10])
    with pytest.raises(ValueError, match="the row 10 has no character of its own"):
        timeline(flow.wrap(source))
    with pytest.raises(ValueError, match="between two steps of 1 s"):
        timeline([flow.Cooperate(0.5), 1])
    with pytest.raises(ValueError, match="10,000 steps at most"):
        timeline(flow.wrap(repeat("a")))
    with pytest.raises(ValueError, match="10,000 steps at most"):
        timeline([flow.Cooperate(20_000), "a"])
    assert source.is_closed
    nothing_left()
