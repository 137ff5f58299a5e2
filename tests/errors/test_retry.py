"""When to try again, how long to wait, and when an outage is left alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice_lock.errors.retry import (
    MAX_RETRY_AFTER_S,
    RetryPolicy,
    RetryQuota,
    parse_retry_after,
)
from lattice_lock.exceptions import (
    APIClientError,
    AuthenticationError,
    ConflictError,
    InvalidRequestError,
    ModelNotAvailableError,
    OverloadedError,
    QuotaExhaustedError,
    RateLimitError,
)

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
LATER = format_datetime(NOW + timedelta(seconds=7), usegmt=True)
EARLIER = format_datetime(NOW - timedelta(seconds=7), usegmt=True)


def overloaded(retry_after_s: float | None = None) -> OverloadedError:
    """An error that a retry may cure."""
    return OverloadedError("busy", provider="local", retry_after_s=retry_after_s)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "5"}, 5.0),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after": "1e9"}, MAX_RETRY_AFTER_S),
        ({"retry-after": "inf"}, MAX_RETRY_AFTER_S),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": LATER}, 7.0),
        ({"retry-after": EARLIER}, 0.0),
        ({"retry-after": "Sun, 22 Nov 9999 12:00:07 GMT"}, MAX_RETRY_AFTER_S),
        ({"retry-after": "Sun, 99 Nov 2026 12:00:07 GMT"}, None),
        ({"retry-after": LATER, "date": EARLIER}, 14.0),
        ({"retry-after": "9", "retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "9", "retry-after-ms": "x"}, 9.0),
    ],
)
def test_retry_after_is_read_in_every_form(headers: dict[str, str], seconds: float | None) -> None:
    """Seconds, milliseconds and dates are understood, and nothing is believed beyond the bound."""
    assert parse_retry_after(headers, now=NOW) == seconds


@given(value=st.text(max_size=40), date=st.text(max_size=40))
def test_no_header_can_break_the_reading(value: str, date: str) -> None:
    """Whatever a server sends, the answer is None or within its bounds."""
    seconds = parse_retry_after({"retry-after": value, "date": date}, now=NOW)
    assert seconds is None or 0 <= seconds <= MAX_RETRY_AFTER_S


@given(attempt=st.integers(1, 500))
def test_waits_are_jittered_and_bounded(attempt: int) -> None:
    """A wait lies between zero and a bound that doubles up to the cap."""
    policy = RetryPolicy(max_attempts=1000, base_s=0.5, cap_s=8.0)
    wait = policy.wait_s(overloaded(), attempt=attempt)
    assert wait is not None
    assert 0 <= wait <= min(8.0, 0.5 * 2.0 ** (attempt - 1))


def test_jitter_is_full() -> None:
    """Callers that failed together spread over the whole interval."""
    waits = [RetryPolicy().wait_s(overloaded(), attempt=1) or 0.0 for _ in range(400)]
    assert min(waits) < 0.1
    assert 0.4 < max(waits) <= 0.5


def test_a_provider_is_waited_for_within_bounds() -> None:
    """`retry_after_s` is the least wait; one that is too long leaves the call to others."""
    policy = RetryPolicy(max_retry_after_s=30.0)
    wait = policy.wait_s(overloaded(20.0), attempt=1)
    assert wait is not None
    assert 20.0 <= wait <= 20.5
    assert policy.wait_s(overloaded(31.0), attempt=1) is None


@pytest.mark.parametrize(
    "kind",
    [AuthenticationError, InvalidRequestError, ModelNotAvailableError, QuotaExhaustedError],
)
def test_what_cannot_succeed_is_not_repeated(kind: type[APIClientError]) -> None:
    """An error of the request itself is never retried."""
    assert RetryPolicy().wait_s(kind("no", provider="local"), attempt=1) is None


def test_attempts_end() -> None:
    """The last attempt is followed by none, and a conflict is repeated once."""
    policy = RetryPolicy(max_attempts=3)
    limited = RateLimitError("slow", provider="local")
    assert policy.wait_s(limited, attempt=2) is not None
    assert policy.wait_s(limited, attempt=3) is None
    conflict = ConflictError("busy", provider="local")
    assert policy.wait_s(conflict, attempt=1) is not None
    assert policy.wait_s(conflict, attempt=2) is None


@given(calls=st.integers(1, 500))
def test_an_outage_is_not_multiplied(calls: int) -> None:
    """With every attempt failing, retries are at most a tenth of the calls plus the capacity."""
    quota = RetryQuota(capacity=10.0)
    retries = 0
    for _ in range(calls):
        quota.earn()
        while quota.take():
            retries += 1
    assert retries <= 0.1 * calls + 10.0
