"""What is known of models."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice_lock.exceptions import ConfigurationError, ModelNotAvailableError
from lattice_lock.messages import ModelId, Usage
from lattice_lock.orchestrator.registry import Lifecycle, ModelRegistry, Prices
from lattice_lock.orchestrator.tasks import Capability
from lattice_lock.providers.discovery import provider_names

if TYPE_CHECKING:
    from pathlib import Path

TODAY = date(2026, 11, 24)
REGISTRY = ModelRegistry()


@pytest.mark.parametrize(
    ("model", "status", "until"),
    [
        ("openai/gpt-4o-mini", Lifecycle.DEPRECATED, date(2027, 1, 14)),
        ("openai/o1", Lifecycle.RETIRED, date(2026, 10, 23)),
        ("openai/o1-mini", Lifecycle.RETIRED, date(2025, 10, 27)),
        ("openai/o1-preview", Lifecycle.RETIRED, date(2025, 7, 28)),
        ("openai/o1-pro", Lifecycle.RETIRED, date(2026, 10, 23)),
        ("openai/gpt-6.1-sol", Lifecycle.ACTIVE, None),
        ("google/gemini-1.5-pro", Lifecycle.RETIRED, date(2025, 9, 24)),
        ("anthropic/claude-3-5-haiku-latest", Lifecycle.RETIRED, date(2026, 2, 19)),
        ("anthropic/claude-opus-4-5", Lifecycle.ACTIVE, None),
        ("anthropic/claude-opus-5-5", Lifecycle.ACTIVE, None),
        ("anthropic/claude-3-opus-20240229", Lifecycle.RETIRED, date(2026, 1, 5)),
        ("anthropic/claude-3.5-opus", Lifecycle.NEVER_RELEASED, None),
    ],
)
def test_models_that_people_ask_for_have_their_true_lifecycle(
    model: str, status: Lifecycle, until: date | None
) -> None:
    """Old and new names are there, each with what became of it."""
    facts = REGISTRY.get(ModelId.parse(model))
    assert facts is not None
    assert (facts.lifecycle(TODAY), facts.shutdown_date) == (status, until)


def test_a_model_retires_on_its_day() -> None:
    """The lifecycle follows the day: the announced one is the first without the model."""
    facts = REGISTRY.find("openai/gpt-4o-mini", on=TODAY)
    assert facts.lifecycle(date(2027, 1, 13)) is Lifecycle.DEPRECATED
    assert facts.lifecycle(date(2027, 1, 14)) is Lifecycle.RETIRED
    with pytest.raises(ModelNotAvailableError, match="not served since 2027-01-14"):
        REGISTRY.find("openai/gpt-4o-mini", on=date(2027, 1, 14))


@pytest.mark.parametrize(
    ("text", "successor"),
    [
        ("claude-3.5-opus", "anthropic/claude-opus-5-5"),
        ("claude-3-5-opus", "anthropic/claude-opus-5-5"),
        ("anthropic/claude-3.5-haiku", "anthropic/claude-haiku-5-5"),
        ("gemini-1.5-pro", "google/gemini-4-argon"),
        ("o1", "openai/gpt-6.1-sol"),
        ("o1-mini", "openai/gpt-6-luna"),
    ],
)
def test_what_is_not_served_names_its_successor(text: str, successor: str) -> None:
    """A retired or never released model is an error that says what to ask, and that is served."""
    with pytest.raises(ModelNotAvailableError) as caught:
        REGISTRY.find(text, on=TODAY)
    assert f"`{successor}`" in (caught.value.hint or "")
    assert REGISTRY.find(successor, on=TODAY).lifecycle(TODAY) is Lifecycle.ACTIVE


def test_names_are_found_in_every_form() -> None:
    """A full id, a bare name and an alias lead to the model of the one who makes it."""
    assert str(REGISTRY.find("gpt-4o-mini", on=TODAY).id) == "openai/gpt-4o-mini"
    assert str(REGISTRY.find("azure/gpt-4o-mini", on=TODAY).id) == "azure/gpt-4o-mini"
    nova = "amazon.nova-pro-v1:0"
    assert str(REGISTRY.find(nova, on=TODAY).id) == f"bedrock/{nova}"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("claude-opus-5.5", "`anthropic/claude-opus-5-5`"),
        ("openai/gpt-6.1-soll", "`openai/gpt-6.1-sol`"),
        ("nothing-like-it-0", "models catalog"),
        ("openai/", "Did you mean `openai/"),
        ("", "models catalog"),
    ],
)
def test_an_unknown_name_is_answered_with_close_ones(text: str, hint: str) -> None:
    """A slip of the pen gets a suggestion, anything else the way to all names."""
    with pytest.raises(ModelNotAvailableError, match="No model") as caught:
        REGISTRY.find(text)
    assert hint in (caught.value.hint or "")


def test_every_line_of_the_data_makes_sense() -> None:
    """Providers exist, abilities are not both had and lacked, tiers rise, successors are served."""
    models = REGISTRY.models()
    assert len(models) > 250
    assert {facts.id.provider for facts in models} <= set(provider_names())
    for facts in models:
        assert not facts.can & facts.cannot, facts.id
        starts = [prices.from_input_tokens for prices in facts.prices]
        assert starts == sorted(set(starts)), facts.id
        assert not starts or starts[0] == 0, facts.id
        assert facts.source, facts.id
        if facts.successor is not None:
            after = REGISTRY.get(facts.successor)
            assert after is not None, facts.id
            assert after.served(TODAY), facts.id
            ends = [one.shutdown_date or date.max for one in (facts, after)]
            assert facts.never_released or ends[0] < ends[1], facts.id


@pytest.mark.parametrize("provider", ["openai", "anthropic", "google", "xai", "mistral", "bedrock"])
def test_every_vendor_has_models_to_ask(provider: str) -> None:
    """Each has models that are served, with tools, and a price."""
    models = [facts for facts in REGISTRY.models(provider) if facts.served(TODAY)]
    assert any(Capability.TOOLS in facts.can and facts.prices for facts in models)


def test_cost_goes_by_classes_of_tokens() -> None:
    """Fresh, cached, written and output tokens each have their price, and are counted once."""
    prices = Prices(
        input=Decimal(2), cached_input=Decimal("0.2"), cache_write=Decimal(3), output=Decimal(10)
    )
    usage = Usage(
        input_tokens=1000,
        cached_input_tokens=600,
        cache_write_tokens=100,
        output_tokens=50,
        reasoning_tokens=40,
    )
    assert prices.cost_usd(usage) == Decimal("0.00152")  # (300*2 + 600*0.2 + 100*3 + 50*10) / 1e6


def test_an_unknown_price_is_not_zero() -> None:
    """Where tokens of a class have no known price the cost is unknown; local models are free."""
    prices = Prices(input=Decimal(2), output=Decimal(10))
    assert prices.cost_usd(Usage(input_tokens=10, cached_input_tokens=1)) is None
    assert prices.cost_usd(Usage(input_tokens=10)) == Decimal("0.00002")
    unpriced = REGISTRY.get(ModelId.parse("openai/gpt-6.2-sol"))
    local = REGISTRY.get(ModelId.parse("local/qwen3"))
    assert unpriced is not None
    assert local is not None
    assert unpriced.cost_usd(Usage(input_tokens=1)) is None
    assert local.cost_usd(Usage(input_tokens=1)) == 0


def test_long_inputs_cost_what_their_tier_does() -> None:
    """Above the bound the whole call has the prices of the tier."""
    facts = REGISTRY.find("openai/gpt-6.1-sol", on=TODAY)
    below = facts.cost_usd(Usage(input_tokens=272_000, output_tokens=1000))
    above = facts.cost_usd(Usage(input_tokens=272_001, output_tokens=1000))
    assert below == Decimal("0.554")
    assert above == Decimal("1.103004")


@given(
    parts=st.tuples(*[st.integers(0, 10**7)] * 4),
    prices=st.tuples(*[st.decimals(0, 1000, places=3)] * 4),
)
def test_cost_is_additive_and_never_negative(
    parts: tuple[int, ...], prices: tuple[Decimal, ...]
) -> None:
    """Two calls together cost what they cost alone, within one tier."""
    held = Prices(input=prices[0], cached_input=prices[1], cache_write=prices[2], output=prices[3])
    fresh, cached, written, output = parts
    usage = Usage(
        input_tokens=fresh + cached + written,
        cached_input_tokens=cached,
        cache_write_tokens=written,
        output_tokens=output,
    )
    cost = held.cost_usd(usage)
    assert cost is not None
    assert cost >= 0
    assert held.cost_usd(usage + usage) == 2 * cost


def test_a_users_models_come_first(tmp_path: Path) -> None:
    """A file of the user's own adds models and providers, and replaces what is built in."""
    path = tmp_path / "models.jsonl"
    path.write_text(
        '\ufeff{"provider": "acme", "name": "echo", "aliases": ["parrot"], "can": ["tools"]}\n\n'
        '{"provider": "openai", "name": "gpt-6.1-sol", "prices": [{"input": "1", "output": "2"}]}\n'
    )
    registry = ModelRegistry(path)
    assert str(registry.find("parrot").id) == "acme/echo"
    assert registry.find("openai/gpt-6.1-sol").prices[0].output == 2
    assert registry.find("openai/gpt-6-luna").prices


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"provider": "p", "name": "a", "prices": [{"input": "-1", "output": "2"}]}', "no price"),
        ('{"provider": "p", "name": "a", "prices": [{"input": "NaN", "output": "2"}]}', "no price"),
        ('{"provider": "p", "name": "a", "colour": "red"}', "colour"),
        ('{"provider": "p", "name": "a", "can": ["fly"]}', "fly"),
        ('{"provider": "p", "name": "first"}', "stands in line 1 already"),
        ('{"provider": "p", "name": "a", "aliases": ["first"]}', "stands in line 1 already"),
        ('{"name": "a"}', "`provider` is missing"),
        ('{"provider": "p", "name": ""}', "is not the name of a model"),
        ('{"provider": "a/b", "name": "c"}', "not a provider id"),
        ('{"provider": "p", "name": "a", "context_tokens": -5}', ">= 1"),
        ('{"provider": "p", "name": "a", "can": ["tools"], "cannot": ["tools"]}', "both in"),
        (
            '{"provider":"p","name":"a","prices":[{"input":"3","output":"9"},{"input":"1","output":"2"}]}',
            "must begin at 0 and rise",
        ),
        ('{"provider": "p"', "truncated"),
        ("[]", "Expected `object`"),
        ('{"provider": "p", "name": "a", "shutdown_date": "soon"}', "Invalid"),
    ],
)
def test_a_wrong_line_is_refused_with_its_place(tmp_path: Path, line: str, words: str) -> None:
    """The error names file and line, and what to do."""
    path = tmp_path / "models.jsonl"
    path.write_text(f'{{"provider": "p", "name": "first"}}\n{line}\n')
    with pytest.raises(ConfigurationError, match=words) as caught:
        ModelRegistry(path).models()
    assert caught.value.message.startswith(f"{path}:2: ")
    assert "docs/reference/models.md" in (caught.value.hint or "")


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """A wrong setting is no empty registry."""
    with pytest.raises(ConfigurationError, match="cannot be read"):
        ModelRegistry(tmp_path / "absent").models()
