"""Connects the parts: the only module that picks concrete classes."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lattice_lock.exceptions import ConfigurationError
from lattice_lock.orchestrator.capability_gate import CapabilityGate
from lattice_lock.orchestrator.completing import Strategy
from lattice_lock.orchestrator.policy_layer import PolicyLayer, call_context
from lattice_lock.orchestrator.pricing import PriceTag
from lattice_lock.orchestrator.registry import ModelRegistry, refreshed_file
from lattice_lock.providers.availability import ProviderAvailability
from lattice_lock.providers.breaker import Breakers
from lattice_lock.providers.discovery import client_class
from lattice_lock.providers.telemetry import telemetry
from lattice_lock.providers.transport import Transport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

    from lattice_lock.messages import ChatRequest, ModelId
    from lattice_lock.orchestrator.analyzer import TaskAnalyzer
    from lattice_lock.orchestrator.budget import Budget
    from lattice_lock.orchestrator.cost import CostTracker
    from lattice_lock.orchestrator.observed import ObservedPerformance
    from lattice_lock.orchestrator.orchestrator import ModelOrchestrator
    from lattice_lock.policies.base import Context
    from lattice_lock.policies.policy_set import PolicySet
    from lattice_lock.providers.base_client import BaseAPIClient
    from lattice_lock.providers.middleware import Middleware
    from lattice_lock.settings import Settings

__all__ = [
    "cheapest_models",
    "current_project",
    "model_registry",
    "open_clients",
    "open_orchestrator",
    "project_policies",
]

_FREE_PROVIDERS = ("embedded", "local")  # in the order in which they are tried


@asynccontextmanager
async def open_clients(
    settings: Settings,
    providers: Iterable[str],
    *,
    middleware: Sequence[Middleware] = (),
    policies: PolicySet | None = None,
) -> AsyncIterator[Mapping[str, BaseAPIClient]]:
    """A client for each of `providers`, by id, over one transport; all are closed at the end.

    They share their breakers, as they do the connections. Where this process has set OpenTelemetry
    up, each call is a span.

    Args:
        middleware: what stands around every call of every client, the first outermost.
        policies: what prompts and answers are held to; none by default.

    Whether a provider can run is not looked at here: a call says so, `ProviderAvailability` too.
    What a model is known not to be able to do is refused, and answers say their price if it is
    known.

    Raises:
        ConfigurationError: the file of `LATTICE_LOCK_MODELS_FILE` is wrong.
        ProviderUnavailableError: there is no such provider.
    """
    async with _opening(settings, middleware=middleware, policies=policies) as pool:
        yield await pool.open(providers)


@asynccontextmanager
async def open_orchestrator(
    settings: Settings,
    *,
    strategy: Strategy = Strategy.BALANCED,
    budget: Budget | None = None,
    project: str | None = None,
    middleware: Sequence[Middleware] = (),
    policies: PolicySet | None = None,
) -> AsyncIterator[ModelOrchestrator]:
    """The front door to every model that can run here; all that it opens is closed at the end.

    What calls cost is recorded in the data folder, for `lattice-lock cost`.

    Args:
        strategy: what counts most where a call does not say.
        budget: what all calls together may spend.
        project: what the records of calls are filed under.
        middleware: as for `open_clients`.
        policies: what prompts and answers are held to, by default `project_policies`.

    Raises:
        ConfigurationError: the file of `LATTICE_LOCK_MODELS_FILE` is wrong.
        LatticeError, InvalidPolicyError: the policies of the project are wrong.
    """
    analyzer, tracker_class, observed_class, front_door = await asyncio.to_thread(_front_door)
    if policies is None:
        policies = await asyncio.to_thread(project_policies, settings)
    region = settings.text("AWS_REGION") or settings.text("AWS_DEFAULT_REGION")
    observed = observed_class()
    async with (
        tracker_class(settings.data_dir) as tracker,
        _opening(settings, middleware=(*middleware, observed)) as pool,
    ):
        orchestrator = front_door(
            clients=pool,
            analyzer=analyzer,
            registry=pool.registry,
            availability=ProviderAvailability(settings),
            breakers=pool.breakers,
            observed=observed,
            tracker=tracker,
            strategy=strategy,
            budget=budget,
            project=project,
            provider_regions={} if region is None else {"bedrock": region},
            windows_tokens={"embedded": settings.embedded_context_tokens},
            policies=policies,
        )
        try:
            yield orchestrator
        finally:
            await orchestrator.aclose()


def _front_door() -> tuple[
    TaskAnalyzer, type[CostTracker], type[ObservedPerformance], type[ModelOrchestrator]
]:
    """What makes the front door, and a call through `open_clients` does not need.

    Importing reads files and the first analyzer of a process takes its time: call it in a thread.
    """
    from lattice_lock.orchestrator.analyzer import TaskAnalyzer  # noqa: PLC0415  # see above
    from lattice_lock.orchestrator.cost import CostTracker  # noqa: PLC0415
    from lattice_lock.orchestrator.observed import ObservedPerformance  # noqa: PLC0415
    from lattice_lock.orchestrator.orchestrator import ModelOrchestrator  # noqa: PLC0415

    return TaskAnalyzer(), CostTracker, ObservedPerformance, ModelOrchestrator


class _ClientPool:
    """The client of each provider, made when it is first asked for, over one transport."""

    def __init__(
        self,
        settings: Settings,
        transport: Transport,
        middleware: Sequence[Middleware],
        policies: PolicySet | None,
    ) -> None:
        self._settings = settings
        self._transport = transport
        self.breakers = Breakers()
        self.registry = model_registry(settings)
        observer = telemetry()
        self._layers = (
            *((PolicyLayer(policies, about=self._about),) if policies else ()),
            *(() if observer is None else (observer,)),
            *middleware,
            PriceTag(self.registry),
            CapabilityGate(self.registry),
        )
        self._clients: dict[str, BaseAPIClient] = {}
        self._opening = asyncio.Lock()

    async def open(self, providers: Iterable[str]) -> Mapping[str, BaseAPIClient]:
        """The clients of `providers`, by id, and any others that are open.

        Raises:
            ConfigurationError: the file of `LATTICE_LOCK_MODELS_FILE` is wrong.
            ProviderUnavailableError: there is no such provider.
        """
        for provider in dict.fromkeys(providers):
            if provider not in self._clients:
                async with self._opening:
                    if provider not in self._clients:
                        self._clients[provider] = await self._make(provider)
        return self._clients

    async def aclose(self) -> None:
        """Close every client, whatever becomes of the others."""
        async with AsyncExitStack() as stack:
            for client in self._clients.values():
                stack.push_async_callback(client.aclose)

    def _about(self, request: ChatRequest) -> Context:
        return call_context(request, self.registry)

    async def _make(self, provider: str) -> BaseAPIClient:
        kind = await asyncio.to_thread(client_class, provider)
        await asyncio.to_thread(self.registry.models, provider)  # so that no call has to read them
        client = kind(self._settings, self._transport)
        client.share_breakers(self.breakers)
        client.use(*self._layers)
        return client


@asynccontextmanager
async def _opening(
    settings: Settings,
    *,
    middleware: Sequence[Middleware],
    policies: PolicySet | None = None,
) -> AsyncIterator[_ClientPool]:
    async with Transport(settings) as transport:
        pool = _ClientPool(settings, transport, middleware, policies)
        try:
            yield pool
        finally:
            await pool.aclose()


def current_project() -> str | None:
    """What the working folder is called if it has a lattice; calls made there are filed so."""
    folder = Path.cwd()
    return folder.name or None if (folder / "lattice.yaml").is_file() else None


def project_policies(settings: Settings, lattice: Path = Path("lattice.yaml")) -> PolicySet:
    """The policies of a lattice, if there is such a file, and of `LATTICE_LOCK_POLICIES_FILE`.

    Args:
        lattice: by default the one in the working folder; of a folder, the one in it.

    Raises:
        ProjectNotFoundError: there is no such file.
        LatticeError: the lattice or the file is not the YAML that it should be.
        InvalidPolicyError: a policy cannot be enforced.
    """
    from lattice_lock.core.policies import (  # noqa: PLC0415  # see `_front_door`
        load_lattice_policies,
        load_policy_file,
    )
    from lattice_lock.policies.policy_set import PolicySet  # noqa: PLC0415

    found = PolicySet()
    if lattice.is_dir():
        lattice /= "lattice.yaml"
    if lattice.is_file():
        found += load_lattice_policies(lattice)
    path = settings.text("LATTICE_LOCK_POLICIES_FILE")
    if path is not None:
        found += load_policy_file(Path(path))
    return found


def model_registry(settings: Settings) -> ModelRegistry:
    """The models that are known here: built in, listed by providers, the project's, the user's."""
    path = settings.text("LATTICE_LOCK_MODELS_FILE")
    return ModelRegistry(
        None if path is None else Path(path),
        lattice=Path("lattice.yaml"),
        refreshed=refreshed_file(settings),
    )


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
