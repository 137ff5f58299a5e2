"""The lock check passes what is in step and names what is not."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def copy(root: Path, tmp_path: Path) -> Path:
    """A copy of what the check reads."""
    shutil.copy(root / "pyproject.toml", tmp_path)
    shutil.copytree(root / "requirements", tmp_path / "requirements")
    (tmp_path / "tools").mkdir()
    shutil.copy(root / "tools" / "check_locks.py", tmp_path / "tools")
    return tmp_path


def _check(folder: Path) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, folder / "tools" / "check_locks.py"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_locks_are_in_step(copy: Path) -> None:
    """The locks of this repository meet its pyproject.toml."""
    assert _check(copy) == (0, "")


@pytest.mark.parametrize(
    ("name", "pattern", "replacement", "message"),
    [
        ("pyproject.toml", r'"click>=[^"]+"', '"click>=999"', "`click>=999` of pyproject.toml"),
        (
            "pyproject.toml",
            r'"rich>=[^"]+"',
            '"rich", "numpy"',
            "`numpy` of pyproject.toml is not met",
        ),
        ("requirements/base.lock", r"\A", "--find-links=x\n", "line 1 is neither"),
        ("requirements/base.lock", r"\A", "# by hand\n", "line 1 is neither"),
        ("requirements/base.lock", r"\A", "left-pad==1.0\n", "`left-pad==1.0` has no hash"),
        ("requirements/dev.lock", r"(?m)^click==\S+", "click==8.2.0", "`click` differs"),
    ],
)
def test_what_is_out_of_step_is_named(
    name: str, pattern: str, replacement: str, message: str, copy: Path
) -> None:
    """An unmet requirement, a foreign line, a missing hash, two versions: each is refused."""
    path = copy / name
    text, count = re.subn(pattern, replacement, path.read_text(), count=1)
    assert count == 1
    path.write_text(text)
    code, output = _check(copy)
    assert (code, message in output) == (1, True), output
