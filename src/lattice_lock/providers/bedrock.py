"""Models of every vendor, behind Amazon Bedrock's Converse."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar
from urllib.parse import quote

import msgspec
from typing_extensions import override

from lattice_lock.errors.retry import parse_retry_after
from lattice_lock.exceptions import (
    ConfigurationError,
    IncompleteStreamError,
    PermissionDeniedError,
    ProviderTimeoutError,
)
from lattice_lock.messages import UNREADABLE_JSON, ModelId, StreamEnd
from lattice_lock.providers._aws_signing import AwsSigner, botocore_is_installed
from lattice_lock.providers._bedrock_answer import StreamAssembler, converse_response, error_facts
from lattice_lock.providers._bedrock_embeddings import (
    InvokedEmbeddings,
    embedding_batch,
    invoke_body,
    invoke_response,
)
from lattice_lock.providers._bedrock_request import converse_body
from lattice_lock.providers.error_mapping import ErrorFacts
from lattice_lock.providers.event_stream import CorruptFrameError, EventStreamParser
from lattice_lock.providers.http_client import HttpAPIClient
from lattice_lock.providers.transport import WHOLE_ANSWER, Deadline, Timeouts

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from lattice_lock.exceptions import APIClientError
    from lattice_lock.messages import (
        ChatRequest,
        ChatResponse,
        EmbeddingRequest,
        EmbeddingResponse,
        StreamEvent,
    )
    from lattice_lock.providers.event_stream import Frame
    from lattice_lock.providers.transport import HttpRequest, HttpResponse
    from lattice_lock.settings import Settings

__all__ = ["BedrockClient"]

_T = TypeVar("_T")

_REGION = re.compile(r"[a-z]{2,5}(?:-[a-z]+)+-\d{1,2}")
_PARTITIONS = {"cn-": "amazonaws.com.cn", "eusc-": "amazonaws.eu"}
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]*")
_FRAMES = "application/vnd.amazon.eventstream"
_LIST_TIMEOUT_S = 10.0
_LIST_TIMEOUTS = Timeouts(connect_s=2.0)
_STREAM_TIMEOUTS = Timeouts()
_DRAIN_S = 0.25
_PAGE = 1000
_MAX_MESSAGE = 500

_ANSWER = msgspec.json.Decoder(dict[str, msgspec.Raw])
_EMBEDDINGS = msgspec.json.Decoder(InvokedEmbeddings)
_ERROR = msgspec.json.Decoder(dict[str, object])


class _ModelSummary(msgspec.Struct, frozen=True, rename="camel"):
    model_id: str
    inference_types_supported: list[str] = []


class _ModelList(msgspec.Struct, frozen=True, rename="camel"):
    model_summaries: list[_ModelSummary] = []


class _ProfileSummary(msgspec.Struct, frozen=True, rename="camel"):
    inference_profile_id: str
    inference_profile_arn: str
    type: str = "SYSTEM_DEFINED"


class _ProfileList(msgspec.Struct, frozen=True, rename="camel"):
    inference_profile_summaries: list[_ProfileSummary] = []
    next_token: str | None = None


_MODELS = msgspec.json.Decoder(_ModelList)
_PROFILES = msgspec.json.Decoder(_ProfileList)


class BedrockClient(HttpAPIClient):
    """Talks to Bedrock in `AWS_REGION`, with a key of Bedrock or with AWS credentials.

    The key in `AWS_BEARER_TOKEN_BEDROCK` comes first. Without it requests are signed, which needs
    the extra `bedrock`; credentials come from the settings or from wherever botocore finds them.
    A model is named by its id, by the id of an inference profile, or by an ARN; of an ARN it is not
    known which model it stands for, so nothing that only some models lack is refused.

    Reasoning that came from another provider is left out of what is sent.
    """

    provider: ClassVar[str] = "bedrock"
    key_variables: ClassVar[tuple[str, ...]] = ("AWS_BEARER_TOKEN_BEDROCK",)
    request_id_header: ClassVar[str] = "x-amzn-requestid"

    @classmethod
    @override
    def missing_setting(cls, settings: Settings) -> str | None:
        if settings.secret("AWS_BEARER_TOKEN_BEDROCK") is None and not botocore_is_installed():
            return (
                "Set `AWS_BEARER_TOKEN_BEDROCK`, or install `lattice-lock[bedrock]` to sign "
                "requests with AWS credentials."
            )
        try:
            _region(settings)
            for service in ("bedrock", "bedrock-runtime"):
                _endpoint(settings, service)
        except ConfigurationError as error:
            return f"{error.message} {error.hint}"
        return None

    @override
    async def list_models(self) -> tuple[ModelId, ...]:
        """Text models that can be called by their id, then inference profiles.

        Empty where the credentials may call models but not list them.
        """
        deadline = Deadline.after(_LIST_TIMEOUT_S)
        try:
            models = await self._listed(
                "/foundation-models?byOutputModality=TEXT", _MODELS, deadline
            )
            profiles = await self._profiles(deadline)
        except PermissionDeniedError:
            return ()
        names = [
            entry.model_id
            for entry in models.model_summaries
            if "ON_DEMAND" in entry.inference_types_supported
        ]
        return tuple(ModelId(provider=self.provider, name=name) for name in [*names, *profiles])

    async def _profiles(self, deadline: Deadline) -> list[str]:
        names: list[str] = []
        token: str | None = None
        while True:
            after = f"&nextToken={quote(token, safe='')}" if token else ""
            path = f"/inference-profiles?maxResults={_PAGE}{after}"
            page = await self._listed(path, _PROFILES, deadline)
            # Only the profiles that AWS itself has made are called by their id.
            names += [
                entry.inference_profile_id
                if entry.type == "SYSTEM_DEFINED"
                else entry.inference_profile_arn
                for entry in page.inference_profile_summaries
            ]
            if page.next_token in {None, token}:
                return names
            token = page.next_token

    async def _listed(self, path: str, decoder: msgspec.json.Decoder[_T], deadline: Deadline) -> _T:
        request = self._request("GET", path, model=None)
        url = _endpoint(self._settings, "bedrock") + path
        request = await self._signed(msgspec.structs.replace(request, url=url), deadline)
        async with self._open(request, deadline=deadline, timeouts=_LIST_TIMEOUTS) as response:
            return self._decode(decoder, await response.read(), request, response)

    @override
    def _base_url(self) -> str:
        return _endpoint(self._settings, "bedrock-runtime")

    @override
    def _key_hint(self) -> str:
        return super()._key_hint() or "Check the AWS credentials and `AWS_REGION`."

    @cached_property
    def _signer(self) -> AwsSigner:
        return AwsSigner(self._settings, _region(self._settings))

    async def _signed(self, request: HttpRequest, deadline: Deadline) -> HttpRequest:
        """`request` with a signature, unless it carries a key already."""
        if self._key() is not None:
            return request
        try:
            async with asyncio.timeout_at(deadline.at):
                headers = await self._signer.sign(request)
        except TimeoutError:
            raise ProviderTimeoutError(
                f"AWS credentials were not found within the {deadline.total_s:g} s that the call "
                "had.",
                provider=self.provider,
                model=request.model,
            ) from None
        return msgspec.structs.replace(request, secret_headers=headers)

    @override
    def _without_key(self, text: str) -> str:
        # AWS quotes what was signed, session token included, where a signature does not match.
        for secret in self._signer.secrets if self._key() is None else ():
            text = secret.hidden_in(text)
        return super()._without_key(text)

    @override
    def _error_facts(self, body: object) -> ErrorFacts | None:
        facts = error_facts(body)
        if facts is None:
            return None
        # Before it is cut, because half a key would not be found.
        message = self._without_key(facts.message)[:_MAX_MESSAGE]
        return msgspec.structs.replace(facts, message=message)

    @override
    def _refused(self, request: HttpRequest, response: HttpResponse, body: bytes) -> APIClientError:
        if kind := response.headers.get("x-amzn-errortype"):
            body = _named(body, kind)
        error = super()._refused(request, response, body)
        if error.retry_after_s is None and (wait_ms := response.headers.get("x-amz-retry-after")):
            error.retry_after_s = parse_retry_after(
                {"retry-after-ms": wait_ms}, now=datetime.now(tz=UTC)
            )
        return error

    @override
    async def _chat_completion_impl(self, request: ChatRequest, deadline: Deadline) -> ChatResponse:
        http = await self._converse_request(request, "converse", deadline)
        async with self._open(http, deadline=deadline, timeouts=WHOLE_ANSWER) as response:
            wire = self._decode(_ANSWER, await response.read(), http, response)
            return self._with_request_id(converse_response(request.model, wire), response)

    @override
    async def _stream_impl(
        self, request: ChatRequest, deadline: Deadline
    ) -> AsyncGenerator[StreamEvent, None]:
        http = await self._converse_request(request, "converse-stream", deadline)
        http.headers["Accept"] = _FRAMES
        async with self._open(http, deadline=deadline, timeouts=_STREAM_TIMEOUTS) as response:
            self._expect_frames(http, response)
            assembler = StreamAssembler(request.model)
            parser = EventStreamParser()
            while not assembler.ended:
                chunk = await response.read_chunk()
                if not chunk:
                    raise self._cut_off(http, parser, response)
                for frame in self._frames(parser, chunk, http, response):
                    for event in self._take(assembler, frame, http, response):
                        yield event
            answer = assembler.finish()
            await response.drain(_DRAIN_S)
            yield StreamEnd(response=self._with_request_id(answer, response))

    @override
    def _embedding_batch(self, request: EmbeddingRequest) -> int:
        return embedding_batch(request)

    @override
    async def _embed_impl(self, request: EmbeddingRequest, deadline: Deadline) -> EmbeddingResponse:
        http = await self._model_request(request, "invoke", invoke_body(request), deadline)
        async with self._open(http, deadline=deadline, timeouts=WHOLE_ANSWER) as response:
            wire = self._decode(_EMBEDDINGS, await response.read(), http, response)
            answer = invoke_response(request, wire, response.headers)
            request_id = self._request_id(response.headers)
            return msgspec.structs.replace(answer, request_id=request_id)

    async def _converse_request(
        self, request: ChatRequest, operation: str, deadline: Deadline
    ) -> HttpRequest:
        return await self._model_request(request, operation, converse_body(request), deadline)

    async def _model_request(
        self,
        request: ChatRequest | EmbeddingRequest,
        operation: str,
        body: dict[str, Any],
        deadline: Deadline,
    ) -> HttpRequest:
        name = request.model.name
        if not _MODEL.fullmatch(name):
            raise request.refusal(
                "model",
                f"`{name}` is no model of Bedrock.",
                hint="Write a model id, the id of an inference profile, or an ARN.",
            )
        # What is signed has to be what is sent, and the transport sends `:` as it is.
        path = f"/model/{quote(name, safe=':')}/{operation}"
        http = self._request("POST", path, model=name, body=body)
        return await self._signed(http, deadline)

    def _expect_frames(self, request: HttpRequest, response: HttpResponse) -> None:
        kind = response.headers.get("content-type", "no content type")
        if not kind.startswith(_FRAMES):
            raise self._unreadable(
                request, f"A stream was asked for, but the answer is `{kind}`.", response=response
            )

    def _cut_off(
        self, request: HttpRequest, parser: EventStreamParser, response: HttpResponse
    ) -> APIClientError:
        inside = " in the middle of a frame" if parser.pending else ""
        return self._error(
            IncompleteStreamError,
            request,
            f"The stream ended{inside} without `messageStop` and `metadata`; the text may be cut "
            "off.",
            response=response,
        )

    def _frames(
        self, parser: EventStreamParser, chunk: bytes, request: HttpRequest, response: HttpResponse
    ) -> list[Frame]:
        try:
            return parser.feed(chunk)
        except CorruptFrameError as error:
            raise self._unreadable(
                request, f"The stream is damaged: {error}.", response=response
            ) from error

    def _take(
        self,
        assembler: StreamAssembler,
        frame: Frame,
        request: HttpRequest,
        response: HttpResponse,
    ) -> list[StreamEvent]:
        headers = frame.headers
        match headers.get(":message-type"):
            case "event":
                return assembler.feed(headers.get(":event-type", ""), frame.payload)
            case "exception":
                body = _decoded(_named(frame.payload, headers.get(":exception-type", "")))
            case kind:
                message = headers.get(":error-message", f"A frame of the kind `{kind}`.")
                body = {"__type": headers.get(":error-code", ""), "message": message}
        unknown = ErrorFacts(message="The stream broke with an error of unknown form.")
        facts = self._error_facts(body) or unknown
        raise self._reported(request, facts, response=response)


def _region(settings: Settings) -> str:
    """The region whose models are called.

    Raises:
        ConfigurationError: none is set, or it is not in the form of a region.
    """
    for variable in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        region = settings.text(variable)
        if region is None:
            continue
        if not _REGION.fullmatch(region):
            raise ConfigurationError(
                f"`{variable}` is `{region}`, which is no region of AWS.",
                hint="Write a region such as `us-east-1`.",
            )
        return region
    raise ConfigurationError(
        "It is not known in which region of AWS to call Bedrock.",
        hint="Set `AWS_REGION` to a region such as `us-east-1`.",
    )


def _endpoint(settings: Settings, service: str) -> str:
    """Where `service` is: as AWS's own variables say, else in the region.

    Source: https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
    """
    own = f"AWS_ENDPOINT_URL_{service.upper().replace('-', '_')}"
    if url := settings.base_url(own) or settings.base_url("AWS_ENDPOINT_URL"):
        return url
    region = _region(settings)
    suffixes = (suffix for prefix, suffix in _PARTITIONS.items() if region.startswith(prefix))
    return f"https://{service}.{region}.{next(suffixes, 'amazonaws.com')}"


def _named(body: bytes, kind: str) -> bytes:
    """The body of an error with the class that stood beside it."""
    return msgspec.json.encode((_decoded(body) or {}) | {"__type": kind})


def _decoded(body: bytes) -> dict[str, object] | None:
    try:
        return _ERROR.decode(body)
    except UNREADABLE_JSON:
        return None
