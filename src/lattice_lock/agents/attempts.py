"""One method: asking models for candidates until one passes or a limit is reached."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final, Protocol

from lattice_lock.agents.draft import Rejection, failure_in
from lattice_lock.agents.progress import (
    AttemptStarted,
    CandidateRejected,
    MethodReport,
    MethodStatus,
    RejectedBy,
)
from lattice_lock.agents.prompt import Feedback, build_prompt
from lattice_lock.core.elements import contract_digest
from lattice_lock.core.lockfile import Acceptance
from lattice_lock.exceptions import AllProvidersFailedError, APIClientError
from lattice_lock.messages import DEFAULT_TIMEOUT_S, ChatRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from collections.abc import Set as AbstractSet

    from lattice_lock.agents.draft import Candidate, Draft
    from lattice_lock.agents.progress import BuildEvent
    from lattice_lock.core.schema import Interface, Method
    from lattice_lock.gauntlet.verdict import GauntletReport
    from lattice_lock.messages import ChatResponse, ModelId

__all__ = ["Budget", "BuildLimits", "ChatModel", "MethodBuild", "fresh_seed"]

_TEMPERATURES: Final = (0.0, 0.5, 0.7, 0.8, 0.9, 1.0)
"""For the attempts of one model in turn, the last one for all further: first its best guess, then
more and more variety. Temperature 0 twice would give the same reply twice."""
_MAX_FAILED_CALLS: Final = 2
_MAX_OUTPUT_TOKENS: Final = 768
_MIN_TIMEOUT_S: Final = 0.001
_SEED_BITS: Final = 63


class ChatModel(Protocol):
    """Whatever answers a request to the model that it names."""

    async def chat_completion(self, request: ChatRequest) -> ChatResponse:
        """The model's answer.

        Raises:
            APIClientError: there is none.
            AllProvidersFailedError: nor from anyone asked in its place.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildLimits:
    """When a build stops asking.

    Attributes:
        attempts_per_model: calls to one model for one method.
        duration_s: seconds for the whole build; None for no limit.
        cost_usd: US dollars for the whole build; None for no limit. With a limit, a model whose
            price turns out to be unknown is not asked again.
    """

    attempts_per_model: int = 6
    duration_s: float | None = None
    cost_usd: Decimal | None = None


class Budget:
    """What a build has spent, and whether it may go on."""

    def __init__(self, limits: BuildLimits) -> None:
        self.limits = limits
        self._started = time.monotonic()
        self._cost_usd = Decimal(0)
        self._unpriced: set[ModelId] = set()
        self._failed: Counter[ModelId] = Counter()

    def remaining_s(self) -> float | None:
        """Seconds left, 0 when they are used up; None without a limit."""
        if self.limits.duration_s is None:
            return None
        return max(0.0, self.limits.duration_s - (time.monotonic() - self._started))

    def record_answer(self, model: ModelId, cost_usd: Decimal | None) -> None:
        """Count a call that was answered."""
        self._failed[model] = 0
        if cost_usd is None:
            self._unpriced.add(model)
        else:
            self._cost_usd += cost_usd

    def record_failure(self, model: ModelId) -> None:
        """Count a call that failed."""
        self._failed[model] += 1

    def refusal(self, model: ModelId) -> str | None:
        """Why `model` may not be asked any more, None where it may."""
        remaining = self.remaining_s()
        if remaining == 0:
            return f"the time limit of {self.limits.duration_s:g} s was reached"
        limit = self.limits.cost_usd
        if limit is not None and self._cost_usd >= limit:
            return f"the cost limit of {limit} USD was reached"
        if limit is not None and model in self._unpriced:
            return f"the price of `{model}` is unknown, so the cost limit cannot be kept"
        if self._failed[model] >= _MAX_FAILED_CALLS:
            return f"`{model}` did not answer {self._failed[model]} times in a row"
        return None


class MethodBuild:
    """The attempts at one method."""

    def __init__(
        self,
        *,
        draft: Draft,
        interface: Interface,
        method: Method,
        chat: ChatModel,
        budget: Budget,
        notify: Callable[[BuildEvent], None],
        allow_unsandboxed: bool,
    ) -> None:
        self._draft = draft
        self._interface = interface
        self._method = method
        self._chat = chat
        self._budget = budget
        self._notify = notify
        self._allow_unsandboxed = allow_unsandboxed
        self._name = f"{interface.name}.{method.name}"
        self._started = time.monotonic()
        self._attempts = 0
        self._rejections: Counter[RejectedBy] = Counter()
        self._reason = ""
        self._feedback: Feedback | None = None
        self._tried: set[str] = set()
        self._seeds_seen: set[int] = set()
        self._input_tokens = 0
        self._output_tokens = 0
        self._cost_usd: Decimal | None = Decimal(0)

    async def run(self, models: Iterable[ModelId]) -> tuple[MethodReport, Acceptance | None]:
        """Ask each model in turn; the first body that passes everything goes into the draft."""
        for model in models:
            for number in range(self._budget.limits.attempts_per_model):
                refusal = self._budget.refusal(model)
                if refusal is not None:
                    self._reason = refusal
                    break
                outcome = await self._attempt(model, number)
                if isinstance(outcome, Acceptance):
                    return self._report(MethodStatus.ACCEPTED, model), outcome
                self._reject(model, outcome)
                if outcome.by is RejectedBy.MODEL:
                    break
        return self._report(MethodStatus.FAILED), None

    async def _attempt(self, model: ModelId, number: int) -> Acceptance | Rejection:
        self._attempts += 1
        self._notify(AttemptStarted(method=self._name, attempt=self._attempts, model=model))
        # Every other attempt starts afresh: a small model clings to what it is told was wrong.
        reply = await self._ask(model, number, self._feedback if number % 2 else None)
        if isinstance(reply, Rejection):
            return reply
        candidate = await asyncio.to_thread(
            self._draft.examine, reply, self._interface, self._method
        )
        if isinstance(candidate, Rejection):
            return candidate
        if candidate.digest in self._tried:
            return Rejection(by=RejectedBy.DUPLICATE, reason="the same body was rejected before")
        self._tried.add(candidate.digest)
        found = await self._judge(candidate, seed=self._attempts)
        if isinstance(found, Rejection):
            return found
        seed = fresh_seed(self._seeds_seen)
        found = await self._judge(candidate, seed=seed)
        if isinstance(found, Rejection):
            return found
        self._draft.set_text(self._interface, candidate.text)
        return self._acceptance(model, candidate, seed, found)

    async def _ask(self, model: ModelId, number: int, feedback: Feedback | None) -> str | Rejection:
        remaining = self._budget.remaining_s()
        timeout_s = DEFAULT_TIMEOUT_S if remaining is None else min(DEFAULT_TIMEOUT_S, remaining)
        request = ChatRequest(
            model=model,
            messages=build_prompt(
                self._draft.workspace.lattice, self._interface, self._method, feedback
            ),
            max_output_tokens=_MAX_OUTPUT_TOKENS,
            temperature=_TEMPERATURES[min(number, len(_TEMPERATURES) - 1)],
            seed=self._attempts,
            timeout_s=max(timeout_s, _MIN_TIMEOUT_S),
        )
        try:
            async with asyncio.timeout(remaining):
                response = await self._chat.chat_completion(request)
        except (APIClientError, AllProvidersFailedError, TimeoutError) as error:
            self._budget.record_failure(model)
            late = isinstance(error, TimeoutError)
            reason = "no answer within the time limit of the build" if late else str(error)
            return Rejection(by=RejectedBy.MODEL, reason=reason)
        self._count(response)
        self._budget.record_answer(model, response.cost_usd)
        return response.text

    def _count(self, response: ChatResponse) -> None:
        if response.usage is not None:
            self._input_tokens += response.usage.input_tokens
            self._output_tokens += response.usage.output_tokens
        if self._cost_usd is None or response.cost_usd is None:
            self._cost_usd = None
        else:
            self._cost_usd += response.cost_usd

    async def _judge(self, candidate: Candidate, *, seed: int) -> GauntletReport | Rejection:
        report = await self._draft.judge(
            self._interface,
            (self._method.name,),
            seed=seed,
            text=candidate.text,
            allow_unsandboxed=self._allow_unsandboxed,
        )
        failure = failure_in(report)
        # What this seed finds may be told to a model, so no body is ever accepted under it.
        self._seeds_seen.add(seed)
        return report if failure is None else Rejection(by=RejectedBy.GAUNTLET, reason=failure)

    def _reject(self, model: ModelId, rejection: Rejection) -> None:
        self._rejections[rejection.by] += 1
        if rejection.by is not RejectedBy.DUPLICATE:  # the first of its kind said more
            self._reason = rejection.reason
        if rejection.by not in {RejectedBy.MODEL, RejectedBy.DUPLICATE}:
            self._feedback = Feedback(reason=rejection.reason)
        self._notify(
            CandidateRejected(
                method=self._name,
                attempt=self._attempts,
                model=model,
                by=rejection.by,
                reason=rejection.reason,
            )
        )

    def _acceptance(
        self, model: ModelId, candidate: Candidate, seed: int, report: GauntletReport
    ) -> Acceptance:
        lattice = self._draft.workspace.lattice
        return Acceptance(
            file=self._interface.file,
            body_digest=candidate.digest,
            contract_digest=contract_digest(lattice, self._interface.name, self._method.name),
            author="model",
            model=str(model),
            attempts=self._attempts,
            input_tokens=self._input_tokens,
            output_tokens=self._output_tokens,
            cost_usd=self._cost_usd,
            seeds=(seed,),
            examples=sum(verdict.examples for verdict in report.verdicts),
        )

    def _report(self, status: MethodStatus, model: ModelId | None = None) -> MethodReport:
        return MethodReport(
            method=self._name,
            status=status,
            model=model,
            attempts=self._attempts,
            rejections=dict(self._rejections),
            reason=self._reason,
            duration_s=time.monotonic() - self._started,
            input_tokens=self._input_tokens,
            output_tokens=self._output_tokens,
            cost_usd=self._cost_usd,
        )


def fresh_seed(seen: AbstractSet[int]) -> int:
    """A seed that nobody could know beforehand, and none of those seen."""
    while (seed := secrets.randbits(_SEED_BITS)) in seen:
        pass
    return seed
