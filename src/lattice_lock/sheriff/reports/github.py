"""The report as workflow commands, which GitHub shows beside the changed lines.

Source: https://docs.github.com/actions/reference/workflow-commands-for-github-actions
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lattice_lock.sheriff.file_names import printable_name

if TYPE_CHECKING:
    from lattice_lock.sheriff.checker import SheriffReport
    from lattice_lock.sheriff.rule import Violation

__all__ = ["render_annotations"]


def render_annotations(report: SheriffReport, folder: str = "") -> str:
    """One line for each violation; empty where there is none.

    Args:
        report: what was found.
        folder: the project as seen from the root of its repository; empty where it is the root.
    """
    return "\n".join(_annotation(violation, folder) for violation in report.violations)


def _annotation(violation: Violation, folder: str) -> str:
    file = printable_name(violation.file)
    properties = {
        "file": f"{folder}/{file}" if folder else file,
        "line": violation.line,
        "endLine": violation.end_line,
    }
    # GitHub takes columns only within one line.
    if violation.line == violation.end_line:
        properties |= {"col": violation.column, "endColumn": violation.end_column}
    properties["title"] = f"{violation.rule} ({violation.id})"
    listed = ",".join(f"{name}={_property(str(value))}" for name, value in properties.items())
    message = f"{violation.message}\n{violation.hint}" if violation.hint else violation.message
    return f"::{violation.severity} {listed}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
