"""Sheriff over real folders."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from lattice_lock.core.loader import parse_lattice
from lattice_lock.exceptions import SheriffError
from lattice_lock.sheriff.checker import SheriffContext, SheriffReport, check_project
from lattice_lock.sheriff.module import MAX_SOURCE_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

BAD = "import requests\n"
_LATTICE = """\
version: v1.0
generated_module: types_v1
config: {forbidden_imports: [requests]}
"""
_INTERFACE = """\
interfaces:
  IShop:
    file: src/shop.py
    methods:
      total: {params: {price: decimal}, returns: decimal}
"""


def _write(root: Path, files: Mapping[str, str | bytes]) -> None:
    for path, content in files.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)


def _check(
    root: Path,
    *,
    lattice: str = _LATTICE,
    generated: Mapping[str, str] | None = None,
    paths: list[str | Path] | None = None,
) -> SheriffReport:
    context = SheriffContext(
        lattice=parse_lattice(lattice, file="lattice.yaml"), generated=generated or {}
    )
    return check_project(root, context, paths=paths)


def _found(report: SheriffReport) -> list[tuple[str, str]]:
    return [(violation.file, violation.rule) for violation in report.violations]


def test_every_python_file_of_a_project_is_checked(tmp_path: Path) -> None:
    """Files anywhere in the project are checked, those of others and build output are not."""
    ours = ["app.py", "src/a/deep/er.py", "src/a.py", "src/build/x.py", "tests/test_a.py"]
    others = [
        ".venv/x.py",
        ".hidden/x.py",
        "env/lib/x.py",
        "src/__pycache__/x.py",
        "web/node_modules/x.py",
        "build/x.py",
        "dist/x.py",
        "src/notes.txt",
        "src/x.pyc",
    ]
    _write(tmp_path, {**dict.fromkeys([*ours, *others], BAD), "env/pyvenv.cfg": ""})
    report = _check(tmp_path)
    assert _found(report) == [(path, "forbidden-import") for path in sorted(ours)]
    assert report.files_checked == len(ours)
    assert not report.is_clean


def test_an_empty_project_is_clean(tmp_path: Path) -> None:
    """Where there is no code there is nothing to report."""
    report = _check(tmp_path)
    assert report == SheriffReport(violations=(), suppressions=(), files_checked=0)
    assert report.is_clean


def test_paths_narrow_the_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files and folders may be named, relative to the project or absolute; nothing else counts."""
    _write(tmp_path, dict.fromkeys(["src/a.py", "src/ab.py", "src/a/x.py", "b.py", "run"], BAD))
    monkeypatch.chdir("/")

    def names(*paths: str | Path) -> list[str]:
        return [violation.file for violation in _check(tmp_path, paths=[*paths]).violations]

    assert names("src/a") == ["src/a/x.py"]
    assert names("src/a.py", "b.py") == ["b.py", "src/a.py"]
    assert names(tmp_path / "src" / ".." / "b.py") == ["b.py"]
    assert names(".") == ["b.py", "src/a.py", "src/a/x.py", "src/ab.py"]
    assert names("run") == ["run"]


def test_paths_through_a_link_to_the_project_are_understood(tmp_path: Path) -> None:
    """A project reached through a symbolic link is the same project."""
    _write(tmp_path, {"real/src/a.py": BAD})
    (tmp_path / "link").symlink_to(tmp_path / "real")
    report = _check(tmp_path / "link", paths=[tmp_path / "link" / "src" / "a.py"])
    assert _found(report) == [("src/a.py", "forbidden-import")]


@pytest.mark.parametrize("path", ["missing.py", "../outside.py", "/etc"])
def test_a_path_outside_the_project_is_an_error(tmp_path: Path, path: str) -> None:
    """A path that is not there, or not in the project, is refused by name."""
    _write(tmp_path, {"project/a.py": "", "outside.py": BAD})
    with pytest.raises(SheriffError, match=path):
        _check(tmp_path / "project", paths=[path])


def test_a_project_that_is_no_folder_is_an_error(tmp_path: Path) -> None:
    """A folder that cannot be listed stops the check instead of passing it."""
    with pytest.raises(SheriffError, match="cannot be listed"):
        _check(tmp_path / "missing")


def test_links_out_of_the_project_are_reported_and_not_followed(tmp_path: Path) -> None:
    """Code behind a link out of the project is not read; that it is there is reported."""
    _write(tmp_path, {"outside/x.py": BAD, "project/src/real.py": BAD, "project/data": BAD})
    source = tmp_path / "project" / "src"
    (source / "file.py").symlink_to(tmp_path / "outside" / "x.py")
    (source / "folder").symlink_to(tmp_path / "outside")
    (source / ".cache").symlink_to(tmp_path / "outside")
    (source / "gone.py").symlink_to(source / "nowhere.py")
    (source / "loop.py").symlink_to(source / "loop.py")
    (source / "inside.py").symlink_to(tmp_path / "project" / "data")
    (source / "again").symlink_to(source)
    (tmp_path / "project" / "tools").symlink_to(tmp_path / "outside")
    assert _found(_check(tmp_path / "project")) == [
        ("src/file.py", "unparsable-file"),
        ("src/folder", "unparsable-file"),
        ("src/gone.py", "unparsable-file"),
        ("src/inside.py", "forbidden-import"),
        ("src/loop.py", "unparsable-file"),
        ("src/real.py", "forbidden-import"),
    ]


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        (b"x = 1\n# caf\xe9\nimport requests\n", 2, "not UTF-8"),
        ("x = 1\n".encode("utf-16"), 1, "not UTF-8"),
        (b"\xef\xbb\xbf# coding: latin-1\n", 1, "declares"),
        (b"# coding: utf-7\n", 1, "declares utf-7"),
        (b"x = 1\r\ny = '\x00'\r\n", 2, "NUL"),
        (b"x = 1\n\ndef f(:\n", 3, "invalid syntax"),
        (b"#" * (MAX_SOURCE_BYTES + 1), 1, "larger"),
    ],
    ids=["latin-1", "utf-16", "two encodings", "utf-7", "NUL", "syntax", "size"],
)
def test_a_file_that_cannot_be_examined_is_a_finding(
    tmp_path: Path, content: bytes, line: int, words: str
) -> None:
    """Such a file is one finding at its line, and the others are still checked."""
    _write(tmp_path, {"src/a.py": content, "src/b.py": BAD})
    report = _check(tmp_path)
    assert _found(report) == [("src/a.py", "unparsable-file"), ("src/b.py", "forbidden-import")]
    assert report.violations[0].line == line
    assert words in report.violations[0].message


def test_a_byte_order_mark_is_no_obstacle(tmp_path: Path) -> None:
    """A file that starts with a UTF-8 byte order mark is checked, its columns as usual."""
    _write(tmp_path, {"a.py": b"\xef\xbb\xbfimport requests\n"})
    (violation,) = _check(tmp_path).violations
    assert (violation.rule, violation.column) == ("forbidden-import", 8)


def test_what_is_no_regular_file_is_never_opened(tmp_path: Path) -> None:
    """A pipe with a Python name is reported; opening it would wait for ever."""
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "folder.py").mkdir()
    assert _found(_check(tmp_path)) == [("pipe.py", "unparsable-file")]


def test_generated_files_must_be_what_the_compiler_writes(tmp_path: Path) -> None:
    """Edited, re-encoded and missing generated files are named, whatever their kind."""
    text = "LIMIT = 1\nNAME = 'é'\n"
    generated = {
        "src/shared/same.py": text,
        "src/shared/edited.py": text,
        "src/shared/longer.py": text,
        "src/shared/shorter.py": text,
        "src/shared/endings.py": text,
        "src/shared/encoding.py": text,
        "docs/missing.md": text,
    }
    _write(
        tmp_path,
        {
            "src/shared/same.py": text,
            "src/shared/edited.py": text.replace("1", "2"),
            "src/shared/longer.py": text + "# more\n",
            "src/shared/shorter.py": "LIMIT = 1\n",
            "src/shared/endings.py": text.replace("\n", "\r\n"),
            "src/shared/encoding.py": text.encode("latin-1"),
        },
    )
    report = _check(tmp_path, generated=generated)
    assert [(v.file, v.line, v.rule) for v in report.violations] == [
        ("docs/missing.md", 1, "edited-generated-file"),
        ("src/shared/edited.py", 1, "edited-generated-file"),
        ("src/shared/encoding.py", 2, "edited-generated-file"),
        ("src/shared/endings.py", 1, "edited-generated-file"),
        ("src/shared/longer.py", 3, "edited-generated-file"),
        ("src/shared/shorter.py", 2, "edited-generated-file"),
    ]
    assert report.files_checked == 6


def test_a_generated_file_is_not_checked_otherwise(tmp_path: Path) -> None:
    """What the compiler writes is its own business, and is compared only."""
    _write(tmp_path, {"tests/contracts/test_shop.py": BAD})
    assert _check(tmp_path, generated={"tests/contracts/test_shop.py": BAD}).is_clean


def test_a_missing_implementation_is_reported(tmp_path: Path) -> None:
    """The file that an interface names must be there, unless the check is about other files."""
    _write(tmp_path, {"src/other.py": ""})
    lattice = _LATTICE + _INTERFACE
    (violation,) = _check(tmp_path, lattice=lattice).violations
    assert (violation.file, violation.rule) == ("src/shop.py", "interface-conformance")
    assert "`Shop`" in violation.message
    assert _check(tmp_path, lattice=lattice, paths=["src/other.py"]).is_clean


def test_the_hint_of_a_wrong_signature_is_the_right_one(tmp_path: Path) -> None:
    """Pasting the signature and the imports from the hint makes the file conform."""
    wrong = "class Shop:\n    def total(self, price: int) -> None:\n        raise ValueError\n"
    _write(tmp_path, {"src/shop.py": wrong})
    lattice = _LATTICE + _INTERFACE
    hints = {violation.hint for violation in _check(tmp_path, lattice=lattice).violations}
    (hint,) = hints
    assert hint is not None
    _, signature, _, needed, _ = hint.split("`")
    right = wrong.replace("def total(self, price: int) -> None:", signature)
    _write(tmp_path, {"src/shop.py": f"{needed}\n{right}"})
    assert _check(tmp_path, lattice=lattice).is_clean


def test_suppressions_of_all_files_are_listed(tmp_path: Path) -> None:
    """The report of a project lists every suppression in use, in the order of files."""
    text = "import requests  # lattice:ignore[forbidden-import] needed until 2.0\n"
    _write(tmp_path, {"b.py": text, "a.py": "\n" + text})
    report = _check(tmp_path)
    assert report.is_clean
    assert [(use.file, use.line) for use in report.suppressions] == [("a.py", 2), ("b.py", 1)]


def test_checking_twice_gives_the_same_report(tmp_path: Path) -> None:
    """The same files give the same report, whatever order the file system lists them in."""
    _write(tmp_path / "one", {f"src/{name}.py": BAD * 2 for name in "abcdef"})
    _write(tmp_path / "two", {f"src/{name}.py": BAD * 2 for name in "fbdaec"})
    assert _check(tmp_path / "one") == _check(tmp_path / "two")
