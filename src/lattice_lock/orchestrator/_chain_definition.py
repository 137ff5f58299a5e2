"""A chain as a value: steps, what each needs, and what they are given."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

import msgspec

from lattice_lock.core._suggestions import did_you_mean
from lattice_lock.exceptions import UsageError
from lattice_lock.messages import ModelId, ResponseSchema
from lattice_lock.orchestrator._templates import Reference, Template
from lattice_lock.orchestrator.completing import AUTO, Strategy
from lattice_lock.orchestrator.tasks import TaskType

__all__ = ["AT_ONCE", "INPUTS", "ITEM", "Chain", "Step"]

INPUTS: Final = "inputs"
ITEM: Final = "item"
AT_ONCE: Final = 4
"""How many items a step asks about at once where it does not say."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One question of a chain, or with `for_each` the same question about each item of a list.

    Attributes:
        model: who is asked; `AUTO` leaves the choice open, to which `task_type` and `strategy` add.
        concurrency: how many items are asked about at once.
        needs: the steps that have to be finished before, those of `after` included.
    """

    id: str
    prompt: Template
    system: Template | None = None
    model: ModelId = AUTO
    task_type: TaskType | None = None
    strategy: Strategy | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    response_schema: ResponseSchema | None = None
    for_each: Reference | None = None
    concurrency: int = AT_ONCE
    needs: tuple[str, ...] = ()


class Chain(msgspec.Struct, frozen=True, kw_only=True):
    """Steps that have been checked; `load_chain` and `parse_chain` make one.

    Attributes:
        inputs: texts that the templates use, with their defaults; None has to be given.
        steps: in the order of the file, which need not be the one in which they run.
        output: the step whose answer is that of the chain.
    """

    name: str
    description: str | None
    inputs: Mapping[str, str | None]
    steps: tuple[Step, ...]
    output: str

    def stages(self) -> tuple[tuple[str, ...], ...]:
        """The steps by when they can begin: each stage needs nothing but those before it."""
        waiting = {step.id: step.needs for step in self.steps}
        stages: list[tuple[str, ...]] = []
        done: set[str] = set()
        while waiting:
            stages.append(tuple(name for name, needs in waiting.items() if done.issuperset(needs)))
            done.update(stages[-1])
            for name in stages[-1]:
                del waiting[name]
        return tuple(stages)

    def digest(self) -> str:
        """SHA-256 of what the steps ask, whoever answers and within whatever bounds."""
        asked = [
            (step.id, step.system, step.prompt, step.for_each, step.response_schema)
            for step in self.steps
        ]
        return hashlib.sha256(msgspec.json.encode(asked, order="deterministic")).hexdigest()

    def filled(self, inputs: Mapping[str, str]) -> dict[str, str]:
        """A text for every input: the one given, or its default.

        Raises:
            UsageError: one is missing, or one is given that the chain does not have.
        """
        for name in inputs:
            if name not in self.inputs:
                raise UsageError(
                    f"The chain `{self.name}` has no input `{name}`.",
                    hint=did_you_mean(name, self.inputs),
                )
        values = {}
        for name, default in self.inputs.items():
            value = inputs.get(name, default)
            if value is None:
                raise UsageError(
                    f"The chain `{self.name}` needs the input `{name}`.",
                    hint=f"Give it as `--input {name}=TEXT` or `--input-file {name}=PATH`.",
                )
            values[name] = value
        return values
