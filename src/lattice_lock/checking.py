"""Everything that `check` looks at, for the command line and for coding agents alike.

What was found is kept in the user's own folders and used again where nothing that it depends on has
changed. What is kept in the project itself is not trusted: whoever is checked can write there.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import platformdirs

from lattice_lock.core.drift import Drift, DriftKind
from lattice_lock.core.seals import load_seal_key
from lattice_lock.gauntlet.contracts import contract_request, declared_methods, run_project
from lattice_lock.gauntlet.dependencies import trace
from lattice_lock.gauntlet.verdict import Outcome
from lattice_lock.gauntlet.verdict_cache import VerdictCache
from lattice_lock.sheriff.audit import expire, limit
from lattice_lock.sheriff.baseline import HeldBack, load_baseline
from lattice_lock.sheriff.checker import SheriffContext, SheriffReport, check_project

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date
    from pathlib import Path

    from lattice_lock.core.workspace import Workspace
    from lattice_lock.gauntlet.dependencies import Traced
    from lattice_lock.gauntlet.runner import GauntletRequest
    from lattice_lock.gauntlet.verdict import GauntletReport, TestVerdict

__all__ = ["CheckCache", "CheckReport", "check_workspace", "failed_verdicts", "open_cache"]

_APPLICATION: Final = "lattice-lock"
_MAX_PROJECTS: Final = 32
"""Projects whose static results are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """What was found in a project.

    Attributes:
        drift: what no longer agrees with the lock, without what Sheriff reports as well.
        held_back: what the project's baseline kept out of Sheriff's report.
        gauntlet: interface name to its report.
        reused: interfaces whose verdict is that of an earlier check.
    """

    drift: tuple[Drift, ...]
    sheriff: SheriffReport
    held_back: HeldBack
    gauntlet: Mapping[str, GauntletReport]
    reused: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing was found, and every contract was judged and kept."""
        judged = all(report.passed for report in self.gauntlet.values())
        return not self.drift and self.sheriff.is_clean and judged

    @property
    def summary(self) -> str:
        """One sentence with all counts."""
        counts = (
            f"{self.sheriff.files_checked} files, {len(self.drift)} drifted,"
            f" {len(self.sheriff.violations)} violations,"
            f" {len(failed_verdicts(self.gauntlet))} contract tests not passed"
        )
        return f"{'Everything holds' if self.passed else 'Not everything holds'}: {counts}."


def failed_verdicts(reports: Mapping[str, GauntletReport]) -> list[tuple[str, TestVerdict]]:
    """Every verdict that is not a pass, with its interface."""
    return [
        (name, verdict)
        for name, report in reports.items()
        for verdict in report.verdicts
        if verdict.outcome is not Outcome.PASSED
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckCache:
    """What earlier checks found, outside the project.

    Attributes:
        static: folder of Sheriff's results for this project.
        verdicts: passes of contracts.
        key: seals both.
    """

    static: Path
    verdicts: VerdictCache
    key: bytes


def open_cache(root: Path) -> CheckCache | None:
    """The cache for the project at `root`; None where nothing can be kept out of its reach."""
    folder = platformdirs.user_cache_path(_APPLICATION, appauthor=False).resolve()
    data = platformdirs.user_data_path(_APPLICATION, appauthor=False).resolve()
    if folder.is_relative_to(root) or data.is_relative_to(root):
        return None
    key = load_seal_key(data)
    if key is None:
        return None
    name = hashlib.blake2b(os.fsencode(root), digest_size=16).hexdigest()
    return CheckCache(
        static=folder / "sheriff" / name,
        verdicts=VerdictCache(folder / "verdicts", key),
        key=key,
    )


async def check_workspace(
    workspace: Workspace,
    *,
    seed: int,
    today: date,
    allow_unsandboxed: bool = False,
    cache: CheckCache | None = None,
    on_judging: Callable[[Sequence[str]], None] | None = None,
) -> CheckReport:
    """What is found in a project; writes nothing into it.

    Args:
        workspace: the project as it is now.
        seed: of the generated inputs.
        today: the day that decides which suppressions have expired.
        allow_unsandboxed: run implementations unconfined where nothing here confines them.
        cache: what was found before, and where to keep what is found now; None checks everything.
        on_judging: told the interfaces that have to be judged, before they are.

    Raises:
        LatticeLockError: the project could not be checked.
    """
    drift, sheriff, held_back = await asyncio.to_thread(_check_files, workspace, today, cache)
    requests = {
        name: contract_request(
            workspace,
            name,
            seed=seed,
            methods=declared_methods(workspace, (name,))[name],
            allow_unsandboxed=allow_unsandboxed,
        )
        for name in workspace.compilation.contracts
    }
    known, before = await asyncio.to_thread(_recall, requests, cache)
    judged: Mapping[str, GauntletReport] = {}
    if before:
        if on_judging is not None:
            on_judging(tuple(before))
        judged = await run_project(
            workspace, tuple(before), seed=seed, allow_unsandboxed=allow_unsandboxed
        )
    if cache is not None:
        for name, report in judged.items():
            await asyncio.to_thread(cache.verdicts.keep, requests[name], report, before[name])
    return CheckReport(
        drift=drift,
        sheriff=sheriff,
        held_back=held_back,
        gauntlet={name: known.get(name) or judged[name] for name in requests},
        reused=tuple(known),
    )


def _check_files(
    workspace: Workspace, today: date, cache: CheckCache | None
) -> tuple[tuple[Drift, ...], SheriffReport, HeldBack]:
    root = workspace.project.root
    context = SheriffContext(lattice=workspace.lattice, generated=workspace.generated)
    if cache is None:
        report = check_project(root, context)
    else:
        report = check_project(root, context, cache=cache.static, cache_key=cache.key)
        _forget_projects(cache.static)
    found, held_back = load_baseline(root).apply(expire(report, today=today), whole=True)
    sheriff = limit(found, workspace.lattice.config.max_suppressions)
    # Sheriff reports generated files too, with the first line that differs.
    reported = {violation.file for violation in sheriff.violations}
    drift = tuple(
        one
        for one in workspace.drift()
        if one.kind is not DriftKind.GENERATED or one.path not in reported
    )
    return drift, sheriff, held_back


def _recall(
    requests: Mapping[str, GauntletRequest], cache: CheckCache | None
) -> tuple[dict[str, GauntletReport], dict[str, Traced | None]]:
    """Verdicts that still count, and for all others what theirs will depend on."""
    if cache is None:
        return {}, dict.fromkeys(requests)
    known: dict[str, GauntletReport] = {}
    before: dict[str, Traced | None] = {}
    for name, request in requests.items():
        report = cache.verdicts.find(request)
        if report is None:
            before[name] = trace(request)
        else:
            known[name] = report
    return known, before


def _forget_projects(current: Path) -> None:
    """Delete the static results of projects that were not checked for longest."""
    with contextlib.suppress(OSError):  # a cache that grows is no reason to fail
        os.utime(current)
        folders = sorted(current.parent.iterdir(), key=lambda folder: folder.stat().st_mtime_ns)
        for folder in folders[:-_MAX_PROJECTS]:
            shutil.rmtree(folder, ignore_errors=True)
