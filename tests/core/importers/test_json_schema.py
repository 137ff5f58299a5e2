"""Drafts from JSON Schema."""

# ruff: noqa: E501  # a schema and what it becomes on one line

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from lattice_lock.core.importers._ecma_pattern import whole_pattern
from lattice_lock.core.importers.drafting import draft_lattice
from lattice_lock.core.importers.json_schema import draft_json_schema
from lattice_lock.exceptions import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lattice_lock.core.importers.draft import Draft
    from lattice_lock.core.importers.drafting import DraftedLattice


def _drafted(path: Path) -> DraftedLattice:
    def fill(draft: Draft) -> None:
        draft_json_schema(path, draft)

    return draft_lattice(fill, source="`it`")


def _of(folder: Path, schema: Mapping[str, object]) -> DraftedLattice:
    path = folder / "schema.json"
    path.write_text(json.dumps(schema, indent=1))
    return _drafted(path)


def _lines(drafted: DraftedLattice) -> list[str]:
    """The fields and clauses of a draft, as they are written."""
    return [line.strip() for line in drafted.text.splitlines()[4:]]


def _left(drafted: DraftedLattice) -> dict[str, str]:
    return {one.what: one.why for one in drafted.left_behind}


@pytest.mark.parametrize(
    ("schema", "field"),
    [
        ({"type": "string"}, "a: str"),
        ({"type": "string", "minLength": 2, "maxLength": 3}, "a: {type: str, min_length: 2, max_length: 3}"),
        ({"type": "string", "format": "uuid"}, "a: uuid"),
        ({"type": "string", "format": "date-time"}, "a: datetime"),
        ({"type": "string", "format": "date"}, "a: date"),
        ({"type": "string", "format": "duration"}, "a: timedelta"),
        ({"type": "string", "contentEncoding": "base64"}, "a: bytes"),
        ({"type": "string", "enum": ["x", "y z"]}, "a: {enum: [x, y z]}"),
        ({"const": "x"}, "a: {enum: [x]}"),
        ({"oneOf": [{"const": "x"}, {"const": "y"}]}, "a: {enum: [x, y]}"),
        ({"enum": ["x", None]}, "a: {type: enum | null, enum: [x]}"),
        ({"type": ["string", "null"]}, "a: str | null"),
        ({"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]}, "a: {type: int | null, ge: 1}"),
        ({"type": "integer", "exclusiveMinimum": 0, "maximum": 9}, "a: {type: int, gt: 0, le: 9}"),
        ({"type": "integer", "minimum": 3, "exclusiveMinimum": 1}, "a: {type: int, ge: 3}"),
        ({"type": "integer", "format": "int32", "minimum": 0}, "a: {type: int, ge: 0, le: 2147483647}"),
        ({"type": "number"}, "a: float"),
        ({"type": "number", "multipleOf": 0.05}, "a: {type: decimal, multiple_of: 0.05}"),
        ({"anyOf": [{"type": "number"}, {"type": "string", "pattern": "^[0-9]+$"}]}, "a: decimal"),
        ({"type": "boolean"}, "a: bool"),
        ({}, "a: json"),
        ({"type": "array", "items": {"type": "string"}, "uniqueItems": True, "maxItems": 3}, 'a: {type: "list[str]", max_length: 3, unique_items: true}'),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "a: dict[str, int]"),
        ({"type": "string", "pattern": "^[A-Z]{2}\\d$"}, 'a: {type: str, pattern: "[A-Z]{2}[0-9]"}'),
        ({"type": "string", "description": "What: it is"}, 'a: {type: str, description: "What: it is"}'),
        ({"type": "string", "title": "Long name"}, "a: {type: str, description: Long name}"),
        ({"type": "string", "title": "A"}, "a: str"),
    ],
)  # fmt: skip
def test_a_property_becomes_a_field(
    schema: Mapping[str, object], field: str, tmp_path: Path
) -> None:
    """Each form of JSON Schema that a lattice has becomes that form, and nothing is left behind."""
    drafted = _of(tmp_path, {"title": "T", "required": ["a"], "properties": {"a": schema}})
    assert _lines(drafted) == ["entities:", "T:", "fields:", field]
    assert (drafted.left_behind, drafted.renamed) == ((), ())


@pytest.mark.parametrize(
    ("schema", "clause"),
    [
        ({"enum": [1, 2]}, "a in [1, 2]"),
        ({"const": 5}, "a == 5"),
        ({"const": True}, "a"),
        ({"const": False}, "not a"),
        ({"type": "string", "enum": ["", "x"]}, "a in ['', 'x']"),
        ({"enum": [1, None]}, "a is None or a == 1"),
        ({"type": "array", "items": {"type": "integer", "minimum": 1}}, "all(item >= 1 for item in a)"),
        ({"type": "object", "additionalProperties": {"type": "string", "maxLength": 2}}, "all(len(item) <= 2 for item in a.values())"),
    ],
)  # fmt: skip
def test_what_no_constraint_says_becomes_a_clause(
    schema: Mapping[str, object], clause: str, tmp_path: Path
) -> None:
    """Values that are no texts, and limits of items, are carried over as conditions."""
    drafted = _of(tmp_path, {"title": "T", "required": ["a"], "properties": {"a": schema}})
    (ensures,) = drafted.lattice.entities["T"].ensures
    assert ensures.expression.source == clause
    assert drafted.left_behind == ()


@pytest.mark.parametrize(
    ("schema", "what", "why"),
    [
        ({"type": "string", "format": "email"}, "`format: email`", "does not check this format"),
        ({"type": "array", "prefixItems": [{}]}, "`prefixItems: [{}]`", "one type"),
        ({"not": {"type": "string"}}, "`not: {...}`", "not what does not"),
        ({"type": ["string", "boolean"]}, "types string, boolean", "one type"),
        ({"anyOf": [{"type": "string"}, {"type": "array"}]}, "`anyOf` of 2 schemas", "one type"),
        ({"enum": ["x", 1]}, "values ['x', 1]", "an enum lists texts"),
        ({"$ref": "http://example.org/a.json"}, "reference `http://example.org/a.json`", "fetched"),
        ({"$ref": "#/$defs/None"}, "reference `#/$defs/None`", "points to nothing"),
        ({"$ref": "../up.json"}, "reference `../up.json`", "leads out of"),
        ({"$ref": "gone.json"}, "reference `gone.json`", "cannot be read"),
        ({"type": "string", "pattern": "("}, "`pattern: (.|\\n)*((.|\\n)*` of `a`", "not a regular"),
        ({"type": "string", "default": 3}, "default of `a`", "must be str"),
        ({"type": "string", "readOnly": True}, "`readOnly: True`", "readers and writers"),
        ({"$ref": "#/$defs/Loop"}, "schema that contains itself", "it never ends"),
        ({"$ref": "#/$defs/Rows"}, "schema that contains itself", "ends"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_listed_with_its_place(
    schema: Mapping[str, object], what: str, why: str, tmp_path: Path
) -> None:
    """Whatever a lattice cannot say is listed with file and line and a reason, and the rest drafted."""
    document = {
        "$defs": {
            "Loop": {"allOf": [{"$ref": "#/$defs/Loop"}, {"type": "string"}]},
            "Rows": {"type": "array", "items": {"$ref": "#/$defs/Rows"}},
        },
        "title": "T",
        "properties": {"a": schema, "b": {"type": "integer"}},
    }
    drafted = _of(tmp_path, document)
    found = [one for one in drafted.left_behind if one.what.replace("(?:", "(") == what]
    assert found, drafted.left_behind
    assert why in found[0].why
    assert re.fullmatch(rf"{re.escape(str(tmp_path))}/schema\.json:\d+:\d+", found[0].place)
    assert "b: {type: int | null, default: null}" in _lines(drafted)


def test_the_place_is_that_of_the_keyword(tmp_path: Path) -> None:
    """Line and column point at what was left behind, in JSON and in YAML."""
    (tmp_path / "a.json").write_text('{"title": "A", "properties":\n  {"x": {"format": "email"}}}')
    (tmp_path / "b.yaml").write_text("title: B\nproperties:\n  x:\n    format: email\n")
    places = [one.place for one in _drafted(tmp_path).left_behind]
    assert places == [f"{tmp_path}/a.json:2:10", f"{tmp_path}/b.yaml:4:5"]


def test_a_schema_in_json_schema_keeps_its_structure(tmp_path: Path) -> None:
    """References, sibling files, `allOf`, nested and recursive objects become entities."""
    (tmp_path / "order.json").write_text(
        json.dumps(
            {
                "$id": "https://example.org/order.json",
                "title": "Order",
                "description": "An order.",
                "allOf": [{"$ref": "common.json#/definitions/Base"}],
                "properties": {
                    "total": {"$ref": "#/$defs/Money"},
                    "buyer": {"type": "object", "properties": {"name": {"type": "string"}}},
                    "parts": {"type": "array", "items": {"$ref": "#"}},
                    "nick": {"$ref": "#nick"},
                },
                "required": ["total", "buyer", "parts", "nick"],
                "$defs": {
                    "Money": {"type": "number", "multipleOf": 0.01, "minimum": 0},
                    "Nick": {"$anchor": "nick", "type": "string", "maxLength": 5},
                },
            }
        )
    )
    (tmp_path / "common.json").write_text(
        json.dumps(
            {
                "$id": "https://example.org/common.json",
                "definitions": {
                    "Base": {
                        "type": "object",
                        "properties": {"id": {"type": "string", "format": "uuid"}},
                        "required": ["id"],
                    }
                },
            }
        )
    )
    drafted = _drafted(tmp_path)
    assert drafted.left_behind == ()
    assert _lines(drafted) == [
        "entities:",
        "Base:",
        "fields:",
        "id: uuid",
        "Order:",
        "description: An order.",
        "fields:",
        "total: {type: decimal, ge: 0, multiple_of: 0.01}",
        "buyer: OrderBuyer",
        "parts: list[Order]",
        "nick: {type: str, max_length: 5}",
        "id: uuid",
        "OrderBuyer:",
        "fields:",
        "name: {type: str | null, default: null}",
    ]


def test_names_that_cannot_be_used_are_renamed_and_listed(tmp_path: Path) -> None:
    """Keywords, dashes, taken attributes and collisions get names of their own, all listed."""
    names = ["class", "a-b", "a_b", "json", "model_dump", "1st", "fine"]
    drafted = _of(
        tmp_path, {"title": "line item", "properties": {name: {"type": "string"} for name in names}}
    )
    assert list(drafted.lattice.entities["LineItem"].fields) == [
        "class_", "a_b", "a_b_2", "json_", "field_model_dump", "field_1st", "fine",
    ]  # fmt: skip
    assert {(one.what, one.why) for one in drafted.renamed} == {
        ("`line item`", "called `LineItem`"),
        ("`class`", "called `class_`"),
        ("`a-b`", "called `a_b`"),
        ("`a_b`", "called `a_b_2`"),
        ("`json`", "called `json_`"),
        ("`model_dump`", "called `field_model_dump`"),
        ("`1st`", "called `field_1st`"),
    }
    assert drafted.left_behind == ()


def test_an_entity_that_needs_itself_is_made_possible(tmp_path: Path) -> None:
    """A required property of the schema's own type would make the lattice fail; it becomes null."""
    drafted = _of(
        tmp_path, {"title": "Node", "properties": {"next": {"$ref": "#"}}, "required": ["next"]}
    )
    assert "next: {type: Node | null, default: null}" in _lines(drafted)
    assert "`next` is required" in _left(drafted)


def test_beside_a_reference_draft_7_counts_nothing(tmp_path: Path) -> None:
    """What stands beside `$ref` is listed in draft 7, and holds as well in later drafts."""
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "T",
        "definitions": {"Name": {"type": "string", "maxLength": 9}},
        "properties": {"a": {"$ref": "#/definitions/Name", "minLength": 2}},
        "required": ["a"],
    }
    drafted = _of(tmp_path, schema)
    assert "a: {type: str, max_length: 9}" in _lines(drafted)
    assert "`minLength` beside `$ref`" in _left(drafted)
    later = _of(tmp_path, {**schema, "$schema": "https://json-schema.org/draft/2020-12/schema"})
    assert "a: {type: str, min_length: 2, max_length: 9}" in _lines(later)
    assert later.left_behind == ()


def test_the_narrower_of_two_limits_counts(tmp_path: Path) -> None:
    """`allOf` merges bounds, types, enums and required properties."""
    parts = [
        {"properties": {"n": {"type": "number", "maximum": 9}, "e": {"enum": ["a", "b"]}}},
        {"properties": {"n": {"type": "integer", "maximum": 5}, "e": {"enum": ["b", "c"]}}},
        {"required": ["n", "e"]},
    ]
    drafted = _of(tmp_path, {"title": "T", "allOf": parts})
    assert _lines(drafted)[-2:] == ["n: {type: int, le: 5}", "e: {enum: [b]}"]
    assert drafted.left_behind == ()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", '{"type": "object",\n "properties": }', "a.json:2:16`: this is not JSON"),
        ("a.json", "[" * 100_000, "nested more than 100 levels deep"),
        ("a.json", '{"a": {"b": 1, "b": 2}}', "the key `b` stands twice"),
        ("a.json", '{"title": NaN}', "`NaN` is not a number"),
        ("a.json", '{"title": "\\ud800"}', "half of a surrogate pair"),
        ("a.json", "[1]", "is not a JSON Schema"),
        ("a.json", '{"openapi": "3.1.0"}', "describes an API"),
        ("a.yaml", "a: [b\nc: d", "a.yaml:2:2`: this is not YAML"),
        ("a.yaml", "type: object\ntype: array", "a.yaml:2:1`: the key `type` stands here for the second"),
        ("a.yaml", "a: &a [x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n" + "".join(f"{chr(99 + n)}: &{chr(99 + n)} [{','.join([f'*{chr(98 + n)}'] * 10)}]\n" for n in range(8)), "holds more than 500000 values"),
        ("a.yaml", "a: &a [*a]", "nested more than 100 levels deep"),
        ("a.yaml", "a: !!python/object:os.system {}", "is not a JSON Schema"),
        ("a.yaml", "a: !!int 3", "the tag `tag:yaml.org,2002:int` cannot be used"),
        ("a.yaml", "{a: *nothing}", "stands for nothing"),
        ("a.yaml", "title: T\ntype: object", "nothing was found"),
    ],
)  # fmt: skip
def test_hostile_files_are_refused(name: str, text: str, message: str, tmp_path: Path) -> None:
    """A file that is malformed, huge, deep, cyclic or of another kind is refused with its place."""
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=re.escape(message)):
        _drafted(tmp_path / name)


def test_a_folder_and_an_absent_file_say_what_is_wrong(tmp_path: Path) -> None:
    """An empty folder and a file that is not there are refused."""
    with pytest.raises(UsageError, match="holds no"):
        _drafted(tmp_path)
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        _drafted(tmp_path / "gone.json")
    (tmp_path / "latin.json").write_bytes(b'{\n"title": "\xe9"}')
    with pytest.raises(UsageError, match=r"latin\.json:2`: byte 0xe9 is not UTF-8"):
        _drafted(tmp_path / "latin.json")


@pytest.mark.parametrize(
    ("pattern", "accepted", "refused"),
    [
        ("^a$", ["a"], ["ab", "ba"]),
        ("a", ["a", "xay", "x\na"], ["b"]),
        ("^a", ["a", "ab"], ["ba"]),
        ("a$", ["a", "ba"], ["ab"]),
        ("^a|b$", ["ax", "xb"], ["xax", "bx"]),
        ("^(?:a|b)$", ["a", "b"], ["ab"]),
        (r"^\d+\/\w$", ["12/_"], ["x/x", "٣/x"]),
        (r"^[\d\-]$", ["3", "-"], ["x"]),
        (r"^a\$", ["a$", "a$b"], ["a"]),
        (r"^(?<year>[0-9]{4})$", ["2024"], ["24"]),
        (r"^\u{1F600}$", ["\U0001f600"], ["u"]),
        (r"\A(?:x|y)\Z", ["x", "y"], ["xy"]),
    ],
)
def test_a_pattern_that_finds_becomes_one_that_matches(
    pattern: str, accepted: list[str], refused: list[str]
) -> None:
    """The whole text matches exactly where JSON Schema would find something in it."""
    whole = whole_pattern(pattern, ascii_classes=True)
    assert all(re.fullmatch(whole, text) for text in accepted)
    assert not any(re.fullmatch(whole, text) for text in refused)
