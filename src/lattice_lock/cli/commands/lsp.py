"""Serve an editor over the Language Server Protocol."""

from __future__ import annotations

import click

from lattice_lock.cli.output import ExitCode
from lattice_lock.exceptions import UsageError

__all__ = ["command"]


@click.command("lsp")
@click.option("--stdio", is_flag=True, hidden=True, help="What some editors add; it is always so.")
def command(*, stdio: bool) -> ExitCode:
    """Serve an editor, which starts this command itself, over standard input and output.

    Needs the extra `lsp`. Files are checked while they are typed, each against the nearest
    `lattice.yaml` around it; files without one are left alone. Settings for editors are in
    `docs/how-to/use-in-an-editor.md`.
    """
    del stdio
    try:
        from lattice_lock.lsp.server import serve_stdio  # noqa: PLC0415  # an extra
    except ModuleNotFoundError as error:
        raise UsageError(
            f"`lattice-lock lsp` needs the package `{error.name}`, which is not installed.",
            hint="Install it with `pip install 'lattice-lock[lsp]'`.",
        ) from error
    serve_stdio()
    return ExitCode.OK
