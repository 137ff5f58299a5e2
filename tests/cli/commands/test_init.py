"""`lattice-lock init`."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest

from lattice_lock.core.loader import load_lattice

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from command_process import Outcome


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("template", ["service", "library"])
def test_project_is_complete_and_loads(
    template: str, tmp_path: Path, lattice_lock: Callable[..., Outcome]
) -> None:
    """A new project holds exactly its files, and its lattice loads without a warning."""
    outcome = lattice_lock("init", "corner-shop", "--template", template, "--format", "json")
    assert outcome.code == 0
    project = tmp_path / "corner-shop"
    files = sorted(path.relative_to(tmp_path).as_posix() for path in project.iterdir())
    assert outcome.json["files"] == files
    assert {path.name for path in project.iterdir()} == {
        ".gitignore",
        "README.md",
        "lattice.yaml",
        "pyproject.toml",
    }
    lattice = load_lattice(project / "lattice.yaml")
    assert lattice.interfaces
    assert lattice.warnings == ()
    metadata = tomllib.loads((project / "pyproject.toml").read_text())
    assert metadata["project"]["name"] == "corner-shop"
    assert metadata["tool"]["pytest"]["ini_options"]["pythonpath"] == ["src"]
    assert ".env*" in (project / ".gitignore").read_text().splitlines()
    assert not any("${" in path.read_text() for path in project.iterdir())


def test_empty_folder_is_used(tmp_path: Path, lattice_lock: Callable[..., Outcome]) -> None:
    """A folder that holds nothing becomes the project."""
    (tmp_path / "shop").mkdir()
    assert lattice_lock("init", "shop").code == 0
    assert (tmp_path / "shop" / "lattice.yaml").is_file()


@pytest.mark.parametrize("kind", ["folder", "file", "dangling link"])
def test_what_exists_is_left_alone(
    kind: str, tmp_path: Path, lattice_lock: Callable[..., Outcome]
) -> None:
    """Whatever already has the name stays as it is."""
    target = tmp_path / "shop"
    if kind == "folder":
        target.mkdir()
        (target / "notes.txt").write_text("mine")
    elif kind == "file":
        target.write_text("mine")
    else:
        target.symlink_to("nowhere")
    before = sorted(tmp_path.rglob("*"))
    outcome = lattice_lock("init", "shop")
    assert (outcome.code, "[LL-130]" in outcome.err) == (2, True)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "../a", "-a", "a b", "a\n", "ä", "1a", "a-", "class"]
)
def test_bad_name_is_refused(
    name: str, tmp_path: Path, lattice_lock: Callable[..., Outcome]
) -> None:
    """A name that could not be a folder and a distribution makes nothing."""
    outcome = lattice_lock("init", "--", name)
    assert (outcome.code, "[LL-802]" in outcome.err) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_unwritable_place_makes_nothing(
    monkeypatch: pytest.MonkeyPatch, lattice_lock: Callable[..., Outcome]
) -> None:
    """Where nothing can be written the error says so, and nothing half made is left."""
    monkeypatch.chdir("/proc")
    outcome = lattice_lock("init", "shop")
    assert (outcome.code, "[LL-133]" in outcome.err) == (2, True)
    assert "nothing was made" in outcome.err
