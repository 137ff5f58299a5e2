"""Check the code of a project against its lattice, statically."""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass
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
from lattice_lock.core.project import find_project
from lattice_lock.core.workspace import Workspace, open_workspace
from lattice_lock.exceptions import UsageError
from lattice_lock.sheriff.audit import expire, limit, smallest
from lattice_lock.sheriff.baseline import BASELINE_NAME, Baseline, load_baseline
from lattice_lock.sheriff.changes import changed_files, folder_in_checkout
from lattice_lock.sheriff.checker import SheriffContext, SheriffReport, check_project
from lattice_lock.sheriff.files import ProjectFiles
from lattice_lock.sheriff.repair import Repair, plan_repairs, unified_diff, write_repairs
from lattice_lock.sheriff.reports.github import render_annotations
from lattice_lock.sheriff.reports.json import report_to_dict
from lattice_lock.sheriff.reports.junit import render_junit
from lattice_lock.sheriff.reports.sarif import report_to_sarif
from lattice_lock.sheriff.reports.suppressions import (
    HEADINGS,
    suppression_rows,
    suppressions_to_dict,
)
from lattice_lock.sheriff.reports.text import count_text, render_report

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
@click.option("--fix", is_flag=True, help="Mend what can be mended with certainty, then check.")
@click.option(
    "--diff", "show_diff", is_flag=True, help="Show what --fix would change; write nothing."
)
@click.option(
    "--watch",
    is_flag=True,
    help="Check again whenever a file changes, until Ctrl-C; needs the extra `watch`.",
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
    help="Report it where comments ignore more than N rules; one comment can ignore several. The"
    " lattice may say fewer.",
)
@format_option_with("sarif", "github", "junit")
def command(
    path: Path,
    files: tuple[Path, ...],
    base: str | None,
    output_format: _Format,
    max_suppressions: int | None,
    *,
    fix: bool,
    show_diff: bool,
    watch: bool,
    write_baseline: bool,
    list_suppressions: bool,
) -> ExitCode:
    """Check the Python files of the project at PATH, or only FILES below it.

    What the baseline holds back is not reported. Exits with 1 where something is. Results are
    kept in `.lattice-lock/cache`; `lattice-lock check`, the one to trust, looks at all files anew.
    """
    chosen = {
        "--fix": fix,
        "--diff": show_diff,
        "--watch": watch,
        "--write-baseline": write_baseline,
        "--suppressions": list_suppressions,
    }
    _refuse_contradictions(files, base, output_format, [name for name, on in chosen.items() if on])
    if watch:
        return _watch(path, files, base, max_suppressions)
    check = _Check.open(path, files, base)
    report = check.run()
    if list_suppressions:
        return _list_suppressions(report, check, max_suppressions, output_format)
    if write_baseline:
        check.write_baseline(report)
    elif fix or show_diff:
        repairs = check.repairs(report)
        if show_diff:
            return _show_diff(check, report, repairs)
        report = _write(check, repairs) or report
    report, held_back = check.judge(report, max_suppressions)
    _print(report, held_back, check.root, output_format)
    return ExitCode.OK if report.is_clean else ExitCode.FINDINGS


def _refuse_contradictions(
    files: Sequence[Path], base: str | None, output_format: _Format, chosen: Sequence[str]
) -> None:
    if files and base is not None:
        raise UsageError(
            "`--changed` chooses the files itself.",
            hint="Leave out FILES, and write `--changed=BASE` where BASE was meant.",
        )
    if len(chosen) > 1:
        raise UsageError(
            f"{' and '.join(f'`{name}`' for name in chosen)} are different things to do.",
            hint="Do one after the other.",
        )
    if "--write-baseline" in chosen and (files or base is not None):
        raise UsageError(
            "`--write-baseline` needs the whole project.",
            hint="Leave out FILES and `--changed`.",
        )
    known = {"--suppressions": {"text", "json"}, "--diff": {"text"}, "--watch": {"text"}}
    for name in chosen:
        if output_format not in known.get(name, {output_format}):
            raise UsageError(
                f"`{name}` has no format `{output_format}`.",
                hint=f"Use {' or '.join(sorted(known[name], reverse=True))}.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Check:
    """A check that may be run several times.

    Attributes:
        paths: what it looks at, None for everything.
    """

    workspace: Workspace
    context: SheriffContext
    paths: tuple[str | Path, ...] | None
    today: date

    @classmethod
    def open(cls, path: Path, files: Sequence[Path], base: str | None) -> _Check:
        workspace = open_workspace(path)
        context = SheriffContext(lattice=workspace.lattice, generated=workspace.generated)
        paths: Sequence[str | Path] | None = [file.absolute() for file in files] or None
        if base is not None:
            paths = _changed(workspace, context, base)
        return cls(
            workspace=workspace,
            context=context,
            paths=None if paths is None else tuple(paths),
            today=datetime.now(UTC).date(),
        )

    @property
    def root(self) -> Path:
        return self.workspace.project.root

    def run(self, *, whole: bool = False) -> SheriffReport:
        return check_project(
            self.root,
            self.context,
            paths=None if whole else self.paths,
            cache=self.root / ".lattice-lock" / "cache",
        )

    def judge(
        self, report: SheriffReport, max_suppressions: int | None = None
    ) -> tuple[SheriffReport, HeldBack]:
        """What of a report counts today, and what the baseline holds back."""
        report, held_back = load_baseline(self.root).apply(
            expire(report, today=self.today), whole=self.paths is None
        )
        return limit(
            report, max_suppressions, self.context.lattice.config.max_suppressions
        ), held_back

    def write_baseline(self, report: SheriffReport) -> None:
        project = self.workspace.project
        baseline = Baseline.of(expire(report, today=self.today).violations)
        with project.exclusive():
            project.write_files({BASELINE_NAME: baseline.encode()})
        note(f"Wrote {BASELINE_NAME}; commit it.")

    def repairs(self, report: SheriffReport) -> tuple[Repair, ...]:
        """What the certain fixes of what is reported make of the files that were looked at."""
        whole = report if self.paths is None else self.run(whole=True)
        baseline = load_baseline(self.root)

        def reported(found: SheriffReport) -> SheriffReport:
            return baseline.apply(expire(found, today=self.today), whole=False)[0]

        informed = dataclasses.replace(self.context, reexports=whole.reexports)
        return plan_repairs(self.workspace.project, informed, reported(report), reported)


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


def _show_diff(check: _Check, report: SheriffReport, repairs: Sequence[Repair]) -> ExitCode:
    diff = unified_diff(repairs)
    if sys.stdout.isatty():
        click.echo(printable(diff.decode("utf-8", "backslashreplace")), nl=False)
    else:
        click.echo(diff, nl=False)
    note(f"`--fix` would mend {_amount(repairs)}.")
    return ExitCode.OK if check.judge(report)[0].is_clean else ExitCode.FINDINGS


def _write(check: _Check, repairs: Sequence[Repair]) -> SheriffReport | None:
    """Write the repairs and check again; None where there was nothing to write."""
    if not repairs:
        return None
    project = check.workspace.project
    with project.exclusive():
        written = write_repairs(project, repairs)
    for path in written.changed:
        note(f"{path}: changed while it was looked at, so it was left alone; run `--fix` again.")
    note(f"Mended {_amount(written.repairs)}.")
    return check.run()


def _amount(repairs: Sequence[Repair]) -> str:
    mended = sum(each.mended for each in repairs)
    return f"{count_text(mended, 'violation')} in {count_text(len(repairs), 'file')}"


def _watch(
    path: Path, files: Sequence[Path], base: str | None, max_suppressions: int | None
) -> ExitCode:
    """Check now and after every change, until the person interrupts it."""
    try:
        from lattice_lock.cli.watching import watch_project  # noqa: PLC0415  # an extra
    except ModuleNotFoundError as error:
        raise UsageError(
            f"`--watch` needs the package `{error.name}`, which is not installed.",
            hint="Install it with `pip install 'lattice-lock[watch]'`.",
        ) from error

    def rendered() -> str:
        check = _Check.open(path, files, base)
        return render_report(*check.judge(check.run(), max_suppressions))

    watch_project(find_project(path), rendered)
    return ExitCode.INTERRUPTED


def _list_suppressions(
    report: SheriffReport, check: _Check, max_suppressions: int | None, output_format: _Format
) -> ExitCode:
    today = check.today
    maximum = smallest(max_suppressions, check.context.lattice.config.max_suppressions)
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
