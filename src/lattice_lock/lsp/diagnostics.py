"""Violations and mistakes in lattices, as diagnostics; and the pages that explain rules."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Final

import platformdirs
from lsprotocol import types

from lattice_lock.core.seals import replace_file
from lattice_lock.sheriff.fixes import Edit
from lattice_lock.sheriff.registry import load_rules

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from lattice_lock.exceptions import Problem
    from lattice_lock.lsp.governed import LatticeProblems
    from lattice_lock.lsp.positions import Positions
    from lattice_lock.sheriff.rule import Violation

__all__ = [
    "SOURCE",
    "default_pages_folder",
    "lattice_diagnostics",
    "violation_diagnostic",
    "write_rule_pages",
]

SOURCE: Final = "lattice-lock"
"""Who editors say a diagnostic is from."""

_WORD: Final = re.compile(r"[^\s,:\[\]{}]+|.")
_SEVERITIES: Final = {
    "error": types.DiagnosticSeverity.Error,
    "warning": types.DiagnosticSeverity.Warning,
}


def default_pages_folder() -> Path:
    """Where the pages about rules are kept, out of the way of every project."""
    return platformdirs.user_cache_path("lattice-lock", appauthor=False) / "rules"


def write_rule_pages(folder: Path) -> dict[str, str]:
    """Write a page about each rule that an editor can open; the address of each by rule.

    Where nothing can be written there are no pages.
    """
    pages = {}
    for rule in load_rules():
        text = f"# `{rule.name}` ({rule.id})\n\n{inspect.getdoc(type(rule))}\n"
        path = folder / f"{rule.name}.md"
        try:
            replace_file(path, text.encode())
        except OSError:
            return {}
        pages[rule.name] = path.as_uri()
    return pages


def violation_diagnostic(
    violation: Violation, positions: Positions, pages: Mapping[str, str]
) -> types.Diagnostic:
    """A violation, its code linked to the page about its rule."""
    place = positions.range_of(violation)
    if place.start == place.end:
        # What has no extent, such as the place of a syntax error, is marked to the end of its line.
        line = positions.lines[place.start.line] if place.start.line < len(positions.lines) else ""
        place.end = positions.position(violation.line, len(line) + 1)
    page = pages.get(violation.rule)
    return types.Diagnostic(
        range=place,
        severity=_SEVERITIES[violation.severity],
        code=violation.rule,
        code_description=types.CodeDescription(href=page) if page else None,
        source=SOURCE,
        message=_with_hint(violation.message, violation.hint),
    )


def lattice_diagnostics(
    problems: LatticeProblems, positions: Positions
) -> Iterator[types.Diagnostic]:
    """What is wrong with a lattice, each at its place."""
    for severity, listed in (("error", problems.errors), ("warning", problems.warnings)):
        for problem in listed:
            yield types.Diagnostic(
                range=_problem_range(problem, positions),
                severity=_SEVERITIES[severity],
                source=SOURCE,
                message=_with_hint(problem.message, problem.hint),
            )


def _problem_range(problem: Problem, positions: Positions) -> types.Range:
    """The word that a problem points at."""
    line, column = problem.location.line, problem.location.column
    text = positions.lines[line - 1] if line <= len(positions.lines) else ""
    word = _WORD.match(text, column - 1)
    return positions.range_of(Edit(line, column, line, word.end() + 1 if word else column, ""))


def _with_hint(message: str, hint: str | None) -> str:
    return f"{message}\n{hint}" if hint else message
