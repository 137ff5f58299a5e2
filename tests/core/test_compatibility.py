"""What changed between two lattices, whom it breaks, and the version it needs."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from lattice_lock.core._constraint_checks import broken_constraint
from lattice_lock.core.compatibility import Bump, Change, Party, compare_elements
from lattice_lock.core.elements import describe_elements
from lattice_lock.core.loader import load_lattice, parse_lattice
from lattice_lock.exceptions import LatticeError

if TYPE_CHECKING:
    from lattice_lock.core.schema import Constraints

PAYLOADS = Path(__file__).parent / "payloads"

LATTICE = """\
version: {version}
generated_module: types_v1
config: {{source_root: src, forbidden_imports: [requests]}}
entities:
  Order:
    description: An order.
    fields:
      id: {{type: uuid, primary_key: true}}
      number: {{type: int, ge: 1, le: 10}}
      price: {{type: decimal, gt: 0, scale: 2, precision: 6}}
      name: {{type: str, min_length: 1, max_length: 80}}
      code: {{type: str, pattern: "[A-Z]+"}}
      note: str | null
      state: {{enum: [open, paid], default: open}}
      due: {{type: date, ge: 2020-01-01}}
      wait: {{type: timedelta, le: P30D}}
      tags: {{type: "list[str]", default: []}}
    transitions: {{state: {{open: [paid]}}}}
    ensures: ["price < 100", {{name: named, condition: "len(name) > 1"}}]
interfaces:
  IShop:
    file: src/shop.py
    methods:
      pay:
        params: {{order: Order, amount: {{type: decimal, gt: 0}}}}
        returns: {{type: decimal, ge: 0}}
        requires: ["amount < 50"]
        ensures: ["result <= amount"]
        raises: {{ValueError: "order.price > amount"}}
      count:
        params: {{least: int}}
        returns: int
        ensures: ["result > 3"]
      find:
        params: {{id: uuid}}
        returns: Order
policies: [{{use: no-secrets}}]
"""


def elements(text: str) -> dict[str, str]:
    """Elements of a lattice's text."""
    return describe_elements(parse_lattice(text, file="lattice.yaml"))


def changed(*edits: tuple[str, str], old: str = "v1.0", new: str = "v1.0") -> tuple[Change, ...]:
    """Changes that edits of the lattice above make."""
    text = LATTICE.format(version=new)
    for before, after in edits:
        assert before in text, before
        text = text.replace(before, after, 1)
    return compare_elements(elements(LATTICE.format(version=old)), elements(text)).changes


P, C, K, I = Party.PRODUCERS, Party.CONSUMERS, Party.CALLERS, Party.IMPLEMENTERS  # noqa: E741 -- a table
MAJOR, MINOR, PATCH = Bump.MAJOR, Bump.MINOR, Bump.PATCH
_ORDER = "entities.Order"
_STATE = f"{_ORDER}.transitions.state"
_FIELDS = f"{_ORDER}.fields"
_Edit = tuple[str, str]
_Effect = tuple[Bump, set[Party], set[Party]]
_METHODS = "interfaces.IShop.methods"
_PAY, _COUNT, _FIND = f"{_METHODS}.pay", f"{_METHODS}.count", f"{_METHODS}.find"


@pytest.mark.parametrize(
    ("edit", "subject", "effect"),
    [
        # fields come, go and are renamed
        (("note: str", "more: int\n      note: str"), f"{_FIELDS}.more", (MAJOR, {P}, {C})),
        (
            ("note: str", "more: {type: int, default: 1}\n      note: str"),
            f"{_FIELDS}.more",
            (MINOR, set(), {C}),
        ),
        (("      note: str | null\n", ""), f"{_FIELDS}.note", (MAJOR, {P, C}, set())),
        (
            ("note: str | null", "remark: {type: str | null, renamed_from: note}"),
            f"{_FIELDS}.remark",
            (MAJOR, {P, C}, set()),
        ),
        # types
        (("str | null", "str"), f"{_FIELDS}.note", (MAJOR, {P}, set())),
        (
            ("number: {type: int", "number: {type: int | null"),
            f"{_FIELDS}.number",
            (MAJOR, {C}, set()),
        ),
        (("note: str", "note: int"), f"{_FIELDS}.note", (MAJOR, {P, C}, set())),
        (("list[str]", "list[str | null]"), f"{_FIELDS}.tags", (MAJOR, {C}, set())),
        (("list[str]", "list[int]"), f"{_FIELDS}.tags", (MAJOR, {P, C}, set())),
        (("[open, paid]", "[open, paid, lost]"), f"{_FIELDS}.state", (MINOR, set(), {C})),
        (("[open, paid]", "[paid, open]"), f"{_FIELDS}.state", (PATCH, set(), set())),
        # constraints
        (("ge: 1,", "ge: 2,"), f"{_FIELDS}.number", (MAJOR, {P}, set())),
        (("ge: 1,", "gt: 1,"), f"{_FIELDS}.number", (MAJOR, {P}, set())),
        (("ge: 1,", "ge: -5,"), f"{_FIELDS}.number", (MINOR, set(), {C})),
        (("ge: 1,", "ge: 1.0,"), f"{_FIELDS}.number", (PATCH, set(), set())),
        (("ge: 1, le: 10", "ge: 1"), f"{_FIELDS}.number", (MINOR, set(), {C})),
        (("le: 10", "le: 9"), f"{_FIELDS}.number", (MAJOR, {P}, set())),
        (("le: 10", "le: 10, multiple_of: 2"), f"{_FIELDS}.number", (MAJOR, {P}, set())),
        (
            ("scale: 2, precision: 6", "scale: 1, precision: 5"),
            f"{_FIELDS}.price",
            (MAJOR, {P}, set()),
        ),
        (("precision: 6", "precision: 9"), f"{_FIELDS}.price", (MINOR, set(), {C})),
        (("max_length: 80", "max_length: 81"), f"{_FIELDS}.name", (MINOR, set(), {C})),
        (("min_length: 1", "min_length: 2"), f"{_FIELDS}.name", (MAJOR, {P}, set())),
        (("[A-Z]+", "[A-Z]*"), f"{_FIELDS}.code", (MAJOR, set(), {P, C})),
        (('{type: str, pattern: "[A-Z]+"}', "str"), f"{_FIELDS}.code", (MINOR, set(), {C})),
        (("2020-01-01", "2020-01-02"), f"{_FIELDS}.due", (MAJOR, {P}, set())),
        (("2020-01-01", "1999-12-31"), f"{_FIELDS}.due", (MINOR, set(), {C})),
        (("P30D", "P3D"), f"{_FIELDS}.wait", (MAJOR, {P}, set())),
        (("P30D", "P30DT0.5S"), f"{_FIELDS}.wait", (MINOR, set(), {C})),
        # what else a field has
        (("default: open", "default: paid"), f"{_FIELDS}.state", (MINOR, set(), {P})),
        ((", default: open", ""), f"{_FIELDS}.state", (MAJOR, {P}, set())),
        (
            ("note: str | null", "note: {type: str | null, default: null}"),
            f"{_FIELDS}.note",
            (MINOR, set(), set()),
        ),
        (("le: 10", "le: 10, unique: true"), f"{_FIELDS}.number", (MAJOR, set(), {P})),
        ((", primary_key: true", ""), f"{_FIELDS}.id", (MINOR, set(), {C})),
        (("le: 10", "le: 10, index: true"), f"{_FIELDS}.number", (PATCH, set(), set())),
        (
            ("due: {", "due: {description: When., "),
            f"{_FIELDS}.due description",
            (PATCH, set(), set()),
        ),
        # entities
        (
            ("interfaces:", "  New: {fields: {n: int}}\ninterfaces:"),
            "entities.New",
            (MINOR, set(), set()),
        ),
        (("An order.", "Our order."), f"{_ORDER} description", (PATCH, set(), set())),
        (("    fields:", "    persistence: table\n    fields:"), _ORDER, (MINOR, set(), set())),
        (("{open: [paid]}", "{open: [paid], paid: [open]}"), f"{_STATE}.paid", (MINOR, set(), {C})),
        (("{open: [paid]}", "{open: [open]}"), f"{_STATE}.open", (MAJOR, {P}, set())),
        (("    transitions: {state: {open: [paid]}}\n", ""), _STATE, (MINOR, set(), {C})),
        # invariants
        (
            ('"price < 100"', '"price < 100", "number > 2"'),
            f"{_ORDER}.ensures",
            (MAJOR, {P}, set()),
        ),
        (('"price < 100", ', ""), f"{_ORDER}.ensures", (MINOR, set(), {C})),
        (("price < 100", "price < 99.5"), f"{_ORDER}.ensures", (MAJOR, {P}, set())),
        (("price < 100", "price <= 100"), f"{_ORDER}.ensures", (MINOR, set(), {C})),
        (("price < 100", "price != 100"), f"{_ORDER}.ensures", (MAJOR, set(), {P, C})),
        (("name: named", "name: other"), f"{_ORDER}.ensures", (PATCH, set(), set())),
        # interfaces, methods, parameters
        (("src/shop.py", "src/other.py"), "interfaces.IShop", (MAJOR, {K}, set())),
        (
            ("      count:", "      sum: {returns: int}\n      count:"),
            f"{_METHODS}.sum",
            (MINOR, {I}, set()),
        ),
        (("order: Order,", "order: Order, by: str,"), f"{_PAY}.params.by", (MAJOR, {K, I}, set())),
        (("{least: int}", "{least: int | null}"), f"{_COUNT}.params.least", (MINOR, {I}, set())),
        (("least: int", "least: str"), f"{_COUNT}.params.least", (MAJOR, {K, I}, set())),
        (
            ("{type: decimal, gt: 0}}", "{type: decimal, gt: 1}}"),
            f"{_PAY}.params.amount",
            (MAJOR, {K}, set()),
        ),
        (("{type: decimal, gt: 0}}", "decimal}"), f"{_PAY}.params.amount", (MINOR, {I}, set())),
        (("{type: decimal, ge: 0}", "decimal"), f"{_PAY}.returns", (MAJOR, {K}, set())),
        (
            ("{type: decimal, ge: 0}", "{type: decimal, ge: 1}"),
            f"{_PAY}.returns",
            (MINOR, {I}, set()),
        ),
        (("returns: Order", "returns: Order | null"), f"{_FIND}.returns", (MAJOR, {K}, set())),
        (("returns: Order", "returns: null"), f"{_FIND}.returns", (MAJOR, {K, I}, set())),
        # contracts
        (("amount < 50", "amount < 40"), f"{_PAY}.requires", (MAJOR, {K}, set())),
        (("amount < 50", "amount < 60"), f"{_PAY}.requires", (MINOR, {I}, set())),
        (("amount < 50", "amount * 2 < 60"), f"{_PAY}.requires", (MAJOR, set(), {K, I})),
        (('        requires: ["amount < 50"]\n', ""), f"{_PAY}.requires", (MINOR, {I}, set())),
        (
            ('["result <= amount"]', '["result <= amount", "result > 0"]'),
            f"{_PAY}.ensures",
            (MINOR, {I}, set()),
        ),
        (('        ensures: ["result <= amount"]\n', ""), f"{_PAY}.ensures", (MAJOR, {K}, set())),
        (("result > 3", "result > 2"), f"{_COUNT}.ensures", (MAJOR, {K}, set())),
        (("result > 3", "result >= 4.5"), f"{_COUNT}.ensures", (MINOR, {I}, set())),
        (
            ("order.price > amount", "order.price >= amount"),
            f"{_PAY}.raises.ValueError",
            (MAJOR, set(), {K, I}),
        ),
        (
            ("{ValueError:", '{KeyError: "amount > 9", ValueError:'),
            f"{_PAY}.raises.KeyError",
            (MAJOR, {K, I}, set()),
        ),
        # the project
        (("[requests]", "[requests, float]"), "config.forbidden_imports", (PATCH, set(), {I})),
        (("source_root: src", "max_suppressions: 3"), "config", (PATCH, set(), set())),
        (("types_v1", "types_v2"), "generated_module", (PATCH, set(), set())),
        (("no-secrets", "no-pii"), "policies[0]", (PATCH, set(), set())),
    ],
)
def test_a_change_says_whom_it_breaks(edit: _Edit, subject: str, effect: _Effect) -> None:
    """Each single edit is told in its place, with its victims and the version it needs."""
    found = changed(edit)
    assert {change.subject for change in found} == {subject}
    assert effect in [(change.bump, set(change.breaks), set(change.may_break)) for change in found]
    assert max(change.bump.rank for change in found) == effect[0].rank
    assert all(change.reason for change in found)


def test_a_whole_element_is_one_change() -> None:
    """An interface that goes is told once, without each of its methods."""
    text = LATTICE.format(version="v1.0")
    without = text[: text.index("interfaces:")] + text[text.index("policies:") :]
    [change] = compare_elements(elements(text), elements(without)).changes
    assert (change.subject, change.bump) == ("interfaces.IShop", MAJOR)
    [change] = compare_elements(elements(without), elements(text)).changes
    assert (change.subject, change.bump) == ("interfaces.IShop", MINOR)


def test_a_renamed_field_tells_what_else_changed() -> None:
    """A rename with a tighter bound is two changes of the new name."""
    found = changed(
        ("number: {type: int, ge: 1,", "count: {type: int, ge: 2, renamed_from: number,")
    )
    assert [one.reason for one in found if one.subject == f"{_FIELDS}.count"] == [
        "renamed",
        "a tighter lower bound",
    ]


def test_moved_clauses_are_no_change() -> None:
    """All clauses hold together, so their order and their numbers mean nothing."""
    edit = (
        '["price < 100", {name: named, condition: "len(name) > 1"}]',
        '[{name: named, condition: "len(name) > 1"}, "price < 100"]',
    )
    assert changed(edit) == ()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("not price > 100", "not price > 90"),
        ("price > 1 if paid else price > 100", "price > 1 if paid else price > 90"),
        ("price > 100", "cost > 90"),
        ("price > 100", "price < 90"),
        ("price == 100", "price == 90"),
    ],
)
def test_only_plain_comparisons_are_followed(before: str, after: str) -> None:
    """Where a comparison stands within something else, nobody knows which way it moved."""
    sides = [{"version": "v1.0", "entities.E.ensures[0]": clause} for clause in (before, after)]
    [change] = compare_elements(*sides).changes
    assert (change.bump, change.breaks, set(change.may_break)) == (MAJOR, (), {P, C})


@pytest.mark.parametrize(
    ("before", "after", "bump"),
    [
        ("multiple_of:1E-20", "multiple_of:1E+20", MAJOR),
        ("multiple_of:1E+20", "multiple_of:1E-20", MINOR),
        ("multiple_of:1E+999999999", "multiple_of:3", MAJOR),
        ("multiple_of:0", "multiple_of:NaN", MAJOR),
        ("gt:Infinity", "gt:0", MAJOR),
        ("le:99999999999 days, 0:00:00", "le:1 day, 0:00:00", MAJOR),
        ("scale:many", "scale:2", MAJOR),
        ("precision:x,scale:y", "precision:2,scale:1", MAJOR),
    ],
)
def test_an_edited_lock_is_compared_all_the_same(before: str, after: str, bump: Bump) -> None:
    """Limits that no lattice has are compared where they can be, and break whom they may."""
    sides = [
        {"version": "v1.0", "entities.E.fields.n": f"decimal constraints={text}"}
        for text in (before, after)
    ]
    assert max(change.bump.rank for change in compare_elements(*sides).changes) == bump.rank


def test_both_clauses_are_told() -> None:
    """A clause that took the place of another stands beside it."""
    [change] = changed(("price < 100", "price != 100"))
    assert (change.before, change.after) == ("price < 100", "price != 100")


@pytest.mark.parametrize(
    ("versions", "edit", "verdict"),
    [
        (("v1.0", "v1.0"), ("str | null", "str"), (MAJOR, Bump.NONE, False)),
        (("v1.0", "v1.1"), ("str | null", "str"), (MAJOR, MINOR, False)),
        (("v1.0", "v2.0"), ("str | null", "str"), (MAJOR, MAJOR, True)),
        (("v2.0", "v1.9"), ("str | null", "str"), (MAJOR, Bump.NONE, False)),
        (("v1.0", "v1.1"), ("max_length: 80", "max_length: 90"), (MINOR, MINOR, True)),
        (("v1.9", "v1.10"), ("max_length: 80", "max_length: 90"), (MINOR, MINOR, True)),
        (("v1.0", "v1.0.1"), ("max_length: 80", "max_length: 90"), (MINOR, PATCH, False)),
        (("v1.0", "v1.0"), ("An order", "Our order"), (Bump.NONE, Bump.NONE, True)),
        (("v1.0.0", "v1.0.0"), ("An order", "Our order"), (PATCH, Bump.NONE, False)),
        (("v1.0.0", "v1.0.1"), ("An order", "Our order"), (PATCH, PATCH, True)),
        (("v0.3", "v0.4"), ("str | null", "str"), (MINOR, MINOR, True)),
        (("v0.3", "v0.3"), ("str | null", "str"), (MINOR, Bump.NONE, False)),
        (("v1.0", "v1.0"), ("An order", "An order"), (Bump.NONE, Bump.NONE, True)),
    ],
)
def test_the_version_goes_up_by_what_changed(
    versions: tuple[str, str], edit: _Edit, verdict: tuple[Bump, Bump, bool]
) -> None:
    """Semantic versioning, where a minor version may break before 1.0."""
    old, new = (LATTICE.format(version=version) for version in versions)
    found = compare_elements(elements(old), elements(new.replace(*edit)))
    assert (found.needed, found.declared, found.is_enough) == verdict


@pytest.mark.parametrize("name", ["everything.yaml", "exchange.yaml"])
def test_nothing_is_overlooked(name: str) -> None:
    """Whichever element is edited, added or removed, there is a change; else there is none."""
    whole = describe_elements(load_lattice(PAYLOADS / name))
    assert compare_elements(whole, whole).changes == ()
    for path, text in whole.items():
        if path == "version":
            continue
        edited = {**whole, path: f"{text}x"}
        without = {key: one for key, one in whole.items() if key != path}
        for old, new in ((whole, edited), (whole, without), (without, whole)):
            assert compare_elements(old, new).changes, path


LIMITS = st.fixed_dictionaries(
    {},
    optional={
        "gt": st.integers(-4, 4),
        "ge": st.integers(-4, 4),
        "lt": st.integers(0, 8),
        "le": st.integers(0, 8),
        "multiple_of": st.sampled_from(["0.5", "1", "2", "3"]),
        "scale": st.integers(0, 2),
        "precision": st.integers(1, 3),
    },
)


@settings(max_examples=300, deadline=None)
@given(old=LIMITS, new=LIMITS)
@example(old={"precision": 3, "scale": 2}, new={"precision": 1})
def test_who_is_not_named_is_not_broken(old: dict[str, object], new: dict[str, object]) -> None:
    """Producers who are not named may send every value they could, consumers get no other one."""
    sides = []
    for limits in (old, new):
        listed = "".join(f", {name}: {value}" for name, value in limits.items())
        text = (
            "version: v1.0\ngenerated_module: t\n"
            f"entities: {{E: {{fields: {{n: {{type: decimal{listed}}}}}}}}}\n"
        )
        try:
            sides.append(parse_lattice(text, file="lattice.yaml"))
        except LatticeError:
            assume(False)  # noqa: FBT003 -- limits that no value satisfies
    found = compare_elements(*map(describe_elements, sides))
    named = {party for change in found.changes for party in (*change.breaks, *change.may_break)}
    before, after = (side.entities["E"].fields["n"].constraints for side in sides)
    for number in map(
        Decimal, ("-9.25", "-4", "-1.5", "0", "0.01", "0.5", "1", "2", "3", "4.25", "8", "10", "99")
    ):
        was, now = _is_valid(number, before), _is_valid(number, after)
        assert not (was and not now) or Party.PRODUCERS in named, number
        assert not (now and not was) or Party.CONSUMERS in named, number


def _is_valid(number: Decimal, limits: Constraints) -> bool:
    return broken_constraint(number, limits) is None


RENAMED = """\
version: v1.0
generated_module: types_v1
entities:
  Order:
    persistence: table
    fields:
      id: {type: int, primary_key: true}
      state: {enum: [open, Order], default: Order}
    transitions: {state: {open: [Order]}}
    ensures: ["id > 0"]
  Line:
    fields: {order: Order | null, key: {type: int, references: Order.id}, all: "list[Order]"}
interfaces:
  IShop:
    file: src/shop.py
    methods:
      get: {params: {order: Order}, returns: Order}
"""


def test_an_entity_under_another_name_is_one_change() -> None:
    """Types, references and the enum that carry its name are not told again, what else is is."""
    renamed = (
        RENAMED.replace("  Order:\n", "  Purchase:\n    renamed_from: Order\n")
        .replace("order: Order", "order: Purchase")
        .replace("Order.id", "Purchase.id")
        .replace("list[Order]", "list[Purchase]")
        .replace("returns: Order", "returns: Purchase")
    )
    old, new = (describe_elements(parse_lattice(one, file="l")) for one in (RENAMED, renamed))
    change, *others = compare_elements(old, new).changes
    assert others == []
    assert (change.subject, change.before, change.after) == (
        "entities.Purchase",
        "Order",
        "Purchase",
    )
    assert (change.reason, change.bump) == ("renamed", Bump.MAJOR)
    tighter = describe_elements(parse_lattice(renamed.replace("id > 0", "id > 1"), file="l"))
    assert [one.subject for one in compare_elements(old, tighter).changes] == [
        "entities.Purchase",
        "entities.Purchase.ensures",
    ]
    later = describe_elements(parse_lattice(renamed.replace("renamed_from: Order", ""), file="l"))
    assert compare_elements(new, later).changes == ()


def test_where_migrations_stand_breaks_nobody() -> None:
    """Another folder for them, or none, is no other name of a module."""
    sides = (
        describe_elements(parse_lattice(f"{RENAMED}config: {{{one}}}\n", file="l"))
        for one in ("source_root: src", "migrations: db")
    )
    change, *others = compare_elements(*sides).changes
    assert others == []
    assert (change.subject, change.bump) == ("config", Bump.PATCH)


def test_the_examples_of_the_page_load() -> None:
    """Every lattice of the how-to page is one."""
    page = Path(__file__).parents[2] / "docs" / "how-to" / "change-a-lattice.md"
    blocks = re.findall(r"^```yaml\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 1
    for block in blocks:
        assert parse_lattice(block, file="lattice.yaml").warnings == ()
