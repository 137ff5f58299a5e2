"""Check the code of a project against its lattice, statically."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import click

from lattice_lock.cli.output import (
    ExitCode,
    emit,
    format_option_with,
    format_table,
    note,
    printable,
    to_json,
)
from lattice_lock.core.workspace import Workspace, open_workspace
from lattice_lock.exceptions import UsageError
from lattice_lock.sheriff.audit import expire, limit
from lattice_lock.sheriff.baseline import BASELINE_NAME, Baseline, load_baseline
from lattice_lock.sheriff.changes import changed_files, folder_in_checkout
from lattice_lock.sheriff.checker import SheriffContext, SheriffReport, check_project
from lattice_lock.sheriff.files import ProjectFiles
from lattice_lock.sheriff.reports.github import render_annotations
from lattice_lock.sheriff.reports.json import report_to_dict
from lattice_lock.sheriff.reports.junit import render_junit
from lattice_lock.sheriff.reports.sarif import report_to_sarif
from lattice_lock.sheriff.reports.suppressions import (
    HEADINGS,
    suppression_rows,
    suppressions_to_dict,
)
from lattice_lock.sheriff.reports.text import render_report

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from lattice_lock.sheriff.baseline import HeldBack

__all__ = ["command"]

_Format: TypeAlias = Literal["text", "json", "sarif", "github", "junit"]


@click.command("sheriff")
@click.argument("path", type=click.Path(path_type=Path), default=Path())
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--changed",
    "base",
    is_flag=False,
    flag_value="HEAD",
    metavar="[BASE]",
    help="Check only files that differ from the commit BASE, untracked ones included; without"
    " BASE, from HEAD. Put it last, or write --changed=BASE.",
)
@click.option(
    "--write-baseline",
    is_flag=True,
    help=f"Hold back all that is found now, by writing it to {BASELINE_NAME}.",
)
@click.option(
    "--suppressions",
    "list_suppressions",
    is_flag=True,
    help="List the comments that ignore rules instead, those that have expired included.",
)
@click.option(
    "--max-suppressions",
    type=click.IntRange(min=0),
    metavar="N",
    help="Report it where comments ignore more than N rules; one comment can ignore several.",
)
@format_option_with("sarif", "github", "junit")
def command(
    path: Path,
    files: tuple[Path, ...],
    base: str | None,
    output_format: _Format,
    max_suppressions: int | None,
    *,
    write_baseline: bool,
    list_suppressions: bool,
) -> ExitCode:
    """Check the Python files of the project at PATH, or only FILES below it.

    What the baseline holds back is not reported. Exits with 1 where something is. Results are
    kept in `.lattice-lock/cache`; `lattice-lock check`, the one to trust, looks at all files anew.
    """
    _refuse_contradictions(
        files, base, output_format, write=write_baseline, listing=list_suppressions
    )
    workspace = open_workspace(path)
    root = workspace.project.root
    context = SheriffContext(lattice=workspace.lattice, generated=workspace.generated)
    paths: Sequence[str | Path] | None = [file.absolute() for file in files] or None
    if base is not None:
        paths = _changed(workspace, context, base)
    report = check_project(root, context, paths=paths, cache=root / ".lattice-lock" / "cache")
    today = datetime.now(UTC).date()
    if list_suppressions:
        return _list_suppressions(report, today, max_suppressions, output_format)
    report = expire(report, today=today)
    baseline = _write_baseline(workspace, report) if write_baseline else load_baseline(root)
    report, held_back = baseline.apply(report, whole=paths is None)
    if max_suppressions is not None:
        report = limit(report, max_suppressions)
    _print(report, held_back, root, output_format)
    return ExitCode.OK if report.is_clean else ExitCode.FINDINGS


def _refuse_contradictions(
    files: Sequence[Path], base: str | None, output_format: _Format, *, write: bool, listing: bool
) -> None:
    if files and base is not None:
        raise UsageError(
            "`--changed` chooses the files itself.",
            hint="Leave out FILES, and write `--changed=BASE` where BASE was meant.",
        )
    if write and (files or base is not None):
        raise UsageError(
            "`--write-baseline` needs the whole project.",
            hint="Leave out FILES and `--changed`.",
        )
    if listing and write:
        raise UsageError("`--suppressions` only lists.", hint="Leave out `--write-baseline`.")
    if listing and output_format not in {"text", "json"}:
        raise UsageError(
            f"`--suppressions` has no format `{output_format}`.", hint="Use text or json."
        )


def _changed(workspace: Workspace, context: SheriffContext, base: str) -> list[str] | None:
    """The changed files that Sheriff looks at, None for all."""
    root = workspace.project.root
    changed = changed_files(root, base)
    if workspace.project.lattice_path.name in changed:
        note("The lattice has changed, so every file is checked.")
        return None
    config, interfaces = context.lattice.config, context.lattice.interfaces
    python_files = ProjectFiles(root, source_root=config.source_root).python_files()
    promised = {*context.generated, *(interface.file for interface in interfaces.values())}
    return sorted(changed & {*python_files, *promised})


def _write_baseline(workspace: Workspace, report: SheriffReport) -> Baseline:
    baseline = Baseline.of(report.violations)
    with workspace.project.exclusive():
        workspace.project.write_files({BASELINE_NAME: baseline.encode()})
    note(f"Wrote {BASELINE_NAME}; commit it.")
    return baseline


def _list_suppressions(
    report: SheriffReport, today: date, maximum: int | None, output_format: _Format
) -> ExitCode:
    emit(
        suppressions_to_dict(report, today=today),
        "json" if output_format == "json" else "text",
        text=lambda: (
            format_table(HEADINGS, suppression_rows(report, today=today))
            if report.suppressions
            else "No comment ignores a rule."
        ),
    )
    expired = any(each.is_expired(today) for each in report.suppressions)
    too_many = maximum is not None and len(report.suppressions) > maximum
    return ExitCode.FINDINGS if expired or too_many else ExitCode.OK


def _print(report: SheriffReport, held_back: HeldBack, root: Path, output_format: _Format) -> None:
    folder = folder_in_checkout(root)
    match output_format:
        case "sarif":
            click.echo(to_json(report_to_sarif(report, folder)))
        case "github":
            click.echo(printable(render_annotations(report, folder)), nl=not report.is_clean)
        case "junit":
            click.echo(render_junit(report, folder))
        case _:
            emit(
                report_to_dict(report, held_back),
                output_format,
                text=lambda: render_report(report, held_back),
            )
