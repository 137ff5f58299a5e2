"""Judge implementations by their contract tests, in a sandbox."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from lattice_lock.cli.judging import method_option, render_reports, sandbox_option, seed_option
from lattice_lock.cli.output import ExitCode, OutputFormat, emit, format_option, note
from lattice_lock.core.workspace import open_workspace
from lattice_lock.gauntlet.contracts import run_project

__all__ = ["command"]


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
