"""Explain a rule of Sheriff or an error code, and say what to do about it."""

from __future__ import annotations

import click

from lattice_lock.cli.output import OutputFormat, emit, format_option
from lattice_lock.mcp.pages import explanation

__all__ = ["command"]


@click.command("explain")
@click.argument("name")
@format_option
def command(name: str, output_format: OutputFormat) -> None:
    """Explain NAME: a rule (`forbidden-import`, `LLS001`) or an error code (`LL-102`).

    Says what it is about, why, and what to do. Coding agents read the same page through the tool
    `explain` of `lattice-lock mcp`.
    """
    page = explanation(name)
    emit({"name": name, "page": page}, output_format, text=page.rstrip)
