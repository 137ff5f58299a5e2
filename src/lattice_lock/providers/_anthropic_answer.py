"""Answers in Anthropic's Messages format, whole and streamed, as our values.

A streamed answer is put together into the blocks that a whole answer would have had, and both
become our values in one place.

Source: the types of anthropic 2.12.0 and https://platform.claude.com/docs/en/api/messages-streaming
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from lattice_lock.exceptions import IncompleteStreamError, InvalidResponseError
from lattice_lock.messages import (
    UNREADABLE_JSON,
    ChatResponse,
    FinishReason,
    Message,
    OpaquePart,
    ProviderData,
    ReasoningDelta,
    ReasoningPart,
    Role,
    TextDelta,
    TextPart,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from lattice_lock.providers._anthropic_request import json_object, present
from lattice_lock.providers.error_mapping import ErrorFacts, openai_error_facts
from lattice_lock.providers.token_counts import count, whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lattice_lock.messages import ModelId, Part, StreamEvent

__all__ = ["StreamAssembler", "WireEvent", "error_facts", "message_response"]

_JSON = msgspec.json.Decoder()
_BLOCKS = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_TEXT = msgspec.json.Decoder(str)


class _OutputDetails(msgspec.Struct, frozen=True):
    thinking_tokens: int | None = None


class _WireUsage(msgspec.Struct, frozen=True):
    input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    output_tokens: int | None = None
    output_tokens_details: _OutputDetails | None = None


class _Envelope(msgspec.Struct, frozen=True):
    """What an answer says besides its content."""

    model: str | None = None
    stop_reason: str | None = None
    usage: _WireUsage | None = None


class _BlockDelta(msgspec.Struct, frozen=True):
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    signature: str | None = None
    citation: Any = None


class WireEvent(msgspec.Struct, frozen=True):
    """One event of a streamed answer; `error` is set where the stream breaks."""

    type: str
    index: int | None = None
    message: dict[str, Any] | None = None
    content_block: dict[str, msgspec.Raw] | None = None
    delta: msgspec.Raw = msgspec.Raw(b"null")  # immutable
    usage: dict[str, Any] | None = None
    error: Any = None
    request_id: str | None = None


_BLOCK_DELTA = msgspec.json.Decoder(_BlockDelta)
_MESSAGE_DELTA = msgspec.json.Decoder(dict[str, Any] | None)

_FINISH: Mapping[str | None, FinishReason] = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "pause_turn": FinishReason.PAUSED,
    "refusal": FinishReason.REFUSAL,
    "model_context_window_exceeded": FinishReason.CONTEXT_EXCEEDED,
}

_TRANSLATED = {"type", "role", "model", "content", "stop_reason"}


def message_response(model: ModelId, wire: Mapping[str, msgspec.Raw]) -> ChatResponse:
    """A whole answer as our value; what it says besides is kept as provider data.

    Raises:
        InvalidResponseError: it is no message.
    """
    try:
        blocks = _BLOCKS.decode(wire["content"])
        rest = {name: _JSON.decode(value) for name, value in wire.items() if name != "content"}
        content = [part for block in blocks for part in _parts(model, block)]
        return _response(model, rest, content)
    except KeyError as error:
        raise _unreadable(model, f"{error} is missing") from error
    except UNREADABLE_JSON as error:
        raise _unreadable(model, f"{error}") from error


def _response(model: ModelId, rest: dict[str, Any], content: list[Part]) -> ChatResponse:
    envelope = msgspec.convert(rest, _Envelope)
    own = {name: value for name, value in present(rest).items() if name not in _TRANSLATED}
    return ChatResponse(
        model=model,
        message=Message(role=Role.ASSISTANT, content=tuple(content)),
        finish_reason=_FINISH.get(envelope.stop_reason, FinishReason.UNKNOWN),
        raw_finish_reason=envelope.stop_reason,
        served_model=envelope.model,
        usage=None if envelope.usage is None else _usage(envelope.usage),
        provider_data=ProviderData.pack(model.provider, own) if own else None,
    )


def _usage(wire: _WireUsage) -> Usage:
    cached, written = (
        count(wire.cache_read_input_tokens),
        count(wire.cache_creation_input_tokens),
    )
    thought = count((wire.output_tokens_details or _OutputDetails()).thinking_tokens)
    return Usage(
        input_tokens=count(wire.input_tokens) + cached + written,
        cached_input_tokens=cached,
        cache_write_tokens=written,
        output_tokens=whole(count(wire.output_tokens), thought),
        reasoning_tokens=thought,
    )


def _parts(model: ModelId, block: dict[str, msgspec.Raw]) -> Iterator[Part]:
    """The block as our part; one without a neutral meaning is kept byte for byte."""
    kind = _TEXT.decode(block["type"])
    if kind == "text":
        text = _TEXT.decode(block["text"])
        if text:
            yield TextPart(text=text, provider_data=_rest(model, block, "text"))
    elif kind == "thinking":
        text = _TEXT.decode(block["thinking"])
        yield ReasoningPart(text=text, provider_data=_rest(model, block, "thinking"))
    elif kind == "tool_use":
        yield ToolCall(
            id=_TEXT.decode(block["id"]),
            name=_TEXT.decode(block["name"]),
            raw_arguments=bytes(block["input"]).decode(),
            provider_data=_rest(model, block, "id", "name", "input"),
        )
    else:
        data = ProviderData(provider=model.provider, json=msgspec.json.encode(block))
        yield OpaquePart(provider_data=data)


def _rest(model: ModelId, block: dict[str, msgspec.Raw], *translated: str) -> ProviderData | None:
    rest = {
        name: value
        for name, value in block.items()
        if name != "type" and name not in translated and bytes(value) != b"null"
    }
    if not rest:
        return None
    return ProviderData(provider=model.provider, json=msgspec.json.encode(rest))


class StreamAssembler:
    """Puts a streamed answer together, and says what each event adds."""

    def __init__(self, model: ModelId) -> None:
        self._model = model
        self._message: dict[str, Any] = {}
        self._usage: dict[str, Any] = {}
        self._open: dict[int, _OpenBlock] = {}
        self._calls = 0
        self.ended = False

    def feed(self, event: WireEvent) -> list[StreamEvent]:
        """What `event` adds, in order; kinds of events not known yet add nothing.

        Raises:
            InvalidResponseError: the event does not fit what came before.
        """
        try:
            return self._feed(event)
        except KeyError as error:
            raise _unreadable(self._model, f"{error} is missing in `{event.type}`") from error
        except UNREADABLE_JSON as error:
            raise _unreadable(self._model, f"`{event.type}`: {error}") from error

    def _feed(self, event: WireEvent) -> list[StreamEvent]:
        match event.type:
            case "content_block_delta":
                return self._block(event).add(_BLOCK_DELTA.decode(event.delta))
            case "content_block_start":
                return self._start(event)
            case "content_block_stop":
                return self._block(event).stop()
            case "message_start" | "message_delta":
                self._describe(event.message or _MESSAGE_DELTA.decode(event.delta) or {})
                self._describe({"usage": event.usage})
            case "message_stop":
                self.ended = True
        return []

    def _describe(self, fields: dict[str, Any]) -> None:
        # Counts are running totals, so later ones replace earlier ones.
        self._usage |= present(fields.get("usage") or {})
        self._message |= present(fields)

    def _start(self, event: WireEvent) -> list[StreamEvent]:
        fields = event.content_block
        if fields is None or event.index is None:
            raise _unreadable(self._model, "a block begins without content or index")
        kind = _TEXT.decode(fields["type"])
        block = self._open[event.index] = _OpenBlock(kind, fields, call=self._calls)
        if kind != "tool_use":
            return block.begin()
        self._calls += 1
        id_, name = _TEXT.decode(fields["id"]), _TEXT.decode(fields["name"])
        return [ToolCallDelta(index=block.call, id=id_, name=name)]

    def _block(self, event: WireEvent) -> _OpenBlock:
        block = None if event.index is None else self._open.get(event.index)
        if block is None:
            raise _unreadable(self._model, f"block {event.index} was never begun")
        return block

    def finish(self) -> ChatResponse:
        """The whole answer.

        Raises:
            IncompleteStreamError: the stream did not say why the model stopped.
            InvalidResponseError: what came is no message.
        """
        if "stop_reason" not in self._message:
            raise IncompleteStreamError(
                "The stream ended without a stop reason; the text may be cut off.",
                provider=self._model.provider,
                model=self._model.name,
            )
        try:
            blocks = [block.whole() for _, block in sorted(self._open.items())]
            content = [part for block in blocks for part in _parts(self._model, block)]
            return _response(self._model, self._message | {"usage": self._usage or None}, content)
        except KeyError as error:
            raise _unreadable(self._model, f"{error} is missing") from error
        except UNREADABLE_JSON as error:
            raise _unreadable(self._model, f"{error}") from error


class _OpenBlock:
    """A block while it comes: the fields it began with, and the pieces added to them."""

    __slots__ = ("_citations", "_fields", "_input", "_kind", "_texts", "call")

    def __init__(self, kind: str, fields: dict[str, msgspec.Raw], *, call: int) -> None:
        self._kind = kind
        self._fields = fields
        self._texts: dict[str, list[str]] = {}
        self._input: list[str] = []
        self._citations: list[Any] = []
        self.call = call

    def begin(self) -> list[StreamEvent]:
        """What is there before the first piece; most often an empty text."""
        if self._kind not in {"text", "thinking"}:
            return []
        begun = _TEXT.decode(self._fields[self._kind])
        return self.add(_BlockDelta(**{self._kind: begun}))

    def add(self, delta: _BlockDelta) -> list[StreamEvent]:
        """What one piece adds."""
        events: list[StreamEvent] = []
        if delta.text:
            self._texts.setdefault("text", []).append(delta.text)
            if self._kind == "text":
                events.append(TextDelta(text=delta.text))
        if delta.thinking:
            self._texts.setdefault("thinking", []).append(delta.thinking)
            if self._kind == "thinking":
                events.append(ReasoningDelta(text=delta.thinking))
        if delta.partial_json:
            self._input.append(delta.partial_json)
            if self._kind == "tool_use":
                events.append(ToolCallDelta(index=self.call, arguments=delta.partial_json))
        if delta.signature:
            self._fields["signature"] = msgspec.Raw(msgspec.json.encode(delta.signature))
        if delta.citation is not None:
            self._citations.append(delta.citation)
        return events

    def stop(self) -> list[StreamEvent]:
        """What the end adds: the input that a call began with, where no piece came after it."""
        if self._kind != "tool_use" or self._input:
            return []
        self._input.append(bytes(self._fields["input"]).decode())
        return [ToolCallDelta(index=self.call, arguments=self._input[0])]

    def whole(self) -> dict[str, msgspec.Raw]:
        """The block as a whole answer would have had it."""
        fields = dict(self._fields)
        for name, pieces in self._texts.items():
            begun = "" if name == self._kind else _TEXT.decode(fields.get(name, b'""'))
            fields[name] = msgspec.Raw(msgspec.json.encode(begun + "".join(pieces)))
        if self._citations:
            begun_with = _JSON.decode(fields.get("citations", b"null")) or []
            fields["citations"] = msgspec.Raw(msgspec.json.encode(begun_with + self._citations))
        if self._input and self._kind == "tool_use":
            fields["input"] = msgspec.Raw("".join(self._input).encode())
        elif self._input:
            fields["input"] = msgspec.Raw(msgspec.json.encode(json_object("".join(self._input))))
        return fields


def error_facts(body: object) -> ErrorFacts | None:
    """What a decoded error body says: `{"type": "error", "error": {...}, "request_id"}`.

    `details.error_code` is more specific than `type` and comes before it.
    """
    facts = openai_error_facts(body)
    if facts is None or not isinstance(body, dict):
        return facts
    error, request_id = body.get("error"), body.get("request_id")
    details = error.get("details") if isinstance(error, dict) else None
    code = details.get("error_code") if isinstance(details, dict) else None
    return msgspec.structs.replace(
        facts,
        codes=(code, *facts.codes) if isinstance(code, str) else facts.codes,
        request_id=request_id if isinstance(request_id, str) else None,
    )


def _unreadable(model: ModelId, what: str) -> InvalidResponseError:
    return InvalidResponseError(
        f"The answer is not in the Messages format: {what}.",
        provider=model.provider,
        model=model.name,
    )
