"""Our requests in Anthropic's format, judged by the vendor's own types."""

from __future__ import annotations

from typing import Any

import pytest

from anthropic_wire import (
    anthropic_server,
    ask,
    judge,
    our_client,
    payload,
    refusal,
    sent,
    whole,
)
from lattice_lock.exceptions import (
    InvalidRequestError,
)
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
NOW = ToolDefinition(name="now", parameters={"type": "object"}, strict=True)
SIGNED = "claude-haiku-4-5-20251001"


async def test_what_another_provider_said_stays_there() -> None:
    """Reasoning and blocks of another provider are not sent, but its text and calls are."""
    other = ProviderData.pack("openai", {"type": "reasoning", "encrypted_content": "secret"})
    said = Message(
        role=Role.ASSISTANT,
        content=(
            ReasoningPart(text="hm", provider_data=other),
            OpaquePart(provider_data=other),
            TextPart(text="Yes", provider_data=other),
            ToolCall(id="call_1", name="now", raw_arguments="{broken", provider_data=other),
            ToolCall(id="call_2", name="now", raw_arguments=""),
        ),
    )
    results = [ToolResult(call_id=f"call_{n}", name="now", content=()) for n in (1, 2)]
    thought = Message(role=Role.ASSISTANT, content=(ReasoningPart(text="hm"),))
    body = await sent(ask(Message.user("A"), said, Message.tool(*results), thought))
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    assert body["messages"][1]["content"] == [
        {"type": "text", "text": "Yes"},
        {"type": "tool_use", "id": "call_1", "name": "now", "input": {"INVALID_JSON": "{broken"}},
        {"type": "tool_use", "id": "call_2", "name": "now", "input": {}},
    ]


async def test_everything_that_can_be_asked() -> None:
    """System, images, files, stop, schema, effort, cache markers and metadata all arrive."""
    cached = ProviderData.pack("anthropic", {"cache_control": {"type": "ephemeral", "ttl": "1h"}})
    user = Message(
        role=Role.USER,
        content=(
            TextPart(text="Look:", provider_data=cached),
            ImagePart(data=PNG, media_type="image/png"),
            ImagePart(url="https://example.org/a.webp"),
            FilePart(name="a.pdf", data=b"%PDF", media_type="application/pdf"),
            FilePart(name="b.pdf", url="https://example.org/b.pdf"),
            FilePart(name="c.md", data="Grüße".encode(), media_type="text/markdown"),
            TextPart(text=""),
        ),
    )
    schema = ResponseSchema(name="n", schema={"type": "object", "additionalProperties": False})
    request = ask(
        Message.system("Be brief."),
        Message.system("Be kind."),
        user,
        Message.system("Be quick."),
        stop=("END", "."),
        response_schema=schema,
        reasoning_effort=ReasoningEffort.XHIGH,
        metadata={"user_id": "u-1", "team": "red"},
        parallel_tool_calls=False,
        tools=(NOW,),
    )
    body = await sent(request)
    assert [block["text"] for block in body["system"]] == ["Be brief.", "Be kind."]
    texts, *media = body["messages"][0]["content"]
    assert texts["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    assert [(block["type"], block["source"]["type"]) for block in media] == [
        ("image", "base64"),
        ("image", "url"),
        ("document", "base64"),
        ("document", "url"),
        ("document", "text"),
    ]
    assert (media[0]["source"]["data"], media[4]["source"]["data"]) == ("iVBORw0K", "Grüße")
    assert body["messages"][1] == {
        "role": "system",
        "content": [{"type": "text", "text": "Be quick."}],
    }
    assert body["stop_sequences"] == ["END", "."]
    assert body["thinking"] == {"type": "adaptive", "display": "summarized"}
    assert body["output_config"] == {
        "effort": "xhigh",
        "format": {"type": "json_schema", "schema": schema.schema},
    }
    assert body["metadata"] == {"user_id": "u-1"}
    assert body["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    assert body["max_tokens"] == 16_384


@pytest.mark.parametrize(
    ("choice", "parallel", "wire"),
    [
        (None, None, None),
        (None, True, None),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        ("auto", None, {"type": "auto"}),
        ("none", False, {"type": "none"}),
        ("required", None, {"type": "any"}),
        ("required", False, {"type": "any", "disable_parallel_tool_use": True}),
        (NamedTool(name="now"), None, {"type": "tool", "name": "now"}),
        (
            NamedTool(name="now"),
            False,
            {"type": "tool", "name": "now", "disable_parallel_tool_use": True},
        ),
    ],
)
async def test_tool_choice(choice: Any, parallel: bool | None, wire: object) -> None:  # noqa: FBT001  # a parameter of the test
    """Every choice, alone and with one call at a time, is said in the API's words."""
    body = await sent(ask(tools=(NOW,), tool_choice=choice, parallel_tool_calls=parallel))
    assert body.get("tool_choice") == wire


async def test_a_choice_without_tools_is_not_sent() -> None:
    """The API refuses a choice where there is nothing to choose, and `auto` says nothing."""
    assert "tool_choice" not in await sent(ask(tool_choice="auto", parallel_tool_calls=False))


@pytest.mark.parametrize(
    ("model", "effort", "limit", "thinking", "words", "max_tokens"),
    [
        ("claude-opus-5-5", "none", None, {"type": "disabled"}, None, 16_384),
        ("claude-opus-4-6", "minimal", 99, {"type": "adaptive"}, "low", 99),
        ("claude-sonnet-5", "max", None, {"type": "adaptive"}, "max", 16_384),
        (SIGNED, "none", None, {"type": "disabled"}, None, 16_384),
        (SIGNED, "minimal", None, {"budget_tokens": 1024}, None, 17_408),
        (SIGNED, "high", None, {"budget_tokens": 16_384}, None, 32_768),
        ("claude-opus-4-5", "high", 8192, {"budget_tokens": 4096}, None, 8192),
        ("claude-sonnet-4-20250514", "max", 1025, {"budget_tokens": 1024}, None, 1025),
    ],
)
async def test_reasoning_effort(  # noqa: PLR0917  # a row of the table
    model: str,
    effort: str,
    limit: int | None,
    thinking: dict[str, Any],
    words: str | None,
    max_tokens: int,
) -> None:
    """New models get an effort, older ones a budget that leaves room for the answer."""
    body = await sent(
        ask(
            model=ModelId(provider="anthropic", name=model),
            reasoning_effort=ReasoningEffort(effort),
            max_output_tokens=limit,
        )
    )
    assert body["thinking"].items() >= thinking.items()
    assert body.get("output_config", {}).get("effort") == words
    assert body["max_tokens"] == max_tokens


@pytest.mark.parametrize(
    ("changes", "parameter"),
    [
        ({"temperature": 1.0}, "temperature"),
        ({"top_p": 0.5}, "top_p"),
        ({"seed": 1}, "seed"),
        (
            {
                "model": ModelId(provider="anthropic", name=SIGNED),
                "reasoning_effort": ReasoningEffort.LOW,
                "max_output_tokens": 1024,
            },
            "max_output_tokens",
        ),
        (
            {
                "model": ModelId(provider="anthropic", name=SIGNED),
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
    assert parameter in str(error)


@pytest.mark.parametrize(
    ("role", "part"),
    [
        (Role.USER, ImagePart(data=b"BM", media_type="image/bmp")),
        (Role.USER, FilePart(name="a.zip", data=b"PK", media_type="application/zip")),
        (Role.USER, FilePart(name="a.txt", data=b"\xff", media_type="text/plain")),
        (Role.USER, FilePart(name="a.txt", url="https://example.org", media_type="text/plain")),
        (Role.USER, ToolCall(id="1", name="now", raw_arguments="{}")),
        (Role.ASSISTANT, FilePart(name="a.pdf", data=b"%PDF", media_type="application/pdf")),
        (Role.ASSISTANT, ImagePart(data=PNG, media_type="image/png")),
        (Role.SYSTEM, ImagePart(data=PNG, media_type="image/png")),
        (Role.TOOL, TextPart(text="sunny")),
        (Role.USER, TextPart(text="")),
    ],
)
async def test_a_part_that_cannot_be_sent_is_refused(role: Role, part: Any) -> None:
    """What has no place in the format is named, instead of left out in silence."""
    error = await refusal(messages=(Message(role=role, content=(part,)),))
    assert error.parameter == "messages"


async def test_an_older_version_of_the_api_takes_sampling() -> None:
    """Under `2023-06-01` temperature and top_p are sent, within its range."""
    version = {"LATTICE_LOCK_ANTHROPIC_VERSION": "2023-06-01"}
    async with (
        anthropic_server(whole(payload("text"))) as server,
        our_client(server.url, **version) as client,
    ):
        await client.chat_completion(ask(temperature=0.5, top_p=1.0))
        with pytest.raises(InvalidRequestError, match="at most 1"):
            await client.chat_completion(ask(temperature=1.5))
    (request,) = server.requests
    body = judge(request, version="2023-06-01")
    assert (body["temperature"], body["top_p"]) == (0.5, 1.0)
