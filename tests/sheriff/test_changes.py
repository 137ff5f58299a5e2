"""What git says has changed."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from lattice_lock.exceptions import SheriffError
from lattice_lock.sheriff.changes import changed_files, folder_in_checkout

if TYPE_CHECKING:
    from pathlib import Path


def _git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project in a folder of a checkout with one commit, tagged `v1`."""
    root = tmp_path / "shop"
    (root / "src").mkdir(parents=True)
    for name in ("same", "edited", "staged", "gone", "old name"):
        (root / f"src/{name}.py").write_text(f"# {name}, and enough text for a rename\n" * 9)
    (tmp_path / "outside.py").write_text("")
    (tmp_path / ".gitignore").write_text("ignored.py\n")
    _git(tmp_path, "init", "-q", "-b", "main")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "-q", "-m", "first")
    _git(tmp_path, "tag", "v1")
    return root


def test_changed_files_are_those_that_differ(project: Path) -> None:
    """Edited, staged, renamed and untracked files count; deleted, ignored and others do not."""
    source = project / "src"
    assert changed_files(project) == frozenset()
    (source / "edited.py").write_text("x = 1\n")
    (source / "staged.py").write_text("x = 1\n")
    _git(project, "add", "src/staged.py")
    _git(project, "mv", "src/old name.py", "src/new\nname é.py")
    (source / "gone.py").unlink()
    (source / "untracked.py").write_text("")
    (source / "ignored.py").write_text("")
    (project.parent / "outside.py").write_text("x = 1\n")
    (project.parent / "outside_too.py").write_text("x = 1\n")
    assert changed_files(project) == {
        "src/edited.py",
        "src/staged.py",
        "src/new\nname é.py",
        "src/untracked.py",
    }


def test_the_base_may_be_any_commit(project: Path) -> None:
    """Against a tag, what was committed since then counts too."""
    (project / "src/edited.py").write_text("x = 1\n")
    _git(project, "commit", "-q", "-a", "-m", "second")
    assert changed_files(project) == frozenset()
    assert changed_files(project, "v1") == changed_files(project, "HEAD~1") == {"src/edited.py"}


@pytest.mark.parametrize("base", ["nonsense", "--all", "", "HEAD~9", "v1:shop/src/same.py", "a b"])
def test_what_is_no_commit_is_refused(base: str, project: Path) -> None:
    """A base that names nothing, a file or an option of git is an error with a way out."""
    with pytest.raises(SheriffError, match="git knows no commit") as info:
        changed_files(project, base)
    assert info.value.hint == "Name a commit, branch or tag: `--changed=main`."


def test_outside_a_checkout_there_is_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder without git is an error that says so, and so is git's own folder."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(SheriffError, match="is not in a git checkout"):
        changed_files(tmp_path)
    _git(tmp_path, "init", "-q")
    with pytest.raises(SheriffError, match="is not in a git checkout"):
        changed_files(tmp_path / ".git")
    with pytest.raises(SheriffError, match="git knows no commit `HEAD`"):
        changed_files(tmp_path)


def test_without_git_there_is_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where git is not installed, the error says so."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SheriffError, match="git cannot be run"):
        changed_files(tmp_path)


def test_a_broken_repository_is_an_error(project: Path) -> None:
    """What git complains about is passed on."""
    (project.parent / ".git/index").write_bytes(b"broken")
    with pytest.raises(SheriffError, match=r"git failed: .*index"):
        changed_files(project)


def test_a_project_has_its_place_in_the_checkout(project: Path) -> None:
    """The folder is told from the top of the checkout, be it a clone or a worktree."""
    assert folder_in_checkout(project) == "shop"
    assert folder_in_checkout(project / "src") == "shop/src"
    assert folder_in_checkout(project.parent) == ""
    (project / ".git").write_text("gitdir: elsewhere\n")
    assert folder_in_checkout(project / "src") == "src"
