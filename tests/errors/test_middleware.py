"""Errors as HTTP answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lattice_lock import exceptions
from lattice_lock.errors.middleware import envelope
from lattice_lock.exceptions import (
    AllProvidersFailedError,
    APIClientError,
    AuthenticationError,
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
