"""Chains: run prompts that build on one another, check them, list those that are ready."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lattice_lock.bootstrap import current_project, open_orchestrator
from lattice_lock.cli.amount import max_cost_option
from lattice_lock.cli.output import (
    ExitCode,
    OutputFormat,
    emit,
    format_option,
    format_table,
    note,
)
from lattice_lock.cli.progress import working
from lattice_lock.exceptions import UsageError
from lattice_lock.messages import DEFAULT_TIMEOUT_S, FinishReason
from lattice_lock.orchestrator.budget import Budget
from lattice_lock.orchestrator.chain import (
    ChainStepError,
    StepAnswered,
    load_chain,
    ready_chains,
    run_chain,
)
from lattice_lock.orchestrator.completing import AUTO
from lattice_lock.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from decimal import Decimal

    from lattice_lock.messages import ModelId
    from lattice_lock.orchestrator.chain import Chain, ChainEvent, ChainResult, Step
    from lattice_lock.orchestrator.orchestrator import ModelOrchestrator

__all__ = ["command"]


@click.group("chain", no_args_is_help=False)
def command() -> None:
    """Chains: run prompts that build on one another, check them, list those that are ready."""


@command.command("run")
@click.argument("chain", metavar="FILE|NAME")
@click.option(
    "--input",
    "-i",
    "texts",
    multiple=True,
    metavar="NAME=TEXT",
    help="An input of the chain; may be given several times.",
)
@click.option(
    "--input-file",
    "files",
    multiple=True,
    metavar="NAME=PATH",
    help="An input of the chain that stands in a file of UTF-8.",
)
@click.option(
    "--model",
    "-m",
    "models",
    multiple=True,
    metavar="[STEP=]MODEL",
    help="The model to ask: PROVIDER/NAME, a name, or an alias. Without a step, for every step that"
    " gets none of its own. Without --model, the chain's own is asked, or one is chosen.",
)
@click.option(
    "--state",
    "state_path",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Keep what was answered here, and go on from there if it exists.",
)
@max_cost_option("Bound on the whole chain, earlier runs with the same --state included.")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    default=DEFAULT_TIMEOUT_S,
    show_default=True,
    help="Seconds that the whole chain may take.",
)
@format_option
def run(
    *,
    chain: str,
    texts: tuple[str, ...],
    files: tuple[str, ...],
    models: tuple[str, ...],
    state_path: Path | None,
    max_cost_usd: Decimal | None,
    timeout_s: float,
    output_format: OutputFormat,
) -> ExitCode:
    """Run a chain and print its output; each step is told on standard error.

    Exits with 1 where a step failed, and with 2 where the chain, its inputs or its state file
    cannot be used. With --state, the same command goes on where the last one ended.
    """
    loaded = load_chain(chain)
    inputs = loaded.filled(_inputs(texts, files))
    settings = Settings.load()

    async def ask() -> ChainResult:
        async with open_orchestrator(settings, project=current_project()) as orchestrator:
            named = await _models(orchestrator, loaded, models)
            with working(f"Running the chain {loaded.name} ...") as say:
                return await run_chain(
                    orchestrator,
                    loaded,
                    inputs,
                    models=named,
                    budget=None if max_cost_usd is None else Budget(max_cost_usd, name="chain"),
                    timeout_s=timeout_s,
                    state_path=state_path,
                    notify=lambda event: say(_line(event)),
                )

    try:
        result = asyncio.run(ask())
    except ChainStepError:
        if state_path is not None:
            note(f"What was answered is kept in {state_path}; the same command goes on from there.")
        raise
    emit(result, output_format, text=lambda: result.output)
    note(_totals(result))
    return ExitCode.OK


@command.command("check")
@click.argument("chain", metavar="FILE|NAME")
@format_option
def check(chain: str, output_format: OutputFormat) -> ExitCode:
    """Check a chain, and show in which order its steps run; no model is asked.

    Steps of one stage run at once. Exits with 2 where the chain is wrong.
    """
    loaded = load_chain(chain)
    stages = {name: n for n, names in enumerate(loaded.stages(), start=1) for name in names}
    steps = sorted(loaded.steps, key=lambda step: stages[step.id])
    described = {
        "name": loaded.name,
        "description": loaded.description,
        "inputs": [{"name": name, "default": text} for name, text in loaded.inputs.items()],
        "output": loaded.output,
        "steps": [
            {
                "id": step.id,
                "stage": stages[step.id],
                "needs": step.needs,
                "for_each": None if step.for_each is None else str(step.for_each),
                "model": None if step.model == AUTO else str(step.model),
                "task_type": step.task_type,
                "strategy": step.strategy,
            }
            for step in steps
        ],
    }
    emit(described, output_format, text=lambda: _order(loaded, steps, stages))
    return ExitCode.OK


@command.command("list")
@format_option
def list_(output_format: OutputFormat) -> ExitCode:
    """List the chains that come with Lattice Lock."""
    chains = [load_chain(name) for name in ready_chains()]
    rows = [
        {
            "name": chain.name,
            "description": chain.description,
            "inputs": tuple(chain.inputs),
            "steps": tuple(step.id for step in chain.steps),
        }
        for chain in chains
    ]
    emit(
        {"chains": rows},
        output_format,
        text=lambda: format_table(
            ("name", "inputs", "steps", "what it does"),
            [
                (
                    chain.name,
                    ", ".join(chain.inputs),
                    ", ".join(step.id for step in chain.steps),
                    chain.description,
                )
                for chain in chains
            ],
        ),
    )
    return ExitCode.OK


def _inputs(texts: Sequence[str], files: Sequence[str]) -> dict[str, str]:
    """Every input by name.

    Raises:
        UsageError: an option has another form, names an input twice, or a file cannot be read.
    """
    inputs: dict[str, str] = {}
    for option, given in (("--input", texts), ("--input-file", files)):
        for one in given:
            name, equals, value = one.partition("=")
            if not equals:
                raise UsageError(
                    f"`{option} {one}` does not say which input it is.",
                    hint=f"Write `{option} NAME={one}`.",
                )
            if name in inputs:
                raise UsageError(f"The input `{name}` is given twice.")
            inputs[name] = value if option == "--input" else _text_of(value)
    return inputs


def _text_of(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise UsageError(f"`{path}` is not UTF-8.") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"`{path}` cannot be read: {reason}.") from None


async def _models(
    orchestrator: ModelOrchestrator, chain: Chain, given: Sequence[str]
) -> dict[str, ModelId]:
    """Whom each step asks, where that is not left open; refused before anything is paid for.

    Raises:
        ModelNotAvailableError: a model is retired, or nobody has one of that name.
    """
    own = {step.id: str(step.model) for step in chain.steps if step.model != AUTO}
    everywhere = [one for one in given if "=" not in one]
    if len(everywhere) > 1:
        raise UsageError(
            "Several models are named for every step.", hint="Write `--model STEP=MODEL`."
        )
    named = own | {step.id: model for step in chain.steps for model in everywhere}
    named |= dict(one.split("=", 1) for one in given if "=" in one)
    found = {name: await orchestrator.find_model(name) for name in dict.fromkeys(named.values())}
    return {step: found[name] for step, name in named.items()}


def _line(event: ChainEvent) -> str:
    if not isinstance(event, StepAnswered):
        model = "a model" if event.model == AUTO else event.model
        return f"{_label(event.step, event.item, event.items)}: asking {model} ..."
    answer = event.answer
    label = _label(answer.step, answer.item, event.items)
    if answer.resumed:
        return f"{label}: answered in an earlier run"
    cut_off = ", cut off" if answer.finish_reason is FinishReason.LENGTH else ""
    seconds = f"{answer.latency_ms / 1000:.1f} s"
    return f"{label}: {answer.model} answered in {seconds}{cut_off}, {_dollars(answer.cost_usd)}"


def _label(step: str, item: int | None, items: int | None) -> str:
    return step if item is None else f"{step} [{item}/{items}]"


def _dollars(cost_usd: Decimal | None) -> str:
    return "cost unknown" if cost_usd is None else f"{cost_usd:f} USD"


def _totals(result: ChainResult) -> str:
    count = len(result.answers)
    earlier = sum(one.resumed for one in result.answers)
    kept = f" ({earlier} from earlier runs)" if earlier else ""
    tokens = "" if result.usage is None else f", {result.usage.total_tokens} tokens"
    return f"{count} answers{kept}, {_dollars(result.cost_usd)}{tokens}."


def _order(chain: Chain, steps: Sequence[Step], stages: Mapping[str, int]) -> str:
    table = format_table(
        ("stage", "step", "asked", "model", "needs"),
        [
            (
                stages[step.id],
                step.id,
                "once" if step.for_each is None else f"for each of {step.for_each}",
                _model(step),
                ", ".join(step.needs) or None,
            )
            for step in steps
        ],
    )
    inputs = ", ".join(
        name if default is None else f"{name} (optional)" for name, default in chain.inputs.items()
    )
    return f"{table}\n\nInputs: {inputs or 'none'}. Output: {chain.output}."


def _model(step: Step) -> str:
    if step.model != AUTO:
        return str(step.model)
    hints = ", ".join(filter(None, (step.task_type, step.strategy)))
    return f"chosen ({hints})" if hints else "chosen"
