"""The report for programs.

    {
      "version": 1,
      "files_checked": 14,
      "violations": [
        {
          "rule": "forbidden-import",   name of the rule
          "id": "LLS001",               its stable identifier
          "severity": "error",          "error" or "warning"
          "file": "src/shop.py",        relative to the project, with forward slashes
          "line": 3, "column": 8,       first character; both count from 1, columns in characters
          "end_line": 3,
          "end_column": 16,             the column after the last character
          "message": "...",             what is wrong
          "hint": "...",                what to do about it, or null
          "excerpt": "import requests"  text of the first line, may be empty
        }
      ],
      "suppressions": [
        {
          "file": "src/shop.py",
          "line": 9,                    where the comment stands
          "rule": "forbidden-import",
          "reason": "...",
          "suppressed": 1               number of violations that it silenced
        }
      ]
    }

Violations are ordered by file, line, column and identifier. Fields may be added within a version;
a field that is removed or changes its meaning makes a new version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from lattice_lock.sheriff.checker import SheriffReport

__all__ = ["FORMAT_VERSION", "report_to_dict"]

FORMAT_VERSION: Final = 1


def report_to_dict(report: SheriffReport) -> dict[str, object]:
    """The report as plain JSON values."""
    return {
        "version": FORMAT_VERSION,
        "files_checked": report.files_checked,
        "violations": [violation.to_dict() for violation in report.violations],
        "suppressions": [suppression.to_dict() for suppression in report.suppressions],
    }
