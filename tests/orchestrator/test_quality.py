"""How good answers are expected to be where nobody has measured it."""

from __future__ import annotations

import msgspec
import pytest

from lattice_lock.orchestrator import quality
from lattice_lock.orchestrator.quality import prior_quality
from lattice_lock.orchestrator.registry import ModelRegistry
from lattice_lock.orchestrator.tasks import Capability, TaskType

REGISTRY = ModelRegistry()


def _of(text: str, task: TaskType) -> float:
    return REGISTRY.find(text).quality[task]


@pytest.mark.parametrize("task", [one for one in TaskType if one is not TaskType.QUICK_RESPONSE])
def test_makers_ladders_are_kept(task: TaskType) -> None:
    """At whatever is no race, the larger and newer model of a maker is expected to be better."""
    for ladder in (
        ("openai/gpt-6.1-sol", "openai/gpt-6.1-terra", "openai/gpt-6-luna", "openai/gpt-4o-mini"),
        ("anthropic/claude-opus-5-5", "anthropic/claude-sonnet-5-5", "anthropic/claude-haiku-5-5"),
        ("google/gemini-4-argon", "google/gemini-3.8-flash", "google/gemini-3.5-flash-lite"),
    ):
        values = [_of(text, task) for text in ladder]
        assert values == sorted(values, reverse=True)
        assert len(set(values)) == len(values)


def test_small_models_answer_sooner() -> None:
    """For a quick response the small model is expected to do better than the large one."""
    quick = TaskType.QUICK_RESPONSE
    assert _of("openai/gpt-6-luna", quick) > _of("openai/gpt-6-astra", quick)


def test_what_runs_on_ones_own_machine_is_expected_to_be_modest() -> None:
    """Local models rank below the small ones of vendors, the embedded one below everything."""
    local = max(facts.quality[TaskType.GENERAL] for facts in REGISTRY.models("local"))
    assert local < _of("openai/gpt-6-luna", TaskType.GENERAL)
    embedded = REGISTRY.find("embedded/smollm2-135m-instruct").quality
    assert max(embedded.values()) < 0.2
    assert embedded[TaskType.CODE_REVIEW] < 0.05


def test_models_for_code_are_better_at_code() -> None:
    """Such a model is expected to write code better than it reasons, and than its equals do."""
    code = REGISTRY.find("mistral/codestral-2508").quality
    assert code[TaskType.CODE_GENERATION] > code[TaskType.GENERAL]


def test_abilities_and_window_count() -> None:
    """Who cannot see is no good at pictures, who may is not judged; windows bound long texts."""
    nothing: frozenset[Capability] = frozenset()
    sees = frozenset({Capability.VISION})
    thinks = frozenset({Capability.REASONING})
    blind = prior_quality("qwen3", can=nothing, cannot=sees, window_tokens=8192)
    unknown = prior_quality("qwen3", can=nothing, cannot=nothing, window_tokens=None)
    able = prior_quality("qwen3", can=sees | thinks, cannot=nothing, window_tokens=1_000_000)
    assert blind[TaskType.VISION] == 0
    assert {TaskType.VISION, TaskType.LONG_CONTEXT}.isdisjoint(unknown)
    assert able[TaskType.VISION] > 0
    assert able[TaskType.LONG_CONTEXT] > blind[TaskType.LONG_CONTEXT]
    assert able[TaskType.MATHS] > unknown[TaskType.MATHS]


@pytest.mark.parametrize(
    "name", ["qwen3:8b", "Qwen/Qwen3-8B", "global.qwen.qwen3-8b", "qwen3-8b-q4_0"]
)
def test_makers_and_regions_before_a_name_do_not_matter(name: str) -> None:
    """The same model is judged the same wherever it is served."""
    nothing: frozenset[Capability] = frozenset()
    found = prior_quality(name, can=nothing, cannot=nothing, window_tokens=None)
    assert found == prior_quality("qwen3", can=nothing, cannot=nothing, window_tokens=None)
    assert found


@pytest.mark.parametrize("name", ["", "acme-1", "7b", "gpt", "a" * 10_000, "qwen/"])
def test_of_an_unknown_line_nothing_is_expected(name: str) -> None:
    """A name that belongs to no line has no quality, whatever it is."""
    nothing: frozenset[Capability] = frozenset()
    assert prior_quality(name, can=nothing, cannot=nothing, window_tokens=None) == {}


def test_every_line_is_that_of_a_known_model() -> None:
    """No line is for nothing, or stands after another that swallows it."""
    names = [name for facts in REGISTRY.models() for name in (facts.id.name, *facts.snapshots)]
    used = {quality._line(quality._BEFORE.sub("", name.lower(), count=1)) for name in names}
    assert msgspec.json.decode(quality._FILE.read_bytes(), type=set[quality._Line]) <= used
