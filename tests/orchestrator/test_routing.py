"""Which models can and may do a task, and in which order."""

from __future__ import annotations

import re
from datetime import date, timedelta
from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lattice_lock.exceptions import UsageError
from lattice_lock.messages import ModelId, Usage
from lattice_lock.orchestrator.completing import Strategy
from lattice_lock.orchestrator.observed import Observed
from lattice_lock.orchestrator.registry import Lifecycle, ModelFacts, Prices, is_free
from lattice_lock.orchestrator.routing import (
    WEIGHTS,
    Conditions,
    PartName,
    Ranked,
    Ranking,
    RejectionKind,
    RemarkKind,
    Weights,
    rank,
)
from lattice_lock.orchestrator.tasks import Capability, TaskRequirements, TaskType

TODAY = date(2026, 11, 25)
PAGE = Path(__file__).resolve().parents[2] / "docs" / "explanation" / "routing.md"


def model(
    name: str, *, usd: str | None = "1", quality: float | None = 0.5, **more: Any
) -> ModelFacts:
    """A model that costs as much for a million tokens in as out, equally good at everything."""
    told: dict[str, Any] = {
        "id": ModelId.parse(name),
        "prices": () if usd is None else (Prices(input=Decimal(usd), output=Decimal(usd)),),
        "quality": {} if quality is None else dict.fromkeys(TaskType, quality),
    }
    return ModelFacts(**(told | more))


def task(**changes: Any) -> TaskRequirements:
    """A task of medium complexity whose type is certain."""
    usual: dict[str, Any] = {
        "task_type": TaskType.CODE_REVIEW,
        "confidence": 1.0,
        "complexity": 0.5,
        "capabilities": frozenset(),
        "input_tokens": 1000,
        "output_tokens": 500,
    }
    return TaskRequirements(**(usual | changes))


def under(**changes: Any) -> Conditions:
    """Conditions that set no limit but `changes`."""
    return Conditions(**({"today": TODAY} | changes))


def names(ranking: Ranking) -> list[str]:
    """The ids of what is ranked, the best first."""
    return [str(one.model) for one in ranking.ranked]


def objections(facts: ModelFacts, requirements: TaskRequirements, **changes: Any) -> list[str]:
    """What speaks against the one model there is; empty where nothing does."""
    ranking = rank(requirements, [facts], conditions=under(**changes))
    assert len(ranking.ranked) + len(ranking.rejected) == 1
    for rejection in ranking.rejected:
        assert rejection.model == facts.id
        assert all(re.fullmatch(r"[A-Z`].*\.", one.sentence) for one in rejection.reasons)
        return [reason.kind for reason in rejection.reasons]
    return []


def scored(facts: ModelFacts, requirements: TaskRequirements, **changes: Any) -> Ranked:
    """The place of the one model there is."""
    (ranked,) = rank(requirements, [facts], conditions=under(**changes)).ranked
    return ranked


_shares = st.floats(0, 1)
_usd = st.decimals(0, 100, places=3)
_prices = st.builds(
    lambda first, dearer: (
        first,
        *(
            Prices(input=first.input + more, output=first.output + more, from_input_tokens=least)
            for more, least in dearer
        ),
    ),
    st.builds(Prices, input=_usd, output=_usd),
    st.lists(st.tuples(_usd, st.just(5000)), max_size=1),
)
_some = st.frozensets(st.sampled_from(Capability))
_ids = st.builds(
    ModelId,
    provider=st.sampled_from(["openai", "azure", "bedrock", "local", "embedded"]),
    name=st.sampled_from(["a", "b", "c-cloud", "d/e"]),
)
_facts = st.builds(
    lambda cannot, can, **known: ModelFacts(cannot=cannot, can=can - cannot, **known),
    id=_ids,
    can=_some,
    cannot=_some,
    context_tokens=st.none() | st.integers(1, 20_000),
    max_input_tokens=st.none() | st.integers(1, 20_000),
    max_output_tokens=st.none() | st.integers(1, 20_000),
    regions=st.frozensets(st.sampled_from(["us", "eu", "global"])),
    prices=st.just(()) | _prices,
    quality=st.dictionaries(st.sampled_from(TaskType), _shares, max_size=4),
    shutdown_date=st.none() | st.dates(TODAY - timedelta(40), TODAY + timedelta(40)),
    never_released=st.booleans(),
    unlisted_since=st.none() | st.just(TODAY),
)
_models = st.lists(_facts, max_size=5, unique_by=lambda one: one.id)
_tasks = st.builds(
    TaskRequirements,
    task_type=st.sampled_from(TaskType),
    confidence=_shares,
    complexity=_shares,
    capabilities=_some,
    input_tokens=st.integers(0, 10_000),
    output_tokens=st.integers(0, 10_000),
)
_observed = st.builds(
    Observed,
    calls=st.floats(0.01, 1000),
    error_rate=_shares,
    first_content_s=st.none() | st.floats(0, 60),
    answer_s=st.none() | st.floats(0, 600),
    tokens_per_s=st.none() | st.floats(0.01, 1000),
)
_patterns = st.lists(
    st.sampled_from(["openai", "azure/*", "*/a", "local/[a-c]*", "em*"]), max_size=2
).map(tuple)
_conditions = st.builds(
    Conditions,
    today=st.just(TODAY),
    availability=st.none()
    | st.dictionaries(
        st.sampled_from(["openai", "azure", "local"]), st.none() | st.just("No key is set.")
    ),
    left_alone_s=st.dictionaries(_ids, st.floats(1, 9), max_size=2),
    observed=st.dictionaries(_ids, _observed, max_size=4),
    allowed=_patterns,
    denied=_patterns,
    regions=st.frozensets(st.sampled_from(["us", "eu"])),
    provider_regions=st.dictionaries(
        st.sampled_from(["bedrock", "azure"]), st.sampled_from(["us-east-1", "eu"])
    ),
    max_cost_usd=st.none() | st.decimals(0, 1, places=4),
)
_strategies = st.sampled_from(Strategy)


def _answers_in(facts: ModelFacts, conditions: Conditions) -> frozenset[str]:
    endpoint = conditions.provider_regions.get(facts.id.provider)
    if endpoint and (not facts.regions or endpoint.partition("-")[0] in facts.regions):
        return frozenset({endpoint.partition("-")[0]})
    return facts.regions


def may(facts: ModelFacts, requirements: TaskRequirements, conditions: Conditions) -> bool:
    """Whether a model can and may do the task, said once more and plainly."""
    tokens = (requirements.input_tokens, requirements.output_tokens)
    cost_usd = facts.cost_usd(Usage(input_tokens=tokens[0], output_tokens=tokens[1]))

    def fits(patterns: tuple[str, ...]) -> bool:
        return any(
            fnmatchcase(str(facts.id), one) or fnmatchcase(facts.id.provider, one)
            for one in patterns
        )

    places = _answers_in(facts, conditions)
    return all(
        (
            facts.lifecycle(TODAY) in {Lifecycle.ACTIVE, Lifecycle.DEPRECATED},
            not requirements.capabilities & facts.cannot,
            facts.context_tokens is None or sum(tokens) <= facts.context_tokens,
            facts.max_input_tokens is None or tokens[0] <= facts.max_input_tokens,
            facts.max_output_tokens is None or tokens[1] <= facts.max_output_tokens,
            not conditions.allowed or fits(conditions.allowed),
            not fits(conditions.denied),
            not conditions.regions
            or is_free(facts.id)
            or (places != frozenset() and places <= conditions.regions),
            conditions.max_cost_usd is None
            or (cost_usd is not None and cost_usd <= conditions.max_cost_usd),
            conditions.availability is None
            or conditions.availability.get(facts.id.provider, "unknown") is None,
            facts.id not in conditions.left_alone_s,
        )
    )


@given(_tasks, _models, _conditions, _strategies)
def test_exactly_those_that_can_and_may_are_ranked(
    requirements: TaskRequirements,
    models: list[ModelFacts],
    conditions: Conditions,
    strategy: Strategy,
) -> None:
    """Each model is ranked where nothing speaks against it, else rejected with reasons, once."""
    ranking = rank(requirements, models, conditions=conditions, strategy=strategy)
    may_answer = {one.id for one in models if may(one, requirements, conditions)}
    assert {one.model for one in ranking.ranked} == may_answer
    assert {one.model for one in ranking.rejected} == {one.id for one in models} - may_answer
    assert len(ranking.ranked) + len(ranking.rejected) == len(models)
    assert all(one.reasons for one in ranking.rejected)


@given(_tasks, _models, _conditions, _strategies, st.randoms(use_true_random=False))
def test_the_order_of_the_models_does_not_matter(
    requirements: TaskRequirements,
    models: list[ModelFacts],
    conditions: Conditions,
    strategy: Strategy,
    dice: Any,
) -> None:
    """The same models in another order, copied, give the same ranking."""
    other = [msgspec.structs.replace(one) for one in models]
    dice.shuffle(other)
    assert rank(requirements, models, conditions=conditions, strategy=strategy) == rank(
        requirements, other, conditions=conditions, strategy=strategy
    )


@given(_tasks, _models, _conditions, _strategies)
def test_scores_are_the_sum_of_their_parts(
    requirements: TaskRequirements,
    models: list[ModelFacts],
    conditions: Conditions,
    strategy: Strategy,
) -> None:
    """Scores and parts are from 0 to 1, a score is what its parts say, a cost what facts say."""
    by_id = {one.id: one for one in models}
    usage = Usage(input_tokens=requirements.input_tokens, output_tokens=requirements.output_tokens)
    for one in rank(requirements, models, conditions=conditions, strategy=strategy).ranked:
        assert [part.name for part in one.parts] == list(PartName)
        assert all(0 <= part.value <= 1 and part.source for part in one.parts)
        assert 0 <= one.score <= 1
        assert 0.5 <= one.factor <= 1
        total = sum(part.value * part.weight for part in one.parts)
        assert one.score == pytest.approx(total * one.factor)
        assert one.cost_usd == by_id[one.model].cost_usd(usage)


@given(_tasks, _models, _conditions, _strategies, st.data())
def test_a_higher_price_never_raises_a_rank(
    requirements: TaskRequirements,
    models: list[ModelFacts],
    conditions: Conditions,
    strategy: Strategy,
    data: st.DataObject,
) -> None:
    """Whoever asks more comes no earlier than before, whatever counts most."""
    priced = [number for number, one in enumerate(models) if one.prices]
    assume(priced)
    number = data.draw(st.sampled_from(priced))
    more = data.draw(_usd)
    dearer = tuple(
        msgspec.structs.replace(prices, input=prices.input + more, output=prices.output + more)
        for prices in models[number].prices
    )
    raised = [*models]
    raised[number] = msgspec.structs.replace(models[number], prices=dearer)
    name = str(models[number].id)
    before = names(rank(requirements, models, conditions=conditions, strategy=strategy))
    after = names(rank(requirements, raised, conditions=conditions, strategy=strategy))
    if name in after:
        ahead = set(before[: before.index(name)])
        assert ahead <= set(after[: after.index(name)])


@given(
    _tasks,
    _facts,
    _conditions,
    _strategies,
    st.tuples(st.floats(0, 0.99), st.floats(0.01, 1)),
)
def test_the_better_of_two_equals_is_ahead(
    requirements: TaskRequirements,
    facts: ModelFacts,
    conditions: Conditions,
    strategy: Strategy,
    qualities: tuple[float, float],
) -> None:
    """Of two models that differ in their quality at the task alone, the better one comes first."""
    quality, more = qualities
    assume(requirements.confidence >= 0.01)
    better = min(1.0, quality + more)
    allowed = msgspec.structs.replace(conditions, observed={}, left_alone_s={}, denied=())
    pair = [
        msgspec.structs.replace(
            facts,
            id=ModelId(provider=facts.id.provider, name=name),
            quality={**facts.quality, TaskType.GENERAL: 0.5} | {requirements.task_type: level},
        )
        for name, level in (("a", quality), ("b", better))
    ]
    ranking = rank(requirements, pair, conditions=allowed, strategy=strategy)
    if len(ranking.ranked) == 2:
        assert ranking.ranked[0].model.name == "b"


@pytest.mark.parametrize(
    ("facts", "requirements", "changes", "expected"),
    [
        (model("a/x", never_released=True), task(), {}, ["never_released"]),
        (model("a/x", shutdown_date=TODAY), task(), {}, ["retired"]),
        (model("a/x", shutdown_date=TODAY + timedelta(1)), task(), {}, []),
        (
            model("a/x", cannot=frozenset({Capability.TOOLS, Capability.VISION})),
            task(capabilities=frozenset({Capability.TOOLS, Capability.VISION})),
            {},
            ["capability", "capability"],
        ),
        (model("a/x", context_tokens=1500), task(), {}, []),
        (model("a/x", context_tokens=1499), task(), {}, ["context"]),
        (model("a/x", max_input_tokens=999), task(), {}, ["context"]),
        (model("a/x", max_output_tokens=499), task(), {}, ["max_output"]),
        (model("a/x"), task(), {"allowed": ("b", "a/y")}, ["not_allowed"]),
        (model("a/x"), task(), {"allowed": ("a",), "denied": ("a/*", "*/x")}, ["denied", "denied"]),
        (model("openai/x"), task(), {"allowed": ("open?i/[w-x]",)}, []),
        (model("a/x"), task(), {"availability": {"a": None}}, []),
        (model("a/x"), task(), {"availability": {"a": "Its key is missing."}}, ["unavailable"]),
        (model("a/x"), task(), {"availability": {}}, ["unavailable"]),
        (model("a/x"), task(), {"left_alone_s": {ModelId.parse("a/x"): 3.0}}, ["left_alone"]),
        (model("a/x", usd=None), task(), {"max_cost_usd": Decimal(9)}, ["price_unknown"]),
        (model("a/x", usd="0"), task(), {"max_cost_usd": Decimal(0)}, []),
        (
            model("a/x", shutdown_date=TODAY, context_tokens=9, usd=None),
            task(),
            {"denied": ("a",), "max_cost_usd": Decimal(1), "regions": frozenset({"eu"})},
            ["retired", "denied", "region", "context", "price_unknown"],
        ),
    ],
)
def test_every_reason_is_given(
    facts: ModelFacts, requirements: TaskRequirements, changes: dict[str, Any], expected: list[str]
) -> None:
    """Whatever speaks against a model is said, and nothing else."""
    assert objections(facts, requirements, **changes) == expected


def test_a_ceiling_is_exact() -> None:
    """A model that costs exactly as much as it may passes; one quadrillionth less keeps it out."""
    facts = model("a/x", usd="0.3")  # 1,500 tokens for 0.00045 USD, which no float holds
    assert objections(facts, task(), max_cost_usd=Decimal("0.00045")) == []
    assert objections(facts, task(), max_cost_usd=Decimal("0.000449999999999999")) == ["price"]


@pytest.mark.parametrize(
    ("name", "regions", "endpoint", "passes"),
    [
        ("a/x", (), None, False),
        ("a/x", (), "eu-west-1", True),
        ("a/x", (), "us-east-1", False),
        ("a/x", (), "europe", False),
        ("a/x", ("eu",), None, True),
        ("a/x", ("eu", "us"), None, False),
        ("a/x", ("eu", "us"), "eu-west-1", True),
        ("a/x", ("us",), "eu-west-1", False),
        ("a/x", ("global",), "eu-west-1", False),
        ("local/x", (), None, True),
        ("local/x-cloud", (), None, False),
    ],
)
def test_regions_keep_calls_at_home(
    name: str, regions: tuple[str, ...], endpoint: str | None, *, passes: bool
) -> None:
    """Only what is known to be answered in an allowed region, or on the own machine, passes."""
    facts = model(name, regions=frozenset(regions))
    provider_regions = {} if endpoint is None else {"a": endpoint}
    found = objections(facts, task(), regions=frozenset({"eu"}), provider_regions=provider_regions)
    assert found == ([] if passes else ["region"])


def test_sentences_name_what_matters() -> None:
    """Reasons quote the numbers and names that they are about."""
    facts = model(
        "a/x",
        shutdown_date=date(2025, 1, 2),
        successor=ModelId.parse("a/y"),
        context_tokens=10,
        usd="3",
    )
    conditions = under(
        availability={"a": "Its key is missing."}, denied=("a",), max_cost_usd=Decimal("0.001")
    )
    (rejection,) = rank(task(), [facts], conditions=conditions).rejected
    assert [reason.sentence for reason in rejection.reasons] == [
        "It is not served since 2025-01-02; `a/y` is its successor.",
        "`a` is denied.",
        "`a` cannot be used: Its key is missing.",
        "Prompt and answer of about 1,500 tokens exceed its window of 10.",
        "About 0.004500 USD exceed the 0.001 USD that it may cost.",
    ]


def test_what_is_unknown_comes_after_what_is_known() -> None:
    """A model that may or may not be able passes, but behind worse ones that are able."""
    needed = frozenset({Capability.VISION, Capability.SAMPLING})
    able = model("a/able", quality=0.2, can=frozenset({Capability.VISION}))
    unsure = model("a/unsure", quality=0.9)
    ranking = rank(task(capabilities=needed), [unsure, able], conditions=under())
    assert names(ranking) == ["a/able", "a/unsure"]
    assert [one.kind for one in ranking.ranked[1].remarks] == [RemarkKind.CAPABILITY_UNKNOWN]
    assert ranking.ranked[0].remarks == ()


def test_an_unknown_window_matters_for_long_prompts_alone() -> None:
    """What any model can hold asks for no window; more puts those of unknown window behind."""
    windowed = model("a/windowed", quality=0.2, context_tokens=9000)
    unsure = model("a/unsure", quality=0.9)
    assert names(rank(task(), [windowed, unsure], conditions=under()))[0] == "a/unsure"
    ranking = rank(task(input_tokens=8000), [windowed, unsure], conditions=under())
    assert names(ranking) == ["a/windowed", "a/unsure"]
    assert [one.kind for one in ranking.ranked[1].remarks] == [RemarkKind.WINDOW_UNKNOWN]


def test_what_is_listed_no_more_comes_last() -> None:
    """A model that its provider does not list is tried after the others."""
    unlisted = model("a/x", quality=0.9, unlisted_since=TODAY)
    ranking = rank(task(), [unlisted, model("a/y", quality=0.1)], conditions=under())
    assert names(ranking) == ["a/y", "a/x"]
    assert [one.kind for one in ranking.ranked[1].remarks] == [RemarkKind.UNLISTED]


def test_the_nearer_the_end_the_lower_the_score() -> None:
    """Within thirty days of its end a model loses up to half of its score."""
    factors = [
        scored(model("a/x", shutdown_date=TODAY + timedelta(days)), task()).factor
        for days in (400, 30, 15, 1)
    ]
    assert factors == [1.0, 1.0, 0.75, pytest.approx(0.5 + 0.5 / 30)]
    (remark,) = scored(model("a/x", shutdown_date=TODAY + timedelta(1)), task()).remarks
    assert (remark.kind, "2026-11-26" in remark.sentence) == (RemarkKind.ENDS_SOON, True)


@pytest.mark.parametrize(
    ("complexity", "expected"),
    [
        (0.0, ["local/good", "local/weak", "a/best", "a/fair"]),
        (0.5, ["local/good", "a/best", "a/fair", "local/weak"]),
        (1.0, ["a/best", "a/fair", "local/good", "local/weak"]),
    ],
)
def test_local_models_come_first_where_they_suffice(complexity: float, expected: list[str]) -> None:
    """Under `local-first` the bar for local models rises with the complexity of the task."""
    models = [
        model("a/best", quality=0.95),
        model("a/fair", quality=0.6),
        model("local/good", quality=0.7, usd="0"),
        model("local/weak", quality=0.2, usd="0"),
        model("local/x-cloud", quality=0.1, usd="9", never_released=True),
    ]
    ranking = rank(
        task(complexity=complexity), models, conditions=under(), strategy=Strategy.LOCAL_FIRST
    )
    assert names(ranking) == expected
    for one in ranking.ranked:
        local = one.model.provider == "local"
        suffices = expected.index(str(one.model)) < expected.index("a/best")
        kind = RemarkKind.LOCAL_SUFFICES if suffices else RemarkKind.LOCAL_TOO_WEAK
        assert [remark.kind for remark in one.remarks] == ([kind] if local else [])


def test_equal_models_stand_in_alphabetical_order() -> None:
    """The same model of several resellers keeps one order."""
    models = [model(name) for name in ("b/x", "a/y", "c/x", "a/x")]
    assert names(rank(task(), models, conditions=under())) == ["a/x", "a/y", "b/x", "c/x"]


def test_affinity_follows_the_confidence() -> None:
    """The less sure the type of the task is, the more quality in general counts."""
    facts = model("a/x", quality=None)
    known = {TaskType.GENERAL: 0.2, TaskType.CODE_REVIEW: 0.8}
    facts = msgspec.structs.replace(facts, quality=known)
    values = [scored(facts, task(confidence=sure)).affinity for sure in (1.0, 0.5, 0.0)]
    assert values == pytest.approx([0.8, 0.5, 0.2])


def test_missing_quality_is_taken_from_what_is_known() -> None:
    """A task of unknown quality counts as tasks in general, those as the mean, else as poor."""
    general = model("a/x", quality=None)
    by_general = msgspec.structs.replace(general, quality={TaskType.GENERAL: 0.6})
    by_mean = msgspec.structs.replace(
        general, quality={TaskType.MATHS: 0.4, TaskType.VISION: 0.6}, quality_source="a study"
    )
    affinities = [scored(one, task()).affinity for one in (by_general, by_mean, general)]
    assert affinities == pytest.approx([0.6, 0.5, 0.3])
    sources = [scored(one, task()).parts[0].source for one in (by_general, by_mean, general)]
    assert sources == ["given without a source", "a study", "unknown"]


def test_accuracy_matters_as_far_as_the_task_is_hard() -> None:
    """Everyone is taken to master the easiest task, and the hardest only by general quality."""
    facts = model("a/x", quality=0.4)
    values = [scored(facts, task(complexity=hard)).accuracy for hard in (0.0, 0.5, 1.0)]
    assert values == pytest.approx([1.0, 0.7, 0.4])


def test_cost_is_seen_beside_the_dearest() -> None:
    """Free is 1, the dearest and the unknown 0, and ten times the price a step between."""
    models = [
        model("a/free", usd="0"),
        model("b/cheap", usd="0.1"),
        model("c/dear", usd="1"),
        model("d/dearest", usd="10"),
        model("e/unknown", usd=None),
    ]
    ranking = rank(task(), models, conditions=under(), strategy=Strategy.COST)
    assert names(ranking) == [str(one.id) for one in models]
    costs = [one.cost for one in ranking.ranked]
    assert costs == pytest.approx([1.0, 0.850, 0.480, 0.0, 0.0], abs=0.001)
    assert [one.parts[3].source for one in ranking.ranked][-1] == "unknown"
    assert ranking.ranked[1].cost_usd == Decimal("0.00015")
    alone = scored(model("a/free", usd="0"), task())
    assert alone.cost == 1.0


def test_the_tier_of_the_prompt_counts() -> None:
    """A long prompt is priced at what long prompts cost."""
    tiers = (
        Prices(input=Decimal(1), output=Decimal(1)),
        Prices(input=Decimal(3), output=Decimal(3), from_input_tokens=1001),
    )
    facts = model("a/x", prices=tiers)
    assert scored(facts, task(input_tokens=1000)).cost_usd == Decimal("0.0015")
    assert scored(facts, task(input_tokens=1001)).cost_usd == Decimal("0.004503")


def test_observed_calls_take_the_place_of_what_was_expected() -> None:
    """The more calls were seen, the less the expected performance counts."""
    facts = model("a/x", quality=0.9)
    slow = {"error_rate": 0.0, "first_content_s": 1.0, "tokens_per_s": 500 / 43}
    values = [
        scored(facts, task(), observed={facts.id: Observed(calls=calls, **slow)}).performance
        for calls in (0.01, 5.0, 1e9)
    ]
    # 44 s, four times as long as what is medium, is a fifth of the best.
    assert values == pytest.approx([0.9, 0.55, 0.2], abs=0.002)
    assert scored(facts, task()).performance == 0.9
    assert scored(model("a/x", quality=None), task()).performance == 0.5


def test_failures_count_as_much_as_slowness() -> None:
    """A model of which half the calls fail has half the performance, whatever else is known."""
    facts = model("a/x", quality=0.8)
    seen = Observed(calls=1e9, error_rate=0.5)
    one = scored(facts, task(), observed={facts.id: seen})
    assert one.performance == pytest.approx(0.4)
    assert (one.observed, "50% failed" in one.parts[1].source) == (seen, True)


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (
            Observed(calls=9.0, error_rate=0.0, first_content_s=0.5, tokens_per_s=50.0),
            "9.0 calls seen of late, 0% failed, first content after 0.50 s, 50 tokens/s",
        ),
        (
            Observed(calls=1.0, error_rate=0.0, answer_s=2.0),
            "1.0 calls seen of late, 0% failed, answers after 2.00 s",
        ),
        (None, "expected; no call was seen of late"),
    ],
)
def test_performance_says_where_it_is_from(seen: Observed | None, words: str) -> None:
    """What was seen is told in numbers, and that nothing was seen as well."""
    facts = model("a/x")
    observed = {} if seen is None else {facts.id: seen}
    assert scored(facts, task(), observed=observed).parts[1].source == words


def test_speed_prefers_who_answers_soon() -> None:
    """Under `speed` a quick model is ahead of a much better one that is slow."""
    models = [model("a/slow", quality=0.9), model("b/quick", quality=0.5)]
    seen = {
        one.id: Observed(calls=50.0, error_rate=0.0, first_content_s=first, tokens_per_s=rate)
        for one, first, rate in zip(models, (5.0, 0.2), (10.0, 200.0), strict=True)
    }
    orders = {
        strategy: names(rank(task(), models, conditions=under(observed=seen), strategy=strategy))
        for strategy in (Strategy.SPEED, Strategy.QUALITY)
    }
    assert orders[Strategy.SPEED] == ["b/quick", "a/slow"]
    assert orders[Strategy.QUALITY] == ["a/slow", "b/quick"]


def test_cost_prefers_who_is_cheap() -> None:
    """Under `cost` a cheap model is ahead of a much better one that is dear."""
    models = [model("a/dear", quality=0.9, usd="20"), model("b/cheap", quality=0.5, usd="0.2")]
    orders = {
        strategy: names(rank(task(), models, conditions=under(), strategy=strategy))
        for strategy in (Strategy.COST, Strategy.BALANCED)
    }
    assert orders[Strategy.COST] == ["b/cheap", "a/dear"]
    assert orders[Strategy.BALANCED] == ["a/dear", "b/cheap"]


def test_weights_can_be_given() -> None:
    """Weights of one's own take the place of the strategy's, and the ranking holds them."""
    only_cost = Weights(affinity=0, performance=0, accuracy=0, cost=1)
    models = [model("a/dear", quality=0.9, usd="20"), model("b/cheap", quality=0.1, usd="0.2")]
    ranking = rank(task(), models, conditions=under(), weights=only_cost)
    assert names(ranking) == ["b/cheap", "a/dear"]
    assert (ranking.strategy, ranking.weights) == (Strategy.BALANCED, only_cost)
    assert all(one.weights is only_cost for one in ranking.ranked)


def test_no_score_exceeds_one() -> None:
    """Weights that exceed 1 by less than can be seen do not carry a score above it."""
    weights = Weights(affinity=0.4000000005, performance=0.3, accuracy=0.2, cost=0.1)
    best = model("a/x", quality=1.0, usd="0")
    (ranked,) = rank(task(), [best], conditions=under(), weights=weights).ranked
    assert ranked.score == 1.0


@pytest.mark.parametrize(
    "weights",
    [(0.5, 0.5, 0.5, 0.5), (1.5, -0.5, 0, 0), (float("nan"), 1, 0, 0), (0, 0, 0, 0)],
)
def test_weights_that_are_none_are_refused(weights: tuple[float, ...]) -> None:
    """Weights are from 0 to 1 each and 1 together."""
    affinity, performance, accuracy, cost = weights
    with pytest.raises(UsageError, match="do not add up to 1"):
        Weights(affinity=affinity, performance=performance, accuracy=accuracy, cost=cost)


def test_every_strategy_has_weights() -> None:
    """No strategy is without weights, and `balanced` has those that the design names."""
    assert set(WEIGHTS) == set(Strategy)
    balanced = Weights(affinity=0.40, performance=0.30, accuracy=0.20, cost=0.10)
    assert WEIGHTS[Strategy.BALANCED] == balanced


@pytest.mark.parametrize("most", ["-1", "NaN", "Infinity"])
def test_a_ceiling_that_is_none_is_refused(most: str) -> None:
    """A ceiling is a finite amount from zero up."""
    with pytest.raises(UsageError, match="is no ceiling"):
        under(max_cost_usd=Decimal(most))


def test_nothing_to_rank_is_an_empty_ranking() -> None:
    """Without models there is neither a candidate nor a rejection."""
    ranking = rank(task(), [], conditions=under())
    assert (ranking.ranked, ranking.rejected) == ((), ())


def test_profiles_of_other_facts_are_not_taken() -> None:
    """Facts that come and go by the thousand are each judged by their own content."""
    for number in range(5000):
        facts = model("a/x", quality=number / 5000)
        assert scored(facts, task()).affinity == number / 5000


def test_the_examples_of_the_page_run() -> None:
    """Every Python example of the page on routing does what it says."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), {})  # noqa: S102  # our own page


def test_the_page_lists_every_kind() -> None:
    """Kinds of rejections, remarks and parts, strategies and weights are all on the page."""
    page = PAGE.read_text(encoding="utf-8")
    for kind in (*RejectionKind, *RemarkKind, *PartName, *Strategy):
        assert f"`{kind}`" in page
    for strategy, weights in WEIGHTS.items():
        shown = " | ".join(f"{one:.2f}" for one in msgspec.structs.astuple(weights))
        assert f"| `{strategy}` | {shown} |" in page
