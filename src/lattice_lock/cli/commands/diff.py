"""Say what changed between two lattices, whom it breaks, and the version it needs."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lattice_lock.cli.output import ExitCode, OutputFormat, emit, format_option
from lattice_lock.core.compatibility import Bump, compare_elements, compare_with_lock
from lattice_lock.core.drift import load_lock
from lattice_lock.core.elements import describe_elements
from lattice_lock.core.loader import load_lattice, parse_lattice
from lattice_lock.core.project import LATTICE_NAME, LOCK_NAME, find_project
from lattice_lock.exceptions import LockfileError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lattice_lock.core.compatibility import Change, Comparison

__all__ = ["command"]


@click.command("diff")
@click.argument("old", required=False)
@click.argument("new", required=False)
@format_option
def command(old: str | None, new: str | None, output_format: OutputFormat) -> ExitCode:
    """Compare the lattice OLD with the lattice NEW.

    Each is a file or what git knows, such as `HEAD~1:lattice.yaml`. NEW left out is the
    `lattice.yaml` of this folder. OLD left out, or a folder, compares that project's lattice with
    what its `lattice.lock` was compiled from.

    Exits 1 where the version went up by less than the changes need.
    """
    if new is None and (old is None or Path(old).is_dir()):
        comparison = _since_compiled(Path(old or "."))
    else:
        comparison = compare_elements(_elements(old or ""), _elements(new or LATTICE_NAME))
    emit(_document(comparison), output_format, text=lambda: _text(comparison))
    return ExitCode.OK if comparison.is_enough else ExitCode.FINDINGS


def _since_compiled(folder: Path) -> Comparison:
    lock = load_lock(find_project(folder))
    if lock is None:
        raise LockfileError(
            f"there is no `{LOCK_NAME}` in `{folder}` to compare with",
            hint="Run `lattice-lock compile`, or name two lattices.",
        )
    return compare_with_lock(lock, load_lattice(folder / LATTICE_NAME))


def _elements(source: str) -> Mapping[str, str]:
    path = Path(source)
    if path.is_file():
        return describe_elements(load_lattice(path))
    if ":" not in source:
        raise UsageError(
            f"`{source}` is not a file",
            hint=f"Name a file, or a revision and a path as in `HEAD~1:{LATTICE_NAME}`.",
        )
    return describe_elements(parse_lattice(_from_git(source), file=source))


def _from_git(source: str) -> str:
    """Text of `REVISION:PATH` in the repository of the working folder."""
    hint = f"Write a revision that git knows and a path, as in `HEAD~1:{LATTICE_NAME}`."
    if source.startswith("-"):  # git would take it for an option
        raise UsageError(f"`{source}` is not a revision", hint=hint)
    arguments = ["git", "cat-file", "blob", source]
    try:
        done = subprocess.run(arguments, capture_output=True, check=False)  # noqa: S603 -- no shell
    except FileNotFoundError as error:
        raise UsageError(
            f"`{source}` names a revision, but there is no `git` here",
            hint="Install git, or name a file.",
        ) from error
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip().removeprefix("fatal: ")
        raise UsageError(f"git cannot read `{source}`: {reason}", hint=hint)
    try:
        return done.stdout.decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"`{source}` is not UTF-8 text", hint=hint) from error


def _document(comparison: Comparison) -> dict[str, object]:
    return {
        "old_version": comparison.old_version,
        "new_version": comparison.new_version,
        "declared": comparison.declared,
        "needed": comparison.needed,
        "enough": comparison.is_enough,
        "changes": comparison.changes,
    }


def _text(comparison: Comparison) -> str:
    groups = []
    for bump in reversed(Bump):
        changes = [change for change in comparison.changes if change.bump is bump]
        if changes:
            groups.append("\n".join([f"{bump.value}:", *map(_line, changes)]))
    return "\n\n".join([*groups, _verdict(comparison)])


def _line(change: Change) -> str:
    lines = [f"  {change.subject}: {change.reason}"]
    if change.breaks:
        lines[0] += f"; breaks {_and(change.breaks)}"
    if change.may_break:
        lines[0] += f"; may break {_and(change.may_break)}"
    lines += [f"    - {change.before}"] if change.before else []
    lines += [f"    + {change.after}"] if change.after else []
    return "\n".join(lines)


def _and(names: tuple[str, ...]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _verdict(comparison: Comparison) -> str:
    if not comparison.changes:
        return "Nothing changed."
    versions = f"{comparison.old_version} to {comparison.new_version}"
    if comparison.is_enough:
        return f"The version may go from {versions}."
    return (
        f"The version goes from {versions}, which is too little: these changes need a new"
        f" {comparison.needed.value} version.\nSet `version` in the lattice."
    )
