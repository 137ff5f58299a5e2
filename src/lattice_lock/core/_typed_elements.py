"""Reads whatever has a type: fields, parameters and return values, in short and long form."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lattice_lock.core._constraints import CONSTRAINT_HINTS, CONSTRAINT_KEYS, read_constraints
from lattice_lock.core._section import Section, describe, read_names
from lattice_lock.core._type_syntax import TypeFault, parse_type
from lattice_lock.core._values import ValueReader
from lattice_lock.core._yaml_tree import MappingNode, Node, ScalarNode
from lattice_lock.core.schema import Constraints
from lattice_lock.core.type_refs import EnumType

if TYPE_CHECKING:
    from collections.abc import Collection

    from lattice_lock.core._findings import Findings
    from lattice_lock.core.schema import Clause, Field
    from lattice_lock.core.type_refs import TypeRef
    from lattice_lock.exceptions import SourceLocation

__all__ = ["Context", "TypedElement", "pascal_case", "read_typed"]

_TYPE_KEYS = ("type", "enum", "values")
_MOST_VALUES = 1_000


@dataclass(slots=True)
class Context:
    """What is known of a lattice while it is read.

    Attributes:
        findings: where problems go.
        entities: names of all entities.
        fields: fields of the entities read so far.
        types: per entity, the types of its fields.
        invariants: per entity, its clauses.
        enums: enum types by name, with the place of the first.
    """

    findings: Findings
    entities: Collection[str]
    fields: dict[str, dict[str, Field]] = field(default_factory=dict)
    types: dict[str, dict[str, TypeRef]] = field(default_factory=dict)
    invariants: dict[str, tuple[Clause, ...]] = field(default_factory=dict)
    enums: dict[str, tuple[EnumType, SourceLocation]] = field(default_factory=dict)

    @property
    def values(self) -> ValueReader:
        """A reader for values of the types of this lattice."""
        return ValueReader(self.findings, self.fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedElement:
    """A type with its constraints; `section` is None for the short form."""

    type: TypeRef
    constraints: Constraints
    section: Section | None


def read_typed(
    node: Node, what: str, enum_name: str, extra_keys: tuple[str, ...], context: Context
) -> TypedElement | None:
    """The type and constraints of an element; None after a finding.

    Args:
        node: text of a type, or a mapping in the long form.
        what: how messages call the element, such as "field `price`".
        enum_name: name of the class for an enum that is declared here.
        extra_keys: keys of the long form beside type and constraints.
        context: what is known of the lattice.
    """
    if isinstance(node, ScalarNode):
        kind = _read_type(node, None, context)
        if kind is None:
            return None
        return TypedElement(type=kind, constraints=Constraints(), section=None)
    known = (*_TYPE_KEYS, *CONSTRAINT_KEYS, *extra_keys)
    section = Section(node, what, known, context.findings, hints=CONSTRAINT_HINTS)
    if not isinstance(node, MappingNode):
        context.findings.types_broken = True
        return None
    kind = _long_type(section, enum_name, context)
    if kind is None:
        context.findings.types_broken = True
        return None
    return TypedElement(type=kind, constraints=read_constraints(section, kind), section=section)


def _long_type(section: Section, enum_name: str, context: Context) -> TypeRef | None:
    enum: EnumType | None = None
    values = section.get("enum") or section.get("values")
    if section.get("values") is not None:
        if section.get("enum") is not None:
            context.findings.add(
                section.key_location("values"),
                f"{section.what} has both `enum` and `values`.",
                "Keep `enum`.",
            )
        else:
            context.findings.warn(
                section.key_location("values"),
                "`values` is an older spelling.",
                "Write `{enum: [first, second]}`.",
            )
    if values is not None:
        enum = _read_enum(values, enum_name, section.what, context)
        if enum is None:
            return None
    written = section.get("type")
    if written is None:
        if enum is None:
            context.findings.add(
                section.node.location, f"{section.what} has no `type`.", "Write `type: decimal`."
            )
        return enum
    if not isinstance(written, ScalarNode):
        section.text("type")
        return None
    kind = _read_type(written, enum, context)
    if kind is not None and enum is not None and enum.name not in str(kind):
        context.findings.add(
            written.location,
            f"{section.what} lists values but its type `{kind}` does not use them.",
            "Leave `type` out, or write `enum`, `enum | null` or `list[enum]`.",
        )
    return kind


def _read_type(node: ScalarNode, enum: EnumType | None, context: Context) -> TypeRef | None:
    try:
        kind, modern_forms = parse_type(node.text, entities=context.entities, enum=enum)
    except TypeFault as fault:
        context.findings.add(node.locate(fault.offset), fault.message, fault.hint)
        context.findings.types_broken = True
        return None
    for modern in modern_forms:
        context.findings.warn(
            node.location,
            f"`{node.text.strip()}` names no item type.",
            f"Write `{modern}`, or name the type of the items.",
        )
    return kind


def _read_enum(node: Node, name: str, what: str, context: Context) -> EnumType | None:
    before = len(context.findings)
    values = tuple(
        item.text for item in read_names(node, f"the values of {what}", context.findings)
    )
    if len(context.findings) > before:
        return None
    if len(values) > _MOST_VALUES:
        context.findings.add(
            node.location,
            f"{what} has {len(values)} values; {_MOST_VALUES} are allowed.",
            "A closed set of that size is data: store it and refer to it by its key.",
        )
        return None
    if not values:
        context.findings.add(
            node.location,
            f"{what} has no values, this is {describe(node)}.",
            "Write `{enum: [first, second]}`.",
        )
        return None
    enum = EnumType(name, values)
    if name in context.entities:
        context.findings.add(
            node.location,
            f"The class for {what} would be called `{name}`, as the entity is.",
            "Rename the field or the entity.",
        )
    other, place = context.enums.setdefault(name, (enum, node.location))
    if other != enum:
        context.findings.add(
            node.location,
            f"The class for {what} would be called `{name}`, as the one at line {place.line} with"
            " other values.",
            "Rename one of the two, or give both the same values.",
        )
    return enum


def pascal_case(name: str) -> str:
    """`place_order` as `PlaceOrder`."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))
