"""Which models can and may do a task, the one that suits it best first, each choice explained.

`rank` is a pure function of its arguments: it reads no clock and no file and asks nobody. A model
that cannot or may not do the task is rejected with every reason that speaks against it. The score
of each other one is a weighted sum of four parts, each from 0 to 1:

    affinity      how good the model is expected to be at this type of task, and the less sure the
                  type is, at tasks in general
    performance   how soon and how reliably it answers; as calls are observed, what they show
                  takes the place of what was expected
    accuracy      how likely it is to get a task of this complexity right: certain at complexity 0,
                  at complexity 1 its quality at tasks in general
    cost          1 for what is free, 0 for the dearest model that is left and for an unknown price;
                  between them by the logarithm of what the request is estimated to cost

What is unknown of a model rejects it only where a limit was set that it might break: its price,
its region. A capability or a window that is unknown lets it pass, but behind all that are known to
suffice.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from fnmatch import translate
from functools import lru_cache
from operator import attrgetter, itemgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from lattice_lock.exceptions import UsageError
from lattice_lock.messages import ModelId, Usage
from lattice_lock.orchestrator.completing import Strategy
from lattice_lock.orchestrator.model_facts import ModelFacts, Prices, is_free
from lattice_lock.orchestrator.observed import Observed
from lattice_lock.orchestrator.tasks import Capability, TaskType

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lattice_lock.orchestrator.tasks import TaskRequirements

__all__ = [
    "WEIGHTS",
    "Conditions",
    "Part",
    "PartName",
    "Ranked",
    "Ranking",
    "Reason",
    "Rejection",
    "RejectionKind",
    "Remark",
    "RemarkKind",
    "Weights",
    "rank",
]

_MILLION = 1e6
_UNKNOWN_QUALITY = 0.3  # below every model that is commonly used
_UNKNOWN_SPEED = 0.5
_CALLS_FOR_HALF = 5.0  # so many observed calls count as much as what was expected before
# A model that answers this soon gets half of what speed can give.
_MEDIUM_FIRST_S = 1.0
_MEDIUM_TOKENS_PER_S = 50.0
_UNIT_USD_PER_TOKEN = 1e-7  # about what the cheapest models cost that anyone is paid for
_ENDING_DAYS = 30
_ENDING_FACTOR = 0.5
_COMMON_WINDOW = 4096  # tokens that a model of unknown window is trusted to have
_EASIEST_BAR = 0.1  # affinity that lets a local model come first, at complexity 0 and at 1
_HARDEST_BAR = 0.8
# Nearly every model has these, and those that do not are known.
_PRESUMED = {Capability.SAMPLING, Capability.PARALLEL_TOOL_CALLS}
_ROUNDING = 1e-9
_SAID = "given without a source"
_MAX_PROFILES = 4096


class Weights(msgspec.Struct, frozen=True, kw_only=True):
    """How much each part of a score counts; from 0 to 1 each, and 1 together.

    Raises:
        UsageError: they are not.
    """

    affinity: float
    performance: float
    accuracy: float
    cost: float

    def __post_init__(self) -> None:
        weights = (self.affinity, self.performance, self.accuracy, self.cost)
        if not all(0 <= one <= 1 for one in weights) or not math.isclose(sum(weights), 1.0):
            raise UsageError(
                f"The weights {', '.join(map(str, weights))} do not add up to 1.",
                hint="Write four numbers from 0 to 1 whose sum is 1.",
            )


_BALANCED = Weights(affinity=0.40, performance=0.30, accuracy=0.20, cost=0.10)
WEIGHTS: Mapping[Strategy, Weights] = MappingProxyType(
    {
        Strategy.BALANCED: _BALANCED,
        Strategy.QUALITY: Weights(affinity=0.50, performance=0.05, accuracy=0.40, cost=0.05),
        Strategy.COST: Weights(affinity=0.15, performance=0.10, accuracy=0.15, cost=0.60),
        Strategy.SPEED: Weights(affinity=0.20, performance=0.60, accuracy=0.10, cost=0.10),
        Strategy.LOCAL_FIRST: _BALANCED,
    }
)
"""The weights of each strategy."""


def _today() -> date:
    return datetime.now(tz=UTC).date()


class Conditions(msgspec.Struct, frozen=True, kw_only=True):
    """What the world is like and what the caller allows, at the moment of the choice.

    Attributes:
        today: the day on which the model is to be served, by default the present one (UTC).
        availability: why each provider cannot be used, as a sentence, or None where it can; one
            that is not in it cannot. None as a whole: it was not looked at, and all can.
        left_alone_s: seconds for which models are left alone after failing.
        observed: what calls have shown of late.
        allowed: patterns of which one must fit; none allows every model. A pattern is
            `provider/name` with `*`, `?` and `[...]`, or the same for a provider alone.
        denied: patterns of which none may fit.
        regions: where the call may be answered, such as `eu`, which includes `eu-west-1`; none
            allows every place. The user's own machine is always allowed.
        provider_regions: where the user's endpoint of a provider is, where that is known.
        max_cost_usd: what the call may be estimated to cost at most, None for any price.
    """

    today: date = msgspec.field(default_factory=_today)
    availability: Mapping[str, str | None] | None = None
    left_alone_s: Mapping[ModelId, float] = {}
    observed: Mapping[ModelId, Observed] = {}
    allowed: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()
    regions: frozenset[str] = frozenset()
    provider_regions: Mapping[str, str] = {}
    max_cost_usd: Decimal | None = None

    def __post_init__(self) -> None:
        most = self.max_cost_usd
        if most is not None and not (most.is_finite() and most >= 0):
            raise UsageError(
                f"`{most}` is no ceiling for a price.", hint="Write US dollars, such as `0.05`."
            )


class PartName(StrEnum):
    """The parts of a score."""

    AFFINITY = "affinity"
    PERFORMANCE = "performance"
    ACCURACY = "accuracy"
    COST = "cost"


class Part(msgspec.Struct, frozen=True, gc=False):
    """One part of a score.

    Attributes:
        value: from 0 to 1.
        weight: how much it counts, from 0 to 1.
        source: what the value comes from, for a person.
    """

    name: PartName
    value: float
    weight: float
    source: str


class RemarkKind(StrEnum):
    """What moved a model in the ranking besides its parts."""

    CAPABILITY_UNKNOWN = "capability_unknown"
    WINDOW_UNKNOWN = "window_unknown"
    UNLISTED = "unlisted"
    ENDS_SOON = "ends_soon"
    LOCAL_SUFFICES = "local_suffices"
    LOCAL_TOO_WEAK = "local_too_weak"


class Remark(msgspec.Struct, frozen=True, gc=False):
    """One such thing, as a sentence."""

    kind: RemarkKind
    sentence: str


class RejectionKind(StrEnum):
    """What can speak against a model."""

    NEVER_RELEASED = "never_released"
    RETIRED = "retired"
    NOT_ALLOWED = "not_allowed"
    DENIED = "denied"
    REGION = "region"
    UNAVAILABLE = "unavailable"
    LEFT_ALONE = "left_alone"
    CAPABILITY = "capability"
    CONTEXT = "context"
    MAX_OUTPUT = "max_output"
    PRICE = "price"
    PRICE_UNKNOWN = "price_unknown"


class Reason(msgspec.Struct, frozen=True, gc=False):
    """One thing that speaks against a model, as a sentence."""

    kind: RejectionKind
    sentence: str


class Rejection(msgspec.Struct, frozen=True, gc=False):
    """A model that cannot or may not do the task, with everything that speaks against it."""

    model: ModelId
    reasons: tuple[Reason, ...]


class Ranked(msgspec.Struct, frozen=True, gc=False):
    """A model that can do the task.

    Attributes:
        score: the weighted sum of the parts, times `factor`; from 0 to 1.
        affinity, performance, accuracy, cost: the parts, from 0 to 1.
        weights: what the parts count.
        factor: 1, or less down to 0.5 the nearer the end of the model is.
        prices: those of a request of this size, None where they are unknown.
        usage: what the request is estimated to use, reasoning left out.
        quality_source: where affinity and accuracy are known from, None where they are not.
        observed: what calls of the model have shown, None where there was none of late.
        remarks: what put it before models of higher score, or behind models of lower score.
    """

    model: ModelId
    score: float
    affinity: float
    performance: float
    accuracy: float
    cost: float
    weights: Weights
    factor: float
    prices: Prices | None
    usage: Usage
    quality_source: str | None
    observed: Observed | None
    remarks: tuple[Remark, ...]

    @property
    def cost_usd(self) -> Decimal | None:
        """US dollars that the call is estimated to cost without reasoning, None if unknown."""
        return None if self.prices is None else self.prices.cost_usd(self.usage)

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts with what they count and come from, in the order of `PartName`."""
        weights = self.weights
        quality = self.quality_source or "unknown"
        speed = "unknown" if self.quality_source is None else "expected; no call was seen of late"
        if self.observed is not None:
            speed = _told(self.observed)
        priced = "unknown"
        if (usd := self.cost_usd) is not None:
            priced = f"about {usd:f} USD" if usd else "free"
        return (
            Part(PartName.AFFINITY, self.affinity, weights.affinity, quality),
            Part(PartName.PERFORMANCE, self.performance, weights.performance, speed),
            Part(PartName.ACCURACY, self.accuracy, weights.accuracy, quality),
            Part(PartName.COST, self.cost, weights.cost, priced),
        )


def _told(seen: Observed) -> str:
    words = [f"{seen.calls:.1f} calls seen of late", f"{seen.error_rate:.0%} failed"]
    if seen.first_content_s is not None:
        words.append(f"first content after {seen.first_content_s:.2f} s")
    if seen.tokens_per_s is not None:
        words.append(f"{seen.tokens_per_s:.0f} tokens/s")
    elif seen.answer_s is not None:
        words.append(f"answers after {seen.answer_s:.2f} s")
    return ", ".join(words)


class Ranking(msgspec.Struct, frozen=True, kw_only=True):
    """Every model that was looked at, once: ranked, the best first, or rejected, by id."""

    strategy: Strategy
    weights: Weights
    ranked: tuple[Ranked, ...]
    rejected: tuple[Rejection, ...]


def rank(
    requirements: TaskRequirements,
    models: Sequence[ModelFacts],
    *,
    conditions: Conditions,
    strategy: Strategy = Strategy.BALANCED,
    weights: Weights | None = None,
) -> Ranking:
    """Every one of `models`, ranked or rejected; their order does not matter.

    Of equal scores the model whose id comes first in the alphabet is ranked first.

    Args:
        strategy: what counts most. `LOCAL_FIRST` puts models of the user's own machine first where
            their quality reaches a bar that rises with the complexity, and last where it does not.
        weights: what to use in place of the strategy's own.
    """
    weights = weights or WEIGHTS[strategy]
    limits = _Limits(requirements, conditions)
    passed, rejected = limits.divide(sorted(_profiles(models), key=_NAME))
    dearest_usd = max([about_usd for _, _, about_usd in passed], default=0.0)
    scale = _Scale(
        requirements, conditions, strategy, weights, usage=limits.usage, dearest_usd=dearest_usd
    )
    placed = scale.placed(passed)
    placed.sort(key=_PLACE)  # stable, so that equal ones stay in the order of their names
    return Ranking(
        strategy=strategy,
        weights=weights,
        ranked=tuple([ranked for _, ranked in placed]),
        rejected=tuple(rejected),
    )


class _Profile(msgspec.Struct, frozen=True, kw_only=True):
    """What follows from the facts of a model alone, in the form that is compared soonest.

    Attributes:
        name: the id as text.
        local: whether it runs on the user's own machine.
        ends: the first day on which it is not served, None where there is none.
        window, most_input, most_output: tokens; infinite where they are unknown.
        windowless: whether neither of the first two is known.
        unlisted: whether its provider does not list it any more.
        tiers: by rising size of the input: prices, and US dollars for a token in and out.
        plain: whether nothing but its scores can put it before or behind others.
        general: quality at tasks in general.
        quick: how well it is expected to perform.
        source: where its quality is known from, None where it is unknown.
    """

    facts: ModelFacts
    name: str
    local: bool
    ends: date | None
    window: float
    most_input: float
    most_output: float
    windowless: bool
    unlisted: bool
    tiers: tuple[tuple[Prices, float, float], ...]
    plain: bool
    general: float
    quick: float
    source: str | None


_Candidate: TypeAlias = tuple[_Profile, Prices | None, float]
_NAME = attrgetter("name")
_PLACE = itemgetter(0)

# By the `id` of facts, which lives as long as they do: facts hold mappings and have no hash.
_PROFILES: dict[int, _Profile] = {}


def _profiles(models: Sequence[ModelFacts]) -> list[_Profile]:
    """The profile of each model, made once for its facts."""
    known = _PROFILES.get
    return [
        found
        if (found := known(id(facts))) is not None and found.facts is facts
        else _profile(facts)
        for facts in models
    ]


def _profile(facts: ModelFacts) -> _Profile:
    quality = facts.quality
    general = quality.get(TaskType.GENERAL)
    if general is None:
        general = sum(quality.values()) / len(quality) if quality else _UNKNOWN_QUALITY
    local = is_free(facts.id)
    ends = date.min if facts.never_released else facts.shutdown_date
    windowless = facts.context_tokens is None and facts.max_input_tokens is None
    unlisted = facts.unlisted_since is not None
    if len(_PROFILES) >= _MAX_PROFILES:
        _PROFILES.clear()
    profile = _PROFILES[id(facts)] = _Profile(
        facts=facts,
        name=str(facts.id),
        local=local,
        ends=ends,
        window=facts.context_tokens or math.inf,
        most_input=facts.max_input_tokens or math.inf,
        most_output=facts.max_output_tokens or math.inf,
        windowless=windowless,
        unlisted=unlisted,
        tiers=tuple(
            (prices, float(prices.input) / _MILLION, float(prices.output) / _MILLION)
            for prices in facts.prices
        ),
        plain=ends is None and not (unlisted or windowless or local),
        general=general,
        quick=quality.get(TaskType.QUICK_RESPONSE, _UNKNOWN_SPEED),
        source=facts.quality_source or (_SAID if quality else None),
    )
    return profile


class _Limits:
    """What a model must meet, with what does not depend on the model worked out once."""

    def __init__(self, requirements: TaskRequirements, conditions: Conditions) -> None:
        self.usage = Usage(
            input_tokens=requirements.input_tokens, output_tokens=requirements.output_tokens
        )
        self._input = requirements.input_tokens
        self._output = requirements.output_tokens
        self._tokens = self._input + self._output
        self._needed = requirements.capabilities
        self._conditions = conditions
        self._today = conditions.today
        self._allowed = _expression(conditions.allowed)
        self._denied = _expression(conditions.denied)
        self._not_allowed = _not_allowed(conditions.allowed)
        most_usd = float(conditions.max_cost_usd or 0)
        # Only between these two it has to be counted exactly.
        self._surely_usd = most_usd * (1.0 - _ROUNDING)
        self._surely_over_usd = most_usd * (1.0 + _ROUNDING)
        # What holds for many models is found out once.
        self._places: dict[tuple[str, frozenset[str]], Reason | None] = {}
        self._providers: dict[str, Reason | None] = {}

    def divide(self, profiles: Iterable[_Profile]) -> tuple[list[_Candidate], list[Rejection]]:
        """Those that pass with about what they cost, and the others with all that is wrong."""
        read, written = self._input, self._output
        passed: list[_Candidate] = []
        rejected: list[Rejection] = []
        for profile in profiles:
            prices, about_usd = None, 0.0
            for tier in profile.tiers:
                if read >= tier[0].from_input_tokens:
                    prices, into, out = tier
                    about_usd = read * into + written * out
            if reasons := self._objections(profile, prices, about_usd):
                rejected.append(Rejection(profile.facts.id, tuple(reasons)))
            else:
                passed.append((profile, prices, about_usd))
        return passed, rejected

    def _objections(
        self, profile: _Profile, prices: Prices | None, about_usd: float
    ) -> list[Reason]:
        """Everything that speaks against a model; empty where it passes."""
        facts, conditions = profile.facts, self._conditions
        found: list[Reason] = []
        if profile.ends is not None and self._today >= profile.ends:
            found.append(_ended(facts))
        if self._denied is not None and self._denied.match(profile.name):
            found += _denied(profile.name, conditions.denied)
        if self._allowed is not None and not self._allowed.match(profile.name):
            found.append(self._not_allowed)
        if conditions.regions and not profile.local:
            found += self._elsewhere(facts)
        if conditions.availability is not None:
            found += self._unavailable(facts.id.provider, conditions.availability)
        if facts.id in conditions.left_alone_s:
            found.append(_left_alone(conditions.left_alone_s[facts.id]))
        if not self._needed.isdisjoint(facts.cannot):
            found += _incapable(self._needed & facts.cannot)
        if (
            self._tokens > profile.window
            or self._input > profile.most_input
            or self._output > profile.most_output
        ):
            found += self._too_long(profile)
        most_usd = conditions.max_cost_usd
        if most_usd is not None and (prices is None or about_usd > self._surely_usd):
            found += self._too_dear(prices, about_usd, most_usd)
        return found

    def _elsewhere(self, facts: ModelFacts) -> tuple[Reason, ...]:
        key = (facts.id.provider, facts.regions)
        if key not in self._places:
            self._places[key] = _elsewhere(*key, self._conditions)
        reason = self._places[key]
        return () if reason is None else (reason,)

    def _unavailable(
        self, provider: str, availability: Mapping[str, str | None]
    ) -> tuple[Reason, ...]:
        if provider not in self._providers:
            self._providers[provider] = _unavailable(provider, availability)
        reason = self._providers[provider]
        return () if reason is None else (reason,)

    def _too_long(self, profile: _Profile) -> Iterator[Reason]:
        read, written = self._input, self._output
        if self._tokens > profile.window:
            sentence = (
                f"Prompt and answer of about {self._tokens:,} tokens exceed its window of "
                f"{profile.window:,}."
            )
            yield Reason(RejectionKind.CONTEXT, sentence)
        if read > (most := profile.most_input):
            sentence = f"A prompt of about {read:,} tokens exceeds the {most:,} that it reads."
            yield Reason(RejectionKind.CONTEXT, sentence)
        if written > (most := profile.most_output):
            sentence = f"An answer of about {written:,} tokens exceeds the {most:,} that it writes."
            yield Reason(RejectionKind.MAX_OUTPUT, sentence)

    def _too_dear(
        self, prices: Prices | None, about_usd: float, most_usd: Decimal
    ) -> Iterator[Reason]:
        if prices is None:
            sentence = f"What it costs is unknown, and {most_usd:f} USD is the most it may."
            yield Reason(RejectionKind.PRICE_UNKNOWN, sentence)
        elif about_usd > self._surely_over_usd or (prices.cost_usd(self.usage) or 0) > most_usd:
            sentence = f"About {about_usd:.6f} USD exceed the {most_usd:f} USD that it may cost."
            yield Reason(RejectionKind.PRICE, sentence)


def _ended(facts: ModelFacts) -> Reason:
    if facts.never_released:
        return Reason(RejectionKind.NEVER_RELEASED, "It was never released.")
    since = f"It is not served since {facts.shutdown_date}"
    then = f"; `{facts.successor}` is its successor." if facts.successor else "."
    return Reason(RejectionKind.RETIRED, since + then)


@lru_cache(maxsize=256)
def _expression(patterns: tuple[str, ...]) -> re.Pattern[str] | None:
    """What the names match that one of `patterns` fits, None where there is no pattern."""
    named = (pattern if "/" in pattern else f"{pattern}/*" for pattern in patterns)
    return re.compile("|".join(map(translate, named))) if patterns else None


def _denied(name: str, patterns: tuple[str, ...]) -> Iterator[Reason]:
    for pattern in patterns:
        expression = _expression((pattern,))
        if expression is not None and expression.match(name):
            yield Reason(RejectionKind.DENIED, f"`{pattern}` is denied.")


def _not_allowed(patterns: tuple[str, ...]) -> Reason:
    allowed = ", ".join(f"`{pattern}`" for pattern in patterns)
    return Reason(RejectionKind.NOT_ALLOWED, f"Only {allowed} may be asked.")


def _elsewhere(provider: str, regions: frozenset[str], conditions: Conditions) -> Reason | None:
    endpoint = conditions.provider_regions.get(provider)
    if endpoint is not None and (not regions or _within(endpoint, regions)):
        regions = frozenset({endpoint})
    if regions and all(_within(region, conditions.regions) for region in regions):
        return None
    where = " and ".join(f"`{region}`" for region in sorted(regions)) or "an unknown place"
    allowed = ", ".join(f"`{region}`" for region in sorted(conditions.regions))
    return Reason(RejectionKind.REGION, f"It answers in {where}, and may in {allowed} only.")


def _within(place: str, regions: frozenset[str]) -> bool:
    return any(place == region or place.startswith(f"{region}-") for region in regions)


def _unavailable(provider: str, availability: Mapping[str, str | None]) -> Reason | None:
    reason = availability.get(provider, "there is no such provider.")
    if reason is None:
        return None
    return Reason(RejectionKind.UNAVAILABLE, f"`{provider}` cannot be used: {reason}")


def _left_alone(left_s: float) -> Reason:
    sentence = f"It is left alone after failing, for {left_s:.1f} s more."
    return Reason(RejectionKind.LEFT_ALONE, sentence)


def _incapable(lacking: frozenset[Capability]) -> Iterator[Reason]:
    for capability in sorted(lacking):
        sentence = f"It does not have the capability `{capability}`."
        yield Reason(RejectionKind.CAPABILITY, sentence)


_UNMOVED: tuple[float, float, tuple[Remark, ...]] = (0.0, 1.0, ())


class _Scale:
    """What a model is scored by, with what does not depend on the model worked out once."""

    def __init__(
        self,
        requirements: TaskRequirements,
        conditions: Conditions,
        strategy: Strategy,
        weights: Weights,
        *,
        usage: Usage,
        dearest_usd: float,
    ) -> None:
        tokens = usage.total_tokens
        self._usage = usage
        self._task_type = requirements.task_type
        self._confidence = requirements.confidence
        self._complexity = requirements.complexity
        self._needed = requirements.capabilities - _PRESUMED
        self._output_tokens = requirements.output_tokens
        self._tokens = tokens
        self._long = tokens > _COMMON_WINDOW
        self._today = conditions.today
        self._soon = conditions.today + timedelta(days=_ENDING_DAYS)
        self._observed = conditions.observed
        self._weights = weights
        self._local_first = strategy is Strategy.LOCAL_FIRST
        self._bar = _EASIEST_BAR + (_HARDEST_BAR - _EASIEST_BAR) * requirements.complexity
        self._medium_s = _MEDIUM_FIRST_S + requirements.output_tokens / _MEDIUM_TOKENS_PER_S
        self._unit_usd = max(tokens, 1) * _UNIT_USD_PER_TOKEN
        self._dearest = math.log1p(dearest_usd / self._unit_usd) or 1.0

    def placed(self, candidates: Iterable[_Candidate]) -> list[tuple[float, Ranked]]:
        """Each model with its score, and its place: what comes first has the lowest."""
        # In locals, because this runs for every model of every request.
        task_type, complexity = self._task_type, self._complexity
        sure, unsure = self._confidence, 1.0 - self._confidence
        observed, weights = self._observed, self._weights
        by_affinity, by_performance = weights.affinity, weights.performance
        by_accuracy, by_cost = weights.accuracy, weights.cost
        usage, unit_usd, dearest = self._usage, self._unit_usd, self._dearest
        needed = self._needed
        placed = []
        for profile, prices, about_usd in candidates:
            facts, general = profile.facts, profile.general
            affinity = sure * facts.quality.get(task_type, general) + unsure * general
            performance = profile.quick
            seen = observed.get(facts.id) if observed else None
            if seen is not None:
                performance = self._blended(performance, seen)
            accuracy = 1.0 - complexity * (1.0 - general)
            cost = 0.0 if prices is None else 1.0 - math.log1p(about_usd / unit_usd) / dearest
            score = (
                affinity * by_affinity
                + performance * by_performance
                + accuracy * by_accuracy
                + cost * by_cost
            )
            group, factor, remarks = _UNMOVED
            if not profile.plain or not needed <= facts.can:
                group, factor, remarks = self._moved(profile, affinity)
                score *= factor
            ranked = Ranked(
                facts.id,
                score if score < 1.0 else 1.0,  # noqa: FURB136  # `min` takes longer
                affinity,
                performance,
                accuracy,
                cost,
                weights,
                factor,
                prices,
                usage,
                profile.source,
                seen,
                remarks,
            )
            placed.append((group - score, ranked))
        return placed

    def _moved(self, profile: _Profile, affinity: float) -> tuple[float, float, tuple[Remark, ...]]:
        """What the parts do not tell: a model's group, the factor on its score, and why.

        Groups are further apart than scores.
        """
        soon = profile.ends is not None and profile.ends < self._soon
        local = self._local_first and profile.local
        remarks: list[Remark] = []
        if profile.unlisted or profile.windowless or not self._needed <= profile.facts.can:
            remarks += self._doubts(profile)
        group = 6.0 if remarks else 0.0
        factor = 1.0
        if soon and profile.ends is not None:
            left = (profile.ends - self._today).days / _ENDING_DAYS
            factor = _ENDING_FACTOR + (1.0 - _ENDING_FACTOR) * left
            ends = f"It is served no more from {profile.ends} on."
            remarks.append(Remark(RemarkKind.ENDS_SOON, ends))
        if local:
            suffices = affinity >= self._bar
            group += -2.0 if suffices else 2.0
            remarks.append(self._local(affinity, suffices=suffices))
        return group, factor, tuple(remarks)

    def _blended(self, prior: float, seen: Observed) -> float:
        seconds = seen.expected_s(self._output_tokens)
        speed = prior if seconds is None else self._medium_s / (self._medium_s + seconds)
        share = seen.calls / (seen.calls + _CALLS_FOR_HALF)
        return share * speed * (1.0 - seen.error_rate) + (1.0 - share) * prior

    def _doubts(self, profile: _Profile) -> Iterator[Remark]:
        """Why it is not known whether the model can do the task."""
        for capability in sorted(self._needed - profile.facts.can):
            sentence = f"Whether it has the capability `{capability}` is unknown."
            yield Remark(RemarkKind.CAPABILITY_UNKNOWN, sentence)
        if self._long and profile.windowless:
            sentence = f"Whether about {self._tokens:,} tokens fit its window is unknown."
            yield Remark(RemarkKind.WINDOW_UNKNOWN, sentence)
        if profile.unlisted:
            sentence = f"Its provider does not list it since {profile.facts.unlisted_since}."
            yield Remark(RemarkKind.UNLISTED, sentence)

    def _local(self, affinity: float, *, suffices: bool) -> Remark:
        compared = f"{affinity:.2f}, and {self._bar:.2f} is what a task of this complexity needs."
        if suffices:
            return Remark(RemarkKind.LOCAL_SUFFICES, f"It is local, its affinity {compared}")
        return Remark(RemarkKind.LOCAL_TOO_WEAK, f"It is local, its affinity only {compared}")
