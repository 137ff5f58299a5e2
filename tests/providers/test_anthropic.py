"""The Anthropic provider against a server that judges it by the vendor's own types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anthropic
import pytest

from anthropic_wire import (
    KEY,
    NEWEST,
    anthropic_server,
    as_stream,
    ask,
    collect,
    failure,
    judge,
    our_client,
    payload,
    sse,
    streamed,
    vendor_client,
    whole,
)
from lattice_lock.exceptions import (
    APIClientError,
    AuthenticationError,
    ConflictError,
    ContextLengthError,
    InvalidRequestError,
    InvalidResponseError,
    ModelNotAvailableError,
    OverloadedError,
    PermissionDeniedError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    QuotaExhaustedError,
    RateLimitError,
    ServerError,
)
from lattice_lock.messages import (
    FinishReason,
    ImagePart,
    Message,
    OpaquePart,
    StreamEnd,
    TextDelta,
    TextPart,
    ToolDefinition,
    ToolResult,
    Usage,
)
from lattice_lock.providers.anthropic import AnthropicClient
from lattice_lock.settings import Settings
from wire_server import NOWHERE, answer

if TYPE_CHECKING:
    from lattice_lock.messages import ChatResponse
    from wire_server import Wire

PNG = b"\x89PNG\r\n"
WEATHER = ToolDefinition(
    name="weather",
    description="Weather of a city",
    parameters={"type": "object", "properties": {"city": {"type": "string"}}},
)
NOW = ToolDefinition(name="now", parameters={"type": "object"}, strict=True)


async def test_a_plain_question() -> None:
    """The least request is what the vendor's client sends, and the answer is read in full."""
    async with anthropic_server(whole(payload("text"))) as server:
        async with our_client(server.url) as client:
            response = await client.chat_completion(ask(max_output_tokens=64))
        async with vendor_client(server.url) as vendor:
            theirs = await vendor.messages.create(
                model="claude-opus-5-5",
                max_tokens=64,
                messages=[{"role": "user", "content": [{"type": "text", "text": "Hello"}]}],
            )
    mine, vendors = (judge(request) for request in server.requests)
    assert mine == vendors
    assert (response.text, response.served_model) == ("Grüße, 漢字 and 😀.", theirs.model)
    assert (response.finish_reason, response.raw_finish_reason) == (
        FinishReason.STOP,
        "stop_sequence",
    )
    assert response.usage == Usage(
        input_tokens=4312, cached_input_tokens=4000, cache_write_tokens=300, output_tokens=25
    )
    assert response.request_id == theirs._request_id == "req_011"
    assert response.message.content == (TextPart(text="Grüße, 漢字 and 😀."),)
    assert response.provider_data is not None
    said = response.provider_data.unpack()
    assert (said["id"], said["stop_sequence"]) == ("msg_01XFDUDYJgAACzvnptvVoYEL", "END")
    assert said["usage"]["cache_creation"]["ephemeral_1h_input_tokens"] == 200


@pytest.mark.parametrize("stream", [False, True])
async def test_a_conversation_with_tools(
    stream: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    """Two calls, their results and the next question: thinking goes back as it came, signed."""
    called = payload("tools")
    last = payload("text")
    steps = (
        (as_stream(sse(*streamed(called))), as_stream(sse(*streamed(last))))
        if stream
        else (whole(called), whole(last))
    )
    question = Message.user("How is the weather?")
    settings: dict[str, Any] = {"tools": (WEATHER, NOW), "tool_choice": "auto"}
    async with anthropic_server(*steps) as server, our_client(server.url) as client:

        async def turn(*messages: Message) -> ChatResponse:
            request = ask(*messages, **settings)
            if not stream:
                return await client.chat_completion(request)
            *_, end = await collect(client, request)
            assert isinstance(end, StreamEnd)
            return end.response

        first = await turn(question)
        assert first.finish_reason is FinishReason.TOOL_CALLS
        assert first.usage == Usage(input_tokens=400, output_tokens=120, reasoning_tokens=80)
        weather, now = first.tool_calls
        assert weather.arguments is not None
        assert weather.arguments["city"] == "Zürich"
        assert now.arguments == {}
        results = Message.tool(
            ToolResult(call_id=weather.id, name="weather", content=(TextPart(text="sunny"),)),
            ToolResult(
                call_id=now.id,
                name="now",
                content=(ImagePart(data=PNG, media_type="image/png"),),
                is_error=True,
            ),
        )
        second = await turn(question, first.message, results, Message.user("Well?"))
    assert second.text == last["content"][0]["text"]
    _, body = (judge(request) for request in server.requests)
    _, assistant, user = body["messages"]
    assert assistant == {"role": "assistant", "content": called["content"]}
    assert b'"exact": 1.1' in server.requests[1].body
    assert b"123456789012345678901234567890" in server.requests[1].body
    kinds = [(block["type"], block.get("is_error")) for block in user["content"]]
    assert kinds == [("tool_result", None), ("tool_result", True), ("text", None)]
    assert body["tools"] == [
        {
            "name": "weather",
            "description": "Weather of a city",
            "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
        {"name": "now", "input_schema": {"type": "object"}, "strict": True},
    ]


async def test_what_came_goes_back_untouched() -> None:
    """Hidden thinking, the provider's own tools and citations return byte for byte, in order."""
    found = payload("search")
    async with (
        anthropic_server(whole(found), whole(payload("text"))) as server,
        our_client(server.url) as client,
    ):
        first = await client.chat_completion(ask())
        await client.chat_completion(
            ask(Message.user("Hello"), first.message, Message.user("Sure?"))
        )
    assert judge(server.requests[1])["messages"][1]["content"] == found["content"]
    hidden, used, result, text = first.message.content
    assert all(isinstance(part, OpaquePart) for part in (hidden, used, result))
    assert (first.text, text.provider_data is not None) == ("It is 3967 m high.", True)


ERRORS = [
    (400, "invalid_request_error", "max_tokens: bad", InvalidRequestError, 1),
    (400, "invalid_request_error", "prompt is too long: 9 tokens > 8", ContextLengthError, 1),
    (400, "invalid_request_error", "Your credit balance is too low", QuotaExhaustedError, 1),
    (401, "authentication_error", "invalid x-api-key", AuthenticationError, 1),
    (402, "billing_error", "no", QuotaExhaustedError, 1),
    (403, "permission_error", "no", PermissionDeniedError, 1),
    (404, "not_found_error", "model: claude-9", ModelNotAvailableError, 1),
    (409, "conflict_error", "no", ConflictError, 2),
    (413, "request_too_large", "no", ContextLengthError, 1),
    (429, "rate_limit_error", "slow", RateLimitError, 3),
    (500, "api_error", "no", ServerError, 3),
    (504, "timeout_error", "no", ProviderTimeoutError, 3),
    (529, "overloaded_error", "no", OverloadedError, 3),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("status", "code", "message", "kind", "attempts"), ERRORS)
async def test_every_error_is_mapped(  # noqa: PLR0917  # a row of the table
    status: int,
    code: str,
    message: str,
    kind: type[APIClientError],
    attempts: int,
    stream: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    """Each error of the API is one of ours, with its ids, and repeated only where it may pass."""
    body = {"type": "error", "error": {"type": code, "message": message}, "request_id": "req_body"}
    error, requests = await failure(answer(body, status), stream=stream)
    assert type(error) is kind
    assert (requests, error.status, error.provider_code) == (attempts, status, code)
    assert (error.request_id, error.model, error.attempt) == (
        "req_body",
        "claude-opus-5-5",
        attempts,
    )


@pytest.mark.parametrize(("status", "code", "message", "kind", "attempts"), ERRORS[3:5])
async def test_the_vendors_client_reads_the_same_errors(
    status: int, code: str, message: str, kind: type[APIClientError], attempts: int
) -> None:
    """The server's errors are real ones: the vendor's client finds status, type and id in them."""
    body = {"type": "error", "error": {"type": code, "message": message}, "request_id": "req_body"}
    async with (
        anthropic_server(answer(body, status)) as server,
        vendor_client(server.url) as vendor,
    ):
        with pytest.raises(anthropic.APIStatusError) as caught:
            await vendor.messages.create(
                model="m", max_tokens=1, messages=[{"role": "user", "content": "x"}]
            )
    assert (caught.value.status_code, caught.value.type) == (status, code)
    assert (kind.retryable, attempts) == (False, 1)


@pytest.mark.parametrize(
    ("code", "kind", "attempts"),
    [
        ("enforced_spend_limit_reached", QuotaExhaustedError, 1),
        ("contract_spend_limit_reached", QuotaExhaustedError, 1),
        ("ramp_limit_exceeded", RateLimitError, 3),
    ],
)
async def test_a_spent_limit_is_no_rate_limit(
    code: str, kind: type[APIClientError], attempts: int
) -> None:
    """Status 429 is repeated only where waiting helps; the code in the details decides."""
    detail = {"type": "rate_limit_error", "message": "m", "details": {"error_code": code}}
    error, requests = await failure(answer({"type": "error", "error": detail}, 429))
    assert (type(error), requests, error.provider_code) == (kind, attempts, code)


async def test_a_wait_that_the_server_asks_for_is_kept() -> None:
    """`retry-after` is in the error, and one that is too long ends the call at once."""
    body = {"type": "error", "error": {"type": "rate_limit_error", "message": "slow"}}
    error, requests = await failure(answer(body, 429, retry_after="45", request_id="req_head"))
    assert (error.retry_after_s, error.request_id, requests) == (45.0, "req_head", 1)


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("overloaded_error", OverloadedError),
        ("api_error", ServerError),
        ("odd", InvalidResponseError),
    ],
)
async def test_an_error_in_the_stream(
    code: str,
    kind: type[APIClientError],
    begun: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    """Overload inside a 200 is raised by its type; after the first text it is not repeated."""
    start = streamed(payload("text"))[: 3 if begun else 1]
    broken = {"type": "error", "error": {"type": code, "message": "m"}, "request_id": "req_in"}
    error, requests = await failure(as_stream(sse(*start, broken)), stream=True)
    assert type(error) is kind
    assert requests == (3 if kind.retryable and not begun else 1)
    assert error.request_id == "req_011"


async def test_a_call_that_fails_once_can_succeed() -> None:
    """Overload before the first text is passed over, and the text comes once."""
    broken = {"type": "error", "error": {"type": "overloaded_error", "message": "m"}}
    good = as_stream(sse(*streamed(payload("text"))))
    async with (
        anthropic_server(as_stream(sse(broken)), good) as server,
        our_client(server.url) as client,
    ):
        *deltas, end = await collect(client, ask())
    assert isinstance(end, StreamEnd)
    assert end.response.attempts == 2
    assert "".join(d.text for d in deltas if isinstance(d, TextDelta)) == end.response.text


async def test_a_read_stream_leaves_its_connection_usable() -> None:
    """After `message_stop` the rest is read, and the next call needs no new connection."""
    body = sse(*streamed(payload("text"))).encode()

    async def chunked(wire: Wire) -> object:
        head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
        await wire.send(head, "Transfer-Encoding: chunked\r\n\r\n")
        await wire.send(f"{len(body):x}\r\n", body, "\r\n0\r\n\r\n")
        return "keep"

    async with anthropic_server(chunked) as server, our_client(server.url) as client:
        for _ in range(3):
            await collect(client, ask())
    assert (len(server.requests), server.connections) == (3, 1)


async def test_models_are_listed() -> None:
    """All pages are read, each after the last of the one before."""
    pages = [
        {"data": [{"id": "claude-b", "type": "model"}], "has_more": True, "last_id": "claude-b"},
        {"data": [{"id": "claude-a"}], "has_more": False, "last_id": "claude-a"},
    ]
    async with (
        anthropic_server(*(answer(page) for page in pages)) as server,
        our_client(server.url) as client,
    ):
        models = await client.list_models()
    assert [str(model) for model in models] == ["anthropic/claude-b", "anthropic/claude-a"]
    assert [request.path for request in server.requests] == [
        "/v1/models?limit=1000",
        "/v1/models?limit=1000&after_id=claude-b",
    ]
    assert {request.headers["x-api-key"] for request in server.requests} == {KEY}


async def test_the_key_is_sent_and_never_shown() -> None:
    """The key is in one header of the configured host, and in no error and no repr."""
    echo = {"type": "error", "error": {"type": f"k-{KEY}", "message": f"bad {KEY}"}}
    async with (
        anthropic_server(answer(echo, 401, request_id=KEY)) as server,
        our_client(server.url) as client,
    ):
        with pytest.raises(AuthenticationError) as caught:
            await client.chat_completion(ask())
        shown = f"{caught.value!r} {caught.value} {vars(caught.value)} {vars(client)}"
    (request,) = server.requests
    assert [name for name, value in request.headers.items() if KEY in value] == ["x-api-key"]
    assert KEY not in shown
    assert KEY not in request.path


async def test_what_is_missing_is_named() -> None:
    """Without a key nothing is sent, and the error says what to set."""
    async with (
        anthropic_server(whole(payload("text"))) as server,
        our_client(server.url, ANTHROPIC_API_KEY="") as client,
    ):
        with pytest.raises(ProviderUnavailableError, match="ANTHROPIC_API_KEY"):
            await client.chat_completion(ask())
    assert not server.requests


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({}, "ANTHROPIC_API_KEY"),
        ({"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": "ftp://x"}, "ANTHROPIC_BASE_URL"),
        (
            {"ANTHROPIC_API_KEY": KEY, "LATTICE_LOCK_ANTHROPIC_VERSION": "new"},
            "LATTICE_LOCK_ANTHROPIC_VERSION",
        ),
        ({"ANTHROPIC_API_KEY": KEY, "LATTICE_LOCK_ANTHROPIC_VERSION": NEWEST}, None),
    ],
)
def test_missing_settings(environment: dict[str, str], named: str | None) -> None:
    """A key, address or version that cannot be used is told in one sentence, without values."""
    missing = AnthropicClient.missing_setting(
        Settings.load(environment=environment, dotenv=NOWHERE)
    )
    assert (named is None) == (missing is None)
    assert named is None or named in f"{missing}"
    assert KEY not in f"{missing}"
