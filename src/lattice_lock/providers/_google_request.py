"""Requests in the format of Gemini's `generateContent`; nothing here sends anything.

Source: the types of google-genai 3.4.0 and https://ai.google.dev/api/generate-content
"""

from __future__ import annotations

import re
from base64 import b64encode
from typing import TYPE_CHECKING, Any

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

__all__ = ["NAMELESS", "generate_body"]

NAMELESS = "nameless_"
"""Begins the ids of calls to which the API gave none; such an id is never sent to it."""

_MAX_TEMPERATURE = 2.0

# Gemini 2.5 thinks within a budget, 3 and later at a level. The budgets are Google's own for the
# efforts of OpenAI: https://ai.google.dev/gemini-api/docs/openai
_THINKS_IN_BUDGET = re.compile(r"(?:models/)?gemini-2\..*")
_BUDGETS: Mapping[ReasoningEffort, int] = {
    ReasoningEffort.NONE: 0,
    ReasoningEffort.MINIMAL: 1024,
    ReasoningEffort.LOW: 1024,
    ReasoningEffort.MEDIUM: 8192,
    ReasoningEffort.HIGH: 24_576,
    ReasoningEffort.XHIGH: 24_576,
    ReasoningEffort.MAX: 24_576,
}
_LEVELS: Mapping[ReasoningEffort, str] = {
    ReasoningEffort.MINIMAL: "MINIMAL",
    ReasoningEffort.LOW: "LOW",
    ReasoningEffort.MEDIUM: "MEDIUM",
    ReasoningEffort.HIGH: "HIGH",
    ReasoningEffort.XHIGH: "XHIGH",
    ReasoningEffort.MAX: "XHIGH",
}

_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def generate_body(request: ChatRequest) -> dict[str, Any]:
    """The JSON body for `request`; only what was asked for is in it.

    Raises:
        InvalidRequestError: the format cannot say what the request says.
    """
    _refuse_unsupported(request)
    system, contents = _conversation(request)
    declared = {"functionDeclarations": [_function(tool) for tool in request.tools]}
    fields: dict[str, Any] = {
        "systemInstruction": {"parts": system} if system else None,
        "contents": contents,
        "tools": [declared] if request.tools else None,
        "toolConfig": _tool_config(request),
        "generationConfig": _generation_config(request) or None,
        "labels": dict(request.metadata) or None,
    }
    return _present(fields)


def _present(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _refuse_unsupported(request: ChatRequest) -> None:
    if request.tools and request.parallel_tool_calls is False:
        raise request.refusal(
            "parallel_tool_calls",
            f"`{request.model}` cannot be held to one tool call at a time: `parallel_tool_calls`.",
            hint="Leave it out, or choose a model of `anthropic` or `openai`.",
        )
    if request.temperature is not None and request.temperature > _MAX_TEMPERATURE:
        raise request.refusal("temperature", f"`temperature` is at most 2 for `{request.model}`.")


def _generation_config(request: ChatRequest) -> dict[str, Any]:
    schema = request.response_schema
    fields: dict[str, Any] = {
        "temperature": request.temperature,
        "topP": request.top_p,
        "maxOutputTokens": request.max_output_tokens,
        "stopSequences": list(request.stop) or None,
        "seed": request.seed,
        "responseMimeType": None if schema is None else "application/json",
        "responseJsonSchema": None if schema is None else schema.schema,
        "thinkingConfig": _thinking(request),
    }
    return _present(fields)


def _thinking(request: ChatRequest) -> dict[str, Any] | None:
    effort = request.reasoning_effort
    if effort is None:
        return None
    shown = {} if effort is ReasoningEffort.NONE else {"includeThoughts": True}
    if _THINKS_IN_BUDGET.fullmatch(request.model.name):
        return {"thinkingBudget": _BUDGETS[effort]} | shown
    if effort not in _LEVELS:
        raise request.refusal(
            "reasoning_effort",
            f"`{request.model}` cannot be kept from thinking: `reasoning_effort` is `none`.",
            hint="Ask for `minimal`, or choose a model of Gemini 2.5.",
        )
    return {"thinkingLevel": _LEVELS[effort]} | shown


def _function(tool: ToolDefinition) -> dict[str, Any]:
    wire = {
        "name": tool.name,
        "description": tool.description or None,
        "parametersJsonSchema": tool.parameters,
    }
    return _present(wire)


def _tool_config(request: ChatRequest) -> dict[str, Any] | None:
    choice = request.tool_choice
    if not request.tools:
        return None
    if isinstance(choice, NamedTool):
        config: dict[str, Any] = {"mode": "ANY", "allowedFunctionNames": [choice.name]}
    elif choice == "required":
        config = {"mode": "ANY"}
    elif choice == "none":
        config = {"mode": "NONE"}
    elif any(tool.strict for tool in request.tools):
        # As free to choose as AUTO, but arguments follow their schema.
        config = {"mode": "VALIDATED"}
    elif choice == "auto":
        config = {"mode": "AUTO"}
    else:
        return None
    return {"functionCallingConfig": config}


def _conversation(request: ChatRequest) -> tuple[list[Any], list[dict[str, Any]]]:
    """Instructions, and the turns, neighbours of one role joined."""
    system: list[Any] = []
    contents: list[dict[str, Any]] = []
    for message in request.messages:
        parts = [wire for part in message.content for wire in _parts(request, message, part)]
        role = "model" if message.role is Role.ASSISTANT else "user"
        if not parts:
            continue
        if message.role is Role.SYSTEM:
            if contents:
                raise request.refusal(
                    "messages",
                    f"`{request.model}` takes instructions only before the conversation.",
                    hint="Put the system message first, or say it as the user.",
                )
            system += parts
        elif contents and contents[-1]["role"] == role:
            contents[-1]["parts"] += parts
        else:
            contents.append({"role": role, "parts": parts})
    if not contents:
        raise request.refusal("messages", "There is nothing that an answer could answer.")
    return system, contents


def _parts(  # noqa: C901  # a table: one case for each kind of part
    request: ChatRequest, message: Message, part: Part
) -> Iterator[Any]:
    own = _own_data(request, part)
    match message.role, part:
        case _, OpaquePart(provider_data=data):
            # Byte for byte; what another provider said means nothing here.
            if data.provider == request.model.provider:
                yield msgspec.Raw(data.json)
        case Role.SYSTEM | Role.USER | Role.ASSISTANT, TextPart():
            if part.text or own:  # a signature may come with an empty text
                yield {"text": part.text} | own
        case Role.USER | Role.ASSISTANT, ImagePart():
            yield _media(part) | own
        case Role.USER, FilePart():
            yield _media(part) | own
        case Role.ASSISTANT, ReasoningPart():
            if own:  # thoughts of another provider stay where they were
                yield {"text": part.text} | own
        case Role.ASSISTANT, ToolCall():
            yield _call(part, own)
        case Role.TOOL, ToolResult():
            yield _tool_result(part) | own
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


def _media(part: ImagePart | FilePart) -> dict[str, Any]:
    if part.data is None:
        return {"fileData": _present({"fileUri": part.url, "mimeType": part.media_type})}
    data = b64encode(part.data).decode("ascii")
    return {"inlineData": {"mimeType": part.media_type, "data": data}}


def _call(part: ToolCall, own: dict[str, Any]) -> dict[str, Any]:
    wire = {"id": _id(part.id), "name": part.name, "args": _object(part.raw_arguments)}
    return own | {"functionCall": _present(wire) | own.get("functionCall", {})}


def _id(call_id: str) -> str | None:
    return None if call_id.startswith(NAMELESS) else call_id


def _tool_result(part: ToolResult) -> dict[str, Any]:
    text = "".join(piece.text for piece in part.content if isinstance(piece, TextPart))
    pictures = [_media(piece) for piece in part.content if isinstance(piece, ImagePart)]
    wire = {
        "id": _id(part.call_id),
        "name": part.name,
        "response": {"error" if part.is_error else "output": text},
        "parts": pictures or None,
    }
    return {"functionResponse": _present(wire)}


def _object(raw_arguments: str) -> object:
    """A call's arguments as they were written, or wrapped where they are no JSON object."""
    if not raw_arguments:
        return {}
    try:
        _FIELDS.decode(raw_arguments)
    except UNREADABLE_JSON:
        return {"INVALID_JSON": raw_arguments}
    return msgspec.Raw(raw_arguments.encode())
