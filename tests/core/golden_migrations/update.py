"""Rewrite the golden migrations: `python tests/core/golden_migrations/update.py`.

They end in `.txt`, so that no tool takes them for code of this project.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from lattice_lock.core.workspace import open_workspace

HERE = Path(__file__).parent

with tempfile.TemporaryDirectory() as folder:
    for name in ("before", "after"):
        shutil.copy(HERE / f"{name}.yaml", Path(folder, "lattice.yaml"))
        workspace = open_workspace(Path(folder))
        workspace.project.write_files(workspace.plan(allow_drop=True))
    shutil.rmtree(HERE / "expected", ignore_errors=True)
    for path in [*Path(folder, "migrations").rglob("*.*"), Path(folder, "alembic.ini")]:
        target = HERE / "expected" / f"{path.relative_to(folder)}.txt"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
