"""The SARIF report."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from lattice_lock.sheriff.checker import SheriffReport
from lattice_lock.sheriff.registry import load_rules
from lattice_lock.sheriff.reports.sarif import report_to_sarif
from lattice_lock.sheriff.rule import Violation

if TYPE_CHECKING:
    from tests.sheriff.conftest import Check
    from tests.sheriff.reports.conftest import Report


def _object(required: str, **properties: object) -> dict[str, object]:
    return {"type": "object", "required": required.split(), "properties": properties}


def _list(items: object) -> dict[str, object]:
    return {"type": "array", "items": items}


# What SARIF 2.1.0 requires of the parts that the report uses: sections 3.13, 3.14, 3.18, 3.19,
# 3.27 to 3.30 and 3.49 of the standard. No property beyond those listed is allowed in ours.
_TEXT = _object("text", text={"type": "string", "minLength": 1}, markdown={"type": "string"})
_LEVEL = {"enum": ["none", "note", "warning", "error"]}
_COUNT = {"type": "integer", "minimum": 1}
_REGION = _object(
    "startLine", startLine=_COUNT, startColumn=_COUNT, endLine=_COUNT, endColumn=_COUNT
)
_URI = {"type": "string", "pattern": r"^(?!/)[A-Za-z0-9._~/%-]+$"}
_LOCATION = _object(
    "physicalLocation",
    physicalLocation=_object(
        "artifactLocation region",
        artifactLocation=_object("uri", uri=_URI, uriBaseId={"type": "string"}),
        region=_REGION,
    ),
)
_ARTIFACT = _object("uri", uri=_URI, uriBaseId={"type": "string"})
# 3.55 to 3.57 of the standard.
_FIX = _object(
    "artifactChanges",
    description=_TEXT,
    artifactChanges=_list(
        _object(
            "artifactLocation replacements",
            artifactLocation=_ARTIFACT,
            replacements=_list(
                _object(
                    "deletedRegion",
                    deletedRegion=_REGION,
                    insertedContent=_object("", text={"type": "string"}),
                )
            ),
        )
    ),
)
_RULE = _object(
    "id",
    id={"type": "string"},
    name={"type": "string"},
    shortDescription=_TEXT,
    fullDescription=_TEXT,
    help=_TEXT,
    defaultConfiguration=_object("", level=_LEVEL),
)
_RESULT = _object(
    "message ruleId",
    message=_TEXT,
    ruleId={"type": "string"},
    ruleIndex={"type": "integer", "minimum": -1},
    level=_LEVEL,
    locations=_list(_LOCATION),
    fixes=_list(_FIX),
    partialFingerprints={"type": "object", "additionalProperties": {"type": "string"}},
)
_RUN = _object(
    "tool",
    tool=_object(
        "driver",
        driver=_object(
            "name", name={"type": "string"}, version={"type": "string"}, rules=_list(_RULE)
        ),
    ),
    columnKind={"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
    results=_list(_RESULT),
)
_LOG = Draft202012Validator(
    _object(
        "version runs",
        **{"$schema": {"type": "string"}},
        version={"const": "2.1.0"},
        runs=_list(_RUN),
    )
)


def _close(schema: object) -> None:
    """Forbid, all the way down, what the schema does not list."""
    if isinstance(schema, dict):
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
        for value in schema.values():
            _close(value)


_close(_LOG.schema)


def _results(report: SheriffReport, folder: str = "") -> list[Any]:
    document: Any = report_to_sarif(report, folder)
    _LOG.validate(document)
    assert json.loads(json.dumps(document)) == document
    results: list[Any] = document["runs"][0]["results"]
    return results


def test_a_result_has_its_place_and_its_rule(report: Report) -> None:
    """A result tells rule, level, message with hint, and a relative place in characters."""
    (result,) = _results(report(column=2, end_line=4))
    assert (result["ruleId"], result["level"]) == ("LLS001", "error")
    assert result["message"] == {"text": "No. Do without."}
    (location,) = result["locations"]
    assert location["physicalLocation"] == {
        "artifactLocation": {"uri": "src/shop.py", "uriBaseId": "%SRCROOT%"},
        "region": {"startLine": 3, "startColumn": 2, "endLine": 4, "endColumn": 16},
    }


def test_a_fix_is_a_replacement_in_the_file(check: Check) -> None:
    """A violation that can be mended brings the change along, one that cannot brings none."""
    found = check("def f(a: int): print(a)\nimport requests\n")
    report = SheriffReport(violations=found, suppressions=(), files_checked=1)
    mended, other = _results(report, "shop")
    assert "fixes" not in other
    region = {"startLine": 1, "startColumn": 14, "endLine": 1, "endColumn": 14}
    assert mended["fixes"] == [
        {
            "description": {"text": "Write `-> None`."},
            "artifactChanges": [
                {
                    "artifactLocation": {"uri": "shop/src/snippet.py", "uriBaseId": "%SRCROOT%"},
                    "replacements": [
                        {"deletedRegion": region, "insertedContent": {"text": " -> None"}}
                    ],
                }
            ],
        }
    ]


def test_every_rule_is_described(clean: SheriffReport) -> None:
    """The help texts are those of the reference pages, also where nothing is found."""
    document: Any = report_to_sarif(clean)
    _LOG.validate(document)
    described = document["runs"][0]["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in described] == [rule.id for rule in load_rules()]
    for rule in described:
        assert rule["help"]["markdown"].startswith(rule["shortDescription"]["text"])
        assert "## Why it matters" in rule["help"]["markdown"]
        assert "#" not in rule["fullDescription"]["text"].replace("# lattice:ignore", "")


@pytest.mark.parametrize("rule", load_rules(), ids=lambda rule: rule.name)
def test_the_index_points_to_the_rule(rule: Any, report: Report) -> None:
    """`ruleIndex` is the place of the result's rule among the rules."""
    (result,) = _results(report(rule=rule.name, id=rule.id))
    assert load_rules()[result["ruleIndex"]].id == result["ruleId"] == rule.id


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.sampled_from(["", "a/b"]))
def test_any_file_name_is_a_relative_uri(name: str, folder: str) -> None:
    """Whatever a file is called, the URI is valid, relative to the repository, and leads back."""
    violation = Violation(
        rule="forbidden-import",
        id="LLS001",
        file=f"src/{name}",
        line=1,
        column=1,
        end_line=1,
        end_column=1,
        message="No.",
    )
    found = SheriffReport(violations=(violation,), suppressions=(), files_checked=1)
    (result,) = _results(found, folder)
    uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert unquote(uri) == (f"{folder}/" if folder else "") + violation.file


def _fingerprints(check: Check, text: str) -> list[str]:
    found = SheriffReport(violations=check(text), suppressions=(), files_checked=1)
    return [*(result["partialFingerprints"]["latticeLockLine/v1"] for result in _results(found))]


def test_fingerprints_survive_moved_lines(check: Check) -> None:
    """Lines before and white space change nothing; another text or another number does."""
    once = _fingerprints(check, "float(1)\nfloat(1)\nx = float(2)\n")
    assert len(set(once)) == 3
    moved = "\n\nif 1:\n    float(1)\nprint()\nfloat(1)\nx =  float(2)\n"
    assert _fingerprints(check, moved) == once
    assert _fingerprints(check, "float(1)\nfloat(1)\nx = float(3)\n")[:2] == once[:2]
    assert _fingerprints(check, "x = float(3)\n") != once[2:]
