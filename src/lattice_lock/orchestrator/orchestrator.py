"""The front door: one call, any model, with the choice explained.

request -> analyzer -> rank(what can run here) -> FallbackManager -> provider
                    each call: held to the policies, recorded, held against its budget, observed
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypedDict, Unpack

import msgspec

from lattice_lock.exceptions import ConfigurationError, NoCandidateError, UsageError
from lattice_lock.messages import ChatRequest, ChatResponse, Message, ModelId
from lattice_lock.orchestrator.budget import Budget
from lattice_lock.orchestrator.completing import AUTO, Strategy
from lattice_lock.orchestrator.current_statuses import CurrentStatuses
from lattice_lock.orchestrator.model_facts import FREE, FREE_PROVIDERS, ModelFacts, is_free
from lattice_lock.orchestrator.policy_layer import PolicyLayer, call_context
from lattice_lock.orchestrator.quality import PRIOR, prior_quality
from lattice_lock.orchestrator.routing import Conditions, Ranking, rank
from lattice_lock.orchestrator.tasks import Capability, TaskRequirements, TaskType
from lattice_lock.orchestrator.worst_case import BudgetGate
from lattice_lock.policies.base import Subject
from lattice_lock.policies.policy_set import PolicySet
from lattice_lock.providers.fallback import FallbackManager

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence

    from lattice_lock.messages import (
        ReasoningEffort,
        ResponseSchema,
        StreamEvent,
        ToolChoice,
        ToolDefinition,
    )
    from lattice_lock.orchestrator.analyzer import TaskAnalyzer
    from lattice_lock.orchestrator.cost import CostTracker
    from lattice_lock.orchestrator.observed import ObservedPerformance
    from lattice_lock.orchestrator.registry import ModelRegistry
    from lattice_lock.policies.base import Context
    from lattice_lock.policies.policy_set import Objection
    from lattice_lock.providers.availability import ProviderAvailability, ProviderStatus
    from lattice_lock.providers.base_client import BaseAPIClient
    from lattice_lock.providers.breaker import Breakers
    from lattice_lock.providers.middleware import Middleware

__all__ = ["ModelOrchestrator", "OpensClients", "RequestOptions", "RoutedResponse"]

_MAX_CANDIDATES = 4
_ZERO = Decimal(0)
_REASONS_SHOWN = 3
_Statuses: TypeAlias = "tuple[ProviderStatus, ...]"


class OpensClients(Protocol):
    """Gives the client of a provider, made when it is first asked for."""

    async def open(self, providers: Iterable[str]) -> Mapping[str, BaseAPIClient]:
        """The clients of `providers`, by id; an unknown one is missing."""


class RequestOptions(TypedDict, total=False):
    """What a `ChatRequest` can say besides its model and its messages."""

    max_output_tokens: int
    temperature: float
    top_p: float
    stop: tuple[str, ...]
    seed: int
    tools: tuple[ToolDefinition, ...]
    tool_choice: ToolChoice
    parallel_tool_calls: bool
    response_schema: ResponseSchema
    reasoning_effort: ReasoningEffort
    metadata: Mapping[str, str]
    timeout_s: float


class RoutedResponse(msgspec.Struct, frozen=True, kw_only=True):
    """An answer, and why this model gave it.

    Attributes:
        requirements: what the request was taken to be about; None where the model was named.
        ranking: every candidate with its score, every other model with what spoke against it; None
            where the model was named.
    """

    response: ChatResponse
    requirements: TaskRequirements | None = None
    ranking: Ranking | None = None


class _Choice(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller said about the choice of a model; None is left open."""

    task_type: TaskType | None
    strategy: Strategy | None
    budget: Budget | None
    conditions: Conditions | None = None


class _Route(msgspec.Struct, frozen=True):
    """Where a request goes; without requirements and ranking its model was named."""

    candidates: tuple[ModelId, ...]
    task_type: TaskType | None
    requirements: TaskRequirements | None = None
    ranking: Ranking | None = None


class ModelOrchestrator:
    """Answers requests with the model that suits them. One instance serves any number of tasks.

    It belongs to one event loop; `bootstrap.open_orchestrator` makes one and closes it.

    Args:
        strategy: what counts most where a call does not say.
        budget: what all calls together may spend.
        project: what the records of calls are filed under.
        provider_regions: where the endpoint of a provider is, where that is known.
        windows_tokens: bound on the windows of a provider's models, where it is set up with one.
        policies: what prompts and answers are held to.
    """

    def __init__(
        self,
        *,
        clients: OpensClients,
        analyzer: TaskAnalyzer,
        registry: ModelRegistry,
        availability: ProviderAvailability,
        breakers: Breakers,
        observed: ObservedPerformance,
        tracker: CostTracker | None = None,
        strategy: Strategy = Strategy.BALANCED,
        budget: Budget | None = None,
        project: str | None = None,
        provider_regions: Mapping[str, str] = MappingProxyType({}),
        windows_tokens: Mapping[str, int] = MappingProxyType({}),
        policies: PolicySet = PolicySet(),  # noqa: B008  # immutable
    ) -> None:
        self._clients = clients
        self._registry = registry
        self._availability = availability
        self._breakers = breakers
        self._observed = observed
        self._tracker = tracker
        self._strategy = strategy
        self._budget = budget
        self._project = project
        self._provider_regions = provider_regions
        self._windows_tokens = windows_tokens
        self._policies = policies
        self._analyzer = analyzer
        self._current = CurrentStatuses(availability)
        self._runnable: tuple[_Statuses, tuple[ModelFacts, ...]] = ((), ())

    async def route_request(
        self,
        prompt: str | Sequence[Message],
        *,
        model_id: str | ModelId | None = None,
        task_type: TaskType | None = None,
        strategy: Strategy | None = None,
        budget: Budget | None = None,
        conditions: Conditions | None = None,
        **options: Unpack[RequestOptions],
    ) -> RoutedResponse:
        """The answer to `prompt` by the model that suits it, or by the one that is named.

        Args:
            model_id: the model to ask, as `provider/name`, name or alias; None chooses one.
            task_type: what the prompt is about; None is found out.
            strategy: what counts most in the choice; None is this orchestrator's own.
            budget: what the answer may cost, all attempts and fallbacks included.
            conditions: what a model must meet besides, such as regions or a price ceiling.
            options: what `ChatRequest` takes besides.

        Raises:
            UsageError: the prompt is empty.
            ModelNotAvailableError: the model that is named is not known, or not served any more.
            NoCandidateError, AllProvidersFailedError, APIClientError, BudgetExceededError,
                PolicyViolationError: as for `complete`.
        """
        messages = (Message.user(prompt),) if isinstance(prompt, str) else tuple(prompt)
        if not any(part for message in messages for part in message.content) or prompt == "":
            raise UsageError("The prompt is empty.", hint="Write what the model is to do.")
        model = AUTO if model_id is None else await self.find_model(model_id)
        return await self._answer(
            ChatRequest(model=model, messages=messages, **options),
            _Choice(task_type=task_type, strategy=strategy, budget=budget, conditions=conditions),
        )

    async def complete(
        self,
        request: ChatRequest,
        *,
        task_type: TaskType | None = None,
        strategy: Strategy | None = None,
        budget: Budget | None = None,
    ) -> ChatResponse:
        """The answer to `request`; where its model is `AUTO`, one is chosen.

        Args:
            task_type, strategy, budget: as for `route_request`.

        Raises:
            APIClientError: the model that was named did not answer.
            AllProvidersFailedError: no candidate answered; it holds every cause.
            BudgetExceededError: the call might cost more than is left.
            NoCandidateError: no model can and may answer.
            PolicyViolationError: a policy refuses the prompt, the answer, or every model.
        """
        choice = _Choice(task_type=task_type, strategy=strategy, budget=budget)
        return (await self._answer(request, choice)).response

    async def stream(
        self,
        request: ChatRequest,
        *,
        task_type: TaskType | None = None,
        strategy: Strategy | None = None,
        budget: Budget | None = None,
    ) -> AsyncGenerator[StreamEvent, None]:
        """The answer to `request` as it is made; the last event is a `StreamEnd` with all of it.

        A candidate that fails before its first event is replaced unseen; later its error ends the
        stream. Close the generator to stop the provider at once.

        Args:
            task_type, strategy, budget: as for `route_request`.

        Raises:
            The errors of `complete`, the first time that an event is asked for.
        """
        choice = _Choice(task_type=task_type, strategy=strategy, budget=budget)
        route = await self._route(request, choice)
        clients = await self._clients.open(model.provider for model in route.candidates)
        layers = self._layers(route, budget)
        if route.ranking is None:
            events = clients[request.model.provider].stream(request, layers=layers)
        else:
            manager = FallbackManager(clients)
            events = manager.stream(request, route.candidates, layers=layers)
        async with aclosing(events):
            async for event in events:
                yield event

    async def rank(
        self,
        request: ChatRequest,
        *,
        task_type: TaskType | None = None,
        strategy: Strategy | None = None,
        budget: Budget | None = None,
        conditions: Conditions | None = None,
    ) -> tuple[TaskRequirements, Ranking]:
        """What `request` needs, and every known model ranked or rejected; nothing is asked.

        The arguments are those of `route_request`. Models of providers that cannot run here are
        rejected for that reason.
        """
        statuses = await self._availability.all()
        models = await asyncio.to_thread(self._all_models, statuses)
        choice = _Choice(
            task_type=task_type, strategy=strategy, budget=budget, conditions=conditions
        )
        return self._ranked(request, choice, models, statuses)

    async def find_model(self, model: str | ModelId) -> ModelId:
        """The model that is meant by an id, a name or an alias, if it is served.

        A model of which nothing is known may be one of the provider's all the same: it passes if it
        names its provider.

        Raises:
            ModelNotAvailableError: it is retired or was never released, or nobody has such a name.
        """
        text = str(model)
        if "/" in text:
            exact = ModelId.parse(text)
            facts = await asyncio.to_thread(self._registry.get, exact)
            if facts is None:
                return exact
            if facts.served():
                return facts.id
        return (await asyncio.to_thread(self._registry.find, text)).id

    async def aclose(self) -> None:
        """End what runs in the background."""
        await self._current.aclose()

    async def _answer(self, request: ChatRequest, choice: _Choice) -> RoutedResponse:
        route = await self._route(request, choice)
        clients = await self._clients.open(model.provider for model in route.candidates)
        layers = self._layers(route, choice.budget)
        if route.ranking is None:
            client = clients[request.model.provider]
            response = await client.chat_completion(request, layers=layers)
        else:
            manager = FallbackManager(clients)
            response = await manager.chat_completion(request, route.candidates, layers=layers)
        return RoutedResponse(
            response=response, requirements=route.requirements, ranking=route.ranking
        )

    async def _route(self, request: ChatRequest, choice: _Choice) -> _Route:
        if request.model != AUTO:
            return _Route((request.model,), choice.task_type)
        statuses = await self._current.statuses()
        if self._runnable[0] is not statuses:
            models = await asyncio.to_thread(self._models_of, statuses)
            self._runnable = (statuses, models)
        models = self._runnable[1]
        if not models:
            raise ConfigurationError(
                "No model can be asked on this machine.",
                hint="Run `lattice-lock models pull embedded`, or `lattice-lock doctor` to see "
                "what lacks.",
            )
        requirements, ranking = self._ranked(request, choice, models, statuses)
        if not ranking.ranked:
            raise _nobody(ranking)
        candidates = self._permitted(request, [one.model for one in ranking.ranked])
        return _Route(candidates[:_MAX_CANDIDATES], requirements.task_type, requirements, ranking)

    def _permitted(self, request: ChatRequest, models: Sequence[ModelId]) -> tuple[ModelId, ...]:
        """Those of `models` that the policies let be asked.

        Raises:
            PolicyViolationError: none is; what speaks against the first.
        """
        if not self._policies:
            return tuple(models)
        permitted: list[ModelId] = []
        refusals: list[Objection] = []
        for model in models:
            context = self._about(msgspec.structs.replace(request, model=model))
            refusal = self._policies.on_call(context)
            if refusal is None:
                permitted.append(model)
            else:
                refusals.append(refusal)
        if not permitted:
            raise refusals[0].error(Subject.PROMPT)
        return tuple(permitted)

    def _about(self, request: ChatRequest) -> Context:
        return call_context(request, self._registry, self._provider_regions)

    def _ranked(
        self,
        request: ChatRequest,
        choice: _Choice,
        models: Sequence[ModelFacts],
        statuses: _Statuses,
    ) -> tuple[TaskRequirements, Ranking]:
        requirements = self._analyzer.analyze(request, task_type=choice.task_type)
        wanted = choice.conditions or Conditions()
        budgets = [one for one in (choice.budget, self._budget) if one is not None]
        ceilings = [max(budget.left_usd, _ZERO) for budget in budgets]
        if wanted.max_cost_usd is not None:
            ceilings.append(wanted.max_cost_usd)
        ranking = rank(
            requirements,
            models,
            conditions=msgspec.structs.replace(
                wanted,
                availability={status.provider: _why_not(status) for status in statuses},
                left_alone_s=self._breakers.left_alone_s(),
                observed=self._observed.snapshot(),
                provider_regions={**self._provider_regions, **wanted.provider_regions},
                max_cost_usd=min(ceilings, default=None),
            ),
            strategy=choice.strategy or self._strategy,
        )
        return requirements, ranking

    def _layers(self, route: _Route, budget: Budget | None) -> tuple[Middleware, ...]:
        """What stands around each call of a request: policies, then the record, then the money."""
        layers: list[Middleware] = []
        if self._policies:
            alone = len(route.candidates) == 1
            layers.append(PolicyLayer(self._policies, about=self._about, alone=alone))
        if self._tracker is not None:
            layers.append(self._tracker.labelled(task=route.task_type, project=self._project))
        layers += [
            BudgetGate(one, self._registry) for one in (self._budget, budget) if one is not None
        ]
        return tuple(layers)

    def _all_models(self, statuses: _Statuses) -> tuple[ModelFacts, ...]:
        """Every model that is known, and those that servers of the user's own offer."""
        own = {status.provider for status in statuses if status.models} & FREE_PROVIDERS
        known = (facts for facts in self._registry.models() if facts.id.provider not in own)
        return (*known, *self._own_models(statuses))

    def _models_of(self, statuses: _Statuses) -> tuple[ModelFacts, ...]:
        """The models of providers that can run here."""
        return (
            *(
                facts
                for status in statuses
                if status.available and status.provider not in FREE_PROVIDERS
                for facts in self._registry.models(status.provider)
            ),
            *self._own_models(statuses),
        )

    def _own_models(self, statuses: _Statuses) -> Iterator[ModelFacts]:
        """The models that servers of the user's own offer, whatever is known of each."""
        for status in statuses:
            if status.provider in FREE_PROVIDERS:
                for model in status.models:
                    yield self._within_window(self._registry.get(model) or _presumed(model))

    def _within_window(self, facts: ModelFacts) -> ModelFacts:
        bound = self._windows_tokens.get(facts.id.provider)
        if bound is None:
            return facts
        window = min(bound, facts.context_tokens or bound)
        return msgspec.structs.replace(facts, context_tokens=window)


def _presumed(model: ModelId) -> ModelFacts:
    """What can be said of a model that is known by its name alone."""
    nothing: frozenset[Capability] = frozenset()
    quality = prior_quality(model.name, can=nothing, cannot=nothing, window_tokens=None)
    return ModelFacts(
        id=model,
        prices=(FREE,) if is_free(model) else (),
        quality=quality,
        quality_source=PRIOR if quality else None,
    )


def _why_not(status: ProviderStatus) -> str | None:
    """Why a provider cannot be used, and what to do about it; None where it can."""
    return status.reason and " ".join(filter(None, (status.reason, status.hint)))


def _nobody(ranking: Ranking) -> NoCandidateError:
    """The error that says what spoke against the models that were nearest to answering."""
    nearest = sorted(ranking.rejected, key=lambda one: len(one.reasons))[:_REASONS_SHOWN]
    reasons = " ".join(
        f"`{one.model}`: {' '.join(reason.sentence for reason in one.reasons)}" for one in nearest
    )
    return NoCandidateError(
        f"None of {len(ranking.rejected)} models can and may answer. {reasons}",
        hint="Run `lattice-lock route PROMPT --explain` to see what speaks against each.",
    )
