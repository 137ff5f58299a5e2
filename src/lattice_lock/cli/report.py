"""Tell a person or a program what went wrong, in the format that was asked for."""

from __future__ import annotations

import itertools
import traceback
from pathlib import PurePath
from typing import TYPE_CHECKING

import click

from lattice_lock.cli.output import OutputFormat, note, to_json
from lattice_lock.exceptions import (
    AllProvidersFailedError,
    InternalError,
    LatticeLockError,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["deliberate_error", "error_fields", "report", "requested_format"]


def report(error: LatticeLockError, arguments: Sequence[str]) -> int:
    """Print `error` and return its exit code.

    Text goes to standard error. With `--format json` among `arguments` an object goes to standard
    output, so that a program reads one stream whatever happened.
    """
    if requested_format(arguments) == "json":
        click.echo(to_json({"error": error_fields(error)}))
    else:
        note(_as_text(error))
    return error.exit_code


def requested_format(arguments: Sequence[str]) -> OutputFormat:
    """The format on a command line that may be too wrong to be parsed."""
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if "--format=json" in options or ("--format", "json") in itertools.pairwise(options):
        return "json"
    return "text"


def error_fields(error: LatticeLockError) -> dict[str, object]:
    """Every fact that `error` carries, ready for JSON; absent facts are left out."""
    fields: dict[str, object] = {
        "code": error.code,
        "type": type(error).__name__,
        "message": error.message,
        "exit_code": error.exit_code,
        "retryable": error.retryable,
    }
    context = {name: value for name, value in vars(error).items() if not name.startswith("_")}
    context["causes"] = [error_fields(cause) for cause in _causes(error)] or None
    return fields | {name: value for name, value in context.items() if value is not None}


def _as_text(error: LatticeLockError) -> str:
    lines = [f"error[{error.code}]: {error.message}"]
    lines += [f"  - {cause}" for cause in _causes(error)]
    if error.hint:
        lines.append(f"  {error.hint}")
    return "\n".join(lines)


def _causes(error: LatticeLockError) -> list[LatticeLockError]:
    if not isinstance(error, AllProvidersFailedError):
        return []
    return [cause for cause in error.exceptions if isinstance(cause, LatticeLockError)]


def deliberate_error(error: Exception, *, debug_variable: str) -> LatticeLockError:
    """What to report for whatever a command raised."""
    if isinstance(error, LatticeLockError):
        return error
    if isinstance(error, click.ClickException):
        return _usage_error(error)
    return _internal_error(error, debug_variable=debug_variable)


def _usage_error(error: click.ClickException) -> UsageError:
    """What click found wrong with a command line, with the way to that command's help."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    command = context.command_path if context else "lattice-lock"
    return UsageError(error.format_message(), hint=f"See `{command} --help`.")


def _internal_error(error: Exception, *, debug_variable: str) -> InternalError:
    """A defect, told by type and place alone: the text of a foreign error may hold a secret."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "lattice_lock" in PurePath(frame.filename).parts]
    place = ""
    if own:
        parts = PurePath(own[-1].filename).parts
        module = "/".join(parts[parts.index("lattice_lock") :])
        place = f" in `{own[-1].name}` at {module}:{own[-1].lineno}"
    return InternalError(
        f"A defect in Lattice Lock: `{type(error).__name__}`{place}.",
        hint=f"Set `{debug_variable}=1` to see the traceback, and please report it.",
    )
