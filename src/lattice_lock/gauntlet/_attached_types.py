"""From a type annotation to a source of values."""

from __future__ import annotations

import collections
import collections.abc
import datetime as dt
import decimal
import enum
import fractions
import pathlib
import re
import types
import typing
import uuid
from typing import TYPE_CHECKING, Any, Final

import typing_extensions

from lattice_lock.gauntlet._attached_collections import Collections, Mappings, Records, Tuples
from lattice_lock.gauntlet._attached_inputs import Given, Value
from lattice_lock.gauntlet._attached_texts import Bytes, Texts
from lattice_lock.gauntlet._attached_values import (
    AnyOf,
    Booleans,
    Choices,
    Floats,
    Integers,
    Values,
)

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["UnknownTypeError", "anything", "values_of"]


class UnknownTypeError(Exception):
    """No values of a type can be made."""


_PLAIN: Final[dict[Any, Callable[[], Values]]] = {
    bool: Booleans,
    int: Integers,
    float: Floats,
    str: Texts,
    bytes: Bytes,
    bytearray: lambda: Bytes(bytearray),
    complex: lambda: Choices([0j, 1 + 0j, 1j, -1 + 2j]),
    type(None): lambda: Choices([None]),
    None: lambda: Choices([None]),
}
_LIST_LIKE: Final = frozenset(
    {
        list,
        collections.abc.Sequence,
        collections.abc.MutableSequence,
        collections.abc.Iterable,
        collections.abc.Collection,
        collections.abc.Reversible,
        collections.abc.Container,
        collections.abc.Sized,
    }
)
_SET_LIKE: Final = {
    set: set,
    frozenset: frozenset,
    collections.abc.Set: frozenset,
    collections.abc.MutableSet: set,
}
_MAPPING_LIKE: Final = frozenset({dict, collections.abc.Mapping, collections.abc.MutableMapping})
_ITERATOR_LIKE: Final = frozenset({collections.abc.Iterator, collections.abc.Generator})


def _sampled(texts: tuple[str, ...], read: Callable[[str], object]) -> Callable[[], Values]:
    return lambda: Choices([Given(value, repr(value)) for value in map(read, texts)])


_LIBRARY: Final[dict[Any, Callable[[], Values]]] = {
    decimal.Decimal: _sampled(("0", "1", "-1", "0.01", "1.5", "2", "10", "99.99"), decimal.Decimal),
    fractions.Fraction: _sampled(("0", "1", "-1", "1/2", "-2/3", "3", "7/4"), fractions.Fraction),
    dt.date: _sampled(
        ("2000-01-01", "2024-02-29", "2023-12-31", "1999-03-01"), dt.date.fromisoformat
    ),
    dt.datetime: _sampled(
        ("2000-01-01T00:00:00", "2024-02-29T23:59:59", "2023-12-31T12:30:00"),
        dt.datetime.fromisoformat,
    ),
    dt.time: _sampled(("00:00:00", "12:30:00", "23:59:59"), dt.time.fromisoformat),
    dt.timedelta: _sampled(
        ("0", "1", "-1", "60", "3600", "86400", "90061"),
        lambda text: dt.timedelta(seconds=int(text)),
    ),
    uuid.UUID: _sampled(("1", "2", "3"), lambda text: uuid.UUID(int=int(text))),
    pathlib.Path: _sampled(("a", "a/b.txt", "/", "..", "a.b.c"), pathlib.Path),
    pathlib.PurePath: _sampled(("a", "a/b.txt", "/", "..", "a.b.c"), pathlib.PurePosixPath),
    re.Pattern: _sampled(("a", "a+", r"\d+", ""), re.compile),
}


def anything() -> Values:
    """Values for a parameter of which nothing is known."""
    return AnyOf(
        [
            Integers(),
            Texts(),
            Collections(Integers()),
            Choices([None]),
            Floats(),
            Booleans(),
            Mappings(Texts(), Integers()),
        ]
    )


def values_of(annotation: Value, objects: Callable[[type], Values]) -> Values:
    """Values of a type.

    Args:
        annotation: the type, with names already resolved.
        objects: values of a class that is made by calling it.

    Raises:
        UnknownTypeError: none can be made.
    """
    return _Reader(objects).read(annotation)


class _Reader:
    def __init__(self, objects: Callable[[type], Values]) -> None:
        self._objects = objects

    def read(self, annotation: Value) -> Values:  # noqa: C901  # a table of types
        if annotation is Any or annotation is object:
            return anything()
        try:
            plain = _PLAIN.get(annotation) or _LIBRARY.get(annotation)
        except TypeError:
            plain = None
        if plain is not None:
            return plain()
        origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
        if origin is not None:
            return self._generic(origin, arguments)
        if isinstance(annotation, typing.TypeVar):
            return self._variable(annotation)
        supertype = getattr(annotation, "__supertype__", None)
        if supertype is not None:
            return self.read(supertype)
        if annotation in (typing.Hashable, collections.abc.Hashable):
            return AnyOf([Integers(), Texts()])
        if typing_extensions.is_typeddict(annotation):
            return self._typed_dict(annotation)
        if isinstance(annotation, type):
            return self._class(annotation)
        if annotation is collections.abc.Callable:
            return self._callable(())
        raise UnknownTypeError(f"no input can be made for the type `{annotation}`")

    def _variable(self, variable: typing.TypeVar) -> Values:
        if variable.__constraints__:
            return self.read(variable.__constraints__[0])
        bound = variable.__bound__
        if bound is None or not isinstance(bound, type) or getattr(bound, "_is_protocol", False):
            return Integers()
        return self.read(bound)

    def _generic(self, origin: Value, arguments: tuple[Any, ...]) -> Values:
        if origin is typing.Union or origin is types.UnionType:
            plain = sorted(arguments, key=lambda one: one is not type(None))
            return AnyOf([self.read(one) for one in plain])
        if origin is typing.Literal:
            return Choices([Given(value, repr(value)) for value in arguments])
        # Items of one kind can be sorted and compared, which code does with items of any kind.
        if origin is not collections.abc.Callable:
            arguments = tuple(int if one in (Any, object) else one for one in arguments)
        if origin in (typing.Annotated, typing.Final, typing.ClassVar):
            return self.read(arguments[0])
        if origin is tuple:
            return self._tuple(arguments)
        if origin is collections.abc.Callable:
            return self._callable(arguments)
        if origin is type:
            return Choices([Given(kind, kind.__name__) for kind in (int, str)])
        return self._collection(origin, arguments) or self._class(origin)

    def _tuple(self, arguments: tuple[Any, ...]) -> Values:
        if len(arguments) == 2 and arguments[1] is Ellipsis:  # noqa: PLR2004  # item, dots
            return Collections(self.read(arguments[0]), tuple, tuple)
        return Tuples(self.read(one) for one in arguments if one != ())

    def _collection(self, origin: Value, arguments: tuple[Any, ...]) -> Values | None:
        first = self.read(arguments[0]) if arguments else Integers()
        if origin in _LIST_LIKE:
            return Collections(first)
        if origin in _SET_LIKE:
            kind = _SET_LIKE[origin]
            return Collections(first, kind, kind)
        if origin in _MAPPING_LIKE:
            second = self.read(arguments[1]) if len(arguments) > 1 else Integers()
            return Mappings(first if arguments else Texts(), second)
        if origin in _ITERATOR_LIKE:
            return Collections(first, iter, object)
        if origin is collections.deque:
            return Collections(first, collections.deque, collections.deque)
        if origin is collections.Counter:
            return Mappings(first, Integers(), collections.Counter)
        if origin is collections.OrderedDict:
            return Mappings(first, self.read(arguments[1]), collections.OrderedDict)
        if origin is collections.defaultdict:
            return Mappings(first, self.read(arguments[1]), _defaulting(arguments[1]))
        return None

    def _callable(self, arguments: tuple[Any, ...]) -> Values:
        """A few pure functions: constant ones, and the identity where it has the right type."""
        result = arguments[-1] if arguments else int
        taken = arguments[0] if len(arguments) > 1 and isinstance(arguments[0], list) else []
        known: dict[Any, list[Any]] = {
            bool: [True, False],
            int: [0, 1, -1],
            str: ["", "a"],
            float: [0.0, 1.5],
        }
        samples = known.get(result, [None] if result in (None, type(None)) else [0])
        found = [Given(_constant(value), f"lambda *_: {value!r}") for value in samples]
        if len(taken) == 1 and (taken[0] == result or isinstance(result, typing.TypeVar)):
            found.insert(0, Given(lambda value: value, "lambda x: x"))
        if taken == [int] and result is int:
            found.append(Given(lambda value: -value, "lambda x: -x"))
            found.append(Given(lambda value: value * value + 1, "lambda x: x * x + 1"))
        if taken == [int] and result is bool:
            found.append(Given(lambda value: value % 2 == 0, "lambda x: x % 2 == 0"))
            found.append(Given(lambda value: value > 0, "lambda x: x > 0"))
        if taken == [int, int] and result is int:
            found.insert(0, Given(lambda one, other: one + other, "lambda x, y: x + y"))
            found.append(Given(lambda one, other: one - other, "lambda x, y: x - y"))
        return Choices(found)

    def _typed_dict(self, annotation: Value) -> Values:
        hints = typing_extensions.get_type_hints(annotation)
        optional = frozenset(getattr(annotation, "__optional_keys__", ()))
        return Records({name: self.read(hint) for name, hint in hints.items()}, optional)

    def _class(self, cls: type) -> Values:
        if found := self._collection(cls, ()):
            return found
        if cls is tuple:
            return Collections(Integers(), tuple, tuple)
        if issubclass(cls, enum.Flag):
            members = list(cls.__members__.values())
            return Choices([Given(one, str(one)) for one in (*members, cls(0))])
        if issubclass(cls, enum.Enum):
            return Choices([Given(one, str(one)) for one in cls])
        if cls.__module__ == "builtins":
            raise UnknownTypeError(f"no input can be made for the type `{cls.__name__}`")
        return self._objects(cls)


def _constant(value: object) -> Callable[..., object]:
    return lambda *_: value


def _defaulting(kind: Value) -> Callable[[dict[Any, Any]], object]:
    factory: Any = (
        kind if kind in (int, str, float, list, dict, set) else typing.get_origin(kind) or int
    )

    def make(items: dict[Any, Any]) -> object:
        return collections.defaultdict(factory, items)

    make.__name__ = f"defaultdict({factory.__name__})"
    return make
