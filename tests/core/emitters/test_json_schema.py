"""JSON Schema of entities: it accepts and refuses what the generated Pydantic types do."""

from __future__ import annotations

import json
import re
import sys
from datetime import date, timedelta, timezone
from decimal import Decimal
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import BaseModel, ValidationError

from lattice_lock.core.emitters._json_values import json_value
from lattice_lock.core.emitters.json_schema import emit_json_schema
from lattice_lock.core.emitters.pydantic_types import emit_types
from lattice_lock.core.loader import parse_lattice
from lattice_lock.core.type_refs import ScalarName, ScalarType
from lattice_lock.exceptions import LatticeError, UnsupportedByTargetError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

UUID_1 = "12345678-1234-5678-1234-56781234567a"


class Both:
    """The schema and the Pydantic model of one field `value`."""

    def __init__(self, field: str, *, more: str = "") -> None:
        text = (
            "version: v1.0\ngenerated_module: types_v1\n"
            f"entities:\n{more}  Item:\n    fields:\n      value: {field}\n"
        )
        lattice = parse_lattice(text, file="lattice.yaml")
        self.document = json.loads(emit_json_schema(lattice))
        Draft202012Validator.check_schema(self.document)
        self.schema = Draft202012Validator({**self.document, "$ref": "#/$defs/Item"})
        module = ModuleType("generated_types")
        sys.modules[module.__name__] = module
        exec(compile(emit_types(lattice), "types_v1.py", "exec"), module.__dict__)  # noqa: S102
        self.model: type[BaseModel] = module.Item

    @property
    def field(self) -> dict[str, Any]:
        """What the schema says of the field."""
        return self.document["$defs"]["Item"]["properties"]["value"]  # type: ignore[no-any-return]

    def accepted(self, value: object) -> tuple[bool, bool]:
        """Whether the schema accepts a JSON value, and whether Pydantic does."""
        return self.accepted_object({"value": value})

    def accepted_object(self, item: object) -> tuple[bool, bool]:
        """The same of a whole object."""
        try:
            self.model.model_validate_json(json.dumps(item))
        except ValidationError:
            return self.schema.is_valid(item), False
        return self.schema.is_valid(item), True


@pytest.fixture(autouse=True)
def _no_module_left() -> Iterator[None]:
    yield
    sys.modules.pop("generated_types", None)


CASES: dict[str, tuple[list[object], list[object]]] = {
    "str": (["", "a", "ä\n", "😀"], [1, None, True, [], {}]),
    "{type: str, min_length: 2, max_length: 3}": (["ab", "😀😀", "abc"], ["", "a", "😀", "abcd"]),
    '{type: str, pattern: "[A-Z]{2}-[0-9]+"}': (["AB-1", "XY-99"], ["", "AB-", "AB-1\n", "xAB-1"]),
    "{type: str, pattern: 'a.c|x'}": (["abc", "a c", "x", "a😀c"], ["a\nc", "ac", "abcx", "ax"]),
    r"{type: str, pattern: '^[^a]\s[\]\-]$'}": (["b ]", "b\u00a0-", "\n\t]"], ["a ]", "b ]\n"]),
    "{type: str, pattern: '[😀-😂]{2}'}": (["😀😂", "😁😁"], ["😀", "😃😀", "ab"]),
    "int": ([0, -1, 10**30], [None, "x", 1.5, [], {}]),
    "{type: int, gt: 0, le: 5}": ([1, 5], [0, -1, 6]),
    "{type: int, ge: -3, lt: 3}": ([-3, 2], [-4, 3]),
    "{type: int, multiple_of: 5}": ([0, 5, -10, 10**20], [1, 4, -6]),
    "float": ([0, 1.5, -1e300], [None, "x", []]),
    "{type: float, ge: 0.1, lt: 1}": ([0.1, 0.5, 0.999], [0.0999, 1, 1.0, -1]),
    "{type: float, gt: -0.5, le: 0.5}": ([-0.49, 0.5], [-0.5, 0.51]),
    "bool": ([True, False], [None, [], "x", 2]),
    "decimal": (["0", "1.50", "-3", "0.000000000001"], [None, True, "x", "", "1.5 x", []]),
    "{type: decimal, gt: 0, scale: 2}": (
        ["0.01", "1", "9.90", "1.500", "123456789.12"],
        ["0", "-0.01", "0.00", "1.501", "-1", "0.001"],
    ),
    "{type: decimal, ge: 0, le: 1000}": (["0", "-0", "1000", "1000.00"], ["-0.1", "1000.01"]),
    "{type: decimal, ge: -1.5, lt: 2.25}": (["-1.5", "-1.50", "2.249"], ["-1.51", "2.25", "10"]),
    "{type: decimal, lt: -10, ge: -99.5}": (["-10.1", "-99.50"], ["-10", "-9.9", "-99.51", "5"]),
    "{type: decimal, gt: 0.1, lt: 0.3}": (["0.11", "0.299", "0.2"], ["0.1", "0.3", "0.10", "1"]),
    "{type: decimal, precision: 4, scale: 2}": (["99.99", "0.5", "12"], ["100", "1.234", "999.9"]),
    "{type: decimal, precision: 3}": (
        ["999", "0.123", "1.23", "12.30"],
        ["1000", "0.1234", "12.34"],
    ),
    "{type: decimal, precision: 2, scale: 2}": (["0.99", "0.5"], ["1", "1.0", "0.999", "10"]),
    "{type: decimal, multiple_of: 0.05}": (["0.05", "1.10", "7", "0", "3.150"], ["0.01", "1.123"]),
    "{type: decimal, multiple_of: 25}": (["0", "25", "100", "175.0"], ["5", "24", "25.5", "30"]),
    "{type: decimal, multiple_of: 2.5}": (["0", "2.5", "5", "7.50", "-10"], ["1", "2.55", "6.5"]),
    "{type: decimal, multiple_of: 0.125}": (["0.125", "1.5", "-0.25"], ["0.1", "0.1251"]),
    "uuid": ([UUID_1], ["", "x", UUID_1[:-1], f"{UUID_1}a", None, 5]),
    "date": (
        ["2024-02-29", "2000-02-29", "0001-01-01", "9999-12-31", "2023-04-30"],
        ["2023-02-29", "1900-02-29", "0000-01-01", "2023-04-31", "2023-13-01", "x", None],
    ),
    "{type: date, ge: 2020-02-29, lt: 2021-01-01}": (
        ["2020-02-29", "2020-12-31"],
        ["2020-02-28", "2021-01-01", "1999-12-31"],
    ),
    "{type: date, gt: 2019-09-30, le: 2024-12-31}": (
        ["2019-10-01", "2024-12-31", "2020-01-01"],
        ["2019-09-30", "2025-01-01", "2018-12-31"],
    ),
    "{type: date, ge: 9999-09-09, le: 9999-12-31}": (["9999-09-09", "9999-10-01"], ["9999-09-08"]),
    "datetime": (
        ["2024-02-29T00:00:00Z", "2024-01-01T23:59:59.123456+02:00", "2024-01-01T00:00:00-11:30"],
        ["2024-02-30T00:00:00Z", "2024-01-01T24:01:00Z", "2024-01-01T00:00:00", "x", None],
    ),
    "timedelta": (
        ["PT0S", "P1DT2H", "-P1Y34DT21H", "PT90M", "PT0.000001S", "P999999Y99999999DT99999H"],
        ["P", "PT", "x", "", None, "1 fortnight"],
    ),
    "bytes": (["", "abc", "é"], [None, 5, []]),
    "json": ([None, 1, "x", [1, {"a": None}], {"b": [True]}, 1.5], []),
    "{enum: [on hold, done]}": (["on hold", "done"], ["on", None, 1, ""]),
    '"list[int]"': ([[], [1, 1]], [None, [None], 1, {}, ["x"]]),
    '{type: "list[str]", min_length: 1, max_length: 2, unique_items: true}': (
        [["a"], ["a", "b"]],
        [[], ["a", "a"], ["a", "b", "c"]],
    ),
    '{type: "list[float]", unique_items: true}': ([[1, 2.5]], [[1, 1.0]]),
    '{type: "list[uuid]", unique_items: true}': ([[UUID_1]], [[UUID_1, UUID_1]]),
    '{type: "dict[str, bool]", min_length: 1, max_length: 2}': (
        [{"a": True}, {"a": True, "": False}],
        [{}, {"a": "x"}, {"a": True, "b": True, "c": True}, []],
    ),
    "str | null": ([None, "x"], [1, []]),
    "{type: int | null, ge: 1}": ([None, 1], [0, "x"]),
    "{type: decimal | null, ge: 1, scale: 1}": ([None, "1.5"], ["0.9", "1.55"]),
    "{type: enum | null, enum: [a, b]}": ([None, "a"], ["c", 1]),
    '{type: "list[enum]", enum: [a, b]}': ([[], ["a", "a"]], [["c"], "a"]),
    '"list[decimal | null]"': ([[None, "1.5"]], [["x"]]),
}


@pytest.mark.parametrize("field", CASES)
def test_schema_and_pydantic_agree(field: str) -> None:
    """At the boundary values of every type and constraint both say the same."""
    both = Both(field)
    accepted, refused = CASES[field]
    assert {str(one): both.accepted(one) for one in accepted} == {
        str(one): (True, True) for one in accepted
    }
    assert {str(one): both.accepted(one) for one in refused} == {
        str(one): (False, False) for one in refused
    }


NUMBERS = st.decimals(min_value=-1500, max_value=1500, places=3).map(
    lambda number: number.normalize() + Decimal(0)
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    limits=st.fixed_dictionaries(
        {},
        optional={
            "gt": NUMBERS,
            "ge": NUMBERS,
            "lt": NUMBERS,
            "le": NUMBERS,
            "scale": st.integers(0, 3),
            "precision": st.integers(1, 6),
            "multiple_of": st.sampled_from(["0.01", "0.05", "0.25", "2", "2.5", "20", "1", "50"]),
        },
    ),
    data=st.data(),
)
def test_decimals_agree_whatever_the_limits(limits: dict[str, object], data: st.DataObject) -> None:
    """For any limits, numbers at, beside and far from them are judged as Pydantic judges them."""
    listed = "".join(
        f", {name}: '{value:f}'" if isinstance(value, Decimal) else f", {name}: {value}"
        for name, value in limits.items()
    )
    try:
        both = Both(f"{{type: decimal{listed}}}")
    except LatticeError:
        assume(False)  # noqa: FBT003 -- limits that no value satisfies
    beside = [
        limit + step
        for limit in limits.values()
        if isinstance(limit, Decimal)
        for step in map(Decimal, ("0", "0.001", "-0.001", "1", "-0.0001", "-10"))
    ]
    for value in [*beside, *data.draw(st.lists(NUMBERS, min_size=5, max_size=15))]:
        schema, pydantic = both.accepted(f"{value:f}")
        assert schema == pydantic, (value, both.field)


@settings(max_examples=100, deadline=None)
@given(
    bound=st.dates(),
    kind=st.sampled_from(["gt", "ge", "lt", "le"]),
    days=st.lists(st.integers(-800, 800), min_size=3),
    others=st.lists(st.dates()),
)
def test_dates_agree_whatever_the_bound(
    bound: date, kind: str, days: list[int], others: list[date]
) -> None:
    """Days beside a bound, and any others, are judged as Pydantic judges them."""
    both = Both(f"{{type: date, {kind}: {bound}}}")
    near = [bound.toordinal() + day for day in (0, 1, -1, *days)]
    found = [date.fromordinal(one) for one in near if 0 < one <= date.max.toordinal()]
    for value in [*found, *others]:
        schema, pydantic = both.accepted(str(value))
        assert schema == pydantic, (value, both.field)


SCALARS = {
    "int": st.integers(),
    "float": st.floats(allow_nan=False, allow_infinity=False),
    "bool": st.booleans(),
    "uuid": st.uuids(),
    "date": st.dates(),
    "datetime": st.datetimes(
        timezones=st.integers(-1439, 1439).map(lambda offset: timezone(timedelta(minutes=offset)))
    ),
    "timedelta": st.timedeltas(timedelta(days=-364999999), timedelta(days=364999999)),
    "bytes": st.text().map(str.encode),
    "str": st.text(),
    "decimal": st.builds(
        lambda digits, places: Decimal(digits).scaleb(places),
        st.integers(-(10**9), 10**9),
        st.integers(-300, 300),
    ),
}


@pytest.mark.parametrize("kind", SCALARS)
def test_what_pydantic_writes_is_accepted(kind: str) -> None:
    """Whatever value a model holds, the JSON that it writes satisfies the schema."""
    both = Both(kind)

    @settings(max_examples=50, deadline=None)
    @given(SCALARS[kind])
    def check(value: object) -> None:
        written = json.loads(both.model(value=value).model_dump_json())
        both.schema.validate(written)
        if kind != "decimal":  # its zeros at the end are a matter of notation
            again = both.model.model_validate_json(
                json.dumps({"value": json_value(value, ScalarType(ScalarName(kind)), {})})
            )
            assert again == both.model(value=value)

    check()


@pytest.mark.parametrize(
    ("field", "value", "written"),
    [
        ("decimal", Decimal("1E+2"), "100"),
        ("decimal", Decimal("1E-8"), "0.00000001"),
        ("{type: decimal, ge: 0}", Decimal("0E+3"), "0"),
        ("decimal | null", Decimal("-15E+1"), "-150"),
        ("decimal | null", None, None),
        ("list[decimal]", [Decimal("1E+2"), Decimal("1.50")], ["100", "1.50"]),
        ("dict[str, decimal]", {"a": Decimal("1E+2")}, {"a": "100"}),
    ],
)
def test_decimals_are_written_without_exponent(field: str, value: object, written: object) -> None:
    """A decimal is plain notation in JSON wherever it stands, and stays a `Decimal` in Python."""
    both = Both(f"'{field}'" if "{" not in field else field)
    item = both.model(value=value)
    assert json.loads(item.model_dump_json()) == {"value": written}
    assert both.accepted(written) == (True, True)
    assert item.model_dump() == {"value": value}


def test_enormous_decimals_are_not_written_out() -> None:
    """Beyond 400 digits the exponent stays, so that a short text cannot become a long one."""
    item = Both("decimal").model(value=Decimal("1E+999999999"))
    assert json.loads(item.model_dump_json()) == {"value": "1E+999999999"}


@pytest.mark.parametrize(
    "text",
    ["1", 1, [], None, {"value": "a", "more": 1}, {}],
)
def test_objects_are_closed_and_complete(text: object) -> None:
    """A missing or an unknown field, and whatever is no object, is refused by both."""
    assert Both("str").accepted_object(text) == (False, False)


@pytest.mark.parametrize(
    ("field", "default"),
    [
        ("{type: decimal, default: 1.50}", "1.50"),
        ("{type: datetime, default: '2024-01-01T00:00:00Z'}", "2024-01-01T00:00:00Z"),
        ("{type: timedelta, default: -P1DT2H3M4.5S}", "-P1DT2H3M4.5S"),
        ("{type: timedelta, default: PT0S}", "PT0S"),
        ("{type: bytes, default: é}", "é"),
        (f"{{type: uuid, default: {UUID_1}}}", UUID_1),
        ("{type: 'list[date]', default: [2024-01-01]}", ["2024-01-01"]),
        ("{enum: [a, b], default: b}", "b"),
        ("{type: int | null, default: null}", None),
    ],
)
def test_a_default_may_be_left_out_and_is_told(field: str, default: object) -> None:
    """A field with a default is not required, and its default is valid JSON of its type."""
    both = Both(field)
    assert both.field["default"] == default
    assert both.accepted_object({}) == (True, True)
    assert both.accepted(default) == (True, True)


def test_entities_refer_to_each_other() -> None:
    """Nested entities are checked through `$ref`, also where they contain themselves."""
    tree = (
        "  Node:\n    fields:\n      name: {type: str, min_length: 1}\n"
        "      below: {type: 'list[Node]', default: []}\n"
    )
    both = Both("Node", more=tree)
    assert both.field == {"$ref": "#/$defs/Node"}
    good = {"name": "a", "below": [{"name": "b"}]}
    assert both.accepted(good) == (True, True)
    assert both.accepted({**good, "below": [{"name": ""}]}) == (False, False)


@pytest.mark.parametrize(
    ("field", "annotations"),
    [
        (
            "{type: datetime, ge: '2020-01-01T00:00:00Z'}",
            {"x-lattice-ge": "2020-01-01T00:00:00Z"},
        ),
        ("{type: timedelta, gt: PT0S, le: P30D}", {"x-lattice-gt": "PT0S", "x-lattice-le": "P30D"}),
        (
            "{type: bytes, min_length: 5, max_length: 8}",
            {"minLength": 2, "maxLength": 8, "x-lattice-min-bytes": 5, "x-lattice-max-bytes": 8},
        ),
        ('{type: "list[decimal]", unique_items: true}', {"x-lattice-unique-items": "by value"}),
        ("{type: int, primary_key: true}", {"x-lattice-primary-key": True}),
        ("{type: int, unique: true}", {"x-lattice-unique": True}),
    ],
)
def test_what_only_the_types_check_is_annotated(field: str, annotations: dict[str, object]) -> None:
    """Constraints beyond JSON Schema, as the reference lists them, are told and never dropped."""
    assert annotations.items() <= Both(field).field.items()


def test_invariants_and_transitions_are_annotated() -> None:
    """What relates fields or moments to each other is told in the lattice's own words."""
    other = (
        "  Order:\n    fields: {price: decimal, state: {enum: [open, paid]}}\n"
        "    transitions: {state: {open: [paid]}}\n"
        '    ensures: [{name: cap, condition: "price < 5", description: d}]\n'
    )
    found = Both("Order", more=other).document["$defs"]["Order"]
    assert found["x-lattice-ensures"] == [
        {"name": "cap", "condition": "price < 5", "description": "d"}
    ]
    assert found["x-lattice-transitions"] == {"state": {"open": ["paid"]}}


@pytest.mark.parametrize(
    ("field", "named"),
    [
        (r"{type: str, pattern: '\d+'}", "[0-9]"),
        (r"{type: str, pattern: '(a)\1'}", "pattern"),
        ("{type: str, pattern: '(?=a)a'}", "look-around"),
        ("{type: decimal, multiple_of: 3}", "power of ten"),
        ("{type: decimal, multiple_of: 0.07}", "power of ten"),
        ("{type: decimal, multiple_of: 0.0078125}", "power of ten"),
    ],
)
def test_what_cannot_be_checked_is_refused(field: str, named: str) -> None:
    """A constraint that is neither checked nor annotated is an error with its place."""
    with pytest.raises(
        UnsupportedByTargetError, match=r"lattice\.yaml:6:7: .*JSON Schema"
    ) as caught:
        Both(field)
    assert named in str(caught.value)


def test_every_pattern_is_ecmascript(node: Callable[[str], str]) -> None:
    """Node compiles every pattern of the schema with the `u` flag and matches the same texts."""
    fields = [one for one in CASES if "pattern" in one or "decimal" in one or "date" in one]
    wanted = []
    for field in fields:
        both = Both(field)
        patterns = re.findall(r'"pattern": ("(?:[^"\\]|\\.)*")', json.dumps(both.document))
        texts = [one for group in CASES[field] for one in group if isinstance(one, str)]
        wanted += [
            [json.loads(one), text, re.search(json.loads(one), text) is not None]
            for one in patterns
            for text in texts
        ]
    program = (
        f"const all = {json.dumps(wanted)};"
        "const bad = all.filter(([p, t, w]) => new RegExp(p, 'u').test(t) !== w);"
        "console.log(JSON.stringify(bad));"
    )
    assert json.loads(node(program)) == []
    assert len(wanted) > 100


def test_one_lattice_gives_one_text() -> None:
    """Emitting twice writes the same bytes, and the text ends with one newline."""
    lattice = parse_lattice(
        "version: v1.0\ngenerated_module: t\nentities: {Item: {fields: {n: int}}}\n", file="l"
    )
    text = emit_json_schema(lattice)
    assert text == emit_json_schema(lattice)
    assert text.endswith("}\n")
