"""How long it takes to rank 300 models, beside sorting 300 floats in the same run.

No model is rejected but in the row that says so, so that every one is scored. The ratio is that of
the medians, because a busy machine stretches both alike.
"""

from __future__ import annotations

import random
import time
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

from lattice_lock.messages import ModelId
from lattice_lock.orchestrator.completing import Strategy
from lattice_lock.orchestrator.observed import Observed
from lattice_lock.orchestrator.registry import ModelFacts, Prices
from lattice_lock.orchestrator.routing import Conditions, rank
from lattice_lock.orchestrator.tasks import Capability, TaskRequirements, TaskType

if TYPE_CHECKING:
    from collections.abc import Callable

_MODELS = 300
_ROUNDS = 2000
_TARGET_MS = 1.0
_TODAY = date(2026, 11, 25)


def _models(dice: random.Random) -> list[ModelFacts]:
    return [
        ModelFacts(
            id=ModelId(provider=f"provider{number % 11}", name=f"model-{number}"),
            context_tokens=200_000,
            max_input_tokens=190_000,
            max_output_tokens=32_000,
            can=frozenset({Capability.TOOLS, Capability.VISION, Capability.STRUCTURED_OUTPUT}),
            cannot=frozenset({Capability.SAMPLING}),
            regions=frozenset({"us"}),
            quality={task: dice.random() for task in TaskType},
            quality_source="benchmark",
            prices=tuple(
                Prices(
                    input=Decimal(dice.randrange(10, 2000)) / 100 * (1 + tier),
                    output=Decimal(dice.randrange(10, 9000)) / 100 * (1 + tier),
                    from_input_tokens=tier * 100_000,
                )
                for tier in range(1 + number % 2)
            ),
            shutdown_date=date(2027, 6, 1) if number % 3 == 0 else None,
        )
        for number in range(_MODELS)
    ]


def _measure(work: Callable[[], object]) -> list[float]:
    """Milliseconds of each round, in rising order."""
    work()
    taken = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        work()
        taken.append((time.perf_counter() - began) * 1000.0)
    return sorted(taken)


def main() -> None:
    """Print the table."""
    dice = random.Random(7)  # noqa: S311  # not a secret
    models = _models(dice)
    floats = [dice.random() for _ in range(_MODELS)]
    task = TaskRequirements(
        task_type=TaskType.CODE_REVIEW,
        confidence=0.8,
        complexity=0.6,
        capabilities=frozenset({Capability.TOOLS}),
        input_tokens=4000,
        output_tokens=800,
    )
    bare = Conditions(today=_TODAY)
    full = Conditions(
        today=_TODAY,
        availability={f"provider{number}": None for number in range(11)},
        observed={
            facts.id: Observed(calls=9.0, error_rate=0.1, first_content_s=0.8, tokens_per_s=70.0)
            for facts in models
        },
        allowed=("provider*",),
        denied=("nobody/*", "*/nothing-*"),
        regions=frozenset({"us", "eu"}),
        max_cost_usd=Decimal(10),
    )
    none = Conditions(
        today=_TODAY, availability={}, allowed=("nobody",), max_cost_usd=Decimal("0.0001")
    )
    rows: dict[str, Callable[[], object]] = {
        "sort floats": lambda: sorted(floats),
        "rank": lambda: rank(task, models, conditions=bare),
        "rank, local first": lambda: rank(
            task, models, conditions=bare, strategy=Strategy.LOCAL_FIRST
        ),
        "rank, every condition, all observed": lambda: rank(task, models, conditions=full),
        "rank, all rejected for three reasons": lambda: rank(task, models, conditions=none),
    }
    print(f"ranking {_MODELS} models, ms, {_ROUNDS} rounds each")
    print(f"{'':<38}{'median':>8}{'p99':>8}{'x sort':>8}  target")
    sorting = None
    for name, work in rows.items():
        taken = _measure(work)
        median, p99 = taken[len(taken) // 2], taken[int(len(taken) * 0.99)]
        sorting = sorting or median
        target = f"p99 < {_TARGET_MS:g} ms" if name == "rank" else ""
        print(f"{name:<38}{median:>8.3f}{p99:>8.3f}{median / sorting:>8.0f}  {target}".rstrip())


if __name__ == "__main__":
    main()
