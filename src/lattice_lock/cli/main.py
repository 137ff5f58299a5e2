"""The `lattice-lock` command and the one boundary between the package and its process.

`run` turns everything that can happen into an exit code and a message; `main` is what the
operating system starts. Command modules are found by file name and imported only when they run,
so that `lattice-lock --help` stays fast however many commands there are.
"""

from __future__ import annotations

import functools
import os
import pkgutil
import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click
from typing_extensions import override

from lattice_lock import __version__
from lattice_lock.cli import commands
from lattice_lock.cli.output import ExitCode, note, use_any_character
from lattice_lock.cli.report import deliberate_error, report

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["DEBUG_VARIABLE", "PROGRAM", "cli", "command_summaries", "main", "run"]

PROGRAM = "lattice-lock"
DEBUG_VARIABLE = "LATTICE_LOCK_DEBUG"

_EPILOG = """\b
Exit codes:
  0    done, and everything is as it should be
  1    done, and something is not: findings, drift, nothing accepted, a model call that failed
  2    called wrongly, or the lattice or the configuration cannot be used
  3    a defect in Lattice Lock, or nothing that could be judged
  130  interrupted; a command writes all of its files or none
"""


@functools.cache
def command_summaries() -> Mapping[str, str]:
    """Every command's name and one-line help, read from its file without importing it."""
    summaries = {}
    for folder in commands.__path__:
        for module in pkgutil.iter_modules([folder]):
            with (Path(folder) / f"{module.name}.py").open(encoding="utf-8") as source:
                summaries[module.name] = source.readline().strip().strip('"')
    return summaries


class _LazyGroup(click.Group):
    """A group whose commands are the modules of `lattice_lock.cli.commands`."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(command_summaries())

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in command_summaries():
            return None
        module = import_module(f"{commands.__name__}.{cmd_name}")
        return cast("click.Command", module.command)

    @override
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(command_summaries().items()), col_spacing=3)


@click.group(
    PROGRAM,
    cls=_LazyGroup,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def cli() -> None:
    """Govern AI-assisted development: one lattice.yaml is the truth, everything else is checked."""


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; see the epilog of `--help`.

    This is the process boundary: the only place in the package that catches every exception.
    """
    try:
        return _invoke(arguments)
    except click.exceptions.Exit as finished:
        return finished.exit_code
    except (KeyboardInterrupt, click.Abort):
        note("Interrupted.")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        _discard_output()
        return ExitCode.OUTPUT_CLOSED
    except Exception as error:  # noqa: BLE001  # the documented boundary of the process
        if os.environ.get(DEBUG_VARIABLE, "") not in {"", "0"}:
            traceback.print_exc()
        return report(deliberate_error(error, debug_variable=DEBUG_VARIABLE), arguments)


def _invoke(arguments: Sequence[str]) -> int:
    if not arguments:
        arguments = ["--help"]
    with cli.make_context(PROGRAM, list(arguments)) as context:
        outcome = cast("int | None", cli.invoke(context))
    sys.stdout.flush()  # a reader that left must be noticed here, not at exit
    return outcome or ExitCode.OK


def _discard_output() -> None:
    # Whoever read standard output is gone; the interpreter's own flush at exit must not fail too.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main() -> None:
    """Entry point of the `lattice-lock` script."""
    use_any_character()
    sys.exit(run(sys.argv[1:]))
