"""Values cross the process border exactly, and nothing but values does."""

from __future__ import annotations

import copy
import json
import math
import pickle
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import StrEnum
from types import ModuleType
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict
from typing_extensions import override

from lattice_lock.gauntlet._codec import (
    Codec,
    MalformedError,
    NotDataError,
    TrustedClasses,
    take_over,
)


class Colour(StrEnum):
    """A trusted enum."""

    RED = "red"
    BLUE = "blue"


class Point(BaseModel):
    """A trusted entity that may change."""

    x: Decimal
    colour: Colour = Colour.RED


class Fixed(BaseModel):
    """A trusted entity that may not."""

    model_config = ConfigDict(frozen=True, extra="allow")

    items: list[int]


class Stranger(BaseModel):
    """An entity that is not trusted."""


def _trusted_module() -> ModuleType:
    module = ModuleType("shared.types_v1")
    for cls in (Colour, Point, Fixed):
        cls.__module__ = module.__name__
        setattr(module, cls.__name__, cls)
    return module


CODEC = Codec(TrustedClasses([_trusted_module()]), max_bytes=100_000)


def _across(value: object) -> Any:
    """The value after encoding, JSON text, and decoding."""
    return CODEC.decode(json.loads(json.dumps(CODEC.encode(value))))


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.decimals(allow_nan=True)
    | st.text()
    | st.text(st.characters(categories=["Cs"]), max_size=3)
    | st.binary()
    | st.uuids()
    | st.dates()
    | st.timedeltas()
    | st.datetimes(timezones=st.none() | st.timezones() | st.just(UTC))
    | st.sampled_from(Colour)
)
HASHABLE = st.integers() | st.text() | st.sampled_from(Colour) | st.uuids()
VALUES = st.recursive(
    SCALARS | st.builds(Point, x=st.decimals(allow_nan=False, allow_infinity=False)),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(HASHABLE, inner)
        | st.sets(HASHABLE)
        | st.frozensets(HASHABLE)
    ),
    max_leaves=10,
)


@given(VALUES)
def test_a_value_arrives_exactly(value: object) -> None:
    """Type, sign, exponent, order and zone survive; `repr` shows them all."""
    if isinstance(value, set | frozenset):
        assert (type(_across(value)), _across(value)) == (type(value), value)
    elif "set(" not in repr(value) and "{" not in repr(value):
        assert repr(_across(value)) == repr(value)
    assert CODEC.encode(_across(value)) == CODEC.encode(value)


AWKWARD = {
    "surrogates": "\ud800\udc00",
    "-0": Decimal("-0"),
    "trailing zero": Decimal("1.10"),
    "exponent": Decimal("1E+5"),
    "payload": Decimal("NaN123"),
    "infinity": Decimal("-Infinity"),
    "-0.0": -0.0,
    "inf": math.inf,
    "2**53": 2**53,
    "huge": -(10**5000),
    "bool": True,
    "fold": datetime(2024, 10, 27, 2, 30, tzinfo=ZoneInfo("Europe/Paris"), fold=1),
    "half an hour": datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=5, minutes=30))),
    "first day": date(1, 1, 1),
}


@pytest.mark.parametrize("value", AWKWARD.values(), ids=AWKWARD)
def test_awkward_scalars_arrive_exactly(value: object) -> None:
    """Negative zero, payloads, trailing zeros, huge numbers, folds: nothing is normalised."""
    arrived = _across(value)
    assert type(arrived) is type(value)
    assert pickle.dumps(arrived) == pickle.dumps(value)


def test_a_signalling_nan_arrives() -> None:
    """Even the value that refuses to be compared is carried over."""
    assert str(_across(Decimal("sNaN"))) == "sNaN"


def test_an_entity_is_rebuilt_without_validation() -> None:
    """What the worker claims to be an entity arrives as claimed, for the test to judge."""
    point = Point(x=Decimal(1))
    point.__dict__["x"] = "not a number"
    arrived = _across(point)
    assert type(arrived) is Point
    assert arrived.x == "not a number"
    assert arrived.model_fields_set == {"x"}


def test_extra_fields_of_an_entity_arrive() -> None:
    """An entity that allows more fields keeps them."""
    extended = Fixed.model_validate({"items": [1], "more": (1, 2)})
    assert _across(extended).model_extra == {"more": (1, 2)}


def _endless() -> list[object]:
    items: list[object] = []
    items.append(items)
    return items


class FakeZone(tzinfo):
    """A time zone of somebody's own."""

    @override
    def utcoffset(self, _when: datetime | None, /) -> timedelta:
        """Two hours, always."""
        return timedelta(hours=2)

    @override
    def dst(self, _when: datetime | None, /) -> None:
        """Unknown."""

    @override
    def tzname(self, _when: datetime | None, /) -> None:
        """None."""


class Text(str):
    """A subclass of `str`."""

    __slots__ = ()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Text("a"), "`Text`, a subclass of `str`, which is not plain data"),
        ([Text("a")], "`Text`, a subclass of `str`, which is not plain data"),
        (Stranger(), "Stranger`, which is not data"),
        (Point, "ModelMetaclass`, which is not data"),
        (object(), "a `object`, which is not data"),
        (len, "a `builtin_function_or_method`, which is not data"),
        (1j, "a `complex`, which is not data"),
        (_endless(), "nested deeper than 60 levels, or within itself"),
        ("x" * 200_000, "more than 97 KiB of data"),
        (1 << 10**6, "more than 97 KiB of data"),
        ([None] * 50_000, "more than 97 KiB of data"),
    ],
    ids=[
        *("str", "nested", "entity", "class", "object", "function", "complex", "endless"),
        *("text", "integer", "list"),
    ],
)
def test_what_is_not_data_is_refused_by_name(value: object, message: str) -> None:
    """Subclasses, strangers, objects, endless and oversized values are no data."""
    with pytest.raises(NotDataError) as caught:
        CODEC.encode(value)
    assert message in str(caught.value)


def test_a_foreign_time_zone_arrives_as_its_offset() -> None:
    """Nothing of a foreign class crosses, but the instant does."""
    when = datetime(2024, 1, 1, tzinfo=FakeZone())
    assert _across(when).tzinfo == timezone(timedelta(hours=2))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)
TAGS = st.sampled_from(
    [
        *("str", "int", "float", "decimal", "uuid", "bytes", "datetime", "date", "timedelta"),
        *("list", "tuple", "set", "dict", "enum", "entity"),
    ]
)
DESCRIPTIONS = JSON | st.builds(lambda tag, content: [tag, *content], TAGS, st.lists(JSON))


@given(DESCRIPTIONS)
def test_nonsense_is_refused_or_is_plain_data(description: object) -> None:
    """Whatever a worker sends either decodes to plain data or is malformed, nothing else."""
    try:
        value = CODEC.decode(description)
    except MalformedError:
        return
    CODEC.encode(value)


@pytest.mark.parametrize(
    "description",
    [
        ["enum", "shared.types_v1", "Colour", "GREEN"],
        ["enum", "shared.types_v1", "Point", "x"],
        ["enum", "os", "path", "x"],
        ["entity", "shared.types_v1", "Colour", [], [], None],
        ["entity", "shared.types_v1", "Nobody", [], [], None],
        ["set", [["list", []]]],
        ["datetime", "2024-01-01", 0, "../../etc/passwd"],
        ["timedelta", 10**30],
        ["pickle", "gASVAAAA"],
        [],
        {"result": 1},
    ],
    ids=str,
)
def test_a_malformed_description_is_refused(description: object) -> None:
    """Unknown tags, classes and members, and impossible values, are malformed."""
    with pytest.raises(MalformedError):
        CODEC.decode(description)


def test_taking_over_changes_in_place() -> None:
    """Lists, dicts, sets and mutable entities change; what is the same stays the same object."""
    nan, kept = float("nan"), [1]
    old: dict[str, Any] = {"n": [nan, 1], "kept": kept, "s": {1, 2}, "p": Point(x=Decimal(1))}
    new = copy.deepcopy(old)
    new["n"].append(2)
    new["s"].discard(1)
    new["p"].x = Decimal(2)
    new["more"] = None
    numbers, members, point = old["n"], old["s"], old["p"]
    assert take_over(old, _across(new), CODEC) is old
    assert numbers[0] is nan
    assert numbers[1:] == [1, 2]
    assert (members, point.x, old["kept"] is kept) == ({2}, Decimal(2), True)
    assert (old["n"] is numbers, old["s"] is members, old["p"] is point) == (True, True, True)
    assert list(old) == ["n", "kept", "s", "p", "more"]


def test_taking_over_shortens_lists_and_exchanges_immutable_values() -> None:
    """A frozen entity is never changed: a container gets another one in its place."""
    first = Fixed(items=[1])
    old: list[object] = [first, 2, 3]
    take_over(old, [Fixed(items=[9])], CODEC)
    assert old == [Fixed(items=[9])]
    assert first.items == [1]
