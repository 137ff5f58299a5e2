"""Drafts entities from SQLAlchemy and SQLModel classes, from MetaData, and from live databases."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from lattice_lock.core.emitters.sqlmodel_tables import table_name
from lattice_lock.core.importers._described import default_value, element_from, element_type
from lattice_lock.core.importers._sql_checks import CheckReader, limit_value
from lattice_lock.core.importers._sql_syntax import Constant, SqlSyntaxError, parse_condition
from lattice_lock.core.importers.child import described
from lattice_lock.core.importers.draft import (
    UNSET,
    DraftEntity,
    Element,
    as_text,
    class_name,
    field_name,
    free_name,
    nullable,
    one_line,
)
from lattice_lock.core.type_refs import BOOL, EnumType, OptionalType, ScalarName, ScalarType
from lattice_lock.exceptions import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lattice_lock.core.importers.draft import Draft

__all__ = ["draft_database", "draft_sqlalchemy", "shown_url"]

_MISSING = re.compile(r"No module named '(?P<module>[^']+)'")
_ROW = re.compile(r"(?P<name>.+)Row")


def draft_sqlalchemy(source: str, draft: Draft, *, python: str, timeout_s: float) -> None:
    """Fill a draft from `package.module` or `path.py`, optionally `:Class` or `:metadata`.

    Raises:
        UsageError: it cannot be imported.
    """
    task = {"kind": "sqlalchemy", "source": source}
    _fill(draft, _found(task, f"`{source}`", python, timeout_s))


def draft_database(url: str, draft: Draft, *, python: str, timeout_s: float) -> None:
    """Fill a draft from the tables of a live database, which is only read.

    Raises:
        UsageError: it cannot be reached or read.
    """
    if "://" not in url:
        raise UsageError(
            "a database is named by a URL",
            hint="Write `sqlite:///app.db` or `postgresql://user@host/name`.",
        )
    task = {"kind": "database", "url": url}
    found = _found(task, f"`{shown_url(url)}`", python, timeout_s)
    for name, why in found["views"]:
        draft.leave(f"view `{name}`", "view", why)
    _fill(draft, found)


def shown_url(url: str) -> str:
    """A database URL without password and options."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    authority = rest.partition("?")[0]
    user_info, at, place = authority.rpartition("@")
    user, colon, _ = user_info.partition(":")
    return f"{scheme}://{user}{':***' if colon else ''}{at}{place}"


def _found(task: Mapping[str, str], what: str, python: str, timeout_s: float) -> dict[str, Any]:
    try:
        return described(task, what=what, python=python, timeout_s=timeout_s)
    except UsageError as error:
        missing = _MISSING.search(error.message)
        module = missing["module"].partition(".")[0] if missing else None
        if module == "sqlalchemy":
            raise UsageError(
                f"`{python}` has no SQLAlchemy, which reads {what}",
                hint="Install `lattice-lock[tables]` there, or name another with `--python`.",
            ) from error
        if module in ("psycopg", "psycopg2", "pymysql"):
            raise UsageError(
                f"`{python}` has no driver for {what}: no module `{module}`",
                hint=f"Install `{module}` there, or name another interpreter with `--python`.",
            ) from error
        raise


def _fill(draft: Draft, found: dict[str, Any]) -> None:
    names: dict[str, str] = {}
    for table in found["tables"]:
        given = table["name"]
        row = _ROW.fullmatch(given) if given else None
        if row is not None and table_name(row["name"]) == table["table"]:
            given = row["name"]  # as Lattice Lock calls the classes of rows
        name = free_name(class_name(given or table["table"]), names.values())
        names[table["table"]] = name
        if table_name(name) != table["table"]:
            draft.rename(table["place"], f"table {table['table']}", f"table {table_name(name)}")
    fields = {
        table["table"]: {
            column["column"]: field_name(column["name"]) for column in table["columns"]
        }
        for table in found["tables"]
    }
    for table in found["tables"]:
        draft.entities[names[table["table"]]] = _entity(draft, table, names, fields)


def _entity(
    draft: Draft,
    table: dict[str, Any],
    names: Mapping[str, str],
    fields: Mapping[str, Mapping[str, str]],
) -> DraftEntity:
    place = table["place"]
    entity = DraftEntity(place=place, description=as_text(table["doc"]), stored=True)
    for what, why in table["left"]:
        draft.leave(place, f"{what} of `{table['name'] or table['table']}`", why)
    columns: dict[str, str] = {}
    for column in table["columns"]:
        at = f"{place}, column `{column['column']}`"
        name = free_name(fields[table["table"]][column["column"]], entity.fields)
        draft.rename(at, f"column {column['column']}", f"column {name}")
        columns[column["column"]] = name
        entity.fields[name] = _field(draft, column, names, fields, at)
    if not any(one.primary_key for one in entity.fields.values()):
        entity.stored = False
        draft.leave(place, f"table `{table['table']}`", "a table needs a primary key")
    _read_checks(draft, table, entity, columns)
    for column in table["columns"]:
        element = entity.fields[columns[column["column"]]]
        _server_default(draft, column, element)
        if element.default is UNSET and isinstance(element.kind, OptionalType):
            element.default = None  # what a row has where nothing is said
    return entity


def _field(
    draft: Draft,
    column: dict[str, Any],
    names: Mapping[str, str],
    fields: Mapping[str, Mapping[str, str]],
    place: str,
) -> Element:
    name = column["column"]
    element = element_from(draft, column["element"], entities={}, place=place, name=name)
    for what, why in column["left"]:
        draft.leave(place, f"{what} of `{name}`", why)
    if column["null"] and not column["primary_key"]:
        element.kind = nullable(element.kind)
    element.description = as_text(column["description"])
    element.primary_key = column["primary_key"]
    element.unique = column["unique"]
    element.index = column["index"] and not column["unique"]
    if column.get("references"):
        table, target = column["references"]
        if table in names:
            element.references = (names[table], fields[table].get(target, field_name(target)))
        else:
            draft.leave(place, f"foreign key of `{name}`", f"table `{table}` is not part of it")
    if "default" in column:
        element.default = default_value(draft, element, column["default"], name)
    return element


def _read_checks(
    draft: Draft, table: dict[str, Any], entity: DraftEntity, columns: Mapping[str, str]
) -> None:
    reader = CheckReader(entity, columns, table["table"])
    checks = [one for one in table["checks"] if one["only"] != "sqlite"]
    reader.learn_types([one["sql"] for one in table["checks"]])
    # Digits before the bounds that they give a meaning to; the rest in the order of the table.
    for one in sorted(
        checks, key=lambda one: "round(" not in one["sql"] and "rtrim(" not in one["sql"]
    ):
        why = reader.read(one["sql"], one["name"])
        if why is not None:
            label = f"`{one['name']}`" if one["name"] else "without a name"
            draft.leave(entity.place, f"CHECK {label}: {one_line(one['sql'])}", why)


def _server_default(draft: Draft, column: dict[str, Any], element: Element) -> None:
    text = column.get("server_default")
    if text is None or element.default is not UNSET:
        return
    if "default" in column or str(text).startswith("nextval("):
        return
    value = _constant(text, element, is_literal=column["server_text"] and column["element"] is None)
    if value is UNSET:
        draft.leave(
            element.place,
            f"default `{one_line(text)}` of `{column['column']}`",
            "the database makes it, a lattice has plain values",
        )
    elif value is not None:
        element.default = default_value(draft, element, value, column["column"])


def _constant(text: str, element: Element, *, is_literal: bool) -> object:
    """The value of a default as SQL writes it; unset where it is computed."""
    kind = element_type(element.kind)
    try:
        tree = parse_condition(text)
    except SqlSyntaxError:
        tree = None
    value = tree.value if isinstance(tree, Constant) else UNSET
    if value is UNSET and (is_literal or (isinstance(kind, EnumType) and text in kind.values)):
        value = text
    if value is UNSET or value is None:
        return value
    if kind == BOOL:
        return {"1": True, "0": False, "true": True, "false": False}.get(str(value).lower(), UNSET)
    if isinstance(kind, ScalarType) and kind.name in (
        ScalarName.INT,
        ScalarName.DECIMAL,
        ScalarName.FLOAT,
        ScalarName.TIMEDELTA,
        ScalarName.DATE,
        ScalarName.DATETIME,
    ):
        found = limit_value(value, kind.name)
        return UNSET if found is None else found
    return f"{value}" if isinstance(value, Decimal) else value
