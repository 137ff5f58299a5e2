"""A rendered expression means to Python what `evaluate` says it means."""

from __future__ import annotations

import contextlib
from copy import deepcopy
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from typing_extensions import override

from lattice_lock.core.expressions import (
    EvaluationError,
    Scope,
    evaluate,
    parse_expression,
    to_python,
)
from lattice_lock.core.type_refs import (
    BOOL,
    INT,
    STR,
    DictType,
    EntityType,
    EnumType,
    ListType,
    OptionalType,
    ScalarName,
    ScalarType,
)
from lattice_lock.exceptions import ExpressionError, SourceLocation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hypothesis.strategies import SearchStrategy


class Status(StrEnum):
    """An enum as it is generated."""

    NEW = "new"
    PAID = "paid"


class Order(BaseModel):
    """An entity as it is generated."""

    total: Decimal
    status: Status
    note: str | None


DECIMAL = ScalarType(ScalarName.DECIMAL)
SCOPE = Scope(
    variables={
        "price": DECIMAL,
        "ratio": ScalarType(ScalarName.FLOAT),
        "qty": INT,
        "flag": BOOL,
        "name": STR,
        "note": OptionalType(STR),
        "due": ScalarType(ScalarName.DATE),
        "order": EntityType("Order"),
        "orders": ListType(EntityType("Order")),
        "numbers": ListType(INT),
        "names": ListType(STR),
        "stock": DictType(DECIMAL),
    },
    entities={
        "Order": {
            "total": DECIMAL,
            "status": EnumType("Status", ("new", "paid")),
            "note": OptionalType(STR),
        }
    },
    allow_old=True,
)
PLACE = SourceLocation(file="lattice.yaml", line=1, column=1)

_WORDS = st.sampled_from(["", "a", "B", "ab", "1", " x "])
_DECIMALS = st.decimals(-100, 100, places=2)
_ORDERS = st.fixed_dictionaries(
    {"total": _DECIMALS, "status": st.sampled_from(["new", "paid"]), "note": st.none() | _WORDS}
)
_INPUTS = st.fixed_dictionaries(
    {
        "price": _DECIMALS,
        "ratio": st.floats(-10, 10, allow_nan=False),
        "qty": st.integers(-5, 5),
        "flag": st.booleans(),
        "name": _WORDS,
        "note": st.none() | _WORDS,
        "due": st.dates(date(2024, 1, 1), date(2024, 12, 31)),
        "order": _ORDERS,
        "orders": st.lists(_ORDERS, max_size=3),
        "numbers": st.lists(st.integers(-3, 3), max_size=4),
        "names": st.lists(_WORDS, max_size=3),
        "stock": st.dictionaries(_WORDS, _DECIMALS, max_size=3),
    }
)


@st.composite
def _filled(draw: st.DrawFn, template: str, parts: _Parts) -> str:
    return template.format(**{name: draw(part) for name, part in parts.texts.items()})


class _Parts:
    """Strategies for the gaps of a template; its short repr keeps that of nested ones short."""

    def __init__(self, texts: dict[str, SearchStrategy[str]]) -> None:
        self.texts = texts

    @override
    def __repr__(self) -> str:
        return ", ".join(self.texts)


def _form(template: str, **parts: SearchStrategy[str]) -> SearchStrategy[str]:
    return _filled(template, _Parts(parts))


_INT_LEAVES = st.sampled_from(["qty", "old(qty)", "0", "1", "3", "len(names)", "len(name)", "-2"])
_DECIMAL_LEAVES = st.sampled_from(
    ["price", "old(price)", "order.total", "old(order.total)", "sum(stock.values()) + price"]
)
_STR_LEAVES = st.sampled_from(["name", "'a'", "'B'", "old(name)", "'x' + name"])
_NUMBER_LITERALS = st.sampled_from(["0.1", "0.25", "2", "(1 / 3)", "(0.1 + 0.2)"])
_COMPARISON = st.sampled_from(["<", "<=", "==", "!=", ">", ">="])
_SIGN = st.sampled_from(["+", "-", "*", "/", "//", "%"])

_INTS = st.recursive(
    _INT_LEAVES,
    lambda inner: st.one_of(
        _form("({a} {s} {b})", a=inner, b=inner, s=st.sampled_from(["+", "-", "*", "//", "%"])),
        _form("abs({a})", a=inner),
        _form("-({a})", a=inner),
        _form("({a}) ** 3", a=inner),
        _form("max({a}, {b})", a=inner, b=inner),
        _form("({a} if flag else {b})", a=inner, b=inner),
        _form("sum(n + {a} for n in numbers if n > {b})", a=_INT_LEAVES, b=_INT_LEAVES),
        _form("numbers[{a}]", a=inner),
        _form("len(names[{a}:{b}])", a=inner, b=inner),
        _form("min([n * {a} for n in numbers], default={b})", a=_INT_LEAVES, b=inner),
    ),
    max_leaves=5,
)
_DECIMAL_EXPRESSIONS = st.recursive(
    _DECIMAL_LEAVES,
    lambda inner: st.one_of(
        _form("({a} {s} {b})", a=inner, b=inner | _NUMBER_LITERALS | _INTS, s=_SIGN),
        _form("({b} {s} {a})", a=inner, b=_NUMBER_LITERALS | _INTS, s=_SIGN),
        _form("round({a}, 1)", a=inner),
        _form("max({b}, {a})", a=inner, b=_NUMBER_LITERALS),
        _form("({b} if flag else {a})", a=inner, b=_NUMBER_LITERALS),
        _form("stock[{k}]", k=_STR_LEAVES),
        _form("stock.get({k}, {a})", k=_STR_LEAVES, a=inner | _NUMBER_LITERALS),
        _form("sum(o.total * {b} for o in orders) + {a}", a=inner, b=_NUMBER_LITERALS),
    ),
    max_leaves=5,
)
_FLOATS = _form("ratio {s} {a}", s=_SIGN, a=_INTS | _NUMBER_LITERALS)
_STRS = st.one_of(
    _STR_LEAVES,
    _form("{a}.upper()", a=st.just("name")),
    _form("name[{a}:]", a=_INTS),
    _form("names[{a}]", a=_INTS),
)
_ATOMS = st.one_of(
    _form("{a} {c} {b}", a=_INTS, b=_INTS, c=_COMPARISON),
    _form("{a} {c} {b} {c} {d}", a=_INTS, b=_INTS, d=_INTS, c=_COMPARISON),
    _form("{a} {c} {b}", a=_DECIMAL_EXPRESSIONS, b=_DECIMAL_EXPRESSIONS, c=_COMPARISON),
    _form("{a} {c} {b}", a=_DECIMAL_EXPRESSIONS, b=_NUMBER_LITERALS, c=_COMPARISON),
    _form("{a} in [{b}, {d}]", a=_DECIMAL_EXPRESSIONS, b=_NUMBER_LITERALS, d=_INTS),
    _form("{a} {c} {b}", a=_FLOATS, b=_NUMBER_LITERALS, c=_COMPARISON),
    _form("{a} {c} {b}", a=_STRS, b=_STRS, c=_COMPARISON),
    _form("{a} in {b}", a=_STRS, b=st.sampled_from(["names", "stock", "name", "{'a', 'B'}"])),
    st.sampled_from(
        [
            "flag",
            "order.status == 'new'",
            "order.status in ('new', 'paid')",
            "order in orders",
            "order == old(order)",
            "note is None",
            # In brackets: what guards `note` must still do so beside whatever else is joined.
            "(note is None or len(note) > 1)",
            "(order.note is not None and order.note == note)",
            "due > '2024-06-30'",
            "sorted(names) == names",
            "set(names) == {n for n in names if n != ''}",
            "all(o.total > price or o.note is None for o in orders)",
            "{'new': 1, 'paid': 2}[order.status] > 1",
            "len({o.status for o in orders}) > 1",
            "stock.keys() == set(names)",
        ]
    ),
)
_CONDITIONS = st.recursive(
    _ATOMS,
    lambda inner: st.one_of(
        _form("({a} and {b})", a=inner, b=inner),
        _form("({a} or {b})", a=inner, b=inner),
        _form("not ({a})", a=inner),
        _form("implies({a}, {b})", a=inner, b=inner),
        _form("({a} if flag else {b})", a=inner, b=inner),
        _form("any({a} for extra in numbers)", a=_ATOMS),
    ),
    max_leaves=4,
)

_PYTHON_ERRORS = (ArithmeticError, LookupError, ValueError, TypeError)


def _build(values: Mapping[str, object]) -> dict[str, object]:
    """The same inputs as objects of the generated classes."""

    def order(fields: object) -> Order:
        return Order.model_validate(fields)

    orders = values["orders"]
    assert isinstance(orders, list)
    return {**values, "order": order(values["order"]), "orders": [order(one) for one in orders]}


@given(source=_CONDITIONS, now=_INPUTS, before=_INPUTS)
@settings(max_examples=200, deadline=None)
def test_evaluation_agrees_with_rendered_python(
    source: str, now: Mapping[str, object], before: Mapping[str, object]
) -> None:
    """On every well-typed condition and input, both give the same truth or both have none."""
    clause = parse_expression(source, scope=SCOPE, location=PLACE)
    rendered = to_python(clause, names={"price": "holder[0]"})
    namespace: dict[str, object] = {
        "Decimal": Decimal,
        "date": date,
        "datetime": datetime,
        "timedelta": timedelta,
        "UUID": UUID,
        "deepcopy": deepcopy,
    }
    needed = {name: namespace[name] for name in rendered.needs}
    was = _build(before)
    names = {**needed, **was, "holder": [was["price"]]}
    captured = {
        name: eval(text, {}, names)  # noqa: S307 -- the text that is under test
        for name, text in rendered.captures
    }
    actual = _build(now)
    scope = {**needed, **actual, **captured, "holder": [actual["price"]]}
    del scope["price"]
    truth: object = None
    with contextlib.suppress(*_PYTHON_ERRORS):
        truth = eval(rendered.text, scope)  # noqa: S307 -- the text that is under test
    found: object = None
    with contextlib.suppress(EvaluationError):
        found = evaluate(clause, MappingProxyType(dict(now)), old=before, budget=1_000_000)
    assert found == truth


@given(
    text=st.text(max_size=60) | st.text("()[]{}'\"\\ .,:=<>+-*/%notandorifelsexyqty01", max_size=80)
)
@settings(max_examples=200, deadline=None)
def test_any_text_is_parsed_or_refused(text: str) -> None:
    """Whatever the text, the one error is `ExpressionError`, at a place inside of the text."""
    try:
        clause = parse_expression(text, scope=SCOPE, location=PLACE)
    except ExpressionError as error:
        (problem,) = error.problems
        assert problem.location.line == 1
        assert 1 <= problem.location.column <= len(text) + 1
    else:
        assert clause.source == text.strip()
