"""Pieces of the text of an Alembic revision: elements of tables, and calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from lattice_lock.core.emitters.python_text import LINE_LENGTH, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from lattice_lock.core.table_structure import Check, Column, ForeignKey, Table

__all__ = [
    "HELPERS",
    "TYPES",
    "call",
    "check_texts",
    "column_text",
    "foreign_key_text",
    "key_name",
    "literal_column",
    "sa_type",
    "sql_text",
    "table_elements",
]

Dialect: TypeAlias = Literal["postgresql", "sqlite"]

TYPES: Final[Mapping[str, str]] = {
    "_DECIMAL": 'sa.Numeric().with_variant(sa.Text(collation="decimal"), "sqlite")',
    "_MOMENT": 'sa.DateTime(timezone=True).with_variant(sa.DateTime(), "sqlite")',
    "_JSON": 'sa.JSON().with_variant(sa.Text(), "sqlite")',
}
"""Types that the two databases have under other names."""

_SA_TYPES: Final[Mapping[str, str]] = {
    "str": "sa.Text()",
    "int": "sa.BigInteger()",
    "decimal": "_DECIMAL",
    "float": "sa.Double()",
    "bool": "sa.Boolean()",
    "uuid": "sa.Uuid()",
    "date": "sa.Date()",
    "datetime": "_MOMENT",
    "timedelta": "sa.BigInteger()",
    "bytes": "sa.LargeBinary()",
    "json": "_JSON",
}

HELPERS: Final[Mapping[str, str]] = {
    "_is_sqlite": """def _is_sqlite() -> bool:
    return op.get_context().dialect.name == "sqlite"
""",
    "_checks": '''\
def _checks(*checks: tuple[str, ...]) -> list[sa.CheckConstraint]:
    """Constraints by name and condition, or by name, that of PostgreSQL and that of SQLite."""
    texts = [(one[0], one[-1] if _is_sqlite() else one[1]) for one in checks]
    return [sa.CheckConstraint(sa.literal_column(text), op.f(name)) for name, text in texts if text]
''',
    "_update": '''\
def _update(table: str, column: str, value: str, where: str | None = None) -> None:
    """Give rows a value, in SQL: all of them, or those that meet a condition."""
    statement = sa.table(table, sa.column(column)).update()
    if where is not None:
        statement = statement.where(sa.literal_column(where))
    op.execute(statement.values({column: sa.literal_column(value)}))
''',
    "_rename": '''\
def _rename(kind: str, table: str, was: str, now: str) -> None:
    """Give a constraint or an index of PostgreSQL another name."""
    names = op.get_context().dialect.identifier_preparer
    if kind == "INDEX":
        old, new = map(names.truncate_and_render_index_name, (was, now))
        op.execute(f"ALTER INDEX {old} RENAME TO {new}")
    else:
        old, new = map(names.truncate_and_render_constraint_name, (was, now))
        op.execute(f"ALTER TABLE {names.quote(table)} RENAME CONSTRAINT {old} TO {new}")
''',
    "_rebuild": '''\
def _rebuild(
    table: str, was: list[str], copied: dict[str, str], *elements: sa.schema.SchemaItem
) -> None:
    """Replace a table, which SQLite cannot change, by one with these elements and its rows.

    `was` names the columns that it has, `copied` says in SQL what columns of the new one hold.
    """
    if not op.get_context().as_sql:
        there = [one["name"] for one in sa.inspect(op.get_bind()).get_columns(table)]
        if sorted(there) != sorted(was):
            raise ValueError(f"`{table}` should have the columns {was}, but has {there}")
    op.create_table(f"_new_{table}", *elements)
    new = sa.table(f"_new_{table}", *map(sa.column, copied))
    values = sa.select(*map(sa.literal_column, copied.values())).select_from(sa.table(table))
    op.execute(new.insert().from_select(list(copied), values))
    op.drop_table(table)
    op.rename_table(f"_new_{table}", table)
''',
}
"""Functions that a revision may need, each after those that it calls."""


def sa_type(kind: str) -> str:
    """The type of a column as SQLAlchemy calls it."""
    return _SA_TYPES[kind]


def key_name(prefix: str, table: str, *columns: str) -> str:
    """Text of the name that the naming convention of the tables gives a constraint or an index."""
    return f"op.f({quoted('_'.join((prefix, table, *columns)))})"


def sql_text(sql: str) -> str:
    """SQL as a string literal with as few backslashes as can be."""
    plain = sql.isprintable() and "\\" not in sql and "'" not in sql
    return f"'{sql}'" if plain and '"' in sql else quoted(sql)


def literal_column(sql: str) -> str:
    """SQL as it is: colons in it are no parameters."""
    return f"sa.literal_column({sql_text(sql)})"


def call(function: str, arguments: Iterable[str], *, indent: int, end: str = "\n") -> str:
    """A call on one line, or with each argument on its own where that is too long."""
    space, arguments = " " * indent, list(arguments)
    line = f"{space}{function}({', '.join(arguments)})"
    # A comma or a colon may follow.
    if len(line) < LINE_LENGTH and "\n" not in line:
        return f"{line}{end}"
    inner = "".join(f"{space}    {one},\n" for one in arguments)
    return f"{space}{function}(\n{inner}{space}){end}"


def column_text(
    column: Column, *, indent: int, is_nullable: bool | None = None, is_key: bool = False
) -> str:
    """`sa.Column(...)`.

    Args:
        column: what is made.
        indent: of the call.
        is_nullable: for now, where the column does not yet have its values.
        is_key: whether it is part of the primary key, which numbers itself unless told otherwise.
    """
    nullable = column.nullable if is_nullable is None else is_nullable
    arguments = [quoted(column.name), sa_type(column.type), f"nullable={nullable}"]
    if is_key and sa_type(column.type) == "sa.BigInteger()":
        arguments.append("autoincrement=False")
    if column.default is not None:
        arguments.append(f"server_default={literal_column(column.default)}")
    return call("sa.Column", arguments, indent=indent, end="").lstrip()


def foreign_key_text(key: ForeignKey, table: str, *, indent: int) -> str:
    """`sa.ForeignKeyConstraint(...)`."""
    target = quoted(f"{key.table}.{key.target}")
    name = f"name={key_name('fk', table, key.column)}"
    arguments = [f"[{quoted(key.column)}]", f"[{target}]", name]
    return call("sa.ForeignKeyConstraint", arguments, indent=indent, end="").lstrip()


def check_texts(
    checks: Iterable[Check], *, indent: int, dialect: Dialect | None = None
) -> Iterator[str]:
    """Arguments of `_checks`: for one database alone where it is named."""
    for check in checks:
        if dialect is not None:
            texts = [getattr(check, dialect)]
        elif check.postgresql == check.sqlite:
            texts = [check.sqlite]
        else:
            texts = [check.postgresql, check.sqlite]
        if any(texts):
            yield call("", map(sql_text, [check.name, *texts]), indent=indent, end="").lstrip()


def table_elements(
    table: Table,
    *,
    indent: int,
    sqlite_keys: frozenset[str] = frozenset(),
    dialect: Dialect | None = None,
) -> Iterator[str]:
    """Arguments of `op.create_table` after the name, indexes left out.

    Args:
        table: what is made.
        indent: of the arguments.
        sqlite_keys: columns whose foreign key PostgreSQL gets later.
        dialect: the one database that it is made for, if there is but one.
    """
    for column in table.columns:
        yield column_text(column, indent=indent, is_key=column.name in table.primary_key)
    columns = ", ".join(map(quoted, table.primary_key))
    yield f"sa.PrimaryKeyConstraint({columns}, name={key_name('pk', table.name)})"
    for column_name in table.unique:
        name = key_name("uq", table.name, column_name)
        yield f"sa.UniqueConstraint({quoted(column_name)}, name={name})"
    for key in table.foreign_keys:
        text = foreign_key_text(key, table.name, indent=indent)
        yield f"*([{text}] if _is_sqlite() else [])" if key.column in sqlite_keys else text
    texts = list(check_texts(table.checks, indent=indent + 4, dialect=dialect))
    if texts:
        yield call("*_checks", texts, indent=indent, end="").lstrip()
