"""ERROR_CODES.md says what the code says."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from lattice_lock import exceptions
from lattice_lock.exceptions import LatticeLockError

if TYPE_CHECKING:
    from pathlib import Path


def test_error_codes_are_current(root: Path) -> None:
    """The generated file equals what the generator would write now."""
    tool = root / "tools" / "generate_error_codes.py"
    done = subprocess.run(
        [sys.executable, tool, "--check"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_every_error_has_one_row(root: Path) -> None:
    """Each error stands in the table once, with its name, exit code and HTTP status."""
    rows = [
        [cell.strip() for cell in line.strip("|\n").split("|")]
        for line in (root / "ERROR_CODES.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("| LL-")
    ]
    listed = sorted((row[0], row[1].strip("`"), int(row[5]), int(row[6])) for row in rows)
    errors = [getattr(exceptions, name) for name in exceptions.__all__]
    assert listed == sorted(
        (cls.code, cls.__name__, cls.exit_code, cls.http_status)
        for cls in errors
        if issubclass(cls, LatticeLockError)
    )
    assert all(len(row[3].split()) > 1 for row in rows)
