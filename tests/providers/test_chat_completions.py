"""Our values to the chat-completions format and back."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from lattice_lock.exceptions import (
    IncompleteStreamError,
    InvalidRequestError,
    InvalidResponseError,
)
from lattice_lock.messages import (
    ChatRequest,
    FilePart,
    FinishReason,
    ImagePart,
    Message,
    ModelId,
    NamedTool,
    OpaquePart,
    ProviderData,
    ReasoningDelta,
    ReasoningEffort,
    ReasoningPart,
    ResponseSchema,
    Role,
    TextDelta,
    TextPart,
    ToolCall,
    ToolCallDelta,
    ToolDefinition,
    ToolResult,
    Usage,
)
from lattice_lock.providers.chat_completions import (
    ChatChunk,
    ChatCompletion,
    ChatDialect,
    StreamAssembler,
    chat_body,
    chat_response,
)

MODEL = ModelId(provider="local", name="qwen")
PLAIN = ChatDialect()


def body(*messages: Message, dialect: ChatDialect = PLAIN, **fields: Any) -> dict[str, Any]:
    """The body for `messages`, as a server decodes it."""
    request = ChatRequest(model=MODEL, messages=messages or (Message.user("Hi"),), **fields)
    wire: dict[str, Any] = msgspec.json.decode(
        msgspec.json.encode(chat_body(request, dialect, stream=False))
    )
    return wire


def test_a_bare_request_says_nothing_that_was_not_asked() -> None:
    """What is left to the provider is not in the body."""
    assert body() == {"model": "qwen", "messages": [{"role": "user", "content": "Hi"}]}


def test_every_field_has_its_place() -> None:
    """All that a request can say arrives under the format's own names."""
    schema = {"type": "object", "properties": {}}
    wire = body(
        Message.system("Be brief"),
        Message.user("Hi"),
        dialect=ChatDialect(max_tokens_key="max_tokens", system_role="developer"),
        max_output_tokens=7,
        temperature=0.0,
        top_p=0.5,
        stop=("END",),
        seed=0,
        tools=(ToolDefinition(name="look", description="d", parameters=schema, strict=True),),
        tool_choice=NamedTool(name="look"),
        parallel_tool_calls=False,
        response_schema=ResponseSchema(name="answer", schema=schema),
        reasoning_effort=ReasoningEffort.LOW,
    )
    function = {"name": "look", "description": "d", "parameters": schema, "strict": True}
    assert wire == {
        "model": "qwen",
        "messages": [
            {"role": "developer", "content": "Be brief"},
            {"role": "user", "content": "Hi"},
        ],
        "max_tokens": 7,
        "temperature": 0.0,
        "top_p": 0.5,
        "stop": ["END"],
        "seed": 0,
        "tools": [{"type": "function", "function": function}],
        "tool_choice": {"type": "function", "function": {"name": "look"}},
        "parallel_tool_calls": False,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": schema, "strict": True},
        },
        "reasoning_effort": "low",
    }


def test_a_conversation_with_tools_keeps_its_order() -> None:
    """Calls and their results are written as the format wants them, each result by itself."""
    call = ToolCall(id="c1", name="look", raw_arguments='{"a": 1}')
    results = tuple(
        ToolResult(call_id=f"c{n}", name="look", content=(TextPart(text=str(n)),)) for n in (1, 2)
    )
    assistant = Message(
        role=Role.ASSISTANT, content=(ReasoningPart(text="hm"), TextPart(text="ok"), call)
    )
    function = {"name": "look", "arguments": '{"a": 1}'}
    assert body(assistant, Message.tool(*results))["messages"] == [
        {
            "role": "assistant",
            "content": "ok",
            "tool_calls": [{"id": "c1", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "1"},
        {"role": "tool", "tool_call_id": "c2", "content": "2"},
    ]


def test_images_and_files_are_parts() -> None:
    """Bytes become data addresses, addresses stay addresses."""
    message = Message(
        role=Role.USER,
        content=(
            TextPart(text="What?"),
            ImagePart(data=b"\x00\x01", media_type="image/png"),
            ImagePart(url="https://x/y.png"),
            FilePart(name="a.pdf", data=b"%", media_type="application/pdf"),
        ),
    )
    file = {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JQ=="}
    assert body(message)["messages"][0]["content"] == [
        {"type": "text", "text": "What?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAE="}},
        {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
        {"type": "file", "file": file},
    ]


def test_data_goes_back_to_its_own_provider_only() -> None:
    """What a provider attached to a part returns to it, and nobody else sees it."""
    mine = ProviderData.pack("local", {"cache": {"ttl": "1h"}})
    other = ProviderData.pack("anthropic", {"signature": "s"})
    message = Message(
        role=Role.USER,
        content=(TextPart(text="a", provider_data=mine), TextPart(text="b", provider_data=other)),
    )
    assert body(message)["messages"][0]["content"] == [
        {"type": "text", "text": "a", "cache": {"ttl": "1h"}},
        {"type": "text", "text": "b"},
    ]


_IMAGE = ImagePart(data=b"x", media_type="image/png")


@pytest.mark.parametrize(
    ("message", "dialect"),
    [
        (Message(role=Role.USER, content=(_IMAGE,)), ChatDialect(images=False)),
        (Message(role=Role.ASSISTANT, content=(_IMAGE,)), PLAIN),
        (Message(role=Role.SYSTEM, content=(_IMAGE,)), PLAIN),
        (Message(role=Role.USER, content=(FilePart(name="f", url="https://x"),)), PLAIN),
        (Message(role=Role.TOOL, content=(TextPart(text="x"),)), PLAIN),
        (Message.tool(ToolResult(call_id="1", name="t", content=(_IMAGE,))), PLAIN),
    ],
)
def test_what_the_format_cannot_say_is_refused(message: Message, dialect: ChatDialect) -> None:
    """A part that would have to be dropped is an error before anything is sent."""
    with pytest.raises(InvalidRequestError) as caught:
        body(message, dialect=dialect)
    assert caught.value.parameter == "messages"


def whole(message: dict[str, Any], finish: str | None = "stop", **more: Any) -> ChatCompletion:
    """A whole answer as it is decoded from the wire."""
    wire = {"choices": [{"message": message, "finish_reason": finish}]} | more
    return msgspec.json.decode(msgspec.json.encode(wire), type=ChatCompletion)


def test_an_answer_is_taken_apart() -> None:
    """Text, reasoning, calls, usage and the serving model are found."""
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": None},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }
    message = {"role": "assistant", "content": "a", "reasoning": "r", "tool_calls": [call]}
    response = chat_response(MODEL, whole(message, "tool_calls", model="served", usage=usage))
    assert response.message.content == (
        ReasoningPart(text="r"),
        TextPart(text="a"),
        ToolCall(id="c1", name="look", raw_arguments="{}"),
    )
    assert response.usage == Usage(
        input_tokens=10, cached_input_tokens=4, output_tokens=5, reasoning_tokens=3
    )
    assert (response.served_model, response.raw_finish_reason) == ("served", "tool_calls")


def test_unknown_fields_of_a_message_go_back_untouched() -> None:
    """What a server says beyond the format is in the next request to it, letter for letter."""
    extra = {"reasoning_details": [{"type": "x", "data": "c2ln=="}], "annotations": []}
    answer = chat_response(MODEL, whole({"role": "assistant", "content": "a"} | extra))
    assert isinstance(answer.message.content[-1], OpaquePart)
    wire = body(Message.user("Hi"), answer.message)["messages"][1]
    assert wire == {
        "role": "assistant",
        "content": "a",
        "reasoning_details": extra["reasoning_details"],
    }


@pytest.mark.parametrize(
    ("finish", "message", "unified"),
    [
        ("stop", {}, FinishReason.STOP),
        ("length", {}, FinishReason.LENGTH),
        ("content_filter", {}, FinishReason.CONTENT_FILTER),
        ("function_call", {}, FinishReason.TOOL_CALLS),
        ("stop", {"refusal": "no"}, FinishReason.REFUSAL),
        ("stop", {"tool_calls": [{"function": {"name": "f"}}]}, FinishReason.TOOL_CALLS),
        ("abort", {}, FinishReason.ERROR),
        ("something new", {}, FinishReason.UNKNOWN),
        (None, {}, FinishReason.UNKNOWN),
    ],
)
def test_finish_reasons_are_unified(
    finish: str | None, message: dict[str, Any], unified: FinishReason
) -> None:
    """Every word for why a model stopped has one meaning, and is kept."""
    response = chat_response(MODEL, whole({"role": "assistant"} | message, finish))
    assert (response.finish_reason, response.raw_finish_reason) == (unified, finish)


@pytest.mark.parametrize(
    "wire", [ChatCompletion(choices=[]), whole({"content": 5}), whole({"tool_calls": "x"})]
)
def test_an_answer_of_another_form_is_an_error(wire: ChatCompletion) -> None:
    """An answer without a message, or with one of the wrong types, is never taken for empty."""
    with pytest.raises(InvalidResponseError):
        chat_response(MODEL, wire)


def chunk(finish: str | None = None, **delta: Any) -> ChatChunk:
    """One piece of a stream."""
    wire = {"choices": [{"delta": delta, "finish_reason": finish}]}
    return msgspec.json.decode(msgspec.json.encode(wire), type=ChatChunk)


def test_a_stream_adds_up_to_the_whole_answer() -> None:
    """Pieces of text, thought and two interleaved calls come out as deltas and as one answer."""
    assembler = StreamAssembler(MODEL)
    pieces = [
        chunk(role="assistant", content=None),
        chunk(reasoning_content="h", reasoning="h"),
        chunk(content="a"),
        chunk(content="b"),
        chunk(tool_calls=[{"index": 0, "id": "x", "function": {"name": "f", "arguments": ""}}]),
        chunk(tool_calls=[{"index": 1, "function": {"name": "g", "arguments": "{}"}}]),
        chunk(tool_calls=[{"index": 0, "function": {"arguments": '{"n"'}}]),
        chunk(tool_calls=[{"index": 0, "function": {"arguments": ": 1}"}}]),
        chunk("tool_calls"),
        ChatChunk(),
    ]
    events = [event for piece in pieces for event in assembler.feed(piece)]
    assert events == [
        ReasoningDelta(text="h"),
        TextDelta(text="a"),
        TextDelta(text="b"),
        ToolCallDelta(index=0, id="x", name="f"),
        ToolCallDelta(index=1, id="call_1", name="g", arguments="{}"),
        ToolCallDelta(index=0, arguments='{"n"'),
        ToolCallDelta(index=0, arguments=": 1}"),
    ]
    response = assembler.finish()
    assert response.text == "ab"
    assert [(c.id, c.name, c.arguments) for c in response.tool_calls] == [
        ("x", "f", {"n": 1}),
        ("call_1", "g", {}),
    ]
    assert response.usage is None


def test_a_stream_without_a_finish_reason_is_incomplete() -> None:
    """Text that simply ends is never passed off as an answer."""
    assembler = StreamAssembler(MODEL)
    assembler.feed(chunk(content="a"))
    with pytest.raises(IncompleteStreamError):
        assembler.finish()
