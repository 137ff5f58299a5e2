"""What models cost of which our data do not say it: the list that `genai-prices` carries.

The list knows some two thousand models by what they are called in requests. It is part of that
distribution, so that nothing is fetched. To import it takes a quarter of a second and 30 MB, for
which reason only models without a price of their own get here.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from lattice_lock.orchestrator.model_facts import FREE, Prices, is_free

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, TieredPrices

    from lattice_lock.messages import ModelId
    from lattice_lock.orchestrator.registry import ModelRegistry

__all__ = ["Listed", "known_prices", "look_up"]

# Where the list calls a provider something else; elsewhere the id is the same.
_PROVIDERS = {"bedrock": "aws", "xai": "x-ai"}
_MOST_KEPT = 1024


class Listed(NamedTuple):
    """What the list says of a model; empty and None are unknown."""

    prices: tuple[Prices, ...] = ()
    context_tokens: int | None = None


_FOUND: dict[ModelId, Listed] = {}  # so that a second answer need not wait for a thread


async def known_prices(registry: ModelRegistry, model: ModelId) -> tuple[Prices, ...]:
    """What `model` costs, by rising `from_input_tokens`; empty where it is unknown.

    What the registry says counts before the list, which is looked at in a thread.
    """
    if (facts := registry.get(model)) is not None and facts.prices:
        return facts.prices
    if is_free(model):
        return (FREE,) if facts is None else ()
    found = _FOUND.get(model)
    if found is None:
        found = await asyncio.to_thread(look_up, model)
        if len(_FOUND) < _MOST_KEPT:
            _FOUND[model] = found
    return found.prices


def look_up(model: ModelId, at: datetime | None = None) -> Listed:
    """What the list says of `model`, which imports it.

    Where a price depends on the time of day, the dearest counts, so that no budget is exceeded.

    Args:
        at: the day whose prices count, by default today.
    """
    # Imported here for its costs, see above.
    from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415

    provider = _PROVIDERS.get(model.provider, model.provider)
    try:
        _, found = get_snapshot().find_provider_model(model.name, None, provider, None)
    except LookupError:
        return Listed()
    return Listed(_prices(_dearest(found, at or datetime.now(tz=UTC))), found.context_window)


def _dearest(model: ModelInfo, day: datetime) -> ModelPrice:
    hours = (
        model.get_prices(day.replace(hour=hour, minute=minute))
        for hour in range(24)
        for minute in (0, 30)
    )
    return max(hours, key=lambda price: _at(price.output_mtok, 0) or 0)


def _prices(price: ModelPrice) -> tuple[Prices, ...]:
    """A price without input or output, such as that of an embedding, is none for an answer."""
    classes = (
        price.input_mtok,
        price.output_mtok,
        price.cache_read_mtok,
        price.cache_write_mtok,
    )
    starts = {0}
    for value in classes:
        if value is not None and not isinstance(value, Decimal):
            starts |= {tier.start + 1 for tier in value.tiers}
    found = []
    for start in sorted(starts):
        fresh, output, cached, written = (_at(value, start) for value in classes)
        if fresh is None or output is None:
            return ()
        found.append(
            Prices(
                from_input_tokens=start,
                input=fresh,
                output=output,
                cached_input=cached,
                cache_write=written,
            )
        )
    return tuple(found)


def _at(value: Decimal | TieredPrices | None, input_tokens: int) -> Decimal | None:
    """The price in a call of so many input tokens."""
    if value is None or isinstance(value, Decimal):
        return value
    held = [tier.price for tier in value.tiers if input_tokens > tier.start]
    return held[-1] if held else value.base
