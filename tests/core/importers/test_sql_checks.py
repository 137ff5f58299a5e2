"""Conditions of databases become constraints and clauses."""

# ruff: noqa: E501  # a condition and what it becomes on one line

from __future__ import annotations

import pytest

from lattice_lock.core.importers._sql_checks import CheckReader
from lattice_lock.core.importers.draft import DraftEntity, Element
from lattice_lock.core.type_refs import OptionalType, ScalarName, ScalarType

_KINDS = {
    "n": ScalarName.INT,
    "m": ScalarName.INT,
    "price": ScalarName.DECIMAL,
    "name": ScalarName.STR,
    "kind": ScalarName.STR,
    "day": ScalarName.DATE,
    "at": ScalarName.DATETIME,
    "flag": ScalarName.BOOL,
    "f": ScalarName.FLOAT,
}


def _read(*conditions: str) -> tuple[DraftEntity, list[str | None]]:
    fields = {name: Element(kind=ScalarType(kind), place="") for name, kind in _KINDS.items()}
    fields["maybe"] = Element(kind=OptionalType(ScalarType(ScalarName.INT)), place="")
    entity = DraftEntity(place="", fields=fields)
    reader = CheckReader(entity, {name: name for name in fields}, "t")
    return entity, [reader.read(text, None) for text in conditions]


@pytest.mark.parametrize(
    ("condition", "field", "constraints"),
    [
        ("n > 0", "n", {"gt": 0}),
        ("(n >= 0)", "n", {"ge": 0}),
        ("0 <= n AND n < 10", "n", {"ge": 0, "lt": 10}),
        ("n BETWEEN 1 AND 5", "n", {"ge": 1, "le": 5}),
        ("((price > (0)::numeric) AND (price < '100'::numeric(10,2)))", "price", {"gt": 0, "lt": 100}),
        ("CAST(price AS NUMERIC(10, 2)) <= 9.5", "price", {"le": 9.5}),
        ("length(name) >= 2", "name", {"min_length": 2}),
        ("char_length((name)::text) < 5", "name", {"max_length": 4}),
        ("name ~ '^[A-Z]+$'::text", "name", {"pattern": "[A-Z]+"}),
        ("n % 5 = 0", "n", {"multiple_of": 5}),
        ("mod(n, 5) = 0", "n", {"multiple_of": 5}),
        ("price = round(price, 2)", "price", {"scale": 2}),
        ("day >= '2020-01-01'::date", "day", {"ge": "2020-01-01"}),
        ("at < '2020-01-01 00:00:00+00'::timestamp with time zone", "at", {"lt": "2020-01-01T00:00:00Z"}),
        ("maybe IS NULL OR maybe > 3", "maybe", {"gt": 3}),
        ("n > 0 AND n > 5", "n", {"gt": 5}),
        ("`n` > 0", "n", {"gt": 0}),
        ('"t"."n" > -1', "n", {"gt": -1}),
    ],
)  # fmt: skip
def test_a_simple_condition_becomes_a_constraint(
    condition: str, field: str, constraints: dict[str, object]
) -> None:
    """What compares one column with a constant limits its field, however a database writes it."""
    entity, (why,) = _read(condition)
    assert why is None
    assert entity.fields[field].constraints == constraints
    assert entity.ensures == []


@pytest.mark.parametrize(
    "condition",
    [
        "kind IN ('a', 'b')",
        "((kind)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[]))",
        "(kind = ANY (ARRAY['a'::text, 'b'::text]))",
    ],
)
def test_a_list_of_texts_becomes_an_enum(condition: str) -> None:
    """`IN`, and what PostgreSQL makes of it, lists the values of an enum."""
    entity, (why,) = _read(condition)
    assert why is None
    assert getattr(entity.fields["kind"].kind, "values", None) == ("a", "b")


@pytest.mark.parametrize(
    ("condition", "clause"),
    [
        ("n < m", "n < m"),
        ("n <> 3", "n != 3"),
        ("n IN (1, 2)", "n in [1, 2]"),
        ("NOT (n = 3)", "n != 3"),
        ("n NOT IN (1, 2)", "n not in [1, 2]"),
        ("maybe < n", "maybe is None or maybe < n"),
        ("maybe IS NULL OR n > maybe", "maybe is None or (maybe is None or n > maybe)"),
        ("n > 0 OR (m > 0 AND maybe > 1)", "n > 0 or (m > 0 and (maybe is None or maybe > 1))"),
        ("(n + m) * 2 <= 10", "(n + m) * 2 <= 10"),
        ("price * 2 > n", "price * 2 > n"),
        ("lower(name) = name", "name.lower() == name"),
        ("name LIKE 'A%'", "name.startswith('A')"),
        ("name LIKE '%A%'", "'A' in name"),
        ("flag", "flag"),
        ("flag OR n > 0", "flag or n > 0"),
        ("length(name) > n", "len(name) > n"),
    ],
)
def test_other_comparisons_become_clauses(condition: str, clause: str) -> None:
    """What speaks of several columns becomes a clause; null satisfies it, as it does in SQL."""
    entity, (why,) = _read(condition)
    assert why is None
    assert [one.text for one in entity.ensures] == [clause]


@pytest.mark.parametrize(
    "condition",
    [
        "n = (SELECT 1)",
        "n > coalesce(maybe, 0)",
        "CASE WHEN n > 0 THEN true ELSE false END",
        "n / m > 1",
        "name LIKE 'a_b%c'",
        "name ~* 'a'",
        "unknown_column > 3",
        "n > 0 !",
        "(" * 500 + "n > 0" + ")" * 500,
        "n > 0 " * 5_000,
        "",
    ],
)
def test_what_cannot_be_read_is_left_behind_with_a_reason(condition: str) -> None:
    """A condition outside of simple comparisons changes nothing and gives a reason."""
    entity, (why,) = _read(condition)
    assert why
    assert entity.ensures == []
    assert not any(one.constraints for one in entity.fields.values())


def test_not_null_makes_a_field_required() -> None:
    """`IS NOT NULL` takes null away from the type."""
    entity, (why,) = _read("maybe IS NOT NULL")
    assert why is None
    assert entity.fields["maybe"].kind == ScalarType(ScalarName.INT)
