"""Check everything: drift, static rules and contracts."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lattice_lock.cli.judging import render_reports, sandbox_option, seed_option
from lattice_lock.cli.output import ExitCode, OutputFormat, emit, format_option, note
from lattice_lock.core.drift import Drift, DriftKind
from lattice_lock.core.workspace import open_workspace
from lattice_lock.gauntlet.contracts import run_project
from lattice_lock.sheriff.audit import expire
from lattice_lock.sheriff.baseline import HeldBack, load_baseline
from lattice_lock.sheriff.checker import SheriffContext, SheriffReport, check_project
from lattice_lock.sheriff.reports.json import report_to_dict
from lattice_lock.sheriff.reports.text import render_report

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lattice_lock.gauntlet.verdict import GauntletReport

__all__ = ["command"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Result:
    drift: tuple[Drift, ...]
    sheriff: SheriffReport
    held_back: HeldBack
    gauntlet: Mapping[str, GauntletReport]

    @property
    def passed(self) -> bool:
        judged = all(report.passed for report in self.gauntlet.values())
        return not self.drift and self.sheriff.is_clean and judged

    def to_dict(self) -> dict[str, object]:
        return {
            "passed": self.passed,
            "drift": self.drift,
            "sheriff": report_to_dict(self.sheriff, self.held_back),
            "gauntlet": {name: report.to_dict() for name, report in self.gauntlet.items()},
        }


@click.command("check")
@click.argument("path", type=click.Path(path_type=Path), default=Path())
@seed_option
@sandbox_option
@format_option
def command(
    path: Path, output_format: OutputFormat, *, seed: int, allow_unsandboxed: bool
) -> ExitCode:
    """Check the project at PATH: what drifted, what Sheriff finds, what the Gauntlet refutes.

    Exits 0 only where nothing is found. Writes nothing.
    """
    workspace = open_workspace(path)
    drift = workspace.drift()
    context = SheriffContext(lattice=workspace.lattice, generated=workspace.generated)
    root = workspace.project.root
    found = expire(check_project(root, context), today=datetime.now(UTC).date())
    sheriff, held_back = load_baseline(root).apply(found, whole=True)
    note(f"Judging {len(workspace.compilation.contracts)} interfaces ...")
    gauntlet = asyncio.run(
        run_project(workspace, (), seed=seed, allow_unsandboxed=allow_unsandboxed)
    )
    # Sheriff reports generated files too, with the first line that differs.
    reported = {violation.file for violation in sheriff.violations}
    distinct = tuple(
        one for one in drift if one.kind is not DriftKind.GENERATED or one.path not in reported
    )
    result = _Result(drift=distinct, sheriff=sheriff, held_back=held_back, gauntlet=gauntlet)
    emit(result.to_dict(), output_format, text=lambda: _text(result))
    return ExitCode.OK if result.passed else ExitCode.FINDINGS


def _text(result: _Result) -> str:
    parts = [f"{one.path}: {one.message}.\n  {one.hint}" for one in result.drift]
    if not result.sheriff.is_clean or result.held_back != HeldBack():
        parts.append(render_report(result.sheriff, result.held_back))
    parts.append(render_reports(result.gauntlet))
    parts.append(_verdict(result))
    return "\n\n".join(parts)


def _verdict(result: _Result) -> str:
    refuted = [
        verdict
        for report in result.gauntlet.values()
        for verdict in report.verdicts
        if verdict.outcome.value != "passed"
    ]
    counts = (
        f"{len(result.drift)} drifted, {len(result.sheriff.violations)} violations,"
        f" {len(refuted)} contract tests not passed"
    )
    if result.passed:
        return f"Everything holds: {result.sheriff.files_checked} files, {counts}."
    return f"Not everything holds: {counts}."
