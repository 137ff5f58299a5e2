"""Write docs/reference/cli.md from every command's `--help`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click
from generated_file import write_or_check

from lattice_lock.cli.main import PROGRAM, cli

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEAD = """\
# Command line

Generated from the commands' own `--help` by `make generate`.
"""


def render() -> str:
    """The whole file, commands in alphabetic order."""
    return _HEAD + "".join(_sections(click.Context(cli, info_name=PROGRAM, **cli.context_settings)))


def _sections(context: click.Context) -> Iterator[str]:
    context.terminal_width = 100
    yield f"\n## {context.command_path}\n\n```text\n{context.get_help()}\n```\n"
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            command = context.command.get_command(context, name)
            if command is not None:
                yield from _sections(click.Context(command, info_name=name, parent=context))


if __name__ == "__main__":
    sys.exit(write_or_check("docs/reference/cli.md", render(), description=__doc__))
