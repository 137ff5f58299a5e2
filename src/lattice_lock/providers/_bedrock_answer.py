"""Answers in the format of Bedrock's Converse, whole and streamed, as our values.

A streamed answer is put together into the blocks that a whole answer would have had, and both
become our values in one place.

Source: botocore's service model `bedrock-runtime` 2023-09-30 (botocore 1.44.5).
"""

from __future__ import annotations

from base64 import b64encode
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
from lattice_lock.providers._bedrock_request import json_object, present
from lattice_lock.providers.error_mapping import ErrorFacts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lattice_lock.messages import ModelId, Part, StreamEvent

__all__ = ["StreamAssembler", "converse_response", "error_facts"]

_JSON = msgspec.json.Decoder()
_RAW = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TEXT = msgspec.json.Decoder(str)


class _Message(msgspec.Struct, frozen=True):
    content: list[dict[str, msgspec.Raw]]


class _Output(msgspec.Struct, frozen=True):
    message: _Message


class _WireUsage(msgspec.Struct, frozen=True, rename="camel"):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_write_input_tokens: int | None = None


class _PromptRouter(msgspec.Struct, frozen=True, rename="camel"):
    invoked_model_id: str | None = None


class _Trace(msgspec.Struct, frozen=True, rename="camel"):
    prompt_router: _PromptRouter | None = None


class _Envelope(msgspec.Struct, frozen=True, rename="camel"):
    """What an answer says besides its content."""

    stop_reason: str
    usage: _WireUsage | None = None
    trace: _Trace | None = None


class _ToolUse(msgspec.Struct, frozen=True, rename="camel"):
    tool_use_id: str
    name: str
    input: msgspec.Raw


class _ReasoningText(msgspec.Struct, frozen=True):
    text: str
    signature: str | None = None


class _Cited(msgspec.Struct, frozen=True):
    text: str = ""


class _Citations(msgspec.Struct, frozen=True):
    content: list[_Cited] = []


class _BlockStart(msgspec.Struct, frozen=True, rename="camel"):
    content_block_index: int
    start: dict[str, dict[str, Any]]


class _ToolDelta(msgspec.Struct, frozen=True):
    input: str


class _ReasoningDelta(msgspec.Struct, frozen=True, rename="camel"):
    text: str | None = None
    signature: str | None = None
    redacted_content: bytes | None = None


class _Delta(msgspec.Struct, frozen=True, rename="camel"):
    text: str | None = None
    tool_use: _ToolDelta | None = None
    reasoning_content: _ReasoningDelta | None = None
    citation: Any = None
    tool_result: list[Any] | None = None
    image: dict[str, Any] | None = None


class _BlockDelta(msgspec.Struct, frozen=True, rename="camel"):
    content_block_index: int
    delta: _Delta


class _BlockStop(msgspec.Struct, frozen=True, rename="camel"):
    content_block_index: int


_OUTPUT = msgspec.json.Decoder(_Output)
_TOOL_USE = msgspec.json.Decoder(_ToolUse)
_REASONING_TEXT = msgspec.json.Decoder(_ReasoningText)
_CITATIONS = msgspec.json.Decoder(_Citations)
_BLOCK_START = msgspec.json.Decoder(_BlockStart)
_BLOCK_DELTA = msgspec.json.Decoder(_BlockDelta)
_BLOCK_STOP = msgspec.json.Decoder(_BlockStop)
_OBJECT = msgspec.json.Decoder(dict[str, Any])

_FINISH: Mapping[str, FinishReason] = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "guardrail_intervened": FinishReason.CONTENT_FILTER,
    "content_filtered": FinishReason.CONTENT_FILTER,
    "malformed_model_output": FinishReason.ERROR,
    "malformed_tool_use": FinishReason.ERROR,
    "model_context_window_exceeded": FinishReason.CONTEXT_EXCEEDED,
}

# Of the answer's fields, those that have become ours; `p` is padding against eavesdroppers.
_TRANSLATED = {"output", "stopReason", "p"}

# Status of each error as the service model gives it; inside a stream nothing else does.
_STATUS: Mapping[str, int] = {
    "AccessDeniedException": 403,
    "InternalServerException": 500,
    "ModelErrorException": 424,
    "ModelNotReadyException": 429,
    "ModelStreamErrorException": 424,
    "ModelTimeoutException": 408,
    "ResourceNotFoundException": 404,
    "ServiceUnavailableException": 503,
    "ThrottlingException": 429,
    "ValidationException": 400,
}


def converse_response(model: ModelId, wire: Mapping[str, msgspec.Raw]) -> ChatResponse:
    """A whole answer as our value; what it says besides is kept as provider data.

    Raises:
        InvalidResponseError: it is no answer of Converse.
    """
    try:
        blocks = _OUTPUT.decode(wire["output"]).message.content
        rest = {name: _JSON.decode(value) for name, value in wire.items() if name != "output"}
        content = [part for block in blocks for part in _parts(model, block)]
        return _response(model, rest, content)
    except KeyError as error:
        raise _unreadable(model, f"{error} is missing") from error
    except UNREADABLE_JSON as error:
        raise _unreadable(model, f"{error}") from error


def _response(model: ModelId, rest: dict[str, Any], content: list[Part]) -> ChatResponse:
    envelope = msgspec.convert(rest, _Envelope)
    router = None if envelope.trace is None else envelope.trace.prompt_router
    own = {name: value for name, value in present(rest).items() if name not in _TRANSLATED}
    return ChatResponse(
        model=model,
        message=Message(role=Role.ASSISTANT, content=tuple(content)),
        finish_reason=_FINISH.get(envelope.stop_reason, FinishReason.UNKNOWN),
        raw_finish_reason=envelope.stop_reason,
        served_model=None if router is None else router.invoked_model_id,
        usage=None if envelope.usage is None else _usage(envelope.usage),
        provider_data=ProviderData.pack(model.provider, own) if own else None,
    )


def _usage(wire: _WireUsage) -> Usage:
    cached = max(0, wire.cache_read_input_tokens or 0)
    written = max(0, wire.cache_write_input_tokens or 0)
    return Usage(
        input_tokens=max(0, wire.input_tokens or 0) + cached + written,
        cached_input_tokens=cached,
        cache_write_tokens=written,
        output_tokens=max(0, wire.output_tokens or 0),
    )


def _parts(model: ModelId, block: dict[str, msgspec.Raw]) -> Iterator[Part]:
    """The block as our part; one without a neutral meaning is kept byte for byte."""
    match [(name, value) for name, value in block.items() if bytes(value) != b"null"]:
        case [("text", value)]:
            if text := _TEXT.decode(value):
                yield TextPart(text=text)
        case [("toolUse", value)] if "type" not in _RAW.decode(value):
            call = _TOOL_USE.decode(value)
            arguments = bytes(call.input).decode()
            yield ToolCall(id=call.tool_use_id, name=call.name, raw_arguments=arguments)
        case [("reasoningContent", value)] if "reasoningText" in (inner := _RAW.decode(value)):
            thought = _REASONING_TEXT.decode(inner["reasoningText"])
            signed = {"signature": thought.signature}
            data = ProviderData.pack(model.provider, signed) if thought.signature else None
            yield ReasoningPart(text=thought.text, provider_data=data)
        case [("citationsContent", value)]:
            text = "".join(piece.text for piece in _CITATIONS.decode(value).content)
            yield TextPart(text=text, provider_data=_packed(model, block))
        case _:
            yield OpaquePart(provider_data=_packed(model, block))


def _packed(model: ModelId, block: dict[str, msgspec.Raw]) -> ProviderData:
    return ProviderData(provider=model.provider, json=msgspec.json.encode(block))


class StreamAssembler:
    """Puts a streamed answer together, and says what each event adds."""

    def __init__(self, model: ModelId) -> None:
        self._model = model
        self._rest: dict[str, Any] = {}
        self._blocks: dict[int, _OpenBlock] = {}
        self._calls = 0
        self._seen: set[str] = set()

    @property
    def ended(self) -> bool:
        """Whether the model has stopped and the tokens are counted, which comes last."""
        return {"messageStop", "metadata"} <= self._seen

    def feed(self, kind: str, payload: bytes) -> list[StreamEvent]:
        """What the event `kind` adds, in order; kinds not known yet add nothing.

        Raises:
            InvalidResponseError: the event is not in the format.
        """
        try:
            return self._feed(kind, payload)
        except (*UNREADABLE_JSON, KeyError) as error:
            raise _unreadable(self._model, f"`{kind}`: {error}") from error

    def _feed(self, kind: str, payload: bytes) -> list[StreamEvent]:
        match kind:
            case "contentBlockDelta":
                event = _BLOCK_DELTA.decode(payload)
                return self._block(event.content_block_index).add(event.delta)
            case "contentBlockStart":
                return self._start(_BLOCK_START.decode(payload))
            case "contentBlockStop":
                return self._block(_BLOCK_STOP.decode(payload).content_block_index).stop()
            case "messageStop" | "metadata":
                self._rest |= present(_OBJECT.decode(payload))
                self._seen.add(kind)
        return []

    def _start(self, event: _BlockStart) -> list[StreamEvent]:
        block = self._block(event.content_block_index)
        for kind, fields in event.start.items():
            block.kind, block.fields = kind, fields
        if not block.is_call:
            return []
        block.call, self._calls = self._calls, self._calls + 1
        id_, name = block.fields["toolUseId"], block.fields["name"]
        return [ToolCallDelta(index=block.call, id=id_, name=name)]

    def _block(self, index: int) -> _OpenBlock:
        # Texts and thoughts come without a start.
        return self._blocks.setdefault(index, _OpenBlock())

    def finish(self) -> ChatResponse:
        """The whole answer.

        Raises:
            IncompleteStreamError: the stream did not say why the model stopped.
            InvalidResponseError: what came is no answer of Converse.
        """
        if not self.ended:
            raise IncompleteStreamError(
                "The stream ended without `messageStop` and `metadata`; the text may be cut off.",
                provider=self._model.provider,
                model=self._model.name,
            )
        try:
            content: list[Part] = []
            for _, block in sorted(self._blocks.items()):
                # A call's arguments may be no JSON, as they were written.
                content += (
                    [block.tool_call()] if block.is_call else _parts(self._model, block.whole())
                )
            return _response(self._model, self._rest, content)
        except UNREADABLE_JSON as error:
            raise _unreadable(self._model, f"{error}") from error


class _OpenBlock:
    """A block while it comes: the fields it began with, and the pieces added to them."""

    __slots__ = ("_citations", "_input", "_pieces", "_redacted", "_text", "call", "fields", "kind")

    def __init__(self) -> None:
        self.kind = "text"
        self.fields: dict[str, Any] = {}
        self.call = 0
        self._text: list[str] = []
        self._input: list[str] = []
        self._citations: list[Any] = []
        self._pieces: list[Any] = []
        self._redacted = b""

    @property
    def is_call(self) -> bool:
        """Whether the model wants one of our tools; its own ones carry a type."""
        return self.kind == "toolUse" and "type" not in self.fields

    def add(self, delta: _Delta) -> list[StreamEvent]:
        """What one piece adds."""
        if delta.text:
            self._text.append(delta.text)
            return [TextDelta(text=delta.text)]
        if delta.tool_use is not None and delta.tool_use.input:
            self._input.append(delta.tool_use.input)
            if self.is_call:
                return [ToolCallDelta(index=self.call, arguments=delta.tool_use.input)]
        if delta.reasoning_content is not None:
            return self._think(delta.reasoning_content)
        if delta.citation is not None:
            self._citations.append(delta.citation)
        if delta.tool_result is not None:
            self._pieces += delta.tool_result
        if delta.image is not None:
            self.fields |= delta.image
        return []

    def _think(self, delta: _ReasoningDelta) -> list[StreamEvent]:
        self.kind = "reasoningContent"
        if delta.signature:
            self.fields["signature"] = self.fields.get("signature", "") + delta.signature
        if delta.redacted_content:
            self._redacted += delta.redacted_content
        if not delta.text:
            return []
        self._text.append(delta.text)
        return [ReasoningDelta(text=delta.text)]

    def stop(self) -> list[StreamEvent]:
        """What the end adds: the empty arguments of a call that came without any."""
        if not self.is_call or self._input:
            return []
        self._input.append("{}")
        return [ToolCallDelta(index=self.call, arguments="{}")]

    def tool_call(self) -> ToolCall:
        """The call that the block is."""
        arguments = "".join(self._input) or "{}"
        return ToolCall(
            id=self.fields["toolUseId"], name=self.fields["name"], raw_arguments=arguments
        )

    def whole(self) -> dict[str, msgspec.Raw]:
        """The block as a whole answer would have had it."""
        text = "".join(self._text)
        value: Any
        match self.kind:
            case "toolUse":
                value = self.fields | {"input": json_object("".join(self._input))}
            case "toolResult":
                value = self.fields | {"content": self._pieces}
            case "reasoningContent" if self._redacted:
                value = {"redactedContent": b64encode(self._redacted).decode("ascii")}
            case "reasoningContent":
                value = {"reasoningText": {"text": text} | self.fields}
            case "text" if self._citations:
                cited = {"content": [{"text": text}], "citations": self._citations}
                return {"citationsContent": msgspec.Raw(msgspec.json.encode(cited))}
            case "text":
                value = text
            case _:
                value = self.fields
        return {self.kind: msgspec.Raw(msgspec.json.encode(value))}


def error_facts(body: object) -> ErrorFacts | None:
    """What a decoded error body says: `{"message"}` with its class as `__type` or `code`.

    A class may be written in full (`com.amazon.coral#Name`), with an address behind it
    (`Name:http://...`), or, as in a stream, with a small first letter.

    Source: https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html
    """
    if not isinstance(body, dict):
        return None
    name = body.get("__type") or body.get("code")
    code = name.partition(":")[0].rpartition("#")[2] if isinstance(name, str) else ""
    code = code[:1].upper() + code[1:]
    message = body.get("message") or body.get("Message") or code
    if not isinstance(message, str) or not message:
        return None
    codes = (code,) if code else ()
    return ErrorFacts(message=message, codes=codes, status=_STATUS.get(code))


def _unreadable(model: ModelId, what: str) -> InvalidResponseError:
    return InvalidResponseError(
        f"The answer is not in the format of Converse: {what}.",
        provider=model.provider,
        model=model.name,
    )
