"""Reads `entities`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

from lattice_lock.core._clauses import read_clauses
from lattice_lock.core._cycles import find_cycles
from lattice_lock.core._section import (
    Section,
    describe,
    is_name,
    named_entries,
    read_choice,
    read_names,
)
from lattice_lock.core._suggestions import did_you_mean
from lattice_lock.core._typed_elements import Context, TypedElement, pascal_case, read_typed
from lattice_lock.core._values import INVALID
from lattice_lock.core._yaml_tree import MappingNode, Node, ScalarNode
from lattice_lock.core.expressions import Scope
from lattice_lock.core.schema import Default, Entity, Field, Reference
from lattice_lock.core.type_refs import (
    DictType,
    EntityType,
    EnumType,
    ListType,
    OptionalType,
    ScalarName,
    ScalarType,
    TypeRef,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lattice_lock.exceptions import SourceLocation

__all__ = ["read_entities"]

_ENTITY_KEYS = (
    "description",
    "persistence",
    "renamed_from",
    "fields",
    "transitions",
    "ensures",
)
_FIELD_KEYS = (
    "default",
    "description",
    "primary_key",
    "unique",
    "index",
    "references",
    "renamed_from",
    "backfill",
)
_PERSISTENCE = ("none", "table")

# Attributes of every Pydantic model; a field of that name would hide or break them.
_RESERVED_FIELDS = frozenset(
    {"construct", "copy", "dict", "from_orm", "json", "schema", "validate"}
)
_RESERVED_PREFIXES = ("model_config", "model_dump", "model_fields", "model_validate")


def read_entities(node: Node | None, context: Context) -> dict[str, Entity]:
    """Every entity, with fields checked against each other and invariants typed."""
    sections: dict[str, Section] = {}
    places: dict[str, SourceLocation] = {}
    for name, key, value in named_entries(node, "entity", context.findings):
        section = Section(value, f"entity `{name}`", _ENTITY_KEYS, context.findings)
        sections[name] = section
        places[name] = key.location
        context.fields[name] = _read_fields(name, key.location, section, context)
    _check_references(context)
    _check_containment(context)
    entities = {}
    for name, fields in context.fields.items():
        context.types[name] = {field.name: field.type for field in fields.values()}
    for name, section in sections.items():
        scope = Scope(variables=context.types[name], entities=context.types)
        invariants = read_clauses(
            section.get("ensures"), f"entities.{name}.ensures", scope, context.findings
        )
        context.invariants[name] = invariants
        entities[name] = Entity(
            name=name,
            fields=context.fields[name],
            location=places[name],
            description=section.text("description"),
            persistence=_read_persistence(section, context.fields[name], context),
            renamed_from=_read_former_name(section, name, "entity"),
            transitions=_read_transitions(section, context.fields[name], context),
            ensures=invariants,
        )
        _check_backfills(entities[name], context)
    _check_renames(entities, context)
    return entities


def _read_fields(
    entity: str, place: SourceLocation, section: Section, context: Context
) -> dict[str, Field]:
    fields: dict[str, Field] = {}
    for name, key, value in named_entries(section.get("fields"), "field", context.findings):
        if name in _RESERVED_FIELDS or name.startswith(_RESERVED_PREFIXES):
            context.findings.add(
                key.location,
                f"`{name}` is an attribute of every Pydantic model and cannot name a field.",
                f"Write `{name}_` or a more telling name.",
            )
        field = _read_field(entity, name, key, value, context)
        if field is not None:
            fields[name] = field
    if not fields and isinstance(section.node, MappingNode) and not context.findings.types_broken:
        context.findings.add(
            place, f"{section.what} has no fields.", "Write `fields: {name: str}`."
        )
    _check_renames(fields, context)
    return fields


def _read_field(
    entity: str, name: str, key: ScalarNode, node: Node, context: Context
) -> Field | None:
    enum_name = f"{entity}{pascal_case(name)}"
    typed = read_typed(node, f"field `{name}`", enum_name, _FIELD_KEYS, context)
    if typed is None:
        return None
    section = typed.section
    if section is None:
        return Field(name=name, type=typed.type, location=key.location)
    _check_stored(section, typed.type)
    return Field(
        name=name,
        type=typed.type,
        location=key.location,
        constraints=typed.constraints,
        default=_read_default(section, typed, context),
        description=section.text("description"),
        primary_key=section.flag("primary_key"),
        unique=section.flag("unique"),
        index=section.flag("index"),
        references=_read_reference(section),
        renamed_from=_read_former_name(section, name, "field"),
        backfill=_read_backfill(section, typed, context),
    )


def _check_stored(section: Section, kind: TypeRef) -> None:
    scalar = kind.inner if isinstance(kind, OptionalType) else kind
    plain = isinstance(scalar, EnumType) or (
        isinstance(scalar, ScalarType) and scalar.name is not ScalarName.JSON
    )
    for key in ("primary_key", "unique", "index", "references"):
        if section.get(key) is None:
            continue
        if not plain:
            section.findings.add(
                section.key_location(key),
                f"`{key}` does not apply to {kind}.",
                "It applies to scalars and enums.",
            )
        elif key == "primary_key" and isinstance(kind, OptionalType):
            section.findings.add(section.key_location(key), "A primary key cannot be null.")


def _read_default(section: Section, typed: TypedElement, context: Context) -> Default | None:
    node = section.get("default")
    if node is None:
        return None
    if isinstance(node, MappingNode) and _holds_entity(typed.type):
        context.findings.add(
            node.location, "An entity cannot be a default.", "Make the field `T | null`."
        )
        return None
    value = context.values.read(
        node, typed.type, f"the default of {section.what}", typed.constraints
    )
    return None if value is INVALID else Default(value=value)


def _read_backfill(section: Section, typed: TypedElement, context: Context) -> Default | None:
    node = section.get("backfill")
    if node is None:
        return None
    if isinstance(node, ScalarNode) and node.is_null:
        context.findings.add(
            node.location,
            f"`backfill` of {section.what} is null, which rows without a value hold anyway.",
            "Leave it out.",
        )
        return None
    if _holds_entity(typed.type):
        context.findings.add(node.location, "A `backfill` cannot hold an entity.", "Leave it out.")
        return None
    value = context.values.read(
        node, typed.type, f"the backfill of {section.what}", typed.constraints
    )
    return None if value is INVALID else Default(value=value)


def _holds_entity(kind: TypeRef) -> bool:
    if isinstance(kind, OptionalType):
        return _holds_entity(kind.inner)
    if isinstance(kind, ListType):
        return _holds_entity(kind.item)
    if isinstance(kind, DictType):
        return _holds_entity(kind.value)
    return isinstance(kind, EntityType)


def _read_reference(section: Section) -> Reference | None:
    text = section.text("references")
    if text is None:
        return None
    entity, dot, field = text.partition(".")
    if dot and is_name(entity) and is_name(field):
        return Reference(entity=entity, field=field)
    section.findings.add(
        section.key_location("references"),
        f"`{text}` is not a reference.",
        "Write `references: Customer.id`.",
    )
    return None


def _read_former_name(section: Section, name: str, what: Literal["entity", "field"]) -> str | None:
    text = section.text("renamed_from")
    if text is not None and (text == name or not is_name(text)):
        section.findings.add(
            section.key_location("renamed_from"),
            f"`{text}` cannot be the former name of `{name}`.",
            f"Write the name that the {what} had in the version before.",
        )
        return None
    return text


def _check_renames(named: Mapping[str, Field | Entity], context: Context) -> None:
    taken: dict[str, str] = {}
    for one in named.values():
        former = one.renamed_from
        if former is None:
            continue
        if former in named:
            context.findings.add(
                one.location, f"`{one.name}` was renamed from `{former}`, which still exists."
            )
        elif former in taken:
            context.findings.add(
                one.location,
                f"`{one.name}` and `{taken[former]}` were both renamed from `{former}`.",
            )
        taken[former] = one.name


def _check_backfills(entity: Entity, context: Context) -> None:
    for field in entity.fields.values():
        if field.backfill is None:
            continue
        if entity.persistence != "table":
            context.findings.add(
                field.location,
                f"`{field.name}` has a `backfill`, but `{entity.name}` has no table.",
                "Add `persistence: table` to it, or leave out `backfill`.",
            )
        elif field.unique or field.primary_key:
            context.findings.add(
                field.location,
                f"`backfill` would write one value into every row, but `{field.name}` is unique.",
                "Declare it as `T | null` first, fill it, and require it in the next version.",
            )


def _read_persistence(
    section: Section, fields: Mapping[str, Field], context: Context
) -> Literal["none", "table"]:
    node = section.get("persistence")
    if node is None:
        return "none"
    if not isinstance(node, ScalarNode):
        section.text("persistence")
        return "none"
    if not read_choice(node, "persistence", _PERSISTENCE, context.findings):
        return "none"
    if node.text == "table" and fields and not any(one.primary_key for one in fields.values()):
        context.findings.add(
            node.location,
            f"{section.what} is stored in a table but no field is its primary key.",
            "Add `primary_key: true` to one.",
        )
    return cast("Literal['none', 'table']", node.text)


def _read_transitions(
    section: Section, fields: Mapping[str, Field], context: Context
) -> dict[str, dict[str, tuple[str, ...]]]:
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for name, key, node in named_entries(section.get("transitions"), "field", context.findings):
        field = fields.get(name)
        if field is None:
            if not context.findings.types_broken:
                context.findings.add(
                    key.location,
                    f"{section.what} has no field `{name}`.",
                    did_you_mean(name, fields),
                )
            continue
        kind = field.type.inner if isinstance(field.type, OptionalType) else field.type
        if not isinstance(kind, EnumType):
            context.findings.add(
                key.location,
                f"`{name}` is {kind}; only an enum has states.",
                "Write `{enum: [first, second]}`.",
            )
            continue
        found[name] = _read_states(node, name, kind, context)
    return found


def _read_states(
    node: Node, field: str, kind: EnumType, context: Context
) -> dict[str, tuple[str, ...]]:
    if not isinstance(node, MappingNode):
        context.findings.add(
            node.location,
            f"The transitions of `{field}` must be a mapping, this is {describe(node)}.",
            "Write `{pending: [filled, cancelled]}`.",
        )
        return {}
    found = {}
    for key, value in node.entries:
        targets = read_names(value, f"what may follow `{key.text}`", context.findings)
        known = [
            state.text
            for state in (key, *targets)
            if read_choice(state, f"value of `{field}`", kind.values, context.findings)
        ]
        if known[:1] == [key.text]:
            found[key.text] = tuple(known[1:])
    return found


def _check_references(context: Context) -> None:
    for fields in context.fields.values():
        for field in fields.values():
            if field.references is not None:
                _check_reference(field, field.references, context)


def _check_reference(field: Field, reference: Reference, context: Context) -> None:
    target_fields = context.fields.get(reference.entity)
    if target_fields is None:
        context.findings.add(
            field.location,
            f"`{field.name}` refers to `{reference.entity}`, which is not an entity.",
            did_you_mean(reference.entity, context.entities),
        )
        return
    target = target_fields.get(reference.field)
    if target is None:
        if not context.findings.types_broken:
            context.findings.add(
                field.location,
                f"`{field.name}` refers to `{reference.entity}.{reference.field}`, but"
                f" `{reference.entity}` has no such field.",
                did_you_mean(reference.field, target_fields),
            )
        return
    keys = [one.name for one in target_fields.values() if one.primary_key]
    if not target.unique and keys != [target.name]:
        context.findings.add(
            field.location,
            f"`{field.name}` refers to `{reference.entity}.{target.name}`, which is neither the"
            " primary key nor unique.",
            "Refer to the primary key, or add `unique: true` there.",
        )
    kind = field.type.inner if isinstance(field.type, OptionalType) else field.type
    if kind != target.type:
        context.findings.add(
            field.location,
            f"`{field.name}` is {kind}, but `{reference.entity}.{target.name}` is {target.type}.",
            f"Declare it as `{target.type}`.",
        )


def _check_containment(context: Context) -> None:
    """Refuse entities whose every value would hold another value of the same entity."""
    needs = {
        name: {inner: field for field in fields.values() for inner in _needed(field)}
        for name, fields in context.fields.items()
    }
    for cycle in find_cycles(needs):
        field = needs[cycle[0]][cycle[1] if len(cycle) > 1 else cycle[0]]
        circle = " -> ".join((*cycle, cycle[0]))
        context.findings.add(
            field.location,
            f"A `{cycle[0]}` can never be built, because it holds one of itself: {circle}.",
            f"Declare `{field.name}` as `{field.type} | null`, or refer to the other by its key.",
        )


def _needed(field: Field) -> list[str]:
    """The entity of which every value of the field holds one, if there is any."""
    kind = field.type
    if isinstance(kind, ListType) and (field.constraints.min_length or 0) > 0:
        kind = kind.item
    elif isinstance(kind, DictType) and (field.constraints.min_length or 0) > 0:
        kind = kind.value
    return [kind.name] if isinstance(kind, EntityType) else []
