"""Our values to the Responses format and back, nothing lost on the way."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice_lock.exceptions import InvalidRequestError
from lattice_lock.messages import (
    ChatRequest,
    FilePart,
    ImagePart,
    Message,
    ModelId,
    OpaquePart,
    ProviderData,
    ReasoningEffort,
    ReasoningPart,
    Role,
    TextPart,
    ToolCall,
    ToolResult,
)
from lattice_lock.providers.responses import ResponsesDialect, responses_body
from lattice_lock.providers.responses_answer import WireResponse, responses_answer

MODEL = ModelId(provider="openai", name="gpt-6.1-sol")
PLAIN = ResponsesDialect()
_IMAGE = ImagePart(data=b"x", media_type="image/png")

_TEXTS = st.text(max_size=8)
_IDS = st.uuids().map(str)
_MORE = st.dictionaries(
    st.sampled_from(["phase", "status", "namespace", "x"]), st.none() | st.integers(0, 9) | _TEXTS
)
_PIECES = st.builds(
    lambda text, more: {"type": "output_text", "text": text, "annotations": []} | more,
    _TEXTS,
    st.just({}) | st.just({"logprobs": [{"token": "a", "logprob": -0.5, "bytes": [97]}]}),
) | st.builds(lambda text: {"type": "refusal", "refusal": text}, _TEXTS)
_ITEMS = st.one_of(
    st.builds(
        lambda name, more, pieces: (
            more | {"type": "message", "id": name, "role": "assistant", "content": pieces}
        ),
        _IDS,
        _MORE,
        st.lists(_PIECES | st.just({"type": "hologram", "deep": [1, None]}), max_size=3),
    ),
    st.builds(
        lambda name, more, text: (
            more | {"type": "function_call", "call_id": name, "name": "f", "arguments": text}
        ),
        _IDS,
        _MORE,
        _TEXTS,
    ),
    st.builds(
        lambda name, texts, more: (
            {
                "type": "reasoning",
                "id": name,
                "summary": [{"type": "summary_text", "text": text} for text in texts],
            }
            | more
        ),
        _IDS,
        st.lists(_TEXTS, max_size=2),
        st.just({}) | st.just({"encrypted_content": "gAA="}) | st.just({"content": None}),
    ),
    st.builds(lambda name: {"type": "compaction", "id": name, "z": [{}]}, _IDS),
)


def body(*messages: Message, dialect: ResponsesDialect = PLAIN, **options: Any) -> dict[str, Any]:
    """The body for a conversation, as the other side reads it."""
    request = ChatRequest(model=MODEL, messages=messages or (Message.user("Hi"),), **options)
    sent = msgspec.json.encode(responses_body(request, dialect, stream=False))
    decoded: dict[str, Any] = json.loads(sent)
    return decoded


def answer(*items: dict[str, Any]) -> Message:
    """The message that an answer with these items is."""
    wire = json.dumps({"status": "completed", "output": items})
    return responses_answer(MODEL, msgspec.json.decode(wire, type=WireResponse)).message


@given(st.lists(_ITEMS, max_size=5))
def test_every_item_comes_back_as_it_was(items: list[dict[str, Any]]) -> None:
    """Whatever an answer holds, in whatever order, is in the next request at its place."""
    assert body(answer(*items), Message.user("x"))["input"][:-1] == items


def test_a_changed_text_is_what_goes_back() -> None:
    """What was changed in text or arguments since it came, by a policy say, is not undone."""
    item = {"type": "message", "id": "m", "role": "assistant", "status": "completed"}
    call = {"type": "function_call", "id": "f", "call_id": "c", "name": "f", "arguments": "{}"}
    text, made = answer(
        item | {"content": [{"type": "output_text", "text": "secret", "annotations": []}]}, call
    ).content
    changed = Message(
        role=Role.ASSISTANT,
        content=(
            msgspec.structs.replace(text, text="[gone]"),
            msgspec.structs.replace(made, raw_arguments='{"a":1}'),
        ),
    )
    sent = body(changed, Message.user("x"))["input"]
    assert sent[0]["content"][0]["text"] == "[gone]"
    assert sent[1] == call | {"arguments": '{"a":1}'}


def test_reasoning_in_the_open_is_read_too() -> None:
    """A model that shows its thoughts instead of a summary gives reasoning all the same."""
    shown = [{"type": "reasoning_text", "text": "a"}, {"type": "reasoning_text", "text": "b"}]
    (thought,) = answer({"type": "reasoning", "id": "r", "summary": [], "content": shown}).content
    assert isinstance(thought, ReasoningPart)
    assert thought.text == "a\n\nb"


def test_data_of_others_stays_at_home() -> None:
    """Another provider's data, and that of this provider's chat completions, is not sent."""
    foreign = ProviderData.pack("anthropic", {"type": "thinking", "signature": "s"})
    chat = ProviderData.pack("openai", {"reasoning_details": []})
    message = Message(
        role=Role.ASSISTANT,
        content=(
            ReasoningPart(text="hm", provider_data=foreign),
            TextPart(text="a", provider_data=foreign),
            ToolCall(id="c", name="f", raw_arguments="{}", provider_data=chat),
            OpaquePart(provider_data=chat),
        ),
    )
    assert body(message)["input"] == [
        {"role": "assistant", "content": "a"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
    ]


def test_a_question_may_carry_what_only_the_provider_knows() -> None:
    """A cache mark on a text, and a kind of content that we have no words for, are sent."""
    mark = {"prompt_cache_breakpoint": {"mode": "explicit"}}
    sound = {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}
    message = Message(
        role=Role.USER,
        content=(
            TextPart(text="a", provider_data=ProviderData.pack("openai", mark)),
            TextPart(text="b", provider_data=ProviderData.pack("anthropic", mark)),
            OpaquePart(provider_data=ProviderData.pack("openai", sound)),
        ),
    )
    assert body(message)["input"][0]["content"] == [
        {"type": "input_text", "text": "a"} | mark,
        {"type": "input_text", "text": "b"},
        sound,
    ]


@pytest.mark.parametrize("data", [b"{", b"[]", b'{"message": 1, "piece": {}}', b"\xff"])
def test_damaged_provider_data_is_refused(data: bytes) -> None:
    """Provider data that the provider cannot have sent is an error, and not left out."""
    kept = ProviderData(provider="openai/responses", json=data)
    message = Message(role=Role.ASSISTANT, content=(TextPart(text="a", provider_data=kept),))
    with pytest.raises(InvalidRequestError) as caught:
        body(message)
    assert caught.value.parameter == "messages"


@pytest.mark.parametrize(
    "message",
    [
        Message(role=Role.SYSTEM, content=(_IMAGE,)),
        Message(role=Role.ASSISTANT, content=(_IMAGE,)),
        Message(role=Role.TOOL, content=(TextPart(text="x"),)),
        Message(role=Role.SYSTEM, content=(FilePart(name="f", url="https://x"),)),
        Message(role=Role.USER, content=(ToolResult(call_id="c", name="f", content=()),)),
    ],
)
def test_what_the_format_cannot_say_is_refused(message: Message) -> None:
    """A part that would have to be dropped is an error before anything is sent."""
    with pytest.raises(InvalidRequestError) as caught:
        body(message)
    assert caught.value.parameter == "messages"


@pytest.mark.parametrize(
    ("effort", "sent"),
    [
        (None, {"summary": "auto"}),
        (ReasoningEffort.HIGH, {"effort": "high", "summary": "auto"}),
        (ReasoningEffort.NONE, {"effort": "none"}),
    ],
)
def test_a_summary_is_asked_for_where_there_is_reasoning(
    effort: ReasoningEffort | None, sent: dict[str, str]
) -> None:
    """A summary goes with every effort but none."""
    asked = body(dialect=ResponsesDialect(summary="auto"), reasoning_effort=effort)
    assert asked["reasoning"] == sent


def test_a_server_without_labels_gets_none() -> None:
    """Where there is no field for labels they are left out, as the request promises."""
    assert body(metadata={"a": "b"})["metadata"] == {"a": "b"}
    assert "metadata" not in body(dialect=ResponsesDialect(metadata=False), metadata={"a": "b"})
