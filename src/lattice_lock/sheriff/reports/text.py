"""The report for people, and for models that mend what it names; plain text."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Final

from lattice_lock.sheriff.baseline import HeldBack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lattice_lock.sheriff.checker import SheriffReport
    from lattice_lock.sheriff.rule import Violation

__all__ = ["count_text", "render_report", "render_violation"]

_EXCERPT_WIDTH: Final = 120
"""Longest piece of a source line, in characters, that is shown."""

_LEAD: Final = 40
"""Characters shown before the fault where a line is cut."""

_NOTHING: Final = HeldBack()

_WIDE: Final = frozenset("WF")
"""East Asian widths of characters that take two columns in a terminal."""


def render_report(report: SheriffReport, held_back: HeldBack = _NOTHING) -> str:
    """Every violation with its source line, and a summary; no line break at the end."""
    blocks = [render_violation(violation) for violation in report.violations]
    if held_back.obsolete:
        blocks.append(_obsolete(held_back))
    return "\n\n".join([*blocks, _summary(report, held_back)])


def render_violation(violation: Violation) -> str:
    """One violation: `file:line:column rule message`, the source line, and what to do.

    Ends without a line break. Characters that could steer a terminal are shown as U+FFFD.
    """
    place = f"{violation.file}:{violation.line}:{violation.column}"
    lines = [_printable(f"{place} {violation.rule} {violation.message}"), *_excerpt(violation)]
    if violation.hint:
        lines.append(_printable(f"  hint: {violation.hint}"))
    return "\n".join(lines)


def _excerpt(violation: Violation) -> Iterator[str]:
    """The source line with its number, and carets under the fault."""
    if not violation.excerpt:
        return
    start = violation.column - 1
    cut = max(0, start - _LEAD) if len(violation.excerpt) > _EXCERPT_WIDTH else 0
    shown = violation.excerpt[cut : cut + _EXCERPT_WIDTH]
    ends_here = violation.end_line == violation.line
    end = violation.end_column - 1 if ends_here else len(violation.excerpt.rstrip())
    number = str(violation.line)
    yield f"  {number} | {_printable(shown)}"
    before, marked = shown[: start - cut], shown[start - cut : end - cut]
    carets = "^" * max(1, sum(map(_width, marked)))
    yield f"  {' ' * len(number)} | {_blank(before)}{carets}"


def _blank(text: str) -> str:
    """As many columns of white space as `text` takes; tabs stay, as their width varies."""
    return "".join("\t" if each == "\t" else " " * _width(each) for each in text)


def _width(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in _WIDE else 1


def _printable(text: str) -> str:
    return "".join(
        each if each.isprintable() or each == "\t" else "\N{REPLACEMENT CHARACTER}" for each in text
    )


def _obsolete(held_back: HeldBack) -> str:
    """What the baseline holds for nothing, and how to be rid of it."""
    lines = ["The baseline holds violations that are gone:"]
    lines += [
        _printable(f"  {each.file} {each.rule} ({each.count})") for each in held_back.obsolete
    ]
    lines.append("  hint: Write it anew with `lattice-lock sheriff --write-baseline`.")
    return "\n".join(lines)


def _summary(report: SheriffReport, held_back: HeldBack) -> str:
    files = len({violation.file for violation in report.violations})
    parts = [f"{count_text(report.files_checked, 'file')} checked"]
    if report.violations:
        found = count_text(len(report.violations), "violation")
        parts.insert(0, f"{found} in {count_text(files, 'file')}")
    else:
        parts.insert(0, "no violations")
    fixable = sum(each.fix is not None and each.fix.certain for each in report.violations)
    if fixable:
        parts.append(f"{fixable} can be mended by `lattice-lock sheriff --fix`")
    if report.suppressions:
        parts.append(f"{count_text(len(report.suppressions), 'suppression')} in use")
    if held_back.count:
        parts.append(f"{count_text(held_back.count, 'violation')} held back by the baseline")
    return ", ".join(parts) + "."


def count_text(number: int, noun: str) -> str:
    """A number and what it counts, such as `1 file` and `2 files`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
