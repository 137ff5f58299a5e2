"""A project whose lattice changes, and the databases that its migrations run on."""

from __future__ import annotations

import io
import re
import sys
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext

from compiled_modules import imported_modules
from lattice_lock.core.workspace import open_workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import ModuleType

    import pytest

__all__ = ["Database", "MigratedProject", "Rows", "lattice_text", "tables_of"]

Rows = dict[str, list[dict[str, Any]]]
"""Table to rows; tables in an order in which they can be filled."""

_HEAD = "version: {version}\ngenerated_module: types_v1\nconfig: {{migrations: migrations}}\n"
_TAIL = """\
interfaces:
  INothing:
    file: src/services/nothing.py
    methods:
      nothing: {params: {n: int}, returns: int, ensures: ["result == n"]}
"""


def lattice_text(entities: str, *, version: str = "v1.0") -> str:
    """A lattice with migrations and these entities, each with a table unless it says otherwise."""
    lines = []
    for line in entities.strip("\n").splitlines():
        lines.append(f"  {line}")
        if re.fullmatch(r"\w+:", line) and "persistence" not in entities:
            lines.append("    persistence: table")
    return f"{_HEAD.format(version=version)}entities:\n" + "\n".join(lines) + f"\n{_TAIL}"


@dataclass(frozen=True)
class MigratedProject:
    """A project in `root`, whose Alembic reads `DATABASE_URL`."""

    root: Path
    monkeypatch: pytest.MonkeyPatch

    def compile(self, text: str, *, allow_drop: bool = False) -> tuple[str, ...]:
        """Make `text` the lattice and compile; the paths that changed."""
        (self.root / "lattice.yaml").write_text(text, encoding="utf-8")
        workspace = open_workspace(self.root)
        return workspace.project.write_files(workspace.plan(allow_drop=allow_drop))

    @property
    def revisions(self) -> list[Path]:
        """The files of all revisions, oldest first."""
        return sorted((self.root / "migrations" / "versions").glob("*.py"))

    def upgrade(self, database: Database, revision: str = "head") -> None:
        """`alembic upgrade`."""
        self.monkeypatch.setenv("DATABASE_URL", database.url)
        self.alembic(command.upgrade, revision)

    def downgrade(self, database: Database, revision: str = "-1") -> None:
        """`alembic downgrade`."""
        self.monkeypatch.setenv("DATABASE_URL", database.url)
        self.alembic(command.downgrade, revision)

    def alembic(self, act: Callable[..., None], *arguments: str, **options: bool) -> str:
        """Run a command of Alembic as its command line would, and return what it printed."""
        before, path = dict(sys.modules), list(sys.path)
        printed = io.StringIO()
        try:
            config = Config(self.root / "alembic.ini", output_buffer=printed)
            act(config, *arguments, **options)
        finally:
            sys.path[:] = path
            for name in sys.modules.keys() - before.keys():
                if name.partition(".")[0] in {"shared", "lattice_env"}:
                    del sys.modules[name]
        return printed.getvalue()


@dataclass(frozen=True)
class Database:
    """One of the two databases, and how to see all of it."""

    url: str
    prepare: Callable[[], str] = field(repr=False)

    @contextmanager
    def connected(self, tables: ModuleType) -> Iterator[sa.Connection]:
        """A connection as the application would have it."""
        engine = tables.prepare_engine(sa.create_engine(self.url))
        try:
            with engine.begin() as connection:
                yield connection
        finally:
            engine.dispose()

    def fill(self, tables: ModuleType, rows: Rows) -> None:
        """Insert rows."""
        with self.connected(tables) as connection:
            for name, values in rows.items():
                for one in values:
                    connection.execute(tables.metadata.tables[name].insert(), one)

    def rows(self, tables: ModuleType) -> Rows:
        """Every row of every table that is not empty, ordered by its key."""
        found: Rows = {}
        with self.connected(tables) as connection:
            for name, table in tables.metadata.tables.items():
                statement = table.select().order_by(*table.primary_key.columns)
                rows = [dict(one) for one in connection.execute(statement).mappings()]
                if rows:
                    found[name] = rows
        return found

    def differences(self, tables: ModuleType) -> list[Any]:
        """What Alembic would change."""
        with self.connected(tables) as connection, warnings.catch_warnings():
            # Alembic would like tables sorted, which those in a circle cannot be.
            warnings.filterwarnings("ignore", "Cannot correctly sort tables", sa.exc.SAWarning)
            options = {"compare_type": True, "compare_server_default": True}
            context = MigrationContext.configure(connection, opts=options)
            found: list[Any] = compare_metadata(context, tables.metadata)
            return found

    def schema(self) -> list[str]:
        """Every table, column, constraint and index in the database's own words, sorted."""
        engine = sa.create_engine(self.url)
        try:
            with engine.connect() as connection:
                lite = connection.dialect.name == "sqlite"
                return _sqlite_schema(connection) if lite else _postgresql_schema(connection)
        finally:
            engine.dispose()

    def fresh(self, tables: ModuleType) -> list[str]:
        """The schema of another, empty database in which the tables were made at once."""
        other = Database(self.prepare(), self.prepare)
        with other.connected(tables) as connection:
            tables.metadata.create_all(connection)
        return other.schema()


def _sqlite_schema(connection: sa.Connection) -> list[str]:
    statements = connection.exec_driver_sql(
        "SELECT tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL"
    )
    lines: list[str] = []
    for table, sql in statements:
        if table != "alembic_version":
            # Names in quotes, or not, by who wrote them.
            parts = re.sub(r'"(\w+)"', r"\1", sql).splitlines()
            lines += (f"{table}: {one.strip().rstrip(',')}" for one in parts)
    return sorted(lines)


_POSTGRESQL = """
SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid)
FROM pg_constraint WHERE connamespace = current_schema()::regnamespace
UNION ALL
SELECT a.attrelid::regclass || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
    || ' ' || a.attnotnull || ' ' || coalesce(pg_get_expr(d.adbin, d.adrelid), '')
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
LEFT JOIN pg_attrdef d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum)
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'
    AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT replace(indexdef, current_schema() || '.', '') FROM pg_indexes
WHERE schemaname = current_schema()
"""


def _postgresql_schema(connection: sa.Connection) -> list[str]:
    lines = connection.exec_driver_sql(_POSTGRESQL).scalars()
    return sorted(one for one in lines if "alembic_version" not in one)


@contextmanager
def tables_of(text: str) -> Iterator[ModuleType]:
    """The generated tables of a lattice, imported."""
    with imported_modules(text.replace("config: {migrations: migrations}\n", "")) as modules:
        yield modules["shared.types_v1_tables"]
