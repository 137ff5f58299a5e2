"""How values of one column type become those of another, exactly or with an error.

PostgreSQL refuses to cast what is no number, so a value that would lose something is given to the
cast as a text that says so. SQLite keeps that text, and the CHECK constraint on the type of each
value refuses it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lattice_lock.core.emitters._sql_text import Sql, quoted_name

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CONVERTIBLE", "conversion"]

_EXACT_FLOATS = 2**53
"""Up to it, every whole number is a float."""

_DASHED = " || '-' || ".join(
    f"substr({{0}}, {start}, {size})"
    for start, size in ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))
)

_CONVERSIONS: Final[Mapping[tuple[str, str], Sql]] = {
    ("int", "decimal"): Sql("{0}::numeric", "CAST({0} AS TEXT)"),
    ("decimal", "int"): Sql(
        "trim_scale({0})::text::bigint",
        "CASE WHEN instr({0}, '.') THEN rtrim(rtrim({0}, '0'), '.') ELSE {0} END",
    ),
    ("int", "float"): Sql(
        f"CASE WHEN {{0}} BETWEEN -{_EXACT_FLOATS} AND {_EXACT_FLOATS} THEN {{0}}::float8"
        " ELSE ('not exact: ' || {0})::float8 END",
        f"CASE WHEN {{0}} BETWEEN -{_EXACT_FLOATS} AND {_EXACT_FLOATS} THEN CAST({{0}} AS REAL)"
        " ELSE 'not exact: ' || {0} END",
    ),
    ("float", "int"): Sql(
        "CASE WHEN {0} = trunc({0}) AND abs({0}) < 9e18 THEN {0}::bigint"
        " ELSE ('not whole: ' || {0})::bigint END",
        "CASE WHEN abs({0}) < 9e18 AND {0} = CAST({0} AS INTEGER) THEN CAST({0} AS INTEGER)"
        " ELSE 'not whole: ' || {0} END",
    ),
    ("decimal", "float"): Sql(
        "CASE WHEN {0} = {0}::float8::text::numeric THEN {0}::float8"
        " ELSE ('not exact: ' || {0})::float8 END",
        "CASE WHEN {0} IN (CAST(CAST({0} AS REAL) AS TEXT), printf('%!.17g', CAST({0} AS REAL)))"
        " THEN CAST({0} AS REAL)"
        " ELSE 'not exact: ' || {0} END",
    ),
    ("float", "decimal"): Sql(
        "{0}::text::numeric",
        "CASE WHEN CAST(CAST({0} AS TEXT) AS REAL) = {0} THEN CAST({0} AS TEXT)"
        " ELSE printf('%!.17g', {0}) END",
    ),
    ("bool", "int"): Sql("{0}::integer::bigint", "{0}"),
    ("int", "bool"): Sql("{0}::text::boolean", "{0}"),
    ("int", "str"): Sql("{0}::text", "CAST({0} AS TEXT)"),
    ("str", "int"): Sql(
        "{0}::bigint",
        "CASE WHEN ({0} GLOB '[0-9]*' OR {0} GLOB '-[0-9]*') AND substr({0}, 2) NOT GLOB '*[^0-9]*'"
        " THEN {0} ELSE 'not whole: ' || {0} END",
    ),
    ("decimal", "str"): Sql("{0}::text", "{0}"),
    ("str", "decimal"): Sql("{0}::numeric", "{0}"),
    ("uuid", "str"): Sql("{0}::text", _DASHED),
    ("str", "uuid"): Sql("{0}::uuid", "lower(replace({0}, '-', ''))"),
    ("date", "str"): Sql("to_char({0}, 'YYYY-MM-DD')", "{0}"),
    ("str", "date"): Sql(
        "CASE WHEN {0} ~ '^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}$' THEN {0}::date"
        " ELSE ('not a date: ' || {0})::date END",
        "{0}",
    ),
    ("date", "datetime"): Sql("{0}::timestamp AT TIME ZONE 'UTC'", "{0} || ' 00:00:00.000000'"),
    ("datetime", "date"): Sql(
        "CASE WHEN date_trunc('day', {0} AT TIME ZONE 'UTC') = {0} AT TIME ZONE 'UTC'"
        " THEN ({0} AT TIME ZONE 'UTC')::date ELSE ('not midnight: ' || {0})::date END",
        "CASE WHEN substr({0}, 11) = ' 00:00:00.000000' THEN substr({0}, 1, 10) ELSE {0} END",
    ),
}

CONVERTIBLE: Final[Mapping[str, tuple[str, ...]]] = {
    kind: tuple(new for old, new in _CONVERSIONS if old == kind)
    for kind in dict.fromkeys(old for old, _ in _CONVERSIONS)
}
"""Types that values of a type can become; each of them can become the first again."""


def conversion(column: str, before: str, after: str) -> Sql:
    """SQL of a column's values as values of another type that is among `CONVERTIBLE`."""
    found, name = _CONVERSIONS[before, after], quoted_name(column)
    return Sql(found.postgresql.format(name), found.sqlite.format(name))
