"""Clients of servers that speak OpenAI's chat completions.

A provider that differs only in address, key and `ChatDialect` is a row of `ROWS` at the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, TypeVar
from urllib.parse import quote

import msgspec
from typing_extensions import override

from lattice_lock.exceptions import ConfigurationError, IncompleteStreamError
from lattice_lock.messages import ModelId, StreamEnd
from lattice_lock.providers.chat_completions import (
    ChatChunk,
    ChatCompletion,
    ChatDialect,
    StreamAssembler,
    chat_body,
    chat_response,
)
from lattice_lock.providers.embeddings import EmbeddingList, embedding_body, embedding_response
from lattice_lock.providers.error_mapping import ErrorFacts
from lattice_lock.providers.http_client import HttpAPIClient
from lattice_lock.providers.sse import SseParser
from lattice_lock.providers.transport import WHOLE_ANSWER, Deadline, Timeouts

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from lattice_lock.messages import (
        ChatRequest,
        ChatResponse,
        EmbeddingRequest,
        EmbeddingResponse,
        StreamEvent,
    )
    from lattice_lock.providers.transport import HttpRequest, HttpResponse
    from lattice_lock.settings import Settings

__all__ = ["ROWS", "OpenAICompatibleClient", "path_of_model"]

_T = TypeVar("_T")

_LIST_TIMEOUT_S = 10.0
_LIST_TIMEOUTS = Timeouts(connect_s=2.0)
_STREAM_TIMEOUTS = Timeouts()
# Where no bound is documented: what every server takes, and enough that requests are few.
_EMBEDDINGS_AT_ONCE = 64
# What stands for itself in a path, as RFC 3986 has it, but for `+`, which some take for a space.
_IN_PATHS = "!$&'()*,:;=@"
_DONE = b"[DONE]"
_DRAIN_S = 0.25

_WHOLE = msgspec.json.Decoder(ChatCompletion)
_CHUNK = msgspec.json.Decoder(ChatChunk)


class _ListedModel(msgspec.Struct, frozen=True):
    id: str


class _ModelList(msgspec.Struct, frozen=True):
    data: list[_ListedModel]


_MODELS = msgspec.json.Decoder(_ModelList)
_EMBEDDINGS = msgspec.json.Decoder(EmbeddingList)


class OpenAICompatibleClient(HttpAPIClient):
    """One provider behind `POST /chat/completions`."""

    base_url: ClassVar[str]
    """Where the API is, without a trailing slash."""

    url_variable: ClassVar[str | None] = None
    """Variable that names another address, such as a proxy's; None where there is none."""

    key_variable: ClassVar[str | None] = None
    """Variable that holds the key, None where no key is needed."""

    idempotency_header: ClassVar[str | None] = "Idempotency-Key"

    dialect: ClassVar[ChatDialect] = ChatDialect()

    embeddings_at_once: ClassVar[int] = 0
    """Texts that one request for embeddings may carry, 0 where there are no embeddings."""

    embeddings_as_base64: ClassVar[bool] = False
    """Whether vectors can be asked for as base64."""

    dimensions_key: ClassVar[str] = "dimensions"
    """Field that bounds the length of vectors."""

    @classmethod
    @override
    def missing_setting(cls, settings: Settings) -> str | None:
        if cls.key_variable and settings.secret(cls.key_variable) is None:
            return f"Set `{cls.key_variable}`."
        try:
            _ = cls.url_variable and settings.base_url(cls.url_variable)
        except ConfigurationError as error:
            return f"{error.message} {error.hint}"
        return None

    @override
    async def list_models(self) -> tuple[ModelId, ...]:
        listed = await self._listed("/models", _MODELS)
        return tuple(ModelId(provider=self.provider, name=entry.id) for entry in listed.data)

    async def _listed(self, path: str, decoder: msgspec.json.Decoder[_T]) -> _T:
        """What `GET path` answers."""
        request = self._request("GET", path, model=None)
        deadline = Deadline.after(_LIST_TIMEOUT_S)
        async with self._open(request, deadline=deadline, timeouts=_LIST_TIMEOUTS) as response:
            return self._decode(decoder, await response.read(), request, response)

    @override
    def _base_url(self) -> str:
        url = self._settings.base_url(self.url_variable) if self.url_variable else None
        return url or self.base_url

    @override
    def _key_variable(self) -> str | None:
        return self.key_variable or super()._key_variable()

    def _dialect(self, request: ChatRequest) -> ChatDialect:  # noqa: ARG002  # for subclasses
        """How the format is spoken to the model of `request`.

        Raises:
            InvalidRequestError: the model cannot do what is asked of it.
        """
        return self.dialect

    def _chat_path(self, request: ChatRequest) -> str:  # noqa: ARG002  # for subclasses
        """Path below the base to which `request` is sent."""
        return "/chat/completions"

    def _chat_request(self, request: ChatRequest, *, stream: bool) -> HttpRequest:
        body = chat_body(request, self._dialect(request), stream=stream)
        http = self._request("POST", self._chat_path(request), model=request.model.name, body=body)
        if stream:
            http.headers["Accept"] = "text/event-stream"
        return http

    @override
    async def _chat_completion_impl(self, request: ChatRequest, deadline: Deadline) -> ChatResponse:
        http = self._chat_request(request, stream=False)
        async with self._open(http, deadline=deadline, timeouts=WHOLE_ANSWER) as response:
            content = await response.read()
            self._refuse_error(http, content, response)
            wire = self._decode(_WHOLE, content, http, response)
            answer = chat_response(request.model, wire)
            return self._with_request_id(answer, response)

    @override
    async def _stream_impl(
        self, request: ChatRequest, deadline: Deadline
    ) -> AsyncGenerator[StreamEvent, None]:
        http = self._chat_request(request, stream=True)
        async with self._open(http, deadline=deadline, timeouts=_STREAM_TIMEOUTS) as response:
            await self._expect_events(http, response)
            assembler = StreamAssembler(request.model)
            parser = SseParser()
            ended = False
            while not ended:
                chunk = await response.read_chunk()
                for _, data in parser.feed(chunk) if chunk else parser.finish():
                    if data == _DONE:
                        ended = True
                        break
                    for event in self._take(assembler, data, http, response):
                        yield event
                if not chunk and not ended:
                    raise self._error(
                        IncompleteStreamError,
                        http,
                        "The stream ended without `[DONE]`; the text may be cut off.",
                        response=response,
                    )
            answer = assembler.finish()
            await response.drain(_DRAIN_S)
            yield StreamEnd(response=self._with_request_id(answer, response))

    @override
    def _embedding_batch(self, request: EmbeddingRequest) -> int:
        return self.embeddings_at_once or super()._embedding_batch(request)

    def _embeddings_path(self, request: EmbeddingRequest) -> str:  # noqa: ARG002  # for subclasses
        """Path below the base to which `request` is sent."""
        return "/embeddings"

    @override
    async def _embed_impl(self, request: EmbeddingRequest, deadline: Deadline) -> EmbeddingResponse:
        body = embedding_body(
            request, dimensions_key=self.dimensions_key, base64=self.embeddings_as_base64
        )
        http = self._request(
            "POST", self._embeddings_path(request), model=request.model.name, body=body
        )
        async with self._open(http, deadline=deadline, timeouts=WHOLE_ANSWER) as response:
            content = await response.read()
            self._refuse_error(http, content, response)
            answer = embedding_response(request, self._decode(_EMBEDDINGS, content, http, response))
            request_id = self._request_id(response.headers)
            return msgspec.structs.replace(answer, request_id=request_id)

    def _take(
        self, assembler: StreamAssembler, data: bytes, request: HttpRequest, response: HttpResponse
    ) -> list[StreamEvent]:
        chunk = self._decode(_CHUNK, data, request, response)
        if chunk.error:
            facts = self._error_facts({"error": chunk.error})
            unknown = ErrorFacts(message="The stream broke with an error of unknown form.")
            raise self._reported(request, facts or unknown, response=response)
        return assembler.feed(chunk)


def path_of_model(request: ChatRequest | EmbeddingRequest, *, slashes: bool) -> str:
    """The name of the model as part of a path; `slashes` stay where names have folders.

    Raises:
        InvalidRequestError: the name would lead elsewhere.
    """
    name = request.model.name
    if not {"", ".", ".."}.isdisjoint(name.split("/") if slashes else [name]):
        raise request.refusal("model", f"`{name}` cannot be part of an address.")
    return quote(name, safe=_IN_PATHS + "/" if slashes else _IN_PATHS)


class CerebrasClient(OpenAICompatibleClient):
    """Source: https://inference-docs.cerebras.ai/resources/openai."""

    provider: ClassVar[str] = "cerebras"
    base_url: ClassVar[str] = "https://api.cerebras.ai/v1"
    url_variable: ClassVar[str | None] = "CEREBRAS_BASE_URL"
    key_variable: ClassVar[str | None] = "CEREBRAS_API_KEY"


class DeepSeekClient(OpenAICompatibleClient):
    """Source: https://api-docs.deepseek.com/guides/thinking_mode."""

    provider: ClassVar[str] = "deepseek"
    base_url: ClassVar[str] = "https://api.deepseek.com"
    url_variable: ClassVar[str | None] = "DEEPSEEK_BASE_URL"
    key_variable: ClassVar[str | None] = "DEEPSEEK_API_KEY"
    dialect: ClassVar[ChatDialect] = ChatDialect(
        max_tokens_key="max_tokens", returned_reasoning_key="reasoning_content"
    )


class FireworksClient(OpenAICompatibleClient):
    """Source: https://docs.fireworks.ai/tools-sdks/openai-compatibility."""

    provider: ClassVar[str] = "fireworks"
    base_url: ClassVar[str] = "https://api.fireworks.ai/inference/v1"
    url_variable: ClassVar[str | None] = "FIREWORKS_BASE_URL"
    key_variable: ClassVar[str | None] = "FIREWORKS_API_KEY"
    dialect: ClassVar[ChatDialect] = ChatDialect(max_tokens_key="max_tokens")
    embeddings_at_once: ClassVar[int] = _EMBEDDINGS_AT_ONCE


class GroqClient(OpenAICompatibleClient):
    """Source: https://console.groq.com/docs/openai."""

    provider: ClassVar[str] = "groq"
    base_url: ClassVar[str] = "https://api.groq.com/openai/v1"
    url_variable: ClassVar[str | None] = "GROQ_BASE_URL"
    key_variable: ClassVar[str | None] = "GROQ_API_KEY"


class MistralClient(OpenAICompatibleClient):
    """It refuses every field that it does not know.

    Source: https://docs.mistral.ai/api; https://github.com/editor-code-assistant/eca/issues/231.
    """

    provider: ClassVar[str] = "mistral"
    base_url: ClassVar[str] = "https://api.mistral.ai/v1"
    url_variable: ClassVar[str | None] = "MISTRAL_BASE_URL"
    key_variable: ClassVar[str | None] = "MISTRAL_API_KEY"
    dialect: ClassVar[ChatDialect] = ChatDialect(
        max_tokens_key="max_tokens", seed_key="random_seed", usage_on_request=False
    )
    embeddings_at_once: ClassVar[int] = _EMBEDDINGS_AT_ONCE
    dimensions_key: ClassVar[str] = "output_dimension"


class OpenRouterClient(OpenAICompatibleClient):
    """Source: https://openrouter.ai/docs/use-cases/reasoning-tokens."""

    provider: ClassVar[str] = "openrouter"
    base_url: ClassVar[str] = "https://openrouter.ai/api/v1"
    url_variable: ClassVar[str | None] = "OPENROUTER_BASE_URL"
    key_variable: ClassVar[str | None] = "OPENROUTER_API_KEY"
    dialect: ClassVar[ChatDialect] = ChatDialect(max_tokens_key="max_tokens")
    embeddings_at_once: ClassVar[int] = _EMBEDDINGS_AT_ONCE


class TogetherClient(OpenAICompatibleClient):
    """Source: https://docs.together.ai/docs/inference/openai-compatibility."""

    provider: ClassVar[str] = "together"
    base_url: ClassVar[str] = "https://api.together.ai/v1"
    url_variable: ClassVar[str | None] = "TOGETHER_BASE_URL"
    key_variable: ClassVar[str | None] = "TOGETHER_API_KEY"
    dialect: ClassVar[ChatDialect] = ChatDialect(max_tokens_key="max_tokens")
    embeddings_at_once: ClassVar[int] = _EMBEDDINGS_AT_ONCE


ROWS: Mapping[str, type[OpenAICompatibleClient]] = {
    row.provider: row
    for row in (
        CerebrasClient,
        DeepSeekClient,
        FireworksClient,
        GroqClient,
        MistralClient,
        OpenRouterClient,
        TogetherClient,
    )
}
"""Providers that need no file of their own, by id."""
