"""What is known of models."""

from __future__ import annotations

import json
import re
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice_lock.exceptions import (
    ConfigurationError,
    LatticeSchemaError,
    ModelNotAvailableError,
    UsageError,
)
from lattice_lock.messages import ChatRequest, Message, ModelId, ReasoningEffort, Usage
from lattice_lock.orchestrator.model_entries import Entry
from lattice_lock.orchestrator.quality import PRIOR
from lattice_lock.orchestrator.registry import (
    CostTier,
    Lifecycle,
    ModelFacts,
    ModelRegistry,
    Prices,
    is_free,
)
from lattice_lock.orchestrator.tasks import Capability, TaskType
from lattice_lock.providers.azure import AzureClient
from lattice_lock.providers.discovery import provider_names
from lattice_lock.providers.openai import OpenAIClient
from lattice_lock.providers.openai_models import model_traits
from lattice_lock.providers.transport import Transport
from lattice_lock.settings import Settings
from wire_server import NOWHERE

if TYPE_CHECKING:
    from collections.abc import Mapping

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "models.md"
EXPECTED = (Path(__file__).parent / "expected_models.txt").read_text(encoding="utf-8")
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
    assert caught.value.successor == successor
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
        ("nothing-like-it-0", "`lattice-lock models`"),
        ("openai/", "Did you mean `openai/"),
        ("", "`lattice-lock models`"),
    ],
)
def test_an_unknown_name_is_answered_with_close_ones(text: str, hint: str) -> None:
    """A slip of the pen gets a suggestion, anything else the way to all names."""
    with pytest.raises(ModelNotAvailableError, match="No model") as caught:
        REGISTRY.find(text)
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize("line", EXPECTED.splitlines())
def test_every_model_that_is_expected_is_known_with_its_end(line: str) -> None:
    """Each name of the list is found with its last day, and served models say what they are."""
    text, _, end = line.partition(" ")
    facts = REGISTRY.get(ModelId.parse(text))
    assert facts is not None
    assert facts.never_released == (end == "never")
    if end != "never":
        assert str(facts.shutdown_date or "-") == end
    if facts.served(TODAY):
        assert facts.api
        assert set(TaskType) - set(facts.quality) <= {TaskType.VISION, TaskType.LONG_CONTEXT}
        assert facts.quality_source == PRIOR


def test_whatever_is_served_no_more_has_a_successor() -> None:
    """Every name that has ended, or never was, is answered with a model to ask instead."""
    for facts in REGISTRY.models():
        if not facts.served(TODAY):
            with pytest.raises(ModelNotAvailableError) as caught:
                REGISTRY.find(str(facts.id), on=TODAY)
            assert caught.value.successor is not None, facts.id
            assert REGISTRY.find(caught.value.successor, on=TODAY)


def test_a_successor_that_has_ended_too_is_passed_over(tmp_path: Path) -> None:
    """The error names the first of the line that is served on that day."""
    path = tmp_path / "models.jsonl"
    path.write_text(
        '{"provider": "p", "name": "a", "shutdown_date": "2026-01-01", "successor": "b"}\n'
        '{"provider": "p", "name": "b", "shutdown_date": "2026-02-01", "successor": "c"}\n'
        '{"provider": "p", "name": "c"}\n'
    )
    with pytest.raises(ModelNotAvailableError) as caught:
        ModelRegistry(path).find("a", on=TODAY)
    assert caught.value.successor == "p/c"


@pytest.mark.parametrize(("kind", "provider"), [(OpenAIClient, "openai"), (AzureClient, "azure")])
async def test_the_api_of_a_model_is_the_one_that_its_client_calls(
    kind: type[OpenAIClient | AzureClient], provider: str
) -> None:
    """What the data say of API, reasoning and sampling is what the client goes by."""
    settings = Settings.load(environment={"OPENAI_API_KEY": "k"}, dotenv=NOWHERE)
    async with Transport(settings) as transport:
        client = kind(settings, transport)
        for facts in REGISTRY.models(provider):
            if not facts.served(TODAY):
                continue
            request = ChatRequest(model=facts.id, messages=(Message.user("Hi"),))
            assert facts.api == ("responses" if client._uses_responses(request) else "chat")
            traits = model_traits(facts.id.name)
            if traits is not None:
                assert traits.reasoning == (Capability.REASONING not in facts.cannot), facts.id
                never = traits.reasoning and traits.sampling == "never"
                assert never == (Capability.SAMPLING in facts.cannot), facts.id


@pytest.mark.parametrize(
    ("output", "tier"),
    [
        ("0.5", CostTier.LOW),
        ("2", CostTier.LOW),
        ("2.01", CostTier.MEDIUM),
        ("10", CostTier.MEDIUM),
        ("10.5", CostTier.HIGH),
        ("30", CostTier.HIGH),
        ("31", CostTier.PREMIUM),
    ],
)
def test_the_cost_tier_follows_the_price_of_output(output: str, tier: CostTier) -> None:
    """Each tier reaches up to its bound."""
    prices = Prices(input=Decimal(1), output=Decimal(output))
    model = ModelId(provider="p", name="m")
    assert ModelFacts(id=model, prices=(prices,)).cost_tier is tier
    assert ModelFacts(id=model).cost_tier is CostTier.UNKNOWN
    assert REGISTRY.find("local/qwen3").cost_tier is CostTier.FREE


def test_a_local_model_that_others_run_is_not_free() -> None:
    """Ollama hands models of its cloud on to a service that is paid, so their price is unknown."""
    cloud = REGISTRY.find("local/gpt-oss:120b-cloud")
    assert not is_free(cloud.id)
    assert cloud.cost_tier is CostTier.UNKNOWN
    assert cloud.cost_usd(Usage(input_tokens=1)) is None


def test_modalities_efforts_and_regions_are_said_where_they_are_known() -> None:
    """What a model reads follows from its abilities; the rest is in the data."""
    assert REGISTRY.find("openai/gpt-6.1-sol").inputs == {"text", "image"}
    assert REGISTRY.find("mistral/codestral-2508").inputs == {"text"}
    efforts = REGISTRY.find("xai/grok-4.5").efforts
    assert efforts == (ReasoningEffort.LOW, ReasoningEffort.MEDIUM, ReasoningEffort.HIGH)
    assert REGISTRY.find("bedrock/us.openai.gpt-6-sol").regions == {"us"}


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


@pytest.mark.parametrize(
    "provider",
    ["anthropic", "azure", "bedrock", "deepseek", "google", "groq", "mistral", "openai", "xai"],
)
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
    """A file of the user's own adds models and providers, and corrects what is built in."""
    path = tmp_path / "models.jsonl"
    path.write_text(
        '\ufeff{"provider": "acme", "name": "echo", "aliases": ["parrot"], "can": ["tools"]}\n\n'
        '{"provider": "openai", "name": "gpt-6.1-sol", "prices": [{"input": "1", "output": "2"}]}\n'
    )
    registry = ModelRegistry(path)
    assert str(registry.find("parrot").id) == "acme/echo"
    assert registry.find("openai/gpt-6.1-sol").prices[0].output == 2
    assert registry.find("openai/gpt-6.1-sol").context_tokens == 1_050_000
    assert registry.find("openai/gpt-6-luna").prices


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"provider": "p", "name": "a", "prices": [{"input": "-1", "output": "2"}]}', "no price"),
        ('{"provider": "p", "name": "a", "prices": [{"input": "NaN", "output": "2"}]}', "no price"),
        ('{"provider": "p", "name": "a", "colour": "red"}', "colour"),
        ('{"provider": "p", "name": "a", "can": ["fly"]}', "fly"),
        ('{"provider": "p", "name": "first"}', "stands in line 1 already"),
        (
            '{"provider": "p", "name": "a", "aliases": ["first"]}',
            "`first` would name both `first` and `a`",
        ),
        ('{"provider": "p", "name": "a", "context_tokens": 1e30}', "Expected `int"),
        (f'{{"provider": "p", "name": "a", "context_tokens": {10**30}}}', "`int`"),
        (
            '{"provider": "p", "name": "a", "prices": [{"input": "1e9999", "output": "2"}]}',
            "`1E\\+9999` is no price",
        ),
        (
            '{"provider": "p", "name": "a", "prices": [{"input": "0e-999999", "output": "2"}]}',
            "no price",
        ),
        ('{"provider": "p", "name": "a", "quality": {"general": 1.5}}', "<= 1"),
        ('{"provider": "p", "name": "a", "quality": {"general": NaN}}', "malformed"),
        ('{"provider": "p", "name": "a", "quality": {"juggling": 0.5}}', "juggling"),
        ('{"provider": "p", "name": "a", "efforts": ["enormous"]}', "enormous"),
        ('{"provider": "p", "name": "a", "successor": "b"}', "successor `b` of `a` is not known"),
        ('{"provider": "p", "name": "a", "successor": "a"}', "leads back to itself"),
        ("[" * 100_000, "Expected `object`"),
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


def _layers(tmp_path: Path, **texts: str) -> ModelRegistry:
    paths = {name: tmp_path / name for name in texts}
    for name, text in texts.items():
        paths[name].write_text(text)
    return ModelRegistry(
        paths.get("user"), lattice=paths.get("lattice"), refreshed=paths.get("refreshed")
    )


def test_the_user_has_the_last_word_and_the_project_the_last_but_one(tmp_path: Path) -> None:
    """Of layers that say different things of a model the higher counts; the rest adds up."""
    registry = _layers(
        tmp_path,
        refreshed='{"provider": "p", "name": "m", "title": "listed", "context_tokens": 1}\n',
        lattice="models:\n  - {provider: p, name: m, title: project, max_output_tokens: 2}\n",
        user='{"provider": "p", "name": "m", "title": "user", "aliases": ["mine"]}\n',
    )
    facts = registry.find("mine")
    assert facts.title == "user"
    assert (facts.context_tokens, facts.max_output_tokens) == (1, 2)


def test_abilities_and_qualities_are_corrected_one_by_one(tmp_path: Path) -> None:
    """Saying that a model cannot see leaves its other abilities as they are known."""
    registry = _layers(
        tmp_path,
        lattice="models: [{provider: openai, name: gpt-6.1-sol, quality: {testing: 0.25}}]",
        user='{"provider": "openai", "name": "gpt-6.1-sol", "cannot": ["vision"],'
        ' "quality": {"maths": 0.5}}',
    )
    facts, known = registry.find("openai/gpt-6.1-sol"), REGISTRY.find("openai/gpt-6.1-sol")
    assert Capability.VISION in facts.cannot
    assert facts.can == known.can - {Capability.VISION}
    assert facts.quality[TaskType.MATHS] == 0.5
    assert facts.quality[TaskType.TESTING] == 0.25
    assert facts.quality[TaskType.GENERAL] == known.quality[TaskType.GENERAL]
    assert facts.quality[TaskType.VISION] == 0
    assert facts.quality_source == f"{tmp_path / 'user'}:1; else {PRIOR}"


def test_a_project_names_models_as_it_likes(tmp_path: Path) -> None:
    """An alias of the lattice is found under its bare name; without a lattice there is none."""
    registry = _layers(tmp_path, lattice="aliases: {fast: openai/gpt-6-luna}\nentities: [wrong]\n")
    assert str(registry.find("fast").id) == "openai/gpt-6-luna"
    assert ModelRegistry(lattice=tmp_path / "absent").find("openai/gpt-6-luna")


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("models:\n  - {provider: p, name: a, can: [fly]}", "2:34", "fly"),
        ("models:\n  - {provider: p, name: a, context_tokens: -1}", "2:44", ">= 1"),
        ("models:\n  - {provider: p, name: a, colour: red}", "2:36", "`colour`"),
        ("models:\n  - {provider: p, name: a, prices: [{input: -1, output: 1}]}", "2:37", "`-1`"),
        ("models:\n  - {provider: p, name: a, quality: {maths: 2}}", "2:37", "<= 1.0"),
        ("models:\n  - {provider: p, name: a, quality: {maths: .nan}}", "2:37", "float"),
        ("models:\n  - {provider: a/b, name: c}", "2:5", "not a provider id"),
        ("models:\n  - {provider: p, name: a, successor: b}", "2:5", "successor `b`"),
        (
            "models:\n  - {provider: openai, name: x, aliases: [gpt-6-luna]}",
            "2:5",
            "would name both `gpt-6-luna` and `x`",
        ),
        ("aliases: {gpt-6-luna: openai/gpt-6.1-sol}", "1:23", "name of a model of `azure`"),
        ("aliases: {fast: openai/gpt-6-lunar}", "1:17", "Did you mean `openai/gpt-6-luna`"),
    ],
)
def test_a_wrong_entry_of_a_lattice_is_refused_with_its_place(
    tmp_path: Path, text: str, place: str, words: str
) -> None:
    """The error names file, line and column of the value that is wrong."""
    registry = _layers(tmp_path, lattice=text)
    with pytest.raises(LatticeSchemaError) as caught:
        registry.find("gpt-6-luna")
    assert str(caught.value).startswith(f"[LL-102] {tmp_path / 'lattice'}:{place}: ")
    assert words in str(caught.value)


def test_a_cycle_of_successors_over_two_layers_is_refused_where_it_closes(tmp_path: Path) -> None:
    """A user who makes a model the successor of its own successor is told so at that line."""
    registry = _layers(
        tmp_path, user='{"provider": "openai", "name": "gpt-6-luna", "successor": "gpt-4o-mini"}'
    )
    with pytest.raises(ConfigurationError, match="leads back to itself") as caught:
        registry.models("openai")
    assert caught.value.message.startswith(f"{tmp_path / 'user'}:1: ")


def test_a_user_cannot_take_the_alias_of_another_model(tmp_path: Path) -> None:
    """A line whose name is an alias already is refused at its place."""
    registry = _layers(tmp_path, user='{"provider": "anthropic", "name": "claude-3.5-haiku"}')
    with pytest.raises(ConfigurationError, match="would name both") as caught:
        registry.models("anthropic")
    assert caught.value.message.startswith(f"{tmp_path / 'user'}:1: ")


def test_what_was_refreshed_gives_way_to_what_is_known_since(tmp_path: Path) -> None:
    """A name that was taken for an alias, or for a model, may be built in as the other later."""
    registry = _layers(
        tmp_path,
        refreshed='{"provider": "openai", "name": "gpt-6-luna", "snapshots": ["gpt-6-sol", "x"]}\n'
        '{"provider": "openai", "name": "gpt-4o-mini-2024-07-18", "title": "listed"}\n',
    )
    assert registry.find("openai/gpt-6-sol").id.name == "gpt-6-sol"
    assert registry.find("openai/x").title == "GPT-6 Luna"
    assert registry.find("openai/gpt-4o-mini-2024-07-18").title == "gpt 4o mini"


def test_a_snapshot_is_called_by_its_own_name() -> None:
    """Whoever pins an issue of a model gets that issue; what is known of both is the same."""
    pinned = REGISTRY.find("claude-haiku-4-5-20251001", on=TODAY)
    newest = REGISTRY.find("claude-haiku-4-5", on=TODAY)
    assert str(pinned.id) == "anthropic/claude-haiku-4-5-20251001"
    assert pinned.prices == newest.prices
    assert pinned not in REGISTRY.models("anthropic")
    with pytest.raises(ModelNotAvailableError, match=r"`openai/gpt-4-0613` is not served"):
        REGISTRY.find("gpt-4-0613", on=TODAY)


def test_one_provider_is_read_without_the_others() -> None:
    """A call reads the file of its own provider only."""
    registry = ModelRegistry()
    registry.models("openai")
    assert set(registry._providers) == {"openai"}


_ANY = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["", "tools", "general", "n", "2026-01-01", "1e99999", "\0"])
)


@given(
    fields=st.dictionaries(
        st.sampled_from(["context_tokens", "can", "prices", "quality", "successor", "title", "x"]),
        _ANY
        | st.lists(_ANY, max_size=2)
        | st.dictionaries(st.sampled_from(["input", "output", "general"]), _ANY),
        max_size=3,
    )
)
def test_whatever_stands_in_a_file_is_read_or_refused(
    fields: Mapping[str, object], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No content of a line leads to anything but facts or a configuration error."""
    path = tmp_path_factory.mktemp("any") / "models.jsonl"
    path.write_text(json.dumps({"provider": "p", "name": "n", **fields}), encoding="utf-8")
    try:
        known = ModelRegistry(path).models("p")
    except ConfigurationError as error:
        known, refused = (), error.message
    assert known or refused.startswith(f"{path}:1: ")


def test_a_model_that_cannot_be_parsed_names_no_model() -> None:
    """A provider id is no place for anything else, such as a path."""
    with pytest.raises(UsageError):
        REGISTRY.get(ModelId(provider="../models/openai", name="x"))
    assert REGISTRY.models("../models/openai") == ()


def test_the_reference_page_says_what_there_is() -> None:
    """Its example runs, and it names every field, ability and type of task."""
    page = PAGE.read_text(encoding="utf-8")
    (example,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    exec(compile(example, str(PAGE), "exec"), {})  # noqa: S102  # our own page
    words = {*Entry.__struct_fields__, *Capability, *TaskType, *CostTier}
    assert {word for word in words if f"`{word}`" not in page} == set()
