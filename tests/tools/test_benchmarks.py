"""The benchmarks run, and what they find that no busy machine can change."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def _printed(root: Path, script: str) -> str:
    done = subprocess.run(
        [sys.executable, str(root / "benchmarks" / script), "--quick"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_call_path_is_measured_and_small(root: Path) -> None:
    """Every row has a number for aiohttp and for us; few and small packages are imported."""
    printed = _printed(root, "call_path.py")
    for row in ("1 at a time", "64 at a time", "per streamed chunk", "first token", "first reply"):
        line = next(line for line in printed.splitlines() if row in line)
        assert line.count("x)") == 2, line
    imports = next(line for line in printed.splitlines() if line.startswith("one call imports"))
    assert int(imports.split()[3]) <= 14, imports
    assert float(imports.split(", ")[1].split()[0]) <= 20, imports
    for heavy in ("pydantic", "jsonschema", "rich", "click", "hypothesis", "pytest"):
        assert f" {heavy} " not in imports
    base = next(line for line in printed.splitlines() if line.startswith("base install"))
    assert float(base.split(", ")[1].split()[0]) < 80, base


def test_the_lag_of_the_loop_is_measured(root: Path) -> None:
    """Idle and busy, for aiohttp and for us, there is a median, a p99 and a maximum."""
    lines = _printed(root, "loop_lag.py").splitlines()
    assert len(lines) == 1 + 4
    for line in lines[1:]:
        median, p99, most = map(float, line.split()[-3:])
        assert median <= p99 <= most


def test_what_the_orchestrator_adds_is_measured(root: Path) -> None:
    """There is a row for a client alone, and one each for a model that is named or chosen."""
    lines = _printed(root, "front_door.py").splitlines()
    rows = {line.rsplit(maxsplit=2)[0]: line.split()[-2:] for line in lines[1:4]}
    assert set(rows) == {"client alone", "model named", "model chosen"}
    assert all(float(cpu_ms) > 0 for cpu_ms, _ in rows.values())


def test_sheriff_is_measured_beside_ruff(root: Path) -> None:
    """Both have a row for a cold and for a warm run."""
    printed = _printed(root, "sheriff.py")
    for row in ("ruff cold", "sheriff cold", "ruff warm", "sheriff warm"):
        assert row in printed
