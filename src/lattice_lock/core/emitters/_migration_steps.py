"""The statements of an Alembic revision in one direction, in an order that both databases accept.

PostgreSQL: foreign keys that are gone or in the way; tables that are gone, renamed and new; then
each table that changed: constraints off, columns, constraints on; foreign keys last. SQLite, with
foreign keys off: the same tables, and each table that changed is made anew.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import msgspec

from lattice_lock.core.emitters._column_conversions import conversion
from lattice_lock.core.emitters._migration_text import (
    call,
    check_texts,
    column_text,
    key_name,
    literal_column,
    sa_type,
    sql_text,
    table_elements,
)
from lattice_lock.core.emitters._sql_text import quoted_name, string
from lattice_lock.core.emitters.python_text import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from lattice_lock.core.table_changes import TableChange, TableChanges
    from lattice_lock.core.table_structure import Column, Fill, ForeignKey, Table

__all__ = ["Steps"]

_ONE, _TWO = 4, 8
_NAMES_SHOWN = 3


class Steps:
    """One direction of a revision."""

    def __init__(self, changes: TableChanges, *, is_upgrade: bool) -> None:
        self._changes = changes
        self._is_upgrade = is_upgrade
        self._forward = {one.after.name: changes.brought_forward(one) for one in changes.kept}
        self._kept = {one.after.name: one for one in changes.kept}

    def summary(self) -> str:
        """What happens, as one line."""
        parts = [
            f"{verb} {_named(names)}"
            for verb, names in (
                ("make", [one.name for one in self._changes.created]),
                ("drop", [one.name for one in self._changes.dropped]),
                ("change", [name for name, one in self._kept.items() if self._is_changed(one)]),
            )
            if names
        ]
        text = "; ".join(parts)
        return f"{text[:1].upper()}{text[1:]}."

    def notes(self) -> Iterator[str]:
        """What becomes of rows, and what stops the migration, a line each."""
        yield from (f"`{one.name}` is dropped with its rows." for one in self._changes.dropped)
        for change in self._kept.values():
            table = change.after.name
            yield from (f"`{table}.{one}` is dropped with what it holds." for one in change.dropped)
            for column in change.after.columns:
                name = change.columns.get(column.name)
                before = None if name is None else change.before.column(name)
                where = f"`{table}.{column.name}`"
                if before is None:
                    yield from _notes_on_new(where, table, column)
                else:
                    yield from self._notes_on_kept(where, before, column)

    def _notes_on_kept(self, where: str, before: Column, after: Column) -> Iterator[str]:
        if before.type != after.type:
            yield f"{where} was {before.type}: this stops at a value that is none as {after.type}."
        if before.nullable and not after.nullable:
            fill = self._fill_of_null(before, after)
            if fill is None:
                yield f"{where} is required: this stops where it is null."
            else:
                yield f"{where} is required: {fill.sqlite} takes the place of null."
        gone = [one for one in before.values if after.values and one not in after.values]
        if gone:
            values = ", ".join(map(string, gone))
            if self._gone_values(before, after) and after.fill is not None:
                yield f"{where}: {after.fill.sqlite} takes the place of {values}."
            else:
                yield f"{where}: this stops where it is {values}."

    def statements(self) -> list[str]:
        """Text of every statement, indented; empty where nothing changes."""
        lasting = {name: self._lasting_keys(change) for name, change in self._kept.items()}
        made = _in_order(self._changes.created)
        places = {one.name: place for place, one in enumerate(made)}
        late = {one.name: self._late_keys(one, places) for one in made}
        first = [*self._drop_foreign_keys(lasting), *self._drop_circular_keys()]
        middle = [
            *(f"    op.drop_table({quoted(one.name)})\n" for one in self._dropped_in_order()),
            *(
                f"    op.rename_table({quoted(old)}, {quoted(new)})\n"
                for old, new in self._changes.renamed_tables.items()
            ),
            *(text for one in made for text in _created(one, late[one.name])),
        ]
        rebuilt: list[str] = []
        altered: list[str] = []
        for change in self._kept.values():
            if self._is_rebuilt(change):
                rebuilt += self._rebuilt(change)
                altered += self._altered(change)
            else:
                middle += self._indexes(change)
        for name, change in self._kept.items():
            keys = [one for one in change.after.foreign_keys if one.column not in lasting[name]]
            altered += (_created_key(name, one) for one in keys)
        for one in made:
            keys = [key for key in one.foreign_keys if key.column in late[one.name]]
            altered += (_created_key(one.name, key) for key in keys)
        return [*_branches([], first), *middle, *_branches(rebuilt, altered)]

    # Foreign keys --------------------------------------------------------------------------------

    def _lasting_keys(self, change: TableChange) -> frozenset[str]:
        """Columns after whose foreign key PostgreSQL keeps while everything else changes."""
        forward = self._forward[change.after.name]
        return frozenset(
            key.column
            for was, key in zip(change.before.foreign_keys, forward.foreign_keys, strict=True)
            if key in change.after.foreign_keys
            and (change.before.name, was.column) == (change.after.name, key.column)
            and self._is_same_type(change.after.name, key.column)
            and self._is_same_key(key.table, key.target)
        )

    def _is_same_type(self, table: str, column: str) -> bool:
        before, after = self._forward[table].column(column), self._kept[table].after.column(column)
        return before is not None and after is not None and before.type == after.type

    def _is_same_key(self, table: str, column: str) -> bool:
        """Whether what makes a column unique stays, and so may be referred to all the time."""
        if table not in self._kept or not self._is_same_type(table, column):
            return False
        before, after = self._forward[table], self._kept[table].after
        return (
            before.primary_key == after.primary_key
            and (column in before.unique) == (column in after.unique)
            and before.indexes.get(column) == after.indexes.get(column)
        )

    def _late_keys(self, table: Table, places: Mapping[str, int]) -> frozenset[str]:
        """Columns of a new table that refer to what is not there yet, or will change.

        `places` says when each new table is made.
        """
        return frozenset(
            key.column
            for key in table.foreign_keys
            if places.get(key.table, len(places)) > places[table.name] and not self._is_there(key)
        )

    def _is_there(self, key: ForeignKey) -> bool:
        change = self._kept.get(key.table)
        if change is None or not self._is_same_key(key.table, key.target):
            return False
        return change.columns.get(key.target) == key.target

    def _drop_foreign_keys(self, lasting: dict[str, frozenset[str]]) -> Iterator[str]:
        for name, change in self._kept.items():
            forward = self._forward[name].foreign_keys
            for was, key in zip(change.before.foreign_keys, forward, strict=True):
                if key.column not in lasting[name]:
                    text = key_name("fk", change.before.name, was.column)
                    yield _drop_constraint("foreignkey", change.before.name, text, _TWO)

    def _dropped_in_order(self) -> list[Table]:
        return _in_order(self._changes.dropped)[::-1]

    def _drop_circular_keys(self) -> Iterator[str]:
        gone: set[str] = set()
        for table in self._dropped_in_order():
            gone.add(table.name)
            for other in self._changes.dropped:
                for key in other.foreign_keys:
                    if key.table == table.name and other.name not in gone:
                        text = key_name("fk", other.name, key.column)
                        yield _drop_constraint("foreignkey", other.name, text, _TWO)

    # SQLite --------------------------------------------------------------------------------------

    def _is_changed(self, change: TableChange) -> bool:
        before, after = self._forward[change.after.name], change.after
        return self._is_rebuilt(change) or before.indexes != after.indexes

    def _is_rebuilt(self, change: TableChange) -> bool:
        """Whether more changed than indexes."""
        before, after = self._forward[change.after.name], change.after
        return (
            change.before.name != after.name
            or bool(change.renamed_columns)
            # Where the target's column has another name, PostgreSQL follows it by itself.
            or {one.target for one in change.before.foreign_keys}
            != {one.target for one in before.foreign_keys}
            or _essence(before) != _essence(after)
        )

    def _rebuilt(self, change: TableChange) -> Iterator[str]:
        after = change.after
        copied = "".join(
            f"                {quoted(name)}: {sql_text(sql)},\n"
            for name, sql in self._copied(change)
        )
        was = ", ".join(quoted(one.name) for one in change.before.columns)
        arguments = [
            quoted(after.name),
            f"[{was}]",
            f"{{\n{copied}            }}",
            *table_elements(after, indent=_TWO + 4, dialect="sqlite"),
        ]
        yield call("_rebuild", arguments, indent=_TWO)
        yield from (
            _created_index(after.name, one, is_unique=flag, indent=_TWO)
            for one, flag in after.indexes.items()
        )

    def _copied(self, change: TableChange) -> Iterator[tuple[str, str]]:
        for column in change.after.columns:
            name = change.columns.get(column.name)
            before = None if name is None else change.before.column(name)
            if before is None:
                if column.fill is not None:
                    yield column.name, column.fill.sqlite
                elif not column.nullable:
                    yield column.name, "NULL"  # refused, where there is a row
                continue
            sql = quoted_name(before.name)
            gone = self._gone_values(before, column)
            if before.type != column.type:
                sql = conversion(before.name, before.type, column.type).sqlite
            elif gone and column.fill is not None:
                values = ", ".join(map(string, gone))
                sql = f"CASE WHEN {sql} IN ({values}) THEN {column.fill.sqlite} ELSE {sql} END"
            fill = self._fill_of_null(before, column)
            yield column.name, sql if fill is None else f"coalesce({sql}, {fill.sqlite})"

    # Values --------------------------------------------------------------------------------------

    def _fill_of_null(self, before: Column, after: Column) -> Fill | None:
        """What takes the place of null in a column that may not hold it any more."""
        if not before.nullable or after.nullable or after.fill is None:
            return None
        return None if after.fill.source == "invented" else after.fill

    def _gone_values(self, before: Column, after: Column) -> list[str]:
        """Values of an enum that a `backfill` replaces."""
        said = after.fill is not None and after.fill.source == "backfill" and self._is_upgrade
        if not said or not after.values:
            return []
        return [one for one in before.values if one not in after.values]

    # PostgreSQL ----------------------------------------------------------------------------------

    def _altered(self, change: TableChange) -> Iterator[str]:
        before, after = self._forward[change.after.name], change.after
        lasting = self._lasting_checks(change)
        yield from (
            _drop_constraint("check", after.name, f"op.f({quoted(one.name)})", _TWO)
            for one in before.checks
            if one.postgresql and one.name not in lasting
        )
        yield from self._dropped_keys(change, before)
        yield from self._renamed_names(change, before)
        yield from self._altered_columns(change, before)
        yield from self._created_keys(before, after)
        new = [one for one in after.checks if one.name not in lasting]
        texts = list(check_texts(new, indent=_TWO + 4, dialect="postgresql"))
        if texts:
            yield call("for check in _checks", texts, indent=_TWO, end=":\n")
            yield (
                "            op.create_check_constraint("
                f"check.name, {quoted(after.name)}, check.sqltext)\n"
            )

    def _lasting_checks(self, change: TableChange) -> set[str]:
        """Constraints that are in both versions and on no column whose type changes."""
        before, after = self._forward[change.after.name], change.after
        retyped = [
            quoted_name(one) for one in change.columns if not self._is_same_type(after.name, one)
        ]
        return {one.name for one in before.checks} & {
            one.name
            for one in after.checks
            if not any(column in one.postgresql for column in retyped)
        }

    def _altered_columns(self, change: TableChange, before: Table) -> Iterator[str]:
        name = change.after.name
        for old, new in change.renamed_columns.items():
            arguments = [quoted(name), quoted(old), f"new_column_name={quoted(new)}"]
            yield call("op.alter_column", arguments, indent=_TWO)
        for column in change.after.columns:
            earlier = before.column(column.name) if column.name in change.columns else None
            if earlier is None:
                yield from self._added_column(name, column)
            else:
                yield from self._altered_column(name, earlier, column)
        for one in change.dropped:
            yield f"        op.drop_column({quoted(name)}, {quoted(one)})\n"

    def _created_keys(self, before: Table, after: Table) -> Iterator[str]:
        name = after.name
        if before.primary_key != after.primary_key:
            columns = ", ".join(map(quoted, after.primary_key))
            arguments = [key_name("pk", name), quoted(name), f"[{columns}]"]
            yield call("op.create_primary_key", arguments, indent=_TWO)
        for one in after.unique:
            if one not in before.unique:
                arguments = [key_name("uq", name, one), quoted(name), f"[{quoted(one)}]"]
                yield call("op.create_unique_constraint", arguments, indent=_TWO)
        for one, is_unique in after.indexes.items():
            if before.indexes.get(one) != is_unique:
                yield _created_index(name, one, is_unique=is_unique, indent=_TWO)

    def _dropped_keys(self, change: TableChange, before: Table) -> Iterator[str]:
        """Drop keys and indexes, which still have the names of columns and tables before."""
        name, old, after = change.after.name, change.before, change.after
        if before.primary_key != after.primary_key:
            yield _drop_constraint("primary", name, key_name("pk", old.name), _TWO)
        for was, now in zip(old.unique, before.unique, strict=True):
            if now not in after.unique:
                yield _drop_constraint("unique", name, key_name("uq", old.name, was), _TWO)
        for was, now in zip(old.indexes, before.indexes, strict=True):
            if after.indexes.get(now) != before.indexes[now]:
                yield _dropped_index(old.name, was, name, indent=_TWO)

    def _renamed_names(self, change: TableChange, before: Table) -> Iterator[str]:
        """Rename what is called after tables and columns, and so keep what depends on it."""
        name, old, after = change.after.name, change.before, change.after
        moved: list[tuple[str, str, str]] = []
        if before.primary_key == after.primary_key:
            moved.append(("CONSTRAINT", key_name("pk", old.name), key_name("pk", name)))
        moved += (
            ("CONSTRAINT", key_name("uq", old.name, was), key_name("uq", name, now))
            for was, now in zip(old.unique, before.unique, strict=True)
            if now in after.unique
        )
        moved += (
            ("INDEX", key_name("ix", old.name, was), key_name("ix", name, now))
            for was, now in zip(old.indexes, before.indexes, strict=True)
            if after.indexes.get(now) == before.indexes[now]
        )
        for kind, was, now in moved:
            if was != now:
                yield call("_rename", [quoted(kind), quoted(name), was, now], indent=_TWO)

    def _added_column(self, table: str, column: Column) -> Iterator[str]:
        fill = column.fill
        by_default = fill is not None and fill.source == "default" and column.default is not None
        if fill is None or by_default:
            text = column_text(column, indent=_TWO + 4)
            yield call("op.add_column", [quoted(table), text], indent=_TWO)
            return
        text = column_text(column, indent=_TWO + 4, is_nullable=True)
        yield call("op.add_column", [quoted(table), text], indent=_TWO)
        yield _update(table, column.name, fill.postgresql, None)
        if not column.nullable:
            arguments = [quoted(table), quoted(column.name), "nullable=False"]
            yield call("op.alter_column", arguments, indent=_TWO)

    def _altered_column(self, table: str, before: Column, after: Column) -> Iterator[str]:
        gone = self._gone_values(before, after)
        column = quoted_name(after.name)
        if gone and after.fill is not None:
            values = ", ".join(map(string, gone))
            yield _update(table, after.name, after.fill.postgresql, f"{column} IN ({values})")
        arguments: list[str] = []
        is_retyped = before.type != after.type
        if is_retyped:
            using = conversion(after.name, before.type, after.type).postgresql
            arguments.append(f"type_={sa_type(after.type)}")
            arguments.append(f"postgresql_using={sql_text(using)}")
            if before.default is not None:
                parts = [quoted(table), quoted(after.name), "server_default=None"]
                yield call("op.alter_column", parts, indent=_TWO)
        if arguments:
            parts = [quoted(table), quoted(after.name), *arguments]
            yield call("op.alter_column", parts, indent=_TWO)
        fill = self._fill_of_null(before, after)
        if fill is not None:
            yield _update(table, after.name, fill.postgresql, f"{column} IS NULL")
        rest: list[str] = []
        if before.nullable != after.nullable:
            rest.append(f"nullable={after.nullable}")
        was = None if is_retyped else before.default
        if was != after.default:
            text = "None" if after.default is None else literal_column(after.default)
            rest.append(f"server_default={text}")
        if rest:
            parts = [quoted(table), quoted(after.name), *rest]
            yield call("op.alter_column", parts, indent=_TWO)

    # Both ----------------------------------------------------------------------------------------

    def _indexes(self, change: TableChange) -> Iterator[str]:
        name, before, after = change.after.name, change.before.indexes, change.after.indexes
        for one, is_unique in before.items():
            if after.get(one) != is_unique:
                yield _dropped_index(name, one, name, indent=_ONE)
        for one, is_unique in after.items():
            if before.get(one) != is_unique:
                yield _created_index(name, one, is_unique=is_unique, indent=_ONE)


def _notes_on_new(where: str, table: str, column: Column) -> Iterator[str]:
    fill = column.fill
    if fill is None:
        if not column.nullable:
            yield f"{where} is required and nobody knows it: this stops where `{table}` has rows."
    elif fill.source == "invented":
        yield f"{where} is required and nobody knows it: rows get {fill.sqlite} as the plainest."
    else:
        yield f"{where} is {fill.sqlite} in rows that are there."


def _named(names: list[str]) -> str:
    shown = [f"`{one}`" for one in names[:_NAMES_SHOWN]]
    if len(names) > _NAMES_SHOWN:
        shown.append(f"{len(names) - _NAMES_SHOWN} more")
    *first, last = shown
    return f"{', '.join(first)} and {last}" if first else last


def _essence(table: Table) -> Table:
    """The table without indexes, the order of its parts and what concerns migrations alone."""
    columns = (msgspec.structs.replace(one, fill=None) for one in table.columns)
    return msgspec.structs.replace(
        table,
        columns=tuple(sorted(columns, key=lambda one: one.name)),
        unique=tuple(sorted(table.unique)),
        indexes={},
        foreign_keys=tuple(sorted(table.foreign_keys, key=lambda one: one.column)),
        checks=tuple(sorted(table.checks, key=lambda one: one.name)),
    )


def _in_order(tables: Iterable[Table]) -> list[Table]:
    """The tables, each after those that it refers to, as far as they do not go in a circle."""
    waiting = {one.name: one for one in tables}
    needs = {
        name: {key.table for key in one.foreign_keys if key.table in waiting} - {name}
        for name, one in waiting.items()
    }
    followers: dict[str, list[str]] = {name: [] for name in waiting}
    for name, needed in needs.items():
        for one in needed:
            followers[one].append(name)
    ready = deque(name for name in waiting if not needs[name])
    ordered: list[Table] = []
    while waiting:
        name = ready.popleft() if ready else next(iter(waiting))
        ordered.append(waiting.pop(name))
        for one in followers[name]:
            needs[one].discard(name)
            if not needs[one] and one in waiting:
                ready.append(one)
    return ordered


def _created(table: Table, late: frozenset[str]) -> Iterator[str]:
    elements = table_elements(table, sqlite_keys=late, indent=_TWO)
    yield call("op.create_table", [quoted(table.name), *elements], indent=_ONE)
    for column, is_unique in table.indexes.items():
        yield _created_index(table.name, column, is_unique=is_unique, indent=_ONE)


def _created_index(table: str, column: str, *, is_unique: bool, indent: int) -> str:
    arguments = [key_name("ix", table, column), quoted(table), f"[{quoted(column)}]"]
    if is_unique:
        arguments.append("unique=True")
    return call("op.create_index", arguments, indent=indent)


def _dropped_index(named_after: str, column: str, table: str, *, indent: int) -> str:
    arguments = [key_name("ix", named_after, column), f"table_name={quoted(table)}"]
    return call("op.drop_index", arguments, indent=indent)


def _created_key(table: str, key: ForeignKey) -> str:
    arguments = [
        key_name("fk", table, key.column),
        quoted(table),
        quoted(key.table),
        f"[{quoted(key.column)}]",
        f"[{quoted(key.target)}]",
    ]
    return call("op.create_foreign_key", arguments, indent=_TWO)


def _drop_constraint(kind: str, table: str, name: str, indent: int) -> str:
    return call("op.drop_constraint", [name, quoted(table), f"type_={quoted(kind)}"], indent=indent)


def _update(table: str, column: str, value: str, where: str | None) -> str:
    arguments = [quoted(table), quoted(column), sql_text(value)]
    if where is not None:
        arguments.append(f"where={sql_text(where)}")
    return call("_update", arguments, indent=_TWO)


def _branches(sqlite: list[str], postgresql: list[str]) -> Iterator[str]:
    if sqlite:
        yield "    if _is_sqlite():\n"
        yield from sqlite
        if postgresql:
            yield "    else:\n"
    elif postgresql:
        yield "    if not _is_sqlite():\n"
    yield from postgresql
