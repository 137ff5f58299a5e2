"""Gemini's answers and streams as our values."""

from __future__ import annotations

import json

import pytest

from google_wire import (
    PAYLOADS,
    answered,
    as_stream,
    ask,
    failure,
    google_server,
    our_client,
    payload,
    sse,
    streamed,
    streamed_answer,
)
from lattice_lock.exceptions import IncompleteStreamError, InvalidResponseError
from lattice_lock.messages import (
    ChatResponse,
    FinishReason,
    Message,
    OpaquePart,
    ReasoningDelta,
    ReasoningPart,
    TextDelta,
    TextPart,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from wire_server import answer

BAD_PICTURE = {"inlineData": {"mimeType": "image/png", "data": "*"}}


@pytest.mark.parametrize("name", ["text", "tools", "mixed"])
@pytest.mark.parametrize("cut", [1, 7])
async def test_a_stream_is_the_whole_answer(name: str, cut: int) -> None:
    """Streamed in pieces of any size, an answer equals the same answer in one piece."""
    whole = payload(name)
    one = await answered(answer(whole))
    deltas, other = await streamed_answer(sse(*streamed(whole, cut=cut)))
    assert _comparable(other) == _comparable(one)
    assert "".join(d.text for d in deltas if isinstance(d, TextDelta)) == one.text
    thoughts = [p.text for p in one.message.content if isinstance(p, ReasoningPart)]
    assert "".join(d.text for d in deltas if isinstance(d, ReasoningDelta)) == "".join(thoughts)
    calls = [d for d in deltas if isinstance(d, ToolCallDelta)]
    assert [(d.index, d.id, d.name, d.arguments) for d in calls] == [
        (n, call.id, call.name, call.raw_arguments) for n, call in enumerate(other.tool_calls)
    ]


def _comparable(response: ChatResponse) -> object:
    parts: list[object] = []
    for part in response.message.content:
        own = part.provider_data.unpack() if part.provider_data else None
        # A call without an id gets a new one each time.
        call = (part.name, part.arguments) if isinstance(part, ToolCall) else None
        parts.append((type(part), getattr(part, "text", None), call, own))
    said = response.provider_data.unpack() if response.provider_data else None
    return parts, response.raw_finish_reason, response.served_model, response.usage, said


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("size", [1, 3, 100_000])
async def test_a_recorded_stream(end: str, size: int) -> None:
    """Comments and events of several lines are read, wherever lines and characters are cut."""
    text = (PAYLOADS / "stream.sse").read_text(encoding="utf-8")
    raw = text.replace("\n", end).encode()
    pieces = (raw[n : n + size] for n in range(0, len(raw), size))
    deltas, response = await streamed_answer(*pieces)
    assert deltas == [
        ReasoningDelta(text="I greet"),
        ReasoningDelta(text=" in two languages."),
        TextDelta(text="Grüße, "),
        TextDelta(text="漢字 😀"),
    ]
    thought, said, signed = response.message.content
    assert isinstance(thought, ReasoningPart)
    assert isinstance(said, TextPart)
    assert isinstance(signed, TextPart)
    assert (thought.text, said.text) == ("I greet in two languages.", "Grüße, 漢字 😀")
    assert signed.provider_data is not None
    assert (signed.text, signed.provider_data.unpack()) == ("", {"thoughtSignature": "AAEC"})
    assert response.usage == Usage(input_tokens=25, output_tokens=15, reasoning_tokens=6)
    assert (response.finish_reason, response.request_id) == (FinishReason.STOP, "r-1")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_part_that_nobody_knows_is_kept(
    stream: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    """A kind of part from the future is kept with all that it says, at its place."""
    part = {"hologram": {"rays": [1.5, {"deep": None}]}, "thoughtSignature": "AAEC"}
    whole = payload("text")
    whole["candidates"][0]["content"]["parts"].insert(0, part)
    if stream:
        _, response = await streamed_answer(
            "".join(f"data: {json.dumps(piece)}\n\n" for piece in streamed(whole))
        )
    else:
        response = await answered(answer(whole))
    strange = response.message.content[0]
    assert isinstance(strange, OpaquePart)
    assert strange.provider_data.unpack() == part
    assert response.text == "Grüße, 漢字 and 😀."


async def test_more_about_a_call_is_kept() -> None:
    """What a call says besides name and arguments is kept at its place, and goes back."""
    whole = payload("tools")
    call = whole["candidates"][0]["content"]["parts"][1]
    call["functionCall"]["mood"] = "good"
    async with (
        google_server(answer(whole), answer(payload("text"))) as server,
        our_client(server.url) as client,
    ):
        response = await client.chat_completion(ask())
        await client.chat_completion(ask(Message.user("Hello"), response.message))
    assert server.requests[1].json["contents"][1]["parts"][1] == call


async def test_a_picture_with_more_to_it_is_kept_whole() -> None:
    """A picture that says more than its type and bytes stays the provider's own block."""
    whole = payload("mixed")
    picture = whole["candidates"][0]["content"]["parts"][0]
    picture["inlineData"]["displayName"] = "eiger.png"
    response = await answered(answer(whole))
    (kept, *_) = response.message.content
    assert isinstance(kept, OpaquePart)
    assert kept.provider_data.unpack() == picture


@pytest.mark.parametrize("keep", [0, 1, -2, -1])
async def test_a_stream_that_is_cut_off_raises(keep: int) -> None:
    """A stream that ends before its finish reason is an error and never a shorter answer."""
    error, _ = await failure(as_stream(sse(*streamed(payload("text"))[:keep])), stream=True)
    assert type(error) is IncompleteStreamError


@pytest.mark.parametrize(
    "piece",
    [
        "{garbage",
        "[DONE]",
        "[]",
        '{"candidates": 5}',
        '{"candidates": [{"content": {"parts": [{"text": 5}]}}]}',
        '{"candidates": [{"content": {"parts": [{"functionCall": {}}]}}]}',
        json.dumps({"candidates": [{"content": {"parts": [BAD_PICTURE]}}]}),
        '{"candidates": [{"finishReason": "STOP"}], "usageMetadata": 5}',
        '{"candidates": [{"finishReason": "STOP"}], "modelVersion": "\xe6\xbc"}',
    ],
)
async def test_a_stream_of_another_kind_raises(piece: str) -> None:
    """Pieces that are garbage or of another form are an error that says so."""
    error, requests = await failure(as_stream(f"data: {piece}\n\n".encode("latin-1")), stream=True)
    assert (type(error), requests) == (InvalidResponseError, 1)


@pytest.mark.parametrize("body", [{}, [], {"candidates": []}, {"candidates": {}}])
async def test_an_answer_of_another_kind_raises(body: object) -> None:
    """JSON that holds no candidate is an error and not an empty text."""
    error, requests = await failure(answer(body))
    assert (type(error), requests) == (InvalidResponseError, 1)


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("STOP", FinishReason.STOP),
        ("MAX_TOKENS", FinishReason.LENGTH),
        ("SAFETY", FinishReason.CONTENT_FILTER),
        ("MODEL_ARMOR", FinishReason.CONTENT_FILTER),
        ("MISSING_THOUGHT_SIGNATURE", FinishReason.ERROR),
        ("MALFORMED_FUNCTION_CALL", FinishReason.ERROR),
        ("CONTINUATION", FinishReason.PAUSED),
        ("OTHER", FinishReason.UNKNOWN),
        ("TIRED", FinishReason.UNKNOWN),
    ],
)
async def test_finish_reasons(word: str, reason: FinishReason) -> None:
    """Every reason has its neutral word, and one from the future is kept as it came."""
    whole = payload("text")
    whole["candidates"][0]["finishReason"] = word
    response = await answered(answer(whole))
    assert (response.finish_reason, response.raw_finish_reason) == (reason, word)


async def test_an_answer_that_was_filtered_is_an_answer() -> None:
    """A candidate without content, stopped by a filter, has its reason and no text."""
    body = {"candidates": [{"finishReason": "SAFETY", "index": 0}], "responseId": "r-2"}
    response = await answered(answer(body))
    assert (response.finish_reason, response.text) == (FinishReason.CONTENT_FILTER, "")
    assert response.message.content == ()
