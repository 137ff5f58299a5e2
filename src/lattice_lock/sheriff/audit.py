"""What the exceptions of a project are worth today: expired ones, and more than are allowed."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from lattice_lock.sheriff.registry import load_rules
from lattice_lock.sheriff.rule import SuppressionRule

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import date

    from lattice_lock.sheriff.checker import SheriffReport
    from lattice_lock.sheriff.rule import Violation
    from lattice_lock.sheriff.suppressions import Suppression

__all__ = ["expire", "limit", "smallest"]


def expire(report: SheriffReport, *, today: date) -> SheriffReport:
    """The report on a certain day: suppressions that have expired silence nothing.

    Each is itself a violation, and what it alone silenced is reported again.
    """
    expired = [each for each in report.suppressions if each.is_expired(today)]
    if not expired:
        return report
    valid = tuple(each for each in report.suppressions if not each.is_expired(today))
    silenced = {violation for each in valid for violation in each.silenced}
    # Two expired comments may have silenced the same.
    again = dict.fromkeys(
        violation for each in expired for violation in each.silenced if violation not in silenced
    )
    complaints = (
        violation
        for each in expired
        for violation in _violations(
            each,
            f"this comment has expired: it ignored `{each.rule}` until {each.until}.",
            "Mend what is reported here, or agree on a later date.",
        )
    )
    violations = _sorted([*report.violations, *again, *complaints])
    return dataclasses.replace(report, violations=violations, suppressions=valid)


def limit(report: SheriffReport, *maxima: int | None) -> SheriffReport:
    """The report with a violation at the first suppression that is too many, if one is.

    Args:
        report: all that was found.
        maxima: how many are allowed, the smallest counts; None allows any number.
    """
    maximum = smallest(*maxima)
    count = len(report.suppressions)
    if maximum is None or count <= maximum:
        return report
    excess = _violations(
        report.suppressions[maximum],
        f"{count} rules are ignored by comments, and at most {maximum} may be.",
        "Mend what one of them ignores; `lattice-lock sheriff --suppressions` lists all.",
    )
    return dataclasses.replace(report, violations=_sorted([*report.violations, *excess]))


def smallest(*maxima: int | None) -> int | None:
    """The smallest of several limits of which None is none."""
    return min((each for each in maxima if each is not None), default=None)


def _violations(suppression: Suppression, message: str, hint: str) -> Iterator[Violation]:
    for rule in load_rules():
        if isinstance(rule, SuppressionRule):
            yield rule.violation_at(
                suppression.file,
                suppression.span,
                message,
                hint=hint,
                excerpt=suppression.excerpt,
            )


def _sorted(violations: Iterable[Violation]) -> tuple[Violation, ...]:
    return tuple(sorted(violations, key=lambda violation: violation.sort_key))
