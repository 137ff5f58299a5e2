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
          "excerpt": "import requests", text of the first line, may be empty
          "fix": {                      a change of the file that mends it, or null
            "title": "...",             what the change does
            "certain": true,            whether `--fix` makes it without asking
            "edits": [                  places as above, in no particular order, never overlapping
              {"line": 3, "column": 8, "end_line": 3, "end_column": 16, "text": "httpx"}
            ]
          }
        }
      ],
      "suppressions": [
        {
          "file": "src/shop.py",
          "line": 9,                    where the comment stands
          "rule": "forbidden-import",
          "reason": "...",
          "owner": "anna",              who answers for it, or null
          "until": "2027-01-31",        last day on which it counts, or null
          "suppressed": 1               number of violations that it silenced
        }
      ],
      "held_back": {
        "count": 2,                     number of violations that the baseline keeps out
        "obsolete": [                   what the baseline holds although it is gone
          {"file": "src/shop.py", "rule": "forbidden-import", "count": 1}
        ]
      }
    }

Violations are ordered by file, line, column and identifier. Fields may be added within a version;
a field that is removed or changes its meaning makes a new version.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from lattice_lock.sheriff.baseline import HeldBack

if TYPE_CHECKING:
    from lattice_lock.sheriff.checker import SheriffReport

__all__ = ["FORMAT_VERSION", "report_to_dict"]

FORMAT_VERSION: Final = 1
_NOTHING: Final = HeldBack()


def report_to_dict(report: SheriffReport, held_back: HeldBack = _NOTHING) -> dict[str, object]:
    """The report as plain JSON values."""
    return {
        "version": FORMAT_VERSION,
        "files_checked": report.files_checked,
        "violations": [violation.to_dict() for violation in report.violations],
        "suppressions": [suppression.to_dict() for suppression in report.suppressions],
        "held_back": {
            "count": held_back.count,
            "obsolete": [asdict(each) for each in held_back.obsolete],
        },
    }
