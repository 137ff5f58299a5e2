"""`lattice-lock compile` where the lattice asks for migrations."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from command_process import Outcome

LATTICE = """\
version: v1.0
generated_module: types_v1
config: {migrations: migrations}
entities:
  Thing:
    persistence: table
    fields:
      id: {type: int, primary_key: true}
      name: str
"""


def test_a_drop_needs_leave(tmp_path: Path, lattice_lock: Callable[..., Outcome]) -> None:
    """Exit code 2 names the column and its place; `--allow-drop` writes the revision."""
    lattice = tmp_path / "lattice.yaml"
    lattice.write_text(LATTICE)
    first = lattice_lock("compile", str(tmp_path))
    assert first.code == 0
    assert "wrote migrations/versions/0001_" in first.out
    assert "wrote alembic.ini" in first.out
    lattice.write_text(LATTICE.replace("      name: str\n", ""))
    refused = lattice_lock("compile", str(tmp_path))
    assert refused.code == 2
    assert "lattice.yaml:5:3: the column `name` of `thing` would be dropped" in refused.err
    assert "lattice-lock compile --allow-drop" in refused.err
    checked = lattice_lock("compile", str(tmp_path), "--check", "--allow-drop")
    assert checked.code == 1
    assert len(list((tmp_path / "migrations" / "versions").glob("*.py"))) == 1
    done = lattice_lock("compile", str(tmp_path), "--allow-drop")
    assert done.code == 0
    assert "wrote migrations/versions/0002_" in done.out
    assert lattice_lock("verify", str(tmp_path)).code == 0
