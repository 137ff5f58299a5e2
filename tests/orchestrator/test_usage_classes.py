"""Tokens come in five classes that are disjoint and add up, whatever a provider counts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice_lock.messages import EmbeddingRequest, ModelId, Usage
from lattice_lock.providers._anthropic_answer import (
    StreamAssembler as AnthropicAssembler,
)
from lattice_lock.providers._anthropic_answer import WireEvent, message_response
from lattice_lock.providers._bedrock_answer import converse_response
from lattice_lock.providers._google_answer import GenerateAssembler
from lattice_lock.providers.chat_completions import (
    ChatChunk,
    ChatCompletion,
    StreamAssembler,
    chat_response,
)
from lattice_lock.providers.embeddings import EmbeddingList, embedding_response
from lattice_lock.providers.responses_answer import WireResponse, responses_answer

if TYPE_CHECKING:
    from collections.abc import Callable

Wire: TypeAlias = dict[str, Any]
MODEL = ModelId(provider="some", name="model")
# Vendors leave counts out, send null, and are now and then wrong; small numbers collide most.
COUNTS = st.none() | st.integers(-2, 6) | st.integers(0, 2**40)


def raw(body: Wire) -> dict[str, msgspec.Raw]:
    """`body` as it comes from the wire, its values not decoded yet."""
    return msgspec.json.decode(json.dumps(body), type=dict[str, msgspec.Raw])


def object_of(*names: str, **inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Wire]:
    """Objects in which each of `names` is a count or absent, as each of `inner` may be."""
    counts: dict[str, st.SearchStrategy[Any]] = dict.fromkeys(names, COUNTS)
    return st.fixed_dictionaries({}, optional=counts | inner)


def chat(usage: Wire) -> Usage | None:
    """Through a whole chat completion, as OpenAI, xAI, DIAL, local servers and all rows send it."""
    choice = {"message": {"content": "Hi"}, "finish_reason": "stop"}
    wire = msgspec.convert({"choices": [choice], "usage": usage}, ChatCompletion)
    return chat_response(MODEL, wire).usage


def chat_stream(usage: Wire) -> Usage | None:
    """Through a streamed chat completion, which is also what embedded models give."""
    assembler = StreamAssembler(MODEL)
    choice = {"delta": {"content": "Hi"}, "finish_reason": "stop"}
    assembler.feed(msgspec.convert({"choices": [choice]}, ChatChunk))
    assembler.feed(msgspec.convert({"choices": [], "usage": usage}, ChatChunk))
    return assembler.finish().usage


def responses(usage: Wire) -> Usage | None:
    """Through an answer of OpenAI's Responses."""
    wire = msgspec.convert({"status": "completed", "output": [], "usage": usage}, WireResponse)
    return responses_answer(MODEL, wire).usage


def anthropic(usage: Wire) -> Usage | None:
    """Through a whole message."""
    body = {"content": [], "stop_reason": "end_turn", "usage": usage}
    return message_response(MODEL, raw(body)).usage


def anthropic_stream(usage: Wire) -> Usage | None:
    """Through a stream that counts as it goes: once at its start and once at its end."""
    assembler = AnthropicAssembler(MODEL)
    begun: Wire = {"usage": {"input_tokens": 3, "output_tokens": 1}}
    assembler.feed(WireEvent(type="message_start", message=begun))
    delta = msgspec.Raw(b'{"stop_reason": "end_turn"}')
    assembler.feed(WireEvent(type="message_delta", delta=delta, usage=usage))
    return assembler.finish().usage


def google(usage: Wire) -> Usage | None:
    """Through an answer of `generateContent`."""
    assembler = GenerateAssembler(MODEL)
    candidate = {"content": {"parts": [{"text": "Hi"}]}, "finishReason": "STOP"}
    assembler.feed(raw({"candidates": [candidate], "usageMetadata": usage}))
    return assembler.finish().usage


def bedrock(usage: Wire) -> Usage | None:
    """Through an answer of Converse."""
    message: Wire = {"message": {"content": []}}
    return converse_response(
        MODEL, raw({"output": message, "stopReason": "end_turn", "usage": usage})
    ).usage


def embedding(usage: Wire) -> Usage | None:
    """Through a list of vectors."""
    body: Wire = {"data": [{"index": 0, "embedding": [1.0]}], "usage": usage}
    wire = msgspec.convert(body, EmbeddingList)
    return embedding_response(EmbeddingRequest(model=MODEL, inputs=("x",)), wire).usage


_CHAT = object_of(
    *("prompt_tokens", "completion_tokens", "total_tokens"),
    prompt_tokens_details=st.none() | object_of("cached_tokens", "cache_write_tokens"),
    completion_tokens_details=st.none() | object_of("reasoning_tokens"),
)
_RESPONSES = object_of(
    *("input_tokens", "output_tokens", "total_tokens"),
    input_tokens_details=st.none() | object_of("cached_tokens", "cache_write_tokens"),
    output_tokens_details=st.none() | object_of("reasoning_tokens"),
)
_ANTHROPIC = object_of(
    *("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens"),
    output_tokens_details=st.none() | object_of("thinking_tokens"),
)
_GOOGLE = object_of(
    *("promptTokenCount", "toolUsePromptTokenCount", "cachedContentTokenCount"),
    *("candidatesTokenCount", "thoughtsTokenCount", "totalTokenCount"),
)
_BEDROCK = object_of(
    *("inputTokens", "outputTokens", "totalTokens", "cacheReadInputTokens"),
    "cacheWriteInputTokens",
)
_EMBEDDING = st.fixed_dictionaries({"prompt_tokens": st.integers(-2, 6) | st.integers(0, 2**40)})

PARSERS: dict[str, tuple[Callable[[Wire], Usage | None], st.SearchStrategy[Wire]]] = {
    "chat": (chat, _CHAT),
    "chat stream": (chat_stream, _CHAT),
    "responses": (responses, _RESPONSES),
    "anthropic": (anthropic, _ANTHROPIC),
    "anthropic stream": (anthropic_stream, _ANTHROPIC),
    "google": (google, _GOOGLE),
    "bedrock": (bedrock, _BEDROCK),
    "embeddings": (embedding, _EMBEDDING),
}


@pytest.mark.parametrize("name", PARSERS)
@given(data=st.data())
def test_classes_are_disjoint_and_add_up(name: str, data: st.DataObject) -> None:
    """Parts equal their wholes and none is negative, also where the vendor's numbers disagree."""
    parse, usages = PARSERS[name]
    usage = parse(data.draw(usages))
    assert usage is not None
    classes = (
        usage.fresh_input_tokens,
        usage.cached_input_tokens,
        usage.cache_write_tokens,
        usage.visible_output_tokens,
        usage.reasoning_tokens,
    )
    assert min(classes) >= 0
    assert sum(classes[:3]) == usage.input_tokens
    assert sum(classes[3:]) == usage.output_tokens
    assert sum(classes) == usage.total_tokens


@pytest.mark.parametrize(
    ("parse", "wire", "expected"),
    [
        (
            chat,
            {"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 4}},
            Usage(input_tokens=10, cached_input_tokens=4),
        ),
        (
            chat,  # counted beside, or the part would not fit
            {"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 40}},
            Usage(input_tokens=50, cached_input_tokens=40),
        ),
        (
            responses,
            {"output_tokens": 3, "output_tokens_details": {"reasoning_tokens": 7}},
            Usage(output_tokens=10, reasoning_tokens=7),
        ),
        (
            chat,  # as xAI counts
            {
                "prompt_tokens": 1,
                "completion_tokens": 9,
                "total_tokens": 17,
                "completion_tokens_details": {"reasoning_tokens": 7},
            },
            Usage(input_tokens=1, output_tokens=16, reasoning_tokens=7),
        ),
        (
            anthropic,  # what is cached stands beside the input
            {"input_tokens": 1, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 2},
            Usage(input_tokens=8, cached_input_tokens=5, cache_write_tokens=2),
        ),
        (
            anthropic,
            {"output_tokens": 9, "output_tokens_details": {"thinking_tokens": 7}},
            Usage(output_tokens=9, reasoning_tokens=7),
        ),
        (
            google,  # thoughts stand beside the answer
            {"promptTokenCount": 3, "candidatesTokenCount": 2, "thoughtsTokenCount": 7},
            Usage(input_tokens=3, output_tokens=9, reasoning_tokens=7),
        ),
        (
            bedrock,
            {"inputTokens": 1, "outputTokens": 2, "cacheReadInputTokens": 5},
            Usage(input_tokens=6, output_tokens=2, cached_input_tokens=5),
        ),
    ],
)
def test_no_token_is_lost_or_counted_twice(
    parse: Callable[[Wire], Usage], wire: Wire, expected: Usage
) -> None:
    """Each vendor's way of counting is known, and what it counts beside is added."""
    assert parse(wire) == expected
