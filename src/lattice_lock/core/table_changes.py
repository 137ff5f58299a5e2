"""From the tables of one version to those of another: what is made, dropped, renamed, changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from lattice_lock.exceptions import CompileError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lattice_lock.core.schema import Field, Lattice
    from lattice_lock.core.table_structure import Table

__all__ = ["TableChange", "TableChanges", "find_changes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TableChange:
    """A table that is there in both versions.

    Attributes:
        columns: columns that are there in both, by the name after with the name before.
    """

    before: Table
    after: Table
    columns: Mapping[str, str]

    @property
    def renamed_columns(self) -> dict[str, str]:
        """Names before with the names after, where they differ."""
        return {old: new for new, old in self.columns.items() if old != new}

    @property
    def added(self) -> tuple[str, ...]:
        """Columns that are new."""
        return tuple(one.name for one in self.after.columns if one.name not in self.columns)

    @property
    def dropped(self) -> tuple[str, ...]:
        """Columns that are gone, as they were called."""
        kept = set(self.columns.values())
        return tuple(one.name for one in self.before.columns if one.name not in kept)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableChanges:
    """What makes the tables of one version those of another; `kept` lists changed tables or not."""

    created: tuple[Table, ...]
    dropped: tuple[Table, ...]
    kept: tuple[TableChange, ...]

    def reversed(self) -> TableChanges:
        """The way back."""
        return TableChanges(
            created=self.dropped,
            dropped=self.created,
            kept=tuple(
                TableChange(
                    before=one.after,
                    after=one.before,
                    columns={old: new for new, old in one.columns.items()},
                )
                for one in self.kept
            ),
        )

    @property
    def renamed_tables(self) -> dict[str, str]:
        """Names before with the names after, where they differ."""
        return {
            one.before.name: one.after.name
            for one in self.kept
            if one.before.name != one.after.name
        }

    def brought_forward(self, change: TableChange) -> Table:
        """The table as it was, under the names that tables and columns have after."""
        names = change.renamed_columns
        targets = {one.before.name: one for one in self.kept}
        keys = []
        for key in change.before.foreign_keys:
            target = targets.get(key.table)
            keys.append(
                msgspec.structs.replace(
                    key,
                    column=names.get(key.column, key.column),
                    table=target.after.name if target else key.table,
                    target=target.renamed_columns.get(key.target, key.target)
                    if target
                    else key.target,
                )
            )
        return msgspec.structs.replace(
            change.before,
            name=change.after.name,
            entity=change.after.entity,
            columns=tuple(
                msgspec.structs.replace(one, name=names.get(one.name, one.name))
                for one in change.before.columns
            ),
            primary_key=tuple(names.get(one, one) for one in change.before.primary_key),
            unique=tuple(names.get(one, one) for one in change.before.unique),
            indexes={names.get(one, one): flag for one, flag in change.before.indexes.items()},
            foreign_keys=tuple(keys),
        )


def find_changes(before: Sequence[Table], after: Sequence[Table], lattice: Lattice) -> TableChanges:
    """What changed, with the renames that the lattice after tells.

    Raises:
        CompileError: something is said to be renamed from what was not there.
    """
    old = {one.name: one for one in before}
    new = {one.name: one for one in after}
    problems: list[Problem] = []
    kept = []
    for table in after:
        earlier = old.get(table.name) or _renamed_table(table, old, new, lattice)
        if earlier is not None:
            fields = lattice.entities[table.entity].fields
            columns = dict(_kept_columns(earlier, table, fields, problems))
            kept.append(TableChange(before=earlier, after=table, columns=columns))
    if problems:
        raise CompileError(problems)
    matched = {one.after.name for one in kept}
    came_from = {one.before.name for one in kept}
    return TableChanges(
        created=tuple(one for one in after if one.name not in matched),
        dropped=tuple(one for one in before if one.name not in came_from),
        kept=tuple(kept),
    )


def _renamed_table(
    table: Table, old: Mapping[str, Table], new: Mapping[str, Table], lattice: Lattice
) -> Table | None:
    former = lattice.entities[table.entity].renamed_from
    if former is None:
        return None
    return next((one for one in old.values() if one.entity == former and one.name not in new), None)


def _kept_columns(
    before: Table, after: Table, fields: Mapping[str, Field], problems: list[Problem]
) -> Iterator[tuple[str, str]]:
    for column in after.columns:
        field = fields[column.name]
        if before.column(column.name) is not None:
            yield column.name, column.name
        elif field.renamed_from is not None:
            if before.column(field.renamed_from) is not None:
                yield column.name, field.renamed_from
            else:
                there = ", ".join(f"`{one.name}`" for one in before.columns)
                problems.append(
                    Problem(
                        location=field.location,
                        message=f"`{field.name}` was renamed from `{field.renamed_from}`, which"
                        f" the table `{before.name}` does not have.",
                        hint=f"It has {there}; name one of them or leave out `renamed_from`.",
                    )
                )
