"""What is wrong with a lattice, collected so that all of it can be said at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lattice_lock.exceptions import ExpressionError, LatticeSchemaError, Problem

if TYPE_CHECKING:
    from lattice_lock.exceptions import SourceLocation

__all__ = ["MOST_PROBLEMS", "Findings"]

MOST_PROBLEMS = 100
"""How many problems one reading lists; a file with more is likely not a lattice at all."""


class Findings:
    """Problems and warnings of one lattice.

    Attributes:
        warnings: older spellings that were understood.
        types_broken: whether a type could not be read; expressions cannot be judged then.
    """

    def __init__(self) -> None:
        self._schema: list[Problem] = []
        self._expressions: list[Problem] = []
        self.warnings: list[Problem] = []
        self.types_broken = False

    def add(self, location: SourceLocation, message: str, hint: str | None = None) -> None:
        """Note something that a lattice cannot say.

        Raises:
            LatticeSchemaError: there is no room for more problems.
        """
        self._schema.append(Problem(location=location, message=_sentence(message), hint=hint))
        if len(self) >= MOST_PROBLEMS:
            self.ensure_none()

    def add_expression(self, problem: Problem) -> None:
        """Note a clause outside the expression language.

        Raises:
            LatticeError: there is no room for more problems.
        """
        self._expressions.append(problem)
        if len(self) >= MOST_PROBLEMS:
            self.ensure_none()

    def warn(self, location: SourceLocation, message: str, hint: str) -> None:
        """Note an older spelling."""
        self.warnings.append(Problem(location=location, message=message, hint=hint))

    def __len__(self) -> int:
        return len(self._schema) + len(self._expressions)

    def ensure_none(self) -> None:
        """Raise everything that was noted, in the order of the file.

        Raises:
            LatticeSchemaError: something beside clauses is wrong, perhaps clauses as well.
            ExpressionError: only clauses are wrong.
        """
        problems = sorted(
            [*self._schema, *self._expressions],
            key=lambda problem: (problem.location.line, problem.location.column),
        )
        unique = tuple(dict.fromkeys(problems))
        full = len(self) >= MOST_PROBLEMS
        hint = "There may be more; mend these first." if full else None
        if self._schema:
            raise LatticeSchemaError(unique, hint=hint)
        if self._expressions:
            raise ExpressionError(unique, hint=hint)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
