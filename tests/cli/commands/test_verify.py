"""`lattice-lock verify`."""

from __future__ import annotations

from pathlib import Path
from shutil import copytree
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from command_process import Outcome

QUICKSTART = Path(__file__).parents[3] / "docs" / "examples" / "quickstart"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the example, whose bodies are accepted."""
    return Path(copytree(QUICKSTART, tmp_path / "project"))


def edit(file: Path, old: str, new: str) -> None:
    """Replace a text that must be there."""
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def test_a_lock_that_holds_passes(project: Path, lattice_lock: Callable[..., Outcome]) -> None:
    """Exit code 0, how much was verified, and nothing written."""
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    outcome = lattice_lock("verify", str(project))
    assert outcome.code == 0, outcome.out
    assert outcome.out.startswith("lattice.lock holds: ")
    assert lattice_lock("verify", str(project), "--format", "json").json == {
        "drift": [],
        "passed": True,
    }
    assert {path: path.read_bytes() for path in project.rglob("*") if path.is_file()} == before


def test_every_kind_of_drift_is_named(project: Path, lattice_lock: Callable[..., Outcome]) -> None:
    """An edited lattice, an edited generated file and an edited body are each told."""
    found = {}
    for kind, file, old, new in (
        ("generated", next((project / "src/shared").glob("*_v?.py")), "class ", "class  "),
        ("body", next((project / "src").glob("*/*service*.py")), "return ", "return (yield) or "),
        ("lattice", project / "lattice.yaml", "version: v", "version: v9"),
    ):
        edit(file, old, new)
        outcome = lattice_lock("verify", str(project), "--format", "json")
        assert (outcome.code, outcome.json["passed"]) == (1, False)
        found[kind] = {one["kind"] for one in outcome.json["drift"]}
        assert kind in found[kind]
    text = lattice_lock("verify", str(project))
    assert text.code == 1
    assert "things drifted." in text.out
    assert "was edited" in text.out


def test_without_a_lock_it_fails(project: Path, lattice_lock: Callable[..., Outcome]) -> None:
    """A project that was never compiled does not verify."""
    (project / "lattice.lock").unlink()
    outcome = lattice_lock("verify", str(project))
    assert (outcome.code, "there is no `lattice.lock`" in outcome.out) == (1, True)
    assert "1 thing drifted." in outcome.out


@pytest.mark.parametrize("spoilt", ["lattice.yaml", "lattice.lock"])
def test_what_cannot_be_read_exits_2(
    spoilt: str, project: Path, lattice_lock: Callable[..., Outcome]
) -> None:
    """An unreadable lattice or lock is wrong use, not drift."""
    (project / spoilt).write_text("{")
    assert lattice_lock("verify", str(project)).code == 2
