"""Migrations lead from one lattice to the next and back, with rows, on SQLite and PostgreSQL."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.util import CommandError
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from lattice_lock.exceptions import UnsupportedByTargetError
from migrated_project import Database, MigratedProject, Rows, lattice_text, tables_of

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from types import ModuleType

_A, _B = UUID(int=10), UUID(int=11)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MigratedProject:
    """An empty project."""
    root = tmp_path / "project"
    root.mkdir()
    return MigratedProject(root, monkeypatch)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty database, on each of the two."""
    if request.param == "sqlite":

        def made() -> str:
            return f"sqlite:///{tmp_path}/{uuid4().hex}.db"

        yield Database(made(), made)
        return
    connection: socket.socket = request.getfixturevalue("postgres_connection")
    host, port = connection.getpeername()[:2]
    url = sa.URL.create("postgresql+psycopg", "postgres", host=host, port=port, database="test")
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    schemas = []

    def made_schema() -> str:
        schemas.append(f"migrations_{uuid4().hex}")
        with engine.begin() as opened:
            opened.execute(sa.text(f"CREATE SCHEMA {schemas[-1]}"))
        options = {"options": f"-csearch_path={schemas[-1]}"}
        return url.update_query_dict(options).render_as_string(hide_password=False)

    yield Database(made_schema(), made_schema)
    with engine.begin() as opened:
        for schema in schemas:
            opened.execute(sa.text(f"DROP SCHEMA {schema} CASCADE"))


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """Two lattices, rows of the first, and what they are in the second and after the way back."""

    before: str
    after: str
    rows: Rows
    upgraded: Rows
    downgraded: Rows | None = None
    allow_drop: bool = False


def _row(**values: Any) -> Rows:
    return {"thing": [{"id": 1, **values}]}


@dataclass(frozen=True)
class Change:
    """A field before and after, and what a row holds before, after and after the way back."""

    before: str
    after: str
    value: Any
    upgraded: Any
    downgraded: Any = ...


CHANGES = {
    "limits": Change("{type: int, ge: 0, le: 9}", "{type: int, gt: 0, le: 99}", 5, 5),
    "null allowed": Change("str", "str | null", "a", "a"),
    "null refused": Change("{type: str | null}", "{type: str, default: d}", None, "d", "d"),
    "null filled": Change("{type: str | null}", "{type: str, backfill: b}", None, "b", "b"),
    "another default": Change('{type: str, default: ":a %"}', "{type: str, default: b}", "c", "c"),
    "a default less": Change("{type: int, default: 5}", "int", 6, 6),
    "a default more, in another type": Change(
        "{type: int, default: 5}", '{type: decimal, default: "0.5"}', 6, Decimal(6)
    ),
    "a value of an enum more": Change("{enum: [a, b]}", "{enum: [a, b, c]}", "b", "b"),
    "a value of an enum less": Change("{enum: [a, b]}", "{enum: [a]}", "a", "a"),
    "a value of an enum replaced": Change(
        '{enum: [a, "b\'"]}', "{enum: [a], backfill: a}", "b'", "a", "a"
    ),
    "an enum of a text": Change("str", "{enum: [a, b]}", "b", "b"),
    "int to decimal": Change("int", "decimal", -5, Decimal(-5)),
    "decimal to int": Change("decimal", "int", Decimal("100.00"), 100, Decimal(100)),
    "int to float": Change("int", "float", 2**53, 2.0**53),
    "float to int": Change("float", "int", -7.0, -7),
    "decimal to float": Change("decimal", "float", Decimal("0.10"), 0.1, Decimal("0.1")),
    "float to decimal": Change("float", "decimal", 0.1, Decimal("0.1")),
    "an odd float to decimal": Change(
        "float", "{type: decimal, gt: 0}", 0.30000000000000004, Decimal("0.30000000000000004")
    ),
    "bool to int": Change("bool", "{type: int, default: 0}", value=True, upgraded=1),
    "int to bool": Change("int", "bool", 0, upgraded=False),
    "int to str": Change("int", "str", -12, "-12"),
    "str to int": Change("str", "int", "-12", -12),
    "decimal to str": Change("decimal", "str", Decimal("1.50"), "1.50"),
    "str to decimal": Change("str", "decimal", "-1.50", Decimal("-1.50")),
    "uuid to str": Change("uuid", "{type: str, max_length: 36}", _A, str(_A)),
    "str to uuid": Change("str", "uuid", str(_A), _A),
    "date to str": Change("date", "str", date(999, 1, 2), "0999-01-02"),
    "str to date": Change("str", "date", "2024-02-29", date(2024, 2, 29)),
    "date to datetime": Change(
        "date", "datetime", date(2024, 2, 29), datetime(2024, 2, 29, tzinfo=UTC)
    ),
    "datetime to date": Change(
        "datetime", "date", datetime(2024, 2, 29, tzinfo=UTC), date(2024, 2, 29)
    ),
    "null of another type": Change("int | null", "decimal | null", None, None),
    "a list becomes anything": Change('"list[int]"', "json", [1, 2], [1, 2]),
}


def _all_changes() -> Scenario:
    """Every change of a field at once, in one table."""
    head = "Thing:\n  fields:\n    id: {type: int, primary_key: true}\n"
    changes = list(enumerate(CHANGES.values()))
    return Scenario(
        before=head + "".join(f"    v{n}: {one.before}\n" for n, one in changes),
        after=head + "".join(f"    v{n}: {one.after}\n" for n, one in changes),
        rows=_row(**{f"v{n}": one.value for n, one in changes}),
        upgraded=_row(**{f"v{n}": one.upgraded for n, one in changes}),
        downgraded=_row(
            **{
                f"v{n}": one.value if one.downgraded is ... else one.downgraded
                for n, one in changes
            }
        ),
        allow_drop=True,
    )


_CUSTOMER = """\
Customer:
  fields:
    id: {type: uuid, primary_key: true}
    mail: {type: str, max_length: 80, unique: true}
    rank: {type: int, index: true}
Order:
  fields:
    number: {type: int, primary_key: true, ge: 1}
    customer: {type: uuid, references: Customer.id, index: true}
    price: {type: decimal, gt: 0, scale: 2}
  ensures: ["price <= 1000"]
"""
_CLIENT = """\
Client:
  renamed_from: Customer
  fields:
    key: {type: uuid, primary_key: true, renamed_from: id}
    email: {type: str, max_length: 80, unique: true, renamed_from: mail}
    rank: {type: int, index: true}
Order:
  fields:
    number: {type: int, primary_key: true, ge: 1}
    client: {type: uuid, references: Client.key, index: true, renamed_from: customer}
    cost: {type: decimal, gt: 0, scale: 2, renamed_from: price}
  ensures: ["cost <= 1000"]
"""
_CUSTOMERS: Rows = {
    "customer": [{"id": _A, "mail": "a@x", "rank": 1}, {"id": _B, "mail": "b@x", "rank": 2}],
    "order": [{"number": 1, "customer": _A, "price": Decimal("9.90")}],
}
_SAID = "a 'b' \"c\" :d %s %% {e} \\f ünï \U0001f600"
_NOON = datetime(2024, 2, 29, 12, tzinfo=UTC)

SCENARIOS = {
    "every change of a field": _all_changes(),
    "nothing but names": Scenario(
        before=_CUSTOMER,
        after=_CLIENT,
        rows=_CUSTOMERS,
        upgraded={
            "client": [
                {"key": _A, "email": "a@x", "rank": 1},
                {"key": _B, "email": "b@x", "rank": 2},
            ],
            "order": [{"number": 1, "client": _A, "cost": Decimal("9.90")}],
        },
    ),
    "a target has another name": Scenario(
        before=_CUSTOMER,
        after=_CUSTOMER.replace("id: {type: uuid,", "key: {renamed_from: id, type: uuid,").replace(
            "Customer.id", "Customer.key"
        ),
        rows=_CUSTOMERS,
        upgraded={
            "customer": [
                {"key": _A, "mail": "a@x", "rank": 1},
                {"key": _B, "mail": "b@x", "rank": 2},
            ],
            "order": _CUSTOMERS["order"],
        },
    ),
    "columns of every type, from defaults": Scenario(
        before="Thing:\n  fields:\n    id: {type: int, primary_key: true}",
        after=f"""\
Thing:
  fields:
    id: {{type: int, primary_key: true}}
    a: {{type: str, default: {_SAID!r}}}
    b: {{type: int, default: -5}}
    c: {{type: decimal, default: "0.10"}}
    d: {{type: float, default: 1.5}}
    e: {{type: bool, default: true}}
    f: {{type: uuid, default: "{_A}"}}
    g: {{type: date, default: 2024-02-29}}
    h: {{type: datetime, default: "2024-02-29T12:00:00Z"}}
    i: {{type: timedelta, default: PT5M}}
    j: {{type: bytes, default: ab}}
    k: {{type: json, default: {{a: [1, "it's :x %"]}}}}
    l: {{type: "list[decimal]", default: ["1.50"]}}
    m: {{type: "dict[str, int]", default: {{"k'": 1}}}}
    n: {{enum: [a, "it's :b 100%"], default: "it's :b 100%"}}
    o: {{type: str | null, default: x}}
""".replace(repr(_SAID), '"' + _SAID.replace("\\", "\\\\").replace('"', '\\"') + '"'),
        rows={"thing": [{"id": 1}, {"id": 2}]},
        upgraded={
            "thing": [
                {
                    "id": number,
                    "a": _SAID,
                    "b": -5,
                    "c": Decimal("0.10"),
                    "d": 1.5,
                    "e": True,
                    "f": _A,
                    "g": date(2024, 2, 29),
                    "h": _NOON,
                    "i": timedelta(minutes=5),
                    "j": b"ab",
                    "k": {"a": [1, "it's :x %"]},
                    "l": [Decimal("1.50")],
                    "m": {"k'": 1},
                    "n": "it's :b 100%",
                    "o": None,
                }
                for number in (1, 2)
            ]
        },
    ),
    "columns from backfills": Scenario(
        before="Thing:\n  fields:\n    id: {type: int, primary_key: true}",
        after=f"""\
Thing:
  fields:
    id: {{type: int, primary_key: true}}
    a: {{type: str, min_length: 1, backfill: {_SAID!r}}}
    b: {{type: int, default: 0, backfill: 7}}
    c: {{type: datetime | null, backfill: "2024-02-29T12:00:00Z"}}
    d: {{type: "list[uuid]", backfill: ["{_A}"]}}
""".replace(repr(_SAID), '"' + _SAID.replace("\\", "\\\\").replace('"', '\\"') + '"'),
        rows={"thing": [{"id": 1}]},
        upgraded=_row(a=_SAID, b=7, c=_NOON, d=[_A]),
    ),
    "columns dropped": Scenario(
        before="""\
Thing:
  fields:
    id: {type: int, primary_key: true}
    a: {type: str, min_length: 2, unique: false}
    b: {type: int, ge: 3, index: true, default: 4}
    c: {type: decimal | null}
    d: {type: "list[int]"}
    e: {type: json}
    f: {enum: [x, y]}
    g: {type: datetime, ge: "2030-01-01T00:00:00Z"}
""",
        after="Thing:\n  fields:\n    id: {type: int, primary_key: true}",
        rows=_row(
            a="abc", b=9, c=Decimal(1), d=[1], e=5, f="y", g=datetime(2031, 1, 1, tzinfo=UTC)
        ),
        upgraded={"thing": [{"id": 1}]},
        downgraded=_row(
            a="aa", b=4, c=None, d=[], e=None, f="x", g=datetime(2030, 1, 1, tzinfo=UTC)
        ),
        allow_drop=True,
    ),
    "tables made and dropped": Scenario(
        before=_CUSTOMER,
        after="""\
Order:
  fields:
    number: {type: int, primary_key: true, ge: 1}
    price: {type: decimal, gt: 0, scale: 2}
    kind: {type: int | null, references: Kind.id}
  ensures: ["price <= 1000"]
Kind:
  fields:
    id: {type: int, primary_key: true}
    parent: {type: int | null, references: Kind.id}
""",
        rows={"order": [], "customer": _CUSTOMERS["customer"]},
        upgraded={},
        downgraded={},
        allow_drop=True,
    ),
    "tables in a circle": Scenario(
        before="""\
A:
  fields:
    id: {type: int, primary_key: true}
    b: {type: int | null, references: B.id}
B:
  fields:
    id: {type: int, primary_key: true}
    a: {type: int | null, references: A.id}
""",
        after="""\
C:
  fields:
    id: {type: int, primary_key: true}
    d: {type: int | null, references: D.id}
D:
  fields:
    id: {type: int, primary_key: true}
    e: {type: int | null, references: E.id}
E:
  fields:
    id: {type: int, primary_key: true}
    c: {type: int | null, references: C.id}
""",
        rows={"a": [{"id": 1, "b": None}], "b": [{"id": 1, "a": 1}]},
        upgraded={},
        downgraded={},
        allow_drop=True,
    ),
    "words of SQL": Scenario(
        before="""\
Select:
  fields:
    where: {type: int, primary_key: true}
    order: {type: str, unique: true}
    check: {enum: [a, b], default: a}
    User: {type: int, index: true}
  ensures: ["User > where"]
Group:
  fields:
    table: {type: int, primary_key: true}
    references: {type: int, references: Select.where}
""",
        after="""\
Group:
  fields:
    table: {type: int, primary_key: true}
    references: {type: int, references: Having.limit}
Having:
  renamed_from: Select
  fields:
    limit: {type: int, primary_key: true, renamed_from: where}
    by: {type: str, unique: true, renamed_from: order}
    check: {enum: [b, "ü'c", a], default: "ü'c"}
    User: {type: decimal, index: true}
    default: {type: str, default: "'"}
  ensures: ["User > limit"]
""",
        rows={
            "select": [{"where": 1, "order": "x", "check": "b", "User": 2}],
            "group": [{"table": 5, "references": 1}],
        },
        upgraded={
            "having": [{"limit": 1, "by": "x", "check": "b", "User": Decimal(2), "default": "'"}],
            "group": [{"table": 5, "references": 1}],
        },
    ),
    "keys and indexes": Scenario(
        before="""\
Thing:
  fields:
    id: {type: int, primary_key: true}
    a: {type: int, unique: true}
    b: {type: int, index: true}
    c: {type: int, unique: true, index: true}
    d: {type: int}
    e: {type: int, unique: true}
    f: {type: int, unique: true}
Other:
  fields:
    id: {type: int, primary_key: true}
    thing: {type: int, references: Thing.f}
""",
        after="""\
Thing:
  fields:
    id: {type: int, primary_key: true}
    a: {type: int}
    b: {type: int, unique: true, index: true}
    c: {type: int, unique: true}
    d: {type: int, primary_key: true}
    e: {type: int, unique: true}
    f: {type: int, unique: true, index: true}
Other:
  fields:
    id: {type: int, primary_key: true}
    thing: {type: int, references: Thing.f}
""",
        rows={
            "thing": [{"id": n, "a": n, "b": n, "c": n, "d": n, "e": n, "f": n} for n in (1, 2)],
            "other": [{"id": 1, "thing": 2}],
        },
        upgraded={
            "thing": [{"id": n, "a": n, "b": n, "c": n, "d": n, "e": n, "f": n} for n in (1, 2)],
            "other": [{"id": 1, "thing": 2}],
        },
    ),
    "indexes alone": Scenario(
        before="Thing:\n  fields:\n    id: {type: int, primary_key: true}\n"
        "    a: {type: int, index: true}\n    b: int",
        after="Thing:\n  fields:\n    id: {type: int, primary_key: true}\n"
        "    a: int\n    b: {type: int, index: true}",
        rows=_row(a=1, b=2),
        upgraded=_row(a=1, b=2),
    ),
    "references": Scenario(
        before=_CUSTOMER.replace("references: Customer.id, ", "")
        + "Shop:\n  fields:\n    id: {type: int, primary_key: true}\n"
        "    order: {type: int, references: Order.number}\n",
        after=_CUSTOMER
        + "Shop:\n  fields:\n    id: {type: int, primary_key: true}\n    order: int\n",
        rows={**_CUSTOMERS, "shop": [{"id": 1, "order": 1}]},
        upgraded={**_CUSTOMERS, "shop": [{"id": 1, "order": 1}]},
    ),
    "a key and what refers to it change their type": Scenario(
        before="""\
Thing:
  fields:
    id: {type: int, primary_key: true}
    parent: {type: int | null, references: Thing.id}
    same: int
  ensures: ["id > 0", "id == same"]
""",
        after="""\
Thing:
  fields:
    id: {type: str, primary_key: true}
    parent: {type: str | null, references: Thing.id}
    same: str
  ensures: ["id != ''", "id == same"]
""",
        rows={"thing": [{"id": 1, "parent": None, "same": 1}, {"id": 2, "parent": 1, "same": 2}]},
        upgraded={
            "thing": [
                {"id": "1", "parent": None, "same": "1"},
                {"id": "2", "parent": "1", "same": "2"},
            ]
        },
    ),
}


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_rows_are_taken_along_and_back(
    scenario: Scenario, project: MigratedProject, database: Database
) -> None:
    """After each step the schema is exactly that of tables made at once, and rows are as said."""
    before, after = lattice_text(scenario.before), lattice_text(scenario.after, version="v2.0")
    with ExitStack() as stack:
        project.compile(before)
        project.upgrade(database)
        old = stack.enter_context(tables_of(before))
        former = database.fresh(old)
        assert database.schema() == former
        assert database.differences(old) == []
        database.fill(old, scenario.rows)
        rows = database.rows(old)

        project.compile(after, allow_drop=scenario.allow_drop)
        project.upgrade(database)
        new = stack.enter_context(tables_of(after))
        assert database.schema() == database.fresh(new)
        assert database.differences(new) == []
        assert database.rows(new) == scenario.upgraded

        project.downgrade(database)
        assert database.schema() == former
        assert database.rows(old) == (rows if scenario.downgraded is None else scenario.downgraded)
        project.upgrade(database)
        project.downgrade(database, "base")
        assert database.schema() == []


_THING = "Thing:\n  fields:\n    id: {{type: int, primary_key: true}}\n    value: {}"


def _text(value: str, *more: str, version: str = "v1.0") -> str:
    return lattice_text("\n".join([_THING.format(value), *more]), version=version)


LOSSES: dict[str, tuple[str, str, Any]] = {
    "half a number": ("decimal", "int", Decimal("1.5")),
    "more than 64 bits": ("decimal", "int", Decimal(10**19)),
    "half a float": ("float", "int", 0.5),
    "a whole number that is no float": ("int", "float", 2**53 + 1),
    "a decimal that is no float": ("decimal", "float", Decimal("0.1000000000000000000001")),
    "a word as a number": ("str", "int", "--5"),
    "a power as a number": ("str", "int", "1e3"),
    "a comma": ("str", "decimal", "1,5"),
    "two as a truth": ("int", "bool", 2),
    "a day by custom": ("str", "date", "01/02/2024"),
    "noon as a day": ("datetime", "date", _NOON),
    "a word as a key": ("str", "uuid", "nobody"),
    "a limit": ("int", "{type: int, lt: 5}", 5),
    "a value of an enum in use": ("{enum: [a, b]}", "{enum: [a]}", "b"),
    "null where it is required": ("str | null", "str", None),
}


@pytest.mark.parametrize(("before", "after", "value"), LOSSES.values(), ids=LOSSES)
def test_what_would_lose_something_stops(
    before: str, after: str, value: Any, project: MigratedProject, database: Database
) -> None:
    """The upgrade fails as a whole: schema, rows and revision are as they were."""
    project.compile(_text(before))
    project.upgrade(database)
    with tables_of(_text(before)) as tables:
        database.fill(tables, _row(value=value))
        schema = database.schema()
        project.compile(_text(after, version="v2.0"), allow_drop=True)
        with pytest.raises(sa.exc.DatabaseError):
            project.upgrade(database)
        assert database.schema() == schema
        assert database.rows(tables) == _row(value=value)
        project.downgrade(database, "base")
        assert database.schema() == []


def test_rows_that_refer_to_nothing_stop_a_reference(
    project: MigratedProject, database: Database
) -> None:
    """A foreign key over rows that break it is refused by both, and nothing changes."""
    before = _CUSTOMER.replace("references: Customer.id, ", "")
    project.compile(lattice_text(before))
    project.upgrade(database)
    with tables_of(lattice_text(before)) as tables:
        orphan = {"number": 1, "customer": _B, "price": Decimal(1)}
        database.fill(tables, {"order": [orphan]})
        schema = database.schema()
        project.compile(lattice_text(_CUSTOMER, version="v2.0"))
        with pytest.raises((ValueError, sa.exc.IntegrityError), match="order"):
            project.upgrade(database)
        assert database.schema() == schema
        assert database.rows(tables) == {"order": [orphan]}


_BY_HAND = """
from alembic import op
revision = "by_hand"
down_revision = "PARENT"
def upgrade():
    op.execute("UPDATE thing SET code = id * 2")
def downgrade():
    pass
"""


def test_what_a_person_wrote_between_is_built_upon(
    project: MigratedProject, database: Database
) -> None:
    """A revision by hand fills a column that the next version requires."""
    first, then, last = (
        _text("str", *more, version=f"v{number}.0")
        for number, more in enumerate(
            [(), ("    code: int | null",), ("    code: {type: int, unique: true}",)], 1
        )
    )
    project.compile(first)
    project.upgrade(database)
    with tables_of(first) as tables:
        database.fill(tables, {"thing": [{"id": 3, "value": "a"}, {"id": 4, "value": "b"}]})
    project.compile(then)
    parent = project.revisions[-1].stem.partition("_")[2]
    (project.root / "migrations" / "versions" / "by_hand.py").write_text(
        _BY_HAND.replace("PARENT", parent)
    )
    project.compile(last)
    assert 'down_revision = "by_hand"' in project.revisions[2].read_text()
    assert project.revisions[2].name.startswith("0004_")
    project.upgrade(database)
    with tables_of(last) as tables:
        assert database.schema() == database.fresh(tables)
        assert [one["code"] for one in database.rows(tables)["thing"]] == [6, 8]
    project.downgrade(database, "base")
    assert database.schema() == []


def test_sqlite_keeps_columns_that_nobody_knows_of(
    project: MigratedProject, database: Database
) -> None:
    """A column that somebody added is never lost: PostgreSQL keeps it, SQLite refuses to go on."""
    project.compile(_text("int"))
    project.upgrade(database)
    with tables_of(_text("int")) as tables, database.connected(tables) as connection:
        connection.exec_driver_sql("ALTER TABLE thing ADD COLUMN extra TEXT")
    project.compile(_text("{type: int, gt: 0}", version="v2.0"))
    if database.url.startswith("sqlite"):
        with pytest.raises(ValueError, match=r"`thing` should have .* but has .*'extra'"):
            project.upgrade(database)
    else:
        project.upgrade(database)
    assert any("extra" in line for line in database.schema())


# Pairs of lattices that nobody thought of --------------------------------------------------------

_NAMES = ("a", "b", "c")
_FIELDS = (
    "int",
    "int | null",
    "{type: int, default: 3}",
    "{type: int, ge: 0, le: 9, backfill: 1}",
    "{type: int, index: true, default: 2}",
    "{type: int | null, unique: true}",
    "{type: decimal, default: '1.5', scale: 2}",
    "decimal | null",
    "{type: str, max_length: 5, default: ''}",
    "str | null",
    "{enum: [x, y], default: y}",
    "{type: int | null, references: First.id}",
    "{type: datetime | null}",
    "{type: json, default: {}}",
)
_ENTITIES = st.fixed_dictionaries(
    {"First": st.dictionaries(st.sampled_from(_NAMES), st.sampled_from(_FIELDS), max_size=3)},
    optional={
        name: st.dictionaries(st.sampled_from(_NAMES), st.sampled_from(_FIELDS), max_size=3)
        for name in ("Second", "Third")
    },
)


def _written(entities: dict[str, dict[str, str]]) -> str:
    return "".join(
        f"{name}:\n  fields:\n    id: {{type: int, primary_key: true}}\n"
        + "".join(f"    {field}: {kind}\n" for field, kind in fields.items())
        for name, fields in entities.items()
    )


@settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],  # shrinking would take minutes
    # Each example has a project and databases of its own; contracts that are imported say `given`.
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.nested_given,
        HealthCheck.too_slow,
    ],
)
@given(first=_ENTITIES, then=_ENTITIES)
def test_any_two_lattices_have_a_way_there_and_back(
    first: dict[str, dict[str, str]],
    then: dict[str, dict[str, str]],
    database: Database,
    tmp_path: Path,
) -> None:
    """Both ways end in exactly the tables of their lattice, or leave rows that are in the way."""
    before, after = lattice_text(_written(first)), lattice_text(_written(then), version="v2.0")
    with ExitStack() as stack:
        root = tmp_path / uuid4().hex
        root.mkdir()
        project = MigratedProject(root, stack.enter_context(pytest.MonkeyPatch.context()))
        fresh = Database(database.prepare(), database.prepare)
        project.compile(before)
        project.upgrade(fresh)
        start = project.revisions[0].stem.partition("_")[2]
        try:
            project.compile(after, allow_drop=True)
        except UnsupportedByTargetError:
            return
        old, new = (stack.enter_context(tables_of(text)) for text in (before, after))
        fresh.fill(old, {"first": [{"id": 1, **_plain_values(first["First"])}]})
        if _is_stopped(fresh, old, lambda: project.upgrade(fresh)):
            project.upgrade(fresh)
        assert fresh.schema() == fresh.fresh(new)
        if _is_stopped(fresh, new, lambda: project.downgrade(fresh, start)):
            project.downgrade(fresh, start)
        assert fresh.schema() == fresh.fresh(old)


def _is_stopped(database: Database, tables: ModuleType, act: Callable[[], None]) -> bool:
    """Whether rows were in the way; nothing changed then, and now they are gone."""
    schema, rows = database.schema(), database.rows(tables)
    try:
        act()
    except (sa.exc.DatabaseError, ValueError):
        assert rows
        assert (database.schema(), database.rows(tables)) == (schema, rows)
        with database.connected(tables) as connection:
            for table in rows:
                connection.execute(tables.metadata.tables[table].delete())
        return True
    return False


def _plain_values(fields: dict[str, str]) -> dict[str, Any]:
    """A value for what must have one; null and the database's defaults do for the rest."""
    return {name: {} if "json" in kind else 1 for name, kind in fields.items() if _needs(kind)}


def _needs(kind: str) -> bool:
    return "null" not in kind and ("default" not in kind or "json" in kind)


PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "migrate-a-database.md"


def test_the_page_works_as_it_is_written(tmp_path: Path) -> None:
    """Its lattices compile one after the other, and its commands run on SQLite."""
    steps = re.findall(r"^```(yaml|sh)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert [kind for kind, _ in steps] == ["yaml", "sh", "yaml", "sh"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for kind, text in steps:
        if kind == "yaml":
            (tmp_path / "lattice.yaml").write_text(text)
            continue
        done = subprocess.run(
            ["sh", "-ec", text],
            cwd=tmp_path,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "wrote migrations/versions/" in done.stdout
    assert len(list((tmp_path / "migrations" / "versions").glob("*.py"))) == 2


def test_without_a_database_alembic_says_what_to_set(
    project: MigratedProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`env.py` names the variable, and SQL can be printed for PostgreSQL without a connection."""
    project.compile(_text("int"))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    with pytest.raises(CommandError, match="Set DATABASE_URL"):
        project.alembic(command.upgrade, "head")
    monkeypatch.setenv("DATABASE_URL", "postgresql+psycopg://nowhere.invalid/x")
    project.compile(_text("{type: int, gt: 5}", version="v2.0"))
    printed = project.alembic(command.upgrade, "head", sql=True)
    assert 'CHECK ("value" > 5)' in printed
    assert printed.rstrip().endswith("COMMIT;")
