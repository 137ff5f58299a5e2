"""The report as JUnit XML, which most CI servers show as test results.

Every violation is a failed test case, grouped by file; where there is none, one test case passed.
"""

from __future__ import annotations

import html
import itertools
import re
from typing import TYPE_CHECKING, Final

from lattice_lock.sheriff.reports.text import render_violation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lattice_lock.sheriff.checker import SheriffReport
    from lattice_lock.sheriff.rule import Violation

__all__ = ["render_junit"]

_NOT_IN_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that no XML 1.0 document may hold, escaped or not."""


def render_junit(report: SheriffReport, folder: str = "") -> str:
    """The whole document, without a line break at its end.

    Args:
        report: what was found.
        folder: the project as seen from the root of its repository; empty where it is the root.
    """
    return "\n".join(_document(report.violations, f"{folder}/" if folder else ""))


def _document(violations: Sequence[Violation], prefix: str) -> Iterator[str]:
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield f'<testsuites name="lattice-lock sheriff" {_totals(len(violations))}>'
    for file, group in itertools.groupby(violations, key=lambda violation: violation.file):
        found = list(group)
        name = _escape(f"{prefix}{file}")
        yield f'  <testsuite name="{name}" {_totals(len(found))}>'
        for violation in found:
            yield from _case(name, violation)
        yield "  </testsuite>"
    if not violations:
        # Servers take a report without test cases for a failure to write one.
        yield f'  <testsuite name="sheriff" {_totals(0)}>'
        yield '    <testcase classname="sheriff" name="no violations"/>'
        yield "  </testsuite>"
    yield "</testsuites>"


def _totals(failures: int) -> str:
    return f'tests="{max(failures, 1)}" failures="{failures}" errors="0" skipped="0"'


def _case(name: str, violation: Violation) -> Iterator[str]:
    place = f"{violation.line}:{violation.column}"
    yield (
        f'    <testcase classname="{name}" name="{violation.rule} at {place}"'
        f' file="{name}" line="{violation.line}">'
    )
    yield (
        f'      <failure type="{violation.id}" message="{_escape(violation.message)}">'
        f"{_escape(render_violation(violation))}</failure>"
    )
    yield "    </testcase>"


def _escape(text: str) -> str:
    """`text` for an attribute or an element; what XML cannot hold is U+FFFD."""
    return html.escape(_NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", text))
