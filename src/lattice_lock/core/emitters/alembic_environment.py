"""What Alembic needs beside the revisions: `alembic.ini`, `env.py`, and a module for `env.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lattice_lock.core.emitters.python_text import header
from lattice_lock.core.emitters.sqlmodel_tables import (
    DECIMAL_FUNCTIONS,
    stored_entities,
    tables_module,
)

if TYPE_CHECKING:
    from lattice_lock.core.schema import Lattice

__all__ = ["emit_environment", "emit_environment_scaffolds", "environment_path"]


def environment_path(folder: str) -> str:
    """Where the generated module for `env.py` stands."""
    return f"{folder}/lattice_env.py"


def emit_environment(lattice: Lattice) -> str:
    """Text of the generated module from which `env.py` takes tables and connections."""
    about = f"What `env.py` needs to migrate the tables of the lattice, as of {lattice.version}."
    if stored_entities(lattice):
        own, made = f"\n\nfrom {tables_module(lattice)} import metadata", ""
    else:
        own, made = "", "metadata = sa.MetaData()\n\n\n"
    head = f"{header(lattice, about)}\n{_IMPORTS}{own}\n\n{_EXPORTS}\n\n"
    return f"{head}{made}{_CODE}{DECIMAL_FUNCTIONS}"


_IMPORTS = """from contextlib import contextmanager
from decimal import MAX_PREC, Decimal, localcontext
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa"""

_EXPORTS = """if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ensure_references", "metadata", "open_connection"]
"""

_CODE = '''@contextmanager
def open_connection(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A connection whose transactions cover changes of tables, in SQLite too.

    SQLite keeps no foreign keys on it, because a table that is replaced is gone for a moment;
    `ensure_references` looks at them instead.
    """
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _prepare_connection)
        sa.event.listen(engine, "begin", _begin)
    with engine.connect() as connection:
        yield connection


def ensure_references(connection: sa.Connection) -> None:
    """Refuse, while everything can be undone, rows of SQLite that refer to no row."""
    if connection.dialect.name != "sqlite":
        return
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    if broken:
        rows = ", ".join(sorted({f"`{table}` to `{target}`" for table, _, target, _ in broken}))
        raise ValueError(f"{len(broken)} rows refer to rows that are not there: {rows}")


def _prepare_connection(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.create_collation("decimal", _compare)
    for function in (decimal_add, decimal_sub, decimal_mul, decimal_cmp, is_multiple):
        connection.create_function(function.__name__, 2, function, deterministic=True)


def _begin(connection: sa.Connection) -> None:
    # By itself, sqlite3 begins at the first change of a row: too late for what changes tables.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


'''


def emit_environment_scaffolds(lattice: Lattice) -> dict[str, str]:
    """Path to text of what is written once for a person to change; none without migrations."""
    folder = lattice.config.migrations
    if folder is None:
        return {}
    root = lattice.config.source_root
    paths = [f"%(here)s/{folder}", "%(here)s" if root == "." else f"%(here)s/{root}"]
    return {
        "alembic.ini": _INI.format(folder=folder, paths="\n    ".join(paths)),
        f"{folder}/env.py": _ENV,
        f"{folder}/script.py.mako": _TEMPLATE,
    }


_INI = """\
# How Alembic finds the migrations; written once by Lattice Lock, yours to change.
# The database is the one that DATABASE_URL names, or else `sqlalchemy.url` here.

[alembic]
script_location = %(here)s/{folder}
prepend_sys_path =
    {paths}
path_separator = newline
"""

_ENV = '''"""How Alembic reaches the database; written once by Lattice Lock, yours to change."""

from __future__ import annotations

import os

from alembic import context
from alembic.util import CommandError
from sqlalchemy import create_engine

from lattice_env import ensure_references, metadata, open_connection


def database_url() -> str:
    """The database to migrate."""
    url = os.environ.get("DATABASE_URL") or context.config.get_main_option("sqlalchemy.url")
    if not url:
        raise CommandError("Set DATABASE_URL, such as `sqlite:///app.db`, and run this again.")
    return url


def write_statements() -> None:
    """Print the SQL instead of running it, for `--sql`."""
    context.configure(url=database_url(), target_metadata=metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()


def run_statements() -> None:
    """Run all migrations that were asked for, or none."""
    engine = create_engine(database_url())
    try:
        with open_connection(engine) as connection:
            context.configure(
                connection=connection,
                target_metadata=metadata,
                transactional_ddl=True,
                compare_type=True,
                compare_server_default=True,
            )
            with context.begin_transaction():
                context.run_migrations()
                ensure_references(connection)
    finally:
        engine.dispose()


if context.is_offline_mode():
    write_statements()
else:
    run_statements()
'''

_TEMPLATE = '''"""${message}

Revision ID: ${up_revision}
Revises: ${down_revision | comma,n}
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
'''
