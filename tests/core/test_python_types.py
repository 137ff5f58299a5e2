"""Lattice types as Python annotations."""

from __future__ import annotations

import importlib
import typing
from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from pydantic import JsonValue

from lattice_lock.core.python_types import annotation, imports
from lattice_lock.core.type_refs import (
    INT,
    STR,
    DictType,
    EntityType,
    EnumType,
    ListType,
    OptionalType,
    ScalarName,
    ScalarType,
    TypeRef,
)

SCALARS = {
    ScalarName.STR: str,
    ScalarName.INT: int,
    ScalarName.DECIMAL: Decimal,
    ScalarName.FLOAT: float,
    ScalarName.BOOL: bool,
    ScalarName.UUID: UUID,
    ScalarName.DATE: date,
    ScalarName.DATETIME: datetime,
    ScalarName.TIMEDELTA: timedelta,
    ScalarName.BYTES: bytes,
    ScalarName.JSON: JsonValue,
}


@pytest.mark.parametrize("name", list(ScalarName))
def test_a_scalar_annotation_evaluates_to_its_class(name: ScalarName) -> None:
    """Importing what `imports` names and evaluating `annotation` gives the documented class."""
    ref = ScalarType(name)
    scope = {
        attribute: getattr(importlib.import_module(module), attribute)
        for module, attribute in imports(ref, generated_module="types_v1")
    }

    def probe() -> None: ...

    probe.__annotations__["return"] = annotation(ref)
    assert typing.get_type_hints(probe, globalns=scope)["return"] is SCALARS[name]


@pytest.mark.parametrize(
    ("ref", "expected"),
    [
        (None, "None"),
        (EntityType("Order"), "Order"),
        (EnumType("OrderStatus", ("open", "closed")), "OrderStatus"),
        (ListType(EntityType("Order")), "list[Order]"),
        (DictType(INT), "dict[str, int]"),
        (OptionalType(STR), "str | None"),
        (
            DictType(ListType(OptionalType(ScalarType(ScalarName.DECIMAL)))),
            "dict[str, list[Decimal | None]]",
        ),
    ],
)
def test_composed_types_nest(ref: TypeRef | None, expected: str) -> None:
    """Lists, dicts and optionals nest, and a missing return type is None."""
    assert annotation(ref) == expected


def test_entities_and_enums_come_from_the_generated_module() -> None:
    """Every named type inside a composed one is imported from the shared generated module."""
    ref = DictType(OptionalType(ListType(EntityType("Order"))))
    assert imports(ref, generated_module="types_v2") == {("shared.types_v2", "Order")}
    assert imports(EnumType("Side", ("buy",)), generated_module="t") == {("shared.t", "Side")}
    assert imports(None, generated_module="t") == frozenset()
