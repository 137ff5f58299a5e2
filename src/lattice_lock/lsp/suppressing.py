"""Where a comment belongs that ignores a violation."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from lattice_lock.sheriff.fixes import Edit, Fix, apply_fixes
from lattice_lock.sheriff.module import source_lines
from lattice_lock.sheriff.registry import load_rules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lattice_lock.sheriff.rule import Violation

__all__ = ["suppression"]

_LISTED: Final = re.compile(r"# ?lattice:ignore\[[^\[\]]+(?P<end>\])")
_REASON: Final = "reason"


def suppression(
    violation: Violation, text: str, check: Callable[[str], Sequence[Violation]]
) -> Fix | None:
    """A comment without its reason, which the person is to write, that ignores the violation.

    Args:
        violation: what was found in `text`.
        text: the text of the file.
        check: what is found in a text in its place.

    Returns:
        None where no comment may ignore the rule, or none at its line does.
    """
    if not any(rule.suppressible for rule in load_rules() if rule.name == violation.rule):
        return None
    before = sum(_is_alike(each, violation) for each in check(text))
    for edit, trial in _candidates(violation, source_lines(text)):
        fix = Fix(title=f"Ignore `{violation.rule}` here, with a reason", edits=(edit,))
        tried, _ = apply_fixes(text, [Fix(title="", edits=(trial,))])
        if sum(_is_alike(each, violation) for each in check(tried)) < before:
            return fix
    return None


def _is_alike(one: Violation, other: Violation) -> bool:
    return (one.rule, one.message) == (other.rule, other.message)


def _candidates(violation: Violation, lines: Sequence[str]) -> Iterator[tuple[Edit, Edit]]:
    """The comment in each place where it may stand: as it is written, and with a reason."""
    number, rule = violation.line, violation.rule
    line = lines[number - 1]
    listed = _LISTED.search(line)
    if listed is not None:
        edit = _insertion(number, listed.start("end") + 1, f", {rule}")
        yield edit, edit
    comment = f"# lattice:ignore[{rule}] "
    end = len(line.rstrip()) + 1
    yield (
        Edit(number, end, number, len(line) + 1, f"  {comment}"),
        Edit(number, end, number, len(line) + 1, f"  {comment}{_REASON}"),
    )
    # A line that ends within a text, or goes on in the next, has no room for a comment.
    indent = line[: len(line) - len(line.lstrip())]
    yield (
        _insertion(number, 1, f"{indent}{comment}\n"),
        _insertion(number, 1, f"{indent}{comment}{_REASON}\n"),
    )


def _insertion(line: int, column: int, text: str) -> Edit:
    return Edit(line, column, line, column, text)
