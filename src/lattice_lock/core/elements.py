"""What a lattice says, flattened: one short text per element, and the digest of a contract."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING

from lattice_lock.core.expressions import Expression
from lattice_lock.core.schema import Clause, Constraints, Default, Raises, Reference
from lattice_lock.core.type_refs import (
    DictType,
    EntityType,
    EnumType,
    ListType,
    OptionalType,
    ScalarType,
    entities_in,
)
from lattice_lock.exceptions import SourceLocation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lattice_lock.core.schema import Entity, Lattice

__all__ = ["contract_digest", "describe_elements"]

_DESCRIPTION = " description"  # the space keeps it apart from a field of that name

_INLINE = (Constraints, Default, Reference, Expression)


def describe_elements(lattice: Lattice) -> dict[str, str]:
    """Every element of a lattice by its path, each as one line of text.

    Two lattices have equal descriptions exactly when they mean the same.
    """
    described: dict[str, str] = {}
    for name in ("version", "generated_module", "config", "entities", "interfaces", "policies"):
        described.update(_flatten(name, getattr(lattice, name)))
    return described


def contract_digest(lattice: Lattice, interface: str, method: str) -> str:
    """SHA-256 over all that a method's contract depends on, hexadecimal.

    That is the method itself and every entity reachable from its types, without descriptions and
    without what concerns migrations alone.
    """
    declared = lattice.interfaces[interface].methods[method]
    pending = [declared.returns.type, *(param.type for param in declared.params.values())]
    reached: set[str] = set()
    while pending:
        for name in entities_in(pending.pop()):
            if name not in reached:
                reached.add(name)
                pending.extend(one.type for one in lattice.entities[name].fields.values())
    parts = dict(_flatten("method", declared))
    for name in sorted(reached):
        parts.update(_flatten(name, _without_history(lattice.entities[name])))
    conditions = {path: text for path, text in parts.items() if not path.endswith(_DESCRIPTION)}
    return hashlib.sha256(json.dumps(conditions, sort_keys=True).encode()).hexdigest()


def _without_history(entity: Entity) -> Entity:
    """The entity without what concerns the way to it from the version before."""
    fields = {
        name: replace(one, renamed_from=None, backfill=None) for name, one in entity.fields.items()
    }
    return replace(entity, renamed_from=None, fields=fields)


def _flatten(path: str, value: object) -> Iterator[tuple[str, str]]:
    """Elements below `path`; a value without parts of its own is one element."""
    if isinstance(value, Clause):
        name = f"{value.name}: " if value.name else ""
        yield path, f"{name}{value.expression.source}"
        if value.description:
            yield f"{path}{_DESCRIPTION}", value.description
    elif isinstance(value, Raises):
        yield f"{path}.{value.exception}", value.clause.expression.source
    elif isinstance(value, Mapping) and path.rpartition(".")[2] not in {"args", "parameters"}:
        for key, item in value.items():
            yield from _flatten(f"{path}.{key}", item)
    elif isinstance(value, tuple) and value and is_dataclass(value[0]):
        yield from _flatten_items(path, value)
    elif _has_elements(value):
        yield from _flatten_parts(path, value)
    else:
        yield path, _line(value)


def _flatten_items(path: str, items: tuple[object, ...]) -> Iterator[tuple[str, str]]:
    for index, item in enumerate(items):
        if isinstance(item, Raises):
            # One exception may have several clauses; only those after its first have numbers.
            earlier = (one for one in items[:index] if isinstance(one, Raises))
            number = sum(one.exception == item.exception for one in earlier)
            for own, text in _flatten(path, item):
                yield f"{own}[{number}]" if number else own, text
        else:
            yield from _flatten(f"{path}[{index}]", item)


def _has_elements(value: object) -> bool:
    return is_dataclass(value) and not isinstance(
        value, (*_INLINE, ScalarType, EnumType, EntityType, ListType, DictType, OptionalType)
    )


def _flatten_parts(path: str, value: object) -> Iterator[tuple[str, str]]:
    scalars: list[str] = []
    has_parts = False
    for one in fields(value):  # type: ignore[arg-type]  # a dataclass instance by `_has_elements`
        part = getattr(value, one.name)
        if isinstance(part, SourceLocation) or one.name in {"name", "places"} or _is_absent(part):
            continue
        if isinstance(part, Mapping | tuple) or _has_elements(part):
            has_parts = True
            yield from _flatten(f"{path}.{one.name}", part)
        elif one.name == "description":
            yield f"{path}{_DESCRIPTION}", _line(part)
        elif text := _line(part):
            scalars.append(text if one.name == "type" else f"{one.name}={text}")
    if scalars or not has_parts:  # what says nothing of itself is there all the same
        yield path, " ".join(scalars)


def _is_absent(value: object) -> bool:
    return value is None or value is False or value == ()


def _line(value: object) -> str:
    if isinstance(value, Constraints):
        limits = ((one.name, getattr(value, one.name)) for one in fields(value))
        return ",".join(f"{name}:{limit}" for name, limit in limits if not _is_absent(limit))
    if isinstance(value, Default):
        return _line(value.value) or "''"  # an empty text is a default as well
    if isinstance(value, Reference):
        return f"{value.entity}.{value.field}"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_line(item)}" for key, item in value.items()) + "}"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_line(item) for item in value) + "]"
    return "null" if value is None else _type_line(value)


def _type_line(value: object) -> str:
    match value:
        case EnumType(name, values):
            return f"{name}[{', '.join(values)}]"
        case ListType(item):
            return f"list[{_line(item)}]"
        case DictType(item):
            return f"dict[str, {_line(item)}]"
        case OptionalType(item):
            return f"{_line(item)} | null"
        case _:
            return str(value)
