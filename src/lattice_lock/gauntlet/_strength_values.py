"""What measuring the strength of contracts takes and finds, as values."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from lattice_lock.gauntlet._differences import Difference
    from lattice_lock.gauntlet.verdict import TestVerdict

__all__ = [
    "Comparison",
    "Fate",
    "FunctionStrength",
    "JudgedMutant",
    "StrengthOptions",
    "StrengthReport",
    "Subject",
]


class Fate(StrEnum):
    """What became of a mutant."""

    KILLED = "killed"
    """The contract refuted it, or it could not even run."""
    TIMED_OUT = "timed out"
    """It did not come to an end, which counts as killed."""
    SURVIVED = "survived"
    """It passed, though it does something else than the original."""
    EQUIVALENT = "probably equivalent"
    """It passed, and no input was found for which it does something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StrengthOptions:
    """How to measure.

    Attributes:
        seed: seed of the generated inputs.
        most: mutants for each function; where there are more, some of every kind are taken.
        max_examples: inputs for each contract, None for as many as the Gauntlet always takes.
        at_once: mutants judged at the same time, None for one on each processor.
        allow_unsandboxed: run even where nothing confines the code.
    """

    seed: int = 0
    most: int = 30
    max_examples: int | None = None
    at_once: int | None = None
    allow_unsandboxed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What came of comparing a mutant with the original.

    Attributes:
        difference: what differs, None where nothing was seen to.
        shown_input: the smallest input found for which it differs, as keyword arguments.
        unknown: why the two could not be compared; empty when they were.
    """

    difference: Difference | None = None
    shown_input: str = ""
    unknown: str = ""


class Subject(Protocol):
    """A function with a contract."""

    @property
    def name(self) -> str:
        """As reports call it."""

    @property
    def file(self) -> str:
        """Where it stands."""

    @property
    def function(self) -> str:
        """Its qualified name within the file."""

    @property
    def text(self) -> str:
        """The whole file."""

    @property
    def clauses(self) -> tuple[str, ...]:
        """What its contract promises, as expressions."""

    async def judge(self, text: str, timeout_s: float | None = None) -> tuple[TestVerdict, ...]:
        """What the Gauntlet says of it in a text of the file.

        Args:
            text: the whole file.
            timeout_s: seconds for all tests together, None for as many as it always has.
        """

    async def compare(self, text: str) -> Comparison:
        """An input for which it does something else in another text of the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedMutant:
    """One mutant and what became of it.

    Attributes:
        file: the file that it is a change of.
        line: where, counted from 1.
        operator: what kind of change it is.
        diff: the lines that differ.
        fate: what became of it.
        reason: what killed it, or which clause is missing.
        counterexample: for a survivor an input for which it differs from the original.
        difference: what differs then.
    """

    file: str
    line: int
    operator: str
    diff: str
    fate: Fate
    reason: str = ""
    counterexample: str | None = None
    difference: Difference | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionStrength:
    """How strong the contract of one function is.

    Attributes:
        name: the function.
        possible: changes that could be made, some of which come to the same.
        mutants: those that were judged.
        unmeasured: why nothing was measured, as when the function does not keep its contract now.
    """

    name: str
    possible: int = 0
    mutants: tuple[JudgedMutant, ...] = ()
    unmeasured: str = ""

    def count(self, *fates: Fate) -> int:
        """How many mutants had one of these fates."""
        return sum(mutant.fate in fates for mutant in self.mutants)

    @property
    def killed(self) -> int:
        """Mutants that did not pass."""
        return self.count(Fate.KILLED, Fate.TIMED_OUT)

    @property
    def survived(self) -> int:
        """Mutants that passed and do something else."""
        return self.count(Fate.SURVIVED)


@dataclass(frozen=True, slots=True, kw_only=True)
class StrengthReport:
    """How strong the contracts are."""

    functions: tuple[FunctionStrength, ...]

    @property
    def score(self) -> float | None:
        """Killed mutants as a share of those that differ; None where there are none."""
        killed = sum(one.killed for one in self.functions)
        survived = sum(one.survived for one in self.functions)
        return killed / (killed + survived) if killed + survived else None

    @property
    def is_complete(self) -> bool:
        """Whether there was something to measure, and all of it was."""
        return bool(self.functions) and not any(one.unmeasured for one in self.functions)

    def to_dict(self) -> dict[str, object]:
        """The report as plain JSON data."""
        return {
            "score": self.score,
            "complete": self.is_complete,
            "functions": [
                {
                    "name": one.name,
                    "killed": one.killed,
                    "timed_out": one.count(Fate.TIMED_OUT),
                    "survived": one.survived,
                    "probably_equivalent": one.count(Fate.EQUIVALENT),
                    "possible": one.possible,
                    "unmeasured": one.unmeasured,
                    "mutants": [asdict(mutant) for mutant in one.mutants],
                }
                for one in self.functions
            ],
        }
