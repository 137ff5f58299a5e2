"""How strong contracts are: which small mistakes in a right body they would let through.

Mutants of each function are judged like any implementation: in the sandbox, by the same tests. One
that passes has survived, and shows what no clause speaks of. It is then compared with the original
on the inputs of the contract; where no input tells them apart, the two probably do the same, and
the mutant counts for nothing. Nothing on disk is changed.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from lattice_lock.gauntlet._mutants import make_mutants
from lattice_lock.gauntlet._strength_files import functions_of_files
from lattice_lock.gauntlet._strength_lattice import functions_of_project
from lattice_lock.gauntlet._strength_values import (
    Fate,
    FunctionStrength,
    JudgedMutant,
    StrengthOptions,
    StrengthReport,
)
from lattice_lock.gauntlet.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lattice_lock.core.workspace import Workspace
    from lattice_lock.gauntlet._differences import Difference
    from lattice_lock.gauntlet._mutants import Mutant
    from lattice_lock.gauntlet._strength_values import Comparison, Subject
    from lattice_lock.gauntlet.attached import ContractFile
    from lattice_lock.gauntlet.verdict import TestVerdict

__all__ = [
    "Fate",
    "FunctionStrength",
    "JudgedMutant",
    "StrengthOptions",
    "StrengthReport",
    "is_too_slow",
    "measure_files",
    "measure_project",
]

_TOO_SLOW: Final = re.compile(
    r"did not answer within|was too slow|took longer than|was not done after|processor time"
)
_MUTANT_TIMEOUT_S: Final = 20.0
_SLOWER: Final = 4  # than the original, which may need its time
_TOLD_EVERY: Final = 10
_BRACKETS: Final = re.compile(r"\[[^\]]*\]")
_WORDS: Final = re.compile(r"[A-Za-z_]\w*")


async def measure_project(
    workspace: Workspace,
    names: Sequence[str],
    options: StrengthOptions,
    *,
    notify: Callable[[str], None],
) -> StrengthReport:
    """Measure the contracts of the named methods, all for none.

    Raises:
        UsageError: a name is not in the lattice, or there is no implementation.
        SandboxUnavailableError: nothing here confines the code.
    """
    found = functions_of_project(workspace, names, options)
    return await _measure(await asyncio.to_thread(tuple, found), options, notify)


async def measure_files(
    files: Sequence[ContractFile], options: StrengthOptions, *, notify: Callable[[str], None]
) -> StrengthReport:
    """Measure the contracts that stand beside functions.

    Raises:
        SandboxUnavailableError: nothing here confines the code.
    """
    found = functions_of_files(files, options)
    return await _measure(await asyncio.to_thread(tuple, found), options, notify)


async def _measure(
    subjects: Sequence[Subject], options: StrengthOptions, notify: Callable[[str], None]
) -> StrengthReport:
    bench = _Bench(options, notify, functions=len(subjects))
    try:
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(bench.measure(subject)) for subject in subjects]
    except ExceptionGroup as group:  # what stops one stops the others, and the first says why
        raise _first(group) from group
    return StrengthReport(functions=tuple(task.result() for task in running))


def _first(group: ExceptionGroup) -> Exception:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, ExceptionGroup) else first


@dataclass(slots=True)
class _Bench:
    """Judges mutants, so many at a time."""

    options: StrengthOptions
    notify: Callable[[str], None]
    functions: int = field(kw_only=True)
    _judged: int = 0
    _done: int = 0
    _functions_gate: asyncio.Semaphore = field(init=False)
    _gate: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        at_once = self.options.at_once or os.cpu_count() or 1
        self._functions_gate = asyncio.Semaphore(at_once)  # else all mutants are made at once
        self._gate = asyncio.Semaphore(at_once)

    async def measure(self, subject: Subject) -> FunctionStrength:
        async with self._functions_gate:
            started = time.monotonic()
            async with self._gate:
                verdicts = await subject.judge(subject.text)
            timeout_s = max(_MUTANT_TIMEOUT_S, _SLOWER * (time.monotonic() - started))
            problem = _why_not_right(verdicts)
            if problem:
                return FunctionStrength(name=subject.name, unmeasured=problem)
            made = make_mutants(subject.text, subject.function, most=self.options.most)
            judged: tuple[JudgedMutant, ...] = ()
            if made.chosen:
                async with asyncio.TaskGroup() as group:
                    tasks = [
                        group.create_task(self._try(subject, one, timeout_s)) for one in made.chosen
                    ]
                judged = tuple(task.result() for task in tasks)
            self._done += 1
            return FunctionStrength(name=subject.name, possible=made.possible, mutants=judged)

    async def _try(self, subject: Subject, mutant: Mutant, timeout_s: float) -> JudgedMutant:
        async with self._gate:
            verdicts = await subject.judge(mutant.text, timeout_s)
        failed = [one for one in verdicts if one.outcome is not Outcome.PASSED]
        found = JudgedMutant(
            file=subject.file,
            line=mutant.line,
            operator=mutant.operator,
            diff=mutant.diff,
            fate=Fate.KILLED,
        )
        if failed:
            fate = Fate.TIMED_OUT if all(map(is_too_slow, failed)) else Fate.KILLED
            result = replace(found, fate=fate, reason=failed[0].message.partition("\n")[0])
        else:
            async with self._gate:
                comparison = await subject.compare(mutant.text)
            result = _passed(found, comparison, subject)
        self._judged += 1
        if not self._judged % _TOLD_EVERY:
            done = f"{self._done} of {self.functions} functions done"
            self.notify(f"{self._judged} mutants judged, {done} ...")
        return result


def is_too_slow(verdict: TestVerdict) -> bool:
    """Whether a verdict is that something did not come to an end."""
    return _TOO_SLOW.search(verdict.message) is not None


def _why_not_right(verdicts: Sequence[TestVerdict]) -> str:
    """Why mutants of a function would tell nothing; empty where it keeps its contract."""
    if not verdicts:
        return "no contract judges it"
    for verdict in verdicts:
        if verdict.outcome is not Outcome.PASSED:
            return f"it is {_SAID[verdict.outcome]} as it is: {verdict.message}"
    return ""


_SAID: Final = {
    Outcome.REFUTED: "refuted",
    Outcome.VACUOUS: "not tested",
    Outcome.ERROR: "not judged",
}


def _passed(found: JudgedMutant, comparison: Comparison, subject: Subject) -> JudgedMutant:
    """A mutant that passed, with what its author wants to know."""
    difference = comparison.difference
    if difference is not None:
        return replace(
            found,
            fate=Fate.SURVIVED,
            reason=_missing(difference, subject),
            counterexample=comparison.shown_input,
            difference=difference,
        )
    if comparison.unknown:
        reason = f"It passes; whether it is equivalent is unknown: {comparison.unknown}"
        return replace(found, fate=Fate.SURVIVED, reason=reason)
    return replace(found, fate=Fate.EQUIVALENT, reason="No input was found that tells them apart.")


def _missing(difference: Difference, subject: Subject) -> str:
    """Which clause would have killed a mutant."""
    name = subject.function
    if difference.what == "exception":
        raised = [one for one in (difference.original, difference.mutant) if one != "None"]
        return f"No clause of `{name}` says when {' or '.join(raised)} comes, and when it does not."
    subject_name = _BRACKETS.sub("", difference.what)
    last = _WORDS.findall(subject_name)[-1]
    about = [f"`{one}`" for one in subject.clauses if last in _WORDS.findall(one)]
    if not about:
        return f"No clause of `{name}` speaks of `{difference.what}`."
    return f"Both are allowed by what `{name}` says of `{last}`: {', '.join(about)}."
