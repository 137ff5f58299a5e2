"""What a model is known not to be able to do is refused before anything is sent."""

from __future__ import annotations

from contextlib import aclosing
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from lattice_lock.bootstrap import open_clients
from lattice_lock.exceptions import ConfigurationError, InvalidRequestError
from lattice_lock.messages import (
    FilePart,
    ImagePart,
    Message,
    ModelId,
    ReasoningEffort,
    ResponseSchema,
    Role,
    StreamEnd,
    TextPart,
    ToolDefinition,
    ToolResult,
)
from lattice_lock.orchestrator.capability_gate import needed_capabilities
from lattice_lock.settings import Settings
from wire_server import NOWHERE, answer, ask, delta, event, events, serving, whole

if TYPE_CHECKING:
    from pathlib import Path

PICTURE = ImagePart(data=b"x", media_type="image/png")
TOOL = ToolDefinition(name="weather", parameters={"type": "object"})
SHOWN = ToolResult(call_id="1", name="weather", content=(PICTURE,))
LACKS_ALL = (
    '{"provider": "local", "name": "qwen", "max_output_tokens": 100, "cannot": ["vision", "files",'
    ' "tools", "parallel_tool_calls", "structured_output", "reasoning", "sampling"],'
    ' "prices": [{"input": "1", "output": "10"}]}\n'
)
NEEDS: dict[str, dict[str, Any]] = {
    "vision": {"messages": (Message(role=Role.USER, content=(PICTURE,)),)},
    "files": {
        "messages": (
            Message(
                role=Role.USER, content=(FilePart(name="a", data=b"x", media_type="text/plain"),)
            ),
        )
    },
    "tools": {"tools": (TOOL,)},
    "structured_output": {"response_schema": ResponseSchema(name="s", schema={"type": "string"})},
    "reasoning": {"reasoning_effort": ReasoningEffort.LOW},
    "sampling": {"temperature": 0.5},
}


def settings_with(folder: Path, url: str, lines: str) -> Settings:
    """Settings with a local server at `url` and these models."""
    path = folder / "models.jsonl"
    path.write_text(lines)
    environment = {"LATTICE_LOCK_LOCAL_URL": url, "LATTICE_LOCK_MODELS_FILE": str(path)}
    return Settings.load(environment=environment, dotenv=NOWHERE)


@pytest.mark.parametrize("capability", NEEDS)
async def test_what_a_model_lacks_is_refused(tmp_path: Path, capability: str) -> None:
    """Whole or streamed, nothing is sent; the error names capability, parameter and able models."""
    async with (
        serving(answer(whole())) as server,
        open_clients(settings_with(tmp_path, server.url, LACKS_ALL), ["local"]) as clients,
    ):
        request = ask(**NEEDS[capability])
        with pytest.raises(InvalidRequestError, match=f"capability `{capability}`") as caught:
            await clients["local"].chat_completion(request)
        with pytest.raises(InvalidRequestError, match=f"capability `{capability}`"):
            [_ async for _ in clients["local"].stream(request)]
    assert server.requests == []
    assert caught.value.parameter in {*NEEDS[capability], "temperature"}
    if capability in {"vision", "tools", "structured_output", "reasoning"}:
        assert "These have it: `" in (caught.value.hint or "")
        assert (caught.value.hint or "").count("/") == 5


async def test_a_bound_on_output_is_kept(tmp_path: Path) -> None:
    """More tokens than the model writes are refused with the number; as many are sent."""
    async with (
        serving(answer(whole())) as server,
        open_clients(settings_with(tmp_path, server.url, LACKS_ALL), ["local"]) as clients,
    ):
        with pytest.raises(InvalidRequestError, match="at most 100 tokens") as caught:
            await clients["local"].chat_completion(ask(max_output_tokens=101))
        await clients["local"].chat_completion(ask(max_output_tokens=100))
    assert caught.value.parameter == "max_output_tokens"
    assert len(server.requests) == 1


async def test_what_is_unknown_passes(tmp_path: Path) -> None:
    """Neither an unknown model nor an unknown ability is a reason to refuse."""
    lines = '{"provider": "local", "name": "qwen"}\n'
    async with serving(answer(whole('"Hi"'))) as server:
        for own in (lines, "\n"):
            async with open_clients(settings_with(tmp_path, server.url, own), ["local"]) as clients:
                for need in ("tools", "structured_output", "sampling"):
                    await clients["local"].chat_completion(ask(**NEEDS[need]))
    assert len(server.requests) == 6


async def test_an_answer_says_its_price(tmp_path: Path) -> None:
    """Whole and streamed answers carry US dollars by the registry's prices."""
    usage = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
    stream = events(delta("Hi", finish="stop"), event(choices=[], usage=usage), "data: [DONE]\n\n")
    path = tmp_path / "models.jsonl"
    path.write_text(
        '{"provider": "groq", "name": "m", "prices": [{"input": "1", "output": "10"}]}\n'
    )
    known, unknown = (ask(model=ModelId(provider="groq", name=name)) for name in ("m", "n"))
    async with serving(answer(whole(usage=usage)), stream, answer(whole())) as server:
        environment = {
            "GROQ_BASE_URL": server.url,
            "GROQ_API_KEY": "k",
            "LATTICE_LOCK_MODELS_FILE": str(path),
        }
        settings = Settings.load(environment=environment, dotenv=NOWHERE)
        async with open_clients(settings, ["groq"]) as clients:
            answered = await clients["groq"].chat_completion(known)
            async with aclosing(clients["groq"].stream(known)) as streamed:
                end = [item async for item in streamed][-1]
            unpriced = await clients["groq"].chat_completion(unknown)
    assert isinstance(end, StreamEnd)
    assert answered.cost_usd == end.response.cost_usd == Decimal("0.002")
    assert unpriced.cost_usd is None


async def test_a_wrong_file_is_refused_when_clients_open(tmp_path: Path) -> None:
    """A registry that cannot be read is an error with its line, before any call."""
    with pytest.raises(ConfigurationError, match=r"models\.jsonl:1"):
        async with open_clients(settings_with(tmp_path, "http://127.0.0.1:9/v1", "{"), ["local"]):
            pass


def test_needs_are_read_from_the_request() -> None:
    """A picture inside a tool's result needs vision too; asking for no reasoning needs none."""
    shown = Message(role=Role.TOOL, content=(SHOWN,))
    assert list(needed_capabilities(ask(messages=(shown,)))) == ["vision"]
    assert list(needed_capabilities(ask(reasoning_effort=ReasoningEffort.NONE))) == []
    plain = Message(role=Role.USER, content=(TextPart(text="x"),))
    assert list(needed_capabilities(ask(messages=(plain,), top_p=0.5))) == ["sampling"]
    assert list(needed_capabilities(ask(tools=(TOOL,), parallel_tool_calls=True))) == [
        "tools",
        "parallel_tool_calls",
    ]
