"""What a database has to check of one column, as SQL."""

from __future__ import annotations

import sys
from decimal import Decimal
from typing import TYPE_CHECKING

from lattice_lock.core.emitters._portable_pattern import PatternError, portable_pattern
from lattice_lock.core.emitters._sql_text import (
    Sql,
    joined,
    plain_decimal,
    quoted_name,
    sql_literal,
    string,
)
from lattice_lock.core.type_refs import (
    DictType,
    EnumType,
    ListType,
    OptionalType,
    ScalarName,
    ScalarType,
)
from lattice_lock.exceptions import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lattice_lock.core.schema import Bound, Field
    from lattice_lock.core.type_refs import TypeRef

__all__ = ["field_checks", "stored_type"]

_BOUNDS = (("gt", ">"), ("ge", ">="), ("lt", "<"), ("le", "<="))
_LARGEST_FLOAT = repr(sys.float_info.max)
_DIVISION_DIGITS = 28
"""Digits of Python's default decimal context."""


def stored_type(field: Field) -> TypeRef:
    """The type of what a column holds where it is not null."""
    return field.type.inner if isinstance(field.type, OptionalType) else field.type


def field_checks(field: Field, problems: list[Problem]) -> Iterator[Sql]:
    """Every condition on a column; null satisfies each of them.

    SQLite does not hold a column to its type, so that the first one may say the type.

    Args:
        problems: receives the constraints that no database can express.
    """
    column = quoted_name(field.name)
    check = _type_check(column, stored_type(field))
    if check is not None:
        if isinstance(field.type, OptionalType) and check.postgresql != check.sqlite:
            # In SQLite null has a type of its own, and is not valid JSON.
            check = Sql(check.postgresql, f"{column} IS NULL OR ({check.sqlite})")
        yield check
    yield from _constraint_checks(field, problems)


def _type_check(column: str, kind: TypeRef) -> Sql | None:
    match kind:
        case EnumType(_, values):
            return Sql.same(f"{column} IN ({', '.join(map(string, values))})")
        case ListType():
            return _json_check(column, "array")
        case DictType():
            return _json_check(column, "object")
        case ScalarType(name):
            return _scalar_check(column, name)
        case _:
            return None


def _json_check(column: str, kind: str) -> Sql:
    return Sql(
        f"json_typeof({column}) = '{kind}'",
        f"json_valid({column}) AND json_type({column}) = '{kind}'",
    )


def _scalar_check(column: str, name: ScalarName) -> Sql:
    """PostgreSQL refuses wrong types itself; left to check are values that Python does not have."""
    match name:
        case ScalarName.JSON:
            return Sql("", f"json_valid({column})")
        case ScalarName.FLOAT:
            limits = f"{column} BETWEEN -{_LARGEST_FLOAT} AND {_LARGEST_FLOAT}"
            return Sql(limits, f"typeof({column}) = 'real' AND {limits}")
        case ScalarName.DECIMAL:
            number = string(r"\A-?[0-9]+(?:\.[0-9]+)?\Z")
            # Neither infinite nor not a number.
            finite = f"{column} - {column} = 0"
            return Sql(finite, f"typeof({column}) = 'text' AND {column} REGEXP {number}")
        case ScalarName.DATE:
            # A step of no days turns February 30 into a day of March.
            known = f"{column} BETWEEN '0001-01-01' AND '9999-12-31'"
            shape = f"typeof({column}) = 'text' AND {column} IS date({column}, '+0 days')"
            return Sql(known, f"{shape} AND {known}")
        case ScalarName.DATETIME:
            return _moment_check(column)
        case _:
            return Sql("", _SQLITE_TYPES[name].format(column))


_SQLITE_TYPES = {
    ScalarName.BOOL: "typeof({0}) = 'integer' AND {0} IN (0, 1)",
    ScalarName.BYTES: "typeof({0}) = 'blob'",
    ScalarName.INT: "typeof({0}) = 'integer'",
    # No text of PostgreSQL holds the character 0.
    ScalarName.STR: "typeof({0}) = 'text' AND instr({0}, char(0)) = 0",
    ScalarName.TIMEDELTA: "typeof({0}) = 'integer'",
    ScalarName.UUID: "typeof({0}) = 'text' AND length({0}) = 32 AND {0} NOT GLOB '*[^0-9a-f]*'",
}


def _moment_check(column: str) -> Sql:
    first, last = "0001-01-01 00:00:00.000000", "9999-12-31 23:59:59.999999"
    second = f"substr({column}, 1, 19)"
    shape = (
        f"typeof({column}) = 'text' AND length({column}) = 26"
        f" AND {second} IS datetime({second}, '+0 days')"
        f" AND substr({column}, 20, 1) = '.' AND substr({column}, 21) NOT GLOB '*[^0-9]*'"
    )
    return Sql(
        f"{column} BETWEEN '{first}+00:00' AND '{last}+00:00'",
        f"{shape} AND {column} BETWEEN '{first}' AND '{last}'",
    )


def _constraint_checks(field: Field, problems: list[Problem]) -> Iterator[Sql]:
    column, kind, limits = quoted_name(field.name), stored_type(field), field.constraints
    for name, sign in _BOUNDS:
        bound: Bound | None = getattr(limits, name)
        if bound is not None:
            limit = sql_literal(_as_stored(bound, kind))
            yield joined(f"{column} {sign} {{}}".format, limit)
    if limits.multiple_of is not None:
        yield _multiple_check(column, kind, limits.multiple_of)
    if limits.scale is not None:
        yield Sql(
            f"{column} = round({column}, {limits.scale})",
            f"length(rtrim(substr({column} || '.', instr({column} || '.', '.') + 1), '0.'))"
            f" <= {limits.scale}",
        )
    if limits.precision is not None:
        yield _precision_check(column, limits.precision, limits.scale)
    yield from _length_checks(field, column, kind, problems)
    if limits.pattern is not None:
        yield from _pattern_check(field, column, limits.pattern, problems)
    if limits.unique_items:
        problems.append(
            Problem(
                location=field.location,
                message=f"`unique_items` of `{field.name}` cannot be checked by a database.",
                hint="Make the items an entity with a table of its own, or leave it out.",
            )
        )


def _multiple_check(column: str, kind: TypeRef, step: Decimal) -> Sql:
    if kind == ScalarType(ScalarName.INT):
        return Sql.same(f"{column} % {int(step)} = 0")
    text = string(plain_decimal(step))
    most = plain_decimal(step.scaleb(_DIVISION_DIGITS))
    # Python refuses to divide where the quotient has more digits than its context.
    near = f"{column} BETWEEN '-{most}' AND '{most}'"
    return Sql(f"{near} AND {column} % {text} = 0", f"{near} AND is_multiple({column}, {text})")


def _pattern_check(
    field: Field, column: str, pattern: str, problems: list[Problem]
) -> Iterator[Sql]:
    try:
        text = string(portable_pattern(pattern))
    except PatternError as error:
        message = f"`pattern` of `{field.name}` {error.reason}."
        problems.append(Problem(location=field.location, message=message, hint=error.hint))
    else:
        yield Sql(f"{column} ~ {text}", f"{column} REGEXP {text}")


def _as_stored(bound: Bound, kind: TypeRef) -> object:
    if isinstance(bound, Decimal) and kind == ScalarType(ScalarName.INT):
        return int(bound)
    if isinstance(bound, Decimal) and kind == ScalarType(ScalarName.FLOAT):
        return float(bound)
    return bound


def _precision_check(column: str, precision: int, scale: int | None) -> Sql:
    if scale is not None:
        # `scale` is checked by itself, so that only whole digits are left to count.
        limit = "1" + "0" * (precision - scale)
        return Sql.same(f"{column} > '-{limit}' AND {column} < '{limit}'")
    plain = f"CASE WHEN instr({column}, '.') THEN rtrim({column}, '0') ELSE {column} END"
    digits = "length(replace(ltrim({}, '-0'), '.', ''))".format
    return Sql(
        f"{digits(f'CAST(trim_scale({column}) AS TEXT)')} <= {precision}",
        f"{digits(plain)} <= {precision}",
    )


def _length_checks(
    field: Field, column: str, kind: TypeRef, problems: list[Problem]
) -> Iterator[Sql]:
    for name, sign in (("min_length", ">="), ("max_length", "<=")):
        length = getattr(field.constraints, name)
        if length is None:
            continue
        if isinstance(kind, DictType):
            problems.append(
                Problem(
                    location=field.location,
                    message=f"`{name}` of `{field.name}` cannot be checked by a database, because"
                    " it is a dict.",
                    hint="Leave it out.",
                )
            )
        elif isinstance(kind, ListType):
            yield Sql.same(f"json_array_length({column}) {sign} {length}")
        else:
            yield Sql.same(f"length({column}) {sign} {length}")
