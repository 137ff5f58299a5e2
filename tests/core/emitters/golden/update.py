"""Rewrite the golden documents: `python tests/core/emitters/golden/update.py`."""

from __future__ import annotations

from pathlib import Path

from lattice_lock.core.documents import Document, emit_documents
from lattice_lock.core.loader import load_lattice

folder = Path(__file__).parent
for name, text in emit_documents(load_lattice(folder / "lattice.yaml"), Document).items():
    (folder / Path(name).name).write_text(text, encoding="utf-8")
