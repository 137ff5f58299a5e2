"""When to try again, how long to wait, and when an outage is left alone.

Source of the waiting rule: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
Source of the quota: https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/
"""

from __future__ import annotations

import math
import random
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import msgspec

from lattice_lock.exceptions import APIClientError, ConflictError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

__all__ = ["MAX_RETRY_AFTER_S", "RetryPolicy", "RetryQuota", "parse_retry_after"]

MAX_RETRY_AFTER_S = 3600.0
"""What an error says at most; nobody plans further on a provider's word."""


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How often and how patiently one call is repeated.

    Attributes:
        max_attempts: requests in all, the first included.
        base_s: bound on the first wait in seconds; it doubles with every attempt.
        cap_s: bound on every wait that the provider did not ask for.
        max_retry_after_s: the longest wait that a provider may ask for; beyond it the call fails,
            so that another provider can answer in the meantime.
    """

    max_attempts: int = 3
    base_s: float = 0.5
    cap_s: float = 8.0
    max_retry_after_s: float = 30.0

    def wait_s(self, error: APIClientError, *, attempt: int) -> float | None:
        """Seconds to wait before the attempt after `attempt`, counted from 1; None is do not.

        Full jitter: anything from zero to the bound, so that callers who failed together do not
        come back together. A provider's `retry_after_s` is the least wait, with jitter on top; its
        `should_retry` decides where it says so.
        """
        worthwhile = error.should_retry
        if worthwhile is None:
            worthwhile = error.retryable and not (isinstance(error, ConflictError) and attempt > 1)
        if not worthwhile or attempt >= self.max_attempts:
            return None
        jitter = random.random()  # noqa: S311  # spreads load, guards nothing
        if error.retry_after_s is None:
            return jitter * min(self.cap_s, self.base_s * 2.0 ** (attempt - 1))
        if error.retry_after_s > self.max_retry_after_s:
            return None
        return error.retry_after_s + jitter * self.base_s

    def cooled_s(self, cooling_s: float) -> float | None:
        """Seconds to wait before a first attempt where a provider asked for `cooling_s`.

        They are jittered as between attempts; None is do not wait.
        """
        if cooling_s > self.max_retry_after_s:
            return None
        return cooling_s + random.random() * self.base_s  # noqa: S311  # spreads load only


class RetryQuota:
    """Keeps an outage from being multiplied: retries are paid for by requests.

    Every call earns a tenth of a retry, up to `capacity`. While everything fails, requests sent
    are therefore at most 1.1 times the calls, plus `capacity`.
    """

    __slots__ = ("_capacity", "_left")

    _EARNED = 0.1

    def __init__(self, capacity: float = 10.0) -> None:
        self._capacity = capacity
        self._left = capacity

    def earn(self) -> None:
        """Count a call."""
        self._left = min(self._capacity, self._left + self._EARNED)

    def take(self) -> bool:
        """Whether one retry is left; if so it is used."""
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


def parse_retry_after(headers: Mapping[str, str], *, now: datetime) -> float | None:
    """Seconds that the answer asks to wait, from 0 to `MAX_RETRY_AFTER_S`; None where unreadable.

    A date counts from the answer's own `Date`, so that a wrong clock on either side does not
    matter; `now` stands in where that is missing.

    Source: RFC 9110, section 10.2.3; `retry-after-ms` as OpenAI and Azure send it.
    """
    for name, scale in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) / scale
        except ValueError:
            continue
        if math.isnan(seconds) or seconds < 0:
            continue
        return min(seconds, MAX_RETRY_AFTER_S)
    until = _date(headers.get("retry-after"))
    if until is None:
        return None
    seconds = (until - (_date(headers.get("date")) or now)).total_seconds()
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S)


def _date(value: str | None) -> datetime | None:
    try:
        date = parsedate_to_datetime(value or "")
    except ValueError:
        return None
    return date if date.tzinfo else None
