"""What a lattice compiles to is drafted as that lattice again; foreign tables as one that holds."""

# ruff: noqa: E501  # the lines of sources and drafts

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
import sqlalchemy as sa

from compiled_modules import imported_modules
from lattice_lock.core.compiler import compile_lattice
from lattice_lock.core.emitters._portable_pattern import PatternError, portable_pattern
from lattice_lock.core.emitters.json_schema import emit_json_schema
from lattice_lock.core.emitters.sqlmodel_tables import with_storage_limits
from lattice_lock.core.importers._ecma_pattern import whole_pattern
from lattice_lock.core.importers.child import project_python
from lattice_lock.core.importers.drafting import draft_lattice
from lattice_lock.core.importers.json_schema import draft_json_schema
from lattice_lock.core.importers.pydantic_models import draft_pydantic
from lattice_lock.core.importers.sqlalchemy_tables import draft_database, draft_sqlalchemy
from lattice_lock.core.loader import load_lattice, parse_lattice
from lattice_lock.core.type_refs import ListType, OptionalType, ScalarName, ScalarType

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    from lattice_lock.core.importers.draft import Draft
    from lattice_lock.core.importers.drafting import DraftedLattice
    from lattice_lock.core.schema import Entity, Field, Lattice
    from lattice_lock.core.type_refs import TypeRef

_TESTS = Path(__file__).resolve().parent.parent
LATTICES = {
    "quickstart": _TESTS.parent / "docs/examples/quickstart/lattice.yaml",
    **{path.parent.name: path for path in sorted((_TESTS / "core/golden").glob("*/lattice.yaml"))},
}
_TIMEDELTA = ScalarType(ScalarName.TIMEDELTA)
_JSON = ScalarType(ScalarName.JSON)


def _drafted(fill: Callable[..., None], source: object, **options: object) -> DraftedLattice:
    def filled(draft: Draft) -> None:
        fill(source, draft, **options)

    return draft_lattice(filled, source="`it`")


def _imported(fill: Callable[..., None], source: str) -> DraftedLattice:
    return _drafted(fill, source, python=project_python(), timeout_s=60)


def _pattern(text: str | None) -> str | None:
    """A pattern in one spelling; what was spelled portably once is so again."""
    try:
        for _ in range(2):
            text = text and whole_pattern(portable_pattern(text), ascii_classes=False)
    except PatternError:
        pass
    return text


def _said(
    entity: Entity,
    *,
    without: frozenset[str],
    change: Callable[..., Field] | None,
) -> dict[str, object]:
    """What an entity says, less what a form cannot say."""
    fields = [change(one) if change else one for one in entity.fields.values()]
    found: dict[str, object] = {
        f"{one.name}.{key}": str(getattr(one, key)) if key == "references" else getattr(one, key)
        for one in fields
        for key in (
            "type",
            "primary_key",
            "unique",
            "index",
            "references",
            "default",
            "description",
        )
        if key not in without
    }
    for one in fields:
        limits = one.constraints
        found[f"{one.name}.constraints"] = replace(limits, pattern=_pattern(limits.pattern))
    found["description"] = entity.description
    if "persistence" not in without:
        found["persistence"] = entity.persistence
    if "transitions" not in without:
        found["transitions"] = entity.transitions
    found["ensures"] = {(one.name, one.expression.source) for one in entity.ensures}
    return found


def _assert_same(
    before: Lattice,
    after: Lattice,
    *,
    without: set[str],
    change: Callable[..., Field] | None = None,
) -> None:
    """Both lattices have the same entities, less what the form between them cannot say."""
    assert set(after.entities) == set(before.entities)
    lost = frozenset(without)
    for name, entity in before.entities.items():
        said = _said(entity, without=lost, change=change)
        assert _said(after.entities[name], without=lost, change=change) == said


def _write(lattice: Lattice, folder: Path) -> None:
    for path, text in compile_lattice(lattice).generated.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


@pytest.mark.parametrize("name", sorted(LATTICES))
def test_compiled_models_are_drafted_as_their_lattice(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Generated Pydantic models say everything but keys, indexes, references and transitions."""
    monkeypatch.chdir(tmp_path)
    lattice = load_lattice(LATTICES[name])
    _write(lattice, tmp_path)
    drafted = _imported(draft_pydantic, f"shared.{lattice.generated_module}")
    _assert_same(
        # The types hold whole numbers of tables to 64 bits, which the draft says.
        with_storage_limits(lattice),
        drafted.lattice,
        without={"primary_key", "unique", "index", "references", "persistence", "transitions"},
    )
    assert (drafted.left_behind, drafted.renamed) == ((), ())


@pytest.mark.parametrize("name", ["exchange", "quickstart", "tables"])
def test_a_compiled_json_schema_is_drafted_as_its_lattice(name: str, tmp_path: Path) -> None:
    """A generated JSON Schema says everything but indexes and what is kept in a table."""
    lattice = load_lattice(LATTICES[name])
    path = tmp_path / "types.schema.json"
    path.write_text(emit_json_schema(lattice))
    drafted = _drafted(draft_json_schema, path)
    _assert_same(lattice, drafted.lattice, without={"index", "persistence"})
    assert (drafted.left_behind, drafted.renamed) == ((), ())


def _without_list_default(field: Field) -> Field:
    """A database knows no default of a list; null is what a column has without one."""
    return replace(field, default=None) if isinstance(field.type, ListType) else field


def test_compiled_tables_are_drafted_as_their_lattice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Generated tables say everything but descriptions and defaults of lists."""
    monkeypatch.chdir(tmp_path)
    lattice = load_lattice(LATTICES["tables"])
    _write(lattice, tmp_path)
    drafted = _imported(draft_sqlalchemy, "shared.types_v1_tables")
    original = _undescribed(lattice)
    _assert_same(original, drafted.lattice, without={"transitions"}, change=_without_list_default)
    assert (drafted.left_behind, drafted.renamed) == ((), ())


def _undescribed(lattice: Lattice) -> Lattice:
    entities = {
        name: replace(entity, description=None) for name, entity in lattice.entities.items()
    }
    return replace(lattice, entities=entities)


def _as_stored(field: Field) -> Field:
    """A field as its column says it: durations are whole microseconds, items of lists are JSON."""

    def stored(kind: TypeRef) -> TypeRef:
        if isinstance(kind, OptionalType):
            return OptionalType(stored(kind.inner))
        if kind == _TIMEDELTA:
            return ScalarType(ScalarName.INT)
        return ListType(_JSON) if isinstance(kind, ListType) else kind

    if field.name == "wait":  # its limits are other numbers then, which another test shows
        return replace(
            field, type=stored(field.type), constraints=type(field.constraints)(), default=None
        )
    return _without_list_default(replace(field, type=stored(field.type)))


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of an empty database, on each of the two."""
    if request.param == "sqlite":
        (tmp_path / "app.db").touch()
        yield f"sqlite:///{tmp_path}/app.db"
        return
    connection: socket.socket = request.getfixturevalue("postgres_connection")
    host, port = connection.getpeername()[:2]
    server = f"postgresql+psycopg://postgres@{host}:{port}/test"
    schema = f"import_{uuid4().hex}"
    _execute(server, f"CREATE SCHEMA {schema}")
    yield f"{server}?options=-csearch_path%3D{schema}"
    _execute(server, f"DROP SCHEMA {schema} CASCADE")


def _execute(url: str, *statements: str) -> None:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


def test_a_compiled_database_is_drafted_as_its_lattice(database: str) -> None:
    """Live tables say everything but descriptions, item types, list defaults and durations."""
    lattice = load_lattice(LATTICES["tables"])
    with imported_modules(LATTICES["tables"].read_text()) as modules:
        tables: Any = modules["shared.types_v1_tables"]
        engine = tables.prepare_engine(sa.create_engine(database, poolclass=sa.NullPool))
        tables.metadata.create_all(engine)
        engine.dispose()
    drafted = _imported(draft_database, database)
    original = _undescribed(lattice)
    _assert_same(original, drafted.lattice, without={"transitions"}, change=_as_stored)
    assert "wait: {type: int, gt: 0, le: 3600000000, default: 300000000}" in drafted.text
    assert (drafted.left_behind, drafted.renamed) == ((), ())
    again = _imported(draft_database, database)
    assert again.text == drafted.text


FOREIGN = """\
from __future__ import annotations

import datetime as dt
import enum
from decimal import Decimal

import sqlalchemy as sa
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    pass


class Stamped:
    made: Mapped[dt.datetime] = mapped_column(sa.DateTime(timezone=True), server_default=sa.func.now())


class State(enum.Enum):
    OPEN = "open"
    PAID = "paid"


class User(Stamped, Base):
    \"\"\"Who buys.\"\"\"

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(sa.String(80), unique=True)
    nick: Mapped[str | None] = mapped_column("nick-name", sa.String(20), comment="How friends call them")
    metadata_: Mapped[dict] = mapped_column("metadata", sa.JSON, default=dict)
    orders: Mapped[list[Order]] = relationship(back_populates="user")

    @hybrid_property
    def shown(self) -> str:
        return self.email


class Order(Base):
    __tablename__ = "orders"
    __table_args__ = (
        sa.CheckConstraint("total >= 0 AND total <= paid_limit", name="total_in_limits"),
        sa.CheckConstraint("coalesce(total, 0) > -1", name="odd"),
        sa.UniqueConstraint("user_id", "number"),
    )

    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    total: Mapped[Decimal] = mapped_column(sa.Numeric(10, 2), default=0)
    paid_limit: Mapped[Decimal] = mapped_column(sa.Numeric(10, 2), server_default="100.00")
    state: Mapped[State] = mapped_column(default=State.OPEN, index=True)
    active: Mapped[bool] = mapped_column(server_default=sa.true())
    due: Mapped[dt.date | None]
    opened: Mapped[dt.time | None]
    user: Mapped[User] = relationship(back_populates="orders")


class Line(Base):
    __tablename__ = "line"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    order_user: Mapped[int]
    order_number: Mapped[int]
    __table_args__ = (sa.ForeignKeyConstraint(["order_user", "order_number"], ["orders.user_id", "orders.number"]),)


log = sa.Table("log", Base.metadata, sa.Column("text", sa.Text))
"""

ENTITIES = """\
  User:
    description: Who buys.
    persistence: table
    fields:
      id: {type: int, primary_key: true}
      email: {type: str, unique: true, max_length: 80}
      nick: {type: str | null, max_length: 20, default: null, description: How friends call them}
      metadata_: {type: json, default: {}}
      made: datetime
  Order:
    persistence: table
    fields:
      user_id: {type: int, primary_key: true, references: User.id}
      number: {type: int, primary_key: true}
      total: {type: decimal, ge: 0, precision: 10, scale: 2, default: 0}
      paid_limit: {type: decimal, precision: 10, scale: 2, default: 100}
      state: {enum: [OPEN, PAID], index: true, default: OPEN}
      active: {type: bool, default: true}
      due: {type: date | null, default: null}
      opened: {type: str | null, default: null}
    ensures:
      - "total <= paid_limit"
  Line:
    persistence: table
    fields:
      id: {type: int, primary_key: true}
      order_user: int
      order_number: int
  Log:
    fields:
      text: {type: str | null, default: null}
"""


def test_a_declarative_model_becomes_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mixins, keys, defaults and conditions are carried over; what only SQLAlchemy knows is listed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models.py").write_text(FOREIGN)
    drafted = _imported(draft_sqlalchemy, "models.py")
    assert _by_entity(drafted.text) == _by_entity(f"entities:\n{ENTITIES}")
    left = {
        (re.sub(r"models\.py:\d+", "models.py", one.place), one.what) for one in drafted.left_behind
    }
    assert left == {
        ("models.py", "relationship `orders` of `User`"),
        ("models.py", "hybrid `shown` of `User`"),
        ("models.py, column `id`", "value that the database counts up of `id`"),
        ("models.py, column `made`", "default `now()` of `made`"),
        ("models.py", "relationship `user` of `Order`"),
        ("models.py", "unique of user_id, number of `Order`"),
        ("models.py, column `user_id`", "`ondelete=CASCADE` of the foreign key of `user_id`"),
        ("models.py, column `opened`", "type Time of `opened`"),
        ("models.py", "CHECK `odd`: coalesce(total, 0) > -1"),
        ("models.py", "foreign key of order_user, order_number of `Line`"),
        ("table `log`", "table `log`"),
    }
    assert {one.what for one in drafted.renamed} == {
        "`table users`", "`table orders`", "`column nick-name`", "`column metadata`",
    }  # fmt: skip
    with imported_modules(drafted.text) as modules:
        types: Any = modules["shared.types_v1"]
        assert types.Order(user_id=1, number=2).state == "OPEN"


def _by_entity(text: str) -> set[str]:
    return set(re.split(r"\n(?=  \w)", text.partition("entities:\n")[2].rstrip("\n")))


def test_a_foreign_database_becomes_tables(database: str) -> None:
    """Hand-written SQL of either database gives one lattice; what it cannot say is listed."""
    _execute(
        database,
        "CREATE TABLE customers (id INTEGER PRIMARY KEY, email VARCHAR(80) NOT NULL UNIQUE,"
        " kind TEXT DEFAULT 'new' NOT NULL, age INTEGER CHECK (age BETWEEN 18 AND 150),"
        " CONSTRAINT kinds CHECK (kind IN ('new', 'old', 'it''s')))",
        "CREATE TABLE line_items (order_id INTEGER NOT NULL, position INTEGER NOT NULL,"
        " customer INTEGER REFERENCES customers (id), net NUMERIC(8, 2) NOT NULL DEFAULT 0.5,"
        " gross NUMERIC(8, 2) NOT NULL, PRIMARY KEY (order_id, position),"
        " CHECK (gross >= net), CHECK (net * 2 > gross OR customer IS NOT NULL))",
        "CREATE INDEX by_customer ON line_items (customer)",
        "CREATE INDEX by_two ON line_items (customer, net)",
        "CREATE VIEW emails AS SELECT email FROM customers",
    )
    drafted = _imported(draft_database, database)
    # The order of conditions is that of their text, which each database spells in its own way.
    assert sorted(drafted.text.partition("entities:\n")[2].splitlines()) == sorted(
        (
            "  Customers:\n"
            "    persistence: table\n"
            "    fields:\n"
            "      id: {type: int, primary_key: true}\n"
            "      email: {type: str, unique: true, max_length: 80}\n"
            "      kind: {enum: [new, old, it's], default: new}\n"
            "      age: {type: int | null, ge: 18, le: 150, default: null}\n"
            "  LineItems:\n"
            "    persistence: table\n"
            "    fields:\n"
            "      order_id: {type: int, primary_key: true}\n"
            "      position: {type: int, primary_key: true}\n"
            "      customer: {type: int | null, index: true, references: Customers.id, default: null}\n"
            "      net: {type: decimal, precision: 8, scale: 2, default: 0.5}\n"
            "      gross: {type: decimal, precision: 8, scale: 2}\n"
            "    ensures:\n"
            '      - "gross >= net"\n'
            '      - "net * 2 > gross or customer is not None"\n'
        ).splitlines()
    )
    assert [(one.place, one.what) for one in drafted.left_behind] == [
        ("view `emails`", "view"),
        ("table `line_items`", "index `by_two` of customer, net of `line_items`"),
    ]
    parse_lattice(drafted.text, file="lattice.yaml")
