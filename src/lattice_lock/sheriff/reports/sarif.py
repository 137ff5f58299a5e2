"""The report in SARIF 2.1.0, which code scanning services read.

Columns count characters, as everywhere in Sheriff. What is suppressed or held back by a baseline is
left out: services show it as open all the same. A result's fingerprint is made from its file,
its rule, the text of its line and its number among equal ones, so that it survives moved lines.

Source: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

import inspect
import os
from collections import Counter
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import lattice_lock
from lattice_lock.sheriff.fingerprints import line_digest
from lattice_lock.sheriff.registry import load_rules

if TYPE_CHECKING:
    from lattice_lock.sheriff.checker import SheriffReport
    from lattice_lock.sheriff.fixes import Edit, Fix
    from lattice_lock.sheriff.rule import Rule, Violation

__all__ = ["report_to_sarif"]

_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
_FINGERPRINT: Final = "latticeLockLine/v1"


def report_to_sarif(report: SheriffReport, folder: str = "") -> dict[str, object]:
    """The report as plain JSON values.

    Args:
        report: what was found.
        folder: the project as seen from the root of its repository, such as `services/shop`;
            empty where it is the root itself.
    """
    rules = load_rules()
    numbers = {rule.id: number for number, rule in enumerate(rules)}
    seen: Counter[tuple[str, str, str]] = Counter()
    results = []
    for violation in report.violations:
        key = (violation.file, violation.rule, line_digest(violation))
        seen[key] += 1
        result = _result(violation, folder)
        result["ruleIndex"] = numbers[violation.id]
        result["partialFingerprints"] = {_FINGERPRINT: f"{key[2]}:{seen[key]}"}
        results.append(result)
    driver = {
        "name": "Lattice Lock Sheriff",
        "version": lattice_lock.__version__,
        "rules": [_descriptor(rule) for rule in rules],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": results,
    }
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def _descriptor(rule: Rule) -> dict[str, object]:
    """What a service shows about a rule: the text of its reference page."""
    text = inspect.getdoc(type(rule)) or rule.name
    summary, _, rest = text.partition("\n")
    explanation = rest.split("\n## ", maxsplit=1)[0]
    return {
        "id": rule.id,
        "name": rule.name,
        "shortDescription": {"text": summary},
        "fullDescription": {"text": " ".join(explanation.split()) or summary},
        "help": {"text": text, "markdown": text},
        "defaultConfiguration": {"level": "error"},
    }


def _result(violation: Violation, folder: str) -> dict[str, object]:
    message = f"{violation.message} {violation.hint}" if violation.hint else violation.message
    path = f"{folder}/{violation.file}" if folder else violation.file
    artifact = {"uri": quote(os.fsencode(path)), "uriBaseId": "%SRCROOT%"}
    fixes = {"fixes": [_fix(violation.fix, artifact)]} if violation.fix else {}
    return {
        "ruleId": violation.id,
        "level": violation.severity,
        "message": {"text": message},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": artifact,
                    "region": _region(violation),
                }
            }
        ],
        **fixes,
    }


def _fix(fix: Fix, artifact: dict[str, str]) -> dict[str, object]:
    replacements = [
        {"deletedRegion": _region(edit), "insertedContent": {"text": edit.text}}
        for edit in fix.edits
    ]
    return {
        "description": {"text": f"{fix.title}."},
        "artifactChanges": [{"artifactLocation": artifact, "replacements": replacements}],
    }


def _region(place: Violation | Edit) -> dict[str, int]:
    return {
        "startLine": place.line,
        "startColumn": place.column,
        "endLine": place.end_line,
        "endColumn": place.end_column,
    }
