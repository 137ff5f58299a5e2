"""Our requests in the format of Converse, judged by botocore's service model."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bedrock_wire import ARN, CLAUDE, OLD, ask, refusal, sent
from lattice_lock.messages import (
    FilePart,
    ImagePart,
    Message,
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
NOW = ToolDefinition(name="now", parameters={"type": "object"}, strict=True)
NOVA = "eu.amazon.nova-2-lite-v1:0"
SONNET = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"
_TOOL_TALK = (
    Message.user("?"),
    Message(role=Role.ASSISTANT, content=(ToolCall(id="1", name="now", raw_arguments="{}"),)),
    Message.tool(ToolResult(call_id="1", name="now", content=())),
)


@pytest.mark.parametrize("stream", [False, True])
async def test_everything_that_a_request_can_say(
    stream: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    """Each part and parameter has its place in the format, and the judge takes all of it."""
    schema = ResponseSchema(name="answer", schema={"type": "object", "title": "Größe"})
    cache = ProviderData.pack("bedrock", {"cachePoint": {"type": "default", "ttl": "1h"}})
    body = await sent(
        ask(
            Message(
                role=Role.SYSTEM,
                content=(TextPart(text="Be kind."), OpaquePart(provider_data=cache)),
            ),
            Message.system("Be brief."),
            Message(
                role=Role.USER,
                content=(
                    TextPart(text="Look:"),
                    TextPart(text=""),
                    ImagePart(data=PNG, media_type="image/png"),
                    ImagePart(url="s3://pictures/a.webp", media_type="image/webp"),
                    FilePart(name="an_nual..rep.pdf", data=b"%PDF", media_type="application/pdf"),
                    FilePart(name="an-nual--rep.pdf", url="s3://files/r.pdf"),
                    FilePart(name="  \t", data=b"a,b", media_type="text/csv"),
                    OpaquePart(provider_data=cache),
                ),
            ),
            Message.user("And?"),
            Message.system("Be quick."),
            model=NOVA,
            max_output_tokens=99,
            temperature=0.5,
            top_p=1.0,
            stop=("END", "."),
            tools=(NOW,),
            response_schema=schema,
            reasoning_effort=ReasoningEffort.HIGH,
            metadata={"team": "r+d"},
        ),
        stream=stream,
    )
    user, system = body["messages"]
    assert body["system"] == [
        {"text": "Be kind."},
        {"cachePoint": {"type": "default", "ttl": "1h"}},
        {"text": "Be brief."},
    ]
    assert user["content"] == [
        {"text": "Look:"},
        {"image": {"format": "png", "source": {"bytes": "iVBORw0K"}}},
        {"image": {"format": "webp", "source": {"s3Location": {"uri": "s3://pictures/a.webp"}}}},
        {
            "document": {
                "name": "an-nual--rep-pdf",
                "format": "pdf",
                "source": {"bytes": "JVBERg=="},
            }
        },
        {
            "document": {
                "name": "an-nual--rep-pdf (2)",
                "format": "pdf",
                "source": {"s3Location": {"uri": "s3://files/r.pdf"}},
            }
        },
        {"document": {"name": "file", "format": "csv", "source": {"bytes": "YSxi"}}},
        {"cachePoint": {"type": "default", "ttl": "1h"}},
        {"text": "And?"},
    ]
    assert system == {"role": "system", "content": [{"text": "Be quick."}]}
    assert body["inferenceConfig"] == {
        "maxTokens": 99,
        "temperature": 0.5,
        "topP": 1.0,
        "stopSequences": ["END", "."],
    }
    (tool,) = body["toolConfig"]["tools"]
    assert tool == {
        "toolSpec": {"name": "now", "inputSchema": {"json": {"type": "object"}}, "strict": True}
    }
    text_format = body["outputConfig"].pop("textFormat")
    definition = text_format["structure"]["jsonSchema"]
    assert (text_format["type"], definition["name"]) == ("json_schema", "answer")
    assert json.loads(definition["schema"]) == schema.schema
    assert body["outputConfig"] == {"effort": "high"}
    assert body["requestMetadata"] == {"team": "r+d"}
    assert "additionalModelRequestFields" not in body


@pytest.mark.parametrize(
    ("choice", "wire"),
    [
        (None, None),
        ("auto", {"auto": {}}),
        ("required", {"any": {}}),
        (NamedTool(name="now"), {"tool": {"name": "now"}}),
    ],
)
async def test_tool_choice(choice: Any, wire: object) -> None:
    """Every choice that the format has is said in its words."""
    body = await sent(ask(tools=(NOW,), tool_choice=choice, parallel_tool_calls=True))
    assert body["toolConfig"].get("toolChoice") == wire


async def test_tools_that_must_not_be_called_are_left_out() -> None:
    """The format has no choice `none`, and leaving the tools out means the same."""
    assert "toolConfig" not in await sent(ask(tools=(NOW,), tool_choice="none"))


@pytest.mark.parametrize(
    ("model", "effort", "limit", "thinking", "words", "max_tokens"),
    [
        (CLAUDE, "none", None, {"type": "disabled"}, None, None),
        (CLAUDE, "minimal", 99, {"type": "adaptive", "display": "summarized"}, "low", 99),
        (CLAUDE, "max", None, {"type": "adaptive", "display": "summarized"}, "max", None),
        (SONNET, "none", 9, {"type": "disabled"}, None, 9),
        (SONNET, "minimal", None, {"type": "enabled", "budget_tokens": 1024}, None, 17_408),
        (SONNET, "high", 8192, {"type": "enabled", "budget_tokens": 4096}, None, 8192),
        (SONNET, "max", 1025, {"type": "enabled", "budget_tokens": 1024}, None, 1025),
        (NOVA, "none", None, None, "none", None),
        (NOVA, "minimal", 5, None, "minimal", 5),
        (ARN, "low", None, None, "low", None),
    ],
)
async def test_reasoning_effort(  # noqa: PLR0917  # a row of the table
    model: str,
    effort: str,
    limit: int | None,
    thinking: dict[str, Any] | None,
    words: str | None,
    max_tokens: int | None,
) -> None:
    """New models get an effort, older Claudes a budget that leaves room for the answer."""
    body = await sent(
        ask(model=model, reasoning_effort=ReasoningEffort(effort), max_output_tokens=limit)
    )
    assert body.get("additionalModelRequestFields", {}).get("thinking") == thinking
    assert body.get("outputConfig", {}).get("effort") == words
    assert body.get("inferenceConfig", {}).get("maxTokens") == max_tokens


@pytest.mark.parametrize(
    "model",
    [
        OLD,
        SONNET,
        NOVA,
        ARN,
        "anthropic.claude-v2:1",
        "anthropic.claude-instant-v1",
        "us.anthropic.claude-sonnet-4-20250514-v1:0",
        "us.anthropic.claude-opus-4-6-v1",
        "anthropic.claude-3-haiku-20240307-v1:0",
        "openai.gpt-oss-120b-1:0",
    ],
)
async def test_models_that_take_sampling_get_it(model: str) -> None:
    """Claude up to 4.6 and other vendors' models are sent their temperature."""
    body = await sent(ask(model=model, temperature=1.0))
    assert body["inferenceConfig"] == {"temperature": 1.0}


@pytest.mark.parametrize("parameter", ["temperature", "top_p"])
@pytest.mark.parametrize(
    "model",
    [
        CLAUDE,
        "anthropic.claude-opus-4-7",
        "anthropic.claude-sonnet-5",
        "anthropic.claude-fable-preview",
        "us.openai.gpt-5.6-sol",
    ],
)
async def test_models_without_sampling_refuse_it(model: str, parameter: str) -> None:
    """Claude from 4.7 on and OpenAI's reasoning models are never sent what they refuse."""
    error = await refusal(model=model, **{parameter: 1.0})
    assert error.parameter == parameter


async def test_what_another_provider_said() -> None:
    """Foreign blocks and unsigned thoughts are left out, and ids that do not fit are replaced."""
    foreign = ProviderData.pack("anthropic", {"signature": "s", "type": "x"})
    long_id = "call|" + "x" * 80
    body = await sent(
        ask(
            Message.user("?"),
            Message(
                role=Role.ASSISTANT,
                content=(
                    ReasoningPart(text="Hm.", provider_data=foreign),
                    ReasoningPart(text="Hm."),
                    OpaquePart(provider_data=foreign),
                    TextPart(text="Hi.", provider_data=foreign),
                    ToolCall(id=long_id, name="now", raw_arguments="", provider_data=foreign),
                    ToolCall(id="a.b:c", name="now", raw_arguments="[1]"),
                ),
            ),
            Message.tool(
                ToolResult(call_id="a.b:c", name="now", content=(TextPart(text=""),)),
                ToolResult(call_id=long_id, name="now", content=(TextPart(text="noon"),)),
            ),
            tools=(NOW,),
        )
    )
    text, call, other = body["messages"][1]["content"]
    assert text == {"text": "Hi."}
    assert call["toolUse"]["input"] == {}
    assert other["toolUse"] == {
        "toolUseId": "a.b:c",
        "name": "now",
        "input": {"INVALID_JSON": "[1]"},
    }
    assert [block["toolResult"]["toolUseId"] for block in body["messages"][2]["content"]] == [
        "a.b:c",
        call["toolUse"]["toolUseId"],
    ]


@pytest.mark.parametrize(
    ("changes", "parameter"),
    [
        ({"seed": 1}, "seed"),
        ({"parallel_tool_calls": False, "tools": (NOW,)}, "parallel_tool_calls"),
        ({"model": NOVA, "temperature": 1.5}, "temperature"),
        ({"metadata": {"team": "r&d"}}, "metadata"),
        ({"metadata": {"": "x"}}, "metadata"),
        ({"metadata": {"k": "x" * 257}}, "metadata"),
        ({"metadata": {str(n): "x" for n in range(17)}}, "metadata"),
        ({"model": "../converse"}, "model"),
        ({"model": "a b"}, "model"),
        ({"tools": (ToolDefinition(name="a.b", parameters={}),)}, "tools"),
        ({"tools": (ToolDefinition(name="a" * 65, parameters={}),)}, "tools"),
        ({"messages": _TOOL_TALK}, "tools"),
        ({"messages": _TOOL_TALK, "tools": (NOW,), "tool_choice": "none"}, "tool_choice"),
        (
            {"model": SONNET, "reasoning_effort": ReasoningEffort.LOW, "max_output_tokens": 1024},
            "max_output_tokens",
        ),
        (
            {
                "model": SONNET,
                "reasoning_effort": ReasoningEffort.LOW,
                "tools": (NOW,),
                "tool_choice": "required",
            },
            "tool_choice",
        ),
    ],
)
async def test_what_cannot_be_done_is_refused(changes: dict[str, Any], parameter: str) -> None:
    """A capability that is missing is named before anything is sent."""
    error = await refusal(**changes)
    assert error.parameter == parameter
    assert error.hint is not None or parameter in str(error)


@pytest.mark.parametrize(
    ("role", "part"),
    [
        (Role.USER, ImagePart(data=b"BM", media_type="image/bmp")),
        (Role.USER, ImagePart(url="https://example.org/a.png", media_type="image/png")),
        (Role.USER, ImagePart(url="s3://pictures/a.png")),
        (Role.USER, FilePart(name="a.zip", data=b"PK", media_type="application/zip")),
        (Role.USER, FilePart(name="a.pdf", url="https://example.org/a.pdf")),
        (Role.USER, ToolCall(id="1", name="now", raw_arguments="{}")),
        (Role.ASSISTANT, ToolCall(id="1", name="a.b", raw_arguments="{}")),
        (Role.ASSISTANT, FilePart(name="a.pdf", data=b"%PDF", media_type="application/pdf")),
        (Role.ASSISTANT, ImagePart(data=PNG, media_type="image/png")),
        (Role.SYSTEM, ImagePart(data=PNG, media_type="image/png")),
        (Role.TOOL, TextPart(text="sunny")),
        (Role.USER, TextPart(text="")),
    ],
)
async def test_a_part_that_cannot_be_sent_is_refused(role: Role, part: Any) -> None:
    """What has no place in the format is named, instead of left out in silence."""
    error = await refusal(messages=(Message(role=role, content=(part,)),), tools=(NOW,))
    assert error.parameter == "messages"
