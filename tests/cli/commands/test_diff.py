"""`lattice-lock diff`."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from command_process import Outcome

LATTICE = """\
version: v1.0
generated_module: types_v1
entities:
  Line:
    fields:
      price: {type: decimal, ge: 0, scale: 2}
      count: {type: int, ge: 1}
interfaces:
  IPricing:
    file: src/services/pricing.py
    methods:
      total:
        params: {line: Line}
        returns: decimal
        ensures: ["result == line.price * line.count"]
"""
BREAKING = LATTICE.replace("ge: 1", "ge: 2")
COMPATIBLE = LATTICE.replace("ge: 1", "ge: 0").replace("v1.0", "v1.1")


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two lattices, which is where commands run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lattice.yaml").write_text(LATTICE)
    (tmp_path / "new.yaml").write_text(BREAKING)
    return tmp_path


def test_files_are_compared(lattice_lock: Callable[..., Outcome]) -> None:
    """A breaking change without a new major version is told and exits 1."""
    outcome = lattice_lock("diff", "lattice.yaml", "new.yaml")
    assert outcome.code == 1
    assert outcome.out == (
        "major:\n"
        "  entities.Line.fields.count: a tighter lower bound; breaks producers\n"
        "    - int constraints=ge:1\n"
        "    + int constraints=ge:2\n\n"
        "The version goes from v1.0 to v1.0, which is too little: these changes need a new major"
        " version.\nSet `version` in the lattice.\n"
    )


def test_the_page_shows_what_is_printed(lattice_lock: Callable[..., Outcome], root: Path) -> None:
    """The output in the how-to page is the output of this version."""
    page = (root / "docs" / "how-to" / "change-a-lattice.md").read_text()
    printed = lattice_lock("diff", "lattice.yaml", "new.yaml").out
    assert f"```text\n$ lattice-lock diff\n{printed}```" in page


def test_json_holds_everything(lattice_lock: Callable[..., Outcome], project: Path) -> None:
    """Programs get each change with its victims; enough of a version exits 0."""
    (project / "new.yaml").write_text(COMPATIBLE)
    outcome = lattice_lock("diff", "lattice.yaml", "new.yaml", "--format", "json")
    assert outcome.code == 0
    assert outcome.json == {
        "old_version": "v1.0",
        "new_version": "v1.1",
        "declared": "minor",
        "needed": "minor",
        "enough": True,
        "changes": [
            {
                "subject": "entities.Line.fields.count",
                "before": "int constraints=ge:1",
                "after": "int constraints=ge:0",
                "reason": "a looser lower bound",
                "bump": "minor",
                "breaks": [],
                "may_break": ["consumers"],
            }
        ],
    }


def test_one_file_is_compared_with_the_present_lattice(
    lattice_lock: Callable[..., Outcome],
) -> None:
    """`NEW` left out is the lattice of this folder."""
    outcome = lattice_lock("diff", "new.yaml")
    assert (outcome.code, "a looser lower bound" in outcome.out) == (1, True)
    outcome = lattice_lock("diff", "lattice.yaml")
    assert (outcome.code, outcome.out) == (0, "Nothing changed.\n")


@pytest.mark.parametrize("folder", [(), (".",)])
def test_alone_it_compares_with_the_lock(
    folder: tuple[str, ...], lattice_lock: Callable[..., Outcome], project: Path
) -> None:
    """What changed since the lattice was compiled, and nothing right after compiling."""
    assert lattice_lock("diff", *folder).code == 2
    assert lattice_lock("compile").code == 0
    assert lattice_lock("diff", *folder).out == "Nothing changed.\n"
    (project / "lattice.yaml").write_text(BREAKING)
    outcome = lattice_lock("diff", *folder)
    assert (outcome.code, "breaks producers" in outcome.out) == (1, True)


def test_revisions_are_read_from_git(
    lattice_lock: Callable[..., Outcome], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`REVISION:PATH` is what that revision holds, whatever is in the folder now."""
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE"):
        monkeypatch.delenv(name, raising=False)
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for arguments in (
        ["init", "-q"],
        ["add", "."],
        [*identity, "-c", "commit.gpgsign=false", "commit", "-q", "-m", "first"],
    ):
        subprocess.run(["git", *arguments], cwd=project, check=True, env={**os.environ})
    (project / "lattice.yaml").write_text(BREAKING)
    outcome = lattice_lock("diff", "HEAD:lattice.yaml")
    assert (outcome.code, "a tighter lower bound" in outcome.out) == (1, True)
    assert lattice_lock("diff", "HEAD:lattice.yaml", "HEAD:lattice.yaml").code == 0
    outcome = lattice_lock("diff", "HEAD~7:lattice.yaml")
    assert (outcome.code, "git cannot read" in outcome.err) == (2, True)


def test_a_wrong_lattice_of_a_revision_names_the_revision(
    lattice_lock: Callable[..., Outcome], project: Path
) -> None:
    """A problem is placed in what was named on the command line."""
    (project / "new.yaml").write_text("version: v1.0\n")
    outcome = lattice_lock("diff", "lattice.yaml", "new.yaml")
    assert (outcome.code, "new.yaml:1:1" in outcome.err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("absent.yaml",), "`absent.yaml` is not a file"),
        (("--", "-p:lattice.yaml"), "`-p:lattice.yaml` is not a revision"),
        (("lattice.yaml", "absent.yaml"), "`absent.yaml` is not a file"),
        (("lattice.yaml", "new.yaml", "more.yaml"), "more.yaml"),
    ],
)
def test_wrong_use_is_told(
    arguments: tuple[str, ...], said: str, lattice_lock: Callable[..., Outcome]
) -> None:
    """What is no file and no revision exits 2 and says what to write."""
    outcome = lattice_lock("diff", *arguments)
    assert (outcome.code, said in outcome.err) == (2, True), outcome.err


@pytest.mark.parametrize(
    ("text", "said"), [('"version": "v1.0"', "which version"), ('"format": 1', "not a lock file")]
)
def test_a_spoilt_lock_is_told(
    text: str, said: str, lattice_lock: Callable[..., Outcome], project: Path
) -> None:
    """A lock that was edited is named, not a defect of the program."""
    assert lattice_lock("compile").code == 0
    lock = project / "lattice.lock"
    lock.write_text(lock.read_text().replace(text, '"x": "y"', 1))
    outcome = lattice_lock("diff")
    assert (outcome.code, "[LL-120]" in outcome.err, said in outcome.err) == (2, True, True)


def test_without_git_a_revision_is_told(
    lattice_lock: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no git, the message says what to install."""
    monkeypatch.setenv("PATH", "")
    outcome = lattice_lock("diff", "HEAD:lattice.yaml")
    assert (outcome.code, "there is no `git`" in outcome.err) == (2, True)
