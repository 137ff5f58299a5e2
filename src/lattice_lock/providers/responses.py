"""The Responses wire format: our values to JSON; `responses_answer` has the way back.

Nothing here sends anything; OpenAI, Azure and xAI share it.

An answer is a list of items, and every one of them comes back whole in the next request. What an
item says beyond our values is kept as `ProviderData` of `<provider>/responses`, so that it reaches
neither another provider nor the same provider's chat completions:

    reasoning            ReasoningPart, with the item as it came
    message              a TextPart for each piece of text, with the rest of the item and piece
    function_call        ToolCall, with the rest of the item
    anything else        OpaquePart, with the item as it came

Source: the types of openai 3.54.0; https://docs.x.ai/developers/model-capabilities/text/comparison.
"""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any, TypeVar

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
    from collections.abc import Iterable

    from lattice_lock.exceptions import InvalidRequestError
    from lattice_lock.messages import ChatRequest, Message, ModelId, Part, ToolDefinition

__all__ = ["TEXT_FIELD", "PieceRest", "ResponsesDialect", "own_format", "responses_body"]

_T = TypeVar("_T")


class ResponsesDialect(msgspec.Struct, frozen=True, kw_only=True):
    """Where servers of this format differ.

    Attributes:
        system_role: who gives instructions; OpenAI's reasoning models say `developer`.
        encrypted_reasoning: whether to ask for reasoning that can be sent back; models that do
            not reason refuse the question.
        summary: how much of the reasoning to ask for in words.
        metadata: whether the caller's labels have a field.
        elsewhere: where a capability is that this format has not, as a sentence.
    """

    system_role: str = "developer"
    encrypted_reasoning: bool = True
    summary: str | None = None
    metadata: bool = True
    elsewhere: str | None = None


def responses_body(
    request: ChatRequest, dialect: ResponsesDialect, *, stream: bool
) -> dict[str, Any]:
    """The JSON body for `request`; nothing of it is stored by the provider.

    Raises:
        InvalidRequestError: this format cannot say what the request says.
    """
    for parameter, value in (("stop", request.stop), ("seed", request.seed)):
        if value not in ((), None):
            raise request.refusal(
                parameter,
                f"`{request.model}` takes no `{parameter}`: the Responses API has no such field.",
                hint=dialect.elsewhere or f"Leave `{parameter}` out.",
            )
    fields: dict[str, Any] = {
        "model": request.model.name,
        "input": [
            item for message in request.messages for item in _items(request, message, dialect)
        ],
        "store": False,
        "include": ["reasoning.encrypted_content"] if dialect.encrypted_reasoning else None,
        "max_output_tokens": request.max_output_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "tools": [_tool(tool) for tool in request.tools] or None,
        "tool_choice": _tool_choice(request),
        "parallel_tool_calls": request.parallel_tool_calls,
        "text": _text_format(request),
        "reasoning": _reasoning(request, dialect),
        "metadata": dict(request.metadata) if dialect.metadata and request.metadata else None,
        "stream": stream or None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _reasoning(request: ChatRequest, dialect: ResponsesDialect) -> dict[str, str] | None:
    effort = request.reasoning_effort
    summary = dialect.summary if effort is not ReasoningEffort.NONE else None
    named = {"effort": effort, "summary": summary}
    return {name: value for name, value in named.items() if value is not None} or None


def _text_format(request: ChatRequest) -> dict[str, Any] | None:
    schema = request.response_schema
    if schema is None:
        return None
    described = {"name": schema.name, "schema": schema.schema, "strict": schema.strict}
    return {"format": {"type": "json_schema"} | described}


def _tool(tool: ToolDefinition) -> dict[str, Any]:
    # This format is strict where nothing is said; chat completions are not, and so are we.
    wire: dict[str, Any] = {
        "type": "function",
        "name": tool.name,
        "parameters": tool.parameters,
        "strict": bool(tool.strict),
    }
    return wire | {"description": tool.description} if tool.description else wire


def _tool_choice(request: ChatRequest) -> object:
    choice = request.tool_choice
    if isinstance(choice, NamedTool):
        return {"type": "function", "name": choice.name}
    return choice


def _items(
    request: ChatRequest, message: Message, dialect: ResponsesDialect
) -> Iterable[dict[str, Any] | msgspec.Raw]:
    if message.role is Role.ASSISTANT:
        return _assistant(request, message)
    if message.role is Role.TOOL:
        return [_tool_output(request, part) for part in message.content]
    role = dialect.system_role if message.role is Role.SYSTEM else "user"
    parts = [_input_part(request, message.role, part) for part in message.content]
    plain = len(parts) == 1 and parts[0].keys() == {"type", "text"}
    return [{"role": role, "content": parts[0]["text"] if plain else parts}]


def _input_part(request: ChatRequest, role: Role, part: Part) -> dict[str, Any]:
    match part:
        case TextPart():
            wire: dict[str, Any] = {"type": "input_text", "text": part.text}
        case ImagePart() if role is not Role.SYSTEM:
            url = part.url or _data_url(part.media_type, part.data)
            wire = {"type": "input_image", "detail": "auto", "image_url": url}
        case FilePart() if role is Role.USER:
            wire = {"type": "input_file"} | _file(part)
        case OpaquePart():
            wire = {}
        case _:
            raise _unsupported(request, role, part)
    data = part.provider_data
    own = data.unpack() if data and data.provider == request.model.provider else None
    return wire | own if isinstance(own, dict) else wire


def _file(part: FilePart) -> dict[str, str]:
    # A file that is fetched brings its own name, and OpenAI refuses a second one.
    if part.url is not None:
        return {"file_url": part.url}
    return {"filename": part.name, "file_data": _data_url(part.media_type, part.data)}


def _data_url(media_type: str | None, data: bytes | None) -> str:
    return f"data:{media_type};base64,{b64encode(data or b'').decode('ascii')}"


def _tool_output(request: ChatRequest, part: Part) -> dict[str, Any]:
    if not isinstance(part, ToolResult):
        raise _unsupported(request, Role.TOOL, part)
    pieces = [_input_part(request, Role.TOOL, piece) for piece in part.content]
    plain = all(piece.keys() == {"type", "text"} for piece in pieces)
    output = "".join(piece["text"] for piece in pieces) if plain else pieces
    return {"type": "function_call_output", "call_id": part.call_id, "output": output}


def _unsupported(request: ChatRequest, role: Role, part: Part) -> InvalidRequestError:
    kind = type(part).__name__
    return request.refusal(
        "messages",
        f"`{request.model}` cannot be sent a {kind} in a message of the role `{role}`.",
        hint="Leave it out, or choose a model that takes it.",
    )


TEXT_FIELD = {"output_text": "text", "refusal": "refusal"}
"""Kinds of text in an answer, and the field that holds it."""


class PieceRest(msgspec.Struct, frozen=True):
    """What a piece of an earlier message was beyond its text."""

    message: dict[str, Any]
    piece: dict[str, Any]


def own_format(model: ModelId) -> str:
    """Whom the provider data of this format belongs to."""
    return f"{model.provider}/responses"


def _kept(request: ChatRequest, part: Part, kind: type[_T]) -> _T | None:
    """What this format said of `part` before, None where something else made the part."""
    data = part.provider_data
    if data is None or data.provider != own_format(request.model):
        return None
    try:
        return msgspec.json.decode(data.json, type=kind)
    except UNREADABLE_JSON as error:
        raise request.refusal(
            "messages", "The provider data of a message is not what the provider sent."
        ) from error


def _assistant(request: ChatRequest, message: Message) -> list[dict[str, Any] | msgspec.Raw]:
    items: list[dict[str, Any] | msgspec.Raw] = []
    for part in message.content:
        match part:
            case TextPart():
                _add_text(items, part.text, _kept(request, part, PieceRest))
            case ToolCall():
                call = {"call_id": part.id, "name": part.name, "arguments": part.raw_arguments}
                rest = _kept(request, part, dict[str, Any]) or {}
                items.append(rest | {"type": "function_call"} | call)
            case ReasoningPart() | OpaquePart():
                # Another provider's thoughts are not sent: nobody else can check them.
                if (item := _kept(request, part, msgspec.Raw)) is not None:
                    items.append(item)
            case _:
                raise _unsupported(request, message.role, part)
    return items


def _add_text(
    items: list[dict[str, Any] | msgspec.Raw], text: str, before: PieceRest | None
) -> None:
    last = items[-1] if items and isinstance(items[-1], dict) else {}
    if before is None:
        if last.keys() == {"role", "content"}:
            last["content"] += text
        else:
            items.append({"role": "assistant", "content": text})
        return
    field = TEXT_FIELD.get(before.piece.get("type", ""), "text")
    piece = before.piece | {field: text}
    if {k: v for k, v in last.items() if k != "content"} == before.message:
        last["content"].append(piece)
    else:
        items.append(before.message | {"content": [piece]})
