"""The rule `unparsable-file`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from lattice_lock.sheriff.module import Span
from lattice_lock.sheriff.rule import UnparsableFileRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lattice_lock.sheriff.module import Unparsable
    from lattice_lock.sheriff.rule import Violation

__all__ = ["UnparsableFile"]


class UnparsableFile(UnparsableFileRule):
    """Reports a Python file that cannot be examined.

    That is a file which Python cannot parse, which is not UTF-8 or declares another encoding,
    which holds NUL characters, is larger than 4 MiB, nests too deeply for the parser, cannot be
    read, or is a symbolic link out of the project.

    Syntax that is newer than the Python which runs the check is read all the same, where a file is
    otherwise sound: type parameters and `type X = ...`, f-strings within f-strings, template
    strings, `except A, B:` and `lazy import`. Bounds and defaults of type parameters are passed
    over then. Under a Python that knows the syntax nothing is.

    ## Why it matters

    A checker that skips what it does not understand is silent exactly where something is hidden.

    ## What to do

    Mend the file as the message says. Nothing else has been checked in it, and a comment cannot
    ignore this rule.
    """

    id: ClassVar[str] = "LLS000"
    name: ClassVar[str] = "unparsable-file"
    suppressible: ClassVar[bool] = False

    @override
    def check_unparsable(self, file: str, problem: Unparsable, excerpt: str) -> Iterator[Violation]:
        # CPython reports columns beyond the line, and 0 for "unknown".
        column = min(max(problem.column, 1), len(excerpt) + 1)
        span = Span(problem.line, column, problem.line, column)
        yield self.violation_at(file, span, problem.message, hint=problem.hint, excerpt=excerpt)
