"""The list of suppressions, for the people who review them.

    {
      "version": 1,
      "files_checked": 14,
      "suppressions": [
        {
          "file": "src/shop.py", "line": 9, "rule": "forbidden-import", "reason": "...",
          "owner": "anna", "until": "2027-01-31", "suppressed": 1,
          "expired": false              whether its last day has passed, so that it does not count
        }
      ]
    }

The fields are those of the JSON report, and `expired`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lattice_lock.sheriff.reports.json import FORMAT_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from lattice_lock.sheriff.checker import SheriffReport

__all__ = ["HEADINGS", "suppression_rows", "suppressions_to_dict"]

HEADINGS = ("place", "rule", "silenced", "owner", "until", "reason")


def suppressions_to_dict(report: SheriffReport, *, today: date) -> dict[str, object]:
    """The list as plain JSON values."""
    return {
        "version": FORMAT_VERSION,
        "files_checked": report.files_checked,
        "suppressions": [
            {**each.to_dict(), "expired": each.is_expired(today)} for each in report.suppressions
        ],
    }


def suppression_rows(report: SheriffReport, *, today: date) -> Iterator[tuple[object, ...]]:
    """One row for each, under `HEADINGS`."""
    for each in report.suppressions:
        until = f"{each.until} (expired)" if each.is_expired(today) else each.until
        place = f"{each.file}:{each.line}"
        yield place, each.rule, len(each.silenced), each.owner, until, each.reason
