"""Records: objects that are what their fields are. They can't be changed, and are compared and shown by value.

What frozen dataclasses do, but for this: `dataclasses` takes longer to import than flow may take
(tests/test_import.py), since it loads `inspect` and compiles a few functions for each class. What may live here:
`Record`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, dataclass_transform

if TYPE_CHECKING:
    from inspect import Signature

__all__ = ["Record"]


class _Signature:
    """How a record is made, for help() and the like: the arguments that ``__init__`` knows by their names only."""

    def __get__(self, record: Any, kind: type[Record]) -> Signature:
        from inspect import Parameter, Signature

        return Signature(
            [
                Parameter(
                    name,
                    Parameter.POSITIONAL_OR_KEYWORD,
                    default=getattr(kind, name) if _has_default(kind, name) else Parameter.empty,
                    annotation=next(vars(each)["__annotations__"][name] for each in kind.__mro__ if _has(each, name)),
                )
                for name in kind._fields  # pyright: ignore[reportPrivateUsage]
            ]
        )


def _has(kind: type, name: str) -> bool:
    return name in vars(kind).get("__annotations__", ())


def _has_default(kind: type[Record], name: str) -> bool:
    return hasattr(kind, name) and name not in getattr(kind, "__slots__", ())


@dataclass_transform(frozen_default=True)
class Record:
    """The root of records.

    A subclass says its fields as a dataclass does: annotated, in order, maybe with defaults.
    """

    __slots__ = ()
    _fields: ClassVar[tuple[str, ...]] = ()
    __signature__ = _Signature()

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        own: Any = vars(cls).get("__annotations__", ())  # as text: see `from __future__` in each file that has records
        cls._fields = (*cls._fields, *own)
        type.__setattr__(cls, "__match_args__", cls._fields)  # what a `case` asks for

    def __init__(self, *values: Any, **named: Any) -> None:
        kind, fields = type(self), self._fields
        if len(values) > len(fields):
            raise TypeError(f"{kind.__name__}() takes at most {len(fields)} arguments, not {len(values)}")
        for name, value in zip(fields, values, strict=False):
            if name in named:
                raise TypeError(f"{kind.__name__}() was given {name} twice")
            object.__setattr__(self, name, value)
        for name in fields[len(values) :]:
            if name in named:
                object.__setattr__(self, name, named.pop(name))
            elif not _has_default(kind, name):
                raise TypeError(f"{kind.__name__}() needs {name}")
        if named:
            raise TypeError(f"{kind.__name__}() has no {next(iter(named))}: its fields are {', '.join(fields)}")
        self.__post_init__()

    def __post_init__(self) -> None:
        """Looks at the values: raises TypeError or ValueError for what they can't be."""

    def _values(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self._fields)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"a {type(self).__name__} can't be changed: make another one")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a {type(self).__name__} can't be changed: make another one")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._values() == other._values()

    def __hash__(self) -> int:
        return hash((type(self), *self._values()))

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self._fields)
        return f"{type(self).__qualname__}({shown})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._values()

    def __replace__(self, **changes: Any) -> Any:
        """For `copy.replace` (Python 3.13)."""
        return type(self)(**{**dict(zip(self._fields, self._values(), strict=True)), **changes})
