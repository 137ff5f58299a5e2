"""One project as an editor's files are checked against it."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final, NamedTuple

from lattice_lock.core.compiler import compile_lattice
from lattice_lock.core.loader import parse_lattice
from lattice_lock.core.project import LATTICE_NAME, Project
from lattice_lock.core.workspace import open_workspace
from lattice_lock.exceptions import CompileError, LatticeError, LatticeLockError
from lattice_lock.sheriff.audit import expire
from lattice_lock.sheriff.baseline import Baseline, load_baseline
from lattice_lock.sheriff.checker import (
    SheriffContext,
    SheriffReport,
    check_project,
    examine_source,
)
from lattice_lock.sheriff.files import ProjectFiles
from lattice_lock.sheriff.repair import mend_content

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lattice_lock.core.schema import Interface
    from lattice_lock.exceptions import Problem
    from lattice_lock.sheriff.rule import Violation

__all__ = ["GovernedProject", "LatticeProblems", "find_root", "lattice_problems"]


class LatticeProblems(NamedTuple):
    """What is wrong with a text of a lattice, and what might be better."""

    errors: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


def find_root(path: Path) -> Path | None:
    """The nearest folder around a file that holds a lattice; None where no project does."""
    return next((each for each in path.parents if (each / LATTICE_NAME).is_file()), None)


def lattice_problems(text: str) -> LatticeProblems:
    """What loading and compiling a lattice with this text would say."""
    try:
        lattice = parse_lattice(text, file=LATTICE_NAME)
        return LatticeProblems(warnings=tuple(compile_lattice(lattice).warnings))
    except (LatticeError, CompileError) as error:
        return LatticeProblems(errors=error.problems)


class GovernedProject:
    """What is known of a project since its lattice was last read; used by one thread at a time.

    Attributes:
        failure: why the project cannot be read now, None where it can; what was known stays.
    """

    def __init__(self, root: Path) -> None:
        root = root.resolve()
        self._project: Final = Project(root=root, lattice_path=root / LATTICE_NAME)
        self._context: SheriffContext | None = None
        self._baseline: Baseline = Baseline({})
        self.failure: LatticeLockError | None = None
        self.reload()

    def reload(self) -> None:
        """Read the lattice anew, and what files hand on to each other."""
        try:
            workspace = open_workspace(self._project.root)
            context = SheriffContext(lattice=workspace.lattice, generated=workspace.generated)
            self._baseline = load_baseline(self._project.root)
            self._context = self._informed(context)
            self.failure = None
        except LatticeLockError as error:
            self.failure = error

    def refresh(self) -> None:
        """See what files hand on to each other now that one of them has changed on disk."""
        if self._context is not None and self._context.lattice.config.forbidden_imports:
            try:
                self._context = self._informed(self._context)
            except LatticeLockError as error:
                self.failure = error

    def _informed(self, context: SheriffContext) -> SheriffContext:
        if not context.lattice.config.forbidden_imports:
            return context
        root = self._project.root
        report = check_project(root, context, cache=root / ".lattice-lock" / "cache")
        return dataclasses.replace(context, reexports=report.reexports)

    def check(self, path: Path, text: str) -> tuple[Violation, ...]:
        """What is reported in a file whose text need not be on disk; nothing for other files."""
        relative = self._relative(path)
        if self._context is None or relative is None:
            return ()
        found = examine_source(self._context.source_file(relative, text), self._context)
        report = SheriffReport(
            violations=found.violations, suppressions=found.suppressions, files_checked=1
        )
        return self._reported(report).violations

    def mended(self, path: Path, text: str) -> str:
        """The text after every certain fix of what is reported."""
        relative = self._relative(path)
        if self._context is None or relative is None:
            return text
        return mend_content(relative, text.encode(), self._context, self._reported)[0].decode()

    def _reported(self, report: SheriffReport) -> SheriffReport:
        today = datetime.now(UTC).date()
        return self._baseline.apply(expire(report, today=today), whole=False)[0]

    def interfaces(self, path: Path) -> tuple[Interface, ...]:
        """The interfaces that a file implements."""
        relative = self._relative(path)
        known: Mapping[str, Interface] = self._context.lattice.interfaces if self._context else {}
        return tuple(each for each in known.values() if each.file == relative)

    def _relative(self, path: Path) -> str | None:
        """The path in the project, None for a file that Sheriff does not look at."""
        resolved = path.parent.resolve() / path.name
        if self._context is None or not resolved.is_relative_to(self._project.root):
            return None
        relative = resolved.relative_to(self._project.root).as_posix()
        files = ProjectFiles(
            self._project.root, source_root=self._context.lattice.config.source_root
        )
        folders = PurePosixPath(relative).parents
        return (
            None if any(files.is_skipped(folder) for folder in folders if folder.name) else relative
        )
