"""The provider `dial` against a server that judges it with OpenAI's types and DIAL's own fields."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from lattice_lock.exceptions import (
    APIClientError,
    AuthenticationError,
    ContentFilteredError,
    ContextLengthError,
    IncompleteStreamError,
    InvalidRequestError,
    ModelNotAvailableError,
    ProviderUnavailableError,
    RateLimitError,
    ServerError,
)
from lattice_lock.messages import (
    FilePart,
    ImagePart,
    Message,
    ModelId,
    ReasoningEffort,
    Role,
    StreamEnd,
    TextDelta,
    TextPart,
    ToolDefinition,
    Usage,
)
from lattice_lock.providers.dial import DialClient
from openai_wire import KEY, PAYLOADS, ask, client_for, collect, judge
from wire_server import answer, events, serving

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from wire_server import Received, ScriptedServer, Wire

CHAT: dict[str, Any] = json.loads((PAYLOADS / "dial/chat.json").read_text(encoding="utf-8"))
CUSTOM = CHAT["choices"][0]["message"]["custom_content"]


def our_client(
    server: ScriptedServer, **environment: str
) -> AbstractAsyncContextManager[DialClient]:
    """Our client of `server`."""
    ours = {"DIAL_URL": server.url.removesuffix("/v1"), "DIAL_API_KEY": KEY}
    return client_for(DialClient, **(ours | environment))


def judge_dial(request: Received) -> dict[str, Any]:
    """The body of a request that DIAL would take: OpenAI's, but for `custom_content`."""
    assert request.headers["api-key"] == KEY
    assert "authorization" not in request.headers
    body: dict[str, Any] = request.json
    plain = json.loads(request.body)
    for message in plain["messages"]:
        custom = message.pop("custom_content", {})
        assert custom.keys() <= {"attachments", "stages", "state", "form_value", "form_schema"}
    request.body = json.dumps(plain).encode()
    judge(request)
    return body


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> str:
    """One event of a stream as aidial-sdk writes it: usage rides on the last choice."""
    choices = [{"index": 0, "finish_reason": finish, "delta": delta}]
    head = {"id": "d-1", "created": 1, "object": "chat.completion.chunk", "usage": None}
    return f"data: {json.dumps(head | {'choices': choices} | more)}\n\n"


async def failure(*steps: Any, stream: bool = False, **changes: Any) -> APIClientError:
    """The error that a call ends with."""
    async with serving(*steps) as server, our_client(server) as client:
        request = ask("dial/gpt-4.1", **changes)
        with pytest.raises(APIClientError) as caught:
            await (collect(client, request) if stream else client.chat_completion(request))
    return caught.value


async def test_an_answer_and_the_next_turn() -> None:
    """A deployment is asked at its address; what the application keeps goes back unchanged."""
    question = Message(
        role=Role.USER,
        content=(
            TextPart(text="What is this?"),
            ImagePart(url="https://example.com/a.png"),
            FilePart(name="a.pdf", data=b"%PDF", media_type="application/pdf"),
        ),
    )
    tool = ToolDefinition(name="f", parameters={"type": "object"})
    async with serving(answer(CHAT, X_Request_Id="r")) as server, our_client(server) as client:
        response = await client.chat_completion(
            ask("dial/gpt-4.1", question, max_output_tokens=9, tools=(tool,))
        )
        await client.chat_completion(ask("dial/gpt-4.1", question, response.message))
    first, second = server.requests
    path = "/openai/deployments/gpt-4.1/chat/completions?api-version=2024-10-21"
    assert first.path == path
    sent = judge_dial(first)
    assert (sent["model"], sent["max_tokens"]) == ("gpt-4.1", 9)
    assert [part["type"] for part in sent["messages"][0]["content"]] == [
        "text",
        "image_url",
        "file",
    ]
    assert response.usage == Usage(input_tokens=20, cached_input_tokens=8, output_tokens=6)
    assert (response.served_model, response.request_id) == (None, "r")
    assert judge_dial(second)["messages"][1] == {
        "role": "assistant",
        "content": "See the file.",
        "custom_content": CUSTOM,
    }


async def test_a_stream_keeps_what_the_application_adds() -> None:
    """Attachments, stages and state that come in pieces are put together, and go back."""
    pieces = [
        ": heartbeat\n\n",
        chunk({"role": "assistant"}),
        chunk({"custom_content": {"stages": [{"index": 0, "name": "Search"}]}}),
        chunk({"content": "See "}),
        chunk({"custom_content": {"stages": [{"index": 0, "content": "found "}]}}),
        chunk(
            {
                "custom_content": {
                    "stages": [{"index": 0, "content": "it", "status": "completed"}],
                    "attachments": [
                        {"index": 0, "type": "text/markdown", "title": "Answer", "data": "# Four"}
                    ],
                }
            }
        ),
        chunk({"content": "the file.", "custom_content": {"state": {"turn": 1, "seen": ["a"]}}}),
        chunk({}, "stop", usage=CHAT["usage"], statistics=CHAT["statistics"]),
        "data: [DONE]\n\n",
    ]
    async with (
        serving(events(*pieces), answer(CHAT)) as server,
        our_client(server) as client,
    ):
        *deltas, end = await collect(client, ask("dial/gpt-4.1"))
        assert isinstance(end, StreamEnd)
        await client.chat_completion(
            ask("dial/gpt-4.1", Message.user("a"), end.response.message, Message.user("b"))
        )
    assert deltas == [TextDelta(text="See "), TextDelta(text="the file.")]
    assert end.response.usage == Usage(input_tokens=20, cached_input_tokens=8, output_tokens=6)
    assert judge_dial(server.requests[0])["stream"] is True
    assert judge_dial(server.requests[1])["messages"][1]["custom_content"] == CUSTOM


async def test_items_of_lists_are_found_by_their_index() -> None:
    """Two attachments whose pieces alternate do not mix, and an absurd index takes no memory."""

    def piece(*attachments: dict[str, Any]) -> str:
        return chunk({"custom_content": {"attachments": attachments}})

    text = [
        piece({"index": 1, "data": "b"}),
        piece({"index": 0, "data": "a"}, {"index": 1, "data": "B"}),
        piece({"index": 0, "data": "A", "title": None}),
        chunk({"custom_content": None}),
        piece({"index": 10**12, "data": "x"}),
        piece({"data": "plain"}),
        chunk({}, "stop"),
        "data: [DONE]\n\n",
    ]
    async with serving(events(*text)) as server, our_client(server) as client:
        *_, end = await collect(client, ask("dial/gpt-4.1"))
    assert isinstance(end, StreamEnd)
    (kept,) = end.response.message.content
    assert kept.provider_data is not None
    attachments = kept.provider_data.unpack()["custom_content"]["attachments"]
    assert [a["data"] for a in attachments] == ["aA", "bB", "x", "plain"]
    assert "index" not in attachments[0]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("applications/bucket/my app", "applications/bucket/my%20app"),
        ("gpt?4#x", "gpt%3F4%23x"),
    ],
)
async def test_names_keep_their_folders(name: str, path: str) -> None:
    """Slashes in the name of an application stay; anything else is percent-encoded."""
    async with (
        serving(answer(CHAT)) as server,
        our_client(server, DIAL_API_VERSION="2025-04-01-preview") as client,
    ):
        await client.chat_completion(ask(f"dial/{name}"))
    assert server.requests[0].path == (
        f"/openai/deployments/{path}/chat/completions?api-version=2025-04-01-preview"
    )


@pytest.mark.parametrize(
    ("model", "changes", "parameter"),
    [
        ("dial/a/../../admin", {}, "model"),
        ("dial/a//b", {}, "model"),
        ("dial/a", {"reasoning_effort": ReasoningEffort.MAX}, "reasoning_effort"),
    ],
)
async def test_what_dial_cannot_take_is_refused_before_the_call(
    model: str, changes: dict[str, Any], parameter: str
) -> None:
    """A name that leads elsewhere and an effort that DIAL has not are errors of the caller."""
    async with serving() as server, our_client(server) as client:
        with pytest.raises(InvalidRequestError) as caught:
            await client.chat_completion(ask(model, **changes))
    assert caught.value.parameter == parameter
    assert server.requests == []


def said(code: str | None, kind: str = "invalid_request_error", **more: Any) -> dict[str, Any]:
    """An error as DIAL writes it."""
    return {"error": {"message": "m", "type": kind, "code": code} | more}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, said("400"), InvalidRequestError),
        (400, said("context_length_exceeded", param="messages"), ContextLengthError),
        (400, said("truncate_prompt_error", param="max_prompt_tokens"), ContextLengthError),
        (400, said("content_filter"), ContentFilteredError),
        (404, said("DeploymentNotFound"), ModelNotAvailableError),
        (429, said("429"), RateLimitError),
        (500, said("500", "runtime_error"), ServerError),
        (502, said(None, "runtime_error"), ServerError),
    ],
)
async def test_every_refusal_is_its_own_error(
    status: int, body: dict[str, Any], kind: type[APIClientError]
) -> None:
    """Status and code give the class."""
    error = await failure(answer(body, status))
    assert type(error) is kind
    assert error.status == status


async def test_a_refusal_in_plain_text_is_understood() -> None:
    """The core answers a missing key with a sentence, and the status counts."""

    async def step(wire: Wire) -> None:
        await wire.head(401, "text/plain")
        await wire.send("At least API-KEY or Authorization header must be provided")

    assert type(await failure(step)) is AuthenticationError


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (said("500", "runtime_error", display_message="It is down."), ServerError),
        (said(None, "runtime_error", display_message="It is down."), ServerError),
        (said("429", "x", display_message="It is down."), RateLimitError),
        (said("context_length_exceeded", display_message="It is down."), ContextLengthError),
    ],
)
async def test_an_error_inside_a_stream_is_raised(
    body: dict[str, Any], kind: type[APIClientError]
) -> None:
    """An error counts although `[DONE]` follows, and what is meant for people comes first."""
    text = chunk({"content": "half"}) + f"data: {json.dumps(body)}\n\ndata: [DONE]\n\n"
    error = await failure(events(text), stream=True)
    assert type(error) is kind
    assert error.message == "It is down. (m)"


async def test_a_stream_that_ends_early_is_incomplete() -> None:
    """Text without an end is not an answer."""
    error = await failure(events(chunk({"content": "half"})), stream=True)
    assert type(error) is IncompleteStreamError


async def test_models_that_chat_are_listed() -> None:
    """Models for embeddings are left out."""
    entries = [
        {"id": "gpt-4.1", "object": "model", "capabilities": {"chat_completion": True}},
        {"id": "embed", "object": "model", "capabilities": {"chat_completion": False}},
        {"id": "old", "object": "model"},
    ]
    async with serving(answer({"data": entries})) as server, our_client(server) as client:
        listed = await client.list_models()
    assert listed == (ModelId.parse("dial/gpt-4.1"), ModelId.parse("dial/old"))
    (request,) = server.requests
    assert (request.method, request.path) == ("GET", "/openai/models")
    assert request.headers["api-key"] == KEY


@pytest.mark.parametrize(
    ("variable", "value"), [("DIAL_URL", ""), ("DIAL_URL", "dial.example"), ("DIAL_API_KEY", "")]
)
async def test_what_is_not_set_up_is_said(variable: str, value: str) -> None:
    """Without an address or a key no request is made."""
    async with serving() as server, our_client(server, **{variable: value}) as client:
        with pytest.raises(ProviderUnavailableError, match=variable):
            await client.chat_completion(ask("dial/a"))
