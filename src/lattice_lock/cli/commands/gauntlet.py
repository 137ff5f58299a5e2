"""Judge code by its contracts, in a sandbox."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lattice_lock.cli.judging import (
    exit_code,
    method_option,
    render_reports,
    sandbox_option,
    seed_option,
)
from lattice_lock.cli.output import ExitCode, OutputFormat, emit, format_option, note
from lattice_lock.cli.progress import working
from lattice_lock.cli.strength import render_strength
from lattice_lock.core.project import LATTICE_NAME
from lattice_lock.core.workspace import open_workspace
from lattice_lock.exceptions import UsageError
from lattice_lock.gauntlet.attached import ContractFile, find_contract_files, judge_files, select
from lattice_lock.gauntlet.contracts import run_project
from lattice_lock.gauntlet.strength import (
    StrengthOptions,
    StrengthReport,
    measure_files,
    measure_project,
)
from lattice_lock.gauntlet.symbolic import judge_files_symbolically

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["command"]

_MOST_MUTANTS = StrengthOptions().most


@click.command("gauntlet")
@click.argument("path", type=click.Path(path_type=Path), default=Path())
@method_option
@click.option(
    "--strength",
    is_flag=True,
    help="Measure the contracts instead: show small mistakes that they would let through.",
)
@click.option(
    "--min-strength",
    type=click.FloatRange(0, 1),
    metavar="SCORE",
    help="With --strength: exit with 1 where less than this share of the mutants is killed.",
)
@click.option(
    "--max-mutants",
    type=click.IntRange(min=1),
    default=_MOST_MUTANTS,
    show_default=True,
    help="With --strength: mutants for each function.",
)
@click.option(
    "--symbolic",
    is_flag=True,
    help="Let a symbolic engine look into what passed; needs the extra `symbolic`.",
)
@seed_option
@sandbox_option
@format_option
def command(
    path: Path,
    methods: tuple[str, ...],
    output_format: OutputFormat,
    *,
    strength: bool,
    min_strength: float | None,
    max_mutants: int,
    symbolic: bool,
    seed: int,
    allow_unsandboxed: bool,
) -> ExitCode:
    """Judge code by its contracts.

    PATH is a project with a lattice, whose implementations are judged by tests compiled from the
    lattice for each run: editing or deleting the generated test files changes nothing here. Or it
    is a Python file, or a folder without a lattice, whose functions carry contracts as decorators,
    those of Lattice Lock or those of icontract. For these `--method` takes FUNCTION or
    CLASS[.METHOD].

    With `--strength` it is the contracts that are judged: bodies that pass are changed in small
    ways, and whatever still passes shows what no clause speaks of.
    """
    if symbolic and strength:
        raise UsageError("`--symbolic` and `--strength` do not go together", hint="Pass one.")
    if min_strength is not None and not strength:
        raise UsageError(
            "`--min-strength` says nothing without `--strength`", hint="Pass both, or neither."
        )
    files = _files_with_contracts(path)
    files = select(files, methods) if files else ()
    if strength:
        options = StrengthOptions(seed=seed, most=max_mutants, allow_unsandboxed=allow_unsandboxed)
        report = _measure(path, files, methods, options)
        emit(report.to_dict(), output_format, text=lambda: render_strength(report))
        is_weak = min_strength is not None and (report.score or 0.0) < min_strength
        return ExitCode.OK if report.is_complete and not is_weak else ExitCode.FINDINGS
    if files:
        note(f"Judging {sum(len(file.targets) for file in files)} contracts ...")
        judge = judge_files_symbolically if symbolic else judge_files
        reports = asyncio.run(judge(files, seed=seed, allow_unsandboxed=allow_unsandboxed))
    else:
        workspace = open_workspace(path)
        if symbolic:
            raise UsageError(
                "`--symbolic` is for contracts that stand beside code",
                hint="Name a Python file with contracts, or leave the option out.",
            )
        note(f"Judging {len(workspace.compilation.contracts)} interfaces ...")
        reports = asyncio.run(
            run_project(workspace, methods, seed=seed, allow_unsandboxed=allow_unsandboxed)
        )
    result = {name: report.to_dict() for name, report in reports.items()}
    emit(result, output_format, text=lambda: render_reports(reports))
    return exit_code(reports.values())


def _measure(
    path: Path, files: Sequence[ContractFile], methods: Sequence[str], options: StrengthOptions
) -> StrengthReport:
    with working("Judging mutants ...") as say:
        if files:
            return asyncio.run(measure_files(files, options, notify=say))
        workspace = open_workspace(path)
        return asyncio.run(measure_project(workspace, methods, options, notify=say))


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
