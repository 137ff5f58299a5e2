"""The one mapping from errors to HTTP answers, as plain values that any framework can send.

Who calls a gateway learns what is wrong with the request. What a provider said about the key or
the organization that pays, and where things are inside, goes to the log and not to them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lattice_lock.exceptions import (
    AllProvidersFailedError,
    APIClientError,
    ContentFilteredError,
    InvalidRequestError,
    LatticeLockError,
    ModelNotAvailableError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Envelope", "envelope"]

_ABOUT_THE_REQUEST = (InvalidRequestError, ModelNotAvailableError, ContentFilteredError)
_SERVER_ERROR = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """An HTTP answer that reports an error.

    Attributes:
        status: HTTP status.
        headers: headers besides those of a JSON body.
        body: JSON value `{"error": {"code", "type", "message", "request_id", "retry_after_s"}}`;
            the last two are null where they are unknown.
    """

    status: int
    headers: Mapping[str, str]
    body: Mapping[str, Any]


def envelope(error: LatticeLockError, *, request_id: str | None = None) -> Envelope:
    """The answer for `error`.

    Args:
        request_id: what the caller may quote and the log knows; else the provider's own id.
    """
    if request_id is None and isinstance(error, APIClientError):
        request_id = error.request_id
    retry_after_s = _retry_after_s(error)
    return Envelope(
        status=error.http_status,
        # RFC 9110, section 10.2.3: whole seconds.
        headers={} if retry_after_s is None else {"Retry-After": str(math.ceil(retry_after_s))},
        body={
            "error": {
                "code": error.code,
                "type": type(error).__name__,
                "message": _public_message(error),
                "request_id": request_id,
                "retry_after_s": retry_after_s,
            }
        },
    )


def _public_message(error: LatticeLockError) -> str:
    if isinstance(error, AllProvidersFailedError):
        return "No model could answer."
    if isinstance(error, APIClientError):
        known = isinstance(error, _ABOUT_THE_REQUEST)
        return error.message if known else "The model's provider could not answer."
    if error.http_status < _SERVER_ERROR:
        return error.message
    return "The request failed inside."


def _retry_after_s(error: BaseException) -> float | None:
    """Seconds after which the same request may succeed: for a group, with any of its models."""
    if isinstance(error, AllProvidersFailedError):
        waits = [wait for cause in error.exceptions if (wait := _retry_after_s(cause)) is not None]
        return min(waits, default=None)
    return error.retry_after_s if isinstance(error, APIClientError) else None
