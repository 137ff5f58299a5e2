"""What an agent can have done in one project, each with its arguments and its answer.

Nothing here takes a path: an agent names methods, rules and codes, or sends text. Whatever computes
runs in a thread, one call at a time, so that the server goes on answering.
"""

from __future__ import annotations

import asyncio
import difflib
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, ClassVar, Final

import msgspec

from lattice_lock.checking import CheckReport, check_workspace, failed_verdicts, open_cache
from lattice_lock.core.compiler import compile_lattice
from lattice_lock.core.loader import parse_lattice
from lattice_lock.core.workspace import Workspace, open_workspace
from lattice_lock.exceptions import (
    CompileError,
    GauntletError,
    LatticeError,
    ProjectError,
    UsageError,
)
from lattice_lock.gauntlet.contracts import run_project
from lattice_lock.mcp.pages import explanation
from lattice_lock.mcp.patch import apply_patch
from lattice_lock.sheriff.reports.text import render_violation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lattice_lock.core.project import Project
    from lattice_lock.exceptions import Problem
    from lattice_lock.gauntlet.verdict import GauntletReport

__all__ = [
    "Answer",
    "CheckArguments",
    "CompileArguments",
    "ExplainArguments",
    "ProjectTools",
    "ProposalArguments",
    "RunContractArguments",
]

_MAX_SHOWN: Final = 50
"""Findings of one kind that an answer holds; mending these comes before reading more."""

_MAX_TEXT: Final = 1024 * 1024
"""Characters of a proposed lattice or diff; a lattice may have as many bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a call came to: text to act on, and the same as plain data."""

    text: str
    data: Mapping[str, object]


class _Arguments(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every tool's arguments; their JSON Schema is what an agent is told."""


class CheckArguments(_Arguments, frozen=True, kw_only=True):
    """Checking takes none."""


class CompileArguments(_Arguments, frozen=True, kw_only=True):
    """How to compile."""

    check_only: Annotated[
        bool, msgspec.Meta(description="Write nothing; only list the files that would change.")
    ] = False


class ExplainArguments(_Arguments, frozen=True, kw_only=True):
    """What to explain."""

    name: Annotated[
        str,
        msgspec.Meta(
            min_length=1,
            max_length=100,
            description="A rule (`forbidden-import`, `LLS001`) or an error code (`LL-102`).",
        ),
    ]


class ProposalArguments(_Arguments, frozen=True, kw_only=True):
    """A lattice as it might become, whole or as a diff."""

    lattice: Annotated[
        str | None, msgspec.Meta(description="The whole new text of the lattice.")
    ] = None
    patch: Annotated[
        str | None, msgspec.Meta(description="A unified diff against the lattice as it is now.")
    ] = None


class RunContractArguments(_Arguments, frozen=True, kw_only=True):
    """Which method to judge."""

    method: Annotated[
        str,
        msgspec.Meta(
            pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}\.[A-Za-z_][A-Za-z0-9_]{0,99}$",
            description="The method, as `Interface.method`.",
        ),
    ]


class ProjectTools:
    """The tools of one project.

    Args:
        project: where it is on disk.
        allow_unsandboxed: run implementations unconfined where nothing here confines them.
        timeout_s: seconds after which checking is given up.
    """

    SEED: ClassVar[int] = 0

    def __init__(
        self, project: Project, *, allow_unsandboxed: bool = False, timeout_s: float = 600.0
    ) -> None:
        self._project: Final = project
        self._allow_unsandboxed: Final = allow_unsandboxed
        self._timeout_s: Final = timeout_s
        self._turn: Final = asyncio.Lock()

    async def workspace(self) -> Workspace:
        """The project as it is on disk now; see `open_workspace` for what it raises."""
        return await asyncio.to_thread(open_workspace, self._project.lattice_path)

    async def lattice_text(self) -> str:
        """The lattice as it is on disk now.

        Raises:
            ProjectError: it is gone or not UTF-8.
        """
        return await asyncio.to_thread(self._lattice_text)

    async def check(self, _: CheckArguments) -> Answer:
        """Drift, violations and refuted contracts.

        Raises:
            LatticeLockError: the project could not be checked.
        """
        async with self._turn:
            try:
                async with asyncio.timeout(self._timeout_s):
                    workspace = await self.workspace()
                    report = await check_workspace(
                        workspace,
                        seed=self.SEED,
                        today=datetime.now(UTC).date(),
                        allow_unsandboxed=self._allow_unsandboxed,
                        cache=await asyncio.to_thread(open_cache, self._project.root),
                    )
            except TimeoutError as error:
                raise GauntletError(
                    f"Checking was given up after {self._timeout_s:g} seconds.",
                    hint="Judge one method at a time with `run_contract`.",
                ) from error
        return _check_answer(report)

    async def compile(self, arguments: CompileArguments) -> Answer:
        """The files that were written, or would be.

        Raises:
            LatticeLockError: nothing could be compiled or written; every file is as it was.
        """
        async with self._turn:
            return await asyncio.to_thread(self._compile, check_only=arguments.check_only)

    async def explain(self, arguments: ExplainArguments) -> Answer:
        """The page of a rule or of an error code.

        Raises:
            UsageError: there is no such rule or code.
        """
        page = await asyncio.to_thread(explanation, arguments.name)
        return Answer(text=page, data={"name": arguments.name, "page": page})

    async def propose_lattice_change(self, arguments: ProposalArguments) -> Answer:
        """The diff to the proposed lattice, and everything that is wrong with it; writes nothing.

        Raises:
            UsageError: not exactly one of both forms, too long, or a diff that does not fit.
        """
        given = [text for text in (arguments.lattice, arguments.patch) if text is not None]
        if len(given) != 1:
            raise UsageError("Give either `lattice`, the whole text, or `patch`, a unified diff.")
        if len(given[0]) > _MAX_TEXT:
            raise UsageError(f"The proposal is longer than {_MAX_TEXT} characters.")
        async with self._turn:
            return await asyncio.to_thread(self._propose, arguments)

    async def run_contract(self, arguments: RunContractArguments) -> Answer:
        """The verdict on one method.

        Raises:
            LatticeLockError: there is no such method, or it could not be judged.
        """
        async with self._turn:
            reports = await run_project(
                await self.workspace(),
                (arguments.method,),
                seed=self.SEED,
                allow_unsandboxed=self._allow_unsandboxed,
            )
        failures = _failures(reports)
        passed = all(report.passed for report in reports.values())
        examples = sum(one.examples for report in reports.values() for one in report.verdicts)
        verdict = f"`{arguments.method}` keeps its contract in {examples} examples."
        if not passed:
            verdict = f"`{arguments.method}` does not keep its contract."
        return Answer(
            text="\n\n".join([verdict, *failures]),
            data={
                "passed": passed,
                "gauntlet": {name: report.to_dict() for name, report in reports.items()},
            },
        )

    def _compile(self, *, check_only: bool) -> Answer:
        project = self._project
        if check_only:
            workspace = open_workspace(project.lattice_path)
            planned = workspace.plan()
            changed = tuple(name for name, new in planned.items() if project.read_text(name) != new)
        else:
            with project.exclusive():
                workspace = open_workspace(project.lattice_path)
                changed = project.write_files(workspace.plan())
        lines = [f"warning: {problem}" for problem in workspace.compilation.warnings]
        if not changed:
            lines.append("Everything is up to date.")
        else:
            count = f"{len(changed)} files"
            lines.append(f"{count} would change:" if check_only else f"Changed {count}:")
            lines += changed
        return Answer(
            text="\n".join(lines),
            data={
                "written": not check_only,
                "changed": changed,
                "warnings": [_problem(problem) for problem in workspace.compilation.warnings],
            },
        )

    def _propose(self, arguments: ProposalArguments) -> Answer:
        file = self._project.lattice_path.name
        now = self._lattice_text()
        new = arguments.lattice
        if new is None:
            new = apply_patch(now, arguments.patch or "", file=file)
        problems: Sequence[Problem] = ()
        warnings: Sequence[Problem] = ()
        try:
            warnings = compile_lattice(parse_lattice(new, file=file)).warnings
        except (LatticeError, CompileError) as error:
            problems = error.problems
        diff = "\n".join(
            difflib.unified_diff(
                now.splitlines(), new.splitlines(), f"a/{file}", f"b/{file}", lineterm=""
            )
        )
        verdict = f"The proposed lattice cannot be used: {len(problems)} problems."
        if not problems:
            verdict = "The proposed lattice loads and compiles. Nothing was written."
        return Answer(
            text="\n\n".join(
                [
                    verdict,
                    *map(str, problems),
                    *(f"warning: {warning}" for warning in warnings),
                    diff or "It is the lattice as it is now.",
                ]
            ),
            data={
                "valid": not problems,
                "problems": [_problem(problem) for problem in problems],
                "warnings": [_problem(warning) for warning in warnings],
                "diff": diff,
            },
        )

    def _lattice_text(self) -> str:
        path = self._project.lattice_path
        text = self._project.read_text(path.name)
        if text is None:
            raise ProjectError(f"`{path.name}` is gone or is not UTF-8 text.")
        return text


def _check_answer(report: CheckReport) -> Answer:
    drift, violations = report.drift, report.sheriff.violations
    failed = failed_verdicts(report.gauntlet)
    parts = [
        report.summary,
        *_shown([f"{one.path}: {one.message}.\n  hint: {one.hint}" for one in drift], "drifts"),
        *_shown([render_violation(one) for one in violations], "violations"),
        *_shown(_failures(report.gauntlet), "contract tests that did not pass"),
    ]
    return Answer(
        text="\n\n".join(parts),
        data={
            "passed": report.passed,
            "reused": report.reused,
            "drift": [asdict(one) for one in drift[:_MAX_SHOWN]],
            "violations": [one.to_dict() for one in violations[:_MAX_SHOWN]],
            "verdicts": [
                {"interface": name, **asdict(verdict)} for name, verdict in failed[:_MAX_SHOWN]
            ],
            "counts": {
                "files": report.sheriff.files_checked,
                "drift": len(drift),
                "violations": len(violations),
                "verdicts": len(failed),
            },
        },
    )


def _shown(findings: list[str], what: str) -> list[str]:
    more = len(findings) - _MAX_SHOWN
    return [*findings[:_MAX_SHOWN], *([f"... and {more} more {what}."] if more > 0 else [])]


def _failures(reports: Mapping[str, GauntletReport]) -> list[str]:
    texts = []
    for name, verdict in failed_verdicts(reports):
        text = f"{name}.{verdict.method} {verdict.outcome.value}: {verdict.message}"
        if verdict.counterexample:
            text += f"\n  with {verdict.counterexample}"
        if verdict.suggestion:
            text += f"\n  -> {verdict.suggestion}"
        texts.append(text)
    return texts


def _problem(problem: Problem) -> dict[str, object]:
    place = problem.location
    return {
        "file": place.file,
        "line": place.line,
        "column": place.column,
        "message": problem.message,
        "hint": problem.hint,
    }
