"""What clients of HTTP providers share: sending, and turning failures into errors."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from lattice_lock.exceptions import (
    APIClientError,
    InvalidRequestError,
    InvalidResponseError,
    ProviderConnectionError,
    ProviderUnavailableError,
)
from lattice_lock.providers.base_client import BaseAPIClient
from lattice_lock.providers.error_mapping import ErrorFacts, error_kind, openai_error_facts
from lattice_lock.providers.retry import parse_retry_after

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from lattice_lock.providers.transport import (
        Deadline,
        HttpRequest,
        HttpResponse,
        Timeouts,
    )
    from lattice_lock.settings import Secret

__all__ = ["HttpAPIClient"]

_MAX_ERROR_BODY = 64 * 1024
_NOT_FOUND = 404
_OK = range(200, 300)
_REDIRECT = range(300, 400)


class HttpAPIClient(BaseAPIClient):
    """A provider behind HTTP; a subclass says where, with which key, and how to translate."""

    request_id_header: ClassVar[str] = "x-request-id"
    """Header in which the provider names the request."""

    unreachable_hint: ClassVar[str | None] = None
    """What to do where nothing answers, as a sentence."""

    def _key(self) -> Secret | None:
        """The key that requests carry, None where none is needed."""
        return None

    def _error_facts(self, body: object) -> ErrorFacts | None:
        """What a decoded error body says; None where it is not in the provider's form."""
        return openai_error_facts(body)

    @asynccontextmanager
    async def _open(
        self, request: HttpRequest, *, deadline: Deadline, timeouts: Timeouts
    ) -> AsyncIterator[HttpResponse]:
        """The answer to `request` if it is a success; any other status is raised."""
        try:
            async with self._transport.open(
                request, deadline=deadline, timeouts=timeouts
            ) as response:
                if response.status not in _OK:
                    raise self._refused(request, response, await self._error_body(response))
                yield response
        except ProviderConnectionError as error:
            if error.status is None:
                error.hint = error.hint or self.unreachable_hint
            raise

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
        return kind(
            self._without_key(message),
            provider=self.provider,
            model=request.model,
            request_id=self._request_id(response.headers),
            status=response.status,
            retry_after_s=parse_retry_after(response.headers, now=datetime.now(tz=UTC)),
            hint=hint,
        )

    def _request_id(self, headers: Mapping[str, str]) -> str | None:
        value = headers.get(self.request_id_header)
        return None if value is None else self._without_key(value)

    def _without_key(self, text: str) -> str:
        """`text` without the key, which a careless server may echo."""
        key = self._key()
        return text.replace(key.reveal(), "[key]") if key else text


def _decode(body: bytes) -> Any:  # noqa: ANN401  # whatever a server sends
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
