"""What constraints say, in a few words for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lattice_lock.core.emitters._json_values import json_scalar
from lattice_lock.core.type_refs import DictType, ListType, OptionalType, ScalarName, ScalarType

if TYPE_CHECKING:
    from lattice_lock.core.schema import Constraints
    from lattice_lock.core.type_refs import TypeRef

__all__ = ["constraint_texts"]

_SIGNS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}


def constraint_texts(kind: TypeRef, limits: Constraints) -> list[str]:
    """One phrase per constraint, such as `> 0` or `at most 8 decimal places`."""
    scalar = _scalar(kind)
    found = [
        f"{sign} {json_scalar(getattr(limits, name), scalar)}"
        for name, sign in _SIGNS.items()
        if getattr(limits, name) is not None
    ]
    if limits.multiple_of is not None:
        found.append(f"a multiple of {json_scalar(limits.multiple_of, scalar)}")
    if limits.precision is not None:
        found.append(f"at most {_counted(limits.precision, 'digit')}")
    if limits.scale is not None:
        found.append(f"at most {_counted(limits.scale, 'decimal place')}")
    unit = _unit(kind)
    if limits.min_length is not None:
        found.append(f"at least {_counted(limits.min_length, unit)}")
    if limits.max_length is not None:
        found.append(f"at most {_counted(limits.max_length, unit)}")
    if limits.pattern is not None:
        found.append(f"matches {limits.pattern}")
    if limits.unique_items:
        found.append("each item once")
    return found


def _scalar(kind: TypeRef) -> ScalarName:
    """The type that limits are written in; only scalars have any."""
    match kind:
        case OptionalType(inner):
            return _scalar(inner)
        case ScalarType(name):
            return name
        case _:
            return ScalarName.JSON


def _counted(number: int, unit: str) -> str:
    plural = f"{unit[:-1]}ies" if unit.endswith("y") else f"{unit}s"
    return f"{number} {unit if number == 1 else plural}"


def _unit(kind: TypeRef) -> str:
    match kind:
        case OptionalType(inner):
            return _unit(inner)
        case ListType():
            return "item"
        case DictType():
            return "entry"
        case ScalarType(ScalarName.BYTES):
            return "byte"
        case _:
            return "character"
