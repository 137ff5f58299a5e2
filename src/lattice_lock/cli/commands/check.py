"""Check everything: drift, static rules and contracts."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lattice_lock.checking import CheckReport, check_workspace, open_cache
from lattice_lock.cli.judging import exit_code, render_reports, sandbox_option, seed_option
from lattice_lock.cli.output import ExitCode, OutputFormat, emit, format_option, note
from lattice_lock.core.workspace import open_workspace
from lattice_lock.sheriff.baseline import HeldBack
from lattice_lock.sheriff.reports.json import report_to_dict
from lattice_lock.sheriff.reports.text import render_report

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["command"]


@click.command("check")
@click.argument("path", type=click.Path(path_type=Path), default=Path())
@seed_option
@sandbox_option
@click.option(
    "--no-cache",
    is_flag=True,
    help="Check everything again, whatever earlier checks found, and keep nothing.",
)
@format_option
def command(
    path: Path, output_format: OutputFormat, *, seed: int, allow_unsandboxed: bool, no_cache: bool
) -> ExitCode:
    """Check the project at PATH: what drifted, what Sheriff finds, what the Gauntlet refutes.

    Exits 0 only where nothing is found. Writes nothing into the project. What an earlier check
    found counts where nothing that it depends on has changed; it is kept in your own folders,
    out of reach for whoever can write only into the project.
    """
    workspace = open_workspace(path)
    report = asyncio.run(
        check_workspace(
            workspace,
            seed=seed,
            today=datetime.now(UTC).date(),
            allow_unsandboxed=allow_unsandboxed,
            cache=None if no_cache else open_cache(workspace.project.root),
            on_judging=_announce,
        )
    )
    emit(_document(report), output_format, text=lambda: _text(report))
    if report.drift or not report.sheriff.is_clean:
        return ExitCode.FINDINGS
    return exit_code(report.gauntlet.values())


def _announce(interfaces: Sequence[str]) -> None:
    count = len(interfaces)
    note(f"Judging {count} {'interface' if count == 1 else 'interfaces'} ...")


def _document(report: CheckReport) -> dict[str, object]:
    return {
        "passed": report.passed,
        "drift": report.drift,
        "sheriff": report_to_dict(report.sheriff, report.held_back),
        "gauntlet": {name: one.to_dict() for name, one in report.gauntlet.items()},
        "reused": report.reused,
    }


def _text(report: CheckReport) -> str:
    parts = [f"{one.path}: {one.message}.\n  {one.hint}" for one in report.drift]
    if not report.sheriff.is_clean or report.held_back != HeldBack():
        parts.append(render_report(report.sheriff, report.held_back))
    parts.append(render_reports(report.gauntlet))
    if report.reused:
        parts.append(f"Unchanged since they passed: {', '.join(report.reused)}.")
    parts.append(report.summary)
    return "\n\n".join(parts)
