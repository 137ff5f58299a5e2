"""Drafts from Pydantic models that people wrote."""

# ruff: noqa: E501  # the lines of a draft

from __future__ import annotations

from typing import TYPE_CHECKING

from lattice_lock.core.importers.child import project_python
from lattice_lock.core.importers.drafting import draft_lattice
from lattice_lock.core.importers.pydantic_models import draft_pydantic

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from lattice_lock.core.importers.draft import Draft
    from lattice_lock.core.importers.drafting import DraftedLattice

MODELS = '''\
from __future__ import annotations

import datetime as dt
import enum
import uuid
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NewType, Optional, TypeVar, Union

from annotated_types import Gt, Len
from pydantic import (
    AfterValidator, BaseModel, ConfigDict, Field, PositiveInt, RootModel, SecretStr,
    StringConstraints, computed_field, field_validator, model_validator,
)

T = TypeVar("T")
Code = NewType("Code", str)


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Page(BaseModel, Generic[T]):
    items: list[T]


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: PositiveInt = 9


class Dog(BaseModel):
    kind: Literal["dog"]


class Names(RootModel[list[str]]):
    pass


class Base(BaseModel):
    id: uuid.UUID


class Order(Base):
    """An order.

    Of many lines.
    """

    model_config = ConfigDict(str_strip_whitespace=True, extra="allow")

    price: Annotated[Decimal, Field(max_digits=8, decimal_places=2, gt=0)]
    ratio: float = Field(0.5, ge=0, le=1)
    color: Color = Color.RED
    level: Level = Level.LOW
    note: Optional[Annotated[str, StringConstraints(max_length=20, to_upper=True)]] = Field(
        None, description="What the buyer said", alias="theNote"
    )
    pets: list[Annotated[Union[Cat, Dog], Field(discriminator="kind")]] = []
    best: Cat | None = None
    tags: set[str] = Field(default_factory=set, max_length=3)
    sizes: Annotated[list[Annotated[int, Gt(0)]], Len(1, 4)] = [1]
    made: dt.datetime = Field(default_factory=dt.datetime.now)
    page: Page[int] | None = None
    code: Annotated[Code, Field(pattern=r"^[A-Z]{3}$")]
    even: Annotated[int, AfterValidator(lambda value: value)] = 2
    pair: tuple[int, str] = (1, "a")
    when: dt.timedelta = dt.timedelta(minutes=5)
    since: Annotated[dt.date, Field(ge=dt.date(2020, 1, 1))]
    counts: dict[str, Annotated[int, Field(ge=0)]] = {}
    sub: Order | None = None
    names: Names
    anything: Any = None
    secret: SecretStr
    schema_: dict[int, int] = {}

    @field_validator("code")
    @classmethod
    def _known(cls, value: str) -> str:
        return value

    @model_validator(mode="after")
    def _whole(self) -> Order:
        return self

    @computed_field
    @property
    def total(self) -> int:
        return 1
'''

ENTITIES = """\
  Cat:
    fields:
      kind: {enum: [cat]}
      lives: {type: int, gt: 0, default: 9}
  Dog:
    fields:
      kind: {enum: [dog]}
  Base:
    fields:
      id: uuid
  Order:
    description: |-
      An order.

      Of many lines.
    fields:
      id: uuid
      price: {type: decimal, gt: 0, precision: 8, scale: 2}
      ratio: {type: float, ge: 0, le: 1, default: 0.5}
      color: {enum: [red, blue], default: red}
      level: {type: int, default: 1}
      note: {type: str | null, max_length: 20, default: null, description: What the buyer said}
      pets: {type: "list[json]", default: []}
      best: {type: Cat | null, default: null}
      tags: {type: "list[str]", max_length: 3, unique_items: true, default: []}
      sizes: {type: "list[int]", min_length: 1, max_length: 4, default: [1]}
      made: datetime
      page: {type: PageInt | null, default: null}
      code: {type: str, pattern: "[A-Z]{3}"}
      even: {type: int, default: 2}
      pair: {type: "list[json]", min_length: 2, max_length: 2, default: [1, a]}
      when: {type: timedelta, default: PT5M}
      since: {type: date, ge: "2020-01-01"}
      counts: {type: "dict[str, int]", default: {}}
      sub: {type: Order | null, default: null}
      names: list[str]
      anything: {type: json, default: null}
      secret: str
      schema_: {type: "dict[str, int]", default: {}}
    ensures:
      - "level in [1, 2]"
      - "all(item > 0 for item in sizes)"
      - "all(item >= 0 for item in counts.values())"
  PageInt:
    fields:
      items: list[int]
"""


def _drafted(source: str) -> DraftedLattice:
    def fill(draft: Draft) -> None:
        draft_pydantic(source, draft, python=project_python(), timeout_s=60)

    return draft_lattice(fill, source=f"`{source}`")


def test_models_become_entities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Constraints, defaults, enums, nested and recursive models are carried over, the rest listed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop.py").write_text(MODELS)
    drafted = _drafted("shop.py")
    assert drafted.text.partition("entities:\n")[2] == ENTITIES
    line = MODELS[: MODELS.index("class Order")].count("\n") + 1
    assert {(one.place, one.what) for one in drafted.left_behind} == {
        (f"shop.py:{MODELS[: MODELS.index('class Page')].count(chr(10)) + 1}", "generic model `Page`"),
        (f"shop.py:{MODELS[: MODELS.index('class Names')].count(chr(10)) + 1}", "root model `Names`"),
        (f"shop.py:{line}", "validator `_known` of `Order`"),
        (f"shop.py:{line}", "validator `_whole` of `Order`"),
        (f"shop.py:{line}", "computed field `total` of `Order`"),
        (f"shop.py:{line}", "`str_strip_whitespace=True` of the model's config of `Order`"),
        (f"shop.py:{line}", "`extra='allow'` of the model's config of `Order`"),
        (f"shop.py:{line} Order.note", "`to_upper` of `note`"),
        (f"shop.py:{line} Order.note", "alias `theNote` of `note`"),
        (f"shop.py:{line} Order.pets", "union of Cat, Dog of `the items of pets`"),
        (f"shop.py:{line} Order.made", "default of `made`"),
        (f"shop.py:{line} Order.even", "`AfterValidator(<lambda>)` of `even`"),
        (f"shop.py:{line} Order.pair", "type `tuple[int, str]` of `pair`"),
        (f"shop.py:{line} Order.secret", "type `SecretStr` of `secret`"),
        (f"shop.py:{line} Order.schema_", "keys of type `int` of `schema_`"),
    }  # fmt: skip
    assert [(one.what, one.why) for one in drafted.renamed] == [("`Page[int]`", "called `PageInt`")]


def test_one_model_brings_those_that_it_mentions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`:Name` drafts one model of a package under `src` and what it refers to."""
    monkeypatch.chdir(tmp_path)
    package = tmp_path / "src" / "acme"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from acme.models import A, C\n")
    (package / "models.py").write_text(
        "from pydantic import BaseModel\n"
        "class B(BaseModel):\n    n: int\n"
        "class A(BaseModel):\n    b: B\n"
        "class C(BaseModel):\n    n: int\n"
    )
    assert list(_drafted("acme.models:A").lattice.entities) == ["A", "B"]
    assert list(_drafted("src/acme/models.py:A").lattice.entities) == ["A", "B"]
    assert list(_drafted("acme").lattice.entities) == ["A", "C", "B"]
