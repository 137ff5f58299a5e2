"""Everything about one governed project, loaded once: lattice, compilation and lock."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lattice_lock.core.compiler import compile_lattice
from lattice_lock.core.drift import find_drift, load_lock, plan_files
from lattice_lock.core.loader import load_lattice
from lattice_lock.core.lockfile import text_digest
from lattice_lock.core.project import find_project

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lattice_lock.core.compiler import Compilation
    from lattice_lock.core.drift import Drift
    from lattice_lock.core.lockfile import Acceptance, LockFile
    from lattice_lock.core.project import Project
    from lattice_lock.core.schema import Lattice

__all__ = ["Workspace", "open_workspace"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """A project with its lattice, what the lattice compiles to, and the lock (None at first)."""

    project: Project
    lattice: Lattice
    compilation: Compilation
    lock: LockFile | None

    @property
    def source_root(self) -> Path:
        """Absolute path of the folder of the project's packages."""
        return self.project.root / self.lattice.config.source_root

    @property
    def generated(self) -> Mapping[str, str]:
        """Text that every generated file should have, earlier versions of the types included.

        Of an earlier version only the digest is known: where its file no longer has it, the
        expected text is empty.
        """
        texts = dict(self.compilation.generated)
        for path, digest in (self.lock.generated if self.lock else {}).items():
            if path not in texts:
                text = self.project.read_text(path) or ""
                texts[path] = text if text_digest(text) == digest else ""
        return texts

    def drift(self) -> tuple[Drift, ...]:
        """What no longer agrees with the lock."""
        return find_drift(self.project, self.lattice, self.compilation, self.lock)

    def plan(
        self, *, accepted: Mapping[str, Acceptance] | None = None, allow_drop: bool = False
    ) -> dict[str, str | None]:
        """What compiling writes; see `drift.plan_files`."""
        return plan_files(
            self.project,
            self.lattice,
            self.compilation,
            self.lock,
            accepted=accepted,
            allow_drop=allow_drop,
        )


def open_workspace(path: Path) -> Workspace:
    """Load and compile the project at a folder or at the path of a lattice; writes nothing.

    Raises:
        ProjectNotFoundError: there is no lattice.
        LatticeError: the lattice cannot be used.
        CompileError: it cannot be compiled.
        LockfileError: the lock is unreadable.
    """
    project = find_project(path)
    lattice = load_lattice(_shown(project.lattice_path))
    return Workspace(
        project=project,
        lattice=lattice,
        compilation=compile_lattice(lattice),
        lock=load_lock(project),
    )


def _shown(path: Path) -> Path:
    """The path as messages show it: relative to the working folder where it lies below."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
