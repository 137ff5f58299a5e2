"""Answers of every provider with a text of one's own in every place that a model can write to."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from struct import unpack
from typing import TYPE_CHECKING, Any

import anthropic_wire
import bedrock_wire
import google_wire
import openai_wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from every_provider import Case


@dataclass(frozen=True, kw_only=True)
class Planted:
    """What an answer is to say.

    Attributes:
        texts: its blocks of text, one after the other.
        thoughts: what it reasons before, block by block.
        arguments: JSON object that a tool is called with, as the model writes it.
        cut: characters of each piece of a stream.
    """

    texts: tuple[str, ...] = ("Fine.",)
    thoughts: tuple[str, ...] = ("Hm.",)
    arguments: str = '{"city": "Oslo"}'
    cut: int = 5

    def pieces(self, text: str) -> list[str]:
        """`text` as a stream cuts it."""
        return [text[at : at + self.cut] for at in range(0, len(text), self.cut)]


def body(case: Case, planted: Planted) -> dict[str, Any]:
    """The whole answer of the provider."""
    made: dict[str, Any] = _FAMILIES[_family(case)][0](planted)
    return made


def events(case: Case, planted: Planted) -> list[bytes]:
    """The events of the same answer as a stream."""
    made: list[bytes] = _FAMILIES[_family(case)][1](planted)
    return made


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where the texts of a JSON value stand."""
    if isinstance(value, str):
        yield path
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from leaves(item, (*path, index))


def replaced(value: Any, path: tuple[Any, ...], text: str) -> Any:
    """A copy of `value` with another text at `path`."""
    made = inner = copy.deepcopy(value)
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = text
    return made


def taken_apart(case: Case, event: bytes) -> tuple[Any, Callable[[Any], bytes]] | None:
    """The JSON of an event, and what makes an event of JSON; None of an event without."""
    if case.provider == "bedrock":
        _, size = unpack(">II", event[:8])
        headers, at = {}, 12
        while at < 12 + size:
            name = event[at + 1 : at + 1 + event[at]].decode()
            at += 2 + event[at]
            (length,) = unpack(">H", event[at : at + 2])
            headers[name] = event[at + 2 : at + 2 + length].decode()
            at += 2 + length
        value = json.loads(event[12 + size : -4])
        return value, lambda other: bedrock_wire.frame(headers, json.dumps(other).encode())
    head, mark, rest = event.partition(b"data: ")
    if not mark or not rest.startswith(b"{"):
        return None
    return json.loads(rest), lambda other: head + mark + json.dumps(other).encode() + b"\r\n\r\n"


def _family(case: Case) -> str:
    shape = json.loads(case.body)
    if isinstance(shape.get("output"), list):
        return "responses"
    (key,) = shape.keys() & _FAMILIES.keys()
    return str(key)


def _chat(planted: Planted) -> dict[str, Any]:
    made = openai_wire.payload("openai/chat")
    message = made["choices"][0]["message"]
    message["content"] = "".join(planted.texts)
    message["reasoning_content"] = "".join(planted.thoughts)
    message["tool_calls"][0]["function"]["arguments"] = planted.arguments
    return made


def _chat_events(planted: Planted) -> list[bytes]:
    whole = _chat(planted)
    (call,) = whole["choices"][0]["message"]["tool_calls"]
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"reasoning_content": one} for one in planted.pieces("".join(planted.thoughts))]
    deltas += [{"content": one} for text in planted.texts for one in planted.pieces(text)]
    deltas.append({"tool_calls": [call | {"index": 0, "function": {"name": "weather"}}]})
    deltas += [
        {"tool_calls": [{"index": 0, "function": {"arguments": one}}]}
        for one in planted.pieces(planted.arguments)
    ]
    head = {key: whole[key] for key in ("id", "created", "model")}
    head |= {"object": "chat.completion.chunk"}
    finish: list[tuple[dict[str, Any], str | None]] = [(delta, None) for delta in deltas] + [
        ({}, "tool_calls")
    ]
    chunks = [
        head | {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}
        for delta, reason in finish
    ]
    chunks.append(head | {"choices": [], "usage": whole["usage"]})
    return [*_sse(chunks), b"data: [DONE]\n\n"]


def _responses(planted: Planted) -> dict[str, Any]:
    made = openai_wire.payload("openai/tools")
    reasoning, message, call, _ = made["output"]
    reasoning["summary"] = [{"type": "summary_text", "text": one} for one in planted.thoughts]
    message["content"] = [
        {"type": "output_text", "text": text, "annotations": []} for text in planted.texts
    ]
    call["arguments"] = planted.arguments
    made["output"] = [reasoning, message, call]
    return made


def _responses_events(planted: Planted) -> list[bytes]:
    return _sse(openai_wire.streamed(_responses(planted), cut=planted.cut))


def _anthropic(planted: Planted) -> dict[str, Any]:
    made = anthropic_wire.payload("tools")
    thinking, _, call, _ = made["content"]
    thoughts = [thinking | {"thinking": one} for one in planted.thoughts]
    texts = [{"type": "text", "text": text} for text in planted.texts]
    call["input"] = json.loads(planted.arguments)
    made["content"] = [*thoughts, *texts, call]
    return made


def _anthropic_events(planted: Planted) -> list[bytes]:
    whole = _anthropic(planted)
    whole["content"][-1]["input"] = {}
    found = anthropic_wire.streamed(whole, cut=planted.cut)
    index = len(whole["content"]) - 1
    at = found.index({"type": "content_block_stop", "index": index})
    found[at:at] = [
        {
            "type": "content_block_delta",
            "index": index,
            "delta": {"type": "input_json_delta", "partial_json": piece},
        }
        for piece in planted.pieces(planted.arguments)
    ]
    return _sse(found, named=True)


def _google(planted: Planted) -> dict[str, Any]:
    made = google_wire.payload("tools")
    parts = made["candidates"][0]["content"]["parts"]
    thought, call, _ = parts
    call["functionCall"]["args"] = json.loads(planted.arguments)
    thoughts = [thought | {"text": one} for one in planted.thoughts]
    parts[:] = [*thoughts, *({"text": text} for text in planted.texts), call]
    return made


def _google_events(planted: Planted) -> list[bytes]:
    return _sse(google_wire.streamed(_google(planted), cut=planted.cut))


def _bedrock(planted: Planted) -> dict[str, Any]:
    made = bedrock_wire.payload("tools")
    content = made["output"]["message"]["content"]
    thought, _, _, call, _ = content
    signed = thought["reasoningContent"]["reasoningText"]
    thoughts = [
        {"reasoningContent": {"reasoningText": signed | {"text": one}}} for one in planted.thoughts
    ]
    call["toolUse"]["input"] = json.loads(planted.arguments)
    content[:] = [*thoughts, *({"text": text} for text in planted.texts), call]
    return made


def _bedrock_events(planted: Planted) -> list[bytes]:
    whole = _bedrock(planted)
    whole["output"]["message"]["content"][-1]["toolUse"]["input"] = {}
    found = bedrock_wire.streamed(whole, cut=planted.cut)
    index = len(whole["output"]["message"]["content"]) - 1
    found[-3:-3] = [
        bedrock_wire.event(
            "contentBlockDelta", contentBlockIndex=index, delta={"toolUse": {"input": piece}}
        )
        for piece in planted.pieces(planted.arguments)
    ]
    return found


def _sse(values: list[dict[str, Any]], *, named: bool = False) -> list[bytes]:
    return [
        (f"event: {value['type']}\n" if named else "").encode()
        + f"data: {json.dumps(value)}\n\n".encode()
        for value in values
    ]


_FAMILIES: dict[str, tuple[Callable[[Planted], Any], Callable[[Planted], Any]]] = {
    "responses": (_responses, _responses_events),
    "choices": (_chat, _chat_events),
    "candidates": (_google, _google_events),
    "content": (_anthropic, _anthropic_events),
    "output": (_bedrock, _bedrock_events),
}
