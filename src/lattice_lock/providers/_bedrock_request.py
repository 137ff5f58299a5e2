"""Requests in the format of Bedrock's Converse; nothing here sends anything.

Source: botocore's service model `bedrock-runtime` 2023-09-30 (botocore 1.44.5) and
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
"""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
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

__all__ = ["converse_body", "json_object", "present"]

_IMAGE_FORMATS: Mapping[str, str] = {
    "image/png": "png",
    "image/jpeg": "jpeg",
    "image/gif": "gif",
    "image/webp": "webp",
}
_OFFICE = "application/vnd.openxmlformats-officedocument"
_FILE_FORMATS: Mapping[str, str] = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/msword": "doc",
    f"{_OFFICE}.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    f"{_OFFICE}.spreadsheetml.sheet": "xlsx",
    "text/html": "html",
    "text/plain": "txt",
    "text/markdown": "md",
}
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_CALL_ID = re.compile(r"[a-zA-Z0-9_.:-]{1,64}")
_METADATA = re.compile(r"[a-zA-Z0-9\s:_@$#=/+,\-.]{0,256}")
_MAX_METADATA = 16
_MAX_FILE_NAME = 200

_CLAUDE = re.compile(r"claude-(?:instant-)?(?:[a-z]+-|v)?(\d+)(?:-(\d{1,2}))?(?!\d)")
_NEWEST = (99, 0)
# Claude from 4.7 on, and OpenAI's models that reason, refuse sampling parameters.
# https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages.html
_LAST_WITH_SAMPLING = (4, 6)
_GPT = re.compile(r"openai\.gpt-\d")
# Claude 4.5 and older think within a budget; later ones decide themselves and take an effort.
# https://docs.aws.amazon.com/bedrock/latest/userguide/claude-messages-adaptive-thinking.html
_LAST_WITH_BUDGET = (4, 5)
_MIN_BUDGET = 1024
_ROOM_FOR_ANSWER = 16_384
_BUDGETS: Mapping[ReasoningEffort, int] = {
    ReasoningEffort.MINIMAL: _MIN_BUDGET,
    ReasoningEffort.LOW: 2048,
    ReasoningEffort.MEDIUM: 8192,
    ReasoningEffort.HIGH: 16_384,
    ReasoningEffort.XHIGH: 24_576,
    ReasoningEffort.MAX: 32_000,
}

_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def converse_body(request: ChatRequest) -> dict[str, Any]:
    """The JSON body for `request`, streamed or not; only what was asked for is in it.

    Raises:
        InvalidRequestError: the format or the model cannot say what the request says.
    """
    _refuse_unsupported(request)
    system, messages = _Conversation(request).turns()
    max_tokens, thinking, effort = _thinking(request)
    inference = {
        "maxTokens": max_tokens,
        "temperature": request.temperature,
        "topP": request.top_p,
        "stopSequences": list(request.stop) or None,
    }
    output = {"textFormat": _text_format(request), "effort": effort}
    fields: dict[str, Any] = {
        "messages": messages,
        "system": system or None,
        "inferenceConfig": present(inference) or None,
        "toolConfig": _tool_config(request),
        "additionalModelRequestFields": None if thinking is None else {"thinking": thinking},
        "outputConfig": present(output) or None,
        "requestMetadata": dict(request.metadata) or None,
    }
    return present(fields)


def present(fields: Mapping[str, Any]) -> dict[str, Any]:
    """`fields` without those that are None."""
    return {name: value for name, value in fields.items() if value is not None}


def _refuse_unsupported(request: ChatRequest) -> None:
    if request.seed is not None:
        raise request.refusal(
            "seed",
            f"`{request.model}` takes no `seed`: Converse has none.",
            hint="Leave it out, or choose a model of `google` or `local`.",
        )
    if request.parallel_tool_calls is False:
        raise request.refusal(
            "parallel_tool_calls",
            f"`{request.model}` cannot be told to call one tool at a time: Converse has no "
            "`parallel_tool_calls`.",
            hint="Leave it out, or choose a model of `anthropic` or `openai`.",
        )
    for name in ("temperature", "top_p"):
        value: float | None = getattr(request, name)
        if value is None:
            continue
        version = _claude_version(request.model.name)
        if (version or (0, 0)) > _LAST_WITH_SAMPLING or _GPT.search(request.model.name):
            raise request.refusal(
                name,
                f"`{request.model}` takes no `{name}`: it has no sampling parameters.",
                hint="Leave it out, or choose Claude 4.6 or older, or a model of another family.",
            )
        if value > 1:
            raise request.refusal(name, f"`{name}` is at most 1 for `{request.model}`.")
    _refuse_metadata(request)


def _refuse_metadata(request: ChatRequest) -> None:
    labels = [*request.metadata.keys(), *request.metadata.values()]
    fits = all(map(_METADATA.fullmatch, labels)) and "" not in request.metadata
    if not fits or len(request.metadata) > _MAX_METADATA:
        raise request.refusal(
            "metadata",
            f"`{request.model}` takes at most {_MAX_METADATA} labels of up to 256 characters.",
            hint="Use ASCII letters, digits, spaces and `:_@$#=/+,-.` only.",
        )


def _claude_version(name: str) -> tuple[int, int] | None:
    """Which Claude `name` is, None for other models; one without a number is taken for new."""
    if "claude" not in name:
        return None
    match = _CLAUDE.search(name)
    return _NEWEST if match is None else (int(match[1]), int(match[2] or 0))


def _thinking(request: ChatRequest) -> tuple[int | None, dict[str, Any] | None, str | None]:
    """The bound on the answer, how Claude is to think, and the effort."""
    asked, limit = request.reasoning_effort, request.max_output_tokens
    version = _claude_version(request.model.name)
    if asked is None or version is None:
        return limit, None, asked
    if asked is ReasoningEffort.NONE:
        return limit, {"type": "disabled"}, None
    if version > _LAST_WITH_BUDGET:
        effort = ReasoningEffort.LOW if asked is ReasoningEffort.MINIMAL else asked
        # Without `summarized`, newer models sign their thoughts but do not show them.
        return limit, {"type": "adaptive", "display": "summarized"}, effort
    if request.tool_choice == "required" or isinstance(request.tool_choice, NamedTool):
        raise request.refusal(
            "tool_choice",
            f"`{request.model}` cannot be forced to call a tool while it thinks.",
            hint="Leave out `tool_choice` or `reasoning_effort`, or choose Claude 4.6 or newer.",
        )
    if limit is not None and limit <= _MIN_BUDGET:
        raise request.refusal(
            "max_output_tokens",
            f"`{request.model}` thinks only with `max_output_tokens` above {_MIN_BUDGET}.",
        )
    budget = _BUDGETS[asked]
    if limit is not None:
        budget = min(budget, max(_MIN_BUDGET, limit // 2))
    bound = budget + _ROOM_FOR_ANSWER if limit is None else limit
    return bound, {"type": "enabled", "budget_tokens": budget}, None


def _text_format(request: ChatRequest) -> dict[str, Any] | None:
    schema = request.response_schema
    if schema is None:
        return None
    # The schema is sent as a text.
    definition = {"name": schema.name, "schema": msgspec.json.encode(schema.schema).decode()}
    return {"type": "json_schema", "structure": {"jsonSchema": definition}}


class _Conversation:
    """The messages of one request, in the format; files get names that are unique within it."""

    def __init__(self, request: ChatRequest) -> None:
        self._request = request
        self._file_names: set[str] = set()

    def turns(self) -> tuple[list[Any], list[dict[str, Any]]]:
        """Instructions before the first turn, and the turns, neighbours of one role joined."""
        system: list[Any] = []
        messages: list[dict[str, Any]] = []
        for message in self._request.messages:
            blocks = [block for part in message.content for block in self._blocks(message, part)]
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
            raise self._request.refusal("messages", "There is nothing to answer.")
        return system, messages

    def _blocks(  # noqa: C901  # a table: one case for each kind of part
        self, message: Message, part: Part
    ) -> Iterator[Any]:
        request = self._request
        own = _own_data(request, part)
        match message.role, part:
            case _, OpaquePart(provider_data=data):
                # Byte for byte; what another provider said means nothing here.
                if data.provider == request.model.provider:
                    yield msgspec.Raw(data.json)
            case Role.SYSTEM | Role.USER | Role.ASSISTANT, TextPart():
                if "citationsContent" in own:
                    yield own
                elif part.text:  # empty ones are refused
                    yield {"text": part.text}
            case Role.USER, ImagePart():
                yield {"image": _image(request, part)}
            case Role.USER, FilePart():
                yield {"document": self._document(part)}
            case Role.ASSISTANT, ReasoningPart():
                if own:  # models refuse thoughts without their signature
                    yield {"reasoningContent": {"reasoningText": {"text": part.text} | own}}
            case Role.ASSISTANT, ToolCall():
                yield {"toolUse": _tool_use(request, part)}
            case Role.TOOL, ToolResult():
                yield {"toolResult": _tool_result(request, part)}
            case _:
                raise request.refusal(
                    "messages",
                    f"`{request.model}` cannot be sent a {type(part).__name__} in a message of "
                    f"the role `{message.role}`.",
                    hint="Leave it out, or move it to a message of another role.",
                )

    def _document(self, part: FilePart) -> dict[str, Any]:
        kind = part.media_type or "application/pdf"
        wire_format = _FILE_FORMATS.get(kind)
        if wire_format is None:
            _refuse(
                self._request,
                f"a file of type `{kind}`",
                "Send PDF, CSV, Word, Excel, HTML, Markdown or plain text.",
            )
        source = _source(self._request, part.data, part.url)
        return {"name": self._file_name(part.name), "format": wire_format, "source": source}

    def _file_name(self, name: str) -> str:
        """`name` in the characters that a document may have, and told apart from the others.

        Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_DocumentBlock.html
        """
        plain = " ".join(re.sub(r"[^A-Za-z0-9\s()\[\]-]", "-", name).split()) or "file"
        number = 1
        unique = plain[:_MAX_FILE_NAME]
        while unique in self._file_names:
            number += 1
            suffix = f" ({number})"
            unique = plain[: _MAX_FILE_NAME - len(suffix)] + suffix
        self._file_names.add(unique)
        return unique


def _own_data(request: ChatRequest, part: Part) -> dict[str, Any]:
    data = part.provider_data
    if data is None or data.provider != request.model.provider or isinstance(part, OpaquePart):
        return {}
    value = data.unpack()
    return value if isinstance(value, dict) else {}


def _image(request: ChatRequest, part: ImagePart) -> dict[str, Any]:
    wire_format = _IMAGE_FORMATS.get(part.media_type or "")
    if wire_format is None:
        _refuse(
            request,
            f"an image of type `{part.media_type}`",
            "Convert it to JPEG, PNG, GIF or WebP, and give `media_type`.",
        )
    return {"format": wire_format, "source": _source(request, part.data, part.url)}


def _source(request: ChatRequest, data: bytes | None, url: str | None) -> dict[str, Any]:
    if data is not None:
        return {"bytes": b64encode(data).decode("ascii")}
    if url is None or not url.startswith("s3://"):
        _refuse(request, "an address outside S3", "Send bytes, or an address `s3://bucket/key`.")
    return {"s3Location": {"uri": url}}


def _refuse(request: ChatRequest, what: str, hint: str) -> NoReturn:
    raise request.refusal("messages", f"`{request.model}` cannot read {what}.", hint=hint)


def _tool_use(request: ChatRequest, call: ToolCall) -> dict[str, Any]:
    name = _tool_name(request, call.name, "messages")
    return {"toolUseId": _call_id(call.id), "name": name, "input": json_object(call.raw_arguments)}


def json_object(raw_arguments: str) -> object:
    """A call's arguments as they were written, or wrapped where they are no JSON object.

    The format has objects only; the model sees what it wrote, under a name that says so.
    """
    if not raw_arguments:
        return {}
    try:
        _FIELDS.decode(raw_arguments)
    except UNREADABLE_JSON:
        return {"INVALID_JSON": raw_arguments}
    return msgspec.Raw(raw_arguments.encode())


def _tool_result(request: ChatRequest, result: ToolResult) -> dict[str, Any]:
    content = [
        {"image": _image(request, piece)} if isinstance(piece, ImagePart) else {"text": piece.text}
        for piece in result.content
        if isinstance(piece, ImagePart) or piece.text
    ]
    status = "error" if result.is_error else None
    wire = {"toolUseId": _call_id(result.call_id), "content": content, "status": status}
    return present(wire)


def _call_id(call_id: str) -> str:
    """The id, or, where another provider's does not fit, one that is always made of it."""
    if _CALL_ID.fullmatch(call_id):
        return call_id
    return f"call_{sha256(call_id.encode()).hexdigest()[:32]}"


def _tool_name(request: ChatRequest, name: str, parameter: str) -> str:
    if _TOOL_NAME.fullmatch(name):
        return name
    raise request.refusal(
        parameter,
        f"`{request.model}` takes no tool named `{name}`.",
        hint="Use at most 64 ASCII letters, digits, `_` and `-`.",
    )


def _tool_config(request: ChatRequest) -> dict[str, Any] | None:
    if not request.tools or request.tool_choice == "none":
        _refuse_calls_without_tools(request)
        return None
    config: dict[str, Any] = {"tools": [_tool(request, tool) for tool in request.tools]}
    choice = request.tool_choice
    if isinstance(choice, NamedTool):
        config["toolChoice"] = {"tool": {"name": choice.name}}
    elif choice is not None:
        config["toolChoice"] = {"any" if choice == "required" else "auto": {}}
    return config


def _refuse_calls_without_tools(request: ChatRequest) -> None:
    # Tools that must not be called are left out, which Bedrock refuses beside calls and results.
    parts = (part for message in request.messages for part in message.content)
    if any(isinstance(part, ToolCall | ToolResult) for part in parts):
        raise request.refusal(
            "tool_choice" if request.tools else "tools",
            f"`{request.model}` needs `tools`, and a `tool_choice` other than `none`, in a "
            "conversation that holds tool calls.",
            hint="Give the tools with `tool_choice` `auto`, or choose a model of another provider.",
        )


def _tool(request: ChatRequest, tool: ToolDefinition) -> dict[str, Any]:
    spec = {
        "name": _tool_name(request, tool.name, "tools"),
        "description": tool.description or None,
        "inputSchema": {"json": tool.parameters},
        "strict": tool.strict,
    }
    return {"toolSpec": present(spec)}
