"""Streamed answers of Bedrock, through real connections."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import EventStreamError

from bedrock_wire import (
    as_stream,
    ask,
    bedrock_server,
    collect,
    event,
    exception,
    failure,
    frame,
    judge,
    our_client,
    payload,
    signing_client,
    streamed,
    streamed_answer,
    vendors,
    vendors_stream,
    whole,
)
from lattice_lock.exceptions import (
    APIClientError,
    ContextLengthError,
    IncompleteStreamError,
    InvalidRequestError,
    InvalidResponseError,
    OverloadedError,
    ProviderTimeoutError,
    RateLimitError,
    ServerError,
)
from lattice_lock.messages import (
    FinishReason,
    ImagePart,
    Message,
    OpaquePart,
    ReasoningDelta,
    ReasoningPart,
    StreamEnd,
    TextDelta,
    TextPart,
    ToolCallDelta,
    ToolDefinition,
    ToolResult,
    Usage,
)
from wire_server import answer

if TYPE_CHECKING:
    from lattice_lock.messages import ChatResponse

PNG = b"\x89PNG\r\n"
WEATHER = ToolDefinition(
    name="weather",
    description="Weather of a city",
    parameters={"type": "object", "properties": {"city": {"type": "string"}}},
)
NOW = ToolDefinition(name="now", parameters={"type": "object"}, strict=True)
END = (
    event("messageStop", stopReason="end_turn"),
    event(
        "metadata",
        usage={"inputTokens": 1, "outputTokens": 1, "totalTokens": 2},
        metrics={"latencyMs": 1},
    ),
)


def said(text: str, index: int = 0) -> bytes:
    """The event that adds `text`."""
    return event("contentBlockDelta", contentBlockIndex=index, delta={"text": text})


async def test_a_stream_is_the_whole_answer() -> None:
    """Texts come piece by piece, the end holds what a whole answer would, and the request is one.

    The vendor's own client reads the same stream.
    """
    body = payload("text")
    frames = streamed(body)
    async with bedrock_server(as_stream(*frames), whole(body), as_stream(*frames)) as server:
        async with signing_client(server.url) as client:
            *deltas, end = await collect(client, ask())
            once = await client.chat_completion(ask())
        theirs = await vendors(server.url, vendors_stream)
    assert isinstance(end, StreamEnd)
    pieces = [delta.text for delta in deltas if isinstance(delta, TextDelta)]
    assert pieces == [
        item["contentBlockDelta"]["delta"]["text"] for item in theirs if "contentBlockDelta" in item
    ]
    assert (len(deltas), "".join(pieces)) == (4, once.text)
    assert end.response.message == once.message
    assert (end.response.usage, end.response.finish_reason) == (once.usage, once.finish_reason)
    assert end.response.provider_data is not None
    assert once.provider_data is not None
    assert end.response.provider_data.unpack() == once.provider_data.unpack()
    assert end.response.request_id == "req-011"
    judge(server.requests[0], signed=True, stream=True)
    assert server.requests[0].body == server.requests[1].body


@pytest.mark.parametrize("stream", [False, True])
async def test_a_conversation_with_tools(
    stream: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    """Two calls, their results and the next question: thinking goes back as it came, signed."""
    called, last = payload("tools"), payload("text")
    steps = (
        (as_stream(*streamed(called)), as_stream(*streamed(last)))
        if stream
        else (whole(called), whole(last))
    )
    question = Message.user("How is the weather?")
    settings: dict[str, Any] = {"tools": (WEATHER, NOW), "tool_choice": "auto"}
    async with bedrock_server(*steps) as server, our_client(server.url) as client:

        async def turn(*messages: Message) -> ChatResponse:
            request = ask(*messages, **settings)
            if not stream:
                return await client.chat_completion(request)
            *_, end = await collect(client, request)
            assert isinstance(end, StreamEnd)
            return end.response

        first = await turn(question)
        assert first.finish_reason is FinishReason.TOOL_CALLS
        assert first.usage == Usage(input_tokens=400, output_tokens=120)
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
    assert second.text == last["output"]["message"]["content"][0]["text"]
    _, body = (judge(request, stream=stream) for request in server.requests)
    _, assistant, user = body["messages"]
    assert assistant == called["output"]["message"]
    assert b'"exact": 1.1, "big": 123456789012345678901234567890' in server.requests[1].body
    assert [next(iter(block.values())) for block in user["content"]] == [
        {"toolUseId": weather.id, "content": [{"text": "sunny"}]},
        {
            "toolUseId": now.id,
            "content": [{"image": {"format": "png", "source": {"bytes": "iVBORw0K"}}}],
            "status": "error",
        },
        "Well?",
    ]


async def test_deltas_of_calls_and_thoughts() -> None:
    """Each call begins with its id and name, and a call without arguments has an empty object."""
    deltas, response = await streamed_answer(*streamed(payload("tools"), cut=400))
    thought, text, *calls = deltas
    assert isinstance(thought, ReasoningDelta)
    assert isinstance(text, TextDelta)
    weather, arguments, now, nothing = (c for c in calls if isinstance(c, ToolCallDelta))
    assert (weather.index, weather.id, weather.name) == (
        0,
        "tooluse_kZJMlvQmRJ6eAyJE5GIl7Q",
        "weather",
    )
    assert json.loads(arguments.arguments)["city"] == "Zürich"
    assert (now.index, now.name, nothing) == (1, "now", ToolCallDelta(index=1, arguments="{}"))
    reasoning, hidden, *_ = response.message.content
    assert isinstance(reasoning, ReasoningPart)
    assert reasoning.text == thought.text == "Two cities, two calls."
    assert isinstance(hidden, OpaquePart)


@pytest.mark.parametrize("stream", [False, True])
async def test_what_came_goes_back_untouched(
    stream: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    """The provider's own tools and citations return as they were, in order, and are no calls."""
    found = payload("search")
    steps = [as_stream(*streamed(found)) if stream else whole(found), whole(payload("text"))]
    async with bedrock_server(*steps) as server, our_client(server.url) as client:
        if stream:
            *_, end = await collect(client, ask())
            assert isinstance(end, StreamEnd)
            first = end.response
        else:
            first = await client.chat_completion(ask())
        turns = (Message.user("Hello"), first.message, Message.user("Sure?"))
        again = ask(*turns, tools=(NOW,))
        await client.chat_completion(again)
    assert judge(server.requests[1])["messages"][1] == found["output"]["message"]
    assert (first.text, first.tool_calls) == ("It is 4110 m high.", ())
    assert first.served_model is not None
    assert first.served_model.endswith("anthropic.claude-opus-5-5")


async def test_arguments_that_are_cut_off_stay_as_they_are() -> None:
    """A call that the token limit cuts is given as it was written, and goes back wrapped."""
    start = event(
        "contentBlockStart",
        contentBlockIndex=0,
        start={"toolUse": {"toolUseId": "t-1", "name": "now"}},
    )
    half = event(
        "contentBlockDelta", contentBlockIndex=0, delta={"toolUse": {"input": '{"zone": "Eu'}}
    )
    _, response = await streamed_answer(start, half, *END)
    (call,) = response.tool_calls
    assert (call.raw_arguments, call.arguments) == ('{"zone": "Eu', None)
    result = ToolResult(call_id="t-1", name="now", content=(TextPart(text="bad"),))
    async with (
        bedrock_server(whole(payload("text"))) as server,
        our_client(server.url) as client,
    ):
        messages = (Message.user("?"), response.message, Message.tool(result))
        await client.chat_completion(ask(*messages, tools=(NOW,)))
    (block,) = judge(server.requests[0])["messages"][1]["content"]
    assert block["toolUse"]["input"] == {"INVALID_JSON": '{"zone": "Eu'}


async def test_kinds_of_events_not_known_yet_are_passed_over() -> None:
    """A new kind of event, a delta of a new kind and an empty text change nothing."""
    new = event("somethingNew", contentBlockIndex=7)
    odd = frame(
        {":message-type": "event", ":event-type": "contentBlockDelta"},
        b'{"contentBlockIndex": 0, "delta": {"hologram": 1}}',
    )
    deltas, response = await streamed_answer(new, said(""), odd, said("Hi"), new, *END)
    assert (deltas, response.text) == ([TextDelta(text="Hi")], "Hi")


@pytest.mark.parametrize("missing", [0, 1])
async def test_a_stream_needs_both_its_ends(missing: int) -> None:
    """Without `messageStop` or without `metadata` a stream is not whole, and says so."""
    error, requests = await failure(as_stream(said("Hi"), END[missing]), stream=True)
    assert (type(error), requests) == (IncompleteStreamError, 1)
    assert error.request_id == "req-011"
    assert "middle of a frame" not in str(error)


async def test_a_frame_that_is_cut_off() -> None:
    """The last frame without its last byte is no end, and nothing of it is used."""
    error, requests = await failure(as_stream(said("Hi"), END[0], END[1][:-1]), stream=True)
    assert (type(error), requests) == (IncompleteStreamError, 1)
    assert "middle of a frame" in str(error)


async def test_an_empty_stream_is_asked_for_again() -> None:
    """Where nothing has been delivered, a stream that breaks off is repeated."""
    good = as_stream(*streamed(payload("text")))
    async with (
        bedrock_server(as_stream(), as_stream(END[0][:20]), good) as server,
        our_client(server.url) as client,
    ):
        *deltas, end = await collect(client, ask())
    assert isinstance(end, StreamEnd)
    assert end.response.attempts == 3
    assert "".join(d.text for d in deltas if isinstance(d, TextDelta)) == end.response.text


@pytest.mark.parametrize("place", [3, 9, 30, -1])
async def test_a_damaged_frame_is_refused(place: int) -> None:
    """A wrong byte, in lengths or content, ends the stream without being delivered."""
    damaged = bytearray(said("Hello"))
    damaged[place] ^= 0x40
    error, requests = await failure(as_stream(bytes(damaged), *END), stream=True)
    assert (type(error), requests) == (InvalidResponseError, 1)
    assert "damaged" in str(error)


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b'{"delta": {"text": "x"}}',
        b'{"contentBlockIndex": 0, "delta": {"text": 1}}',
        b'{"contentBlockIndex": 0, "delta": {"reasoningContent": {"redactedContent": "?"}}}',
    ],
)
async def test_an_event_in_another_format(content: bytes) -> None:
    """An event whose content cannot be read is an unreadable answer."""
    odd = frame({":message-type": "event", ":event-type": "contentBlockDelta"}, content)
    error, _ = await failure(as_stream(odd, *END), stream=True)
    assert type(error) is InvalidResponseError
    assert "contentBlockDelta" in str(error)


async def test_an_answer_that_is_no_stream() -> None:
    """A whole answer where a stream was asked for is refused with its content type."""
    error, _ = await failure(whole(payload("text")), stream=True)
    assert type(error) is InvalidResponseError
    assert "application/json" in str(error)


EXCEPTIONS = [
    ("throttlingException", RateLimitError),
    ("serviceUnavailableException", OverloadedError),
    ("internalServerException", ServerError),
    ("modelStreamErrorException", ServerError),
    ("validationException", InvalidRequestError),
    ("modelTimeoutException", ProviderTimeoutError),
    ("somethingNewException", InvalidResponseError),
]


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize(("name", "kind"), EXCEPTIONS)
async def test_an_exception_in_the_stream(
    name: str,
    kind: type[APIClientError],
    begun: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    """It is raised by its class; after the first text it is never repeated."""
    before = [event("messageStart", role="assistant"), *([said("Hi")] if begun else [])]
    error, requests = await failure(as_stream(*before, exception(name, "no")), stream=True)
    assert type(error) is kind
    assert requests == (3 if kind.retryable and not begun else 1)
    assert (error.provider_code, error.message) == (name[:1].upper() + name[1:], "no")
    assert error.request_id == "req-011"


async def test_the_vendors_client_reads_the_same_exceptions() -> None:
    """The server's exceptions are real ones: the vendor's client raises them by their name."""
    frames = (event("messageStart", role="assistant"), exception("throttlingException", "no"))
    async with bedrock_server(as_stream(*frames)) as server:
        with pytest.raises(EventStreamError) as caught:
            await vendors(server.url, vendors_stream)
    response: Any = caught.value.response
    assert response["Error"] == {"Code": "throttlingException", "Message": "no"}


@pytest.mark.parametrize(
    ("broken", "kind", "message"),
    [
        (
            frame(
                {
                    ":message-type": "error",
                    ":error-code": "InternalServerException",
                    ":error-message": "no",
                },
                b"",
            ),
            ServerError,
            "no",
        ),
        (frame({":message-type": "hologram"}, b""), InvalidResponseError, "`hologram`"),
        (frame({":message-type": "exception"}, b"{"), InvalidResponseError, "unknown form"),
        (exception("validationException", "Input is too long"), ContextLengthError, "too long"),
    ],
    ids=["error", "unknown", "unreadable", "too long"],
)
async def test_other_ends_of_a_stream(
    broken: bytes, kind: type[APIClientError], message: str
) -> None:
    """Errors without a body, frames of unknown kinds and long prompts are told apart."""
    error, _ = await failure(as_stream(broken), stream=True)
    assert type(error) is kind
    assert message in error.message


async def test_a_reader_that_leaves_closes_the_connection() -> None:
    """Closing the stream after its first event hangs up at once."""

    async def step(wire: Any) -> None:
        await wire.head(kind="application/vnd.amazon.eventstream")
        await wire.send(said("Hi"))
        await wire.until_hung_up()

    async with bedrock_server(step) as server, our_client(server.url) as client:
        async with aclosing(client.stream(ask())) as stream:
            assert await anext(stream) == TextDelta(text="Hi")
        await asyncio.wait_for(server.hung_up.wait(), 5)


async def test_an_error_before_the_stream() -> None:
    """A refusal keeps its class and its wait, though a stream was asked for."""
    body: dict[str, Any] = {"message": "slow", "__type": "ThrottlingException"}
    error, requests = await failure(answer(body, 429, retry_after="45"), stream=True)
    assert (type(error), error.retry_after_s, requests) == (RateLimitError, 45.0, 1)
