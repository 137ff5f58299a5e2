"""What the Gauntlet found out, as values."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Final

__all__ = ["ANY_METHOD", "GauntletReport", "Outcome", "TestVerdict", "printable"]

ANY_METHOD: Final = "*"
"""What stands for the method of a test that calls the methods of one object in any order."""


def printable(text: str) -> str:
    """The text with control characters made visible, so that it cannot steer a terminal."""
    return "".join(
        character if character.isprintable() or character in "\n\t" else ascii(character)[1:-1]
        for character in text
    )


class Outcome(StrEnum):
    """How one contract test ended."""

    PASSED = "passed"
    """Every example held, and there was at least one."""
    REFUTED = "refuted"
    """The implementation broke the contract, or did something that the sandbox forbids."""
    VACUOUS = "vacuous"
    """No example reached the implementation, so nothing was tested."""
    ERROR = "error"
    """The test itself could not be run to its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TestVerdict:
    """How one contract test ended, and why.

    Attributes:
        test: name of the test function.
        method: the method that it is about, `ANY_METHOD` for one that calls several.
        examples: inputs, or sequences of calls, for which the test called the method and ran to
            its end.
        message: what was wrong, readable for whoever mends the code; empty when passed.
        counterexample: the smallest input found that breaks the contract, as keyword arguments in
            Python notation, or the shortest sequence of calls, one a line; None where there is no
            such input.
        clause: path of the broken clause in the lattice, where the message names one.
        suggestion: what to do about it; empty when passed.
        calls: the calls of that sequence, and those of dependencies, indented, each with what it
            answered.
    """

    __test__ = False  # the name makes pytest take this class for a test case

    test: str
    method: str
    outcome: Outcome
    examples: int = 0
    message: str = ""
    counterexample: str | None = None
    clause: str | None = None
    suggestion: str = ""
    calls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GauntletReport:
    """What all contract tests of one interface said.

    Attributes:
        verdicts: one for each expected test, in the order in which they were expected.
        sandbox: name of the sandbox that held the implementation; `none` without one.
        seed: the seed that repeats this run.
        duration_s: seconds from start to end, including the start of the processes.
    """

    verdicts: tuple[TestVerdict, ...]
    sandbox: str
    seed: int
    duration_s: float

    @property
    def passed(self) -> bool:
        """Whether every expected test passed; a report without tests has not passed."""
        return bool(self.verdicts) and all(
            verdict.outcome is Outcome.PASSED for verdict in self.verdicts
        )

    @property
    def outcome(self) -> Outcome:
        """What to say of all tests together.

        A contract that is broken comes before a test that could not be run, for that is what can
        be mended; without tests, nothing was tested.
        """
        outcomes = {verdict.outcome for verdict in self.verdicts}
        gravest = (Outcome.REFUTED, Outcome.ERROR, Outcome.VACUOUS, Outcome.PASSED)
        return next((one for one in gravest if one in outcomes), Outcome.VACUOUS)

    def to_dict(self) -> dict[str, object]:
        """The report as plain JSON data."""
        return {
            **asdict(self),
            "passed": self.passed,
            "outcome": self.outcome,
            "verdicts": [asdict(v) for v in self.verdicts],
        }
