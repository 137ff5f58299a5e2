"""Show a report now and whenever a file of a project changes."""

from __future__ import annotations

import os
import sys
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

import click
import watchfiles

from lattice_lock.cli.output import note, printable
from lattice_lock.cli.report import report
from lattice_lock.core.project import LOCK_NAME
from lattice_lock.exceptions import LatticeLockError
from lattice_lock.sheriff.baseline import BASELINE_NAME

if TYPE_CHECKING:
    from collections.abc import Callable

    from lattice_lock.core.project import Project

__all__ = ["watch_project"]

_QUIET_MS: Final = 50
"""A burst of changes ends when nothing has changed for this long."""

_LONGEST_BURST_MS: Final = 1_000
_LOOK_ANYWAY_MS: Final = 1_000
"""After this long what is new is watched too; what changed in it before is seen then."""

_NEVER_READ: Final = frozenset({"__pycache__", "node_modules", "site-packages"})


def watch_project(project: Project, rendered: Callable[[], str]) -> None:
    """Print what `rendered` gives, again after each burst of changes; ends when interrupted.

    What it raises on purpose, such as about a lattice with a mistake in it, is shown in its place.
    On a terminal the screen is cleared before.

    Args:
        project: the project whose files are watched.
        rendered: checks the project and gives the report to print.

    Raises:
        KeyboardInterrupt: the person pressed Ctrl-C.
    """
    shown = _show(rendered, None)
    changes = watchfiles.watch(
        project.root,
        watch_filter=lambda _, path: _matters(path, project),
        debounce=_LONGEST_BURST_MS,
        step=_QUIET_MS,
        rust_timeout=_LOOK_ANYWAY_MS,
        yield_on_timeout=True,
        ignore_permission_denied=True,
    )
    look_again = True
    for changed in changes:
        if changed:
            shown = _show(rendered, None)
            look_again = True
        elif look_again:
            shown = _show(rendered, shown)
            look_again = False


def _show(rendered: Callable[[], str], shown: str | None) -> str | None:
    """Print the report unless it is what is shown already; None where there is only an error."""
    try:
        text = printable(rendered())
    except LatticeLockError as error:
        _clear()
        report(error, ())
        return None
    if text != shown:
        _clear()
        click.echo(text)
        note("Watching; press Ctrl-C to end.")
    return text


def _clear() -> None:
    if sys.stdout.isatty():
        click.clear()


def _matters(path: str, project: Project) -> bool:
    """Whether a change at `path` can change the report."""
    relative = PurePosixPath(os.path.relpath(path, project.root))
    if relative.as_posix() in {project.lattice_path.name, LOCK_NAME, BASELINE_NAME}:
        return True
    hidden = any(part.startswith(".") or part in _NEVER_READ for part in relative.parts)
    # Of a folder that was moved or removed only the folder is told.
    return not hidden and (relative.suffix == ".py" or not relative.suffix or Path(path).is_dir())
