"""Verify bodies that people wrote and record them in lattice.lock."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from lattice_lock.cli.judging import method_option, sandbox_option
from lattice_lock.cli.output import ExitCode, OutputFormat, emit, format_option
from lattice_lock.core.workspace import open_workspace
from lattice_lock.gauntlet.acceptance import Review, review_bodies

__all__ = ["command"]


@click.command("accept")
@click.argument("path", type=click.Path(path_type=Path), default=Path())
@method_option
@sandbox_option
@format_option
def command(
    path: Path, methods: tuple[str, ...], output_format: OutputFormat, *, allow_unsandboxed: bool
) -> ExitCode:
    """Record the bodies that stand in the project at PATH.

    Each must pass Sheriff and its contracts. All that pass are recorded, the rest is listed.
    """
    workspace = open_workspace(path)
    with workspace.project.exclusive():
        review = asyncio.run(review_bodies(workspace, methods, allow_unsandboxed=allow_unsandboxed))
        if review.accepted:
            workspace.project.write_files(workspace.plan(accepted=review.accepted))
    emit(review, output_format, text=lambda: _text(review))
    return ExitCode.FINDINGS if review.refused else ExitCode.OK


def _text(review: Review) -> str:
    lines = [
        f"accepted {name}: {record.examples} examples passed"
        for name, record in review.accepted.items()
    ]
    lines += [f"refused  {one.name}: {one.reason}" for one in review.refused]
    return "\n".join(lines) or "The lattice declares no methods."
