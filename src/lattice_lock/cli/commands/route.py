"""Show which models a prompt would go to, and why."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import click

from lattice_lock.bootstrap import open_orchestrator
from lattice_lock.cli.amount import max_cost_option
from lattice_lock.cli.output import (
    ExitCode,
    OutputFormat,
    emit,
    format_option,
    format_table,
    note,
)
from lattice_lock.exceptions import UsageError
from lattice_lock.messages import ChatRequest, Message
from lattice_lock.orchestrator.completing import AUTO, Strategy
from lattice_lock.orchestrator.routing import Conditions
from lattice_lock.orchestrator.tasks import TaskType
from lattice_lock.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from decimal import Decimal

    from lattice_lock.orchestrator.routing import Ranked, Ranking
    from lattice_lock.orchestrator.tasks import TaskRequirements

__all__ = ["command"]

_SHOWN = 10


@click.command("route")
@click.argument("prompt")
@click.option(
    "--task",
    type=click.Choice([one.value for one in TaskType]),
    help="What the prompt is about; without it, that is found out.",
)
@click.option(
    "--strategy",
    type=click.Choice([one.value for one in Strategy]),
    default=Strategy.BALANCED.value,
    show_default=True,
    help="What counts most.",
)
@max_cost_option("Only models whose answer is estimated to cost no more.")
@click.option(
    "--provider",
    "providers",
    multiple=True,
    metavar="PATTERN",
    help="Only models of this provider, or that fit PROVIDER/NAME with `*`; may be repeated.",
)
@click.option(
    "--region",
    "regions",
    multiple=True,
    metavar="REGION",
    help="Only models that answer there, such as `eu`; may be repeated.",
)
@click.option("--explain", is_flag=True, help="Every score by its parts, and every rejection.")
@click.option("--all", "all_", is_flag=True, help=f"All that are ranked, not the first {_SHOWN}.")
@format_option
def command(
    prompt: str,
    output_format: OutputFormat,
    *,
    task: str | None,
    strategy: str,
    max_cost_usd: Decimal | None,
    providers: tuple[str, ...],
    regions: tuple[str, ...],
    explain: bool,
    all_: bool,
) -> ExitCode:
    """Show which models a prompt would go to, the best first; no model is asked.

    PROMPT `-` is read from standard input. JSON always holds everything. Exits with 1 where no
    model can and may answer.
    """
    requirements, ranking = asyncio.run(
        _rank(
            Settings.load(),
            ChatRequest(model=AUTO, messages=(Message.user(_read(prompt)),)),
            None if task is None else TaskType(task),
            Strategy(strategy),
            Conditions(
                allowed=providers,
                regions=frozenset(regions),
                max_cost_usd=max_cost_usd,
            ),
        )
    )
    shown = len(ranking.ranked) if explain or all_ else _SHOWN
    emit(
        _fields(requirements, ranking),
        output_format,
        text=lambda: "\n\n".join(_text(requirements, ranking, shown, explain=explain)),
    )
    if output_format == "text":
        _remark(ranking, shown, explain=explain)
    return ExitCode.OK if ranking.ranked else ExitCode.FINDINGS


def _read(prompt: str) -> str:
    if prompt == "-":
        try:
            prompt = sys.stdin.buffer.read().decode()
        except UnicodeDecodeError:
            raise UsageError(
                "Standard input is not UTF-8.", hint="Convert the prompt before."
            ) from None
    if not prompt:
        raise UsageError("The prompt is empty.", hint="Write what the model is to do.")
    return prompt


async def _rank(
    settings: Settings,
    request: ChatRequest,
    task_type: TaskType | None,
    strategy: Strategy,
    conditions: Conditions,
) -> tuple[TaskRequirements, Ranking]:
    async with open_orchestrator(settings) as orchestrator:
        return await orchestrator.rank(
            request, task_type=task_type, strategy=strategy, conditions=conditions
        )


def _text(
    requirements: TaskRequirements, ranking: Ranking, shown: int, *, explain: bool
) -> Iterator[str]:
    fields = _needs(requirements).items()
    yield format_table(
        ("requirement", "is"),
        (
            (name, (", ".join(value) or None) if isinstance(value, list) else value)
            for name, value in fields
        ),
    )
    if ranking.ranked and explain:
        weights = ranking.weights
        yield format_table(
            (
                *("#", "model", "score"),
                f"affinity x{weights.affinity:.2f}",
                f"performance x{weights.performance:.2f}",
                f"accuracy x{weights.accuracy:.2f}",
                f"cost x{weights.cost:.2f}",
                *("factor", "USD", "quality from", "performance from", "remarks"),
            ),
            (_explained(place, one) for place, one in enumerate(ranking.ranked, start=1)),
        )
    elif ranking.ranked:
        yield format_table(
            ("#", "model", "score", "USD", "remarks"),
            (
                (place, one.model, f"{one.score:.3f}", _usd(one), _remarks(one))
                for place, one in enumerate(ranking.ranked[:shown], start=1)
            ),
        )
    if ranking.rejected and explain:
        yield format_table(
            ("rejected", "reason", "in words"),
            (
                (rejection.model, reason.kind, reason.sentence)
                for rejection in ranking.rejected
                for reason in rejection.reasons
            ),
        )


def _explained(place: int, one: Ranked) -> tuple[object, ...]:
    affinity, performance, *_ = one.parts
    return (
        *(place, one.model, f"{one.score:.3f}"),
        *(f"{part.value:.3f}" for part in one.parts),
        *(f"{one.factor:.2f}", _usd(one), affinity.source, performance.source, _remarks(one)),
    )


def _usd(one: Ranked) -> str | None:
    if not one.cost_usd:
        return None if one.cost_usd is None else "free"
    return f"{one.cost_usd:.6f}"


def _remarks(one: Ranked) -> str | None:
    return " ".join(remark.sentence for remark in one.remarks) or None


def _remark(ranking: Ranking, shown: int, *, explain: bool) -> None:
    """Say beside the tables what they leave out."""
    more, rejected = len(ranking.ranked) - shown, len(ranking.rejected)
    if more > 0:
        note(f"{more} more can answer; `--all` shows them.")
    if not ranking.ranked:
        note("No model can and may answer.")
    if rejected and not explain:
        note(f"{rejected} are rejected; `--explain` says why.")


def _needs(requirements: TaskRequirements) -> dict[str, object]:
    return {
        "task_type": requirements.task_type,
        "confidence": round(requirements.confidence, 3),
        "complexity": round(requirements.complexity, 3),
        "capabilities": sorted(requirements.capabilities),
        "input_tokens": requirements.input_tokens,
        "output_tokens": requirements.output_tokens,
        "language": requirements.language,
    }


def _fields(requirements: TaskRequirements, ranking: Ranking) -> dict[str, object]:
    """What `--format json` prints; `docs/explanation/routing.md` lists it."""
    return {
        "requirements": _needs(requirements),
        "strategy": ranking.strategy,
        "weights": ranking.weights,
        "ranked": [
            {
                "model": str(one.model),
                "score": one.score,
                "factor": one.factor,
                "cost_usd": one.cost_usd,
                "parts": one.parts,
                "observed": one.observed,
                "remarks": one.remarks,
            }
            for one in ranking.ranked
        ],
        "rejected": [{"model": str(one.model), "reasons": one.reasons} for one in ranking.rejected],
    }
