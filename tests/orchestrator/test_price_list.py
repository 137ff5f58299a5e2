"""What models cost of which our data do not say it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from genai_prices import Usage as ListUsage
from genai_prices import calc_price

from lattice_lock.messages import (
    ChatRequest,
    ChatResponse,
    FinishReason,
    Message,
    ModelId,
    Role,
    TextPart,
    Usage,
)
from lattice_lock.orchestrator.model_facts import FREE, cost_usd
from lattice_lock.orchestrator.price_list import known_prices, look_up
from lattice_lock.orchestrator.pricing import PriceTag
from lattice_lock.orchestrator.registry import ModelRegistry

if TYPE_CHECKING:
    from pathlib import Path

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
OPEN = ModelId(provider="openrouter", name="openai/gpt-4o-mini")


@pytest.mark.parametrize(
    ("text", "provider"),
    [
        ("openai/gpt-6.1-sol", "openai"),
        ("bedrock/us.anthropic.claude-haiku-5-5", "aws"),
        ("xai/grok-4.7", "x-ai"),
        ("azure/gpt-4o-mini", "azure"),
        ("openrouter/openai/gpt-4o-mini", "openrouter"),
    ],
)
@pytest.mark.parametrize("input_tokens", [1, 150_000, 250_000, 300_000])
def test_costs_are_those_of_the_list(text: str, provider: str, input_tokens: int) -> None:
    """Our prices of each tier and class come to what the list itself makes of the same usage."""
    model = ModelId.parse(text)
    usage = Usage(
        input_tokens=input_tokens, cached_input_tokens=input_tokens // 3, output_tokens=700
    )
    theirs = calc_price(
        ListUsage(
            input_tokens=usage.input_tokens,
            cache_read_tokens=usage.cached_input_tokens,
            output_tokens=usage.output_tokens,
        ),
        model_ref=model.name,
        provider_id=provider,
        genai_request_timestamp=NOON,
    )
    assert cost_usd(look_up(model, NOON).prices, usage) == theirs.total_price


def test_a_price_by_the_hour_is_the_dearest() -> None:
    """Nobody's budget is exceeded by calling when it is dear."""
    model = ModelId(provider="deepseek", name="deepseek-v4-pro")
    at_noon, at_two = (look_up(model, NOON.replace(hour=hour)) for hour in (12, 2))
    assert at_noon.prices == at_two.prices
    assert at_noon.prices[0].output == Decimal("3.96")


@pytest.mark.parametrize(
    "text", ["openai/gpt-6.2-sol", "acme/echo", "dial/gpt-4o", "openai/text-embedding-3-small"]
)
def test_what_the_list_does_not_know_stays_unknown(text: str) -> None:
    """A model, provider or price for answers that is missing is no price, and never zero."""
    assert look_up(ModelId.parse(text)).prices == ()


async def test_what_the_data_say_counts_before_the_list(tmp_path: Path) -> None:
    """A price of the user's is kept; without one the list is asked; local models are free."""
    path = tmp_path / "models.jsonl"
    line = {"provider": OPEN.provider, "name": OPEN.name, "prices": [{"input": 1, "output": 2}]}
    path.write_text(json.dumps(line))
    own, registry = ModelRegistry(path), ModelRegistry()
    for one in (own, registry):
        await asyncio.to_thread(one.models)
    assert (await known_prices(own, OPEN))[0].output == 2
    assert (await known_prices(registry, OPEN))[0].output == Decimal("0.6")
    assert await known_prices(registry, ModelId(provider="local", name="never-heard-of")) == (FREE,)
    cloud = ModelId(provider="local", name="qwen3-coder:480b-cloud")
    assert await known_prices(registry, cloud) == ()


@pytest.mark.parametrize(
    ("model", "cost"),
    [
        (OPEN, Decimal("0.00075")),
        (ModelId(provider="openai", name="gpt-6.2-sol"), None),
        (ModelId(provider="local", name="never-heard-of"), Decimal(0)),
    ],
)
async def test_answers_of_models_without_a_price_of_ours_are_priced_by_the_list(
    model: ModelId, cost: Decimal | None
) -> None:
    """The layer around calls says what the list says, unknown where it says nothing."""

    async def answer(request: ChatRequest) -> ChatResponse:
        return ChatResponse(
            model=request.model,
            message=Message(role=Role.ASSISTANT, content=(TextPart(text="Hi"),)),
            finish_reason=FinishReason.STOP,
            usage=Usage(input_tokens=1000, output_tokens=1000),
        )

    registry = ModelRegistry()
    await asyncio.to_thread(registry.models, model.provider)
    request = ChatRequest(model=model, messages=(Message.user("Hi"),))
    response = await PriceTag(registry).chat_completion(request, answer)
    assert response.cost_usd == cost


def test_the_list_is_imported_for_unpriced_models_alone_and_fetches_nothing() -> None:
    """A priced model does without it, an unpriced one needs no network."""
    program = """
import asyncio, socket, sys
def refuse(*arguments): raise AssertionError("a connection")
socket.socket.connect = socket.getaddrinfo = refuse
from lattice_lock.messages import ModelId
from lattice_lock.orchestrator.price_list import known_prices
from lattice_lock.orchestrator.registry import ModelRegistry
registry = ModelRegistry()
assert asyncio.run(known_prices(registry, ModelId.parse("openai/gpt-6.1-sol")))
assert "genai_prices" not in sys.modules
assert asyncio.run(known_prices(registry, ModelId.parse("openrouter/openai/gpt-4o-mini")))
assert "genai_prices" in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
