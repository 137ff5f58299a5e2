"""Anthropic's answers and streams as our values."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from anthropic_wire import (
    PAYLOADS,
    answered,
    anthropic_server,
    as_stream,
    ask,
    collect,
    failure,
    judge,
    our_client,
    payload,
    sent,
    sse,
    streamed,
    streamed_answer,
    vendor_client,
    whole,
)
from lattice_lock.exceptions import (
    IncompleteStreamError,
    InvalidResponseError,
)
from lattice_lock.messages import (
    FinishReason,
    Message,
    OpaquePart,
    ReasoningDelta,
    ReasoningPart,
    StreamEnd,
    TextDelta,
    TextPart,
    ToolCall,
    ToolCallDelta,
    ToolResult,
    Usage,
)
from wire_server import answer

if TYPE_CHECKING:
    from lattice_lock.messages import ChatResponse


@pytest.mark.parametrize("name", ["text", "tools", "search", "refusal"])
@pytest.mark.parametrize("cut", [1, 7])
async def test_a_stream_is_the_whole_answer(name: str, cut: int) -> None:
    """Streamed in pieces of any size, an answer equals the same answer in one piece."""
    message = payload(name)
    one = await answered(whole(message))
    deltas, other = await streamed_answer(sse(*streamed(message, cut=cut)))
    # How the arguments of a call were spaced is lost on the way through pieces.
    assert _comparable(other) == _comparable(one)
    assert other.usage == one.usage
    assert other.request_id == "req_011"
    assert "".join(d.text for d in deltas if isinstance(d, TextDelta)) == one.text
    thoughts = [p.text for p in one.message.content if isinstance(p, ReasoningPart)]
    assert "".join(d.text for d in deltas if isinstance(d, ReasoningDelta)) == "".join(thoughts)
    for index, call in enumerate(other.tool_calls):
        pieces = [d for d in deltas if isinstance(d, ToolCallDelta) and d.index == index]
        assert (pieces[0].id, pieces[0].name) == (call.id, call.name)
        assert "".join(d.arguments for d in pieces) == call.raw_arguments
        assert all(d.id is None for d in pieces[1:])


def _comparable(response: ChatResponse) -> object:
    parts: list[object] = []
    for part in response.message.content:
        own = part.provider_data.unpack() if part.provider_data else None
        if isinstance(part, ToolCall):
            parts.append((part.id, part.name, part.arguments, own))
        else:
            parts.append((type(part), getattr(part, "text", None), own))
    said = response.provider_data.unpack() if response.provider_data else None
    return parts, response.raw_finish_reason, response.served_model, said


@pytest.mark.parametrize("name", ["text", "tools", "search", "refusal"])
async def test_the_vendors_client_reads_the_same_stream(name: str) -> None:
    """The server's streams are real ones: the vendor's client accepts them, strictly."""
    message = payload(name)
    step = as_stream(sse({"type": "ping"}, *streamed(message)))
    async with anthropic_server(step) as server:
        async with (
            vendor_client(server.url) as vendor,
            vendor.messages.stream(
                model="claude-opus-5-5",
                max_tokens=64,
                messages=[{"role": "user", "content": "Hello"}],
            ) as stream,
        ):
            theirs = await stream.get_final_message()
        async with our_client(server.url) as client:
            *_, end = await collect(client, ask(max_output_tokens=64))
    assert isinstance(end, StreamEnd)
    assert theirs.stop_reason == end.response.raw_finish_reason
    assert [b.text for b in theirs.content if b.type == "text"] == [
        p.text for p in end.response.message.content if isinstance(p, TextPart)
    ]
    assert [(b.id, b.input) for b in theirs.content if b.type == "tool_use"] == [
        (c.id, c.arguments) for c in end.response.tool_calls
    ]
    for request in server.requests:
        assert judge(request)["stream"] is True


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("size", [1, 3, 100_000])
async def test_a_recorded_stream(end: str, size: int) -> None:
    """Comments, pings and unknown events are passed over, wherever lines and characters are cut."""
    text = (PAYLOADS / "stream.sse").read_text(encoding="utf-8")
    raw = text.replace("\n", end).encode()
    pieces = (raw[n : n + size] for n in range(0, len(raw), size))
    deltas, response = await streamed_answer(*pieces)
    assert deltas == [TextDelta(text="Grüße, "), TextDelta(text="漢字 😀")]
    assert response.text == "Grüße, 漢字 😀"
    assert response.usage == Usage(input_tokens=125, cached_input_tokens=100, output_tokens=15)
    assert response.finish_reason is FinishReason.STOP


@pytest.mark.parametrize("stream", [False, True])
async def test_a_block_that_nobody_knows_is_kept(
    stream: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    """A kind of block from the future is kept with all that it says, and goes back."""
    block = {"type": "hologram", "rays": [1.5, {"deep": None}], "text": "not for reading"}
    message = payload("text")
    message["content"].insert(0, block)
    if stream:
        events = streamed(message)
        lines = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
        _, response = await streamed_answer(lines)
    else:
        response = await answered(whole(message))
    strange = response.message.content[0]
    assert isinstance(strange, OpaquePart)
    assert strange.provider_data.unpack() == block
    assert response.text == "Grüße, 漢字 and 😀."


async def test_a_text_may_begin_with_its_block() -> None:
    """Text that comes with the start of its block is a delta like the rest."""
    events = streamed(payload("text"))
    events[1]["content_block"]["text"] = "Well: "
    deltas, response = await streamed_answer(sse(*events))
    assert deltas[0] == TextDelta(text="Well: ")
    assert response.text == "Well: Grüße, 漢字 and 😀."


@pytest.mark.parametrize("keep", [0, 1, 2, 3, -2, -1])
async def test_a_stream_that_is_cut_off_raises(keep: int) -> None:
    """Wherever a stream ends before `message_stop`, it is an error and never a shorter answer."""
    events = streamed(payload("text"))[:keep]
    error, _ = await failure(as_stream(sse(*events)), stream=True)
    assert type(error) is IncompleteStreamError


_START, _OPEN, _DELTA, *_ = streamed(payload("text"))


@pytest.mark.parametrize(
    "pieces",
    [
        [sse(_START, _DELTA)],
        [sse(_START), 'data: {"type": "content_block_start", "index": 0}\n\n'],
        [sse(_START), 'data: {"type": "content_block_start", "index": 0, "content_block": {}}\n\n'],
        [sse(_START, _OPEN), "data: {garbage\n\n"],
        [sse(_START), b'data: {"type": "\xe6\xbc"}\n\n'],
        [sse(_START, _OPEN), 'data: {"type": "content_block_delta", "index": 0, "delta": 5}\n\n'],
        ["data: [DONE]\n\n"],
        [sse(_START), 'data: {"type": "message_delta", "delta": {"stop_reason": 5}}\n\n',
         sse({"type": "message_stop"})],
    ],
)  # fmt: skip
async def test_a_stream_of_another_kind_raises(pieces: list[str | bytes]) -> None:
    """Events that are garbage or out of place are an error that says so."""
    error, requests = await failure(as_stream(*pieces), stream=True)
    assert (type(error), requests) == (InvalidResponseError, 1)


async def test_a_stream_without_a_stop_reason_raises() -> None:
    """`message_stop` alone does not make an answer whole."""
    events = sse(_START, _OPEN, {"type": "message_stop"})
    error, _ = await failure(as_stream(events), stream=True)
    assert type(error) is IncompleteStreamError


@pytest.mark.parametrize("body", [{}, [], {"content": 5}, {"content": [{"type": "text"}]}])
async def test_an_answer_of_another_kind_raises(body: object) -> None:
    """JSON that is no message is an error and not an empty text."""
    error, requests = await failure(answer(body))
    assert (type(error), requests) == (InvalidResponseError, 1)


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("end_turn", FinishReason.STOP),
        ("max_tokens", FinishReason.LENGTH),
        ("pause_turn", FinishReason.PAUSED),
        ("refusal", FinishReason.REFUSAL),
        ("model_context_window_exceeded", FinishReason.CONTEXT_EXCEEDED),
        ("tired", FinishReason.UNKNOWN),
        (None, FinishReason.UNKNOWN),
    ],
)
async def test_finish_reasons(word: str | None, reason: FinishReason) -> None:
    """Every reason has its neutral word, and one from the future is kept as it came."""
    response = await answered(whole(payload("text") | {"stop_reason": word}))
    assert (response.finish_reason, response.raw_finish_reason) == (reason, word)


async def test_why_it_refused_is_kept() -> None:
    """A refusal is an answer whose category is in the provider's data."""
    response = await answered(whole(payload("refusal")))
    assert (response.finish_reason, response.text) == (FinishReason.REFUSAL, "")
    assert response.provider_data is not None
    assert response.provider_data.unpack()["stop_details"]["category"] == "bio"


async def test_arguments_that_are_cut_off_are_kept() -> None:
    """A call that the bound on tokens cut is given as far as it came, and can be sent back."""
    events = streamed(payload("tools"), cut=9)
    call = next(n for n, event in enumerate(events) if "toolu_01D7" in json.dumps(event))
    events = [*events[: call + 3], {"type": "content_block_stop", "index": 2}, *events[-2:]]
    _, response = await streamed_answer(sse(*events))
    (cut,) = response.tool_calls
    assert (cut.arguments, cut.raw_arguments) == (None, '{"city": ')
    result = ToolResult(call_id=cut.id, name=cut.name, content=(TextPart(text="bad JSON"),))
    body = await sent(ask(Message.user("x"), response.message, Message.tool(result)))
    assert body["messages"][1]["content"][2]["input"] == {"INVALID_JSON": '{"city": '}
