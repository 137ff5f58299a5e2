"""Rewrite every golden file from its lattice: `python tests/core/golden/update.py`."""

from __future__ import annotations

import shutil
from pathlib import Path

from lattice_lock.core.compiler import compile_lattice
from lattice_lock.core.loader import load_lattice

for lattice in sorted(Path(__file__).parent.glob("*/lattice.yaml")):
    expected = lattice.parent / "expected"
    shutil.rmtree(expected, ignore_errors=True)
    compilation = compile_lattice(load_lattice(lattice))
    for name, text in {**compilation.generated, **compilation.scaffolds}.items():
        path = expected / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
