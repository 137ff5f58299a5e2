"""The rule `ignore-without-reason`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from lattice_lock.sheriff.rule import SuppressionRule

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lattice_lock.sheriff.module import Module
    from lattice_lock.sheriff.rule import Complaint, Violation

__all__ = ["IgnoreWithoutReason"]


class IgnoreWithoutReason(SuppressionRule):
    """Reports a suppression comment that gives no reason, ignores nothing or has expired.

    A rule is ignored with `# lattice:ignore[rule-name] reason`; several names are separated by
    commas. Before the reason may stand `until=2027-01-31`, the last day on which the comment
    counts, and `owner=anna`, who answers for it. At the end of a line the comment covers that
    line. On the first or the last line of a statement that spans several lines it covers the
    whole statement, of a compound statement its header. On a line of its own it covers the next
    statement. Reported are comments without a reason, with a rule name that does not exist or
    cannot be ignored, in any other spelling, comments whose day has passed, and comments under
    which the rule finds nothing. None of these silences anything.

    ## Why it matters

    An exception that nobody can explain stays for ever. Every valid comment is listed in the
    report with its reason, so that exceptions can be reviewed.

    ## What to do

    Write the reason after the bracket, or remove the comment. A comment cannot ignore this rule.
    `--fix` removes what ignores nothing; other tools' comments on the line stay.
    """

    id: ClassVar[str] = "LLS005"
    name: ClassVar[str] = "ignore-without-reason"
    suppressible: ClassVar[bool] = False

    @override
    def check_suppressions(
        self, module: Module, complaints: Sequence[Complaint]
    ) -> Iterator[Violation]:
        for complaint in complaints:
            yield self.violation(
                module,
                complaint.span,
                complaint.message,
                hint=complaint.hint,
                fix=complaint.fix,
            )
