"""Strategies and types agree: what is generated is valid, and reaches the limits."""

from __future__ import annotations

import sys
import types
from contextlib import contextmanager
from decimal import Decimal
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings

from lattice_lock.core.compiler import compile_lattice
from lattice_lock.core.loader import parse_lattice

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel

_NUMBERS = count()

FIELDS = [
    "{type: int, gt: 0, lt: 3}",
    "{type: int, ge: -5, le: -5}",
    "{type: int, multiple_of: 7, gt: 7, le: 21}",
    "{type: int, ge: 10000000}",
    "{type: int, lt: -10000000}",
    "{type: decimal, gt: 0, scale: 2}",
    "{type: decimal, gt: 0, lt: '0.03', scale: 2}",
    "{type: decimal, ge: '0.001', le: '0.002'}",
    "{type: decimal, precision: 3, scale: 1}",
    "{type: decimal, precision: 3}",
    "{type: decimal, precision: 20, gt: 0, lt: '0.000001'}",
    "{type: decimal, multiple_of: '0.05', ge: 0, le: 1}",
    "{type: decimal, gt: 99, precision: 4, scale: 2}",
    "{type: float, gt: 0, lt: 1}",
    "{type: float, ge: 5}",
    "{type: str, min_length: 2, max_length: 3}",
    "{type: str, min_length: 30}",
    "{type: str, pattern: '[a-z]+[0-9]', max_length: 4}",
    "{type: str, pattern: 'a|b'}",
    "{type: bytes, min_length: 1, max_length: 2}",
    "{type: 'list[int]', min_length: 2, unique_items: true}",
    "{type: 'dict[str, bool]', min_length: 1, max_length: 2}",
    "{type: date, gt: 2024-02-28, lt: 2024-03-01}",
    "{type: datetime, ge: '2024-01-01T00:00:00+02:00', lt: '2024-01-01T00:00:01Z'}",
    "{type: timedelta, gt: PT1H, le: PT2H}",
    "{type: int | null, ge: 3, le: 4}",
    "{type: str | null, pattern: '[A-Z]{3}'}",
    "{enum: [a, b c, '9']}",
    "uuid",
    "json",
    "'list[Item] | null'",
    "{type: 'dict[str, list[Item]]'}",
]


@contextmanager
def loaded(text: str) -> Iterator[tuple[types.ModuleType, types.ModuleType]]:
    """The generated types and contract modules, importable while the block runs."""
    lattice = parse_lattice(text, file="lattice.yaml")
    compilation = compile_lattice(lattice)
    sources = dict(compilation.trusted_modules)
    implementation = compilation.contracts["IShop"].implementation_modules[0]
    sources[implementation] = "class Shop: ...\n"
    sources["contracts"] = compilation.contracts["IShop"].text
    names = ["shared", implementation.partition(".")[0], *sources]
    before = {name: sys.modules.get(name) for name in names}
    try:
        for name in names:
            sys.modules[name] = types.ModuleType(name)
        for name, source in sources.items():
            exec(compile(source, name, "exec"), vars(sys.modules[name]))  # noqa: S102  # our own text
        yield sys.modules[f"shared.{lattice.generated_module}"], sys.modules["contracts"]
    finally:
        for name, module in before.items():
            sys.modules.pop(name)
            if module is not None:
                sys.modules[name] = module


def lattice_of(field: str, ensures: str = "") -> str:
    """A lattice whose one entity has this field."""
    return (
        f"version: v1.0\ngenerated_module: types_{next(_NUMBERS)}\n"
        f"entities:\n  Item:\n    fields: {{value: {field}}}\n{ensures}"
        "interfaces:\n  IShop:\n    file: src/services/shop.py\n    methods:\n"
        "      sell: {params: {item: Item}, returns: null}\n"
    )


def drawn(strategy: Any, number: int = 60) -> list[BaseModel]:
    """Values of a strategy."""
    values: list[BaseModel] = []

    @settings(
        max_examples=number, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(strategy)
    def collect(value: BaseModel) -> None:
        values.append(value)

    collect()
    return values


@pytest.mark.parametrize("field", FIELDS)
def test_every_generated_value_is_valid(field: str) -> None:
    """The type takes what the strategy makes, strictly and unchanged."""
    with loaded(lattice_of(field)) as (types_module, contracts):
        values = drawn(contracts.item_values())
        assert values
        for value in values:
            assert types_module.Item.model_validate(value.model_dump(), strict=False) == value


@pytest.mark.parametrize(
    ("field", "least", "greatest"),
    [
        ("{type: int, gt: 0, lt: 4}", 1, 3),
        ("{type: decimal, gt: 0, lt: 1, scale: 1}", Decimal("0.1"), Decimal("0.9")),
        ("{type: decimal, ge: -1, le: 1, scale: 0}", Decimal(-1), Decimal(1)),
    ],
)
def test_both_ends_of_a_range_are_reached(field: str, least: object, greatest: object) -> None:
    """Limits are where errors live, so the strategies include them."""
    with loaded(lattice_of(field)) as (_, contracts):
        values = [vars(value)["value"] for value in drawn(contracts.item_values(), 200)]
        assert (min(values), max(values)) == (least, greatest)


def test_invariants_narrow_what_is_generated() -> None:
    """A limit on one field becomes a bound, a relation becomes a filter; both always hold."""
    ensures = "    ensures: ['value > 10', 'value % 2 == 0']\n"
    with loaded(lattice_of("{type: int, le: 14}", ensures)) as (_, contracts):
        values = {vars(value)["value"] for value in drawn(contracts.item_values())}
        assert values == {12, 14}
