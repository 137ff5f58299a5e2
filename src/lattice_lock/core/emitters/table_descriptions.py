"""The tables of a lattice as plain data."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

from lattice_lock.core._constraint_checks import broken_constraint
from lattice_lock.core._pools import Mined, Pools
from lattice_lock.core.emitters._field_checks import stored_type
from lattice_lock.core.emitters._json_values import json_value
from lattice_lock.core.emitters._sql_text import Sql, sql_literal, string
from lattice_lock.core.emitters._table_checks import server_default, table_checks, table_name
from lattice_lock.core.emitters.sqlmodel_tables import stored_entities, with_storage_limits
from lattice_lock.core.table_structure import Check, Column, Fill, ForeignKey, Table
from lattice_lock.core.type_refs import (
    DictType,
    EnumType,
    ListType,
    OptionalType,
    ScalarName,
    ScalarType,
)

if TYPE_CHECKING:
    from lattice_lock.core.schema import Entity, Field, Lattice
    from lattice_lock.core.type_refs import TypeRef

__all__ = ["describe_tables"]

_PLAINEST: Mapping[ScalarName, object] = {
    ScalarName.STR: "",
    ScalarName.INT: 0,
    ScalarName.DECIMAL: Decimal(0),
    ScalarName.FLOAT: 0.0,
    ScalarName.BOOL: False,
    ScalarName.UUID: UUID(int=0),
    ScalarName.DATE: date(1970, 1, 1),
    ScalarName.DATETIME: datetime(1970, 1, 1, tzinfo=UTC),
    ScalarName.TIMEDELTA: timedelta(),
    ScalarName.BYTES: b"",
}


def describe_tables(lattice: Lattice) -> tuple[Table, ...]:
    """Every table of a lattice for which `emit_tables` found nothing wrong."""
    pools = Pools(lattice, Mined())
    stored = with_storage_limits(lattice)
    return tuple(
        _table(entity, lattice.entities[entity.name], pools, lattice)
        for entity in stored_entities(stored)
    )


def _table(entity: Entity, written: Entity, pools: Pools, lattice: Lattice) -> Table:
    """The table of an entity as it is stored, with values by the limits as they were written."""
    fields = entity.fields.values()
    return Table(
        name=table_name(entity.name),
        entity=entity.name,
        columns=tuple(_column(one, pools, lattice) for one in written.fields.values()),
        primary_key=tuple(one.name for one in fields if one.primary_key),
        unique=tuple(one.name for one in fields if one.unique and not one.index),
        indexes={one.name: one.unique for one in fields if one.index},
        foreign_keys=tuple(
            ForeignKey(
                column=one.name,
                table=table_name(one.references.entity),
                target=one.references.field,
            )
            for one in fields
            if one.references is not None
        ),
        checks=tuple(
            Check(name=name, postgresql=check.postgresql, sqlite=check.sqlite)
            for name, check in table_checks(entity, [])
        ),
    )


def _column(field: Field, pools: Pools, lattice: Lattice) -> Column:
    kind = stored_type(field)
    return Column(
        name=field.name,
        type=_stored_name(kind),
        nullable=isinstance(field.type, OptionalType),
        default=server_default(field),
        values=kind.values if isinstance(kind, EnumType) else (),
        fill=_fill(field, kind, pools, lattice),
    )


def _stored_name(kind: TypeRef) -> str:
    match kind:
        case EnumType():
            return ScalarName.STR.value
        case ScalarType(name):
            return name.value
        case _:
            return ScalarName.JSON.value


def _fill(field: Field, kind: TypeRef, pools: Pools, lattice: Lattice) -> Fill | None:
    if field.backfill is not None:
        sql = _literal(field.backfill.value, kind, lattice)
        return Fill(postgresql=sql.postgresql, sqlite=sql.sqlite, source="backfill")
    if isinstance(field.type, OptionalType):
        return None
    if field.default is not None:
        sql = _literal(field.default.value, kind, lattice)
        return Fill(postgresql=sql.postgresql, sqlite=sql.sqlite, source="default")
    if field.primary_key or field.unique or field.references is not None:
        return None
    known = _invented(field, kind, pools)
    if not known:
        return None
    sql = _literal(known[0], kind, lattice)
    return Fill(postgresql=sql.postgresql, sqlite=sql.sqlite, source="invented")


def _invented(field: Field, kind: TypeRef, pools: Pools) -> list[object]:
    """The plainest value of a field, in a list; empty where none was found."""
    match kind:
        case ScalarType(ScalarName.JSON):
            return [None]
        case ScalarType(name):
            plain = _PLAINEST[name]
        case ListType():
            plain = []
        case DictType():
            plain = {}
        case _:
            plain = None
    if plain is not None and broken_constraint(plain, field.constraints) is None:
        return [plain]
    return pools.values(kind, field.constraints)[:1]


def _literal(value: object, kind: TypeRef, lattice: Lattice) -> Sql:
    if _stored_name(kind) == ScalarName.JSON:
        plain = json_value(_with_base64(value), kind, lattice.entities)
        return Sql.same(string(json.dumps(plain)))
    return sql_literal(value)


def _with_base64(value: object) -> object:
    """The value with bytes as the tables module writes them into JSON."""
    if isinstance(value, bytes):
        return base64.urlsafe_b64encode(value).decode()
    if isinstance(value, Mapping):
        return {key: _with_base64(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_with_base64(item) for item in value]
    return value
