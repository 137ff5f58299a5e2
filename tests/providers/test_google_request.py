"""Our requests in Gemini's format, judged by the vendor's own types."""

from __future__ import annotations

from typing import Any

import pytest

from google_wire import ask, refusal, sent
from lattice_lock.messages import (
    FilePart,
    ImagePart,
    Message,
    ModelId,
    NamedTool,
    OpaquePart,
    ProviderData,
    ReasoningEffort,
    ReasoningPart,
    ResponseSchema,
    Role,
    TextPart,
    ToolCall,
    ToolDefinition,
    ToolResult,
)

PNG = b"\x89PNG\r\n"
NOW = ToolDefinition(name="now", parameters={"type": "object"})
STRICT = ToolDefinition(name="now", parameters={"type": "object"}, strict=True)
BUDGETED = "gemini-2.5-flash"


async def test_everything_that_can_be_asked() -> None:
    """System, images, files, sampling, seed, stop, schema, effort and labels all arrive."""
    marked = ProviderData.pack("google", {"mediaResolution": {"level": "MEDIA_RESOLUTION_LOW"}})
    user = Message(
        role=Role.USER,
        content=(
            TextPart(text="Look:"),
            ImagePart(data=PNG, media_type="image/png", provider_data=marked),
            ImagePart(url="https://example.org/a.webp", media_type="image/webp"),
            FilePart(name="a.pdf", data=b"%PDF", media_type="application/pdf"),
            FilePart(name="b", url="https://example.org/files/abc"),
            TextPart(text=""),
        ),
    )
    schema = ResponseSchema(name="n", schema={"type": "object", "additionalProperties": False})
    body = await sent(
        ask(
            Message.system("Be brief."),
            Message.system("Be kind."),
            user,
            max_output_tokens=99,
            temperature=2.0,
            top_p=0.5,
            seed=7,
            stop=("END", "."),
            response_schema=schema,
            reasoning_effort=ReasoningEffort.MEDIUM,
            metadata={"team": "red"},
        )
    )
    assert body["systemInstruction"] == {"parts": [{"text": "Be brief."}, {"text": "Be kind."}]}
    assert body["contents"] == [
        {
            "role": "user",
            "parts": [
                {"text": "Look:"},
                {
                    "inlineData": {"mimeType": "image/png", "data": "iVBORw0K"},
                    "mediaResolution": {"level": "MEDIA_RESOLUTION_LOW"},
                },
                {
                    "fileData": {
                        "fileUri": "https://example.org/a.webp",
                        "mimeType": "image/webp",
                    }
                },
                {"inlineData": {"mimeType": "application/pdf", "data": "JVBERg=="}},
                {"fileData": {"fileUri": "https://example.org/files/abc"}},
            ],
        }
    ]
    assert body["generationConfig"] == {
        "temperature": 2.0,
        "topP": 0.5,
        "maxOutputTokens": 99,
        "stopSequences": ["END", "."],
        "seed": 7,
        "responseMimeType": "application/json",
        "responseJsonSchema": schema.schema,
        "thinkingConfig": {"thinkingLevel": "MEDIUM", "includeThoughts": True},
    }
    assert body["labels"] == {"team": "red"}


async def test_nothing_more_than_asked_is_sent() -> None:
    """A plain question is one text and nothing else."""
    assert await sent(ask()) == {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}


@pytest.mark.parametrize(
    ("choice", "tool", "config"),
    [
        (None, NOW, None),
        ("auto", NOW, {"mode": "AUTO"}),
        ("none", STRICT, {"mode": "NONE"}),
        ("required", NOW, {"mode": "ANY"}),
        (NamedTool(name="now"), NOW, {"mode": "ANY", "allowedFunctionNames": ["now"]}),
        (None, STRICT, {"mode": "VALIDATED"}),
        ("auto", STRICT, {"mode": "VALIDATED"}),
    ],
)
async def test_tool_choice(choice: Any, tool: ToolDefinition, config: object) -> None:
    """Every choice is said in the API's words; a strict tool has its arguments validated."""
    body = await sent(ask(tools=(tool,), tool_choice=choice, parallel_tool_calls=True))
    assert body.get("toolConfig") == (config and {"functionCallingConfig": config})


async def test_a_choice_without_tools_is_not_sent() -> None:
    """Where there is nothing to choose, nothing is said about choosing."""
    assert "toolConfig" not in await sent(ask(tool_choice="auto", parallel_tool_calls=False))


@pytest.mark.parametrize(
    ("model", "effort", "thinking"),
    [
        (BUDGETED, "none", {"thinkingBudget": 0}),
        (BUDGETED, "minimal", {"thinkingBudget": 1024, "includeThoughts": True}),
        (BUDGETED, "max", {"thinkingBudget": 24_576, "includeThoughts": True}),
        ("gemini-3.8-flash", "minimal", {"thinkingLevel": "MINIMAL", "includeThoughts": True}),
        ("gemini-flash-latest", "xhigh", {"thinkingLevel": "XHIGH", "includeThoughts": True}),
        ("gemini-4-argon", "max", {"thinkingLevel": "XHIGH", "includeThoughts": True}),
    ],
)
async def test_reasoning_effort(model: str, effort: str, thinking: object) -> None:
    """New models get a level, those of Gemini 2.5 a budget."""
    model_id = ModelId(provider="google", name=model)
    body = await sent(ask(model=model_id, reasoning_effort=ReasoningEffort(effort)))
    assert body["generationConfig"] == {"thinkingConfig": thinking}


async def test_what_another_provider_said_stays_there() -> None:
    """Reasoning and blocks of another provider are not sent, but its text and calls are."""
    other = ProviderData.pack("anthropic", {"signature": "secret"})
    said = Message(
        role=Role.ASSISTANT,
        content=(
            ReasoningPart(text="hm", provider_data=other),
            OpaquePart(provider_data=other),
            TextPart(text="Yes", provider_data=other),
            ToolCall(id="toolu_1", name="now", raw_arguments="{broken", provider_data=other),
            ToolCall(id="toolu_2", name="now", raw_arguments=""),
        ),
    )
    results = [ToolResult(call_id=f"toolu_{n}", name="now", content=()) for n in (1, 2)]
    thought = Message(role=Role.ASSISTANT, content=(ReasoningPart(text="hm"),))
    body = await sent(ask(Message.user("A"), said, Message.tool(*results), thought))
    assert [turn["role"] for turn in body["contents"]] == ["user", "model", "user"]
    assert body["contents"][1]["parts"] == [
        {"text": "Yes"},
        {
            "functionCall": {
                "id": "toolu_1",
                "name": "now",
                "args": {"INVALID_JSON": "{broken"},
            }
        },
        {"functionCall": {"id": "toolu_2", "name": "now", "args": {}}},
    ]


@pytest.mark.parametrize(
    ("changes", "parameter"),
    [
        ({"temperature": 2.5}, "temperature"),
        ({"tools": (NOW,), "parallel_tool_calls": False}, "parallel_tool_calls"),
        ({"reasoning_effort": ReasoningEffort.NONE}, "reasoning_effort"),
        ({"model": ModelId(provider="google", name="x?key=1")}, "model"),
        ({"model": ModelId(provider="google", name="models/../x")}, "model"),
        ({"messages": (Message.user("A"), Message.system("B"))}, "messages"),
        ({"messages": (Message.system("B"),)}, "messages"),
    ],
)
async def test_what_cannot_be_done_is_refused(changes: dict[str, Any], parameter: str) -> None:
    """A capability that is missing is named before anything is sent."""
    assert (await refusal(**changes)).parameter == parameter


@pytest.mark.parametrize(
    ("role", "part"),
    [
        (Role.USER, ToolCall(id="1", name="now", raw_arguments="{}")),
        (Role.USER, ReasoningPart(text="hm")),
        (Role.ASSISTANT, FilePart(name="a.pdf", data=b"%PDF", media_type="application/pdf")),
        (Role.SYSTEM, ImagePart(data=PNG, media_type="image/png")),
        (Role.TOOL, TextPart(text="sunny")),
        (Role.USER, TextPart(text="")),
    ],
)
async def test_a_part_that_cannot_be_sent_is_refused(role: Role, part: Any) -> None:
    """What has no place in the format is named, instead of left out in silence."""
    error = await refusal(messages=(Message(role=role, content=(part,)),))
    assert error.parameter == "messages"
