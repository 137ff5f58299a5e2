"""What clients of HTTP providers share: sending JSON, reading it, and turning failures into errors.

A subclass says where the API is, which key opens it and how errors look in it.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import msgspec

from lattice_lock.errors.retry import MAX_RETRY_AFTER_S, parse_retry_after
from lattice_lock.exceptions import (
    APIClientError,
    AuthenticationError,
    InvalidRequestError,
    InvalidResponseError,
    ProviderConnectionError,
    ProviderUnavailableError,
)
from lattice_lock.messages import UNREADABLE_JSON
from lattice_lock.providers.base_client import BaseAPIClient
from lattice_lock.providers.error_mapping import ErrorFacts, error_kind, openai_error_facts
from lattice_lock.providers.transport import HttpRequest
from lattice_lock.settings import Secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from lattice_lock.messages import ChatResponse
    from lattice_lock.providers.transport import Deadline, HttpResponse, Timeouts

__all__ = ["HttpAPIClient"]

_T = TypeVar("_T")

_MAX_ERROR_BODY = 64 * 1024
_NOT_FOUND = 404
_OK = range(200, 300)
_REDIRECT = range(300, 400)
# As OpenAI and Anthropic send it, and as their own clients obey it.
_SHOULD_RETRY = {"true": True, "false": False}
_HEADER_VALUE = re.compile(r"[\x21-\x7e]+")


class HttpAPIClient(BaseAPIClient):
    """A provider behind HTTP; a subclass says where, with which key, and how to translate."""

    keeps_deadline = True  # the transport does

    request_id_header: ClassVar[str] = "x-request-id"
    """Header in which the provider names the request."""

    idempotency_header: ClassVar[str | None] = None
    """Header by which the provider knows a repeated request again, None where it has none."""

    key_variables: ClassVar[tuple[str, ...]] = ()
    """Variables that may hold the key; the first that is set does."""

    unreachable_hint: ClassVar[str | None] = None
    """What to do where nothing answers, as a sentence."""

    @abstractmethod
    def _base_url(self) -> str:
        """Where the API is, without a trailing slash."""

    def _key_variable(self) -> str | None:
        """The variable that holds the key, None where none is set or needed."""
        return next((name for name in self.key_variables if self._settings.secret(name)), None)

    def _key(self) -> Secret | None:
        """The key that requests carry, None where none is needed."""
        variable = self._key_variable()
        return self._settings.secret(variable) if variable else None

    def _key_hint(self) -> str | None:
        """What to do where the key is refused, as a sentence."""
        variable = self._key_variable()
        return f"Check `{variable}`." if variable else None

    def _headers(self) -> dict[str, str]:
        """Headers of every request, besides those of its body."""
        return {}

    def _key_headers(self, key: Secret) -> dict[str, Secret]:
        """The headers in which `key` is sent."""
        return {"Authorization": Secret(f"Bearer {key.reveal()}")}

    def _error_facts(self, body: object) -> ErrorFacts | None:
        """What a decoded error body says; None where it is not in the provider's form."""
        return openai_error_facts(body)

    @asynccontextmanager
    async def _open(
        self, request: HttpRequest, *, deadline: Deadline, timeouts: Timeouts
    ) -> AsyncIterator[HttpResponse]:
        """The answer to `request` if it is a success; any other status is raised."""
        if self.idempotency_header and request.method == "POST":
            request.headers[self.idempotency_header] = deadline.call_id
        try:
            async with self._transport.open(
                request, deadline=deadline, timeouts=timeouts
            ) as response:
                if response.status not in _OK:
                    raise self._refused(request, response, await self._error_body(response))
                try:
                    yield response
                except InvalidResponseError as error:  # whoever reads a part has only that part
                    error.status = error.status or response.status
                    error.request_id = error.request_id or self._request_id(response.headers)
                    raise
        except ProviderConnectionError as error:
            if error.status is None:
                error.hint = error.hint or self.unreachable_hint
            raise

    def _request(
        self, method: str, path: str, *, model: str | None, body: dict[str, Any] | None = None
    ) -> HttpRequest:
        """The request for `path` below the base, with the key and `body` as JSON.

        Raises:
            InvalidRequestError: the body holds what JSON cannot say.
            ProviderUnavailableError: a setting is missing, or the key cannot be sent.
        """
        if missing := self.missing_setting(self._settings):
            raise ProviderUnavailableError(
                f"`{self.provider}` is not set up.",
                provider=self.provider,
                model=model,
                hint=missing,
            )
        headers = {"Accept": "application/json"} | self._headers()
        if body is not None:
            headers["Content-Type"] = "application/json"
        return HttpRequest(
            provider=self.provider,
            model=model,
            method=method,
            url=self._base_url() + path,
            headers=headers,
            secret_headers=self._secret_headers(),
            body=None if body is None else self._encode(body, model),
        )

    def _encode(self, body: dict[str, Any], model: str | None) -> bytes:
        try:
            return msgspec.json.encode(body)
        except (UnicodeEncodeError, RecursionError) as error:
            lone = isinstance(error, UnicodeEncodeError)
            what = "half of a character" if lone else "values nested too deep"
            raise InvalidRequestError(
                f"The request cannot be sent: it holds {what}.",
                provider=self.provider,
                model=model,
                hint="Remove lone surrogates, which come from bytes that are no UTF-8."
                if lone
                else "Nest tools, schemas and arguments less deep.",
            ) from None

    def _secret_headers(self) -> dict[str, Secret]:
        key = self._key()
        if key is None:
            return {}
        if not _HEADER_VALUE.fullmatch(key.reveal()):
            raise ProviderUnavailableError(
                f"The key of `{self.provider}` holds characters that no key has.",
                provider=self.provider,
                hint="Set it again without quotes, spaces and line ends.",
            )
        return self._key_headers(key)

    def _decode(
        self,
        decoder: msgspec.json.Decoder[_T],
        content: bytes,
        request: HttpRequest,
        response: HttpResponse,
    ) -> _T:
        """`content` as the decoder's type.

        Raises:
            InvalidResponseError: it is something else.
        """
        try:
            return decoder.decode(content)
        except UNREADABLE_JSON as error:
            kind = response.headers.get("content-type", "no content type")
            raise self._unreadable(
                request,
                f"The answer (`{kind}`) is not in the format of `{self.provider}`: {error}.",
                response=response,
            ) from error

    async def _expect_events(self, request: HttpRequest, response: HttpResponse) -> None:
        """Refuse an answer that is no event stream; an error may hide in it."""
        if response.headers.get("content-type", "").startswith("text/event-stream"):
            return
        content = await response.read()
        self._refuse_error(request, content, response)
        kind = response.headers.get("content-type", "no content type")
        raise self._unreadable(
            request, f"A stream was asked for, but the answer is `{kind}`.", response=response
        )

    def _refuse_error(self, request: HttpRequest, content: bytes, response: HttpResponse) -> None:
        """Raise the error that a body with status 200 holds; other bodies pass."""
        if b'"error"' not in content:
            return
        body = _decode(content)
        if isinstance(body, dict) and body.get("error") and (facts := self._error_facts(body)):
            raise self._reported(request, facts, response=response)

    def _with_request_id(self, answer: ChatResponse, response: HttpResponse) -> ChatResponse:
        request_id = self._request_id(response.headers)
        return msgspec.structs.replace(answer, request_id=request_id) if request_id else answer

    async def _error_body(self, response: HttpResponse) -> bytes:
        """The body of a refusal as far as it comes: the status counts even if the body breaks."""
        body = bytearray()
        try:
            while len(body) < _MAX_ERROR_BODY and (chunk := await response.read_chunk()):
                body += chunk
        except APIClientError:
            return b""
        return bytes(body)

    def _refused(self, request: HttpRequest, response: HttpResponse, body: bytes) -> APIClientError:
        facts = self._error_facts(_decode(body))
        if response.status in _REDIRECT:
            return self._error(
                InvalidResponseError,
                request,
                "The answer is a redirect, which is never followed with a key.",
                response=response,
                hint=f"Configure the address it leads to in place of `{request.url}`.",
            )
        if facts is None and response.status == _NOT_FOUND:
            return self._error(
                ProviderUnavailableError,
                request,
                "There is no such API.",
                response=response,
                hint=f"Check the address `{request.url}`.",
            )
        facts = facts or ErrorFacts(message=f"The answer is HTTP status {response.status}.")
        return self._reported(request, facts, response=response)

    def _reported(
        self, request: HttpRequest, facts: ErrorFacts, *, response: HttpResponse
    ) -> APIClientError:
        """The error that the provider reports, by status or inside a stream."""
        error = self._error(
            error_kind(response.status, facts), request, facts.message, response=response
        )
        if facts.codes:
            error.provider_code = self._without_key(facts.codes[0])
        if error.request_id is None and facts.request_id:
            error.request_id = self._without_key(facts.request_id)
        if error.retry_after_s is None and facts.retry_after_s is not None:
            error.retry_after_s = min(max(facts.retry_after_s, 0.0), MAX_RETRY_AFTER_S)
        if isinstance(error, AuthenticationError):
            error.hint = self._key_hint()
        if isinstance(error, InvalidRequestError) and facts.parameter:
            error.parameter = self._without_key(facts.parameter)
        return error

    def _unreadable(
        self, request: HttpRequest, what: str, *, response: HttpResponse
    ) -> APIClientError:
        """The error for an answer that is not the provider's own format."""
        return self._error(InvalidResponseError, request, what, response=response)

    def _error(
        self,
        kind: type[APIClientError],
        request: HttpRequest,
        message: str,
        *,
        response: HttpResponse,
        hint: str | None = None,
    ) -> APIClientError:
        error = kind(
            self._without_key(message),
            provider=self.provider,
            model=request.model,
            request_id=self._request_id(response.headers),
            status=response.status,
            retry_after_s=parse_retry_after(response.headers, now=datetime.now(tz=UTC)),
            hint=hint,
        )
        error.should_retry = _SHOULD_RETRY.get(response.headers.get("x-should-retry", ""))
        return error

    def _request_id(self, headers: Mapping[str, str]) -> str | None:
        value = headers.get(self.request_id_header)
        return None if value is None else self._without_key(value)

    def _without_key(self, text: str) -> str:
        """`text` without the key, which a careless server may echo."""
        key = self._key()
        return key.hidden_in(text) if key else text


def _decode(body: bytes) -> Any:  # noqa: ANN401  # whatever a server sends
    try:
        return msgspec.json.decode(body)
    except UNREADABLE_JSON:
        return None
