"""Judge code by its contracts, in a sandbox."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lattice_lock.cli.judging import method_option, render_reports, sandbox_option, seed_option
from lattice_lock.cli.output import ExitCode, OutputFormat, emit, format_option, note
from lattice_lock.core.project import LATTICE_NAME
from lattice_lock.core.workspace import open_workspace
from lattice_lock.exceptions import UsageError
from lattice_lock.gauntlet.attached import ContractFile, find_contract_files, judge_files, select
from lattice_lock.gauntlet.contracts import run_project

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lattice_lock.gauntlet.verdict import GauntletReport

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
    """Judge code by its contracts.

    PATH is a project with a lattice, whose implementations are judged by tests compiled from the
    lattice for each run: editing or deleting the generated test files changes nothing here. Or it
    is a Python file, or a folder without a lattice, whose functions carry contracts as decorators,
    those of Lattice Lock or those of icontract. For these `--method` takes FUNCTION or
    CLASS[.METHOD].
    """
    files = _files_with_contracts(path)
    if files:
        reports = _judge_files(select(files, methods), seed, allow_unsandboxed=allow_unsandboxed)
    else:
        workspace = open_workspace(path)
        note(f"Judging {len(workspace.compilation.contracts)} interfaces ...")
        reports = asyncio.run(
            run_project(workspace, methods, seed=seed, allow_unsandboxed=allow_unsandboxed)
        )
    result = {name: report.to_dict() for name, report in reports.items()}
    emit(result, output_format, text=lambda: render_reports(reports))
    passed = all(report.passed for report in reports.values())
    return ExitCode.OK if passed else ExitCode.FINDINGS


def _files_with_contracts(path: Path) -> tuple[ContractFile, ...]:
    """The files to judge without a lattice; none where a project is meant."""
    if path.suffix == ".py":
        files = find_contract_files(path)
        if not files:
            raise UsageError(
                f"nothing in `{path}` has a contract",
                hint="Attach `@requires` and `@ensures` from `lattice_lock.gauntlet.decorators`.",
            )
        return files
    if path.is_dir() and not (path / LATTICE_NAME).exists():
        return find_contract_files(path)
    return ()


def _judge_files(
    files: Sequence[ContractFile], seed: int, *, allow_unsandboxed: bool
) -> Mapping[str, GauntletReport]:
    note(f"Judging {sum(len(file.targets) for file in files)} contracts ...")
    return asyncio.run(judge_files(files, seed=seed, allow_unsandboxed=allow_unsandboxed))
