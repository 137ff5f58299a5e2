"""Types that a lattice can name, as values that compare by content."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "BOOL",
    "INT",
    "JSON",
    "STR",
    "DictType",
    "EntityType",
    "EnumType",
    "ListType",
    "OptionalType",
    "ScalarName",
    "ScalarType",
    "TypeRef",
    "entities_in",
]


class ScalarName(StrEnum):
    """Scalar types by the name that a lattice uses."""

    STR = "str"
    INT = "int"
    DECIMAL = "decimal"
    FLOAT = "float"
    BOOL = "bool"
    UUID = "uuid"
    DATE = "date"
    DATETIME = "datetime"
    """An instant: always with a time zone."""
    TIMEDELTA = "timedelta"
    BYTES = "bytes"
    JSON = "json"
    """Any JSON value."""


@dataclass(frozen=True, slots=True)
class ScalarType:
    """One of the built-in scalar types."""

    name: ScalarName

    @override
    def __str__(self) -> str:
        return self.name.value


@dataclass(frozen=True, slots=True)
class EnumType:
    """A closed set of strings; `name` is the class that is generated for it.

    The name is derived from the owner: `LimitOrder.status` gives `LimitOrderStatus`, parameter
    `side` of method `place_order` gives `PlaceOrderSide`, its return value `PlaceOrderResult`.
    """

    name: str
    values: tuple[str, ...]

    @override
    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class EntityType:
    """An entity of the same lattice."""

    name: str

    @override
    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class ListType:
    """`list[T]`."""

    item: TypeRef

    @override
    def __str__(self) -> str:
        return f"list[{self.item}]"


@dataclass(frozen=True, slots=True)
class DictType:
    """`dict[str, T]`; keys are always strings."""

    value: TypeRef

    @override
    def __str__(self) -> str:
        return f"dict[str, {self.value}]"


@dataclass(frozen=True, slots=True)
class OptionalType:
    """`T | null`; never nested."""

    inner: TypeRef

    @override
    def __str__(self) -> str:
        return f"{self.inner} | null"


TypeRef: TypeAlias = ScalarType | EnumType | EntityType | ListType | DictType | OptionalType

BOOL = ScalarType(ScalarName.BOOL)
INT = ScalarType(ScalarName.INT)
STR = ScalarType(ScalarName.STR)
JSON = ScalarType(ScalarName.JSON)


def entities_in(type_ref: TypeRef | None) -> Iterator[str]:
    """Names of the entities that a type mentions; none for a method that returns nothing."""
    match type_ref:
        case EntityType(name):
            yield name
        case ListType(inner) | DictType(inner) | OptionalType(inner):
            yield from entities_in(inner)
        case _:
            return
