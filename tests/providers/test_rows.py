"""The services that are rows of `openai_compatible`, each judged by OpenAI's own types."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from lattice_lock.exceptions import InvalidRequestError, ProviderUnavailableError, ServerError
from lattice_lock.messages import (
    Message,
    OpaquePart,
    ReasoningDelta,
    ReasoningPart,
    StreamEnd,
    TextDelta,
    TextPart,
    ToolDefinition,
    ToolResult,
)
from lattice_lock.providers.discovery import client_class, provider_names
from lattice_lock.providers.openai_compatible import ROWS
from lattice_lock.settings import Settings
from openai_wire import (
    KEY,
    as_stream,
    ask,
    chunks,
    client_for,
    collect,
    judge,
    openai_server,
    payload,
    vendor_client,
    whole,
)
from wire_server import NOWHERE, answer, delta, events, serving

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from lattice_lock.providers.openai_compatible import OpenAICompatibleClient
    from wire_server import ScriptedServer

TOOL = ToolDefinition(name="weather", parameters={"type": "object"})
each_row = pytest.mark.parametrize("name", sorted(ROWS))


def our_client(
    name: str, server: ScriptedServer
) -> AbstractAsyncContextManager[OpenAICompatibleClient]:
    """Our client of `server` as the provider `name`."""
    variables = {f"{name.upper()}_BASE_URL": server.url, f"{name.upper()}_API_KEY": KEY}
    return client_for(ROWS[name], **variables)


@each_row
def test_a_row_is_a_provider(name: str) -> None:
    """Every row can be found by its id, has an address that hides its key, and wants that key."""
    row = ROWS[name]
    assert client_class(name) is row
    assert name in provider_names()
    assert urlsplit(row.base_url).scheme == "https"
    assert not row.base_url.endswith("/")
    nothing = Settings.load(environment={}, dotenv=NOWHERE)
    assert row.missing_setting(nothing) == f"Set `{name.upper()}_API_KEY`."


@each_row
async def test_a_row_answers_whole_and_streamed(name: str) -> None:
    """Both ways give one answer, with the key in its header and every field in its place."""
    body = payload("openai/chat")
    request = ask(f"{name}/some/model", max_output_tokens=9, seed=3, stop=("END",), tools=(TOOL,))
    async with (
        serving(whole(body), as_stream(chunks(body))) as server,
        our_client(name, server) as client,
    ):
        response = await client.chat_completion(request)
        *_, end = await collect(client, request)
    assert isinstance(end, StreamEnd)
    assert end.response.message == response.message
    assert end.response.usage == response.usage
    for received in server.requests:
        assert received.path == "/v1/chat/completions"
        assert received.headers["authorization"] == f"Bearer {KEY}"
        sent = received.json
        if name == "mistral":  # whose own field OpenAI's types do not know
            assert sent.pop("random_seed") == 3
            assert "stream_options" not in sent
            received.body = json.dumps(sent | {"seed": 3}).encode()
        bound = {"max_tokens", "max_completion_tokens"} & sent.keys()
        expected = "max_completion_tokens" if name in {"groq", "cerebras"} else "max_tokens"
        assert bound == {expected}
        assert judge(received)["model"] == "some/model"


@each_row
async def test_a_row_lists_its_models(name: str) -> None:
    """The list is OpenAI's."""
    entry = {"id": "some/model", "object": "model", "created": 1, "owned_by": "x"}
    async with (
        serving(answer({"object": "list", "data": [entry]})) as server,
        our_client(name, server) as client,
    ):
        (model,) = await client.list_models()
    assert str(model) == f"{name}/some/model"


@each_row
async def test_a_row_without_its_key_sends_nothing(name: str) -> None:
    """Without a key no request is made, and the error names the variable."""
    async with serving() as server:
        variables = {f"{name.upper()}_BASE_URL": server.url}
        async with client_for(ROWS[name], **variables) as client:
            with pytest.raises(ProviderUnavailableError, match=f"{name.upper()}_API_KEY"):
                await client.chat_completion(ask(f"{name}/m"))
    assert server.requests == []


async def test_the_vendor_of_the_types_accepts_the_server() -> None:
    """OpenAI's client, which these services recommend, reads the same answer."""
    body = payload("openai/chat")
    async with openai_server(whole(body)) as server, vendor_client(server.url) as vendor:
        said: Any = {"role": "user", "content": "Hello"}
        theirs = await vendor.chat.completions.create(model="m", messages=[said])
    assert theirs.choices[0].message.content == "One moment."


async def test_deepseek_gets_the_reasoning_behind_a_call_back() -> None:
    """A message with calls brings its reasoning along, empty or not; other messages do not."""
    body = payload("openai/chat")
    body["choices"][0]["message"]["reasoning_content"] = "Ask the tool."
    question = Message.user("Weather?")
    async with serving(answer(body)) as server, our_client("deepseek", server) as client:
        made = await client.chat_completion(ask("deepseek/deepseek-flash", question))
        done = ToolResult(call_id="call_1", name="weather", content=(TextPart(text="sun"),))
        bare = Message(
            role=made.message.role,
            content=tuple(p for p in made.message.content if not isinstance(p, ReasoningPart)),
        )
        said = Message(role=made.message.role, content=made.message.content[:2])
        turns = (question, made.message, Message.tool(done), said, bare, Message.tool(done))
        await client.chat_completion(ask("deepseek/deepseek-flash", *turns))
    sent = [m for m in server.requests[1].json["messages"] if m["role"] == "assistant"]
    assert [message.get("reasoning_content") for message in sent] == ["Ask the tool.", None, ""]


async def test_mistral_thinks_in_a_list() -> None:
    """Content that is a list of thoughts and texts is taken apart, whole and streamed."""
    content = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
        {"type": "text", "text": "Four."},
    ]
    body = payload("openai/chat")
    body["choices"][0] |= {"finish_reason": "stop", "message": {"content": content}}
    stream = events(
        delta(content=content[:1]),
        delta(content=content[1:]),
        delta("!"),
        delta(finish="stop"),
        "data: [DONE]\n\n",
    )
    async with serving(answer(body), stream) as server, our_client("mistral", server) as client:
        response = await client.chat_completion(ask("mistral/magistral"))
        *deltas, end = await collect(client, ask("mistral/magistral"))
    assert response.message.content == (ReasoningPart(text="Hm."), TextPart(text="Four."))
    assert deltas == [ReasoningDelta(text="Hm."), TextDelta(text="Four."), TextDelta(text="!")]
    assert isinstance(end, StreamEnd)


async def test_mistral_says_which_field_it_refuses() -> None:
    """Its list of what is wrong with a request is in the error."""
    detail = [{"type": "extra_forbidden", "loc": ["body", "x"], "msg": "Extra inputs"}]
    body = {"object": "error", "message": {"detail": detail}, "type": "invalid_request_error"}
    async with (
        serving(answer(body, 422)) as server,
        our_client("mistral", server) as client,
    ):
        with pytest.raises(InvalidRequestError, match="extra_forbidden"):
            await client.chat_completion(ask("mistral/m"))


async def test_openrouter_gets_its_details_back() -> None:
    """Details of reasoning that are streamed in pieces go back in the order in which they came."""
    details = [
        {"type": "reasoning.text", "text": "Hm", "index": 0},
        {"type": "reasoning.encrypted", "data": "gA/+=", "index": 1},
    ]
    stream = events(
        delta(reasoning="Hm", reasoning_details=details[:1]),
        delta(reasoning_details=details[1:]),
        delta("Four."),
        delta(finish="stop"),
        "data: [DONE]\n\n",
    )
    body = payload("openai/chat")
    async with serving(stream, answer(body)) as server, our_client("openrouter", server) as client:
        *_, end = await collect(client, ask("openrouter/a/b"))
        assert isinstance(end, StreamEnd)
        await client.chat_completion(
            ask("openrouter/a/b", Message.user("x"), end.response.message, Message.user("y"))
        )
    assert isinstance(end.response.message.content[-1], OpaquePart)
    assert server.requests[1].json["messages"][1] == {
        "role": "assistant",
        "content": "Four.",
        "reasoning_details": details,
    }


async def test_openrouter_breaks_off_with_a_status() -> None:
    """An error inside a stream has its status as a number."""
    error = json.dumps({"error": {"code": 502, "message": "Upstream."}, "choices": []})
    stream = events(delta("half"), f"data: {error}\n\n", "data: [DONE]\n\n")
    async with serving(stream) as server, our_client("openrouter", server) as client:
        with pytest.raises(ServerError):
            await collect(client, ask("openrouter/a/b"))
