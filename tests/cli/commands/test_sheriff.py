"""`lattice-lock sheriff`."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from lattice_lock.sheriff.baseline import BASELINE_NAME

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from command_process import Outcome

_LATTICE = """\
version: v1.0
generated_module: types_v1
config: {forbidden_imports: [requests]}
"""
_BAD = "import requests\n"


@pytest.fixture
def project(tmp_path: Path, lattice_lock: Callable[..., Outcome]) -> Path:
    """A compiled project with one fault."""
    (tmp_path / "src").mkdir()
    (tmp_path / "lattice.yaml").write_text(_LATTICE)
    assert lattice_lock("compile", str(tmp_path)).code == 0
    (tmp_path / "src/bad.py").write_text(_BAD)
    return tmp_path


def _git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def _commit(folder: Path) -> None:
    _git(folder, "init", "-q", "-b", "main")
    _git(folder, "add", ".")
    _git(folder, "commit", "-q", "-m", "all")


@pytest.mark.parametrize("form", ["text", "json", "sarif", "github", "junit"])
def test_every_format_tells_of_the_fault_and_of_none(
    form: str, project: Path, lattice_lock: Callable[..., Outcome]
) -> None:
    """Each format is well formed, exits with 1 where there is a fault and with 0 without."""

    def count(out: str) -> int:
        if form == "json":
            return len(json.loads(out)["violations"])
        if form == "sarif":
            return len(json.loads(out)["runs"][0]["results"])
        if form == "junit":
            return int(ET.fromstring(out.encode()).get("failures") or "")  # noqa: S314  # ours
        if form == "github":
            return len(re.findall("^::error file=src/bad.py,", out, re.MULTILINE))
        return out.count("src/bad.py:1:8 forbidden-import")

    found = lattice_lock("sheriff", str(project), "--format", form)
    assert (found.code, count(found.out), found.err) == (1, 1, "")
    (project / "src/bad.py").write_text("")
    clean = lattice_lock("sheriff", str(project), "--format", form)
    assert (clean.code, count(clean.out), clean.err) == (0, 0, "")
    assert (clean.out == "") == (form == "github")


@pytest.mark.parametrize("form", ["sarif", "github", "junit"])
def test_places_are_told_from_the_top_of_the_checkout(
    form: str, tmp_path: Path, project: Path, lattice_lock: Callable[..., Outcome]
) -> None:
    """What services read names files as the repository does, wherever the project is in it."""
    (tmp_path / "shop").mkdir()
    for name in ("src", "lattice.yaml", "lattice.lock"):
        (project / name).rename(tmp_path / "shop" / name)
    _git(tmp_path, "init", "-q")
    outcome = lattice_lock("sheriff", str(tmp_path / "shop"), "--format", form)
    assert re.search('["=]?shop/src/bad.py', outcome.out)


def test_an_expired_suppression_is_a_finding(
    project: Path, lattice_lock: Callable[..., Outcome]
) -> None:
    """A comment counts until its day; afterwards it is reported with what it silenced."""
    comment = "import requests  # lattice:ignore[forbidden-import] until={} owner=anna legacy\n"
    (project / "src/bad.py").write_text(comment.format("2999-12-31"))
    outcome = lattice_lock("sheriff", str(project))
    assert outcome.code == 0
    assert outcome.out.endswith("1 suppression in use.\n")
    (project / "src/bad.py").write_text(comment.format("2020-01-31"))
    outcome = lattice_lock("sheriff", str(project), "--format", "json")
    assert outcome.code == 1
    assert [each["rule"] for each in outcome.json["violations"]] == [
        "forbidden-import",
        "ignore-without-reason",
    ]


def test_suppressions_are_listed(project: Path, lattice_lock: Callable[..., Outcome]) -> None:
    """The list has place, rule, owner, date and reason, and says which have expired."""
    listing = ("sheriff", str(project), "--suppressions")
    nothing = lattice_lock(*listing)
    assert (nothing.code, nothing.out) == (0, "No comment ignores a rule.\n")
    ignored = "import requests  # lattice:ignore[forbidden-import]"
    (project / "src/bad.py").write_text(
        f"{ignored} until=2020-01-31 owner=anna legacy\n{ignored} until=2999-12-31 so far\n"
    )
    outcome = lattice_lock(*listing)
    assert outcome.code == 1
    assert [re.split("  +", line) for line in outcome.out.splitlines()[2:]] == [
        ["src/bad.py:1", "forbidden-import", "1", "anna", "2020-01-31 (expired)", "legacy"],
        ["src/bad.py:2", "forbidden-import", "1", "-", "2999-12-31", "so far"],
    ]
    outcome = lattice_lock(*listing, "--format", "json")
    assert [each["expired"] for each in outcome.json["suppressions"]] == [True, False]
    assert [each["owner"] for each in outcome.json["suppressions"]] == ["anna", None]


def test_the_number_of_suppressions_can_be_capped(
    project: Path, lattice_lock: Callable[..., Outcome]
) -> None:
    """Above the cap, the check and the list exit with 1; at the cap they do not."""
    (project / "src/bad.py").write_text(
        "import requests  # lattice:ignore[forbidden-import] legacy\n" * 2
    )
    for extra in ((), ("--suppressions",)):
        capped = ("sheriff", str(project), *extra, "--max-suppressions")
        assert [lattice_lock(*capped, str(most)).code for most in (0, 1, 2, 3)] == [1, 1, 0, 0]
    assert "at most 1 may be" in lattice_lock("sheriff", str(project), "--max-suppressions=1").out


def test_a_baseline_holds_back_what_was_there(
    project: Path, lattice_lock: Callable[..., Outcome]
) -> None:
    """After writing a baseline only new violations are reported, and what is gone is told."""
    written = lattice_lock("sheriff", str(project), "--write-baseline")
    assert written.code == 0
    assert written.err == f"Wrote {BASELINE_NAME}; commit it.\n"
    assert "1 violation held back by the baseline" in written.out
    first = (project / BASELINE_NAME).read_bytes()
    (project / "src/bad.py").write_text(f"\n\n{_BAD}import requests.adapters\n")
    outcome = lattice_lock("sheriff", str(project), "--format", "json")
    assert outcome.code == 1
    assert [each["line"] for each in outcome.json["violations"]] == [4]
    assert outcome.json["held_back"] == {"count": 1, "obsolete": []}
    (project / "src/bad.py").write_text("")
    outcome = lattice_lock("sheriff", str(project))
    assert outcome.code == 0
    assert "  src/bad.py forbidden-import (1)\n" in outcome.out
    only = lattice_lock("sheriff", str(project), str(project / "src/bad.py"))
    assert "baseline" not in only.out
    (project / "src/bad.py").write_text(_BAD)
    lattice_lock("sheriff", str(project), "--write-baseline")
    assert (project / BASELINE_NAME).read_bytes() == first
    left = {path.name for path in project.iterdir() if "lattice-lock" in path.name}
    assert left == {".lattice-lock"}  # the results that are kept, and no half-written file
    assert (project / ".lattice-lock" / "cache" / ".gitignore").read_text().strip() == "*"


def test_what_cannot_be_held_back_is_still_reported(
    project: Path, lattice_lock: Callable[..., Outcome]
) -> None:
    """Writing a baseline exits with 1 where a violation is left."""
    (project / "src/bad.py").write_text("(\n")
    outcome = lattice_lock("sheriff", str(project), "--write-baseline")
    assert outcome.code == 1
    assert "unparsable-file" in outcome.out
    assert json.loads((project / BASELINE_NAME).read_text())["files"] == {}


def test_a_broken_baseline_can_be_written_anew(
    project: Path, lattice_lock: Callable[..., Outcome]
) -> None:
    """A baseline with conflict marks is an error, and the way out that it names works."""
    (project / BASELINE_NAME).write_text("<<<<<<<\n")
    outcome = lattice_lock("sheriff", str(project))
    assert (outcome.code, outcome.out) == (2, "")
    assert "is not a baseline" in outcome.err
    assert lattice_lock("sheriff", str(project), "--write-baseline").code == 0
    assert lattice_lock("sheriff", str(project)).code == 0


def test_only_changed_files_are_checked(
    project: Path, lattice_lock: Callable[..., Outcome]
) -> None:
    """Faults that were committed are not looked at, against whatever commit; new ones are."""
    _commit(project)
    outcome = lattice_lock("sheriff", str(project), "--changed")
    assert (outcome.code, outcome.out) == (0, "no violations, 0 files checked.\n")
    (project / "src/new.py").write_text(_BAD)
    (project / "notes.txt").write_text("no Python")
    (project / "build").mkdir()
    (project / "build/copied.py").write_text(_BAD)
    outcome = lattice_lock("sheriff", str(project), "--changed", "--format", "json")
    assert outcome.code == 1
    assert {each["file"] for each in outcome.json["violations"]} == {"src/new.py"}
    assert outcome.json["files_checked"] == 1
    _git(project, "add", ".")
    _git(project, "commit", "-q", "-m", "more")
    assert lattice_lock("sheriff", str(project), "--changed").code == 0
    for spelling in (("--changed=HEAD~1",), ("--changed", "HEAD~1")):
        outcome = lattice_lock("sheriff", str(project), *spelling)
        assert "src/new.py:1:8" in outcome.out
        assert "src/bad.py" not in outcome.out


def test_a_changed_lattice_concerns_every_file(
    project: Path, lattice_lock: Callable[..., Outcome]
) -> None:
    """Where the lattice itself has changed, unchanged files are checked too, and that is said."""
    (project / "src/bad.py").write_text("import sqlite3\n")
    _commit(project)
    (project / "lattice.yaml").write_text(_LATTICE.replace("requests", "sqlite3"))
    outcome = lattice_lock("sheriff", str(project), "--changed")
    assert outcome.err == "The lattice has changed, so every file is checked.\n"
    assert "src/bad.py:1:8 forbidden-import" in outcome.out


def test_changed_needs_a_checkout(
    project: Path, lattice_lock: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outside a git checkout the error says so, and nothing is checked."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(project.parent))
    outcome = lattice_lock("sheriff", str(project), "--changed")
    assert (outcome.code, outcome.out) == (2, "")
    assert "is not in a git checkout" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["src/bad.py", "--changed"], "chooses the files itself"),
        (["src/bad.py", "--write-baseline"], "needs the whole project"),
        (["--write-baseline", "--changed"], "needs the whole project"),
        (["--write-baseline", "--suppressions"], "only lists"),
        (["--suppressions", "--format", "sarif"], "has no format `sarif`"),
        (["--max-suppressions", "-1"], "-1 is not in the range"),
        (["--format", "xml"], "'xml' is not one of"),
    ],
)
def test_contradictions_are_refused(
    arguments: list[str], words: str, project: Path, lattice_lock: Callable[..., Outcome]
) -> None:
    """Options that exclude each other are wrong use, and nothing is written."""
    outcome = lattice_lock("sheriff", str(project), *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert words in outcome.err
    assert not (project / BASELINE_NAME).exists()


def test_the_command_runs_as_a_process(
    project: Path, lattice_lock_process: Callable[..., Outcome]
) -> None:
    """From the project's folder, a real process finds the same."""
    assert project.is_dir()
    outcome = lattice_lock_process("sheriff", ".", "src/bad.py", "--format", "github")
    assert outcome.code == 1
    assert outcome.out.startswith("::error file=src/bad.py,line=1,endLine=1,col=8,endColumn=16,")
