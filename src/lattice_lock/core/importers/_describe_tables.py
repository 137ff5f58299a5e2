"""Describes SQLAlchemy tables as plain data; runs in the project's own interpreter.

As `_describe_models`, whose functions it is given, it is written for Python 3.9 and imports
nothing of Lattice Lock.
"""

# ruff: noqa: ANN401, PLC0415  # objects of any project, whose libraries may be absent

# objects of any project, whose libraries may be absent

from __future__ import annotations

import datetime as dt
import decimal
import enum
import inspect
import typing
import uuid
from pathlib import Path
from typing import Any

__all__ = ["describe_database", "describe_module"]

_CONNECT_S = 10
_STATEMENT_MS = 60_000
_SYNC = {"aiosqlite": "sqlite", "asyncpg": "postgresql", "aiomysql": "mysql+pymysql"}


def describe_module(module: Any, name: str | None, models: Any) -> dict[str, Any]:
    """The tables of a module's mapped classes and MetaData, or those of the one named."""
    import sqlalchemy as sa

    values = models.found_in(module, name, _is_mapped)
    if name is None:
        values += [one for one in vars(module).values() if isinstance(one, sa.MetaData)]
        bases = [
            one
            for one in vars(module).values()
            if inspect.isclass(one) and isinstance(getattr(one, "metadata", None), sa.MetaData)
        ]
        values += [one for one in bases if one.__module__ == module.__name__]
    tables: list[Any] = []
    for value in values:
        metadata = value if isinstance(value, sa.MetaData) else getattr(value, "metadata", None)
        if isinstance(value, sa.Table):
            tables.append(value)
        elif _is_mapped(value):
            tables.append(value.__table__)
        elif isinstance(metadata, sa.MetaData):
            tables += metadata.sorted_tables
        else:
            raise TypeError(f"`{name}` is neither a mapped class, a table nor a MetaData")
    tables = list({id(one): one for one in tables}.values())
    return {"tables": [_table(one, models) for one in tables], "dialect": None}


def describe_database(url: str, models: Any) -> dict[str, Any]:
    """The tables of a live database, of its default schema."""
    import sqlalchemy as sa

    engine = _engine(sa, url)
    try:
        metadata = sa.MetaData()
        with engine.connect() as connection:
            dialect = engine.dialect.name
            if dialect == "postgresql":
                connection.execute(sa.text(f"SET statement_timeout = {_STATEMENT_MS}"))
                connection.execute(sa.text("SET default_transaction_read_only = on"))
                connection.commit()
            metadata.reflect(connection)
            if dialect == "sqlite":
                _add_inline_unique(sa, connection, metadata)
            views = [[one, "a view is computed"] for one in sa.inspect(connection).get_view_names()]
    finally:
        engine.dispose()
    tables = [_table(one, models, dialect) for one in metadata.sorted_tables]
    return {"tables": tables, "dialect": dialect, "views": sorted(views)}


def _add_inline_unique(sa: Any, connection: Any, metadata: Any) -> None:
    """Add what SQLAlchemy does not see in SQLite: `UNIQUE` beside a column of a sized type."""
    inspector = sa.inspect(connection)
    for table in metadata.sorted_tables:
        known = [
            [one.name for one in constraint.columns]
            for constraint in table.constraints
            if isinstance(constraint, (sa.UniqueConstraint, sa.PrimaryKeyConstraint))
        ]
        for index in inspector.get_indexes(table.name, include_auto_indexes=True):
            names = index["column_names"]
            if index["name"].startswith("sqlite_autoindex") and names not in known:
                table.append_constraint(sa.UniqueConstraint(*names))


def _engine(sa: Any, url: str) -> Any:
    parsed = sa.make_url(url)
    backend, _, driver = parsed.drivername.partition("+")
    backend = "postgresql" if backend == "postgres" else backend
    if driver in _SYNC:
        backend, _, driver = _SYNC[driver].partition("+")
    if backend == "sqlite":
        return _sqlite(sa, parsed)
    if backend == "postgresql" and not driver:
        driver = _first_installed(("psycopg", "psycopg2", "pg8000"))
    parsed = parsed.set(drivername=backend + ("+" + driver if driver else ""))
    timeout = {"connect_timeout": _CONNECT_S} if driver in ("psycopg", "psycopg2") else {}
    return sa.create_engine(parsed, connect_args=timeout, poolclass=sa.NullPool)


def _sqlite(sa: Any, url: Any) -> Any:
    """An engine on a file that is there, which nothing can write to."""
    import sqlite3

    if not url.database or url.database == ":memory:":
        raise FileNotFoundError("a SQLite URL names a file, as sqlite:///app.db does")
    path = url.database.removeprefix("file:")
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file `{path}`")
    from urllib.parse import quote

    address = f"file:{quote(str(Path(path).resolve()))}?mode=ro"

    def connect() -> Any:
        return sqlite3.connect(address, uri=True, timeout=_CONNECT_S)

    return sa.create_engine("sqlite://", creator=connect, poolclass=sa.NullPool)


def _first_installed(names: tuple[str, ...]) -> str:
    import importlib.util

    for name in names:
        if importlib.util.find_spec(name) is not None:
            return name
    return names[0]


def _is_mapped(value: Any) -> bool:
    return inspect.isclass(value) and hasattr(value, "__mapper__") and hasattr(value, "__table__")


# Tables --------------------------------------------------------------------------------------


def _table(table: Any, models: Any, dialect: str | None = None) -> dict[str, Any]:
    import sqlalchemy as sa

    left: list[list[str]] = []
    mapper = _mapper_of(table)
    cls = None if mapper is None else mapper.class_
    attributes = {} if mapper is None else _attributes(mapper, left)
    found: dict[str, Any] = {
        "table": table.name,
        "name": None if cls is None else cls.__name__,
        "place": f"table `{table.name}`" if cls is None else models.place_of(cls),
        "doc": _document(cls) or table.comment,
        "left": left,
        "checks": [],
        "dialect": dialect,
    }
    if table.schema:
        left.append([f"schema `{table.schema}`", "a table has no schema"])
    columns = {
        one.name: _column(table, one, cls, attributes, models, dialect) for one in table.columns
    }
    for constraint in sorted(table.constraints, key=_constraint_order):
        if isinstance(constraint, sa.UniqueConstraint):
            _group(columns, "unique", constraint, left)
        elif isinstance(constraint, sa.ForeignKeyConstraint):
            _foreign_key(columns, constraint, left)
        elif isinstance(constraint, sa.CheckConstraint):
            if not getattr(constraint, "_type_bound", False):
                only = getattr(getattr(constraint, "_ddl_if", None), "dialect", None)
                text = str(constraint.sqltext)
                found["checks"].append({"name": _text(constraint.name), "sql": text, "only": only})
        elif not isinstance(constraint, sa.PrimaryKeyConstraint):
            left.append([f"constraint `{constraint.name}`", "a lattice has no form for it"])
    for index in sorted(table.indexes, key=lambda one: str(one.name)):
        plain = all(isinstance(one, sa.Column) for one in index.expressions)
        options = [one for one in index.dialect_kwargs if index.dialect_kwargs[one]]
        options = [one for one in options if not one.endswith("_include")]
        if not plain or options:
            left.append([f"index `{index.name}`", "an index has one column and no condition"])
        else:
            key = "unique" if index.unique else "index"
            _group(columns, key, index, left)
    found["columns"] = list(columns.values())
    return found


def _constraint_order(constraint: Any) -> tuple[str, str, str]:
    names = ",".join(one.name for one in getattr(constraint, "columns", ()))
    text = str(getattr(constraint, "sqltext", ""))
    return (type(constraint).__name__, names, text)


def _text(value: Any) -> str | None:
    return str(value) if isinstance(value, str) else None


def _document(cls: Any) -> str | None:
    document = None if cls is None else cls.__dict__.get("__doc__")
    if not document or document == f"A row of `{cls.__tablename__}`.":
        return None
    return inspect.cleandoc(document)


def _mapper_of(table: Any) -> Any:
    """The mapper of the one class that a table belongs to."""
    from sqlalchemy import orm

    found = [
        mapper
        for registry in orm.mapperlib._all_registries()  # noqa: SLF001  # no public list of them
        for mapper in registry.mappers
        if mapper.local_table is table and mapper.inherits is None
    ]
    return found[0] if len(found) == 1 else None


def _attributes(mapper: Any, left: list[list[str]]) -> dict[str, str]:
    """The attribute of each column; what else a class has is listed."""
    import sqlalchemy as sa

    names = {}
    for attribute in mapper.column_attrs:
        column = attribute.columns[0]
        if isinstance(column, sa.Column):
            names[column.name] = attribute.key
        else:
            left.append([f"column property `{attribute.key}`", "a field is kept, not computed"])
    for group, what, why in (
        (
            mapper.relationships,
            "relationship",
            "its foreign key says it; what it loads is a method",
        ),
        (mapper.composites, "composite", "its columns are fields"),
        (mapper.synonyms, "synonym", "a field has one name"),
    ):
        left.extend([f"{what} `{key}`", why] for key in sorted(group.keys()))
    for key, found in sorted(mapper.all_orm_descriptors.items()):
        if "hybrid" in str(getattr(found, "extension_type", "")).lower():
            left.append([f"hybrid `{key}`", "write it as a method of an interface"])
    left.extend(
        [f"class `{other.class_.__name__}`", "an entity inherits from none"]
        for other in mapper.self_and_descendants
        if other is not mapper
    )
    return names


def _group(columns: dict[str, Any], key: str, owner: Any, left: list[list[str]]) -> None:
    group = list(owner.columns)
    if len(group) == 1:
        columns[group[0].name][key] = True
    elif group:
        shown = ", ".join(one.name for one in group)
        name = f" `{owner.name}`" if owner.name else ""
        left.append([f"{key}{name} of {shown}", "a lattice has them of one field"])


def _foreign_key(columns: dict[str, Any], constraint: Any, left: list[list[str]]) -> None:
    elements = list(constraint.elements)
    if len(elements) > 1:
        shown = ", ".join(one.parent.name for one in elements)
        left.append([f"foreign key of {shown}", "a reference has one field"])
        return
    column = columns[elements[0].parent.name]
    *_, table, target = elements[0].target_fullname.split(".")
    if column.get("references"):
        left.append(
            ["second foreign key of `{}`".format(column["name"]), "a field refers to one other"]
        )
        return
    column["references"] = [table, target]
    for key in ("ondelete", "onupdate", "deferrable"):
        value = getattr(constraint, key)
        if value and str(value).upper() != "NO ACTION":
            column["left"].append(
                [f"`{key}={value}` of the foreign key", "a lattice has no form for it"]
            )


def _column(  # noqa: PLR0917  # what a column is depends on all of these
    table: Any, column: Any, cls: Any, attributes: dict[str, str], models: Any, dialect: str | None
) -> dict[str, Any]:
    left: list[list[str]] = []
    element = _element(column.type, models, dialect)
    name = attributes.get(column.name, column.name)
    info = getattr(cls, "model_fields", {}).get(name)
    description = column.comment or column.doc
    if info is not None:
        element = _with_model(element, models.element_of(info.annotation, list(info.metadata), []))
        description = description or info.description
    element.pop("null", None)
    found = {
        "name": name,
        "column": column.name,
        "element": element,
        "null": bool(column.nullable),
        "primary_key": bool(column.primary_key),
        "unique": bool(column.unique) and not column.index,
        "index": bool(column.index),
        "description": description,
        "left": left,
    }
    if column.index and column.unique:
        found.update(unique=True, index=False)
    if column.computed is not None:
        left.append(["computed value", "a field is kept, not computed"])
    elif column.identity is not None or _counts_up(table, column, dialect):
        left.append(["value that the database counts up", "whoever makes the entity gives its key"])
    _defaults(found, column, models, left)
    return found


def _counts_up(table: Any, column: Any, dialect: str | None) -> bool:
    if dialect is not None:
        default = str(getattr(getattr(column, "server_default", None), "arg", ""))
        return default.startswith("nextval(")
    return table.autoincrement_column is column


def _with_model(element: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """A column's type, told more exactly by the annotation of a SQLModel class."""
    if other["kind"] in ("json", "entity"):
        return element
    limits = {**element.get("limits", {}), **other.get("limits", {})}
    left = [one for one in element.get("left", ()) if not one[0].startswith("type ")]
    return {**other, "limits": limits, "left": [*left, *other.get("left", ())]}


def _defaults(found: dict[str, Any], column: Any, models: Any, left: list[list[str]]) -> None:
    default = column.default
    if default is not None:
        if getattr(default, "is_scalar", False):
            try:
                found["default"] = models.plain(_as_stored(default.arg, column.type))
            except (TypeError, ValueError):
                left.append(["default", "it is no plain value"])
        elif getattr(default, "is_callable", False) and _is_empty_maker(default.arg):
            found["default"] = default.arg(None)
        else:
            left.append(["default", "it is made anew each time"])
    if column.onupdate is not None:
        left.append(["`onupdate`", "a lattice has no form for it"])
    server = column.server_default
    text = getattr(server, "arg", None)
    if text is not None and "default" not in found:
        found["server_default"] = text if isinstance(text, str) else str(text)
        found["server_text"] = isinstance(text, str)


def _as_stored(value: Any, kind: Any) -> Any:
    """A default as the column holds it: of an enum the name, unless its values were chosen."""
    names = getattr(kind, "enums", None)
    if isinstance(value, enum.Enum) and names is not None and value.name in names:
        return value.name
    return value


def _is_empty_maker(function: Any) -> bool:
    """Whether a default is `list` or `dict`, which SQLAlchemy wraps."""
    return getattr(function, "__wrapped__", None) in (list, dict)


# Types ---------------------------------------------------------------------------------------


def _element(kind: Any, models: Any, dialect: str | None) -> dict[str, Any]:
    import sqlalchemy as sa

    if isinstance(kind, sa.types.TypeDecorator):
        return _decorated(kind, models, dialect)
    if isinstance(kind, sa.Enum):
        return {"kind": "enum", "values": [str(one) for one in kind.enums]}
    name = type(kind).__name__
    if isinstance(kind, sa.ARRAY):
        return {"kind": "list", "item": _element(kind.item_type, models, dialect)}
    for known, found in _kinds(sa):
        if isinstance(kind, known):
            element: dict[str, Any] = {"kind": found, "limits": {}}
            _sizes(element, kind, found, dialect)
            return element
    if isinstance(kind, (sa.Time,)) or name in (
        "INET",
        "CIDR",
        "MACADDR",
        "TSVECTOR",
        "XML",
        "CITEXT",
        "YEAR",
    ):
        return {"kind": "str", "left": [[f"type {name}", "it is kept as str"]]}
    return {
        "kind": "json",
        "left": [
            [f"type {kind if name != 'NullType' else 'unknown'}", "a lattice has no such type"]
        ],
    }


def _kinds(sa: Any) -> list[tuple[Any, str]]:
    from sqlalchemy.dialects import postgresql

    return [
        (sa.Boolean, "bool"),
        (sa.Integer, "int"),
        (sa.Float, "float"),
        (sa.Numeric, "decimal"),
        (sa.Uuid, "uuid"),
        (sa.String, "str"),
        (sa.DateTime, "datetime"),
        (sa.Date, "date"),
        (sa.Interval, "timedelta"),
        (sa.types._Binary, "bytes"),  # noqa: SLF001  # what BYTEA and BLOB have in common
        (sa.JSON, "json"),
        (postgresql.INTERVAL, "timedelta"),
    ]


def _sizes(element: dict[str, Any], kind: Any, found: str, dialect: str | None) -> None:
    limits = element["limits"]
    if found in ("str", "bytes") and getattr(kind, "length", None):
        limits["max_length"] = kind.length
    if found == "decimal":
        if not getattr(kind, "asdecimal", True):
            element["kind"] = "float"
            return
        if kind.precision is not None:
            limits["precision"] = kind.precision
            limits["scale"] = kind.scale or 0
        elif kind.scale is not None:
            limits["scale"] = kind.scale
    if found == "datetime" and not kind.timezone and dialect != "sqlite":
        element["left"] = [["time without a time zone", "a datetime of a lattice always has one"]]


def _decorated(kind: Any, models: Any, dialect: str | None) -> dict[str, Any]:
    """A type that converts: what Python sees of it, else what the database does."""
    element = _element(kind.impl_instance, models, dialect)
    element.pop("left", None)
    for cls in type(kind).__mro__:
        for base in getattr(cls, "__orig_bases__", ()):
            arguments = typing.get_args(base)
            if len(arguments) == 1 and _is_plain(arguments[0]):
                seen = models.element_of(arguments[0], [], [])
                return {
                    **seen,
                    "limits": element.get("limits", {}) if seen["kind"] == element["kind"] else {},
                }
    if not _is_named_plainly(kind):
        element["left"] = [
            [f"type `{type(kind).__name__}`", "it is kept as {}".format(element["kind"])]
        ]
    return element


def _is_plain(argument: Any) -> bool:
    known = (
        bool,
        int,
        float,
        str,
        bytes,
        decimal.Decimal,
        uuid.UUID,
        dt.date,
        dt.timedelta,
    )
    return (
        inspect.isclass(argument)
        and issubclass(argument, known)
        and not issubclass(argument, enum.Enum)
    )


def _is_named_plainly(kind: Any) -> bool:
    return type(kind).__name__ in ("AutoString", "_Choice", "_Json")
