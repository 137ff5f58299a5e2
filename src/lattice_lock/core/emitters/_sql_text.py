"""Pieces of SQL text, in the words of PostgreSQL and of SQLite."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Sql", "joined", "microseconds", "plain_decimal", "quoted_name", "sql_literal", "string"]


@dataclass(frozen=True, slots=True)
class Sql:
    """One condition or value as text for each database."""

    postgresql: str
    sqlite: str

    @classmethod
    def same(cls, text: str) -> Sql:
        """Text that both understand alike."""
        return cls(text, text)


def joined(template: Callable[..., str], *parts: Sql) -> Sql:
    """What `template` makes of the parts, for each database."""
    return Sql(
        template(*(part.postgresql for part in parts)), template(*(part.sqlite for part in parts))
    )


def quoted_name(name: str) -> str:
    """An identifier in quotes: reserved words and upper case keep their meaning."""
    return f'"{name}"'


def string(text: str) -> str:
    """A string literal."""
    return "'" + text.replace("'", "''") + "'"


def plain_decimal(value: Decimal) -> str:
    """A decimal without an exponent."""
    return f"{value:f}"


def microseconds(value: timedelta) -> int:
    """A duration as a whole number of microseconds."""
    return (value.days * 86_400 + value.seconds) * 1_000_000 + value.microseconds


def sql_literal(value: object) -> Sql:
    """A value as its column holds it.

    SQLite gets decimals in quotes, because a bare `0.1` is a float to it.
    """
    match value:
        case bool():
            return Sql.same("TRUE" if value else "FALSE")
        case int():
            return Sql.same(str(value))
        case float():
            return Sql(f"{string(repr(value))}::float8", repr(value))
        case Decimal():
            return Sql(plain_decimal(value), string(plain_decimal(value)))
        case datetime():
            moment = value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f").rjust(26, "0")
            return Sql(string(f"{moment}+00:00"), string(moment))
        case date():
            return Sql.same(string(value.isoformat()))
        case timedelta():
            return Sql.same(str(microseconds(value)))
        case UUID():
            return Sql.same(string(value.hex))
        case bytes():
            return Sql(string(f"\\x{value.hex()}"), f"X{string(value.hex())}")
        case _:
            return Sql.same(string(str(value)))
