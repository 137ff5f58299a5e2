"""A governed project on disk: where it is, who may change it, and writing all files or none."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lattice_lock.exceptions import ProjectBusyError, ProjectNotFoundError, ProjectWriteError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["LATTICE_NAME", "LOCK_NAME", "Project", "find_project"]

LATTICE_NAME = "lattice.yaml"
LOCK_NAME = "lattice.lock"


@dataclass(frozen=True, slots=True)
class Project:
    """A folder with a lattice; `root` is absolute and resolved."""

    root: Path
    lattice_path: Path

    @property
    def lock_path(self) -> Path:
        """Path of `lattice.lock`, beside the lattice."""
        return self.root / LOCK_NAME

    def read_text(self, path: str) -> str | None:
        """Text of a file of the project, None where there is no such file or it is not UTF-8."""
        try:
            return (self.root / path).read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError, UnicodeDecodeError):
            return None

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the project for writing; released when the block or the process ends.

        Raises:
            ProjectBusyError: another process holds it.
        """
        descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ProjectBusyError(
                    f"another `lattice-lock` command is changing `{self.root}`",
                    hint="Wait for it to end, then run this command again.",
                ) from error
            yield
        finally:
            os.close(descriptor)

    def write_files(self, files: Mapping[str, str | None]) -> tuple[str, ...]:
        """Write every file, or leave every file as it was.

        Args:
            files: path relative to the root, with forward slashes, to its new text; None deletes
                the file. Renamed into place in this order, so put what vouches for the others last.

        Returns:
            The paths whose content changed, in the order given.

        Raises:
            ProjectWriteError: a path leaves the project, or the system refused to write.
        """
        with contextlib.ExitStack() as undo:
            changed: list[_Staged] = []
            for path, text in files.items():
                staged = self._stage(path, text, undo)
                if staged is not None:
                    changed.append(staged)
            for staged in changed:
                staged.put(undo)
            undo.pop_all()  # all in place: what was staged for the way back is not needed
        for staged in changed:
            staged.forget()
        return tuple(staged.path for staged in changed)

    def _stage(self, path: str, text: str | None, undo: contextlib.ExitStack) -> _Staged | None:
        target = self.root / path
        try:
            if not target.parent.resolve().is_relative_to(self.root) or target.is_symlink():
                raise ProjectWriteError(
                    f"`{path}` leads out of the project `{self.root}`",
                    hint="Use a path inside the project without symbolic links.",
                )
            data = None if text is None else text.encode("utf-8")
            old = target.read_bytes() if target.exists() else None
            if data == old:
                return None
            if data is None:
                return _Staged(path=path, target=target, new=None, old=_sibling(target, "old"))
            _make_folders(target.parent, undo)
            new = _sibling(target, "new")
            undo.callback(new.unlink, missing_ok=True)
            _write_durably(
                new, data, mode=target.stat().st_mode & 0o777 if old is not None else None
            )
        except OSError as error:
            raise _write_error(path, error) from error
        return _Staged(path=path, target=target, new=new, old=_sibling(target, "old"))


@dataclass(frozen=True, slots=True)
class _Staged:
    """A file whose new text waits beside it under another name."""

    path: str
    target: Path
    new: Path | None
    old: Path

    def put(self, undo: contextlib.ExitStack) -> None:
        try:
            if self.target.exists():
                undo.callback(self.old.unlink, missing_ok=True)
                shutil.copyfile(self.target, self.old)
                shutil.copystat(self.target, self.old)
                undo.callback(os.replace, self.old, self.target)
            else:
                undo.callback(self.target.unlink, missing_ok=True)
            if self.new is None:
                self.target.unlink(missing_ok=True)
            else:
                self.new.replace(self.target)
        except OSError as error:
            raise _write_error(self.path, error) from error

    def forget(self) -> None:
        self.old.unlink(missing_ok=True)


def _sibling(target: Path, kind: str) -> Path:
    return target.with_name(f".{target.name}.{secrets.token_hex(4)}.lattice-lock-{kind}")


def _make_folders(folder: Path, undo: contextlib.ExitStack) -> None:
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for one in reversed(missing):
        one.mkdir()
        undo.callback(_remove_if_empty, one)


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


def _write_durably(path: Path, data: bytes, *, mode: int | None) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    with os.fdopen(descriptor, "wb") as stream:
        if mode is not None:
            os.fchmod(descriptor, mode)
        stream.write(data)
        stream.flush()
        os.fsync(descriptor)


def _write_error(path: str, error: OSError) -> ProjectWriteError:
    hints = {
        errno.ENOSPC: "Free some disk space.",
        errno.EDQUOT: "Free some of your disk quota.",
        errno.EROFS: "The file system is read-only; use a writable copy of the project.",
        errno.EACCES: "Give yourself write permission on the folder.",
        errno.EPERM: "Give yourself write permission on the folder.",
    }
    return ProjectWriteError(
        f"cannot write `{path}`: {error.strerror or error}; no file was changed",
        hint=hints.get(error.errno or 0),
    )


def find_project(path: Path) -> Project:
    """The project at `path`: a folder with a `lattice.yaml`, or the path of a lattice.

    Raises:
        ProjectNotFoundError: there is no lattice.
    """
    lattice = path / LATTICE_NAME if path.is_dir() else path
    if not lattice.is_file():
        raise ProjectNotFoundError(
            f"there is no `{LATTICE_NAME}` in `{path}`",
            hint="Name the project's folder, or make one with `lattice-lock init NAME`.",
        )
    lattice = lattice.resolve()
    return Project(root=lattice.parent, lattice_path=lattice)
