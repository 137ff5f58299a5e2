"""What a check is about: the source file, and the project that it belongs to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lattice_lock.sheriff.file_names import printable_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lattice_lock.core.schema import Lattice
    from lattice_lock.sheriff.reexports import Reexports

__all__ = ["SheriffContext", "SourceFile"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """The text of one Python file, on disk or not.

    Attributes:
        path: relative to the project, with forward slashes.
        module: dotted name under which the project imports it.
        text: decoded content, line endings as in the file.
    """

    path: str
    module: str
    text: str

    @property
    def is_package(self) -> bool:
        """Whether relative imports start at the module itself, as in `__init__.py`."""
        return self.path.rpartition("/")[2] == "__init__.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class SheriffContext:
    """The project that code is checked against.

    Attributes:
        generated: per path, the text that the compiler would write now. Only files that the
            compiler owns belong here; scaffolds, which people edit, do not.
        reexports: what modules of the project hand on although it is forbidden.
    """

    lattice: Lattice
    generated: Mapping[str, str] = field(default_factory=dict)
    reexports: Reexports = field(default_factory=dict)

    def source_file(self, path: str, text: str) -> SourceFile:
        """The file at `path` with `text`, its module name derived from the source root."""
        return SourceFile(path=path, module=printable_name(self.module_of(path)), text=text)

    def module_of(self, path: str) -> str:
        """Dotted name of the file at `path`, as seen from the source root."""
        # Called for every file of a project: with `PurePath` it takes ten times as long.
        parts = _parts(path)
        source_root = _parts(self.lattice.config.source_root)
        if parts[: len(source_root)] == source_root:
            parts = parts[len(source_root) :]
        if parts:
            stem, dot, suffix = parts[-1].rpartition(".")
            parts[-1] = stem if stem and suffix else f"{stem}{dot}{suffix}"
        return ".".join(parts[:-1] if parts[-1:] == ["__init__"] else parts)


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in {"", "."}]
