"""What stands between an error and who would see it: another attempt, or an HTTP answer.

`retrying` and `wait_to_retry` are the only places where a failed call is repeated. `envelope` is
the one mapping from errors to HTTP answers, as plain values that any framework can send, and
`error_boundary` applies it at the edge of a process.

Who calls a gateway learns what is wrong with the request. What a provider said about the key or
the organization that pays, and where things are inside, goes to the log and not to them.
"""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from lattice_lock.exceptions import (
    AllProvidersFailedError,
    APIClientError,
    ContentFilteredError,
    InternalError,
    InvalidRequestError,
    LatticeLockError,
    ModelNotAvailableError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from lattice_lock.errors.retry import RetryPolicy

__all__ = ["Envelope", "envelope", "error_boundary", "retrying", "wait_to_retry"]

_T = TypeVar("_T")
_LOG = logging.getLogger(__name__)
_ABOUT_THE_REQUEST = (InvalidRequestError, ModelNotAvailableError, ContentFilteredError)
_SERVER_ERROR = 500


async def retrying(
    attempt: Callable[[int], Awaitable[_T]],
    *,
    policy: RetryPolicy,
    remaining_s: Callable[[], float],
    permit: Callable[[], bool],
) -> _T:
    """What the first `attempt` that succeeds gives; it is called with its number, from 1.

    Args:
        remaining_s: seconds that the call still has; no wait begins that would use them up.
        permit: asked before each further attempt; it may say no, and counts what it allows.

    Raises:
        APIClientError: no attempt succeeded; the error of the last one, with its number.
    """
    number = 0
    while True:
        number += 1
        try:
            return await attempt(number)
        except APIClientError as error:
            error.attempt = number
            if not await wait_to_retry(
                error, policy=policy, remaining_s=remaining_s, permit=permit
            ):
                raise


async def wait_to_retry(
    error: APIClientError,
    *,
    policy: RetryPolicy,
    remaining_s: Callable[[], float],
    permit: Callable[[], bool],
) -> bool:
    """Wait until the attempt after the one that failed with `error` may begin.

    For callers that cannot hand over their attempts, such as streams; `error.attempt` is set. The
    arguments are those of `retrying`. False at once where there is to be no further attempt.
    """
    wait_s = policy.wait_s(error, attempt=error.attempt or 1)
    if wait_s is None or wait_s >= remaining_s() or not permit():
        return False
    _LOG.info(
        "call.retried provider=%s model=%s code=%s attempt=%s wait_s=%.3f",
        *(error.provider, error.model, error.code, error.attempt, wait_s),
    )
    await asyncio.sleep(wait_s)
    return True


async def error_boundary(call: Awaitable[_T], *, request_id: str | None = None) -> _T | Envelope:
    """What `call` gives, or the HTTP answer for the error that it raises.

    For the edge of a process: nothing but cancellation and the end of the process gets past it.
    What nobody foresaw is logged with the frames it came through, but without its message, which
    may quote a prompt or a key.

    Args:
        request_id: what the answer names and the log knows; made up where it is None.
    """
    request_id = request_id or secrets.token_hex(8)
    try:
        return await call
    except LatticeLockError as error:
        _LOG.info(
            "request.failed request=%s code=%s error=%s",
            *(request_id, error.code, type(error).__name__),
        )
        return envelope(error, request_id=request_id)
    except Exception as error:  # noqa: BLE001  # this is the documented boundary
        frames = traceback.extract_tb(error.__traceback__)
        _LOG.error(  # the message of an unknown error may quote secrets
            "request.broke request=%s error=%s at=%s",
            *(request_id, type(error).__name__),
            " < ".join(f"{frame.filename}:{frame.lineno}" for frame in reversed(frames)),
        )
        unforeseen = InternalError("The request failed inside.")
        return envelope(unforeseen, request_id=request_id)


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
