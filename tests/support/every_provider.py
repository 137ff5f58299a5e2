"""All providers that speak HTTP in one table, each with what it answers and how it refuses.

Who tests a promise that all of them share runs it over `CASES`. Every answer is one that the
vendor's own types accept, says `TEXT`, and carries its characters as they are rather than escaped,
so that cutting the bytes can cut a character.
"""

from __future__ import annotations

import json
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import anthropic_wire
import bedrock_wire
import google_wire
import openai_wire
from lattice_lock.messages import ChatRequest, Message, ModelId
from lattice_lock.providers.discovery import client_class
from lattice_lock.providers.openai_compatible import ROWS
from lattice_lock.providers.transport import Transport
from lattice_lock.settings import Settings
from wire_server import NOWHERE, QUICK, answer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from lattice_lock.errors.retry import RetryPolicy
    from lattice_lock.providers.base_client import BaseAPIClient
    from wire_server import Step, Wire

TEXT = "Grüße, 漢字 and 😀."
KEY = "canary-of-every-provider-77"
SSE = "text/event-stream; charset=utf-8"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One provider in one of its ways of being called.

    Attributes:
        name: provider and way, such as `openai-chat`.
        provider: id of the provider.
        model: name of a model that is called in this way.
        environment: from the address of a server, without a path, and a key: the settings that
            lead there.
        body: what a whole answer holds.
        pieces: what a streamed answer holds, one item for each event.
        stream_type: content type of a stream.
        refusal: from a status and words for a person: headers and body of an error.
    """

    name: str
    provider: str
    model: str
    environment: Callable[[str, str], dict[str, str]]
    body: bytes
    pieces: tuple[bytes, ...]
    stream_type: str
    refusal: Callable[[int, str], tuple[dict[str, str], object]]

    @property
    def text(self) -> str:
        """What the answer says, whole or streamed."""
        return TEXT

    @property
    def whole(self) -> Step:
        """The step that gives the whole answer."""
        return answer(json.loads(self.body))

    @property
    def streamed(self) -> Step:
        """The step that gives the answer as a stream, a packet for each event."""
        return self.sends(*self.pieces)

    def sends(self, *pieces: bytes) -> Step:
        """The step that streams `pieces`, each as a packet, and ends the body."""

        async def step(wire: Wire) -> None:
            await wire.head(kind=self.stream_type)
            await wire.send(*pieces)

        return step

    def problem(self, status: int, words: str = "No.", **headers: str) -> Step:
        """The step that refuses with `status`, as this provider does."""
        own, body = self.refusal(status, words)
        return answer(body, status, keep=False, **(own | headers))

    def ask(self, text: str = "Hello", **changes: Any) -> ChatRequest:
        """A request to this provider."""
        fields: dict[str, Any] = {
            "model": ModelId(provider=self.provider, name=self.model),
            "messages": (Message.user(text),),
        }
        return ChatRequest(**(fields | changes))


@asynccontextmanager
async def client_of(
    case: Case, url: str, *, key: str = KEY, retry: RetryPolicy = QUICK, **environment: str
) -> AsyncIterator[BaseAPIClient]:
    """A client of the server at `url`, whose path does not count, with its own transport."""
    origin = re.sub(r"(://[^/]+).*", r"\1", url)
    settings = Settings.load(
        environment=case.environment(origin, key) | environment, dotenv=NOWHERE
    )
    async with Transport(settings) as transport:
        client = _CLIENTS[case.provider](settings, transport, retry=retry)
        try:
            yield client
        finally:
            await client.aclose()


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _events(stream: str) -> tuple[bytes, ...]:
    """The events of a stream, its characters as they are."""

    def bare(match: re.Match[str]) -> str:
        return json.dumps(json.loads(match[0]), ensure_ascii=False, separators=(",", ":"))

    text = re.sub(r"(?<=data: )\{.*\}", bare, stream)
    return tuple(piece.encode() for piece in re.split(r"(?<=\n\n)|(?<=\r\n\r\n)", text) if piece)


def _chat() -> dict[str, Any]:
    body = openai_wire.payload("openai/chat")
    message = {"role": "assistant", "content": TEXT, "refusal": None}
    body["choices"] = [{"index": 0, "finish_reason": "stop", "logprobs": None, "message": message}]
    return body


def _responses(name: str) -> dict[str, Any]:
    body = openai_wire.payload(name)
    body["output"] = [body["output"][-1]]
    body["output"][0]["content"][0]["text"] = TEXT
    return body


def _google() -> dict[str, Any]:
    return google_wire.payload("text")


# How each family says no; sources stand in `error_mapping.py` and beside the payloads.


def _openai_refusal(status: int, words: str) -> tuple[dict[str, str], object]:
    kind = "server_error" if status >= 500 else "invalid_request_error"
    return {"X_Request_Id": "req_1"}, {
        "error": {"message": words, "type": kind, "param": None, "code": None}
    }


def _anthropic_refusal(status: int, words: str) -> tuple[dict[str, str], object]:
    kinds = {
        400: "invalid_request_error",
        401: "authentication_error",
        403: "permission_error",
        404: "not_found_error",
        413: "request_too_large",
        429: "rate_limit_error",
        503: "overloaded_error",
        529: "overloaded_error",
    }
    kind = kinds.get(status, "api_error" if status >= 500 else "invalid_request_error")
    error = {"type": kind, "message": words}
    return {"request_id": "req_1"}, {"type": "error", "error": error, "request_id": "req_1"}


def _google_refusal(status: int, words: str) -> tuple[dict[str, str], object]:
    names = {
        400: "INVALID_ARGUMENT",
        401: "UNAUTHENTICATED",
        403: "PERMISSION_DENIED",
        404: "NOT_FOUND",
        429: "RESOURCE_EXHAUSTED",
        500: "INTERNAL",
        503: "UNAVAILABLE",
    }
    name = names.get(status, "UNKNOWN" if status >= 500 else "INVALID_ARGUMENT")
    return {}, {"error": {"code": status, "message": words, "status": name}}


def _bedrock_refusal(status: int, words: str) -> tuple[dict[str, str], object]:
    names = {
        401: "UnrecognizedClientException",
        403: "AccessDeniedException",
        404: "ResourceNotFoundException",
        429: "ThrottlingException",
        503: "ServiceUnavailableException",
    }
    name = names.get(status, "InternalServerException" if status >= 500 else "ValidationException")
    return {"x_amzn_RequestId": "req-1", "x_amzn_ErrorType": name}, {"message": words}


def _xai_refusal(_status: int, words: str) -> tuple[dict[str, str], object]:
    return {"X_Request_Id": "req_1"}, {"code": "Refused", "error": words}


def _azure_refusal(status: int, words: str) -> tuple[dict[str, str], object]:
    return {"apim_request_id": "req_1"}, {"error": {"code": str(status), "message": words}}


def _dial_refusal(status: int, words: str) -> tuple[dict[str, str], object]:
    return {}, {"error": {"message": words, "type": "runtime_error", "code": str(status)}}


def _mistral_refusal(status: int, words: str) -> tuple[dict[str, str], object]:
    detail = {"type": "invalid_request_error", "param": None, "code": str(status)}
    return {}, {"object": "error", "message": words} | detail


def _openrouter_refusal(status: int, words: str) -> tuple[dict[str, str], object]:
    return {}, {"error": {"code": status, "message": words}}


def _local_refusal(_status: int, words: str) -> tuple[dict[str, str], object]:
    return {}, {"error": words}


_REFUSALS_OF_ROWS = {"mistral": _mistral_refusal, "openrouter": _openrouter_refusal}


def _over_chat(name: str, model: str, environment: Any, refusal: Any = _openai_refusal) -> Case:
    return Case(
        name=name,
        provider=name.partition("-")[0],
        model=model,
        environment=environment,
        body=_json(_chat()),
        pieces=_events(openai_wire.chunks(_chat())),
        stream_type=SSE,
        refusal=refusal,
    )


def _over_responses(
    name: str, model: str, payload: str, environment: Any, refusal: Any = _openai_refusal
) -> Case:
    body = _responses(payload)
    return Case(
        name=name,
        provider=name.partition("-")[0],
        model=model,
        environment=environment,
        body=_json(body),
        pieces=_events(openai_wire.sse(*openai_wire.streamed(body))),
        stream_type=SSE,
        refusal=refusal,
    )


def _over_converse(name: str, environment: Any) -> Case:
    body = bedrock_wire.payload("text")
    return Case(
        name=name,
        provider="bedrock",
        model=bedrock_wire.CLAUDE,
        environment=environment,
        body=_json(body),
        pieces=tuple(bedrock_wire.streamed(body)),
        stream_type=bedrock_wire.FRAMES,
        refusal=_bedrock_refusal,
    )


def _base_and_key(prefix: str, path: str = "/v1") -> Callable[[str, str], dict[str, str]]:
    return lambda url, key: {f"{prefix}_BASE_URL": url + path, f"{prefix}_API_KEY": key}


def _azure(**more: str) -> Callable[[str, str], dict[str, str]]:
    return lambda url, key: {"AZURE_OPENAI_ENDPOINT": url, "AZURE_OPENAI_API_KEY": key} | more


def _bedrock(**more: str) -> Callable[[str, str], dict[str, str]]:
    where = {"AWS_REGION": bedrock_wire.REGION}
    variable = "AWS_SECRET_ACCESS_KEY" if more else "AWS_BEARER_TOKEN_BEDROCK"
    return lambda url, key: where | {"AWS_ENDPOINT_URL": url, variable: key} | more


@cache
def _cases() -> Mapping[str, Case]:
    message = anthropic_wire.payload("text")
    cases = [
        _over_responses("openai", "gpt-6.1-sol", "openai/text", _base_and_key("OPENAI")),
        _over_chat("openai-chat", "gpt-4.1", _base_and_key("OPENAI")),
        Case(
            name="anthropic",
            provider="anthropic",
            model="claude-opus-5-5",
            environment=_base_and_key("ANTHROPIC", ""),
            body=_json(message),
            pieces=_events(anthropic_wire.sse(*anthropic_wire.streamed(message))),
            stream_type=SSE,
            refusal=_anthropic_refusal,
        ),
        Case(
            name="google",
            provider="google",
            model=google_wire.MODEL,
            environment=lambda url, key: {"GOOGLE_GEMINI_BASE_URL": url, "GOOGLE_API_KEY": key},
            body=_json(_google()),
            pieces=_events(google_wire.sse(*google_wire.streamed(_google()))),
            stream_type="text/event-stream",
            refusal=_google_refusal,
        ),
        _over_responses("xai", "grok-4.7", "xai/responses", _base_and_key("XAI"), _xai_refusal),
        _over_chat("azure", "my-gpt", _azure(), _azure_refusal),
        _over_chat(
            "azure-deployment",
            "my-gpt",
            _azure(OPENAI_API_VERSION="2025-04-01-preview"),
            _azure_refusal,
        ),
        _over_chat(
            "dial",
            "gpt-4.1",
            lambda url, key: {"DIAL_URL": url, "DIAL_API_KEY": key},
            _dial_refusal,
        ),
        _over_converse("bedrock", _bedrock()),
        _over_converse("bedrock-signed", _bedrock(AWS_ACCESS_KEY_ID=bedrock_wire.ACCESS)),
        _over_chat(
            "local",
            "qwen",
            lambda url, key: {
                "LATTICE_LOCK_LOCAL_URL": url + "/v1",
                "LATTICE_LOCK_LOCAL_API_KEY": key,
            },
            _local_refusal,
        ),
        *(
            _over_chat(
                row,
                "some/model",
                _base_and_key(row.upper()),
                _REFUSALS_OF_ROWS.get(row, _openai_refusal),
            )
            for row in sorted(ROWS)
        ),
    ]
    return {case.name: case for case in cases}


CASES: Mapping[str, Case] = _cases()
"""Every case by its name."""

# Looked up here, because importing blocks an event loop.
_CLIENTS = {case.provider: client_class(case.provider) for case in CASES.values()}

FORMATS = ("openai", "openai-chat", "anthropic", "google", "bedrock")
"""One case for each wire format."""
