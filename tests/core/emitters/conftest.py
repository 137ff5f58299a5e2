"""Tools of the JavaScript world, where this machine has them."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def node() -> Callable[[str], str]:
    """Run a JavaScript program by Node; skips the test where there is none."""
    program = shutil.which("node")
    if program is None:
        pytest.skip("there is no `node` on the path")

    def run(text: str) -> str:
        done = subprocess.run(
            [program, "-e", text], capture_output=True, text=True, check=True, timeout=60
        )
        return done.stdout

    return run


@pytest.fixture
def tsc() -> Callable[..., str]:
    """Type-check files by TypeScript's compiler; skips the test where there is none.

    `LATTICE_TEST_TSC` names the program where it is not on the path.
    """
    program = os.environ.get("LATTICE_TEST_TSC") or shutil.which("tsc")
    if program is None:
        pytest.skip("there is no `tsc` on the path; `LATTICE_TEST_TSC` may name it")

    def run(*files: Path) -> str:
        options = ["--noEmit", "--strict", "--exactOptionalPropertyTypes", "--target", "es2022"]
        done = subprocess.run(
            [program, *options, *map(str, files)],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        return done.stdout + done.stderr

    return run
