"""The layer contracts hold for the package, and each planted violation breaks its contract."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_RULE_Y = {"sheriff/rules/y.py": "os"}
_LINT = Path(sys.executable).with_name("lint-imports")


@pytest.fixture
def copy(root: Path, tmp_path: Path) -> Path:
    """A copy of the package and its contracts that a test may spoil."""
    ignored = shutil.ignore_patterns("__pycache__", "templates")
    shutil.copytree(root / "src" / "lattice_lock", tmp_path / "lattice_lock", ignore=ignored)
    shutil.copy(root / ".importlinter", tmp_path)
    return tmp_path


def _lint(folder: Path, contract: str) -> tuple[int, str]:
    done = subprocess.run(
        [_LINT, "--no-logo", "--no-cache", "--contract", contract],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("contract", ["layers", "acyclic", "commands", "rules", "pure-core"])
def test_contract_holds(contract: str, copy: Path) -> None:
    """The package as it is keeps the contract."""
    code, output = _lint(copy, contract)
    assert code == 0, output


@pytest.mark.parametrize(
    ("contract", "plants", "message"),
    [
        ("layers", {"core/_x.py": "lattice_lock.cli.output"}, "BROKEN"),
        ("layers", {"utils.py": "os"}, "utils"),
        (
            "acyclic",
            {"core/_x.py": "lattice_lock.core._y", "core/_y.py": "lattice_lock.core._x"},
            "BROKEN",
        ),
        ("commands", {"cli/commands/x.py": "lattice_lock.cli.commands.init"}, "BROKEN"),
        ("rules", {"sheriff/rules/x.py": "lattice_lock.sheriff.rules.y", **_RULE_Y}, "BROKEN"),
        ("pure-core", {"core/_x.py": "httptools"}, "BROKEN"),
    ],
)
def test_planted_violation_breaks_the_contract(
    contract: str, plants: dict[str, str], message: str, copy: Path
) -> None:
    """An import against the direction, a cycle, a stray module: each is refused and named."""
    for path, imported in plants.items():
        (copy / "lattice_lock" / path).write_text(f"import {imported}\n")
    code, output = _lint(copy, contract)
    assert (code, message in output) == (1, True), output
