"""Values of lattice types in the form in which Pydantic writes them as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

from lattice_lock.core.type_refs import (
    DictType,
    EntityType,
    ListType,
    OptionalType,
    ScalarName,
    ScalarType,
)

if TYPE_CHECKING:
    from lattice_lock.core.schema import Entity
    from lattice_lock.core.type_refs import TypeRef

__all__ = ["json_scalar", "json_value"]


def json_value(value: object, kind: TypeRef, entities: Mapping[str, Entity]) -> object:
    """A value as the loader reads it (entities are mappings) as plain JSON data."""
    match kind:
        case OptionalType(inner):
            return None if value is None else json_value(value, inner, entities)
        case ListType(item) if isinstance(value, list | tuple):
            return [json_value(one, item, entities) for one in value]
        case DictType(item) if isinstance(value, Mapping):
            return {key: json_value(one, item, entities) for key, one in value.items()}
        case EntityType(name) if isinstance(value, Mapping):
            fields = entities[name].fields
            return {key: json_value(one, fields[key].type, entities) for key, one in value.items()}
        case ScalarType(name):
            return json_scalar(value, name)
        case _:
            return value


def json_scalar(value: object, name: ScalarName) -> object:
    """A scalar, or a limit of one: numbers are `Decimal` there, whatever the type."""
    match value:
        case Decimal() if name is ScalarName.DECIMAL:
            return f"{value:f}"
        case Decimal():
            return int(value) if name is ScalarName.INT else float(value)
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case date() | UUID():
            return str(value)
        case timedelta():
            return _duration(value)
        case bytes():
            return value.decode()
        case Mapping():  # `json`, as what follows
            return {key: json_scalar(item, name) for key, item in value.items()}
        case list():
            return [json_scalar(item, name) for item in value]
        case _:
            return value


def _duration(length: timedelta) -> str:
    sign = "-" if length < timedelta() else ""
    length = abs(length)
    minutes, seconds = divmod(length.seconds, 60)
    fraction = f".{length.microseconds:06}".rstrip("0") if length.microseconds else ""
    parts = ((minutes // 60, "H"), (minutes % 60, "M"))
    time = "".join(f"{number}{unit}" for number, unit in parts if number)
    if seconds or fraction:
        time += f"{seconds}{fraction}S"
    days = f"{length.days}D" if length.days else ""
    return f"{sign}P{days}{f'T{time}' if time else ''}" if days or time else "PT0S"
