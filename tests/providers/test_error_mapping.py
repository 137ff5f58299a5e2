"""Which error a provider's answer is."""

from __future__ import annotations

from typing import Any

import pytest

from lattice_lock.exceptions import (
    APIClientError,
    AuthenticationError,
    ConflictError,
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
from lattice_lock.providers.error_mapping import ErrorFacts, error_kind, openai_error_facts

NOTHING = ErrorFacts(message="")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidRequestError),
        (401, AuthenticationError),
        (402, QuotaExhaustedError),
        (403, PermissionDeniedError),
        (404, ModelNotAvailableError),
        (405, InvalidRequestError),
        (408, ProviderTimeoutError),
        (409, ConflictError),
        (413, ContextLengthError),
        (418, InvalidRequestError),
        (422, InvalidRequestError),
        (429, RateLimitError),
        (500, ServerError),
        (502, ServerError),
        (503, OverloadedError),
        (504, ServerError),
        (529, OverloadedError),
        (200, InvalidResponseError),
    ],
)
def test_a_status_alone_has_a_meaning(status: int, kind: type[APIClientError]) -> None:
    """Every status maps to one error where the body says nothing."""
    assert error_kind(status, NOTHING) is kind


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (429, {"message": "m", "code": "insufficient_quota"}, QuotaExhaustedError),
        (429, {"message": "m", "code": "rate_limit_exceeded"}, RateLimitError),
        (400, {"message": "m", "code": "context_length_exceeded"}, ContextLengthError),
        (400, {"message": "m", "code": 400, "type": "exceed_context_size_error"},
         ContextLengthError),
        (400, {"message": "This model's Maximum Context Length is 9 tokens", "code": 400},
         ContextLengthError),
        (400, {"message": "m", "code": "content_filter"}, ContentFilteredError),
        (401, {"message": "maximum context length", "code": 401}, AuthenticationError),
        (404, {"message": "m", "type": "invalid_request_error"}, ModelNotAvailableError),
        (500, {"message": "m", "type": "invalid_request_error"}, ServerError),
        (503, {"message": "Loading model", "type": "unavailable_error"}, OverloadedError),
        (200, {"message": "m", "code": 400, "type": "invalid_request_error"}, InvalidRequestError),
        (200, {"message": "m", "type": "server_error"}, ServerError),
        (200, {"message": "m", "code": 503}, OverloadedError),
        (200, "model 'x' is unloading", InvalidResponseError),
        (504, {"message": "m", "type": "timeout_error"}, ProviderTimeoutError),
        (402, {"message": "m", "type": "billing_error"}, QuotaExhaustedError),
        (400, {"message": "Prompt is too long: 9 tokens > 8 maximum"}, ContextLengthError),
        (400, {"message": "Your credit balance is too low to access"}, QuotaExhaustedError),
        (400, {"message": "You have reached your specified API usage limits"}, QuotaExhaustedError),
    ],
)  # fmt: skip
def test_a_code_stands_above_the_status(
    status: int, error: Any, kind: type[APIClientError]
) -> None:
    """A specific code decides, then the status; inside a stream, the status in the body."""
    facts = openai_error_facts({"error": error})
    assert facts is not None
    assert error_kind(status, facts) is kind


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": "model 'x' not found"}, "model 'x' not found"),
        ({"error": {"message": "a\n  b", "param": "stop"}}, "a b"),
        ({"detail": "Not Found"}, "Not Found"),
        ({"detail": [{"loc": ["body"]}]}, '[{"loc":["body"]}]'),
        ({"message": "no"}, "no"),
        ({"object": "list"}, None),
        ({"error": {"message": 5}}, None),
        ([], None),
        ("text", None),
        (None, None),
    ],
)
def test_every_form_of_error_body_is_read(body: object, message: str | None) -> None:
    """The forms of OpenAI, Ollama, vLLM and proxies give their message, others give nothing."""
    facts = openai_error_facts(body)
    assert (facts.message if facts else None) == message


def test_a_long_message_is_cut() -> None:
    """A server cannot flood a log through an error."""
    facts = openai_error_facts({"error": "x" * 100_000})
    assert facts is not None
    assert len(facts.message) < 600
