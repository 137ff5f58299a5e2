"""Connects the parts: the only module that picks concrete classes."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lattice_lock.exceptions import ConfigurationError
from lattice_lock.orchestrator.capability_gate import CapabilityGate
from lattice_lock.orchestrator.pricing import PriceTag
from lattice_lock.orchestrator.registry import ModelRegistry
from lattice_lock.providers.availability import ProviderAvailability
from lattice_lock.providers.breaker import Breakers
from lattice_lock.providers.discovery import client_class
from lattice_lock.providers.telemetry import telemetry
from lattice_lock.providers.transport import Transport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

    from lattice_lock.messages import ModelId
    from lattice_lock.providers.base_client import BaseAPIClient
    from lattice_lock.providers.middleware import Middleware
    from lattice_lock.settings import Settings

__all__ = ["cheapest_models", "model_registry", "open_clients"]

_FREE_PROVIDERS = ("embedded", "local")  # in the order in which they are tried


@asynccontextmanager
async def open_clients(
    settings: Settings, providers: Iterable[str], *, middleware: Sequence[Middleware] = ()
) -> AsyncIterator[Mapping[str, BaseAPIClient]]:
    """A client for each of `providers`, by id, over one transport; all are closed at the end.

    They share their breakers, as they do the connections. Where this process has set OpenTelemetry
    up, each call is a span.

    Args:
        middleware: what stands around every call of every client, the first outermost.

    Whether a provider can run is not looked at here: a call says so, `ProviderAvailability` too.
    What a model is known not to be able to do is refused, and answers say their price if it is
    known.

    Raises:
        ConfigurationError: the file of `LATTICE_LOCK_MODELS_FILE` is wrong.
        ProviderUnavailableError: there is no such provider.
    """
    async with AsyncExitStack() as stack:
        transport = await stack.enter_async_context(Transport(settings))
        breakers = Breakers()
        observer = telemetry()
        registry = model_registry(settings)
        layers = (
            *(() if observer is None else (observer,)),
            *middleware,
            PriceTag(registry),
            CapabilityGate(registry),
        )
        clients: dict[str, BaseAPIClient] = {}
        for provider in dict.fromkeys(providers):
            kind = await asyncio.to_thread(client_class, provider)
            await asyncio.to_thread(registry.models, provider)  # so that no call has to read them
            clients[provider] = kind(settings, transport)
            clients[provider].share_breakers(breakers)
            clients[provider].use(*layers)
            stack.push_async_callback(clients[provider].aclose)
        yield clients


def model_registry(settings: Settings) -> ModelRegistry:
    """The models that are known here, those of the user's own file included."""
    path = settings.text("LATTICE_LOCK_MODELS_FILE")
    return ModelRegistry(None if path is None else Path(path))


async def cheapest_models(settings: Settings) -> tuple[ModelId, ...]:
    """Models that cost nothing and can run here, in the order in which to try them.

    Raises:
        ConfigurationError: there is none.
    """
    availability = ProviderAvailability(settings)
    statuses = [await availability.status(provider) for provider in _FREE_PROVIDERS]
    models = tuple(model for status in statuses for model in status.models)
    if not models:
        raise ConfigurationError(
            "No embedded or local model can run on this machine.",
            hint="Run `lattice-lock models pull embedded`, or name a model with `--model`.",
        )
    return models
