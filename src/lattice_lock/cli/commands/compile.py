"""Generate types, interfaces, scaffolds, contract tests, migrations and lattice.lock."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lattice_lock.cli.output import ExitCode, OutputFormat, emit, format_option, note
from lattice_lock.core.compatibility import compare_with_lock
from lattice_lock.core.project import LOCK_NAME, Project
from lattice_lock.core.workspace import open_workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lattice_lock.core.workspace import Workspace

__all__ = ["command"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Result:
    """What compiling changed, or with `--check` would change."""

    project: Path
    changed: tuple[str, ...]
    written: bool
    warnings: tuple[str, ...]


@click.command("compile")
@click.argument("path", type=click.Path(path_type=Path), default=Path())
@click.option("--check", is_flag=True, help="Write nothing; exit 1 where files would change.")
@click.option(
    "--allow-drop",
    is_flag=True,
    help="Let a migration drop tables, columns and values of enums, with what they hold.",
)
@format_option
def command(path: Path, output_format: OutputFormat, *, check: bool, allow_drop: bool) -> ExitCode:
    """Generate everything that follows from the lattice at PATH.

    Generated files are rewritten. A scaffold is written only where its file does not exist yet.
    Where the lattice asks for migrations and its tables changed, the next one is written.
    All files are written, or none.
    """
    workspace = open_workspace(path)
    planned = workspace.plan(allow_drop=allow_drop)
    warnings = (*map(str, workspace.compilation.warnings), *_version_warnings(workspace))
    for warning in warnings:
        note(f"warning: {warning}")
    project = workspace.project
    if check:
        changed = tuple(name for name, text in planned.items() if project.read_text(name) != text)
    else:
        with project.exclusive():
            changed = project.write_files(planned)
    result = _Result(project=project.root, changed=changed, written=not check, warnings=warnings)
    emit(result, output_format, text=lambda: _text(result, project, planned))
    return ExitCode.FINDINGS if check and changed else ExitCode.OK


def _version_warnings(workspace: Workspace) -> Iterator[str]:
    """Said once: from here on the lock holds the lattice as it is now."""
    if workspace.lock is None:
        return
    comparison = compare_with_lock(workspace.lock, workspace.lattice)
    if not comparison.is_enough:
        yield (
            f"{workspace.lattice.file}: what changed since the last compile needs a new"
            f" {comparison.needed.value} version, this is {comparison.new_version}. Compare with"
            " what you released: `lattice-lock diff REVISION:lattice.yaml`."
        )


def _text(result: _Result, project: Project, planned: dict[str, str | None]) -> str:
    if not result.changed:
        return "Everything is up to date."
    if result.written:
        verbs = {True: "deleted", False: "wrote"}
        return "\n".join(f"{verbs[planned[name] is None]} {name}" for name in result.changed)
    parts = [f"{len(result.changed)} files are not what the lattice compiles to."]
    for name in result.changed:
        if name == LOCK_NAME:
            parts.append(f"{name} is out of date.")
            continue
        old = (project.read_text(name) or "").splitlines(keepends=True)
        new = (planned[name] or "").splitlines(keepends=True)
        diff = difflib.unified_diff(old, new, f"{name} (now)", f"{name} (compiled)")
        parts.append("".join(diff).rstrip("\n"))
    parts.append("Run `lattice-lock compile` to write them.")
    return "\n".join(parts)
