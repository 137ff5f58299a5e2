"""Several questions, each built on what was answered before.

    chain = load_chain("review.yaml")
    result = await run_chain(orchestrator, chain, {"topic": "tides"}, state_path=Path("run.json"))
    result.output

Steps that do not need each other are asked at once, within one budget and one deadline. A step that
fails ends the run. With a state file every answer is on the disk before anything is built on it,
and a run with the same file asks only what was not answered yet.
"""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import nullcontext
from dataclasses import dataclass
from decimal import Decimal
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import msgspec

from lattice_lock.core._suggestions import did_you_mean
from lattice_lock.exceptions import (
    BudgetExceededError,
    ChainError,
    ChainStepError,
    LatticeLockError,
    UsageError,
)
from lattice_lock.messages import (
    DEFAULT_TIMEOUT_S,
    ChatRequest,
    FinishReason,
    Message,
    ModelId,
    Usage,
)
from lattice_lock.orchestrator._answers import read_json
from lattice_lock.orchestrator._chain_definition import INPUTS, ITEM, Chain, Step
from lattice_lock.orchestrator._chain_file import load_chain, parse_chain, ready_chains
from lattice_lock.orchestrator._chain_state import StepAnswer, open_journal
from lattice_lock.orchestrator._templates import as_text
from lattice_lock.orchestrator.budget import Budget

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from lattice_lock.messages import ChatResponse
    from lattice_lock.orchestrator._chain_state import Journal
    from lattice_lock.orchestrator._templates import Reference
    from lattice_lock.orchestrator.completing import Completes

__all__ = [
    "Chain",
    "ChainEvent",
    "ChainResult",
    "ChainStepError",
    "Step",
    "StepAnswer",
    "StepAnswered",
    "StepAsked",
    "load_chain",
    "parse_chain",
    "ready_chains",
    "run_chain",
]

_MOST_ITEMS = 1_000  # more is a mistake of the model that made the list, and would be paid for
_LEAST_S = 1e-3  # a request has to have some time
_USABLE = frozenset({FinishReason.STOP, FinishReason.UNKNOWN, FinishReason.LENGTH})


class StepAsked(msgspec.Struct, frozen=True, kw_only=True):
    """A step begins, or one of its `items`; the model is `AUTO` where it is still to be chosen."""

    step: str
    item: int | None
    items: int | None
    model: ModelId


class StepAnswered(msgspec.Struct, frozen=True, kw_only=True):
    """A step was answered, now or in an earlier run, for one of its `items` perhaps."""

    answer: StepAnswer
    items: int | None


ChainEvent: TypeAlias = StepAsked | StepAnswered


class ChainResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a chain came to.

    Attributes:
        output: what the step answered that is the chain's output; where it was asked for each item,
            a JSON array of its answers.
        answers: every answer, by the order of the steps in the file and of the items.
        cost_usd: US dollars for all answers, those of earlier runs included; None is unknown.
        usage: tokens of all answers; None is unknown.
    """

    chain: str
    output: str
    answers: tuple[StepAnswer, ...]
    cost_usd: Decimal | None
    usage: Usage | None

    @classmethod
    def of(cls, chain: Chain, output: str, answers: tuple[StepAnswer, ...]) -> Self:
        """The result with the sums over `answers`."""
        costs = [one.cost_usd for one in answers if one.cost_usd is not None]
        usages = [one.usage for one in answers if one.usage is not None]
        return cls(
            chain=chain.name,
            output=output,
            answers=answers,
            cost_usd=sum(costs, Decimal(0)) if len(costs) == len(answers) else None,
            usage=reduce(add, usages, Usage()) if len(usages) == len(answers) else None,
        )


async def run_chain(
    completes: Completes,
    chain: Chain,
    inputs: Mapping[str, str] | None = None,
    *,
    models: Mapping[str, ModelId] | None = None,
    budget: Budget | None = None,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    state_path: Path | None = None,
    notify: Callable[[ChainEvent], object] | None = None,
) -> ChainResult:
    """What `chain` comes to.

    Args:
        completes: whoever asks the models.
        inputs: texts for the chain's inputs; those with a default may be left out.
        models: by step, who is asked instead of the model that the chain names or leaves open.
        budget: what all steps together may spend. What earlier runs with the same state file have
            spent is charged to it first, so give each run a new one.
        timeout_s: seconds for all of it.
        state_path: a file that keeps what was answered; None keeps nothing. It belongs to this
            chain with these inputs; `models` may differ from run to run.
        notify: told what happens, as it does.

    Raises:
        UsageError: an input is missing, or an input or a step is named that the chain has not.
        ChainStepError: a step failed, or was running when the time was over.
        ChainError: the state file cannot be used.
        BudgetExceededError: there is a budget, and what earlier runs have spent is unknown.
    """
    values = chain.filled(inputs or {})
    steps = [step.id for step in chain.steps]
    for name in models or ():
        if name not in steps:
            raise UsageError(
                f"The chain `{chain.name}` has no step `{name}`.", hint=did_you_mean(name, steps)
            )
    digest = hashlib.sha256(msgspec.json.encode(values, order="deterministic")).hexdigest()
    deadline = asyncio.get_running_loop().time() + timeout_s
    async with open_journal(
        state_path, chain=chain.name, chain_digest=chain.digest(), input_digest=digest
    ) as journal:
        run = _Run(
            completes,
            chain,
            {INPUTS: values},
            models=models or {},
            meter=_meter(budget, journal),
            journal=journal,
            deadline=deadline,
            notify=notify,
        )
        try:
            async with asyncio.timeout_at(deadline):
                await run.all_steps()
        except TimeoutError as error:
            if names := run.unfinished():
                raise ChainStepError(
                    f"The {timeout_s:g} s for the chain `{chain.name}` were over before there was"
                    f" an answer to {', '.join(f'`{name}`' for name in names)}.",
                    step=names[0],
                    hint="Allow more time, or choose faster models.",
                ) from error
        return run.result()


def _meter(budget: Budget | None, journal: Journal) -> Budget | None:
    """A budget within `budget` that tells what this chain spends, in earlier runs too."""
    if budget is None:
        return None
    if journal.spent_usd is None:
        raise BudgetExceededError(
            "What earlier runs with this state file have spent is unknown, so no budget can be"
            " kept.",
            hint="Run without a budget, or with another state file.",
        )
    meter = Budget(budget.limit_usd, name="chain", within=budget)
    meter.charge(journal.spent_usd)
    return meter


class _Run:
    """One run of a chain, up to its answers or its first failure."""

    def __init__(
        self,
        completes: Completes,
        chain: Chain,
        values: dict[str, Any],
        *,
        models: Mapping[str, ModelId],
        meter: Budget | None,
        journal: Journal,
        deadline: float,
        notify: Callable[[ChainEvent], object] | None,
    ) -> None:
        self._completes = completes
        self._chain = chain
        self._values = values
        self._models = models
        self._meter = meter
        self._journal = journal
        self._deadline = deadline
        self._notify = notify
        self._begun: set[str] = set()
        self._finished = {step.id: asyncio.Event() for step in chain.steps}

    async def all_steps(self) -> None:
        """Run every step, each as soon as what it needs is there; none is left running.

        Raises:
            ChainError: one failed; the first one's.
        """
        failure = None
        try:
            async with asyncio.TaskGroup() as group:
                for step in self._chain.steps:
                    group.create_task(self._run(step, group))
        except* ChainError as failures:
            failure = next(one for one in failures.exceptions if isinstance(one, ChainError))
        finally:
            if self._meter is not None:  # what failed may have cost something, too
                self._journal.spent_usd = self._meter.spent_usd
        if failure is not None:
            raise failure

    def unfinished(self) -> list[str]:
        """The steps that have begun and are not finished; those that could not begin if none."""
        left = [name for name, event in self._finished.items() if not event.is_set()]
        return [name for name in left if name in self._begun] or left

    def result(self) -> ChainResult:
        """What the steps came to; all are finished."""
        place = {step.id: number for number, step in enumerate(self._chain.steps)}
        answers = sorted(
            self._journal.answers.values(), key=lambda one: (place[one.step], one.item or 0)
        )
        return ChainResult.of(
            self._chain, as_text(self._values[self._chain.output]), tuple(answers)
        )

    async def _run(self, step: Step, group: asyncio.TaskGroup) -> None:
        for name in step.needs:
            await self._finished[name].wait()
        self._begun.add(step.id)
        if step.for_each is None:
            self._values[step.id] = await self._value(_Turn(step))
        else:
            items = self._items(step)
            gate = asyncio.Semaphore(step.concurrency)
            tasks = [
                group.create_task(self._value(_Turn(step, number, len(items), item), gate))
                for number, item in enumerate(items, start=1)
            ]
            # Tasks of the same group: where one fails, the group ends this one and all others.
            self._values[step.id] = [await task for task in tasks]
        self._finished[step.id].set()

    def _items(self, step: Step) -> list[Any]:
        turn = _Turn(step)
        items = self._looked_up(turn, step.for_each) if step.for_each is not None else None
        if not isinstance(items, list):
            raise turn.failed(f"`{step.for_each}` is no list.")
        if len(items) > _MOST_ITEMS:
            raise turn.failed(
                f"`{step.for_each}` has {len(items)} items, and {_MOST_ITEMS} is the most.",
                "Bound the list with `maxItems` in its schema.",
            )
        return items

    async def _value(self, turn: _Turn, gate: asyncio.Semaphore | None = None) -> Any:  # noqa: ANN401  # text or JSON
        """What comes of one question, asked now unless it was answered in an earlier run."""
        answer = self._journal.answers.get((turn.step.id, turn.number))
        if answer is None:
            async with gate or nullcontext():
                answer = await self._answer(turn)
        value = turn.read(answer)
        self._tell(StepAnswered(answer=answer, items=turn.items))
        return value

    async def _answer(self, turn: _Turn) -> StepAnswer:
        step = turn.step
        try:
            request = self._request(turn)
            self._tell(
                StepAsked(step=step.id, item=turn.number, items=turn.items, model=request.model)
            )
            response = await self._completes.complete(
                request, task_type=step.task_type, strategy=step.strategy, budget=self._meter
            )
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # A task group takes no notice of one that cancels itself, and others wait for it.
            raise turn.failed("its call cancelled itself.") from error
        except ChainError:
            raise
        except LatticeLockError as error:
            raise turn.failed(str(error)) from error
        if self._meter is not None:
            self._journal.spent_usd = self._meter.spent_usd
        elif response.cost_usd is None or self._journal.spent_usd is None:
            self._journal.spent_usd = None
        else:
            self._journal.spent_usd += response.cost_usd
        answer = turn.answered(response)
        turn.read(answer)  # what cannot be built on is not kept
        await self._journal.record(answer)
        return answer

    def _request(self, turn: _Turn) -> ChatRequest:
        step = turn.step
        system, prompt = (
            None if one is None else one.render(lambda name: self._looked_up(turn, name))
            for one in (step.system, step.prompt)
        )
        if not prompt or not prompt.strip():
            raise turn.failed("its prompt is empty.")
        messages = [Message.user(prompt)]
        if system is not None:
            messages.insert(0, Message.system(system))
        left_s = self._deadline - asyncio.get_running_loop().time()
        return ChatRequest(
            model=self._models.get(step.id, step.model),
            messages=tuple(messages),
            max_output_tokens=step.max_output_tokens,
            temperature=step.temperature,
            response_schema=step.response_schema,
            timeout_s=max(left_s, _LEAST_S),
        )

    def _looked_up(self, turn: _Turn, name: Reference) -> Any:  # noqa: ANN401  # text or JSON
        value = turn.item if name.root == ITEM else self._values[name.root]
        for field in name.fields:
            if not isinstance(value, dict) or field not in value:
                raise turn.failed(
                    f"there is no `{name}`, because there is no `{field}` in the answer.",
                    "Name the field in `required` of the schema.",
                )
            value = value[field]
        return value

    def _tell(self, event: ChainEvent) -> None:
        if self._notify is not None:
            self._notify(event)


@dataclass(frozen=True, slots=True)
class _Turn:
    """One question of a step: number `number` of `items`, about `item`, where it is for each."""

    step: Step
    number: int | None = None
    items: int | None = None
    item: Any = None

    def answered(self, response: ChatResponse) -> StepAnswer:
        """What is kept of `response`.

        Raises:
            ChainStepError: it is no whole answer.
        """
        if response.finish_reason not in _USABLE:
            raise self.failed(f"`{response.model}` stopped for `{response.finish_reason}`.")
        if not response.text.strip():
            raise self.failed(f"`{response.model}` answered nothing.")
        return StepAnswer(
            step=self.step.id,
            item=self.number,
            text=response.text,
            model=response.model,
            finish_reason=response.finish_reason,
            latency_ms=response.latency_ms,
            cost_usd=response.cost_usd,
            usage=response.usage,
        )

    def read(self, answer: StepAnswer) -> Any:  # noqa: ANN401  # text or JSON
        """The value of `answer`: its text, or JSON where a schema was asked for.

        Raises:
            ChainStepError: it is not JSON.
        """
        if self.step.response_schema is None:
            return answer.text
        try:
            return read_json(answer.text)[0]
        except ValueError as error:
            cut_off = answer.finish_reason is FinishReason.LENGTH
            raise self.failed(
                f"the answer of `{answer.model}` does not count: {error}.",
                "It was cut off; allow more `max_output_tokens`." if cut_off else None,
            ) from error

    def failed(self, reason: str, hint: str | None = None) -> ChainStepError:
        """The error that says that, and why, there is no answer."""
        where = "" if self.number is None else f" at item {self.number} of {self.items}"
        return ChainStepError(
            f"The step `{self.step.id}` failed{where}: {reason}",
            step=self.step.id,
            item=self.number,
            hint=hint,
        )
