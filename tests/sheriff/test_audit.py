"""What suppressions are worth on a certain day, and how many there may be."""

from __future__ import annotations

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from lattice_lock.core.loader import parse_lattice
from lattice_lock.sheriff.audit import expire, limit
from lattice_lock.sheriff.checker import SheriffContext, SheriffReport, examine_source

_CONTEXT = SheriffContext(
    lattice=parse_lattice(
        "version: v1.0\ngenerated_module: t\nconfig: {forbidden_imports: [float]}\n",
        file="lattice.yaml",
    )
)
_LAST = date(2026, 1, 31)
_AFTER = date(2026, 2, 1)


def _report(context: SheriffContext, *comments: str) -> SheriffReport:
    """A report on a file with a fault under each comment."""
    lines = [f"float({n})  # lattice:ignore[{comment}" for n, comment in enumerate(comments)]
    found = examine_source(context.source_file("a.py", "\n".join(lines)), context)
    return SheriffReport(
        violations=found.violations, suppressions=found.suppressions, files_checked=1
    )


def _places(report: SheriffReport) -> list[tuple[int, str]]:
    return [(violation.line, violation.rule) for violation in report.violations]


def test_an_expired_suppression_silences_nothing(context: SheriffContext) -> None:
    """After its day, a comment is reported and so is what it silenced, in order of place."""
    report = _report(
        context,
        "forbidden-import] until=2026-01-31 owner=anna why",
        "forbidden-import] why",
        "forbidden-import] until=2026-01-30 why",
    )
    assert expire(report, today=date(2026, 1, 30)) is report
    expired = expire(report, today=_AFTER)
    assert _places(expired) == [
        (1, "forbidden-import"),
        (1, "ignore-without-reason"),
        (3, "forbidden-import"),
        (3, "ignore-without-reason"),
    ]
    assert expired.suppressions == (report.suppressions[1],)
    assert expired.files_checked == 1
    complaint = expired.violations[1]
    assert complaint.message == (
        "this comment has expired: it ignored `forbidden-import` until 2026-01-31."
    )
    assert complaint.excerpt[complaint.column - 1 :].startswith("# lattice:ignore")
    assert len(expire(report, today=_LAST).suppressions) == 2


def test_what_another_comment_silences_stays_silent(context: SheriffContext) -> None:
    """A violation under an expired and a valid comment is silenced by the valid one."""
    both = "forbidden-import] until=2026-01-31 old # lattice:ignore[forbidden-import] new"
    expired = expire(_report(context, both), today=_AFTER)
    assert _places(expired) == [(1, "ignore-without-reason")]


def test_what_two_expired_comments_silenced_is_reported_once(context: SheriffContext) -> None:
    """A violation does not come back twice."""
    one = "forbidden-import] until=2026-01-31 why"
    expired = expire(_report(context, f"{one} # lattice:ignore[{one}"), today=_AFTER)
    assert _places(expired) == [
        (1, "forbidden-import"),
        (1, "ignore-without-reason"),
        (1, "ignore-without-reason"),
    ]


@given(st.dates(), st.lists(st.dates(), max_size=4), st.dates())
def test_time_only_adds_violations(first: date, until: list[date], second: date) -> None:
    """What is reported on one day is reported on every later day."""
    earlier, later = sorted((first, second))
    report = _report(_CONTEXT, *(f"forbidden-import] until={day} why" for day in until))
    before = set(expire(report, today=earlier).violations)
    assert before <= set(expire(report, today=later).violations)


def test_more_suppressions_than_allowed_are_reported(context: SheriffContext) -> None:
    """The first suppression beyond the limit is reported; a report within it is left alone."""
    report = _report(context, *(["forbidden-import] why"] * 3))
    assert limit(report, 3) is report
    for maximum in range(3):
        (violation,) = limit(report, maximum).violations
        assert (violation.line, violation.rule) == (maximum + 1, "ignore-without-reason")
        assert f"3 rules are ignored by comments, and at most {maximum} may be" in violation.message
