"""The rule `edited-generated-file`."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from lattice_lock.sheriff.module import Span, source_lines
from lattice_lock.sheriff.rule import GeneratedFileRule, MissingFileRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lattice_lock.sheriff.context import SheriffContext
    from lattice_lock.sheriff.rule import Violation

__all__ = ["EditedGeneratedFile"]


class EditedGeneratedFile(GeneratedFileRule, MissingFileRule):
    """Reports a generated file that is not what the lattice compiles to, or is missing.

    The comparison is byte for byte, and names the first line that differs.

    ## Why it matters

    Generated types and contracts are what everything else is checked against. A generated file
    that was edited, or not regenerated after a change of the lattice, makes those checks lie.

    ## What to do

    Make the change in `lattice.yaml` and run `lattice-lock compile`. A comment cannot ignore
    this rule.
    """

    id: ClassVar[str] = "LLS004"
    name: ClassVar[str] = "edited-generated-file"
    suppressible: ClassVar[bool] = False

    @override
    def check_generated(self, file: str, actual: bytes, expected: str) -> Iterator[Violation]:
        if actual == expected.encode("utf-8"):
            return
        text = actual.decode("utf-8", "replace")
        line, excerpt = _first_difference(text, expected)
        yield self.violation_at(
            file,
            Span(line, 1, line, len(excerpt) + 1),
            "this generated file differs from what the lattice compiles to, first on this line.",
            hint="Change `lattice.yaml` instead and run `lattice-lock compile`.",
            excerpt=excerpt,
        )

    @override
    def check_missing(self, file: str, context: SheriffContext) -> Iterator[Violation]:
        if file in context.generated:
            yield self.violation_at(
                file,
                Span(1, 1, 1, 1),
                "this generated file is missing.",
                hint="Run `lattice-lock compile`.",
            )


def _first_difference(actual: str, expected: str) -> tuple[int, str]:
    """Number and text of the first line of `actual` that differs, line endings included."""
    # `newline=""` splits where Python does and keeps the endings as they are.
    lines = io.StringIO(actual, newline="").readlines()
    wanted = io.StringIO(expected, newline="").readlines()
    same = 0
    while same < min(len(lines), len(wanted)) and lines[same] == wanted[same]:
        same += 1
    return same + 1, source_lines(lines[same])[0] if same < len(lines) else ""
