"""Add what symbolic execution finds to what the ordinary search has found.

The engine runs the untrusted code in its own, confined process, so it is not believed: an input
that it proposes counts only when the ordinary judge sees the contract broken by it. Nothing that
the engine says, or fails to say, changes an ordinary verdict.
"""

from __future__ import annotations

import asyncio
import importlib.util
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from lattice_lock.exceptions import UsageError
from lattice_lock.gauntlet.attached import explore_function, judge_files, replay_input
from lattice_lock.gauntlet.verdict import Outcome, TestVerdict, printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lattice_lock.gauntlet.attached import ContractFile, Target
    from lattice_lock.gauntlet.verdict import GauntletReport

__all__ = ["ensure_engine", "judge_files_symbolically"]

_AT_ONCE: Final = 2
_EXPLORE_S: Final = 5.0
_TEST: Final = "symbolic"


def ensure_engine() -> None:
    """Make sure that the symbolic engine is installed.

    Raises:
        UsageError: it is not.
    """
    if importlib.util.find_spec("crosshair") is None:
        raise UsageError(
            "the symbolic engine is not installed",
            hint="Install the extra `symbolic`: `pip install 'lattice-lock[symbolic]'`.",
        )


async def judge_files_symbolically(
    files: Sequence[ContractFile],
    *,
    seed: int,
    explore_s: float = _EXPLORE_S,
    allow_unsandboxed: bool = False,
) -> Mapping[str, GauntletReport]:
    """Judge as `judge_files` does, then look into what passed with the symbolic engine.

    A counterexample that was confirmed, and a failure of the engine, are verdicts of their own
    after the ordinary ones; their `test` is `symbolic`.

    Args:
        files: what to judge.
        seed: seed of the ordinary search.
        explore_s: seconds of processor time for each function.
        allow_unsandboxed: run even where nothing confines the code.

    Raises:
        UsageError: the engine is not installed.
        SandboxUnavailableError: nothing here confines the code.
    """
    await asyncio.to_thread(ensure_engine)
    reports = await judge_files(files, seed=seed, allow_unsandboxed=allow_unsandboxed)
    gate = asyncio.Semaphore(_AT_ONCE)

    async def look(file: ContractFile, target: Target) -> tuple[TestVerdict | None, str]:
        async with gate:
            return await _look(
                file, target, seed=seed, explore_s=explore_s, allow_unsandboxed=allow_unsandboxed
            )

    found: dict[str, GauntletReport] = {}
    for file in files:
        report = reports[str(file.path)]
        passed = {one.method for one in report.verdicts if one.outcome is Outcome.PASSED}
        async with asyncio.TaskGroup() as group:
            tasks = {
                target.name: group.create_task(look(file, target))
                for target in file.targets
                if target.name in passed
            }
        answers = {name: task.result() for name, task in tasks.items()}
        ordinary = [_remarked(one, answers.get(one.method)) for one in report.verdicts]
        added = [verdict for verdict, _ in answers.values() if verdict is not None]
        found[str(file.path)] = replace(report, verdicts=(*ordinary, *added))
    return found


def _remarked(verdict: TestVerdict, answer: tuple[TestVerdict | None, str] | None) -> TestVerdict:
    if answer is None or not answer[1]:
        return verdict
    lines = filter(None, [verdict.message, f"symbolic engine: {answer[1]}"])
    return replace(verdict, message="\n".join(lines))


async def _look(
    file: ContractFile, target: Target, *, seed: int, explore_s: float, allow_unsandboxed: bool
) -> tuple[TestVerdict | None, str]:
    """A verdict to add, None for none, and a remark on the ordinary one."""
    answer = await explore_function(
        file, target.name, explore_s=explore_s, seed=seed, allow_unsandboxed=allow_unsandboxed
    )
    if "unknown" in answer:
        return None, printable(str(answer["unknown"]))
    if "message" in answer:
        message = printable(f"the symbolic engine failed: {answer['message']}")
        error = TestVerdict(test=_TEST, method=target.name, outcome=Outcome.ERROR, message=message)
        return error, ""
    paths, inputs = int(answer["paths"]), [str(one) for one in answer["inputs"]]
    for proposed in inputs:
        verdict = await replay_input(
            file, target, proposed, seed=seed, allow_unsandboxed=allow_unsandboxed
        )
        if verdict.outcome is Outcome.REFUTED:
            return replace(verdict, test=_TEST, examples=paths), ""
    unconfirmed = f", {len(inputs)} proposed inputs not confirmed" if inputs else ""
    return None, f"nothing found on {paths} paths{unconfirmed}"
