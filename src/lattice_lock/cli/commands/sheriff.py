"""Check the code of a project against its lattice, statically."""

from __future__ import annotations

from pathlib import Path

import click

from lattice_lock.cli.output import ExitCode, OutputFormat, emit, format_option
from lattice_lock.core.workspace import open_workspace
from lattice_lock.sheriff.checker import SheriffContext, check_project
from lattice_lock.sheriff.reports.json import report_to_dict
from lattice_lock.sheriff.reports.text import render_report

__all__ = ["command"]


@click.command("sheriff")
@click.argument("path", type=click.Path(path_type=Path), default=Path())
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@format_option
def command(path: Path, files: tuple[Path, ...], output_format: OutputFormat) -> ExitCode:
    """Check the Python files of the project at PATH, or only FILES below it."""
    workspace = open_workspace(path)
    context = SheriffContext(lattice=workspace.lattice, generated=workspace.generated)
    paths = [file.absolute() for file in files] or None
    report = check_project(workspace.project.root, context, paths=paths)
    emit(report_to_dict(report), output_format, text=lambda: render_report(report).rstrip())
    return ExitCode.OK if report.is_clean else ExitCode.FINDINGS
