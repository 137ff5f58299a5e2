"""What providers list, and how it becomes part of what is known."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from lattice_lock.exceptions import StorageError
from lattice_lock.messages import ModelId
from lattice_lock.orchestrator.refresh import listings, providers_to_ask, refresh
from lattice_lock.orchestrator.registry import ModelRegistry
from lattice_lock.providers.availability import ProviderAvailability, ProviderStatus
from lattice_lock.settings import Settings
from wire_server import NOWHERE, answer, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from lattice_lock.orchestrator.refresh import Change

TODAY = date(2026, 11, 24)


def _status(provider: str, *names: str) -> ProviderStatus:
    models = tuple(ModelId(provider=provider, name=name) for name in names)
    return ProviderStatus(provider=provider, models=models)


def _refreshed(path: Path, *statuses: ProviderStatus, on: date = TODAY) -> tuple[Change, ...]:
    found = refresh(statuses, ModelRegistry(refreshed=path), path, today=on)
    found.write(path)
    return found.changes


def _names(models: tuple[ModelId, ...]) -> list[str]:
    return [model.name for model in models]


def test_what_nobody_knew_is_added_with_the_price_of_the_list(tmp_path: Path) -> None:
    """A new model is known afterwards, its price where the list has it, and is new only once."""
    path = tmp_path / "models.jsonl"
    status = _status("openrouter", "openai/gpt-4o-mini", "acme/llm-1")
    (change,) = _refreshed(path, status)
    assert _names(change.added) == ["openai/gpt-4o-mini", "acme/llm-1"]
    registry = ModelRegistry(refreshed=path)
    facts = registry.get(ModelId(provider="openrouter", name="openai/gpt-4o-mini"))
    assert facts is not None
    assert facts.prices
    assert facts.quality
    unpriced = registry.get(ModelId(provider="openrouter", name="acme/llm-1"))
    assert unpriced is not None
    assert unpriced.prices == ()
    before = path.read_bytes()
    (again,) = _refreshed(path, status)
    assert (again.added, again.gone, again.back) == ((), (), ())
    assert path.read_bytes() == before


def test_what_is_listed_no_more_is_marked_and_may_come_back(tmp_path: Path) -> None:
    """A known model stays known, with the day from which on it was not listed."""
    path = tmp_path / "models.jsonl"
    names = [facts.id.name for facts in ModelRegistry().models("xai")]
    (change,) = _refreshed(path, _status("xai", *names[1:]))
    assert _names(change.gone) == names[:1]
    facts = ModelRegistry(refreshed=path).models("xai")[0]
    assert facts.unlisted_since == TODAY
    assert facts.served(TODAY)
    assert facts.prices == ModelRegistry().models("xai")[0].prices
    (others,) = _refreshed(tmp_path / "others.jsonl", _status("openai", "gpt-6-luna"))
    assert "gpt-6.1-sol" in _names(others.gone)
    assert "o1" not in _names(others.gone)  # its end is known
    (same,) = _refreshed(path, _status("xai", *names[1:]), on=date(2026, 12, 24))
    assert same.gone == ()
    assert ModelRegistry(refreshed=path).models("xai")[0].unlisted_since == TODAY
    (back,) = _refreshed(path, _status("xai", *names))
    assert _names(back.back) == names[:1]
    assert ModelRegistry(refreshed=path).models("xai")[0].unlisted_since is None


def test_a_model_that_was_only_listed_is_marked_too(tmp_path: Path) -> None:
    """What a list once added is kept when it is listed no more."""
    path = tmp_path / "models.jsonl"
    _refreshed(path, _status("openrouter", "acme/llm-1", "acme/llm-2"))
    (change,) = _refreshed(path, _status("openrouter", "acme/llm-2"))
    assert _names(change.gone) == ["acme/llm-1"]
    assert len(ModelRegistry(refreshed=path).models("openrouter")) == 2


@pytest.mark.parametrize(
    ("provider", "name", "model"),
    [
        ("openai", "gpt-5.4-2026-03-05", "gpt-5.4"),
        ("anthropic", "claude-opus-4-6-20260204", "claude-opus-4-6"),
        ("google", "gemini-3.8-flash-001", "gemini-3.8-flash"),
        ("local", "llama3.2:latest", "llama3.2"),
    ],
)
def test_an_issue_of_a_known_model_is_its_snapshot(
    tmp_path: Path, provider: str, name: str, model: str
) -> None:
    """What is known of a model is known of its issues, and it counts as listed by them."""
    path = tmp_path / "models.jsonl"
    (change,) = _refreshed(path, _status(provider, name))
    assert _names(change.snapshots) == [name]
    assert change.added == ()
    assert model not in _names(change.gone)
    found = ModelRegistry(refreshed=path).get(ModelId(provider=provider, name=name))
    assert found is not None
    assert found.id.name == name
    assert found.title == ModelRegistry().find(f"{provider}/{model}").title
    assert name not in _names(tuple(facts.id for facts in ModelRegistry().models(provider)))


@pytest.mark.parametrize("name", ["-latest", "-2026-01-01", ":latest", "-001"])
def test_a_name_that_is_nothing_but_an_issue_is_a_name(tmp_path: Path, name: str) -> None:
    """Odd names are models like any other."""
    (change,) = _refreshed(tmp_path / "models.jsonl", _status("openrouter", name))
    assert _names(change.added) == [name]


def test_what_does_not_chat_is_left_out(tmp_path: Path) -> None:
    """Embeddings, pictures, speech and the like are no models to ask, and so are not added."""
    names = (
        *("text-embedding-3-large", "dall-e-3", "gpt-image-1", "whisper-1", "tts-1-hd", "sora-2"),
        *("gpt-4o-realtime-preview", "gpt-audio-mini", "omni-moderation-latest", "babbage-002"),
        *("gpt-4o-transcribe", "nomic-embed-text", "embeddinggemma", "meta-llama/llama-guard-4"),
    )
    (change,) = _refreshed(tmp_path / "models.jsonl", _status("openrouter", *names, "imagine-llm"))
    assert _names(change.added) == ["imagine-llm"]


def test_who_cannot_be_asked_or_says_nothing_changes_nothing(tmp_path: Path) -> None:
    """Failed and silent providers keep their lines, and the others are merged nevertheless."""
    path = tmp_path / "models.jsonl"
    _refreshed(path, _status("openrouter", "acme/llm-1"), _status("together", "acme/llm-1"))
    failed = ProviderStatus(provider="openrouter", reason="It is down.", hint="Wait.")
    changes = _refreshed(path, failed, _status("azure"), _status("together", "acme/llm-2"))
    assert [change.listed for change in changes] == [None, 0, 1]
    assert changes[0].reason == "It is down."
    assert changes[1].gone == ()
    registry = ModelRegistry(refreshed=path)
    assert [str(facts.id) for facts in registry.models("openrouter")] == ["openrouter/acme/llm-1"]
    assert len(registry.models("together")) == 2


def test_a_file_that_cannot_be_written_is_as_it_was(tmp_path: Path) -> None:
    """The error says so, and nothing half written is left behind."""
    folder = tmp_path / "models.jsonl"
    folder.mkdir()
    (folder / "kept").touch()
    found = refresh([_status("openrouter", "x")], ModelRegistry(), tmp_path / "none", today=TODAY)
    with pytest.raises(StorageError, match="cannot be written"):
        found.write(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["models.jsonl"]
    with pytest.raises(StorageError):
        found.write(folder / "kept" / "models.jsonl")


@asynccontextmanager
async def _serving(body: object) -> AsyncIterator[ProviderAvailability]:
    async with serving(answer(body)) as server:
        environment = {"OPENROUTER_BASE_URL": server.url, "OPENROUTER_API_KEY": "k"}
        settings = Settings.load(environment=environment, dotenv=NOWHERE)
        yield ProviderAvailability(settings)


@pytest.mark.parametrize(
    "body",
    [
        {"data": [{"id": ""}]},
        {"data": [{"id": "a\u0000b"}]},
        {"data": [{"id": 7}]},
        {"data": "gpt"},
        ["gpt"],
        {"data": [{"id": f"m{number}"} for number in range(10_001)]},
        {"data": [{"id": "m" * 501}]},
    ],
)
async def test_a_list_of_garbage_is_refused(body: Any) -> None:
    """Names that no model can have, other types and endless lists are told, not merged."""
    async with _serving(body) as availability:
        (status,) = await listings(availability, ["openrouter"])
    assert not status.available
    assert status.reason
    assert status.models == ()


async def test_a_list_is_what_the_provider_says() -> None:
    """The names come from the provider's own answer, in its order."""
    async with _serving({"data": [{"id": "b/x"}, {"id": "a/y"}]}) as availability:
        (status,) = await listings(availability, ["openrouter"])
    assert _names(status.models) == ["b/x", "a/y"]


def test_who_is_asked_is_set_up() -> None:
    """Keys and addresses decide; nobody asks a local server that nobody has named."""

    def asked(**environment: str) -> tuple[str, ...]:
        return providers_to_ask(Settings.load(environment=environment, dotenv=NOWHERE))

    assert asked() == ()
    assert asked(XAI_API_KEY="k") == ("xai",)
    assert asked(OLLAMA_HOST="localhost", OPENAI_API_KEY="k") == ("local", "openai")


def test_the_lines_are_in_a_stable_order(tmp_path: Path) -> None:
    """The file reads the same whatever the order in which providers answer."""
    one, two = _status("together", "b", "a"), _status("openrouter", "c")
    first = refresh([one, two], ModelRegistry(), tmp_path / "none", today=TODAY)
    second = refresh([two, one], ModelRegistry(), tmp_path / "none", today=TODAY)
    assert first.lines == second.lines
    names = [json.loads(line)["name"] for line in first.lines.splitlines()]
    assert names == ["c", "a", "b"]
