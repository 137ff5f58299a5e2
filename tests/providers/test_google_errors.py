"""What Google refuses, and where its streams break."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.genai import errors

from google_wire import (
    MODEL,
    as_stream,
    ask,
    collect,
    failure,
    google_server,
    our_client,
    payload,
    sse,
    streamed,
    vendor_client,
)
from lattice_lock.exceptions import (
    APIClientError,
    AuthenticationError,
    ContentFilteredError,
    ContextLengthError,
    InvalidRequestError,
    InvalidResponseError,
    ModelNotAvailableError,
    OverloadedError,
    PermissionDeniedError,
    ProviderTimeoutError,
    QuotaExhaustedError,
    RateLimitError,
    ServerError,
)
from lattice_lock.messages import (
    StreamEnd,
    TextDelta,
)
from wire_server import answer


def google_error(status: int, code: str, message: str = "m", *details: Any) -> dict[str, Any]:
    """An error body of Google."""
    error = {"code": status, "message": message, "status": code, "details": list(details)}
    return {"error": error}


BAD_KEY = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
LONG = "The input token count (9) exceeds the maximum number of tokens allowed (8)."
ERRORS = [
    (google_error(400, "INVALID_ARGUMENT"), InvalidRequestError, "INVALID_ARGUMENT", 1),
    (google_error(400, "INVALID_ARGUMENT", LONG), ContextLengthError, "INVALID_ARGUMENT", 1),
    (google_error(400, "INVALID_ARGUMENT", "m", BAD_KEY), AuthenticationError,
     "API_KEY_INVALID", 1),
    (google_error(400, "FAILED_PRECONDITION"), PermissionDeniedError, "FAILED_PRECONDITION", 1),
    (google_error(401, "UNAUTHENTICATED"), AuthenticationError, "UNAUTHENTICATED", 1),
    (google_error(403, "PERMISSION_DENIED"), PermissionDeniedError, "PERMISSION_DENIED", 1),
    (google_error(404, "NOT_FOUND"), ModelNotAvailableError, "NOT_FOUND", 1),
    (google_error(429, "RESOURCE_EXHAUSTED"), RateLimitError, "RESOURCE_EXHAUSTED", 3),
    (google_error(499, "CANCELLED"), ProviderTimeoutError, "CANCELLED", 3),
    (google_error(500, "INTERNAL"), ServerError, "INTERNAL", 3),
    (google_error(503, "UNAVAILABLE"), OverloadedError, "UNAVAILABLE", 3),
    (google_error(504, "DEADLINE_EXCEEDED"), ProviderTimeoutError, "DEADLINE_EXCEEDED", 3),
]  # fmt: skip


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize(("body", "kind", "code", "attempts"), ERRORS)
async def test_every_error_is_mapped(  # noqa: PLR0917  # a row of the table
    body: dict[str, Any],
    kind: type[APIClientError],
    code: str,
    attempts: int,
    listed: bool,  # noqa: FBT001  # a parameter of the test
    stream: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    """Each error of the API is one of ours, alone or in a list, repeated only where it may pass."""
    status = body["error"]["code"]
    error, requests = await failure(answer([body] if listed else body, status), stream=stream)
    assert type(error) is kind
    assert (requests, error.status, error.provider_code) == (attempts, status, code)
    assert (error.model, error.attempt) == (MODEL, attempts)


async def test_the_vendors_client_reads_the_same_errors() -> None:
    """The server's errors are real ones: the vendor's client finds status and code in them."""
    body = payload("quota")
    async with google_server(answer(body, 429)) as server, vendor_client(server.url) as vendor:
        with pytest.raises(errors.ClientError) as caught:
            await vendor.models.generate_content(model=MODEL, contents="Hello")
    assert (caught.value.code, caught.value.status) == (429, "RESOURCE_EXHAUSTED")


async def test_a_daily_quota_is_no_rate_limit() -> None:
    """A quota of the day is not waited for, although the body says to try again in a minute."""
    error, requests = await failure(answer(payload("quota"), 429))
    assert (type(error), requests, error.retry_after_s) == (QuotaExhaustedError, 1, 35.5)
    assert error.provider_code == "GenerateRequestsPerDayPerProjectPerModel-FreeTier"


@pytest.mark.parametrize(
    ("delay", "seconds"), [("35s", 35.0), ("99999s", 3600.0), ("-1s", None), (7, None)]
)
async def test_the_wait_is_in_the_body(delay: object, seconds: float | None) -> None:
    """The wait that the body asks for is in the error, bounded; nonsense is no wait."""
    wait = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}
    error, requests = await failure(answer(google_error(429, "RESOURCE_EXHAUSTED", "m", wait), 429))
    assert (type(error), error.retry_after_s) == (RateLimitError, seconds)
    assert requests == (3 if seconds is None else 1)


async def test_the_wrong_field_is_named() -> None:
    """An invalid argument says which, where the details do."""
    violations = [{"field": "generation_config.top_p", "description": "too high"}]
    detail = {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations}
    error, _ = await failure(answer(google_error(400, "INVALID_ARGUMENT", "m", detail), 400))
    assert isinstance(error, InvalidRequestError)
    assert error.parameter == "generation_config.top_p"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_blocked_prompt_is_an_error(
    stream: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    """A prompt that the filter refuses comes with status 200 and is no empty answer."""
    blocked = payload("blocked")
    error, requests = await failure(
        as_stream(sse(blocked)) if stream else answer(blocked), stream=stream
    )
    assert (type(error), requests) == (ContentFilteredError, 1)
    assert (error.provider_code, error.request_id) == ("PROHIBITED_CONTENT", "blocked-1")


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("framed", [False, True])
async def test_an_error_in_the_stream(
    framed: bool,  # noqa: FBT001  # a parameter of the test
    begun: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    """Overload inside a 200 is raised, also where it is no event; after a text it is final."""
    broken = google_error(503, "UNAVAILABLE", "The model is overloaded.")
    start = sse(*streamed(payload("text"))[:2]) if begun else ""
    end = sse(broken) if framed else json.dumps([broken], indent=2)
    error, requests = await failure(as_stream(start, end), stream=True)
    assert type(error) is OverloadedError
    assert (requests, error.provider_code) == (1 if begun else 3, "UNAVAILABLE")


async def test_a_stray_error_is_found_after_a_long_stream() -> None:
    """However much text came before, an error that is no event is read from the bytes after it."""
    whole = payload("text")
    whole["candidates"][0]["content"]["parts"][0]["text"] = "x" * 200_000
    start = sse(*streamed(whole, cut=50_000)[:-1])
    stray = json.dumps(google_error(429, "RESOURCE_EXHAUSTED"), indent=2)
    error, _ = await failure(as_stream(start, stray), stream=True)
    assert type(error) is RateLimitError


async def test_an_error_of_unknown_form_in_the_stream() -> None:
    """An error that says nothing readable is still an error."""
    error, _ = await failure(as_stream('data: {"error": {"sorry": true}}\n\n'), stream=True)
    assert type(error) is InvalidResponseError


async def test_a_call_that_fails_once_can_succeed() -> None:
    """Overload before the first text is passed over, and the text comes once."""
    broken = as_stream(sse(google_error(503, "UNAVAILABLE")))
    good = as_stream(sse(*streamed(payload("text"))))
    async with google_server(broken, good) as server, our_client(server.url) as client:
        *deltas, end = await collect(client, ask())
    assert isinstance(end, StreamEnd)
    assert end.response.attempts == 2
    assert "".join(d.text for d in deltas if isinstance(d, TextDelta)) == end.response.text
