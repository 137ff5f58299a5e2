"""A server that speaks Anthropic's Messages API and judges what it is sent, and its clients.

Judge of requests and of the server's own answers are the types of the package `anthropic`; rules
that its types cannot say are written out below, each with its source.
"""

from __future__ import annotations

import json
from contextlib import aclosing, asynccontextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anthropic
import pytest
from anthropic.types import Message as VendorMessage
from anthropic.types import RawMessageStreamEvent
from anthropic.types.message_create_params import (
    MessageCreateParamsNonStreaming,
    MessageCreateParamsStreaming,
)
from pydantic import TypeAdapter

from lattice_lock.exceptions import APIClientError, InvalidRequestError
from lattice_lock.messages import ChatRequest, Message, ModelId, StreamEnd
from lattice_lock.providers.anthropic import AnthropicClient
from lattice_lock.providers.transport import Transport
from lattice_lock.settings import Settings
from vendor_types import closed
from wire_server import NOWHERE, QUICK, answer, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lattice_lock.messages import ChatResponse, StreamEvent
    from wire_server import Received, ScriptedServer, Step

KEY = "canary-sk-ant-0b77"
NEWEST = "2026-10-21"
PAYLOADS = Path(__file__).parent.parent / "providers" / "payloads" / "anthropic"
_EVENTS: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)


def payload(name: str) -> dict[str, Any]:
    """A recorded answer, held against the vendor's own type."""
    body: dict[str, Any] = json.loads((PAYLOADS / f"{name}.json").read_text(encoding="utf-8"))
    VendorMessage.model_validate(body, strict=True, extra="forbid")
    return body


@cache
def _bodies(*, stream: bool) -> TypeAdapter[Any]:
    return closed(MessageCreateParamsStreaming if stream else MessageCreateParamsNonStreaming)


def judge(request: Received, *, version: str = NEWEST) -> dict[str, Any]:
    """The body of a request that the API would take; anything else is an `AssertionError`."""
    assert (request.method, request.path) == ("POST", "/v1/messages")
    headers = request.headers
    assert headers["content-type"] == "application/json"
    assert headers["anthropic-version"] == version
    assert {headers.get("x-api-key"), headers.get("authorization")} in (
        {KEY, None},
        {None, f"Bearer {KEY}"},
    )
    body: dict[str, Any] = request.json
    typed = body
    if version < NEWEST:
        typed = {k: v for k, v in body.items() if k not in {"temperature", "top_p", "top_k"}}
    _bodies(stream=bool(body.get("stream"))).validate_json(json.dumps(typed), strict=True)
    _judge_values(body)
    _judge_turns(body["messages"])
    return body


def _judge_values(body: dict[str, Any]) -> None:
    assert body["max_tokens"] >= 1
    assert body["messages"]
    assert body.get("tools") or "tool_choice" not in body
    thinking = body.get("thinking", {})
    if (
        "budget_tokens" in thinking
    ):  # at least 1024 and less than `max_tokens`; the type's docstring
        assert 1024 <= thinking["budget_tokens"] < body["max_tokens"]
    forced = body.get("tool_choice", {}).get("type") in {"any", "tool"}
    assert not (forced and thinking.get("type") == "enabled")


def _judge_turns(turns: list[dict[str, Any]]) -> None:
    """Pairing of calls and results, and what version 2026-10-21 refuses.

    Source: https://platform.claude.com/docs/en/api/versioning
    """
    open_calls: set[str] = set()
    for turn in turns:
        content = turn["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        assert blocks
        results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        if open_calls or results:
            assert turn["role"] == "user"
            assert sorted(results) == sorted(open_calls)
            assert all(block["type"] == "tool_result" for block in blocks[: len(results)])
        open_calls = {block["id"] for block in blocks if block["type"] == "tool_use"}
        for block in blocks:
            assert block.get("text") != ""
            assert not (turn["role"] == "assistant" and block["type"] == "document")
            assert not (turn["role"] == "user" and block.get("citations"))


def sse(*events: dict[str, Any]) -> str:
    """Events as the server sends them; each is held against the vendor's own type."""
    for event in events:
        if event["type"] not in {"ping", "error", "weather_report"}:
            _EVENTS.validate_python(event)
    return "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events)


def streamed(message: dict[str, Any], *, cut: int = 5) -> list[dict[str, Any]]:
    """The events in which `message` would have come, its texts cut after every `cut` characters."""
    usage = message["usage"]
    empty: dict[str, Any] = {"content": [], "stop_reason": None, "stop_sequence": None}
    begun = {"usage": usage | {"output_tokens": 1}}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": message | empty | begun}]
    for index, block in enumerate(message["content"]):
        first, deltas = _pieces(block, cut)
        events.append({"type": "content_block_start", "index": index, "content_block": first})
        events += [
            {"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas
        ]
        events.append({"type": "content_block_stop", "index": index})
    end = {key: message.get(key) for key in ("stop_reason", "stop_sequence", "stop_details")}
    details = {"output_tokens": usage["output_tokens"]}
    events.append({"type": "message_delta", "delta": end, "usage": details})
    return [*events, {"type": "message_stop"}]


def _pieces(block: dict[str, Any], cut: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    def cuts(text: str) -> list[str]:
        return [text[n : n + cut] for n in range(0, len(text), cut)]

    if block["type"] == "text":
        deltas = [{"type": "text_delta", "text": piece} for piece in cuts(block["text"])]
        citations = block.get("citations") or []
        deltas += [{"type": "citations_delta", "citation": citation} for citation in citations]
        return block | {"text": "", "citations": None}, deltas
    if block["type"] == "thinking":
        deltas = [{"type": "thinking_delta", "thinking": p} for p in cuts(block["thinking"])]
        deltas.append({"type": "signature_delta", "signature": block["signature"]})
        return block | {"thinking": "", "signature": ""}, deltas
    if block["type"] in {"tool_use", "server_tool_use"} and block["input"]:
        text = json.dumps(block["input"])
        deltas = [{"type": "input_json_delta", "partial_json": ""}]
        deltas += [{"type": "input_json_delta", "partial_json": piece} for piece in cuts(text)]
        return block | {"input": {}}, deltas
    return block, []


def whole(message: dict[str, Any]) -> Step:
    """The step that answers with `message`."""
    return answer(message, request_id="req_011")


def as_stream(*pieces: str | bytes) -> Step:
    """The step that streams `pieces` and ends the body."""

    async def step(wire: Any) -> None:
        await wire.head(kind="text/event-stream; charset=utf-8", request_id="req_011")
        await wire.send(*pieces)

    return step


@asynccontextmanager
async def anthropic_server(*steps: Step) -> AsyncIterator[ScriptedServer]:
    """A server on loopback whose `url` is the base of the API."""
    async with serving(*steps) as server:
        server.url = server.url.removesuffix("/v1")
        yield server


@asynccontextmanager
async def our_client(url: str, **environment: str) -> AsyncIterator[AnthropicClient]:
    """Our client of the API at `url`."""
    ours = {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": KEY}
    settings = Settings.load(environment=ours | environment, dotenv=NOWHERE)
    async with Transport(settings) as transport:
        yield AnthropicClient(settings, transport, retry=QUICK)


@asynccontextmanager
async def vendor_client(url: str) -> AsyncIterator[anthropic.AsyncAnthropic]:
    """The vendor's client of the API at `url`, which checks every answer."""
    async with anthropic.AsyncAnthropic(
        api_key=KEY, base_url=url, max_retries=0, _strict_response_validation=True
    ) as client:
        yield client


def ask(*messages: Message, **changes: Any) -> ChatRequest:
    """A request to Anthropic."""
    fields: dict[str, Any] = {
        "model": ModelId(provider="anthropic", name="claude-opus-5-5"),
        "messages": messages or (Message.user("Hello"),),
    }
    return ChatRequest(**(fields | changes))


async def collect(client: AnthropicClient, request: ChatRequest) -> list[StreamEvent]:
    """Every event of a stream."""
    async with aclosing(client.stream(request)) as stream:
        return [item async for item in stream]


async def sent(request: ChatRequest, *, stream: bool = False) -> dict[str, Any]:
    """The body that the server took for `request`, whose answer suits any schema of an object."""
    text = payload("text")
    text["content"][0]["text"] = "{}"
    step = as_stream(sse(*streamed(text))) if stream else whole(text)
    async with anthropic_server(step) as server, our_client(server.url) as client:
        await (collect(client, request) if stream else client.chat_completion(request))
    return judge(server.requests[0])


async def answered(*steps: Step) -> ChatResponse:
    """The answer to a plain question."""
    async with anthropic_server(*steps) as server, our_client(server.url) as client:
        return await client.chat_completion(ask())


async def streamed_answer(*pieces: str | bytes) -> tuple[list[StreamEvent], ChatResponse]:
    """The deltas and the whole answer of a stream."""
    async with anthropic_server(as_stream(*pieces)) as server, our_client(server.url) as client:
        *deltas, end = await collect(client, ask())
    assert isinstance(end, StreamEnd)
    return deltas, end.response


async def failure(*steps: Step, stream: bool = False) -> tuple[APIClientError, int]:
    """The error that a call ends with, and how many requests it took."""
    async with anthropic_server(*steps) as server, our_client(server.url) as client:
        with pytest.raises(APIClientError) as caught:
            await (collect(client, ask()) if stream else client.chat_completion(ask()))
        return caught.value, len(server.requests)


async def refusal(**changes: Any) -> InvalidRequestError:
    """The error with which a request is refused before anything is sent."""
    async with anthropic_server(whole(payload("text"))) as server, our_client(server.url) as client:
        with pytest.raises(InvalidRequestError) as caught:
            await client.chat_completion(ask(**changes))
    assert not server.requests
    return caught.value
