"""Tables hold what their types hold: each constraint, on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
import math
import random
import re
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from hypothesis import HealthCheck, given, settings
from pydantic import ValidationError
from sqlmodel import Session, select

from compiled_modules import imported_modules
from lattice_lock.core._constraints import CONSTRAINT_KEYS, _applies
from lattice_lock.core.compiler import compile_lattice
from lattice_lock.core.expressions import evaluate
from lattice_lock.core.loader import parse_lattice
from lattice_lock.core.schema import Constraints
from lattice_lock.core.type_refs import (
    DictType,
    EnumType,
    ListType,
    OptionalType,
    ScalarName,
    ScalarType,
)
from lattice_lock.exceptions import UnsupportedByTargetError
from lattice_lock.gauntlet.runner import GauntletRequest, run_contracts

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    from lattice_lock.core.schema import Entity
    from lattice_lock.core.type_refs import TypeRef

_NUMBERS = count()

KINDS: dict[str, TypeRef] = {
    **{one.value: ScalarType(one) for one in ScalarName},
    "enum": EnumType("E", ("a", "it's", "ünïted")),
    "list": ListType(ScalarType(ScalarName.INT)),
    "dict": DictType(ScalarType(ScalarName.INT)),
}
"""Every type that a column may have."""

_BOUNDS = {
    "int": "6",
    "decimal": "'1.50'",
    "float": "0.1",
    "date": "2024-02-29",
    "datetime": "'2024-02-29T12:00:00.000001+02:00'",
    "timedelta": "PT1H0.000001S",
}
_STEPS = {"int": "3", "decimal": "'0.05'"}
_PATTERNS = (r"[A-Z]{2}\-?[0-9]+", r"a|bc*?|", r"^[^@\s]+@(?:x|y\.)$", ".", r"'[\"%:]\\?")

# Which constraints no database can express, with the type that has them.
REFUSED = {("unique_items", "list"), ("min_length", "dict"), ("max_length", "dict")}


def _samples(key: str, kind: str) -> tuple[str, ...]:
    """Values, as YAML, to try a constraint with; a new constraint has none and fails the test."""
    match key:
        case "gt" | "ge" | "lt" | "le":
            return (_BOUNDS[kind],)
        case "multiple_of":
            return (_STEPS[kind],)
        case "precision":
            return ("3", "3, scale: 2", "2, scale: 2", "20, scale: 0")
        case "scale":
            return ("0", "2")
        case "min_length" | "max_length":
            return ("0", "2")
        case "pattern":
            return tuple(map(json.dumps, _PATTERNS))
        case "unique_items":
            return ("true",)
    raise KeyError(key)


def _declared(kind: str) -> str:
    return {"list": "list[int]", "dict": "dict[str, int]"}.get(kind, kind)


def _specs() -> Iterator[tuple[str, str]]:
    """Kind and declaration of one field for each constraint, null allowed and not."""
    for kind, reference in KINDS.items():
        base = 'enum: [a, "it\'s", ünïted]' if kind == "enum" else f"type: '{_declared(kind)}'"
        nullable = (
            'type: enum | null, enum: [a, "it\'s", ünïted]'
            if kind == "enum"
            else f"type: '{_declared(kind)} | null'"
        )
        yield kind, f"{{{base}}}"
        yield kind, f"{{{nullable}}}"
        for key in CONSTRAINT_KEYS:
            if _applies(key, reference) and (key, kind) not in REFUSED:
                for sample in _samples(key, kind):
                    yield kind, f"{{{base}, {key}: {sample}}}"
                yield kind, f"{{{nullable}, {key}: {_samples(key, kind)[0]}}}"


SPECS = list(_specs())


# Values on both sides of every limit -------------------------------------------------------------

_TEXTS = (
    *(
        "",
        " ",
        "a",
        "ab",
        "abc",
        "ä",
        "äö",
        "äöü",
        "\U0001f600",
        "\U0001f600" * 2,
        "\U0001f600" * 3,
    ),
    *(
        "e\u0301",
        "AB-1",
        "AB1",
        "AB12\n",
        "AB\n12",
        "ÄB12",
        "AB\u0661",
        "AB",
        "b",
        "bc",
        "bcc",
        "bd",
    ),
    *(
        "a@x",
        "a@y.",
        "a@yz",
        "a b@x",
        "a\u00a0@x",
        "a\u200b@x",
        "a\x1c@x",
        "@x",
        "a@@x",
        "\n",
        "\r",
    ),
    *("'\"", "'%", "':\\", "'\\", "it's", "''", "\u2028", "x" * 5000, "\0", "a\0", "\ud800"),
)


_DECIMALS = (
    *("0", "-0", "0.00", "1", "-1", "9", "10", "99", "100", "999", "1000", "12.3", "12.34"),
    *(
        "1.234",
        "0.99",
        "0.999",
        "0.001",
        "0.0010",
        "-0.99",
        "-9.99",
        "-10",
        "0.05",
        "0.07",
        "1.050",
    ),
    *("1E+2", "1.0E+3", "1E-30", "123456789012345678901234567890.5", "99999999999999999999"),
    *("100000000000000000000", "NaN", "Infinity", "-Infinity"),
)


def _around(limits: Constraints, kind: str) -> Iterator[Any]:
    """Every limit itself and its nearest neighbours."""
    for name in ("gt", "ge", "lt", "le"):
        bound: Any = getattr(limits, name)
        if bound is None:
            continue
        match kind:
            case "int":
                yield from (int(bound) - 1, int(bound), int(bound) + 1)
            case "decimal":
                tiny = Decimal("1E-25")
                yield from (bound - tiny, bound, bound + tiny, bound.normalize(), -bound)
            case "float":
                at = float(bound)
                yield from (math.nextafter(at, -math.inf), at, math.nextafter(at, math.inf))
            case "date":
                yield from (bound + timedelta(days=step) for step in (-1, 0, 1))
            case _:
                yield from (bound + timedelta(microseconds=step) for step in (-1, 0, 1))


def _extremes(kind: str) -> tuple[Any, ...]:
    far = timezone(timedelta(hours=14))
    pools: dict[str, tuple[Any, ...]] = {
        "str": _TEXTS,
        "int": (0, 1, -1, 3, 4, -3, 2**63 - 1, 2**63, -(2**63), 1 - 2**63, 10**30),
        "decimal": tuple(map(Decimal, _DECIMALS)),
        "float": (0.0, -0.0, 1e308, -1e308, 5e-324, math.inf, -math.inf, math.nan, 0.1 + 0.2),
        "bool": (True, False),
        "uuid": (UUID(int=0), UUID(int=2**128 - 1), uuid4()),
        "date": (date.min, date.max, date(2024, 2, 29), date(999, 1, 1)),
        "datetime": (
            datetime(1, 1, 1, tzinfo=UTC),
            datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
            datetime(2024, 2, 29, 23, 59, tzinfo=far),
            datetime(999, 1, 1, tzinfo=UTC),
        ),
        "timedelta": (
            timedelta(),
            timedelta(microseconds=-1),
            timedelta(microseconds=2**63 - 1),
            timedelta(microseconds=2**63),
            timedelta.max,
            timedelta.min,
        ),
        "bytes": (b"", b"\0", b"\0\0", b"\xff" * 3, b"ab"),
        "json": (0, 1.5, "", "5", [], {}, True, [None, {"a": ["ä'"]}], 10**25),
        "enum": ("a", "it's", "ünïted", "A", "", "a "),
        "list": ([], [1], [1, 1], [1, 2, 3]),
        "dict": ({}, {"a": 1}, {"a": 1, "ä'": 2}),
    }
    return (*pools[kind], None)


def _stored(value: Any, column: Column, dialect: str) -> Any:
    """A value as a person would write it into a column by hand."""
    if value is None and (column.nullable or column.kind != "json"):
        return None
    lite = dialect == "sqlite"
    match column.kind:
        case "json" | "list" | "dict":
            return json.dumps(value)
        case "timedelta":
            return value // timedelta(microseconds=1)
        case "decimal":
            return format(value, "f") if lite else value
        case "uuid":
            return value.hex if lite else value
        case "date":
            return value.isoformat() if lite else value
        case "datetime" if lite:
            moment = value.astimezone(UTC).replace(tzinfo=None)
            return moment.isoformat(sep=" ", timespec="microseconds")
        case _:
            return value


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of the matrix."""

    name: str
    kind: str
    limits: Constraints
    nullable: bool

    def values(self) -> list[Any]:
        """What to try."""
        return [*_extremes(self.kind), *_around(self.limits, self.kind)]


@pytest.fixture(scope="module")
def matrix() -> Iterator[SimpleNamespace]:
    """A lattice with one table for each spec, its modules, and its columns."""
    text = f"version: v1.0\ngenerated_module: matrix_{next(_NUMBERS)}\nentities:\n"
    for number, (_, spec) in enumerate(SPECS):
        text += f"  T{number}:\n    persistence: table\n    fields:\n"
        text += f"      id: {{type: int, primary_key: true}}\n      value: {spec}\n"
    text += "interfaces:\n  IShop:\n    file: src/services/shop.py\n    methods:\n"
    for number in range(len(SPECS)):
        text += f"      m{number}: {{params: {{item: T{number}}}, returns: null}}\n"
    lattice = parse_lattice(text, file="lattice.yaml")
    columns = [
        Column(
            name=f"T{number}",
            kind=kind,
            limits=lattice.entities[f"T{number}"].fields["value"].constraints,
            nullable=isinstance(lattice.entities[f"T{number}"].fields["value"].type, OptionalType),
        )
        for number, (kind, _) in enumerate(SPECS)
    ]
    with imported_modules(text) as modules:
        name = f"shared.{lattice.generated_module}"
        yield SimpleNamespace(
            types=modules[name],
            tables=modules[f"{name}_tables"],
            contracts=modules["test_i_shop"],
            columns=columns,
        )


@pytest.fixture
def postgres_url(postgres_connection: socket.socket) -> Iterator[sa.URL]:
    """An empty schema in PostgreSQL, dropped again."""
    host, port = postgres_connection.getpeername()[:2]
    schema = f"tables_{uuid4().hex}"
    url = sa.URL.create("postgresql+psycopg", "postgres", host=host, port=port, database="test")
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text(f"CREATE SCHEMA {schema}"))
    yield url.update_query_dict({"options": f"-csearch_path={schema}"})
    with engine.begin() as connection:
        connection.execute(sa.text(f"DROP SCHEMA {schema} CASCADE"))


@pytest.fixture(params=["sqlite", "postgresql"])
def open_engine(request: pytest.FixtureRequest) -> Iterator[Callable[..., sa.Engine]]:
    """Opens a database with the named or all empty tables of a module, on each of the two."""
    engines = []

    def opened(tables: Any, *names: str) -> sa.Engine:
        url = "sqlite://"
        if request.param == "postgresql":
            url = request.getfixturevalue("postgres_url")
        engine = sa.create_engine(url)
        engines.append(engine)
        tables.prepare_engine(engine)
        known = tables.metadata.tables
        tables.metadata.create_all(engine, [known[name] for name in names] or None)
        return engine

    yield opened
    for engine in engines:
        engine.dispose()


def _accepts(make: Callable[..., Any], value: Any) -> bool:
    try:
        make(id=1, value=value)
    except ValueError:
        return False
    return True


def _insertion(column: Column, dialect: str) -> sa.TextClause:
    marker = ":value"
    if dialect == "postgresql" and column.kind in {"json", "list", "dict"}:
        marker = "CAST(:value AS JSON)"
    return sa.text(f"INSERT INTO {column.name.lower()} VALUES (:id, {marker})")  # noqa: S608 -- ours


def _database_accepts(connection: sa.Connection, column: Column, value: Any) -> bool:
    """Whether a row written by hand, past every class, gets in."""
    dialect = connection.dialect.name
    values = {"id": 1, "value": _stored(value, column, dialect)}
    try:
        with connection.begin_nested() as savepoint:
            connection.execute(_insertion(column, dialect), values)
            savepoint.rollback()
    except (sa.exc.IntegrityError, sa.exc.DataError, OverflowError, UnicodeEncodeError):
        return False
    return True


def _differs_by_nature(value: Any, column: Column, dialect: str) -> bool:
    """What docs/reference/tables.md lists as beyond the reach of a database."""
    limits = column.limits
    if value == 0 and limits.precision is not None and limits.precision == limits.scale:
        return True  # Pydantic takes 0.00 and refuses 0, which are one number
    return value != value and dialect == "sqlite"  # noqa: PLR0124 -- NaN, which SQLite calls null


def test_the_matrix_knows_every_constraint() -> None:
    """A constraint or type that is added to the format is in the matrix or fails here."""
    assert {one.name for one in fields(Constraints)} == set(CONSTRAINT_KEYS)
    applied = {
        (key, kind)
        for kind, reference in KINDS.items()
        for key in CONSTRAINT_KEYS
        if _applies(key, reference)
    }
    tried = {(key, kind) for kind, spec in SPECS for key in CONSTRAINT_KEYS if f"{key}:" in spec}
    assert tried | REFUSED == applied


@pytest.mark.parametrize(("key", "kind"), sorted(REFUSED))
def test_a_constraint_that_no_database_has_is_refused(key: str, kind: str) -> None:
    """It is an error with its place, never left out."""
    text = _lattice(
        f"{{id: {{type: int, primary_key: true}}, value: {{type: '{_declared(kind)}',"
        f" {key}: {_samples(key, kind)[0]}}}}}"
    )
    with pytest.raises(UnsupportedByTargetError, match=rf"lattice\.yaml:6:\d+: `{key}` of `value`"):
        compile_lattice(parse_lattice(text, file="lattice.yaml"))


def test_model_row_and_database_agree_on_every_value(
    matrix: SimpleNamespace, open_engine: Callable[..., sa.Engine]
) -> None:
    """The type, the row where it is made, and the database take and refuse the same values."""
    disagreements = []
    tried = {True: 0, False: 0}
    with open_engine(matrix.tables).connect() as connection:
        for column, (_, spec) in zip(matrix.columns, SPECS, strict=True):
            for value in column.values():
                if _differs_by_nature(value, column, connection.dialect.name):
                    continue
                model = _accepts(getattr(matrix.types, column.name), value)
                row = _accepts(getattr(matrix.tables, f"{column.name}Row"), value)
                database = _database_accepts(connection, column, value)
                tried[model] += 1
                if not model == row == database:
                    disagreements.append((spec, value, model, row, database))
    assert not disagreements, "\n".join(map(str, disagreements))
    assert min(tried.values()) > len(SPECS)


_GARBAGE: dict[str, tuple[Any, ...]] = {
    "str": (b"a",),
    "int": ("x", 1.5, b"1", ""),
    "decimal": ("x", "", "1e5", "1.", ".5", "+1", "1 ", b"1", "nan", "--1"),
    "float": ("x", b"1", 9e999),
    "bool": (2, -1, "true", 0.5),
    "uuid": ("x", "A" * 32, str(UUID(int=1)), "0" * 31, b"0" * 32),
    "date": ("2024-02-30", "2024-2-3", "0000-01-01", "x", "now", 5, "2024-01-01 "),
    "datetime": (
        *("2024-02-30 00:00:00.000000", "2024-01-01", "2024-01-01 00:00:00", "now", 5),
        *("2024-01-01 24:00:00.000000", "2024-01-01T00:00:00.000000", "2024-01-01 00:00:00.00000x"),
    ),
    "timedelta": ("x", 1.5, "PT1S"),
    "bytes": ("a", 1),
    "json": ("{", "nan", ""),
    "enum": (b"a", 1),
    "list": ("{}", "1", "[", ""),
    "dict": ("[]", "1", "{", ""),
}


@pytest.mark.parametrize("open_engine", ["sqlite"], indirect=True)
def test_sqlite_holds_each_column_to_its_type(
    matrix: SimpleNamespace, open_engine: Callable[..., sa.Engine]
) -> None:
    """What SQLite would store in a column of any type is refused where it is not of that type."""
    assert _GARBAGE.keys() == KINDS.keys()
    accepted = []
    with open_engine(matrix.tables).connect() as connection:
        for column, (_, spec) in zip(matrix.columns, SPECS, strict=True):
            for value in _GARBAGE[column.kind]:
                values = {"id": 1, "value": value}
                try:
                    with connection.begin_nested():
                        connection.execute(_insertion(column, "sqlite"), values)
                    accepted.append((spec, value))
                except sa.exc.DBAPIError:
                    pass
    assert not accepted, "\n".join(map(str, accepted))


def test_what_a_row_holds_comes_back_as_it_was(
    matrix: SimpleNamespace, open_engine: Callable[..., sa.Engine]
) -> None:
    """Every valid value survives the database, and becomes an equal value of its type."""
    engine = open_engine(matrix.tables)
    for column in matrix.columns:
        entity = getattr(matrix.types, column.name)
        row_class = getattr(matrix.tables, f"{column.name}Row")
        valid = [one for one in column.values() if _accepts(entity, one)]
        written = [entity(id=number, value=one) for number, one in enumerate(valid)]
        with Session(engine) as session:
            session.add_all([row_class.model_validate(one) for one in written])
            session.commit()
            session.expire_all()
            found = session.exec(select(row_class).order_by(row_class.id)).all()
            assert [one.to_entity() for one in found] == written, column


def test_what_contracts_draw_is_taken_by_the_database(
    matrix: SimpleNamespace, open_engine: Callable[..., sa.Engine]
) -> None:
    """The strategies stay within what type, row and database accept."""
    numbers = count()
    with open_engine(matrix.tables).connect() as connection:
        for column in matrix.columns:
            drawn = _drawn(getattr(matrix.contracts, f"{column.name.lower()}_values")())
            for value in drawn:
                assert _accepts(getattr(matrix.tables, f"{column.name}Row"), value)
            connection.execute(
                _insertion(column, connection.dialect.name),
                [
                    {"id": next(numbers), "value": _stored(one, column, connection.dialect.name)}
                    for one in drawn
                ],
            )


def _drawn(strategy: Any) -> list[Any]:
    values: list[Any] = []

    @settings(max_examples=8, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def collect(item: Any) -> None:
        values.append(item.value)

    collect()
    return values


def _lattice(entity_fields: str, ensures: str = "") -> str:
    """A lattice with one table."""
    text = (
        f"version: v1.0\ngenerated_module: table_{next(_NUMBERS)}\nentities:\n  Item:\n"
        f"    persistence: table\n    fields: {entity_fields}\n"
    )
    return text + (f"    ensures: [{ensures}]\n" if ensures else "") + "interfaces: {}\n"


# Invariants --------------------------------------------------------------------------------------

_FIELDS = """{
  id: {type: int, primary_key: true}, a: int, b: int, p: decimal, q: decimal | null, s: str,
  t: str | null, e: {enum: [x, y, "it's"]}, n: {type: enum | null, enum: [x, z]}, d: date,
  m: datetime, w: timedelta, f: float, ok: bool, l: "list[str]", u: uuid, y: bytes | null}"""
_POOLS: dict[str, tuple[Any, ...]] = {
    "a": (0, 1, 2, 3, -1, -4, 2**62, -(2**62)),
    "b": (0, 1, 2, 7, -5, 10, 2**62),
    "p": tuple(map(Decimal, ("0", "1", "1.0", "1000000", "1000000.01", "-3.5", "9", "10", "2.5"))),
    "q": (None, *map(Decimal, ("0", "1.00", "9", "10", "0.9999999999999999999"))),
    "s": ("", "a", "ab", "B", "b", "\u00e4b", "ab%", "x"),
    "t": (None, "", "x", "a", "ab"),
    "e": ("x", "y", "it's"),
    "n": (None, "x", "z"),
    "d": (date(2023, 12, 31), date(2024, 1, 1)),
    "m": (datetime(2023, 12, 31, 23, 59, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC)),
    "w": (timedelta(hours=1), timedelta(hours=1, microseconds=1)),
    "f": (0.1, 0.25, 0.5, 0.75, 1.0, -1e300),
    "ok": (True, False),
    "l": ([], ["a"], ["a", "a"]),
    "u": (UUID(int=0), UUID(int=1)),
    "y": (None, b"", b"\xff\0"),
}
INVARIANTS = [
    *("a > 0", "-1 < a", "a < b", "a <= b <= 10", "a != b", "a == 1 or (b == 2 and not ok)"),
    *("p > 0", "p <= 1000000", "p == 1", "1 < p < 10", "p in [1, 2.5]", "p > -3.5", "0.5 < p"),
    *("q is None or q < p", "q == p", "q != p", "q == 1", "q is not None and q > 0.5"),
    *("p == a", "p < a", "a * p <= 10", "a * b + 1 < 20", "p - a > 0.5", "a + b > a", "p * p >= 1"),
    *("a % 3 == 1", "a % 2 == b % 2", "len(s) <= a", "len(s) * 2 == b", "len(l) >= 2"),
    *("s == 'ab'", "s < 'b'", "s <= 'B'", "s in ['a', 'b']", "'b' in s", "s.startswith('a')"),
    *("t == 'x'", "t != 'x'", "t == s", "t != s", "t in ['a', 'x']", "t not in ['a', 'x']"),
    *("t is not None and len(t) > 1", "t is None or t < 'b'", "'%' in s", "s == 'a' or t is None"),
    *(
        "e == 'x'",
        "e in ['x', 'it\\'s']",
        "implies(e == 'x', t is not None)",
        "n == 'x'",
        "n != 'z'",
    ),
    *("d >= '2024-01-01'", "m < '2024-01-01T00:00:00Z'", "w <= 'PT1H'", "d == '2024-01-01'"),
    *("f < 0.5", "f > 0", "a < 0.5", "f == 0.1"),
    *(
        "ok",
        "not ok",
        "ok or a > 1",
        "ok == (a > 1)",
        "(a > 1) if ok else (b > 1)",
        "not (ok and a > 0)",
    ),
    *("u == '00000000-0000-0000-0000-000000000001'", "y is None or len(y) == 2", "y == b''"),
]


def test_an_invariant_is_true_of_the_same_rows_everywhere(
    open_engine: Callable[..., sa.Engine],
) -> None:
    """Python's value of each condition is the database's verdict, nulls and limits included."""
    text = f"version: v1.0\ngenerated_module: invariants_{next(_NUMBERS)}\nentities:\n"
    for number, one in enumerate(INVARIANTS):
        text += f"  T{number}:\n    persistence: table\n    fields: {_FIELDS}\n"
        text += f"    ensures: [{json.dumps(one)}]\n"
    chosen = random.Random(7)  # noqa: S311 -- the same rows in each run
    rows = [{name: chosen.choice(pool) for name, pool in _POOLS.items()} for _ in range(60)]
    # Equal as floats only, and equal.
    rows[0].update(a=2**62, p=Decimal(2**62) + Decimal("0.5"))
    rows[1].update(a=2**62, p=Decimal(2**62))
    text += f"  Plain:\n    persistence: table\n    fields: {_FIELDS}\ninterfaces: {{}}\n"
    lattice = parse_lattice(text, file="lattice.yaml")
    plain = lattice.entities["Plain"]
    disagreements = []
    with imported_modules(text) as modules:
        tables = modules[f"shared.{lattice.generated_module}_tables"]
        with open_engine(tables, "plain").connect() as connection:
            for number, row in enumerate(rows):
                _insert(connection, plain, {"id": number, **row})
            for number, source in enumerate(INVARIANTS):
                clause = lattice.entities[f"T{number}"].ensures[0]
                python = [bool(evaluate(clause.expression, row)) for row in rows]
                assert set(python) == {True, False}, source
                if _verdicts(connection, tables.metadata.tables[f"t{number}"]) != python:
                    disagreements.append(source)
    assert not disagreements


def _verdicts(connection: sa.Connection, table: sa.Table) -> list[bool]:
    """Whether the invariant of a table lets each row of `plain` pass, which null does."""
    dialect = connection.dialect.name
    found = [
        str(one.sqltext)
        for one in table.constraints
        if isinstance(one, sa.CheckConstraint)
        and "_invariant_" in str(one.name)
        and (one._ddl_if is None or one._ddl_if.dialect == dialect)
    ]
    assert len(found) == 1
    condition: sa.ColumnElement[bool] = sa.literal_column(f"({found[0]}) IS NOT FALSE")
    return [
        bool(one)
        for one in connection.execute(
            sa.select(condition).select_from(sa.table("plain")).order_by(sa.column("id"))
        ).scalars()
    ]


def _insert(connection: sa.Connection, entity: Entity, row: dict[str, Any]) -> None:
    """Write a row by hand, past every class."""
    values = {}
    for name, value in row.items():
        kind = entity.fields[name].type
        inner = kind.inner if isinstance(kind, OptionalType) else kind
        scalar = inner.name.value if isinstance(inner, ScalarType) else "enum"
        column = Column(
            name=name,
            kind="list" if isinstance(inner, ListType) else scalar,
            limits=Constraints(),
            nullable=isinstance(kind, OptionalType),
        )
        values[name] = _stored(value, column, connection.dialect.name)
    names = ", ".join(values)
    markers = ", ".join(f":{name}" for name in values).replace(":l,", "CAST(:l AS JSON),")
    if connection.dialect.name == "sqlite":
        markers = markers.replace("CAST(:l AS JSON)", ":l")
    table = entity.name.lower()
    connection.execute(sa.text(f"INSERT INTO {table} ({names}) VALUES ({markers})"), values)  # noqa: S608 -- ours


# A small shop ------------------------------------------------------------------------------------

_SHOP = """
entities:
  Customer:
    persistence: table
    fields:
      id: {type: uuid, primary_key: true}
      email: {type: str, min_length: 3, unique: true}
  Order:
    persistence: table
    fields:
      number: {type: int, primary_key: true, ge: 1}
      customer_id: {type: uuid, references: Customer.id, index: true}
      group: {type: decimal, gt: 0, unique: true}
      select: {type: str | null, default: none}
      status: {enum: [open, paid], default: open}
      date: {type: date, default: 2024-02-29}
      datetime: {type: datetime | null, default: null}
      lists: {type: "list[list[decimal]]", default: []}
      list: {type: "list[bytes]", default: []}
      span: {type: timedelta, default: PT1M}
      ok: {type: bool, default: true}
      share: {type: float, default: 0.5}
      total: {type: decimal, default: "1.50"}
    ensures: ["group < 1000", {name: paid, condition: "implies(status == 'paid', total > 0)"}]
  Line:
    persistence: table
    fields:
      order_number: {type: int, primary_key: true, references: Order.number}
      place: {type: int, primary_key: true, ge: 0}
      text: str
interfaces:
  ICustomers:
    file: src/services/customers.py
    scaffold: repository_pattern
    methods:
      add: {params: {customer: Customer}, returns: null}
      get: {params: {id: uuid}, returns: Customer | null}
      remove_customer: {params: {customer_id: uuid}, returns: null}
  ILines:
    file: src/services/lines.py
    scaffold: repository_pattern
    depends_on: [ICustomers]
    methods:
      add_line: {params: {line: Line}, returns: Line}
      find: {params: {order_number: int, place: int}, returns: Line | null}
      list_lines: {params: {}, returns: "list[Line]"}
      update: {params: {line: Line}, returns: bool}
      update_line: {params: {line: Line}, returns: Line | null}
      delete: {params: {order_number: int, line_place: int}, returns: bool}
      get_swapped: {params: {place: int, order_number: int}, returns: Line | null}
      find_line: {params: {order_number: int, size: int}, returns: Line | null}
      add_all: {params: {line: Line}, returns: Line}
      insert: {params: {line: Line}, returns: Line, raises: {ValueError: "line.place > 9"}}
      list_open: {params: {}, returns: "list[Line]"}
"""


@pytest.fixture
def shop() -> Iterator[SimpleNamespace]:
    """The modules of the small shop."""
    version = f"shop_{next(_NUMBERS)}"
    with imported_modules(f"version: v1.0\ngenerated_module: {version}\n{_SHOP}") as modules:
        yield SimpleNamespace(
            types=modules[f"shared.{version}"],
            tables=modules[f"shared.{version}_tables"],
            customers=modules["services.customers"],
            lines=modules["services.lines"],
        )


def _fill(session: Session, shop: SimpleNamespace, *groups: str) -> UUID:
    """A customer with one order for each group, numbered from 1."""
    customer = uuid4()
    session.add(shop.tables.CustomerRow(id=customer, email=f"{customer}@x"))
    session.flush()
    for number, group in enumerate(groups, start=1):
        session.add(shop.tables.OrderRow(number=number, customer_id=customer, group=group))
        session.flush()
    return customer


def test_a_default_holds_in_python_and_in_sql(
    shop: SimpleNamespace, open_engine: Callable[..., sa.Engine]
) -> None:
    """A row written by hand without its defaults equals one that is made with them."""
    with Session(open_engine(shop.tables)) as session:
        customer = _fill(session, shop, "1")
        statement = (
            'INSERT INTO "order" (number, customer_id, "group", "list", "lists", date)'
            ' SELECT 2, customer_id, \'2\', "list", "lists", date FROM "order"'
        )
        session.connection().execute(sa.text(statement))
        first, second = (session.get_one(shop.tables.OrderRow, number) for number in (1, 2))
        made = shop.types.Order(number=1, customer_id=customer, group=1)
        assert first.to_entity() == made
        changed = {"number": 2, "group": Decimal(2), "select": None}
        assert second.to_entity() == made.model_copy(update=changed)


def test_a_null_that_is_given_is_kept(
    shop: SimpleNamespace, open_engine: Callable[..., sa.Engine]
) -> None:
    """The default of a column does not take the place of an explicit null."""
    with Session(open_engine(shop.tables)) as session:
        customer = _fill(session, shop)
        row = shop.tables.OrderRow(number=1, customer_id=customer, group=1, select=None)
        session.add(row)
        session.flush()
        session.expire_all()
        assert row.select is None


def test_references_unique_fields_and_invariants_are_kept_by_the_database(
    shop: SimpleNamespace, open_engine: Callable[..., sa.Engine]
) -> None:
    """SQL that goes past every class meets the same rules; equal decimals are equal."""
    wrong = (
        "UPDATE \"order\" SET customer_id = '00000000000000000000000000000000' WHERE number = 1",
        'UPDATE "order" SET "group" = \'9.00\' WHERE number = 1',
        'UPDATE "order" SET "group" = \'1000\' WHERE number = 1',
        "UPDATE \"order\" SET status = 'paid', total = '0' WHERE number = 1",
        "UPDATE \"order\" SET status = 'lost' WHERE number = 1",
        "DELETE FROM customer",
    )
    with Session(open_engine(shop.tables)) as session:
        _fill(session, shop, "1", "9")
        for statement in wrong:
            with pytest.raises(sa.exc.IntegrityError), session.begin_nested():
                session.connection().execute(sa.text(statement))


def test_decimals_are_ordered_and_compared_as_numbers(
    shop: SimpleNamespace, open_engine: Callable[..., sa.Engine]
) -> None:
    """Also in SQLite, where they are text: no digit is lost and 10 comes after 9."""
    exact = "9.000000000000000000000000000000000001"
    with Session(open_engine(shop.tables)) as session:
        _fill(session, shop, "10", "9", exact, "999.5")
        group = shop.tables.OrderRow.group
        query = select(group).where(group > Decimal(9), group < 500).order_by(group)
        assert session.exec(query).all() == [Decimal(exact), Decimal(10)]


def test_a_row_is_checked_where_it_is_made(shop: SimpleNamespace) -> None:
    """Wrong, missing and unknown values are refused as the type refuses them."""
    valid = {"id": uuid4(), "email": "a@b"}
    row = shop.tables.CustomerRow
    assert row(**valid).to_entity() == shop.types.Customer(**valid)
    assert row.model_validate(shop.types.Customer(**valid)).email == "a@b"
    for wrong in ({**valid, "email": "a"}, {"email": "a@b"}, {**valid, "name": "b"}):
        for make in (row.model_validate, lambda given: row(**given)):
            with pytest.raises(ValidationError) as refused:
                make(wrong)
            with pytest.raises(ValidationError) as expected:
                shop.types.Customer(**wrong)
            assert refused.value.errors() == expected.value.errors()


def test_a_broken_row_is_not_passed_on(shop: SimpleNamespace) -> None:
    """What was set to a wrong value after it was made cannot become a value of its type."""
    row = shop.tables.CustomerRow(id=uuid4(), email="a@b")
    row.email = "a"
    with pytest.raises(ValidationError):
        row.to_entity()


def test_versions_stand_beside_each_other(
    shop: SimpleNamespace, open_engine: Callable[..., sa.Engine]
) -> None:
    """Tables of an earlier version can be imported and used next to those of a later one."""
    later = f"shop_{next(_NUMBERS)}"
    text = f"version: v2.0\ngenerated_module: {later}\n{_SHOP}"
    with imported_modules(text) as modules, Session(open_engine(shop.tables)) as session:
        row = modules[f"shared.{later}_tables"].CustomerRow(id=uuid4(), email="a@b")
        session.add(row)
        session.flush()
        assert session.get_one(shop.tables.CustomerRow, row.id).email == "a@b"


def test_sqlite_without_preparation_refuses_rather_than_compares_wrongly(
    shop: SimpleNamespace,
) -> None:
    """A connection that does not know how to compare decimals cannot write them."""
    engine = sa.create_engine("sqlite://")
    with (
        engine.connect() as connection,
        pytest.raises(sa.exc.OperationalError, match="no such collation sequence: decimal"),
    ):
        shop.tables.metadata.create_all(connection)
    engine.dispose()


def test_alembic_finds_nothing_to_change(
    shop: SimpleNamespace, open_engine: Callable[..., sa.Engine]
) -> None:
    """Types, keys, indexes and defaults of a fresh database are those that are declared."""
    with open_engine(shop.tables).connect() as connection:
        options = {"compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, shop.tables.metadata) == []


# Repositories ------------------------------------------------------------------------------------


def test_a_repository_keeps_rows(
    shop: SimpleNamespace, open_engine: Callable[..., sa.Engine]
) -> None:
    """What is added is found, listed in order of its key, changed and removed."""
    line = shop.types.Line
    with Session(open_engine(shop.tables)) as session:
        customers = shop.customers.Customers(session)
        lines = shop.lines.Lines(customers, session)
        _fill(session, shop, "1", "2")
        written = [line(order_number=o, place=p, text="a") for o in (2, 1) for p in (1, 0)]
        assert [lines.add_line(one) for one in written] == written
        assert lines.list_lines() == sorted(written, key=lambda one: (one.order_number, one.place))
        changed = line(order_number=1, place=0, text="b")
        assert lines.update(changed)
        assert lines.find(1, 0) == changed
        missing = line(order_number=1, place=7, text="b")
        assert (lines.update(missing), lines.update_line(missing)) == (False, None)
        assert lines.update_line(changed) == changed
        assert lines.delete(1, 0)
        assert not lines.delete(1, 0)
        assert lines.find(1, 0) is None
        session.commit()
        assert len(lines.list_lines()) == 3


def test_a_repository_may_remove_what_is_not_there(shop: SimpleNamespace) -> None:
    """A removal that returns nothing promises only that there is no such row afterwards."""
    customers = shop.customers.Customers()
    customer = shop.types.Customer(id=uuid4(), email="a@b")
    customers.add(customer)
    assert customers.get(customer.id) == customer
    customers.remove_customer(customer.id)
    customers.remove_customer(customer.id)
    assert customers.get(customer.id) is None
    customers._session.get_bind().dispose()


@pytest.mark.parametrize("method", ["get_swapped", "find_line", "add_all", "insert", "list_open"])
def test_what_name_and_signature_do_not_settle_is_left_to_its_author(
    shop: SimpleNamespace, method: str
) -> None:
    """Another order or name of the key, another noun or a declared error make it a stub."""
    lines = shop.lines.Lines(None, object())
    arguments = {"get_swapped": (1, 2), "find_line": (1, 2), "list_open": ()}.get(method, (None,))
    with pytest.raises(NotImplementedError):
        getattr(lines, method)(*arguments)


async def test_a_repository_passes_its_contracts(tmp_path: Path) -> None:
    """The Gauntlet judges it as it is generated, in the sandbox and on a database of its own."""
    lattice = parse_lattice(
        f"version: v1.0\ngenerated_module: types_v1\n{_CONTRACTS}", file="lattice.yaml"
    )
    compilation = compile_lattice(lattice)
    for name, text in {**compilation.generated, **compilation.scaffolds}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    suite = compilation.contracts["IOrders"]
    report = await run_contracts(
        GauntletRequest(
            source_root=tmp_path / "src",
            modules=compilation.trusted_modules,
            trusted_modules=frozenset(compilation.trusted_modules),
            implementation_modules=suite.implementation_modules,
            contract_file=suite.path.rpartition("/")[2],
            contract_text=suite.text,
            expected_tests=tuple((test.name, test.method) for test in suite.tests),
            seed=3,
            max_examples=60,
        )
    )
    assert [verdict.message for verdict in report.verdicts if verdict.message] == []
    assert report.passed


_CONTRACTS = """
entities:
  Customer:
    persistence: table
    fields: {id: {type: uuid, primary_key: true}}
  Order:
    persistence: table
    fields:
      name: {type: str, primary_key: true}
      customer_id: {type: uuid, references: Customer.id}
      note: str | null
      parts: "list[str]"
      span: timedelta
      at: datetime
      price: {type: decimal, gt: 0, precision: 6}
interfaces:
  IOrders:
    file: src/services/orders.py
    scaffold: repository_pattern
    methods:
      add: {params: {order: Order}, returns: Order, ensures: ["result == order"]}
      get:
        params: {name: str}
        returns: Order | null
        ensures: ["result is None or result.name == name"]
      list: {params: {}, returns: "list[Order]"}
      update: {params: {order: Order}, returns: bool}
      delete: {params: {name: str}, returns: bool}
"""


def test_a_repository_without_a_table_is_refused() -> None:
    """The scaffold would have nothing to keep."""
    text = _lattice("{id: {type: int, primary_key: true}}").replace("interfaces: {}\n", "")
    text = text.replace("    persistence: table\n", "") + (
        "interfaces:\n  IShop:\n    file: src/services/shop.py\n    scaffold: repository_pattern\n"
        "    methods:\n      add: {params: {item: Item}, returns: null}\n"
    )
    with pytest.raises(UnsupportedByTargetError, match=r"lattice\.yaml:7:3: `IShop` has `scaff"):
        compile_lattice(parse_lattice(text, file="lattice.yaml"))


# The page of the reference -----------------------------------------------------------------------

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "tables.md").read_text()


def test_the_examples_of_the_reference_run() -> None:
    """The lattice of the page compiles, and its Python does what it says."""
    blocks = {
        kind: re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
        for kind in ("yaml", "python")
    }
    assert (len(blocks["yaml"]), len(blocks["python"])) == (1, 2)
    with imported_modules(blocks["yaml"][0]):
        names: dict[str, Any] = {}
        for source in blocks["python"]:
            exec(compile(source, "tables.md", "exec"), names)  # noqa: S102 -- our own page
