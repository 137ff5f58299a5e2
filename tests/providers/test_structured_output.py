"""Answers that have to follow a JSON Schema, over a real server."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from lattice_lock.exceptions import InvalidRequestError, InvalidResponseError
from lattice_lock.messages import (
    FinishReason,
    ResponseSchema,
    StreamEnd,
    StreamEvent,
    TextDelta,
    ToolDefinition,
)
from wire_server import answer, ask, client_of, delta, events, serving, whole

if TYPE_CHECKING:
    from lattice_lock.messages import ChatRequest
    from lattice_lock.providers.local import LocalClient

SCHEMA = {
    "type": "object",
    "required": ["items"],
    "properties": {"items": {"type": "array", "items": {"$ref": "#/$defs/item"}}},
    "$defs": {"item": {"type": "object", "properties": {"price": {"minimum": 0}}}},
}
GOOD = '{"items": [{"price": 3}]}'
DONE = "data: [DONE]\n\n"


def wanting(schema: dict[str, Any] = SCHEMA, **changes: Any) -> ChatRequest:
    """A request for JSON that follows `schema`."""
    return ask(response_schema=ResponseSchema(name="order", schema=schema), **changes)


async def collect(client: LocalClient, seen: list[StreamEvent]) -> None:
    """Read a stream to its end into `seen`."""
    async for event in client.stream(wanting()):
        seen.append(event)  # noqa: PERF401  # what came before an error counts


@pytest.mark.parametrize("text", [GOOD, '{"items": []}', ' {"items": [{}], "more": 1}\n'])
async def test_an_answer_that_follows_passes(text: str) -> None:
    """What follows the schema comes back as it was said."""
    async with serving(answer(whole(text))) as server, client_of(server.url) as client:
        assert (await client.chat_completion(wanting())).text == text


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('{"items": [{"price": 1}, {"price": -5}]}', "`$.items[1].price` breaks `minimum`"),
        ('{"items": {"secret": 1}}', "`$.items` breaks `type`"),
        ("{}", "`$` breaks `required`"),
        ('{"items": [', "it is not JSON"),
        ("Here you are: {}", "it is not JSON"),
        ("", "it is not JSON"),
        ('{"items":' + "[" * 100_000 + "]" * 100_000 + "}", "it is nested too deeply"),
    ],
)
async def test_an_answer_that_does_not_is_refused(text: str, what: str) -> None:
    """The error names the path and quotes nothing, and the request is not repeated."""
    step = answer(whole(text), X_Request_Id="req-7")
    async with serving(step) as server, client_of(server.url) as client:
        with pytest.raises(InvalidResponseError) as caught:
            await client.chat_completion(wanting())
    assert caught.value.message == f"The answer does not follow the schema `order`: {what}."
    assert (caught.value.request_id, caught.value.model) == ("req-7", "qwen")
    assert (caught.value.attempt, len(server.requests)) == (1, 1)


async def test_a_stream_is_judged_at_its_end() -> None:
    """Every piece is delivered as it comes; only the end is replaced by the error."""
    pieces = [delta('{"items": '), delta("{}}"), delta(finish="stop"), DONE]
    seen: list[StreamEvent] = []
    async with serving(events(*pieces)) as server, client_of(server.url) as client:
        with pytest.raises(InvalidResponseError, match=r"`\$\.items` breaks `type`"):
            await collect(client, seen)
    assert seen == [TextDelta(text='{"items": '), TextDelta(text="{}}")]


async def test_a_stream_that_follows_ends_well() -> None:
    """The last event of a good stream is the answer."""
    pieces = [delta(GOOD[:9]), delta(GOOD[9:]), delta(finish="stop"), DONE]
    async with serving(events(*pieces)) as server, client_of(server.url) as client:
        seen = [event async for event in client.stream(wanting())]
    assert isinstance(seen[-1], StreamEnd)
    assert seen[-1].response.text == GOOD


@pytest.mark.parametrize("reason", [FinishReason.LENGTH, FinishReason.CONTENT_FILTER])
async def test_an_answer_that_says_it_is_unfinished_passes(reason: FinishReason) -> None:
    """What was cut off says so itself and is not called a broken format."""
    body = whole('{"items"')
    body["choices"][0]["finish_reason"] = reason.value
    async with serving(answer(body)) as server, client_of(server.url) as client:
        assert (await client.chat_completion(wanting())).finish_reason is reason


async def test_a_tool_call_is_no_answer_yet() -> None:
    """A model that calls a tool first has not answered, whatever it says besides."""
    body = whole("")
    call = {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    body["choices"][0]["message"]["tool_calls"] = [call]
    tools = (ToolDefinition(name="look", parameters={"type": "object"}),)
    async with serving(answer(body)) as server, client_of(server.url) as client:
        assert (await client.chat_completion(wanting(tools=tools))).tool_calls[0].name == "look"


async def test_a_bad_schema_is_never_sent() -> None:
    """What is no JSON Schema is refused before the call."""
    async with serving(answer(whole("{}"))) as server, client_of(server.url) as client:
        with pytest.raises(InvalidRequestError, match=r"`\$\.type` breaks") as caught:
            await client.chat_completion(wanting({"type": "no such type"}))
    assert (caught.value.parameter, server.requests) == ("response_schema", [])


async def test_references_are_never_fetched() -> None:
    """A schema that refers to an address is refused, and nobody asks that address."""
    async with serving(answer({})) as other, serving(answer(whole("{}"))) as server:
        async with client_of(server.url) as client:
            with pytest.raises(InvalidRequestError, match="is not in it") as caught:
                await client.chat_completion(wanting({"$ref": f"{other.url}/schema"}))
        assert caught.value.parameter == "response_schema"
        assert other.requests == []


def test_only_such_calls_import_the_validator() -> None:
    """Importing a provider and a client of it loads no JSON Schema library."""
    code = (
        "import json, sys, lattice_lock.providers.local, lattice_lock.bootstrap\n"
        "print(json.dumps([m for m in ('jsonschema', 'referencing') if m in sys.modules]))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert json.loads(ran.stdout) == []
