"""The quickstart as it is published: everything in it agrees, and every edit is noticed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.sandbox

EDITS = {
    "clause": (
        "lattice.yaml",
        "result == stock - sold",
        "result == stock - sold - 0",
        "remaining_stock.ensures[0]",
    ),
    "field": ("lattice.yaml", "max_length: 40", "max_length: 41", "OrderLine.fields.product"),
    "generated types": ("src/shared/types_v1.py", "ge=1", "ge=0", "types_v1.py"),
    "contract tests": ("tests/contracts/test_i_pricing_service.py", "//", "/", "test_i_pricing"),
    "accepted body": (
        "src/services/pricing_service.py",
        "return stock - sold",
        "return sold - stock",
        "IPricingService.remaining_stock",
    ),
}


def check(project: Path) -> subprocess.CompletedProcess[str]:
    """`lattice-lock check` on a project."""
    return subprocess.run(
        [sys.executable, "-m", "lattice_lock", "check", str(project)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def quickstart(root: Path, tmp_path: Path) -> Path:
    """A copy of the published quickstart."""
    source = root / "docs/examples/quickstart"
    return Path(shutil.copytree(source, tmp_path / "quickstart"))


def test_the_quickstart_holds(quickstart: Path) -> None:
    """Lattice, generated files and all six model-written bodies agree; judging leaves no file."""
    before = {path for path in quickstart.rglob("*") if "__pycache__" not in path.parts}
    done = check(quickstart)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {path for path in quickstart.rglob("*") if "__pycache__" not in path.parts} == before


@pytest.mark.parametrize(("path", "old", "new", "named"), EDITS.values(), ids=EDITS.keys())
def test_every_edit_is_named(quickstart: Path, path: str, old: str, new: str, named: str) -> None:
    """Whatever is edited, the check fails and says where."""
    text = (quickstart / path).read_text()
    assert old in text
    (quickstart / path).write_text(text.replace(old, new, 1))
    done = check(quickstart)
    assert done.returncode == 1, done.stdout + done.stderr
    assert named in done.stdout


def test_the_generated_tests_run_by_themselves(quickstart: Path) -> None:
    """The contract tests are plain pytest files that pass on the published bodies."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=quickstart,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "8 passed" in done.stdout
