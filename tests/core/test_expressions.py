"""The expression language: what it takes, what it refuses, what it computes, how it is rendered."""

from __future__ import annotations

import contextlib
import time
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import pytest

from lattice_lock.core.expressions import (
    EvaluationError,
    Expression,
    Scope,
    constants,
    evaluate,
    parse_expression,
    to_python,
    variables,
)
from lattice_lock.core.type_refs import (
    BOOL,
    INT,
    JSON,
    STR,
    DictType,
    EntityType,
    EnumType,
    ListType,
    OptionalType,
    ScalarName,
    ScalarType,
)
from lattice_lock.exceptions import ExpressionError, Problem, SourceLocation

DECIMAL = ScalarType(ScalarName.DECIMAL)
FLOAT = ScalarType(ScalarName.FLOAT)
DATE = ScalarType(ScalarName.DATE)
DATETIME = ScalarType(ScalarName.DATETIME)
TIMEDELTA = ScalarType(ScalarName.TIMEDELTA)
STATUS = EnumType("OrderStatus", ("new", "paid"))
ORDER = EntityType("Order")
PLACE = SourceLocation(file="lattice.yaml", line=7, column=11)

SCOPE = Scope(
    variables={
        "price": DECIMAL,
        "ratio": FLOAT,
        "qty": INT,
        "flag": BOOL,
        "name": STR,
        "note": OptionalType(STR),
        "limit": OptionalType(INT),
        "due": DATE,
        "sent": DATETIME,
        "wait": TIMEDELTA,
        "key": ScalarType(ScalarName.UUID),
        "blob": ScalarType(ScalarName.BYTES),
        "data": JSON,
        "status": STATUS,
        "order": ORDER,
        "parent": OptionalType(ORDER),
        "names": ListType(STR),
        "prices": ListType(DECIMAL),
        "stock": DictType(INT),
        "result": DECIMAL,
    },
    entities={
        "Order": {
            "total": DECIMAL,
            "status": STATUS,
            "note": OptionalType(STR),
            "lines": ListType(EntityType("Line")),
        },
        "Line": {"price": DECIMAL, "qty": INT},
    },
    allow_old=True,
)


def parse(source: str, scope: Scope = SCOPE) -> Expression:
    """A checked expression in the common scope."""
    return parse_expression(source, scope=scope, location=PLACE)


def refusal(source: str, scope: Scope = SCOPE) -> Problem:
    """The one problem of an expression that must be refused."""
    with pytest.raises(ExpressionError) as caught:
        parse(source, scope)
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize(
    "source",
    [
        "price > 0",
        "0 < price <= 100 != qty",
        "price * 0.2 + 1 >= qty // 2 - -3 % 5",
        "qty ** 2 < 100 and not flag or name == 'x'",
        "order.status == 'paid' and order.status in ('new', 'paid')",
        "status != order.status",
        "names[0][1:-1].upper().strip().startswith('A')",
        "len(names) == len(set(names)) and sorted(names, reverse=True) == names",
        "all(line.qty > 0 for line in order.lines if line.price > 0.5)",
        "sum(line.price * line.qty for line in order.lines) == order.total",
        "sum(flag for item in names) > 1",
        "[item.lower() for item in names] == names",
        "{item for item in names} | set(names) == set(names)",
        "any(a == b for a in names for b in names)",
        "max(prices, default=0) >= min(price, 1, 0.5)",
        "abs(price - result) <= 0.01 and round(price, 2) == price and round(price) > 1",
        "stock[name] >= 1 and stock.get(name, 0) > 1 and name in stock",
        "sum(stock.values()) > 0 and 'a' in stock.keys() and len(stock) > 0",
        "{'a': 1, 'b': 2}[name] > 1",
        "implies(note is not None, len(note) > 0)",
        "(price if flag else 0) > 1",
        "result == old(price) + old(order.total)",
        "due >= '2024-02-29' and sent < '2024-02-29T00:00:00+01:00' and wait <= 'PT15M'",
        "due + wait > due and (sent - sent) * 2 < wait and wait + 'PT1S' > wait",
        "key == '12345678-1234-5678-1234-567812345678'",
        "blob == b'x' and len(blob) < 9",
        "data == {'a': [1]} or data is None",
        "names + ['x'] == names and name.split(',') == names and names.count('a') == 1",
        "(price, name) == (1, 'x') and (1, 'x')[1] == name",
        "[1, 0.5] == prices and {'a': 1} == stock and set(stock) == {'a'}",
        "[[]] == [names] and sum([]) == 0 and len(set([])) == 0 and sorted([]) == []",
        "{(1, 'a'), (2, 'b')} == {(qty, name) for item in names} and (1,) in [(1,), (qty,)]",
        "stock.get('a', 0.5) > 1 and min(names) == min('a', name) and max(name) == 'z'",
        "price * (0.1 if flag else 2) > 1 and abs(-0.1) * price == 1",
        "sum([0.1]) * price == 1",
        "[note, 'x'] == [None, note] and limit in [1, None] and note in names",
        "-wait < abs(wait) and +price > 0 and set(names) <= {'a'}",
        "set(names) & {'b'} == set([])",
        "'x' in name and name[0] == 'x' and name.isdigit()",
        "  price\n  > 0  ",
    ],
)
def test_a_well_typed_condition_is_taken(source: str) -> None:
    """Everything that contracts need is part of the language."""
    assert parse(source).source == source.strip()


@pytest.mark.parametrize(
    ("source", "column", "message", "hint"),
    [
        ("price", 0, "A clause must be true or false, but `price` is decimal", "`price != 0`"),
        ("names and flag", 0, "Each side of `and` must be true or false", "`len(names) > 0`"),
        ("flag and pric > 1", 9, "`pric` is not known here", "Did you mean `price`?"),
        ("order.totl > 1", 0, "Order has no field `totl`", "Did you mean `total`?"),
        ("order.status == 'pad'", 16, "`pad` is not a value of OrderStatus", "`paid`"),
        ("'pad' == order.status", 0, "`pad` is not a value of OrderStatus", "`paid`"),
        ("status in ['new', 'x']", 18, "`x` is not a value of OrderStatus", "`new`, `paid`"),
        ("status.value == 'new'", 0, "which has no `value`", "Compare `status`"),
        ("status > 'new'", 9, "have no order", None),
        ("price * ratio > 1", 0, "mixes decimal and float; `ratio` is float", "as decimal"),
        ("price == ratio", 9, "mixes decimal and float", "as decimal"),
        ("price < qty / qty", 8, "mixes decimal and float", "as decimal"),
        ("min(ratio, 1, price) > 0", 14, "mixes decimal and float", "as decimal"),
        ("len(note) > 1", 4, "`note` may be null here", "`note is None or ...`"),
        ("parent.total > 1", 0, "`parent` may be null here", "Guard it"),
        ("order.note.upper() == 'X'", 0, "`order.note` may be null here", "Guard it"),
        ("name == None", 8, "`==` does not ask for null", "`is None`"),
        ("name is True", 8, "`is` can only ask for `None`", "`==`"),
        ("name == qty", 8, "`name` is str and `qty` is int; they can never be equal", None),
        ("name + qty == 'x'", 0, "combines str and int", None),
        ("'a' * 10 == name", 0, "combines str and int", None),
        ("due < sent", 6, "have no order", None),
        ("due > '2024-13-01'", 6, "`2024-13-01` is not a date", "'2024-12-31'"),
        ("sent > '2024-12-01T00:00:00'", 7, "is not a datetime", "time zone"),
        ("wait > '15 minutes'", 7, "is not a timedelta", "ISO 8601"),
        ("key == 'abc'", 7, "is not a uuid", None),
        ("qty ** qty > 1", 0, "is not a power that is allowed", "constant from 0 to 64"),
        ("qty ** 65 > 1", 0, "is not a power that is allowed", None),
        ("data['a'] == 1", 0, "`data` is json, which has no items", None),
        ("name.format(qty) == 'x'", 0, "str has no method `format`", None),
        ("name.uper() == 'X'", 0, "str has no method `uper`", "Did you mean `upper`?"),
        ("order.total.real > 1", 0, "`order.total` is decimal, which has no `real`", None),
        ("lenn(names) > 1", 0, "`lenn` is not a function", "Did you mean `len`?"),
        ("__import__('os')", 0, "`__import__` is not a function", "Known here"),
        ("().__class__.__base__ == 1", 0, "which has no `__class__`", None),
        ("[].append(1) == 1", 0, "has no method `append`", None),
        ("old(old(price)) > 1", 4, "`old` inside `old`", None),
        ("old(result) > 1", 4, "`result` has no value before the call", None),
        ("old(1) > 1", 4, "`old(...)` needs a parameter", None),
        ("all(qty > 1 for qty in names)", 16, "`qty` hides another `qty`", "Rename it"),
        ("all(a > 1 for a, b in names)", 14, "A loop has one plain variable", "for item in"),
        ("all(_x == 'a' for _x in names)", 18, "cannot be called `_x`", None),
        ("sorted(order.lines) == order.lines", 7, "Values of Line have no order", "Sort one"),
        ("len(set(order.lines)) > 1", 8, "Values of Line cannot be in a set", None),
        ("(x for x in names) == names", 0, "a bare generator expression is not part", "Hand it"),
        ("stock.values() == [1]", 18, "`values()` equals nothing", "sorted"),
        ("(lambda: flag)()", 0, "cannot be called", None),
        ("f'{name}' == 'x'", 0, "an f-string is not part", "Join strings"),
        ("(y := 1) > 0", 1, "`:=` is not part", None),
        ("qty & 1 == 0", 0, "combines int and int", None),
        ("1j == 1", 0, "`1j` is not part", None),
        ("... is None", 0, "`...` is not part", None),
        ("1e999 > qty", 0, "`1e999` is too large", None),
        ("true", 0, "`true` is not known here", "Write `True`"),
        ("qty = 1", 4, "`=` is not a comparison", "Write `==`"),
        ("flag && flag", 6, "`&&` is not an operator here", "Write `and`"),
        ("qty > ", 4, "A clause is not an expression", None),
        ("'a", 0, "A clause is not an expression", None),
        (r"name == '\d'", 8, "A clause is not an expression", None),
        ("", 0, "A clause is empty", "price > 0"),
        ("flag # why\n and flag", 0, "cannot contain `#`", None),
        ("flag; flag", 4, "A clause is not an expression", None),
        ("len(*names) > 1", 4, "`*` is not part", None),
        ("sorted(names, key=name) == names", 18, "`sorted` takes no argument `key`", None),
        ("sum(names) > 1", 4, "`sum` adds numbers, these are str", None),
        ("all(names)", 4, "`all` needs conditions", None),
        ("name in qty", 8, "`qty` is int, which has no items", None),
        ("qty in names", 0, "`qty` is int, but the items are str", None),
        ("names[name] == 'x'", 6, "An index of list[str] must be int", None),
        ("[1, 'x'] == [1]", 4, "`'x'` is str, the others are int", None),
        ("len(qty) > 1", 4, "`qty` is int, which has no length", None),
        ("len(names, 1) > 1", 0, "`len` takes one argument, not 2", None),
        ("round(name) == 1", 6, "`round` needs a number", None),
        ("round(price, qty) == 1", 13, "a constant number of digits", None),
        ("round(price, 1, 2) == 1", 0, "one or two arguments, not 3", None),
        ("abs(name) == 1", 4, "`abs` needs a number", None),
        ("-name == 'x'", 0, "needs a number, this is str", None),
        ("min() > 1", 0, "`min` needs an argument", None),
        ("min(price, 1, default=0) > 1", 22, "takes no default", None),
        ("min(prices, default='x') > 1", 20, "The default is str, but the values are dec", None),
        ("max(order.lines) == 1", 0, "Values of Line have no order", None),
        ("implies(flag) and flag", 0, "`implies` takes two conditions, not 1", None),
        ("stock.get('a', 0, 1) > 1", 0, "one or two arguments, not 3", None),
        ("stock.get(1, 0) > 1", 10, "The keys are str, this is int", None),
        ("stock.pop('a') > 1", 0, "has no method `pop`", "`get`, `keys`, `values`"),
        ("stock.keys(1) == stock.keys()", 0, "`keys` takes no arguments", None),
        ("names.count(1) > 1", 12, "The items are str, this is int", None),
        ("name.lower(1) == 'x'", 0, "`lower` takes no arguments", None),
        ("name.startswith(1)", 0, "`startswith` takes str", None),
        ("name.lower(x=1) == 'x'", 13, "takes no named arguments", None),
        ("names[0]() == 'x'", 0, "`names[0]` cannot be called", None),
        ("(1, 'x')[2] == 1", 9, "must be a number from 0 to 1", None),
        ("(1, 'x')[qty] == 1", 9, "must be a number from 0 to 1", None),
        ("names[::2] == names", 8, "a start and an end only", None),
        ("names['a':] == names", 6, "The limits of a slice must be int", None),
        ("stock[1:2] == stock", 0, "cannot be sliced", None),
        ("{1: 2}[name] == 2", 1, "The keys of a dict must be str", None),
        ("{line for line in order.lines} == set()", 0, "Values of Line cannot be in a set", None),
        ("{order} == {order}", 0, "Values of Order cannot be in a set", None),
        ("order in {'a'}", 0, "A value of Order cannot be in a set", None),
        ("1 in name", 0, "Only a str can be in a str", None),
        ("names < names", 8, "Values of list[str] have no order", None),
        ("None + 1 == 1", 0, "`None` can only be compared", None),
        ("(note if flag else 'x') + 'y' == 'x'", 1, "may be null here", "cannot be null"),
        ("(1, name) == (1, 2)", 13, "they can never be equal", None),
        ("{'a': 1} == {'a': 'x'}", 12, "they can never be equal", None),
    ],
)
def test_a_wrong_condition_is_refused_at_its_column(
    source: str, column: int, message: str, hint: str | None
) -> None:
    """A refusal says what is wrong, at the character where it is, and what to write instead."""
    problem = refusal(source)
    assert message in problem.message
    assert problem.location == SourceLocation(
        file="lattice.yaml", line=7, column=PLACE.column + column
    )
    if hint is not None:
        assert problem.hint is not None
        assert hint in problem.hint


def test_columns_count_characters_not_bytes() -> None:
    """Characters outside of ASCII before the fault do not shift its column."""
    assert refusal("name == 'äöü€' and pric > 1").location.column == PLACE.column + 19


def test_old_is_refused_where_nothing_was_called() -> None:
    """`old(...)` belongs into the post-conditions of a method."""
    scope = Scope(variables={"qty": INT})
    assert "`ensures` of a method" in refusal("old(qty) > 1", scope).message


def test_a_variable_hides_the_function_of_the_same_name() -> None:
    """A field called `max` can be used, and then cannot be called."""
    scope = Scope(variables={"max": INT})
    assert to_python(parse("max > 1", scope), names={"max": "self.max"}).text == "self.max > 1"
    assert "`max` is a variable here" in refusal("max(1, 2) > max", scope).message


@pytest.mark.parametrize(
    "source",
    [
        "note is None or len(note) > 1",
        "note is not None and len(note) > 1",
        "not (note is not None) or len(note) > 1",
        "not (note is None or len(note) < 1) and len(note) > 1",
        "implies(note is not None and flag, len(note) > 1)",
        "(len(note) if note is not None else 0) > 1",
        "(0 if note is None else len(note)) > 1",
        "order.note is None or order.note.upper() == 'X'",
        "parent is None or parent.note is None or len(parent.note) > 1",
        "limit is None or flag or limit + 1 > 2",
        "old(order.note) is None or len(old(order.note)) > 1",
        "old(order).note is None or len(old(order.note)) > 1",
        "stock.get(name) is None or stock.get(name) > 1",
        "note is not None and all(len(note) > len(item) for item in names)",
        "old(note is None or len(note) > 1)",
        "limit == 3 or note == 'x'",
    ],
)
def test_a_guard_against_null_is_understood(source: str) -> None:
    """After a test for null the value counts as present, wherever evaluation order allows it."""
    assert parse(source)


@pytest.mark.parametrize(
    "source",
    [
        "note is None and len(note) > 1",
        "note is not None or len(note) > 1",
        "len(note) > 1 or note is None",
        "flag or note is not None and flag or len(note) > 1",
        "implies(note is None, len(note) > 1)",
        "(len(note) if note is None else 0) > 1",
        "note is None or len(old(note)) > 1",
        "old(note) is None or len(note) > 1",
        "order.note is None or len(note) > 1",
        "(note is None or flag) and len(note) > 1",
        "(note is not None or flag) and len(note) > 1",
        "not (note is None and flag) and len(note) > 1",
    ],
)
def test_a_guard_that_does_not_protect_is_refused(source: str) -> None:
    """A test for null on another path, another place or another time protects nothing."""
    assert "may be null here" in refusal(source).message


@pytest.mark.parametrize(
    "source",
    [
        "(" * 999 + "1" + ")" * 999,
        "-" * 1990 + "1",
        "not " * 499 + "1",
        "[" * 999 + "]" * 999,
        "+".join("1" * 999) + ">1",
        "1" + ".a" * 900,
        "x" * 2000,
        "1<" * 999 + "1",
        "1==(" * 400 + "1" + ")==1" * 400,
        "flag==(" * 28 + "flag" + ")==flag" * 28,
        "flag in [" * 29 + "flag" + "]" * 29,
        "if " * 600,
        "a" * 3000,
        "\x00",
        "9" * 1999,
        "lambda " * 250,
        "{" * 1999,
        "'" + "\\" * 1998,
        "flag if " * 240,
        "\ud800 > 1",
    ],
)
def test_a_hostile_text_is_refused_quickly(source: str) -> None:
    """Deep, long and odd texts end in an answer at once, never in a stack or a memory error."""
    start = time.perf_counter()
    with contextlib.suppress(ExpressionError):
        parse(source)
    assert time.perf_counter() - start < 2.0


VALUES: dict[str, object] = {
    "price": Decimal("10.50"),
    "ratio": 0.5,
    "qty": 3,
    "flag": True,
    "name": "abc",
    "note": None,
    "limit": None,
    "due": date(2024, 2, 29),
    "sent": datetime(2024, 2, 29, tzinfo=timezone.utc),  # noqa: UP017 -- as written by people
    "wait": timedelta(minutes=15),
    "key": UUID(int=1),
    "blob": b"x",
    "data": {"a": [1]},
    "status": "new",
    "order": {
        "total": Decimal("0.30"),
        "status": "paid",
        "note": "n",
        "lines": [{"price": Decimal("0.1"), "qty": 1}, {"price": Decimal("0.1"), "qty": 2}],
    },
    "parent": None,
    "names": ["b", "a"],
    "prices": [],
    "stock": {"a": 1, "b": 0},
    "result": Decimal(0),
}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("price * 0.2 == 2.1", True),
        ("0.1 + 0.2 == order.total", True),
        ("ratio - 0.4 == 0.1", False),
        ("1 / 3 + price == 10.83333333333333333333333333", True),
        ("price / 3 == 3.5", True),
        ("qty / 2 == 1.5", True),
        ("sum(line.price * line.qty for line in order.lines) == order.total", True),
        ("all(line.qty > 1 for line in order.lines)", False),
        ("[item for item in names if item > 'a'] == ['b']", True),
        ("{item for item in names} == {'a', 'b'}", True),
        ("sorted(names) == ['a', 'b'] and names != sorted(names)", True),
        ("implies(flag, qty > 5)", False),
        ("implies(not flag, qty > 5)", True),
        ("note is None or note == 'x'", True),
        ("max(prices, default=7) == 7", True),
        ("due == '2024-02-29' and due + wait == due", True),
        ("sent == '2024-02-29T01:00:00+01:00'", True),
        ("wait == 'PT15M'", True),
        ("key == '00000000-0000-0000-0000-000000000001'", True),
        ("data == {'a': [1]}", True),
        ("status in {'new', 'paid'} and order.status == 'paid'", True),
        ("name[-1] == 'c' and name[:2] == 'ab' and 'bc' in name", True),
        ("stock.get('z', 9) == 9 and stock['a'] == 1", True),
        ("set(names) - {'a'} == {'b'}", True),
        ("1 < qty < 3", False),
        ("(1 if flag else 2) == 1", True),
        ("old(qty) == 5 and qty == 3", True),
        ("old(qty) + qty == 8 and name.upper() == 'ABC'", True),
        ("round(price) == 10 and round(2.5) == 2 and round(price / 4, 1) == 2.6", True),
    ],
)
def test_a_condition_has_the_value_that_python_gives_it(source: str, expected: object) -> None:
    """Evaluation over plain values follows Python, with exact decimals."""
    assert evaluate(parse(source), VALUES, old={"qty": 5}) is expected


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("1 // (qty - 3) > 0", "zero"),
        ("price / (qty - 3) > 0", "DivisionByZero"),
        ("prices[0] > 1", "out of range"),
        ("stock['nope'] > 1", "nope"),
        ("min(prices) > 1", "no value"),
        ("name.split('') == names", "separator"),
        ("((((qty ** 64) ** 64) ** 64) ** 64) > 1", "too large"),
        ("old(price) > 1", "`price` has no value"),
        ("due + wait * 99999999999 > due", "out of range|too large|days"),
    ],
)
def test_a_condition_without_a_value_says_so(source: str, reason: str) -> None:
    """Whatever keeps a condition from having a value is one kind of error."""
    names = {name: value for name, value in VALUES.items() if name != "price" or "/" in source}
    with pytest.raises(EvaluationError, match=reason):
        evaluate(parse(source), names, old=names)


def test_the_budget_bounds_time() -> None:
    """Five nested loops over a thousand items stop at the budget."""
    loops = " ".join(f"for {name} in names" for name in "abcde")
    clause = parse(f"len([a {loops}]) > 1")
    start = time.perf_counter()
    with pytest.raises(EvaluationError, match="too many steps"):
        evaluate(clause, {"names": ["x"] * 1000})
    assert time.perf_counter() - start < 2.0


def test_growing_values_are_charged_by_their_size() -> None:
    """Doubling a list fifty times cannot fill the memory."""
    clause = parse("len(" + "(" * 10 + "names" + " + names + names)" * 10 + ") > 1")
    with pytest.raises(EvaluationError, match="too many steps"):
        evaluate(clause, {"names": ["x"] * 100_000})


@pytest.mark.parametrize(
    ("source", "text", "needs"),
    [
        ("price*0.2 > 1", "self.price * Decimal('0.2') > 1", {"Decimal"}),
        ("price > 1", "self.price > 1", set()),
        ("ratio > 0.2", "ratio > 0.2", set()),
        ("implies(flag and flag, qty > 1)", "not (flag and flag) or qty > 1", set()),
        ("not implies(flag, flag)", "not (not flag or flag)", set()),
        ("due > '2024-12-31'", "due > date.fromisoformat('2024-12-31')", {"date"}),
        (
            "sent > '2024-12-31T00:00:00Z'",
            "sent > datetime.fromisoformat('2024-12-31T00:00:00+00:00')",
            {"datetime"},
        ),
        (
            "wait > 'P1DT1.5S'",
            "wait > timedelta(days=1, seconds=1, microseconds=500000)",
            {"timedelta"},
        ),
        (
            "key != '12345678-1234-5678-1234-567812345678'",
            "key != UUID('12345678-1234-5678-1234-567812345678')",
            {"UUID"},
        ),
        ("status == 'new'", "status == 'new'", set()),
        ("any(p > price for p in prices)", "any((p > self.price for p in prices))", set()),
    ],
)
def test_rendered_text_is_python(source: str, text: str, needs: set[str]) -> None:
    """Literals are rendered in the type they settled on, variables under their new names."""
    rendered = to_python(parse(source), names={"price": "self.price"})
    assert rendered.text == text
    assert rendered.needs == needs
    assert rendered.captures == ()


def test_old_values_are_captured_before_the_call() -> None:
    """Each variable inside of `old(...)` is copied once, under a name that nothing else has."""
    scope = Scope(
        variables={"order": ORDER, "old_order": ORDER, "qty": INT},
        entities=SCOPE.entities,
        allow_old=True,
    )
    clause = parse("old(order.total) + old(order.total) == qty + old_order.total", scope)
    rendered = to_python(clause, names={"qty": "n"})
    assert rendered.captures == (("old_order_", "deepcopy(order)"),)
    assert rendered.text == "old_order_.total + old_order_.total == n + old_order.total"
    assert rendered.needs == {"deepcopy"}


def test_constants_are_mined_in_their_settled_type() -> None:
    """Literals come out once each, with their sign, as what they mean."""
    clause = parse("price > -0.5 and qty != 3 and qty != -3 and due < '2024-12-31' and qty < 3")
    assert constants(clause) == (Decimal("-0.5"), 3, -3, date(2024, 12, 31))


def test_variables_leave_out_loops_and_functions() -> None:
    """Only names of the scope count as variables."""
    clause = parse("all(len(item) > old(qty) for item in names)")
    assert variables(clause) == {"names", "qty"}


def test_a_long_decimal_literal_is_exact() -> None:
    """A literal with more digits than a float holds keeps them all."""
    clause = parse("price == 0.1234567890123456789012345")
    assert constants(clause) == (Decimal("0.1234567890123456789012345"),)


@pytest.mark.parametrize("source", ["price > 1e-500", f"{'9' * 500} / 3 * price > 1"])
def test_a_decimal_literal_beyond_any_range_is_refused(source: str) -> None:
    """A literal that no decimal column holds is a mistake, not an exception from within."""
    assert "is out of range" in refusal(source).message


def test_underscores_in_literals_are_read() -> None:
    """Python allows them, so they mean what they mean there."""
    assert constants(parse("price == 1_000.5")) == (Decimal("1000.5"),)


def test_rounding_a_gigantic_decimal_is_refused() -> None:
    """Writing out a million digits would take seconds."""
    with pytest.raises(EvaluationError, match="too large"):
        evaluate(parse("round(price) > 1"), {"price": Decimal("1E+999999")})
