"""The types that the parts of an expression have, and how two of them meet.

A lattice names fewer types than an expression needs: a set, a tuple or the items of an empty
list have no spelling in `lattice.yaml`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

from typing_extensions import override

from lattice_lock.core.type_refs import (
    DictType,
    EntityType,
    EnumType,
    ListType,
    OptionalType,
    ScalarName,
    ScalarType,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lattice_lock.core.type_refs import TypeRef

__all__ = [
    "NOTHING",
    "NULL",
    "DictOf",
    "ListOf",
    "NothingType",
    "NullType",
    "Optional",
    "Scope",
    "SetOf",
    "TupleOf",
    "Type",
    "ViewOf",
    "is_hashable",
    "is_number",
    "is_orderable",
    "join",
    "of_reference",
    "without_null",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What the names in an expression mean.

    Attributes:
        variables: types of the names that may be used.
        entities: per entity, the types of its fields.
        allow_old: whether `old(...)` means something here.
    """

    variables: Mapping[str, TypeRef]
    entities: Mapping[str, Mapping[str, TypeRef]] = field(default_factory=dict)
    allow_old: bool = False


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list of any length."""

    item: Type

    @override
    def __str__(self) -> str:
        return f"list[{self.item}]"


@dataclass(frozen=True, slots=True)
class SetOf:
    """A set."""

    item: Type

    @override
    def __str__(self) -> str:
        return f"set[{self.item}]"


@dataclass(frozen=True, slots=True)
class ViewOf:
    """Something that can be iterated but compared with nothing, such as `d.values()`."""

    item: Type

    @override
    def __str__(self) -> str:
        return f"values of {self.item}"


@dataclass(frozen=True, slots=True)
class TupleOf:
    """A tuple with one type per place."""

    items: tuple[Type, ...]

    @override
    def __str__(self) -> str:
        return f"tuple[{', '.join(map(str, self.items))}]"


@dataclass(frozen=True, slots=True)
class DictOf:
    """A dict with string keys."""

    value: Type

    @override
    def __str__(self) -> str:
        return f"dict[str, {self.value}]"


@dataclass(frozen=True, slots=True)
class Optional:
    """`T | null`."""

    inner: Type

    @override
    def __str__(self) -> str:
        return f"{self.inner} | null"


@dataclass(frozen=True, slots=True)
class NullType:
    """The type of `None`."""

    @override
    def __str__(self) -> str:
        return "null"


@dataclass(frozen=True, slots=True)
class NothingType:
    """The item type of an empty list: there are no values of it."""

    @override
    def __str__(self) -> str:
        return "nothing"


Type: TypeAlias = (
    ScalarType
    | EnumType
    | EntityType
    | ListOf
    | SetOf
    | ViewOf
    | TupleOf
    | DictOf
    | Optional
    | NullType
    | NothingType
)

NULL = NullType()
NOTHING = NothingType()

_JSON = ScalarType(ScalarName.JSON)
_NUMBERS = (ScalarName.INT, ScalarName.DECIMAL, ScalarName.FLOAT)
_NOT_ORDERABLE = (ScalarName.BOOL, ScalarName.JSON)


@lru_cache(maxsize=1024)
def of_reference(reference: TypeRef) -> Type:
    """The expression type of a type written in a lattice."""
    if isinstance(reference, ListType):
        return ListOf(of_reference(reference.item))
    if isinstance(reference, DictType):
        return DictOf(of_reference(reference.value))
    if isinstance(reference, OptionalType):
        return Optional(of_reference(reference.inner))
    return reference


def without_null(value: Type) -> Type:
    """`T` for `T | null`, anything else as it is."""
    return value.inner if isinstance(value, Optional) else value


def is_number(value: Type) -> bool:
    """Whether arithmetic applies; bool is not a number here."""
    return isinstance(value, ScalarType) and value.name in _NUMBERS


def is_orderable(value: Type) -> bool:
    """Whether `<` between two such values is meaningful."""
    return isinstance(value, ScalarType) and value.name not in _NOT_ORDERABLE


def is_hashable(value: Type) -> bool:
    """Whether such values may stand in a set."""
    if isinstance(value, TupleOf):
        return all(is_hashable(item) for item in value.items)
    if isinstance(value, Optional):
        return is_hashable(value.inner)
    if isinstance(value, ScalarType):
        return value.name is not ScalarName.JSON
    return isinstance(value, EnumType | NothingType | NullType)


def join(left: Type, right: Type) -> Type | None:
    """The type that holds the values of both, None when no value can belong to both."""
    if left == right or isinstance(right, NothingType):
        return left
    if isinstance(left, NothingType):
        return right
    if _JSON in (left, right):
        return _JSON
    if isinstance(left, NullType | Optional) or isinstance(right, NullType | Optional):
        return _join_nullable(left, right)
    if isinstance(left, ScalarType) and isinstance(right, ScalarType):
        return _join_numbers(left, right)
    if isinstance(left, EnumType) and isinstance(right, EnumType):
        return left if set(left.values) & set(right.values) else None
    return _join_containers(left, right)


def _join_nullable(left: Type, right: Type) -> Type | None:
    if isinstance(left, NullType):
        return Optional(without_null(right))
    if isinstance(right, NullType):
        return Optional(without_null(left))
    inner = join(without_null(left), without_null(right))
    return None if inner is None else Optional(inner)


def _join_numbers(left: ScalarType, right: ScalarType) -> Type | None:
    if not (is_number(left) and is_number(right)):
        return None
    names = {left.name, right.name}
    # Mixing decimal and float raises in Python for arithmetic and surprises in comparison.
    if names == {ScalarName.DECIMAL, ScalarName.FLOAT}:
        return None
    return ScalarType((names - {ScalarName.INT}).pop())


def _join_containers(left: Type, right: Type) -> Type | None:
    if isinstance(left, ListOf) and isinstance(right, ListOf):
        item = join(left.item, right.item)
        return None if item is None else ListOf(item)
    if isinstance(left, SetOf) and isinstance(right, SetOf):
        item = join(left.item, right.item)
        return None if item is None else SetOf(item)
    if isinstance(left, DictOf) and isinstance(right, DictOf):
        value = join(left.value, right.value)
        return None if value is None else DictOf(value)
    if isinstance(left, TupleOf) and isinstance(right, TupleOf):
        pairs = zip(left.items, right.items, strict=False)
        items = [item for a, b in pairs if (item := join(a, b)) is not None]
        same = len(left.items) == len(right.items) == len(items)
        return TupleOf(tuple(items)) if same else None
    return None
