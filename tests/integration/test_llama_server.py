"""Tools and vectors of a real llama.cpp server, over HTTP."""

from __future__ import annotations

import math
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest

from lattice_lock.messages import (
    ChatRequest,
    EmbeddingRequest,
    Message,
    ModelId,
    Role,
    StreamEnd,
    TextPart,
    ToolCall,
    ToolDefinition,
    ToolResult,
)
from wire_server import client_of

if TYPE_CHECKING:
    from collections.abc import Sequence

MODEL = ModelId(provider="local", name="smollm2")
WEATHER = ToolDefinition(
    name="weather",
    description="The weather in a city.",
    parameters={
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["Oslo", "Rome"]}},
        "required": ["city"],
        "additionalProperties": False,
    },
)


def request(*messages: Message, **changes: Any) -> ChatRequest:
    """A short, repeatable request with a tool."""
    fields: dict[str, Any] = {
        "model": MODEL,
        "messages": messages or (Message.user("What is the weather in Oslo?"),),
        "tools": (WEATHER,),
        "tool_choice": "required",
        "max_output_tokens": 8,
        "temperature": 0.0,
        "seed": 1,
    }
    return ChatRequest(**(fields | changes))


@pytest.mark.embedded
async def test_a_real_server_takes_tools(llama_server: str) -> None:
    """Tools, a call and its result are taken, and a streamed answer is that of a whole one.

    The model's own template knows no tools, so that the server neither shows them to it nor forces
    a call: the answer is text, which is what our client has to make of it.
    """
    call = ToolCall(id="call-1", name="weather", raw_arguments='{"city": "Oslo"}')
    result = ToolResult(call_id="call-1", name="weather", content=(TextPart(text="Rain."),))
    asked = request(
        Message.user("What is the weather in Oslo?"),
        Message(role=Role.ASSISTANT, content=(call,)),
        Message.tool(result),
    )
    async with client_of(llama_server, LATTICE_LOCK_LOCAL_API_KEY="local-key") as client:
        response = await client.chat_completion(asked)
        async with aclosing(client.stream(asked)) as stream:
            seen = [item async for item in stream]
    end = seen[-1]
    assert isinstance(end, StreamEnd)
    assert response.text
    assert end.response.message == response.message
    assert response.tool_calls == ()


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """How alike two vectors are."""
    product = sum(a * b for a, b in zip(one, other, strict=True))
    return product / (math.hypot(*one) * math.hypot(*other))


@pytest.mark.embedded
async def test_a_real_server_gives_vectors(llama_embeddings: str) -> None:
    """Equal texts have equal vectors, and others have others, in the order of the texts."""
    asked = EmbeddingRequest(model=MODEL, inputs=("A cat sat.", "Tax law.", "A cat sat."))
    async with client_of(llama_embeddings, LATTICE_LOCK_LOCAL_API_KEY="local-key") as client:
        answered = await client.embed(asked)
    first, other, again = answered.vectors
    assert answered.dimensions == 576
    assert cosine(first, again) > 0.9999
    assert cosine(first, other) < 0.999
    assert answered.usage is not None
    assert answered.usage.input_tokens > 3
