"""The tables of a lattice as plain data: what `lattice.lock` keeps for the next migration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

__all__ = ["Check", "Column", "Fill", "ForeignKey", "Table", "parse_tables", "plain_tables"]


class Check(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A CHECK constraint; the condition is empty where a database has nothing to check."""

    name: str
    postgresql: str = ""
    sqlite: str = ""


class Fill(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """SQL of the value that rows without one get.

    Attributes:
        source: who said so; an invented one is the plainest value that the column takes.
    """

    postgresql: str
    sqlite: str
    source: Literal["backfill", "default", "invented"]


class Column(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A column.

    Attributes:
        type: a `ScalarName`; `str` for an enum, `json` for lists and dicts too.
        default: SQL of the server's default.
        values: of an enum, in their order.
        fill: None where nothing is said and the column may be null, or no one value can do.
    """

    name: str
    type: str
    nullable: bool = False
    default: str | None = None
    values: tuple[str, ...] = ()
    fill: Fill | None = None


class ForeignKey(msgspec.Struct, frozen=True, kw_only=True):
    """A reference of one column to one of another, or the same, table."""

    column: str
    table: str
    target: str


class Table(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A table; its constraints but CHECKs are named by the fixed patterns of `docs/reference`.

    Attributes:
        unique: columns with a unique constraint.
        indexes: columns with an index of their own, and whether it is unique.
    """

    name: str
    entity: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    unique: tuple[str, ...] = ()
    indexes: Mapping[str, bool] = {}
    foreign_keys: tuple[ForeignKey, ...] = ()
    checks: tuple[Check, ...] = ()

    def column(self, name: str) -> Column | None:
        """The column of that name."""
        return next((one for one in self.columns if one.name == name), None)


def plain_tables(tables: tuple[Table, ...]) -> object:
    """The tables as what JSON consists of."""
    return msgspec.to_builtins(tables)


def parse_tables(plain: object) -> tuple[Table, ...]:
    """The tables that `plain_tables` described.

    Raises:
        ValueError: it describes none.
    """
    return msgspec.convert(plain, tuple[Table, ...])
