"""What a check is about: the source file, and the project that it belongs to."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

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
        return PurePosixPath(self.path).name == "__init__.py"


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
        return SourceFile(path=path, module=self._module_of(path), text=text)

    def _module_of(self, path: str) -> str:
        relative = PurePosixPath(path)
        source_root = PurePosixPath(self.lattice.config.source_root)
        if relative.is_relative_to(source_root):
            relative = relative.relative_to(source_root)
        parts = relative.with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1:] == ("__init__",) else parts)
