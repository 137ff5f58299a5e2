"""Results of earlier checks count as long as nothing that they depend on has changed."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from typing import TYPE_CHECKING

import msgspec
import pytest

from lattice_lock.core.loader import parse_lattice
from lattice_lock.sheriff import cache as cache_module
from lattice_lock.sheriff.checker import SheriffContext, SheriffReport, check_project

if TYPE_CHECKING:
    from pathlib import Path

_LATTICE = "version: v1.0\ngenerated_module: types_v1\nconfig: {forbidden_imports: [%s]}\n"
_FILES = {
    "src/a.py": "import requests\n",
    "src/b.py": "import json  # lattice:ignore[forbidden-import] for nothing\n",
    "src/c.py": "import requests  # lattice:ignore[forbidden-import] the one door\n",
    "src/d.py": "from c import requests\n",
}
_MARK = "remembered"


def _write(root: Path, path: str, text: str) -> None:
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")


def _cache(root: Path) -> Path:
    return root / ".lattice-lock/cache"


def _check(root: Path, forbidden: str = "requests", **generated: str) -> SheriffReport:
    lattice = parse_lattice(_LATTICE % forbidden, file="lattice.yaml")
    context = SheriffContext(lattice=lattice, generated=generated)
    return check_project(root, context, cache=_cache(root))


def _mark(root: Path) -> None:
    """Change every message in the cache, which stays well formed."""
    file = _cache(root) / "sheriff.msgpack"
    stored = cache_module._DECODER.decode(file.read_bytes()[16:])
    for entries in stored.sections.values():
        for path, entry in entries.items():
            marked = tuple(dataclasses.replace(v, message=_MARK) for v in entry.violations)
            entries[path] = msgspec.structs.replace(entry, violations=marked)
    data = msgspec.msgpack.encode(stored)
    file.write_bytes(hashlib.blake2b(data, digest_size=16).digest() + data)


def _remembered(report: SheriffReport) -> list[str]:
    return [violation.file for violation in report.violations if violation.message == _MARK]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of four files that was checked once, and whose cache can be told apart."""
    for path, text in _FILES.items():
        _write(tmp_path, path, text)
    assert [v.file for v in _check(tmp_path).violations] == ["src/a.py", "src/b.py", "src/d.py"]
    _mark(tmp_path)
    return tmp_path


def test_what_is_unchanged_is_remembered(project: Path) -> None:
    """The second check takes every result from the cache, what others hand on included."""
    first = _check(project)
    assert _remembered(first) == ["src/a.py", "src/b.py", "src/d.py"]
    assert first.files_checked == 4
    assert [use.file for use in first.suppressions] == ["src/c.py"]
    assert _check(project) == first


def test_a_changed_file_is_looked_at_again(project: Path) -> None:
    """Only the file that changed is examined anew, even within one tick of the clock."""
    state = (project / "src/a.py").stat()
    _write(project, "src/a.py", "import requestz\n")
    os.utime(project / "src/a.py", ns=(state.st_atime_ns, state.st_mtime_ns))
    assert [v.file for v in _check(project).violations] == ["src/b.py", "src/d.py"]


def test_a_touched_file_is_remembered_by_its_content(project: Path) -> None:
    """A new time of change alone, as after a checkout, is no reason to examine a file."""
    for path in _FILES:
        os.utime(project / path)
    assert _remembered(_check(project)) == ["src/a.py", "src/b.py", "src/d.py"]


def test_what_another_file_hands_on_is_not_remembered_too_long(project: Path) -> None:
    """When the module that handed something on no longer does, its importer is free."""
    _write(project, "src/c.py", "requests = 1\n")
    assert [v.file for v in _check(project).violations] == ["src/a.py", "src/b.py"]


@pytest.mark.parametrize(
    ("forbidden", "generated"),
    [("requests, json", {}), ("requests", {"src/shared/types_v1.py": "x = 1\n"})],
    ids=["lattice", "generated file"],
)
def test_another_lattice_remembers_nothing(
    project: Path, forbidden: str, generated: dict[str, str]
) -> None:
    """The results of one lattice say nothing about another."""
    assert _remembered(_check(project, forbidden, **generated)) == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda data: data[:-1],
        lambda data: data.replace(_MARK.encode(), _MARK.upper().encode()),
        lambda _: b"\xff" * 100,
        lambda _: hashlib.blake2b(b"\x93", digest_size=16).digest() + b"\x93",
    ],
    ids=["empty", "cut", "another message", "noise", "another shape"],
)
def test_a_damaged_cache_is_ignored(project: Path, damage: object) -> None:
    """Whatever the file holds, the result is that of a first check, and the cache is mended."""
    assert callable(damage)
    file = _cache(project) / "sheriff.msgpack"
    file.write_bytes(damage(file.read_bytes()))
    lattice = parse_lattice(_LATTICE % "requests", file="lattice.yaml")
    assert _check(project) == check_project(project, SheriffContext(lattice=lattice))
    _mark(project)
    assert _remembered(_check(project)) != []


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    """Where a file is in the way of the folder, the check goes on without a cache."""
    _write(tmp_path, ".lattice-lock", "")
    _write(tmp_path, "src/a.py", "import requests\n")
    assert [v.file for v in _check(tmp_path).violations] == ["src/a.py"]


def test_the_cache_is_left_alone_by_git(project: Path) -> None:
    """The folder of the cache ignores itself and holds nothing but the cache."""
    assert (_cache(project) / ".gitignore").read_text(encoding="utf-8") == "*\n"
    names = {path.name for path in _cache(project).iterdir()}
    assert names == {".gitignore", "sheriff.msgpack"}


def test_files_that_are_gone_are_forgotten(project: Path) -> None:
    """The cache does not grow with files that were removed."""
    (project / "src/a.py").unlink()
    _check(project)
    data = (_cache(project) / "sheriff.msgpack").read_bytes()
    assert b"src/a.py" not in data
    assert b"src/b.py" in data


def test_a_check_of_one_file_forgets_no_other(project: Path) -> None:
    """Files that a check is not about stay in the cache."""
    lattice = parse_lattice(_LATTICE % "requests", file="lattice.yaml")
    context = SheriffContext(lattice=lattice)
    check_project(project, context, cache=_cache(project), paths=["src/a.py"])
    assert _remembered(_check(project)) == ["src/a.py", "src/b.py", "src/d.py"]


def test_nothing_is_kept_without_a_folder(tmp_path: Path) -> None:
    """A check that is not given a folder for its cache writes nothing."""
    _write(tmp_path, "src/a.py", "import json\n")
    lattice = parse_lattice(_LATTICE % "requests", file="lattice.yaml")
    check_project(tmp_path, SheriffContext(lattice=lattice))
    assert {path.name for path in tmp_path.iterdir()} == {"src"}
