"""What is known of one model, and what its tokens cost."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from lattice_lock.messages import ModelId, ReasoningEffort
from lattice_lock.orchestrator.tasks import Capability, TaskType

if TYPE_CHECKING:
    from lattice_lock.messages import Usage

__all__ = [
    "FREE",
    "FREE_PROVIDERS",
    "CostTier",
    "Lifecycle",
    "ModelFacts",
    "Prices",
    "cost_usd",
    "is_free",
]

_MILLION = Decimal(1_000_000)
_DEAREST = Decimal(1_000_000)
_FINEST = -12  # decimal places
FREE_PROVIDERS = frozenset({"embedded", "local"})
"""Providers whose models run on the user's own machines, so that nobody is paid for a token."""


class Lifecycle(StrEnum):
    """Whether a model is served: `DEPRECATED` has a date for its end, `RETIRED` is past it."""

    ACTIVE = "active"
    DEPRECATED = "deprecated"
    RETIRED = "retired"
    NEVER_RELEASED = "never_released"


class CostTier(StrEnum):
    """How dear a model is, by what a million tokens of its output cost at the lowest tier.

    `LOW` is up to 2 US dollars, `MEDIUM` up to 10, `HIGH` up to 30, `PREMIUM` more.
    """

    FREE = "free"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    PREMIUM = "premium"
    UNKNOWN = "unknown"


_TIERS = (
    (Decimal(2), CostTier.LOW),
    (Decimal(10), CostTier.MEDIUM),
    (Decimal(30), CostTier.HIGH),
)
_READS = {Capability.VISION: "image", Capability.FILES: "file"}


def _is_price(price: Decimal) -> bool:
    # The exponent is bounded, because a price of 1e999999 prints as a million digits.
    exponent = price.as_tuple().exponent
    return isinstance(exponent, int) and exponent >= _FINEST and 0 <= price <= _DEAREST


class Prices(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """US dollars for a million tokens of each class; None is unknown.

    Attributes:
        from_input_tokens: the prices hold for calls with that many input tokens or more.
    """

    input: Decimal
    output: Decimal
    cached_input: Decimal | None = None
    cache_write: Decimal | None = None
    from_input_tokens: int = 0

    def __post_init__(self) -> None:
        for price in (self.input, self.output, self.cached_input, self.cache_write):
            if price is not None and not _is_price(price):
                raise ValueError(f"`{price!s:.40}` is no price")

    def cost_usd(self, usage: Usage) -> Decimal | None:
        """US dollars for `usage`; None where a class that it has tokens of has no known price."""
        classes = (
            (usage.fresh_input_tokens, self.input),
            (usage.cached_input_tokens, self.cached_input),
            (usage.cache_write_tokens, self.cache_write),
            (usage.output_tokens, self.output),
        )
        total = Decimal(0)
        for tokens, price in classes:
            if tokens and price is None:
                return None
            total += tokens * (price or 0)
        return total / _MILLION


FREE = Prices(input=Decimal(0), output=Decimal(0), cached_input=Decimal(0), cache_write=Decimal(0))
"""What a model costs that nobody is paid for."""


def is_free(model: ModelId) -> bool:
    """Whether nobody is paid for a token of `model`, because it runs on the user's own machine.

    A local Ollama hands models whose names end in `cloud` on to its makers, who are paid.
    """
    return model.provider in FREE_PROVIDERS and not model.name.endswith("cloud")


def cost_usd(prices: tuple[Prices, ...], usage: Usage) -> Decimal | None:
    """US dollars for `usage` at `prices`, by rising `from_input_tokens`; None is unknown."""
    held = [one for one in prices if usage.input_tokens >= one.from_input_tokens]
    return held[-1].cost_usd(usage) if held else None


class ModelFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One model.

    Attributes:
        aliases: other names by which it is found.
        snapshots: names of its issues; a model that is found by one of them is called by it.
        api: the API that it is called over, such as `responses`, `chat` or `messages`.
        can, cannot: what it is known to do and known not to do; the rest is unknown.
        efforts: the reasoning efforts that it takes, rising; empty where they are unknown.
        regions: where its calls are answered, such as `us`; `global` is anywhere, empty unknown.
        quality: how good its answers are expected to be, from 0 to 1; empty where it is unknown.
        quality_source: where that is known from.
        prices: by rising `from_input_tokens`; empty where they are unknown.
        shutdown_date: the first day on which it is served no more, where one is announced.
        unlisted_since: the day on which its provider was first seen not to list it; it may be
            served nevertheless, under this name or another.
        successor: a model of the same provider to use instead, where it has an end.
        source: where its status is known from.
    """

    id: ModelId
    aliases: tuple[str, ...] = ()
    snapshots: tuple[str, ...] = ()
    title: str | None = None
    api: str | None = None
    context_tokens: int | None = None
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    can: frozenset[Capability] = frozenset()
    cannot: frozenset[Capability] = frozenset()
    efforts: tuple[ReasoningEffort, ...] = ()
    regions: frozenset[str] = frozenset()
    prices: tuple[Prices, ...] = ()
    quality: Mapping[TaskType, float] = {}
    quality_source: str | None = None
    shutdown_date: date | None = None
    never_released: bool = False
    unlisted_since: date | None = None
    successor: ModelId | None = None
    source: str | None = None

    @property
    def cost_tier(self) -> CostTier:
        """How dear its answers are; see `CostTier`."""
        if not self.prices:
            return CostTier.UNKNOWN
        first = self.prices[0]
        if first.input == first.output == 0:
            return CostTier.FREE
        return next((tier for most, tier in _TIERS if first.output <= most), CostTier.PREMIUM)

    @property
    def inputs(self) -> frozenset[str]:
        """What it is known to read: `text`, `image`, `file`. All of them write text."""
        return frozenset({"text", *(word for one, word in _READS.items() if one in self.can)})

    def lifecycle(self, on: date | None = None) -> Lifecycle:
        """Whether it is served on that day, by default today (UTC)."""
        if self.never_released:
            return Lifecycle.NEVER_RELEASED
        if self.shutdown_date is None:
            return Lifecycle.ACTIVE
        today = on or datetime.now(tz=UTC).date()
        return Lifecycle.RETIRED if today >= self.shutdown_date else Lifecycle.DEPRECATED

    def served(self, on: date | None = None) -> bool:
        """Whether it can be called on that day."""
        return self.lifecycle(on) in {Lifecycle.ACTIVE, Lifecycle.DEPRECATED}

    def cost_usd(self, usage: Usage) -> Decimal | None:
        """US dollars for `usage`; None is unknown, zero is known to be free."""
        return cost_usd(self.prices, usage)
