"""What stands between an error and who would see it."""

from __future__ import annotations

import asyncio
import json
import logging
import math
from typing import Any

import pytest

from lattice_lock import exceptions
from lattice_lock.errors.middleware import Envelope, envelope, error_boundary, retrying
from lattice_lock.errors.retry import RetryPolicy, RetryQuota
from lattice_lock.exceptions import (
    AllProvidersFailedError,
    APIClientError,
    AuthenticationError,
    ChainStepError,
    InvalidRequestError,
    LatticeLockError,
    OverloadedError,
    PolicyViolationError,
    Problem,
    RateLimitError,
    SourceLocation,
)

SECRET = "sk-canary-4711"  # noqa: S105  # it opens nothing
SHOWN = {
    *("InvalidRequestError", "ContextLengthError", "ModelNotAvailableError"),
    *("ContentFilteredError", "PolicyViolationError", "InvalidPolicyError", "AuthError"),
    *("LatticeError", "LatticeSyntaxError", "LatticeSchemaError", "ExpressionError"),
    *("CompileError", "VacuousContractError", "UnsupportedByTargetError", "HandWrittenFileError"),
    *("BudgetExceededError", "ChainError"),
}
TREE = sorted(
    (
        kind
        for kind in vars(exceptions).values()
        if isinstance(kind, type)
        and issubclass(kind, LatticeLockError)
        and not kind.__name__.startswith("_")
    ),
    key=lambda kind: kind.__name__,
)


def example(kind: type[LatticeLockError], message: str) -> LatticeLockError:
    """An error of `kind` that says `message`."""
    made: Any = kind
    if issubclass(kind, AllProvidersFailedError):
        return kind(message, [AuthenticationError(message, provider="p")], hint=message)
    if issubclass(kind, APIClientError):
        return kind(message, provider="p", provider_code=message, retry_after_s=1.2, hint=message)
    if issubclass(kind, PolicyViolationError):
        return kind(message, policy="p", hint=SECRET)
    if issubclass(kind, ChainStepError):
        return kind(message, step="s", hint=message)
    if issubclass(kind, exceptions._LocatedError):
        place = SourceLocation(file="f", line=1, column=1)
        return kind([Problem(location=place, message=message)])
    error: LatticeLockError = made(message, hint=message)
    return error


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: str(kind.__name__))
def test_every_error_has_its_answer(kind: type[LatticeLockError]) -> None:
    """Status, code and type are the class's own, the form is one, and the body is plain JSON."""
    answer = envelope(example(kind, "no"), request_id="r-1")
    assert answer.status == kind.http_status
    assert 400 <= answer.status < 600
    body = json.loads(json.dumps(answer.body))["error"]
    assert set(body) == {"code", "type", "message", "request_id", "retry_after_s"}
    assert (body["code"], body["type"], body["request_id"]) == (kind.code, kind.__name__, "r-1")
    assert body["message"]


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: str(kind.__name__))
def test_only_what_concerns_the_request_is_told(kind: type[LatticeLockError]) -> None:
    """What went wrong inside, or between us and a provider, is not in the body; nor is a hint."""
    told = SECRET in json.dumps(envelope(example(kind, SECRET)).body)
    assert told == (kind.__name__ in SHOWN)


def test_waits_are_told_in_whole_seconds() -> None:
    """`Retry-After` never invites too early, and is left out where nothing is known."""
    limited = RateLimitError("slow", provider="p", retry_after_s=1.2, request_id="req-9")
    answer = envelope(limited)
    assert (answer.status, answer.headers) == (429, {"Retry-After": "2"})
    assert answer.body["error"]["retry_after_s"] == 1.2
    assert answer.body["error"]["request_id"] == "req-9"
    assert envelope(InvalidRequestError("no", provider="p")).headers == {}


def test_a_group_may_be_asked_again_when_its_first_model_may() -> None:
    """Of several waits the shortest counts."""
    causes = [
        OverloadedError("busy", provider="a", retry_after_s=9.0),
        AuthenticationError("no", provider="b"),
        RateLimitError("slow", provider="c", retry_after_s=4.0),
    ]
    assert envelope(AllProvidersFailedError("none", causes)).headers == {"Retry-After": "4"}
    assert envelope(AllProvidersFailedError("none", causes[1:2])).headers == {}


QUICK = RetryPolicy(max_attempts=4, base_s=0.001, cap_s=0.002)


class Flaky:
    """A call that fails as listed, then succeeds."""

    def __init__(self, *failures: APIClientError) -> None:
        self.failures = list(failures)
        self.numbers: list[int] = []

    async def __call__(self, number: int) -> str:
        """One attempt."""
        self.numbers.append(number)
        if self.failures:
            raise self.failures.pop(0)
        return "done"


def busy() -> OverloadedError:
    """A failure that another attempt may cure."""
    return OverloadedError("busy", provider="p")


async def tried(call: Flaky, *, remaining_s: float = math.inf, retries: float = 10.0) -> str:
    """`call`, repeated."""
    quota = RetryQuota(capacity=retries)
    return await retrying(call, policy=QUICK, remaining_s=lambda: remaining_s, permit=quota.take)


async def test_a_call_is_repeated_until_it_succeeds() -> None:
    """Attempts are numbered from 1 and stop at the first success."""
    call = Flaky(busy(), busy())
    assert await tried(call) == "done"
    assert call.numbers == [1, 2, 3]


@pytest.mark.parametrize(
    ("bounds", "attempts"),
    [({}, 4), ({"remaining_s": 0.0}, 1), ({"retries": 0.5}, 1), ({"retries": 1.0}, 2)],
)
async def test_attempts_end_where_a_bound_is_reached(
    bounds: dict[str, float], attempts: int
) -> None:
    """Number, time and permission each end the attempts, with the last error and its number."""
    call = Flaky(*(busy() for _ in range(9)))
    with pytest.raises(OverloadedError) as caught:
        await tried(call, **bounds)
    assert (caught.value.attempt, len(call.numbers)) == (attempts, attempts)


async def test_what_cannot_succeed_is_tried_once() -> None:
    """A request that was refused is not sent again, and no permission is used up for it."""
    call = Flaky(InvalidRequestError("no", provider="p"))
    with pytest.raises(InvalidRequestError):
        await tried(call)
    assert call.numbers == [1]


async def test_cancelling_ends_the_wait_between_attempts() -> None:
    """A call that waits to be repeated is cancelled at once and not repeated."""
    waiting = asyncio.Event()
    patient = RetryPolicy(base_s=3600.0, cap_s=3600.0)

    def permit() -> bool:
        waiting.set()
        return True

    call = Flaky(busy())
    task = asyncio.create_task(
        retrying(call, policy=patient, remaining_s=lambda: math.inf, permit=permit)
    )
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert call.numbers == [1]


async def _raising(error: BaseException) -> str:
    raise error


async def test_the_boundary_lets_answers_through() -> None:
    """What a call gives is given unchanged."""
    assert await error_boundary(Flaky()(1)) == "done"


async def test_the_boundary_answers_for_errors() -> None:
    """A known error becomes its own answer, under the id that the caller was given."""
    answer = await error_boundary(_raising(busy()), request_id="r-7")
    assert isinstance(answer, Envelope)
    assert (answer.status, answer.body["error"]["request_id"]) == (503, "r-7")


async def test_the_boundary_tells_nothing_of_what_it_does_not_know(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An unforeseen error is a 500 with an id under which the log names its type and place only."""
    caplog.set_level(logging.DEBUG)
    answer = await error_boundary(_raising(ZeroDivisionError(SECRET)))
    assert isinstance(answer, Envelope)
    assert answer.status == 500
    assert SECRET not in json.dumps(answer.body)
    (record,) = caplog.records
    assert answer.body["error"]["request_id"] in record.getMessage()
    assert "ZeroDivisionError" in record.getMessage()
    assert "test_middleware.py:" in record.getMessage()
    assert SECRET not in caplog.text


@pytest.mark.parametrize("end", [asyncio.CancelledError(), SystemExit(3)])
async def test_the_boundary_stops_no_end(end: BaseException) -> None:
    """Cancellation and the end of the process pass."""
    with pytest.raises(type(end)):
        await error_boundary(_raising(end))
