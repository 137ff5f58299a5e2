"""What a database has to check of a table, by name, and the defaults that it knows."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from lattice_lock.core.emitters._field_checks import field_checks, stored_type
from lattice_lock.core.emitters._sql_conditions import UnsupportedPartError, sql_condition
from lattice_lock.core.emitters._sql_text import Sql, microseconds, plain_decimal, string
from lattice_lock.core.emitters.python_text import snake_case
from lattice_lock.core.type_refs import EnumType, OptionalType, ScalarName, ScalarType
from lattice_lock.exceptions import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lattice_lock.core.schema import Clause, Entity, Field

__all__ = ["LONGEST_NAME", "server_default", "table_checks", "table_name"]

LONGEST_NAME = 63
"""Bytes of an identifier that PostgreSQL keeps."""


def table_name(entity: str) -> str:
    """Name of an entity's table: `LimitOrder` as `limit_order`."""
    return snake_case(entity)


def table_checks(entity: Entity, problems: list[Problem]) -> Iterator[tuple[str, Sql]]:
    """Every CHECK constraint of an entity's table by its name, which changes with the condition.

    Args:
        problems: receives what no database can check.
    """
    table = table_name(entity.name)
    for field in entity.fields.values():
        for check in field_checks(field, problems):
            yield _constraint_name(table, field.name, check), check
    for clause in entity.ensures:
        try:
            check = sql_condition(clause.expression, entity.fields)
        except UnsupportedPartError as error:
            problems.append(_untranslatable(clause, error))
        else:
            yield _constraint_name(table, _label(clause), check), check


def _label(clause: Clause) -> str:
    return re.sub(r"\W+", "_", clause.name or "", flags=re.ASCII).strip("_").lower() or "invariant"


def _untranslatable(clause: Clause, error: UnsupportedPartError) -> Problem:
    at = clause.expression.location
    return Problem(
        location=replace(at, column=at.column + error.column),
        message=f"`{error}` of `{clause.expression.source}` cannot be checked by a database.",
        hint="Say it in the contracts of the methods instead, or leave out `persistence: table`.",
    )


def _constraint_name(table: str, subject: str, check: Sql) -> str:
    meaning = f"{table}\0{subject}\0{check.postgresql}\0{check.sqlite}"
    digest = hashlib.sha256(meaning.encode()).hexdigest()[:8]
    return f"{f'ck_{table}_{subject}'[: LONGEST_NAME - 9]}_{digest}"


def server_default(field: Field) -> str | None:
    """SQL text of a default that both databases read alike; None where there is none.

    A column that may be null has none: it would take the place of a null that was given.
    """
    if field.default is None or isinstance(field.type, OptionalType):
        return None
    value = field.default.value
    match stored_type(field):
        case EnumType():
            return string(str(value))
        case ScalarType(ScalarName.INT | ScalarName.STR | ScalarName.UUID | ScalarName.DATE):
            return _plain_default(value)
        case ScalarType(ScalarName.DECIMAL) if isinstance(value, Decimal):
            return string(plain_decimal(value))
        case ScalarType(ScalarName.FLOAT):
            return repr(value)
        case ScalarType(ScalarName.BOOL):
            return "TRUE" if value else "FALSE"
        case ScalarType(ScalarName.TIMEDELTA) if isinstance(value, timedelta):
            return str(microseconds(value))
        case _:
            return None


def _plain_default(value: object) -> str:
    if isinstance(value, int):
        return str(value)
    return string(getattr(value, "hex", str(value)) if not isinstance(value, str) else value)
