"""Connects the parts: the only module that picks concrete classes."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from lattice_lock.exceptions import ConfigurationError
from lattice_lock.providers.availability import ProviderAvailability
from lattice_lock.providers.breaker import Breakers
from lattice_lock.providers.discovery import client_class
from lattice_lock.providers.transport import Transport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping

    from lattice_lock.messages import ModelId
    from lattice_lock.providers.base_client import BaseAPIClient
    from lattice_lock.settings import Settings

__all__ = ["cheapest_models", "open_clients"]

_FREE_PROVIDERS = ("embedded", "local")  # in the order in which they are tried


@asynccontextmanager
async def open_clients(
    settings: Settings, providers: Iterable[str]
) -> AsyncIterator[Mapping[str, BaseAPIClient]]:
    """A client for each of `providers`, by id, over one transport; all are closed at the end.

    They share their breakers, as they do the connections.

    Whether a provider can run is not looked at here: a call says so, `ProviderAvailability` too.

    Raises:
        ProviderUnavailableError: there is no such provider.
    """
    async with AsyncExitStack() as stack:
        transport = await stack.enter_async_context(Transport(settings))
        breakers = Breakers()
        clients: dict[str, BaseAPIClient] = {}
        for provider in dict.fromkeys(providers):
            kind = await asyncio.to_thread(client_class, provider)
            clients[provider] = kind(settings, transport)
            clients[provider].share_breakers(breakers)
            stack.push_async_callback(clients[provider].aclose)
        yield clients


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
