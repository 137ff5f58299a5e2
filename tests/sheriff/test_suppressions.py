"""Suppression comments: what they may say, strictly."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice_lock.sheriff.checker import examine_source
from lattice_lock.sheriff.suppressions import Suppression

if TYPE_CHECKING:
    from lattice_lock.sheriff.checker import SheriffContext
    from lattice_lock.sheriff.rule import Violation

_BRACKET = "# lattice:ignore[forbidden-import]"


def _used(context: SheriffContext, comment: str) -> Suppression:
    """The suppression by a valid comment."""
    report = examine_source(context.source_file("a.py", f"float(1)  {comment}\n"), context)
    assert report.violations == ()
    (used,) = report.suppressions
    return used


def _refused(context: SheriffContext, comment: str) -> Violation:
    """What is reported about a comment that silences nothing."""
    report = examine_source(context.source_file("a.py", f"float(1)  {comment}\n"), context)
    assert report.suppressions == ()
    silenced_nothing, refused = report.violations
    assert silenced_nothing.rule == "forbidden-import"
    assert refused.rule == "ignore-without-reason"
    return refused


@pytest.mark.parametrize(
    ("comment", "owner", "until"),
    [
        ("why", None, None),
        ("owner=anna why", "anna", None),
        ("until=2027-01-31 why", None, date(2027, 1, 31)),
        ("until=2027-01-31 owner=@shop/payments why", "@shop/payments", date(2027, 1, 31)),
        (
            "owner=anna.b+x@example.com   until=2028-02-29  why",
            "anna.b+x@example.com",
            date(2028, 2, 29),
        ),
        ("owner=Zoë why # noqa: E501", "Zoë", None),
    ],
)
def test_a_comment_may_name_an_owner_and_a_last_day(
    comment: str, owner: str | None, until: date | None, context: SheriffContext
) -> None:
    """Owner and date stand before the reason in any order, and are no part of it."""
    used = _used(context, f"{_BRACKET} {comment}")
    assert (used.reason, used.owner, used.until) == ("why", owner, until)
    assert (used.file, used.span.line, used.span.column, len(used.silenced)) == ("a.py", 1, 11, 1)
    assert used.excerpt == f"float(1)  {_BRACKET} {comment}"


@pytest.mark.parametrize(
    ("comment", "words"),
    [
        ("until=2027-01-31 owner=anna", "without a reason"),
        ("until=2027-01-31 --- # see wiki", "without a reason"),
        ("until=2027-1-31 why", "`2027-1-31` is not a date"),
        ("until=20270131 why", "`20270131` is not a date"),
        ("until=2027-W04-1 why", "is not a date"),
        ("until=2027-02-30 why", "`2027-02-30` is not a date"),
        ("until=\u0662\u0660\u0662\u0667-01-31 why", "is not a date"),
        ("until=2027-01-31, why", "`2027-01-31,` is not a date"),
        ("until= why", "`` is not a date"),
        ("owner= why", "is not a name"),
        ("owner=anna,bob why", "is not a name"),
        ("owner=anna owner=bob why", "`owner=` twice"),
        ("until=2027-01-31 until=2027-01-31 why", "`until=` twice"),
        ("expires=2027-01-31 why", "no `expires=`"),
        ("Until=2027-01-31 why", "no `Until=`"),
        ("why until=2027-01-31", "stands in the reason"),
        ("why OWNER=anna", "stands in the reason"),
        ("owner=anna why until=2027-01-31", "stands in the reason"),
    ],
)
def test_a_malformed_comment_silences_nothing(
    comment: str, words: str, context: SheriffContext
) -> None:
    """Whatever is misspelt, doubled or misplaced is reported instead of being taken as a reason."""
    assert words in _refused(context, f"{_BRACKET} {comment}").message


def test_a_reason_may_hold_other_assignments(context: SheriffContext) -> None:
    """Only words that begin with `until=` or `owner=` are fields; the rest is prose."""
    assert _used(context, f"{_BRACKET} called with timeout=5 and _owner=1").reason.endswith("=1")


@given(st.dates(), st.dates())
def test_the_last_day_still_counts(until: date, today: date) -> None:
    """A suppression has expired exactly on the days after its date."""
    span = (1, 1, 1, 2)
    used = msgspec.convert(
        {
            "file": "a.py",
            "span": span,
            "excerpt": "",
            "rule": "r",
            "reason": "why",
            "until": until,
            "silenced": (),
        },
        Suppression,
    )
    assert used.is_expired(today) == (today > until)


def test_a_suppression_survives_the_cache(context: SheriffContext) -> None:
    """What the result cache stores is read back unchanged, silenced violations included."""
    used = _used(context, f"{_BRACKET} until=2027-01-31 owner=anna why")
    data = msgspec.msgpack.encode(used)
    assert msgspec.msgpack.decode(data, type=Suppression) == used
