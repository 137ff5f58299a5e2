"""What goes to a model and what comes back."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice_lock.exceptions import InvalidRequestError, UsageError
from lattice_lock.messages import (
    ChatRequest,
    ChatResponse,
    FinishReason,
    ImagePart,
    Message,
    ModelId,
    NamedTool,
    OpaquePart,
    ProviderData,
    ReasoningPart,
    Role,
    TextPart,
    ToolCall,
    ToolDefinition,
    ToolResult,
    Usage,
)

MODEL = ModelId(provider="local", name="qwen")
TOOL = ToolDefinition(name="look", parameters={"type": "object"})


def request(**changes: Any) -> ChatRequest:
    """A small valid request with `changes`."""
    fields: dict[str, Any] = {"model": MODEL, "messages": (Message.user("Hi"),)}
    return ChatRequest(**(fields | changes))


@pytest.mark.parametrize(
    ("text", "provider", "name"),
    [
        ("local/qwen3:0.6b", "local", "qwen3:0.6b"),
        ("openrouter/meta-llama/llama-4", "openrouter", "meta-llama/llama-4"),
        ("embedded/smollm2-135m-instruct", "embedded", "smollm2-135m-instruct"),
    ],
)
def test_a_model_id_is_divided_at_its_first_slash(text: str, provider: str, name: str) -> None:
    """The provider ends at the first slash, and `str` gives the text back."""
    model = ModelId.parse(text)
    assert (model.provider, model.name, str(model)) == (provider, name, text)


@pytest.mark.parametrize(
    "text", ["qwen", "", "/qwen", "local/", "Local/qwen", "local/a\nb", "l/ x"]
)
def test_a_text_without_provider_or_name_is_no_model_id(text: str) -> None:
    """What is not `provider/name` is refused with the form to write."""
    with pytest.raises(UsageError, match=r"provider/name"):
        ModelId.parse(text)


def test_model_ids_are_values() -> None:
    """Equal ids are one dictionary key."""
    assert {ModelId.parse("local/a"): 1}[ModelId(provider="local", name="a")] == 1


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("messages", ()),
        ("max_output_tokens", 0),
        ("temperature", -0.1),
        ("temperature", float("nan")),
        ("temperature", float("inf")),
        ("top_p", 0.0),
        ("top_p", 1.1),
        ("timeout_s", 0.0),
        ("timeout_s", float("inf")),
        ("timeout_s", float("nan")),
        ("stop", ("END", "")),
        ("tools", (TOOL, TOOL)),
        ("tool_choice", NamedTool(name="look")),
        ("tool_choice", "required"),
    ],
)
def test_a_value_outside_its_range_is_refused_by_name(parameter: str, value: object) -> None:
    """A request that no provider could serve is never built, and the error names the parameter."""
    with pytest.raises(InvalidRequestError) as caught:
        request(**{parameter: value})
    assert caught.value.parameter == parameter
    assert (caught.value.provider, caught.value.model) == ("local", "qwen")


def test_a_copy_of_a_request_is_checked_too() -> None:
    """`msgspec.structs.replace` cannot smuggle in what the constructor refuses."""
    with pytest.raises(InvalidRequestError):
        msgspec.structs.replace(request(), timeout_s=-1.0)


def test_requests_are_immutable() -> None:
    """Nobody can change a request that another coroutine is sending."""
    with pytest.raises(AttributeError):
        request().temperature = 1.0  # type: ignore[misc]  # that is the point


def test_text_is_the_text_parts_only() -> None:
    """Reasoning and tool calls are no part of the visible text."""
    call = ToolCall(id="1", name="look", raw_arguments="{}")
    message = Message(
        role=Role.ASSISTANT,
        content=(ReasoningPart(text="hm"), TextPart(text="a"), call, TextPart(text="b")),
    )
    response = ChatResponse(model=MODEL, message=message, finish_reason=FinishReason.TOOL_CALLS)
    assert (response.text, response.tool_calls) == ("ab", (call,))
    assert response.cost_usd is None


@pytest.mark.parametrize(
    ("raw", "arguments"),
    [('{"a": 1}', {"a": 1}), ("", None), ("[1]", None), ('{"a": ', None), ("null", None)],
)
def test_arguments_that_are_no_object_are_none(raw: str, arguments: object) -> None:
    """A model's bad JSON is a value to look at, not an exception; its text is kept."""
    call = ToolCall(id="1", name="look", raw_arguments=raw)
    assert (call.arguments, call.raw_arguments) == (arguments, raw)


@pytest.mark.parametrize(
    "source", [{}, {"data": b"x"}, {"data": b"x", "media_type": "image/png", "url": "https://x"}]
)
def test_an_image_has_one_source(source: dict[str, Any]) -> None:
    """An image without a source, with two, or without a media type is refused."""
    with pytest.raises(UsageError):
        ImagePart(**source)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(value=_JSON)
def test_provider_data_comes_back_as_it_was(value: object) -> None:
    """Packing and unpacking changes nothing, and packing again gives the same bytes."""
    packed = ProviderData.pack("anthropic", value)
    assert packed.unpack() == value
    assert ProviderData.pack("anthropic", packed.unpack()) == packed


def test_a_conversation_survives_json() -> None:
    """Every kind of part comes back from its own JSON as the value it was."""
    data = ProviderData.pack("anthropic", {"signature": "c2ln"})
    answer = ToolResult(call_id="1", name="look", content=(TextPart(text="42"),), is_error=True)
    message = Message(
        role=Role.TOOL,
        content=(
            TextPart(text="a", provider_data=data),
            ImagePart(data=b"\x00\xff", media_type="image/png"),
            ReasoningPart(text="r", provider_data=data),
            ToolCall(id="1", name="look", raw_arguments="{"),
            answer,
            OpaquePart(provider_data=data),
        ),
    )
    whole = request(messages=(message,), tools=(TOOL,), tool_choice=NamedTool(name="look"))
    assert msgspec.json.decode(msgspec.json.encode(whole), type=ChatRequest) == whole


_COUNT = st.integers(0, 10**9)


@given(parts=st.tuples(_COUNT, _COUNT, _COUNT, _COUNT, _COUNT), more=_COUNT)
def test_usage_splits_into_disjoint_classes(
    parts: tuple[int, int, int, int, int], more: int
) -> None:
    """The disjoint classes add up to the inclusive totals, for a sum of usages too."""
    fresh, cached, written, visible, reasoning = parts
    usage = Usage(
        input_tokens=fresh + cached + written,
        cached_input_tokens=cached,
        cache_write_tokens=written,
        output_tokens=visible + reasoning,
        reasoning_tokens=reasoning,
    )
    assert (usage.fresh_input_tokens, usage.visible_output_tokens) == (fresh, visible)
    assert usage.total_tokens == sum(parts)
    both = usage + Usage(input_tokens=more, output_tokens=more)
    assert both.total_tokens == usage.total_tokens + 2 * more
    assert both.fresh_input_tokens == fresh + more


def test_cost_is_decimal_and_unknown_is_not_zero() -> None:
    """A known free call and a call of unknown price can be told apart."""
    response = ChatResponse(
        model=MODEL, message=Message.assistant("x"), finish_reason=FinishReason.STOP
    )
    free = msgspec.structs.replace(response, cost_usd=Decimal(0))
    assert free != response


def test_messages_and_settings_import_nothing_heavy() -> None:
    """The values of the call path need neither pydantic nor an HTTP parser."""
    code = (
        "import sys, lattice_lock.messages, lattice_lock.settings;"
        "print([m for m in ('pydantic', 'httptools', 'dotenv') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
