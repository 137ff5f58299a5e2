"""Say what this machine offers: Python, git, sandbox, model providers."""

from __future__ import annotations

import asyncio
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import click

from lattice_lock import __version__
from lattice_lock.cli.output import ExitCode, OutputFormat, emit, format_option, format_table
from lattice_lock.gauntlet.sandbox import detect_sandbox
from lattice_lock.providers.availability import ProviderAvailability
from lattice_lock.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lattice_lock.providers.availability import ProviderStatus

__all__ = ["command"]

_GIT_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at.

    Attributes:
        state: `problem` is something that stops `lattice-lock check`, `missing` something that
            is not needed for that.
        hint: what to do about it, None where there is nothing to do.
    """

    name: str
    state: Literal["ok", "missing", "problem"]
    detail: str
    hint: str | None = None


@click.command("doctor")
@format_option
def command(output_format: OutputFormat) -> ExitCode:
    """Say what this machine offers, and what it lacks.

    Exits with 1 where implementations cannot be judged here. A model provider that cannot run is
    listed with what it needs, and is no problem as long as nobody asks for it.
    """
    checks = (*_base_checks(), _sandbox(), *asyncio.run(_providers()))
    emit({"checks": checks}, output_format, text=lambda: _text(checks))
    healthy = all(check.state != "problem" for check in checks)
    return ExitCode.OK if healthy else ExitCode.FINDINGS


def _base_checks() -> Iterator[Check]:
    yield Check(name="lattice-lock", state="ok", detail=__version__)
    implementation = f"{platform.python_implementation()} {platform.python_version()}"
    yield Check(name="python", state="ok", detail=f"{implementation}, {sys.executable}")
    yield Check(name="platform", state="ok", detail=f"{platform.system()} {platform.machine()}")
    yield _git()


def _git() -> Check:
    program = shutil.which("git")
    if program is None:
        return Check(
            name="git",
            state="missing",
            detail="not installed",
            hint="Install git to keep lattice and code under version control.",
        )
    done = subprocess.run(  # noqa: S603  # the program that PATH names, with a fixed argument
        [program, "--version"],
        capture_output=True,
        text=True,
        check=False,
        timeout=_GIT_TIMEOUT_S,
    )
    return Check(name="git", state="ok", detail=done.stdout.strip() or program)


def _sandbox() -> Check:
    sandbox = detect_sandbox()
    missing = "; ".join(sandbox.missing)
    if not sandbox.confines:
        return Check(
            name="sandbox",
            state="problem",
            detail=f"nothing confines untrusted code here: {missing}",
            hint="Use Linux 5.13 or newer, or install bubblewrap.",
        )
    detail = f"{sandbox.name}; without {missing}" if missing else sandbox.name
    return Check(name="sandbox", state="ok", detail=detail)


async def _providers() -> list[Check]:
    statuses = await ProviderAvailability(await asyncio.to_thread(Settings.load)).all()
    return [
        Check(name=f"provider {status.provider}", state="ok", detail=_models(status))
        if status.available
        else Check(
            name=f"provider {status.provider}",
            state="missing",
            detail=status.reason or "",
            hint=status.hint,
        )
        for status in statuses
    ]


def _models(status: ProviderStatus) -> str:
    count = len(status.models)
    return f"{count} model{'' if count == 1 else 's'}; see `lattice-lock models list`"


def _text(checks: Sequence[Check]) -> str:
    table = format_table(
        ("what", "state", "detail"), ((check.name, check.state, check.detail) for check in checks)
    )
    hints = [f"{check.name}: {check.hint}" for check in checks if check.hint]
    return "\n".join([table, "", *hints]) if hints else table
