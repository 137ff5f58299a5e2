"""The Responses wire format on its way back: answers and events to our values.

Source: the types of openai 3.54.0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from lattice_lock.exceptions import InvalidResponseError
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
from lattice_lock.providers.openai_usage import all_output_tokens, cost_of_ticks
from lattice_lock.providers.responses import TEXT_FIELD, PieceRest, own_format
from lattice_lock.providers.token_counts import count, whole

if TYPE_CHECKING:
    from lattice_lock.messages import ModelId, Part, StreamEvent

__all__ = ["ResponsesAssembler", "WireEvent", "WireResponse", "WireUsage", "responses_answer"]


class _InputDetails(msgspec.Struct, frozen=True):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _OutputDetails(msgspec.Struct, frozen=True):
    reasoning_tokens: int | None = None


class WireUsage(msgspec.Struct, frozen=True):
    """Tokens as the format counts them; xAI says the cost besides, in 1e-10 US dollars."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None
    cost_in_usd_ticks: int | None = None


class _Incomplete(msgspec.Struct, frozen=True):
    reason: str | None = None


class WireResponse(msgspec.Struct, frozen=True):
    """A whole answer as it comes over the wire, in one piece or at the end of a stream."""

    status: str
    output: list[msgspec.Raw]
    model: str | None = None
    usage: WireUsage | None = None
    incomplete_details: _Incomplete | None = None


class _ItemKind(msgspec.Struct, frozen=True):
    type: str


class _Text(msgspec.Struct, frozen=True):
    text: str


class _Reasoning(msgspec.Struct, frozen=True):
    summary: list[_Text] | None = None
    content: list[_Text] | None = None


class _Call(msgspec.Struct, frozen=True):
    call_id: str
    name: str
    arguments: str


_INCOMPLETE: dict[str | None, FinishReason] = {
    "max_output_tokens": FinishReason.LENGTH,
    "content_filter": FinishReason.CONTENT_FILTER,
}
_CALLS = {"function_call", "custom_tool_call"}
_BETWEEN_THOUGHTS = "\n\n"

_KIND = msgspec.json.Decoder(_ItemKind)
_REASONING = msgspec.json.Decoder(_Reasoning)
_CALL = msgspec.json.Decoder(_Call)
_OBJECT = msgspec.json.Decoder(dict[str, Any])


def responses_answer(model: ModelId, wire: WireResponse) -> ChatResponse:
    """A whole answer as our value.

    Raises:
        InvalidResponseError: an item has another form, or the answer is not finished.
    """
    reader = _ItemReader(model)
    try:
        for item in wire.output:
            reader.read(item)
    except (*UNREADABLE_JSON, KeyError, TypeError) as error:
        raise _unreadable(model, f"An item of the answer is malformed: {error}.") from error
    reason = wire.incomplete_details.reason if wire.incomplete_details else None
    return ChatResponse(
        model=model,
        message=Message(role=Role.ASSISTANT, content=tuple(reader.parts)),
        finish_reason=_finish(model, wire.status, reason, reader),
        raw_finish_reason=reason or wire.status,
        served_model=wire.model,
        usage=None if wire.usage is None else _usage(wire.usage),
        cost_usd=None if wire.usage is None else cost_of_ticks(wire.usage.cost_in_usd_ticks),
    )


class _ItemReader:
    """Turns items into parts, and remembers what the finish reason depends on."""

    def __init__(self, model: ModelId) -> None:
        self._own = own_format(model)
        self.parts: list[Part] = []
        self.refused = False
        self.called = False

    def read(self, item: msgspec.Raw) -> None:
        """Add what `item` says."""
        kind = _KIND.decode(item).type
        data = ProviderData(provider=self._own, json=bytes(item))
        self.called = self.called or kind in _CALLS
        if kind == "message" and self._read_message(_OBJECT.decode(item)):
            return
        if kind == "function_call":
            self._read_call(_OBJECT.decode(item), _CALL.decode(item))
        elif kind == "reasoning":
            thought = _REASONING.decode(item)
            pieces = [piece.text for piece in (thought.summary or thought.content or ())]
            text = _BETWEEN_THOUGHTS.join(pieces)
            self.parts.append(ReasoningPart(text=text, provider_data=data))
        else:
            self.parts.append(OpaquePart(provider_data=data))

    def _read_message(self, message: dict[str, Any]) -> bool:
        """Add each piece of text; False where the message holds anything else."""
        pieces = message.pop("content")
        if not pieces or any(piece["type"] not in TEXT_FIELD for piece in pieces):
            return False
        for piece in pieces:
            text = piece.pop(TEXT_FIELD[piece["type"]])
            self.refused = self.refused or piece["type"] == "refusal"
            data = ProviderData.pack(self._own, PieceRest(message, piece))
            self.parts.append(TextPart(text=text, provider_data=data))
        return True

    def _read_call(self, item: dict[str, Any], call: _Call) -> None:
        rest = {name: value for name, value in item.items() if name not in _Call.__struct_fields__}
        self.parts.append(
            ToolCall(
                id=call.call_id,
                name=call.name,
                raw_arguments=call.arguments,
                provider_data=ProviderData.pack(self._own, rest),
            )
        )


def _finish(model: ModelId, status: str, reason: str | None, reader: _ItemReader) -> FinishReason:
    match status:
        case "completed" if reader.refused:
            return FinishReason.REFUSAL
        case "completed":
            return FinishReason.TOOL_CALLS if reader.called else FinishReason.STOP
        case "incomplete":
            return _INCOMPLETE.get(reason, FinishReason.UNKNOWN)
        case "cancelled":
            return FinishReason.CANCELLED
        case _:
            raise _unreadable(model, f"The answer is not finished: its status is `{status}`.")


def _usage(wire: WireUsage) -> Usage:
    into = wire.input_tokens_details or _InputDetails()
    out = wire.output_tokens_details or _OutputDetails()
    asked, said, thought = (
        count(tokens) for tokens in (wire.input_tokens, wire.output_tokens, out.reasoning_tokens)
    )
    cached, written = count(into.cached_tokens), count(into.cache_write_tokens)
    return Usage(
        input_tokens=whole(asked, cached, written),
        cached_input_tokens=cached,
        cache_write_tokens=written,
        output_tokens=all_output_tokens(asked, said, thought, total=wire.total_tokens),
        reasoning_tokens=thought,
    )


def _unreadable(model: ModelId, what: str) -> InvalidResponseError:
    return InvalidResponseError(what, provider=model.provider, model=model.name)


_NOTHING = msgspec.Raw()


class WireEvent(msgspec.Struct, frozen=True):
    """One event of a stream: the fields of all kinds that matter here."""

    type: str = ""
    output_index: int = 0
    summary_index: int = 0
    delta: Any = None
    item: msgspec.Raw = _NOTHING
    response: msgspec.Raw = _NOTHING


class ResponsesAssembler:
    """Says what each event of a stream adds, and puts the whole answer together."""

    def __init__(self, model: ModelId) -> None:
        self._model = model
        self._items: dict[int, msgspec.Raw] = {}
        self._calls: dict[int, _StreamedCall] = {}

    def feed(self, event: WireEvent) -> list[StreamEvent]:
        """What `event` adds, in order; most kinds add nothing.

        Raises:
            InvalidResponseError: the event has another form.
        """
        match event.type:
            case "response.output_text.delta" | "response.refusal.delta":
                return [TextDelta(text=text)] if (text := self._text(event)) else []
            case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
                return [ReasoningDelta(text=text)] if (text := self._text(event)) else []
            case "response.reasoning_summary_part.added" if event.summary_index:
                return [ReasoningDelta(text=_BETWEEN_THOUGHTS)]
            case "response.function_call_arguments.delta":
                call = self._calls.get(event.output_index)
                return [call.more(text)] if call and (text := self._text(event)) else []
            case "response.output_item.added":
                return self._call(event.output_index, event.item)
            case "response.output_item.done":
                self._items[event.output_index] = event.item
                return self._call(event.output_index, event.item)
            case _:
                return []

    def finish(self, wire: WireResponse) -> ChatResponse:
        """The whole answer, of which `wire` is the last event's.

        An item counts as its own event said it: only there is its encrypted reasoning sure to be
        complete, and some servers list no items at the end.
        """
        items = dict(enumerate(wire.output)) | self._items
        output = [items[index] for index in sorted(items)]
        return responses_answer(self._model, msgspec.structs.replace(wire, output=output))

    def _text(self, event: WireEvent) -> str:
        if not isinstance(event.delta, str):
            raise _unreadable(self._model, f"An event of the kind `{event.type}` has no text.")
        return event.delta

    def _call(self, index: int, item: msgspec.Raw) -> list[StreamEvent]:
        """What an item adds to its call that no event has said; some servers stream none."""
        try:
            if _KIND.decode(item).type != "function_call":
                return []
            wire = _CALL.decode(item)
        except UNREADABLE_JSON as error:
            raise _unreadable(
                self._model, f"An item of the stream is malformed: {error}."
            ) from error
        call = self._calls.get(index)
        if call is None:
            call = self._calls[index] = _StreamedCall(len(self._calls))
            return [call.first(wire)]
        rest = wire.arguments[call.sent :]
        return [call.more(rest)] if rest else []


class _StreamedCall:
    __slots__ = ("number", "sent")

    def __init__(self, number: int) -> None:
        self.number = number
        self.sent = 0

    def first(self, wire: _Call) -> ToolCallDelta:
        self.sent = len(wire.arguments)
        return ToolCallDelta(
            index=self.number, id=wire.call_id, name=wire.name, arguments=wire.arguments
        )

    def more(self, arguments: str) -> ToolCallDelta:
        self.sent += len(arguments)
        return ToolCallDelta(index=self.number, arguments=arguments)
