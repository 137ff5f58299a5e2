"""What the parts that ask models need of whoever answers, and the name of a model left open."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from lattice_lock.messages import ModelId

if TYPE_CHECKING:
    from lattice_lock.messages import ChatRequest, ChatResponse
    from lattice_lock.orchestrator.budget import Budget
    from lattice_lock.orchestrator.tasks import TaskType

__all__ = ["AUTO", "Completes", "Strategy"]

AUTO = ModelId(provider="auto", name="auto")
"""The model of a request that leaves the choice to the orchestrator."""


class Strategy(StrEnum):
    """What counts most where a model is chosen."""

    BALANCED = "balanced"
    QUALITY = "quality"
    COST = "cost"
    SPEED = "speed"
    LOCAL_FIRST = "local-first"


class Completes(Protocol):
    """Answers requests, `ModelOrchestrator` above all; consensus, chains and tool loops ask it."""

    async def complete(
        self,
        request: ChatRequest,
        *,
        task_type: TaskType | None = None,
        strategy: Strategy | None = None,
        budget: Budget | None = None,
    ) -> ChatResponse:
        """The whole answer to `request`; where its model is `AUTO`, one is chosen.

        Args:
            task_type: what the request is about; None is found out.
            strategy: what counts most; None is the default of whoever answers.
            budget: what may be spent on the answer, all attempts and fallbacks included.

        Raises:
            APIClientError: the model that was named did not answer.
            AllProvidersFailedError: no candidate answered; it holds every cause.
            BudgetExceededError: the call might cost more than is left.
            NoCandidateError: no model can and may answer; it says why for each.
        """
