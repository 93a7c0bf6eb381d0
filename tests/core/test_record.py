"""Records behave as frozen dataclasses do."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any

import pytest

import flow
from flow.core.record import Record


class Point(Record):
    x: int
    y: int = 2


class Named(Point):
    name: str = "?"


def test_made_as_a_dataclass_is() -> None:
    """Fields by place and by name, with defaults; in a subclass the inherited ones come first."""
    assert Point(1) == Point(1, 2) == Point(x=1) == Point(y=2, x=1)
    assert repr(Named(1, name="a")) == "Named(x=1, y=2, name='a')"
    assert Point(1) != Point(2)
    assert Point(1) != Named(1)
    assert {Point(1): "found"}[Point(1, 2)] == "found"


def test_its_signature_is_known() -> None:
    """help() and editors show the fields, the inherited ones too."""
    assert str(inspect.signature(Named)) == "(x: 'int', y: 'int' = 2, name: 'str' = '?')"
    assert str(inspect.signature(flow.Failed)) == "(error: 'Exception')"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Point(), "needs x"),  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
        (lambda: Point(1, 2, 3), "takes at most 2"),  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
        (lambda: Point(1, x=1), "was given x twice"),  # type: ignore[misc]  # pyright: ignore[reportCallIssue]
        (lambda: Point(1, z=1), "has no z: its fields are x, y"),  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
        (lambda: flow.Ok(), "needs value"),  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    ],
)
def test_wrong_arguments_are_told(make: Any, message: str) -> None:
    """CONTRACT 29: an error says which field it is about."""
    with pytest.raises(TypeError, match=message):
        make()


def test_it_cannot_be_changed() -> None:
    """Setting and deleting raise, with and without slots; what is copied or pickled is equal."""
    for record in (Point(1), flow.Ok(3), flow.Retry(2)):
        with pytest.raises(AttributeError, match="can't be changed"):
            record.x = 5  # type: ignore[union-attr]  # pyright: ignore[reportAttributeAccessIssue]
        with pytest.raises(AttributeError, match="can't be changed"):
            del record.x  # type: ignore[union-attr]  # pyright: ignore[reportAttributeAccessIssue]
        assert copy.copy(record) == copy.deepcopy(record) == pickle.loads(pickle.dumps(record)) == record
    assert Point(1).__replace__(y=5) == Point(1, 5)


def test_it_is_a_pattern() -> None:
    """`case flow.Ok(row)` takes fields by place."""
    match flow.Ok("row"):
        case flow.Ok(row):
            assert row == "row"
        case _:
            raise AssertionError
