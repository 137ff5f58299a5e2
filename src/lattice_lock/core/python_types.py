"""Lattice types as Python annotations, and the imports that these annotations need.

The emitters write these annotations and Sheriff compares hand-written ones with them, so that
there is one answer to "what is `decimal` in Python".
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, assert_never

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

__all__ = ["SHARED_PACKAGE", "annotation", "imports"]

SHARED_PACKAGE: Final = "shared"
"""Package under the source root that holds the generated module."""

_SCALARS: Final[Mapping[ScalarName, tuple[str | None, str]]] = MappingProxyType(
    {
        ScalarName.STR: (None, "str"),
        ScalarName.INT: (None, "int"),
        ScalarName.DECIMAL: ("decimal", "Decimal"),
        ScalarName.FLOAT: (None, "float"),
        ScalarName.BOOL: (None, "bool"),
        ScalarName.UUID: ("uuid", "UUID"),
        ScalarName.DATE: ("datetime", "date"),
        ScalarName.DATETIME: ("datetime", "datetime"),
        ScalarName.TIMEDELTA: ("datetime", "timedelta"),
        ScalarName.BYTES: (None, "bytes"),
        ScalarName.JSON: ("pydantic", "JsonValue"),
    }
)
"""Module, None for built-ins, and name of the Python class of each scalar."""


def annotation(type_ref: TypeRef | None) -> str:
    """Python annotation of a lattice type, in names that `imports` brings into scope.

    None, which is how a method says that it returns nothing, gives `None`.
    """
    match type_ref:
        case None:
            return "None"
        case ScalarType(name):
            return _SCALARS[name][1]
        case EnumType() | EntityType():
            return type_ref.name
        case ListType(item):
            return f"list[{annotation(item)}]"
        case DictType(value):
            return f"dict[str, {annotation(value)}]"
        case OptionalType(inner):
            return f"{annotation(inner)} | None"
        case _:
            assert_never(type_ref)


def imports(type_ref: TypeRef | None, *, generated_module: str) -> frozenset[tuple[str, str]]:
    """What `annotation(type_ref)` needs, as pairs of `from MODULE import NAME`.

    Entities and enums come from `shared.<generated_module>`.
    """
    match type_ref:
        case None:
            return frozenset()
        case ScalarType(name):
            module, python_name = _SCALARS[name]
            return frozenset() if module is None else frozenset({(module, python_name)})
        case EnumType() | EntityType():
            return frozenset({(f"{SHARED_PACKAGE}.{generated_module}", type_ref.name)})
        case ListType(inner) | DictType(inner) | OptionalType(inner):
            return imports(inner, generated_module=generated_module)
        case _:
            assert_never(type_ref)
