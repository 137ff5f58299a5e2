"""Per-package coverage floors."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


def _measured(covered: int, branches: int) -> dict[str, dict[str, int]]:
    return {
        "summary": {
            "covered_lines": covered,
            "num_statements": 10,
            "covered_branches": branches,
            "num_branches": 10,
        }
    }


@pytest.mark.parametrize(
    ("floors", "code", "message"),
    [
        ({"pkg.core": 75}, 0, ""),
        ({"pkg.core": 76}, 1, "pkg.core: 75.0% is below its floor of 76%.\n"),
        ({"pkg": 50}, 0, ""),
        ({"pkg": 51}, 1, "pkg: 50.0% is below its floor of 51%.\n"),
        ({"pkg.gone": 1}, 1, "pkg.gone: has a floor of 1% but was not measured.\n"),
    ],
)
def test_floor_counts_lines_and_branches_of_a_package(
    floors: dict[str, int], code: int, message: str, root: Path, tmp_path: Path
) -> None:
    """A package below its floor, or not measured at all, fails; a like-named one does not count."""
    (tmp_path / "tools").mkdir()
    tool = shutil.copy(root / "tools" / "coverage_floors.py", tmp_path / "tools")
    table = "\n".join(f'"{name}" = {floor}' for name, floor in floors.items())
    (tmp_path / "pyproject.toml").write_text(f"[tool.lattice-lock.coverage-floors]\n{table}\n")
    report = tmp_path / "coverage.json"
    files = {
        "src/pkg/core/a.py": _measured(10, 5),
        "src/pkg/core_like.py": _measured(5, 0),
    }
    report.write_text(json.dumps({"files": files}))
    done = subprocess.run(
        [sys.executable, tool, report], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (code, message, "")
