"""The JSON report."""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING, Any

from lattice_lock.sheriff.baseline import HeldBack, Obsolete
from lattice_lock.sheriff.checker import SheriffReport, examine_source
from lattice_lock.sheriff.module import Span
from lattice_lock.sheriff.reports.json import report_to_dict
from lattice_lock.sheriff.suppressions import Suppression

if TYPE_CHECKING:
    from tests.sheriff.conftest import Check

    from lattice_lock.sheriff.checker import SheriffContext


def test_the_document_has_its_documented_fields(check: Check) -> None:
    """The report holds exactly the documented fields, and survives JSON unchanged."""
    report = SheriffReport(
        violations=check("x = float('\ud7ff')"),
        suppressions=(
            Suppression(
                file="a.py",
                span=Span(9, 1, 9, 5),
                excerpt="",
                rule="r",
                reason="why",
                owner="anna",
                until=date(2027, 1, 31),
                silenced=check("float(1); float(2)"),
            ),
        ),
        files_checked=7,
    )
    held_back = HeldBack(count=3, obsolete=(Obsolete(file="b.py", rule="r", count=1),))
    document = report_to_dict(report, held_back)
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
                "fix": None,
            }
        ],
        "suppressions": [
            {
                "file": "a.py",
                "line": 9,
                "rule": "r",
                "reason": "why",
                "owner": "anna",
                "until": "2027-01-31",
                "suppressed": 2,
            }
        ],
        "held_back": {"count": 3, "obsolete": [{"file": "b.py", "rule": "r", "count": 1}]},
    }


def test_a_suppression_without_owner_or_date_says_so(context: SheriffContext) -> None:
    """Owner and date are null where the comment has none, and nothing is held back by default."""
    text = "import requests  # lattice:ignore[forbidden-import] why\n"
    found = examine_source(context.source_file("a.py", text), context)
    document = report_to_dict(
        SheriffReport(violations=(), suppressions=found.suppressions, files_checked=1)
    )
    assert document["held_back"] == {"count": 0, "obsolete": []}
    assert document["suppressions"] == [
        {
            "file": "a.py",
            "line": 1,
            "rule": "forbidden-import",
            "reason": "why",
            "owner": None,
            "until": None,
            "suppressed": 1,
        }
    ]


def test_a_fix_lists_its_edits(check: Check) -> None:
    """Title, certainty and every edit with its place are told."""
    report = SheriffReport(
        violations=check("def f(a: int): print(a)\n"), suppressions=(), files_checked=1
    )
    document: Any = report_to_dict(report)
    assert json.loads(json.dumps(document)) == document
    assert document["violations"][0]["fix"] == {
        "title": "Write `-> None`",
        "certain": True,
        "edits": [{"line": 1, "column": 14, "end_line": 1, "end_column": 14, "text": " -> None"}],
    }
