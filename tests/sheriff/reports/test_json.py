"""The JSON report."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lattice_lock.sheriff.checker import SheriffReport
from lattice_lock.sheriff.reports.json import report_to_dict
from lattice_lock.sheriff.suppressions import Suppression

if TYPE_CHECKING:
    from tests.sheriff.conftest import Check


def test_the_document_has_its_documented_fields(check: Check) -> None:
    """The report holds exactly the documented fields, and survives JSON unchanged."""
    report = SheriffReport(
        violations=check("x = float('\ud7ff')"),
        suppressions=(Suppression(file="a.py", line=9, rule="r", reason="why", suppressed=2),),
        files_checked=7,
    )
    document = report_to_dict(report)
    assert json.loads(json.dumps(document)) == document
    assert document == {
        "version": 1,
        "files_checked": 7,
        "violations": [
            {
                "rule": "forbidden-import",
                "id": "LLS001",
                "severity": "error",
                "file": "src/snippet.py",
                "line": 1,
                "column": 5,
                "end_line": 1,
                "end_column": 10,
                "message": "the lattice forbids the built-in `float`.",
                "hint": report.violations[0].hint,
                "excerpt": "x = float('\ud7ff')",
            }
        ],
        "suppressions": [
            {"file": "a.py", "line": 9, "rule": "r", "reason": "why", "suppressed": 2}
        ],
    }
