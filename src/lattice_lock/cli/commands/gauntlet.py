"""Judge implementations by their contract tests, in a sandbox."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lattice_lock.cli.output import ExitCode, OutputFormat, emit, format_option, format_table, note
from lattice_lock.core.workspace import open_workspace
from lattice_lock.gauntlet.contracts import run_project
from lattice_lock.gauntlet.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lattice_lock.gauntlet.verdict import GauntletReport

__all__ = ["command", "method_option", "render_reports", "sandbox_option", "seed_option"]

seed_option = click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Seed of the generated inputs; the same seed gives the same inputs.",
)
method_option = click.option(
    "--method",
    "-m",
    "methods",
    multiple=True,
    metavar="INTERFACE[.METHOD]",
    help="Only this method, or all methods of this interface; may be given several times.",
)
sandbox_option = click.option(
    "--no-sandbox",
    "allow_unsandboxed",
    is_flag=True,
    help="Run code unconfined where this machine has no sandbox.",
)


@click.command("gauntlet")
@click.argument("path", type=click.Path(path_type=Path), default=Path())
@method_option
@seed_option
@sandbox_option
@format_option
def command(
    path: Path,
    methods: tuple[str, ...],
    output_format: OutputFormat,
    *,
    seed: int,
    allow_unsandboxed: bool,
) -> ExitCode:
    """Judge every implementation of the project at PATH by its contracts.

    Tests are compiled from the lattice for each run: editing or deleting the generated test files
    changes nothing here.
    """
    workspace = open_workspace(path)
    note(f"Judging {len(workspace.compilation.contracts)} interfaces ...")
    reports = asyncio.run(
        run_project(workspace, methods, seed=seed, allow_unsandboxed=allow_unsandboxed)
    )
    result = {name: report.to_dict() for name, report in reports.items()}
    emit(result, output_format, text=lambda: render_reports(reports))
    passed = all(report.passed for report in reports.values())
    return ExitCode.OK if passed else ExitCode.FINDINGS


def render_reports(reports: Mapping[str, GauntletReport]) -> str:
    """A table of all verdicts, then what is wrong with each that did not pass."""
    rows = [
        (name, verdict.method, verdict.test, verdict.outcome.value, verdict.examples)
        for name, report in reports.items()
        for verdict in report.verdicts
    ]
    if not rows:
        return "The lattice declares no methods."
    parts = [format_table(("interface", "method", "test", "outcome", "examples"), rows)]
    for name, report in reports.items():
        for verdict in report.verdicts:
            if verdict.outcome is Outcome.PASSED:
                continue
            lines = [f"{name}.{verdict.method} {verdict.outcome.value}: {verdict.message}"]
            if verdict.counterexample:
                lines.append(f"  with {verdict.counterexample}")
            parts.append("\n".join(lines))
    sandboxes = sorted({report.sandbox for report in reports.values()})
    parts.append(f"Sandbox: {', '.join(sandboxes)}.")
    return "\n\n".join(parts)
