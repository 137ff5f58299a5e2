"""A server that speaks OpenAI's APIs and judges what it is sent, and clients of it.

Judge of requests and of the server's own answers are the types of the package `openai`; rules that
its types cannot say are written out below.
"""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import openai
from openai.types import EmbeddingCreateParams
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.chat.completion_create_params import (
    CompletionCreateParamsNonStreaming,
    CompletionCreateParamsStreaming,
)
from openai.types.responses import Response, ResponseStreamEvent
from openai.types.responses.response_create_params import (
    ResponseCreateParamsNonStreaming,
    ResponseCreateParamsStreaming,
)
from pydantic import TypeAdapter

from lattice_lock.messages import ChatRequest, Message, ModelId
from lattice_lock.providers.transport import Transport
from lattice_lock.settings import Settings
from vendor_types import closed
from wire_server import NOWHERE, QUICK, answer, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lattice_lock.messages import StreamEvent
    from lattice_lock.providers.base_client import BaseAPIClient
    from wire_server import Received, ScriptedServer, Step, Wire

KEY = "canary-sk-proj-0b77"
REQUEST_ID = "req_0d9"
PAYLOADS = Path(__file__).parent.parent / "providers" / "payloads"

_Client = TypeVar("_Client", bound="BaseAPIClient")
_REQUESTS = {
    ("/embeddings", False): EmbeddingCreateParams,
    ("/responses", False): ResponseCreateParamsNonStreaming,
    ("/responses", True): ResponseCreateParamsStreaming,
    ("/chat/completions", False): CompletionCreateParamsNonStreaming,
    ("/chat/completions", True): CompletionCreateParamsStreaming,
}


@cache
def _adapter(path: str, *, stream: bool) -> TypeAdapter[Any]:
    return closed(_REQUESTS[path, stream])


@cache
def _events() -> TypeAdapter[Any]:
    return TypeAdapter(ResponseStreamEvent)


def payload(name: str, **changes: Any) -> dict[str, Any]:
    """A recorded answer, held against the vendor's own type."""
    body: dict[str, Any] = json.loads((PAYLOADS / f"{name}.json").read_text(encoding="utf-8"))
    body |= changes
    kind = Response if body["object"] == "response" else ChatCompletion
    kind.model_validate(body, extra="forbid")
    return body


def judge(request: Received) -> dict[str, Any]:
    """The body of a request that the API would take; anything else is an `AssertionError`."""
    assert request.method == "POST"
    assert request.headers["content-type"] == "application/json"
    body: dict[str, Any] = request.json
    stream = bool(body.get("stream"))
    if request.headers["user-agent"].startswith("lattice-lock"):
        assert request.headers["accept"] == ("text/event-stream" if stream else "application/json")
    path = request.path.partition("?")[0]
    suffix = next(suffix for suffix, _ in _REQUESTS if path.endswith(suffix))
    _adapter(suffix, stream=stream).validate_json(request.body, strict=True)
    if suffix == "/responses":
        _judge_responses(body)
    elif suffix == "/chat/completions":
        _judge_chat(body)
    return body


def _judge_responses(body: dict[str, Any]) -> None:
    assert body["model"]
    assert body["input"]
    assert body["store"] is False
    assert body.get("tools") or "tool_choice" not in body
    calls: list[str] = []
    items = [] if isinstance(body["input"], str) else body["input"]
    for item, after in zip(items, [*items[1:], None], strict=False):
        kind = item.get("type", "message")
        if kind == "reasoning":  # "provided without its required following item" is a 400
            assert after is not None
        elif kind == "function_call":
            calls.append(item["call_id"])
        elif kind == "function_call_output":
            calls.remove(item["call_id"])
        else:
            assert calls == [], "a call without its output is a 400"
    assert calls == []


def _judge_chat(body: dict[str, Any]) -> None:
    assert body["messages"]
    assert len(body.get("stop") or ()) <= 4
    assert body.get("tools") or "tool_choice" not in body
    assert 0 <= body.get("temperature", 0) <= 2
    calls: list[str] = []
    for message in body["messages"]:
        if message["role"] == "tool":
            calls.remove(message["tool_call_id"])
            continue
        assert calls == [], "a call without its result is a 400"
        calls = [call["id"] for call in message.get("tool_calls", ())]
        assert message["role"] != "assistant" or message.get("content") or calls


def sse(*events: dict[str, Any]) -> str:
    """Events of Responses as the server sends them, each held against the vendor's own type."""
    for event in events:
        if event["type"].startswith("response.") and "new_kind" not in event["type"]:
            _events().validate_python(event)
    return "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events)


def streamed(response: dict[str, Any], *, cut: int = 5) -> list[dict[str, Any]]:
    """The events in which `response` would have come, texts cut after every `cut` characters."""
    begun = response | {"status": "in_progress", "output": [], "usage": None}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
    ]
    for index, item in enumerate(response["output"]):
        take_apart = _STREAMED.get(item["type"], _at_once)
        changes, inner = take_apart(item, cut)
        added = item | changes | ({"status": "in_progress"} if "status" in item else {})
        own: list[dict[str, Any]] = [{"type": "response.output_item.added", "item": added}]
        own += [{"item_id": item["id"]} | event for event in inner]
        own.append({"type": "response.output_item.done", "item": item})
        events += [event | {"output_index": index} for event in own]
    events.append({"type": f"response.{response['status']}", "response": response})
    return [event | {"sequence_number": number} for number, event in enumerate(events)]


def _cuts(text: str, cut: int) -> list[str]:
    return [text[n : n + cut] for n in range(0, len(text), cut)]


def _message(item: dict[str, Any], cut: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    events: list[dict[str, Any]] = []
    for index, part in enumerate(item["content"]):
        refusal = part["type"] == "refusal"
        text = part["refusal" if refusal else "text"]
        kind = "response.refusal" if refusal else "response.output_text"
        more: dict[str, Any] = {} if refusal else {"logprobs": []}
        empty = part | {"refusal" if refusal else "text": ""}
        inner: list[dict[str, Any]] = [{"type": "response.content_part.added", "part": empty}]
        inner += [{"type": f"{kind}.delta", "delta": piece} | more for piece in _cuts(text, cut)]
        inner.append({"type": f"{kind}.done", "refusal" if refusal else "text": text} | more)
        inner.append({"type": "response.content_part.done", "part": part})
        events += [event | {"content_index": index} for event in inner]
    return {"content": []}, events


def _reasoning(item: dict[str, Any], cut: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    events: list[dict[str, Any]] = []
    kind = "response.reasoning_summary"
    for index, part in enumerate(item["summary"]):
        inner: list[dict[str, Any]] = [{"type": f"{kind}_part.added", "part": part | {"text": ""}}]
        texts = _cuts(part["text"], cut)
        inner += [{"type": f"{kind}_text.delta", "delta": piece} for piece in texts]
        inner.append({"type": f"{kind}_text.done", "text": part["text"]})
        inner.append({"type": f"{kind}_part.done", "part": part})
        events += [event | {"summary_index": index} for event in inner]
    # What comes first is not yet all of it, as the vendor's docstring warns.
    return {"summary": [], "encrypted_content": "gAAA"}, events


def _call(item: dict[str, Any], cut: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    kind = "response.function_call_arguments"
    texts = _cuts(item["arguments"], cut)
    events: list[dict[str, Any]] = [{"type": f"{kind}.delta", "delta": text} for text in texts]
    return {"arguments": ""}, [*events, {"type": f"{kind}.done", "arguments": item["arguments"]}]


def _at_once(_item: dict[str, Any], _cut: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    return {}, []


_STREAMED = {"message": _message, "reasoning": _reasoning, "function_call": _call}


def chunks(completion: dict[str, Any], *, cut: int = 5) -> str:
    """The stream in which a chat completion would have come."""
    choice = completion["choices"][0]
    message = choice["message"]
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": piece} for piece in _cuts(message["content"] or "", cut)]
    for index, call in enumerate(message.get("tool_calls") or ()):
        function = call["function"]
        begun = call | {"index": index, "function": function | {"arguments": ""}}
        deltas.append({"tool_calls": [begun]})
        deltas += [
            {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}
            for piece in _cuts(function["arguments"], cut)
        ]
    head = {key: completion[key] for key in ("id", "created", "model")}
    head["object"] = "chat.completion.chunk"
    wire = [
        head | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}], "usage": None}
        for delta in deltas
    ]
    end = {"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}
    wire.append(head | {"choices": [end], "usage": None})
    wire.append(head | {"choices": [], "usage": completion["usage"]})
    for chunk in wire:
        ChatCompletionChunk.model_validate(chunk, extra="forbid")
    return "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in wire) + "data: [DONE]\n\n"


def whole(body: dict[str, Any]) -> Step:
    """The step that answers with `body`."""
    return answer(body, X_Request_Id=REQUEST_ID)


def as_stream(*pieces: str | bytes) -> Step:
    """The step that streams `pieces` and ends the body."""

    async def step(wire: Wire) -> None:
        await wire.head(kind="text/event-stream; charset=utf-8", X_Request_Id=REQUEST_ID)
        await wire.send(*pieces)

    return step


def problem(status: int, code: str | None, kind: str = "invalid_request_error") -> Step:
    """The step that refuses as OpenAI does, with the caller's key in the words."""
    error = {"message": f"No, not with {KEY}.", "type": kind, "param": "input", "code": code}
    return answer({"error": error}, status, X_Request_Id=REQUEST_ID)


@asynccontextmanager
async def openai_server(*steps: Step) -> AsyncIterator[ScriptedServer]:
    """A server on loopback that judges every request; its `url` ends in `/v1`."""
    async with serving(*steps) as server:
        yield server
    for request in server.requests:
        if request.method == "POST":
            judge(request)


@asynccontextmanager
async def client_for(kind: type[_Client], **environment: str) -> AsyncIterator[_Client]:
    """A client of ours in this environment."""
    settings = Settings.load(environment=environment, dotenv=NOWHERE)
    async with Transport(settings) as transport:
        yield kind(settings, transport, retry=QUICK)


@asynccontextmanager
async def vendor_client(url: str) -> AsyncIterator[openai.AsyncOpenAI]:
    """The vendor's client of the API at `url`, which checks every answer."""
    async with openai.AsyncOpenAI(
        api_key=KEY, base_url=url, max_retries=0, _strict_response_validation=True
    ) as client:
        yield client


def ask(model: str, *messages: Message, **changes: Any) -> ChatRequest:
    """A request to the model `provider/name`."""
    fields: dict[str, Any] = {
        "model": ModelId.parse(model),
        "messages": messages or (Message.user("Hello"),),
    }
    return ChatRequest(**(fields | changes))


async def collect(client: BaseAPIClient, request: ChatRequest) -> list[StreamEvent]:
    """Every event of a stream."""
    return [event async for event in client.stream(request)]
