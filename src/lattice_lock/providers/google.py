"""Gemini models, behind Google's Gemini Developer API."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import quote

import msgspec
from typing_extensions import override

from lattice_lock.exceptions import ConfigurationError, IncompleteStreamError
from lattice_lock.messages import EmbeddingResponse, ModelId, StreamEnd
from lattice_lock.providers._google_answer import GenerateAssembler, error_facts, stray_error
from lattice_lock.providers._google_request import generate_body
from lattice_lock.providers.embeddings import vector
from lattice_lock.providers.error_mapping import ErrorFacts
from lattice_lock.providers.http_client import HttpAPIClient
from lattice_lock.providers.sse import SseParser
from lattice_lock.providers.transport import WHOLE_ANSWER, Deadline, Timeouts

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from lattice_lock.exceptions import APIClientError
    from lattice_lock.messages import ChatRequest, ChatResponse, EmbeddingRequest, StreamEvent
    from lattice_lock.providers.transport import HttpRequest, HttpResponse
    from lattice_lock.settings import Secret, Settings

__all__ = ["GoogleClient"]

_BASE_URL = "https://generativelanguage.googleapis.com"
_LIST_TIMEOUT_S = 10.0
_LIST_TIMEOUTS = Timeouts(connect_s=2.0)
_STREAM_TIMEOUTS = Timeouts()
_PAGE = 1000
# "at most 100 requests can be in one batch" is what the service answers to more.
_EMBEDDINGS_AT_ONCE = 100
_MAX_STRAY_BYTES = 64 * 1024
_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")

_ANSWER = msgspec.json.Decoder(dict[str, msgspec.Raw])


class _ListedModel(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    supported_generation_methods: tuple[str, ...] = ("generateContent",)


class _ModelList(msgspec.Struct, frozen=True, rename="camel"):
    models: list[_ListedModel] = []
    next_page_token: str | None = None


class _Vector(msgspec.Struct, frozen=True):
    values: list[float] = []


class _Vectors(msgspec.Struct, frozen=True):
    embeddings: list[_Vector] = []


_MODELS = msgspec.json.Decoder(_ModelList)
_EMBEDDINGS = msgspec.json.Decoder(_Vectors)


class GoogleClient(HttpAPIClient):
    """Talks to `GOOGLE_GEMINI_BASE_URL`, else to Google; needs `GOOGLE_API_KEY`.

    `GEMINI_API_KEY` stands in for that key. Reasoning that came from another provider is left out
    of what is sent, and a file's name has no place in the format.
    """

    provider: ClassVar[str] = "google"
    key_variables: ClassVar[tuple[str, ...]] = ("GOOGLE_API_KEY", "GEMINI_API_KEY")

    @classmethod
    @override
    def missing_setting(cls, settings: Settings) -> str | None:
        if not any(map(settings.secret, cls.key_variables)):
            return "Set `GOOGLE_API_KEY` or `GEMINI_API_KEY`."
        try:
            settings.base_url("GOOGLE_GEMINI_BASE_URL")
            _api_version(settings)
        except ConfigurationError as error:
            return f"{error.message} {error.hint}"
        return None

    @override
    async def list_models(self) -> tuple[ModelId, ...]:
        deadline = Deadline.after(_LIST_TIMEOUT_S)
        names: list[str] = []
        token: str | None = None
        while True:
            path = f"/models?pageSize={_PAGE}" + (f"&pageToken={quote(token)}" if token else "")
            request = self._request("GET", path, model=None)
            async with self._open(request, deadline=deadline, timeouts=_LIST_TIMEOUTS) as response:
                page = self._decode(_MODELS, await response.read(), request, response)
            names += [
                entry.name.removeprefix("models/")
                for entry in page.models
                if "generateContent" in entry.supported_generation_methods
            ]
            if not page.next_page_token or page.next_page_token == token:
                return tuple(ModelId(provider=self.provider, name=name) for name in names)
            token = page.next_page_token

    @override
    def _base_url(self) -> str:
        base = self._settings.base_url("GOOGLE_GEMINI_BASE_URL") or _BASE_URL
        return f"{base}/{_api_version(self._settings)}"

    @override
    def _key_headers(self, key: Secret) -> dict[str, Secret]:
        return {"x-goog-api-key": key}

    @override
    def _error_facts(self, body: object) -> ErrorFacts | None:
        return error_facts(body)

    @override
    async def _chat_completion_impl(self, request: ChatRequest, deadline: Deadline) -> ChatResponse:
        http = self._generate_request(request, "generateContent")
        async with self._open(http, deadline=deadline, timeouts=WHOLE_ANSWER) as response:
            content = await response.read()
            self._refuse_error(http, content, response)
            assembler = GenerateAssembler(request.model)
            answer = self._decode(_ANSWER, content, http, response)
            assembler.feed(answer)
            return assembler.finish()

    @override
    async def _stream_impl(
        self, request: ChatRequest, deadline: Deadline
    ) -> AsyncGenerator[StreamEvent, None]:
        http = self._generate_request(request, "streamGenerateContent?alt=sse")
        http.headers["Accept"] = "text/event-stream"
        async with self._open(http, deadline=deadline, timeouts=_STREAM_TIMEOUTS) as response:
            await self._expect_events(http, response)
            assembler = GenerateAssembler(request.model)
            parser = SseParser()
            tail = bytearray()
            more = True
            while more:
                chunk = await response.read_chunk()
                more = bool(chunk)
                found = parser.feed(chunk) if chunk else parser.finish()
                if found:
                    tail.clear()
                if len(tail) < _MAX_STRAY_BYTES:
                    tail += chunk
                for _, data in found:
                    for event in self._take(assembler, data, http, response):
                        yield event
            # The format has no mark for its end, only the reason that the last piece gives.
            if not assembler.ended:
                raise self._broken_off(bytes(tail), http, response)
            yield StreamEnd(response=assembler.finish())

    @override
    def _embedding_batch(self, request: EmbeddingRequest) -> int:
        return _EMBEDDINGS_AT_ONCE

    @override
    async def _embed_impl(self, request: EmbeddingRequest, deadline: Deadline) -> EmbeddingResponse:
        """One request object for each text: several parts of one content are one vector."""
        model = _model_path(request)
        common: dict[str, object] = {"model": model}
        if request.dimensions is not None:
            common["outputDimensionality"] = request.dimensions
        wanted = [common | {"content": {"parts": [{"text": text}]}} for text in request.inputs]
        http = self._request(
            *("POST", f"/{model}:batchEmbedContents"),
            model=request.model.name,
            body={"requests": wanted},
        )
        async with self._open(http, deadline=deadline, timeouts=WHOLE_ANSWER) as response:
            content = await response.read()
            self._refuse_error(http, content, response)
            wire = self._decode(_EMBEDDINGS, content, http, response)
            vectors = tuple(vector(request, item.values) for item in wire.embeddings)
            return EmbeddingResponse(model=request.model, vectors=vectors)

    def _generate_request(self, request: ChatRequest, method: str) -> HttpRequest:
        path = f"/{_model_path(request)}:{method}"
        return self._request("POST", path, model=request.model.name, body=generate_body(request))

    def _take(
        self,
        assembler: GenerateAssembler,
        data: bytes,
        request: HttpRequest,
        response: HttpResponse,
    ) -> list[StreamEvent]:
        piece = self._decode(_ANSWER, data, request, response)
        if "error" in piece:
            raise self._reported_in(data, request, response)
        return assembler.feed(piece)

    def _broken_off(
        self, tail: bytes, request: HttpRequest, response: HttpResponse
    ) -> APIClientError:
        if error_facts(stray_error(tail)) is not None:
            return self._reported_in(tail, request, response)
        return self._error(
            IncompleteStreamError,
            request,
            "The stream ended without a finish reason; the text may be cut off.",
            response=response,
        )

    def _reported_in(
        self, content: bytes, request: HttpRequest, response: HttpResponse
    ) -> APIClientError:
        facts = error_facts(stray_error(content))
        unknown = ErrorFacts(message="The stream broke with an error of unknown form.")
        return self._reported(request, facts or unknown, response=response)


def _model_path(request: ChatRequest | EmbeddingRequest) -> str:
    name = request.model.name
    if not _MODEL_NAME.fullmatch(name) or ".." in name:
        raise request.refusal("model", f"`{name}` is not the name of a model of Google.")
    return name if "/" in name else f"models/{name}"


def _api_version(settings: Settings) -> str:
    """The version of the API to speak, as Google's own client reads it: `beta` is `v1beta`.

    Raises:
        ConfigurationError: the setting is no version.
    """
    version = settings.text("GOOGLE_GENAI_API_VERSION") or "v1"
    version = "v1beta" if version == "beta" else version
    if not re.fullmatch(r"v[0-9][a-z0-9]{0,15}", version):
        raise ConfigurationError(
            f"`GOOGLE_GENAI_API_VERSION` is `{version}`.",
            hint="Write a version of the API, such as `v1` or `beta`.",
        )
    return version
