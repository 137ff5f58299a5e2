"""Recompute lattice.lock and name everything that no longer agrees with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lattice_lock.cli.output import ExitCode, OutputFormat, emit, format_option
from lattice_lock.core.project import LOCK_NAME
from lattice_lock.core.workspace import open_workspace

if TYPE_CHECKING:
    from lattice_lock.core.drift import Drift
    from lattice_lock.core.workspace import Workspace

__all__ = ["command"]


@click.command("verify")
@click.argument("path", type=click.Path(path_type=Path), default=Path())
@format_option
def command(path: Path, output_format: OutputFormat) -> ExitCode:
    """Verify that the project at PATH is what its lattice.lock says.

    Covers every element of the lattice, every generated file, and every accepted body with the
    contract under which it was accepted. Runs none of the project's code and writes nothing;
    `lattice-lock check` does this too, and judges the code.
    """
    workspace = open_workspace(path)
    drift = workspace.drift()
    document = {"passed": not drift, "drift": drift}
    emit(document, output_format, text=lambda: _text(workspace, drift))
    return ExitCode.FINDINGS if drift else ExitCode.OK


def _text(workspace: Workspace, drift: tuple[Drift, ...]) -> str:
    parts = [f"{one.path}: {one.message}.\n  {one.hint}" for one in drift]
    lock = workspace.lock
    if drift or lock is None:
        parts.append(f"{len(drift)} {'thing' if len(drift) == 1 else 'things'} drifted.")
    else:
        parts.append(
            f"{LOCK_NAME} holds: {len(lock.elements)} elements, {len(lock.generated)} generated"
            f" files, {len(lock.accepted)} accepted bodies."
        )
    return "\n\n".join(parts)
