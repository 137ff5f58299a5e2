"""Requests in Anthropic's Messages format; nothing here sends anything.

Source: the types of anthropic 2.12.0 and https://platform.claude.com/docs/en/api/messages
"""

from __future__ import annotations

import re
from base64 import b64encode
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from lattice_lock.messages import (
    UNREADABLE_JSON,
    FilePart,
    ImagePart,
    NamedTool,
    OpaquePart,
    ReasoningEffort,
    ReasoningPart,
    Role,
    TextPart,
    ToolCall,
    ToolResult,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lattice_lock.messages import ChatRequest, Message, Part, ToolDefinition

__all__ = ["json_object", "messages_body", "present"]

DEFAULT_MAX_TOKENS = 16_384
"""The bound on an answer where the caller gives none; the format demands one."""

NO_SAMPLING_SINCE = "2026-10-21"
"""The API version from which on sampling parameters are refused, even at their defaults."""

_IMAGE_TYPES = {"image/jpeg", "image/png", "image/gif", "image/webp"}

# Claude 4.5 and older think within a budget; later ones decide themselves and take an effort.
# https://docs.aws.amazon.com/bedrock/latest/userguide/claude-messages-adaptive-thinking.html
_THINKS_IN_BUDGET = re.compile(r"claude-[a-z]+-4(?:-[0-5])?(?:-\d{8}|-latest)?")
_MIN_BUDGET = 1024
_BUDGETS: Mapping[ReasoningEffort, int] = {
    ReasoningEffort.MINIMAL: _MIN_BUDGET,
    ReasoningEffort.LOW: 2048,
    ReasoningEffort.MEDIUM: 8192,
    ReasoningEffort.HIGH: 16_384,
    ReasoningEffort.XHIGH: 24_576,
    ReasoningEffort.MAX: 32_000,
}

_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def messages_body(request: ChatRequest, *, api_version: str, stream: bool) -> dict[str, Any]:
    """The JSON body for `request`; only what was asked for is in it.

    Raises:
        InvalidRequestError: the format, in this version, cannot say what the request says.
    """
    _refuse_unsupported(request, api_version)
    system, messages = _conversation(request)
    max_tokens, thinking, effort = _thinking(request)
    schema = request.response_schema
    output = {
        "effort": effort,
        "format": schema and {"type": "json_schema", "schema": schema.schema},
    }
    user = request.metadata.get("user_id")
    fields: dict[str, Any] = {
        "model": request.model.name,
        "max_tokens": max_tokens,
        "system": system or None,
        "messages": messages,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "stop_sequences": list(request.stop) or None,
        "tools": [_tool(tool) for tool in request.tools] or None,
        "tool_choice": _tool_choice(request),
        "thinking": thinking,
        "output_config": present(output) or None,
        "metadata": None if user is None else {"user_id": user},
        "stream": stream or None,
    }
    return present(fields)


def present(fields: Mapping[str, Any]) -> dict[str, Any]:
    """`fields` without those that are None."""
    return {name: value for name, value in fields.items() if value is not None}


def _refuse_unsupported(request: ChatRequest, api_version: str) -> None:
    if request.seed is not None:
        raise request.refusal(
            "seed",
            f"`{request.model}` takes no `seed`.",
            hint="Leave it out, or choose a model of `google` or `local`.",
        )
    for name in ("temperature", "top_p"):
        value: float | None = getattr(request, name)
        if value is None:
            continue
        if api_version >= NO_SAMPLING_SINCE:
            raise request.refusal(
                name,
                f"`{request.model}` takes no `{name}`: version {api_version} of the API has no "
                "sampling parameters.",
                hint="Leave it out, or set `LATTICE_LOCK_ANTHROPIC_VERSION=2023-06-01` for models "
                "up to Claude 4.6.",
            )
        if value > 1:
            raise request.refusal(name, f"`{name}` is at most 1 for `{request.model}`.")


def _thinking(request: ChatRequest) -> tuple[int, dict[str, Any] | None, str | None]:
    """The bound on the answer, how to think, and the effort."""
    asked, limit = request.reasoning_effort, request.max_output_tokens
    if asked is None:
        return limit or DEFAULT_MAX_TOKENS, None, None
    if asked is ReasoningEffort.NONE:
        return limit or DEFAULT_MAX_TOKENS, {"type": "disabled"}, None
    if not _THINKS_IN_BUDGET.fullmatch(request.model.name):
        effort = ReasoningEffort.LOW if asked is ReasoningEffort.MINIMAL else asked
        # Without `summarized`, newer models sign their thoughts but do not show them.
        adaptive = {"type": "adaptive", "display": "summarized"}
        return limit or DEFAULT_MAX_TOKENS, adaptive, effort
    if request.tool_choice == "required" or isinstance(request.tool_choice, NamedTool):
        raise request.refusal(
            "tool_choice",
            f"`{request.model}` cannot be forced to call a tool while it thinks.",
            hint="Leave out `tool_choice` or `reasoning_effort`, or choose Claude 4.6 or newer.",
        )
    budget = _BUDGETS[asked]
    if limit is None:
        return budget + DEFAULT_MAX_TOKENS, {"type": "enabled", "budget_tokens": budget}, None
    if limit <= _MIN_BUDGET:
        raise request.refusal(
            "max_output_tokens",
            f"`{request.model}` thinks only with `max_output_tokens` above {_MIN_BUDGET}.",
        )
    budget = min(budget, max(_MIN_BUDGET, limit // 2))
    return limit, {"type": "enabled", "budget_tokens": budget}, None


def _conversation(request: ChatRequest) -> tuple[list[Any], list[dict[str, Any]]]:
    """Instructions before the first turn, and the turns, neighbours of one role joined."""
    system: list[Any] = []
    messages: list[dict[str, Any]] = []
    for message in request.messages:
        blocks = [block for part in message.content for block in _blocks(request, message, part)]
        role = "user" if message.role is Role.TOOL else str(message.role)
        if not blocks:
            continue
        if message.role is Role.SYSTEM and not messages:
            system += blocks
        elif messages and messages[-1]["role"] == role:
            messages[-1]["content"] += blocks
        else:
            messages.append({"role": role, "content": blocks})
    if not messages:
        raise request.refusal("messages", "There is nothing that an answer could answer.")
    return system, messages


def _blocks(  # noqa: C901  # a table: one case for each kind of part
    request: ChatRequest, message: Message, part: Part
) -> Iterator[Any]:
    own = _own_data(request, part)
    match message.role, part:
        case _, OpaquePart(provider_data=data):
            # Byte for byte; what another provider said means nothing here.
            if data.provider == request.model.provider:
                yield msgspec.Raw(data.json)
        case Role.SYSTEM | Role.USER | Role.ASSISTANT, TextPart():
            if part.text:  # the API refuses empty ones
                yield {"type": "text", "text": part.text} | own
        case Role.USER, ImagePart():
            yield _image(request, part) | own
        case Role.USER, FilePart():
            yield _document(request, part) | own
        case Role.ASSISTANT, ReasoningPart():
            if own:  # without this provider's signature a thought cannot be sent
                yield {"type": "thinking", "thinking": part.text} | own
        case Role.ASSISTANT, ToolCall():
            arguments = json_object(part.raw_arguments)
            yield {"type": "tool_use", "id": part.id, "name": part.name, "input": arguments} | own
        case Role.TOOL, ToolResult():
            yield _tool_result(request, part) | own
        case _:
            raise request.refusal(
                "messages",
                f"`{request.model}` cannot be sent a {type(part).__name__} in a message of the "
                f"role `{message.role}`.",
                hint="Leave it out, or move it to a message of another role.",
            )


def _own_data(request: ChatRequest, part: Part) -> dict[str, Any]:
    data = part.provider_data
    if data is None or data.provider != request.model.provider or isinstance(part, OpaquePart):
        return {}
    value = data.unpack()
    return value if isinstance(value, dict) else {}


def _image(request: ChatRequest, part: ImagePart) -> dict[str, Any]:
    if part.data is None:
        return {"type": "image", "source": {"type": "url", "url": part.url}}
    if part.media_type not in _IMAGE_TYPES:
        raise request.refusal(
            "messages",
            f"`{request.model}` cannot see an image of type `{part.media_type}`.",
            hint="Convert it to JPEG, PNG, GIF or WebP.",
        )
    return {"type": "image", "source": _base64(part.media_type, part.data)}


def _document(request: ChatRequest, part: FilePart) -> dict[str, Any]:
    kind = part.media_type or "application/pdf"
    if part.data is None and kind == "application/pdf":
        source: dict[str, Any] = {"type": "url", "url": part.url}
    elif part.data is not None and kind == "application/pdf":
        source = _base64(kind, part.data)
    elif part.data is not None and kind.startswith("text/"):
        source = {"type": "text", "media_type": "text/plain", "data": _decoded(request, part)}
    else:
        _refuse_file(request, part, f"of type `{kind}`" + ("" if part.data else " by address"))
    return {"type": "document", "source": source, "title": part.name}


def _decoded(request: ChatRequest, part: FilePart) -> str:
    try:
        return (part.data or b"").decode()
    except UnicodeDecodeError:
        _refuse_file(request, part, "that is not UTF-8")


def _refuse_file(request: ChatRequest, part: FilePart, what: str) -> NoReturn:
    raise request.refusal(
        "messages",
        f"`{request.model}` cannot read the file `{part.name}`, {what}.",
        hint="Send a PDF, or text in UTF-8.",
    )


def _base64(media_type: str, data: bytes) -> dict[str, Any]:
    encoded = b64encode(data).decode("ascii")
    return {"type": "base64", "media_type": media_type, "data": encoded}


def _tool_result(request: ChatRequest, part: ToolResult) -> dict[str, Any]:
    content = [
        _image(request, piece) | _own_data(request, piece)
        if isinstance(piece, ImagePart)
        else {"type": "text", "text": piece.text} | _own_data(request, piece)
        for piece in part.content
        if isinstance(piece, ImagePart) or piece.text
    ]
    wire: dict[str, Any] = {"type": "tool_result", "tool_use_id": part.call_id, "content": content}
    return wire | {"is_error": True} if part.is_error else wire


def json_object(raw_arguments: str) -> object:
    """A call's arguments as they were written, or wrapped where they are no JSON object.

    Source of the wrapper: https://platform.claude.com/docs/en/agents-and-tools/tool-use/fine-grained-tool-streaming
    """
    if not raw_arguments:
        return {}
    try:
        _FIELDS.decode(raw_arguments)
    except UNREADABLE_JSON:
        return {"INVALID_JSON": raw_arguments}
    return msgspec.Raw(raw_arguments.encode())


def _tool(tool: ToolDefinition) -> dict[str, Any]:
    wire = {
        "name": tool.name,
        "description": tool.description or None,
        "input_schema": tool.parameters,
        "strict": tool.strict,
    }
    return present(wire)


def _tool_choice(request: ChatRequest) -> dict[str, Any] | None:
    choice, one_at_a_time = request.tool_choice, request.parallel_tool_calls is False
    if not request.tools or (choice is None and not one_at_a_time):
        return None
    if choice == "none":
        return {"type": "none"}
    wire: dict[str, Any]
    if isinstance(choice, NamedTool):
        wire = {"type": "tool", "name": choice.name}
    else:
        wire = {"type": "any" if choice == "required" else "auto"}
    return wire | {"disable_parallel_tool_use": True} if one_at_a_time else wire
