"""What the verdict on an implementation depends on, so that one can tell whether it is the same.

Imports are followed through the project as they are written. Code that can reach further, by
opening files, by imports that are computed, or through a library that may do so, depends on every
file under the source root. Of code whose answers may differ from run to run, such as by the time of
day, nothing is known.

That is for code which hides nothing: a body made to deceive could as well notice that it is tested.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.machinery
import os
import stat
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lattice_lock.gauntlet.runner import GauntletRequest

__all__ = ["Dependency", "Traced", "is_current", "trace"]

_MAX_TREE_FILES: Final = 20_000
_MAX_TREE_BYTES: Final = 128 * 1024 * 1024

_SELF_CONTAINED: Final = frozenset(
    (
        "__future__", "abc", "array", "base64", "binascii", "bisect", "calendar", "cmath",
        "collections", "colorsys", "contextlib", "copy", "dataclasses", "datetime", "decimal",
        "difflib", "enum", "fractions", "functools", "graphlib", "hashlib", "heapq", "hmac",
        "html", "ipaddress", "itertools", "json", "keyword", "math", "numbers", "operator", "re",
        "reprlib", "statistics", "string", "struct", "textwrap", "types", "typing", "unicodedata",
        "uuid", "warnings", "zlib",
        "annotated_types", "pydantic", "pydantic_core", "typing_extensions",
    )
)  # fmt: skip
"""Modules that open no file and import nothing by a name that they are given."""

_CHANGING: Final = frozenset({"random", "secrets", "time"})
_CHANGING_NAMES: Final = frozenset({"now", "today", "utcnow", "uuid1", "uuid4"})
_REACHING_NAMES: Final = frozenset(
    {"ImportString", "__builtins__", "__file__", "__import__", "__loader__", "__path__", "__spec__"}
)
_REACHING_FUNCTIONS: Final = frozenset({"compile", "eval", "exec", "open"})


class Dependency(NamedTuple):
    """One thing that a verdict depends on, and the state that it was in.

    Attributes:
        kind: `file`, its content; `module`, which files an import of this path may find; `names`,
            what can be imported from a folder; `tree`, all files of a folder with their content.
        path: relative to the source root.
    """

    kind: str
    path: str
    state: str


class Traced(NamedTuple):
    """Everything that a verdict depends on, and when it was last changed.

    Attributes:
        stamps: differ when anything was changed, even if it was changed back.
    """

    dependencies: tuple[Dependency, ...]
    stamps: tuple[str, ...]


class _UnknowableError(Exception):
    """What the verdict depends on cannot be told."""


def trace(request: GauntletRequest) -> Traced | None:
    """What the verdict on a request depends on besides the request; None if that is not known."""
    try:
        found = _Tracer(request).trace()
        stamps = [_stamp(request.source_root, one) for one in found]
    except (_UnknowableError, OSError):
        return None
    return Traced(tuple(found), tuple(stamps))


def is_current(dependencies: tuple[Dependency, ...], root: Path) -> bool:
    """Whether everything is as it was."""
    try:
        return all(_state(root, kind, path) == state for kind, path, state in dependencies)
    except (_UnknowableError, OSError):
        return False


class _Tracer:
    def __init__(self, request: GauntletRequest) -> None:
        self._root: Final = request.source_root
        self._texts: Final = request.modules
        self._given: Final = frozenset(name.partition(".")[0] for name in request.modules)
        self._found: Final[dict[tuple[str, str], Dependency]] = {}
        self._is_package: Final[dict[str, bool]] = {}
        self._pending: Final[list[str]] = list(request.trusted_modules)
        self._pending.extend(request.implementation_modules)
        self._reaches_further = False

    def trace(self) -> list[Dependency]:
        self._note("names", "")
        while self._pending:
            name = ""
            for part in self._pending.pop().split("."):
                name = f"{name}.{part}" if name else part
                if name not in self._is_package:
                    self._is_package[name] = self._follow(name)
                if not self._is_package[name]:
                    break
        if self._reaches_further:
            self._note("tree", "")
        return sorted(self._found.values())

    def _note(self, kind: str, path: str) -> str:
        key = (kind, path)
        if key not in self._found:
            self._found[key] = Dependency(kind, path, _state(self._root, kind, path))
        return self._found[key].state

    def _follow(self, name: str) -> bool:
        """Read a module of the project for what it needs; whether it may have modules below it."""
        if name in self._texts:
            self._read(name, self._texts[name], is_package=False)
            return False
        path = name.replace(".", "/")
        candidates = self._note("module", path).split()
        for candidate in candidates:
            if candidate == "/":
                if self._note("file", f"{path}/__init__.py"):
                    self._read(name, self._source(path, "__init__"), is_package=True)
            elif candidate == ".py":
                folder, _, stem = path.rpartition("/")
                self._note("file", f"{path}.py")
                self._read(name, self._source(folder, stem), is_package=False)
            else:
                self._reaches_further = True
        if not candidates and "." not in name and name not in self._given:
            self._leave(name)
            return False
        return "/" in candidates or name in self._given

    def _source(self, folder: str, stem: str) -> bytes:
        """Text of a module, noting the compiled file that Python may run in its place."""
        prefix = f"{folder}/" if folder else ""
        self._note("file", f"{prefix}__pycache__/{stem}.{sys.implementation.cache_tag}.pyc")
        return (self._root / f"{prefix}{stem}.py").read_bytes()

    def _leave(self, name: str) -> None:
        """Look at a top-level module that is not the project's."""
        if name in _CHANGING:
            raise _UnknowableError
        if name in _SELF_CONTAINED:
            return
        if name not in sys.stdlib_module_names and name != "lattice_lock":
            folders = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
            if not any(_candidates(Path(folder, name)) for folder in folders):
                raise _UnknowableError
        self._reaches_further = True

    def _read(self, name: str, source: str | bytes, *, is_package: bool) -> None:
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise _UnknowableError from error
        package = name if is_package else name.rpartition(".")[0]
        for node in ast.walk(tree):
            match node:
                case ast.Import():
                    self._pending.extend(alias.name for alias in node.names)
                case ast.ImportFrom():
                    self._pending.extend(_imported(node, package))
                case ast.Name(id=word):
                    self._reaches_further |= word in _REACHING_FUNCTIONS | _REACHING_NAMES
                case ast.Attribute(attr=word):
                    if word in _CHANGING_NAMES:
                        raise _UnknowableError
                    self._reaches_further |= word in _REACHING_NAMES


def _imported(node: ast.ImportFrom, package: str) -> Iterator[str]:
    base = node.module or ""
    if node.level:
        parts = package.split(".") if package else []
        kept = parts[: len(parts) - node.level + 1]
        base = ".".join([*kept, *filter(None, [base])])
    if any(alias.name in _CHANGING_NAMES for alias in node.names):
        raise _UnknowableError
    if base:
        yield base
    yield from (f"{base}.{alias.name}".lstrip(".") for alias in node.names if alias.name != "*")


def _state(root: Path, kind: str, path: str) -> str:
    match kind:
        case "file":
            return _content(root / path)
        case "module":
            return " ".join(_candidates(root / path))
        case "names":
            names = [each.name for each in (root / path).iterdir() if each.name != "__pycache__"]
            return _digest(sorted(filter(_is_importable, names)))
        case "tree":
            files = _tree(root / path)
            if sum(one.stat().st_size for one in files) > _MAX_TREE_BYTES:
                raise _UnknowableError
            return _digest([f"{one} {_content(one)}" for one in files])
        case _:
            raise _UnknowableError


def _stamp(root: Path, dependency: Dependency) -> str:
    path = root / dependency.path
    match dependency.kind:
        case "file":
            return _when(path)
        case "tree":
            return _digest([_when(one) for one in _tree(path)])
        case _:
            return ""


def _when(path: Path) -> str:
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    return f"{found.st_ino} {found.st_mtime_ns} {found.st_ctime_ns}"


def _content(path: Path) -> str:
    """Digest of a file's content, empty where there is none."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise _UnknowableError
        return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
    except (FileNotFoundError, NotADirectoryError):
        return ""


def _candidates(path: Path) -> list[str]:
    """What an import of a module at this path may find: a folder, or files by their endings."""
    found = ["/"] if path.is_dir() else []
    endings = importlib.machinery.all_suffixes()
    return found + [each for each in endings if path.with_name(path.name + each).is_file()]


def _is_importable(name: str) -> bool:
    return name.isidentifier() or name.endswith(tuple(importlib.machinery.all_suffixes()))


def _tree(folder: Path) -> list[Path]:
    """Every file in a folder and below, in order; folders that are links make it unknowable."""
    files: list[Path] = []
    for place, folders, names in os.walk(folder, onerror=_give_up):
        folders.sort()
        if any(Path(place, name).is_symlink() for name in folders):
            raise _UnknowableError
        files += [Path(place, name) for name in sorted(names)]
        if len(files) > _MAX_TREE_FILES:
            raise _UnknowableError
    return files


def _give_up(error: OSError) -> None:
    raise error


def _digest(lines: list[str]) -> str:
    data = "\0".join(lines).encode("utf-8", "surrogateescape")
    return hashlib.blake2b(data, digest_size=16).hexdigest()
