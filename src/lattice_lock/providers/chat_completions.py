"""The chat-completions wire format: our values to JSON, and its answers to our values.

Nothing here sends anything; OpenAI-compatible servers and the embedded model share it.

Source: the types of openai 3.54.0, Ollama 0.33, vLLM's `protocol.py`, llama.cpp's server README.
"""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

import msgspec

from lattice_lock.exceptions import IncompleteStreamError, InvalidResponseError
from lattice_lock.messages import (
    ChatResponse,
    FilePart,
    FinishReason,
    ImagePart,
    Message,
    NamedTool,
    OpaquePart,
    ProviderData,
    ReasoningDelta,
    ReasoningPart,
    Role,
    TextDelta,
    TextPart,
    ToolCall,
    ToolCallDelta,
    ToolResult,
    Usage,
)
from lattice_lock.providers.openai_usage import all_output_tokens, cost_of_ticks
from lattice_lock.providers.token_counts import count, whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lattice_lock.exceptions import InvalidRequestError
    from lattice_lock.messages import ChatRequest, ModelId, Part, StreamEvent, ToolDefinition

__all__ = [
    "ChatChunk",
    "ChatCompletion",
    "ChatDialect",
    "StreamAssembler",
    "chat_body",
    "chat_response",
]


class ChatDialect(msgspec.Struct, frozen=True, kw_only=True):
    """Where servers of this format differ.

    Attributes:
        max_tokens_key: the field that bounds the answer; newer OpenAI models refuse `max_tokens`,
            Ollama ignores everything else.
        system_role: who gives instructions; OpenAI's reasoning models say `developer`.
        images: whether pictures can be sent at all.
        files: whether documents can be sent.
        seed_key: the field of the seed.
        usage_on_request: whether a stream says its usage only where it is asked to; Mistral
            always says it, and refuses the question.
        returned_reasoning_key: where a message with tool calls has to bring its reasoning back,
            as DeepSeek wants it; None where reasoning is not sent.
    """

    max_tokens_key: str = "max_completion_tokens"
    system_role: str = "system"
    images: bool = True
    files: bool = True
    seed_key: str = "seed"
    usage_on_request: bool = True
    returned_reasoning_key: str | None = None


def chat_body(request: ChatRequest, dialect: ChatDialect, *, stream: bool) -> dict[str, Any]:
    """The JSON body for `request`; only what was asked for is in it.

    Raises:
        InvalidRequestError: this format cannot say what the request says.
    """
    fields: dict[str, Any] = {
        "model": request.model.name,
        "messages": [
            wire for message in request.messages for wire in _messages(request, message, dialect)
        ],
        dialect.max_tokens_key: request.max_output_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "stop": list(request.stop) or None,
        dialect.seed_key: request.seed,
        "tools": [_tool(tool) for tool in request.tools] or None,
        "tool_choice": _tool_choice(request),
        "parallel_tool_calls": request.parallel_tool_calls,
        "response_format": _response_format(request),
        "reasoning_effort": request.reasoning_effort,
    }
    if stream:
        fields["stream"] = True
        fields["stream_options"] = {"include_usage": True} if dialect.usage_on_request else None
    return {name: value for name, value in fields.items() if value is not None}


def _messages(
    request: ChatRequest, message: Message, dialect: ChatDialect
) -> Iterator[dict[str, Any]]:
    if message.role is Role.ASSISTANT:
        yield _assistant(request, message, dialect)
    elif message.role is Role.TOOL:
        for part in message.content:
            yield _tool_result(request, part)
    else:
        role = dialect.system_role if message.role is Role.SYSTEM else "user"
        parts = [_input_part(request, message.role, part, dialect) for part in message.content]
        plain = len(parts) == 1 and parts[0].keys() == {"type", "text"}
        yield {"role": role, "content": parts[0]["text"] if plain else parts}


def _input_part(
    request: ChatRequest, role: Role, part: Part, dialect: ChatDialect
) -> dict[str, Any]:
    match part:
        case TextPart():
            wire: dict[str, Any] = {"type": "text", "text": part.text}
        case ImagePart() if role is Role.USER and dialect.images:
            url = part.url or _data_url(part.media_type, part.data)
            wire = {"type": "image_url", "image_url": {"url": url}}
        case FilePart() if role is Role.USER and dialect.files and part.data is not None:
            data = _data_url(part.media_type, part.data)
            wire = {"type": "file", "file": {"filename": part.name, "file_data": data}}
        case OpaquePart():
            wire = {}
        case _:
            raise _unsupported(request, role, part)
    return wire | _own_data(request, part)


def _assistant(request: ChatRequest, message: Message, dialect: ChatDialect) -> dict[str, Any]:
    wire: dict[str, Any] = {"role": "assistant", "content": None}
    thoughts = [part.text for part in message.content if isinstance(part, ReasoningPart)]
    calls: list[dict[str, Any]] = []
    for part in message.content:
        match part:
            case TextPart():
                wire["content"] = (wire["content"] or "") + part.text
            case ToolCall():
                function = {"name": part.name, "arguments": part.raw_arguments}
                call = {"id": part.id, "type": "function", "function": function}
                calls.append(call | _own_data(request, part))
            case ReasoningPart() | OpaquePart():
                # Reasoning is not sent back in this format, except as data a server gave for it.
                wire |= _own_data(request, part)
            case _:
                raise _unsupported(request, message.role, part)
    if calls:
        wire["tool_calls"] = calls
        if dialect.returned_reasoning_key:
            wire[dialect.returned_reasoning_key] = "".join(thoughts)
    return wire


def _tool_result(request: ChatRequest, part: Part) -> dict[str, Any]:
    if not isinstance(part, ToolResult):
        raise _unsupported(request, Role.TOOL, part)
    texts: list[str] = []
    for piece in part.content:
        if not isinstance(piece, TextPart):
            raise _unsupported(request, Role.TOOL, piece)
        texts.append(piece.text)
    wire = {"role": "tool", "tool_call_id": part.call_id, "content": "".join(texts)}
    return wire | _own_data(request, part)


def _own_data(request: ChatRequest, part: Part) -> dict[str, Any]:
    data = part.provider_data
    if data is None or data.provider != request.model.provider:
        return {}
    value = data.unpack()
    return value if isinstance(value, dict) else {}


def _unsupported(request: ChatRequest, role: Role, part: Part) -> InvalidRequestError:
    kind = type(part).__name__
    return request.refusal(
        "messages",
        f"`{request.model}` cannot be sent a {kind} in a message of the role `{role}`.",
        hint="Leave it out, or choose a model that takes it.",
    )


def _data_url(media_type: str | None, data: bytes | None) -> str:
    return f"data:{media_type};base64,{b64encode(data or b'').decode('ascii')}"


def _tool(tool: ToolDefinition) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name, "parameters": tool.parameters}
    if tool.description:
        function["description"] = tool.description
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _tool_choice(request: ChatRequest) -> object:
    choice = request.tool_choice
    if isinstance(choice, NamedTool):
        return {"type": "function", "function": {"name": choice.name}}
    return choice


def _response_format(request: ChatRequest) -> dict[str, Any] | None:
    schema = request.response_schema
    if schema is None:
        return None
    described = {"name": schema.name, "schema": schema.schema, "strict": schema.strict}
    return {"type": "json_schema", "json_schema": described}


class _Function(msgspec.Struct, frozen=True):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class _WireCall(msgspec.Struct, frozen=True):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Piece(msgspec.Struct, frozen=True):
    """One piece of a content that is a list, as Mistral's reasoning models send it."""

    text: str | None = None
    thinking: list[_Piece] | None = None


class _Delta(msgspec.Struct, frozen=True):
    content: str | list[_Piece] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    reasoning_details: list[Any] | None = None
    tool_calls: list[_WireCall] | None = None

    @property
    def thought(self) -> str | None:
        # vLLM has renamed the field and may send both with the same text.
        thought = self.reasoning_content or self.reasoning
        if thought or not isinstance(self.content, list):
            return thought
        return "".join(p.text or "" for piece in self.content for p in piece.thinking or ())

    @property
    def text(self) -> str | None:
        if isinstance(self.content, list):
            return "".join(piece.text or "" for piece in self.content)
        return self.content


class _ChunkChoice(msgspec.Struct, frozen=True):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Choice(msgspec.Struct, frozen=True):
    message: dict[str, Any]
    finish_reason: str | None = None


class _InputDetails(msgspec.Struct, frozen=True):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _OutputDetails(msgspec.Struct, frozen=True):
    reasoning_tokens: int | None = None


class _WireUsage(msgspec.Struct, frozen=True):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    cost_in_usd_ticks: int | None = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None


class ChatCompletion(msgspec.Struct, frozen=True):
    """A whole answer as it comes over the wire."""

    choices: list[_Choice]
    model: str | None = None
    usage: _WireUsage | None = None


class ChatChunk(msgspec.Struct, frozen=True):
    """One piece of a streamed answer; `error` is set where the stream breaks."""

    choices: list[_ChunkChoice] = []
    model: str | None = None
    usage: _WireUsage | None = None
    error: Any = None


_FINISH: dict[str | None, FinishReason] = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
    "abort": FinishReason.ERROR,
    "error": FinishReason.ERROR,
}

_TRANSLATED = {"role", "content", "reasoning_content", "reasoning", "refusal", "tool_calls"}


def chat_response(model: ModelId, wire: ChatCompletion) -> ChatResponse:
    """A whole answer as our value; what it says besides is kept as opaque provider data.

    Raises:
        InvalidResponseError: there is no choice in it, or a message of another form.
    """
    if not wire.choices:
        raise _unreadable(model, "The answer holds no choice.")
    choice = wire.choices[0]
    try:
        delta = msgspec.convert(choice.message, _Delta)
    except msgspec.ValidationError as error:
        raise _unreadable(model, f"The answer's message is malformed: {error}.") from error
    assembler = StreamAssembler(model)
    assembler.add(delta)
    rest = {k: v for k, v in choice.message.items() if k not in _TRANSLATED and v}
    return assembler.response(
        finish=choice.finish_reason, served_model=wire.model, usage=wire.usage, rest=rest
    )


class StreamAssembler:
    """Puts a streamed answer together, and says what each piece adds."""

    def __init__(self, model: ModelId) -> None:
        self._model = model
        self._text: list[str] = []
        self._thoughts: list[str] = []
        self._refused = False
        self._calls: dict[int, _PartialCall] = {}
        self._finish: str | None = None
        self._served_model: str | None = None
        self._usage: _WireUsage | None = None
        self.kept: dict[str, Any] = {}
        """What goes back with the message that only the server understands."""

    def feed(self, chunk: ChatChunk) -> list[StreamEvent]:
        """What `chunk` adds, in order."""
        self._served_model = self._served_model or chunk.model
        self._usage = chunk.usage or self._usage
        if not chunk.choices:
            return []
        choice = chunk.choices[0]
        self._finish = choice.finish_reason or self._finish
        return self.add(choice.delta) if choice.delta else []

    def add(self, delta: _Delta) -> list[StreamEvent]:
        """What one piece of a message adds, in order."""
        events: list[StreamEvent] = []
        if thought := delta.thought:
            self._thoughts.append(thought)
            events.append(ReasoningDelta(text=thought))
        for text in (delta.text, delta.refusal):
            if text:
                self._text.append(text)
                events.append(TextDelta(text=text))
        self._refused = self._refused or bool(delta.refusal)
        if delta.reasoning_details:
            # OpenRouter wants them back as they came.
            self.kept.setdefault("reasoning_details", []).extend(delta.reasoning_details)
        events.extend(self._add_call(n, call) for n, call in enumerate(delta.tool_calls or ()))
        return events

    def finish(self) -> ChatResponse:
        """The whole answer.

        Raises:
            IncompleteStreamError: no piece said why the model stopped.
        """
        if self._finish is None:
            raise IncompleteStreamError(
                "The stream ended without a finish reason; the text may be cut off.",
                provider=self._model.provider,
                model=self._model.name,
            )
        return self.response(
            finish=self._finish,
            served_model=self._served_model,
            usage=self._usage,
            rest=self.kept,
        )

    def response(
        self,
        *,
        finish: str | None,
        served_model: str | None,
        usage: _WireUsage | None,
        rest: dict[str, Any],
    ) -> ChatResponse:
        """The answer from what was added so far."""
        content: list[Part] = []
        if self._thoughts:
            content.append(ReasoningPart(text="".join(self._thoughts)))
        if self._text:
            content.append(TextPart(text="".join(self._text)))
        content.extend(call.whole(index) for index, call in sorted(self._calls.items()))
        if rest:
            content.append(OpaquePart(provider_data=ProviderData.pack(self._model.provider, rest)))
        return ChatResponse(
            model=self._model,
            message=Message(role=Role.ASSISTANT, content=tuple(content)),
            finish_reason=self._unified(finish),
            raw_finish_reason=finish,
            served_model=served_model,
            usage=None if usage is None else _usage(usage),
            cost_usd=None if usage is None else cost_of_ticks(usage.cost_in_usd_ticks),
        )

    def _unified(self, finish: str | None) -> FinishReason:
        reason = _FINISH.get(finish, FinishReason.UNKNOWN)
        if reason is FinishReason.STOP and self._refused:
            return FinishReason.REFUSAL
        if reason is FinishReason.STOP and self._calls:
            return FinishReason.TOOL_CALLS
        return reason

    def _add_call(self, position: int, wire: _WireCall) -> ToolCallDelta:
        index = position if wire.index is None else wire.index
        call = self._calls.setdefault(index, _PartialCall())
        function = wire.function or _Function()
        arguments = function.arguments or ""
        if isinstance(arguments, dict):
            arguments = msgspec.json.encode(arguments).decode()
        call.arguments.append(arguments)
        first = not call.id and not call.name
        call.id = call.id or wire.id or ""
        call.name = call.name or function.name or ""
        return ToolCallDelta(
            index=index,
            id=(call.id or _invented_id(index)) if first else None,
            name=call.name if first else None,
            arguments=arguments,
        )


class _PartialCall:
    __slots__ = ("arguments", "id", "name")

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.arguments: list[str] = []

    def whole(self, index: int) -> ToolCall:
        return ToolCall(
            id=self.id or _invented_id(index),
            name=self.name,
            raw_arguments="".join(self.arguments),
        )


def _invented_id(index: int) -> str:
    # Some servers send none, but the result of the call has to name one.
    return f"call_{index}"


def _usage(wire: _WireUsage) -> Usage:
    into = wire.prompt_tokens_details or _InputDetails()
    out = wire.completion_tokens_details or _OutputDetails()
    asked, said, thought = (
        count(tokens)
        for tokens in (wire.prompt_tokens, wire.completion_tokens, out.reasoning_tokens)
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
