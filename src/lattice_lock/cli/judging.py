"""Options and report of every command that judges implementations by their contracts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lattice_lock.cli.output import ExitCode, format_table
from lattice_lock.gauntlet.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lattice_lock.gauntlet.verdict import GauntletReport

__all__ = ["exit_code", "method_option", "render_reports", "sandbox_option", "seed_option"]

seed_option = click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Seed of the generated inputs; the same seed gives the same inputs.",
)
method_option = click.option(
    "--method",
    "-m",
    "methods",
    multiple=True,
    metavar="INTERFACE[.METHOD]",
    help="Only this method, or all methods of this interface; may be given several times.",
)
sandbox_option = click.option(
    "--no-sandbox",
    "allow_unsandboxed",
    is_flag=True,
    help="Run code unconfined where this machine has no sandbox.",
)


def render_reports(reports: Mapping[str, GauntletReport]) -> str:
    """A table of all verdicts, then what is wrong with each that did not pass."""
    rows = [
        (name, verdict.method, verdict.test, verdict.outcome.value, verdict.examples)
        for name, report in reports.items()
        for verdict in report.verdicts
    ]
    if not rows:
        return "The lattice declares no methods."
    parts = [format_table(("interface", "method", "test", "outcome", "examples"), rows)]
    for name, report in reports.items():
        for verdict in report.verdicts:
            if verdict.outcome is Outcome.PASSED and not verdict.message:
                continue
            lines = [f"{name}.{verdict.method} {verdict.outcome.value}: {verdict.message}"]
            if verdict.counterexample:
                lines.append(f"  with {verdict.counterexample}")
            if verdict.suggestion:
                lines.append(f"  -> {verdict.suggestion}")
            parts.append("\n".join(lines))
    sandboxes = sorted({report.sandbox for report in reports.values()})
    parts.append(f"Sandbox: {', '.join(sandboxes)}.")
    return "\n\n".join(parts)


def exit_code(reports: Iterable[GauntletReport]) -> ExitCode:
    """3 where nothing was found because nothing could be judged, 1 for findings, 0 for passes."""
    found = {report.outcome for report in reports if not report.passed}
    if found == {Outcome.ERROR}:
        return ExitCode.INTERNAL
    return ExitCode.FINDINGS if found else ExitCode.OK
