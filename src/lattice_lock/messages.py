"""What goes to a model and what comes back, in no provider's own format.

Every value is immutable. A message is an ordered tuple of parts, because some providers refuse a
conversation whose reasoning, text and tool calls come back in another order than they were sent.
What a provider says that has no neutral meaning is kept as `ProviderData`, byte for byte, and goes
back to that provider only.

    ChatRequest -> provider -> ChatResponse
                            -> TextDelta | ReasoningDelta | ToolCallDelta ... StreamEnd(response)
    EmbeddingRequest -> provider -> EmbeddingResponse
"""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal, Self, TypeAlias

import msgspec
from typing_extensions import override

from lattice_lock.exceptions import InvalidRequestError, UsageError

__all__ = [
    "UNREADABLE_JSON",
    "ChatRequest",
    "ChatResponse",
    "EmbeddingRequest",
    "EmbeddingResponse",
    "FilePart",
    "FinishReason",
    "ImagePart",
    "JsonObject",
    "Message",
    "ModelId",
    "NamedTool",
    "OpaquePart",
    "Part",
    "ProviderData",
    "ReasoningDelta",
    "ReasoningEffort",
    "ReasoningPart",
    "ResponseSchema",
    "Role",
    "StreamEnd",
    "StreamEvent",
    "TextDelta",
    "TextPart",
    "ToolCall",
    "ToolCallDelta",
    "ToolChoice",
    "ToolDefinition",
    "ToolResult",
    "Usage",
]

JsonObject: TypeAlias = Mapping[str, Any]

UNREADABLE_JSON = (msgspec.DecodeError, UnicodeError, RecursionError)
"""What decoding raises where there is no JSON value, no text at all, or one nested too deep."""

DEFAULT_TIMEOUT_S = 600.0

_PROVIDER_NAME = re.compile(r"[a-z][a-z0-9_-]*")


class ModelId(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A model of a provider, written `provider/name`; the name may contain slashes itself."""

    provider: str
    name: str

    def __post_init__(self) -> None:
        if not _PROVIDER_NAME.fullmatch(self.provider):
            raise UsageError(
                f"`{self.provider}` is not a provider id.",
                hint="Write `provider/name`, such as `embedded/smollm2-135m-instruct`.",
            )
        if not self.name or not self.name.isprintable() or self.name != self.name.strip():
            raise UsageError(
                f"{self.name!r} is not the name of a model of `{self.provider}`.",
                hint="Write `provider/name`, such as `embedded/smollm2-135m-instruct`.",
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """The model that `provider/name` names; the first slash divides.

        Raises:
            UsageError: the text has another form.
        """
        provider, slash, name = text.partition("/")
        if not slash:
            raise UsageError(
                f"{text!r} does not say which provider has the model.",
                hint="Write `provider/name`, such as `embedded/smollm2-135m-instruct`.",
            )
        return cls(provider=provider, name=name)

    @override
    def __str__(self) -> str:
        return f"{self.provider}/{self.name}"


class Role(StrEnum):
    """Who speaks; a result of a tool comes from `TOOL`."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


class ReasoningEffort(StrEnum):
    """How much a model may think before it answers; providers map it to what they have."""

    NONE = "none"
    MINIMAL = "minimal"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    XHIGH = "xhigh"
    MAX = "max"


class FinishReason(StrEnum):
    """Why a model stopped; the provider's own word is kept beside it."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"
    REFUSAL = "refusal"
    CONTEXT_EXCEEDED = "context_exceeded"
    PAUSED = "paused"
    ERROR = "error"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


class ProviderData(msgspec.Struct, frozen=True, kw_only=True):
    """JSON that means something to one provider only, kept as the bytes it was packed into."""

    provider: str
    json: bytes

    @classmethod
    def pack(cls, provider: str, value: object) -> Self:
        """`value`, anything that JSON can say, for `provider` alone."""
        return cls(provider=provider, json=msgspec.json.encode(value))

    def unpack(self) -> Any:  # noqa: ANN401  # whatever the provider sent
        """The JSON value, decoded anew."""
        return msgspec.json.decode(self.json)


class TextPart(msgspec.Struct, frozen=True, kw_only=True, tag="text"):
    """Plain text."""

    text: str
    provider_data: ProviderData | None = None


class ImagePart(msgspec.Struct, frozen=True, kw_only=True, tag="image"):
    """A picture: the bytes with their media type, or an address the provider can fetch."""

    data: bytes | None = None
    media_type: str | None = None
    url: str | None = None
    provider_data: ProviderData | None = None

    def __post_init__(self) -> None:
        _check_source("an image", self.data, self.media_type, self.url)


class FilePart(msgspec.Struct, frozen=True, kw_only=True, tag="file"):
    """A document: the bytes with their media type, or an address the provider can fetch."""

    name: str
    data: bytes | None = None
    media_type: str | None = None
    url: str | None = None
    provider_data: ProviderData | None = None

    def __post_init__(self) -> None:
        _check_source(f"the file `{self.name}`", self.data, self.media_type, self.url)


class ReasoningPart(msgspec.Struct, frozen=True, kw_only=True, tag="reasoning"):
    """What a model thought; a signature it needs back is in `provider_data`."""

    text: str
    provider_data: ProviderData | None = None


class ToolCall(msgspec.Struct, frozen=True, kw_only=True, tag="tool_call"):
    """A model's wish to call a tool; `raw_arguments` is its own text, which may be bad JSON."""

    id: str
    name: str
    raw_arguments: str
    provider_data: ProviderData | None = None

    @property
    def arguments(self) -> dict[str, Any] | None:
        """The arguments as an object, or None where the text is not a JSON object."""
        try:
            return msgspec.json.decode(self.raw_arguments, type=dict[str, Any])
        except UNREADABLE_JSON:
            return None


class ToolResult(msgspec.Struct, frozen=True, kw_only=True, tag="tool_result"):
    """What a tool answered to the call `call_id`."""

    call_id: str
    name: str
    content: tuple[TextPart | ImagePart, ...]
    is_error: bool = False
    provider_data: ProviderData | None = None


class OpaquePart(msgspec.Struct, frozen=True, kw_only=True, tag="opaque"):
    """A block that only its provider understands, at its place in the message."""

    provider_data: ProviderData


Part: TypeAlias = (
    TextPart | ImagePart | FilePart | ReasoningPart | ToolCall | ToolResult | OpaquePart
)


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One turn of a conversation."""

    role: Role
    content: tuple[Part, ...]

    @classmethod
    def system(cls, text: str) -> Self:
        """Instructions that stand above the conversation."""
        return cls(role=Role.SYSTEM, content=(TextPart(text=text),))

    @classmethod
    def user(cls, text: str) -> Self:
        """What the user says."""
        return cls(role=Role.USER, content=(TextPart(text=text),))

    @classmethod
    def assistant(cls, text: str) -> Self:
        """What a model said, or is to be taken to have said."""
        return cls(role=Role.ASSISTANT, content=(TextPart(text=text),))

    @classmethod
    def tool(cls, *results: ToolResult) -> Self:
        """What tools answered."""
        return cls(role=Role.TOOL, content=results)

    @property
    def text(self) -> str:
        """All text parts, joined; reasoning is not text."""
        return "".join(part.text for part in self.content if isinstance(part, TextPart))


class ToolDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """A tool that a model may call; `parameters` is a JSON Schema of type object."""

    name: str
    description: str = ""
    parameters: JsonObject
    strict: bool | None = None


class NamedTool(msgspec.Struct, frozen=True, kw_only=True):
    """The choice that forces one tool."""

    name: str


ToolChoice: TypeAlias = Literal["auto", "none", "required"] | NamedTool


class ResponseSchema(msgspec.Struct, frozen=True, kw_only=True):
    """The JSON Schema that an answer has to follow."""

    name: str
    schema: JsonObject
    strict: bool = True


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One question to one model. What is None is left to the provider.

    Attributes:
        max_output_tokens: bound on visible and reasoning tokens together.
        stop: texts before which the model stops.
        metadata: the caller's labels; sent only where a provider has a field for them.
        timeout_s: seconds for the whole call: every retry, and the last byte of a stream.

    Raises:
        InvalidRequestError: a value is outside its range; `parameter` names it.
    """

    model: ModelId
    messages: tuple[Message, ...]
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    tools: tuple[ToolDefinition, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_schema: ResponseSchema | None = None
    reasoning_effort: ReasoningEffort | None = None
    metadata: Mapping[str, str] = {}
    timeout_s: float = DEFAULT_TIMEOUT_S

    def __post_init__(self) -> None:
        if not self.messages:
            raise self.refusal("messages", "There is no message.")
        if self.max_output_tokens is not None and self.max_output_tokens < 1:
            raise self.refusal("max_output_tokens", "`max_output_tokens` must be at least 1.")
        if self.temperature is not None and not 0 <= self.temperature < math.inf:
            raise self.refusal("temperature", "`temperature` must be a finite number from 0 up.")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise self.refusal("top_p", "`top_p` must be above 0 and at most 1.")
        if not 0 < self.timeout_s < math.inf:
            raise self.refusal("timeout_s", "`timeout_s` must be a finite number of seconds.")
        if "" in self.stop:
            raise self.refusal("stop", "An empty text in `stop` would stop at once.")
        self._check_tools()

    def _check_tools(self) -> None:
        names = [tool.name for tool in self.tools]
        if len(set(names)) < len(names):
            raise self.refusal("tools", "Two tools have the same name.")
        if isinstance(self.tool_choice, NamedTool) and self.tool_choice.name not in names:
            raise self.refusal(
                "tool_choice", f"`tool_choice` names `{self.tool_choice.name}`, which is no tool."
            )
        if self.tool_choice == "required" and not names:
            raise self.refusal("tool_choice", "`tool_choice` is `required`, but there is no tool.")

    def refusal(
        self, parameter: str, message: str, *, hint: str | None = None
    ) -> InvalidRequestError:
        """The error that says why this request cannot be sent because of `parameter`."""
        return _refusal(self.model, parameter, message, hint)


class EmbeddingRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Texts whose meaning one model is to turn into vectors.

    Attributes:
        inputs: texts, none of them empty; any number, sent in as many requests as it takes.
        dimensions: length of each vector; None is the model's own.
        timeout_s: seconds for all of them together, every retry included.

    Raises:
        InvalidRequestError: a value is outside its range; `parameter` names it.
    """

    model: ModelId
    inputs: tuple[str, ...]
    dimensions: int | None = None
    timeout_s: float = DEFAULT_TIMEOUT_S

    def __post_init__(self) -> None:
        if not self.inputs:
            raise self.refusal("inputs", "There is no text to embed.")
        if "" in self.inputs:
            raise self.refusal("inputs", f"Text number {self.inputs.index('') + 1} is empty.")
        if self.dimensions is not None and self.dimensions < 1:
            raise self.refusal("dimensions", "`dimensions` must be at least 1.")
        if not 0 < self.timeout_s < math.inf:
            raise self.refusal("timeout_s", "`timeout_s` must be a finite number of seconds.")

    def refusal(
        self, parameter: str, message: str, *, hint: str | None = None
    ) -> InvalidRequestError:
        """The error that says why this request cannot be sent because of `parameter`."""
        return _refusal(self.model, parameter, message, hint)


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of one call. Totals include their parts: input the cached, output the reasoning."""

    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens

    @property
    def fresh_input_tokens(self) -> int:
        """Input that was neither read from a cache nor written to one."""
        return max(0, self.input_tokens - self.cached_input_tokens - self.cache_write_tokens)

    @property
    def visible_output_tokens(self) -> int:
        """Output without reasoning."""
        return max(0, self.output_tokens - self.reasoning_tokens)

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            cached_input_tokens=self.cached_input_tokens + other.cached_input_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
        )


class ChatResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What a model answered.

    Attributes:
        model: the model that was asked.
        served_model: the name that the provider says has answered, where it says one.
        usage: tokens, None where the provider does not say.
        latency_ms: milliseconds from the call to the last byte, retries and waits included.
        attempts: requests sent, the successful one included.
        cost_usd: US dollars; None is unknown, zero is known to be free.
        provider_data: what the provider said about the whole answer that has no neutral meaning.
    """

    model: ModelId
    message: Message
    finish_reason: FinishReason
    raw_finish_reason: str | None = None
    served_model: str | None = None
    usage: Usage | None = None
    request_id: str | None = None
    latency_ms: float = 0.0
    attempts: int = 1
    cost_usd: Decimal | None = None
    provider_data: ProviderData | None = None

    @property
    def text(self) -> str:
        """The visible text."""
        return self.message.text

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The tools that the model wants to call, in its order."""
        return tuple(part for part in self.message.content if isinstance(part, ToolCall))


class EmbeddingResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The vectors of texts.

    Attributes:
        vectors: `(n_inputs, dimensions)`, in the order of the inputs; each an array of 32-bit
            floats, all finite.
        usage: tokens of all inputs, None where the provider does not say.
        attempts: requests sent, those of every batch together.
        latency_ms, served_model, request_id, cost_usd: as in `ChatResponse`; of several batches
            the last one's names.
    """

    model: ModelId
    vectors: tuple[array[float], ...]
    served_model: str | None = None
    usage: Usage | None = None
    request_id: str | None = None
    latency_ms: float = 0.0
    attempts: int = 1
    cost_usd: Decimal | None = None

    @property
    def dimensions(self) -> int:
        """Length of each vector."""
        return len(self.vectors[0])


class TextDelta(msgspec.Struct, frozen=True, kw_only=True, tag="text_delta"):
    """More visible text."""

    text: str


class ReasoningDelta(msgspec.Struct, frozen=True, kw_only=True, tag="reasoning_delta"):
    """More of what the model thinks."""

    text: str


class ToolCallDelta(msgspec.Struct, frozen=True, kw_only=True, tag="tool_call_delta"):
    """More of tool call number `index`; `id` and `name` come with its first delta only."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


class StreamEnd(msgspec.Struct, frozen=True, kw_only=True, tag="stream_end"):
    """The last event of every complete stream, with the whole answer."""

    response: ChatResponse


StreamEvent: TypeAlias = TextDelta | ReasoningDelta | ToolCallDelta | StreamEnd


def _refusal(model: ModelId, parameter: str, message: str, hint: str | None) -> InvalidRequestError:
    error = InvalidRequestError(message, provider=model.provider, model=model.name, hint=hint)
    error.parameter = parameter
    return error


def _check_source(what: str, data: bytes | None, media_type: str | None, url: str | None) -> None:
    if (data is None) == (url is None):
        raise UsageError(f"{what[:1].upper()}{what[1:]} needs either `data` or `url`.")
    if data is not None and not media_type:
        raise UsageError(
            f"{what[:1].upper()}{what[1:]} has bytes but no media type.",
            hint="Give `media_type`, such as `image/png`.",
        )
