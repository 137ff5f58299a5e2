"""The list of suppressions."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from lattice_lock.sheriff.checker import SheriffReport, examine_source
from lattice_lock.sheriff.reports.suppressions import suppression_rows, suppressions_to_dict

if TYPE_CHECKING:
    from lattice_lock.sheriff.checker import SheriffContext

_TEXT = """\
float(1)  # lattice:ignore[forbidden-import] until=2026-01-31 owner=anna measured
float(float(1))  # lattice:ignore[forbidden-import] measured too
"""


def test_every_suppression_is_listed(context: SheriffContext) -> None:
    """Place, rule, reason, owner and date are listed, and whether the date has passed."""
    found = examine_source(context.source_file("src/a.py", _TEXT), context)
    report = SheriffReport(violations=(), suppressions=found.suppressions, files_checked=1)
    rule = "forbidden-import"
    today = date(2026, 2, 1)
    assert list(suppression_rows(report, today=today)) == [
        ("src/a.py:1", rule, 1, "anna", "2026-01-31 (expired)", "measured"),
        ("src/a.py:2", rule, 2, None, None, "measured too"),
    ]
    assert suppressions_to_dict(report, today=today) == {
        "version": 1,
        "files_checked": 1,
        "suppressions": [
            {**found.suppressions[0].to_dict(), "expired": True},
            {**found.suppressions[1].to_dict(), "expired": False},
        ],
    }
    assert [each["expired"] for each in _listed(report, date(2026, 1, 31))] == [False, False]


def _listed(report: SheriffReport, today: date) -> list[dict[str, object]]:
    listed = suppressions_to_dict(report, today=today)["suppressions"]
    assert isinstance(listed, list)
    return listed
