"""`no-direct-db-access`: SQL and database drivers outside of the modules that may use them."""

from __future__ import annotations

import ast
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from lattice_lock.policies._code_blocks import code_in, settled_code
from lattice_lock.policies._python_calls import PYTHON, Names, Places, parse
from lattice_lock.policies._sql import is_statement, may_be_statement
from lattice_lock.policies.base import (
    Case,
    Context,
    Finding,
    Hold,
    Policy,
    Scan,
    Severity,
    Subject,
    Window,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lattice_lock.policies._code_blocks import Code

__all__ = ["NoDirectDbAccess"]

_SQL = frozenset(
    {"sql", "mysql", "postgresql", "postgres", "psql", "sqlite", "plpgsql", "tsql", "plsql"}
)
_DRIVERS = frozenset(
    {
        *(
            "aiomysql",
            "aiopg",
            "aiosqlite",
            "asyncmy",
            "asyncpg",
            "cx_Oracle",
            "clickhouse_connect",
        ),
        *("clickhouse_driver", "databases", "duckdb", "mariadb", "MySQLdb", "oracledb", "peewee"),
        *("pg8000", "pony", "psycopg", "psycopg2", "pymongo", "pymssql", "pymysql", "pyodbc"),
        *("snowflake", "sqlalchemy", "sqlite3", "sqlmodel", "tortoise", "motor", "records"),
    }
)
_EXECUTES = frozenset(
    {
        *("execute", "executemany", "executescript", "exec_driver_sql", "fetch", "fetchrow"),
        *("fetchval", "fetch_all", "fetch_one", "fetch_val", "mogrify", "query", "raw", "sql"),
        *("read_sql", "read_sql_query", "text", "copy_expert", "callproc"),
    }
)


class NoDirectDbAccess(Policy, frozen=True, kw_only=True):
    """Refuses SQL that code carries, and imports of database drivers.

    SQL is what a parser of SQL takes for a statement: in strings of the syntax tree, also where
    they are joined, formatted or f-strings. Of answers, marked Python and SQL blocks are looked at.

    Attributes:
        allow_in: patterns of files that may, such as `src/repositories/*`.
        imports: whether importing a driver counts too.
    """

    name: ClassVar[str] = "no-direct-db-access"
    subjects: ClassVar[tuple[Subject, ...]] = (Subject.CODE, Subject.RESPONSE)
    defaults: ClassVar[tuple[Subject, ...]] = (Subject.CODE,)
    everywhere: ClassVar[bool] = True
    holds: ClassVar[Hold] = Hold.BLOCK
    look_behind: ClassVar[int] = 1
    rules: ClassVar[dict[str, str]] = {
        "sql": "a statement of SQL in code",
        "driver": "an import of a database driver or of an object-relational mapper",
    }
    limits: ClassVar[tuple[str, ...]] = (
        "SQL that is put together from pieces that are no statements by themselves is not seen.",
        "A sentence in capital letters can be SQL by accident: `SELECT all FROM the list`.",
        "Query builders are seen by their import alone.",
    )
    sample: ClassVar[dict[str, object]] = {"allow_in": ["src/repositories/*"]}
    cases: ClassVar[tuple[Case, ...]] = (
        Case(
            text='"""Select an option from the list."""\nHELP = "Update settings in the menu"\n',
            subject=Subject.CODE,
        ),
        Case(
            text='message = "Delete from the list what you do not want"\nprint("SELECT one")\n',
            subject=Subject.CODE,
        ),
        Case(
            text='import sqlite3\nc.execute("SELECT id FROM users")\n',
            subject=Subject.CODE,
            path="src/repositories/users.py",
        ),
        Case(
            text='rows = db.execute("select name from users where id = ?", (1,))\n',
            subject=Subject.CODE,
            rules=("sql",),
        ),
        Case(
            text='q = f"INSERT INTO {table} (a, b) VALUES ({a}, {b})"\n',
            subject=Subject.CODE,
            rules=("sql",),
        ),
        Case(
            text='q = "UPDATE users SET name = \'%s\' " + "WHERE id = %d" % (n, i)\n',
            subject=Subject.CODE,
            rules=("sql",),
        ),
        Case(
            text="import psycopg\nfrom sqlalchemy.orm import Session\n",
            subject=Subject.CODE,
            rules=("driver", "driver"),
        ),
        Case(text="You can SELECT a column FROM a table."),
        Case(text="Do it:\n```python\nprint('select')\n```\n"),
        Case(text="Do it:\n```sql\nDROP TABLE users;\n```\nnow", rules=("sql",)),
        Case(text="Do it:\n```py\ndb.execute('DELETE FROM users')\n```", rules=("sql",)),
    )

    allow_in: tuple[str, ...] = ()
    imports: bool = True

    @override
    def scan(self, window: Window, context: Context) -> Scan:
        settled = settled_code(window, context)
        if context.path and any(fnmatchcase(context.path, one) for one in self.allow_in):
            return Scan((), settled)
        found = {
            finding for code in code_in(window, context) for finding in self._of(code, context)
        }
        return Scan(tuple(sorted(found)), settled)

    def _of(self, code: Code, context: Context) -> Iterator[Finding]:
        if code.language in _SQL:
            if may_be_statement(code.text) and is_statement(code.text, certain=True):
                yield _finding("sql", code.start, code.end)
            return
        if code.language not in PYTHON or not self._may_object(code.text):
            return
        tree = parse(code.text)
        if tree is None:
            return
        del context
        names = Names(tree)
        places = Places(code)
        if self.imports:
            for name, statement in names.imports:
                if name.partition(".")[0] in _DRIVERS:
                    yield _finding("driver", *places.of(statement))
        for node in _statements(tree, names):
            yield _finding("sql", *places.of(node))

    def _may_object(self, text: str) -> bool:
        return may_be_statement(text) or (self.imports and any(one in text for one in _DRIVERS))


def _statements(tree: ast.Module, names: Names) -> Iterator[ast.expr]:
    """The outermost expressions that are statements of SQL."""
    certain = {
        id(argument)
        for call in names.calls()
        if call.name.rpartition(".")[2] in _EXECUTES
        for argument in (*call.node.args, *(one.value for one in call.node.keywords))
    }
    documentation = {
        id(node.value)
        for node in names.nodes
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    pending: list[tuple[ast.AST, bool]] = [(tree, False)]
    while pending:
        node, sure = pending.pop()
        sure = sure or id(node) in certain
        if id(node) in documentation:
            continue
        text = _text_of(node) if isinstance(node, ast.expr) else None
        if text is not None and may_be_statement(text) and is_statement(text, certain=sure):
            yield node  # type: ignore[misc]  # an expression, since it has a text
            continue
        inherits = sure and isinstance(node, ast.BinOp | ast.JoinedStr | ast.Call)
        pending += [(child, inherits) for child in ast.iter_child_nodes(node)]


def _text_of(node: ast.expr) -> str | None:
    """The text that an expression makes, with `x` for what is not known; None if it makes none."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(_text_of(one) or "x" for one in values)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            first, second = _text_of(left), _text_of(right)
            return None if first is None and second is None else f"{first or 'x'}{second or 'x'}"
        case ast.BinOp(left=left, op=ast.Mod()):
            return _text_of(left)
        case ast.Call(func=ast.Attribute(value=value, attr="format" | "strip" | "lstrip")):
            return _text_of(value)
        case ast.Call(
            func=ast.Attribute(value=ast.Constant(value=str(glue)), attr="join"),
            args=[ast.List(elts=parts) | ast.Tuple(elts=parts)],
        ):
            return glue.join(_text_of(one) or "x" for one in parts)
        case _:
            return None


def _finding(rule: str, start: int, end: int) -> Finding:
    return Finding(
        start=start,
        end=end,
        rule=rule,
        message="SQL stands in code that should not know the database."
        if rule == "sql"
        else "a database driver is imported.",
        severity=Severity.MEDIUM,
        label="CODE",
        fix="Call a repository, and keep SQL in the modules that `allow_in` names.",
    )
