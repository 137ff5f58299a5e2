"""Fixes: changes of a text that mend a violation, and how several are made at once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Edit", "Fix", "apply_fixes"]

_LINE_END: Final = re.compile(r"\r\n|\r|\n")

_Span: TypeAlias = tuple[int, int, str]
"""Where an edit starts and ends in a text, and its own text."""


@dataclass(frozen=True, slots=True)
class Edit:
    r"""A stretch of a file, given as in a violation, and the text that takes its place.

    Lines end in `\n` in `text`; `apply_fixes` writes them as the file does.
    """

    line: int
    column: int
    end_line: int
    end_column: int
    text: str

    @property
    def is_whole_line(self) -> bool:
        """Whether it puts in lines and changes none, so that others may do so at the same place."""
        place = (self.line, self.column)
        return (
            place == (self.end_line, self.end_column) == (self.line, 1) and self.text[-1:] == "\n"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fix:
    """A change of the file of a violation after which the rule is satisfied.

    Attributes:
        title: what the change does, as a sentence in the imperative.
        certain: whether `--fix` may make it without asking; the others are offered in editors.
    """

    title: str
    edits: tuple[Edit, ...]
    certain: bool = False


def apply_fixes(text: str, fixes: Iterable[Fix]) -> tuple[str, int]:
    """A text after as many of the fixes as do not touch each other, and how many those are.

    Of two that overlap the first is made. What several put in alike at one place, such as an
    import, is put in once. Line ends of what is put in are those of the first line of the text.
    """
    starts = [0, *(match.end() for match in _LINE_END.finditer(text))]
    newline = _newline(text)
    chosen: dict[_Span, Edit] = {}
    count = 0
    for fix in fixes:
        spans = {_span(edit, starts, newline): edit for edit in fix.edits}
        new = {span: edit for span, edit in spans.items() if span not in chosen}
        if not new and spans:
            # The same change mends two violations.
            count += 1
        elif all(_is_apart(span, edit, chosen) for span, edit in new.items()):
            chosen |= new
            count += 1
    # From the end, so that the places before stay what they were.
    for start, end, replacement in sorted(chosen, reverse=True):
        text = text[:start] + replacement + text[end:]
    return text, count


def _newline(text: str) -> str:
    first = _LINE_END.search(text)
    return first[0] if first else "\n"


def _span(edit: Edit, starts: Sequence[int], newline: str) -> _Span:
    start = starts[edit.line - 1] + edit.column - 1
    end = starts[edit.end_line - 1] + edit.end_column - 1
    return start, end, edit.text.replace("\n", newline)


def _is_apart(span: _Span, edit: Edit, chosen: dict[_Span, Edit]) -> bool:
    start, end, _ = span
    return all(
        end < other_start or other_end < start or (edit.is_whole_line and other.is_whole_line)
        for (other_start, other_end, _), other in chosen.items()
    )
