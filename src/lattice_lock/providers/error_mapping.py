"""Which error a provider's answer is: by its own code first, then by HTTP status.

Wording decides only where a server has no code for it; every such text is in one table here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

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

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ErrorFacts", "error_kind", "openai_error_facts"]

_MAX_MESSAGE = 500
_STATUS = re.compile(r"[1-5][0-9]{2}")

# Codes that mean one thing whatever the status beside them.
_BY_CODE: Mapping[str, type[APIClientError]] = {
    "invalid_api_key": AuthenticationError,
    "authentication_error": AuthenticationError,
    "insufficient_quota": QuotaExhaustedError,
    "credit_balance_exhausted": QuotaExhaustedError,
    "billing_error": QuotaExhaustedError,
    "enforced_spend_limit_reached": QuotaExhaustedError,
    "contract_spend_limit_reached": QuotaExhaustedError,
    "rate_limit_exceeded": RateLimitError,
    "rate_limit_error": RateLimitError,
    "slow_down": RateLimitError,
    "server_is_overloaded": OverloadedError,
    "timeout_error": ProviderTimeoutError,
    "DEADLINE_EXCEEDED": ProviderTimeoutError,
    "API_KEY_INVALID": AuthenticationError,
    "FAILED_PRECONDITION": PermissionDeniedError,  # Google: this region, or no billing
    "overloaded_error": OverloadedError,
    "unavailable_error": OverloadedError,
    "model_not_found": ModelNotAvailableError,
    "context_length_exceeded": ContextLengthError,
    "exceed_context_size_error": ContextLengthError,
    "truncate_prompt_error": ContextLengthError,
    "content_filter": ContentFilteredError,
    "content_policy_violation": ContentFilteredError,
    "invalid_prompt": ContentFilteredError,
    "bio_policy": ContentFilteredError,
    "misalignment_policy_violation": ContentFilteredError,
    "image_content_policy_violation": ContentFilteredError,
    "DeploymentNotFound": ModelNotAvailableError,
}

# Bedrock's, and those of whatever checks signatures before it. Its other classes say no more than
# the status beside them.
_BY_CODE_OF_AWS: Mapping[str, type[APIClientError]] = {
    "UnrecognizedClientException": AuthenticationError,
    "InvalidSignatureException": AuthenticationError,
    "IncompleteSignatureException": AuthenticationError,
    "MissingAuthenticationTokenException": AuthenticationError,
    "ExpiredTokenException": AuthenticationError,
    "ServiceQuotaExceededException": QuotaExhaustedError,
    "ThrottlingException": RateLimitError,
    "ModelNotReadyException": OverloadedError,
}

_BY_STATUS: Mapping[int, type[APIClientError]] = {
    401: AuthenticationError,
    402: QuotaExhaustedError,
    403: PermissionDeniedError,
    404: ModelNotAvailableError,
    408: ProviderTimeoutError,
    409: ConflictError,
    413: ContextLengthError,
    424: ServerError,
    429: RateLimitError,
    499: ProviderTimeoutError,
    503: OverloadedError,
    529: OverloadedError,
}

# Parts of codes that are made of several words: Google's ids of quotas name their period.
_BY_CODE_PART: tuple[tuple[re.Pattern[str], type[APIClientError]], ...] = (
    (re.compile(r"PerDay"), QuotaExhaustedError),
)

# Codes too general to stand above a status; they decide where an error comes inside a 200 stream.
_BY_GENERAL_CODE: Mapping[str, type[APIClientError]] = {
    "api_error": ServerError,
    "server_error": ServerError,
    "internal_error": ServerError,
    "internal_server_error": ServerError,
    "InternalServerError": ServerError,
    "invalid_request_error": InvalidRequestError,
    "BadRequestError": InvalidRequestError,
    "not_found_error": ModelNotAvailableError,
    "NotFoundError": ModelNotAvailableError,
    "permission_error": PermissionDeniedError,
    "conflict_error": ConflictError,
    "request_too_large": ContextLengthError,
    "not_supported_error": InvalidRequestError,
    # `response.error` of OpenAI's Responses; the codes of its `ResponseError`.
    "data_residency_mismatch": InvalidRequestError,
    "vector_store_timeout": ServerError,
    "invalid_image": InvalidRequestError,
    "invalid_image_format": InvalidRequestError,
    "invalid_base64_image": InvalidRequestError,
    "invalid_image_url": InvalidRequestError,
    "image_too_large": InvalidRequestError,
    "image_too_small": InvalidRequestError,
    "image_parse_error": InvalidRequestError,
    "invalid_image_mode": InvalidRequestError,
    "image_file_too_large": InvalidRequestError,
    "unsupported_image_media_type": InvalidRequestError,
    "empty_image_file": InvalidRequestError,
    "failed_to_download_image": InvalidRequestError,
    "image_file_not_found": InvalidRequestError,
    # The type of an `error` event that has no code of its own.
    "error": ServerError,
    # DIAL's type for whatever went wrong behind it.
    "runtime_error": ServerError,
}

_BY_TEXT = (
    # vLLM has only BadRequestError for it; protocol.py and serving_engine.py.
    (re.compile(r"maximum context length", re.IGNORECASE), ContextLengthError),
    # xAI answers 429 or 403; https://github.com/continuedev/continue/issues/10373.
    (
        re.compile(r"used all available credits|run out of credits", re.IGNORECASE),
        QuotaExhaustedError,
    ),
    # xAI answers 400 "Client specified an invalid argument" for a wrong key, percent-encoded once.
    (re.compile(r"incorrect(?: |%20)api(?: |%20)key", re.IGNORECASE), AuthenticationError),
    # Anthropic answers `invalid_request_error` for these, without a code of their own.
    (re.compile(r"prompt is too long", re.IGNORECASE), ContextLengthError),
    (re.compile(r"credit balance is too low", re.IGNORECASE), QuotaExhaustedError),
    (re.compile(r"specified API usage limits", re.IGNORECASE), QuotaExhaustedError),
    # Bedrock has only ValidationException for these; the wording differs by the model's vendor.
    (
        re.compile(
            r"input is too long|too many input tokens|input tokens? exceed|"
            r"input length and `max_tokens` exceed",
            re.IGNORECASE,
        ),
        ContextLengthError,
    ),
    (
        re.compile(r"model identifier is invalid|on-demand throughput", re.IGNORECASE),
        ModelNotAvailableError,
    ),
    # Google answers INVALID_ARGUMENT.
    (re.compile(r"token count.{0,40}exceeds the maximum", re.IGNORECASE), ContextLengthError),
)

# What may turn out to be something else.
_DECIDED_BY_TEXT = {InvalidRequestError, PermissionDeniedError, RateLimitError}

_CLIENT_ERRORS = range(400, 500)
_SERVER_ERRORS = range(500, 600)


class ErrorFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What an error body says.

    Attributes:
        message: the provider's words, for a person.
        codes: its codes and types, the most specific first.
        status: a status inside the body, where HTTP's own says 200.
        parameter: the request parameter it complains about.
        request_id: the provider's id for the request, where it is said in the body.
        retry_after_s: seconds to wait, where they are said in the body.
    """

    message: str
    codes: tuple[str, ...] = ()
    status: int | None = None
    parameter: str | None = None
    request_id: str | None = None
    retry_after_s: float | None = None


def error_kind(status: int, facts: ErrorFacts) -> type[APIClientError]:
    """The class of error for an answer with `status` (200 inside a stream) and `facts`."""
    for code in facts.codes:
        if kind := _BY_CODE.get(code) or _BY_CODE_OF_AWS.get(code):
            return kind
        for pattern, special in _BY_CODE_PART:
            if pattern.search(code):
                return special
    if status < min(_CLIENT_ERRORS):
        status = facts.status or status
    kind = _BY_STATUS.get(status) or _by_general_code(status, facts)
    if kind in _DECIDED_BY_TEXT:
        for pattern, special in _BY_TEXT:
            if pattern.search(facts.message):
                return special
    return kind


def _by_general_code(status: int, facts: ErrorFacts) -> type[APIClientError]:
    if status in _CLIENT_ERRORS:
        return InvalidRequestError
    if status in _SERVER_ERRORS:
        return ServerError
    for code in facts.codes:
        if code in _BY_GENERAL_CODE:
            return _BY_GENERAL_CODE[code]
    return InvalidResponseError


def openai_error_facts(body: object) -> ErrorFacts | None:
    """What a decoded body of the OpenAI family says is wrong; None where it says nothing.

    Forms: `{"error": {"message", "type", "param", "code"}}` with a text or (vLLM, llama.cpp) a
    status as `code`, which may be a text of digits (DIAL); `{"error": "text"}` (Ollama), with a
    `code` beside it (xAI); `{"detail": ...}` and `{"message": ...}` (proxies and older vLLM).
    """
    if not isinstance(body, dict):
        return None
    error = body.get("error") or body.get("detail") or body
    if isinstance(error, str):
        code = body.get("code")
        return ErrorFacts(message=_shorten(error), codes=(code,) if isinstance(code, str) else ())
    if isinstance(error, list):
        return ErrorFacts(message=_shorten(msgspec.json.encode(error).decode()))
    if isinstance(error, dict) and isinstance(error.get("message"), dict | list):
        # Mistral puts what pydantic found there.
        error = error | {"message": msgspec.json.encode(error["message"]).decode()}
    if not isinstance(error, dict) or not isinstance(error.get("message"), str):
        return None
    codes = tuple(c for c in (error.get("code"), error.get("type")) if isinstance(c, str))
    status = error.get("code")
    parameter = error.get("param")
    return ErrorFacts(
        message=_shorten(error["message"]),
        codes=codes,
        status=_status(status),
        parameter=parameter if isinstance(parameter, str) else None,
    )


def _status(code: object) -> int | None:
    if isinstance(code, str) and _STATUS.fullmatch(code):
        return int(code)
    return code if isinstance(code, int) else None


def _shorten(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MAX_MESSAGE else f"{line[:_MAX_MESSAGE]}..."
