"""Claude models, behind Anthropic's own API."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import quote

import msgspec
from typing_extensions import override

from lattice_lock.exceptions import ConfigurationError, IncompleteStreamError
from lattice_lock.messages import ModelId, StreamEnd
from lattice_lock.providers._anthropic_answer import (
    StreamAssembler,
    WireEvent,
    error_facts,
    message_response,
)
from lattice_lock.providers._anthropic_request import NO_SAMPLING_SINCE, messages_body
from lattice_lock.providers.error_mapping import ErrorFacts
from lattice_lock.providers.http_client import HttpAPIClient
from lattice_lock.providers.sse import SseParser
from lattice_lock.providers.transport import WHOLE_ANSWER, Deadline, Timeouts

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from lattice_lock.messages import ChatRequest, ChatResponse, StreamEvent
    from lattice_lock.providers.transport import HttpRequest, HttpResponse
    from lattice_lock.settings import Secret, Settings

__all__ = ["AnthropicClient"]

_BASE_URL = "https://api.anthropic.com"
_LIST_TIMEOUT_S = 10.0
_LIST_TIMEOUTS = Timeouts(connect_s=2.0)
_STREAM_TIMEOUTS = Timeouts()
_DRAIN_S = 0.25
_PAGE = 1000

_MESSAGE = msgspec.json.Decoder(dict[str, msgspec.Raw])
_EVENT = msgspec.json.Decoder(WireEvent)


class _ListedModel(msgspec.Struct, frozen=True):
    id: str


class _ModelList(msgspec.Struct, frozen=True):
    data: list[_ListedModel]
    has_more: bool = False
    last_id: str | None = None


_MODELS = msgspec.json.Decoder(_ModelList)


class AnthropicClient(HttpAPIClient):
    """Talks to `ANTHROPIC_BASE_URL`, else to Anthropic; needs `ANTHROPIC_API_KEY`.

    An answer is bounded by 16,384 tokens where the request gives no bound, because the API demands
    one. Reasoning that came from another provider is left out of what is sent.
    """

    provider: ClassVar[str] = "anthropic"
    key_variables: ClassVar[tuple[str, ...]] = ("ANTHROPIC_API_KEY",)
    request_id_header: ClassVar[str] = "request-id"

    @classmethod
    @override
    def missing_setting(cls, settings: Settings) -> str | None:
        if settings.secret("ANTHROPIC_API_KEY") is None:
            return "Set `ANTHROPIC_API_KEY`."
        try:
            settings.base_url("ANTHROPIC_BASE_URL")
            _api_version(settings)
        except ConfigurationError as error:
            return f"{error.message} {error.hint}"
        return None

    @override
    async def list_models(self) -> tuple[ModelId, ...]:
        deadline = Deadline.after(_LIST_TIMEOUT_S)
        names: list[str] = []
        after: str | None = None
        while True:
            path = f"/v1/models?limit={_PAGE}" + (f"&after_id={quote(after)}" if after else "")
            request = self._request("GET", path, model=None)
            async with self._open(request, deadline=deadline, timeouts=_LIST_TIMEOUTS) as response:
                page = self._decode(_MODELS, await response.read(), request, response)
            names += [entry.id for entry in page.data]
            if not page.has_more or page.last_id in {None, after}:
                return tuple(ModelId(provider=self.provider, name=name) for name in names)
            after = page.last_id

    @override
    def _base_url(self) -> str:
        return self._settings.base_url("ANTHROPIC_BASE_URL") or _BASE_URL

    @override
    def _key_headers(self, key: Secret) -> dict[str, Secret]:
        return {"x-api-key": key}

    @override
    def _headers(self) -> dict[str, str]:
        return {"anthropic-version": _api_version(self._settings)}

    @override
    def _error_facts(self, body: object) -> ErrorFacts | None:
        return error_facts(body)

    @override
    async def _chat_completion_impl(self, request: ChatRequest, deadline: Deadline) -> ChatResponse:
        http = self._messages_request(request, stream=False)
        async with self._open(http, deadline=deadline, timeouts=WHOLE_ANSWER) as response:
            content = await response.read()
            self._refuse_error(http, content, response)
            wire = self._decode(_MESSAGE, content, http, response)
            return self._with_request_id(message_response(request.model, wire), response)

    @override
    async def _stream_impl(
        self, request: ChatRequest, deadline: Deadline
    ) -> AsyncGenerator[StreamEvent, None]:
        http = self._messages_request(request, stream=True)
        async with self._open(http, deadline=deadline, timeouts=_STREAM_TIMEOUTS) as response:
            await self._expect_events(http, response)
            assembler = StreamAssembler(request.model)
            parser = SseParser()
            while not assembler.ended:
                chunk = await response.read_chunk()
                for _, data in parser.feed(chunk) if chunk else parser.finish():
                    for event in self._take(assembler, data, http, response):
                        yield event
                if not chunk and not assembler.ended:
                    raise self._error(
                        IncompleteStreamError,
                        http,
                        "The stream ended without `message_stop`; the text may be cut off.",
                        response=response,
                    )
            answer = assembler.finish()
            await response.drain(_DRAIN_S)
            yield StreamEnd(response=self._with_request_id(answer, response))

    def _messages_request(self, request: ChatRequest, *, stream: bool) -> HttpRequest:
        body = messages_body(request, api_version=_api_version(self._settings), stream=stream)
        http = self._request("POST", "/v1/messages", model=request.model.name, body=body)
        if stream:
            http.headers["Accept"] = "text/event-stream"
        return http

    def _take(
        self, assembler: StreamAssembler, data: bytes, request: HttpRequest, response: HttpResponse
    ) -> list[StreamEvent]:
        event = self._decode(_EVENT, data, request, response)
        if event.type != "error":
            return assembler.feed(event)
        facts = error_facts({"error": event.error, "request_id": event.request_id})
        unknown = ErrorFacts(message="The stream broke with an error of unknown form.")
        raise self._reported(request, facts or unknown, response=response)


def _api_version(settings: Settings) -> str:
    """The version of the API to speak, which decides what it accepts.

    Raises:
        ConfigurationError: the setting is no date.
    """
    version = settings.text("LATTICE_LOCK_ANTHROPIC_VERSION") or NO_SAMPLING_SINCE
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", version):
        raise ConfigurationError(
            f"`LATTICE_LOCK_ANTHROPIC_VERSION` is `{version}`.",
            hint=f"Write the date of a version of Anthropic's API, such as `{NO_SAMPLING_SINCE}`.",
        )
    return version
