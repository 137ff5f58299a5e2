"""What users install: the built wheel, without the repository around it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import lattice_lock

if TYPE_CHECKING:
    from pathlib import Path


def test_wheel_works_without_the_repository(root: Path, tmp_path: Path) -> None:
    """The wheel holds the package and nothing else, and makes a project from its own files."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path / "dist"],
        cwd=root,
        check=True,
        capture_output=True,
        timeout=120,
    )
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    tops = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert tops == {"lattice_lock", f"lattice_lock-{lattice_lock.__version__}.dist-info"}
    assert (installed / "lattice_lock" / "py.typed").is_file()

    script = (
        "import sys, lattice_lock\nfrom lattice_lock.cli.main import run\n"
        "print(lattice_lock.__file__)\nsys.exit(run(['init', 'shop', '--template', 'library']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(str(installed))
    assert (tmp_path / "shop" / "lattice.yaml").is_file()
