"""The strength of contracts as text: a table, then every mutant that got through."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from lattice_lock.cli.output import format_table
from lattice_lock.gauntlet.strength import Fate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lattice_lock.gauntlet.strength import FunctionStrength, JudgedMutant, StrengthReport

__all__ = ["render_strength"]

_HEADINGS = ("function", "killed", "timed out", "survived", "equivalent", "possible")


def render_strength(report: StrengthReport) -> str:
    """A table of all functions, the survivors with what is missing, and the score."""
    measured = [one for one in report.functions if not one.unmeasured]
    parts = [format_table(_HEADINGS, map(_row, measured))] if measured else []
    parts += [
        f"{one.name} not measured: {one.unmeasured}" for one in report.functions if one.unmeasured
    ]
    mutants = [mutant for one in measured for mutant in one.mutants]
    parts += ["\n".join(_survivor(one)) for one in mutants if one.fate is Fate.SURVIVED]
    same = [one for one in mutants if one.fate is Fate.EQUIVALENT]
    if same:
        parts.append("\n".join(["Probably equivalent, not counted:", *map(_equivalent, same)]))
    killed = sum(one.killed for one in measured)
    survived = sum(one.survived for one in measured)
    if report.score is None:
        parts.append("Strength: nothing could be measured.")
    else:
        parts.append(
            f"Strength: {report.score:.2f}, {killed} of {killed + survived} mutants killed."
        )
    return "\n\n".join(parts)


def _row(one: FunctionStrength) -> tuple[object, ...]:
    timed_out = one.count(Fate.TIMED_OUT)
    return (
        one.name,
        one.killed - timed_out,
        timed_out,
        one.survived,
        one.count(Fate.EQUIVALENT),
        one.possible,
    )


def _survivor(mutant: JudgedMutant) -> Iterator[str]:
    yield f"{mutant.file}:{mutant.line} survived: {mutant.operator}"
    yield textwrap.indent(mutant.diff, "    ")
    yield f"  {mutant.reason}"
    found = mutant.difference
    if found is not None:
        yield f"  `{found.what}` is {found.mutant} instead of {found.original}"
        yield f"  with {mutant.counterexample}"


def _equivalent(mutant: JudgedMutant) -> str:
    lines = mutant.diff.split("\n")
    before, after = (
        " ".join(line[1:].strip() for line in lines if line.startswith(sign)) for sign in "-+"
    )
    changed = f"`{before}` -> `{after}`" if before else f"`{after}` added"
    return f"  {mutant.file}:{mutant.line} {mutant.operator}: {changed}"
