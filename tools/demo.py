"""The quickstart from its lattice alone: compile it, have its methods written, refuse a wrong one.

Everything is done by the `lattice-lock` command, as a user would. Exits with 0 only if at least
five of the six methods were written by a model and verified, and a wrong body was refused.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
LATTICE = ROOT / "docs" / "examples" / "quickstart" / "lattice.yaml"
PROJECT = ROOT / "build" / "quickstart"
IMPLEMENTATION = "src/services/pricing_service.py"
WANTED = 5
FINDINGS = 1  # exit code of `lattice-lock` when it found something

console = Console(width=None if sys.stdout.isatty() else 100)


def run(*arguments: str, capture: bool = False) -> subprocess.CompletedProcess[str]:
    """Run `lattice-lock` visibly; standard output is returned instead of shown on demand."""
    console.print(f"\n[bold]$ lattice-lock {' '.join(arguments)}[/bold]", soft_wrap=True)
    return subprocess.run(
        [sys.executable, "-m", "lattice_lock", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE if capture else None,
        text=True,
        check=False,
    )


def build(project: str) -> list[dict[str, Any]]:
    """Have the methods written and show what happened to each."""
    done = run("build", project, "--format", "json", capture=True)
    try:
        report = json.loads(done.stdout)
        methods: list[dict[str, Any]] = report["methods"]
    except (ValueError, KeyError):
        sys.stdout.write(done.stdout)
        sys.exit(done.returncode or FINDINGS)
    table = Table("method", "attempts", "rejected by", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("accepted from", overflow="fold")
    table.add_column("seconds", justify="right")
    for one in methods:
        rejected = ", ".join(f"{by} {count}" for by, count in one["rejections"].items())
        table.add_row(
            one["method"].partition(".")[2],
            str(one["attempts"]),
            rejected or "-",
            one["model"] or "[red]nothing passed[/red]",
            f"{one['duration_s']:.1f}",
        )
    console.print()
    console.print(table)
    return methods


def refuse_wrong_body(project: str) -> bool:
    """Whether a plausible but wrong body is refused; the file is put back afterwards."""
    path = PROJECT / IMPLEMENTATION
    written = path.read_text(encoding="utf-8")
    head, definition, rest = written.partition("    def loyalty_points(")
    signature, docstring, body = rest.split('"""', maxsplit=2)
    _, following, others = body.partition("\n\n    def ")
    wrong = "        return round(total / 10)"
    text = f'{head}{definition}{signature}"""{docstring}"""\n{wrong}\n{following}{others}'
    path.write_text(text, encoding="utf-8")
    console.print(f"\nNow somebody writes [bold]{wrong.strip()}[/bold] into `loyalty_points`.")
    try:
        accepted = run("accept", project, "--method", "IPricingService.loyalty_points")
        checked = run("check", project, capture=True)
    finally:
        path.write_text(written, encoding="utf-8")
    console.print(f"`accept` exits with {accepted.returncode}, `check` with {checked.returncode}.")
    return accepted.returncode == checked.returncode == FINDINGS


def main() -> int:
    """Run the demonstration; the exit code says whether it held."""
    started = time.monotonic()
    shutil.rmtree(PROJECT, ignore_errors=True)
    PROJECT.mkdir(parents=True)
    shutil.copy(LATTICE, PROJECT)
    project = PROJECT.relative_to(ROOT).as_posix()
    for arguments in (("models", "pull", "embedded"), ("compile", project)):
        if code := run(*arguments).returncode:
            return code
    methods = build(project)
    written = [one["method"].partition(".")[2] for one in methods if one["status"] == "accepted"]
    if written:
        console.print(f"\nThe first verified body, from [bold]{project}/{IMPLEMENTATION}[/bold]:\n")
        source = (PROJECT / IMPLEMENTATION).read_text(encoding="utf-8")
        _, definition, rest = source.partition(f"    def {written[0]}(")
        print(definition + rest.partition("\n\n    def ")[0])
    refused = refuse_wrong_body(project)
    held = len(written) >= WANTED and refused
    verdict = "was refused" if refused else "was NOT refused"
    seconds = time.monotonic() - started
    console.print(
        f"\n[bold]{len(written)} of {len(methods)} methods written by a model and verified;"
        f" the wrong body {verdict}. {seconds:.0f} s.[/bold]",
        soft_wrap=True,
    )
    return 0 if held else FINDINGS


if __name__ == "__main__":
    sys.exit(main())
