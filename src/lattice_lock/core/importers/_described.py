"""What the child wrote of types, as elements of a draft."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lattice_lock.core._literals import parse_decimal
from lattice_lock.core.importers._ecma_pattern import whole_pattern
from lattice_lock.core.importers.draft import (
    UNSET,
    Element,
    enum_of,
    holding,
    keep_narrower,
    literal,
    nullable,
    one_line,
)
from lattice_lock.core.type_refs import (
    JSON,
    STR,
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

    from lattice_lock.core.importers.draft import Draft
    from lattice_lock.core.type_refs import TypeRef

__all__ = ["default_value", "element_from", "element_type"]

_ORDER = (
    "gt",
    "ge",
    "lt",
    "le",
    "multiple_of",
    "precision",
    "scale",
    "min_length",
    "max_length",
    "pattern",
    "unique_items",
)
_NUMBERS = frozenset({ScalarName.INT, ScalarName.DECIMAL, ScalarName.FLOAT})


def element_from(
    draft: Draft, data: Mapping[str, Any], *, entities: Mapping[str, str], place: str, name: str
) -> Element:
    """An element of the draft, with what does not fit listed.

    Args:
        draft: receives what is left behind.
        data: as `_describe_models.element_of` wrote it.
        entities: names of entities by the keys of their classes.
        place: where the element stands.
        name: how messages call it.
    """
    for what, why in data.get("left", ()):
        draft.leave(place, f"{what} of `{name}`", why)
    element = _element(draft, data, entities, place, name)
    limits: Mapping[str, Any] = data.get("limits", {})
    for key in _ORDER:
        value = limits.get(key)
        if value is None or (key, value) in (("min_length", 0), ("unique_items", False)):
            continue
        if key == "pattern":
            value = whole_pattern(value, ascii_classes=False)
        element.constraints[key] = _number(value, element.kind)
    keep_narrower(element.constraints)
    if data.get("null"):
        element.kind = nullable(element.kind)
    return element


def _element(
    draft: Draft, data: Mapping[str, Any], entities: Mapping[str, str], place: str, name: str
) -> Element:
    kind, values = data["kind"], data.get("values")
    if kind in ("list", "dict"):
        item = element_from(
            draft, data["item"], entities=entities, place=place, name=f"the items of {name}"
        )
        element = holding(draft, ListType if kind == "list" else DictType, item)
        element.place = place
        return element
    element = Element(kind=JSON, place=place)
    if kind == "entity":
        if data["name"] in entities:
            element.kind = EntityType(entities[data["name"]])
        else:
            draft.leave(place, f"type of `{name}`", f"`{data['name']}` is not part of the draft")
    elif kind == "enum":
        texts = list(dict.fromkeys(values or ()))
        element.kind = enum_of(texts) if all(texts) else STR
        if not all(texts):
            element.clauses.append(f"{{}} in {literal(texts)}")
    else:
        element.kind = ScalarType(ScalarName(kind))
        if values:
            element.clauses.append(
                f"{{}} == {literal(values[0])}"
                if len(values) == 1
                else f"{{}} in {literal(values)}"
            )
    return element


def element_type(kind: TypeRef) -> TypeRef:
    """A type without its null."""
    return kind.inner if isinstance(kind, OptionalType) else kind


def _number(value: object, kind: TypeRef) -> object:
    """A number that came as text."""
    plain = element_type(kind)
    if isinstance(value, str) and isinstance(plain, ScalarType) and plain.name in _NUMBERS:
        try:
            return parse_decimal(value)
        except ValueError:
            return value
    return value


def default_value(draft: Draft, element: Element, value: object, name: str) -> object:
    """A default as the lattice writes it; unset after a finding."""
    kind = element_type(element.kind)
    if value is not None and isinstance(kind, EntityType):
        draft.leave(element.place, f"default of `{name}`", "an entity cannot be a default")
        return UNSET
    if isinstance(kind, EnumType) and value is not None and value not in kind.values:
        draft.leave(
            element.place,
            f"default `{one_line(str(value))}` of `{name}`",
            "it is none of the values",
        )
        return UNSET
    return _number(value, element.kind)
