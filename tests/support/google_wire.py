"""A server that speaks Gemini's `generateContent` and judges what it is sent, and its clients.

Judge of requests and of the server's own answers are the types of the package `google-genai`; rules
that its types cannot say are written out below, each with its source. Values of enumerations that
nobody knows are only warned of there, and a warning fails a test.
"""

from __future__ import annotations

import json
from contextlib import aclosing, asynccontextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from google import genai
from google.genai import types
from pydantic import ConfigDict, TypeAdapter, create_model

from lattice_lock.exceptions import APIClientError, InvalidRequestError
from lattice_lock.messages import ChatRequest, Message, ModelId, StreamEnd
from lattice_lock.providers.google import GoogleClient
from lattice_lock.providers.transport import Transport
from lattice_lock.settings import Settings
from wire_server import NOWHERE, QUICK, answer, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lattice_lock.messages import ChatResponse, StreamEvent
    from wire_server import Received, ScriptedServer, Step, Wire

KEY = "canary-AIza-4c1d"
MODEL = "gemini-3.8-flash"
PAYLOADS = Path(__file__).parent.parent / "providers" / "payloads" / "google"
_DATA = {
    "text",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
}


def payload(name: str) -> dict[str, Any]:
    """A recorded answer, held against the vendor's own type."""
    body: dict[str, Any] = json.loads((PAYLOADS / f"{name}.json").read_text(encoding="utf-8"))
    if "error" not in body:
        types.GenerateContentResponse.model_validate_json(
            json.dumps(body), by_alias=True, by_name=False
        )
    return body


@cache
def _bodies() -> TypeAdapter[Any]:
    """The body of a request, for which the package has no type, out of the types of its fields."""
    optional: dict[str, Any] = {
        "systemInstruction": types.Content,
        "tools": list[types.Tool],
        "toolConfig": types.ToolConfig,
        "safetySettings": list[types.SafetySetting],
        "cachedContent": str,
        "generationConfig": types.GenerationConfig,
        "serviceTier": types.ServiceTier,
        "labels": dict[str, str],
        "store": bool,
        "continuationToken": str,
    }
    fields: dict[str, Any] = {name: (kind | None, None) for name, kind in optional.items()}
    body = create_model(
        "GenerateContentBody",
        __config__=ConfigDict(extra="forbid"),
        contents=(list[types.Content], ...),
        **fields,
    )
    return TypeAdapter(body)


def normal(body: dict[str, Any]) -> Any:
    """A body in one spelling, as the server reads it; the vendor's client mixes two."""
    read = _bodies().validate_json(json.dumps(body))
    return json.loads(read.model_dump_json(by_alias=True, exclude_none=True))


def judge(request: Received, *, method: str = "generateContent") -> dict[str, Any]:
    """The body of a request that the API would take; anything else is an `AssertionError`."""
    assert request.method == "POST"
    assert request.path == f"/v1/models/{MODEL}:{method}"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["x-goog-api-key"] == KEY
    assert "authorization" not in request.headers
    _bodies().validate_json(request.body, by_alias=True, by_name=False)
    body: dict[str, Any] = request.json
    config = body.get("generationConfig", {})
    # "responseMimeType ... must be set"; the type's docstring.
    assert "responseJsonSchema" not in config or config["responseMimeType"] == "application/json"
    calling = body.get("toolConfig", {}).get("functionCallingConfig", {"mode": "AUTO"})
    assert calling["mode"] in {"AUTO", "ANY", "NONE", "VALIDATED"}
    assert calling["mode"] == "ANY" or "allowedFunctionNames" not in calling
    assert config.get("thinkingConfig", {}).keys() != {"thinkingBudget", "thinkingLevel"}
    _judge_turns(body["contents"])
    return body


def _judge_turns(turns: list[dict[str, Any]]) -> None:
    """One kind of data for each part; results right after their calls, as many, in their order.

    Source: https://ai.google.dev/gemini-api/docs/function-calling
    """
    assert turns
    called: list[tuple[str, str | None]] = []
    for before, turn in zip([None, *turns], turns, strict=False):
        assert turn["role"] in {"user", "model"}
        assert before is None or before["role"] != turn["role"]
        assert turn["parts"]
        assert all(len(part.keys() & _DATA) == 1 for part in turn["parts"])
        results = [p["functionResponse"] for p in turn["parts"] if "functionResponse" in p]
        assert [(result["name"], result.get("id")) for result in results] == called
        calls = [part["functionCall"] for part in turn["parts"] if "functionCall" in part]
        called = [(call["name"], call.get("id")) for call in calls]


def sse(*pieces: dict[str, Any]) -> str:
    """Pieces of an answer as the server sends them; each is held against the vendor's own type."""
    for piece in pieces:
        if "error" not in piece:
            types.GenerateContentResponse.model_validate_json(
                json.dumps(piece), by_alias=True, by_name=False
            )
    return "".join(f"data: {json.dumps(piece)}\r\n\r\n" for piece in pieces)


def streamed(whole_answer: dict[str, Any], *, cut: int = 5) -> list[dict[str, Any]]:
    """The pieces in which an answer would have come, its plain texts cut after `cut` characters."""
    candidate = whole_answer["candidates"][0]
    common = {key: whole_answer[key] for key in ("modelVersion", "responseId")}
    parts: list[dict[str, Any]] = []
    for part in candidate["content"]["parts"]:
        if part.keys() <= {"text", "thought"} and part["text"]:
            text = part["text"]
            parts += [part | {"text": text[n : n + cut]} for n in range(0, len(text), cut)]
        else:
            parts.append(part)
    pieces: list[dict[str, Any]] = [
        {"candidates": [{"content": {"role": "model", "parts": [part]}, "index": 0}]} | common
        for part in parts
    ]
    end = {key: value for key, value in candidate.items() if key != "content"}
    last = {key: value for key, value in whole_answer.items() if key != "candidates"}
    return [*pieces, {"candidates": [end]} | last]


def as_stream(*pieces: str | bytes) -> Step:
    """The step that streams `pieces` and ends the body."""

    async def step(wire: Wire) -> None:
        await wire.head(kind="text/event-stream")
        await wire.send(*pieces)

    return step


@asynccontextmanager
async def google_server(*steps: Step) -> AsyncIterator[ScriptedServer]:
    """A server on loopback whose `url` is the base of the API, without its version."""
    async with serving(*steps) as server:
        server.url = server.url.removesuffix("/v1")
        yield server


@asynccontextmanager
async def our_client(url: str, **environment: str) -> AsyncIterator[GoogleClient]:
    """Our client of the API at `url`."""
    ours = {"GOOGLE_GEMINI_BASE_URL": url, "GOOGLE_API_KEY": KEY}
    settings = Settings.load(environment=ours | environment, dotenv=NOWHERE)
    async with Transport(settings) as transport:
        yield GoogleClient(settings, transport, retry=QUICK)


@asynccontextmanager
async def vendor_client(url: str) -> AsyncIterator[genai.client.AsyncClient]:
    """The vendor's client of the API at `url`, over the HTTP client that it does not subclass."""
    async with httpx2.AsyncClient() as http:
        options = types.HttpOptions(base_url=url, httpx_async_client=http)
        client = genai.Client(api_key=KEY, http_options=options)
        try:
            yield client.aio
        finally:
            client.close()


def ask(*messages: Message, **changes: Any) -> ChatRequest:
    """A request to Google."""
    fields: dict[str, Any] = {
        "model": ModelId(provider="google", name=MODEL),
        "messages": messages or (Message.user("Hello"),),
    }
    return ChatRequest(**(fields | changes))


async def collect(client: GoogleClient, request: ChatRequest) -> list[StreamEvent]:
    """Every event of a stream."""
    async with aclosing(client.stream(request)) as stream:
        return [item async for item in stream]


async def sent(request: ChatRequest) -> dict[str, Any]:
    """The body that the server took for `request`, whose answer suits any schema of an object."""
    text = payload("text")
    text["candidates"][0]["content"]["parts"][0]["text"] = "{}"
    async with (
        google_server(answer(text)) as server,
        our_client(server.url) as client,
    ):
        await client.chat_completion(request)
    received = server.requests[0]
    received.path = received.path.replace(request.model.name, MODEL)
    return judge(received)


async def answered(*steps: Step) -> ChatResponse:
    """The answer to a plain question."""
    async with google_server(*steps) as server, our_client(server.url) as client:
        return await client.chat_completion(ask())


async def streamed_answer(*pieces: str | bytes) -> tuple[list[StreamEvent], ChatResponse]:
    """The deltas and the whole answer of a stream."""
    async with google_server(as_stream(*pieces)) as server, our_client(server.url) as client:
        *deltas, end = await collect(client, ask())
    judge(server.requests[0], method="streamGenerateContent?alt=sse")
    assert isinstance(end, StreamEnd)
    return deltas, end.response


async def failure(*steps: Step, stream: bool = False) -> tuple[APIClientError, int]:
    """The error that a call ends with, and how many requests it took."""
    async with google_server(*steps) as server, our_client(server.url) as client:
        with pytest.raises(APIClientError) as caught:
            await (collect(client, ask()) if stream else client.chat_completion(ask()))
        return caught.value, len(server.requests)


async def refusal(**changes: Any) -> InvalidRequestError:
    """The error with which a request is refused before anything is sent."""
    async with (
        google_server(answer(payload("text"))) as server,
        our_client(server.url) as client,
    ):
        with pytest.raises(InvalidRequestError) as caught:
            await client.chat_completion(ask(**changes))
    assert not server.requests
    return caught.value
