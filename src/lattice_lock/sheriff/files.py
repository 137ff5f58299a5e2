"""Finds and reads the Python files of a project, without ever leaving it."""

from __future__ import annotations

import os
import stat
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final, NamedTuple

from lattice_lock.exceptions import SheriffError
from lattice_lock.sheriff.module import MAX_SOURCE_BYTES, Unparsable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["FileState", "ProjectFiles"]

_SKIPPED_ANYWHERE: Final = frozenset({"__pycache__", "node_modules", "site-packages"})
_SKIPPED_AT_TOP: Final = frozenset({"build", "dist"})
_VIRTUALENV_MARK: Final = "pyvenv.cfg"


class FileState(NamedTuple):
    """What the file system says about a file; the same for an unchanged file."""

    size: int
    modified_ns: int
    changed_ns: int


class ProjectFiles:
    """The files under one project folder; every path in and out is relative, with slashes."""

    def __init__(self, root: Path, *, source_root: str) -> None:
        self._root: Final = root.resolve()
        self._prefix: Final = f"{self._root}{os.sep}"
        self._source_root: Final = PurePosixPath(source_root)
        self._real_folder = ""

    def relative(self, path: str | Path) -> str:
        """Normal form of a path that a caller gave, absolute or relative to the project.

        Raises:
            SheriffError: the path is outside the project, or nothing is there.
        """
        absolute = Path(os.path.normpath(self._root / path))
        if absolute.is_relative_to(self._root) and os.path.lexists(absolute):
            return absolute.relative_to(self._root).as_posix()
        # The project itself may have been reached through a symbolic link.
        resolved = absolute.parent.resolve() / absolute.name
        if not resolved.is_relative_to(self._root) or not os.path.lexists(resolved):
            raise SheriffError(
                f"`{path}` is not a file or folder of the project.",
                hint="Name paths inside the folder that holds `lattice.yaml`.",
            )
        return resolved.relative_to(self._root).as_posix()

    def exists(self, path: str) -> bool:
        """Whether something is at `path`, be it a link that leads nowhere."""
        return os.path.lexists(f"{self._prefix}{path}")

    def is_file(self, path: str) -> bool:
        """Whether `path` is something else than a folder."""
        return self.exists(path) and not (self._root / path).is_dir()

    def python_files(self) -> Iterator[str]:
        """Every Python file, hidden folders, virtual environments and build output left out.

        Links to folders are not followed; where one under the source root leads out of the
        project, it is listed itself, so that reading it says so.
        """
        pending = [""]
        while pending:
            folder = pending.pop()
            for entry in self._entries(folder):
                path = f"{folder}{entry.name}"
                if entry.is_symlink():
                    if path.endswith(".py") or self._hides_code(PurePosixPath(path)):
                        yield path
                elif entry.is_dir():
                    if not self.is_skipped(PurePosixPath(path)):
                        pending.append(f"{path}/")
                elif path.endswith(".py"):
                    yield path

    def _entries(self, folder: str) -> Iterable[os.DirEntry[str]]:
        try:
            with os.scandir(self._root / folder) as entries:
                return list(entries)
        except OSError as error:
            raise SheriffError(
                f"the folder `{folder.rstrip('/') or '.'}` cannot be listed: {error.strerror}.",
                hint="Make it readable, or move it out of the project.",
            ) from error

    def is_skipped(self, path: PurePosixPath) -> bool:
        """Whether a folder is left out with all that is in it."""
        return (
            path.name.startswith(".")
            or path.name in _SKIPPED_ANYWHERE
            or path.as_posix() in _SKIPPED_AT_TOP
            or (self._root / path / _VIRTUALENV_MARK).is_file()
        )

    def _hides_code(self, link: PurePosixPath) -> bool:
        """Whether a link makes a folder outside the project importable."""
        target = self._root / link
        return (
            link.is_relative_to(self._source_root)
            and not self.is_skipped(link)
            and target.is_dir()
            and not self._is_inside(target)
        )

    def _is_inside(self, path: Path) -> bool:
        return Path(os.path.realpath(path)).is_relative_to(self._root)

    def state(self, path: str) -> FileState | None:
        """State of the file at `path` now; None where there is none that can be looked at."""
        try:
            # Called for every file of a project: without a `Path` it takes a third of the time.
            found = os.stat(f"{self._prefix}{path}")  # noqa: PTH116
        except OSError:
            return None
        return FileState(found.st_size, found.st_mtime_ns, found.st_ctime_ns)

    def read(self, path: str) -> bytes | Unparsable:
        """The content of a file, or why it cannot be had."""
        absolute = f"{self._prefix}{path}"
        try:
            found = os.lstat(absolute)
            if stat.S_ISLNK(found.st_mode) or not self._is_real_folder(absolute.rpartition("/")[0]):
                if not self._is_inside(Path(absolute)):
                    return Unparsable(
                        message="this symbolic link leads out of the project and was not followed.",
                        hint="Copy the code into the project, or install it as a dependency.",
                    )
                found = os.stat(absolute)  # noqa: PTH116  # as above
            if not stat.S_ISREG(found.st_mode):
                return Unparsable(
                    message="this is not a regular file.",
                    hint="Replace it by a file, or give it a name that does not end in `.py`.",
                )
            data = _content(absolute, found.st_size)
        except OSError as error:
            return Unparsable(
                message=f"this file cannot be read: {error.strerror}.",
                hint="Make it readable, or remove it.",
            )
        if len(data) > MAX_SOURCE_BYTES:
            return Unparsable(
                message=f"this file is larger than {MAX_SOURCE_BYTES} bytes.",
                hint="Move data out of the code, or split the file.",
            )
        return data

    def _is_real_folder(self, folder: str) -> bool:
        """Whether a folder below the project is reached through no symbolic link."""
        if self._real_folder != folder:
            if os.path.realpath(folder) != folder:
                return False
            # Files are mostly read folder by folder; none is remembered for longer.
            self._real_folder = folder
        return True


def _content(path: str, size: int) -> bytes:
    # Unbuffered, as a buffer of the largest size that is read would be made for every file.
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123  # called for every file
        data = file.read(min(size, MAX_SOURCE_BYTES) + 1)
        # It may have grown.
        return data + file.read(MAX_SOURCE_BYTES) if len(data) > size else data
